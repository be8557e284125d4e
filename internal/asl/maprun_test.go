package asl

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDistributedMap(t *testing.T) {
	const one = `{"items":[1,2,3,4]}`
	failed := func(i int) string { // the record of a failed child
		return fmt.Sprintf(`{"Cause":"on %d","Error":"E","ExecutionArn":"arn:aws:states:eu-west-1:123456789012:execution:m/M:uuid-%d","Input":"%d","Name":"uuid-%d","StartDate":"2026-03-01T12:00:00.250Z","StateMachineArn":"arn:aws:states:eu-west-1:123456789012:stateMachine:m/M","Status":"FAILED","StopDate":"2026-03-01T12:00:00.250Z"}`, i, i+1, i, i+1)
	}
	tests := map[string]struct {
		fields    string
		input     string
		failOn    []string
		want      string
		wantCalls int
	}{
		"in order":              {``, one, nil, `[1,2,3,4]`, 4},
		"empty":                 {``, `{"items":[]}`, nil, `[]`, 0},
		"concurrency":           {`"MaxConcurrency":500,`, one, nil, `[1,2,3,4]`, 4},
		"selector":              {`"ItemSelector":"{% $x + $states.context.Map.Item.Value %}",`, one, nil, `[11,12,13,14]`, 4},
		"batches":               {`"ItemBatcher":{"MaxItemsPerBatch":3},`, one, nil, `[{"Items":[1,2,3]},{"Items":[4]}]`, 2},
		"batches with input":    {`"ItemBatcher":{"MaxItemsPerBatch":"{% $x %}","BatchInput":{"x":"{% $x %}"}},"ItemSelector":{"v":"{% $states.context.Map.Item.Value %}"},`, `{"items":[1]}`, nil, `[{"BatchInput":{"x":10},"Items":[{"v":1}]}]`, 1},
		"none tolerated":        {``, one, []string{"2"}, `"States.ExceedToleratedFailureThreshold"`, 2},
		"count tolerated":       {`"ToleratedFailureCount":1,`, one, []string{"2"}, `[1,` + failed(2) + `,3,4]`, 4},
		"count exceeded":        {`"ToleratedFailureCount":1,`, one, []string{"2", "3"}, `"States.ExceedToleratedFailureThreshold"`, 3},
		"count computed":        {`"ToleratedFailureCount":"{% $x - 9 %}",`, one, []string{"2", "3"}, `"States.ExceedToleratedFailureThreshold"`, 3},
		"percentage tolerated":  {`"ToleratedFailurePercentage":25,`, one, []string{"3"}, `[1,2,` + failed(3) + `,4]`, 4},
		"percentage exceeded":   {`"ToleratedFailurePercentage":25,`, one, []string{"1", "4"}, `"States.ExceedToleratedFailureThreshold"`, 4},
		"all tolerated":         {`"ToleratedFailurePercentage":100,`, `{"items":[1]}`, []string{"1"}, `[` + failed(1) + `]`, 1},
		"either threshold":      {`"ToleratedFailurePercentage":100,"ToleratedFailureCount":0,`, one, []string{"1"}, `"States.ExceedToleratedFailureThreshold"`, 1},
		"percentage over 100":   {`"ToleratedFailurePercentage":"{% 101 %}",`, one, nil, `"States.QueryEvaluationError"`, 0},
		"flatten":               {`"ResultWriter":{"WriterConfig":{"Transformation":"FLATTEN","OutputType":"JSON"}},`, `{"items":[[1,2],3,[[4]]]}`, nil, `[1,2,3,[4]]`, 3},
		"compact does not":      {`"ResultWriter":{"WriterConfig":{"Transformation":"COMPACT","OutputType":"JSON"}},`, `{"items":[[1,2],3]}`, nil, `[[1,2],3]`, 2},
		"result over the quota": {`"ItemSelector":"{% $join($map([1..4000], function($i){'0123456789012345678901234567890123456789'})) %}",`, `{"items":[1,2]}`, nil, `FAILED States.DataLimitExceeded`, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.tasks["B"] = failsOn(tt.failOn...)
			r := w.run(t, itemsMachine(t, "DISTRIBUTED", tt.fields), tt.input)
			if diff := cmp.Diff(tt.want, end(r)); diff != "" {
				t.Error(diff, r.Cause)
			}
			if len(w.calls) != tt.wantCalls {
				t.Errorf("%d calls, want %d", len(w.calls), tt.wantCalls)
			}
		})
	}
}

func TestDistributedMapIsolation(t *testing.T) {
	m := machine(t, `"A":{"Type":"Pass","Assign":{"x":10},"Next":"M"},
		"M":{"Type":"Map","Label":"Resources","Items":[1],"End":true,"ItemProcessor":{
			"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"B","States":{
			"B":{"Type":"Pass","Assign":{"y":1},"Output":{
				"x":"{% $exists($x) %}","item":"{% $exists($states.context.Map) %}",
				"id":"{% $states.context.Execution.Id %}","machine":"{% $states.context.StateMachine.Id %}"},"End":true}}}}`)
	w := newWorld()
	want := `[{"x":false,"item":false,"id":"arn:aws:states:eu-west-1:123456789012:execution:m/Resources:uuid-2","machine":"arn:aws:states:eu-west-1:123456789012:stateMachine:m/Resources"}]`
	if diff := cmp.Diff(want, end(w.run(t, m, `{}`))); diff != "" {
		t.Error(diff)
	}
	var got []string
	for _, e := range w.events {
		got = append(got, e.Execution.Name+" "+e.Name())
	}
	wantEvents := []string{
		"run ExecutionStarted", "run PassStateEntered", "run PassStateExited", "run MapStateEntered", "run MapRunStarted",
		"uuid-2 ExecutionStarted", "uuid-2 PassStateEntered", "uuid-2 PassStateExited", "uuid-2 ExecutionSucceeded",
		"run MapRunSucceeded", "run MapStateExited", "run ExecutionSucceeded",
	}
	if diff := cmp.Diff(wantEvents, got); diff != "" {
		t.Error(diff)
	}
}

func TestDistributedMapConcurrently(t *testing.T) {
	w := newWorld()
	w.concurrent = true
	items := make([]string, 200)
	for i := range items {
		items[i] = fmt.Sprint(i)
	}
	list := "[" + strings.Join(items, ",") + "]"
	m := itemsMachine(t, "DISTRIBUTED", `"ItemSelector":"{% $x ~> function($v){$states.context.Map.Item.Value} %}",`)
	if got := end(w.run(t, m, `{"items":`+list+`}`)); got != list {
		t.Error(got)
	}
}

func TestDistributedMapPastDeadline(t *testing.T) {
	m, err := Parse([]byte(`{"QueryLanguage":"JSONata","TimeoutSeconds":10,"StartAt":"M","States":{
		"M":{"Type":"Map","Items":[1,2,3],"End":true,"ToleratedFailurePercentage":100,"ItemProcessor":{
			"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"B","States":{
			"B":{"Type":"Wait","Seconds":6,"End":true}}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	if r := w.run(t, m, `{}`); r.Status != StatusTimedOut {
		t.Errorf("%+v", r)
	}
	if got := w.now.Sub(epoch); got != 10*time.Second || w.path() != "M B B" {
		t.Errorf("took %v by %s", got, w.path())
	}
	if !strings.HasSuffix(w.kinds(), "ExecutionAborted MapRunAborted ExecutionTimedOut") {
		t.Error(w.kinds())
	}
}

func TestItemReader(t *testing.T) {
	const reader = `"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","ReaderConfig":{"InputType":"JSON"},"Arguments":{"Bucket":"b","Key":"{% $states.input.key %}"}},`
	m := machine(t, `"M":{"Type":"Map",`+reader+`"Next":"Z","Catch":[{"ErrorEquals":["States.ItemReaderFailed"],"Next":"Z","Output":"reader"}],
		"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"B","States":{"B":{"Type":"Succeed"}}}},
		"A":{"Type":"Pass","Next":"M"},"Z":{"Type":"Succeed"}`)
	tests := map[string]struct{ input, want string }{
		"array":     {`{"key":"list"}`, `[{"n":1},null]`},
		"missing":   {`{"key":"none"}`, `"reader"`},
		"no array":  {`{"key":"object"}`, `"reader"`},
		"no JSON":   {`{"key":"text"}`, `"reader"`},
		"wrong key": {`{"key":1}`, `FAILED States.QueryEvaluationError`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.objects = map[string]string{"b/list": `[{"n":1},null]`, "b/object": `{}`, "b/text": `hello`}
			if got := end(w.run(t, m, tt.input)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestResultWriter(t *testing.T) {
	writer := func(transformation string) string {
		config := ""
		if transformation != "" {
			config = `,"WriterConfig":{"Transformation":"` + transformation + `","OutputType":"JSON"}`
		}
		return `"ToleratedFailureCount":1,"ResultWriter":{"Resource":"arn:aws:states:::s3:putObject","Arguments":{"Bucket":"b","Prefix":"{% 'runs/' & $x %}"}` + config + `},`
	}
	const (
		folder = "runs/10/uuid-1/"
		arn    = "arn:aws:states:eu-west-1:123456789012:mapRun:m/M:uuid-1"
		dates  = `"StartDate":"2026-03-01T12:00:00.250Z","StateMachineArn":"arn:aws:states:eu-west-1:123456789012:stateMachine:m/M","Status":"%s","StopDate":"2026-03-01T12:00:00.250Z"}`
		exec   = `"ExecutionArn":"arn:aws:states:eu-west-1:123456789012:execution:m/M:uuid-`
	)
	wantResult := `{"MapRunArn":"` + arn + `","ResultWriterDetails":{"Bucket":"b","Key":"` + folder + `manifest.json"}}`
	failedFile := `[{"Cause":"on \"no\"","Error":"E",` + exec + `3","Input":"\"no\"","Name":"uuid-3",` + fmt.Sprintf(dates, "FAILED") + `]`
	tests := map[string]struct {
		transformation string
		succeeded      string
	}{
		"default": {"", `[{` + exec + `2","Input":"[1,2]","Name":"uuid-2","Output":"[1,2]",` + fmt.Sprintf(dates, "SUCCEEDED") + `]`},
		"NONE":    {"NONE", `[{` + exec + `2","Input":"[1,2]","Name":"uuid-2","Output":"[1,2]",` + fmt.Sprintf(dates, "SUCCEEDED") + `]`},
		"COMPACT": {"COMPACT", `[[1,2]]`},
		"FLATTEN": {"FLATTEN", `[1,2]`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.tasks["B"] = failsOn(`"no"`)
			r := w.run(t, itemsMachine(t, "DISTRIBUTED", writer(tt.transformation)), `{"items":[[1,2],"no"]}`)
			if diff := cmp.Diff(wantResult, end(r)); diff != "" {
				t.Error(diff)
			}
			want := map[string]string{
				"b/" + folder + "SUCCEEDED_0.json": tt.succeeded,
				"b/" + folder + "FAILED_0.json":    failedFile,
				"b/" + folder + "manifest.json": fmt.Sprintf(`{"DestinationBucket":"b","MapRunArn":"%s","ResultFiles":{"FAILED":[{"Key":"%sFAILED_0.json","Size":%d}],"PENDING":[],"SUCCEEDED":[{"Key":"%sSUCCEEDED_0.json","Size":%d}]}}`,
					arn, folder, len(failedFile), folder, len(tt.succeeded)),
			}
			if diff := cmp.Diff(want, w.objects); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("threshold exceeded", func(t *testing.T) {
		w := newWorld()
		w.tasks["B"] = failsOn("1", "2")
		r := w.run(t, itemsMachine(t, "DISTRIBUTED", writer("COMPACT")), `{"items":[1,2,3]}`)
		if got := end(r); got != `"States.ExceedToleratedFailureThreshold"` {
			t.Error(got)
		}
		want := []string{"b/" + folder + "FAILED_0.json", "b/" + folder + "PENDING_0.json", "b/" + folder + "manifest.json"}
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(w.objects))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("not written", func(t *testing.T) {
		w := newWorld()
		w.writeError = errors.New("access denied")
		r := w.run(t, itemsMachine(t, "DISTRIBUTED", writer("")), `{"items":[1]}`)
		if got := end(r); got != `"States.ResultWriterFailed"` {
			t.Error(got)
		}
	})
}
