package healthcheck

import (
	"context"
	"fmt"
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
	GetMetricData(context.Context, *cloudwatch.GetMetricDataInput, ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error)
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

// evaluation is how long a datapoint may take to show in its metric and in the
// state of its alarm: a period of a minute, the evaluation after it, and as much again. A
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

// datapoint is the newest one of an alarm's metric; without a time there is none.
type datapoint struct {
	at    time.Time
	value float64
}

// decideSwitch judges an alarm, and the newest datapoint of its metric, which is
// nil while nobody has asked for it. Route 53 follows the datapoints: a state
// that somebody has set by hand looks the same and moves nothing.
func decideSwitch(alarm cwtypes.MetricAlarm, newest *datapoint, p SwitchParameters, asked asking) action.Decision {
	phase := strings.ToLower(string(alarm.StateValue))
	if why := unfit(alarm); why != "" {
		return action.Fail(action.Refused, action.StateUnknown, phase, "the alarm %s cannot be a switch: %s", p.AlarmName, why)
	}
	left := fmt.Sprintf("the alarm %s is %s", p.AlarmName, alarm.StateValue)
	if string(alarm.StateValue) == p.State {
		switch {
		case newest == nil:
			return action.Look(phase)
		case newest.makes(alarm, p.State):
			return action.Finish(phase, "the alarm %s is %s, and so says its metric", p.AlarmName, p.State)
		}
		left += ", and its metric does not say so"
	}
	switch {
	case !asked.sent.IsZero() && asked.now.Sub(asked.sent) < evaluation:
		return action.WaitFinal(action.StateUnderWay, "evaluating", "CloudWatch has taken the datapoint; %s", left)
	case asked.perhaps:
		return action.WaitFinal(action.StateBusy, "confirming", "an earlier datapoint had no answer; %s", left)
	}
	return action.Act("switching", "%s; it is to be %s", left, p.State)
}

// unfit tells why one datapoint would not flip an alarm for good, "" if it
// would. An alarm that treats missing data otherwise falls back by itself a few
// minutes later, with the traffic on its way.
func unfit(alarm cwtypes.MetricAlarm) string {
	_, known := operators[alarm.ComparisonOperator]
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

// operators tells which values ring the alarm, and on which side of the
// threshold they lie.
var operators = map[cwtypes.ComparisonOperator]struct {
	side  float64
	rings func(value, threshold float64) bool
}{
	cwtypes.ComparisonOperatorGreaterThanOrEqualToThreshold: {1, func(v, t float64) bool { return v >= t }},
	cwtypes.ComparisonOperatorGreaterThanThreshold:          {1, func(v, t float64) bool { return v > t }},
	cwtypes.ComparisonOperatorLessThanOrEqualToThreshold:    {-1, func(v, t float64) bool { return v <= t }},
	cwtypes.ComparisonOperatorLessThanThreshold:             {-1, func(v, t float64) bool { return v < t }},
}

// makes reports whether a datapoint brings its alarm into a state.
func (d datapoint) makes(alarm cwtypes.MetricAlarm, state string) bool {
	rings := operators[alarm.ComparisonOperator].rings(d.value, aws.ToFloat64(alarm.Threshold))
	return !d.at.IsZero() && rings == (state == string(cwtypes.StateValueAlarm))
}

// value gives the value of the metric that makes a state: one beside the
// threshold, on the state's side.
func value(alarm cwtypes.MetricAlarm, state string) float64 {
	side := operators[alarm.ComparisonOperator].side
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

// kept is how long CloudWatch keeps the datapoints of a minute: fifteen days, of
// which the last may go while it is asked for (API reference, GetMetricData).
const kept = 14 * 24 * time.Hour

// newest reads the newest datapoint of an alarm's metric, by the minute and the
// statistic of the alarm.
func (a Switching) newest(ctx context.Context, p SwitchParameters, alarm cwtypes.MetricAlarm, now time.Time) (*datapoint, error) {
	period := time.Duration(aws.ToInt32(alarm.Period)) * time.Second
	in := &cloudwatch.GetMetricDataInput{
		StartTime: aws.Time(now.Add(-kept)), EndTime: aws.Time(now.Add(period)), ScanBy: cwtypes.ScanByTimestampDescending, // the minute that runs, too
		MetricDataQueries: []cwtypes.MetricDataQuery{{Id: aws.String("switch"), MetricStat: &cwtypes.MetricStat{
			Metric: &cwtypes.Metric{Namespace: alarm.Namespace, MetricName: alarm.MetricName, Dimensions: alarm.Dimensions},
			Period: alarm.Period, Stat: aws.String(string(alarm.Statistic)), Unit: alarm.Unit,
		}}},
	}
	what := "reading the metric of the alarm " + p.AlarmName + " in " + p.Region
	for {
		out, err := a.CloudWatch(p.Region).GetMetricData(ctx, in)
		if err != nil {
			return nil, action.Call(what, err)
		}
		for _, r := range out.MetricDataResults {
			switch {
			case r.StatusCode == cwtypes.StatusCodeForbidden:
				return nil, action.Errorf(action.Denied, "%s: CloudWatch answers %s", what, r.StatusCode)
			case r.StatusCode == cwtypes.StatusCodeInternalError || len(r.Timestamps) != len(r.Values):
				return nil, action.Errorf(action.Unreachable, "%s: CloudWatch answers %s", what, r.StatusCode)
			case len(r.Values) > 0: // the newest comes first
				return &datapoint{r.Timestamps[0], r.Values[0]}, nil
			}
		}
		if aws.ToString(out.NextToken) == "" {
			return &datapoint{}, nil
		}
		in.NextToken = out.NextToken
	}
}

// sight is an alarm as one look found it, and what is made of that.
type sight struct {
	alarm    cwtypes.MetricAlarm
	newest   *datapoint // nil: it made no difference
	decision action.Decision
}

func (a Switching) observe(ctx context.Context, req action.Request[SwitchParameters]) (SwitchParameters, sight, error) {
	p, s := req.Parameters, sight{}
	if p.Region == "" {
		p.Region = req.Run.Region
	}
	var err error
	if s.alarm, err = a.find(ctx, p); err != nil {
		return p, s, err
	}
	// The metric is read only where the alarm is as wanted: a CloudWatch that
	// does not tell of metrics keeps nobody from sending the datapoint.
	if s.decision = decideSwitch(s.alarm, nil, p, askingOf(req)); s.decision.Move == action.MoveLook {
		if s.newest, err = a.newest(ctx, p, s.alarm, req.Now); err != nil {
			return p, s, err
		}
		s.decision = decideSwitch(s.alarm, s.newest, p, askingOf(req))
	}
	return p, s, nil
}

func (s sight) evidence() action.Evidence {
	e := action.Evidence{"alarm": aws.ToString(s.alarm.AlarmArn), "state": string(s.alarm.StateValue)}
	switch {
	case s.newest == nil:
	case s.newest.at.IsZero():
		e["datapoint"] = "none"
	default:
		e["datapoint"] = fmt.Sprintf("%g at %s", s.newest.value, s.newest.at.UTC().Format(time.RFC3339))
	}
	return e
}

// Preflight tells whether the alarm can be a switch.
func (a Switching) Preflight(ctx context.Context, req action.Request[SwitchParameters]) (action.Readiness, error) {
	p, s, err := a.observe(ctx, req)
	if err != nil {
		return action.Readiness{}, err
	}
	ready := action.Readiness{Observed: s.decision.State, Evidence: s.evidence(), Findings: s.decision.Findings()}
	if s.newest != nil && s.decision.Move == action.MoveAct {
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning,
			Message: "the alarm is " + p.State + ", but no datapoint of its metric made it so: Route 53 does not follow a state that was set by hand, and a datapoint will be sent"})
	}
	if p.Region != req.Run.Region {
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning,
			Message: "the alarm is in " + p.Region + " and this run is in " + req.Run.Region + ": it depends on both"})
	}
	return ready, nil
}

// Reconcile sends one datapoint, or waits until alarm and metric show it. The time
// of a datapoint is CloudWatch's own.
func (a Switching) Reconcile(ctx context.Context, req action.Request[SwitchParameters]) (action.Progress, error) {
	p, s, err := a.observe(ctx, req)
	if err != nil {
		return action.Progress{}, err
	}
	asked, alarm := req.Asked(""), s.alarm
	progress, err := s.decision.Progress(asked, s.evidence())
	progress.WaitSeconds = lookSeconds
	if err != nil || s.decision.Move != action.MoveAct {
		return progress, err
	}
	_, err = a.CloudWatch(p.Region).PutMetricData(ctx, &cloudwatch.PutMetricDataInput{
		Namespace:  alarm.Namespace,
		MetricData: []cwtypes.MetricDatum{{MetricName: alarm.MetricName, Dimensions: alarm.Dimensions, Unit: alarm.Unit, Value: aws.Float64(value(alarm, p.State))}},
	})
	progress.Message = "a datapoint was sent that makes the alarm " + p.State
	return action.Sent(req, progress, action.Mutation("sending a datapoint to the alarm "+p.AlarmName, err))
}
