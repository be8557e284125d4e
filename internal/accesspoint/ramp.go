package accesspoint

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"dr-orchestrator/internal/action"
)

// step is one call of several: what it is to bring, and the name that begins
// the notes about it.
type step struct {
	name string
	goal []wanted
}

// The names of the steps. The last one is the only one where nothing is held.
const (
	stepOverlap = "overlap "
	stepLast    = ""
	stepBack    = "back "
)

// maxFailures is how often in a row a target must not answer before that is
// believed.
const maxFailures = 3

// The notes of a run.
const (
	memoFirst    = "first"    // the dials when this run first looked, as JSON
	memoFailures = "failures" // how often in a row the target did not answer
	memoBack     = "back"     // why the routes go back
	memoHeld     = "heldSince"
)

// note is what this run knows beside what can be observed.
type note struct {
	first    map[string]Dial // of the regions that the payload names
	noted    bool            // they are safe in the memo
	began    bool            // a call of this run may have changed something
	failures int
	why      string // what the last probe found
	back     string // why the routes go back
	decided  bool   // that they do is safe in the memo
	asked    map[string]action.Asked
	changed  time.Time // when this run last changed the routes, or may have
	held     time.Time // since when both sides are active; zero: not yet
	now      time.Time
}

func readNote(req action.Request[SetParameters], seen []view) (*note, error) {
	m := req.Drive.Memo
	n := &note{back: m[memoBack], decided: m[memoBack] != "", asked: map[string]action.Asked{}, first: map[string]Dial{}, now: req.Now}
	for _, name := range []string{stepOverlap, stepLast, stepBack} {
		n.asked[name] = req.Asked(name)
		if at := n.asked[name].Requested; at.After(n.changed) {
			n.changed = at
		}
	}
	if at := req.Drive.InterruptedAt; at != nil && at.After(n.changed) {
		n.changed = *at
	}
	n.began = req.Drive.Changed.Happened() || req.Unsure()
	n.failures, _ = strconv.Atoi(m[memoFailures])
	n.held, _ = time.Parse(time.RFC3339, m[memoHeld]) // without a note the hold begins anew
	if text := m[memoFirst]; text != "" {
		n.noted = true
		if err := json.Unmarshal([]byte(text), &n.first); err != nil {
			return nil, action.Errorf(action.Internal, "the dials noted are no dials: %w", err)
		}
		return n, nil
	}
	for _, w := range req.Parameters.goal() {
		if dial, there := seen[0].dials[w.region]; there {
			n.first[w.region] = dial
		}
	}
	return n, nil
}

func (n *note) probe(url string, err error) {
	if err == nil {
		n.failures = 0
		return
	}
	n.failures++
	n.why = err.Error()
	if n.failures >= maxFailures {
		n.back = fmt.Sprintf("%s did not answer as it should %d times in a row (%v)", url, n.failures, err)
	}
}

// memo is what of the notes must come back.
func (n *note) memo() map[string]string {
	first, err := json.Marshal(n.first)
	if err != nil {
		return nil // a map of numbers
	}
	memo := map[string]string{memoFirst: string(first), memoFailures: strconv.Itoa(n.failures), memoBack: n.back}
	if !n.held.IsZero() {
		memo[memoHeld] = n.held.Format(time.RFC3339)
	}
	return memo
}

// wait is how many seconds there are to the next look. Where nobody probes,
// nothing more can be seen before routes hold.
func (n *note) wait(d action.Decision, probed bool) int {
	if d.Phase == phaseEffect && !probed {
		return int((takesEffect - n.now.Sub(n.changed) + time.Second - 1) / time.Second)
	}
	return lookSeconds
}

// start is where the routes go back to.
func (n *note) start() []wanted {
	var all []wanted
	for _, region := range slices.Sorted(maps.Keys(n.first)) {
		all = append(all, wanted{region, n.first[region]})
	}
	return all
}

// all reports whether every endpoint that was heard shows a goal.
func all(seen []view, goal []wanted) bool {
	return !slices.ContainsFunc(seen, func(v view) bool { return v.missing(goal) != "" })
}

// decideRamp chooses the step that is next, and says what to do about it.
func decideRamp(seen []view, p SetParameters, n *note) (action.Decision, step) {
	last := step{stepLast, p.goal()}
	now := func(s step) action.Decision { return decide(seen, s.goal, last.goal, n.asked[s.name], n.changed) }
	switch {
	case n.back != "" && !n.decided:
		// Were the call back to go without an answer, the steps would begin anew.
		return action.WaitFinal(foundIn(seen, p), "noting failure", "%s", n.back), last
	case n.back != "":
		return n.decideBack(seen)
	case p.HoldSeconds > 0 && !all(seen, last.goal) && n.asked[stepLast].Requested.IsZero():
		overlap := step{stepOverlap, p.overlap()}
		if d := now(overlap); d.Move != action.MoveFinish {
			return n.gate(d, seen, p), overlap
		}
		if n.held.IsZero() {
			n.held = n.now
		}
		if until := n.held.Add(time.Duration(p.HoldSeconds) * time.Second); n.now.Before(until) {
			return action.Wait(action.StateUnderWay, "holding", "both sides are active until %s", until.Format("15:04:05 MST")), overlap
		}
	}
	return n.gate(now(last), seen, p), last
}

// gate keeps a call back until the target answers, and until it is known where
// the routes could go back to.
func (n *note) gate(d action.Decision, seen []view, p SetParameters) action.Decision {
	state := foundIn(seen, p)
	switch {
	case d.Move != action.MoveAct:
		return d
	case n.failures > 0:
		return action.Wait(state, "probing", "the target does not answer as it should (%d in a row): no route is changed; %s", n.failures, n.why)
	case p.Probe != "" && !n.noted:
		return action.WaitFinal(state, "noting routes", "the routes at the start are being noted")
	}
	d.State = state
	return d
}

// foundIn tells whether routes short of the goal are on the way to it: of two
// steps the first is taken.
func foundIn(seen []view, p SetParameters) action.State {
	if p.HoldSeconds > 0 && all(seen, p.overlap()) {
		return action.StateUnderWay
	}
	return action.StateReady
}

// decideBack takes the routes back to where they were, and then ends in the
// failure that was the reason.
func (n *note) decideBack(seen []view) (action.Decision, step) {
	s := step{stepBack, n.start()}
	d := decide(seen, s.goal, s.goal, n.asked[stepBack], n.changed)
	if d.Move == action.MoveFinish && !n.asked[stepOverlap].Requested.IsZero() && n.asked[stepBack].Requested.IsZero() {
		// What was accepted may still show: it is taken back all the same.
		d = action.Act(phaseSubmit, "")
	}
	switch {
	case d.Move == action.MoveFinish && !n.began:
		d = action.Fail(action.Refused, action.StateReady, "no answer", "%s: no route was changed", n.back)
	case d.Move == action.MoveFinish:
		d = action.Fail(action.Terminal, action.StateUnderWay, "back", "%s: the routes are back as at the start", n.back)
	case d.Move == action.MoveAct:
		d.Reason = n.back + ": the routes go back as at the start"
		d.State = action.StateUnderWay
	case all(seen, s.goal): // nothing is on its way: they may never have left
		d.State = action.StateReady
	}
	return d, s
}
