package lab

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/report"
	"dr-orchestrator/internal/succession"
)

// naming is a failback that says which the old primary is.
func naming(payload []byte, arn string) []byte {
	return []byte(strings.Replace(string(payload), `"OldPrimary": "Keep"`, `"OldPrimary": "Keep", "OldDBInstanceArn": "`+arn+`"`, 1))
}

func arnOf(region, engine string) string {
	return "arn:aws:rds:" + region + ":111122223333:db:rds-" + engine + "-instance-" + shortRegion[region]
}

// trial runs a payload on a copy of an estate, and gives what it left.
func trial(t *testing.T, what string, e *Estate, machine, region string, payload []byte, want report.Outcome) *Estate {
	t.Helper()
	result := runLab(t, Options{Payload: payload, Machine: machine, Region: region, Estate: e.Clone()})
	if result.Outcome != want {
		t.Fatalf("%s: %s, want %s: %s", what, result.Outcome, want, result.Cause)
	}
	diff := cmp.Diff(topology(e), topology(result.Final))
	if want == report.Refused && (total(result.Mutations) > 0 || len(result.Begun) > 0 || diff != "") {
		t.Errorf("%s: refused with %v:\n%s", what, result.Mutations, diff)
	}
	return result.Final
}

// A replica that was promoted by hand, perhaps for a drill, has not taken over:
// its source may serve. A tag or the name of the old primary says that it has.
func TestAReplicaPromotedByHandHasNotTakenOver(t *testing.T) {
	for _, engine := range []string{"mysql", "postgres"} {
		over, back := sample(t, "failover-"+engine+".json"), sample(t, "failback-"+engine+".json")
		drilled := DefaultEstate()
		i := drilled.instanceOf(arnOf(west, engine))
		i.Source, i.Replication, i.LagSeconds, i.Retention = "", "", nil, 7
		trial(t, "failover", drilled, catalog.Failover, west, over, report.Refused)
		trial(t, "failback", drilled, catalog.Failback, east, back, report.Refused)
		trial(t, "failback, deleting", drilled, catalog.Failback, east, thatDeletes(back), report.Refused)
		trial(t, "failback of the wrong one", drilled, catalog.Failback, west, back, report.Refused)

		done := trial(t, "failback, named", drilled, catalog.Failback, east, naming(back, arnOf(east, engine)), report.Succeeded)
		if fresh := done.instanceOf(arnOf(east, engine)); fresh == nil || fresh.Source != arnOf(west, engine) {
			t.Errorf("%s: the replica is %+v", engine, fresh)
		}
		trial(t, "failback again", done, catalog.Failback, east, back, report.Succeeded)

		i.Tags = map[string]string{succession.PromotedTag: succession.PromotedNote(arnOf(east, engine), Epoch.Add(-time.Minute))}
		trial(t, "failover, tagged by hand, while applications are connected", drilled, catalog.Failover, west, over, report.Refused)
		trial(t, "failback, tagged by hand, while applications are connected", drilled, catalog.Failback, east, back, report.Refused)
		inUse := trial(t, "failover, fenced in use", drilled, catalog.Failover, west, fencedInUse(over), report.Succeeded)
		if now := writers(inUse, []string{"db:rds-" + engine + "-instance-"}); !cmp.Equal(now, []string{arnOf(west, engine)}) {
			t.Errorf("%v serve", now)
		}
		drilled.Desert(east)
		fenced := trial(t, "failover, tagged by hand", drilled, catalog.Failover, west, over, report.Succeeded)
		if now := writers(fenced, []string{"db:rds-" + engine + "-instance-"}); !cmp.Equal(now, []string{arnOf(west, engine)}) {
			t.Errorf("%v serve", now)
		}
		trial(t, "failback, tagged by hand", drilled, catalog.Failback, east, back, report.Succeeded)
	}
}

// fencedInUse is a payload whose fences are for a primary that is in use.
func fencedInUse(payload []byte) []byte {
	return []byte(strings.ReplaceAll(string(payload), `"PrimaryRegion"`, `"FenceInUse": "true", "PrimaryRegion"`))
}

// A drill by this product leaves the mark of a failover, and the applications
// where they were: what they are connected to is neither fenced, renamed nor
// deleted. Once they have left it, it is the old primary.
func TestADrillIsNoFailover(t *testing.T) {
	only := func(name, kind string) []byte {
		return edited(t, name, func(doc map[string]any) {
			for _, layer := range doc["StatePayload"].([]any) {
				for _, r := range layer.(map[string]any)["resources"].([]any) {
					if r.(map[string]any)["resourceType"] == kind {
						layer.(map[string]any)["resources"] = []any{r}
						doc["StatePayload"] = []any{layer}
						return
					}
				}
			}
		})
	}
	type story struct {
		drill, over, back []byte
		of                string // what is served
		serves            string // by this, before and after the drill
	}
	var stories []story
	for _, engine := range []string{"mysql", "postgres"} {
		stories = append(stories, story{only("failover-"+engine+".json", "PromoteRDSReadReplica"), sample(t, "failover-"+engine+".json"), sample(t, "failback-"+engine+".json"), "db:rds-" + engine + "-instance-", arnOf(east, engine)})
	}
	for _, engine := range engines {
		detach := ofEngine(sample(t, "failover-aurora-detach.json"), engine.name)
		var doc map[string]any
		if err := json.Unmarshal(detach, &doc); err != nil {
			t.Fatal(err)
		}
		doc["StatePayload"] = doc["StatePayload"].([]any)[1:] // without the fence
		alone, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		stories = append(stories, story{alone, detach, auroraBack(t, engine.name, nil), "cluster:" + strings.TrimSuffix(engine.east, "1"), "arn:aws:rds:us-east-1:111122223333:cluster:" + engine.east})
	}
	for _, s := range stories {
		drilled := trial(t, "drill", DefaultEstate(), catalog.Failover, west, s.drill, report.Succeeded)
		if now := writers(drilled, []string{s.of}); len(now) != 2 {
			t.Fatalf("after the drill %v take writes", now)
		}
		trial(t, s.serves+": failback", drilled, catalog.Failback, east, s.back, report.Refused)
		trial(t, s.serves+": failback, deleting", drilled, catalog.Failback, east, thatDeletes(s.back), report.Refused)
		trial(t, s.serves+": failover", drilled, catalog.Failover, west, s.over, report.Refused)
		drilled.Desert(east)
		trial(t, s.serves+": failback, when it is deserted", drilled, catalog.Failback, east, s.back, report.Succeeded)
		fenced := trial(t, s.serves+": failover, when it is deserted", drilled, catalog.Failover, west, s.over, report.Succeeded)
		if now := writers(fenced, []string{s.of}); len(now) != 1 || now[0] == s.serves {
			t.Errorf("%v serve", now)
		}
	}
}

// A copy that a drill left behind is no recovery: with a limit of lag the run is
// refused when the drill is long over, and without one people are told.
func TestACopyOfADrillIsNoRecovery(t *testing.T) {
	last := func(name string) []byte {
		return edited(t, name, func(doc map[string]any) {
			layers := doc["StatePayload"].([]any)
			layer := layers[len(layers)-1].(map[string]any)
			layer["resources"] = layer["resources"].([]any)[:1]
			doc["StatePayload"] = []any{layer}
		})
	}
	for _, tt := range []struct {
		drill      []byte
		name, when string
	}{
		{last("failover-mysql.json"), `"RDSInstanceIdentifier"`, "promotedBefore"},
		{last("failover-aurora-detach.json"), `"GlobalClusterIdentifier"`, "detachedBefore"},
	} {
		limited := []byte(strings.Replace(string(tt.drill), tt.name, `"MaxReplicaLagSeconds": "30", `+tt.name, 1))
		drilled := trial(t, "drill", DefaultEstate(), catalog.Failover, west, tt.drill, report.Succeeded)
		trial(t, "the same day, with a limit", drilled, catalog.Failover, west, limited, report.Succeeded)
		drilled.SavedAt = drilled.SavedAt.AddDate(0, 0, 10)
		trial(t, "days later, with a limit", drilled, catalog.Failover, west, limited, report.Refused)
		result := runLab(t, Options{Payload: tt.drill, Estate: drilled})
		x := result.Record.Layers[0].Resources[0]
		text := result.Record.Text()
		if result.Outcome != report.Succeeded || x.Changed || x.Evidence[tt.when] == nil || !strings.Contains(text, "left over from a drill") || strings.Index(text, "left over from a drill") > strings.Index(text, "Direct the applications") {
			t.Errorf("%s: %+v\n%s", result.Outcome, x, text)
		}
	}
}

// What is fenced takes no writes, whatever AWS calls it: it is no recovery, also
// where the region that it was fenced from is silent by now.
func TestAFencedDatabaseTakesNothingOver(t *testing.T) {
	fence := func(parameters string) []byte {
		return fenceOf(strings.NewReplacer("us-east-1", "us-west-2", "use1", "usw2", "usw2", "use1").Replace(parameters))
	}
	over := runLab(t, Options{Payload: sample(t, "failover-mysql.json"), Faults: faultsOf(t, "dead@region:"+east)}).Final
	back := trial(t, "failback", over, catalog.Failback, east, sample(t, "failback-mysql.json"), report.Succeeded)
	fenced := trial(t, "fence", back, catalog.Failover, east, fence(anInstance), report.Succeeded)
	for name, payload := range map[string][]byte{
		"failover": sample(t, "failover-mysql.json"), "the promotion alone": edited(t, "failover-mysql.json", func(doc map[string]any) {
			doc["StatePayload"] = doc["StatePayload"].([]any)[1:]
		}),
	} {
		result := runLab(t, Options{Payload: payload, Region: west, Estate: fenced, Faults: faultsOf(t, "dead@region:"+east)})
		if result.Outcome != report.Refused || total(result.Mutations) > 0 || !strings.Contains(result.Cause, "Method Release") {
			t.Errorf("%s: %s with %v: %s", name, result.Outcome, result.Mutations, result.Cause)
		}
	}
}

// After a switchover of Oracle the older database may be the one that took over
// from the younger. Neither a fence nor a failback goes by their age.
func TestOracleDatabasesKeepTheirAge(t *testing.T) {
	oracle := func(name string) []byte {
		return []byte(strings.ReplaceAll(string(sample(t, name)), "rds-mysql-instance", "rds-oracle-instance"))
	}
	over, back := oracle("failover-mysql.json"), oracle("failback-mysql.json")
	promote := []byte(`{"StatePayload":[{"layer":1,"resources":[{"resourceType":"PromoteRDSReadReplica","resourceName":"promote","parameters":{"RDSInstanceIdentifier":"rds-oracle-instance-use1","TargetClusterIdentifier":"` + arnOf(east, "oracle") + `"}}]}]}`)
	estate := trial(t, "switchover", DefaultEstate(), catalog.Failover, west, sample(t, "failover-oracle.json"), report.Succeeded)
	lost := runLab(t, Options{Payload: promote, Region: east, Estate: estate, Faults: faultsOf(t, "dead@region:us-west-2")})
	if lost.Outcome != report.Succeeded {
		t.Fatalf("the promotion: %s: %s", lost.Outcome, lost.Cause)
	}
	estate = lost.Final
	// East took over and serves, and west, which is younger, is back.
	trial(t, "failover to what was lost", estate, catalog.Failover, west, over, report.Refused)
	trial(t, "failback of what serves", estate, catalog.Failback, east, back, report.Refused)
	trial(t, "failback, nothing named", estate, catalog.Failback, west, back, report.Refused)
	trial(t, "failback, another region named", estate, catalog.Failback, west, naming(back, strings.Replace(arnOf(west, "oracle"), west, east, 1)), report.Refused)
	done := trial(t, "failback, named", estate, catalog.Failback, west, naming(back, arnOf(west, "oracle")), report.Succeeded)
	if fresh := done.instanceOf(arnOf(west, "oracle")); fresh == nil || fresh.Source != arnOf(east, "oracle") {
		t.Errorf("the replica is %+v", fresh)
	}
}

// A run that is stopped before it has tagged what it promoted leaves a database
// that has to be told of: the same payload ends well, and the failback wants the
// old primary named. A redrive knows what it did.
func TestStoppedBeforeTheTag(t *testing.T) {
	l := leg{"failover", catalog.Failover, west, "dead@region:" + east, sample(t, "failover-mysql.json"), true}
	_, _, calm, err := stoppedLeg(DefaultEstate(), l, 0)
	if err != nil || len(calm.changes) != 2 {
		t.Fatalf("%v: changes at %v, want a promotion and its tag", err, calm.changes)
	}
	end, second, _, err := stoppedLeg(DefaultEstate(), l, calm.changes[0]+1)
	if i := end.instanceOf(arnOf(west, "mysql")); err != nil || second.Outcome != report.Succeeded || i.Source != "" || i.Tags[succession.PromotedTag] != "" {
		t.Fatalf("%v, %s: %s; %+v", err, second.Outcome, second.Cause, i)
	}
	back := sample(t, "failback-mysql.json")
	trial(t, "failback", end, catalog.Failback, east, back, report.Refused)
	trial(t, "failback, named", end, catalog.Failback, east, naming(back, arnOf(east, "mysql")), report.Succeeded)

	payload := sample(t, "failover-replica-and-cache.json")
	for _, at := range stoppedThen(t, payload, 0, func(*stoppable) {}).acts {
		for _, at := range []int{at, at + 1} {
			var result Result
			s := stoppedThen(t, payload, at, func(s *stoppable) { result = s.redrive() })
			if tag := s.Estate.instanceOf(arnOf(west, "mysql")).Tags[succession.PromotedTag]; result.Outcome != report.Succeeded || !strings.HasPrefix(tag, arnOf(east, "mysql")+" ") {
				t.Errorf("stopped at %d and redriven: %s, the tag is %q: %s", at, result.Outcome, tag, result.Cause)
			}
		}
	}
}
