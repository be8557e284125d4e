package dnsrecord

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"dr-orchestrator/internal/action"
)

// Lister reads record sets.
type Lister interface {
	ListResourceRecordSets(context.Context, *route53.ListResourceRecordSetsInput, ...func(*route53.Options)) (*route53.ListResourceRecordSetsOutput, error)
}

// found is every record set of some names and types.
type found map[group][]types.ResourceRecordSet

// pageSize is the most record sets that Route 53 gives in one answer.
const pageSize = 300

// find reads all sets of the groups given, zone by zone. Route 53 takes five
// requests a second of a whole account, so a page is read for as many groups
// as it holds: it lists the sets of a zone in the order of their names' labels
// from the right. That order only saves requests. A group that no page has
// shown is asked for by its name, and is not there when that answer begins
// with something else.
func find(ctx context.Context, api Lister, groups []group) (found, error) {
	groups = slices.Clone(groups)
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.zone, b.zone), slices.Compare(labels(a.name), labels(b.name)), cmp.Compare(a.kind, b.kind))
	})
	groups = slices.Compact(groups)
	all := found{}
	for _, g := range groups {
		if all[g] != nil {
			continue // a page has shown it
		}
		in := &route53.ListResourceRecordSetsInput{
			HostedZoneId: aws.String(g.zone), StartRecordName: aws.String(g.name), StartRecordType: types.RRType(g.kind), MaxItems: aws.Int32(pageSize),
		}
		for {
			out, err := api.ListResourceRecordSets(ctx, in)
			if err != nil {
				return nil, action.Call("listing the records of hosted zone "+g.zone, err)
			}
			page := found{}
			for _, s := range out.ResourceRecordSets {
				of := group{g.zone, normalName(aws.ToString(s.Name)), string(s.Type)}
				page[of] = append(page[of], s)
			}
			next := group{g.zone, normalName(aws.ToString(out.NextRecordName)), string(out.NextRecordType)}
			for of, sets := range page {
				switch {
				case of == g:
					all[g] = append(all[g], sets...)
				case !out.IsTruncated || of != next: // else it is cut off, and read by itself
					all[of] = sets
				}
			}
			if !out.IsTruncated || next != g {
				break
			}
			in.StartRecordIdentifier = out.NextRecordIdentifier
			if in.StartRecordIdentifier == nil {
				return nil, action.Errorf(action.Terminal, "listing the records of hosted zone %s: the list of %s does not go on", g.zone, g)
			}
		}
	}
	return all, nil
}

// labels gives the labels of a name from the right.
func labels(name string) []string {
	all := strings.Split(strings.TrimSuffix(name, "."), ".")
	slices.Reverse(all)
	return all
}
