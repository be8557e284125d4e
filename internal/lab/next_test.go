package lab

import (
	"encoding/json"
	"strings"
	"testing"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/report"
)

// What a report tells a person to do is right for what the run was: nobody is
// sent to a replica, nor told that something was lost by making one.
func TestWhatToDoAfterARun(t *testing.T) {
	taken := runLab(t, Options{Payload: sample(t, "failover-replica-and-cache.json"), Faults: faultsOf(t, "dead@region:us-east-1")})
	fenced := runLab(t, Options{Payload: edited(t, "failover-mysql.json", func(doc map[string]any) { // stopped before its second layer
		doc["StatePayload"] = doc["StatePayload"].([]any)[:1]
	})})
	lost := func(options string) []byte {
		var doc map[string]json.RawMessage
		if err := json.Unmarshal(sample(t, "failover-dns.json"), &doc); err != nil {
			t.Fatal(err)
		}
		doc["Options"] = json.RawMessage(options)
		out, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	const direct, rpo, original = "Direct the applications to", "Find out what was lost", "us-east-1"
	for _, tt := range []struct {
		name     string
		o        Options
		headline string
		wants    []string
		nots     []string
	}{
		{"a failover", Options{Payload: sample(t, "failover-replica-and-cache.json")}, "Recovered", []string{direct + " us-west-2", rpo}, nil},
		{"a failback", Options{Payload: sample(t, "failback-replica.json"), Machine: catalog.Failback, Region: original, Estate: taken.Final}, "Protected again",
			[]string{"Leave the applications where they are"}, []string{direct, rpo}},
		{"a release", Options{Payload: sample(t, "release-mysql.json"), Estate: fenced.Final}, "Done", []string{"given back"}, []string{direct, rpo}},
		{"a check", Options{Payload: sample(t, "failback-elasticache.json"), Machine: catalog.Failback, Region: original}, "Checked", []string{"The run only looked"}, []string{direct, rpo}},
		{"a failover that moves traffic", Options{Payload: sample(t, "failover-dns.json")}, "Recovered", []string{"See that the applications work", rpo}, []string{direct}},
		{"a lost region, and nobody said so", Options{Payload: lost(`{}`), Faults: faultsOf(t, "dead@region:us-east-1")}, "Failed: nothing was changed",
			[]string{"Options.Disaster", "docs/dns.md"}, []string{direct}},
		{"a lost region", Options{Payload: lost(`{"Disaster": true}`), Faults: faultsOf(t, "dead@region:us-east-1")}, "Failed half way",
			[]string{"docs/dns.md"}, []string{direct, "Options.Disaster"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			record := runLab(t, tt.o).Record
			steps := strings.Join(record.Next(), "\n")
			if !strings.HasPrefix(record.Headline(), tt.headline) {
				t.Errorf("%q, want %q", record.Headline(), tt.headline)
			}
			for _, want := range tt.wants {
				if !strings.Contains(steps, want) {
					t.Errorf("%q is not in\n%s", want, steps)
				}
			}
			for _, not := range tt.nots {
				if strings.Contains(steps, not) {
					t.Errorf("%q is in\n%s", not, steps)
				}
			}
			if text := record.Text(); strings.Contains(text, "errorMessage") || strings.Contains(text, "StatusCode") {
				t.Errorf("words of Lambda or of the SDK are in\n%s", text)
			}
			// A report that is read again says the same.
			stored, err := json.Marshal(record)
			var read report.Record
			if err != nil || json.Unmarshal(stored, &read) != nil || read.Text() != record.Text() {
				t.Errorf("%v, read again:\n%s", err, read.Text())
			}
		})
	}
}
