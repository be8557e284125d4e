package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/asl"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/report"
	"dr-orchestrator/internal/succession"
)

// leg is one run of a cycle.
type leg struct {
	name, machine, region, faults string
	payload                       []byte
	changes                       bool // it has something to do
}

// cycle is a way over and back, on the estate of every day.
type cycle struct {
	name string
	legs []leg
	// databases are parts of the ARNs of which only one may take writes once a
	// fence was told.
	databases []string
}

// cycles are those of each engine: the primary's region dies, comes back, is
// protected again, gets the service back, and the other one is protected.
func cycles(t testing.TB) []cycle {
	t.Helper()
	failover := func(payload []byte) leg {
		return leg{"failover", catalog.Failover, west, "dead@region:" + east, payload, true}
	}
	in := func(region, name string, payload []byte, changes bool) leg {
		return leg{name, catalog.Failback, region, "", payload, changes}
	}
	var all []cycle
	for _, engine := range []string{"mysql", "postgres"} {
		over, back := sample(t, "failover-"+engine+".json"), sample(t, "failback-"+engine+".json")
		for _, old := range []string{"kept", "deleted"} {
			first := back
			if old == "deleted" {
				first = thatDeletes(back)
			}
			all = append(all, cycle{"RDS " + engine + ", old primary " + old, []leg{
				failover(over),
				{"the same again, for the fence", catalog.Failover, west, "", over, true},
				in(east, "failback", first, true),
				in(east, "switchback", sample(t, "switchback-"+engine+".json"), true),
				in(west, "failback the other way", back, true),
			}, []string{"db:rds-" + engine + "-instance-"}})
		}
	}
	for _, engine := range engines {
		back, again := sample(t, "failback-aurora-"+engine.name+".json"), sample(t, "switchback-aurora-"+engine.name+".json")
		detach := ofEngine(sample(t, "failover-aurora-detach.json"), engine.name)
		of := []string{"cluster:" + strings.TrimSuffix(engine.east, "1")}
		fence := leg{"the same again, for the fence", catalog.Failover, west, "", detach, true}
		all = append(all,
			cycle{"Aurora " + engine.name, []leg{
				failover(sample(t, "failover-aurora-"+engine.name+".json")), in(east, "failback", back, true), in(east, "switchback", again, true), in(west, "failback the other way", back, false),
			}, of},
			cycle{"Aurora " + engine.name + ", detached", []leg{
				failover(detach), fence, in(east, "failback", back, true), in(east, "switchback", again, true), in(west, "failback the other way", back, false),
			}, of},
			cycle{"Aurora " + engine.name + ", detached, old primary deleted", []leg{
				failover(detach), fence, in(east, "failback", thatDeletes(back), true), in(east, "switchback", again, true), in(west, "failback the other way", back, false),
			}, of})
	}
	return append(all, cycle{"ElastiCache", []leg{
		failover(sample(t, "failover-elasticache.json")), in(east, "failback", sample(t, "failback-elasticache.json"), false),
		in(east, "switchback", sample(t, "switchback-elasticache.json"), true), in(west, "failback the other way", sample(t, "failback-elasticache.json"), false),
	}, nil})
}

// thatDeletes is a failback that does not keep the old primary.
func thatDeletes(back []byte) []byte {
	return []byte(strings.Replace(string(back), `"OldPrimary": "Keep"`, `"OldPrimary": "Delete", "LiftDeletionProtection": "true"`, 1))
}

// shape is an estate as data, but for what a cycle rightly leaves behind: old
// primaries that were kept, snapshots, and of every resource when it was made,
// what the orchestrator noted on it, and how many clients it has. A replica has the backups that its
// payload asks for, those of every day have none: they count for primaries.
func shape(t testing.TB, e *Estate) map[string]any {
	t.Helper()
	c := e.Clone()
	c.Snapshots, c.ClusterSnapshots, c.Operations, c.Payloads, c.Durations = nil, nil, nil, nil, nil
	stands := func(id string) bool { return !strings.Contains(id, "-old-") }
	out := map[string]any{}
	for _, i := range c.Instances {
		if !stands(i.ID) {
			continue
		}
		i.Created, i.Restorable, i.Tags, i.Promoted, i.Clients = time.Time{}, time.Time{}, nil, nil, 0
		if i.Source != "" || i.Cluster != "" {
			i.Retention = 0
		}
		// What a secondary's instance is asked to have is said of its cluster.
		if i.Cluster != "" {
			i.Traits, i.InstanceSettings = Traits{}, InstanceSettings{}
		}
		out["instance "+i.Region+"/"+i.ID] = *i
	}
	for _, x := range c.Clusters {
		if stands(x.ID) {
			x.Created, x.Tags, x.MultiAZ, x.Clients = time.Time{}, nil, false, 0
			out["cluster "+x.Region+"/"+x.ID] = *x
		}
	}
	for _, g := range c.Globals {
		slices.SortFunc(g.Members, func(a, b GlobalMember) int { return strings.Compare(a.ARN, b.ARN) })
		out["global cluster "+g.ID] = *g
	}
	for _, g := range c.Groups {
		out["replication group "+g.Region+"/"+g.ID] = *g
	}
	for _, d := range c.Datastores {
		out["datastore "+d.ID] = *d
	}
	return out
}

// watched is a leg under the eyes of somebody who looks at every second of it.
type watched struct {
	result Result
	fenced time.Time // when a fence was told; zero: never
	both   int       // seconds with two writers since then, or since before
}

// watch runs a leg. fenced says that a fence was told on an earlier one.
func watch(t testing.TB, before *Estate, l leg, of []string, fenced bool) watched {
	t.Helper()
	clock := NewClock(Epoch)
	a := NewAccount(before.Clone(), clock, 1, faultsOf(t, l.faults))
	var out watched
	clock.Run(func() {
		e, err := a.runs.start(l.region, MachineName(l.machine), "leg", l.payload)
		if err != nil {
			t.Error(err)
			return
		}
		a.runs.observe = func(event asl.Event) {
			if out.fenced.IsZero() && bytes.Contains(event.Output, []byte(`"fence":"fenced"`)) {
				out.fenced = clock.Now()
			}
		}
		for !e.Ended.After(e.Started) {
			a.settle()
			if (fenced || !out.fenced.IsZero()) && len(writers(a.Estate, of)) > 1 {
				out.both++
			}
			clock.Sleep(time.Second)
		}
		if out.result, err = a.result(e); err != nil {
			t.Error(err)
		}
	})
	return out
}

// writers gives which of the databases take writes.
func writers(e *Estate, of []string) []string {
	return slices.DeleteFunc(e.Serving(), func(arn string) bool {
		return !slices.ContainsFunc(of, func(part string) bool { return strings.Contains(arn, part) })
	})
}

// promised gives the snapshots that a report names as those of an old primary.
func promised(r report.Record) []string {
	var all []string
	for _, layer := range r.Layers {
		for _, x := range layer.Resources {
			for key, value := range x.Evidence {
				if text, ok := value.(string); ok && strings.Contains(strings.ToLower(key), "snapshot") {
					for one := range strings.SplitSeq(text, ", ") {
						name, _, _ := strings.Cut(one, " ") // its status may follow
						all = append(all, name)
					}
				}
			}
		}
	}
	return all
}

// saved goes through a file, as between two runs of an operator.
func saved(t testing.TB, e *Estate) *Estate {
	t.Helper()
	path := filepath.Join(t.TempDir(), "estate.json")
	if err := e.Save(path); err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadEstate(path)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// later gives an estate as it is some time later: what was under way has ended.
func later(e *Estate, by time.Duration) *Estate {
	clock := NewClock(Epoch)
	a := NewAccount(e.Clone(), clock, 1, nil)
	clock.Run(func() { clock.Sleep(by) })
	return a.Snapshot()
}

// A whole cycle ends where it began: the topology is that of the start, no
// database had two writers after a fence was told, and the snapshots that a
// report named are there.
func TestFullCycleEndsWhereItBegan(t *testing.T) {
	for _, c := range cycles(t) {
		t.Run(c.name, func(t *testing.T) {
			estate := DefaultEstate()
			start, fenced, snapshots := shape(t, estate), false, 0
			for _, l := range c.legs {
				if before := writers(estate, c.databases); strings.Contains(l.name, "for the fence") && len(before) != 2 {
					t.Errorf("%s: %v take writes before it: a fence of nothing shows nothing", l.name, before)
				}
				w := watch(t, saved(t, estate), l, c.databases, fenced)
				if w.result.Outcome != report.Succeeded {
					t.Fatalf("%s: %s: %s", l.name, w.result.Outcome, w.result.Cause)
				}
				if changed := total(w.result.Mutations) > 0; changed != l.changes {
					t.Errorf("%s: mutations %v, want some: %t", l.name, w.result.Mutations, l.changes)
				}
				if w.both > 0 {
					t.Errorf("%s: two writers for %d s after a fence was told: %v", l.name, w.both, writers(w.result.Final, c.databases))
				}
				fenced = fenced || !w.fenced.IsZero()
				estate = later(w.result.Final, time.Hour)
				for _, name := range promised(w.result.Record) {
					snapshots++
					if !whole(estate, name) {
						t.Errorf("%s: the report names the snapshot %s, and there is %+v %+v", l.name, name, estate.Snapshots, estate.ClusterSnapshots)
					}
				}
			}
			if diff := cmp.Diff(start, shape(t, estate)); diff != "" {
				t.Errorf("the end is not the start (-start +end):\n%s", diff)
			}
			if wanted := strings.HasPrefix(c.name, "RDS") || strings.Contains(c.name, "detached"); wanted != fenced {
				t.Errorf("a fence was told: %t, want %t", fenced, wanted)
			}
			if wanted := strings.Contains(c.name, "deleted") || strings.HasPrefix(c.name, "Aurora") && !strings.Contains(c.name, "detached"); wanted != (snapshots > 0) {
				t.Errorf("%d snapshots were named, want some: %t", snapshots, wanted)
			}
		})
	}
}

// whole reports whether a snapshot of a name exists and is complete.
func whole(e *Estate, name string) bool {
	named := func(id string) bool { return id == name || strings.HasSuffix(name, ":"+id) }
	return slices.ContainsFunc(e.Snapshots, func(s *Snapshot) bool { return named(s.ID) && s.Status == "available" }) ||
		slices.ContainsFunc(e.ClusterSnapshots, func(s *ClusterSnapshot) bool { return named(s.ID) && s.Status == "available" })
}

// passage is how a leg went: how many states were entered and API calls made,
// and which of them were calls that change something.
type passage struct {
	steps   int
	changes []int
}

// points are those of a leg at which it is stopped: each call that changes
// something, what comes right after it, the first and the last of all, and of
// those in between each nth in turn, so that legs alike are not stopped at the
// same ones.
func (p passage) points(turn int) []int {
	var all []int
	for _, at := range p.changes {
		all = append(all, at, at+1)
	}
	for n := range atEnds {
		all = append(all, 1+n, p.steps-n)
	}
	apart := max(1, p.steps/between)
	for at := 1 + turn%apart; at <= p.steps; at += apart {
		all = append(all, at)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(at int) bool { return at < 1 || at > p.steps })
}

// How many points of a leg are taken at either end and in between, beside all
// that change something: the looks of a wait are alike.
const (
	atEnds  = 3
	between = 12
)

// stoppedLeg runs a leg, stops it when the count of states entered and API calls
// made reaches at (0: never), and runs the same payload again without faults.
func stoppedLeg(before *Estate, l leg, at int) (end *Estate, second Result, went passage, err error) {
	clock := NewClock(Epoch)
	faults, err := ParseFaults(l.faults)
	if err != nil {
		return nil, second, went, err
	}
	a := NewAccount(before.Clone(), clock, 1, faults)
	clock.Run(func() {
		var e *Execution
		if e, err = a.runs.start(l.region, MachineName(l.machine), "first", l.payload); err != nil {
			return
		}
		step := func() {
			if went.steps++; went.steps == at && e.Running() {
				a.runs.stop(e, "", "")
			}
		}
		a.onCall = func() {
			step()
			if Mutating(a.log[len(a.log)-1].Name) {
				went.changes = append(went.changes, went.steps)
			}
		}
		a.runs.observe = func(event asl.Event) {
			if event.Kind == asl.StateEntered {
				step()
			}
		}
		e.ended.Wait(0)
		if e.Result.Status == asl.StatusAborted {
			e.closed.Wait(0)
			a.onCall, a.runs.observe = nil, func(asl.Event) {}
			if e, err = a.runs.start(l.region, MachineName(l.machine), "second", l.payload); err != nil {
				return
			}
			e.ended.Wait(0)
		}
		a.onCall = nil
		second, err = a.result(e)
		clock.Sleep(time.Hour)
		a.settle()
		end = a.Snapshot()
	})
	return end, second, went, err
}

// A cycle that is stopped at a state or an API call of any of its legs, and
// carried on with by the same payload, ends the same: kept old primaries too.
func TestEveryStopOfACycleEndsTheSame(t *testing.T) {
	runs, turn := 0, 0
	for _, c := range cycles(t) {
		t.Run(c.name, func(t *testing.T) {
			estate := slowed(30)
			for _, l := range c.legs {
				calm, result, went, err := stoppedLeg(estate, l, 0)
				if err != nil || result.Outcome != report.Succeeded {
					t.Fatalf("%s: %v, %s: %s", l.name, err, result.Outcome, result.Cause)
				}
				want := topology(calm)
				queue := make(chan int)
				var wait sync.WaitGroup
				for range runtime.GOMAXPROCS(0) {
					wait.Add(1)
					go func() {
						defer wait.Done()
						for at := range queue {
							end, again, _, err := stoppedLeg(estate, l, at)
							if err != nil || again.Outcome != report.Succeeded {
								t.Errorf("%s, stopped at %d of %d, then: %v, %s: %s", l.name, at, went.steps, err, again.Outcome, again.Cause)
							} else if diff := cmp.Diff(want, topology(end)); diff != "" {
								t.Errorf("%s, stopped at %d of %d, the end differs:\n%s", l.name, at, went.steps, diff)
							}
						}
					}()
				}
				turn += 7
				points := went.points(turn)
				for _, at := range points {
					queue <- at
				}
				close(queue)
				wait.Wait()
				runs += len(points)
				t.Logf("%s: %d states and calls, %d of them change something, stopped at %d", l.name, went.steps, len(went.changes), len(points))
				estate = calm
			}
		})
	}
	t.Logf("%d cycles were stopped %d times", len(cycles(t)), runs)
}

// Where isolation cuts the replica off, too, the switchback ends within the time
// limit of its wait with nothing promoted, and a release gives the primary back.
func TestASwitchbackThatCutsReplicationEndsAndIsReleased(t *testing.T) {
	for _, engine := range []string{"mysql", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			estate := DefaultEstate()
			estate.SilentWhenIsolated = true
			primary := "arn:aws:rds:us-east-1:111122223333:db:rds-" + engine + "-instance-use1"
			result := runLab(t, Options{Payload: sample(t, "switchback-"+engine+".json"), Estate: estate})
			if result.Outcome != report.FailedDirty || result.Mutations["rds:PromoteReadReplica"] != 0 || slices.Contains(result.Final.Serving(), primary) {
				t.Fatalf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
			}
			if result.DurationSeconds > 1200 || !strings.Contains(result.Cause, "time limit") {
				t.Errorf("after %.0f s: %s", result.DurationSeconds, result.Cause)
			}
			released := runLab(t, Options{Payload: sample(t, "release-"+engine+".json"), Estate: result.Final})
			if released.Outcome != report.Succeeded || !slices.Contains(released.Final.Serving(), primary) {
				t.Fatalf("the release: %s: %s", released.Outcome, released.Cause)
			}
			// The application is stopped instead: the lag is waited for while
			// the primary can still be reached, and only then it is fenced.
			quiet := released.Final
			quiet.instance(west, "rds-"+engine+"-instance-usw2").LagSeconds = seconds(0)
			checked := runLab(t, Options{Payload: sample(t, "check-lag-"+engine+".json"), Estate: quiet})
			if checked.Outcome != report.Succeeded || total(checked.Mutations) != 0 {
				t.Fatalf("the check: %s: %s", checked.Outcome, checked.Cause)
			}
			moved := runLab(t, Options{Payload: sample(t, "failover-"+engine+".json"), Estate: checked.Final})
			if moved.Outcome != report.Succeeded || len(writers(moved.Final, []string{"db:rds-" + engine + "-instance-"})) != 1 {
				t.Errorf("the move: %s: %v: %s", moved.Outcome, moved.Final.Serving(), moved.Cause)
			}
		})
	}
}

// Databases of all kinds go back together in the time of the slowest.
func TestTwentyDatabasesOfAllKindsGoBackTogether(t *testing.T) {
	estate := lostAndBack(t, "mysql", "failover-aurora-detach.json")
	for name := range estate.Durations {
		estate.Durations[name] = defaultDurations[name]
	}
	estate.InstanceQuota = 100
	var resources []string
	for n := range 10 {
		id := fmt.Sprintf("orders-%02d", n)
		for i, region := range []string{east, west} {
			estate.Instances = append(estate.Instances, &Instance{Region: region, ID: id, Engine: "mysql", EngineVersion: "8.0.42", Class: "db.m5.large",
				Status: "available", Retention: 1, Network: tookOver("arn:aws:rds:us-east-1:111122223333:db:" + id), InstanceSettings: InstanceSettings{Created: Epoch.AddDate(-1, i, n)}})
		}
		resources = append(resources, fmt.Sprintf(`{"resourceType":"CreateRDSReadReplica","resourceName":"%s","parameters":{"RDSInstanceIdentifier":"%s","SourceRDSInstanceIdentifier":"%s","SourceRegion":"us-west-2"}}`, id, id, id))
	}
	slowest := 0.0
	for _, alone := range [][]byte{auroraBack(t, "mysql", nil), []byte(`{"StatePayload":[{"layer":1,"resources":[` + resources[0] + `]}]}`)} {
		one := runBack(t, alone, estate, "")
		if one.Outcome != report.Succeeded {
			t.Fatalf("one: %s: %s", one.Outcome, one.Cause)
		}
		slowest = max(slowest, one.DurationSeconds)
	}
	for n := range 10 {
		name := fmt.Sprintf("fleet-%02d", n)
		estate.addGlobal(name, "cluster-"+name, "aurora-mysql", "8.0.mysql_aurora.3.08.2", "3306", east, west)
		g := estate.global(name)
		g.Members = slices.DeleteFunc(g.Members, func(m GlobalMember) bool { return regionOf(m.ARN) == west })
		over := estate.cluster("arn:aws:rds:us-west-2:111122223333:cluster:cluster-" + name + "-02")
		over.LagSeconds = nil
		over.Network.Tags = map[string]string{succession.Tag: succession.Mark("arn:aws:rds:us-east-1:111122223333:cluster:cluster-"+name+"-01", Epoch, over.Created)}
		text := strings.ReplaceAll(string(auroraBack(t, "mysql", nil)), "dr-globaldb-cluster-mysql", name)
		var doc struct {
			StatePayload []struct{ Resources []json.RawMessage }
		}
		if err := json.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatal(err)
		}
		resources = append(resources, string(doc.StatePayload[0].Resources[0]))
	}
	estate.Desert(east)
	result := failback(t, estate, []byte(`{"StatePayload":[{"layer":1,"resources":[`+strings.Join(resources, ",")+`]}]}`), "")
	if result.Outcome != report.Succeeded || len(result.Layers[0].Resources) != 20 {
		t.Fatalf("%s: %s", result.Outcome, result.Cause)
	}
	t.Logf("the slowest alone takes %.0f s, all of them %.0f s", slowest, result.DurationSeconds)
	if result.DurationSeconds > slowest+30 {
		t.Errorf("%.0f s for 20 databases, want at most 30 s beside the %.0f s of the slowest", result.DurationSeconds, slowest)
	}
}
