package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// page is what a fake application answers.
type page struct {
	status   int
	body     string
	location string
	expiry   time.Time
}

// fake answers by URL, and takes its time on a clock of its own.
type fake struct {
	pages     map[string]page
	takes     time.Duration
	now       time.Time
	asked     []string
	deadlines []time.Time // zero: none
}

func (f *fake) Do(r *http.Request) (*http.Response, error) {
	f.asked = append(f.asked, r.URL.String())
	deadline, _ := r.Context().Deadline()
	f.deadlines = append(f.deadlines, deadline)
	f.now = f.now.Add(f.takes)
	p, ok := f.pages[r.URL.String()]
	if !ok {
		return nil, errors.New("connection refused")
	}
	out := &http.Response{StatusCode: p.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(p.body))}
	if p.location != "" {
		out.Header.Set("Location", p.location)
	}
	if r.URL.Scheme == "https" {
		out.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{NotAfter: p.expiry}}}
	}
	return out, nil
}

func (f *fake) Dial(ctx context.Context, address string) error {
	f.asked = append(f.asked, address)
	deadline, _ := ctx.Deadline()
	f.deadlines = append(f.deadlines, deadline)
	f.now = f.now.Add(f.takes)
	if _, ok := f.pages["tcp://"+address]; !ok {
		return errors.New("connection refused")
	}
	return nil
}

func TestOnce(t *testing.T) {
	const app = "https://app.example.test/"
	with := func(change func(*CheckParameters)) CheckParameters {
		p := CheckParameters{URL: app, ExpectStatus: 200}
		change(&p)
		return p
	}
	plain := with(func(*CheckParameters) {})
	days := func(n int) CheckParameters {
		return with(func(p *CheckParameters) { p.MinCertificateDays = aws.Int(n) })
	}
	follow := with(func(p *CheckParameters) { p.FollowRedirects = true })
	ok := page{status: 200, body: "working in us-west-2", expiry: noon.AddDate(0, 0, 30)}
	moved := func(to string) page { return page{status: 302, location: to} }
	for _, tt := range []struct {
		name  string
		p     CheckParameters
		pages map[string]page
		takes time.Duration
		why   string // "" is a success
	}{
		{"works", plain, map[string]page{app: ok}, 0, ""},
		{"no answer", plain, nil, 0, "refused"},
		{"another status", plain, map[string]page{app: {status: 503}}, 0, "503"},
		{"the status asked for", with(func(p *CheckParameters) { p.ExpectStatus = 204 }), map[string]page{app: {status: 204}}, 0, ""},
		{"a redirect that is not to be followed", plain, map[string]page{app: moved(app + "in"), app + "in": ok}, 0, "302"},
		{"a redirect that is asked for", with(func(p *CheckParameters) { p.ExpectStatus = 302 }), map[string]page{app: moved(app + "in")}, 0, ""},
		{"a redirect to follow", follow, map[string]page{app: moved("/in"), app + "in": ok}, 0, ""},
		{"a redirect to nowhere", follow, map[string]page{app: moved("/in")}, 0, "refused"},
		{"a redirect in a circle", follow, map[string]page{app: moved("/")}, 0, "redirects"},
		{"a redirect off https", follow, map[string]page{app: moved("http://app.example.test/"), "http://app.example.test/": ok}, 0, "from https to http"},
		{"the text is there", with(func(p *CheckParameters) { p.BodyContains = "us-west-2" }), map[string]page{app: ok}, 0, ""},
		{"the text is not there", with(func(p *CheckParameters) { p.BodyContains = "us-east-1" }), map[string]page{app: ok}, 0, "body"},
		{"as slow as may be", with(func(p *CheckParameters) { p.MaxLatencyMilliseconds = 300 }), map[string]page{app: ok}, 300 * time.Millisecond, ""},
		{"too slow", with(func(p *CheckParameters) { p.MaxLatencyMilliseconds = 300 }), map[string]page{app: ok}, 301 * time.Millisecond, "301 ms"},
		{"slow, and no matter", plain, map[string]page{app: ok}, 5 * time.Second, ""},
		{"a certificate for long enough", days(30), map[string]page{app: ok}, 0, ""},
		{"a certificate for a day too short", days(31), map[string]page{app: ok}, 0, "31 days"},
		{"no certificate", with(func(p *CheckParameters) { p.URL, p.MinCertificateDays = "http://a.test/", aws.Int(1) }), map[string]page{"http://a.test/": ok}, 0, "no certificate"},
		{"a port that listens", CheckParameters{URL: "tcp://db.test:5432"}, map[string]page{"tcp://db.test:5432": {}}, 0, ""},
		{"a port that does not", CheckParameters{URL: "tcp://db.test:5432"}, nil, 0, "refused"},
		{"a port that is slow", CheckParameters{URL: "tcp://db.test:5432", MaxLatencyMilliseconds: 10}, map[string]page{"tcp://db.test:5432": {}}, 11 * time.Millisecond, "11 ms"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{pages: tt.pages, takes: tt.takes, now: noon}
			r := once(t.Context(), f, tt.p, func() time.Time { return f.now })
			if (r.why == "") != (tt.why == "") || !strings.Contains(r.why, tt.why) {
				t.Errorf("why %q, want %q", r.why, tt.why)
			}
			if strings.Contains(r.why, "working in") {
				t.Errorf("a body went into the result: %s", r.why)
			}
		})
	}
}

// A row of successes, as the machine makes it: what breaks it begins again.
// A probe ends in time for an invocation to tell of it, redirects included, and
// not before the longest latency that may be asked for.
func TestAProbeEnds(t *testing.T) {
	const app, there = "https://app.example.test/", "https://there.example.test/"
	var longest int
	field, _ := reflect.TypeFor[CheckParameters]().FieldByName("MaxLatencyMilliseconds")
	if _, err := fmt.Sscan(field.Tag.Get("max"), &longest); err != nil || time.Duration(longest)*time.Millisecond > timeLimit {
		t.Errorf("latencies up to %d ms may be asked for, and a probe ends after %s: %v", longest, timeLimit, err)
	}
	if timeLimit > action.InvocationTime/2 {
		t.Errorf("a probe takes up to %s of the %s that an action has for all that it does", timeLimit, action.InvocationTime)
	}
	for _, target := range []string{app, "tcp://app.example.test:443"} {
		f := &fake{pages: map[string]page{app: {status: 302, location: there}, there: {status: 200}}}
		begun := time.Now()
		once(t.Context(), f, CheckParameters{URL: target, ExpectStatus: 200, FollowRedirects: target == app}, func() time.Time { return f.now })
		ended := time.Now()
		if len(f.deadlines) == 0 {
			t.Fatalf("%s was not asked", target)
		}
		for _, d := range f.deadlines {
			if d.Before(begun.Add(timeLimit)) || d.After(ended.Add(timeLimit)) || d != f.deadlines[0] {
				t.Errorf("%s ends at %s, begun at %s", target, f.deadlines, begun)
			}
		}
	}
}

func TestSuccessesInARow(t *testing.T) {
	f := &fake{now: noon}
	check := Check{Way: f, Now: func() time.Time { return f.now }}
	req := action.Request[CheckParameters]{
		Parameters: CheckParameters{URL: "http://a.test/", ExpectStatus: 200, Successes: 3, IntervalSeconds: 10}, Drive: action.Drive{Memo: map[string]string{}},
	}
	for i, step := range []struct {
		works  bool
		before func()
		want   int
		done   bool
	}{
		{works: false, want: 0},
		{works: true, want: 1},
		{works: true, want: 2},
		{works: false, want: 0},
		{works: true, want: 1},
		{works: true, want: 1, before: func() { req.Drive.Interruptions++ }},
		{works: true, want: 2},
		{works: true, want: 1, before: func() { f.now = f.now.Add(time.Hour) }},
		{works: true, want: 1, before: func() { req.Drive.Memo = nil }},
		{works: true, want: 2},
		{works: true, want: 3, done: true},
	} {
		f.now = f.now.Add(10 * time.Second)
		if step.before != nil {
			step.before()
		}
		f.pages = nil
		if step.works {
			f.pages = map[string]page{"http://a.test/": {status: 200}}
		}
		req.Now = f.now
		progress, err := check.Reconcile(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if progress.Evidence["successes"] != step.want || (progress.Status == action.Done) != step.done || progress.WaitSeconds != 10 || progress.Changed {
			t.Errorf("probe %d: %+v, want %d in a row", i, progress, step.want)
		}
		if !step.works && !strings.Contains(progress.Message, "refused") {
			t.Errorf("probe %d: the last result is not told: %q", i, progress.Message)
		}
		req.Drive.Memo = progress.Memo
	}
}

// The real way out: no redirect, no reuse of a connection, and no answer of a
// server whose certificate nobody vouches for.
func TestOutside(t *testing.T) {
	connections := map[string]bool{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connections[r.RemoteAddr] = true
		if r.URL.Path == "/old" {
			http.Redirect(w, r, "/", http.StatusFound)
		}
	})
	server, unknown := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer server.Close()
	defer unknown.Close()
	way := client.New(aws.Config{Region: "us-west-2", HTTPClient: client.HTTPClient()}).Outside()
	probe := func(url string, status int) string {
		return once(t.Context(), way, CheckParameters{URL: url, ExpectStatus: status}, time.Now).why
	}
	for range 2 {
		if why := probe(server.URL, 200); why != "" {
			t.Error(why)
		}
	}
	if len(connections) != 2 {
		t.Errorf("two probes over %d connections", len(connections))
	}
	if why := probe(server.URL+"/old", 302); why != "" {
		t.Error(why)
	}
	if why := probe(unknown.URL, 200); !strings.Contains(why, "certificate") {
		t.Errorf("a certificate of nobody: %q", why)
	}
	if why := probe("tcp://"+server.Listener.Addr().String(), 0); why != "" {
		t.Error(why)
	}
	server.Close()
	if why := probe("tcp://"+server.Listener.Addr().String(), 0); why == "" {
		t.Error("connected to nobody")
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		p      CheckParameters
		issues int
	}{
		{"https", CheckParameters{URL: "https://a.test", MinCertificateDays: aws.Int(3)}, 0},
		{"a certificate of http", CheckParameters{URL: "http://a.test", MinCertificateDays: aws.Int(3)}, 1},
		{"tcp", CheckParameters{URL: "tcp://a.test:1"}, 0},
		{"a body of tcp", CheckParameters{URL: "tcp://a.test:1", BodyContains: "x"}, 1},
	} {
		if got := tt.p.Check(); len(got) != tt.issues {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestPreflightNeverBlocks(t *testing.T) {
	for _, pages := range []map[string]page{nil, {"http://a.test/": {status: 200}}} {
		f := &fake{pages: pages, now: noon}
		ready, err := Check{Way: f, Now: func() time.Time { return f.now }}.Preflight(t.Context(), action.Request[CheckParameters]{
			Parameters: CheckParameters{URL: "http://a.test/", ExpectStatus: 200},
		})
		if err != nil || ready.Verdict() != action.VerdictReady || len(ready.Findings) != 1 {
			t.Errorf("%+v, %v", ready, err)
		}
	}
}

func TestProber(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	prober := Prober{Way: client.New(aws.Config{Region: "us-west-2", HTTPClient: client.HTTPClient()}).Outside(), Now: time.Now}
	probe := func(target string) bool {
		return prober.Probe(t.Context(), CheckParameters{URL: target, ExpectStatus: http.StatusOK}) == nil
	}
	if !probe(server.URL+"/health") || !probe("tcp://"+listener.Addr().String()) {
		t.Error("what serves does not answer")
	}
	if status = http.StatusServiceUnavailable; probe(server.URL) {
		t.Error("a 503 counts as serving")
	}
	server.Close()
	if probe(server.URL) || probe("tcp://"+server.Listener.Addr().String()) {
		t.Error("what is gone serves")
	}
}
