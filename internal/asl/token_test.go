package asl

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// waiting is a Task that hands its token to a function and waits for an
// answer, as long as its input says.
const waiting = `"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken",
	"Arguments":{"FunctionName":"ask","Payload":{"token":"{% $states.context.Task.Token %}"}},
	"TimeoutSeconds":"{% $states.input.seconds %}","Output":{"got":"{% $states.result %}"},"Next":"Z",
	"Catch":[{"ErrorEquals":["States.Timeout"],"Next":"Late"},{"ErrorEquals":["States.ALL"],"Next":"No","Output":"{% $states.errorOutput.Error & ': ' & $states.errorOutput.Cause %}"}]},
	"Z":{"Type":"Succeed"},"No":{"Type":"Succeed"},"Late":{"Type":"Succeed","Output":"late"}`

func TestWaitForTaskToken(t *testing.T) {
	const asked, calledBack = "ExecutionStarted TaskStateEntered TaskScheduled", " TaskStateExited SucceedStateEntered SucceedStateExited ExecutionSucceeded"
	type task = func(context.Context, TaskCall) (any, error)
	w := (*world)(nil) // the world of the row that runs
	after := func(d time.Duration, answer any, failure error) task {
		return func(ctx context.Context, _ TaskCall) (any, error) {
			if err := w.Sleep(ctx, d); err != nil {
				return nil, err
			}
			return answer, failure
		}
	}
	late := func(d time.Duration) task {
		return func(ctx context.Context, call TaskCall) (any, error) { return w.slow(d)(ctx, call) }
	}
	tests := map[string]struct {
		call, answer task
		want         string
		wantKinds    string
		wantTime     time.Duration
		wantLeft     time.Duration // of the time limit when the wait begins
	}{
		"success": {after(0, "asked", nil), after(time.Minute, map[string]any{"decision": "approved"}, nil),
			`{"got":{"decision":"approved"}}`, asked + " TaskSubmitted TaskSucceeded" + calledBack, time.Minute, 90 * time.Second},
		"failure": {after(0, "asked", nil), after(time.Minute, nil, &Error{Name: "Declined", Cause: "not today"}),
			`"Declined: not today"`, asked + " TaskSubmitted TaskFailed" + calledBack, time.Minute, 90 * time.Second},
		"timeout": {after(0, "asked", nil), late(time.Hour),
			`"late"`, asked + " TaskSubmitted TaskTimedOut" + calledBack, 90 * time.Second, 90 * time.Second},
		"the call counts": {after(time.Minute, "asked", nil), late(time.Hour),
			`"late"`, asked + " TaskSubmitted TaskTimedOut" + calledBack, 90 * time.Second, 30 * time.Second},
		"the call takes it all": {after(90*time.Second, "asked", nil), nil,
			`"late"`, asked + " TaskSubmitted TaskTimedOut" + calledBack, 90 * time.Second, 0},
		"the call fails": {after(0, nil, &Error{Name: "Denied", Cause: "no"}), nil,
			`"Denied: no"`, asked + " TaskFailed" + calledBack, 0, 0},
		"the call times out": {late(time.Hour), nil,
			`"late"`, asked + " TaskTimedOut" + calledBack, 90 * time.Second, 0},
		"no JSON comes": {after(0, "asked", nil), after(0, json.RawMessage(`{`), nil),
			`FAILED States.Runtime`, asked + " TaskSubmitted TaskFailed ExecutionFailed", 0, 90 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w = newWorld()
			var left time.Duration
			w.tasks["A"] = tt.call
			w.answers["A"] = func(ctx context.Context, call TaskCall) (any, error) {
				if left = call.Timeout; tt.answer == nil || call.Token != "uuid-1" {
					t.Errorf("waits for %q", call.Token)
					return nil, nil
				}
				return tt.answer(ctx, call)
			}
			got := end(w.run(t, machine(t, waiting), `{"seconds":90}`))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.wantKinds, w.kinds()); diff != "" {
				t.Error(diff)
			}
			if took := w.now.Sub(epoch); took != tt.wantTime || left != tt.wantLeft {
				t.Errorf("took %v, want %v; %v left to wait, want %v", took, tt.wantTime, left, tt.wantLeft)
			}
			if args := string(w.calls[0].Arguments); !strings.Contains(args, `"token":"uuid-1"`) {
				t.Errorf("the function is called with %s", args)
			}
		})
	}
}

// Each attempt has a token of its own, and one that has none waits for nothing.
func TestEachAttemptHasItsToken(t *testing.T) {
	w := newWorld()
	w.answers["A"] = fails("E")
	m := machine(t, `"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","Retry":[{"ErrorEquals":["E"]}],"Next":"B"},
		"B":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Output":"{% $exists($states.context.Task.Token) %}","End":true}`)
	if got := end(w.run(t, m, `{}`)); got != `false` {
		t.Error(got)
	}
	tokens := make([]string, len(w.calls))
	for i, call := range w.calls {
		tokens[i] = call.Token
	}
	if diff := cmp.Diff([]string{"uuid-1", "uuid-2", ""}, tokens); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(w.kinds(), string(TaskSubmitted)); n != 2 {
		t.Errorf("%d waits begun, want 2", n)
	}
}

func TestAStopEndsTheWaitForAToken(t *testing.T) {
	for name, during := range map[string]func(*world, func(context.Context, TaskCall) (any, error)){
		"in the wait": func(w *world, stop func(context.Context, TaskCall) (any, error)) { w.answers["A"] = stop },
		"in the call": func(w *world, stop func(context.Context, TaskCall) (any, error)) { w.tasks["A"] = stop },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			ctx, cancel := context.WithCancel(t.Context())
			during(w, func(context.Context, TaskCall) (any, error) {
				cancel()
				return "too late", nil
			})
			r := Run(ctx, machine(t, waiting), Execution{Input: json.RawMessage(`{"seconds":90}`)}, w)
			if diff := cmp.Diff(Result{Status: StatusAborted, FinalState: "A"}, r); diff != "" {
				t.Error(diff)
			}
			if !strings.HasSuffix(w.kinds(), "ExecutionAborted") || strings.Contains(w.kinds(), "TaskSucceeded") {
				t.Error(w.kinds())
			}
		})
	}
}
