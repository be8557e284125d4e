package orchestrator

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"dr-orchestrator/internal/planwatch"
	"dr-orchestrator/internal/run"
)

// checking makes the schedule that has the stored payloads planned.
func (o *Orchestrator) checking(checkPlans awslambda.Function, queue awssqs.Queue) {
	name := o.at.prefix + "-check-plans"
	ruleARN := o.at.arn("events", "rule/"+name)
	input, err := json.Marshal(planwatch.Input{Payloads: append([]string{}, o.region.CheckPlans...)})
	if err != nil {
		panic(err) // strings can be encoded
	}
	awsevents.NewCfnRule(o.construct, jsii.String("checking"), &awsevents.CfnRuleProps{
		Name: jsii.String(name), Description: jsii.String("Has the stored payloads planned."),
		ScheduleExpression: jsii.String(fmt.Sprintf("rate(%d minutes)", o.config.CheckPlansMinutes)),
		Targets: []any{&awsevents.CfnRule_TargetProperty{
			Arn: checkPlans.FunctionArn(), Id: jsii.String("check"), Input: jsii.String(string(input)),
			DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: queue.QueueArn()},
		}},
	})
	o.mayInvoke("checking-permission", checkPlans, ruleARN)
	o.undelivered(queue, "Unchecked", ruleARN)
}

// metric is one of the product's own, of this deployment.
func (o *Orchestrator) metric(name, statistic string, period awscdk.Duration) awscloudwatch.Metric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String(run.MetricNamespace), MetricName: jsii.String(name), Statistic: jsii.String(statistic), Period: period,
		DimensionsMap: &map[string]*string{run.DimensionDeployment: jsii.String(o.at.prefix)},
	})
}

// readinessAlarms ring when a plan is no longer ready, when nobody has looked
// whether it is, and when there is no plan for something.
func (o *Orchestrator) readinessAlarms(topic awssns.Topic) {
	period := o.checkPeriod()
	o.alarmOn(topic, "plan-not-ready", "A payload that is checked could not be carried out now, or a lag is beyond its limit: see the message and the report of the plan.", &awscloudwatch.AlarmProps{
		Metric:    o.metric(run.MetricPlanReady, "Minimum", period),
		Threshold: jsii.Number(1), EvaluationPeriods: jsii.Number(1),
		ComparisonOperator: awscloudwatch.ComparisonOperator_LESS_THAN_THRESHOLD,
		TreatMissingData:   awscloudwatch.TreatMissingData_NOT_BREACHING,
	})
	o.alarmOn(topic, "plans-unchecked", "The stored payloads were not checked: whether they are ready is not known.", &awscloudwatch.AlarmProps{
		Metric:    o.metric(run.MetricPlansStarted, "SampleCount", period),
		Threshold: jsii.Number(1), EvaluationPeriods: jsii.Number(2),
		ComparisonOperator: awscloudwatch.ComparisonOperator_LESS_THAN_THRESHOLD,
		TreatMissingData:   awscloudwatch.TreatMissingData_BREACHING,
	})
	o.alarm(topic, "estate-uncovered", "A database that could be failed over to this region stands in no checked payload: the event Estate Uncovered names it.",
		o.metric(run.MetricUncovered, "Maximum", period))
}

// checkPeriod is a period that a check falls into for certain. CloudWatch's are
// whole minutes, and at most a day for an alarm.
func (o *Orchestrator) checkPeriod() awscdk.Duration {
	return awscdk.Duration_Minutes(jsii.Number(o.config.CheckPlansMinutes + 5))
}

// mostInAlarm is how many metrics the expression of an alarm can join.
const mostInAlarm = 10

// functionAlarms ring when functions fail or are throttled, a few functions to
// an alarm.
func (o *Orchestrator) functionAlarms(topic awssns.Topic) {
	var names []string
	for _, f := range functions() {
		names = append(names, f.name)
	}
	n := 0
	for some := range slices.Chunk(names, mostInAlarm) {
		n++
		for _, kind := range []struct{ id, metric, what string }{
			{"functions-failed", "Errors", "A function failed: its log says why."},
			{"functions-throttled", "Throttles", "Lambda did not run a function: the account's concurrency, or the one reserved, is used up."},
		} {
			metrics := map[string]awscloudwatch.IMetric{}
			expression := ""
			for i, name := range some {
				id := fmt.Sprintf("f%d", i)
				metrics[id] = o.functionMetric(name, kind.metric)
				if i > 0 {
					expression += " + "
				}
				expression += "FILL(" + id + ", 0)"
			}
			o.alarm(topic, fmt.Sprintf("%s-%d", kind.id, n), kind.what, awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
				Expression: jsii.String(expression), UsingMetrics: &metrics, Label: jsii.String(kind.metric), Period: awscdk.Duration_Minutes(jsii.Number(1)),
			}))
		}
	}
}

func (o *Orchestrator) functionMetric(name, metric string) awscloudwatch.Metric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String("AWS/Lambda"), MetricName: jsii.String(metric), Statistic: awscloudwatch.Stats_SUM(), Period: awscdk.Duration_Minutes(jsii.Number(1)),
		DimensionsMap: &map[string]*string{"FunctionName": jsii.String(o.at.prefix + "-" + name)},
	})
}
