package asl

import (
	"context"
	"math"
	"sync"
	"time"
)

// matches tells whether an ErrorEquals names an error. States.Runtime ends the
// execution even where it is named, and the wildcards leave out
// States.DataLimitExceeded, as the chapter on error handling has it.
func matches(names []string, failure *Error) bool {
	if failure.Name == ErrorRuntime {
		return false
	}
	for _, name := range names {
		switch name {
		case failure.Name:
			return true
		case ErrorAll:
			return failure.Name != ErrorDataLimit
		case ErrorTaskFailed:
			return failure.Name != ErrorDataLimit && failure.Name != ErrorTimeout
		}
	}
	return false
}

// nextDelay is how long to wait before the next attempt; used counts the
// attempts of each retrier. The first retrier that matches decides alone: once
// it is used up, later ones are not asked.
func (st *state) nextDelay(failure *Error, used []int, rt Runtime) (time.Duration, bool) {
	for i, r := range st.retry {
		if !matches(r.ErrorEquals, failure) {
			continue
		}
		if used[i] >= r.MaxAttempts {
			return 0, false
		}
		delay := r.delay(used[i])
		used[i]++
		if r.FullJitter {
			delay = time.Duration(rt.Random() * float64(delay))
		}
		return delay, true
	}
	return 0, false
}

// delay is the wait after n earlier retries, before jitter.
func (r Retrier) delay(n int) time.Duration {
	limit := maxTimeout * time.Second
	if r.MaxDelay > 0 {
		limit = r.MaxDelay
	}
	d := float64(r.Interval) * math.Pow(r.BackoffRate, float64(n))
	if d >= float64(limit) {
		return limit
	}
	return time.Duration(d)
}

// catcher is the first element of Catch that matches.
func (st *state) catcher(failure *Error) *catcher {
	for i := range st.catch {
		if matches(st.catch[i].ErrorEquals, failure) {
			return &st.catch[i]
		}
	}
	return nil
}

// group is a set of concurrent flows, of which the first failure stops the
// others.
type group struct {
	ctx    context.Context
	cancel context.CancelFunc
	mu     sync.Mutex
	err    error
}

func newGroup(ctx context.Context) *group {
	inner, cancel := context.WithCancel(ctx)
	return &group{ctx: inner, cancel: cancel}
}

// stop keeps the first error and cancels the context of the group.
func (g *group) stop(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = err
	}
	g.cancel()
}

// wait gives the error that ended the group, or errStopped if its parent's
// context was cancelled.
func (g *group) wait(parent context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if parent.Err() != nil {
		return errStopped
	}
	return g.err
}
