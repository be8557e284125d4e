// Package action holds the contract between the state machine and the
// functions that it drives: what a request says, what an answer says, and the
// classes of error that the machine branches on.
//
// An action is level-triggered. Each invocation observes the resource,
// classifies what it saw, decides, makes at most one mutating call and
// reports. It never sleeps and never polls: waiting is the machine's work. So
// it may be invoked again at any moment (after a crash, a lost answer, a
// duplicate delivery, a redrive) and carries on from what is really there.
package action

import (
	"context"
	"encoding/json"
	"maps"
	"time"
)

// Status says whether a resource has reached its goal.
type Status string

// The answers of a reconciliation that did not fail. Redriven is the adapter's
// own: nothing was looked at, because the resource has to be locked again first.
const (
	InProgress Status = "IN_PROGRESS"
	Done       Status = "DONE"
	Redriven   Status = "REDRIVEN"
)

// State is what an action saw before it did anything.
type State string

// The states in which an action may find its resource.
const (
	// StateUnknown: nothing could be observed.
	StateUnknown State = "unknown"
	// StateReady: the goal is not reached and nothing runs.
	StateReady State = "ready"
	// StateBusy: something runs, and whether it leads to the goal cannot be seen.
	StateBusy State = "busy"
	// StateUnderWay: an operation that leads to the goal runs.
	StateUnderWay State = "under_way"
	// StateDone: the goal is proved.
	StateDone State = "done"
)

// Change says whether this run has changed a resource. It is three-valued,
// because a call whose answer was lost may have changed something.
type Change string

// The values of Change. Unknown counts as changed wherever a run is judged.
const (
	ChangeNo      Change = "no"
	ChangeYes     Change = "yes"
	ChangeUnknown Change = "unknown"
)

// known reads a Change that came from elsewhere: what is none of the three
// says nothing.
func (c Change) known() Change {
	if c == ChangeNo || c == ChangeYes {
		return c
	}
	return ChangeUnknown
}

// Happened reports whether a person has to reckon with a change.
func (c Change) Happened() bool { return c != ChangeNo }

// Or joins what is known of two things: yes outweighs unknown outweighs no.
func (c Change) Or(other Change) Change {
	for _, v := range []Change{ChangeYes, ChangeUnknown} {
		if c.known() == v || other.known() == v {
			return v
		}
	}
	return ChangeNo
}

// Run is what is the same for every resource of one execution.
type Run struct {
	ID        string    `json:"id"`        // name of the execution
	Execution string    `json:"execution"` // ARN of the execution
	Machine   string    `json:"machine"`   // failover or failback
	Region    string    `json:"region"`    // the region taking over
	Account   string    `json:"account"`
	Partition string    `json:"partition"`
	Disaster  bool      `json:"disaster"` // the other region is given up
	StartedAt time.Time `json:"startedAt"`
}

// Resource is one entry of the payload in its normal form: references
// resolved, values typed, the function that drives it looked up.
type Resource struct {
	Index            int             `json:"index"` // position in the whole payload, from 0
	Layer            int             `json:"layer"`
	Type             string          `json:"resourceType"`
	Name             string          `json:"resourceName"`
	Function         string          `json:"function"`
	Parameters       json.RawMessage `json:"parameters"`
	TimeLimitSeconds int             `json:"timeLimitSeconds"`
	Baseline         State           `json:"baseline,omitempty"`         // what the preflight saw
	Seen             string          `json:"seen,omitempty"`             // what the preflight noted for the action itself
	Identities       []string        `json:"identities,omitempty"`       // what it changes, as KIND/NAME
	Pointer          string          `json:"pointer,omitempty"`          // its place in the payload
	Watched          int             `json:"watched,omitempty"`          // resources of the layer, this one included
	ProofReads       int             `json:"proofReads,omitempty"`       // describes that it takes to prove their goals, together
	LastStart        int             `json:"lastStartSeconds,omitempty"` // start delay of the layer's last resource
	Optional         bool            `json:"optional,omitempty"`         // the run goes on without it
	StartDelay       int             `json:"startDelaySeconds"`          // keeps the starts of a large layer apart
}

// Drive is what the machine carries from one invocation to the next. Only
// Changed must be believed; correctness never depends on Memo being there.
type Drive struct {
	StartedAt     time.Time         `json:"startedAt"`
	Polls         int               `json:"polls"`
	Changed       Change            `json:"changed"`
	InterruptedAt *time.Time        `json:"interruptedAt,omitempty"` // when a call last ended without an answer
	Interruptions int               `json:"interruptions,omitempty"` // how often one did
	Late          bool              `json:"late,omitempty"`          // past the time limit: only look
	Redriven      bool              `json:"redriven,omitempty"`      // the run may have lost its lock since it had it
	Unanswered    bool              `json:"unanswered,omitempty"`    // the run was stopped, perhaps in the middle of a call
	Failed        string            `json:"failed,omitempty"`        // what the last invocation ended with, if with an error
	Memo          map[string]string `json:"memo,omitempty"`
}

// resumed takes a call that the end of a run cut off for one that had no
// answer: nobody heard what it did.
func (d Drive) resumed(now time.Time) Drive {
	if !d.Unanswered {
		return d
	}
	d.Unanswered = false
	d.Changed = d.Changed.Or(ChangeUnknown)
	d.InterruptedAt = &now
	d.Interruptions++
	d.Memo = maps.Clone(d.Memo)
	if d.Memo == nil {
		d.Memo = map[string]string{}
	}
	d.Memo[memoReady] = "yes"
	return d
}

// Request is one invocation of an action, with its parameters typed.
type Request[P any] struct {
	Run        Run
	Resource   Resource
	Parameters P
	Drive      Drive
	Now        time.Time
}

// settleTime is how long a read after a lost answer may still show the state
// from before the call. AWS gives no figure; describes have been seen to lag a
// change by some seconds. It grows with every further call without an answer,
// so that a service that fails is not called again and again.
const settleTime = 15 * time.Second

// Unsure reports whether an earlier call of this run may have taken effect
// without being visible yet. A decision to mutate must then wait.
func (r Request[P]) Unsure() bool {
	wait := settleTime * time.Duration(max(r.Drive.Interruptions, 1))
	return r.silentFor(min(wait, patience))
}

// settling reports whether an effect of the last call could still be hidden.
func (r Request[P]) settling() bool { return r.silentFor(settleTime) }

func (r Request[P]) silentFor(d time.Duration) bool {
	return r.Drive.InterruptedAt != nil && r.Now.Sub(*r.Drive.InterruptedAt) < d
}

func (r Request[P]) memoTime(name string) time.Time {
	t, err := time.Parse(time.RFC3339, r.Drive.Memo[name])
	if err != nil {
		return time.Time{}
	}
	return t
}

// The notes of a domain whose operation AWS may show late, or cancel.
const (
	memoRequested = "requestedAt"
	memoIdle      = "idleSince"
)

// Asked is what this run knows of its own call beside what can be observed.
type Asked struct {
	Requested time.Time // when AWS accepted the call; zero: not yet
	IdleSince time.Time // since when nothing is seen to run after it; zero: something is
	Unsure    bool      // a call may have taken effect unseen
	Now       time.Time

	step string
}

// Asked reads the notes of earlier invocations about a call. step tells the
// calls of one action apart; an action with a single call leaves it empty.
func (r Request[P]) Asked(step string) Asked {
	return Asked{Requested: r.memoTime(step + memoRequested), IdleSince: r.memoTime(step + memoIdle), Unsure: r.Unsure(), Now: r.Now, step: step}
}

// Visibility is what an idle-looking resource means after a call of ours.
type Visibility int

// The meanings: no call was made, its effect may still show, a call without
// an answer may still show, it had its time and nothing came.
const (
	NotAsked Visibility = iota
	NotYetVisible
	PerhapsAsked
	NeverBegan
)

// patience is how long an operation that AWS accepted may stay invisible. A
// failure for want of patience would be final in the middle of a recovery, so
// it is long beside the seconds that describes have been seen to lag.
const patience = 5 * time.Minute

func (a Asked) visibility() Visibility {
	switch {
	case a.Requested.IsZero() && a.Unsure:
		return PerhapsAsked
	case a.Requested.IsZero():
		return NotAsked
	case a.IdleSince.IsZero() || a.Now.Sub(a.IdleSince) < patience:
		return NotYetVisible
	}
	return NeverBegan
}

// note gives the memo of an invocation that calls, or that waits while nothing
// is seen to run.
func (a Asked) note(calls, invisible bool) map[string]string {
	memo := map[string]string{a.step + memoIdle: ""}
	if calls {
		memo[a.step+memoRequested] = a.Now.Format(time.RFC3339)
	}
	if invisible {
		since := a.IdleSince
		if since.IsZero() {
			since = a.Now
		}
		memo[a.step+memoIdle] = since.Format(time.RFC3339)
	}
	return memo
}

// Evidence is what was observed, by name: statuses, lag, endpoint, ids.
type Evidence map[string]any

// Progress is the answer of a reconciliation.
type Progress struct {
	Status    Status
	Observed  State  // before this invocation did anything
	Phase     string // short, for a table: "promoting", "backing-up"
	Message   string // one sentence for a person
	Final     bool   // the operation is in its last phase: look again soon
	Changed   bool   // this invocation made a mutating call that AWS accepted
	Aside     bool   // with Changed: the call began nothing that takes time, as a tag
	Contended bool   // AWS found another operation running when asked for ours
	Patient   bool   // a call turned away for the state is made again until the time limit: what is in the way may take hours
	Evidence  Evidence
	Memo      map[string]string
	Lag       *float64 // seconds of replication lag seen just before acting

	// WaitSeconds is how long to wait before the next look, where the payload
	// or the nature of the call says so; 0 leaves it to the pace of all. In a
	// large layer it becomes longer.
	WaitSeconds int
}

// Verdict is what the preflight thinks of one resource.
type Verdict string

// The verdicts of a preflight, in rising order of trouble.
const (
	VerdictDone    Verdict = "already done"
	VerdictReady   Verdict = "ready"
	VerdictWarning Verdict = "warning"
	VerdictBlocked Verdict = "blocked"
)

// Finding is one thing that a preflight has to say. Class is set on a
// blocking one.
type Finding struct {
	Verdict Verdict `json:"verdict"`
	Class   Class   `json:"class,omitempty"`
	Message string  `json:"message"`
}

// Readiness is the answer of a preflight: describe only, nothing changed.
type Readiness struct {
	Observed State
	Findings []Finding // nothing to say means ready
	Evidence Evidence
	Lag      *float64 // seconds
	// Seen comes back as Resource.Seen when the resource is driven: of a thing
	// that someone else may change in between, what it was. It may be lost.
	Seen string
}

// LagUnknown begins the warning of a preflight that knows no replication lag
// where no limit forbids to go ahead: how much may be lost is then not known.
const LagUnknown = "the replication lag is unknown"

// Verdict sums the findings up: the worst of them, or what was observed.
func (r Readiness) Verdict() Verdict {
	verdict := VerdictReady
	if r.Observed == StateDone {
		verdict = VerdictDone
	}
	for _, f := range r.Findings {
		if f.Verdict == VerdictBlocked || (f.Verdict == VerdictWarning && verdict != VerdictBlocked) {
			verdict = f.Verdict
		}
	}
	return verdict
}

// Preflighter looks whether an action could run now.
type Preflighter[P any] interface {
	// Preflight only describes.
	Preflight(ctx context.Context, req Request[P]) (Readiness, error)
}

// Batcher is a reconciler that can look at many resources with few calls. What
// it gives answers for these requests, once each, and can do nothing else: a
// look through lists has no way to change anything. It makes no call before it
// is asked.
type Batcher[P any] interface {
	Batch(reqs []Request[P]) Preflighter[P]
}

// Reconciler drives one resource toward its goal, one step per call.
type Reconciler[P any] interface {
	Preflighter[P]
	// Reconcile observes, decides, makes at most one mutating call, reports.
	Reconcile(ctx context.Context, req Request[P]) (Progress, error)
}

// A call that AWS turned away because of the resource's state, or of a value
// that the state makes wrong, is made again for a while before that is
// believed.
const (
	conflictTime = 5 * time.Minute
	invalidTime  = 20 * time.Second
)

const memoConflict = "conflictSince"

// Sent finishes an invocation that made its mutating call. A call that AWS
// turned away is not believed at once: the state seen before may have been an
// old one, or an earlier call of ours whose answer was lost may be at work. The
// machine looks again; a state that stays in the way ends as an error.
func Sent[P any](req Request[P], progress Progress, err error) (Progress, error) {
	if err == nil {
		progress.Changed = true
		return progress, nil
	}
	limit := conflictTime
	switch ClassOf(err) {
	case Conflict:
	case InvalidInput:
		limit = invalidTime
	default:
		return progress, err
	}
	since := req.memoTime(memoConflict)
	if since.IsZero() {
		since = req.Now
	}
	if req.Now.Sub(since) >= limit && !(progress.Patient && ClassOf(err) == Conflict) {
		return progress, err
	}
	progress.Contended = true
	progress.Phase = "busy"
	progress.Message = err.Error()
	progress.Memo = map[string]string{memoConflict: since.Format(time.RFC3339)}
	return progress, nil
}
