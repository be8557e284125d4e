package lab_test

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/bootstrap"
	"dr-orchestrator/internal/lab"
	"dr-orchestrator/internal/report"
)

// TestBinaries runs a payload with the functions as processes of their own.
func TestBinaries(t *testing.T) {
	folder := t.TempDir()
	if err := bootstrap.Build(t.Context(), folder, runtime.GOOS, runtime.GOARCH); err != nil {
		t.Fatal(err)
	}
	payload, err := os.ReadFile("../../payloads/failover-replica-and-cache.json")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("an application", func(t *testing.T) {
		t.Parallel()
		testApplication(t, folder)
	})
	for _, tt := range []struct{ name, faults string }{
		{"no fault", ""},
		{"killed after the change", "kill@rds:PromoteReadReplica#1"},
		{"killed at its time-out", "timeout@rds:PromoteReadReplica#1"},
		{"invoked twice", "twice@function:failover-replication-group#1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			faults, err := lab.ParseFaults(tt.faults)
			if err != nil {
				t.Fatal(err)
			}
			estate := lab.DefaultEstate()
			estate.Durations["PromoteReadReplica"], estate.Durations["FailoverGlobalReplicationGroup"] = 3, 2
			result, err := lab.Run(lab.Options{
				Payload: payload, Machine: "failover", Estate: estate, Faults: faults, Clock: lab.NewWallClock(lab.Epoch, 20), Binaries: folder,
			})
			if err != nil {
				t.Fatal(err)
			}
			if result.Outcome != report.Succeeded {
				t.Fatalf("%s: %s %+v", result.Outcome, result.Cause, result.Problems)
			}
			once := map[string]int{"rds:PromoteReadReplica": 1, "rds:AddTagsToResource": 1, "elasticache:FailoverGlobalReplicationGroup": 1}
			if diff := cmp.Diff(once, result.Mutations); diff != "" {
				t.Error(diff)
			}
			// Functions judge by the machine's clock and not by their own. What an
			// invocation saw that ended without an answer, nobody knows.
			lag, lost := result.Record.Layers[0].Resources[0].LagSeconds, strings.Contains(tt.name, "killed")
			if lost != (lag == nil) || lag != nil && *lag != 2 {
				t.Errorf("the lag seen before the promotion: %v, want 2 s, or none where the answer was lost (%t)", lag, lost)
			}
			if result.Record.DurationSeconds > result.DurationSeconds {
				t.Errorf("the report says %g s of a run of %g s", result.Record.DurationSeconds, result.DurationSeconds)
			}
			// The time of an operation is known only where calls are traced
			// back to the invocation that made them.
			for i, want := range []float64{3, 2} {
				if got := result.Layers[0].Resources[i].AWSSeconds; got != want {
					t.Errorf("resource %d: %g s of AWS, want %g", i, got, want)
				}
			}
		})
	}
}

// Functions that are processes reach applications through the lab, too, and the
// endpoints of a routing control, each in its region.
func testApplication(t *testing.T, folder string) {
	payload, err := os.ReadFile("../../payloads/failover-application.json")
	if err != nil {
		t.Fatal(err)
	}
	faults, err := lab.ParseFaults("dead@region:us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	estate := lab.DefaultEstate()
	estate.Durations["FailoverGlobalCluster"], estate.Durations["UpdateEventSourceMapping"] = 3, 2
	result, err := lab.Run(lab.Options{Payload: payload, Machine: "failover", Estate: estate, Faults: faults, Clock: lab.NewWallClock(lab.Epoch, 20), Binaries: folder})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"rds:FailoverGlobalCluster": 1, "lambda:UpdateEventSourceMapping": 1, "route53-recovery-cluster:UpdateRoutingControlStates": 1}
	if diff := cmp.Diff(want, result.Mutations); result.Outcome != report.Succeeded || diff != "" {
		t.Errorf("%s: %s %+v\n%s", result.Outcome, result.Cause, result.Problems, diff)
	}
}

func TestBinariesRefused(t *testing.T) {
	o := lab.Options{Machine: "failover", Estate: lab.DefaultEstate(), Binaries: t.TempDir()}
	if _, err := lab.Run(o); err == nil || !strings.Contains(err.Error(), "real time") {
		t.Errorf("on a virtual clock: %v", err)
	}
	o.Clock = lab.NewWallClock(lab.Epoch, 1)
	_, err := lab.Run(o)
	for _, name := range lab.FunctionNames() {
		if err == nil || !strings.Contains(err.Error(), "function "+name+" is not built") {
			t.Errorf("of %s, which is missing: %v", name, err)
		}
	}
}
