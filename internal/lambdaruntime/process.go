// Package lambdaruntime runs built Lambda functions on this machine: each in
// a process of its own, behind the Lambda Runtime API ("Using the Lambda
// runtime API for custom runtimes" in the Lambda developer guide), with the
// environment, the deadline and the errors that Lambda would give it.
//
// A Process is what Lambda calls an execution environment: it takes one event
// at a time, is kept for the next one, and is replaced when it has exited or
// run past a deadline.
package lambdaruntime

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Types of the errors that Lambda itself reports.
const (
	ExitError        = "Runtime.ExitError"             // the process ended without an answer
	TimedOut         = "Sandbox.Timedout"              // no answer before the deadline
	ResponseTooLarge = "Function.ResponseSizeTooLarge" // the answer is above MaxResponse
)

// MaxResponse is the largest answer in bytes that Lambda passes on ("Lambda
// quotas", invocation payload).
const MaxResponse = 6*1024*1024 + 100

// initLimit is how long a function may take to ask for its first event.
const initLimit = 10 * time.Second

// Error is a failed invocation as Lambda reports it. A state machine sees Type
// as the name of the error.
type Error struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

// Error gives type and message.
func (e *Error) Error() string { return e.Type + ": " + e.Message }

// Function says what to run, and as what.
type Function struct {
	Name   string
	Path   string // of the executable that is deployed as "bootstrap"
	Region string
	Env    map[string]string // beside what Lambda sets; nothing else is inherited
	Logs   io.Writer         // what the function prints; nil: dropped
}

// Process is one execution environment of a function. Its methods may be
// called at the same time; events wait for each other.
type Process struct {
	function Function

	mu     sync.Mutex
	box    *sandbox // nil: to be started
	closed bool
}

// Start runs a function until it is ready for its first event. The error is an
// *Error when the function itself failed to come up.
func Start(ctx context.Context, f Function) (*Process, error) {
	p := &Process{function: f}
	if err := p.boot(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// Invoke hands over one event and waits for the answer. An *Error is how the
// invocation failed; an error says that it could not be made, or that ctx
// ended. Past the deadline, and when ctx ends, the process is killed. A process
// that is gone is replaced first.
func (p *Process) Invoke(ctx context.Context, event []byte, deadline time.Time, traceID string) ([]byte, *Error, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, errors.New("lambdaruntime: the process is closed")
	}
	inv := &invocation{id: newID(), event: event, deadline: deadline, traceID: traceID, answer: make(chan answer, 1)}
	bounded, cancel := context.WithDeadlineCause(ctx, deadline, inv.timedOut(time.Now()))
	defer cancel()
	out, delivered, err := p.try(bounded, inv)
	if err == nil && !delivered {
		// The process went after the event before, and this one never reached it.
		p.box = nil
		out, _, err = p.try(bounded, inv)
	}
	if err != nil {
		var failure *Error
		if ctx.Err() == nil && errors.As(err, &failure) {
			return nil, failure, nil
		}
		return nil, nil, err
	}
	return out.body, out.failure, nil
}

// try hands an event to the process there is, or to a new one. It reports
// whether the function got it.
func (p *Process) try(ctx context.Context, inv *invocation) (out answer, delivered bool, err error) {
	if p.box == nil {
		if err := p.boot(ctx); err != nil {
			return answer{}, false, err
		}
	}
	box, pending := p.box, p.box.events
	for {
		select {
		case pending <- inv:
			pending, delivered = nil, true
		case out := <-inv.answer:
			return out, delivered, nil
		case <-box.gone:
			p.box = nil
			select {
			case out := <-inv.answer:
				return out, delivered, nil
			default:
				return answer{failure: box.exitError(inv.id)}, delivered, nil
			}
		case <-ctx.Done():
			p.kill()
			return answer{}, delivered, context.Cause(ctx)
		}
	}
}

// boot starts a process and waits until it is ready.
func (p *Process) boot(ctx context.Context) error {
	box, err := newSandbox(p.function)
	if err != nil {
		return fmt.Errorf("starting the function %s: %w", p.function.Name, err)
	}
	p.box = box
	limit := time.NewTimer(initLimit)
	defer limit.Stop()
	select {
	case <-box.ready:
		return nil
	case <-box.gone:
		p.box = nil
		return box.exitError(newID())
	case <-limit.C:
		p.kill()
		return &Error{TimedOut, fmt.Sprintf("Init timed out after %.2f seconds", initLimit.Seconds())}
	case <-ctx.Done():
		p.kill()
		return context.Cause(ctx)
	}
}

func (p *Process) kill() {
	if p.box != nil {
		p.box.kill()
		p.box = nil
	}
}

// Close ends the process. It waits for an event that is being answered; who
// cannot wait ends the context of that Invoke.
func (p *Process) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.kill()
}

// Init is the time from the start of the process to its first request for an
// event.
func (p *Process) Init() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.box == nil {
		return 0
	}
	return p.box.init
}

// PID is the id of the process; 0 when there is none at the moment.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.box == nil {
		return 0
	}
	return p.box.command.Process.Pid
}

// newID makes a request id, which Lambda writes as a UUID.
func newID() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
