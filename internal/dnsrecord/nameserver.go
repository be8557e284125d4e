package dnsrecord

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
	"golang.org/x/net/dns/dnsmessage"

	"dr-orchestrator/internal/action"
)

// Ask asks one name server for the values of a name, as contents gives them.
type Ask func(ctx context.Context, server, name, kind string) ([]string, error)

// Limits of one look at the name servers: it must fit an invocation beside the
// calls to AWS, and four servers answer for every zone.
const (
	maxQuestions = 40
	questionTime = time.Second
	lookTime     = 10 * time.Second
)

// query is a question to the name servers of a zone. Without want, nothing can
// be said beforehand of what they are to answer.
type query struct {
	group
	want []string
	hint string // why the answer may be another one
}

// heard is what name servers have answered.
type heard struct {
	agree, left   int               // answers as wanted; queries or questions that were not asked
	silent        map[string]string // servers, or zones without any, and why
	contradiction string
}

// zoneReader tells the name servers of a zone.
type zoneReader interface {
	GetHostedZone(context.Context, *route53.GetHostedZoneInput, ...func(*route53.Options)) (*route53.GetHostedZoneOutput, error)
}

// listen asks name servers, until one contradicts. The zones themselves are read
// without a limit: AWS answers, however long the servers have been silent.
func listen(ctx context.Context, api zoneReader, ask Ask, queries []query) (heard, error) {
	asking, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	servers := map[string][]string{}
	h := heard{silent: map[string]string{}}
	asked := 0
	over := func() bool { return asked == maxQuestions || asking.Err() != nil }
	for _, q := range queries {
		if q.want == nil || over() {
			h.left++
			continue
		}
		if _, known := servers[q.zone]; !known {
			names, err := nameServers(ctx, api, q.zone)
			if err != nil {
				return h, err
			}
			if len(names) == 0 {
				h.silent[q.zone] = "the zone has no public name servers"
			}
			servers[q.zone] = names
		}
		for _, server := range servers[q.zone] {
			if h.silent[server] != "" {
				continue
			}
			if over() {
				h.left++
				break
			}
			asked++
			got, err := ask.within(asking, server, q)
			switch {
			case err != nil && asking.Err() != nil:
				h.left++
			case err != nil:
				h.silent[server] = err.Error()
			case !slices.Equal(got, q.want):
				h.contradiction = fmt.Sprintf("%s still answers %s with %q%s", server, q.group, strings.Join(got, " "), q.hint)
				return h, nil
			default:
				h.agree++
			}
		}
	}
	return h, nil
}

func (a Ask) within(ctx context.Context, server string, q query) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, questionTime)
	defer cancel()
	return a(ctx, server, q.name, q.kind)
}

// lead gives the set of a name that must answer, whoever asks: the only one, the
// only one with a weight, or the primary where the payload is about that. Other
// policies choose by who asks, or by chance.
func (n name) lead() (types.ResourceRecordSet, bool) {
	leads := slices.DeleteFunc(slices.Clone(n.after), func(s types.ResourceRecordSet) bool {
		switch {
		case s.Weight != nil:
			return *s.Weight == 0
		case s.Failover != "":
			return s.Failover != types.ResourceRecordSetFailoverPrimary || !n.names(s)
		}
		return s.SetIdentifier != nil
	})
	if len(leads) != 1 {
		return types.ResourceRecordSet{}, false
	}
	return leads[0], true
}

// alias gives the name that a set has its values from: Route 53 fills in only
// what is in the same zone with values of its own.
func (g group) alias(s types.ResourceRecordSet) (group, bool) {
	if s.AliasTarget == nil || aws.ToString(s.AliasTarget.HostedZoneId) != g.zone {
		return group{}, false
	}
	return group{g.zone, normalName(aws.ToString(s.AliasTarget.DNSName)), g.kind}, true
}

// maxAliases is how many aliases in a row are followed.
const maxAliases = 3

// queries gives what is to be asked about the names of some batches.
func queries(ctx context.Context, api Lister, all []batch) ([]query, error) {
	known := map[group]name{}
	var asked []name
	for _, b := range all {
		for _, n := range b.names {
			known[n.group] = n
			asked = append(asked, n)
		}
	}
	at := slices.Clone(asked) // where the alias of each name has led to
	for range maxAliases {
		var missing []group
		for _, n := range at {
			s, _ := n.lead()
			if to, ok := n.alias(s); ok && known[to].name == "" {
				missing = append(missing, to)
			}
		}
		more, err := find(ctx, api, missing)
		if err != nil {
			return nil, err
		}
		for _, g := range missing {
			known[g] = name{group: g, before: more[g], after: more[g]}
		}
		for i, n := range at {
			s, _ := n.lead()
			if to, ok := n.alias(s); ok {
				at[i] = known[to]
			}
		}
	}
	var out []query
	for i, n := range asked {
		q := query{group: n.group}
		if s, ok := at[i].lead(); ok && s.AliasTarget == nil && kinds[n.kind] != 0 {
			q.want = contents(s)
		}
		if s, _ := n.lead(); s.HealthCheckId != nil {
			q.hint = ": while health check " + *s.HealthCheckId + " is unhealthy, other sets answer"
		}
		out = append(out, q)
	}
	return out, nil
}

// checkNameServers holds a finished change until no name server of the zones
// contradicts it. A server that cannot be asked is told of, and no more: a
// function in a VPC may have no way there, and private zones have no server
// that could be asked at all.
func (a Swap) checkNameServers(ctx context.Context, all []batch, seen action.Evidence, d action.Decision) (action.Decision, error) {
	asked, err := queries(ctx, a.Route53, all)
	if err != nil {
		return d, err
	}
	h, err := listen(ctx, a.Route53, a.Ask, asked)
	if err != nil {
		return d, err
	}
	if h.contradiction != "" {
		return action.WaitFinal(action.StateUnderWay, "name servers", "%s", h.contradiction), nil
	}
	seen["nameServers"] = fmt.Sprintf("%d answers as wanted, %d names or questions left out", h.agree, h.left)
	if len(h.silent) > 0 {
		seen["nameServersUnanswered"] = h.silent
	}
	return d, nil
}

func nameServers(ctx context.Context, api zoneReader, zone string) ([]string, error) {
	out, err := api.GetHostedZone(ctx, &route53.GetHostedZoneInput{Id: aws.String(zone)})
	if err != nil {
		return nil, action.Call("reading hosted zone "+zone, err)
	}
	if out.DelegationSet == nil || out.HostedZone != nil && out.HostedZone.Config != nil && out.HostedZone.Config.PrivateZone {
		return nil, nil
	}
	return out.DelegationSet.NameServers, nil
}

// Exchange sends one DNS message to a server and gives its answer.
type Exchange func(ctx context.Context, server string, query []byte) ([]byte, error)

// NameServers asks name servers by DNS. Without an exchange it goes over the
// network, to port 53.
func NameServers(exchange Exchange) Ask {
	if exchange == nil {
		exchange = overNetwork
	}
	return func(ctx context.Context, server, name, kind string) ([]string, error) {
		query, err := question(name, kind)
		if err != nil {
			return nil, err
		}
		answer, err := exchange(ctx, server, query)
		if err != nil {
			return nil, err
		}
		return answers(query, answer)
	}
}

var kinds = map[string]dnsmessage.Type{"A": dnsmessage.TypeA, "AAAA": dnsmessage.TypeAAAA, "CNAME": dnsmessage.TypeCNAME}

// question writes a query without asking for recursion.
func question(name, kind string) ([]byte, error) {
	of, err := dnsmessage.NewName(strings.Replace(name, `\052`, "*", 1))
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: uint16(rand.Uint32())},
		Questions: []dnsmessage.Question{{Name: of, Type: kinds[kind], Class: dnsmessage.ClassINET}},
	}
	return m.Pack()
}

// answers reads the values of the type that was asked for.
func answers(query, answer []byte) ([]string, error) {
	var asked, m dnsmessage.Message
	if err := asked.Unpack(query); err != nil {
		return nil, err
	}
	if err := m.Unpack(answer); err != nil {
		return nil, fmt.Errorf("the answer is no DNS message: %w", err)
	}
	switch {
	case m.ID != asked.ID || !m.Response || len(m.Questions) != 1 || !strings.EqualFold(m.Questions[0].Name.String(), asked.Questions[0].Name.String()):
		return nil, errors.New("the answer belongs to another question")
	case m.RCode != dnsmessage.RCodeSuccess && m.RCode != dnsmessage.RCodeNameError:
		return nil, fmt.Errorf("the answer is %s", m.RCode)
	case !m.Authoritative:
		return nil, errors.New("the answer is not authoritative")
	}
	var all []string
	for _, r := range m.Answers {
		if !strings.EqualFold(r.Header.Name.String(), asked.Questions[0].Name.String()) {
			continue
		}
		switch body := r.Body.(type) {
		case *dnsmessage.AResource:
			all = append(all, netip.AddrFrom4(body.A).String())
		case *dnsmessage.AAAAResource:
			all = append(all, netip.AddrFrom16(body.AAAA).String())
		case *dnsmessage.CNAMEResource:
			all = append(all, normalName(body.CNAME.String()))
		}
	}
	slices.Sort(all)
	return all, nil
}

// overNetwork asks by UDP, and again by TCP where the answer was cut off.
func overNetwork(ctx context.Context, server string, query []byte) ([]byte, error) {
	at := net.JoinHostPort(strings.TrimSuffix(server, "."), "53")
	answer, err := exchange(ctx, "udp", at, query)
	if err != nil || len(answer) < 3 || answer[2]&0x02 == 0 { // the bit TC
		return answer, err
	}
	framed := binary.BigEndian.AppendUint16(nil, uint16(len(query)))
	answer, err = exchange(ctx, "tcp", at, append(framed, query...))
	return answer, err
}

func exchange(ctx context.Context, network, at string, query []byte) ([]byte, error) {
	connection, err := new(net.Dialer).DialContext(ctx, network, at)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := connection.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	if _, err := connection.Write(query); err != nil {
		return nil, err
	}
	answer := make([]byte, 1<<16)
	if network == "udp" {
		n, err := connection.Read(answer)
		return answer[:n], err
	}
	if _, err := io.ReadFull(connection, answer[:2]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint16(answer[:2])
	_, err = io.ReadFull(connection, answer[:n])
	return answer[:n], err
}
