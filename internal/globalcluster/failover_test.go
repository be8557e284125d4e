package globalcluster

import (
	"fmt"
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
)

func failoverBy(method string, limit *int) FailoverParameters {
	return FailoverParameters{GlobalClusterIdentifier: "orders", DBClusterIdentifier: secondary, ClusterRegion: west, Method: method, MaxReplicaLagSeconds: limit}
}

var switchover = SwitchoverParameters{GlobalClusterIdentifier: "orders", DBClusterIdentifier: secondary}

func toward(arn string, status types.FailoverStatus) *types.FailoverState {
	return &types.FailoverState{Status: status, FromDbClusterArn: aws.String(primary), ToDbClusterArn: aws.String(arn)}
}

// The scenes through which a global database goes.
var (
	idle        = scene{status: "available", writer: primary, target: "available", instance: "available", source: "available", failover: &types.FailoverState{}}
	pendingThen = scene{status: "failing-over", writer: primary, target: "available", instance: "available", source: "available", failover: toward(secondary, types.FailoverStatusPending)}
	turned      = scene{status: "failing-over", writer: secondary, target: "available", instance: "available", source: "available", failover: toward(secondary, types.FailoverStatusFailingOver)}
	promoting   = scene{status: "available", writer: secondary, target: "promoting", instance: "rebooting", source: "available"}
	over        = scene{status: "available", writer: secondary, target: "available", instance: "available", source: "available", failover: &types.FailoverState{}}
	departing   = scene{status: "available", writer: primary, target: "promoting", instance: "available", source: "available"}
	left        = scene{status: "available", writer: primary, gone: true, target: "available", instance: "available", source: "available"}
	leftNotUp   = scene{status: "available", writer: primary, gone: true, target: "promoting", instance: "rebooting", source: "available"}
	otherWay    = scene{status: "switching-over", writer: primary, target: "available", instance: "available", source: "available", failover: toward("arn:aws:rds:eu-west-1:111122223333:cluster:orders-eu", types.FailoverStatusPending)}
	headless    = scene{status: "available", writer: secondary, target: "available", headless: true, source: "available"}
	stale       = scene{status: "available", writer: primary, sync: types.GlobalClusterMemberSynchronizationStatusPendingResync, target: "available", instance: "available", source: "available"}
)

// turn is one invocation: what AWS shows and answers, and what must come of it.
type turn struct {
	after   time.Duration // since the invocation before
	sees    scene
	sends   error // answer to a mutating call
	status  action.Status
	class   action.Class // instead of a status
	changed action.Change
	calls   int // mutating calls in this invocation
}

type row struct {
	name       string
	parameters any
	baseline   action.State
	lag        func(r *region) // nil: one second
	steps      []turn
}

const (
	going = action.InProgress
	done  = action.Done
	no    = action.ChangeNo
	yes   = action.ChangeYes
	maybe = action.ChangeUnknown
)

func TestReconcile(t *testing.T) {
	dialError := &smithyhttp.RequestSendError{Err: &net.OpError{Op: "dial", Err: net.ErrClosed}}
	var rows []row
	for name, parameters := range map[string]any{
		"switchover": switchover, "managed": failoverBy(MethodManaged, nil), "no method": failoverBy("", nil), "detach": failoverBy(MethodDetach, nil),
	} {
		running, finished := pendingThen, over
		if name == "detach" {
			running, finished = departing, left
		}
		busy := coded("InvalidGlobalClusterStateFault")
		add := func(what string, baseline action.State, steps ...turn) {
			rows = append(rows, row{name + ": " + what, parameters, baseline, nil, steps})
		}
		add("done", action.StateReady,
			turn{sees: idle, status: going, changed: yes, calls: 1},
			turn{after: 20 * time.Second, sees: finished, status: done, changed: yes})
		add("done, seen running", action.StateReady,
			turn{sees: idle, status: going, changed: yes, calls: 1},
			turn{after: 5 * time.Second, sees: idle, status: going, changed: yes}, // an old state
			turn{after: 5 * time.Second, sees: running, status: going, changed: yes},
			turn{after: time.Minute, sees: finished, status: done, changed: yes})
		add("already done", action.StateDone, turn{sees: finished, status: done, changed: no})
		add("under way already, by someone else", action.StateUnderWay,
			turn{sees: running, status: going, changed: no},
			turn{after: time.Minute, sees: finished, status: done, changed: no})
		add("throttled", action.StateReady,
			turn{sees: idle, sends: coded("Throttling"), class: action.Throttled, changed: no, calls: 1},
			turn{after: time.Second, sees: idle, status: going, changed: yes, calls: 1})
		add("answer lost, it had its effect", action.StateReady,
			turn{sees: idle, sends: serverError(), class: action.OutcomeUnknown, changed: maybe, calls: 1},
			turn{after: time.Second, sees: idle, status: going, changed: maybe}, // an old state
			turn{after: 5 * time.Second, sees: running, status: going, changed: yes},
			turn{after: time.Minute, sees: finished, status: done, changed: yes})
		add("answer lost, it had no effect", action.StateReady,
			turn{sees: idle, sends: serverError(), class: action.OutcomeUnknown, changed: maybe, calls: 1},
			turn{after: time.Minute, sees: idle, status: going, changed: yes, calls: 1})
		add("answer lost, done at the next look", action.StateReady,
			turn{sees: idle, sends: serverError(), class: action.OutcomeUnknown, changed: maybe, calls: 1},
			turn{after: time.Minute, sees: finished, status: done, changed: yes})
		add("not even sent", action.StateReady,
			turn{sees: idle, sends: dialError, class: action.Unreachable, changed: no, calls: 1},
			turn{after: time.Second, sees: idle, status: going, changed: yes, calls: 1})
		add("conflict, then visible", action.StateReady,
			turn{sees: idle, sends: busy, status: going, changed: maybe, calls: 1},
			turn{after: 4 * time.Second, sees: running, status: going, changed: yes},
			turn{after: time.Minute, sees: finished, status: done, changed: yes})
		add("denied", action.StateReady, turn{sees: idle, sends: coded("AccessDenied"), class: action.Denied, changed: no, calls: 1})
		add("another operation runs", action.StateReady, turn{sees: otherWay, class: action.Conflict, changed: no})
		add("no such global cluster", action.StateReady, turn{sees: scene{absent: true}, class: action.NotFound, changed: no})
		add("no DB instance in the target", action.StateReady, turn{sees: headless, class: action.Terminal, changed: no})
		add("unknown status", action.StateReady, turn{sees: scene{status: "pondering", writer: primary, target: "available", instance: "available"}, status: going, changed: no})
	}
	for _, parameters := range []any{switchover, failoverBy(MethodManaged, nil)} {
		name := fmt.Sprintf("%T: ", parameters)
		rows = append(rows,
			row{name + "every phase", parameters, action.StateReady, nil, []turn{
				{sees: idle, status: going, changed: yes, calls: 1},
				{after: 20 * time.Second, sees: pendingThen, status: going, changed: yes},
				{after: 5 * time.Second, sees: turned, status: going, changed: yes},
				{after: 5 * time.Second, sees: promoting, status: going, changed: yes},
				{after: 5 * time.Second, sees: over, status: done, changed: yes},
			}},
			row{name + "the writer is not up", parameters, action.StateReady, nil, []turn{{sees: promoting, status: going, changed: no}}})
	}
	rows = append(rows,
		row{"detach: every phase", failoverBy(MethodDetach, nil), action.StateReady, nil, []turn{
			{sees: idle, status: going, changed: yes, calls: 1},
			{after: 20 * time.Second, sees: departing, status: going, changed: yes},
			{after: 5 * time.Second, sees: leftNotUp, status: going, changed: yes},
			{after: 5 * time.Second, sees: left, status: done, changed: yes},
		}},
		row{"switchover: not a member", switchover, action.StateReady, nil, []turn{{sees: left, class: action.Refused, changed: no}}},
		row{"switchover: pending-resync", switchover, action.StateReady, nil, []turn{{sees: stale, class: action.Refused, changed: no}}},
		row{"switchover: no writer shown", switchover, action.StateReady, nil, []turn{{sees: scene{status: "available", target: "available", instance: "available"}, class: action.Refused, changed: no}}},
	)
	for _, method := range []string{MethodManaged, MethodDetach} {
		lag := func(value float64, age time.Duration) func(*region) {
			return func(r *region) { r.lags(value, noon, age) }
		}
		denied := func(r *region) { r.metric.err = coded("AccessDenied") }
		refused := []turn{{sees: idle, class: action.Refused, changed: no}}
		asked := []turn{{sees: idle, status: going, changed: yes, calls: 1}}
		limit := failoverBy(method, aws.Int(10))
		rows = append(rows,
			row{method + ": lag at the limit", limit, action.StateReady, lag(10000, time.Minute), asked},
			row{method + ": lag above the limit", limit, action.StateReady, lag(10001, time.Minute), refused},
			row{method + ": lag unknown with a limit", limit, action.StateReady, lag(0, -1), refused},
			row{method + ": lag -1 with a limit", limit, action.StateReady, lag(-1, time.Minute), refused},
			row{method + ": lag stale with a limit", limit, action.StateReady, lag(0, 6*time.Minute), refused},
			row{method + ": lag denied with a limit", limit, action.StateReady, denied, refused},
			row{method + ": lag unknown without a limit", failoverBy(method, nil), action.StateReady, lag(0, -1), asked},
			row{method + ": lag denied without a limit", failoverBy(method, nil), action.StateReady, denied, asked},
			row{method + ": no lag is asked of the writer", limit, action.StateDone, lag(0, -1), []turn{{sees: over, status: done, changed: no}}},
		)
	}
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, tt.parameters, tt.baseline)
			for n, s := range tt.steps {
				m.now = m.now.Add(s.after)
				m.regions[west].lags(1000, m.now, time.Minute)
				if tt.lag != nil {
					tt.lag(m.regions[west])
				}
				m.show(s.sees)
				m.regions[east].sends(s.sends)
				m.regions[west].sends(s.sends)
				before := m.mutations()
				answer, class := m.drive(t)
				if class != s.class || answer.Status != s.status {
					t.Fatalf("turn %d: %q %s (%s), want %q %s", n, answer.Status, class, answer.Message, s.status, s.class)
				}
				if got := m.event.Drive.Changed; got != s.changed {
					t.Errorf("turn %d: changed %s, want %s", n, got, s.changed)
				}
				if got := m.mutations() - before; got != s.calls {
					t.Fatalf("turn %d: %d mutating calls, want %d", n, got, s.calls)
				}
				if s.status == going && answer.WaitSeconds < 1 {
					t.Errorf("turn %d: does not wait", n)
				}
			}
		})
	}
}

// A conflict that stays ends the resource, and no invocation calls twice.
func TestConflictStays(t *testing.T) {
	for name, parameters := range map[string]any{"switchover": switchover, "managed": failoverBy(MethodManaged, nil), "detach": failoverBy(MethodDetach, nil)} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, parameters, action.StateReady)
			m.show(idle)
			m.regions[east].sends(coded("InvalidGlobalClusterStateFault"))
			m.regions[west].sends(coded("InvalidDBClusterStateFault"))
			for looks := 1; ; looks++ {
				answer, class := m.drive(t)
				if got := m.mutations(); got > looks {
					t.Fatalf("%d calls in %d invocations", got, looks)
				}
				if class == action.Conflict {
					break
				}
				if class != "" || answer.Status != going || looks > 500 {
					t.Fatalf("look %d: %q %s", looks, answer.Status, class)
				}
				m.now = m.now.Add(time.Duration(answer.WaitSeconds) * time.Second)
				m.regions[west].lags(1000, m.now, time.Minute)
			}
			if m.mutations() < 2 {
				t.Error("the first conflict was believed")
			}
		})
	}
}

// What is asked for, and where: only a managed failover allows data loss, and
// only a switchover is asked of another region.
func TestInput(t *testing.T) {
	type asked struct {
		Failover   []rds.FailoverGlobalClusterInput
		Switchover []rds.SwitchoverGlobalClusterInput
		Remove     []rds.RemoveFromGlobalClusterInput
	}
	failover := asked{Failover: []rds.FailoverGlobalClusterInput{{
		GlobalClusterIdentifier: aws.String("orders"), TargetDbClusterIdentifier: aws.String(secondary), AllowDataLoss: aws.Bool(true),
	}}}
	for _, tt := range []struct {
		name       string
		parameters any
		east, west asked
	}{
		{"switchover", switchover, asked{Switchover: []rds.SwitchoverGlobalClusterInput{{
			GlobalClusterIdentifier: aws.String("orders"), TargetDbClusterIdentifier: aws.String(secondary),
		}}}, asked{}},
		{"managed", failoverBy(MethodManaged, nil), asked{}, failover},
		{"no method", failoverBy("", nil), asked{}, failover},
		{"detach", failoverBy(MethodDetach, nil), asked{}, asked{Remove: []rds.RemoveFromGlobalClusterInput{{
			GlobalClusterIdentifier: aws.String("orders"), DbClusterIdentifier: aws.String(secondary),
		}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, tt.parameters, action.StateReady)
			m.show(idle)
			m.drive(t)
			for name, want := range map[string]asked{east: tt.east, west: tt.west} {
				r := m.regions[name]
				got := asked{r.failover.asks, r.switchover.asks, r.remove.asks}
				ignore := cmpopts.IgnoreUnexported(rds.FailoverGlobalClusterInput{}, rds.SwitchoverGlobalClusterInput{}, rds.RemoveFromGlobalClusterInput{})
				if diff := cmp.Diff(want, got, ignore); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
	t.Run("lag", func(t *testing.T) {
		m := newMachine(t, failoverBy(MethodManaged, aws.Int(10)), action.StateReady)
		m.show(idle)
		answer, _ := m.drive(t)
		metric := m.regions[west].metric.asks[0].MetricDataQueries[0].MetricStat.Metric
		dimensions := map[string]string{}
		for _, d := range metric.Dimensions {
			dimensions[aws.ToString(d.Name)] = aws.ToString(d.Value)
		}
		want := map[string]string{"DBClusterIdentifier": "orders-west", "SourceRegion": east}
		if diff := cmp.Diff(want, dimensions); diff != "" || aws.ToString(metric.MetricName) != "AuroraGlobalDBReplicationLag" {
			t.Errorf("metric %s (-want +got):\n%s", aws.ToString(metric.MetricName), diff)
		}
		if answer.Memo[action.MemoLag] != "1" {
			t.Errorf("lag in the memo: %v", answer.Memo)
		}
	})
}

// A disaster asks nothing of the region that is lost; planned work that needs
// it fails without having changed anything for certain.
func TestDeadPrimaryRegion(t *testing.T) {
	for name, parameters := range map[string]any{"managed": failoverBy(MethodManaged, nil), "detach": failoverBy(MethodDetach, nil)} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, parameters, action.StateReady)
			m.show(idle)
			m.regions[east].dead()
			if answer, class := m.drive(t); class != "" || answer.Changed != yes {
				t.Errorf("%s: %+v", class, answer)
			}
			if r := m.regions[east]; len(r.globals.asks)+len(r.clusters.asks)+len(r.instances.asks)+r.mutations() > 0 {
				t.Error("the lost region was asked")
			}
		})
	}
	t.Run("switchover", func(t *testing.T) {
		m := newMachine(t, switchover, action.StateReady)
		m.show(idle)
		m.regions[east].dead()
		_, class := m.drive(t)
		if class != action.OutcomeUnknown && class != action.Unreachable && class != action.Refused {
			t.Errorf("class %q", class)
		}
		if m.regions[west].mutations() > 0 || m.mutations() > 1 {
			t.Error("it was asked elsewhere")
		}
	})
}

// A call that AWS accepted and of which nothing ever shows ends the resource
// before its time limit, and is not made again.
func TestNeverBegan(t *testing.T) {
	for name, parameters := range map[string]any{"switchover": switchover, "managed": failoverBy(MethodManaged, nil)} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, parameters, action.StateReady)
			m.show(idle)
			for {
				answer, class := m.drive(t)
				if class == action.Terminal {
					break
				}
				if class != "" || answer.Status != going || m.now.Sub(noon) > 10*time.Minute {
					t.Fatalf("after %s: %q %s (%s)", m.now.Sub(noon), answer.Status, class, answer.Message)
				}
				m.now = m.now.Add(time.Duration(answer.WaitSeconds) * time.Second)
				m.regions[west].lags(1000, m.now, time.Minute)
			}
			if m.mutations() != 1 || m.event.Drive.Changed != yes {
				t.Errorf("%d calls, changed %s", m.mutations(), m.event.Drive.Changed)
			}
		})
	}
}
