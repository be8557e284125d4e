package action

import "testing"

// Of an action that calls nothing that changes, nothing was changed: whatever
// the machine had to fear, and whatever was seen.
func TestReadOnly(t *testing.T) {
	for _, observed := range []State{StateUnknown, StateReady, StateBusy, StateUnderWay, StateDone} {
		for _, before := range []Change{ChangeNo, ChangeUnknown} {
			for _, readOnly := range []bool{true, false} {
				a := adapter(&stub{})
				a.ReadOnly = readOnly
				req := Request[parameters]{Now: noon, Drive: Drive{Changed: before, InterruptedAt: &noon}}
				got, interrupted := a.changed(req, StateReady, Progress{Observed: observed})
				want, since := changed(req.Drive, StateReady, Progress{Observed: observed}, true)
				if readOnly {
					want, since = ChangeNo, nil
				}
				if got != want || interrupted != since {
					t.Errorf("read only %t, %s, %s before: %s, want %s", readOnly, observed, before, got, want)
				}
			}
		}
	}
	a := adapter(&stub{})
	a.ReadOnly = true
	if got, _ := a.changed(Request[parameters]{Drive: Drive{Changed: ChangeUnknown}}, StateReady, Progress{Observed: StateDone}); got != ChangeNo {
		t.Errorf("done after a call without an answer: changed %s", got)
	}
}
