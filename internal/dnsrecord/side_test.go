package dnsrecord

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"dr-orchestrator/internal/action"
)

func TestRegionOf(t *testing.T) {
	for name, want := range map[string]string{
		"orders.c0ffee.us-east-1.rds.amazonaws.com":              "us-east-1",
		"ORDERS.cluster-c0ffee.us-gov-west-1.RDS.amazonaws.com.": "us-gov-west-1",
		"orders.c0ffee.rds.cn-north-1.amazonaws.com.cn":          "cn-north-1",
		"shop-1.us-east-1.elb.amazonaws.com":                     "us-east-1",
		"shop-1.elb.eu-west-1.amazonaws.com":                     "eu-west-1",
		"a.execute-api.us-east-1.amazonaws.com":                  "us-east-1",
		"a.s3-website-us-east-1.amazonaws.com":                   "us-east-1",
		"a.lambda-url.us-east-1.on.aws":                          "us-east-1",
		"a.us-east-1.elasticbeanstalk.com":                       "us-east-1",
		"orders.c0ffee.eusc-de-east-1.rds.amazonaws.eu":          "eusc-de-east-1",
		"a.ap-southeast-2.elb.amazonaws.com":                     "ap-southeast-2",
		"a.s3.dualstack.ca-central-1.amazonaws.com":              "ca-central-1",
		"us-east-1.elasticbeanstalk.com":                         "",
		"shop-prod-2.elasticbeanstalk.com":                       "",
		"app-prod-1.s3.amazonaws.com":                            "",
		"a.eu-prod-2.s3.amazonaws.com":                           "",
		"a.shop-west-2.s3.amazonaws.com":                         "",
		"db-main-1.global-c0ffee.global.rds.amazonaws.com":       "",
		"d111111abcdef8.cloudfront.net":                          "",
		"app.us-east-1.example":                                  "",
		"amazonaws.com":                                          "",
	} {
		if got := regionOf(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestWriterName(t *testing.T) {
	for name, want := range map[string]bool{
		"orders.c0ffee.us-east-1.rds.amazonaws.com":                    true,
		"orders.cluster-c0ffee.us-gov-west-1.rds.amazonaws.com":        true,
		"orders.c0ffee.rds.cn-north-1.amazonaws.com.cn":                true,
		"orders.cluster-c0ffee.rds.cn-northwest-1.amazonaws.com.cn":    true,
		"orders.c0ffee.eusc-de-east-1.rds.amazonaws.eu":                true,
		"orders.cluster-ro-c0ffee.us-east-1.rds.amazonaws.com":         false,
		"orders.cluster-custom-c0ffee.rds.cn-north-1.amazonaws.com.cn": false,
		"orders.proxy-c0ffee.us-east-1.rds.amazonaws.com":              false,
		"orders.global-c0ffee.global.rds.amazonaws.com":                false,
		"orders.c0ffee.us-east-1.elb.amazonaws.com":                    false,
		"orders.c0ffee.us-east-1.rds.amazonaws.com.example":            false,
	} {
		if got := writerName.MatchString(normalName(name)); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// What a swap leads traffic to must not lie, by its name, in another region than
// the databases that it requires.
func TestATargetInAnotherRegionThanTheWriterIsRefused(t *testing.T) {
	const here, there = "shop-1.us-west-2.elb.amazonaws.com", "shop-1.us-east-1.elb.amazonaws.com"
	const database = "orders.c0ffee.us-west-2.rds.amazonaws.com"
	east := aliased(weighted("www.example", "east", 100, ""), "ZELB", there)
	west := aliased(weighted("www.example", "west", 0, ""), "ZELB", here)
	give := func(s types.ResourceRecordSet, weight int64) types.ResourceRecordSet {
		s.Weight = aws.Int64(weight)
		return s
	}
	weigh := func(set string, weight int) Record {
		return Record{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: set, Weight: aws.Int(weight)}
	}
	lead := func(set, target string) Record {
		return Record{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: set, AliasTarget: target, AliasZone: "ZELB"}
	}
	role := func(set, role string) Record {
		return Record{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: set, Failover: role}
	}
	primary, secondary := aliased(failover("www.example", "east", "PRIMARY", ""), "ZELB", there), aliased(failover("www.example", "west", "SECONDARY", ""), "ZELB", here)
	latency := aliased(simple("www.example", "A"), "ZELB", there)
	latency.SetIdentifier, latency.Region = aws.String("east"), "us-east-1"
	cname := func(value string) []Record {
		return []Record{{Zone: "Z1", Name: "db.example", Type: "CNAME", Values: []string{value}}}
	}
	old := []types.ResourceRecordSet{simple("db.example", "CNAME", "orders.c0ffee.us-east-1.rds.amazonaws.com")}
	both := []types.ResourceRecordSet{east, west}
	for _, tt := range []struct {
		name    string
		sets    []types.ResourceRecordSet
		records []Record
		refused bool
	}{
		{"a value here", old, cname(database), false},
		{"a value there", []types.ResourceRecordSet{simple("db.example", "CNAME", database)}, cname("orders.c0ffee.us-east-1.rds.amazonaws.com"), true},
		{"a value that stands there already", old, cname("orders.c0ffee.us-east-1.rds.amazonaws.com"), true},
		{"a value that tells no region", old, cname("app.example"), false},
		{"weights here", both, []Record{weigh("east", 0), weigh("west", 100)}, false},
		{"weights there", []types.ResourceRecordSet{give(east, 0), give(west, 100)}, []Record{weigh("east", 100), weigh("west", 0)}, true},
		{"weights that stand there already", both, []Record{weigh("east", 100), weigh("west", 0)}, true},
		{"a part stays there", both, []Record{weigh("east", 90), weigh("west", 10)}, false},
		{"a part that stands there already", []types.ResourceRecordSet{give(east, 90), give(west, 10)}, []Record{weigh("east", 90), weigh("west", 10)}, false},
		{"more of it goes there", []types.ResourceRecordSet{give(east, 10), give(west, 90)}, []Record{weigh("east", 20)}, true},
		{"a set without weight leads there", both, []Record{lead("west", there)}, false},
		{"a set with weight is made to lead there", []types.ResourceRecordSet{give(east, 1), give(west, 100)}, []Record{lead("west", there)}, true},
		{"a set with weight is made to lead here", both, []Record{lead("east", here)}, false},
		{"the primary there", []types.ResourceRecordSet{primary, secondary}, []Record{role("east", "PRIMARY")}, true},
		{"the secondary there", []types.ResourceRecordSet{primary, secondary}, []Record{role("east", "SECONDARY"), role("west", "PRIMARY")}, false},
		{"the callers of the other region are led here", []types.ResourceRecordSet{latency}, []Record{lead("east", here)}, false},
		{"the callers of the other region stay there", []types.ResourceRecordSet{latency}, []Record{{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: "east", EvaluateTargetHealth: aws.Bool(true)}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, required := range []bool{true, false} {
				p := SwapParameters{Records: tt.records}
				if required {
					p.Requires = []string{"rds-instance/orders"}
				}
				api := databases{instance: &rdstypes.DBInstance{DBInstanceStatus: aws.String("available"), Endpoint: &rdstypes.Endpoint{Address: aws.String(database)}}}
				z := &zones{page: 300, sets: tt.sets}
				ready, err := Swap{Route53: z, Databases: api}.Preflight(t.Context(), request(p, action.Drive{}))
				if want := required && tt.refused; err != nil || (ready.Verdict() == action.VerdictBlocked) != want {
					t.Errorf("plan, required %t: %+v, %v", required, ready, err)
				}
				for _, f := range ready.Findings {
					if strings.Contains(f.Message, "the endpoint of no database") {
						t.Errorf("plan, required %t: said twice: %s", required, f.Message)
					}
				}
				_, err = Swap{Route53: z, Databases: api, Ask: unheard}.Reconcile(t.Context(), request(p, action.Drive{}))
				if want := required && tt.refused; (err != nil) != want || want && (action.ClassOf(err) != action.Refused || len(z.changes) > 0) {
					t.Errorf("required %t: %v with %d calls", required, err, len(z.changes))
				}
			}
		})
	}
}

// A writer's endpoint in the right region must be one of a database that is
// required. An endpoint may be the new one of a database that was renamed a
// moment ago, so that it is looked at again, as a database is that does not write.
func TestTheEndpointOfAnotherDatabaseIsRefused(t *testing.T) {
	const mine, other = "orders.c0ffee.us-west-2.rds.amazonaws.com", "bills.c0ffee.us-west-2.rds.amazonaws.com"
	instance := func(address string) databases {
		i := &rdstypes.DBInstance{DBInstanceStatus: aws.String("available")}
		if address != "" {
			i.Endpoint = &rdstypes.Endpoint{Address: aws.String(address)}
		}
		return databases{instance: i}
	}
	cluster := instance("i.c0ffee.us-west-2.rds.amazonaws.com")
	cluster.cluster = clusterIn("us-west-2")
	cluster.cluster.Endpoint = aws.String("orders.cluster-c0ffee.us-west-2.rds.amazonaws.com")
	for _, tt := range []struct {
		name, requirement, value string
		api                      databases
		stray                    bool
		plan                     action.Verdict
	}{
		{"its own", "rds-instance/orders", strings.ToUpper(mine) + ".", instance(mine), false, action.VerdictReady},
		{"another's", "rds-instance/orders", other, instance(mine), true, action.VerdictBlocked},
		{"not known", "rds-instance/orders", other, instance(""), false, action.VerdictReady},
		{"the cluster's", "rds-cluster/orders", "orders.cluster-c0ffee.us-west-2.rds.amazonaws.com", cluster, false, action.VerdictReady},
		{"its writer's", "rds-cluster/orders", "i.c0ffee.us-west-2.rds.amazonaws.com", cluster, false, action.VerdictReady},
		{"another cluster's", "rds-cluster/orders", "bills.cluster-c0ffee.us-west-2.rds.amazonaws.com", cluster, true, action.VerdictBlocked},
		{"one of two is not known", "rds-cluster/orders,rds-instance/new", other, func() databases {
			d := instance("")
			d.cluster = cluster.cluster
			return d
		}(), false, action.VerdictReady},
		{"one of two", "rds-cluster/orders,rds-instance/i", "i.c0ffee.us-west-2.rds.amazonaws.com", cluster, false, action.VerdictReady},
		{"none of two", "rds-cluster/orders,rds-instance/i", other, cluster, true, action.VerdictBlocked},
		{"readers", "rds-cluster/orders", "bills.cluster-ro-c0ffee.us-west-2.rds.amazonaws.com", cluster, false, action.VerdictReady},
		{"a proxy", "rds-cluster/orders", "bills.proxy-c0ffee.us-west-2.rds.amazonaws.com", cluster, false, action.VerdictReady},
		{"a global one", "rds-cluster/orders", "bills.global-c0ffee.global.rds.amazonaws.com", cluster, false, action.VerdictReady},
		{"another instance of the cluster", "rds-cluster/orders", "j.c0ffee.us-west-2.rds.amazonaws.com", cluster, true, action.VerdictWarning},
		{"another cluster by the name of an instance", "rds-cluster/orders", "j.cluster-c0ffee.us-west-2.rds.amazonaws.com", cluster, true, action.VerdictBlocked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := SwapParameters{Requires: strings.Split(tt.requirement, ","), Records: []Record{{Zone: "Z1", Name: "db.example", Type: "CNAME", Values: []string{tt.value}}}}
			z := &zones{page: 300, sets: []types.ResourceRecordSet{simple("db.example", "CNAME", "old.example")}}
			swap := Swap{Route53: z, Databases: tt.api}
			ready, err := swap.Preflight(t.Context(), request(p, action.Drive{}))
			if err != nil || ready.Verdict() != tt.plan {
				t.Errorf("plan: %+v, %v", ready, err)
			}
			progress, err := swap.Reconcile(t.Context(), request(p, action.Drive{}))
			if err != nil || (len(z.changes) == 0) != tt.stray || (progress.Memo[memoUnmet] != "") != tt.stray {
				t.Errorf("at first: %+v, %v, %d calls", progress, err, len(z.changes))
			}
			if !tt.stray {
				return
			}
			_, err = swap.Reconcile(t.Context(), request(p, action.Drive{Memo: map[string]string{memoUnmet: noon.Add(-unmetTime).Format(time.RFC3339)}}))
			if action.ClassOf(err) != action.Refused || !strings.Contains(err.Error(), "the endpoint of no database in Requires") || len(z.changes) > 0 {
				t.Errorf("%v, %d calls", err, len(z.changes))
			}
		})
	}
}

// The plan knows the endpoints of databases that do not take writes yet, for a
// promotion leaves them as they are. The run believes that a name leads elsewhere
// once all of them do.
func TestAPlanSeesAStrayBeforeThePromotion(t *testing.T) {
	const own, other = "orders.c0ffee.us-west-2.rds.amazonaws.com", "bills.c0ffee.us-west-2.rds.amazonaws.com"
	const ownCluster, otherCluster, member = "orders.cluster-c0ffee.us-west-2.rds.amazonaws.com", "bills.cluster-c0ffee.us-west-2.rds.amazonaws.com", "j.c0ffee.us-west-2.rds.amazonaws.com"
	replica := databases{instance: &rdstypes.DBInstance{ReadReplicaSourceDBInstanceIdentifier: aws.String("s"), Endpoint: &rdstypes.Endpoint{Address: aws.String(own)}}}
	reading := databases{instance: replica.instance, cluster: clusterIn("us-west-2"), global: &rdstypes.GlobalCluster{Status: aws.String("available"), GlobalClusterMembers: []rdstypes.GlobalClusterMember{
		{DBClusterArn: clusterIn("us-east-1").DBClusterArn, IsWriter: aws.Bool(true)}, {DBClusterArn: clusterIn("us-west-2").DBClusterArn},
	}}}
	reading.cluster.Endpoint, reading.cluster.GlobalClusterIdentifier = aws.String(ownCluster), aws.String("g")
	gone := reading
	gone.global = &rdstypes.GlobalCluster{Status: aws.String("available"), GlobalClusterMembers: reading.global.GlobalClusterMembers[:1]}
	moving := reading
	moving.global = &rdstypes.GlobalCluster{Status: aws.String("switching-over"), GlobalClusterMembers: reading.global.GlobalClusterMembers}
	stopped := databases{cluster: &rdstypes.DBCluster{Status: aws.String("stopped"), Endpoint: aws.String(ownCluster)}}
	for _, tt := range []struct {
		name, requirement, value string
		api                      databases
		want                     action.Verdict
	}{
		{"the replica", "rds-instance/orders", own, replica, action.VerdictWarning},
		{"another instance", "rds-instance/orders", other, replica, action.VerdictBlocked},
		{"the cluster", "rds-cluster/orders", ownCluster, reading, action.VerdictWarning},
		{"another cluster", "rds-cluster/orders", otherCluster, reading, action.VerdictBlocked},
		{"a stopped cluster", "rds-cluster/orders", ownCluster, stopped, action.VerdictWarning},
		{"not the stopped cluster", "rds-cluster/orders", otherCluster, stopped, action.VerdictBlocked},
		{"while it moves", "rds-cluster/orders", otherCluster, moving, action.VerdictBlocked},
		{"an instance of the cluster", "rds-cluster/orders", member, reading, action.VerdictWarning},
		{"an instance of no cluster", "rds-cluster/orders", other, reading, action.VerdictBlocked},
		{"the cluster here", "global-cluster/g", ownCluster, reading, action.VerdictWarning},
		{"another cluster here", "global-cluster/g", otherCluster, reading, action.VerdictBlocked},
		{"while it moves", "global-cluster/g", otherCluster, moving, action.VerdictBlocked},
		{"there is no cluster here", "global-cluster/g", otherCluster, gone, action.VerdictWarning},
		{"one of both", "rds-instance/orders,global-cluster/g", own, reading, action.VerdictWarning},
		{"none of both", "rds-instance/orders,global-cluster/g", other, reading, action.VerdictBlocked},
	} {
		t.Run(tt.requirement+": "+tt.name, func(t *testing.T) {
			requires := strings.Split(tt.requirement, ",")
			z := &zones{page: 300, sets: []types.ResourceRecordSet{aliased(weighted("www.example", "b", 0, ""), "Z2", tt.value), weighted("www.example", "c", 1, "192.0.2.1")}}
			swap := request(SwapParameters{Requires: requires, Records: []Record{{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: "b", Weight: aws.Int(1)}, {Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: "c", Weight: aws.Int(0)}}}, action.Drive{})
			ready, err := Swap{Route53: z, Databases: tt.api}.Preflight(t.Context(), swap)
			if err != nil || ready.Verdict() != tt.want {
				t.Errorf("swap: %+v, %v, want %s", ready, err, tt.want)
			}
			swap.Drive.Memo = map[string]string{memoUnmet: noon.Add(-unmetTime).Format(time.RFC3339)}
			if _, err := (Swap{Route53: z, Databases: tt.api}).Reconcile(t.Context(), swap); action.ClassOf(err) != action.Refused || strings.Contains(err.Error(), "the endpoint of no database") {
				t.Errorf("swap: %v", err)
			}
			shift := action.Request[ShiftParameters]{Run: swap.Run, Now: noon, Parameters: ShiftParameters{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: "b", Steps: []string{"100"}, Requires: requires}}
			ready, err = Shift{Route53: z, Databases: tt.api}.Preflight(t.Context(), shift)
			if err != nil || ready.Verdict() != tt.want {
				t.Errorf("shift: %+v, %v, want %s", ready, err, tt.want)
			}
		})
	}
}

// A plan tells that nobody will look whether the other side takes writes.
func TestAPlanWarnsWhereNothingIsRequired(t *testing.T) {
	z := &zones{page: 300, sets: []types.ResourceRecordSet{weighted("www.example", "east", 100, "192.0.2.1"), weighted("www.example", "west", 0, "192.0.2.2")}}
	writes := databases{instance: &rdstypes.DBInstance{DBInstanceStatus: aws.String("available")}}
	weigh := func(set string, weight int) Record {
		return Record{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: set, Weight: aws.Int(weight)}
	}
	swap := func(records ...Record) SwapParameters { return SwapParameters{Records: records} }
	required := swap(weigh("east", 0), weigh("west", 100))
	required.Requires = []string{"rds-instance/orders"}
	for _, tt := range []struct {
		name string
		p    SwapParameters
		want action.Verdict
	}{
		{"nothing", swap(weigh("east", 0), weigh("west", 100)), action.VerdictWarning},
		{"a database", required, action.VerdictReady},
		{"nothing moves", swap(Record{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: "west", TTL: aws.Int(10)}), action.VerdictReady},
		{"it has moved", swap(weigh("east", 100)), action.VerdictDone},
	} {
		ready, err := Swap{Route53: z, Databases: writes}.Preflight(t.Context(), request(tt.p, action.Drive{}))
		if err != nil || ready.Verdict() != tt.want {
			t.Errorf("swap, %s: %+v, %v, want %s", tt.name, ready, err, tt.want)
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*ShiftParameters)
		want   action.Verdict
	}{
		{"nothing", func(*ShiftParameters) {}, action.VerdictWarning},
		{"a database", func(p *ShiftParameters) { p.Requires = []string{"rds-instance/orders"} }, action.VerdictReady},
		{"a probe", func(p *ShiftParameters) { p.Probe = "https://a.example" }, action.VerdictReady},
		{"it has moved", func(p *ShiftParameters) { p.SetIdentifier = "east" }, action.VerdictDone},
	} {
		p := ShiftParameters{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: "west", Steps: []string{"10", "100"}}
		tt.change(&p)
		ready, err := Shift{Route53: z, Databases: writes, Prober: serving{}}.Preflight(t.Context(), action.Request[ShiftParameters]{Run: action.Run{Region: "us-west-2"}, Parameters: p, Now: noon})
		if err != nil || ready.Verdict() != tt.want {
			t.Errorf("shift, %s: %+v, %v, want %s", tt.name, ready, err, tt.want)
		}
	}
}

// A shift to a set that leads to the wrong side moves nothing.
func TestAShiftToAnotherSideIsRefused(t *testing.T) {
	const east, west = "shop-1.us-east-1.elb.amazonaws.com", "shop-1.us-west-2.elb.amazonaws.com"
	for target, refused := range map[string]bool{east: true, west: false} {
		z := &zones{page: 300, sets: []types.ResourceRecordSet{weighted("www.example", "a", 100, "192.0.2.1"), aliased(weighted("www.example", "b", 0, ""), "ZELB", target)}}
		p := ShiftParameters{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: "b", Steps: []string{"100"}, Requires: []string{"rds-instance/orders"}}
		shift := Shift{Route53: z, Databases: databases{instance: &rdstypes.DBInstance{DBInstanceStatus: aws.String("available")}}}
		req := action.Request[ShiftParameters]{Run: action.Run{ID: "run-1", Region: "us-west-2"}, Parameters: p, Now: noon,
			Drive: action.Drive{Changed: action.ChangeNo, Memo: map[string]string{memoFirst: `{"a":100,"b":0}`, memoFailures: "2", memoUnmet: noon.Add(-unmetTime).Format(time.RFC3339)}}}
		ready, err := shift.Preflight(t.Context(), req)
		if err != nil || (ready.Verdict() == action.VerdictBlocked) != refused {
			t.Errorf("%s: plan %+v, %v", target, ready, err)
		}
		progress, err := shift.Reconcile(t.Context(), req)
		if err != nil || (len(z.changes) == 0) != refused || strings.Contains(progress.Memo[memoBack], "in us-east-1") != refused {
			t.Errorf("%s: %d calls, memo %v, %v", target, len(z.changes), progress.Memo, err)
		}
	}
}
