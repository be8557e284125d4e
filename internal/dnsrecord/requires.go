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
	DescribeDBClusters(context.Context, *rds.DescribeDBClustersInput, ...func(*rds.Options)) (*rds.DescribeDBClustersOutput, error)
	DescribeGlobalClusters(context.Context, *rds.DescribeGlobalClustersInput, ...func(*rds.Options)) (*rds.DescribeGlobalClustersOutput, error)
}

// requirements says of each kind of database, by what a requirement begins with,
// how to find out why it does not take writes.
var requirements = map[string]func(ctx context.Context, api Databases, id, region string) (writer, error){
	"rds-instance": writableInstance, "rds-cluster": writableCluster, "global-cluster": writableGlobal,
}

// writer is a database that is to take writes.
type writer struct {
	why       string   // it does not; empty: it does
	endpoints []string // by which it is reached, as far as AWS shows them
}

// unmet gives, for each requirement that does not hold, why, and the endpoints
// of all databases once they all hold. A database that could not be asked is an
// error: that traffic may go there is then not known.
func unmet(ctx context.Context, api Databases, requires []string, region string) (why, endpoints []string, err error) {
	blind := false
	for _, requirement := range requires {
		kind, id, _ := strings.Cut(requirement, "/")
		w, err := requirements[kind](ctx, api, id, region)
		if err != nil {
			return nil, nil, err
		}
		if w.why != "" {
			why = append(why, requirement+" "+w.why)
		}
		blind = blind || len(w.endpoints) == 0
		endpoints = append(endpoints, w.endpoints...)
	}
	if len(why) > 0 || blind {
		return why, nil, nil
	}
	return nil, endpoints, nil
}

// no is a database that does not take writes.
func no(why string) writer { return writer{why: why} }

// reached gives the endpoints that are known, as records name them.
func reached(endpoints ...*string) []string {
	var all []string
	for _, e := range endpoints {
		if aws.ToString(e) != "" {
			all = append(all, normalName(*e))
		}
	}
	return all
}

// writing are the statuses in which a DB instance takes writes all the while.
var writing = []string{"available", "backing-up", "storage-optimization"}

func writableInstance(ctx context.Context, api Databases, id, region string) (writer, error) {
	out, err := api.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String(id)})
	if err != nil {
		return writer{}, action.Call("describing DB instance "+id+" in "+region, err)
	}
	if len(out.DBInstances) != 1 {
		return writer{}, action.Errorf(action.NotFound, "DB instance %s is not in %s", id, region)
	}
	i := out.DBInstances[0]
	switch {
	case aws.ToString(i.DBClusterIdentifier) != "":
		return no("is a member of the cluster " + *i.DBClusterIdentifier + ", and does not say by itself who writes"), nil
	case aws.ToString(i.ReadReplicaSourceDBInstanceIdentifier) != "" || aws.ToString(i.ReadReplicaSourceDBClusterIdentifier) != "":
		return no("in " + region + " is a replica"), nil
	case slices.ContainsFunc(i.StatusInfos, func(s types.DBInstanceStatusInfo) bool {
		return strings.EqualFold(aws.ToString(s.StatusType), "read replication")
	}):
		return no("in " + region + " still replicates"), nil
	case !slices.Contains(writing, aws.ToString(i.DBInstanceStatus)):
		return no("in " + region + " is " + aws.ToString(i.DBInstanceStatus)), nil
	}
	return writer{endpoints: endpointOf(i)}, nil
}

func endpointOf(i types.DBInstance) []string {
	if i.Endpoint == nil {
		return nil
	}
	return reached(i.Endpoint.Address)
}

// writableCluster looks at a cluster by itself. As a member of a global cluster
// it writes only as its writer.
func writableCluster(ctx context.Context, api Databases, id, region string) (writer, error) {
	c, err := findCluster(ctx, api, id, region)
	if err != nil {
		return writer{}, err
	}
	if of := aws.ToString(c.GlobalClusterIdentifier); of != "" {
		g, err := findGlobal(ctx, api, of)
		if err != nil {
			return writer{}, err
		}
		if why := moving(g); why != "" {
			return no("is a member of the global cluster " + of + ", which " + why), nil
		}
		if writer := writerOf(g); writer != aws.ToString(c.DBClusterArn) {
			return no("in " + region + " is a read-only member of the global cluster " + of), nil
		}
	}
	return writes(ctx, api, c, region)
}

func writableGlobal(ctx context.Context, api Databases, id, region string) (writer, error) {
	g, err := findGlobal(ctx, api, id)
	if err != nil {
		return writer{}, err
	}
	if why := moving(g); why != "" {
		return no(why), nil
	}
	of := writerOf(g)
	if of == "" {
		return no("has no writer"), nil
	}
	if at, err := arn.Parse(of); err != nil || at.Region != region {
		return no("has its writer at " + of + ", not in " + region), nil
	}
	c, err := findCluster(ctx, api, of, region)
	if err != nil {
		return writer{}, err
	}
	w, err := writes(ctx, api, c, region)
	if w.why != "" {
		w.why = "has its writer at " + of + ", which " + w.why
	}
	return w, err
}

func findGlobal(ctx context.Context, api Databases, id string) (types.GlobalCluster, error) {
	out, err := api.DescribeGlobalClusters(ctx, &rds.DescribeGlobalClustersInput{GlobalClusterIdentifier: aws.String(id)})
	if err != nil {
		return types.GlobalCluster{}, action.Call("describing global cluster "+id, err)
	}
	if len(out.GlobalClusters) != 1 {
		return types.GlobalCluster{}, action.Errorf(action.NotFound, "there is no global cluster %s", id)
	}
	return out.GlobalClusters[0], nil
}

// moving says what a global cluster is at, if it is not at rest.
func moving(g types.GlobalCluster) string {
	if g.FailoverState != nil && aws.ToString(g.FailoverState.ToDbClusterArn) != "" {
		return "is " + string(g.FailoverState.Status)
	}
	if status := aws.ToString(g.Status); status != "available" {
		return "is " + status
	}
	return ""
}

// writerOf is the ARN of the cluster that writes; empty: none does.
func writerOf(g types.GlobalCluster) string {
	for _, m := range g.GlobalClusterMembers {
		if aws.ToBool(m.IsWriter) {
			return aws.ToString(m.DBClusterArn)
		}
	}
	return ""
}

func findCluster(ctx context.Context, api Databases, id, region string) (types.DBCluster, error) {
	out, err := api.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: aws.String(id)})
	if err != nil {
		return types.DBCluster{}, action.Call("describing DB cluster "+id+" in "+region, err)
	}
	if len(out.DBClusters) != 1 {
		return types.DBCluster{}, action.Errorf(action.NotFound, "DB cluster %s is not in %s", id, region)
	}
	return out.DBClusters[0], nil
}

// writes says why nothing can be written to a cluster that is not read-only by
// its place: it, or the instance that writes, is not there for it.
func writes(ctx context.Context, api Databases, c types.DBCluster, region string) (writer, error) {
	if !slices.Contains(writing, aws.ToString(c.Status)) {
		return no("in " + region + " is " + aws.ToString(c.Status)), nil
	}
	if aws.ToString(c.ReplicationSourceIdentifier) != "" {
		return no("in " + region + " replicates from " + *c.ReplicationSourceIdentifier), nil
	}
	at := slices.IndexFunc(c.DBClusterMembers, func(m types.DBClusterMember) bool { return aws.ToBool(m.IsClusterWriter) })
	if at < 0 {
		return no("in " + region + " has no instance that writes"), nil
	}
	id := aws.ToString(c.DBClusterMembers[at].DBInstanceIdentifier)
	out, err := api.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String(id)})
	if err != nil {
		return writer{}, action.Call("describing DB instance "+id+" in "+region, err)
	}
	if len(out.DBInstances) != 1 {
		return writer{}, action.Errorf(action.NotFound, "DB instance %s is not in %s", id, region)
	}
	if status := aws.ToString(out.DBInstances[0].DBInstanceStatus); !slices.Contains(writing, status) {
		return no("in " + region + " has the writer " + id + ", which is " + status), nil
	}
	return writer{endpoints: append(reached(c.Endpoint), endpointOf(out.DBInstances[0])...)}, nil
}
