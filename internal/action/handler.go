package action

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"

	"dr-orchestrator/internal/pace"
)

// The operations that an action's function answers.
const (
	OperationPreflight = "preflight"
	OperationReconcile = "reconcile"
)

// Envelope is the JSON that the state machine sends to an action's function:
// one resource to drive, or several to look at.
type Envelope struct {
	Operation string     `json:"operation"`
	Run       Run        `json:"run"`
	Resource  *Resource  `json:"resource,omitempty"`
	Drive     *Drive     `json:"drive,omitempty"`
	Resources []Resource `json:"resources,omitempty"`
	// Now is the time on the machine's clock, by which the times that it
	// carries were taken; without it the function's own counts.
	Now *time.Time `json:"now,omitempty"`
}

// Answer is the reply to a reconcile envelope. WaitSeconds is how long the
// machine should wait before it asks again.
type Answer struct {
	Status        Status            `json:"status"`
	Phase         string            `json:"phase"`
	Message       string            `json:"message"`
	WaitSeconds   int               `json:"waitSeconds"`
	Changed       Change            `json:"changed"`
	InterruptedAt *time.Time        `json:"interruptedAt"`
	Evidence      Evidence          `json:"evidence,omitempty"`
	Memo          map[string]string `json:"memo"`
}

// Checked is what a preflight says of one resource.
type Checked struct {
	Index    int       `json:"index"`
	Verdict  Verdict   `json:"verdict"`
	Observed State     `json:"observed"`
	Findings []Finding `json:"findings,omitempty"`
	Evidence Evidence  `json:"evidence,omitempty"`
	Lag      *float64  `json:"lagSeconds,omitempty"`
}

// PreflightAnswer is the reply to a preflight envelope.
type PreflightAnswer struct {
	Readiness []Checked `json:"readiness"`
}

// MemoLag is where, in a memo, the lag seen before acting travels.
const MemoLag = "lagSeconds"

// Secrets reads references to secrets at the moment of use.
type Secrets interface {
	// Replace puts secrets in place of their references and returns them, so
	// that they can be kept out of every answer.
	Replace(ctx context.Context, parameters json.RawMessage) (json.RawMessage, []string, error)
	// Redact takes secrets out of a text.
	Redact(text []byte, secrets []string) []byte
}

// Adapter wires one reconciler to the Lambda runtime.
type Adapter[P any] struct {
	Reconciler     Reconciler[P]
	Secrets        Secrets
	Now            func() time.Time
	MinimumSeconds int // no operation of this kind ends sooner
}

var _ lambda.Handler = (*Adapter[struct{}])(nil)

// Invoke answers one event. Every error is a messages.InvokeResponse_Error
// whose Type is a Class: the Lambda runtime reports only the outermost Go type
// name of any other error, which a state machine could not match.
func (a *Adapter[P]) Invoke(ctx context.Context, event []byte) (answer []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			answer, err = nil, Report(fmt.Errorf("panic: %v", p))
		}
	}()
	ctx, cancel := inTime(ctx)
	defer cancel()
	var in Envelope
	if err := decode(event, &in); err != nil {
		return nil, Report(Errorf(InvalidInput, "the event is not what this function takes: %v", err))
	}
	switch {
	case in.Operation == OperationPreflight && in.Resource == nil && in.Drive == nil:
		return a.preflight(ctx, in)
	case in.Operation == OperationReconcile && in.Resource != nil && in.Drive != nil && in.Resources == nil:
		return a.reconcile(ctx, in)
	}
	return nil, Report(Errorf(InvalidInput,
		"operation %q: want %q with resources, or %q with resource and drive", in.Operation, OperationPreflight, OperationReconcile))
}

// inTime ends a little before Lambda would end the function, so that silence
// of AWS is reported with its class: a function that is killed tells nothing.
func inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-time.Second))
	}
	return ctx, func() {}
}

// Report makes an error the way the Lambda runtime passes it on unchanged.
func Report(err error) error {
	return messages.InvokeResponse_Error{Type: string(ClassOf(err)), Message: err.Error()}
}

func (a *Adapter[P]) request(ctx context.Context, in Envelope, resource Resource) (Request[P], []string, error) {
	req := Request[P]{Run: in.Run, Resource: resource, Now: a.Now()}
	if in.Now != nil {
		req.Now = *in.Now
	}
	parameters, secrets := resource.Parameters, []string(nil)
	if a.Secrets != nil {
		var err error
		if parameters, secrets, err = a.Secrets.Replace(ctx, parameters); err != nil {
			return req, nil, Call("reading the secrets that the parameters name", err)
		}
	}
	if err := decode(parameters, &req.Parameters); err != nil {
		return req, secrets, Errorf(InvalidInput, "parameters of %q: %v", resource.Name, err)
	}
	return req, secrets, nil
}

func (a *Adapter[P]) preflight(ctx context.Context, in Envelope) ([]byte, error) {
	out := PreflightAnswer{Readiness: make([]Checked, 0, len(in.Resources))}
	var hidden []string
	for _, resource := range in.Resources {
		req, secrets, err := a.request(ctx, in, resource)
		hidden = append(hidden, secrets...)
		var ready Readiness
		if err == nil {
			ready, err = a.Reconciler.Preflight(ctx, req)
		}
		if err != nil {
			if passing(ClassOf(err)) {
				return nil, a.redacted(err, hidden)
			}
			ready.Observed = StateUnknown
			ready.Findings = append(ready.Findings, Finding{Verdict: VerdictBlocked, Class: ClassOf(err), Message: err.Error()})
		}
		out.Readiness = append(out.Readiness, Checked{
			Index: resource.Index, Verdict: ready.Verdict(), Observed: ready.Observed,
			Findings: ready.Findings, Evidence: ready.Evidence, Lag: ready.Lag,
		})
	}
	return a.encode(out, hidden)
}

// passing reports whether a failure says something about the moment and not
// about the resource: the machine then asks again.
func passing(class Class) bool {
	return class == Throttled || class == Unreachable || class == Internal
}

func (a *Adapter[P]) reconcile(ctx context.Context, in Envelope) ([]byte, error) {
	req, secrets, err := a.request(ctx, in, *in.Resource)
	if err != nil {
		return nil, a.redacted(err, secrets)
	}
	req.Drive = *in.Drive
	progress, err := a.Reconciler.Reconcile(ctx, req)
	if err != nil {
		slog.ErrorContext(ctx, "reconcile failed", "resource", in.Resource.Name, "class", ClassOf(err))
		return nil, a.redacted(err, secrets)
	}
	answer := Answer{
		Status: progress.Status, Phase: progress.Phase, Message: progress.Message,
		Evidence: progress.Evidence, Memo: maps.Clone(in.Drive.Memo),
	}
	answer.Changed, answer.InterruptedAt = changed(req.Drive, in.Resource.Baseline, progress, req.Unsure())
	if answer.Memo == nil {
		answer.Memo = map[string]string{}
	}
	maps.Copy(answer.Memo, progress.Memo)
	if progress.Lag != nil {
		answer.Memo[MemoLag] = fmt.Sprintf("%g", *progress.Lag)
	}
	if progress.Status == InProgress {
		answer.WaitSeconds = pace.Wait(pace.Poll{
			Elapsed: req.Now.Sub(req.Drive.StartedAt), Minimum: time.Duration(a.MinimumSeconds) * time.Second,
			Final: progress.Final || progress.Observed == StateReady && !progress.Changed,
			First: progress.Changed, Watched: in.Resource.Watched,
		})
	}
	return a.encode(answer, secrets)
}

// changed joins what the machine knew with what this invocation did and saw.
// After a call without an answer, an operation under way (or a goal reached)
// that was not there before the run can only be the work of that call.
func changed(drive Drive, baseline State, p Progress, unsure bool) (Change, *time.Time) {
	before := drive.Changed
	if before == "" {
		before = ChangeNo
	}
	if p.Changed {
		return ChangeYes, nil
	}
	if p.Contended && before == ChangeNo {
		// A duplicate of this very invocation may have been the one that won.
		return ChangeUnknown, drive.InterruptedAt
	}
	if before != ChangeUnknown {
		return before, nil
	}
	switch {
	case unsure && p.Observed == StateReady:
		return ChangeUnknown, drive.InterruptedAt
	case p.Observed == StateReady:
		return ChangeNo, nil
	case baseline == StateReady:
		return ChangeYes, nil
	case baseline == p.Observed, baseline == StateUnderWay && p.Observed == StateDone:
		return ChangeNo, nil
	}
	return ChangeUnknown, drive.InterruptedAt
}

func (a *Adapter[P]) encode(v any, secrets []string) ([]byte, error) {
	out, err := json.Marshal(v)
	if err != nil {
		return nil, Report(fmt.Errorf("encoding the answer: %w", err))
	}
	if a.Secrets != nil && len(secrets) > 0 {
		out = a.Secrets.Redact(out, secrets)
	}
	return out, nil
}

func (a *Adapter[P]) redacted(err error, secrets []string) error {
	reported := Report(err)
	var response messages.InvokeResponse_Error
	if a.Secrets != nil && len(secrets) > 0 && errors.As(reported, &response) {
		response.Message = string(a.Secrets.Redact([]byte(response.Message), secrets))
		return response
	}
	return reported
}

func decode(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// Step makes a Lambda handler of a function that is no action: a step of the
// run itself, with one type in and one out.
type Step[In, Out any] func(ctx context.Context, in In) (Out, error)

// Invoke answers one event, with errors as Adapter gives them.
func (s Step[In, Out]) Invoke(ctx context.Context, event []byte) (answer []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			answer, err = nil, Report(fmt.Errorf("panic: %v", p))
		}
	}()
	ctx, cancel := inTime(ctx)
	defer cancel()
	var in In
	if err := decode(event, &in); err != nil {
		return nil, Report(Errorf(InvalidInput, "the event is not what this function takes: %v", err))
	}
	out, err := s(ctx, in)
	if err != nil {
		return nil, Report(err)
	}
	if answer, err = json.Marshal(out); err != nil {
		return nil, Report(fmt.Errorf("encoding the answer: %w", err))
	}
	return answer, nil
}
