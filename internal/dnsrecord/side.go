package dnsrecord

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"dr-orchestrator/internal/action"
)

// ofAWS are the endings of names that AWS gives to what stands in a region. The
// region is the last or the last but one label before them: load balancers have
// it in either place.
var ofAWS = []string{".amazonaws.com.", ".amazonaws.com.cn.", ".api.aws.", ".on.aws.", ".awsapprunner.com.", ".elasticbeanstalk.com."}

var regionLabel = regexp.MustCompile(`^(?:s3-website-)?([a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2})$`)

// regionOf gives the region that a name lies in by itself; empty: it does not
// say.
func regionOf(name string) string {
	for _, ending := range ofAWS {
		rest, ok := strings.CutSuffix(normalName(name), ending)
		if !ok {
			continue
		}
		all := labels(rest)
		for _, label := range all[:min(2, len(all))] {
			if m := regionLabel.FindStringSubmatch(label); m != nil {
				return m[1]
			}
		}
	}
	return ""
}

// writerName is the endpoint of a DB instance, or that of an Aurora cluster for
// its writer. Those of readers, proxies and global databases are none: they are
// for reading, or find their writer by themselves.
var writerName = regexp.MustCompile(`^[^.]+\.(?:cluster-)?[a-z0-9]+\.[a-z0-9-]+\.rds\.amazonaws\.com(?:\.cn)?\.$`)

// namesOf gives the names that a set leads to: none where it has addresses.
func namesOf(s types.ResourceRecordSet) []string {
	if s.AliasTarget != nil || s.Type == types.RRTypeCname {
		return contents(s)
	}
	return nil
}

// led are the sets that changes lead traffic to. A set of a policy is none while
// it stands back, nor one that only keeps a part of what it had.
func (b batch) led() []change {
	return slices.DeleteFunc(slices.Clone(b.changes), func(c change) bool {
		switch {
		case c.after.Failover != "":
			return c.after.Failover != types.ResourceRecordSetFailoverPrimary
		case c.after.Weight != nil && c.before.Weight != nil:
			moved := *c.after.Weight > *c.before.Weight || !slices.Equal(contents(c.before), contents(c.after))
			return *c.after.Weight == 0 || !moved && !b.alone(c)
		case c.after.SetIdentifier != nil: // each set of the other policies has callers of its own
			return slices.Equal(contents(c.before), contents(c.after))
		}
		return false
	})
}

// alone reports whether no other set of a weighted name is to have a weight.
func (b batch) alone(c change) bool {
	at := slices.IndexFunc(b.names, func(n name) bool { return n.group == c.record.group() })
	with := 0
	for _, s := range b.names[at].after {
		if s.Weight != nil && *s.Weight > 0 {
			with++
		}
	}
	return with == 1
}

// abroad gives what leads, by its name, to another region than the one whose
// databases are to take the writes.
func abroad(what string, s types.ResourceRecordSet, region string) []error {
	var all []error
	for _, to := range namesOf(s) {
		if of := regionOf(to); of != "" && of != region {
			all = append(all, action.Errorf(action.Refused, "%s would lead to %s, in %s, and the databases of Requires take writes in %s", what, strings.TrimSuffix(to, "."), of, region))
		}
	}
	return all
}

// strays gives what leads to a writer in the region that is none of those
// required. Without their endpoints nothing can be said.
func strays(what string, s types.ResourceRecordSet, endpoints []string, region string) []string {
	var all []string
	for _, to := range namesOf(s) {
		if writerName.MatchString(to) && regionOf(to) == region && len(endpoints) > 0 && !slices.Contains(endpoints, to) {
			all = append(all, fmt.Sprintf("%s is to lead to %s, which is the endpoint of no database in Requires", what, strings.TrimSuffix(to, ".")))
		}
	}
	return all
}
