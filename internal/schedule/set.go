// Package schedule turns EventBridge rules and EventBridge Scheduler schedules
// on and off.
package schedule

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedulertypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/payload"
)

// SetParameters are the parameters of SetSchedule.
type SetParameters struct {
	Rules     []string `format:"event-rule" identity:"event-rule" doc:"EventBridge rules, each as NAME or BUS/NAME."`
	Schedules []string `format:"event-schedule" identity:"event-schedule" doc:"EventBridge Scheduler schedules, each as NAME, GROUP/NAME, or GROUP/* for all that are in a group."`
	State     string   `param:"required" enum:"On,Off" doc:"State that all of them are to have."`
	Region    string   `format:"region" doc:"Region of rules and schedules. Without it, the region of the run."`
}

// Check finds parameters that contradict each other.
func (p SetParameters) Check() []payload.Issue {
	if len(p.Rules)+len(p.Schedules) == 0 {
		return []payload.Issue{{Message: "nothing is named", Want: "Rules, Schedules, or both"}}
	}
	return nil
}

// Rules is every call about EventBridge rules.
type Rules interface {
	DescribeRule(context.Context, *eventbridge.DescribeRuleInput, ...func(*eventbridge.Options)) (*eventbridge.DescribeRuleOutput, error)
	EnableRule(context.Context, *eventbridge.EnableRuleInput, ...func(*eventbridge.Options)) (*eventbridge.EnableRuleOutput, error)
	DisableRule(context.Context, *eventbridge.DisableRuleInput, ...func(*eventbridge.Options)) (*eventbridge.DisableRuleOutput, error)
}

// Schedules is every call about EventBridge Scheduler schedules.
type Schedules interface {
	ListSchedules(context.Context, *scheduler.ListSchedulesInput, ...func(*scheduler.Options)) (*scheduler.ListSchedulesOutput, error)
	GetSchedule(context.Context, *scheduler.GetScheduleInput, ...func(*scheduler.Options)) (*scheduler.GetScheduleOutput, error)
	UpdateSchedule(context.Context, *scheduler.UpdateScheduleInput, ...func(*scheduler.Options)) (*scheduler.UpdateScheduleOutput, error)
}

// Setting turns rules and schedules on or off, one with each invocation.
type Setting struct {
	Rules     func(region string) Rules
	Schedules func(region string) Schedules
}

// NewSetting wires the action to AWS.
func NewSetting(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[SetParameters]{
		Reconciler: Setting{
			Rules:     func(region string) Rules { return eventbridge.NewFromConfig(f.Config(region)) },
			Schedules: func(region string) Schedules { return scheduler.NewFromConfig(f.Config(region)) },
		},
		Secrets: secrets, Now: now,
	}
}

// thing is a rule, or a schedule. An update replaces a schedule, so that it is
// held whole; the list of a group knows its state alone.
type thing struct {
	kind, name string
	state      string // On, Off, or what AWS says and nobody here knows
	manager    string // AWS service that made a rule and alone may change it; empty: none
	management bool   // a rule that takes management events besides
	whole      *scheduler.GetScheduleOutput
}

const (
	kindRule     = "rule"
	kindSchedule = "schedule"
)

// allOf ends what names a whole group.
const allOf = "/*"

func (t thing) step() string { return t.kind + " " + t.name }

// on and off are the states as AWS spells them. A rule that takes management
// events besides is on as well.
var states = map[string]string{
	string(ebtypes.RuleStateEnabled):                                  "On",
	string(ebtypes.RuleStateEnabledWithAllCloudtrailManagementEvents): "On",
	string(ebtypes.RuleStateDisabled):                                 "Off",
}

func stateOf(aws string) string { return cmp.Or(states[aws], aws) }

// place splits BUS/NAME or GROUP/NAME; without the first part AWS takes the
// default one.
func place(text string) (in *string, name *string) {
	if i := strings.LastIndex(text, "/"); i >= 0 {
		return aws.String(text[:i]), aws.String(text[i+1:])
	}
	return nil, aws.String(text)
}

func (a Setting) find(ctx context.Context, p SetParameters) ([]thing, error) {
	var all []thing
	for _, rule := range p.Rules {
		bus, name := place(rule)
		out, err := a.Rules(p.Region).DescribeRule(ctx, &eventbridge.DescribeRuleInput{EventBusName: bus, Name: name})
		if err != nil {
			return nil, action.Call("describing rule "+rule+" in "+p.Region, err)
		}
		all = append(all, thing{kind: kindRule, name: rule, state: stateOf(string(out.State)), manager: aws.ToString(out.ManagedBy),
			management: out.State == ebtypes.RuleStateEnabledWithAllCloudtrailManagementEvents})
	}
	seen := map[string]bool{} // as GROUP/NAME: a group may hold what is named besides
	for _, name := range p.Schedules {
		if strings.HasSuffix(name, allOf) {
			continue
		}
		t, err := a.read(ctx, p, name)
		if err != nil {
			return nil, err
		}
		seen[full(name)] = true
		all = append(all, t)
	}
	for _, name := range p.Schedules {
		if group, whole := strings.CutSuffix(name, allOf); whole {
			listed, err := a.list(ctx, p, group)
			if err != nil {
				return nil, err
			}
			all = append(all, slices.DeleteFunc(listed, func(t thing) bool { return seen[t.name] })...)
		}
	}
	return all, nil
}

// full gives the name of a schedule with its group.
func full(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	return "default/" + name
}

// read looks at one schedule.
func (a Setting) read(ctx context.Context, p SetParameters, name string) (thing, error) {
	group, short := place(name)
	out, err := a.Schedules(p.Region).GetSchedule(ctx, &scheduler.GetScheduleInput{GroupName: group, Name: short})
	if err != nil {
		what := "reading schedule " + name + " in " + p.Region
		if group == nil && action.ClassOf(err) == action.NotFound {
			what += " (a group is named as " + name + allOf + ")"
		}
		return thing{}, action.Call(what, err)
	}
	return thing{kind: kindSchedule, name: name, state: stateOf(string(out.State)), whole: out}, nil
}

// list looks at all schedules of a group. A group that is not there is an
// error of AWS; one without any schedule is not.
func (a Setting) list(ctx context.Context, p SetParameters, group string) ([]thing, error) {
	var all []thing
	for in := (&scheduler.ListSchedulesInput{GroupName: aws.String(group)}); ; {
		out, err := a.Schedules(p.Region).ListSchedules(ctx, in)
		if err != nil {
			return nil, action.Call("listing the schedules of the group "+group+" in "+p.Region, err)
		}
		for _, s := range out.Schedules {
			all = append(all, thing{kind: kindSchedule, name: group + "/" + aws.ToString(s.Name), state: stateOf(string(s.State))})
		}
		if aws.ToString(out.NextToken) == "" {
			return all, nil
		}
		in.NextToken = out.NextToken
	}
}

// decide finds the first thing to change; one that waits does not hold the
// others up. Left counts those that are not there yet.
func decide(all []thing, want string, asked func(step string) action.Asked) (d action.Decision, next thing, left int) {
	var waits, acts *action.Decision
	var waiting thing
	for _, t := range all {
		if t.state == want {
			continue
		}
		left++
		one := decideOne(t, want, asked(t.step()))
		switch {
		case one.Move == action.MoveFail:
			return one, t, left
		case one.Move == action.MoveAct && acts == nil:
			acts, next = &one, t
		case one.Move == action.MoveWait && waits == nil:
			waits, waiting = &one, t
		}
	}
	switch {
	case acts != nil:
		return *acts, next, left
	case waits != nil:
		return *waits, waiting, left
	}
	return action.Finish(strings.ToLower(want), "%d rules and schedules are %s", len(all), want), thing{}, 0
}

func decideOne(t thing, want string, asked action.Asked) action.Decision {
	switch {
	case t.manager != "":
		return action.Fail(action.Refused, action.StateUnknown, "managed", "%s was made by %s, which alone may change it", t.step(), t.manager)
	case t.management:
		// EnableRule knows no other state than ENABLED, so that nobody could
		// turn it on again as it was without PutRule, which replaces the rule.
		return action.Fail(action.Refused, action.StateUnknown, "management events", "%s takes management events besides (%s), which would be lost when it is turned on again: set its state with PutRule",
			t.step(), ebtypes.RuleStateEnabledWithAllCloudtrailManagementEvents)
	case t.state != "On" && t.state != "Off":
		return action.Wait(action.StateUnknown, t.state, "%s has the state %q, which is not known here: waiting", t.step(), t.state)
	}
	if d, ok := asked.Idle(); ok {
		return d
	}
	d := action.Act(t.step(), "%s is %s, and is to be %s", t.step(), t.state, want)
	d.Phase = "setting"
	return d
}

func evidence(all []thing) action.Evidence {
	e := action.Evidence{}
	for _, t := range all {
		e[t.step()] = t.state
	}
	return e
}

func regional(p SetParameters, run action.Run) SetParameters {
	p.Region = cmp.Or(p.Region, run.Region)
	return p
}

// Preflight tells whether everything named is there and may be changed.
func (a Setting) Preflight(ctx context.Context, req action.Request[SetParameters]) (action.Readiness, error) {
	p := regional(req.Parameters, req.Run)
	all, err := a.find(ctx, p)
	if err != nil {
		return action.Readiness{}, err
	}
	d, _, _ := decide(all, p.State, func(string) action.Asked { return action.Asked{Now: req.Now} })
	ready := action.Readiness{Observed: d.State, Evidence: evidence(all), Findings: d.Findings()}
	for _, name := range p.Schedules {
		if group, whole := strings.CutSuffix(name, allOf); whole && !slices.ContainsFunc(all, func(t thing) bool { return t.kind == kindSchedule && strings.HasPrefix(full(t.name), group+"/") }) {
			ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: "the group " + group + " in " + p.Region + " holds no schedule"})
		}
	}
	return ready, nil
}

// Reconcile changes one rule or schedule, or waits for those that were. Groups
// are listed each time, so that a schedule that was added meanwhile is set, too.
func (a Setting) Reconcile(ctx context.Context, req action.Request[SetParameters]) (action.Progress, error) {
	p := regional(req.Parameters, req.Run)
	all, err := a.find(ctx, p)
	if err != nil {
		return action.Progress{}, err
	}
	d, next, left := decide(all, p.State, req.Asked)
	if d.Move == action.MoveAct && next.kind == kindSchedule && next.whole == nil {
		if d, next, err = a.closer(ctx, p, d, next); err != nil {
			return action.Progress{}, err
		}
	}
	progress, err := d.Progress(req.Asked(next.step()), evidence(all))
	if err != nil || d.Move != action.MoveAct {
		return progress, err
	}
	progress.WaitSeconds = 1 // it shows at once, and the next one need not wait
	progress.Message = fmt.Sprintf("%s was asked to be %s; %d of %d are not yet", next.step(), p.State, left, len(all))
	return action.Sent(req, progress, action.Mutation("setting "+next.step(), a.set(ctx, p, next, req.Now)))
}

// closer reads a schedule that was only listed, for an update must carry all of
// it over. The list may be behind: of what is not there any more, or already as
// wanted, it has to be asked again.
func (a Setting) closer(ctx context.Context, p SetParameters, d action.Decision, listed thing) (action.Decision, thing, error) {
	t, err := a.read(ctx, p, listed.name)
	switch {
	case err != nil && action.ClassOf(err) == action.NotFound:
		return action.WaitFinal(action.StateBusy, "listing", "%s is in the list of its group, and is not there", listed.step()), listed, nil
	case err != nil:
		return d, listed, err
	case t.state == p.State:
		return action.WaitFinal(action.StateUnderWay, "listing", "%s is %s, and the list of its group does not show it yet", t.step(), t.state), t, nil
	}
	return d, t, nil
}

func (a Setting) set(ctx context.Context, p SetParameters, t thing, now time.Time) error {
	in, name := place(t.name)
	var err error
	switch {
	case t.kind == kindSchedule:
		_, err = a.Schedules(p.Region).UpdateSchedule(ctx, replacement(t.whole, p.State, in, name, now))
	case p.State == "On":
		_, err = a.Rules(p.Region).EnableRule(ctx, &eventbridge.EnableRuleInput{EventBusName: in, Name: name})
	default:
		_, err = a.Rules(p.Region).DisableRule(ctx, &eventbridge.DisableRuleInput{EventBusName: in, Name: name})
	}
	return err
}

// mostPast is how old the start of a schedule may be that EventBridge
// Scheduler still takes.
const mostPast = 5 * time.Minute

// replacement gives a schedule as it is, but for its state: UpdateSchedule puts
// defaults in place of whatever it is not told (EventBridge Scheduler API
// reference). A start in the past is left out, since AWS refuses one; a
// schedule that has begun needs none, except that the beats of a rate count
// anew from this update.
func replacement(old *scheduler.GetScheduleOutput, state string, group, name *string, now time.Time) *scheduler.UpdateScheduleInput {
	in := &scheduler.UpdateScheduleInput{
		Name: name, GroupName: group, State: schedulertypes.ScheduleStateDisabled,
		ActionAfterCompletion: old.ActionAfterCompletion, Description: old.Description, EndDate: old.EndDate, FlexibleTimeWindow: old.FlexibleTimeWindow,
		KmsKeyArn: old.KmsKeyArn, ScheduleExpression: old.ScheduleExpression, ScheduleExpressionTimezone: old.ScheduleExpressionTimezone, Target: old.Target,
	}
	if state == "On" {
		in.State = schedulertypes.ScheduleStateEnabled
	}
	if old.StartDate != nil && now.Sub(*old.StartDate) < mostPast {
		in.StartDate = old.StartDate
	}
	return in
}
