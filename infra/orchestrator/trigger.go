package orchestrator

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/jsii-runtime-go"

	"dr-orchestrator/internal/catalog"
)

// trigger makes the rule that starts the failover of this region. It is there
// from the start, so that a recovery only has to switch it on or to send the
// event, and it is off unless configured.
func (o *Orchestrator) trigger(failover awsstepfunctions.CfnStateMachineAlias, queue awssqs.Queue) {
	t := o.region.Trigger
	name := o.at.prefix + "-start-failover"
	ruleARN := o.at.arn("events", "rule/"+name)

	target := o.at.aliasARN(catalog.Failover)
	principal := awsiam.NewServicePrincipal(jsii.String("events.amazonaws.com"), &awsiam.ServicePrincipalOpts{
		Conditions: &map[string]any{
			"StringEquals": map[string]string{"aws:SourceAccount": o.at.account},
			"ArnEquals":    map[string]string{"aws:SourceArn": ruleARN},
		},
	})
	role := o.role("trigger-role", "Role of the rule "+name, principal, []catalog.Statement{
		// IAM compares the ARN of the machine, whichever alias is started
		// (Step Functions developer guide, "Authorization for versions and
		// aliases").
		{Actions: []string{"states:StartExecution"}, Resources: []string{o.at.machineARN(catalog.Failover)}},
	})

	pattern := t.Pattern
	if len(pattern) == 0 {
		pattern = map[string]any{"source": []any{o.at.prefix + ".operator"}, "detail-type": []any{"Start Failover"}}
	}
	state := "DISABLED"
	if t.Enabled {
		state = "ENABLED"
	}
	properties := &awsevents.CfnRule_TargetProperty{
		Arn: jsii.String(target), Id: jsii.String("failover"), RoleArn: role.RoleArn(),
		DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: queue.QueueArn()},
		// A failover that begins hours after the event is a surprise.
		RetryPolicy: &awsevents.CfnRule_RetryPolicyProperty{MaximumEventAgeInSeconds: jsii.Number(900), MaximumRetryAttempts: jsii.Number(20)},
	}
	if t.Input != "" {
		properties.Input = jsii.String(t.Input)
	} else {
		properties.InputPath = jsii.String("$.detail")
	}
	rule := awsevents.NewCfnRule(o.construct, jsii.String("start-failover"), &awsevents.CfnRuleProps{
		Name: jsii.String(name), Description: jsii.String("Starts the failover to this region."),
		EventPattern: pattern, State: jsii.String(state), Targets: []any{properties},
	})
	rule.AddResourceDependency(failover, nil)
	o.undelivered(queue, "Undelivered", ruleARN)
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
	awslambda.NewCfnPermission(o.construct, jsii.String("closing-permission"), &awslambda.CfnPermissionProps{
		Action: jsii.String("lambda:InvokeFunction"), FunctionName: closeRun.FunctionName(),
		Principal: jsii.String("events.amazonaws.com"), SourceArn: jsii.String(ruleARN), SourceAccount: jsii.String(o.at.account),
	})
	o.undelivered(queue, "Unclosed", ruleARN)
}

// undelivered lets a rule leave events in the queue that its target did not
// take.
func (o *Orchestrator) undelivered(queue awssqs.Queue, sid, ruleARN string) {
	queue.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String(sid),
		Actions:    jsii.Strings("sqs:SendMessage"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("events.amazonaws.com"), nil)},
		Resources:  &[]*string{queue.QueueArn()},
		Conditions: &map[string]any{"ArnEquals": map[string]string{"aws:SourceArn": ruleARN}},
	}))
}
