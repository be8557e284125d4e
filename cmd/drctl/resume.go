package main

import (
	"github.com/aws/aws-sdk-go-v2/aws"
)

type resumeCommand struct {
	Execution     string `arg:"" name:"arn" help:"ARN of the execution that ended."`
	ExecutionName string `help:"Name of the new execution; by default made from the time."`
	Wait          bool   `help:"Wait for the end; the exit code is then that of the run."`
	JSON          bool   `name:"json" help:"Print one JSON object: the execution, or after --wait the report."`
	remoteFlags
}

// Help says what resuming is.
func (c *resumeCommand) Help() string {
	return `The input of the execution is started again on the same machine, as it is deployed
now. Every resource is looked at first: what has reached its goal is left alone.

Example:
  drctl resume ARN --wait`
}

func (c *resumeCommand) Run(s streams, at clock) error {
	name, err := executionName(c.ExecutionName, "resume", at.Now())
	if err != nil {
		return err
	}
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
	if running(d.Status) {
		return wrongInput("%s still runs: wait for its end, or stop it first\n%s", id.arn, r.next(id.arn, false))
	}
	if d.Input == nil {
		return environment("AWS does not tell the input of %s: it may be encrypted with a key that you may not use", id.arn)
	}
	return r.begin(ctx, begun{machine: aws.ToString(d.StateMachineArn) + alias, name: name, input: *d.Input, wait: c.Wait, json: c.JSON}, s)
}
