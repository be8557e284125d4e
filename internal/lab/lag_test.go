package lab

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/report"
)

// kinds are the replicas that have a lag, each in an estate of its own.
var kinds = map[string]struct {
	id  string
	set func(e *Estate, seconds *float64, age float64)
	// act is the entry that acts on the replica, with a limit in place of
	// LIMIT; empty: no action of this product does.
	act string
}{
	"RDS": {"rds-mysql-instance-usw2", func(e *Estate, s *float64, age float64) {
		i := e.instance("us-west-2", "rds-mysql-instance-usw2")
		i.LagSeconds, i.LagAge = s, age
	}, `{"resourceType":"PromoteRDSReadReplica","resourceName":"x","parameters":{"RDSInstanceIdentifier":"rds-mysql-instance-usw2",
		"TargetClusterIdentifier":"arn:aws:rds:us-west-2:111122223333:db:rds-mysql-instance-usw2"LIMIT}}`},
	"Aurora": {"dbcluster-02", setCluster(""), `{"resourceType":"UnPlannedFailoverAurora","resourceName":"x","parameters":{"GlobalClusterIdentifier":"dr-globaldb-cluster-mysql",
		"DBClusterIdentifier":"arn:aws:rds:us-west-2:111122223333:cluster:dbcluster-02","ClusterRegion":"us-west-2"LIMIT}}`},
	"DocumentDB": {"dbcluster-02", setCluster("docdb"), ""},
	"Neptune":    {"dbcluster-02", setCluster("neptune"), ""},
	"ElastiCache": {"demo-redis-cluster", func(e *Estate, s *float64, age float64) {
		for _, g := range e.Groups {
			if g.Region == "us-west-2" {
				g.LagSeconds, g.LagAge = s, age
			}
		}
	}, `{"resourceType":"FailoverElastiCacheCluster","resourceName":"x","parameters":{"GlobalReplicationGroupId":"ldgnf-demo-redis-global-datastore",
		"TargetRegion":"us-west-2","TargetReplicationGroupId":"demo-redis-cluster"LIMIT}}`},
}

func setCluster(engine string) func(e *Estate, s *float64, age float64) {
	return func(e *Estate, s *float64, age float64) {
		for _, c := range e.Clusters {
			if c.ID == "dbcluster-01" || c.ID == "dbcluster-02" {
				if engine != "" {
					c.Engine = engine
				}
				if c.Region == "us-west-2" {
					c.LagSeconds, c.LagAge = s, age
				}
			}
		}
	}
}

func payloadOf(entries ...string) []byte {
	return []byte(`{"StatePayload":[{"layer":1,"resources":[` + strings.Join(entries, ",") + `]}]}`)
}

func checking(kind, id string, more ...string) string {
	return fmt.Sprintf(`{"resourceType":"CheckReplicaLag","resourceName":"check","parameters":{"ReplicaKind":%q,"ReplicaIdentifier":%q%s}}`, kind, id, strings.Join(more, ""))
}

// Every kind, every lag, with a limit of 10 s: what is known and within passes,
// what is unknown only where that is accepted, what is known and above never.
func TestLagsOfEveryKind(t *testing.T) {
	const limit, accept = `,"MaxReplicaLagSeconds":"10"`, `,"AcceptUnknownLag":"true"`
	for kind, k := range kinds {
		for _, tt := range []struct {
			name             string
			lag              *float64
			age              float64
			passes, accepted bool
			faults           string
		}{
			{"fine", seconds(2), 0, true, true, ""},
			{"at the limit", seconds(10), 0, true, true, ""},
			{"above", seconds(11), 0, false, false, ""},
			{"not replicating", seconds(-1), 0, false, true, ""},
			{"none", nil, 0, false, true, ""},
			{"not so fresh", seconds(2), 180, true, true, ""},
			{"stale", seconds(2), lag.MaxAge.Seconds() + 90, false, true, ""},
			{"out of sight", seconds(2), 4 * 3600, false, true, ""},
			{"CloudWatch does not answer", seconds(2), 0, false, true, "error@cloudwatch:*"},
			{"CloudWatch fails once", seconds(2), 0, true, true, "error@cloudwatch:GetMetricData#1"},
		} {
			t.Run(kind+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				for _, more := range []string{limit, limit + accept} {
					want := tt.passes
					if more != limit {
						want = tt.accepted
					}
					entries := []string{checking(kind, k.id, more)}
					if k.act != "" {
						entries = append(entries, strings.Replace(k.act, "LIMIT", more, 1))
					}
					for i, entry := range entries {
						estate := DefaultEstate()
						k.set(estate, tt.lag, tt.age)
						payload := payloadOf(entry)
						result := runLab(t, Options{Payload: payload, Estate: estate, Faults: faultsOf(t, tt.faults)})
						if (result.Outcome == report.Succeeded) != want || !want && total(result.Mutations) > 0 {
							t.Fatalf("%s: %s with %v: %s", more, result.Outcome, result.Mutations, result.Cause)
						}
						if changes := i == 1 && want; total(result.Mutations) > 0 != changes {
							t.Errorf("%s: mutations %v", more, result.Mutations)
						}
						if !want && tt.faults == "" && result.Outcome != report.Refused {
							t.Errorf("%s: %s, want Refused: %s", more, result.Outcome, result.Cause)
						}
						if !want && !strings.Contains(result.Cause, "Lag") {
							t.Errorf("%s: the cause does not tell of a lag: %s", more, result.Cause)
						}
						r := result.Record.Layers[0].Resources[0]
						if known := r.LagSeconds != nil; want && known != tt.passes || known && *r.LagSeconds != *tt.lag {
							t.Errorf("%s: the report has the lag %v", more, r.LagSeconds)
						}
						untrue(t, result, payload)
					}
				}
			})
		}
	}
}

// Without a limit the action goes ahead, and the report says that nobody knows
// how much is lost.
func TestAnUnknownLagIsReported(t *testing.T) {
	for kind, k := range kinds {
		if k.act == "" {
			continue
		}
		for _, known := range []bool{true, false} {
			estate := DefaultEstate()
			k.set(estate, nil, 0)
			if known {
				k.set(estate, seconds(2), 0)
			}
			result := runLab(t, Options{Payload: payloadOf(strings.Replace(k.act, "LIMIT", "", 1)), Estate: estate})
			r := result.Record.Layers[0].Resources[0]
			warned := slices.ContainsFunc(r.Findings, func(f action.Finding) bool {
				return f.Verdict == action.VerdictWarning && strings.HasPrefix(f.Message, action.LagUnknown)
			})
			if result.Outcome != report.Succeeded || warned == known || (r.LagSeconds != nil) != known {
				t.Errorf("%s, known %t: %s with lag %v and %+v", kind, known, result.Outcome, r.LagSeconds, r.Findings)
			}
			if text := result.Record.Text(); strings.Contains(text, "(RPO) is not known") == known || strings.Contains(text, "(RPO) 2 s") != known {
				t.Errorf("%s, known %t: %s", kind, known, text)
			}
		}
	}
}

// The lags of shards are found by the names of their nodes.
func TestLagOfShards(t *testing.T) {
	k := kinds["ElastiCache"]
	estate := DefaultEstate()
	for _, g := range estate.Groups {
		g.Nodes = []string{g.ID + "-0001-001", g.ID + "-0001-002", g.ID + "-0002-001"}
	}
	payload := payloadOf(strings.Replace(k.act, "LIMIT", `,"MaxReplicaLagSeconds":"10"`, 1))
	for _, tt := range []struct {
		seconds float64
		want    report.Outcome
	}{{2, report.Succeeded}, {11, report.Refused}} {
		estate := estate.Clone()
		k.set(estate, &tt.seconds, 0)
		if result := runLab(t, Options{Payload: payload, Estate: estate}); result.Outcome != tt.want {
			t.Errorf("%g s: %s: %s", tt.seconds, result.Outcome, result.Cause)
		}
	}
}

// A check that waits sees the writes end: the lag must have been measured after
// it began, and one that stays ends it at its time limit.
func TestACheckWaits(t *testing.T) {
	wait := func(limit string) []byte {
		return payloadOf(checking("RDS", kinds["RDS"].id, `,"MaxReplicaLagSeconds":"`+limit+`"`, `,"Wait":"true"`))
	}
	for _, tt := range []struct {
		name    string
		limit   string
		lag     *float64
		age     float64
		outcome report.Outcome
		polls   func(int) bool
	}{
		{"within", "10", seconds(2), 0, report.Succeeded, func(n int) bool { return n == 1 }},
		{"none left: a later datapoint is waited for", "0", seconds(0), 0, report.Succeeded, func(n int) bool { return n > 1 }},
		{"none left, by datapoints that come late", "0", seconds(0), 120, report.Succeeded, func(n int) bool { return n > 20 }},
		{"above", "10", seconds(11), 0, report.FailedClean, func(n int) bool { return n > 100 }},
		{"unknown", "10", nil, 0, report.FailedClean, func(n int) bool { return n > 100 }},
		{"not replicating", "10", seconds(-1), 0, report.Refused, func(n int) bool { return n == 0 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			estate := DefaultEstate()
			kinds["RDS"].set(estate, tt.lag, tt.age)
			result := runLab(t, Options{Payload: wait(tt.limit), Estate: estate})
			r := result.Layers[0].Resources[0]
			if result.Outcome != tt.outcome || !tt.polls(r.Polls) || r.Changed || total(result.Mutations) > 0 {
				t.Errorf("%s after %d polls, changed %t: %s", result.Outcome, r.Polls, r.Changed, result.Cause)
			}
			untrue(t, result, wait(tt.limit))
		})
	}
}

// What is checked may be what another entry of the payload changes, and takes
// no lock.
func TestAChecksLayerIsRefusedBeforeTheNextOneBegins(t *testing.T) {
	estate := DefaultEstate()
	kinds["Aurora"].set(estate, seconds(600), 0)
	result := runLab(t, Options{Payload: sample(t, "failover-checked-replica.json"), Estate: estate})
	if result.Outcome != report.Refused || total(result.Mutations) != 0 {
		t.Errorf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
	}
}

// Whatever breaks under a check, the run ends in the truth: nothing was changed
// by it.
func TestEveryFaultOfACheckEndsInTheTruth(t *testing.T) {
	payload := payloadOf(checking("RDS", kinds["RDS"].id, `,"MaxReplicaLagSeconds":"10"`, `,"Wait":"true"`), checking("ElastiCache", kinds["ElastiCache"].id, `,"MaxReplicaLagSeconds":"10"`))
	if !json.Valid(payload) {
		t.Fatal("the payload is no JSON")
	}
	sweep(t, payload, faultsOfActions(t, slowed(30), payload))
}
