package lagcheck

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	cachetypes "github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lag"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// account is AWS as a check meets it: one thing of each kind.
type account struct {
	instance *types.DBInstance
	cluster  *types.DBCluster
	group    *cachetypes.ReplicationGroup
	err      error
	reading  lag.Reading
	asked    []lag.Metric
}

func (a *account) DescribeDBInstances(context.Context, *rds.DescribeDBInstancesInput, ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error) {
	out := &rds.DescribeDBInstancesOutput{}
	if a.instance != nil {
		out.DBInstances = append(out.DBInstances, *a.instance)
	}
	return out, a.err
}

func (a *account) DescribeDBClusters(context.Context, *rds.DescribeDBClustersInput, ...func(*rds.Options)) (*rds.DescribeDBClustersOutput, error) {
	out := &rds.DescribeDBClustersOutput{}
	if a.cluster != nil {
		out.DBClusters = append(out.DBClusters, *a.cluster)
	}
	return out, a.err
}

func (a *account) DescribeReplicationGroups(context.Context, *elasticache.DescribeReplicationGroupsInput, ...func(*elasticache.Options)) (*elasticache.DescribeReplicationGroupsOutput, error) {
	out := &elasticache.DescribeReplicationGroupsOutput{}
	if a.group != nil {
		out.ReplicationGroups = append(out.ReplicationGroups, *a.group)
	}
	return out, a.err
}

func (a *account) Read(_ context.Context, m lag.Metric, _ time.Time) lag.Reading {
	a.asked = append(a.asked, m)
	return a.reading
}

func replica(replication string) *types.DBInstance {
	db := &types.DBInstance{DBInstanceIdentifier: aws.String("orders"), DBInstanceStatus: aws.String("available"), ReadReplicaSourceDBInstanceIdentifier: aws.String("arn:source")}
	if replication != "" {
		db.StatusInfos = []types.DBInstanceStatusInfo{{StatusType: aws.String("read replication"), Status: aws.String(replication)}}
	}
	return db
}

func secondary(engine string) *types.DBCluster {
	return &types.DBCluster{DBClusterIdentifier: aws.String("Orders"), Engine: aws.String(engine), Status: aws.String("available"),
		DBClusterMembers: []types.DBClusterMember{{IsClusterWriter: aws.Bool(false)}}}
}

func group(role string) *cachetypes.ReplicationGroup {
	g := &cachetypes.ReplicationGroup{Status: aws.String("available"), MemberClusters: []string{"orders-001", "orders-002"}}
	if role != "" {
		g.GlobalReplicationGroupInfo = &cachetypes.GlobalReplicationGroupInfo{GlobalReplicationGroupMemberRole: aws.String(role)}
	}
	return g
}

// invoke asks the function as the state machine does. A drive of nil means a
// preflight.
func invoke(t *testing.T, a *account, p Parameters, drive *action.Drive, into any) (action.Class, string) {
	t.Helper()
	encoded, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	r := action.Resource{Name: "orders", Parameters: encoded, Baseline: action.StateReady, Watched: 1}
	e := action.Envelope{Operation: action.OperationPreflight, Run: action.Run{Region: "us-west-2"}, Resources: []action.Resource{r}}
	if drive != nil {
		e = action.Envelope{Operation: action.OperationReconcile, Run: e.Run, Resource: &r, Drive: drive}
	}
	event, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	adapter := &action.Adapter[Parameters]{Reconciler: Check{RDS: a, ElastiCache: a, Lags: a}, Now: func() time.Time { return noon }, ReadOnly: true}
	answer, err := adapter.Invoke(t.Context(), event)
	var failed messages.InvokeResponse_Error
	if errors.As(err, &failed) {
		return action.Class(failed.Type), failed.Message
	}
	if err := json.Unmarshal(answer, into); err != nil {
		t.Fatal(err)
	}
	return "", ""
}

// Which metric is read of what, and when none is.
func TestWhatIsRead(t *testing.T) {
	coded := func(code string) error { return &smithy.GenericAPIError{Code: code} }
	named := func(db *types.DBInstance, change func(*types.DBInstance)) *types.DBInstance { change(db); return db }
	writer := secondary("aurora-mysql")
	writer.DBClusterMembers[0].IsClusterWriter = aws.Bool(true)
	cluster := lag.Dimension{Name: "DBClusterIdentifier", Values: []string{"orders"}}
	for _, tt := range []struct {
		name   string
		kind   string
		api    account
		metric string
		of     lag.Dimension
		class  action.Class // of what ends the check; Refused: the lag is unknown
	}{
		{"replica", KindRDS, account{instance: replica("replicating")}, "ReplicaLag", lag.Dimension{Name: "DBInstanceIdentifier", Values: []string{"orders"}}, ""},
		{"replica of a cluster", KindRDS, account{instance: named(replica("replicating"), func(db *types.DBInstance) {
			db.ReadReplicaSourceDBInstanceIdentifier, db.ReadReplicaSourceDBClusterIdentifier = nil, aws.String("arn:cluster")
		})}, "ReplicaLag", lag.Dimension{Name: "DBInstanceIdentifier", Values: []string{"orders"}}, ""},
		{"replica, stopped", KindRDS, account{instance: replica("stopped")}, "", lag.Dimension{}, action.Refused},
		{"replica, nothing shown", KindRDS, account{instance: replica("")}, "", lag.Dimension{}, action.Refused},
		{"promoted, still shown as replicating", KindRDS, account{instance: named(replica("replicating"), func(db *types.DBInstance) { db.ReadReplicaSourceDBInstanceIdentifier = nil })}, "", lag.Dimension{}, action.Refused},
		{"promoted", KindRDS, account{instance: named(replica(""), func(db *types.DBInstance) { db.ReadReplicaSourceDBInstanceIdentifier, db.StatusInfos = nil, nil })}, "", lag.Dimension{}, ""},
		{"instance of a cluster", KindRDS, account{instance: named(replica("replicating"), func(db *types.DBInstance) { db.DBClusterIdentifier = aws.String("c") })}, "", lag.Dimension{}, action.InvalidInput},
		{"no instance", KindRDS, account{}, "", lag.Dimension{}, action.NotFound},
		{"instance not found", KindRDS, account{err: coded("DBInstanceNotFound")}, "", lag.Dimension{}, action.NotFound},
		{"instances denied", KindRDS, account{err: coded("AccessDenied")}, "", lag.Dimension{}, action.Denied},
		{"instances throttled", KindRDS, account{err: coded("Throttling")}, "", lag.Dimension{}, action.Throttled},

		{"Aurora", KindAurora, account{cluster: secondary("aurora-postgresql")}, "AuroraGlobalDBReplicationLag", cluster, ""},
		{"DocumentDB", KindDocumentDB, account{cluster: secondary("docdb")}, "GlobalClusterReplicationLag", cluster, ""},
		{"Neptune", KindNeptune, account{cluster: secondary("neptune")}, "GlobalDbProgressLag", cluster, ""},
		{"DocumentDB as Aurora", KindAurora, account{cluster: secondary("docdb")}, "", lag.Dimension{}, action.InvalidInput},
		{"Aurora as Neptune", KindNeptune, account{cluster: secondary("aurora-mysql")}, "", lag.Dimension{}, action.InvalidInput},
		{"Multi-AZ cluster of RDS as Aurora", KindAurora, account{cluster: secondary("mysql")}, "", lag.Dimension{}, action.InvalidInput},
		{"Aurora that takes writes", KindAurora, account{cluster: writer}, "", lag.Dimension{}, ""},
		{"no cluster", KindAurora, account{}, "", lag.Dimension{}, action.NotFound},
		{"cluster not found", KindNeptune, account{err: coded("DBClusterNotFoundFault")}, "", lag.Dimension{}, action.NotFound},

		{"ElastiCache", KindElastiCache, account{group: group("SECONDARY")}, "GlobalDatastoreReplicationLag", lag.Dimension{Values: []string{"orders", "orders-001", "orders-002"}}, ""},
		{"ElastiCache, in lower case", KindElastiCache, account{group: group("secondary")}, "GlobalDatastoreReplicationLag", lag.Dimension{Values: []string{"orders", "orders-001", "orders-002"}}, ""},
		{"ElastiCache primary", KindElastiCache, account{group: group("PRIMARY")}, "", lag.Dimension{}, ""},
		{"ElastiCache outside a datastore", KindElastiCache, account{group: group("")}, "", lag.Dimension{}, action.Refused},
		{"no group", KindElastiCache, account{}, "", lag.Dimension{}, action.NotFound},
		{"group not found", KindElastiCache, account{err: coded("ReplicationGroupNotFoundFault")}, "", lag.Dimension{}, action.NotFound},
		{"a kind that is none", "MemoryDB", account{}, "", lag.Dimension{}, action.InvalidInput},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.api.reading = lag.Reading{Known: true, Lag: 2 * time.Second, At: noon.Add(-time.Minute)}
			p := Parameters{ReplicaKind: tt.kind, ReplicaIdentifier: "orders", MaxReplicaLagSeconds: aws.Int(10)}
			var answer action.Answer
			class, message := invoke(t, &tt.api, p, &action.Drive{StartedAt: noon, Changed: action.ChangeNo}, &answer)
			if class != tt.class || class == "" && answer.Status != action.Done {
				t.Errorf("%q %s %s, want %q", answer.Status, class, message, tt.class)
			}
			if tt.metric == "" {
				if len(tt.api.asked) > 0 {
					t.Errorf("read %+v", tt.api.asked)
				}
				return
			}
			if len(tt.api.asked) != 1 || tt.api.asked[0].Name != tt.metric {
				t.Fatalf("read %+v, want %s", tt.api.asked, tt.metric)
			}
			if diff := cmp.Diff(tt.of, tt.api.asked[0].Of); diff != "" {
				t.Errorf("of (-want +got):\n%s", diff)
			}
			if answer.Evidence["lag"] != "2s" || answer.Evidence["lagAt"] != "2026-03-01T11:59:00Z" || answer.Evidence["lagAgeSeconds"] != 60.0 || answer.Memo[action.MemoLag] != "2" {
				t.Errorf("evidence %v, memo %v", answer.Evidence, answer.Memo)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	began := noon.Add(-90 * time.Second)
	known := func(d, age time.Duration) lag.Reading {
		return lag.Reading{Known: true, Lag: d, At: noon.Add(-age)}
	}
	failed := func(class action.Class) lag.Reading { return lag.Reading{Why: "no", Err: action.Errorf(class, "no")} }
	unknown := lag.Reading{Why: "ReplicaLag has no datapoint"}
	dead := lag.Reading{Why: "ReplicaLag is -1", Stopped: true}
	const done, going = action.Done, action.InProgress
	const ready, warns, blocks = action.VerdictReady, action.VerdictWarning, action.VerdictBlocked
	for _, tt := range []struct {
		name         string
		limit        int
		accept, wait bool
		reading      lag.Reading
		status       action.Status
		class        action.Class // instead of a status
		verdict      action.Verdict
	}{
		{"within", 10, false, false, known(9*time.Second, time.Minute), done, "", ready},
		{"at the limit", 10, false, false, known(10*time.Second, time.Minute), done, "", ready},
		{"above", 10, false, false, known(11*time.Second, 0), "", action.Refused, blocks},
		{"above, unknown accepted", 10, true, false, known(11*time.Second, 0), "", action.Refused, blocks},
		{"unknown", 10, false, false, unknown, "", action.Refused, blocks},
		{"unknown, accepted", 10, true, false, unknown, done, "", warns},
		{"never read", 0, false, false, lag.Reading{}, "", action.Refused, blocks},
		{"throttled", 10, false, false, failed(action.Throttled), "", action.Throttled, blocks},
		{"throttled, accepted", 10, true, false, failed(action.Throttled), done, "", warns},
		{"unreachable", 10, false, false, failed(action.Unreachable), "", action.Unreachable, blocks},
		{"denied", 10, false, false, failed(action.Denied), "", action.Denied, blocks},
		{"nothing behind, before it began", 0, false, false, known(0, 2*time.Minute), done, "", ready},
		{"a little behind a limit of nothing", 0, false, false, known(time.Millisecond, 0), "", action.Refused, blocks},

		{"waits: within", 10, false, true, known(9*time.Second, time.Minute), done, "", ready},
		{"waits: within, from before it began", 10, false, true, known(9*time.Second, 2*time.Minute), done, "", ready},
		{"waits: above", 10, false, true, known(11*time.Second, 0), going, "", warns},
		{"waits: above, unknown accepted", 10, true, true, known(11*time.Second, 0), going, "", warns},
		{"waits: unknown", 10, false, true, unknown, going, "", warns},
		{"waits: not replicating", 10, false, true, dead, going, "", blocks},
		{"waits: not replicating, accepted", 10, true, true, dead, done, "", warns},
		{"waits: unknown, accepted", 10, true, true, unknown, done, "", warns},
		{"waits: never read", 10, false, true, lag.Reading{}, going, "", warns},
		{"waits: throttled", 10, false, true, failed(action.Throttled), going, "", warns},
		{"waits: denied", 10, false, true, failed(action.Denied), "", action.Denied, blocks},
		{"waits for nothing: since it began", 0, false, true, known(0, 89*time.Second), done, "", ready},
		{"waits for nothing: the minute in which it began", 0, false, true, known(0, 90*time.Second), going, "", ready},
		{"waits for nothing: from before it began", 0, false, true, known(0, 2*time.Minute), going, "", ready},
		{"waits for nothing: from before it began, unknown accepted", 0, true, true, known(0, 2*time.Minute), going, "", ready},
		{"waits for nothing: a little behind", 0, false, true, known(time.Millisecond, 0), going, "", warns},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &account{instance: replica("replicating"), reading: tt.reading}
			p := Parameters{ReplicaKind: KindRDS, ReplicaIdentifier: "orders", MaxReplicaLagSeconds: aws.Int(tt.limit), AcceptUnknownLag: tt.accept, Wait: tt.wait}
			// Even of a call without an answer nothing was changed.
			for _, changed := range []action.Change{action.ChangeNo, action.ChangeUnknown} {
				var answer action.Answer
				class, message := invoke(t, a, p, &action.Drive{StartedAt: began, Changed: changed, InterruptedAt: &noon}, &answer)
				if class != tt.class || answer.Status != tt.status {
					t.Fatalf("%q %s (%s%s), want %q %s", answer.Status, class, answer.Message, message, tt.status, tt.class)
				}
				if class != "" {
					continue
				}
				if answer.Changed != action.ChangeNo || answer.InterruptedAt != nil {
					t.Errorf("changed %s", answer.Changed)
				}
				if answer.Evidence["lag"] == nil || !strings.Contains(answer.Message, "lag") && tt.reading.Err == nil {
					t.Errorf("it does not tell the lag: %q, %v", answer.Message, answer.Evidence)
				}
				if (answer.Status == going) != (answer.WaitSeconds > 0) {
					t.Errorf("%s, and wait %d s", answer.Status, answer.WaitSeconds)
				}
			}
			var before action.PreflightAnswer
			if class, message := invoke(t, a, p, nil, &before); class != "" {
				t.Fatalf("preflight: %s %s", class, message)
			}
			got := before.Readiness[0]
			if got.Verdict != tt.verdict {
				t.Errorf("preflight: %q with %+v, want %q", got.Verdict, got.Findings, tt.verdict)
			}
			if wantAsk := tt.verdict == blocks && action.Passing(tt.class); (before.Unanswered > 0) != wantAsk {
				t.Errorf("preflight: %d unanswered", before.Unanswered)
			}
			if (got.Lag != nil) != tt.reading.Known && tt.verdict != blocks {
				t.Errorf("preflight: lag %v", got.Lag)
			}
		})
	}
}

// Replication that does not run keeps a run from beginning, but for that of a
// replica that may be on its way to be promoted.
func TestReplicationThatDoesNotRunBlocks(t *testing.T) {
	for _, tt := range []struct {
		replication, status string
		wait                bool
		verdict             action.Verdict
	}{
		{"replicating", "available", true, action.VerdictReady},
		{"error", "available", true, action.VerdictBlocked},
		{"stopped", "available", true, action.VerdictBlocked},
		{"terminated", "available", true, action.VerdictBlocked},
		{"", "available", true, action.VerdictBlocked},
		{"error", "storage-optimization", true, action.VerdictBlocked},
		{"error", "modifying", true, action.VerdictWarning},
		{"error", "modifying", false, action.VerdictBlocked},
	} {
		db := replica(tt.replication)
		db.DBInstanceStatus = aws.String(tt.status)
		p := Parameters{ReplicaKind: KindRDS, ReplicaIdentifier: "orders", MaxReplicaLagSeconds: aws.Int(10), Wait: tt.wait}
		var answer action.PreflightAnswer
		class, message := invoke(t, &account{instance: db, reading: lag.Reading{Known: true, At: noon}}, p, nil, &answer)
		if class != "" || answer.Readiness[0].Verdict != tt.verdict {
			t.Errorf("%+v: %s %s %+v", tt, class, message, answer.Readiness)
		}
	}
}

// An idle source of PostgreSQL lets the lag go up to five minutes and back: the
// wait for a lag of nothing asks whether something from after its beginning was
// replayed. No other limit, engine or check asks that.
func TestWaitForAnIdlePostgreSQL(t *testing.T) {
	began := noon.Add(-10 * time.Minute)
	stands := lag.Reading{Why: "no fresh datapoint", Lag: 4 * time.Minute, At: noon.Add(-5 * time.Minute)}
	for _, tt := range []struct {
		name    string
		engine  string
		limit   int
		wait    bool
		reading lag.Reading
		status  action.Status
		class   action.Class
	}{
		{"replayed up to after it began", "postgres", 0, true, lag.Reading{Known: true, Lag: 4*time.Minute + 59*time.Second, At: noon.Add(-5 * time.Minute)}, action.Done, ""},
		{"replayed up to when it began", "postgres", 0, true, lag.Reading{Known: true, Lag: 5 * time.Minute, At: noon.Add(-5 * time.Minute)}, action.InProgress, ""},
		{"replayed up to before it began", "postgres", 0, true, lag.Reading{Known: true, Lag: time.Hour, At: noon}, action.InProgress, ""},
		{"nothing behind, since it began", "postgres", 0, true, lag.Reading{Known: true, At: noon}, action.Done, ""},
		{"nothing behind, from before it began", "postgres", 0, true, lag.Reading{Known: true, At: began}, action.InProgress, ""},
		{"not known", "postgres", 0, true, stands, action.InProgress, ""},
		{"another limit counts as it stands", "postgres", 60, true, lag.Reading{Known: true, Lag: 2 * time.Minute, At: noon}, action.InProgress, ""},
		{"a check that does not wait", "postgres", 0, false, lag.Reading{Known: true, Lag: 2 * time.Minute, At: noon}, "", action.Refused},
		{"another engine", "mysql", 0, true, lag.Reading{Known: true, Lag: 2 * time.Minute, At: noon}, action.InProgress, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := replica("replicating")
			db.Engine = aws.String(tt.engine)
			p := Parameters{ReplicaKind: KindRDS, ReplicaIdentifier: "orders", MaxReplicaLagSeconds: aws.Int(tt.limit), Wait: tt.wait}
			var answer action.Answer
			class, message := invoke(t, &account{instance: db, reading: tt.reading}, p, &action.Drive{StartedAt: began, Changed: action.ChangeNo}, &answer)
			if answer.Status != tt.status || class != tt.class {
				t.Errorf("%q %s (%s%s), want %q %s", answer.Status, class, answer.Message, message, tt.status, tt.class)
			}
		})
	}
}
