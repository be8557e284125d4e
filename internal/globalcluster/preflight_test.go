package globalcluster

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"dr-orchestrator/internal/action"
)

func TestPreflight(t *testing.T) {
	const blocks, warns, fine = action.VerdictBlocked, action.VerdictWarning, action.VerdictReady
	lag := func(value float64, age time.Duration) func(*machine) {
		return func(m *machine) { m.regions[west].lags(value, noon, age) }
	}
	sourceDown := with(idle, func(s *scene) { s.source = "stopped" })
	for _, tt := range []struct {
		name       string
		parameters any
		sees       scene
		change     func(m *machine)
		verdict    action.Verdict
		class      action.Class
	}{
		{"planned", switchover, idle, nil, fine, ""},
		{"planned, already done", switchover, over, nil, action.VerdictDone, ""},
		{"planned, already the writer, and alone", switchover, with(over, func(s *scene) { s.other = "gone" }), nil, blocks, action.Refused},
		{"planned, already done, still synchronizing", switchover, with(over, func(s *scene) { s.other = syncResync }), nil, warns, ""},
		{"planned, already done, not shown whether in sync", switchover, with(over, func(s *scene) { s.other = "pondering" }), nil, warns, ""},
		{"planned, primary region unreachable", switchover, idle, func(m *machine) { m.regions[east].dead() }, blocks, action.Refused},
		{"planned, primary region refuses", switchover, idle, func(m *machine) { m.regions[east].clusters.err = coded("AccessDenied") }, blocks, action.Denied},
		{"planned, primary cluster not available", switchover, sourceDown, nil, blocks, action.Refused},
		{"planned, primary in storage-optimization", switchover, with(idle, func(s *scene) { s.source = "storage-optimization" }), nil, fine, ""},
		{"planned, target in storage-optimization", switchover, with(idle, func(s *scene) { s.target, s.instance = "storage-optimization", "storage-optimization" }), nil, fine, ""},
		{"planned, target in storage-optimization, its instance failed", switchover, with(idle, func(s *scene) { s.target, s.instance = "storage-optimization", "failed" }), nil, blocks, action.Refused},
		{"planned, other version", switchover, idle, func(m *machine) { m.regions[east].clusters.out.DBClusters[0].EngineVersion = aws.String("8.1") }, warns, ""},
		{"planned, not shown whether in sync", switchover, with(idle, func(s *scene) { s.sync = "" }), nil, blocks, action.Refused},
		{"planned, pending-resync", switchover, stale, nil, warns, ""},
		{"planned, pending-resync, primary region unreachable", switchover, stale, func(m *machine) { m.regions[east].dead() }, blocks, action.Refused},
		{"planned, pending-resync, primary cluster not available", switchover, with(stale, func(s *scene) { s.source = "stopped" }), nil, blocks, action.Refused},
		{"planned, not a member", switchover, left, nil, blocks, action.Refused},
		{"planned, no writer", switchover, with(idle, func(s *scene) { s.writer = "" }), nil, blocks, action.Refused},
		{"planned, target stopped", switchover, with(idle, func(s *scene) { s.target = "stopped" }), nil, blocks, action.Refused},
		{"planned, target instance rebooting", switchover, with(idle, func(s *scene) { s.instance = "rebooting" }), nil, warns, ""},
		{"planned, target instance failed", switchover, with(idle, func(s *scene) { s.instance = "failed" }), nil, blocks, action.Refused},
		{"planned, target backing up", switchover, with(idle, func(s *scene) { s.target = "backing-up" }), nil, warns, ""},
		{"planned, target unknown", switchover, with(idle, func(s *scene) { s.target = "pondering" }), nil, blocks, action.Refused},
		{"planned, unknown status", switchover, with(idle, func(s *scene) { s.status = "pondering" }), nil, blocks, action.Refused},
		{"planned, primary's instance rebooting", switchover, with(idle, func(s *scene) { s.source = "rebooting" }), nil, blocks, action.Refused},
		{"planned, a failover by somebody else", switchover, losing, nil, blocks, action.Conflict},
		{"planned, busy", switchover, with(idle, func(s *scene) { s.status = "modifying" }), nil, warns, ""},
		{"planned, headless", switchover, with(headless, func(s *scene) { s.writer = primary }), nil, blocks, action.Refused},
		{"planned, another operation", switchover, otherWay, nil, blocks, action.Conflict},
		{"planned, ours runs", switchover, pendingThen, nil, warns, ""},
		{"planned, no such global cluster", switchover, scene{absent: true}, nil, blocks, action.NotFound},

		{"unplanned", failoverBy(MethodManaged, aws.Int(10)), idle, nil, fine, ""},
		{"unplanned, lost region dead", failoverBy(MethodManaged, aws.Int(10)), idle, func(m *machine) { m.regions[east].dead() }, fine, ""},
		{"unplanned, already done", failoverBy(MethodManaged, aws.Int(10)), over, nil, action.VerdictDone, ""},
		{"unplanned, already the writer, and alone", failoverBy(MethodManaged, aws.Int(10)), with(over, func(s *scene) { s.other = "gone" }), nil, warns, ""},
		{"unplanned, already done, still synchronizing", failoverBy(MethodManaged, aws.Int(10)), with(over, func(s *scene) { s.other = syncResync }), nil, warns, ""},
		{"unplanned, lag above the limit", failoverBy(MethodManaged, aws.Int(10)), idle, lag(11000, time.Minute), blocks, action.Refused},
		{"unplanned, lag unknown with a limit", failoverBy(MethodManaged, aws.Int(10)), idle, lag(0, -1), blocks, action.Refused},
		{"unplanned, lag -1 with a limit", failoverBy(MethodManaged, aws.Int(10)), idle, lag(-1, 0), blocks, action.Refused},
		{"unplanned, lag stale with a limit", failoverBy(MethodManaged, aws.Int(10)), idle, lag(0, 6*time.Minute), blocks, action.Refused},
		{"unplanned, lag unknown without a limit", failoverBy(MethodManaged, nil), idle, lag(0, -1), warns, ""},
		{"unplanned, no writer, with a limit", failoverBy(MethodManaged, aws.Int(10)), with(idle, func(s *scene) { s.writer = "" }), nil, blocks, action.Refused},
		{"unplanned, headless", failoverBy(MethodManaged, nil), with(headless, func(s *scene) { s.writer = primary }), nil, blocks, action.Refused},
		{"unplanned, target stopped", failoverBy(MethodManaged, nil), with(idle, func(s *scene) { s.target = "stopped" }), nil, blocks, action.Refused},
		{"unplanned, target backing up", failoverBy(MethodManaged, nil), with(idle, func(s *scene) { s.target = "backing-up" }), nil, warns, ""},
		{"unplanned, pending-resync", failoverBy(MethodManaged, nil), stale, nil, blocks, action.Refused},
		{"unplanned, pending-resync and accepted", accepting(MethodManaged, nil), stale, nil, warns, ""},
		{"unplanned, pending-resync and accepted, with a limit", accepting(MethodManaged, aws.Int(10)), stale, nil, warns, ""},
		{"unplanned, unknown status", failoverBy(MethodManaged, nil), with(idle, func(s *scene) { s.status = "pondering" }), nil, blocks, action.Refused},
		{"unplanned, not a member", failoverBy(MethodManaged, nil), left, nil, blocks, action.Refused},
		{"unplanned, lag denied with a limit", failoverBy(MethodManaged, aws.Int(10)), idle, func(m *machine) { m.regions[west].metric.err = coded("AccessDenied") }, blocks, action.Denied},
		{"unplanned, lag not answered, with a limit", failoverBy(MethodManaged, aws.Int(10)), idle, func(m *machine) { m.regions[west].metric.err = coded("Throttling") }, blocks, action.Throttled},
		{"unplanned, lag not answered, without a limit", failoverBy(MethodManaged, nil), idle, func(m *machine) { m.regions[west].metric.err = coded("Throttling") }, warns, ""},
		{"unplanned, another operation", failoverBy(MethodManaged, nil), otherWay, nil, blocks, action.Conflict},
		{"unplanned, run in the wrong region", failoverBy(MethodManaged, nil), idle, func(m *machine) { m.event.Run.Region = east }, blocks, action.InvalidInput},
		{"unplanned, global cluster deleting", failoverBy(MethodManaged, nil), with(idle, func(s *scene) { s.status = "deleting" }), nil, blocks, action.Terminal},

		{"detach", failoverBy(MethodDetach, nil), idle, nil, fine, ""},
		{"detach, already the writer, and alone", failoverBy(MethodDetach, nil), with(over, func(s *scene) { s.other = "gone" }), nil, warns, ""},
		{"detach, lag above the limit", failoverBy(MethodDetach, aws.Int(10)), idle, lag(11000, time.Minute), blocks, action.Refused},
		{"detach, headless", failoverBy(MethodDetach, nil), with(headless, func(s *scene) { s.writer = primary }), nil, blocks, action.Refused},
		{"detach, already done: whether it was ever in it, nobody can see", failoverBy(MethodDetach, nil), left, nil, warns, ""},
		{"detach, member of another global cluster", failoverBy(MethodDetach, nil), elsewhere, nil, blocks, action.Refused},
		{"detach, pending-resync", failoverBy(MethodDetach, nil), stale, nil, blocks, action.Refused},
		{"detach, pending-resync and accepted", accepting(MethodDetach, nil), stale, nil, warns, ""},
		{"detach, leaving", failoverBy(MethodDetach, nil), departing, nil, warns, ""},
		{"detach, no cluster", failoverBy(MethodDetach, nil), idle, func(m *machine) { m.regions[west].clusters.err = coded("DBClusterNotFoundFault") }, blocks, action.NotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, tt.parameters, "")
			m.show(tt.sees)
			if tt.change != nil {
				tt.change(m)
			}
			got, class := m.preflight(t)
			if class != "" || got.Verdict != tt.verdict {
				t.Fatalf("class %q, verdict %q, want %q: %+v", class, got.Verdict, tt.verdict, got.Findings)
			}
			classes := map[action.Class]bool{}
			for _, f := range got.Findings {
				classes[f.Class] = true
			}
			if tt.class != "" && !classes[tt.class] {
				t.Errorf("findings %+v, want class %s", got.Findings, tt.class)
			}
			if m.mutations() > 0 {
				t.Error("a preflight changed something")
			}
		})
	}
}

// The target's own region is the one that has to work: when it says nothing,
// nothing is known.
func TestPreflightDeadTargetRegion(t *testing.T) {
	for name, parameters := range map[string]any{"switchover": switchover, "managed": failoverBy(MethodManaged, nil)} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, parameters, "")
			m.show(idle)
			m.regions[west].dead()
			got, class := m.preflight(t)
			if class != "" || got.Verdict != action.VerdictBlocked || got.Observed != action.StateUnknown || got.Findings[0].Class != action.Unreachable {
				t.Errorf("class %q, %+v", class, got)
			}
		})
	}
}

// What a preflight observes is the baseline that a change is judged against.
func TestPreflightObserves(t *testing.T) {
	for _, tt := range []struct {
		name       string
		parameters any
		sees       scene
		want       action.State
	}{
		{"idle", switchover, idle, action.StateReady},
		{"running", switchover, pendingThen, action.StateUnderWay},
		{"roles changed", switchover, turned, action.StateUnderWay},
		{"not up", switchover, promoting, action.StateUnderWay},
		{"done", switchover, over, action.StateDone},
		{"busy", switchover, with(idle, func(s *scene) { s.status = "modifying" }), action.StateBusy},
		{"target at work", switchover, with(idle, func(s *scene) { s.target = "backing-up" }), action.StateReady},
		{"target could not take writes", switchover, with(idle, func(s *scene) { s.target = "stopped" }), action.StateReady},
		{"not a member", switchover, left, action.StateUnknown},
		{"detach: done", failoverBy(MethodDetach, nil), left, action.StateDone},
		{"detach: leaving", failoverBy(MethodDetach, nil), departing, action.StateUnderWay},
		{"another operation", switchover, otherWay, action.StateUnknown},
		{"unknown status", switchover, scene{status: "pondering", writer: primary, target: "available", instance: "available", failover: &types.FailoverState{}}, action.StateUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, tt.parameters, "")
			m.show(tt.sees)
			if got, _ := m.preflight(t); got.Observed != tt.want {
				t.Errorf("observed %s, want %s", got.Observed, tt.want)
			}
		})
	}
}
