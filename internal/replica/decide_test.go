package replica

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/succession"
)

// Every status, and what is done about a replica and about an instance that
// stands on its own. A status that is new in the list has to be put here too.
func TestDecideEveryStatus(t *testing.T) {
	type moves struct{ replica, alone action.Move }
	want := map[string]moves{
		"available":            {action.MoveAct, action.MoveFinish},
		"storage-optimization": {action.MoveAct, action.MoveFinish},
	}
	for _, status := range []string{
		"backing-up", "modifying", "rebooting", "configuring-enhanced-monitoring", "configuring-iam-database-auth", "configuring-log-exports",
		"configuring-associated-roles", "converting-to-vpc", "creating", "delete-precheck", "maintenance", "moving-to-vpc", "renaming",
		"resetting-master-credentials", "starting", "stopping", "storage-config-upgrade", "storage-initialization", "upgrading",
		"", "something-new", "Available", // unknown
	} {
		want[status] = moves{action.MoveWait, action.MoveWait}
	}
	for _, status := range []string{
		"deleting", "failed", "inaccessible-encryption-credentials", "inaccessible-encryption-credentials-recoverable", "incompatible-create",
		"incompatible-network", "incompatible-option-group", "incompatible-parameters", "incompatible-restore", "insufficient-capacity",
		"restore-error", "stopped", "storage-full", "incompatible-something-new",
	} {
		want[status] = moves{action.MoveFail, action.MoveFail}
	}
	for status := range conditions {
		if _, ok := want[status]; !ok {
			t.Errorf("status %q has no row here", status)
		}
	}
	for status, want := range want {
		t.Run(status, func(t *testing.T) {
			asked := action.Asked{Now: noon}
			replica := decide(Instance{ID: "orders", ARN: replicaARN, Status: status, Source: sourceARN, Replication: "replicating"}, parameters, asked, asked)
			if replica.Move != want.replica {
				t.Errorf("replica: move %d, want %d", replica.Move, want.replica)
			}
			alone := decide(Instance{ID: "orders", ARN: replicaARN, Status: status}, parameters, asked, asked)
			if alone.Move != want.alone {
				t.Errorf("alone: move %d, want %d", alone.Move, want.alone)
			}
			for _, d := range []action.Decision{replica, alone} {
				if (d.Move == action.MoveFinish) != (d.State == action.StateDone) {
					t.Errorf("move %d with the state %s", d.Move, d.State)
				}
				if d.Move == action.MoveAct && d.State != action.StateReady {
					t.Errorf("promotes from the state %s", d.State)
				}
				if (d.Move == action.MoveFail) != (d.Class == action.Terminal) || d.Reason == "" {
					t.Errorf("%+v", d)
				}
			}
			// A replica that is at work may be so for another reason than a promotion.
			if conditions[status] == action.StatusPending && (replica.State != action.StateBusy && status != statusBackingUp || alone.State != action.StateUnderWay) {
				t.Errorf("at work: the replica is %s, alone it is %s", replica.State, alone.State)
			}
			if conditions[status] == action.StatusUnknown && (replica.State != action.StateUnknown || alone.State != action.StateUnknown) {
				t.Errorf("nobody knows: the replica is %s, alone it is %s", replica.State, alone.State)
			}
		})
	}
}

func TestDecideRules(t *testing.T) {
	idle := Instance{ID: "orders", ARN: replicaARN, Status: statusAvailable, Source: sourceARN, Replication: "replicating"}
	alone := Instance{ID: "orders", ARN: replicaARN, Status: statusAvailable, Retention: 1}
	with := func(i Instance, change func(*Instance)) Instance { change(&i); return i }
	keeps := func(days int) PromoteParameters { p := parameters; p.BackupRetentionPeriod = aws.Int(days); return p }
	seven := keeps(7)
	requested := func(ago, idleFor time.Duration) action.Asked {
		a := action.Asked{Now: noon, Requested: noon.Add(-ago)}
		if idleFor > 0 {
			a.IdleSince = noon.Add(-idleFor)
		}
		return a
	}
	now := action.Asked{Now: noon}
	unsure := action.Asked{Now: noon, Unsure: true}
	const wait, finish, act, fail = action.MoveWait, action.MoveFinish, action.MoveAct, action.MoveFail
	const ready, busy, underWay, done, unknown = action.StateReady, action.StateBusy, action.StateUnderWay, action.StateDone, action.StateUnknown
	for _, tt := range []struct {
		name            string
		instance        Instance
		p               PromoteParameters
		promote, modify action.Asked
		want            action.Move
		state           action.State
		class           action.Class
		step            string
	}{
		{"idle replica", idle, seven, now, now, act, ready, "", stepPromote},
		{"idle replica of an instance in this region", with(idle, func(i *Instance) { i.Source = "orders-1" }), seven, now, now, act, ready, "", stepPromote},
		{"replication in error: a disaster does that", with(idle, func(i *Instance) { i.Replication = "error" }), seven, now, now, act, ready, "", stepPromote},
		{"replication stopped", with(idle, func(i *Instance) { i.Replication = "stopped" }), seven, now, now, act, ready, "", stepPromote},
		{"no replication shown", with(idle, func(i *Instance) { i.Replication = "" }), seven, now, now, act, ready, "", stepPromote},
		{"ARN in other letters", with(idle, func(i *Instance) { i.ARN = strings.ToUpper(i.ARN) }), seven, now, now, act, ready, "", stepPromote},

		{"another instance, idle", with(idle, func(i *Instance) { i.ARN = sourceARN }), seven, now, now, fail, unknown, action.InvalidInput, ""},
		{"another instance, alone", with(alone, func(i *Instance) { i.ARN = sourceARN }), parameters, now, now, fail, unknown, action.InvalidInput, ""},
		{"another instance, failed", with(idle, func(i *Instance) { i.ARN, i.Status = sourceARN, "failed" }), parameters, now, now, fail, unknown, action.InvalidInput, ""},
		{"no ARN shown", with(alone, func(i *Instance) { i.ARN = "" }), parameters, now, now, fail, unknown, action.InvalidInput, ""},
		{"member of a cluster, replica", with(idle, func(i *Instance) { i.Cluster = "orders" }), seven, now, now, fail, unknown, action.Refused, ""},
		{"member of a cluster, alone", with(alone, func(i *Instance) { i.Cluster = "orders" }), parameters, now, now, fail, unknown, action.Refused, ""},

		{"backing up, still a replica", with(idle, func(i *Instance) { i.Status = statusBackingUp }), seven, now, now, wait, ready, "", ""},
		{"backing up, promoted", with(alone, func(i *Instance) { i.Status = statusBackingUp }), seven, now, now, wait, underWay, "", ""},
		{"modifying, still a replica", with(idle, func(i *Instance) { i.Status = statusModifying }), seven, now, now, wait, busy, "", ""},
		{"modifying, still a replica, asked for", with(idle, func(i *Instance) { i.Status = statusModifying }), seven, requested(time.Minute, 0), now, wait, busy, "", ""},
		{"rebooting, promoted", with(alone, func(i *Instance) { i.Status = statusRebooting }), seven, requested(time.Minute, 0), now, wait, underWay, "", ""},

		{"asked for and not yet visible", idle, seven, requested(5*time.Second, 0), now, wait, underWay, "", ""},
		{"asked for and invisible for a little", idle, seven, requested(time.Hour, 5*time.Minute-time.Second), now, wait, underWay, "", ""},
		{"asked for and never began", idle, seven, requested(time.Hour, 5*time.Minute), now, fail, ready, action.Terminal, ""},
		{"perhaps asked for", idle, seven, unsure, unsure, wait, ready, "", ""},
		{"only the backups were asked for", idle, seven, now, requested(time.Hour, time.Hour), act, ready, "", stepPromote},

		{"alone, no retention asked for", alone, parameters, now, now, finish, done, "", ""},
		{"alone, perhaps asked for", alone, parameters, unsure, unsure, finish, done, "", ""},
		{"alone, never began by the memo", alone, parameters, requested(time.Hour, 10*time.Minute), now, finish, done, "", ""},
		{"alone with the retention asked for", with(alone, func(i *Instance) { i.Retention = 7 }), seven, now, now, finish, done, "", ""},
		{"alone with less retention", alone, seven, now, now, act, ready, "", stepModify},
		{"alone without backups", with(alone, func(i *Instance) { i.Retention = 0 }), seven, now, now, act, ready, "", stepModify},
		{"alone with one day less", with(alone, func(i *Instance) { i.Retention = 6 }), seven, now, now, act, ready, "", stepModify},
		{"alone with one day more: it is kept", with(alone, func(i *Instance) { i.Retention = 8 }), seven, now, now, finish, done, "", ""},
		{"alone with backups and none asked for: they are kept", with(alone, func(i *Instance) { i.Retention = 35 }), keeps(0), now, now, finish, done, "", ""},
		{"alone, the retention comes", with(alone, func(i *Instance) { i.Pending = aws.Int(7) }), seven, now, now, wait, underWay, "", ""},
		{"alone, another retention comes", with(alone, func(i *Instance) { i.Pending = aws.Int(3) }), seven, now, now, act, ready, "", stepModify},
		{"alone, no backups asked for and none there", with(alone, func(i *Instance) { i.Retention = 0 }), keeps(0), now, now, finish, done, "", ""},
		{"alone, replication still shown", with(alone, func(i *Instance) { i.Replication = "replication stop point reached" }), parameters, now, now, wait, underWay, "", ""},

		{"backups asked for and not yet visible", alone, seven, now, requested(5*time.Second, 0), wait, underWay, "", ""},
		{"backups asked for and invisible for a little", alone, seven, now, requested(time.Hour, 5*time.Minute-time.Second), wait, underWay, "", ""},
		{"backups asked for and never began", alone, seven, now, requested(time.Hour, 5*time.Minute), fail, ready, action.Terminal, ""},
		{"backups perhaps asked for", alone, seven, unsure, unsure, wait, ready, "", ""},
		{"only the promotion was asked for", alone, seven, requested(time.Hour, time.Hour), now, act, ready, "", stepModify},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := decide(tt.instance, tt.p, tt.promote, tt.modify)
			if got.Move != tt.want || got.State != tt.state || got.Class != tt.class || got.Step != tt.step {
				t.Errorf("move %d %s %q from %s, want %d %s %q from %s (%s)", got.Move, got.Class, got.Step, got.State, tt.want, tt.class, tt.step, tt.state, got.Reason)
			}
		})
	}
}

func TestCheckParameters(t *testing.T) {
	for _, tt := range []struct {
		name string
		p    PromoteParameters
		want int
	}{
		{"the same instance", PromoteParameters{RDSInstanceIdentifier: "orders", TargetClusterIdentifier: replicaARN}, 0},
		{"another instance", PromoteParameters{RDSInstanceIdentifier: "billing", TargetClusterIdentifier: replicaARN}, 1},
		{"no ARN: its format says so already", PromoteParameters{RDSInstanceIdentifier: "orders", TargetClusterIdentifier: "orders"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			issues := tt.p.Check()
			if len(issues) != tt.want {
				t.Errorf("issues %+v, want %d", issues, tt.want)
			}
			for _, issue := range issues {
				if issue.Parameter == "" || issue.Message == "" {
					t.Errorf("issue %+v", issue)
				}
			}
		})
	}
}

// What is fenced is neither promoted nor called promoted.
func TestDecideFenced(t *testing.T) {
	for _, source := range []string{"", sourceARN} {
		for word, want := range map[string]action.Move{succession.FenceBegun: action.MoveFail, succession.FenceComplete: action.MoveFail, succession.FenceReleased: action.MoveFinish} {
			if source != "" && want == action.MoveFinish {
				want = action.MoveAct
			}
			i := Instance{ID: "orders", ARN: replicaARN, Status: statusAvailable, Source: source, Retention: 7, Tags: map[string]string{succession.FenceTag: word}}
			if d := decide(i, parameters, action.Asked{Now: noon}, action.Asked{Now: noon}); d.Move != want || want == action.MoveFail && d.Class != action.Refused {
				t.Errorf("%s, source %q: %+v", word, source, d)
			}
		}
	}
}
