package lab

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/report"
)

// Two whole cycles of detaching an Aurora cluster and protecting it again, one
// after the other. After each half, what is run in the wrong region, or for the
// wrong one, is refused and nothing is changed: the database that serves stays.
func TestAuroraThereAndBackAgain(t *testing.T) {
	for _, engine := range engines {
		detach := ofEngine(sample(t, "failover-aurora-detach.json"), engine.name)
		protect := sample(t, "failback-aurora-"+engine.name+".json")
		remove, back := thatDeletes(protect), sample(t, "switchback-aurora-"+engine.name+".json")
		t.Run(engine.name, func(t *testing.T) {
			estate := DefaultEstate()
			run := func(what string, payload []byte, region string, want report.Outcome, changes bool) {
				t.Helper()
				result := runLab(t, Options{Payload: payload, Machine: catalog.Failback, Region: region, Estate: estate.Clone()})
				if result.Outcome != want || changes != (total(result.Mutations) > 0) || !changes && len(result.Begun) > 0 {
					t.Fatalf("%s in %s: %s with %v, want %s: %s", what, region, result.Outcome, result.Mutations, want, result.Cause)
				}
				if changes {
					estate = result.Final
				}
			}
			serving := func(cluster, region string) {
				t.Helper()
				of := []string{"cluster:" + engine.east, "cluster:" + engine.west}
				now := slices.DeleteFunc(writers(estate, of), func(arn string) bool { return strings.Contains(arn, "-old-") })
				if want := []string{"arn:aws:rds:" + region + ":111122223333:cluster:" + cluster}; !slices.Equal(now, want) {
					t.Fatalf("%v serve, want %v", now, want)
				}
			}
			// Nothing has failed over yet.
			run("failback", protect, east, report.Refused, false)
			run("failback", remove, east, report.Refused, false)
			for range 2 {
				for _, half := range []struct{ here, there, cluster string }{{west, east, engine.west}, {east, west, engine.east}} {
					run("detach", detach, half.here, report.Succeeded, true)
					run("detach again", detach, half.here, report.Succeeded, false)
					run("failback of what serves", protect, half.here, report.Refused, false)
					run("failback of what serves, deleting", remove, half.here, report.Refused, false)
					run("switchback to what was left behind", back, half.there, report.Refused, false)
					run("switchback to what was detached", back, half.here, report.Refused, false)
					run("failback", protect, half.there, report.Succeeded, true)
					run("failback again", protect, half.there, report.Succeeded, false)
					run("failback of what serves", protect, half.here, report.Refused, false)
					run("failback of what serves, deleting", remove, half.here, report.Refused, false)
					run("switchback to what serves", back, half.here, report.Succeeded, false)
					serving(half.cluster, half.here)
				}
			}
			kept := 0
			for _, c := range estate.Clusters {
				if strings.Contains(c.ID, "-old-") {
					kept++
				}
			}
			if kept != 4 {
				t.Errorf("%d old primaries are kept, want all 4", kept)
			}
		})
	}
}

// A failback that was stopped when its global cluster was gone goes on by the
// mark; where somebody else has deleted the global cluster, by the name of the
// old primary, and by no other.
func TestAnOldPrimaryWithoutAGlobalCluster(t *testing.T) {
	const oldCluster, newCluster = "arn:aws:rds:us-east-1:111122223333:cluster:dbcluster-01", "arn:aws:rds:us-west-2:111122223333:cluster:dbcluster-02"
	byHand := func() *Estate {
		estate := lostAndBack(t, "mysql", "failover-aurora-detach.json")
		estate.Globals = slices.DeleteFunc(estate.Globals, func(g *GlobalCluster) bool { return g.ID == "dr-globaldb-cluster-mysql" })
		return estate
	}
	remade := func() *Estate {
		estate := lostAndBack(t, "mysql", "failover-aurora-detach.json")
		estate.global("dr-globaldb-cluster-mysql").Members = []GlobalMember{{ARN: newCluster, Writer: true, Sync: "connected"}}
		return estate
	}
	interrupted := func() *Estate {
		result := runBack(t, sample(t, "failback-aurora.json"), lostAndBack(t, "mysql", "failover-aurora-detach.json"), "error@rds:ModifyDBInstance")
		if result.Outcome != report.FailedDirty || result.Final.global("dr-globaldb-cluster-mysql") != nil {
			t.Fatalf("the interruption: %s: %s", result.Outcome, result.Cause)
		}
		return result.Final
	}
	for _, old := range []map[string]any{{}, deleting} {
		for _, tt := range []struct {
			name   string
			estate func() *Estate
			named  string
			want   report.Outcome
		}{
			{"marked", interrupted, "", report.Succeeded},
			{"neither", byHand, "", report.Refused},
			{"named", byHand, oldCluster, report.Succeeded},
			{"another is named", byHand, newCluster, report.FailedClean},
			{"the global cluster made again by hand", remade, "", report.Refused},
			{"the global cluster made again by hand, named", remade, oldCluster, report.Succeeded},
		} {
			parameters := maps.Clone(old)
			if tt.named != "" {
				parameters["OldDBClusterArn"] = tt.named
			}
			estate := tt.estate()
			before := topology(estate)
			result := runBack(t, auroraBack(t, "mysql", parameters), estate, "")
			if result.Outcome != tt.want {
				t.Errorf("%s, %v: %s, want %s: %s", tt.name, old, result.Outcome, tt.want, result.Cause)
			}
			if diff := cmp.Diff(before, topology(result.Final)); (diff == "") != (tt.want != report.Succeeded) {
				t.Errorf("%s, %v: %s, and the estate (-before +after):\n%s", tt.name, old, result.Outcome, diff)
			}
		}
	}
}

// Where the old primary is, and up to when its data reach, is in the report of
// the run that ends the way, also where another run has moved it.
func TestTheReportKnowsTheOldPrimaryOfAnotherRun(t *testing.T) {
	for _, tt := range []struct {
		parameters map[string]any
		evidence   string
		want       string
	}{
		{nil, "oldPrimaryKeptAs", "dbcluster-01-old-202503010930"},
		{deleting, "oldPrimarySnapshot", "dbcluster-01-final-20260105030000"},
	} {
		for _, fault := range []string{"", "error@rds:CreateGlobalCluster", "kill@rds:CreateDBCluster#1", "error@rds:CreateDBInstance"} {
			payload, lost := auroraBack(t, "mysql", tt.parameters), lostAndBack(t, "mysql", "failover-aurora-detach.json")
			first := runBack(t, payload, lost, fault)
			last := runBack(t, payload, first.Final, "")
			again := runBack(t, payload, last.Final, "")
			for _, result := range []Result{last, again} {
				e, message := result.Record.Layers[0].Resources[0].Evidence, result.Record.Layers[0].Resources[0].Message
				only := fmt.Sprint(e["writesOnlyThere"])
				if result.Outcome != report.Succeeded || e[tt.evidence] != tt.want || !strings.Contains(only, "in:"+tt.want) || !strings.Contains(only, "until:2026-01-05T") || !strings.Contains(message, tt.want) {
					t.Errorf("%v after %q: %s, %s is %v, and writes are only in %s; %s", tt.parameters, fault, result.Outcome, tt.evidence, e[tt.evidence], only, message)
				}
			}
		}
	}
}

// A managed failover whose target is the writer of a global cluster without any
// other member ends well, with a warning: the other region may be gone for good,
// or have been detached and serve.
func TestAWriterWithoutASecondaryIsToldOf(t *testing.T) {
	estate := lostAndBack(t, "mysql", "failover-aurora-detach.json")
	alone := runLab(t, Options{Payload: sample(t, "failover-aurora-mysql.json"), Region: east, Estate: estate})
	followed := runLab(t, Options{Payload: sample(t, "failover-aurora-mysql.json"), Region: east, Estate: DefaultEstate()})
	for result, want := range map[*Result]bool{&alone: true, &followed: false} {
		r := result.Record.Layers[0].Resources[0]
		told := strings.Contains(fmt.Sprint(r.Findings), "has no secondary") && strings.Contains(r.Message, "has no secondary")
		if result.Outcome != report.Succeeded || total(result.Mutations) != 0 || told != want {
			t.Errorf("%s with %v, told of %t, want %t: %v; %s", result.Outcome, result.Mutations, told, want, r.Findings, r.Message)
		}
	}
}

// A cluster that somebody took out of its global cluster by hand looks like one
// that was detached and serves, and the one it left like an old primary. Nothing
// is touched in either region, by a failback or by a failover that fences, but
// what an operator names.
func TestAClusterTakenOutByHandProvesNothing(t *testing.T) {
	const global, eastern, western = "dr-globaldb-cluster-mysql", "arn:aws:rds:us-east-1:111122223333:cluster:dbcluster-01", "arn:aws:rds:us-west-2:111122223333:cluster:dbcluster-02"
	takenOut := func(estate *Estate, arn string) *Estate {
		g := estate.global(global)
		g.Members = slices.DeleteFunc(g.Members, func(m GlobalMember) bool { return m.ARN == arn })
		return estate
	}
	for name, estate := range map[string]*Estate{
		"the old primary, after a managed failover": takenOut(lostAndBack(t, "mysql", "failover-aurora-mysql.json"), eastern),
		"the secondary, to be built anew":           takenOut(DefaultEstate(), western),
	} {
		before := topology(estate)
		for _, region := range []string{east, west} {
			for _, payload := range []string{"failback-aurora-mysql.json", "failback-aurora.json", "failover-aurora-detach.json"} {
				machine := catalog.Failback
				if strings.HasPrefix(payload, "failover") {
					machine = catalog.Failover
				}
				result := runLab(t, Options{Payload: sample(t, payload), Machine: machine, Region: region, Estate: estate.Clone()})
				if result.Outcome == report.Succeeded || len(result.Begun) != 0 {
					t.Errorf("%s, %s in %s: %s with %v", name, payload, region, result.Outcome, result.Mutations)
				}
				if diff := cmp.Diff(before, topology(result.Final)); diff != "" {
					t.Errorf("%s, %s in %s changed (-before +after):\n%s", name, payload, region, diff)
				}
			}
		}
	}
	over := takenOut(lostAndBack(t, "mysql", "failover-aurora-mysql.json"), eastern)
	named := runBack(t, auroraBack(t, "mysql", map[string]any{"OldDBClusterArn": eastern}), over, "")
	if named.Outcome != report.Succeeded {
		t.Errorf("the old primary is named: %s: %s", named.Outcome, named.Cause)
	}
}
