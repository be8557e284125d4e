package fence

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/payload"
)

// The values of Method.
const (
	MethodIsolate = "Isolate"
	MethodStop    = "Stop"
	MethodRelease = "Release"
)

// Parameters are the parameters of FenceOldPrimary. What is fenced may bear
// the name of what takes over in the other region, so the two are no duplicates.
type Parameters struct {
	RDSInstanceIdentifier     string   `format:"db-instance" identity:"fenced-rds-instance" doc:"Identifier of the DB instance to fence. Either this or DBClusterIdentifier."`
	DBClusterIdentifier       string   `format:"db-cluster" identity:"fenced-rds-cluster" doc:"Identifier of the Aurora DB cluster to fence."`
	PrimaryRegion             string   `param:"required" format:"region" doc:"Region of what is to be fenced; never the region that takes over."`
	SuccessorIdentifier       string   `format:"replica" doc:"What takes over, in the region of the run: a DB instance, or a DB cluster where one is fenced. It must show that it does. Not for Release."`
	Method                    string   `enum:"Isolate,Stop,Release" default:"Isolate" doc:"Isolate: security groups that let nothing in. Stop: no replica may hang on it, and AWS starts it again after 7 days. Release: undo both, unless what takes over has done so; after Stop no tag tells what that is, and it wants AcceptTwoWriters."`
	IsolationSecurityGroupIds []string `format:"security-group" doc:"For Isolate: security groups in the VPC of the primary, without inbound rules."`
	Reboot                    bool     `default:"true" doc:"For Isolate: reboot afterwards, which ends the connections that are open. Without it no fence is proved."`
	FenceInUse                bool     `default:"false" doc:"Fence it also where clients are connected to it, or may be, and what takes over did so before this run. Without it that is refused: it may have been a drill."`
	Required                  bool     `default:"false" doc:"A fence that cannot be proved is an error, and a replica that does not replicate is refused as what takes over. Without it the run goes on after WaitSeconds, and two writers may serve."`
	AcceptTwoWriters          bool     `default:"false" doc:"For Release: give it back although what takes over has done so, or nobody knows. Two writers may serve."`
	WaitSeconds               int      `min:"0" max:"900" default:"60" doc:"Unless Required: seconds of trying against a region that does not answer or a call that is refused."`
}

// Check finds parameters that contradict each other.
func (p Parameters) Check() []payload.Issue {
	var issues []payload.Issue
	if (p.RDSInstanceIdentifier == "") == (p.DBClusterIdentifier == "") {
		issues = append(issues, payload.Issue{Message: "one thing is fenced at a time", Want: "either RDSInstanceIdentifier or DBClusterIdentifier"})
	}
	if p.Method != MethodRelease && p.SuccessorIdentifier == "" {
		issues = append(issues, payload.Issue{Parameter: "SuccessorIdentifier", Message: p.Method + " needs SuccessorIdentifier", Want: "what takes over in the region of the run: a DB instance, or a DB cluster where one is fenced"})
	}
	if p.Method == MethodIsolate && len(p.IsolationSecurityGroupIds) == 0 {
		issues = append(issues, payload.Issue{Parameter: "IsolationSecurityGroupIds", Message: "Isolate needs IsolationSecurityGroupIds", Want: "security groups without inbound rules, such as sg-0123456789abcdef0"})
	}
	if p.Method != MethodRelease && p.AcceptTwoWriters {
		issues = append(issues, payload.Issue{Parameter: "AcceptTwoWriters", Message: p.Method + " knows no AcceptTwoWriters", Want: "it left out; it is for Release"})
	}
	return issues
}

// demanded reports whether anything short of the goal is an error.
func (p Parameters) demanded() bool { return p.Required || p.Method == MethodRelease }

// name is what the parameters call the primary.
func (p Parameters) name() string { return p.RDSInstanceIdentifier + p.DBClusterIdentifier }

// InstanceAPI is every change that is made to an instance; tags are set on
// clusters by the same call.
type InstanceAPI interface {
	AddTagsToResource(context.Context, *rds.AddTagsToResourceInput, ...func(*rds.Options)) (*rds.AddTagsToResourceOutput, error)
	ModifyDBInstance(context.Context, *rds.ModifyDBInstanceInput, ...func(*rds.Options)) (*rds.ModifyDBInstanceOutput, error)
	RebootDBInstance(context.Context, *rds.RebootDBInstanceInput, ...func(*rds.Options)) (*rds.RebootDBInstanceOutput, error)
	StartDBInstance(context.Context, *rds.StartDBInstanceInput, ...func(*rds.Options)) (*rds.StartDBInstanceOutput, error)
	StopDBInstance(context.Context, *rds.StopDBInstanceInput, ...func(*rds.Options)) (*rds.StopDBInstanceOutput, error)
}

// ClusterAPI is every change that is made to a cluster.
type ClusterAPI interface {
	ModifyDBCluster(context.Context, *rds.ModifyDBClusterInput, ...func(*rds.Options)) (*rds.ModifyDBClusterOutput, error)
	StartDBCluster(context.Context, *rds.StartDBClusterInput, ...func(*rds.Options)) (*rds.StartDBClusterOutput, error)
	StopDBCluster(context.Context, *rds.StopDBClusterInput, ...func(*rds.Options)) (*rds.StopDBClusterOutput, error)
}

// API is every call to RDS that a fence makes, in the region of the primary.
type API interface {
	Finder
	InstanceAPI
	ClusterAPI
}

// Fence keeps an old primary from taking writes, or gives it back.
type Fence struct {
	RDS     func(region string) API
	Groups  func(region string) GroupReader
	Clients func(region string) lag.Source
}

// New wires the action to AWS.
func New(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[Parameters]{
		Reconciler: Fence{
			RDS:     func(region string) API { return rds.NewFromConfig(f.Config(region)) },
			Groups:  func(region string) GroupReader { return ec2.NewFromConfig(f.Config(region)) },
			Clients: func(region string) lag.Source { return lag.Listless(cloudwatch.NewFromConfig(f.Config(region))) },
		},
		Secrets: secrets, Now: now,
	}
}

// The evidence "fence" stands in every report: what was proved of the primary.
const (
	evidenceFence = "fence"
	fenceProved   = "fenced"
	fenceUnknown  = "unknown"
	fenceFree     = "released"
)

const (
	memoRebooted = "rebootSeen"
	memoTrouble  = "troubleSince"
)

func notesOf(req action.Request[Parameters], s sight) notes {
	return notes{asked: req.Asked, rebooted: req.Drive.Memo[memoRebooted] != "", next: s.next.ARN}
}

// sight is what one look shows.
type sight struct {
	next, found Primary
	followed    bool // next was read; what is not known is of the primary's region
}

// tell puts what takes over into evidence.
func (s sight) tell(e action.Evidence) {
	if s.next.ARN != "" {
		e["successor"], e["successorStatus"] = s.next.ARN, s.next.Status
	}
}

// look reads everything that a step is decided by, what takes over first: it is
// in the region of the run, which has to answer. A Refused error says that
// nothing may be fenced.
func (a Fence) look(ctx context.Context, req action.Request[Parameters]) (sight, error) {
	p := req.Parameters
	s := sight{followed: true}
	var err error
	if p.Method != MethodRelease {
		if s.next, err = findSuccessor(ctx, a.RDS(req.Run.Region), p, req.Run.Region); err != nil {
			s.followed = false
			return s, err
		}
		// Its own region says so, whether the other one answers or not.
		if s.next.marked() {
			return s, action.Errorf(action.Refused, "%s is not fenced, for %s is fenced itself and takes no writes: release that one first (Method Release)", p.name(), s.next.what())
		}
	}
	if s.found, err = find(ctx, a.RDS(p.PrimaryRegion), p); err != nil {
		return s, err
	}
	if err = misdirected(p, req.Run.Region, &s.found); err != nil || p.Method == MethodRelease {
		return s, err
	}
	if err = succeeds(s.next, s.found); err == nil {
		err = follows(p, s.next, s.found)
	}
	if err == nil {
		err = a.inUse(ctx, req, s)
	}
	if err != nil || p.Method != MethodIsolate || s.found.Status == statusStopped {
		return s, err
	}
	return s, closedGroups(ctx, a.Groups(p.PrimaryRegion), p)
}

// Preflight tells what would be done. A region that does not answer keeps
// nobody from recovering, unless the fence is Required.
func (a Fence) Preflight(ctx context.Context, req action.Request[Parameters]) (action.Readiness, error) {
	p := req.Parameters
	if err := misdirected(p, req.Run.Region, nil); err != nil {
		return action.Readiness{}, err
	}
	sees, err := a.look(ctx, req)
	err = p.unseen(err)
	if err != nil && (p.demanded() || action.ClassOf(err) == action.Refused || !sees.followed) {
		return action.Readiness{}, err
	}
	if err != nil {
		return action.Readiness{Observed: action.StateUnknown, Evidence: action.Evidence{evidenceFence: fenceUnknown},
			Findings: []action.Finding{warn("%s in %s may not be fenced, and two writers may serve: %v", p.name(), p.PrimaryRegion, err)}}, nil
	}
	found := sees.found
	d, err := a.judge(ctx, req, &sees, notes{asked: func(string) action.Asked { return action.Asked{Now: req.Now} }, next: sees.next.ARN})
	if err = p.unseen(err); err != nil {
		return action.Readiness{}, err
	}
	ready := action.Readiness{Observed: d.State, Evidence: proof(found, d), Findings: d.Findings()}
	sees.tell(ready.Evidence)
	for i, f := range ready.Findings {
		if f.Verdict == action.VerdictBlocked && !p.demanded() {
			ready.Findings[i] = warn("%s; the run goes on without a fence, and two writers may serve", f.Message)
		}
	}
	if d.Move == action.MoveAct {
		ready.Evidence["next"] = d.Step + ": " + d.Reason
		if p.Method == MethodRelease {
			ready.Findings = append(ready.Findings, warn("%s will take writes again: nothing else may serve the same data", found.what()))
		}
	}
	return ready, nil
}

// unseen makes a silence a refusal where a proof is demanded: no declaration of a
// disaster helps a fence that has to be proved, or a release that has to be seen.
func (p Parameters) unseen(err error) error {
	switch {
	case !p.demanded() || action.ClassOf(err) != action.Unreachable:
		return err
	case p.Method == MethodRelease:
		return action.Errorf(action.Refused, "%w", err)
	}
	return action.Errorf(action.Refused, "%w; without Required the run goes on unfenced, and two writers may serve", err)
}

func warn(format string, args ...any) action.Finding {
	return action.Finding{Verdict: action.VerdictWarning, Message: fmt.Sprintf(format, args...)}
}

// proof gives the evidence, with the fence as what was proved of it.
func proof(found Primary, d action.Decision) action.Evidence {
	e := found.evidence()
	e[evidenceFence] = fenceUnknown
	switch {
	case d.Move != action.MoveFinish:
	case d.Phase == phaseFenced:
		e[evidenceFence] = fenceProved
	case d.Phase == phaseFree:
		e[evidenceFence] = fenceFree
	}
	return e
}

// Reconcile takes the next step of the fence.
func (a Fence) Reconcile(ctx context.Context, req action.Request[Parameters]) (action.Progress, error) {
	p := req.Parameters
	if err := misdirected(p, req.Run.Region, nil); err != nil {
		return action.Progress{}, err
	}
	sees, err := a.look(ctx, req)
	if err != nil && action.ClassOf(err) == action.Refused {
		return action.Progress{Observed: action.StateUnknown, Evidence: action.Evidence{evidenceFence: fenceUnknown}}, err
	}
	if err != nil {
		return bear(req, action.Progress{Observed: action.StateUnknown, Evidence: action.Evidence{evidenceFence: fenceUnknown}}, err)
	}
	found := sees.found
	d, err := a.judge(ctx, req, &sees, notesOf(req, sees))
	if err != nil {
		return action.Progress{Observed: d.State, Evidence: proof(found, d)}, err
	}
	evidence := proof(found, d)
	sees.tell(evidence)
	progress, err := d.Progress(req.Asked(d.Step), evidence)
	if found.WriterStatus == statusRebooting && found.in(p.IsolationSecurityGroupIds) {
		progress.Memo[memoRebooted] = "yes"
	}
	if err == nil && d.Move == action.MoveAct && !(late(req) && !p.demanded()) {
		progress, err = a.act(ctx, a.RDS(p.PrimaryRegion), req, sees, d, progress)
	}
	return bear(req, progress, err)
}

// act makes the one call of this invocation.
func (a Fence) act(ctx context.Context, api API, req action.Request[Parameters], sees sight, d action.Decision, progress action.Progress) (action.Progress, error) {
	found := sees.found
	id, p := aws.String(found.ID), req.Parameters
	var err error
	switch d.Step {
	case stepSave:
		err = tag(ctx, api, found, map[string]string{tagGroups: strings.Join(found.original(), " "), tagFence: fenceBegun, tagSuccessor: sees.next.ARN})
	case stepName:
		err = tag(ctx, api, found, map[string]string{tagSuccessor: sees.next.ARN})
	case stepComplete:
		err = tag(ctx, api, found, map[string]string{tagFence: fenceComplete})
	case stepRelease:
		err = tag(ctx, api, found, map[string]string{tagFence: fenceReleased})
	case stepIsolate:
		err = modify(ctx, api, found, p.IsolationSecurityGroupIds)
	case stepRestore:
		err = modify(ctx, api, found, found.saved())
	case stepReboot:
		_, err = api.RebootDBInstance(ctx, &rds.RebootDBInstanceInput{DBInstanceIdentifier: aws.String(found.Writer)})
	case stepStop:
		if found.Cluster {
			_, err = api.StopDBCluster(ctx, &rds.StopDBClusterInput{DBClusterIdentifier: id})
		} else {
			_, err = api.StopDBInstance(ctx, &rds.StopDBInstanceInput{DBInstanceIdentifier: id})
		}
	case stepStart:
		if found.Cluster {
			_, err = api.StartDBCluster(ctx, &rds.StartDBClusterInput{DBClusterIdentifier: id})
		} else {
			_, err = api.StartDBInstance(ctx, &rds.StartDBInstanceInput{DBInstanceIdentifier: id})
		}
	}
	progress.Final = true // no step of a fence is long
	return action.Sent(req, progress, action.Mutation(d.Step+" "+found.what()+" in "+p.PrimaryRegion, err))
}

func tag(ctx context.Context, api API, found Primary, values map[string]string) error {
	in := &rds.AddTagsToResourceInput{ResourceName: aws.String(found.ARN)}
	for _, key := range []string{tagFence, tagGroups, tagSuccessor} {
		if value, ok := values[key]; ok {
			in.Tags = append(in.Tags, types.Tag{Key: aws.String(key), Value: aws.String(value)})
		}
	}
	_, err := api.AddTagsToResource(ctx, in)
	return err
}

func modify(ctx context.Context, api API, found Primary, groups []string) error {
	var err error
	if found.Cluster {
		_, err = api.ModifyDBCluster(ctx, &rds.ModifyDBClusterInput{DBClusterIdentifier: aws.String(found.ID), VpcSecurityGroupIds: groups, ApplyImmediately: aws.Bool(true)})
	} else {
		_, err = api.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{DBInstanceIdentifier: aws.String(found.ID), VpcSecurityGroupIds: groups, ApplyImmediately: aws.Bool(true)})
	}
	return err
}

// The last part of the time limit. In it a fence that is not demanded makes no
// more calls, and gives up before the machine does.
const lastPart = 2 * time.Minute

func late(req action.Request[Parameters]) bool {
	limit := time.Duration(req.Resource.TimeLimitSeconds) * time.Second
	return limit > 0 && req.Now.Sub(req.Drive.StartedAt) >= limit-min(lastPart, limit/2)
}

// traceTime is how long a call without an answer may take to show.
const traceTime = 15 * time.Second

// bear makes a fence that is not demanded the best that could be done: trouble
// is borne for WaitSeconds, and then told instead of failing. A call whose
// answer was lost stays an error, because the machine has to reckon with its
// effect.
func bear(req action.Request[Parameters], progress action.Progress, err error) (action.Progress, error) {
	p, class := req.Parameters, action.ClassOf(err)
	if p.demanded() || err != nil && (class == action.OutcomeUnknown || class == action.Internal) {
		return progress, err
	}
	settled := req.Drive.InterruptedAt == nil || req.Now.Sub(*req.Drive.InterruptedAt) >= traceTime
	if err == nil && !progress.Contended {
		if progress.Status == action.InProgress && late(req) && settled {
			return giveUp(req, progress, progress.Message), nil
		}
		if progress.Memo == nil {
			progress.Memo = map[string]string{}
		}
		progress.Memo[memoTrouble] = ""
		return progress, nil
	}
	why := progress.Message
	if err != nil {
		why = err.Error()
		progress.Memo = nil // what it notes is of a call that AWS did not take
	}
	since, parsed := time.Parse(time.RFC3339, req.Drive.Memo[memoTrouble])
	if parsed != nil {
		since = req.Now
	}
	if req.Now.Sub(since) >= time.Duration(p.WaitSeconds)*time.Second || late(req) {
		return giveUp(req, progress, why), nil
	}
	memo := maps.Clone(progress.Memo)
	if memo == nil {
		memo = map[string]string{}
	}
	memo[memoTrouble] = since.Format(time.RFC3339)
	progress.Status, progress.Phase, progress.Message, progress.Final, progress.Memo = action.InProgress, phaseTrouble, why, true, memo
	return progress, nil
}

// giveUp ends a fence that could not be proved. It is done in the sense that
// the run goes on, and says for everyone to read that nothing is proved.
func giveUp(req action.Request[Parameters], progress action.Progress, why string) action.Progress {
	p := req.Parameters
	progress.Status, progress.Phase, progress.Contended = action.Done, "fence unknown", false
	progress.Message = fmt.Sprintf("the fence of %s in %s is unknown, two writers may serve: %s", p.name(), p.PrimaryRegion, why)
	progress.Evidence = maps.Clone(progress.Evidence)
	progress.Evidence[evidenceFence] = fenceUnknown
	return progress
}
