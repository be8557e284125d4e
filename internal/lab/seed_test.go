package lab

import (
	"bytes"
	"encoding/json"
	"testing"

	"dr-orchestrator/internal/report"
)

// withTrafficBy is the sample of a recovery by records, with the last layer
// replaced by the one resource of another sample.
func withTrafficBy(t testing.TB, name string) []byte {
	t.Helper()
	type document struct {
		StatePayload []struct {
			Layer     int               `json:"layer"`
			Resources []json.RawMessage `json:"resources"`
		}
	}
	var records, other document
	for from, to := range map[string]*document{"failover-dns.json": &records, name: &other} {
		if err := json.Unmarshal(sample(t, from), to); err != nil {
			t.Fatal(err)
		}
	}
	if len(other.StatePayload) != 1 || len(other.StatePayload[0].Resources) != 1 {
		t.Fatalf("%s holds more than one resource: %s", name, sample(t, name))
	}
	records.StatePayload[len(records.StatePayload)-1].Resources = other.StatePayload[0].Resources
	out, err := json.Marshal(records)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Records are changed by a control plane in us-east-1. With it gone the
// databases and the application recover, and the traffic moves by the two ways
// that do without it, whose samples hold nothing else.
func TestTrafficMovesWithoutTheLostRegion(t *testing.T) {
	dead := faultsOf(t, "dead@region:us-east-1")
	for _, tt := range []struct {
		name    string
		payload []byte
		goal    string
		caller  string
	}{
		{"routing control", withTrafficBy(t, "failover-traffic.json"), "SetRoutingControl", "routed.shop.example"},
		{"switch", withTrafficBy(t, "failover-switch.json"), "SetSwitch", "switched.shop.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			result := runLab(t, Options{Payload: tt.payload, Faults: dead, Caller: tt.caller})
			if result.Outcome != report.Succeeded || !goals(result.Final, string(tt.payload))[tt.goal] {
				t.Errorf("%s: %s", result.Outcome, result.Cause)
			}
			swapsOnce(t, result.Caller)
		})
	}
	for _, name := range []string{"failover-traffic.json", "failover-switch.json"} {
		if result := runLab(t, Options{Payload: sample(t, name), Faults: dead}); result.Outcome != report.Succeeded {
			t.Errorf("%s as it stands: %s: %s", name, result.Outcome, result.Cause)
		}
	}
	// The checks before find it out: nothing is changed, and nothing hangs. In a
	// disaster the run carries on to the swap, with the data recovered.
	plain := sample(t, "failover-dns.json")
	disaster := bytes.Replace(plain, []byte(`{`), []byte(`{"Options": {"Disaster": true},`), 1)
	for _, tt := range []struct {
		payload []byte
		outcome report.Outcome
	}{{plain, report.FailedClean}, {disaster, report.FailedDirty}} {
		result := runLab(t, Options{Payload: tt.payload, Faults: dead})
		if result.Outcome != tt.outcome || result.Mutations["route53:ChangeResourceRecordSets"] != 0 || swapped(result.Final) {
			t.Errorf("records: %s with %v, want %s: %s", result.Outcome, result.Mutations, tt.outcome, result.Cause)
		}
		if result.DurationSeconds > 3600 {
			t.Errorf("records: it hangs for %.0f s", result.DurationSeconds)
		}
	}
}
