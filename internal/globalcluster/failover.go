package globalcluster

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/payload"
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
	MaxReplicaLagSeconds    *int   `min:"0" doc:"Refuse the failover when the cluster is further behind than this, or when its lag is not known."`
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
	return goal{target: p.DBClusterIdentifier, detach: p.Method == MethodDetach}
}

// FailoverAPI is every call to RDS that an unplanned failover makes.
type FailoverAPI interface {
	Finder
	FailoverGlobalCluster(context.Context, *rds.FailoverGlobalClusterInput, ...func(*rds.Options)) (*rds.FailoverGlobalClusterOutput, error)
	RemoveFromGlobalCluster(context.Context, *rds.RemoveFromGlobalClusterInput, ...func(*rds.Options)) (*rds.RemoveFromGlobalClusterOutput, error)
}

// Failover makes a secondary cluster take writes when its primary is lost. It
// asks nothing of any other region.
type Failover struct {
	RDS     FailoverAPI
	Metrics lag.API
}

// NewFailover wires the action to AWS.
func NewFailover(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[FailoverParameters]{
		Reconciler: Failover{RDS: rds.NewFromConfig(f.Config("")), Metrics: cloudwatch.NewFromConfig(f.Config(""))},
		Secrets:    secrets, Now: now, MinimumSeconds: MinimumSeconds,
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

// Preflight tells whether the failover could begin now.
func (a Failover) Preflight(ctx context.Context, req action.Request[FailoverParameters]) (action.Readiness, error) {
	p := req.Parameters
	if err := p.inRegion(req.Run); err != nil {
		return action.Readiness{}, err
	}
	out, ready, err := preflight(ctx, a.RDS, p.GlobalClusterIdentifier, p.ClusterRegion, p.goal(), action.Asked{Now: req.Now})
	if _, member := out.global.member(p.DBClusterIdentifier); err == nil && !member && out.decision.Move == action.MoveFinish {
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning,
			Message: p.DBClusterIdentifier + " is not in " + p.GlobalClusterIdentifier + ": it was detached before, or never was in it"})
	}
	if err != nil || out.decision.Move != action.MoveAct {
		return ready, err
	}
	reading := a.lag(ctx, req, out.global)
	if err := lag.Unanswered(p.MaxReplicaLagSeconds, reading); err != nil {
		return ready, err
	}
	ready.Lag = reading.Seconds()
	ready.Findings = append(ready.Findings, lag.Finding(p.MaxReplicaLagSeconds, reading)...)
	return ready, nil
}

// lag reads AuroraGlobalDBReplicationLag, which is in milliseconds, published
// in the secondary's region and carries the region of its source.
func (a Failover) lag(ctx context.Context, req action.Request[FailoverParameters], g Global) lag.Reading {
	writer, ok := g.writer()
	if !ok {
		return lag.Reading{Why: g.ID + " shows no writer"}
	}
	if target, _ := g.member(req.Parameters.DBClusterIdentifier); target.Sync == syncResync {
		return lag.Reading{Why: "the target is still being synchronized (" + target.Sync + "), and a lag does not say what it has not got"}
	}
	_, id, _ := strings.Cut(req.Parameters.DBClusterIdentifier, ":cluster:")
	return lag.Read(ctx, a.Metrics, lag.Metric{
		Namespace: "AWS/RDS", Name: "AuroraGlobalDBReplicationLag", Unit: time.Millisecond,
		Dimensions: []lag.Dimension{{Name: "DBClusterIdentifier", Value: strings.ToLower(id)}, {Name: "SourceRegion", Value: regionOf(writer.ARN)}},
	}, req.Now)
}

// Reconcile takes the next step of the failover.
func (a Failover) Reconcile(ctx context.Context, req action.Request[FailoverParameters]) (action.Progress, error) {
	p := req.Parameters
	if err := p.inRegion(req.Run); err != nil {
		return action.Progress{}, err
	}
	out, err := step(ctx, a.RDS, req, p.GlobalClusterIdentifier, p.ClusterRegion, p.goal())
	progress := out.progress
	if err != nil || out.decision.Move != action.MoveAct {
		return progress, err
	}
	reading := a.lag(ctx, req, out.global)
	if err := lag.Gate(p.MaxReplicaLagSeconds, reading); err != nil {
		return progress, err
	}
	progress.Lag = reading.Seconds()
	progress.Evidence["lag"] = reading.String()
	if p.Method == MethodDetach {
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
