package schedule

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedulertypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/smithy-go"

	"dr-orchestrator/internal/action"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func coded(code string) error { return &smithy.GenericAPIError{Code: code, Message: "said AWS"} }

func TestDecide(t *testing.T) {
	not := func(string) action.Asked { return action.Asked{Now: noon} }
	asked := func(step string) action.Asked {
		a := action.Asked{Now: noon}
		if step == "rule a" {
			a.Requested = noon
		}
		return a
	}
	rule := func(name, state string) thing { return thing{kind: "rule", name: name, state: state} }
	managed := rule("a", "Off")
	managed.manager = "states.amazonaws.com"
	management := rule("a", "On")
	management.management = true
	for _, tt := range []struct {
		name  string
		all   []thing
		asked func(string) action.Asked
		move  action.Move
		next  string
		left  int
	}{
		{"all on", []thing{rule("a", "On"), rule("b", "On")}, not, action.MoveFinish, "", 0},
		{"one off", []thing{rule("a", "On"), rule("b", "Off")}, not, action.MoveAct, "b", 1},
		{"two off", []thing{rule("a", "Off"), rule("b", "Off")}, not, action.MoveAct, "a", 2},
		{"two off, one asked", []thing{rule("a", "Off"), rule("b", "Off")}, asked, action.MoveAct, "b", 2},
		{"one off, and asked", []thing{rule("a", "Off"), rule("b", "On")}, asked, action.MoveWait, "a", 1},
		{"managed by AWS", []thing{managed}, not, action.MoveFail, "a", 1},
		{"something new", []thing{rule("a", "PONDERING")}, not, action.MoveWait, "a", 1},
		{"something new holds nothing up", []thing{rule("a", "PONDERING"), rule("b", "Off")}, not, action.MoveAct, "b", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, next, left := decide(tt.all, "On", tt.asked)
			if d.Move != tt.move || next.name != tt.next || left != tt.left || (d.Move == action.MoveFail) != (d.Class == action.Refused) {
				t.Errorf("%+v of %q with %d left", d, next.name, left)
			}
		})
	}
	// A rule of management events that is turned off could not be turned on again
	// as it was.
	if d, _, _ := decide([]thing{rule("b", "On"), management}, "Off", not); d.Move != action.MoveFail || d.Class != action.Refused || !strings.Contains(d.Reason, "management events") {
		t.Errorf("a rule of management events is turned off: %+v", d)
	}
	if d, _, _ := decide([]thing{management}, "On", not); d.Move != action.MoveFinish {
		t.Errorf("a rule of management events that is as wanted: %+v", d)
	}
	if managed.state = "On"; true {
		if d, _, _ := decide([]thing{managed}, "On", not); d.Move != action.MoveFinish {
			t.Errorf("a rule of AWS that is as wanted: %+v", d)
		}
	}
}

// Every field of a schedule goes into its replacement, whatever fields there
// are to come.
func TestReplacementCarriesEverything(t *testing.T) {
	old := &scheduler.GetScheduleOutput{
		ActionAfterCompletion: schedulertypes.ActionAfterCompletionNone, Description: aws.String("d"), EndDate: aws.Time(noon.AddDate(1, 0, 0)),
		FlexibleTimeWindow: &schedulertypes.FlexibleTimeWindow{Mode: schedulertypes.FlexibleTimeWindowModeOff}, KmsKeyArn: aws.String("k"),
		ScheduleExpression: aws.String("rate(1 hour)"), ScheduleExpressionTimezone: aws.String("Europe/Berlin"), StartDate: aws.Time(noon.Add(time.Hour)),
		State: schedulertypes.ScheduleStateDisabled, Target: &schedulertypes.Target{Arn: aws.String("t")}, GroupName: aws.String("g"), Name: aws.String("n"),
	}
	got := reflect.ValueOf(replacement(old, "On", aws.String("g"), aws.String("n"), noon)).Elem()
	before := reflect.ValueOf(old).Elem()
	for i := range got.NumField() {
		name := got.Type().Field(i).Name
		switch name {
		case "noSmithyDocumentSerde", "ClientToken": // made by the SDK
			continue
		case "State":
			if got.Field(i).String() != "ENABLED" {
				t.Errorf("state %s", got.Field(i))
			}
			continue
		}
		if was := before.FieldByName(name); !was.IsValid() || was.IsZero() || !reflect.DeepEqual(was.Interface(), got.Field(i).Interface()) {
			t.Errorf("%s is not carried over", name)
		}
	}
	for age, kept := range map[time.Duration]bool{-time.Hour: true, mostPast - time.Second: true, mostPast: false, time.Hour: false} {
		old.StartDate = aws.Time(noon.Add(-age))
		if in := replacement(old, "Off", nil, nil, noon); (in.StartDate != nil) != kept || in.State != schedulertypes.ScheduleStateDisabled {
			t.Errorf("a start %s ago: %+v", age, in)
		}
	}
}

// bridge is EventBridge and its Scheduler, with one rule and one schedule, or a
// group of them, listed one on a page.
type bridge struct {
	group    []schedulertypes.ScheduleSummary // of the group nightly
	whole    map[string]schedulertypes.ScheduleState
	rule     ebtypes.RuleState
	schedule schedulertypes.ScheduleState
	err      error
	calls    []string
	updated  []*scheduler.UpdateScheduleInput
}

func (b *bridge) ListSchedules(_ context.Context, in *scheduler.ListSchedulesInput, _ ...func(*scheduler.Options)) (*scheduler.ListSchedulesOutput, error) {
	if *in.GroupName != "nightly" {
		return nil, coded("ResourceNotFoundException")
	}
	out, at := &scheduler.ListSchedulesOutput{}, len(aws.ToString(in.NextToken))
	if at < len(b.group) {
		out.Schedules = b.group[at : at+1]
	}
	if at+1 < len(b.group) {
		out.NextToken = aws.String(strings.Repeat("+", at+1))
	}
	return out, nil
}

func (b *bridge) DescribeRule(_ context.Context, in *eventbridge.DescribeRuleInput, _ ...func(*eventbridge.Options)) (*eventbridge.DescribeRuleOutput, error) {
	if aws.ToString(in.EventBusName) != "bus/of" || *in.Name != "rule" {
		return nil, coded("ResourceNotFoundException")
	}
	return &eventbridge.DescribeRuleOutput{State: b.rule}, nil
}

func (b *bridge) EnableRule(context.Context, *eventbridge.EnableRuleInput, ...func(*eventbridge.Options)) (*eventbridge.EnableRuleOutput, error) {
	b.calls = append(b.calls, "EnableRule")
	return &eventbridge.EnableRuleOutput{}, b.err
}

func (b *bridge) DisableRule(context.Context, *eventbridge.DisableRuleInput, ...func(*eventbridge.Options)) (*eventbridge.DisableRuleOutput, error) {
	b.calls = append(b.calls, "DisableRule")
	return &eventbridge.DisableRuleOutput{}, b.err
}

func (b *bridge) GetSchedule(_ context.Context, in *scheduler.GetScheduleInput, _ ...func(*scheduler.Options)) (*scheduler.GetScheduleOutput, error) {
	if state, ok := b.whole[*in.Name]; ok && aws.ToString(in.GroupName) == "nightly" {
		return &scheduler.GetScheduleOutput{State: state, ScheduleExpression: aws.String("rate(1 hour)")}, nil
	}
	if in.GroupName != nil || *in.Name != "report" {
		return nil, coded("ResourceNotFoundException")
	}
	return &scheduler.GetScheduleOutput{State: b.schedule}, nil
}

func (b *bridge) UpdateSchedule(_ context.Context, in *scheduler.UpdateScheduleInput, _ ...func(*scheduler.Options)) (*scheduler.UpdateScheduleOutput, error) {
	b.calls = append(b.calls, "UpdateSchedule "+string(in.State))
	b.updated = append(b.updated, in)
	return &scheduler.UpdateScheduleOutput{}, b.err
}

func TestReconcile(t *testing.T) {
	const on, all, off = ebtypes.RuleStateEnabled, ebtypes.RuleStateEnabledWithAllCloudtrailManagementEvents, ebtypes.RuleStateDisabled
	const runs, rests = schedulertypes.ScheduleStateEnabled, schedulertypes.ScheduleStateDisabled
	for _, tt := range []struct {
		name     string
		state    string
		rule     ebtypes.RuleState
		schedule schedulertypes.ScheduleState
		err      error
		call     string
		class    action.Class
		done     bool
	}{
		{"rule on", "On", off, runs, nil, "EnableRule", "", false},
		{"rule off", "Off", on, rests, nil, "DisableRule", "", false},
		{"rule with management events off", "Off", all, rests, nil, "", action.Refused, false},
		{"schedule on", "On", on, rests, nil, "UpdateSchedule ENABLED", "", false},
		{"schedule off", "Off", off, runs, nil, "UpdateSchedule DISABLED", "", false},
		{"both off, one at a time", "On", off, rests, nil, "EnableRule", "", false},
		{"on already", "On", all, runs, nil, "", "", true},
		{"off already", "Off", off, rests, nil, "", "", true},
		{"denied", "On", off, runs, coded("AccessDeniedException"), "EnableRule", action.Denied, false},
		{"no answer", "On", on, rests, context.DeadlineExceeded, "UpdateSchedule ENABLED", action.OutcomeUnknown, false},
		{"someone else at the rule", "On", off, runs, coded("ConcurrentModificationException"), "EnableRule", "", false},
		{"someone else at it", "On", on, rests, coded("ConflictException"), "UpdateSchedule ENABLED", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &bridge{rule: tt.rule, schedule: tt.schedule, err: tt.err}
			a := Setting{Rules: func(string) Rules { return b }, Schedules: func(string) Schedules { return b }}
			progress, err := a.Reconcile(t.Context(), action.Request[SetParameters]{Now: noon, Parameters: SetParameters{Rules: []string{"bus/of/rule"}, Schedules: []string{"report"}, State: tt.state}})
			var class action.Class
			if err != nil {
				class = action.ClassOf(err)
			}
			if class != tt.class || (progress.Status == action.Done) != tt.done || len(b.calls) > 1 {
				t.Errorf("%+v, %v after %v", progress, err, b.calls)
			}
			if call := append(b.calls, "")[0]; call != tt.call {
				t.Errorf("called %q, want %q", call, tt.call)
			}
		})
	}
	b := &bridge{}
	a := Setting{Rules: func(string) Rules { return b }, Schedules: func(string) Schedules { return b }}
	for _, p := range []SetParameters{{Rules: []string{"rule"}}, {Schedules: []string{"group/report"}}} {
		if _, err := a.Preflight(t.Context(), action.Request[SetParameters]{Parameters: p}); action.ClassOf(err) != action.NotFound {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

// A group is all that is listed in it, on every page, and what is set is read
// whole before.
func TestReconcileGroup(t *testing.T) {
	const runs, rests = schedulertypes.ScheduleStateEnabled, schedulertypes.ScheduleStateDisabled
	type states = [2]schedulertypes.ScheduleState // of a and b
	for _, tt := range []struct {
		name         string
		names        []string
		listed       states
		whole        map[string]schedulertypes.ScheduleState
		updated      string
		done         bool
		class        action.Class
		observed     action.State
		schedule     schedulertypes.ScheduleState // of report, outside of the group
		wantEvidence int
	}{
		{"the first", []string{"nightly/*"}, states{rests, rests}, map[string]schedulertypes.ScheduleState{"a": rests, "b": rests}, "nightly/a", false, "", action.StateReady, runs, 2},
		{"on the second page", []string{"nightly/*"}, states{runs, rests}, map[string]schedulertypes.ScheduleState{"a": runs, "b": rests}, "nightly/b", false, "", action.StateReady, runs, 2},
		{"all as wanted", []string{"nightly/*"}, states{runs, runs}, nil, "", true, "", action.StateDone, runs, 2},
		{"named besides", []string{"nightly/a", "nightly/*"}, states{rests, rests}, map[string]schedulertypes.ScheduleState{"a": rests, "b": rests}, "nightly/a", false, "", action.StateReady, runs, 2},
		{"with one outside", []string{"nightly/*", "report"}, states{runs, runs}, nil, "/report", false, "", action.StateReady, rests, 3},
		{"gone since it was listed", []string{"nightly/*"}, states{rests, runs}, nil, "", false, "", action.StateBusy, runs, 2},
		{"a list that is behind", []string{"nightly/*"}, states{rests, runs}, map[string]schedulertypes.ScheduleState{"a": runs}, "", false, "", action.StateUnderWay, runs, 2},
		{"no such group", []string{"daily/*"}, states{runs, runs}, nil, "", false, action.NotFound, "", runs, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &bridge{schedule: tt.schedule, whole: tt.whole, group: []schedulertypes.ScheduleSummary{
				{Name: aws.String("a"), State: tt.listed[0]}, {Name: aws.String("b"), State: tt.listed[1]}}}
			a := Setting{Rules: func(string) Rules { return b }, Schedules: func(string) Schedules { return b }}
			progress, err := a.Reconcile(t.Context(), action.Request[SetParameters]{Now: noon, Parameters: SetParameters{Schedules: tt.names, State: "On"}})
			var class action.Class
			if err != nil {
				class = action.ClassOf(err)
			}
			updated := ""
			for _, in := range b.updated {
				updated += aws.ToString(in.GroupName) + "/" + *in.Name
				if in.State != runs || *in.Name != "report" && aws.ToString(in.ScheduleExpression) == "" {
					t.Errorf("updated to %+v", in)
				}
			}
			if class != tt.class || (progress.Status == action.Done) != tt.done || updated != tt.updated || progress.Changed != (tt.updated != "") {
				t.Errorf("updated %q: %+v, %v", updated, progress, err)
			}
			if progress.Observed != tt.observed || len(progress.Evidence) != tt.wantEvidence {
				t.Errorf("observed %q: %v", progress.Observed, progress.Evidence)
			}
		})
	}
}

// What appears in a group while a run sets it is set, too, before it is done.
func TestANewScheduleOfAGroupCounts(t *testing.T) {
	const runs, rests = schedulertypes.ScheduleStateEnabled, schedulertypes.ScheduleStateDisabled
	b := &bridge{whole: map[string]schedulertypes.ScheduleState{"b": rests}, group: []schedulertypes.ScheduleSummary{{Name: aws.String("a"), State: runs}}}
	a := Setting{Rules: func(string) Rules { return b }, Schedules: func(string) Schedules { return b }}
	req := action.Request[SetParameters]{Now: noon, Parameters: SetParameters{Schedules: []string{"nightly/*"}, State: "On"}}
	for _, done := range []bool{true, false} {
		progress, err := a.Reconcile(t.Context(), req)
		if err != nil || (progress.Status == action.Done) != done || len(b.updated) != map[bool]int{true: 0, false: 1}[done] {
			t.Errorf("%d in the group: %+v, %v", len(b.group), progress, err)
		}
		b.group = append(b.group, schedulertypes.ScheduleSummary{Name: aws.String("b"), State: rests})
	}
}

// A group without any schedule stops nothing, and is told.
func TestAnEmptyGroupIsTold(t *testing.T) {
	for listed, want := range map[string]action.Verdict{"": action.VerdictWarning, "a": action.VerdictDone} {
		b := &bridge{}
		if listed != "" {
			b.group = []schedulertypes.ScheduleSummary{{Name: aws.String(listed), State: schedulertypes.ScheduleStateEnabled}}
		}
		a := Setting{Rules: func(string) Rules { return b }, Schedules: func(string) Schedules { return b }}
		ready, err := a.Preflight(t.Context(), action.Request[SetParameters]{Parameters: SetParameters{Schedules: []string{"nightly/*"}, State: "On"}})
		if err != nil || ready.Verdict() != want {
			t.Errorf("with %q: %+v, %v", listed, ready, err)
		}
	}
}

// Who names a group as if it were a schedule is told how.
func TestAGroupNamedAsASchedule(t *testing.T) {
	b := &bridge{}
	a := Setting{Rules: func(string) Rules { return b }, Schedules: func(string) Schedules { return b }}
	_, err := a.Preflight(t.Context(), action.Request[SetParameters]{Parameters: SetParameters{Schedules: []string{"nightly"}, State: "On"}})
	if err == nil || !strings.Contains(err.Error(), "nightly/*") {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	if got := (SetParameters{}).Check(); len(got) != 1 {
		t.Errorf("nothing is named: %v", got)
	}
	if got := (SetParameters{Schedules: []string{"a"}}).Check(); len(got) != 0 {
		t.Errorf("a schedule: %v", got)
	}
}
