package orchestrator

import (
	"fmt"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/jsii-runtime-go"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/console"
	"dr-orchestrator/internal/run"
	"dr-orchestrator/statemachine"
)

// dashboard shows a region on one page: whether it is ready, how far replicas
// are behind, what ran and how long it took, and what rings.
func (o *Orchestrator) dashboard() {
	dashboard := awscloudwatch.NewDashboard(o.construct, jsii.String("dashboard"), &awscloudwatch.DashboardProps{
		DashboardName: jsii.String(o.at.prefix), DefaultInterval: awscdk.Duration_Days(jsii.Number(7)), PeriodOverride: awscloudwatch.PeriodOverride_INHERIT,
	})
	for name := range o.config.Tags { // CDK puts them on, and not every region knows them there
		awscdk.Tags_Of(dashboard).Remove(jsii.String(name), nil)
	}
	dashboard.AddWidgets(awscloudwatch.NewTextWidget(&awscloudwatch.TextWidgetProps{Markdown: jsii.String(o.heading()), Width: jsii.Number(24), Height: jsii.Number(3)}))
	dashboard.AddWidgets(awscloudwatch.NewAlarmStatusWidget(&awscloudwatch.AlarmStatusWidgetProps{
		Title: jsii.String("Alarms"), Alarms: &o.rings, Width: jsii.Number(24), Height: jsii.Number(3),
	}))
	dashboard.AddWidgets(
		o.search("Plans: ready (1) or not (0)", run.MetricPlanReady, "Minimum", run.DimensionDeployment+","+run.DimensionPayload, "PROP('Dim."+run.DimensionPayload+"')"),
		o.search("Replication lag before acting, as plans see it (s)", run.MetricLag, "Maximum", run.DimensionDeployment+","+run.DimensionType+","+run.DimensionResource, "PROP('Dim."+run.DimensionResource+"')"),
	)
	dashboard.AddWidgets(
		o.search("RTO: duration of runs that succeeded (s)", run.MetricRecoveryTime, "Maximum", run.DimensionDeployment+","+run.DimensionMachine, "PROP('Dim."+run.DimensionMachine+"')"),
		o.search("RTO of resources (s)", run.MetricRecoveryTime, "Maximum", run.DimensionDeployment+","+run.DimensionType+","+run.DimensionResource, "PROP('Dim."+run.DimensionResource+"')"),
		o.search("RPO: lag of resources before they were acted on (s)", run.MetricRecoveryPoint, "Maximum", run.DimensionDeployment+","+run.DimensionType+","+run.DimensionResource, "PROP('Dim."+run.DimensionResource+"')"),
	)
	dashboard.AddWidgets(
		o.search("Time added by the orchestrator (s)", run.MetricAddedTime, "Maximum", run.DimensionDeployment+","+run.DimensionMachine, "PROP('Dim."+run.DimensionMachine+"')"),
		o.search("Decisions of the guard", run.MetricDecisions, "Sum", run.DimensionDeployment+","+run.DimensionTrigger+","+run.DimensionAction, "CONCAT(PROP('Dim."+run.DimensionTrigger+"'), ' ', PROP('Dim."+run.DimensionAction+"'))"),
		awscloudwatch.NewGraphWidget(&awscloudwatch.GraphWidgetProps{
			Title: jsii.String("Databases that stand in no stored payload"), Region: jsii.String(o.at.region), Width: jsii.Number(8),
			Left: &[]awscloudwatch.IMetric{o.metric(run.MetricUncovered, "Maximum", o.checkPeriod())},
		}),
	)
	dashboard.AddWidgets(awscloudwatch.NewLogQueryWidget(&awscloudwatch.LogQueryWidgetProps{
		Title: jsii.String("Last runs"), Region: jsii.String(o.at.region), Width: jsii.Number(24), Height: jsii.Number(6), View: awscloudwatch.LogQueryVisualizationType_TABLE,
		LogGroupNames: jsii.Strings("/aws/lambda/"+o.at.prefix+"-record-report", "/aws/lambda/"+o.at.prefix+"-"+statemachine.CloseRun),
		QueryLines: jsii.Strings(
			"filter ispresent("+run.MetricRunFailed+") and ispresent(execution)",
			"fields @timestamp, "+run.DimensionMachine+", outcome, "+run.MetricRecoveryTime+", "+run.MetricFailures+", "+run.PropertyURL,
			"sort @timestamp desc", "limit 20"),
	}))
}

// search draws every metric of a name, whatever its dimensions have for values.
func (o *Orchestrator) search(title, metric, statistic, dimensions, label string) awscloudwatch.IWidget {
	period := awscdk.Duration_Minutes(jsii.Number(5))
	expression := fmt.Sprintf(`SEARCH('{%s,%s} MetricName="%s" %s="%s"', '%s', 300)`, run.MetricNamespace, dimensions, metric, run.DimensionDeployment, o.at.prefix, statistic)
	return awscloudwatch.NewGraphWidget(&awscloudwatch.GraphWidgetProps{
		Title: jsii.String(title), Region: jsii.String(o.at.region), Width: jsii.Number(8), Period: period, LiveData: jsii.Bool(true),
		Left: &[]awscloudwatch.IMetric{awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
			Expression: jsii.String(expression), Label: jsii.String("${" + label + "}"), UsingMetrics: &map[string]awscloudwatch.IMetric{}, Period: period,
		})},
	})
}

// heading leads to the machines, whose pages list their executions, and to the
// reports.
func (o *Orchestrator) heading() string {
	failover := console.Machine(o.at.machineARN(catalog.Failover))
	home, _, _ := strings.Cut(failover, "states/home")
	return fmt.Sprintf("# %s in %s\n[failover: its executions](%s) · [failback: its executions](%s) · [reports](%ss3/buckets/%s?region=%s&prefix=runs/)", o.at.prefix, o.at.region,
		failover, console.Machine(o.at.machineARN(catalog.Failback)), home, o.at.bucket(), o.at.region)
}
