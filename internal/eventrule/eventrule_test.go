package eventrule

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func decoded(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

const alarm = `{"source":"aws.cloudwatch","detail-type":"CloudWatch Alarm State Change","resources":["arn:a","arn:b"],
	"detail":{"alarmName":"orders-down","state":{"value":"ALARM"},"n":5,"yes":true,"nothing":null,"list":[{"k":"x"},{"k":"y"}],"empty":{}}}`

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		want    bool
		fails   bool
	}{
		{`{}`, true, false},
		{`{"source":["aws.cloudwatch"]}`, true, false},
		{`{"source":["aws.health"]}`, false, false},
		{`{"source":["aws.health","aws.cloudwatch"]}`, true, false},
		{`{"source":["aws.cloudwatch"],"detail-type":["other"]}`, false, false},
		{`{"detail":{"state":{"value":["ALARM"]}}}`, true, false},
		{`{"detail":{"state":{"value":["OK"]}}}`, false, false},
		{`{"detail":{"state":["ALARM"]}}`, false, false},
		{`{"detail":{"alarmName":[{"prefix":"orders-"}]}}`, true, false},
		{`{"detail":{"alarmName":[{"prefix":"billing-"}]}}`, false, false},
		{`{"detail":{"alarmName":[{"suffix":"-down"}]}}`, true, false},
		{`{"detail":{"alarmName":[{"suffix":"-up"}]}}`, false, false},
		{`{"detail":{"alarmName":[{"equals-ignore-case":"ORDERS-down"}]}}`, true, false},
		{`{"detail":{"alarmName":[{"anything-but":"orders-down"}]}}`, false, false},
		{`{"detail":{"alarmName":[{"anything-but":["a","b"]}]}}`, true, false},
		{`{"detail":{"alarmName":[{"anything-but":{"prefix":"orders"}}]}}`, false, false},
		{`{"detail":{"n":[5]}}`, true, false},
		{`{"detail":{"n":["5"]}}`, false, false},
		{`{"detail":{"n":[{"prefix":"5"}]}}`, false, false},
		{`{"detail":{"yes":[true]}}`, true, false},
		{`{"detail":{"nothing":[null]}}`, true, false},
		{`{"detail":{"missing":[null]}}`, false, false},
		{`{"detail":{"missing":["x"]}}`, false, false},
		{`{"detail":{"missing":[{"exists":false}]}}`, true, false},
		{`{"detail":{"missing":{"deeper":[{"exists":false}]}}}`, true, false},
		{`{"detail":{"missing":[{"exists":true}]}}`, false, false},
		{`{"detail":{"n":[{"exists":true}]}}`, true, false},
		{`{"detail":{"n":[{"exists":false}]}}`, false, false},
		{`{"resources":["arn:b"]}`, true, false},
		{`{"resources":["arn:c"]}`, false, false},
		{`{"detail":{"list":{"k":["y"]}}}`, true, false},
		{`{"detail":{"list":{"k":["z"]}}}`, false, false},
		{`{"source":"aws.cloudwatch"}`, false, true},
		{`{"detail":{"n":[{"numeric":[">",3]}]}}`, false, true},
		{`{"detail":{"n":[{"prefix":"a","suffix":"b"}]}}`, false, true},
	} {
		t.Run(tt.pattern, func(t *testing.T) {
			got, err := Match(decoded(t, tt.pattern), decoded(t, alarm))
			if got != tt.want || (err != nil) != tt.fails {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

func TestGive(t *testing.T) {
	at := time.Date(2026, 1, 5, 3, 0, 0, 0, time.UTC)
	const event = `{"detail":{"name":"a \"b\"","n":5,"object":{"k":1}}}`
	for _, tt := range []struct {
		name   string
		target Target
		want   string // empty: an error
	}{
		{"the event itself", Target{}, event},
		{"a constant", Target{Input: `{"a":1}`}, `{"a":1}`},
		{"a constant that is none", Target{Input: `{a}`}, ""},
		{"a part", Target{Path: "$.detail.object"}, `{"k":1}`},
		{"a part that is not there", Target{Path: "$.detail.none"}, `null`},
		{"a path of another kind", Target{Path: "$.detail[0]"}, ""},
		{"a text as a value", Target{Paths: map[string]string{"x": "$.detail.name"}, Template: `{"v": <x>}`}, `{"v": "a \"b\""}`},
		{"a text in a text", Target{Paths: map[string]string{"x": "$.detail.name"}, Template: `"it is <x>!"`}, `"it is a \"b\"!"`},
		{"a number", Target{Paths: map[string]string{"x": "$.detail.n"}, Template: `{"v": <x>, "w": "<x>"}`}, `{"v": 5, "w": "5"}`},
		{"an object", Target{Paths: map[string]string{"x": "$.detail.object"}, Template: `{"v": <x>}`}, `{"v": {"k":1}}`},
		{"the whole event", Target{Template: `{"t":{"n":"x"},"event":<aws.events.event.json>}`}, `{"t":{"n":"x"},"event":{"detail":{"n":5,"name":"a \"b\"","object":{"k":1}}}}`},
		{"the whole event in a text", Target{Template: `"<aws.events.event.json>"`}, ""},
		{"the rule", Target{Template: `["<aws.events.rule-name>", <aws.events.rule-arn>, <aws.events.event.ingestion-time>]`}, `["r", "arn:r", "2026-01-05T03:00:00Z"]`},
		{"a variable that is not mapped", Target{Template: `{"v": <y>}`}, ""},
		{"no JSON", Target{Template: `{"v": }`}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.target.Give([]byte(event), Rule{Name: "r", ARN: "arn:r"}, at)
			if (err != nil) != (tt.want == "") || string(got) != tt.want {
				t.Errorf("%s, %v; want %s", got, err, tt.want)
			}
		})
	}
	if _, err := (Target{}).Give([]byte("{"), Rule{}, at); err == nil {
		t.Error("an event that is no JSON was taken")
	}
}

func TestEvery(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"rate(1 minute)": time.Minute, "rate(30 minutes)": 30 * time.Minute, "rate(2 hours)": 2 * time.Hour, "rate(1 day)": 24 * time.Hour,
		"rate(1 minutes)": 0, "rate(5 minute)": 0, "rate(0 minutes)": 0, "cron(0 * * * ? *)": 0, strings.Repeat("x", 9): 0,
	} {
		if got, err := Every(text); got != want || (err != nil) != (want == 0) {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
}
