package globalcluster

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"dr-orchestrator/internal/action"
)

// The lag of a target that is still being synchronized does not say what it
// has not got: with a limit that is refused, without one it goes ahead.
func TestTargetStillSynchronizing(t *testing.T) {
	for _, method := range []string{MethodManaged, MethodDetach} {
		limited := newMachine(t, failoverBy(method, aws.Int(10)), action.StateReady)
		limited.show(stale)
		if _, class := limited.drive(t); class != action.Refused || limited.mutations() > 0 {
			t.Errorf("%s, with a limit: %q after %d mutations, want Refused after none", method, class, limited.mutations())
		}
		unlimited := newMachine(t, failoverBy(method, nil), action.StateReady)
		unlimited.show(stale)
		if _, class := unlimited.drive(t); class != "" || unlimited.mutations() != 1 {
			t.Errorf("%s, without a limit: %q after %d mutations, want one", method, class, unlimited.mutations())
		}
	}
}
