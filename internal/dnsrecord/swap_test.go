package dnsrecord

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/payload"
	"dr-orchestrator/internal/succession"
)

func TestDecide(t *testing.T) {
	now := simple("db.example", "CNAME", "old.example")
	to := simple("db.example", "CNAME", "new.example")
	idle := batch{zone: "Z1", step: "Z1/0 ", changes: []change{{before: now, after: to}}, names: []name{{before: []types.ResourceRecordSet{now}}}}
	done := batch{zone: "Z1", step: "Z1/0 ", changes: []change{{before: to, after: to}}, names: []name{{before: []types.ResourceRecordSet{to}}}}
	refused := batch{zone: "Z1", step: "Z1/0 ", faults: []error{action.Errorf(action.NotFound, "it is not there")}}
	long, short := noon.Add(-10*time.Minute), noon.Add(-10*time.Second)
	asked := func(at time.Time) action.Asked { return action.Asked{Requested: at, Now: noon} }
	pending, synced, gone := statusPending, statusInSync, statusGone
	for _, tt := range []struct {
		name   string
		batch  batch
		note   note
		status *string
		move   action.Move
		state  action.State
		class  action.Class
	}{
		{"fault", refused, note{}, nil, action.MoveFail, action.StateReady, action.NotFound},
		{"idle", idle, note{fresh: true}, nil, action.MoveAct, action.StateReady, ""},
		{"idle as first seen", idle, note{seen: idle.digest()}, nil, action.MoveAct, action.StateReady, ""},
		{"someone else's change", idle, note{seen: "other"}, nil, action.MoveFail, action.StateReady, action.Refused},
		{"wanted when first seen, not now", idle, note{seen: seenWanted}, nil, action.MoveFail, action.StateReady, action.Refused},
		{"changed after our change", idle, note{seen: "other", asked: asked(short)}, nil, action.MoveFail, action.StateUnderWay, action.Conflict},
		{"call without an answer", idle, note{asked: action.Asked{Unsure: true, Now: noon}}, nil, action.MoveWait, action.StateReady, ""},
		{"asked, not visible", idle, note{seen: idle.digest(), change: "C1", asked: asked(short)}, nil, action.MoveLook, action.StateUnknown, ""},
		{"asked, not visible, pending", idle, note{seen: idle.digest(), change: "C1", asked: asked(short)}, &pending, action.MoveWait, action.StateUnderWay, ""},
		{"asked, never visible", idle, note{seen: idle.digest(), change: "C1", asked: action.Asked{Requested: long, IdleSince: long, Now: noon}}, &synced, action.MoveFail, action.StateReady, action.Terminal},
		{"asked, lost by Route 53", idle, note{seen: idle.digest(), change: "C1", asked: asked(long)}, &gone, action.MoveAct, action.StateReady, ""},
		{"asked just now, not known yet", idle, note{seen: idle.digest(), change: "C1", asked: asked(short)}, &gone, action.MoveWait, action.StateUnderWay, ""},
		{"as wanted before", done, note{seen: seenWanted, asked: asked(time.Time{})}, nil, action.MoveWait, action.StateUnderWay, ""},
		{"as wanted long before", done, note{seen: seenWanted, since: noon.Add(-propagation), asked: asked(time.Time{})}, nil, action.MoveFinish, action.StateDone, ""},
		{"spreading", done, note{change: "C1", asked: asked(short)}, nil, action.MoveLook, action.StateUnknown, ""},
		{"pending", done, note{change: "C1", asked: asked(short)}, &pending, action.MoveWait, action.StateUnderWay, ""},
		{"in sync", done, note{change: "C1", asked: asked(short)}, &synced, action.MoveFinish, action.StateDone, ""},
		{"in sync before", done, note{change: "C1", synced: true, asked: asked(short)}, nil, action.MoveFinish, action.StateDone, ""},
		{"a status nobody knows", done, note{change: "C1"}, aws.String("ODD"), action.MoveWait, action.StateUnderWay, ""},
		{"id lost", done, note{asked: asked(short)}, nil, action.MoveWait, action.StateUnderWay, ""},
		{"id lost, spreading", done, note{since: noon.Add(1 - propagation), asked: asked(short)}, nil, action.MoveWait, action.StateUnderWay, ""},
		{"id lost, time over", done, note{since: noon.Add(-propagation), asked: asked(long)}, nil, action.MoveFinish, action.StateDone, ""},
		{"id unknown to Route 53, time over", done, note{change: "C1", since: noon.Add(-propagation), asked: asked(long)}, &gone, action.MoveFinish, action.StateDone, ""},
		{"id unknown to Route 53", done, note{change: "C1", asked: asked(short)}, &gone, action.MoveWait, action.StateUnderWay, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := decide(tt.batch, tt.note, tt.status)
			if d.Move != tt.move || d.State != tt.state || d.Class != tt.class {
				t.Errorf("%v %s %s (%s), want %v %s %s", d.Move, d.State, d.Class, d.Reason, tt.move, tt.state, tt.class)
			}
		})
	}
}

func TestSumActsBeforeItWaitsAndFailsBeforeItActs(t *testing.T) {
	finish, act := action.Finish("", ""), action.Act("a", "")
	wait, fail := action.Wait(action.StateBusy, "", ""), action.Fail(action.Refused, action.StateReady, "", "no")
	for _, tt := range []struct {
		in   []action.Decision
		at   int
		move action.Move
	}{
		{[]action.Decision{finish, finish}, 0, action.MoveFinish},
		{[]action.Decision{finish, wait}, 1, action.MoveWait},
		{[]action.Decision{wait, act, act}, 1, action.MoveAct},
		{[]action.Decision{wait, act, fail}, 2, action.MoveFail},
	} {
		if at, d := sum(tt.in); at != tt.at || d.Move != tt.move {
			t.Errorf("%v: %d %v, want %d %v", tt.in, at, d.Move, tt.at, tt.move)
		}
	}
}

func TestBatchesKeepToTheLimitsAndSetsOfANameTogether(t *testing.T) {
	for _, tt := range []struct {
		name           string
		records, bytes int
		want           []int
	}{
		{"at the limit of values", 500, 10, []int{500}},
		{"over it", 501, 10, []int{500, 1}},
		{"at the limit of characters", 160, 100, []int{160}},
		{"over it", 161, 100, []int{160, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sets := found{}
			var records []Record
			for i := range tt.records {
				name := fmt.Sprintf("n%d.example", i)
				records = append(records, Record{Zone: "Z1", Name: name, Type: "TXT", Values: []string{strings.Repeat("x", tt.bytes)}})
				sets[records[i].group()] = []types.ResourceRecordSet{simple(name, "TXT", "old")}
			}
			var got []int
			steps := map[string]bool{}
			for _, b := range batches(records, sets) {
				got = append(got, len(b.changes))
				steps[b.step] = true
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || len(steps) != len(got) {
				t.Errorf("batches (-want +got):\n%s with steps %v", diff, steps)
			}
		})
	}
	// The two sets of a name stand at both ends of the payload.
	sets := found{{"Z1", "w.example.", "A"}: {weighted("w.example", "a", 1, "192.0.2.1"), weighted("w.example", "b", 0, "192.0.2.2")}}
	records := []Record{{Zone: "Z1", Name: "w.example", Type: "A", SetIdentifier: "a", Weight: aws.Int(0)}}
	for i := range 499 {
		name := fmt.Sprintf("n%d.example", i)
		records = append(records, Record{Zone: "Z1", Name: name, Type: "A", Values: []string{"192.0.2.9"}})
		sets[records[i+1].group()] = []types.ResourceRecordSet{simple(name, "A", "192.0.2.8")}
	}
	records = append(records, Record{Zone: "Z1", Name: "w.example", Type: "A", SetIdentifier: "b", Weight: aws.Int(1)})
	all := batches(records, sets)
	if len(all) != 2 || len(all[0].changes) != 500 || all[0].changes[1].record.SetIdentifier != "b" {
		t.Errorf("%d batches, the first of %d", len(all), len(all[0].changes))
	}
}

// The sets of a name go into one call or into none: more of them than Route 53
// takes are refused while nothing is changed yet.
func TestANameThatIsTooLargeForOneCallIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		sets, changed, bytes int
		refused              bool
	}{
		{"500 values", 100, 100, 10, false}, {"505 values", 101, 101, 10, true}, {"16,000 characters", 32, 32, 100, false}, {"16,500 characters", 33, 33, 100, true},
		{"505 values, of which 5 change", 101, 1, 10, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := group{"Z1", "w.example.", "TXT"}
			sets := found{}
			var records []Record
			for i := range tt.sets {
				var values []string
				for n := range 5 {
					values = append(values, fmt.Sprintf("%0*d", tt.bytes, n))
				}
				s := simple("w.example", "TXT", values...)
				s.SetIdentifier, s.Weight = aws.String(fmt.Sprint(i)), aws.Int64(1)
				weight := 1
				if i < tt.changed {
					weight = 2
				}
				sets[g] = append(sets[g], s)
				records = append(records, Record{Zone: "Z1", Name: "w.example", Type: "TXT", SetIdentifier: fmt.Sprint(i), Weight: aws.Int(weight)})
			}
			var faults []error
			for _, b := range batches(records, sets) {
				faults = append(faults, b.faults...)
			}
			if refused := len(faults) == 1 && action.ClassOf(faults[0]) == action.Refused; refused != tt.refused {
				t.Errorf("%v", faults)
			}
		})
	}
}

// A health check is asked for once, and of very many the first are.
func TestPreflightAsksForHealthChecks(t *testing.T) {
	for _, tt := range []struct {
		name          string
		checks, asked int
		id            string
		verdict       action.Verdict
	}{{"there", 1, 1, "hc", action.VerdictReady}, {"gone", 1, 1, "gone", action.VerdictBlocked}, {"many", maxChecks + 5, maxChecks, "", action.VerdictReady}} {
		t.Run(tt.name, func(t *testing.T) {
			z := &zones{page: 300}
			var p SwapParameters
			for i := range tt.checks {
				id := fmt.Sprint("hc-", i)
				if tt.id != "" {
					id = tt.id
				}
				for _, name := range []string{"a", "b"} {
					name = fmt.Sprintf("n%02d.%s.example", i, name)
					p.Records = append(p.Records, Record{Zone: "Z1", Name: name, Type: "A", HealthCheck: id})
					z.sets = append(z.sets, simple(name, "A", "192.0.2.1"))
				}
			}
			slices.SortFunc(z.sets, func(a, b types.ResourceRecordSet) int { return slices.Compare(labels(*a.Name), labels(*b.Name)) })
			ready, err := Swap{Route53: z}.Preflight(t.Context(), request(p, action.Drive{}))
			_, left := ready.Evidence["healthChecksNotAsked"]
			if err != nil || ready.Verdict() != tt.verdict || z.asked != tt.asked || left != (tt.checks > maxChecks) {
				t.Errorf("%s, %d asked, %v: %+v", ready.Verdict(), z.asked, err, ready.Findings)
			}
		})
	}
}

func TestFindReadsWholeGroupsWithFewCalls(t *testing.T) {
	z := &zones{page: 3}
	for i := range 4 {
		z.sets = append(z.sets, simple(fmt.Sprintf("a%d.example", i), "A", "192.0.2.1"))
	}
	for i := range 5 {
		z.sets = append(z.sets, weighted("w.example", fmt.Sprint(i), 1, "192.0.2.1"))
	}
	z.sets = append(z.sets, simple("x.example", "A", "192.0.2.1"))
	g := func(name string) group { return group{"Z1", name + ".example.", "A"} }
	for _, tt := range []struct {
		groups []group
		want   map[string]int
		calls  int
	}{
		{[]group{g("a0")}, map[string]int{"a0": 1}, 1},
		{[]group{g("a0"), g("a2")}, map[string]int{"a0": 1, "a2": 1}, 1},
		{[]group{g("a3"), g("w")}, map[string]int{"a3": 1, "w": 5}, 3},
		{[]group{g("w"), g("x")}, map[string]int{"w": 5, "x": 1}, 2},
		{[]group{g("a1x"), g("a2")}, map[string]int{"a1x": 0, "a2": 1}, 1},
		{[]group{g("z")}, map[string]int{"z": 0}, 1},
	} {
		z.lists = 0
		got, err := find(t.Context(), z, tt.groups)
		if err != nil {
			t.Fatal(err)
		}
		for name, n := range tt.want {
			if len(got[g(name)]) != n {
				t.Errorf("%v: %d sets of %s, want %d", tt.groups, len(got[g(name)]), name, n)
			}
		}
		if z.lists != tt.calls {
			t.Errorf("%v: %d calls, want %d", tt.groups, z.lists, tt.calls)
		}
	}
}

func TestCheckOfARecord(t *testing.T) {
	yes := true
	for _, tt := range []struct {
		name   string
		record Record
		want   string // empty: right
	}{
		{"values", Record{Type: "CNAME", Values: []string{"a.example"}}, ""},
		{"nothing", Record{Type: "A", Expect: []string{"192.0.2.1"}}, "nothing is to change"},
		{"two values of a CNAME", Record{Type: "CNAME", Values: []string{"a.example", "b.example"}}, "one value"},
		{"a value twice", Record{Type: "AAAA", Values: []string{"2001:db8::1", "2001:DB8:0::1"}}, "stands twice"},
		{"two values", Record{Type: "AAAA", Values: []string{"2001:db8::1", "2001:db8::2"}}, ""},
		{"CNAME with a space", Record{Type: "CNAME", Values: []string{"a .example"}}, "no DNS name"},
		{"CNAME of nothing", Record{Type: "CNAME", Values: []string{""}}, "no DNS name"},
		{"CNAME with a final dot", Record{Type: "CNAME", Values: []string{"_a.example."}}, ""},
		{"CNAME to its own name", Record{Type: "CNAME", Values: []string{"WWW.example."}}, "its own name"},
		{"text", Record{Type: "TXT", Values: []string{`"a b" "c\"d"`}}, ""},
		{"text without quotation marks", Record{Type: "TXT", Values: []string{"a b"}}, "no text in quotation marks"},
		{"text that does not end", Record{Type: "SPF", Values: []string{`"a"b"`}}, "no text in quotation marks"},
		{"longest text", Record{Type: "TXT", Values: []string{`"` + strings.Repeat("x", 255) + `"`}}, ""},
		{"text too long", Record{Type: "TXT", Values: []string{`"` + strings.Repeat("x", 256) + `"`}}, "no text in quotation marks"},
		{"alias", Record{Type: "A", AliasTarget: "a.example", AliasZone: "Z1", EvaluateTargetHealth: &yes}, ""},
		{"alias and values", Record{Type: "A", AliasTarget: "a.example", Values: []string{"192.0.2.1"}}, "values and be an alias"},
		{"alias and TTL", Record{Type: "A", AliasTarget: "a.example", TTL: aws.Int(1)}, "TTL of its target"},
		{"weight", Record{Type: "A", SetIdentifier: "a", Weight: aws.Int(0)}, ""},
		{"weight of no set", Record{Type: "A", Weight: aws.Int(0)}, "no SetIdentifier"},
		{"two policies", Record{Type: "A", SetIdentifier: "a", Weight: aws.Int(0), Region: "us-west-2"}, "several routing policies"},
		{"IPv4", Record{Type: "A", Values: []string{"192.0.2.1"}}, ""},
		{"no IPv4", Record{Type: "A", Values: []string{"2001:db8::1"}}, "no IPv4"},
		{"IPv6", Record{Type: "AAAA", Values: []string{"2001:db8::1"}}, ""},
		{"no IPv6", Record{Type: "AAAA", Values: []string{"192.0.2.1"}}, "no IPv6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.record.Zone, tt.record.Name = "Z1", "www.example"
			issues := SwapParameters{Records: []Record{tt.record}}.Check()
			if tt.want == "" && len(issues) == 0 {
				return
			}
			if len(issues) != 1 || tt.want == "" || !strings.Contains(issues[0].Message, tt.want) || !strings.HasPrefix(issues[0].Parameter, "Records/0/") {
				t.Errorf("%+v, want %q", issues, tt.want)
			}
		})
	}
}

// The sets of a name are one thing: two entries that each change one of them
// must not stand beside each other.
func TestIdentitiesTellNamesApartAndLockThoseWithAPolicy(t *testing.T) {
	p := SwapParameters{Records: []Record{
		{Zone: "Z1", Name: "b.example", Type: "A"}, {Zone: "Z1", Name: "A.example.", Type: "A"}, {Zone: "Z2", Name: "b.example", Type: "A", SetIdentifier: "s"},
		{Zone: "Z2", Name: "c.example", Type: "A"}, {Zone: "Z2", Name: "w.example", Type: "A", SetIdentifier: "s"}, {Zone: "Z2", Name: "w.example", Type: "A", SetIdentifier: "t"},
	}}
	identified := func(ids []payload.Identity) (all, locked []string) {
		for _, id := range ids {
			all = append(all, id.Name)
			if id.Locked {
				locked = append(locked, id.Name)
			}
		}
		return all, locked
	}
	all, locked := identified(p.Identities())
	if diff := cmp.Diff([]string{"dns-record/Z1/b.example. A", "dns-record/Z1/a.example. A", "dns-record/Z2/b.example. A", "dns-record/Z2/c.example. A", "dns-record/Z2/w.example. A"}, all); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"dns-record/Z1/a.example. A", "dns-record/Z2/b.example. A", "dns-record/Z2/w.example. A"}, locked); diff != "" {
		t.Error(diff)
	}
	shift, _ := identified(ShiftParameters{Zone: "Z2", Name: "W.example", Type: "A", SetIdentifier: "u"}.Identities())
	if shift[0] != all[4] {
		t.Errorf("a shift of the same name is %q, want %q", shift[0], all[4])
	}
	// Of many names some are locked.
	for i := range 3 * maxLocked {
		p.Records = append(p.Records, Record{Zone: "Z3", Name: fmt.Sprintf("n%02d.example", i), Type: "A", SetIdentifier: "s"})
	}
	if _, locked := identified(p.Identities()); len(locked) != maxLocked+1 {
		t.Errorf("%d names are locked", len(locked))
	}
}

func TestARecordSetStandsOnceInAnEntry(t *testing.T) {
	weight := func(name, set string, weight int) Record {
		return Record{Zone: "Z1", Name: name, Type: "A", SetIdentifier: set, Weight: aws.Int(weight)}
	}
	if issues := (SwapParameters{Records: []Record{weight("w.example", "a", 0), weight("w.example", "b", 1)}}).Check(); len(issues) != 0 {
		t.Errorf("two sets of a name: %v", issues)
	}
	issues := SwapParameters{Records: []Record{weight("w.example", "a", 0), weight("W.example.", "a", 1)}}.Check()
	if len(issues) != 1 || issues[0].Parameter != "Records/1/Name" || !strings.Contains(issues[0].Message, "names already") {
		t.Errorf("the same set twice: %v", issues)
	}
}

func TestReconcileMakesOneCallAndKeepsItsID(t *testing.T) {
	p := SwapParameters{Records: []Record{{Zone: "Z1", Name: "db.example", Type: "CNAME", Values: []string{"new.example"}}}}
	for _, tt := range []struct {
		name   string
		change error
		class  action.Class
		memo   string
	}{
		{"taken", nil, "", "C1"},
		{"throttled", coded("Throttling"), action.Throttled, ""},
		{"another change is worked on", coded("PriorRequestNotComplete"), action.Queued, ""},
		{"no answer", coded("InternalFailure"), action.OutcomeUnknown, ""},
		{"denied", coded("AccessDenied"), action.Denied, ""},
		{"refused by Route 53, which may have been shown an old state", &types.InvalidChangeBatch{Messages: []string{"it breaks"}}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z := &zones{page: 300, change: tt.change, sets: []types.ResourceRecordSet{simple("db.example", "CNAME", "old.example")}}
			progress, err := Swap{Route53: z}.Reconcile(t.Context(), request(p, action.Drive{}))
			if len(z.changes) != 1 || (err == nil) != (tt.class == "") || err != nil && action.ClassOf(err) != tt.class {
				t.Fatalf("%d calls, %v, want %q", len(z.changes), err, tt.class)
			}
			if progress.Memo["Z1/0 change"] != tt.memo || progress.Changed != (tt.memo != "") {
				t.Errorf("memo %v, changed %v", progress.Memo, progress.Changed)
			}
			if _, invalid := tt.change.(*types.InvalidChangeBatch); invalid && !strings.Contains(progress.Message, "it breaks") {
				t.Errorf("%q does not say why", progress.Message)
			}
		})
	}
}

// databases answers with one instance, cluster and global cluster.
type databases struct {
	instance *rdstypes.DBInstance
	cluster  *rdstypes.DBCluster
	global   *rdstypes.GlobalCluster
	err      error
}

func (d databases) DescribeDBInstances(context.Context, *rds.DescribeDBInstancesInput, ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error) {
	out := &rds.DescribeDBInstancesOutput{}
	if d.instance != nil {
		out.DBInstances = append(out.DBInstances, *d.instance)
	}
	return out, d.err
}

func (d databases) DescribeDBClusters(context.Context, *rds.DescribeDBClustersInput, ...func(*rds.Options)) (*rds.DescribeDBClustersOutput, error) {
	out := &rds.DescribeDBClustersOutput{}
	if d.cluster != nil {
		out.DBClusters = append(out.DBClusters, *d.cluster)
	}
	return out, d.err
}

func (d databases) DescribeGlobalClusters(context.Context, *rds.DescribeGlobalClustersInput, ...func(*rds.Options)) (*rds.DescribeGlobalClustersOutput, error) {
	out := &rds.DescribeGlobalClustersOutput{}
	if d.global != nil {
		out.GlobalClusters = append(out.GlobalClusters, *d.global)
	}
	return out, d.err
}

func clusterIn(region string) *rdstypes.DBCluster {
	return &rdstypes.DBCluster{
		DBClusterArn: aws.String("arn:aws:rds:" + region + ":111122223333:cluster:c"), Status: aws.String("available"),
		DBClusterMembers: []rdstypes.DBClusterMember{{DBInstanceIdentifier: aws.String("i"), IsClusterWriter: aws.Bool(true)}, {DBInstanceIdentifier: aws.String("j")}},
	}
}

func TestRequires(t *testing.T) {
	instance := func(change func(*rdstypes.DBInstance)) databases {
		i := &rdstypes.DBInstance{DBInstanceStatus: aws.String("available")}
		change(i)
		return databases{instance: i}
	}
	global := func(writer, status string, to *string) databases {
		g := &rdstypes.GlobalCluster{Status: aws.String(status), GlobalClusterMembers: []rdstypes.GlobalClusterMember{
			{DBClusterArn: aws.String("arn:aws:rds:eu-west-1:111122223333:cluster:other")},
			{DBClusterArn: aws.String("arn:aws:rds:" + writer + ":111122223333:cluster:c"), IsWriter: aws.Bool(writer != "")},
		}}
		if to != nil {
			g.FailoverState = &rdstypes.FailoverState{Status: "failing-over", ToDbClusterArn: to}
		}
		return databases{global: g, cluster: clusterIn("us-west-2"), instance: &rdstypes.DBInstance{DBInstanceStatus: aws.String("available")}}
	}
	// with is a database in which something of it is otherwise.
	with := func(d databases, change func(d *databases)) databases {
		change(&d)
		return d
	}
	alone := databases{cluster: clusterIn("us-west-2"), instance: &rdstypes.DBInstance{DBInstanceStatus: aws.String("available")}}
	member := func(writer string) databases {
		return with(global(writer, "available", nil), func(d *databases) { d.cluster.GlobalClusterIdentifier = aws.String("g") })
	}
	shut := func(word string) []rdstypes.Tag {
		return []rdstypes.Tag{{Key: aws.String(succession.FenceTag), Value: aws.String(word)}}
	}
	rebooting := func(d *databases) { d.instance.DBInstanceStatus = aws.String("rebooting") }
	stopped := func(d *databases) { d.cluster.Status = aws.String("stopped") }
	headless := func(d *databases) { d.cluster.DBClusterMembers = nil }
	readers := func(d *databases) { d.cluster.DBClusterMembers[0].IsClusterWriter = aws.Bool(false) }
	for _, tt := range []struct {
		name, requirement string
		api               databases
		want              string // empty: it holds
		class             action.Class
	}{
		{"instance writes", "rds-instance/i", instance(func(*rdstypes.DBInstance) {}), "", ""},
		{"instance backs up", "rds-instance/i", instance(func(i *rdstypes.DBInstance) { i.DBInstanceStatus = aws.String("backing-up") }), "", ""},
		{"instance reboots", "rds-instance/i", instance(func(i *rdstypes.DBInstance) { i.DBInstanceStatus = aws.String("rebooting") }), "is rebooting", ""},
		{"instance is fenced", "rds-instance/i", instance(func(i *rdstypes.DBInstance) { i.TagList = shut(succession.FenceComplete) }), "is fenced", ""},
		{"instance was fenced, and given back", "rds-instance/i", instance(func(i *rdstypes.DBInstance) { i.TagList = shut(succession.FenceReleased) }), "", ""},
		{"instance replicates", "rds-instance/i", instance(func(i *rdstypes.DBInstance) { i.ReadReplicaSourceDBInstanceIdentifier = aws.String("s") }), "is a replica", ""},
		{"instance replicates a cluster", "rds-instance/i", instance(func(i *rdstypes.DBInstance) { i.ReadReplicaSourceDBClusterIdentifier = aws.String("s") }), "is a replica", ""},
		{"instance detaches", "rds-instance/i", instance(func(i *rdstypes.DBInstance) {
			i.StatusInfos = []rdstypes.DBInstanceStatusInfo{{StatusType: aws.String("read replication")}}
		}), "still replicates", ""},
		{"instance of a cluster", "rds-instance/i", instance(func(i *rdstypes.DBInstance) { i.DBClusterIdentifier = aws.String("c") }), "member of the cluster", ""},
		{"no instance", "rds-instance/i", databases{}, "", action.NotFound},
		{"instance not asked", "rds-instance/i", databases{err: coded("InternalFailure")}, "", action.Unreachable},
		{"writer here", "global-cluster/g", global("us-west-2", "available", nil), "", ""},
		{"writer elsewhere", "global-cluster/g", global("us-east-1", "available", nil), "has its writer at", ""},
		{"no writer", "global-cluster/g", global("", "available", nil), "has no writer", ""},
		{"failing over", "global-cluster/g", global("us-west-2", "available", aws.String("arn")), "is failing-over", ""},
		{"modifying", "global-cluster/g", global("us-west-2", "modifying", nil), "is modifying", ""},
		{"cluster of the writer stopped", "global-cluster/g", with(global("us-west-2", "available", nil), stopped), "is stopped", ""},
		{"writer here without an instance", "global-cluster/g", with(global("us-west-2", "available", nil), headless), "no instance that writes", ""},
		{"writer here reboots", "global-cluster/g", with(global("us-west-2", "available", nil), rebooting), "which is rebooting", ""},
		{"cluster alone", "rds-cluster/c", alone, "", ""},
		{"cluster is fenced", "rds-cluster/c", with(databases{cluster: clusterIn("us-west-2"), instance: alone.instance}, func(d *databases) { d.cluster.TagList = shut(succession.FenceBegun) }), "is fenced", ""},
		{"cluster backs up", "rds-cluster/c", with(databases{cluster: clusterIn("us-west-2"), instance: alone.instance}, func(d *databases) { d.cluster.Status = aws.String("backing-up") }), "", ""},
		{"cluster stopped", "rds-cluster/c", with(databases{cluster: clusterIn("us-west-2"), instance: alone.instance}, stopped), "is stopped", ""},
		{"cluster of readers", "rds-cluster/c", with(databases{cluster: clusterIn("us-west-2"), instance: alone.instance}, readers), "no instance that writes", ""},
		{"cluster whose writer reboots", "rds-cluster/c", with(databases{cluster: clusterIn("us-west-2"), instance: &rdstypes.DBInstance{}}, rebooting), "which is rebooting", ""},
		{"cluster replicates", "rds-cluster/c", with(databases{cluster: clusterIn("us-west-2"), instance: alone.instance}, func(d *databases) { d.cluster.ReplicationSourceIdentifier = aws.String("arn") }), "replicates from", ""},
		{"cluster is the writer", "rds-cluster/c", member("us-west-2"), "", ""},
		{"cluster is a member that reads", "rds-cluster/c", member("us-east-1"), "read-only member", ""},
		{"its global cluster fails over", "rds-cluster/c", with(global("us-west-2", "available", aws.String("arn")), func(d *databases) { d.cluster.GlobalClusterIdentifier = aws.String("g") }), "is failing-over", ""},
		{"no cluster", "rds-cluster/c", databases{}, "", action.NotFound},
		{"no instance of the cluster", "rds-cluster/c", databases{cluster: clusterIn("us-west-2")}, "", action.NotFound},
		{"no global cluster", "global-cluster/g", databases{}, "", action.NotFound},
		{"global cluster not asked", "global-cluster/g", databases{err: coded("InternalFailure")}, "", action.Unreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := SwapParameters{Requires: []string{tt.requirement}, Records: []Record{{Zone: "Z1", Name: "db.example", Type: "CNAME", Values: []string{"new.example"}}}}
			// Long enough since it first did not hold, so that it is believed.
			drive := action.Drive{Memo: map[string]string{memoUnmet: noon.Add(-unmetTime).Format(time.RFC3339)}}
			z := &zones{page: 300, sets: []types.ResourceRecordSet{simple("db.example", "CNAME", "old.example")}}
			_, err := Swap{Route53: z, Databases: tt.api, Ask: unheard}.Reconcile(t.Context(), request(p, drive))
			class := tt.class
			if tt.want != "" {
				class = action.Refused
			}
			switch {
			case class == "" && (err != nil || len(z.changes) != 1):
				t.Errorf("%d calls, %v, want one", len(z.changes), err)
			case class != "" && (action.ClassOf(err) != class || len(z.changes) != 0 || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("%d calls, %v, want %s and none", len(z.changes), err, class)
			}
			if tt.want == "" {
				return
			}
			// The first time it is looked at once more.
			progress, err := Swap{Route53: z, Databases: tt.api, Ask: unheard}.Reconcile(t.Context(), request(p, action.Drive{}))
			if err != nil || progress.Memo[memoUnmet] == "" || len(z.changes) != 0 {
				t.Errorf("at first: %v, memo %v, %d calls", err, progress.Memo, len(z.changes))
			}
		})
	}
}

// A run does not end as a success with records that lead to a side that does not
// take writes, whoever brought them there.
func TestRequiresHoldsAtTheEnd(t *testing.T) {
	p := SwapParameters{Requires: []string{"rds-instance/i"}, Records: []Record{{Zone: "Z1", Name: "db.example", Type: "CNAME", Values: []string{"new.example"}}}}
	z := &zones{page: 300, status: types.ChangeStatusInsync, sets: []types.ResourceRecordSet{simple("db.example", "CNAME", "new.example")}}
	writer, replica := databases{instance: &rdstypes.DBInstance{DBInstanceStatus: aws.String("available")}}, databases{instance: &rdstypes.DBInstance{ReadReplicaSourceDBInstanceIdentifier: aws.String("s")}}
	since := func(d time.Duration, more map[string]string) map[string]string {
		memo := map[string]string{memoUnmet: noon.Add(-d).Format(time.RFC3339)}
		maps.Copy(memo, more)
		return memo
	}
	before := map[string]string{"Z1/0 seen": seenWanted, "Z1/0 since": noon.Add(-propagation).Format(time.RFC3339)}
	ours := map[string]string{"Z1/0 change": "C1", "Z1/0 seen": "before", "Z1/0 requestedAt": noon.Add(-time.Minute).Format(time.RFC3339)}
	for _, tt := range []struct {
		name   string
		api    databases
		drive  action.Drive
		status action.Status
		class  action.Class
	}{
		{"as wanted before, writes", writer, action.Drive{Memo: before}, action.Done, ""},
		{"as wanted before, a replica at first", replica, action.Drive{Memo: before}, action.InProgress, ""},
		{"as wanted before, still a replica", replica, action.Drive{Memo: since(unmetTime, before)}, "", action.Refused},
		{"changed by this run, writes", writer, action.Drive{Changed: action.ChangeYes, Memo: ours}, action.Done, ""},
		{"changed by this run, no longer writes", replica, action.Drive{Changed: action.ChangeYes, Memo: since(lateTime-time.Second, ours)}, action.InProgress, ""},
		{"changed by this run, writes no more", replica, action.Drive{Changed: action.ChangeYes, Memo: since(lateTime, ours)}, "", action.Terminal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			progress, err := Swap{Route53: z, Databases: tt.api, Ask: unheard}.Reconcile(t.Context(), request(p, tt.drive))
			if (err == nil) != (tt.class == "") || err == nil && progress.Status != tt.status || err != nil && action.ClassOf(err) != tt.class || len(z.changes) > 0 {
				t.Errorf("%s, %v, want %s, %s", progress.Status, err, tt.status, tt.class)
			}
			if tt.drive.Memo["Z1/0 change"] != "" && err == nil && progress.Memo["Z1/0 synced"] == "" {
				t.Errorf("that the change is in sync is not noted: %v", progress.Memo)
			}
		})
	}
	for verdict, api := range map[action.Verdict]databases{action.VerdictDone: writer, action.VerdictWarning: replica} {
		ready, err := Swap{Route53: z, Databases: api}.Preflight(t.Context(), request(p, action.Drive{}))
		if err != nil || ready.Verdict() != verdict || ready.Observed != action.StateDone {
			t.Errorf("plan: %+v, %v, want %s", ready, err, verdict)
		}
	}
}

// What has come to read as wanted since the plan may have been brought there by an
// earlier try of the layer: the run does not say that nothing was changed.
func TestWhatCameSinceThePlanMayBeOurs(t *testing.T) {
	p := SwapParameters{Requires: []string{"rds-instance/i"}, Records: []Record{{Zone: "Z1", Name: "db.example", Type: "CNAME", Values: []string{"new.example"}}}}
	z := func(value string) *zones {
		return &zones{page: 300, sets: []types.ResourceRecordSet{simple("db.example", "CNAME", value)}}
	}
	replica := databases{instance: &rdstypes.DBInstance{ReadReplicaSourceDBInstanceIdentifier: aws.String("s")}}
	for before, class := range map[string]action.Class{"old.example": action.Terminal, "new.example": action.Refused, "": action.Refused} {
		req := request(p, action.Drive{})
		ready, err := Swap{Route53: z(before), Databases: replica}.Preflight(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if before != "" { // else the plan left no note
			req.Resource.Seen = ready.Seen
		}
		first, err := Swap{Route53: z("new.example"), Databases: replica}.Reconcile(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		req.Drive.Memo = first.Memo
		req.Drive.Memo["Z1/0 since"], req.Drive.Memo[memoUnmet] = noon.Add(-propagation).Format(time.RFC3339), noon.Add(-lateTime).Format(time.RFC3339)
		if progress, err := (Swap{Route53: z("new.example"), Databases: replica}).Reconcile(t.Context(), req); action.ClassOf(err) != class {
			t.Errorf("%s: %s, %v, want %s", before, progress.Status, err, class)
		}
	}
}

// A name server that was silent once is not asked again in the same look.
func TestASilentNameServerIsAskedOnce(t *testing.T) {
	z := &zones{page: 300, sets: []types.ResourceRecordSet{simple("a.example", "A", "192.0.2.1"), simple("b.example", "A", "192.0.2.1")}}
	var all []query
	for _, name := range []string{"a.example.", "b.example."} {
		all = append(all, query{group: group{"Z1", name, "A"}, want: []string{"192.0.2.1"}})
	}
	asked := map[string]int{}
	ask := func(ctx context.Context, server, name, kind string) ([]string, error) {
		asked[server]++
		if server == "ns-1.example" {
			return nil, errSilent
		}
		return []string{"192.0.2.1"}, nil
	}
	h, err := listen(t.Context(), z, ask, all)
	if diff := cmp.Diff(map[string]int{"ns-1.example": 1, "ns-2.example": 2}, asked); err != nil || diff != "" || h.agree != 2 || len(h.silent) != 1 {
		t.Errorf("%+v, %v, asked (-want +got):\n%s", h, err, diff)
	}
}

// Name servers that agree, contradict, or are silent.
func TestCheckNameServers(t *testing.T) {
	p := SwapParameters{CheckNameServers: true, Records: []Record{{Zone: "Z1", Name: "db.example", Type: "A", Values: []string{"192.0.2.1"}}}}
	for _, tt := range []struct {
		name    string
		answers map[string]string
		private bool
		status  action.Status
	}{
		{"both agree", map[string]string{"ns-1.example": "192.0.2.1", "ns-2.example": "192.0.2.1"}, false, action.Done},
		{"one contradicts", map[string]string{"ns-1.example": "192.0.2.1", "ns-2.example": "192.0.2.9"}, false, action.InProgress},
		{"one knows nothing", map[string]string{"ns-1.example": "192.0.2.1", "ns-2.example": ""}, false, action.InProgress},
		{"one is silent", map[string]string{"ns-1.example": "192.0.2.1"}, false, action.Done},
		{"one is silent, one contradicts", map[string]string{"ns-2.example": "192.0.2.9"}, false, action.InProgress},
		{"all are silent", nil, false, action.Done},
		{"private zone", map[string]string{"ns-1.example": "192.0.2.9"}, true, action.Done},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ask := NameServers(func(_ context.Context, server string, query []byte) ([]byte, error) {
				value, ok := tt.answers[server]
				if !ok {
					return nil, errSilent
				}
				return reply(t, query, value), nil
			})
			z := &zones{page: 300, private: tt.private, sets: []types.ResourceRecordSet{simple("db.example", "A", "192.0.2.1")}}
			progress, err := Swap{Route53: z, Ask: ask}.Reconcile(t.Context(), request(p, action.Drive{Memo: map[string]string{"Z1/0 since": noon.Add(-propagation).Format(time.RFC3339)}}))
			if err != nil || progress.Status != tt.status {
				t.Fatalf("%s, %v, want %s", progress.Status, err, tt.status)
			}
			if _, told := progress.Evidence["nameServersUnanswered"]; tt.status == action.Done && told != (len(tt.answers) < 2) {
				t.Errorf("evidence %v", progress.Evidence)
			}
		})
	}
}

// What must be answered to whoever asks, and is asked for: nothing where Route 53
// chooses among sets by who asks or by chance, or fills in what is not in the zone.
// The plan warns of just that.
func TestWhatNameServersAreAskedFor(t *testing.T) {
	www := func(set string) Record {
		return Record{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: set}
	}
	w := func(id string, weight int64) types.ResourceRecordSet {
		return weighted("www.example", id, weight, "192.0.2."+id)
	}
	f := func(id string, role types.ResourceRecordSetFailover) types.ResourceRecordSet {
		return failover("www.example", id, role, "192.0.2."+id)
	}
	latency := simple("www.example", "A", "192.0.2.1")
	latency.SetIdentifier, latency.Region = aws.String("1"), "us-east-1"
	alias := func(zone, target string) types.ResourceRecordSet {
		return aliased(simple("www.example", "A"), zone, target)
	}
	text := simple("www.example", "TXT", `"a"`)
	app := simple("app.example", "A", "192.0.2.7")
	for _, tt := range []struct {
		name   string
		sets   []types.ResourceRecordSet
		record Record
		want   []string
	}{
		{"simple", []types.ResourceRecordSet{simple("www.example", "A", "192.0.2.1")}, www(""), []string{"192.0.2.1"}},
		{"text", []types.ResourceRecordSet{text}, Record{Zone: "Z1", Name: "www.example", Type: "TXT"}, nil},
		{"one weight", []types.ResourceRecordSet{w("1", 0), w("2", 9)}, www("1"), []string{"192.0.2.2"}},
		{"two weights", []types.ResourceRecordSet{w("1", 1), w("2", 9)}, www("1"), nil},
		{"primary", []types.ResourceRecordSet{f("1", "PRIMARY"), f("2", "SECONDARY")}, www("1"), []string{"192.0.2.1"}},
		{"only the secondary is named", []types.ResourceRecordSet{f("1", "PRIMARY"), f("2", "SECONDARY")}, www("2"), nil},
		{"latency", []types.ResourceRecordSet{latency}, www("1"), nil},
		{"alias in the zone", []types.ResourceRecordSet{app, alias("Z1", "app.example")}, www(""), []string{"192.0.2.7"}},
		{"alias of an alias", []types.ResourceRecordSet{app, aliased(simple("b.example", "A"), "Z1", "app.example"), alias("Z1", "b.example")}, www(""), []string{"192.0.2.7"}},
		{"alias of a load balancer", []types.ResourceRecordSet{alias("ZELB", "a.us-east-1.elb.amazonaws.com")}, www(""), nil},
		{"alias of an alias of one", []types.ResourceRecordSet{aliased(app, "ZELB", "a.us-east-1.elb.amazonaws.com"), alias("Z1", "app.example")}, www(""), nil},
		{"alias of what is not there", []types.ResourceRecordSet{alias("Z1", "gone.example")}, www(""), nil},
		{"alias of two weights", []types.ResourceRecordSet{weighted("app.example", "1", 1, "192.0.2.7"), weighted("app.example", "2", 1, "192.0.2.8"), alias("Z1", "app.example")}, www(""), nil},
		{"alias of one weight", []types.ResourceRecordSet{weighted("app.example", "1", 1, "192.0.2.7"), weighted("app.example", "2", 0, "192.0.2.8"), alias("Z1", "app.example")}, www(""), []string{"192.0.2.7"}},
		{"one weight, and that is an alias", []types.ResourceRecordSet{app, aliased(w("1", 9), "Z1", "app.example"), w("2", 0)}, www("1"), []string{"192.0.2.7"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := SwapParameters{Records: []Record{tt.record}, CheckNameServers: true}
			swap := Swap{Route53: &zones{page: 300, sets: tt.sets}, Ask: unheard}
			all, err := swap.observe(t.Context(), request(p, action.Drive{}))
			if err != nil || len(all[0].faults) > 0 {
				t.Fatalf("%v, %v", err, all)
			}
			got, err := queries(t.Context(), swap.Route53, all)
			if err != nil || len(got) != 1 {
				t.Fatalf("%v, %v", got, err)
			}
			if diff := cmp.Diff(tt.want, got[0].want); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for check, warns := range map[bool]bool{true: tt.want == nil, false: false} {
				p.CheckNameServers = check
				ready, err := swap.Preflight(t.Context(), request(p, action.Drive{}))
				if err != nil || (ready.Verdict() == action.VerdictWarning) != warns {
					t.Errorf("asked for %t: plan %+v, %v", check, ready, err)
				}
			}
		})
	}
}

// A set that Route 53 does not answer with, since its health check is unhealthy,
// has taken no traffic: the swap is not done, and says why.
func TestAHealthCheckThatKeepsTheTargetAwayIsTold(t *testing.T) {
	east, west := weighted("www.example", "east", 0, "192.0.2.1"), weighted("www.example", "west", 100, "192.0.2.2")
	west.HealthCheckId = aws.String("hc-1")
	p := SwapParameters{CheckNameServers: true, Records: []Record{{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: "west", Weight: aws.Int(100)}}}
	drive := action.Drive{Changed: action.ChangeYes, Memo: map[string]string{"Z1/0 change": "C1", "Z1/0 seen": "before", "Z1/0 requestedAt": noon.Add(-time.Minute).Format(time.RFC3339)}}
	for address, want := range map[string]action.Status{"192.0.2.1": action.InProgress, "192.0.2.2": action.Done} {
		z := &zones{page: 300, status: types.ChangeStatusInsync, sets: []types.ResourceRecordSet{east, west}}
		progress, err := Swap{Route53: z, Ask: answering(address, address)}.Reconcile(t.Context(), request(p, drive))
		if err != nil || progress.Status != want || strings.Contains(progress.Message, "while health check hc-1 is unhealthy") != (want != action.Done) {
			t.Errorf("%s: %s (%s), %v, want %s", address, progress.Status, progress.Message, err, want)
		}
	}
}

// Where nothing comes back from port 53, each question costs its second, and the
// look still ends: what was not asked is told, and the zones are read however
// late it is.
func TestNameServersThatAreAllSilentHoldNothingUp(t *testing.T) {
	for _, tt := range []struct {
		name  string
		zones int
		left  bool
	}{{"a zone", 1, false}, {"six zones", 6, true}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := SwapParameters{CheckNameServers: true}
				memo := map[string]string{}
				for i := range tt.zones {
					memo[fmt.Sprintf("Z%d/0 since", i)] = noon.Add(-propagation).Format(time.RFC3339)
					p.Records = append(p.Records, Record{Zone: fmt.Sprintf("Z%d", i), Name: "db.example", Type: "A", Values: []string{"192.0.2.1"}})
				}
				ask := func(ctx context.Context, _, _, _ string) ([]string, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}
				z := &zones{page: 300, servers: 2, sets: []types.ResourceRecordSet{simple("db.example", "A", "192.0.2.1")}}
				begun := time.Now()
				progress, err := Swap{Route53: z, Ask: ask}.Reconcile(t.Context(), request(p, action.Drive{Memo: memo}))
				if took := time.Since(begun); err != nil || progress.Status != action.Done || took > lookTime {
					t.Fatalf("%s after %s: %v", progress.Status, took, err)
				}
				if got := fmt.Sprint(progress.Evidence["nameServers"]); !strings.HasPrefix(got, "0 answers") || strings.Contains(got, " 0 names") == tt.left {
					t.Errorf("evidence %v", progress.Evidence)
				}
			})
		})
	}
}

func reply(t *testing.T, query []byte, value string) []byte {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		t.Fatal(err)
	}
	m.Response, m.Authoritative = true, true
	if value != "" {
		var a [4]byte
		for i, part := range strings.Split(value, ".") {
			fmt.Sscan(part, &a[i])
		}
		m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET}, Body: &dnsmessage.AResource{A: a}}}
	}
	out, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// An answer to another question, or by a server that has no say, is none.
func TestAnswersThatDoNotCount(t *testing.T) {
	query, err := question("db.example.", "A")
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*dnsmessage.Message){
		"":            func(*dnsmessage.Message) {},
		"question":    func(m *dnsmessage.Message) { m.Questions[0].Name = dnsmessage.MustNewName("x.example.") },
		"id":          func(m *dnsmessage.Message) { m.ID++ },
		"no response": func(m *dnsmessage.Message) { m.Response = false },
		"hearsay":     func(m *dnsmessage.Message) { m.Authoritative = false },
		"refused":     func(m *dnsmessage.Message) { m.RCode = dnsmessage.RCodeRefused },
	} {
		var m dnsmessage.Message
		if err := m.Unpack(reply(t, query, "192.0.2.1")); err != nil {
			t.Fatal(err)
		}
		change(&m)
		answer, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		got, err := answers(query, answer)
		if (err == nil) != (name == "") || name == "" && !slices.Equal(got, []string{"192.0.2.1"}) {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
}
