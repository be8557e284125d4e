package replica

import (
	"net"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lag"
)

var (
	parameters = PromoteParameters{RDSInstanceIdentifier: "orders", TargetClusterIdentifier: replicaARN}
	limited    = PromoteParameters{RDSInstanceIdentifier: "orders", TargetClusterIdentifier: replicaARN, Limit: lag.Limit{MaxReplicaLagSeconds: aws.Int(10)}}
	noBackups  = PromoteParameters{RDSInstanceIdentifier: "orders", TargetClusterIdentifier: replicaARN, BackupRetentionPeriod: aws.Int(0)}
	backedUp   = PromoteParameters{RDSInstanceIdentifier: "orders", TargetClusterIdentifier: replicaARN, BackupRetentionPeriod: aws.Int(7), PreferredBackupWindow: "03:00-03:30"}
)

// What is special about an instance.
func replicating(status string) func(*types.DBInstance) {
	return func(db *types.DBInstance) {
		db.StatusInfos = []types.DBInstanceStatusInfo{{StatusType: aws.String("read replication"), Status: aws.String(status)}}
	}
}

func unshown(db *types.DBInstance) { db.StatusInfos = nil }

func ofCluster(db *types.DBInstance) {
	db.ReadReplicaSourceDBClusterIdentifier = aws.String("arn:aws:rds:us-east-1:111122223333:cluster:multi-az")
	replicating("replicating")(db)
}

func inCluster(db *types.DBInstance) {
	db.Engine, db.DBClusterIdentifier = aws.String("aurora-mysql"), aws.String("secondary-cluster")
}

func elsewhere(db *types.DBInstance) {
	db.DBInstanceArn = aws.String("arn:aws:rds:us-west-2:999999999999:db:orders")
}

// step is one invocation: what AWS shows and answers, and what must come of it.
type step struct {
	after   time.Duration // since the invocation before
	sees    types.DBInstance
	fails   error // of the describe
	sends   error // answer to a mutating call
	status  action.Status
	class   action.Class // instead of a status
	changed action.Change
	calls   int // mutating calls in this invocation
}

func TestPromotion(t *testing.T) {
	var (
		idle      = instance("available", sourceARN, 0)
		modifying = instance("modifying", sourceARN, 0)
		rebooting = instance("rebooting", "", 1)
		backingUp = instance("backing-up", "", 1)
		alone     = instance("available", "", 1)
		dialError = &smithyhttp.RequestSendError{Err: &net.OpError{Op: "dial", Err: net.ErrClosed}}
		lostError = &smithyhttp.RequestSendError{Err: &net.OpError{Op: "read", Err: net.ErrClosed}}
	)
	const going, done = action.InProgress, action.Done
	for _, tt := range []struct {
		name     string
		p        PromoteParameters
		baseline action.State
		lag      func(a *account)
		steps    []step
	}{
		{"done, and tagged in the same look", parameters, action.StateReady, nil, []step{
			{sees: idle, status: going, changed: action.ChangeYes, calls: 1},
			{after: 20 * time.Second, sees: alone, status: done, changed: action.ChangeYes, calls: 1},
		}},
		{"done, every phase seen", parameters, action.StateReady, nil, []step{
			{sees: idle, status: going, changed: action.ChangeYes, calls: 1},
			{after: 5 * time.Second, sees: idle, status: going, changed: action.ChangeYes},                // an old state
			{after: 5 * time.Second, sees: modifying, status: going, changed: action.ChangeYes, calls: 1}, // the tag
			{after: 5 * time.Second, sees: rebooting, status: going, changed: action.ChangeYes},
			{after: 5 * time.Second, sees: backingUp, status: going, changed: action.ChangeYes},
			{after: 5 * time.Second, sees: alone, status: done, changed: action.ChangeYes},
		}},
		{"already done", parameters, action.StateDone, nil, []step{{sees: alone, status: done, changed: action.ChangeNo}}},
		{"already done, with the retention asked for", backedUp, action.StateDone, nil, []step{{sees: instance("available", "", 7), status: done, changed: action.ChangeNo}}},
		{"under way already, by someone else", parameters, action.StateUnderWay, nil, []step{
			{sees: rebooting, status: going, changed: action.ChangeNo},
			{after: time.Minute, sees: alone, status: done, changed: action.ChangeNo},
		}},
		{"busy with something else, which was a promotion", parameters, action.StateBusy, nil, []step{
			{sees: modifying, status: going, changed: action.ChangeNo},
			{after: time.Minute, sees: alone, status: done, changed: action.ChangeNo},
		}},
		{"promoted since the preflight: perhaps by this run, begun a second time", parameters, action.StateReady, nil, []step{
			{sees: alone, status: done, changed: action.ChangeUnknown},
		}},
		{"busy with something else, then ours without an answer", parameters, action.StateBusy, nil, []step{
			{sees: modifying, status: going, changed: action.ChangeNo},
			{after: time.Minute, sees: idle, sends: serverError(), class: action.OutcomeUnknown, changed: action.ChangeUnknown, calls: 1},
			{after: 5 * time.Second, sees: modifying, status: going, changed: action.ChangeUnknown},
			{after: time.Minute, sees: alone, status: done, changed: action.ChangeYes},
		}},
		{"under way, then off it, then ours without an answer", parameters, action.StateUnderWay, nil, []step{
			{sees: modifying, status: going, changed: action.ChangeNo},
			{after: time.Minute, sees: idle, sends: serverError(), class: action.OutcomeUnknown, changed: action.ChangeUnknown, calls: 1},
			{after: time.Minute, sees: alone, status: done, changed: action.ChangeUnknown},
		}},
		{"replica of a Multi-AZ cluster", parameters, action.StateReady, nil, []step{
			{sees: instance("available", "", 0, ofCluster), status: going, changed: action.ChangeYes, calls: 1},
			{after: time.Minute, sees: alone, status: done, changed: action.ChangeYes, calls: 1},
		}},
		{"member of a cluster", parameters, action.StateReady, nil, []step{{sees: instance("available", "", 0, inCluster), class: action.Refused, changed: action.ChangeNo}}},
		{"reader of a cluster", parameters, action.StateReady, nil, []step{{sees: instance("available", sourceARN, 0, inCluster), class: action.Refused, changed: action.ChangeNo}}},
		{"another ARN", parameters, action.StateReady, nil, []step{{sees: instance("available", sourceARN, 0, elsewhere), class: action.InvalidInput, changed: action.ChangeNo}}},
		// An empty identifier lists the instances of the region, which may be one.
		{"no identifier", PromoteParameters{TargetClusterIdentifier: replicaARN}, action.StateReady, nil, []step{{sees: idle, class: action.InvalidInput, changed: action.ChangeNo}}},
		{"no ARN", PromoteParameters{RDSInstanceIdentifier: "orders"}, action.StateReady, nil, []step{{sees: idle, class: action.InvalidInput, changed: action.ChangeNo}}},
		{"waits for a backup, then promotes", parameters, action.StateReady, nil, []step{
			{sees: instance("backing-up", sourceARN, 0), status: going, changed: action.ChangeNo},
			{after: time.Minute, sees: idle, status: going, changed: action.ChangeYes, calls: 1},
		}},

		{"lag within the limit", limited, action.StateReady, func(a *account) { a.lags(10, noon, time.Minute) }, []step{{sees: idle, status: going, changed: action.ChangeYes, calls: 1}}},
		{"lag above the limit", limited, action.StateReady, func(a *account) { a.lags(10.5, noon, time.Minute) }, []step{{sees: idle, class: action.Refused, changed: action.ChangeNo}}},
		{"lag unknown with a limit", limited, action.StateReady, func(a *account) { a.lags(0, noon, -1) }, []step{{sees: idle, class: action.Refused, changed: action.ChangeNo}}},
		{"not replicating, with a limit", limited, action.StateReady, func(a *account) { a.lags(-1, noon, time.Minute) }, []step{{sees: idle, class: action.Refused, changed: action.ChangeNo}}},
		{"stale lag with a limit", limited, action.StateReady, func(a *account) { a.lags(0, noon, 6*time.Minute) }, []step{{sees: idle, class: action.Refused, changed: action.ChangeNo}}},
		{"lag denied, with a limit", limited, action.StateReady, func(a *account) { a.metric.err = coded("AccessDenied") }, []step{{sees: idle, class: action.Denied, changed: action.ChangeNo}}},
		// What it last published says nothing of now.
		{"replication in error, with a limit", limited, action.StateReady, nil, []step{{sees: instance("available", sourceARN, 0, replicating("error")), class: action.Refused, changed: action.ChangeNo}}},
		{"replication not shown, with a limit", limited, action.StateReady, nil, []step{{sees: instance("available", sourceARN, 0, unshown), class: action.Refused, changed: action.ChangeNo}}},
		{"replication in error, without a limit", parameters, action.StateReady, nil, []step{{sees: instance("available", sourceARN, 0, replicating("error")), status: going, changed: action.ChangeYes, calls: 1}}},
		{"lag not answered, with a limit", limited, action.StateReady, func(a *account) { a.metric.err = coded("Throttling") }, []step{{sees: idle, class: action.Throttled, changed: action.ChangeNo}}},
		{"lag not answered, without a limit", parameters, action.StateReady, func(a *account) { a.metric.err = coded("Throttling") }, []step{{sees: idle, status: going, changed: action.ChangeYes, calls: 1}}},
		{"lag unknown without a limit", parameters, action.StateReady, func(a *account) { a.lags(0, noon, -1) }, []step{{sees: idle, status: going, changed: action.ChangeYes, calls: 1}}},
		{"lag denied, without a limit", parameters, action.StateReady, func(a *account) { a.metric.err = coded("AccessDenied") }, []step{{sees: idle, status: going, changed: action.ChangeYes, calls: 1}}},
		{"no lag is asked of what stands alone", limited, action.StateDone, func(a *account) { a.lags(0, noon, -1) }, []step{{sees: alone, status: done, changed: action.ChangeNo}}},

		{"throttled", parameters, action.StateReady, nil, []step{
			{sees: idle, sends: coded("Throttling"), class: action.Throttled, changed: action.ChangeNo, calls: 1},
			{after: time.Second, sees: idle, status: going, changed: action.ChangeYes, calls: 1},
		}},
		{"answer lost, it had its effect", parameters, action.StateReady, nil, []step{
			{sees: idle, sends: serverError(), class: action.OutcomeUnknown, changed: action.ChangeUnknown, calls: 1},
			{after: time.Second, sees: idle, status: going, changed: action.ChangeUnknown},          // an old state
			{after: 4 * time.Second, sees: modifying, status: going, changed: action.ChangeUnknown}, // by whom is not seen
			{after: 20 * time.Second, sees: alone, status: done, changed: action.ChangeYes},
		}},
		{"answer lost, it had no effect", parameters, action.StateReady, nil, []step{
			{sees: idle, sends: lostError, class: action.OutcomeUnknown, changed: action.ChangeUnknown, calls: 1},
			{after: time.Second, sees: idle, status: going, changed: action.ChangeUnknown},
			{after: time.Minute, sees: idle, status: going, changed: action.ChangeYes, calls: 1},
		}},
		{"answer lost, done at the next look", parameters, action.StateReady, nil, []step{
			{sees: idle, sends: serverError(), class: action.OutcomeUnknown, changed: action.ChangeUnknown, calls: 1},
			{after: time.Minute, sees: alone, status: done, changed: action.ChangeYes},
		}},
		{"not even sent", parameters, action.StateReady, nil, []step{
			{sees: idle, sends: dialError, class: action.Unreachable, changed: action.ChangeNo, calls: 1},
			{after: time.Second, sees: idle, status: going, changed: action.ChangeYes, calls: 1},
		}},
		{"conflict, then visible", parameters, action.StateReady, nil, []step{
			{sees: idle, sends: coded("InvalidDBInstanceState"), status: going, changed: action.ChangeUnknown, calls: 1},
			{after: 4 * time.Second, sees: modifying, status: going, changed: action.ChangeUnknown},
			{after: time.Minute, sees: alone, status: done, changed: action.ChangeYes},
		}},
		{"conflict, of someone else's modification", parameters, action.StateReady, nil, []step{
			{sees: idle, sends: coded("InvalidDBInstanceState"), status: going, changed: action.ChangeUnknown, calls: 1},
			{after: 4 * time.Second, sees: modifying, status: going, changed: action.ChangeUnknown},
			{after: time.Minute, sees: instance("failed", sourceARN, 0), class: action.Terminal, changed: action.ChangeUnknown},
		}},
		{"conflict, which is over before it is believed", parameters, action.StateReady, nil, []step{
			{sees: idle, sends: coded("InvalidDBInstanceState"), status: going, changed: action.ChangeUnknown, calls: 1},
			{after: 5*time.Minute - time.Second, sees: idle, sends: coded("InvalidDBInstanceState"), status: going, changed: action.ChangeUnknown, calls: 1},
			{after: time.Second, sees: idle, status: going, changed: action.ChangeYes, calls: 1},
		}},
		{"conflict while storage is optimized, which takes hours", parameters, action.StateReady, nil, []step{
			{sees: instance("storage-optimization", sourceARN, 0), sends: coded("InvalidDBInstanceState"), status: going, changed: action.ChangeUnknown, calls: 1},
			{after: time.Hour, sees: instance("storage-optimization", sourceARN, 0), sends: coded("InvalidDBInstanceState"), status: going, changed: action.ChangeUnknown, calls: 1},
			{after: time.Hour, sees: idle, status: going, changed: action.ChangeYes, calls: 1},
		}},
		{"conflicts of two calls do not add up", backedUp, action.StateReady, nil, []step{
			{sees: idle, sends: coded("InvalidDBInstanceState"), status: going, changed: action.ChangeUnknown, calls: 1},
			{after: 4 * time.Minute, sees: idle, status: going, changed: action.ChangeYes, calls: 1},
			{after: time.Minute, sees: modifying, status: going, changed: action.ChangeYes, calls: 1},
			{after: 9 * time.Minute, sees: alone, sends: coded("InvalidDBInstanceState"), status: going, changed: action.ChangeYes, calls: 1},
			{after: 4 * time.Second, sees: alone, status: going, changed: action.ChangeYes, calls: 1},
		}},
		{"a value that the state makes wrong, by an old read", parameters, action.StateReady, nil, []step{
			{sees: idle, sends: coded("InvalidParameterValue"), status: going, changed: action.ChangeUnknown, calls: 1},
			{after: 4 * time.Second, sees: alone, status: done, changed: action.ChangeYes},
		}},
		{"a value that stays wrong", parameters, action.StateReady, nil, []step{
			{sees: idle, sends: coded("InvalidParameterValue"), status: going, changed: action.ChangeUnknown, calls: 1},
			{after: 20 * time.Second, sees: idle, sends: coded("InvalidParameterValue"), class: action.InvalidInput, changed: action.ChangeUnknown, calls: 1},
		}},
		{"denied", parameters, action.StateReady, nil, []step{{sees: idle, sends: coded("AccessDenied"), class: action.Denied, changed: action.ChangeNo, calls: 1}}},
		{"never began", parameters, action.StateReady, nil, []step{
			{sees: idle, status: going, changed: action.ChangeYes, calls: 1},
			{after: 20 * time.Second, sees: idle, status: going, changed: action.ChangeYes},
			{after: 10 * time.Minute, sees: idle, class: action.Terminal, changed: action.ChangeYes},
		}},

		{"retention is set after the promotion", backedUp, action.StateReady, nil, []step{
			{sees: idle, status: going, changed: action.ChangeYes, calls: 1},
			{after: 56 * time.Second, sees: alone, status: going, changed: action.ChangeYes, calls: 1}, // the tag
			{after: 4 * time.Second, sees: alone, status: going, changed: action.ChangeYes, calls: 1},
			{after: 4 * time.Second, sees: instance("available", "", 1, func(db *types.DBInstance) {
				db.PendingModifiedValues = &types.PendingModifiedValues{BackupRetentionPeriod: aws.Int32(7)}
			}), status: going, changed: action.ChangeYes},
			{after: 4 * time.Second, sees: instance("backing-up", "", 7), status: going, changed: action.ChangeYes},
			{after: time.Minute, sees: instance("available", "", 7), status: done, changed: action.ChangeYes},
		}},
		{"more retention than asked for is kept", backedUp, action.StateDone, nil, []step{{sees: instance("available", "", 35), status: done, changed: action.ChangeNo}}},
		{"no backups asked for: those there are kept", noBackups, action.StateDone, nil, []step{{sees: instance("available", "", 35), status: done, changed: action.ChangeNo}}},
		{"retention, throttled", backedUp, action.StateReady, nil, []step{
			{sees: alone, sends: coded("Throttling"), class: action.Throttled, changed: action.ChangeNo, calls: 1},
			{after: time.Second, sees: alone, status: going, changed: action.ChangeYes, calls: 1},
		}},
		{"retention, answer lost, it had its effect", backedUp, action.StateReady, nil, []step{
			{sees: alone, sends: serverError(), class: action.OutcomeUnknown, changed: action.ChangeUnknown, calls: 1},
			{after: time.Second, sees: alone, status: going, changed: action.ChangeUnknown}, // an old state
			{after: 4 * time.Second, sees: instance("modifying", "", 1), status: going, changed: action.ChangeYes},
			{after: time.Minute, sees: instance("available", "", 7), status: done, changed: action.ChangeYes},
		}},
		{"retention, answer lost, it had no effect", backedUp, action.StateReady, nil, []step{
			{sees: alone, sends: serverError(), class: action.OutcomeUnknown, changed: action.ChangeUnknown, calls: 1},
			{after: time.Minute, sees: alone, status: going, changed: action.ChangeYes, calls: 1},
		}},
		{"retention, never began", backedUp, action.StateReady, nil, []step{
			{sees: alone, status: going, changed: action.ChangeYes, calls: 1},
			{after: 20 * time.Second, sees: alone, status: going, changed: action.ChangeYes},
			{after: 5*time.Minute - time.Second, sees: alone, status: going, changed: action.ChangeYes},
			{after: time.Second, sees: alone, class: action.Terminal, changed: action.ChangeYes},
		}},

		{"failed for good", parameters, action.StateReady, nil, []step{{sees: instance("storage-full", sourceARN, 0), class: action.Terminal, changed: action.ChangeNo}}},
		{"unknown status", parameters, action.StateReady, nil, []step{{sees: instance("pondering", sourceARN, 0), status: going, changed: action.ChangeNo}}},
		{"absent", parameters, action.StateReady, nil, []step{{fails: coded("DBInstanceNotFound"), class: action.NotFound, changed: action.ChangeNo}}},
		{"describe throttled", parameters, action.StateReady, nil, []step{{fails: coded("Throttling"), class: action.Throttled, changed: action.ChangeNo}}},
		{"describe without an answer", parameters, action.StateReady, nil, []step{{fails: serverError(), class: action.Unreachable, changed: action.ChangeNo}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, tt.p, tt.baseline)
			for n, s := range tt.steps {
				m.now = m.now.Add(s.after)
				m.account.lags(1, m.now, time.Minute)
				if tt.lag != nil {
					tt.lag(&m.account)
				}
				m.account.shows(s.sees)
				m.account.describe.err = s.fails
				m.account.promote.err, m.account.modify.err, m.account.tag.err = s.sends, s.sends, s.sends
				before := m.account.mutations()
				answer, class := m.drive(t)
				if class != s.class || answer.Status != s.status {
					t.Fatalf("step %d: %q %s (%s), want %q %s", n, answer.Status, class, answer.Message, s.status, s.class)
				}
				if got := m.event.Drive.Changed; got != s.changed {
					t.Errorf("step %d: changed %s, want %s", n, got, s.changed)
				}
				if got := m.account.mutations() - before; got != s.calls {
					t.Fatalf("step %d: %d mutating calls, want %d", n, got, s.calls)
				}
				if s.status == going && answer.WaitSeconds < 1 {
					t.Errorf("step %d: does not wait", n)
				}
			}
		})
	}
}

// A promotion that AWS turns away again and again says the same of a change
// each time.
func TestPromotionConflictChanged(t *testing.T) {
	m := newMachine(t, parameters, action.StateReady)
	m.account.shows(instance("available", sourceARN, 0))
	m.account.promote.err = coded("InvalidDBInstanceState")
	for look := range 6 {
		if _, class := m.drive(t); class != "" || m.event.Drive.Changed != action.ChangeUnknown {
			t.Fatalf("look %d: class %q, changed %s", look, class, m.event.Drive.Changed)
		}
		m.now = m.now.Add(4 * time.Second)
		m.account.lags(1, m.now, time.Minute)
	}
}

// A conflict that stays ends the resource, and no invocation calls twice.
func TestPromotionConflictStays(t *testing.T) {
	m := newMachine(t, parameters, action.StateReady)
	m.account.shows(instance("available", sourceARN, 0))
	m.account.promote.err = coded("InvalidDBInstanceState")
	for looks := 1; ; looks++ {
		answer, class := m.drive(t)
		if got := m.account.mutations(); got > looks {
			t.Fatalf("%d calls in %d invocations", got, looks)
		}
		if class == action.Conflict {
			break
		}
		if class != "" || answer.Status != action.InProgress || looks > 500 {
			t.Fatalf("look %d: %q %s", looks, answer.Status, class)
		}
		m.now = m.now.Add(time.Duration(answer.WaitSeconds) * time.Second)
		m.account.lags(1, m.now, time.Minute)
	}
	if after := m.now.Sub(noon); len(m.account.promote.asks) < 2 || after < time.Minute || after > 10*time.Minute {
		t.Errorf("the conflict was believed after %d calls and %s", len(m.account.promote.asks), after)
	}
}

func TestPromotionInput(t *testing.T) {
	for _, tt := range []struct {
		name string
		p    PromoteParameters
		want rds.PromoteReadReplicaInput
	}{
		{"plain", parameters, rds.PromoteReadReplicaInput{DBInstanceIdentifier: aws.String("orders")}},
		{"with backups", backedUp, rds.PromoteReadReplicaInput{
			DBInstanceIdentifier: aws.String("orders"), BackupRetentionPeriod: aws.Int32(7), PreferredBackupWindow: aws.String("03:00-03:30"),
		}},
		{"without backups", noBackups, rds.PromoteReadReplicaInput{DBInstanceIdentifier: aws.String("orders"), BackupRetentionPeriod: aws.Int32(0)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, tt.p, action.StateReady)
			m.account.shows(instance("available", sourceARN, 0))
			answer, _ := m.drive(t)
			if diff := cmp.Diff([]rds.PromoteReadReplicaInput{tt.want}, m.account.promote.asks, cmpopts.IgnoreUnexported(rds.PromoteReadReplicaInput{})); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
			if answer.Memo[action.MemoLag] != "1" {
				t.Errorf("the lag before the promotion is not in the memo: %v", answer.Memo)
			}
			if len(m.account.modify.asks) > 0 {
				t.Error("it was modified, too")
			}
		})
	}
	t.Run("retention afterwards", func(t *testing.T) {
		m := newMachine(t, backedUp, action.StateReady)
		m.account.shows(instance("available", "", 1))
		m.drive(t)
		if len(m.account.promote.asks) != 0 || len(m.account.modify.asks) != 1 {
			t.Fatalf("%d promotions, %d modifications", len(m.account.promote.asks), len(m.account.modify.asks))
		}
		in := m.account.modify.asks[0]
		if aws.ToString(in.DBInstanceIdentifier) != "orders" || aws.ToInt32(in.BackupRetentionPeriod) != 7 || !aws.ToBool(in.ApplyImmediately) ||
			aws.ToString(in.PreferredBackupWindow) != "03:00-03:30" {
			t.Errorf("asked for %+v", in)
		}
	})
	t.Run("lag of this replica", func(t *testing.T) {
		m := newMachine(t, limited, action.StateReady)
		m.account.shows(instance("available", sourceARN, 0))
		m.drive(t)
		metric := m.account.metric.asks[0].MetricDataQueries[0].MetricStat.Metric
		if aws.ToString(metric.Namespace) != "AWS/RDS" || aws.ToString(metric.MetricName) != "ReplicaLag" || len(metric.Dimensions) != 1 ||
			aws.ToString(metric.Dimensions[0].Name) != "DBInstanceIdentifier" || aws.ToString(metric.Dimensions[0].Value) != "orders" {
			t.Errorf("metric %+v", metric)
		}
		if id := aws.ToString(m.account.describe.asks[0].DBInstanceIdentifier); id != "orders" {
			t.Errorf("described %q", id)
		}
	})
}

func TestPromotionPreflight(t *testing.T) {
	lag := func(value float64, age time.Duration) func(*account) {
		return func(a *account) { a.lags(value, noon, age) }
	}
	for _, tt := range []struct {
		name     string
		p        PromoteParameters
		sees     types.DBInstance
		fails    error
		lag      func(*account)
		verdict  action.Verdict
		class    action.Class
		observed action.State
	}{
		{"ready", limited, instance("available", sourceARN, 0), nil, nil, action.VerdictReady, "", action.StateReady},
		// Whether it ever was a replica, nobody can see.
		{"already done", limited, instance("available", "", 1), nil, nil, action.VerdictWarning, "", action.StateDone},
		{"already done, other backups", backedUp, instance("available", "", 1), nil, nil, action.VerdictWarning, "", action.StateReady},
		{"under way", parameters, instance("rebooting", "", 1), nil, nil, action.VerdictWarning, "", action.StateUnderWay},
		{"busy", parameters, instance("modifying", sourceARN, 1), nil, nil, action.VerdictWarning, "", action.StateBusy},
		{"replica of a Multi-AZ cluster", parameters, instance("available", "", 0, ofCluster), nil, nil, action.VerdictReady, "", action.StateReady},
		{"member of a cluster", parameters, instance("available", "", 0, inCluster), nil, nil, action.VerdictBlocked, action.Refused, action.StateUnknown},
		{"no identifier", PromoteParameters{}, instance("available", sourceARN, 0), nil, nil, action.VerdictBlocked, action.InvalidInput, action.StateUnknown},
		{"lag not answered, with a limit", limited, instance("available", sourceARN, 0), nil, func(a *account) { a.metric.err = coded("Throttling") }, action.VerdictBlocked, action.Throttled, action.StateUnknown},
		{"lag not answered, without a limit", parameters, instance("available", sourceARN, 0), nil, func(a *account) { a.metric.err = coded("Throttling") }, action.VerdictWarning, "", action.StateReady},
		{"lag above the limit", limited, instance("available", sourceARN, 0), nil, lag(11, 0), action.VerdictBlocked, action.Refused, action.StateReady},
		{"lag unknown with a limit", limited, instance("available", sourceARN, 0), nil, lag(0, -1), action.VerdictBlocked, action.Refused, action.StateReady},
		{"lag -1 with a limit", limited, instance("available", sourceARN, 0), nil, lag(-1, 0), action.VerdictBlocked, action.Refused, action.StateReady},
		{"lag stale, with a limit", limited, instance("available", sourceARN, 0), nil, lag(0, 6*time.Minute), action.VerdictBlocked, action.Refused, action.StateReady},
		{"lag unknown without a limit", parameters, instance("available", sourceARN, 0), nil, lag(0, -1), action.VerdictWarning, "", action.StateReady},
		{"replication in error", parameters, instance("available", sourceARN, 0, replicating("error")), nil, nil, action.VerdictWarning, "", action.StateReady},
		{"replication in error, with a limit", limited, instance("available", sourceARN, 0, replicating("error")), nil, nil, action.VerdictBlocked, action.Refused, action.StateReady},
		{"replication not shown", parameters, instance("available", sourceARN, 0, unshown), nil, nil, action.VerdictWarning, "", action.StateReady},
		{"replication not shown, with a limit", limited, instance("available", sourceARN, 0, unshown), nil, nil, action.VerdictBlocked, action.Refused, action.StateReady},
		{"lag denied, with a limit", limited, instance("available", sourceARN, 0), nil, func(a *account) { a.metric.err = coded("AccessDenied") }, action.VerdictBlocked, action.Denied, action.StateReady},
		{"during a backup", parameters, instance("backing-up", sourceARN, 0), nil, nil, action.VerdictWarning, "", action.StateReady},
		{"unknown status", parameters, instance("pondering", sourceARN, 0), nil, nil, action.VerdictBlocked, action.Refused, action.StateUnknown},
		{"failed", parameters, instance("failed", sourceARN, 0), nil, nil, action.VerdictBlocked, action.Terminal, action.StateUnknown},
		{"another ARN", parameters, instance("available", sourceARN, 0, elsewhere), nil, nil, action.VerdictBlocked, action.InvalidInput, action.StateUnknown},
		{"another ARN, already done", parameters, instance("available", "", 0, elsewhere), nil, nil, action.VerdictBlocked, action.InvalidInput, action.StateUnknown},
		{"absent", parameters, types.DBInstance{}, coded("DBInstanceNotFound"), nil, action.VerdictBlocked, action.NotFound, action.StateUnknown},
		{"denied", parameters, types.DBInstance{}, coded("AccessDenied"), nil, action.VerdictBlocked, action.Denied, action.StateUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, tt.p, "")
			m.account.shows(tt.sees)
			m.account.describe.err = tt.fails
			if tt.lag != nil {
				tt.lag(&m.account)
			}
			m.event.Operation, m.event.Resources = action.OperationPreflight, []action.Resource{*m.event.Resource}
			m.event.Resource, m.event.Drive = nil, nil
			var answer action.PreflightAnswer
			if class := m.invoke(t, &answer); class != "" {
				t.Fatalf("class %s", class)
			}
			got := answer.Readiness[0]
			if got.Verdict != tt.verdict || got.Observed != tt.observed {
				t.Errorf("%s from %s, want %s from %s: %+v", got.Verdict, got.Observed, tt.verdict, tt.observed, got.Findings)
			}
			for _, f := range got.Findings {
				if f.Class != tt.class {
					t.Errorf("finding %+v, want class %q", f, tt.class)
				}
			}
			if m.account.mutations() != 0 {
				t.Error("a preflight changed something")
			}
		})
	}
	t.Run("without an answer", func(t *testing.T) {
		m := newMachine(t, parameters, "")
		m.account.describe.err = serverError()
		m.event.Operation, m.event.Resources = action.OperationPreflight, []action.Resource{*m.event.Resource}
		m.event.Resource, m.event.Drive = nil, nil
		var answer action.PreflightAnswer
		class := m.invoke(t, &answer)
		if class != "" || answer.Unanswered != 1 || len(answer.Readiness) != 1 || answer.Readiness[0].Verdict != action.VerdictBlocked || answer.Readiness[0].Observed != action.StateUnknown {
			t.Errorf("class %q, %+v: an unreachable region is unknown, and unknown blocks", class, answer)
		}
	})
}

func TestFind(t *testing.T) {
	a := &account{}
	a.shows(instance("available", sourceARN, 3, func(db *types.DBInstance) {
		db.StatusInfos = append(db.StatusInfos, types.DBInstanceStatusInfo{StatusType: aws.String("other"), Status: aws.String("x")})
		db.StatusInfos[0].StatusType = aws.String("Read Replication")
		db.PendingModifiedValues = &types.PendingModifiedValues{BackupRetentionPeriod: aws.Int32(7)}
	}))
	got, err := find(t.Context(), a, "orders", "us-west-2")
	if err != nil {
		t.Fatal(err)
	}
	want := Instance{
		ID: "orders", ARN: replicaARN, Status: "available", Source: sourceARN, Replication: "replicating",
		Retention: 3, Pending: aws.Int(7), Endpoint: "orders.us-west-2", Engine: "mysql",
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Instance{}, "Clients")); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
	for name, out := range map[string]*rds.DescribeDBInstancesOutput{
		"none": {}, "two": {DBInstances: []types.DBInstance{instance("available", "", 1), instance("available", "", 1)}},
	} {
		a.describe.out = out
		if _, err := find(t.Context(), a, "orders", "us-west-2"); action.ClassOf(err) != action.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The source may be a Multi-AZ cluster, and an instance a member of one.
	a.shows(instance("available", "", 0, ofCluster))
	if got, err := find(t.Context(), a, "orders", "us-west-2"); err != nil || got.Source != "arn:aws:rds:us-east-1:111122223333:cluster:multi-az" {
		t.Errorf("source %q, %v", got.Source, err)
	}
	a.shows(instance("available", "", 0, inCluster))
	if got, err := find(t.Context(), a, "orders", "us-west-2"); err != nil || got.Cluster != "secondary-cluster" {
		t.Errorf("cluster %q, %v", got.Cluster, err)
	}
	// An instance about which AWS says nothing is no promoted one.
	a.shows(types.DBInstance{})
	got, _ = find(t.Context(), a, "orders", "us-west-2")
	if d := decide(got, parameters, action.Asked{Now: noon}, action.Asked{Now: noon}); d.Move == action.MoveFinish || d.Move == action.MoveAct {
		t.Errorf("an instance of which nothing is shown: %+v", d)
	}
}
