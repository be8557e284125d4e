// Package cachegroup drives Amazon ElastiCache global datastores.
package cachegroup

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/evidence"
)

// Global is what a decision needs to know of a global datastore.
type Global struct {
	ID      string
	Status  string
	Version string // of the engine
	Members []Member
}

// Member is one replication group of a global datastore.
type Member struct {
	Group   string
	Region  string
	Primary bool
	Status  string
}

// Local is the target replication group as its own region shows it.
type Local struct {
	Status  string
	Primary bool
	Nodes   []string         // names of its cache clusters
	Details evidence.Details // for a preflight; nothing is decided by them
}

// Finder is every read that finding takes.
type Finder interface {
	DescribeGlobalReplicationGroups(context.Context, *elasticache.DescribeGlobalReplicationGroupsInput, ...func(*elasticache.Options)) (*elasticache.DescribeGlobalReplicationGroupsOutput, error)
	DescribeReplicationGroups(context.Context, *elasticache.DescribeReplicationGroupsInput, ...func(*elasticache.Options)) (*elasticache.DescribeReplicationGroupsOutput, error)
}

// findGlobal reads a global datastore. Without ShowMemberInfo AWS answers with
// no members at all.
func findGlobal(ctx context.Context, api Finder, id, region string) (Global, error) {
	out, err := api.DescribeGlobalReplicationGroups(ctx, &elasticache.DescribeGlobalReplicationGroupsInput{
		GlobalReplicationGroupId: aws.String(id), ShowMemberInfo: aws.Bool(true),
	})
	if err != nil {
		return Global{}, action.Call("describing global datastore "+id+" in "+region, err)
	}
	if len(out.GlobalReplicationGroups) != 1 {
		return Global{}, action.Errorf(action.NotFound, "global datastore %s is not known in %s", id, region)
	}
	found := out.GlobalReplicationGroups[0]
	g := Global{ID: id, Status: aws.ToString(found.Status), Version: aws.ToString(found.EngineVersion)}
	for _, m := range found.Members {
		g.Members = append(g.Members, Member{
			Group: aws.ToString(m.ReplicationGroupId), Region: aws.ToString(m.ReplicationGroupRegion),
			Primary: isPrimary(m.Role), Status: aws.ToString(m.Status),
		})
	}
	return g, nil
}

// findLocal reads a replication group in its own region.
func findLocal(ctx context.Context, api Finder, group, region string) (Local, error) {
	out, err := api.DescribeReplicationGroups(ctx, &elasticache.DescribeReplicationGroupsInput{ReplicationGroupId: aws.String(group)})
	if err != nil {
		return Local{}, action.Call("describing replication group "+group+" in "+region, err)
	}
	if len(out.ReplicationGroups) != 1 {
		return Local{}, action.Errorf(action.NotFound, "replication group %s is not in %s", group, region)
	}
	l := Local{Status: aws.ToString(out.ReplicationGroups[0].Status), Nodes: out.ReplicationGroups[0].MemberClusters, Details: evidence.OfGroup(out.ReplicationGroups[0])}
	if info := out.ReplicationGroups[0].GlobalReplicationGroupInfo; info != nil {
		l.Primary = isPrimary(info.GlobalReplicationGroupMemberRole)
	}
	return l, nil
}

// isPrimary reads a role. The API's model writes roles in lower case and
// observed answers in upper case.
func isPrimary(role *string) bool { return strings.EqualFold(aws.ToString(role), "primary") }

func (g Global) member(group, region string) (Member, bool) {
	for _, m := range g.Members {
		if m.Group == group && m.Region == region {
			return m, true
		}
	}
	return Member{}, false
}

func (g Global) evidence(local *Local) action.Evidence {
	e := action.Evidence{"globalDatastore": g.ID, "status": g.Status}
	for _, m := range g.Members {
		role := "secondary"
		if m.Primary {
			role = "primary"
		}
		e[m.Region+"/"+m.Group] = role + ", " + m.Status
	}
	if local != nil {
		e["replicationGroupStatus"] = local.Status
	}
	return e
}
