package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"dr-orchestrator/internal/client"
)

// App is an application in a region, which works as long as its database takes
// writes: it answers a GET with 200 and names its region, takes a POST as a
// write with 201, or answers 503.
type App struct {
	Region   string `json:"region"`
	URL      string `json:"url"`                // scheme and path do not matter
	Instance string `json:"instance,omitempty"` // DB instance in the region
	Cluster  string `json:"cluster,omitempty"`  // or DB cluster
	// Addresses are those that records lead to it by.
	Addresses []string `json:"addresses,omitempty"`
	// Milliseconds that an answer takes, and days for which its certificate
	// is valid, from the beginning of the lab.
	Milliseconds    int `json:"latencyMilliseconds"`
	CertificateDays int `json:"certificateDays"`
}

// appAddresses are what the A records of the default zone lead to.
var appAddresses = map[string][]string{
	"us-east-1": {"192.0.2.10", "192.0.2.20", "192.0.2.30", "192.0.2.40"},
	"us-west-2": {"198.51.100.10", "198.51.100.20", "198.51.100.30", "198.51.100.40"},
}

func (e *Estate) addApps(clusters map[string]string) {
	for _, region := range sortedKeys(clusters) {
		e.Apps = append(e.Apps, &App{Region: region, URL: "https://app." + region + ".example.test/", Cluster: clusters[region], Addresses: appAddresses[region], Milliseconds: 40, CertificateDays: 60})
	}
}

// app finds the application that a request is for. AWS calls are signed, and
// are never for one.
func (e *Estate) app(r *http.Request) *App {
	if r.Header.Get("Authorization") != "" {
		return nil
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	return e.appAt(host)
}

func (e *Estate) appAt(host string) *App {
	for _, app := range e.Apps {
		if u, err := url.Parse(app.URL); err == nil && u.Hostname() == host || slices.Contains(app.Addresses, host) {
			return app
		}
	}
	return nil
}

// works reports whether the database of an application takes writes.
func (e *Estate) works(app *App) bool {
	if i := e.instance(app.Region, app.Instance); i != nil {
		return i.Source == "" && slices.Contains([]string{"available", "backing-up", "modifying"}, i.Status)
	}
	for _, c := range e.Clusters {
		if c.Region != app.Region || c.ID != app.Cluster {
			continue
		}
		g := e.globalOf(e.clusterARN(c))
		return c.Status == "available" && (g == nil || slices.ContainsFunc(g.Members, func(m GlobalMember) bool {
			return m.ARN == e.clusterARN(c) && m.Writer
		}))
	}
	return false
}

// The names that faults and counts know requests to an application by.
const (
	callApp   = "application:GetPage"
	callWrite = "application:PostWrite"
)

// serveApp answers a request to an application.
func (a *Account) serveApp(r *http.Request, app *App, inv *invocation) (response, error) {
	call := callApp
	if r.Method == http.MethodPost {
		call = callWrite
	}
	if err := a.reach(app, r.Host, call, inv); err != nil {
		return response{}, err
	}
	a.clock.Sleep(time.Duration(app.Milliseconds) * time.Millisecond)
	inv.check()
	a.settle()
	hit := a.faults.strike(call)
	has := func(k FaultKind) bool { return slices.Contains(hit, k) }
	switch {
	case has(Kill) && inv != nil:
		inv.die("Runtime.ExitError", "RequestId: "+a.id()+" Error: Runtime exited with error: signal: killed")
		inv.check()
	case has(Timeout):
		a.clock.Sleep(client.ResponseTimeout)
		inv.check()
		return response{}, noAnswer{"awaiting response headers"}
	case has(Throttle):
		return response{status: http.StatusTooManyRequests}, nil
	case has(Broken), has(Lost):
		return response{status: http.StatusInternalServerError}, nil
	}
	if !a.Estate.works(app) {
		return response{status: http.StatusServiceUnavailable, body: []byte("the database takes no writes\n")}, nil
	}
	if call == callWrite {
		return response{status: http.StatusCreated, body: fmt.Appendf(nil, "written in %s\n", app.Region)}, nil
	}
	return response{status: http.StatusOK, body: fmt.Appendf(nil, "working in %s\n", app.Region)}, nil
}

// reach connects to an application.
func (a *Account) reach(app *App, host, call string, inv *invocation) error {
	inv.check()
	if a.faults.dead(app.Region) {
		a.clock.Sleep(client.DialTimeout)
		inv.check()
		return &net.OpError{Op: "dial", Net: "tcp", Err: noAnswer{"dial " + host}}
	}
	if call == callApp { // writes are a caller's, and no part of a run
		a.Calls[call]++
	}
	return nil
}

// outside is the way of functions that run in the lab to what is not AWS.
type outside struct{ transport }

// Outside gives the way to the applications of the estate.
func (t transport) Outside() client.Outside { return outside{t} }

// Do asks an application.
func (o outside) Do(r *http.Request) (*http.Response, error) {
	a := o.account
	r.Host = r.URL.Host
	app := a.Estate.app(r)
	if app == nil {
		return nil, &net.DNSError{Err: "no such host", Name: r.URL.Hostname(), IsNotFound: true}
	}
	inv, _ := r.Context().Value(invocationKey{}).(*invocation)
	answer, err := a.serveApp(r, app, inv)
	if err != nil {
		return nil, err
	}
	out := answer.http(r)
	if r.URL.Scheme == "https" {
		out.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{NotAfter: a.clock.start.AddDate(0, 0, app.CertificateDays)}}}
	}
	return out, nil
}

// Dial connects to an application: it listens whether it works or not.
func (o outside) Dial(ctx context.Context, address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	app := o.account.Estate.appAt(host)
	if app == nil {
		return &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	inv, _ := ctx.Value(invocationKey{}).(*invocation)
	return o.account.reach(app, address, callApp, inv)
}
