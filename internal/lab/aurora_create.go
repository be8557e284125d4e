package lab

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// ClusterDetails are what a cluster is made with, beside its engine, traits and
// network, and what speaks for or against deleting it.
type ClusterDetails struct {
	Created     time.Time  `json:"created,omitzero"`            // zero: not shown
	Source      string     `json:"replicationSource,omitempty"` // ARN of what it replicates, other than by a global cluster
	Replicas    []string   `json:"readReplicas,omitempty"`      // ARNs of what replicates it, other than by a global cluster
	Restorable  *time.Time `json:"latestRestorable,omitempty"`  // nil: a few minutes ago; zero: not shown
	SubnetGroup string     `json:"subnetGroup,omitempty"`
	Port        int        `json:"port,omitempty"`
	Retention   int        `json:"backupRetentionPeriod,omitempty"` // days
	Logins      bool       `json:"iamAuthentication,omitempty"`
	CopyTags    bool       `json:"copyTagsToSnapshot,omitempty"`
}

// ClusterSnapshot is a snapshot of a cluster.
type ClusterSnapshot struct {
	Region  string    `json:"region"`
	ID      string    `json:"id"`
	Cluster string    `json:"cluster"` // identifier
	Type    string    `json:"type"`    // manual or automated
	Status  string    `json:"status"`
	Taken   time.Time `json:"taken"`
}

var auroraService = map[string]handler{
	"rds:CreateGlobalCluster":        createGlobalCluster,
	"rds:DeleteGlobalCluster":        deleteGlobalCluster,
	"rds:CreateDBCluster":            createDBCluster,
	"rds:DeleteDBCluster":            deleteDBCluster,
	"rds:CreateDBInstance":           createClusterInstance,
	"rds:DescribeDBClusterSnapshots": describeDBClusterSnapshots,
	"rds:CreateDBClusterSnapshot":    createDBClusterSnapshot,
	"rds:CopyDBClusterSnapshot":      copyDBClusterSnapshot,
}

// details are those of a cluster of the default estate.
func details(name, port string, position int) ClusterDetails {
	return ClusterDetails{
		Created:     time.Date(2025, time.March, 1+position, 9, 30, 0, 0, time.UTC),
		SubnetGroup: name + "-subnets", Port: atoi(port), Retention: 7, Logins: true, CopyTags: true,
	}
}

// auroraScripts are the operations that make and unmake clusters. The source
// of a new global cluster is listed some time after the call; a new secondary
// is there before it is listed, and listed before it is in sync.
var auroraScripts = map[string][]step{
	"CreateGlobalCluster": {
		{share: 0.2, apply: func(e *Estate, op *Operation) { op.global(e).Status = "available" }},
		{share: 1, apply: func(e *Estate, op *Operation) {
			g := op.global(e)
			g.Members = append(slices.Clone(g.Members), GlobalMember{ARN: op.Args["source"], Writer: true, Sync: "connected"})
		}},
	},
	"DeleteGlobalCluster": {
		{share: 0, apply: func(e *Estate, op *Operation) { op.global(e).Status = "deleting" }},
		{share: 1, apply: func(e *Estate, op *Operation) {
			e.Globals = slices.DeleteFunc(e.Globals, func(g *GlobalCluster) bool { return g.ID == op.Args["global"] })
		}},
	},
	"CreateDBCluster": {
		{share: 0.3, apply: func(e *Estate, op *Operation) {
			g := op.global(e)
			g.Members = append(slices.Clone(g.Members), GlobalMember{ARN: op.Target, Sync: "pending-resync"})
		}},
		{share: 0.8, apply: func(e *Estate, op *Operation) { op.cluster(e).Status = "available" }},
		{share: 1, apply: func(e *Estate, op *Operation) {
			op.cluster(e).LagSeconds = seconds(0.4)
			g := op.global(e)
			g.Members = slices.Clone(g.Members)
			for i := range g.Members {
				if g.Members[i].ARN == op.Target {
					g.Members[i].Sync = "connected"
				}
			}
		}},
	},
	"CreateDBInstance": {
		{share: 0.8, apply: func(e *Estate, op *Operation) { op.instance(e).Status = "configuring-enhanced-monitoring" }},
		{share: 1, apply: func(e *Estate, op *Operation) { op.instance(e).Status = "available" }},
	},
	"RenameDBCluster": {
		{after: 2 * time.Second, apply: func(e *Estate, op *Operation) { op.cluster(e).Status = "renaming" }},
		{share: 1, apply: func(e *Estate, op *Operation) {
			c := op.cluster(e)
			for _, i := range e.Instances {
				if i.Region == c.Region && i.Cluster == c.ID {
					i.Cluster = op.Args["name"]
				}
			}
			c.ID, c.Status = op.Args["name"], "available"
		}},
	},
	"DeleteDBCluster": {
		{share: 0, apply: func(e *Estate, op *Operation) { op.cluster(e).Status = "deleting" }},
		{share: 1, apply: func(e *Estate, op *Operation) {
			c := op.cluster(e)
			e.ClusterSnapshots = slices.DeleteFunc(e.ClusterSnapshots, func(s *ClusterSnapshot) bool {
				return s.Region == c.Region && s.Cluster == c.ID && s.Type == "automated"
			})
			e.Clusters = slices.DeleteFunc(e.Clusters, func(x *Cluster) bool { return e.clusterARN(x) == op.Target })
		}},
	},
	"CreateDBClusterSnapshot": {{share: 1, apply: setClusterSnapshot("available")}},
	"CopyDBClusterSnapshot":   {{share: 1, apply: setClusterSnapshot("available")}},
}

func setClusterSnapshot(status string) func(*Estate, *Operation) {
	return func(e *Estate, op *Operation) {
		for _, s := range e.ClusterSnapshots {
			if e.clusterSnapshotARN(s) == op.Target {
				s.Status = status
			}
		}
	}
}

// saveOldVolume is what AWS tries on a managed failover that was not planned:
// to keep what the old primary held in a snapshot, before it is rebuilt.
func saveOldVolume(e *Estate, op *Operation) {
	c := e.cluster(op.Target)
	if c == nil || op.Args["after"] == "SwitchoverGlobalCluster" {
		return
	}
	e.ClusterSnapshots = append(e.ClusterSnapshots, &ClusterSnapshot{
		Region: c.Region, ID: "rds:unplanned-global-failover-" + c.ID + "-" + op.started.UTC().Format("2006-01-02-15-04"), Cluster: c.ID,
		Type: "automated", Status: "available", Taken: op.started,
	})
}

func (op *Operation) cluster(e *Estate) *Cluster {
	if c := e.cluster(op.Target); c != nil {
		return c
	}
	return &Cluster{} // deleted meanwhile
}

func (op *Operation) global(e *Estate) *GlobalCluster {
	if g := e.global(op.Args["global"]); g != nil {
		return g
	}
	return &GlobalCluster{} // deleted meanwhile
}

func (e *Estate) clusterSnapshotARN(s *ClusterSnapshot) string {
	return fmt.Sprintf("arn:aws:rds:%s:%s:cluster-snapshot:%s", s.Region, e.Account, s.ID)
}

type xmlClusterDetails struct {
	Created    string   `xml:"ClusterCreateTime,omitempty"`
	Restorable string   `xml:"LatestRestorableTime,omitempty"`
	Source     string   `xml:"ReplicationSourceIdentifier,omitempty"`
	Replicas   []string `xml:"ReadReplicaIdentifiers>ReadReplicaIdentifier"`
}

// restorableLag is how far behind now the latest restorable time is, of a
// cluster that is alive.
const restorableLag = 3 * time.Minute

func (a *Account) clusterDetails(x *Cluster) xmlClusterDetails {
	restorable := a.clock.Now().Add(-restorableLag)
	if x.Restorable != nil {
		restorable = *x.Restorable
	}
	return xmlClusterDetails{Created: shownTime(x.Created), Restorable: shownTime(restorable), Source: x.Source, Replicas: x.Replicas}
}

// AWS takes this in the region of the cluster that becomes the primary.
func createGlobalCluster(a *Account, c *Call) (any, error) {
	id, source := c.Params.str("GlobalClusterIdentifier"), c.Params.str("SourceDBClusterIdentifier")
	x := a.Estate.cluster(source)
	switch {
	case a.Estate.global(id) != nil:
		return nil, fail(400, "GlobalClusterAlreadyExistsFault", "Global cluster %s already exists.", id)
	case x == nil || x.Region != c.Region:
		return nil, fail(404, "DBClusterNotFoundFault", "DBCluster %s not found.", source)
	case x.Status != "available" || a.running(source) || a.Estate.globalOf(source) != nil:
		return nil, fail(400, "InvalidDBClusterStateFault", "DB cluster %s is not in a state to become a primary.", source)
	}
	g := &GlobalCluster{ID: id, Engine: x.Engine, EngineVersion: x.EngineVersion, Status: "creating"}
	a.Estate.Globals = append(a.Estate.Globals, g)
	a.begin(c, "CreateGlobalCluster", source, map[string]string{"global": id, "source": source})
	return a.shownGlobal(g), nil
}

func deleteGlobalCluster(a *Account, c *Call) (any, error) {
	id := c.Params.str("GlobalClusterIdentifier")
	g := a.Estate.global(id)
	switch {
	case g == nil:
		return nil, fail(404, "GlobalClusterNotFoundFault", "GlobalCluster %s not found.", id)
	case len(g.Members) > 0 || a.globalRunning(id):
		return nil, fail(400, "InvalidGlobalClusterStateFault", "Global cluster %s is not empty.", id)
	}
	a.begin(c, "DeleteGlobalCluster", id, map[string]string{"global": id})
	return a.shownGlobal(g), nil
}

// createDBCluster makes a secondary of a global cluster: the lab knows no
// other new clusters.
func createDBCluster(a *Account, c *Call) (any, error) {
	id, p := c.Params.str("DBClusterIdentifier"), c.Params
	x := &Cluster{
		Region: c.Region, ID: id, Engine: p.str("Engine"), EngineVersion: p.str("EngineVersion"), Status: "creating",
		Traits:  Traits{Key: p.str("KmsKeyId"), Protected: p.flag("DeletionProtection"), MultiAZ: true},
		Network: Network{SecurityGroups: p.list("VpcSecurityGroupIds", "VpcSecurityGroupId"), Tags: p.tags()},
		ClusterDetails: ClusterDetails{
			Created: a.clock.Now().UTC(), SubnetGroup: p.str("DBSubnetGroupName"), Port: atoi(p.str("Port")), Retention: atoi(p.str("BackupRetentionPeriod")),
			Logins: p.flag("EnableIAMDatabaseAuthentication"), CopyTags: p.flag("CopyTagsToSnapshot"),
		},
	}
	arn := a.Estate.clusterARN(x)
	g := a.Estate.global(p.str("GlobalClusterIdentifier"))
	switch {
	case a.clusters(c.Region) >= mostClusters:
		return nil, fail(403, "DBClusterQuotaExceededFault", "You have reached the maximum number of DB clusters.")
	case a.Estate.cluster(arn) != nil:
		return nil, fail(400, "DBClusterAlreadyExistsFault", "DB Cluster %s already exists.", id)
	case g == nil:
		return nil, fail(404, "GlobalClusterNotFoundFault", "GlobalCluster %s not found.", p.str("GlobalClusterIdentifier"))
	case p.has("MasterUsername") || p.has("MasterUserPassword"):
		return nil, fail(400, "InvalidParameterCombination", "Cannot specify user name for cross region replication cluster.")
	case !slices.Contains(a.Estate.SubnetGroups[c.Region], x.SubnetGroup):
		return nil, fail(404, "DBSubnetGroupNotFoundFault", "DB subnet group %q does not exist.", x.SubnetGroup)
	case x.Key != "" && regionOf(x.Key) != c.Region:
		return nil, fail(400, "KMSKeyNotAccessibleFault", "The specified KMS key %s is not of this region.", x.Key)
	case (p.str("StorageEncrypted") == "false") == (x.Key != ""):
		return nil, fail(400, "InvalidParameterCombination", "A secondary of an encrypted cluster needs a KMS key of its own region.")
	case x.Engine != g.Engine || x.EngineVersion != g.EngineVersion:
		return nil, fail(400, "InvalidParameterValue", "The engine %s %s is not that of the global cluster.", x.Engine, x.EngineVersion)
	case !slices.ContainsFunc(g.Members, func(m GlobalMember) bool { return m.Writer }):
		return nil, fail(400, "InvalidDBClusterStateFault", "Source cluster is in a state which is not valid for physical replication.")
	case g.Status != "available" || a.globalRunning(g.ID):
		return nil, fail(400, "InvalidGlobalClusterStateFault", "Global cluster %s is in state %s, but expected it to be one of available.", g.ID, g.Status)
	}
	delete(a.before, arn) // what stood there before is another cluster
	a.Estate.Clusters = append(a.Estate.Clusters, x)
	a.begin(c, "CreateDBCluster", arn, map[string]string{"global": g.ID})
	return a.shownCluster(x, "creating"), nil
}

// modifyClusterFurther begins the changes of a cluster that are more than one
// of its network.
func (a *Account) modifyClusterFurther(c *Call, x *Cluster) error {
	arn := a.Estate.clusterARN(x)
	switch name := c.Params.str("NewDBClusterIdentifier"); {
	case name != "":
		switch {
		case a.Estate.cluster(strings.TrimSuffix(arn, x.ID)+name) != nil:
			return fail(400, "DBClusterAlreadyExistsFault", "DB Cluster %s already exists.", name)
		case len(name) > longestName:
			return fail(400, "InvalidParameterValue", "The identifier %s is too long.", name)
		case a.Estate.globalOf(arn) != nil:
			return fail(400, "InvalidDBClusterStateFault", "%s is a member of a global cluster.", x.ID)
		case !c.Params.flag("ApplyImmediately"):
			return fail(400, "InvalidParameterCombination", "the lab has no maintenance windows: rename with ApplyImmediately")
		}
		a.begin(c, "RenameDBCluster", arn, map[string]string{"name": name})
	case c.Params.has("DeletionProtection"):
		a.begin(c, "SetDeletionProtection", arn, map[string]string{"protected": c.Params.str("DeletionProtection")})
	default:
		return fail(400, "InvalidParameterCombination", "No modifications were requested.")
	}
	return nil
}

func deleteDBCluster(a *Account, c *Call) (any, error) {
	x, err := a.clusterTarget(c, "available")
	if err != nil {
		return nil, err
	}
	arn := a.Estate.clusterARN(x)
	if g := a.Estate.globalOf(arn); g != nil {
		for _, m := range g.Members {
			if m.ARN == arn && m.Writer {
				return nil, fail(400, "InvalidGlobalClusterStateFault", "%s is the primary of %s.", x.ID, g.ID)
			}
		}
		return nil, fail(400, "InvalidDBClusterStateFault", "This cluster is a part of a global cluster, please remove it from globalcluster first.")
	}
	switch {
	case x.Protected:
		return nil, fail(400, "InvalidParameterCombination", "Cannot delete protected Cluster, please disable deletion protection and try again.")
	case slices.ContainsFunc(a.Estate.Instances, func(i *Instance) bool { return i.Region == x.Region && i.Cluster == x.ID }):
		return nil, fail(400, "InvalidDBClusterStateFault", "Cluster cannot be deleted, it still contains DB instances in non-deleting state.")
	case !c.Params.flag("SkipFinalSnapshot") && !c.Params.has("FinalDBSnapshotIdentifier"):
		return nil, fail(400, "InvalidParameterCombination", "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.")
	}
	a.begin(c, "DeleteDBCluster", arn, nil)
	return a.shownCluster(x, "deleting"), nil
}

// createClusterInstance makes an instance in an Aurora cluster.
func createClusterInstance(a *Account, c *Call) (any, error) {
	id, cluster := c.Params.str("DBInstanceIdentifier"), c.Params.str("DBClusterIdentifier")
	x, err := a.clusterTarget(c, "available")
	switch {
	case a.Estate.instance(c.Region, id) != nil:
		return nil, fail(400, "DBInstanceAlreadyExists", "DB instance %s already exists.", id)
	case err != nil:
		return nil, err
	case c.Params.str("Engine") != x.Engine:
		return nil, fail(400, "InvalidParameterCombination", "The engine of the instance is not that of the cluster %s.", cluster)
	}
	if err := a.roomForInstance(c.Region); err != nil {
		return nil, err
	}
	i := &Instance{Region: c.Region, ID: id, Engine: x.Engine, EngineVersion: x.EngineVersion, Class: c.Params.str("DBInstanceClass"),
		Status: "creating", Cluster: x.ID, Writer: true, Retention: x.Retention, Traits: x.Traits}
	for _, other := range a.Estate.Instances {
		if other.Region == c.Region && other.Cluster == x.ID && other.Writer {
			i.Writer = false
		}
	}
	delete(a.before, a.Estate.instanceARN(i)) // what stood there before is another instance
	a.Estate.Instances = append(a.Estate.Instances, i)
	a.begin(c, "CreateDBInstance", a.Estate.instanceARN(i), nil)
	return a.shown(i, "creating"), nil
}

type xmlClusterSnapshot struct {
	ID      string `xml:"DBClusterSnapshotIdentifier"`
	ARN     string `xml:"DBClusterSnapshotArn"`
	Cluster string `xml:"DBClusterIdentifier"`
	Type    string `xml:"SnapshotType"`
	Status  string `xml:"Status"`
	Taken   string `xml:"SnapshotCreateTime"`
}

func (a *Account) xmlClusterSnapshot(s *ClusterSnapshot) xmlClusterSnapshot {
	return xmlClusterSnapshot{s.ID, a.Estate.clusterSnapshotARN(s), s.Cluster, s.Type, s.Status, shownTime(s.Taken)}
}

// describeDBClusterSnapshots does not show a snapshot that was only just begun
// where it is asked to answer with what was there before.
func describeDBClusterSnapshots(a *Account, c *Call) (any, error) {
	var out struct {
		Snapshots []xmlClusterSnapshot `xml:"DBClusterSnapshots>DBClusterSnapshot"`
	}
	cluster := lastName(c.Params.str("DBClusterIdentifier"))
	known := cluster == "" || slices.ContainsFunc(a.Estate.Clusters, func(x *Cluster) bool { return x.Region == c.Region && x.ID == cluster })
	if !known {
		return nil, fail(404, "DBClusterNotFoundFault", "DBCluster %s not found.", cluster)
	}
	for _, s := range a.Estate.ClusterSnapshots {
		hidden := s.Status == "creating" && (c.stale || c.notFound)
		if s.Region == c.Region && (cluster == "" || s.Cluster == cluster) && !hidden {
			out.Snapshots = append(out.Snapshots, a.xmlClusterSnapshot(s))
		}
	}
	return out, nil
}

func (e *Estate) clusterSnapshot(region, id string) *ClusterSnapshot {
	for _, s := range e.ClusterSnapshots {
		if s.Region == region && s.ID == id {
			return s
		}
	}
	return nil
}

func createDBClusterSnapshot(a *Account, c *Call) (any, error) {
	x, err := a.clusterTarget(c, "available")
	if err != nil {
		return nil, err
	}
	return a.newClusterSnapshot(c, "CreateDBClusterSnapshot", c.Params.str("DBClusterSnapshotIdentifier"), x.ID)
}

func copyDBClusterSnapshot(a *Account, c *Call) (any, error) {
	from := a.Estate.clusterSnapshot(c.Region, c.Params.str("SourceDBClusterSnapshotIdentifier"))
	switch {
	case from == nil:
		return nil, fail(404, "DBClusterSnapshotNotFoundFault", "DBClusterSnapshot %s not found.", c.Params.str("SourceDBClusterSnapshotIdentifier"))
	case from.Status != "available":
		return nil, fail(400, "InvalidDBClusterSnapshotStateFault", "DBClusterSnapshot %s is not available.", from.ID)
	}
	return a.newClusterSnapshot(c, "CopyDBClusterSnapshot", c.Params.str("TargetDBClusterSnapshotIdentifier"), from.Cluster)
}

func (a *Account) newClusterSnapshot(c *Call, kind, id, cluster string) (any, error) {
	switch {
	case a.Estate.clusterSnapshot(c.Region, id) != nil:
		return nil, fail(400, "DBClusterSnapshotAlreadyExistsFault", "Cannot create the cluster snapshot because one with the identifier %s already exists.", id)
	case id == "" || len(id) > longestName || strings.Contains(id, ":"):
		return nil, fail(400, "InvalidParameterValue", "The identifier %q is no name of a snapshot.", id)
	}
	s := &ClusterSnapshot{Region: c.Region, ID: id, Cluster: cluster, Type: "manual", Status: "creating", Taken: a.clock.Now().UTC()}
	a.Estate.ClusterSnapshots = append(a.Estate.ClusterSnapshots, s)
	a.begin(c, kind, a.Estate.clusterSnapshotARN(s), nil)
	var out struct {
		Snapshot xmlClusterSnapshot `xml:"DBClusterSnapshot"`
	}
	out.Snapshot = a.xmlClusterSnapshot(s)
	return out, nil
}

// mostClusters is the quota of DB clusters in a region that AWS sets.
const mostClusters = 40

// clusters gives how many DB clusters a region has.
func (a *Account) clusters(region string) int {
	n := 0
	for _, x := range a.Estate.Clusters {
		if x.Region == region {
			n++
		}
	}
	return n
}
