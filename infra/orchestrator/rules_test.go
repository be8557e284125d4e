package orchestrator

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/infra/config"
	"dr-orchestrator/internal/guard"
	"dr-orchestrator/internal/lab"
	"dr-orchestrator/internal/run"
	"dr-orchestrator/internal/steps"
)

// triggers are those of the stack whose rules the lab delivers by. It has the
// names that every lab has.
const triggers = `
account: "111122223333"
primary: {region: us-east-1}
secondary:
  region: us-west-2
  triggers:
    - name: orders-down
      on: alarm
      alarms: [orders-unreachable]
      seenForMinutes: 5
      mode: automatic
      payload: orders
      confirm: {endpoint: "https://orders.example.com/", reference: "https://status.example.com/"}
    - {name: canaries, on: alarm, alarmPrefix: canary-, mode: approve, payload: orders, confirm: {alarm: orders-unreachable}}
    - {name: tagged, on: alarm, alarmTag: dr=orders, mode: approve, payload: orders}
    - {name: health, on: health, regions: [us-east-1], services: [RDS], payload: orders}
    - {name: aurora, on: rds, events: [RDS-EVENT-0187], sources: [dbcluster-01], payload: orders}
    - {name: by-hand, on: request, mode: automatic, payload: orders, maxAgeMinutes: 5}
`

const recovery = "us-west-2"

// alarmed is a lab with the rules and the roles of a synthesized template.
type alarmed struct {
	*lab.Account
	t     *testing.T
	clock *lab.Clock
}

// rulesOf reads the rules of a template whose target is one of the functions.
func rulesOf(t *testing.T, tpl template, functions ...string) []lab.FunctionRule {
	t.Helper()
	var all []lab.FunctionRule
	for _, r := range tpl.of(t, "AWS::Events::Rule") {
		p := r.Properties
		id, _ := at(p, "Targets.0.Arn.Fn::GetAtt.0").(string)
		_, function, _ := strings.Cut(tpl.Resources[id].Properties["FunctionName"].(string), prefixOf(tpl)+"-")
		if !slices.Contains(functions, function) || p["State"] == "DISABLED" {
			continue
		}
		rule := lab.FunctionRule{Region: recovery, Name: p["Name"].(string), Function: function}
		rule.Pattern, _ = p["EventPattern"].(object)
		rule.Schedule, _ = p["ScheduleExpression"].(string)
		rule.Target.Input, _ = at(p, "Targets.0.Input").(string)
		rule.Target.Path, _ = at(p, "Targets.0.InputPath").(string)
		if transformer := at(p, "Targets.0.InputTransformer"); transformer != nil {
			rule.Target.Template = at(transformer, "InputTemplate").(string)
			rule.Target.Paths = map[string]string{}
			paths, _ := at(transformer, "InputPathsMap").(object)
			for name, path := range paths {
				rule.Target.Paths[name] = path.(string)
			}
		}
		all = append(all, rule)
	}
	slices.SortFunc(all, func(a, b lab.FunctionRule) int { return strings.Compare(a.Name, b.Name) })
	return all
}

var triggered template

// withTriggers synthesizes the stack of the triggers, once.
func withTriggers(t *testing.T) template {
	t.Helper()
	if triggered.path != "" {
		return triggered
	}
	c, err := config.Parse([]byte(triggers))
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "synth")
	if err != nil {
		t.Fatal(err)
	}
	made["triggers"] = &assembly{folder: folder} // to be removed at the end
	build := built(t, folder)
	facts := Facts(build)
	facts.Regions = Regions()
	if err := c.Check(facts); err != nil {
		t.Fatal(err)
	}
	app := NewApp(folder + "/cdk.out")
	stack := NewStack(app, "secondary", c, c.Secondary, build)
	app.Synth(nil)
	triggered = read(t, folder+"/cdk.out", *stack.StackName())
	return triggered
}

// play runs a story in a lab that has the rules and the roles of the template.
// Everything has to be delivered.
func play(t *testing.T, story func(a alarmed), functions ...string) alarmed {
	t.Helper()
	a := playAs(t, rolesOf(t, withTriggers(t)), story, functions...)
	for _, err := range a.Undelivered() {
		t.Error(err)
	}
	return a
}

// playAs is play with policies of its own.
func playAs(t *testing.T, policies lab.Policies, story func(a alarmed), functions ...string) alarmed {
	t.Helper()
	if len(functions) == 0 {
		functions = []string{steps.GuardTrigger}
	}
	tpl := withTriggers(t)
	log.SetOutput(io.Discard)
	before := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		slog.SetDefault(before)
		log.SetOutput(os.Stderr)
	})
	estate := lab.DefaultEstate()
	text, err := os.ReadFile("../../payloads/failover-three-databases.json")
	if err != nil {
		t.Fatal(err)
	}
	orders := with(t, text, "MaxReplicaLagSeconds", "60", "PromoteRDSReadReplica")
	estate.Payloads = map[string]json.RawMessage{"orders": orders, "failback-orders": orders} // the second is never checked
	clock := lab.NewClock(lab.Epoch)
	a := alarmed{lab.NewAccount(estate, clock, 1, nil), t, clock}
	a.Enforce(policies)
	if err := a.AddRules(rulesOf(t, tpl, functions...)...); err != nil {
		t.Fatal(err)
	}
	a.AddAlarm(lab.Alarm{Region: recovery, Name: "orders-unreachable", Composite: true, State: lab.AlarmOK})
	a.AddAlarm(lab.Alarm{Region: recovery, Name: "canary-a", State: lab.AlarmOK})
	a.AddAlarm(lab.Alarm{Region: recovery, Name: "something-else", State: lab.AlarmOK})
	a.AddAlarm(lab.Alarm{Region: recovery, Name: "with-a-tag", State: lab.AlarmOK, Tags: map[string]string{"dr": "orders"}})
	a.SetEndpoint("https://orders.example.com/", false)
	a.SetEndpoint("https://status.example.com/", true)
	clock.Run(func() {
		clock.Sleep(10 * time.Second) // off the minute, at which the schedules call
		story(a)
	})
	return a
}

func (a alarmed) red(name string)   { a.SetAlarm(recovery, name, lab.AlarmRed) }
func (a alarmed) green(name string) { a.SetAlarm(recovery, name, lab.AlarmOK) }
func (a alarmed) wait(minutes float64) {
	a.clock.Sleep(time.Duration(minutes * float64(time.Minute)))
}

// decisions are what the guard has told EventBridge, as trigger: action, reason.
// That the trigger by tag is not on an alarm it says of every one, and is left
// out.
func (a alarmed) decisions() []string {
	return slices.DeleteFunc(a.everyDecision(), func(d string) bool { return strings.HasPrefix(d, "tagged: ignore, not-") })
}

func (a alarmed) everyDecision() []string {
	all := []string{}
	for _, e := range a.Events() {
		var d guard.Told
		if e.DetailType != run.EventGuardDecision {
			continue
		}
		if err := json.Unmarshal([]byte(e.Detail), &d); err != nil {
			a.t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s: %s, %s", d.Trigger, d.Action, d.Reason))
	}
	return all
}

// memory is what people leave for the guard, as drctl does.
func (a alarmed) memory() guard.Memory {
	return guard.Memory{Table: a.Table(recovery), Name: lab.FunctionPrefix + "locks"}
}

func (a alarmed) now() time.Time { return a.clock.Now() }

// A story, the decisions that it has to lead to, and how many runs begin.
func TestRulesOfTheTemplate(t *testing.T) {
	const orders = "orders-unreachable"
	ctx := context.Background()
	used := map[lab.Use]bool{}
	for _, tt := range []struct {
		name  string
		story func(a alarmed)
		want  []string
		runs  int
		says  string // in the subject of the last message to people; empty: there is none
	}{
		{"a composite alarm that stays red", func(a alarmed) { a.red(orders); a.wait(30) },
			[]string{"orders-down: wait, too-short", "orders-down: start, wanted"}, 1, "Succeeded"},
		{"an alarm that carries the tag", func(a alarmed) { a.red("with-a-tag"); a.wait(3) }, []string{"tagged: ask, wanted"}, 1, "Approval needed"},
		{"an alarm that is not ours", func(a alarmed) { a.red("something-else"); a.wait(30) }, []string{}, 0, ""},
		{"red for too short a time", func(a alarmed) { a.red(orders); a.wait(4); a.green(orders); a.wait(30) },
			[]string{"orders-down: wait, too-short", "orders-down: ignore, not-red"}, 0, ""},
		{"flapping", func(a alarmed) {
			for range 4 {
				a.red(orders)
				a.wait(3)
				a.green(orders)
				a.wait(2)
			}
		}, slices.Repeat([]string{"orders-down: wait, too-short", "orders-down: ignore, not-red"}, 4), 0, ""},
		{"an event that comes three times", func(a alarmed) {
			event := a.SetAlarm(recovery, orders, lab.AlarmRed)
			a.wait(5.5)
			a.Deliver(recovery, event)
			a.Deliver(recovery, event)
			a.wait(20)
			a.Deliver(recovery, event)
			a.wait(1)
		}, nil, 1, "Succeeded"},
		{"an event that was never delivered", func(a alarmed) { a.SetAlarmSilently(recovery, orders, lab.AlarmRed); a.wait(30) },
			[]string{"orders-down: wait, too-short", "orders-down: start, wanted"}, 1, "Succeeded"},
		{"an event that comes after the red has ended", func(a alarmed) {
			event := a.SetAlarmSilently(recovery, orders, lab.AlarmRed)
			a.SetAlarmSilently(recovery, orders, lab.AlarmOK)
			a.Deliver(recovery, event)
			a.wait(30)
		}, []string{"orders-down: ignore, not-red"}, 0, ""},
		{"the endpoint answers", func(a alarmed) {
			a.SetEndpoint("https://orders.example.com/", true)
			a.red(orders)
			a.wait(60)
		}, []string{"orders-down: wait, too-short", "orders-down: notify, unconfirmed", "orders-down: ignore, late"}, 0, "NOT started"},
		{"the endpoint stops answering", func(a alarmed) {
			a.SetEndpoint("https://orders.example.com/", true)
			a.red(orders)
			a.wait(10)
			a.SetEndpoint("https://orders.example.com/", false)
			a.wait(30)
		}, []string{"orders-down: wait, too-short", "orders-down: notify, unconfirmed", "orders-down: start, wanted"}, 1, "Succeeded"},
		{"nothing answers, the reference neither", func(a alarmed) {
			a.SetEndpoint("https://status.example.com/", false)
			a.red(orders)
			a.wait(10)
		}, []string{"orders-down: wait, too-short", "orders-down: notify, unconfirmed"}, 0, "NOT started"},
		{"a cool-down", func(a alarmed) {
			a.red(orders)
			a.wait(20)
			a.green(orders)
			a.wait(1)
			a.red(orders)
			a.wait(30)
		}, []string{"orders-down: wait, too-short", "orders-down: start, wanted", "orders-down: ignore, not-red",
			"orders-down: wait, too-short", "orders-down: notify, cool-down", "orders-down: ignore, late"}, 1, "NOT started"},
		{"a cool-down that is acknowledged", func(a alarmed) {
			a.red(orders)
			a.wait(20)
			a.green(orders)
			a.wait(1)
			a.red(orders)
			a.wait(6)
			if err := a.memory().Acknowledge(ctx, guard.Run{Execution: a.Executions()[0].ARN, Started: a.Executions()[0].Started}, "ann", "seen", a.now()); err != nil {
				a.t.Error(err)
			}
			a.wait(10)
		}, []string{"orders-down: wait, too-short", "orders-down: start, wanted", "orders-down: ignore, not-red",
			"orders-down: wait, too-short", "orders-down: notify, cool-down", "orders-down: start, wanted"}, 2, "Succeeded"},
		{"two runs within the cool-down, acknowledged together", func(a alarmed) {
			a.begin("by-hand-1", `{"Payload":"orders"}`)
			a.wait(10)
			a.begin("by-hand-2", `{"Payload":"orders"}`)
			a.wait(10)
			last := a.Executions()[1]
			if err := a.memory().Acknowledge(ctx, guard.Run{Execution: last.ARN, Started: last.Started}, "ann", "seen", a.now()); err != nil {
				a.t.Error(err)
			}
			a.red(orders)
			a.wait(15)
		}, []string{"orders-down: wait, too-short", "orders-down: start, wanted"}, 3, "Succeeded"},
		{"a plan is no run", func(a alarmed) {
			a.begin("plan-by-hand", `{"Payload":"orders","Options":{"Mode":"plan"}}`)
			a.begin("readiness-orders-1", `{"Payload":"orders","Options":{"Mode":"plan"}}`)
			a.red(orders)
			a.wait(20)
		}, []string{"orders-down: wait, too-short", "orders-down: start, wanted"}, 3, "Succeeded"},
		{"a maintenance", func(a alarmed) {
			if err := a.memory().Declare(ctx, guard.Downtime{Until: a.now().Add(2 * time.Hour), By: "ann", Reason: "patches"}, a.now()); err != nil {
				a.t.Error(err)
			}
			a.red(orders)
			a.wait(60)
		}, []string{"orders-down: wait, too-short", "orders-down: ignore, maintenance", "orders-down: ignore, late"}, 0, ""},
		{"a maintenance that ends", func(a alarmed) {
			if err := a.memory().Declare(ctx, guard.Downtime{Until: a.now().Add(10 * time.Minute), By: "ann", Reason: "patches"}, a.now()); err != nil {
				a.t.Error(err)
			}
			a.red(orders)
			a.wait(30)
		}, []string{"orders-down: wait, too-short", "orders-down: ignore, maintenance", "orders-down: start, wanted"}, 1, "Succeeded"},
		{"by approval, confirmed by another alarm", func(a alarmed) {
			a.SetAlarmSilently(recovery, orders, lab.AlarmRed)
			a.red("canary-a")
			a.wait(3)
		}, []string{"canaries: ask, wanted", "orders-down: wait, too-short"}, 1, "Approval needed"},
		{"by approval, not confirmed", func(a alarmed) { a.red("canary-a"); a.wait(3) }, []string{"canaries: notify, unconfirmed"}, 0, "NOT started"},
		{"AWS Health", func(a alarmed) {
			detail := map[string]any{"service": "RDS", "eventTypeCategory": "issue", "eventTypeCode": "AWS_RDS_OPERATIONAL_ISSUE", "eventRegion": "us-east-1", "statusCode": "open", "eventArn": "arn:aws:health:x::event/RDS/y/z"}
			a.Send(recovery, "aws.health", "AWS Health Event", detail)
			a.wait(1)
			a.Send(recovery, "aws.health", "AWS Health Event", detail) // the same issue, told again
			a.wait(1)
			detail["statusCode"] = "closed"
			a.Send(recovery, "aws.health", "AWS Health Event", detail)
			detail["service"] = "EC2"
			a.Send(recovery, "aws.health", "AWS Health Event", detail)
			a.wait(1)
		}, []string{"health: notify, wanted", "health: ignore, duplicate", "health: ignore, not-red"}, 0, "Failover wanted"},
		{"AWS Health of another region, and of this one", func(a alarmed) {
			for _, region := range []string{"ap-southeast-1", recovery} {
				a.Send(recovery, "aws.health", "AWS Health Event", map[string]any{"service": "RDS", "eventTypeCategory": "issue", "eventTypeCode": "AWS_RDS_OPERATIONAL_ISSUE", "eventRegion": region, "statusCode": "open"})
			}
			a.wait(1)
		}, []string{}, 0, ""},
		{"an event of RDS", func(a alarmed) {
			a.Send(recovery, "aws.rds", "RDS DB Cluster Event", map[string]any{"EventID": "RDS-EVENT-0187", "SourceIdentifier": "dbcluster-01"})
			a.Send(recovery, "aws.rds", "RDS DB Cluster Event", map[string]any{"EventID": "RDS-EVENT-0187", "SourceIdentifier": "other"})
			a.wait(1)
		}, []string{"aurora: notify, wanted"}, 0, "Failover wanted"},
		{"a request", func(a alarmed) {
			a.Send(recovery, "dr-orchestrator.operator", guard.RequestDetailType, map[string]any{"trigger": "by-hand", "reason": "drill"})
			a.Send(recovery, "dr-orchestrator.operator", guard.RequestDetailType, map[string]any{"trigger": "nobody"})
			a.Send(recovery, "somebody", guard.RequestDetailType, map[string]any{"trigger": "by-hand"})
			a.wait(15)
		}, []string{"by-hand: start, wanted"}, 1, "Succeeded"},
		{"a request that comes twice, and late", func(a alarmed) {
			event := a.Send(recovery, "dr-orchestrator.operator", guard.RequestDetailType, map[string]any{"trigger": "by-hand"})
			a.Deliver(recovery, event)
			a.wait(10)
			a.Deliver(recovery, event)
			a.wait(15)
		}, nil, 1, "Succeeded"},
		{"a request that comes late", func(a alarmed) {
			event := strings.Replace(string(a.Send(recovery, "elsewhere", guard.RequestDetailType, map[string]any{"trigger": "by-hand"})), "elsewhere", "dr-orchestrator.operator", 1)
			a.wait(6)
			a.Deliver(recovery, []byte(event))
			a.wait(1)
		}, []string{"by-hand: ignore, late"}, 0, ""},
		{"a run that is stopped", func(a alarmed) {
			a.Send(recovery, "dr-orchestrator.operator", guard.RequestDetailType, map[string]any{"trigger": "by-hand"})
			a.wait(1.5)
			a.Stop(a.Executions()[0])
			a.wait(5)
		}, []string{"by-hand: start, wanted"}, 1, "FailedDirty"},
		{"two requests at once", func(a alarmed) {
			a.Send(recovery, "dr-orchestrator.operator", guard.RequestDetailType, map[string]any{"trigger": "by-hand"})
			a.wait(0.5)
			a.Send(recovery, "dr-orchestrator.operator", guard.RequestDetailType, map[string]any{"trigger": "by-hand"})
			a.wait(15)
		}, []string{"by-hand: start, wanted", "by-hand: notify, running"}, 1, "Succeeded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := play(t, tt.story)
			for use := range a.Used() {
				used[use] = true
			}
			got := a.decisions()
			if tt.want != nil {
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("decisions (-want +got):\n%s", diff)
				}
			}
			if n := len(a.Executions()); n != tt.runs {
				t.Errorf("%d runs began, want %d: %v", n, tt.runs, got)
			}
			last := ""
			if n := a.Notices(); len(n) > 0 {
				last = n[len(n)-1].Subject
			}
			if (last == "") != (tt.says == "") || !strings.Contains(last, tt.says) {
				t.Errorf("the last message is %q, want %q", last, tt.says)
			}
		})
	}
	t.Run("every permission is needed", func(t *testing.T) {
		for use := range readinessStory(t).Used() {
			used[use] = true
		}
		for name, p := range rolesOf(t, withTriggers(t)) {
			for _, action := range p.Actions() {
				if use := (lab.Use{Function: name, Action: action}); ofStories(use) && !used[use] && !slices.Contains(common, action) && action != leaveInQueue.Actions[0] {
					t.Errorf("no story needs %v", use)
				}
			}
		}
	})
}

// An alarm without the tag is a decision, too.
func TestAlarmsWithoutTheTag(t *testing.T) {
	a := play(t, func(a alarmed) { a.red("something-else"); a.wait(3); a.green("something-else"); a.wait(3) })
	if diff := cmp.Diff([]string{"tagged: ignore, not-ours", "tagged: ignore, not-red"}, a.everyDecision()); diff != "" || len(a.Executions()) > 0 {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}

// readinessStory is a day of checks: a plan that is ready, a lag that breaks
// its limit, and goes down again. Two databases stand in no payload.
func readinessStory(t *testing.T) alarmed {
	t.Helper()
	return play(t, func(a alarmed) {
		var replica *lab.Instance
		for _, i := range a.Estate.Instances {
			if i.ID == "rds-mysql-instance-usw2" {
				replica = i
			}
		}
		lag := func(seconds float64) { replica.LagSeconds = &seconds }
		a.wait(70)
		lag(1000)
		a.wait(60)
		lag(1)
		a.wait(60)
	}, steps.CheckPlans)
}

// The checks of an hour are runs that change nothing, people are told once
// when a plan is no longer ready and once when it is again, and what stands in
// no payload is told of.
func TestReadiness(t *testing.T) {
	a := readinessStory(t)
	var told []string
	for _, e := range a.Events() {
		switch e.DetailType {
		case run.EventReadinessChanged:
			var d run.ReadinessChanged
			if err := json.Unmarshal([]byte(e.Detail), &d); err != nil {
				t.Fatal(err)
			}
			told = append(told, fmt.Sprintf("%s: %v", d.Payload, d.Ready))
			if d.Ready == strings.Contains(d.Cause, "lag") {
				t.Errorf("ready: %v, because %q", d.Ready, d.Cause)
			}
		case run.EventUncovered:
			told = append(told, e.Detail)
		}
	}
	uncovered := `{"version":1,"region":"us-west-2","count":3,"resources":["global-cluster/dr-globaldb-cluster-postgres","rds-instance/rds-oracle-instance-usw2","rds-instance/rds-postgres-instance-usw2"]}`
	// What the checks have seen is known at the next one.
	if diff := cmp.Diff([]string{"orders: true", uncovered, uncovered, "orders: false", uncovered, uncovered, "orders: true", uncovered}, told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var subjects []string
	for _, n := range a.Notices() {
		subjects = append(subjects, n.Subject)
	}
	if diff := cmp.Diff([]string{"NOT ready: the plan orders", "Ready again: the plan orders"}, subjects); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if n := len(a.Executions()); n != 6 {
		t.Errorf("%d checks in 190 minutes", n)
	}
	if m := a.Mutations(); len(m) > 0 {
		t.Errorf("the checks have changed something: %v", m)
	}
	ready := 0
	for _, line := range strings.Split(strings.TrimSpace(a.Metrics()), "\n") {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if v, ok := m[run.MetricPlanReady].(float64); ok {
			ready += int(v)
		}
		if _, ok := m[run.MetricRunFailed]; ok {
			t.Errorf("a check counts as a run: %s", line)
		}
	}
	if ready != 4 {
		t.Errorf("%d checks say that the plan is ready, want 4", ready)
	}
}

// roleOf gives the role of a function.
func roleOf(t *testing.T, tpl template, function string) resource {
	t.Helper()
	for _, f := range tpl.of(t, "AWS::Lambda::Function") {
		if strings.HasSuffix(f.Properties["FunctionName"].(string), "-"+function) {
			id, _ := at(f.Properties, "Role.Fn::GetAtt.0").(string)
			return tpl.Resources[id]
		}
	}
	t.Fatalf("there is no function %s", function)
	return resource{}
}

// begin starts a run by hand.
func (a alarmed) begin(name, input string) {
	if _, err := a.Start(recovery, "failover", name, []byte(input)); err != nil {
		a.t.Error(err)
	}
}

// Without each of its permissions the guard starts nothing, or starts the one
// run and tells of it another way.
func TestGuardWithoutAPermission(t *testing.T) {
	for action := range policyOf(t, roleOf(t, withTriggers(t), steps.GuardTrigger)) {
		if slices.Contains(common, action) || action == leaveInQueue.Actions[0] { // that is Lambda's, and not the guard's
			continue
		}
		t.Run(action, func(t *testing.T) {
			policies := rolesOf(t, withTriggers(t))
			policies[steps.GuardTrigger] = policies[steps.GuardTrigger].Without(action)
			a := playAs(t, policies, func(a alarmed) { a.red("orders-unreachable"); a.wait(30) })
			told := slices.ContainsFunc(a.Notices(), func(n lab.Notice) bool { return strings.Contains(n.Subject, "trigger") }) || len(a.decisions()) > 0 || len(a.Undelivered()) > 0
			started := len(a.Executions())
			switch action {
			case "events:PutEvents", "sns:Publish", "cloudwatch:ListTagsForResource":
				if started != 1 || !told {
					t.Errorf("%d runs began, told: %v", started, told)
				}
			default:
				if started != 0 || !told {
					t.Errorf("%d runs began, told: %v", started, told)
				}
			}
		})
	}
}
