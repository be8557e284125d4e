package lab

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// ServeDNS answers DNS queries on a UDP connection, as the name servers of all
// public zones together, until the connection is closed. The clock must be
// running.
func (a *Account) ServeDNS(connection net.PacketConn) error {
	query := make([]byte, 1<<16)
	for {
		n, from, err := connection.ReadFrom(query)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		var answer []byte
		a.clock.Enter(func() {
			a.settle()
			answer = a.answerDNS(query[:n], a.Estate.Zones)
		})
		if answer == nil {
			continue // no DNS at all
		}
		if _, err := connection.WriteTo(answer, from); err != nil && errors.Is(err, net.ErrClosed) {
			return nil
		}
	}
}

// exchange is how functions inside the lab reach the zones' name servers,
// which no loss of a region takes away.
func (a *Account) exchange(ctx context.Context, server string, query []byte) ([]byte, error) {
	inv, _ := ctx.Value(invocationKey{}).(*invocation)
	inv.check()
	a.clock.Sleep(time.Duration(a.Estate.Latencies.API) * time.Millisecond / 4) // one datagram each way
	inv.check()
	a.settle()
	var zones []*Zone
	for _, z := range a.Estate.Zones {
		if slices.Contains(z.NameServers, strings.TrimSuffix(server, ".")) {
			zones = append(zones, z)
		}
	}
	if zones == nil {
		return nil, &net.OpError{Op: "read", Net: "udp", Err: noAnswer{"asking " + server}}
	}
	return a.answerDNS(query, zones), nil
}

// answerDNS answers one query out of the zones' published records; nil where
// there is nothing to answer to.
func (a *Account) answerDNS(query []byte, zones []*Zone) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || m.Response || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	out := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: m.ID, Response: true, OpCode: m.OpCode, RecursionDesired: m.RecursionDesired},
		Questions: m.Questions,
	}
	name := dnsName(q.Name.String())
	z := zoneOf(zones, name)
	if z == nil || q.Class != dnsmessage.ClassINET {
		out.RCode = dnsmessage.RCodeRefused
		return packed(out)
	}
	out.Authoritative = true
	found := false
	for range 8 { // a chain of CNAMEs inside the zones ends somewhere
		var next string
		var some []dnsmessage.Resource
		some, next, found = a.lookUp(z, name, q)
		out.Answers = append(out.Answers, some...)
		if next == "" {
			break
		}
		if name, z = next, zoneOf(zones, next); z == nil {
			break
		}
	}
	if len(out.Answers) == 0 {
		if !found {
			out.RCode = dnsmessage.RCodeNameError
		}
		out.Authorities = a.authority(z)
	}
	return packed(out)
}

// authority is what goes with an answer that says no: the SOA of the zone, by
// which resolvers know how long to remember it.
func (a *Account) authority(z *Zone) []dnsmessage.Resource {
	apex, err := dnsmessage.NewName(dnsName(z.Name))
	if err != nil {
		return nil
	}
	some, _, _ := a.lookUp(z, dnsName(z.Name), dnsmessage.Question{Name: apex, Type: dnsmessage.TypeSOA, Class: dnsmessage.ClassINET})
	return some
}

func packed(m dnsmessage.Message) []byte {
	body, err := m.Pack()
	if err != nil {
		return nil
	}
	return body
}

// zoneOf finds the longest public zone that a name is in.
func zoneOf(zones []*Zone, name string) *Zone {
	var best *Zone
	for _, z := range zones {
		apex := dnsName(z.Name)
		if !z.Private && (name == apex || strings.HasSuffix(name, "."+apex)) && (best == nil || len(z.Name) > len(best.Name)) {
			best = z
		}
	}
	return best
}

// lookUp answers for one name: with records of the type asked for, or with the
// CNAME to go on with. found tells whether the name is there at all.
func (a *Account) lookUp(z *Zone, name string, q dnsmessage.Question) (some []dnsmessage.Resource, next string, found bool) {
	records := z.Records
	if z.Published != nil {
		records = z.Published
	}
	at := name
	named := func(r *RecordSet) bool { return dnsName(r.Name) == at }
	if !slices.ContainsFunc(records, named) {
		_, parent, _ := strings.Cut(name, ".")
		at = `\052.` + parent
	}
	kind := strings.TrimPrefix(q.Type.String(), "Type")
	for _, wanted := range []string{kind, "CNAME"} {
		var sets []*RecordSet
		for _, r := range records {
			if named(r) {
				found = true
				if r.Type == wanted {
					sets = append(sets, r)
				}
			}
		}
		for _, r := range a.choose(sets) {
			if r.Alias != nil {
				var known bool
				if r, known = a.behind(z, records, r); !known {
					some = append(some, a.aliased(r, name, q)...)
					continue
				}
			}
			for _, v := range r.Values {
				some = append(some, resource(q, name, wanted, string(v), r.TTL))
				if wanted == "CNAME" && kind != "CNAME" {
					next = dnsName(string(v))
				}
			}
		}
		if len(some) > 0 {
			break
		}
	}
	return slices.DeleteFunc(some, func(r dnsmessage.Resource) bool { return r.Body == nil }), next, found
}

// choose applies the routing policy of a name to its sets. Where the caller is
// nobody knows here, so that of latency and location the first healthy set
// answers.
func (a *Account) choose(sets []*RecordSet) []*RecordSet {
	if len(sets) == 0 || sets[0].policy() == "simple" {
		return sets
	}
	healthy := slices.DeleteFunc(slices.Clone(sets), func(r *RecordSet) bool { return !a.healthy(r) })
	if len(healthy) == 0 {
		healthy = sets // Route 53 takes all for healthy when none is
	}
	switch sets[0].policy() {
	case "multivalue answer":
		return healthy[:min(len(healthy), 8)]
	case "weighted":
		return []*RecordSet{a.weighted(healthy)}
	case "failover":
		if i := slices.IndexFunc(healthy, func(r *RecordSet) bool { return r.Failover == "PRIMARY" }); i >= 0 {
			return healthy[i : i+1]
		}
	}
	return healthy[:1]
}

// weighted draws a set in proportion to the weights; if all are zero, with
// equal odds.
func (a *Account) weighted(sets []*RecordSet) *RecordSet {
	total := 0
	for _, r := range sets {
		total += *r.Weight
	}
	if total == 0 {
		return sets[a.dns.IntN(len(sets))]
	}
	draw := a.dns.IntN(total)
	for _, r := range sets {
		if draw < *r.Weight {
			return r
		}
		draw -= *r.Weight
	}
	return sets[len(sets)-1]
}

func (a *Account) healthy(r *RecordSet) bool {
	if r.HealthCheck == "" {
		return true
	}
	i := slices.IndexFunc(a.Estate.HealthChecks, func(h *HealthCheck) bool { return h.ID == r.HealthCheck })
	return i < 0 || a.tellsHealthy(a.Estate.HealthChecks[i])
}

// behind follows an alias as far as its zone goes: known tells whether that led
// to a set with values.
func (a *Account) behind(z *Zone, records []*RecordSet, r *RecordSet) (set *RecordSet, known bool) {
	for range 8 { // a chain of aliases ends somewhere
		if r.Alias == nil || r.Alias.Zone != z.ID {
			break
		}
		var sets []*RecordSet
		for _, other := range records {
			if other.group() == dnsName(r.Alias.Name)+" "+r.Type {
				sets = append(sets, other)
			}
		}
		if sets = a.choose(sets); len(sets) == 0 {
			break
		}
		r = sets[0]
	}
	return r, r.Alias == nil
}

// aliased answers for an alias out of the zone: with an address made of the target's name,
// from the block that is kept for documentation.
func (a *Account) aliased(r *RecordSet, name string, q dnsmessage.Question) []dnsmessage.Resource {
	sum := sha256.Sum256([]byte(dnsName(r.Alias.Name)))
	address := netip.AddrFrom4([4]byte{203, 0, 113, sum[0]})
	return []dnsmessage.Resource{resource(q, name, "A", address.String(), number(60))}
}

// resource makes a resource record; its body is nil where the type is none
// that the lab writes.
func resource(q dnsmessage.Question, name, kind, value string, ttl *int) dnsmessage.Resource {
	out := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Class: dnsmessage.ClassINET}}
	if ttl != nil {
		out.Header.TTL = uint32(*ttl)
	}
	var err error
	if out.Header.Name = q.Name; !strings.EqualFold(dnsName(q.Name.String()), name) {
		out.Header.Name, err = dnsmessage.NewName(strings.Replace(name, `\052`, "*", 1))
	}
	switch address, parseErr := netip.ParseAddr(value); kind {
	case "A":
		if parseErr == nil && address.Is4() {
			out.Body = &dnsmessage.AResource{A: address.As4()}
		}
	case "AAAA":
		if parseErr == nil && address.Is6() {
			out.Body = &dnsmessage.AAAAResource{AAAA: address.As16()}
		}
	case "CNAME", "NS":
		var target dnsmessage.Name
		if target, err = dnsmessage.NewName(dnsName(value)); kind == "NS" {
			out.Body = &dnsmessage.NSResource{NS: target}
		} else {
			out.Body = &dnsmessage.CNAMEResource{CNAME: target}
		}
	case "SOA":
		if soa, ok := soaOf(value); ok {
			out.Body = &soa
		}
	case "TXT":
		out.Body = &dnsmessage.TXTResource{TXT: []string{strings.Trim(value, `"`)}}
	}
	if err != nil {
		out.Body = nil
	}
	return out
}

// soaOf reads the value of a SOA record: two names and five numbers.
func soaOf(value string) (dnsmessage.SOAResource, bool) {
	var server, mailbox string
	var soa dnsmessage.SOAResource
	if n, err := fmt.Sscan(value, &server, &mailbox, &soa.Serial, &soa.Refresh, &soa.Retry, &soa.Expire, &soa.MinTTL); n != 7 || err != nil {
		return soa, false
	}
	var errs [2]error
	soa.NS, errs[0] = dnsmessage.NewName(dnsName(server))
	soa.MBox, errs[1] = dnsmessage.NewName(dnsName(mailbox))
	return soa, errs == [2]error{}
}

// ServeDNSStreams answers DNS queries on TCP connections, as ServeDNS does on
// UDP, until the listener is closed: a resolver asks so where the network
// swallows datagrams, or an answer is too long for one.
func (a *Account) ServeDNSStreams(listener net.Listener) error {
	for {
		connection, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go a.answerStream(connection)
	}
}

// answerStream answers the queries of one connection, each with its length
// before it.
func (a *Account) answerStream(connection net.Conn) {
	defer connection.Close()
	for {
		var size [2]byte
		if connection.SetDeadline(time.Now().Add(streamIdle)) != nil {
			return
		}
		if _, err := io.ReadFull(connection, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(connection, query); err != nil {
			return
		}
		var answer []byte
		a.clock.Enter(func() {
			a.settle()
			answer = a.answerDNS(query, a.Estate.Zones)
		})
		if answer == nil || len(answer) > 1<<16-1 {
			return
		}
		if _, err := connection.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// streamIdle is how long a connection may be silent.
const streamIdle = 5 * time.Second
