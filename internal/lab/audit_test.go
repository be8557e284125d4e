package lab

import (
	"path/filepath"
	"strings"
	"testing"

	"dr-orchestrator/internal/report"
)

// noted gives the calls that a report tells of, by service:Operation; "" are
// those of which nobody knows what they were.
func noted(record report.Record) (calls map[string]int, accepted int) {
	calls = map[string]int{}
	for _, layer := range record.Layers {
		for _, r := range layer.Resources {
			for _, c := range r.Calls {
				calls[strings.Trim(c.Service+":"+c.Operation, ":")]++
				if c.Known() && c.Error == "" && c.RequestID != "" && !c.At.IsZero() {
					accepted++
				}
			}
		}
	}
	return calls, accepted
}

// Whatever the account saw being changed stands in the report, with the id of
// its request.
func TestReportTellsEveryCallThatChangedSomething(t *testing.T) {
	files, err := filepath.Glob("../../payloads/failover-*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			payload := sample(t, filepath.Base(file))
			result := runLab(t, Options{Payload: payload, Machine: "failover", Estate: DefaultEstate(), Seed: 1})
			calls, accepted := noted(result.Record)
			if total(calls) != total(result.Mutations) || accepted != total(result.Mutations) {
				t.Errorf("the report tells of %v (%d accepted), the account saw %v", calls, accepted, result.Mutations)
			}
			for name, n := range result.Mutations {
				if calls[name] != n {
					t.Errorf("%s: told %d times, seen %d times", name, calls[name], n)
				}
			}
		})
	}
}

// Of a call without an answer the report knows that there was one, not which;
// one that AWS turned away stands there with its words.
func TestReportTellsCallsWithoutAnAnswer(t *testing.T) {
	payload := sample(t, "failover-three-databases.json")
	for _, tt := range []struct {
		faults  string
		unknown int
	}{
		{"lost@rds:PromoteReadReplica#1", 1},
		{"timeout@rds:PromoteReadReplica#1", 1},
		{"kill@rds:PromoteReadReplica#1", 1},
		{"lost@function:promote-read-replica#2", 1},
	} {
		t.Run(tt.faults, func(t *testing.T) {
			result := runLab(t, Options{Payload: payload, Machine: "failover", Estate: DefaultEstate(), Seed: 1, Faults: faultsOf(t, tt.faults)})
			calls, accepted := noted(result.Record)
			if calls[""] != tt.unknown || calls["rds:PromoteReadReplica"] != 0 || accepted != total(result.Mutations)-1 {
				t.Errorf("the report tells of %v (%d accepted), the account saw %v", calls, accepted, result.Mutations)
			}
			for _, r := range result.Record.Layers[0].Resources {
				if r.ResourceType == "PromoteRDSReadReplica" && (r.RPO == nil || r.RPO.Seconds != nil || r.RPO.Unknown == "") {
					t.Errorf("RPO %+v of an action whose answer was lost", r.RPO)
				}
			}
		})
	}
}
