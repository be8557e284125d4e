// Package lagcheck checks, without changing anything, that a replica of any
// kind is close enough behind its source for the next layer to act.
package lagcheck

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lag"
)

// engines are those of the clusters of each kind: RDS describes them all, and
// each kind publishes a metric of its own.
var engines = map[string][]string{
	KindAurora:     {"aurora", "aurora-mysql", "aurora-postgresql"},
	KindDocumentDB: {"docdb"},
	KindNeptune:    {"neptune"},
}

// seen is what a check saw. Itself says, in words, that what was named takes
// writes itself, so that nothing of it can be behind: the payload was carried on
// with after its promotion.
type seen struct {
	reading  lag.Reading
	evidence action.Evidence
	itself   string
	postgres bool // it is a replica of RDS for PostgreSQL
}

// atWork reports whether AWS is at work on the replica. While it optimizes the
// storage, for hours, the replica goes on as ever.
func (s seen) atWork() bool {
	return s.evidence["status"] != "available" && s.evidence["status"] != "storage-optimization"
}

// read looks at the replica and reads its lag. That there is no such replica is
// an error of class NotFound; that it does not replicate makes its lag unknown.
func (c Check) read(ctx context.Context, req action.Request[Parameters]) (seen, error) {
	p := req.Parameters
	evidence := action.Evidence{"kind": p.ReplicaKind, "replica": p.ReplicaIdentifier}
	switch p.ReplicaKind {
	case KindRDS:
		return c.ofInstance(ctx, p.ReplicaIdentifier, req.Run.Region, req.Now, evidence)
	case KindAurora, KindDocumentDB, KindNeptune:
		return c.ofCluster(ctx, p, req.Run.Region, req.Now, evidence)
	case KindElastiCache:
		return c.ofGroup(ctx, p.ReplicaIdentifier, req.Run.Region, req.Now, evidence)
	}
	return seen{}, action.Errorf(action.InvalidInput, "ReplicaKind %q is none of those that have a lag", p.ReplicaKind)
}

func (c Check) ofInstance(ctx context.Context, id, region string, now time.Time, e action.Evidence) (seen, error) {
	out, err := c.RDS.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String(id)})
	if err != nil {
		return seen{}, action.Call("describing DB instance "+id+" in "+region, err)
	}
	if len(out.DBInstances) != 1 {
		return seen{}, action.Errorf(action.NotFound, "DB instance %s is not in %s", id, region)
	}
	db := out.DBInstances[0]
	e["status"] = aws.ToString(db.DBInstanceStatus)
	if cluster := aws.ToString(db.DBClusterIdentifier); cluster != "" {
		return seen{}, action.Errorf(action.InvalidInput, "%s is a member of the cluster %s: name the cluster, and its kind", id, cluster)
	}
	replication := ""
	for _, info := range db.StatusInfos {
		if strings.EqualFold(aws.ToString(info.StatusType), "read replication") {
			replication = aws.ToString(info.Status)
		}
	}
	if aws.ToString(db.ReadReplicaSourceDBInstanceIdentifier) == "" && aws.ToString(db.ReadReplicaSourceDBClusterIdentifier) == "" {
		if replication != "" {
			return seen{reading: lag.Reading{Why: id + " names no source and shows its replication as " + replication}, evidence: e}, nil
		}
		return seen{evidence: e, itself: id + " is no replica: it was promoted before, or never was one; nothing proves that it was promoted from the primary"}, nil
	}
	e["replication"] = replication
	return seen{
		reading:  lag.OfRunning(ctx, c.Lags, aws.ToString(db.DBInstanceIdentifier), replication, now),
		evidence: e, postgres: aws.ToString(db.Engine) == "postgres",
	}, nil
}

func (c Check) ofCluster(ctx context.Context, p Parameters, region string, now time.Time, e action.Evidence) (seen, error) {
	id := p.ReplicaIdentifier
	out, err := c.RDS.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: aws.String(id)})
	if err != nil {
		return seen{}, action.Call("describing DB cluster "+id+" in "+region, err)
	}
	if len(out.DBClusters) != 1 {
		return seen{}, action.Errorf(action.NotFound, "DB cluster %s is not in %s", id, region)
	}
	found := out.DBClusters[0]
	if engine := aws.ToString(found.Engine); !slices.Contains(engines[p.ReplicaKind], engine) {
		return seen{}, action.Errorf(action.InvalidInput, "the engine of %s is %q, which is not of the kind %s", id, engine, p.ReplicaKind)
	}
	e["status"] = aws.ToString(found.Status)
	// What was published before a cluster became the primary looks fresh for
	// some minutes. A secondary of Aurora has readers only; the others do not
	// document what theirs has.
	writes := func(m rdstypes.DBClusterMember) bool { return aws.ToBool(m.IsClusterWriter) }
	if p.ReplicaKind == KindAurora && slices.ContainsFunc(found.DBClusterMembers, writes) {
		return seen{evidence: e, itself: id + " takes writes itself: it is the primary, or stands on its own"}, nil
	}
	name := strings.ToLower(aws.ToString(found.DBClusterIdentifier)) // as CloudWatch has it
	return seen{reading: c.Lags.Read(ctx, metrics[p.ReplicaKind](name), now), evidence: e}, nil
}

var metrics = map[string]func(cluster string) lag.Metric{
	KindAurora: lag.OfGlobalCluster, KindDocumentDB: lag.OfDocumentDB, KindNeptune: lag.OfNeptune,
}

func (c Check) ofGroup(ctx context.Context, id, region string, now time.Time, e action.Evidence) (seen, error) {
	out, err := c.ElastiCache.DescribeReplicationGroups(ctx, &elasticache.DescribeReplicationGroupsInput{ReplicationGroupId: aws.String(id)})
	if err != nil {
		return seen{}, action.Call("describing replication group "+id+" in "+region, err)
	}
	if len(out.ReplicationGroups) != 1 {
		return seen{}, action.Errorf(action.NotFound, "replication group %s is not in %s", id, region)
	}
	found := out.ReplicationGroups[0]
	e["status"] = aws.ToString(found.Status)
	role := role(found.GlobalReplicationGroupInfo)
	e["role"] = role
	switch {
	case strings.EqualFold(role, "primary"):
		return seen{evidence: e, itself: id + " is the primary of its global datastore"}, nil
	case !strings.EqualFold(role, "secondary"):
		return seen{reading: lag.Reading{Why: id + " is no secondary of a global datastore"}, evidence: e}, nil
	}
	return seen{reading: c.Lags.Read(ctx, lag.OfDatastore(id, found.MemberClusters), now), evidence: e}, nil
}

// role gives the role of a replication group in its global datastore; empty:
// it belongs to none.
func role(info *types.GlobalReplicationGroupInfo) string {
	if info == nil {
		return ""
	}
	return aws.ToString(info.GlobalReplicationGroupMemberRole)
}
