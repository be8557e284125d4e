package action

import (
	"fmt"
	"strings"
)

// Condition sorts the statuses that AWS shows of a resource.
type Condition int

// The conditions. A status that a domain's list does not know is StatusUnknown,
// and unknown blocks.
const (
	StatusUnknown  Condition = iota
	StatusReady              // an operation may be asked for
	StatusPending            // something runs and will end by itself
	StatusTerminal           // nothing will change without a person
)

// ConditionOf looks a status up in a domain's list. All "incompatible-…"
// statuses of RDS mean the same: nothing goes on without a person.
func ConditionOf(list map[string]Condition, status string) Condition {
	if c, ok := list[status]; ok {
		return c
	}
	if strings.HasPrefix(status, "incompatible-") {
		return StatusTerminal
	}
	return StatusUnknown
}

// Move is what a decision says to do.
type Move int

// The moves.
const (
	MoveWait   Move = iota // look again later
	MoveLook               // more evidence is needed before anything can be said
	MoveFinish             // the goal is proved
	MoveAct                // ask AWS
	MoveFail               // nothing that may be done leads to the goal
)

// Decision is what a domain's pure decide makes of what was observed.
type Decision struct {
	Move   Move
	State  State
	Class  Class  // of a failure
	Final  bool   // the operation is in its last phase
	Phase  string // short, for a table
	Reason string // one sentence for a person
	Step   string // which of several calls to make, where a domain has several
}

// Wait says to look again later.
func Wait(state State, phase, format string, args ...any) Decision {
	return Decision{Move: MoveWait, State: state, Phase: phase, Reason: fmt.Sprintf(format, args...)}
}

// WaitFinal says to look again soon: the operation is in its last phase.
func WaitFinal(state State, phase, format string, args ...any) Decision {
	d := Wait(state, phase, format, args...)
	d.Final = true
	return d
}

// Look says that more evidence is needed.
func Look(phase string) Decision {
	return Decision{Move: MoveLook, State: StateUnknown, Phase: phase, Reason: "more has to be looked at"}
}

// Finish says that the goal is proved.
func Finish(phase, format string, args ...any) Decision {
	return Decision{Move: MoveFinish, State: StateDone, Final: true, Phase: phase, Reason: fmt.Sprintf(format, args...)}
}

// Act says to ask AWS.
func Act(step, format string, args ...any) Decision {
	return Decision{Move: MoveAct, State: StateReady, Phase: step, Step: step, Reason: fmt.Sprintf(format, args...)}
}

// Fail says that nothing that may be done leads to the goal. What the resource
// was found in is told where it is known.
func Fail(class Class, state State, phase, format string, args ...any) Decision {
	return Decision{Move: MoveFail, State: state, Class: class, Phase: phase, Reason: fmt.Sprintf(format, args...)}
}

// PhaseInvisible is the phase of an operation that AWS has accepted and does
// not show.
const PhaseInvisible = "not visible"

// Idle says what an idle resource means in the light of what this run has
// asked for, and ends where the answer is "nothing yet": then ok is false and
// the domain's own rules decide.
func (a Asked) Idle() (d Decision, ok bool) {
	switch a.visibility() {
	case NotYetVisible:
		return WaitFinal(StateUnderWay, PhaseInvisible, "AWS has accepted the call and shows nothing running"), true
	case NeverBegan:
		return Fail(Terminal, StateReady, "cancelled", "AWS accepted the call at %s and nothing runs: it was cancelled, see the events of the resource",
			a.Requested.Format("15:04:05 MST")), true
	case PerhapsAsked:
		return WaitFinal(StateReady, "confirming", "an earlier call had no answer: making sure that it had no effect"), true
	}
	return Decision{}, false
}

// Progress makes the answer of an invocation that makes no call out of a
// decision; of one that does, what is known before the call.
func (d Decision) Progress(a Asked, evidence Evidence) (Progress, error) {
	p := Progress{
		Status: InProgress, Observed: d.State, Phase: d.Phase, Message: d.Reason, Final: d.Final, Evidence: evidence,
		Memo: a.note(d.Move == MoveAct, d.Phase == PhaseInvisible),
	}
	switch d.Move {
	case MoveFail:
		return p, Errorf(d.Class, "%s", d.Reason)
	case MoveFinish:
		p.Status = Done
	}
	return p, nil
}

// Findings makes the findings of a preflight out of a decision.
func (d Decision) Findings() []Finding {
	switch d.Move {
	case MoveFail:
		return []Finding{{Verdict: VerdictBlocked, Class: d.Class, Message: d.Reason}}
	case MoveWait:
		if d.State == StateUnknown { // a status that nobody here knows is no ground to start on
			return []Finding{{Verdict: VerdictBlocked, Class: Refused, Message: d.Reason}}
		}
		return []Finding{{Verdict: VerdictWarning, Message: d.Reason}}
	}
	return nil
}
