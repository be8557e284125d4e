// Package dnsrecord moves traffic by Amazon Route 53 records.
//
// A record set is known by name, type and set identifier. What a payload does
// not say of it stays as it is: Route 53 replaces a set as a whole, so that
// everything is read first and written back.
package dnsrecord

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/payload"
)

// Record is a record set, and what is to become of it. Only what is given is
// changed.
type Record struct {
	Zone                 string   `json:",omitempty" param:"required" format:"hosted-zone" doc:"ID of the hosted zone."`
	Name                 string   `json:",omitempty" param:"required" format:"dns-name" doc:"Name of the record set."`
	Type                 string   `json:",omitempty" param:"required" enum:"A,AAAA,CAA,CNAME,HTTPS,MX,NAPTR,PTR,SPF,SRV,SSHFP,SVCB,TLSA,TXT" doc:"Type of the record set."`
	SetIdentifier        string   `json:",omitempty" doc:"Which of the sets of this name and type; needed with every routing policy but the simple one."`
	Values               []string `json:",omitempty" doc:"The values that it is to have."`
	AliasTarget          string   `json:",omitempty" format:"dns-name" doc:"DNS name that it is to be an alias of."`
	AliasZone            string   `json:",omitempty" format:"hosted-zone" doc:"Hosted zone of the alias target; without it the one that stands there is kept."`
	EvaluateTargetHealth *bool    `json:",omitempty" doc:"Whether an alias is as healthy as its target."`
	TTL                  *int     `json:",omitempty" min:"0" max:"2147483647" doc:"Seconds for which resolvers keep the answer."`
	Weight               *int     `json:",omitempty" min:"0" max:"255" doc:"Weight of a weighted record set."`
	Failover             string   `json:",omitempty" enum:"PRIMARY,SECONDARY" doc:"Role of a failover record set."`
	Region               string   `json:",omitempty" format:"region" doc:"Region of a latency record set."`
	HealthCheck          string   `json:",omitempty" doc:"ID of the health check that it is to have."`
	Expect               []string `json:",omitempty" doc:"Values, or the alias target, that it must have before: with others nothing is changed."`
	ExpectWeight         *int     `json:",omitempty" min:"0" max:"255" doc:"Weight that it must have before."`
}

// group is all record sets of one name and type.
type group struct{ zone, name, kind string }

func (r Record) group() group { return group{r.Zone, normalName(r.Name), r.Type} }

// identity names a group to those that keep two changes of it apart.
func (g group) identity() string { return "dns-record/" + g.zone + "/" + g.String() }

func (g group) String() string { return g.name + " " + g.kind }

func (r Record) String() string {
	if r.SetIdentifier == "" {
		return r.group().String()
	}
	return r.group().String() + " " + r.SetIdentifier
}

// normalName writes a name as Route 53 lists it: in lower case, with a final
// dot, and with the asterisk of a wildcard in octal.
func normalName(name string) string {
	name = strings.ToLower(name)
	if !strings.HasSuffix(name, ".") {
		name += "."
	}
	return strings.Replace(name, "*", `\052`, 1)
}

// normalValue makes values comparable: names without regard to case and final
// dot, addresses in their shortest form, everything else as it stands.
func normalValue(kind, value string) string {
	switch kind {
	case "CNAME", "PTR":
		return normalName(value)
	case "AAAA":
		if address, err := netip.ParseAddr(value); err == nil {
			return address.String()
		}
	}
	return value
}

// hostName is a name without what Route 53 takes in a value only as an escape.
var hostName = regexp.MustCompile(`^[^\s."]{1,63}(?:\.[^\s."]{1,63})*\.?$`)

// quoted is a value of a TXT record: one or more character strings, each in
// quotation marks. Inside them a quotation mark and a backslash are escaped.
var quoted = regexp.MustCompile(`^"(?:[^"\\]|\\.){0,255}"(?:\s+"(?:[^"\\]|\\.){0,255}")*$`)

// check finds what is wrong with a record by itself. at names its parameters.
func (r Record) check(at func(parameter string) string) []payload.Issue {
	var issues []payload.Issue
	wrong := func(parameter, want, format string, args ...any) {
		issues = append(issues, payload.Issue{Parameter: at(parameter), Message: fmt.Sprintf(format, args...), Want: want})
	}
	policies := 0
	for _, given := range []bool{r.Weight != nil, r.Failover != "", r.Region != ""} {
		if given {
			policies++
		}
	}
	alias := r.AliasTarget != "" || r.AliasZone != "" || r.EvaluateTargetHealth != nil
	switch {
	case r.Values == nil && !alias && r.TTL == nil && policies == 0 && r.HealthCheck == "":
		wrong("Name", "Values, AliasTarget, TTL, Weight, Failover, Region or HealthCheck", "nothing is to change of %s", r)
	case alias && r.Values != nil:
		wrong("Values", "the one or the other", "%s cannot have values and be an alias", r)
	case alias && r.TTL != nil:
		wrong("TTL", "no TTL", "%s is an alias, and an alias has the TTL of its target", r)
	}
	if policies > 1 {
		wrong("SetIdentifier", "one of Weight, Failover and Region", "%s cannot have several routing policies", r)
	}
	if (policies > 0 || r.ExpectWeight != nil) && r.SetIdentifier == "" {
		wrong("Name", "SetIdentifier", "%s has a routing policy, and no SetIdentifier says which of the sets is meant", r)
	}
	if r.Type == "CNAME" && len(r.Values) > 1 {
		wrong("Values", "one value", "a CNAME has one value")
	}
	seen := map[string]bool{}
	for _, v := range r.Values {
		if normal := normalValue(r.Type, v); seen[normal] {
			wrong("Values", "each value once", "%q stands twice in it", v)
		} else {
			seen[normal] = true
		}
		address, err := netip.ParseAddr(v)
		switch {
		case r.Type == "A" && (err != nil || !address.Is4()):
			wrong("Values", "IPv4 addresses", "%q is no IPv4 address", v)
		case r.Type == "AAAA" && (err != nil || !address.Is6()):
			wrong("Values", "IPv6 addresses", "%q is no IPv6 address", v)
		case r.Type == "CNAME" && normalName(v) == normalName(r.Name):
			wrong("Values", "another name", "a CNAME cannot lead to its own name, %s", v)
		case r.Type == "CNAME" && !hostName.MatchString(v):
			wrong("Values", "a DNS name, such as orders.example.com", "%q is no DNS name", v)
		case (r.Type == "TXT" || r.Type == "SPF") && !quoted.MatchString(v):
			wrong("Values", `texts of at most 255 characters in quotation marks, such as "\"one\" \"two\""`, "%s is no text in quotation marks", v)
		}
	}
	return issues
}

// moves reports whether a record says where traffic goes.
func (r Record) moves() bool {
	return r.Values != nil || r.AliasTarget != "" || r.Weight != nil || r.Failover != "" || r.Region != ""
}

// apply gives the set as it is to become, out of the set as it is.
func (r Record) apply(now types.ResourceRecordSet) (types.ResourceRecordSet, error) {
	bad := func(format string, args ...any) (types.ResourceRecordSet, error) {
		return now, action.Errorf(action.Refused, "%s "+format, append([]any{r}, args...)...)
	}
	out := now
	if r.Values != nil {
		if now.AliasTarget != nil && r.TTL == nil {
			return bad("is an alias and is to have values: say the TTL, which an alias has not")
		}
		out.AliasTarget, out.ResourceRecords = nil, nil
		for _, v := range r.Values {
			out.ResourceRecords = append(out.ResourceRecords, types.ResourceRecord{Value: aws.String(v)})
		}
	}
	if r.AliasTarget != "" || r.AliasZone != "" || r.EvaluateTargetHealth != nil {
		var target types.AliasTarget
		if now.AliasTarget != nil {
			target = *now.AliasTarget
		} else if r.AliasTarget == "" || r.AliasZone == "" {
			return bad("is no alias yet: say both AliasTarget and AliasZone")
		}
		if r.AliasTarget != "" {
			target.DNSName = aws.String(r.AliasTarget)
		}
		if r.AliasZone != "" {
			target.HostedZoneId = aws.String(r.AliasZone)
		}
		if r.EvaluateTargetHealth != nil {
			target.EvaluateTargetHealth = *r.EvaluateTargetHealth
		}
		out.AliasTarget, out.ResourceRecords, out.TTL = &target, nil, nil
	}
	if r.TTL != nil {
		if out.AliasTarget != nil {
			return bad("is an alias, and an alias has the TTL of its target")
		}
		out.TTL = aws.Int64(int64(*r.TTL))
	}
	if r.Weight != nil {
		if now.Weight == nil {
			return bad("is no weighted record set")
		}
		out.Weight = aws.Int64(int64(*r.Weight))
	}
	if r.Failover != "" {
		if now.Failover == "" {
			return bad("is no failover record set")
		}
		out.Failover = types.ResourceRecordSetFailover(r.Failover)
	}
	if r.Region != "" {
		if now.Region == "" {
			return bad("is no latency record set")
		}
		out.Region = types.ResourceRecordSetRegion(r.Region)
	}
	if r.HealthCheck != "" {
		out.HealthCheckId = aws.String(r.HealthCheck)
	}
	return out, nil
}

// expected reports whether the set is as the payload expects it to be before
// the change.
func (r Record) expected(now types.ResourceRecordSet) bool {
	if r.ExpectWeight != nil && (now.Weight == nil || *now.Weight != int64(*r.ExpectWeight)) {
		return false
	}
	if r.Expect == nil {
		return true
	}
	kind := r.Type
	if now.AliasTarget != nil {
		kind = "CNAME" // the target is a name
	}
	want := make([]string, len(r.Expect))
	for i, v := range r.Expect {
		want[i] = normalValue(kind, v)
	}
	slices.Sort(want)
	return slices.Equal(want, contents(now))
}

// contents gives what a set answers, sorted: its values or its alias target.
func contents(s types.ResourceRecordSet) []string {
	if s.AliasTarget != nil {
		return []string{normalName(aws.ToString(s.AliasTarget.DNSName))}
	}
	var all []string
	for _, v := range s.ResourceRecords {
		all = append(all, normalValue(string(s.Type), aws.ToString(v.Value)))
	}
	slices.Sort(all)
	return all
}

// form is a text that is equal for sets that are the same to Route 53. What
// this package never changes (a geographic policy, a CIDR collection) is left
// out: it is carried over from what was read.
func form(s types.ResourceRecordSet) string {
	alias := ""
	if t := s.AliasTarget; t != nil {
		alias = fmt.Sprint(aws.ToString(t.HostedZoneId), t.EvaluateTargetHealth)
	}
	number := func(n *int64) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n)
	}
	return fmt.Sprintf("%q", []string{
		normalName(aws.ToString(s.Name)), string(s.Type), aws.ToString(s.SetIdentifier), strings.Join(contents(s), "\n"), alias,
		number(s.TTL), number(s.Weight), string(s.Failover), string(s.Region), aws.ToString(s.HealthCheckId),
	})
}

func same(a, b types.ResourceRecordSet) bool { return form(a) == form(b) }

// shown is a set in a few words, for a person.
func shown(s types.ResourceRecordSet) string {
	text := strings.Join(contents(s), " ")
	if s.Weight != nil {
		text += fmt.Sprintf(" weight %d", *s.Weight)
	}
	if s.Failover != "" {
		text += " " + string(s.Failover)
	}
	if s.TTL != nil {
		text += fmt.Sprintf(" TTL %d", *s.TTL)
	}
	return text
}
