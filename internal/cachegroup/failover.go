package cachegroup

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
)

// FailoverParameters are the parameters of FailoverElastiCacheCluster.
type FailoverParameters struct {
	GlobalReplicationGroupId string `param:"required" format:"global-replication-group" identity:"global-replication-group" doc:"Identifier of the global datastore, with the prefix that AWS gave it."`
	TargetRegion             string `param:"required" format:"region" doc:"Region of the replication group that is to become the primary."`
	TargetReplicationGroupId string `param:"required" format:"replication-group" doc:"Identifier of that replication group."`
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
}

// MinimumSeconds: field reports speak of about a minute.
const MinimumSeconds = 20

// NewFailover wires the action to AWS.
func NewFailover(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[FailoverParameters]{
		Reconciler: Failover{ElastiCache: func(region string) FailoverAPI { return elasticache.NewFromConfig(f.Config(region)) }},
		Secrets:    secrets, Now: now, MinimumSeconds: MinimumSeconds,
	}
}

type move int

const (
	moveWait   move = iota // look again later
	moveProve              // the roles are right: look at the replication group too
	moveFinish             // the goal is proved
	moveAct                // ask AWS
	moveFail               // nothing that may be done leads to the goal
)

type decision struct {
	move   move
	state  action.State
	class  action.Class // of a failure
	final  bool
	phase  string
	reason string
}

// decide says what to do about a global datastore. Roles and status do not
// change in one moment, so the goal is proved only by all of them together,
// and by the replication group's own view.
func decide(g Global, local *Local, p FailoverParameters, asked action.Asked) decision {
	target, member := g.member(p.TargetReplicationGroupId, p.TargetRegion)
	name := p.TargetReplicationGroupId + " in " + p.TargetRegion
	if !member {
		return decision{moveFail, action.StateUnknown, action.Refused, false, "not a member", fmt.Sprintf("%s is not a member of %s", name, g.ID)}
	}
	if target.Primary && (g.Status == statusAvailable || g.Status == statusPrimaryOnly) {
		return prove(g, local, name)
	}
	switch conditions[g.Status] {
	case pending:
		return decision{moveWait, action.StateUnderWay, "", target.Primary, g.Status, fmt.Sprintf("%s is %s", g.ID, g.Status)}
	case unknown:
		return decision{moveWait, action.StateUnknown, "", false, g.Status, fmt.Sprintf("%s has the status %q, which is not known here: waiting", g.ID, g.Status)}
	case terminal:
		return decision{moveFail, action.StateUnknown, action.Terminal, false, g.Status, fmt.Sprintf("%s is %s: it has no secondary to fail over to", g.ID, g.Status)}
	}
	for _, m := range g.Members {
		if m.Status != memberAssociated {
			return decision{moveWait, action.StateReady, "", true, m.Status, fmt.Sprintf("%s in %s is %s: waiting until it is associated", m.Group, m.Region, m.Status)}
		}
	}
	switch asked.Idle() {
	case action.NotYetVisible:
		return decision{moveWait, action.StateUnderWay, "", true, phaseInvisible, "AWS has accepted the call and shows nothing running"}
	case action.NeverBegan:
		return decision{moveFail, action.StateReady, action.Terminal, false, "cancelled",
			fmt.Sprintf("AWS accepted the failover at %s and the roles in %s are as before", asked.Requested.Format(time.RFC3339), g.ID)}
	case action.PerhapsAsked:
		return decision{moveWait, action.StateReady, "", true, "confirming", "an earlier call had no answer: making sure that it had no effect"}
	}
	return decision{moveAct, action.StateReady, "", false, "asking", name + " is a secondary and nothing runs"}
}

const phaseInvisible = "not visible"

func prove(g Global, local *Local, name string) decision {
	switch {
	case local == nil:
		return decision{move: moveProve, state: action.StateUnknown, final: true, phase: "proving"}
	case local.Status != statusAvailable && conditions[local.Status] == terminal:
		return decision{moveFail, action.StateUnknown, action.Terminal, false, local.Status, fmt.Sprintf("%s is the primary of %s and is %s", name, g.ID, local.Status)}
	case local.Status != statusAvailable || !local.Primary:
		return decision{moveWait, action.StateUnderWay, "", true, local.Status, fmt.Sprintf("%s is the primary of %s; its own region shows it %s", name, g.ID, local.Status)}
	}
	return decision{moveFinish, action.StateDone, "", true, "primary", fmt.Sprintf("%s is the primary of %s and available", name, g.ID)}
}

// observe reads as little as the decision needs.
func (a Failover) observe(ctx context.Context, p FailoverParameters, asked action.Asked) (decision, Global, *Local, error) {
	api := a.ElastiCache(p.TargetRegion)
	g, err := findGlobal(ctx, api, p.GlobalReplicationGroupId, p.TargetRegion)
	if err != nil {
		return decision{}, g, nil, err
	}
	d := decide(g, nil, p, asked)
	if d.move != moveProve {
		return d, g, nil, nil
	}
	local, err := findLocal(ctx, api, p.TargetReplicationGroupId, p.TargetRegion)
	return decide(g, &local, p, asked), g, &local, err
}

// Preflight tells whether the failover could begin now.
func (a Failover) Preflight(ctx context.Context, req action.Request[FailoverParameters]) (action.Readiness, error) {
	p := req.Parameters
	d, g, local, err := a.observe(ctx, p, action.Asked{Now: req.Now})
	if err != nil {
		return action.Readiness{}, err
	}
	ready := action.Readiness{Observed: d.state, Evidence: g.evidence(local)}
	switch d.move {
	case moveFail:
		ready.Findings = []action.Finding{{Verdict: action.VerdictBlocked, Class: d.class, Message: d.reason}}
	case moveWait:
		ready.Findings = []action.Finding{{Verdict: action.VerdictWarning, Message: d.reason}}
	case moveAct:
		found, err := findLocal(ctx, a.ElastiCache(p.TargetRegion), p.TargetReplicationGroupId, p.TargetRegion)
		if err != nil {
			return ready, err
		}
		if found.Status != statusAvailable {
			ready.Findings = []action.Finding{{Verdict: action.VerdictBlocked, Class: action.Refused,
				Message: fmt.Sprintf("replication group %s is %s: it must be available", p.TargetReplicationGroupId, found.Status)}}
		}
	}
	return ready, nil
}

// Reconcile takes the next step of the failover.
func (a Failover) Reconcile(ctx context.Context, req action.Request[FailoverParameters]) (action.Progress, error) {
	p := req.Parameters
	asked := req.Asked()
	d, g, local, err := a.observe(ctx, p, asked)
	if err != nil {
		return action.Progress{}, err
	}
	progress := action.Progress{
		Status: action.InProgress, Observed: d.state, Phase: d.phase, Message: d.reason, Final: d.final,
		Evidence: g.evidence(local), Memo: asked.Note(d.move == moveAct, d.phase == phaseInvisible),
	}
	switch d.move {
	case moveFail:
		return progress, action.Errorf(d.class, "%s", d.reason)
	case moveFinish:
		progress.Status = action.Done
		return progress, nil
	case moveWait:
		return progress, nil
	}
	_, err = a.ElastiCache(p.TargetRegion).FailoverGlobalReplicationGroup(ctx, &elasticache.FailoverGlobalReplicationGroupInput{
		GlobalReplicationGroupId:  aws.String(p.GlobalReplicationGroupId),
		PrimaryRegion:             aws.String(p.TargetRegion), // the new primary's, in spite of its name
		PrimaryReplicationGroupId: aws.String(p.TargetReplicationGroupId),
	})
	progress.Phase, progress.Message = "failing-over", "failover asked for"
	return action.Sent(req, progress, action.Mutation("failing "+p.GlobalReplicationGroupId+" over to "+p.TargetRegion, err))
}
