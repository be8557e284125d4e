package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
)

// named serves an estate over HTTP and DNS and gives a client of its Route 53
// that tries once, and a resolver that knows no other name server.
func named(t *testing.T, estate *Estate, speed float64) (*route53.Client, *net.Resolver) {
	t.Helper()
	account := NewAccount(estate, NewWallClock(Epoch, speed), 1, nil)
	server := httptest.NewServer(account.Handler())
	names, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	streams, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop, stopped, served := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		defer close(stopped)
		account.Serve(func() { <-stop })
	}()
	go func() { served <- account.ServeDNS(names) }()
	go func() { served <- account.ServeDNSStreams(streams) }()
	t.Cleanup(func() {
		server.Close()
		if err := errors.Join(names.Close(), streams.Close(), <-served, <-served); err != nil {
			t.Error(err)
		}
		close(stop)
		<-stopped
	})
	client := route53.NewFromConfig(aws.Config{
		Region: "us-west-2", BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider("lab", "lab", ""),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	})
	return client, &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		at := names.LocalAddr()
		if network == "tcp" {
			at = streams.Addr()
		}
		return new(net.Dialer).DialContext(ctx, network, at.String())
	}}
}

// A stock resolver sees a change when Route 53 calls it in sync, and not
// before.
func TestAResolverSeesTheSwap(t *testing.T) {
	estate := DefaultEstate()
	record(estate, shopZone, "shop.example. A ").Alias = nil
	apex := record(estate, shopZone, "shop.example. A ")
	apex.TTL, apex.Values = number(60), []RecordValue{"192.0.2.1"}
	client, resolver := named(t, estate, 60)
	ctx := t.Context()
	lookUp := func() string {
		all, err := resolver.LookupHost(ctx, "shop.example.")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(all, " ")
	}
	if got := lookUp(); got != "192.0.2.1" {
		t.Fatalf("before the change: %s", got)
	}
	out, err := client.ChangeResourceRecordSets(ctx, upsert("shop.example", "198.51.100.1"))
	if err != nil {
		t.Fatal(err)
	}
	early := lookUp()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		change, err := client.GetChange(ctx, &route53.GetChangeInput{Id: out.ChangeInfo.Id})
		var api smithy.APIError
		if errors.As(err, &api) && api.ErrorCode() == "Throttling" {
			continue
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("not in sync: %v", err)
		}
		if change.ChangeInfo.Status == types.ChangeStatusInsync {
			break
		}
	}
	if late := lookUp(); early != "192.0.2.1" || late != "198.51.100.1" {
		t.Errorf("%s at once and %s in sync, want the old address and then the new", early, late)
	}
	var none *net.DNSError
	if _, err := resolver.LookupHost(ctx, "nothing.shop.example."); !errors.As(err, &none) || !none.IsNotFound {
		t.Errorf("a name that is not there: %v", err)
	}
}

// A resolver that is told to use TCP sees the same.
func TestAResolverAsksByTCP(t *testing.T) {
	_, resolver := named(t, DefaultEstate(), 1)
	dial := resolver.Dial
	resolver.Dial = func(ctx context.Context, _, address string) (net.Conn, error) { return dial(ctx, "tcp", address) }
	for range 2 {
		if all, err := resolver.LookupHost(t.Context(), "www.shop.example."); err != nil || !slices.Equal(all, []string{"192.0.2.10"}) {
			t.Errorf("%v, %v", all, err)
		}
	}
}

// An answer that says no tells by the zone's SOA how long that holds.
func TestTheSOAGoesWithANo(t *testing.T) {
	a := NewAccount(DefaultEstate(), NewClock(Epoch), 1, nil)
	for _, tt := range []struct {
		name    string
		kind    dnsmessage.Type
		answers int
		no      bool
	}{
		{"shop.example.", dnsmessage.TypeSOA, 1, false}, {"api.shop.example.", dnsmessage.TypeA, 1, false},
		{"api.shop.example.", dnsmessage.TypeAAAA, 0, true}, {"nothing.shop.example.", dnsmessage.TypeA, 0, true},
	} {
		m := dnsmessage.Message{Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(tt.name), Type: tt.kind, Class: dnsmessage.ClassINET}}}
		query, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		var out dnsmessage.Message
		if err := out.Unpack(a.answerDNS(query, a.Estate.Zones)); err != nil {
			t.Fatal(err)
		}
		soa := slices.Concat(out.Answers, out.Authorities)
		if len(out.Answers) != tt.answers || (len(out.Authorities) == 1) != tt.no || tt.kind == dnsmessage.TypeSOA && soa[0].Body.(*dnsmessage.SOAResource).MinTTL != 86400 {
			t.Errorf("%s %s: %v, %v", tt.name, tt.kind, out.Answers, out.Authorities)
		}
		if tt.no && out.Authorities[0].Body.(*dnsmessage.SOAResource).NS.String() != "ns-1.awsdns-00.com." {
			t.Errorf("%s: %v", tt.name, out.Authorities)
		}
	}
}

func upsert(name, value string) *route53.ChangeResourceRecordSetsInput {
	return &route53.ChangeResourceRecordSetsInput{HostedZoneId: aws.String(shopZone), ChangeBatch: &types.ChangeBatch{Changes: []types.Change{{
		Action: types.ChangeActionUpsert,
		ResourceRecordSet: &types.ResourceRecordSet{Name: aws.String(name), Type: types.RRTypeA, TTL: aws.Int64(60),
			ResourceRecords: []types.ResourceRecord{{Value: aws.String(value)}}},
	}}}}
}

func TestErrorsOfRoute53(t *testing.T) {
	client, _ := named(t, DefaultEstate(), 1)
	ctx := t.Context()
	code := func(err error) string {
		var api smithy.APIError
		if !errors.As(err, &api) {
			return fmt.Sprint(err)
		}
		return api.ErrorCode()
	}
	_, err := client.ChangeResourceRecordSets(ctx, upsert("www.shop.example", "192.0.2.9"))
	var invalid *types.InvalidChangeBatch
	if !errors.As(err, &invalid) || len(invalid.Messages) == 0 {
		t.Errorf("a simple record beside weighted ones: %v", err)
	}
	elsewhere := upsert("www.shop.example", "192.0.2.9")
	elsewhere.HostedZoneId = aws.String("Z404")
	if _, err = client.ChangeResourceRecordSets(ctx, elsewhere); code(err) != "NoSuchHostedZone" {
		t.Errorf("another zone: %v", err)
	}
	if _, err = client.GetChange(ctx, &route53.GetChangeInput{Id: aws.String("C404")}); code(err) != "NoSuchChange" {
		t.Errorf("another change: %v", err)
	}
	unchecked := upsert("new.shop.example", "192.0.2.9")
	unchecked.ChangeBatch.Changes[0].ResourceRecordSet.HealthCheckId = aws.String("hc-404")
	if _, err = client.ChangeResourceRecordSets(ctx, unchecked); code(err) != "NoSuchHealthCheck" {
		t.Errorf("another health check: %v", err)
	}
	if _, err = client.ChangeResourceRecordSets(ctx, upsert("new.shop.example", "192.0.2.9")); err != nil {
		t.Error(err)
	}
	if _, err = client.ChangeResourceRecordSets(ctx, upsert("new.shop.example", "192.0.2.8")); code(err) != "PriorRequestNotComplete" && code(err) != "Throttling" {
		t.Errorf("at once again: %v", err)
	}
	throttled := false
	for range 20 {
		_, err := client.GetHostedZone(ctx, &route53.GetHostedZoneInput{Id: aws.String(shopZone)})
		throttled = throttled || code(err) == "Throttling"
	}
	if !throttled {
		t.Error("twenty requests in two seconds are all answered")
	}
}

func TestRecordsAreListedByTheLabelsFromTheRight(t *testing.T) {
	estate := DefaultEstate()
	z := estate.zone(shopZone)
	z.Records = append(z.Records, &RecordSet{Name: "b.a.shop.example", Type: "TXT", TTL: number(1), Values: []RecordValue{`"x"`}},
		&RecordSet{Name: "*.shop.example", Type: "TXT", TTL: number(1), Values: []RecordValue{`"x"`}})
	client, _ := named(t, estate, 1000)
	var got []string
	in := &route53.ListResourceRecordSetsInput{HostedZoneId: aws.String(shopZone), MaxItems: aws.Int32(3)}
	for pages := 0; ; pages++ {
		out, err := client.ListResourceRecordSets(t.Context(), in)
		if err != nil || pages > 5 {
			t.Fatal(pages, err)
		}
		for _, r := range out.ResourceRecordSets {
			got = append(got, strings.TrimSpace(aws.ToString(r.Name)+" "+string(r.Type)+" "+aws.ToString(r.SetIdentifier)))
		}
		if !out.IsTruncated {
			break
		}
		in.StartRecordName, in.StartRecordType, in.StartRecordIdentifier = out.NextRecordName, out.NextRecordType, out.NextRecordIdentifier
	}
	want := []string{
		"shop.example. A", "shop.example. NS", "shop.example. SOA", `\052.shop.example. TXT`, "b.a.shop.example. TXT",
		"api.shop.example. A first", "api.shop.example. A second", "db.shop.example. CNAME",
		"routed.shop.example. A us-east-1", "routed.shop.example. A us-west-2", "switched.shop.example. A us-east-1", "switched.shop.example. A us-west-2", "www.shop.example. A us-east-1", "www.shop.example. A us-west-2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// addresses gives n values of an A record.
func addresses(n int) []RecordValue {
	var all []RecordValue
	for i := range n {
		all = append(all, RecordValue(fmt.Sprintf("192.0.%d.%d", i/250, i%250)))
	}
	return all
}

func TestWhatRoute53DoesNotTake(t *testing.T) {
	set := func(change func(*RecordSet)) zoneChangeRequest {
		r := &RecordSet{Name: "new.shop.example", Type: "A", TTL: number(60), Values: []RecordValue{"192.0.2.1"}}
		change(r)
		var in zoneChangeRequest
		in.Changes = append(in.Changes, struct {
			Action string     `xml:"Action"`
			Set    *RecordSet `xml:"ResourceRecordSet"`
		}{"UPSERT", r})
		return in
	}
	twice := set(func(*RecordSet) {})
	twice.Changes = append(twice.Changes, twice.Changes[0])
	created := set(func(r *RecordSet) { r.Name, r.Type, r.Values = "db.shop.example", "CNAME", []RecordValue{"x.example"} })
	created.Changes[0].Action = "CREATE"
	deleted := set(func(*RecordSet) {})
	deleted.Changes[0].Action = "DELETE"
	// A set of the estate goes, as somebody believes it to be, and comes again.
	exchanged := func(first, second string, change func(*RecordSet)) zoneChangeRequest {
		old := set(func(r *RecordSet) {
			*r = *record(DefaultEstate(), shopZone, "www.shop.example. A us-east-1")
			r.Name = "WWW.shop.example"
			change(r)
		})
		old.Changes[0].Action = first
		now := set(func(r *RecordSet) { *r = *old.Changes[0].Set; r.Weight = number(7) })
		now.Changes[0].Action = second
		old.Changes = append(old.Changes, now.Changes[0])
		return old
	}
	as := func(*RecordSet) {}
	target := set(func(r *RecordSet) { r.Name = "target.shop.example" })
	alias := set(func(r *RecordSet) {
		r.TTL, r.Values, r.Alias = nil, nil, &Alias{Zone: shopZone, Name: "target.shop.example"}
	})
	order := func(first, second zoneChangeRequest) zoneChangeRequest {
		return zoneChangeRequest{Changes: slices.Concat(first.Changes, second.Changes)}
	}
	for _, tt := range []struct {
		name string
		in   zoneChangeRequest
		want string // empty: it is taken
	}{
		{"a record", set(func(*RecordSet) {}), ""},
		{"500 values", set(func(r *RecordSet) { r.Values = addresses(500) }), ""},
		{"501 values", set(func(r *RecordSet) { r.Values = addresses(501) }), "limit of 1000"},
		{"too many characters", set(func(r *RecordSet) { r.Type, r.Values = "TXT", []RecordValue{RecordValue(strings.Repeat("x", 16001))} }), "limit of 32000"},
		{"a value twice", set(func(r *RecordSet) { r.Values = slices.Repeat(r.Values, 2) }), "Duplicate Resource Record"},
		{"a CNAME", set(func(r *RecordSet) { r.Type, r.Values = "CNAME", []RecordValue{"x.example"} }), ""},
		{"a CNAME with a space", set(func(r *RecordSet) { r.Type, r.Values = "CNAME", []RecordValue{"x .example"} }), "no domain name"},
		{"a CNAME to itself", set(func(r *RecordSet) { r.Type, r.Values = "CNAME", []RecordValue{"NEW.shop.example."} }), "its own name"},
		{"a text", set(func(r *RecordSet) { r.Type, r.Values = "TXT", []RecordValue{`"x"`} }), ""},
		{"a text without quotation marks", set(func(r *RecordSet) { r.Type, r.Values = "TXT", []RecordValue{"x"} }), "enclosed in quotation marks"},
		{"an alias within the zone", set(func(r *RecordSet) {
			r.TTL, r.Values, r.Alias = nil, nil, &Alias{Zone: shopZone, Name: "www.shop.example"}
		}), ""},
		{"an alias of what is not there", set(func(r *RecordSet) {
			r.TTL, r.Values, r.Alias = nil, nil, &Alias{Zone: shopZone, Name: "gone.shop.example"}
		}), "that target was not found"},
		{"an alias of itself", set(func(r *RecordSet) {
			r.TTL, r.Values, r.Alias = nil, nil, &Alias{Zone: shopZone, Name: "new.shop.example"}
		}), "that target was not found"},
		{"same set twice", twice, "invalid set of changes"},
		{"created, and there", created, "already exists"},
		{"deleted, and not there", deleted, "not found"},
		{"deleted as it is, and created", exchanged("DELETE", "CREATE", as), ""},
		{"deleted twice", exchanged("DELETE", "DELETE", as), "invalid set of changes"},
		{"created, and deleted", exchanged("CREATE", "DELETE", as), "invalid set of changes"},
		{"deleted with another value", exchanged("DELETE", "CREATE", func(r *RecordSet) { r.Values = []RecordValue{"192.0.2.99"} }), "do not match the current values"},
		{"deleted with another TTL", exchanged("DELETE", "CREATE", func(r *RecordSet) { r.TTL = number(61) }), "do not match the current values"},
		{"deleted with another weight", exchanged("DELETE", "CREATE", func(r *RecordSet) { r.Weight = number(99) }), "do not match the current values"},
		{"deleted without its health check", exchanged("DELETE", "CREATE", func(r *RecordSet) { r.HealthCheck = "" }), "do not match the current values"},
		{"an alias after its target", order(target, alias), ""},
		{"an alias before its target", order(alias, target), "that target was not found"},
		{"another zone's name", set(func(r *RecordSet) { r.Name = "new.other.example" }), "not permitted in zone"},
		{"CNAME at the apex", set(func(r *RecordSet) { r.Name, r.Type, r.Values = "shop.example", "CNAME", []RecordValue{"x.example"} }), "not permitted at apex"},
		{"beside a CNAME", set(func(r *RecordSet) { r.Name = "db.shop.example" }), "conflicts with other records"},
		{"a policy without an identifier", set(func(r *RecordSet) { r.Weight = number(1) }), "set identifier"},
		{"an identifier without a policy", set(func(r *RecordSet) { r.SetIdentifier = "x" }), "set identifier"},
		{"beside another policy", set(func(r *RecordSet) { r.Name, r.SetIdentifier, r.Region = "www.shop.example", "x", "us-west-2" }), "routing policies"},
		{"alias with a TTL", set(func(r *RecordSet) { r.Alias, r.Values = &Alias{}, nil }), "neither TTL"},
		{"no values", set(func(r *RecordSet) { r.Values = nil }), "missing field"},
		{"weight too high", set(func(r *RecordSet) { r.SetIdentifier, r.Weight = "x", number(256) }), "from 0 to 255"},
		{"a second primary", set(func(r *RecordSet) { r.Name, r.SetIdentifier, r.Failover = "api.shop.example", "x", "PRIMARY" }), "non-unique PRIMARY"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := DefaultEstate()
			_, _, err := e.changed(e.zone(shopZone), tt.in)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// ask gives the answers of the lab's name servers to one question.
func ask(t *testing.T, a *Account, name string, kind dnsmessage.Type) (dnsmessage.RCode, string) {
	t.Helper()
	m := dnsmessage.Message{Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}}}
	query, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	var out dnsmessage.Message
	if err := out.Unpack(a.answerDNS(query, a.Estate.Zones)); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range out.Answers {
		switch body := r.Body.(type) {
		case *dnsmessage.AResource:
			all = append(all, net.IP(body.A[:]).String())
		case *dnsmessage.CNAMEResource:
			all = append(all, body.CNAME.String())
		default:
			all = append(all, r.Header.Type.String())
		}
	}
	return out.RCode, strings.Join(all, " ")
}

func TestNameServersFollowTheRoutingPolicies(t *testing.T) {
	estate := DefaultEstate()
	z := estate.zone(shopZone)
	z.Records = append(z.Records,
		&RecordSet{Name: "*.any.shop.example", Type: "A", TTL: number(60), Values: []RecordValue{"192.0.2.77"}},
		&RecordSet{Name: "chain.shop.example", Type: "CNAME", TTL: number(60), Values: []RecordValue{"api.shop.example"}})
	a := NewAccount(estate, NewClock(Epoch), 1, nil)
	for _, tt := range []struct {
		name string
		kind dnsmessage.Type
		code dnsmessage.RCode
		want string
	}{
		{"db.shop.example.", dnsmessage.TypeCNAME, 0, "rds-mysql-instance-use1.c0ffee.us-east-1.rds.amazonaws.com."},
		{"DB.shop.example.", dnsmessage.TypeA, 0, "rds-mysql-instance-use1.c0ffee.us-east-1.rds.amazonaws.com."},
		{"x.any.shop.example.", dnsmessage.TypeA, 0, "192.0.2.77"},
		{"chain.shop.example.", dnsmessage.TypeA, 0, "api.shop.example. 192.0.2.20"},
		{"api.shop.example.", dnsmessage.TypeA, 0, "192.0.2.20"},
		{"api.shop.example.", dnsmessage.TypeAAAA, 0, ""},
		{"nothing.shop.example.", dnsmessage.TypeA, dnsmessage.RCodeNameError, ""},
		{"www.elsewhere.example.", dnsmessage.TypeA, dnsmessage.RCodeRefused, ""},
	} {
		if code, got := ask(t, a, tt.name, tt.kind); code != tt.code || got != tt.want {
			t.Errorf("%s %s: %s %q, want %s %q", tt.name, tt.kind, code, got, tt.code, tt.want)
		}
	}
	if _, got := ask(t, a, "shop.example.", dnsmessage.TypeA); !strings.HasPrefix(got, "203.0.113.") {
		t.Errorf("an alias answers %q", got)
	}
	// The primary of a failover pair is ill.
	estate.HealthChecks[0].Unhealthy = true
	if _, got := ask(t, a, "api.shop.example.", dnsmessage.TypeA); got != "198.51.100.20" {
		t.Errorf("with an ill primary: %q", got)
	}
	estate.HealthChecks[0].Unhealthy = false
	share := func() int {
		west := 0
		for range 1000 {
			if _, got := ask(t, a, "www.shop.example.", dnsmessage.TypeA); got == "198.51.100.10" {
				west++
			}
		}
		return west
	}
	east, west := record(estate, shopZone, "www.shop.example. A us-east-1"), record(estate, shopZone, "www.shop.example. A us-west-2")
	for _, tt := range []struct{ east, west, low, high int }{{100, 0, 0, 0}, {75, 25, 200, 300}, {0, 1, 1000, 1000}, {0, 0, 440, 560}} {
		east.Weight, west.Weight = number(tt.east), number(tt.west)
		if n := share(); n < tt.low || n > tt.high {
			t.Errorf("weights %d and %d: %d of 1000 to the second", tt.east, tt.west, n)
		}
	}
}

func TestAnEstateWithWrongZonesIsRefused(t *testing.T) {
	for want, breakIt := range map[string]func(*Estate){
		"hosted zone Z0SHOP0EXAMPLE is there twice": func(e *Estate) { e.Zones = append(e.Zones, e.Zones[0]) },
		"routing policies": func(e *Estate) {
			r := record(e, shopZone, "www.shop.example. A us-west-2")
			r.Weight, r.Region = nil, "us-west-2"
		},
		"db.shop.example. CNAME  is there twice": func(e *Estate) {
			z := e.zone(shopZone)
			z.Records = append(z.Records, record(e, shopZone, "db.shop.example. CNAME "))
		},
	} {
		e := DefaultEstate()
		breakIt(e)
		if err := e.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := DefaultEstate().check(); err != nil {
		t.Error(err)
	}
}

// Whatever comes in, the name servers answer it or keep silent.
func FuzzAnswerDNS(f *testing.F) {
	for _, name := range []string{"www.shop.example.", "db.shop.example.", "nothing.shop.example."} {
		m := dnsmessage.Message{Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
		query, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(query)
	}
	a := NewAccount(DefaultEstate(), NewClock(Epoch), 1, nil)
	f.Fuzz(func(t *testing.T, query []byte) {
		answer := a.answerDNS(query, a.Estate.Zones)
		var m dnsmessage.Message
		if answer != nil && (m.Unpack(answer) != nil || !m.Response) {
			t.Errorf("%x is answered with %x", query, answer)
		}
	})
}
