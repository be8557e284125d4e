package fence

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lag"
)

// What a fence asks of a successor that has not taken over yet: before it begins,
// that it can; and before the primary is given back, that it has not.

// follows refuses a Required fence for a replica that does not replicate. Such a
// fence is for a day on which nothing may be lost: the wait for the last writes
// would have no end, and nobody could write meanwhile. A fence that is only tried
// belongs to a failover, where the loss of the primary itself ends replication;
// one that was begun may have ended it.
func follows(p Parameters, next, old Primary) error {
	begun := old.marked() && strings.EqualFold(old.Tags[tagSuccessor], next.ARN)
	if !p.Required || next.Cluster || next.Source == "" || next.Replication == lag.Replicating || begun {
		return nil
	}
	return action.Errorf(action.Refused, "%s is not fenced, for the replication of %s is %q: the last writes would not reach it. Mend it or make the replica anew; where the writes that are missing are given up, fence without Required",
		old.what(), next.what(), next.Replication)
}

// standby reports whether it is proved to take no writes, as a replica of old or
// a secondary beside it.
func (p Primary) standby(old Primary) bool {
	if p.Source != "" {
		return strings.EqualFold(p.Source, old.ARN)
	}
	return p.secondary() && p.Global == old.Global
}

// judge decides, and holds a release that would make a second writer.
func (a Fence) judge(ctx context.Context, req action.Request[Parameters], s *sight, n notes) (action.Decision, error) {
	d := decide(s.found, req.Parameters, n)
	if d.Move != action.MoveAct || req.Parameters.Method != MethodRelease || req.Parameters.AcceptTwoWriters || s.found.Source != "" || s.found.secondary() {
		return d, nil
	}
	named, err := namedSuccessor(s.found, req.Run.Account)
	if err != nil {
		return d, err
	}
	if s.found.Cluster {
		s.next, err = findGroup(ctx, a.RDS(named.Region), named.Resource, named.Region)
	} else {
		s.next, err = find(ctx, a.RDS(named.Region), Parameters{RDSInstanceIdentifier: named.Resource, PrimaryRegion: named.Region})
	}
	switch {
	case err == nil:
		return giveBack(d, s.next, s.found), nil
	case action.ClassOf(err) == action.NotFound: // it may serve under another name
		return d, action.Errorf(action.Refused, "%s is not given back, for %s, which it was fenced for, is not in %s: it may serve under another name. If nothing else takes writes, say so with AcceptTwoWriters", s.found.what(), named.Resource, named.Region)
	}
	return d, action.Errorf(action.ClassOf(err), "%w; %s was fenced for it, and is given back unseen only with AcceptTwoWriters", err, s.found.what())
}

// namedSuccessor reads the tag that says what a database was fenced for, with
// the identifier alone as the resource.
func namedSuccessor(old Primary, account string) (arn.ARN, error) {
	unknown := func(why string) (arn.ARN, error) {
		return arn.ARN{}, action.Errorf(action.Refused, "%s is not given back, for what takes writes in its place is not known: %s. See that nothing does, and say so with AcceptTwoWriters", old.what(), why)
	}
	if keptForm.MatchString(old.ID) {
		return unknown("a failback has kept it as an old primary")
	}
	kind := "db:"
	if old.Cluster {
		kind = "cluster:"
	}
	named, err := arn.Parse(old.Tags[tagSuccessor])
	id, fits := strings.CutPrefix(named.Resource, kind)
	if err != nil || !fits || named.AccountID != account {
		return unknown("its tag " + tagSuccessor + " is \"" + old.Tags[tagSuccessor] + "\"")
	}
	named.Resource = id
	return named, nil
}

// giveBack lets a release go on only beside a successor that stands by. One that
// AWS is at work on may be in the middle of its promotion.
func giveBack(d action.Decision, next, old Primary) action.Decision {
	if !next.standby(old) {
		return action.Fail(action.Refused, d.State, "successor", "%s is not given back, for %s is not shown as its replica: it was fenced for that one, which may serve by now. If nothing else takes writes, say so with AcceptTwoWriters", old.what(), next.what())
	}
	state := d.State
	switch action.ConditionOf(conditions, next.Status) {
	case action.StatusReady, action.StatusTerminal:
		return d
	case action.StatusUnknown:
		state = action.StateUnknown
	case action.StatusPending:
		if state == action.StateReady {
			state = action.StateBusy
		}
	}
	return action.WaitFinal(state, "successor", "%s was fenced for %s, which is %q and may be on its way to take over: waiting", old.what(), next.what(), next.Status)
}
