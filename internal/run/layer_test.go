package run

import (
	"slices"
	"strings"
	"testing"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/report"
)

// item is the end of a resource; a failed one says why.
func item(index int, status report.Status, changed action.Change) Item {
	i := Item{Index: index, Name: "db " + string(rune('a'+index%26)), Status: status, Changed: changed, StartedAt: started, EndedAt: ended, Polls: 3}
	if status != report.Done {
		i.Failure = &failure{Error: "Terminal", Cause: `{"errorType":"Terminal","errorMessage":"broken"}`}
	}
	return i
}

func TestJudgeLayer(t *testing.T) {
	const (
		no, yes, unknown      = action.ChangeNo, action.ChangeYes, action.ChangeUnknown
		done, failed, refused = report.Done, report.Failed, report.RefusedHere
	)
	for _, tt := range []struct {
		name    string
		before  action.Change
		items   []Item // of two
		goes    bool
		outcome report.Outcome
		changed action.Change
	}{
		{"all done, nothing to change", no, []Item{item(0, done, no), item(1, done, no)}, true, report.Succeeded, no},
		{"all done", no, []Item{item(0, done, yes), item(1, done, no)}, true, report.Succeeded, yes},
		{"all done, after a change", yes, []Item{item(0, done, no), item(1, done, no)}, true, report.Succeeded, yes},
		{"all done, one perhaps by us", no, []Item{item(0, done, unknown), item(1, done, no)}, true, report.Succeeded, unknown},

		{"all refused", no, []Item{item(0, refused, no), item(1, refused, no)}, false, report.Refused, no},
		{"one refused, one was done before", no, []Item{item(0, refused, no), item(1, done, no)}, false, report.Refused, no},
		{"one refused, one changed", no, []Item{item(0, refused, no), item(1, done, yes)}, false, report.FailedDirty, yes},
		{"one refused, one perhaps changed", no, []Item{item(0, refused, no), item(1, done, unknown)}, false, report.FailedDirty, unknown},
		{"all refused, after a change", yes, []Item{item(0, refused, no), item(1, refused, no)}, false, report.FailedDirty, yes},
		{"all refused, after perhaps a change", unknown, []Item{item(0, refused, no), item(1, refused, no)}, false, report.FailedDirty, unknown},
		{"refused after an unknown call", no, []Item{item(0, refused, unknown), item(1, refused, no)}, false, report.FailedDirty, unknown},
		{"one refused, one failed", no, []Item{item(0, refused, no), item(1, failed, no)}, false, report.FailedClean, no},

		{"one failed", no, []Item{item(0, done, no), item(1, failed, no)}, false, report.FailedClean, no},
		{"all failed", no, []Item{item(0, failed, no), item(1, failed, no)}, false, report.FailedClean, no},
		{"one failed after a change of its own", no, []Item{item(0, done, no), item(1, failed, yes)}, false, report.FailedDirty, yes},
		{"one failed, its sibling changed", no, []Item{item(0, done, yes), item(1, failed, no)}, false, report.FailedDirty, yes},
		{"one failed, changed unknown", no, []Item{item(0, done, no), item(1, failed, unknown)}, false, report.FailedDirty, unknown},
		{"one failed, after a change", yes, []Item{item(0, done, no), item(1, failed, no)}, false, report.FailedDirty, yes},

		{"one is missing", no, []Item{item(0, done, no)}, false, report.FailedDirty, unknown},
		{"one is missing, the other refused", no, []Item{item(0, refused, no)}, false, report.FailedDirty, unknown},
		{"all are missing", no, nil, false, report.FailedDirty, unknown},
		{"one too many", no, []Item{item(0, done, no), item(1, done, no), item(2, done, no)}, false, report.FailedDirty, unknown},
		{"one twice, the other missing", no, []Item{item(0, done, no), item(0, done, no)}, false, report.FailedDirty, unknown},
		{"one twice, and all there", no, []Item{item(0, done, no), item(0, done, no), item(1, done, no)}, true, report.Succeeded, no},
		{"one failed, changed not said", no, []Item{item(0, done, no), item(1, failed, "")}, false, report.FailedDirty, unknown},
		{"one failed, changed is nonsense", no, []Item{item(0, done, no), item(1, failed, "maybe")}, false, report.FailedDirty, unknown},
		{"one refused, changed not said", no, []Item{item(0, done, no), item(1, refused, "")}, false, report.FailedDirty, unknown},
		{"one failed, before is not said", "", []Item{item(0, done, no), item(1, failed, no)}, false, report.FailedDirty, unknown},
		{"a status that nobody knows", no, []Item{item(0, done, no), item(1, "", no)}, false, report.FailedClean, no},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := judgeLayer(tt.items, LayerRef{Layer: 1, Count: 2}, tt.before)
			if goes := got.Decision == "next"; goes != tt.goes || got.Outcome != tt.outcome || got.Changed != tt.changed {
				t.Errorf("%s, %s, changed %s, want go on %t, %s, changed %s", got.Decision, got.Outcome, got.Changed, tt.goes, tt.outcome, tt.changed)
			}
			if !tt.goes && got.Cause == "" {
				t.Error("no cause is given")
			}
			for _, i := range tt.items {
				if told := strings.Contains(got.Cause, i.Name+": Terminal: broken"); !tt.goes && told != (i.Failure != nil) {
					t.Errorf("the cause %q tells of %s: %t", got.Cause, i.Name, told)
				}
			}
		})
	}
}

// Step Functions takes 256 KiB of a state's data; past that, not even
// States.ALL catches what happens. The first lines are kept, shortened.
func TestCausesAreBounded(t *testing.T) {
	const many, most = 3000, 16 << 10
	plan := planOf(1)
	plan.Layers[0].Resources = nil
	var items []Item
	var checked []action.Checked
	for i := range many {
		items = append(items, item(i, report.Failed, action.ChangeNo))
		items[i].Failure.Cause = strings.Repeat("x", 150)
		plan.Layers[0].Resources = append(plan.Layers[0].Resources, action.Resource{Index: i, Layer: 1, Name: "db"})
		checked = append(checked, action.Checked{Index: i, Verdict: action.VerdictBlocked, Findings: []action.Finding{
			{Verdict: action.VerdictBlocked, Class: action.Unreachable, Message: strings.Repeat("x", 150)},
		}})
	}
	for name, cause := range map[string]string{
		"layer":     judgeLayer(items, LayerRef{Layer: 1, Count: many}, action.ChangeNo).Cause,
		"readiness": judgeReadiness(plan, checked).Cause,
	} {
		if len(cause) == 0 || len(cause) > most || !strings.Contains(cause, "2980 more") {
			t.Errorf("%s: a cause of %d bytes: %.100s", name, len(cause), cause)
		}
	}
	for _, tt := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"none", nil, ""},
		{"one", []string{"a"}, "a"},
		{"two", []string{"a", "b"}, "a\nb"},
		{"twenty", slices.Repeat([]string{"a"}, 20), strings.Repeat("a\n", 19) + "a"},
		{"twenty-one", slices.Repeat([]string{"a"}, 21), strings.Repeat("a\n", 20) + "and 1 more; the report has them all"},
		{"a line just short enough", []string{strings.Repeat("x", 1000)}, strings.Repeat("x", 1000)},
		{"a line too long", []string{strings.Repeat("x", 1001)}, strings.Repeat("x", 1000) + "…"},
		{"a letter at the cut", []string{strings.Repeat("x", 999) + "ü"}, strings.Repeat("x", 999) + "…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := bounded(tt.lines); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestFailureRead(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    failure
		want report.Error
	}{
		{"of a function", failure{"Refused", `{"errorMessage":"lag","errorType":"Refused"}`}, report.Error{Class: "Refused", Message: "lag"}},
		{"of Step Functions", failure{"TimeLimit", "not done after 3600 s"}, report.Error{Class: "TimeLimit", Message: "not done after 3600 s"}},
		{"without a cause", failure{"States.Timeout", ""}, report.Error{Class: "States.Timeout", Message: "States.Timeout"}},
		{"JSON that is no error", failure{"Lambda.Unknown", `{"a":1}`}, report.Error{Class: "Lambda.Unknown", Message: `{"a":1}`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.f.read(); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestRecordLayer(t *testing.T) {
	in := LayerInput{Run: planOf().Run, Layer: LayerRef{Layer: 1, Count: 2}, Changed: action.ChangeNo}
	t.Run("all files of the manifest", func(t *testing.T) {
		b := newBucket()
		at := b.mapRun(t, documents+"layer-1/x", []Item{item(1, report.Done, action.ChangeYes)}, []Item{item(0, report.Done, action.ChangeNo)})
		in.Results = &at
		got, err := Store{S3: b, Bucket: "runs-bucket"}.RecordLayer(t.Context(), in)
		if err != nil || got.Outcome != report.Succeeded || got.Changed != action.ChangeYes {
			t.Errorf("%+v, %v", got, err)
		}
		if items := document[[]Item](t, b, documents+"layer-1-results.json"); len(items) != 2 {
			t.Errorf("%d items are kept, want 2", len(items))
		}
	})
	t.Run("an iteration failed or is pending", func(t *testing.T) {
		for _, where := range []string{"FAILED", "PENDING"} {
			b := newBucket()
			b.holds(t, documents+docPlan, planOf())
			at := b.mapRun(t, documents+"layer-1/x", []Item{item(0, report.Done, action.ChangeNo)})
			in.Results = &at
			m := document[manifest](t, b, in.Results.Key)
			other := []resultFile{{Key: documents + "layer-1/x/" + where + "_0.json"}}
			if where == "FAILED" {
				m.ResultFiles.Failed = other
			} else {
				m.ResultFiles.Pending = other
			}
			b.holds(t, in.Results.Key, m)
			got, err := Store{S3: b, Bucket: "runs-bucket"}.RecordLayer(t.Context(), in)
			if err != nil || got.Decision == "next" || got.Outcome != report.FailedDirty {
				t.Errorf("%s: %+v, %v", where, got, err)
			}
		}
	})
	t.Run("results that cannot be read", func(t *testing.T) {
		for _, name := range []string{"manifest.json", "SUCCEEDED_0.json"} {
			b := newBucket()
			b.holds(t, documents+docPlan, planOf())
			at := b.mapRun(t, documents+"layer-1/x", []Item{item(0, report.Done, action.ChangeNo)})
			in.Results = &at
			b.errs[documents+"layer-1/x/"+name] = coded("InternalError")
			if _, err := (Store{S3: b, Bucket: "runs-bucket"}).RecordLayer(t.Context(), in); action.ClassOf(err) != action.Unreachable {
				t.Errorf("%s: %v", name, err)
			}
			b.errs = nil
			b.objects[documents+"layer-1/x/"+name] = []byte("<html>")
			if got, err := (Store{S3: b, Bucket: "runs-bucket"}).RecordLayer(t.Context(), in); err == nil {
				t.Errorf("%s is no JSON: %+v", name, got)
			}
		}
	})
}
