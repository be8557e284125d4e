package lab

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/report"
)

// slowToSync is the estate of every day, in which an old primary is in sync a
// long time after a switchover or failover.
func slowToSync(after time.Duration) *Estate {
	e := DefaultEstate()
	e.Durations["Resync"] = after.Seconds()
	return e
}

// The writer moves in minutes, the old primary follows in hours: no run waits
// for that, nor fails for it, and its report tells what is not protected.
func TestNoRunWaitsUntilTheOldPrimaryIsInSync(t *testing.T) {
	for _, name := range []string{"failover-aurora-planned.json", "failover-aurora-mysql.json", "failover-three-databases.json"} {
		t.Run(name, func(t *testing.T) {
			soon := runLab(t, Options{Payload: sample(t, name), Estate: slowToSync(time.Second)})
			late := runLab(t, Options{Payload: sample(t, name), Estate: slowToSync(2 * time.Hour)})
			if late.Outcome != report.Succeeded || late.DurationSeconds != soon.DurationSeconds {
				t.Errorf("%s after %.0f s, and after %.0f s where it is in sync at once: %s", late.Outcome, late.DurationSeconds, soon.DurationSeconds, late.Cause)
			}
			told := ""
			for _, layer := range late.Record.Layers {
				for _, r := range layer.Resources {
					if strings.Contains(r.Message, "No other region is protected yet") {
						told = fmt.Sprint(r.Evidence["notConnected"])
					}
				}
			}
			if !strings.Contains(told, "us-east-1") || !strings.Contains(told, "pending-resync") {
				t.Errorf("the report tells %q", told)
			}
		})
	}
}

// Whatever on the way back needs the old primary in sync waits for it: legs that
// follow each other at once end where they began, too.
func TestEveryLegWaitsForItsOwnNeeds(t *testing.T) {
	for _, engine := range engines {
		again, back := sample(t, "switchback-aurora-"+engine.name+".json"), sample(t, "failback-aurora-"+engine.name+".json")
		planned := ofEngine(sample(t, "failover-aurora-planned.json"), engine.name)
		for name, legs := range map[string][]leg{
			"planned": {
				{"failover", catalog.Failover, west, "", planned, true},
				{"switchback", catalog.Failback, east, "", again, true},
				{"failback the other way", catalog.Failback, west, "", back, false},
			},
			"managed": {
				{"failover", catalog.Failover, west, "", sample(t, "failover-aurora-"+engine.name+".json"), true},
				{"failback", catalog.Failback, east, "", back, true},
				{"switchback", catalog.Failback, east, "", again, true},
				{"failback the other way", catalog.Failback, west, "", back, false},
			},
			"managed, without the failback": {
				{"failover", catalog.Failover, west, "", sample(t, "failover-aurora-"+engine.name+".json"), true},
				{"switchback", catalog.Failback, east, "", again, true},
				{"failback the other way", catalog.Failback, west, "", back, false},
			},
		} {
			t.Run(engine.name+", "+name, func(t *testing.T) {
				const resync = 20 * time.Minute
				estate := slowToSync(resync)
				start := shape(t, estate)
				for n, l := range legs {
					result := runLab(t, Options{Payload: l.payload, Machine: l.machine, Region: l.region, Estate: saved(t, estate)})
					if result.Outcome != report.Succeeded || total(result.Mutations) > 0 != l.changes {
						t.Fatalf("%s: %s with %v: %s", l.name, result.Outcome, result.Mutations, result.Cause)
					}
					moves := !strings.HasPrefix(l.name, "failback")
					waits := !moves || n > 0 && strings.HasPrefix(legs[n-1].name, "failover")
					if waited := result.DurationSeconds > resync.Seconds()/2; waited != waits {
						t.Errorf("%s took %.0f s of the %s that the old primary needs", l.name, result.DurationSeconds, resync)
					}
					estate = result.Final
				}
				if diff := cmp.Diff(start, shape(t, estate)); diff != "" {
					t.Errorf("the end is not the start (-start +end):\n%s", diff)
				}
			})
		}
	}
}

// A target that lacks data is not made to serve, nor is its primary fenced for
// it, unless somebody has accepted that.
func TestATargetThatLacksDataIsRefusedBeforeTheFence(t *testing.T) {
	for _, name := range []string{"failover-aurora-unplanned.json", "failover-aurora-mysql.json", "failover-aurora-detach.json"} {
		for _, disaster := range []string{"", "dead@region:" + east} {
			t.Run(name+" "+disaster, func(t *testing.T) {
				estate := DefaultEstate()
				for _, g := range estate.Globals {
					for i := range g.Members {
						if !g.Members[i].Writer {
							g.Members[i].Sync = "pending-resync"
						}
					}
				}
				payload := sample(t, name)
				refused := runLab(t, Options{Payload: payload, Estate: estate, Faults: faultsOf(t, disaster)})
				if refused.Outcome != report.Refused || total(refused.Mutations) != 0 || !strings.Contains(refused.Cause, "AcceptUnknownLag") {
					t.Errorf("%s with %v: %s", refused.Outcome, refused.Mutations, refused.Cause)
				}
				accepting := bytes.Replace(payload, []byte(`"GlobalClusterIdentifier"`), []byte(`"AcceptUnknownLag": "true", "GlobalClusterIdentifier"`), 1)
				if result := runLab(t, Options{Payload: accepting, Estate: estate, Faults: faultsOf(t, disaster)}); result.Outcome != report.Succeeded || total(result.Mutations) == 0 {
					t.Errorf("accepted: %s with %v: %s", result.Outcome, result.Mutations, result.Cause)
				}
			})
		}
	}
}
