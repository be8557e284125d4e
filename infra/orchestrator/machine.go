package orchestrator

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/jsii-runtime-go"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/statemachine"
)

// Alias is the name under which executions are started. It points at the
// version that was deployed last.
const Alias = "live"

// machines makes both machines of the region from the one definition.
func (o *Orchestrator) machines(functionARNs map[string]*string) {
	for _, name := range []string{catalog.Failover, catalog.Failback} {
		o.machine(name, functionARNs)
	}
}

func (o *Orchestrator) machine(name string, functionARNs map[string]*string) {
	fullName := o.at.prefix + "-" + name
	substitutions := map[string]*string{"Machine": jsii.String(name)}
	for substitution, function := range statemachine.Steps {
		substitutions[substitution] = functionARNs[function]
	}
	// Log groups of this name need no entry of their own in a resource policy,
	// which has room for few.
	logs := o.logGroup(name+"-logs", "/aws/vendedlogs/states/"+fullName)
	principal := awsiam.NewServicePrincipal(jsii.String("states.amazonaws.com"), &awsiam.ServicePrincipalOpts{
		Conditions: &map[string]any{
			"StringEquals": map[string]string{"aws:SourceAccount": o.at.account},
			"ArnLike":      map[string]string{"aws:SourceArn": o.at.machineARN("*")},
		},
	})
	role := o.role(name+"-role", "Role of the state machine "+fullName, principal, o.machineStatements(name))
	machine := awsstepfunctions.NewStateMachine(o.construct, jsii.String(name), &awsstepfunctions.StateMachineProps{
		StateMachineName:        jsii.String(fullName),
		DefinitionBody:          awsstepfunctions.DefinitionBody_FromString(jsii.String(statemachine.Definition)),
		DefinitionSubstitutions: &substitutions,
		Role:                    role.WithoutPolicyUpdates(nil),
		TracingEnabled:          jsii.Bool(true),
		Logs: &awsstepfunctions.LogOptions{
			Destination: logs, Level: awsstepfunctions.LogLevel_ALL,
			// The input of a state may hold names of resources and never secrets,
			// and a failure cannot be understood without it.
			IncludeExecutionData: jsii.Bool(true),
		},
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})

	// The version follows the revision: a change of the definition publishes a
	// new one. The old one stays, since its executions may still run.
	version := awsstepfunctions.NewCfnStateMachineVersion(o.construct, jsii.String(name+"-version"), &awsstepfunctions.CfnStateMachineVersionProps{
		StateMachineArn: machine.StateMachineArn(), StateMachineRevisionId: machine.StateMachineRevisionId(),
	})
	version.ApplyRemovalPolicy(awscdk.RemovalPolicy_DESTROY, &awscdk.RemovalPolicyOptions{ApplyToUpdateReplacePolicy: jsii.Bool(false)})
	version.CfnOptions().SetUpdateReplacePolicy(awscdk.CfnDeletionPolicy_RETAIN)
	awsstepfunctions.NewCfnStateMachineAlias(o.construct, jsii.String(name+"-alias"), &awsstepfunctions.CfnStateMachineAliasProps{
		Name: jsii.String(Alias),
		RoutingConfiguration: []any{&awsstepfunctions.CfnStateMachineAlias_RoutingConfigurationVersionProperty{
			StateMachineVersionArn: version.AttrArn(), Weight: jsii.Number(100),
		}},
	})
	o.output(outputName(name), "What is started for a "+name, jsii.String(o.at.aliasARN(name)))
}

func outputName(machine string) string {
	if machine == catalog.Failover {
		return "FailoverMachine"
	}
	return "FailbackMachine"
}

// machineStatements is what a machine does itself: it invokes the functions,
// starts the children of its distributed maps, and reads and writes their
// items and results.
func (o *Orchestrator) machineStatements(name string) []catalog.Statement {
	invoke := catalog.Statement{Actions: []string{"lambda:InvokeFunction"}}
	for _, f := range functions() {
		if ofRules[f.name] {
			continue
		}
		invoke.Resources = append(invoke.Resources, o.at.functionARN(f.name))
	}
	self := o.at.machineARN(name)
	children := o.at.arn("states", "execution:"+o.at.prefix+"-"+name)
	statements := []catalog.Statement{
		invoke,
		{
			Actions: []string{"states:StartExecution"}, Resources: []string{self},
		},
		{
			Actions:   []string{"states:DescribeExecution", "states:RedriveExecution", "states:StopExecution"},
			Resources: []string{children + ":*", children + "/*"},
			Reason:    "Step Functions names the children of a distributed map",
		},
		{
			Actions:   []string{"s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"},
			Resources: []string{runs}, Reason: ofRuns,
		},
		{
			Actions: []string{
				"logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeLogGroups", "logs:DescribeResourcePolicies",
				"logs:GetLogDelivery", "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:UpdateLogDelivery",
			},
			Resources: []string{"*"}, Reason: "the delivery of logs knows no resource (Step Functions, logging in CloudWatch Logs)",
		},
		{
			Actions:   []string{"xray:GetSamplingRules", "xray:GetSamplingTargets", "xray:PutTelemetryRecords", "xray:PutTraceSegments"},
			Resources: []string{"*"}, Reason: "X-Ray knows no resource for traces",
		},
	}
	return append(statements, useKey(o.region.Key)...)
}
