package lab

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/report"
)

// optimize makes AWS optimize the storage of everything.
func optimize(e *Estate) {
	for _, i := range e.Instances {
		i.Status = "storage-optimization"
	}
	for _, c := range e.Clusters {
		c.Status = "storage-optimization"
	}
}

// An instance works while its storage is optimized, which takes hours: nothing
// waits for the end of that.
func TestNothingWaitsUntilTheStorageIsOptimized(t *testing.T) {
	for _, tt := range []struct {
		name            string
		payload         string
		machine, region string
		faults          string
		mutation        string // empty: nothing is to be done
	}{
		{"promotion", "failover-mysql.json", catalog.Failover, west, "dead@region:" + east, "rds:PromoteReadReplica"},
		{"managed failover", "failover-aurora-unplanned.json", catalog.Failover, west, "dead@region:" + east, "rds:FailoverGlobalCluster"},
		{"detach", "failover-aurora-detach.json", catalog.Failover, west, "dead@region:" + east, "rds:RemoveFromGlobalCluster"},
		{"switchover", "failover-aurora-planned.json", catalog.Failover, west, "", "rds:SwitchoverGlobalCluster"},
		{"replica that protects", "failback-mysql.json", catalog.Failback, west, "", "rds:ModifyDBInstance"}, // it has no backups
		{"secondary that protects", "failback-aurora-mysql.json", catalog.Failback, west, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			payload := []byte(strings.Replace(string(sample(t, tt.payload)), `"ClusterRegion"`, `"MaxReplicaLagSeconds": "60", "ClusterRegion"`, 1))
			calm := runLab(t, Options{Payload: payload, Machine: tt.machine, Region: tt.region, Faults: faultsOf(t, tt.faults)})
			estate := DefaultEstate()
			optimize(estate)
			result := runLab(t, Options{Payload: payload, Machine: tt.machine, Region: tt.region, Faults: faultsOf(t, tt.faults), Estate: estate})
			if result.Outcome != report.Succeeded || result.DurationSeconds != calm.DurationSeconds {
				t.Errorf("%s after %.0f s, otherwise after %.0f s: %s", result.Outcome, result.DurationSeconds, calm.DurationSeconds, result.Cause)
			}
			if diff := cmp.Diff(calm.APICalls, result.APICalls); diff != "" {
				t.Errorf("calls (-otherwise +so):\n%s", diff)
			}
			if tt.mutation == "" && total(result.Mutations) > 0 || tt.mutation != "" && result.Mutations[tt.mutation] != 1 {
				t.Errorf("%v", result.Mutations)
			}
		})
	}
}

// Databases of Oracle that have changed places are looked at all the same; before,
// AWS wants both available, and the run waits for that.
func TestASwitchoverOfOracleWaitsUntilTheStorageIsOptimized(t *testing.T) {
	moved := runLab(t, Options{Payload: sample(t, "failover-oracle.json")})
	again := moved.Final
	optimize(again)
	if result := runLab(t, Options{Payload: sample(t, "failover-oracle.json"), Estate: again}); moved.Outcome != report.Succeeded || result.Outcome != report.Succeeded || total(result.Mutations) > 0 {
		t.Errorf("%s, and again %s with %v: %s", moved.Outcome, result.Outcome, result.Mutations, result.Cause)
	}
	estate := DefaultEstate()
	optimize(estate)
	if result := runLab(t, Options{Payload: sample(t, "failover-oracle.json"), Estate: estate}); result.Outcome != report.FailedClean || total(result.Mutations) > 0 || !strings.Contains(result.Cause, "time limit") {
		t.Errorf("before: %s with %v: %s", result.Outcome, result.Mutations, result.Cause)
	}
}
