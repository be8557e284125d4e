package globalcluster

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"dr-orchestrator/internal/action"
)

var (
	planned  = goal{target: secondary, planned: true}
	managed  = goal{target: secondary}
	byDetach = goal{target: secondary, detach: true}
	goals    = map[string]goal{"planned": planned, "managed": managed, "detach": byDetach}
)

// global is a global cluster in which one member takes writes.
func global(status, writer string) Global {
	return Global{ID: "orders", Status: status, Members: []Member{{ARN: primary, Writer: writer == primary, Sync: "connected"}, {ARN: secondary, Writer: writer == secondary, Sync: "connected"}}}
}

func local(status, writer, writerStatus string, instances int) *Local {
	return &Local{ARN: secondary, Status: status, Writer: writer, WriterStatus: writerStatus, Instances: instances}
}

// Every status: as the one of the global cluster, of the target cluster and of
// its instance while the target does not take writes, and as the one of the
// cluster and of the instance while it does. A status that is new in the list
// has to be put here too.
func TestDecideEveryStatus(t *testing.T) {
	const wait, finish, act, fail = action.MoveWait, action.MoveFinish, action.MoveAct, action.MoveFail
	type moves struct{ idle, proving action.Move }
	want := map[string]moves{"available": {act, finish}, "storage-optimization": {act, finish}}
	for _, status := range []string{
		"backing-up", "backtracking", "configuring-iam-database-auth", "configuring-log-exports", "creating", "failing-over", "maintenance",
		"migrating", "modifying", "promoting", "rebooting", "renaming", "resetting-master-credentials", "starting",
		"switching-over", "update-iam-db-auth", "upgrading",
		"", "something-new", "Available", // unknown
	} {
		want[status] = moves{wait, wait}
	}
	for _, status := range []string{
		"cloning-failed", "deleting", "failed", "inaccessible-encryption-credentials", "inaccessible-encryption-credentials-recoverable",
		"incompatible-network", "incompatible-parameters", "migration-failed", "stopped", "stopping", "storage-full", "incompatible-something-new",
	} {
		want[status] = moves{fail, fail}
	}
	for status := range conditions {
		if _, ok := want[status]; !ok {
			t.Errorf("status %q has no row here", status)
		}
	}
	now := action.Asked{Now: noon}
	for status, want := range want {
		t.Run(status, func(t *testing.T) {
			for name, to := range goals {
				up := local("available", "orders-1", "available", 1)
				cluster, instance := local(status, "orders-1", "available", 1), local("available", "orders-1", status, 1)
				for _, tt := range []struct {
					what    string
					got     action.Decision
					want    action.Move
					failure action.Class
					pending action.State
				}{
					{"idle", decide(global(status, primary), up, to, now), want.idle, action.Terminal, action.StateBusy},
					{"target cluster", decide(global("available", primary), cluster, to, now), want.idle, action.Refused, action.StateReady},
					{"target instance", decide(global("available", primary), instance, to, now), want.idle, action.Refused, action.StateReady},
					{"proving, cluster", decide(global("available", secondary), cluster, to, now), want.proving, action.Terminal, action.StateUnderWay},
					{"proving, instance", decide(global("available", secondary), instance, to, now), want.proving, action.Terminal, action.StateUnderWay},
				} {
					d := tt.got
					if d.Move != tt.want {
						t.Errorf("%s, %s: move %d, want %d", name, tt.what, d.Move, tt.want)
					}
					if (d.Move == finish) != (d.State == action.StateDone) || d.Move == act && d.State != action.StateReady {
						t.Errorf("%s, %s: move %d with the state %s", name, tt.what, d.Move, d.State)
					}
					if (d.Move == fail) != (d.Class != "") || d.Move == fail && d.Class != tt.failure || d.Reason == "" {
						t.Errorf("%s, %s: %+v", name, tt.what, d)
					}
					pending := tt.pending
					if to.detach && status == statusPromoting && tt.what == "target cluster" {
						pending = action.StateUnderWay // it is leaving
					}
					if conditions[status] == action.StatusPending && d.State != pending {
						t.Errorf("%s, %s: state %s, want %s", name, tt.what, d.State, pending)
					}
					if proving := tt.pending == action.StateUnderWay; action.ConditionOf(conditions, status) == action.StatusUnknown && !proving && d.State != action.StateUnknown {
						t.Errorf("%s, %s: nobody knows what %q is, and the state is %s", name, tt.what, status, d.State)
					}
				}
			}
		})
	}
}

func TestDecideRules(t *testing.T) {
	const wait, look, finish, act, fail = action.MoveWait, action.MoveLook, action.MoveFinish, action.MoveAct, action.MoveFail
	const ready, busy, underWay, done, unknown = action.StateReady, action.StateBusy, action.StateUnderWay, action.StateDone, action.StateUnknown
	const europe = "arn:aws:rds:eu-west-1:111122223333:cluster:orders-eu"
	now := action.Asked{Now: noon}
	up := local("available", "orders-1", "available", 1)
	with := func(g Global, change func(*Global)) Global { change(&g); return g }
	seen := func(l *Local, change func(*Local)) *Local { c := *l; change(&c); return &c }
	running := func(status, to string) Global {
		return with(global("available", primary), func(g *Global) { g.Failover = &Operation{Status: status, From: primary, To: to} })
	}
	turned := func(g *Global) { g.Members[0].Writer, g.Members[1].Writer = false, true }
	left := with(global("available", primary), func(g *Global) { g.Members = g.Members[:1] })
	synced := func(status string) Global {
		return with(global("available", primary), func(g *Global) { g.Members[1].Sync = status })
	}
	requested := func(idleFor time.Duration) action.Asked {
		a := action.Asked{Now: noon, Requested: noon.Add(-time.Hour)}
		if idleFor > 0 {
			a.IdleSince = noon.Add(-idleFor)
		}
		return a
	}
	type end struct {
		move  action.Move
		state action.State
		class action.Class
	}
	type rows map[string]end
	same := func(m action.Move, s action.State, class action.Class) rows {
		r := rows{}
		for name := range goals {
			r[name] = end{m, s, class}
		}
		return r
	}
	but := func(r rows, name string, m action.Move, s action.State, class action.Class) rows {
		r[name] = end{m, s, class}
		return r
	}
	// What is no member can only have been detached.
	detached := func(m action.Move, s action.State, class action.Class) rows {
		return but(same(fail, unknown, action.Refused), "detach", m, s, class)
	}
	for _, tt := range []struct {
		name  string
		g     Global
		local *Local
		asked action.Asked
		want  rows
	}{
		{"idle", global("available", primary), up, now, same(act, ready, "")},
		{"idle, not looked at the target", global("available", primary), nil, now, same(look, unknown, "")},
		{"idle, a secondary's instances are readers", global("available", primary), seen(local("available", "", "available", 2), func(l *Local) { l.Reader = "orders-2" }), now, same(act, ready, "")},
		{"idle, no instance in the target", global("available", primary), local("available", "", "", 0), now, same(fail, ready, action.Refused)},
		{"idle, global cluster at work, not looked at the target", global("modifying", primary), nil, now, same(wait, busy, "")},
		{"idle, the target fenced", global("available", primary), seen(up, func(l *Local) { l.Fenced = true }), now, same(fail, unknown, action.Refused)},
		{"writer, and fenced", global("available", secondary), seen(up, func(l *Local) { l.Fenced = true }), now, same(fail, unknown, action.Refused)},
		{"detached, and fenced", left, seen(up, func(l *Local) { l.Fenced = true }), now, same(fail, unknown, action.Refused)},
		{"no writer", with(global("available", primary), func(g *Global) { g.Members[0].Writer = false }), up, now, same(act, ready, "")},

		{"writer, not looked at it", global("available", secondary), nil, now, same(look, unknown, "")},
		{"writer, all available", global("available", secondary), up, now, same(finish, done, "")},
		{"writer, global cluster still at work", global("switching-over", secondary), up, now, same(wait, underWay, "")},
		{"writer, global cluster unknown", global("pondering", secondary), up, now, same(wait, underWay, "")},
		{"writer, global cluster deleting: it will not become available", global("deleting", secondary), up, now, same(finish, done, "")},
		{"writer, no instance at all", global("available", secondary), local("available", "", "", 0), now, same(fail, unknown, action.Terminal)},
		{"writer, none of its instances marked yet", global("available", secondary), local("available", "", "available", 2), now, same(wait, underWay, "")},
		{"writer, promoting, none of its instances marked yet", global("available", secondary), local("promoting", "", "", 2), now, same(wait, underWay, "")},
		{"writer, cluster rebooting", global("available", secondary), local("rebooting", "orders-1", "available", 1), now, same(wait, underWay, "")},
		{"writer, instance not shown", global("available", secondary), local("available", "orders-1", "", 1), now, same(wait, underWay, "")},

		{"writer, the other member not synchronized yet", with(global("available", secondary), func(g *Global) { g.Members[0].Sync = syncResync }), up, now, same(finish, done, "")},
		{"writer, not shown whether the other is in sync", with(global("available", secondary), func(g *Global) { g.Members[0].Sync = "" }), up, now, same(finish, done, "")},
		{"writer, one of two others in sync", with(global("available", secondary), func(g *Global) {
			g.Members = append(slices.Clone(g.Members), Member{ARN: europe, Sync: syncResync})
		}), up, now, same(finish, done, "")},
		{"writer, no other member: one that was detached may serve", with(global("available", secondary), func(g *Global) { g.Members = g.Members[1:] }), up, now, but(same(finish, done, ""), "planned", fail, unknown, action.Refused)},
		{"writer, no other member, not looked at it", with(global("available", secondary), func(g *Global) { g.Members = g.Members[1:] }), nil, now, but(same(look, unknown, ""), "planned", fail, unknown, action.Refused)},

		{"writer, and so is the other: nothing follows it", with(global("available", secondary), func(g *Global) { g.Members[0].Writer = true }), up, now, but(same(finish, done, ""), "planned", fail, unknown, action.Refused)},

		{"our operation pending", running("pending", secondary), up, now, same(wait, underWay, "")},
		{"our operation running", running("failing-over", secondary), up, now, same(wait, underWay, "")},
		{"our operation being cancelled", running("cancelling", secondary), up, now, same(wait, underWay, "")},
		{"our operation, roles changed already", with(running("switching-over", secondary), turned), up, now, same(wait, underWay, "")},
		{"our operation, ARN in other letters", running("pending", strings.ToUpper(secondary)), up, now, same(wait, underWay, "")},
		{"a failover by somebody else, toward the target", with(running("failing-over", secondary), func(g *Global) { g.Failover.DataLoss = true }), up, now,
			but(same(wait, underWay, ""), "planned", fail, unknown, action.Conflict)},
		{"another operation", running("pending", europe), up, now, same(fail, unknown, action.Conflict)},
		{"an operation back to the primary", with(running("switching-over", primary), turned), up, now, same(fail, unknown, action.Conflict)},

		{"in sync", synced(syncConnected), up, now, same(act, ready, "")},
		{"not shown whether in sync", synced(""), up, now, but(same(act, ready, ""), "planned", fail, ready, action.Refused)},
		{"pending-resync", synced(syncResync), up, now, but(same(fail, ready, action.Refused), "planned", wait, ready, "")},
		{"pending-resync, not looked at the target", synced(syncResync), nil, now, same(look, unknown, "")},
		{"pending-resync, the target is headless as well", synced(syncResync), local("available", "", "", 0), now, same(fail, ready, action.Refused)},
		{"pending-resync, asked for and not yet visible", synced(syncResync), up, requested(0), same(wait, underWay, "")},
		{"in sync in an unknown way", synced("half-connected"), up, now, same(fail, ready, action.Refused)},

		{"not a member, not looked at it", left, nil, now, detached(look, unknown, "")},
		{"not a member, up", left, up, now, detached(finish, done, "")},
		{"not a member, not up", left, local("promoting", "orders-1", "available", 1), now, detached(wait, underWay, "")},
		{"not a member, not up, still shown as one of it", left, seen(local("promoting", "orders-1", "", 1), func(l *Local) { l.Global, l.Source = "orders", primary }), now, detached(wait, underWay, "")},
		{"not a member, but of another global cluster", left, seen(up, func(l *Local) { l.Global = "billing" }), now, detached(fail, unknown, action.Refused)},
		{"not a member, but a replica of another cluster", left, seen(up, func(l *Local) { l.Source = "arn:aws:rds:us-east-1:111122223333:cluster:billing-east" }), now, detached(fail, unknown, action.Refused)},
		{"not a member, and another answers to its name", left, seen(up, func(l *Local) { l.ARN = primary }), now, detached(fail, unknown, action.InvalidInput)},
		{"not a member, in other letters", left, seen(up, func(l *Local) { l.ARN = strings.ToUpper(secondary) }), now, detached(finish, done, "")},
		{"not a member, no instance", left, local("available", "", "", 0), now, detached(fail, unknown, action.Terminal)},
		{"not a member, the rest is switching over", with(left, func(g *Global) {
			g.Status, g.Members, g.Failover = "switching-over", append(slices.Clone(g.Members), Member{ARN: europe}), &Operation{Status: "pending", To: europe}
		}), up, now, detached(finish, done, "")},

		{"asked for and not yet visible", global("available", primary), up, requested(0), same(wait, underWay, "")},
		{"asked for and invisible for a little", global("available", primary), up, requested(5*time.Minute - time.Second), same(wait, underWay, "")},
		{"asked for and never began", global("available", primary), up, requested(5 * time.Minute), same(fail, ready, action.Terminal)},
		{"asked for, at work without saying what", global("failing-over", primary), up, requested(0), same(wait, busy, "")},
		{"never began by the memo, and yet done", global("available", secondary), up, requested(10 * time.Minute), same(finish, done, "")},
		{"perhaps asked for", global("available", primary), up, action.Asked{Now: noon, Unsure: true}, same(wait, ready, "")},

		{"promoting", global("available", primary), local("promoting", "orders-1", "available", 1), now, but(same(wait, ready, ""), "detach", wait, underWay, "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, want := range tt.want {
				got := decide(tt.g, tt.local, goals[name], tt.asked)
				if got.Move != want.move || got.State != want.state || got.Class != want.class {
					t.Errorf("%s: move %d %s from %s, want %d %s from %s (%s)", name, got.Move, got.Class, got.State, want.move, want.class, want.state, got.Reason)
				}
			}
		})
	}
}

// AWS shows identifiers in lower case and takes them in any.
func TestDecideOtherLetters(t *testing.T) {
	up, now := local("available", "orders-1", "available", 1), action.Asked{Now: noon}
	for name, to := range goals {
		to.target = strings.Replace(secondary, "orders-west", "Orders-West", 1)
		if got := decide(global("available", primary), up, to, now); got.Move != action.MoveAct {
			t.Errorf("%s, idle: move %d (%s)", name, got.Move, got.Reason)
		}
		if got := decide(global("available", secondary), up, to, now); got.Move != action.MoveFinish {
			t.Errorf("%s, writer: move %d (%s)", name, got.Move, got.Reason)
		}
	}
}

// What AWS shows, as a decision sees it: the element that AWS leaves behind
// empty is no operation, and an operation without a target is one.
func TestFindGlobal(t *testing.T) {
	for _, tt := range []struct {
		name  string
		state *types.FailoverState
		want  *Operation
	}{
		{"no element", nil, nil},
		{"empty element", &types.FailoverState{}, nil},
		{"empty texts", &types.FailoverState{ToDbClusterArn: aws.String(""), FromDbClusterArn: aws.String("")}, nil},
		{"pending", &types.FailoverState{Status: types.FailoverStatusPending, FromDbClusterArn: aws.String(primary), ToDbClusterArn: aws.String(secondary)}, &Operation{"pending", primary, secondary, false}},
		{"a status that the model does not have", &types.FailoverState{Status: "switching-over", ToDbClusterArn: aws.String(secondary)}, &Operation{"switching-over", "", secondary, false}},
		{"a failover that may lose data", &types.FailoverState{Status: types.FailoverStatusFailingOver, ToDbClusterArn: aws.String(secondary), IsDataLossAllowed: aws.Bool(true)}, &Operation{"failing-over", "", secondary, true}},
		{"no target shown", &types.FailoverState{Status: types.FailoverStatusFailingOver}, &Operation{"failing-over", "", "", false}},
		{"no status shown", &types.FailoverState{ToDbClusterArn: aws.String(secondary)}, &Operation{"", "", secondary, false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := scene{status: "available", writer: primary, failover: tt.state, sync: types.GlobalClusterMemberSynchronizationStatusConnected}.global()
			r := &region{}
			r.globals.out = &rds.DescribeGlobalClustersOutput{GlobalClusters: []types.GlobalCluster{g}}
			got, err := findGlobal(t.Context(), r, "orders", west)
			if err != nil {
				t.Fatal(err)
			}
			if (got.Failover == nil) != (tt.want == nil) || got.Failover != nil && *got.Failover != *tt.want {
				t.Errorf("failover %+v, want %+v", got.Failover, tt.want)
			}
			if w, ok := got.writer(); !ok || w.ARN != primary || len(got.Members) != 2 || got.Members[1].Sync != "connected" {
				t.Errorf("members %+v", got.Members)
			}
			if id := aws.ToString(r.globals.asks[0].GlobalClusterIdentifier); id != "orders" {
				t.Errorf("asked for %q", id)
			}
		})
	}
	r := &region{}
	if _, err := findGlobal(t.Context(), r, "orders", west); action.ClassOf(err) != action.NotFound {
		t.Errorf("none: %v", err)
	}
	r.globals.err = coded("GlobalClusterNotFoundFault")
	if _, err := findGlobal(t.Context(), r, "orders", west); action.ClassOf(err) != action.NotFound {
		t.Errorf("fault: %v", err)
	}
	if _, err := findLocal(t.Context(), r, secondary, west); action.ClassOf(err) != action.NotFound {
		t.Errorf("no cluster: %v", err)
	}
}

// The instance whose status counts is the writer, or any of a secondary's
// readers; while the cluster itself is not available, none is asked about.
func TestFindLocal(t *testing.T) {
	member := func(id string, writer bool) types.DBClusterMember {
		return types.DBClusterMember{DBInstanceIdentifier: aws.String(id), IsClusterWriter: aws.Bool(writer)}
	}
	for _, tt := range []struct {
		name    string
		cluster types.DBCluster
		want    Local
		asked   string // instance that was described
	}{
		{"writer", types.DBCluster{Status: aws.String("available"), DBClusterMembers: []types.DBClusterMember{member("orders-1", false), member("orders-2", true), member("orders-3", false)}},
			Local{Status: "available", Instances: 3, Writer: "orders-2", WriterStatus: "rebooting"}, "orders-2"},
		{"readers", types.DBCluster{Status: aws.String("available"), DBClusterMembers: []types.DBClusterMember{member("orders-1", false)}},
			Local{Status: "available", Instances: 1, Reader: "orders-1", WriterStatus: "rebooting"}, "orders-1"},
		{"no instance", types.DBCluster{Status: aws.String("available")}, Local{Status: "available"}, ""},
		{"cluster at work", types.DBCluster{Status: aws.String("promoting"), DBClusterMembers: []types.DBClusterMember{member("orders-1", true)}},
			Local{Status: "promoting", Instances: 1, Writer: "orders-1"}, ""},
		{"belongs to another", types.DBCluster{Status: aws.String("available"), GlobalClusterIdentifier: aws.String("billing"), ReplicationSourceIdentifier: aws.String(primary), EngineVersion: aws.String("8.0")},
			Local{Status: "available", Global: "billing", Source: primary, Version: "8.0"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &region{}
			tt.cluster.DBClusterArn, tt.want.ARN = aws.String(secondary), secondary
			r.clusters.out = &rds.DescribeDBClustersOutput{DBClusters: []types.DBCluster{tt.cluster}}
			r.instances.out = &rds.DescribeDBInstancesOutput{DBInstances: []types.DBInstance{{DBInstanceStatus: aws.String("rebooting")}}}
			got, err := findLocal(t.Context(), r, secondary, west)
			if err != nil || got != tt.want {
				t.Errorf("%+v, %v, want %+v", got, err, tt.want)
			}
			asked := ""
			for _, in := range r.instances.asks {
				asked += aws.ToString(in.DBInstanceIdentifier)
			}
			if asked != tt.asked {
				t.Errorf("asked about %q, want %q", asked, tt.asked)
			}
		})
	}
}

func TestCheckParameters(t *testing.T) {
	for region, want := range map[string]int{west: 0, east: 1} {
		if got := (FailoverParameters{DBClusterIdentifier: secondary, ClusterRegion: region}).Check(); len(got) != want {
			t.Errorf("%s: %+v, want %d issues", region, got, want)
		}
	}
}
