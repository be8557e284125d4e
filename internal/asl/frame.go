package asl

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// frame is one pass through a flow: of an execution, a branch of a Parallel or
// an iteration of an inline Map.
type frame struct {
	x         *execution
	flow      *flow
	variables *variables
	item      *mapItem // of the iteration around, for $states.context
	last      string   // the state entered last

	// Where the flow is, and where a redrive goes on: the state, which may not
	// be entered yet, its input, and what of it is done.
	at       string
	input    value
	entered  bool
	current  *mapRun  // of a distributed Map
	branches []*frame // of a Parallel or an inline Map
	done     bool
	output   value // of the whole flow, once it is done
}

// variables are those of a flow. The flows inside read them and, while any
// runs, nobody writes them: the state that holds the flows is not done yet.
type variables struct {
	outer *variables
	own   map[string]value
}

// mapItem is what $states.context.Map.Item tells.
type mapItem struct {
	index int
	value value
}

// visit is one stay in a state, all its attempts included.
type visit struct {
	st          *state
	input       value
	entered     time.Time
	retries     int
	token       string
	item        *mapItem
	result      *value
	errorOutput *value
}

// outcome is what a state does when it does not fail. Its templates are still
// to be evaluated.
type outcome struct {
	next           string
	result         *value // nil in states that have none
	assign, output *template
}

// run goes from state to state until one ends the flow. Run again after a
// failure, it goes on from the state that failed.
func (f *frame) run(ctx context.Context, input value) (value, error) {
	if f.at == "" && !f.done {
		f.at, f.input = f.flow.startAt, input
	}
	for !f.done {
		output, next, err := f.visit(ctx, f.flow.states[f.at], f.input)
		if err != nil {
			return value{}, err
		}
		f.at, f.input, f.entered = next, output, false
		f.forget()
		f.done, f.output = next == "", output
	}
	return f.output, nil
}

// forget drops what of a state was done, so that all of it is run again.
func (f *frame) forget() { f.current, f.branches = nil, nil }

// visit enters a state, runs it with its retries and leaves it by its own way
// or by a catcher.
func (f *frame) visit(ctx context.Context, st *state, input value) (value, string, error) {
	if err := f.x.alive(ctx); err != nil {
		return value{}, "", err
	}
	f.last = st.name
	v := &visit{st: st, input: input, entered: f.x.rt.Now(), item: f.item}
	entry := st.event(StateEntered)
	entry.Input = input.raw
	if !f.entered { // a redrive does not enter it again, and counts as a transition all the same
		f.x.observe(entry)
		f.entered = true
	}
	entry.Time, entry.Execution = v.entered, f.x.info
	f.x.rt.Entered(entry)

	output, next, err := f.attempts(ctx, v)
	if err != nil {
		return value{}, "", err
	}
	exit := st.event(StateExited)
	exit.Output = output.raw
	f.x.observe(exit)
	return output, next, nil
}

// attempts runs the state until it succeeds or no retrier is left, and then goes
// by the catchers. An error of Output or Assign counts as one of the state, so
// it too can be retried and caught.
func (f *frame) attempts(ctx context.Context, v *visit) (value, string, error) {
	used := make([]int, len(v.st.retry))
	for {
		if err := f.x.alive(ctx); err != nil {
			return value{}, "", err
		}
		output, next, err := f.once(ctx, v)
		var failure *Error
		if !errors.As(err, &failure) {
			return output, next, err
		}
		// Whatever failed after the stop or the deadline is no longer
		// anybody's to retry or catch.
		if err := f.x.alive(ctx); err != nil {
			return value{}, "", err
		}
		if delay, ok := v.st.nextDelay(failure, used, f.x.rt); ok {
			v.retries++
			f.forget()
			e := v.st.event(RetryScheduled)
			e.Attempt, e.Delay, e.Error, e.Cause = v.retries, delay, failure.Name, failure.Cause
			f.x.observe(e)
			if err := f.x.sleep(ctx, delay); err != nil {
				return value{}, "", err
			}
			continue
		}
		c := v.st.catcher(failure)
		if c == nil {
			return value{}, "", failure
		}
		caught := stringsValue("Error", failure.Name, "Cause", failure.Cause)
		v.errorOutput, v.result = &caught, nil
		output, err = f.leave(ctx, v, caught, outcome{assign: c.assign, output: c.output})
		return output, c.Next, err
	}
}

// once is one attempt at a state.
func (f *frame) once(ctx context.Context, v *visit) (value, string, error) {
	v.result, v.token = nil, ""
	if err := v.input.within("input of the state '" + v.st.name + "'"); err != nil {
		return value{}, "", err
	}
	o, err := f.perform(ctx, v)
	if err != nil {
		f.noteEvaluation(v, err)
		return value{}, "", err
	}
	standard := v.input
	if o.result != nil {
		if err := o.result.within("result of the state '" + v.st.name + "'"); err != nil {
			return value{}, "", err
		}
		v.result, standard = o.result, *o.result
	}
	output, err := f.leave(ctx, v, standard, o)
	return output, o.next, err
}

// leave evaluates Output and Assign. Both see the variables as they were; only
// the next state sees what is assigned.
func (f *frame) leave(ctx context.Context, v *visit, output value, o outcome) (value, error) {
	assigned := value{}
	var err error
	if o.output != nil || o.assign != nil {
		s := f.scope(ctx, v)
		if o.output != nil {
			if output, err = s.evaluate(o.output); err != nil {
				f.noteEvaluation(v, err)
				return value{}, err
			}
		}
		if o.assign != nil {
			if assigned, err = s.evaluate(o.assign); err != nil {
				f.noteEvaluation(v, err)
				return value{}, err
			}
		}
	}
	if err := output.within("output of the state '" + v.st.name + "'"); err != nil {
		return value{}, err
	}
	if err := assigned.within("Assign of the state '" + v.st.name + "'"); err != nil {
		return value{}, err
	}
	return output, f.variables.set(assigned)
}

// set assigns every member of an evaluated Assign.
func (vs *variables) set(assigned value) error {
	obj, ok := assigned.data.(object)
	if !ok {
		return nil
	}
	if vs.own == nil {
		vs.own = map[string]value{}
	}
	for _, name := range obj.Keys() {
		data, _ := obj.Get(name)
		v, err := newValue(data)
		if err != nil {
			return &Error{Name: ErrorQueryEvaluation, Cause: err.Error()}
		}
		vs.own[name] = v
	}
	return nil
}

// noteEvaluation tells the observer of a failed expression.
func (f *frame) noteEvaluation(v *visit, err error) {
	var failure *Error
	if errors.As(err, &failure) && failure.Name == ErrorQueryEvaluation {
		e := v.st.event(EvaluationFailed)
		e.Error, e.Cause = failure.Name, failure.Cause
		f.x.observe(e)
	}
}

// scope is what the expressions of a visit see.
func (f *frame) scope(ctx context.Context, v *visit) *scope {
	return &scope{ctx: ctx, rt: f.x.rt, visible: func() map[string]any {
		states := map[string]any{"input": v.input.data, "context": f.context(v)}
		if v.result != nil {
			states["result"] = v.result.data
		}
		if v.errorOutput != nil {
			states["errorOutput"] = v.errorOutput.data
		}
		visible := map[string]any{}
		f.variables.bind(visible)
		visible["states"] = states
		return visible
	}}
}

// bind collects all variables that are visible; an outer one never hides an
// inner one.
func (vs *variables) bind(into map[string]any) {
	if vs == nil {
		return
	}
	vs.outer.bind(into)
	for name, v := range vs.own {
		into[name] = v.data
	}
}

// context is $states.context.
func (f *frame) context(v *visit) map[string]any {
	info := f.x.info
	execution := map[string]any{
		"Id": info.ARN, "Input": f.x.input.data, "Name": info.Name,
		"RoleArn": info.RoleARN, "StartTime": formatTime(f.x.started),
	}
	if f.x.redrives > 0 { // only then are they there
		execution["RedriveCount"], execution["RedriveTime"] = float64(f.x.redrives), formatTime(f.x.redrivenAt)
	}
	c := map[string]any{
		"Execution": execution,
		"State": map[string]any{
			"Name": v.st.name, "EnteredTime": formatTime(v.entered), "RetryCount": float64(v.retries),
		},
		"StateMachine": map[string]any{"Id": info.MachineARN, "Name": info.MachineName},
	}
	if v.item != nil {
		c["Map"] = map[string]any{"Item": map[string]any{"Index": float64(v.item.index), "Value": v.item.value.data}}
	}
	if v.token != "" {
		c["Task"] = map[string]any{"Token": v.token}
	}
	return c
}

func (st *state) event(kind EventKind) Event {
	return Event{Kind: kind, State: st.name, Path: st.path, Type: st.kind, Resource: st.resource}
}

func (v *visit) String() string { return fmt.Sprintf("state '%s'", v.st.name) }
