package lab

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/report"
	"dr-orchestrator/internal/succession"
)

const (
	fencedPrimary  = "arn:aws:rds:us-east-1:111122223333:db:rds-mysql-instance-use1"
	servingReplica = "arn:aws:rds:us-west-2:111122223333:db:rds-mysql-instance-usw2"
)

// fenceOf is a payload with one fence.
func fenceOf(parameters string) []byte {
	return fmt.Appendf(nil, `{"StatePayload":[{"layer":1,"resources":[{"resourceType":"FenceOldPrimary","resourceName":"fence","parameters":{%s}}]}]}`, parameters)
}

const (
	anInstance = `"RDSInstanceIdentifier":"rds-mysql-instance-use1","PrimaryRegion":"us-east-1","SuccessorIdentifier":"rds-mysql-instance-usw2","IsolationSecurityGroupIds":"` + isolationGroup + `"`
	aCluster   = `"DBClusterIdentifier":"orders","PrimaryRegion":"us-east-1","SuccessorIdentifier":"orders-2","IsolationSecurityGroupIds":"` + isolationGroup + `"`
	aMember    = `"DBClusterIdentifier":"dbcluster-01","PrimaryRegion":"us-east-1","SuccessorIdentifier":"dbcluster-02","IsolationSecurityGroupIds":"` + isolationGroup + `"`
	aSingle    = `"RDSInstanceIdentifier":"single","PrimaryRegion":"us-east-1","SuccessorIdentifier":"single-2"`
)

// absent names a primary that is not there.
func absent(parameters string) string {
	return strings.Replace(parameters, "rds-mysql-instance-use1", "rds-no-instance-use1", 1)
}

// withCluster adds an Aurora cluster that is in no global database, and an
// instance without replicas, each with what takes over from it.
func withCluster() *Estate {
	e := DefaultEstate()
	e.Clusters = append(e.Clusters, &Cluster{Region: "us-east-1", ID: "orders", Engine: "aurora-mysql", Status: "available", Network: inGroup("sg-0a1b2c3d4e5f60002")},
		&Cluster{Region: "us-west-2", ID: "orders-2", Engine: "aurora-mysql", Status: "available", ClusterDetails: ClusterDetails{Source: "arn:aws:rds:us-east-1:111122223333:cluster:orders"}})
	e.Instances = append(e.Instances,
		&Instance{Region: "us-east-1", ID: "orders-1", Engine: "aurora-mysql", Status: "available", Cluster: "orders", Writer: true},
		&Instance{Region: "us-east-1", ID: "single", Engine: "mysql", Status: "available", Retention: 7, Network: inGroup("sg-0a1b2c3d4e5f60001"), InstanceSettings: InstanceSettings{Created: Epoch.AddDate(-1, 0, 0)}},
		&Instance{Region: "us-west-2", ID: "single-2", Engine: "mysql", Status: "available", Retention: 7, Network: tookOver("arn:aws:rds:us-east-1:111122223333:db:single"), InstanceSettings: InstanceSettings{Created: Epoch.AddDate(0, -6, 0)}})
	return e
}

// tookOver is what a promotion leaves on a replica of source.
func tookOver(source string) Network {
	return Network{Tags: map[string]string{succession.PromotedTag: succession.PromotedNote(source, Epoch.AddDate(0, -1, 0))}}
}

func fenceIn(r Result) report.Resource { return r.Record.Layers[0].Resources[0] }

// Whatever is told to be fenced takes no writes; and whatever could not be
// proved is told to be unknown.
func TestFences(t *testing.T) {
	const stop = `,"Method":"Stop"`
	for _, tt := range []struct {
		name, parameters, faults string
		outcome                  report.Outcome
		fence                    string // in the report
		serves                   bool   // in truth
	}{
		{"instance", anInstance, "", report.Succeeded, "fenced", false},
		{"instance, required", anInstance + `,"Required":"true"`, "", report.Succeeded, "fenced", false},
		{"instance, without a reboot: who was in stays in", anInstance + `,"Reboot":"false"`, "", report.Succeeded, "unknown", true},
		{"cluster", aCluster, "", report.Succeeded, "fenced", false},
		{"member of a global database", aMember, "", report.Succeeded, "fenced", false},
		{"instance, stopped", aSingle + stop, "", report.Succeeded, "fenced", false},
		{"cluster, stopped", aCluster + stop, "", report.Succeeded, "fenced", false},

		{"region dead", anInstance, "dead@region:us-east-1", report.Succeeded, "unknown", true},
		{"region dead, required", anInstance + `,"Required":"true"`, "dead@region:us-east-1", report.Refused, "", true},
		{"region dead, then alive", anInstance, "dead@region:us-east-1#1-6", report.Succeeded, "fenced", false},
		{"region dead, then alive too late", anInstance + `,"WaitSeconds":"5"`, "dead@region:us-east-1#1-40", report.Succeeded, "unknown", true},
		{"region dies on the way", anInstance, "dead@region:us-east-1#6-", report.Succeeded, "unknown", true},
		{"region dies on the way, required", anInstance + `,"Required":"true"`, "dead@region:us-east-1#6-", report.FailedDirty, "unknown", true},
		{"absent", absent(anInstance), "", report.Succeeded, "unknown", false},
		{"absent, required", absent(anInstance) + `,"Required":"true"`, "", report.FailedClean, "", false},
		{"throttled without end", anInstance, "throttle@rds:AddTagsToResource", report.Succeeded, "unknown", true},
		{"broken without end", anInstance, "error@rds:AddTagsToResource", report.Succeeded, "unknown", true},
		{"stuck", anInstance, "stuck@rds:ModifyDBInstance", report.Succeeded, "unknown", false},
		{"stuck, required", anInstance + `,"Required":"true"`, "stuck@rds:ModifyDBInstance", report.FailedDirty, "unknown", false},
		{"isolation cancelled", anInstance, "cancel@rds:ModifyDBInstance", report.Succeeded, "unknown", true},
		{"stopping what has replicas", anInstance + stop, "", report.Succeeded, "unknown", true},
		{"stopping what has replicas, required", anInstance + stop + `,"Required":"true"`, "", report.Refused, "unknown", true},
		{"stopping a member of a global database", aMember + stop + `,"Required":"true"`, "", report.Refused, "unknown", true},

		{"what takes over", `"RDSInstanceIdentifier":"rds-mysql-instance-usw2","PrimaryRegion":"us-west-2","SuccessorIdentifier":"rds-mysql-instance-usw2","IsolationSecurityGroupIds":"` + isolationGroup + `"`, "", report.Refused, "", false},
		{"what takes over, by stopping", `"RDSInstanceIdentifier":"rds-mysql-instance-usw2","PrimaryRegion":"us-west-2","SuccessorIdentifier":"rds-mysql-instance-usw2"` + stop, "", report.Refused, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			payload := fenceOf(tt.parameters)
			result := runLab(t, Options{Payload: payload, Estate: withCluster(), Faults: faultsOf(t, tt.faults)})
			got := fenceIn(result)
			if result.Outcome != tt.outcome {
				t.Errorf("%s: %s (%s)", result.Outcome, result.Cause, got.Message)
			}
			if told, _ := got.Evidence["fence"].(string); told != tt.fence {
				t.Errorf("the report says %q, want %q: %s", told, tt.fence, got.Message)
			}
			serving := slices.ContainsFunc(result.Final.Serving(), func(arn string) bool {
				for _, id := range []string{":db:rds-mysql-instance-use1", ":cluster:orders", ":cluster:dbcluster-01", ":db:single", ":db:rds-mysql-instance-usw2"} {
					if strings.HasSuffix(arn, id) && strings.Contains(tt.parameters, `"`+id[strings.LastIndex(id, ":")+1:]+`"`) {
						return true
					}
				}
				return false
			})
			if serving != tt.serves {
				t.Errorf("it serves: %t, want %t (%v)", serving, tt.serves, result.Final.Serving())
			}
			if got.Evidence["fence"] == "unknown" && got.Status == report.Done && !strings.Contains(got.Message, "two writers may serve") {
				t.Errorf("it is unknown, and the report does not warn: %s", got.Message)
			}
			if tt.fence == "fenced" {
				again := runLab(t, Options{Payload: payload, Estate: result.Final})
				if again.Outcome != report.Succeeded || total(again.Mutations) != 0 || fenceIn(again).Evidence["fence"] != "fenced" {
					t.Errorf("once more: %s with %v: %s", again.Outcome, again.Mutations, again.Cause)
				}
			}
			untrue(t, result, []byte("{}"))
		})
	}
}

// A dead region may cost the run no more than it was given.
func TestAFenceThatFailsCostsLittle(t *testing.T) {
	for wait, most := range map[string]float64{"0": 40, "60": 110} {
		result := runLab(t, Options{Payload: fenceOf(anInstance + `,"WaitSeconds":"` + wait + `"`), Faults: faultsOf(t, "dead@region:us-east-1")})
		if result.Outcome != report.Succeeded || result.DurationSeconds > most {
			t.Errorf("WaitSeconds %s: %s after %.0f s", wait, result.Outcome, result.DurationSeconds)
		}
	}
}

// What was fenced is given back as it was, and can be fenced again.
func TestReleaseGivesBack(t *testing.T) {
	for _, tt := range []struct{ name, parameters, method, release string }{
		{"isolated instance", anInstance, "Isolate", ""},
		{"isolated cluster", aCluster, "Isolate", ""},
		{"isolated member of a global database", aMember, "Isolate", ""},
		{"stopped instance", aSingle, "Stop", `,"AcceptTwoWriters":"true"`},
		{"stopped cluster", aCluster, "Stop", `,"AcceptTwoWriters":"true"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			estate := withCluster()
			before := estate.Serving()
			fence := fenceOf(tt.parameters + `,"Method":"` + tt.method + `"`)
			release := fenceOf(tt.parameters + `,"Method":"Release"` + tt.release)
			for range 2 {
				fenced := runLab(t, Options{Payload: fence, Estate: estate})
				if fenced.Outcome != report.Succeeded || slices.Equal(fenced.Final.Serving(), before) {
					t.Fatalf("%s: %s; serving: %v", fenced.Outcome, fenced.Cause, fenced.Final.Serving())
				}
				released := runLab(t, Options{Payload: release, Estate: fenced.Final})
				if released.Outcome != report.Succeeded || !slices.Equal(released.Final.Serving(), before) || fenceIn(released).Evidence["fence"] != "released" {
					t.Fatalf("%s: %s; serving: %v", released.Outcome, released.Cause, released.Final.Serving())
				}
				again := runLab(t, Options{Payload: release, Estate: released.Final})
				if again.Outcome != report.Succeeded || total(again.Mutations) != 0 {
					t.Errorf("once more: %s with %v", again.Outcome, again.Mutations)
				}
				estate = released.Final
			}
			if got := estate.instance("us-east-1", "rds-mysql-instance-use1"); !slices.Equal(got.SecurityGroups, []string{"sg-0a1b2c3d4e5f60001"}) {
				t.Errorf("groups %v", got.SecurityGroups)
			}
		})
	}
}

// A primary is given back only beside a successor that is seen to stand by.
// Whatever else is true, nothing is changed.
func TestAReleaseMakesNoSecondWriter(t *testing.T) {
	const accept = `,"AcceptTwoWriters":"true"`
	promoted := func(e *Estate) {
		i := e.instance(west, "rds-mysql-instance-usw2")
		i.Source, i.Replication, i.LagSeconds = "", "", nil
	}
	gone := func(e *Estate) {
		e.Instances = slices.DeleteFunc(e.Instances, func(i *Instance) bool { return i.ID == "rds-mysql-instance-usw2" })
	}
	shown := func(status string) func(*Estate) {
		return func(e *Estate) { e.instance(west, "rds-mysql-instance-usw2").Status = status }
	}
	tagged := func(successor string) func(*Estate) {
		return func(e *Estate) {
			e.instance(east, "rds-mysql-instance-use1").Tags["dr-orchestrator:fence-successor"] = successor
		}
	}
	detached := func(e *Estate) {
		g := e.global("dr-globaldb-cluster-mysql")
		g.Members = slices.DeleteFunc(g.Members, func(m GlobalMember) bool { return regionOf(m.ARN) == west })
		for _, i := range e.Instances {
			i.Writer = i.Writer || i.Region == west && i.Cluster == "dbcluster-02"
		}
	}
	for _, tt := range []struct {
		name, fence, more string
		since             func(*Estate) // since the fence
		faults            string
		outcome           report.Outcome
		tells             string
	}{
		{"a replica still", anInstance, "", nil, "", report.Succeeded, ""},
		{"a replica that replicates no more", anInstance, "", func(e *Estate) { e.instance(west, "rds-mysql-instance-usw2").Replication = "terminated" }, "", report.Succeeded, ""},
		{"a replica that has failed", anInstance, "", shown("failed"), "", report.Succeeded, ""},
		{"a replica that AWS is at work on", anInstance, "", shown("modifying"), "", report.FailedClean, "may be on its way"},
		{"a replica of an unknown status", anInstance, "", shown("something-new"), "", report.Refused, "may be on its way"},
		{"promoted", anInstance, "", promoted, "", report.Refused, "AcceptTwoWriters"},
		{"promoted, and that is accepted", anInstance, accept, promoted, "", report.Succeeded, ""},
		{"promoted, and that is not accepted", anInstance, `,"AcceptTwoWriters":"false"`, promoted, "", report.Refused, "AcceptTwoWriters"},
		{"a replica of something else", anInstance, "", func(e *Estate) {
			e.instance(west, "rds-mysql-instance-usw2").Source = "arn:aws:rds:us-east-1:111122223333:db:x"
		}, "", report.Refused, "AcceptTwoWriters"},
		{"gone, or under another name", anInstance, "", gone, "", report.Refused, "under another name"},
		{"gone, and that is accepted", anInstance, accept, gone, "", report.Succeeded, ""},
		{"no tag tells what it is", anInstance, "", tagged(""), "", report.Refused, "is not known"},
		{"the tag is of a cluster", anInstance, "", tagged("arn:aws:rds:us-west-2:111122223333:cluster:dbcluster-02"), "", report.Refused, "is not known"},
		{"the tag is of another account", anInstance, "", tagged("arn:aws:rds:us-west-2:444455556666:db:rds-mysql-instance-usw2"), "", report.Refused, "is not known"},
		{"not to be seen", anInstance, "", nil, "dead@region:us-west-2", report.Refused, "AcceptTwoWriters"},
		{"not to be seen, and that is accepted", anInstance, accept, nil, "dead@region:us-west-2", report.Succeeded, ""},
		{"a secondary still", aMember, "", nil, "", report.Succeeded, ""},
		{"detached", aMember, "", detached, "", report.Refused, "AcceptTwoWriters"},
		{"a secondary without instances", aMember, "", func(e *Estate) {
			e.Instances = slices.DeleteFunc(e.Instances, func(i *Instance) bool { return i.Region == west && i.Cluster == "dbcluster-02" })
		}, "", report.Refused, "AcceptTwoWriters"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			estate := runLab(t, Options{Payload: fenceOf(tt.fence)}).Final
			if tt.since != nil {
				tt.since(estate)
			}
			before := estate.Serving()
			result := runLab(t, Options{Payload: fenceOf(tt.fence + `,"Method":"Release"` + tt.more), Machine: catalog.Failback, Region: east, Estate: estate, Faults: faultsOf(t, tt.faults)})
			if result.Outcome != tt.outcome || !strings.Contains(result.Cause, tt.tells) {
				t.Errorf("%s: %s", result.Outcome, result.Cause)
			}
			if given := len(result.Final.Serving()) > len(before); given != (tt.outcome == report.Succeeded) || !given && len(result.Begun) > 0 {
				t.Errorf("%v; serving %v", result.Mutations, result.Final.Serving())
			}
		})
	}
}

// What takes no writes itself makes no second writer: its groups are given back
// beside one that does.
func TestAReleaseOfWhatTakesNoWrites(t *testing.T) {
	for _, tt := range []struct {
		name, fence string
		since       func(*Estate)
		groups      func(*Estate) []string
	}{
		{"a replica, since the roles were changed", anInstance, func(e *Estate) {
			old, next := e.instanceOf(fencedPrimary), e.instanceOf(servingReplica)
			old.Source, next.Source = servingReplica, ""
		}, func(e *Estate) []string { return e.instanceOf(fencedPrimary).SecurityGroups }},
		{"a secondary, since the roles were changed", aMember, func(e *Estate) {
			for n, m := range e.global("dr-globaldb-cluster-mysql").Members {
				e.global("dr-globaldb-cluster-mysql").Members[n].Writer = regionOf(m.ARN) == west
			}
			for _, i := range e.Instances {
				if i.Cluster == "dbcluster-01" || i.Cluster == "dbcluster-02" {
					i.Writer = i.Region == west
				}
			}
		}, func(e *Estate) []string {
			return e.cluster("arn:aws:rds:us-east-1:111122223333:cluster:dbcluster-01").SecurityGroups
		}},
	} {
		estate := DefaultEstate()
		before := tt.groups(estate)
		estate = runLab(t, Options{Payload: fenceOf(tt.fence), Estate: estate}).Final
		tt.since(estate)
		result := runLab(t, Options{Payload: fenceOf(tt.fence + `,"Method":"Release"`), Estate: estate})
		if got := tt.groups(result.Final); result.Outcome != report.Succeeded || !slices.Equal(got, before) {
			t.Errorf("%s: %s, groups %v: %s", tt.name, result.Outcome, got, result.Cause)
		}
	}
}

// What a release asks is what the last fence was for, and not the first.
func TestAReleaseAsksForTheLastSuccessor(t *testing.T) {
	second := strings.Replace(anInstance, "rds-mysql-instance-usw2", "orders-2", 1)
	estate := runLab(t, Options{Payload: fenceOf(anInstance)}).Final
	replica := *estate.instance(west, "rds-mysql-instance-usw2")
	estate.Instances = slices.DeleteFunc(estate.Instances, func(i *Instance) bool { return i.ID == replica.ID })
	replica.ID = "orders-2"
	estate.Instances = append(estate.Instances, &replica)
	planned := runLab(t, Options{Payload: []byte(strings.Replace(string(fenceOf(second)), `"StatePayload"`, `"Options":{"Mode":"plan"},"StatePayload"`, 1)), Estate: estate.Clone()})
	if next, _ := fenceIn(planned).Evidence["next"].(string); !strings.HasPrefix(next, "naming") {
		t.Errorf("the plan says %q", next)
	}
	fenced := runLab(t, Options{Payload: fenceOf(second), Estate: estate})
	if fenced.Outcome != report.Succeeded || fenceIn(fenced).Evidence["fence"] != "fenced" || total(fenced.Mutations) != 1 {
		t.Fatalf("%s with %v: %s", fenced.Outcome, fenced.Mutations, fenced.Cause)
	}
	over := fenced.Final.instance(west, "orders-2")
	over.Source, over.Replication, over.LagSeconds = "", "", nil
	if result := runLab(t, Options{Payload: fenceOf(anInstance + `,"Method":"Release"`), Estate: fenced.Final}); result.Outcome != report.Refused {
		t.Errorf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
	}
}

// A replica that does not replicate is no successor on a planned day: nobody is
// fenced for it. A failover goes on, for the loss of the primary shows the same.
func TestNobodyIsFencedForAReplicaThatDoesNotReplicate(t *testing.T) {
	for _, engine := range []string{"mysql", "postgres"} {
		for _, status := range []string{"error", "stopped", "terminated", "replication degraded", "replication stop point reached", ""} {
			estate := DefaultEstate()
			estate.instance(west, "rds-"+engine+"-instance-usw2").Replication = status
			home := runLab(t, Options{Payload: sample(t, "switchback-"+engine+".json"), Estate: estate.Clone()})
			if home.Outcome != report.Refused || len(home.Begun) != 0 {
				t.Errorf("%s %q: the switchback: %s with %v: %s", engine, status, home.Outcome, home.Mutations, home.Cause)
			}
			for _, layer := range home.Record.Layers[:2] { // the fence by itself, and the wait by itself
				if r := layer.Resources[0]; !slices.ContainsFunc(r.Findings, func(f action.Finding) bool {
					return f.Verdict == action.VerdictBlocked && strings.Contains(f.Message, "replication")
				}) {
					t.Errorf("%s %q: %s: %+v", engine, status, r.ResourceName, r.Findings)
				}
			}
			over := runLab(t, Options{Payload: sample(t, "failover-"+engine+".json"), Estate: estate})
			if over.Outcome != report.Succeeded || fenceIn(over).Evidence["fence"] != "fenced" {
				t.Errorf("%s %q: the failover: %s: %s", engine, status, over.Outcome, over.Cause)
			}
		}
	}
}

// Replication that ends after the fence was begun, perhaps by it, does not undo
// it: the same payload finds it done.
func TestAFenceStandsWhenReplicationEnds(t *testing.T) {
	required := fenceOf(anInstance + `,"Required":"true"`)
	for faults, outcome := range map[string]report.Outcome{"": report.Succeeded, "stuck@rds:RebootDBInstance": report.FailedDirty} {
		first := runLab(t, Options{Payload: required, Faults: faultsOf(t, faults)})
		if first.Outcome != outcome {
			t.Fatalf("%s: %s", first.Outcome, first.Cause)
		}
		first.Final.instance(west, "rds-mysql-instance-usw2").Replication = "error"
		primary := first.Final.instance(east, "rds-mysql-instance-use1")
		primary.Status = "available"
		first.Final.Operations = nil
		again := runLab(t, Options{Payload: required, Estate: first.Final})
		if again.Outcome != report.Succeeded || fenceIn(again).Evidence["fence"] != "fenced" {
			t.Errorf("%s: %s", again.Outcome, again.Cause)
		}
	}
}

// The groups from before stand in the report and on the instance.
func TestAFenceKeepsTheGroupsFromBefore(t *testing.T) {
	estate := DefaultEstate()
	estate.instance("us-east-1", "rds-mysql-instance-use1").SecurityGroups = []string{"sg-0b000000", "sg-0a000000"}
	result := runLab(t, Options{Payload: fenceOf(anInstance), Estate: estate})
	if got := fenceIn(result).Evidence["originalSecurityGroups"]; got != "sg-0a000000 sg-0b000000" {
		t.Errorf("the report says %v", got)
	}
	if got := result.Final.instance("us-east-1", "rds-mysql-instance-use1").Tags["dr-orchestrator:security-groups"]; got != "sg-0a000000 sg-0b000000" {
		t.Errorf("the tag says %q", got)
	}
}

// A run in plan mode tells what it would do, and changes nothing.
func TestAFenceIsPlanned(t *testing.T) {
	result := runLab(t, Options{Payload: []byte(strings.Replace(string(fenceOf(anInstance)), `"StatePayload"`, `"Options":{"Mode":"plan"},"StatePayload"`, 1))})
	if result.Outcome != report.Succeeded || len(result.Begun) != 0 {
		t.Errorf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
	}
	dead := runLab(t, Options{Payload: []byte(strings.Replace(string(fenceOf(anInstance)), `"StatePayload"`, `"Options":{"Disaster":"true"},"StatePayload"`, 1)), Faults: faultsOf(t, "dead@region:us-east-1")})
	findings := fenceIn(dead).Findings
	if dead.Outcome != report.Succeeded || len(findings) != 1 || findings[0].Verdict != "warning" {
		t.Errorf("%s: %+v", dead.Outcome, findings)
	}
}

// At no moment of a switchback by layers do two instances take writes.
func TestSwitchbackNeverHasTwoWriters(t *testing.T) {
	clock := NewClock(Epoch)
	a := NewAccount(DefaultEstate(), clock, 1, nil)
	var e *Execution
	both, neither := 0, 0
	clock.Run(func() {
		var err error
		if e, err = a.runs.start("us-west-2", MachineName("failover"), "switchback", sample(t, "switchback-replica.json")); err != nil {
			t.Error(err)
			return
		}
		for !e.Ended.After(e.Started) {
			a.settle()
			serving := a.Estate.Serving()
			old, fresh := slices.Contains(serving, fencedPrimary), slices.Contains(serving, servingReplica)
			switch {
			case old && fresh:
				both++
			case !old && !fresh:
				neither++
			}
			clock.Sleep(secondsOf(1))
		}
	})
	if both > 0 || neither == 0 {
		t.Errorf("two writers for %d s, none for %d s", both, neither)
	}
	if final := a.Estate.Serving(); slices.Contains(final, fencedPrimary) || !slices.Contains(final, servingReplica) {
		t.Errorf("in the end %v serve", final)
	}
}

// When the fence cannot be proved, nothing is promoted.
func TestSwitchbackDoesNotPromoteWithoutAFence(t *testing.T) {
	for _, faults := range []string{"stuck@rds:RebootDBInstance", "cancel@rds:ModifyDBInstance#1", "dead@region:us-east-1#8-", "error@rds:RebootDBInstance"} {
		result := runLab(t, Options{Payload: sample(t, "switchback-replica.json"), Faults: faultsOf(t, faults)})
		if result.Outcome != report.FailedDirty || result.Mutations["rds:PromoteReadReplica"] != 0 {
			t.Errorf("%s: %s with %v", faults, result.Outcome, result.Mutations)
		}
	}
}

func TestSwitchoverOfOracle(t *testing.T) {
	payload := sample(t, "failover-oracle.json")
	limited := []byte(strings.Replace(string(payload), `"SourceRegion"`, `"MaxReplicaLagSeconds":"1","SourceRegion"`, 1))
	replica := func(change func(*Instance)) *Estate {
		e := DefaultEstate()
		change(e.instance("us-west-2", "rds-oracle-instance-usw2"))
		return e
	}
	for _, tt := range []struct {
		name, faults string
		payload      []byte
		estate       *Estate
		outcome      report.Outcome
		tells        string
	}{
		{"done", "", payload, DefaultEstate(), report.Succeeded, ""},
		{"open read-only", "", payload, replica(func(i *Instance) { i.ReplicaMode = "open-read-only" }), report.Succeeded, ""},
		{"region of the primary dead", "dead@region:us-east-1", payload, DefaultEstate(), report.Refused, "PromoteRDSReadReplica"},
		{"lag above the limit", "", limited, DefaultEstate(), report.Refused, "MaxReplicaLagSeconds"},
		{"another engine", "", payload, replica(func(i *Instance) { i.Engine = "mysql" }), report.Refused, "payloads/switchback-replica.json"},
		{"no backups", "", payload, replica(func(i *Instance) { i.Retention = 0 }), report.Refused, "backups"},
		{"no replica", "", payload, replica(func(i *Instance) { i.Source, i.Replication = "", "" }), report.Refused, "no replica"},
		{"stuck", "stuck@rds:SwitchoverReadReplica", payload, DefaultEstate(), report.FailedDirty, ""},
		{"cancelled", "cancel@rds:SwitchoverReadReplica", payload, DefaultEstate(), report.FailedDirty, "cancelled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			result := runLab(t, Options{Payload: tt.payload, Estate: tt.estate, Faults: faultsOf(t, tt.faults)})
			if result.Outcome != tt.outcome || !strings.Contains(result.Cause, tt.tells) {
				t.Errorf("%s: %s", result.Outcome, result.Cause)
			}
			untrue(t, result, tt.payload)
		})
	}
}

// Every call of the two, lost, broken, killed and so on in turn.
func TestEveryFaultOfAFenceEndsInTheTruth(t *testing.T) {
	for _, name := range []string{"switchback-replica.json", "failover-oracle.json"} {
		payload := sample(t, name)
		sweep(t, payload, faultsOfActions(t, slowed(30), payload))
	}
	best := []byte(strings.Replace(string(sample(t, "switchback-replica.json")), `"Required": "true"`, `"Required": "false"`, 1))
	// Most of what it shares with a required one has been shown by that.
	sweep(t, best, slices.DeleteFunc(faultsOfActions(t, slowed(30), best), func(spec string) bool {
		return !slices.ContainsFunc([]string{"lost@", "timeout@", "kill@", "dead@"}, func(kind string) bool { return strings.HasPrefix(spec, kind) })
	}))
}

// Who takes writes in the default estate, and what ends that.
func TestServing(t *testing.T) {
	all := []string{
		fencedPrimary, "arn:aws:rds:us-east-1:111122223333:db:rds-postgres-instance-use1", "arn:aws:rds:us-east-1:111122223333:db:rds-oracle-instance-use1",
		"arn:aws:rds:us-east-1:111122223333:cluster:dbcluster-01", "arn:aws:rds:us-east-1:111122223333:cluster:dbcluster-postgres-01",
	}
	closed := Network{SecurityGroups: []string{isolationGroup}}
	for _, tt := range []struct {
		name   string
		change func(e *Estate)
		ends   string
	}{
		{"nothing", func(*Estate) {}, ""},
		{"stopped", func(e *Estate) { e.instanceOf(fencedPrimary).Status = "stopped" }, all[0]},
		{"isolated", func(e *Estate) { e.instanceOf(fencedPrimary).Network = closed }, all[0]},
		{"isolated, and somebody is connected", func(e *Estate) { n := closed; n.Connected = true; e.instanceOf(fencedPrimary).Network = n }, ""},
		{"one open group is enough", func(e *Estate) {
			e.instanceOf(fencedPrimary).SecurityGroups = []string{isolationGroup, "sg-0a000000"}
		}, ""},
		{"a replica", func(e *Estate) { e.instanceOf(fencedPrimary).Source = servingReplica }, all[0]},
		{"a cluster isolated", func(e *Estate) { e.cluster(all[3]).Network = closed }, all[3]},
		{"a cluster's writer rebooting", func(e *Estate) {
			e.instance("us-east-1", "dbcluster-01-use1-instance-1").Status = "rebooting"
		}, all[3]},
		{"a secondary", func(e *Estate) { e.global("dr-globaldb-cluster-mysql").Members[0].Writer = false }, all[3]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := DefaultEstate()
			tt.change(e)
			want := slices.DeleteFunc(slices.Clone(all), func(arn string) bool { return arn == tt.ends })
			if got := e.Serving(); !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}
