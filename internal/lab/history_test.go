package lab

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/asl"
)

// asking is a machine that has a function called with a token, and waits for
// the answer as long as its input says.
const asking = `{"QueryLanguage":"JSONata","StartAt":"Ask","States":{"Ask":{"Type":"Task","End":true,
	"Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","TimeoutSeconds":"{% $states.input.seconds %}",
	"Arguments":{"FunctionName":"ask","Payload":{"token":"{% $states.context.Task.Token %}"}}}}}`

// silent is a function that takes everything and answers null.
type silent struct{}

func (silent) Invoke(context.Context, []byte) ([]byte, error) { return []byte("null"), nil }

const machineARN = "arn:aws:states:us-west-2:111122223333:stateMachine:"

// operator is somebody who uses Step Functions from outside.
type operator struct {
	*sfn.Client
	t *testing.T
}

func newOperator(t *testing.T, estate *Estate) operator {
	t.Helper()
	account := NewAccount(estate, NewWallClock(Epoch, 200), 1, nil)
	if err := account.Define("asking", asking); err != nil {
		t.Fatal(err)
	}
	account.DefineFunction("ask", silent{})
	return operator{sfn.NewFromConfig(servedAccount(t, account)("us-west-2")), t}
}

func (o operator) start(machine, input string) *string {
	o.t.Helper()
	out, err := o.StartExecution(context.Background(), &sfn.StartExecutionInput{StateMachineArn: aws.String(machineARN + machine), Input: &input})
	if err != nil {
		o.t.Fatal(err)
	}
	return out.ExecutionArn
}

func (o operator) describe(arn *string) *sfn.DescribeExecutionOutput {
	o.t.Helper()
	out, err := o.DescribeExecution(context.Background(), &sfn.DescribeExecutionInput{ExecutionArn: arn})
	if err != nil {
		o.t.Fatal(err)
	}
	return out
}

func (o operator) history(arn *string) []sfntypes.HistoryEvent {
	o.t.Helper()
	out, err := o.GetExecutionHistory(context.Background(), &sfn.GetExecutionHistoryInput{ExecutionArn: arn, MaxResults: 1000})
	if err != nil {
		o.t.Fatal(err)
	}
	return out.Events
}

// until asks again and again, for real time is short here.
func (o operator) until(what string, ok func() bool) {
	o.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			o.t.Fatal("never came to pass: " + what)
		}
	}
}

// ended gives an execution after its end.
func (o operator) ended(arn *string) *sfn.DescribeExecutionOutput {
	o.t.Helper()
	o.until("the end", func() bool { return o.describe(arn).Status != sfntypes.ExecutionStatusRunning })
	return o.describe(arn)
}

// token gives the token that an execution waits for.
func (o operator) token(arn *string) *string {
	o.t.Helper()
	var token string
	o.until("a token", func() bool {
		events := o.history(arn)
		if !slices.Contains(kindsOf(events), "TaskSubmitted") {
			return false
		}
		var parameters struct{ Payload struct{ Token string } }
		for _, e := range events {
			if d := e.TaskScheduledEventDetails; d != nil {
				if aws.ToString(d.Resource) != "invoke.waitForTaskToken" || aws.ToString(d.ResourceType) != "lambda" || aws.ToString(d.Region) != "us-west-2" {
					o.t.Errorf("scheduled: %+v", d)
				}
				if err := json.Unmarshal([]byte(aws.ToString(d.Parameters)), &parameters); err != nil {
					o.t.Fatal(err)
				}
				token = parameters.Payload.Token
			}
		}
		return true
	})
	return &token
}

func kindsOf(events []sfntypes.HistoryEvent) []string {
	var all []string
	for _, e := range events {
		all = append(all, string(e.Type))
	}
	return all
}

func TestTaskTokens(t *testing.T) {
	o := newOperator(t, DefaultEstate())
	ctx := context.Background()
	succeed := func(token *string) error {
		_, err := o.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: token, Output: aws.String(`{"decision":"approved"}`)})
		return err
	}
	var closed *sfntypes.TaskTimedOut
	const begins = "ExecutionStarted TaskStateEntered TaskScheduled TaskStarted TaskSubmitted "

	t.Run("success", func(t *testing.T) {
		o := operator{o.Client, t}
		arn := o.start("asking", `{"seconds":86400}`)
		token := o.token(arn)
		if _, err := o.SendTaskHeartbeat(ctx, &sfn.SendTaskHeartbeatInput{TaskToken: token}); err != nil {
			t.Error(err)
		}
		var invalid *sfntypes.InvalidOutput
		if _, err := o.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: token, Output: aws.String(`{`)}); !errors.As(err, &invalid) {
			t.Errorf("no JSON: %v", err)
		}
		if err := succeed(token); err != nil {
			t.Fatal(err)
		}
		if err := succeed(token); !errors.As(err, &closed) {
			t.Errorf("a second answer: %v", err)
		}
		if _, err := o.SendTaskHeartbeat(ctx, &sfn.SendTaskHeartbeatInput{TaskToken: token}); !errors.As(err, &closed) {
			t.Errorf("a heartbeat after the answer: %v", err)
		}
		if d := o.ended(arn); aws.ToString(d.Output) != `{"decision":"approved"}` {
			t.Errorf("%s %s", d.Status, aws.ToString(d.Output))
		}
		events := o.history(arn)
		if diff := cmp.Diff(begins+"TaskSucceeded TaskStateExited ExecutionSucceeded", strings.Join(kindsOf(events), " ")); diff != "" {
			t.Error(diff)
		}
		if d := events[5].TaskSucceededEventDetails; aws.ToString(d.Output) != `{"decision":"approved"}` || events[5].PreviousEventId != events[4].Id {
			t.Errorf("%+v", d)
		}
	})
	t.Run("failure", func(t *testing.T) {
		o := operator{o.Client, t}
		arn := o.start("asking", `{"seconds":86400}`)
		if _, err := o.SendTaskFailure(ctx, &sfn.SendTaskFailureInput{TaskToken: o.token(arn), Error: aws.String("Declined"), Cause: aws.String("not today")}); err != nil {
			t.Fatal(err)
		}
		if d := o.ended(arn); d.Status != sfntypes.ExecutionStatusFailed || aws.ToString(d.Error) != "Declined" || aws.ToString(d.Cause) != "not today" {
			t.Errorf("%s %s %s", d.Status, aws.ToString(d.Error), aws.ToString(d.Cause))
		}
	})
	t.Run("timeout", func(t *testing.T) {
		o := operator{o.Client, t}
		arn := o.start("asking", `{"seconds":90}`)
		token := o.token(arn)
		d := o.ended(arn)
		if took := d.StopDate.Sub(*d.StartDate).Round(time.Second); d.Status != sfntypes.ExecutionStatusFailed || aws.ToString(d.Error) != "States.Timeout" || took < 90*time.Second || took > 100*time.Second {
			t.Errorf("%s %s after %v", d.Status, aws.ToString(d.Error), took)
		}
		if err := succeed(token); !errors.As(err, &closed) {
			t.Errorf("an answer that is late: %v", err)
		}
		if diff := cmp.Diff(begins+"TaskTimedOut ExecutionFailed", strings.Join(kindsOf(o.history(arn)), " ")); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("stopped", func(t *testing.T) {
		o := operator{o.Client, t}
		arn := o.start("asking", `{"seconds":86400}`)
		token := o.token(arn)
		if _, err := o.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: arn}); err != nil {
			t.Fatal(err)
		}
		if err := succeed(token); !errors.As(err, &closed) {
			t.Errorf("an answer after the stop: %v", err)
		}
	})
	t.Run("other tokens", func(t *testing.T) {
		var invalid *sfntypes.InvalidToken
		if err := succeed(aws.String("nonsense")); !errors.As(err, &invalid) {
			t.Errorf("nonsense: %v", err)
		}
		var missing *sfntypes.TaskDoesNotExist
		if err := succeed(aws.String("00000000-0000-4000-8000-000000000000")); !errors.As(err, &missing) {
			t.Errorf("of nobody: %v", err)
		}
	})
}

// A stop ends the execution and the children of its maps at once; what is told
// of them does not change any more.
func TestStopExecution(t *testing.T) {
	o := newOperator(t, slowed(7200))
	ctx := context.Background()
	input := string(sample(t, "failover-three-databases.json"))
	arn := o.start("dr-orchestrator-failover:live", input)
	children := func() []sfntypes.ExecutionListItem {
		runs, err := o.ListMapRuns(ctx, &sfn.ListMapRunsInput{ExecutionArn: arn})
		if err != nil {
			t.Fatal(err)
		}
		if len(runs.MapRuns) < 2 || !strings.HasPrefix(aws.ToString(runs.MapRuns[0].MapRunArn), "arn:aws:states:us-west-2:111122223333:mapRun:dr-orchestrator-failover/Layers:") {
			return nil
		}
		if got := aws.ToString(runs.MapRuns[0].StateMachineArn); got != machineARN+"dr-orchestrator-failover/Layers" {
			t.Errorf("machine of a map run: %s", got)
		}
		list, err := o.ListExecutions(ctx, &sfn.ListExecutionsInput{MapRunArn: runs.MapRuns[0].MapRunArn})
		if err != nil {
			t.Fatal(err)
		}
		return list.Executions
	}
	o.until("three children", func() bool { return len(children()) == 3 })
	running, err := o.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: aws.String(machineARN + "dr-orchestrator-failover:live"), StatusFilter: sfntypes.ExecutionStatusRunning})
	if err != nil || len(running.Executions) != 1 || aws.ToString(running.Executions[0].ExecutionArn) != *arn {
		t.Errorf("running: %+v, %v", running, err)
	}
	stopped, err := o.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: arn, Error: aws.String("Stopped"), Cause: aws.String("a drill")})
	if err != nil {
		t.Fatal(err)
	}
	d := o.describe(arn)
	if d.Status != sfntypes.ExecutionStatusAborted || aws.ToString(d.Error) != "Stopped" || aws.ToString(d.Cause) != "a drill" || !d.StopDate.Equal(*stopped.StopDate) {
		t.Errorf("%s %s %s %v", d.Status, aws.ToString(d.Error), aws.ToString(d.Cause), d.StopDate)
	}
	if aws.ToString(d.Input) != input || aws.ToString(d.StateMachineArn) != machineARN+"dr-orchestrator-failover" || aws.ToString(d.StateMachineAliasArn) != machineARN+"dr-orchestrator-failover:live" {
		t.Errorf("%s %s", aws.ToString(d.StateMachineArn), aws.ToString(d.StateMachineAliasArn))
	}
	for _, child := range children() {
		if child.Status != sfntypes.ExecutionStatusAborted || child.StopDate == nil {
			t.Errorf("a child is %s", child.Status)
		}
		if got := o.describe(child.ExecutionArn); aws.ToString(got.MapRunArn) == "" || !strings.Contains(aws.ToString(got.Input), "resourceType") {
			t.Errorf("child: %+v", got)
		}
	}
	events := o.history(arn)
	last := events[len(events)-1]
	if last.Type != sfntypes.HistoryEventTypeExecutionAborted || aws.ToString(last.ExecutionAbortedEventDetails.Cause) != "a drill" {
		t.Errorf("%s", last.Type)
	}
	again, err := o.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: arn, Cause: aws.String("again")})
	if err != nil || !again.StopDate.Equal(*stopped.StopDate) || aws.ToString(o.describe(arn).Cause) != "a drill" {
		t.Errorf("a second stop: %+v, %v", again, err)
	}
	// The same payload carries on; of the execution that was stopped nothing
	// more is told.
	next := o.start("dr-orchestrator-failover:live", input)
	o.until("the next run drives its resources", func() bool {
		return slices.ContainsFunc(o.history(next), func(e sfntypes.HistoryEvent) bool {
			return e.StateEnteredEventDetails != nil && aws.ToString(e.StateEnteredEventDetails.Name) == "RunLayer"
		})
	})
	if now := o.history(arn); len(now) != len(events) {
		t.Errorf("%d events after the stop", len(now)-len(events))
	}
}

// slow is a function that takes a second.
type slow struct {
	clock *Clock
	done  *bool
}

func (s slow) Invoke(context.Context, []byte) ([]byte, error) {
	s.clock.Sleep(time.Second)
	*s.done = true
	return []byte("null"), nil
}

func TestAStopLetsTheFunctionFinish(t *testing.T) {
	account := NewAccount(DefaultEstate(), NewClock(Epoch), 1, nil)
	if err := account.Define("asking", asking); err != nil {
		t.Fatal(err)
	}
	done := false
	account.DefineFunction("ask", slow{account.clock, &done})
	account.clock.Run(func() {
		e, err := account.runs.start("us-west-2", "asking", "", json.RawMessage(`{"seconds":60}`))
		if err != nil {
			t.Error(err)
			return
		}
		account.clock.Sleep(500 * time.Millisecond)
		account.runs.stop(e, "Stopped", "a drill")
		events := len(e.Events)
		if e.Running() || done || e.Events[events-1].Kind != asl.ExecutionAborted {
			t.Errorf("running: %v, function done: %v, events: %v", e.Running(), done, e.Events)
		}
		account.clock.Sleep(time.Minute)
		if !done || len(e.Events) != events || e.Result.Error != "Stopped" {
			t.Errorf("function done: %v, %d events more, error %s", done, len(e.Events)-events, e.Result.Error)
		}
	})
}

func TestHistoryComesInPages(t *testing.T) {
	o := newOperator(t, DefaultEstate())
	ctx := context.Background()
	arn := o.start("dr-orchestrator-failover", string(planned(t, "failover-three-databases.json")))
	o.ended(arn)
	all := o.history(arn)
	if in := all[0].ExecutionStartedEventDetails; !strings.Contains(aws.ToString(in.Input), "StatePayload") {
		t.Errorf("started: %+v", in)
	}
	for _, newest := range []bool{false, true} {
		var ids []int64
		pages := sfn.NewGetExecutionHistoryPaginator(o, &sfn.GetExecutionHistoryInput{ExecutionArn: arn, MaxResults: 3, ReverseOrder: newest, IncludeExecutionData: aws.Bool(false)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Events {
				ids = append(ids, e.Id)
				if d := e.ExecutionStartedEventDetails; d != nil && d.Input != nil {
					t.Error("the input is told though no data was wanted")
				}
			}
		}
		if newest {
			slices.Reverse(ids)
		}
		if len(ids) != len(all) || !slices.IsSorted(ids) || ids[0] != 1 {
			t.Errorf("newest first %v: %d of %d events: %v", newest, len(ids), len(all), ids)
		}
	}
	var invalid *sfntypes.InvalidToken
	if _, err := o.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: arn, NextToken: aws.String("x")}); !errors.As(err, &invalid) {
		t.Errorf("a wrong page: %v", err)
	}
}

func TestExecutionsThatAreNot(t *testing.T) {
	o := newOperator(t, DefaultEstate())
	ctx := context.Background()
	var arn *sfntypes.InvalidArn
	if _, err := o.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: aws.String("nonsense")}); !errors.As(err, &arn) {
		t.Errorf("nonsense: %v", err)
	}
	var missing *sfntypes.ExecutionDoesNotExist
	for _, name := range []string{"m:none", "dr-orchestrator-failover/Layers:none"} {
		if _, err := o.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: aws.String("arn:aws:states:us-west-2:111122223333:execution:" + name)}); !errors.As(err, &missing) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var machine *sfntypes.StateMachineDoesNotExist
	for _, name := range []string{"none", "dr-orchestrator-failover:dead"} {
		if _, err := o.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: aws.String(machineARN + name)}); !errors.As(err, &machine) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := o.ListExecutions(ctx, &sfn.ListExecutionsInput{}); err == nil || !strings.Contains(err.Error(), "ValidationException") {
		t.Errorf("of nothing: %v", err)
	}
	if _, err := o.ListExecutions(ctx, &sfn.ListExecutionsInput{MapRunArn: aws.String("none")}); err == nil || !strings.Contains(err.Error(), "ResourceNotFound") {
		t.Errorf("of no map run: %v", err)
	}
}
