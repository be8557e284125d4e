package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/console"
	"dr-orchestrator/internal/emf"
	"dr-orchestrator/internal/run"
)

// Input is what the rules send: a trigger and the event that it is on, or the
// trigger alone when it is time to look again.
type Input struct {
	Trigger Trigger         `json:"trigger"`
	Event   json.RawMessage `json:"event,omitempty"`
}

// Output is the answer: what was decided about each subject.
type Output struct {
	Decisions []Told `json:"decisions"`
}

// Told is one decision, as the event Guard Decision carries it.
type Told struct {
	Version   int       `json:"version"`
	Trigger   string    `json:"trigger"`
	On        string    `json:"on"`
	Mode      Mode      `json:"mode"`
	Payload   string    `json:"payload"`
	Region    string    `json:"region"`
	Action    Action    `json:"action"`
	Reason    Reason    `json:"reason"`
	Why       string    `json:"why"`
	Subject   string    `json:"subject"`
	Since     time.Time `json:"since"`
	Execution string    `json:"execution"` // ARN of the run that was started; empty: none
}

// Executions is every call to Step Functions that the guard makes.
type Executions interface {
	StartExecution(context.Context, *sfn.StartExecutionInput, ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error)
	DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error)
	ListExecutions(context.Context, *sfn.ListExecutionsInput, ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error)
}

// Guard decides about triggers, and acts on it.
type Guard struct {
	Region     string
	Machines   string // begins the ARN of every state machine
	Topic      string // ARN; empty: nobody is told but EventBridge
	Memory     Memory
	Alarms     Alarms
	Executions Executions
	Events     run.Events
	Notices    run.Notices
	Prober     Prober
	Now        func() time.Time
	Deployment string
	Metrics    io.Writer // nil: none are written
}

// New wires the guard to AWS.
func New(f *client.Factory, env run.Environment, now func() time.Time) lambda.Handler {
	return NewWith(f, env, now, Network{})
}

// NewWith wires the guard to AWS, with a network of its own for probes.
func NewWith(f *client.Factory, env run.Environment, now func() time.Time, p Prober) lambda.Handler {
	cfg := f.Config("")
	g := Guard{
		Region: f.Region, Machines: env.MachinePrefix, Topic: env.Topic, Memory: Memory{Table: dynamodb.NewFromConfig(cfg), Name: env.LockTable},
		Alarms: cloudwatch.NewFromConfig(cfg), Executions: sfn.NewFromConfig(cfg), Events: eventbridge.NewFromConfig(cfg), Notices: sns.NewFromConfig(cfg),
		Prober: p, Now: now, Deployment: env.Deployment(), Metrics: env.Metrics,
	}
	return action.Step[Input, Output](g.Decide)
}

// Decide is the function: it looks, decides, acts and tells. It may be invoked
// any number of times about the same event.
func (g Guard) Decide(ctx context.Context, in Input) (Output, error) {
	out := Output{Decisions: []Told{}}
	t := in.Trigger.Normal()
	if problems := t.Check(); len(problems) > 0 {
		return out, action.Errorf(action.InvalidInput, "the trigger is not right: %s", strings.Join(problems, "; "))
	}
	subjects, err := g.subjects(ctx, t, in.Event)
	if err != nil {
		return out, err
	}
	var failed []error
	for _, s := range subjects {
		told, err := g.judge(ctx, t, s, len(in.Event) == 0)
		failed = append(failed, err)
		if told != nil {
			out.Decisions = append(out.Decisions, *told)
		}
	}
	return out, errors.Join(failed...)
}

// judge decides about one subject. When it is looked at again, and the
// decision is the one of before, there is nothing to tell.
func (g Guard) judge(ctx context.Context, t Trigger, s seen, again bool) (*Told, error) {
	facts := g.facts(ctx, t, s)
	if again && facts.Last.final() {
		return nil, nil
	}
	d := decide(t, facts, g.Now())
	if d.Action == look {
		facts.Confirmation = g.confirm(ctx, t)
		d = decide(t, facts, g.Now())
	}
	execution := facts.Started
	var failed error
	if (d.Action == Start || d.Action == Ask) && execution == "" {
		d, execution, failed = g.start(ctx, t, s.Subject, d)
	}
	if again && (d.Reason == facts.Last || d.Reason == Duplicate) {
		return nil, nil // of a start that failed, too: the next look tries again
	}
	told := Told{
		Version: run.EventVersion, Trigger: t.Name, On: t.On, Mode: t.Mode, Payload: t.Payload, Region: g.Region,
		Action: d.Action, Reason: d.Reason, Why: d.Why, Subject: s.ID, Since: s.Since.UTC(), Execution: execution,
	}
	isNew := told.Reason != facts.Last && told.Reason != Duplicate
	about := execution
	if r := facts.standing(t, g.Now()); r != nil && (d.Reason == Running || d.Reason == CoolDown) {
		about = r.Execution
	}
	if err := g.tell(ctx, t, told, about, isNew); err != nil {
		return &told, errors.Join(failed, err)
	}
	// Only what was told is noted, so that nothing is noted and not told. What
	// was not noted is told once more at the next look.
	if s.Red && isNew {
		if err := g.Memory.remember(ctx, t.Name, s.ID, told.Reason, g.Now()); err != nil {
			slog.WarnContext(ctx, "the decision was not noted", "error", err.Error())
		}
	}
	return &told, failed
}

// name is the name of the run of a subject: with it, whatever is delivered
// twice starts one run.
func name(t Trigger, s Subject) string { return "trigger-" + t.Name + "-" + digest(s.ID) }

func (g Guard) machine(name string) string { return g.Machines + name }

func (g Guard) execution(name string) string {
	return strings.Replace(g.machine(catalog.Failover), ":stateMachine:", ":execution:", 1) + ":" + name
}

// liveAlias is the alias that executions are started by.
const liveAlias = ":live"

// start starts the run that was decided on, and gives what came of it: the
// decision, and the ARN of the run. Of two occurrences that are decided about
// at once neither sees the run of the other, and ListExecutions may not show it
// for a while: so the start is claimed first.
func (g Guard) start(ctx context.Context, t Trigger, s Subject, d Decision) (Decision, string, error) {
	id := g.execution(name(t, s))
	failed := func(err error) (Decision, string, error) {
		return Decision{Notify, StartFailed, d.Why + "; and the run could not be started: " + err.Error()}, "", err
	}
	other, err := g.Memory.claim(ctx, id, g.Now())
	if err != nil {
		return failed(err)
	}
	if other != "" {
		return Decision{Notify, Running, fmt.Sprintf("%s; a run is being started: %s", s.What, other)}, "", nil
	}
	_, err = g.Executions.StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: aws.String(g.machine(catalog.Failover) + liveAlias), Name: aws.String(name(t, s)), Input: aws.String(input(t)),
	})
	var exists *sfntypes.ExecutionAlreadyExists
	if err != nil && !errors.As(err, &exists) {
		return failed(action.Mutation("starting the run", err))
	}
	return d, id, nil
}

// input is what the run is started with. It is the same each time, for
// duplicates to be known as such.
func input(t Trigger) string {
	options := map[string]any{"Mode": "run", "Approval": t.Mode == ModeApprove}
	if t.Disaster {
		options["Disaster"] = true
	}
	text, err := json.Marshal(map[string]any{"Payload": t.Payload, "Options": options})
	if err != nil {
		panic(err) // plain data
	}
	return string(text)
}

// tell makes a decision known: a line of the log and an event, always, and a
// message to people where there is something for them to know that they have
// not been told. That one of the two did not go out is no error while the
// other did.
func (g Guard) tell(ctx context.Context, t Trigger, d Told, about string, isNew bool) error {
	slog.InfoContext(ctx, "guard decision", "trigger", d.Trigger, "action", d.Action, "reason", d.Reason, "why", d.Why, "subject", d.Subject, "execution", d.Execution)
	if err := emf.Write(g.Metrics, emf.Line{
		Namespace: run.MetricNamespace, Time: g.Now(), Sets: [][]string{{run.DimensionDeployment, run.DimensionTrigger, run.DimensionAction}},
		Values:  map[string]string{run.DimensionDeployment: g.Deployment, run.DimensionTrigger: d.Trigger, run.DimensionAction: string(d.Action), "reason": string(d.Reason)},
		Metrics: []emf.Metric{{Name: run.MetricDecisions, Unit: emf.Count, Value: 1}},
	}); err != nil {
		slog.WarnContext(ctx, "the metrics were not written", "error", err.Error())
	}
	missed := action.Call("sending the event", run.Send(ctx, g.Events, run.Entry{DetailType: run.EventGuardDecision, Detail: d, Resource: d.Execution, Time: g.Now()}))
	if g.Topic == "" || !isNew || d.Action == Ignore || d.Action == Wait {
		return missed
	}
	_, err := g.Notices.Publish(ctx, &sns.PublishInput{
		TopicArn: aws.String(g.Topic), Subject: aws.String(run.Subject(headline(d))), Message: aws.String(g.message(t, d, about)),
	})
	if err != nil && missed != nil {
		return action.Call("telling of the decision", err)
	}
	return nil
}

// headline says in a few words what happened.
func headline(d Told) string {
	switch {
	case d.Action == Start:
		return "Failover STARTED by the trigger " + d.Trigger
	case d.Action == Ask:
		return "Failover waits for approval: trigger " + d.Trigger
	case d.Reason == Wanted:
		return "Failover wanted: trigger " + d.Trigger
	}
	return "Failover NOT started: trigger " + d.Trigger
}

// ofDeployment is what the commands of drctl want that are given no ARN.
func (g Guard) ofDeployment() string {
	const byDefault = "dr-orchestrator"
	if g.Deployment == byDefault {
		return " --region " + g.Region
	}
	return " --region " + g.Region + " --name " + g.Deployment
}

// message tells a person what happened, and the commands that go on from there,
// with links for who has no terminal. about is the ARN of the run that was
// started, or is in the way; empty: there is none.
func (g Guard) message(t Trigger, d Told, about string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s)\n%s\n", headline(d), d.Region, d.Why)
	if about != "" {
		fmt.Fprintf(&b, "\n%s\n%s\n", about, console.Execution(about))
	}
	command := func(what, line string) { fmt.Fprintf(&b, "\n%s:\n  %s\n", what, line) }
	switch {
	case d.Action == Start:
		command("Stop it", "drctl stop "+d.Execution)
	case d.Action == Ask:
		command("Let it go on", "drctl approve "+d.Execution)
		command("End it", "drctl decline "+d.Execution+" --reason WHY")
	default:
		command("Start it", fmt.Sprintf("aws stepfunctions start-execution --region %s --state-machine-arn %s --input '%s'", d.Region, g.machine(catalog.Failover)+liveAlias, input(t)))
		command("or there, with what stands behind --input", console.Machine(g.machine(catalog.Failover)))
		command("Keep triggers quiet", "drctl downtime --for 2h --reason WHY"+g.ofDeployment())
	}
	if d.Reason == CoolDown {
		command("End the cool-down", "drctl acknowledge "+about)
	}
	return b.String()
}
