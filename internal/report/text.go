package report

import (
	"fmt"
	"strings"

	"dr-orchestrator/internal/action"
)

// mostTold bounds a message: SNS takes 256 KiB, and a person less.
const mostTold = 100

// Text tells a record to a person in a few lines, the state of things and what
// to do first.
func (r Record) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s after %.0f s: %s\n", r.Outcome, r.DurationSeconds, r.Meaning())
	b.WriteString(r.Outlook())
	if r.Cause != "" {
		fmt.Fprintf(&b, "%s\n", r.Cause)
	}
	b.WriteString(r.Answers())
	told := 0
	for _, layer := range r.Layers {
		for _, x := range layer.Resources {
			if told++; told == mostTold {
				b.WriteString("- and more; the report has them all\n")
			}
			if told >= mostTold {
				continue
			}
			fmt.Fprintf(&b, "- layer %d, %s: %s", layer.Layer, Line(x.ResourceName), x.Status)
			if x.Changed {
				b.WriteString(" (changed)")
			}
			b.WriteString(x.loss())
			if x.Error != nil {
				fmt.Fprintf(&b, ": %s: %.500s", x.Error.Class, x.Error.Message)
			}
			b.WriteString("\n")
		}
	}
	return Printable(b.String())
}

// Outlook tells in what state the run has left the estate, and what to do next.
// It goes before everything that is told of single resources: there may be
// hundreds.
func (r Record) Outlook() string {
	var b strings.Builder
	fmt.Fprintf(&b, "The estate: %s\n", r.State())
	if steps := r.Next(); len(steps) > 0 {
		b.WriteString("What to do next:\n")
		for i, step := range steps {
			fmt.Fprintf(&b, "  %d. %s\n", i+1, step)
		}
	}
	return b.String()
}

// Meaning says in one sentence what the end of this run means.
func (r Record) Meaning() string {
	switch t := r.Tally(); {
	case r.Outcome != Succeeded:
	case r.planned():
		return "nothing stands in the way. Planned only, nothing was changed."
	case t.Unfenced > 0 && t.Optional == 0:
		return fmt.Sprintf("every resource is proved to be at its goal, but for %s.", of(t.Unfenced, "fence"))
	case t.Optional > 0:
		return fmt.Sprintf("%d of %d resources are proved to be at their goal; the run may do without the others.", t.Done, t.All)
	}
	return r.Outcome.Meaning()
}

// Answers tells what people were asked in a run, and what each of them said.
func (r Record) Answers() string {
	var b strings.Builder
	if r.Approval != "" {
		fmt.Fprintf(&b, "Before the first change: %s\n", r.Approval)
	}
	r.each(func(l Layer, x Resource) {
		if x.Purpose == action.Asks && x.Status != Skipped {
			fmt.Fprintf(&b, "Asked in layer %d, %s\n", l.Layer, Line(x.asked()))
		}
	})
	return b.String()
}

// asked is a question, with its answer if there was one.
func (x Resource) asked() string {
	text := x.ResourceName
	for _, more := range []string{x.Question, x.Message} {
		if more != "" {
			text += ": " + more
		}
	}
	return text
}

// loss tells, of a resource that was changed, how far behind its source it was
// before the run acted: what may be lost. Nothing is said of one that has no
// lag, as after a switchover.
func (x Resource) loss() string {
	switch {
	case x.RPO == nil:
		return ""
	case x.RPO.Seconds == nil:
		return fmt.Sprintf("; %s: %.300s: how much was lost (RPO) is not known", action.LagUnknown, x.RPO.Unknown)
	}
	return fmt.Sprintf("; replication lag before acting (RPO) %g s", *x.RPO.Seconds)
}

// Meaning says in one sentence what an outcome means for whoever is on duty.
func (o Outcome) Meaning() string {
	switch o {
	case Succeeded:
		return "every resource is proved to be at its goal."
	case Refused:
		return "a safety rule, another run or a person said no; nothing was changed."
	case FailedClean:
		return "the run failed; nothing was changed."
	default:
		return "the run failed and something was changed, or may have been; start the same payload again to carry on."
	}
}
