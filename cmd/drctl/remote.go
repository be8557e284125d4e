package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/guard"
	"dr-orchestrator/internal/payload"
	"dr-orchestrator/internal/report"
	"dr-orchestrator/internal/run"
)

// executions is every call to Step Functions that the commands make.
type executions interface {
	StartExecution(context.Context, *sfn.StartExecutionInput, ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error)
	DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error)
	StopExecution(context.Context, *sfn.StopExecutionInput, ...func(*sfn.Options)) (*sfn.StopExecutionOutput, error)
	history
}

// history tells what an execution has done.
type history interface {
	GetExecutionHistory(context.Context, *sfn.GetExecutionHistoryInput, ...func(*sfn.Options)) (*sfn.GetExecutionHistoryOutput, error)
}

// reports is where the reports of runs stand.
type reports interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

// callers tells who is asking.
type callers interface {
	GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput, ...func(*sts.Options)) (*sts.GetCallerIdentityOutput, error)
}

// clock is where waiting takes its time from.
type clock interface {
	Now() time.Time
	// Sleep returns after d, or with an error as soon as ctx is cancelled.
	Sleep(ctx context.Context, d time.Duration) error
}

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

func (wallClock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// remoteFlags say where AWS is.
type remoteFlags struct {
	Region   string `help:"Region of the run: the one that takes over. By default that of the AWS configuration, or of the ARN."`
	Endpoint string `help:"Where AWS answers, for example drctl lab serve; by default AWS_ENDPOINT_URL, or AWS itself." placeholder:"URL"`
}

// remote is AWS, or a lab, as a command sees it.
type remote struct {
	region     string
	executions executions
	lists      lists
	mapRuns    run.Executions
	tokens     tokens
	reports    reports
	callers    callers
	table      guard.Table
	clock      clock
	flags      string // to be given again to a command that goes on from here
}

// memory is what a person leaves for the guard of a deployment.
func (f remoteFlags) memory(r *remote, name string) guard.Memory {
	return guard.Memory{Table: r.table, Name: name + "-locks"}
}

// interruptible ends when the operator gives up waiting.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

// connect makes the clients of a region; empty means that of the flags, or of
// the AWS configuration.
func (f remoteFlags) connect(ctx context.Context, region string, c clock) (*remote, error) {
	if region == "" {
		region = f.Region
	}
	options := []func(*config.LoadOptions) error{config.WithHTTPClient(client.HTTPClient())}
	if region != "" {
		options = append(options, config.WithRegion(region))
	}
	r := &remote{clock: c}
	if f.Endpoint != "" {
		at, err := url.Parse(f.Endpoint)
		if err != nil || (at.Scheme != "http" && at.Scheme != "https") || at.Host == "" {
			return nil, wrongInput("--endpoint %s is no URL such as http://127.0.0.1:4599", f.Endpoint)
		}
		options = append(options, config.WithBaseEndpoint(f.Endpoint))
		r.flags = " --endpoint " + f.Endpoint
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, environment("loading the AWS configuration: %w", err)
	}
	if r.region = cfg.Region; r.region == "" {
		return nil, environment("no AWS region is set: give --region, the region that takes over")
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, environment("no AWS credentials (a lab takes any: AWS_ACCESS_KEY_ID=lab AWS_SECRET_ACCESS_KEY=lab): %w", err)
	}
	machines := sfn.NewFromConfig(cfg)
	r.executions, r.lists, r.mapRuns, r.tokens, r.callers = machines, machines, machines, machines, sts.NewFromConfig(cfg)
	r.table = dynamodb.NewFromConfig(cfg)
	r.reports = s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = cfg.BaseEndpoint != nil
		o.DisableLogOutputChecksumValidationSkipped = true
	})
	return r, nil
}

// execution is the ARN of an execution, read strictly.
type execution struct{ arn, region string }

// The characters that the name of an execution may not have stand in the API
// reference of StartExecution.
var executionForm = regexp.MustCompile(`^arn:aws[a-z-]*:states:([a-z]{2,}(?:-[a-z]+)+-\d+):\d{12}:execution:[0-9A-Za-z_-]{1,80}:[^\s<>{}\[\]?*"#%\\^|~$&,;:/\x00-\x1f\x7f]{1,80}$`)

func parseExecution(text string) (execution, error) {
	form := executionForm.FindStringSubmatch(text)
	if form != nil {
		return execution{text, form[1]}, nil
	}
	const right = "arn:aws:states:REGION:ACCOUNT:execution:MACHINE:NAME, as drctl start prints it"
	switch {
	case strings.Contains(text, ":stateMachine:"):
		return execution{}, wrongInput("%s is a state machine, not an execution of it: give %s", text, right)
	case strings.Contains(text, ":mapRun:"), strings.Contains(text, ":execution:") && strings.Contains(text, "/"):
		return execution{}, wrongInput("%s is a part of a run, not the run itself: give %s", text, right)
	}
	return execution{}, wrongInput("%q is not the ARN of an execution: give %s", text, right)
}

// connectTo makes the clients for an execution, in the region of its ARN.
func (f remoteFlags) connectTo(ctx context.Context, text string, c clock) (*remote, execution, error) {
	e, err := parseExecution(text)
	if err != nil {
		return nil, e, err
	}
	if f.Region != "" && f.Region != e.region {
		return nil, e, wrongInput("--region %s: the execution is in %s", f.Region, e.region)
	}
	r, err := f.connect(ctx, e.region, c)
	return r, e, err
}

// told gives an error of AWS its exit code.
func told(what string, err error) error {
	var exists *types.ExecutionAlreadyExists
	var none *types.ExecutionDoesNotExist
	var machine *types.StateMachineDoesNotExist
	switch {
	case errors.As(err, &none):
		return wrongInput("%s: there is no such execution, or AWS has forgotten it, 90 days after its end. drctl list shows the last ones", what)
	case errors.As(err, &exists):
		return wrongInput("%s: an execution of this name already exists. Give another --execution-name", what)
	case errors.As(err, &machine):
		return environment("%s: nothing is deployed under this name, see --name, --machine and --region: %w", what, err)
	case errors.Is(err, context.Canceled):
		return environment("%s: interrupted", what)
	}
	return environment("%s: %w", what, err)
}

// caller is who gives the commands.
func (r *remote) caller(ctx context.Context) (arn.ARN, error) {
	out, err := r.callers.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return arn.ARN{}, told("asking AWS who the caller is", err)
	}
	who, err := arn.Parse(aws.ToString(out.Arn))
	if err != nil {
		return who, environment("AWS says that the caller is %q: %w", aws.ToString(out.Arn), err)
	}
	return who, nil
}

// alias is what executions are started by: the version deployed last.
const alias = ":live"

// machineFlags say which state machine of which deployment.
type machineFlags struct {
	Machine string `default:"failover" enum:"failover,failback" help:"The machine: failover or failback."`
	Name    string `default:"dr-orchestrator" help:"Prefix of the deployment."`
}

func (f machineFlags) arn(ctx context.Context, r *remote) (string, error) {
	machine, err := f.unaliased(ctx, r)
	return machine + alias, err
}

// unaliased is the machine itself, which executions are listed of.
func (f machineFlags) unaliased(ctx context.Context, r *remote) (string, error) {
	who, err := r.caller(ctx)
	if err != nil {
		return "", err
	}
	return arn.ARN{Partition: who.Partition, Service: "states", Region: r.region, AccountID: who.AccountID,
		Resource: "stateMachine:" + f.Name + "-" + f.Machine}.String(), nil
}

// readPayload reads a payload and checks all that can be checked here. What is
// wrong with it is told as drctl validate tells it.
func readPayload(path, machine string, s streams, asJSON bool) ([]byte, error) {
	data, err := readFile(path, s)
	if err != nil {
		return nil, err
	}
	if _, problems := checked(path, data, machine); len(problems) > 0 {
		if asJSON {
			if err := tellValidity(s, problems); err != nil {
				return nil, err
			}
		}
		return nil, invalid(path, data, machine, problems)
	}
	if err := tooLarge(path, data); err != nil {
		return nil, wrongInput("%w. Store it, and start it with drctl start --stored NAME", err)
	}
	return data, nil
}

// maxInput is what an execution is started with at most: the limit of Step
// Functions, less the room that the first state needs around it.
const (
	maxInput   = maxStarted - roomAround
	maxStarted = 262_144
	roomAround = 1_024
)

// tooLarge refuses what no execution can be started with.
func tooLarge(path string, data []byte) error {
	if len(data) <= maxInput {
		return nil
	}
	return fmt.Errorf("%s has %d bytes, and a run can be given %d: the %d of Step Functions less %d that its first state adds", path, len(data), maxInput, maxStarted, roomAround)
}

var nameForm = regexp.MustCompile(`^[0-9A-Za-z_-]{1,80}$`)

// executionName gives an execution a name that says what it is and when it
// began. With its name a start that is sent twice begins one run.
func executionName(given, kind string, now time.Time) (string, error) {
	if given == "" {
		return kind + "-" + strings.Replace(now.UTC().Format("20060102T150405.000Z"), ".", "-", 1), nil
	}
	if !nameForm.MatchString(given) {
		return "", wrongInput("--execution-name %q: at most 80 letters, digits, - and _", given)
	}
	if strings.HasPrefix(given, run.ReadinessPrefix) {
		return "", wrongInput("--execution-name %q: names that begin with %s are for the checks of stored payloads", given, run.ReadinessPrefix)
	}
	return given, nil
}

func (r *remote) start(ctx context.Context, machine, name, input string) (string, error) {
	out, err := r.executions.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: &machine, Name: &name, Input: &input})
	if err != nil {
		return "", told("starting "+machine, err)
	}
	return aws.ToString(out.ExecutionArn), nil
}

func (r *remote) describe(ctx context.Context, arn string) (*sfn.DescribeExecutionOutput, error) {
	out, err := r.executions.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	if err != nil {
		return nil, told("looking at "+arn, err)
	}
	return out, nil
}

// pollEvery is how often an execution is looked at while somebody waits for
// its end, and patience how many looks in a row may fail.
const (
	pollEvery = 2 * time.Second
	patience  = 10
)

// ended waits for the end of an execution. That the wait fails does not end
// the execution.
func (r *remote) ended(ctx context.Context, arn string) (*sfn.DescribeExecutionOutput, error) {
	missed := 0
	for {
		out, err := r.describe(ctx, arn)
		switch {
		case err == nil && !running(out.Status):
			return out, nil
		case err == nil:
			missed = 0
		default:
			missed++
		}
		if err == nil || missed <= patience {
			err = r.clock.Sleep(ctx, pollEvery)
		}
		if err != nil {
			if ctx.Err() != nil {
				err = errors.New("interrupted")
			}
			return nil, environment("no longer waiting (%w); the run itself goes on\n%s", err, r.next(arn, false))
		}
	}
}

func running(s types.ExecutionStatus) bool {
	return s == types.ExecutionStatusRunning || s == types.ExecutionStatusPendingRedrive
}

// next tells what can be done about an execution that runs.
func (r *remote) next(arn string, approval bool) string {
	text := fmt.Sprintf("Watch it:    drctl watch %s%s\nStop it:     drctl stop %s%s\n", arn, r.flags, arn, r.flags)
	if approval {
		approve, decline := r.answers(arn)
		text += "Approve it:  " + approve + "\nDecline it:  " + decline + "\n"
	}
	return text
}

// answers gives the commands that answer an execution that waits for it.
func (r *remote) answers(arn string) (approve, decline string) {
	return "drctl approve " + arn + r.flags, "drctl decline " + arn + r.flags + " --reason TEXT"
}

// trace is what the history of an execution tells beside its report.
type trace struct {
	bucket    string    // of the run's documents; empty: it came to write none
	startedAt time.Time // as the run itself knows it: part of the report's key
	layers    int       // begun
	last      string    // state entered last
}

// The states of the definition that the history is searched for.
const (
	statePrepare = "PrepareRun"
	stateLayer   = "RunLayer"
)

// follow reads the history of an execution from its start.
func follow(ctx context.Context, h history, arn string) (trace, error) {
	var t trace
	pages := sfn.NewGetExecutionHistoryPaginator(h, &sfn.GetExecutionHistoryInput{ExecutionArn: &arn, MaxResults: 200})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return t, told("reading the history of "+arn, err)
		}
		for _, e := range page.Events {
			if entered := e.StateEnteredEventDetails; entered != nil {
				if t.last = aws.ToString(entered.Name); t.last == stateLayer {
					t.layers++
				}
			}
			if done := e.TaskSucceededEventDetails; done != nil && t.last == statePrepare {
				var answer struct{ Payload run.Prepared }
				if err := json.Unmarshal([]byte(aws.ToString(done.Output)), &answer); err != nil {
					return t, environment("the answer of %s: %w", statePrepare, err)
				}
				t.bucket, t.startedAt = answer.Payload.Preflight.Bucket, answer.Payload.Run.StartedAt
			}
		}
	}
	return t, nil
}

// ending is how a run ended, and its report if there is one.
type ending struct {
	execution *sfn.DescribeExecutionOutput
	trace     trace
	at        run.Location
	record    *report.Record // nil: there is none
	rebuilt   bool           // it was put together here
	missing   string         // why not
	lost      string         // what of the end was told to nobody
}

// read finds out how a run ended.
func (r *remote) read(ctx context.Context, d *sfn.DescribeExecutionOutput) (ending, error) {
	e := ending{execution: d}
	id := aws.ToString(d.ExecutionArn)
	var output struct {
		Report      run.Location
		Undelivered string
	}
	if d.Output != nil {
		if err := json.Unmarshal([]byte(*d.Output), &output); err != nil {
			return e, environment("the output of %s: %w", id, err)
		}
		e.at, e.lost = output.Report, output.Undelivered
	}
	if e.at.Bucket == "" {
		var err error
		if e.trace, err = follow(ctx, r.executions, id); err != nil {
			return e, err
		}
		if e.trace.bucket == "" {
			e.missing = "the run ended before it could write a report"
			return e, nil
		}
		e.at = run.Location{Bucket: e.trace.bucket, Key: run.ReportKey(id, e.trace.startedAt)}
	}
	e.fetch(ctx, r.reports)
	return e, nil
}

// fetch reads the report, which may not be there yet.
func (e *ending) fetch(ctx context.Context, from reports) {
	where := "s3://" + e.at.Bucket + "/" + e.at.Key
	out, err := from.GetObject(ctx, &s3.GetObjectInput{Bucket: &e.at.Bucket, Key: &e.at.Key})
	var none *s3types.NoSuchKey
	switch {
	case errors.As(err, &none):
		e.missing = "no report was written to " + where
		return
	case err != nil:
		e.missing = "the report " + where + " could not be read: " + err.Error()
		return
	}
	defer out.Body.Close()
	var record report.Record
	if err := json.NewDecoder(out.Body).Decode(&record); err != nil {
		e.missing = "the report " + where + " could not be read: " + err.Error()
		return
	}
	e.record, e.missing = &record, ""
}

// declared is the end that a run itself says it came to; empty: it says none.
func declared(d *sfn.DescribeExecutionOutput) report.Outcome {
	if d.Status == types.ExecutionStatusSucceeded {
		return report.Succeeded
	}
	switch o := report.Outcome(aws.ToString(d.Error)); o {
	case report.Refused, report.FailedClean, report.FailedDirty:
		return o
	}
	return ""
}

// outcome is the end of the run. One that Step Functions itself ended has it in
// its report; without one it is clean only where no layer was begun.
func (e ending) outcome() report.Outcome {
	o := declared(e.execution)
	switch {
	case o != "":
		return o
	case e.record != nil:
		return e.record.Outcome
	case e.trace.layers == 0:
		return report.FailedClean
	}
	return report.FailedDirty
}

// summary is the report, or what is known without one.
func (e ending) summary() report.Record {
	if e.record != nil {
		return *e.record
	}
	d := e.execution
	record := report.Record{Version: 1, Outcome: e.outcome(), StartedAt: aws.ToTime(d.StartDate), EndedAt: aws.ToTime(d.StopDate), Layers: []report.Layer{}, Problems: []payload.Problem{}}
	record.Run.ID, record.Run.Execution, record.Run.StartedAt = aws.ToString(d.Name), aws.ToString(d.ExecutionArn), record.StartedAt
	if id, err := parseExecution(record.Run.Execution); err == nil {
		record.Run.Region = id.region
	}
	record.DurationSeconds = record.EndedAt.Sub(record.StartedAt).Seconds()
	if d.Status != types.ExecutionStatusSucceeded {
		record.Cause = strings.TrimSuffix(aws.ToString(d.Error)+": "+aws.ToString(d.Cause), ": ")
		if d.Error == nil {
			record.Cause = strings.TrimSuffix("the execution is "+string(d.Status)+": "+aws.ToString(d.Cause), ": ")
		}
	}
	return record
}

// print tells how a run ended, to a person or as one JSON object.
func (e ending) print(out, errs io.Writer, asJSON bool) error {
	record := e.summary()
	for _, trouble := range []string{e.missing, e.lost} {
		if trouble != "" {
			fmt.Fprintln(errs, "drctl:", report.Printable(trouble))
		}
	}
	if asJSON {
		if err := json.NewEncoder(out).Encode(record); err != nil {
			return environment("%w", err)
		}
		return nil
	}
	printRecord(out, record)
	if e.record != nil && !e.rebuilt {
		fmt.Fprintf(out, "\nReport: s3://%s/%s\n", e.at.Bucket, e.at.Key)
	}
	return nil
}

// finish waits for the end of an execution and tells of it. The exit code is
// that of the run.
func (r *remote) finish(ctx context.Context, arn string, s streams, asJSON bool) error {
	d, err := r.ended(ctx, arn)
	if err != nil {
		return err
	}
	e, err := r.read(ctx, d)
	if err != nil {
		return err
	}
	if err := e.print(s.out, s.err, asJSON); err != nil {
		return err
	}
	if o := e.outcome(); o != report.Succeeded {
		return &failure{code: exitRun, err: fmt.Errorf("the run ended %s", o), silent: true}
	}
	return nil
}
