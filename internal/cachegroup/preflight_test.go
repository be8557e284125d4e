package cachegroup

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"

	"dr-orchestrator/internal/action"
)

const key = "arn:aws:kms:us-west-2:111122223333:key/1"

// shown changes the group and the datastore as the target's region shows them.
func (m *machine) shown(group func(*types.ReplicationGroup)) {
	group(&m.regions[west].groups.out.ReplicationGroups[0])
	m.regions[west].globals.out.GlobalReplicationGroups[0].EngineVersion = aws.String("7.1.0")
}

func sound(g *types.ReplicationGroup) {
	g.KmsKeyId, g.CacheNodeType, g.MultiAZ = aws.String(key), aws.String("cache.r6g.large"), types.MultiAZStatusEnabled
	g.PendingModifiedValues = &types.ReplicationGroupPendingModifiedValues{}
}

func TestPreflightEvidence(t *testing.T) {
	const fine, warns, blocks = action.VerdictReady, action.VerdictWarning, action.VerdictBlocked
	for _, tt := range []struct {
		name    string
		change  func(*types.ReplicationGroup)
		key     kmstypes.KeyState
		err     error
		verdict action.Verdict
	}{
		{"sound", sound, kmstypes.KeyStateEnabled, nil, fine},
		{"AWS shows none of it", func(*types.ReplicationGroup) {}, "", nil, fine},
		{"resharding is pending", func(g *types.ReplicationGroup) {
			sound(g)
			g.PendingModifiedValues.Resharding = &types.ReshardingStatus{}
		}, kmstypes.KeyStateEnabled, nil, warns},
		{"a log delivery is pending", func(g *types.ReplicationGroup) {
			sound(g)
			g.PendingModifiedValues.LogDeliveryConfigurations = []types.PendingLogDeliveryConfiguration{{}}
		}, kmstypes.KeyStateEnabled, nil, fine},
		{"key to be deleted", sound, kmstypes.KeyStatePendingDeletion, nil, blocks},
		{"key of another account", sound, "", coded("AccessDeniedException"), warns},
		{"AWS's own key", func(g *types.ReplicationGroup) { sound(g); g.KmsKeyId = nil }, kmstypes.KeyStateDisabled, nil, fine},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, "")
			m.show(idle)
			m.shown(tt.change)
			m.keys.state, m.keys.err = tt.key, tt.err
			got, class := m.preflight(t)
			if class != "" || got.Verdict != tt.verdict {
				t.Errorf("%s%s: %+v", class, got.Verdict, got.Findings)
			}
			if m.mutations() > 0 {
				t.Error("a preflight changed something")
			}
		})
	}
}

func TestPreflightTellsWhatTheGroupIs(t *testing.T) {
	m := newMachine(t, "")
	m.show(idle)
	m.shown(sound)
	m.keys.state = kmstypes.KeyStateEnabled
	got, _ := m.preflight(t)
	for name, want := range map[string]any{"engineVersion": "7.1.0", "class": "cache.r6g.large", "kmsKey": key, "kmsKeyState": "Enabled", "multiAZ": true} {
		if got.Evidence[name] != want {
			t.Errorf("%s: %v, want %v", name, got.Evidence[name], want)
		}
	}
}

// What is the primary already is left alone, and driving takes no extra look.
func TestKeysAreLookedAtBeforehandOnly(t *testing.T) {
	m := newMachine(t, "")
	m.show(scene{status: "available", roles: [2]string{"SECONDARY", "PRIMARY"}, group: "available", role: "PRIMARY"})
	m.shown(sound)
	if got, class := m.preflight(t); class != "" || got.Verdict != action.VerdictDone || len(m.keys.asked) > 0 {
		t.Errorf("%s%s, asked %v", class, got.Verdict, m.keys.asked)
	}
	m = newMachine(t, action.StateReady)
	m.show(idle)
	m.shown(sound)
	if _, class := m.drive(t); class != "" || len(m.keys.asked) > 0 || m.mutations() != 1 {
		t.Errorf("%s, asked %v", class, m.keys.asked)
	}
}

// Four groups cost one list of datastores, one of groups, and one look at their
// key.
func TestBatch(t *testing.T) {
	m := newMachine(t, "")
	m.show(idle)
	m.shown(sound)
	m.keys.state = kmstypes.KeyStateEnabled
	r := *m.event.Resource
	m.event.Operation, m.event.Resource, m.event.Drive = action.OperationPreflight, nil, nil
	for _, name := range []string{"orders", "b", "c", "d"} {
		other := r
		other.Parameters = []byte(`{"GlobalReplicationGroupId":"ldgnf-` + name + `","TargetRegion":"us-west-2","TargetReplicationGroupId":"` + name + `-us-west-2"}`)
		m.event.Resources = append(m.event.Resources, other)
		if name != "orders" {
			w := m.regions[west]
			g, l := w.globals.out.GlobalReplicationGroups[0], w.groups.out.ReplicationGroups[0]
			g.GlobalReplicationGroupId, l.ReplicationGroupId = aws.String("ldgnf-"+name), aws.String(name+"-us-west-2")
			g.Members = []types.GlobalReplicationGroupMember{{ReplicationGroupId: l.ReplicationGroupId, ReplicationGroupRegion: aws.String(west), Role: aws.String("SECONDARY"), Status: aws.String("associated")}}
			w.globals.out.GlobalReplicationGroups = append(w.globals.out.GlobalReplicationGroups, g)
			w.groups.out.ReplicationGroups = append(w.groups.out.ReplicationGroups, l)
		}
	}
	var answer action.PreflightAnswer
	if class := m.invoke(t, &answer); class != "" || len(answer.Readiness) != 4 {
		t.Fatal(class, answer)
	}
	for _, got := range answer.Readiness {
		if got.Verdict != action.VerdictReady || got.Observed != action.StateReady {
			t.Errorf("%+v", got)
		}
	}
	w := m.regions[west]
	if len(w.globals.asks) != 1 || !aws.ToBool(w.globals.asks[0].ShowMemberInfo) || len(w.groups.asks) != 1 || len(m.keys.asked) != 1 || len(m.regions[east].globals.asks) > 0 {
		t.Errorf("%d and %d describes, keys %v", len(w.globals.asks), len(w.groups.asks), m.keys.asked)
	}
	if _, drives := (Failover{}).Batch(nil).(action.Reconciler[FailoverParameters]); drives {
		t.Error("what looks at a batch can drive")
	}
}
