package asl

import (
	"strings"
	"time"
)

// Machine is a parsed state machine. It is read only and may run many
// executions at once.
type Machine struct {
	Comment string
	flow    *flow
	timeout time.Duration
}

// flow is a set of states with a start: the machine itself, a branch of a
// Parallel or the ItemProcessor of a Map.
type flow struct {
	startAt string
	states  map[string]*state
	order   []*state // as in the definition
}

// The state types.
const (
	typeTask     = "Task"
	typeChoice   = "Choice"
	typeWait     = "Wait"
	typePass     = "Pass"
	typeMap      = "Map"
	typeParallel = "Parallel"
	typeSucceed  = "Succeed"
	typeFail     = "Fail"
)

// state is one state. A template that the definition leaves out is nil.
type state struct {
	name, path, kind, comment string

	next           string // empty at an end
	assign, output *template
	retry          []Retrier
	catch          []catcher

	resource  string    // Task
	arguments *template // Task and Parallel
	timeout   *template // Task

	choices   []choice // Choice
	otherwise string   // Choice: its Default

	seconds, timestamp *template // Wait
	errorName, cause   *template // Fail
	branches           []*flow   // Parallel
	mapping            *mapping  // Map
}

type choice struct {
	condition      *template
	next           string
	assign, output *template
}

type catcher struct {
	Catcher
	assign, output *template
}

// mapping is what only a Map state has.
type mapping struct {
	processor      *flow
	distributed    bool
	label          string
	items          *template
	reader         *store
	selector       *template
	batchSize      *template // nil without an ItemBatcher
	batchInput     *template
	concurrency    *template
	tolerated      *template
	toleratedShare *template // percent
	writer         *store
	transformation string
}

// store is the S3 side of an ItemReader or a ResultWriter; name is Key or
// Prefix.
type store struct {
	bucket, name *template
}

// Retrier is one element of a Retry, defaults filled in.
type Retrier struct {
	ErrorEquals []string
	Interval    time.Duration
	MaxAttempts int
	BackoffRate float64
	MaxDelay    time.Duration // 0: none
	FullJitter  bool
}

// Catcher is one element of a Catch.
type Catcher struct {
	ErrorEquals []string
	Next        string
}

// StateInfo describes a state of a machine, for drawings and tables.
type StateInfo struct {
	// Path is the name of the state after those of the Map and Parallel states
	// around it: Resources/Drive in a Map, Both[1]/Drive in the second branch of
	// a Parallel.
	Path     string
	Name     string
	Type     string
	Comment  string
	Resource string   // of a Task
	Next     []string // where it may go unless it fails; of a Choice in order, the Default last
	End      bool
	Retry    []Retrier
	Catch    []Catcher
}

// States lists every state in the order of the definition, nested ones after
// the state that holds them.
func (m *Machine) States() []StateInfo { return m.flow.infos(nil) }

func (fl *flow) infos(list []StateInfo) []StateInfo {
	for _, st := range fl.order {
		info := StateInfo{
			Path: st.path, Name: st.name, Type: st.kind, Comment: st.comment, Resource: st.resource,
			Next: st.targets(), End: st.terminal(), Retry: st.retry,
		}
		for _, c := range st.catch {
			info.Catch = append(info.Catch, c.Catcher)
		}
		list = append(list, info)
		for _, inner := range st.inner() {
			list = inner.infos(list)
		}
	}
	return list
}

// targets are the states that st may go to without a failure.
func (st *state) targets() []string {
	var names []string
	for _, c := range st.choices {
		names = append(names, c.next)
	}
	if st.otherwise != "" {
		names = append(names, st.otherwise)
	}
	if st.next != "" {
		names = append(names, st.next)
	}
	return names
}

func (st *state) terminal() bool { return st.next == "" && st.kind != typeChoice }

func (st *state) inner() []*flow {
	if st.mapping != nil && st.mapping.processor != nil {
		return []*flow{st.mapping.processor}
	}
	return st.branches
}

// Problem is one thing wrong with a definition.
type Problem struct {
	Path    string // of the state, and of the part of it; empty at the top level
	Message string
}

// ParseError holds every problem of a definition.
type ParseError struct {
	Problems []Problem
}

// Error lists the problems, one on each line.
func (e *ParseError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.Message
		if p.Path != "" {
			lines[i] = p.Path + ": " + p.Message
		}
	}
	return strings.Join(lines, "\n")
}
