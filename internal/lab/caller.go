package lab

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Caller is what somebody saw who used an application all the while: who looked
// its name up by DNS and posted a write to the answer, once a second. The
// resolver keeps no answers; one that does sees the old ones for a TTL longer.
type Caller struct {
	Name    string         `json:"name"`
	Writes  map[string]int `json:"writes"` // that were taken, by region
	Outages []Outage       `json:"outages"`
	// Stale counts the attempts that were led to the side that the name led to at
	// first, after it had led to another one.
	Stale    int       `json:"stale"`
	Attempts []Attempt `json:"-"`
}

// Outage is a time without a write that was taken: from the beginning of the
// first attempt that failed to the answer of the next that did not.
type Outage struct {
	AtSeconds float64 `json:"atSeconds"` // since the run began
	Seconds   float64 `json:"seconds"`
	Lasts     bool    `json:"lasts,omitempty"` // to the end
	Cause     string  `json:"cause"`           // of the first attempt that failed
}

// Attempt is one lookup and one write.
type Attempt struct {
	Begun, Ended time.Time
	Address      string // that the name led to
	Region       string // of the application there
	Status       int    // 0: no answer
	Cause        string // why the write was not taken; empty: it was
}

// callerPause is the time between two attempts, and callerStays how long they
// go on after the end of the run.
const (
	callerPause = time.Second
	callerStays = 10 * time.Second
)

// caller is somebody who uses an application.
type caller struct {
	account    *Account
	name       string
	begun      time.Time
	attempts   []Attempt
	connection net.PacketConn // of the name servers, on loopback
	queries    chan datagram
	closed     chan struct{}
}

// datagram is one query that came in.
type datagram struct {
	body []byte
	from net.Addr
}

// Resolves reports whether a public hosted zone of the estate has records of a
// name.
func (e *Estate) Resolves(name string) bool {
	z := zoneOf(e.Zones, dnsName(name))
	return z != nil && slices.ContainsFunc(z.Records, func(r *RecordSet) bool { return dnsName(r.Name) == dnsName(name) })
}

func (a *Account) newCaller(name string) (*caller, error) {
	if !a.Estate.Resolves(name) {
		return nil, fmt.Errorf("no public hosted zone of the estate holds %s", name)
	}
	connection, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serving DNS on loopback: %w", err)
	}
	c := &caller{account: a, name: dnsName(name), begun: a.clock.Now(), connection: connection, queries: make(chan datagram), closed: make(chan struct{})}
	go c.receive()
	return c, nil
}

// receive takes datagrams until the connection is closed.
func (c *caller) receive() {
	for {
		body := make([]byte, 1<<12)
		n, from, err := c.connection.ReadFrom(body)
		if err != nil {
			return
		}
		select {
		case c.queries <- datagram{body[:n], from}:
		case <-c.closed:
			return
		}
	}
}

func (c *caller) close() {
	close(c.closed)
	c.connection.Close()
}

// run makes attempts until the clock stops.
func (c *caller) run() {
	for next := c.account.clock.Now(); ; next = next.Add(callerPause) {
		c.account.clock.Sleep(next.Sub(c.account.clock.Now()))
		next = c.account.clock.Now() // an attempt without an answer takes longer than the pause
		c.attempts = append(c.attempts, c.attempt())
	}
}

func (c *caller) attempt() Attempt {
	now := c.account.clock.Now
	out := Attempt{Begun: now()}
	if address, err := c.lookUp(); err != nil {
		out.Cause = err.Error()
	} else {
		out.Address = address.String()
		c.post(&out)
	}
	out.Ended = now()
	return out
}

// lookUp has a stock resolver ask the name servers by UDP. They answer while the
// caller has its turn, so that no time passes on a virtual clock.
func (c *caller) lookUp() (netip.Addr, error) {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", c.connection.LocalAddr().String())
	}}
	type answer struct {
		all []netip.Addr
		err error
	}
	done := make(chan answer, 1)
	go func() {
		all, err := resolver.LookupNetIP(context.Background(), "ip4", c.name)
		done <- answer{all, err}
	}()
	for {
		select {
		case q := <-c.queries:
			c.account.settle()
			body := c.account.answerDNS(q.body, c.account.Estate.Zones)
			if _, err := c.connection.WriteTo(body, q.from); err != nil {
				return netip.Addr{}, err
			}
		case a := <-done:
			if a.err != nil {
				return netip.Addr{}, a.err
			}
			return a.all[0].Unmap(), nil
		}
	}
}

// post sends a write to the address that the name led to.
func (c *caller) post(out *Attempt) {
	app := c.account.Estate.appAt(out.Address)
	if app == nil {
		out.Cause = "nobody answers at " + out.Address
		return
	}
	out.Region = app.Region
	request, err := http.NewRequest(http.MethodPost, "http://"+out.Address+"/orders", strings.NewReader("one more"))
	if err != nil {
		out.Cause = err.Error()
		return
	}
	answer, err := c.account.serveApp(request, app, nil)
	out.Status = answer.status
	switch {
	case err != nil:
		out.Cause = err.Error()
	case answer.status != http.StatusCreated:
		out.Cause = fmt.Sprintf("%s answers %d: %s", app.Region, answer.status, strings.TrimSpace(string(answer.body)))
	}
}

// seen puts together what the attempts came to.
func (c *caller) seen() *Caller {
	out := &Caller{Name: strings.TrimSuffix(c.name, "."), Writes: map[string]int{}, Outages: []Outage{}, Attempts: c.attempts}
	var open *Attempt
	outage := func(end time.Time, lasts bool) {
		out.Outages = append(out.Outages, Outage{AtSeconds: rounded(open.Begun.Sub(c.begun).Seconds()), Seconds: rounded(end.Sub(open.Begun).Seconds()), Lasts: lasts, Cause: open.Cause})
		open = nil
	}
	first, moved := "", false
	for i, a := range c.attempts {
		first = cmp.Or(first, a.Region)
		if a.Region != "" && a.Region != first {
			moved = true
		}
		if moved && a.Region == first {
			out.Stale++
		}
		switch {
		case a.Cause == "":
			out.Writes[a.Region]++
			if open != nil {
				outage(a.Ended, false)
			}
		case open == nil:
			open = &c.attempts[i]
		}
	}
	if open != nil {
		outage(c.attempts[len(c.attempts)-1].Ended, true)
	}
	return out
}
