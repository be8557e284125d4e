package asl

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRetryAndCatch(t *testing.T) {
	tests := map[string]struct {
		fields    string // of the task T, which may go to Z, Y or X
		errors    []string
		chance    float64
		want      string
		wantCalls int
		wantTime  time.Duration
	}{
		"no handler":         {``, []string{"E"}, 0, `FAILED E`, 1, 0},
		"defaults":           {`"Retry":[{"ErrorEquals":["E"]}]`, []string{"E", "E", "E"}, 0, `"done"`, 4, 7 * time.Second},
		"defaults used up":   {`"Retry":[{"ErrorEquals":["E"]}]`, []string{"E", "E", "E", "E"}, 0, `FAILED E`, 4, 7 * time.Second},
		"no attempts":        {`"Retry":[{"ErrorEquals":["E"],"MaxAttempts":0},{"ErrorEquals":["States.ALL"]}]`, []string{"E"}, 0, `FAILED E`, 1, 0},
		"interval and rate":  {`"Retry":[{"ErrorEquals":["E"],"IntervalSeconds":4,"BackoffRate":1.5}]`, []string{"E", "E"}, 0, `"done"`, 3, 10 * time.Second},
		"longest delay":      {`"Retry":[{"ErrorEquals":["E"],"IntervalSeconds":4,"MaxDelaySeconds":6,"MaxAttempts":5}]`, []string{"E", "E", "E"}, 0, `"done"`, 4, 16 * time.Second},
		"endless growth":     {`"Retry":[{"ErrorEquals":["E"],"BackoffRate":1e300,"MaxAttempts":2}]`, []string{"E", "E"}, 0, `"done"`, 3, (1 + maxTimeout) * time.Second},
		"jitter low":         {`"Retry":[{"ErrorEquals":["E"],"IntervalSeconds":4,"JitterStrategy":"FULL"}]`, []string{"E", "E"}, 0, `"done"`, 3, 0},
		"jitter half":        {`"Retry":[{"ErrorEquals":["E"],"IntervalSeconds":4,"JitterStrategy":"FULL"}]`, []string{"E", "E"}, 0.5, `"done"`, 3, 6 * time.Second},
		"jitter of the cap":  {`"Retry":[{"ErrorEquals":["E"],"IntervalSeconds":4,"MaxDelaySeconds":6,"JitterStrategy":"FULL"}]`, []string{"E", "E"}, 0.5, `"done"`, 3, 5 * time.Second},
		"no jitter":          {`"Retry":[{"ErrorEquals":["E"],"IntervalSeconds":4,"JitterStrategy":"NONE"}]`, []string{"E"}, 0.5, `"done"`, 2, 4 * time.Second},
		"each its own count": {`"Retry":[{"ErrorEquals":["E","F"],"MaxAttempts":2},{"ErrorEquals":["G"],"IntervalSeconds":5,"MaxAttempts":1}]`, []string{"E", "F", "G"}, 0, `"done"`, 4, 8 * time.Second},
		"count of the first": {`"Retry":[{"ErrorEquals":["E","F"],"MaxAttempts":2},{"ErrorEquals":["G"]}],"Catch":[{"ErrorEquals":["States.ALL"],"Next":"Y"}]`, []string{"E", "F", "G", "E"}, 0, `["Y",{"Cause":"because","Error":"E"}]`, 4, 4 * time.Second},

		"catch in order":         {`"Catch":[{"ErrorEquals":["F"],"Next":"X"},{"ErrorEquals":["E"],"Next":"Y"},{"ErrorEquals":["States.ALL"],"Next":"X"}]`, []string{"E"}, 0, `["Y",{"Cause":"because","Error":"E"}]`, 1, 0},
		"first catcher wins":     {`"Catch":[{"ErrorEquals":["States.TaskFailed"],"Next":"X"},{"ErrorEquals":["E"],"Next":"Y"}]`, []string{"E"}, 0, `["X",{"Cause":"because","Error":"E"}]`, 1, 0},
		"none catches":           {`"Catch":[{"ErrorEquals":["F"],"Next":"X"}]`, []string{"E"}, 0, `FAILED E`, 1, 0},
		"TaskFailed, no timeout": {`"Catch":[{"ErrorEquals":["States.TaskFailed"],"Next":"X"},{"ErrorEquals":["States.ALL"],"Next":"Y"}]`, []string{"States.Timeout"}, 0, `["Y",{"Cause":"because","Error":"States.Timeout"}]`, 1, 0},
		"catch of a timeout":     {`"Catch":[{"ErrorEquals":["States.Timeout"],"Next":"Y"}]`, []string{"States.Timeout"}, 0, `["Y",{"Cause":"because","Error":"States.Timeout"}]`, 1, 0},
		"Runtime by name":        {`"Catch":[{"ErrorEquals":["States.Runtime"],"Next":"X"},{"ErrorEquals":["States.ALL"],"Next":"Y"}]`, []string{"States.Runtime"}, 0, `FAILED States.Runtime`, 1, 0},
		"Runtime retried":        {`"Retry":[{"ErrorEquals":["States.ALL"]}]`, []string{"States.Runtime"}, 0, `FAILED States.Runtime`, 1, 0},
		"limit retried":          {`"Retry":[{"ErrorEquals":["States.ALL"]}]`, []string{"States.DataLimitExceeded"}, 0, `FAILED States.DataLimitExceeded`, 1, 0},
		"catch with output":      {`"Catch":[{"ErrorEquals":["E"],"Next":"Y","Output":{"e":"{% $states.errorOutput.Error %}","i":"{% $states.input %}"}}]`, []string{"E"}, 0, `["Y",{"e":"E","i":{}}]`, 1, 0},
		"catch with assign":      {`"Assign":{"v":1},"Catch":[{"ErrorEquals":["E"],"Next":"X","Assign":{"v":"{% $states.errorOutput.Cause %}"}}]`, []string{"E"}, 0, `["X",{"Cause":"because","Error":"E"},"because"]`, 1, 0},
		"catch fails itself":     {`"Catch":[{"ErrorEquals":["E"],"Next":"X","Output":"{% $gone %}"}]`, []string{"E"}, 0, `FAILED States.QueryEvaluationError`, 1, 0},
		"retry count visible":    {`"Retry":[{"ErrorEquals":["E"]}],"Output":"{% $states.context.State.RetryCount %}"`, []string{"E", "E"}, 0, `2`, 3, 3 * time.Second},
		"output caught":          {`"Output":"{% $gone %}","Catch":[{"ErrorEquals":["States.QueryEvaluationError"],"Next":"Y","Output":1}]`, nil, 0, `["Y",1]`, 1, 0},
		"arguments caught":       {`"Arguments":"{% $gone %}","Catch":[{"ErrorEquals":["States.ALL"],"Next":"Y","Output":1}]`, nil, 0, `["Y",1]`, 0, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.chance = tt.chance
			w.tasks["T"] = fails(tt.errors...)
			fields := strings.TrimSuffix(`"Type":"Task","Resource":"arn:x","Next":"Z",`+tt.fields, ",")
			// Where the catchers do not lead must be reachable all the same.
			m := machine(t, `"A":{"Type":"Choice","Choices":[{"Condition":false,"Next":"X"},{"Condition":false,"Next":"Y"}],"Default":"T"},
				"T":{`+fields+`},
				"X":{"Type":"Succeed","Output":["X","{% $states.input %}","{% $exists($v) ? $v : [] %}"]},
				"Y":{"Type":"Succeed","Output":["Y","{% $states.input %}"]},
				"Z":{"Type":"Succeed"}`)
			got := strings.Replace(end(w.run(t, m, `{}`)), `,[]]`, `]`, 1)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if len(w.calls) != tt.wantCalls {
				t.Errorf("%d calls, want %d", len(w.calls), tt.wantCalls)
			}
			if got := w.now.Sub(epoch); got != tt.wantTime {
				t.Errorf("took %v, want %v", got, tt.wantTime)
			}
			for i, c := range w.calls {
				if c.Attempt != i {
					t.Errorf("call %d has attempt %d", i, c.Attempt)
				}
			}
		})
	}
}

func TestTaskTimeout(t *testing.T) {
	m := machine(t, `"A":{"Type":"Task","Resource":"arn:x","TimeoutSeconds":10,"Retry":[{"ErrorEquals":["States.Timeout"],"MaxAttempts":1}],"End":true}`)
	w := newWorld()
	w.tasks["A"] = w.slow(time.Minute)
	if got := end(w.run(t, m, `{}`)); got != "FAILED States.Timeout" {
		t.Error(got)
	}
	if got := w.now.Sub(epoch); got != 21*time.Second {
		t.Errorf("took %v", got)
	}
	if !strings.Contains(w.kinds(), "TaskTimedOut RetryScheduled TaskScheduled TaskTimedOut ExecutionFailed") {
		t.Error(w.kinds())
	}
}

func TestTaskErrors(t *testing.T) {
	m := machine(t, `"A":{"Type":"Task","Resource":"arn:x","End":true}`)
	tests := map[string]struct {
		answer string
		err    error
		want   Result
	}{
		"named":        {"", &Error{Name: "E", Cause: "c"}, Result{Status: StatusFailed, Error: "E", Cause: "c", FinalState: "A"}},
		"wrapped":      {"", errors.Join(&Error{Name: "E"}), Result{Status: StatusFailed, Error: "E", FinalState: "A"}},
		"other":        {"", errors.New("broken"), Result{Status: StatusFailed, Error: ErrorTaskFailed, Cause: "broken", FinalState: "A"}},
		"not JSON":     {"oops", nil, Result{Status: StatusFailed, Error: ErrorRuntime, Cause: "The result of the state 'A' is not JSON.", FinalState: "A"}},
		"empty answer": {"", nil, Result{Status: StatusSucceeded, Output: []byte("null"), FinalState: "A"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.tasks["A"] = func(context.Context, TaskCall) (any, error) { return json.RawMessage(tt.answer), tt.err }
			if diff := cmp.Diff(tt.want, w.run(t, m, `{}`)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	if got := (&Error{Name: "E", Cause: "c"}).Error(); got != "E: c" {
		t.Error(got)
	}
	if got := (&Error{Name: "E"}).Error(); got != "E" {
		t.Error(got)
	}
}
