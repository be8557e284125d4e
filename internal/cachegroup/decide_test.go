package cachegroup

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"

	"dr-orchestrator/internal/action"
)

// global is a global datastore in which one region is the primary.
func global(status, primary string) Global {
	g := Global{ID: "ldgnf-orders", Status: status}
	for _, region := range []string{east, west} {
		g.Members = append(g.Members, Member{Group: "orders-" + region, Region: region, Primary: region == primary, Status: memberAssociated})
	}
	return g
}

// Every status: as the one of the global datastore while the target is a
// secondary and while it is the primary, and as the one of the target's own
// group. A status that is new in the list has to be put here too.
func TestDecideEveryStatus(t *testing.T) {
	type moves struct{ secondary, primary, group move }
	want := map[string]moves{
		"available":     {moveAct, moveFinish, moveFinish},
		"primary-only":  {moveFail, moveFinish, moveFail},
		"create-failed": {moveFail, moveFail, moveFail},
		"deleted":       {moveFail, moveFail, moveFail},
		"deleting":      {moveFail, moveFail, moveFail},
	}
	for _, status := range []string{
		"creating", "modifying", "snapshotting",
		"", "something-new", "Available", // unknown
	} {
		want[status] = moves{moveWait, moveWait, moveWait}
	}
	for status := range conditions {
		if _, ok := want[status]; !ok {
			t.Errorf("status %q has no row here", status)
		}
	}
	asked := action.Asked{Now: noon}
	up := &Local{Status: statusAvailable, Primary: true}
	for status, want := range want {
		t.Run(status, func(t *testing.T) {
			secondary := decide(global(status, east), up, parameters, asked)
			if secondary.move != want.secondary {
				t.Errorf("secondary: move %d, want %d", secondary.move, want.secondary)
			}
			primary := decide(global(status, west), up, parameters, asked)
			if primary.move != want.primary {
				t.Errorf("primary: move %d, want %d", primary.move, want.primary)
			}
			group := decide(global(statusAvailable, west), &Local{Status: status, Primary: true}, parameters, asked)
			if group.move != want.group {
				t.Errorf("group: move %d, want %d", group.move, want.group)
			}
			for _, d := range []decision{secondary, primary, group} {
				if (d.move == moveFinish) != (d.state == action.StateDone) || d.move == moveAct && d.state != action.StateReady {
					t.Errorf("move %d with the state %s", d.move, d.state)
				}
				if (d.move == moveFail) != (d.class != "") || d.reason == "" {
					t.Errorf("%+v", d)
				}
			}
		})
	}
}

func TestDecideRules(t *testing.T) {
	now := action.Asked{Now: noon}
	up := &Local{Status: statusAvailable, Primary: true}
	with := func(g Global, change func(*Global)) Global { change(&g); return g }
	requested := func(idleFor time.Duration) action.Asked {
		a := action.Asked{Now: noon, Requested: noon.Add(-time.Hour)}
		if idleFor > 0 {
			a.IdleSince = noon.Add(-idleFor)
		}
		return a
	}
	for _, tt := range []struct {
		name  string
		g     Global
		local *Local
		asked action.Asked
		want  move
		class action.Class
	}{
		{"secondary, idle", global("available", east), nil, now, moveAct, ""},
		{"target not a member", with(global("available", east), func(g *Global) { g.Members = g.Members[:1] }), nil, now, moveFail, action.Refused},
		{"no members at all", Global{ID: "ldgnf-orders", Status: "available"}, nil, now, moveFail, action.Refused},
		{"a group of that name in another region", with(global("available", east), func(g *Global) { g.Members[1].Region = "eu-west-1" }), nil, now, moveFail, action.Refused},
		{"target not associated", with(global("available", east), func(g *Global) { g.Members[1].Status = "associating" }), nil, now, moveWait, ""},
		{"target dissociating", with(global("available", east), func(g *Global) { g.Members[1].Status = "disassociating" }), nil, now, moveWait, ""},

		{"primary, not looked at its group", global("available", west), nil, now, moveProve, ""},
		{"primary, all available", global("available", west), up, now, moveFinish, ""},
		{"primary, the datastore still at work", global("modifying", west), up, now, moveWait, ""},
		{"primary, its own region does not show it", global("available", west), &Local{Status: statusAvailable}, now, moveWait, ""},
		{"primary, its group at work", global("available", west), &Local{Status: statusModifying, Primary: true}, now, moveWait, ""},
		{"primary and the only one left", global("primary-only", west), up, now, moveFinish, ""},
		{"the other is the only one left", global("primary-only", east), up, now, moveFail, action.Terminal},

		{"asked for and not yet visible", global("available", east), nil, requested(0), moveWait, ""},
		{"asked for and invisible for a little", global("available", east), nil, requested(5 * time.Second), moveWait, ""},
		{"asked for and never began", global("available", east), nil, requested(10 * time.Minute), moveFail, action.Terminal},
		{"never began by the memo, and yet done", global("available", west), up, requested(10 * time.Minute), moveFinish, ""},
		{"perhaps asked for", global("available", east), nil, action.Asked{Now: noon, Unsure: true}, moveWait, ""},
		{"at work", global("modifying", east), nil, requested(0), moveWait, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := decide(tt.g, tt.local, parameters, tt.asked)
			if got.move != tt.want || got.class != tt.class {
				t.Errorf("move %d %s, want %d %s (%s)", got.move, got.class, tt.want, tt.class, got.reason)
			}
		})
	}
}

// Roles come in upper case from AWS and in lower case from its documents.
func TestFindRoles(t *testing.T) {
	for role, want := range map[string]bool{"PRIMARY": true, "primary": true, "Primary": true, "SECONDARY": false, "secondary": false, "": false, "primary-only": false} {
		t.Run(role, func(t *testing.T) {
			m := newMachine(t, "")
			m.show(scene{status: "available", roles: [2]string{"x", role}, group: "available", role: role})
			g, err := findGlobal(t.Context(), m.regions[west], "ldgnf-orders", west)
			if err != nil || len(g.Members) != 2 || g.Members[1].Primary != want {
				t.Errorf("%+v, %v: want primary %t", g.Members, err, want)
			}
			local, err := findLocal(t.Context(), m.regions[west], "orders-west", west)
			if err != nil || local.Primary != want {
				t.Errorf("%+v, %v: want primary %t", local, err, want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	r := &region{}
	if _, err := findGlobal(t.Context(), r, "ldgnf-orders", west); action.ClassOf(err) != action.NotFound {
		t.Errorf("none: %v", err)
	}
	// Without this AWS answers with no members at all.
	if in := r.globals.asks[0]; !aws.ToBool(in.ShowMemberInfo) || aws.ToString(in.GlobalReplicationGroupId) != "ldgnf-orders" {
		t.Errorf("asked for %+v", in)
	}
	if _, err := findLocal(t.Context(), r, "orders", west); action.ClassOf(err) != action.NotFound {
		t.Errorf("no group: %v", err)
	}
	r.groups.out = &elasticache.DescribeReplicationGroupsOutput{ReplicationGroups: []types.ReplicationGroup{{Status: aws.String("available")}}}
	if local, err := findLocal(t.Context(), r, "orders", west); err != nil || local.Primary {
		t.Errorf("a group outside any global datastore: %+v, %v", local, err)
	}
	r.globals.err = coded("GlobalReplicationGroupNotFoundFault")
	if _, err := findGlobal(t.Context(), r, "ldgnf-orders", west); action.ClassOf(err) != action.NotFound {
		t.Errorf("fault: %v", err)
	}
}
