package globalcluster

import (
	"context"
	"fmt"

	"dr-orchestrator/internal/action"
)

// memoLeft notes that a detaching cluster is no member any more.
const memoLeft = "left"

// closer is how often a detach under way is looked at in full: the cluster
// itself, beside the list of members.
const closer = 12

// leaving looks at a cluster that has left its global cluster, for as long as
// it is being promoted: one describe says all there is to say.
func leaving(ctx context.Context, api Finder, to goal, region string) (action.Progress, bool, error) {
	local, err := findLocal(ctx, api, to.target, region)
	if err != nil || local.Status != statusPromoting {
		return action.Progress{}, false, err
	}
	return action.Progress{
		Status: action.InProgress, Observed: action.StateUnderWay, Phase: local.Status, Final: true,
		Message:  "the cluster has left the global cluster and is being promoted",
		Evidence: action.Evidence{"cluster": local.ARN, "clusterStatus": local.Status},
	}, true, nil
}

// step observes and decides, and looks at the target cluster only where the
// decision needs it: most looks take one describe.
func step[P any](ctx context.Context, api Finder, req action.Request[P], id, region string, to goal) (decision, action.Progress, error) {
	if to.detach && req.Drive.Memo[memoLeft] != "" {
		if progress, wait, err := leaving(ctx, api, to, region); wait || err != nil {
			return decision{}, progress, err
		}
	}
	g, err := findGlobal(ctx, api, id, req.Run.Region)
	if err != nil {
		return decision{}, action.Progress{}, err
	}
	asked := req.Asked()
	d := decide(g, nil, to, asked)
	if _, member := g.member(to.target); member && to.detach && d.move == moveProve && !asked.Requested.IsZero() && req.Drive.Polls%closer != 0 {
		d = decision{move: moveWait, state: action.StateUnderWay, phase: "detaching", reason: "the cluster is still listed in " + g.ID}
	}
	var local *Local
	if d.move == moveProve {
		found, err := findLocal(ctx, api, to.target, region)
		if err != nil {
			return decision{}, action.Progress{}, err
		}
		local = &found
		d = decide(g, local, to, asked)
	}
	progress := action.Progress{
		Status: action.InProgress, Observed: d.state, Phase: d.phase, Message: d.reason, Final: d.final,
		Evidence: g.evidence(local), Memo: asked.Note(d.move == moveAct, d.phase == phaseInvisible),
	}
	if local != nil && local.Status == statusPromoting {
		if _, member := g.member(to.target); !member {
			progress.Memo[memoLeft] = "yes"
		}
	}
	switch d.move {
	case moveFail:
		return d, progress, action.Errorf(d.class, "%s", d.reason)
	case moveFinish:
		progress.Status = action.Done
	}
	return d, progress, nil
}

// look is the part of a preflight that planned and unplanned work share: the
// decision that would be made, and the state of the target cluster.
func look[P any](ctx context.Context, api Finder, req action.Request[P], id, region string, to goal) (Global, Local, decision, action.Readiness, error) {
	g, err := findGlobal(ctx, api, id, req.Run.Region)
	if err != nil {
		return Global{}, Local{}, decision{}, action.Readiness{}, err
	}
	local, err := findLocal(ctx, api, to.target, region)
	if err != nil {
		return Global{}, Local{}, decision{}, action.Readiness{}, err
	}
	d := decide(g, &local, to, action.Asked{Now: req.Now})
	ready := action.Readiness{Observed: d.state, Evidence: g.evidence(&local)}
	switch d.move {
	case moveFail:
		ready.Findings = blocked(ready.Findings, d.class, "%s", d.reason)
	case moveWait:
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: d.reason})
	case moveAct:
		if local.Writer == "" && local.Instances == 0 {
			ready.Findings = blocked(ready.Findings, action.Refused, "%s has no DB instance: it could not take writes; create one first", local.ARN)
		} else if local.Status != statusAvailable || (local.Writer != "" && local.WriterStatus != statusAvailable) {
			ready.Findings = blocked(ready.Findings, action.Refused, "%s is %s and its instance %s is %s: both must be available", local.ARN, local.Status, local.Writer, local.WriterStatus)
		}
	}
	return g, local, d, ready, nil
}

func blocked(findings []action.Finding, class action.Class, format string, args ...any) []action.Finding {
	return append(findings, action.Finding{Verdict: action.VerdictBlocked, Class: class, Message: fmt.Sprintf(format, args...)})
}
