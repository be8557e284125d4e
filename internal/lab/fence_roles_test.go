package lab

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/report"
)

// goes runs the legs of a cycle and gives the estate after them.
func goes(t *testing.T, estate *Estate, legs ...leg) *Estate {
	t.Helper()
	for _, l := range legs {
		result := runLab(t, Options{Payload: l.payload, Machine: l.machine, Region: l.region, Estate: estate, Faults: faultsOf(t, l.faults)})
		if result.Outcome != report.Succeeded {
			t.Fatalf("%s: %s: %s", l.name, result.Outcome, result.Cause)
		}
		estate = result.Final
	}
	return estate
}

// A payload that is right on one day fences the database that serves on
// another. At every place of a cycle, each payload that fences either ends with
// one writer, or is refused with nothing changed.
func TestAPayloadInTheWrongPlaceFencesNobody(t *testing.T) {
	for _, engine := range []string{"mysql", "postgres"} {
		payload := func(way string) []byte { return sample(t, way+"-"+engine+".json") }
		of := []string{"db:rds-" + engine + "-instance-us"}
		over := leg{"failover", catalog.Failover, west, "dead@region:" + east, payload("failover"), true}
		again := leg{"failover again", catalog.Failover, west, "", payload("failover"), true}
		back := leg{"failback", catalog.Failback, east, "", payload("failback"), true}
		home := leg{"switchback", catalog.Failback, east, "", payload("switchback"), true}
		protect := leg{"failback the other way", catalog.Failback, west, "", payload("failback"), true}
		for _, tt := range []struct {
			after  string
			legs   []leg
			refuse []string // way and region
		}{
			{"nothing", nil, []string{"failover us-east-1", "switchback us-east-1"}},
			{"failover", []leg{over}, []string{"failover us-east-1", "switchback us-east-1"}},
			{"failover and fence", []leg{over, again}, []string{"failover us-east-1", "switchback us-east-1"}},
			{"failback", []leg{over, again, back}, []string{"failover us-west-2", "switchback us-west-2"}},
			{"switchback", []leg{over, again, back, home}, []string{"failover us-west-2", "switchback us-west-2"}},
			{"the cycle", []leg{over, again, back, home, protect}, []string{"failover us-east-1", "switchback us-east-1"}},
		} {
			t.Run(engine+" after "+tt.after, func(t *testing.T) {
				estate := goes(t, DefaultEstate(), tt.legs...)
				for _, way := range []string{"failover", "switchback"} {
					for _, region := range []string{east, west} {
						run := way + " " + region
						result := runLab(t, Options{Payload: payload(way), Machine: catalog.Failback, Region: region, Estate: estate.Clone()})
						serving := writers(result.Final, of)
						if slices.Contains(tt.refuse, run) {
							if result.Outcome != report.Refused || len(result.Begun) != 0 || !slices.Equal(serving, writers(estate, of)) {
								t.Errorf("%s: %s with %v, serving %v: %s", run, result.Outcome, result.Mutations, serving, result.Cause)
							}
							continue
						}
						if result.Outcome != report.Succeeded || len(serving) != 1 || !strings.Contains(serving[0], region) {
							t.Errorf("%s: %s, serving %v: %s", run, result.Outcome, serving, result.Cause)
						}
					}
				}
			})
		}
	}
}

// What takes over has to be there, before anything else is asked.
func TestAFenceWantsItsSuccessor(t *testing.T) {
	for _, tt := range []struct {
		name, from, to string
		faults         string
		outcome        report.Outcome
	}{
		{"there", "", "", "", report.Succeeded},
		{"absent", "rds-mysql-instance-usw2", "rds-no-instance-usw2", "", report.Refused},
		{"absent, the primary's region dead", "rds-mysql-instance-usw2", "rds-no-instance-usw2", "dead@region:us-east-1", report.Refused},
		{"a replica of something else", "rds-mysql-instance-usw2", "rds-postgres-instance-usw2", "", report.Refused},
		{"not readable", "", "", "dead@region:us-west-2#1-200", report.FailedClean},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parameters := anInstance
			if tt.from != "" {
				parameters = strings.Replace(parameters, tt.from, tt.to, 1)
			}
			result := runLab(t, Options{Payload: fenceOf(parameters), Faults: faultsOf(t, tt.faults)})
			if result.Outcome != tt.outcome || tt.outcome != report.Succeeded && len(result.Begun) != 0 {
				t.Errorf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
			}
		})
	}
}

// A fence is told only behind groups that were seen to let nobody in.
func TestAFenceLooksAtTheRules(t *testing.T) {
	const everyday = "sg-0a1b2c3d4e5f60001"
	required := anInstance + `,"Required":"true"`
	for _, tt := range []struct {
		name, parameters string
		change           func(*Estate)
		faults           string
		outcome          report.Outcome
		fence            string
	}{
		{"closed", anInstance, nil, "", report.Succeeded, "fenced"},
		{"a rule", anInstance, func(e *Estate) { e.InboundRules = map[string][]string{isolationGroup: {"0.0.0.0/0"}} }, "", report.Refused, ""},
		{"a rule that names the group itself", anInstance, func(e *Estate) { e.InboundRules = map[string][]string{isolationGroup: {isolationGroup}} }, "", report.Refused, ""},
		{"its own group of every day", strings.ReplaceAll(anInstance, isolationGroup, everyday), nil, "", report.Refused, ""},
		{"its own group of every day, which has no rule", strings.ReplaceAll(anInstance, isolationGroup, everyday), func(e *Estate) { e.InboundRules = map[string][]string{everyday: {}} }, "", report.Refused, ""},
		{"one of two is open", strings.ReplaceAll(anInstance, isolationGroup, isolationGroup+","+everyday), nil, "", report.Refused, ""},
		{"a group that is not there", strings.ReplaceAll(anInstance, isolationGroup, "sg-0c105ed0000000009"), nil, "", report.Succeeded, "unknown"},
		{"a group that is not there, required", strings.ReplaceAll(required, isolationGroup, "sg-0c105ed0000000009"), nil, "", report.FailedClean, ""},
		{"rules that cannot be read", anInstance, nil, "error@ec2:DescribeSecurityGroups", report.Succeeded, "unknown"},
		{"rules that cannot be read, required", required, nil, "error@ec2:DescribeSecurityGroups", report.Refused, ""},
		{"rules that can be read after a while", anInstance, nil, "error@ec2:DescribeSecurityGroups#1-6", report.Succeeded, "fenced"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			estate := DefaultEstate()
			if tt.change != nil {
				tt.change(estate)
			}
			result := runLab(t, Options{Payload: fenceOf(tt.parameters), Estate: estate, Faults: faultsOf(t, tt.faults)})
			told, _ := fenceIn(result).Evidence["fence"].(string)
			if result.Outcome != tt.outcome || tt.fence != "" && told != tt.fence {
				t.Errorf("%s, fence %q: %s", result.Outcome, told, result.Cause)
			}
			if tt.fence != "fenced" && (len(result.Begun) != 0 || told == "fenced") {
				t.Errorf("%v, fence %q", result.Mutations, told)
			}
		})
	}
}

// A group that is opened after the isolation takes the proof away.
func TestAFenceBehindAGroupThatWasOpenedIsNone(t *testing.T) {
	fenced := runLab(t, Options{Payload: fenceOf(anInstance)}).Final
	fenced.InboundRules = map[string][]string{isolationGroup: {"10.0.0.0/8"}}
	result := runLab(t, Options{Payload: fenceOf(anInstance), Estate: fenced})
	if result.Outcome != report.Refused || !strings.Contains(result.Cause, "inbound rules") {
		t.Errorf("%s: %s", result.Outcome, result.Cause)
	}
}

// However often and by whichever groups it is fenced, a release gives back the
// groups from before the first fence.
func TestAFenceByOtherGroupsKeepsTheFirstGroups(t *testing.T) {
	const another = "sg-0c105ed0000000002"
	estate := DefaultEstate()
	estate.ClosedGroups = append(estate.ClosedGroups, another)
	before := estate.Serving()
	first, second := fenceOf(anInstance), fenceOf(strings.ReplaceAll(anInstance, isolationGroup, another))
	for _, begun := range []string{"", "cancel@rds:RebootDBInstance"} {
		middle := runLab(t, Options{Payload: first, Estate: estate.Clone(), Faults: faultsOf(t, begun)}).Final
		again := runLab(t, Options{Payload: second, Estate: middle})
		primary := again.Final.instance(east, "rds-mysql-instance-use1")
		if again.Outcome != report.Succeeded || fenceIn(again).Evidence["fence"] != "fenced" || !slices.Equal(primary.SecurityGroups, []string{another}) {
			t.Fatalf("%s, groups %v: %s", again.Outcome, primary.SecurityGroups, again.Cause)
		}
		if got := primary.Tags["dr-orchestrator:security-groups"]; got != "sg-0a1b2c3d4e5f60001" {
			t.Errorf("the tag keeps %q", got)
		}
		released := runLab(t, Options{Payload: fenceOf(anInstance + `,"Method":"Release"`), Estate: again.Final})
		if got := released.Final.Serving(); released.Outcome != report.Succeeded || !slices.Equal(got, before) {
			t.Errorf("%s: %v serve: %s", released.Outcome, got, released.Cause)
		}
	}
}

// A replica that needs no promotion may be any database: the plan and the
// report warn of it.
func TestAPromotionThatIsNotNeededWarns(t *testing.T) {
	over := goes(t, DefaultEstate(), leg{"failover", catalog.Failover, west, "dead@region:" + east, sample(t, "failover-mysql.json"), true})
	for _, mode := range []string{"plan", "run"} {
		var doc map[string]any
		if err := json.Unmarshal(sample(t, "failover-mysql.json"), &doc); err != nil {
			t.Fatal(err)
		}
		doc["Options"] = map[string]any{"Mode": mode}
		payload, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range []*Estate{DefaultEstate(), over} {
			result := runLab(t, Options{Payload: payload, Estate: e.Clone()})
			promotion := result.Record.Layers[1].Resources[0]
			if warns := strings.Contains(fmt.Sprint(promotion.Findings), "was promoted before, at "); result.Outcome != report.Succeeded || warns != (e == over) {
				t.Errorf("%s: %s: %+v", mode, result.Outcome, promotion.Findings)
			}
		}
	}
}

// A cluster that serves since a detach is not fenced for the one that it left,
// fenced or not, nor for that one under the name that it is kept by.
func TestAClusterThatServesIsNotFencedForTheOldOne(t *testing.T) {
	detach := sample(t, "failover-aurora-detach.json")
	over := leg{"failover", catalog.Failover, west, "dead@region:" + east, detach, true}
	again := leg{"failover again", catalog.Failover, west, "", detach, true}
	back := leg{"failback", catalog.Failback, east, "", sample(t, "failback-aurora-mysql.json"), true}
	serving := fenceOf(`"DBClusterIdentifier":"dbcluster-02","PrimaryRegion":"us-west-2","SuccessorIdentifier":"dbcluster-01","IsolationSecurityGroupIds":"` + isolationGroup + `"`)
	keptFor := []byte(strings.Replace(string(serving), `"dbcluster-01"`, `"dbcluster-01-old-202503010930"`, 1))
	for _, tt := range []struct {
		name    string
		legs    []leg
		payload []byte
		outcome report.Outcome
	}{
		{"detached", []leg{over}, serving, report.Refused},
		{"detached and fenced", []leg{over, again}, serving, report.Refused},
		{"replaced, for the old one", []leg{over, back}, keptFor, report.Refused},
		{"replaced, for the old one that is fenced", []leg{over, again, back}, keptFor, report.Refused},
		{"replaced, for its secondary", []leg{over, again, back}, serving, report.Succeeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			estate := goes(t, DefaultEstate(), tt.legs...)
			result := runLab(t, Options{Payload: tt.payload, Machine: catalog.Failback, Region: east, Estate: estate})
			if result.Outcome != tt.outcome || tt.outcome == report.Refused && len(result.Begun) != 0 {
				t.Errorf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
			}
		})
	}
}
