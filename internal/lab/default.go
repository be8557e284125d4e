package lab

import (
	"fmt"
	"time"
)

var defaultDurations = map[string]float64{
	"PromoteReadReplica":                 180,
	"SwitchoverGlobalCluster":            90,
	"FailoverGlobalCluster":              60,
	"RemoveFromGlobalCluster":            60,
	"FailoverGlobalReplicationGroup":     60,
	"ModifyDBInstance":                   30,
	"CreateDBInstanceReadReplica":        1200,
	"CatchUp":                            60, // of a new replica, which replicates before it is level
	"RenameDBInstance":                   60, // by ModifyDBInstance
	"SetDeletionProtection":              5,  // by ModifyDBInstance or ModifyDBCluster
	"CreateDBSnapshot":                   180,
	"DeleteDBInstance":                   120,
	"ForgetReplica":                      600, // until an instance no longer lists a replica that was promoted
	"ChangeResourceRecordSets":           60,
	"Resync":                             300, // of an old primary, after a switchover or failover
	"SwapSecurityGroups":                 30,
	"RebootDBInstance":                   40,
	"StopDBInstance":                     120,
	"StartDBInstance":                    180,
	"StopDBCluster":                      120,
	"StartDBCluster":                     180,
	"SwitchoverReadReplica":              240,
	"UpdateEventSourceMapping":           20,
	"UpdateRoutingControlStates":         2, // until every endpoint of the cluster shows it
	"SubmitMultiRegionAccessPointRoutes": 120,
	"CreateGlobalCluster":                45, // until the source is listed as its writer
	"DeleteGlobalCluster":                10,
	"CreateDBCluster":                    420,
	"CreateDBInstance":                   480,
	"RenameDBCluster":                    60, // by ModifyDBCluster
	"DeleteDBCluster":                    120,
	"CreateDBClusterSnapshot":            180,
	"CopyDBClusterSnapshot":              180,
}

func seconds(v float64) *float64 { return &v }

// DefaultEstate is what the demo fails over: RDS replicas, two Aurora global
// databases and an ElastiCache global datastore, between us-east-1 and
// us-west-2, and the zone whose records lead to them, with the CloudFormation
// exports that the stacks of the Python sample make.
func DefaultEstate() *Estate {
	const account, primary, recovery = "111122223333", "us-east-1", "us-west-2"
	e := &Estate{
		Account: account, Regions: []string{primary, recovery}, Recovery: recovery,
		Durations:  map[string]float64{},
		Latencies:  Latencies{API: 80, Invoke: 30, Transition: 20},
		Exports:    map[string]map[string]string{primary: {}, recovery: {}},
		Parameters: map[string][]Parameter{}, Secrets: map[string]map[string]string{}, ClosedGroups: []string{isolationGroup},
	}
	for name, duration := range defaultDurations {
		e.Durations[name] = duration
	}
	e.addReplica("rds-mysql-instance", "mysql", "8.0.42", primary, recovery)
	e.addReplica("rds-postgres-instance", "postgres", "16.8", primary, recovery)
	e.addReplica("rds-oracle-instance", "oracle-ee", "19.0.0.0.ru-2026-01.rur-2026-01.r1", primary, recovery)
	oracle := e.instance(recovery, "rds-oracle-instance-usw2")
	oracle.Retention, oracle.ReplicaMode = 7, "mounted" // a switchover wants backups on the replica
	e.addGlobal("dr-globaldb-cluster-mysql", "dbcluster", "aurora-mysql", "8.0.mysql_aurora.3.08.2", "3787", primary, recovery)
	e.addGlobal("dr-globaldb-cluster-postgres", "dbcluster-postgres", "aurora-postgresql", "16.8", "3787", primary, recovery)
	e.addZone("Z0SHOP0EXAMPLE", "shop.example", primary, recovery)
	e.addDatastore("ldgnf-demo-redis-global-datastore", "demo-redis-cluster", primary, recovery)
	e.addRouting("dr-routing", primary, recovery)
	e.addAccessPoint("orders-files", primary, recovery)
	e.addApps(map[string]string{primary: "dbcluster-01", recovery: "dbcluster-02"})
	e.addHealth()
	e.addHealthChecks()
	e.addFailovers("Z0SHOP0EXAMPLE", primary, recovery)
	e.addConsumers(primary, recovery)
	return e
}

var shortRegion = map[string]string{"us-east-1": "use1", "us-west-2": "usw2"}

func (e *Estate) key(region string) string {
	return fmt.Sprintf("arn:aws:kms:%s:%s:key/mrk-0123456789abcdef0123456789abcdef", region, e.Account)
}

// traits are those of everything that the default estate has in a region.
func (e *Estate) traits(region string) Traits {
	return Traits{Key: e.key(region), Protected: true, MultiAZ: true}
}

func (e *Estate) export(region, name string, values map[string]string) {
	for suffix, value := range values {
		e.Exports[region][name+suffix] = value
	}
}

func (e *Estate) addReplica(name, engine, version, primary, recovery string) {
	id := func(region string) string { return name + "-" + shortRegion[region] }
	settings := func(region string, created time.Time) InstanceSettings {
		e.addSubnetGroup(region, name+"-subnets")
		return InstanceSettings{Created: created, Port: 3788, SubnetGroup: name + "-subnets"}
	}
	source := &Instance{Region: primary, ID: id(primary), Engine: engine, EngineVersion: version, Class: "db.m5.large", Status: "available", Retention: 7, Clients: 40,
		InstanceSettings: settings(primary, Epoch.AddDate(-1, 0, 0)), Traits: e.traits(primary), Network: inGroup("sg-0a1b2c3d4e5f60001")}
	e.Instances = append(e.Instances, source, &Instance{
		Region: recovery, ID: id(recovery), Engine: engine, EngineVersion: version, Class: "db.m5.large", Status: "available",
		Source: e.instanceARN(source), Replication: "replicating", LagSeconds: seconds(2),
		Traits: e.traits(recovery), Network: inGroup("sg-0a1b2c3d4e5f60001"), InstanceSettings: settings(recovery, Epoch.AddDate(0, -6, 0).Add(2*time.Minute)),
	})
	for region, other := range map[string]string{primary: recovery, recovery: primary} {
		e.export(region, name, map[string]string{
			"-identifier": id(region), "-global-arn": fmt.Sprintf("arn:aws:rds:%s:%s:db:%s", region, e.Account, id(region)),
			"-source-identifier": id(other), "-SourceRegion": other, "-MultiAZ": "true", "-DBInstanceClass": "db.m5.large",
			"-DBSubnetGroup": name + "-subnets", "-DBSecurityGroup": "sg-0a1b2c3d4e5f60001", "-KmsKeyId": e.key(region),
			"-IsolationSecurityGroup": isolationGroup, "-source-isolation-security-group": isolationGroup, "-DBPortNumber": "3788", "-RDSMonitoringRole": "arn:aws:iam::" + e.Account + ":role/rds-monitoring-role",
		})
	}
}

func (e *Estate) addGlobal(name, cluster, engine, version, port, primary, recovery string) {
	g := &GlobalCluster{ID: name, Engine: engine, EngineVersion: version, Status: "available"}
	ids := map[string]string{primary: cluster + "-01", recovery: cluster + "-02"}
	arn := func(region string) string {
		return fmt.Sprintf("arn:aws:rds:%s:%s:cluster:%s", region, e.Account, ids[region])
	}
	for position, region := range []string{primary, recovery} {
		c := &Cluster{Region: region, ID: ids[region], Engine: engine, EngineVersion: version, Status: "available",
			Traits: e.traits(region), Network: inGroup("sg-0a1b2c3d4e5f60002"), ClusterDetails: details(name, port, position)}
		if region == recovery {
			c.LagSeconds = seconds(0.4)
		} else {
			c.Clients = 40
		}
		e.Clusters = append(e.Clusters, c)
		e.addSubnetGroup(region, name+"-subnets")
		instance := fmt.Sprintf("%s-%s-instance-%d", ids[region], shortRegion[region], position+1)
		e.Instances = append(e.Instances, &Instance{Region: region, ID: instance, Engine: engine, EngineVersion: version,
			Class: "db.r5.large", Status: "available", Cluster: ids[region], Writer: true, Retention: 7, Traits: e.traits(region)})
		g.Members = append(g.Members, GlobalMember{ARN: arn(region), Writer: region == primary, Sync: "connected"})
		other := primary
		if region == primary {
			other = recovery
		}
		e.export(region, name, map[string]string{
			"-global-identifier": name, "-cluster-identifier": arn(region), "-cluster-name": ids[region], "-cluster-region": region,
			"-source-cluster-identifier": arn(other), "-source-cluster-name": ids[other], "-source-region": other, "-source-isolation-security-group": isolationGroup, "-instance-identifier": instance,
			"-instance-class": "db.r5.large", "-port": port, "-subnet-group-name": name + "-subnets",
			"-vpc-security-group-ids": "sg-0a1b2c3d4e5f60002", "-engine": engine, "-engine-version": version,
			"-KmsKeyId": e.key(region), "-RDSMonitoringRole": "arn:aws:iam::" + e.Account + ":role/rds-monitoring-role",
		})
	}
	e.Globals = append(e.Globals, g)
}

func (e *Estate) addDatastore(id, group, primary, recovery string) {
	d := &Datastore{ID: id, Status: "available"}
	for _, region := range []string{primary, recovery} {
		role, lag := "SECONDARY", seconds(0.6)
		if region == primary {
			role, lag = "PRIMARY", nil
		}
		e.Groups = append(e.Groups, &ReplicationGroup{Region: region, ID: group, Status: "available", Datastore: id, NodeType: "cache.r6g.large", Key: e.key(region), LagSeconds: lag})
		d.Members = append(d.Members, DatastoreMember{Region: region, Group: group, Role: role, Status: "associated"})
		e.export(region, group, map[string]string{
			"-global-replication-group-id": id, "-target-region": region, "-target-replication-group-id": group, "-port-no": "3789",
		})
	}
	e.Datastores = append(e.Datastores, d)
}

func number(n int) *int { return &n }

// addZone adds a public zone whose records lead to the primary: a simple one,
// a weighted pair and a failover pair, and an alias.
func (e *Estate) addZone(id, name, primary, recovery string) {
	z := &Zone{ID: id, Name: name, NameServers: []string{"ns-1.awsdns-00.com", "ns-514.awsdns-00.net", "ns-1025.awsdns-00.org", "ns-1537.awsdns-00.co.uk"}}
	z.Records = []*RecordSet{
		{Name: name, Type: "NS", TTL: number(172800), Values: []RecordValue{"ns-1.awsdns-00.com.", "ns-514.awsdns-00.net.", "ns-1025.awsdns-00.org.", "ns-1537.awsdns-00.co.uk."}},
		{Name: name, Type: "SOA", TTL: number(900), Values: []RecordValue{"ns-1.awsdns-00.com. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"}},
		{Name: name, Type: "A", Alias: &Alias{Zone: "Z35SXDOTRQ7X7K", Name: "shop-use1.us-east-1.elb.amazonaws.com", EvaluateHealth: true}},
		{Name: "db." + name, Type: "CNAME", TTL: number(30), Values: []RecordValue{RecordValue("rds-mysql-instance-use1.c0ffee." + primary + ".rds.amazonaws.com")}},
		{Name: "www." + name, Type: "A", SetIdentifier: primary, Weight: number(100), TTL: number(60), Values: []RecordValue{"192.0.2.10"}, HealthCheck: appCheck[primary]},
		{Name: "www." + name, Type: "A", SetIdentifier: recovery, Weight: number(0), TTL: number(60), Values: []RecordValue{"198.51.100.10"}, HealthCheck: appCheck[recovery]},
		{Name: "api." + name, Type: "A", SetIdentifier: "first", Failover: "PRIMARY", TTL: number(60), Values: []RecordValue{"192.0.2.20"}, HealthCheck: appCheck[primary]},
		{Name: "api." + name, Type: "A", SetIdentifier: "second", Failover: "SECONDARY", TTL: number(60), Values: []RecordValue{"198.51.100.20"}},
	}
	e.Zones = append(e.Zones, z)
	for _, region := range []string{primary, recovery} {
		e.Exports[region]["shop-zone-id"] = id
	}
}
