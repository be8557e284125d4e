package globalcluster

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/evidence"
	"dr-orchestrator/internal/keys"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/listing"
)

// Preflight tells whether the failover could begin now.
func (a Failover) Preflight(ctx context.Context, req action.Request[FailoverParameters]) (action.Readiness, error) {
	return failoverLook{a.RDS, a.Lags, a.Keys}.Preflight(ctx, req)
}

// Batch looks at many global clusters with few calls.
func (a Failover) Batch(reqs []action.Request[FailoverParameters]) action.Preflighter[FailoverParameters] {
	var here []pair
	var metrics []lag.Metric
	for _, req := range reqs {
		if p := req.Parameters; p.inRegion(req.Run) == nil {
			here, metrics = append(here, pair{p.GlobalClusterIdentifier, p.DBClusterIdentifier}), append(metrics, p.metric())
		}
	}
	return failoverLook{
		rds:  newLists(a.RDS, here, func(context.Context) []string { return nil }),
		lags: lag.Together(a.Lags, metrics), keys: keys.Once(a.Keys),
	}
}

// failoverLook is everything that the preflight of a failover reads with.
type failoverLook struct {
	rds  Finder
	lags lag.Source
	keys keys.Source
}

// Preflight implements action.Preflighter.
func (l failoverLook) Preflight(ctx context.Context, req action.Request[FailoverParameters]) (action.Readiness, error) {
	p := req.Parameters
	if err := p.inRegion(req.Run); err != nil {
		return action.Readiness{}, err
	}
	out, ready, err := preflight(ctx, l.rds, l.keys, p.GlobalClusterIdentifier, p.ClusterRegion, p.goal(), action.Asked{Now: req.Now})
	if at, alone := out.detached(p); err == nil && alone {
		if err := p.Outdated(p.DBClusterIdentifier, at, req.Run.StartedAt); err != nil {
			return action.Readiness{}, err
		}
		text := p.DBClusterIdentifier + " is not in " + p.GlobalClusterIdentifier + ": it was detached before, or never was in it; nothing proves when"
		if !at.IsZero() {
			text = p.DBClusterIdentifier + " was detached before, at " + moment(at)
		}
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning,
			Message: text + ": what was written elsewhere since is not in it, so see that it is no copy left over from a drill"})
	}
	if err != nil || out.decision.Move != action.MoveAct {
		return ready, err
	}
	ready.Findings = append(ready.Findings, evidence.Versions("the target", out.local.Version, map[string]string{"the global cluster": out.global.Version})...)
	return ready, p.Limit.Report(readLag(ctx, l.lags, req, out.global), &ready)
}

// Preflight tells whether the switchover could begin now. The region of the
// current primary has to answer for that: AWS wants the call made there, and a
// planned operation does not go ahead on what nobody could see.
func (a Switchover) Preflight(ctx context.Context, req action.Request[SwitchoverParameters]) (action.Readiness, error) {
	return switchoverLook{func(region string) Finder { return a.RDS(region) }, a.Keys}.Preflight(ctx, req)
}

// Batch looks at many global clusters with few calls.
func (a Switchover) Batch(reqs []action.Request[SwitchoverParameters]) action.Preflighter[SwitchoverParameters] {
	pairs := map[string][]pair{} // by region of the target
	for _, req := range reqs {
		p := req.Parameters
		region := regionOf(p.DBClusterIdentifier)
		pairs[region] = append(pairs[region], pair{p.GlobalClusterIdentifier, p.DBClusterIdentifier})
	}
	regions := map[string]lists{}
	var in func(region string) lists
	in = func(region string) lists {
		if _, ok := regions[region]; !ok {
			regions[region] = newLists(a.RDS(region), pairs[region], func(ctx context.Context) []string {
				var primaries []string
				for _, req := range reqs {
					p := req.Parameters
					if writer := in(regionOf(p.DBClusterIdentifier)).writer(ctx, p.GlobalClusterIdentifier); regionOf(writer) == region {
						primaries = append(primaries, writer)
					}
				}
				return primaries
			})
		}
		return regions[region]
	}
	return switchoverLook{func(region string) Finder { return in(region) }, keys.Once(a.Keys)}
}

// switchoverLook is everything that the preflight of a switchover reads with.
type switchoverLook struct {
	rds  func(region string) Finder
	keys keys.Source
}

// Preflight implements action.Preflighter.
func (l switchoverLook) Preflight(ctx context.Context, req action.Request[SwitchoverParameters]) (action.Readiness, error) {
	p := req.Parameters
	region := regionOf(p.DBClusterIdentifier)
	out, ready, err := preflight(ctx, l.rds(region), l.keys, p.GlobalClusterIdentifier, region, goal{target: p.DBClusterIdentifier, planned: true}, action.Asked{Now: req.Now})
	begins := out.decision.Move == action.MoveAct || out.decision.Phase == syncResync // now, or when the target is in sync
	if err != nil || !begins {
		return ready, err
	}
	writer, ok := out.global.writer()
	if !ok {
		ready.Findings = blocked(ready.Findings, action.Refused, "%s shows no writer", out.global.ID)
		return ready, nil
	}
	primary, err := findLocal(ctx, l.rds(regionOf(writer.ARN)), writer.ARN, regionOf(writer.ARN))
	switch {
	case err != nil && action.ClassOf(err) == action.Unreachable:
		ready.Findings = blocked(ready.Findings, action.Refused,
			"the primary %s does not answer, and a switchover needs it; for a lost region use UnPlannedFailoverAurora (%v)", writer.ARN, err)
		return ready, nil
	case err != nil:
		return ready, err
	case !operational(primary.Status) || !operational(primary.WriterStatus):
		ready.Findings = blocked(ready.Findings, action.Refused, "the primary %s is %s and its instance %s is %s: both must be available", writer.ARN, primary.Status, primary.Writer, primary.WriterStatus)
	}
	ready.Findings = append(ready.Findings, evidence.Versions("the target", out.local.Version,
		map[string]string{"the primary": primary.Version, "the global cluster": out.global.Version})...)
	return ready, nil
}

// preflight is the part of a preflight that planned and unplanned work share.
func preflight(ctx context.Context, api Finder, source keys.Source, id, region string, to goal, asked action.Asked) (looked, action.Readiness, error) {
	out, err := look(ctx, api, id, region, to, asked)
	if err != nil {
		return out, action.Readiness{}, err
	}
	ready := action.Readiness{Observed: out.decision.State, Evidence: out.global.evidence(out.local), Findings: out.decision.Findings()}
	if target, _ := out.global.member(to.target); target.Writer && out.decision.Move == action.MoveFinish {
		if caveat := out.global.caveat(); caveat != "" {
			ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: caveat})
		}
	}
	if out.local != nil {
		details := out.local.Details
		details.Version = out.local.Version
		details.Report(ctx, source, "cluster "+out.local.ARN, region, &ready)
	}
	return out, ready, nil
}

func blocked(findings []action.Finding, class action.Class, format string, args ...any) []action.Finding {
	return append(findings, action.Finding{Verdict: action.VerdictBlocked, Class: class, Message: fmt.Sprintf(format, args...)})
}

// pair is a global cluster and the cluster in it that is to take writes.
type pair struct{ global, target string }

// lists answers for the global clusters, clusters and instances of one region
// out of lists.
type lists struct {
	*listing.GlobalClusters
	*listing.Clusters
	*listing.Instances
}

// newLists makes the lists of a region: of the pairs whose target is in it, and
// of other clusters of the region.
func newLists(api Finder, pairs []pair, others func(context.Context) []string) lists {
	globals := listing.NewGlobalClusters(api, func(context.Context) []string {
		var ids []string
		for _, p := range pairs {
			ids = append(ids, p.global)
		}
		return ids
	})
	wanted := func(ctx context.Context) []string {
		var arns []string
		for _, p := range pairs {
			arns = append(arns, p.target)
		}
		return append(arns, others(ctx)...)
	}
	clusters := listing.NewClusters(api, wanted)
	instances := listing.NewInstances(api, func(ctx context.Context) []string {
		var ids []string
		for _, arn := range wanted(ctx) {
			if found, ok := clusters.Listed(ctx, arn); ok && operational(aws.ToString(found.Status)) {
				ids = append(ids, observed(found).instance())
			}
		}
		return ids
	})
	return lists{globals, clusters, instances}
}

// writer gives the ARN of the cluster that takes the writes of a listed global
// cluster; empty where that is not known.
func (l lists) writer(ctx context.Context, global string) string {
	found, ok := l.GlobalClusters.Listed(ctx, global)
	if !ok {
		return ""
	}
	for _, m := range found.GlobalClusterMembers {
		if aws.ToBool(m.IsWriter) {
			return aws.ToString(m.DBClusterArn)
		}
	}
	return ""
}
