package replica

import (
	"testing"
	"time"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/succession"
)

var pairParameters = SwitchoverParameters{RDSInstanceIdentifier: "orders", TargetClusterIdentifier: replicaARN, SourceRegion: "us-east-1"}

func oracle(change func(i, other *Instance)) (Instance, *Instance) {
	i := Instance{ID: "orders", ARN: replicaARN, Status: statusAvailable, Engine: "oracle-ee", Source: sourceARN, Replication: lag.Replicating, Retention: 7, Mode: "mounted"}
	other := Instance{ID: "orders", ARN: sourceARN, Status: statusAvailable, Engine: "oracle-ee", Replicas: []string{replicaARN}}
	change(&i, &other)
	return i, &other
}

func swapped(i, other *Instance) {
	i.Source, i.Replication, i.Mode, i.Replicas = "", "", "", []string{sourceARN}
	other.Source, other.Replicas = replicaARN, nil
}

// Both instances must be available, before and after.
func TestDecideSwitchoverEveryStatus(t *testing.T) {
	for status, condition := range conditions {
		want := map[action.Condition]action.Move{action.StatusPending: action.MoveWait, action.StatusTerminal: action.MoveFail}[condition]
		for name, set := range map[string]func(i, other *Instance){
			"replica":     func(i, _ *Instance) { i.Status = status },
			"primary":     func(_, other *Instance) { other.Status = status },
			"new primary": func(i, other *Instance) { swapped(i, other); i.Status = status },
			"old primary": func(i, other *Instance) { swapped(i, other); other.Status = status },
		} {
			if condition == action.StatusReady {
				continue // the rules below
			}
			i, other := oracle(set)
			if d := decideSwitchover(i, other, pairParameters, action.Asked{Now: noon}); d.Move != want {
				t.Errorf("%s %s: move %d, want %d (%s)", name, status, d.Move, want, d.Reason)
			}
		}
	}
	i, other := oracle(func(_, other *Instance) { other.Status = "pondering" })
	if d := decideSwitchover(i, other, pairParameters, action.Asked{Now: noon}); d.Move != action.MoveWait || d.State != action.StateUnknown {
		t.Errorf("a status that nobody knows: %+v", d)
	}
}

func TestDecideSwitchoverRules(t *testing.T) {
	now := action.Asked{Now: noon}
	asked := action.Asked{Now: noon, Requested: noon.Add(-time.Minute)}
	never := action.Asked{Now: noon, Requested: noon.Add(-time.Hour), IdleSince: noon.Add(-5 * time.Minute)}
	unsure := action.Asked{Now: noon, Unsure: true}
	const wait, finish, act, fail = action.MoveWait, action.MoveFinish, action.MoveAct, action.MoveFail
	const ready, underWay, done, unknown = action.StateReady, action.StateUnderWay, action.StateDone, action.StateUnknown
	for _, tt := range []struct {
		name   string
		change func(i, other *Instance)
		alone  bool // no other instance is shown
		asked  action.Asked
		want   action.Move
		state  action.State
		class  action.Class
	}{
		{"replica fenced", func(i, _ *Instance) { i.Tags = map[string]string{succession.FenceTag: succession.FenceBegun} }, false, now, fail, unknown, action.Refused},
		{"replica fenced once, and given back", func(i, _ *Instance) { i.Tags = map[string]string{succession.FenceTag: succession.FenceReleased} }, false, now, act, ready, ""},
		{"switched over, and fenced", func(i, other *Instance) {
			swapped(i, other)
			i.Tags = map[string]string{succession.FenceTag: succession.FenceComplete}
		}, false, now, fail, unknown, action.Refused},
		{"idle pair", func(_, _ *Instance) {}, false, now, act, ready, ""},
		{"open read-only", func(i, _ *Instance) { i.Mode = "open-read-only" }, false, now, act, ready, ""},
		{"no mode shown", func(i, _ *Instance) { i.Mode = "" }, false, now, fail, ready, action.Refused},
		{"one day of backups", func(i, _ *Instance) { i.Retention = 1 }, false, now, act, ready, ""},
		{"no backups", func(i, _ *Instance) { i.Retention = 0 }, false, now, fail, ready, action.Refused},
		{"replication stopped", func(i, _ *Instance) { i.Replication = "stopped" }, false, now, fail, ready, action.Refused},
		{"no replication shown", func(i, _ *Instance) { i.Replication = "" }, false, now, fail, ready, action.Refused},
		{"replica in storage-optimization", func(i, _ *Instance) { i.Status = "storage-optimization" }, false, now, wait, ready, ""},
		{"primary in storage-optimization", func(_, other *Instance) { other.Status = "storage-optimization" }, false, now, wait, ready, ""},
		{"standard edition", func(i, _ *Instance) { i.Engine = "oracle-se2" }, false, now, act, ready, ""},
		{"mysql", func(i, _ *Instance) { i.Engine = "mysql" }, false, now, fail, unknown, action.Refused},
		{"no engine shown", func(i, _ *Instance) { i.Engine = "" }, false, now, fail, unknown, action.Refused},
		{"mysql, standing alone", func(i, other *Instance) { swapped(i, other); i.Engine = "mysql" }, false, now, fail, unknown, action.Refused},
		{"another instance", func(i, _ *Instance) { i.ARN = sourceARN }, false, now, fail, unknown, action.InvalidInput},
		{"a source elsewhere", func(_, _ *Instance) {}, true, now, fail, ready, action.InvalidInput},
		{"replica of a replica", func(_, other *Instance) { other.Source = "arn" }, false, now, fail, ready, action.Refused},

		{"asked, not yet visible", func(_, _ *Instance) {}, false, asked, wait, underWay, ""},
		{"asked, never began", func(_, _ *Instance) {}, false, never, fail, ready, action.Terminal},
		{"perhaps asked", func(_, _ *Instance) {}, false, unsure, wait, ready, ""},

		{"changed places", swapped, false, now, finish, done, ""},
		{"changed places, asked long ago", swapped, false, never, finish, done, ""},
		{"changed places, the storage is optimized", func(i, other *Instance) {
			swapped(i, other)
			i.Status, other.Status = "storage-optimization", "storage-optimization"
		}, false, now, finish, done, ""},
		{"the old primary does not follow yet", func(i, other *Instance) { swapped(i, other); other.Source = "" }, false, now, wait, underWay, ""},
		{"the old primary follows another one", func(i, other *Instance) { swapped(i, other); other.Source = "arn" }, false, now, wait, underWay, ""},
		{"alone, asked", swapped, true, asked, wait, underWay, ""},
		{"alone, perhaps asked", swapped, true, unsure, wait, underWay, ""},
		{"alone, never asked", swapped, true, now, fail, ready, action.Refused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i, other := oracle(tt.change)
			if tt.alone {
				other = nil
			}
			got := decideSwitchover(i, other, pairParameters, tt.asked)
			if got.Move != tt.want || got.State != tt.state || got.Class != tt.class {
				t.Errorf("move %d %s from %s, want %d %s from %s (%s)", got.Move, got.Class, got.State, tt.want, tt.class, tt.state, got.Reason)
			}
		})
	}
}

func TestPartner(t *testing.T) {
	for _, tt := range []struct {
		name     string
		source   string
		replicas []string
		want     string
	}{
		{"source", sourceARN, []string{"arn:aws:rds:us-east-1:111122223333:db:cascaded"}, "orders"},
		{"source elsewhere", replicaARN, nil, ""},
		{"source in this region", "orders-1", nil, ""},
		{"replica", "", []string{"local", "arn:aws:rds:eu-west-1:111122223333:db:far", sourceARN}, "orders"},
		{"neither", "", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := partner(Instance{Source: tt.source, Replicas: tt.replicas}, "us-east-1"); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestCheckSwitchoverParameters(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*SwitchoverParameters)
		want   int
	}{
		{"fine", func(*SwitchoverParameters) {}, 0},
		{"another instance", func(p *SwitchoverParameters) { p.RDSInstanceIdentifier = "billing" }, 1},
		{"one region", func(p *SwitchoverParameters) { p.SourceRegion = "us-west-2" }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := pairParameters
			tt.change(&p)
			if issues := p.Check(); len(issues) != tt.want {
				t.Errorf("%+v, want %d", issues, tt.want)
			}
		})
	}
}
