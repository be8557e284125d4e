// Package audit notes the AWS calls that change something, for the report of a
// run. The clients note into a Recorder that the context carries; what carries
// none, as the steps of a run, notes nothing.
package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// Call is one AWS call that changed something, or that may have.
type Call struct {
	At time.Time `json:"at"` // when it was sent
	// Service and Operation are as AWS names them, such as rds and
	// PromoteReadReplica. Both are empty where the invocation that made the
	// call ended without an answer: then nobody knows whether it made one.
	Service   string `json:"service,omitempty"`
	Operation string `json:"operation,omitempty"`
	RequestID string `json:"requestId,omitempty"` // empty: no answer came
	Error     string `json:"error,omitempty"`     // empty: AWS accepted it
}

// Known reports whether it is known which call this was.
func (c Call) Known() bool { return c.Operation != "" }

// Recorder collects the calls of one invocation.
type Recorder struct {
	Now func() time.Time
	// Late has every call that would change something turned away before it is
	// sent: past its time limit an action only looks.
	Late bool
	// TurnedAway says that one was.
	TurnedAway bool
	calls      []Call
}

// ErrLate is the error of a call that was turned away.
var ErrLate = errors.New("past its time limit nothing is begun")

// Note adds a call.
func (r *Recorder) Note(c Call) { r.calls = append(r.calls, c) }

// Calls gives what was noted, in its order.
func (r *Recorder) Calls() []Call { return r.calls }

type key struct{}

// With gives a context that carries a recorder.
func With(ctx context.Context, r *Recorder) context.Context { return context.WithValue(ctx, key{}, r) }

// From gives the recorder of a context; nil: it carries none.
func From(ctx context.Context) *Recorder {
	r, _ := ctx.Value(key{}).(*Recorder)
	return r
}

// Most is how many calls are kept of one resource, and mostText how many bytes
// of what AWS said about one. The notes travel through the state machine, whose
// limit is 256 KiB for everything.
const (
	Most     = 20
	mostText = 200
)

// The notes in a memo: one a call, and how many found no room.
const (
	prefix  = "call"
	dropped = "callsDropped"
)

// Keep writes calls into a memo, behind those that it has. Where there are too
// many, calls that AWS turned away make room first: they changed nothing.
func Keep(memo map[string]string, calls ...Call) {
	if len(calls) == 0 {
		return
	}
	all, lost := Kept(memo)
	for _, c := range calls {
		c.At = c.At.UTC().Truncate(time.Millisecond)
		c.Error = shortened(c.Error)
		all = append(all, c)
	}
	for len(all) > Most {
		away := max(slices.IndexFunc(all, func(c Call) bool { return c.Error != "" && c.RequestID != "" }), 0)
		all = slices.Delete(all, away, away+1)
		lost++
	}
	for i, c := range all {
		note, err := json.Marshal(c)
		if err != nil {
			panic(err) // texts and a time of this era
		}
		memo[fmt.Sprintf("%s%02d", prefix, i+1)] = string(note)
	}
	if lost > 0 {
		memo[dropped] = fmt.Sprint(lost)
	}
}

// Kept reads the calls of a memo, in their order, and how many found no room.
// A note that cannot be read counts as one of those.
func Kept(memo map[string]string) (calls []Call, lost int) {
	for i := range Most {
		note, ok := memo[fmt.Sprintf("%s%02d", prefix, i+1)]
		if !ok {
			continue
		}
		var c Call
		if json.Unmarshal([]byte(note), &c) != nil {
			lost++
			continue
		}
		calls = append(calls, c)
	}
	slices.SortStableFunc(calls, func(a, b Call) int { return a.At.Compare(b.At) })
	var more int
	if _, err := fmt.Sscan(memo[dropped], &more); err == nil {
		lost += more
	}
	return calls, lost
}

func shortened(s string) string {
	if len(s) <= mostText {
		return s
	}
	end := mostText
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
