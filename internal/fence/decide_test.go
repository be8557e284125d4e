package fence

import (
	"maps"
	"strings"
	"testing"
	"time"

	"dr-orchestrator/internal/action"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	open   = "sg-0a000000"
	other  = "sg-0b000000"
	closed = "sg-0c000000"
)

var (
	isolate = Parameters{RDSInstanceIdentifier: "orders", PrimaryRegion: "us-east-1", SuccessorIdentifier: "orders-2", Method: MethodIsolate, IsolationSecurityGroupIds: []string{closed}, Reboot: true, WaitSeconds: 60}
	idle    = Primary{ID: "orders", ARN: "arn:aws:rds:us-east-1:111122223333:db:orders", Status: "available", Writer: "orders", WriterStatus: "available", Groups: []string{open}, Settled: true}
)

func with(p Primary, change func(*Primary)) Primary { change(&p); return p }

func by(method string) Parameters { p := isolate; p.Method = method; return p }

func tagged(fence, groups string) func(*Primary) {
	return func(p *Primary) { p.Tags = map[string]string{tagFence: fence, tagGroups: groups} }
}

// begun has its groups saved, shut is isolated besides.
var (
	begun    = with(idle, tagged(fenceBegun, open))
	shut     = with(begun, func(p *Primary) { p.Groups = []string{closed} })
	complete = with(shut, tagged(fenceComplete, open))
	freed    = with(shut, tagged(fenceReleased, open))
	stopped  = with(idle, func(p *Primary) { p.Status, p.WriterStatus = "stopped", "stopped" })
	cluster  = with(idle, func(p *Primary) { p.Cluster, p.Members, p.Writer = true, 2, "orders-1" })
)

func nothing(string) action.Asked { return action.Asked{Now: noon} }

// askedFor says that one call was accepted, and how long nothing is seen of it.
func askedFor(step string, idleFor time.Duration) notes {
	return notes{asked: func(name string) action.Asked {
		if name != step {
			return nothing(name)
		}
		return action.Asked{Now: noon, Requested: noon.Add(-time.Hour), IdleSince: noon.Add(-idleFor)}
	}}
}

// Every status, and what each method makes of it. A status that is new in the
// list has to be put here too.
func TestDecideEveryStatus(t *testing.T) {
	want := map[string]action.Move{"available": action.MoveAct, "storage-optimization": action.MoveAct}
	for _, status := range []string{
		"backing-up", "backtracking", "configuring-associated-roles", "configuring-enhanced-monitoring", "configuring-iam-database-auth",
		"configuring-log-exports", "converting-to-vpc", "creating", "delete-precheck", "failing-over", "maintenance", "migrating", "modifying",
		"moving-to-vpc", "promoting", "rebooting", "renaming", "resetting-master-credentials", "starting", "stopping", "storage-config-upgrade",
		"storage-initialization", "switching-over", "update-iam-db-auth", "upgrading", "something-new", "Available",
	} {
		want[status] = action.MoveWait
	}
	for _, status := range []string{
		"cloning-failed", "deleting", "failed", "inaccessible-encryption-credentials", "inaccessible-encryption-credentials-recoverable",
		"insufficient-capacity", "migration-failed", "restore-error", "storage-full", "incompatible-something-new",
	} {
		want[status] = action.MoveFail
	}
	for status := range conditions {
		if _, ok := want[status]; !ok {
			t.Errorf("status %q has no row here", status)
		}
	}
	for status, want := range want {
		for _, method := range []string{MethodIsolate, MethodStop, MethodRelease} {
			sees := with(begun, func(p *Primary) { p.Status = status })
			if d := decide(sees, by(method), notes{asked: nothing}); d.Move != want || d.Reason == "" {
				t.Errorf("%s, %s: move %d, want %d (%s)", status, method, d.Move, want, d.Reason)
			}
			sees = with(cluster, func(p *Primary) { p.WriterStatus = status; tagged(fenceBegun, open)(p) })
			if d := decide(sees, by(method), notes{asked: nothing}); d.Move != want {
				t.Errorf("writer %s, %s: move %d, want %d (%s)", status, method, d.Move, want, d.Reason)
			}
		}
	}
}

func TestDecideRules(t *testing.T) {
	const wait, finish, act, fail = action.MoveWait, action.MoveFinish, action.MoveAct, action.MoveFail
	const ready, busy, underWay, done = action.StateReady, action.StateBusy, action.StateUnderWay, action.StateDone
	none := notes{asked: nothing}
	seen := notes{asked: nothing, rebooted: true}
	unsure := notes{asked: func(string) action.Asked { return action.Asked{Now: noon, Unsure: true} }}
	noReboot := isolate
	noReboot.Reboot = false
	forHim := func(p *Primary) { p.Tags[tagSuccessor] = "arn:he" }
	of := func(p Primary, changes ...func(*Primary)) Primary {
		p.Tags = maps.Clone(p.Tags)
		for _, change := range changes {
			change(&p)
		}
		return p
	}
	him, another := notes{asked: nothing, next: "ARN:he"}, notes{asked: nothing, next: "arn:she"}
	two := isolate
	two.IsolationSecurityGroupIds = []string{closed, other, closed}
	many := with(idle, func(p *Primary) { p.Groups = strings.Fields(strings.Repeat("sg-0123456789abcdef0 ", 12)) })
	for _, tt := range []struct {
		name  string
		sees  Primary
		p     Parameters
		notes notes
		want  action.Move
		state action.State
		step  string
		phase string
	}{
		{"open: the groups are saved first", idle, isolate, none, act, ready, stepSave, stepSave},
		{"begun, and in other groups since: those saved stay", with(begun, func(p *Primary) { p.Groups = []string{open, other} }), isolate, none, act, underWay, stepIsolate, stepIsolate},
		{"begun, and in the groups of another fence", with(shut, func(p *Primary) { p.Groups = []string{other} }), isolate, none, act, underWay, stepIsolate, stepIsolate},
		{"begun, and none are saved", with(idle, tagged(fenceBegun, "")), isolate, none, act, ready, stepSave, stepSave},
		{"fenced once, and opened by hand", with(idle, tagged(fenceComplete, open)), isolate, none, act, ready, stepSave, stepSave},
		{"fenced once, and released", with(idle, tagged(fenceReleased, open)), isolate, none, act, ready, stepSave, stepSave},
		{"saving, not yet visible", idle, isolate, askedFor(stepSave, time.Minute), wait, underWay, stepSave, action.PhaseInvisible},
		{"perhaps saved", idle, isolate, unsure, wait, ready, stepSave, "confirming"},
		{"as many groups as a tag takes", with(many, func(p *Primary) { p.Groups = p.Groups[:12] }), isolate, none, act, ready, stepSave, stepSave},
		{"more groups than a tag takes", with(many, func(p *Primary) { p.Groups = append(p.Groups[:12:12], open) }), isolate, none, fail, ready, "", "too many groups"},
		{"no group shown", with(idle, func(p *Primary) { p.Groups, p.Settled = nil, false }), isolate, none, wait, busy, "", "groups"},
		{"groups are changing", with(idle, func(p *Primary) { p.Settled = false }), isolate, none, wait, busy, "", "groups"},

		{"saved: it is isolated", begun, isolate, none, act, underWay, stepIsolate, stepIsolate},
		{"isolation, not yet visible", begun, isolate, askedFor(stepIsolate, 5*time.Minute-time.Second), wait, underWay, stepIsolate, action.PhaseInvisible},
		{"isolation never began", begun, isolate, askedFor(stepIsolate, 5*time.Minute), fail, underWay, stepIsolate, "cancelled"},
		{"perhaps isolated", begun, isolate, unsure, wait, underWay, stepIsolate, "confirming"},
		{"isolated, not in force", with(shut, func(p *Primary) { p.Settled = false }), isolate, none, wait, underWay, "", "groups"},
		{"isolated and one group more", with(begun, func(p *Primary) { p.Groups = []string{open, closed} }), isolate, none, act, underWay, stepIsolate, stepIsolate},
		{"one of two isolating groups", with(shut, tagged(fenceBegun, closed)), two, none, act, underWay, stepIsolate, stepIsolate},
		{"both isolating groups", with(complete, func(p *Primary) { p.Groups = []string{other, closed} }), two, none, finish, done, "", phaseFenced},

		{"isolated: it is rebooted", shut, isolate, none, act, underWay, stepReboot, stepReboot},
		{"isolated, no reboot wanted: nothing is proved", shut, noReboot, none, finish, done, "", phaseClosed},
		{"reboot, not yet visible", shut, isolate, askedFor(stepReboot, time.Minute), wait, underWay, stepReboot, action.PhaseInvisible},
		{"reboot that nobody saw is asked for again", shut, isolate, askedFor(stepReboot, 5*time.Minute), act, underWay, stepReboot, stepReboot},
		{"rebooting", with(shut, func(p *Primary) { p.Status, p.WriterStatus = "rebooting", "rebooting" }), isolate, none, wait, underWay, "", "rebooting"},
		{"rebooted: that is recorded", shut, isolate, seen, act, underWay, stepComplete, stepComplete},
		{"rebooted while open counts for nothing", begun, isolate, seen, act, underWay, stepIsolate, stepIsolate},
		{"recorded", complete, isolate, none, finish, done, "", phaseFenced},
		{"recorded, no reboot wanted", complete, noReboot, none, finish, done, "", phaseFenced},
		{"recorded, and released since", freed, isolate, none, act, underWay, stepReboot, stepReboot},
		{"stopped takes no writes", stopped, isolate, none, finish, done, "", phaseFenced},
		{"cluster without instances", with(shut, func(p *Primary) { p.Cluster, p.Writer, p.WriterStatus = true, "", "" }), isolate, none, finish, done, "", phaseFenced},
		{"cluster that shows no writer", with(shut, func(p *Primary) { p.Cluster, p.Members, p.Writer, p.WriterStatus = true, 2, "", "" }), isolate, none, wait, underWay, "", "no writer"},

		{"begun for it", of(begun, forHim), isolate, him, act, underWay, stepIsolate, stepIsolate},
		{"begun for another: the tag is to say so", of(begun, forHim), isolate, another, act, underWay, stepName, stepName},
		{"begun, and nobody knows for what", begun, isolate, him, act, underWay, stepName, stepName},
		{"recorded for it", of(complete, forHim), isolate, him, finish, done, "", phaseFenced},
		{"recorded for another", of(complete, forHim), isolate, another, act, underWay, stepName, stepName},
		{"recorded for another, not yet visible", of(complete, forHim), isolate, notes{asked: askedFor(stepName, time.Minute).asked, next: "arn:she"}, wait, underWay, stepName, action.PhaseInvisible},
		{"released of another, and isolated still", of(freed, forHim), isolate, another, act, underWay, stepName, stepName},
		{"released of another, and open: the groups are saved, and that with them", of(with(freed, func(p *Primary) { p.Groups = []string{open} }), forHim), isolate, another, act, ready, stepSave, stepSave},

		{"stop", idle, by(MethodStop), none, act, ready, stepStop, stepStop},
		{"stop, not yet visible", idle, by(MethodStop), askedFor(stepStop, time.Minute), wait, underWay, stepStop, action.PhaseInvisible},
		{"stop what has a replica", with(idle, func(p *Primary) { p.Replicas = 1 }), by(MethodStop), none, fail, ready, "", "has replicas"},
		{"stop a member of a global cluster", with(cluster, func(p *Primary) { p.Global = "g" }), by(MethodStop), none, fail, ready, "", "in a global cluster"},
		{"stopping", with(stopped, func(p *Primary) { p.Status = "stopping" }), by(MethodStop), none, wait, underWay, "", "stopping"},
		{"stopped", stopped, by(MethodStop), none, finish, done, "", phaseFenced},
		{"isolated is not stopped", complete, by(MethodStop), none, act, ready, stepStop, stepStop},

		{"release what is fenced: the word goes first", complete, by(MethodRelease), none, act, ready, stepRelease, stepRelease},
		{"release what was begun", begun, by(MethodRelease), none, act, ready, stepRelease, stepRelease},
		{"release, then the groups", freed, by(MethodRelease), none, act, underWay, stepRestore, stepRestore},
		{"release, the groups are changing", with(freed, func(p *Primary) { p.Settled = false }), by(MethodRelease), none, wait, underWay, "", "groups"},
		{"release, stopped", stopped, by(MethodRelease), none, act, ready, stepStart, stepStart},
		{"release, stopped and isolated", with(freed, func(p *Primary) { p.Status = "stopped" }), by(MethodRelease), none, act, underWay, stepStart, stepStart},
		{"release, never fenced", idle, by(MethodRelease), none, finish, done, "", phaseFree},
		{"release, the groups are lost", with(shut, func(p *Primary) { p.Tags = map[string]string{tagFence: fenceReleased} }), by(MethodRelease), none, fail, ready, "", "groups unknown"},
		{"released", with(freed, func(p *Primary) { p.Groups = []string{open} }), by(MethodRelease), none, finish, done, "", phaseFree},
		{"released, more groups than before", with(freed, func(p *Primary) { p.Groups = []string{open, other} }), by(MethodRelease), none, act, underWay, stepRestore, stepRestore},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := decide(tt.sees, tt.p, tt.notes)
			if got.Move != tt.want || got.State != tt.state || got.Step != tt.step || got.Phase != tt.phase {
				t.Errorf("move %d %q %q from %s, want %d %q %q from %s (%s)", got.Move, got.Step, got.Phase, got.State, tt.want, tt.step, tt.phase, tt.state, got.Reason)
			}
			want := fenceUnknown
			switch tt.phase {
			case phaseFenced:
				want = fenceProved
			case phaseFree:
				want = fenceFree
			}
			if told := proof(tt.sees, got)[evidenceFence]; told != want {
				t.Errorf("the evidence says %q, want %q", told, want)
			}
		})
	}
}

// What must never be fenced, however little is Required.
func TestMisdirected(t *testing.T) {
	secondary := with(cluster, func(p *Primary) { p.Global, p.Writer = "g", "" })
	for _, tt := range []struct {
		name    string
		p       Parameters
		region  string
		sees    *Primary
		refused bool
	}{
		{"another region", isolate, "us-west-2", nil, false},
		{"another region, a primary", isolate, "us-west-2", &idle, false},
		{"the region of the run", isolate, "us-east-1", nil, true},
		{"the region of the run, by stopping", by(MethodStop), "us-east-1", nil, true},
		{"the region of the run, given back", by(MethodRelease), "us-east-1", &idle, false},
		{"a replica", isolate, "us-west-2", &Primary{Source: "arn"}, true},
		{"a replica, given back", by(MethodRelease), "us-west-2", &Primary{Source: "arn"}, false},
		{"an instance of a cluster", isolate, "us-west-2", &Primary{Parent: "orders"}, true},
		{"a cluster", isolate, "us-west-2", &cluster, false},
		{"a secondary of a global cluster", isolate, "us-west-2", &secondary, true},
		{"a global cluster's primary", isolate, "us-west-2", &Primary{Global: "g", Members: 2, Writer: "orders-1"}, false},
		{"in the isolating groups by a fence", isolate, "us-west-2", &shut, false},
		{"in the isolating groups by a fence that is done", isolate, "us-west-2", &complete, false},
		{"in the isolating groups while it is released", isolate, "us-west-2", &freed, false},
		{"in the isolating groups every day", isolate, "us-west-2", new(with(shut, func(p *Primary) { p.Tags = nil })), true},
		{"in the isolating groups, which a release would give back", isolate, "us-west-2", new(with(shut, tagged(fenceReleased, closed))), true},
		{"in the isolating groups every day, and stopped", isolate, "us-west-2", new(with(stopped, func(p *Primary) { p.Groups = []string{closed} })), false},
		{"in the isolating groups every day, by stopping", by(MethodStop), "us-west-2", new(with(shut, func(p *Primary) { p.Tags = nil })), false},
		{"without instances", isolate, "us-west-2", &Primary{Global: "g"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := misdirected(tt.p, tt.region, tt.sees)
			if (err != nil) != tt.refused || err != nil && action.ClassOf(err) != action.Refused {
				t.Errorf("%v, want refused: %t", err, tt.refused)
			}
		})
	}
}

func TestCheckParameters(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Parameters)
		want   int
	}{
		{"instance", func(*Parameters) {}, 0},
		{"cluster", func(p *Parameters) { p.RDSInstanceIdentifier, p.DBClusterIdentifier = "", "orders" }, 0},
		{"both", func(p *Parameters) { p.DBClusterIdentifier = "orders" }, 1},
		{"neither", func(p *Parameters) { p.RDSInstanceIdentifier = "" }, 1},
		{"no successor", func(p *Parameters) { p.SuccessorIdentifier = "" }, 1},
		{"no successor, by stopping", func(p *Parameters) { p.SuccessorIdentifier, p.Method = "", MethodStop }, 1},
		{"no successor, given back", func(p *Parameters) { p.SuccessorIdentifier, p.Method = "", MethodRelease }, 0},
		{"two writers accepted", func(p *Parameters) { p.AcceptTwoWriters = true }, 1},
		{"two writers accepted, given back", func(p *Parameters) { p.AcceptTwoWriters, p.Method = true, MethodRelease }, 0},
		{"no groups", func(p *Parameters) { p.IsolationSecurityGroupIds = nil }, 1},
		{"no groups, by stopping", func(p *Parameters) { p.IsolationSecurityGroupIds, p.Method = nil, MethodStop }, 0},
		{"no groups, given back", func(p *Parameters) { p.IsolationSecurityGroupIds, p.Method = nil, MethodRelease }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := isolate
			tt.change(&p)
			if issues := p.Check(); len(issues) != tt.want {
				t.Errorf("%+v, want %d", issues, tt.want)
			}
		})
	}
}

// Trouble is borne for WaitSeconds, and then told; what is demanded fails.
func TestBear(t *testing.T) {
	refused := action.Errorf(action.Denied, "no")
	since := func(d time.Duration) map[string]string {
		return map[string]string{memoTrouble: noon.Add(-d).Format(time.RFC3339)}
	}
	ago := func(d time.Duration) *time.Time { at := noon.Add(-d); return &at }
	required, release := isolate, by(MethodRelease)
	required.Required = true
	busy := action.Progress{Status: action.InProgress, Observed: action.StateBusy, Message: "modifying"}
	contended := action.Progress{Status: action.InProgress, Observed: action.StateReady, Contended: true, Message: "busy"}
	for _, tt := range []struct {
		name     string
		p        Parameters
		drive    action.Drive
		progress action.Progress
		err      error
		status   action.Status
		class    action.Class
		trouble  bool // noted
		unknown  bool
	}{
		{"first trouble", isolate, action.Drive{}, action.Progress{}, refused, action.InProgress, "", true, false},
		{"trouble for a little", isolate, action.Drive{Memo: since(59 * time.Second)}, action.Progress{}, refused, action.InProgress, "", true, false},
		{"trouble for long", isolate, action.Drive{Memo: since(60 * time.Second)}, action.Progress{}, refused, action.Done, "", false, true},
		{"AWS is busy for a little", isolate, action.Drive{Memo: since(59 * time.Second)}, contended, nil, action.InProgress, "", true, false},
		{"AWS is busy for long", isolate, action.Drive{Memo: since(60 * time.Second)}, contended, nil, action.Done, "", false, true},
		{"required", required, action.Drive{Memo: since(time.Hour)}, action.Progress{}, refused, "", action.Denied, false, false},
		{"required, silence", required, action.Drive{}, action.Progress{}, action.Errorf(action.Unreachable, "x"), "", action.Unreachable, false, false},
		{"a release is always required", release, action.Drive{Memo: since(time.Hour)}, action.Progress{}, refused, "", action.Denied, false, false},
		{"an answer was lost", isolate, action.Drive{Memo: since(time.Hour)}, action.Progress{}, action.Errorf(action.OutcomeUnknown, "x"), "", action.OutcomeUnknown, false, false},
		{"a defect", isolate, action.Drive{Memo: since(time.Hour)}, action.Progress{}, action.Errorf(action.Internal, "x"), "", action.Internal, false, false},
		{"it goes on", isolate, action.Drive{StartedAt: noon.Add(-28*time.Minute + time.Second), Memo: since(time.Hour)}, busy, nil, action.InProgress, "", false, false},
		{"it goes on too long", isolate, action.Drive{StartedAt: noon.Add(-28 * time.Minute)}, busy, nil, action.Done, "", false, true},
		{"it goes on too long, a call may show yet", isolate, action.Drive{StartedAt: noon.Add(-28 * time.Minute), InterruptedAt: ago(14 * time.Second)}, busy, nil, action.InProgress, "", false, false},
		{"it goes on too long, no call can show any more", isolate, action.Drive{StartedAt: noon.Add(-28 * time.Minute), InterruptedAt: ago(15 * time.Second)}, busy, nil, action.Done, "", false, true},
		{"it goes on too long, required", required, action.Drive{StartedAt: noon.Add(-29 * time.Minute)}, busy, nil, action.InProgress, "", false, false},
		{"done in the last moment", isolate, action.Drive{StartedAt: noon.Add(-29 * time.Minute)}, action.Progress{Status: action.Done}, nil, action.Done, "", false, false},
		{"first trouble near the end", isolate, action.Drive{StartedAt: noon.Add(-28 * time.Minute)}, action.Progress{}, refused, action.Done, "", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.drive.StartedAt.IsZero() {
				tt.drive.StartedAt = noon.Add(-10 * time.Minute)
			}
			tt.progress.Evidence = action.Evidence{}
			req := action.Request[Parameters]{Parameters: tt.p, Drive: tt.drive, Resource: action.Resource{TimeLimitSeconds: 1800}, Now: noon}
			got, err := bear(req, tt.progress, tt.err)
			if tt.class != "" {
				if action.ClassOf(err) != tt.class {
					t.Errorf("class %s, want %s (%v)", action.ClassOf(err), tt.class, err)
				}
				return
			}
			if err != nil || got.Status != tt.status || (got.Memo[memoTrouble] != "") != tt.trouble {
				t.Errorf("%s with %v (%v), want %s", got.Status, got.Memo, err, tt.status)
			}
			if unknown := got.Evidence[evidenceFence] == fenceUnknown && strings.Contains(got.Message, "two writers may serve"); unknown != tt.unknown {
				t.Errorf("%+v, want unknown: %t", got, tt.unknown)
			}
		})
	}
}
