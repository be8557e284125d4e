package lab

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// ClusterDetails are what a cluster is made with, beside its engine, and what
// speaks for or against deleting it.
type ClusterDetails struct {
	Created     time.Time  `json:"created,omitzero"` // zero: not shown
	Protected   bool       `json:"deletionProtection,omitempty"`
	Plain       bool       `json:"unencrypted,omitempty"`
	Source      string     `json:"replicationSource,omitempty"`    // ARN of what it replicates, other than by a global cluster
	Replicas    []string   `json:"readReplicas,omitempty"`         // ARNs of what replicates it, other than by a global cluster
	Restorable  *time.Time `json:"latestRestorableTime,omitempty"` // nil: a few minutes ago; zero: not shown
	SubnetGroup string     `json:"subnetGroup,omitempty"`
	Security    []string   `json:"securityGroups,omitempty"`
	Key         string     `json:"kmsKey,omitempty"`
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

// SubnetGroup is a DB subnet group.
type SubnetGroup struct {
	Region string `json:"region"`
	Name   string `json:"name"`
}

var auroraService = map[string]handler{
	"rds:CreateGlobalCluster":        createGlobalCluster,
	"rds:DeleteGlobalCluster":        deleteGlobalCluster,
	"rds:CreateDBCluster":            createDBCluster,
	"rds:ModifyDBCluster":            modifyDBCluster,
	"rds:DeleteDBCluster":            deleteDBCluster,
	"rds:CreateDBInstance":           createClusterInstance,
	"rds:DeleteDBInstance":           deleteClusterInstance,
	"rds:DescribeDBClusterSnapshots": describeDBClusterSnapshots,
	"rds:CreateDBClusterSnapshot":    createDBClusterSnapshot,
	"rds:CopyDBClusterSnapshot":      copyDBClusterSnapshot,
	"rds:DescribeDBSubnetGroups":     describeDBSubnetGroups,
	"rds:DescribeAccountAttributes":  describeAccountAttributes,
}

// details are those of a cluster of the default estate.
func (e *Estate) details(region, name, port string, position int) ClusterDetails {
	return ClusterDetails{
		Created: time.Date(2025, time.March, 1+position, 9, 30, 0, 0, time.UTC), Protected: true, SubnetGroup: name + "-subnets",
		Security: []string{"sg-0a1b2c3d4e5f60002"}, Key: e.key(region), Port: atoi(port), Retention: 7, Logins: true, CopyTags: true,
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
	"ModifyDBCluster": {{share: 1, apply: func(e *Estate, op *Operation) {
		op.cluster(e).Protected = op.Args["protected"] == "true"
	}}},
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
	"RenameClusterInstance": {
		{after: 2 * time.Second, apply: func(e *Estate, op *Operation) { op.instance(e).Status = "renaming" }},
		{share: 1, apply: func(e *Estate, op *Operation) {
			i := op.instance(e)
			i.ID, i.Status = op.Args["name"], "available"
		}},
	},
	"DeleteDBCluster": {
		{share: 0, apply: func(e *Estate, op *Operation) { op.cluster(e).Status = "deleting" }},
		{share: 1, apply: func(e *Estate, op *Operation) {
			c := op.cluster(e)
			e.Snapshots = slices.DeleteFunc(e.Snapshots, func(s *ClusterSnapshot) bool {
				return s.Region == c.Region && s.Cluster == c.ID && s.Type == "automated"
			})
			e.Clusters = slices.DeleteFunc(e.Clusters, func(x *Cluster) bool { return e.clusterARN(x) == op.Target })
		}},
	},
	"DeleteClusterInstance": {
		{share: 0, apply: func(e *Estate, op *Operation) { op.instance(e).Status = "deleting" }},
		{share: 1, apply: func(e *Estate, op *Operation) {
			e.Instances = slices.DeleteFunc(e.Instances, func(x *Instance) bool { return e.instanceARN(x) == op.Target })
		}},
	},
	"CreateDBClusterSnapshot": {{share: 1, apply: snapshotDone}},
	"CopyDBClusterSnapshot":   {{share: 1, apply: snapshotDone}},
}

func snapshotDone(e *Estate, op *Operation) {
	for _, s := range e.Snapshots {
		if e.snapshotARN(s) == op.Target {
			s.Status = "available"
		}
	}
}

// saveOldVolume is what AWS tries on a managed failover that was not planned:
// to keep what the old primary held in a snapshot, before it is rebuilt.
func saveOldVolume(e *Estate, op *Operation) {
	c := e.cluster(op.Target)
	if c == nil {
		return
	}
	e.Snapshots = append(e.Snapshots, &ClusterSnapshot{
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

func (e *Estate) snapshotARN(s *ClusterSnapshot) string {
	return fmt.Sprintf("arn:aws:rds:%s:%s:cluster-snapshot:%s", s.Region, e.Account, s.ID)
}

// ofCluster tells whether an instance passes the filter db-cluster-id of a
// describe.
func ofCluster(c *Call, i *Instance) bool {
	return c.Params.str("Filters.Filter.1.Name") != "db-cluster-id" || i.Cluster == lastName(c.Params.str("Filters.Filter.1.Values.Value.1"))
}

type xmlClusterDetails struct {
	Created    *time.Time `xml:"ClusterCreateTime,omitempty"`
	Restorable *time.Time `xml:"LatestRestorableTime,omitempty"`
	Protected  bool       `xml:"DeletionProtection"`
	Encrypted  bool       `xml:"StorageEncrypted"`
	Source     string     `xml:"ReplicationSourceIdentifier,omitempty"`
	Replicas   []string   `xml:"ReadReplicaIdentifiers>ReadReplicaIdentifier"`
}

// restorableLag is how far behind now the latest restorable time is, of a
// cluster that is alive.
const restorableLag = 3 * time.Minute

func (a *Account) clusterDetails(x *Cluster) xmlClusterDetails {
	out := xmlClusterDetails{Protected: x.Protected, Encrypted: !x.Plain, Source: x.Source, Replicas: x.Replicas}
	if !x.Created.IsZero() {
		out.Created = &x.Created
	}
	restorable := a.clock.Now().Add(-restorableLag).UTC()
	if x.Restorable != nil {
		restorable = *x.Restorable
	}
	if !restorable.IsZero() {
		out.Restorable = &restorable
	}
	return out
}

func (a *Account) shownCluster(x *Cluster) any {
	var out struct {
		DBCluster xmlDBCluster `xml:"DBCluster"`
	}
	out.DBCluster = xmlDBCluster{xmlClusterDetails: a.clusterDetails(x), Identifier: x.ID, ARN: a.Estate.clusterARN(x), Engine: x.Engine, Version: x.EngineVersion, Status: x.Status}
	return out
}

// clusterTarget finds the cluster that a call names, in a state in which AWS
// takes it.
func (a *Account) clusterTarget(c *Call) (*Cluster, string, error) {
	id := lastName(c.Params.str("DBClusterIdentifier"))
	arn := fmt.Sprintf("arn:aws:rds:%s:%s:cluster:%s", c.Region, a.Estate.Account, id)
	x := a.Estate.cluster(arn)
	switch {
	case x == nil:
		return nil, "", fail(404, "DBClusterNotFoundFault", "DBCluster %s not found.", id)
	case x.Status != "available" || a.running(arn):
		return nil, "", fail(400, "InvalidDBClusterStateFault", "DB cluster %s is not in available state.", id)
	}
	return x, arn, nil
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
	x := &Cluster{Region: c.Region, ID: id, Engine: p.str("Engine"), EngineVersion: p.str("EngineVersion"), Status: "creating", ClusterDetails: ClusterDetails{
		Created: a.clock.Now().UTC(), Protected: p.flag("DeletionProtection"), Plain: p.str("StorageEncrypted") == "false", SubnetGroup: p.str("DBSubnetGroupName"),
		Security: p.list("VpcSecurityGroupIds", "VpcSecurityGroupId"), Key: p.str("KmsKeyId"), Port: atoi(p.str("Port")),
		Retention: atoi(p.str("BackupRetentionPeriod")), Logins: p.flag("EnableIAMDatabaseAuthentication"), CopyTags: p.flag("CopyTagsToSnapshot"),
	}}
	arn := a.Estate.clusterARN(x)
	g := a.Estate.global(p.str("GlobalClusterIdentifier"))
	here := 0
	for _, other := range a.Estate.Clusters {
		if other.Region == c.Region {
			here++
		}
	}
	switch {
	case here >= mostClusters:
		return nil, fail(403, "DBClusterQuotaExceededFault", "You have reached the maximum number of DB clusters.")
	case a.Estate.cluster(arn) != nil:
		return nil, fail(400, "DBClusterAlreadyExistsFault", "DB Cluster %s already exists.", id)
	case g == nil:
		return nil, fail(404, "GlobalClusterNotFoundFault", "GlobalCluster %s not found.", p.str("GlobalClusterIdentifier"))
	case p.has("MasterUsername") || p.has("MasterUserPassword"):
		return nil, fail(400, "InvalidParameterCombination", "Cannot specify user name for cross region replication cluster.")
	case !slices.ContainsFunc(a.Estate.Subnets, func(s *SubnetGroup) bool { return s.Region == c.Region && s.Name == x.SubnetGroup }):
		return nil, fail(404, "DBSubnetGroupNotFoundFault", "DB subnet group %q does not exist.", x.SubnetGroup)
	case x.Key != "" && regionOf(x.Key) != c.Region:
		return nil, fail(400, "KMSKeyNotAccessibleFault", "The specified KMS key %s is not of this region.", x.Key)
	case x.Plain == (x.Key != ""):
		return nil, fail(400, "InvalidParameterCombination", "A secondary of an encrypted cluster needs a KMS key of its own region.")
	case x.Engine != g.Engine || x.EngineVersion != g.EngineVersion:
		return nil, fail(400, "InvalidParameterValue", "The engine %s %s is not that of the global cluster.", x.Engine, x.EngineVersion)
	case !slices.ContainsFunc(g.Members, func(m GlobalMember) bool { return m.Writer }):
		return nil, fail(400, "InvalidDBClusterStateFault", "Source cluster is in a state which is not valid for physical replication.")
	case g.Status != "available" || a.globalRunning(g.ID):
		return nil, fail(400, "InvalidGlobalClusterStateFault", "Global cluster %s is in state %s, but expected it to be one of available.", g.ID, g.Status)
	}
	a.Estate.Clusters = append(a.Estate.Clusters, x)
	a.begin(c, "CreateDBCluster", arn, map[string]string{"global": g.ID})
	return a.shownCluster(x), nil
}

// modifyDBCluster renames a cluster or changes its protection.
func modifyDBCluster(a *Account, c *Call) (any, error) {
	x, arn, err := a.clusterTarget(c)
	if err != nil {
		return nil, err
	}
	name := c.Params.str("NewDBClusterIdentifier")
	if name == "" {
		a.begin(c, "ModifyDBCluster", arn, map[string]string{"protected": c.Params.str("DeletionProtection")})
		return a.shownCluster(x), nil
	}
	switch {
	case a.Estate.cluster(strings.TrimSuffix(arn, x.ID)+name) != nil:
		return nil, fail(400, "DBClusterAlreadyExistsFault", "DB Cluster %s already exists.", name)
	case len(name) > 63:
		return nil, fail(400, "InvalidParameterValue", "The identifier %s is too long.", name)
	case a.Estate.globalOf(arn) != nil:
		return nil, fail(400, "InvalidDBClusterStateFault", "%s is a member of a global cluster.", x.ID)
	}
	a.begin(c, "RenameDBCluster", arn, map[string]string{"name": name})
	return a.shownCluster(x), nil
}

func deleteDBCluster(a *Account, c *Call) (any, error) {
	x, arn, err := a.clusterTarget(c)
	if err != nil {
		return nil, err
	}
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
	return a.shownCluster(x), nil
}

// createClusterInstance makes an instance in an Aurora cluster.
func createClusterInstance(a *Account, c *Call) (any, error) {
	id, cluster := c.Params.str("DBInstanceIdentifier"), c.Params.str("DBClusterIdentifier")
	x, _, err := a.clusterTarget(c)
	switch {
	case a.Estate.instance(c.Region, id) != nil:
		return nil, fail(400, "DBInstanceAlreadyExists", "DB instance %s already exists.", id)
	case err != nil:
		return nil, err
	case c.Params.str("Engine") != x.Engine:
		return nil, fail(400, "InvalidParameterCombination", "The engine of the instance is not that of the cluster %s.", cluster)
	}
	i := &Instance{Region: c.Region, ID: id, Engine: x.Engine, EngineVersion: x.EngineVersion, Class: c.Params.str("DBInstanceClass"),
		Status: "creating", Cluster: x.ID, Writer: true, Retention: x.Retention}
	for _, other := range a.Estate.Instances {
		if other.Region == c.Region && other.Cluster == x.ID && other.Writer {
			i.Writer = false
		}
	}
	a.Estate.Instances = append(a.Estate.Instances, i)
	a.begin(c, "CreateDBInstance", a.Estate.instanceARN(i), nil)
	return a.shownInstance(i), nil
}

func (a *Account) shownInstance(i *Instance) any {
	var out struct {
		DBInstance xmlDBInstance `xml:"DBInstance"`
	}
	out.DBInstance = a.xmlInstance(i)
	return out
}

func renameClusterInstance(a *Account, c *Call, i *Instance) (any, error) {
	name := c.Params.str("NewDBInstanceIdentifier")
	switch {
	case a.Estate.instance(c.Region, name) != nil:
		return nil, fail(400, "DBInstanceAlreadyExists", "DB instance %s already exists.", name)
	case len(name) > 63:
		return nil, fail(400, "InvalidParameterValue", "The identifier %s is too long.", name)
	}
	a.begin(c, "RenameClusterInstance", a.Estate.instanceARN(i), map[string]string{"name": name})
	return a.modified(i), nil
}

// deleteClusterInstance deletes an instance of an Aurora cluster. The
// protection of the cluster is not one of its instances.
func deleteClusterInstance(a *Account, c *Call) (any, error) {
	i, err := a.target(c)
	if err != nil {
		return nil, err
	}
	if c.Params.has("FinalDBSnapshotIdentifier") {
		return nil, fail(400, "InvalidParameterCombination", "A final snapshot is not taken of an instance of a cluster.")
	}
	a.begin(c, "DeleteClusterInstance", a.Estate.instanceARN(i), nil)
	return a.shownInstance(i), nil
}

type xmlSnapshot struct {
	ID      string    `xml:"DBClusterSnapshotIdentifier"`
	ARN     string    `xml:"DBClusterSnapshotArn"`
	Cluster string    `xml:"DBClusterIdentifier"`
	Type    string    `xml:"SnapshotType"`
	Status  string    `xml:"Status"`
	Taken   time.Time `xml:"SnapshotCreateTime"`
}

func (a *Account) xmlSnapshot(s *ClusterSnapshot) xmlSnapshot {
	return xmlSnapshot{s.ID, a.Estate.snapshotARN(s), s.Cluster, s.Type, s.Status, s.Taken}
}

func (a *Account) shownSnapshot(s *ClusterSnapshot) any {
	var out struct {
		Snapshot xmlSnapshot `xml:"DBClusterSnapshot"`
	}
	out.Snapshot = a.xmlSnapshot(s)
	return out
}

func describeDBClusterSnapshots(a *Account, c *Call) (any, error) {
	var out struct {
		Snapshots []xmlSnapshot `xml:"DBClusterSnapshots>DBClusterSnapshot"`
	}
	cluster := lastName(c.Params.str("DBClusterIdentifier"))
	known := cluster == "" || slices.ContainsFunc(a.Estate.Clusters, func(x *Cluster) bool { return x.Region == c.Region && x.ID == cluster })
	if !known {
		return nil, fail(404, "DBClusterNotFoundFault", "DBCluster %s not found.", cluster)
	}
	for _, s := range a.Estate.Snapshots {
		if s.Region == c.Region && (cluster == "" || s.Cluster == cluster) {
			out.Snapshots = append(out.Snapshots, a.xmlSnapshot(s))
		}
	}
	return out, nil
}

func (e *Estate) snapshot(region, id string) *ClusterSnapshot {
	for _, s := range e.Snapshots {
		if s.Region == region && s.ID == id {
			return s
		}
	}
	return nil
}

func createDBClusterSnapshot(a *Account, c *Call) (any, error) {
	x, _, err := a.clusterTarget(c)
	if err != nil {
		return nil, err
	}
	return a.newSnapshot(c, "CreateDBClusterSnapshot", c.Params.str("DBClusterSnapshotIdentifier"), x.ID)
}

func copyDBClusterSnapshot(a *Account, c *Call) (any, error) {
	from := a.Estate.snapshot(c.Region, c.Params.str("SourceDBClusterSnapshotIdentifier"))
	switch {
	case from == nil:
		return nil, fail(404, "DBClusterSnapshotNotFoundFault", "DBClusterSnapshot %s not found.", c.Params.str("SourceDBClusterSnapshotIdentifier"))
	case from.Status != "available":
		return nil, fail(400, "InvalidDBClusterSnapshotStateFault", "DBClusterSnapshot %s is not available.", from.ID)
	}
	return a.newSnapshot(c, "CopyDBClusterSnapshot", c.Params.str("TargetDBClusterSnapshotIdentifier"), from.Cluster)
}

func (a *Account) newSnapshot(c *Call, kind, id, cluster string) (any, error) {
	switch {
	case a.Estate.snapshot(c.Region, id) != nil:
		return nil, fail(400, "DBClusterSnapshotAlreadyExistsFault", "Cannot create the cluster snapshot because one with the identifier %s already exists.", id)
	case id == "" || len(id) > 63 || strings.Contains(id, ":"):
		return nil, fail(400, "InvalidParameterValue", "The identifier %q is no name of a snapshot.", id)
	}
	s := &ClusterSnapshot{Region: c.Region, ID: id, Cluster: cluster, Type: "manual", Status: "creating", Taken: a.clock.Now().UTC()}
	a.Estate.Snapshots = append(a.Estate.Snapshots, s)
	a.begin(c, kind, a.Estate.snapshotARN(s), nil)
	return a.shownSnapshot(s), nil
}

func describeDBSubnetGroups(a *Account, c *Call) (any, error) {
	type group struct {
		Name string `xml:"DBSubnetGroupName"`
	}
	var out struct {
		Groups []group `xml:"DBSubnetGroups>DBSubnetGroup"`
	}
	name := c.Params.str("DBSubnetGroupName")
	for _, s := range a.Estate.Subnets {
		if s.Region == c.Region && (name == "" || s.Name == name) {
			out.Groups = append(out.Groups, group{s.Name})
		}
	}
	if name != "" && len(out.Groups) == 0 {
		return nil, fail(404, "DBSubnetGroupNotFoundFault", "DB subnet group %q not found.", name)
	}
	return out, nil
}

// mostClusters is the quota of DB clusters in a region that AWS sets.
const mostClusters = 40

func describeAccountAttributes(a *Account, c *Call) (any, error) {
	type quota struct {
		Name string `xml:"AccountQuotaName"`
		Used int    `xml:"Used"`
		Max  int    `xml:"Max"`
	}
	var out struct {
		Quotas []quota `xml:"AccountQuotas>AccountQuota"`
	}
	q := quota{Name: "DBClusters", Max: mostClusters}
	for _, x := range a.Estate.Clusters {
		if x.Region == c.Region {
			q.Used++
		}
	}
	out.Quotas = []quota{q}
	return out, nil
}

// need is one action that a call takes, and on what.
type need struct{ action, resource string }

// implied gives what AWS checks beside the call itself, on things that the
// call hands on.
func (a *Account) implied(c *Call) []need {
	var all []need
	if key := c.Params.str("KmsKeyId"); key != "" && c.name() == "rds:CreateDBCluster" {
		all = append(all, need{"kms:CreateGrant", key}, need{"kms:DescribeKey", key})
	}
	if role := c.Params.str("MonitoringRoleArn"); role != "" && c.name() == "rds:CreateDBInstance" {
		all = append(all, need{"iam:PassRole", role})
	}
	return all
}

// auroraResources gives the ARNs that IAM compares for the calls of this file;
// nil for others.
func (a *Account) auroraResources(c *Call) []string {
	arn := func(kind, parameter string) string {
		name := c.Params.str(parameter)
		if !strings.HasPrefix(name, "rds:") { // of an automated snapshot the colon is part of the name
			name = lastName(name)
		}
		if name == "" {
			name = "*"
		}
		region := c.Region
		if kind == "global-cluster" {
			region = ""
		}
		return strings.Join([]string{"arn", "aws", "rds", region, a.Estate.Account, kind, name}, ":")
	}
	switch c.name() {
	case "rds:CreateGlobalCluster":
		return []string{arn("global-cluster", "GlobalClusterIdentifier"), c.Params.str("SourceDBClusterIdentifier")}
	case "rds:DeleteGlobalCluster":
		return []string{arn("global-cluster", "GlobalClusterIdentifier")}
	case "rds:CreateDBCluster":
		return []string{arn("cluster", "DBClusterIdentifier"), arn("global-cluster", "GlobalClusterIdentifier"), arn("subgrp", "DBSubnetGroupName")}
	case "rds:ModifyDBCluster", "rds:DeleteDBCluster":
		return []string{arn("cluster", "DBClusterIdentifier")}
	case "rds:CreateDBInstance":
		return []string{arn("db", "DBInstanceIdentifier"), arn("cluster", "DBClusterIdentifier")}
	case "rds:DeleteDBInstance":
		return []string{arn("db", "DBInstanceIdentifier")}
	case "rds:DescribeDBClusterSnapshots":
		return []string{arn("cluster", "DBClusterIdentifier"), arn("cluster-snapshot", "DBClusterSnapshotIdentifier")}
	case "rds:CreateDBClusterSnapshot":
		return []string{arn("cluster", "DBClusterIdentifier"), arn("cluster-snapshot", "DBClusterSnapshotIdentifier")}
	case "rds:CopyDBClusterSnapshot":
		return []string{arn("cluster-snapshot", "SourceDBClusterSnapshotIdentifier"), arn("cluster-snapshot", "TargetDBClusterSnapshotIdentifier")}
	case "rds:DescribeDBSubnetGroups":
		return []string{arn("subgrp", "DBSubnetGroupName")}
	}
	return nil
}
