package fence

import (
	"context"
	"strings"
	"testing"
	"time"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/succession"
)

// meter gives one reading, and keeps what it was asked for.
type meter struct {
	says  lag.Reading
	asked []lag.Metric
}

func (m *meter) Read(_ context.Context, of lag.Metric, _ time.Time) lag.Reading {
	m.asked = append(m.asked, of)
	return m.says
}

// A primary that clients are connected to is fenced only while this run, or
// nothing yet, has put something in its place, or where a person says so.
func TestInUse(t *testing.T) {
	const arn = "arn:aws:rds:us-west-2:111122223333:db:orders-2"
	promoted := func(ago time.Duration) Primary {
		return Primary{ID: "orders-2", ARN: arn, Tags: map[string]string{succession.PromotedTag: succession.PromotedNote(idle.ARN, noon.Add(-ago))}}
	}
	apart := Primary{ID: "orders-2", ARN: arn, Cluster: true, Created: noon, Tags: map[string]string{succession.Tag: succession.Mark(cluster.ARN, noon.Add(-time.Hour), noon)}}
	begunForIt := with(idle, func(p *Primary) { p.Tags = map[string]string{tagFence: fenceBegun, tagSuccessor: arn} })
	clients := lag.Reading{Known: true, Lag: 3 * time.Second}
	for _, tt := range []struct {
		name        string
		next, found Primary
		p           Parameters
		says        lag.Reading
		class       action.Class // empty: it may be fenced
		asked       string       // part of the dimension; empty: nothing was asked
	}{
		{"promoted before, clients are connected", promoted(time.Hour), idle, isolate, clients, action.Refused, "DBInstanceIdentifier"},
		{"promoted before, nobody knows", promoted(time.Hour), idle, isolate, lag.Reading{}, action.Refused, "DBInstanceIdentifier"},
		{"promoted before, nobody is connected", promoted(time.Hour), idle, isolate, lag.Reading{Known: true}, "", "DBInstanceIdentifier"},
		{"promoted before, and stopping it", promoted(time.Hour), idle, by(MethodStop), clients, action.Refused, "DBInstanceIdentifier"},
		{"by nobody that tells, clients are connected", Primary{ID: "orders-2", ARN: arn}, idle, isolate, clients, action.Refused, "DBInstanceIdentifier"},
		{"CloudWatch is silent", promoted(time.Hour), idle, isolate, lag.Reading{Err: action.Errorf(action.Unreachable, "silent")}, action.Unreachable, "DBInstanceIdentifier"},
		{"detached before, clients are connected", apart, cluster, isolate, clients, action.Refused, "DBClusterIdentifier"},
		{"it is restarting, and publishes nothing", promoted(time.Hour), with(idle, func(p *Primary) { p.Status = "rebooting" }), isolate, lag.Reading{}, "", "DBInstanceIdentifier"},
		{"it is being modified, clients are connected", promoted(time.Hour), with(idle, func(p *Primary) { p.Status = "modifying" }), isolate, clients, action.Refused, "DBInstanceIdentifier"},
		{"promoted by this run", promoted(0), idle, isolate, clients, "", ""},
		{"its replica", Primary{ID: "orders-2", ARN: arn, Source: idle.ARN}, idle, isolate, clients, "", ""},
		{"its secondary", Primary{ID: "orders-2", ARN: arn, Cluster: true, Global: "g"}, cluster, isolate, clients, "", ""},
		{"a fence was begun for it", promoted(time.Hour), begunForIt, isolate, clients, "", ""},
		{"a fence was begun for another", promoted(time.Hour), with(begunForIt, func(p *Primary) { p.Tags = map[string]string{tagFence: fenceBegun, tagSuccessor: arn + "3"} }), isolate, clients, action.Refused, "DBInstanceIdentifier"},
		{"a person says so", promoted(time.Hour), idle, func() Parameters { p := isolate; p.FenceInUse = true; return p }(), clients, "", ""},
		{"it is stopped", promoted(time.Hour), stopped, isolate, lag.Reading{}, "", ""},
		{"it has no instance", apart, with(cluster, func(p *Primary) { p.Members = 0 }), isolate, lag.Reading{}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &meter{says: tt.says}
			f := Fence{Clients: func(region string) lag.Source {
				if region != isolate.PrimaryRegion {
					t.Errorf("asked in %s", region)
				}
				return m
			}}
			err := f.inUse(t.Context(), action.Request[Parameters]{Parameters: tt.p, Now: noon, Run: action.Run{StartedAt: noon.Add(-time.Minute)}}, sight{next: tt.next, found: tt.found})
			if got := action.ClassOf(err); err != nil && got != tt.class || err == nil && tt.class != "" {
				t.Errorf("%v, want %q", err, tt.class)
			}
			if tt.class == action.Refused && !strings.Contains(err.Error(), "FenceInUse") {
				t.Errorf("%v does not say how to go on", err)
			}
			asked := ""
			for _, of := range m.asked {
				asked += of.Of.Name
			}
			if asked != tt.asked {
				t.Errorf("asked for %q, want %q", asked, tt.asked)
			}
		})
	}
}
