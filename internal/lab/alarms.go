package lab

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Alarm is a CloudWatch alarm. One of an application follows it; any other
// keeps its state until a datapoint of its metric changes it, as an alarm does
// that ignores missing data, or somebody sets it: State and Value need not agree.
type Alarm struct {
	Region    string            `json:"region"`
	Name      string            `json:"name"`
	State     string            `json:"state"`         // OK, ALARM or INSUFFICIENT_DATA
	App       string            `json:"app,omitempty"` // URL of the application that it follows
	Composite bool              `json:"composite,omitempty"`
	Metric    *Metric           `json:"metric,omitempty"`
	Operator  string            `json:"comparisonOperator,omitempty"`
	Threshold float64           `json:"threshold,omitempty"`
	Missing   string            `json:"treatMissingData,omitempty"`
	Actions   []string          `json:"alarmActions,omitempty"`
	Value     *float64          `json:"value,omitempty"` // newest datapoint of its metric; nil: it has none
	Tags      map[string]string `json:"tags,omitempty"`
	Since     time.Time         `json:"-"` // when it came into its state; zero: when the lab began
	At        time.Time         `json:"-"` // when its metric got the datapoint; zero: before the lab began
}

// Metric names a metric of CloudWatch.
type Metric struct {
	Namespace  string            `json:"namespace"`
	Name       string            `json:"name"`
	Dimensions map[string]string `json:"dimensions"`
}

// The states of an alarm.
const (
	AlarmOK           = "OK"
	AlarmRed          = "ALARM"
	AlarmInsufficient = "INSUFFICIENT_DATA"
)

// AddAlarm puts an alarm into the account. It has been in its state since the
// lab began, and nobody hears of that.
func (a *Account) AddAlarm(alarm Alarm) {
	alarm.Since = a.clock.Now()
	a.Estate.Alarms = append(a.Estate.Alarms, &alarm)
}

func (a *Account) alarm(region, name string) *Alarm {
	for _, x := range a.Estate.Alarms {
		if x.Region == region && x.Name == name {
			return x
		}
	}
	return nil
}

// SetAlarm brings an alarm into a state, and gives the event that tells of it.
// Where the state is the one before there is no event, as in CloudWatch.
func (a *Account) SetAlarm(region, name, state string) []byte {
	event := a.SetAlarmSilently(region, name, state)
	if event != nil {
		a.Deliver(region, event)
	}
	return event
}

// SetAlarmSilently is SetAlarm, and the event is not delivered.
func (a *Account) SetAlarmSilently(region, name, state string) []byte {
	x := a.alarm(region, name)
	if x == nil || x.State == state {
		return nil
	}
	const format = "2006-01-02T15:04:05.000-0700"
	now := a.clock.Now().UTC()
	detail := map[string]any{
		"alarmName":     x.Name,
		"state":         map[string]any{"value": state, "reason": "set in the lab", "timestamp": now.Format(format)},
		"previousState": map[string]any{"value": x.State, "reason": "set in the lab", "timestamp": x.Since.UTC().Format(format)},
		"configuration": map[string]any{},
	}
	x.State, x.Since = state, now
	return a.event(region, "aws.cloudwatch", "CloudWatch Alarm State Change", detail, []string{a.alarmARN(x)})
}

func (e *Estate) alarmState(x *Alarm) string {
	switch {
	case x.App == "":
		return x.State
	case e.worksAt(x.App):
		return AlarmOK
	}
	return AlarmRed
}

var alarmService = map[string]handler{
	"cloudwatch:DescribeAlarms": describeAlarms,
	"cloudwatch:PutMetricData":  putMetricData,
	"cloudwatch:ListTagsForResource": func(a *Account, c *Call) (any, error) {
		tags := []map[string]string{}
		for _, x := range a.Estate.Alarms {
			if a.alarmARN(x) != c.Params.str("ResourceARN") || x.Region != c.Region {
				continue
			}
			for _, key := range sortedKeys(x.Tags) {
				tags = append(tags, map[string]string{"Key": key, "Value": x.Tags[key]})
			}
			return map[string]any{"Tags": tags}, nil
		}
		return nil, fail(404, "ResourceNotFoundException", "%s does not exist", c.Params.str("ResourceARN"))
	},
}

func describeAlarms(a *Account, c *Call) (any, error) {
	names, prefix, want := c.Params.list("AlarmNames", "member"), c.Params.str("AlarmNamePrefix"), c.Params.str("StateValue")
	if len(names) > 0 && prefix != "" {
		return nil, fail(400, "ValidationError", "AlarmNames and AlarmNamePrefix exclude each other")
	}
	types := c.Params.list("AlarmTypes", "member")
	if len(types) == 0 {
		types = []string{"MetricAlarm"} // as AWS does
	}
	metric, composite := []map[string]any{}, []map[string]any{}
	for _, x := range a.Estate.Alarms {
		if x.Region != c.Region || len(names) > 0 && !slices.Contains(names, x.Name) || !strings.HasPrefix(x.Name, prefix) {
			continue
		}
		if state := a.Estate.alarmState(x); state != x.State { // it follows an application
			x.State, x.Since = state, a.clock.Now()
		}
		state := x.State
		if old, ok := a.before[a.Estate.alarmKey(x)].(string); ok && c.stale {
			state = old
		}
		if want != "" && state != want {
			continue
		}
		shown := map[string]any{
			"AlarmName": x.Name, "AlarmArn": a.alarmARN(x), "StateValue": state, "StateReason": "as the lab has it", "AlarmActions": append([]string{}, x.Actions...),
			// That a state is evaluated again moves the one time and not the other.
			"StateUpdatedTimestamp": a.clock.Now(), "StateTransitionedTimestamp": x.Since,
		}
		if x.Composite {
			if slices.Contains(types, "CompositeAlarm") {
				composite = append(composite, shown)
			}
			continue
		}
		if x.Metric != nil {
			maps.Copy(shown, x.Metric.shown())
			shown["ComparisonOperator"], shown["Threshold"], shown["TreatMissingData"] = x.Operator, x.Threshold, x.Missing
		}
		if slices.Contains(types, "MetricAlarm") {
			metric = append(metric, shown)
		}
	}
	return map[string]any{"MetricAlarms": metric, "CompositeAlarms": composite}, nil
}

// shown is a metric as an alarm of one minute names it.
func (m *Metric) shown() map[string]any {
	dimensions := []map[string]string{}
	for _, name := range sortedKeys(m.Dimensions) {
		dimensions = append(dimensions, map[string]string{"Name": name, "Value": m.Dimensions[name]})
	}
	return map[string]any{
		"Namespace": m.Namespace, "MetricName": m.Name, "Dimensions": dimensions, "Period": 60, "EvaluationPeriods": 1, "Statistic": "Maximum",
	}
}

func (a *Account) alarmARN(x *Alarm) string {
	return "arn:aws:cloudwatch:" + x.Region + ":" + a.Estate.Account + ":alarm:" + x.Name
}

// evaluation is how many seconds CloudWatch takes until an alarm shows a
// datapoint.
const evaluation = 45

func init() {
	scripts["PutMetricData"] = []step{{share: 1, apply: func(e *Estate, op *Operation) {
		for _, x := range e.Alarms {
			if e.alarmKey(x) == op.Target {
				value, _ := strconv.ParseFloat(op.Args["value"], 64)
				x.Value, x.At = &value, op.started
				if state := x.says(); x.State != state {
					x.State, x.Since = state, op.started.Add(evaluation*time.Second)
				}
			}
		}
	}}}
}

func (e *Estate) alarmKey(x *Alarm) string { return "alarm " + x.Region + "/" + x.Name }

// putMetricData takes datapoints, which flip the alarms of their metric some
// time later. A second one that says the same as one under way changes nothing.
func putMetricData(a *Account, c *Call) (any, error) {
	data, _ := c.Params.tree["MetricData"].([]any)
	for _, d := range data {
		datum := tree(d)
		dimensions := dimensionsOf(datum["Dimensions"])
		value, _ := datum["Value"].(float64)
		for _, x := range a.Estate.Alarms {
			if x.Region != c.Region || x.Metric == nil || x.Metric.Namespace != c.Params.str("Namespace") || x.Metric.Name != datum["MetricName"] || !maps.Equal(x.Metric.Dimensions, dimensions) {
				continue
			}
			a.before[a.Estate.alarmKey(x)] = x.State
			a.evaluate(c, x, value)
		}
	}
	return map[string]any{}, nil
}

// evaluate lets a metric show a datapoint in a while, and its alarm follow.
func (a *Account) evaluate(c *Call, x *Alarm, value float64) {
	key, args := a.Estate.alarmKey(x), map[string]string{"value": strconv.FormatFloat(value, 'g', -1, 64)}
	for _, op := range a.Estate.Operations {
		if op.Target == key && maps.Equal(op.Args, args) {
			op.Stuck = op.Stuck && c.stuck
			return
		}
	}
	if x.Value != nil && *x.Value == value && x.State == x.says() {
		return
	}
	op := &Operation{Kind: "PutMetricData", Target: key, Args: args, Seconds: evaluation, started: a.clock.Now(), Owner: c.owner(), Stuck: c.stuck}
	a.Estate.Operations = append(a.Estate.Operations, op)
	a.history = append(a.history, op)
}

// says is the state that the newest datapoint of its metric gives an alarm.
func (x *Alarm) says() string {
	switch {
	case x.Value == nil:
		return AlarmInsufficient
	case x.rings(*x.Value):
		return AlarmRed
	}
	return AlarmOK
}

// rings reports whether a value of its metric makes an alarm ring.
func (x *Alarm) rings(value float64) bool {
	switch x.Operator {
	case "GreaterThanOrEqualToThreshold":
		return value >= x.Threshold
	case "GreaterThanThreshold":
		return value > x.Threshold
	case "LessThanThreshold":
		return value < x.Threshold
	case "LessThanOrEqualToThreshold":
		return value <= x.Threshold
	}
	return false
}
