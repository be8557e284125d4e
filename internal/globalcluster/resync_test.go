package globalcluster

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"dr-orchestrator/internal/action"
)

// accepting is a failover to a target that may lack data.
func accepting(method string, limit *int) FailoverParameters {
	p := failoverBy(method, limit)
	p.AcceptUnknownLag = true
	return p
}

// A target that is still being synchronized lacks data, and its lag does not say
// how much: that is refused, with a limit or without, unless it is accepted.
func TestTargetStillSynchronizing(t *testing.T) {
	for _, method := range []string{MethodManaged, MethodDetach} {
		for name, limit := range map[string]*int{"with a limit": aws.Int(10), "without a limit": nil} {
			refused := newMachine(t, failoverBy(method, limit), action.StateReady)
			refused.show(stale)
			if _, class := refused.drive(t); class != action.Refused || refused.mutations() > 0 {
				t.Errorf("%s, %s: %q after %d mutations, want Refused after none", method, name, class, refused.mutations())
			}
			accepted := newMachine(t, accepting(method, limit), action.StateReady)
			accepted.show(stale)
			if answer, class := accepted.drive(t); class != "" || accepted.mutations() != 1 || !strings.Contains(answer.Message, "lag unknown") {
				t.Errorf("%s, %s: %q after %d mutations, want one: %s", method, name, class, accepted.mutations(), answer.Message)
			}
		}
	}
}

// The refusal names what goes on: no other copy may be left.
func TestARefusalForWantOfDataNamesTheWayOn(t *testing.T) {
	m := newMachine(t, failoverBy(MethodManaged, nil), "")
	m.show(stale)
	if got, _ := m.preflight(t); !strings.Contains(got.Findings[0].Message, `AcceptUnknownLag "true"`) {
		t.Errorf("%+v", got.Findings)
	}
}

// A move is done when the writer is proved; what is not protected yet is told.
func TestWhatIsNotProtectedYetIsTold(t *testing.T) {
	for _, parameters := range []any{switchover, failoverBy(MethodManaged, nil)} {
		for sync, want := range map[string]string{"": "", syncResync: primary + " is " + syncResync, "pondering": primary + " is pondering"} {
			m := newMachine(t, parameters, action.StateUnderWay)
			m.show(with(over, func(s *scene) { s.other = sync }))
			answer, class := m.drive(t)
			told, _ := answer.Evidence["notConnected"].(string)
			if class != "" || answer.Status != done || told != want || strings.Contains(answer.Message, "No other region is protected yet") != (want != "") {
				t.Errorf("%T, the other is %q: %q %s, %q, %s", parameters, sync, class, answer.Status, told, answer.Message)
			}
		}
	}
	third := global("available", secondary)
	third.Members[0].Sync = syncResync
	if third.caveat() == "" {
		t.Error("one other, and it is not in sync: nothing is told")
	}
	third.Members = append(third.Members, Member{ARN: "arn:aws:rds:eu-west-1:111122223333:cluster:orders-eu", Sync: syncConnected})
	if got := third.caveat(); got != "" {
		t.Errorf("one of two others is in sync: %s", got)
	}
}
