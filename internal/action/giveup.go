package action

import (
	"cmp"
	"errors"
	"strings"
	"time"

	"github.com/aws/smithy-go"
)

// GivesUp says how long the silence of one service is borne, where it is known
// not to pass soon and something else does without it.
type GivesUp struct {
	Service string // as the SDK calls it, as in "Route 53"
	After   time.Duration
	Instead string // what to do, for a person
}

// NotAnswered stands in an error, after the name of the service that
// Adapter.GivesUp names, where that one was silent.
const NotAnswered = "has not answered"

// OnRoute53 is when to give the control plane of Route 53 up. It stands in
// us-east-1 for all regions and is away with it for hours, or for the hour that
// accelerated recovery takes; a run that waits for it says nothing meanwhile.
var OnRoute53 = &GivesUp{Service: "Route 53", After: 10 * time.Minute, Instead: "SetRoutingControl and SetSwitch move traffic without its control plane"}

// changeNotAnswered is said of a service that answers looks, perhaps, and no change.
const changeNotAnswered = NotAnswered + " a change"

// quiet begins what is said of the service that may be given up; the time since
// when follows.
func (a *Adapter[P]) quiet(what string) string { return a.GivesUp.Service + " " + what + " since " }

// since reads the time out of what the last invocation failed with; zero: it did
// not, or with something else.
func (a *Adapter[P]) since(req Request[P], what string) time.Time {
	_, text, _ := strings.Cut(req.Drive.Failed, a.quiet(what))
	t, err := time.Parse(time.RFC3339, text[:min(len(text), len("2006-01-02T15:04:05Z"))])
	if err != nil || req.Drive.Redriven { // nobody asks while a run is stopped
		return time.Time{}
	}
	return t
}

// givenUp ends the wait for a service that has been silent for too long, counted
// from the first look in a row that it left without an answer. An error carries
// no memo, but the machine brings the last one back: so an error tells since
// when, and whatever came between two of them ends the row. A change that had no
// answer may have been made, and is looked for first: step ends that wait.
func (a *Adapter[P]) givenUp(req Request[P], err error) error {
	switch {
	case a.silent(err, OutcomeUnknown):
		since, _ := a.untaken(req)
		return Errorf(OutcomeUnknown, "%s%s: %w", a.quiet(changeNotAnswered), cmp.Or(since, req.Now.UTC()).Format(time.RFC3339), err)
	case !a.silent(err, Unreachable):
		return err
	}
	since := cmp.Or(a.since(req, NotAnswered), req.Now.UTC())
	silent := a.quiet(NotAnswered) + since.Format(time.RFC3339)
	if req.Now.Sub(since) < a.GivesUp.After {
		return Errorf(Unreachable, "%s: %w", silent, err)
	}
	return Errorf(Terminal, "%s, and is not waited for any longer: %s; the last: %w", silent, a.GivesUp.Instead, err)
}

// The notes of changes in a row that had no answer, when the first and the last
// of them ended: for the looks between two changes, which have their answers.
const (
	memoUntaken     = "untakenSince"
	memoUntakenLast = "untakenUntil"
)

// untaken is when the first and the last change in a row ended that had no
// answer; zero: there is none.
func (a *Adapter[P]) untaken(req Request[P]) (since, until time.Time) {
	switch {
	case a.GivesUp == nil:
	case req.Drive.Failed == "":
		return req.memoTime(memoUntaken), req.memoTime(memoUntakenLast)
	case req.Drive.InterruptedAt != nil:
		return a.since(req, changeNotAnswered), *req.Drive.InterruptedAt
	}
	return since, until
}

func (a *Adapter[P]) noteUntaken(memo map[string]string, req Request[P], progress Progress) {
	delete(memo, memoUntaken)
	delete(memo, memoUntakenLast)
	if since, until := a.untaken(req); !since.IsZero() && !progress.Changed && !progress.Contended {
		memo[memoUntaken], memo[memoUntakenLast] = since.Format(time.RFC3339), until.Format(time.RFC3339)
	}
}

// silent reports an error of a class that comes of no answer by the service which
// may be given up.
func (a *Adapter[P]) silent(err error, class Class) bool {
	var call *smithy.OperationError
	return a.GivesUp != nil && ClassOf(err) == class && errors.As(err, &call) && call.Service() == a.GivesUp.Service
}
