package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// Estate is the content of the simulated account: what exists, and how long
// each operation takes.
type Estate struct {
	Account  string   `json:"account"`
	Regions  []string `json:"regions"`  // the first is the primary
	Recovery string   `json:"recovery"` // where a failover runs by default

	// SavedAt is when a run left the estate like this: the next one begins then.
	SavedAt time.Time `json:"savedAt,omitzero"`

	// Durations of operations in seconds, by the name of the call.
	Durations map[string]float64 `json:"durationSeconds"`
	// Latencies in milliseconds: what calls and steps cost beside operations.
	Latencies Latencies `json:"latencyMilliseconds"`

	Instances  []*Instance                  `json:"instances"`
	Snapshots  []*Snapshot                  `json:"snapshots,omitempty"`
	Clusters   []*Cluster                   `json:"clusters"`
	Globals    []*GlobalCluster             `json:"globalClusters"`
	Groups     []*ReplicationGroup          `json:"replicationGroups"`
	Datastores []*Datastore                 `json:"globalDatastores"`
	Zones      []*Zone                      `json:"hostedZones"`
	Exports    map[string]map[string]string `json:"exports"`    // region, name, value
	Parameters map[string][]Parameter       `json:"parameters"` // region
	Secrets    map[string]map[string]string `json:"secrets"`    // region, name, value

	ClusterSnapshots []*ClusterSnapshot `json:"clusterSnapshots,omitempty"` // Snapshots are those of instances
	// Payloads are stored in the bucket of runs of each region, by name.
	Payloads map[string]json.RawMessage `json:"payloads,omitempty"`
	// Keys are the states of KMS keys by their ARN; one that is not here is
	// Enabled, if it is of this account.
	Keys map[string]string `json:"keys,omitempty"`
	// DescribesPerSecond is how many reads each of RDS, ElastiCache and
	// CloudWatch answers in a region; 0: any number.
	DescribesPerSecond int      `json:"describesPerSecond,omitempty"`
	ClosedGroups       []string `json:"closedSecurityGroups,omitempty"` // security groups without inbound rules
	// InboundRules are what security groups let in, by their id: address
	// ranges, or ids of groups. One that is neither here nor closed lets in
	// those of a private network.
	InboundRules map[string][]string `json:"inboundRules,omitempty"`
	// SilentWhenIsolated says that closed security groups of a primary cut its
	// replicas off, too; AWS does not document whether they do.
	SilentWhenIsolated bool                `json:"replicationSilentWhenIsolated,omitempty"`
	SubnetGroups       map[string][]string `json:"subnetGroups,omitempty"`    // region, names
	InstanceQuota      int                 `json:"dbInstanceQuota,omitempty"` // of each region; 0: AWS's own default
	RoutingClusters    []*RoutingCluster   `json:"routingClusters,omitempty"`
	AccessPoints       []*AccessPoint      `json:"accessPoints,omitempty"`
	Apps               []*App              `json:"apps,omitempty"`
	Alarms             []*Alarm            `json:"alarms,omitempty"`
	TargetGroups       []*TargetGroup      `json:"targetGroups,omitempty"`
	HealthChecks       []*HealthCheck      `json:"healthChecks,omitempty"`
	EventSources       []*EventSource      `json:"eventSources,omitempty"`
	Rules              []*Rule             `json:"rules,omitempty"`
	Schedules          []*Schedule         `json:"schedules,omitempty"`
	ZoneChanges        []*ZoneChange       `json:"zoneChanges,omitempty"`

	// Operations that are under way.
	Operations []*Operation `json:"operations,omitempty"`
}

// Latencies are what the surroundings of an operation cost, in milliseconds.
type Latencies struct {
	API        int `json:"api"`        // one AWS API call
	Invoke     int `json:"invoke"`     // one Lambda invocation, beside what it does
	Transition int `json:"transition"` // one step of a state machine
}

// Instance is an RDS DB instance; those of Aurora clusters name their cluster.
type Instance struct {
	Region        string   `json:"region"`
	ID            string   `json:"id"`
	Engine        string   `json:"engine"`
	EngineVersion string   `json:"engineVersion"`
	Class         string   `json:"class"`
	Status        string   `json:"status"`
	Source        string   `json:"source,omitempty"`      // ARN of the instance it replicates
	Replication   string   `json:"replication,omitempty"` // status of read replication
	Retention     int      `json:"backupRetentionPeriod"`
	Cluster       string   `json:"cluster,omitempty"`
	Writer        bool     `json:"writer,omitempty"`
	LagSeconds    *float64 `json:"lagSeconds,omitempty"`    // nil: no datapoint
	LagAge        float64  `json:"lagAgeSeconds,omitempty"` // of the newest datapoint; 0: fresh
	ReplicaMode   string   `json:"replicaMode,omitempty"`   // of an Oracle replica
	Clients       float64  `json:"clients,omitempty"`       // connections from outside
	Traits
	Network
	InstanceSettings
}

// Traits are what a preflight looks at beside what decides.
type Traits struct {
	Key          string `json:"kmsKey,omitempty"` // ARN of the key that encrypts it
	Protected    bool   `json:"deletionProtection,omitempty"`
	MultiAZ      bool   `json:"multiAZ,omitempty"`
	SubnetStatus string `json:"subnetGroupStatus,omitempty"`    // empty: Complete
	Pending      string `json:"pendingEngineVersion,omitempty"` // a new version that waits
}

// Cluster is an Aurora DB cluster.
type Cluster struct {
	Region        string   `json:"region"`
	ID            string   `json:"id"`
	Engine        string   `json:"engine"`
	EngineVersion string   `json:"engineVersion"`
	Status        string   `json:"status"`
	LagSeconds    *float64 `json:"lagSeconds,omitempty"`    // nil: no datapoint
	LagAge        float64  `json:"lagAgeSeconds,omitempty"` // of the newest datapoint; 0: fresh
	Clients       float64  `json:"clients,omitempty"`       // connections from outside, of the instance that has most
	Traits
	Network
	ClusterDetails
}

// GlobalCluster is an Aurora global database.
type GlobalCluster struct {
	ID            string         `json:"id"`
	Engine        string         `json:"engine"`
	EngineVersion string         `json:"engineVersion"`
	Status        string         `json:"status"`
	Members       []GlobalMember `json:"members"`
	Failover      *FailoverState `json:"failover,omitempty"`
}

// GlobalMember is one cluster of a global database.
type GlobalMember struct {
	ARN    string `json:"arn"`
	Writer bool   `json:"writer"`
	Sync   string `json:"sync"`
}

// FailoverState is a switchover or failover under way.
type FailoverState struct {
	Status   string `json:"status"`
	From     string `json:"from"`
	To       string `json:"to"`
	DataLoss bool   `json:"dataLoss"`
}

// ReplicationGroup is an ElastiCache replication group.
type ReplicationGroup struct {
	Region     string   `json:"region"`
	ID         string   `json:"id"`
	Status     string   `json:"status"`
	Datastore  string   `json:"globalDatastore"`
	Nodes      []string `json:"nodes,omitempty"`         // its cache clusters; none: the one named ID-001
	LagSeconds *float64 `json:"lagSeconds,omitempty"`    // nil: no datapoint, nor where it is the primary
	LagAge     float64  `json:"lagAgeSeconds,omitempty"` // of the newest datapoint; 0: fresh
	NodeType   string   `json:"nodeType,omitempty"`
	Key        string   `json:"kmsKey,omitempty"`     // ARN of the key that encrypts it
	Resharding bool     `json:"resharding,omitempty"` // waits to be applied
}

// Datastore is an ElastiCache global datastore.
type Datastore struct {
	ID      string            `json:"id"`
	Status  string            `json:"status"`
	Members []DatastoreMember `json:"members"`
}

// DatastoreMember is one replication group of a global datastore.
type DatastoreMember struct {
	Region string `json:"region"`
	Group  string `json:"group"`
	Role   string `json:"role"`
	Status string `json:"status"`
}

// Parameter is an SSM parameter.
type Parameter struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Secure bool   `json:"secure,omitempty"`
}

// LoadEstate reads an estate file. Every wrongness is reported together.
func LoadEstate(path string) (*Estate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var e Estate
	if err := d.Decode(&e); err != nil {
		return nil, fmt.Errorf("estate %s: %w", path, err)
	}
	if err := e.check(); err != nil {
		return nil, fmt.Errorf("estate %s: %w", path, err)
	}
	return &e, nil
}

// JSON gives the estate as LoadEstate reads it.
func (e *Estate) JSON() ([]byte, error) {
	data, err := json.MarshalIndent(e, "", "  ")
	return append(data, '\n'), err
}

// Save writes the estate so that LoadEstate reads it back.
func (e *Estate) Save(path string) error {
	data, err := e.JSON()
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// Clone gives a copy that shares nothing.
func (e *Estate) Clone() *Estate {
	data, err := json.Marshal(e)
	if err != nil {
		panic(err) // an estate is plain data
	}
	var c Estate
	if err := json.Unmarshal(data, &c); err != nil {
		panic(err)
	}
	return &c
}

func (e *Estate) check() error {
	var all []error
	bad := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	if len(e.Account) != 12 || strings.Trim(e.Account, "0123456789") != "" {
		bad("account: want 12 digits, got %q", e.Account)
	}
	if len(e.Regions) < 2 {
		bad("regions: want at least two, the primary first")
	}
	if !slices.Contains(e.Regions, e.Recovery) {
		bad("recovery: %q is none of the regions", e.Recovery)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Durations)) {
		if _, ok := defaultDurations[name]; !ok {
			bad("durationSeconds: %q is no operation of the lab (%s)", name, strings.Join(slices.Sorted(maps.Keys(defaultDurations)), ", "))
		}
		if e.Durations[name] <= 0 {
			bad("durationSeconds: %s must be above 0", name)
		}
	}
	region := func(what, r string) {
		if !slices.Contains(e.Regions, r) {
			bad("%s: region %q is none of the regions", what, r)
		}
	}
	for i, x := range e.Instances {
		region(fmt.Sprintf("instances[%d] %s", i, x.ID), x.Region)
	}
	for i, x := range e.Clusters {
		region(fmt.Sprintf("clusters[%d] %s", i, x.ID), x.Region)
	}
	for i, x := range e.Groups {
		region(fmt.Sprintf("replicationGroups[%d] %s", i, x.ID), x.Region)
	}
	things := map[string]bool{}
	once := func(what string) {
		if things[what] {
			bad("%s is there twice", what)
		}
		things[what] = true
	}
	for _, x := range e.Instances {
		once("instance " + x.ID + " in " + x.Region)
	}
	for _, x := range e.Clusters {
		once("cluster " + x.ID + " in " + x.Region)
	}
	for _, x := range e.Globals {
		once("global cluster " + x.ID)
	}
	for _, x := range e.Datastores {
		once("global datastore " + x.ID)
	}
	e.checkZones(bad)
	if e.Latencies.API < 0 || e.Latencies.Invoke < 0 || e.Latencies.Transition < 0 {
		bad("latencyMilliseconds: must not be below 0")
	}
	if e.DescribesPerSecond < 0 {
		bad("describesPerSecond: must not be below 0")
	}
	for _, arn := range slices.Sorted(maps.Keys(e.Keys)) {
		if !slices.Contains(keyStates, e.Keys[arn]) {
			bad("keys: %s: %q is no state of a KMS key (%s)", arn, e.Keys[arn], strings.Join(keyStates, ", "))
		}
	}
	for i, op := range e.Operations {
		if _, ok := scripts[op.Kind]; !ok {
			bad("operations[%d]: %q is no operation of the lab", i, op.Kind)
		}
	}
	return errors.Join(all...)
}

func (e *Estate) instance(region, id string) *Instance {
	for _, x := range e.Instances {
		if x.Region == region && x.ID == id {
			return x
		}
	}
	return nil
}

func (e *Estate) cluster(arn string) *Cluster {
	for _, x := range e.Clusters {
		if e.clusterARN(x) == arn {
			return x
		}
	}
	return nil
}

func (e *Estate) global(id string) *GlobalCluster {
	for _, x := range e.Globals {
		if x.ID == id {
			return x
		}
	}
	return nil
}

func (e *Estate) datastore(id string) *Datastore {
	for _, x := range e.Datastores {
		if x.ID == id {
			return x
		}
	}
	return nil
}

func (e *Estate) instanceARN(x *Instance) string {
	return fmt.Sprintf("arn:aws:rds:%s:%s:db:%s", x.Region, e.Account, x.ID)
}

func (e *Estate) clusterARN(x *Cluster) string {
	return fmt.Sprintf("arn:aws:rds:%s:%s:cluster:%s", x.Region, e.Account, x.ID)
}

// globalOf finds the global cluster that a cluster is a member of.
func (e *Estate) globalOf(arn string) *GlobalCluster {
	for _, g := range e.Globals {
		if slices.ContainsFunc(g.Members, func(m GlobalMember) bool { return m.ARN == arn }) {
			return g
		}
	}
	return nil
}

// regionOf reads the region of an ARN.
func regionOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[3]
}
