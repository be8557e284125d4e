package run

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/report"
)

// ReadinessInput is what the machine sends after the preflight.
type ReadinessInput struct {
	Run     action.Run `json:"run"`
	Mode    string     `json:"mode"`
	Results Location   `json:"results"`
}

// Readiness is its answer: whether to go on, and the layers to run.
type Readiness struct {
	Decision string         `json:"decision"` // go, planned or blocked
	Outcome  report.Outcome `json:"outcome"`
	Cause    string         `json:"cause"`
	Layers   []LayerRef     `json:"layers"`
}

// LayerRef is a layer as the machine knows it.
type LayerRef struct {
	Layer            int    `json:"layer"`
	Key              string `json:"key"`
	Count            int    `json:"count"`
	TimeLimitSeconds int    `json:"timeLimitSeconds"`
	// Approval is what a layer is that only asks a person.
	Approval *ApprovalRef `json:"approval"`
}

// ApprovalRef is the question of a layer.
type ApprovalRef struct {
	Index   int    `json:"index"`
	Name    string `json:"resourceName"`
	Message string `json:"message"`
	Seconds int    `json:"seconds"`
}

// checkedBatch is the output of one preflight iteration: the answers, or why
// there are none.
type checkedBatch struct {
	Readiness []action.Checked `json:"readiness"`
	Failure   *failure         `json:"failure"`
	Indexes   []int            `json:"indexes"`
}

// RecordReadiness is the step that judges the preflight: it writes what was
// found, and the items of each layer.
func (s Store) RecordReadiness(ctx context.Context, in ReadinessInput) (Readiness, error) {
	var plan Plan
	if err := s.get(ctx, in.Run, docPlan, &plan); err != nil {
		return Readiness{}, err
	}
	batches, err := results[checkedBatch](ctx, s, in.Results)
	if err != nil {
		return Readiness{}, err
	}
	checked := collect(plan, batches)
	if err := s.put(ctx, in.Run, docReadiness, checked); err != nil {
		return Readiness{}, err
	}
	out := judgeReadiness(plan, checked)
	if out.Decision != "go" {
		return out, nil
	}
	for _, layer := range plan.Layers {
		for i := range layer.Resources {
			seen := checked[layer.Resources[i].Index]
			layer.Resources[i].Baseline, layer.Resources[i].Seen = seen.Observed, seen.Seen
		}
		if err := s.put(ctx, in.Run, docLayer(layer.Layer), layer.Resources); err != nil {
			return Readiness{}, err
		}
		out.Layers = append(out.Layers, refer(in.Run, layer))
	}
	return out, nil
}

func refer(run action.Run, layer Layer) LayerRef {
	ref := LayerRef{Layer: layer.Layer, Key: prefix(run) + docLayer(layer.Layer), Count: len(layer.Resources), TimeLimitSeconds: layer.TimeLimitSeconds}
	if r := layer.Resources[0]; isApproval(r) {
		ref.Approval = &ApprovalRef{Index: r.Index, Name: r.Name, Message: asked(r), Seconds: min(r.TimeLimitSeconds, layer.TimeLimitSeconds)}
	}
	return ref
}

// collect gives one entry per resource of the plan, in its order. A resource
// that no answer speaks of is unknown, and unknown blocks.
func collect(plan Plan, batches []checkedBatch) []action.Checked {
	count := 0
	for _, layer := range plan.Layers {
		count += len(layer.Resources)
	}
	checked := make([]action.Checked, count)
	for i := range checked {
		checked[i] = unseen(i, &failure{Error: string(noAnswer), Cause: "the preflight gave no answer"})
	}
	for _, batch := range batches {
		for _, c := range batch.Readiness {
			if c.Index >= 0 && c.Index < count && c.Observed != "" && c.Verdict != "" {
				checked[c.Index] = c
			}
		}
		for _, i := range batch.Indexes {
			if batch.Failure != nil && i >= 0 && i < count {
				checked[i] = unseen(i, batch.Failure)
			}
		}
	}
	for _, layer := range plan.Layers {
		for _, r := range layer.Resources {
			switch {
			case isApproval(r):
				checked[r.Index] = action.Checked{Index: r.Index, Verdict: action.VerdictReady, Observed: action.StateReady}
			case r.Optional:
				checked[r.Index] = warned(checked[r.Index])
			case plan.Run.Disaster:
				checked[r.Index] = despite(checked[r.Index])
			}
		}
	}
	return checked
}

// despite lets a disaster run go on where AWS gave no usable answer: what
// could not be seen is told, and every action looks again before it acts. What
// was seen and speaks against it still blocks.
func despite(c action.Checked) action.Checked {
	for _, f := range c.Findings {
		if f.Verdict == action.VerdictBlocked && !action.Passing(f.Class) && !slices.Contains(unanswered, f.Class) {
			return c
		}
	}
	return warned(c)
}

// warned makes warnings of what blocks: a run goes on without a resource that
// is optional, and its action says no again where it has to.
func warned(c action.Checked) action.Checked {
	c.Findings = slices.Clone(c.Findings)
	for i := range c.Findings {
		if c.Findings[i].Verdict == action.VerdictBlocked {
			c.Findings[i].Verdict = action.VerdictWarning
			c.Verdict = action.VerdictWarning
		}
	}
	return c
}

// noAnswer is the class of a resource of which the preflight told nothing.
const noAnswer action.Class = "NoAnswer"

// unanswered are the classes of a look that was none: the function did not run,
// or died, or its answer was lost. The errors are those of Lambda and Step
// Functions that the machine names.
var unanswered = []action.Class{
	noAnswer, "Lambda.TooManyRequestsException", "Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException",
	"Lambda.ClientExecutionTimeoutException", "Lambda.Unknown", "Sandbox.Timedout", "Runtime.ExitError", "States.Timeout",
}

func unseen(index int, f *failure) action.Checked {
	e := f.read()
	return action.Checked{Index: index, Verdict: action.VerdictBlocked, Observed: action.StateUnknown, Findings: []action.Finding{
		{Verdict: action.VerdictBlocked, Class: action.Class(e.Class), Message: "could not be looked at: " + e.Message},
	}}
}

// judgeReadiness decides from all findings together. Anything blocked ends
// the run before anything is touched: as Refused when only safety rules said
// no, otherwise as FailedClean.
func judgeReadiness(plan Plan, checked []action.Checked) Readiness {
	var lines []string
	refused := true
	for _, b := range blockers(plan, checked) {
		lines = append(lines, b.where+": "+b.finding.Message)
		refused = refused && b.finding.Class == action.Refused
	}
	switch {
	case len(lines) > 0 && refused:
		return Readiness{Decision: "blocked", Outcome: report.Refused, Cause: bounded(lines)}
	case len(lines) > 0:
		return Readiness{Decision: "blocked", Outcome: report.FailedClean, Cause: bounded(lines)}
	case plan.Mode == "plan":
		return Readiness{Decision: "planned", Outcome: report.Succeeded, Cause: "planned only, nothing was changed: " + counted(checked)}
	}
	return Readiness{Decision: "go", Layers: []LayerRef{}}
}

// counted tells how many resources there are of each verdict, and how many
// nobody could see.
func counted(checked []action.Checked) string {
	counts, unseen := map[action.Verdict]int{}, 0
	for _, c := range checked {
		if c.Observed == action.StateUnknown {
			unseen++
		} else {
			counts[c.Verdict]++
		}
	}
	var parts []string
	for _, v := range []action.Verdict{action.VerdictReady, action.VerdictDone, action.VerdictWarning} {
		if counts[v] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[v], v))
		}
	}
	if unseen > 0 {
		parts = append(parts, fmt.Sprintf("%d could not be seen", unseen))
	}
	return strings.Join(parts, ", ")
}

// blocker is one thing that keeps a run from starting.
type blocker struct {
	where    string // for a person
	resource action.Resource
	finding  action.Finding
}

// blockers lists everything that blocks, in the order of the plan.
func blockers(plan Plan, checked []action.Checked) []blocker {
	var all []blocker
	for _, layer := range plan.Layers {
		for _, r := range layer.Resources {
			if r.Index >= len(checked) || checked[r.Index].Verdict != action.VerdictBlocked {
				continue
			}
			before := len(all)
			for _, f := range checked[r.Index].Findings {
				if f.Verdict == action.VerdictBlocked {
					all = append(all, blocker{pointer(r), r, f})
				}
			}
			if len(all) == before {
				all = append(all, blocker{pointer(r), r, action.Finding{Verdict: action.VerdictBlocked, Message: "blocked, and no reason was given"}})
			}
		}
	}
	return all
}
