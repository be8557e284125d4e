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

func TestPollLoop(t *testing.T) {
	tests := map[string]struct {
		answers  []string
		limit    string
		want     string
		wantPath string
		wantTime time.Duration
	}{
		"done at once":  {[]string{"done"}, "5", `{"polls":1}`, "Start Wait Poll IsDone Done", 30 * time.Second},
		"done at third": {[]string{"busy", "busy", "done"}, "5", `{"polls":3}`, "Start Wait Poll IsDone Wait Poll IsDone Wait Poll IsDone Done", 90 * time.Second},
		"gives up":      {[]string{"busy", "busy", "done"}, "2", `FAILED GaveUp`, "Start Wait Poll IsDone Wait Poll IsDone GaveUp", 60 * time.Second},
	}
	m := parseFile(t, "poll.asl.json")
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.tasks["Poll"] = func(_ context.Context, call TaskCall) (any, error) {
				return map[string]any{"Payload": map[string]any{"status": tt.answers[len(w.calls)-1]}}, nil
			}
			r := w.run(t, m, `{"every":30,"limit":`+tt.limit+`}`)
			if diff := cmp.Diff(tt.want, end(r)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.wantPath, w.path()); diff != "" {
				t.Error(diff)
			}
			if got := w.now.Sub(epoch); got != tt.wantTime {
				t.Errorf("took %v, want %v", got, tt.wantTime)
			}
			last := w.calls[len(w.calls)-1]
			want := `{"FunctionName":"poll","Payload":{"n":` + string(rune('0'+len(w.calls)-1)) + `}}`
			if diff := cmp.Diff(want, string(last.Arguments)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMachineTimeout(t *testing.T) {
	m := parseFile(t, "poll.asl.json")
	t.Run("in a Wait", func(t *testing.T) {
		w := newWorld()
		w.tasks["Poll"] = func(context.Context, TaskCall) (any, error) {
			return json.RawMessage(`{"Payload":{"status":"busy"}}`), nil
		}
		r := w.run(t, m, `{"every":250,"limit":100}`)
		want := Result{Status: StatusTimedOut, Error: ErrorTimeout, FinalState: "Wait"}
		if diff := cmp.Diff(want, r); diff != "" {
			t.Error(diff)
		}
		if got := w.now.Sub(epoch); got != 600*time.Second {
			t.Errorf("timed out after %v", got)
		}
		if !strings.HasSuffix(w.kinds(), "ExecutionTimedOut") {
			t.Error(w.kinds())
		}
	})
	t.Run("in a Task", func(t *testing.T) {
		w := newWorld()
		w.tasks["Poll"] = w.slow(time.Hour)
		r := w.run(t, m, `{"every":100,"limit":100}`)
		if r.Status != StatusTimedOut || w.calls[0].Timeout != 500*time.Second {
			t.Errorf("got %v with a task timeout of %v", r, w.calls[0].Timeout)
		}
	})
}

func TestStateTypes(t *testing.T) {
	tests := map[string]struct {
		states   string
		input    string
		want     string
		wantPath string
		wantTime time.Duration
	}{
		"Pass hands on":       {`"A":{"Type":"Pass","End":true}`, `{"a": 1}`, `{"a":1}`, "A", 0},
		"Task result":         {`"A":{"Type":"Task","Resource":"arn:x","Arguments":{"b":2},"End":true}`, `{"a":1}`, `{"b":2}`, "A", 0},
		"Task of the input":   {`"A":{"Type":"Task","Resource":"arn:x","End":true}`, `{"a":1}`, `{"a":1}`, "A", 0},
		"result in Output":    {`"A":{"Type":"Task","Resource":"arn:x","Arguments":[7],"Output":"{% $states.result[0] + $states.input.a %}","End":true}`, `{"a":1}`, `8`, "A", 0},
		"Succeed":             {`"A":{"Type":"Succeed"}`, `[1]`, `[1]`, "A", 0},
		"Succeed with Output": {`"A":{"Type":"Succeed","Output":{"x":"{% $states.input[0] %}"}}`, `[1]`, `{"x":1}`, "A", 0},
		"Fail":                {`"A":{"Type":"Fail","Error":"{% 'E' & $states.input.n %}","Cause":"x"}`, `{"n":1}`, `FAILED E1`, "A", 0},
		"Fail with a number":  {`"A":{"Type":"Fail","Error":"{% 1 %}"}`, `{}`, `FAILED States.QueryEvaluationError`, "A", 0},
		"Wait":                {`"A":{"Type":"Wait","Seconds":5,"End":true}`, `{}`, `{}`, "A", 5 * time.Second},
		"Wait 0":              {`"A":{"Type":"Wait","Seconds":0,"End":true}`, `{}`, `{}`, "A", 0},
		"Wait computed":       {`"A":{"Type":"Wait","Seconds":"{% $states.input.n * 2 %}","Output":"ok","End":true}`, `{"n":3}`, `"ok"`, "A", 6 * time.Second},
		"Wait a fraction":     {`"A":{"Type":"Wait","Seconds":"{% 1.5 %}","End":true}`, `{}`, `FAILED States.QueryEvaluationError`, "A", 0},
		"Wait a string":       {`"A":{"Type":"Wait","Seconds":"{% '5' %}","End":true}`, `{}`, `FAILED States.QueryEvaluationError`, "A", 0},
		"Wait negative":       {`"A":{"Type":"Wait","Seconds":"{% -1 %}","End":true}`, `{}`, `FAILED States.QueryEvaluationError`, "A", 0},
		"Wait until":          {`"A":{"Type":"Wait","Timestamp":"2026-03-01T12:00:09.999Z","End":true}`, `{}`, `{}`, "A", 8750 * time.Millisecond},
		"Wait until past":     {`"A":{"Type":"Wait","Timestamp":"{% $states.input %}","End":true}`, `"2020-01-01T00:00:00Z"`, `"2020-01-01T00:00:00Z"`, "A", 0},
		"Wait until nonsense": {`"A":{"Type":"Wait","Timestamp":"{% $states.input %}","End":true}`, `"noon"`, `FAILED States.QueryEvaluationError`, "A", 0},
		"Choice first":        {`"A":{"Type":"Choice","Choices":[{"Condition":"{% $states.input.n > 1 %}","Next":"B"},{"Condition":true,"Next":"C","Output":"c"}]},"B":{"Type":"Succeed"},"C":{"Type":"Succeed"}`, `{"n":2}`, `{"n":2}`, "A B", 0},
		"Choice second":       {`"A":{"Type":"Choice","Choices":[{"Condition":"{% $states.input.n > 1 %}","Next":"B"},{"Condition":true,"Next":"C","Output":"c"}]},"B":{"Type":"Succeed"},"C":{"Type":"Succeed"}`, `{"n":1}`, `"c"`, "A C", 0},
		"Choice Default":      {`"A":{"Type":"Choice","Choices":[{"Condition":false,"Next":"B"}],"Default":"C","Assign":{"v":1}},"B":{"Type":"Succeed"},"C":{"Type":"Succeed","Output":"{% $v %}"}`, `{}`, `1`, "A C", 0},
		"Choice of its rule":  {`"A":{"Type":"Choice","Choices":[{"Condition":true,"Next":"C","Assign":{"v":2}}],"Default":"C","Assign":{"v":1}},"C":{"Type":"Succeed","Output":"{% $v %}"}`, `{}`, `2`, "A C", 0},
		"Choice no match":     {`"A":{"Type":"Choice","Choices":[{"Condition":false,"Next":"C"}]},"C":{"Type":"Succeed"}`, `{}`, `FAILED States.NoChoiceMatched`, "A", 0},
		"Choice no boolean":   {`"A":{"Type":"Choice","Choices":[{"Condition":"{% 1 %}","Next":"C"}]},"C":{"Type":"Succeed"}`, `{}`, `FAILED States.QueryEvaluationError`, "A", 0},
		"Parallel": {
			`"A":{"Type":"Parallel","End":true,"Branches":[
				{"StartAt":"B","States":{"B":{"Type":"Pass","Output":"{% $states.input.x %}","End":true}}},
				{"StartAt":"C","States":{"C":{"Type":"Wait","Seconds":1,"End":true}}}],"Arguments":{"x":"{% $states.input.y %}"}}`,
			`{"y":1}`, `[1,{"x":1}]`, "A B C", time.Second,
		},
		"Parallel failing": {
			`"A":{"Type":"Parallel","End":true,"Branches":[
				{"StartAt":"B","States":{"B":{"Type":"Fail","Error":"E"}}},
				{"StartAt":"C","States":{"C":{"Type":"Wait","Seconds":1,"End":true}}}]}`,
			`{}`, `FAILED E`, "A B", 0,
		},
		"Parallel caught": {
			`"A":{"Type":"Parallel","Next":"Z","Branches":[{"StartAt":"B","States":{"B":{"Type":"Fail","Error":"E","Cause":"c"}}}],
				"Catch":[{"ErrorEquals":["E"],"Next":"Z"}]},"Z":{"Type":"Succeed"}`,
			`{}`, `{"Cause":"c","Error":"E"}`, "A B Z", 0,
		},
		"Assign sees old values": {
			`"A":{"Type":"Pass","Assign":{"x":1,"y":2},"Next":"B"},
			"B":{"Type":"Pass","Assign":{"x":"{% $y %}","y":"{% $x %}"},"Output":["{% $x %}","{% $y %}"],"Next":"C"},
			"C":{"Type":"Pass","Output":["{% $states.input %}","{% $x %}","{% $y %}"],"End":true}`,
			`{}`, `[[1,2],2,1]`, "A B C", 0,
		},
		"Assign not yet seen": {`"A":{"Type":"Pass","Assign":{"x":1},"Output":"{% $x %}","End":true}`, `{}`, `FAILED States.QueryEvaluationError`, "A", 0},
		"Assign null": {
			`"A":{"Type":"Pass","Assign":{"x":null},"Next":"B"},"B":{"Type":"Succeed","Output":"{% $x = null %}"}`, `{}`, `true`, "A B", 0,
		},
		"branch variables are local": {
			`"A":{"Type":"Pass","Assign":{"x":1},"Next":"P"},
			"P":{"Type":"Parallel","Next":"Z","Branches":[{"StartAt":"B","States":{
				"B":{"Type":"Pass","Assign":{"y":"{% $x + 1 %}"},"Next":"C"},
				"C":{"Type":"Pass","Output":"{% $x + $y %}","End":true}}}]},
			"Z":{"Type":"Succeed","Output":{"in":"{% $states.input %}","out":"{% $exists($y) %}"}}`,
			`{}`, `{"in":[3],"out":false}`, "A P B C Z", 0,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			r := w.run(t, machine(t, tt.states), tt.input)
			if diff := cmp.Diff(tt.want, end(r)); diff != "" {
				t.Error(diff, r.Cause)
			}
			if diff := cmp.Diff(tt.wantPath, w.path()); diff != "" {
				t.Error(diff)
			}
			if got := w.now.Sub(epoch); got != tt.wantTime {
				t.Errorf("took %v, want %v", got, tt.wantTime)
			}
		})
	}
}

func TestTaskToken(t *testing.T) {
	m := machine(t, `"A":{"Type":"Task","Resource":"arn:aws:states:::sqs:sendMessage.waitForTaskToken","Arguments":{"token":"{% $states.context.Task.Token %}"},"TimeoutSeconds":"{% 60 * 2 %}","End":true}`)
	w := newWorld()
	if got := end(w.run(t, m, `{}`)); got != `{"token":"uuid-1"}` {
		t.Error(got)
	}
	if c := w.calls[0]; c.Token != "uuid-1" || c.Timeout != 2*time.Minute || !strings.HasSuffix(c.Resource, ".waitForTaskToken") {
		t.Errorf("%+v", c)
	}
}

func TestPayloadQuota(t *testing.T) {
	big := strings.Repeat("x", maxPayload-1) // with its quotes one byte over
	fits := big[1:]
	caught := func(name string) string {
		return `,"Catch":[{"ErrorEquals":["` + name + `"],"Next":"Z","Output":"caught"}]},"Z":{"Type":"Succeed"}`
	}
	const twice = `"{% $states.input & $states.input %}"`
	half := `"` + strings.Repeat("x", maxPayload/2) + `"`
	tests := map[string]struct {
		states, input string
		result        string
		want          string
	}{
		"input fits":              {`"A":{"Type":"Pass","Output":1,"End":true}`, `"` + fits + `"`, "", `1`},
		"input":                   {`"A":{"Type":"Pass","Output":1,"End":true}`, `"` + big + `"`, "", `FAILED States.DataLimitExceeded`},
		"output":                  {`"A":{"Type":"Pass","Output":` + twice + `,"End":true}`, half, "", `FAILED States.DataLimitExceeded`},
		"variable":                {`"A":{"Type":"Pass","Assign":{"v":` + twice + `},"End":true}`, half, "", `FAILED States.DataLimitExceeded`},
		"arguments":               {`"A":{"Type":"Task","Resource":"arn:x","Arguments":` + twice + `,"End":true}`, half, "", `FAILED States.DataLimitExceeded`},
		"result":                  {`"A":{"Type":"Task","Resource":"arn:x","Output":1,"End":true}`, `{}`, big, `FAILED States.DataLimitExceeded`},
		"not caught by ALL":       {`"A":{"Type":"Task","Resource":"arn:x","Next":"Z"` + caught(ErrorAll), `{}`, big, `FAILED States.DataLimitExceeded`},
		"not caught as a failure": {`"A":{"Type":"Task","Resource":"arn:x","Next":"Z"` + caught(ErrorTaskFailed), `{}`, big, `FAILED States.DataLimitExceeded`},
		"caught by its name":      {`"A":{"Type":"Task","Resource":"arn:x","Next":"Z"` + caught(ErrorDataLimit), `{}`, big, `"caught"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			if tt.result != "" {
				w.tasks["A"] = func(context.Context, TaskCall) (any, error) { return tt.result, nil }
			}
			if got := end(w.run(t, machine(t, tt.states), tt.input)); got != tt.want {
				t.Errorf("got %.80s, want %s", got, tt.want)
			}
		})
	}
}

func TestEvents(t *testing.T) {
	m := machine(t, `"A":{"Type":"Task","Resource":"arn:x","Retry":[{"ErrorEquals":["E"]}],"Next":"Z"},"Z":{"Type":"Succeed"}`)
	w := newWorld()
	w.tasks["A"] = fails("E")
	w.entered = func(e Event) { _ = w.Sleep(t.Context(), time.Second) }
	r := w.run(t, m, `{}`)
	want := "ExecutionStarted TaskStateEntered TaskScheduled TaskFailed RetryScheduled TaskScheduled TaskSucceeded TaskStateExited SucceedStateEntered SucceedStateExited ExecutionSucceeded"
	if diff := cmp.Diff(want, w.kinds()); diff != "" {
		t.Error(diff)
	}
	if r.FinalState != "Z" || w.now.Sub(epoch) != 3*time.Second {
		t.Errorf("%+v after %v", r, w.now.Sub(epoch))
	}
}

func TestStopped(t *testing.T) {
	const states = `
		"A":{"Type":"Map","Items":[1,2,3],"Next":"Z","Catch":[{"ErrorEquals":["States.ALL"],"Next":"Z"}],
			"ItemProcessor":{"StartAt":"B","States":{"B":{"Type":"Task","Resource":"arn:x","End":true,"Retry":[{"ErrorEquals":["States.ALL"]}]}}}},
		"Z":{"Type":"Succeed"}`
	for _, mode := range []string{"", `"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},`} {
		w := newWorld()
		ctx, cancel := context.WithCancel(t.Context())
		w.tasks["B"] = func(context.Context, TaskCall) (any, error) {
			cancel()
			return nil, errors.New("interrupted")
		}
		m := machine(t, strings.Replace(states, `"StartAt"`, mode+`"StartAt"`, 1))
		r := Run(ctx, m, Execution{}, w)
		if diff := cmp.Diff(Result{Status: StatusAborted, FinalState: "A"}, r); diff != "" {
			t.Error(diff)
		}
		if len(w.calls) != 1 || w.path() != "A B" || !strings.HasSuffix(w.kinds(), "ExecutionAborted") {
			t.Errorf("%d calls, path %s, events %s", len(w.calls), w.path(), w.kinds())
		}
	}
}

func TestHistoryQuota(t *testing.T) {
	m := machine(t, `"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Choice","Choices":[{"Condition":false,"Next":"Z"}],"Default":"A"},"Z":{"Type":"Succeed"}`)
	w := newWorld()
	r := w.run(t, m, `{}`)
	if r.Status != StatusFailed || r.Error != ErrorRuntime {
		t.Errorf("%+v", r)
	}
}

func TestInvalidInput(t *testing.T) {
	w := newWorld()
	if got := end(w.run(t, machine(t, `"A":{"Type":"Succeed"}`), `{"a":`)); got != "FAILED InvalidExecutionInput" {
		t.Error(got)
	}
	if len(w.events) != 0 {
		t.Error(w.kinds())
	}
}
