package lag

import "time"

// OfReplica is the lag of an RDS read replica. Only the identifier of the
// instance is a dimension.
func OfReplica(instance string) Metric {
	return Metric{Namespace: "AWS/RDS", Name: "ReplicaLag", Unit: time.Second, Of: Dimension{"DBInstanceIdentifier", []string{instance}}, Alone: true}
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

// OfDatastore is the lag of a secondary replication group of an ElastiCache
// global datastore. AWS does not say which dimension names the group: its own
// name and those of its nodes are looked for.
func OfDatastore(group string, nodes []string) Metric {
	return Metric{Namespace: "AWS/ElastiCache", Name: "GlobalDatastoreReplicationLag", Unit: time.Second, Of: Dimension{"", append([]string{group}, nodes...)}}
}
