package lab

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"dr-orchestrator/internal/report"
)

// shifted tells whether all callers of the sample go to us-west-2.
func shifted(e *Estate) bool {
	z := e.zone(shopZone)
	east, west := record(e, shopZone, "www.shop.example. A us-east-1"), record(e, shopZone, "www.shop.example. A us-west-2")
	return z.Published == nil && *east.Weight == 0 && *west.Weight > 0
}

func shiftPayload(more string) []byte {
	return []byte(`{"StatePayload":[{"layer":1,"resources":[{"resourceType":"ShiftTraffic","resourceName":"Shift","parameters":{
		"Zone":"` + shopZone + `","Name":"www.shop.example","Type":"A","SetIdentifier":"us-west-2","HoldSeconds":"60",` + more + `}}]}]}`)
}

const probed = `"Steps":"10,100","Probe":"https://shop.us-west-2.example/health"`

// withShop is an estate whose shop works in us-west-2: its database takes
// writes there.
func withShop(e *Estate) *Estate {
	e.instance("us-west-2", "rds-mysql-instance-usw2").Source = ""
	e.Apps = append(e.Apps, &App{Region: "us-west-2", URL: "https://shop.us-west-2.example/", Instance: "rds-mysql-instance-usw2", Milliseconds: 40, CertificateDays: 60})
	return e
}

func weightsAt(e *Estate) string {
	var all []string
	for _, r := range e.zone(shopZone).group("www.shop.example. A") {
		all = append(all, fmt.Sprintf("%s=%d", r.SetIdentifier, *r.Weight))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestShiftHoldsBetweenItsSteps(t *testing.T) {
	result := runLab(t, Options{Payload: sample(t, "failover-shift-traffic.json"), Estate: readyFor("failover-shift-traffic.json")})
	if result.Outcome != report.Succeeded || result.Mutations["route53:ChangeResourceRecordSets"] != 3 || weightsAt(result.Final) != "us-east-1=0 us-west-2=200" {
		t.Fatalf("%s with %v and %s: %s", result.Outcome, result.Mutations, weightsAt(result.Final), result.Cause)
	}
	// Three times a minute to spread, and two minutes of hold after the first
	// two of them.
	var at []float64
	for _, call := range result.Log {
		if call.Name == "route53:ChangeResourceRecordSets" {
			at = append(at, call.Time.Sub(Epoch).Seconds())
		}
	}
	for i := 1; i < len(at); i++ {
		if gap := at[i] - at[i-1]; gap < 180 || gap > 200 {
			t.Errorf("step %d came %.0f s after the one before, want 180 to 200", i+1, gap)
		}
	}
	untrue(t, result, sample(t, "failover-shift-traffic.json"))
}

// Where the control plane of Route 53 goes away on the way, a run does not wait
// for its return until its limit, and says what does without it.
func TestRouteFiftyThreeIsNotWaitedForWithoutEnd(t *testing.T) {
	for _, tt := range []struct {
		name    string
		payload []byte
		call    string // after the first of which it is gone
	}{
		{"ShiftTraffic", shiftPayload(`"Steps":"10,100"`), "route53:ChangeResourceRecordSets"},
		{"SwapDNS", swapPayload(`{"Records":[{"Zone":"` + shopZone + `","Name":"www.shop.example","Type":"A","SetIdentifier":"us-west-2","Weight":10}]}`), "route53:ChangeResourceRecordSets"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			whole := runLab(t, Options{Payload: tt.payload})
			n := 0
			for _, call := range whole.Log {
				if call.Region == "us-east-1" {
					n++
				}
				if call.Name == tt.call {
					break
				}
			}
			if whole.Outcome != report.Succeeded || n == 0 {
				t.Fatalf("alive: %s: %s", whole.Outcome, whole.Cause)
			}
			result := runLab(t, Options{Payload: tt.payload, Faults: faultsOf(t, fmt.Sprintf("dead@region:us-east-1#%d-", n+1))})
			if result.Outcome != report.FailedDirty || !strings.Contains(result.Cause, "SetRoutingControl and SetSwitch") || result.DurationSeconds > 900 {
				t.Errorf("%s after %.0f s with %v: %s", result.Outcome, result.DurationSeconds, result.Mutations, result.Cause)
			}
			untrue(t, result, tt.payload)
		})
	}
}

// Route 53 is given up only where it was asked for ten minutes and was silent: not
// at one look after a time in which nobody asked, or in which it throttled.
func TestOneSilentLookGivesNothingUp(t *testing.T) {
	payload := swapPayload(`{"Records":[{"Zone":"` + shopZone + `","Name":"www.shop.example","Type":"A","SetIdentifier":"us-west-2","Weight":10}]}`)
	for _, faults := range []string{
		"throttle@function:swap-dns#2-60,error@route53:ListResourceRecordSets#2-4",
		"throttle@route53:ListResourceRecordSets#2-130,error@route53:ListResourceRecordSets#131-133", // three tries of one look
	} {
		if result := runLab(t, Options{Payload: payload, Faults: faultsOf(t, faults)}); result.Outcome != report.Succeeded || result.DurationSeconds < 660 {
			t.Errorf("%s: %s after %.0f s: %s", faults, result.Outcome, result.DurationSeconds, result.Cause)
		}
	}
}

// Where it answers looks and takes no change, it is given up as well.
func TestRouteFiftyThreeThatTakesNoChangeIsGivenUp(t *testing.T) {
	payload := swapPayload(`{"Records":[{"Zone":"` + shopZone + `","Name":"www.shop.example","Type":"A","SetIdentifier":"us-west-2","Weight":10}]}`)
	result := runLab(t, Options{Payload: payload, Faults: faultsOf(t, "error@route53:ChangeResourceRecordSets")})
	if result.Outcome != report.FailedClean || !strings.Contains(result.Cause, "SetRoutingControl and SetSwitch") || result.DurationSeconds < 600 || result.DurationSeconds > 720 {
		t.Errorf("%s after %.0f s: %s", result.Outcome, result.DurationSeconds, result.Cause)
	}
	untrue(t, result, payload)
}

// The others keep their proportion in what is left.
func TestShiftKeepsTheProportionOfTheOthers(t *testing.T) {
	estate := DefaultEstate()
	z := estate.zone(shopZone)
	record(estate, shopZone, "www.shop.example. A us-east-1").Weight = number(90)
	z.Records = append(z.Records, &RecordSet{Name: "www.shop.example", Type: "A", SetIdentifier: "eu-west-1", Weight: number(30), TTL: number(60), Values: []RecordValue{"203.0.113.9"}})
	result := runLab(t, Options{Payload: shiftPayload(`"Steps":"20,60"`), Estate: estate})
	if got := weightsAt(result.Final); result.Outcome != report.Succeeded || got != "eu-west-1=20 us-east-1=60 us-west-2=120" {
		t.Errorf("%s with %s: %s", result.Outcome, got, result.Cause)
	}
	if r := record(result.Final, shopZone, "www.shop.example. A us-west-2"); r.HealthCheck != "0a1b2c3d-0000-4000-8000-000000000002" || *r.TTL != 60 {
		t.Errorf("what was not named has changed: %+v", r)
	}
}

func TestShiftGoesBackWhenTheTargetFails(t *testing.T) {
	for _, tt := range []struct {
		name, faults, weights string
		outcome               report.Outcome
		calls                 int
		cause                 string
	}{
		{"always answers", "", "us-east-1=0 us-west-2=200", report.Succeeded, 2, ""},
		{"misses twice in a row", "error@application:GetPage#9-10", "us-east-1=0 us-west-2=200", report.Succeeded, 2, ""},
		{"fails in the middle", "error@application:GetPage#9-", "us-east-1=100 us-west-2=0", report.FailedDirty, 2, "traffic is back"},
		{"fails for a while", "error@application:GetPage#9-11", "us-east-1=100 us-west-2=0", report.FailedDirty, 2, "traffic is back"},
		{"fails in the middle, the call back is lost", "error@application:GetPage#9-,lost@route53:ChangeResourceRecordSets#2", "us-east-1=100 us-west-2=0", report.FailedDirty, 2, "traffic is back"},
		{"never answers", "error@application:GetPage", "us-east-1=100 us-west-2=0", report.Refused, 0, "no traffic was moved"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			result := runLab(t, Options{Payload: shiftPayload(probed), Estate: withShop(DefaultEstate()), Faults: faultsOf(t, tt.faults)})
			if result.Outcome != tt.outcome || weightsAt(result.Final) != tt.weights || total(result.Mutations) != tt.calls || !strings.Contains(result.Cause, tt.cause) {
				t.Errorf("%s with %s after %v, want %s with %s: %s", result.Outcome, weightsAt(result.Final), result.Mutations, tt.outcome, tt.weights, result.Cause)
			}
			untrue(t, result, shiftPayload(probed))
		})
	}
}

// The probe of a shift wants what that of a CheckEndpoint can want.
func TestWhatTheProbeOfAShiftWants(t *testing.T) {
	for _, tt := range []struct {
		want, why string // why is empty where traffic moves
	}{
		{`"ExpectStatus":200`, ""},
		{`"ExpectStatus":"204"`, "204 is asked for"},
		{`"BodyContains":"us-west-2"`, ""},
		{`"BodyContains":"us-east-1"`, "does not hold"},
		{`"MaxLatencyMilliseconds":40`, ""},
		{`"MaxLatencyMilliseconds":39`, "took 40 ms"},
		{`"MinCertificateDays":59`, ""},
		{`"MinCertificateDays":61`, "61 days"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			result := runLab(t, Options{Payload: shiftPayload(`"Steps":"100","Probe":"https://shop.us-west-2.example/health",` + tt.want), Estate: withShop(DefaultEstate())})
			moved := total(result.Mutations) == 1 && result.Outcome == report.Succeeded
			told := fmt.Sprint(result.Cause, result.Layers)
			if moved != (tt.why == "") || tt.why != "" && (total(result.Mutations) > 0 || !strings.Contains(told, tt.why)) {
				t.Errorf("%s with %v: %s", result.Outcome, result.Mutations, told)
			}
		})
	}
	for _, contradiction := range []string{`"BodyContains":"x"`, `"Probe":"http://a.example","MinCertificateDays":3`, `"Probe":"tcp://a.example:1","FollowRedirects":true`} {
		result := runLab(t, Options{Payload: shiftPayload(`"Steps":"100",` + contradiction)})
		if len(result.Problems) != 1 || total(result.Mutations) > 0 {
			t.Errorf("%s: %s with %v", contradiction, result.Outcome, result.Problems)
		}
	}
}

func TestWhatAShiftRefuses(t *testing.T) {
	set := func(weights ...int) func(*Estate) {
		return func(e *Estate) {
			record(e, shopZone, "www.shop.example. A us-east-1").Weight = number(weights[0])
			record(e, shopZone, "www.shop.example. A us-west-2").Weight = number(weights[1])
		}
	}
	for _, tt := range []struct {
		name, payload string
		estate        func(*Estate)
		want          string // in the cause; empty: it succeeds
	}{
		{"weighted", `"Steps":"100"`, set(1, 0), ""},
		{"already there", `"Steps":"100"`, set(0, 1), ""},
		{"between two steps", `"Steps":"10,100"`, set(70, 30), ""},
		{"all weights zero", `"Steps":"100"`, set(0, 0), "weight 0"},
		{"nobody to share with", `"Steps":"50"`, set(0, 100), "has all of the traffic"},
		{"steps that fall", `"Steps":"50,10"`, set(100, 0), "do not rise"},
		{"no percentage", `"Steps":"50,101"`, set(100, 0), "percentage"},
		{"no probe", `"Steps":"100","Probe":"gopher://x"`, set(100, 0), "does not have the right form"},
		{"no weights", `"Steps":"100"`, func(e *Estate) {
			for _, r := range e.zone(shopZone).group("www.shop.example. A") {
				r.Weight, r.Region = nil, r.SetIdentifier
			}
		}, "no weighted record set"},
		{"kept by a traffic policy", `"Steps":"100"`, func(e *Estate) {
			record(e, shopZone, "www.shop.example. A us-east-1").Traffic = "tp-1"
		}, "traffic policy instance tp-1"},
		{"no such set", `"Steps":"100"`, func(e *Estate) {
			record(e, shopZone, "www.shop.example. A us-west-2").SetIdentifier = "mars"
		}, `no set "us-west-2"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			estate := DefaultEstate()
			tt.estate(estate)
			result := runLab(t, Options{Payload: shiftPayload(tt.payload), Estate: estate})
			if tt.want == "" {
				if result.Outcome != report.Succeeded || !shifted(result.Final) {
					t.Errorf("%s with %s: %s", result.Outcome, weightsAt(result.Final), result.Cause)
				}
				return
			}
			if result.Outcome != report.Refused && result.Outcome != report.FailedClean || total(result.Mutations) != 0 || !strings.Contains(result.Cause, tt.want) {
				t.Errorf("%s with %v, want nothing done for %q: %s", result.Outcome, result.Mutations, tt.want, result.Cause)
			}
		})
	}
}

// No traffic moves to a side that does not write, or answers with errors.
func TestAShiftWantsADatabaseThatWrites(t *testing.T) {
	payload := sample(t, "failover-shift-traffic.json")
	for _, tt := range []struct {
		name   string
		estate func(*Estate)
		cause  string // empty: it succeeds
	}{
		{"moved", func(*Estate) {}, ""},
		{"untouched", func(e *Estate) { *e = *DefaultEstate() }, "is a replica"},
		{"the writer of the cluster is gone", func(e *Estate) {
			e.cluster("arn:aws:rds:us-west-2:111122223333:cluster:dbcluster-02").Status = "stopped"
		}, "which in us-west-2 is stopped"},
		{"all of it there already", func(e *Estate) {
			*e = *DefaultEstate()
			record(e, shopZone, "www.shop.example. A us-east-1").Weight, record(e, shopZone, "www.shop.example. A us-west-2").Weight = number(0), number(200)
		}, "100 % of it remain at us-west-2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			estate := readyFor("failover-shift-traffic.json")
			tt.estate(estate)
			before := weightsAt(estate)
			result := runLab(t, Options{Payload: payload, Estate: estate})
			if tt.cause == "" {
				if result.Outcome != report.Succeeded {
					t.Errorf("%s: %s", result.Outcome, result.Cause)
				}
				return
			}
			if result.Outcome != report.Refused || total(result.Mutations) != 0 || weightsAt(result.Final) != before || !strings.Contains(result.Cause, tt.cause) {
				t.Errorf("%s with %s after %v, want it refused for %q: %s", result.Outcome, weightsAt(result.Final), result.Mutations, tt.cause, result.Cause)
			}
		})
	}
}

// A shift that ended in the middle, and whose target is dead when it is started
// again: what it left there is told, and another shift takes it back.
func TestAShiftThatEndedTellsWhatIsThere(t *testing.T) {
	payload := shiftPayload(probed)
	ended := runLab(t, Options{Payload: payload, Estate: withShop(DefaultEstate()), Faults: faultsOf(t, "kill@function:shift-traffic#20-")})
	if ended.Outcome != report.FailedDirty || weightsAt(ended.Final) != "us-east-1=180 us-west-2=20" {
		t.Fatalf("%s with %s: %s", ended.Outcome, weightsAt(ended.Final), ended.Cause)
	}
	again := runLab(t, Options{Payload: payload, Estate: ended.Final, Faults: faultsOf(t, "error@application:GetPage")})
	if again.Outcome != report.Refused || total(again.Mutations) != 0 || strings.Contains(again.Cause, "no traffic was moved") ||
		!strings.Contains(again.Cause, "10 % of it remain at us-west-2, put there before this run") {
		t.Errorf("%s with %v: %s", again.Outcome, again.Mutations, again.Cause)
	}
	back := []byte(strings.NewReplacer(`"SetIdentifier":"us-west-2"`, `"SetIdentifier":"us-east-1"`, probed, `"Steps":"100"`).Replace(string(payload)))
	if result := runLab(t, Options{Payload: back, Estate: again.Final, Faults: faultsOf(t, "error@application:GetPage")}); result.Outcome != report.Succeeded || weightsAt(result.Final) != "us-east-1=200 us-west-2=0" {
		t.Errorf("back: %s with %s: %s", result.Outcome, weightsAt(result.Final), result.Cause)
	}
}

// Every single fault of a shift in two steps.
func TestEveryFaultOfAShiftEndsInTheTruth(t *testing.T) {
	payload := []byte(strings.Replace(string(shiftPayload(`"Steps":"50,100"`)), `"HoldSeconds":"60"`, `"HoldSeconds":"0"`, 1))
	sweep(t, payload, faultsOfActions(t, slowed(30), payload))
}

// The same with a target that fails after the first step: whatever breaks
// besides, a run that says that traffic is back has brought it back.
func TestEveryFaultOfAShiftThatGoesBackEndsInTheTruth(t *testing.T) {
	payload := []byte(strings.Replace(string(shiftPayload(probed)), `"HoldSeconds":"60"`, `"HoldSeconds":"30"`, 1))
	for _, spec := range faultsOfActions(t, withShop(slowed(30)), payload) {
		if !strings.Contains(spec, "route53:") {
			continue
		}
		spec = "error@application:GetPage#6-," + spec
		result := runLab(t, Options{Payload: payload, Estate: withShop(slowed(30)), Faults: faultsOf(t, spec)})
		for _, lie := range lies(result, payload, blinding(faultsOf(t, spec))) {
			t.Errorf("%s: %s: %s", spec, result.Outcome, lie)
		}
		// A list that shows the start for ever is all the evidence that there is.
		blind := strings.HasSuffix(spec, "stale@route53:ListResourceRecordSets#2-")
		if !blind && strings.Contains(result.Cause, "traffic is back") && weightsAt(result.Final) != "us-east-1=100 us-west-2=0" {
			t.Errorf("%s: %s, with %s", spec, result.Cause, weightsAt(result.Final))
		}
		if result.Outcome == report.Succeeded {
			t.Errorf("%s: it succeeds with a target that fails", spec)
		}
	}
}
