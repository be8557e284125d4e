package lab

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/report"
)

const (
	controlWest = "arn:aws:route53-recovery-control::111122223333:controlpanel/0a1b2c3d4e5f/routingcontrol/usw2"
	controlEast = "arn:aws:route53-recovery-control::111122223333:controlpanel/0a1b2c3d4e5f/routingcontrol/use1"
)

// withTraffic adds what the samples that shift traffic want.
func withTraffic(e *Estate, goals map[string]bool) map[string]bool {
	_, west := e.routingCluster(controlWest)
	_, east := e.routingCluster(controlEast)
	goals["SetRoutingControl"] = west.State == "On" && east.State == "Off"
	goals["SetAccessPointRoutes"] = e.AccessPoints[0].Routes[1].Holds == 100 && e.AccessPoints[0].Routes[0].Holds == 0
	goals["SetEventSource"] = e.EventSources[1].State == "Enabled"
	goals["SetSchedule"] = true
	for _, s := range e.Schedules {
		goals["SetSchedule"] = goals["SetSchedule"] && s.Content["State"] == "ENABLED"
	}
	for _, r := range e.Rules {
		goals["SetSchedule"] = goals["SetSchedule"] && r.State == "ENABLED"
	}
	h := e.HealthChecks[0]
	goals["SetHealthCheck"] = h.Disabled && h.Inverted
	for _, x := range e.Alarms {
		if x.Region == "us-west-2" && x.Name == "dr-switch" {
			goals["SetSwitch"] = x.State == "ALARM" && x.says() == "ALARM"
		}
	}
	return goals
}

// oneOf makes a payload of one resource.
func oneOf(resourceType, parameters string) []byte {
	return fmt.Appendf(nil, `{"StatePayload":[{"layer":1,"resources":[{"resourceType":"%s","resourceName":"it","parameters":{%s}}]}]}`, resourceType, parameters)
}

// The four other regions of the cluster are gone, whichever is left.
func TestRoutingControlNeedsOneEndpointOfFive(t *testing.T) {
	for _, alive := range clusterRegions {
		var faults []string
		for _, region := range clusterRegions {
			// The functions themselves run in us-west-2, so that its endpoint alone
			// cannot be dead beside them.
			if region != alive && region != "us-west-2" {
				faults = append(faults, "dead@region:"+region)
			}
		}
		result := runLab(t, Options{Payload: sample(t, "failover-traffic.json"), Faults: faultsOf(t, strings.Join(faults, ","))})
		if result.Outcome != report.Succeeded {
			t.Errorf("alive %s: %s: %s", alive, result.Outcome, result.Cause)
		}
		untrue(t, result, sample(t, "failover-traffic.json"))
	}
}

// An endpoint that is written down wrongly shows in the plan, and not on the day
// when it is the one that is left.
func TestWrongClusterEndpointsAreTold(t *testing.T) {
	run := func(url func(region string) string) Result {
		var all []string
		for _, region := range clusterRegions {
			all = append(all, `"`+region+"="+url(region)+`"`)
		}
		return runLab(t, Options{Payload: oneOf("SetRoutingControl", `"ClusterEndpoints":[`+strings.Join(all, ",")+`],"RoutingControls":["`+controlWest+`"]`)})
	}
	right := func(region string) string {
		return "https://0a1b2c3d." + region + ".route53-recovery-cluster.example.test/v1"
	}
	if result := run(right); result.Outcome != report.Succeeded || told(result, "cannot be used") {
		t.Errorf("all right: %s: %s", result.Outcome, result.Cause)
	}
	made := run(func(region string) string {
		if region == "eu-west-1" {
			return "https://nosuch." + region + ".example.test/v1"
		}
		return right(region)
	})
	if made.Outcome != report.Succeeded || !told(made, "1 of 5 cluster endpoints cannot be used") || !told(made, "nosuch.eu-west-1") {
		t.Errorf("a host that is made up: %s: %+v", made.Outcome, made.Layers)
	}
	for name, url := range map[string]func(region string) string{
		"one URL for all": func(string) string { return right("us-east-1") },
		"rotated": func(region string) string {
			return right(clusterRegions[(slices.Index(clusterRegions, region)+1)%len(clusterRegions)])
		},
	} {
		if result := run(url); result.Outcome != report.FailedClean || !strings.Contains(result.Cause, "is not in") {
			t.Errorf("%s: %s: %s", name, result.Outcome, result.Cause)
		}
	}
}

// A whole application moves with nothing of the lost region, and its traffic
// does not move before it works.
func TestAnApplicationMovesWithoutTheLostRegion(t *testing.T) {
	payload := sample(t, "failover-application.json")
	result := runLab(t, Options{Payload: payload, Faults: faultsOf(t, "dead@region:us-east-1")})
	if result.Outcome != report.Succeeded {
		t.Fatalf("%s: %s", result.Outcome, result.Cause)
	}
	untrue(t, result, payload)
	never := runLab(t, Options{Payload: payload, Faults: faultsOf(t, "dead@region:us-east-1,error@application:GetPage")})
	if _, west := never.Final.routingCluster(controlWest); never.Outcome != report.FailedDirty || west.State != "Off" {
		t.Errorf("an application that never works: %s, its traffic %s", never.Outcome, west.State)
	}
	untrue(t, never, payload)
}

func TestSafetyRulesRefuse(t *testing.T) {
	const endpoints = `"ClusterEndpoints":"!Import dr-routing-endpoints",`
	off := endpoints + `"RoutingControlsOff":"` + controlEast + `"`
	result := runLab(t, Options{Payload: oneOf("SetRoutingControl", off)})
	if result.Outcome != report.Refused || len(result.Begun) != 0 || !strings.Contains(result.Cause, "safetyrule/one-region") {
		t.Errorf("%s with %v: %s", result.Outcome, result.Begun, result.Cause)
	}
	if n := result.APICalls["route53-recovery-cluster:UpdateRoutingControlStates"]; n != 1 {
		t.Errorf("a refusal was asked for %d times", n)
	}
	override := off + `,"SafetyRulesToOverride":"arn:aws:route53-recovery-control::111122223333:controlpanel/0a1b2c3d4e5f/safetyrule/one-region"`
	result = runLab(t, Options{Payload: oneOf("SetRoutingControl", override)})
	if _, east := result.Final.routingCluster(controlEast); result.Outcome != report.Succeeded || east.State != "Off" {
		t.Errorf("overridden: %s: %s", result.Outcome, result.Cause)
	}
	if result = runLab(t, Options{Payload: oneOf("SetRoutingControl", endpoints+`"RoutingControls":"`+controlEast+`x"`)}); result.Outcome != report.FailedClean || !strings.Contains(result.Cause, "use1x") {
		t.Errorf("no such control: %s: %s", result.Outcome, result.Cause)
	}
}

func TestEveryFaultOfATrafficShiftEndsInTheTruth(t *testing.T) {
	payload := sample(t, "failover-traffic.json")
	sweep(t, payload, faultsOfActions(t, slowed(30), payload))
}

// A check waits for the application, and tells the last result where it never
// works.
func TestCheckEndpointFollowsTheDatabase(t *testing.T) {
	const west = `"URL":"https://app.us-west-2.example.test/","BodyContains":"us-west-2","MinCertificateDays":"30"`
	both := edited(t, "failover-aurora-unplanned.json", func(doc map[string]any) {
		layers := doc["StatePayload"].([]any)
		check := map[string]any{"resourceType": "CheckEndpoint", "resourceName": "application", "parameters": map[string]any{
			"URL": "https://app.us-west-2.example.test/", "BodyContains": "us-west-2", "MinCertificateDays": "30"}}
		doc["StatePayload"] = append(layers, map[string]any{"layer": 9, "resources": []any{check}})
	})
	result := runLab(t, Options{Payload: both, Faults: faultsOf(t, "dead@region:us-east-1")})
	if result.Outcome != report.Succeeded {
		t.Fatalf("%s: %s", result.Outcome, result.Cause)
	}
	if r := result.Layers[1].Resources[0]; r.Changed || r.Status != report.Done || r.Polls < 3 {
		t.Errorf("%+v, want three probes and no change", r)
	}
	alone := runLab(t, Options{Payload: oneOf("CheckEndpoint", west)})
	if alone.Outcome != report.FailedClean || !strings.Contains(alone.Cause, "503") {
		t.Errorf("an application that never works: %s: %s", alone.Outcome, alone.Cause)
	}
	for parameters, why := range map[string]string{
		`"URL":"https://app.us-east-1.example.test/","MinCertificateDays":"61"`: "61 days",
		`"URL":"https://nowhere.example.test/"`:                                 "no such host",
		`"URL":"https://app.us-east-1.example.test/","BodyContains":"west"`:     "body",
	} {
		if result := runLab(t, Options{Payload: oneOf("CheckEndpoint", parameters)}); result.Outcome != report.FailedClean || !strings.Contains(result.Cause, why) {
			t.Errorf("%s: %s: %s", parameters, result.Outcome, result.Cause)
		}
	}
	if tcp := runLab(t, Options{Payload: oneOf("CheckEndpoint", `"URL":"tcp://app.us-west-2.example.test:443"`)}); tcp.Outcome != report.Succeeded {
		t.Errorf("a port that listens: %s: %s", tcp.Outcome, tcp.Cause)
	}
	dead := runLab(t, Options{Payload: sample(t, "check-application.json"), Faults: faultsOf(t, "dead@region:us-east-1")})
	if dead.Outcome != report.FailedClean || !strings.Contains(dead.Cause, "timeout") {
		t.Errorf("an application in a dead region: %s: %s", dead.Outcome, dead.Cause)
	}
}

func TestEveryFaultOfChecksEndsInTheTruth(t *testing.T) {
	payload := sample(t, "check-application.json")
	// Where the results of a layer cannot be read, a run says that it may have
	// changed all of it: of checks alone that is too careful.
	sweep(t, payload, slices.DeleteFunc(faultsOfActions(t, slowed(30), payload), func(spec string) bool {
		return strings.HasSuffix(spec, "@function:record-layer") || spec == "dead@region:us-west-2#10-"
	}))
}

func TestCheckHealthFollowsTheDatabase(t *testing.T) {
	const west = `"AlarmNames":"app,app-errors","TargetGroupArns":"!Import app-target-group"`
	ill := runLab(t, Options{Payload: oneOf("CheckHealth", west)})
	if ill.Outcome != report.FailedClean || !strings.Contains(ill.Cause, "ALARM") {
		t.Errorf("before the failover: %s: %s", ill.Outcome, ill.Cause)
	}
	moved := runLab(t, Options{Payload: sample(t, "failover-aurora-unplanned.json")})
	if well := runLab(t, Options{Payload: oneOf("CheckHealth", west), Estate: moved.Final}); well.Outcome != report.Succeeded || total(well.Mutations) != 0 {
		t.Errorf("after it: %s: %s", well.Outcome, well.Cause)
	}
	absent := runLab(t, Options{Payload: oneOf("CheckHealth", `"AlarmNames":"app,nope"`)})
	if absent.Outcome != report.FailedClean || !strings.Contains(absent.Cause, "nope") || absent.DurationSeconds > 60 {
		t.Errorf("an alarm that is not there: %s after %.0f s: %s", absent.Outcome, absent.DurationSeconds, absent.Cause)
	}
}

// The switch needs the recovery region alone; the control plane of Route 53
// stands in us-east-1.
func TestASwitchNeedsNothingOfTheLostRegion(t *testing.T) {
	dead := faultsOf(t, "dead@region:us-east-1")
	result := runLab(t, Options{Payload: oneOf("SetSwitch", `"AlarmName":"dr-switch","State":"ALARM"`), Faults: dead})
	if result.Outcome != report.Succeeded || result.DurationSeconds > 60 {
		t.Errorf("%s after %.0f s: %s", result.Outcome, result.DurationSeconds, result.Cause)
	}
	for _, call := range result.Log {
		if call.Region != "us-west-2" {
			t.Errorf("a call went to %s: %s", call.Region, call.Name)
		}
	}
	back := runLab(t, Options{Payload: oneOf("SetSwitch", `"AlarmName":"dr-switch","State":"OK"`), Estate: result.Final})
	if back.Outcome != report.Succeeded || total(back.Mutations) != 1 {
		t.Errorf("back: %s: %s", back.Outcome, back.Cause)
	}
	check := runLab(t, Options{Payload: oneOf("SetHealthCheck", `"HealthCheckId":"!Import app-use1-health-check","State":"Unhealthy"`), Faults: dead})
	if check.Outcome != report.FailedClean || !strings.Contains(check.Cause, "timeout") {
		t.Errorf("the health check: %s: %s", check.Outcome, check.Cause)
	}
}

func TestAnAlarmThatDoesNotKeepItsStateIsNoSwitch(t *testing.T) {
	estate := DefaultEstate()
	for _, x := range estate.Alarms {
		x.Missing = "missing"
	}
	result := runLab(t, Options{Payload: oneOf("SetSwitch", `"AlarmName":"dr-switch","State":"ALARM"`), Estate: estate})
	if result.Outcome != report.Refused || total(result.Mutations) != 0 {
		t.Errorf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
	}
}

// Somebody in a hurry has set the state of the alarm: it looks as wanted, and
// Route 53 has not moved.
func TestASwitchSetByHandIsSwitched(t *testing.T) {
	byHand := func() *Estate {
		e := DefaultEstate()
		for _, x := range e.Alarms {
			if x.Metric != nil && x.Region == "us-west-2" {
				x.State = AlarmRed
			}
		}
		return e
	}
	address := func(e *Estate) string {
		_, got := ask(t, NewAccount(e, NewClock(Epoch), 1, nil), "switched.shop.example.", dnsmessage.TypeA)
		return got
	}
	if got := address(byHand()); got != "192.0.2.30" {
		t.Fatalf("beforehand: %s", got)
	}
	estate := byHand()
	for run, puts := range []int{1, 0} {
		result := runLab(t, Options{Payload: sample(t, "failover-switch.json"), Estate: estate})
		if result.Outcome != report.Succeeded || result.Mutations["cloudwatch:PutMetricData"] != puts || told(result, "set by hand") != (puts > 0) {
			t.Errorf("run %d: %s with %v: %s", run+1, result.Outcome, result.Mutations, result.Cause)
		}
		if got := address(result.Final); got != "198.51.100.30" {
			t.Errorf("run %d: DNS answers %s", run+1, got)
		}
		estate = result.Final
	}
}

// A datapoint that is lost among others of its minute is sent again.
func TestADatapointThatDoesNotShowIsSentAgain(t *testing.T) {
	result := runLab(t, Options{Payload: oneOf("SetSwitch", `"AlarmName":"dr-switch","State":"ALARM"`), Faults: faultsOf(t, "stuck@cloudwatch:PutMetricData#1")})
	if result.Outcome != report.Succeeded || result.Mutations["cloudwatch:PutMetricData"] != 2 {
		t.Errorf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
	}
}

func TestHealthChecksAreForcedAndLetGo(t *testing.T) {
	estate := DefaultEstate()
	for _, step := range []struct {
		state              string
		disabled, inverted bool
	}{{"Unhealthy", true, true}, {"Healthy", true, false}, {"Normal", false, false}} {
		result := runLab(t, Options{Payload: oneOf("SetHealthCheck", `"HealthCheckId":"!Import app-use1-health-check","State":"`+step.state+`"`), Estate: estate})
		if h := result.Final.HealthChecks[0]; result.Outcome != report.Succeeded || h.Disabled != step.disabled || h.Inverted != step.inverted {
			t.Errorf("%s: %s with %+v: %s", step.state, result.Outcome, h, result.Cause)
		}
		estate = result.Final
	}
}

// The report of a run that forced an inverted check says how it was, and the
// plan of the way back that it would not be so again.
func TestAnInvertedHealthCheckFindsItsWayBack(t *testing.T) {
	estate := DefaultEstate()
	estate.HealthChecks[0].Inverted = true
	set := func(estate *Estate, more string) Result {
		return runLab(t, Options{Payload: oneOf("SetHealthCheck", `"HealthCheckId":"!Import app-use1-health-check",`+more), Estate: estate})
	}
	forced := set(estate, `"State":"Unhealthy"`)
	r := forced.Record.Layers[0].Resources[0]
	if forced.Outcome != report.Succeeded || r.Evidence["before"] != "disabled false, inverted true" || !strings.Contains(r.Message, "inverted true") || !told(forced, "the way back is Normal with NormallyInverted") {
		t.Errorf("%s: %+v", forced.Outcome, r)
	}
	if plain := set(forced.Final, `"State":"Normal"`); !told(plain, "say NormallyInverted") {
		t.Errorf("back without a word: %+v", plain.Layers)
	}
	if back := set(forced.Final, `"State":"Normal","NormallyInverted":"true"`); told(back, "NormallyInverted") || back.Final.HealthChecks[0].Disabled || !back.Final.HealthChecks[0].Inverted {
		t.Errorf("back: %+v", back.Layers)
	}
}

// A check of an application tells DNS whether that works: failover records move
// with it, by a database that takes writes, or a region that is lost.
func TestHealthChecksFollowTheirApplication(t *testing.T) {
	const old, other = "192.0.2.20", "198.51.100.20"
	estate := func() *Estate {
		e := DefaultEstate()
		for i, app := range e.Apps {
			e.HealthChecks[i].App = app.URL
		}
		return e
	}
	moved := runLab(t, Options{Payload: sample(t, "failover-aurora-unplanned.json"), Estate: estate()})
	nowhere := estate()
	nowhere.HealthChecks[0].App = "https://nowhere.example.test/"
	forced := estate()
	forced.HealthChecks[0].Disabled, forced.HealthChecks[0].Inverted = true, true
	for _, tt := range []struct {
		name   string
		estate *Estate
		faults string
		want   string
	}{
		{"it works", estate(), "", old},
		{"its database is secondary", moved.Final, "", other},
		{"a check that follows none", DefaultEstate(), "dead@region:us-east-1", old},
		{"its region is lost", estate(), "dead@region:us-east-1", other},
		{"its region will be lost", estate(), "dead@region:us-east-1#2-", old},
		{"the other region is lost", estate(), "dead@region:us-west-2", old},
		{"there is none at its URL", nowhere, "", other},
		{"it works, and the check is forced", forced, "", other},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := NewAccount(tt.estate, NewClock(Epoch), 1, faultsOf(t, tt.faults))
			for range 3 { // to ask uses no fault up
				if _, got := ask(t, a, "api.shop.example.", dnsmessage.TypeA); got != tt.want {
					t.Errorf("%s, want %s", got, tt.want)
				}
			}
		})
	}
}

// told reports whether the preflight said something of the first resource.
func told(result Result, what string) bool {
	return slices.ContainsFunc(result.Layers[0].Resources[0].Findings, func(f action.Finding) bool { return strings.Contains(f.Message, what) })
}

func TestEveryFaultOfHealthChecksEndsInTheTruth(t *testing.T) {
	payload := sample(t, "failover-health-check.json")
	sweep(t, payload, faultsOfActions(t, slowed(30), payload))
}

func TestEveryFaultOfASwitchEndsInTheTruth(t *testing.T) {
	payload := sample(t, "failover-switch.json")
	// A datapoint that CloudWatch fails to take without end may show minutes
	// later, for all that anybody knows: the run says so.
	sweep(t, payload, slices.DeleteFunc(faultsOfActions(t, slowed(30), payload), func(spec string) bool {
		return spec == "error@cloudwatch:PutMetricData" || spec == "error@cloudwatch:PutMetricData#2-"
	}))
}

// Several things of one entry are changed one after the other, and none waits
// for the one before.
func TestConsumersMoveOneAfterTheOther(t *testing.T) {
	estate := DefaultEstate()
	for i := range 4 {
		estate.EventSources = append(estate.EventSources, &EventSource{Region: "us-west-2", UUID: fmt.Sprintf("0a1b2c3d-2222-4000-8000-00000000000%d", i), Function: "orders-consumer", State: "Disabled"})
	}
	result := runLab(t, Options{Payload: oneOf("SetEventSource", `"Names":"orders-consumer","State":"On"`), Estate: estate})
	if result.Outcome != report.Succeeded || result.Mutations["lambda:UpdateEventSourceMapping"] != 5 || result.DurationSeconds > 45 {
		t.Fatalf("%s with %v after %.0f s: %s", result.Outcome, result.Mutations, result.DurationSeconds, result.Cause)
	}
	off := runLab(t, Options{Payload: oneOf("SetEventSource", `"Names":"orders-consumer","State":"Off"`), Estate: result.Final})
	for _, m := range off.Final.EventSources {
		if want := map[bool]string{true: "Disabled", false: "Enabled"}[m.Region == "us-west-2"]; m.State != want {
			t.Errorf("%s in %s is %s", m.UUID, m.Region, m.State)
		}
	}
}

// As many as a large estate has, named by function or one by one, within the
// time limit of the action: a second for each, and a proof of all at the end.
func TestHundredsOfConsumersMoveInMinutes(t *testing.T) {
	for name, many := range map[string]int{"by function": 270, "by id": 110} {
		estate, names := DefaultEstate(), "many"
		var ids []string
		for i := range many {
			ids = append(ids, fmt.Sprintf("0a1b2c3d-3333-4000-8000-%012d", i))
			estate.EventSources = append(estate.EventSources, &EventSource{Region: "us-west-2", UUID: ids[i], Function: "many", State: "Disabled"})
		}
		if name == "by id" {
			names = strings.Join(ids, ",")
		}
		result := runLab(t, Options{Payload: oneOf("SetEventSource", `"Names":"`+names+`","State":"On"`), Estate: estate})
		if result.Outcome != report.Succeeded || result.Mutations["lambda:UpdateEventSourceMapping"] != many || result.DurationSeconds > 2*float64(many) {
			t.Errorf("%s: %s with %v after %.0f s: %s", name, result.Outcome, result.Mutations, result.DurationSeconds, result.Cause)
		}
		for _, m := range result.Final.EventSources {
			if m.Function == "many" && m.State != "Enabled" {
				t.Errorf("%s: %s is %s", name, m.UUID, m.State)
			}
		}
	}
}

// A mapping that somebody deletes does not keep a function's others from moving;
// one that is named itself is missed.
func TestAMappingThatIsBeingDeletedHoldsNothingUp(t *testing.T) {
	estate := DefaultEstate()
	deleting := &EventSource{Region: "us-west-2", UUID: "0a1b2c3d-4444-4000-8000-000000000001", Function: "orders-consumer", State: "Deleting"}
	estate.EventSources = append(estate.EventSources, deleting)
	result := runLab(t, Options{Payload: oneOf("SetEventSource", `"Names":"orders-consumer","State":"On"`), Estate: estate})
	r := result.Record.Layers[0].Resources[0]
	if result.Outcome != report.Succeeded || total(result.Mutations) != 1 || r.Evidence[deleting.UUID] != "Deleting: left alone" {
		t.Errorf("%s with %v: %s, %v", result.Outcome, result.Mutations, result.Cause, r.Evidence)
	}
	named := runLab(t, Options{Payload: oneOf("SetEventSource", `"Names":"`+deleting.UUID+`","State":"On"`), Estate: estate})
	if named.Outcome != report.FailedClean || total(named.Mutations) != 0 || !strings.Contains(named.Cause, "Deleting") {
		t.Errorf("named itself: %s with %v: %s", named.Outcome, named.Mutations, named.Cause)
	}
}

// What an update of a schedule does not say is lost: nothing may be but a start
// in the past.
func TestASchedulesContentIsKept(t *testing.T) {
	result := runLab(t, Options{Payload: oneOf("SetSchedule", `"Schedules":"orders/orders-report","Rules":"default/orders-cleanup","State":"On"`)})
	if result.Outcome != report.Succeeded || total(result.Mutations) != 2 {
		t.Fatalf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
	}
	want := DefaultEstate().Schedules[1].Content
	want["State"] = "ENABLED"
	delete(want, "StartDate")
	if diff := cmp.Diff(want, result.Final.Schedules[1].Content); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

// A group is all schedules that are in it, of which a list gives a page.
func TestAGroupOfSchedulesIsTurnedOnAndOff(t *testing.T) {
	estate := DefaultEstate()
	for i := range 120 { // more than a page
		estate.Schedules = append(estate.Schedules, &Schedule{Region: "us-west-2", Group: "nightly", Name: fmt.Sprintf("job-%03d", i), Content: maps.Clone(estate.Schedules[1].Content)})
	}
	states := func(e *Estate, state string) (n int) {
		for _, s := range e.Schedules {
			if s.Content["State"] == state && s.Group == "nightly" {
				n++
			}
		}
		return n
	}
	on := runLab(t, Options{Payload: oneOf("SetSchedule", `"Schedules":"nightly/*","State":"On"`), Estate: estate})
	if on.Outcome != report.Succeeded || states(on.Final, "ENABLED") != 120 || on.Mutations["scheduler:UpdateSchedule"] != 120 || on.DurationSeconds > 300 {
		t.Fatalf("%s with %v after %.0f s: %s", on.Outcome, on.Mutations, on.DurationSeconds, on.Cause)
	}
	if on.Final.Schedules[1].Content["State"] != "DISABLED" {
		t.Error("a schedule of another group was turned on")
	}
	again := runLab(t, Options{Payload: oneOf("SetSchedule", `"Schedules":"nightly/*","State":"On"`), Estate: on.Final})
	if again.Outcome != report.Succeeded || total(again.Mutations) != 0 {
		t.Errorf("again: %s with %v: %s", again.Outcome, again.Mutations, again.Cause)
	}
	off := runLab(t, Options{Payload: oneOf("SetSchedule", `"Schedules":"nightly/*","State":"Off"`), Estate: on.Final})
	if off.Outcome != report.Succeeded || states(off.Final, "DISABLED") != 120 {
		t.Errorf("off: %s with %d of 120: %s", off.Outcome, states(off.Final, "DISABLED"), off.Cause)
	}
	none := runLab(t, Options{Payload: oneOf("SetSchedule", `"Schedules":"weekly/*","State":"On"`)})
	if none.Outcome != report.FailedClean || !strings.Contains(none.Cause, "weekly") {
		t.Errorf("no such group: %s: %s", none.Outcome, none.Cause)
	}
}

// What turning a rule off and on again would lose is not turned off.
func TestARuleOfManagementEventsStaysOn(t *testing.T) {
	estate := DefaultEstate()
	estate.Rules[1].State = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
	for state, want := range map[string]report.Outcome{"Off": report.Refused, "On": report.Succeeded} {
		result := runLab(t, Options{Payload: oneOf("SetSchedule", `"Rules":"orders-cleanup","State":"`+state+`"`), Estate: estate})
		if result.Outcome != want || total(result.Mutations) != 0 || result.Final.Rules[1].State != estate.Rules[1].State {
			t.Errorf("%s: %s with %v: %s", state, result.Outcome, result.Mutations, result.Cause)
		}
	}
}

func TestRulesOfAWSAreRefused(t *testing.T) {
	estate := DefaultEstate()
	estate.Rules[1].Manager = "states.amazonaws.com"
	result := runLab(t, Options{Payload: oneOf("SetSchedule", `"Rules":"orders-cleanup","State":"On"`), Estate: estate})
	if result.Outcome != report.Refused || total(result.Mutations) != 0 {
		t.Errorf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
	}
}

func TestEveryFaultOfConsumersEndsInTheTruth(t *testing.T) {
	payload := sample(t, "failover-consumers.json")
	sweep(t, payload, faultsOfActions(t, slowed(30), payload))
}
