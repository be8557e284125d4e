package fence

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/succession"
)

// A fence is wanted of a primary only while something takes its place. Which of
// two databases that is depends on the day: after a failback and a switchback
// the same names have changed roles. So what takes over is named, and has to
// show that it comes after what is fenced.

// findSuccessor reads what takes over, in the region of the run.
func findSuccessor(ctx context.Context, api Finder, p Parameters, region string) (Primary, error) {
	if p.SuccessorIdentifier == "" {
		return Primary{}, action.Errorf(action.Refused, "no SuccessorIdentifier says what takes over from %s: nothing is fenced", p.name())
	}
	var found Primary
	var err error
	if p.DBClusterIdentifier != "" {
		found, err = findGroup(ctx, api, p.SuccessorIdentifier, region)
	} else {
		found, err = find(ctx, api, Parameters{RDSInstanceIdentifier: p.SuccessorIdentifier, PrimaryRegion: region})
	}
	if err != nil && action.ClassOf(err) == action.NotFound {
		return Primary{}, action.Errorf(action.Refused, "SuccessorIdentifier %s is not in %s: nothing takes over from %s", p.SuccessorIdentifier, region, p.name())
	}
	return found, err
}

// succeeds finds what keeps a database from being the one that takes over from
// old. What AWS does not show proves nothing.
func succeeds(next, old Primary) error {
	wrong := func(format string, args ...any) error {
		return action.Errorf(action.Refused, "%s is not fenced, for %s does not take over from it: %s", old.what(), next.what(), fmt.Sprintf(format, args...))
	}
	switch {
	case next.ARN == "" || old.ARN == "" || strings.EqualFold(next.ARN, old.ARN):
		return wrong("AWS shows %q and %q", next.ARN, old.ARN)
	case next.Parent != "":
		return wrong("it is a member of the cluster %s", next.Parent)
	case next.Engine == "" || next.Engine != old.Engine:
		return wrong("its engine is %q and that of the other %q", next.Engine, old.Engine)
	case next.Source != "" && strings.EqualFold(next.Source, old.ARN):
		return nil // its replica
	case next.Source != "":
		return wrong("it replicates %s", next.Source)
	case keptForm.MatchString(next.ID):
		return wrong("it is an old primary that a failback has kept")
	case next.marked():
		return wrong("it is fenced itself")
	case !stands(next.Status):
		return wrong("it is no replica and its status is %q", next.Status)
	case next.Cluster:
		return clusterSucceeds(next, old, wrong)
	}
	return instanceSucceeds(next, old, wrong)
}

// instanceSucceeds judges an instance that is no replica. RDS never turns a
// primary into a replica again, but for Oracle: a replica is made anew, so that
// one that was promoted is younger than its source. That alone proves nothing:
// it may have been promoted for a drill while its source went on.
func instanceSucceeds(next, old Primary, wrong func(string, ...any) error) error {
	switch {
	case old.markedFor(next):
		return nil // that was proved when the fence was begun
	case !succession.Ages(next.Engine):
		return wrong("it is no replica, Oracle databases change places and keep their age, and no fence was begun for it: fence the old primary by hand, if %s is the one that serves", next.ID)
	case next.Created.IsZero() || old.Created.IsZero():
		return wrong("it is no replica, and AWS does not show when both were created")
	case !next.Created.After(old.Created):
		return wrong("it is no replica and was created at %s, before the other (%s): the two have changed roles since, and this would fence the one that serves",
			next.Created.UTC().Format(timeForm), old.Created.UTC().Format(timeForm))
	case !succession.PromotedFrom(next.Tags, old.ARN, old.Created):
		return wrong("it is no replica, and no tag %s of it says that it was promoted from the other since that was created (%s): it may be left over from a drill. Where it is the one that serves, set that tag to %q with the time of its promotion in place of TIME, such as 2006-01-02T15:04:05Z",
			succession.PromotedTag, old.Created.UTC().Format(timeForm), old.ARN+" TIME")
	}
	return nil
}

// keptForm is how the names end under which failbacks keep old primaries.
var keptForm = regexp.MustCompile(`-old-[0-9]{12}$`)

// clusterSucceeds judges clusters, whose age says nothing: members of a global
// cluster change roles and stay.
func clusterSucceeds(next, old Primary, wrong func(string, ...any) error) error {
	writes := old.Writer != "" || old.Members == 0
	switch {
	case old.Global != "" && next.Global == old.Global && writes:
		return nil // its secondary, or what takes the role over just now
	case old.Global != "" && next.Global == "" && old.Writer != "" && next.Writer != "" && succession.Proves(next.Tags[succession.Tag], next.Created, old.ARN, old.Created):
		return nil // detached from the global cluster of the other
	case old.markedFor(next):
		return nil // that was proved when the fence was begun
	}
	return wrong("it is in the global cluster %q and the other in %q, it has no tag %s of a detach from it, and no fence was begun for it. Where it is the one that serves, shut the security groups of the other by hand", next.Global, old.Global, succession.Tag)
}

const timeForm = "2006-01-02T15:04:05Z"

// stands reports whether a status is that of a database that takes writes, or
// will when something short is over. The promotion of before may still be at
// its backup.
func stands(status string) bool {
	switch status {
	case "creating", statusStarting, statusStopping:
		return false
	}
	condition := action.ConditionOf(conditions, status)
	return condition == action.StatusReady || condition == action.StatusPending
}
