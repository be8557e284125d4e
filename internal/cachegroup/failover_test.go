package cachegroup

import (
	"encoding/json"
	"net"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lag"
)

// The scenes through which a global datastore goes.
var (
	before  = [2]string{"PRIMARY", "SECONDARY"}
	after   = [2]string{"SECONDARY", "PRIMARY"}
	idle    = scene{status: "available", roles: before, group: "available", role: "SECONDARY"}
	running = scene{status: "modifying", roles: before, group: "modifying", role: "SECONDARY"}
	turned  = scene{status: "modifying", roles: after, group: "modifying", role: "PRIMARY"}
	proving = scene{status: "available", roles: after, group: "available", role: "SECONDARY"}
	over    = scene{status: "available", roles: after, group: "available", role: "PRIMARY"}
	lower   = scene{status: "available", roles: [2]string{"secondary", "primary"}, group: "available", role: "primary"}
	lonely  = scene{status: "primary-only", roles: before, group: "available", role: "SECONDARY"}
)

// with is a scene in which something is different.
func with(s scene, change func(*scene)) scene { change(&s); return s }

// step is one invocation: what AWS shows and answers, and what must come of it.
type step struct {
	after   time.Duration // since the invocation before
	sees    scene
	fails   error // of the first describe
	sends   error // answer to the mutating call
	status  action.Status
	class   action.Class // instead of a status
	changed action.Change
	calls   int // mutating calls in this invocation
}

const (
	going = action.InProgress
	done  = action.Done
	no    = action.ChangeNo
	yes   = action.ChangeYes
	maybe = action.ChangeUnknown
)

func TestFailover(t *testing.T) {
	dialError := &smithyhttp.RequestSendError{Err: &net.OpError{Op: "dial", Err: net.ErrClosed}}
	busy := coded("InvalidGlobalReplicationGroupState")
	for _, tt := range []struct {
		name     string
		baseline action.State
		steps    []step
	}{
		{"done", action.StateReady, []step{
			{sees: idle, status: going, changed: yes, calls: 1},
			{after: 20 * time.Second, sees: over, status: done, changed: yes},
		}},
		{"done, every phase seen", action.StateReady, []step{
			{sees: idle, status: going, changed: yes, calls: 1},
			{after: 20 * time.Second, sees: idle, status: going, changed: yes}, // an old state
			{after: 5 * time.Second, sees: running, status: going, changed: yes},
			{after: 5 * time.Second, sees: turned, status: going, changed: yes},
			{after: 5 * time.Second, sees: proving, status: going, changed: yes},
			{after: 5 * time.Second, sees: over, status: done, changed: yes},
		}},
		{"already done", action.StateDone, []step{{sees: over, status: done, changed: no}}},
		{"already done, roles in lower case", action.StateDone, []step{{sees: lower, status: done, changed: no}}},
		{"under way already, by someone else", action.StateUnderWay, []step{
			{sees: turned, status: going, changed: no},
			{after: time.Minute, sees: over, status: done, changed: no},
		}},
		{"busy with something else, which was a failover", action.StateBusy, []step{
			{sees: running, status: going, changed: no},
			{after: time.Minute, sees: over, status: done, changed: no},
		}},
		{"failed over since the preflight: perhaps by this run, begun a second time", action.StateReady, []step{{sees: over, status: done, changed: maybe}}},
		{"busy with something else, then ours without an answer", action.StateBusy, []step{
			{sees: idle, sends: serverError(), class: action.OutcomeUnknown, changed: maybe, calls: 1},
			{after: 5 * time.Second, sees: running, status: going, changed: maybe},
			{after: time.Minute, sees: over, status: done, changed: yes},
		}},
		{"under way, then off it, then ours without an answer", action.StateUnderWay, []step{
			{sees: idle, sends: serverError(), class: action.OutcomeUnknown, changed: maybe, calls: 1},
			{after: 5 * time.Second, sees: running, status: going, changed: maybe},
			{after: time.Minute, sees: over, status: done, changed: maybe},
		}},
		{"throttled", action.StateReady, []step{
			{sees: idle, sends: coded("Throttling"), class: action.Throttled, changed: no, calls: 1},
			{after: time.Second, sees: idle, status: going, changed: yes, calls: 1},
		}},
		{"answer lost, it had its effect", action.StateReady, []step{
			{sees: idle, sends: serverError(), class: action.OutcomeUnknown, changed: maybe, calls: 1},
			{after: time.Second, sees: idle, status: going, changed: maybe},        // an old state
			{after: 5 * time.Second, sees: running, status: going, changed: maybe}, // by whom is not seen
			{after: 5 * time.Second, sees: turned, status: going, changed: yes},
			{after: time.Minute, sees: over, status: done, changed: yes},
		}},
		{"answer lost, it had no effect", action.StateReady, []step{
			{sees: idle, sends: serverError(), class: action.OutcomeUnknown, changed: maybe, calls: 1},
			{after: time.Minute, sees: idle, status: going, changed: yes, calls: 1},
		}},
		{"answer lost, done at the next look", action.StateReady, []step{
			{sees: idle, sends: serverError(), class: action.OutcomeUnknown, changed: maybe, calls: 1},
			{after: time.Minute, sees: over, status: done, changed: yes},
		}},
		{"not even sent", action.StateReady, []step{
			{sees: idle, sends: dialError, class: action.Unreachable, changed: no, calls: 1},
			{after: time.Second, sees: idle, status: going, changed: yes, calls: 1},
		}},
		{"conflict, then visible", action.StateReady, []step{
			{sees: idle, sends: busy, status: going, changed: maybe, calls: 1},
			{after: 4 * time.Second, sees: running, status: going, changed: maybe},
			{after: time.Minute, sees: over, status: done, changed: yes},
		}},
		{"conflict, of someone else's change", action.StateReady, []step{
			{sees: idle, sends: busy, status: going, changed: maybe, calls: 1},
			{after: 4 * time.Second, sees: running, status: going, changed: maybe},
			{after: time.Minute, sees: lonely, class: action.Terminal, changed: maybe},
		}},
		// The answer to a duplicate, asked for by an old state.
		{"already the primary, says AWS", action.StateReady, []step{
			{sees: idle, sends: coded("InvalidParameterValue"), status: going, changed: maybe, calls: 1},
			{after: 4 * time.Second, sees: over, status: done, changed: yes},
		}},
		{"a value that stays wrong", action.StateReady, []step{
			{sees: idle, sends: coded("InvalidParameterValue"), status: going, changed: maybe, calls: 1},
			{after: 20 * time.Second, sees: idle, sends: coded("InvalidParameterValue"), class: action.InvalidInput, changed: maybe, calls: 1},
		}},
		{"never began", action.StateReady, []step{
			{sees: idle, status: going, changed: yes, calls: 1},
			{after: 20 * time.Second, sees: idle, status: going, changed: yes},
			{after: 10 * time.Minute, sees: idle, class: action.Terminal, changed: yes},
		}},
		{"denied", action.StateReady, []step{{sees: idle, sends: coded("AccessDenied"), class: action.Denied, changed: no, calls: 1}}},
		{"not a member", action.StateReady, []step{{sees: scene{status: "available", roles: before, gone: true}, class: action.Refused, changed: no}}},
		{"no secondary left", action.StateReady, []step{{sees: lonely, class: action.Terminal, changed: no}}},
		{"target not associated", action.StateReady, []step{
			{sees: scene{status: "available", roles: before, members: [2]string{"", "associating"}}, status: going, changed: no},
			{after: time.Minute, sees: idle, status: going, changed: yes, calls: 1},
		}},
		{"lost primary not associated", action.StateReady, []step{
			{sees: with(idle, func(s *scene) { s.members = [2]string{"unavailable", ""} }), status: going, changed: yes, calls: 1},
		}},
		{"its group at work", action.StateReady, []step{
			{sees: with(idle, func(s *scene) { s.group = "snapshotting" }), status: going, changed: no},
			{after: time.Minute, sees: idle, status: going, changed: yes, calls: 1},
		}},
		{"its group deleting", action.StateReady, []step{{sees: with(idle, func(s *scene) { s.group = "deleting" }), class: action.Refused, changed: no}}},
		{"its group unknown", action.StateReady, []step{{sees: with(idle, func(s *scene) { s.group = "pondering" }), status: going, changed: no}}},
		{"unknown status", action.StateReady, []step{{sees: scene{status: "pondering", roles: before}, status: going, changed: no}}},
		{"deleting", action.StateReady, []step{{sees: scene{status: "deleting", roles: before}, class: action.Terminal, changed: no}}},
		{"absent", action.StateReady, []step{{sees: scene{absent: true}, class: action.NotFound, changed: no}}},
		{"describe without an answer", action.StateReady, []step{{sees: idle, fails: serverError(), class: action.Unreachable, changed: no}}},
		{"describe throttled", action.StateReady, []step{{sees: idle, fails: coded("Throttling"), class: action.Throttled, changed: no}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, tt.baseline)
			for n, s := range tt.steps {
				m.now = m.now.Add(s.after)
				m.show(s.sees)
				m.regions[west].globals.err, m.regions[west].failover.err = s.fails, s.sends
				sent := m.mutations()
				answer, class := m.drive(t)
				if class != s.class || answer.Status != s.status {
					t.Fatalf("step %d: %q %s (%s), want %q %s", n, answer.Status, class, answer.Message, s.status, s.class)
				}
				if got := m.event.Drive.Changed; got != s.changed {
					t.Errorf("step %d: changed %s, want %s", n, got, s.changed)
				}
				if got := m.mutations() - sent; got != s.calls {
					t.Fatalf("step %d: %d mutating calls, want %d", n, got, s.calls)
				}
				if s.status == going && answer.WaitSeconds < 1 {
					t.Errorf("step %d: does not wait", n)
				}
			}
		})
	}
}

// A conflict that stays ends the resource, and no invocation calls twice.
func TestFailoverConflictStays(t *testing.T) {
	m := newMachine(t, action.StateReady)
	m.show(idle)
	m.regions[west].failover.err = coded("InvalidGlobalReplicationGroupState")
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
	}
	if after := m.now.Sub(noon); m.mutations() < 2 || after < time.Minute || after > 10*time.Minute {
		t.Errorf("the conflict was believed after %d calls and %s", m.mutations(), after)
	}
}

// The new primary is named, and its region is asked, which is all that has to
// work: the other one answers nothing.
func TestFailoverInput(t *testing.T) {
	m := newMachine(t, action.StateReady)
	m.show(idle)
	m.regions[east].dead()
	if answer, class := m.drive(t); class != "" || answer.Changed != yes {
		t.Errorf("%s: %+v", class, answer)
	}
	want := []elasticache.FailoverGlobalReplicationGroupInput{{
		GlobalReplicationGroupId: aws.String("ldgnf-orders"), PrimaryRegion: aws.String(west), PrimaryReplicationGroupId: aws.String("orders-" + west),
	}}
	if diff := cmp.Diff(want, m.regions[west].failover.asks, cmpopts.IgnoreUnexported(elasticache.FailoverGlobalReplicationGroupInput{})); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	if r := m.regions[east]; len(r.globals.asks)+len(r.groups.asks)+len(r.failover.asks) > 0 {
		t.Error("the other region was asked")
	}
}

func TestFailoverPreflight(t *testing.T) {
	const blocks, warns = action.VerdictBlocked, action.VerdictWarning
	for _, tt := range []struct {
		name     string
		sees     scene
		change   func(r *region)
		verdict  action.Verdict
		class    action.Class
		observed action.State
	}{
		{"ready", idle, nil, action.VerdictReady, "", action.StateReady},
		{"already done", over, nil, action.VerdictDone, "", action.StateDone},
		{"roles changed, not proved", proving, nil, warns, "", action.StateUnderWay},
		{"at work", running, nil, warns, "", action.StateBusy},
		{"roles changed, at work", turned, nil, warns, "", action.StateUnderWay},
		{"unknown status", scene{status: "pondering", roles: before}, nil, blocks, action.Refused, action.StateUnknown},
		{"its group unknown", with(idle, func(s *scene) { s.group = "pondering" }), nil, blocks, action.Refused, action.StateUnknown},
		{"not a member", scene{status: "available", roles: before, gone: true}, nil, blocks, action.Refused, action.StateUnknown},
		{"no secondary left", lonely, nil, blocks, action.Terminal, action.StateUnknown},
		{"its group at work", with(idle, func(s *scene) { s.group = "snapshotting" }), nil, warns, "", action.StateReady},
		{"its group could not take writes", with(idle, func(s *scene) { s.group = "deleting" }), nil, blocks, action.Refused, action.StateReady},
		{"target not associated", with(idle, func(s *scene) { s.members = [2]string{"", "associating"} }), nil, warns, "", action.StateReady},
		{"lost primary not associated", with(idle, func(s *scene) { s.members = [2]string{"unavailable", ""} }), nil, action.VerdictReady, "", action.StateReady},
		{"its group is absent", idle, func(r *region) { r.groups.err = coded("ReplicationGroupNotFoundFault") }, blocks, action.NotFound, action.StateUnknown},
		{"absent", scene{absent: true}, nil, blocks, action.NotFound, action.StateUnknown},
		{"denied", idle, func(r *region) { r.globals.err = coded("AccessDenied") }, blocks, action.Denied, action.StateUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, "")
			m.show(tt.sees)
			if tt.change != nil {
				tt.change(m.regions[west])
			}
			got, class := m.preflight(t)
			if class != "" || got.Verdict != tt.verdict || got.Observed != tt.observed {
				t.Fatalf("class %q, %q from %s, want %q from %s: %+v", class, got.Verdict, got.Observed, tt.verdict, tt.observed, got.Findings)
			}
			for _, f := range got.Findings {
				if f.Class != tt.class {
					t.Errorf("finding %+v, want class %q", f, tt.class)
				}
			}
			if m.mutations() > 0 {
				t.Error("a preflight changed something")
			}
		})
	}
	t.Run("without an answer", func(t *testing.T) {
		m := newMachine(t, "")
		m.show(idle)
		m.regions[west].dead()
		got, class := m.preflight(t)
		if class != "" || got.Verdict != blocks || got.Observed != action.StateUnknown || got.Findings[0].Class != action.Unreachable {
			t.Errorf("class %q, %+v", class, got)
		}
	})
	t.Run("target outside the region of the run", func(t *testing.T) {
		m := newMachine(t, "")
		m.show(idle)
		m.event.Run.Region = east
		if got, class := m.preflight(t); class != "" || got.Verdict != warns || got.Observed != action.StateReady {
			t.Errorf("class %q, %+v", class, got)
		}
	})
}

// The lag of the target is read in its own region, by the names of its nodes,
// and gates the call.
func TestFailoverLag(t *testing.T) {
	known := func(d time.Duration) lag.Reading { return lag.Reading{Known: true, Lag: d, At: noon} }
	failed := func(class action.Class) lag.Reading { return lag.Reading{Why: "no", Err: action.Errorf(class, "no")} }
	unknown := lag.Reading{Why: "nothing was published"}
	const ready, warns, blocks = action.VerdictReady, action.VerdictWarning, action.VerdictBlocked
	for _, tt := range []struct {
		name    string
		limit   *int
		accept  bool
		reading lag.Reading
		class   action.Class // instead of a call
		verdict action.Verdict
	}{
		{"below the limit", aws.Int(10), false, known(9 * time.Second), "", ready},
		{"at the limit", aws.Int(10), false, known(10 * time.Second), "", ready},
		{"above", aws.Int(10), false, known(11 * time.Second), action.Refused, blocks},
		{"above, unknown accepted", aws.Int(10), true, known(11 * time.Second), action.Refused, blocks},
		{"unknown", aws.Int(10), false, unknown, action.Refused, blocks},
		{"unknown, accepted", aws.Int(10), true, unknown, "", warns},
		{"never read", aws.Int(0), false, lag.Reading{}, action.Refused, blocks},
		{"throttled", aws.Int(10), false, failed(action.Throttled), action.Throttled, blocks},
		{"throttled, accepted", aws.Int(10), true, failed(action.Throttled), "", warns},
		{"denied", aws.Int(10), false, failed(action.Denied), action.Denied, blocks},
		{"no limit, large", nil, false, known(time.Hour), "", ready},
		{"no limit, unknown", nil, false, unknown, "", warns},
		{"no limit, throttled", nil, false, failed(action.Throttled), "", warns},
	} {
		t.Run(tt.name, func(t *testing.T) {
			limited := parameters
			limited.Limit = lag.Limit{MaxReplicaLagSeconds: tt.limit, AcceptUnknownLag: tt.accept}
			encoded, err := json.Marshal(limited)
			if err != nil {
				t.Fatal(err)
			}
			m := newMachine(t, action.StateReady)
			m.event.Resource.Parameters = encoded
			m.show(idle)
			m.regions[west].lags.reading = tt.reading
			m.regions[east].dead()
			answer, class := m.drive(t)
			if calls := m.mutations(); class != tt.class || (calls == 1) != (tt.class == "") || calls > 1 {
				t.Errorf("%q with %d calls, want %q", class, calls, tt.class)
			}
			if class == "" {
				if _, noted := answer.Memo[action.MemoLag]; noted != tt.reading.Known || answer.Evidence["lag"] != tt.reading.String() {
					t.Errorf("memo %v, evidence %v", answer.Memo, answer.Evidence)
				}
			}
			if len(m.regions[east].lags.asks) > 0 || len(m.regions[west].lags.asks) != 1 {
				t.Fatalf("read %v in the east and %v in the west", m.regions[east].lags.asks, m.regions[west].lags.asks)
			}
			want := lag.Dimension{Values: append([]string{"orders-us-west-2"}, nodes...)}
			if got := m.regions[west].lags.asks[0]; got.Name != "GlobalDatastoreReplicationLag" || !cmp.Equal(got.Of, want) {
				t.Errorf("read %+v, want %+v", got, want)
			}

			m = newMachine(t, "")
			m.event.Resource.Parameters = encoded
			m.show(idle)
			m.regions[west].lags.reading = tt.reading
			got, _ := m.preflight(t)
			if got.Verdict != tt.verdict || m.mutations() > 0 {
				t.Errorf("preflight: %q with %+v, want %q", got.Verdict, got.Findings, tt.verdict)
			}
		})
	}
}

// Nothing is read of what no call would be made for.
func TestFailoverReadsNoLagForNothing(t *testing.T) {
	for name, s := range map[string]scene{"done": over, "running": running, "its group at work": with(idle, func(s *scene) { s.group = "snapshotting" })} {
		m := newMachine(t, action.StateReady)
		m.show(s)
		m.drive(t)
		before := newMachine(t, "")
		before.show(s)
		before.preflight(t)
		if n := len(m.regions[west].lags.asks) + len(before.regions[west].lags.asks); n > 0 {
			t.Errorf("%s: %d reads", name, n)
		}
	}
}
