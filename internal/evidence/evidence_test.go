package evidence

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	cachetypes "github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/action"
)

func TestFindings(t *testing.T) {
	sound := Details{Protected: aws.Bool(true), SubnetStatus: "Complete", SubnetGroup: "subnets"}
	with := func(change func(*Details)) Details { d := sound; change(&d); return d }
	for _, tt := range []struct {
		name    string
		details Details
		want    []string // what each warning says
	}{
		{"nothing shown", Details{}, nil},
		{"sound", sound, nil},
		{"complete, in other letters", with(func(d *Details) { d.SubnetStatus = "complete" }), nil},
		{"unprotected", with(func(d *Details) { d.Protected = aws.Bool(false) }), []string{"deletion protection"}},
		{"subnets", with(func(d *Details) { d.SubnetStatus = "Incomplete" }), []string{"subnets of it is Incomplete"}},
		{"pending", with(func(d *Details) { d.Pending = "MultiAZ" }), []string{"MultiAZ"}},
		{"all of it", Details{Protected: aws.Bool(false), SubnetStatus: "Incomplete", Pending: "Port"}, []string{"protection", "Incomplete", "Port"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.details.Findings("it")
			if len(got) != len(tt.want) {
				t.Fatalf("%+v, want %v", got, tt.want)
			}
			for i, f := range got {
				if f.Verdict != action.VerdictWarning || !strings.Contains(f.Message, tt.want[i]) {
					t.Errorf("%+v, want a warning of %s", f, tt.want[i])
				}
			}
		})
	}
}

func TestVersions(t *testing.T) {
	for _, tt := range []struct {
		name, target string
		others       map[string]string
		want         string
	}{
		{"equal", "8.0", map[string]string{"the primary": "8.0", "the global cluster": "8.0"}, ""},
		{"none shown of the others", "8.0", map[string]string{"the primary": ""}, ""},
		{"none shown of the target", "", map[string]string{"the primary": "8.0"}, ""},
		{"one differs", "8.0", map[string]string{"the primary": "8.1", "the global cluster": "8.0"}, "engine versions differ: 8.1 on the primary, 8.0 on it"},
		{"both differ", "8.0", map[string]string{"the primary": "8.1", "the global cluster": "8.2"}, "engine versions differ: 8.1 on the primary, 8.2 on the global cluster, 8.0 on it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Versions("it", tt.target, tt.others)
			if (len(got) == 0) != (tt.want == "") || len(got) > 0 && (got[0].Message != tt.want || got[0].Verdict != action.VerdictWarning) {
				t.Errorf("%+v, want %q", got, tt.want)
			}
		})
	}
}

// What is at its goal, or on its way, is left alone.
func TestReportOf(t *testing.T) {
	for state, want := range map[action.State]bool{
		action.StateReady: true, action.StateBusy: true, action.StateUnknown: true, action.StateUnderWay: false, action.StateDone: false,
	} {
		ready := action.Readiness{Observed: state, Evidence: action.Evidence{}}
		Details{Class: "db.m5.large", Protected: aws.Bool(false)}.Report(t.Context(), nil, "it", "us-west-2", &ready)
		if (len(ready.Findings) == 1) != want || (ready.Evidence["class"] == "db.m5.large") != want || (ready.Evidence["deletionProtection"] == false) != want {
			t.Errorf("%s: %+v", state, ready)
		}
	}
}

func TestOf(t *testing.T) {
	cluster := OfCluster(types.DBCluster{
		KmsKeyId: aws.String("key"), DeletionProtection: aws.Bool(true), MultiAZ: aws.Bool(false), DBSubnetGroup: aws.String("subnets"),
		PendingModifiedValues: &types.ClusterPendingModifiedValues{EngineVersion: aws.String("9"), BackupRetentionPeriod: aws.Int32(7)},
	})
	cluster.AddInstance(types.DBInstance{
		DBInstanceClass:       aws.String("db.r5.large"),
		DBSubnetGroup:         &types.DBSubnetGroup{DBSubnetGroupName: aws.String("subnets"), SubnetGroupStatus: aws.String("Complete")},
		PendingModifiedValues: &types.PendingModifiedValues{DBInstanceClass: aws.String("db.r5.xlarge")},
	})
	for _, tt := range []struct {
		name      string
		got, want Details
	}{
		{"nothing of an instance", OfInstance(types.DBInstance{}), Details{}},
		{"nothing of a cluster", OfCluster(types.DBCluster{}), Details{}},
		{"nothing of a group", OfGroup(cachetypes.ReplicationGroup{}), Details{}},
		{"an instance", OfInstance(types.DBInstance{EngineVersion: aws.String("8"), KmsKeyId: aws.String("key"), DeletionProtection: aws.Bool(false), MultiAZ: aws.Bool(true),
			PendingModifiedValues: &types.PendingModifiedValues{MultiAZ: aws.Bool(true), Port: aws.Int32(1), BackupRetentionPeriod: aws.Int32(7)}}),
			Details{Version: "8", Key: "key", Protected: aws.Bool(false), MultiAZ: aws.Bool(true), Pending: "MultiAZ, Port"}},
		{"a cluster and its instance", cluster, Details{
			Class: "db.r5.large", Key: "key", Protected: aws.Bool(true), MultiAZ: aws.Bool(false), SubnetGroup: "subnets", SubnetStatus: "Complete",
			Pending: "EngineVersion, DBInstanceClass",
		}},
		{"a group", OfGroup(cachetypes.ReplicationGroup{CacheNodeType: aws.String("cache.r6g.large"), KmsKeyId: aws.String("key"), MultiAZ: cachetypes.MultiAZStatusDisabled,
			PendingModifiedValues: &cachetypes.ReplicationGroupPendingModifiedValues{Resharding: &cachetypes.ReshardingStatus{}}}),
			Details{Class: "cache.r6g.large", Key: "key", MultiAZ: aws.Bool(false), Pending: "Resharding"}},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
