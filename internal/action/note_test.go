package action

import (
	"context"
	"testing"
	"time"

	"dr-orchestrator/internal/audit"
)

// caller is a reconciler that makes calls, as the clients note them.
type caller struct {
	calls    []audit.Call
	progress Progress
	err      error
}

func (c caller) Preflight(ctx context.Context, _ Request[parameters]) (Readiness, error) {
	if audit.From(ctx) != nil {
		return Readiness{}, Errorf(Internal, "a preflight has a recorder")
	}
	return Readiness{}, nil
}

func (c caller) Reconcile(ctx context.Context, _ Request[parameters]) (Progress, error) {
	for _, call := range c.calls {
		audit.From(ctx).Note(call)
	}
	return c.progress, c.err
}

// The calls of every invocation travel in the memo; of one without an answer
// it is told that there was one, once.
func TestCallsTravelInTheMemo(t *testing.T) {
	asked := audit.Call{At: noon, Service: "rds", Operation: "PromoteReadReplica", RequestID: "r"}
	silent := noon.Add(-time.Minute)
	for _, tt := range []struct {
		name           string
		drive          Drive
		calls          []audit.Call
		readOnly       bool
		known, unknown int
	}{
		{"no call", Drive{}, nil, false, 0, 0},
		{"a call", Drive{}, []audit.Call{asked}, false, 1, 0},
		{"after a silence", Drive{InterruptedAt: &silent, Interruptions: 1}, nil, false, 0, 1},
		{"after a silence, and a call", Drive{InterruptedAt: &silent, Interruptions: 1}, []audit.Call{asked}, false, 1, 1},
		{"after a silence that is noted", Drive{InterruptedAt: &silent, Interruptions: 1, Memo: map[string]string{memoSilences: "1"}}, nil, false, 0, 0},
		{"after one more", Drive{InterruptedAt: &silent, Interruptions: 3, Memo: map[string]string{memoSilences: "1"}}, nil, false, 0, 1},
		{"of an action that changes nothing", Drive{InterruptedAt: &silent, Interruptions: 1}, nil, true, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := adapter(&stub{})
			a.Reconciler, a.ReadOnly = caller{calls: tt.calls, progress: Progress{Status: InProgress}}, tt.readOnly
			got, class, text := invoke[Answer](t, a, reconcileEvent(tt.drive, StateReady))
			if class != "" {
				t.Fatalf("%s: %s", class, text)
			}
			known, unknown := 0, 0
			calls, _ := audit.Kept(got.Memo)
			for _, c := range calls {
				if c.Known() {
					known++
				} else {
					unknown++
				}
			}
			if known != tt.known || unknown != tt.unknown {
				t.Errorf("%d known, %d unknown, want %d and %d: %v", known, unknown, tt.known, tt.unknown, got.Memo)
			}
		})
	}
}

// The lag that an action looked for last counts: one that it did not learn
// outweighs one from before.
func TestLagInTheMemo(t *testing.T) {
	lag := 1.5
	for _, tt := range []struct {
		name          string
		before        map[string]string
		progress      Progress
		lag, evidence string
	}{
		{"known", nil, Progress{Lag: &lag, Evidence: Evidence{EvidenceLag: "1.5s"}}, "1.5", "1.5s"},
		{"unknown", nil, Progress{Evidence: Evidence{EvidenceLag: "unknown: why"}}, "", "unknown: why"},
		{"unknown after known", map[string]string{MemoLag: "2", MemoLagEvidence: "2s"}, Progress{Evidence: Evidence{EvidenceLag: "unknown: why"}}, "", "unknown: why"},
		{"not looked for any more", map[string]string{MemoLag: "2", MemoLagEvidence: "2s"}, Progress{Evidence: Evidence{"status": "x"}}, "2", "2s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.progress.Status = InProgress
			got, class, text := invoke[Answer](t, adapter(&stub{progress: tt.progress}), reconcileEvent(Drive{Memo: tt.before}, StateReady))
			if class != "" || got.Memo[MemoLag] != tt.lag || got.Memo[MemoLagEvidence] != tt.evidence {
				t.Errorf("%s%s, memo %v", class, text, got.Memo)
			}
		})
	}
}
