// Package catalog holds THE table: everything that is true of one resource
// type stands in its row, and functions, permissions, validation, schema,
// documentation and the lab follow from it.
package catalog

import (
	"reflect"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"dr-orchestrator/internal/accesspoint"
	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/cachegroup"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/dnsrecord"
	"dr-orchestrator/internal/eventsource"
	"dr-orchestrator/internal/fence"
	"dr-orchestrator/internal/globalcluster"
	"dr-orchestrator/internal/healthcheck"
	"dr-orchestrator/internal/lagcheck"
	"dr-orchestrator/internal/payload"
	"dr-orchestrator/internal/probe"
	"dr-orchestrator/internal/replica"
	"dr-orchestrator/internal/routingcontrol"
	"dr-orchestrator/internal/schedule"
)

// The machines that an entry may belong to.
const (
	Failover = "failover"
	Failback = "failback"
)

// Entry is one row: a resource type and the action that drives it.
type Entry struct {
	Type       string       // resourceType in a payload
	Function   string       // folder under functions, and suffix of the Lambda's name
	Doc        string       // one sentence
	Parameters reflect.Type // struct with the tags that package payload reads
	Machines   []string     // the machines that accept it
	TimeLimit  time.Duration
	ProofReads int    // the most describes that one look takes
	Sample     string // a file under payloads that uses it
	Statements []Statement
	New        func(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler
}

// Statement is what an action's function may do, and on what. Resources hold
// ${Partition}, ${Account} and ${Region}. Reason is needed where AWS knows
// nothing narrower than "*".
type Statement struct {
	Actions   []string
	Resources []string
	Reason    string
	// Via names the services through which alone a key may be used
	// (kms:ViaService), as in "s3".
	Via []string
	// Conditions must hold of a call: for each condition key of IAM one of the
	// values (StringEquals).
	Conditions map[string][]string
}

var both = []string{Failover, Failback}

// readMetrics is the statement of every action that reads a lag.
var readMetrics = Statement{
	Actions: []string{"cloudwatch:GetMetricData", "cloudwatch:ListMetrics"}, Resources: []string{"*"},
	Reason: "CloudWatch knows no resource for metrics",
}

// readReplicaLag is the statement of an action that reads ReplicaLag alone,
// whose dimensions are known.
var readReplicaLag = Statement{Actions: readMetrics.Actions[:1], Resources: readMetrics.Resources, Reason: readMetrics.Reason}

// readKeys is the statement of every action that looks whether a key can be
// used. Keys of other accounts are denied, which is told and not in the way.
var readKeys = Statement{Actions: []string{"kms:DescribeKey"}, Resources: []string{"arn:${Partition}:kms:${Region}:${Account}:key/*"}}

// readQuotas is the statement of every action that asks whether there is room
// for what it is to create.
var readQuotas = Statement{Actions: []string{"rds:DescribeAccountAttributes"}, Resources: []string{"*"}, Reason: "RDS knows no resource for the quotas of an account"}

// useKeys lets RDS use the key that a payload names for what is created.
var useKeys = Statement{Actions: []string{"kms:CreateGrant", "kms:DescribeKey"}, Resources: []string{"arn:${Partition}:kms:${Region}:${Account}:key/*"}, Via: []string{"rds"}}

// passMonitoring hands on the one role that the Python sample passes; any role
// would be too many.
var passMonitoring = Statement{Actions: []string{"iam:PassRole"}, Resources: []string{"arn:${Partition}:iam::${Account}:role/rds-monitoring-role"}}

const (
	anyInstance  = "arn:${Partition}:rds:${Region}:${Account}:db:*"
	localCluster = "arn:${Partition}:rds:${Region}:${Account}:cluster:*"
	// A switchover is called in the primary's region and a failover touches
	// the clusters of every member region.
	anyCluster         = "arn:${Partition}:rds:*:${Account}:cluster:*"
	anyMember          = "arn:${Partition}:rds:*:${Account}:db:*"
	anySubnetGroup     = "arn:${Partition}:rds:${Region}:${Account}:subgrp:*"
	anyParameterGroup  = "arn:${Partition}:rds:${Region}:${Account}:pg:*"
	anyOptionGroup     = "arn:${Partition}:rds:${Region}:${Account}:og:*"
	anySnapshot        = "arn:${Partition}:rds:${Region}:${Account}:snapshot:*"
	anyClusterSnapshot = "arn:${Partition}:rds:${Region}:${Account}:cluster-snapshot:*"
	anyGlobalCluster   = "arn:${Partition}:rds::${Account}:global-cluster:*"
	anyZone            = "arn:${Partition}:route53:::hostedzone/*"
	anyZoneChange      = "arn:${Partition}:route53:::change/*"
	anyHealthCheck     = "arn:${Partition}:route53:::healthcheck/*"
)

// Entries is the table, in the order in which documents list it.
var Entries = []Entry{
	{
		Type: "PromoteRDSReadReplica", Function: "promote-read-replica",
		Doc:        "Promotes an RDS read replica to a database of its own, with backups.",
		Parameters: reflect.TypeFor[replica.PromoteParameters](), Machines: both,
		TimeLimit: 2 * time.Hour, ProofReads: 1, Sample: "failover-replica-and-cache.json", New: replica.NewPromotion,
		Statements: []Statement{
			{Actions: []string{"rds:DescribeDBInstances", "rds:ModifyDBInstance", "rds:PromoteReadReplica", "rds:AddTagsToResource"}, Resources: []string{anyInstance}},
			readReplicaLag, readKeys,
		},
	},
	{
		Type: "SwitchoverRDSReadReplica", Function: "switchover-read-replica",
		Doc:        "Lets an RDS for Oracle primary and its replica change places; nothing is lost.",
		Parameters: reflect.TypeFor[replica.SwitchoverParameters](), Machines: both,
		TimeLimit: 2 * time.Hour, ProofReads: 2, Sample: "failover-oracle.json", New: replica.NewSwitchover,
		Statements: []Statement{
			// The old primary is looked at in its own region.
			{Actions: []string{"rds:DescribeDBInstances"}, Resources: []string{anyMember}},
			{Actions: []string{"rds:SwitchoverReadReplica"}, Resources: []string{anyInstance}},
			readReplicaLag,
		},
	},
	{
		Type: "FenceOldPrimary", Function: "fence-old-primary",
		Doc:        "Keeps an old primary from taking writes, by its security groups or by stopping it, or gives it back.",
		Parameters: reflect.TypeFor[fence.Parameters](), Machines: both,
		TimeLimit: 30 * time.Minute, ProofReads: 4, Sample: "switchback-replica.json", New: fence.New,
		Statements: []Statement{
			{Actions: []string{"rds:DescribeDBClusters", "rds:ModifyDBCluster", "rds:StartDBCluster", "rds:StopDBCluster"}, Resources: []string{anyCluster}},
			{
				Actions:   []string{"rds:DescribeDBInstances", "rds:ModifyDBInstance", "rds:RebootDBInstance", "rds:StartDBInstance", "rds:StopDBInstance"},
				Resources: []string{anyMember},
			},
			{Actions: []string{"rds:AddTagsToResource"}, Resources: []string{anyCluster, anyMember}},
			{Actions: []string{"ec2:DescribeSecurityGroups"}, Resources: []string{"*"}, Reason: "DescribeSecurityGroups knows no resource"},
		},
	},
	{
		Type: "CreateRDSReadReplica", Function: "create-read-replica",
		Doc:        "Creates an RDS read replica in the region that was lost, of the database that took over; the old primary is kept under another name.",
		Parameters: reflect.TypeFor[replica.CreateParameters](), Machines: []string{Failback},
		TimeLimit: 8 * time.Hour, ProofReads: 1, Sample: "failback-replica.json", New: replica.NewCreation,
		Statements: []Statement{
			{Actions: []string{"rds:DescribeDBInstances"}, Resources: []string{anyMember}}, // the source is in the other region
			{Actions: []string{"rds:ModifyDBInstance", "rds:DeleteDBInstance", "rds:AddTagsToResource"}, Resources: []string{anyInstance}},
			{Actions: []string{"rds:CreateDBInstanceReadReplica"}, Resources: []string{anyMember, anySubnetGroup, anyParameterGroup, anyOptionGroup}},
			{Actions: []string{"rds:CreateDBSnapshot", "rds:DescribeDBSnapshots"}, Resources: []string{anyInstance, anySnapshot}},
			{Actions: []string{"rds:DescribeDBSubnetGroups"}, Resources: []string{anySubnetGroup}},
			readQuotas, useKeys, passMonitoring, readReplicaLag,
		},
	},
	{
		Type: "PlannedFailoverAurora", Function: "switchover-global-cluster",
		Doc:        "Switches an Aurora global database over to a secondary cluster; nothing is lost.",
		Parameters: reflect.TypeFor[globalcluster.SwitchoverParameters](), Machines: both,
		TimeLimit: time.Hour, ProofReads: 3, Sample: "failover-aurora-planned.json", New: globalcluster.NewSwitchover,
		Statements: []Statement{
			{Actions: []string{"rds:DescribeGlobalClusters", "rds:SwitchoverGlobalCluster"}, Resources: []string{anyGlobalCluster, anyCluster}},
			{Actions: []string{"rds:DescribeDBClusters", "rds:DescribeDBInstances"}, Resources: []string{anyCluster, anyMember}},
			readKeys,
		},
	},
	{
		Type: "UnPlannedFailoverAurora", Function: "failover-global-cluster",
		Doc:        "Makes a secondary cluster of an Aurora global database take writes when its primary is lost.",
		Parameters: reflect.TypeFor[globalcluster.FailoverParameters](), Machines: both,
		TimeLimit: time.Hour, ProofReads: 4, Sample: "failover-aurora-unplanned.json", New: globalcluster.NewFailover,
		Statements: []Statement{
			{Actions: []string{"rds:DescribeGlobalClusters", "rds:FailoverGlobalCluster", "rds:RemoveFromGlobalCluster"}, Resources: []string{anyGlobalCluster, anyCluster}},
			{Actions: []string{"rds:AddTagsToResource"}, Resources: []string{localCluster}},
			{Actions: []string{"rds:DescribeDBClusters", "rds:DescribeDBInstances"}, Resources: []string{anyCluster, anyMember}},
			readMetrics, readKeys,
		},
	},
	{
		Type: "CreateAuroraSecondaryDBCluster", Function: "create-secondary-cluster",
		Doc:        "Gives the Aurora cluster that took over a secondary again, in the region that was lost.",
		Parameters: reflect.TypeFor[globalcluster.SecondaryParameters](), Machines: []string{Failback},
		TimeLimit: 12 * time.Hour, ProofReads: 5, Sample: "failback-aurora.json", New: globalcluster.NewSecondary,
		Statements: []Statement{
			{Actions: []string{"rds:DescribeGlobalClusters", "rds:RemoveFromGlobalCluster", "rds:CreateGlobalCluster", "rds:DeleteGlobalCluster"}, Resources: []string{anyGlobalCluster, anyCluster}},
			{Actions: []string{"rds:DescribeDBClusters", "rds:DescribeDBInstances"}, Resources: []string{anyCluster, anyMember}},
			{
				Actions: []string{"rds:CreateDBCluster", "rds:CreateDBInstance", "rds:ModifyDBCluster", "rds:ModifyDBInstance", "rds:DeleteDBCluster", "rds:DeleteDBInstance",
					"rds:DescribeDBClusterSnapshots", "rds:CreateDBClusterSnapshot", "rds:CopyDBClusterSnapshot", "rds:DescribeDBSubnetGroups"},
				Resources: []string{
					anyGlobalCluster, localCluster, anyInstance, anyClusterSnapshot, anySubnetGroup,
					"arn:${Partition}:rds:${Region}:${Account}:cluster-pg:*", anyParameterGroup, anyOptionGroup,
				},
			},
			{Actions: []string{"rds:AddTagsToResource"}, Resources: []string{localCluster}},
			readQuotas, useKeys, passMonitoring, readMetrics,
		},
	},
	{
		Type: "FailoverElastiCacheCluster", Function: "failover-replication-group",
		Doc:        "Makes a replication group the primary of its ElastiCache global datastore.",
		Parameters: reflect.TypeFor[cachegroup.FailoverParameters](), Machines: both,
		TimeLimit: time.Hour, ProofReads: 2, Sample: "failover-replica-and-cache.json", New: cachegroup.NewFailover,
		Statements: []Statement{
			readKeys,
			{
				Actions: []string{"elasticache:DescribeGlobalReplicationGroups", "elasticache:DescribeReplicationGroups", "elasticache:FailoverGlobalReplicationGroup"},
				Resources: []string{
					"arn:${Partition}:elasticache::${Account}:globalreplicationgroup:*",
					"arn:${Partition}:elasticache:*:${Account}:replicationgroup:*",
				},
			},
			readMetrics,
		},
	},
	{
		Type: "CheckReplicaLag", Function: "check-replica-lag",
		Doc:        "Checks, or waits until, a replica is close enough behind its source; changes nothing.",
		Parameters: reflect.TypeFor[lagcheck.Parameters](), Machines: both,
		TimeLimit: time.Hour, ProofReads: 1, Sample: "failover-checked-replica.json", New: lagcheck.New,
		Statements: []Statement{
			{Actions: []string{"rds:DescribeDBInstances"}, Resources: []string{anyInstance}},
			{Actions: []string{"rds:DescribeDBClusters"}, Resources: []string{localCluster}},
			{Actions: []string{"elasticache:DescribeReplicationGroups"}, Resources: []string{"arn:${Partition}:elasticache:${Region}:${Account}:replicationgroup:*"}},
			readMetrics,
		},
	},
	{
		Type: "SetRoutingControl", Function: "set-routing-control",
		Doc:        "Turns ARC routing controls on and off, all of them in one update that safety rules guard.",
		Parameters: reflect.TypeFor[routingcontrol.SetParameters](), Machines: both,
		TimeLimit: 15 * time.Minute, ProofReads: 2, Sample: "failover-traffic.json", New: routingcontrol.NewSetting,
		// No condition on route53-recovery-cluster:AllowSafetyRulesOverrides: a
		// payload may name rules to break, each by its ARN, and the plan warns of
		// them. A role that denied it would take that way out in a disaster.
		Statements: []Statement{{
			Actions:   []string{"route53-recovery-cluster:GetRoutingControlState", "route53-recovery-cluster:UpdateRoutingControlStates"},
			Resources: []string{"arn:${Partition}:route53-recovery-control::${Account}:controlpanel/*"},
		}},
	},
	{
		Type: "SwapDNS", Function: "swap-dns",
		Doc:        "Changes Route 53 records, those of one hosted zone together, and waits until every name server has them.",
		Parameters: reflect.TypeFor[dnsrecord.SwapParameters](), Machines: both,
		TimeLimit: time.Hour, ProofReads: 2, Sample: "failover-dns.json", New: dnsrecord.NewSwap,
		Statements: []Statement{
			{Actions: []string{"route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets", "route53:GetHostedZone"}, Resources: []string{anyZone}},
			{Actions: []string{"route53:GetHealthCheck"}, Resources: []string{anyHealthCheck}},
			{Actions: []string{"route53:GetChange"}, Resources: []string{anyZoneChange}},
			{Actions: []string{"rds:DescribeDBInstances", "rds:DescribeDBClusters"}, Resources: []string{anyInstance, localCluster}},
			{Actions: []string{"rds:DescribeGlobalClusters"}, Resources: []string{anyGlobalCluster}},
		},
	},
	{
		Type: "ShiftTraffic", Function: "shift-traffic",
		Doc:        "Moves traffic to one of several weighted Route 53 record sets in steps, and back if the target does not answer. For S3 Multi-Region Access Points see SetAccessPointRoutes.",
		Parameters: reflect.TypeFor[dnsrecord.ShiftParameters](), Machines: both,
		TimeLimit: 2 * time.Hour, ProofReads: 2, Sample: "failover-shift-traffic.json", New: dnsrecord.NewShift,
		Statements: []Statement{
			{Actions: []string{"route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets"}, Resources: []string{anyZone}},
			{Actions: []string{"route53:GetChange"}, Resources: []string{anyZoneChange}},
			{Actions: []string{"rds:DescribeDBInstances", "rds:DescribeDBClusters"}, Resources: []string{anyInstance, localCluster}},
			{Actions: []string{"rds:DescribeGlobalClusters"}, Resources: []string{anyGlobalCluster}},
		},
	},
	{
		Type: "SetAccessPointRoutes", Function: "set-access-point-routes",
		Doc:        "Makes regions of an S3 Multi-Region Access Point active and passive, at once or with both sides active for a while, and back if the target does not answer.",
		Parameters: reflect.TypeFor[accesspoint.SetParameters](), Machines: both,
		TimeLimit: 45 * time.Minute, ProofReads: 2, Sample: "failover-access-point.json", New: accesspoint.NewSetting,
		Statements: []Statement{{
			Actions:   []string{"s3:GetMultiRegionAccessPointRoutes", "s3:SubmitMultiRegionAccessPointRoutes"},
			Resources: []string{"arn:${Partition}:s3::${Account}:accesspoint/*"},
		}},
	},
	{
		Type: "CheckEndpoint", Function: "check-endpoint",
		Doc:        "Waits until an endpoint of an application answers as it should, several times in a row; changes nothing.",
		Parameters: reflect.TypeFor[probe.CheckParameters](), Machines: both,
		TimeLimit: 30 * time.Minute, Sample: "check-application.json", New: probe.NewCheck,
	},
	{
		Type: "CheckHealth", Function: "check-health",
		Doc:        "Waits until CloudWatch alarms are OK and target groups have healthy targets, several looks in a row; changes nothing.",
		Parameters: reflect.TypeFor[healthcheck.CheckParameters](), Machines: both,
		TimeLimit: 30 * time.Minute, ProofReads: 2, Sample: "check-application.json", New: healthcheck.NewCheck,
		Statements: []Statement{
			{
				Actions: []string{"cloudwatch:DescribeAlarms"}, Resources: []string{"*"},
				Reason: "composite alarms are shown only to those who may see every alarm",
			},
			{
				Actions: []string{"elasticloadbalancing:DescribeTargetHealth"}, Resources: []string{"*"},
				Reason: "DescribeTargetHealth knows no resource",
			},
		},
	},
	{
		Type: "SetHealthCheck", Function: "set-health-check",
		Doc:        "Forces a Route 53 health check to be healthy or unhealthy, or lets it look for itself again; needs Route 53's control plane.",
		Parameters: reflect.TypeFor[healthcheck.SetParameters](), Machines: both,
		TimeLimit: 15 * time.Minute, ProofReads: 1, Sample: "failover-health-check.json", New: healthcheck.NewSetting,
		Statements: []Statement{{
			Actions: []string{"route53:GetHealthCheck", "route53:UpdateHealthCheck"}, Resources: []string{anyHealthCheck},
		}},
	},
	{
		Type: "SetSwitch", Function: "set-switch",
		Doc:        "Flips a CloudWatch alarm that a Route 53 health check watches, without the control plane of Route 53.",
		Parameters: reflect.TypeFor[healthcheck.SwitchParameters](), Machines: both,
		TimeLimit: 20 * time.Minute, ProofReads: 1, Sample: "failover-health-check.json", New: healthcheck.NewSwitching,
		Statements: []Statement{
			{Actions: []string{"cloudwatch:DescribeAlarms"}, Resources: []string{"arn:${Partition}:cloudwatch:*:${Account}:alarm:*"}},
			{Actions: []string{"cloudwatch:PutMetricData"}, Resources: []string{"*"}, Reason: "CloudWatch knows no resource for metrics",
				Conditions: map[string][]string{"cloudwatch:namespace": {healthcheck.SwitchNamespace}}},
		},
	},
	{
		Type: "SetEventSource", Function: "set-event-source",
		Doc:        "Turns event source mappings of Lambda functions on or off.",
		Parameters: reflect.TypeFor[eventsource.SetParameters](), Machines: both,
		TimeLimit: 30 * time.Minute, ProofReads: 2, Sample: "failover-consumers.json", New: eventsource.NewSetting,
		Statements: []Statement{
			{
				Actions:   []string{"lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping"},
				Resources: []string{"arn:${Partition}:lambda:*:${Account}:event-source-mapping:*"},
			},
			{Actions: []string{"lambda:ListEventSourceMappings"}, Resources: []string{"*"}, Reason: "ListEventSourceMappings knows no resource"},
		},
	},
	{
		Type: "SetSchedule", Function: "set-schedule",
		Doc:        "Turns EventBridge rules and schedules on or off.",
		Parameters: reflect.TypeFor[schedule.SetParameters](), Machines: both,
		TimeLimit: 15 * time.Minute, ProofReads: 2, Sample: "failover-consumers.json", New: schedule.NewSetting,
		Statements: []Statement{
			{
				Actions:   []string{"events:DescribeRule", "events:DisableRule", "events:EnableRule"},
				Resources: []string{"arn:${Partition}:events:*:${Account}:rule/*"},
			},
			{
				Actions:   []string{"scheduler:GetSchedule", "scheduler:UpdateSchedule"},
				Resources: []string{"arn:${Partition}:scheduler:*:${Account}:schedule/*"},
			},
			{Actions: []string{"scheduler:ListSchedules"}, Resources: []string{"*"}, Reason: "ListSchedules knows no resource"},
			{
				Actions: []string{"iam:PassRole"}, Resources: []string{"arn:${Partition}:iam::${Account}:role/*"},
				Reason:     "a schedule is updated with the role of its target, and no other call of this function takes a role; the resources entry of the configuration narrows iam:role",
				Conditions: map[string][]string{"iam:PassedToService": {"scheduler.amazonaws.com"}},
			},
		},
	},
}

// ManualApproval is the type of an entry that asks a person: no action, but a
// state of the machine itself.
const ManualApproval = "ManualApproval"

// ApprovalTime is how long ManualApproval waits, without a time limit of its own.
const ApprovalTime = time.Hour

// ApprovalParameters are the parameters of ManualApproval.
type ApprovalParameters struct {
	Message string `doc:"What the person is asked, in a sentence. The plan and the commands to answer are added."`
}

// Find gives the row of a resource type.
func Find(resourceType string) (Entry, bool) {
	for _, e := range Entries {
		if e.Type == resourceType {
			return e, true
		}
	}
	return Entry{}, false
}

// Types gives the table as package payload reads it, and ManualApproval.
func Types() payload.Types {
	var types payload.Types
	for _, e := range Entries {
		types = append(types, payload.Type{Name: e.Type, Doc: e.Doc, Parameters: e.Parameters, Machines: slices.Clone(e.Machines)})
	}
	return append(types, payload.Type{
		Name: ManualApproval, Doc: "Asks a person before the layers after it, in a layer of its own. timeLimitSeconds is how long, an hour without it.",
		Parameters: reflect.TypeFor[ApprovalParameters](), Machines: slices.Clone(both), Alone: true,
	})
}
