package asl

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// itemsMachine is a Map over the list items, with the given fields, whose
// processor is the Task B and then the given states.
func itemsMachine(t *testing.T, mode, fields string) *Machine {
	t.Helper()
	config := `"ProcessorConfig":{"Mode":"INLINE"}`
	if mode == "DISTRIBUTED" {
		config = `"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"}`
	}
	return machine(t, `"A":{"Type":"Pass","Assign":{"x":10},"Next":"M"},
		"M":{"Type":"Map","Items":"{% $states.input.items %}",`+fields+`"Next":"Z",
			"Catch":[{"ErrorEquals":["States.ALL"],"Next":"Z","Output":"{% $states.errorOutput.Error %}"}],
			"ItemProcessor":{`+config+`,"StartAt":"B","States":{
				"B":{"Type":"Task","Resource":"arn:x","End":true}}}},
		"Z":{"Type":"Succeed"}`)
}

// failsOn is a task that fails if its input is one of the given, and else
// answers with its input.
func failsOn(inputs ...string) func(context.Context, TaskCall) (any, error) {
	return func(_ context.Context, call TaskCall) (any, error) {
		for _, in := range inputs {
			if in == string(call.Arguments) {
				return nil, &Error{Name: "E", Cause: "on " + in}
			}
		}
		return call.Arguments, nil
	}
}

func TestInlineMap(t *testing.T) {
	tests := map[string]struct {
		fields    string
		input     string
		failOn    []string
		want      string
		wantCalls int
	}{
		"in order":             {``, `{"items":[3,1,2]}`, nil, `[3,1,2]`, 3},
		"empty":                {``, `{"items":[]}`, nil, `[]`, 0},
		"no array":             {``, `{"items":{"a":1}}`, nil, `"States.QueryEvaluationError"`, 0},
		"undefined":            {``, `{}`, nil, `"States.QueryEvaluationError"`, 0},
		"selector":             {`"ItemSelector":{"i":"{% $states.context.Map.Item.Index %}","v":"{% $states.context.Map.Item.Value.n + $x %}","all":"{% $count($states.input.items) %}"},`, `{"items":[{"n":1},{"n":2}]}`, nil, `[{"i":0,"v":11,"all":2},{"i":1,"v":12,"all":2}]`, 2},
		"concurrency computed": {`"MaxConcurrency":"{% $x - 9 %}",`, `{"items":[1]}`, nil, `[1]`, 1},
		"concurrency over 40":  {`"MaxConcurrency":"{% $x + 31 %}",`, `{"items":[1]}`, nil, `"States.QueryEvaluationError"`, 0},
		"one fails":            {``, `{"items":[1,2,3]}`, []string{"2"}, `"E"`, 2},
		"retried as a whole":   {`"Retry":[{"ErrorEquals":["E"],"MaxAttempts":1}],`, `{"items":[1,2,3]}`, []string{"2"}, `"E"`, 4},
		"assigns its result":   {`"Assign":{"x":"{% $states.result %}"},"Output":"{% $states.result[1] %}",`, `{"items":[1,2,3]}`, nil, `2`, 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.tasks["B"] = failsOn(tt.failOn...)
			r := w.run(t, itemsMachine(t, "INLINE", tt.fields), tt.input)
			if diff := cmp.Diff(tt.want, end(r)); diff != "" {
				t.Error(diff)
			}
			if len(w.calls) != tt.wantCalls {
				t.Errorf("%d calls, want %d", len(w.calls), tt.wantCalls)
			}
		})
	}
}

func TestInlineMapOfOne(t *testing.T) {
	states := `"A":{"Type":"Map","Items":"{% $states.input[n=1] %}","End":true,"ItemProcessor":{"StartAt":"B","States":{"B":{"Type":"Succeed"}}}}`
	const input = `[{"n":1},{"n":2}]`
	if got := end(newWorld().run(t, machine(t, states), input)); got != "FAILED States.QueryEvaluationError" {
		t.Errorf("a single item without []: %s", got)
	}
	states = strings.Replace(states, "[n=1]", "[n=1][]", 1)
	if got := end(newWorld().run(t, machine(t, states), input)); got != `[{"n":1}]` {
		t.Errorf("a single item with []: %s", got)
	}
}

func TestInlineMapScope(t *testing.T) {
	m := machine(t, `"A":{"Type":"Pass","Assign":{"x":10},"Next":"M"},
		"M":{"Type":"Map","Items":[1,2],"Next":"Z","ItemProcessor":{"StartAt":"B","States":{
			"B":{"Type":"Pass","Assign":{"y":"{% $x + $states.input %}"},"Output":"{% $exists($y) %}","Next":"C"},
			"C":{"Type":"Pass","Output":["{% $states.input %}","{% $y %}","{% $states.context.Map.Item.Index %}"],"End":true}}}},
		"Z":{"Type":"Succeed","Output":["{% $states.input %}","{% $exists($y) %}"]}`)
	for _, concurrent := range []bool{false, true} {
		w := newWorld()
		w.concurrent = concurrent
		want := `[[[false,11,0],[false,12,1]],false]`
		if got := end(w.run(t, m, `{}`)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestInlineMapEvents(t *testing.T) {
	w := newWorld()
	w.tasks["B"] = failsOn("2")
	w.run(t, itemsMachine(t, "INLINE", ""), `{"items":[1,2,3]}`)
	var got []string
	for _, e := range w.events {
		if strings.HasPrefix(string(e.Kind), "MapIteration") {
			got = append(got, strings.TrimPrefix(string(e.Kind), "MapIteration")+string(rune('0'+e.Index)))
		}
	}
	if diff := cmp.Diff([]string{"Started0", "Succeeded0", "Started1", "Failed1"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestMapConcurrency(t *testing.T) {
	tests := []struct {
		mode, fields string
		want         int
	}{
		{"INLINE", ``, 40},
		{"INLINE", `"MaxConcurrency":0,`, 40},
		{"INLINE", `"MaxConcurrency":3,`, 3},
		{"DISTRIBUTED", ``, 10_000},
		{"DISTRIBUTED", `"MaxConcurrency":20000,`, 10_000},
		{"DISTRIBUTED", `"MaxConcurrency":"{% $x * 10 %}",`, 100},
	}
	for _, tt := range tests {
		t.Run(tt.mode+tt.fields, func(t *testing.T) {
			w := newWorld()
			w.run(t, itemsMachine(t, tt.mode, tt.fields), `{"items":[1]}`)
			if diff := cmp.Diff([]int{tt.want}, w.limits); diff != "" {
				t.Error(diff)
			}
		})
	}
}
