package asl

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseProblems(t *testing.T) {
	const (
		head = `{"QueryLanguage":"JSONata","StartAt":"A","States":{`
		end  = `"Z":{"Type":"Succeed"}}}`
		task = `"Type":"Task","Resource":"arn:x","Next":"Z"`
		each = `"Type":"Map","Next":"Z","ItemProcessor":{"StartAt":"B","States":{"B":{"Type":"Succeed"}}`
		dist = `"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"}}`
	)
	tests := map[string]struct {
		definition string
		want       []string // the start of each problem
	}{
		"not JSON":            {`{`, []string{"the definition is not a JSON value"}},
		"not an object":       {`[]`, []string{"the definition is not an object"}},
		"empty":               {`{}`, []string{"QueryLanguage is missing", "StartAt is missing", "States is missing"}},
		"other language":      {`{"QueryLanguage":"JSONPath","StartAt":"Z","States":{` + end, []string{"QueryLanguage must be JSONata"}},
		"language of a state": {head + `"A":{` + task + `,"QueryLanguage":"JSONPath"},` + end, []string{"A: QueryLanguage must be JSONata"}},
		"bad timeout":         {`{"TimeoutSeconds":0,"QueryLanguage":"JSONata","StartAt":"Z","States":{` + end, []string{"TimeoutSeconds must be between 1"}},
		"unknown field":       {head + `"A":{` + task + `,"Timeout":3},` + end, []string{"A: unknown field Timeout"}},
		"JSONPath fields": {
			head + `"A":{` + task + `,"InputPath":"$","ResultPath":"$.a","Parameters":{}},` + end,
			[]string{"A: InputPath belongs to JSONPath", "A: ResultPath belongs to JSONPath", "A: Parameters belongs to JSONPath"},
		},
		"JSONPath key":         {head + `"A":{` + task + `,"Arguments":{"a.$":"$.b"}},` + end, []string{"A: Arguments: the key a.$ belongs to JSONPath"}},
		"StartAt dangling":     {`{"QueryLanguage":"JSONata","StartAt":"B","States":{` + end, []string{"StartAt names no state: B"}},
		"Next missing":         {head + `"A":{"Type":"Pass"},` + `"B":{"Type":"Succeed"}}}`, []string{"A: exactly one of Next and End", "B: no state leads here"}},
		"Next dangling":        {head + `"A":{"Type":"Pass","Next":"Q"}}}`, []string{"A: the next state Q does not exist", "no state ends the flow"}},
		"Catch dangling":       {head + `"A":{` + task + `,"Catch":[{"ErrorEquals":["E"],"Next":"Q"}]},` + end, []string{"A: the next state Q does not exist"}},
		"Default dangling":     {head + `"A":{"Type":"Choice","Choices":[{"Condition":true,"Next":"Z"}],"Default":"Q"},` + end, []string{"A: the next state Q does not exist"}},
		"End with Next":        {head + `"A":{"Type":"Pass","End":true,"Next":"Z"},` + end, []string{"A: exactly one of Next and End"}},
		"unreachable":          {head + `"A":{"Type":"Succeed"},"B":{"Type":"Pass","Next":"A"}}}`, []string{"B: no state leads here"}},
		"never ends":           {head + `"A":{"Type":"Pass","Next":"A"}}}`, []string{"no state ends the flow"}},
		"unknown type":         {head + `"A":{"Type":"Loop","Next":"Z"},"Z":{"Type":"Succeed"}}}`, []string{"A: unknown state type Loop", "Z: no state leads here"}},
		"bad JSONata":          {head + `"A":{` + task + `,"Arguments":{"x":["{% 1 + %}"]}},` + end, []string{"A: Arguments/x[0] is not JSONata"}},
		"half an expression":   {head + `"A":{` + task + `,"Arguments":"{% 1 "},` + end, []string{"A: Arguments has only half of the marks"}},
		"eval":                 {head + `"A":{` + task + `,"Arguments":"{% $eval('1') %}"},` + end, []string{"A: Arguments calls $eval"}},
		"substitution left":    {head + `"A":{"Type":"Task","Resource":"${Drive}","Next":"Z"},` + end, []string{"States/A/Resource: a substitution is left over", "A: Resource must be an ARN"}},
		"key twice":            {head + `"A":{"Type":"Succeed"},"A":{"Type":"Succeed"}}}`, []string{`States: the key "A" is given twice`}},
		"choice not boolean":   {head + `"A":{"Type":"Choice","Choices":[{"Condition":"$x","Next":"Z"}]},` + end, []string{"A.Choices[0]: Condition must be an expression"}},
		"choice empty":         {head + `"A":{"Type":"Choice","Choices":[],"Default":"Z"},` + end, []string{"A: Choices must be an array that is not empty"}},
		"choice with Next":     {head + `"A":{"Type":"Choice","Choices":[{"Condition":true,"Next":"Z"}],"Next":"Z"},` + end, []string{"A: unknown field Next"}},
		"wait without":         {head + `"A":{"Type":"Wait","Next":"Z"},` + end, []string{"A: exactly one of Seconds and Timestamp"}},
		"wait negative":        {head + `"A":{"Type":"Wait","Seconds":-1,"Next":"Z"},` + end, []string{"A: Seconds must be between 0"}},
		"wait fraction":        {head + `"A":{"Type":"Wait","Seconds":1.5,"Next":"Z"},` + end, []string{"A: Seconds must be an integer"}},
		"wait no time":         {head + `"A":{"Type":"Wait","Timestamp":"noon","Next":"Z"},` + end, []string{"A: Timestamp must be a time in RFC 3339"}},
		"States.ALL not last":  {head + `"A":{` + task + `,"Retry":[{"ErrorEquals":["States.ALL"]},{"ErrorEquals":["E"]}]},` + end, []string{"A.Retry[0]: ErrorEquals: States.ALL must be in the last"}},
		"States.ALL not alone": {head + `"A":{` + task + `,"Catch":[{"ErrorEquals":["E","States.ALL"],"Next":"Z"}]},` + end, []string{"A.Catch[0]: ErrorEquals: States.ALL must stand alone"}},
		"TaskFailed not alone": {head + `"A":{` + task + `,"Retry":[{"ErrorEquals":["E","States.TaskFailed"]}]},` + end, []string{"A.Retry[0]: ErrorEquals: States.TaskFailed must stand alone"}},
		"reserved error":       {head + `"A":{` + task + `,"Retry":[{"ErrorEquals":["States.TimeOut"]}]},` + end, []string{"A.Retry[0]: ErrorEquals: Step Functions has no error States.TimeOut"}},
		"no errors":            {head + `"A":{` + task + `,"Retry":[{"ErrorEquals":[]}]},` + end, []string{"A.Retry[0]: ErrorEquals must be an array"}},
		"bad retrier":          {head + `"A":{` + task + `,"Retry":[{"ErrorEquals":["E"],"IntervalSeconds":0,"BackoffRate":0.5,"MaxAttempts":-1,"JitterStrategy":"SOME"}]},` + end, []string{"A.Retry[0]: IntervalSeconds", "A.Retry[0]: MaxAttempts", "A.Retry[0]: BackoffRate", "A.Retry[0]: JitterStrategy"}},
		"short MaxDelay":       {head + `"A":{` + task + `,"Retry":[{"ErrorEquals":["E"],"IntervalSeconds":5,"MaxDelaySeconds":5}]},` + end, []string{"A.Retry[0]: MaxDelaySeconds must be greater"}},
		"retry of a Pass":      {head + `"A":{"Type":"Pass","Next":"Z","Retry":[]},` + end, []string{"A: unknown field Retry"}},
		"assign to states":     {head + `"A":{` + task + `,"Assign":{"states":1,"a-b":2}},` + end, []string{"A: Assign: states cannot", "A: Assign: a-b cannot"}},
		"assign at the end":    {head + `"A":{"Type":"Succeed","Assign":{"a":1}}}}`, []string{"A: unknown field Assign"}},
		"same name twice":      {head + `"A":{` + strings.ReplaceAll(each, `"B"`, `"Z"`) + `}},` + end, []string{"Z: the name is also that of A/Z"}},
		"inline with batches":  {head + `"A":{` + each + `},"ItemBatcher":{"MaxItemsPerBatch":2},"ToleratedFailureCount":1},` + end, []string{"A: unknown field ItemBatcher", "A: unknown field ToleratedFailureCount"}},
		"inline too wide":      {head + `"A":{` + each + `},"MaxConcurrency":41},` + end, []string{"A: MaxConcurrency must be between 0 and 40"}},
		"express children":     {head + `"A":{` + each + `,"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"EXPRESS"}}},` + end, []string{"A.ItemProcessor.ProcessorConfig: ExecutionType must be STANDARD"}},
		"items and reader":     {head + `"A":{` + each + `,` + dist + `,"Items":[],"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","ReaderConfig":{"InputType":"CSV"},"Arguments":{"Bucket":"b"}}},` + end, []string{"A.ItemReader.ReaderConfig: InputType must be JSON", "A.ItemReader.Arguments: Key is missing", "A: only one of Items and ItemReader"}},
		"writer":               {head + `"A":{` + each + `,` + dist + `,"ResultWriter":{"Resource":"arn:aws:states:::s3:getObject","WriterConfig":{"Transformation":"SOME","OutputType":"JSONL"}}},` + end, []string{"A.ResultWriter: Resource must be", "A.ResultWriter: Arguments is missing", "A.ResultWriter.WriterConfig: Transformation", "A.ResultWriter.WriterConfig: OutputType"}},
		"nested path":          {head + `"A":{"Type":"Parallel","Next":"Z","Branches":[{"StartAt":"B","States":{"B":{"Type":"Pass","End":true,"Foo":1}}}]},` + end, []string{"A[0]/B: unknown field Foo"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(tt.definition))
			var problems *ParseError
			if err != nil && !errors.As(err, &problems) {
				t.Fatalf("%T: %v", err, err)
			}
			var got []string
			if err != nil {
				got = strings.Split(problems.Error(), "\n")
			}
			same := len(got) == len(tt.want)
			for i := 0; same && i < len(got); i++ {
				same = strings.HasPrefix(got[i], tt.want[i])
			}
			if !same {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseAssignToOuterScope(t *testing.T) {
	const definition = `{"QueryLanguage":"JSONata","StartAt":"A","States":{
		"A":{"Type":"Pass","Assign":{"x":1},"Next":"M"},
		"M":{"Type":"Map","End":true,"ItemProcessor":{"ProcessorConfig":{"Mode":"MODE"TYPE},"StartAt":"B","States":{
			"B":{"Type":"Pass","Assign":{"x":2},"End":true}}}}}}`
	for mode, executions := range map[string]string{"INLINE": "", "DISTRIBUTED": `,"ExecutionType":"STANDARD"`} {
		_, err := Parse([]byte(strings.NewReplacer("MODE", mode, "TYPE", executions).Replace(definition)))
		if err == nil || err.Error() != "M/B: Assign: the variable x belongs to an outer scope" {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

func TestStates(t *testing.T) {
	m := machine(t, `
		"A":{"Type":"Task","Comment":"first","Resource":"arn:x","Next":"B",
			"Retry":[{"ErrorEquals":["E"],"IntervalSeconds":2,"MaxDelaySeconds":9,"JitterStrategy":"FULL"}],
			"Catch":[{"ErrorEquals":["States.ALL"],"Next":"B"}]},
		"B":{"Type":"Choice","Choices":[{"Condition":true,"Next":"C"}],"Default":"A"},
		"C":{"Type":"Map","End":true,"ItemProcessor":{"StartAt":"D","States":{
			"D":{"Type":"Parallel","End":true,"Branches":[{"StartAt":"E","States":{"E":{"Type":"Succeed"}}}]}}}}`)
	want := []StateInfo{
		{
			Path: "A", Name: "A", Type: "Task", Comment: "first", Resource: "arn:x", Next: []string{"B"},
			Retry: []Retrier{{ErrorEquals: []string{"E"}, Interval: 2 * time.Second, MaxAttempts: 3, BackoffRate: 2, MaxDelay: 9 * time.Second, FullJitter: true}},
			Catch: []Catcher{{ErrorEquals: []string{"States.ALL"}, Next: "B"}},
		},
		{Path: "B", Name: "B", Type: "Choice", Next: []string{"C", "A"}},
		{Path: "C", Name: "C", Type: "Map", End: true},
		{Path: "C/D", Name: "D", Type: "Parallel", End: true},
		{Path: "C/D[0]/E", Name: "E", Type: "Succeed", End: true},
	}
	if diff := cmp.Diff(want, m.States()); diff != "" {
		t.Error(diff)
	}
}
