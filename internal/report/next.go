package report

import (
	"fmt"
	"strings"
)

// EndedOutside begins the cause of a run that did not end by itself: it was
// stopped, it timed out, or Step Functions ended it.
const EndedOutside = "the execution was ended from outside"

// Stopped reports a run that did not come to an end of its own.
func (r Record) Stopped() bool { return strings.HasPrefix(r.Cause, EndedOutside) }

// planned reports a run that was to look and to change nothing.
func (r Record) planned() bool { return r.Mode == "plan" }

// Tally counts the resources of a record by where they stand.
type Tally struct {
	All       int
	Done      int // at the goal
	Moved     int // of those, brought there by this run
	Unsettled int // changed, or perhaps, and not at the goal
	Untouched int // not at the goal, and as before the run
	Optional  int // not at the goal, and the run may do without
	Behind    int // with a lag that was known when the run acted, above 0
	Unknown   int // with one that was not
	WorstRPO  float64
	Warnings  int // findings of the preflight
}

// Tally counts.
func (r Record) Tally() Tally {
	var t Tally
	for _, layer := range r.Layers {
		for _, x := range layer.Resources {
			t.All++
			switch {
			case x.Status == Done:
				t.Done++
				if x.Changed {
					t.Moved++
				}
			case x.Changed:
				t.Unsettled++
			default:
				t.Untouched++
			}
			if x.Status != Done && x.Optional {
				t.Optional++
			}
			switch {
			case x.RPO == nil:
			case x.RPO.Seconds == nil:
				t.Unknown++
			case *x.RPO.Seconds > 0:
				t.Behind++
				t.WorstRPO = max(t.WorstRPO, *x.RPO.Seconds)
			}
			t.Warnings += len(x.Findings)
		}
	}
	return t
}

// Headline is the end of a run in a few words.
func (r Record) Headline() string {
	switch {
	case r.planned() && r.Outcome == Succeeded:
		return "Ready: nothing stands in the way"
	case r.planned():
		return "Not ready: something stands in the way"
	case r.Outcome == Succeeded:
		return "Recovered: every resource is at its goal"
	case r.Outcome == Refused:
		return "Refused: a safety rule said no, and nothing was changed"
	case r.Stopped() && r.Outcome == FailedClean:
		return "Stopped: nothing was changed"
	case r.Stopped():
		return "Stopped half way: something was changed, or may have been"
	case r.Outcome == FailedClean:
		return "Failed: nothing was changed"
	}
	return "Failed half way: something was changed, or may have been"
}

// State says in what state the run has left the estate.
func (r Record) State() string {
	t := r.Tally()
	switch {
	case r.planned():
		return "As it was: the run only looked, and changed nothing."
	case r.Outcome == Refused || r.Outcome == FailedClean:
		return "As it was before the run: nothing was changed."
	case t.All == 0:
		return "Not known: the run has left nothing that tells of its resources."
	case r.Outcome == Succeeded && t.Done == t.All:
		return fmt.Sprintf("%s at the goal in %s: %d brought there by this run, %d there before.", all(t.All), r.Run.Region, t.Moved, t.Done-t.Moved)
	}
	text := fmt.Sprintf("%d of %d resources at the goal.", t.Done, t.All)
	if t.Unsettled > 0 {
		text += fmt.Sprintf(" %d changed, or perhaps changed, and not at the goal: AWS may still be at work on %s.", t.Unsettled, them(t.Unsettled))
	}
	if t.Untouched > 0 {
		text += fmt.Sprintf(" %d as before the run.", t.Untouched)
	}
	return text
}

// of counts things, in the right number.
func of(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func all(n int) string {
	if n == 1 {
		return "The one resource is"
	}
	return fmt.Sprintf("All %d resources are", n)
}

func them(n int) string {
	if n == 1 {
		return "it"
	}
	return "them"
}

// Resume is the command that starts the payload of the run again.
func (r Record) Resume() string { return "drctl resume " + r.Run.Execution }

// Next says what there is to do now, the first thing first. A command stands
// at the end of its line, after a colon.
func (r Record) Next() []string {
	t := r.Tally()
	var steps []string
	add := func(format string, args ...any) { steps = append(steps, fmt.Sprintf(format, args...)) }
	again := "Start the same payload again; every resource is looked at first, and what is at its goal is left alone: " + r.Resume()
	if t.All == 0 && len(r.Problems) > 0 {
		add("Correct the payload: each problem stands below, with its place. Check it with: drctl validate FILE")
		return steps
	}
	switch {
	case r.planned() && r.Outcome == Succeeded:
		if t.Warnings > 0 {
			add("Read what was found (%d).", t.Warnings)
		}
		add("When it is time, start the same payload with Options.Mode run: drctl start FILE --region %s", r.Run.Region)
	case r.planned():
		add("Remove what stands in the way, see below.")
		add("Look again: drctl plan FILE --region %s", r.Run.Region)
	case r.Outcome == Succeeded:
		add("Direct the applications to %s, and see that they work.", r.Run.Region)
		if t.Behind > 0 {
			add("Find out what was lost: up to %g s of writes, on %s, see RPO.", t.WorstRPO, of(t.Behind, "resource"))
		}
		if t.Unknown > 0 {
			add("Find out what was lost on %s: how far behind its source each was is not known, see RPO.", of(t.Unknown, "resource"))
		}
		if t.Optional > 0 {
			add("Look after what is optional and not at its goal (%s), see below.", of(t.Optional, "resource"))
		}
	case r.Outcome == Refused:
		add("Read what was refused and why, below. The rule protects data: wait until it is content, or change the limit in the payload knowingly.")
		add("%s", again)
	case r.Outcome == FailedClean && r.Stopped():
		add("%s", again)
	case r.Outcome == FailedClean:
		add("Remove the cause, see below.")
		add("%s", again)
	default:
		if t.Unsettled > 0 {
			add("Look at what is changed and not at its goal (%s), see below. What AWS was asked to do goes on by itself: do not undo it by hand.", of(t.Unsettled, "resource"))
		}
		if !r.Stopped() {
			add("Remove the cause, see below.")
		}
		add("%s", again)
		if t.Done > 0 {
			add("Until then the estate is divided: %d of %d resources are at their goal.", t.Done, t.All)
		}
	}
	return steps
}
