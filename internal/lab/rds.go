package lab

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

var rdsService = map[string]handler{
	"rds:DescribeDBInstances": describeDBInstances,
	"rds:PromoteReadReplica":  promoteReadReplica,
	"rds:ModifyDBInstance":    modifyDBInstance,

	"rds:CreateDBInstanceReadReplica": createDBInstanceReadReplica,
	"rds:DeleteDBInstance":            deleteDBInstance,
	"rds:CreateDBSnapshot":            createDBSnapshot,
	"rds:DescribeDBSnapshots":         describeDBSnapshots,
	"rds:DescribeDBSubnetGroups":      describeDBSubnetGroups,
	"rds:DescribeAccountAttributes":   describeAccountAttributes,

	"rds:DescribeDBClusters":      describeDBClusters,
	"rds:DescribeGlobalClusters":  describeGlobalClusters,
	"rds:SwitchoverGlobalCluster": switchoverGlobalCluster,
	"rds:FailoverGlobalCluster":   failoverGlobalCluster,
	"rds:RemoveFromGlobalCluster": removeFromGlobalCluster,
}

type xmlDBInstance struct {
	Identifier   string          `xml:"DBInstanceIdentifier"`
	ARN          string          `xml:"DBInstanceArn"`
	Class        string          `xml:"DBInstanceClass"`
	Engine       string          `xml:"Engine"`
	Version      string          `xml:"EngineVersion"`
	Status       string          `xml:"DBInstanceStatus"`
	Endpoint     *xmlEndpoint    `xml:"Endpoint,omitempty"`
	Cluster      string          `xml:"DBClusterIdentifier,omitempty"`
	Source       string          `xml:"ReadReplicaSourceDBInstanceIdentifier,omitempty"`
	Replicas     []string        `xml:"ReadReplicaDBInstanceIdentifiers>ReadReplicaDBInstanceIdentifier"`
	Retention    int             `xml:"BackupRetentionPeriod"`
	Infos        []xmlStatusInfo `xml:"StatusInfos>DBInstanceStatusInfo"`
	Availability string          `xml:"AvailabilityZone"`
	Encrypted    bool            `xml:"StorageEncrypted"`
	Key          string          `xml:"KmsKeyId,omitempty"`
	Protected    bool            `xml:"DeletionProtection"`
	Subnets      xmlSubnetGroup  `xml:"DBSubnetGroup"`
	Pending      *xmlPending     `xml:"PendingModifiedValues,omitempty"`
	ReplicaMode  string          `xml:"ReplicaMode,omitempty"`
	MultiAZ      bool            `xml:"MultiAZ"`
	xmlNetwork
	xmlSettings
}

type xmlSubnetGroup struct {
	Name   string `xml:"DBSubnetGroupName"`
	Status string `xml:"SubnetGroupStatus"`
}

type xmlPending struct {
	Version string `xml:"EngineVersion"`
}

func (t Traits) subnets(name string) xmlSubnetGroup {
	return xmlSubnetGroup{name, cmp.Or(t.SubnetStatus, "Complete")}
}

func (t Traits) pending() *xmlPending {
	if t.Pending == "" {
		return nil
	}
	return &xmlPending{t.Pending}
}

type xmlEndpoint struct {
	Address string `xml:"Address"`
	Port    int    `xml:"Port"`
}

type xmlStatusInfo struct {
	Type   string `xml:"StatusType"`
	Normal bool   `xml:"Normal"`
	Status string `xml:"Status"`
}

func (a *Account) xmlInstance(i *Instance) xmlDBInstance {
	out := xmlDBInstance{
		Identifier: i.ID, ARN: a.Estate.instanceARN(i), Class: i.Class, Engine: i.Engine, Version: i.EngineVersion, Status: i.Status,
		Endpoint: &xmlEndpoint{fmt.Sprintf("%s.c0ffee.%s.rds.amazonaws.com", i.ID, i.Region), cmp.Or(i.Port, 3306)},
		Cluster:  i.Cluster, Source: i.Source, Retention: i.Retention, Availability: i.Region + "a",
		Encrypted: i.Key != "", Key: i.Key, Protected: i.Protected, MultiAZ: i.MultiAZ, Subnets: i.subnets(cmp.Or(i.SubnetGroup, cmp.Or(i.Cluster, i.ID)+"-subnets")), Pending: i.pending(),
		ReplicaMode: i.ReplicaMode, xmlNetwork: i.Network.xml(),
		Replicas: slices.Clone(i.Promoted), xmlSettings: a.settings(i),
	}
	for _, other := range a.Estate.Instances {
		if other.Source == out.ARN {
			out.Replicas = append(out.Replicas, a.Estate.instanceARN(other))
		}
	}
	if i.Replication != "" {
		out.Infos = []xmlStatusInfo{{"read replication", i.Replication == "replicating", i.Replication}}
	}
	return out
}

// lastName gives the name in an ARN, or the name itself.
func lastName(id string) string { return id[strings.LastIndex(id, ":")+1:] }

func describeDBInstances(a *Account, c *Call) (any, error) {
	var out struct {
		DBInstances []xmlDBInstance `xml:"DBInstances>DBInstance"`
		Marker      string          `xml:"Marker,omitempty"`
	}
	id := lastName(c.Params.str("DBInstanceIdentifier"))
	filter, clusters := c.filter("db-instance-id"), c.filter("db-cluster-id")
	var asked []*Instance
	for _, i := range a.Estate.Instances {
		if c.notFound && i.Status == "creating" {
			continue
		}
		if i.Region == c.Region && matches(id, filter, i.ID, a.Estate.instanceARN(i)) && matches("", clusters, i.Cluster, "arn:aws:rds:"+i.Region+":"+a.Estate.Account+":cluster:"+i.Cluster) {
			asked = append(asked, i)
		}
	}
	asked, marker, err := paged(c, asked)
	if err != nil {
		return nil, err
	}
	out.Marker = marker
	for _, i := range asked {
		if old, ok := a.before[a.Estate.instanceARN(i)].(*Instance); ok && c.stale {
			i = old
		}
		out.DBInstances = append(out.DBInstances, a.xmlInstance(i))
	}
	if old, ok := a.before[a.Estate.instanceARN(&Instance{Region: c.Region, ID: id})].(*Instance); ok && c.stale && len(out.DBInstances) == 0 {
		out.DBInstances = append(out.DBInstances, a.xmlInstance(old)) // deleted or renamed since
	}
	if id != "" && len(out.DBInstances) == 0 {
		return nil, fail(404, "DBInstanceNotFound", "DBInstance %s not found.", id)
	}
	return out, nil
}

// target finds the instance that a mutating call names, in a state in which
// AWS takes it.
func (a *Account) target(c *Call) (*Instance, error) {
	id := lastName(c.Params.str("DBInstanceIdentifier"))
	i := a.Estate.instance(c.Region, id)
	if i == nil {
		return nil, fail(404, "DBInstanceNotFound", "DBInstance %s not found.", id)
	}
	if !operational(i.Status) || a.running(a.Estate.instanceARN(i)) {
		return nil, fail(400, "InvalidDBInstanceState", "DB instance %s is not in available state.", id)
	}
	return i, nil
}

// operational reports whether an instance serves, and takes changes other than of
// its storage.
func operational(status string) bool {
	return status == "available" || status == "storage-optimization"
}

func promoteReadReplica(a *Account, c *Call) (any, error) {
	i, err := a.target(c)
	if err != nil {
		return nil, err
	}
	if i.Source == "" {
		return nil, fail(400, "InvalidDBInstanceState", "DB Instance is not a read replica.")
	}
	retention := "1" // what AWS sets when nothing is asked for
	if c.Params.has("BackupRetentionPeriod") {
		retention = c.Params.str("BackupRetentionPeriod")
	}
	a.begin(c, "PromoteReadReplica", a.Estate.instanceARN(i), map[string]string{"retention": retention})
	return a.modified(i), nil
}

func modifyDBInstance(a *Account, c *Call) (any, error) {
	i, err := a.target(c)
	if err != nil {
		return nil, err
	}
	if groups := securityGroups(c); len(groups) > 0 {
		return a.swapGroups(c, a.Estate.instanceARN(i), groups, a.modified(i)), nil
	}
	if begun, err := a.modifyFurther(c, i); begun || err != nil {
		return a.modified(i), err
	}
	retention := strconv.Itoa(i.Retention)
	if c.Params.has("BackupRetentionPeriod") {
		retention = c.Params.str("BackupRetentionPeriod")
	}
	a.begin(c, "ModifyDBInstance", a.Estate.instanceARN(i), map[string]string{"retention": retention})
	return a.modified(i), nil
}

// modified is the reply to a change: the status moves before a describe
// shows it, everything else is as before.
func (a *Account) modified(i *Instance) any {
	var out struct {
		DBInstance xmlDBInstance `xml:"DBInstance"`
	}
	out.DBInstance = a.xmlInstance(i)
	out.DBInstance.Status = "modifying"
	return out
}

type xmlDBCluster struct {
	Identifier string             `xml:"DBClusterIdentifier"`
	ARN        string             `xml:"DBClusterArn"`
	Engine     string             `xml:"Engine"`
	Version    string             `xml:"EngineVersion"`
	Status     string             `xml:"Status"`
	Endpoint   string             `xml:"Endpoint"`
	Global     string             `xml:"GlobalClusterIdentifier,omitempty"`
	Members    []xmlClusterMember `xml:"DBClusterMembers>DBClusterMember"`
	Encrypted  bool               `xml:"StorageEncrypted"`
	Key        string             `xml:"KmsKeyId,omitempty"`
	Protected  bool               `xml:"DeletionProtection"`
	MultiAZ    bool               `xml:"MultiAZ"`
	Subnets    string             `xml:"DBSubnetGroup"`
	Pending    *xmlPending        `xml:"PendingModifiedValues,omitempty"`
	xmlNetwork
	xmlClusterDetails
}

type xmlClusterMember struct {
	Instance string `xml:"DBInstanceIdentifier"`
	Writer   bool   `xml:"IsClusterWriter"`
}

func (a *Account) xmlCluster(x *Cluster) xmlDBCluster {
	return xmlDBCluster{
		Identifier: x.ID, ARN: a.Estate.clusterARN(x), Engine: x.Engine, Version: x.EngineVersion, Status: x.Status,
		Endpoint:  fmt.Sprintf("%s.cluster-c0ffee.%s.rds.amazonaws.com", x.ID, x.Region),
		Encrypted: x.Key != "", Key: x.Key, Protected: x.Protected, MultiAZ: x.MultiAZ, Subnets: x.subnets(cmp.Or(x.SubnetGroup, x.ID+"-subnets")).Name, Pending: x.pending(),
		xmlNetwork: x.Network.xml(), xmlClusterDetails: a.clusterDetails(x),
	}
}

func describeDBClusters(a *Account, c *Call) (any, error) {
	var out struct {
		DBClusters []xmlDBCluster `xml:"DBClusters>DBCluster"`
		Marker     string         `xml:"Marker,omitempty"`
	}
	id := lastName(c.Params.str("DBClusterIdentifier"))
	filter := c.filter("db-cluster-id")
	var asked []*Cluster
	for _, x := range a.Estate.Clusters {
		if c.notFound && x.Status == "creating" {
			continue
		}
		if x.Region == c.Region && matches(id, filter, x.ID, a.Estate.clusterARN(x)) {
			asked = append(asked, x)
		}
	}
	asked, marker, err := paged(c, asked)
	if err != nil {
		return nil, err
	}
	out.Marker = marker
	for _, x := range asked {
		if old, ok := a.before[a.Estate.clusterARN(x)].(*Cluster); ok && c.stale {
			x = old
		}
		shown := a.xmlCluster(x)
		// A secondary has readers only, and so has a cluster that is still
		// being promoted.
		writes := x.Status != "promoting"
		if g := a.Estate.globalOf(shown.ARN); g != nil {
			shown.Global = g.ID
			writes = slices.ContainsFunc(g.Members, func(m GlobalMember) bool { return m.ARN == shown.ARN && m.Writer })
		}
		for _, i := range a.Estate.Instances {
			if i.Region == x.Region && i.Cluster == x.ID {
				shown.Members = append(shown.Members, xmlClusterMember{i.ID, i.Writer && writes})
			}
		}
		out.DBClusters = append(out.DBClusters, shown)
	}
	if old, ok := a.before[a.Estate.clusterARN(&Cluster{Region: c.Region, ID: id})].(*Cluster); ok && c.stale && len(out.DBClusters) == 0 {
		out.DBClusters = append(out.DBClusters, a.xmlCluster(old)) // deleted or renamed since
	}
	if id != "" && len(out.DBClusters) == 0 {
		return nil, fail(404, "DBClusterNotFoundFault", "DBCluster %s not found.", id)
	}
	return out, nil
}

type xmlGlobalCluster struct {
	Identifier string            `xml:"GlobalClusterIdentifier"`
	ARN        string            `xml:"GlobalClusterArn"`
	Engine     string            `xml:"Engine"`
	Version    string            `xml:"EngineVersion"`
	Status     string            `xml:"Status"`
	Endpoint   string            `xml:"Endpoint"`
	Members    []xmlGlobalMember `xml:"GlobalClusterMembers>GlobalClusterMember"`
	Failover   *xmlFailoverState `xml:"FailoverState,omitempty"`
}

type xmlGlobalMember struct {
	ARN     string   `xml:"DBClusterArn"`
	Writer  bool     `xml:"IsWriter"`
	Readers []string `xml:"Readers>member"`
	Sync    string   `xml:"SynchronizationStatus,omitempty"`
}

type xmlFailoverState struct {
	Status   string `xml:"Status"`
	From     string `xml:"FromDbClusterArn"`
	To       string `xml:"ToDbClusterArn"`
	DataLoss bool   `xml:"IsDataLossAllowed"`
}

func (a *Account) xmlGlobal(g *GlobalCluster) xmlGlobalCluster {
	out := xmlGlobalCluster{Identifier: g.ID, ARN: "arn:aws:rds::" + a.Estate.Account + ":global-cluster:" + g.ID, Engine: g.Engine, Version: g.EngineVersion,
		Status: g.Status, Endpoint: g.ID + ".global-c0ffee.global.rds.amazonaws.com"}
	for _, m := range g.Members {
		shown := xmlGlobalMember{ARN: m.ARN, Writer: m.Writer, Sync: m.Sync}
		for _, other := range g.Members {
			if m.Writer && other.ARN != m.ARN {
				shown.Readers = append(shown.Readers, other.ARN)
			}
		}
		out.Members = append(out.Members, shown)
	}
	if g.Failover != nil {
		out.Failover = &xmlFailoverState{g.Failover.Status, g.Failover.From, g.Failover.To, g.Failover.DataLoss}
	}
	return out
}

func describeGlobalClusters(a *Account, c *Call) (any, error) {
	var out struct {
		GlobalClusters []xmlGlobalCluster `xml:"GlobalClusters>GlobalClusterMember"`
		Marker         string             `xml:"Marker,omitempty"`
	}
	id := c.Params.str("GlobalClusterIdentifier")
	var asked []*GlobalCluster
	for _, g := range a.Estate.Globals {
		if matches(id, nil, g.ID, "") {
			asked = append(asked, g)
		}
	}
	asked, marker, err := paged(c, asked)
	if err != nil {
		return nil, err
	}
	out.Marker = marker
	for _, g := range asked {
		if old, ok := a.before[g.ID].(*GlobalCluster); ok && c.stale {
			g = old
		}
		out.GlobalClusters = append(out.GlobalClusters, a.xmlGlobal(g))
	}
	if id != "" && len(out.GlobalClusters) == 0 {
		return nil, fail(404, "GlobalClusterNotFoundFault", "GlobalCluster %s not found.", id)
	}
	return out, nil
}

// globalTarget finds what a call on a global cluster names, in a state in
// which AWS takes it.
func (a *Account) globalTarget(c *Call, parameter string) (*GlobalCluster, string, error) {
	g := a.Estate.global(c.Params.str("GlobalClusterIdentifier"))
	target := c.Params.str(parameter)
	switch {
	case g == nil:
		return nil, "", fail(404, "GlobalClusterNotFoundFault", "GlobalCluster %s not found.", c.Params.str("GlobalClusterIdentifier"))
	case a.Estate.globalOf(target) != g:
		return nil, "", fail(404, "DBClusterNotFoundFault", "DBCluster %s is not a member of %s.", target, g.ID)
	case g.Status != "available" || a.globalRunning(g.ID):
		return nil, "", fail(400, "InvalidGlobalClusterStateFault", "Global cluster %s is in state %s, but expected it to be one of available.", g.ID, g.Status)
	}
	return g, target, nil
}

func (a *Account) shownGlobal(g *GlobalCluster) any {
	var out struct {
		GlobalCluster xmlGlobalCluster `xml:"GlobalCluster"`
	}
	out.GlobalCluster = a.xmlGlobal(g)
	return out
}

// AWS takes a switchover in the region of the current primary.
func switchoverGlobalCluster(a *Account, c *Call) (any, error) {
	g, target, err := a.globalTarget(c, "TargetDbClusterIdentifier")
	if err != nil {
		return nil, err
	}
	for _, m := range g.Members {
		switch {
		case m.Writer && regionOf(m.ARN) != c.Region:
			return nil, fail(400, "InvalidDBClusterStateFault", "Switchover must be called in the region of the primary cluster %s.", m.ARN)
		case m.Writer && m.ARN == target:
			return nil, fail(400, "InvalidDBClusterStateFault", "%s is the primary cluster already.", target)
		case m.ARN == target && m.Sync != "connected":
			return nil, fail(400, "InvalidDBClusterStateFault", "%s is not synchronized.", target)
		}
	}
	a.begin(c, "SwitchoverGlobalCluster", target, map[string]string{"global": g.ID})
	return a.shownGlobal(g), nil
}

// AWS takes a failover in the region of the secondary that is to take over.
func failoverGlobalCluster(a *Account, c *Call) (any, error) {
	if !c.Params.flag("AllowDataLoss") {
		return switchoverGlobalCluster(a, c)
	}
	g, target, err := a.globalTarget(c, "TargetDbClusterIdentifier")
	if err != nil {
		return nil, err
	}
	if regionOf(target) != c.Region {
		return nil, fail(400, "InvalidDBClusterStateFault", "Failover must be called in the region of the target cluster %s.", target)
	}
	for _, m := range g.Members {
		if m.Writer && m.ARN == target {
			return nil, fail(400, "InvalidDBClusterStateFault", "%s is the primary cluster already.", target)
		}
	}
	a.begin(c, "FailoverGlobalCluster", target, map[string]string{"global": g.ID})
	return a.shownGlobal(g), nil
}

func removeFromGlobalCluster(a *Account, c *Call) (any, error) {
	g, target, err := a.globalTarget(c, "DbClusterIdentifier")
	if err != nil {
		return nil, err
	}
	if regionOf(target) != c.Region {
		return nil, fail(404, "DBClusterNotFoundFault", "DBCluster %s not found.", target)
	}
	for _, m := range g.Members {
		if m.ARN == target && m.Writer && len(g.Members) > 1 {
			return nil, fail(400, "InvalidGlobalClusterStateFault", "The writer leaves a global cluster last.")
		}
	}
	a.begin(c, "RemoveFromGlobalCluster", target, map[string]string{"global": g.ID})
	return a.shownGlobal(g), nil
}
