package replica

import (
	"context"
	"time"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/keys"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/listing"
	"dr-orchestrator/internal/succession"
)

// look is everything that a preflight reads with.
type look struct {
	rds  Describer
	lags lag.Source
	keys keys.Source
}

// Preflight tells whether the promotion could begin now.
func (a Promotion) Preflight(ctx context.Context, req action.Request[PromoteParameters]) (action.Readiness, error) {
	return look{a.RDS, a.Lags, a.Keys}.Preflight(ctx, req)
}

// Batch looks at many replicas with few calls.
func (a Promotion) Batch(reqs []action.Request[PromoteParameters]) action.Preflighter[PromoteParameters] {
	var ids []string
	var metrics []lag.Metric
	for _, req := range reqs {
		ids = append(ids, req.Parameters.RDSInstanceIdentifier)
		metrics = append(metrics, lag.OfReplica(req.Parameters.RDSInstanceIdentifier))
	}
	return look{
		rds:  listing.NewInstances(a.RDS, func(context.Context) []string { return ids }),
		lags: lag.Together(a.Lags, metrics), keys: keys.Once(a.Keys),
	}
}

// unproved warns of an instance that needs no promotion. AWS keeps no record of
// what an instance once replicated, nor when it stopped.
func unproved(i Instance) string {
	if at := succession.PromotedAt(i.Tags); !at.IsZero() {
		return i.ID + " was promoted before, at " + moment(at) + ": what was written elsewhere since is not in it, so see that it is no copy left over from a drill"
	}
	return i.ID + " is no replica: it was promoted before, or never was one; nothing proves that it was promoted from the primary, so see that it holds its data"
}

// outdated refuses what stands alone since long before the run.
func outdated(i Instance, p PromoteParameters, started time.Time) error {
	if i.Source != "" {
		return nil
	}
	return p.Outdated(i.ID, succession.PromotedAt(i.Tags), started)
}

// Preflight implements action.Preflighter.
func (l look) Preflight(ctx context.Context, req action.Request[PromoteParameters]) (action.Readiness, error) {
	p := req.Parameters
	i, err := find(ctx, l.rds, p.RDSInstanceIdentifier, req.Run.Region)
	if err != nil {
		return action.Readiness{}, err
	}
	if err := outdated(i, p, req.Run.StartedAt); err != nil {
		return action.Readiness{}, err
	}
	d := decide(i, p, action.Asked{Now: req.Now}, action.Asked{Now: req.Now})
	ready := action.Readiness{Observed: d.State, Evidence: i.evidence(), Findings: d.Findings()}
	if i.Source == "" && d.Move != action.MoveFail {
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: unproved(i)})
	}
	i.Details.Report(ctx, l.keys, "DB instance "+i.ID, req.Run.Region, &ready)
	ready.Seen = i.Source // to be noted of it when it is promoted, whatever becomes of the answer to that
	if d.Step != stepPromote {
		return ready, nil
	}
	return ready, p.Limit.Report(lagOf(ctx, l.lags, i, req.Now), &ready)
}
