package globalcluster

import (
	"context"

	"dr-orchestrator/internal/action"
)

// memoLeft notes that a detaching cluster is no member any more.
const memoLeft = "left"

// closer is how often a detach under way is looked at in full: the cluster
// itself, beside the list of members.
const closer = 20

// looked is what one invocation has seen and made of it.
type looked struct {
	global   Global
	local    *Local
	decision action.Decision
	progress action.Progress
}

// look reads a global cluster and decides, and reads the target cluster only
// where the decision needs it: while an operation runs, one describe does.
func look(ctx context.Context, api Finder, id, region string, to goal, asked action.Asked) (looked, error) {
	g, err := findGlobal(ctx, api, id, region)
	if err != nil {
		return looked{}, err
	}
	out := looked{global: g, decision: decide(g, nil, to, asked)}
	if out.decision.Move != action.MoveLook {
		return out, nil
	}
	local, err := findLocal(ctx, api, to.target, region)
	if err != nil {
		return looked{}, err
	}
	out.local, out.decision = &local, decide(g, &local, to, asked)
	return out, nil
}

// step is the part of a reconciliation that planned and unplanned work share:
// everything before the call.
func step[P any](ctx context.Context, api Finder, req action.Request[P], id, region string, to goal) (looked, error) {
	asked := req.Asked("")
	if to.detach {
		if out, wait, err := leaving(ctx, api, req, id, region, to, asked); wait || err != nil {
			return out, err
		}
	}
	out, err := look(ctx, api, id, region, to, asked)
	if err != nil {
		return out, err
	}
	out.progress, err = out.decision.Progress(asked, out.global.evidence(out.local))
	if _, member := out.global.member(to.target); !member && out.local != nil && out.local.Status == statusPromoting {
		out.progress.Memo[memoLeft] = "yes"
	}
	return out, err
}

// leaving looks at a detach under way with one describe where one says enough:
// at the list of members until the cluster has left it, then at the cluster
// until it is promoted. Every so often, and whenever something else is seen,
// the full look decides.
func leaving[P any](ctx context.Context, api Finder, req action.Request[P], id, region string, to goal, asked action.Asked) (looked, bool, error) {
	out := looked{progress: action.Progress{Status: action.InProgress, Observed: action.StateUnderWay, Phase: "detaching", Memo: map[string]string{}}}
	switch {
	case req.Drive.Memo[memoLeft] != "":
		local, err := findLocal(ctx, api, to.target, region)
		if err != nil || local.Status != statusPromoting {
			return looked{}, false, err
		}
		out.progress.Final = true
		out.progress.Message = "the cluster has left the global cluster and is being promoted"
		out.progress.Evidence = action.Evidence{"cluster": local.ARN, "clusterStatus": local.Status}
		return out, true, nil
	case asked.Requested.IsZero() || !asked.IdleSince.IsZero() || req.Drive.Polls%closer == 0:
		return looked{}, false, nil
	}
	g, err := findGlobal(ctx, api, id, region)
	if err != nil {
		return looked{}, false, err
	}
	if target, member := g.member(to.target); !member || target.Writer || g.Failover != nil || g.Status != statusAvailable {
		return looked{}, false, nil
	}
	out.progress.Message = "the cluster is still listed in " + g.ID
	out.progress.Evidence = g.evidence(nil)
	return out, true, nil
}
