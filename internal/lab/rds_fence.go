package lab

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// What fences a primary, what undoes that, and the switchover of Oracle.
var rdsFenceService = map[string]handler{
	"rds:AddTagsToResource":     addTagsToResource,
	"rds:ModifyDBCluster":       modifyDBCluster,
	"rds:RebootDBInstance":      rebootDBInstance,
	"rds:StartDBCluster":        startDBCluster,
	"rds:StartDBInstance":       startDBInstance,
	"rds:StopDBCluster":         stopDBCluster,
	"rds:StopDBInstance":        stopDBInstance,
	"rds:SwitchoverReadReplica": switchoverReadReplica,
}

// isolationGroup is the security group without inbound rules that the default
// estate has in each region.
const isolationGroup = "sg-0c105ed0000000001"

// Network is who may reach a database, and what is noted on it.
type Network struct {
	SecurityGroups []string          `json:"securityGroups,omitempty"`
	GroupStatus    string            `json:"securityGroupStatus,omitempty"` // empty: active
	Connected      bool              `json:"connected,omitempty"`           // connections from before an isolation are open still
	Tags           map[string]string `json:"tags,omitempty"`
}

func inGroup(id string) Network { return Network{SecurityGroups: []string{id}} }

type xmlNetwork struct {
	Groups []xmlGroup `xml:"VpcSecurityGroups>VpcSecurityGroupMembership"`
	Tags   []xmlTag   `xml:"TagList>Tag"`
}

type xmlGroup struct {
	ID     string `xml:"VpcSecurityGroupId"`
	Status string `xml:"Status"`
}

type xmlTag struct {
	Key   string `xml:"Key"`
	Value string `xml:"Value"`
}

func (n Network) xml() xmlNetwork {
	var out xmlNetwork
	for _, id := range n.SecurityGroups {
		status := n.GroupStatus
		if status == "" {
			status = "active"
		}
		out.Groups = append(out.Groups, xmlGroup{id, status})
	}
	for _, key := range slices.Sorted(maps.Keys(n.Tags)) {
		out.Tags = append(out.Tags, xmlTag{key, n.Tags[key]})
	}
	return out
}

// Serving gives the ARNs of all instances and clusters that take writes from
// somebody: they are operational, replicate nothing, and can be reached. Two of
// the same data are two writers.
func (e *Estate) Serving() []string {
	var all []string
	for _, i := range e.Instances {
		if i.Cluster == "" && i.Source == "" && operational(i.Status) && e.reached(i.Network) {
			all = append(all, e.instanceARN(i))
		}
	}
	for _, c := range e.Clusters {
		arn := e.clusterARN(c)
		writes := true
		if g := e.globalOf(arn); g != nil {
			writes = slices.ContainsFunc(g.Members, func(m GlobalMember) bool { return m.ARN == arn && m.Writer })
		}
		writer := slices.ContainsFunc(e.Instances, func(i *Instance) bool {
			return i.Region == c.Region && i.Cluster == c.ID && i.Writer && operational(i.Status)
		})
		if writes && writer && c.Status == "available" && e.reached(c.Network) {
			all = append(all, arn)
		}
	}
	return all
}

// reached reports whether anybody's packets get through.
func (e *Estate) reached(n Network) bool {
	closed := len(n.SecurityGroups) > 0
	for _, id := range n.SecurityGroups {
		closed = closed && len(e.inbound(id)) == 0
	}
	return !closed || n.Connected
}

func (e *Estate) instanceOf(arn string) *Instance {
	for _, i := range e.Instances {
		if e.instanceARN(i) == arn {
			return i
		}
	}
	return nil
}

// on changes the status and the network of the instance or cluster that an
// operation works on.
func (op *Operation) on(e *Estate, change func(status *string, n *Network)) {
	if i := e.instanceOf(op.Target); i != nil {
		change(&i.Status, &i.Network)
	}
	if c := e.cluster(op.Target); c != nil {
		change(&c.Status, &c.Network)
	}
}

// become is a step that shows a status of an instance, or of a cluster and its
// instances.
func become(status string) func(*Estate, *Operation) {
	return func(e *Estate, op *Operation) {
		op.on(e, func(s *string, _ *Network) { *s = status })
		c := e.cluster(op.Target)
		for _, i := range e.Instances {
			if c != nil && i.Region == c.Region && i.Cluster == c.ID {
				i.Status = status
			}
		}
	}
}

// cut ends the connections of an instance, and those to the cluster that it is
// the writer of.
func cut(e *Estate, op *Operation) {
	i := op.instance(e)
	i.Status, i.Connected = "rebooting", false
	for _, c := range e.Clusters {
		if c.Region == i.Region && c.ID == i.Cluster && i.Writer {
			c.Connected = false
		}
	}
}

// fenceScripts are what AWS shows of these operations; their orders are
// assumed.
var fenceScripts = map[string][]step{
	"AddTagsToResource": {{share: 0, apply: func(e *Estate, op *Operation) {
		op.on(e, func(_ *string, n *Network) {
			tags := maps.Clone(n.Tags) // a copy from before the change may be held for stale reads
			if tags == nil {
				tags = map[string]string{}
			}
			maps.Copy(tags, op.Args)
			n.Tags = tags
		})
	}}},
	// A group that is being added lets in or keeps out nobody before it is
	// active, and who was connected stays connected.
	"SwapSecurityGroups": {
		{after: time.Second, apply: func(e *Estate, op *Operation) { op.on(e, func(s *string, _ *Network) { *s = "modifying" }) }},
		{share: 0.6, apply: func(e *Estate, op *Operation) {
			op.on(e, func(_ *string, n *Network) {
				n.Connected = e.reached(*n)
				n.SecurityGroups, n.GroupStatus = strings.Fields(op.Args["groups"]), "adding"
			})
		}},
		{share: 1, apply: func(e *Estate, op *Operation) {
			op.on(e, func(s *string, n *Network) { *s, n.GroupStatus = "available", "" })
		}},
	},
	"RebootDBInstance": {
		{after: time.Second, apply: cut},
		{share: 1, apply: func(e *Estate, op *Operation) { op.instance(e).Status = "available" }},
	},
	"StopDBInstance":  {{after: time.Second, apply: become("stopping")}, {share: 1, apply: stopped}},
	"StopDBCluster":   {{after: time.Second, apply: become("stopping")}, {share: 1, apply: stopped}},
	"StartDBInstance": {{after: time.Second, apply: become("starting")}, {share: 1, apply: become("available")}},
	"StartDBCluster":  {{after: time.Second, apply: become("starting")}, {share: 1, apply: become("available")}},
	"SwitchoverReadReplica": {
		{after: 2 * time.Second, apply: pair(func(_ *Estate, fresh, old *Instance) { fresh.Status, old.Status = "modifying", "modifying" })},
		{share: 0.7, apply: pair(func(_ *Estate, fresh, _ *Instance) {
			fresh.Source, fresh.Replication, fresh.ReplicaMode, fresh.LagSeconds = "", "", "", nil
		})},
		{share: 0.8, apply: pair(func(e *Estate, fresh, old *Instance) {
			old.Source, old.Replication, old.ReplicaMode, old.LagSeconds = e.instanceARN(fresh), "replicating", "mounted", seconds(1)
		})},
		{share: 0.95, apply: pair(func(_ *Estate, fresh, _ *Instance) { fresh.Status = "available" })},
		{share: 1, apply: pair(func(_ *Estate, _, old *Instance) { old.Status = "available" })},
	},
}

func stopped(e *Estate, op *Operation) {
	become("stopped")(e, op)
	op.on(e, func(_ *string, n *Network) { n.Connected = false })
}

// pair is a step that shows both instances of a switchover.
func pair(show func(e *Estate, fresh, old *Instance)) func(*Estate, *Operation) {
	return func(e *Estate, op *Operation) {
		if old := e.instanceOf(op.Args["old"]); old != nil {
			show(e, op.instance(e), old)
		}
	}
}

func securityGroups(c *Call) []string {
	return c.Params.list("VpcSecurityGroupIds", "VpcSecurityGroupId")
}

func (a *Account) swapGroups(c *Call, arn string, groups []string, reply any) any {
	a.begin(c, "SwapSecurityGroups", arn, map[string]string{"groups": strings.Join(groups, " ")})
	return reply
}

func addTagsToResource(a *Account, c *Call) (any, error) {
	arn := c.Params.str("ResourceName")
	if a.Estate.instanceOf(arn) == nil && a.Estate.cluster(arn) == nil {
		return nil, fail(404, "DBInstanceNotFound", "%s not found.", arn)
	}
	tags := map[string]string{}
	for key := range c.Params.form {
		entry, ok := strings.CutSuffix(key, ".Key")
		if !ok || !strings.HasPrefix(key, "Tags.Tag.") {
			continue
		}
		name, value := c.Params.str(key), c.Params.str(entry+".Value")
		if len(value) > 256 || strings.ContainsAny(value, ",;!") {
			return nil, fail(400, "InvalidParameterValue", "The value of tag %s is not allowed.", name)
		}
		tags[name] = value
	}
	if len(tags) == 0 {
		return nil, fail(400, "MissingParameter", "Tags must be given.")
	}
	a.begin(c, "AddTagsToResource", arn, tags)
	return nil, nil
}

// clusterTarget finds the cluster that a mutating call names, in a state in
// which AWS takes it.
func (a *Account) clusterTarget(c *Call, status string) (*Cluster, error) {
	id := lastName(c.Params.str("DBClusterIdentifier"))
	for _, x := range a.Estate.Clusters {
		if x.Region != c.Region || x.ID != id {
			continue
		}
		if x.Status != status || a.running(a.Estate.clusterARN(x)) {
			return nil, fail(400, "InvalidDBClusterStateFault", "DbCluster %s is in %s state but expected it to be one of %s.", id, x.Status, status)
		}
		return x, nil
	}
	return nil, fail(404, "DBClusterNotFoundFault", "DBCluster %s not found.", id)
}

func (a *Account) shownCluster(x *Cluster, status string) any {
	var out struct {
		DBCluster xmlDBCluster `xml:"DBCluster"`
	}
	out.DBCluster = a.xmlCluster(x)
	out.DBCluster.Status = status
	return out
}

func modifyDBCluster(a *Account, c *Call) (any, error) {
	x, err := a.clusterTarget(c, "available")
	if err != nil {
		return nil, err
	}
	shown := a.shownCluster(x, "modifying")
	if groups := securityGroups(c); len(groups) > 0 {
		return a.swapGroups(c, a.Estate.clusterARN(x), groups, shown), nil
	}
	return shown, a.modifyClusterFurther(c, x)
}

func rebootDBInstance(a *Account, c *Call) (any, error) {
	i, err := a.target(c)
	if err != nil {
		return nil, err
	}
	a.begin(c, "RebootDBInstance", a.Estate.instanceARN(i), nil)
	return a.modified(i), nil
}

// AWS stops no instance that has replicas or is one.
func stopDBInstance(a *Account, c *Call) (any, error) {
	i, err := a.target(c)
	if err != nil {
		return nil, err
	}
	arn := a.Estate.instanceARN(i)
	if i.Source != "" || i.Cluster != "" || slices.ContainsFunc(a.Estate.Instances, func(x *Instance) bool { return x.Source == arn }) {
		return nil, fail(400, "InvalidDBInstanceState", "Cannot stop DB instance %s: it has or is a read replica, or belongs to a cluster.", i.ID)
	}
	a.begin(c, "StopDBInstance", arn, nil)
	return a.modified(i), nil
}

func startDBInstance(a *Account, c *Call) (any, error) {
	id := lastName(c.Params.str("DBInstanceIdentifier"))
	i := a.Estate.instance(c.Region, id)
	switch {
	case i == nil:
		return nil, fail(404, "DBInstanceNotFound", "DBInstance %s not found.", id)
	case i.Status != "stopped" || a.running(a.Estate.instanceARN(i)):
		return nil, fail(400, "InvalidDBInstanceState", "Instance %s is not stopped, cannot be started.", id)
	}
	a.begin(c, "StartDBInstance", a.Estate.instanceARN(i), nil)
	return a.modified(i), nil
}

func stopDBCluster(a *Account, c *Call) (any, error) {
	x, err := a.clusterTarget(c, "available")
	if err != nil {
		return nil, err
	}
	if g := a.Estate.globalOf(a.Estate.clusterARN(x)); g != nil {
		return nil, fail(400, "InvalidDBClusterStateFault", "Cannot stop %s: it is a member of the global cluster %s.", x.ID, g.ID)
	}
	a.begin(c, "StopDBCluster", a.Estate.clusterARN(x), nil)
	return a.shownCluster(x, "stopping"), nil
}

func startDBCluster(a *Account, c *Call) (any, error) {
	x, err := a.clusterTarget(c, "stopped")
	if err != nil {
		return nil, err
	}
	a.begin(c, "StartDBCluster", a.Estate.clusterARN(x), nil)
	return a.shownCluster(x, "starting"), nil
}

// AWS takes a switchover in the region of the replica.
func switchoverReadReplica(a *Account, c *Call) (any, error) {
	i, err := a.target(c)
	if err != nil {
		return nil, err
	}
	old := a.Estate.instanceOf(i.Source)
	switch {
	case !strings.HasPrefix(i.Engine, "oracle"):
		return nil, fail(400, "InvalidDBInstanceState", "Switchover is not supported for engine %s.", i.Engine)
	case old == nil || old.Status != "available":
		return nil, fail(400, "InvalidDBInstanceState", "The source of %s is not available.", i.ID)
	case i.Retention == 0 || i.ReplicaMode == "" || i.Replication != "replicating":
		return nil, fail(400, "InvalidDBInstanceState", "%s needs automated backups, a replica mode and replication that works.", i.ID)
	}
	a.begin(c, "SwitchoverReadReplica", a.Estate.instanceARN(i), map[string]string{"old": i.Source})
	return a.modified(i), nil
}
