package asl

import (
	"context"
	"errors"
	"fmt"
)

// maxInline is how many iterations of an inline Map run at once at most, and
// maxChildren how many children of a distributed one; both are quotas.
const (
	maxInline   = 40
	maxChildren = 10_000
)

// each runs a Map state.
func (f *frame) each(ctx context.Context, v *visit) (*value, error) {
	m := v.st.mapping
	var inputs []mapInput
	if f.current == nil { // a map run that is redriven has its items
		var err error
		if inputs, err = f.itemInputs(ctx, v); err != nil {
			return nil, err
		}
	}
	bounds, ceiling := inlineBounds, maxInline
	if m.distributed {
		bounds, ceiling = concurrencyBounds, maxChildren
	}
	n, err := f.scope(ctx, v).number(m.concurrency, bounds, 0)
	if err != nil {
		return nil, err
	}
	limit := int(n)
	if limit == 0 || limit > ceiling {
		limit = ceiling
	}
	if m.distributed {
		return f.mapRun(ctx, v, inputs, limit)
	}
	return f.iterations(ctx, v, inputs, limit)
}

// iterations runs an inline Map.
func (f *frame) iterations(ctx context.Context, v *visit, inputs []mapInput, limit int) (*value, error) {
	outputs := make([]value, len(inputs))
	g := newGroup(ctx)
	defer g.cancel()
	if len(f.branches) != len(inputs) {
		f.branches = make([]*frame, len(inputs))
		for i := range inputs {
			f.branches[i] = &frame{
				x: f.x, flow: v.st.mapping.processor, variables: &variables{outer: f.variables},
				item: &mapItem{index: i, value: inputs[i].item},
			}
		}
	}
	f.x.rt.Each(g.ctx, len(inputs), limit, func(ctx context.Context, i int) {
		if err := f.x.alive(ctx); err != nil {
			g.stop(err)
			return
		}
		inner := f.branches[i]
		if inner.done {
			outputs[i] = inner.output
			return
		}
		f.observeIteration(v, MapIterationStarted, i)
		output, err := inner.run(ctx, inputs[i].input)
		if err == nil {
			outputs[i] = output
			f.observeIteration(v, MapIterationSucceeded, i)
			return
		}
		ended := MapIterationAborted
		var failure *Error
		if errors.As(err, &failure) {
			ended = MapIterationFailed
		}
		f.observeIteration(v, ended, i)
		g.stop(err)
	})
	if err := g.wait(ctx); err != nil {
		return nil, err
	}
	result := joinValues(outputs)
	return &result, nil
}

func (f *frame) observeIteration(v *visit, kind EventKind, i int) {
	e := v.st.event(kind)
	e.Index = i
	f.x.observe(e)
}

// mapInput is an item, and what its iteration gets as input.
type mapInput struct {
	item, input value
}

// itemInputs evaluates Items or reads them, and applies ItemSelector and
// ItemBatcher.
func (f *frame) itemInputs(ctx context.Context, v *visit) ([]mapInput, error) {
	m := v.st.mapping
	items, err := f.items(ctx, v)
	if err != nil {
		return nil, err
	}
	inputs := make([]mapInput, len(items))
	for i, data := range items {
		item, err := newValue(data)
		if err != nil {
			return nil, &Error{Name: ErrorQueryEvaluation, Cause: err.Error()}
		}
		inputs[i] = mapInput{item: item, input: item}
		if m.selector == nil {
			continue
		}
		selecting := *v
		selecting.item = &mapItem{index: i, value: item}
		if inputs[i].input, err = f.scope(ctx, &selecting).evaluate(m.selector); err != nil {
			return nil, err
		}
	}
	if m.batchSize != nil {
		return f.batches(ctx, v, inputs)
	}
	return inputs, nil
}

func (f *frame) items(ctx context.Context, v *visit) ([]any, error) {
	m := v.st.mapping
	if m.reader != nil {
		return f.readItems(ctx, v)
	}
	source := v.input
	if m.items != nil {
		var err error
		if source, err = f.scope(ctx, v).evaluate(m.items); err != nil {
			return nil, err
		}
	}
	list, ok := source.data.([]any)
	if !ok {
		// An expression that finds one element yields the element itself, and
		// needs [] to stay an array.
		return nil, &Error{
			Name:  ErrorQueryEvaluation,
			Cause: fmt.Sprintf("The items of the %s must be an array, not %s.", v, typeName(source.data)),
		}
	}
	return list, nil
}

func (f *frame) readItems(ctx context.Context, v *visit) ([]any, error) {
	bucket, key, err := f.place(ctx, v, v.st.mapping.reader)
	if err != nil {
		return nil, err
	}
	raw, err := f.x.rt.ReadItems(ctx, bucket, key)
	if dead := f.x.alive(ctx); dead != nil {
		return nil, dead
	}
	if err != nil {
		return nil, &Error{Name: ErrorItemReader, Cause: err.Error()}
	}
	data, err := decodeJSON(raw)
	list, ok := data.([]any)
	if err != nil || !ok {
		return nil, &Error{Name: ErrorItemReader, Cause: fmt.Sprintf("The object s3://%s/%s does not hold a JSON array.", bucket, key)}
	}
	return list, nil
}

// place evaluates where a reader reads or a writer writes.
func (f *frame) place(ctx context.Context, v *visit, at *store) (bucket, name string, err error) {
	s := f.scope(ctx, v)
	if bucket, err = s.text(at.bucket); err != nil {
		return "", "", err
	}
	name, err = s.text(at.name)
	return bucket, name, err
}

// batches puts several inputs into one child's input.
func (f *frame) batches(ctx context.Context, v *visit, inputs []mapInput) ([]mapInput, error) {
	s := f.scope(ctx, v)
	n, err := s.number(v.st.mapping.batchSize, batchBounds, 0)
	if err != nil {
		return nil, err
	}
	common := ""
	if t := v.st.mapping.batchInput; t != nil {
		shared, err := s.evaluate(t)
		if err != nil {
			return nil, err
		}
		common = `"BatchInput":` + string(shared.raw) + ","
	}
	var batched []mapInput
	for len(inputs) > 0 {
		size := min(int(n), len(inputs))
		list := make([]value, size)
		for i, in := range inputs[:size] {
			list[i] = in.input
		}
		inputs = inputs[size:]
		batch, err := decodeValue([]byte("{" + common + `"Items":` + string(joinValues(list).raw) + "}"))
		if err != nil {
			return nil, &Error{Name: ErrorQueryEvaluation, Cause: err.Error()}
		}
		batched = append(batched, mapInput{item: batch, input: batch})
	}
	return batched, nil
}
