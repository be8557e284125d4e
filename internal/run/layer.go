package run

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/report"
)

// LayerInput is what the machine sends after a layer.
type LayerInput struct {
	Run     action.Run    `json:"run"`
	Layer   LayerRef      `json:"layer"`
	Results Location      `json:"results"`
	Changed action.Change `json:"changed"` // by the layers before
}

// LayerOutcome is its answer.
type LayerOutcome struct {
	Decision string         `json:"decision"` // next or stop
	Outcome  report.Outcome `json:"outcome"`
	Changed  action.Change  `json:"changed"`
	Cause    string         `json:"cause"`
}

// Item is the output of one resource's iteration.
type Item struct {
	Index     int               `json:"index"`
	Name      string            `json:"resourceName"`
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

// read gives the class and the message. The Cause of a failed Lambda function
// is the JSON of its error; that of Step Functions' own errors is a text.
func (f *failure) read() report.Error {
	var lambda struct {
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal([]byte(f.Cause), &lambda) == nil && lambda.Message != "" {
		return report.Error{Class: f.Error, Message: lambda.Message}
	}
	if f.Cause == "" {
		return report.Error{Class: f.Error, Message: f.Error}
	}
	return report.Error{Class: f.Error, Message: f.Cause}
}

// RecordLayer is the step that judges a layer from all its items.
func (s Store) RecordLayer(ctx context.Context, in LayerInput) (LayerOutcome, error) {
	items, err := results[Item](ctx, s, in.Results)
	if err != nil {
		return LayerOutcome{}, err
	}
	if err := s.put(ctx, in.Run, docResults(in.Layer.Layer), items); err != nil {
		return LayerOutcome{}, err
	}
	return judgeLayer(items, in.Layer, in.Changed), nil
}

// judgeLayer decides from all items of a layer. An item that is missing ended
// without telling what it did, so it counts as failed and perhaps changed.
func judgeLayer(items []Item, layer LayerRef, before action.Change) LayerOutcome {
	out := LayerOutcome{Decision: "next", Outcome: report.Succeeded, Changed: before}
	done, refused := 0, 0
	seen := map[int]bool{}
	var lines []string
	for _, item := range items {
		out.Changed = out.Changed.Or(item.Changed)
		if seen[item.Index] {
			continue
		}
		seen[item.Index] = true
		switch item.Status {
		case report.Done:
			done++
			continue
		case report.RefusedHere:
			refused++
		}
		if item.Failure != nil {
			e := item.Failure.read()
			lines = append(lines, fmt.Sprintf("%s: %s: %s", item.Name, e.Class, e.Message))
		}
	}
	if missing := layer.Count - len(seen); missing != 0 {
		out.Changed = out.Changed.Or(action.ChangeUnknown)
		lines = append(lines, fmt.Sprintf("%d resources of layer %d ended without a result", missing, layer.Layer))
	}
	if done == layer.Count && len(seen) == layer.Count {
		return out
	}
	out.Decision, out.Cause = "stop", bounded(lines)
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
