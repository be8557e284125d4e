// Package catalog holds THE table: everything that is true of one resource
// type stands in its row, and functions, permissions, validation, schema,
// documentation and the lab follow from it.
package catalog

import (
	"reflect"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/cachegroup"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/globalcluster"
	"dr-orchestrator/internal/payload"
	"dr-orchestrator/internal/replica"
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
}

var both = []string{Failover, Failback}

// readMetrics is the statement of every action that reads a lag.
var readMetrics = Statement{
	Actions: []string{"cloudwatch:GetMetricData", "cloudwatch:ListMetrics"}, Resources: []string{"*"},
	Reason: "CloudWatch knows no resource for metrics",
}

const (
	anyInstance  = "arn:${Partition}:rds:${Region}:${Account}:db:*"
	localCluster = "arn:${Partition}:rds:${Region}:${Account}:cluster:*"
	// A switchover is called in the primary's region and a failover touches
	// the clusters of every member region.
	anyCluster       = "arn:${Partition}:rds:*:${Account}:cluster:*"
	anyMember        = "arn:${Partition}:rds:*:${Account}:db:*"
	anyGlobalCluster = "arn:${Partition}:rds::${Account}:global-cluster:*"
)

// Entries is the table, in the order in which documents list it.
var Entries = []Entry{
	{
		Type: "PromoteRDSReadReplica", Function: "promote-read-replica",
		Doc:        "Promotes an RDS read replica to a database of its own, with backups.",
		Parameters: reflect.TypeFor[replica.PromoteParameters](), Machines: both,
		TimeLimit: 2 * time.Hour, ProofReads: 1, Sample: "failover-replica-and-cache.json", New: replica.NewPromotion,
		Statements: []Statement{
			{Actions: []string{"rds:DescribeDBInstances", "rds:ModifyDBInstance", "rds:PromoteReadReplica"}, Resources: []string{anyInstance}},
			readMetrics,
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
		},
	},
	{
		Type: "UnPlannedFailoverAurora", Function: "failover-global-cluster",
		Doc:        "Makes a secondary cluster of an Aurora global database take writes when its primary is lost.",
		Parameters: reflect.TypeFor[globalcluster.FailoverParameters](), Machines: both,
		TimeLimit: time.Hour, ProofReads: 4, Sample: "failover-aurora-unplanned.json", New: globalcluster.NewFailover,
		Statements: []Statement{
			{Actions: []string{"rds:DescribeGlobalClusters", "rds:FailoverGlobalCluster", "rds:RemoveFromGlobalCluster"}, Resources: []string{anyGlobalCluster, anyCluster}},
			{Actions: []string{"rds:DescribeDBClusters", "rds:DescribeDBInstances"}, Resources: []string{anyCluster, anyMember}},
			readMetrics,
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
					anyGlobalCluster, localCluster, anyInstance,
					"arn:${Partition}:rds:${Region}:${Account}:cluster-snapshot:*", "arn:${Partition}:rds:${Region}:${Account}:subgrp:*",
					"arn:${Partition}:rds:${Region}:${Account}:cluster-pg:*", "arn:${Partition}:rds:${Region}:${Account}:pg:*", "arn:${Partition}:rds:${Region}:${Account}:og:*",
				},
			},
			{Actions: []string{"rds:DescribeAccountAttributes"}, Resources: []string{"*"}, Reason: "RDS knows no resource for the quotas of an account"},
			// RDS uses the key and the role of the payload in the function's name.
			{Actions: []string{"kms:CreateGrant", "kms:DescribeKey"}, Resources: []string{"arn:${Partition}:kms:${Region}:${Account}:key/*"}, Via: []string{"rds"}},
			{Actions: []string{"iam:PassRole"}, Resources: []string{"arn:${Partition}:iam::${Account}:role/*"}},
			readMetrics,
		},
	},
	{
		Type: "FailoverElastiCacheCluster", Function: "failover-replication-group",
		Doc:        "Makes a replication group the primary of its ElastiCache global datastore.",
		Parameters: reflect.TypeFor[cachegroup.FailoverParameters](), Machines: both,
		TimeLimit: time.Hour, ProofReads: 2, Sample: "failover-replica-and-cache.json", New: cachegroup.NewFailover,
		Statements: []Statement{{
			Actions: []string{"elasticache:DescribeGlobalReplicationGroups", "elasticache:DescribeReplicationGroups", "elasticache:FailoverGlobalReplicationGroup"},
			Resources: []string{
				"arn:${Partition}:elasticache::${Account}:globalreplicationgroup:*",
				"arn:${Partition}:elasticache:*:${Account}:replicationgroup:*",
			},
		}},
	},
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

// Types gives the table as package payload reads it.
func Types() payload.Types {
	types := make(payload.Types, len(Entries))
	for i, e := range Entries {
		types[i] = payload.Type{Name: e.Type, Doc: e.Doc, Parameters: e.Parameters, Machines: slices.Clone(e.Machines)}
	}
	return types
}
