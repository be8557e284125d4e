package lab

import (
	"slices"
	"time"
)

// series gives what CloudWatch knows in a region: lags, which are published
// where the replica is and end when it becomes a primary.
func (a *Account) series(region string) []series {
	all := a.connections(region)
	for _, i := range a.Estate.Instances {
		if i.Region == region && i.LagSeconds != nil {
			all = append(all, series{"AWS/RDS", "ReplicaLag", map[string]string{"DBInstanceIdentifier": i.ID}, a.replicaLag(i), secondsOf(i.LagAge)})
		}
	}
	for _, c := range a.Estate.Clusters {
		g := a.Estate.globalOf(a.Estate.clusterARN(c))
		if c.Region != region || c.LagSeconds == nil || g == nil {
			continue
		}
		for _, m := range g.Members {
			if m.Writer && m.ARN != a.Estate.clusterARN(c) {
				all = append(all, ofCluster(c, regionOf(m.ARN)))
			}
		}
	}
	for _, g := range a.Estate.Groups {
		if g.Region != region || g.LagSeconds == nil || !a.Estate.secondary(g) {
			continue
		}
		for _, node := range g.nodes() {
			all = append(all, series{"AWS/ElastiCache", "GlobalDatastoreReplicationLag", map[string]string{"CacheClusterId": node, "CacheNodeId": "0001"},
				*g.LagSeconds, secondsOf(g.LagAge)})
		}
	}
	for _, x := range a.Estate.Alarms {
		if x.Region == region && x.Metric != nil && x.Value != nil {
			age := time.Hour
			if !x.At.IsZero() {
				age = a.clock.Now().Sub(x.At)
			}
			all = append(all, series{x.Metric.Namespace, x.Metric.Name, x.Metric.Dimensions, *x.Value, age})
		}
	}
	return all
}

// connections are how many clients each database of a region has.
func (a *Account) connections(region string) []series {
	const name = "DatabaseConnections"
	var all []series
	members := map[string]bool{}
	for _, i := range a.Estate.Instances {
		switch {
		case i.Region != region || slices.Contains([]string{"creating", "deleting", "starting", "stopped"}, i.Status):
		case i.Cluster != "":
			members[i.Cluster] = true
		default:
			all = append(all, series{"AWS/RDS", name, map[string]string{"DBInstanceIdentifier": i.ID}, a.clients(i.Clients, i.Network), 0})
		}
	}
	for _, c := range a.Estate.Clusters {
		if c.Region == region && members[c.ID] {
			all = append(all, series{"AWS/RDS", name, map[string]string{"DBClusterIdentifier": c.ID}, a.clients(c.Clients, c.Network), 0})
		}
	}
	return all
}

func (a *Account) clients(n float64, net Network) float64 {
	if !a.Estate.reached(net) {
		return 0
	}
	return n
}

// Desert takes the clients from the databases of a region: those that find it
// silent do not come back to it by themselves.
func (e *Estate) Desert(region string) {
	for _, i := range e.Instances {
		if i.Region == region {
			i.Clients = 0
		}
	}
	for _, c := range e.Clusters {
		if c.Region == region {
			c.Clients = 0
		}
	}
}

// replicaLag is what an RDS replica shows. One whose source takes no writes
// catches up, and then shows what its engine does when nothing happens: nothing
// on MySQL; on PostgreSQL the time since it last replayed something, which with
// an idle source goes up to five minutes again and again (RDS user guide).
func (a *Account) replicaLag(i *Instance) float64 {
	const idle = 5 * time.Minute
	source := a.Estate.instanceOf(i.Source)
	if source == nil || a.Estate.reached(source.Network) || *i.LagSeconds < 0 {
		return *i.LagSeconds
	}
	now, postgres := a.clock.Now(), i.Engine == "postgres"
	switch {
	case a.Estate.SilentWhenIsolated && postgres:
		return now.Sub(Epoch.Add(-time.Hour)).Seconds()
	case a.Estate.SilentWhenIsolated:
		return -1
	case postgres:
		return now.Sub(now.Truncate(idle)).Seconds()
	}
	return 0
}

// followPrimary gives a lag to the members of a datastore that follow, and to
// no other.
func (e *Estate) followPrimary(d *Datastore) {
	for _, g := range e.Groups {
		switch {
		case g.Datastore != d.ID:
		case !e.secondary(g):
			g.LagSeconds = nil
		case g.LagSeconds == nil:
			g.LagSeconds = seconds(0.6)
		}
	}
}

// ofCluster is the lag of a secondary cluster. Each engine has a metric of its
// own, in milliseconds. Of DocumentDB's no dimension but the cluster is known.
func ofCluster(c *Cluster, source string) series {
	s := series{"AWS/RDS", "AuroraGlobalDBReplicationLag", map[string]string{"DBClusterIdentifier": c.ID, "SourceRegion": source}, *c.LagSeconds, secondsOf(c.LagAge)}
	if s.value >= 0 { // -1 is no lag in any unit
		s.value *= 1000
	}
	switch c.Engine {
	case "docdb":
		s.namespace, s.name = "AWS/DocDB", "GlobalClusterReplicationLag"
		delete(s.dimensions, "SourceRegion")
	case "neptune":
		s.namespace, s.name = "AWS/Neptune", "GlobalDbProgressLag"
	}
	return s
}

// secondary reports whether a replication group follows another one.
func (e *Estate) secondary(g *ReplicationGroup) bool {
	if d := e.datastore(g.Datastore); d != nil {
		for _, m := range d.Members {
			if m.Region == g.Region && m.Group == g.ID {
				return m.Role == "SECONDARY"
			}
		}
	}
	return false
}

func (g *ReplicationGroup) nodes() []string {
	if len(g.Nodes) == 0 {
		return []string{g.ID + "-001"}
	}
	return g.Nodes
}
