package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

type stopCommand struct {
	Execution string `arg:"" name:"arn" help:"ARN of the execution."`
	Cause     string `default:"stopped by an operator" help:"Why; it stands in the execution."`
	JSON      bool   `name:"json" help:"Print what is known as one JSON object."`
	remoteFlags
}

// Help says what a stop is.
func (c *stopCommand) Help() string {
	return `Nothing new is begun after a stop. What AWS was already asked to do goes on: look
at the resources, or start the same payload again, which looks first.

Example:
  drctl stop ARN --cause "the primary is back"`
}

// reportWait is how long a stopped run may take to leave a report.
const reportWait = 30 * time.Second

func (c *stopCommand) Run(s streams, at clock) error {
	ctx, cancel := interruptible()
	defer cancel()
	r, id, err := c.connectTo(ctx, c.Execution, at)
	if err != nil {
		return err
	}
	d, err := r.describe(ctx, id.arn)
	if err != nil {
		return err
	}
	if !running(d.Status) {
		return noLongerRuns(d)
	}
	if _, err := r.executions.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: &id.arn, Error: aws.String("Stopped"), Cause: &c.Cause}); err != nil {
		return told("stopping "+id.arn, err)
	}
	if d, err = r.ended(ctx, id.arn); err != nil {
		return err
	}
	if d.Status != types.ExecutionStatusAborted {
		return noLongerRuns(d) // it ended by itself meanwhile
	}
	e, err := r.readLate(ctx, d)
	if err != nil {
		return err
	}
	if err := e.print(s.out, s.err, c.JSON); err != nil {
		return err
	}
	if c.JSON {
		return nil
	}
	switch {
	case e.record != nil:
	case e.trace.layers == 0:
		fmt.Fprintln(s.out, "\nStopped before a layer was begun, in the state "+e.trace.last+".")
	default:
		fmt.Fprintf(s.out, "\nStopped in the state %s. Layers begun: %d. What AWS was already asked to do goes on.\n", e.trace.last, e.trace.layers)
	}
	fmt.Fprintf(s.out, "The same payload carries on:\n  drctl resume %s%s\n", id.arn, r.flags)
	return nil
}

func noLongerRuns(d *sfn.DescribeExecutionOutput) error {
	return wrongInput("%s does not run: it is %s", aws.ToString(d.ExecutionArn), d.Status)
}

// readLate reads the end of a run that may still be writing its report.
func (r *remote) readLate(ctx context.Context, d *sfn.DescribeExecutionOutput) (ending, error) {
	e, err := r.read(ctx, d)
	for until := r.clock.Now().Add(reportWait); err == nil && e.record == nil && e.at.Bucket != "" && r.clock.Now().Before(until); {
		if r.clock.Sleep(ctx, pollEvery) != nil {
			break // whoever does not want to wait is told what is known
		}
		e.fetch(ctx, r.reports)
	}
	return e, err
}
