package orchestrator

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/healthcheck"
)

// cloudWatch has the alarms of a template, as OK, and as ALARM after a datapoint.
type cloudWatch struct {
	tpl  template
	t    *testing.T
	puts []*cloudwatch.PutMetricDataInput
}

func (c *cloudWatch) DescribeAlarms(_ context.Context, in *cloudwatch.DescribeAlarmsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error) {
	out := &cloudwatch.DescribeAlarmsOutput{}
	for _, r := range c.tpl.of(c.t, "AWS::CloudWatch::Alarm") {
		if r.Properties["AlarmName"] != in.AlarmNames[0] {
			continue
		}
		// The properties of the resource have the names of the API's fields.
		alarm := cwtypes.MetricAlarm{StateValue: cwtypes.StateValueOk}
		if len(c.puts) > 0 {
			alarm.StateValue = cwtypes.StateValueAlarm
		}
		properties := maps.Clone(r.Properties)
		delete(properties, "AlarmActions") // references
		if err := json.Unmarshal([]byte(text(properties)), &alarm); err != nil {
			c.t.Fatal(err)
		}
		out.MetricAlarms = append(out.MetricAlarms, alarm)
	}
	return out, nil
}

func (c *cloudWatch) GetMetricData(_ context.Context, in *cloudwatch.GetMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error) {
	asked, result := in.MetricDataQueries[0].MetricStat.Metric, cwtypes.MetricDataResult{}
	for _, put := range c.puts {
		d := put.MetricData[0]
		if *asked.Namespace == *put.Namespace && *asked.MetricName == *d.MetricName && *asked.Dimensions[0].Name == *d.Dimensions[0].Name && *asked.Dimensions[0].Value == *d.Dimensions[0].Value {
			result.Timestamps, result.Values = []time.Time{*in.EndTime}, []float64{*d.Value}
		}
	}
	return &cloudwatch.GetMetricDataOutput{MetricDataResults: []cwtypes.MetricDataResult{result}}, nil
}

func (c *cloudWatch) PutMetricData(_ context.Context, in *cloudwatch.PutMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.PutMetricDataOutput, error) {
	c.puts = append(c.puts, in)
	return &cloudwatch.PutMetricDataOutput{}, nil
}

// The function takes the alarms of the template for switches, and writes the
// very metric that the template has them watch, and reads it back.
func TestSwitchesAreFlippedByTheFunction(t *testing.T) {
	for _, tpl := range []template{synthesized(t, "full").primary, synthesized(t, "full").secondary} {
		for _, name := range []string{"recovery-switch-orders", "recovery-switch-web-shop"} {
			fake := &cloudWatch{tpl: tpl, t: t}
			flip := healthcheck.Switching{CloudWatch: func(string) healthcheck.SwitchAPI { return fake }}
			req := action.Request[healthcheck.SwitchParameters]{
				Parameters: healthcheck.SwitchParameters{AlarmName: name, State: "ALARM"}, Run: action.Run{Region: secondary}, Now: time.Now(),
			}
			progress, err := flip.Reconcile(t.Context(), req)
			if err != nil || !progress.Changed || len(fake.puts) != 1 {
				t.Fatalf("%s: %+v, %v", name, progress, err)
			}
			want := &cloudwatch.PutMetricDataInput{Namespace: aws.String("DisasterRecovery"), MetricData: []cwtypes.MetricDatum{{
				MetricName: aws.String("Switch"), Dimensions: []cwtypes.Dimension{{Name: aws.String("Alarm"), Value: aws.String(name)}}, Value: aws.Float64(2),
			}}}
			if diff := cmp.Diff(want, fake.puts[0], cmpopts.IgnoreUnexported(cloudwatch.PutMetricDataInput{}, cwtypes.MetricDatum{}, cwtypes.Dimension{})); diff != "" {
				t.Errorf("%s (-of the template +written):\n%s", name, diff)
			}
			if progress, err = flip.Reconcile(t.Context(), req); err != nil || progress.Status != action.Done || len(fake.puts) != 1 {
				t.Errorf("%s, once it shows: %+v, %v", name, progress, err)
			}
		}
	}
}

// Each switch has a health check on the alarm of its own region, which an output
// tells, and without switches there is neither.
func TestSwitches(t *testing.T) {
	if plain := synthesized(t, "plain"); strings.Contains(plain.primary.text, "AWS::Route53::HealthCheck") {
		t.Error("there is a health check without a switch")
	}
	for region, tpl := range map[string]template{primary: synthesized(t, "full").primary, secondary: synthesized(t, "full").secondary} {
		var outputs struct{ Outputs map[string]object }
		body, err := os.ReadFile(tpl.path)
		if err != nil || json.Unmarshal(body, &outputs) != nil {
			t.Fatal(err)
		}
		checks := tpl.of(t, "AWS::Route53::HealthCheck")
		if len(checks) != 2 {
			t.Errorf("%s: %d health checks", region, len(checks))
		}
		for output, alarm := range map[string]string{"SwitchOrders": "recovery-switch-orders", "SwitchWebShop": "recovery-switch-web-shop"} {
			id, _ := at(outputs.Outputs[output], "Value.Fn::GetAtt.0").(string)
			want(t, output, outputs.Outputs[output], "Value.Fn::GetAtt.1", "HealthCheckId")
			want(t, output, checks[id].Properties, "HealthCheckConfig", object{
				"Type": "CLOUDWATCH_METRIC", "InsufficientDataHealthStatus": "LastKnownStatus", "AlarmIdentifier": object{"Name": alarm, "Region": region},
			})
			want(t, output, checks[id].Properties, "HealthCheckTags", []object{
				{"Key": "application", "Value": "recovery"}, {"Key": "cost-centre", "Value": "4711"}, {"Key": "Name", "Value": alarm}})
			depends := false
			for _, on := range checks[id].DependsOn {
				depends = depends || tpl.Resources[on].Properties["AlarmName"] == alarm
			}
			if !depends {
				t.Errorf("%s is made before its alarm: %v", id, checks[id].DependsOn)
			}
		}
		for id, r := range tpl.of(t, "AWS::CloudWatch::Alarm") {
			if name, _ := r.Properties["AlarmName"].(string); strings.HasPrefix(name, "recovery-switch-") {
				// What Route 53 can watch, and what keeps its state.
				for property, value := range map[string]any{"Period": 60, "EvaluationPeriods": 1, "Statistic": "Maximum", "TreatMissingData": "ignore", "Metrics": nil, "DatapointsToAlarm": nil} {
					want(t, id, r.Properties, property, value)
				}
			}
		}
	}
}
