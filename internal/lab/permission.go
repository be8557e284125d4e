package lab

import (
	"cmp"
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
	needed := []need{{c.name(), a.resources(c)}}
	for _, n := range append(needed, a.impliedBy(c)...) {
		for _, resource := range n.resources {
			if !a.policies[name].Allows(n.action, resource) {
				return fail(403, "AccessDenied", "User: arn:aws:sts::%s:assumed-role/%s%s/%s%s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action",
					a.Estate.Account, FunctionPrefix, name, FunctionPrefix, name, n.action, resource, n.action)
			}
		}
		a.used[Use{name, n.action}] = true
	}
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
	case "rds:AddTagsToResource":
		return []string{c.Params.str("ResourceName")}
	case "rds:ModifyDBCluster", "rds:StopDBCluster", "rds:StartDBCluster":
		return named("rds", c.Region, "cluster", "DBClusterIdentifier")
	case "rds:RebootDBInstance", "rds:StopDBInstance", "rds:StartDBInstance", "rds:SwitchoverReadReplica":
		return named("rds", c.Region, "db", "DBInstanceIdentifier")
	case "rds:CreateDBInstanceReadReplica", "rds:CreateDBSnapshot", "rds:DescribeDBSnapshots", "rds:DescribeDBSubnetGroups":
		return a.resourcesOfCreation(c)
	case "rds:DescribeDBInstances", "rds:PromoteReadReplica", "rds:ModifyDBInstance", "rds:DeleteDBInstance":
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
	case "lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping":
		return []string{arn("lambda", c.Region, "event-source-mapping:"+c.Params.str("UUID"))}
	case "events:DescribeRule", "events:EnableRule", "events:DisableRule":
		name := c.Params.str("Name")
		if bus := c.Params.str("EventBusName"); bus != "" && bus != "default" {
			name = bus + "/" + name
		}
		return []string{arn("events", c.Region, "rule/"+name)}
	case "scheduler:GetSchedule", "scheduler:UpdateSchedule":
		return []string{arn("scheduler", c.Region, "schedule/"+cmp.Or(c.Params.str("GroupName"), c.Params.str("groupName"), "default")+"/"+c.Params.str("Name"))}
	case "route53:GetHealthCheck", "route53:UpdateHealthCheck":
		return []string{"arn:aws:route53:::healthcheck/" + c.Params.str("HealthCheckId")}
	case "cloudwatch:DescribeAlarms":
		if types := c.Params.list("AlarmTypes", ""); len(types) == 1 && types[0] == "MetricAlarm" {
			var all []string
			for _, name := range c.Params.list("AlarmNames", "") {
				all = append(all, arn("cloudwatch", c.Region, "alarm:"+name))
			}
			return all
		}
	case "route53-recovery-cluster:GetRoutingControlState":
		return []string{c.Params.str("RoutingControlArn")}
	case "route53-recovery-cluster:UpdateRoutingControlStates":
		return sortedKeys(routingEntries(c))
	case "s3:GetObject", "s3:PutObject":
		return []string{"arn:aws:s3:::" + c.Params.str("Bucket") + "/" + c.Params.str("Key")}
	case "s3:ListBucket":
		return []string{"arn:aws:s3:::" + c.Params.str("Bucket")}
	case "dynamodb:PutItem", "dynamodb:DeleteItem":
		return []string{arn("dynamodb", c.Region, "table/"+c.Params.str("TableName"))}
	case "states:ListExecutions":
		return []string{c.Params.str("mapRunArn") + c.Params.str("stateMachineArn")}
	case "states:DescribeExecution", "states:GetExecutionHistory", "states:ListMapRuns":
		return []string{c.Params.str("executionArn")}
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
	case "kms:DescribeKey":
		return []string{a.keyARN(c)}
	case "secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue":
		return []string{a.secretARN(c.Region, c.Params.str("SecretId"))}
	}
	return []string{"*"}
}

func parameterName(selector string) string {
	name, _, _ := strings.Cut(selector, ":")
	return strings.TrimPrefix(name, "/")
}
