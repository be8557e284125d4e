package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"dr-orchestrator/internal/report"
)

// tokens answers the token that a run waits for.
type tokens interface {
	SendTaskSuccess(context.Context, *sfn.SendTaskSuccessInput, ...func(*sfn.Options)) (*sfn.SendTaskSuccessOutput, error)
	SendTaskFailure(context.Context, *sfn.SendTaskFailureInput, ...func(*sfn.Options)) (*sfn.SendTaskFailureOutput, error)
}

type approveCommand struct {
	Execution string `arg:"" name:"arn" help:"ARN of the execution that waits."`
	Comment   string `help:"What is to stand beside your name."`
	JSON      bool   `name:"json" help:"Print one JSON object: the decision, and in whose name."`
	remoteFlags
}

// Help shows examples.
func (c *approveCommand) Help() string {
	return `Your identity in AWS stands in the report beside the comment.

Examples:
  drctl approve ARN
  drctl approve ARN --comment "agreed with the duty officer" --json`
}

// approval is what a run is told that may go on.
type approval struct {
	Decision string `json:"decision"`
	By       string `json:"by"` // ARN
	Comment  string `json:"comment"`
}

func (c *approveCommand) Run(s streams, at clock) error {
	ctx, cancel := interruptible()
	defer cancel()
	r, id, err := c.connectTo(ctx, c.Execution, at)
	if err != nil {
		return err
	}
	asked, by, err := r.asked(ctx, id.arn)
	if err != nil {
		return err
	}
	output, err := encoded(approval{"approved", by, c.Comment})
	if err != nil {
		return err
	}
	_, err = r.tokens.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: &asked.token, Output: aws.String(string(output))})
	if err = r.answered(ctx, id.arn, asked, string(output), err); err != nil {
		return err
	}
	return decided(s, c.JSON, approval{"approved", by, c.Comment}, id.arn, "Approved by %s: %s goes on.\n")
}

type declineCommand struct {
	Execution string `arg:"" name:"arn" help:"ARN of the execution that waits."`
	Reason    string `required:"" help:"Why; it stands in the report."`
	JSON      bool   `name:"json" help:"Print one JSON object: the decision, and in whose name."`
	remoteFlags
}

// Help shows an example.
func (c *declineCommand) Help() string {
	return `Example:
  drctl decline ARN --reason "the primary is back"`
}

// decided tells of an answer that was given.
func decided(s streams, asJSON bool, a approval, id, text string) error {
	if !asJSON {
		fmt.Fprintf(s.out, text, a.By, id)
		return nil
	}
	if err := json.NewEncoder(s.out).Encode(struct {
		Execution string `json:"executionArn"`
		approval
	}{id, a}); err != nil {
		return environment("%w", err)
	}
	return nil
}

func (c *declineCommand) Run(s streams, at clock) error {
	if strings.TrimSpace(c.Reason) == "" {
		return wrongInput("--reason is empty: it is what the report tells of why the run ended")
	}
	ctx, cancel := interruptible()
	defer cancel()
	r, id, err := c.connectTo(ctx, c.Execution, at)
	if err != nil {
		return err
	}
	asked, by, err := r.asked(ctx, id.arn)
	if err != nil {
		return err
	}
	cause := by + ": " + c.Reason
	_, err = r.tokens.SendTaskFailure(ctx, &sfn.SendTaskFailureInput{TaskToken: &asked.token, Error: aws.String(report.ClassDeclined), Cause: &cause})
	if err = r.answered(ctx, id.arn, asked, cause, err); err != nil {
		return err
	}
	return decided(s, c.JSON, approval{"declined", by, c.Reason}, id.arn, "Declined by %s: %s changes nothing more.\n")
}

// question is a task that waits for an answer, by its event in the history.
type question struct {
	event int64
	token string
}

// asked finds what an execution waits for, and who is about to answer.
func (r *remote) asked(ctx context.Context, id string) (question, string, error) {
	d, err := r.describe(ctx, id)
	if err != nil {
		return question{}, "", err
	}
	if !running(d.Status) {
		return question{}, "", noLongerRuns(d)
	}
	q, err := waiting(ctx, r.executions, id)
	if err != nil {
		return q, "", err
	}
	if q.token == "" {
		return q, "", wrongInput("%s waits for no approval", id)
	}
	who, err := r.caller(ctx)
	return q, who.String(), err
}

const waitForToken = "invoke.waitForTaskToken"

// waiting finds the newest task that waits for its token. It reads the history
// from its end: an event that ends a task comes before those that it belongs
// to, and each names the one before it.
func waiting(ctx context.Context, h history, id string) (question, error) {
	over := map[int64]bool{} // events of tasks that have ended
	pages := sfn.NewGetExecutionHistoryPaginator(h, &sfn.GetExecutionHistoryInput{ExecutionArn: &id, ReverseOrder: true, MaxResults: 100})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return question{}, told("reading the history of "+id, err)
		}
		for _, e := range page.Events {
			switch e.Type {
			case types.HistoryEventTypeTaskSucceeded, types.HistoryEventTypeTaskFailed, types.HistoryEventTypeTaskTimedOut,
				types.HistoryEventTypeTaskSubmitFailed, types.HistoryEventTypeTaskStartFailed:
				over[e.PreviousEventId] = true
			case types.HistoryEventTypeTaskSubmitted, types.HistoryEventTypeTaskStarted:
				over[e.PreviousEventId] = over[e.Id]
			case types.HistoryEventTypeTaskScheduled:
				task := e.TaskScheduledEventDetails
				if task == nil || aws.ToString(task.Resource) != waitForToken || over[e.Id] {
					continue
				}
				var parameters struct{ Payload struct{ Token string } }
				if err := json.Unmarshal([]byte(aws.ToString(task.Parameters)), &parameters); err != nil || parameters.Payload.Token == "" {
					return question{}, environment("%s waits for a token that its history does not show: Payload.token is missing", id)
				}
				return question{e.Id, parameters.Payload.Token}, nil
			}
		}
	}
	return question{}, nil
}

// answered judges the answer to an answer. One that came too late may be our
// own, sent twice because AWS's answer was lost: the history tells.
func (r *remote) answered(ctx context.Context, id string, asked question, sent string, err error) error {
	var late *types.TaskTimedOut
	var none *types.TaskDoesNotExist
	if !errors.As(err, &late) && !errors.As(err, &none) {
		if err != nil {
			return told("answering "+id, err)
		}
		return nil
	}
	ours, lookErr := heard(ctx, r.executions, id, asked, sent)
	switch {
	case lookErr != nil:
		return lookErr
	case ours:
		return nil
	}
	return wrongInput("%s no longer waits: somebody has answered, or its time is over: %w", id, err)
}

// heard looks whether an execution got an answer: the first end of a task
// after the question.
func heard(ctx context.Context, h history, id string, asked question, sent string) (bool, error) {
	pages := sfn.NewGetExecutionHistoryPaginator(h, &sfn.GetExecutionHistoryInput{ExecutionArn: &id, MaxResults: 200})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return false, told("reading the history of "+id, err)
		}
		for _, e := range page.Events {
			if e.Id <= asked.event {
				continue
			}
			if done := e.TaskSucceededEventDetails; done != nil && aws.ToString(done.Resource) == waitForToken {
				return aws.ToString(done.Output) == sent, nil
			}
			if failed := e.TaskFailedEventDetails; failed != nil && aws.ToString(failed.Resource) == waitForToken {
				return aws.ToString(failed.Cause) == sent, nil
			}
		}
	}
	return false, nil
}
