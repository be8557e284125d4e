package dnsrecord

import (
	"context"
	"fmt"

	"dr-orchestrator/internal/action"
)

// maxApart is how many entries of one layer may change the same zone without a
// word about it.
const maxApart = 5

// crowd is the entries of one layer that change one zone.
type crowd struct {
	layer int
	zone  string
}

// Batch looks at several entries, and sees whether they get in each other's way.
func (a Swap) Batch(reqs []action.Request[SwapParameters]) action.Preflighter[SwapParameters] {
	l := swapLook{Swap: a, first: map[crowd]int{}, many: map[crowd]int{}}
	for _, req := range reqs {
		for c := range crowdsOf(req) {
			if l.many[c]++; l.many[c] == 1 {
				l.first[c] = req.Resource.Index
			}
		}
	}
	return l
}

// crowdsOf gives what an entry is one of: a crowd for each of its zones.
func crowdsOf(req action.Request[SwapParameters]) map[crowd]bool {
	all := map[crowd]bool{}
	for _, r := range req.Parameters.Records {
		all[crowd{req.Resource.Layer, r.Zone}] = true
	}
	return all
}

// swapLook is a preflight of several entries. What concerns them together is
// told of the first.
type swapLook struct {
	Swap
	first map[crowd]int // index of the first entry
	many  map[crowd]int // how many there are
}

// Preflight implements action.Preflighter.
func (l swapLook) Preflight(ctx context.Context, req action.Request[SwapParameters]) (action.Readiness, error) {
	ready, err := l.Swap.Preflight(ctx, req)
	for c := range crowdsOf(req) {
		if l.many[c] > maxApart && l.first[c] == req.Resource.Index {
			ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: fmt.Sprintf(
				"at least %d entries of layer %d change hosted zone %s: Route 53 takes one change of a zone after the other, and few requests a second of a whole account; the Records of one entry change in one call",
				l.many[c], c.layer, c.zone)})
		}
	}
	return ready, err
}
