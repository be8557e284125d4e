package action

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"

	"dr-orchestrator/internal/audit"
	"dr-orchestrator/internal/pace"
	"dr-orchestrator/internal/payload"
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
	Interruptions int               `json:"interruptions"`
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
	Seen     string    `json:"seen,omitempty"` // for the action, when it drives the resource
	// Changed is said of a resource that is looked at after it was driven.
	Changed Change `json:"changed,omitempty"`
}

// PreflightAnswer is the reply to a preflight envelope. Unanswered counts the
// resources of which AWS gave no usable answer: the machine asks again.
type PreflightAnswer struct {
	Readiness  []Checked `json:"readiness"`
	Unanswered int       `json:"unanswered"`
}

// MemoLag is where, in a memo, the lag seen before acting travels, and
// MemoLagEvidence what it was read from, or why it was not known. The evidence
// alone says that an action looked at the lag and did not learn it.
const (
	MemoLag         = "lagSeconds"
	MemoLagEvidence = "lagEvidence"
)

// EvidenceLag is the name under which an action tells the lag it acted on.
const EvidenceLag = "lag"

// memoSilences counts the calls without an answer that were noted.
const memoSilences = "silencesNoted"

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
	// ReadOnly says that the action makes no mutating call: whatever becomes
	// of an invocation, nothing was changed by it.
	ReadOnly bool
	// GivesUp ends the wait for a service that stays silent; nil: the time
	// limit alone does.
	GivesUp *GivesUp
}

var _ lambda.Handler = (*Adapter[struct{}])(nil)

// Invoke answers one event. Every error is a messages.InvokeResponse_Error
// whose Type is a Class: the Lambda runtime reports only the outermost Go type
// name of any other error, which a state machine could not match.
func (a *Adapter[P]) Invoke(ctx context.Context, event []byte) (answer []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			answer, err = nil, panicked(ctx)
		}
	}()
	ctx, cancel := inTime(ctx)
	defer cancel()
	var in Envelope
	if err := decode(event, &in); err != nil {
		return nil, Report(Errorf(InvalidInput, "the event is not what this function takes: %v", err))
	}
	switch {
	case in.Operation == OperationPreflight && in.Resource == nil && len(in.Resources) > 0:
		return a.preflight(ctx, in)
	case in.Operation == OperationReconcile && in.Resource != nil && in.Drive != nil && in.Resources == nil:
		return a.reconcile(ctx, in)
	}
	return nil, Report(Errorf(InvalidInput,
		"operation %q: want %q with resources, or %q with resource and drive", in.Operation, OperationPreflight, OperationReconcile))
}

// panicked reports a defect of ours. What the panic says may hold a secret, so
// the stack alone goes to the log.
func panicked(ctx context.Context) error {
	slog.ErrorContext(ctx, "the function panicked", "stack", string(debug.Stack()))
	return Report(Errorf(Internal, "the function panicked: its log has the stack"))
}

// InvocationTime is how long one invocation may take: the deployment gives the
// functions of actions no longer.
const InvocationTime = 85 * time.Second

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

// at is when an invocation takes place.
func (a *Adapter[P]) at(in Envelope) time.Time {
	if in.Now != nil {
		return *in.Now
	}
	return a.Now()
}

func (a *Adapter[P]) request(ctx context.Context, in Envelope, resource Resource) (Request[P], []string, error) {
	req := Request[P]{Run: in.Run, Resource: resource, Now: a.at(in)}
	parameters, secrets := resource.Parameters, []string(nil)
	if a.Secrets != nil {
		var err error
		if parameters, secrets, err = a.Secrets.Replace(ctx, parameters); err != nil {
			class := ClassOf(err)
			if class == Internal { // not AWS's answer, but what the reference says
				class = InvalidInput
			}
			return req, nil, Errorf(class, "reading the secrets that the parameters name: %w", err)
		}
	}
	if err := decode(parameters, &req.Parameters); err != nil {
		return req, secrets, Errorf(InvalidInput, "parameters of %q: %v", resource.Name, err)
	}
	if missing := payload.Missing(req.Parameters); len(missing) > 0 {
		return req, secrets, Errorf(InvalidInput, "parameters of %q: %s must be given", resource.Name, strings.Join(missing, ", "))
	}
	return req, secrets, nil
}

func (a *Adapter[P]) preflight(ctx context.Context, in Envelope) ([]byte, error) {
	out := PreflightAnswer{Readiness: make([]Checked, 0, len(in.Resources))}
	var hidden []string
	reqs, wrong := make([]Request[P], len(in.Resources)), make([]error, len(in.Resources))
	var right []Request[P]
	for i, resource := range in.Resources {
		var secrets []string
		reqs[i], secrets, wrong[i] = a.request(ctx, in, resource)
		hidden = append(hidden, secrets...)
		if wrong[i] == nil {
			right = append(right, reqs[i])
		}
	}
	looks := a.looks(in, right)
	for i, resource := range in.Resources {
		req, err := reqs[i], wrong[i]
		var ready Readiness
		if err == nil {
			ready, err = looks.Preflight(ctx, req)
		}
		if err != nil {
			if Passing(ClassOf(err)) {
				out.Unanswered++
			}
			if a.silent(err, Unreachable) {
				err = Errorf(Unreachable, "%s %s: %w", a.GivesUp.Service, NotAnswered, err)
			}
			ready.Observed = StateUnknown
			ready.Findings = append(ready.Findings, Finding{Verdict: VerdictBlocked, Class: ClassOf(err), Message: err.Error()})
		}
		checked := Checked{
			Index: resource.Index, Verdict: ready.Verdict(), Observed: ready.Observed,
			Findings: ready.Findings, Evidence: ready.Evidence, Lag: ready.Lag, Seen: ready.Seen,
		}
		if in.Drive != nil {
			req.Drive = *in.Drive
			checked.Changed, _ = a.changed(req, resource.Baseline, Progress{Observed: ready.Observed})
		}
		out.Readiness = append(out.Readiness, checked)
	}
	for i := range out.Readiness {
		c := &out.Readiness[i]
		for j := range c.Findings {
			c.Findings[j].Message = a.redact(c.Findings[j].Message, hidden)
		}
		c.Evidence, c.Seen = a.redactEvidence(c.Evidence, hidden), a.redact(c.Seen, hidden)
	}
	return encode(within(out, answerLimit))
}

// looks gives what answers a preflight: the reconciler itself, or, for several
// resources that are not yet driven, one look for all of them.
func (a *Adapter[P]) looks(in Envelope, reqs []Request[P]) Preflighter[P] {
	if b, ok := a.Reconciler.(Batcher[P]); ok && len(reqs) > 1 && in.Drive == nil {
		return b.Batch(reqs)
	}
	return a.Reconciler
}

// answerLimit is how many bytes a preflight answers with at most: Step Functions
// takes 262,144 in the data of one state, in which this answer stands beside
// what Lambda tells of the call.
const answerLimit = 200_000

// within shortens an answer that the machine could not take. A verdict that gets
// through in few words is worth more than one that is lost with its evidence.
func within(a PreflightAnswer, limit int) PreflightAnswer {
	for _, most := range []int{0, 300, 100} {
		if text, err := json.Marshal(a); err != nil || len(text) <= limit {
			return a
		}
		a.Readiness = slices.Clone(a.Readiness)
		for i := range a.Readiness {
			c := &a.Readiness[i]
			c.Evidence = nil
			c.Findings = slices.Clone(c.Findings)
			for j := range c.Findings {
				if f := &c.Findings[j]; most > 0 && len(f.Message) > most {
					f.Message = strings.ToValidUTF8(f.Message[:most], "") + "…"
				}
			}
		}
	}
	return a
}

// Passing reports whether a failure says something about the moment and not
// about the resource: the machine then asks again.
func Passing(class Class) bool {
	return class == Throttled || class == Queued || class == Unreachable || class == Internal
}

func (a *Adapter[P]) reconcile(ctx context.Context, in Envelope) ([]byte, error) {
	drive := a.resumed(in)
	if drive.Redriven && !drive.Late {
		// A run that was stopped may have lost its lock to another one.
		delete(drive.Memo, memoUntaken) // nobody has asked while it was stopped
		return encode(Answer{
			Status: Redriven, Phase: "redriven", Message: "the run was redriven: its lock is taken again before anything is done", WaitSeconds: 1,
			Changed: drive.Changed.known(), InterruptedAt: drive.InterruptedAt, Interruptions: drive.Interruptions, Memo: drive.Memo,
		})
	}
	req, secrets, err := a.request(ctx, in, *in.Resource)
	if err != nil {
		return nil, a.redacted(err, secrets)
	}
	req.Drive = drive
	recorder := &audit.Recorder{Now: a.Now}
	progress, err := a.step(ctx, req, recorder)
	if err != nil {
		err = a.givenUp(req, err)
		slog.ErrorContext(ctx, "reconcile failed", "resource", in.Resource.Name, "class", ClassOf(err), "calls", named(recorder.Calls()))
		return nil, a.redacted(err, secrets)
	}
	answer := Answer{
		Status: progress.Status, Phase: progress.Phase, Message: progress.Message,
		Evidence: progress.Evidence, Interruptions: drive.Interruptions, Memo: maps.Clone(drive.Memo),
	}
	answer.Changed, answer.InterruptedAt = a.changed(req, in.Resource.Baseline, progress)
	if answer.Memo == nil {
		answer.Memo = map[string]string{}
	}
	if !progress.Contended {
		delete(answer.Memo, memoConflict)
	}
	if progress.Observed == StateReady || progress.Observed == StateBusy {
		answer.Memo[memoReady] = "yes"
	}
	maps.Copy(answer.Memo, progress.Memo)
	noteLag(answer.Memo, progress)
	a.noteUntaken(answer.Memo, req, progress)
	a.noteCalls(answer.Memo, req, recorder.Calls())
	if progress.Status == InProgress {
		answer.WaitSeconds = pace.Wait(pace.Poll{
			Elapsed: req.Now.Sub(req.Drive.StartedAt), Minimum: time.Duration(a.MinimumSeconds) * time.Second,
			Final: progress.Final || progress.Observed == StateReady && !progress.Changed,
			First: progress.Changed && !progress.Aside, Aside: progress.Aside, Watched: in.Resource.Watched, Reads: in.Resource.ProofReads,
			Starts: time.Duration(in.Resource.LastStart) * time.Second, Hint: time.Duration(progress.WaitSeconds) * time.Second,
		})
	}
	answer.Message, answer.Phase = a.redact(answer.Message, secrets), a.redact(answer.Phase, secrets)
	answer.Evidence = a.redactEvidence(answer.Evidence, secrets)
	for name, text := range answer.Memo {
		answer.Memo[name] = a.redact(text, secrets)
	}
	return encode(answer)
}

// resumed is what the machine carries, a call that the end of a run cut off
// accounted for.
func (a *Adapter[P]) resumed(in Envelope) Drive {
	drive := *in.Drive
	if a.ReadOnly { // whatever it was, it changed nothing
		drive.Unanswered = false
	}
	if drive = drive.resumed(a.at(in)); drive.Memo == nil {
		drive.Memo = map[string]string{}
	}
	return drive
}

// step takes the next step. Past the time limit it looks, and where it would
// call, it says so: nothing is begun any more. Nor is it where the service was
// given up that should take the call.
func (a *Adapter[P]) step(ctx context.Context, req Request[P], recorder *audit.Recorder) (Progress, error) {
	since, until := a.untaken(req)
	hopeless := !since.IsZero() && until.Sub(since) >= a.GivesUp.After
	recorder.Late = req.Drive.Late || hopeless
	progress, err := a.Reconciler.Reconcile(audit.With(ctx, recorder), req)
	switch {
	case recorder.TurnedAway && hopeless:
		return Progress{}, Errorf(Terminal, "%s%s, and is not waited for any longer: %s", a.quiet(changeNotAnswered), since.Format(time.RFC3339), a.GivesUp.Instead)
	case recorder.TurnedAway:
		return Progress{Status: InProgress, Observed: StateReady, Phase: "late", Message: audit.ErrLate.Error(), Evidence: progress.Evidence}, nil
	}
	return progress, err
}

// noteLag keeps the lag that an action saw last before it acted: a lag that it
// did not learn outweighs one from before.
func noteLag(memo map[string]string, progress Progress) {
	if text, looked := progress.Evidence[EvidenceLag].(string); looked {
		delete(memo, MemoLag)
		memo[MemoLagEvidence] = text
	}
	if progress.Lag != nil {
		memo[MemoLag] = fmt.Sprintf("%g", *progress.Lag)
	}
}

// noteCalls keeps the calls of an invocation that changed something, and before
// them that one ended without an answer: what it called went with it.
func (a *Adapter[P]) noteCalls(memo map[string]string, req Request[P], calls []audit.Call) {
	if a.ReadOnly {
		return
	}
	silences, noted := req.Drive.Interruptions, 0
	if _, err := fmt.Sscan(memo[memoSilences], &noted); err != nil {
		noted = 0
	}
	if req.Drive.InterruptedAt != nil && silences > noted {
		memo[memoSilences] = fmt.Sprint(silences)
		text := "an invocation ended without an answer: what it called is not known"
		if n := silences - noted; n > 1 {
			text = fmt.Sprintf("%d invocations ended without an answer, the last of them now: what they called is not known", n)
		}
		audit.Keep(memo, audit.Call{At: *req.Drive.InterruptedAt, Error: text})
	}
	audit.Keep(memo, calls...)
}

// named tells calls to the log, which alone keeps those of an invocation that
// ends in an error. What AWS said of them may hold a secret.
func named(calls []audit.Call) []string {
	names := []string{}
	for _, c := range calls {
		names = append(names, strings.TrimSpace(c.Service+":"+c.Operation+" "+c.RequestID))
	}
	return names
}

func (a *Adapter[P]) changed(req Request[P], baseline State, p Progress) (Change, *time.Time) {
	if a.ReadOnly {
		return ChangeNo, nil
	}
	return changed(req.Drive, baseline, p, req.settling())
}

// memoReady notes that this run has seen the resource in a state from which an
// action of its own could have been taken. The machine notes it, too, of a call
// without an answer: nobody knows what that one saw.
const memoReady = "seenReady"

// changed joins what the machine knew with what this invocation did and saw.
//
// After a call without an answer, an operation toward the goal (or the goal
// itself) that was not there before the run is taken for the work of that
// call. A resource that is idle short of its goal, a while after the silence,
// was not changed by it. What is merely busy says nothing.
func changed(drive Drive, baseline State, p Progress, unsure bool) (Change, *time.Time) {
	before := drive.Changed.known()
	arrived := p.Observed == StateUnderWay || p.Observed == StateDone
	fromReady := baseline == StateReady || baseline == StateBusy
	switch {
	case p.Changed:
		return ChangeYes, nil
	case before == ChangeYes:
		return ChangeYes, drive.InterruptedAt
	case p.Contended:
		// A duplicate of this very invocation may have been the one that won.
		return ChangeUnknown, drive.InterruptedAt
	case before == ChangeNo && drive.Polls == 0 && arrived && fromReady:
		// Somebody has acted since the preflight: this run, if its layer was
		// begun a second time.
		return ChangeUnknown, nil
	case before == ChangeNo:
		return ChangeNo, nil
	case p.Observed == StateReady && !unsure:
		return ChangeNo, drive.InterruptedAt
	case arrived && fromReady:
		return ChangeYes, nil
	case arrived && (baseline == StateUnderWay || baseline == StateDone) && drive.Memo[memoReady] == "":
		// It was on its way before the run and never seen off it.
		return ChangeNo, nil
	}
	return ChangeUnknown, drive.InterruptedAt
}

func encode(v any) ([]byte, error) {
	out, err := json.Marshal(v)
	if err != nil {
		return nil, Report(fmt.Errorf("encoding the answer: %w", err))
	}
	return out, nil
}

// redact takes secrets out of a text that is meant for a person. What the
// machine reads by name is ours, and never made of parameters.
func (a *Adapter[P]) redact(text string, secrets []string) string {
	if a.Secrets == nil || len(secrets) == 0 {
		return text
	}
	return string(a.Secrets.Redact([]byte(text), secrets))
}

func (a *Adapter[P]) redactEvidence(e Evidence, secrets []string) Evidence {
	if a.Secrets == nil || len(secrets) == 0 || e == nil {
		return e
	}
	text, err := json.Marshal(e)
	if err != nil {
		return nil
	}
	var out Evidence
	if err := json.Unmarshal(a.Secrets.Redact(text, secrets), &out); err != nil {
		return nil // rather no evidence than a secret
	}
	return out
}

func (a *Adapter[P]) redacted(err error, secrets []string) error {
	return messages.InvokeResponse_Error{Type: string(ClassOf(err)), Message: a.redact(err.Error(), secrets)}
}

func decode(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// Step makes a Lambda handler of a function that is no action: a step of the
// run itself, with one type in and one out.
type Step[In, Out any] func(ctx context.Context, in In) (Out, error)

// Invoke answers one event, with errors as Adapter gives them.
func (s Step[In, Out]) Invoke(ctx context.Context, event []byte) (answer []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			answer, err = nil, panicked(ctx)
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
