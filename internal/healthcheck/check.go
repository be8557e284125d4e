// Package healthcheck reads and steers what says whether an application is
// well: CloudWatch alarms, target groups, and Route 53 health checks.
package healthcheck

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/payload"
)

// CheckParameters are the parameters of CheckHealth.
type CheckParameters struct {
	AlarmNames      []string `format:"alarm-name" doc:"Names of CloudWatch alarms, metric or composite, that must all be OK."`
	TargetGroupArns []string `format:"target-group-arn" doc:"ARNs of target groups of Elastic Load Balancing."`
	MinHealthy      int      `min:"1" max:"1000" default:"1" doc:"Healthy targets that each target group must have."`
	Region          string   `format:"region" doc:"Region of the alarms. Without it, the region of the run."`
	Successes       int      `min:"1" max:"100" default:"3" doc:"How many looks in a row must find everything well."`
	IntervalSeconds int      `min:"1" max:"300" default:"10" doc:"Seconds between two looks."`
}

// mostAlarms is how many alarms one DescribeAlarms tells of.
const mostAlarms = 100

// Check finds parameters that contradict each other.
func (p CheckParameters) Check() []payload.Issue {
	switch {
	case len(p.AlarmNames)+len(p.TargetGroupArns) == 0:
		return []payload.Issue{{Message: "nothing is named", Want: "AlarmNames, TargetGroupArns, or both"}}
	case len(p.AlarmNames) > mostAlarms:
		return []payload.Issue{{Parameter: "AlarmNames", Message: fmt.Sprintf("names %d alarms", len(p.AlarmNames)), Want: fmt.Sprintf("at most %d", mostAlarms)}}
	}
	return nil
}

// Alarms reads CloudWatch alarms.
type Alarms interface {
	DescribeAlarms(context.Context, *cloudwatch.DescribeAlarmsInput, ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error)
}

// Targets reads the health of the targets of a target group.
type Targets interface {
	DescribeTargetHealth(context.Context, *elasticloadbalancingv2.DescribeTargetHealthInput, ...func(*elasticloadbalancingv2.Options)) (*elasticloadbalancingv2.DescribeTargetHealthOutput, error)
}

// Check waits until everything named is well, several looks in a row. It
// changes nothing; what does not get well runs into the time limit.
type Check struct {
	Alarms  func(region string) Alarms
	Targets func(region string) Targets
}

// NewCheck wires the action to AWS.
func NewCheck(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[CheckParameters]{
		Reconciler: Check{
			Alarms:  func(region string) Alarms { return cloudwatch.NewFromConfig(f.Config(region)) },
			Targets: func(region string) Targets { return elasticloadbalancingv2.NewFromConfig(f.Config(region)) },
		},
		Secrets: secrets, Now: now, ReadOnly: true,
	}
}

// health is what one look found.
type health struct {
	alarms  map[string]cwtypes.StateValue
	healthy map[string]int // by ARN of the target group
}

// observe reads alarms and target groups. What does not exist is an error:
// nothing that is not there is well.
func (a Check) observe(ctx context.Context, p CheckParameters) (health, error) {
	h := health{alarms: map[string]cwtypes.StateValue{}, healthy: map[string]int{}}
	if len(p.AlarmNames) > 0 {
		// Without both types, composite alarms are left out in silence.
		out, err := a.Alarms(p.Region).DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{
			AlarmNames: p.AlarmNames, AlarmTypes: []cwtypes.AlarmType{cwtypes.AlarmTypeMetricAlarm, cwtypes.AlarmTypeCompositeAlarm}, MaxRecords: aws.Int32(mostAlarms),
		})
		if err != nil {
			return h, action.Call("describing alarms", err)
		}
		for _, alarm := range out.MetricAlarms {
			h.alarms[aws.ToString(alarm.AlarmName)] = alarm.StateValue
		}
		for _, alarm := range out.CompositeAlarms {
			h.alarms[aws.ToString(alarm.AlarmName)] = alarm.StateValue
		}
		for _, name := range p.AlarmNames {
			if _, ok := h.alarms[name]; !ok {
				return h, action.Errorf(action.NotFound, "there is no alarm %s in %s", name, p.Region)
			}
		}
	}
	for _, group := range p.TargetGroupArns {
		of, err := arn.Parse(group)
		if err != nil {
			return h, action.Errorf(action.InvalidInput, "%s is no ARN: %w", group, err)
		}
		out, err := a.Targets(of.Region).DescribeTargetHealth(ctx, &elasticloadbalancingv2.DescribeTargetHealthInput{TargetGroupArn: aws.String(group)})
		if err != nil {
			return h, action.Call("describing the targets of "+group, err)
		}
		h.healthy[group] = 0
		for _, target := range out.TargetHealthDescriptions {
			if target.TargetHealth != nil && target.TargetHealth.State == elbtypes.TargetHealthStateEnumHealthy {
				h.healthy[group]++
			}
		}
	}
	return h, nil
}

// ill tells of the first thing that is not well, "" if all is. An alarm
// without sufficient data is not OK.
func (h health) ill(p CheckParameters) string {
	for _, name := range p.AlarmNames {
		if state := h.alarms[name]; state != cwtypes.StateValueOk {
			return fmt.Sprintf("the alarm %s is %s", name, state)
		}
	}
	for _, group := range p.TargetGroupArns {
		if n := h.healthy[group]; n < p.MinHealthy {
			return fmt.Sprintf("%s has %d healthy targets, %d are asked for", group, n, p.MinHealthy)
		}
	}
	return ""
}

func (h health) evidence(passes int) action.Evidence {
	e := action.Evidence{"successes": passes}
	for name, state := range h.alarms {
		e["alarm "+name] = string(state)
	}
	for group, n := range h.healthy {
		e["healthy targets of "+group] = n
	}
	return e
}

// decide says what one more look makes of a row of good ones.
func decideCheck(ill string, passes, want int) (action.Decision, int) {
	if ill != "" {
		return action.Wait(action.StateReady, "not well", "%s", ill), 0
	}
	passes++
	if passes < want {
		return action.Wait(action.StateReady, "well", "%d of %d looks in a row have found everything well", passes, want), passes
	}
	return action.Finish("well", "%d looks in a row have found everything well", passes), passes
}

func regional(p CheckParameters, run action.Run) CheckParameters {
	if p.Region == "" {
		p.Region = run.Region
	}
	return p
}

// Preflight looks whether everything named exists. It need not be well before
// the recovery.
func (a Check) Preflight(ctx context.Context, req action.Request[CheckParameters]) (action.Readiness, error) {
	p := regional(req.Parameters, req.Run)
	h, err := a.observe(ctx, p)
	if err != nil {
		return action.Readiness{}, err
	}
	message := "everything is well now"
	if ill := h.ill(p); ill != "" {
		message = "not everything is well now: " + ill
	}
	return action.Readiness{Observed: action.StateReady, Evidence: h.evidence(0), Findings: []action.Finding{{Verdict: action.VerdictReady, Message: message}}}, nil
}

// Reconcile takes one look.
func (a Check) Reconcile(ctx context.Context, req action.Request[CheckParameters]) (action.Progress, error) {
	p := regional(req.Parameters, req.Run)
	h, err := a.observe(ctx, p)
	if err != nil {
		return action.Progress{}, err
	}
	interval := time.Duration(p.IntervalSeconds) * time.Second
	d, passes := decideCheck(h.ill(p), req.Streak(interval), p.Successes)
	progress, err := d.Progress(action.Asked{}, h.evidence(passes))
	progress.WaitSeconds, progress.Memo = p.IntervalSeconds, req.StreakNote(passes)
	return progress, err
}
