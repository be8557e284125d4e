package lab

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"dr-orchestrator/internal/report"
)

// layered gives a payload of three layers, the promotion of a replica before
// two switchovers, and lets the test edit it.
func layered(t testing.TB, edit func(options map[string]any, layers []map[string]any)) []byte {
	t.Helper()
	var doc struct {
		StatePayload []struct {
			Resources []map[string]any `json:"resources"`
		}
	}
	if err := json.Unmarshal(sample(t, "failover-three-databases.json"), &doc); err != nil {
		t.Fatal(err)
	}
	slices.SortStableFunc(doc.StatePayload[0].Resources, func(a, b map[string]any) int { // the promotion first
		return -strings.Compare(a["resourceType"].(string), b["resourceType"].(string))
	})
	var layers []map[string]any
	for i, r := range doc.StatePayload[0].Resources {
		layers = append(layers, map[string]any{"layer": i + 1, "resources": []any{r}})
	}
	options := map[string]any{}
	edit(options, layers)
	out, err := json.Marshal(map[string]any{"StatePayload": layers, "Options": options})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// statuses gives the end of each resource, by layer.
func statuses(r Result) string {
	var all []string
	for _, layer := range r.Layers {
		for _, x := range layer.Resources {
			all = append(all, string(x.Status))
		}
	}
	return strings.Join(all, " ")
}

func TestFailurePolicy(t *testing.T) {
	const fails = "stuck@rds:PromoteReadReplica" // the first layer
	for _, tt := range []struct {
		name    string
		faults  string
		edit    func(options map[string]any, layers []map[string]any)
		want    string
		outcome report.Outcome
	}{
		{"stop is what happens without a word", fails, func(map[string]any, []map[string]any) {}, "FAILED SKIPPED SKIPPED", report.FailedDirty},
		{"stop, whatever depends on what", fails, func(_ map[string]any, layers []map[string]any) { layers[1]["dependsOn"] = []any{} }, "FAILED SKIPPED SKIPPED", report.FailedDirty},
		{"continue with the independent layer", fails, func(o map[string]any, layers []map[string]any) {
			o["OnFailure"], layers[2]["dependsOn"] = "continue", []any{}
		}, "FAILED SKIPPED DONE", report.FailedDirty},
		{"continue with all others", fails, func(o map[string]any, layers []map[string]any) {
			o["OnFailure"], layers[1]["dependsOn"], layers[2]["dependsOn"] = "continue", []any{}, []any{2}
		}, "FAILED DONE DONE", report.FailedDirty},
		{"what depends on a skipped layer is skipped", fails, func(o map[string]any, layers []map[string]any) {
			o["OnFailure"], layers[1]["dependsOn"], layers[2]["dependsOn"] = "continue", []any{1}, []any{2}
		}, "FAILED SKIPPED SKIPPED", report.FailedDirty},
		{"an optional resource may fail", fails, func(_ map[string]any, layers []map[string]any) {
			layers[0]["resources"].([]any)[0].(map[string]any)["optional"] = true
		}, "FAILED DONE DONE", report.Succeeded},
		{"nothing failed", "", func(o map[string]any, layers []map[string]any) {
			o["OnFailure"], layers[2]["dependsOn"] = "continue", []any{}
		}, "DONE DONE DONE", report.Succeeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			result := runLab(t, Options{Payload: layered(t, tt.edit), Faults: faultsOf(t, tt.faults)})
			if got := statuses(result); got != tt.want || result.Outcome != tt.outcome {
				t.Errorf("%s, %s, want %s, %s: %s", got, result.Outcome, tt.want, tt.outcome, result.Cause)
			}
			if named := strings.Contains(result.Cause, "Promote RDS for MySQL"); named != (tt.faults != "") {
				t.Errorf("the cause %q names what failed: %t", result.Cause, named)
			}
		})
	}
}

// An optional resource that is blocked keeps nobody from starting; one that is
// not, does.
func TestOptionalBlocked(t *testing.T) {
	for _, optional := range []bool{true, false} {
		estate := DefaultEstate()
		estate.instance("us-west-2", "rds-mysql-instance-usw2").Status = "storage-full"
		result := runLab(t, Options{Estate: estate, Payload: layered(t, func(_ map[string]any, layers []map[string]any) {
			layers[0]["resources"].([]any)[0].(map[string]any)["optional"] = optional
		})})
		want, outcome := "SKIPPED SKIPPED SKIPPED", report.FailedClean
		if optional {
			want, outcome = "FAILED DONE DONE", report.Succeeded
		}
		if got := statuses(result); got != want || result.Outcome != outcome {
			t.Errorf("optional %t: %s, %s: %s", optional, got, result.Outcome, result.Cause)
		}
	}
}

// Each limit ends what it limits, says which limit it was, and what AWS was
// still doing; nothing is begun past the limit of the run.
func TestTimeLimits(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(options map[string]any, layers []map[string]any)
		says string
		want string
		from float64 // seconds between which the run ends
		to   float64
	}{
		{"of a resource", func(_ map[string]any, layers []map[string]any) {
			layers[0]["resources"].([]any)[0].(map[string]any)["timeLimitSeconds"] = "60"
		}, "its time limit of 60 s", "FAILED SKIPPED SKIPPED", 60, 80},
		{"of all resources", func(o map[string]any, _ []map[string]any) { o["ResourceTimeLimitSeconds"] = 45 }, "its time limit of 45 s", "FAILED SKIPPED SKIPPED", 45, 65},
		{"its own before that of all", func(o map[string]any, layers []map[string]any) {
			o["ResourceTimeLimitSeconds"] = 45
			layers[0]["resources"].([]any)[0].(map[string]any)["timeLimitSeconds"] = 90
		}, "its time limit of 90 s", "FAILED SKIPPED SKIPPED", 90, 110},
		{"of a layer", func(_ map[string]any, layers []map[string]any) { layers[0]["timeLimitSeconds"] = 30 }, "the time limit of its layer or of the run", "FAILED SKIPPED SKIPPED", 30, 50},
		{"of all layers", func(o map[string]any, _ []map[string]any) { o["LayerTimeLimitSeconds"] = 30 }, "the time limit of its layer or of the run", "FAILED SKIPPED SKIPPED", 30, 50},
		{"of the run, in a layer", func(o map[string]any, _ []map[string]any) { o["TimeLimitSeconds"] = 40 }, "the time limit of its layer or of the run", "FAILED SKIPPED SKIPPED", 40, 60},
		{"of the run, before the first layer", func(o map[string]any, _ []map[string]any) { o["TimeLimitSeconds"] = 1 }, "the time limit of the run was reached before layer 1", "SKIPPED SKIPPED SKIPPED", 1, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			result := runLab(t, Options{Payload: layered(t, tt.edit)})
			if got := statuses(result); got != tt.want || !strings.Contains(result.Cause, tt.says) {
				t.Errorf("%s: %s, want %s and %q", got, result.Cause, tt.want, tt.says)
			}
			if strings.HasPrefix(tt.want, "FAILED") && !strings.Contains(result.Cause, "last seen: DB instance rds-mysql-instance-usw2 is") {
				t.Errorf("the cause does not say what was under way: %s", result.Cause)
			}
			if result.DurationSeconds < tt.from || result.DurationSeconds > tt.to {
				t.Errorf("it took %.0f s of virtual time, want %.0f to %.0f", result.DurationSeconds, tt.from, tt.to)
			}
			wantOutcome := report.FailedDirty
			if strings.HasPrefix(tt.want, "SKIPPED") {
				wantOutcome = report.FailedClean
			}
			if result.Outcome != wantOutcome {
				t.Errorf("%s", result.Outcome)
			}
			if slices.Contains(result.Path, "RecordReport") != true {
				t.Error("there is no report")
			}
		})
	}
}

// Past the time limit nothing is begun, whenever the first look comes through.
func TestNothingIsBegunPastTheTimeLimit(t *testing.T) {
	for limit := 1; limit <= 12; limit++ {
		result := runLab(t, Options{Faults: faultsOf(t, "throttle@function:promote-read-replica#2-4"), Payload: layered(t, func(_ map[string]any, layers []map[string]any) {
			layers[0]["resources"].([]any)[0].(map[string]any)["timeLimitSeconds"] = limit
		})})
		for _, call := range result.Log {
			if call.Name != "rds:PromoteReadReplica" {
				continue
			}
			started := result.Record.Layers[0].Resources[0].StartedAt
			if late := call.Time.Sub(*started).Seconds() - float64(limit); late > 0.5 {
				t.Errorf("limit %d s: the promotion was asked for %.1f s after it", limit, late)
			}
		}
		if begun := len(result.Begun) > 0; begun != (result.Outcome == report.FailedDirty) || result.Outcome == report.Succeeded {
			t.Errorf("limit %d s: %s, begun %t: %s", limit, result.Outcome, begun, result.Cause)
		}
	}
}
