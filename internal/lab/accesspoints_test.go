package lab

import (
	"fmt"
	"strings"
	"testing"

	"dr-orchestrator/internal/report"
)

const accessPointARN = "arn:aws:s3::111122223333:accesspoint/m0a1b2c3d4e5f.mrap"

// routesPayload moves the files of the estate to us-west-2.
func routesPayload(more string) []byte {
	return oneOf("SetAccessPointRoutes", `"AccessPoint":"`+accessPointARN+`","ActiveRegions":"us-west-2","PassiveRegions":"us-east-1"`+more)
}

const heldAndProbed = `,"HoldSeconds":"60","Probe":"https://shop.us-west-2.example/health"`

// dialsAt tells what requests meet.
func dialsAt(e *Estate) string {
	var all []string
	for _, r := range e.accessPoint(accessPointARN).Routes {
		all = append(all, fmt.Sprintf("%s=%d", r.Region, r.Holds))
	}
	return strings.Join(all, " ")
}

const (
	filesEast = "us-east-1=100 us-west-2=0"
	filesWest = "us-east-1=0 us-west-2=100"
)

// An entry is done when the routes hold, which is after an endpoint shows them:
// with a single one that answers as well, which shows them at once.
func TestAccessPointRoutesAreDoneWhenTheyHold(t *testing.T) {
	payload := sample(t, "failover-access-point.json")
	for _, dead := range [][]string{
		nil, {"us-east-1"}, {"us-east-1", "eu-west-1", "ap-northeast-1", "ap-southeast-2"},
		{"eu-west-1", "ap-northeast-1", "ap-southeast-2"}, {"us-east-1", "ap-northeast-1", "ap-southeast-2"},
	} {
		var faults []string
		for _, region := range dead {
			faults = append(faults, "dead@region:"+region)
		}
		result := runLab(t, Options{Payload: payload, Faults: faultsOf(t, strings.Join(faults, ","))})
		if result.Outcome != report.Succeeded || dialsAt(result.Final) != filesWest || total(result.Mutations) != 1 {
			t.Errorf("dead %v: %s with %s after %v: %s", dead, result.Outcome, dialsAt(result.Final), result.Mutations, result.Cause)
		}
		if result.DurationSeconds > 180 {
			t.Errorf("dead %v: the run took %.0f s", dead, result.DurationSeconds)
		}
		untrue(t, result, payload)
	}
}

func TestAccessPointRoutesGoOverAndBack(t *testing.T) {
	payload, estate := sample(t, "failover-access-point.json"), DefaultEstate()
	for _, leg := range []struct{ region, dials string }{{"us-west-2", filesWest}, {"us-east-1", filesEast}} {
		for run, calls := range []int{1, 0} {
			result := runLab(t, Options{Payload: payload, Estate: estate, Region: leg.region}) // it imports the sides of the region that it runs in
			if estate = result.Final; result.Outcome != report.Succeeded || dialsAt(estate) != leg.dials || total(result.Mutations) != calls {
				t.Errorf("to %s, run %d: %s with %s after %v: %s", leg.region, run+1, result.Outcome, dialsAt(estate), result.Mutations, result.Cause)
			}
		}
	}
}

func TestWhatAccessPointRoutesRefuse(t *testing.T) {
	with := func(parameters string) []byte {
		return oneOf("SetAccessPointRoutes", `"AccessPoint":"`+accessPointARN+`",`+parameters)
	}
	for _, tt := range []struct {
		name    string
		payload []byte
		dials   string
		want    string // in the cause; empty: it succeeds
	}{
		{"both active", with(`"ActiveRegions":"us-east-1,us-west-2"`), "us-east-1=100 us-west-2=100", ""},
		{"as it is", with(`"PassiveRegions":"us-west-2"`), filesEast, ""},
		{"nobody is left", with(`"PassiveRegions":"us-east-1"`), filesEast, "no region would be active"},
		{"no such region", with(`"ActiveRegions":"eu-west-1"`), filesEast, "no bucket in eu-west-1"},
		{"no such region to be passive", with(`"ActiveRegions":"us-west-2","PassiveRegions":"eu-west-1"`), filesEast, "no bucket in eu-west-1"},
		{"no such region after a hold", with(`"ActiveRegions":"us-west-2","PassiveRegions":"us-east-1,eu-west-1","HoldSeconds":"1"`), filesEast, "no bucket in eu-west-1"},
		{"no such access point", []byte(strings.ReplaceAll(string(routesPayload("")), "m0a1", "m0a2")), filesEast, "does not exist"},
		{"no region", with(`"HoldSeconds":"0"`), filesEast, "no region is named"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			result := runLab(t, Options{Payload: tt.payload})
			told := result.Cause + fmt.Sprint(result.Problems)
			if dialsAt(result.Final) != tt.dials || !strings.Contains(told, tt.want) || (result.Outcome == report.Succeeded) != (tt.want == "") {
				t.Errorf("%s with %s: %s", result.Outcome, dialsAt(result.Final), told)
			}
			if tt.want != "" && total(result.Mutations) != 0 {
				t.Errorf("refused, and called %v", result.Mutations)
			}
		})
	}
}

func TestAccessPointRoutesGoBackWhenTheTargetFails(t *testing.T) {
	for _, tt := range []struct {
		name, faults, dials string
		outcome             report.Outcome
		calls               int
		cause               string
	}{
		{"always answers", "", filesWest, report.Succeeded, 2, ""},
		{"misses twice in a row", "error@application:GetPage#6-7", filesWest, report.Succeeded, 2, ""},
		{"fails in the middle", "error@application:GetPage#6-", filesEast, report.FailedDirty, 2, "routes are back"},
		{"fails for a while", "error@application:GetPage#6-8", filesEast, report.FailedDirty, 2, "routes are back"},
		{"fails in the middle, the call back is lost", "error@application:GetPage#6-,lost@s3:SubmitMultiRegionAccessPointRoutes#2", filesEast, report.FailedDirty, 3, "routes are back"}, // a second endpoint is asked
		{"never answers", "error@application:GetPage", filesEast, report.Refused, 0, "no route was changed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			result := runLab(t, Options{Payload: routesPayload(heldAndProbed), Estate: withShop(DefaultEstate()), Faults: faultsOf(t, tt.faults)})
			if result.Outcome != tt.outcome || dialsAt(result.Final) != tt.dials || total(result.Mutations) != tt.calls || !strings.Contains(result.Cause, tt.cause) {
				t.Errorf("%s with %s after %v, want %s with %s: %s", result.Outcome, dialsAt(result.Final), result.Mutations, tt.outcome, tt.dials, result.Cause)
			}
			untrue(t, result, routesPayload(heldAndProbed))
		})
	}
}

// Both sides are active for as long as was asked for, from when both hold.
func TestAccessPointRoutesAreHeld(t *testing.T) {
	result := runLab(t, Options{Payload: routesPayload(`,"HoldSeconds":"60"`)})
	var at []float64
	for _, call := range result.Log {
		if call.Name == "s3:SubmitMultiRegionAccessPointRoutes" {
			at = append(at, call.Time.Sub(Epoch).Seconds())
		}
	}
	if result.Outcome != report.Succeeded || len(at) != 2 || at[1]-at[0] < 180 || at[1]-at[0] > 200 {
		t.Errorf("%s with calls at %v, want 180 to 200 s between two: %s", result.Outcome, at, result.Cause)
	}
}

// A run that begins between the two steps holds anew and then goes on.
func TestAccessPointRoutesGoOnBetweenTheSteps(t *testing.T) {
	estate := DefaultEstate()
	west := estate.accessPoint(accessPointARN).Routes[1]
	west.Dial, west.Holds = 100, 100
	result := runLab(t, Options{Payload: routesPayload(`,"HoldSeconds":"60"`), Estate: estate})
	if result.Outcome != report.Succeeded || dialsAt(result.Final) != filesWest || total(result.Mutations) != 1 || result.DurationSeconds < 180 {
		t.Errorf("%s with %s after %v in %.0f s: %s", result.Outcome, dialsAt(result.Final), result.Mutations, result.DurationSeconds, result.Cause)
	}
	untrue(t, result, routesPayload(`,"HoldSeconds":"60"`))
}

func TestEveryFaultOfAccessPointRoutesEndsInTheTruth(t *testing.T) {
	for _, payload := range [][]byte{sample(t, "failover-access-point.json"), routesPayload(`,"HoldSeconds":"30"`)} {
		sweep(t, payload, faultsOfActions(t, slowed(30), payload))
	}
}

// The same with a target that fails after the first step: whatever breaks
// besides, a run that says that the routes are back has brought them back.
func TestEveryFaultOfAccessPointRoutesThatGoBackEndsInTheTruth(t *testing.T) {
	payload := routesPayload(heldAndProbed)
	for _, spec := range faultsOfActions(t, withShop(slowed(30)), payload) {
		if !strings.Contains(spec, "AccessPointRoutes") {
			continue
		}
		spec = "error@application:GetPage#6-," + spec
		result := runLab(t, Options{Payload: payload, Estate: withShop(slowed(30)), Faults: faultsOf(t, spec)})
		for _, lie := range lies(result, payload, blinding(faultsOf(t, spec))) {
			t.Errorf("%s: %s: %s", spec, result.Outcome, lie)
		}
		if strings.Contains(result.Cause, "routes are back") && dialsAt(result.Final) != filesEast {
			t.Errorf("%s: %s, with %s", spec, result.Cause, dialsAt(result.Final))
		}
		if result.Outcome == report.Succeeded && dialsAt(result.Final) != filesWest {
			t.Errorf("%s: it succeeds with %s", spec, dialsAt(result.Final))
		}
	}
}
