package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/report"
)

// PutEvents takes ten at once, and after a failure nothing more is tried.
func TestSend(t *testing.T) {
	for _, tt := range []struct {
		entries, calls int
	}{{0, 0}, {1, 1}, {10, 1}, {11, 2}, {50, 5}} {
		o := &outlets{}
		entries := make([]Entry, tt.entries)
		for i := range entries {
			entries[i] = Entry{DetailType: "x", Detail: map[string]int{"n": i}}
		}
		if err := Send(t.Context(), o, entries...); err != nil || len(o.events) != tt.calls {
			t.Errorf("%d entries: %d calls, %v", tt.entries, len(o.events), err)
		}
		n := 0
		for _, call := range o.events {
			if len(call.Entries) > 10 {
				t.Errorf("a call has %d entries", len(call.Entries))
			}
			for _, e := range call.Entries {
				if want := fmt.Sprintf(`{"n":%d}`, n); aws.ToString(e.Detail) != want {
					t.Errorf("%s, want %s", aws.ToString(e.Detail), want)
				}
				n++
			}
		}
	}
	for _, o := range []*outlets{{eventErr: errors.New("no")}, {failed: 1}} {
		if err := Send(t.Context(), o, make([]Entry, 30)...); err == nil || len(o.events) != 1 {
			t.Errorf("%d calls, %v", len(o.events), err)
		}
	}
}

// Of a large layer the failures are told of first, and its numbers are whole.
func TestLayerEventsAreBounded(t *testing.T) {
	now := time.Date(2026, 1, 5, 3, 0, 0, 0, time.UTC)
	for _, count := range []int{1, mostTold, mostTold + 1, 10_000} {
		items := make([]Item, count)
		for i := range items {
			items[i] = Item{Index: i, Name: "db", Status: report.Done, Message: strings.Repeat("x", 5000)}
		}
		items[count-1].Status, items[count-1].Failure = report.Failed, &failure{Error: "Terminal", Cause: "storage-full"}
		all := layerEvents(LayerInput{Layer: LayerRef{Layer: 7, Count: count}}, LayerOutcome{Outcome: report.FailedDirty}, items, now)
		ended := all[0].Detail.(LayerEnded)
		if len(all) != min(count, mostTold)+1 || ended.Told != len(all)-1 || ended.Resources != count || ended.Done != count-1 || ended.Layer != 7 {
			t.Errorf("%d resources: %d events, %+v", count, len(all), ended)
		}
		if first := all[1].Detail.(ResourceEnded); first.Index != count-1 || first.ErrorClass != "Terminal" || first.Message != "storage-full" {
			t.Errorf("%d resources: the first is %+v", count, first)
		}
		if text, err := json.Marshal(all); err != nil || len(text)/len(all) > 2000 {
			t.Errorf("%d resources: %d bytes, %v", count, len(text), err)
		}
		if items[count-1].Status != report.Failed {
			t.Error("the items were put in another order")
		}
	}
}

func TestResourceEnded(t *testing.T) {
	from := time.Date(2026, 1, 5, 3, 0, 0, 0, time.UTC)
	got := resourceEnded(LayerInput{Layer: LayerRef{Layer: 2}}, Item{
		Index: 3, Name: "orders", Status: report.Done, Changed: action.ChangeYes, StartedAt: from, EndedAt: from.Add(90 * time.Second), Memo: map[string]string{action.MemoLag: "2.5"}})
	if got.DurationSeconds != 90 || got.LagSeconds == nil || *got.LagSeconds != 2.5 || got.Layer != 2 || got.ErrorClass != "" {
		t.Errorf("%+v", got)
	}
	if got := resourceEnded(LayerInput{}, Item{}); got.DurationSeconds != 0 || got.LagSeconds != nil {
		t.Errorf("%+v", got)
	}
}

// A run that came to write no plan is still of a machine and a region.
func TestEndings(t *testing.T) {
	const id = "arn:aws:states:us-west-2:111122223333:execution:dr-orchestrator-failover:x"
	for outcome, want := range map[report.Outcome]int{report.Succeeded: 1, report.Refused: 2, report.FailedClean: 1, report.FailedDirty: 1} {
		all := endings(report.Record{Run: action.Run{Execution: id}, Outcome: outcome, Cause: strings.Repeat("x", 5000)}, Location{})
		detail := all[0].Detail.(RunEnded)
		if len(all) != want || detail.Region != "us-west-2" || detail.Machine != "failover" || len(detail.Cause) > 1100 {
			t.Errorf("%s: %d events, %+v", outcome, len(all), detail)
		}
	}
}

// The message of an end leads on: to the report, and to what can be done.
func TestWhatNext(t *testing.T) {
	const arn = "arn:aws:states:us-west-2:111122223333:execution:dr-orchestrator-failover:run-1"
	const page = "https://us-west-2.console.aws.amazon.com/states/home?region=us-west-2#/v2/executions/details/" + arn
	for _, tt := range []struct {
		mode    string
		outcome report.Outcome
		want    []string
		not     []string
	}{
		{"run", report.Succeeded, []string{"drctl acknowledge " + arn}, []string{"resume"}},
		{"run", report.FailedDirty, []string{"drctl resume " + arn, "drctl acknowledge " + arn}, nil},
		{"run", report.Refused, []string{"drctl resume " + arn}, nil},
		{"plan", report.Refused, nil, []string{"resume", "acknowledge"}},
	} {
		record := report.Record{Run: action.Run{Execution: arn, Region: "us-west-2"}, Mode: tt.mode, Outcome: tt.outcome}
		got := record.Text() + whatNext(arn, record, Location{"b", "k"})
		for _, part := range append(tt.want, "\n"+arn+"\n", page+"\n", "aws s3 cp s3://b/k -") {
			if !strings.Contains(got, part) {
				t.Errorf("%s, %s: %q is not in %s", tt.mode, tt.outcome, part, got)
			}
		}
		for _, part := range tt.not {
			if strings.Contains(got, part) {
				t.Errorf("%s, %s: %q is in %s", tt.mode, tt.outcome, part, got)
			}
		}
	}
	if got := whatNext("odd", report.Record{}, Location{}); strings.Contains(got, "http") {
		t.Errorf("a link of what is no execution: %s", got)
	}
}

func TestAdded(t *testing.T) {
	begin := time.Date(2026, 1, 5, 3, 0, 0, 0, time.UTC)
	spans := func(all ...[2]int) report.Record {
		record := report.Record{DurationSeconds: 100, Layers: []report.Layer{{}}}
		for _, s := range all {
			from, to := begin.Add(time.Duration(s[0])*time.Second), begin.Add(time.Duration(s[1])*time.Second)
			record.Layers[0].Resources = append(record.Layers[0].Resources, report.Resource{StartedAt: &from, EndedAt: &to})
		}
		return record
	}
	for _, tt := range []struct {
		name   string
		record report.Record
		want   float64
	}{
		{"nothing was driven", spans(), 100},
		{"one", spans([2]int{10, 60}), 50},
		{"one inside the other", spans([2]int{10, 60}, [2]int{20, 30}), 50},
		{"overlapping", spans([2]int{20, 60}, [2]int{10, 30}), 50},
		{"one after the other", spans([2]int{10, 20}, [2]int{50, 60}), 80},
		{"one that ended before it began", spans([2]int{60, 10}), 100},
		{"longer than the run", spans([2]int{0, 200}), 0},
	} {
		if got := added(tt.record); got != tt.want {
			t.Errorf("%s: %g, want %g", tt.name, got, tt.want)
		}
	}
}

// lines decodes what was written as metrics.
func lines(t *testing.T, written string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for _, line := range strings.Split(strings.TrimSpace(written), "\n") {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, m)
	}
	return all
}

func TestRunMetrics(t *testing.T) {
	const arn = "arn:aws:states:us-west-2:111122223333:execution:dr-orchestrator-failback:run-1"
	lag := 2.5
	record := report.Record{Outcome: report.Succeeded, DurationSeconds: 100, Run: action.Run{Machine: "failover", Region: "us-west-2", Execution: arn}, Layers: []report.Layer{{Resources: []report.Resource{
		{ResourceName: "orders", ResourceType: "T", Status: report.Done, DurationSeconds: 60, LagSeconds: &lag},
		{ResourceName: "billing", ResourceType: "T", Status: report.Failed, LagSeconds: &lag},
		{ResourceName: "skipped", ResourceType: "T", Status: report.Skipped, LagSeconds: &lag},
	}}}}
	of := func(record report.Record) []map[string]any {
		var out bytes.Buffer
		r := Reporter{Deployment: "dr", Metrics: &out}
		in := ReportInput{}
		if lost := r.measure(t.Context(), in, record, Location{}); lost != nil {
			t.Fatal(lost)
		}
		return lines(t, out.String())
	}
	all := of(record)
	if len(all) != 3 {
		t.Fatalf("%d lines", len(all))
	}
	if m := all[0]; m[MetricRecoveryTime] != 100.0 || m[MetricRunFailed] != 0.0 || m[MetricFailures] != 1.0 || m["Machine"] != "failover" || m["Deployment"] != "dr" || m["execution"] != arn ||
		m[PropertyURL] != "https://us-west-2.console.aws.amazon.com/states/home?region=us-west-2#/v2/executions/details/"+arn {
		t.Errorf("%v", m)
	}
	if m := all[1]; m[MetricRecoveryTime] != 60.0 || m[MetricRecoveryPoint] != 2.5 || m["ResourceName"] != "orders" {
		t.Errorf("%v", m)
	}
	if m := all[2]; m[MetricRecoveryTime] != nil || m[MetricRecoveryPoint] != 2.5 {
		t.Errorf("of one that failed: %v", m)
	}
	record.Outcome = report.FailedDirty
	if m := of(record)[0]; m[MetricRecoveryTime] != nil || m[MetricRunFailed] != 1.0 {
		t.Errorf("a run that failed has recovered in a time: %v", m)
	}
	// One that came to write no plan counts for its machine, too.
	if m := of(report.Record{Outcome: report.FailedClean, Run: action.Run{Execution: arn}})[0]; m["Machine"] != "failback" || m[MetricRunFailed] != 1.0 {
		t.Errorf("of a run without a plan: %v", m)
	}
	record.Mode = "plan"
	all = of(record)
	for _, m := range all {
		if m[MetricLag] != 2.5 || m[MetricRecoveryPoint] != nil || m[MetricRunFailed] != nil {
			t.Errorf("of a plan: %v", m)
		}
	}
	record.Mode = "run"
	record.Layers[0].Resources = slices.Repeat(record.Layers[0].Resources[:1], 1000)
	if n := len(of(record)); n != mostMetered+1 {
		t.Errorf("1000 resources have %d lines", n)
	}
}

// What ended is judged as a check by its name, but for a run that was refused
// for it: people are told of that one as of any run.
func TestEndedCheck(t *testing.T) {
	for _, tt := range []struct {
		name, mode string
		want       bool
	}{
		{"readiness-orders-1", "plan", true}, {"readiness-orders-1", "", true}, {"readiness-orders-1", "run", false}, {"run-1", "plan", false}, {"run-1", "run", false},
	} {
		if got := endedCheck(report.Record{Mode: tt.mode}, tt.name); got != tt.want {
			t.Errorf("%s of mode %q: %t", tt.name, tt.mode, got)
		}
	}
}

func TestCheckedPayload(t *testing.T) {
	for _, tt := range []struct{ source, name, want string }{
		{"s3://b/payloads/orders.v2.json", "readiness-orders_v2-20260105T0300", "orders.v2"},
		{"ssm:/dr/payloads/orders", "readiness-x-1", "orders"},
		{"", "readiness-orders-eu-20260105T0300", "orders-eu"},
		{"", "readiness-orders", "orders"},
	} {
		if got := checkedPayload(report.Record{Source: tt.source}, tt.name); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}
