// Package pace decides how long the state machine waits between two looks at
// a resource, and how the starts of a large layer are kept apart.
//
// Two wishes pull against each other: an operation that has ended should be
// noticed at once, and a region's describe quota is shared with everyone who
// recovers on the same day. Step Functions waits whole seconds only.
package pace

import "time"

// Poll is what the wait after one look depends on.
type Poll struct {
	Elapsed time.Duration // since the resource was first driven
	Minimum time.Duration // no operation of this kind ends sooner
	First   bool          // the operation was started by this very look
	Final   bool          // the operation is in its last phase
	Watched int           // resources watched at the same time
}

const (
	final      = 4 * time.Second  // while the operation may end any moment
	early      = 5 * time.Second  // while at least one phase is still to come
	fast       = 30 * time.Minute // past this, waits grow with the time elapsed
	longest    = 60 * time.Second
	perSecond  = 8 // describes a second in a region, below the promised ten
	startsEach = 3 // resources started in one second: a start takes up to three describes
)

// Wait gives the whole seconds to wait before the next look.
func Wait(p Poll) int {
	wait := early
	if p.Final {
		wait = final
	}
	if p.First && p.Minimum > wait {
		wait = p.Minimum
	}
	if p.Elapsed > fast {
		wait = min(max(wait, p.Elapsed/360), longest)
	}
	share := time.Duration(p.Watched) * time.Second / perSecond
	return int((max(wait, share) + time.Second - 1) / time.Second)
}

// StartDelay gives the whole seconds by which the resource at a position of
// its layer, counted from 0, starts after the first.
func StartDelay(position int) int { return position / startsEach }
