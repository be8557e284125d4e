// Package fence keeps an old primary from taking writes while another one
// takes over, and gives it back afterwards.
//
// An old primary is fenced best in a region that may be lost: what could not be
// proved is told as unknown, and never as fenced.
package fence

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/succession"
)

// The tags that a fence leaves on what it fences. They are the memory that
// outlives a run: tag values take no commas, so groups stand with spaces
// between.
const (
	tagGroups    = "dr-orchestrator:security-groups" // groups from before the isolation
	tagFence     = succession.FenceTag
	tagSuccessor = "dr-orchestrator:fence-successor" // ARN of what takes over
)

const (
	fenceBegun    = succession.FenceBegun
	fenceComplete = succession.FenceComplete
	fenceReleased = succession.FenceReleased
)

// Primary is what a decision needs to know of a DB instance or DB cluster.
type Primary struct {
	ID          string
	ARN         string
	Status      string
	Engine      string
	Created     time.Time         // zero: not shown
	Cluster     bool              // a DB cluster, and not an instance
	Parent      string            // of an instance: the cluster that it is a member of
	Source      string            // what it replicates; empty: nothing
	Replication string            // of an instance that is a replica: the status of its replication
	Replicas    int               // replicas that it has
	Global      string            // global cluster that it is a member of
	Groups      []string          // VPC security groups, sorted
	Settled     bool              // every one of Groups is active, and there is one
	Tags        map[string]string // all of them

	Members      int    // of a cluster: its instances
	Writer       string // the instance that takes writes; empty: none is shown
	WriterStatus string
}

// Finder is every read that finding takes.
type Finder interface {
	DescribeDBInstances(context.Context, *rds.DescribeDBInstancesInput, ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error)
	DescribeDBClusters(context.Context, *rds.DescribeDBClustersInput, ...func(*rds.Options)) (*rds.DescribeDBClustersOutput, error)
}

// find reads what the parameters name, in its own region.
func find(ctx context.Context, api Finder, p Parameters) (Primary, error) {
	if p.DBClusterIdentifier != "" {
		return findCluster(ctx, api, p.DBClusterIdentifier, p.PrimaryRegion)
	}
	db, err := findInstance(ctx, api, p.RDSInstanceIdentifier, p.PrimaryRegion)
	if err != nil {
		return Primary{}, err
	}
	found := Primary{
		ID: aws.ToString(db.DBInstanceIdentifier), ARN: aws.ToString(db.DBInstanceArn), Status: aws.ToString(db.DBInstanceStatus),
		Engine: aws.ToString(db.Engine), Created: aws.ToTime(db.InstanceCreateTime), Parent: aws.ToString(db.DBClusterIdentifier),
		Source:   cmp.Or(aws.ToString(db.ReadReplicaSourceDBInstanceIdentifier), aws.ToString(db.ReadReplicaSourceDBClusterIdentifier)),
		Replicas: len(db.ReadReplicaDBInstanceIdentifiers) + len(db.ReadReplicaDBClusterIdentifiers),
		Writer:   aws.ToString(db.DBInstanceIdentifier), WriterStatus: aws.ToString(db.DBInstanceStatus), Tags: tagsOf(db.TagList),
	}
	for _, info := range db.StatusInfos {
		if strings.EqualFold(aws.ToString(info.StatusType), "read replication") {
			found.Replication = aws.ToString(info.Status)
		}
	}
	found.Groups, found.Settled = groupsOf(db.VpcSecurityGroups)
	return found, nil
}

func findInstance(ctx context.Context, api Finder, id, region string) (types.DBInstance, error) {
	out, err := api.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String(id)})
	if err != nil {
		return types.DBInstance{}, action.Call("describing DB instance "+id+" in "+region, err)
	}
	if len(out.DBInstances) != 1 {
		return types.DBInstance{}, action.Errorf(action.NotFound, "DB instance %s is not in %s", id, region)
	}
	return out.DBInstances[0], nil
}

func findCluster(ctx context.Context, api Finder, id, region string) (Primary, error) {
	found, err := findGroup(ctx, api, id, region)
	if err != nil || found.Writer == "" {
		return found, err
	}
	writer, err := findInstance(ctx, api, found.Writer, region)
	found.WriterStatus = aws.ToString(writer.DBInstanceStatus)
	return found, err
}

// findGroup reads a cluster without its writer's status.
func findGroup(ctx context.Context, api Finder, id, region string) (Primary, error) {
	out, err := api.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: aws.String(id)})
	if err != nil {
		return Primary{}, action.Call("describing DB cluster "+id+" in "+region, err)
	}
	if len(out.DBClusters) != 1 {
		return Primary{}, action.Errorf(action.NotFound, "DB cluster %s is not in %s", id, region)
	}
	c := out.DBClusters[0]
	found := Primary{
		ID: aws.ToString(c.DBClusterIdentifier), ARN: aws.ToString(c.DBClusterArn), Status: aws.ToString(c.Status), Cluster: true, Engine: aws.ToString(c.Engine), Created: aws.ToTime(c.ClusterCreateTime),
		Source: aws.ToString(c.ReplicationSourceIdentifier), Replicas: len(c.ReadReplicaIdentifiers), Global: aws.ToString(c.GlobalClusterIdentifier), Tags: tagsOf(c.TagList),
		Members: len(c.DBClusterMembers),
	}
	found.Groups, found.Settled = groupsOf(c.VpcSecurityGroups)
	for _, m := range c.DBClusterMembers {
		if aws.ToBool(m.IsClusterWriter) {
			found.Writer = aws.ToString(m.DBInstanceIdentifier)
		}
	}
	return found, nil
}

func tagsOf(list []types.Tag) map[string]string {
	tags := map[string]string{}
	for _, tag := range list {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return tags
}

func groupsOf(list []types.VpcSecurityGroupMembership) (groups []string, settled bool) {
	settled = len(list) > 0
	for _, g := range list {
		groups = append(groups, aws.ToString(g.VpcSecurityGroupId))
		settled = settled && aws.ToString(g.Status) == "active"
	}
	slices.Sort(groups)
	return groups, settled
}

// in reports whether exactly these groups are in force.
func (p Primary) in(groups []string) bool {
	want := slices.Sorted(slices.Values(groups))
	return p.Settled && slices.Equal(p.Groups, slices.Compact(want))
}

// secondary reports whether it is shown as a member of a global cluster that
// takes no writes.
func (p Primary) secondary() bool {
	return p.Global != "" && p.Members > 0 && p.Writer == ""
}

// saved gives the groups from before the isolation.
func (p Primary) saved() []string { return strings.Fields(p.Tags[tagGroups]) }

// marked reports whether a fence was begun that nobody has released.
func (p Primary) marked() bool {
	return succession.Fenced(p.Tags)
}

// markedFor reports whether that fence was begun for this one.
func (p Primary) markedFor(next Primary) bool {
	return p.marked() && strings.EqualFold(p.Tags[tagSuccessor], next.ARN)
}

// original gives the groups to remember. Those of a fence that is in force are
// never replaced: what is in their place may be the groups of that fence.
func (p Primary) original() []string {
	if saved := p.saved(); p.marked() && len(saved) > 0 {
		return saved
	}
	return p.Groups
}

// what names it for a person.
func (p Primary) what() string {
	if p.Cluster {
		return "DB cluster " + p.ID
	}
	return "DB instance " + p.ID
}

func (p Primary) evidence() action.Evidence {
	e := action.Evidence{"primary": p.ARN, "status": p.Status, "securityGroups": p.Groups}
	for name, value := range map[string]string{"originalSecurityGroups": p.Tags[tagGroups], "fenceTag": p.Tags[tagFence], "replicates": p.Source} {
		if value != "" {
			e[name] = value
		}
	}
	if p.Cluster {
		e["writer"], e["writerStatus"] = p.Writer, p.WriterStatus
	}
	return e
}
