package asl

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExpressions(t *testing.T) {
	tests := map[string]struct {
		output string // of a Pass state
		input  string
		want   string
	}{
		"literal keeps order":       {`{"b":1,"a":[true,null,"x"]}`, `{}`, `{"b":1,"a":[true,null,"x"]}`},
		"at any depth":              {`{"a":[{"b":"{% $states.input.n %}"},2]}`, `{"n":1}`, `{"a":[{"b":1},2]}`},
		"integer stays integer":     {`"{% $states.input.n + 1 %}"`, `{"n":41}`, `42`},
		"fraction":                  {`"{% $states.input.n / 4 %}"`, `{"n":1}`, `0.25`},
		"large integer":             {`"{% $states.input.n %}"`, `{"n":9007199254740993}`, `9007199254740993`},
		"no negative zero":          {`"{% 0 * -1 %}"`, `{}`, `0`},
		"null survives":             {`"{% $states.input.n %}"`, `{"n":null}`, `null`},
		"null inside survives":      {`"{% {'a': $states.input.n, 'b': [null]} %}"`, `{"n":null}`, `{"a":null,"b":[null]}`},
		"object keeps order":        {`"{% $merge([$states.input, {'c': 3}]) %}"`, `{"b":1,"a":2}`, `{"b":1,"a":2,"c":3}`},
		"no HTML escapes":           {`"{% '<a&b>' %}"`, `{}`, `"<a&b>"`},
		"undefined":                 {`"{% $states.input.missing %}"`, `{}`, `FAILED States.QueryEvaluationError`},
		"undefined inside":          {`{"a":["{% $nothing %}"]}`, `{}`, `FAILED States.QueryEvaluationError`},
		"undefined key drops":       {`"{% {'a': $nothing, 'b': 1} %}"`, `{}`, `{"b":1}`},
		"function is no value":      {`"{% function($x){$x} %}"`, `{}`, `FAILED States.QueryEvaluationError`},
		"type error":                {`"{% 'a' + 1 %}"`, `{}`, `FAILED States.QueryEvaluationError`},
		"raised error":              {`"{% $error('no') %}"`, `{}`, `FAILED States.QueryEvaluationError`},
		"constructor flattens":      {`"{% $append($states.input.a, [$states.input.b]) %}"`, `{"a":[1],"b":[2,3]}`, `[1,2,3]`},
		"constructor nested":        {`"{% $append($states.input.a, [[$states.input.b]]) %}"`, `{"a":[1],"b":[2,3]}`, `[1,[2,3]]`},
		"singleton collapses":       {`"{% $states.input.a[n=1] %}"`, `{"a":[{"n":1},{"n":2}]}`, `{"n":1}`},
		"singleton kept by []":      {`"{% $states.input.a[n=1][] %}"`, `{"a":[{"n":1},{"n":2}]}`, `[{"n":1}]`},
		"context is input only":     {`"{% n %}"`, `{"n":1}`, `FAILED States.QueryEvaluationError`},
		"partition":                 {`"{% $partition([1..5], 2) %}"`, `{}`, `[[1,2],[3,4],[5]]`},
		"partition of nothing":      {`"{% $partition([], 2) %}"`, `{}`, `[]`},
		"partition by 0":            {`"{% $partition([1], 0) %}"`, `{}`, `FAILED States.QueryEvaluationError`},
		"range":                     {`"{% $range(0, 10, 5) %}"`, `{}`, `[0,5,10]`},
		"range down":                {`"{% $range(3, 0, -2) %}"`, `{}`, `[3,1]`},
		"range step 0":              {`"{% $range(3, 0, 0) %}"`, `{}`, `FAILED States.QueryEvaluationError`},
		"range too long":            {`"{% $range(1, 1001, 1) %}"`, `{}`, `FAILED States.QueryEvaluationError`},
		"hash MD5":                  {`"{% $hash('a', 'MD5') %}"`, `{}`, `"0cc175b9c0f1b6a831c399e269772661"`},
		"hash SHA-1":                {`"{% $hash('a', 'SHA-1') %}"`, `{}`, `"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"`},
		"hash SHA-256":              {`"{% $substring($hash('a', 'SHA-256'), 0, 8) %}"`, `{}`, `"ca978112"`},
		"hash SHA-384":              {`"{% $length($hash('a', 'SHA-384')) %}"`, `{}`, `96`},
		"hash SHA-512":              {`"{% $length($hash('a', 'SHA-512')) %}"`, `{}`, `128`},
		"hash unknown":              {`"{% $hash('a', 'CRC') %}"`, `{}`, `FAILED States.QueryEvaluationError`},
		"parse":                     {`"{% $parse('{\"b\":[1,null],\"a\":2}') %}"`, `{}`, `{"b":[1,null],"a":2}`},
		"parse of no JSON":          {`"{% $parse('{') %}"`, `{}`, `FAILED States.QueryEvaluationError`},
		"uuid":                      {`["{% $uuid() %}","{% $uuid() %}"]`, `{}`, `["uuid-1","uuid-2"]`},
		"random":                    {`"{% $random() %}"`, `{}`, `0.5`},
		"random of a seed":          {`"{% $random(7) = $random(7) and $random(7) != $random(8) %}"`, `{}`, `true`},
		"shuffle by the runtime":    {`"{% $shuffle([1..4]) %}"`, `{}`, `[1,4,2,3]`},
		"now":                       {`"{% $now() %}"`, `{}`, `"2026-03-01T12:00:00.250Z"`},
		"now with a picture":        {`"{% $now('[Y0001]-[M01]', '+0000') %}"`, `{}`, `"2026-03"`},
		"millis":                    {`"{% $millis() %}"`, `{}`, `1772366400250`},
		"eval renamed is no escape": {`"{% ($f := $eval; $f('1')) %}"`, `{}`, `FAILED States.QueryEvaluationError`},
		"context object": {
			`"{% $states.context.[Execution.Id, Execution.Name, Execution.Input.x, Execution.StartTime, State.Name, State.RetryCount, StateMachine.Name] %}"`, `{"x":9}`,
			`["arn:aws:states:eu-west-1:123456789012:execution:m:run","run",9,"2026-03-01T12:00:00.250Z","A",0,"m"]`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.chance = 0.5
			m := machine(t, `"A":{"Type":"Pass","Output":`+tt.output+`,"End":true}`)
			if diff := cmp.Diff(tt.want, end(w.run(t, m, tt.input))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUndefinedNamesExpressionAndField(t *testing.T) {
	m := machine(t, `"A":{"Type":"Task","Resource":"arn:x","Arguments":{"a":[{"b":"{% $states.input.gone %}"}]},"End":true}`)
	w := newWorld()
	r := w.run(t, m, `{}`)
	want := "The JSONata expression '$states.input.gone' specified for the field 'Arguments/a[0]/b' returned nothing (undefined)."
	if r.Error != ErrorQueryEvaluation || r.Cause != want {
		t.Errorf("got %s: %s", r.Error, r.Cause)
	}
	if len(w.calls) != 0 {
		t.Errorf("the task was called: %v", w.calls)
	}
	if !strings.Contains(w.kinds(), "EvaluationFailed") {
		t.Errorf("no EvaluationFailed among %s", w.kinds())
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"QueryLanguage":"JSONata","StartAt":"A","States":{"A":{"Type":"Succeed"}}}`))
	f.Add([]byte(`{"StartAt":1,"States":{"A":{"Type":"Map","ItemProcessor":{"States":{"B":[]}}}}}`))
	f.Add([]byte(`{"States":{"A":{"Type":"Choice","Choices":[{"Condition":"{% ( %}"}],"Default":""}}}`))
	f.Add([]byte(`{"States":{"A":{"Type":"Task","Retry":[{"ErrorEquals":[1]}],"Catch":[2],"Assign":[]}}}`))
	f.Fuzz(func(t *testing.T, definition []byte) {
		m, err := Parse(definition)
		if (m == nil) == (err == nil) {
			t.Errorf("machine %v, error %v", m, err)
		}
		if m != nil {
			m.States()
		}
	})
}

// Concurrent branches share their outer variables, so no expression may change
// what it reads.
func TestExpressionsLeaveVariablesAlone(t *testing.T) {
	expressions := []string{
		`$x^(>n)`, `$sort($x, function($a,$b){$a.n < $b.n})`, `$x ~> |$|{'n':9},['m']|`, `$reverse($x)`,
		`$append($x, $x)`, `$x.n`, `$x[0].m[1]`, `$x.m^(>$)`, `$merge($x)`, `$x.$spread($)`, `$shuffle($x)`,
		`$partition($x, 2)`, `$map($x, function($v){$v.n})`, `$x{$string(n): m}`, `$distinct($x)`, `$x#$i[$i=1]`,
		`$zip($x, $x)`, `$x@$e.{'e': $e.n}`, `$reduce($x.m, $append)`, `$filter($x, function($v){$v.n > 1})`, `$x.**.n`,
		`$states.input ~> |$|{'n':9}|`, `$states.context.Execution.Input ~> |$|{'n':9}|`,
	}
	const list = `[{"n":1,"m":[2,1]},{"n":3,"m":[4,3]},{"n":2,"m":[]}]`
	for _, source := range expressions {
		t.Run(source, func(t *testing.T) {
			w := newWorld()
			w.concurrent = true
			branch := func(name string) string {
				return `{"StartAt":"` + name + `","States":{"` + name + `":{"Type":"Pass","Output":"{% [` + source + `] %}","End":true}}}`
			}
			m := machine(t, `"A":{"Type":"Pass","Assign":{"x":"{% $states.input.x %}"},"Next":"P"},
				"P":{"Type":"Parallel","Branches":[`+branch("B")+`,`+branch("C")+`],"Next":"Z"},
				"Z":{"Type":"Succeed","Output":["{% $x %}","{% $states.context.Execution.Input %}"]}`)
			want := `[` + list + `,{"n":1,"x":` + list + `}]`
			if diff := cmp.Diff(want, end(w.run(t, m, `{"n":1,"x":`+list+`}`))); diff != "" {
				t.Error(diff)
			}
		})
	}
}
