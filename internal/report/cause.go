package report

import (
	"encoding/json"
	"slices"
	"strings"

	"dr-orchestrator/internal/action"
)

// What begins, or stands in, the cause of a run that ended in one of these ways.
const (
	// EndedOutside begins the cause of a run that did not end by itself: it was
	// stopped, it timed out, or Step Functions ended it.
	EndedOutside = "the execution was ended from outside"
	// Declined begins the cause of a run that a person did not let begin.
	Declined = "declined: "
	// Held stands in the cause of a run whose resources another one works on,
	// and HeldWatch before the ARN of that.
	Held      = "held by another run: "
	HeldWatch = "look with: drctl watch "
)

// ClassDeclined is the class of a question that a person answered with no.
const ClassDeclined = "Declined"

// Plain takes the words out of what Lambda makes of the error of a function. It
// may stand within a text, and may have been cut short there.
func Plain(cause string) string {
	at := strings.Index(cause, `{"error`)
	if at < 0 {
		return cause
	}
	head, object := cause[:at], cause[at:]
	var lambda struct {
		Message string `json:"errorMessage"`
	}
	d := json.NewDecoder(strings.NewReader(object))
	if d.Decode(&lambda) == nil && lambda.Message != "" {
		return head + lambda.Message + Plain(object[d.InputOffset():])
	}
	_, text, found := strings.Cut(object, `"errorMessage":`)
	if !found {
		return cause
	}
	if json.NewDecoder(strings.NewReader(text)).Decode(&lambda.Message) == nil {
		return head + lambda.Message // cut after it
	}
	// Cut within it, perhaps within an escape: of two of \u and four digits at most.
	for range len(`\ud83d\ude0`) + 1 {
		if json.Unmarshal([]byte(text+`"`), &lambda.Message) == nil {
			return head + lambda.Message
		}
		text = text[:max(len(text)-1, 0)]
	}
	return cause
}

// Stopped reports a run that did not come to an end of its own.
func (r Record) Stopped() bool { return strings.HasPrefix(r.Cause, EndedOutside) }

// declined reports a run to which a person said no.
func (r Record) declined() bool {
	return strings.HasPrefix(r.Cause, Declined) || r.any(func(x Resource) bool { return x.Error != nil && x.Error.Class == ClassDeclined })
}

// failed reports a run of which a resource failed, of itself.
func (r Record) failed() bool {
	return r.any(func(x Resource) bool {
		return x.Error != nil && x.Error.Class != ClassDeclined && !strings.Contains(x.Error.Message, Held)
	})
}

// holder gives the execution that works on what a run wanted, if one is named,
// and reports whether there is any.
func (r Record) holder() (execution string, held bool) {
	in := func(text string) {
		if held || !strings.Contains(text, Held) {
			return
		}
		held = true
		_, execution, _ = strings.Cut(text, HeldWatch)
		if end := strings.IndexAny(execution, " ;\n"); end >= 0 {
			execution = execution[:end]
		}
	}
	in(r.Cause)
	r.each(func(_ Layer, x Resource) {
		if x.Error != nil {
			in(x.Error.Message)
		}
	})
	return execution, held
}

// unseen reports a run that did not begin because AWS gave no answer about
// something, and that was not told to go on in such a case.
func (r Record) unseen() bool {
	return !r.Run.Disaster && r.any(func(x Resource) bool {
		return slices.ContainsFunc(x.Findings, func(f action.Finding) bool {
			return f.Verdict == action.VerdictBlocked && f.Class == action.Unreachable
		})
	})
}

// silent names what got no answer from Route 53, neither when it was driven nor,
// of what never was, in the preflight.
func (r Record) silent() (names []string) {
	silent := action.OnRoute53.Service + " " + action.NotAnswered
	r.each(func(_ Layer, x Resource) {
		none := x.Error == nil && slices.ContainsFunc(x.Findings, func(f action.Finding) bool { return strings.Contains(f.Message, silent) }) ||
			x.Error != nil && strings.Contains(x.Error.Message, silent)
		if none && x.Status != Done {
			names = append(names, Line(x.ResourceName))
		}
	})
	return names
}

func (r Record) any(is func(Resource) bool) (found bool) {
	r.each(func(_ Layer, x Resource) { found = found || is(x) })
	return found
}
