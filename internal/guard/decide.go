package guard

import (
	"fmt"
	"strings"
	"time"
)

// Action is what the guard does about what it saw.
type Action string

// The actions.
const (
	Ignore Action = "ignore" // nothing, and nobody is told
	Wait   Action = "wait"   // nothing yet: it looks again
	Notify Action = "notify" // a person is told
	Ask    Action = "ask"    // a run is started that asks before its first change
	Start  Action = "start"  // a run is started
	look   Action = "look"   // the second look is wanted first
)

// Reason is why, for programs.
type Reason string

// The reasons.
const (
	NotRed      Reason = "not-red"      // the state is not the wanted one, or no longer
	NotOurs     Reason = "not-ours"     // the alarm does not carry the tag of the trigger
	Late        Reason = "late"         // it is too long ago
	Duplicate   Reason = "duplicate"    // it was decided about before
	TooShort    Reason = "too-short"    // red, and not for long enough yet
	Unknown     Reason = "unknown"      // something could not be looked at
	Maintenance Reason = "maintenance"  // declared by drctl downtime
	Running     Reason = "running"      // a run is under way
	CoolDown    Reason = "cool-down"    // the last run began a short time ago
	Unconfirmed Reason = "unconfirmed"  // the second look does not say so
	Wanted      Reason = "wanted"       // everything says so
	StartFailed Reason = "start-failed" // everything says so, and the run could not be started
)

// final reports a reason after which nothing more is decided about the same
// occurrence. After any other the guard looks again while it lasts.
func (r Reason) final() bool { return r == Wanted || r == Late }

// Subject is what a trigger is about: one red of one alarm, or one event.
type Subject struct {
	ID    string    // the same for duplicates, and for no other occurrence
	What  string    // for a person
	Since time.Time // when it began
	Red   bool      // it is in the wanted state
	Other bool      // it is none of the trigger's
	// Lasted is how long it was red, of an alarm that no longer is.
	Lasted time.Duration
}

// Downtime is a maintenance that somebody declared.
type Downtime struct {
	Until  time.Time
	By     string
	Reason string
}

// Run is a run that was not a plan.
type Run struct {
	Execution string    // ARN
	Started   time.Time // the last time: one that was redriven began again
	Running   bool
}

// Confirmation is what the second look came to.
type Confirmation struct {
	Confirmed bool
	Told      []string // of each thing looked at
}

// Facts are what the guard saw.
type Facts struct {
	Subject      Subject
	Last         Reason // of the decision about this subject before; empty: none
	Started      string // ARN of the run that was started for this subject
	Downtime     *Downtime
	Runs         []Run    // in any order
	Acknowledged *Run     // nobody waits for the cool-down of it, or of an older one; nil: none
	Unseen       []string // what could not be looked at, and why
	Confirmation *Confirmation
}

// Decision is what the guard decided, and why.
type Decision struct {
	Action Action
	Reason Reason
	Why    string // for a person
}

// mostAhead is how far the clock of whoever sent an event may be ahead.
const mostAhead = time.Minute

// decide is the whole judgement. Anything that speaks against a start, or that
// is not known, keeps it from starting anything.
func decide(t Trigger, f Facts, now time.Time) Decision {
	s := f.Subject
	age := now.Sub(s.Since)
	if t.On != OnAlarm && age < 0 && age >= -mostAhead {
		age = 0
	}
	run := f.standing(t, now)
	switch {
	case s.Other:
		return Decision{Ignore, NotOurs, s.What}
	case !s.Red && s.Lasted > 0 && s.Lasted < t.seenFor():
		return Decision{Ignore, NotRed, fmt.Sprintf("%s: it was red for %s, and has to be for %s", s.What, short(s.Lasted), short(t.seenFor()))}
	case !s.Red:
		return Decision{Ignore, NotRed, s.What}
	case f.Started != "" && !f.Last.final() && age <= t.seenFor()+t.maxAge():
		// By an invocation of the guard that did not come to tell of it.
		return Decision{starts(t), Wanted, s.What + "; a run was started for this"}
	case f.Started != "":
		return Decision{Ignore, Duplicate, "a run was started for this already: " + f.Started}
	case f.Last.final():
		return Decision{Ignore, Duplicate, "this was decided already: " + string(f.Last)}
	case age > t.seenFor()+t.maxAge():
		return Decision{Ignore, Late, fmt.Sprintf("%s; that is %s ago, and nothing is started after %s", s.What, short(age), short(t.seenFor()+t.maxAge()))}
	case t.On != OnAlarm && age < 0: // nobody looks at it again
		return Decision{Notify, Unknown, fmt.Sprintf("%s; nothing is started, because the event is dated %s ahead, and when it was is not known", s.What, short(-age))}
	case age < t.seenFor():
		return Decision{Wait, TooShort, fmt.Sprintf("%s, for %s; it has to be for %s", s.What, short(max(age, 0)), short(t.seenFor()))}
	case f.Downtime != nil && f.Downtime.Until.After(now):
		d := f.Downtime
		return Decision{Ignore, Maintenance, fmt.Sprintf("%s; %s declared a maintenance until %s: %s", s.What, d.By, stamp(d.Until), d.Reason)}
	case len(f.Unseen) > 0:
		return Decision{Notify, Unknown, s.What + "; nothing is started, because this could not be looked at: " + strings.Join(f.Unseen, "; ")}
	case run != nil && run.Running:
		return Decision{Notify, Running, fmt.Sprintf("%s; a run is under way since %s: %s", s.What, stamp(run.Started), run.Execution)}
	case run != nil:
		return Decision{Notify, CoolDown, fmt.Sprintf("%s; the last run began at %s, and for %s after it nothing is started unless it is acknowledged: %s", s.What, stamp(run.Started), short(t.coolDown()), run.Execution)}
	case t.Confirm != nil && f.Confirmation == nil:
		return Decision{Action: look}
	case t.Confirm != nil && !f.Confirmation.Confirmed:
		return Decision{Notify, Unconfirmed, s.What + "; the second look does not confirm it: " + strings.Join(f.Confirmation.Told, "; ")}
	}
	why := s.What
	if f.Confirmation != nil {
		why += "; confirmed: " + strings.Join(f.Confirmation.Told, "; ")
	}
	switch {
	case t.Mode == ModeApprove:
		return Decision{Ask, Wanted, why}
	case t.Mode == ModeAutomatic && (t.Confirm != nil || t.On == OnRequest):
		return Decision{Start, Wanted, why}
	}
	return Decision{Notify, Wanted, why + "; the mode is notify: a person starts the run"}
}

// starts is what starting a run is called in the mode of a trigger.
func starts(t Trigger) Action {
	if t.Mode == ModeApprove {
		return Ask
	}
	return Start
}

// standing gives the run that keeps another one from starting: one that runs,
// or the newest within its cool-down, whose acknowledgement covers the others.
func (f Facts) standing(t Trigger, now time.Time) *Run {
	for i := range f.Runs {
		if f.Runs[i].Running {
			return &f.Runs[i]
		}
	}
	var newest *Run
	for i, r := range f.Runs {
		seen := f.Acknowledged != nil && !r.Started.After(f.Acknowledged.Started)
		if now.Sub(r.Started) < t.coolDown() && !seen && (newest == nil || r.Started.After(newest.Started)) {
			newest = &f.Runs[i]
		}
	}
	return newest
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// short writes a duration without what nobody reads.
func short(d time.Duration) string {
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
