package globalcluster

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/succession"
)

// In these tests the region that was lost is the east: primary is the old
// primary, secondary is the cluster that took over.
func backParameters() SecondaryParameters {
	return SecondaryParameters{
		GlobalClusterIdentifier: "orders", DBClusterIdentifier: primary, DBClusterName: "orders-east", SourceDBClusterIdentifier: secondary,
		DBInstanceIdentifier: "orders-1", DBInstanceClass: "db.r5.large", DBSubnetGroupName: "orders", VpcSecurityGroupIds: []string{"sg-1"},
		Engine: "aurora-mysql", EngineVersion: "8.0", SourceRegion: west, ClusterRegion: east, StorageEncrypted: aws.Bool(true), OldPrimary: OldKeep,
	}
}

func back(edit func(*SecondaryParameters)) SecondaryParameters {
	p := backParameters()
	edit(&p)
	return p
}

// created makes the ending -old-202501020304.
var created = time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)

func standing(arn string) *Cluster {
	_, id, _ := strings.Cut(arn, ":cluster:")
	return &Cluster{
		Tags: map[string]string{},
		ARN:  arn, ID: id, Status: statusAvailable, Engine: "aurora-mysql", Version: "8.0", Encrypted: true, Created: created, Restorable: noon.Add(-time.Minute),
		Instances: []Instance{{ID: "orders-1", Status: statusAvailable, Writer: true}},
	}
}

// detachedSurvey is what a detach has left; rebuilt is what a managed failover
// ends in.
func detachedSurvey() Survey {
	s := Survey{
		Global:  &Global{ID: "orders", Status: statusAvailable, Members: []Member{{ARN: primary, Writer: true}}},
		LocalIn: "orders", Local: standing(primary), Source: standing(secondary), Deep: true, Started: started, Clients: lag.Reading{Known: true},
	}
	s.Source.Tags[succession.Tag] = succession.Mark(primary, noon, s.Source.Created)
	return s
}

var started = noon.Add(-time.Minute)

// marked is one whose old cluster has the tag that says so.
func marked() Survey {
	s := detachedSurvey()
	s.Local.Tags[tagOldOf] = s.Local.mark(secondary, noon)
	return s
}

func rebuilt() Survey {
	s := detachedSurvey()
	s.Global.Members = []Member{{ARN: secondary, Writer: true, Sync: syncConnected}, {ARN: primary, Sync: syncConnected}}
	s.SourceIn, s.Source = "orders", nil
	return s
}

// alone is an old cluster that has left, the global cluster gone.
func alone() Survey {
	s := marked()
	s.Global, s.LocalIn = nil, ""
	return s
}

func survey(from func() Survey, edit func(*Survey)) Survey {
	s := from()
	edit(&s)
	return s
}

func unasked(string) action.Asked { return action.Asked{Now: noon} }

var toDelete = func(p *SecondaryParameters) { p.OldPrimary, p.LiftDeletionProtection = OldDelete, true }

func finalOf(status string, age time.Duration) func(*Survey) {
	return func(s *Survey) {
		s.Snapshots = []Snapshot{{ID: "orders-east-final-20260301115900", Status: status, Taken: noon.Add(-age)}}
	}
}

const system = "rds:unplanned-global-failover-orders-east-2026"

func TestDecideSecondary(t *testing.T) {
	same := func(*SecondaryParameters) {}
	refused, conflict, terminal := action.Refused, action.Conflict, action.Terminal
	for _, tt := range []struct {
		name  string
		s     Survey
		p     func(*SecondaryParameters)
		move  action.Move
		step  string       // of an act
		class action.Class // of a failure
		state action.State
	}{
		{"rebuilt", rebuilt(), same, action.MoveFinish, "", "", action.StateDone},
		{"still synchronizing", survey(rebuilt, func(s *Survey) { s.Global.Members[1].Sync = syncResync }), same, action.MoveWait, "", "", action.StateUnderWay},
		{"no word of synchronization", survey(rebuilt, func(s *Survey) { s.Global.Members[1].Sync = "" }), same, action.MoveWait, "", "", action.StateUnderWay},
		{"listed and not there", survey(rebuilt, func(s *Survey) { s.Local = nil }), same, action.MoveWait, "", "", action.StateUnderWay},
		{"secondary modifying", survey(rebuilt, func(s *Survey) { s.Local.Status = "modifying" }), same, action.MoveWait, "", "", action.StateUnderWay},
		{"secondary failed", survey(rebuilt, func(s *Survey) { s.Local.Status = "failed" }), same, action.MoveFail, "", terminal, ""},
		{"cluster and instance in storage-optimization", survey(rebuilt, func(s *Survey) {
			s.Local.Status, s.Local.Instances[0].Status = "storage-optimization", "storage-optimization"
		}), same, action.MoveFinish, "", "", action.StateDone},
		{"instance creating", survey(rebuilt, func(s *Survey) { s.Local.Instances[0].Status = "creating" }), same, action.MoveWait, "", "", action.StateUnderWay},
		{"instance failed", survey(rebuilt, func(s *Survey) { s.Local.Instances[0].Status = "failed" }), same, action.MoveFail, "", terminal, ""},
		{"one of two instances available", survey(rebuilt, func(s *Survey) {
			s.Local.Instances = append(s.Local.Instances, Instance{ID: "orders-0", Status: "failed"})
		}), same, action.MoveFinish, "", "", action.StateDone},
		{"no instance", survey(rebuilt, func(s *Survey) { s.Local.Instances = nil }), same, action.MoveAct, stepInstance, "", action.StateReady},
		{"no instance, name taken", survey(rebuilt, func(s *Survey) { s.Local.Instances, s.Holder = nil, "a DB instance of its own" }), same, action.MoveFail, "", conflict, ""},
		{"snapshots not looked at", survey(rebuilt, func(s *Survey) { s.Deep = false }), same, action.MoveLook, "", "", ""},
		{"two writers", survey(rebuilt, func(s *Survey) { s.Global.Members[1].Writer = true }), same, action.MoveFail, "", conflict, ""},
		{"lag within", survey(rebuilt, func(s *Survey) { s.Lag = &lag.Reading{Known: true, Lag: 5 * time.Second} }), func(p *SecondaryParameters) { p.MaxReplicaLagSeconds = aws.Int(5) }, action.MoveFinish, "", "", action.StateDone},
		{"lag above", survey(rebuilt, func(s *Survey) { s.Lag = &lag.Reading{Known: true, Lag: 6 * time.Second} }), func(p *SecondaryParameters) { p.MaxReplicaLagSeconds = aws.Int(5) }, action.MoveWait, "", "", action.StateUnderWay},
		{"lag unknown", survey(rebuilt, func(s *Survey) { s.Lag = &lag.Reading{Why: "no datapoint"} }), func(p *SecondaryParameters) { p.MaxReplicaLagSeconds = aws.Int(5) }, action.MoveWait, "", "", action.StateUnderWay},
		{"lag not read", rebuilt(), func(p *SecondaryParameters) { p.MaxReplicaLagSeconds = aws.Int(5) }, action.MoveWait, "", "", action.StateUnderWay},

		{"system snapshot", survey(rebuilt, func(s *Survey) { s.Snapshots = []Snapshot{{ID: system, Status: statusAvailable}} }), same, action.MoveAct, of(stepCopy, system), "", action.StateReady},
		{"system snapshot being taken", survey(rebuilt, func(s *Survey) { s.Snapshots = []Snapshot{{ID: system, Status: "creating"}} }), same, action.MoveWait, "", "", action.StateUnderWay},
		{"system snapshot failed", survey(rebuilt, func(s *Survey) { s.Snapshots = []Snapshot{{ID: system, Status: "failed"}} }), same, action.MoveFail, "", terminal, ""},
		{"copy under way", survey(rebuilt, func(s *Survey) {
			s.Snapshots = []Snapshot{{ID: system, Status: statusAvailable}, {ID: keptCopy(system), Status: "creating"}}
		}), same, action.MoveWait, "", "", action.StateUnderWay},
		{"copy failed", survey(rebuilt, func(s *Survey) {
			s.Snapshots = []Snapshot{{ID: system, Status: statusAvailable}, {ID: keptCopy(system), Status: "failed"}}
		}), same, action.MoveFail, "", terminal, ""},
		{"copied", survey(rebuilt, func(s *Survey) {
			s.Snapshots = []Snapshot{{ID: system, Status: statusAvailable}, {ID: keptCopy(system), Status: statusAvailable}}
		}), same, action.MoveFinish, "", "", action.StateDone},
		{"a backup of every night is none", survey(rebuilt, func(s *Survey) { s.Snapshots = []Snapshot{{ID: "rds:orders-east-2026", Status: statusAvailable}} }), same, action.MoveFinish, "", "", action.StateDone},
		{"of two, the second is copied too", survey(rebuilt, func(s *Survey) {
			s.Snapshots = []Snapshot{{ID: system, Status: statusAvailable}, {ID: keptCopy(system), Status: statusAvailable}, {ID: system + "-2", Status: statusAvailable}}
		}), same, action.MoveAct, of(stepCopy, system+"-2"), "", action.StateUnderWay},

		{"failing over", survey(rebuilt, func(s *Survey) { s.Global.Failover = &Operation{Status: "failing-over", To: secondary} }), same, action.MoveWait, "", "", action.StateUnderWay},
		{"failing over elsewhere", survey(rebuilt, func(s *Survey) { s.Global.Failover = &Operation{Status: "failing-over", To: primary} }), same, action.MoveFail, "", conflict, ""},
		{"global cluster modifying", survey(detachedSurvey, func(s *Survey) { s.Global.Status = "modifying" }), same, action.MoveWait, "", "", action.StateBusy},
		{"global cluster deleting", survey(detachedSurvey, func(s *Survey) { s.Global.Status = "deleting" }), same, action.MoveWait, "", "", action.StateUnderWay},
		{"global cluster failed", survey(detachedSurvey, func(s *Survey) { s.Global.Status = "failed" }), same, action.MoveFail, "", terminal, ""},
		{"global cluster pondering", survey(detachedSurvey, func(s *Survey) { s.Global.Status = "pondering" }), same, action.MoveWait, "", "", action.StateUnknown},

		{"detached", detachedSurvey(), same, action.MoveAct, stepMark, "", action.StateReady},
		{"detached, deleting", detachedSurvey(), toDelete, action.MoveAct, stepMark, "", action.StateReady},
		{"detached, not looked at", survey(detachedSurvey, func(s *Survey) { s.Deep = false }), same, action.MoveLook, "", "", ""},
		{"detached, with a system snapshot", survey(marked, func(s *Survey) { s.Snapshots = []Snapshot{{ID: system, Status: statusAvailable}} }), same, action.MoveAct, of(stepCopy, system), "", action.StateUnderWay},
		{"the old one is modifying", survey(detachedSurvey, func(s *Survey) { s.Local.Status = "modifying" }), same, action.MoveWait, "", "", action.StateBusy},
		{"the old one is stopped", survey(detachedSurvey, func(s *Survey) { s.Local.Status = "stopped" }), same, action.MoveFail, "", refused, ""},
		{"the old one is pondering", survey(detachedSurvey, func(s *Survey) { s.Local.Status = "pondering" }), same, action.MoveWait, "", "", action.StateUnknown},
		{"the old one is listed and not there", survey(detachedSurvey, func(s *Survey) { s.Local = nil }), same, action.MoveFail, "", action.NotFound, ""},
		{"the only member writes nothing", survey(detachedSurvey, func(s *Survey) { s.Global.Members[0].Writer = false }), same, action.MoveFail, "", refused, ""},
		{"leaving", survey(detachedSurvey, func(s *Survey) { s.Local.Status = statusPromoting }), same, action.MoveWait, "", "", action.StateUnderWay},
		{"no create time", survey(detachedSurvey, func(s *Survey) { s.Local.Created = time.Time{} }), same, action.MoveFail, "", refused, ""},
		{"the source is backing up", survey(detachedSurvey, func(s *Survey) { s.Source.Status = "backing-up" }), same, action.MoveWait, "", "", action.StateBusy},
		{"the source is unknown", survey(detachedSurvey, func(s *Survey) { s.Source = nil }), same, action.MoveFail, "", action.NotFound, ""},
		{"the source is pondering", survey(detachedSurvey, func(s *Survey) { s.Source.Status = "pondering" }), same, action.MoveWait, "", "", action.StateUnknown},
		{"the source says it belongs to another", survey(detachedSurvey, func(s *Survey) { s.Source.Global = "other" }), same, action.MoveFail, "", refused, ""},
		{"another cluster answers for the source", survey(detachedSurvey, func(s *Survey) { s.Source.ARN = primary }), same, action.MoveFail, "", refused, ""},
		{"encryption not said", survey(detachedSurvey, func(s *Survey) { s.Source.Encrypted = false }), func(p *SecondaryParameters) { p.StorageEncrypted = nil }, action.MoveAct, stepMark, "", action.StateReady},
		{"replicated, kept", survey(detachedSurvey, func(s *Survey) { s.Local.Replicas = []string{"arn:reader"} }), same, action.MoveAct, stepMark, "", action.StateReady},
		{"replicated, deleting", survey(detachedSurvey, func(s *Survey) { s.Local.Replicas = []string{"arn:reader"} }), toDelete, action.MoveFail, "", refused, ""},
		{"as new as may be", survey(detachedSurvey, func(s *Survey) { s.Local.Restorable = s.Source.Restorable.Add(restorableSlack) }), toDelete, action.MoveAct, stepMark, "", action.StateReady},
		{"newer than the source", survey(detachedSurvey, func(s *Survey) { s.Local.Restorable = s.Source.Restorable.Add(restorableSlack + time.Second) }), toDelete, action.MoveFail, "", refused, ""},
		{"newer than the source, kept", survey(detachedSurvey, func(s *Survey) { s.Local.Restorable = noon.Add(time.Hour) }), same, action.MoveAct, stepMark, "", action.StateReady},
		{"protected", survey(detachedSurvey, func(s *Survey) { s.Local.Protected = true }), func(p *SecondaryParameters) { p.OldPrimary = OldDelete }, action.MoveFail, "", refused, ""},
		{"protected, to be lifted", survey(detachedSurvey, func(s *Survey) { s.Local.Protected = true }), toDelete, action.MoveAct, stepMark, "", action.StateReady},
		{"protected, kept", survey(detachedSurvey, func(s *Survey) { s.Local.Protected = true }), same, action.MoveAct, stepMark, "", action.StateReady},

		{"marked", marked(), same, action.MoveAct, stepLeave, "", action.StateUnderWay},
		{"marked, deleting", marked(), toDelete, action.MoveAct, stepLeave, "", action.StateUnderWay},
		{"marked, with a system snapshot that is copied", survey(marked, func(s *Survey) {
			s.Snapshots = []Snapshot{{ID: system, Status: statusAvailable}, {ID: keptCopy(system), Status: statusAvailable}}
		}), same, action.MoveAct, stepLeave, "", action.StateUnderWay},

		{"left, the global cluster empty", survey(alone, func(s *Survey) { s.Global = &Global{ID: "orders", Status: statusAvailable} }), same, action.MoveAct, stepEmpty, "", action.StateUnderWay},
		{"left, promoting", survey(alone, func(s *Survey) { s.Local.Status = statusPromoting }), same, action.MoveWait, "", "", action.StateUnderWay},
		{"to be renamed: the instance first", alone(), same, action.MoveAct, of(stepRenameInstance, "orders-1"), "", action.StateUnderWay},
		{"instance being renamed", survey(alone, func(s *Survey) { s.Local.Instances[0].Status = "renaming" }), same, action.MoveWait, "", "", action.StateUnderWay},
		{"then the cluster", survey(alone, func(s *Survey) { s.Local.Instances[0].ID = "orders-1-old-202501020304" }), same, action.MoveAct, stepRename, "", action.StateUnderWay},
		{"cluster being renamed", survey(alone, func(s *Survey) { s.Local.Status = "renaming" }), same, action.MoveWait, "", "", action.StateUnderWay},
		{"the old one's next name is taken", survey(detachedSurvey, func(s *Survey) { s.Taken = []string{"cluster orders-east-old-202501020304"} }), same, action.MoveFail, "", conflict, ""},
		{"the instance's name is held by another", survey(alone, func(s *Survey) { s.Holder = "an instance of the cluster billing" }), same, action.MoveFail, "", conflict, ""},

		{"to be deleted: the snapshot first", alone(), toDelete, action.MoveAct, stepFinal, "", action.StateUnderWay},
		{"snapshot being taken", survey(alone, finalOf("creating", 0)), toDelete, action.MoveWait, "", "", action.StateUnderWay},
		{"snapshot failed", survey(alone, finalOf("failed", 0)), toDelete, action.MoveFail, "", refused, ""},
		{"then the instances", survey(alone, finalOf(statusAvailable, finalAge)), toDelete, action.MoveAct, of(stepDeleteInstance, "orders-1"), "", action.StateUnderWay},
		{"snapshot too old", survey(alone, finalOf(statusAvailable, finalAge+time.Second)), toDelete, action.MoveFail, "", refused, ""},
		{"but the protection before", survey(alone, func(s *Survey) { finalOf(statusAvailable, 0)(s); s.Local.Protected = true }), toDelete, action.MoveAct, stepLift, "", action.StateUnderWay},
		{"instances being deleted", survey(alone, func(s *Survey) { finalOf(statusAvailable, 0)(s); s.Local.Instances[0].Status = "deleting" }), toDelete, action.MoveWait, "", "", action.StateUnderWay},
		{"then the cluster, however old the snapshot", survey(alone, func(s *Survey) { finalOf(statusAvailable, 9*finalAge)(s); s.Local.Instances = nil }), toDelete, action.MoveAct, stepDelete, "", action.StateUnderWay},
		{"cluster being deleted", survey(alone, func(s *Survey) { s.Local.Status = "deleting" }), same, action.MoveWait, "", "", action.StateUnderWay},

		{"nothing in the way", survey(alone, func(s *Survey) { s.Local = nil }), same, action.MoveAct, stepFound, "", action.StateUnderWay},
		{"nothing in the way, not looked at", survey(alone, func(s *Survey) { s.Local, s.Deep = nil, false }), same, action.MoveLook, "", "", ""},
		{"nothing in the way, the source stopped", survey(alone, func(s *Survey) { s.Local, s.Source.Status = nil, "stopped" }), same, action.MoveFail, "", refused, ""},
		{"the source not listed yet", survey(alone, func(s *Survey) { s.Local, s.Global = nil, &Global{ID: "orders", Status: statusAvailable} }), same, action.MoveWait, "", "", action.StateUnderWay},
		{"the source listed", survey(rebuilt, func(s *Survey) {
			s.Global.Members, s.Local, s.LocalIn, s.Source = s.Global.Members[:1], nil, "", standing(secondary)
		}), same, action.MoveAct, stepCluster, "", action.StateUnderWay},
		{"a new secondary, not listed yet", survey(rebuilt, func(s *Survey) {
			s.Global.Members, s.LocalIn, s.Local.Status = s.Global.Members[:1], "", "creating"
		}), same, action.MoveWait, "", "", action.StateUnderWay},
		{"a new secondary that failed", survey(rebuilt, func(s *Survey) {
			s.Global.Members, s.LocalIn, s.Local.Status, s.Local.Source = s.Global.Members[:1], "", "failed", secondary
		}), same, action.MoveFail, "", terminal, ""},
		{"an old one beside a new global cluster", survey(rebuilt, func(s *Survey) {
			s.Global.Members, s.LocalIn, s.Source = s.Global.Members[:1], "", standing(secondary)
		}), func(p *SecondaryParameters) { p.OldDBClusterArn = primary }, action.MoveAct, of(stepRenameInstance, "orders-1"), "", action.StateUnderWay},
		{"a cluster of another name", survey(alone, func(s *Survey) { s.Local.ARN = secondary }), same, action.MoveFail, "", action.InvalidInput, ""},
		{"says it belongs to another global cluster", survey(alone, func(s *Survey) { s.Local.Global = "other" }), same, action.MoveFail, "", refused, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := tt.s.decide(back(tt.p), unasked)
			step := ""
			if d.Move == action.MoveAct {
				step = d.Step
			}
			if d.Move != tt.move || step != tt.step || d.Class != tt.class || tt.state != "" && tt.move != action.MoveFail && d.State != tt.state {
				t.Errorf("move %d, step %q, class %q, state %q (%s); want %d, %q, %q, %q", d.Move, step, d.Class, d.State, d.Reason, tt.move, tt.step, tt.class, tt.state)
			}
		})
	}
}

// A global cluster that stays empty is somebody's leftover only after a while,
// and never one that this run asked for.
func TestAnEmptyGlobalClusterIsWaitedForFirst(t *testing.T) {
	s := survey(alone, func(s *Survey) { s.Local, s.Global = nil, &Global{ID: "orders", Status: statusAvailable} })
	for _, tt := range []struct {
		name  string
		asked map[string]action.Asked
		move  action.Move
		step  string
	}{
		{"just seen", nil, action.MoveWait, stepFormed},
		{"not long enough", map[string]action.Asked{stepFormed: {Now: noon, IdleSince: noon.Add(time.Second - formingTime)}}, action.MoveWait, stepFormed},
		{"long enough", map[string]action.Asked{stepFormed: {Now: noon, IdleSince: noon.Add(-formingTime)}}, action.MoveAct, stepEmpty},
		{"ours", map[string]action.Asked{stepFormed: {Now: noon, IdleSince: noon.Add(-formingTime)}, stepFound: {Now: noon, Requested: noon.Add(-time.Minute)}}, action.MoveWait, stepFound},
		{"ours, that came to nothing", map[string]action.Asked{stepFound: {Now: noon, Requested: noon.Add(-time.Hour), IdleSince: noon.Add(-formingTime)}}, action.MoveFail, stepFound},
	} {
		d := s.decide(backParameters(), func(step string) action.Asked {
			if a, ok := tt.asked[step]; ok {
				return a
			}
			return unasked(step)
		})
		if d.Move != tt.move || d.Step != tt.step {
			t.Errorf("%s: move %d, step %q, want %d, %q", tt.name, d.Move, d.Step, tt.move, tt.step)
		}
	}
}

func TestNamesFit(t *testing.T) {
	long := Cluster{ID: strings.Repeat("a", 62) + "b", Created: created}
	other := Cluster{ID: strings.Repeat("a", 62) + "c", Created: created}
	for _, name := range []string{long.oldName(), Survey{Local: &long, Started: noon}.finalName(), keptCopy("rds:unplanned-global-failover-" + long.ID), fitted(strings.Repeat("a-", 31), "-old-1")} {
		if len(name) > nameLength || strings.Contains(name, "--") || strings.Contains(name, ":") {
			t.Errorf("%q is no name for RDS", name)
		}
	}
	if again := (Cluster{ID: long.ID, Created: created}).oldName(); long.oldName() == other.oldName() || long.oldName() != again {
		t.Errorf("%q, again %q, and of another %q", long.oldName(), again, other.oldName())
	}
	if got := (Cluster{ID: "orders", Created: created}).oldName(); got != "orders-old-202501020304" {
		t.Errorf("got %q", got)
	}
	if !isKept(Survey{Local: &long}.finalName()) || !isKept(keptCopy(system)) || isKept(system) || isKept("before-upgrade") {
		t.Error("what this action made is not told from what others made")
	}
}

func TestSecondaryCheck(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*SecondaryParameters)
		want []string
	}{
		{"right", func(*SecondaryParameters) {}, nil},
		{"references", func(p *SecondaryParameters) {
			p.DBClusterName, p.ClusterRegion, p.SourceRegion = "!Import a", "!Import b", "!Import c"
		}, nil},
		{"another region", func(p *SecondaryParameters) { p.ClusterRegion = "eu-west-1" }, []string{"ClusterRegion"}},
		{"another name", func(p *SecondaryParameters) { p.DBClusterName = "billing" }, []string{"DBClusterName"}},
		{"another source region", func(p *SecondaryParameters) { p.SourceRegion = "eu-west-1" }, []string{"SourceRegion"}},
		{"one region", func(p *SecondaryParameters) { p.SourceRegion, p.SourceDBClusterIdentifier = east, primary }, []string{"SourceRegion"}},
		{"the old primary", func(p *SecondaryParameters) { p.OldDBClusterArn = primary }, nil},
		{"another old primary", func(p *SecondaryParameters) { p.OldDBClusterArn = secondary }, []string{"OldDBClusterArn"}},
		{"the old primary by a reference", func(p *SecondaryParameters) { p.OldDBClusterArn = "!Import old" }, []string{"OldDBClusterArn"}},
		{"monitoring without a role", func(p *SecondaryParameters) { p.MonitoringInterval = aws.Int(60) }, []string{"MonitoringInterval"}},
		{"no monitoring", func(p *SecondaryParameters) { p.MonitoringInterval = aws.Int(0) }, nil},
	} {
		var got []string
		for _, issue := range back(tt.edit).Check() {
			got = append(got, issue.Parameter)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// goneAPI answers every call with an error.
type goneAPI struct {
	SecondaryAPI
	err error
}

func (g goneAPI) ModifyDBCluster(context.Context, *rds.ModifyDBClusterInput, ...func(*rds.Options)) (*rds.ModifyDBClusterOutput, error) {
	return nil, g.err
}

// What is gone already was seen in an old read: the next look decides, so the
// call is taken for turned away and not for a failure.
func TestAThingThatIsGoneIsLookedAtAgain(t *testing.T) {
	for code, want := range map[string]action.Class{"DBClusterNotFoundFault": action.Conflict, "AccessDenied": action.Denied} {
		a := Secondary{RDS: func(string) SecondaryAPI { return goneAPI{err: coded(code)} }}
		if err := a.take(t.Context(), backParameters(), alone(), stepRename, nil, noon); action.ClassOf(err) != want {
			t.Errorf("%s: %v, want %s", code, err, want)
		}
	}
}
