package cachegroup

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/keys"
	"dr-orchestrator/internal/lag"
)

// FailoverParameters are the parameters of FailoverElastiCacheCluster.
type FailoverParameters struct {
	GlobalReplicationGroupId string `param:"required" format:"global-replication-group" identity:"global-replication-group" doc:"Identifier of the global datastore, with the prefix that AWS gave it."`
	TargetRegion             string `param:"required" format:"region" doc:"Region of the replication group that is to become the primary."`
	TargetReplicationGroupId string `param:"required" format:"replication-group" doc:"Identifier of that replication group."`
	lag.Limit
}

// FailoverAPI is every call to ElastiCache that a failover makes.
type FailoverAPI interface {
	Finder
	FailoverGlobalReplicationGroup(context.Context, *elasticache.FailoverGlobalReplicationGroupInput, ...func(*elasticache.Options)) (*elasticache.FailoverGlobalReplicationGroupOutput, error)
}

// Failover makes a secondary replication group the primary of its global
// datastore. AWS takes the call in any member's region; it is made in the
// target's, which is the one that has to work.
type Failover struct {
	ElastiCache func(region string) FailoverAPI
	Lags        func(region string) lag.Source
	Keys        keys.Source // nil: keys are not looked at
}

// MinimumSeconds: field reports speak of about a minute.
const MinimumSeconds = 20

// NewFailover wires the action to AWS.
func NewFailover(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[FailoverParameters]{
		Reconciler: Failover{
			ElastiCache: func(region string) FailoverAPI { return elasticache.NewFromConfig(f.Config(region)) },
			Lags: func(region string) lag.Source {
				return lag.CloudWatch{API: cloudwatch.NewFromConfig(f.Config(region))}
			},
			Keys: keys.New(f),
		},
		Secrets: secrets, Now: now, MinimumSeconds: MinimumSeconds,
	}
}

// decide says what to do about a global datastore. Roles and status do not
// change in one moment, so the goal is proved only by all of them together,
// and by the replication group's own view. local is nil while that has not
// been looked at; a decision that needs it says MoveLook.
func decide(g Global, local *Local, p FailoverParameters, asked action.Asked) action.Decision {
	target, member := g.member(p.TargetReplicationGroupId, p.TargetRegion)
	name := p.TargetReplicationGroupId + " in " + p.TargetRegion
	if !member {
		return action.Fail(action.Refused, action.StateUnknown, "not a member", "%s is not a member of %s", name, g.ID)
	}
	if target.Primary && (g.Status == statusAvailable || g.Status == statusPrimaryOnly) {
		return prove(g, local, name)
	}
	switch action.ConditionOf(conditions, g.Status) {
	case action.StatusPending:
		if target.Primary {
			return action.WaitFinal(action.StateUnderWay, g.Status, "%s is %s", g.ID, g.Status)
		}
		return action.Wait(action.StateBusy, g.Status, "%s is %s", g.ID, g.Status)
	case action.StatusUnknown:
		return action.Wait(action.StateUnknown, g.Status, "%s has the status %q, which is not known here: waiting", g.ID, g.Status)
	case action.StatusTerminal:
		return action.Fail(action.Terminal, action.StateUnknown, g.Status, "%s is %s: it has no secondary to fail over to", g.ID, g.Status)
	}
	return decideSecondary(local, target, name, asked)
}

// decideSecondary judges a secondary of a datastore at rest. Only the target
// has to be well: the primary may be what is lost.
func decideSecondary(local *Local, target Member, name string, asked action.Asked) action.Decision {
	switch {
	case target.Status != memberAssociated:
		return action.WaitFinal(action.StateReady, target.Status, "%s is %s: waiting until it is associated", name, target.Status)
	case local == nil:
		return action.Look(phaseAsking)
	case action.ConditionOf(conditions, local.Status) == action.StatusTerminal:
		return action.Fail(action.Refused, action.StateReady, local.Status, "%s is %s: it could not take writes", name, local.Status)
	case action.ConditionOf(conditions, local.Status) == action.StatusUnknown:
		return action.Wait(action.StateUnknown, local.Status, "%s has the status %q, which is not known here: waiting", name, local.Status)
	case local.Status != statusAvailable:
		return action.WaitFinal(action.StateReady, local.Status, "%s is %s: waiting until it is available", name, local.Status)
	}
	if d, ok := asked.Idle(); ok {
		return d
	}
	return action.Act(phaseAsking, "%s is a secondary and nothing runs", name)
}

const phaseAsking = "asking"

func prove(g Global, local *Local, name string) action.Decision {
	switch {
	case local == nil:
		d := action.Look("proving")
		d.Final = true
		return d
	case action.ConditionOf(conditions, local.Status) == action.StatusTerminal:
		return action.Fail(action.Terminal, action.StateUnknown, local.Status, "%s is the primary of %s and is %s", name, g.ID, local.Status)
	case local.Status != statusAvailable || !local.Primary:
		return action.WaitFinal(action.StateUnderWay, local.Status, "%s is the primary of %s; its own region shows it %s", name, g.ID, local.Status)
	}
	return action.Finish("primary", "%s is the primary of %s and available", name, g.ID)
}

// looked is what one invocation has seen and made of it.
type looked struct {
	global   Global
	local    *Local // nil: the decision did not need it
	decision action.Decision
}

func (l looked) evidence() action.Evidence { return l.global.evidence(l.local) }

// observe reads as little as the decision needs.
func observe(ctx context.Context, api Finder, p FailoverParameters, asked action.Asked) (looked, error) {
	g, err := findGlobal(ctx, api, p.GlobalReplicationGroupId, p.TargetRegion)
	if err != nil {
		return looked{}, err
	}
	d := decide(g, nil, p, asked)
	if d.Move != action.MoveLook {
		return looked{global: g, decision: d}, nil
	}
	local, err := findLocal(ctx, api, p.TargetReplicationGroupId, p.TargetRegion)
	if err != nil {
		return looked{}, err
	}
	return looked{g, &local, decide(g, &local, p, asked)}, nil
}

// readLag reads GlobalDatastoreReplicationLag, which is in seconds and published
// in the region of the secondary.
func readLag(ctx context.Context, lags lag.Source, req action.Request[FailoverParameters], nodes []string) lag.Reading {
	return lags.Read(ctx, lag.OfDatastore(req.Parameters.TargetReplicationGroupId, nodes), req.Now)
}

// Reconcile takes the next step of the failover.
func (a Failover) Reconcile(ctx context.Context, req action.Request[FailoverParameters]) (action.Progress, error) {
	p := req.Parameters
	asked := req.Asked("")
	out, err := observe(ctx, a.ElastiCache(p.TargetRegion), p, asked)
	if err != nil {
		return action.Progress{}, err
	}
	progress, err := out.decision.Progress(asked, out.evidence())
	if err != nil || out.decision.Move != action.MoveAct {
		return progress, err
	}
	reading := readLag(ctx, a.Lags(p.TargetRegion), req, out.local.Nodes)
	if err := p.Gate(reading); err != nil {
		return progress, err
	}
	progress.Lag = reading.Seconds()
	progress.Evidence["lag"] = reading.String()
	_, err = a.ElastiCache(p.TargetRegion).FailoverGlobalReplicationGroup(ctx, &elasticache.FailoverGlobalReplicationGroupInput{
		GlobalReplicationGroupId:  aws.String(p.GlobalReplicationGroupId),
		PrimaryRegion:             aws.String(p.TargetRegion), // the new primary's, in spite of its name
		PrimaryReplicationGroupId: aws.String(p.TargetReplicationGroupId),
	})
	progress.Phase, progress.Message = "failing-over", "failover asked for; lag "+reading.String()
	return action.Sent(req, progress, action.Mutation("failing "+p.GlobalReplicationGroupId+" over to "+p.TargetRegion, err))
}
