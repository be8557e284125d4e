package globalcluster

import (
	"context"
	"fmt"
	"hash/crc32"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"dr-orchestrator/internal/action"
)

// SnapshotAPI are the calls about snapshots of clusters.
type SnapshotAPI interface {
	DescribeDBClusterSnapshots(context.Context, *rds.DescribeDBClusterSnapshotsInput, ...func(*rds.Options)) (*rds.DescribeDBClusterSnapshotsOutput, error)
	CreateDBClusterSnapshot(context.Context, *rds.CreateDBClusterSnapshotInput, ...func(*rds.Options)) (*rds.CreateDBClusterSnapshotOutput, error)
	CopyDBClusterSnapshot(context.Context, *rds.CopyDBClusterSnapshotInput, ...func(*rds.Options)) (*rds.CopyDBClusterSnapshotOutput, error)
}

// KeepAPI are the calls that put an old cluster out of the way.
type KeepAPI interface {
	AddTagsToResource(context.Context, *rds.AddTagsToResourceInput, ...func(*rds.Options)) (*rds.AddTagsToResourceOutput, error)
	RemoveFromGlobalCluster(context.Context, *rds.RemoveFromGlobalClusterInput, ...func(*rds.Options)) (*rds.RemoveFromGlobalClusterOutput, error)
	DeleteGlobalCluster(context.Context, *rds.DeleteGlobalClusterInput, ...func(*rds.Options)) (*rds.DeleteGlobalClusterOutput, error)
	ModifyDBCluster(context.Context, *rds.ModifyDBClusterInput, ...func(*rds.Options)) (*rds.ModifyDBClusterOutput, error)
	ModifyDBInstance(context.Context, *rds.ModifyDBInstanceInput, ...func(*rds.Options)) (*rds.ModifyDBInstanceOutput, error)
}

// DeleteAPI are the calls after which an old cluster is gone.
type DeleteAPI interface {
	DeleteDBCluster(context.Context, *rds.DeleteDBClusterInput, ...func(*rds.Options)) (*rds.DeleteDBClusterOutput, error)
	DeleteDBInstance(context.Context, *rds.DeleteDBInstanceInput, ...func(*rds.Options)) (*rds.DeleteDBInstanceOutput, error)
}

// The calls about an old cluster.
const (
	stepMark           = "marking old primary"
	stepCopy           = "copying snapshot"
	stepLeave          = "removing from global cluster"
	stepEmpty          = "deleting empty global cluster"
	stepRenameInstance = "renaming instance"
	stepRename         = "renaming cluster"
	stepFinal          = "taking final snapshot"
	stepLift           = "lifting deletion protection"
	stepDeleteInstance = "deleting instance"
	stepDelete         = "deleting cluster"
)

// of names a step on one of several things, and cutStep reads it back.
func of(step, thing string) string { return step + ": " + thing }

func cutStep(step string) (kind, thing string) {
	kind, thing, _ = strings.Cut(step, ": ")
	return kind, thing
}

// nameLength is the most characters that RDS takes in an identifier, for
// clusters, instances and snapshots alike.
const nameLength = 63

// fitted makes a name with an ending that RDS takes. What is too long keeps a
// checksum of the whole, so that two long names do not become one.
func fitted(name, ending string) string {
	if len(name)+len(ending) > nameLength {
		sum := fmt.Sprintf("-%08x", crc32.ChecksumIEEE([]byte(name)))
		name = strings.TrimRight(name[:nameLength-len(ending)-len(sum)], "-") + sum
	}
	return name + ending
}

// oldEnding marks a name as that of the cluster created then. It is derived
// from the thing itself, so that a run that carries on finds the same name.
func (c Cluster) oldEnding() string { return "-old-" + c.Created.UTC().Format("200601021504") }

func (c Cluster) oldName() string { return fitted(c.ID, c.oldEnding()) }

const finalInfix = "-final-"

// finalName names the last snapshot of the cluster that is to be deleted. It
// carries the start of the run: what an earlier run has left does not hold what
// was written since.
func (s Survey) finalName() string {
	return fitted(s.Local.ID, finalInfix+s.Started.UTC().Format("20060102150405"))
}

const (
	systemPrefix = "rds:unplanned-global-failover-"
	keptPrefix   = "kept-unplanned-global-failover-"
)

// isSystemSnapshot tells the snapshot that AWS tries to take of the old
// primary's volume when a managed failover was unplanned. It expires with the
// backups (Aurora user guide, "Performing managed failovers").
func isSystemSnapshot(id string) bool { return strings.HasPrefix(id, systemPrefix) }

// keptCopy names the manual copy of a system snapshot.
func keptCopy(system string) string {
	return fitted("kept-"+strings.TrimPrefix(system, "rds:"), "")
}

// isKept tells a snapshot that this action made, among those of the cluster.
func isKept(id string) bool {
	return strings.HasPrefix(id, keptPrefix) || strings.Contains(id, finalInfix)
}

// rescue copies the system snapshots, which may hold the only copy of writes
// that the failover lost, and waits for the copies.
func (s Survey) rescue(asked asker) (action.Decision, bool) {
	for _, x := range s.Snapshots {
		if !isSystemSnapshot(x.ID) {
			continue
		}
		switch c, copied := s.snapshot(keptCopy(x.ID)); {
		case copied && c.Status == statusAvailable:
		case copied && c.Status != "creating" && c.Status != "copying":
			return action.Fail(action.Terminal, action.StateUnderWay, c.Status, "the copy %s of %s is %s: writes that the failover lost may be in that snapshot, which expires", c.ID, x.ID, c.Status), true
		case copied:
			return action.Wait(action.StateUnderWay, "copying", "%s, where lost writes may be, is being copied to %s (%s)", x.ID, c.ID, c.Status), true
		case x.Status == "creating":
			return action.Wait(action.StateUnderWay, "copying", "AWS is still taking %s, where lost writes may be", x.ID), true
		case x.Status != statusAvailable:
			return action.Fail(action.Terminal, action.StateUnderWay, x.Status, "%s, where lost writes may be, is %s and cannot be copied", x.ID, x.Status), true
		default:
			return s.begin(asked, of(stepCopy, x.ID), "%s may hold writes that the failover lost, and expires", x.ID), true
		}
	}
	return action.Decision{}, false
}

// wrongSource holds the rules about the cluster that is to be the source:
// nothing is touched here before it is proved to take writes there.
func (s Survey) wrongSource(p SecondaryParameters) (action.Decision, bool) {
	c := s.Source
	no := func(phase, format string, args ...any) (action.Decision, bool) {
		return action.Fail(action.Refused, s.state(), phase, format, args...), true
	}
	if c == nil {
		return action.Fail(action.NotFound, s.state(), "no source", "%s is not known in %s", p.SourceDBClusterIdentifier, p.SourceRegion), true
	}
	switch {
	case !strings.EqualFold(c.ARN, p.SourceDBClusterIdentifier):
		return no("no source", "%s is not SourceDBClusterIdentifier %s", c.ARN, p.SourceDBClusterIdentifier)
	case c.Source != "":
		return no("a replica", "the source %s is a replica of %s: it does not take writes", c.ARN, c.Source)
	case c.Global != "" && !strings.EqualFold(c.Global, p.GlobalClusterIdentifier):
		return no("not ours", "the source %s says that it belongs to the global cluster %s", c.ARN, c.Global)
	case c.Engine != p.Engine:
		return no("engine", "the source %s runs %s and Engine is %s", c.ARN, c.Engine, p.Engine)
	case c.Version != p.EngineVersion:
		return no("engine", "the source %s runs %s %s and EngineVersion is %s: a secondary needs the version of its source", c.ARN, c.Engine, c.Version, p.EngineVersion)
	case p.StorageEncrypted != nil && *p.StorageEncrypted != c.Encrypted:
		return no("encryption", "StorageEncrypted is %t and the source %s has %t: a secondary is encrypted as its source is", *p.StorageEncrypted, c.ARN, c.Encrypted)
	}
	if d, ok := s.settled("the source "+c.ARN, c.Status); ok {
		return d, true
	}
	w, ok := c.writer()
	if !ok {
		return no("no writer", "the source %s has no instance that takes writes", c.ARN)
	}
	return s.settled("the source's instance "+w.ID, w.Status)
}

// state is what an unfinished way is in: before its first step ready, after
// it under way.
func (s Survey) state() action.State {
	if s.LocalIn != "" && !s.begun() {
		return action.StateReady
	}
	return action.StateUnderWay
}

// settled lets only what is available pass: what will be is waited for, what
// will not is refused.
func (s Survey) settled(what, status string) (action.Decision, bool) {
	switch action.ConditionOf(conditions, status) {
	case action.StatusReady:
		return action.Decision{}, false
	case action.StatusPending:
		state := s.state()
		if state == action.StateReady {
			state = action.StateBusy
		}
		return action.Wait(state, status, "%s is %s: waiting until it is available", what, status), true
	case action.StatusTerminal:
		return action.Fail(action.Refused, s.state(), status, "%s is %s", what, status), true
	}
	return action.Wait(action.StateUnknown, status, "%s has the status %q, which is not known here: waiting", what, status), true
}

// wrongOld holds the rules about the old cluster that are the same whatever is
// to become of it.
func (s Survey) wrongOld(p SecondaryParameters) (action.Decision, bool) {
	c := s.Local
	no := func(phase, format string, args ...any) (action.Decision, bool) {
		return action.Fail(action.Refused, s.state(), phase, format, args...), true
	}
	switch {
	case c.Source != "":
		return no("a replica", "%s is a replica of %s, not an old primary", c.ARN, c.Source)
	case c.Engine != p.Engine:
		return no("engine", "%s runs %s and Engine is %s: it is not the old primary", c.ARN, c.Engine, p.Engine)
	case c.Created.IsZero():
		return no("no create time", "%s shows no time of creation, from which its new name is made", c.ARN)
	}
	if s.Holder != "" {
		return action.Fail(action.Conflict, s.state(), "name taken", "DBInstanceIdentifier %s is %s", p.DBInstanceIdentifier, s.Holder), true
	}
	if len(s.Taken) > 0 {
		return action.Fail(action.Conflict, s.state(), "name taken", "the names that the old primary is to get belong to others: %s", strings.Join(s.Taken, ", ")), true
	}
	if p.OldPrimary != OldDelete {
		return action.Decision{}, false
	}
	return s.mayDelete(p)
}

// restorableSlack is how far apart the latest restorable times of two clusters
// may be that are both alive: Aurora shows one at most five minutes old.
const restorableSlack = 5 * time.Minute

// finalAge is how old a final snapshot may be while the cluster still has
// instances, which may have taken writes since.
const finalAge = 24 * time.Hour

// mayDelete holds the rules of OldPrimary Delete, beside those about the
// source. No API says which of two clusters holds the newer data. What can be
// said is that the source is no stale copy: its backups reach at least to where
// those of the old cluster reach. What the old cluster may have taken since
// the failover is in the final snapshot.
func (s Survey) mayDelete(p SecondaryParameters) (action.Decision, bool) {
	c := s.Local
	no := func(phase, format string, args ...any) (action.Decision, bool) {
		return action.Fail(action.Refused, s.state(), phase, format+"; it is not deleted (OldPrimary Keep gives it another name)", args...), true
	}
	switch {
	case len(c.Replicas) > 0:
		return no("has replicas", "%s is replicated by %s", c.ARN, strings.Join(c.Replicas, ", "))
	case s.Source.Restorable.IsZero():
		return no("no evidence", "the source %s shows no latest restorable time", s.Source.ARN)
	case c.Restorable.IsZero():
		return no("no evidence", "%s shows no latest restorable time", c.ARN)
	case c.Restorable.Sub(s.Source.Restorable) > restorableSlack:
		return no("newer", "the backups of %s reach to %s and those of the source %s only to %s", c.ARN, c.Restorable.UTC().Format(time.RFC3339), s.Source.ARN, s.Source.Restorable.UTC().Format(time.RFC3339))
	case c.Protected && !p.LiftDeletionProtection:
		return no("protected", "%s is protected against deletion and LiftDeletionProtection is not true", c.ARN)
	}
	return action.Decision{}, false
}

// leave takes the old cluster out of the global cluster that it alone is left
// in. AWS lets a writer go only as the last member.
func (s Survey) leave(p SecondaryParameters, g Global, local Member, asked asker) action.Decision {
	for _, m := range g.Members {
		if !strings.EqualFold(m.ARN, local.ARN) {
			return action.Fail(action.Refused, action.StateReady, "other members", "%s has the member %s beside %s: a writer leaves last, and protection for others hangs on it", g.ID, m.ARN, local.ARN)
		}
	}
	switch {
	case !local.Writer:
		return action.Fail(action.Refused, action.StateReady, "no writer", "%s is the only member of %s and not its writer", local.ARN, g.ID)
	case s.Local == nil:
		return action.Fail(action.NotFound, action.StateUnknown, "no cluster", "%s is listed in %s and not known in %s", local.ARN, g.ID, p.ClusterRegion)
	case s.Local.Status == statusPromoting:
		return action.WaitFinal(action.StateUnderWay, statusPromoting, "%s is leaving %s", local.ARN, g.ID)
	}
	if d, ok := s.mayTouch(p, asked); ok {
		return d
	}
	if !s.Local.marked(p.SourceDBClusterIdentifier) {
		return s.begin(asked, stepMark, "%s is the old primary of %s, which nothing will show when it has left %s", local.ARN, p.SourceDBClusterIdentifier, g.ID)
	}
	if d, ok := s.rescue(asked); ok {
		return d
	}
	return s.begin(asked, stepLeave, "%s is the last member of %s and in the way", local.ARN, g.ID)
}

// mayTouch is what stands before every step on the old cluster.
func (s Survey) mayTouch(p SecondaryParameters, asked asker) (action.Decision, bool) {
	if !s.Deep {
		return action.Look("old primary"), true
	}
	if d, ok := s.wrongSource(p); ok {
		return d, true
	}
	if d, ok := s.unproved(p, asked); ok {
		return d, true
	}
	if d, ok := s.wrongOld(p); ok {
		return d, true
	}
	return s.settled("the old cluster "+s.Local.ARN, s.Local.Status)
}

// setAside puts an old cluster that stands alone out of the way.
func (s Survey) setAside(p SecondaryParameters, asked asker) action.Decision {
	switch s.Local.Status {
	case statusDeleting:
		return action.Wait(action.StateUnderWay, statusDeleting, "the old cluster %s is being deleted", s.Local.ARN)
	case statusPromoting, "renaming":
		return action.WaitFinal(action.StateUnderWay, s.Local.Status, "the old cluster %s is %s", s.Local.ARN, s.Local.Status)
	}
	if d, ok := s.mayTouch(p, asked); ok {
		return d
	}
	if d, ok := s.rescue(asked); ok {
		return d
	}
	if s.Global != nil && len(s.Global.Members) == 0 {
		return s.begin(asked, stepEmpty, "%s has no member left and its name is needed", s.Global.ID)
	}
	if p.OldPrimary == OldDelete {
		return s.remove(asked)
	}
	return s.rename(asked)
}

// rename gives the old cluster another name, after its instances: while it has
// its name, they are found by it.
func (s Survey) rename(asked asker) action.Decision {
	c := *s.Local
	for _, i := range c.Instances {
		if d, ok := s.settled("the old instance "+i.ID, i.Status); ok {
			return d
		}
		if !strings.HasSuffix(i.ID, c.oldEnding()) {
			return s.begin(asked, of(stepRenameInstance, i.ID), "the old instance becomes %s", fitted(i.ID, c.oldEnding()))
		}
	}
	return s.begin(asked, stepRename, "the old cluster becomes %s", c.oldName())
}

// remove deletes the old cluster: its snapshot, its protection, its instances,
// itself.
func (s Survey) remove(asked asker) action.Decision {
	c := *s.Local
	final, taken := s.snapshot(s.finalName())
	switch {
	case !taken:
		return s.begin(asked, stepFinal, "the old cluster is to be deleted, and %s is to keep what it holds", s.finalName())
	case final.Status == "creating":
		return action.Wait(action.StateUnderWay, "snapshot", "the final snapshot %s is %s", final.ID, final.Status)
	case final.Status != statusAvailable:
		return action.Fail(action.Refused, s.state(), "snapshot", "the final snapshot %s is %s: %s is not deleted", final.ID, final.Status, c.ARN)
	case len(c.Instances) > 0 && asked("").Now.Sub(final.Taken) > finalAge:
		return action.Fail(action.Refused, s.state(), "snapshot", "the final snapshot %s is of %s, and %s may have taken writes since: start a new run, which takes its own",
			final.ID, final.Taken.UTC().Format(time.RFC3339), c.ARN)
	case c.Protected:
		return s.begin(asked, stepLift, "%s is protected against deletion and LiftDeletionProtection is true", c.ARN)
	}
	for _, i := range c.Instances {
		if i.Status != statusDeleting {
			return s.begin(asked, of(stepDeleteInstance, i.ID), "%s is in the final snapshot %s", c.ARN, final.ID)
		}
	}
	if len(c.Instances) > 0 {
		return action.Wait(action.StateUnderWay, statusDeleting, "the instances of %s are being deleted", c.ARN)
	}
	return s.begin(asked, stepDelete, "%s is in the final snapshot %s", c.ARN, final.ID)
}

// plan tells a person what will become of what is there.
func (s Survey) plan(p SecondaryParameters) []string {
	var all []string
	for _, x := range s.Snapshots {
		if _, copied := s.snapshot(keptCopy(x.ID)); isSystemSnapshot(x.ID) && !copied {
			all = append(all, "AWS has saved what the old primary held in "+x.ID+": it will be copied to "+keptCopy(x.ID)+", for it expires")
		}
	}
	switch c := s.Local; {
	case s.LocalIn != "" && s.LocalIn == s.SourceIn:
		all = append(all, p.DBClusterIdentifier+" is a secondary of "+p.SourceDBClusterIdentifier+" already: it is waited for, and gets an instance if it has none")
	case c == nil:
		all = append(all, "nothing is in the way: global cluster, cluster and instance will be created as far as they are missing")
	case c.Created.IsZero() || c.Source != "" || c.Status == "creating":
	case p.OldPrimary == OldDelete:
		all = append(all, fmt.Sprintf("the old primary %s, with %d instances, will leave its global cluster and be DELETED after the final snapshot %s", c.ARN, len(c.Instances), s.finalName())+"; its automated backups stay")
	default:
		renamed := []string{c.ID + " to " + c.oldName()}
		for _, i := range c.Instances {
			if !strings.HasSuffix(i.ID, c.oldEnding()) {
				renamed = append(renamed, i.ID+" to "+fitted(i.ID, c.oldEnding()))
			}
		}
		all = append(all, "the old primary will leave its global cluster and be renamed: "+strings.Join(renamed, ", ")+"; its endpoints change with the names")
		if len(c.Replicas) > 0 {
			all = append(all, c.ARN+" is replicated by "+strings.Join(c.Replicas, ", ")+", which a new name may cut off")
		}
	}
	return all
}

// takeOld makes the one call of a step on what is old. A thing that is gone
// already may have been seen in an old read: the next look decides.
func (a Secondary) takeOld(ctx context.Context, p SecondaryParameters, s Survey, step string, now time.Time) error {
	api := a.RDS(p.ClusterRegion)
	kind, thing := cutStep(step)
	var err error
	switch kind {
	case stepMark:
		tags := tagsOf(map[string]string{tagOldOf: s.Local.mark(s.Source.ARN, now)})
		_, err = api.AddTagsToResource(ctx, &rds.AddTagsToResourceInput{ResourceName: aws.String(s.Local.ARN), Tags: tags})
	case stepCopy:
		_, err = api.CopyDBClusterSnapshot(ctx, &rds.CopyDBClusterSnapshotInput{SourceDBClusterSnapshotIdentifier: aws.String(thing), TargetDBClusterSnapshotIdentifier: aws.String(keptCopy(thing))})
	case stepLeave:
		_, err = api.RemoveFromGlobalCluster(ctx, &rds.RemoveFromGlobalClusterInput{GlobalClusterIdentifier: aws.String(p.GlobalClusterIdentifier), DbClusterIdentifier: aws.String(s.Local.ARN)})
	case stepEmpty:
		_, err = api.DeleteGlobalCluster(ctx, &rds.DeleteGlobalClusterInput{GlobalClusterIdentifier: aws.String(p.GlobalClusterIdentifier)})
	case stepRenameInstance:
		_, err = api.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{
			DBInstanceIdentifier: aws.String(thing), NewDBInstanceIdentifier: aws.String(fitted(thing, s.Local.oldEnding())), ApplyImmediately: aws.Bool(true),
		})
	case stepRename:
		_, err = api.ModifyDBCluster(ctx, &rds.ModifyDBClusterInput{
			DBClusterIdentifier: aws.String(s.Local.ID), NewDBClusterIdentifier: aws.String(s.Local.oldName()), ApplyImmediately: aws.Bool(true),
		})
	case stepFinal:
		_, err = api.CreateDBClusterSnapshot(ctx, &rds.CreateDBClusterSnapshotInput{DBClusterIdentifier: aws.String(s.Local.ID), DBClusterSnapshotIdentifier: aws.String(s.finalName())})
	case stepLift:
		_, err = api.ModifyDBCluster(ctx, &rds.ModifyDBClusterInput{DBClusterIdentifier: aws.String(s.Local.ID), DeletionProtection: aws.Bool(false), ApplyImmediately: aws.Bool(true)})
	case stepDeleteInstance:
		_, err = api.DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{DBInstanceIdentifier: aws.String(thing), SkipFinalSnapshot: aws.Bool(true)})
	case stepDelete:
		// The snapshot is complete. What was written after it is in the automated
		// backups, which are retained.
		_, err = api.DeleteDBCluster(ctx, &rds.DeleteDBClusterInput{DBClusterIdentifier: aws.String(s.Local.ID), SkipFinalSnapshot: aws.Bool(true), DeleteAutomatedBackups: aws.Bool(false)})
	}
	if err != nil && action.ClassOf(err) == action.NotFound {
		return action.Errorf(action.Conflict, "%w", err)
	}
	return err
}
