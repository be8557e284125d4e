package replica

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lag"
)

// scene is everything that a decision about a creation looks at.
type scene struct {
	region   string       // of the run
	want     string       // ARN of the instance that is to be replicated
	here     *Instance    // what stands under the replica's name; nil: nothing
	source   *Instance    // what is to be replicated; nil: not there, or it does not matter
	snapshot *Snapshot    // the last of the old primary; nil: none of this run
	reading  lag.Reading  // of the replica
	baseline action.State // what the preflight saw; empty: this is the preflight
	now      time.Time
}

// replicates reports whether the replica asked for is what stands there.
func (s scene) replicates() bool { return s.here != nil && strings.EqualFold(s.here.Source, s.want) }

// leaving reports whether AWS is taking away what stands under the name.
func (s scene) leaving() bool {
	return s.here != nil && (s.here.Status == statusDeleting || s.here.Status == statusRenaming)
}

// absent is the state in which nothing stands under the name. Whether this run
// has made it so can be told from what the preflight saw: the old primary is
// StateReady to be moved, and its absence StateBusy then, so that the two can
// be told apart. An old primary that is gone since is a step toward the goal.
func (s scene) absent() action.State {
	switch s.baseline {
	case "":
		return action.StateBusy
	case action.StateReady:
		return action.StateUnderWay
	}
	return action.StateReady
}

// decideCreation says what to do. Three things may stand under the name: the
// replica asked for, nothing, or the old primary, which may hold writes that
// nobody else has.
func decideCreation(s scene, p CreateParameters, asked func(step string) action.Asked) action.Decision {
	switch {
	case p.SourceRegion == s.region:
		return action.Fail(action.InvalidInput, action.StateUnknown, "wrong region", "SourceRegion is the region of the run, %s: start the run in the region that is to be protected again", s.region)
	case s.here == nil:
		return decideAbsent(s, p, asked(stepCreate))
	case s.here.Cluster != "":
		return action.Fail(action.Refused, action.StateUnknown, s.here.Status, "%s is a member of the cluster %s: only instances of their own are replaced", s.here.ID, s.here.Cluster)
	case s.leaving():
		state := action.StateBusy
		if s.snapshot != nil || s.here.Source == "" && s.here.Status == statusRenaming && p.OldPrimary != oldDelete {
			state = action.StateUnderWay
		}
		return action.WaitFinal(state, s.here.Status, "DB instance %s is %s: waiting until the name is free", s.here.ID, s.here.Status)
	case s.replicates():
		return decideReplica(s, p, asked(stepBackups))
	case s.here.Source != "":
		return action.Fail(action.Refused, action.StateUnknown, s.here.Status, "%s replicates %s and not %s: delete it, or name another replica", s.here.ID, s.here.Source, s.want)
	}
	return decideOldPrimary(s, p, asked)
}

// of marks a decision with the step that it belongs to, and replaces the state
// of a resource at rest by one that tells more.
func of(step string, atRest action.State, d action.Decision) action.Decision {
	d.Step = step
	if d.State == action.StateReady {
		d.State = atRest
	}
	return d
}

func decideAbsent(s scene, p CreateParameters, create action.Asked) action.Decision {
	if d, bad := sourceFault(s, p); bad {
		return of(stepCreate, s.absent(), d)
	}
	if d, ok := create.Idle(); ok {
		return of(stepCreate, s.absent(), d)
	}
	return of(stepCreate, s.absent(), action.Act(stepCreate, "the name is free and the source can be replicated"))
}

// sourceFault judges the database that is to be replicated. It is the writer
// now only if it is no replica itself: one that is has not been promoted.
func sourceFault(s scene, p CreateParameters) (action.Decision, bool) {
	refuse := func(format string, args ...any) (action.Decision, bool) {
		return action.Fail(action.Refused, action.StateReady, "source", "source %s: %s", s.want, fmt.Sprintf(format, args...)), true
	}
	invalid := func(format string, args ...any) (action.Decision, bool) {
		return action.Fail(action.InvalidInput, action.StateReady, "source", "source %s: %s", s.want, fmt.Sprintf(format, args...)), true
	}
	if s.source == nil {
		return refuse("it does not exist")
	}
	i := *s.source
	condition := action.ConditionOf(conditions, i.Status)
	switch {
	case !strings.EqualFold(i.ARN, s.want):
		return refuse("what AWS shows is %s", i.ARN)
	case i.Cluster != "":
		return refuse("it is a member of the cluster %s", i.Cluster)
	case i.Source != "":
		return refuse("it is a replica of %s and takes no writes: no failover to it has ended", i.Source)
	case i.Replication != "":
		return refuse("read replication is still shown as %s", i.Replication)
	case condition == action.StatusTerminal || condition == action.StatusUnknown:
		return refuse("it is %q and has to be available", i.Status)
	case i.Retention == 0:
		return refuse("it has no automated backups, without which AWS makes no replica: set its backup retention")
	case i.Encrypted && p.key() == "":
		return invalid("it is encrypted: KmsKeyId must name a key in %s", s.region)
	case !i.Encrypted && (p.key() != "" || aws.ToBool(p.StorageEncrypted)):
		return invalid("it is not encrypted, and no replica of it can be: want KmsKeyId None and StorageEncrypted False")
	case i.Status != statusAvailable:
		return action.WaitFinal(action.StateReady, "source "+i.Status, "source %s is %s: waiting until it is available", s.want, i.Status), true
	}
	return action.Decision{}, false
}

// takesBackups reports whether AWS takes automated backups of a replica of this
// engine. The RDS user guide has it for MySQL, MariaDB and Oracle, and for
// PostgreSQL from 14.1 on.
func takesBackups(engine, version string) bool {
	switch {
	case engine == "mysql", engine == "mariadb", strings.HasPrefix(engine, "oracle-"):
		return true
	case engine == "postgres":
		var major, minor int
		if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n < 2 {
			return false
		}
		return major > 14 || major == 14 && minor >= 1
	}
	return false
}

// decideReplica judges a replica of the right source. It protects the region
// when it is available and replicates, and its lag is known and small enough:
// "available" comes before the replica has caught up. What has to be done about
// it still counts as under way.
func decideReplica(s scene, p CreateParameters, backups action.Asked) action.Decision {
	i, want := *s.here, p.BackupRetentionPeriod
	const underWay = action.StateUnderWay
	step := func(d action.Decision) action.Decision { return of(stepBackups, underWay, d) }
	switch action.ConditionOf(conditions, i.Status) {
	case action.StatusTerminal:
		return step(action.Fail(action.Terminal, underWay, i.Status, "replica %s is %s", i.ID, i.Status))
	case action.StatusUnknown:
		return step(action.Wait(action.StateUnknown, i.Status, "replica %s has the status %q, which is not known here: waiting", i.ID, i.Status))
	case action.StatusPending:
		if i.Status == statusCreating {
			return step(action.Wait(underWay, i.Status, "replica %s is being created", i.ID))
		}
		return step(action.WaitFinal(underWay, i.Status, "replica %s is %s", i.ID, i.Status))
	}
	if want != nil && i.Retention < *want && takesBackups(i.Engine, i.Version) {
		if i.Pending != nil && *i.Pending == *want {
			return step(action.WaitFinal(underWay, "backup", "the backup retention of %s is being applied", i.ID))
		}
		if d, ok := backups.Idle(); ok {
			return step(d)
		}
		return step(action.Act(stepBackups, "the backup retention is %d days and %d were asked for", i.Retention, *want))
	}
	limit := time.Duration(p.MaxReplicaLagSeconds) * time.Second
	switch {
	case i.Replication == "terminated":
		return step(action.Fail(action.Terminal, underWay, i.Replication, "the replication of %s is terminated: AWS does not resume it; delete the replica and start again", i.ID))
	case i.Replication != lag.Replicating:
		return step(action.WaitFinal(underWay, "starting replication", "replica %s is available and shows replication as %q", i.ID, i.Replication))
	case !s.reading.Known:
		return step(action.WaitFinal(underWay, "catching up", "the lag of %s is not known yet: %s", i.ID, s.reading.Why))
	case s.reading.Lag > limit:
		return step(action.WaitFinal(underWay, "catching up", "replica %s is %s behind, and done at %s", i.ID, s.reading, limit))
	}
	return step(action.Finish("replicating", "replica %s is available and %s behind %s", i.ID, s.reading, s.want))
}
