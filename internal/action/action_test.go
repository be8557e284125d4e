package action

import (
	"strings"
	"testing"
	"time"

	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) *time.Time { at := noon.Add(-d); return &at }

func TestChangeOr(t *testing.T) {
	for _, tt := range []struct{ a, b, want Change }{
		{ChangeNo, ChangeNo, ChangeNo},
		{ChangeNo, ChangeUnknown, ChangeUnknown},
		{ChangeNo, ChangeYes, ChangeYes},
		{ChangeUnknown, ChangeUnknown, ChangeUnknown},
		{ChangeUnknown, ChangeYes, ChangeYes},
		{ChangeYes, ChangeYes, ChangeYes},
	} {
		if got := tt.a.Or(tt.b); got != tt.want {
			t.Errorf("%s or %s: %s, want %s", tt.a, tt.b, got, tt.want)
		}
		if got := tt.b.Or(tt.a); got != tt.want {
			t.Errorf("%s or %s: %s, want %s", tt.b, tt.a, got, tt.want)
		}
	}
	for change, want := range map[Change]bool{ChangeNo: false, ChangeYes: true, ChangeUnknown: true} {
		if got := change.Happened(); got != want {
			t.Errorf("%s happened: %t, want %t", change, got, want)
		}
	}
}

func TestVerdict(t *testing.T) {
	warning, blocked := Finding{Verdict: VerdictWarning}, Finding{Verdict: VerdictBlocked, Class: Refused}
	for _, tt := range []struct {
		name  string
		ready Readiness
		want  Verdict
	}{
		{"nothing to say", Readiness{Observed: StateReady}, VerdictReady},
		{"done", Readiness{Observed: StateDone}, VerdictDone},
		{"warning", Readiness{Observed: StateReady, Findings: []Finding{warning}}, VerdictWarning},
		{"blocked", Readiness{Observed: StateReady, Findings: []Finding{blocked}}, VerdictBlocked},
		{"blocked first", Readiness{Findings: []Finding{blocked, warning}}, VerdictBlocked},
		{"blocked last", Readiness{Findings: []Finding{warning, blocked}}, VerdictBlocked},
		{"done and blocked", Readiness{Observed: StateDone, Findings: []Finding{blocked}}, VerdictBlocked},
		{"done with a warning", Readiness{Observed: StateDone, Findings: []Finding{warning}}, VerdictWarning},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.ready.Verdict(); got != tt.want {
				t.Errorf("verdict %q, want %q", got, tt.want)
			}
		})
	}
}

func TestUnsure(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   *time.Time
		want bool
	}{
		{"never interrupted", nil, false},
		{"just now", ago(0), true},
		{"within the time to settle", ago(settleTime - time.Second), true},
		{"after it", ago(settleTime), false},
		{"long ago", ago(time.Hour), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := Request[struct{}]{Now: noon, Drive: Drive{InterruptedAt: tt.at}}
			if got := req.Unsure(); got != tt.want {
				t.Errorf("unsure: %t, want %t", got, tt.want)
			}
		})
	}
}

func TestIdle(t *testing.T) {
	for _, tt := range []struct {
		name  string
		asked Asked
		want  Visibility
	}{
		{"nothing asked", Asked{Now: noon}, NotAsked},
		{"nothing asked, and a call without an answer", Asked{Now: noon, Unsure: true}, PerhapsAsked},
		{"asked just now", Asked{Now: noon, Requested: *ago(time.Second)}, NotYetVisible},
		{"asked just now, later call without an answer", Asked{Now: noon, Requested: *ago(time.Second), Unsure: true}, NotYetVisible},
		{"idle for less than the patience", Asked{Now: noon, Requested: *ago(time.Hour), IdleSince: *ago(patience - time.Second)}, NotYetVisible},
		{"idle for the patience", Asked{Now: noon, Requested: *ago(time.Hour), IdleSince: *ago(patience)}, NeverBegan},
		{"asked long ago, seen running until now", Asked{Now: noon, Requested: *ago(time.Hour)}, NotYetVisible},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.asked.Idle(); got != tt.want {
				t.Errorf("visibility %d, want %d", got, tt.want)
			}
		})
	}
}

// The notes of one invocation, read by the next ones: the time of the call
// stays, the time since when nothing runs starts anew whenever something does.
func TestNotes(t *testing.T) {
	memo := map[string]string{}
	look := func(after time.Duration, called, invisible bool) Asked {
		now := noon.Add(after)
		asked := Request[struct{}]{Now: now, Drive: Drive{Memo: memo}}.Asked()
		for name, value := range asked.Note(called, invisible) {
			memo[name] = value
		}
		return Request[struct{}]{Now: now, Drive: Drive{Memo: memo}}.Asked()
	}
	if got := look(0, true, false); !got.Requested.Equal(noon) || !got.IdleSince.IsZero() {
		t.Fatalf("after the call: %+v", got)
	}
	if got := look(20*time.Second, false, true); got.Idle() != NotYetVisible || !got.IdleSince.Equal(noon.Add(20*time.Second)) {
		t.Fatalf("first idle look: %+v", got)
	}
	if got := look(30*time.Second, false, true); !got.IdleSince.Equal(noon.Add(20 * time.Second)) {
		t.Fatalf("second idle look: %+v", got)
	}
	if got := look(40*time.Second, false, false); !got.IdleSince.IsZero() || !got.Requested.Equal(noon) {
		t.Fatalf("running: %+v", got)
	}
	if got := look(200*time.Second, false, true); got.Idle() != NotYetVisible {
		t.Fatalf("idle again: %+v", got)
	}
	if got := look(200*time.Second+patience, false, true); got.Idle() != NeverBegan {
		t.Fatalf("idle for good: %+v", got)
	}
}

// A memo that someone spoilt is as good as none.
func TestNotesSpoilt(t *testing.T) {
	memo := map[string]string{memoRequested: "yesterday", memoIdle: "soon"}
	if got := (Request[struct{}]{Now: noon, Drive: Drive{Memo: memo}}).Asked(); got.Idle() != NotAsked {
		t.Errorf("visibility %d, want %d", got.Idle(), NotAsked)
	}
}

func TestSent(t *testing.T) {
	busy := Mutation("promoting", &rdstypes.InvalidDBInstanceStateFault{})
	req := Request[struct{}]{Now: noon}
	planned := Progress{Status: InProgress, Observed: StateReady, Memo: map[string]string{memoRequested: "x"}}

	got, err := Sent(req, planned, nil)
	if err != nil || !got.Changed || got.Contended {
		t.Errorf("accepted: %+v, %v", got, err)
	}
	for _, class := range Classes {
		if class == Conflict {
			continue
		}
		if got, err := Sent(req, planned, Errorf(class, "no")); ClassOf(err) != class || got.Changed {
			t.Errorf("%s: %+v, %v", class, got, err)
		}
	}

	looks := 0
	for ; looks < 50; looks++ {
		got, err := Sent(req, planned, busy)
		if err != nil {
			if ClassOf(err) != Conflict || got.Changed {
				t.Errorf("in the end: %+v, %v", got, err)
			}
			break
		}
		if got.Changed || !got.Contended || got.Status != InProgress || got.Memo[memoRequested] != "" {
			t.Fatalf("turned away: %+v", got)
		}
		if !strings.Contains(got.Message, "promoting") {
			t.Errorf("message %q does not say what was turned away", got.Message)
		}
		req.Drive.Memo = got.Memo
	}
	if looks != maxConflicts {
		t.Errorf("a conflict was borne with %d times, want %d", looks, maxConflicts)
	}
}
