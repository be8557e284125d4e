package replica

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/succession"
)

// The way back of an instance that is called orders in both regions.
var (
	wayBack  = CreateParameters{RDSInstanceIdentifier: "orders", SourceRDSInstanceIdentifier: "orders", SourceRegion: "us-west-2", OldPrimary: oldKeep, MaxReplicaLagSeconds: 300}
	tookOver = Instance{ID: "orders", ARN: replicaARN, Status: statusAvailable, Engine: "mysql", Retention: 1, Created: noon.Add(-24 * time.Hour), Restorable: noon.Add(-time.Minute),
		Tags: map[string]string{succession.PromotedTag: succession.PromotedNote(sourceARN, noon.Add(-time.Hour))}}
	theOld    = Instance{ID: "orders", ARN: sourceARN, Status: statusAvailable, Engine: "mysql", Retention: 7, Created: noon.Add(-48 * time.Hour), Restorable: noon.Add(-2 * time.Minute), Clients: lag.Reading{Known: true}}
	theNew    = Instance{ID: "orders", ARN: sourceARN, Status: statusAvailable, Source: replicaARN, Replication: lag.Replicating, Engine: "mysql", Version: "8.0.42"}
	lastShot  = Snapshot{ID: "orders-final-20260301115900", Status: "available", Of: "orders", OfCreated: theOld.Created, SnapshotAt: noon.Add(-time.Minute)}
	fewBehind = lag.Reading{Known: true, Lag: 2 * time.Second, At: noon}
)

func sceneOf(here *Instance, change ...func(*scene)) scene {
	source := tookOver
	s := scene{region: "us-east-1", want: replicaARN, here: here, source: &source, reading: fewBehind, baseline: action.StateReady, now: noon}
	if here != nil {
		i := *here
		s.here = &i
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

// noted makes the source one that was promoted from an instance.
func noted(s *scene, from string, at time.Time) {
	s.source.Tags = map[string]string{succession.PromotedTag: succession.PromotedNote(from, at)}
}

func nothingAsked(string) action.Asked { return action.Asked{Now: noon} }

func deleting(p CreateParameters) CreateParameters {
	p.OldPrimary = oldDelete
	return p
}

// Every status, of a replica and of an old primary that is kept or deleted.
func TestDecideCreationEveryStatus(t *testing.T) {
	for status, condition := range conditions {
		t.Run(status, func(t *testing.T) {
			replica, old := theNew, theOld
			replica.Status, old.Status = status, status
			shot := func(s *scene) { x := lastShot; s.snapshot = &x }
			for name, tt := range map[string]struct {
				got  action.Decision
				idle action.Move
				end  action.Class
			}{
				"replica": {decideCreation(sceneOf(&replica), wayBack, nothingAsked), action.MoveFinish, action.Terminal},
				"keep":    {decideCreation(sceneOf(&old), wayBack, nothingAsked), action.MoveAct, action.Refused},
				"delete":  {decideCreation(sceneOf(&old, shot), deleting(wayBack), nothingAsked), action.MoveAct, action.Refused},
			} {
				want, class := action.MoveWait, action.Class("")
				switch {
				case status == statusDeleting: // the name becomes free
				case condition == action.StatusReady:
					want = tt.idle
				case condition == action.StatusTerminal:
					want, class = action.MoveFail, tt.end
				}
				if tt.got.Move != want || tt.got.Class != class || tt.got.Reason == "" {
					t.Errorf("%s: %+v, want move %d, class %q", name, tt.got, want, class)
				}
			}
		})
	}
	for _, here := range []Instance{theNew, theOld} {
		here.Status = "pondering"
		if d := decideCreation(sceneOf(&here), wayBack, nothingAsked); d.Move != action.MoveWait || d.State != action.StateUnknown {
			t.Errorf("a status that nobody knows: %+v", d)
		}
	}
}

// What has to be proved before the old primary is touched: each rule on both
// sides, and none of them lets anything be done when it is broken.
func TestRulesOfTheOldPrimary(t *testing.T) {
	type change func(s *scene, p *CreateParameters)
	lifted := func(_ *scene, p *CreateParameters) { p.LiftDeletionProtection = true }
	for _, tt := range []struct {
		rule         string
		holds        []change // within the rule, at its edge
		broken       []change
		deletionOnly bool
	}{
		{"not a replica", nil, []change{
			func(s *scene, _ *CreateParameters) { s.here.Replication = "error" },
		}, false},
		{"older than the source", []change{
			func(s *scene, _ *CreateParameters) { s.here.Created = s.source.Created.Add(-time.Second) },
		}, []change{
			func(s *scene, _ *CreateParameters) { s.here.Created = s.source.Created },
			func(s *scene, _ *CreateParameters) { s.here.Created = s.source.Created.Add(time.Second) },
			func(s *scene, _ *CreateParameters) { s.here.Created = time.Time{} },
			func(s *scene, _ *CreateParameters) { s.source.Created = time.Time{} },
		}, false},
		// Only a switchover of Oracle makes the older one follow.
		{"older than the source", []change{
			func(s *scene, p *CreateParameters) {
				s.here.Engine, s.source.Engine, s.here.Created, p.OldDBInstanceArn = "oracle-ee", "oracle-ee", noon, sourceARN
			},
		}, []change{
			func(s *scene, p *CreateParameters) { s.here.Created, p.OldDBInstanceArn = noon, sourceARN },
		}, false},
		{"proved to be the old primary", []change{
			func(s *scene, _ *CreateParameters) { noted(s, sourceARN, s.here.Created.Add(time.Second)) },
			func(s *scene, p *CreateParameters) { s.source.Tags, p.OldDBInstanceArn = nil, sourceARN },
			func(s *scene, p *CreateParameters) { p.OldDBInstanceArn = strings.ToUpper(sourceARN) },
			func(s *scene, p *CreateParameters) {
				s.here.Engine, s.source.Engine, p.OldDBInstanceArn = "oracle-ee", "oracle-ee", sourceARN
			},
		}, []change{
			func(s *scene, _ *CreateParameters) { s.source.Tags = nil },
			func(s *scene, _ *CreateParameters) { noted(s, sourceARN, s.here.Created) },
			func(s *scene, _ *CreateParameters) { noted(s, sourceARN+"-2", noon) },
			func(s *scene, _ *CreateParameters) { noted(s, replicaARN, noon) },
			func(_ *scene, p *CreateParameters) { p.OldDBInstanceArn = replicaARN },
			func(s *scene, _ *CreateParameters) { s.here.Engine, s.source.Engine = "oracle-ee", "oracle-ee" },
			func(s *scene, p *CreateParameters) {
				s.here.Engine, s.source.Engine, p.OldDBInstanceArn = "oracle-ee", "oracle-ee", replicaARN
			},
		}, false},
		{"same engine", []change{
			func(s *scene, _ *CreateParameters) { s.here.Engine, s.source.Engine = "mariadb", "mariadb" },
		}, []change{
			func(s *scene, _ *CreateParameters) { s.here.Engine = "postgres" },
			func(s *scene, _ *CreateParameters) { s.source.Engine = "" },
			func(s *scene, _ *CreateParameters) { s.here.Engine, s.source.Engine = "", "" },
		}, false},
		{"not in use", []change{
			func(s *scene, _ *CreateParameters) { s.here.Clients = lag.Reading{Known: true} },
		}, []change{
			func(s *scene, _ *CreateParameters) { s.here.Clients.Lag = time.Second },
			func(s *scene, _ *CreateParameters) { s.here.Clients = lag.Reading{Why: "no datapoint"} },
		}, false},
		{"not in use", []change{ // a person answers for it
			func(s *scene, p *CreateParameters) { p.OldDBInstanceArn = sourceARN },
		}, []change{
			func(s *scene, p *CreateParameters) {
				s.here.Clients.Lag, p.OldDBInstanceArn = time.Second, sourceARN
			},
			func(s *scene, p *CreateParameters) {
				s.here.Clients, p.OldDBInstanceArn = lag.Reading{}, sourceARN
			},
		}, true},
		{"no replicas", []change{
			func(s *scene, _ *CreateParameters) { s.here.Replicas = []string{strings.ToUpper(replicaARN)} },
		}, []change{
			func(s *scene, _ *CreateParameters) { s.here.Replicas = []string{"reports"} },
			func(s *scene, _ *CreateParameters) { s.here.Replicas = []string{replicaARN, "reports"} },
		}, true},
		{"backups of the source reach further", []change{
			func(s *scene, _ *CreateParameters) { s.here.Restorable = s.source.Restorable.Add(-time.Second) },
		}, []change{
			func(s *scene, _ *CreateParameters) {
				s.here.Restorable = s.source.Restorable.Add(uploadInterval + time.Second)
			},
			func(s *scene, _ *CreateParameters) { s.here.Restorable = time.Time{} },
			func(s *scene, _ *CreateParameters) { s.source.Restorable = time.Time{} },
		}, true},
		{"deletion protection", []change{
			func(s *scene, p *CreateParameters) { s.here.Protected = true; lifted(s, p) },
		}, []change{
			func(s *scene, _ *CreateParameters) { s.here.Protected = true },
		}, true},
		{"source", []change{
			func(s *scene, _ *CreateParameters) { s.source.Retention = 1 },
		}, []change{
			func(s *scene, _ *CreateParameters) { s.source = nil },
			func(s *scene, _ *CreateParameters) { s.source.ARN = sourceARN },
			func(s *scene, _ *CreateParameters) { s.source.Cluster = "orders" },
			func(s *scene, _ *CreateParameters) { s.source.Source = sourceARN },
			func(s *scene, _ *CreateParameters) { s.source.Replication = "terminated" },
			func(s *scene, _ *CreateParameters) { s.source.Status = "stopped" },
			func(s *scene, _ *CreateParameters) { s.source.Status = "pondering" },
			func(s *scene, _ *CreateParameters) { s.source.Retention = 0 },
		}, false},
		{"member of the cluster", nil, []change{
			func(s *scene, _ *CreateParameters) { s.here.Cluster = "orders" },
		}, false},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			try := func(c change, p CreateParameters) action.Decision {
				s := sceneOf(&theOld)
				shot := lastShot
				s.snapshot = &shot
				c(&s, &p)
				shot.OfCreated = s.here.Created
				return decideCreation(s, p, nothingAsked)
			}
			for i, c := range tt.holds {
				for _, p := range []CreateParameters{wayBack, deleting(wayBack)} {
					if d := try(c, p); d.Move != action.MoveAct {
						t.Errorf("%d holds, %s: %+v", i, p.OldPrimary, d)
					}
				}
			}
			for i, c := range tt.broken {
				d := try(c, deleting(wayBack))
				if d.Move != action.MoveFail || d.Class != action.Refused || !strings.Contains(d.Reason, tt.rule) {
					t.Errorf("%d broken: %+v, want a refusal that names %q", i, d, tt.rule)
				}
				if kept := try(c, wayBack); (kept.Move == action.MoveFail) == tt.deletionOnly {
					t.Errorf("%d broken, and kept: %+v", i, kept)
				}
			}
		})
	}
}

func TestDecideCreation(t *testing.T) {
	const wait, finish, act, fail = action.MoveWait, action.MoveFinish, action.MoveAct, action.MoveFail
	const ready, busy, underWay, done, unknown = action.StateReady, action.StateBusy, action.StateUnderWay, action.StateDone, action.StateUnknown
	seven := func(p CreateParameters) CreateParameters { p.BackupRetentionPeriod = aws.Int(7); return p }
	with := func(i Instance, change func(*Instance)) *Instance { change(&i); return &i }
	shot := func(change func(*Snapshot)) func(*scene) {
		x := lastShot
		change(&x)
		return func(s *scene) { s.snapshot = &x }
	}
	whole := shot(func(*Snapshot) {})
	began := func(state action.State) func(*scene) { return func(s *scene) { s.baseline = state } }
	behind := func(d time.Duration) func(*scene) { return func(s *scene) { s.reading.Lag = d } }
	source := func(change func(*Instance)) func(*scene) { return func(s *scene) { change(s.source) } }
	asked := func(step string, ago, idle time.Duration) func(string) action.Asked {
		return func(of string) action.Asked {
			a := action.Asked{Now: noon}
			if of == step {
				a.Requested, a.IdleSince = noon.Add(-ago), noon.Add(-idle)
			}
			return a
		}
	}
	unsure := func(string) action.Asked { return action.Asked{Now: noon, Unsure: true} }
	del := deleting(wayBack)
	key := wayBack
	key.KmsKeyId = "arn:aws:kms:us-east-1:111122223333:key/1"
	none := wayBack
	none.KmsKeyId, none.StorageEncrypted = "None", aws.Bool(false)
	insists := wayBack
	insists.StorageEncrypted = aws.Bool(true)
	same := wayBack
	same.SourceRegion = "us-east-1"
	secret := source(func(i *Instance) { i.Encrypted = true })
	for _, tt := range []struct {
		name  string
		scene scene
		p     CreateParameters
		asked func(string) action.Asked
		move  action.Move
		state action.State
		step  string
		class action.Class
	}{
		{"the region of the run is the source's", sceneOf(nil), same, nothingAsked, fail, unknown, "", action.InvalidInput},

		{"nothing there, at the start", sceneOf(nil, began("")), wayBack, nothingAsked, act, busy, stepCreate, ""},
		{"nothing there, as at the start", sceneOf(nil, began(busy)), wayBack, nothingAsked, act, ready, stepCreate, ""},
		{"nothing there any more", sceneOf(nil, began(ready)), wayBack, nothingAsked, act, underWay, stepCreate, ""},
		{"replica asked for and not yet visible", sceneOf(nil), wayBack, asked(stepCreate, time.Minute, time.Second), wait, underWay, stepCreate, ""},
		{"replica asked for and never there", sceneOf(nil, began(busy)), wayBack, asked(stepCreate, time.Hour, 5*time.Minute), fail, ready, stepCreate, action.Terminal},
		{"replica perhaps asked for", sceneOf(nil, began(busy)), wayBack, unsure, wait, ready, stepCreate, ""},
		{"the source backs up", sceneOf(nil, began(busy), source(func(i *Instance) { i.Status = statusBackingUp })), wayBack, nothingAsked, wait, ready, stepCreate, ""},
		{"the source is a replica", sceneOf(nil, began(busy), source(func(i *Instance) { i.Source = sourceARN })), wayBack, nothingAsked, fail, ready, stepCreate, action.Refused},
		{"encrypted source and a key", sceneOf(nil, secret), key, nothingAsked, act, underWay, stepCreate, ""},
		{"encrypted source and no key", sceneOf(nil, secret), none, nothingAsked, fail, underWay, stepCreate, action.InvalidInput},
		{"plain source and a key", sceneOf(nil), key, nothingAsked, fail, underWay, stepCreate, action.InvalidInput},
		{"plain source and no key", sceneOf(nil), none, nothingAsked, act, underWay, stepCreate, ""},
		{"plain source and encryption insisted on", sceneOf(nil), insists, nothingAsked, fail, underWay, stepCreate, action.InvalidInput},

		{"replica of another", sceneOf(with(theNew, func(i *Instance) { i.Source = "orders-1" })), wayBack, nothingAsked, fail, unknown, "", action.Refused},
		{"replica of another, going", sceneOf(with(theNew, func(i *Instance) { i.Source, i.Status = "orders-1", statusDeleting })), wayBack, nothingAsked, wait, busy, "", ""},
		{"replica is created", sceneOf(with(theNew, func(i *Instance) { i.Status = statusCreating })), wayBack, nothingAsked, wait, underWay, stepBackups, ""},
		{"replica, ARN in other letters", sceneOf(with(theNew, func(i *Instance) { i.Source = strings.ToUpper(i.Source) })), wayBack, nothingAsked, finish, done, stepBackups, ""},
		{"replica, available and no replication shown", sceneOf(with(theNew, func(i *Instance) { i.Replication = "" })), wayBack, nothingAsked, wait, underWay, stepBackups, ""},
		{"replica, replication in error", sceneOf(with(theNew, func(i *Instance) { i.Replication = "error" })), wayBack, nothingAsked, wait, underWay, stepBackups, ""},
		{"replica, replication terminated", sceneOf(with(theNew, func(i *Instance) { i.Replication = "terminated" })), wayBack, nothingAsked, fail, underWay, stepBackups, action.Terminal},
		{"replica, lag not known", sceneOf(&theNew, func(s *scene) { s.reading = lag.Reading{Why: "no datapoint"} }), wayBack, nothingAsked, wait, underWay, stepBackups, ""},
		{"replica, lag at the limit", sceneOf(&theNew, behind(300*time.Second)), wayBack, nothingAsked, finish, done, stepBackups, ""},
		{"replica, lag above the limit", sceneOf(&theNew, behind(301*time.Second)), wayBack, nothingAsked, wait, underWay, stepBackups, ""},
		{"replica without backups", sceneOf(&theNew), seven(wayBack), nothingAsked, act, underWay, stepBackups, ""},
		{"replica with a day less", sceneOf(with(theNew, func(i *Instance) { i.Retention = 6 })), seven(wayBack), nothingAsked, act, underWay, stepBackups, ""},
		{"replica with a day more", sceneOf(with(theNew, func(i *Instance) { i.Retention = 8 })), seven(wayBack), nothingAsked, finish, done, stepBackups, ""},
		{"replica, backups come", sceneOf(with(theNew, func(i *Instance) { i.Pending = aws.Int(7) })), seven(wayBack), nothingAsked, wait, underWay, stepBackups, ""},
		{"replica, other backups come", sceneOf(with(theNew, func(i *Instance) { i.Pending = aws.Int(1) })), seven(wayBack), nothingAsked, act, underWay, stepBackups, ""},
		{"replica, backups asked for", sceneOf(&theNew), seven(wayBack), asked(stepBackups, time.Minute, time.Second), wait, underWay, stepBackups, ""},
		{"replica of an engine that takes no backups of it", sceneOf(with(theNew, func(i *Instance) { i.Engine = "sqlserver-ee" })), seven(wayBack), nothingAsked, finish, done, stepBackups, ""},

		{"old primary kept", sceneOf(&theOld), wayBack, nothingAsked, act, ready, stepRename, ""},
		{"old primary kept, listed as a source", sceneOf(with(theOld, func(i *Instance) { i.Replicas = []string{replicaARN, "reports"} })), wayBack, nothingAsked, act, ready, stepRename, ""},
		{"rename asked for and not yet visible", sceneOf(&theOld), wayBack, asked(stepRename, time.Minute, time.Second), wait, underWay, stepRename, ""},
		{"rename asked for and never began", sceneOf(&theOld), wayBack, asked(stepRename, time.Hour, 5*time.Minute), fail, ready, stepRename, action.Terminal},
		{"rename perhaps asked for", sceneOf(&theOld), wayBack, unsure, wait, ready, stepRename, ""},
		{"old primary is renamed", sceneOf(with(theOld, func(i *Instance) { i.Status = statusRenaming })), wayBack, nothingAsked, wait, underWay, "", ""},
		{"old primary that is to be deleted is renamed", sceneOf(with(theOld, func(i *Instance) { i.Status = statusRenaming })), del, nothingAsked, wait, busy, "", ""},
		{"old primary that is to be kept is deleted", sceneOf(with(theOld, func(i *Instance) { i.Status = statusDeleting })), wayBack, nothingAsked, wait, busy, "", ""},
		{"old primary is at work", sceneOf(with(theOld, func(i *Instance) { i.Status = statusModifying })), wayBack, nothingAsked, wait, busy, stepRename, ""},
		{"old primary is at work, at the start", sceneOf(with(theOld, func(i *Instance) { i.Status = statusModifying }), began("")), wayBack, nothingAsked, wait, ready, stepRename, ""},

		{"no snapshot yet", sceneOf(&theOld), del, nothingAsked, act, ready, stepSnapshot, ""},
		{"no snapshot yet, protected", sceneOf(with(theOld, func(i *Instance) { i.Protected = true })), func() CreateParameters { p := del; p.LiftDeletionProtection = true; return p }(), nothingAsked, act, ready, stepSnapshot, ""},
		{"snapshot asked for and not yet visible", sceneOf(&theOld), del, asked(stepSnapshot, time.Minute, time.Second), wait, underWay, stepSnapshot, ""},
		{"snapshot is taken", sceneOf(&theOld, shot(func(x *Snapshot) { x.Status = "creating" })), del, nothingAsked, wait, underWay, stepDelete, ""},
		{"snapshot failed", sceneOf(&theOld, shot(func(x *Snapshot) { x.Status = "failed" })), del, nothingAsked, fail, underWay, stepDelete, action.Refused},
		{"snapshot in a state nobody knows", sceneOf(&theOld, shot(func(x *Snapshot) { x.Status = "pondering" })), del, nothingAsked, fail, underWay, stepDelete, action.Refused},
		{"snapshot of another instance", sceneOf(&theOld, shot(func(x *Snapshot) { x.Of = "billing" })), del, nothingAsked, fail, underWay, stepDelete, action.Refused},
		{"snapshot of one that had the name before", sceneOf(&theOld, shot(func(x *Snapshot) { x.OfCreated = x.OfCreated.Add(time.Second) })), del, nothingAsked, fail, underWay, stepDelete, action.Refused},
		{"snapshot of who knows when", sceneOf(&theOld, shot(func(x *Snapshot) { x.SnapshotAt = time.Time{} })), del, nothingAsked, fail, underWay, stepDelete, action.Refused},
		{"snapshot as old as may be", sceneOf(&theOld, shot(func(x *Snapshot) { x.SnapshotAt = noon.Add(-snapshotAge) })), del, nothingAsked, act, underWay, stepDelete, ""},
		{"snapshot too old", sceneOf(&theOld, shot(func(x *Snapshot) { x.SnapshotAt = noon.Add(-snapshotAge - time.Second) })), del, nothingAsked, fail, underWay, stepDelete, action.Refused},
		{"snapshot complete", sceneOf(&theOld, whole), del, nothingAsked, act, underWay, stepDelete, ""},
		{"snapshot complete, protected", sceneOf(with(theOld, func(i *Instance) { i.Protected = true }), whole), func() CreateParameters { p := del; p.LiftDeletionProtection = true; return p }(), nothingAsked, act, underWay, stepLift, ""},
		{"snapshot complete, the old primary's backups just ahead", sceneOf(with(theOld, func(i *Instance) { i.Restorable = tookOver.Restorable }), whole), del, nothingAsked, wait, underWay, stepDelete, ""},
		{"deletion asked for and not yet visible", sceneOf(&theOld, whole), del, asked(stepDelete, time.Minute, time.Second), wait, underWay, stepDelete, ""},
		{"old primary is deleted", sceneOf(with(theOld, func(i *Instance) { i.Status = statusDeleting }), whole), del, nothingAsked, wait, underWay, "", ""},
		{"old primary is kept, and a snapshot is there", sceneOf(&theOld, whole), wayBack, nothingAsked, act, ready, stepRename, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := decideCreation(tt.scene, tt.p, tt.asked)
			if d.Move != tt.move || d.State != tt.state || d.Step != tt.step || d.Class != tt.class || d.Reason == "" {
				t.Errorf("%+v, want move %d, state %s, step %q, class %q", d, tt.move, tt.state, tt.step, tt.class)
			}
		})
	}
}

func TestNamesOfTheOldPrimary(t *testing.T) {
	created := time.Date(2025, 1, 5, 3, 7, 59, 0, time.FixedZone("", 3600))
	for _, tt := range []struct{ id, want string }{
		{"orders", "orders-old-202501050207"},
		{strings.Repeat("a", 46), strings.Repeat("a", 46) + "-old-202501050207"},
		{strings.Repeat("a", 63), strings.Repeat("a", 46) + "-old-202501050207"},
		{strings.Repeat("a", 45) + "-" + strings.Repeat("b", 17), strings.Repeat("a", 45) + "-old-202501050207"},
	} {
		if got := keptName(Instance{ID: tt.id, Created: created}); got != tt.want || len(got) > longestName {
			t.Errorf("%s: %s (%d characters), want %s", tt.id, got, len(got), tt.want)
		}
	}
	if got := snapshotName("orders", created); got != "orders-final-20250105020759" {
		t.Error(got)
	}
}

func TestTakesBackups(t *testing.T) {
	for what, want := range map[[2]string]bool{
		{"mysql", "5.7"}: true, {"mariadb", "10"}: true, {"oracle-ee", "19"}: true, {"sqlserver-ee", "15"}: false, {"db2-se", "11.5"}: false,
		{"postgres", "14.1"}: true, {"postgres", "14.0"}: false, {"postgres", "13.9"}: false, {"postgres", "17.2"}: true, {"postgres", ""}: false, {"", ""}: false,
	} {
		if got := takesBackups(what[0], what[1]); got != want {
			t.Errorf("%v: %t", what, got)
		}
	}
}

func TestCreateParametersCheck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*CreateParameters)
		want   []string
	}{
		{"right", func(*CreateParameters) {}, nil},
		{"monitoring with a role", func(p *CreateParameters) {
			p.MonitoringInterval, p.MonitoringRoleArn = aws.Int(60), "arn:aws:iam::1:role/r"
		}, nil},
		{"monitoring switched off", func(p *CreateParameters) { p.MonitoringInterval = aws.Int(0) }, nil},
		{"monitoring without a role", func(p *CreateParameters) { p.MonitoringInterval = aws.Int(60) }, []string{"MonitoringInterval"}},
		{"an interval that AWS has not", func(p *CreateParameters) { p.MonitoringInterval = aws.Int(7) }, []string{"MonitoringInterval"}},
		{"lifted to be deleted", func(p *CreateParameters) { p.OldPrimary, p.LiftDeletionProtection = oldDelete, true }, nil},
		{"lifted and kept", func(p *CreateParameters) { p.LiftDeletionProtection = true }, []string{"LiftDeletionProtection"}},
		{"the old primary named", func(p *CreateParameters) { p.OldDBInstanceArn = sourceARN }, nil},
		{"another old primary named", func(p *CreateParameters) { p.OldDBInstanceArn = sourceARN + "-2" }, []string{"OldDBInstanceArn"}},
		{"the old primary by a reference", func(p *CreateParameters) { p.OldDBInstanceArn = "!Import old" }, []string{"OldDBInstanceArn"}},
		// The sample's template of the primary exports an ARN of no instance.
		{"another ARN", func(p *CreateParameters) { p.TargetClusterIdentifier = "arn:aws:rds:us-east-1:111122223333:db:other" }, nil},
	} {
		p := wayBack
		tt.change(&p)
		var got []string
		for _, issue := range p.Check() {
			got = append(got, issue.Parameter)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

// ways is RDS as a creation meets it.
type ways struct {
	account
	source call[rds.DescribeDBInstancesInput, rds.DescribeDBInstancesOutput]
	groups call[rds.DescribeDBSubnetGroupsInput, rds.DescribeDBSubnetGroupsOutput]
	quotas call[rds.DescribeAccountAttributesInput, rds.DescribeAccountAttributesOutput]
	create call[rds.CreateDBInstanceReadReplicaInput, rds.CreateDBInstanceReadReplicaOutput]
	shots  call[rds.DescribeDBSnapshotsInput, rds.DescribeDBSnapshotsOutput]
	shoot  call[rds.CreateDBSnapshotInput, rds.CreateDBSnapshotOutput]
	remove call[rds.DeleteDBInstanceInput, rds.DeleteDBInstanceOutput]
}

type otherRegion struct{ *ways }

func (o otherRegion) DescribeDBInstances(_ context.Context, in *rds.DescribeDBInstancesInput, _ ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error) {
	return o.source.answer(in)
}

func (w *ways) DescribeDBSubnetGroups(_ context.Context, in *rds.DescribeDBSubnetGroupsInput, _ ...func(*rds.Options)) (*rds.DescribeDBSubnetGroupsOutput, error) {
	return w.groups.answer(in)
}

func (w *ways) DescribeAccountAttributes(_ context.Context, in *rds.DescribeAccountAttributesInput, _ ...func(*rds.Options)) (*rds.DescribeAccountAttributesOutput, error) {
	return w.quotas.answer(in)
}

func (w *ways) CreateDBInstanceReadReplica(_ context.Context, in *rds.CreateDBInstanceReadReplicaInput, _ ...func(*rds.Options)) (*rds.CreateDBInstanceReadReplicaOutput, error) {
	return w.create.answer(in)
}

func (w *ways) DescribeDBSnapshots(_ context.Context, in *rds.DescribeDBSnapshotsInput, _ ...func(*rds.Options)) (*rds.DescribeDBSnapshotsOutput, error) {
	return w.shots.answer(in)
}

func (w *ways) CreateDBSnapshot(_ context.Context, in *rds.CreateDBSnapshotInput, _ ...func(*rds.Options)) (*rds.CreateDBSnapshotOutput, error) {
	return w.shoot.answer(in)
}

func (w *ways) DeleteDBInstance(_ context.Context, in *rds.DeleteDBInstanceInput, _ ...func(*rds.Options)) (*rds.DeleteDBInstanceOutput, error) {
	return w.remove.answer(in)
}

func (w *ways) mutations() int {
	return w.account.mutations() + len(w.create.asks) + len(w.shoot.asks) + len(w.remove.asks)
}

func (w *ways) reconciler() Creation {
	return Creation{RDS: w, Old: w, Source: func(string) Describer { return otherRegion{w} }, Lags: lag.CloudWatch{API: w}}
}

// back is an account after a failover, with the old primary still there.
func back() *ways {
	w := &ways{}
	w.lags(0, noon, time.Minute) // nobody is connected
	w.shows(instance("available", "", 7, func(db *types.DBInstance) {
		db.DBInstanceArn, db.InstanceCreateTime, db.LatestRestorableTime = aws.String(sourceARN), aws.Time(theOld.Created), aws.Time(theOld.Restorable)
	}))
	w.source.out = &rds.DescribeDBInstancesOutput{DBInstances: []types.DBInstance{instance("available", "", 1, func(db *types.DBInstance) {
		db.InstanceCreateTime, db.LatestRestorableTime = aws.Time(tookOver.Created), aws.Time(tookOver.Restorable)
		db.TagList = []types.Tag{{Key: aws.String(succession.PromotedTag), Value: aws.String(tookOver.Tags[succession.PromotedTag])}}
	})}}
	return w
}

func asking(p CreateParameters) action.Request[CreateParameters] {
	return action.Request[CreateParameters]{Parameters: p, Now: noon, Run: action.Run{
		Region: "us-east-1", Account: "111122223333", Partition: "aws", StartedAt: noon.Add(-time.Minute)}}
}

// Each failure of each call: what its class is, and that no call follows it.
func TestCreationErrors(t *testing.T) {
	gone := func(w *ways) { w.describe.out, w.describe.err = nil, coded("DBInstanceNotFound") }
	shot := func(w *ways) {
		w.shots.out = &rds.DescribeDBSnapshotsOutput{DBSnapshots: []types.DBSnapshot{{DBSnapshotIdentifier: aws.String("s"), Status: aws.String("available"),
			DBInstanceIdentifier: aws.String("orders"), InstanceCreateTime: aws.Time(theOld.Created), SnapshotCreateTime: aws.Time(noon)}}}
	}
	for _, tt := range []struct {
		name      string
		set       func(*ways)
		p         CreateParameters
		class     action.Class // empty: an answer
		phase     string
		mutations int
	}{
		{"renamed", func(*ways) {}, wayBack, "", stepRename, 1},
		{"snapshot taken", func(*ways) {}, deleting(wayBack), "", stepSnapshot, 1},
		{"deleted", shot, deleting(wayBack), "", stepDelete, 1},
		{"created", gone, wayBack, "", stepCreate, 1},
		{"this region is silent", func(w *ways) { w.describe.err = context.DeadlineExceeded }, wayBack, action.Unreachable, "", 0},
		{"the other region is silent", func(w *ways) { w.source.err = context.DeadlineExceeded }, wayBack, action.Unreachable, "", 0},
		{"the other region is silent, and nothing here", func(w *ways) { gone(w); w.source.err = context.DeadlineExceeded }, wayBack, action.Unreachable, "", 0},
		{"the other region denies", func(w *ways) { w.source.err = coded("AccessDenied") }, wayBack, action.Denied, "", 0},
		{"the other region has no such instance", func(w *ways) { w.source.err = coded("DBInstanceNotFound") }, wayBack, action.Refused, "", 0},
		{"metrics are denied", func(w *ways) { w.metric.err = coded("AccessDenied") }, wayBack, action.Denied, "", 0},
		{"clients are connected", func(w *ways) { w.lags(3, noon, time.Minute) }, wayBack, action.Refused, "", 0},
		{"clients were connected long ago", func(w *ways) { w.lags(0, noon, time.Hour) }, wayBack, action.Refused, "", 0},
		{"snapshots are denied", func(w *ways) { w.shots.err = coded("AccessDenied") }, deleting(wayBack), action.Denied, "", 0},
		{"snapshots do not answer", func(w *ways) { w.shots.err = serverError() }, deleting(wayBack), action.Unreachable, "", 0},
		{"rename: taken back", func(w *ways) { w.modify.err = coded("DBInstanceNotFound") }, wayBack, "", "busy", 1},
		{"rename: name taken", func(w *ways) { w.modify.err = coded("DBInstanceAlreadyExists") }, wayBack, "", "busy", 1},
		{"rename: answer lost", func(w *ways) { w.modify.err = serverError() }, wayBack, action.OutcomeUnknown, "", 1},
		{"rename: throttled", func(w *ways) { w.modify.err = coded("Throttling") }, wayBack, action.Throttled, "", 1},
		{"snapshot: there already", func(w *ways) { w.shoot.err = coded("DBSnapshotAlreadyExists") }, deleting(wayBack), "", "busy", 1},
		{"snapshot: quota", func(w *ways) { w.shoot.err = coded("SnapshotQuotaExceeded") }, deleting(wayBack), action.Capacity, "", 1},
		{"delete: protected meanwhile", func(w *ways) { shot(w); w.remove.err = coded("InvalidParameterCombination") }, deleting(wayBack), "", "busy", 1},
		{"delete: answer lost", func(w *ways) { shot(w); w.remove.err = serverError() }, deleting(wayBack), action.OutcomeUnknown, "", 1},
		{"create: exists", func(w *ways) { gone(w); w.create.err = coded("DBInstanceAlreadyExists") }, wayBack, "", "busy", 1},
		{"create: no key", func(w *ways) { gone(w); w.create.err = coded("KMSKeyNotAccessibleFault") }, wayBack, action.Denied, "", 1},
		{"create: quota", func(w *ways) { gone(w); w.create.err = coded("InstanceQuotaExceeded") }, wayBack, action.Capacity, "", 1},
		{"create: answer lost", func(w *ways) { gone(w); w.create.err = serverError() }, wayBack, action.OutcomeUnknown, "", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := back()
			tt.set(w)
			req := asking(tt.p)
			// What this run has left of the old primary it remembers.
			req.Drive.Memo = map[string]string{tagKept: "orders-old", tagReaches: "unknown"}
			progress, err := w.reconciler().Reconcile(t.Context(), req)
			class := action.Class("")
			if err != nil {
				class = action.ClassOf(err)
			}
			if class != tt.class || err == nil && progress.Phase != tt.phase || w.mutations() != tt.mutations {
				t.Errorf("class %q (%v), phase %q, %d mutating calls", class, err, progress.Phase, w.mutations())
			}
			if progress.Changed != (tt.class == "" && tt.phase != "busy") {
				t.Errorf("changed: %t", progress.Changed)
			}
		})
	}
}

// narrowed is an account whose role may look at names but not list them.
type narrowed struct{ *ways }

func (n narrowed) DescribeDBInstances(ctx context.Context, in *rds.DescribeDBInstancesInput, o ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error) {
	if in.DBInstanceIdentifier == nil {
		return nil, n.modify.err
	}
	return n.ways.DescribeDBInstances(ctx, in, o...)
}

// Where a kept old primary cannot be listed, the replica is created all the
// same; where the list did not answer, it is asked for again.
func TestCreationWithoutAList(t *testing.T) {
	for _, tt := range []struct {
		err   error
		class action.Class
		calls int
	}{{coded("AccessDenied"), "", 1}, {serverError(), action.Unreachable, 0}, {coded("Throttling"), action.Throttled, 0}} {
		w := back()
		w.describe.out, w.describe.err, w.modify.err = nil, coded("DBInstanceNotFound"), tt.err
		creation := w.reconciler()
		creation.RDS = narrowed{w}
		_, err := creation.Reconcile(t.Context(), asking(wayBack))
		class := action.Class("")
		if err != nil {
			class = action.ClassOf(err)
		}
		if class != tt.class || len(w.create.asks) != tt.calls {
			t.Errorf("%v: class %q, %d replicas asked for", tt.err, class, len(w.create.asks))
		}
	}
}

// Room for one more instance, and a subnet group, are looked for beforehand.
func TestRoom(t *testing.T) {
	p := wayBack
	p.DBSubnetGroup = "orders-subnets"
	for _, tt := range []struct {
		name       string
		used, most int64
		p          CreateParameters
		groups     error
		want       []action.Class
		class      action.Class
	}{
		{"room for one", 39, 40, p, nil, nil, ""},
		{"no room", 40, 40, p, nil, []action.Class{action.Capacity}, ""},
		{"no room, but one goes", 40, 40, deleting(p), nil, nil, ""},
		{"no subnet group", 0, 40, p, coded("DBSubnetGroupNotFoundFault"), []action.Class{action.NotFound}, ""},
		{"subnet groups are denied", 0, 40, p, coded("AccessDenied"), nil, action.Denied},
	} {
		w := back()
		w.groups.err = tt.groups
		w.quotas.out = &rds.DescribeAccountAttributesOutput{AccountQuotas: []types.AccountQuota{
			{AccountQuotaName: aws.String("ManualSnapshots"), Used: aws.Int64(100), Max: aws.Int64(100)},
			{AccountQuotaName: aws.String("DBInstances"), Used: aws.Int64(tt.used), Max: aws.Int64(tt.most)},
		}}
		ready, err := w.reconciler().Preflight(t.Context(), asking(tt.p))
		var got []action.Class
		for _, f := range ready.Findings {
			if f.Verdict == action.VerdictBlocked {
				got = append(got, f.Class)
			}
		}
		class := action.Class("")
		if err != nil {
			class = action.ClassOf(err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || class != tt.class {
			t.Errorf("%s: %v %s", tt.name, err, diff)
		}
	}
}

// What each call asks of AWS.
func TestCreationAsks(t *testing.T) {
	w := back()
	if _, err := w.reconciler().Reconcile(t.Context(), asking(wayBack)); err != nil {
		t.Fatal(err)
	}
	rename := w.modify.asks[0]
	if aws.ToString(rename.NewDBInstanceIdentifier) != "orders-old-202602271200" || !aws.ToBool(rename.ApplyImmediately) || rename.BackupRetentionPeriod != nil || rename.DeletionProtection != nil {
		t.Errorf("rename: %+v", rename)
	}

	w = back()
	w.shots.out = &rds.DescribeDBSnapshotsOutput{DBSnapshots: []types.DBSnapshot{{DBSnapshotIdentifier: aws.String("s"), Status: aws.String("available"),
		DBInstanceIdentifier: aws.String("orders"), InstanceCreateTime: aws.Time(theOld.Created), SnapshotCreateTime: aws.Time(noon)}}}
	progress, err := w.reconciler().Reconcile(t.Context(), asking(deleting(wayBack)))
	if err != nil {
		t.Fatal(err)
	}
	remove := w.remove.asks[0]
	if !aws.ToBool(remove.SkipFinalSnapshot) || remove.DeleteAutomatedBackups == nil || *remove.DeleteAutomatedBackups {
		t.Errorf("delete: %+v", remove)
	}
	if got := aws.ToString(w.shots.asks[0].DBSnapshotIdentifier); got != "orders-final-20260301115900" || progress.Evidence["oldPrimarySnapshot"] != "s" {
		t.Errorf("snapshot %s, evidence %v", got, progress.Evidence)
	}

	p := wayBack
	p.DBSecurityGroup, p.KmsKeyId, p.MultiAZ, p.Port, p.MonitoringInterval = []string{"sg-1", "sg-2"}, "none", aws.Bool(false), aws.Int(3788), aws.Int(0)
	w = back()
	w.describe.out, w.describe.err = nil, coded("DBInstanceNotFound")
	req := asking(p)
	req.Drive.Memo = map[string]string{tagKept: "orders-old", tagReaches: "then"}
	if _, err := w.reconciler().Reconcile(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	create := w.create.asks[0]
	var tags []string
	for _, tag := range create.Tags {
		tags = append(tags, aws.ToString(tag.Key)+"="+aws.ToString(tag.Value))
	}
	got := []string{aws.ToString(create.DBInstanceIdentifier), aws.ToString(create.SourceDBInstanceIdentifier), aws.ToString(create.SourceRegion), fmt.Sprint(create.VpcSecurityGroupIds),
		fmt.Sprint(create.KmsKeyId == nil, *create.MultiAZ, *create.Port, *create.MonitoringInterval, *create.PubliclyAccessible, create.DBInstanceClass == nil), strings.Join(tags, " ")}
	want := []string{"orders", replicaARN, "us-west-2", "[sg-1 sg-2]", "true false 3788 0 false true",
		"dr-orchestrator:source=" + replicaARN + " dr-orchestrator:old-primary=orders-old dr-orchestrator:old-primary-reaches=then"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// An old primary that another run has moved away is found by its name, which
// follows from its age; what is only called alike is not.
func TestWhereabouts(t *testing.T) {
	named := func(id string, created time.Time) types.DBInstance {
		return types.DBInstance{DBInstanceIdentifier: aws.String(id), InstanceCreateTime: aws.Time(created), LatestRestorableTime: aws.Time(noon)}
	}
	w := back()
	w.shows(named("orders-old-209901010000", noon))
	w.describe.out.DBInstances = append(w.describe.out.DBInstances, named("orders-old-hat", noon), named("orders-old-202512011200", noon.AddDate(0, -3, 0)),
		named("orders-old-202602011200", noon.AddDate(0, -1, 0)), named("orders-old-202601011200", noon.AddDate(0, -2, 0)))
	got, err := w.reconciler().whereabouts(t.Context(), wayBack, "us-east-1")
	if diff := cmp.Diff(map[string]string{tagKept: "orders-old-202602011200", tagReaches: moment(noon)}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	w.shots.out = &rds.DescribeDBSnapshotsOutput{DBSnapshots: []types.DBSnapshot{
		{DBSnapshotIdentifier: aws.String("orders-final-1"), SnapshotCreateTime: aws.Time(noon.Add(-time.Hour))},
		{DBSnapshotIdentifier: aws.String("orders-final-2"), SnapshotCreateTime: aws.Time(noon)},
		{DBSnapshotIdentifier: aws.String("by-hand"), SnapshotCreateTime: aws.Time(noon.Add(time.Hour))},
	}}
	got, err = w.reconciler().whereabouts(t.Context(), deleting(wayBack), "us-east-1")
	if diff := cmp.Diff(map[string]string{tagSnapshot: "orders-final-2", tagReaches: moment(noon)}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	w.describe.err, w.shots.err = errors.New("no"), errors.New("no")
	for _, p := range []CreateParameters{wayBack, deleting(wayBack)} {
		if _, err := w.reconciler().whereabouts(t.Context(), p, "us-east-1"); err == nil {
			t.Errorf("%s: what nobody could see is taken for nothing", p.OldPrimary)
		}
	}
}
