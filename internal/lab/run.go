package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/asl"
	"dr-orchestrator/internal/payload"
	"dr-orchestrator/internal/report"
	"dr-orchestrator/internal/run"
)

// Epoch is when the virtual clock of a lab begins with a new estate.
var Epoch = time.Date(2026, time.January, 5, 3, 0, 0, 0, time.UTC)

// Options say what to run in a lab.
type Options struct {
	Payload  json.RawMessage
	Machine  string // failover or failback
	Region   string // empty: the estate's recovery region
	Estate   *Estate
	Faults   Faults
	Seed     uint64
	Clock    *Clock // nil: a virtual one
	Progress func(Progress)
	// Policies, if given, are enforced: a function may do nothing else.
	Policies Policies
	// Locks are held when the run starts: by resource, the ARN of the owner.
	Locks map[string]string
	// StopAfter stops the execution after a time; 0: nobody does.
	StopAfter time.Duration
	// Caller is a name that somebody looks up and posts a write to once a second,
	// from the start of the run until ten seconds after its end; empty: nobody.
	Caller string
	// Answer is what a person says when the run waits for an approval: the
	// output of the task, or, as an error, why it is declined. nil: nobody answers.
	Answer func() (json.RawMessage, error)
	// Trace sees every event of the execution and its children.
	Trace func(asl.Event)
	// Binaries is a folder of built functions (NAME/bootstrap); empty: the
	// handlers run in this process.
	Binaries string
}

// Result is what a run in the lab came to.
type Result struct {
	Outcome         report.Outcome    `json:"outcome"`
	DurationSeconds float64           `json:"durationSeconds"`
	Transitions     int               `json:"transitions"`
	Layers          []ResultLayer     `json:"layers"`
	APICalls        map[string]int    `json:"apiCalls"`
	Mutations       map[string]int    `json:"mutations"` // the part of apiCalls that changes resources
	Problems        []payload.Problem `json:"problems"`
	Mode            string            `json:"mode,omitempty"`
	Cause           string            `json:"cause,omitempty"`
	Undelivered     string            `json:"undelivered,omitempty"` // what of the report did not go out
	Unclosed        string            `json:"unclosed,omitempty"`    // why a run that was stopped was not closed
	Faults          string            `json:"faults,omitempty"`
	Unfired         []string          `json:"unfired,omitempty"` // faults that never came to pass
	Caller          *Caller           `json:"caller,omitempty"`

	Record  report.Record  `json:"-"`
	Final   *Estate        `json:"-"` // the estate as the run left it
	Path    []string       `json:"-"` // states of the execution itself, in order
	Begun   []*Operation   `json:"-"` // operations that the run began
	Log     []LoggedCall   `json:"-"`
	Invoked map[string]int `json:"-"` // functions, by their names without prefix
	Used    map[Use]bool   `json:"-"` // permissions that functions made use of, where they are enforced
}

// ResultLayer is one layer of a result.
type ResultLayer struct {
	Layer     int              `json:"layer"`
	Resources []ResultResource `json:"resources"`
}

// ResultResource is one resource of a result. AWSSeconds is the time that the
// simulated operation itself took: the rest of the duration is what the
// orchestrator added.
type ResultResource struct {
	ResourceType    string        `json:"resourceType"`
	ResourceName    string        `json:"resourceName"`
	Status          report.Status `json:"status"`
	Changed         bool          `json:"changed"`
	DurationSeconds float64       `json:"durationSeconds"`
	AWSSeconds      float64       `json:"awsSeconds"`
	Polls           int           `json:"polls"`
	LagSeconds      *float64      `json:"lagSeconds"`
	Error           *report.Error `json:"error,omitempty"`

	Verdict  action.Verdict   `json:"verdict,omitempty"` // of the preflight
	Findings []action.Finding `json:"findings,omitempty"`
}

// Begin is when the clock of a run on an estate begins.
func (e *Estate) Begin() time.Time {
	if e == nil || e.SavedAt.Before(Epoch) {
		return Epoch
	}
	return e.SavedAt
}

// Run runs one payload in a fresh lab, from start to end.
func Run(o Options) (Result, error) {
	clock := o.Clock
	if clock == nil {
		clock = NewClock(o.Estate.Begin())
	}
	a := NewAccount(o.Estate.Clone(), clock, o.Seed, o.Faults)
	region := o.Region
	if region == "" {
		region = a.Estate.Recovery
	}
	a.policies = o.Policies
	for resource, owner := range o.Locks {
		a.items[region+"/"+lockTable+"/"+resource] = map[string]any{
			"resource": map[string]any{"S": resource}, "owner": map[string]any{"S": owner}, "since": map[string]any{"S": Epoch.Format(time.RFC3339)},
		}
	}
	if o.Binaries != "" {
		stop, err := a.useBinaries(o.Binaries)
		if err != nil {
			return Result{}, err
		}
		defer stop()
	}
	var caller *caller
	if o.Caller != "" {
		var err error
		if caller, err = a.newCaller(o.Caller); err != nil {
			return Result{}, err
		}
		defer caller.close()
	}
	follow := newFollower(o.Progress)
	a.runs.observe = func(e asl.Event) {
		follow.see(e)
		if o.Trace != nil {
			o.Trace(e)
		}
	}
	var out Result
	var err error
	clock.Run(func() {
		var e *Execution
		if e, err = a.runs.start(region, MachineName(o.Machine), "run-"+a.id()[:8], o.Payload); err != nil {
			return
		}
		if caller != nil {
			clock.Go(caller.run)
		}
		if o.StopAfter > 0 {
			clock.Go(func() {
				clock.Sleep(o.StopAfter)
				if e.Running() {
					a.runs.stop(e, "", "the lab was told to")
				}
			})
		}
		if o.Answer != nil {
			clock.Go(func() { a.runs.answerAll(e, o.Answer) })
		}
		e.ended.Wait(0)
		if e.Result.Status != asl.StatusSucceeded && e.Result.Status != asl.StatusFailed {
			e.closed.Wait(0)
		}
		if out, err = a.result(e); caller != nil {
			clock.Sleep(callerStays)
			out.Caller = caller.seen()
		}
	})
	out.Faults = o.Faults.String()
	return out, err
}

// result puts the result of an execution together. The report that the run
// wrote counts; where it could not be written, it is built from what the steps
// left, by the same code.
func (a *Account) result(e *Execution) (Result, error) {
	out := Result{
		Cause: e.Result.Cause, DurationSeconds: rounded(e.Ended.Sub(e.Started).Seconds()), Unfired: a.faults.unfired(), Transitions: a.runs.transitions,
		APICalls: a.Calls, Mutations: a.Mutations(), Problems: []payload.Problem{}, Layers: []ResultLayer{}, Final: a.Snapshot(), Begun: a.history, Log: a.log, Used: a.used, Invoked: a.invoked,
	}
	for _, event := range e.Events {
		if event.Kind == asl.StateEntered && event.Execution.ARN == e.ARN {
			out.Path = append(out.Path, event.State)
		}
	}
	out.Outcome, out.Unclosed = outcome(e.Result, out.Path), e.unclosed
	var output struct{ Cause, Undelivered string }
	if e.Result.Output != nil {
		if err := json.Unmarshal(e.Result.Output, &output); err != nil {
			return out, err
		}
		out.Cause, out.Undelivered = output.Cause, output.Undelivered
	}
	record, err := a.record(e, out)
	if err != nil {
		return out, err
	}
	out.Record, out.Mode = record, record.Mode
	if e.Result.Status == asl.StatusAborted && record.Outcome != "" {
		out.Outcome = record.Outcome // only who looked at what was under way knows
		out.Cause = record.Cause
	}
	out.Problems = append(out.Problems, record.Problems...)
	for _, layer := range record.Layers {
		l := ResultLayer{Layer: layer.Layer}
		for _, x := range layer.Resources {
			l.Resources = append(l.Resources, ResultResource{
				ResourceType: x.ResourceType, ResourceName: x.ResourceName, Status: x.Status, Changed: x.Changed, DurationSeconds: rounded(x.DurationSeconds),
				AWSSeconds: rounded(a.awsSeconds(e.Name, x.Index)), Polls: x.Polls, LagSeconds: x.LagSeconds, Error: x.Error,
				Verdict: x.Verdict, Findings: x.Findings,
			})
		}
		out.Layers = append(out.Layers, l)
	}
	return out, nil
}

func (a *Account) record(e *Execution, out Result) (report.Record, error) {
	var record report.Record
	if body, ok := a.Object(a.Bucket(e.Region), run.ReportKey(e.ARN, e.Started)); ok {
		err := json.Unmarshal(body, &record)
		return record, err
	}
	in := run.ReportInput{}
	for _, event := range e.Events {
		if event.Kind == asl.TaskScheduled && event.State == "RecordReport" {
			var asked struct{ Payload run.ReportInput }
			if err := json.Unmarshal(event.Input, &asked); err != nil {
				return record, err
			}
			in = asked.Payload
		}
	}
	in.Outcome, in.Cause = out.Outcome, out.Cause
	in.Execution.ID, in.Execution.Name, in.Execution.StartTime = e.ARN, e.Name, e.Started
	return run.Store{S3: directObjects{a}, Bucket: a.Bucket(e.Region)}.Build(context.Background(), in, e.Ended)
}

// outcome reads the end of an execution. One that Step Functions itself ended
// is clean only where no layer was begun.
func outcome(r asl.Result, path []string) report.Outcome {
	if r.Status == asl.StatusSucceeded {
		return report.Succeeded
	}
	switch o := report.Outcome(r.Error); o {
	case report.Refused, report.FailedClean:
		return o
	}
	if !slices.Contains(path, "RunLayer") {
		return report.FailedClean
	}
	return report.FailedDirty
}

// rounded keeps what a clock can tell: milliseconds.
func rounded(seconds float64) float64 { return math.Round(seconds*1000) / 1000 }

// awsSeconds is how long the operations took that were begun on behalf of a
// resource; one that did not end counts until now.
func (a *Account) awsSeconds(run string, index int) float64 {
	total := 0.0
	for _, op := range a.history {
		if op.Owner != ownerName(run, index) {
			continue
		}
		if op.finished {
			total += op.Seconds
		} else {
			total += a.clock.Now().Sub(op.started).Seconds()
		}
	}
	return total
}

// directObjects reads the account's objects without a call being made.
type directObjects struct{ account *Account }

func (d directObjects) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	body, ok := d.account.Object(aws.ToString(in.Bucket), aws.ToString(in.Key))
	if !ok {
		return nil, &types.NoSuchKey{}
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(bytes.NewReader(body))}, nil
}

func (d directObjects) PutObject(_ context.Context, in *s3.PutObjectInput, _ ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	body, err := io.ReadAll(in.Body)
	if err != nil {
		return nil, err
	}
	d.account.PutObject(aws.ToString(in.Bucket), aws.ToString(in.Key), body)
	return &s3.PutObjectOutput{}, nil
}
