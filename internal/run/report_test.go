package run

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/payload"
	"dr-orchestrator/internal/report"
)

func reportInput(outcome report.Outcome, begun int) ReportInput {
	in := ReportInput{Outcome: outcome, Cause: "because", Begun: begun}
	in.Execution.ID, in.Execution.Name, in.Execution.StartTime = executionARN, "run-1", started
	return in
}

// What a step did not come to leave is told as such and never guessed.
func TestBuild(t *testing.T) {
	plan := planOf(2, 1)
	checked := readyFor(plan)
	lag := 2.5
	checked[0].Lag = &lag
	acted := item(0, report.Done, action.ChangeYes)
	acted.Memo = map[string]string{action.MemoLag: "1.5"}
	failed := item(1, report.Failed, action.ChangeUnknown)
	type end struct {
		status  report.Status
		changed bool
		class   string
	}
	for _, tt := range []struct {
		name  string
		set   func(b *bucket)
		begun int
		want  []end
	}{
		{"nothing was written", func(*bucket) {}, 0, nil},
		{"only a plan", func(b *bucket) { b.holds(t, "runs/run-1/plan.json", plan) }, 0,
			[]end{{report.Skipped, false, ""}, {report.Skipped, false, ""}, {report.Skipped, false, ""}}},
		{"a layer was begun, and nothing is known of it", func(b *bucket) {
			b.holds(t, "runs/run-1/plan.json", plan)
			b.holds(t, "runs/run-1/readiness.json", checked)
		}, 1, []end{{report.Failed, true, "NoResult"}, {report.Failed, true, "NoResult"}, {report.Skipped, false, ""}}},
		{"one item of a layer is missing", func(b *bucket) {
			b.holds(t, "runs/run-1/plan.json", plan)
			b.holds(t, "runs/run-1/readiness.json", checked)
			b.holds(t, "runs/run-1/layer-1-results.json", []Item{acted})
		}, 1, []end{{report.Done, true, ""}, {report.Failed, true, "NoResult"}, {report.Skipped, false, ""}}},
		{"all is there", func(b *bucket) {
			b.holds(t, "runs/run-1/plan.json", plan)
			b.holds(t, "runs/run-1/readiness.json", checked)
			b.holds(t, "runs/run-1/layer-1-results.json", []Item{failed, acted})
			b.holds(t, "runs/run-1/layer-2-results.json", []Item{item(2, report.RefusedHere, action.ChangeNo)})
		}, 2, []end{{report.Done, true, ""}, {report.Failed, true, "Terminal"}, {report.RefusedHere, false, "Terminal"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBucket()
			tt.set(b)
			got, err := Store{S3: b, Bucket: "runs-bucket"}.Build(t.Context(), reportInput(report.FailedDirty, tt.begun), ended)
			if err != nil {
				t.Fatal(err)
			}
			if got.Outcome != report.FailedDirty || got.Cause != "because" || got.DurationSeconds != 600 || got.Run.ID != "run-1" {
				t.Errorf("record %+v", got)
			}
			var ends []end
			for _, layer := range got.Layers {
				for _, r := range layer.Resources {
					e := end{r.Status, r.Changed, ""}
					if r.Error != nil {
						e.class = r.Error.Class
					}
					ends = append(ends, e)
				}
			}
			if len(ends) != len(tt.want) {
				t.Fatalf("%d resources, want %d", len(ends), len(tt.want))
			}
			for i, want := range tt.want {
				if ends[i] != want {
					t.Errorf("resource %d: %+v, want %+v", i, ends[i], want)
				}
			}
		})
	}
	t.Run("lag", func(t *testing.T) {
		b := newBucket()
		b.holds(t, "runs/run-1/plan.json", plan)
		b.holds(t, "runs/run-1/readiness.json", checked)
		got, _ := Store{S3: b, Bucket: "x"}.Build(t.Context(), reportInput(report.Succeeded, 0), ended)
		if l := got.Layers[0].Resources[0].LagSeconds; l == nil || *l != 2.5 {
			t.Errorf("lag %v before anything ran, want that of the preflight", l)
		}
		if l := got.Layers[0].Resources[1].LagSeconds; l != nil {
			t.Errorf("lag %g of a resource of which none is known", *l)
		}
		b.holds(t, "runs/run-1/layer-1-results.json", []Item{acted, failed})
		got, _ = Store{S3: b, Bucket: "x"}.Build(t.Context(), reportInput(report.Succeeded, 1), ended)
		if l := got.Layers[0].Resources[0].LagSeconds; l == nil || *l != 1.5 {
			t.Errorf("lag %v, want that just before acting", l)
		}
	})
	t.Run("problems", func(t *testing.T) {
		b := newBucket()
		wrong := planOf(1)
		wrong.Problems = []payload.Problem{{Pointer: "/x", Message: "wrong"}}
		b.holds(t, "runs/run-1/plan.json", wrong)
		b.holds(t, "runs/run-1/readiness.json", []action.Checked{{Findings: []action.Finding{finding(action.VerdictBlocked, action.Refused), finding(action.VerdictWarning, "")}}})
		got, err := Store{S3: b, Bucket: "x"}.Build(t.Context(), reportInput(report.Refused, 0), ended)
		if err != nil || len(got.Problems) != 2 {
			t.Errorf("problems %+v, %v", got.Problems, err)
		}
	})
	// A document that is there and cannot be read is not the same as none.
	for _, doc := range []string{"plan.json", "readiness.json", "layer-1-results.json"} {
		t.Run("unreadable "+doc, func(t *testing.T) {
			b := newBucket()
			b.holds(t, "runs/run-1/plan.json", plan)
			b.errs["runs/run-1/"+doc] = coded("AccessDenied")
			if _, err := (Store{S3: b, Bucket: "x"}).Build(t.Context(), reportInput(report.Succeeded, 1), ended); action.ClassOf(err) != action.Denied {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestReporter(t *testing.T) {
	for _, tt := range []struct {
		name        string
		outlets     outlets
		topic       string
		undelivered []string
	}{
		{"all goes out", outlets{}, "arn:aws:sns:us-west-2:111122223333:dr", nil},
		{"no topic", outlets{}, "", nil},
		{"no event", outlets{eventErr: errors.New("no")}, "arn:aws:sns:us-west-2:111122223333:dr", []string{"event"}},
		{"event not taken", outlets{failed: 1}, "arn:aws:sns:us-west-2:111122223333:dr", []string{"event"}},
		{"no message", outlets{noticeErr: errors.New("no")}, "arn:aws:sns:us-west-2:111122223333:dr", []string{"message"}},
		{"neither", outlets{eventErr: errors.New("no"), noticeErr: errors.New("no")}, "arn:aws:sns:us-west-2:111122223333:dr", []string{"event", "message"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBucket()
			b.holds(t, "runs/run-1/plan.json", planOf(1))
			r := Reporter{Store: Store{S3: b, Bucket: "runs-bucket"}, Events: &tt.outlets, Notices: &tt.outlets, Topic: tt.topic, Now: func() time.Time { return ended }}
			got, err := r.Record(t.Context(), reportInput(report.FailedDirty, 1))
			if err != nil {
				t.Fatal(err)
			}
			if got.Report.Bucket != "runs-bucket" || got.Report.Key != ReportKey("run-1") {
				t.Errorf("report at %+v", got.Report)
			}
			if record := document[report.Record](t, b, got.Report.Key); record.Outcome != report.FailedDirty || len(record.Layers) != 1 {
				t.Errorf("record %+v", record)
			}
			for _, what := range []string{"event", "message"} {
				want := false
				for _, u := range tt.undelivered {
					want = want || u == what
				}
				if strings.Contains(got.Undelivered, what) != want {
					t.Errorf("undelivered %q, want %v", got.Undelivered, tt.undelivered)
				}
			}
			if len(tt.outlets.events) != 1 || len(tt.outlets.notices) != 1 && tt.topic != "" || len(tt.outlets.notices) > 0 && tt.topic == "" {
				t.Fatalf("%d events, %d messages", len(tt.outlets.events), len(tt.outlets.notices))
			}
			entry := tt.outlets.events[0].Entries[0]
			var detail struct {
				Execution, Outcome string
				Report             Location
			}
			if err := json.Unmarshal([]byte(aws.ToString(entry.Detail)), &detail); err != nil || detail.Outcome != "FailedDirty" || detail.Execution != executionARN || detail.Report != got.Report {
				t.Errorf("event %s", aws.ToString(entry.Detail))
			}
			if aws.ToString(entry.Source) != EventSource || len(entry.Resources) != 1 || !entry.Time.Equal(ended) {
				t.Errorf("event %+v", entry)
			}
			for _, notice := range tt.outlets.notices {
				if aws.ToString(notice.TopicArn) != tt.topic || !strings.Contains(aws.ToString(notice.Subject), "FailedDirty") || !strings.Contains(aws.ToString(notice.Message), "because") {
					t.Errorf("message %+v", notice)
				}
			}
		})
	}
	t.Run("the report is not written", func(t *testing.T) {
		b := newBucket()
		b.errs[ReportKey("run-1")] = coded("AccessDenied")
		o := &outlets{}
		r := Reporter{Store: Store{S3: b, Bucket: "x"}, Events: o, Notices: o, Now: func() time.Time { return ended }}
		if _, err := r.Record(t.Context(), reportInput(report.Succeeded, 0)); action.ClassOf(err) != action.Denied {
			t.Errorf("%v", err)
		}
		if len(o.events) > 0 {
			t.Error("an event tells of a report that is not there")
		}
	})
}

// Scripts read the report: these names stay.
func TestReportFields(t *testing.T) {
	b := newBucket()
	plan := planOf(1, 1)
	checked := readyFor(plan)
	checked[0].Findings = []action.Finding{finding(action.VerdictWarning, "")}
	checked[0].Evidence = action.Evidence{"status": "available"}
	b.holds(t, "runs/run-1/plan.json", plan)
	b.holds(t, "runs/run-1/readiness.json", checked)
	b.holds(t, "runs/run-1/layer-1-results.json", []Item{item(0, report.Failed, action.ChangeYes)})
	o := &outlets{}
	r := Reporter{Store: Store{S3: b, Bucket: "x"}, Events: o, Notices: o, Now: func() time.Time { return ended }}
	got, err := r.Record(t.Context(), reportInput(report.FailedDirty, 1))
	if err != nil {
		t.Fatal(err)
	}
	record := document[map[string]any](t, b, got.Report.Key)
	has := func(what string, v any, names ...string) map[string]any {
		t.Helper()
		object, ok := v.(map[string]any)
		if !ok {
			t.Fatalf("%s is %T", what, v)
		}
		for _, name := range names {
			if _, ok := object[name]; !ok {
				t.Errorf("%s has no %s", what, name)
			}
		}
		return object
	}
	has("record", record, "version", "run", "mode", "outcome", "cause", "startedAt", "endedAt", "durationSeconds", "layers", "problems")
	if record["version"] != 1.0 || record["outcome"] != "FailedDirty" || record["durationSeconds"] != 600.0 {
		t.Errorf("record %v", record)
	}
	has("run", record["run"], "id", "execution", "machine", "region", "account", "partition", "disaster", "startedAt")
	layers, _ := record["layers"].([]any)
	if len(layers) != 2 {
		t.Fatalf("%d layers", len(layers))
	}
	for i, names := range [][]string{
		{"verdict", "findings", "startedAt", "endedAt", "evidence", "error"}, // failed
		nil, // skipped
	} {
		layer := has("layer", layers[i], "layer", "resources")
		resources, _ := layer["resources"].([]any)
		resource := has("resource", resources[0], append(names, "index", "resourceType", "resourceName", "status", "changed", "durationSeconds", "polls", "lagSeconds")...)
		if resource["error"] != nil {
			has("error", resource["error"], "class", "message")
		}
	}
}

// The text of a message says the outcome first, and every resource.
func TestReportText(t *testing.T) {
	b := newBucket()
	b.holds(t, "runs/run-1/plan.json", planOf(2, 1))
	b.holds(t, "runs/run-1/layer-1-results.json", []Item{item(0, report.Done, action.ChangeYes), item(1, report.Failed, action.ChangeNo)})
	record, err := Store{S3: b, Bucket: "x"}.Build(t.Context(), reportInput(report.FailedDirty, 1), ended)
	if err != nil {
		t.Fatal(err)
	}
	text := record.Text()
	if !strings.HasPrefix(text, "FailedDirty") {
		t.Errorf("text begins %q", text[:20])
	}
	for _, want := range []string{"db a", "db b", "db c", "DONE (changed)", "broken", "SKIPPED"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
