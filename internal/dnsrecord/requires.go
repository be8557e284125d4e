package dnsrecord

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"dr-orchestrator/internal/action"
)

// Databases tells which side takes writes, as the region of the run shows it.
type Databases interface {
	DescribeDBInstances(context.Context, *rds.DescribeDBInstancesInput, ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error)
	DescribeGlobalClusters(context.Context, *rds.DescribeGlobalClustersInput, ...func(*rds.Options)) (*rds.DescribeGlobalClustersOutput, error)
}

// unmet gives, for each requirement that does not hold, why. A database that
// could not be asked is an error: that traffic may go there is then not known.
func unmet(ctx context.Context, api Databases, requires []string, region string) ([]string, error) {
	var all []string
	for _, requirement := range requires {
		kind, id, _ := strings.Cut(requirement, "/")
		check := writableInstance
		if kind == "global-cluster" {
			check = writableCluster
		}
		why, err := check(ctx, api, id, region)
		if err != nil {
			return nil, err
		}
		if why != "" {
			all = append(all, requirement+" "+why)
		}
	}
	return all, nil
}

// writing are the statuses in which a DB instance takes writes all the while.
var writing = []string{"available", "backing-up", "storage-optimization"}

func writableInstance(ctx context.Context, api Databases, id, region string) (string, error) {
	out, err := api.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String(id)})
	if err != nil {
		return "", action.Call("describing DB instance "+id+" in "+region, err)
	}
	if len(out.DBInstances) != 1 {
		return "", action.Errorf(action.NotFound, "DB instance %s is not in %s", id, region)
	}
	i := out.DBInstances[0]
	switch {
	case aws.ToString(i.DBClusterIdentifier) != "":
		return "is a member of the cluster " + *i.DBClusterIdentifier + ", and does not say by itself who writes", nil
	case aws.ToString(i.ReadReplicaSourceDBInstanceIdentifier) != "" || aws.ToString(i.ReadReplicaSourceDBClusterIdentifier) != "":
		return "in " + region + " is a replica", nil
	case slices.ContainsFunc(i.StatusInfos, func(s types.DBInstanceStatusInfo) bool {
		return strings.EqualFold(aws.ToString(s.StatusType), "read replication")
	}):
		return "in " + region + " still replicates", nil
	case !slices.Contains(writing, aws.ToString(i.DBInstanceStatus)):
		return "in " + region + " is " + aws.ToString(i.DBInstanceStatus), nil
	}
	return "", nil
}

func writableCluster(ctx context.Context, api Databases, id, region string) (string, error) {
	out, err := api.DescribeGlobalClusters(ctx, &rds.DescribeGlobalClustersInput{GlobalClusterIdentifier: aws.String(id)})
	if err != nil {
		return "", action.Call("describing global cluster "+id, err)
	}
	if len(out.GlobalClusters) != 1 {
		return "", action.Errorf(action.NotFound, "there is no global cluster %s", id)
	}
	g := out.GlobalClusters[0]
	if g.FailoverState != nil && aws.ToString(g.FailoverState.ToDbClusterArn) != "" {
		return "is " + string(g.FailoverState.Status), nil
	}
	if status := aws.ToString(g.Status); status != "available" {
		return "is " + status, nil
	}
	for _, m := range g.GlobalClusterMembers {
		if !aws.ToBool(m.IsWriter) {
			continue
		}
		if writer, err := arn.Parse(aws.ToString(m.DBClusterArn)); err == nil && writer.Region == region {
			return "", nil
		}
		return "has its writer at " + aws.ToString(m.DBClusterArn) + ", not in " + region, nil
	}
	return "has no writer", nil
}
