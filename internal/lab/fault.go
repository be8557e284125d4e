package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strconv"
	"strings"
)

// FaultKind is one way in which the lab breaks.
type FaultKind string

// The kinds of fault.
const (
	Throttle FaultKind = "throttle" // AWS asks to come back later; nothing was done
	Broken   FaultKind = "error"    // 5xx, no effect
	Lost     FaultKind = "lost"     // the effect is applied, then 5xx
	Timeout  FaultKind = "timeout"  // the effect is applied, and no answer comes
	Stale    FaultKind = "stale"    // a describe answers with the state before the last change
	NotFound FaultKind = "notfound" // a thing just created is not found yet
	Stuck    FaultKind = "stuck"    // the operation never completes
	Kill     FaultKind = "kill"     // the function dies without an answer; its effects stay
	Twice    FaultKind = "twice"    // the function is invoked twice at once
	Cancel   FaultKind = "cancel"   // the operation goes back to the start on the way
	Dead     FaultKind = "dead"     // the region answers nothing at all
)

// FaultKinds lists them all.
var FaultKinds = []FaultKind{Throttle, Broken, Lost, Timeout, Stale, NotFound, Stuck, Cancel, Kill, Twice, Dead}

// Fault breaks the From-th to To-th call of a target (1 is the first; To 0
// is without end).
type Fault struct {
	Kind     FaultKind
	Target   string // service:Operation, function:NAME or region:NAME
	From, To int
}

// String writes a fault as ParseFaults reads it.
func (f Fault) String() string {
	s := string(f.Kind) + "@" + f.Target
	switch {
	case f.From == 1 && f.To == 0:
		return s
	case f.From == f.To:
		return s + "#" + strconv.Itoa(f.From)
	case f.To == 0:
		return s + "#" + strconv.Itoa(f.From) + "-"
	}
	return fmt.Sprintf("%s#%d-%d", s, f.From, f.To)
}

// Faults is a schedule of faults.
type Faults []Fault

// String writes a schedule as ParseFaults reads it.
func (fs Faults) String() string {
	var parts []string
	for _, f := range fs {
		parts = append(parts, f.String())
	}
	return strings.Join(parts, ",")
}

// ParseFaults reads kind@target[#n[-m]], several joined by commas; #n is the
// n-th call alone, #n- the n-th and all after it, nothing all of them. Every
// wrong part is reported.
func ParseFaults(spec string) (Faults, error) {
	var all Faults
	var wrong []error
	for _, part := range strings.Split(spec, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		f, err := parseFault(part)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("fault %q: %w", part, err))
			continue
		}
		all = append(all, f)
	}
	return all, errors.Join(wrong...)
}

func parseFault(part string) (Fault, error) {
	kind, rest, ok := strings.Cut(part, "@")
	if !ok || !slices.Contains(FaultKinds, FaultKind(kind)) {
		return Fault{}, fmt.Errorf("want kind@target[#n[-m]], with a kind of %v", FaultKinds)
	}
	target, count, counted := strings.Cut(rest, "#")
	f := Fault{Kind: FaultKind(kind), Target: target, From: 1}
	class, name, ok := strings.Cut(target, ":")
	if !ok || class == "" || name == "" {
		return f, errors.New("want a target of service:Operation, function:NAME or region:NAME")
	}
	switch {
	case (f.Kind == Dead) != (class == "region"):
		return f, errors.New("dead goes with region:NAME, and nothing else does")
	case f.Kind == Twice && class != "function":
		return f, errors.New("twice goes with function:NAME")
	case class == "function" && !slices.Contains([]FaultKind{Kill, Twice, Throttle, Broken, Lost, Timeout}, f.Kind):
		return f, fmt.Errorf("%s does not go with a function", f.Kind)
	}
	if !counted {
		return f, nil
	}
	from, to, ranged := strings.Cut(count, "-")
	n, err := strconv.Atoi(from)
	if err != nil || n < 1 {
		return f, errors.New("want #n or #n-m, counted from 1")
	}
	f.From, f.To = n, n
	if ranged {
		f.To = 0
		if to != "" {
			if f.To, err = strconv.Atoi(to); err != nil || f.To < n {
				return f, errors.New("want #n-m with m at least n")
			}
		}
	}
	return f, nil
}

// RandomFaults draws a schedule of a few faults over the calls of a run.
func RandomFaults(seed uint64, calls, functions []string) Faults {
	random := rand.New(rand.NewPCG(seed, 1))
	kinds := []FaultKind{Throttle, Broken, Lost, Timeout, Stale, Kill, Twice}
	var all Faults
	for range 1 + random.IntN(3) {
		f := Fault{Kind: kinds[random.IntN(len(kinds))]}
		if f.Kind == Twice {
			f.Target = "function:" + functions[random.IntN(len(functions))]
		} else {
			f.Target = calls[random.IntN(len(calls))]
		}
		f.From = 1 + random.IntN(4)
		f.To = f.From + random.IntN(3)
		all = append(all, f)
	}
	return all
}

// faults counts how often each fault's target was called.
type faults struct {
	spec  Faults
	count []int
}

func newFaults(spec Faults) *faults { return &faults{spec: spec, count: make([]int, len(spec))} }

// strike counts a call of a target and gives the kinds that hit it.
func (f *faults) strike(target string) []FaultKind {
	var hit []FaultKind
	for i, fault := range f.spec {
		if fault.Kind == Dead {
			continue
		}
		if match, err := path.Match(fault.Target, target); err != nil || !match {
			continue
		}
		f.count[i]++
		if f.count[i] >= fault.From && (fault.To == 0 || f.count[i] <= fault.To) {
			hit = append(hit, fault.Kind)
		}
	}
	return hit
}

// unfired names the faults that never came to pass: a run under them shows
// nothing.
func (f *faults) unfired() []string {
	var never []string
	for i, fault := range f.spec {
		if f.count[i] < fault.From {
			never = append(never, fault.String())
		}
	}
	return never
}

// dead reports whether a call to a region gets no answer at all.
func (f *faults) dead(region string) bool {
	for i, fault := range f.spec {
		if fault.Kind != Dead || fault.Target != "region:"+region {
			continue
		}
		f.count[i]++
		if f.count[i] >= fault.From && (fault.To == 0 || f.count[i] <= fault.To) {
			return true
		}
	}
	return false
}
