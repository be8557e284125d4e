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
// group in either role. A status that is new in the list has to be put here
// too.
func TestDecideEveryStatus(t *testing.T) {
	const wait, finish, act, fail = action.MoveWait, action.MoveFinish, action.MoveAct, action.MoveFail
	type moves struct{ secondary, primary, group, primaryGroup action.Move }
	want := map[string]moves{
		"available":            {act, finish, act, finish},
		"primary-only":         {fail, finish, fail, fail},
		"create-failed":        {fail, fail, fail, fail},
		"deleted":              {fail, fail, fail, fail},
		"deleting":             {fail, fail, fail, fail},
		"incompatible-network": {fail, fail, fail, fail},
	}
	for _, status := range []string{
		"creating", "modifying", "snapshotting",
		"", "something-new", "Available", // unknown
	} {
		want[status] = moves{wait, wait, wait, wait}
	}
	for status := range conditions {
		if _, ok := want[status]; !ok {
			t.Errorf("status %q has no row here", status)
		}
	}
	asked := action.Asked{Now: noon}
	for status, want := range want {
		t.Run(status, func(t *testing.T) {
			decisions := map[string]action.Decision{
				"secondary":     decide(global(status, east), &Local{Status: statusAvailable}, parameters, asked),
				"primary":       decide(global(status, west), &Local{Status: statusAvailable, Primary: true}, parameters, asked),
				"group":         decide(global(statusAvailable, east), &Local{Status: status}, parameters, asked),
				"primary group": decide(global(statusAvailable, west), &Local{Status: status, Primary: true}, parameters, asked),
			}
			for name, want := range map[string]action.Move{"secondary": want.secondary, "primary": want.primary, "group": want.group, "primary group": want.primaryGroup} {
				d := decisions[name]
				if d.Move != want {
					t.Errorf("%s: move %d, want %d", name, d.Move, want)
				}
				if (d.Move == finish) != (d.State == action.StateDone) || d.Move == act && d.State != action.StateReady {
					t.Errorf("%s: move %d with the state %s", name, d.Move, d.State)
				}
				if (d.Move == fail) != (d.Class != "") || d.Reason == "" {
					t.Errorf("%s: %+v", name, d)
				}
			}
			states := map[action.Condition][2]action.State{
				// A datastore at work may be so for another reason than a failover.
				action.StatusPending: {action.StateBusy, action.StateUnderWay},
				action.StatusUnknown: {action.StateUnknown, action.StateUnknown},
			}
			if want, ok := states[conditions[status]]; ok && (decisions["secondary"].State != want[0] || decisions["primary"].State != want[1]) {
				t.Errorf("the secondary is %s, the primary %s, want %v", decisions["secondary"].State, decisions["primary"].State, want)
			}
		})
	}
}

func TestDecideRules(t *testing.T) {
	now := action.Asked{Now: noon}
	up := &Local{Status: statusAvailable, Primary: true}
	second := &Local{Status: statusAvailable}
	with := func(g Global, change func(*Global)) Global { change(&g); return g }
	member := func(i int, status string) Global {
		return with(global("available", east), func(g *Global) { g.Members[i].Status = status })
	}
	requested := func(idleFor time.Duration) action.Asked {
		a := action.Asked{Now: noon, Requested: noon.Add(-time.Hour)}
		if idleFor > 0 {
			a.IdleSince = noon.Add(-idleFor)
		}
		return a
	}
	const wait, look, finish, act, fail = action.MoveWait, action.MoveLook, action.MoveFinish, action.MoveAct, action.MoveFail
	const ready, busy, underWay, done, unknown = action.StateReady, action.StateBusy, action.StateUnderWay, action.StateDone, action.StateUnknown
	for _, tt := range []struct {
		name  string
		g     Global
		local *Local
		asked action.Asked
		want  action.Move
		state action.State
		class action.Class
	}{
		{"secondary, not looked at its group", global("available", east), nil, now, look, unknown, ""},
		{"secondary, idle", global("available", east), second, now, act, ready, ""},
		{"secondary, its group at work", global("available", east), &Local{Status: "snapshotting"}, now, wait, ready, ""},
		{"secondary, its group deleting", global("available", east), &Local{Status: "deleting"}, now, fail, ready, action.Refused},
		{"secondary, its group unknown", global("available", east), &Local{Status: "pondering"}, now, wait, unknown, ""},
		{"target not a member", with(global("available", east), func(g *Global) { g.Members = g.Members[:1] }), nil, now, fail, unknown, action.Refused},
		{"no members at all", Global{ID: "ldgnf-orders", Status: "available"}, nil, now, fail, unknown, action.Refused},
		{"a group of that name in another region", with(global("available", east), func(g *Global) { g.Members[1].Region = "eu-west-1" }), nil, now, fail, unknown, action.Refused},
		{"target not associated", member(1, "associating"), second, now, wait, ready, ""},
		{"target dissociating", member(1, "disassociating"), second, now, wait, ready, ""},
		// The primary may be what is lost.
		{"primary not associated", member(0, "unavailable"), second, now, act, ready, ""},
		{"another secondary not associated", with(global("available", east), func(g *Global) {
			g.Members = append(g.Members, Member{Group: "orders-eu", Region: "eu-west-1", Status: "disassociating"})
		}), second, now, act, ready, ""},

		{"primary, not looked at its group", global("available", west), nil, now, look, unknown, ""},
		{"primary, all available", global("available", west), up, now, finish, done, ""},
		{"primary, the datastore still at work", global("modifying", west), up, now, wait, underWay, ""},
		{"primary, its own region does not show it", global("available", west), second, now, wait, underWay, ""},
		{"primary, its group at work", global("available", west), &Local{Status: statusModifying, Primary: true}, now, wait, underWay, ""},
		{"primary and the only one left", global("primary-only", west), up, now, finish, done, ""},
		{"the other is the only one left", global("primary-only", east), up, now, fail, unknown, action.Terminal},

		{"asked for and not yet visible", global("available", east), second, requested(0), wait, underWay, ""},
		{"asked for and invisible for a little", global("available", east), second, requested(5*time.Minute - time.Second), wait, underWay, ""},
		{"asked for and never began", global("available", east), second, requested(5 * time.Minute), fail, ready, action.Terminal},
		{"never began by the memo, and yet done", global("available", west), up, requested(10 * time.Minute), finish, done, ""},
		{"perhaps asked for", global("available", east), second, action.Asked{Now: noon, Unsure: true}, wait, ready, ""},
		{"at work", global("modifying", east), nil, requested(0), wait, busy, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := decide(tt.g, tt.local, parameters, tt.asked)
			if got.Move != tt.want || got.State != tt.state || got.Class != tt.class {
				t.Errorf("move %d %s from %s, want %d %s from %s (%s)", got.Move, got.Class, got.State, tt.want, tt.class, tt.state, got.Reason)
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
