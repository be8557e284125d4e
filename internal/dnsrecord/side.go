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
// it in either place. It is never the first of the name, which the owner gives.
var ofAWS = []string{".amazonaws.com.", ".amazonaws.com.cn.", ".amazonaws.eu.", ".api.aws.", ".on.aws.", ".awsapprunner.com.", ".elasticbeanstalk.com."}

// regionForm is what regions are called. Of one that is called otherwise nothing
// is told: owners give names that come close, as shop-prod-2.
const regionForm = `(?:af|ap|ca|cn|eu|eusc-de|il|me|mx|sa|us|us-gov)-(?:central|(?:north|south)?(?:east|west)|north|south)-[0-9]`

var regionLabel = regexp.MustCompile(`^(?:s3-website-)?(` + regionForm + `)$`)

// regionOf gives the region that a name lies in by itself; empty: it does not
// say.
func regionOf(name string) string {
	for _, ending := range ofAWS {
		rest, ok := strings.CutSuffix(normalName(name), ending)
		if !ok {
			continue
		}
		all := labels(rest)
		for _, label := range all[:min(2, len(all)-1)] {
			if m := regionLabel.FindStringSubmatch(label); m != nil {
				return m[1]
			}
		}
	}
	return ""
}

// writerName is the endpoint of a DB instance, or that of an Aurora cluster for
// its writer. China has the region behind the service. Those of a cluster for its
// readers, of proxies and of global databases are none: they are for reading, or
// find their writer by themselves.
var writerName = regexp.MustCompile(`^[^.]+\.(?:cluster-)?[a-z0-9]+\.(?:` + regionForm + `\.rds|rds\.` + regionForm + `)\.amazonaws\.(?:com|com\.cn|eu)\.$`)

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

// stray is what leads to an endpoint of none of the databases required.
type stray struct {
	why  string
	sure bool // it will not be one of theirs, whatever becomes of them
}

// strays gives what leads to the endpoint of an instance, or of a cluster's writer,
// in the region that is none of those known. Without any nothing can be said.
func strays(what string, s types.ResourceRecordSet, known side, region string) []stray {
	var all []stray
	for _, to := range namesOf(s) {
		if writerName.MatchString(to) && regionOf(to) == region && len(known.endpoints) > 0 && !slices.Contains(known.endpoints, to) {
			id, _, _ := strings.Cut(to, ".")
			all = append(all, stray{
				fmt.Sprintf("%s is to lead to %s, which is the endpoint of no database in Requires (what is for reading, or for another database, goes into an entry of its own)", what, strings.TrimSuffix(to, ".")),
				strings.Contains(to, ".cluster-") || !slices.Contains(known.instances, id),
			})
		}
	}
	return all
}

// believed gives why no traffic may go on: where it leads counts once all
// requirements hold, for by then the writer of a cluster is known.
func believed(unmet []string, strays []stray) []string {
	if len(unmet) > 0 {
		return unmet
	}
	var all []string
	for _, s := range strays {
		all = append(all, s.why)
	}
	return all
}

// foreseen tells the same in a plan. A requirement that does not hold yet is a
// warning: an earlier layer may be there to meet it.
func foreseen(unmet []string, strays []stray, until string) []action.Finding {
	var all []action.Finding
	for _, why := range unmet {
		all = append(all, action.Finding{Verdict: action.VerdictWarning, Message: why + ": " + until})
	}
	for _, s := range strays {
		if s.sure {
			all = append(all, action.Finding{Verdict: action.VerdictBlocked, Class: action.Refused, Message: s.why})
		} else {
			all = append(all, action.Finding{Verdict: action.VerdictWarning, Message: s.why + ": " + until})
		}
	}
	return all
}
