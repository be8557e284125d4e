package orchestrator

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"

	"dr-orchestrator/infra/config"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/run"
	"dr-orchestrator/internal/steps"
	"dr-orchestrator/statemachine"
)

// place turns the placeholders of the catalog and of the steps into the values
// of one region. ARNs become literal text, so that a reader of the
// template sees what a role may touch, and no reference binds two resources.
type place struct {
	partition, account, region, prefix string
	names                              map[string][]string // by kind of resource, as in rds:db
}

func (p place) bucket() string { return fmt.Sprintf("%s-%s-%s", p.prefix, p.account, p.region) }

func (p place) arn(service, rest string) string {
	return fmt.Sprintf("arn:%s:%s:%s:%s:%s", p.partition, service, p.region, p.account, rest)
}

func (p place) machineARN(machine string) string {
	return p.arn("states", "stateMachine:"+p.prefix+"-"+machine)
}

func (p place) aliasARN(machine string) string { return p.machineARN(machine) + ":" + Alias }

func (p place) functionARN(name string) string {
	return p.arn("lambda", "function:"+p.prefix+"-"+name)
}

func (p place) logGroupARN(name string) string { return p.arn("logs", "log-group:"+name) }

// fill gives the ARNs that one resource of a catalog statement stands for:
// more than one where the configuration names patterns for its kind.
func (p place) fill(resource string) []string {
	arn := strings.NewReplacer(
		"${Partition}", p.partition, "${Account}", p.account, "${Region}", p.region, "${Prefix}", p.prefix,
	).Replace(resource)
	if strings.Contains(arn, "${") {
		panic("a placeholder that nobody fills in: " + resource)
	}
	// stack/*/* is a name and an id: the pattern covers both.
	for strings.HasSuffix(arn, "*/*") {
		arn = strings.TrimSuffix(arn, "/*")
	}
	open, isOpen := strings.CutSuffix(arn, "*")
	patterns := p.names[kind(resource)]
	if !isOpen || len(patterns) == 0 {
		return []string{arn}
	}
	var arns []string
	for _, pattern := range patterns {
		arns = append(arns, open+pattern)
	}
	return arns
}

// kind tells what an ARN names: its service and the first word of the rest,
// such as rds:db or elasticache:replicationgroup; only the service where the
// rest is a name and nothing more, as for a bucket. "*" has no kind.
func kind(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	end := strings.IndexAny(parts[5], ":/")
	if end <= 0 {
		return parts[2]
	}
	return parts[2] + ":" + parts[5][:end]
}

// grant writes statements, and nothing else, into the policy of a role. A
// wildcard needs a reason: the statement's own, or that the configuration does
// not narrow the kind. Helpers of CDK that grant are not used anywhere, for
// what they grant is wider than what the code calls.
func (p place) grant(role awsiam.Role, policy awsiam.PolicyDocument, statements []catalog.Statement) {
	for _, s := range statements {
		var resources []string
		for _, r := range s.Resources {
			resources = append(resources, p.fill(r)...)
		}
		properties := &awsiam.PolicyStatementProps{Actions: jsii.Strings(s.Actions...), Resources: jsii.Strings(resources...)}
		equal := map[string]any{}
		for key, values := range s.Conditions {
			equal[key] = values
		}
		if len(s.Via) > 0 {
			var via []string
			for _, service := range s.Via {
				via = append(via, service+"."+p.region+".amazonaws.com")
			}
			equal["kms:ViaService"] = via
		}
		if len(equal) > 0 {
			properties.Conditions = &map[string]any{"StringEquals": equal}
		}
		policy.AddStatements(awsiam.NewPolicyStatement(properties))
		for _, r := range resources {
			if !strings.Contains(r, "*") {
				continue
			}
			reason := s.Reason
			if reason == "" && r == "*" {
				panic(fmt.Sprintf("%v on * states no reason", s.Actions))
			}
			if reason == "" {
				reason = "payloads name the resources; the resources entry of the configuration narrows " + kind(r)
			}
			suppress(role, "AwsSolutions-IAM5", reason, "Resource::"+r)
		}
	}
}

// suppress silences one finding of cdk-nag on one construct, and says why.
func suppress(construct any, rule, reason string, appliesTo ...string) {
	suppression := &cdknag.NagPackSuppression{Id: jsii.String(rule), Reason: jsii.String(reason)}
	if len(appliesTo) > 0 {
		var to []any
		for _, a := range appliesTo {
			to = append(to, a)
		}
		suppression.AppliesTo = &to
	}
	cdknag.NagSuppressions_AddResourceSuppressions(construct, &[]*cdknag.NagPackSuppression{suppression}, jsii.Bool(true))
}

// useKey is what it takes to read and write what the region's key encrypts,
// through some services.
func useKey(key string, services ...string) []catalog.Statement {
	if key == "" {
		return nil
	}
	return []catalog.Statement{{Actions: []string{"kms:Decrypt", "kms:GenerateDataKey"}, Resources: []string{key}, Via: services}}
}

// deadLettered are the functions whose last failure leaves its event in the
// queue: rules invoke them asynchronously, and hear of no failure.
var deadLettered = map[string]bool{statemachine.CloseRun: true, steps.GuardTrigger: true}

// leaveInQueue is what Lambda does in the name of a function whose invocation
// has failed for good (Lambda developer guide, "Dead-letter queues").
var leaveInQueue = catalog.Statement{Actions: []string{"sqs:SendMessage"}, Resources: []string{"arn:${Partition}:sqs:${Region}:${Account}:${Prefix}-dead-letters"}}

const (
	runBucket = "arn:${Partition}:s3:::${Prefix}-${Account}-${Region}"
	runs      = runBucket + "/runs/*"
	ofRuns    = "the bucket's documents are named after executions"
)

// stepStatements holds what each function of the run itself may do. Beside the
// placeholders of the catalog, ${Prefix} begins every name.
var stepStatements = map[string][]catalog.Statement{
	"prepare-run": {
		{Actions: []string{"s3:PutObject"}, Resources: []string{runs}, Reason: ofRuns},
		{Actions: []string{"s3:GetObject"}, Resources: []string{runBucket + "/payloads/*"}, Reason: "stored payloads are named by whoever stores them"},
		tellAbsence, tellEvents,
		{
			Actions: []string{"ssm:GetParameters"}, Resources: []string{"arn:${Partition}:ssm:${Region}:${Account}:parameter/${Prefix}/payloads/*"},
			Reason: "stored payloads are named by whoever stores them",
		},
		{Actions: []string{"cloudformation:ListExports"}, Resources: []string{"*"}, Reason: "ListExports knows no resource"},
	},
	"record-readiness": {
		{Actions: []string{"s3:GetObject", "s3:PutObject"}, Resources: []string{runs}, Reason: ofRuns},
	},
	"request-approval": {
		{Actions: []string{"s3:GetObject"}, Resources: []string{runs}, Reason: ofRuns},
		tellEvents, tellPeople,
	},
	"set-locks": {
		{Actions: []string{"s3:GetObject", "s3:PutObject"}, Resources: []string{runs}, Reason: ofRuns},
		{Actions: []string{"dynamodb:DeleteItem", "dynamodb:PutItem"}, Resources: []string{lockTable}},
		{
			Actions: []string{"states:DescribeExecution"}, Resources: []string{"arn:${Partition}:states:${Region}:${Account}:execution:${Prefix}-*"},
			Reason: "executions of both machines may hold a lock, and are named when they are started",
		},
	},
	"record-layer": {
		{Actions: []string{"s3:GetObject", "s3:PutObject"}, Resources: []string{runs}, Reason: ofRuns},
		tellEvents,
	},
	"record-report": {
		{Actions: []string{"s3:GetObject", "s3:PutObject"}, Resources: []string{runs}, Reason: ofRuns},
		tellAbsence, tellEvents, tellPeople,
	},
	statemachine.CloseRun: {
		{Actions: []string{"s3:GetObject", "s3:PutObject"}, Resources: []string{runs}, Reason: ofRuns},
		tellAbsence,
		{
			Actions:   []string{"states:DescribeExecution", "states:GetExecutionHistory", "states:ListMapRuns"},
			Resources: []string{"arn:${Partition}:states:${Region}:${Account}:execution:${Prefix}-*"},
			Reason:    "executions of both machines, and their children, are named when they are started",
		},
		{
			Actions: []string{"states:ListExecutions"}, Resources: []string{"arn:${Partition}:states:${Region}:${Account}:mapRun:${Prefix}-*"},
			Reason: "Step Functions names the map runs",
		},
		tellEvents, tellPeople,
	},
	steps.GuardTrigger: {
		{Actions: []string{"cloudwatch:DescribeAlarms"}, Resources: []string{"*"}, Reason: "only who may describe all alarms is told of composite ones (CloudWatch API reference, DescribeAlarms)"},
		{Actions: []string{"cloudwatch:ListTagsForResource"}, Resources: []string{"arn:${Partition}:cloudwatch:${Region}:${Account}:alarm:*"}, Reason: "triggers may name alarms by a tag, and alarms are named by whoever makes them"},
		{Actions: []string{"dynamodb:GetItem", "dynamodb:PutItem"}, Resources: []string{lockTable}},
		{Actions: []string{"states:StartExecution"}, Resources: []string{failover}},
		{Actions: []string{"states:ListExecutions"}, Resources: []string{failover, failback}},
		{
			Actions: []string{"states:DescribeExecution"}, Resources: []string{"arn:${Partition}:states:${Region}:${Account}:execution:${Prefix}-*"},
			Reason: "executions are named when they are started",
		},
		tellEvents, tellPeople,
	},
	steps.CheckPlans: {
		tellAbsence,
		{Actions: []string{"s3:GetObject"}, Resources: []string{runBucket + "/" + run.ReadinessFolder + "*"}, Reason: "stored payloads are named by whoever stores them"},
		{Actions: []string{"states:ListExecutions", "states:StartExecution"}, Resources: []string{failover}},
		{
			Actions:   []string{"elasticache:DescribeGlobalReplicationGroups", "rds:DescribeDBInstances", "rds:DescribeGlobalClusters"},
			Resources: []string{"*"}, Reason: "it looks for databases that nothing names",
		},
		tellEvents,
	},
}

// The machines. IAM compares the ARN of the machine, whichever alias is started
// (Step Functions developer guide, "Authorization for versions and aliases").
const (
	failover = "arn:${Partition}:states:${Region}:${Account}:stateMachine:${Prefix}-" + catalog.Failover
	failback = "arn:${Partition}:states:${Region}:${Account}:stateMachine:${Prefix}-" + catalog.Failback
)

// ofRules are the functions that rules call, and no machine.
var ofRules = map[string]bool{statemachine.CloseRun: true, steps.GuardTrigger: true, steps.CheckPlans: true}

const lockTable = "arn:${Partition}:dynamodb:${Region}:${Account}:table/${Prefix}-locks"

// tellAbsence lets S3 say that an object is not there: who may not list the
// bucket is denied instead (S3 API reference, GetObject).
var tellAbsence = catalog.Statement{Actions: []string{"s3:ListBucket"}, Resources: []string{runBucket}}

// Where what happens is told.
var (
	tellEvents = catalog.Statement{Actions: []string{"events:PutEvents"}, Resources: []string{"arn:${Partition}:events:${Region}:${Account}:event-bus/default"}}
	tellPeople = catalog.Statement{Actions: []string{"sns:Publish"}, Resources: []string{"arn:${Partition}:sns:${Region}:${Account}:${Prefix}"}}
)

// stepDocs say what the steps do that the machine does not call.
var stepDocs = map[string]string{
	statemachine.CloseRun: "Closes a run whose machine was stopped: reports what was under way.",
	steps.GuardTrigger:    "Decides whether an event starts a failover, and says why.",
	steps.CheckPlans:      "Has the stored payloads planned, and looks for databases that stand in none.",
}

const asNamed = "the references entry of the configuration names them"

// plainReferences is what it takes to replace the references of a payload:
// values of parameters, and that a secret is there.
func plainReferences(r config.References) []catalog.Statement {
	return append(
		named("ssm:GetParameters", parameter, slices.Concat(r.Parameters, r.SecureParameters)),
		named("secretsmanager:DescribeSecret", secret, r.Secrets)...)
}

// secretReferences is what it takes to read the secrets that a payload names.
func secretReferences(r config.References) []catalog.Statement {
	statements := append(
		named("ssm:GetParameter", parameter, r.SecureParameters),
		named("secretsmanager:GetSecretValue", secret, r.Secrets)...)
	if len(r.Keys) > 0 {
		statements = append(statements, catalog.Statement{Actions: []string{"kms:Decrypt"}, Resources: r.Keys, Via: []string{"secretsmanager", "ssm"}})
	}
	return statements
}

func named(action string, arn func(string) string, patterns []string) []catalog.Statement {
	if len(patterns) == 0 {
		return nil
	}
	s := catalog.Statement{Actions: []string{action}, Reason: asNamed}
	for _, pattern := range patterns {
		s.Resources = append(s.Resources, arn(pattern))
	}
	return []catalog.Statement{s}
}

func parameter(pattern string) string {
	return "arn:${Partition}:ssm:${Region}:${Account}:parameter/" + strings.TrimPrefix(pattern, "/")
}

// secret gives the ARN of a secret, which ends in six characters that nobody
// chooses.
func secret(pattern string) string {
	arn := "arn:${Partition}:secretsmanager:${Region}:${Account}:secret:" + pattern
	if strings.HasSuffix(pattern, "*") {
		return arn
	}
	return arn + "-??????"
}
