package action

import (
	"maps"
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
		// What is none of the three says nothing.
		{"", ChangeNo, ChangeUnknown},
		{"maybe", ChangeNo, ChangeUnknown},
		{"maybe", "", ChangeUnknown},
		{"", ChangeYes, ChangeYes},
	} {
		if got := tt.a.Or(tt.b); got != tt.want {
			t.Errorf("%s or %s: %s, want %s", tt.a, tt.b, got, tt.want)
		}
		if got := tt.b.Or(tt.a); got != tt.want {
			t.Errorf("%s or %s: %s, want %s", tt.b, tt.a, got, tt.want)
		}
	}
	for change, want := range map[Change]bool{ChangeNo: false, ChangeYes: true, ChangeUnknown: true, "": true, "maybe": true} {
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
		name  string
		at    *time.Time
		times int
		want  bool
	}{
		{"never interrupted", nil, 0, false},
		{"never interrupted, says one, and yet often, says the other", nil, 9, false},
		{"just now", ago(0), 1, true},
		{"within the time to settle", ago(settleTime - time.Second), 1, true},
		{"within the time to settle, not counted", ago(settleTime - time.Second), 0, true},
		{"after it", ago(settleTime), 1, false},
		{"after it, not counted", ago(settleTime), 0, false},
		{"the third time, within", ago(3*settleTime - time.Second), 3, true},
		{"the third time, after", ago(3 * settleTime), 3, false},
		{"the thousandth time, within the patience", ago(patience - time.Second), 1000, true},
		{"the thousandth time, after it", ago(patience), 1000, false},
		{"long ago", ago(time.Hour), 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := Request[struct{}]{Now: noon, Drive: Drive{InterruptedAt: tt.at, Interruptions: tt.times}}
			if got := req.Unsure(); got != tt.want {
				t.Errorf("unsure: %t, want %t", got, tt.want)
			}
			// An effect shows, or not, however many calls were made.
			if got, want := req.settling(), tt.at != nil && noon.Sub(*tt.at) < settleTime; got != want {
				t.Errorf("settling: %t, want %t", got, want)
			}
		})
	}
}

// What an idle resource means, and what is decided about it. Nothing is decided
// only where no call was made: then the domain's own rules do.
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
			if got := tt.asked.visibility(); got != tt.want {
				t.Errorf("visibility %d, want %d", got, tt.want)
			}
			got, ok := tt.asked.Idle()
			if ok != (tt.want != NotAsked) {
				t.Fatalf("decided: %t, %+v", ok, got)
			}
			want := map[Visibility]Decision{
				NotAsked:      {},
				NotYetVisible: {Move: MoveWait, State: StateUnderWay, Final: true, Phase: PhaseInvisible},
				PerhapsAsked:  {Move: MoveWait, State: StateReady, Final: true, Phase: "confirming"},
				NeverBegan:    {Move: MoveFail, State: StateReady, Class: Terminal, Phase: "cancelled"},
			}[tt.want]
			if ok != (got.Reason != "") {
				t.Errorf("reason %q", got.Reason)
			}
			if got.Reason = ""; got != want {
				t.Errorf("decision %+v, want %+v", got, want)
			}
		})
	}
}

// The notes of one invocation, read by the next ones: the time of the call
// stays, the time since when nothing runs starts anew whenever something does.
func TestNotes(t *testing.T) {
	for _, step := range []string{"", "modifying"} {
		t.Run("step "+step, func(t *testing.T) {
			memo := map[string]string{}
			look := func(after time.Duration, calls, invisible bool) Asked {
				now := noon.Add(after)
				asked := Request[struct{}]{Now: now, Drive: Drive{Memo: memo}}.Asked(step)
				maps.Copy(memo, asked.note(calls, invisible))
				return Request[struct{}]{Now: now, Drive: Drive{Memo: memo}}.Asked(step)
			}
			if got := look(0, true, false); !got.Requested.Equal(noon) || !got.IdleSince.IsZero() {
				t.Fatalf("after the call: %+v", got)
			}
			if got := look(20*time.Second, false, true); got.visibility() != NotYetVisible || !got.IdleSince.Equal(noon.Add(20*time.Second)) {
				t.Fatalf("first idle look: %+v", got)
			}
			if got := look(30*time.Second, false, true); !got.IdleSince.Equal(noon.Add(20 * time.Second)) {
				t.Fatalf("second idle look: %+v", got)
			}
			if got := look(40*time.Second, false, false); !got.IdleSince.IsZero() || !got.Requested.Equal(noon) {
				t.Fatalf("running: %+v", got)
			}
			if got := look(200*time.Second, false, true); got.visibility() != NotYetVisible {
				t.Fatalf("idle again: %+v", got)
			}
			if got := look(200*time.Second+patience, false, true); got.visibility() != NeverBegan {
				t.Fatalf("idle for good: %+v", got)
			}
			// The notes of one call say nothing of another.
			if got := (Request[struct{}]{Now: noon.Add(time.Hour), Drive: Drive{Memo: memo}}).Asked(step + "other"); got.visibility() != NotAsked {
				t.Fatalf("another step: %+v", got)
			}
		})
	}
}

// A memo that someone spoilt is as good as none.
func TestNotesSpoilt(t *testing.T) {
	memo := map[string]string{memoRequested: "yesterday", memoIdle: "soon"}
	if got := (Request[struct{}]{Now: noon, Drive: Drive{Memo: memo}}).Asked(""); got.visibility() != NotAsked {
		t.Errorf("visibility %d, want %d", got.visibility(), NotAsked)
	}
}

func TestSent(t *testing.T) {
	req := Request[struct{}]{Now: noon}
	planned := Progress{Status: InProgress, Observed: StateReady, Memo: map[string]string{memoRequested: "x"}}

	got, err := Sent(req, planned, nil)
	if err != nil || !got.Changed || got.Contended || got.Memo[memoRequested] == "" {
		t.Errorf("accepted: %+v, %v", got, err)
	}
	limits := map[Class]time.Duration{Conflict: conflictTime, InvalidInput: invalidTime}
	for _, class := range Classes {
		failed := Errorf(class, "promoting: no")
		limit, borne := limits[class]
		if !borne {
			if got, err := Sent(req, planned, failed); ClassOf(err) != class || got.Changed || got.Contended {
				t.Errorf("%s: %+v, %v", class, got, err)
			}
			continue
		}
		t.Run(string(class), func(t *testing.T) {
			req := req
			req.Drive.Memo = map[string]string{}
			for _, after := range []time.Duration{0, 4 * time.Second, limit - time.Second} {
				req.Now = noon.Add(after)
				got, err := Sent(req, planned, failed)
				if err != nil || got.Changed || !got.Contended || got.Status != InProgress || got.Memo[memoRequested] != "" {
					t.Fatalf("turned away for %s: %+v, %v", after, got, err)
				}
				if !strings.Contains(got.Message, "promoting") {
					t.Errorf("message %q does not say what was turned away", got.Message)
				}
				req.Drive.Memo = got.Memo
			}
			req.Now = noon.Add(limit)
			if got, err := Sent(req, planned, failed); ClassOf(err) != class || got.Changed || got.Contended {
				t.Errorf("turned away for %s: %+v, %v", limit, got, err)
			}
		})
	}
}

// What is in the way for hours is waited for, but a wrong value is not.
func TestSentPatiently(t *testing.T) {
	req := Request[struct{}]{Now: noon.Add(time.Hour), Drive: Drive{Memo: map[string]string{memoConflict: noon.Format(time.RFC3339)}}}
	for class, borne := range map[Class]bool{Conflict: true, InvalidInput: false, Denied: false} {
		if got, err := Sent(req, Progress{Patient: true}, Errorf(class, "no")); (err == nil) != borne || got.Contended != borne {
			t.Errorf("%s: %+v, %v", class, got, err)
		}
	}
}

// How often a call was turned away counts for nothing, only for how long.
func TestSentOften(t *testing.T) {
	req := Request[struct{}]{Now: noon, Drive: Drive{Memo: map[string]string{}}}
	for n := range 100 {
		got, err := Sent(req, Progress{}, Mutation("promoting", &rdstypes.InvalidDBInstanceStateFault{}))
		if err != nil || !got.Contended {
			t.Fatalf("time %d: %+v, %v", n, got, err)
		}
		req.Drive.Memo = got.Memo
	}
}
