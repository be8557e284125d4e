package globalcluster

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/keys"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/payload"
	"dr-orchestrator/internal/succession"
)

// The ways of an unplanned failover.
const (
	MethodManaged = "Managed" // AWS moves the writer and rebuilds the old primary as a secondary
	MethodDetach  = "Detach"  // the target leaves the global cluster and stands on its own
)

// FailoverParameters are the parameters of UnPlannedFailoverAurora.
type FailoverParameters struct {
	GlobalClusterIdentifier string `param:"required" format:"global-cluster" identity:"global-cluster" doc:"Identifier of the Aurora global database."`
	DBClusterIdentifier     string `param:"required" format:"rds-cluster-arn" identity:"rds-cluster" doc:"ARN of the secondary cluster that is to take writes."`
	ClusterRegion           string `param:"required" format:"region" doc:"Region of that cluster, which is the region of the run."`
	Method                  string `enum:"Managed,Detach" default:"Managed" doc:"Managed fails over inside the global cluster; Detach removes the cluster from it."`
	lag.Limit
}

// Check finds parameters that contradict each other.
func (p FailoverParameters) Check() []payload.Issue {
	region := regionOf(p.DBClusterIdentifier)
	if region != "" && region != p.ClusterRegion && !payload.IsReference(p.ClusterRegion) {
		return []payload.Issue{{Parameter: "ClusterRegion", Message: "is not the region of DBClusterIdentifier", Want: region}}
	}
	return nil
}

func (p FailoverParameters) goal() goal {
	return goal{target: p.DBClusterIdentifier, detach: p.Method == MethodDetach, partial: p.AcceptUnknownLag}
}

// FailoverAPI is every call to RDS that an unplanned failover makes, but for its
// mark.
type FailoverAPI interface {
	Finder
	FailoverGlobalCluster(context.Context, *rds.FailoverGlobalClusterInput, ...func(*rds.Options)) (*rds.FailoverGlobalClusterOutput, error)
	RemoveFromGlobalCluster(context.Context, *rds.RemoveFromGlobalClusterInput, ...func(*rds.Options)) (*rds.RemoveFromGlobalClusterOutput, error)
}

// Marker notes on a cluster what it takes over from.
type Marker interface {
	AddTagsToResource(context.Context, *rds.AddTagsToResourceInput, ...func(*rds.Options)) (*rds.AddTagsToResourceOutput, error)
}

// Failover makes a secondary cluster take writes when its primary is lost. It
// asks nothing of any other region.
type Failover struct {
	RDS interface {
		FailoverAPI
		Marker
	}
	Lags lag.Source
	Keys keys.Source // nil: keys are not looked at
}

// NewFailover wires the action to AWS.
func NewFailover(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[FailoverParameters]{
		Reconciler: Failover{
			RDS: rds.NewFromConfig(f.Config("")), Lags: lag.CloudWatch{API: cloudwatch.NewFromConfig(f.Config(""))}, Keys: keys.New(f),
		},
		Secrets: secrets, Now: now, MinimumSeconds: MinimumSeconds,
	}
}

// inRegion refuses a run in another region than the cluster's: an unplanned
// failover depends on nothing else.
func (p FailoverParameters) inRegion(run action.Run) error {
	if p.ClusterRegion == run.Region {
		return nil
	}
	return action.Errorf(action.InvalidInput,
		"ClusterRegion is %s and this run is in %s: an unplanned failover is started in the region that takes over", p.ClusterRegion, run.Region)
}

// stepTakeOver is the note that a detach is about to begin.
const stepTakeOver = "taking over"

// mark notes on the target, before it is detached, what it takes over from: once
// it stands alone nothing else shows that, and the way back asks for it. A mark
// that cannot be made stops no failover: the way back then wants the old primary
// named.
func (a Failover) mark(ctx context.Context, req action.Request[FailoverParameters], out looked) (action.Progress, bool, error) {
	asked := req.Asked(stepTakeOver)
	writer, _ := out.global.writer()
	if _, since := succession.Of(out.local.Mark, out.local.Created); !asked.Requested.IsZero() || writer.ARN == "" || !since.IsZero() && !since.Before(req.Run.StartedAt) {
		return action.Progress{}, false, nil
	}
	progress, err := out.decision.Progress(asked, out.global.evidence(out.local))
	if err != nil {
		return progress, true, err
	}
	progress.Phase, progress.Message, progress.WaitSeconds, progress.Aside = stepTakeOver, "marked as what takes over from "+writer.ARN, 1, true
	_, err = a.RDS.AddTagsToResource(ctx, &rds.AddTagsToResourceInput{ResourceName: aws.String(out.local.ARN), Tags: []types.Tag{
		{Key: aws.String(succession.Tag), Value: aws.String(succession.Mark(writer.ARN, req.Now, out.local.Created))},
	}})
	if err = action.Mutation("marking "+out.local.ARN, err); err != nil && hopeless(action.ClassOf(err)) {
		slog.ErrorContext(ctx, "the detach goes on without its mark", "cluster", out.local.ARN, "tag", succession.Tag, "error", err.Error())
		progress.Message = "not marked as what takes over from " + writer.ARN + ", so the way back will want it named: " + err.Error()
		return progress, true, nil
	}
	progress, err = action.Sent(req, progress, err)
	return progress, true, err
}

// detached tells of a target that is proved to stand alone, and when it was
// detached by its mark; zero where none tells.
func (out looked) detached(p FailoverParameters) (at time.Time, alone bool) {
	if _, member := out.global.member(p.DBClusterIdentifier); member || out.decision.Move != action.MoveFinish || out.local == nil {
		return time.Time{}, false
	}
	_, at = succession.Of(out.local.Mark, out.local.Created)
	return at, true
}

// hopeless tells the classes of error that no second try mends.
func hopeless(class action.Class) bool {
	switch class {
	case action.Throttled, action.Unreachable, action.OutcomeUnknown, action.Internal:
		return false
	}
	return true
}

// readLag reads AuroraGlobalDBReplicationLag, which is in milliseconds, published
// in the secondary's region and carries the region of its source.
func readLag(ctx context.Context, lags lag.Source, req action.Request[FailoverParameters], g Global) lag.Reading {
	if _, ok := g.writer(); !ok {
		return lag.Reading{Why: g.ID + " shows no writer"}
	}
	if target, _ := g.member(req.Parameters.DBClusterIdentifier); target.Sync == syncResync {
		return lag.Reading{Why: "the target is still being synchronized (" + target.Sync + "), and a lag does not say what it has not got"}
	}
	return lags.Read(ctx, req.Parameters.metric(), req.Now)
}

func (p FailoverParameters) metric() lag.Metric {
	_, id, _ := strings.Cut(p.DBClusterIdentifier, ":cluster:")
	return lag.OfGlobalCluster(strings.ToLower(id))
}

// Reconcile takes the next step of the failover.
func (a Failover) Reconcile(ctx context.Context, req action.Request[FailoverParameters]) (action.Progress, error) {
	p := req.Parameters
	if err := p.inRegion(req.Run); err != nil {
		return action.Progress{}, err
	}
	out, err := step(ctx, a.RDS, req, p.GlobalClusterIdentifier, p.ClusterRegion, p.goal())
	progress := out.progress
	if at, alone := out.detached(p); err == nil && alone && !req.Drive.Changed.Happened() {
		progress.Evidence["detachedBefore"] = moment(at)
		if err := p.Outdated(p.DBClusterIdentifier, at, req.Run.StartedAt); err != nil {
			return action.Progress{Evidence: progress.Evidence}, err
		}
	}
	if err != nil || out.decision.Move != action.MoveAct {
		return progress, err
	}
	reading := readLag(ctx, a.Lags, req, out.global)
	if err := p.Gate(reading); err != nil {
		return progress, err
	}
	progress.Lag = reading.Seconds()
	progress.Evidence["lag"] = reading.String()
	progress.Patient = out.local.Status != statusAvailable || out.local.WriterStatus != statusAvailable
	if p.Method == MethodDetach {
		if progress, marks, err := a.mark(ctx, req, out); marks || err != nil {
			return progress, err
		}
		_, err = a.RDS.RemoveFromGlobalCluster(ctx, &rds.RemoveFromGlobalClusterInput{
			GlobalClusterIdentifier: aws.String(p.GlobalClusterIdentifier), DbClusterIdentifier: aws.String(p.DBClusterIdentifier),
		})
		progress.Phase, progress.Message = "detaching", "detach asked for; lag "+reading.String()
		return action.Sent(req, progress, action.Mutation("removing "+p.DBClusterIdentifier+" from "+p.GlobalClusterIdentifier, err))
	}
	// Without AllowDataLoss AWS carries out a switchover, which needs the
	// region that is lost.
	_, err = a.RDS.FailoverGlobalCluster(ctx, &rds.FailoverGlobalClusterInput{
		GlobalClusterIdentifier: aws.String(p.GlobalClusterIdentifier), TargetDbClusterIdentifier: aws.String(p.DBClusterIdentifier),
		AllowDataLoss: aws.Bool(true),
	})
	progress.Phase, progress.Message = "failing-over", "failover asked for; lag "+reading.String()
	return action.Sent(req, progress, action.Mutation("failing "+p.GlobalClusterIdentifier+" over to "+p.DBClusterIdentifier, err))
}
