package dnsrecord

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/action"
)

func TestShares(t *testing.T) {
	for _, tt := range []struct {
		name    string
		from    weights
		percent int
		want    weights
	}{
		{"two sets", weights{"east": 100, "west": 0}, 10, weights{"east": 180, "west": 20}},
		{"all of it", weights{"east": 100, "west": 0}, 100, weights{"east": 0, "west": 200}},
		{"other scale", weights{"east": 255, "west": 0}, 50, weights{"east": 100, "west": 100}},
		{"old proportion", weights{"a": 30, "b": 10, "west": 60}, 60, weights{"a": 60, "b": 20, "west": 120}},
		{"remainders", weights{"a": 1, "b": 1, "c": 1, "west": 0}, 50, weights{"a": 34, "b": 33, "c": 33, "west": 100}},
		{"nobody else", weights{"east": 0, "west": 9}, 100, weights{"east": 0, "west": 200}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.from.share("west", tt.percent)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			// A run that has lost its notes starts from the weights of a step.
			if diff := cmp.Diff(got, got.share("west", tt.percent)); diff != "" {
				t.Errorf("the same share again (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecideShift(t *testing.T) {
	start := weights{"east": 100, "west": 0}
	ten, fifty, all := start.share("west", 10), start.share("west", 50), start.share("west", 100)
	odd := weights{"east": 7, "west": 3}
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	long, short := ago(10*time.Minute), ago(10*time.Second)
	pending, synced, gone := statusPending, statusInSync, statusGone
	for _, tt := range []struct {
		name       string
		first, now weights
		note       shiftNote
		status     *string
		move       action.Move
		step       string
		state      action.State
		class      action.Class
	}{
		{"first look", start, start, shiftNote{fresh: true}, nil, action.MoveWait, "", action.StateReady, ""},
		{"first step", start, start, shiftNote{noted: true}, nil, action.MoveAct, "10% ", action.StateReady, ""},
		{"target does not answer", start, start, shiftNote{noted: true, failures: 1}, nil, action.MoveWait, "", action.StateReady, ""},
		{"target never answered", start, start, shiftNote{noted: true, failures: 3, back: "why", decided: true}, nil, action.MoveFail, "", action.StateReady, action.Refused},
		{"no answer to the call", start, start, shiftNote{noted: true, asked: action.Asked{Unsure: true}}, nil, action.MoveWait, "", action.StateReady, ""},
		{"not visible", start, start, shiftNote{noted: true, asked: action.Asked{Requested: short}}, nil, action.MoveWait, "", action.StateUnderWay, ""},
		{"someone else, before", start, odd, shiftNote{noted: true}, nil, action.MoveFail, "", action.StateReady, action.Refused},
		{"someone else, after", start, odd, shiftNote{noted: true, asked: action.Asked{Requested: long}}, nil, action.MoveFail, "", action.StateUnderWay, action.Conflict},
		{"spreading", start, ten, shiftNote{noted: true, began: true, change: "C1"}, &pending, action.MoveWait, "", action.StateUnderWay, ""},
		{"spreading, not asked", start, ten, shiftNote{noted: true, began: true, change: "C1"}, nil, action.MoveLook, "", action.StateUnknown, ""},
		{"id lost", start, ten, shiftNote{noted: true, began: true}, nil, action.MoveWait, "", action.StateUnderWay, ""},
		{"id unknown to Route 53", start, ten, shiftNote{noted: true, began: true, change: "C1"}, &gone, action.MoveWait, "", action.StateUnderWay, ""},
		{"holding", start, ten, shiftNote{noted: true, began: true, since: ago(time.Minute - time.Second)}, nil, action.MoveWait, "", action.StateUnderWay, ""},
		{"held", start, ten, shiftNote{noted: true, began: true, since: ago(time.Minute)}, nil, action.MoveAct, "50% ", action.StateUnderWay, ""},
		{"held, does not answer", start, ten, shiftNote{noted: true, began: true, failures: 2, since: long}, nil, action.MoveWait, "", action.StateUnderWay, ""},
		{"failed, not noted", start, ten, shiftNote{noted: true, began: true, failures: 3, back: "why"}, nil, action.MoveWait, "", action.StateUnderWay, ""},
		{"failed", start, ten, shiftNote{noted: true, began: true, failures: 3, back: "why", decided: true}, nil, action.MoveAct, stepBack, action.StateUnderWay, ""},
		{"back, spreading", start, start, shiftNote{noted: true, began: true, back: "why", decided: true, change: "C2"}, &pending, action.MoveWait, "", action.StateUnderWay, ""},
		{"back", start, start, shiftNote{noted: true, began: true, back: "why", decided: true, change: "C2", since: noon}, &synced, action.MoveFail, "", action.StateUnderWay, action.Terminal},
		{"last step, spreading", start, all, shiftNote{noted: true, began: true, change: "C3"}, &pending, action.MoveWait, "", action.StateUnderWay, ""},
		{"last step, does not answer", start, all, shiftNote{noted: true, began: true, failures: 1, since: noon}, nil, action.MoveWait, "", action.StateUnderWay, ""},
		{"last step, no hold after it", start, all, shiftNote{noted: true, began: true, since: noon}, nil, action.MoveFinish, "", action.StateDone, ""},
		{"there before the run", all, all, shiftNote{fresh: true}, nil, action.MoveWait, "", action.StateUnderWay, ""},
		{"there long before the run", all, all, shiftNote{fresh: true, since: noon}, nil, action.MoveFinish, "", action.StateDone, ""},
		{"goes on where another run stopped: the hold again", fifty, fifty, shiftNote{fresh: true}, nil, action.MoveWait, "", action.StateUnderWay, ""},
		{"more than a step already", odd, odd, shiftNote{noted: true}, nil, action.MoveAct, "50% ", action.StateReady, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := ShiftParameters{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: "west", Steps: []string{"10", "50", "100"}}
			r, err := newRamp(p, tt.first, tt.now)
			if err != nil {
				t.Fatal(err)
			}
			n := tt.note
			n.first, n.now, n.hold, n.asked.Now = tt.first, noon, time.Minute, noon
			d := decideShift(r, &n, tt.status)
			if d.Move != tt.move || d.Step != tt.step || d.State != tt.state || d.Class != tt.class {
				t.Errorf("%v %q %s %s (%s), want %v %q %s %s", d.Move, d.Step, d.State, d.Class, d.Reason, tt.move, tt.step, tt.state, tt.class)
			}
		})
	}
}

func TestWeightsAreToldInWords(t *testing.T) {
	w := weights{"us-west-2": 0, "us-east-1": 100, "eu": 50}
	if got, want := fmt.Sprintf("%v", w), "eu 50, us-east-1 100, us-west-2 0"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := w.shares(), "eu 33.3 %, us-east-1 66.7 %"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
