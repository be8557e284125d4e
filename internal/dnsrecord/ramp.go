package dnsrecord

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"dr-orchestrator/internal/action"
)

// weights are those of the sets of a name, by set identifier.
type weights map[string]int64

func weightsOf(sets []types.ResourceRecordSet) weights {
	w := weights{}
	for _, s := range sets {
		w[aws.ToString(s.SetIdentifier)] = aws.ToInt64(s.Weight)
	}
	return w
}

func (w weights) sum() int64 {
	var sum int64
	for _, weight := range w {
		sum += weight
	}
	return sum
}

// String tells the weights as a person would.
func (w weights) String() string {
	var all []string
	for _, id := range slices.Sorted(maps.Keys(w)) {
		all = append(all, fmt.Sprintf("%s %d", id, w[id]))
	}
	return strings.Join(all, ", ")
}

// shares tells who has how much of the traffic, in percent.
func (w weights) shares() string {
	var all []string
	for _, id := range slices.Sorted(maps.Keys(w)) {
		if w[id] > 0 {
			all = append(all, fmt.Sprintf("%s %.3g %%", id, 100*float64(w[id])/float64(w.sum())))
		}
	}
	return strings.Join(all, ", ")
}

// scale is the sum of the weights of a step: two for each percent, as much as
// a weight, which ends at 255, lets one set have.
const scale = 200

// share gives the target a share in percent, and the rest to the others in the
// proportion that they have: by largest remainder, so that the sum is exact
// and the same proportion gives the same weights again.
func (w weights) share(target string, percent int) weights {
	out := weights{target: int64(percent) * scale / 100}
	rest := scale - out[target]
	others := w.sum() - w[target]
	type part struct {
		id        string
		remainder int64
	}
	var parts []part
	left := rest
	for _, id := range slices.Sorted(maps.Keys(w)) {
		if id == target {
			continue
		}
		if others > 0 {
			out[id] = rest * w[id] / others
			parts = append(parts, part{id, rest * w[id] % others})
		} else {
			out[id] = 0
		}
		left -= out[id]
	}
	slices.SortStableFunc(parts, func(a, b part) int { return int(b.remainder - a.remainder) })
	for i := range parts {
		if left > 0 && parts[i].remainder > 0 {
			out[parts[i].id]++
			left--
		}
	}
	return out
}

// ramp is where the shift is: at the step with the index at, before the first
// (-1), or nowhere that this run knows.
type ramp struct {
	target     string
	steps      []int // percent
	first, now weights
	at         int
	lost       bool // the weights are neither those of the start nor those of a step
}

func newRamp(p ShiftParameters, first, now weights) (ramp, error) {
	r := ramp{target: p.SetIdentifier, steps: p.percents(), first: first, now: now, at: -1}
	if others := first.sum() - first[r.target]; others == 0 && first[r.target] > 0 && r.steps[len(r.steps)-1] < 100 {
		return r, action.Errorf(action.Refused, "%s has all of the traffic, and no other set has a share that could be kept", r.target)
	}
	if first.sum() == 0 {
		return r, action.Errorf(action.Refused, "every set of %s has the weight 0, so that Route 53 answers with all of them alike: no proportion could be kept", p.group())
	}
	for i := len(r.steps) - 1; i >= 0; i-- {
		if r.reached(i) {
			r.at = i
			return r, nil
		}
	}
	r.lost = !maps.Equal(now, first)
	return r, nil
}

// reached reports whether the weights are those of a step. All of the traffic
// is all of it, whatever the numbers.
func (r ramp) reached(i int) bool {
	if r.steps[i] == 100 && r.now[r.target] > 0 && r.now.sum() == r.now[r.target] {
		return true
	}
	return maps.Equal(r.now, r.first.share(r.target, r.steps[i]))
}

// next is the first step that gives the target more than it has: traffic that
// is there already is not taken away.
func (r ramp) next() int {
	for i := r.at + 1; i < len(r.steps); i++ {
		if int64(r.steps[i])*r.now.sum() > 100*r.now[r.target] {
			return i
		}
	}
	return len(r.steps)
}

func (r ramp) key(i int) string { return fmt.Sprintf("%d%% ", r.steps[i]) }

// goal gives the weights that a call is to bring.
func (r ramp) goal(step string) weights {
	for i := range r.steps {
		if r.key(i) == step {
			return r.first.share(r.target, r.steps[i])
		}
	}
	return r.first
}

// maxFailures is how often in a row a target must not answer before that is
// believed.
const maxFailures = 3

// decideShift says what to do about a ramp. status is that of the last change,
// nil while it has not been asked for.
func decideShift(r ramp, n *shiftNote, status *string) action.Decision {
	moved := r.at >= 0 && !maps.Equal(r.now, n.first) || !n.noted && !n.fresh
	state := action.StateReady
	if moved {
		state = action.StateUnderWay
	}
	switch {
	case r.lost && moved || r.lost && !n.asked.Requested.IsZero():
		return action.Fail(action.Conflict, action.StateUnderWay, "changed by someone else", "the weights %v are neither those of a step nor those at the start, %v: someone else has changed them", r.now, n.first)
	case r.lost:
		return action.Fail(action.Refused, state, "changed by someone else", "the weights %v were changed by someone else since this run was planned with %v", r.now, n.first)
	case n.altered && n.back == "": // where traffic goes back to is told by weights alone
		class := action.Refused
		if moved {
			class = action.Conflict
		}
		return action.Fail(class, state, "changed by someone else", "the sets lead elsewhere, or have other health checks, than when this run was planned: someone else has changed them")
	case n.back != "" && !n.decided:
		// Were the call back to go without an answer, the ramp would begin anew.
		return action.WaitFinal(state, "noting failure", "%s", n.back)
	case n.back != "":
		return decideBack(r, n, state, status)
	}
	if r.at >= 0 {
		if d, ok := settled(n, status, fmt.Sprintf("%d %% of the traffic at %s", r.steps[r.at], r.target)); !ok {
			return d
		}
	}
	next := r.next()
	switch {
	case n.failures > 0:
		return action.Wait(state, "probing", "%s (%d in a row): no further traffic is moved", n.why, n.failures)
	case next == len(r.steps):
		return action.Finish("shifted", "%d %% of the traffic are at %s", 100*r.now[r.target]/max(r.now.sum(), 1), r.target)
	case r.at >= 0 && n.now.Sub(n.since) < n.hold:
		return action.Wait(action.StateUnderWay, "holding", "%d %% of the traffic are at %s until %s", r.steps[r.at], r.target, n.since.Add(n.hold).Format("15:04:05 MST"))
	case !n.noted:
		// What traffic could go back to must be known before any is moved.
		return action.WaitFinal(state, "noting weights", "the weights at the start are being noted: %v", n.first)
	}
	if d, ok := n.asked.Idle(); ok {
		return d
	}
	d := action.Act(r.key(next), "%d %% of the traffic are to go to %s", r.steps[next], r.target)
	d.State, d.Phase = state, fmt.Sprintf("shifting to %d %%", r.steps[next])
	return d
}

// settled reports whether every name server has what the last call brought,
// and otherwise what to do until then. A change whose id is not known gets the
// time that Route 53 names.
func settled(n *shiftNote, status *string, what string) (action.Decision, bool) {
	switch {
	case !n.since.IsZero() && !n.now.Before(n.since):
		return action.Decision{}, true
	case n.change != "" && status == nil:
		return action.Look(phasePropagating), false
	case n.since.IsZero() && (n.change == "" || *status == statusGone):
		n.since = n.now.Add(propagation)
	}
	return action.WaitFinal(action.StateUnderWay, phasePropagating, "%s: not every name server has it yet", what), false
}

// decideBack takes traffic back to where it was, and then ends in the failure
// that was the reason.
func decideBack(r ramp, n *shiftNote, state action.State, status *string) action.Decision {
	if maps.Equal(r.now, n.first) {
		if !n.began && !n.asked.Unsure {
			return action.Fail(action.Refused, state, "no answer", "%s: %s", n.back, r.untouched())
		}
		if d, ok := settled(n, status, "traffic back as at the start"); !ok {
			return d
		}
		return action.Fail(action.Terminal, action.StateUnderWay, "back", "%s: traffic is back as at the start, %v", n.back, n.first)
	}
	if d, ok := n.asked.Idle(); ok {
		return d
	}
	d := action.Act(stepBack, "%s: traffic goes back to %v", n.back, n.first)
	d.State = action.StateUnderWay
	return d
}

// untouched tells where traffic is that this run has not moved.
func (r ramp) untouched() string {
	if r.now[r.target] == 0 {
		return "no traffic was moved to " + r.target
	}
	return fmt.Sprintf("this run has moved no traffic; %d %% of it remain at %s, put there before this run, and go back by a shift to another set",
		100*r.now[r.target]/max(r.now.sum(), 1), r.target)
}
