package lab

import (
	"strings"

	"dr-orchestrator/internal/policy"
)

// Policies are what each function's role may do, by the function's name
// without prefix. A lab that has them denies everything else.
type Policies map[string]policy.Policy

// Use is one permission that a function made use of.
type Use struct{ Function, Action string }

// permit checks a call of a function against its role. Every resource that the
// call touches must be allowed.
func (a *Account) permit(c *Call) error {
	if a.policies == nil || c.invocation == nil {
		return nil
	}
	name := c.invocation.function
	for _, resource := range a.resources(c) {
		if !a.policies[name].Allows(c.name(), resource) {
			return fail(403, "AccessDenied", "User: arn:aws:sts::%s:assumed-role/%s%s/%s%s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action",
				a.Estate.Account, FunctionPrefix, name, FunctionPrefix, name, c.name(), resource, c.name())
		}
	}
	a.used[Use{name, c.name()}] = true
	return nil
}

// resources gives the ARNs that IAM compares for a call, from the Service
// Authorization Reference.
func (a *Account) resources(c *Call) []string {
	arn := func(service, region, rest string) string {
		return strings.Join([]string{"arn", "aws", service, region, a.Estate.Account, rest}, ":")
	}
	named := func(service, region, kind, parameter string) []string {
		name := lastName(c.Params.str(parameter))
		if name == "" {
			name = "*"
		}
		return []string{arn(service, region, kind+":"+name)}
	}
	switch c.name() {
	case "rds:DescribeDBInstances", "rds:PromoteReadReplica", "rds:ModifyDBInstance":
		return named("rds", c.Region, "db", "DBInstanceIdentifier")
	case "rds:DescribeDBClusters":
		return named("rds", c.Region, "cluster", "DBClusterIdentifier")
	case "rds:DescribeGlobalClusters":
		return named("rds", "", "global-cluster", "GlobalClusterIdentifier")
	case "rds:SwitchoverGlobalCluster", "rds:FailoverGlobalCluster", "rds:RemoveFromGlobalCluster":
		all := named("rds", "", "global-cluster", "GlobalClusterIdentifier")
		if g := a.Estate.global(c.Params.str("GlobalClusterIdentifier")); g != nil {
			for _, m := range g.Members {
				all = append(all, m.ARN)
			}
		}
		return all
	case "elasticache:DescribeGlobalReplicationGroups":
		return named("elasticache", "", "globalreplicationgroup", "GlobalReplicationGroupId")
	case "elasticache:DescribeReplicationGroups":
		return named("elasticache", c.Region, "replicationgroup", "ReplicationGroupId")
	case "elasticache:FailoverGlobalReplicationGroup":
		return append(named("elasticache", "", "globalreplicationgroup", "GlobalReplicationGroupId"),
			arn("elasticache", c.Params.str("PrimaryRegion"), "replicationgroup:"+c.Params.str("PrimaryReplicationGroupId")))
	case "s3:GetObject", "s3:PutObject":
		return []string{"arn:aws:s3:::" + c.Params.str("Bucket") + "/" + c.Params.str("Key")}
	case "s3:ListBucket":
		return []string{"arn:aws:s3:::" + c.Params.str("Bucket")}
	case "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem":
		return []string{arn("dynamodb", c.Region, "table/"+c.Params.str("TableName"))}
	case "states:DescribeExecution", "states:GetExecutionHistory", "states:ListMapRuns", "states:StopExecution":
		return []string{c.Params.str("executionArn")}
	case "states:ListExecutions":
		return []string{c.Params.str("stateMachineArn") + c.Params.str("mapRunArn")}
	case "states:StartExecution":
		_, name, _ := strings.Cut(c.Params.str("stateMachineArn"), ":stateMachine:")
		machine, _, _ := strings.Cut(name, ":") // IAM knows no alias
		return []string{a.machineARN(c.Region, machine)}
	case "sns:Publish":
		return []string{c.Params.str("TopicArn")}
	case "events:PutEvents":
		return []string{arn("events", c.Region, "event-bus/default")}
	case "ssm:GetParameter":
		return []string{arn("ssm", c.Region, "parameter/"+parameterName(c.Params.str("Name")))}
	case "ssm:GetParameters":
		var all []string
		for _, name := range c.Params.list("Names", "") {
			all = append(all, arn("ssm", c.Region, "parameter/"+parameterName(name)))
		}
		return all
	case "secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue":
		return []string{a.secretARN(c.Region, c.Params.str("SecretId"))}
	}
	return []string{"*"}
}

func parameterName(selector string) string {
	name, _, _ := strings.Cut(selector, ":")
	return strings.TrimPrefix(name, "/")
}
