package fence

import (
	"slices"
	"strings"
	"testing"
	"time"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/succession"
)

// Which of two databases takes over has to be shown, by each piece of evidence
// on its own.
func TestSucceeds(t *testing.T) {
	old := with(idle, func(p *Primary) { p.Engine, p.Created = "mysql", noon })
	alone := Primary{ID: "orders-2", ARN: "arn:aws:rds:us-west-2:111122223333:db:orders-2", Status: "available", Engine: "mysql", Created: noon.Add(time.Second),
		Tags: map[string]string{succession.PromotedTag: succession.PromotedNote(old.ARN, noon.Add(time.Hour))}}
	note := func(from string, at time.Time) func(*Primary) {
		return func(p *Primary) {
			p.Tags = map[string]string{succession.PromotedTag: succession.PromotedNote(from, at)}
		}
	}
	noted := func(word string) func(*Primary) {
		return func(p *Primary) {
			tagged(word, open)(p)
			p.Tags[succession.PromotedTag] = alone.Tags[succession.PromotedTag]
		}
	}
	oracle := func(p *Primary) { p.Engine = "oracle-ee" }
	forAlone := func(word string) func(*Primary) {
		return func(p *Primary) { p.Tags = map[string]string{tagFence: word, tagSuccessor: alone.ARN} }
	}
	replica := with(alone, func(p *Primary) { p.Source, p.Created = old.ARN, time.Time{} })
	one := Primary{ID: "orders", ARN: "arn:aws:rds:us-east-1:111122223333:cluster:orders", Status: "available", Engine: "aurora-mysql", Cluster: true, Members: 1, Writer: "orders-1", Global: "g"}
	two := with(one, func(p *Primary) {
		p.ID, p.ARN, p.Writer = "orders-2", "arn:aws:rds:us-west-2:111122223333:cluster:orders-2", ""
	})
	one.Created = noon.Add(-time.Hour)
	apart := with(two, func(p *Primary) {
		p.Global, p.Writer, p.Created = "", "orders-2-1", noon
		p.Tags = map[string]string{succession.Tag: succession.Mark(one.ARN, noon, noon)}
	})
	left := with(one, func(p *Primary) { p.Global = "" })
	forTwo := func(word string) func(*Primary) {
		return func(p *Primary) { p.Tags = map[string]string{tagFence: word, tagSuccessor: two.ARN} }
	}
	for _, tt := range []struct {
		name      string
		next, old Primary
		refused   string // part of the reason; empty: it succeeds
	}{
		{"its replica", replica, old, ""},
		{"its replica, at a backup", with(replica, func(p *Primary) { p.Status = "backing-up" }), old, ""},
		{"a replica of something else", with(replica, func(p *Primary) { p.Source += "x" }), old, "it replicates"},
		{"alone and younger", alone, old, ""},
		{"alone and younger, at the backup after its promotion", with(alone, func(p *Primary) { p.Status = "backing-up" }), old, ""},
		{"alone and as old", with(alone, func(p *Primary) { p.Created = noon }), old, "changed roles"},
		{"alone and older", with(alone, func(p *Primary) { p.Created = noon.Add(-time.Second) }), old, "changed roles"},
		{"alone, its age not shown", with(alone, func(p *Primary) { p.Created = time.Time{} }), old, "does not show when"},
		{"alone, the other's age not shown", alone, with(old, func(p *Primary) { p.Created = time.Time{} }), "does not show when"},
		{"alone and stopped", with(alone, func(p *Primary) { p.Status = "stopped" }), old, "status"},
		{"alone and stopping", with(alone, func(p *Primary) { p.Status = "stopping" }), old, "status"},
		{"alone and being created", with(alone, func(p *Primary) { p.Status = "creating" }), old, "status"},
		{"alone and failed", with(alone, func(p *Primary) { p.Status = "failed" }), old, "status"},
		{"alone, of an unknown status", with(alone, func(p *Primary) { p.Status = "something-new" }), old, "status"},
		{"alone and younger, promoted by nobody that tells", with(alone, func(p *Primary) { p.Tags = nil }), old, "set that tag to"},
		{"promoted from another", with(alone, note(old.ARN+"-2", noon.Add(time.Hour))), old, "set that tag to"},
		{"promoted from one that had the name before", with(alone, note(old.ARN, noon)), old, "set that tag to"},
		{"promoted just after the other was created", with(alone, note(old.ARN, noon.Add(time.Second))), old, ""},
		{"promoted by nobody that tells, and a fence begun for it", with(alone, func(p *Primary) { p.Tags = nil }), with(old, forAlone(fenceBegun)), ""},
		{"promoted by nobody that tells, and a fence for it released", with(alone, func(p *Primary) { p.Tags = nil }), with(old, forAlone(fenceReleased)), "set that tag to"},
		{"promoted by nobody that tells, and a fence begun for another", with(alone, func(p *Primary) { p.ID, p.ARN, p.Tags = "x", p.ARN+"x", nil }), with(old, forAlone(fenceBegun)), "set that tag to"},
		{"Oracle: its replica", with(replica, oracle), with(old, oracle), ""},
		{"Oracle: alone and younger, and promoted from it", with(alone, oracle), with(old, oracle), "keep their age"},
		{"Oracle: a fence begun for it, though it is older", with(with(alone, oracle), func(p *Primary) { p.Created = noon.Add(-time.Hour) }), with(with(old, oracle), forAlone(fenceComplete)), ""},
		{"Oracle: a fence for it released", with(alone, oracle), with(with(old, oracle), forAlone(fenceReleased)), "keep their age"},
		{"fenced itself", with(alone, tagged(fenceComplete, open)), old, "fenced itself"},
		{"about to be fenced itself", with(alone, tagged(fenceBegun, open)), old, "fenced itself"},
		{"fenced once, and released", with(alone, noted(fenceReleased)), old, ""},
		{"another engine", with(alone, func(p *Primary) { p.Engine = "postgres" }), old, "engine"},
		{"engines not shown", with(alone, func(p *Primary) { p.Engine = "" }), with(old, func(p *Primary) { p.Engine = "" }), "engine"},
		{"a member of a cluster", with(alone, func(p *Primary) { p.Parent = "orders" }), old, "member of the cluster"},
		{"the same", old, old, "AWS shows"},
		{"no ARN shown", with(replica, func(p *Primary) { p.ARN = "" }), old, "AWS shows"},

		{"a secondary of the cluster", two, one, ""},
		{"a secondary of the cluster, which has no instance", two, with(one, func(p *Primary) { p.Members, p.Writer = 0, "" }), ""},
		{"a secondary of another", with(two, func(p *Primary) { p.Global = "h" }), one, "global cluster"},
		{"detached from the cluster", apart, one, ""},
		{"detached, and kept as an old primary", with(apart, func(p *Primary) { p.ID = "orders-2-old-202503010930" }), one, "has kept"},
		{"detached, with a name of its own", with(apart, func(p *Primary) { p.ID = "orders-old-2" }), one, ""},
		{"detached, and without a writer", with(apart, func(p *Primary) { p.Writer = "" }), one, "global cluster"},
		{"alone, and not by a detach of ours", with(apart, func(p *Primary) { p.Tags = nil }), one, "no tag"},
		{"detached from another", with(apart, func(p *Primary) { p.Tags = map[string]string{succession.Tag: succession.Mark(one.ARN+"x", noon, noon)} }), one, "no tag"},
		{"detached from one that was made anew since", apart, with(one, func(p *Primary) { p.Created = noon }), "no tag"},
		{"alone, of one that is left alone", apart, left, "global cluster"},
		{"alone, fenced for it", apart, with(left, forTwo(fenceBegun)), ""},
		{"alone, fenced for it for good", apart, with(left, forTwo(fenceComplete)), ""},
		{"alone, fenced for it and released", apart, with(left, forTwo(fenceReleased)), "global cluster"},
		{"alone, fenced for something else", with(apart, func(p *Primary) { p.ARN += "x" }), with(left, forTwo(fenceComplete)), "global cluster"},
		{"the writer of a global cluster, of one that stands alone", with(one, func(p *Primary) { p.ARN = two.ARN }), with(apart, func(p *Primary) { p.ARN = one.ARN }), "global cluster"},
		{"a replica of the cluster outside a global one", with(two, func(p *Primary) { p.Global, p.Source = "", one.ARN }), left, ""},
		{"detached and fenced itself", with(apart, tagged(fenceComplete, open)), one, "fenced itself"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := succeeds(tt.next, tt.old)
			if (err != nil) != (tt.refused != "") || err != nil && (action.ClassOf(err) != action.Refused || !strings.Contains(err.Error(), tt.refused)) {
				t.Errorf("%v, want %q", err, tt.refused)
			}
		})
	}
}

// The groups from before the first fence are what a release gives back.
func TestOriginalGroups(t *testing.T) {
	for _, tt := range []struct {
		name string
		sees Primary
		want string
	}{
		{"never fenced", idle, open},
		{"begun", shut, open},
		{"complete", complete, open},
		{"complete, in other groups", with(complete, func(p *Primary) { p.Groups = []string{other} }), open},
		{"begun, and nothing kept", with(shut, tagged(fenceBegun, "")), closed},
		{"released", with(freed, func(p *Primary) { p.Groups = []string{other} }), other},
	} {
		if got := tt.sees.original(); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%s: %v, want %s", tt.name, got, tt.want)
		}
	}
}
