package globalcluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/succession"
)

// servesHere is the wrong region: the cluster under the name was detached and
// serves, and the source is what it has left behind.
func servesHere() Survey {
	s := alone()
	s.Local.Tags = map[string]string{}
	s.Global, s.SourceIn = &Global{ID: "orders", Status: statusAvailable, Members: []Member{{ARN: secondary, Writer: true}}}, "orders"
	return s
}

// The cluster under the name is touched only where something proves that it is
// the old primary of the source, whatever is to become of it.
// A detach is noted on what takes over, before it begins, once a run.
func TestADetachIsMarkedFirst(t *testing.T) {
	unmarked := idle
	unmarked.unmarked = true
	for _, tt := range []struct {
		name  string
		scene scene
		begun time.Time // of the run
		way   FailoverParameters
		err   error
		want  []string // after each of two invocations: the calls that changed something so far
		class action.Class
	}{
		{"not marked", unmarked, noon, failoverBy(MethodDetach, nil), nil, []string{"1 tag, 0 removed", "1 tag, 1 removed"}, ""},
		{"marked by this run", idle, noon, failoverBy(MethodDetach, nil), nil, []string{"0 tag, 1 removed", "0 tag, 1 removed"}, ""},
		{"marked by an earlier run", idle, noon.Add(time.Minute), failoverBy(MethodDetach, nil), nil, []string{"1 tag, 0 removed", "1 tag, 1 removed"}, ""},
		{"it may not be marked", unmarked, noon, failoverBy(MethodDetach, nil), coded("AccessDenied"), []string{"1 tag, 0 removed", "1 tag, 1 removed"}, ""},
		{"throttled", unmarked, noon, failoverBy(MethodDetach, nil), coded("Throttling"), []string{"1 tag, 0 removed", "2 tag, 0 removed"}, action.Throttled},
		{"a managed failover shows by itself", unmarked, noon, failoverBy(MethodManaged, nil), nil, []string{"0 tag, 0 removed", "0 tag, 0 removed"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t, tt.way, action.StateReady)
			m.event.Run.StartedAt = tt.begun
			m.regions[west].tags.err = tt.err
			m.show(tt.scene)
			sound(m.target())
			for i, want := range tt.want {
				if _, class := m.drive(t); class != tt.class {
					t.Fatalf("turn %d: %s", i, class)
				}
				m.now = m.now.Add(time.Second)
				if got := fmt.Sprintf("%d tag, %d removed", len(m.regions[west].tags.asks), len(m.regions[west].remove.asks)); got != want {
					t.Errorf("turn %d: %s, want %s", i, got, want)
				}
			}
		})
	}
}

func TestOnlyAProvedOldPrimaryIsTouched(t *testing.T) {
	tagged := func(value string) func(*Survey) {
		return func(s *Survey) { s.Local.Tags[tagOldOf] = value }
	}
	own := standing(primary).mark(secondary, noon)
	named := func(p *SecondaryParameters) { p.OldDBClusterArn = primary }
	same := func(*SecondaryParameters) {}
	clients := func(n int) func(*Survey) {
		return func(s *Survey) { s.Clients.Lag = time.Duration(n) * time.Second }
	}
	nobodyKnows := func(s *Survey) { s.Clients = lag.Reading{} }
	for _, tt := range []struct {
		name   string
		s      Survey
		p      func(*SecondaryParameters)
		proved bool
		says   string
	}{
		{"the source has left", detachedSurvey(), same, true, ""},
		{"the source says that it is a member", survey(detachedSurvey, func(s *Survey) { s.Source.Global = "orders" }), same, false, "nothing proves that it has left"},
		{"the source says so, and the old one is named", survey(detachedSurvey, func(s *Survey) { s.Source.Global = "orders" }), named, true, ""},
		{"the source says so, and the old one is marked", survey(marked, func(s *Survey) { s.Source.Global = "orders" }), same, false, "nothing proves that it has left"},
		{"the source is marked as the old one of this one", survey(detachedSurvey, func(s *Survey) { s.Source.Tags[tagOldOf] = s.Source.mark(primary, noon) }), same, false, west},
		{"the source is marked as the old one of another", survey(detachedSurvey, func(s *Survey) { s.Source.Tags[tagOldOf] = s.Source.mark(secondary, noon) }), same, true, ""},
		{"both are marked", survey(alone, func(s *Survey) { s.Source.Tags[tagOldOf] = s.Source.mark(primary, noon) }), same, false, tagOldOf},
		{"the source is marked, and this one named", survey(alone, func(s *Survey) { s.Source.Tags[tagOldOf] = s.Source.mark(primary, noon) }), named, false, tagOldOf},

		{"the wrong region", servesHere(), same, false, "run the failback in us-west-2"},
		{"alone in the global cluster, and the source not marked", survey(detachedSurvey, func(s *Survey) { s.Source.Tags = nil }), same, false, "Find out which of the two"},
		{"the source marked for another", survey(detachedSurvey, func(s *Survey) {
			s.Source.Tags[succession.Tag] = succession.Mark("arn:aws:rds:us-east-1:1:cluster:x", noon, s.Source.Created)
		}), same, false, "Find out which of the two"},
		{"made anew since the source was marked", survey(detachedSurvey, func(s *Survey) { s.Local.Created = noon }), same, false, "Find out which of the two"},
		{"alone in the global cluster, and named", survey(detachedSurvey, func(s *Survey) { s.Source.Tags = nil }), named, true, ""},
		{"the wrong region, however much older it is", survey(servesHere, func(s *Survey) { s.Local.Created = s.Local.Created.AddDate(-9, 0, 0) }), same, false, "may be the cluster that serves"},
		{"the wrong region, however much younger it is", survey(servesHere, func(s *Survey) { s.Local.Created = s.Local.Created.AddDate(9, 0, 0) }), same, false, "OldDBClusterArn " + primary},
		{"the wrong region, an old mark", survey(servesHere, tagged(own)), same, false, "may be the cluster that serves"},
		{"the old one beside a global cluster made by hand", servesHere(), named, true, ""},
		{"another one named", servesHere(), func(p *SecondaryParameters) { p.OldDBClusterArn = secondary }, false, "OldDBClusterArn " + primary},

		{"clients are connected", survey(detachedSurvey, clients(3)), same, false, "clients are connected to it (3)"},
		{"nobody knows whether clients are connected", survey(detachedSurvey, nobodyKnows), same, false, "is not known"},
		{"nobody knows, but the way has begun", survey(alone, nobodyKnows), same, true, ""},
		{"it has begun, and clients are connected", survey(alone, clients(1)), same, false, "clients are connected to it (1)"},
		{"no instance, nobody can be connected", survey(detachedSurvey, func(s *Survey) { s.Clients, s.Local.Instances = lag.Reading{}, nil }), same, true, ""},

		{"no global cluster, no mark", survey(alone, func(s *Survey) { s.Local.Tags = nil }), same, false, "nothing proves"},
		{"no global cluster, named", survey(alone, func(s *Survey) { s.Local.Tags = nil }), named, true, ""},
		{"no global cluster, marked", alone(), same, true, ""},
		{"an empty global cluster, no mark", survey(alone, func(s *Survey) { s.Local.Tags, s.Global = nil, &Global{ID: "orders", Status: statusAvailable} }), same, false, "nothing proves"},
		{"marked for another source", survey(alone, tagged(standing(primary).mark("arn:aws:rds:eu-west-1:1:cluster:third", noon))), same, false, "nothing proves"},
		{"restored from a snapshot of a marked one", survey(alone, func(s *Survey) { s.Local.Created = s.Local.Created.Add(time.Hour) }), same, false, "nothing proves"},
		{"a mark that someone spoilt", survey(alone, tagged(secondary)), same, false, "nothing proves"},
	} {
		for _, delete := range []bool{false, true} {
			p := back(tt.p)
			if delete {
				toDelete(&p)
			}
			d := tt.s.decide(p, unasked)
			if proved := d.Move == action.MoveAct; proved != tt.proved || !proved && d.Class != action.Refused {
				t.Errorf("%s, deleted %t: move %d, class %q: %s", tt.name, delete, d.Move, d.Class, d.Reason)
			}
			if !strings.Contains(d.Reason, tt.says) {
				t.Errorf("%s, deleted %t: %q does not say %q", tt.name, delete, d.Reason, tt.says)
			}
		}
	}
}

// A run that has marked the cluster, or has gone on from there, waits for what an
// old read does not show, for a while.
func TestAnOldReadOfTheMarkIsWaitedFor(t *testing.T) {
	s := survey(alone, func(s *Survey) { s.Local.Tags = nil })
	for _, step := range []string{stepMark, stepLeave, stepRename, stepDelete} {
		for idle, move := range map[time.Duration]action.Move{time.Minute: action.MoveWait, time.Hour: action.MoveFail} {
			d := s.decide(backParameters(), func(of string) action.Asked {
				if of == step {
					return action.Asked{Now: noon, Requested: noon.Add(-2 * time.Hour), IdleSince: noon.Add(-idle)}
				}
				return unasked(of)
			})
			if d.Move != move || move == action.MoveWait && d.Step != step || move == action.MoveFail && d.Class != action.Refused {
				t.Errorf("%s, unseen for %s: move %d, step %q, %s", step, idle, d.Move, d.Step, d.Reason)
			}
		}
	}
}

// recorded takes every call.
type recorded struct {
	SecondaryAPI
	deleted []*rds.DeleteDBClusterInput
	tagged  []*rds.AddTagsToResourceInput
	created []*rds.CreateDBClusterInput
	held    types.DBCluster // the one cluster there is
	shots   []types.DBClusterSnapshot
	err     error // of every list
}

func (r *recorded) DeleteDBCluster(_ context.Context, in *rds.DeleteDBClusterInput, _ ...func(*rds.Options)) (*rds.DeleteDBClusterOutput, error) {
	r.deleted = append(r.deleted, in)
	return &rds.DeleteDBClusterOutput{}, nil
}

func (r *recorded) AddTagsToResource(_ context.Context, in *rds.AddTagsToResourceInput, _ ...func(*rds.Options)) (*rds.AddTagsToResourceOutput, error) {
	r.tagged = append(r.tagged, in)
	return &rds.AddTagsToResourceOutput{}, nil
}

func (r *recorded) CreateDBCluster(_ context.Context, in *rds.CreateDBClusterInput, _ ...func(*rds.Options)) (*rds.CreateDBClusterOutput, error) {
	r.created = append(r.created, in)
	return &rds.CreateDBClusterOutput{}, nil
}

func (r *recorded) DescribeDBClusters(_ context.Context, _ *rds.DescribeDBClustersInput, _ ...func(*rds.Options)) (*rds.DescribeDBClustersOutput, error) {
	return &rds.DescribeDBClustersOutput{DBClusters: []types.DBCluster{r.held}}, r.err
}

func (r *recorded) DescribeDBClusterSnapshots(_ context.Context, _ *rds.DescribeDBClusterSnapshotsInput, _ ...func(*rds.Options)) (*rds.DescribeDBClusterSnapshotsOutput, error) {
	return &rds.DescribeDBClusterSnapshotsOutput{DBClusterSnapshots: r.shots}, r.err
}

// The automated backups hold what was written after the final snapshot: they
// outlive the cluster.
func TestADeletedClusterLeavesItsBackups(t *testing.T) {
	r := &recorded{}
	a := Secondary{RDS: func(string) SecondaryAPI { return r }}
	if err := a.take(t.Context(), backParameters(), survey(alone, finalOf(statusAvailable, 0)), stepDelete, nil, noon); err != nil || len(r.deleted) != 1 {
		t.Fatalf("%v after %d calls", err, len(r.deleted))
	}
	if keep := r.deleted[0].DeleteAutomatedBackups; keep == nil || *keep {
		t.Errorf("DeleteAutomatedBackups is %v, want false", aws.ToBool(keep))
	}
}

// The snapshot that a run left behind does not hold what was written since.
func TestEachRunTakesItsOwnFinalSnapshot(t *testing.T) {
	for _, s := range []Survey{survey(alone, finalOf(statusAvailable, time.Minute)), survey(alone, func(s *Survey) { finalOf(statusAvailable, time.Minute)(s); s.Local.Instances = nil })} {
		s.Started = s.Started.Add(time.Second)
		if d := s.decide(back(toDelete), unasked); d.Move != action.MoveAct || d.Step != stepFinal {
			t.Errorf("%d instances: move %d, step %q, want a snapshot of its own", len(s.Local.Instances), d.Move, d.Step)
		}
	}
}

// What is left of the old primary goes onto the cluster that takes its place: as
// the run remembers it, or else as it is found.
func TestANewClusterTellsWhereTheOldPrimaryIs(t *testing.T) {
	kept := types.DBCluster{DBClusterIdentifier: aws.String("orders-east-old-202501020304"), ClusterCreateTime: &created, LatestRestorableTime: aws.Time(noon)}
	other := kept
	other.DBClusterIdentifier = aws.String("billing-old-202501020304")
	shot := func(id, of string, age time.Duration) types.DBClusterSnapshot {
		return types.DBClusterSnapshot{DBClusterSnapshotIdentifier: aws.String(id), DBClusterIdentifier: aws.String(of), SnapshotCreateTime: aws.Time(noon.Add(-age))}
	}
	for _, tt := range []struct {
		name string
		r    recorded
		p    func(*SecondaryParameters)
		memo map[string]string
		want string
	}{
		{"remembered", recorded{held: other}, func(*SecondaryParameters) {}, map[string]string{tagKept: "a", tagReaches: "b"}, tagKept + "=a " + tagReaches + "=b"},
		{"found", recorded{held: kept}, func(*SecondaryParameters) {}, nil, tagKept + "=orders-east-old-202501020304 " + tagReaches + "=2026-03-01T12:00:00Z"},
		{"of another", recorded{held: other}, func(*SecondaryParameters) {}, nil, ""},
		{"may not list", recorded{err: coded("AccessDenied")}, func(*SecondaryParameters) {}, nil, ""},
		{"snapshot found", recorded{shots: []types.DBClusterSnapshot{
			shot("orders-east-final-1", "orders-east", time.Hour), shot("orders-east-final-2", "orders-east", time.Minute), shot("before-upgrade", "orders-east", 0), shot("billing-final-1", "billing", 0),
		}}, toDelete, nil, tagSnapshot + "=orders-east-final-2 " + tagReaches + "=2026-03-01T11:59:00Z"},
		{"no snapshot", recorded{shots: []types.DBClusterSnapshot{shot("billing-final-1", "billing", 0)}}, toDelete, nil, ""},
	} {
		a := Secondary{RDS: func(string) SecondaryAPI { return &tt.r }}
		req := action.Request[SecondaryParameters]{Parameters: back(tt.p), Now: noon, Drive: action.Drive{Memo: tt.memo}}
		left, err := a.left(t.Context(), req)
		if err == nil {
			err = a.take(t.Context(), req.Parameters, alone(), stepCluster, left, noon)
		}
		if err != nil || len(tt.r.created) != 1 {
			t.Fatalf("%s: %v after %d calls", tt.name, err, len(tt.r.created))
		}
		var got []string
		for _, tag := range tt.r.created[0].Tags {
			got = append(got, *tag.Key+"="+*tag.Value)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: tags %v, want %s", tt.name, got, tt.want)
		}
	}
	silent := Secondary{RDS: func(string) SecondaryAPI { return &recorded{err: serverError()} }}
	if _, err := silent.left(t.Context(), action.Request[SecondaryParameters]{Parameters: backParameters()}); err == nil {
		t.Error("a list without an answer was taken for an empty one")
	}
}

// A mark costs a second of the recovery, and not the time of an operation.
func TestAMarkHoldsNothingUp(t *testing.T) {
	unmarked := idle
	unmarked.unmarked = true
	m := newMachine(t, failoverBy(MethodDetach, nil), action.StateReady)
	m.show(unmarked)
	sound(m.target())
	if answer, class := m.drive(t); class != "" || answer.WaitSeconds != 1 {
		t.Errorf("%s: waits %d s after the mark", class, answer.WaitSeconds)
	}
	m.now = m.now.Add(time.Second)
	if answer, class := m.drive(t); class != "" || answer.WaitSeconds < MinimumSeconds {
		t.Errorf("%s: waits %d s after the detach", class, answer.WaitSeconds)
	}
}

// A person may answer for an old primary that clients are connected to; what is
// to be deleted has to be deserted all the same.
func TestInUseAndNamed(t *testing.T) {
	for _, reading := range []lag.Reading{{Known: true, Lag: time.Second}, {}} {
		s := survey(detachedSurvey, func(s *Survey) { s.Clients = reading })
		named := func(p *SecondaryParameters) { p.OldDBClusterArn = primary }
		if d := s.decide(back(named), unasked); d.Move != action.MoveAct {
			t.Errorf("kept: %+v", d)
		}
		p := back(named)
		toDelete(&p)
		if d := s.decide(p, unasked); d.Class != action.Refused || !strings.Contains(d.Reason, "not deleted") {
			t.Errorf("deleted: %+v", d)
		}
	}
}
