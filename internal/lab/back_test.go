package lab

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"dr-orchestrator/internal/report"
)

// exchanged is a payload with the sides exchanged.
func exchanged(payload []byte) []byte {
	return []byte(strings.NewReplacer("us-east-1", "us-west-2", "us-west-2", "us-east-1", "use1", "usw2", "usw2", "use1").Replace(string(payload)))
}

// lastLayer is a sample with its last layer alone.
func lastLayer(t *testing.T, name string) []byte {
	t.Helper()
	var doc struct{ StatePayload []json.RawMessage }
	if err := json.Unmarshal(sample(t, name), &doc); err != nil {
		t.Fatal(err)
	}
	doc.StatePayload = doc.StatePayload[len(doc.StatePayload)-1:]
	out, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Traffic goes over and back by the same payload with the sides exchanged, and
// each of them, run a second time, makes no call that changes anything.
func TestTrafficGoesOverAndBackAndEachOnce(t *testing.T) {
	swap, shift, control := lastLayer(t, "failover-dns.json"), sample(t, "failover-shift-traffic.json"), sample(t, "failover-traffic.json")
	flip := func(state string) []byte {
		return oneOf("SetSwitch", `"AlarmName":"dr-switch","State":"`+state+`","Region":"us-west-2"`)
	}
	force := func(state string) []byte {
		return oneOf("SetHealthCheck", `"HealthCheckId":"!Import app-use1-health-check","State":"`+state+`"`)
	}
	for _, tt := range []struct {
		name       string
		over, back []byte
		record     string
	}{
		{"SwapDNS", swap, exchanged(swap), "www"},
		{"ShiftTraffic", shift, exchanged(shift), "www"},
		{"SetRoutingControl", control, control, "routed"}, // it imports the control of the region that it runs in
		{"SetSwitch", flip("ALARM"), flip("OK"), "switched"},
		{"SetHealthCheck", force("Unhealthy"), force("Normal"), "api"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !bytes.Contains(tt.over, []byte(tt.name)) {
				t.Fatal("another action")
			}
			estate := DefaultEstate()
			for _, leg := range []struct {
				region, address string
				payload         []byte
			}{{"us-west-2", "198.51.100.", tt.over}, {"us-east-1", "192.0.2.", tt.back}} {
				writeIn(estate, leg.region)
				for run, changes := range []bool{true, false} {
					result := runLab(t, Options{Payload: leg.payload, Estate: estate, Region: leg.region})
					if result.Outcome != report.Succeeded || total(result.Mutations) > 0 != changes || len(result.Begun) > 0 != changes {
						t.Fatalf("to %s, run %d: %s with %v: %s", leg.region, run+1, result.Outcome, result.Mutations, result.Cause)
					}
					estate = result.Final
					if _, got := ask(t, NewAccount(estate, NewClock(Epoch), 1, nil), tt.record+".shop.example.", dnsmessage.TypeA); !strings.HasPrefix(got, leg.address) {
						t.Errorf("to %s, run %d: DNS answers %s", leg.region, run+1, got)
					}
				}
			}
		})
	}
}

// writeIn lets the databases take writes in a region, as if they had moved
// there before the traffic.
func writeIn(e *Estate, region string) {
	for _, i := range e.Instances {
		if i.Region == region {
			i.Source, i.Replication = "", ""
		}
	}
	for _, g := range e.Globals {
		for i := range g.Members {
			g.Members[i].Writer = regionOf(g.Members[i].ARN) == region
		}
	}
}
