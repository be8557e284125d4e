package dnsrecord

import (
	"cmp"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
)

// replace is the call that makes sets of a zone what they are to be, if they are
// what they were read as. An UPSERT overwrites whatever has come in between. A
// DELETE must give the set as it stands, or Route 53 turns the whole call down;
// together with the CREATE of the same set it is one operation (Route 53 API
// reference, "ChangeResourceRecordSets"). It takes the changes of a call in their
// order: so all that goes goes first, and an alias is there only while its target
// is. What would be too large so is an UPSERT.
func replace(zone, comment string, changes []change) *route53.ChangeResourceRecordSetsInput {
	changes = unlike(changes)
	var gone, made, upserts []types.Change
	for _, c := range changes {
		before, after := c.before, c.after
		gone = append(gone, types.Change{Action: types.ChangeActionDelete, ResourceRecordSet: &before})
		made = append(made, types.Change{Action: types.ChangeActionCreate, ResourceRecordSet: &after})
		upserts = append(upserts, types.Change{Action: types.ChangeActionUpsert, ResourceRecordSet: &after})
	}
	sortByAliases(zone, gone)
	slices.Reverse(gone)
	sortByAliases(zone, made)
	sortByAliases(zone, upserts)
	all := slices.Concat(gone, made)
	var values, characters int
	for _, c := range all {
		v, n := sizeOf(*c.ResourceRecordSet)
		values, characters = values+v, characters+n
	}
	if values > 2*maxValues || characters > 2*maxCharacters {
		all = upserts
	}
	return &route53.ChangeResourceRecordSetsInput{HostedZoneId: aws.String(zone), ChangeBatch: &types.ChangeBatch{Comment: aws.String(comment), Changes: all}}
}

// sortByAliases puts the sets that others of the same call are aliases of before
// those.
func sortByAliases(zone string, changes []types.Change) {
	sets := found{}
	for _, c := range changes {
		g := groupOf(zone, *c.ResourceRecordSet)
		sets[g] = append(sets[g], *c.ResourceRecordSet)
	}
	known := map[group]int{}
	var hops func(g group) int
	hops = func(g group) int {
		if n, ok := known[g]; ok {
			return n
		}
		known[g] = 0 // for a cycle
		most := 0
		for _, s := range sets[g] {
			if to, ok := g.alias(s); ok && sets[to] != nil {
				most = max(most, 1+hops(to))
			}
		}
		known[g] = most
		return most
	}
	slices.SortStableFunc(changes, func(a, b types.Change) int {
		return cmp.Compare(hops(groupOf(zone, *a.ResourceRecordSet)), hops(groupOf(zone, *b.ResourceRecordSet)))
	})
}

func groupOf(zone string, s types.ResourceRecordSet) group {
	return group{zone, normalName(aws.ToString(s.Name)), string(s.Type)}
}
