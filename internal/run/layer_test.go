package run

import (
	"testing"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/report"
)

// item is the end of a resource; a failed one says why.
func item(index int, status report.Status, changed action.Change) Item {
	i := Item{Index: index, Status: status, Changed: changed, StartedAt: started, EndedAt: ended, Polls: 3}
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
	in := LayerInput{Run: action.Run{ID: "run-1"}, Layer: LayerRef{Layer: 1, Count: 2}, Changed: action.ChangeNo}
	t.Run("all files of the manifest", func(t *testing.T) {
		b := newBucket()
		in.Results = b.mapRun(t, "runs/run-1/layer-1/x", []Item{item(1, report.Done, action.ChangeYes)}, []Item{item(0, report.Done, action.ChangeNo)})
		got, err := Store{S3: b, Bucket: "runs-bucket"}.RecordLayer(t.Context(), in)
		if err != nil || got.Outcome != report.Succeeded || got.Changed != action.ChangeYes {
			t.Errorf("%+v, %v", got, err)
		}
		if items := document[[]Item](t, b, "runs/run-1/layer-1-results.json"); len(items) != 2 {
			t.Errorf("%d items are kept, want 2", len(items))
		}
	})
	t.Run("an iteration failed or is pending", func(t *testing.T) {
		for _, where := range []string{"FAILED", "PENDING"} {
			b := newBucket()
			in.Results = b.mapRun(t, "runs/run-1/layer-1/x", []Item{item(0, report.Done, action.ChangeNo)})
			m := document[manifest](t, b, in.Results.Key)
			other := []resultFile{{Key: "runs/run-1/layer-1/x/" + where + "_0.json"}}
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
			in.Results = b.mapRun(t, "runs/run-1/layer-1/x", []Item{item(0, report.Done, action.ChangeNo)})
			b.errs["runs/run-1/layer-1/x/"+name] = coded("InternalError")
			if _, err := (Store{S3: b, Bucket: "runs-bucket"}).RecordLayer(t.Context(), in); action.ClassOf(err) != action.Unreachable {
				t.Errorf("%s: %v", name, err)
			}
			b.errs = nil
			b.objects["runs/run-1/layer-1/x/"+name] = []byte("<html>")
			if got, err := (Store{S3: b, Bucket: "runs-bucket"}).RecordLayer(t.Context(), in); err == nil {
				t.Errorf("%s is no JSON: %+v", name, got)
			}
		}
	})
}
