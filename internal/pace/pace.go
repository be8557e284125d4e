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
	Aside   bool          // what this very look changed takes no time, as a tag
	Final   bool          // the operation is in its last phase
	Watched int           // resources watched at the same time
	Reads   int           // describes that it takes to prove the goals of all of them
	Hint    time.Duration // what the action knows of its own pace; 0: nothing
	Starts  time.Duration // from the start of the layer's first resource to that of its last
}

const (
	final      = 4 * time.Second  // while the operation may end any moment
	early      = 5 * time.Second  // while at least one phase is still to come
	fast       = 30 * time.Minute // past this, waits grow with the time elapsed
	longest    = 60 * time.Second
	perSecond  = 4 // describes a second, by each of looks and proofs: together below the promised ten
	startReads = 6 // describes of the resources started in one second
)

// Wait gives the whole seconds to wait before the next look.
func Wait(p Poll) int {
	wait := early
	if p.Final {
		wait = final
	}
	if p.Hint > 0 {
		wait = p.Hint
	}
	if p.First {
		wait = max(wait, p.Minimum, p.Starts) // looks do not come on top of starts, and stay as far apart
	}
	if p.Aside {
		wait = max(wait, p.Starts) // these looks do not come on top of starts, either
	}
	if p.Elapsed > fast && p.Hint == 0 {
		wait = min(max(wait, p.Elapsed/360), longest)
	}
	reads := p.Watched
	if p.Final {
		reads = max(p.Reads, p.Watched)
	}
	share := time.Duration(reads) * time.Second / perSecond
	return int((max(wait, share) + time.Second - 1) / time.Second)
}

// StartDelay gives the whole seconds by which a resource starts after the first
// of its layer. before is how many describes the starts of those ahead of it
// take, reads how many its own.
func StartDelay(before, reads int) int { return (before + reads - 1) / startReads }
