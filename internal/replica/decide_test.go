package replica

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"dr-orchestrator/internal/action"
)

// Every status, and what is done about a replica and about an instance that
// stands on its own. A status that is new in the list has to be put here too.
func TestDecideEveryStatus(t *testing.T) {
	type moves struct{ replica, alone move }
	want := map[string]moves{
		"available":            {movePromote, moveFinish},
		"storage-optimization": {movePromote, moveFinish},
	}
	for _, status := range []string{
		"backing-up", "modifying", "rebooting", "configuring-enhanced-monitoring", "configuring-iam-database-auth", "configuring-log-exports",
		"configuring-associated-roles", "converting-to-vpc", "creating", "delete-precheck", "maintenance", "moving-to-vpc", "renaming",
		"resetting-master-credentials", "starting", "stopping", "storage-config-upgrade", "storage-initialization", "upgrading",
		"", "something-new", "Available", // unknown
	} {
		want[status] = moves{moveWait, moveWait}
	}
	for _, status := range []string{
		"deleting", "failed", "inaccessible-encryption-credentials", "inaccessible-encryption-credentials-recoverable", "incompatible-create",
		"incompatible-network", "incompatible-option-group", "incompatible-parameters", "incompatible-restore", "insufficient-capacity",
		"restore-error", "stopped", "storage-full",
	} {
		want[status] = moves{moveFail, moveFail}
	}
	for status := range conditions {
		if _, ok := want[status]; !ok {
			t.Errorf("status %q has no row here", status)
		}
	}
	for status, want := range want {
		t.Run(status, func(t *testing.T) {
			asked := action.Asked{Now: noon}
			replica := decide(Instance{ID: "orders", Status: status, Source: sourceARN, Replication: "replicating"}, PromoteParameters{}, asked)
			if replica.move != want.replica {
				t.Errorf("replica: move %d, want %d", replica.move, want.replica)
			}
			alone := decide(Instance{ID: "orders", Status: status}, PromoteParameters{}, asked)
			if alone.move != want.alone {
				t.Errorf("alone: move %d, want %d", alone.move, want.alone)
			}
			for _, d := range []decision{replica, alone} {
				if (d.move == moveFinish) != (d.state == action.StateDone) {
					t.Errorf("move %d with the state %s", d.move, d.state)
				}
				if d.move == movePromote && d.state != action.StateReady {
					t.Errorf("promotes from the state %s", d.state)
				}
				if d.reason == "" {
					t.Error("no reason is given")
				}
			}
		})
	}
}

func TestDecideRules(t *testing.T) {
	idle := Instance{ID: "orders", Status: statusAvailable, Source: sourceARN, Replication: "replicating"}
	alone := Instance{ID: "orders", Status: statusAvailable, Retention: 1}
	with := func(i Instance, change func(*Instance)) Instance { change(&i); return i }
	seven := PromoteParameters{BackupRetentionPeriod: aws.Int(7)}
	requested := func(ago, idleFor time.Duration) action.Asked {
		a := action.Asked{Now: noon, Requested: noon.Add(-ago)}
		if idleFor > 0 {
			a.IdleSince = noon.Add(-idleFor)
		}
		return a
	}
	for _, tt := range []struct {
		name     string
		instance Instance
		p        PromoteParameters
		asked    action.Asked
		want     move
		state    action.State
	}{
		{"idle replica", idle, seven, action.Asked{Now: noon}, movePromote, action.StateReady},
		{"idle replica of an instance in this region", with(idle, func(i *Instance) { i.Source = "orders-1" }), seven, action.Asked{Now: noon}, movePromote, action.StateReady},
		{"replication in error: a disaster does that", with(idle, func(i *Instance) { i.Replication = "error" }), seven, action.Asked{Now: noon}, movePromote, action.StateReady},
		{"replication stopped", with(idle, func(i *Instance) { i.Replication = "stopped" }), seven, action.Asked{Now: noon}, movePromote, action.StateReady},
		{"no replication shown", with(idle, func(i *Instance) { i.Replication = "" }), seven, action.Asked{Now: noon}, movePromote, action.StateReady},

		{"backing up, still a replica", with(idle, func(i *Instance) { i.Status = statusBackingUp }), seven, action.Asked{Now: noon}, moveWait, action.StateReady},
		{"backing up, promoted", with(alone, func(i *Instance) { i.Status = statusBackingUp }), seven, action.Asked{Now: noon}, moveWait, action.StateUnderWay},
		{"modifying, still a replica, asked for", with(idle, func(i *Instance) { i.Status = statusModifying }), seven, requested(time.Minute, 0), moveWait, action.StateUnderWay},
		{"rebooting, promoted", with(alone, func(i *Instance) { i.Status = statusRebooting }), seven, requested(time.Minute, 0), moveWait, action.StateUnderWay},

		{"asked for and not yet visible", idle, seven, requested(5*time.Second, 0), moveWait, action.StateUnderWay},
		{"asked for and invisible for a little", idle, seven, requested(time.Hour, 5*time.Second), moveWait, action.StateUnderWay},
		{"asked for and never began", idle, seven, requested(time.Hour, 10*time.Minute), moveFail, action.StateReady},
		{"perhaps asked for", idle, seven, action.Asked{Now: noon, Unsure: true}, moveWait, action.StateReady},

		{"alone, no retention asked for", alone, PromoteParameters{}, action.Asked{Now: noon}, moveFinish, action.StateDone},
		{"alone, perhaps asked for", alone, PromoteParameters{}, action.Asked{Now: noon, Unsure: true}, moveFinish, action.StateDone},
		{"alone, never began by the memo", alone, PromoteParameters{}, requested(time.Hour, 10*time.Minute), moveFinish, action.StateDone},
		{"alone with the retention asked for", with(alone, func(i *Instance) { i.Retention = 7 }), seven, action.Asked{Now: noon}, moveFinish, action.StateDone},
		{"alone with less retention", alone, seven, action.Asked{Now: noon}, moveModify, action.StateUnderWay},
		{"alone without backups", with(alone, func(i *Instance) { i.Retention = 0 }), seven, action.Asked{Now: noon}, moveModify, action.StateUnderWay},
		{"alone, the retention comes", with(alone, func(i *Instance) { i.Pending = aws.Int(7) }), seven, action.Asked{Now: noon}, moveWait, action.StateUnderWay},
		{"alone, another retention comes", with(alone, func(i *Instance) { i.Pending = aws.Int(3) }), seven, action.Asked{Now: noon}, moveModify, action.StateUnderWay},
		{"alone, no backups asked for and none there", with(alone, func(i *Instance) { i.Retention = 0 }), PromoteParameters{BackupRetentionPeriod: aws.Int(0)}, action.Asked{Now: noon}, moveFinish, action.StateDone},
		{"alone, replication still shown", with(alone, func(i *Instance) { i.Replication = "replication stop point reached" }), PromoteParameters{}, action.Asked{Now: noon}, moveWait, action.StateUnderWay},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := decide(tt.instance, tt.p, tt.asked)
			if got.move != tt.want || got.state != tt.state {
				t.Errorf("move %d from %s, want %d from %s (%s)", got.move, got.state, tt.want, tt.state, got.reason)
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
