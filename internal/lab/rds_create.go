package lab

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// InstanceSettings are what a replica is created with, and what AWS tells of an
// instance beside its state.
type InstanceSettings struct {
	Created        time.Time `json:"created,omitzero"`          // zero: not shown
	Restorable     time.Time `json:"latestRestorable,omitzero"` // zero: it follows the clock
	Port           int       `json:"port,omitempty"`            // 0: 3306
	SubnetGroup    string    `json:"subnetGroup,omitempty"`
	ParameterGroup string    `json:"parameterGroup,omitempty"`
	// Promoted are ARNs of former replicas, which AWS goes on listing as
	// replicas for a while.
	Promoted []string `json:"formerReplicas,omitempty"`
}

// Snapshot is a manual snapshot of a DB instance.
type Snapshot struct {
	Region          string    `json:"region"`
	ID              string    `json:"id"`
	Instance        string    `json:"instance"`
	Status          string    `json:"status"`
	InstanceCreated time.Time `json:"instanceCreated,omitzero"`
	Taken           time.Time `json:"taken,omitzero"`
}

func (e *Estate) snapshotARN(s *Snapshot) string {
	return strings.Join([]string{"arn:aws:rds", s.Region, e.Account, "snapshot", s.ID}, ":")
}

func (e *Estate) snapshot(region, id string) *Snapshot {
	for _, s := range e.Snapshots {
		if s.Region == region && s.ID == id {
			return s
		}
	}
	return nil
}

func (e *Estate) addSubnetGroup(region, name string) {
	if e.SubnetGroups == nil {
		e.SubnetGroups = map[string][]string{}
	}
	e.SubnetGroups[region] = append(e.SubnetGroups[region], name)
}

// listPromoted makes the former source of a replica go on listing it.
func (e *Estate) listPromoted(replica *Instance) {
	for _, i := range e.Instances {
		if e.instanceARN(i) == replica.Source {
			i.Promoted = append(slices.Clone(i.Promoted), e.instanceARN(replica))
		}
	}
}

// background are operations that nobody asked for: they follow from others,
// and keep AWS from nothing.
var background = map[string]bool{"Resync": true, "CatchUp": true, "ForgetReplica": true}

// followUp begins what follows from an operation that has ended.
func (a *Account) followUp(op *Operation, at time.Time) {
	kind, args := "", map[string]string{"of": op.Target}
	switch op.Kind {
	case "CreateDBInstanceReadReplica":
		kind = "CatchUp"
	case "PromoteReadReplica":
		kind = "ForgetReplica"
	default:
		return
	}
	next := &Operation{Kind: kind, Target: op.Target, Args: args, Seconds: a.Estate.Durations[kind], started: at}
	if next.Seconds == 0 {
		next.Seconds = defaultDurations[kind]
	}
	a.Estate.Operations = append(a.Estate.Operations, next)
}

// failCreation ends a creation that was cancelled: there is nothing to go back
// to, so what was to be created has failed.
func (a *Account) failCreation(op *Operation) {
	switch op.Kind {
	case "CreateDBInstanceReadReplica", "CreateDBInstance":
		op.instance(a.Estate).Status = "failed"
	case "CreateDBSnapshot":
		if s := a.Estate.snapshot(regionOf(op.Target), op.Args["snapshot"]); s != nil {
			s.Status = "failed"
		}
	case "CreateDBClusterSnapshot", "CopyDBClusterSnapshot":
		setClusterSnapshot("failed")(a.Estate, op)
	case "CreateDBCluster":
		op.cluster(a.Estate).Status = "failed"
	}
}

func setStatus(status string) func(*Estate, *Operation) {
	return func(e *Estate, op *Operation) { op.instance(e).Status = status }
}

// A new replica goes through the statuses of a restore before it is available.
var createReplicaScript = []step{
	{share: 0.7, apply: setStatus("modifying")},
	{share: 0.85, apply: setStatus("backing-up")},
	{share: 1, apply: setStatus("available")},
}

// Only when it is available does it show replication, then a lag of -1 (MySQL
// does so while it does not replicate), and then one that falls.
var catchUpScript = func() []step {
	lag := func(v float64) func(*Estate, *Operation) {
		return func(e *Estate, op *Operation) {
			if i := op.instance(e); i.Source != "" {
				i.Replication, i.LagSeconds = "replicating", &v
			}
		}
	}
	return []step{
		{share: 0.2, apply: func(e *Estate, op *Operation) { op.instance(e).Replication = "replicating" }},
		{share: 0.4, apply: lag(-1)},
		{share: 0.6, apply: lag(1800)},
		{share: 0.8, apply: lag(600)},
		{share: 1, apply: lag(2)},
	}
}()

var renameScript = []step{
	{after: time.Second, apply: setStatus("modifying")},
	{share: 0.3, apply: setStatus("renaming")},
	{share: 1, apply: func(e *Estate, op *Operation) {
		i := op.instance(e)
		old := e.instanceARN(i)
		i.ID, i.Status = op.Args["name"], "available"
		for _, other := range e.Instances { // replicas stay with their source
			if other.Source == old {
				other.Source = e.instanceARN(i)
			}
		}
	}},
}

var protectionScript = []step{
	{after: time.Second, apply: func(e *Estate, op *Operation) { op.on(e, func(s *string, _ *Network) { *s = "modifying" }) }},
	{share: 1, apply: func(e *Estate, op *Operation) {
		op.on(e, func(s *string, _ *Network) { *s = "available" })
		protected := op.Args["protected"] == "true"
		op.instance(e).Protected, op.cluster(e).Protected = protected, protected
	}},
}

var snapshotScript = []step{
	{after: time.Second, apply: setStatus("backing-up")},
	{share: 1, apply: func(e *Estate, op *Operation) {
		op.instance(e).Status = "available"
		if s := e.snapshot(regionOf(op.Target), op.Args["snapshot"]); s != nil {
			s.Status = "available"
		}
	}},
}

var deleteScript = []step{
	{after: time.Second, apply: setStatus("deleting")},
	{share: 1, apply: func(e *Estate, op *Operation) {
		e.Instances = slices.DeleteFunc(slices.Clone(e.Instances), func(i *Instance) bool { return e.instanceARN(i) == op.Target })
	}},
}

var forgetScript = []step{{share: 1, apply: func(e *Estate, op *Operation) {
	for _, i := range e.Instances {
		i.Promoted = slices.DeleteFunc(slices.Clone(i.Promoted), func(arn string) bool { return arn == op.Target })
	}
}}}

type xmlSettings struct {
	Created    string        `xml:"InstanceCreateTime,omitempty"`
	Restorable string        `xml:"LatestRestorableTime,omitempty"`
	Parameters []xmlPGStatus `xml:"DBParameterGroups>DBParameterGroup"`
}

type xmlPGStatus struct {
	Name   string `xml:"DBParameterGroupName"`
	Status string `xml:"ParameterApplyStatus"`
}

func shownTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// longestName is the most characters that RDS takes in an identifier.
const longestName = 63

// logUpload is how often RDS uploads the logs of an instance.
const logUpload = 5 * time.Minute

func (a *Account) settings(i *Instance) xmlSettings {
	out := xmlSettings{Created: shownTime(i.Created), Restorable: shownTime(i.Restorable)}
	if i.Restorable.IsZero() && i.Retention > 0 && i.Source == "" && !i.Created.IsZero() && i.Status != "creating" {
		age := a.clock.Now().Sub(i.Created)
		out.Restorable = shownTime(i.Created.Add(age.Truncate(logUpload)))
	}
	if i.ParameterGroup != "" {
		out.Parameters = []xmlPGStatus{{i.ParameterGroup, "in-sync"}}
	}
	return out
}

// modifyFurther begins the changes of an instance that are more than one of its
// backups.
func (a *Account) modifyFurther(c *Call, i *Instance) (begun bool, err error) {
	arn := a.Estate.instanceARN(i)
	switch name := c.Params.str("NewDBInstanceIdentifier"); {
	case name != "":
		switch {
		case a.Estate.instance(c.Region, name) != nil:
			return false, fail(400, "DBInstanceAlreadyExists", "DB instance already exists")
		case len(name) > longestName:
			return false, fail(400, "InvalidParameterValue", "The identifier %s is too long.", name)
		case !c.Params.flag("ApplyImmediately"):
			return false, fail(400, "InvalidParameterCombination", "the lab has no maintenance windows: rename with ApplyImmediately")
		}
		a.begin(c, "RenameDBInstance", arn, map[string]string{"name": name})
	case c.Params.has("DeletionProtection"):
		a.begin(c, "SetDeletionProtection", arn, map[string]string{"protected": c.Params.str("DeletionProtection")})
	default:
		return false, nil
	}
	return true, nil
}

func createDBInstanceReadReplica(a *Account, c *Call) (any, error) {
	p, e := c.Params, a.Estate
	id, from := p.str("DBInstanceIdentifier"), p.str("SourceDBInstanceIdentifier")
	var source *Instance
	for _, i := range e.Instances {
		if e.instanceARN(i) == from {
			source = i
		}
	}
	key := p.str("KmsKeyId")
	switch {
	case e.instance(c.Region, id) != nil:
		return nil, fail(400, "DBInstanceAlreadyExists", "DB instance already exists")
	case source == nil:
		return nil, fail(404, "DBInstanceNotFound", "The source DB instance %s could not be found.", from)
	case source.Status != "available":
		return nil, fail(400, "InvalidDBInstanceState", "The source %s is not in available state.", from)
	case source.Retention == 0:
		return nil, fail(400, "InvalidDBInstanceState", "Automated backups are not enabled for the source %s.", from)
	case source.Key != "" && source.Region != c.Region && key == "":
		return nil, fail(400, "InvalidParameterCombination", "Cannot create a cross region read replica from encrypted source without a KMS key of the destination region")
	case source.Key == "" && key != "":
		return nil, fail(400, "InvalidParameterCombination", "Cannot create an encrypted replica of a source that is not encrypted")
	case p.has("DBSubnetGroupName") && !slices.Contains(e.SubnetGroups[c.Region], p.str("DBSubnetGroupName")):
		return nil, fail(404, "DBSubnetGroupNotFoundFault", "DB subnet group %s does not exist.", p.str("DBSubnetGroupName"))
	}
	if err := a.roomForInstance(c.Region); err != nil {
		return nil, err
	}
	i := &Instance{
		Region: c.Region, ID: id, Engine: source.Engine, EngineVersion: source.EngineVersion, Class: source.Class, Status: "creating", Source: from,
		InstanceSettings: InstanceSettings{
			Created: a.clock.Now(), Port: source.Port, SubnetGroup: p.str("DBSubnetGroupName"), ParameterGroup: p.str("DBParameterGroupName"),
		},
		Traits:  Traits{Key: key, Protected: p.flag("DeletionProtection"), MultiAZ: p.flag("MultiAZ")},
		Network: Network{SecurityGroups: p.list("VpcSecurityGroupIds", "VpcSecurityGroupId"), Tags: p.tags()},
	}
	if p.has("DBInstanceClass") {
		i.Class = p.str("DBInstanceClass")
	}
	if p.has("Port") {
		i.Port = atoi(p.str("Port"))
	}
	delete(a.before, e.instanceARN(i)) // what stood there before is another instance
	e.Instances = append(slices.Clone(e.Instances), i)
	a.begin(c, "CreateDBInstanceReadReplica", e.instanceARN(i), nil)
	return a.shown(i, "creating"), nil
}

// tags gives the tags that a creation asks for.
func (p params) tags() map[string]string {
	all := map[string]string{}
	for n := 1; p.has("Tags.Tag." + strconv.Itoa(n) + ".Key"); n++ {
		at := "Tags.Tag." + strconv.Itoa(n)
		all[p.str(at+".Key")] = p.str(at + ".Value")
	}
	return all
}

// roomForInstance refuses an instance that is beyond the quota of a region.
func (a *Account) roomForInstance(region string) error {
	if used, most := a.instances(region); used >= most {
		return fail(400, "InstanceQuotaExceeded", "DB Instance quota exceeded")
	}
	return nil
}

// shown is the reply to a change of an instance.
func (a *Account) shown(i *Instance, status string) any {
	var out struct {
		DBInstance xmlDBInstance `xml:"DBInstance"`
	}
	out.DBInstance = a.xmlInstance(i)
	out.DBInstance.Status = status
	return out
}

// An instance of an Aurora cluster is deleted without a snapshot of its own,
// and the protection from deletion is the cluster's.
func deleteDBInstance(a *Account, c *Call) (any, error) {
	i, err := a.target(c)
	if err != nil {
		return nil, err
	}
	skip, final := c.Params.flag("SkipFinalSnapshot"), c.Params.has("FinalDBSnapshotIdentifier")
	switch {
	case i.Cluster != "" && final:
		return nil, fail(400, "InvalidParameterCombination", "A final snapshot is not taken of an instance of a cluster.")
	case i.Cluster != "":
	case i.Protected:
		return nil, fail(400, "InvalidParameterCombination", "Cannot delete protected DB Instance, please disable deletion protection and try again.")
	case skip == final:
		return nil, fail(400, "InvalidParameterCombination", "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.")
	case final:
		return nil, fail(400, "InvalidParameterCombination", "the lab takes no final snapshots: create one before")
	}
	a.begin(c, "DeleteDBInstance", a.Estate.instanceARN(i), nil)
	return a.shown(i, "deleting"), nil
}

type xmlSnapshot struct {
	ID              string `xml:"DBSnapshotIdentifier"`
	ARN             string `xml:"DBSnapshotArn"`
	Instance        string `xml:"DBInstanceIdentifier"`
	Status          string `xml:"Status"`
	Type            string `xml:"SnapshotType"`
	InstanceCreated string `xml:"InstanceCreateTime,omitempty"`
	Taken           string `xml:"SnapshotCreateTime,omitempty"`
}

func (a *Account) xmlSnapshot(s *Snapshot) xmlSnapshot {
	return xmlSnapshot{s.ID, a.Estate.snapshotARN(s), s.Instance, s.Status, "manual", shownTime(s.InstanceCreated), shownTime(s.Taken)}
}

func createDBSnapshot(a *Account, c *Call) (any, error) {
	id := c.Params.str("DBSnapshotIdentifier")
	if a.Estate.snapshot(c.Region, id) != nil {
		return nil, fail(400, "DBSnapshotAlreadyExists", "Cannot create the snapshot because a snapshot with the identifier %s already exists.", id)
	}
	i, err := a.target(c)
	if err != nil {
		return nil, err
	}
	s := &Snapshot{Region: c.Region, ID: id, Instance: i.ID, Status: "creating", InstanceCreated: i.Created, Taken: a.clock.Now()}
	a.Estate.Snapshots = append(slices.Clone(a.Estate.Snapshots), s)
	a.begin(c, "CreateDBSnapshot", a.Estate.instanceARN(i), map[string]string{"snapshot": id})
	var out struct {
		DBSnapshot xmlSnapshot `xml:"DBSnapshot"`
	}
	out.DBSnapshot = a.xmlSnapshot(s)
	return out, nil
}

// describeDBSnapshots does not show a snapshot that was only just begun where
// it is asked to answer with what was there before.
func describeDBSnapshots(a *Account, c *Call) (any, error) {
	var out struct {
		DBSnapshots []xmlSnapshot `xml:"DBSnapshots>DBSnapshot"`
	}
	id, of := lastName(c.Params.str("DBSnapshotIdentifier")), c.Params.str("DBInstanceIdentifier")
	for _, s := range a.Estate.Snapshots {
		hidden := s.Status == "creating" && (c.stale || c.notFound)
		if s.Region != c.Region || id != "" && s.ID != id || of != "" && s.Instance != of || hidden {
			continue
		}
		out.DBSnapshots = append(out.DBSnapshots, a.xmlSnapshot(s))
	}
	if id != "" && len(out.DBSnapshots) == 0 {
		return nil, fail(404, "DBSnapshotNotFound", "DBSnapshot %s not found.", id)
	}
	return out, nil
}

func describeDBSubnetGroups(a *Account, c *Call) (any, error) {
	type group struct {
		Name   string `xml:"DBSubnetGroupName"`
		Status string `xml:"SubnetGroupStatus"`
	}
	var out struct {
		Groups []group `xml:"DBSubnetGroups>DBSubnetGroup"`
	}
	name := c.Params.str("DBSubnetGroupName")
	for _, g := range a.Estate.SubnetGroups[c.Region] {
		if name == "" || g == name {
			out.Groups = append(out.Groups, group{g, "Complete"})
		}
	}
	if name != "" && len(out.Groups) == 0 {
		return nil, fail(404, "DBSubnetGroupNotFoundFault", "DB subnet group '%s' does not exist.", name)
	}
	return out, nil
}

// instances gives how many DB instances a region has, and may have: 40 where
// AWS has granted no more.
func (a *Account) instances(region string) (used, most int) {
	for _, i := range a.Estate.Instances {
		if i.Region == region {
			used++
		}
	}
	if most = a.Estate.InstanceQuota; most == 0 {
		most = 40
	}
	return used, most
}

func describeAccountAttributes(a *Account, c *Call) (any, error) {
	type quota struct {
		Name string `xml:"AccountQuotaName"`
		Used int    `xml:"Used"`
		Max  int    `xml:"Max"`
	}
	var out struct {
		Quotas []quota `xml:"AccountQuotas>AccountQuota"`
	}
	used, most := a.instances(c.Region)
	out.Quotas = []quota{{"DBInstances", used, most}, {"DBClusters", a.clusters(c.Region), mostClusters}, {"ManualSnapshots", len(a.Estate.Snapshots), 100}}
	return out, nil
}
