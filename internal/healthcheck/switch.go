package healthcheck

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
)

// SwitchParameters are the parameters of SetSwitch.
type SwitchParameters struct {
	AlarmName string `param:"required" format:"alarm-name" identity:"alarm" doc:"Name of the CloudWatch alarm that a Route 53 health check watches. It must have a metric of its own and ignore missing data."`
	State     string `param:"required" enum:"ALARM,OK" doc:"State that the alarm is to have."`
	Region    string `format:"region" doc:"Region of the alarm. Without it, the region of the run, which needs no other then."`
}

// SwitchAPI is every call to CloudWatch that the action makes.
type SwitchAPI interface {
	Alarms
	PutMetricData(context.Context, *cloudwatch.PutMetricDataInput, ...func(*cloudwatch.Options)) (*cloudwatch.PutMetricDataOutput, error)
}

// Switching flips an alarm by one datapoint of its metric.
type Switching struct {
	CloudWatch func(region string) SwitchAPI
}

// What the alarm of a switch is made of: a metric that nothing else writes, and
// one datapoint that decides. The deployment makes such alarms, and unfit tells
// what of it matters.
const (
	SwitchNamespace = "DisasterRecovery"
	SwitchMetric    = "Switch"
	SwitchDimension = "Alarm" // its value is the name of the alarm

	SwitchStatistic     = cwtypes.StatisticMaximum
	SwitchThreshold     = 1
	SwitchPeriodSeconds = 60 // Route 53 watches no alarm of a shorter period
	SwitchPeriods       = 1
	SwitchMissing       = "ignore"
)

// MinimumSwitchSeconds: CloudWatch evaluates an alarm no sooner.
const MinimumSwitchSeconds = 10

// lookSeconds is the time between two looks at an alarm: traffic waits for it.
const lookSeconds = 2

// NewSwitching wires the action to AWS.
func NewSwitching(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[SwitchParameters]{
		Reconciler: Switching{CloudWatch: func(region string) SwitchAPI { return cloudwatch.NewFromConfig(f.Config(region)) }},
		Secrets:    secrets, Now: now, MinimumSeconds: MinimumSwitchSeconds,
	}
}

// evaluation is how long a datapoint may take to show in the state of its
// alarm: a period of a minute, the evaluation after it, and as much again. A
// datapoint that has not shown by then was outweighed by another one of its
// minute, or never taken; the same once more does no harm.
const evaluation = 3 * time.Minute

// asking is what a decision needs to know of earlier datapoints.
type asking struct {
	sent    time.Time // when CloudWatch took one; zero: not yet
	perhaps bool      // one without an answer may still show
	now     time.Time
}

func askingOf(req action.Request[SwitchParameters]) asking {
	at := req.Drive.InterruptedAt
	return asking{sent: req.Asked("").Requested, perhaps: at != nil && req.Now.Sub(*at) < evaluation, now: req.Now}
}

func decideSwitch(alarm cwtypes.MetricAlarm, p SwitchParameters, asked asking) action.Decision {
	phase := strings.ToLower(string(alarm.StateValue))
	if why := unfit(alarm); why != "" {
		return action.Fail(action.Refused, action.StateUnknown, phase, "the alarm %s cannot be a switch: %s", p.AlarmName, why)
	}
	switch {
	case string(alarm.StateValue) == p.State:
		return action.Finish(phase, "the alarm %s is %s", p.AlarmName, p.State)
	case !asked.sent.IsZero() && asked.now.Sub(asked.sent) < evaluation:
		return action.WaitFinal(action.StateUnderWay, "evaluating", "CloudWatch has taken the datapoint; the alarm %s is still %s", p.AlarmName, alarm.StateValue)
	case asked.perhaps:
		return action.WaitFinal(action.StateBusy, "confirming", "an earlier datapoint had no answer; the alarm %s is still %s", p.AlarmName, alarm.StateValue)
	}
	return action.Act("switching", "the alarm %s is %s, and is to be %s", p.AlarmName, alarm.StateValue, p.State)
}

// unfit tells why one datapoint would not flip an alarm for good, "" if it
// would. An alarm that treats missing data otherwise falls back by itself a few
// minutes later, with the traffic on its way.
func unfit(alarm cwtypes.MetricAlarm) string {
	_, known := sides[alarm.ComparisonOperator]
	switch {
	case aws.ToString(alarm.MetricName) == "" || len(alarm.Metrics) > 0:
		return "it is computed of other metrics"
	case aws.ToString(alarm.Namespace) != SwitchNamespace:
		return "its metric is not in the namespace " + SwitchNamespace + ", and the function may write no other"
	case aws.ToString(alarm.TreatMissingData) != SwitchMissing:
		return "it does not ignore missing data, and would not keep its state"
	case aws.ToInt32(alarm.Period) != SwitchPeriodSeconds:
		// Route 53 watches none of a shorter one, and in a longer one a flip
		// back would be outweighed for as long.
		return "its period is not a minute"
	case aws.ToInt32(alarm.EvaluationPeriods) != SwitchPeriods:
		return "it looks at more than one period, and one datapoint would not flip it"
	case alarm.Statistic != cwtypes.StatisticMaximum && alarm.Statistic != cwtypes.StatisticMinimum && alarm.Statistic != cwtypes.StatisticAverage && alarm.Statistic != cwtypes.StatisticSum:
		return "its statistic is not of the datapoint's value"
	case !known || alarm.Threshold == nil:
		return "it compares with no threshold"
	}
	return ""
}

// sides tells on which side of the threshold a value rings the alarm.
var sides = map[cwtypes.ComparisonOperator]float64{
	cwtypes.ComparisonOperatorGreaterThanOrEqualToThreshold: 1, cwtypes.ComparisonOperatorGreaterThanThreshold: 1,
	cwtypes.ComparisonOperatorLessThanOrEqualToThreshold: -1, cwtypes.ComparisonOperatorLessThanThreshold: -1,
}

// value gives the value of the metric that makes a state: one beside the
// threshold, on the state's side.
func value(alarm cwtypes.MetricAlarm, state string) float64 {
	side := sides[alarm.ComparisonOperator]
	if state == string(cwtypes.StateValueOk) {
		side = -side
	}
	return aws.ToFloat64(alarm.Threshold) + side
}

func (a Switching) find(ctx context.Context, p SwitchParameters) (cwtypes.MetricAlarm, error) {
	out, err := a.CloudWatch(p.Region).DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{
		AlarmNames: []string{p.AlarmName}, AlarmTypes: []cwtypes.AlarmType{cwtypes.AlarmTypeMetricAlarm},
	})
	if err != nil {
		return cwtypes.MetricAlarm{}, action.Call("describing the alarm "+p.AlarmName+" in "+p.Region, err)
	}
	if len(out.MetricAlarms) != 1 {
		return cwtypes.MetricAlarm{}, action.Errorf(action.NotFound, "there is no metric alarm %s in %s", p.AlarmName, p.Region)
	}
	return out.MetricAlarms[0], nil
}

func (a Switching) observe(ctx context.Context, req action.Request[SwitchParameters]) (SwitchParameters, cwtypes.MetricAlarm, action.Decision, error) {
	p := req.Parameters
	if p.Region == "" {
		p.Region = req.Run.Region
	}
	alarm, err := a.find(ctx, p)
	if err != nil {
		return p, alarm, action.Decision{}, err
	}
	return p, alarm, decideSwitch(alarm, p, askingOf(req)), nil
}

func evidenceOf(alarm cwtypes.MetricAlarm) action.Evidence {
	return action.Evidence{"alarm": aws.ToString(alarm.AlarmArn), "state": string(alarm.StateValue)}
}

// Preflight tells whether the alarm can be a switch.
func (a Switching) Preflight(ctx context.Context, req action.Request[SwitchParameters]) (action.Readiness, error) {
	p, alarm, d, err := a.observe(ctx, req)
	if err != nil {
		return action.Readiness{}, err
	}
	ready := action.Readiness{Observed: d.State, Evidence: evidenceOf(alarm), Findings: d.Findings()}
	if p.Region != req.Run.Region {
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning,
			Message: "the alarm is in " + p.Region + " and this run is in " + req.Run.Region + ": it depends on both"})
	}
	return ready, nil
}

// Reconcile sends one datapoint, or waits until the alarm shows it. The time
// of a datapoint is CloudWatch's own.
func (a Switching) Reconcile(ctx context.Context, req action.Request[SwitchParameters]) (action.Progress, error) {
	p, alarm, d, err := a.observe(ctx, req)
	if err != nil {
		return action.Progress{}, err
	}
	asked := req.Asked("")
	progress, err := d.Progress(asked, evidenceOf(alarm))
	progress.WaitSeconds = lookSeconds
	if err != nil || d.Move != action.MoveAct {
		return progress, err
	}
	_, err = a.CloudWatch(p.Region).PutMetricData(ctx, &cloudwatch.PutMetricDataInput{
		Namespace:  alarm.Namespace,
		MetricData: []cwtypes.MetricDatum{{MetricName: alarm.MetricName, Dimensions: alarm.Dimensions, Unit: alarm.Unit, Value: aws.Float64(value(alarm, p.State))}},
	})
	progress.Message = "a datapoint was sent that makes the alarm " + p.State
	return action.Sent(req, progress, action.Mutation("sending a datapoint to the alarm "+p.AlarmName, err))
}
