package globalcluster

import (
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

// Every status, as the one of the global cluster while the target does not
// take writes, and as the one of the cluster and of the instance while it does.
// A status that is new in the list has to be put here too.
func TestDecideEveryStatus(t *testing.T) {
	type moves struct{ idle, proving move }
	want := map[string]moves{"available": {moveAct, moveFinish}}
	for _, status := range []string{
		"backing-up", "backtracking", "configuring-iam-database-auth", "configuring-log-exports", "creating", "failing-over", "maintenance",
		"migrating", "modifying", "promoting", "rebooting", "renaming", "resetting-master-credentials", "starting", "storage-optimization",
		"switching-over", "update-iam-db-auth", "upgrading",
		"", "something-new", "Available", // unknown
	} {
		want[status] = moves{moveWait, moveWait}
	}
	for _, status := range []string{
		"cloning-failed", "deleting", "failed", "inaccessible-encryption-credentials", "inaccessible-encryption-credentials-recoverable",
		"incompatible-network", "incompatible-parameters", "migration-failed", "stopped", "stopping", "storage-full",
	} {
		want[status] = moves{moveFail, moveFail}
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
				idle := decide(global(status, primary), local("available", "orders-1", "available", 1), to, now)
				if idle.move != want.idle {
					t.Errorf("%s, idle: move %d, want %d", name, idle.move, want.idle)
				}
				cluster := decide(global("available", secondary), local(status, "orders-1", "available", 1), to, now)
				if cluster.move != want.proving {
					t.Errorf("%s, cluster: move %d, want %d", name, cluster.move, want.proving)
				}
				instance := decide(global("available", secondary), local("available", "orders-1", status, 1), to, now)
				if instance.move != want.proving {
					t.Errorf("%s, instance: move %d, want %d", name, instance.move, want.proving)
				}
				for _, d := range []decision{idle, cluster, instance} {
					if (d.move == moveFinish) != (d.state == action.StateDone) || (d.move == moveAct) != (d.state == action.StateReady && d.class == "") {
						t.Errorf("%s: move %d with the state %s", name, d.move, d.state)
					}
					if (d.move == moveFail) != (d.class != "") || d.reason == "" {
						t.Errorf("%s: %+v", name, d)
					}
				}
			}
		})
	}
}

func TestDecideRules(t *testing.T) {
	now := action.Asked{Now: noon}
	up := local("available", "orders-1", "available", 1)
	with := func(g Global, change func(*Global)) Global { change(&g); return g }
	running := func(status, to string) Global {
		return with(global("available", primary), func(g *Global) { g.Failover = &Operation{Status: status, From: primary, To: to} })
	}
	left := with(global("available", primary), func(g *Global) { g.Members = g.Members[:1] })
	resync := with(global("available", primary), func(g *Global) { g.Members[1].Sync = syncResync })
	requested := func(idleFor time.Duration) action.Asked {
		a := action.Asked{Now: noon, Requested: noon.Add(-time.Hour)}
		if idleFor > 0 {
			a.IdleSince = noon.Add(-idleFor)
		}
		return a
	}
	type rows map[string]struct {
		move  move
		class action.Class
	}
	same := func(m move, class action.Class) rows {
		r := rows{}
		for name := range goals {
			r[name] = struct {
				move  move
				class action.Class
			}{m, class}
		}
		return r
	}
	but := func(r rows, name string, m move, class action.Class) rows {
		r[name] = struct {
			move  move
			class action.Class
		}{m, class}
		return r
	}
	for _, tt := range []struct {
		name  string
		g     Global
		local *Local
		asked action.Asked
		want  rows
	}{
		{"idle", global("available", primary), up, now, same(moveAct, "")},
		{"idle, not looked at the target", global("available", primary), nil, now, but(same(moveAct, ""), "detach", moveProve, "")},
		{"writer, not looked at it", global("available", secondary), nil, now, same(moveProve, "")},
		{"writer, all available", global("available", secondary), up, now, same(moveFinish, "")},
		{"writer, global cluster still at work", global("switching-over", secondary), up, now, same(moveWait, "")},
		{"writer, global cluster unknown", global("pondering", secondary), up, now, same(moveWait, "")},
		{"writer, no instance at all", global("available", secondary), local("available", "", "", 0), now, same(moveFail, action.Terminal)},
		{"writer, cluster rebooting", global("available", secondary), local("rebooting", "orders-1", "available", 1), now, same(moveWait, "")},
		{"writer, instance not shown", global("available", secondary), local("available", "orders-1", "", 1), now, same(moveWait, "")},

		{"our operation pending", running("pending", secondary), up, now, same(moveWait, "")},
		{"our operation running", running("failing-over", secondary), up, now, same(moveWait, "")},
		{"our operation being cancelled", running("cancelling", secondary), up, now, same(moveWait, "")},
		{"our operation, roles changed already", with(running("switching-over", secondary), func(g *Global) { g.Members[0].Writer, g.Members[1].Writer = false, true }), up, now, same(moveWait, "")},
		{"another operation", running("pending", "arn:aws:rds:eu-west-1:111122223333:cluster:orders-eu"), up, now, same(moveFail, action.Conflict)},
		{"an operation back to the primary", with(running("switching-over", primary), func(g *Global) { g.Members[0].Writer, g.Members[1].Writer = false, true }), up, now, same(moveFail, action.Conflict)},

		{"pending-resync", resync, up, now, but(rows{}, "planned", moveFail, action.Refused)},

		{"not a member, not looked at it", left, nil, now, but(same(moveProve, ""), "planned", moveFail, action.Refused)},
		{"not a member, not up", left, local("promoting", "orders-1", "available", 1), now, but(same(moveWait, ""), "planned", moveFail, action.Refused)},

		{"asked for and not yet visible", global("available", primary), up, requested(0), same(moveWait, "")},
		{"asked for and invisible for a little", global("available", primary), up, requested(5 * time.Second), same(moveWait, "")},
		{"asked for and never began", global("available", primary), up, requested(10 * time.Minute), same(moveFail, action.Terminal)},
		{"asked for, at work without saying what", global("failing-over", primary), up, requested(0), same(moveWait, "")},
		{"never began by the memo, and yet done", global("available", secondary), up, requested(10 * time.Minute), same(moveFinish, "")},
		{"perhaps asked for", global("available", primary), up, action.Asked{Now: noon, Unsure: true}, same(moveWait, "")},

		{"leaving", global("available", primary), local("promoting", "orders-1", "available", 1), now, but(rows{}, "detach", moveWait, "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, want := range tt.want {
				got := decide(tt.g, tt.local, goals[name], tt.asked)
				if got.move != want.move || got.class != want.class {
					t.Errorf("%s: move %d %s, want %d %s (%s)", name, got.move, got.class, want.move, want.class, got.reason)
				}
			}
		})
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
		{"pending", &types.FailoverState{Status: types.FailoverStatusPending, FromDbClusterArn: aws.String(primary), ToDbClusterArn: aws.String(secondary)}, &Operation{"pending", primary, secondary}},
		{"a status that the model does not have", &types.FailoverState{Status: "switching-over", ToDbClusterArn: aws.String(secondary)}, &Operation{"switching-over", "", secondary}},
		{"no target shown", &types.FailoverState{Status: types.FailoverStatusFailingOver}, &Operation{"failing-over", "", ""}},
		{"no status shown", &types.FailoverState{ToDbClusterArn: aws.String(secondary)}, &Operation{"", "", secondary}},
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

func TestCheckParameters(t *testing.T) {
	for region, want := range map[string]int{west: 0, east: 1} {
		if got := (FailoverParameters{DBClusterIdentifier: secondary, ClusterRegion: region}).Check(); len(got) != want {
			t.Errorf("%s: %+v, want %d issues", region, got, want)
		}
	}
}
