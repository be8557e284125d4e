package asl

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func (w *world) instance(m *Machine, input string) *Instance {
	return New(m, Execution{
		ARN:  "arn:aws:states:eu-west-1:123456789012:execution:m:run",
		Name: "run", MachineARN: "arn:aws:states:eu-west-1:123456789012:stateMachine:m", MachineName: "m", Input: json.RawMessage(input),
	}, w)
}

// A redrive runs the state that failed again, with its input and the variables
// of that time, and none before it; its retries count anew.
func TestRedrive(t *testing.T) {
	m := machine(t, `
		"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Assign":{"a":"{% $states.result %}"},"Output":{"from":"A"},"Next":"B"},
		"B":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Next":"C",
			"Arguments":{"a":"{% $a %}","in":"{% $states.input.from %}","b":"{% $exists($b) %}",
				"redrives":"{% $exists($states.context.Execution.RedriveCount) ? $states.context.Execution.RedriveCount : 0 %}",
				"at":"{% $exists($states.context.Execution.RedriveTime) ? $states.context.Execution.RedriveTime : '' %}",
				"retries":"{% $states.context.State.RetryCount %}","started":"{% $states.context.Execution.StartTime %}"},
			"Retry":[{"ErrorEquals":["E"],"MaxAttempts":1,"IntervalSeconds":1}],"Assign":{"b":1}},
		"C":{"Type":"Succeed","Output":{"a":"{% $a %}","b":"{% $b %}"}}`)
	w := newWorld()
	w.tasks["A"] = func(context.Context, TaskCall) (any, error) { return "once", nil }
	w.tasks["B"] = fails("E", "E", "E", "E", "E")
	i := w.instance(m, `{}`)
	if got := end(i.Run(t.Context())); got != "FAILED E" {
		t.Fatal(got)
	}
	_ = w.Sleep(t.Context(), time.Hour)
	if got := end(i.Redrive(t.Context())); got != "FAILED E" {
		t.Fatal(got)
	}
	if got := end(i.Redrive(t.Context())); got != `{"a":"once","b":1}` {
		t.Fatal(got)
	}
	var calls []string
	for _, c := range w.calls {
		calls = append(calls, c.State+string(c.Arguments))
	}
	call := func(redrives int, at string, retries int) string {
		return fmt.Sprintf(`B{"a":"once","in":"A","b":false,"redrives":%d,"at":"%s","retries":%d,"started":"2026-03-01T12:00:00.250Z"}`, redrives, at, retries)
	}
	want := []string{"A{}", call(0, "", 0), call(0, "", 1),
		call(1, "2026-03-01T13:00:01.250Z", 0), call(1, "2026-03-01T13:00:01.250Z", 1), call(2, "2026-03-01T13:00:02.250Z", 0), call(2, "2026-03-01T13:00:02.250Z", 1)}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Error(diff)
	}
	if w.path() != "A B C" {
		t.Errorf("entered %s", w.path())
	}
	attempt := "TaskScheduled TaskFailed RetryScheduled TaskScheduled TaskFailed "
	last := "TaskScheduled TaskFailed RetryScheduled TaskScheduled TaskSucceeded TaskStateExited SucceedStateEntered SucceedStateExited ExecutionSucceeded"
	if got := w.kinds(); !strings.HasSuffix(got, "TaskStateEntered "+attempt+"ExecutionFailed ExecutionRedriven "+attempt+"ExecutionFailed ExecutionRedriven "+last) {
		t.Error(got)
	}
}

// An execution that is stopped anywhere and redriven comes to the end of one
// that was not, and no task whose result was heard is called again.
func TestRedriveAfterAStopAnywhere(t *testing.T) {
	m := machine(t, `
		"A":{"Type":"Map","Items":[1,2,3],"Next":"W","Assign":{"list":"{% $states.result %}"},"ItemProcessor":{
			"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"B","States":{
			"B":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Assign":{"x":"{% $states.result * 10 %}"},"Next":"C"},
			"C":{"Type":"Wait","Seconds":5,"Next":"D"},
			"D":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Arguments":"{% $x + 1 %}","End":true}}}},
		"W":{"Type":"Parallel","Next":"I","Branches":[
			{"StartAt":"P","States":{"P":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Arguments":1,"End":true}}},
			{"StartAt":"Q","States":{"Q":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Arguments":2,"End":true}}}]},
		"I":{"Type":"Map","Items":[7,8],"Output":{"list":"{% $list %}","both":"{% $states.input %}","inline":"{% $states.result %}"},"End":true,"ItemProcessor":{"StartAt":"J","States":{
			"J":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","End":true}}}}`)
	const want = `{"list":[11,21,31],"both":[1,2],"inline":[7,8]}`
	steps := 0
	run := func(at int) (string, *world) {
		w := newWorld()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		steps = 0
		step := func() {
			if steps++; steps == at {
				stop()
			}
		}
		w.entered = func(Event) { step() }
		for _, name := range []string{"B", "D", "P", "Q", "J"} {
			w.tasks[name] = func(_ context.Context, call TaskCall) (any, error) {
				step()
				return call.Arguments, nil
			}
		}
		i := w.instance(m, `{}`)
		r := i.Run(ctx)
		if at > 0 {
			if r.Status != StatusAborted {
				t.Fatalf("stopped at %d: %s", at, r.Status)
			}
			r = i.Redrive(t.Context())
		}
		return end(r), w
	}
	calm, w := run(0)
	if calm != want {
		t.Fatal(calm)
	}
	calls, all := len(w.calls), steps
	for at := 1; at <= all; at++ {
		got, w := run(at)
		if got != want {
			t.Errorf("stopped at %d of %d: %s", at, all, got)
		}
		if len(w.calls) > calls+1 {
			t.Errorf("stopped at %d of %d: %d calls, without a stop %d", at, all, len(w.calls), calls)
		}
		heard := map[string]int{}
		for _, e := range w.events {
			if e.Kind == TaskSucceeded {
				heard[e.Execution.Name+e.State+string(e.Output)]++
			}
		}
		for what, n := range heard {
			if n > 1 {
				t.Errorf("stopped at %d of %d: %s was heard %d times", at, all, what, n)
			}
		}
	}
}

// The children of a map run that did not succeed are redriven in it, those that
// were never started are started, and the others keep what they came to.
func TestRedriveOfAMapRun(t *testing.T) {
	plain := machine(t, `"A":{"Type":"Map","Label":"M","Items":[1,2,3],"End":true,"ItemProcessor":{
		"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"B","States":{
		"B":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","End":true,
			"Arguments":{"v":"{% $states.input %}","redrives":"{% $exists($states.context.Execution.RedriveCount) ? $states.context.Execution.RedriveCount : 0 %}"}}}}}`)
	w := newWorld()
	broken := true
	w.tasks["B"] = func(_ context.Context, call TaskCall) (any, error) {
		if broken && strings.Contains(string(call.Arguments), `"v":2`) {
			return nil, &Error{Name: "E"}
		}
		return call.Arguments, nil
	}
	i := w.instance(plain, `{}`)
	if got := end(i.Run(t.Context())); got != "FAILED "+ErrorToleratedFailure {
		t.Fatal(got)
	}
	broken = false
	if got := end(i.Redrive(t.Context())); got != `[{"v":1,"redrives":0},{"v":2,"redrives":1},{"v":3,"redrives":0}]` {
		t.Error(got)
	}
	var runs []string
	for _, e := range w.events {
		if strings.HasPrefix(string(e.Kind), "MapRun") {
			runs = append(runs, fmt.Sprintf("%s %s %d", e.Kind, e.MapRun[strings.LastIndex(e.MapRun, ":")+1:], e.Redrives))
		}
	}
	if diff := cmp.Diff([]string{"MapRunStarted uuid-1 0", "MapRunFailed uuid-1 0", "MapRunRedriven uuid-1 1", "MapRunSucceeded uuid-1 0"}, runs); diff != "" {
		t.Error(diff)
	}
}

func TestRedriveCountsItsTimeAnew(t *testing.T) {
	m, err := Parse([]byte(`{"QueryLanguage":"JSONata","TimeoutSeconds":10,"StartAt":"A","States":{
		"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Next":"B"},"B":{"Type":"Wait","Seconds":6,"End":true}}}`))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	w.tasks["A"] = w.slow(9 * time.Second)
	i := w.instance(m, `{}`)
	if r := i.Run(t.Context()); r.Status != StatusTimedOut {
		t.Errorf("%+v", r)
	}
	if r := i.Redrive(t.Context()); r.Status != StatusSucceeded {
		t.Errorf("%+v", r)
	}
	defer func() {
		if recover() == nil {
			t.Error("what succeeded was redriven")
		}
	}()
	i.Redrive(t.Context())
}
