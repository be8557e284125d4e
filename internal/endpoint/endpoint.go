// Package endpoint asks a service that stands behind several equal endpoints,
// each in a region of its own, of which any one is enough.
package endpoint

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"

	"dr-orchestrator/internal/action"
)

// Patience is how long one endpoint may take to be reached, and again to
// answer. Five silent endpoints must fit into one invocation.
const Patience = 2 * time.Second

// Views is how many endpoints are asked before an answer is believed.
const Views = 2

// Shuffled gives endpoints in an order that depends on the seed alone. AWS
// asks for a random order, so that a dead endpoint costs not every caller its
// time-out; a seed made of run and poll keeps one invocation repeatable.
func Shuffled[E any](all []E, seed string) []E {
	h := fnv.New64a()
	h.Write([]byte(seed)) // never fails
	all = slices.Clone(all)
	rand.New(rand.NewPCG(h.Sum64(), 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// First puts some endpoints, those that have just answered, before the others.
func First[E comparable](all, some []E) []E {
	first := slices.Clone(some)
	for _, e := range all {
		if !slices.Contains(some, e) {
			first = append(first, e)
		}
	}
	return first
}

// Look reads at the first two endpoints that answer. An endpoint that gives no
// answer is passed over, and so is one whose region a policy forbids; what one
// says for good, such as that a thing does not exist, is an error. No answer
// from any is one, too.
func Look[E, V any](all []E, read func(E) (V, error)) ([]V, error) {
	seen, _, err := look(all, Views, read)
	return seen, err
}

// Survey reads at every endpoint, as Look does at two, and gives the failures
// of those that were passed over: beforehand each of them matters, for any may
// be the one that is left.
func Survey[E, V any](all []E, read func(E) (V, error)) (seen []V, failures []error, err error) {
	return look(all, len(all), read)
}

func look[E, V any](all []E, most int, read func(E) (V, error)) (seen []V, failures []error, err error) {
	var last error
	for _, e := range all {
		v, err := read(e)
		switch {
		case err == nil:
			seen = append(seen, v)
		case elsewhere(err):
			failures, last = append(failures, err), heavier(last, err)
		default:
			return nil, nil, err
		}
		if len(seen) == most {
			break
		}
	}
	if len(seen) == 0 {
		return nil, failures, action.Errorf(action.ClassOf(last), "none of %d endpoints answers; the last: %w", len(all), last)
	}
	return seen, failures, nil
}

// Change asks one endpoint after the other until one takes a change, and gives
// that one. The change must say what things are to be and not how to change
// them, so that a second endpoint may be asked after a first one stayed silent.
// What a later endpoint refuses says nothing then of the earlier call: the
// outcome is unknown until the next look.
func Change[E any](all []E, change func(E) error) (E, error) {
	var none E
	var last error
	silent := false
	for _, e := range all {
		err := change(e)
		if err == nil {
			return e, nil
		}
		silent = silent || action.ClassOf(err) == action.OutcomeUnknown
		if !elsewhere(err) {
			last = err
			break
		}
		last = heavier(last, err)
	}
	if silent {
		return none, action.Errorf(action.OutcomeUnknown, "an endpoint may have taken the change without an answer; the last said: %w", last)
	}
	return none, last
}

// elsewhere reports whether a failure is one of the endpoint or of its region,
// so that another one may answer. Organizations often deny all calls in regions
// that they do not use.
func elsewhere(err error) bool {
	switch action.ClassOf(err) {
	case action.Unreachable, action.Throttled, action.OutcomeUnknown, action.Denied:
		return true
	}
	return false
}

// heavier gives the later failure, but not a denial after one that may pass:
// the endpoint that failed may allow the call.
func heavier(earlier, later error) error {
	if earlier != nil && action.ClassOf(later) == action.Denied {
		return earlier
	}
	return later
}
