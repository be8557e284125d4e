package replica

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/payload"
	"dr-orchestrator/internal/succession"
)

// SwitchoverParameters are the parameters of SwitchoverRDSReadReplica.
type SwitchoverParameters struct {
	RDSInstanceIdentifier   string `param:"required" format:"db-instance" identity:"rds-instance" doc:"Identifier of the Oracle replica in the region of the run."`
	TargetClusterIdentifier string `param:"required" format:"rds-instance-arn" doc:"ARN of the same replica."`
	SourceRegion            string `param:"required" format:"region" doc:"Region of the current primary, which becomes the replica."`
	lag.Limit
}

// Check finds parameters that contradict each other.
func (p SwitchoverParameters) Check() []payload.Issue {
	issues := PromoteParameters{RDSInstanceIdentifier: p.RDSInstanceIdentifier, TargetClusterIdentifier: p.TargetClusterIdentifier}.Check()
	if target, err := arn.Parse(p.TargetClusterIdentifier); err == nil && target.Region == p.SourceRegion {
		issues = append(issues, payload.Issue{Parameter: "SourceRegion", Message: "is the region of the replica, too", Want: "the region of the current primary"})
	}
	return issues
}

// SwitchoverAPI is every call to RDS that a switchover makes.
type SwitchoverAPI interface {
	Describer
	SwitchoverReadReplica(context.Context, *rds.SwitchoverReadReplicaInput, ...func(*rds.Options)) (*rds.SwitchoverReadReplicaOutput, error)
}

// Switchover lets an Oracle primary and its replica change places, on a
// planned day and without losing anything (user guide of RDS, "Performing an
// Oracle Data Guard switchover"). No other engine has such a call.
type Switchover struct {
	RDS  func(region string) SwitchoverAPI
	Lags lag.Source
}

// NewSwitchover wires the action to AWS.
func NewSwitchover(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[SwitchoverParameters]{
		Reconciler: Switchover{
			RDS:  func(region string) SwitchoverAPI { return rds.NewFromConfig(f.Config(region)) },
			Lags: lag.Listless(cloudwatch.NewFromConfig(f.Config(""))),
		},
		Secrets: secrets, Now: now, MinimumSeconds: MinimumPromotionSeconds,
	}
}

const phaseSwitching = "switching over"

// partner gives the name and the region of the other instance of a pair: the
// source while it is a replica, and afterwards what replicates it from the
// region that it came from. Without one there is nothing to change places with.
func partner(i Instance, sourceRegion string) (id string, region string) {
	others := i.Replicas
	if i.Source != "" {
		others = []string{i.Source}
	}
	for _, other := range others {
		if parsed, err := arn.Parse(other); err == nil && parsed.Region == sourceRegion {
			return strings.TrimPrefix(parsed.Resource, "db:"), parsed.Region
		}
	}
	return "", ""
}

// decideSwitchover says what to do about a pair. The switchover is done when
// the old primary replicates the new one and both are available. other is nil
// where the pair shows no other instance.
func decideSwitchover(i Instance, other *Instance, p SwitchoverParameters, asked action.Asked) action.Decision {
	switch {
	case !strings.EqualFold(i.ARN, p.TargetClusterIdentifier):
		return action.Fail(action.InvalidInput, action.StateUnknown, i.Status, "%s is %s, not TargetClusterIdentifier %s", i.ID, i.ARN, p.TargetClusterIdentifier)
	case !strings.HasPrefix(i.Engine, "oracle"):
		return action.Fail(action.Refused, action.StateUnknown, "engine", "AWS switches over between RDS instances of Oracle only, and %s runs %s; "+
			"for other engines payloads/switchback-replica.json loses nothing either: it fences the primary first and then promotes", i.ID, i.Engine)
	}
	if succession.Fenced(i.Tags) {
		return action.Fail(action.Refused, action.StateUnknown, "fenced", "%s %s", i.ID, succession.ReleaseFirst)
	}
	both := []Instance{i}
	if other != nil {
		both = append(both, *other)
	}
	for _, x := range both {
		switch action.ConditionOf(conditions, x.Status) {
		case action.StatusTerminal:
			return action.Fail(action.Terminal, action.StateUnknown, x.Status, "DB instance %s is %s", x.ID, x.Status)
		case action.StatusUnknown:
			return action.Wait(action.StateUnknown, x.Status, "DB instance %s has the status %q, which is not known here: waiting", x.ID, x.Status)
		case action.StatusPending:
			d := action.Wait(action.StateBusy, x.Status, "DB instance %s is %s", x.ID, x.Status)
			if i.Source == "" {
				d.State, d.Final = action.StateUnderWay, operational(i.Status)
			}
			return d
		}
	}
	switch {
	case i.Source != "":
		return decideIdlePair(i, other, p, asked)
	case other != nil && strings.EqualFold(other.Source, i.ARN):
		return action.Finish("switched over", "%s takes writes, and %s replicates it", i.ID, other.ID)
	case other != nil:
		return action.WaitFinal(action.StateUnderWay, phaseSwitching, "%s replicates nothing any more, and %s does not show yet that it follows", i.ID, other.ID)
	case !asked.Requested.IsZero() || asked.Unsure:
		return action.WaitFinal(action.StateUnderWay, phaseSwitching, "%s replicates nothing any more, and shows no replica yet", i.ID)
	}
	return action.Fail(action.Refused, action.StateReady, "alone", "%s is no replica and has none in %s: it was promoted before, or never was one", i.ID, p.SourceRegion)
}

// decideIdlePair holds the preconditions of AWS. What is not shown is not
// taken for granted.
func decideIdlePair(i Instance, other *Instance, p SwitchoverParameters, asked action.Asked) action.Decision {
	refuse := func(phase, format string, args ...any) action.Decision {
		return action.Fail(action.Refused, action.StateReady, phase, format, args...)
	}
	if d, ok := asked.Idle(); ok {
		return d
	}
	switch {
	case other == nil:
		return action.Fail(action.InvalidInput, action.StateReady, "source", "%s replicates %s, which is not in SourceRegion %s", i.ID, i.Source, p.SourceRegion)
	case i.Status != statusAvailable || other.Status != statusAvailable: // operational is not enough for AWS here
		return action.Wait(action.StateReady, "not available", "%s is %s and %s is %s: AWS switches over when both are available", i.ID, i.Status, other.ID, other.Status)
	case other.Source != "":
		return refuse("cascade", "%s is a replica itself, of %s", other.ID, other.Source)
	case i.Mode != "mounted" && i.Mode != "open-read-only":
		return refuse("replica mode", "the replica mode of %s is %q: it must be mounted or open-read-only", i.ID, i.Mode)
	case i.Retention == 0:
		return refuse("no backups", "%s has no automated backups, and AWS wants them before it switches over", i.ID)
	case i.Replication != lag.Replicating:
		return refuse("replication", "the replication of %s is %q: it must be %s", i.ID, i.Replication, lag.Replicating)
	}
	return action.Act(phaseSwitching, "both instances are available")
}

// observe reads the pair. While the one that takes over is not available, the
// other says nothing that would change the decision.
func (a Switchover) observe(ctx context.Context, req action.Request[SwitchoverParameters]) (Instance, *Instance, error) {
	p := req.Parameters
	i, err := find(ctx, a.RDS(req.Run.Region), p.RDSInstanceIdentifier, req.Run.Region)
	if err != nil {
		return i, nil, err
	}
	id, region := partner(i, p.SourceRegion)
	if id == "" || !operational(i.Status) {
		return i, nil, nil
	}
	other, err := find(ctx, a.RDS(region), id, region)
	return i, &other, err
}

// Preflight tells whether the switchover could begin now. The region of the
// primary has to answer for that: nothing is lost only where both take part.
func (a Switchover) Preflight(ctx context.Context, req action.Request[SwitchoverParameters]) (action.Readiness, error) {
	p := req.Parameters
	i, other, err := a.observe(ctx, req)
	if err != nil && i.ID != "" && action.ClassOf(err) == action.Unreachable {
		return action.Readiness{Observed: action.StateUnknown, Evidence: i.evidence(), Findings: []action.Finding{{Verdict: action.VerdictBlocked, Class: action.Refused,
			Message: "the region " + p.SourceRegion + " does not answer, and a switchover needs it; for a lost region use PromoteRDSReadReplica (" + err.Error() + ")"}}}, nil
	}
	if err != nil {
		return action.Readiness{}, err
	}
	d := decideSwitchover(i, other, p, action.Asked{Now: req.Now})
	ready := action.Readiness{Observed: d.State, Evidence: pairEvidence(i, other), Findings: d.Findings()}
	if d.Move != action.MoveAct {
		return ready, nil
	}
	return ready, p.Limit.Report(lagOf(ctx, a.Lags, i, req.Now), &ready)
}

// Reconcile takes the next step of the switchover.
func (a Switchover) Reconcile(ctx context.Context, req action.Request[SwitchoverParameters]) (action.Progress, error) {
	p := req.Parameters
	i, other, err := a.observe(ctx, req)
	if err != nil {
		return action.Progress{}, err
	}
	asked := req.Asked("")
	d := decideSwitchover(i, other, p, asked)
	progress, err := d.Progress(asked, pairEvidence(i, other))
	if err != nil || d.Move != action.MoveAct {
		return progress, err
	}
	reading := lagOf(ctx, a.Lags, i, req.Now)
	if err := p.Gate(reading); err != nil {
		return progress, err
	}
	progress.Lag = reading.Seconds()
	progress.Evidence["lag"] = reading.String()
	// AWS takes a switchover in the region of the replica.
	_, err = a.RDS(req.Run.Region).SwitchoverReadReplica(ctx, &rds.SwitchoverReadReplicaInput{DBInstanceIdentifier: aws.String(i.ID)})
	progress.Message = "switchover asked for; lag " + reading.String()
	return action.Sent(req, progress, action.Mutation("switching over to "+i.ID, err))
}

func pairEvidence(i Instance, other *Instance) action.Evidence {
	e := i.evidence()
	if other != nil {
		e["partner"], e["partnerStatus"] = other.ARN, other.Status
		if other.Source != "" {
			e["partnerSource"] = other.Source
		}
	}
	return e
}
