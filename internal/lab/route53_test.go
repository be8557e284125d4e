package lab

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/report"
)

const shopZone = "Z0SHOP0EXAMPLE"

// swapped tells whether the records of the samples lead to us-west-2, and the
// name servers know it. Zones that a test adds hold pairs of records.
func swapped(e *Estate) bool {
	for _, z := range e.Zones {
		if z.Published != nil {
			return false
		}
		for _, r := range z.Records {
			if strings.HasPrefix(r.Name, "db.") && !strings.Contains(string(r.Values[0]), "us-west-2") {
				return false
			}
		}
	}
	return true
}

// recovered is an estate whose databases take writes in us-west-2, with a
// second zone beside the first.
func recovered(seconds float64) *Estate {
	e := slowed(seconds)
	for _, i := range e.Instances {
		if i.Source != "" {
			i.Source, i.Replication = "", ""
		}
	}
	for _, g := range e.Globals {
		for i := range g.Members {
			g.Members[i].Writer = !g.Members[i].Writer
		}
	}
	second := &Zone{ID: "Z1SECOND", Name: "second.example", NameServers: []string{"ns-9.awsdns-09.com"}}
	second.Records = []*RecordSet{
		{Name: "db.second.example", Type: "CNAME", TTL: number(30), Values: []RecordValue{"old.us-east-1.example"}},
		{Name: "other.second.example", Type: "TXT", TTL: number(300), Values: []RecordValue{`"stays"`}},
	}
	e.Zones = append(e.Zones, second)
	return e
}

// swapPayload is a payload of one SwapDNS entry with parameters as JSON.
func swapPayload(parameters string) []byte {
	return []byte(`{"StatePayload":[{"layer":1,"resources":[{"resourceType":"SwapDNS","resourceName":"Swap","parameters":` + parameters + `}]}]}`)
}

const (
	requires   = `"Requires":["rds-instance/rds-mysql-instance-usw2","global-cluster/dr-globaldb-cluster-mysql"]`
	shopRecord = `{"Zone":"` + shopZone + `","Name":"db.shop.example","Type":"CNAME","Values":["new.us-west-2.example"]}`
	twoRecords = `"Records":[` + shopRecord + `,{"Zone":"Z1SECOND","Name":"db.second.example","Type":"CNAME","Values":["new.us-west-2.example"],"TTL":10}]`
)

func twoZones() []byte {
	return swapPayload(`{` + requires + `,"CheckNameServers":true,` + twoRecords + `}`)
}

func record(e *Estate, zone, key string) *RecordSet {
	for _, r := range e.zone(zone).Records {
		if r.key() == key {
			return r
		}
	}
	return nil
}

func TestSwapChangesWhatIsNamedAndNothingElse(t *testing.T) {
	before := recovered(60)
	result := runLab(t, Options{Payload: twoZones(), Estate: before})
	if result.Outcome != report.Succeeded || result.Mutations["route53:ChangeResourceRecordSets"] != 2 {
		t.Fatalf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
	}
	untrue(t, result, twoZones())
	want := before.Clone()
	record(want, shopZone, "db.shop.example. CNAME ").Values = []RecordValue{"new.us-west-2.example"}
	r := record(want, "Z1SECOND", "db.second.example. CNAME ")
	r.Values, r.TTL = []RecordValue{"new.us-west-2.example"}, number(10)
	records := func(e *Estate) map[string]string {
		all := map[string]string{}
		for _, z := range e.Zones {
			for _, r := range z.Records {
				c := *r
				c.Name = dnsName(c.Name)
				if c.Alias != nil {
					a := *c.Alias
					a.Name = dnsName(a.Name)
					c.Alias = &a
				}
				all[z.ID+" "+c.key()] = c.text()
			}
		}
		return all
	}
	if diff := cmp.Diff(records(want), records(result.Final)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// A policy, a health check, an alias zone: what the payload does not say stays.
func TestSwapCarriesEverythingOver(t *testing.T) {
	estate := recovered(60)
	z := estate.zone(shopZone)
	yes := true
	z.Records = append(z.Records,
		&RecordSet{Name: "geo.shop.example", Type: "A", SetIdentifier: "eu", Geo: &Geo{Continent: "EU"}, TTL: number(60), Values: []RecordValue{"192.0.2.1"}, HealthCheck: "0a1b2c3d-0000-4000-8000-000000000002"},
		&RecordSet{Name: "near.shop.example", Type: "A", SetIdentifier: "n", Proximity: &Proximity{Region: "us-east-1", Bias: number(10)}, TTL: number(60), Values: []RecordValue{"192.0.2.1"}},
		&RecordSet{Name: "many.shop.example", Type: "A", SetIdentifier: "m", MultiValue: &yes, TTL: number(60), Values: []RecordValue{"192.0.2.1"}, HealthCheck: "0a1b2c3d-0000-4000-8000-000000000002"},
		&RecordSet{Name: "fast.shop.example", Type: "A", SetIdentifier: "l", Region: "us-east-1", TTL: number(60), Values: []RecordValue{"192.0.2.1"}},
		&RecordSet{Name: "*.shop.example", Type: "A", TTL: number(60), Values: []RecordValue{"192.0.2.1"}},
	)
	var records []string
	for _, r := range []string{"geo eu", "near n", "many m", "fast l", "* "} {
		name, set, _ := strings.Cut(r, " ")
		if set != "" {
			set = `"SetIdentifier":"` + set + `",`
		}
		records = append(records, fmt.Sprintf(`{"Zone":"%s","Name":"%s.shop.example",%s"Type":"A","Values":["198.51.100.1"]}`, shopZone, name, set))
	}
	records = append(records,
		`{"Zone":"`+shopZone+`","Name":"shop.example","Type":"A","AliasTarget":"shop-usw2.us-west-2.elb.amazonaws.com"}`,
		`{"Zone":"`+shopZone+`","Name":"api.shop.example","Type":"A","SetIdentifier":"first","Failover":"SECONDARY"}`,
		`{"Zone":"`+shopZone+`","Name":"api.shop.example","Type":"A","SetIdentifier":"second","Failover":"PRIMARY","HealthCheck":"0a1b2c3d-0000-4000-8000-000000000002"}`)
	result := runLab(t, Options{Payload: swapPayload(`{"Records":[` + strings.Join(records, ",") + `]}`), Estate: estate})
	if result.Outcome != report.Succeeded || total(result.Mutations) != 1 {
		t.Fatalf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
	}
	for key, want := range map[string]string{
		"geo.shop.example. A eu":     `{"name":"geo.shop.example.","type":"A","setIdentifier":"eu","geoLocation":{"continent":"EU"},"ttl":60,"values":["198.51.100.1"],"healthCheck":"0a1b2c3d-0000-4000-8000-000000000002"}`,
		"near.shop.example. A n":     `{"name":"near.shop.example.","type":"A","setIdentifier":"n","ttl":60,"values":["198.51.100.1"],"geoProximityLocation":{"region":"us-east-1","bias":10}}`,
		"many.shop.example. A m":     `{"name":"many.shop.example.","type":"A","setIdentifier":"m","multiValueAnswer":true,"ttl":60,"values":["198.51.100.1"],"healthCheck":"0a1b2c3d-0000-4000-8000-000000000002"}`,
		"fast.shop.example. A l":     `{"name":"fast.shop.example.","type":"A","setIdentifier":"l","region":"us-east-1","ttl":60,"values":["198.51.100.1"]}`,
		`\052.shop.example. A `:      `{"name":"\\052.shop.example.","type":"A","ttl":60,"values":["198.51.100.1"]}`,
		"shop.example. A ":           `{"name":"shop.example.","type":"A","alias":{"zone":"Z35SXDOTRQ7X7K","name":"shop-usw2.us-west-2.elb.amazonaws.com.","evaluateTargetHealth":true}}`,
		"api.shop.example. A first":  `{"name":"api.shop.example.","type":"A","setIdentifier":"first","failover":"SECONDARY","ttl":60,"values":["192.0.2.20"],"healthCheck":"0a1b2c3d-0000-4000-8000-000000000001"}`,
		"api.shop.example. A second": `{"name":"api.shop.example.","type":"A","setIdentifier":"second","failover":"PRIMARY","ttl":60,"values":["198.51.100.20"],"healthCheck":"0a1b2c3d-0000-4000-8000-000000000002"}`,
	} {
		got, err := json.Marshal(record(result.Final, shopZone, key))
		if err != nil || string(got) != want {
			t.Errorf("%s is\n%s, want\n%s", key, got, want)
		}
	}
}

func TestSwappingBackIsTheSamePayloadWithTheSidesExchanged(t *testing.T) {
	there := string(swapPayload(`{"Records":[{"Zone":"` + shopZone + `","Name":"db.shop.example","Type":"CNAME","Values":["WEST"],"Expect":["EAST"]}]}`))
	const east, west = "rds-mysql-instance-use1.c0ffee.us-east-1.rds.amazonaws.com", "rds-mysql-instance-usw2.c0ffee.us-west-2.rds.amazonaws.com"
	sides := func(from, to string) []byte {
		return []byte(strings.NewReplacer("WEST", to, "EAST", from).Replace(there))
	}
	estate := DefaultEstate()
	for _, way := range []struct {
		payload []byte
		want    string
		calls   int
	}{{sides(east, west), west, 1}, {sides(east, west), west, 0}, {sides(west, east), east, 1}, {sides(west, east), east, 0}} {
		result := runLab(t, Options{Payload: way.payload, Estate: estate})
		got := string(record(result.Final, shopZone, "db.shop.example. CNAME ").Values[0])
		if result.Outcome != report.Succeeded || total(result.Mutations) != way.calls || got != way.want {
			t.Errorf("%s with %v and %s, want %s after %d calls: %s", result.Outcome, result.Mutations, got, way.want, way.calls, result.Cause)
		}
		estate = result.Final
	}
}

// manyRecords puts zones of n records altogether into an estate.
func manyRecords(e *Estate, zones, n int) []byte {
	var records []string
	for i := range n {
		id := fmt.Sprintf("ZMANY%d", i%zones)
		z := e.zone(id)
		if z == nil {
			z = &Zone{ID: id, Name: fmt.Sprintf("many%d.example", i%zones)}
			e.Zones = append(e.Zones, z)
		}
		name := fmt.Sprintf("host-%04d.%s", i, z.Name)
		z.Records = append(z.Records, &RecordSet{Name: name, Type: "A", TTL: number(60), Values: []RecordValue{RecordValue(fmt.Sprintf("192.0.2.%d", i%250))}},
			// One that is not to be touched stands beside each.
			&RecordSet{Name: "z-" + name, Type: "A", TTL: number(60), Values: []RecordValue{"192.0.2.1"}})
		records = append(records, fmt.Sprintf(`{"Zone":"%s","Name":"%s","Type":"A","Values":["198.51.100.%d"]}`, id, name, i%250))
	}
	return swapPayload(`{"Records":[` + strings.Join(records, ",") + `]}`)
}

// 500 records of three zones are one payload, and take little more than the
// minute in which Route 53 tells its name servers.
func TestFiveHundredRecordsInThreeZones(t *testing.T) {
	for _, tt := range []struct {
		zones, records, calls int
		limit                 float64
	}{{3, 500, 3, 90}, {1, 501, 2, 90}, {1, 500, 1, 90}} {
		estate := DefaultEstate()
		payload := manyRecords(estate, tt.zones, tt.records)
		result := runLab(t, Options{Payload: payload, Estate: estate})
		t.Logf("%d records in %d zones: %s after %.1f s, %d calls to Route 53, %v", tt.records, tt.zones, result.Outcome, result.DurationSeconds,
			result.APICalls["route53:ListResourceRecordSets"]+result.APICalls["route53:ChangeResourceRecordSets"]+result.APICalls["route53:GetChange"], result.Mutations)
		if result.Outcome != report.Succeeded || total(result.Mutations) != tt.calls || result.DurationSeconds > tt.limit {
			t.Errorf("%s after %.1f s with %v, want Succeeded within %.0f s with %d calls: %s", result.Outcome, result.DurationSeconds, result.Mutations, tt.limit, tt.calls, result.Cause)
		}
		for _, z := range result.Final.Zones {
			for _, r := range z.Records {
				if strings.HasPrefix(r.Name, "host-") && !strings.HasPrefix(string(r.Values[0]), "198.51.100.") || strings.HasPrefix(r.Name, "z-") && r.Values[0] != "192.0.2.1" {
					t.Errorf("%s is %v", r.Name, r.Values)
				}
			}
		}
	}
}

// Many entries that change one zone get in each other's way. The plan says so,
// and they leave each other time, as all do that Route 53 turns away.
func TestManyEntriesOfOneZone(t *testing.T) {
	const many = 60
	estate := DefaultEstate()
	z := estate.zone(shopZone)
	var resources []string
	for i := range many {
		name := fmt.Sprintf("h%d.shop.example", i)
		z.Records = append(z.Records, &RecordSet{Name: name + ".", Type: "CNAME", TTL: number(60), Values: []RecordValue{"old.example"}})
		resources = append(resources, fmt.Sprintf(`{"resourceType":"SwapDNS","resourceName":"h%d","parameters":{"Records":[{"Zone":%q,"Name":%q,"Type":"CNAME","Values":["new.example"]}]}}`, i, shopZone, name))
	}
	result := runLab(t, Options{Payload: []byte(`{"StatePayload":[{"layer":1,"resources":[` + strings.Join(resources, ",") + `]}]}`), Estate: estate})
	asked := result.APICalls["route53:ListResourceRecordSets"] + result.APICalls["route53:ChangeResourceRecordSets"] + result.APICalls["route53:GetChange"]
	t.Logf("%d entries: %s after %.0f s, %d calls to Route 53, %d of them changes", many, result.Outcome, result.DurationSeconds, asked, result.APICalls["route53:ChangeResourceRecordSets"])
	if result.Outcome != report.Succeeded || result.DurationSeconds > 210 || asked > 15*many || result.APICalls["route53:ChangeResourceRecordSets"] > 4*many {
		t.Errorf("%s after %.0f s and %d calls: %s", result.Outcome, result.DurationSeconds, asked, result.Cause)
	}
	if !told(result, "at least 60 entries of layer 1 change hosted zone "+shopZone) {
		t.Errorf("the plan says nothing: %+v", result.Layers[0].Resources[0].Findings)
	}
}

func TestWhatASwapRefuses(t *testing.T) {
	shop := func(name, more string) string {
		return `{"Zone":"` + shopZone + `","Name":"` + name + `",` + more + `}`
	}
	replicating := func(e *Estate) {
		i := e.instance("us-west-2", "rds-mysql-instance-usw2")
		i.Source, i.Replication = "arn:aws:rds:us-east-1:111122223333:db:rds-mysql-instance-use1", "replicating"
	}
	otherWriter := func(e *Estate) {
		g := e.global("dr-globaldb-cluster-mysql")
		for i := range g.Members {
			g.Members[i].Writer = !g.Members[i].Writer
		}
	}
	wildcard := func(e *Estate) {
		z := e.zone(shopZone)
		z.Records = append(z.Records, &RecordSet{Name: "*.shop.example", Type: "A", TTL: number(60), Values: []RecordValue{"192.0.2.1"}})
	}
	latency := func(e *Estate) {
		z := e.zone(shopZone)
		z.Records = append(z.Records, &RecordSet{Name: "fast.shop.example", Type: "A", SetIdentifier: "a", Region: "us-east-1", TTL: number(60), Values: []RecordValue{"192.0.2.1"}},
			&RecordSet{Name: "fast.shop.example", Type: "A", SetIdentifier: "b", Region: "us-west-2", TTL: number(60), Values: []RecordValue{"192.0.2.2"}, Traffic: "tp-1"})
	}
	tests := []struct {
		name, parameters string
		estate           func(*Estate)
		want             string // in the cause; empty: it succeeds
	}{
		{"as expected", shop("db.shop.example", `"Type":"CNAME","Values":["n.example"],"Expect":["RDS-mysql-instance-use1.c0ffee.us-east-1.rds.amazonaws.com."]`), nil, ""},
		{"changed by someone else", shop("db.shop.example", `"Type":"CNAME","Values":["n.example"],"Expect":["elsewhere.example"]`), nil, "someone has changed it"},
		{"expected weight", shop("www.shop.example", `"Type":"A","SetIdentifier":"us-west-2","Weight":5,"ExpectWeight":0`), nil, ""},
		{"another weight", shop("www.shop.example", `"Type":"A","SetIdentifier":"us-west-2","Weight":5,"ExpectWeight":1`), nil, "someone has changed it"},
		{"simple beside policy", shop("www.shop.example", `"Type":"A","Values":["192.0.2.9"]`), nil, "a simple record cannot stand beside them"},
		{"policy beside simple", shop("db.shop.example", `"Type":"CNAME","SetIdentifier":"x","Values":["n.example"]`), nil, "cannot stand beside it"},
		{"another policy", shop("www.shop.example", `"Type":"A","SetIdentifier":"us-west-2","Failover":"PRIMARY"`), nil, "no failover record set"},
		{"all weights zero", shop("www.shop.example", `"Type":"A","SetIdentifier":"us-east-1","Weight":0`), nil, "weight 0"},
		{"one weight left", shop("www.shop.example", `"Type":"A","SetIdentifier":"us-east-1","Weight":1`), nil, ""},
		{"two primaries", shop("api.shop.example", `"Type":"A","SetIdentifier":"second","Failover":"PRIMARY"`), nil, "would be PRIMARY"},
		{"no such record", shop("dbx.shop.example", `"Type":"CNAME","Values":["n.example"]`), nil, "is not in hosted zone"},
		{"no such set", shop("www.shop.example", `"Type":"A","SetIdentifier":"mars","Weight":1`), nil, `no set "mars"`},
		{"no such zone", `{"Zone":"Z404","Name":"db.shop.example","Type":"A","Values":["192.0.2.9"]}`, nil, "NoSuchHostedZone"},
		{"alias to values without a TTL", shop("shop.example", `"Type":"A","Values":["192.0.2.9"]`), nil, "say the TTL"},
		{"alias to values", shop("shop.example", `"Type":"A","Values":["192.0.2.9"],"TTL":60`), nil, ""},
		{"values to alias without a zone", shop("www.shop.example", `"Type":"A","SetIdentifier":"us-east-1","AliasTarget":"x.elb.amazonaws.com"`), nil, "both AliasTarget and AliasZone"},
		{"values to alias", shop("www.shop.example", `"Type":"A","SetIdentifier":"us-east-1","AliasTarget":"x.elb.amazonaws.com","AliasZone":"Z1"`), nil, ""},
		{"alias within the zone", shop("shop.example", `"Type":"A","AliasTarget":"www.shop.example","AliasZone":"`+shopZone+`"`), nil, ""},
		{"alias of what is not there", shop("shop.example", `"Type":"A","AliasTarget":"gone.shop.example","AliasZone":"`+shopZone+`"`), nil, "gone.shop.example. A, which is not in hosted zone"},
		{"alias of itself", shop("shop.example", `"Type":"A","AliasTarget":"shop.example","AliasZone":"`+shopZone+`"`), nil, "alias of itself"},
		{"health check", shop("api.shop.example", `"Type":"A","SetIdentifier":"second","HealthCheck":"0a1b2c3d-0000-4000-8000-000000000002"`), nil, ""},
		{"health check that is not there", shop("api.shop.example", `"Type":"A","SetIdentifier":"second","HealthCheck":"0a1b2c3d-0000-4000-8000-00000000dead"`), nil, "which is not there"},
		{"wildcard as Route 53 lists it", shop(`\\052.shop.example`, `"Type":"A","TTL":61`), wildcard, ""},
		{"another latency region", shop("fast.shop.example", `"Type":"A","SetIdentifier":"a","Region":"eu-west-1"`), latency, ""},
		{"two sets for a latency region", shop("fast.shop.example", `"Type":"A","SetIdentifier":"a","Region":"us-west-2"`), latency, "would be for us-west-2"},
		{"kept by a traffic policy", shop("fast.shop.example", `"Type":"A","SetIdentifier":"b","TTL":61`), latency, "traffic policy instance tp-1"},
		{"writable", shopRecord, nil, ""},
		{"a writer of the other region", shop("db.shop.example", `"Type":"CNAME","Values":["rds-mysql-instance-use1.c0ffee.us-east-1.rds.amazonaws.com"]`), nil, "the databases of Requires take writes in us-west-2"},
		{"another writer of this region", shop("db.shop.example", `"Type":"CNAME","Values":["rds-postgres-instance-usw2.c0ffee.us-west-2.rds.amazonaws.com"]`), nil, "the endpoint of no database in Requires"},
		{"the writer", shop("db.shop.example", `"Type":"CNAME","Values":["rds-mysql-instance-usw2.c0ffee.us-west-2.rds.amazonaws.com"]`), nil, ""},
		{"the writer of the cluster", shop("db.shop.example", `"Type":"CNAME","Values":["dbcluster-02.cluster-c0ffee.us-west-2.rds.amazonaws.com"]`), nil, ""},
		{"instance is a replica", shopRecord, replicating, "is a replica"},
		{"writer elsewhere", shopRecord, otherWriter, "has its writer at"},
		{"writer stopped", shopRecord, func(e *Estate) {
			e.cluster("arn:aws:rds:us-west-2:111122223333:cluster:dbcluster-02").Status = "stopped"
		}, "which in us-west-2 is stopped"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			estate := recovered(60)
			if tt.estate != nil {
				tt.estate(estate)
			}
			// With a second zone in the payload that nothing speaks against.
			payload := swapPayload(`{` + requires + `,"Records":[{"Zone":"Z1SECOND","Name":"db.second.example","Type":"CNAME","Values":["new.us-west-2.example"]},` + tt.parameters + `]}`)
			result := runLab(t, Options{Payload: payload, Estate: estate})
			untrue(t, result, nil)
			if tt.want == "" {
				if result.Outcome != report.Succeeded || total(result.Mutations) != 2 {
					t.Errorf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
				}
				return
			}
			if result.Outcome != report.Refused && result.Outcome != report.FailedClean || total(result.Mutations) != 0 || !strings.Contains(result.Cause, tt.want) {
				t.Errorf("%s with %v, want nothing done for %q: %s", result.Outcome, result.Mutations, tt.want, result.Cause)
			}
		})
	}
}

// The control plane of Route 53 stands in us-east-1: without it a run ends, and
// says whether anything was changed.
func TestSwapWithoutTheControlPlane(t *testing.T) {
	for faults, want := range map[string]report.Outcome{
		"dead@region:us-east-1":     report.Refused,
		"dead@region:us-east-1#4-":  report.FailedClean, // it is gone before the first change
		"dead@region:us-east-1#6-":  report.FailedDirty, // and after it
		"dead@region:us-east-1#10-": report.FailedDirty,
	} {
		result := runLab(t, Options{Payload: twoZones(), Estate: recovered(60), Faults: faultsOf(t, faults)})
		if result.Outcome != want && !(want == report.Refused && result.Outcome == report.FailedClean) {
			t.Errorf("%s: %s, want %s: %s", faults, result.Outcome, want, result.Cause)
		}
		untrue(t, result, twoZones())
	}
}

func TestNameServersHoldASwapUntilTheyAgree(t *testing.T) {
	payload := func(check string) []byte {
		return swapPayload(`{"CheckNameServers":` + check + `,"Records":[` + shopRecord + `]}`)
	}
	// The records read as wanted, and the name servers have not heard of it.
	late := recovered(60)
	z := late.zone(shopZone)
	z.Published = slices.Clone(z.Records)
	for i, r := range z.Records {
		if r.Type == "CNAME" {
			wanted := *r
			wanted.Values = []RecordValue{"new.us-west-2.example"}
			z.Records[i] = &wanted
		}
	}
	result := runLab(t, Options{Payload: payload("true"), Estate: late})
	if result.Outcome != report.FailedClean || !strings.Contains(result.Cause, "Swap") || total(result.Mutations) != 0 {
		t.Errorf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
	}
	if result = runLab(t, Options{Payload: payload("false"), Estate: late}); result.Outcome != report.Succeeded {
		t.Errorf("%s, though nobody wants them asked: %s", result.Outcome, result.Cause)
	}
	// One that cannot be asked is told of, and holds nothing up.
	estate := recovered(60)
	estate.zone(shopZone).NameServers = nil
	result = runLab(t, Options{Payload: payload("true"), Estate: estate})
	if result.Outcome != report.Succeeded {
		t.Errorf("%s: %s", result.Outcome, result.Cause)
	}
	evidence, err := json.Marshal(result.Record)
	if err != nil || !strings.Contains(string(evidence), "no public name servers") {
		t.Errorf("the report does not tell who was not asked: %v\n%s", err, evidence)
	}
}

// Name servers are asked for weighted names, failover names and aliases, too,
// where what they must answer is known: and as long as a health check keeps the
// target away, callers are not led there.
func TestNameServersAreAskedForPoliciesAndAliases(t *testing.T) {
	payload := swapPayload(`{"CheckNameServers":true,"Records":[
		{"Zone":"` + shopZone + `","Name":"www.shop.example","Type":"A","SetIdentifier":"us-east-1","Weight":0},
		{"Zone":"` + shopZone + `","Name":"www.shop.example","Type":"A","SetIdentifier":"us-west-2","Weight":100},
		{"Zone":"` + shopZone + `","Name":"api.shop.example","Type":"A","SetIdentifier":"first","Failover":"SECONDARY"},
		{"Zone":"` + shopZone + `","Name":"api.shop.example","Type":"A","SetIdentifier":"second","Failover":"PRIMARY"},
		{"Zone":"` + shopZone + `","Name":"shop.example","Type":"A","AliasTarget":"img.shop.example","AliasZone":"` + shopZone + `"}]}`)
	for _, healthy := range []bool{true, false} {
		estate := recovered(60)
		estate.zone(shopZone).Records = append(estate.zone(shopZone).Records, &RecordSet{Name: "img.shop.example", Type: "A", TTL: number(60), Values: []RecordValue{"198.51.100.50"}})
		want := report.Succeeded
		if !healthy {
			check := estate.HealthChecks[slices.IndexFunc(estate.HealthChecks, func(h *HealthCheck) bool { return strings.HasSuffix(h.ID, "0002") })]
			check.Disabled, check.Inverted = true, true
			want = report.FailedDirty
		}
		result := runLab(t, Options{Payload: payload, Estate: estate})
		if result.Outcome != want || !healthy && !strings.Contains(result.Cause, "is unhealthy, other sets answer") {
			t.Errorf("healthy %t: %s, want %s: %s", healthy, result.Outcome, want, result.Cause)
		}
		told, err := json.Marshal(result.Record)
		if err != nil || strings.Contains(string(told), "12 answers as wanted, 0 names or questions left out") != healthy {
			t.Errorf("healthy %t: the report does not tell who has answered: %v", healthy, err)
		}
	}
}

// Every single fault of a swap of two zones, which takes two calls that change
// something.
func TestEveryFaultOfASwapEndsInTheTruth(t *testing.T) {
	sweepOn(t, recovered(30), twoZones(), faultsOfActions(t, recovered(30), twoZones()))
}

// A second run of the same payload is told who works on it; one that changes
// another record of the same zone is not held up. Two that want the same record
// otherwise, beside records that differ, do not both succeed.
func TestTwoSwapsAtOnce(t *testing.T) {
	one := func(name, value string) string {
		return `{"Zone":"` + shopZone + `","Name":"` + name + `.shop.example","Type":"CNAME","Values":["` + value + `"]}`
	}
	swap := func(records ...string) []byte { return swapPayload(`{"Records":[` + strings.Join(records, ",") + `]}`) }
	for _, tt := range []struct {
		name          string
		first, second []byte
		delay         time.Duration
		want          [2]report.Outcome
	}{
		{"the same", swap(one("db", "n.example")), swap(one("db", "n.example")), 20 * time.Second, [2]report.Outcome{report.Succeeded, report.Refused}},
		{"another record", swap(one("db", "n.example")), swap(one("img", "n.example")), 20 * time.Second, [2]report.Outcome{report.Succeeded, report.Succeeded}},
		{"overlapping", swap(one("db", "n.example"), one("img", "n.example")), swap(one("app", "m.example"), one("img", "m.example")), 20 * time.Second, [2]report.Outcome{report.FailedDirty, report.Succeeded}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			estate := recovered(60)
			z := estate.zone(shopZone)
			for _, name := range []string{"img", "app"} {
				z.Records = append(z.Records, &RecordSet{Name: name + ".shop.example", Type: "CNAME", TTL: number(60), Values: []RecordValue{"old.example"}})
			}
			results := twoRuns(t, estate, tt.first, tt.second, tt.delay)
			got := [2]report.Outcome{results[0].Outcome, results[1].Outcome}
			if got != tt.want {
				t.Errorf("%v, want %v: %q, %q", got, tt.want, results[0].Cause, results[1].Cause)
			}
		})
	}
}

// twoRuns starts two executions in us-west-2, the second after a delay.
func twoRuns(t *testing.T, estate *Estate, first, second []byte, delay time.Duration) [2]Result {
	t.Helper()
	clock := NewClock(Epoch)
	a := NewAccount(estate, clock, 1, nil)
	var results [2]Result
	clock.Run(func() {
		var runs [2]*Execution
		for i, payload := range [][]byte{first, second} {
			clock.Sleep(time.Duration(i) * delay)
			var err error
			if runs[i], err = a.runs.start("us-west-2", MachineName(catalog.Failover), fmt.Sprintf("operator-%d", i), payload); err != nil {
				t.Error(err)
				return
			}
		}
		for i, e := range runs {
			e.ended.Wait(0)
			var err error
			if results[i], err = a.result(e); err != nil {
				t.Error(err)
			}
		}
	})
	return results
}

// weighing is a SwapDNS entry that gives one set of a name a weight.
func weighing(set string, weight int) string {
	return fmt.Sprintf(`{"resourceType":"SwapDNS","resourceName":"Weigh %s","parameters":{"Records":[{"Zone":"%s","Name":"www.shop.example","Type":"A","SetIdentifier":"%s","Weight":%d}]}}`, set, shopZone, set, weight)
}

// shifting is a ShiftTraffic entry to a set of a name.
func shifting(name, set string) string {
	return fmt.Sprintf(`{"resourceType":"ShiftTraffic","resourceName":"Shift to %s","parameters":{"Zone":"%s","Name":"%s","Type":"A","SetIdentifier":"%s","Steps":"50,100","HoldSeconds":0}}`, set, shopZone, name, set)
}

func layerOf(resources ...string) []byte {
	return []byte(`{"StatePayload":[{"layer":1,"resources":[` + strings.Join(resources, ",") + `]}]}`)
}

// Each of two changes of one name may be right by itself, and both together
// leave it without any weight, or fight: two entries are refused as the payload
// is read, and of two runs the second one.
func TestTheSetsOfANameBelongToOneEntryAndOneRun(t *testing.T) {
	other := `{"resourceType":"SwapDNS","resourceName":"Another","parameters":{"Records":[{"Zone":"` + shopZone + `","Name":"api.shop.example","Type":"A","SetIdentifier":"second","Values":["198.51.100.21"]}]}}`
	halves := func() *Estate {
		e := DefaultEstate()
		record(e, shopZone, "www.shop.example. A us-east-1").Weight, record(e, shopZone, "www.shop.example. A us-west-2").Weight = number(50), number(50)
		return e
	}
	for _, tt := range []struct {
		name          string
		first, second string
		apart         bool
	}{
		{"both weights to zero", weighing("us-east-1", 0), weighing("us-west-2", 0), false},
		{"a shift beside a swap of its sibling", shifting("www.shop.example", "us-west-2"), weighing("us-east-1", 7), false},
		{"shifts against each other", shifting("www.shop.example", "us-west-2"), shifting("WWW.shop.example.", "us-east-1"), false},
		{"another name", weighing("us-east-1", 0), other, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			result := runLab(t, Options{Payload: layerOf(tt.first, tt.second), Estate: halves(), Faults: faultsOf(t, "stale@route53:ListResourceRecordSets#5")})
			if refused := result.Outcome == report.FailedClean && len(result.Problems) == 1 && total(result.Mutations) == 0; refused == tt.apart || tt.apart && result.Outcome != report.Succeeded {
				t.Errorf("in one layer: %s with %v and %v: %s", result.Outcome, result.Problems, result.Mutations, result.Cause)
			}
			runs := twoRuns(t, halves(), layerOf(tt.first), layerOf(tt.second), time.Second)
			second := report.Refused
			if tt.apart {
				second = report.Succeeded
			}
			if runs[0].Outcome != report.Succeeded || runs[1].Outcome != second || !tt.apart && !strings.Contains(runs[1].Cause, "operator-0") {
				t.Errorf("as two runs: %s and %s: %q, %q", runs[0].Outcome, runs[1].Outcome, runs[0].Cause, runs[1].Cause)
			}
		})
	}
}

// A run that waits for its databases does not overwrite what somebody else has
// put into its records meanwhile; what he does to others is none of its business.
func TestAChangeBetweenPlanAndCallIsNotOverwritten(t *testing.T) {
	promotion := `{"layer":1,"resources":[{"resourceType":"PromoteRDSReadReplica","resourceName":"Promote","parameters":{"RDSInstanceIdentifier":"rds-mysql-instance-usw2","TargetClusterIdentifier":"arn:aws:rds:us-west-2:111122223333:db:rds-mysql-instance-usw2"}}]}`
	cname := func(name, value string) string {
		return fmt.Sprintf(`{"Zone":"%s","Name":"%s.shop.example","Type":"CNAME","Values":["%s"]}`, shopZone, name, value)
	}
	swap := func(layer int, records ...string) string {
		return fmt.Sprintf(`{"layer":%d,"resources":[{"resourceType":"SwapDNS","resourceName":"Swap","parameters":{"Records":[%s]}}]}`, layer, strings.Join(records, ","))
	}
	long := []byte(`{"StatePayload":[` + promotion + `,` + swap(2, cname("db", "mine.example")) + `]}`)
	for _, tt := range []struct {
		name   string
		others []string
		want   report.Outcome
		value  string
	}{
		{"the same record", []string{cname("app", "theirs.example"), cname("db", "theirs.example")}, report.FailedDirty, "theirs.example"},
		{"another record", []string{cname("app", "theirs.example")}, report.Succeeded, "mine.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			estate := DefaultEstate()
			z := estate.zone(shopZone)
			z.Records = append(z.Records, &RecordSet{Name: "app.shop.example", Type: "CNAME", TTL: number(60), Values: []RecordValue{"old.example"}})
			runs := twoRuns(t, estate, long, []byte(`{"StatePayload":[`+swap(1, tt.others...)+`]}`), 20*time.Second)
			got := record(runs[0].Final, shopZone, "db.shop.example. CNAME ").Values[0]
			if runs[0].Outcome != tt.want || runs[1].Outcome != report.Succeeded || string(got) != tt.value || strings.Contains(runs[0].Cause, "changed by someone else since this run was planned") != (tt.want != report.Succeeded) {
				t.Errorf("%s and %s with %s, want %s with %s: %q, %q", runs[0].Outcome, runs[1].Outcome, got, tt.want, tt.value, runs[0].Cause, runs[1].Cause)
			}
		})
	}
}

// The same payload again goes on where a run was ended between two zones.
func TestASwapThatWasEndedGoesOn(t *testing.T) {
	ended := runLab(t, Options{Payload: twoZones(), Estate: recovered(60), Faults: faultsOf(t, "dead@region:us-east-1#7-")})
	if ended.Outcome != report.FailedDirty || total(ended.Mutations) != 1 {
		t.Fatalf("%s with %v: %s", ended.Outcome, ended.Mutations, ended.Cause)
	}
	again := runLab(t, Options{Payload: twoZones(), Estate: ended.Final})
	if again.Outcome != report.Succeeded || total(again.Mutations) != 1 || !swapped(again.Final) {
		t.Errorf("%s with %v: %s", again.Outcome, again.Mutations, again.Cause)
	}
}

// A run that ended while its change was on its way to the name servers, and the
// same payload again a moment later: that one is done no sooner than they are.
// One more takes its minute, too: nothing tells it whose change it finds.
func TestARunThatFindsAnothersChangeWaitsUntilItHasSpread(t *testing.T) {
	weights := func(limit, check string) []byte {
		return []byte(fmt.Sprintf(`{"StatePayload":[{"layer":1,"resources":[{"resourceType":"SwapDNS","resourceName":"Swap"%s,"parameters":{%s"Records":[`+
			`{"Zone":"%[3]s","Name":"www.shop.example","Type":"A","SetIdentifier":"us-east-1","Weight":0},{"Zone":"%[3]s","Name":"www.shop.example","Type":"A","SetIdentifier":"us-west-2","Weight":100}]}}]}]}`, limit, check, shopZone))
	}
	cname := func(limit string) []byte {
		return []byte(`{"StatePayload":[{"layer":1,"resources":[{"resourceType":"SwapDNS","resourceName":"Swap"` + limit + `,"parameters":{"Records":[` + shopRecord + `]}}]}]}`)
	}
	shift := func(limit string) []byte {
		return []byte(`{"StatePayload":[{"layer":1,"resources":[{"resourceType":"ShiftTraffic","resourceName":"Shift"` + limit + `,"parameters":{"Zone":"` + shopZone + `","Name":"www.shop.example","Type":"A","SetIdentifier":"us-west-2","Steps":"100"}}]}]}`)
	}
	for _, tt := range []struct {
		name    string
		payload func(limit string) []byte
	}{
		{"weights", func(limit string) []byte { return weights(limit, "") }},
		{"weights, name servers asked", func(limit string) []byte { return weights(limit, `"CheckNameServers":true,`) }},
		{"a simple record", cname},
		{"a shift", shift},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ended := runLab(t, Options{Payload: tt.payload(`,"timeLimitSeconds":12`), Estate: recovered(60)})
			if ended.Outcome != report.FailedDirty || ended.Final.zone(shopZone).Published == nil {
				t.Fatalf("%s: %s", ended.Outcome, ended.Cause)
			}
			again := runLab(t, Options{Payload: tt.payload(""), Estate: saved(t, ended.Final)})
			if again.Outcome != report.Succeeded || total(again.Mutations) != 0 || again.Final.zone(shopZone).Published != nil {
				t.Errorf("%s after %.0f s with %v, published %t: %s", again.Outcome, again.DurationSeconds, again.Mutations, again.Final.zone(shopZone).Published == nil, again.Cause)
			}
			once := runLab(t, Options{Payload: tt.payload(""), Estate: saved(t, again.Final)})
			if once.Outcome != report.Succeeded || total(once.Mutations) != 0 || once.DurationSeconds > 70 {
				t.Errorf("once more: %s after %.0f s with %v: %s", once.Outcome, once.DurationSeconds, once.Mutations, once.Cause)
			}
			t.Logf("%.0f s, then %.0f s", again.DurationSeconds, once.DurationSeconds)
		})
	}
}

// One of two entries that change a zone at the same moment waits for the other
// one, and for nothing else: a layer of many takes it no longer than that.
func TestWhatIsQueuedWaitsForNoLargeLayer(t *testing.T) {
	const swap = `{"resourceType":"SwapDNS","resourceName":"%s","parameters":{"Records":[{"Zone":"` + shopZone + `","Name":"%s","Type":"%s"%s}]}}`
	first := fmt.Sprintf(swap, "first", "db.shop.example", "CNAME", `,"TTL":7`)
	second := fmt.Sprintf(swap, "second", "www.shop.example", "A", `,"SetIdentifier":"us-west-2","Weight":7`)
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf(`{"resourceType":"CheckEndpoint","resourceName":"c%d","parameters":{"URL":"https://app.us-east-1.example.test/health"}}`, i))
	}
	took := func(payload []byte) (alone, queued float64) {
		result := runLab(t, Options{Payload: payload})
		if result.Outcome != report.Succeeded {
			t.Fatalf("%s: %s", result.Outcome, result.Cause)
		}
		for _, r := range result.Layers[0].Resources {
			switch r.ResourceName {
			case "first":
				alone = r.DurationSeconds
			case "second":
				queued = r.DurationSeconds
			}
		}
		return alone, queued
	}
	if alone, queued := took(layerOf(append(many, first, second)...)); queued <= alone || queued > alone+5 {
		t.Errorf("the second took %.1f s, the first %.1f s", queued, alone)
	}
}
