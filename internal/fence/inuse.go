package fence

import (
	"context"
	"time"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/succession"
)

// A database that took over before this run may have done so for a drill, or
// after a false alarm: its mark is the same. Whether the old primary serves all
// the same, its clients tell.

// tookOver gives when a database took over by its mark; ok is false for one that
// still follows the primary.
func (p Primary) tookOver() (at time.Time, ok bool) {
	switch {
	case p.Source != "" || p.Global != "":
		return time.Time{}, false
	case p.Cluster:
		_, at = succession.Of(p.Tags[succession.Tag], p.Created)
		return at, true
	}
	return succession.PromotedAt(p.Tags), true
}

// inUse refuses to fence a primary that clients are connected to, or may be,
// where nothing of this run has taken its place. A fence that was begun goes on.
func (a Fence) inUse(ctx context.Context, req action.Request[Parameters], s sight) error {
	p := req.Parameters
	at, over := s.next.tookOver()
	switch {
	case !over, p.FenceInUse, s.found.markedFor(s.next), !at.Before(req.Run.StartedAt):
		return nil
	case s.found.Status == statusStopped, s.found.Cluster && s.found.Members == 0:
		return nil // there is nobody
	}
	metric := lag.Clients(s.found.ID)
	if s.found.Cluster {
		metric = lag.ClientsOfCluster(s.found.ID)
	}
	reading := a.Clients(p.PrimaryRegion).Read(ctx, metric, req.Now)
	if reading.Err != nil {
		return reading.Err
	}
	deserted, why := reading.Deserted()
	if deserted || !reading.Known && action.ConditionOf(conditions, s.found.Status) == action.StatusPending { // it is waited for, and looked at again
		return nil
	}
	since := "at a time that no tag tells"
	if !at.IsZero() {
		since = "at " + at.UTC().Format(timeForm)
	}
	return action.Errorf(action.Refused, "%s is not fenced: %s, and %s took over before this run, %s, as it may have done for a drill. Find out which of the two serves. If it is %s, set FenceInUse to true",
		s.found.what(), why, s.next.what(), since, s.next.ID)
}
