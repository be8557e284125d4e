package run

import (
	"regexp"
	"testing"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/report"
	"dr-orchestrator/statemachine"
)

func finding(v action.Verdict, class action.Class) action.Finding {
	return action.Finding{Verdict: v, Class: class, Message: "because"}
}

func TestCollect(t *testing.T) {
	plan := planOf(2, 1)
	ready := func(i int) action.Checked {
		return action.Checked{Index: i, Verdict: action.VerdictReady, Observed: action.StateReady}
	}
	for _, tt := range []struct {
		name    string
		batches []checkedBatch
		blocked []int
	}{
		{"all", []checkedBatch{{Readiness: []action.Checked{ready(0), ready(1)}}, {Readiness: []action.Checked{ready(2)}}}, nil},
		{"no batch at all", nil, []int{0, 1, 2}},
		{"one is missing", []checkedBatch{{Readiness: []action.Checked{ready(0), ready(2)}}}, []int{1}},
		{"a batch failed", []checkedBatch{{Readiness: []action.Checked{ready(0)}}, {Failure: &failure{Error: "Unreachable", Cause: "dead"}, Indexes: []int{1, 2}}}, []int{1, 2}},
		{"a batch failed without saying for whom", []checkedBatch{{Readiness: []action.Checked{ready(0)}}, {Failure: &failure{Error: "Unreachable"}}}, []int{1, 2}},
		{"answers about nobody", []checkedBatch{{Readiness: []action.Checked{ready(-1), ready(3), ready(99), ready(0)}, Indexes: []int{-1, 3}}}, []int{1, 2}},
		{"an answer that says nothing", []checkedBatch{{Readiness: []action.Checked{ready(0), {Index: 1}, ready(2)}}}, []int{1}},
		{"an answer without a verdict", []checkedBatch{{Readiness: []action.Checked{ready(0), {Index: 1, Observed: action.StateReady}, ready(2)}}}, []int{1}},
		{"an answer without what was seen", []checkedBatch{{Readiness: []action.Checked{ready(0), {Index: 1, Verdict: action.VerdictReady}, ready(2)}}}, []int{1}},
		{"failures about nobody", []checkedBatch{{Failure: &failure{Error: "Internal"}, Indexes: []int{-1, 3, 99}}}, []int{0, 1, 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := collect(plan, tt.batches)
			if len(got) != 3 {
				t.Fatalf("%d entries, want 3", len(got))
			}
			blocked := map[int]bool{}
			for _, i := range tt.blocked {
				blocked[i] = true
			}
			for i, c := range got {
				if c.Index != i {
					t.Errorf("entry %d speaks of %d", i, c.Index)
				}
				if (c.Verdict == action.VerdictBlocked) != blocked[i] {
					t.Errorf("resource %d: %+v", i, c)
				}
				if blocked[i] && (c.Observed != action.StateUnknown || len(c.Findings) == 0 || c.Findings[0].Class == "" || c.Findings[0].Class == action.Refused) {
					t.Errorf("resource %d is unknown and says %+v", i, c)
				}
			}
		})
	}
}

// In a disaster, silence of AWS does not keep a run from starting; what was seen
// and speaks against it does.
func TestCollectInDisaster(t *testing.T) {
	const blocked, warning = action.VerdictBlocked, action.VerdictWarning
	said := func(observed action.State, findings ...action.Finding) []checkedBatch {
		return []checkedBatch{{Readiness: []action.Checked{{Verdict: action.Readiness{Observed: observed, Findings: findings}.Verdict(), Observed: observed, Findings: findings}}}}
	}
	type row struct {
		name     string
		batches  []checkedBatch
		observed action.State
		verdict  action.Verdict // in a disaster; without one, silence blocks
		silent   bool
	}
	rows := []row{
		{"ready", said(action.StateReady), action.StateReady, action.VerdictReady, false},
		{"done", said(action.StateDone), action.StateDone, action.VerdictDone, false},
		{"warning", said(action.StateReady, finding(warning, "")), action.StateReady, warning, false},
		{"no batch at all", nil, action.StateUnknown, warning, true},
		{"lag not answered", said(action.StateReady, finding(blocked, action.Throttled)), action.StateReady, warning, true},
		{"not answered, and refused", said(action.StateReady, finding(blocked, action.Unreachable), finding(blocked, action.Refused)), action.StateReady, blocked, true},
		{"refused, and not answered", said(action.StateReady, finding(blocked, action.Refused), finding(blocked, action.Unreachable)), action.StateReady, blocked, true},
		{"blocked without a class", said(action.StateReady, finding(blocked, "")), action.StateReady, blocked, true},
		{"blocked without findings", []checkedBatch{{Readiness: []action.Checked{{Verdict: blocked, Observed: action.StateUnknown}}}}, action.StateUnknown, blocked, true},
	}
	for _, class := range action.Classes {
		verdict := blocked
		if class == action.Throttled || class == action.Queued || class == action.Unreachable || class == action.Internal {
			verdict = warning
		}
		rows = append(rows,
			row{string(class), said(action.StateUnknown, finding(blocked, class)), action.StateUnknown, verdict, true},
			row{string(class) + " of the batch", []checkedBatch{{Failure: &failure{Error: string(class)}, Indexes: []int{0}}}, action.StateUnknown, verdict, true})
	}
	// What the machine knows of Lambda says nothing of a resource; a function that
	// is missing, or whose answer is too large, will not drive it either.
	lambda := map[string]action.Verdict{"States.Timeout": warning, "Lambda.ResourceNotFoundException": blocked, "States.DataLimitExceeded": blocked, "States.QueryEvaluationError": blocked}
	for _, name := range regexp.MustCompile(`"((?:Lambda|Sandbox|Runtime)\.\w+)"`).FindAllStringSubmatch(statemachine.Definition, -1) {
		lambda[name[1]] = warning
	}
	if len(lambda) < 12 {
		t.Errorf("the machine knows only %v", lambda)
	}
	for name, verdict := range lambda {
		rows = append(rows, row{name, []checkedBatch{{Failure: &failure{Error: name, Cause: "said Lambda"}, Indexes: []int{0}}}, action.StateUnknown, verdict, true})
	}
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			plan := planOf(1)
			if got := collect(plan, tt.batches)[0]; (got.Verdict == blocked) != tt.silent {
				t.Errorf("no disaster: %+v", got)
			}
			plan.Run.Disaster = true
			got := collect(plan, tt.batches)[0]
			if got.Verdict != tt.verdict || got.Observed != tt.observed {
				t.Errorf("disaster: %s from %s, want %s from %s: %+v", got.Verdict, got.Observed, tt.verdict, tt.observed, got.Findings)
			}
			if goes := judgeReadiness(plan, []action.Checked{got}).Decision == "go"; goes != (tt.verdict != blocked) {
				t.Errorf("the run goes on: %t", goes)
			}
			for _, f := range got.Findings {
				if tt.verdict != blocked && f.Verdict == blocked || f.Message == "" {
					t.Errorf("finding %+v", f)
				}
			}
		})
	}
}

func TestJudgeReadiness(t *testing.T) {
	const blocked = action.VerdictBlocked
	for _, tt := range []struct {
		name     string
		mode     string
		findings [][]action.Finding // of each of three resources
		decision string
		outcome  report.Outcome
	}{
		{"all ready", "run", nil, "go", ""},
		{"all ready, planned only", "plan", nil, "planned", report.Succeeded},
		{"warnings", "run", [][]action.Finding{{finding(action.VerdictWarning, "")}, {finding(action.VerdictWarning, "")}}, "go", ""},
		{"warnings, planned only", "plan", [][]action.Finding{{finding(action.VerdictWarning, "")}}, "planned", report.Succeeded},
		{"one refused", "run", [][]action.Finding{{finding(blocked, action.Refused)}}, "blocked", report.Refused},
		{"all refused", "run", [][]action.Finding{{finding(blocked, action.Refused)}, {finding(blocked, action.Refused)}, {finding(blocked, action.Refused)}}, "blocked", report.Refused},
		{"one refused, planned only", "plan", [][]action.Finding{{finding(blocked, action.Refused)}}, "blocked", report.Refused},
		{"one refused, one failed", "run", [][]action.Finding{{finding(blocked, action.Refused)}, {finding(blocked, action.Terminal)}}, "blocked", report.FailedClean},
		{"one failed, one refused", "run", [][]action.Finding{{finding(blocked, action.NotFound)}, {finding(blocked, action.Refused)}}, "blocked", report.FailedClean},
		{"one both", "run", [][]action.Finding{{finding(blocked, action.Refused), finding(blocked, action.InvalidInput)}}, "blocked", report.FailedClean},
		{"blocked without a class", "run", [][]action.Finding{{finding(blocked, "")}}, "blocked", report.FailedClean},
		{"the last of the last layer", "run", [][]action.Finding{nil, nil, {finding(blocked, action.Refused)}}, "blocked", report.Refused},
		{"blocked behind a warning", "run", [][]action.Finding{{finding(action.VerdictWarning, ""), finding(blocked, action.Refused)}}, "blocked", report.Refused},
		{"blocked without findings", "run", nil, "blocked", report.FailedClean},
		{"nobody answered", "run", [][]action.Finding{{finding(blocked, "NoAnswer")}}, "blocked", report.FailedClean},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan := planOf(2, 1)
			plan.Mode = tt.mode
			checked := readyFor(plan)
			for i, findings := range tt.findings {
				checked[i].Findings = findings
				checked[i].Verdict = action.Readiness{Observed: action.StateReady, Findings: findings}.Verdict()
			}
			if tt.name == "blocked without findings" {
				checked[1].Verdict = blocked
			}
			got := judgeReadiness(plan, checked)
			if got.Decision != tt.decision || got.Outcome != tt.outcome {
				t.Errorf("%s, %s, want %s, %s", got.Decision, got.Outcome, tt.decision, tt.outcome)
			}
			if got.Decision != "go" && got.Cause == "" {
				t.Error("no cause is given")
			}
		})
	}
}

func TestRecordReadiness(t *testing.T) {
	plan := planOf(2, 1)
	checked := readyFor(plan)
	checked[1].Observed = action.StateDone
	set := func(b *bucket) ReadinessInput {
		b.holds(t, documents+"plan.json", plan)
		return ReadinessInput{Run: plan.Run, Mode: "run", Results: b.mapRun(t, documents+"preflight/x",
			[]checkedBatch{{Readiness: checked[:2]}}, []checkedBatch{{Readiness: checked[2:]}})}
	}
	t.Run("go", func(t *testing.T) {
		b := newBucket()
		got, err := Store{S3: b, Bucket: "runs-bucket"}.RecordReadiness(t.Context(), set(b))
		if err != nil {
			t.Fatal(err)
		}
		if got.Decision != "go" || len(got.Layers) != 2 || got.Layers[0].Count != 2 || got.Layers[1].Count != 1 {
			t.Fatalf("readiness %+v", got)
		}
		for _, layer := range got.Layers {
			for _, r := range document[[]action.Resource](t, b, layer.Key) {
				want := action.StateReady
				if r.Index == 1 {
					want = action.StateDone
				}
				if r.Baseline != want || r.Layer != layer.Layer {
					t.Errorf("resource %+v, want the baseline %s", r, want)
				}
			}
		}
		if len(document[[]action.Checked](t, b, documents+"readiness.json")) != 3 {
			t.Error("the findings are not kept")
		}
	})
	t.Run("blocked", func(t *testing.T) {
		b := newBucket()
		in := set(b)
		in.Results = b.mapRun(t, documents+"preflight/x", []checkedBatch{{Failure: &failure{Error: "Denied"}, Indexes: []int{0, 1, 2}}})
		got, err := Store{S3: b, Bucket: "runs-bucket"}.RecordReadiness(t.Context(), in)
		if err != nil || got.Decision != "blocked" || got.Outcome != report.FailedClean || len(got.Layers) > 0 {
			t.Errorf("readiness %+v, %v", got, err)
		}
		if b.wrote(documents + "layer-1.json") {
			t.Error("there is a layer to run all the same")
		}
		if !b.wrote(documents + "readiness.json") {
			t.Error("the findings are not kept")
		}
	})
	t.Run("disaster", func(t *testing.T) {
		b := newBucket()
		in := set(b)
		disaster := plan
		disaster.Run.Disaster = true
		b.holds(t, documents+"plan.json", disaster)
		in.Results = b.mapRun(t, documents+"preflight/x", []checkedBatch{{Readiness: checked[:2]}, {Failure: &failure{Error: "Unreachable"}, Indexes: []int{2}}})
		got, err := Store{S3: b, Bucket: "runs-bucket"}.RecordReadiness(t.Context(), in)
		if err != nil || got.Decision != "go" || len(got.Layers) != 2 {
			t.Fatalf("readiness %+v, %v", got, err)
		}
		if resources := document[[]action.Resource](t, b, got.Layers[1].Key); len(resources) != 1 || resources[0].Baseline != action.StateUnknown {
			t.Errorf("resources %+v, want the baseline %s", resources, action.StateUnknown)
		}
	})
	t.Run("an iteration failed", func(t *testing.T) {
		b := newBucket()
		in := set(b)
		var m manifest
		m.ResultFiles.Succeeded = []resultFile{{Key: documents + "preflight/x/SUCCEEDED_0.json"}}
		m.ResultFiles.Failed = []resultFile{{Key: documents + "preflight/x/FAILED_0.json"}}
		b.holds(t, in.Results.Key, m)
		got, err := Store{S3: b, Bucket: "runs-bucket"}.RecordReadiness(t.Context(), in)
		if err != nil || got.Decision != "blocked" || got.Outcome != report.FailedClean {
			t.Errorf("readiness %+v, %v", got, err)
		}
	})
	for key, class := range map[string]action.Class{
		documents + "plan.json": action.NotFound, documents + "preflight/x/manifest.json": action.NotFound, documents + "preflight/x/SUCCEEDED_1.json": action.NotFound,
	} {
		t.Run("without "+key, func(t *testing.T) {
			b := newBucket()
			in := set(b)
			delete(b.objects, key)
			if got, err := (Store{S3: b, Bucket: "runs-bucket"}).RecordReadiness(t.Context(), in); action.ClassOf(err) != class {
				t.Errorf("%+v, %v: want class %s", got, err, class)
			}
		})
	}
	t.Run("layer not written", func(t *testing.T) {
		b := newBucket()
		in := set(b)
		b.errs[documents+"layer-2.json"] = coded("SlowDown")
		if _, err := (Store{S3: b, Bucket: "runs-bucket"}).RecordReadiness(t.Context(), in); action.ClassOf(err) != action.Throttled {
			t.Errorf("%v: want class %s", err, action.Throttled)
		}
	})
}
