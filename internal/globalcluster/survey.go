package globalcluster

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lag"
)

// Survey is everything that building the protection of a source cluster anew
// needs to know: the global cluster, what stands under the name that the
// secondary is to have, and, where Deep says that they were looked at, the
// source and the snapshots.
type Survey struct {
	Global   *Global // nil: there is no global cluster of that name
	SourceIn string  // global cluster that lists the source; empty: none
	LocalIn  string  // global cluster that lists the secondary's ARN; empty: none
	Local    *Cluster

	Started   time.Time // of the run
	Deep      bool
	Source    *Cluster // nil: its region answers and does not know it
	Snapshots []Snapshot
	Taken     []string     // names that the old cluster and its instances are to get and others have
	Holder    string       // what else holds the name of the secondary's instance; empty: nothing
	Lag       *lag.Reading // of the secondary; nil: not asked for
	Clients   lag.Reading  // of what stands under the secondary's name, and is none: as many seconds as there are connections
}

// Cluster is one DB cluster as its own region shows it.
type Cluster struct {
	ARN, ID    string
	Status     string
	Engine     string
	Version    string
	Encrypted  bool
	Protected  bool      // against deletion
	Global     string    // global cluster that it says it belongs to; empty: none
	Source     string    // cluster that it replicates; empty: none
	Replicas   []string  // clusters that replicate it, other than by a global cluster
	Created    time.Time // zero: not shown
	Restorable time.Time // latest moment that its backups reach; zero: not shown
	Tags       map[string]string
	Instances  []Instance
}

// Instance is one DB instance of a cluster.
type Instance struct {
	ID, Status string
	Writer     bool
}

// Snapshot is one cluster snapshot.
type Snapshot struct {
	ID, Status string
	Of         string    // identifier of the cluster
	Taken      time.Time // zero: not shown
}

func (c Cluster) writer() (Instance, bool) {
	i := slices.IndexFunc(c.Instances, func(i Instance) bool { return i.Writer })
	if i < 0 {
		return Instance{}, false
	}
	return c.Instances[i], true
}

// running reports whether a cluster has an instance that clients can reach, as
// far as its status tells.
func (c Cluster) running() bool {
	return slices.ContainsFunc(c.Instances, func(i Instance) bool { return i.Status != statusDeleting && i.Status != "stopped" })
}

func (s Survey) snapshot(id string) (Snapshot, bool) {
	i := slices.IndexFunc(s.Snapshots, func(x Snapshot) bool { return strings.EqualFold(x.ID, id) })
	if i < 0 {
		return Snapshot{}, false
	}
	return s.Snapshots[i], true
}

// listGlobals gives every global cluster: which of them lists a cluster can be
// told in no other way that a cluster of another global cluster could not hide
// from.
func listGlobals(ctx context.Context, api Finder, region string) ([]Global, error) {
	var all []Global
	in := &rds.DescribeGlobalClustersInput{}
	for {
		out, err := api.DescribeGlobalClusters(ctx, in)
		if err != nil {
			return nil, action.Call("listing the global clusters in "+region, err)
		}
		for _, found := range out.GlobalClusters {
			all = append(all, globalOf(found))
		}
		if aws.ToString(out.Marker) == "" {
			return all, nil
		}
		in.Marker = out.Marker
	}
}

// findCluster reads a cluster with its instances; nil where its region answers
// that there is none.
func findCluster(ctx context.Context, api Finder, id, region string) (*Cluster, error) {
	out, err := api.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: aws.String(id)})
	switch {
	case err != nil && action.ClassOf(err) == action.NotFound:
		return nil, nil
	case err != nil:
		return nil, action.Call("describing cluster "+id+" in "+region, err)
	case len(out.DBClusters) != 1:
		return nil, nil
	}
	found := out.DBClusters[0]
	shown := shownCluster(found)
	c := &shown
	if len(found.DBClusterMembers) == 0 {
		return c, nil
	}
	statuses, err := instanceStatuses(ctx, api, c.ID, region)
	if err != nil {
		return nil, err
	}
	for _, m := range found.DBClusterMembers {
		id := aws.ToString(m.DBInstanceIdentifier)
		c.Instances = append(c.Instances, Instance{ID: id, Status: statuses[id], Writer: aws.ToBool(m.IsClusterWriter)})
	}
	slices.SortFunc(c.Instances, func(a, b Instance) int { return strings.Compare(a.ID, b.ID) })
	return c, nil
}

// shownCluster is what AWS shows of a cluster beside its instances.
func shownCluster(found types.DBCluster) Cluster {
	c := Cluster{
		ARN: aws.ToString(found.DBClusterArn), ID: aws.ToString(found.DBClusterIdentifier), Status: aws.ToString(found.Status),
		Engine: aws.ToString(found.Engine), Version: aws.ToString(found.EngineVersion), Encrypted: aws.ToBool(found.StorageEncrypted),
		Protected: aws.ToBool(found.DeletionProtection), Global: aws.ToString(found.GlobalClusterIdentifier),
		Source: aws.ToString(found.ReplicationSourceIdentifier), Replicas: found.ReadReplicaIdentifiers,
		Created: aws.ToTime(found.ClusterCreateTime), Restorable: aws.ToTime(found.LatestRestorableTime), Tags: map[string]string{},
	}
	for _, tag := range found.TagList {
		c.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return c
}

// instanceStatuses reads the statuses of a cluster's instances, by identifier.
func instanceStatuses(ctx context.Context, api Finder, cluster, region string) (map[string]string, error) {
	statuses := map[string]string{}
	in := &rds.DescribeDBInstancesInput{Filters: []types.Filter{{Name: aws.String("db-cluster-id"), Values: []string{cluster}}}}
	for {
		out, err := api.DescribeDBInstances(ctx, in)
		if err != nil {
			return nil, action.Call("describing the instances of "+cluster+" in "+region, err)
		}
		for _, i := range out.DBInstances {
			statuses[aws.ToString(i.DBInstanceIdentifier)] = aws.ToString(i.DBInstanceStatus)
		}
		if aws.ToString(out.Marker) == "" {
			return statuses, nil
		}
		in.Marker = out.Marker
	}
}

// findHolder tells what holds the identifier of an instance, other than a
// cluster; empty where nothing does.
func findHolder(ctx context.Context, api Finder, id, cluster, region string) (string, error) {
	out, err := api.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String(id)})
	if err != nil {
		if action.ClassOf(err) == action.NotFound {
			return "", nil
		}
		return "", action.Call("describing DB instance "+id+" in "+region, err)
	}
	for _, i := range out.DBInstances {
		switch of := aws.ToString(i.DBClusterIdentifier); {
		case of == "":
			return "a DB instance of its own", nil
		case !strings.EqualFold(of, cluster):
			return inCluster(of), nil
		}
	}
	return "", nil
}

func inCluster(id string) string { return "an instance of the cluster " + id }

// findSnapshots reads cluster snapshots. One may ask for those of a cluster only
// while it exists.
func findSnapshots(ctx context.Context, api SnapshotAPI, in *rds.DescribeDBClusterSnapshotsInput, what, region string) ([]Snapshot, error) {
	var all []Snapshot
	for {
		out, err := api.DescribeDBClusterSnapshots(ctx, in)
		if err != nil {
			return nil, action.Call("listing "+what+" in "+region, err)
		}
		for _, x := range out.DBClusterSnapshots {
			all = append(all, Snapshot{ID: aws.ToString(x.DBClusterSnapshotIdentifier), Status: aws.ToString(x.Status), Of: aws.ToString(x.DBClusterIdentifier), Taken: aws.ToTime(x.SnapshotCreateTime)})
		}
		if aws.ToString(out.Marker) == "" {
			slices.SortFunc(all, func(a, b Snapshot) int { return strings.Compare(a.ID, b.ID) })
			return all, nil
		}
		in.Marker = out.Marker
	}
}

// survey looks at what stands in the region of the run.
func (a Secondary) survey(ctx context.Context, p SecondaryParameters) (Survey, error) {
	api := a.RDS(p.ClusterRegion)
	globals, err := listGlobals(ctx, api, p.ClusterRegion)
	if err != nil {
		return Survey{}, err
	}
	var s Survey
	for _, g := range globals {
		if strings.EqualFold(g.ID, p.GlobalClusterIdentifier) {
			s.Global = &g
		}
		if _, in := g.member(p.SourceDBClusterIdentifier); in {
			s.SourceIn = g.ID
		}
		if _, in := g.member(p.DBClusterIdentifier); in {
			s.LocalIn = g.ID
		}
	}
	s.Local, err = findCluster(ctx, api, p.DBClusterName, p.ClusterRegion)
	return s, err
}

// deepen looks at the rest: what a step, or the proof, stands on. The source's
// region is asked only where the source is not shown as the writer of a global
// cluster that has the secondary in it.
func (a Secondary) deepen(ctx context.Context, p SecondaryParameters, now time.Time, s Survey) (Survey, error) {
	api := a.RDS(p.ClusterRegion)
	var err error
	if s.Local != nil {
		of := &rds.DescribeDBClusterSnapshotsInput{DBClusterIdentifier: aws.String(s.Local.ID)}
		if s.Snapshots, err = findSnapshots(ctx, api, of, "the snapshots of "+s.Local.ID, p.ClusterRegion); err != nil {
			return s, err
		}
	}
	if s.Local == nil || len(s.Local.Instances) == 0 || s.LocalIn == "" || s.SourceIn == "" {
		if s.Holder, err = findHolder(ctx, api, p.DBInstanceIdentifier, p.DBClusterName, p.ClusterRegion); err != nil {
			return s, err
		}
	}
	s.Deep = true
	if s.LocalIn != "" && s.SourceIn == s.LocalIn {
		if p.MaxReplicaLagSeconds != nil && s.Local != nil && len(s.Local.Instances) > 0 && operational(s.Local.Status) {
			reading := a.Lags.Read(ctx, lag.OfGlobalCluster(strings.ToLower(p.DBClusterName)), now)
			s.Lag = &reading
		}
		return s, nil
	}
	if s.Local != nil && p.OldPrimary != OldDelete && !s.Local.Created.IsZero() {
		if s.Taken, err = findTaken(ctx, api, *s.Local, p.ClusterRegion); err != nil {
			return s, err
		}
	}
	if s.Source, err = findCluster(ctx, a.RDS(p.SourceRegion), p.SourceDBClusterIdentifier, p.SourceRegion); err != nil {
		return s, err
	}
	if s.Local != nil && s.Local.running() {
		s.Clients = a.Lags.Read(ctx, lag.ClientsOfCluster(s.Local.ID), now)
	}
	return s, s.Clients.Err
}

func (s Survey) evidence(p SecondaryParameters) action.Evidence {
	e := action.Evidence{"globalCluster": p.GlobalClusterIdentifier, "status": "absent"}
	if g := s.Global; g != nil {
		e["status"] = g.Status
		for _, m := range g.Members {
			switch {
			case m.Writer:
				e["writer"] = m.ARN
			case strings.EqualFold(m.ARN, p.DBClusterIdentifier):
				e["synchronization"] = m.Sync
			}
		}
	}
	if c := s.Local; c != nil {
		e["cluster"], e["clusterStatus"] = c.ARN, c.Status
		if n := s.Clients.Seconds(); n != nil {
			e["clients"] = *n
		}
		for _, i := range c.Instances {
			e["instance"], e["instanceStatus"] = i.ID, i.Status
		}
		if s.SourceIn != "" { // it took the place; before, its tags tell of an earlier cycle
			tell(e, c.Tags)
		}
		if of, since := c.oldOf(); of != "" {
			e["oldPrimaryOf"], e["oldPrimarySince"] = of, since
		}
	}
	if c := s.Source; c != nil {
		e["source"], e["sourceStatus"] = c.ARN, c.Status
	}
	if s.Lag != nil {
		e["lag"] = s.Lag.String()
	}
	var lost, kept []string
	for _, x := range s.Snapshots {
		switch {
		case isSystemSnapshot(x.ID):
			lost = append(lost, x.ID)
		case isKept(x.ID):
			kept = append(kept, x.ID+" ("+x.Status+")")
		}
	}
	if len(lost) > 0 {
		e["lostWritesMayBeIn"] = strings.Join(lost, ", ")
	}
	if len(kept) > 0 {
		e["snapshots"] = strings.Join(kept, ", ")
	}
	return e
}
