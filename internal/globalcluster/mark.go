package globalcluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/succession"
)

// Nothing that AWS shows of two clusters that both stand alone tells which of
// them serves: after a managed failover the younger may be the old primary. So
// the cluster that stands under the secondary's name is touched only where one
// of three things proves that it is the old primary:
//
//   - it is the only member of the global cluster, its writer, and the source has
//     left it and carries the mark of a detach that it took over from it. Without
//     that mark it may be the other way round: the one that was left is the one
//     that serves, and the source was taken out by hand;
//   - a tag of ours from when that was so. The next steps destroy the first
//     proof, and a run that is started again goes on by the tag;
//   - an operator has written its ARN down.

// Tags. Those about the old primary are on the cluster that takes its place, so
// that every later look can tell, whatever became of the run. tagReaches is the
// latest moment that the data left behind reaches.
const (
	tagOldOf    = "dr-orchestrator:old-primary-of" // on the old primary itself
	tagKept     = "dr-orchestrator:old-primary"
	tagSnapshot = "dr-orchestrator:old-primary-snapshot"
	tagReaches  = "dr-orchestrator:old-primary-reaches"
)

var oldTags = []string{tagKept, tagSnapshot, tagReaches}

// moment writes a time for a person; one that AWS does not show is "unknown".
func moment(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return t.UTC().Format(time.RFC3339)
}

// mark is the value of the tag that makes a cluster the old primary of a source
// from now on. It says when the cluster was created, because the tags of a
// cluster go into its snapshots and from there into what is restored.
func (c Cluster) mark(source string, now time.Time) string {
	return fmt.Sprintf("%s since %s created %s", source, moment(now), moment(c.Created))
}

// oldOf gives the source that a cluster is marked as the old primary of, and
// since when; empty where it carries no mark of its own.
func (c Cluster) oldOf() (source, since string) {
	words := strings.Fields(c.Tags[tagOldOf])
	if len(words) != 5 || c.Created.IsZero() || words[4] != moment(c.Created) {
		return "", ""
	}
	return words[0], words[2]
}

// marked reports whether a cluster is the old primary of a source by its tag.
func (c Cluster) marked(source string) bool {
	of, _ := c.oldOf()
	return of != "" && strings.EqualFold(of, source)
}

// unproved refuses a cluster that nothing proves to be the old primary.
func (s Survey) unproved(p SecondaryParameters, asked asker) (action.Decision, bool) {
	c, source := s.Local, s.Source
	no := func(format string, args ...any) (action.Decision, bool) {
		return action.Fail(action.Refused, s.state(), "perhaps in use", format, args...), true
	}
	switch {
	case source.marked(c.ARN):
		return no("the source %s has the tag %s: it is itself the old primary of %s, which seems to be the one that serves. Run the failback in %s; if the tag is out of date, remove it",
			source.ARN, tagOldOf, c.ARN, p.SourceRegion)
	case strings.EqualFold(p.OldDBClusterArn, c.ARN), s.LocalIn != "" && source.Global == "" && succession.Proves(source.Tags[succession.Tag], source.Created, c.ARN, c.Created), s.LocalIn == "" && s.SourceIn == "" && c.marked(source.ARN):
		return s.inUse(p)
	}
	// What this run has changed may not be seen everywhere yet.
	for _, step := range []string{stepMark, stepLeave, stepRename, stepDelete} {
		if d, waits := asked(step).Idle(); waits && d.Move == action.MoveWait {
			d.Step = step
			return d, true
		}
	}
	if s.LocalIn != "" && source.Global == "" {
		return no("nothing proves that %s is the old primary: it is alone in %s and the source %s stands alone, without the tag %s that a detach by UnPlannedFailoverAurora leaves. Find out which of the two the applications write to. If it is the source, name the other: OldDBClusterArn %s. If it is %s, run the failback in %s",
			c.ARN, s.LocalIn, source.ARN, succession.Tag, c.ARN, c.ARN, p.SourceRegion)
	}
	if s.LocalIn != "" {
		return no("the source %s says that it belongs to the global cluster %s, which does not list it: nothing proves that it has left. If %s is the old primary, name it: OldDBClusterArn %s",
			source.ARN, source.Global, c.ARN, c.ARN)
	}
	if s.SourceIn != "" {
		return no("%s may be the cluster that serves: it stands alone, and the source %s is the writer of %s, as after a detach of %s. Find out which of the two the applications write to. If it is %s, this is the wrong region: run the failback in %s. If it is the source, name the old primary: OldDBClusterArn %s",
			c.ARN, source.ARN, s.SourceIn, c.ARN, c.ARN, p.SourceRegion, c.ARN)
	}
	return no("nothing proves that %s is the old primary: neither it nor the source %s is in a global cluster, and it has no tag %s of this source. If it is the one that serves, run the failback in %s; if it is the old primary, name it: OldDBClusterArn %s",
		c.ARN, source.ARN, tagOldOf, p.SourceRegion, c.ARN)
}

// inUse refuses an old primary that clients are connected to, or may be. A
// detach for a drill, or after a false alarm, leaves the same mark as a failover,
// and the applications where they were. A person may answer for it, but not for
// what is to be deleted.
func (s Survey) inUse(p SecondaryParameters) (action.Decision, bool) {
	c := s.Local
	deserted, why := s.Clients.Deserted()
	switch {
	case deserted, !c.running(), p.OldDBClusterArn != "" && p.OldPrimary != OldDelete:
		return action.Decision{}, false
	case !s.Clients.Known && (s.begun() || action.ConditionOf(conditions, c.Status) != action.StatusReady):
		// It was deserted when the way began, or is waited for and looked at again.
		return action.Decision{}, false
	case p.OldPrimary == OldDelete:
		return action.Fail(action.Refused, s.state(), "in use", "%s: %s. What may be in use is not deleted: fence it, and start again", c.ARN, why), true
	}
	return action.Fail(action.Refused, s.state(), "in use", "%s: %s. If it serves, nothing is to be failed back here; if it does not, fence it, or name it: OldDBClusterArn %s", c.ARN, why, c.ARN), true
}

// leaves gives the tags that tell what a step leaves of the old primary.
func (s Survey) leaves(step string) map[string]string {
	switch step {
	case stepRename:
		return map[string]string{tagKept: s.Local.oldName(), tagReaches: moment(s.Local.Restorable)}
	case stepDelete:
		final, _ := s.snapshot(s.finalName())
		return map[string]string{tagSnapshot: final.ID, tagReaches: moment(final.Taken)}
	}
	return nil
}

// tell puts what tags say of the old primary into evidence. AWS does not show
// when a cluster was detached. So writes that nobody else has can be anywhere up
// to the moment that the data left behind reaches.
func tell(e action.Evidence, tags map[string]string) {
	for tag, name := range map[string]string{tagKept: "oldPrimaryKeptAs", tagSnapshot: "oldPrimarySnapshot"} {
		if value := tags[tag]; value != "" {
			e[name] = value
			e["writesOnlyThere"] = map[string]string{"in": value, "until": tags[tagReaches]}
		}
	}
}

// story tells a person what the tags of a cluster say of the old primary.
func (c Cluster) story() string {
	switch until := c.Tags[tagReaches]; {
	case c.Tags[tagKept] != "":
		return "; the old primary is kept as " + c.Tags[tagKept] + ", whose data reach to " + until
	case c.Tags[tagSnapshot] != "":
		return "; the old primary is deleted, its snapshot " + c.Tags[tagSnapshot] + " holds its data up to " + until
	}
	return ""
}

// whereabouts finds the newest old primary that was kept under a name of ours,
// or the newest snapshot of one that was deleted. It is asked for where this run
// does not remember, before the cluster that takes the place is created.
func (a Secondary) whereabouts(ctx context.Context, p SecondaryParameters) (map[string]string, error) {
	if p.OldPrimary == OldDelete {
		all, err := findSnapshots(ctx, a.RDS(p.ClusterRegion), &rds.DescribeDBClusterSnapshotsInput{SnapshotType: aws.String("manual")}, "the manual cluster snapshots", p.ClusterRegion)
		var last Snapshot
		for _, x := range all {
			if strings.EqualFold(x.Of, p.DBClusterName) && strings.Contains(x.ID, finalInfix) && x.Taken.After(last.Taken) {
				last = x
			}
		}
		if last.ID == "" {
			return nil, err
		}
		return map[string]string{tagSnapshot: last.ID, tagReaches: moment(last.Taken)}, err
	}
	var last Cluster
	in := &rds.DescribeDBClustersInput{}
	for {
		out, err := a.RDS(p.ClusterRegion).DescribeDBClusters(ctx, in)
		if err != nil {
			return nil, action.Call("listing the clusters in "+p.ClusterRegion, err)
		}
		for _, found := range out.DBClusters {
			c := shownCluster(found)
			was := c
			was.ID = p.DBClusterName
			if c.ID == was.oldName() && c.Created.After(last.Created) {
				last = c
			}
		}
		if aws.ToString(out.Marker) == "" {
			break
		}
		in.Marker = out.Marker
	}
	if last.ID == "" {
		return nil, nil
	}
	return map[string]string{tagKept: last.ID, tagReaches: moment(last.Restorable)}, nil
}

// remembered are the tags about the old primary that this run knows.
func remembered(memo map[string]string) map[string]string {
	all := map[string]string{}
	for _, tag := range oldTags {
		if value := memo[tag]; value != "" {
			all[tag] = value
		}
	}
	return all
}

// tagsOf writes tags as AWS takes them, in the order of oldTags.
func tagsOf(values map[string]string) []types.Tag {
	var all []types.Tag
	for _, key := range append([]string{tagOldOf}, oldTags...) {
		if value := values[key]; value != "" {
			all = append(all, types.Tag{Key: aws.String(key), Value: aws.String(value)})
		}
	}
	return all
}

// findTaken finds which of the names that the old cluster and its instances are
// to get belong to something else.
func findTaken(ctx context.Context, api Finder, c Cluster, region string) ([]string, error) {
	var taken []string
	other, err := findCluster(ctx, api, c.oldName(), region)
	if err != nil {
		return nil, err
	}
	// An old read may show the cluster under the name that it has got already.
	if other != nil && !other.Created.Equal(c.Created) {
		taken = append(taken, "cluster "+other.ID)
	}
	for _, i := range c.Instances {
		name := fitted(i.ID, c.oldEnding())
		if strings.HasSuffix(i.ID, c.oldEnding()) {
			continue
		}
		holder, err := findHolder(ctx, api, name, c.ID, region)
		if err != nil {
			return nil, err
		}
		if holder != "" && holder != inCluster(c.oldName()) {
			taken = append(taken, "instance "+name+" ("+holder+")")
		}
	}
	slices.Sort(taken)
	return taken, nil
}
