package orchestrator

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/jsii-runtime-go"

	"dr-orchestrator/internal/healthcheck"
)

// switches makes, for each switch, the alarm of this region that SetSwitch
// flips and the health check that follows it. To flip one takes nothing but the
// region that it stands in; only to make the health check takes the control
// plane of Route 53.
func (o *Orchestrator) switches(topic awssns.Topic) {
	for _, name := range o.config.Switches {
		alarm := o.config.SwitchAlarm(name)
		o.alarmOn(topic, "switch-"+name, "Whether this region takes the traffic of "+name+" over (ALARM) or not (OK). SetSwitch flips it, and it stays so.", &awscloudwatch.AlarmProps{
			Metric: awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
				Namespace: jsii.String(healthcheck.SwitchNamespace), MetricName: jsii.String(healthcheck.SwitchMetric),
				DimensionsMap: &map[string]*string{healthcheck.SwitchDimension: jsii.String(alarm)},
				Statistic:     jsii.String(string(healthcheck.SwitchStatistic)), Period: awscdk.Duration_Seconds(jsii.Number(healthcheck.SwitchPeriodSeconds)),
			}),
			Threshold: jsii.Number(healthcheck.SwitchThreshold), EvaluationPeriods: jsii.Number(healthcheck.SwitchPeriods),
			ComparisonOperator: awscloudwatch.ComparisonOperator_GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
			TreatMissingData:   awscloudwatch.TreatMissingData_IGNORE,
		})
		check := awsroute53.NewCfnHealthCheck(o.construct, jsii.String("switch-"+name+"-check"), &awsroute53.CfnHealthCheckProps{
			HealthCheckConfig: &awsroute53.CfnHealthCheck_HealthCheckConfigProperty{
				Type:            jsii.String("CLOUDWATCH_METRIC"),
				AlarmIdentifier: &awsroute53.CfnHealthCheck_AlarmIdentifierProperty{Name: jsii.String(alarm), Region: jsii.String(o.at.region)},
				// Between two flips there is no data.
				InsufficientDataHealthStatus: jsii.String("LastKnownStatus"),
			},
		})
		awscdk.Tags_Of(check).Add(jsii.String("Name"), jsii.String(alarm), nil) // which is what the console shows
		// Route 53 copies the settings of the alarm, which must be there.
		check.Node().AddDependency(o.construct.Node().FindChild(jsii.String("switch-" + name)))
		o.output(switchOutput(name), "Health check that follows the switch "+name, check.AttrHealthCheckId())
	}
}

// switchOutput names the output that tells the health check of a switch: the
// one of web-shop is SwitchWebShop.
func switchOutput(name string) string {
	out := "Switch"
	for part := range strings.SplitSeq(name, "-") {
		out += strings.ToUpper(part[:1]) + part[1:]
	}
	return out
}
