package cachegroup

import (
	"context"
	"time"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/keys"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/listing"
)

// look is everything that a preflight reads with.
type look struct {
	elastiCache func(region string) Finder
	lags        func(region string) lag.Source
	keys        keys.Source
}

// Preflight tells whether the failover could begin now.
func (a Failover) Preflight(ctx context.Context, req action.Request[FailoverParameters]) (action.Readiness, error) {
	return look{func(region string) Finder { return a.ElastiCache(region) }, a.Lags, a.Keys}.Preflight(ctx, req)
}

// lists answers for the datastores and groups of one region out of lists.
type lists struct {
	*listing.Datastores
	*listing.Groups
}

// Batch looks at many global datastores with few calls.
func (a Failover) Batch(reqs []action.Request[FailoverParameters]) action.Preflighter[FailoverParameters] {
	regions := map[string]Finder{}
	for _, req := range reqs {
		region := req.Parameters.TargetRegion
		if regions[region] != nil {
			continue
		}
		wanted := func(name func(FailoverParameters) string) func(context.Context) []string {
			return func(context.Context) []string {
				var all []string
				for _, other := range reqs {
					if other.Parameters.TargetRegion == region {
						all = append(all, name(other.Parameters))
					}
				}
				return all
			}
		}
		api := a.ElastiCache(region)
		regions[region] = lists{
			listing.NewDatastores(api, wanted(func(p FailoverParameters) string { return p.GlobalReplicationGroupId })),
			listing.NewGroups(api, wanted(func(p FailoverParameters) string { return p.TargetReplicationGroupId })),
		}
	}
	lags := map[string]lag.Source{}
	return look{
		elastiCache: func(region string) Finder { return regions[region] },
		lags: func(region string) lag.Source {
			if lags[region] == nil {
				lags[region] = &groupLags{one: a.Lags(region), api: regions[region], region: region, reqs: reqs}
			}
			return lags[region]
		},
		keys: keys.Once(a.Keys),
	}
}

// groupLags reads the lags of all groups of a region together, when the first
// of them is asked for: only then are the names of their nodes known.
type groupLags struct {
	one    lag.Source
	api    Finder
	region string
	reqs   []action.Request[FailoverParameters]
	all    lag.Source // nil: not yet
}

// Read implements lag.Source.
func (g *groupLags) Read(ctx context.Context, m lag.Metric, now time.Time) lag.Reading {
	if g.all == nil {
		var metrics []lag.Metric
		for _, req := range g.reqs {
			group := req.Parameters.TargetReplicationGroupId
			if req.Parameters.TargetRegion != g.region {
				continue
			}
			if local, err := findLocal(ctx, g.api, group, g.region); err == nil {
				metrics = append(metrics, lag.OfDatastore(group, local.Nodes))
			}
		}
		g.all = lag.Together(g.one, metrics)
	}
	return g.all.Read(ctx, m, now)
}

// Preflight implements action.Preflighter.
func (l look) Preflight(ctx context.Context, req action.Request[FailoverParameters]) (action.Readiness, error) {
	p := req.Parameters
	out, err := observe(ctx, l.elastiCache(p.TargetRegion), p, action.Asked{Now: req.Now})
	if err != nil {
		return action.Readiness{}, err
	}
	ready := action.Readiness{Observed: out.decision.State, Evidence: out.evidence(), Findings: out.decision.Findings()}
	if p.TargetRegion != req.Run.Region {
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning,
			Message: "TargetRegion is " + p.TargetRegion + " and this run is in " + req.Run.Region + ": it depends on both"})
	}
	if out.local != nil {
		details := out.local.Details
		details.Version = out.global.Version // shown of the datastore, and of no group
		details.Report(ctx, l.keys, "replication group "+p.TargetReplicationGroupId, p.TargetRegion, &ready)
	}
	if out.decision.Move != action.MoveAct {
		return ready, nil
	}
	return ready, p.Limit.Report(readLag(ctx, l.lags(p.TargetRegion), req, out.local.Nodes), &ready)
}
