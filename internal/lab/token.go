package lab

import (
	"context"
	"encoding/json"
	"regexp"
	"time"

	"dr-orchestrator/internal/asl"
)

// taskToken is a task that waits for somebody to answer its token.
type taskToken struct {
	region    string
	execution *Execution
	closed    bool // answered, timed out, or failed before
	answered  *Signal
	output    json.RawMessage
	failure   *asl.Error
}

// invokeAndWait is the task that ends with an answer to its token.
const (
	invoke        = "arn:aws:states:::lambda:invoke"
	invokeAndWait = invoke + ".waitForTaskToken"
)

// Await waits for the answer to a token on the lab's clock, in pieces, so that
// a stop is noticed.
func (r *machineRuntime) Await(ctx context.Context, call asl.TaskCall) (json.RawMessage, error) {
	token := r.executions.tokens[call.Token]
	defer func() { token.closed = true }()
	until := r.Now().Add(call.Timeout)
	for answered := false; !answered; {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		wait := piece
		if call.Timeout > 0 {
			if wait = min(until.Sub(r.Now()), piece); wait <= 0 {
				return nil, &asl.Error{Name: asl.ErrorTimeout}
			}
		}
		answered = token.answered.Wait(wait)
	}
	if token.failure != nil {
		return nil, token.failure
	}
	return token.output, nil
}

var tokenForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// waiting finds the task that waits for the answer to a token. The errors are
// those of the Step Functions API reference.
func (a *Account) waiting(c *Call) (*taskToken, error) {
	name := c.Params.str("taskToken")
	if !tokenForm.MatchString(name) {
		return nil, fail(400, "InvalidToken", "Invalid Token: 'Invalid token'")
	}
	token, ok := a.runs.tokens[name]
	switch {
	case !ok || token.region != c.Region:
		return nil, fail(400, "TaskDoesNotExist", "Task Does Not Exist: 'Provided task does not exist'")
	case token.closed || !token.execution.Running():
		return nil, fail(400, "TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
	}
	return token, nil
}

// answer ends the wait.
func (t *taskToken) answer(output json.RawMessage, failure *asl.Error) {
	t.output, t.failure, t.closed = output, failure, true
	t.answered.Fire()
}

// answerAll gives the same answer to every question of an execution, a second
// after it was asked.
func (x *executions) answerAll(e *Execution, say func() (json.RawMessage, error)) {
	for e.Running() {
		x.account.clock.Sleep(time.Second)
		for _, name := range sortedKeys(x.tokens) {
			token := x.tokens[name]
			if token.execution != e || token.closed {
				continue
			}
			if output, err := say(); err != nil {
				token.answer(nil, &asl.Error{Name: "Declined", Cause: err.Error()})
			} else {
				token.answer(output, nil)
			}
		}
	}
}

var tokenService = map[string]handler{
	"states:SendTaskSuccess": func(a *Account, c *Call) (any, error) {
		token, err := a.waiting(c)
		if err != nil {
			return nil, err
		}
		output := json.RawMessage(c.Params.str("output"))
		if !json.Valid(output) {
			return nil, fail(400, "InvalidOutput", "Invalid Output: 'Invalid JSON'")
		}
		token.answer(output, nil)
		return map[string]any{}, nil
	},
	"states:SendTaskFailure": func(a *Account, c *Call) (any, error) {
		token, err := a.waiting(c)
		if err != nil {
			return nil, err
		}
		token.answer(nil, &asl.Error{Name: c.Params.str("error"), Cause: c.Params.str("cause")})
		return map[string]any{}, nil
	},
	// No task of the definition has HeartbeatSeconds: a heartbeat is taken and
	// changes nothing.
	"states:SendTaskHeartbeat": func(a *Account, c *Call) (any, error) {
		_, err := a.waiting(c)
		return map[string]any{}, err
	},
}
