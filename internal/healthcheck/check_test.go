package healthcheck

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/smithy-go"

	"dr-orchestrator/internal/action"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func coded(code string) error { return &smithy.GenericAPIError{Code: code, Message: "said AWS"} }

// watched is CloudWatch and Elastic Load Balancing of a region.
type watched struct {
	metric, composite map[string]cwtypes.StateValue
	targets           map[string][]elbtypes.TargetHealthStateEnum
	err               error
	regions           []string
}

func (w *watched) DescribeAlarms(_ context.Context, in *cloudwatch.DescribeAlarmsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error) {
	out := &cloudwatch.DescribeAlarmsOutput{}
	for _, name := range in.AlarmNames {
		if state, ok := w.metric[name]; ok && slices.Contains(in.AlarmTypes, cwtypes.AlarmTypeMetricAlarm) {
			out.MetricAlarms = append(out.MetricAlarms, cwtypes.MetricAlarm{AlarmName: aws.String(name), StateValue: state})
		}
		if state, ok := w.composite[name]; ok && slices.Contains(in.AlarmTypes, cwtypes.AlarmTypeCompositeAlarm) {
			out.CompositeAlarms = append(out.CompositeAlarms, cwtypes.CompositeAlarm{AlarmName: aws.String(name), StateValue: state})
		}
	}
	return out, w.err
}

func (w *watched) DescribeTargetHealth(_ context.Context, in *elasticloadbalancingv2.DescribeTargetHealthInput, _ ...func(*elasticloadbalancingv2.Options)) (*elasticloadbalancingv2.DescribeTargetHealthOutput, error) {
	states, ok := w.targets[aws.ToString(in.TargetGroupArn)]
	if !ok {
		return nil, coded("TargetGroupNotFound")
	}
	out := &elasticloadbalancingv2.DescribeTargetHealthOutput{TargetHealthDescriptions: []elbtypes.TargetHealthDescription{{}}}
	for _, state := range states {
		out.TargetHealthDescriptions = append(out.TargetHealthDescriptions, elbtypes.TargetHealthDescription{TargetHealth: &elbtypes.TargetHealth{State: state}})
	}
	return out, w.err
}

func (w *watched) check() Check {
	return Check{
		Alarms:  func(region string) Alarms { w.regions = append(w.regions, region); return w },
		Targets: func(region string) Targets { w.regions = append(w.regions, region); return w },
	}
}

const group = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/app/0123456789abcdef"

func TestCheckHealth(t *testing.T) {
	const ok, alarm, none = cwtypes.StateValueOk, cwtypes.StateValueAlarm, cwtypes.StateValueInsufficientData
	const healthy, initial, draining = elbtypes.TargetHealthStateEnumHealthy, elbtypes.TargetHealthStateEnumInitial, elbtypes.TargetHealthStateEnumDraining
	type states = map[string]cwtypes.StateValue
	type targets = map[string][]elbtypes.TargetHealthStateEnum
	alarms := CheckParameters{AlarmNames: []string{"a", "b"}}
	groups := CheckParameters{TargetGroupArns: []string{group}, MinHealthy: 2}
	for _, tt := range []struct {
		name  string
		p     CheckParameters
		w     watched
		ill   string // "" is well
		class action.Class
	}{
		{"all OK", alarms, watched{metric: states{"a": ok, "b": ok}}, "", ""},
		{"a composite one", alarms, watched{metric: states{"a": ok}, composite: states{"b": ok}}, "", ""},
		{"one rings", alarms, watched{metric: states{"a": ok, "b": alarm}}, "b is ALARM", ""},
		{"a composite one rings", alarms, watched{metric: states{"a": ok}, composite: states{"b": alarm}}, "b is ALARM", ""},
		{"one knows nothing", alarms, watched{metric: states{"a": none, "b": ok}}, "a is INSUFFICIENT_DATA", ""},
		{"one is not there", alarms, watched{metric: states{"a": ok}}, "", action.NotFound},
		{"denied", alarms, watched{err: coded("AccessDenied")}, "", action.Denied},
		{"enough healthy targets", groups, watched{targets: targets{group: {healthy, healthy, initial}}}, "", ""},
		{"one too few", groups, watched{targets: targets{group: {healthy, initial, draining}}}, "1 healthy", ""},
		{"no targets", groups, watched{targets: targets{group: nil}}, "0 healthy", ""},
		{"no target group", groups, watched{}, "", action.NotFound},
		{"both, and one is ill", CheckParameters{AlarmNames: []string{"a"}, TargetGroupArns: []string{group}, MinHealthy: 1},
			watched{metric: states{"a": ok}, targets: targets{group: {draining}}}, "0 healthy", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.p
			p.Successes, p.IntervalSeconds = 2, 10
			req := action.Request[CheckParameters]{Run: action.Run{Region: "us-west-2"}, Parameters: p, Now: noon}
			ready, err := tt.w.check().Preflight(t.Context(), req)
			if tt.class != "" {
				if action.ClassOf(err) != tt.class {
					t.Errorf("preflight: %v, want %s", err, tt.class)
				}
				if _, err := tt.w.check().Reconcile(t.Context(), req); action.ClassOf(err) != tt.class {
					t.Errorf("%v, want %s", err, tt.class)
				}
				return
			}
			if err != nil || ready.Verdict() != action.VerdictReady || !strings.Contains(ready.Findings[0].Message, tt.ill) {
				t.Errorf("preflight: %+v, %v", ready, err)
			}
			for look := 1; look <= 2; look++ {
				progress, err := tt.w.check().Reconcile(t.Context(), req)
				done := tt.ill == "" && look == 2
				if err != nil || (progress.Status == action.Done) != done || !strings.Contains(progress.Message, tt.ill) || progress.WaitSeconds != 10 || progress.Changed {
					t.Errorf("look %d: %+v, %v", look, progress, err)
				}
				req.Drive.Memo, req.Now = progress.Memo, req.Now.Add(10*time.Second)
			}
			for _, region := range tt.w.regions {
				if want := map[bool]string{true: "us-west-2", false: "eu-west-1"}[len(p.TargetGroupArns) == 0]; region != want && len(p.AlarmNames) == 0 {
					t.Errorf("asked in %s, want %s", region, want)
				}
			}
		})
	}
}

func TestCheckHealthParameters(t *testing.T) {
	for _, tt := range []struct {
		name   string
		p      CheckParameters
		issues int
	}{
		{"alarms", CheckParameters{AlarmNames: []string{"a"}}, 0},
		{"target groups", CheckParameters{TargetGroupArns: []string{group}}, 0},
		{"nothing", CheckParameters{}, 1},
		{"as many alarms as may be", CheckParameters{AlarmNames: make([]string, 100)}, 0},
		{"one more", CheckParameters{AlarmNames: make([]string, 101)}, 1},
	} {
		if got := tt.p.Check(); len(got) != tt.issues {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
