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
	"dr-orchestrator/internal/succession"
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
	instances []string // of a cluster: any of them may come to write
}

// side is what is known of the databases required. A promotion leaves their
// endpoints as they are.
type side struct {
	unmet     []string // why they do not take writes
	endpoints []string // of all of them: none where those of one are not known
	instances []string
}

// look asks for the databases required. One that could not be asked is an error:
// that traffic may go there is then not known.
func look(ctx context.Context, api Databases, requires []string, region string) (side, error) {
	var all side
	blind := false
	for _, requirement := range requires {
		kind, id, _ := strings.Cut(requirement, "/")
		w, err := requirements[kind](ctx, api, id, region)
		if err != nil {
			return side{}, err
		}
		if w.why != "" {
			all.unmet = append(all.unmet, requirement+" "+w.why)
		}
		blind = blind || len(w.endpoints) == 0
		all.endpoints, all.instances = append(all.endpoints, w.endpoints...), append(all.instances, w.instances...)
	}
	if blind {
		all.endpoints = nil
	}
	return all, nil
}

// no is a database that does not take writes.
func (w writer) no(why string) (writer, error) {
	w.why = why
	return w, nil
}

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
	w := writer{endpoints: endpointOf(i)}
	switch {
	case aws.ToString(i.DBClusterIdentifier) != "":
		return w.no("is a member of the cluster " + *i.DBClusterIdentifier + ", and does not say by itself who writes")
	case aws.ToString(i.ReadReplicaSourceDBInstanceIdentifier) != "" || aws.ToString(i.ReadReplicaSourceDBClusterIdentifier) != "":
		return w.no("in " + region + " is a replica")
	case slices.ContainsFunc(i.StatusInfos, func(s types.DBInstanceStatusInfo) bool {
		return strings.EqualFold(aws.ToString(s.StatusType), "read replication")
	}):
		return w.no("in " + region + " still replicates")
	case fenced(i.TagList):
		return w.no("in " + region + " is fenced")
	case !slices.Contains(writing, aws.ToString(i.DBInstanceStatus)):
		return w.no("in " + region + " is " + aws.ToString(i.DBInstanceStatus))
	}
	return w, nil
}

// fenced reports whether the tags of a database say that nobody can write to it,
// whatever its status.
func fenced(list []types.Tag) bool {
	tags := map[string]string{}
	for _, tag := range list {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return succession.Fenced(tags)
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
			return writerAt(c).no("is a member of the global cluster " + of + ", which " + why)
		}
		if writerOf(g) != aws.ToString(c.DBClusterArn) {
			return writerAt(c).no("in " + region + " is a read-only member of the global cluster " + of)
		}
	}
	return writes(ctx, api, c, region)
}

func writableGlobal(ctx context.Context, api Databases, id, region string) (writer, error) {
	g, err := findGlobal(ctx, api, id)
	if err != nil {
		return writer{}, err
	}
	of, here := writerOf(g), memberIn(g, region)
	why := moving(g)
	switch {
	case why != "":
	case of == "":
		why = "has no writer"
	case of != here:
		why = "has its writer at " + of + ", not in " + region
	}
	if here == "" {
		return writer{}.no(why)
	}
	c, err := findCluster(ctx, api, here, region)
	if err != nil {
		return writer{}, err
	}
	if why != "" {
		return writerAt(c).no(why)
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

// memberIn is the ARN of the cluster in a region; empty: there is none.
func memberIn(g types.GlobalCluster, region string) string {
	for _, m := range g.GlobalClusterMembers {
		if at, err := arn.Parse(aws.ToString(m.DBClusterArn)); err == nil && at.Region == region {
			return *m.DBClusterArn
		}
	}
	return ""
}

// writerAt is the writer of a cluster, whichever of its instances that is.
func writerAt(c types.DBCluster) writer {
	w := writer{endpoints: reached(c.Endpoint)}
	for _, m := range c.DBClusterMembers {
		w.instances = append(w.instances, aws.ToString(m.DBInstanceIdentifier))
	}
	return w
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
	w := writerAt(c)
	if !slices.Contains(writing, aws.ToString(c.Status)) {
		return w.no("in " + region + " is " + aws.ToString(c.Status))
	}
	if fenced(c.TagList) {
		return w.no("in " + region + " is fenced")
	}
	if aws.ToString(c.ReplicationSourceIdentifier) != "" {
		return w.no("in " + region + " replicates from " + *c.ReplicationSourceIdentifier)
	}
	at := slices.IndexFunc(c.DBClusterMembers, func(m types.DBClusterMember) bool { return aws.ToBool(m.IsClusterWriter) })
	if at < 0 {
		return w.no("in " + region + " has no instance that writes")
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
		return w.no("in " + region + " has the writer " + id + ", which is " + status)
	}
	w.endpoints = append(w.endpoints, endpointOf(out.DBInstances[0])...)
	return w, nil
}
