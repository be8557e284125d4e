package asl

import (
	"encoding/json"
	"time"
)

// EventKind is what an event tells, in the words of GetExecutionHistory where
// it has one. RetryScheduled has no counterpart there, and the history prefixes
// StateEntered and StateExited with the type of the state; see [Event.Name].
type EventKind string

// The kinds of events.
const (
	ExecutionStarted      EventKind = "ExecutionStarted"
	ExecutionSucceeded    EventKind = "ExecutionSucceeded"
	ExecutionFailed       EventKind = "ExecutionFailed"
	ExecutionTimedOut     EventKind = "ExecutionTimedOut"
	ExecutionAborted      EventKind = "ExecutionAborted"
	ExecutionRedriven     EventKind = "ExecutionRedriven"
	StateEntered          EventKind = "StateEntered"
	StateExited           EventKind = "StateExited"
	TaskScheduled         EventKind = "TaskScheduled"
	TaskSubmitted         EventKind = "TaskSubmitted" // the call is made, its token is waited for
	TaskSucceeded         EventKind = "TaskSucceeded"
	TaskFailed            EventKind = "TaskFailed"
	TaskTimedOut          EventKind = "TaskTimedOut"
	EvaluationFailed      EventKind = "EvaluationFailed"
	RetryScheduled        EventKind = "RetryScheduled"
	MapIterationStarted   EventKind = "MapIterationStarted"
	MapIterationSucceeded EventKind = "MapIterationSucceeded"
	MapIterationFailed    EventKind = "MapIterationFailed"
	MapIterationAborted   EventKind = "MapIterationAborted"
	MapRunStarted         EventKind = "MapRunStarted"
	MapRunSucceeded       EventKind = "MapRunSucceeded"
	MapRunFailed          EventKind = "MapRunFailed"
	MapRunAborted         EventKind = "MapRunAborted"
	MapRunRedriven        EventKind = "MapRunRedriven"
)

// history is how many events of the real history an event stands for.
func (k EventKind) history() int64 {
	switch k {
	case TaskScheduled: // and TaskStarted
		return 2
	case RetryScheduled:
		return 0
	default:
		return 1
	}
}

// Event is one step of an execution.
type Event struct {
	Time      time.Time
	Kind      EventKind
	Execution Execution // a child of a distributed Map has its own
	State     string    // name of the state
	Path      string    // path of the state, see [StateInfo]
	Type      string    // type of the state
	Resource  string    // of a task
	Index     int       // of an iteration of an inline Map
	Attempt   int       // of a task or a retry: how many retries came before
	Delay     time.Duration
	Redrives  int    // of a redrive: how many there were, with this one
	MapRun    string // ARN of a map run; at the start of a child, of its own
	Input     json.RawMessage
	Output    json.RawMessage
	Error     string
	Cause     string
}

// Name is the type of the event in the history of Step Functions, for example
// TaskStateEntered.
func (e Event) Name() string {
	if e.Kind == StateEntered || e.Kind == StateExited {
		return e.Type + string(e.Kind)
	}
	return string(e.Kind)
}
