package action

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	wait    = Wait(StateBusy, "modifying", "it is %s", "modifying")
	unknown = Wait(StateUnknown, "pondering", "what is %q?", "pondering")
	look    = Look("proving")
	finish  = Finish("promoted", "it is")
	act     = Act("promoting", "it is idle")
	fail    = Fail(Refused, StateReady, "headless", "it has no instance")
)

// Only a finished decision has found the goal reached, only one to act has
// found the resource ready for it, and only a failure has a class.
func TestDecisions(t *testing.T) {
	for _, tt := range []struct {
		name string
		got  Decision
		want Decision
	}{
		{"wait", wait, Decision{Move: MoveWait, State: StateBusy, Phase: "modifying", Reason: "it is modifying"}},
		{"wait in the last phase", WaitFinal(StateUnderWay, "x", "y"), Decision{Move: MoveWait, State: StateUnderWay, Final: true, Phase: "x", Reason: "y"}},
		{"finish", finish, Decision{Move: MoveFinish, State: StateDone, Final: true, Phase: "promoted", Reason: "it is"}},
		{"act", act, Decision{Move: MoveAct, State: StateReady, Phase: "promoting", Reason: "it is idle", Step: "promoting"}},
		{"fail", fail, Decision{Move: MoveFail, State: StateReady, Class: Refused, Phase: "headless", Reason: "it has no instance"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
	if look.Move != MoveLook || look.State != StateUnknown || look.Reason == "" {
		t.Errorf("look: %+v", look)
	}
}

func TestDecisionProgress(t *testing.T) {
	invisible := WaitFinal(StateUnderWay, PhaseInvisible, "nothing runs")
	at := noon.Format(time.RFC3339)
	for _, tt := range []struct {
		name     string
		decision Decision
		asked    Asked
		status   Status
		class    Class
		memo     map[string]string
	}{
		{"wait", wait, Asked{Now: noon}, InProgress, "", map[string]string{memoIdle: ""}},
		{"wait, of a step", wait, Asked{Now: noon, step: "m "}, InProgress, "", map[string]string{"m " + memoIdle: ""}},
		{"invisible", invisible, Asked{Now: noon}, InProgress, "", map[string]string{memoIdle: at}},
		{"invisible for a while", invisible, Asked{Now: noon.Add(time.Minute), IdleSince: noon}, InProgress, "", map[string]string{memoIdle: at}},
		{"look", look, Asked{Now: noon}, InProgress, "", map[string]string{memoIdle: ""}},
		{"finish", finish, Asked{Now: noon}, Done, "", map[string]string{memoIdle: ""}},
		{"act", act, Asked{Now: noon}, InProgress, "", map[string]string{memoIdle: "", memoRequested: at}},
		{"fail", fail, Asked{Now: noon}, InProgress, Refused, map[string]string{memoIdle: ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.decision.Progress(tt.asked, Evidence{"status": "x"})
			if (err != nil) != (tt.class != "") || err != nil && ClassOf(err) != tt.class {
				t.Fatalf("error %v, want class %q", err, tt.class)
			}
			d := tt.decision
			want := Progress{Status: tt.status, Observed: d.State, Phase: d.Phase, Message: d.Reason, Final: d.Final, Evidence: Evidence{"status": "x"}, Memo: tt.memo}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecisionFindings(t *testing.T) {
	for _, tt := range []struct {
		name     string
		decision Decision
		want     []Finding
	}{
		{"wait", wait, []Finding{{Verdict: VerdictWarning, Message: "it is modifying"}}},
		{"wait, nobody knows for what", unknown, []Finding{{Verdict: VerdictBlocked, Class: Refused, Message: `what is "pondering"?`}}},
		{"finish", finish, nil},
		{"act", act, nil},
		{"fail", fail, []Finding{{Verdict: VerdictBlocked, Class: Refused, Message: "it has no instance"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.decision.Findings()); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConditionOf(t *testing.T) {
	list := map[string]Condition{"available": StatusReady, "modifying": StatusPending, "incompatible-mood": StatusPending}
	for status, want := range map[string]Condition{
		"available": StatusReady, "modifying": StatusPending, "pondering": StatusUnknown, "": StatusUnknown, "Available": StatusUnknown,
		"incompatible-something-new": StatusTerminal, "incompatible-mood": StatusPending, "compatible": StatusUnknown, "incompatible": StatusUnknown,
	} {
		if got := ConditionOf(list, status); got != want {
			t.Errorf("%q: %d, want %d", status, got, want)
		}
	}
}
