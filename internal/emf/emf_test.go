package emf

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func right() Line {
	return Line{
		Namespace: "N", Time: time.UnixMilli(1700000000123), Sets: [][]string{{"A"}, {"A", "B"}}, Values: map[string]string{"A": "a", "B": "b", "execution": "arn"},
		Metrics: []Metric{{"Time", Seconds, 1.5}, {"Failures", Count, 0}},
	}
}

// The form is that of the specification.
func TestEncode(t *testing.T) {
	text, err := right().Encode()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"_aws":{"Timestamp":1700000000123,"CloudWatchMetrics":[{"Namespace":"N","Dimensions":[["A"],["A","B"]],
		"Metrics":[{"Name":"Time","Unit":"Seconds"},{"Name":"Failures","Unit":"Count"}]}]},"A":"a","B":"b","execution":"arn","Time":1.5,"Failures":0}`
	var got, expected any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &expected); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Error(diff)
	}
	if bytes.ContainsRune(text, '\n') {
		t.Error("it is more than a line")
	}
}

func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Line)
		fails  bool
	}{
		{"right", func(*Line) {}, false},
		{"no namespace", func(l *Line) { l.Namespace = "" }, true},
		{"no metric", func(l *Line) { l.Metrics = nil }, true},
		{"a hundred metrics", func(l *Line) { l.Metrics = many(100) }, false},
		{"more metrics", func(l *Line) { l.Metrics = many(101) }, true},
		{"a dimension without a value", func(l *Line) { l.Sets = [][]string{{"C"}} }, true},
		{"many dimensions", func(l *Line) { l.Sets = [][]string{make([]string, 31)} }, true},
		{"a metric named as a dimension", func(l *Line) { l.Metrics[0].Name = "A" }, true},
		{"a metric twice", func(l *Line) { l.Metrics[1].Name = "Time" }, true},
		{"a metric without a name", func(l *Line) { l.Metrics[0].Name = "" }, true},
		{"a text named as the head", func(l *Line) { l.Values["_aws"] = "x" }, true},
		{"no dimensions", func(l *Line) { l.Sets = nil }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := right()
			tt.change(&l)
			if _, err := l.Encode(); (err != nil) != tt.fails {
				t.Errorf("%v", err)
			}
		})
	}
}

func many(n int) []Metric {
	var all []Metric
	for i := range n {
		all = append(all, Metric{strings.Repeat("m", i+1), None, 1})
	}
	return all
}

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"orders": "orders", "": "-", "  ": "-", "Bücher": "B?cher", "a\nb": "a?b", ":x": "x", strings.Repeat("x", 2000): strings.Repeat("x", 1024),
	} {
		if got := clean(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestWrite(t *testing.T) {
	var out bytes.Buffer
	if err := Write(&out, right(), right()); err != nil || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%q, %v", out.String(), err)
	}
	if err := Write(nil, Line{}); err != nil {
		t.Error(err)
	}
	if Write(&out, Line{}) == nil || Write(broken{}, right()) == nil {
		t.Error("a failure is not told")
	}
}
