package dnsrecord

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"dr-orchestrator/internal/action"
)

// Limits of one ChangeResourceRecordSets, from the Route 53 developer guide,
// "Quotas": 1,000 values and 32,000 characters in them. A change counts them
// twice, as an UPSERT or as a DELETE and a CREATE.
const (
	maxValues     = 1000 / 2
	maxCharacters = 32000 / 2
)

// batch is what changes in one call: record sets of one zone, all or none.
type batch struct {
	zone    string
	step    string // begins the notes of this run about it
	changes []change
	names   []name  // that the changes are of
	faults  []error // why it may not be changed
}

// name is all sets of a name and type, as they are and as they are to be.
type name struct {
	group
	records       []Record // that the payload has of it
	before, after []types.ResourceRecordSet
}

// change is one record set as it is and as it is to be.
type change struct {
	record        Record
	before, after types.ResourceRecordSet
}

// wanted reports whether everything reads as the payload wants it.
func (b batch) wanted() bool {
	return len(b.faults) == 0 && !slices.ContainsFunc(b.changes, func(c change) bool { return !same(c.before, c.after) })
}

// digest tells whether anyone has changed the sets of the names of a batch.
// Those that the payload does not name are of them: what a weight of one means
// is up to the others.
func (b batch) digest() string {
	var text strings.Builder
	for _, n := range b.names {
		for _, s := range n.before {
			text.WriteString(form(s))
		}
	}
	sum := sha256.Sum256([]byte(text.String()))
	return hex.EncodeToString(sum[:8])
}

// digests tell what the batches were, for a later look at the same payload.
func digests(all []batch) string {
	texts := make([]string, len(all))
	for i, b := range all {
		texts[i] = b.digest()
	}
	return strings.Join(texts, " ")
}

// sight is what the preflight saw of a batch, and when; empty where it left no
// note.
type sight struct {
	digest string
	at     time.Time
}

// noted tells what the batches are, for a later look at the same payload.
func noted(now time.Time, all []batch) string {
	return now.UTC().Format(time.RFC3339) + " " + digests(all)
}

// planned gives what the preflight saw of each batch. Batches are laid out by
// what is in the records, so that another number of them is a change, too.
func planned(seen string, all []batch) []sight {
	sights := make([]sight, len(all))
	if seen == "" {
		return sights
	}
	texts := strings.Fields(seen)
	at, _ := timeOf(texts[0])
	for i := range sights {
		sights[i] = sight{"laid out otherwise", at}
		if len(texts) == 1+len(all) {
			sights[i].digest = texts[1+i]
		}
	}
	return sights
}

// batches lays the records of a payload out as calls: those of a zone in one,
// as far as Route 53 takes them. The sets of one name and type stay together,
// since a role or a share of traffic that moves from one to the other must not
// be seen half done.
func batches(records []Record, sets found) []batch {
	var all []batch
	var zones []string
	byZone := map[string][]group{}
	byGroup := map[group][]Record{}
	for _, r := range records {
		g := r.group()
		if byGroup[g] == nil {
			if byZone[g.zone] == nil {
				zones = append(zones, g.zone)
			}
			byZone[g.zone] = append(byZone[g.zone], g)
		}
		byGroup[g] = append(byGroup[g], r)
	}
	for _, zone := range zones {
		b := batch{zone: zone}
		values, characters, count := 0, 0, 0
		for _, g := range byZone[zone] {
			changes, n, faults := judge(g, byGroup[g], sets)
			if v, c := size(unlike(changes)); v > maxValues || c > maxCharacters {
				faults = append(faults, action.Errorf(action.Refused, "the sets of %s would take %d values with %d characters in one call, and Route 53 takes %d and %d: a name is not changed in parts",
					g, v, c, maxValues, maxCharacters))
			}
			v, c := size(changes)
			if len(b.changes) > 0 && (values+v > maxValues || characters+c > maxCharacters) {
				b.step = fmt.Sprintf("%s/%d ", zone, count)
				all = append(all, b)
				b, values, characters, count = batch{zone: zone}, 0, 0, count+1
			}
			b.changes, b.faults = append(b.changes, changes...), append(b.faults, faults...)
			b.names = append(b.names, n)
			values, characters = values+v, characters+c
		}
		b.step = fmt.Sprintf("%s/%d ", zone, count)
		all = append(all, b)
	}
	return all
}

// size counts what Route 53 limits, of what is to be: what was there is not known
// any more once it is changed, and calls must be laid out alike then.
func size(changes []change) (values, characters int) {
	for _, c := range changes {
		v, n := sizeOf(c.after)
		values, characters = values+v, characters+n
	}
	return values, characters
}

// sizeOf counts the values of a set, and the characters in them. An alias has no
// values, and is counted as one.
func sizeOf(s types.ResourceRecordSet) (values, characters int) {
	for _, v := range s.ResourceRecords {
		characters += len(aws.ToString(v.Value))
	}
	return max(len(s.ResourceRecords), 1), characters
}

// unlike gives the changes that are still to be made.
func unlike(changes []change) []change {
	return slices.DeleteFunc(slices.Clone(changes), func(c change) bool { return same(c.before, c.after) })
}

// judge finds the sets of one name and type that the payload names, says what
// each is to become, and refuses what would break the name.
func judge(g group, records []Record, all found) (changes []change, n name, faults []error) {
	sets := all[g]
	refuse := func(class action.Class, format string, args ...any) {
		faults = append(faults, action.Errorf(class, format, args...))
	}
	var identifiers []string
	after := slices.Clone(sets)
	for _, s := range sets {
		if s.SetIdentifier != nil {
			identifiers = append(identifiers, *s.SetIdentifier)
		}
	}
	weighs := false
	for _, r := range records {
		at := slices.IndexFunc(sets, func(s types.ResourceRecordSet) bool { return aws.ToString(s.SetIdentifier) == r.SetIdentifier })
		switch {
		case len(sets) == 0:
			refuse(action.NotFound, "%s is not in hosted zone %s: only records that are there are changed", g, g.zone)
			return nil, name{group: g}, faults
		case at < 0 && r.SetIdentifier == "":
			refuse(action.Refused, "%s has the sets %s: a simple record cannot stand beside them, so say which is meant", g, strings.Join(identifiers, ", "))
			continue
		case at < 0 && len(identifiers) == 0:
			refuse(action.Refused, "%s is a simple record: a set %q cannot stand beside it", g, r.SetIdentifier)
			continue
		case at < 0:
			refuse(action.NotFound, "%s has no set %q, only %s", g, r.SetIdentifier, strings.Join(identifiers, ", "))
			continue
		}
		to, err := r.apply(sets[at])
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if instance := aws.ToString(sets[at].TrafficPolicyInstanceId); instance != "" {
			refuse(action.Refused, "%s is kept by the traffic policy instance %s, which alone may change it", r, instance)
		}
		if target, ok := within(g, sets[at], to); ok && len(all[target]) == 0 {
			refuse(action.Refused, "%s is to be an alias of %s, which is not in hosted zone %s", r, target, g.zone)
		} else if ok && target == g {
			refuse(action.Refused, "%s cannot be an alias of itself", r)
		}
		if !same(sets[at], to) && !r.expected(sets[at]) {
			refuse(action.Refused, "%s is neither as Expect says nor as wanted, but %s: someone has changed it", r, shown(sets[at]))
		}
		after[at] = to
		weighs = weighs || r.Weight != nil
		changes = append(changes, change{r, sets[at], to})
	}
	if weighs && !slices.ContainsFunc(after, func(s types.ResourceRecordSet) bool { return aws.ToInt64(s.Weight) > 0 }) {
		refuse(action.Refused, "every set of %s would have the weight 0, and Route 53 then answers with all of them alike", g)
	}
	for i, s := range after {
		for _, other := range after[:i] {
			if s.Failover != "" && s.Failover == other.Failover {
				refuse(action.Refused, "two sets of %s would be %s: %s and %s", g, s.Failover, aws.ToString(other.SetIdentifier), aws.ToString(s.SetIdentifier))
			}
			if s.Region != "" && s.Region == other.Region {
				refuse(action.Refused, "two sets of %s would be for %s: %s and %s", g, s.Region, aws.ToString(other.SetIdentifier), aws.ToString(s.SetIdentifier))
			}
		}
	}
	return changes, name{g, records, sets, after}, faults
}

// within gives the target of a set that is to become an alias of another name
// of its own zone: Route 53 wants that one to be there, with the same type.
func within(g group, now, to types.ResourceRecordSet) (group, bool) {
	t := to.AliasTarget
	if t == nil || aws.ToString(t.HostedZoneId) != g.zone || same(now, to) {
		return group{}, false
	}
	return group{g.zone, normalName(aws.ToString(t.DNSName)), g.kind}, true
}

// The notes of a run about a batch.
const (
	memoSeen   = "seen"   // its digest when this run first looked, or seenWanted
	memoChange = "change" // the id of the change
	memoSynced = "synced" // the change has reached every name server
	memoSince  = "since"  // since when it is known to read as wanted, by a change whose id is not known

	seenWanted = "wanted"
)

// note is what this run knows of a batch beside what can be observed.
type note struct {
	asked  action.Asked
	seen   string // empty: neither the preflight nor this run has looked before, or what they saw is lost
	fresh  bool   // this is the first look, and no call of this run may have changed anything
	change string
	synced bool
	since  time.Time
}

// readNote reads the notes about a batch. What the preflight saw of it stands in
// for what this run saw first: an invocation that ends in an error leaves no
// notes, and someone else may have come between the two.
func readNote[P any](req action.Request[P], b batch, planned sight) note {
	n := note{
		asked: req.Asked(b.step), seen: req.Drive.Memo[b.step+memoSeen], change: req.Drive.Memo[b.step+memoChange],
		synced: req.Drive.Memo[b.step+memoSynced] != "",
	}
	n.since, _ = timeOf(req.Drive.Memo[b.step+memoSince])
	if n.since.IsZero() && b.wanted() && planned.digest == b.digest() {
		n.since = planned.at
	}
	n.fresh = n.seen == "" && req.Drive.Changed == action.ChangeNo && req.Drive.InterruptedAt == nil
	switch {
	case n.fresh && b.wanted() && (planned.digest == "" || planned.digest == b.digest()):
		n.seen = seenWanted
	case n.seen == "":
		n.seen = planned.digest
	}
	return n
}

// first notes what a batch was when this run first looked.
func (n note) first(b batch) map[string]string {
	switch {
	case n.seen != "":
		return map[string]string{b.step + memoSeen: n.seen}
	case b.wanted():
		return nil
	}
	return map[string]string{b.step + memoSeen: b.digest()}
}

// propagating notes since when a batch has read as wanted: a change whose id
// is not known, or no longer, is given its time from then on.
func (n note) propagating(b batch, d action.Decision) map[string]string {
	if d.Phase != phasePropagating {
		return nil
	}
	since := n.since
	if since.IsZero() {
		since = n.asked.Now
	}
	return map[string]string{b.step + memoSince: since.Format(time.RFC3339)}
}

func timeOf(text string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339, text)
	return t, err == nil
}

// moved reports whether this run may have changed any batch.
func moved(all []batch, notes []note) bool {
	for i, b := range all {
		if !notes[i].asked.Requested.IsZero() || b.wanted() && notes[i].seen != seenWanted {
			return true
		}
	}
	return false
}

// propagation is how long a change takes to reach every name server, from the
// Route 53 API reference, "ChangeResourceRecordSets": generally within 60
// seconds.
const propagation = 60 * time.Second

const phasePropagating = "propagating"

// decide says what to do about one batch. status is that of its change, nil
// while it has not been asked for; a decision that needs it says MoveLook.
func decide(b batch, n note, status *string) action.Decision {
	switch {
	case len(b.faults) > 0:
		var why []string
		for _, fault := range b.faults {
			why = append(why, fault.Error())
		}
		return action.Fail(action.ClassOf(b.faults[0]), action.StateReady, "refused", "%s", strings.Join(why, "; "))
	case !b.wanted():
		return decideUnwanted(b, n, status)
	case n.synced:
		return inSync(b)
	case n.change != "" && status == nil:
		return action.Look(phasePropagating)
	case n.change != "" && *status == statusInSync:
		return inSync(b)
	case n.change != "" && *status != statusGone:
		return action.WaitFinal(action.StateUnderWay, phasePropagating, "change %s of hosted zone %s is %s", n.change, b.zone, *status)
	}
	// The id of the change is not known, to us or to Route 53, or it was made
	// before this run, perhaps a moment ago. It is not made again: it is there,
	// and its time to spread is known. Answers of the name servers would not prove
	// more: old records may give the same ones.
	if since := n.since; !since.IsZero() && n.asked.Now.Sub(since) >= propagation {
		return action.Finish("as wanted", "the records of hosted zone %s have read as wanted for %s", b.zone, propagation)
	}
	return action.WaitFinal(action.StateUnderWay, phasePropagating, "the records of hosted zone %s read as wanted; the id of the change is not known, so it gets %s to spread", b.zone, propagation)
}

func inSync(b batch) action.Decision {
	return action.Finish("in sync", "the records of hosted zone %s read as wanted, and every name server has them", b.zone)
}

// decideUnwanted judges a batch that does not read as wanted.
func decideUnwanted(b batch, n note, status *string) action.Decision {
	if n.seen != "" && n.seen != b.digest() {
		// Our own change is all or nothing, so this is no half of it.
		if !n.asked.Requested.IsZero() {
			return action.Fail(action.Conflict, action.StateUnderWay, "changed by someone else", "records of hosted zone %s were changed by someone else after this run changed them", b.zone)
		}
		return action.Fail(action.Refused, action.StateReady, "changed by someone else", "records of hosted zone %s were changed by someone else since this run was planned", b.zone)
	}
	if n.change != "" && status == nil {
		return action.Look(action.PhaseInvisible)
	}
	lost := status != nil && *status == statusGone && n.asked.Now.Sub(n.asked.Requested) >= propagation
	if d, ok := n.asked.Idle(); ok && !lost {
		return d
	}
	return action.Act("changing records", "records of hosted zone %s are to change", b.zone)
}

// sum makes one decision of those on all batches. A failure comes before
// anything is done; then one call is made, if any is to be; only then is
// waited, on all of them at once.
func sum(decisions []action.Decision) (int, action.Decision) {
	at := func(move action.Move) int {
		return slices.IndexFunc(decisions, func(d action.Decision) bool { return d.Move == move })
	}
	if i := at(action.MoveFail); i >= 0 {
		d := decisions[i]
		var why []string
		for _, other := range decisions {
			if other.Move == action.MoveFail {
				why = append(why, other.Reason)
			}
		}
		d.Reason = strings.Join(why, "; ")
		return i, d
	}
	for _, move := range []action.Move{action.MoveAct, action.MoveWait} {
		if i := at(move); i >= 0 {
			return i, decisions[i]
		}
	}
	return 0, decisions[0]
}
