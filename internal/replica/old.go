package replica

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/succession"
)

// The old primary is a database that took writes until its region was lost.
// Some of them may never have reached the replica that took over, so that
// nobody else has them. It is kept under another name, or deleted when it is
// proved that it is no longer in use and a snapshot of it is complete.

// The calls about an old primary.
const (
	stepRename   = "renaming old primary"
	stepSnapshot = "snapshotting old primary"
	stepLift     = "lifting deletion protection"
	stepDelete   = "deleting old primary"
)

// Tags of a replica, which tell what it was made of and where the old primary
// is. tagReaches is the latest moment that the data left behind reaches.
const (
	tagSource   = "dr-orchestrator:source"
	tagKept     = "dr-orchestrator:old-primary"
	tagSnapshot = "dr-orchestrator:old-primary-snapshot"
	tagReaches  = "dr-orchestrator:old-primary-reaches"
)

var oldTags = []string{tagKept, tagSnapshot, tagReaches}

// leaves gives the tags that tell what a call leaves of the old primary.
func (s scene) leaves(step string) map[string]string {
	switch step {
	case stepRename:
		return map[string]string{tagKept: keptName(*s.here), tagReaches: moment(s.here.Restorable)}
	case stepDelete:
		return map[string]string{tagSnapshot: s.snapshot.ID, tagReaches: moment(s.snapshot.SnapshotAt)}
	}
	return nil
}

// tell puts what tags say of the old primary into evidence. AWS does not show
// when a replica was promoted. So writes that nobody else has can be anywhere
// up to the moment that the data left behind reaches.
func tell(e action.Evidence, tags map[string]string) {
	for tag, name := range map[string]string{tagKept: "oldPrimaryKeptAs", tagSnapshot: "oldPrimarySnapshot"} {
		if value := tags[tag]; value != "" {
			e[name] = value
			e["writesOnlyThere"] = map[string]string{"in": value, "until": tags[tagReaches]}
		}
	}
}

// Snapshot is what a decision needs to know of the old primary's last snapshot.
type Snapshot struct {
	ID         string
	Status     string
	Of         string    // identifier of the instance
	OfCreated  time.Time // when the instance was created: a name is given again, this is not
	SnapshotAt time.Time // the moment whose data it holds
}

const (
	nameStamp     = "200601021504"
	snapshotStamp = "20060102150405"
	longestName   = 63
)

// keptPrefix begins the names under which old primaries of an identifier are
// kept. It leaves room for the stamp, and ends in no hyphen before its own.
func keptPrefix(id string) string {
	const suffix = "-old-"
	room := longestName - len(suffix) - len(nameStamp)
	if len(id) > room {
		id = strings.TrimRight(id[:room], "-")
	}
	return id + suffix
}

// keptName is the name under which an old primary is kept. It follows from the
// instance alone, so that every invocation and every run finds the same.
func keptName(i Instance) string { return keptPrefix(i.ID) + i.Created.UTC().Format(nameStamp) }

func snapshotPrefix(id string) string { return id + "-final-" }

// snapshotName is the name of the snapshot that a run takes. It carries the
// start of the run: a snapshot that an earlier run has left does not hold what
// was written since.
func snapshotName(id string, started time.Time) string {
	return snapshotPrefix(id) + started.UTC().Format(snapshotStamp)
}

// rule is one thing that has to be proved of the old primary before it is
// touched. broken says what is wrong, and nothing where the rule holds.
type rule struct {
	name       string
	deleteOnly bool
	broken     func(old, source Instance, p CreateParameters) string
}

// rules are all of them, beside those for the source in sourceFault.
var rules = []rule{
	{"not a replica", false, func(old, _ Instance, _ CreateParameters) string {
		if old.Source != "" || old.Replication != "" {
			return fmt.Sprintf("read replication of %s is shown (source %q, status %q)", old.ID, old.Source, old.Replication)
		}
		return ""
	}},
	// A replica is created after what it replicates. So the database that took
	// over is the younger one; if it is not, the two have changed roles since, and
	// what stands here is the one in use. A switchover of Oracle keeps the ages.
	{"older than the source", false, func(old, source Instance, _ CreateParameters) string {
		switch {
		case strings.HasPrefix(old.Engine, "oracle"):
			return ""
		case old.Created.IsZero() || source.Created.IsZero():
			return "AWS does not show when both databases were created"
		case !source.Created.After(old.Created):
			return fmt.Sprintf("%s was created at %s and the source at %s: it cannot be the old primary of a database that is older",
				old.ID, moment(old.Created), moment(source.Created))
		}
		return ""
	}},
	{"same engine", false, func(old, source Instance, _ CreateParameters) string {
		if old.Engine == "" || old.Engine != source.Engine {
			return fmt.Sprintf("the engine of %s is %q and that of the source %q: it is another database", old.ID, old.Engine, source.Engine)
		}
		return ""
	}},
	// A younger source may be left over from a drill, while what stands here
	// serves. So its promotion is a noted one, or a person answers for it.
	{"proved to be the old primary", false, func(old, source Instance, p CreateParameters) string {
		name := fmt.Sprintf("If %s serves, this is the wrong region, or the source is left over from a drill; if it is the old primary, name it: OldDBInstanceArn %s", old.ID, old.ARN)
		switch {
		case p.OldDBInstanceArn != "" && !strings.EqualFold(p.OldDBInstanceArn, old.ARN):
			return fmt.Sprintf("OldDBInstanceArn names %s, and here stands %s. %s", p.OldDBInstanceArn, old.ARN, name)
		case p.OldDBInstanceArn != "":
			return ""
		case !succession.Ages(old.Engine):
			return "Oracle databases change places, and nothing shows which one took over. " + name
		case !succession.PromotedFrom(source.Tags, old.ARN, old.Created):
			return fmt.Sprintf("no tag %s of the source says that it was promoted from %s since that was created at %s. %s", succession.PromotedTag, old.ARN, moment(old.Created), name)
		}
		return ""
	}},
	// A drill by this product, or a promotion after a false alarm, leaves the same
	// mark as a failover, and the applications where they were.
	{"not in use", false, func(old, _ Instance, p CreateParameters) string {
		deserted, why := old.Clients.Deserted()
		switch {
		case deserted, p.OldDBInstanceArn != "" && p.OldPrimary != oldDelete:
			return ""
		case !old.Clients.Known && action.ConditionOf(conditions, old.Status) == action.StatusPending:
			return "" // it is waited for, and looked at again
		case p.OldPrimary == oldDelete:
			return why + ": what may be in use is not deleted. Fence it, and start again"
		}
		return fmt.Sprintf("%s. If %s serves, nothing is to be failed back here; if it does not, fence it, or name it: OldDBInstanceArn %s", why, old.ID, old.ARN)
	}},
	// The replica that took over may be listed here for long: the region was
	// away when it was promoted. That it is no replica any more, it shows itself.
	{"no replicas", true, func(old, source Instance, _ CreateParameters) string {
		for _, r := range old.Replicas {
			if !strings.EqualFold(r, source.ARN) {
				return fmt.Sprintf("%s is the source of the replica %s", old.ID, r)
			}
		}
		return ""
	}},
	{"backups of the source reach further", true, func(old, source Instance, _ CreateParameters) string {
		switch {
		case old.Restorable.IsZero() || source.Restorable.IsZero():
			return "AWS does not show how far the backups of both databases reach (LatestRestorableTime)"
		case old.Restorable.Sub(source.Restorable) > uploadInterval:
			return fmt.Sprintf("the backups of %s reach to %s and those of the source to %s: it holds what is newer",
				old.ID, moment(old.Restorable), moment(source.Restorable))
		}
		return ""
	}},
	{"deletion protection", true, func(old, _ Instance, p CreateParameters) string {
		if old.Protected && !p.LiftDeletionProtection {
			return old.ID + " is protected from deletion, and LiftDeletionProtection is not given"
		}
		return ""
	}},
}

// uploadInterval is how often RDS uploads the logs of an instance: how far
// LatestRestorableTime of two running databases may differ (RDS user guide,
// "Restoring a DB instance to a specified time": every five minutes; doubled).
// Within it the answer is to look again until the source is ahead.
const uploadInterval = 10 * time.Minute

// snapshotAge is how old the snapshot may be when the old primary is deleted.
// A run takes less; one that was redriven days later may find an older one.
const snapshotAge = 24 * time.Hour

// moment writes a time for a person; one that AWS does not show is "unknown".
func moment(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return t.UTC().Format(time.RFC3339)
}

// decideOldPrimary says what to do about the database that stands in the way.
// Nothing is done to it before the other region has shown that it took over.
func decideOldPrimary(s scene, p CreateParameters, asked func(string) action.Asked) action.Decision {
	old := *s.here
	step, rest := stepRename, action.StateReady
	if p.OldPrimary == oldDelete {
		switch step = stepSnapshot; {
		case s.snapshot == nil:
		case old.Protected:
			step, rest = stepLift, action.StateUnderWay
		default:
			step, rest = stepDelete, action.StateUnderWay
		}
	}
	condition := action.ConditionOf(conditions, old.Status)
	switch condition {
	case action.StatusTerminal:
		return of(step, rest, action.Fail(action.Refused, action.StateReady, old.Status,
			"the old primary %s is %s, and AWS renames or snapshots only an available instance: start or repair it, or move it out of the way by hand", old.ID, old.Status))
	case action.StatusUnknown:
		return of(step, rest, action.Wait(action.StateUnknown, old.Status, "the old primary %s has the status %q, which is not known here: waiting", old.ID, old.Status))
	}
	if d, bad := sourceFault(s, p); bad {
		return of(step, rest, d)
	}
	for _, r := range rules {
		if r.deleteOnly && p.OldPrimary != oldDelete {
			continue
		}
		if wrong := r.broken(old, *s.source, p); wrong != "" {
			return of(step, rest, action.Fail(action.Refused, action.StateReady, "old primary", "the old primary is left alone (%s): %s", r.name, wrong))
		}
	}
	if p.OldPrimary == oldDelete {
		if d, ok := decideSnapshot(s); ok {
			return of(step, rest, d)
		}
	}
	if condition == action.StatusPending {
		// What it is at may be a call of ours without an answer.
		if s.baseline != "" && rest == action.StateReady {
			rest = action.StateBusy
		}
		return of(step, rest, action.WaitFinal(action.StateReady, old.Status, "the old primary %s is %s", old.ID, old.Status))
	}
	if d, ok := asked(step).Idle(); ok {
		return of(step, rest, d)
	}
	if step == stepDelete && !s.source.Restorable.After(old.Restorable) {
		return of(step, rest, action.WaitFinal(action.StateReady, "source backups", "waiting until the backups of the source reach past those of %s (%s)", old.ID, moment(old.Restorable)))
	}
	return of(step, rest, action.Act(step, "%s", map[string]string{
		stepRename: s.intent(p), stepSnapshot: "a snapshot of the old primary " + old.ID + " is taken",
		stepLift: "the deletion protection of the old primary " + old.ID + " is lifted", stepDelete: "the old primary " + old.ID + " is deleted: its snapshot is complete",
	}[step]))
}

// decideSnapshot judges the snapshot, where there is one: ok is false when
// nothing about it keeps the old primary from being deleted, or it is missing.
func decideSnapshot(s scene) (d action.Decision, ok bool) {
	if s.snapshot == nil {
		return d, false
	}
	shot, old := *s.snapshot, *s.here
	switch {
	case shot.Of != old.ID || shot.OfCreated.IsZero() || !shot.OfCreated.Equal(old.Created):
		return action.Fail(action.Refused, action.StateReady, "snapshot", "the snapshot %s is not one of %s", shot.ID, old.ID), true
	case shot.Status == "creating" || shot.Status == "backing-up" || shot.Status == "modifying":
		return action.WaitFinal(action.StateUnderWay, "snapshot "+shot.Status, "the snapshot %s of the old primary is %s", shot.ID, shot.Status), true
	case shot.Status != "available":
		return action.Fail(action.Refused, action.StateReady, "snapshot", "the snapshot %s is %q: without a complete one the old primary stays", shot.ID, shot.Status), true
	case shot.SnapshotAt.IsZero() || s.now.Sub(shot.SnapshotAt) > snapshotAge:
		return action.Fail(action.Refused, action.StateReady, "snapshot", "the snapshot %s is older than %s: start a new run", shot.ID, snapshotAge), true
	}
	return d, false
}

// intent tells a person what becomes of the old primary.
func (s scene) intent(p CreateParameters) string {
	if p.OldPrimary != oldDelete {
		text := fmt.Sprintf("the old primary %s is renamed to %s and kept", s.here.ID, keptName(*s.here))
		for _, r := range s.here.Replicas {
			if !strings.EqualFold(r, s.want) {
				text += ", with its replica " + r
			}
		}
		return text
	}
	text := "the old primary " + s.here.ID + " is deleted after a snapshot of it is complete; its automated backups stay"
	if s.here.Protected {
		text += "; its deletion protection is lifted"
	}
	return text
}

// oldEvidence tells what only the old primary may have.
func (s scene) oldEvidence(e action.Evidence, p CreateParameters) {
	old := *s.here
	e["created"], e["reaches"] = moment(old.Created), moment(old.Restorable)
	if n := old.Clients.Seconds(); n != nil {
		e["clients"] = *n
	}
	switch {
	case p.OldPrimary != oldDelete:
		tell(e, s.leaves(stepRename))
	case s.snapshot != nil:
		tell(e, s.leaves(stepDelete))
		e["snapshotStatus"] = s.snapshot.Status
	}
	if s.source != nil {
		e["sourceCreated"], e["sourceReaches"] = moment(s.source.Created), moment(s.source.Restorable)
	}
}

// moveAway makes the one call of a step that concerns the old primary.
func (a Creation) moveAway(ctx context.Context, step string, s scene, req action.Request[CreateParameters]) (string, error) {
	id := aws.String(s.here.ID)
	switch step {
	case stepRename:
		name := keptName(*s.here)
		return "renaming " + s.here.ID + " to " + name, a.modify(ctx, &rds.ModifyDBInstanceInput{DBInstanceIdentifier: id, NewDBInstanceIdentifier: aws.String(name)})
	case stepLift:
		return "lifting the deletion protection of " + s.here.ID, a.modify(ctx, &rds.ModifyDBInstanceInput{DBInstanceIdentifier: id, DeletionProtection: aws.Bool(false)})
	case stepSnapshot:
		name := snapshotName(s.here.ID, req.Run.StartedAt)
		_, err := a.Old.CreateDBSnapshot(ctx, &rds.CreateDBSnapshotInput{DBInstanceIdentifier: id, DBSnapshotIdentifier: aws.String(name)})
		return "taking the snapshot " + name, err
	case stepDelete:
		// The snapshot is complete, and the automated backups are retained.
		_, err := a.Old.DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{DBInstanceIdentifier: id, SkipFinalSnapshot: aws.Bool(true), DeleteAutomatedBackups: aws.Bool(false)})
		return "deleting " + s.here.ID, err
	}
	return step, action.Errorf(action.Internal, "no such step: %s", step)
}
