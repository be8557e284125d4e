package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"dr-orchestrator/internal/report"
)

type listCommand struct {
	Limit int  `default:"10" help:"How many runs."`
	JSON  bool `name:"json" help:"Print a JSON list."`
	machineFlags
	remoteFlags
}

// Help shows examples.
func (c *listCommand) Help() string {
	return `The last runs of a machine, the newest first.

Examples:
  drctl list --region us-west-2
  drctl list --region us-west-2 --machine failback --limit 3 --json`
}

// listed is one line of the list.
type listed struct {
	Execution       string         `json:"executionArn"`
	Name            string         `json:"name"`
	Status          string         `json:"status"`
	Outcome         report.Outcome `json:"outcome,omitempty"`
	StartedAt       string         `json:"startedAt"`
	DurationSeconds float64        `json:"durationSeconds"` // until now, of one that runs
}

func (c *listCommand) Run(s streams, at clock) error {
	if c.Limit < 1 || c.Limit > 1000 {
		return wrongInput("--limit %d: from 1 to 1000", c.Limit)
	}
	ctx, cancel := interruptible()
	defer cancel()
	r, err := c.connect(ctx, "", at)
	if err != nil {
		return err
	}
	machine, err := c.arn(ctx, r)
	if err != nil {
		return err
	}
	all, err := r.list(ctx, machine, c.Limit)
	if err != nil {
		return err
	}
	if c.JSON {
		if err := json.NewEncoder(s.out).Encode(all); err != nil {
			return environment("%w", err)
		}
		return nil
	}
	printRuns(s.out, all)
	return nil
}

// list gives the last executions of a machine, whichever version they were
// started by. Why one failed takes a call for each.
func (r *remote) list(ctx context.Context, machine string, limit int) ([]listed, error) {
	plain := strings.TrimSuffix(machine, alias)
	out, err := r.lists.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: &plain, MaxResults: int32(limit)})
	if err != nil {
		return nil, told("listing the executions of "+plain, err)
	}
	all := []listed{}
	for _, e := range out.Executions {
		l := listed{Execution: aws.ToString(e.ExecutionArn), Name: aws.ToString(e.Name), Status: string(e.Status), StartedAt: aws.ToTime(e.StartDate).UTC().Format(time.RFC3339)}
		ended := r.clock.Now()
		if e.StopDate != nil {
			ended = *e.StopDate
		}
		l.DurationSeconds = max(ended.Sub(aws.ToTime(e.StartDate)).Seconds(), 0)
		switch {
		case running(e.Status):
		case e.Status == types.ExecutionStatusSucceeded:
			l.Outcome = ending{execution: &sfn.DescribeExecutionOutput{Status: e.Status}}.outcome()
		case e.Status == types.ExecutionStatusFailed:
			d, err := r.describe(ctx, l.Execution)
			if err != nil {
				return nil, err
			}
			l.Outcome = ending{execution: d, trace: trace{layers: 1}}.outcome()
		}
		all = append(all, l)
	}
	return all, nil
}

// printRuns shows runs in a table. How one that was stopped ended stands in its
// report.
func printRuns(w io.Writer, all []listed) {
	if len(all) == 0 {
		fmt.Fprintln(w, "There are none.")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STARTED\tSTATUS\tOUTCOME\tTOOK\tEXECUTION")
	for _, l := range all {
		outcome := string(l.Outcome)
		if outcome == "" {
			outcome = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", l.StartedAt, l.Status, outcome, span(l.DurationSeconds), l.Execution)
	}
	t.Flush()
}
