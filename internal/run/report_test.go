package run

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/payload"
	"dr-orchestrator/internal/report"
)

// reportInput is what the machine sends of a run that came to begin so many
// layers and to record the results of so many of them.
func reportInput(outcome report.Outcome, begun, recorded int) ReportInput {
	in := ReportInput{Outcome: outcome, Cause: "because", Planned: true, Judged: true, Begun: begun, Recorded: recorded}
	in.Execution.ID, in.Execution.Name, in.Execution.StartTime = executionARN, "run-1", started
	return in
}

// What a step did not come to leave is told as such and never guessed, and what
// stands where it would is not taken for it.
func TestBuild(t *testing.T) {
	plan := planOf(2, 1)
	checked := readyFor(plan)
	lag := 2.5
	checked[0].Lag = &lag
	acted := item(0, report.Done, action.ChangeYes)
	acted.Memo = map[string]string{action.MemoLag: "1.5"}
	failed := item(1, report.Failed, action.ChangeUnknown)
	refused := item(2, report.RefusedHere, action.ChangeNo)
	all := func() *bucket {
		b := newBucket()
		b.holds(t, documents+"plan.json", plan)
		b.holds(t, documents+"readiness.json", checked)
		b.holds(t, documents+"layer-1-results.json", []Item{failed, acted})
		b.holds(t, documents+"layer-2-results.json", []Item{refused})
		return b
	}
	type end struct {
		status  report.Status
		changed bool
		class   string
	}
	skipped, lost := end{report.Skipped, false, ""}, end{report.Failed, true, "NoResult"}
	for _, tt := range []struct {
		name            string
		planned, judged bool
		begun, recorded int
		set             func(b *bucket)
		want            []end
		verdicts        bool
	}{
		{"nothing was written", false, false, 0, 0, nil, nil, false},
		{"only a plan", true, false, 0, 0, nil, []end{skipped, skipped, skipped}, false},
		{"judged, and no layer begun", true, true, 0, 0, nil, []end{skipped, skipped, skipped}, true},
		{"a layer was begun, and nothing is known of it", true, true, 1, 0, nil, []end{lost, lost, skipped}, true},
		{"one item of a layer is missing", true, true, 1, 1, func(b *bucket) { b.holds(t, documents+"layer-1-results.json", []Item{acted}) },
			[]end{{report.Done, true, ""}, lost, skipped}, true},
		{"the first layer is recorded", true, true, 1, 1, nil, []end{{report.Done, true, ""}, {report.Failed, true, "Terminal"}, skipped}, true},
		{"the second is lost", true, true, 2, 1, nil, []end{{report.Done, true, ""}, {report.Failed, true, "Terminal"}, lost}, true},
		{"all is there", true, true, 2, 2, nil, []end{{report.Done, true, ""}, {report.Failed, true, "Terminal"}, {report.RefusedHere, false, "Terminal"}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := all()
			if tt.set != nil {
				tt.set(b)
			}
			in := reportInput(report.FailedDirty, tt.begun, tt.recorded)
			in.Planned, in.Judged = tt.planned, tt.judged
			got, err := Store{S3: b, Bucket: "runs-bucket"}.Build(t.Context(), in, ended)
			if err != nil {
				t.Fatal(err)
			}
			if got.Outcome != report.FailedDirty || got.Cause != "because" || got.DurationSeconds != 600 ||
				got.Run.ID != "run-1" || got.Run.Execution != executionARN || !got.Run.StartedAt.Equal(started) {
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
					if (r.Verdict != "") != tt.verdicts {
						t.Errorf("verdict %q of resource %d", r.Verdict, r.Index)
					}
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
			// Scripts count the elements of these: they are lists even when empty.
			encoded, err := json.Marshal(got)
			if err != nil || strings.Contains(string(encoded), `"layers":null`) || strings.Contains(string(encoded), `"problems":null`) {
				t.Errorf("record %s, %v", encoded, err)
			}
		})
	}
	t.Run("lag", func(t *testing.T) {
		got, err := Store{S3: all(), Bucket: "x"}.Build(t.Context(), reportInput(report.Succeeded, 0, 0), ended)
		if err != nil {
			t.Fatal(err)
		}
		if l := got.Layers[0].Resources[0].LagSeconds; l == nil || *l != 2.5 {
			t.Errorf("lag %v before anything ran, want that of the preflight", l)
		}
		if l := got.Layers[0].Resources[1].LagSeconds; l != nil {
			t.Errorf("lag %g of a resource of which none is known", *l)
		}
		if got, err = (Store{S3: all(), Bucket: "x"}).Build(t.Context(), reportInput(report.Succeeded, 1, 1), ended); err != nil {
			t.Fatal(err)
		}
		if l := got.Layers[0].Resources[0].LagSeconds; l == nil || *l != 1.5 {
			t.Errorf("lag %v, want that just before acting", l)
		}
	})
	t.Run("problems", func(t *testing.T) {
		b := newBucket()
		wrong := planOf(1)
		wrong.Layers[0].Resources[0].Pointer = "/StatePayload/0/resources/0"
		wrong.Problems = []payload.Problem{{Pointer: "/x", Message: "wrong"}}
		b.holds(t, documents+"plan.json", wrong)
		b.holds(t, documents+"readiness.json", []action.Checked{{Verdict: action.VerdictBlocked, Findings: []action.Finding{finding(action.VerdictBlocked, action.Refused), finding(action.VerdictWarning, "")}}})
		got, err := Store{S3: b, Bucket: "x"}.Build(t.Context(), reportInput(report.Refused, 0, 0), ended)
		want := []payload.Problem{{Pointer: "/x", Message: "wrong"}, {Pointer: "/StatePayload/0/resources/0", Value: "db a", Message: "Refused: because"}}
		if diff := cmp.Diff(want, got.Problems); err != nil || diff != "" {
			t.Errorf("%v, problems (-want +got):\n%s", err, diff)
		}
	})
	// A document that should be there and is not, or cannot be read, is not the
	// same as none.
	for _, doc := range []string{"plan.json", "readiness.json", "layer-1-results.json"} {
		t.Run("unreadable "+doc, func(t *testing.T) {
			b := all()
			b.errs[documents+doc] = coded("AccessDenied")
			if _, err := (Store{S3: b, Bucket: "x"}).Build(t.Context(), reportInput(report.Succeeded, 1, 1), ended); action.ClassOf(err) != action.Denied {
				t.Errorf("%v", err)
			}
		})
		t.Run("without "+doc, func(t *testing.T) {
			b := all()
			delete(b.objects, documents+doc)
			if _, err := (Store{S3: b, Bucket: "x"}).Build(t.Context(), reportInput(report.Succeeded, 1, 1), ended); action.ClassOf(err) != action.NotFound {
				t.Errorf("%v", err)
			}
		})
	}
}

// SNS takes subjects of less than 100 characters.
func TestSubject(t *testing.T) {
	for _, outcome := range []report.Outcome{report.Succeeded, report.Refused, report.FailedClean, report.FailedDirty} {
		for _, length := range []int{1, 60, 80, 200} { // Step Functions takes 80
			got := subject(string(outcome), strings.Repeat("x", length))
			if len(got) > 99 || !strings.HasPrefix(got, string(outcome)) || !strings.Contains(got, "x") {
				t.Errorf("%d characters: %q", len(got), got)
			}
		}
	}
}

func TestReporter(t *testing.T) {
	for _, tt := range []struct {
		name        string
		outlets     outlets
		topic       string
		undelivered string
	}{
		{"all goes out", outlets{}, "arn:aws:sns:us-west-2:111122223333:dr", ""},
		{"no topic", outlets{}, "", ""},
		{"no topic, no event", outlets{eventErr: errors.New("no")}, "", "the event: no"},
		{"no event", outlets{eventErr: errors.New("no")}, "arn:aws:sns:us-west-2:111122223333:dr", "the event: no"},
		{"event not taken", outlets{failed: 1}, "arn:aws:sns:us-west-2:111122223333:dr", "the event: EventBridge did not take it"},
		{"no message", outlets{noticeErr: errors.New("no")}, "arn:aws:sns:us-west-2:111122223333:dr", "the message: no"},
		{"neither", outlets{eventErr: errors.New("no"), noticeErr: errors.New("no")}, "arn:aws:sns:us-west-2:111122223333:dr", "the event: no\nthe message: no"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBucket()
			b.holds(t, documents+"plan.json", planOf(1))
			b.holds(t, documents+"readiness.json", readyFor(planOf(1)))
			r := Reporter{Store: Store{S3: b, Bucket: "runs-bucket"}, Events: &tt.outlets, Notices: &tt.outlets, Topic: tt.topic, Now: func() time.Time { return ended }}
			got, err := r.Record(t.Context(), reportInput(report.FailedDirty, 1, 0))
			if err != nil {
				t.Fatal(err)
			}
			if got.Report.Bucket != "runs-bucket" || got.Report.Key != ReportKey(executionARN, started) {
				t.Errorf("report at %+v", got.Report)
			}
			if record := document[report.Record](t, b, got.Report.Key); record.Outcome != report.FailedDirty || len(record.Layers) != 1 {
				t.Errorf("record %+v", record)
			}
			if got.Undelivered != tt.undelivered {
				t.Errorf("undelivered %q, want %q", got.Undelivered, tt.undelivered)
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
		b.errs[ReportKey(executionARN, started)] = coded("AccessDenied")
		in := reportInput(report.Succeeded, 0, 0)
		in.Planned, in.Judged = false, false
		o := &outlets{}
		r := Reporter{Store: Store{S3: b, Bucket: "x"}, Events: o, Notices: o, Now: func() time.Time { return ended }}
		if _, err := r.Record(t.Context(), in); action.ClassOf(err) != action.Denied {
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
	b.holds(t, documents+"plan.json", plan)
	b.holds(t, documents+"readiness.json", checked)
	b.holds(t, documents+"layer-1-results.json", []Item{item(0, report.Failed, action.ChangeYes)})
	o := &outlets{}
	r := Reporter{Store: Store{S3: b, Bucket: "x"}, Events: o, Notices: o, Now: func() time.Time { return ended }}
	got, err := r.Record(t.Context(), reportInput(report.FailedDirty, 1, 1))
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
		resource := has("resource", resources[0], append(names, "index", "resourceType", "resourceName", "purpose", "before", "status", "changed", "durationSeconds", "polls", "lagSeconds")...)
		if resource["error"] != nil {
			has("error", resource["error"], "class", "message")
		}
	}
}

// The text of a message says the outcome first, and every resource.
func TestReportText(t *testing.T) {
	b := newBucket()
	b.holds(t, documents+"plan.json", planOf(2, 1))
	b.holds(t, documents+"layer-1-results.json", []Item{item(0, report.Done, action.ChangeYes), item(1, report.Failed, action.ChangeNo)})
	in := reportInput(report.FailedDirty, 1, 1)
	in.Judged = false
	record, err := Store{S3: b, Bucket: "x"}.Build(t.Context(), in, ended)
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

// A figure that the preflight saw is not told for what the action itself did
// not learn.
func TestRPO(t *testing.T) {
	seen, nothing := 2.5, (*float64)(nil)
	acted, one := map[string]string{action.MemoLag: "1.5", action.MemoLagEvidence: "1.5s"}, 1.5
	for _, tt := range []struct {
		name      string
		preflight *float64
		warned    bool
		changed   action.Change
		memo      map[string]string
		lag       *float64
		rpo       bool
		seconds   *float64
		says      string
	}{
		{"known when acting", &seen, false, action.ChangeYes, acted, &one, true, &one, "1.5s"},
		{"known only when acting", nil, true, action.ChangeYes, acted, &one, true, &one, "1.5s"},
		{"known in the preflight, unknown when acting", &seen, false, action.ChangeYes, map[string]string{action.MemoLagEvidence: "unknown: no datapoint"}, nil, true, nil, "no datapoint; the preflight saw 2.5 s"},
		{"known in the preflight, and the answer was lost", &seen, false, action.ChangeUnknown, nil, nil, true, nil, "lost with the answer of the call; the preflight saw 2.5 s"},
		{"never known, and the answer was lost", nil, true, action.ChangeUnknown, nil, nil, true, nil, "lost with the answer"},
		{"nothing was changed", &seen, false, action.ChangeNo, nil, &seen, false, nothing, ""},
		{"a check", &seen, false, action.ChangeNo, acted, &one, false, nothing, ""},
		{"nothing to be behind", nil, false, action.ChangeYes, nil, nil, false, nothing, ""},
		{"a copy that was made, and is behind", &seen, false, action.ChangeYes, acted, &one, false, nothing, ""},
		{"a copy that was made, and nobody knows how far behind it is", &seen, false, action.ChangeYes, map[string]string{action.MemoLagEvidence: "unknown: no datapoint"}, nil, false, nothing, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			entry := report.Resource{LagSeconds: tt.preflight, Purpose: action.TakesOver}
			if strings.HasPrefix(tt.name, "a copy") {
				entry.Purpose = action.Protects
			}
			if tt.warned {
				entry.Findings = []action.Finding{{Verdict: action.VerdictWarning, Message: action.LagUnknown + ": why"}}
			}
			i := item(0, report.Done, tt.changed)
			i.Memo = tt.memo
			fill(&entry, i)
			if diff := cmp.Diff(tt.lag, entry.LagSeconds); diff != "" {
				t.Errorf("lag (-want +got):\n%s", diff)
			}
			if (entry.RPO != nil) != tt.rpo {
				t.Fatalf("RPO %+v", entry.RPO)
			}
			if entry.RPO == nil {
				return
			}
			if diff := cmp.Diff(tt.seconds, entry.RPO.Seconds); diff != "" || !strings.Contains(entry.RPO.Evidence+entry.RPO.Unknown, tt.says) {
				t.Errorf("RPO %+v, want it to say %q (-want +got):\n%s", entry.RPO, tt.says, diff)
			}
		})
	}
}

func TestRTO(t *testing.T) {
	for _, tt := range []struct {
		name      string
		target    int // 0: none
		outcome   report.Outcome
		mode      string
		run, done string // met, missed, or none: without a target
	}{
		{"within", 600, report.Succeeded, "run", "met", "met"},
		{"a second too late", 599, report.Succeeded, "run", "missed", "missed"},
		{"not recovered", 6000, report.FailedDirty, "run", "missed", "met"},
		{"no target", 0, report.Succeeded, "run", "none", "none"},
		{"a plan recovers nothing", 600, report.Succeeded, "plan", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan := planOf(2)
			plan.Mode = tt.mode
			if tt.target > 0 {
				plan.Options.RTOSeconds = &tt.target
			}
			b := newBucket()
			b.holds(t, documents+"plan.json", plan)
			b.holds(t, documents+"readiness.json", readyFor(plan))
			b.holds(t, documents+"layer-1-results.json", []Item{item(0, report.Done, action.ChangeYes), item(1, report.Failed, action.ChangeYes)})
			got, err := Store{S3: b, Bucket: "x"}.Build(t.Context(), reportInput(tt.outcome, 1, 1), ended)
			if err != nil {
				t.Fatal(err)
			}
			says := func(r *report.RTO) string {
				switch {
				case r == nil:
					return ""
				case r.Met == nil:
					return "none"
				case *r.Met:
					return "met"
				}
				return "missed"
			}
			resources := got.Layers[0].Resources
			if says(got.RTO) != tt.run || says(resources[0].RTO) != tt.done {
				t.Errorf("run %q, resource %q; want %q and %q", says(got.RTO), says(resources[0].RTO), tt.run, tt.done)
			}
			if r := resources[1].RTO; r != nil && (r.Seconds != nil || says(r) == "met") {
				t.Errorf("one that failed: %+v", r)
			}
		})
	}
}
