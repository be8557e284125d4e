package asl

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// mapRun is one run of a distributed Map: its children and how many may fail.
type mapRun struct {
	id, arn  string
	children []child
	allowed  int     // failures tolerated as a number …
	share    float64 // … and as a percentage
	group    *group
	redrives int

	mu     sync.Mutex
	failed int
}

// child is one child execution. One that never started has no status.
type child struct {
	exec          Execution
	started, done time.Time
	result        Result
	x             *execution
}

// mapRun runs the children of a distributed Map, each an execution of its own,
// without the variables of this one.
func (f *frame) mapRun(ctx context.Context, v *visit, inputs []mapInput, limit int) (*value, error) {
	e := v.st.event(MapRunStarted)
	run := f.current
	if run == nil {
		var err error
		if run, err = f.newMapRun(ctx, v, inputs); err != nil {
			return nil, err
		}
		f.current = run
	} else {
		run.redrives, run.failed, run.group = run.redrives+1, 0, newGroup(ctx)
		e.Kind, e.Redrives = MapRunRedriven, run.redrives
	}
	defer run.group.cancel()
	e.MapRun = run.arn
	f.x.observe(e)

	f.x.rt.Each(run.group.ctx, len(run.children), limit, func(ctx context.Context, i int) {
		if f.x.alive(ctx) == nil && run.children[i].result.Status != StatusSucceeded {
			run.start(ctx, f.x, v.st.mapping.processor, i)
		}
	})
	result, err := f.finishMapRun(ctx, v, run)

	e.Kind, e.Input, e.Redrives = MapRunSucceeded, nil, 0
	if err != nil {
		e.Kind = MapRunAborted
		var failure *Error
		if errors.As(err, &failure) {
			e.Kind, e.Error, e.Cause = MapRunFailed, failure.Name, failure.Cause
		}
	}
	f.x.observe(e)
	return result, err
}

// newMapRun names the run and its children and evaluates the thresholds.
func (f *frame) newMapRun(ctx context.Context, v *visit, inputs []mapInput) (*mapRun, error) {
	m := v.st.mapping
	s := f.scope(ctx, v)
	// Without either threshold no failure is tolerated; with one, only that
	// one counts.
	const unlimited = 1 << 31
	absentCount, absentShare := 0.0, 100.0
	if m.tolerated == nil && m.toleratedShare != nil {
		absentCount = unlimited
	}
	count, err := s.number(m.tolerated, concurrencyBounds, absentCount)
	if err != nil {
		return nil, err
	}
	share, err := s.number(m.toleratedShare, percentBounds, absentShare)
	if err != nil {
		return nil, err
	}
	info := f.x.info
	machine, _, _ := strings.Cut(info.MachineName, "/")
	name := machine + "/" + m.label
	run := &mapRun{id: f.x.rt.UUID(), allowed: int(count), share: share, group: newGroup(ctx)}
	run.arn = arnLike(info.ARN, "mapRun:"+name+":"+run.id)
	run.children = make([]child, len(inputs))
	for i := range run.children {
		// Named here and not in the concurrent part, so that names do not
		// depend on who starts first.
		id := f.x.rt.UUID()
		run.children[i].exec = Execution{
			ARN: arnLike(info.ARN, "execution:"+name+":"+id), Name: id,
			MachineARN: arnLike(info.ARN, "stateMachine:"+name), MachineName: name,
			RoleARN: info.RoleARN, Input: inputs[i].input.raw,
		}
	}
	return run, nil
}

// arnLike is an ARN in the partition, region and account of another.
func arnLike(arn, resource string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return "arn:aws:states:::" + resource
	}
	return strings.Join(parts[:5], ":") + ":" + resource
}

// start runs one child from its beginning, or, if it began before a redrive,
// from where it was, to its end.
func (r *mapRun) start(ctx context.Context, parent *execution, fl *flow, i int) {
	c := &r.children[i]
	if c.x != nil {
		c.x.deadline = parent.deadline
		c.result = c.x.redrive(ctx)
	} else {
		c.started = parent.rt.Now()
		input, err := decodeValue(c.exec.Input)
		if err != nil {
			c.result = Result{Status: StatusFailed, Error: ErrorRuntime, Cause: err.Error()}
		} else {
			c.x = &execution{rt: parent.rt, info: c.exec, input: input, started: c.started, deadline: parent.deadline, child: true, mapRun: r.arn}
			c.result = c.x.run(ctx, fl)
		}
	}
	c.done = parent.rt.Now()
	if c.result.Status == StatusFailed {
		r.fail()
	}
}

// fail counts a failed child and stops the run past its threshold.
func (r *mapRun) fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed++
	if r.failed > r.allowed || 100*float64(r.failed) > r.share*float64(len(r.children)) {
		r.group.stop(&Error{
			Name:  ErrorToleratedFailure,
			Cause: "The specified tolerated failure threshold was exceeded",
		})
	}
}

// finishMapRun is the end of a run: what came out, stored where ResultWriter
// says. What did end is stored even if the run fails.
func (f *frame) finishMapRun(ctx context.Context, v *visit, run *mapRun) (*value, error) {
	failure := run.group.wait(ctx)
	if err := f.x.alive(ctx); err != nil {
		return nil, err
	}
	var result value
	if m := v.st.mapping; m.writer != nil {
		stored, err := f.writeResults(ctx, v, run)
		if err != nil {
			return nil, err
		}
		result = stored
	} else {
		outputs, err := run.outputs(m.transformation)
		if err != nil {
			return nil, err
		}
		result = joinValues(outputs)
	}
	if failure != nil {
		return nil, failure
	}
	return &result, nil
}

// outputs are what the children leave behind, in the order of the items: the
// output of one that succeeded, by the transformation, and the whole record of
// any other.
func (r *mapRun) outputs(transformation string) ([]value, error) {
	var list []value
	for i := range r.children {
		more, err := r.children[i].outputs(transformation)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

func (c *child) outputs(transformation string) ([]value, error) {
	if c.result.Status != StatusSucceeded || transformation == "NONE" {
		record, err := c.record()
		return []value{record}, err
	}
	output, err := decodeValue(c.result.Output)
	if err != nil {
		return nil, fmt.Errorf("asl: output of a child: %w", err)
	}
	elements, isList := output.data.([]any)
	if transformation != "FLATTEN" || !isList {
		return []value{output}, nil
	}
	list := make([]value, len(elements))
	for i, data := range elements {
		if list[i], err = newValue(data); err != nil {
			return nil, fmt.Errorf("asl: output of a child: %w", err)
		}
	}
	return list, nil
}
