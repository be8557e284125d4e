// Package asl runs state machines written in the Amazon States Language, as AWS
// Step Functions runs them, on a runtime that the caller supplies.
//
// It knows the part of the language that a standard workflow in JSONata needs:
// every state type, variables, Retry and Catch, inline and distributed Map. A
// field outside that part is a problem that [Parse] reports, never one that is
// passed over. Time, concurrency, randomness and the tasks themselves come from
// the [Runtime], so a run on a deterministic runtime is deterministic.
//
// Sources: the Amazon States Language specification, and the chapters on
// transforming data, workflow variables, error handling and distributed maps of
// the AWS Step Functions Developer Guide.
package asl

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"
)

// Status is how an execution ended, in the words of DescribeExecution.
type Status string

// The ends of an execution.
const (
	StatusSucceeded Status = "SUCCEEDED"
	StatusFailed    Status = "FAILED"
	StatusTimedOut  Status = "TIMED_OUT"
	StatusAborted   Status = "ABORTED"
)

// Execution says which execution of which state machine is running.
type Execution struct {
	ARN         string
	Name        string
	MachineARN  string
	MachineName string
	RoleARN     string
	Input       json.RawMessage // empty means {}
}

// Result is the end of an execution.
type Result struct {
	Status     Status
	Output     json.RawMessage // only of an execution that succeeded
	Error      string
	Cause      string
	FinalState string // the state of the outermost level entered last
}

// Runtime is the world in which a state machine runs.
type Runtime interface {
	// Now is the current time of the runtime's clock.
	Now() time.Time
	// Sleep returns after d, or with an error as soon as ctx is cancelled.
	Sleep(ctx context.Context, d time.Duration) error
	// Each runs f for 0 to n-1, at most limit at once (0: no limit), and
	// returns when every call has returned. The interpreter has no other
	// source of concurrency.
	Each(ctx context.Context, n, limit int, f func(ctx context.Context, i int))
	// Task performs one call of a Task state. An *Error carries the error name
	// that Retry and Catch see; any other error is States.TaskFailed.
	Task(ctx context.Context, call TaskCall) (json.RawMessage, error)
	// Await waits, after Task, for the answer to the token of a call that has
	// one: its output, or the *Error of whoever declined. The answer may have
	// come before Await or even Task has returned. Past call.Timeout, which is
	// what Task has left of it, it returns States.Timeout; as soon as ctx is
	// cancelled, any error.
	Await(ctx context.Context, call TaskCall) (json.RawMessage, error)
	// ReadItems reads the JSON array that an ItemReader names.
	ReadItems(ctx context.Context, bucket, key string) (json.RawMessage, error)
	// WriteObject stores one object of a ResultWriter.
	WriteObject(ctx context.Context, bucket, key string, body []byte) error
	// Random is a number in [0, 1).
	Random() float64
	// UUID is a new identifier: task tokens, map runs and their children.
	UUID() string
	// Entered is called on each state entry before the state runs; a runtime
	// charges the latency of a transition by sleeping here.
	Entered(e Event)
	// Observe is called for every event, state entries included.
	Observe(e Event)
}

// TaskCall is one call of a Task state.
type TaskCall struct {
	Execution Execution
	State     string
	Resource  string          // as in the definition, with suffixes such as .waitForTaskToken
	Arguments json.RawMessage // the state's input if it has no Arguments
	Token     string          // only for .waitForTaskToken
	Timeout   time.Duration   // 0: none; past it the runtime returns States.Timeout
	Attempt   int             // 0 for the first try, then one more for each retry
}

// The error names of Step Functions that the interpreter raises or treats
// specially.
const (
	ErrorAll              = "States.ALL"
	ErrorDataLimit        = "States.DataLimitExceeded"
	ErrorItemReader       = "States.ItemReaderFailed"
	ErrorNoChoiceMatched  = "States.NoChoiceMatched"
	ErrorQueryEvaluation  = "States.QueryEvaluationError"
	ErrorResultWriter     = "States.ResultWriterFailed"
	ErrorRuntime          = "States.Runtime"
	ErrorTaskFailed       = "States.TaskFailed"
	ErrorTimeout          = "States.Timeout"
	ErrorToleratedFailure = "States.ExceedToleratedFailureThreshold"
)

// Error is the failure of a state: the name that ErrorEquals is compared with,
// and the cause, which is free text.
type Error struct {
	Name  string
	Cause string
}

// Error gives the name and the cause in one line.
func (e *Error) Error() string {
	if e.Cause == "" {
		return e.Name
	}
	return e.Name + ": " + e.Cause
}

// A stopped or overdue execution ends whatever Retry and Catch say, so these
// two are no *Error.
var (
	errStopped = errors.New("asl: execution stopped")
	errOverdue = errors.New("asl: execution ran past its TimeoutSeconds")
)

// execution is one running execution: the one that Run starts, or a child of a
// distributed Map.
type execution struct {
	rt       Runtime
	info     Execution
	input    value
	started  time.Time
	deadline time.Time // zero without TimeoutSeconds
	child    bool
	mapRun   string // ARN, of a child
	history  atomic.Int64

	frame      *frame    // where it is, or was when it ended
	redrives   int       // how often it was redriven
	redrivenAt time.Time // the last time
}

// Run runs one execution of m to its end. It returns promptly with
// StatusAborted once ctx is cancelled, and starts nothing more from then on.
func Run(ctx context.Context, m *Machine, exec Execution, rt Runtime) Result {
	return New(m, exec, rt).Run(ctx)
}

// Instance is one execution of a machine that can be redriven after its end.
type Instance struct {
	machine *Machine
	x       *execution
	wrong   error // its input is no JSON
}

// New makes an execution of m that has not begun.
func New(m *Machine, exec Execution, rt Runtime) *Instance {
	if len(exec.Input) == 0 {
		exec.Input = json.RawMessage("{}")
	}
	input, err := decodeValue(exec.Input)
	return &Instance{machine: m, x: &execution{rt: rt, info: exec, input: input}, wrong: err}
}

// Run runs the execution from its beginning to its end, as the function Run does.
func (i *Instance) Run(ctx context.Context) Result {
	if i.wrong != nil {
		return Result{Status: StatusFailed, Error: "InvalidExecutionInput", Cause: i.wrong.Error()}
	}
	i.x.started = i.x.rt.Now()
	i.limit(i.x.started)
	return i.x.run(ctx, i.machine.flow)
}

// Redrive goes on with an execution that ended and did not succeed, from the
// state that it ended in: with the input that this state had, the variables as
// they were, and retries that count anew. What succeeded is not run again: of a
// Map or Parallel state the iterations and branches that did, of a distributed
// Map the children (Step Functions developer guide, "Restarting state machine
// executions with redrive" and "Redriving Map Runs"). TimeoutSeconds counts from
// the beginning again. The call of Run or Redrive before must have returned.
func (i *Instance) Redrive(ctx context.Context) Result {
	if i.x.frame == nil || i.x.frame.done {
		panic("asl: only an execution that began and did not succeed can be redriven")
	}
	i.limit(i.x.rt.Now())
	return i.x.redrive(ctx)
}

func (i *Instance) limit(from time.Time) {
	if i.machine.timeout > 0 {
		i.x.deadline = from.Add(i.machine.timeout)
	}
}

func (x *execution) run(ctx context.Context, fl *flow) Result {
	x.observe(Event{Time: x.started, Kind: ExecutionStarted, MapRun: x.mapRun, Input: x.input.raw})
	x.frame = &frame{x: x, flow: fl, variables: &variables{}}
	return x.goOn(ctx)
}

func (x *execution) redrive(ctx context.Context) Result {
	x.redrives, x.redrivenAt = x.redrives+1, x.rt.Now()
	x.observe(Event{Time: x.redrivenAt, Kind: ExecutionRedriven, MapRun: x.mapRun, Redrives: x.redrives})
	return x.goOn(ctx)
}

// goOn runs the execution from where it is to its end.
func (x *execution) goOn(ctx context.Context) Result {
	f := x.frame
	output, err := f.run(ctx, x.input)

	r := Result{FinalState: f.last}
	end := Event{State: f.last}
	var failure *Error
	switch {
	case err == nil:
		r.Status, r.Output, end.Kind = StatusSucceeded, output.raw, ExecutionSucceeded
	case errors.As(err, &failure):
		r.Status, r.Error, r.Cause, end.Kind = StatusFailed, failure.Name, failure.Cause, ExecutionFailed
	case errors.Is(err, errOverdue) && !x.child:
		r.Status, r.Error, end.Kind = StatusTimedOut, ErrorTimeout, ExecutionTimedOut
	default:
		// A child shares its parent's deadline; when that passes it is the
		// parent that times out and the child that is stopped.
		r.Status, end.Kind = StatusAborted, ExecutionAborted
	}
	end.Output, end.Error, end.Cause = r.Output, r.Error, r.Cause
	x.observe(end)
	return r
}

// maxHistory is the quota of events in the history of a standard workflow.
const maxHistory = 25_000

func (x *execution) observe(e Event) {
	if e.Time.IsZero() {
		e.Time = x.rt.Now()
	}
	e.Execution = x.info
	x.history.Add(e.Kind.history())
	x.rt.Observe(e)
}

// alive tells whether the execution may go on.
func (x *execution) alive(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return errStopped
	case !x.deadline.IsZero() && !x.rt.Now().Before(x.deadline):
		return errOverdue
	case x.history.Load() >= maxHistory:
		return &Error{Name: ErrorRuntime, Cause: "The execution reached the maximum number of history events (25000)."}
	}
	return nil
}

func (x *execution) sleep(ctx context.Context, d time.Duration) error {
	if !x.deadline.IsZero() {
		d = min(d, x.deadline.Sub(x.rt.Now()))
	}
	if d > 0 {
		if err := x.rt.Sleep(ctx, d); err != nil {
			return errStopped
		}
	}
	return x.alive(ctx)
}
