package lab

import (
	"maps"
	"slices"
	"strings"
)

// Alarm is a CloudWatch alarm. One of an application follows it; any other
// keeps its state until a datapoint of its metric changes it, as an alarm does
// that ignores missing data.
type Alarm struct {
	Region    string   `json:"region"`
	Name      string   `json:"name"`
	State     string   `json:"state"`
	App       string   `json:"app,omitempty"` // URL of the application that it follows
	Composite bool     `json:"composite,omitempty"`
	Metric    *Metric  `json:"metric,omitempty"`
	Operator  string   `json:"comparisonOperator,omitempty"`
	Threshold float64  `json:"threshold,omitempty"`
	Missing   string   `json:"treatMissingData,omitempty"`
	Actions   []string `json:"alarmActions,omitempty"`
}

// Metric names a metric of CloudWatch.
type Metric struct {
	Namespace  string            `json:"namespace"`
	Name       string            `json:"name"`
	Dimensions map[string]string `json:"dimensions"`
}

// TargetGroup is a target group of a load balancer. One of an application has
// healthy targets as long as it works.
type TargetGroup struct {
	ARN     string            `json:"arn"`
	App     string            `json:"app,omitempty"`
	Targets map[string]string `json:"targets"` // by id: the state where it follows no application
}

func (e *Estate) addHealth() {
	for _, app := range e.Apps {
		e.Alarms = append(e.Alarms,
			&Alarm{Region: app.Region, Name: "app-errors", State: "OK", App: app.URL},
			&Alarm{Region: app.Region, Name: "app", State: "OK", App: app.URL, Composite: true})
		group := &TargetGroup{ARN: "arn:aws:elasticloadbalancing:" + app.Region + ":" + e.Account + ":targetgroup/app/0123456789abcdef",
			App: app.URL, Targets: map[string]string{"i-0a1b2c3d4e5f60001": "unhealthy", "i-0a1b2c3d4e5f60002": "unhealthy"}}
		e.TargetGroups = append(e.TargetGroups, group)
		e.export(app.Region, "app", map[string]string{"-target-group": group.ARN})
	}
}

// worksAt reports whether an application works, by its URL.
func (e *Estate) worksAt(url string) bool {
	return slices.ContainsFunc(e.Apps, func(app *App) bool { return app.URL == url && e.works(app) })
}

func (e *Estate) alarmState(x *Alarm) string {
	switch {
	case x.App == "":
		return x.State
	case e.worksAt(x.App):
		return "OK"
	}
	return "ALARM"
}

var alarmService = map[string]handler{
	"cloudwatch:DescribeAlarms": describeAlarms,
	"cloudwatch:PutMetricData":  putMetricData,
}

func describeAlarms(a *Account, c *Call) (any, error) {
	names, types := c.Params.list("AlarmNames", "member"), c.Params.list("AlarmTypes", "member")
	metric, composite := []map[string]any{}, []map[string]any{}
	for _, x := range a.Estate.Alarms {
		if x.Region != c.Region || len(names) > 0 && !slices.Contains(names, x.Name) {
			continue
		}
		state := a.Estate.alarmState(x)
		if old, ok := a.before["alarm "+x.Region+"/"+x.Name].(string); ok && c.stale {
			state = old
		}
		shown := map[string]any{
			"AlarmName": x.Name, "AlarmArn": a.alarmARN(x), "StateValue": state, "StateReason": "as the lab has it", "AlarmActions": append([]string{}, x.Actions...),
		}
		if x.Composite {
			if slices.Contains(types, "CompositeAlarm") {
				composite = append(composite, shown)
			}
			continue
		}
		if x.Metric != nil {
			dimensions := []map[string]string{}
			for _, name := range sortedKeys(x.Metric.Dimensions) {
				dimensions = append(dimensions, map[string]string{"Name": name, "Value": x.Metric.Dimensions[name]})
			}
			for name, value := range map[string]any{
				"Namespace": x.Metric.Namespace, "MetricName": x.Metric.Name, "Dimensions": dimensions, "ComparisonOperator": x.Operator, "Threshold": x.Threshold,
				"TreatMissingData": x.Missing, "Period": 60, "EvaluationPeriods": 1, "Statistic": "Maximum",
			} {
				shown[name] = value
			}
		}
		if len(types) == 0 || slices.Contains(types, "MetricAlarm") {
			metric = append(metric, shown)
		}
	}
	return map[string]any{"MetricAlarms": metric, "CompositeAlarms": composite}, nil
}

func (a *Account) alarmARN(x *Alarm) string {
	return "arn:aws:cloudwatch:" + x.Region + ":" + a.Estate.Account + ":alarm:" + x.Name
}

var balancerService = map[string]handler{"elasticloadbalancing:DescribeTargetHealth": describeTargetHealth}

func describeTargetHealth(a *Account, c *Call) (any, error) {
	type description struct {
		ID    string `xml:"Target>Id"`
		Port  int    `xml:"Target>Port"`
		State string `xml:"TargetHealth>State"`
	}
	arn := c.Params.str("TargetGroupArn")
	for _, g := range a.Estate.TargetGroups {
		if g.ARN != arn || !strings.Contains(arn, ":"+c.Region+":") {
			continue
		}
		var out struct {
			Targets []description `xml:"TargetHealthDescriptions>member"`
		}
		for _, id := range sortedKeys(g.Targets) {
			state := g.Targets[id]
			if g.App != "" && a.Estate.worksAt(g.App) {
				state = "healthy"
			}
			out.Targets = append(out.Targets, description{id, 443, state})
		}
		return out, nil
	}
	return nil, fail(400, "TargetGroupNotFound", "One or more target groups not found")
}

// evaluation is how many seconds CloudWatch takes until an alarm shows a
// datapoint.
const evaluation = 45

func init() {
	scripts["PutMetricData"] = []step{{share: 1, apply: func(e *Estate, op *Operation) {
		for _, x := range e.Alarms {
			if e.alarmKey(x) == op.Target {
				x.State = op.Args["state"]
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
			state := "OK"
			if x.rings(value) {
				state = "ALARM"
			}
			key := a.Estate.alarmKey(x)
			a.before[key] = x.State
			a.evaluate(c, key, state, x.State)
		}
	}
	return map[string]any{}, nil
}

// evaluate lets an alarm change its state in a while.
func (a *Account) evaluate(c *Call, key, state, now string) {
	for _, op := range a.Estate.Operations {
		if op.Target == key && op.Args["state"] == state {
			op.Stuck = op.Stuck && c.stuck
			return
		}
	}
	if state == now {
		return
	}
	op := &Operation{Kind: "PutMetricData", Target: key, Args: map[string]string{"state": state}, Seconds: evaluation, started: a.clock.Now(), Owner: c.owner(), Stuck: c.stuck}
	a.Estate.Operations = append(a.Estate.Operations, op)
	a.history = append(a.history, op)
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
