package run

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/payload"
	"dr-orchestrator/internal/report"
)

// LayerInput is what the machine sends after a layer, and what it knew before
// it.
type LayerInput struct {
	Run     action.Run     `json:"run"`
	Layer   LayerRef       `json:"layer"`
	Results *Location      `json:"results"` // of a layer that ran
	Asked   *Asked         `json:"asked"`   // of one that asked a person
	Changed action.Change  `json:"changed"`
	Outcome report.Outcome `json:"outcome"`
	Cause   string         `json:"cause"`
	LeftOut LeftOut        `json:"leftOut"`
}

// Asked is the end of a layer that asked a person.
type Asked struct {
	Items []Item `json:"items"`
}

// LeftOut are the layers that do not run, because they depend on one that
// failed. JSONata makes one value of a list of one, and leaves an object alone.
type LeftOut struct {
	Layers []int `json:"layers"`
}

// LayerOutcome is its answer: what is known of the run so far.
type LayerOutcome struct {
	Decision string         `json:"decision"` // next or stop
	Outcome  report.Outcome `json:"outcome"`
	Changed  action.Change  `json:"changed"`
	Cause    string         `json:"cause"`
	LeftOut  LeftOut        `json:"leftOut"`
}

// Item is the output of one resource's iteration.
type Item struct {
	Index     int               `json:"index"`
	Name      string            `json:"resourceName"`
	Optional  bool              `json:"optional"`
	Status    report.Status     `json:"status"`
	Changed   action.Change     `json:"changed"`
	Polls     int               `json:"polls"`
	StartedAt time.Time         `json:"startedAt"`
	EndedAt   time.Time         `json:"endedAt"`
	Phase     string            `json:"phase"`
	Message   string            `json:"message"`
	Evidence  action.Evidence   `json:"evidence"`
	Memo      map[string]string `json:"memo"`
	Failure   *failure          `json:"failure"`
}

// failure is an error as Step Functions hands it on.
type failure struct {
	Error string `json:"Error"`
	Cause string `json:"Cause"`
}

// read gives the class and the message.
func (f *failure) read() report.Error {
	return report.Error{Class: f.Error, Message: cmp.Or(report.Plain(f.Cause), f.Error)}
}

// LayerRecorder records the end of a layer and tells of it.
type LayerRecorder struct {
	Store  Store
	Events Events
	Now    func() time.Time
}

// Record is the step RecordLayer.
func (l LayerRecorder) Record(ctx context.Context, in LayerInput) (LayerOutcome, error) {
	items, err := l.Store.items(ctx, in)
	if err != nil {
		return LayerOutcome{}, err
	}
	out, err := l.Store.recordItems(ctx, in, items)
	if err == nil {
		tellBriefly(ctx, l.Events, EventLayerEnded, layerEvents(in, out, items, l.Now())...)
	}
	return out, err
}

// RecordLayer judges a layer from all its items, and says which layers are to
// run after it.
func (s Store) RecordLayer(ctx context.Context, in LayerInput) (LayerOutcome, error) {
	items, err := s.items(ctx, in)
	if err != nil {
		return LayerOutcome{}, err
	}
	return s.recordItems(ctx, in, items)
}

func (s Store) items(ctx context.Context, in LayerInput) ([]Item, error) {
	switch {
	case in.Asked != nil:
		return in.Asked.Items, nil
	case in.Results != nil:
		return results[Item](ctx, s, *in.Results)
	}
	return nil, nil
}

func (s Store) recordItems(ctx context.Context, in LayerInput, items []Item) (LayerOutcome, error) {
	if err := s.put(ctx, in.Run, docResults(in.Layer.Layer), items); err != nil {
		return LayerOutcome{}, err
	}
	out := judgeLayer(items, in.Layer, in.Changed)
	failed := out.Decision == "stop"
	out = join(in, out)
	if in.Asked != nil && failed {
		return out, nil // a no, and silence, are for everything that was to come
	}
	if failed {
		var plan Plan
		if err := s.get(ctx, in.Run, docPlan, &plan); err != nil {
			return LayerOutcome{}, err
		}
		out.Decision, out.LeftOut.Layers = after(plan, in.Layer.Layer, in.LeftOut.Layers)
	}
	return out, nil
}

// join puts the end of a layer to what was known before it. A run that failed
// once stays failed, whatever the layers after it come to.
func join(in LayerInput, out LayerOutcome) LayerOutcome {
	out.LeftOut.Layers = slices.Concat([]int{}, in.LeftOut.Layers) // a list even where there are none
	out.Cause = bounded(slices.DeleteFunc([]string{in.Cause, out.Cause}, func(s string) bool { return s == "" }))
	before := in.Outcome
	switch {
	case before == "" || before == report.Succeeded:
	case out.Changed.Happened():
		out.Outcome = report.FailedDirty
	case out.Outcome == report.Succeeded || out.Outcome == before:
		out.Outcome = before
	default:
		out.Outcome = report.FailedClean
	}
	return out
}

// after says how a run goes on after a layer that failed: layers that depend
// on it, or on one that is skipped, are skipped.
func after(plan Plan, failed int, skipped []int) (string, []int) {
	if plan.Options.OnFailure != payload.Continue {
		return "stop", slices.Concat([]int{}, skipped)
	}
	missing := append([]int{failed}, skipped...)
	decision := "stop"
	for _, layer := range plan.Layers {
		if layer.Layer <= failed || slices.Contains(missing, layer.Layer) {
			continue
		}
		if layer.DependsOn == nil || slices.ContainsFunc(layer.DependsOn, func(n int) bool { return slices.Contains(missing, n) }) {
			missing = append(missing, layer.Layer)
		} else {
			decision = "next"
		}
	}
	return decision, missing[1:]
}

// judgeLayer decides from all items of a layer. An item that is missing ended
// without telling what it did, so it counts as failed and perhaps changed.
func judgeLayer(items []Item, layer LayerRef, before action.Change) LayerOutcome {
	out := LayerOutcome{Decision: "next", Outcome: report.Succeeded, Changed: before}
	done, refused := 0, 0
	seen := map[int]bool{}
	var lines, without []string
	for _, item := range items {
		out.Changed = out.Changed.Or(item.Changed)
		if seen[item.Index] {
			continue
		}
		seen[item.Index] = true
		e := report.Error{Class: string(item.Status), Message: "no reason was given"}
		if item.Failure != nil {
			e = item.Failure.read()
		}
		line := fmt.Sprintf("%s: %s: %s", item.Name, e.Class, e.Message)
		switch {
		case item.Status == report.Done:
			done++
		case item.Optional:
			done++
			without = append(without, "without "+line)
		case item.Status == report.RefusedHere:
			refused++
			lines = append(lines, line)
		default:
			lines = append(lines, line)
		}
	}
	if missing := layer.Count - len(seen); missing != 0 {
		out.Changed = out.Changed.Or(action.ChangeUnknown)
		lines = append(lines, fmt.Sprintf("%d resources of layer %d ended without a result", missing, layer.Layer))
	}
	out.Cause = bounded(append(lines, without...))
	if done == layer.Count && len(seen) == layer.Count {
		return out
	}
	out.Decision = "stop"
	switch {
	case out.Changed.Happened():
		out.Outcome = report.FailedDirty
	case done+refused == layer.Count:
		out.Outcome = report.Refused
	default:
		out.Outcome = report.FailedClean
	}
	return out
}
