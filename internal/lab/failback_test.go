package lab

import (
	"fmt"
	"maps"
	"path/filepath"
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

const (
	east       = "us-east-1"
	west       = "us-west-2"
	oldPrimary = "rds-mysql-instance-use1"
	newPrimary = "rds-mysql-instance-usw2"
	newARN     = "arn:aws:rds:us-west-2:111122223333:db:rds-mysql-instance-usw2"
	kept       = "rds-mysql-instance-use1-old-202501050300"
)

// failedOver gives an estate after a failover that the lost region took no part
// in, and the region back: the old primary stands there as it was. The estate
// goes through a file, as between two runs of an operator.
func failedOver(t testing.TB) *Estate {
	t.Helper()
	result := runLab(t, Options{Payload: sample(t, "failover-replica-and-cache.json"), Faults: faultsOf(t, "dead@region:us-east-1")})
	if result.Outcome != report.Succeeded {
		t.Fatalf("the failover: %s: %s", result.Outcome, result.Cause)
	}
	path := filepath.Join(t.TempDir(), "estate.json")
	if err := result.Final.Save(path); err != nil {
		t.Fatal(err)
	}
	estate, err := LoadEstate(path)
	if err != nil {
		t.Fatal(err)
	}
	estate.SavedAt = Epoch // the names of snapshots tell when a run began
	return estate
}

func failback(t testing.TB, e *Estate, payload []byte, faults string) Result {
	t.Helper()
	e = e.Clone()
	e.SavedAt = Epoch // the names of snapshots tell when a run began
	return runLab(t, Options{Payload: payload, Machine: catalog.Failback, Region: east, Estate: e, Faults: faultsOf(t, faults)})
}

// wayBack is the sample with further parameters.
func wayBack(t testing.TB, more map[string]string) []byte {
	t.Helper()
	return edited(t, "failback-replica.json", func(doc map[string]any) {
		resource := doc["StatePayload"].([]any)[0].(map[string]any)["resources"].([]any)[0].(map[string]any)
		for name, value := range more {
			resource["parameters"].(map[string]any)[name] = value
		}
	})
}

var deletes = map[string]string{"OldPrimary": "Delete", "LiftDeletionProtection": "true"}

// protected says what an estate lacks of one whose old region is protected
// again; "" nothing.
func protected(e *Estate) string {
	i := e.instance(east, oldPrimary)
	switch {
	case i == nil:
		return "there is no replica"
	case i.Source != newARN || i.Status != "available" || i.Replication != "replicating" || i.Retention != 7:
		return fmt.Sprintf("the replica is %+v", *i)
	case i.LagSeconds == nil || *i.LagSeconds < 0 || *i.LagSeconds > 300:
		return "the replica has not caught up"
	}
	return ""
}

func evidenceOf(r Result) map[string]any { return r.Record.Layers[0].Resources[0].Evidence }

func TestFailbackKeepsTheOldPrimary(t *testing.T) {
	before := failedOver(t)
	payload := sample(t, "failback-replica.json")
	result := failback(t, before, payload, "")
	want := map[string]int{"rds:ModifyDBInstance": 2, "rds:CreateDBInstanceReadReplica": 1}
	if diff := cmp.Diff(want, result.Mutations); result.Outcome != report.Succeeded || diff != "" {
		t.Fatalf("%s: %s\n%s", result.Outcome, result.Cause, diff)
	}
	if lack := protected(result.Final); lack != "" {
		t.Error(lack)
	}
	old := result.Final.instance(east, kept)
	if old == nil || old.Source != "" || old.Status != "available" || !old.Protected || !old.Created.Equal(before.instance(east, oldPrimary).Created) {
		t.Fatalf("the old primary: %+v", old)
	}
	replica := result.Final.instance(east, oldPrimary)
	type settings struct {
		Traits
		Network
		Port        int
		SubnetGroup string
	}
	got := settings{replica.Traits, replica.Network, replica.Port, replica.SubnetGroup}
	asked := settings{Traits: Traits{Protected: true, Key: before.key(east), MultiAZ: true}, Port: 3788, SubnetGroup: "rds-mysql-instance-subnets",
		Network: Network{SecurityGroups: []string{"sg-0a1b2c3d4e5f60001"}, Tags: map[string]string{
			"dr-orchestrator:source": newARN, "dr-orchestrator:old-primary": kept, "dr-orchestrator:old-primary-reaches": "2026-01-05T03:00:00Z",
		}}}
	if diff := cmp.Diff(asked, got); diff != "" {
		t.Errorf("the replica (-asked for +made):\n%s", diff)
	}
	wantTold := map[string]any{"in": kept, "until": "2026-01-05T03:00:00Z"}
	for _, r := range []Result{result, failback(t, result.Final, payload, "")} {
		if diff := cmp.Diff([]any{kept, wantTold}, []any{evidenceOf(r)["oldPrimaryKeptAs"], evidenceOf(r)["writesOnlyThere"]}); diff != "" {
			t.Errorf("the report on the old primary:\n%s", diff)
		}
		if lag := r.Record.Layers[0].Resources[0].LagSeconds; lag == nil || *lag != 2 {
			t.Errorf("the lag reported is %v", lag)
		}
	}

	again := failback(t, result.Final, payload, "dead@region:us-west-2") // what is done needs nobody
	if again.Outcome != report.Succeeded || len(again.Mutations) != 0 {
		t.Errorf("again: %s with %v: %s", again.Outcome, again.Mutations, again.Cause)
	}
}

func TestFailbackDeletesTheOldPrimaryAfterASnapshot(t *testing.T) {
	before := failedOver(t)
	result := failback(t, before, wayBack(t, deletes), "")
	want := map[string]int{"rds:ModifyDBInstance": 2, "rds:CreateDBSnapshot": 1, "rds:DeleteDBInstance": 1, "rds:CreateDBInstanceReadReplica": 1}
	if diff := cmp.Diff(want, result.Mutations); result.Outcome != report.Succeeded || diff != "" {
		t.Fatalf("%s: %s\n%s", result.Outcome, result.Cause, diff)
	}
	if lack := protected(result.Final); lack != "" {
		t.Error(lack)
	}
	if old := result.Final.instance(east, kept); old != nil || len(result.Final.Snapshots) != 1 {
		t.Fatalf("the old primary %+v, snapshots %+v", old, result.Final.Snapshots)
	}
	shot := result.Final.Snapshots[0]
	if shot.Status != "available" || shot.Instance != oldPrimary || !shot.InstanceCreated.Equal(before.instance(east, oldPrimary).Created) {
		t.Errorf("snapshot %+v", shot)
	}
	if got := evidenceOf(result)["oldPrimarySnapshot"]; got != shot.ID {
		t.Errorf("the report names the snapshot %v, want %s", got, shot.ID)
	}
	order := []string{}
	for _, call := range result.Log {
		if Mutating(call.Name) {
			order = append(order, strings.TrimPrefix(call.Name, "rds:"))
		}
	}
	if diff := cmp.Diff([]string{"CreateDBSnapshot", "ModifyDBInstance", "DeleteDBInstance", "CreateDBInstanceReadReplica", "ModifyDBInstance"}, order); diff != "" {
		t.Error(diff)
	}
	again := failback(t, result.Final, wayBack(t, deletes), "")
	if again.Outcome != report.Succeeded || len(again.Mutations) != 0 || len(again.Final.Snapshots) != 1 {
		t.Errorf("again: %s with %v: %s", again.Outcome, again.Mutations, again.Cause)
	}
}

// Each protection is broken by itself: nothing is changed, and the cause says
// which it is.
func TestFailbackLeavesAloneWhatIsNotProved(t *testing.T) {
	old := func(e *Estate) *Instance { return e.instance(east, oldPrimary) }
	source := func(e *Estate) *Instance { return e.instance(west, newPrimary) }
	replicaOf := func(e *Estate, of *Instance, region, id string) {
		e.Instances = append(e.Instances, &Instance{Region: region, ID: id, Engine: "mysql", EngineVersion: "8.0", Status: "available", Source: e.instanceARN(of), Replication: "replicating"})
	}
	// Runs of these tests start at Epoch, which names the snapshot that one takes.
	snapshotOf := func(e *Estate, i *Instance, status string, created time.Time) {
		e.Snapshots = append(e.Snapshots, &Snapshot{Region: east, ID: i.ID + "-final-" + Epoch.Format("20060102150405"), Instance: i.ID, Status: status, InstanceCreated: created, Taken: Epoch})
	}
	both := []map[string]string{{}, deletes}
	onlyDelete := []map[string]string{deletes}
	for _, tt := range []struct {
		name   string
		breaks func(*Estate)
		with   []map[string]string
		faults string
		want   report.Outcome
		says   string
	}{
		{"no failover has taken place", func(e *Estate) { *e = *DefaultEstate() }, both, "", report.Refused, "replica of arn:aws:rds:us-east-1"},
		{"the source is gone", func(e *Estate) {
			e.Instances = slices.DeleteFunc(e.Instances, func(i *Instance) bool { return i.ID == newPrimary })
		}, both, "", report.Refused, "does not exist"},
		{"the source is stopped", func(e *Estate) { source(e).Status = "stopped" }, both, "", report.Refused, "stopped"},
		{"the source's status is not known", func(e *Estate) { source(e).Status = "pondering" }, both, "", report.Refused, "pondering"},
		{"the source has no backups", func(e *Estate) { source(e).Retention = 0 }, both, "", report.Refused, "no automated backups"},
		{"the source still detaches", func(e *Estate) { source(e).Replication = "replication stop point reached" }, both, "", report.Refused, "stop point"},
		{"the source is a cluster's", func(e *Estate) { source(e).Cluster = "dbcluster-02" }, both, "", report.Refused, "member of the cluster"},
		{"the source is not encrypted", func(e *Estate) { source(e).Key = "" }, both, "", report.FailedClean, "not encrypted"},
		{"the source does not answer", func(*Estate) {}, both, "dead@region:us-west-2", report.FailedClean, west},
		{"the old primary is a cluster's", func(e *Estate) { old(e).Cluster = "dbcluster-01" }, both, "", report.Refused, "member of the cluster"},
		{"the old primary is stopped", func(e *Estate) { old(e).Status = "stopped" }, both, "", report.Refused, "by hand"},
		{"the old primary's status is not known", func(e *Estate) { old(e).Status = "pondering" }, both, "", report.Refused, "pondering"},
		{"the old primary is the younger", func(e *Estate) { old(e).Created = source(e).Created.Add(time.Second) }, both, "", report.Refused, "older than the source"},
		{"it runs another engine", func(e *Estate) { old(e).Engine = "postgres" }, both, "", report.Refused, "same engine"},
		{"nobody knows its engine", func(e *Estate) { old(e).Engine, source(e).Engine = "", "" }, both, "", report.Refused, "same engine"},
		{"the name to keep it under is taken", func(e *Estate) {
			e.Instances = append(e.Instances, &Instance{Region: east, ID: oldPrimary + "-old-" + old(e).Created.Format("200601021504"), Engine: "mysql", Status: "available"})
		}, both[:1], "", report.Refused, "another DB instance has that name"},
		{"nobody knows how old the source is", func(e *Estate) { source(e).Created = time.Time{} }, both, "", report.Refused, "does not show when"},
		{"nobody knows how old it is", func(e *Estate) { old(e).Created = time.Time{} }, both, "", report.Refused, "does not show when"},
		{"replication of it is shown", func(e *Estate) { old(e).Replication = "error" }, both, "", report.Refused, "not a replica"},
		{"it replicates another", func(e *Estate) { old(e).Source = "arn:aws:rds:eu-west-1:111122223333:db:other" }, both, "", report.Refused, "eu-west-1"},
		{"it has a replica", func(e *Estate) { replicaOf(e, old(e), east, "reports") }, onlyDelete, "", report.Refused, "reports"},
		{"its backups reach further", func(e *Estate) { source(e).Restorable = Epoch.Add(-time.Hour) }, onlyDelete, "", report.Refused, "what is newer"},
		{"nobody knows how far its backups reach", func(e *Estate) { old(e).Retention = 0 }, onlyDelete, "", report.Refused, "LatestRestorableTime"},
		{"it is protected", func(*Estate) {}, []map[string]string{{"OldPrimary": "Delete"}}, "", report.Refused, "LiftDeletionProtection"},
		{"its snapshot has failed", func(e *Estate) { snapshotOf(e, old(e), "failed", old(e).Created) }, onlyDelete, "", report.Refused, "without a complete one"},
		{"its snapshot is of what had the name before", func(e *Estate) { snapshotOf(e, old(e), "available", old(e).Created.Add(-time.Hour)) }, onlyDelete, "", report.Refused, "is not one of"},
		{"nobody knows what its snapshot is of", func(e *Estate) { snapshotOf(e, old(e), "available", time.Time{}) }, onlyDelete, "", report.Refused, "is not one of"},
		{"no subnet group", func(e *Estate) { e.SubnetGroups = nil }, both, "", report.FailedClean, "rds-mysql-instance-subnets"},
		{"no room", func(e *Estate) { e.InstanceQuota, _ = (&Account{Estate: e}).instances(east) }, both[:1], "", report.FailedClean, "DB instances are in use"},
	} {
		for _, more := range tt.with {
			t.Run(tt.name+" "+more["OldPrimary"], func(t *testing.T) {
				estate := failedOver(t)
				tt.breaks(estate)
				result := failback(t, estate, wayBack(t, more), tt.faults)
				if result.Outcome != tt.want || len(result.Mutations) != 0 || len(result.Begun) != 0 {
					t.Errorf("%s with %v, want %s and nothing changed: %s", result.Outcome, result.Mutations, tt.want, result.Cause)
				}
				if !strings.Contains(result.Cause, tt.says) {
					t.Errorf("the cause does not say %q: %s", tt.says, result.Cause)
				}
			})
		}
	}
}

// What does not keep the way back from being gone.
func TestFailbackGoesOn(t *testing.T) {
	for _, tt := range []struct {
		name      string
		breaks    func(*Estate)
		more      map[string]string
		mutations int
	}{
		{"the old primary is gone", func(e *Estate) {
			e.Instances = slices.DeleteFunc(e.Instances, func(i *Instance) bool { return i.ID == oldPrimary })
		}, nil, 2},
		{"the old primary is gone, no engine backups asked for", func(e *Estate) {
			e.Instances = slices.DeleteFunc(e.Instances, func(i *Instance) bool { return i.ID == oldPrimary })
			for _, i := range e.Instances {
				i.Engine = "sqlserver-ee"
			}
		}, nil, 1},
		{"the old primary still lists the replica that took over", func(e *Estate) {
			e.instance(east, oldPrimary).Promoted = []string{newARN}
		}, deletes, 5},
		{"the old primary is not protected", func(e *Estate) { e.instance(east, oldPrimary).Protected = false }, map[string]string{"OldPrimary": "Delete"}, 4},
		{"the quota is used up, and one goes", func(e *Estate) { e.InstanceQuota, _ = (&Account{Estate: e}).instances(east) }, deletes, 5},
		{"a kept old primary has a replica of its own", func(e *Estate) {
			e.Instances = append(e.Instances, &Instance{Region: east, ID: "reports", Engine: "mysql", Status: "available", Source: e.instanceARN(e.instance(east, oldPrimary))})
		}, nil, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			estate := failedOver(t)
			tt.breaks(estate)
			result := failback(t, estate, wayBack(t, tt.more), "")
			if result.Outcome != report.Succeeded || total(result.Mutations) != tt.mutations {
				t.Errorf("%s with %v, want Succeeded with %d: %s", result.Outcome, result.Mutations, tt.mutations, result.Cause)
			}
		})
	}
}

// A plan says in words what would become of the old primary.
func TestFailbackPlan(t *testing.T) {
	for _, tt := range []struct {
		more map[string]string
		says []string
	}{
		{nil, []string{"renamed to " + kept + " and kept"}},
		{deletes, []string{"deleted after a snapshot", "deletion protection is lifted"}},
	} {
		more := maps.Clone(tt.more)
		payload := []byte(strings.Replace(string(wayBack(t, more)), `{"StatePayload"`, `{"Options":{"Mode":"plan"},"StatePayload"`, 1))
		result := failback(t, failedOver(t), payload, "")
		if result.Outcome != report.Succeeded || len(result.Mutations) != 0 {
			t.Fatalf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
		}
		findings := fmt.Sprint(result.Layers[0].Resources[0].Findings)
		for _, says := range tt.says {
			if !strings.Contains(findings, says) {
				t.Errorf("no %q in %s", says, findings)
			}
		}
	}
}

// quick is failedOver with operations that take 20 s.
func quick(t testing.TB) *Estate {
	e := failedOver(t)
	for name := range e.Durations {
		e.Durations[name] = 20
	}
	return e
}

// Whatever breaks, the run tells the truth; and run again without faults it
// ends in the same topology, with nothing lost on the way.
func TestEveryFaultOfAFailbackEndsInTheTruth(t *testing.T) {
	for _, more := range []map[string]string{{}, deletes} {
		payload := wayBack(t, more)
		before := quick(t)
		calm := failback(t, before, payload, "")
		if calm.Outcome != report.Succeeded {
			t.Fatalf("the undisturbed run: %s: %s", calm.Outcome, calm.Cause)
		}
		wanted := ofActions
		if len(more) > 0 { // its looks are those of the first
			wanted = func(name string) bool {
				return ofActions(name) && (Mutating(name) || strings.HasPrefix(name, "function:"))
			}
		}
		interrupted(t, before, payload, append(faultsAt(calm, wanted), faultsOfRegions(calm)...))
	}
}

func interrupted(t *testing.T, before *Estate, payload []byte, specs []string) {
	t.Helper()
	var mu sync.Mutex
	var wait sync.WaitGroup
	work := make(chan string)
	ends := map[report.Outcome]int{}
	for range runtime.GOMAXPROCS(0) {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for spec := range work {
				faults, err := ParseFaults(spec)
				if err != nil {
					t.Error(err)
					continue
				}
				o := Options{Payload: payload, Machine: catalog.Failback, Region: east, Estate: before, Faults: faults}
				first, err := Run(o)
				if err != nil {
					t.Errorf("%s: %v", spec, err)
					continue
				}
				found := slices.DeleteFunc(lies(first, payload, blinding(faults)), func(lie string) bool {
					return strings.HasPrefix(lie, "the run took") && first.DurationSeconds < 9*3600 // its time limit is 8 h
				})
				if lack := protected(first.Final); first.Outcome == report.Succeeded && lack != "" {
					found = append(found, "Succeeded, and "+lack)
				}
				o.Estate, o.Faults = first.Final, nil
				o.Estate.SavedAt = Epoch
				for _, op := range o.Estate.Operations { // what hung or was cancelled goes on
					op.Stuck = false
				}
				second, err := Run(o)
				if err != nil {
					t.Errorf("%s, again: %v", spec, err)
					continue
				}
				lack := protected(second.Final)
				if strings.Contains(spec, "cancel@rds:Create") && !strings.HasSuffix(spec, "#2-") { // what has failed waits for a person; nothing is created twice
					if second.Outcome == report.Succeeded || len(second.Mutations) != 0 {
						found = append(found, fmt.Sprintf("run again: %s with %v", second.Outcome, second.Mutations))
					}
				} else if second.Outcome != report.Succeeded || lack != "" {
					found = append(found, fmt.Sprintf("run again: %s, %s: %s", second.Outcome, lack, second.Cause))
				}
				if lost := left(second.Final, payload); lost != "" && lack == "" {
					found = append(found, lost)
				}
				mu.Lock()
				ends[first.Outcome]++
				mu.Unlock()
				if len(found) > 0 {
					t.Errorf("%s: %s\n\t%s", spec, first.Outcome, strings.Join(found, "\n\t"))
				}
			}
		}()
	}
	for _, spec := range specs {
		work <- spec
	}
	close(work)
	wait.Wait()
	t.Logf("%d runs, ends: %v", len(specs), ends)
}

// left says what is missing of the data that only the old primary had: it is
// kept, or in a complete snapshot.
func left(e *Estate, payload []byte) string {
	old := e.instance(east, kept)
	if !strings.Contains(string(payload), "Delete\"") {
		if old == nil || old.Source != "" || old.Status != "available" {
			return fmt.Sprintf("the old primary is not kept: %+v", old)
		}
		return ""
	}
	whole := slices.ContainsFunc(e.Snapshots, func(s *Snapshot) bool { return s.Status == "available" && s.Instance == oldPrimary })
	if old != nil || !whole {
		return fmt.Sprintf("want no old primary and a complete snapshot of it: %+v, %+v", old, e.Snapshots)
	}
	return ""
}

func TestTwentyDatabasesGoBackTogether(t *testing.T) {
	estate := failedOver(t)
	estate.InstanceQuota = 100
	var resources []string
	for n := range 20 {
		id := fmt.Sprintf("orders-%02d", n)
		for i, region := range []string{east, west} {
			estate.Instances = append(estate.Instances, &Instance{Region: region, ID: id, Engine: "mysql", EngineVersion: "8.0.42", Class: "db.m5.large",
				Status: "available", Retention: 1, Network: tookOver("arn:aws:rds:us-east-1:111122223333:db:" + id), InstanceSettings: InstanceSettings{Created: Epoch.AddDate(-1, i, n)}})
		}
		resources = append(resources, fmt.Sprintf(`{"resourceType":"CreateRDSReadReplica","resourceName":"%s","parameters":{"RDSInstanceIdentifier":"%s","SourceRDSInstanceIdentifier":"%s","SourceRegion":"us-west-2"}}`, id, id, id))
	}
	result := failback(t, estate, []byte(`{"StatePayload":[{"layer":1,"resources":[`+strings.Join(resources, ",")+`]}]}`), "")
	if result.Outcome != report.Succeeded || total(result.Mutations) != 40 {
		t.Fatalf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
	}
	d := result.Final.Durations
	slowest := d["RenameDBInstance"] + d["CreateDBInstanceReadReplica"] + d["CatchUp"]
	if result.DurationSeconds > slowest+30 {
		t.Errorf("%.0f s for 20 databases, want at most 30 s beside the %.0f s of one", result.DurationSeconds, slowest)
	}
	if burst := busiestSecond(result.Log); burst > 10 {
		t.Errorf("%d describes in one second", burst)
	}
}

// The roles change twice: over, and back. On every way the database that is in
// use is told from the old one, and a payload that is started once too often is
// refused.
func TestThereAndBackAgain(t *testing.T) {
	promote := edited(t, "failover-replica-and-cache.json", func(doc map[string]any) {
		layer := doc["StatePayload"].([]any)[0].(map[string]any)
		layer["resources"] = layer["resources"].([]any)[:1]
	})
	protect := sample(t, "failback-replica.json")
	estate := DefaultEstate()
	for i, step := range []struct {
		payload []byte
		region  string
		leave   string // the region that the applications leave before
		want    report.Outcome
	}{
		{protect, east, "", report.Refused}, // nothing has happened yet
		{promote, west, "", report.Succeeded},
		{protect, west, "", report.Refused}, // the database in use
		{protect, east, "", report.Refused}, // the applications are still there
		{protect, east, east, report.Succeeded},
		{promote, east, "", report.Succeeded},
		{protect, east, "", report.Refused}, // the database in use
		{protect, west, west, report.Succeeded},
		{protect, west, "", report.Succeeded}, // and again
	} {
		estate.Desert(step.leave)
		result := runLab(t, Options{Payload: step.payload, Machine: catalog.Failback, Region: step.region, Estate: estate})
		if result.Outcome != step.want || step.want == report.Refused && len(result.Mutations) != 0 {
			t.Fatalf("step %d in %s: %s with %v, want %s: %s", i, step.region, result.Outcome, result.Mutations, step.want, result.Cause)
		}
		estate = result.Final
	}
	replica := estate.instance(west, newPrimary)
	if replica.Source != "arn:aws:rds:us-east-1:111122223333:db:"+oldPrimary || replica.Replication != "replicating" || estate.instance(west, newPrimary+"-old-202507050302") == nil {
		t.Errorf("in the end: %+v", replica)
	}
}
