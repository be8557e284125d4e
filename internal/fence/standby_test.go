package fence

import (
	"strings"
	"testing"

	"dr-orchestrator/internal/action"
)

const nextARN = "arn:aws:rds:us-west-2:111122223333:db:orders-2"

// Only a Required fence asks whether a replica replicates, and only before it is
// begun for that one.
func TestFollows(t *testing.T) {
	required := isolate
	required.Required = true
	dead := Primary{ID: "orders-2", ARN: nextARN, Source: idle.ARN, Replication: "error"}
	forNext := func(word, next string) Primary {
		return with(idle, func(p *Primary) { p.Tags = map[string]string{tagFence: word, tagSuccessor: next} })
	}
	for _, tt := range []struct {
		name      string
		p         Parameters
		next, old Primary
		refused   bool
	}{
		{"it replicates", required, with(dead, func(p *Primary) { p.Replication = "replicating" }), idle, false},
		{"it does not", required, dead, idle, true},
		{"nothing is shown", required, with(dead, func(p *Primary) { p.Replication = "" }), idle, true},
		{"it does not, and the fence is only tried", isolate, dead, idle, false},
		{"promoted", required, with(dead, func(p *Primary) { p.Source, p.Replication = "", "" }), idle, false},
		{"a cluster, of which nothing is shown", required, with(dead, func(p *Primary) { p.Cluster, p.Replication = true, "" }), idle, false},
		{"begun for it", required, dead, forNext(fenceBegun, nextARN), false},
		{"complete for it", required, dead, forNext(fenceComplete, strings.ToUpper(nextARN)), false},
		{"begun for another", required, dead, forNext(fenceBegun, nextARN+"-x"), true},
		{"released of it", required, dead, forNext(fenceReleased, nextARN), true},
	} {
		if err := follows(tt.p, tt.next, tt.old); (err != nil) != tt.refused || err != nil && action.ClassOf(err) != action.Refused {
			t.Errorf("%s: %v, want refused: %t", tt.name, err, tt.refused)
		}
	}
}

func TestGiveBack(t *testing.T) {
	replica := Primary{ID: "orders-2", ARN: nextARN, Source: idle.ARN, Status: "available"}
	primary := with(cluster, func(p *Primary) { p.Global = "g" })
	secondary := Primary{Cluster: true, Global: "g", Members: 1, Status: "available"}
	shown := func(status string) Primary { return with(replica, func(p *Primary) { p.Status = status }) }
	const acts, wait, fail = action.MoveAct, action.MoveWait, action.MoveFail
	const ready, busy, underWay, unknown = action.StateReady, action.StateBusy, action.StateUnderWay, action.StateUnknown
	for _, tt := range []struct {
		name      string
		next, old Primary
		from      action.State
		move      action.Move
		state     action.State
	}{
		{"a replica", replica, idle, ready, acts, ready},
		{"a replica, in other letters", with(replica, func(p *Primary) { p.Source = strings.ToUpper(p.Source) }), idle, ready, acts, ready},
		{"a replica that has failed", shown("failed"), idle, ready, acts, ready},
		{"a replica that is modified", shown("modifying"), idle, ready, wait, busy},
		{"a replica that is modified, on the way", shown("modifying"), idle, underWay, wait, underWay},
		{"a replica at a backup", shown("backing-up"), idle, ready, wait, busy},
		{"a replica of an unknown status", shown("something-new"), idle, ready, wait, unknown},
		{"promoted", with(replica, func(p *Primary) { p.Source = "" }), idle, ready, fail, ready},
		{"promoted, on the way", with(replica, func(p *Primary) { p.Source = "" }), idle, underWay, fail, underWay},
		{"promoted and stopped", with(replica, func(p *Primary) { p.Source, p.Status = "", "stopped" }), idle, ready, fail, ready},
		{"a replica of another", with(replica, func(p *Primary) { p.Source += "-x" }), idle, ready, fail, ready},
		{"a secondary", secondary, primary, ready, acts, ready},
		{"a secondary that takes over", with(secondary, func(p *Primary) { p.Status = "failing-over" }), primary, ready, wait, busy},
		{"the writer", with(secondary, func(p *Primary) { p.Writer = "orders-2-1" }), primary, ready, fail, ready},
		{"a secondary without instances", with(secondary, func(p *Primary) { p.Members = 0 }), primary, ready, fail, ready},
		{"a secondary of another", with(secondary, func(p *Primary) { p.Global = "h" }), primary, ready, fail, ready},
		{"detached", with(secondary, func(p *Primary) { p.Global = "" }), primary, ready, fail, ready},
		{"both alone", with(secondary, func(p *Primary) { p.Global = "" }), cluster, ready, fail, ready},
	} {
		d := giveBack(act(stepRelease, tt.from, "it is tagged as fenced"), tt.next, tt.old)
		if d.Move != tt.move || d.State != tt.state || d.Move == fail && d.Class != action.Refused {
			t.Errorf("%s: move %d from %s %s, want %d from %s (%s)", tt.name, d.Move, d.State, d.Class, tt.move, tt.state, d.Reason)
		}
	}
}

func TestNamedSuccessor(t *testing.T) {
	const account, clusterARN = "111122223333", "arn:aws:rds:us-west-2:111122223333:cluster:orders-2"
	of := func(p Primary, tag string) Primary {
		return with(p, func(p *Primary) { p.Tags = map[string]string{tagSuccessor: tag} })
	}
	for _, tt := range []struct {
		name  string
		old   Primary
		known bool
	}{
		{"an instance of an instance", of(idle, nextARN), true},
		{"a cluster of a cluster", of(cluster, clusterARN), true},
		{"a cluster of an instance", of(idle, clusterARN), false},
		{"an instance of a cluster", of(cluster, nextARN), false},
		{"no tag", idle, false},
		{"no ARN", of(idle, "orders-2"), false},
		{"another account", of(idle, strings.Replace(nextARN, account, "444455556666", 1)), false},
		{"kept by a failback", with(of(idle, nextARN), func(p *Primary) { p.ID = "orders-old-202503010930" }), false},
	} {
		got, err := namedSuccessor(tt.old, account)
		if known := err == nil && got.Resource == "orders-2" && got.Region == "us-west-2"; known != tt.known || err != nil && action.ClassOf(err) != action.Refused {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
}
