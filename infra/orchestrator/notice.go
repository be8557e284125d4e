package orchestrator

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatchactions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/run"
)

// topic tells people of the end of every run, and of alarms.
func (o *Orchestrator) topic() awssns.Topic {
	topic := awssns.NewTopic(o.construct, jsii.String("notices"), &awssns.TopicProps{
		TopicName: jsii.String(o.at.prefix), EnforceSSL: jsii.Bool(true), MasterKey: o.key,
	})
	topic.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("Alarms"),
		Actions:    jsii.Strings("sns:Publish"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("cloudwatch.amazonaws.com"), nil)},
		Resources:  &[]*string{topic.TopicArn()},
		Conditions: &map[string]any{"StringEquals": map[string]string{"aws:SourceAccount": o.at.account}},
	}))
	for i, address := range o.config.Notify {
		awssns.NewSubscription(o.construct, jsii.String(fmt.Sprintf("notice-%d", i)), &awssns.SubscriptionProps{
			Topic: topic, Protocol: awssns.SubscriptionProtocol_EMAIL, Endpoint: jsii.String(address),
		})
	}
	return topic
}

// deadLetters keeps the events that rules could not deliver, and those that a
// function failed on for good.
func (o *Orchestrator) deadLetters() awssqs.Queue {
	encryption := awssqs.QueueEncryption_SQS_MANAGED
	if o.key != nil {
		encryption = awssqs.QueueEncryption_KMS
	}
	queue := awssqs.NewQueue(o.construct, jsii.String("dead-letters"), &awssqs.QueueProps{
		QueueName: jsii.String(o.at.prefix + "-dead-letters"), EnforceSSL: jsii.Bool(true),
		Encryption: encryption, EncryptionMasterKey: o.key,
		RetentionPeriod: awscdk.Duration_Days(jsii.Number(14)),
	})
	suppress(queue, "AwsSolutions-SQS3", "it is the dead-letter queue itself, of the rules")
	return queue
}

// alarms ring where nothing else would: a run that Step Functions itself ended
// wrote no report, and an event that could not be delivered started no run.
//
// That a run failed is taken from what its report, or close-run, counts: the
// ExecutionsFailed of Step Functions has the plans that are not ready in it,
// which have an alarm of their own.
func (o *Orchestrator) alarms(topic awssns.Topic, queue awssqs.Queue) {
	minute := awscdk.Duration_Minutes(jsii.Number(1))
	for _, name := range []string{catalog.Failover, catalog.Failback} {
		metrics := map[string]awscloudwatch.IMetric{"runsFailed": awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
			Namespace: jsii.String(run.MetricNamespace), MetricName: jsii.String(run.MetricRunFailed), Statistic: awscloudwatch.Stats_SUM(), Period: minute,
			DimensionsMap: &map[string]*string{run.DimensionDeployment: jsii.String(o.at.prefix), run.DimensionMachine: jsii.String(name)},
		})}
		expression := "FILL(runsFailed, 0)"
		for _, ending := range []string{"TimedOut", "Aborted"} {
			id := "executions" + ending
			expression += " + FILL(" + id + ", 0)"
			metrics[id] = awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
				Namespace: jsii.String("AWS/States"), MetricName: jsii.String("Executions" + ending),
				DimensionsMap: &map[string]*string{"StateMachineArn": jsii.String(o.at.machineARN(name))},
				Statistic:     awscloudwatch.Stats_SUM(), Period: minute,
			})
		}
		o.alarmOn(topic, name+"-ended-badly", "A "+name+" did not succeed, or an execution of it was stopped or timed out: see its execution and its report.", &awscloudwatch.AlarmProps{
			Metric: awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
				Expression: jsii.String(expression), UsingMetrics: &metrics, Label: jsii.String("runs that did not succeed"), Period: minute,
			}),
			// Metrics come by the log, and a run is closed after its end: a minute
			// that was judged already gets its value late.
			Threshold: jsii.Number(0), EvaluationPeriods: jsii.Number(lateMinutes), DatapointsToAlarm: jsii.Number(1),
			ComparisonOperator: awscloudwatch.ComparisonOperator_GREATER_THAN_THRESHOLD,
			TreatMissingData:   awscloudwatch.TreatMissingData_NOT_BREACHING,
		})
	}
	o.alarm(topic, "event-undelivered", "An event that should have started a failover, or closed a run, is in the dead-letter queue.",
		queue.MetricApproximateNumberOfMessagesVisible(&awscloudwatch.MetricOptions{
			Statistic: awscloudwatch.Stats_MAXIMUM(), Period: awscdk.Duration_Minutes(jsii.Number(1)),
		}))
}

// lateMinutes is how late a metric of a run may come and still ring.
const lateMinutes = 10

// alarm rings as soon as a metric is above zero.
func (o *Orchestrator) alarm(topic awssns.Topic, id, description string, metric awscloudwatch.IMetric) {
	o.alarmOn(topic, id, description, &awscloudwatch.AlarmProps{
		Metric: metric, Threshold: jsii.Number(0), EvaluationPeriods: jsii.Number(1),
		ComparisonOperator: awscloudwatch.ComparisonOperator_GREATER_THAN_THRESHOLD,
		TreatMissingData:   awscloudwatch.TreatMissingData_NOT_BREACHING,
	})
}

func (o *Orchestrator) alarmOn(topic awssns.Topic, id, description string, props *awscloudwatch.AlarmProps) {
	props.AlarmName, props.AlarmDescription = jsii.String(o.at.prefix+"-"+id), jsii.String(description)
	alarm := awscloudwatch.NewAlarm(o.construct, jsii.String(id), props)
	alarm.AddAlarmAction(awscloudwatchactions.NewSnsAction(topic))
	// By its ARN, so that the dashboard binds to nothing.
	o.rings = append(o.rings, awscloudwatch.Alarm_FromAlarmArn(o.construct, jsii.String(id+"-shown"), jsii.String(o.at.arn("cloudwatch", "alarm:"+o.at.prefix+"-"+id))))
}
