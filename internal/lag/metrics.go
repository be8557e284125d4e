package lag

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// OfReplica is the lag of an RDS read replica. Only the identifier of the
// instance is a dimension.
func OfReplica(instance string) Metric {
	return Metric{Namespace: "AWS/RDS", Name: "ReplicaLag", Unit: time.Second, Of: Dimension{"DBInstanceIdentifier", []string{instance}}, Alone: true}
}

// Replicating is the status of an RDS read replication that works.
const Replicating = "replicating"

// OfRunning reads the lag of an RDS read replica whose replication has a
// status, as a describe shows it. A replication that does not run leaves its
// last datapoints behind: for some minutes they look fresh.
func OfRunning(ctx context.Context, from Source, instance, replication string, now time.Time) Reading {
	if replication != Replicating {
		return Reading{Stopped: true, Why: fmt.Sprintf("replication is %q, and what it last published says nothing of now", replication)}
	}
	return from.Read(ctx, OfReplica(instance), now)
}

// OfGlobalCluster is the lag of a secondary cluster of an Aurora global
// database. It carries the region of its source, too.
func OfGlobalCluster(cluster string) Metric {
	return Metric{Namespace: "AWS/RDS", Name: "AuroraGlobalDBReplicationLag", Unit: time.Millisecond, Of: Dimension{"DBClusterIdentifier", []string{cluster}}}
}

// OfDocumentDB is the lag of a secondary cluster of a DocumentDB global
// cluster.
func OfDocumentDB(cluster string) Metric {
	return Metric{Namespace: "AWS/DocDB", Name: "GlobalClusterReplicationLag", Unit: time.Millisecond, Of: Dimension{"DBClusterIdentifier", []string{cluster}}}
}

// OfNeptune is the lag of a secondary cluster of a Neptune global database.
func OfNeptune(cluster string) Metric {
	return Metric{Namespace: "AWS/Neptune", Name: "GlobalDbProgressLag", Unit: time.Millisecond, Of: Dimension{"DBClusterIdentifier", []string{cluster}}}
}

// nodeNumber is the end of the name of a node: what stands before it names its
// shard, or the group where there is one shard only.
var nodeNumber = regexp.MustCompile(`-[0-9]{3}$`)

// OfDatastore is the lag of a secondary replication group of an ElastiCache
// global datastore. AWS does not say which dimension names the group: its own
// name and those of its nodes are looked for. Nodes are named GROUP-001, or
// GROUP-0001-001 where there are shards, each of which replicates by itself.
func OfDatastore(group string, nodes []string) Metric {
	group = strings.ToLower(group) // as CloudWatch has it
	return Metric{
		Namespace: "AWS/ElastiCache", Name: "GlobalDatastoreReplicationLag", Unit: time.Second, Of: Dimension{"", append([]string{group}, nodes...)},
		Shard: func(value string) string {
			if value == group {
				return ""
			}
			return nodeNumber.ReplaceAllString(value, "")
		},
	}
}
