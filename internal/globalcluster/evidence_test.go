package globalcluster

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"dr-orchestrator/internal/action"
)

const key = "arn:aws:kms:us-west-2:111122223333:key/1"

// target is the target cluster, its instance and its global cluster, as the
// target's region shows them.
type target struct {
	cluster  *types.DBCluster
	instance *types.DBInstance
	global   *types.GlobalCluster
}

func (m *machine) target() target {
	w := m.regions[west]
	return target{&w.clusters.out.DBClusters[0], &w.instances.out.DBInstances[0], &w.globals.out.GlobalClusters[0]}
}

func sound(t target) {
	t.cluster.KmsKeyId, t.cluster.DeletionProtection, t.cluster.MultiAZ = aws.String(key), aws.Bool(true), aws.Bool(true)
	t.cluster.PendingModifiedValues = &types.ClusterPendingModifiedValues{}
	t.instance.DBInstanceClass = aws.String("db.r5.large")
	t.instance.DBSubnetGroup = &types.DBSubnetGroup{DBSubnetGroupName: aws.String("subnets"), SubnetGroupStatus: aws.String("Complete")}
	t.instance.PendingModifiedValues = &types.PendingModifiedValues{}
	t.global.EngineVersion = t.cluster.EngineVersion
}

var ways = map[string]any{"switchover": switchover, "managed": failoverBy(MethodManaged, nil), "detach": failoverBy(MethodDetach, nil)}

func TestPreflightEvidence(t *testing.T) {
	const fine, warns, blocks = action.VerdictReady, action.VerdictWarning, action.VerdictBlocked
	for _, tt := range []struct {
		name    string
		change  func(target)
		key     kmstypes.KeyState
		err     error
		verdict action.Verdict
	}{
		{"sound", sound, kmstypes.KeyStateEnabled, nil, fine},
		{"AWS shows none of it", func(target) {}, "", nil, fine},
		{"no deletion protection", func(t target) { sound(t); t.cluster.DeletionProtection = aws.Bool(false) }, kmstypes.KeyStateEnabled, nil, warns},
		{"subnet group not complete", func(t target) { sound(t); t.instance.DBSubnetGroup.SubnetGroupStatus = aws.String("Incomplete") }, kmstypes.KeyStateEnabled, nil, warns},
		{"a version of the cluster is pending", func(t target) { sound(t); t.cluster.PendingModifiedValues.EngineVersion = aws.String("9") }, kmstypes.KeyStateEnabled, nil, warns},
		{"a class of the instance is pending", func(t target) { sound(t); t.instance.PendingModifiedValues.DBInstanceClass = aws.String("x") }, kmstypes.KeyStateEnabled, nil, warns},
		{"a retention is pending", func(t target) { sound(t); t.cluster.PendingModifiedValues.BackupRetentionPeriod = aws.Int32(7) }, kmstypes.KeyStateEnabled, nil, fine},
		{"the global cluster has another version", func(t target) { sound(t); t.global.EngineVersion = aws.String("9") }, kmstypes.KeyStateEnabled, nil, warns},
		{"key disabled", sound, kmstypes.KeyStateDisabled, nil, blocks},
		{"key of another account", sound, "", coded("AccessDeniedException"), warns},
		{"not encrypted", func(t target) { sound(t); t.cluster.KmsKeyId = nil }, kmstypes.KeyStateDisabled, nil, fine},
	} {
		for way, parameters := range ways {
			t.Run(tt.name+"/"+way, func(t *testing.T) {
				m := newMachine(t, parameters, "")
				m.show(idle)
				tt.change(m.target())
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
}

func TestPreflightTellsWhatTheTargetIs(t *testing.T) {
	for way, parameters := range ways {
		t.Run(way, func(t *testing.T) {
			m := newMachine(t, parameters, "")
			m.show(idle)
			sound(m.target())
			m.keys.state = kmstypes.KeyStateEnabled
			got, _ := m.preflight(t)
			for name, want := range map[string]any{
				"engineVersion": "8.0", "class": "db.r5.large", "kmsKey": key, "kmsKeyState": "Enabled", "deletionProtection": true, "multiAZ": true, "subnetGroup": "subnets",
			} {
				if got.Evidence[name] != want {
					t.Errorf("%s: %v, want %v", name, got.Evidence[name], want)
				}
			}
		})
	}
}

// What takes writes already is left alone, and driving takes no extra look.
func TestKeysAreLookedAtBeforehandOnly(t *testing.T) {
	for way, parameters := range ways {
		t.Run(way, func(t *testing.T) {
			m := newMachine(t, parameters, "")
			m.show(over)
			sound(m.target())
			if got, class := m.preflight(t); class != "" || got.Verdict != action.VerdictDone || len(m.keys.asked) > 0 {
				t.Errorf("%s%s, asked %v", class, got.Verdict, m.keys.asked)
			}
			m = newMachine(t, parameters, action.StateReady)
			m.show(idle)
			sound(m.target())
			if _, class := m.drive(t); class != "" || len(m.keys.asked) > 0 || m.mutations() != 1 {
				t.Errorf("%s, asked %v", class, m.keys.asked)
			}
		})
	}
}

// Four global clusters cost one list of each kind in a region, and a region
// that is silent is asked once for all of them.
func TestBatch(t *testing.T) {
	for _, tt := range []struct {
		name    string
		way     string
		dead    bool
		verdict action.Verdict
		east    [2]int // lists of clusters and of instances there
	}{
		{"switchover", "switchover", false, action.VerdictReady, [2]int{1, 1}},
		{"switchover, primary's region dead", "switchover", true, action.VerdictBlocked, [2]int{1, 0}},
		{"managed", "managed", false, action.VerdictReady, [2]int{0, 0}},
		{"managed, primary's region dead", "managed", true, action.VerdictReady, [2]int{0, 0}},
		{"detach", "detach", false, action.VerdictReady, [2]int{0, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, ways[tt.way], "")
			m.show(idle)
			sound(m.target())
			m.keys.state = kmstypes.KeyStateEnabled
			r := *m.event.Resource
			m.event.Operation, m.event.Resource, m.event.Drive = action.OperationPreflight, nil, nil
			m.multiply(4, string(r.Parameters), func(parameters string) {
				other := r
				other.Parameters = []byte(parameters)
				m.event.Resources = append(m.event.Resources, other)
			})
			if tt.dead {
				m.regions[east].dead()
			}
			var answer action.PreflightAnswer
			if class := m.invoke(t, &answer); class != "" || len(answer.Readiness) != 4 {
				t.Fatal(class, answer)
			}
			for _, got := range answer.Readiness {
				// The fake has one datapoint, for the first of them.
				for _, f := range got.Findings {
					if f.Verdict == action.VerdictBlocked && tt.verdict != action.VerdictBlocked {
						t.Errorf("%+v", f)
					}
				}
				if tt.verdict == action.VerdictBlocked && got.Verdict != tt.verdict {
					t.Errorf("%+v", got)
				}
			}
			w, e := m.regions[west], m.regions[east]
			if len(w.globals.asks) != 1 || len(w.clusters.asks) != 1 || len(w.instances.asks) != 1 || len(m.keys.asked) != 1 || len(w.metric.asks) > 1 {
				t.Errorf("%d, %d and %d describes, %d reads of metrics, keys %v", len(w.globals.asks), len(w.clusters.asks), len(w.instances.asks), len(w.metric.asks), m.keys.asked)
			}
			if got := [2]int{len(e.clusters.asks), len(e.instances.asks)}; got != tt.east || len(e.globals.asks) > 0 || m.mutations() > 0 {
				t.Errorf("%v describes in the other region, want %v", got, tt.east)
			}
		})
	}
	if _, drives := (Failover{}).Batch(nil).(action.Reconciler[FailoverParameters]); drives {
		t.Error("what looks at a batch can drive")
	}
	if _, drives := (Switchover{}).Batch(nil).(action.Reconciler[SwitchoverParameters]); drives {
		t.Error("what looks at a batch can drive")
	}
}

// multiply shows n global databases where a scene shows one, and gives the
// parameters of each.
func (m *machine) multiply(n int, parameters string, each func(string)) {
	for i := range n {
		rename := func(s *string) *string {
			if i == 0 {
				return s
			}
			return aws.String(fmt.Sprintf("%s%d", aws.ToString(s), i))
		}
		for _, r := range m.regions {
			g, c, in := r.globals.out.GlobalClusters[0], r.clusters.out.DBClusters[0], r.instances.out.DBInstances[0]
			members := g.GlobalClusterMembers
			g.GlobalClusterIdentifier, g.GlobalClusterMembers = rename(g.GlobalClusterIdentifier), nil
			for _, member := range members {
				member.DBClusterArn = rename(member.DBClusterArn)
				g.GlobalClusterMembers = append(g.GlobalClusterMembers, member)
			}
			c.DBClusterArn, in.DBInstanceIdentifier = rename(c.DBClusterArn), rename(in.DBInstanceIdentifier)
			c.DBClusterMembers = []types.DBClusterMember{{DBInstanceIdentifier: in.DBInstanceIdentifier, IsClusterWriter: aws.Bool(true)}}
			if i > 0 {
				r.globals.out.GlobalClusters = append(r.globals.out.GlobalClusters, g)
				r.clusters.out.DBClusters = append(r.clusters.out.DBClusters, c)
				r.instances.out.DBInstances = append(r.instances.out.DBInstances, in)
			}
		}
		each(renamed(parameters, i))
	}
}

// renamed gives the parameters of the i-th global database.
func renamed(parameters string, i int) string {
	if i == 0 {
		return parameters
	}
	return strings.NewReplacer(`"orders"`, fmt.Sprintf(`"orders%d"`, i), secondary, fmt.Sprintf("%s%d", secondary, i)).Replace(parameters)
}
