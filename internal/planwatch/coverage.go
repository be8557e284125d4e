package planwatch

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/emf"
	"dr-orchestrator/internal/run"
)

// Databases is every call to RDS that is made.
type Databases interface {
	DescribeDBInstances(context.Context, *rds.DescribeDBInstancesInput, ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error)
	DescribeGlobalClusters(context.Context, *rds.DescribeGlobalClustersInput, ...func(*rds.Options)) (*rds.DescribeGlobalClustersOutput, error)
}

// Caches is every call to ElastiCache that is made.
type Caches interface {
	DescribeGlobalReplicationGroups(context.Context, *elasticache.DescribeGlobalReplicationGroupsInput, ...func(*elasticache.Options)) (*elasticache.DescribeGlobalReplicationGroupsOutput, error)
}

// Estate looks for what could be failed over to a region.
type Estate struct {
	Databases Databases
	Caches    Caches
	Region    string
}

// candidates lists, as the identities of package payload, the cross-region read
// replicas of the region, and the global databases and datastores that have a
// secondary in it.
func (e Estate) candidates(ctx context.Context) ([]string, error) {
	var all []string
	for pages := rds.NewDescribeDBInstancesPaginator(e.Databases, &rds.DescribeDBInstancesInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, action.Call("looking at the instances of the region", err)
		}
		for _, i := range page.DBInstances {
			// The source of a replica in the same region is a name and no ARN.
			if source := aws.ToString(i.ReadReplicaSourceDBInstanceIdentifier); strings.HasPrefix(source, "arn:") && !strings.Contains(source, ":"+e.Region+":") {
				all = append(all, "rds-instance/"+aws.ToString(i.DBInstanceIdentifier))
			}
		}
	}
	for pages := rds.NewDescribeGlobalClustersPaginator(e.Databases, &rds.DescribeGlobalClustersInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, action.Call("looking at the global databases", err)
		}
		for _, g := range page.GlobalClusters {
			for _, m := range g.GlobalClusterMembers {
				if strings.Contains(aws.ToString(m.DBClusterArn), ":"+e.Region+":") && !aws.ToBool(m.IsWriter) {
					all = append(all, "global-cluster/"+aws.ToString(g.GlobalClusterIdentifier))
				}
			}
		}
	}
	for pages := elasticache.NewDescribeGlobalReplicationGroupsPaginator(e.Caches, &elasticache.DescribeGlobalReplicationGroupsInput{ShowMemberInfo: aws.Bool(true)}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, action.Call("looking at the global datastores", err)
		}
		for _, g := range page.GlobalReplicationGroups {
			for _, m := range g.Members {
				if aws.ToString(m.ReplicationGroupRegion) == e.Region && strings.EqualFold(aws.ToString(m.Role), "secondary") {
					all = append(all, "global-replication-group/"+aws.ToString(g.GlobalReplicationGroupId))
				}
			}
		}
	}
	return all, nil
}

// uncovered gives what could be failed over to the region and stands in no
// checked payload, as the last checks have seen them. While one of them was
// never checked nothing is known, and nothing is said.
func (c Checker) uncovered(ctx context.Context, payloads []string) ([]string, error) {
	covered := map[string]bool{}
	for _, name := range payloads {
		var checked run.CheckedPayload
		there, err := c.read(ctx, run.ReadinessKey(name), &checked)
		if err != nil {
			return nil, err
		}
		if !there {
			return []string{}, nil
		}
		for _, id := range checked.Identities {
			covered[bare(id)] = true
		}
	}
	candidates, err := c.Estate.candidates(ctx)
	if err != nil {
		return nil, err
	}
	missing := []string{}
	for _, id := range candidates {
		if !covered[bare(id)] {
			missing = append(missing, id)
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing), nil
}

// bare takes the ARN away from around the name in an identity.
func bare(id string) string {
	kind, name, _ := strings.Cut(id, "/")
	return kind + "/" + name[strings.LastIndexByte(name, ':')+1:]
}

// read reads a document; that it is not there is no error.
func (c Checker) read(ctx context.Context, key string, into any) (bool, error) {
	out, err := c.Objects.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(c.Bucket), Key: aws.String(key)})
	switch {
	case err != nil && action.ClassOf(err) == action.NotFound:
		return false, nil
	case err != nil:
		return false, action.Call("reading "+key, err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		return false, action.Errorf(action.Unreachable, "reading %s: %w", key, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return false, fmt.Errorf("decoding %s: %w", key, err)
	}
	return true, nil
}

// Uncovered is the detail of the event Estate Uncovered: databases that could
// be failed over to the region and stand in no checked payload.
type Uncovered struct {
	Version   int      `json:"version"`
	Region    string   `json:"region"`
	Count     int      `json:"count"`
	Resources []string `json:"resources"` // the first hundred
}

// mostNamed is how many are named in an event.
const mostNamed = 100

// tell makes known what is not covered: a metric always, and an event where
// there is something.
func (c Checker) tell(ctx context.Context, uncovered []string) error {
	if err := emf.Write(c.Metrics, c.line(run.MetricUncovered, len(uncovered))); err != nil || len(uncovered) == 0 {
		return err
	}
	detail := Uncovered{Version: run.EventVersion, Region: c.Region, Count: len(uncovered), Resources: uncovered[:min(len(uncovered), mostNamed)]}
	return action.Call("sending the event", run.Send(ctx, c.Events, run.Entry{DetailType: run.EventUncovered, Detail: detail, Time: c.Now()}))
}
