package report

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"dr-orchestrator/internal/action"
)

// planned reports a run that was to look and to change nothing.
func (r Record) planned() bool { return r.Mode == "plan" }

// Tally counts the resources of a record by where they stand.
type Tally struct {
	All       int
	Done      int // at the goal
	Moved     int // of those, brought there by this run
	Came      int // of those, seen short of the goal by this run, and not changed by it
	Unfenced  int // fences that the run went on without; counted as nothing else but All
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
			case x.unfenced():
				t.Unfenced++
			case x.Status == Done:
				t.Done++
				switch {
				case x.Changed:
					t.Moved++
				case !x.stood():
					t.Came++
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

// unfenced reports a fence that could not be proved, which the run went on without.
func (x Resource) unfenced() bool {
	return x.Purpose == action.Fences && x.Status == Done && x.Evidence["fence"] == "unknown"
}

// stood reports a resource that was at its goal before the run began, and was not
// touched.
func (x Resource) stood() bool {
	return x.Status == Done && !x.Changed && x.Polls <= 1 && x.Before != action.StateBusy && x.Before != action.StateUnderWay
}

// Headline is the end of a run in a few words.
func (r Record) Headline() string {
	_, held := r.holder()
	switch {
	case r.planned() && r.Outcome == Succeeded:
		return "Ready: nothing stands in the way"
	case r.planned():
		return "Not ready: something stands in the way"
	case r.Outcome == Succeeded:
		return r.success()
	case r.Outcome == Refused && r.declined():
		return "Declined: a person said no, and nothing was changed"
	case r.Outcome == Refused && held:
		return "Held: another run is at work on it, and nothing was changed"
	case r.Outcome == Refused:
		return "Refused: a safety rule said no, and nothing was changed"
	case r.Stopped() && r.Outcome == FailedClean:
		return "Stopped: nothing was changed"
	case r.Stopped():
		return "Stopped half way: something was changed, or may have been"
	case r.declined() && r.Outcome == FailedDirty && !r.failed():
		return "Declined half way: something was changed, or may have been"
	case r.Outcome == FailedClean:
		return "Failed: nothing was changed"
	}
	return "Failed half way: something was changed, or may have been"
}

// success is the headline of a run that reached its goal: what it was for, the
// most of it first.
func (r Record) success() string {
	t := r.Tally()
	end := ": every resource is at its goal"
	if t.Optional > 0 {
		end = fmt.Sprintf(": but for %s, everything is at its goal", of(t.Optional, "optional resource"))
	}
	switch took := r.done(action.TakesOver); {
	case t.All > 0 && t.Done == 0:
		return "Nothing done: nothing is at its goal, and the run may do without it"
	case len(took) > 0 && t.Moved+t.Came == 0:
		return "Nothing to recover" + end + ", and was before"
	}
	for _, of := range []struct {
		purpose action.Purpose
		words   string
	}{
		{action.TakesOver, "Recovered"}, {action.Protects, "Protected again"}, {action.MovesTraffic, "Traffic moved"},
		{action.Fences, "Done"}, {action.MovesJobs, "Done"}, {action.Checks, "Checked"}, {action.Asks, "Approved"},
	} {
		if slices.ContainsFunc(r.done(of.purpose), func(x Resource) bool { return of.purpose != action.TakesOver || !x.stood() }) {
			return of.words + end
		}
	}
	return "Done" + end
}

// done gives what is at its goal, of what is for a purpose.
func (r Record) done(purpose action.Purpose) (all []Resource) {
	r.each(func(_ Layer, x Resource) {
		if x.Status == Done && x.Purpose == purpose {
			all = append(all, x)
		}
	})
	return all
}

// named names resources.
func named(all []Resource) string {
	var names []string
	for _, x := range all {
		names = append(names, Line(x.ResourceName))
	}
	return some(names)
}

// described names resources, and says of each how it was seen last.
func described(all []Resource) string {
	var texts []string
	for _, x := range all {
		texts = append(texts, Line(strings.TrimSuffix(x.ResourceName+": "+x.Message, ": ")))
	}
	return some(texts)
}

// isFor reports whether a run is for a purpose, whatever became of it.
func (r Record) isFor(purpose action.Purpose) bool {
	return r.any(func(x Resource) bool { return x.Purpose == purpose })
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
	case r.Outcome == Succeeded && t.Done+t.Unfenced == t.All:
		came := ""
		if t.Came > 0 {
			came = fmt.Sprintf(" %d came there while it ran,", t.Came)
		}
		head, loose := all(t.All), ""
		if t.Unfenced > 0 {
			head, loose = fmt.Sprintf("%d of %d resources are", t.Done, t.All), fmt.Sprintf(" %d could not be fenced: two writers may serve.", t.Unfenced)
		}
		return fmt.Sprintf("%s at the goal in %s: %d brought there by this run,%s %d there before.%s", head, r.Run.Region, t.Moved, came, t.Done-t.Moved-t.Came, loose)
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

// input is what drctl is to start again: a stored payload by its name, and of
// one that came with the start whoever has the file knows which it is.
func (r Record) input() string {
	if r.Source == "" {
		return "FILE"
	}
	return "--stored " + strings.TrimSuffix(path.Base(r.Source), ".json")
}

// flags are those with which drctl finds the machine of the run again.
func (r Record) flags() string {
	flags := ""
	if r.Run.Machine != "" {
		flags += " --machine " + r.Run.Machine
	}
	if parts := strings.Split(r.Run.Execution, ":"); len(parts) > 6 {
		if prefix, ok := strings.CutSuffix(parts[6], "-"+r.Run.Machine); ok && prefix != defaultPrefix {
			flags += " --name " + prefix
		}
	}
	return flags + " --region " + r.Run.Region
}

// defaultPrefix is the prefix of a deployment that drctl takes without --name.
const defaultPrefix = "dr-orchestrator"

// Next says what there is to do now, the first thing first. A command stands
// at the end of its line, after a colon.
func (r Record) Next() []string {
	t := r.Tally()
	var steps []string
	add := func(format string, args ...any) { steps = append(steps, fmt.Sprintf(format, args...)) }
	if names := r.writeless(); names != "" {
		add("Nobody can write: %s. Go on at once, or give the fenced one back (FenceOldPrimary with Method Release, docs/runbooks/switchback.md).", names)
	}
	again := "Start the same payload again; every resource is looked at first, and what is at its goal is left alone: " + r.Resume()
	if t.All == 0 && len(r.Problems) > 0 {
		machine := ""
		if r.Run.Machine != "" {
			machine = " --machine " + r.Run.Machine
		}
		add("Correct the payload: each problem stands below, with its place. Check it with: drctl validate FILE%s", machine)
		return steps
	}
	holder, held := r.holder()
	switch {
	case r.planned() && r.Outcome == Succeeded:
		if t.Warnings > 0 {
			add("Read what was found (%d).", t.Warnings)
		}
		add("When it is time, start the same payload with Options.Mode run: drctl start %s%s", r.input(), r.flags())
	case r.planned():
		steps = append(steps, r.silence()...)
		add("Remove what stands in the way, see below.")
		if r.Source != "" {
			add("Look again: %s", r.Resume())
		} else {
			add("Look again: drctl plan FILE%s", r.flags())
		}
	case r.Outcome == Succeeded:
		steps = append(steps, r.achieved(t)...)
	case r.Outcome == Refused && r.declined():
		add("Talk to who said no: name and reason stand below.")
		add("When that is settled, start the same payload again: %s", r.Resume())
	case r.Outcome == Refused && held:
		steps = append(steps, wait(holder))
		add("%s", again)
	case r.Outcome == Refused:
		add("Read what was refused and why, below. The rule protects data: wait until it is content, or change the limit in the payload knowingly.")
		add("%s", again)
	case r.Outcome == FailedClean && r.Stopped():
		add("%s", again)
	case r.Outcome == FailedClean:
		steps = append(steps, r.silence()...)
		add("Remove the cause, see below.")
		add("%s", again)
	default:
		if t.Unsettled > 0 {
			add("Look at what is changed and not at its goal (%s), see below. What AWS was asked to do goes on by itself: do not undo it by hand.", of(t.Unsettled, "resource"))
		}
		steps = append(steps, r.silence()...)
		if held {
			steps = append(steps, wait(holder))
		}
		if r.declined() {
			add("Talk to who said no to the rest: name and reason stand below.")
		}
		if !r.Stopped() && (r.failed() || !held && !r.declined()) {
			add("Remove the cause, see below.")
		}
		add("%s", again)
		if t.Done > 0 {
			add("Until then the estate is divided: %d of %d resources are at their goal.", t.Done, t.All)
		}
	}
	return steps
}

// writeless names what is fenced while something has not taken over: both may be
// of the same data.
func (r Record) writeless() string {
	var fenced, not []Resource
	r.each(func(_ Layer, x Resource) {
		switch {
		case x.Purpose == action.Fences && (x.Status == Done && x.Evidence["fence"] == "fenced" || x.Status != Done && x.Before == action.StateDone):
			fenced = append(fenced, x)
		case x.Purpose == action.TakesOver && x.Status != Done && x.Before != action.StateDone:
			not = append(not, x)
		}
	})
	if r.planned() || r.Outcome == Succeeded || len(fenced) == 0 || len(not) == 0 {
		return ""
	}
	return fmt.Sprintf("the fence is shut (%s), and nothing has taken over (%s)", named(fenced), named(not))
}

// wait is what to do while another run works on the same.
func wait(holder string) string {
	const text = "Wait until the other run has ended, or talk to who started it (CloudTrail tells, by StartExecution)"
	if holder == "" {
		return text + "."
	}
	return text + ": drctl watch " + holder
}

// silence is what to do where AWS gave no answer.
func (r Record) silence() (steps []string) {
	if r.unseen() {
		steps = append(steps, "If it is the other region that gives no answer, because it is lost: set Options.Disaster to true in the payload. The run then goes on where nothing answers, and what was not replicated may be given up.")
	}
	if names := r.silent(); len(names) > 0 {
		steps = append(steps, fmt.Sprintf("What is to move the traffic got no answer (%s). The control plane of Route 53 stands in us-east-1: docs/dns.md names the ways that do without it, as SetRoutingControl and SetSwitch.", some(names)))
	}
	return steps
}

// fewStood is of how many resources it is said that they were at their goal
// before.
const fewStood = 5

// warned gives the warnings of the preflight about a resource.
func (x Resource) warned() string {
	text := ""
	for _, f := range x.Findings {
		if f.Verdict == action.VerdictWarning {
			text += " " + Line(f.Message) + "."
		}
	}
	return text
}

// achieved is what is left to a person after a run that reached its goal: what
// that is depends on what the run was for.
func (r Record) achieved(t Tally) (steps []string) {
	add := func(format string, args ...any) { steps = append(steps, fmt.Sprintf(format, args...)) }
	took, traffic := len(r.done(action.TakesOver)) > 0, r.done(action.MovesTraffic)
	r.each(func(_ Layer, x Resource) {
		if x.Purpose == action.TakesOver && x.stood() {
			add("See that %s holds what it should, before anything else: it was at its goal before this run, which has moved nothing there.%s", Line(x.ResourceName), x.warned())
		}
	})
	if len(steps) > fewStood {
		steps = append(steps[:fewStood], fmt.Sprintf("And so of %d more, see below.", len(steps)-fewStood))
	}
	switch {
	case len(traffic) > 0:
		add("See that the applications work where the traffic leads now (%s).", named(traffic))
	case took:
		add("Direct the applications to %s, and see that they work.", r.Run.Region)
	}
	if t.Unfenced > 0 {
		var loose []Resource
		r.each(func(_ Layer, x Resource) {
			if x.unfenced() {
				loose = append(loose, x)
			}
		})
		add("Fence what could not be, as soon as its region answers, for two writers may serve (%s): docs/runbooks/failover.md, After it.", named(loose))
	}
	if t.Behind > 0 {
		add("Find out what was lost: up to %g s of writes, on %s, see RPO.", t.WorstRPO, of(t.Behind, "resource"))
	}
	if t.Unknown > 0 {
		add("Find out what was lost on %s: how far behind its source each was is not known, see RPO.", of(t.Unknown, "resource"))
	}
	if copies := r.done(action.Protects); len(copies) > 0 {
		if !took {
			add("Leave the applications where they are: what was made in %s only follows what serves (%s).", r.Run.Region, named(copies))
		}
		add("See what became of the old primary, if there was one, and what is to be done with it: docs/runbooks/failback.md.")
	}
	if fences := r.done(action.Fences); len(fences) > 0 && !took {
		add("See what is fenced and what is given back (%s), and that the applications work with what serves.", described(fences))
	}
	if jobs := r.done(action.MovesJobs); len(jobs) > 0 {
		add("See that consumers and schedules run on one side only (%s).", named(jobs))
	}
	if t.Optional > 0 {
		add("Look after what is optional and not at its goal (%s), see below.", of(t.Optional, "resource"))
	}
	switch {
	case len(steps) > 0:
	case t.All == 0 || r.isFor(""): // nothing is known of it, or not what it was for
		add("See that the applications work.")
	default:
		add("See what was found (%s). The run only looked: it moved nothing.", described(slices.Concat(r.done(action.Checks), r.done(action.Asks))))
	}
	return steps
}
