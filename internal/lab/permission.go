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

// need is a permission that a call takes, on what, and under which conditions.
type need struct {
	action    string
	resources []string
	context   policy.Context // what the call says of condition keys
}

// permit checks a call of a function against its role. Every resource that the
// call touches must be allowed.
func (a *Account) permit(c *Call) error {
	if a.policies == nil || c.invocation == nil {
		return nil
	}
	name := c.invocation.function
	needed := []need{{c.name(), a.resources(c), contextOf(c)}}
	for _, n := range append(needed, a.impliedBy(c)...) {
		for _, resource := range n.resources {
			if !a.policies[name].Allows(n.action, resource, n.context) {
				return fail(403, "AccessDenied", "User: arn:aws:sts::%s:assumed-role/%s%s/%s%s is not authorized to perform: %s on resource: %s because no identity-based policy allows the %s action",
					a.Estate.Account, FunctionPrefix, name, FunctionPrefix, name, n.action, resource, n.action)
			}
		}
		a.used[Use{name, n.action}] = true
	}
	return nil
}

// contextOf gives the condition keys that policies here compare, from the
// Service Authorization Reference.
func contextOf(c *Call) policy.Context {
	if c.name() == "cloudwatch:PutMetricData" {
		return policy.Context{"cloudwatch:namespace": c.Params.str("Namespace")}
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
	case "cloudwatch:ListTagsForResource":
		return []string{c.Params.str("ResourceARN")}
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
	case "route53:GetChange":
		return []string{"arn:aws:route53:::change/" + c.Params.str("Id")}
	case "route53:ListResourceRecordSets", "route53:ChangeResourceRecordSets", "route53:GetHostedZone":
		return []string{"arn:aws:route53:::hostedzone/" + c.Params.str("Id")}
	case "s3:GetMultiRegionAccessPointRoutes", "s3:SubmitMultiRegionAccessPointRoutes":
		return []string{c.Params.str("Mrap")}
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
	case "kms:DescribeKey":
		return []string{a.keyARN(c)}
	case "secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue":
		return []string{a.secretARN(c.Region, c.Params.str("SecretId"))}
	}
	if things := databaseThings[c.name()]; things != nil {
		return a.resourcesOf(c, things)
	}
	return []string{"*"}
}

// thing is one thing that a call names: its kind in an ARN, and the parameter.
type thing struct {
	kind, parameter string
	optional        bool // not compared where the call does not name it
}

// databaseThings are the things of the calls with which databases are created
// and old ones put away; what a call creates comes first.
var databaseThings = map[string][]thing{
	"rds:CreateDBInstanceReadReplica": {
		{"db", "DBInstanceIdentifier", false}, {"db", "SourceDBInstanceIdentifier", false},
		{"subgrp", "DBSubnetGroupName", true}, {"pg", "DBParameterGroupName", true}, {"og", "OptionGroupName", true},
	},
	"rds:CreateDBSnapshot":           {{"db", "DBInstanceIdentifier", false}, {"snapshot", "DBSnapshotIdentifier", false}},
	"rds:DescribeDBSnapshots":        {{"db", "DBInstanceIdentifier", true}, {"snapshot", "DBSnapshotIdentifier", false}},
	"rds:DescribeDBSubnetGroups":     {{"subgrp", "DBSubnetGroupName", false}},
	"rds:CreateGlobalCluster":        {{"global-cluster", "GlobalClusterIdentifier", false}, {"cluster", "SourceDBClusterIdentifier", true}},
	"rds:DeleteGlobalCluster":        {{"global-cluster", "GlobalClusterIdentifier", false}},
	"rds:CreateDBCluster":            {{"cluster", "DBClusterIdentifier", false}, {"global-cluster", "GlobalClusterIdentifier", true}, {"subgrp", "DBSubnetGroupName", false}},
	"rds:DeleteDBCluster":            {{"cluster", "DBClusterIdentifier", false}},
	"rds:CreateDBInstance":           {{"db", "DBInstanceIdentifier", false}, {"cluster", "DBClusterIdentifier", true}},
	"rds:DescribeDBClusterSnapshots": {{"cluster", "DBClusterIdentifier", false}, {"cluster-snapshot", "DBClusterSnapshotIdentifier", false}},
	"rds:CreateDBClusterSnapshot":    {{"cluster", "DBClusterIdentifier", false}, {"cluster-snapshot", "DBClusterSnapshotIdentifier", false}},
	"rds:CopyDBClusterSnapshot":      {{"cluster-snapshot", "SourceDBClusterSnapshotIdentifier", false}, {"cluster-snapshot", "TargetDBClusterSnapshotIdentifier", false}},
}

// resourcesOf gives the ARNs of things. The name of an automated snapshot holds
// a colon.
func (a *Account) resourcesOf(c *Call, things []thing) []string {
	var all []string
	for _, t := range things {
		name, region := c.Params.str(t.parameter), c.Region
		if t.kind == "global-cluster" {
			region = ""
		}
		switch {
		case strings.HasPrefix(name, "arn:"):
			all = append(all, name)
		case name != "" || !t.optional:
			all = append(all, strings.Join([]string{"arn:aws:rds", region, a.Estate.Account, t.kind, cmp.Or(name, "*")}, ":"))
		}
	}
	return all
}

// impliedBy gives what AWS asks of the caller beside the call itself: on what
// it creates, and on the key and the role that it hands on.
func (a *Account) impliedBy(c *Call) []need {
	if _, there := a.Object(c.Params.str("Bucket"), c.Params.str("Key")); c.name() == "s3:GetObject" && !there {
		// Who may not list a bucket is not told that an object is missing.
		return []need{{"s3:ListBucket", []string{"arn:aws:s3:::" + c.Params.str("Bucket")}, nil}}
	}
	if role, ok := tree(c.Params.tree["Target"])["RoleArn"].(string); ok && c.name() == "scheduler:UpdateSchedule" {
		return []need{{"iam:PassRole", []string{role}, policy.Context{"iam:PassedToService": "scheduler.amazonaws.com"}}}
	}
	switch c.name() {
	case "rds:CreateDBInstanceReadReplica", "rds:CreateDBCluster", "rds:CreateDBInstance":
	default:
		return nil
	}
	var all []need
	if c.Params.has("Tags.Tag.1.Key") {
		all = append(all, need{"rds:AddTagsToResource", a.resources(c)[:1], nil})
	}
	if key := c.Params.str("KmsKeyId"); key != "" {
		via := policy.Context{"kms:ViaService": "rds." + c.Region + ".amazonaws.com"}
		all = append(all, need{"kms:CreateGrant", []string{key}, via}, need{"kms:DescribeKey", []string{key}, via})
	}
	if role := c.Params.str("MonitoringRoleArn"); role != "" {
		all = append(all, need{"iam:PassRole", []string{role}, policy.Context{"iam:PassedToService": "monitoring.rds.amazonaws.com"}})
	}
	return all
}

func parameterName(selector string) string {
	name, _, _ := strings.Cut(selector, ":")
	return strings.TrimPrefix(name, "/")
}
