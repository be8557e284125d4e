package orchestrator

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/jsii-runtime-go"

	"dr-orchestrator/infra/config"
	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/statemachine"
)

// A function must be dead before the machine gives its call up and makes the
// next one, so these stay below the TimeoutSeconds of the tasks.
const (
	actionTimeout = int(action.InvocationTime / time.Second) // DriveResource waits 90 s
	stepTimeout   = 110                                      // seconds; the steps' tasks wait 120
)

// Memory in MB. The processor grows with it, and with it the cold start
// shrinks. The steps hold the documents of a whole run.
const (
	actionMemory = 256
	stepMemory   = 512
)

// function is one Lambda function of the deployment.
type function struct {
	name       string
	doc        string
	statements []catalog.Statement
	isStep     bool
}

// functions lists what the deployment consists of: the rows of the catalog,
// and the steps of a run. A function that serves several
// rows has the permissions of them all.
func functions() []function {
	byName := map[string]function{}
	for _, e := range catalog.Entries {
		f := byName[e.Function]
		f.name, f.statements = e.Function, slices.Concat(f.statements, e.Statements)
		f.doc = strings.TrimSpace(f.doc + " " + e.Doc)
		byName[e.Function] = f
	}
	for name, statements := range stepStatements {
		byName[name] = function{name: name, doc: stepDocs[name], statements: statements, isStep: true}
	}
	for state, name := range statemachine.Steps {
		f := byName[name]
		f.doc = "The step " + state + " of a run."
		byName[name] = f
	}
	var all []function
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, byName[name])
	}
	return all
}

// Facts gives what a configuration is checked against, without the regions.
func Facts(build string) config.Facts {
	facts := config.Facts{Build: build}
	kinds, services := map[string]bool{}, map[string]bool{}
	// The functions read secrets only when configured to; an endpoint is asked
	// for regardless, so that allowing a secret later needs no change of network.
	services["ssm"], services["secretsmanager"] = true, true
	for _, f := range functions() {
		facts.Functions = append(facts.Functions, f.name)
		for _, s := range f.statements {
			for _, a := range s.Actions {
				services[endpoint(a)] = true
			}
			for _, r := range s.Resources {
				if k := kind(r); !f.isStep && k != "" && strings.HasSuffix(r, "*") {
					kinds[k] = true
				}
			}
		}
	}
	facts.Kinds = slices.Sorted(maps.Keys(kinds))
	delete(services, "iam") // iam:PassRole is looked at by the service that takes the role: nothing calls IAM
	facts.Services = slices.Sorted(maps.Keys(services))
	return facts
}

// endpoint gives the VPC endpoint service that an IAM action is called
// through. It has the action's prefix for a name, with one exception.
func endpoint(action string) string {
	service, _, _ := strings.Cut(action, ":")
	if service == "cloudwatch" {
		return "monitoring"
	}
	return service
}

// function makes one function with a role and a log group of its own.
func (o *Orchestrator) function(f function, environment map[string]*string) awslambda.Function {
	name := o.at.prefix + "-" + f.name
	logs := o.logGroup(f.name+"-logs", "/aws/lambda/"+name)

	memory, timeout := actionMemory, actionTimeout
	statements := slices.Clone(f.statements)
	switch {
	case f.isStep:
		memory, timeout = stepMemory, stepTimeout
		statements = append(statements, useKey(o.region.Key, "dynamodb", "s3", "sns")...)
	default:
		statements = append(statements, secretReferences(o.config.References)...)
	}
	if f.name == statemachine.Steps["PrepareRun"] {
		statements = append(statements, plainReferences(o.config.References)...)
	}
	if deadLettered[f.name] {
		statements = append(statements, leaveInQueue)
		statements = append(statements, useKey(o.region.Key, "sqs")...)
	}
	statements = append(statements,
		catalog.Statement{
			Actions: []string{"logs:CreateLogStream", "logs:PutLogEvents"}, Resources: []string{o.at.logGroupARN("/aws/lambda/" + name + ":*")},
			Reason: "Lambda names the streams of the group",
		},
		catalog.Statement{
			Actions: []string{"xray:PutTelemetryRecords", "xray:PutTraceSegments"}, Resources: []string{"*"},
			Reason: "X-Ray knows no resource for traces",
		})
	if o.region.VPC != nil {
		statements = append(statements, networkInterfaces)
	}
	role := o.role(f.name+"-role", "Role of the function "+name, awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil), statements)

	props := &awslambda.FunctionProps{
		FunctionName: jsii.String(name),
		Description:  jsii.String(shorten(f.doc, 256)),
		Runtime:      awslambda.Runtime_PROVIDED_AL2023(),
		Architecture: awslambda.Architecture_ARM_64(),
		Handler:      jsii.String("bootstrap"),
		Code: awslambda.Code_FromAsset(jsii.String(filepath.Join(o.build, f.name)), &awss3assets.AssetOptions{
			DisplayName: jsii.String(name),
		}),
		Role:                  role.WithoutPolicyUpdates(nil),
		MemorySize:            jsii.Number(memory),
		Timeout:               awscdk.Duration_Seconds(jsii.Number(timeout)),
		LogGroup:              logs,
		LoggingFormat:         awslambda.LoggingFormat_JSON,
		ApplicationLogLevelV2: awslambda.ApplicationLogLevel_INFO,
		SystemLogLevelV2:      awslambda.SystemLogLevel_WARN,
		Tracing:               awslambda.Tracing_ACTIVE,
		Environment:           &environment,
	}
	if n, ok := o.config.ReservedConcurrency[f.name]; ok {
		props.ReservedConcurrentExecutions = jsii.Number(n)
	}
	fn := awslambda.NewFunction(o.construct, jsii.String(f.name), props)
	if v := o.region.VPC; v != nil {
		// By ids alone: the class for a VPC wants its zones and route tables, too.
		fn.Node().DefaultChild().(awslambda.CfnFunction).SetVpcConfig(&awslambda.CfnFunction_VpcConfigProperty{
			SubnetIds: jsii.Strings(v.Subnets...), SecurityGroupIds: jsii.Strings(v.SecurityGroups...),
		})
	}
	if deadLettered[f.name] {
		// The class would grant what the role has already.
		fn.Node().DefaultChild().(awslambda.CfnFunction).SetDeadLetterConfig(&awslambda.CfnFunction_DeadLetterConfigProperty{TargetArn: o.queue.QueueArn()})
	}
	return fn
}

// networkInterfaces is what Lambda does in the name of a function in a VPC.
var networkInterfaces = catalog.Statement{
	Actions: []string{
		"ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
		"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
	},
	Resources: []string{"*"},
	Reason:    "Lambda checks that the role allows these on every resource before it makes the interfaces of a function in a VPC",
}

// role makes a role that holds the statements and nothing else.
func (o *Orchestrator) role(id, description string, principal awsiam.IPrincipal, statements []catalog.Statement) awsiam.Role {
	policy := awsiam.NewPolicyDocument(nil)
	role := awsiam.NewRole(o.construct, jsii.String(id), &awsiam.RoleProps{
		AssumedBy: principal, Description: jsii.String(description),
		InlinePolicies: &map[string]awsiam.PolicyDocument{"permissions": policy},
	})
	o.at.grant(role, policy, statements)
	return role
}

func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.TrimSpace(text[:limit-3]) + "..."
}
