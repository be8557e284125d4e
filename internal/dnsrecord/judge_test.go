package dnsrecord

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"dr-orchestrator/internal/action"
)

// What would break a name is refused, and its opposite is not.
func TestWhatWouldBreakANameIsRefused(t *testing.T) {
	latency := func(id string, region types.ResourceRecordSetRegion) types.ResourceRecordSet {
		s := simple("www.example", "A", "192.0.2.1")
		s.SetIdentifier, s.Region = aws.String(id), region
		return s
	}
	kept := func(s types.ResourceRecordSet) types.ResourceRecordSet {
		s.TrafficPolicyInstanceId = aws.String("tp-1")
		return s
	}
	www := func(set string, change func(*Record)) Record {
		r := Record{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: set}
		change(&r)
		return r
	}
	region := func(region string) Record { return www("a", func(r *Record) { r.Region = region }) }
	weight := func(weight, expect int) Record {
		return www("a", func(r *Record) { r.Weight, r.ExpectWeight = aws.Int(weight), aws.Int(expect) })
	}
	values := www("", func(r *Record) { r.Values = []string{"192.0.2.9"} })
	alias := func(target string) Record {
		return www("", func(r *Record) { r.AliasTarget, r.AliasZone = target, "Z1" })
	}
	both := []types.ResourceRecordSet{latency("a", "us-east-1"), latency("b", "us-west-2")}
	weights := []types.ResourceRecordSet{weighted("www.example", "a", 5, "192.0.2.1"), weighted("www.example", "b", 5, "192.0.2.2")}
	for _, tt := range []struct {
		name   string
		sets   []types.ResourceRecordSet
		record Record
		want   string // of the refusal; empty: there is none
	}{
		{"another latency region", both, region("eu-west-1"), ""},
		{"the latency region of another set", both, region("us-west-2"), "two sets of www.example. A would be for us-west-2: a and b"},
		{"the expected weight", weights, weight(0, 5), ""},
		{"as wanted already", weights, weight(5, 9), ""},
		{"another weight", weights, weight(0, 4), "someone has changed it"},
		{"an expected weight of what has none", both, www("a", func(r *Record) { r.TTL, r.ExpectWeight = aws.Int(9), aws.Int(0) }), "someone has changed it"},
		{"a simple record", []types.ResourceRecordSet{simple("www.example", "A", "192.0.2.1")}, values, ""},
		{"kept by a traffic policy", []types.ResourceRecordSet{kept(simple("www.example", "A", "192.0.2.1"))}, values, "traffic policy instance tp-1"},
		{"an alias of what is there", []types.ResourceRecordSet{simple("app.example", "A", "192.0.2.1"), simple("www.example", "A", "192.0.2.1")}, alias("APP.example"), ""},
		{"an alias of what is there with another type", []types.ResourceRecordSet{simple("app.example", "AAAA", "2001:db8::1"), simple("www.example", "A", "192.0.2.1")}, alias("app.example"), "app.example. A, which is not in hosted zone Z1"},
		{"an alias of what is not there", []types.ResourceRecordSet{simple("www.example", "A", "192.0.2.1")}, alias("app.example"), "app.example. A, which is not in hosted zone Z1"},
		{"an alias of itself", []types.ResourceRecordSet{simple("www.example", "A", "192.0.2.1")}, alias("www.example"), "an alias of itself"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z := &zones{page: 300, sets: tt.sets}
			_, err := Swap{Route53: z, Ask: unheard}.Reconcile(t.Context(), request(SwapParameters{Records: []Record{tt.record}}, action.Drive{}))
			if (err == nil) != (tt.want == "") || err != nil && (action.ClassOf(err) != action.Refused || !strings.Contains(err.Error(), tt.want) || len(z.changes) > 0) {
				t.Errorf("%v with %d calls, want %q", err, len(z.changes), tt.want)
			}
		})
	}
	// A shift changes the weights of every set of its name.
	for instance, class := range map[*string]action.Class{nil: "", aws.String("tp-1"): action.Refused} {
		other := weights[1]
		other.TrafficPolicyInstanceId = instance
		z := &zones{page: 300, sets: []types.ResourceRecordSet{weights[0], other}}
		_, err := Shift{Route53: z}.Preflight(t.Context(), action.Request[ShiftParameters]{Now: noon,
			Parameters: ShiftParameters{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: "a", Steps: []string{"100"}}})
		if (err == nil) != (class == "") || err != nil && action.ClassOf(err) != class {
			t.Errorf("a shift of sets of which %v keeps one: %v, want %q", instance, err, class)
		}
	}
}

// What the payload does not say of an alias stays as it is.
func TestAnAliasKeepsWhatIsNotSaid(t *testing.T) {
	yes := aliased(simple("www.example", "A"), "ZOLD", "old.example")
	yes.AliasTarget.EvaluateTargetHealth = true
	for _, tt := range []struct {
		name         string
		record       Record
		zone, target string
		health       bool
	}{
		{"the target", Record{AliasTarget: "new.example"}, "ZOLD", "new.example", true},
		{"the zone", Record{AliasZone: "ZNEW"}, "ZNEW", "old.example.", true},
		{"health", Record{EvaluateTargetHealth: aws.Bool(false)}, "ZOLD", "old.example.", false},
		{"all of it", Record{AliasTarget: "new.example", AliasZone: "ZNEW", EvaluateTargetHealth: aws.Bool(false)}, "ZNEW", "new.example", false},
	} {
		got, err := tt.record.apply(yes)
		if err != nil || aws.ToString(got.AliasTarget.HostedZoneId) != tt.zone || aws.ToString(got.AliasTarget.DNSName) != tt.target || got.AliasTarget.EvaluateTargetHealth != tt.health {
			t.Errorf("%s: %+v, %v", tt.name, *got.AliasTarget, err)
		}
	}
	if !yes.AliasTarget.EvaluateTargetHealth || aws.ToString(yes.AliasTarget.HostedZoneId) != "ZOLD" {
		t.Errorf("what was read is another now: %+v", *yes.AliasTarget)
	}
}

// A step is held from the moment when every name server has it, not from the call.
func TestTheHoldBeginsWhenTheStepHasSpread(t *testing.T) {
	p := ShiftParameters{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: "west", Steps: []string{"10", "100"}, HoldSeconds: 60}
	z := &zones{page: 300, status: types.ChangeStatusPending, sets: []types.ResourceRecordSet{weighted("www.example", "east", 180, "192.0.2.1"), weighted("www.example", "west", 20, "192.0.2.2")}}
	memo := map[string]string{memoFirst: `{"east":100,"west":0}`, "10% change": "C1", "10% requestedAt": noon.Format(time.RFC3339)}
	look := func(after time.Duration, phase string, calls int) {
		t.Helper()
		progress, err := Shift{Route53: z}.Reconcile(t.Context(), action.Request[ShiftParameters]{Run: action.Run{ID: "run-1"}, Parameters: p, Now: noon.Add(after),
			Drive: action.Drive{Changed: action.ChangeYes, Memo: memo}})
		if err != nil || progress.Phase != phase || len(z.changes) != calls {
			t.Fatalf("after %s: %s (%s), %v, %d calls, want %s with %d", after, progress.Phase, progress.Message, err, len(z.changes), phase, calls)
		}
		for key, value := range progress.Memo {
			memo[key] = value
		}
	}
	look(2*time.Minute, phasePropagating, 0)
	z.status = types.ChangeStatusInsync
	look(3*time.Minute, "holding", 0)
	look(4*time.Minute-time.Second, "holding", 0)
	look(4*time.Minute, "shifting to 100 %", 1)
}
