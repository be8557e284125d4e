package lab

import (
	"fmt"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/report"
)

// The engines of the default estate, by the names of their things.
var engines = []struct{ name, global, east, west string }{
	{"mysql", "dr-globaldb-cluster-mysql", "dbcluster-01", "dbcluster-02"},
	{"postgres", "dr-globaldb-cluster-postgres", "dbcluster-postgres-01", "dbcluster-postgres-02"},
}

// ofEngine turns a sample about MySQL into one about an engine.
func ofEngine(payload []byte, engine string) []byte {
	return []byte(strings.ReplaceAll(string(payload), "dr-globaldb-cluster-mysql", "dr-globaldb-cluster-"+engine))
}

// auroraBack is the sample with further parameters.
func auroraBack(t testing.TB, engine string, parameters map[string]any) []byte {
	t.Helper()
	return ofEngine(edited(t, "failback-aurora.json", func(doc map[string]any) {
		r := doc["StatePayload"].([]any)[0].(map[string]any)["resources"].([]any)[0].(map[string]any)
		maps.Copy(r["parameters"].(map[string]any), parameters)
	}), engine)
}

// deleting are the parameters of the way back that deletes the old primary.
var deleting = map[string]any{"OldPrimary": "Delete", "LiftDeletionProtection": "true"}

// lostAndBack is the estate after a failover while the primary's region was
// dead, which answers again.
func lostAndBack(t testing.TB, engine, sampleName string) *Estate {
	t.Helper()
	result := runLab(t, Options{Payload: ofEngine(sample(t, sampleName), engine), Faults: faultsOf(t, "dead@region:"+east)})
	if result.Outcome != report.Succeeded {
		t.Fatalf("the failover: %s: %s", result.Outcome, result.Cause)
	}
	for name := range result.Final.Durations {
		result.Final.Durations[name] = 30 // what takes longer only makes the tests longer
	}
	return result.Final
}

// merged is both.
func merged(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func runBack(t testing.TB, payload []byte, estate *Estate, faults string) Result {
	t.Helper()
	estate = estate.Clone()
	estate.SavedAt = Epoch // the names of snapshots tell when a run began
	return runLab(t, Options{Payload: payload, Machine: catalog.Failback, Region: east, Estate: estate, Faults: faultsOf(t, faults)})
}

// Every way back, after its failover, leads to the goal, and again without
// touching anything.
func TestEveryWayBackRunsAndRunsAgain(t *testing.T) {
	for name, lost := range waysBack {
		t.Run(name, func(t *testing.T) {
			first := runBack(t, sample(t, name), lostAndBack(t, "mysql", lost), "")
			if first.Outcome != report.Succeeded || total(first.Mutations) == 0 {
				t.Fatalf("%s with mutations %v: %s", first.Outcome, first.Mutations, first.Cause)
			}
			untrue(t, first, sample(t, name))
			again := runBack(t, sample(t, name), first.Final, "")
			if again.Outcome != report.Succeeded || total(again.Mutations) != 0 {
				t.Fatalf("second run: %s with mutations %v\n%s", again.Outcome, again.Mutations, again.Cause)
			}
			for _, r := range append(first.Layers[0].Resources, again.Layers[0].Resources...) {
				if r.Status != report.Done || r.Error != nil {
					t.Errorf("%s: %+v", r.ResourceName, r)
				}
			}
		})
	}
}

// holdings are what a region holds of one global database, without the times at
// which things were made.
type holdings struct {
	Members   []string // of the global cluster
	Clusters  map[string]Cluster
	Instances []string
	Snapshots []string
}

func holdingsOf(e *Estate, global, cluster string) holdings {
	out := holdings{Clusters: map[string]Cluster{}}
	if g := e.global(global); g != nil {
		for _, m := range g.Members {
			out.Members = append(out.Members, fmt.Sprintf("%s writer=%t %s", m.ARN, m.Writer, m.Sync))
		}
	}
	for _, c := range e.Clusters {
		if c.Region == east && strings.HasPrefix(c.ID, cluster) {
			shown := *c
			shown.Created, shown.LagSeconds, shown.Tags, shown.Clients = time.Time{}, nil, nil, 0
			out.Clusters[c.ID] = shown
		}
	}
	for _, i := range e.Instances {
		if i.Region == east && strings.HasPrefix(i.Cluster, cluster) {
			out.Instances = append(out.Instances, i.ID+" in "+i.Cluster+" "+i.Class+" "+i.Status)
		}
	}
	for _, s := range e.ClusterSnapshots {
		if s.Region == east && s.Cluster == cluster {
			out.Snapshots = append(out.Snapshots, anyRun.ReplaceAllString(s.ID, "-final-RUN")+" "+s.Status)
		}
	}
	slices.Sort(out.Members)
	slices.Sort(out.Instances)
	slices.Sort(out.Snapshots)
	out.Snapshots = slices.Compact(out.Snapshots) // each run takes its own
	return out
}

// anyRun is what a run puts behind the name of its final snapshot.
var anyRun = regexp.MustCompile(`-final-\d{14}`)

func TestDetachedPrimaryIsReplaced(t *testing.T) {
	for _, engine := range engines {
		before := holdingsOf(DefaultEstate(), engine.global, engine.east)
		instance := engine.east + "-use1-instance-1"
		members := []string{
			"arn:aws:rds:us-east-1:111122223333:cluster:" + engine.east + " writer=false connected",
			"arn:aws:rds:us-west-2:111122223333:cluster:" + engine.west + " writer=true connected",
		}
		secondary := before.Clusters[engine.east]
		renamed := secondary
		renamed.ID += "-old-202503010930"
		for _, tt := range []struct {
			name       string
			parameters map[string]any
			mutations  map[string]int
			want       holdings
		}{
			{"Keep", nil, map[string]int{
				"rds:AddTagsToResource": 1, "rds:RemoveFromGlobalCluster": 1, "rds:DeleteGlobalCluster": 1, "rds:ModifyDBInstance": 1, "rds:ModifyDBCluster": 1,
				"rds:CreateGlobalCluster": 1, "rds:CreateDBCluster": 1, "rds:CreateDBInstance": 1,
			}, holdings{
				Members: members, Clusters: map[string]Cluster{engine.east: secondary, renamed.ID: renamed},
				Instances: []string{instance + " in " + engine.east + " db.r5.large available", instance + "-old-202503010930 in " + renamed.ID + " db.r5.large available"},
			}},
			{"Delete", deleting, map[string]int{
				"rds:AddTagsToResource": 1, "rds:RemoveFromGlobalCluster": 1, "rds:DeleteGlobalCluster": 1, "rds:CreateDBClusterSnapshot": 1, "rds:ModifyDBCluster": 1, "rds:DeleteDBInstance": 1,
				"rds:DeleteDBCluster": 1, "rds:CreateGlobalCluster": 1, "rds:CreateDBCluster": 1, "rds:CreateDBInstance": 1,
			}, holdings{
				Members: members, Clusters: map[string]Cluster{engine.east: secondary},
				Instances: []string{instance + " in " + engine.east + " db.r5.large available"},
				Snapshots: []string{engine.east + "-final-RUN available"},
			}},
		} {
			t.Run(engine.name+" "+tt.name, func(t *testing.T) {
				payload := auroraBack(t, engine.name, tt.parameters)
				result := runBack(t, payload, lostAndBack(t, engine.name, "failover-aurora-detach.json"), "")
				if result.Outcome != report.Succeeded {
					t.Fatalf("%s: %s", result.Outcome, result.Cause)
				}
				untrue(t, result, payload)
				if diff := cmp.Diff(tt.mutations, result.Mutations); diff != "" {
					t.Errorf("mutations (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.want, holdingsOf(result.Final, engine.global, engine.east)); diff != "" {
					t.Errorf("topology (-want +got):\n%s", diff)
				}
				again := runBack(t, payload, result.Final, "")
				if again.Outcome != report.Succeeded || total(again.Mutations) != 0 || again.Layers[0].Resources[0].Changed {
					t.Errorf("second run: %s with %v", again.Outcome, again.Mutations)
				}
			})
		}
	}
}

// Every instance of the old primary goes with it, whatever its name.
func TestAllInstancesOfTheOldPrimaryStepAside(t *testing.T) {
	for _, tt := range []struct {
		parameters map[string]any
		mutation   string
		want       []string
	}{
		{nil, "rds:ModifyDBInstance", []string{
			"a-reader-old-202503010930 in dbcluster-01-old-202503010930 db.r5.large available",
			"dbcluster-01-use1-instance-1 in dbcluster-01 db.r5.large available",
			"dbcluster-01-use1-instance-1-old-202503010930 in dbcluster-01-old-202503010930 db.r5.large available",
		}},
		{deleting, "rds:DeleteDBInstance", []string{"dbcluster-01-use1-instance-1 in dbcluster-01 db.r5.large available"}},
	} {
		estate := lostAndBack(t, "mysql", "failover-aurora-detach.json")
		reader := *estate.instance(east, "dbcluster-01-use1-instance-1")
		reader.ID, reader.Writer = "a-reader", false
		estate.Instances = append(estate.Instances, &reader)
		result := runBack(t, auroraBack(t, "mysql", tt.parameters), estate, "")
		if result.Outcome != report.Succeeded || result.Mutations[tt.mutation] != 2 {
			t.Fatalf("%v: %s with %v: %s", tt.parameters, result.Outcome, result.Mutations, result.Cause)
		}
		got := holdingsOf(result.Final, "dr-globaldb-cluster-mysql", "dbcluster-01").Instances
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%v: instances (-want +got):\n%s", tt.parameters, diff)
		}
	}
}

// After a managed failover AWS rebuilds the old primary: nothing is made but
// the copy of what AWS saved of it.
func TestManagedFailoverNeedsNothingButTheCopy(t *testing.T) {
	for _, engine := range engines {
		for _, parameters := range []map[string]any{nil, deleting, {"MaxReplicaLagSeconds": "5"}} {
			payload := auroraBack(t, engine.name, parameters)
			lost := lostAndBack(t, engine.name, "failover-aurora-unplanned.json")
			result := runBack(t, payload, lost, "")
			if diff := cmp.Diff(map[string]int{"rds:CopyDBClusterSnapshot": 1}, result.Mutations); diff != "" || result.Outcome != report.Succeeded {
				t.Fatalf("%s: %s (-want +got):\n%s\n%s", engine.name, result.Outcome, diff, result.Cause)
			}
			untrue(t, result, payload)
			got := holdingsOf(result.Final, engine.global, engine.east)
			if len(got.Snapshots) != 2 || !strings.HasPrefix(got.Snapshots[0], "kept-unplanned-global-failover-"+engine.east) || !strings.HasSuffix(got.Snapshots[0], " available") {
				t.Errorf("%s: snapshots %v", engine.name, got.Snapshots)
			}
			evidence := fmt.Sprint(result.Record)
			if !strings.Contains(evidence, "rds:unplanned-global-failover-") {
				t.Errorf("%s: the report does not name where lost writes may be: %s", engine.name, evidence)
			}
			again := runBack(t, payload, result.Final, "")
			if again.Outcome != report.Succeeded || total(again.Mutations) != 0 {
				t.Errorf("second run: %s with %v", again.Outcome, again.Mutations)
			}
		}
	}
}

// A planned switchover leaves no snapshot: the way back has nothing to do.
func TestSwitchoverNeedsNothing(t *testing.T) {
	moved := runLab(t, Options{Payload: sample(t, "failover-aurora-planned.json")})
	result := runBack(t, sample(t, "failback-aurora.json"), moved.Final, "")
	if result.Outcome != report.Succeeded || total(result.Mutations) != 0 {
		t.Errorf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
	}
}

func TestMemberWithoutAnInstanceGetsOne(t *testing.T) {
	moved := runLab(t, Options{Payload: sample(t, "failover-aurora-planned.json")})
	estate := moved.Final
	estate.Instances = slices.DeleteFunc(estate.Instances, func(i *Instance) bool { return i.Region == east && i.Cluster == "dbcluster-01" })
	result := runBack(t, sample(t, "failback-aurora.json"), estate, "")
	if diff := cmp.Diff(map[string]int{"rds:CreateDBInstance": 1}, result.Mutations); diff != "" || result.Outcome != report.Succeeded {
		t.Errorf("%s (-want +got):\n%s\n%s", result.Outcome, diff, result.Cause)
	}
	untrue(t, result, sample(t, "failback-aurora.json"))
}

// Each thing that speaks against touching the old primary, one at a time:
// refused, named, nothing changed.
func TestWhatSpeaksAgainstIsRefusedAndNamed(t *testing.T) {
	const oldCluster, newCluster = "arn:aws:rds:us-east-1:111122223333:cluster:dbcluster-01", "arn:aws:rds:us-west-2:111122223333:cluster:dbcluster-02"
	long := Epoch.Add(-24 * time.Hour)
	ahead := Epoch.Add(24 * time.Hour)
	both := []map[string]any{nil, deleting}
	named := map[string]any{"OldDBClusterArn": oldCluster}
	noGlobal := func(e *Estate) {
		e.Globals = slices.DeleteFunc(e.Globals, func(g *GlobalCluster) bool { return g.ID == "dr-globaldb-cluster-mysql" })
	}
	for _, tt := range []struct {
		name       string
		parameters []map[string]any
		spoil      func(e *Estate)
		want       string
	}{
		{"the old one replicates another", both, func(e *Estate) { e.cluster(oldCluster).Source = "arn:elsewhere" }, "arn:elsewhere"},
		{"the old one is replicated", []map[string]any{deleting}, func(e *Estate) { e.cluster(oldCluster).Replicas = []string{"arn:reader"} }, "arn:reader"},
		{"other members", both, func(e *Estate) {
			g := e.global("dr-globaldb-cluster-mysql")
			g.Members = append(g.Members, GlobalMember{ARN: "arn:aws:rds:eu-west-1:111122223333:cluster:third", Sync: "connected"})
		}, "cluster:third"},
		{"the source is stopped", both, func(e *Estate) { e.cluster(newCluster).Status = "stopped" }, "stopped"},
		{"the source's instance has failed", both, func(e *Estate) { e.instance("us-west-2", "dbcluster-02-usw2-instance-2").Status = "failed" }, "dbcluster-02-usw2-instance-2 is failed"},
		{"the source has no writer", both, func(e *Estate) { e.instance("us-west-2", "dbcluster-02-usw2-instance-2").Writer = false }, "no instance that takes writes"},
		{"the source is a replica", both, func(e *Estate) { e.cluster(newCluster).Source = "arn:elsewhere" }, "arn:elsewhere"},
		{"the source is in another global cluster", both, func(e *Estate) {
			e.Globals = append(e.Globals, &GlobalCluster{ID: "other", Status: "available", Members: []GlobalMember{{ARN: newCluster, Writer: true}}})
		}, "global cluster other"},
		{"the old one is in another global cluster", both, func(e *Estate) {
			e.global("dr-globaldb-cluster-mysql").Members = nil
			e.Globals = append(e.Globals, &GlobalCluster{ID: "other", Status: "available", Members: []GlobalMember{{ARN: oldCluster, Writer: true}}})
		}, "global cluster other"},
		{"the source is older", []map[string]any{deleting}, func(e *Estate) { e.cluster(newCluster).Restorable = &long }, "2026-01-04"},
		{"the old one is newer", []map[string]any{deleting}, func(e *Estate) { e.cluster(oldCluster).Restorable = &ahead }, "2026-01-06"},
		{"how new the source is is not known", []map[string]any{deleting}, func(e *Estate) { e.cluster(newCluster).Restorable = &time.Time{} }, "no latest restorable time"},
		{"how new the old one is is not known", []map[string]any{deleting}, func(e *Estate) { e.cluster(oldCluster).Restorable = &time.Time{} }, "no latest restorable time"},
		{"protected", []map[string]any{{"OldPrimary": "Delete"}}, func(*Estate) {}, "LiftDeletionProtection"},
		{"an old final snapshot", []map[string]any{merged(deleting, named)}, func(e *Estate) {
			e.global("dr-globaldb-cluster-mysql").Members = nil
			e.Globals = slices.DeleteFunc(e.Globals, func(g *GlobalCluster) bool { return g.ID == "dr-globaldb-cluster-mysql" })
			e.ClusterSnapshots = append(e.ClusterSnapshots, &ClusterSnapshot{Region: east, ID: "dbcluster-01-final-20260105030000", Cluster: "dbcluster-01", Type: "manual", Status: "available", Taken: long.Add(-time.Hour)})
		}, "dbcluster-01-final-20260105030000"},
		{"a final snapshot that failed", []map[string]any{merged(deleting, named)}, func(e *Estate) {
			e.Globals = slices.DeleteFunc(e.Globals, func(g *GlobalCluster) bool { return g.ID == "dr-globaldb-cluster-mysql" })
			e.ClusterSnapshots = append(e.ClusterSnapshots, &ClusterSnapshot{Region: east, ID: "dbcluster-01-final-20260105030000", Cluster: "dbcluster-01", Type: "manual", Status: "failed", Taken: Epoch})
		}, "dbcluster-01-final-20260105030000"},
		{"a cluster that stands alone and is in no global cluster", both, noGlobal, "nothing proves that " + oldCluster},
		{"such a cluster that is younger than the source", both, func(e *Estate) {
			noGlobal(e)
			e.cluster(oldCluster).Created = e.cluster(newCluster).Created.AddDate(0, 1, 0)
		}, "nothing proves that " + oldCluster},
		{"such a cluster that is older than the source", both, func(e *Estate) {
			noGlobal(e)
			e.cluster(oldCluster).Created = e.cluster(newCluster).Created.AddDate(-1, 0, 0)
		}, "nothing proves that " + oldCluster},
		{"it stands alone and the source writes to the global cluster", both, func(e *Estate) {
			e.global("dr-globaldb-cluster-mysql").Members = []GlobalMember{{ARN: newCluster, Writer: true, Sync: "connected"}}
		}, oldCluster + " may be the cluster that serves"},
		{"the source is marked as the old primary", both, func(e *Estate) {
			source := e.cluster(newCluster)
			source.Tags = map[string]string{"dr-orchestrator:old-primary-of": oldCluster + " since 2026-01-01T00:00:00Z created " + source.Created.UTC().Format(time.RFC3339)}
		}, "dr-orchestrator:old-primary-of"},
		{"another engine", both, func(e *Estate) { e.cluster(oldCluster).Engine = "aurora-postgresql" }, "aurora-postgresql"},
		{"another version at the source", both, func(e *Estate) { e.cluster(newCluster).EngineVersion = "8.0.mysql_aurora.3.10.0" }, "3.10.0"},
		{"the source is not encrypted", both, func(e *Estate) { e.cluster(newCluster).Key = "" }, "StorageEncrypted"},
		{"nothing has failed over", both, func(e *Estate) {
			e.global("dr-globaldb-cluster-mysql").Members = append(e.global("dr-globaldb-cluster-mysql").Members, GlobalMember{ARN: newCluster, Sync: "connected"})
		}, "nothing has failed over"},
		{"other people's global cluster", both, func(e *Estate) {
			e.global("dr-globaldb-cluster-mysql").Members = []GlobalMember{{ARN: "arn:aws:rds:eu-west-1:111122223333:cluster:third", Writer: true}}
		}, "cluster:third"},
	} {
		for _, parameters := range tt.parameters {
			estate := lostAndBack(t, "mysql", "failover-aurora-detach.json")
			tt.spoil(estate)
			result := runBack(t, auroraBack(t, "mysql", parameters), estate, "")
			if result.Outcome != report.Refused || total(result.Mutations) != 0 || len(result.Begun) != 0 {
				t.Errorf("%s, %v: %s with %v, want Refused and nothing done", tt.name, parameters, result.Outcome, result.Mutations)
			}
			if !strings.Contains(result.Cause, tt.want) {
				t.Errorf("%s, %v: the cause does not name %q: %s", tt.name, parameters, tt.want, result.Cause)
			}
		}
	}
}

// What is neither a rule nor a failure of ours ends clean, and is named too.
func TestWhatIsInTheWayIsNamed(t *testing.T) {
	for _, tt := range []struct {
		name, faults string
		spoil        func(e *Estate)
		want         string
		outcome      report.Outcome
	}{
		{"the source's region is silent", "dead@region:us-west-2", func(*Estate) {}, "us-west-2", report.FailedClean},
		{"no source", "", func(e *Estate) {
			e.Clusters = slices.DeleteFunc(e.Clusters, func(c *Cluster) bool { return c.ID == "dbcluster-02" })
		}, "is not known in us-west-2", report.FailedClean},
		{"no subnet group", "", func(e *Estate) { e.SubnetGroups = nil }, "dr-globaldb-cluster-mysql-subnets", report.FailedClean},
		{"no room", "", func(e *Estate) {
			for n := range mostClusters - 2 {
				e.Clusters = append(e.Clusters, &Cluster{Region: east, ID: fmt.Sprintf("other-%d", n), Status: "available"})
			}
		}, "40 of 40 DB clusters", report.FailedClean},
		{"no room for an instance", "", func(e *Estate) { e.InstanceQuota, _ = (&Account{Estate: e}).instances(east) }, "5 of 5 DB instances", report.FailedClean},
		{"the old cluster's next name is taken", "", func(e *Estate) {
			e.Clusters = append(e.Clusters, &Cluster{Region: east, ID: "dbcluster-01-old-202503010930", Engine: "aurora-mysql", Status: "available"})
		}, "cluster dbcluster-01-old-202503010930", report.FailedClean},
		{"the old instance's next name is taken", "", func(e *Estate) {
			e.Instances = append(e.Instances, &Instance{Region: east, ID: "dbcluster-01-use1-instance-1-old-202503010930", Engine: "mysql", Status: "available"})
		}, "instance dbcluster-01-use1-instance-1-old-202503010930 (a DB instance of its own)", report.FailedClean},
		{"the instance's name is taken", "", func(e *Estate) { e.instance(east, "dbcluster-01-use1-instance-1").Cluster = "billing" }, "an instance of the cluster billing", report.FailedClean},
		{"another operation", "", func(e *Estate) {
			e.global("dr-globaldb-cluster-mysql").Failover = &FailoverState{Status: "failing-over", To: "arn:elsewhere"}
		}, "arn:elsewhere", report.FailedClean},
	} {
		estate := lostAndBack(t, "mysql", "failover-aurora-detach.json")
		tt.spoil(estate)
		result := runBack(t, sample(t, "failback-aurora.json"), estate, tt.faults)
		if result.Outcome != tt.outcome || total(result.Mutations) != 0 || !strings.Contains(result.Cause, tt.want) {
			t.Errorf("%s: %s with %v, want %s that names %q: %s", tt.name, result.Outcome, result.Mutations, tt.outcome, tt.want, result.Cause)
		}
	}
}

// The place of an old primary that is deleted becomes free, and one below the
// quota is room enough beside one that is kept.
func TestRoomEnough(t *testing.T) {
	for _, tt := range []struct {
		parameters map[string]any
		others     int
		instances  int // beyond those that are there
	}{{deleting, mostClusters - 2, 0}, {nil, mostClusters - 3, 1}} {
		estate := lostAndBack(t, "mysql", "failover-aurora-detach.json")
		used, _ := (&Account{Estate: estate}).instances(east)
		estate.InstanceQuota = used + tt.instances
		for n := range tt.others {
			estate.Clusters = append(estate.Clusters, &Cluster{Region: east, ID: fmt.Sprintf("other-%d", n), Status: "available"})
		}
		result := runBack(t, auroraBack(t, "mysql", tt.parameters), estate, "")
		if result.Outcome != report.Succeeded {
			t.Errorf("%v, %d others, room for %d instances: %s: %s", tt.parameters, tt.others, tt.instances, result.Outcome, result.Cause)
		}
	}
}

func TestPreflightTellsWhatBecomesOfTheOldPrimary(t *testing.T) {
	for _, tt := range []struct {
		lost       string
		parameters map[string]any
		want       []string
	}{
		{"failover-aurora-detach.json", nil, []string{"dbcluster-01 to dbcluster-01-old-202503010930", "dbcluster-01-use1-instance-1 to dbcluster-01-use1-instance-1-old-202503010930"}},
		{"failover-aurora-detach.json", deleting, []string{"DELETED", "dbcluster-01-final-20260105030000"}},
		{"failover-aurora-unplanned.json", nil, []string{"is a secondary of"}},
	} {
		payload := auroraBack(t, "mysql", tt.parameters)
		payload = []byte(strings.TrimSuffix(string(payload), "}") + `,"Options":{"Mode":"plan"}}`)
		result := runBack(t, payload, lostAndBack(t, "mysql", tt.lost), "")
		if result.Outcome != report.Succeeded || total(result.Mutations) != 0 {
			t.Errorf("%s: %s with %v: %s", tt.lost, result.Outcome, result.Mutations, result.Cause)
		}
		told := fmt.Sprint(result.Layers[0].Resources[0].Findings)
		for _, want := range tt.want {
			if !strings.Contains(told, want) {
				t.Errorf("%s, %v: the findings do not tell %q: %s", tt.lost, tt.parameters, want, told)
			}
		}
	}
}

// What could not be created is never told as protection: the run ends, names
// the thing, and a run started again touches nothing.
func TestFailedCreationsWaitForAPerson(t *testing.T) {
	for _, tt := range []struct {
		call, lost string
		parameters map[string]any
		want       string
	}{
		{"rds:CreateDBCluster", "failover-aurora-detach.json", nil, "cluster:dbcluster-01 is failed"},
		{"rds:CreateDBInstance", "failover-aurora-detach.json", nil, "dbcluster-01-use1-instance-1 is failed"},
		{"rds:CreateDBClusterSnapshot", "failover-aurora-detach.json", deleting, "dbcluster-01-final-20260105030000 is failed"},
		{"rds:CopyDBClusterSnapshot", "failover-aurora-unplanned.json", nil, "is failed"},
	} {
		payload := auroraBack(t, "mysql", tt.parameters)
		result := runBack(t, payload, lostAndBack(t, "mysql", tt.lost), "cancel@"+tt.call)
		if result.Outcome != report.FailedDirty || !strings.Contains(result.Cause, tt.want) {
			t.Errorf("%s: %s, want FailedDirty that names %q: %s", tt.call, result.Outcome, tt.want, result.Cause)
		}
		untrue(t, result, payload)
		again := runBack(t, payload, result.Final, "")
		if again.Outcome == report.Succeeded || total(again.Mutations) != 0 || !strings.Contains(again.Cause, tt.want) {
			t.Errorf("%s, again: %s with %v: %s", tt.call, again.Outcome, again.Mutations, again.Cause)
		}
	}
}

// Interrupted at any call in any way: the run ends in the truth, and the same
// payload, started again, ends where an undisturbed run does.
func TestEveryFaultOnTheWayBackCarriesOn(t *testing.T) {
	type work struct {
		name, spec string
		payload    []byte
		lost       *Estate
		want       holdings
	}
	var all []work
	for _, tt := range []struct {
		lost       string
		parameters map[string]any
	}{{"failover-aurora-detach.json", nil}, {"failover-aurora-detach.json", deleting}, {"failover-aurora-unplanned.json", nil}} {
		for n, engine := range engines {
			payload, lost := auroraBack(t, engine.name, tt.parameters), lostAndBack(t, engine.name, tt.lost)
			calm := runBack(t, payload, lost, "")
			if calm.Outcome != report.Succeeded {
				t.Fatalf("the undisturbed run: %s: %s", calm.Outcome, calm.Cause)
			}
			for _, spec := range wayBackFaults(calm, n == 0) {
				all = append(all, work{fmt.Sprintf("%s %v %s: %s", tt.lost, tt.parameters, engine.name, spec), spec, payload, lost, holdingsOf(calm.Final, engine.global, engine.east)})
			}
		}
	}
	t.Logf("%d runs", len(all))
	queue := make(chan work)
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for w := range queue {
				carryOn(t, w.name, w.spec, w.payload, w.lost, w.want)
			}
		}()
	}
	for _, w := range all {
		queue <- w
	}
	close(queue)
	wait.Wait()
}

// wayBackFaults are the faults at every mutating call, and, where asked for,
// at a spread of the reads.
func wayBackFaults(calm Result, reads bool) []string {
	var specs []string
	for _, call := range sortedKeys(calm.APICalls) {
		service, _, _ := strings.Cut(call, ":")
		if service != "rds" {
			continue
		}
		count, step := calm.APICalls[call], 1
		kinds := []FaultKind{Lost, Timeout, Kill, Throttle, Broken}
		if !Mutating(call) {
			if !reads {
				continue
			}
			kinds, step = []FaultKind{Timeout, Kill, Stale, NotFound}, max(1, count/8)
		}
		for n := 1; n <= count; n += step {
			for _, kind := range kinds {
				specs = append(specs, fmt.Sprintf("%s@%s#%d", kind, call, n))
			}
		}
		if Mutating(call) {
			specs = append(specs, "lost@"+call, "kill@"+call+"#1,stale@rds:Describe*#5-30")
		}
	}
	return append(specs, "twice@function:create-secondary-cluster", "kill@function:create-secondary-cluster#9", "dead@region:us-west-2#9-20")
}

func carryOn(t *testing.T, name, spec string, payload []byte, lost *Estate, want holdings) {
	faults, err := ParseFaults(spec)
	if err != nil {
		t.Error(err)
		return
	}
	lost = lost.Clone()
	lost.SavedAt = Epoch // the names of snapshots tell when a run began
	disturbed, err := Run(Options{Payload: payload, Machine: catalog.Failback, Region: east, Estate: lost, Faults: faults})
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if found := lies(disturbed, payload, blinding(faults)); len(found) > 0 {
		t.Errorf("%s: %s\n\t%s\n\t%s", name, disturbed.Outcome, strings.Join(found, "\n\t"), disturbed.Cause)
	}
	disturbed.Final.SavedAt = Epoch
	again, err := Run(Options{Payload: payload, Machine: catalog.Failback, Region: east, Estate: disturbed.Final})
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if again.Outcome != report.Succeeded {
		t.Errorf("%s: %s, and again: %s: %s", name, disturbed.Outcome, again.Outcome, again.Cause)
	}
	got := holdings{}
	for _, engine := range engines {
		if x := holdingsOf(again.Final, engine.global, engine.east); cmp.Equal(x, want) {
			return
		} else if len(x.Members) > 0 && strings.Contains(fmt.Sprint(want.Members), x.Members[0]) {
			got = x
		}
	}
	t.Errorf("%s: %s, and again: topology (-want +got):\n%s", name, disturbed.Outcome, cmp.Diff(want, got))
}
