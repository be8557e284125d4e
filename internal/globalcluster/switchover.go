package globalcluster

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/keys"
)

// SwitchoverParameters are the parameters of PlannedFailoverAurora.
type SwitchoverParameters struct {
	GlobalClusterIdentifier string `param:"required" format:"global-cluster" identity:"global-cluster" doc:"Identifier of the Aurora global database."`
	DBClusterIdentifier     string `param:"required" format:"rds-cluster-arn" identity:"rds-cluster" doc:"ARN of the secondary cluster that is to become the primary."`
}

// SwitchoverAPI is every call to RDS that a switchover makes.
type SwitchoverAPI interface {
	Finder
	SwitchoverGlobalCluster(context.Context, *rds.SwitchoverGlobalClusterInput, ...func(*rds.Options)) (*rds.SwitchoverGlobalClusterOutput, error)
}

// Switchover makes a secondary cluster the primary, on a planned day and
// without losing anything.
type Switchover struct {
	RDS  func(region string) SwitchoverAPI
	Keys keys.Source // nil: keys are not looked at
}

// MinimumSeconds: AWS documents switchover and failover in minutes; none has
// been reported below this.
const MinimumSeconds = 20

// NewSwitchover wires the action to AWS.
func NewSwitchover(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[SwitchoverParameters]{
		Reconciler: Switchover{RDS: func(region string) SwitchoverAPI { return rds.NewFromConfig(f.Config(region)) }, Keys: keys.New(f)},
		Secrets:    secrets, Now: now, MinimumSeconds: MinimumSeconds,
	}
}

// Reconcile takes the next step of the switchover.
func (a Switchover) Reconcile(ctx context.Context, req action.Request[SwitchoverParameters]) (action.Progress, error) {
	p := req.Parameters
	region := regionOf(p.DBClusterIdentifier)
	out, err := step(ctx, a.RDS(region), req, p.GlobalClusterIdentifier, region, goal{target: p.DBClusterIdentifier, planned: true})
	progress := out.progress
	if err != nil || out.decision.Move != action.MoveAct {
		return progress, err
	}
	writer, ok := out.global.writer()
	if !ok {
		return progress, action.Errorf(action.Refused, "%s shows no writer", p.GlobalClusterIdentifier)
	}
	// AWS takes a switchover in the region of the current primary only.
	_, err = a.RDS(regionOf(writer.ARN)).SwitchoverGlobalCluster(ctx, &rds.SwitchoverGlobalClusterInput{
		GlobalClusterIdentifier: aws.String(p.GlobalClusterIdentifier), TargetDbClusterIdentifier: aws.String(p.DBClusterIdentifier),
	})
	progress.Phase, progress.Message = "switching-over", "switchover asked for in "+regionOf(writer.ARN)
	return action.Sent(req, progress, action.Mutation("switching "+p.GlobalClusterIdentifier+" over to "+p.DBClusterIdentifier, err))
}

// regionOf gives the region of an ARN whose form was checked before.
func regionOf(clusterARN string) string {
	parsed, err := arn.Parse(clusterARN)
	if err != nil {
		return ""
	}
	return parsed.Region
}
