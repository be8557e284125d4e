package replica

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/succession"
)

const key = "arn:aws:kms:us-west-2:111122223333:key/1"

// sound is a replica of which there is nothing to say.
func sound(db *types.DBInstance) {
	db.EngineVersion, db.DBInstanceClass, db.KmsKeyId = aws.String("8.0.42"), aws.String("db.m5.large"), aws.String(key)
	db.DeletionProtection, db.MultiAZ = aws.Bool(true), aws.Bool(true)
	db.DBSubnetGroup = &types.DBSubnetGroup{DBSubnetGroupName: aws.String("subnets"), SubnetGroupStatus: aws.String("Complete")}
	db.PendingModifiedValues = &types.PendingModifiedValues{}
}

func TestPreflightEvidence(t *testing.T) {
	const fine, warns, blocks = action.VerdictReady, action.VerdictWarning, action.VerdictBlocked
	for _, tt := range []struct {
		name    string
		change  func(*types.DBInstance)
		key     kmstypes.KeyState
		err     error
		verdict action.Verdict
	}{
		{"sound", sound, kmstypes.KeyStateEnabled, nil, fine},
		{"AWS shows none of it", func(*types.DBInstance) {}, "", nil, fine},
		{"no deletion protection", func(db *types.DBInstance) { sound(db); db.DeletionProtection = aws.Bool(false) }, kmstypes.KeyStateEnabled, nil, warns},
		{"subnet group not complete", func(db *types.DBInstance) { sound(db); db.DBSubnetGroup.SubnetGroupStatus = aws.String("Incomplete") }, kmstypes.KeyStateEnabled, nil, warns},
		{"a class is pending", func(db *types.DBInstance) {
			sound(db)
			db.PendingModifiedValues.DBInstanceClass = aws.String("db.m5.xlarge")
		}, kmstypes.KeyStateEnabled, nil, warns},
		{"a retention is pending", func(db *types.DBInstance) { sound(db); db.PendingModifiedValues.BackupRetentionPeriod = aws.Int32(7) }, kmstypes.KeyStateEnabled, nil, fine},
		{"key disabled", sound, kmstypes.KeyStateDisabled, nil, blocks},
		{"key of another account", sound, "", coded("AccessDeniedException"), warns},
		{"not encrypted", func(db *types.DBInstance) { sound(db); db.KmsKeyId = nil }, kmstypes.KeyStateDisabled, nil, fine},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, parameters, "")
			m.account.shows(instance("available", sourceARN, 0, tt.change))
			m.keys.state, m.keys.err = tt.key, tt.err
			got := look1(t, m)
			if got.Verdict != tt.verdict {
				t.Errorf("%s: %+v", got.Verdict, got.Findings)
			}
			if m.account.mutations() > 0 {
				t.Error("a preflight changed something")
			}
		})
	}
}

// look1 makes one preflight of the machine's resource.
func look1(t *testing.T, m *machine) action.Checked {
	t.Helper()
	m.event.Operation, m.event.Resources = action.OperationPreflight, []action.Resource{*m.event.Resource}
	m.event.Resource, m.event.Drive = nil, nil
	var answer action.PreflightAnswer
	if class := m.invoke(t, &answer); class != "" {
		t.Fatal(class)
	}
	return answer.Readiness[0]
}

func TestPreflightTellsWhatTheReplicaIs(t *testing.T) {
	m := newMachine(t, parameters, "")
	m.account.shows(instance("available", sourceARN, 0, sound))
	m.keys.state = kmstypes.KeyStateEnabled
	got := look1(t, m).Evidence
	for name, want := range map[string]any{
		"engineVersion": "8.0.42", "class": "db.m5.large", "kmsKey": key, "kmsKeyState": "Enabled", "deletionProtection": true, "multiAZ": true, "subnetGroup": "subnets",
	} {
		if got[name] != want {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
}

// What stands on its own already is left alone, and driving takes no extra look.
func TestKeysAreLookedAtBeforehandOnly(t *testing.T) {
	m := newMachine(t, parameters, "")
	m.account.shows(instance("available", "", 7, sound, func(db *types.DBInstance) { db.DeletionProtection = aws.Bool(false) }))
	if got := look1(t, m); len(m.keys.asked) > 0 || len(got.Findings) != 1 { // that it is no replica
		t.Errorf("asked %v, %+v", m.keys.asked, got.Findings)
	}
	m = newMachine(t, parameters, action.StateReady)
	m.account.shows(instance("available", sourceARN, 0, sound))
	if _, class := m.drive(t); class != "" || len(m.keys.asked) > 0 || len(m.account.describe.asks) != 1 || m.account.mutations() != 1 {
		t.Errorf("%s, asked %v, %d describes", class, m.keys.asked, len(m.account.describe.asks))
	}
}

// Two replicas cost one list, one read of metrics and one look at their key.
func TestBatch(t *testing.T) {
	m := newMachine(t, parameters, "")
	m.account.shows(instance("available", sourceARN, 0, sound))
	m.keys.state = kmstypes.KeyStateEnabled
	other := *m.event.Resource
	m.event.Operation, m.event.Resources = action.OperationPreflight, []action.Resource{*m.event.Resource, other}
	m.event.Resource, m.event.Drive = nil, nil
	var answer action.PreflightAnswer
	if class := m.invoke(t, &answer); class != "" || len(answer.Readiness) != 2 {
		t.Fatal(class, answer)
	}
	for _, got := range answer.Readiness {
		if got.Verdict != action.VerdictReady || got.Lag == nil {
			t.Errorf("%+v", got)
		}
	}
	asks := m.account.describe.asks
	if len(asks) != 1 || asks[0].DBInstanceIdentifier != nil || aws.ToString(asks[0].Filters[0].Name) != "db-instance-id" || len(m.account.metric.asks) != 1 || len(m.keys.asked) != 1 {
		t.Errorf("%d describes, %d reads of metrics, keys %v", len(asks), len(m.account.metric.asks), m.keys.asked)
	}
	if _, drives := (Promotion{}).Batch(nil).(action.Reconciler[PromoteParameters]); drives {
		t.Error("what looks at a batch can drive")
	}
}

// Only what is no replica can have been promoted long before the run.
func TestOutdated(t *testing.T) {
	limit := 30
	p := PromoteParameters{Limit: lag.Limit{MaxReplicaLagSeconds: &limit}}
	i := Instance{ID: "orders", Tags: map[string]string{succession.PromotedTag: succession.PromotedNote(sourceARN, noon.AddDate(0, -1, 0))}}
	if err := outdated(i, p, noon); action.ClassOf(err) != action.Refused {
		t.Errorf("promoted: %v", err)
	}
	i.Source = sourceARN // with the tag of another life
	if err := outdated(i, p, noon); err != nil {
		t.Errorf("a replica: %v", err)
	}
}

func TestUnproved(t *testing.T) {
	noted := map[string]string{succession.PromotedTag: succession.PromotedNote(sourceARN, noon)}
	for says, tags := range map[string]map[string]string{"promoted before, at 2026-": noted, "nothing proves that it was promoted from the primary": nil} {
		if got := unproved(Instance{ID: "orders", Tags: tags}); !strings.Contains(got, says) {
			t.Errorf("%q does not say %q", got, says)
		}
	}
}
