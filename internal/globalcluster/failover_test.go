package globalcluster

import (
	"fmt"
	"net"
	"strings"
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

func failoverBy(method string, limit *int) FailoverParameters {
	return FailoverParameters{GlobalClusterIdentifier: "orders", DBClusterIdentifier: secondary, ClusterRegion: west, Method: method, Limit: lag.Limit{MaxReplicaLagSeconds: limit}}
}

var switchover = SwitchoverParameters{GlobalClusterIdentifier: "orders", DBClusterIdentifier: secondary}

func toward(arn string, status types.FailoverStatus) *types.FailoverState {
	return &types.FailoverState{Status: status, FromDbClusterArn: aws.String(primary), ToDbClusterArn: aws.String(arn)}
}

// with is a scene in which something is different.
func with(s scene, change func(*scene)) scene { change(&s); return s }

// The scenes through which a global database goes.
var (
	idle        = scene{status: "available", writer: primary, sync: types.GlobalClusterMemberSynchronizationStatusConnected, target: "available", instance: "available", source: "available", failover: &types.FailoverState{}}
	pendingThen = scene{status: "failing-over", writer: primary, target: "available", instance: "available", source: "available", failover: toward(secondary, types.FailoverStatusPending)}
	turned      = scene{status: "failing-over", writer: secondary, target: "available", instance: "available", source: "available", failover: toward(secondary, types.FailoverStatusFailingOver)}
	promoting   = scene{status: "available", writer: secondary, target: "promoting", instance: "rebooting", source: "available"}
	over        = scene{status: "available", writer: secondary, target: "available", instance: "available", source: "available", failover: &types.FailoverState{}}
	departing   = scene{status: "available", writer: primary, target: "promoting", instance: "available", source: "available"}
	left        = scene{status: "available", writer: primary, gone: true, target: "available", instance: "available", source: "available"}
	leftNotUp   = scene{status: "available", writer: primary, gone: true, target: "promoting", instance: "rebooting", source: "available"}
	otherWay    = scene{status: "switching-over", writer: primary, target: "available", instance: "available", source: "available", failover: toward("arn:aws:rds:eu-west-1:111122223333:cluster:orders-eu", types.FailoverStatusPending)}
	losing      = with(pendingThen, func(s *scene) {
		f := *s.failover
		f.IsDataLossAllowed = aws.Bool(true)
		s.failover = &f
	})
	unmarked  = with(over, func(s *scene) { s.readers = true })
	headless  = scene{status: "available", writer: secondary, target: "available", headless: true, source: "available"}
	elsewhere = with(left, func(s *scene) {
		s.owner, s.follows = "billing", "arn:aws:rds:us-east-1:111122223333:cluster:billing-east"
	})
	stale = scene{status: "available", writer: primary, sync: types.GlobalClusterMemberSynchronizationStatusPendingResync, target: "available", instance: "available", source: "available"}
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
		backingUp := with(idle, func(s *scene) { s.target = "backing-up" })
		add("target at work", action.StateReady,
			turn{sees: backingUp, status: going, changed: no},
			turn{after: time.Hour, sees: backingUp, status: going, changed: no},
			turn{after: time.Minute, sees: idle, status: going, changed: yes, calls: 1})
		add("target stopped", action.StateReady, turn{sees: with(idle, func(s *scene) { s.target = "stopped" }), class: action.Refused, changed: no})
		add("target's instance failed", action.StateReady, turn{sees: with(idle, func(s *scene) { s.instance = "failed" }), class: action.Refused, changed: no})
		add("target unknown", action.StateReady, turn{sees: with(idle, func(s *scene) { s.target = "pondering" }), status: going, changed: no})
		add("no DB instance in the secondary", action.StateReady, turn{sees: with(headless, func(s *scene) { s.writer = primary }), class: action.Refused, changed: no})
		add("global cluster at work", action.StateReady,
			turn{sees: with(idle, func(s *scene) { s.status = "modifying" }), status: going, changed: no},
			turn{after: time.Minute, sees: idle, status: going, changed: yes, calls: 1})
		add("done since the preflight: perhaps by this run, begun a second time", action.StateReady, turn{sees: finished, status: done, changed: maybe})
		add("a value that the state makes wrong, by an old read", action.StateReady,
			turn{sees: idle, sends: coded("InvalidParameterValue"), status: going, changed: maybe, calls: 1},
			turn{after: 4 * time.Second, sees: finished, status: done, changed: yes})
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
			row{name + "the writer is not up", parameters, action.StateUnderWay, nil, []turn{{sees: promoting, status: going, changed: no}}},
			row{name + "none of the writer's instances is marked", parameters, action.StateUnderWay, nil, []turn{{sees: unmarked, status: going, changed: no}}},
			row{name + "not a member", parameters, action.StateReady, nil, []turn{{sees: left, class: action.Refused, changed: no}}},
			row{name + "member of another global cluster", parameters, action.StateReady, nil, []turn{{sees: elsewhere, class: action.Refused, changed: no}}})
	}
	rows = append(rows,
		row{"detach: every phase", failoverBy(MethodDetach, nil), action.StateReady, nil, []turn{
			{sees: idle, status: going, changed: yes, calls: 1},
			{after: 20 * time.Second, sees: departing, status: going, changed: yes},
			{after: 5 * time.Second, sees: leftNotUp, status: going, changed: yes},
			{after: 5 * time.Second, sees: left, status: done, changed: yes},
		}},
		row{"detach: member of another global cluster", failoverBy(MethodDetach, nil), action.StateReady, nil, []turn{{sees: elsewhere, class: action.Refused, changed: no}}},
		row{"switchover: a failover by somebody else", switchover, action.StateReady, nil, []turn{{sees: losing, class: action.Conflict, changed: no}}},
		row{"managed: a failover by somebody else", failoverBy(MethodManaged, nil), action.StateUnderWay, nil, []turn{{sees: losing, status: going, changed: no}}},
		row{"switchover: not shown whether in sync", switchover, action.StateReady, nil, []turn{{sees: with(idle, func(s *scene) { s.sync = "" }), class: action.Refused, changed: no}}},
		row{"switchover: pending-resync at first", switchover, action.StateReady, nil, []turn{
			{sees: stale, status: going, changed: no},
			{after: time.Minute, sees: idle, status: going, changed: yes, calls: 1},
		}},
		row{"switchover: no writer shown", switchover, action.StateReady, nil, []turn{{sees: with(idle, func(s *scene) { s.writer = "" }), class: action.Refused, changed: no}}},
	)
	for _, method := range []string{MethodManaged, MethodDetach} {
		lag := func(value float64, age time.Duration) func(*region) {
			return func(r *region) { r.lags(value, noon, age) }
		}
		denied := func(r *region) { r.metric.err = coded("AccessDenied") }
		throttled := func(r *region) { r.metric.err = coded("Throttling") }
		refused := []turn{{sees: idle, class: action.Refused, changed: no}}
		asked := []turn{{sees: idle, status: going, changed: yes, calls: 1}}
		limit := failoverBy(method, aws.Int(10))
		rows = append(rows,
			row{method + ": lag at the limit", limit, action.StateReady, lag(10000, time.Minute), asked},
			row{method + ": lag above the limit", limit, action.StateReady, lag(10001, time.Minute), refused},
			row{method + ": lag unknown with a limit", limit, action.StateReady, lag(0, -1), refused},
			row{method + ": lag -1 with a limit", limit, action.StateReady, lag(-1, time.Minute), refused},
			row{method + ": lag stale with a limit", limit, action.StateReady, lag(0, 6*time.Minute), refused},
			row{method + ": lag denied with a limit", limit, action.StateReady, denied, []turn{{sees: idle, class: action.Denied, changed: no}}},
			row{method + ": lag not answered, with a limit", limit, action.StateReady, throttled, []turn{
				{sees: idle, class: action.Throttled, changed: no},
			}},
			row{method + ": lag not answered, without a limit", failoverBy(method, nil), action.StateReady, throttled, asked},
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
			if after := m.now.Sub(noon); m.mutations() < 2 || after < time.Minute || after > 10*time.Minute {
				t.Errorf("the conflict was believed after %d calls and %s", m.mutations(), after)
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

// An unplanned failover is made in the region that takes over, in whatever
// letters its cluster is named.
func TestFailoverRegion(t *testing.T) {
	for _, method := range []string{MethodManaged, MethodDetach} {
		t.Run(method, func(t *testing.T) {
			m := newMachine(t, failoverBy(method, nil), action.StateReady)
			m.show(idle)
			m.event.Run.Region = east
			if _, class := m.drive(t); class != action.InvalidInput || m.mutations() > 0 {
				t.Errorf("in a run of another region: class %q, %d calls", class, m.mutations())
			}
			p := failoverBy(method, aws.Int(10))
			p.DBClusterIdentifier = strings.Replace(secondary, "orders-west", "Orders-West", 1)
			m = newMachine(t, p, action.StateReady)
			m.show(idle)
			if answer, class := m.drive(t); class != "" || answer.Status != going || m.mutations() != 1 {
				t.Errorf("in upper case: class %q, %+v, %d calls", class, answer, m.mutations())
			}
			for _, d := range m.regions[west].metric.asks[0].MetricDataQueries[0].MetricStat.Metric.Dimensions {
				if aws.ToString(d.Name) == "DBClusterIdentifier" && aws.ToString(d.Value) != "orders-west" {
					t.Errorf("lag asked of %q: CloudWatch minds the letters", aws.ToString(d.Value))
				}
			}
		})
	}
}

// While a detach is under way, a look takes one describe: of the members until
// the cluster has left them, then of the cluster. Every so often all is read.
func TestDetachReads(t *testing.T) {
	m := newMachine(t, failoverBy(MethodDetach, nil), action.StateReady)
	r := m.regions[west]
	look := func(what string, s scene, globals, clusters int, status action.Status) {
		t.Helper()
		m.show(s)
		m.now = m.now.Add(5 * time.Second)
		r.lags(1000, m.now, time.Minute)
		before := [2]int{len(r.globals.asks), len(r.clusters.asks)}
		if answer, class := m.drive(t); class != "" || answer.Status != status {
			t.Fatalf("%s: class %q, %+v", what, class, answer)
		}
		if got := [2]int{len(r.globals.asks) - before[0], len(r.clusters.asks) - before[1]}; got != [2]int{globals, clusters} {
			t.Errorf("%s: %d describes of the global cluster, %d of the cluster, want %d and %d", what, got[0], got[1], globals, clusters)
		}
	}
	look("asked for", idle, 1, 1, going)
	for m.event.Drive.Polls < closer {
		look("still a member", departing, 1, 0, going)
	}
	look("a closer look", departing, 1, 1, going)
	look("still a member", departing, 1, 0, going)
	look("has left", leftNotUp, 2, 1, going)
	look("not up yet", leftNotUp, 0, 1, going)
	look("not up yet", leftNotUp, 0, 1, going)
	look("up", left, 1, 2, done)
	if m.mutations() != 1 || m.event.Drive.Changed != yes {
		t.Errorf("%d calls, changed %s", m.mutations(), m.event.Drive.Changed)
	}
}

// A call that AWS accepted and of which nothing ever shows ends the resource
// before its time limit, and is not made again.
func TestNeverBegan(t *testing.T) {
	for name, parameters := range map[string]any{"switchover": switchover, "managed": failoverBy(MethodManaged, nil), "detach": failoverBy(MethodDetach, nil)} {
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
