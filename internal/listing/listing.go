// Package listing answers describes of single things out of lists of many, so
// that a look at a hundred resources takes a few calls and not hundreds.
//
// Every type here offers reads and nothing else: whoever looks through a list
// cannot change anything.
package listing

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"dr-orchestrator/internal/action"
)

const (
	// page is how many things AWS gives in one answer at most, and how many
	// values it takes in one filter.
	page = 100
	// few things are asked for one by one where AWS has no filter: their account
	// may hold many more of their kind.
	few = 3
)

// list is one kind of thing in one region, listed when the first of them is
// asked for.
type list[T any] struct {
	wanted   func(context.Context) []string // what is going to be asked for
	filtered bool                           // AWS gives the wanted ones only
	ask      func(ctx context.Context, some []string, marker *string) ([]T, *string, error)
	names    func(T) []string // by any of which it may be asked for

	listed map[string]T
	failed map[string]error // of the wanted that a failed call was to give
}

// find gives what the list has. Without an error and without a finding the list
// says nothing about the thing, and it has to be asked for by itself: that
// something is not there is for AWS to say, about its very name.
func (l *list[T]) find(ctx context.Context, name string) (T, bool, error) {
	if l.listed == nil {
		l.listed, l.failed = map[string]T{}, map[string]error{}
		l.load(ctx)
	}
	name = strings.ToLower(name)
	thing, ok := l.listed[name]
	if ok {
		return thing, true, nil
	}
	return thing, false, l.failed[name]
}

func (l *list[T]) load(ctx context.Context) {
	var wanted []string
	for _, name := range l.wanted(ctx) {
		if name = strings.ToLower(name); name != "" && !slices.Contains(wanted, name) {
			wanted = append(wanted, name)
		}
	}
	if !l.filtered {
		if len(wanted) > few {
			l.read(ctx, wanted)
		}
		return
	}
	for some := range slices.Chunk(wanted, page) {
		l.read(ctx, some)
	}
}

// read lists some of the wanted, page by page. It stops when it has them all,
// and when as many pages as there are wanted have not shown them: from there on
// asking for each by itself is no dearer.
func (l *list[T]) read(ctx context.Context, some []string) {
	missing := func() []string {
		return slices.DeleteFunc(slices.Clone(some), func(name string) bool {
			_, ok := l.listed[name]
			return ok
		})
	}
	var marker *string
	for range some {
		things, next, err := l.ask(ctx, some, marker)
		for _, thing := range things {
			for _, name := range l.names(thing) {
				l.listed[strings.ToLower(name)] = thing
			}
		}
		if err != nil {
			l.fail(missing(), err)
			return
		}
		if aws.ToString(next) == "" || len(missing()) == 0 {
			return
		}
		marker = next
	}
}

// fail makes a failed list the failure of each thing that it was to give, where
// AWS gave no usable answer. Of any other answer only the thing itself can tell
// whom it concerns: a role that may read some names may not list (AWS wants the
// permission on all of them), and one wrong name can spoil a filter.
func (l *list[T]) fail(names []string, err error) {
	if !action.Passing(action.ClassOf(err)) {
		return
	}
	for _, name := range names {
		l.failed[name] = err
	}
}

// names gives the values of pointers, without those that are nil.
func names(pointers ...*string) []string {
	var all []string
	for _, p := range pointers {
		if p != nil {
			all = append(all, *p)
		}
	}
	return all
}
