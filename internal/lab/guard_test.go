package lab

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dr-orchestrator/internal/eventrule"
	"dr-orchestrator/internal/guard"
	"dr-orchestrator/internal/run"
	"dr-orchestrator/internal/steps"
)

// guarded plays a red of twelve minutes in a lab whose guard may start a run
// after three, and gives the account.
func guarded(t testing.TB, spec string) *Account {
	t.Helper()
	trigger := guard.Trigger{Name: "orders", On: guard.OnAlarm, Mode: guard.ModeAutomatic, Payload: "orders", Alarms: []string{"orders-down"},
		SeenForMinutes: 3, Confirm: &guard.Confirm{Endpoint: "https://orders.example.com", Alarm: "second"}}.Normal()
	if problems := trigger.Check(); problems != nil {
		t.Fatal(problems)
	}
	text, err := json.Marshal(trigger)
	if err != nil {
		t.Fatal(err)
	}
	estate := DefaultEstate()
	estate.Payloads = map[string]json.RawMessage{"orders": planned(t, "failover-replica-and-cache.json")}
	clock := NewClock(Epoch)
	a := NewAccount(estate, clock, 1, faultsOf(t, spec))
	pattern, err := json.Marshal(trigger.Pattern("dr-orchestrator"))
	if err != nil {
		t.Fatal(err)
	}
	var decoded map[string]any
	if err := json.Unmarshal(pattern, &decoded); err != nil {
		t.Fatal(err)
	}
	if err := a.AddRules(
		FunctionRule{Region: "us-west-2", Name: "event", Pattern: decoded, Function: steps.GuardTrigger, Target: eventrule.Target{Template: `{"trigger":` + string(text) + `,"event":<aws.events.event.json>}`}},
		FunctionRule{Region: "us-west-2", Name: "again", Schedule: "rate(1 minute)", Function: steps.GuardTrigger, Target: eventrule.Target{Input: `{"trigger":` + string(text) + `}`}},
	); err != nil {
		t.Fatal(err)
	}
	a.AddAlarm(Alarm{Region: "us-west-2", Name: "orders-down", Composite: true, State: AlarmOK})
	a.AddAlarm(Alarm{Region: "us-west-2", Name: "second", State: AlarmRed})
	a.SetEndpoint("https://orders.example.com", false)
	clock.Run(func() {
		clock.Sleep(10 * time.Second)
		a.SetAlarm("us-west-2", "orders-down", AlarmRed)
		clock.Sleep(12 * time.Minute)
	})
	return a
}

// Whatever goes wrong at whichever call of the guard: one run is started, and
// what was decided about it is told.
func TestEveryFaultOfTheGuard(t *testing.T) {
	calm := guarded(t, "")
	if len(calm.Executions()) != 1 {
		t.Fatalf("%d runs without a fault", len(calm.Executions()))
	}
	// The guard's own calls, those of the run left out.
	calls := []string{"cloudwatch:DescribeAlarms", "dynamodb:GetItem", "dynamodb:PutItem", "states:StartExecution", "states:DescribeExecution", "states:ListExecutions", "events:PutEvents", "sns:Publish"}
	var specs []string
	for _, name := range calls {
		if calm.Calls[name] == 0 {
			t.Errorf("the guard does not call %s", name)
		}
		for n := range min(calm.Calls[name], 8) {
			for _, kind := range []FaultKind{Throttle, Broken, Lost, Timeout, Kill} {
				specs = append(specs, fmt.Sprintf("%s@%s#%d", kind, name, n+1))
			}
		}
	}
	for n := range 8 {
		for _, kind := range []FaultKind{Throttle, Broken, Lost, Timeout, Kill, Twice} {
			specs = append(specs, fmt.Sprintf("%s@function:%s#%d", kind, steps.GuardTrigger, n+1))
		}
	}
	for _, spec := range specs {
		a := guarded(t, spec)
		if n := len(a.Executions()); n != 1 {
			t.Errorf("%s: %d runs", spec, n)
		}
		told := slices.ContainsFunc(a.Events(), func(e Event) bool {
			return e.DetailType == run.EventGuardDecision && strings.Contains(e.Detail, ":execution:dr-orchestrator-failover:trigger-orders-")
		}) || slices.ContainsFunc(a.Notices(), func(n Notice) bool {
			return strings.Contains(n.Message, ":execution:dr-orchestrator-failover:trigger-orders-")
		})
		if !told {
			t.Errorf("%s: nobody is told that a run was started", spec)
		}
	}
	t.Logf("%d faults", len(specs))
}

// While the table answers nothing, nothing is started, and a person is told.
func TestGuardWithoutItsMemory(t *testing.T) {
	for _, spec := range []string{"error@dynamodb:GetItem#1-9999", "error@states:ListExecutions#1-9999", "error@states:DescribeExecution#1-9999", "throttle@states:ListExecutions#1-9999"} {
		a := guarded(t, spec)
		if len(a.Executions()) != 0 || !slices.ContainsFunc(a.Notices(), func(n Notice) bool { return strings.HasPrefix(n.Subject, "Failover NOT started") }) {
			t.Errorf("%s: %d runs, %v", spec, len(a.Executions()), a.Notices())
		}
	}
}
