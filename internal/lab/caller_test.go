package lab

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"dr-orchestrator/internal/report"
)

// swapsOnce fails the test where a caller does not see one outage and, in the
// end, the other side alone.
func swapsOnce(t *testing.T, c *Caller) {
	t.Helper()
	if len(c.Outages) != 1 || c.Outages[0].Lasts {
		t.Fatalf("the outages are %+v, want one that ends", c.Outages)
	}
	if c.Stale != 0 {
		t.Errorf("%d answers of the old side after the swap", c.Stale)
	}
	last := c.Attempts[len(c.Attempts)-1]
	if last.Region != "us-west-2" || last.Cause != "" {
		t.Errorf("the last write: %+v", last)
	}
	t.Logf("%s: one outage of %.1f s, from %.1f s on; writes taken: %v", c.Name, c.Outages[0].Seconds, c.Outages[0].AtSeconds, c.Writes)
}

// Somebody who looks up the name by DNS and writes all the while is without the
// application once: from the loss of the database until the traffic has moved.
// Where the region is lost, its traffic moves without it.
func TestACallerSeesOneOutage(t *testing.T) {
	lost := faultsOf(t, "dead@region:us-east-1#20-") // after 19 s: nobody but the caller asks there so early
	for _, tt := range []struct {
		name, caller string
		payload      []byte
		faults       Faults
	}{
		{"records", "www.shop.example", sample(t, "failover-dns.json"), nil},
		{"routing control", "routed.shop.example", withTrafficBy(t, "failover-traffic.json"), nil},
		{"switch", "switched.shop.example", withTrafficBy(t, "failover-switch.json"), nil},
		{"routing control, region lost", "routed.shop.example", withTrafficBy(t, "failover-traffic.json"), lost},
		{"switch, region lost", "switched.shop.example", withTrafficBy(t, "failover-switch.json"), lost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			result := runLab(t, Options{Payload: tt.payload, Caller: tt.caller, Faults: tt.faults})
			if result.Outcome != report.Succeeded || len(result.Unfired) > 0 {
				t.Fatalf("%s, without %v: %s", result.Outcome, result.Unfired, result.Cause)
			}
			swapsOnce(t, result.Caller)
			if result.Caller.Writes["us-east-1"] == 0 || result.Caller.Attempts[0].Region != "us-east-1" {
				t.Errorf("the old side took no writes before: %v", result.Caller.Writes)
			}
		})
	}
}

// Real sockets are in it, and the same seed gives the same attempts all the same.
func TestACallerIsTheSameEveryTime(t *testing.T) {
	attempts := func() []Attempt {
		return runLab(t, Options{Payload: sample(t, "failover-dns.json"), Caller: "www.shop.example", Seed: 7}).Caller.Attempts
	}
	if diff := cmp.Diff(attempts(), attempts()); diff != "" {
		t.Errorf("(-first +second):\n%s", diff)
	}
}

// A caller whom nobody serves sees one outage, to the end.
func TestACallerWhomNobodyServes(t *testing.T) {
	result := runLab(t, Options{Payload: sample(t, "check-application.json"), Caller: "www.shop.example", Faults: faultsOf(t, "dead@region:us-east-1")})
	c := result.Caller
	if len(c.Outages) != 1 || !c.Outages[0].Lasts || c.Outages[0].AtSeconds != 0 || c.Outages[0].Seconds < result.DurationSeconds || len(c.Writes) != 0 || !strings.Contains(c.Outages[0].Cause, "timeout") {
		t.Errorf("%+v with %v", c.Outages, c.Writes)
	}
	if _, err := Run(Options{Payload: sample(t, "failover-dns.json"), Estate: DefaultEstate(), Caller: "www.elsewhere.example"}); err == nil || !strings.Contains(err.Error(), "www.elsewhere.example") {
		t.Errorf("a name of no zone: %v", err)
	}
}

// What the attempts come to: each failure between two writes is an outage, and
// an answer of the first side after another one is stale.
func TestWhatACallerHasSeen(t *testing.T) {
	second := func(n int) time.Time { return Epoch.Add(time.Duration(n) * time.Second) }
	works := func(n int, region string) Attempt {
		return Attempt{Begun: second(n), Ended: second(n).Add(100 * time.Millisecond), Region: region, Status: 201}
	}
	fails := func(n int, region string) Attempt {
		a := works(n, region)
		a.Status, a.Cause = 503, "down"
		return a
	}
	for _, tt := range []struct {
		name     string
		attempts []Attempt
		want     Caller
	}{
		{"none", nil, Caller{Outages: []Outage{}, Writes: map[string]int{}}},
		{"always served", []Attempt{works(0, "a"), works(1, "a")}, Caller{Outages: []Outage{}, Writes: map[string]int{"a": 2}}},
		{"served again", []Attempt{works(0, "a"), fails(1, "a"), fails(2, "a"), works(3, "b")},
			Caller{Outages: []Outage{{AtSeconds: 1, Seconds: 2.1, Cause: "down"}}, Writes: map[string]int{"a": 1, "b": 1}}},
		{"twice", []Attempt{fails(0, "a"), works(1, "a"), fails(2, "a")},
			Caller{Outages: []Outage{{Seconds: 1.1, Cause: "down"}, {AtSeconds: 2, Seconds: 0.1, Lasts: true, Cause: "down"}}, Writes: map[string]int{"a": 1}}},
		{"the old side after the swap", []Attempt{works(0, "a"), works(1, "b"), works(2, "a"), fails(3, "a"), works(4, "b")},
			Caller{Outages: []Outage{{AtSeconds: 3, Seconds: 1.1, Cause: "down"}}, Writes: map[string]int{"a": 2, "b": 2}, Stale: 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := (&caller{begun: Epoch, attempts: tt.attempts}).seen()
			got.Attempts = nil
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Records answer as the alarm or the routing control of their health check says.
func TestHealthChecksFollowAlarmsAndRoutingControls(t *testing.T) {
	const old, other = "192.0.2.", "198.51.100."
	alarmIn := func(region, state string) func(*Account) {
		return func(a *Account) {
			x := a.alarm(region, "dr-switch")
			x.State, x.Value = state, map[string]*float64{"ALARM": new(1.0), "OK": new(0.0)}[state]
		}
	}
	byHand := func(a *Account) { a.alarm("us-west-2", "dr-switch").State = "ALARM" }
	alarm := func(state string) func(*Account) { return alarmIn("us-west-2", state) }
	switchedCheck := switchCheck["us-west-2"]
	check := func(id string, change func(*HealthCheck)) func(*Account) {
		return func(a *Account) {
			h, err := a.healthCheck(id)
			if err != nil {
				t.Fatal(err)
			}
			change(h)
		}
	}
	control := func(arn, state string) func(*Account) {
		return func(a *Account) { _, c := a.Estate.routingCluster(arn); c.State = state }
	}
	without := func(state string, seen bool) func(*Account) {
		return check(switchedCheck, func(h *HealthCheck) { h.InsufficientData, h.Unhealthy = state, seen })
	}
	for _, tt := range []struct {
		name, record string
		changes      []func(*Account)
		want         string // begins the address
	}{
		{"the switch is off", switchedName, nil, old},
		{"the switch is on", switchedName, []func(*Account){alarm("ALARM")}, other},
		{"the state of the switch was set by hand", switchedName, []func(*Account){byHand}, old},
		{"the switch of the other region is on", switchedName, []func(*Account){alarmIn("us-east-1", "ALARM")}, old},
		{"both switches are on", switchedName, []func(*Account){alarm("ALARM"), alarmIn("us-east-1", "ALARM")}, old}, // neither healthy: the primary's
		{"on, and the check is inverted", switchedName, []func(*Account){alarm("ALARM"), check(switchedCheck, func(h *HealthCheck) { h.Inverted = true })}, old},
		{"on, and the check is disabled", switchedName, []func(*Account){alarm("ALARM"), check(switchedCheck, func(h *HealthCheck) { h.Disabled = true })}, old},
		{"no data ever", switchedName, []func(*Account){alarm("INSUFFICIENT_DATA")}, old},
		{"no data, unhealthy before", switchedName, []func(*Account){alarm("INSUFFICIENT_DATA"), without("LastKnownStatus", true)}, other},
		{"no data is unhealthy", switchedName, []func(*Account){alarm("INSUFFICIENT_DATA"), without("Unhealthy", false)}, other},
		{"no data is healthy", switchedName, []func(*Account){alarm("INSUFFICIENT_DATA"), without("Healthy", true)}, old},
		{"the controls as at first", routedName, nil, old},
		{"the controls exchanged", routedName, []func(*Account){control(controlEast, "Off"), control(controlWest, "On")}, other},
		{"both on", routedName, []func(*Account){control(controlWest, "On")}, old},
		{"both off", routedName, []func(*Account){control(controlEast, "Off")}, old}, // none healthy: all are taken for it
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := NewAccount(DefaultEstate(), NewClock(Epoch), 1, nil)
			for _, change := range tt.changes {
				change(a)
			}
			if _, got := ask(t, a, tt.record+"shop.example.", dnsmessage.TypeA); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%s, want %s...", got, tt.want)
			}
		})
	}
}
