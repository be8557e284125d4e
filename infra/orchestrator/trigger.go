package orchestrator

import (
	"encoding/json"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/jsii-runtime-go"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/guard"
)

// triggers makes the rules of the triggers of this region. Each rule hands its
// trigger to the guard, so that what is decided by is what is deployed, and
// needs to be read from nowhere.
func (o *Orchestrator) triggers(guardTrigger awslambda.Function, queue awssqs.Queue) {
	if len(o.region.Triggers) == 0 {
		return
	}
	for _, t := range o.region.Triggers {
		text, err := json.Marshal(t)
		if err != nil {
			panic(err) // plain data
		}
		target := func(id string) *awsevents.CfnRule_TargetProperty {
			return &awsevents.CfnRule_TargetProperty{
				Arn: guardTrigger.FunctionArn(), Id: jsii.String(id),
				DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: queue.QueueArn()},
			}
		}
		onEvent := target("guard")
		onEvent.InputTransformer = &awsevents.CfnRule_InputTransformerProperty{
			InputTemplate: jsii.String(`{"trigger":` + string(text) + `,"event":<aws.events.event.json>}`),
		}
		// A failover that begins hours after the event is a surprise.
		onEvent.RetryPolicy = &awsevents.CfnRule_RetryPolicyProperty{MaximumEventAgeInSeconds: jsii.Number(900), MaximumRetryAttempts: jsii.Number(20)}
		awsevents.NewCfnRule(o.construct, jsii.String("trigger-"+t.Name), &awsevents.CfnRuleProps{
			Name: jsii.String(o.at.prefix + "-trigger-" + t.Name), Description: jsii.String("Has the guard judge what the trigger " + t.Name + " is on."),
			EventPattern: t.Pattern(o.at.prefix), Targets: []any{onEvent},
		})
		if t.On != guard.OnAlarm {
			continue
		}
		again := target("again")
		again.Input = jsii.String(`{"trigger":` + string(text) + `}`)
		// The next minute brings the next look.
		again.RetryPolicy = &awsevents.CfnRule_RetryPolicyProperty{MaximumEventAgeInSeconds: jsii.Number(60), MaximumRetryAttempts: jsii.Number(1)}
		awsevents.NewCfnRule(o.construct, jsii.String("trigger-again-"+t.Name), &awsevents.CfnRuleProps{
			Name: jsii.String(o.at.prefix + "-trigger-again-" + t.Name), Description: jsii.String("Has the guard look again while alarms of the trigger " + t.Name + " are red."),
			ScheduleExpression: jsii.String("rate(1 minute)"), Targets: []any{again},
		})
	}
	ruleARN := o.at.arn("events", "rule/"+o.at.prefix+"-trigger-*")
	o.mayInvoke("triggers-permission", guardTrigger, ruleARN)
	o.undelivered(queue, "Undelivered", ruleARN)
}

// mayInvoke lets rules invoke a function.
func (o *Orchestrator) mayInvoke(id string, function awslambda.Function, ruleARN string) {
	awslambda.NewCfnPermission(o.construct, jsii.String(id), &awslambda.CfnPermissionProps{
		Action: jsii.String("lambda:InvokeFunction"), FunctionName: function.FunctionName(),
		Principal: jsii.String("events.amazonaws.com"), SourceArn: jsii.String(ruleARN), SourceAccount: jsii.String(o.at.account),
	})
}

// closing makes the rule that has a run closed whose machine was stopped, or
// was ended by Step Functions itself: such a machine runs no state any more.
func (o *Orchestrator) closing(closeRun awslambda.Function, queue awssqs.Queue) {
	name := o.at.prefix + "-close-run"
	ruleARN := o.at.arn("events", "rule/"+name)
	awsevents.NewCfnRule(o.construct, jsii.String("closing"), &awsevents.CfnRuleProps{
		Name: jsii.String(name), Description: jsii.String("Closes runs that ended without a report of their own."),
		EventPattern: map[string]any{
			"source": []any{"aws.states"}, "detail-type": []any{"Step Functions Execution Status Change"},
			"detail": map[string]any{
				"status":          []any{"ABORTED", "FAILED", "TIMED_OUT"},
				"stateMachineArn": []any{o.at.machineARN(catalog.Failover), o.at.machineARN(catalog.Failback)},
			},
		},
		Targets: []any{&awsevents.CfnRule_TargetProperty{
			Arn: closeRun.FunctionArn(), Id: jsii.String("close"),
			InputTransformer: &awsevents.CfnRule_InputTransformerProperty{
				InputPathsMap: map[string]string{"execution": "$.detail.executionArn"}, InputTemplate: jsii.String(`{"execution": <execution>}`),
			},
			DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: queue.QueueArn()},
		}},
	})
	o.mayInvoke("closing-permission", closeRun, ruleARN)
	o.undelivered(queue, "Unclosed", ruleARN)
}

// undelivered lets rules leave events in the queue that their target did not
// take.
func (o *Orchestrator) undelivered(queue awssqs.Queue, sid, ruleARN string) {
	queue.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String(sid),
		Actions:    jsii.Strings("sqs:SendMessage"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("events.amazonaws.com"), nil)},
		Resources:  &[]*string{queue.QueueArn()},
		Conditions: &map[string]any{"ArnLike": map[string]string{"aws:SourceArn": ruleARN}},
	}))
}
