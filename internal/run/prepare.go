package run

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/pace"
	"dr-orchestrator/internal/payload"
	"dr-orchestrator/internal/report"
	"dr-orchestrator/internal/resolve"
)

// Plan is a payload in its normal form: what the run is going to do. A plan
// with problems does nothing.
type Plan struct {
	Run      action.Run        `json:"run"`
	Source   string            `json:"source,omitempty"` // of a stored payload: where it stands
	Mode     string            `json:"mode"`
	Options  payload.Options   `json:"options"`
	Layers   []Layer           `json:"layers"`
	Problems []payload.Problem `json:"problems"`
}

// Layer is one layer of a plan.
type Layer struct {
	Layer     int               `json:"layer"`
	Resources []action.Resource `json:"resources"`
	// TimeLimitSeconds is for all of them together.
	TimeLimitSeconds int `json:"timeLimitSeconds"`
	// DependsOn are the lower layers that must have succeeded; nil: all.
	DependsOn []int `json:"dependsOn"`
}

// Resolver puts values in place of the references of a payload.
type Resolver interface {
	Resolve(ctx context.Context, doc *payload.Document) (payload.Problems, error)
}

// PrepareInput is what the machine's first state sends.
type PrepareInput struct {
	Input     json.RawMessage `json:"input"`
	Machine   string          `json:"machine"`
	Execution struct {
		ID        string    `json:"id"` // ARN
		Name      string    `json:"name"`
		StartTime time.Time `json:"startTime"`
	} `json:"execution"`
}

// Prepared is its answer. Decision is "go", or "rejected" with the outcome.
type Prepared struct {
	Decision  string         `json:"decision"`
	Outcome   report.Outcome `json:"outcome"`
	Cause     string         `json:"cause"`
	Run       action.Run     `json:"run"`
	Mode      string         `json:"mode"`
	Preflight Location       `json:"preflight"`
	// PreflightConcurrency is how many batches are looked at at once.
	PreflightConcurrency int    `json:"preflightConcurrency"`
	Prefix               string `json:"prefix"`
	// Deadline of the run, in milliseconds since 1970.
	Deadline int64 `json:"deadlineMillis"`
	// Approval says that a person is asked before the first change, and for how
	// long.
	Approval        bool `json:"approval"`
	ApprovalSeconds int  `json:"approvalSeconds"`
}

// Batch is one preflight call: several resources of one function.
type Batch struct {
	Function string `json:"function"`
	// PauseSeconds is how long to wait before the call. Batches keep themselves
	// apart, and none has to wait.
	PauseSeconds int               `json:"pauseSeconds"`
	Resources    []action.Resource `json:"resources"`
}

const (
	// batchSize is how many resources one call looks at: as many as a filter of
	// RDS takes, so that they cost one list and not a describe each.
	batchSize = 100
	// batchBytes is how large the resources of a batch may be, encoded. Step
	// Functions takes 262,144 bytes in the data of one state, which holds the
	// batch, and with it the event for Lambda.
	batchBytes = 100_000
	// together is how many batches are looked at at once. A function makes its
	// calls one after another, and a call takes 50 ms and more: one function
	// alone stays below the 20 describes a second that a region gives. A payload
	// of few batches makes few calls, and need not wait.
	together = 4
)

// Preparer reads the payload, resolves every reference of every layer, and
// writes the plan. It touches nothing.
type Preparer struct {
	Store    Store
	Resolver func(region string) Resolver
	// Parameters reads stored payloads from SSM.
	Parameters func(region string) resolve.Parameters
	// FunctionPrefix is what the names of the deployed functions begin with.
	FunctionPrefix string
	Events         Events // nil: nobody hears of the start
}

// Prepare is the step PrepareRun.
func (p Preparer) Prepare(ctx context.Context, in PrepareInput) (Prepared, error) {
	execution, err := arn.Parse(in.Execution.ID)
	if err != nil {
		return Prepared{}, action.Errorf(action.InvalidInput, "execution id %q: %w", in.Execution.ID, err)
	}
	plan := Plan{Run: action.Run{
		ID: in.Execution.Name, Execution: in.Execution.ID, Machine: in.Machine,
		Region: execution.Region, Account: execution.AccountID, Partition: execution.Partition, StartedAt: in.Execution.StartTime,
	}}
	if err := p.fill(ctx, &plan, in); err != nil {
		return Prepared{}, err
	}
	if err := p.Store.put(ctx, plan.Run, docPlan, plan); err != nil {
		return Prepared{}, err
	}
	out := Prepared{Decision: "go", Run: plan.Run, Mode: plan.Mode, Prefix: prefix(plan.Run),
		Preflight: Location{Bucket: p.Store.Bucket, Key: prefix(plan.Run) + docPreflight}}
	if len(plan.Problems) > 0 {
		out.Decision, out.Outcome, out.Cause = "rejected", report.FailedClean, bounded(strings.Split(payload.Problems(plan.Problems).Error(), "\n"))
		return out, nil
	}
	limit := payload.MaxTimeLimit
	if l := plan.Options.TimeLimitSeconds; l != nil {
		limit = *l
	}
	out.Deadline = plan.Run.StartedAt.Add(time.Duration(limit) * time.Second).UnixMilli()
	out.Approval, out.ApprovalSeconds = plan.Options.Approval, plan.Options.ApprovalTimeLimitSeconds
	all := batches(plan)
	out.PreflightConcurrency = 1
	if len(all) <= together {
		out.PreflightConcurrency = max(len(all), 1)
	}
	if err := p.Store.put(ctx, plan.Run, docPreflight, all); err != nil {
		return out, err
	}
	if p.Events != nil {
		tellBriefly(ctx, p.Events, EventRunStarted, began(plan))
	}
	return out, nil
}

func (p Preparer) fill(ctx context.Context, plan *Plan, in PrepareInput) error {
	types := catalog.Types()
	input, problems := []byte(in.Input), payload.Problems(nil)
	if isPointer(input) {
		var err error
		if input, plan.Source, problems, err = p.stored(ctx, in, plan.Run.Region); err != nil {
			return err
		}
	}
	var doc *payload.Document
	if len(problems) == 0 {
		doc, problems = payload.Parse(input, types, in.Machine)
	}
	if len(problems) == 0 {
		plan.Mode = doc.Options.Mode
		problems = misnamed(in.Execution.Name, plan.Mode)
	}
	if len(problems) == 0 {
		var err error
		if problems, err = p.Resolver(plan.Run.Region).Resolve(ctx, doc); err != nil {
			return action.Call("resolving the references of the payload", err)
		}
	}
	var bound []payload.Bound
	if len(problems) == 0 {
		bound, problems = payload.Bind(doc, types)
	}
	if len(problems) > 0 {
		plan.Problems = problems
		return nil
	}
	plan.Run.Disaster, plan.Options = doc.Options.Disaster, doc.Options
	return p.lay(plan, doc, bound)
}

// misnamed refuses a run under the name of a check: whoever looks for runs by
// their names, as the guard does, would take it for one and not see it.
func misnamed(execution, mode string) payload.Problems {
	if !isCheck(execution) || mode == "plan" {
		return nil
	}
	return payload.Problems{{Pointer: "/Options/Mode", Value: fmt.Sprintf("%q", mode),
		Message: fmt.Sprintf("the execution is called %q, and names that begin with %q are for the checks of stored payloads, which change nothing: nobody would take this for a run", execution, ReadinessPrefix),
		Want:    fmt.Sprintf("an execution with another name, or %q", "plan")}}
}

// lay puts the bound resources into their layers.
func (p Preparer) lay(plan *Plan, doc *payload.Document, bound []payload.Bound) error {
	next := 0
	for _, l := range doc.Layers {
		layer := Layer{Layer: l.Number, DependsOn: l.DependsOn, TimeLimitSeconds: first(payload.MaxTimeLimit, l.TimeLimitSeconds, doc.Options.LayerTimeLimitSeconds)}
		reads := 0
		for _, r := range l.Resources {
			entry, ok := catalog.Find(r.Type)
			function := p.FunctionPrefix + entry.Function
			if r.Type == catalog.ManualApproval {
				entry, function, ok = catalog.Entry{TimeLimit: catalog.ApprovalTime}, "", true
			}
			if !ok {
				return fmt.Errorf("resource type %s is in no catalog row", r.Type)
			}
			parameters, err := json.Marshal(bound[next].Parameters)
			if err != nil {
				return fmt.Errorf("encoding the parameters of %s: %w", r.Name, err)
			}
			layer.Resources = append(layer.Resources, action.Resource{
				Index: next, Layer: l.Number, Type: r.Type, Name: r.Name, Function: function,
				Parameters: parameters, TimeLimitSeconds: first(int(entry.TimeLimit/time.Second), r.TimeLimitSeconds, doc.Options.ResourceTimeLimitSeconds), Optional: r.Optional,
				Pointer: r.Pointer, Identities: bound[next].Identities, Watched: len(l.Resources), StartDelay: pace.StartDelay(reads, entry.ProofReads),
			})
			reads += entry.ProofReads
			next++
		}
		for i := range layer.Resources {
			layer.Resources[i].ProofReads = reads
			layer.Resources[i].LastStart = layer.Resources[len(layer.Resources)-1].StartDelay
		}
		plan.Layers = append(plan.Layers, layer)
	}
	return nil
}

// first gives the first number that is there.
func first(otherwise int, numbers ...*int) int {
	for _, n := range numbers {
		if n != nil {
			return *n
		}
	}
	return otherwise
}

// batches groups the resources of all layers by function.
func batches(plan Plan) []Batch {
	all := []Batch{} // an item reader takes no null
	open, size := map[string]int{}, map[string]int{}
	for _, layer := range plan.Layers {
		for _, r := range layer.Resources {
			if isApproval(r) {
				continue
			}
			bytes := encodedSize(r)
			i, ok := open[r.Function]
			if !ok || len(all[i].Resources) == batchSize || size[r.Function]+bytes > batchBytes {
				i = len(all)
				open[r.Function], size[r.Function] = i, 0
				all = append(all, Batch{Function: r.Function})
			}
			all[i].Resources = append(all[i].Resources, r)
			size[r.Function] += bytes
		}
	}
	return all
}

// encodedSize is how many bytes a resource takes in an event.
func encodedSize(r action.Resource) int {
	text, err := json.Marshal(r)
	if err != nil { // its parameters were encoded before
		return batchBytes
	}
	return len(text)
}

// pointer names a resource of the payload by its name, for a problem that was
// found in AWS and not in the text.
func pointer(r action.Resource) string {
	return fmt.Sprintf("layer %d, %s", r.Layer, strings.TrimSpace(r.Name))
}
