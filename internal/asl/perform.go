package asl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// perform does what the type of the state asks for, once.
func (f *frame) perform(ctx context.Context, v *visit) (outcome, error) {
	st := v.st
	o := outcome{next: st.next, assign: st.assign, output: st.output}
	var err error
	switch st.kind {
	case typeTask:
		o.result, err = f.task(ctx, v)
	case typeChoice:
		return f.choose(ctx, v)
	case typeWait:
		err = f.wait(ctx, v)
	case typeMap:
		o.result, err = f.each(ctx, v)
	case typeParallel:
		o.result, err = f.parallel(ctx, v)
	case typeFail:
		err = f.fail(ctx, v)
	}
	return o, err
}

// arguments are the Arguments of a Task or Parallel, or else the input.
func (f *frame) arguments(ctx context.Context, v *visit) (value, error) {
	if v.st.arguments == nil {
		return v.input, nil
	}
	args, err := f.scope(ctx, v).evaluate(v.st.arguments)
	if err != nil {
		return value{}, err
	}
	return args, args.within("Arguments of the " + v.String())
}

// task calls the runtime. The token exists before the arguments, which hand it
// on.
func (f *frame) task(ctx context.Context, v *visit) (*value, error) {
	if strings.HasSuffix(v.st.resource, ".waitForTaskToken") {
		v.token = f.x.rt.UUID()
	}
	args, err := f.arguments(ctx, v)
	if err != nil {
		return nil, err
	}
	seconds, err := f.scope(ctx, v).number(v.st.timeout, timeoutBounds, 0)
	if err != nil {
		return nil, err
	}
	call := TaskCall{
		Execution: f.x.info, State: v.st.name, Resource: v.st.resource, Arguments: args.raw,
		Token: v.token, Timeout: time.Duration(seconds) * time.Second, Attempt: v.retries,
	}
	// A task does not outlive its execution.
	if !f.x.deadline.IsZero() {
		left := f.x.deadline.Sub(f.x.rt.Now())
		if call.Timeout == 0 || left < call.Timeout {
			call.Timeout = left
		}
	}
	scheduled := v.st.event(TaskScheduled)
	scheduled.Input, scheduled.Attempt = args.raw, v.retries
	scheduledAt := f.x.rt.Now()
	f.x.observe(scheduled)
	raw, err := f.x.rt.Task(ctx, call)
	if err == nil && v.token != "" {
		raw, err = f.await(ctx, v, call, scheduledAt, raw)
	}
	return f.taskResult(ctx, v, raw, err)
}

// await waits for the answer to a token. What the call itself answered is the
// output of TaskSubmitted and otherwise not heard; TimeoutSeconds counts from
// the call on (Step Functions developer guide, "Wait for a Callback with Task
// Token").
func (f *frame) await(ctx context.Context, v *visit, call TaskCall, since time.Time, submitted json.RawMessage) (json.RawMessage, error) {
	if err := f.x.alive(ctx); err != nil {
		return nil, err
	}
	e := v.st.event(TaskSubmitted)
	e.Output, e.Attempt = submitted, v.retries
	f.x.observe(e)
	if call.Timeout > 0 {
		if call.Timeout -= f.x.rt.Now().Sub(since); call.Timeout <= 0 {
			return nil, &Error{Name: ErrorTimeout}
		}
	}
	return f.x.rt.Await(ctx, call)
}

// taskResult turns the answer of the runtime into a result or a failure.
func (f *frame) taskResult(ctx context.Context, v *visit, raw json.RawMessage, err error) (*value, error) {
	// An answer that comes after the end of the execution is not heard.
	if dead := f.x.alive(ctx); dead != nil {
		return nil, dead
	}
	e := v.st.event(TaskSucceeded)
	e.Attempt = v.retries
	if err != nil {
		var failure *Error
		if !errors.As(err, &failure) {
			failure = &Error{Name: ErrorTaskFailed, Cause: err.Error()}
		}
		e.Kind, e.Error, e.Cause = TaskFailed, failure.Name, failure.Cause
		if failure.Name == ErrorTimeout {
			e.Kind = TaskTimedOut
		}
		f.x.observe(e)
		return nil, failure
	}
	if len(raw) == 0 {
		raw = json.RawMessage("null")
	}
	result, err := decodeValue(raw)
	if err != nil {
		failure := &Error{Name: ErrorRuntime, Cause: "The result of the " + v.String() + " is not JSON."}
		e.Kind, e.Error, e.Cause = TaskFailed, failure.Name, failure.Cause
		f.x.observe(e)
		return nil, failure
	}
	e.Output = result.raw
	f.x.observe(e)
	return &result, nil
}

// choose takes the first choice whose Condition is true. Assign and Output are
// those of that choice; those of the state belong to the Default.
func (f *frame) choose(ctx context.Context, v *visit) (outcome, error) {
	s := f.scope(ctx, v)
	for _, c := range v.st.choices {
		met, err := s.evaluate(c.condition)
		if err != nil {
			return outcome{}, err
		}
		yes, ok := met.data.(bool)
		if !ok {
			return outcome{}, queryError(c.condition.expr, "returned an unexpected result type: a Condition must be a boolean, not %s", typeName(met.data))
		}
		if yes {
			return outcome{next: c.next, assign: c.assign, output: c.output}, nil
		}
	}
	if v.st.otherwise == "" {
		return outcome{}, &Error{Name: ErrorNoChoiceMatched, Cause: "No Condition of the " + v.String() + " was true, and it has no Default."}
	}
	return outcome{next: v.st.otherwise, assign: v.st.assign, output: v.st.output}, nil
}

func (f *frame) wait(ctx context.Context, v *visit) error {
	s := f.scope(ctx, v)
	if v.st.timestamp == nil {
		seconds, err := s.number(v.st.seconds, waitBounds, 0)
		if err != nil {
			return err
		}
		return f.x.sleep(ctx, time.Duration(seconds)*time.Second)
	}
	text, err := s.text(v.st.timestamp)
	if err != nil {
		return err
	}
	until, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return v.st.timestamp.wrong(fmt.Errorf("must be a time in RFC 3339, not %s", text))
	}
	// Step Functions waits to the second and cuts off the rest.
	return f.x.sleep(ctx, until.Truncate(time.Second).Sub(f.x.rt.Now()))
}

func (f *frame) fail(ctx context.Context, v *visit) error {
	s := f.scope(ctx, v)
	name, err := s.text(v.st.errorName)
	if err != nil {
		return err
	}
	cause, err := s.text(v.st.cause)
	if err != nil {
		return err
	}
	return &Error{Name: name, Cause: cause}
}

// parallel runs the branches; the result is the array of their outputs.
func (f *frame) parallel(ctx context.Context, v *visit) (*value, error) {
	input, err := f.arguments(ctx, v)
	if err != nil {
		return nil, err
	}
	outputs := make([]value, len(v.st.branches))
	g := newGroup(ctx)
	defer g.cancel()
	if f.branches == nil {
		for _, branch := range v.st.branches {
			f.branches = append(f.branches, &frame{x: f.x, flow: branch, variables: &variables{outer: f.variables}, item: f.item})
		}
	}
	f.x.rt.Each(g.ctx, len(outputs), 0, func(ctx context.Context, i int) {
		if err := f.x.alive(ctx); err != nil {
			g.stop(err)
			return
		}
		var err error
		if outputs[i], err = f.branches[i].run(ctx, input); err != nil {
			g.stop(err)
		}
	})
	if err := g.wait(ctx); err != nil {
		return nil, err
	}
	result := joinValues(outputs)
	return &result, nil
}
