package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"dr-orchestrator/internal/report"
	"dr-orchestrator/internal/run"
)

type listCommand struct {
	Limit int  `default:"10" help:"How many runs."`
	Plans bool `help:"Show the checks of stored payloads, too, which the schedule makes."`
	JSON  bool `name:"json" help:"Print a JSON list."`
	machineFlags
	remoteFlags
}

// Help shows examples.
func (c *listCommand) Help() string {
	return `The last runs of a machine, the newest first. The checks of stored payloads, which
a schedule makes and which change nothing, are left out.

Examples:
  drctl list --region us-west-2
  drctl list --region us-west-2 --plans
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
	all, until, err := r.list(ctx, machine, c.Limit, c.Plans)
	if err != nil {
		return err
	}
	if !until.IsZero() {
		fmt.Fprintf(s.err, "drctl: only the last %d executions were looked at, back to %s\n", mostListed, until.UTC().Format(time.RFC3339))
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

// mostListed is how many executions are looked at for runs among the checks of
// stored payloads: ten pages, and of twenty payloads ten days.
const mostListed = 10 * pageOfExecutions

// pageOfExecutions is the most that ListExecutions gives at once.
const pageOfExecutions = 1000

// list gives the last executions of a machine, whichever version they were
// started by. How one failed takes a call for each, and of one that was ended from
// outside a few. Where it gave up before it
// had found as many as were wanted, it tells when the oldest began that it saw.
func (r *remote) list(ctx context.Context, machine string, limit int, plans bool) (all []listed, until time.Time, err error) {
	plain := strings.TrimSuffix(machine, alias)
	var oldest *time.Time
	wanted, seen := []types.ExecutionListItem{}, 0
	size := int32(pageOfExecutions)
	if plans {
		size = int32(limit)
	}
	pages := sfn.NewListExecutionsPaginator(r.lists, &sfn.ListExecutionsInput{StateMachineArn: &plain, MaxResults: size})
	for pages.HasMorePages() && len(wanted) < limit {
		if seen >= mostListed {
			until = aws.ToTime(oldest)
			break
		}
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, until, told("listing the executions of "+plain, err)
		}
		for _, e := range page.Executions {
			seen++
			oldest = e.StartDate
			if plans || !strings.HasPrefix(aws.ToString(e.Name), run.ReadinessPrefix) {
				wanted = append(wanted, e)
			}
		}
	}
	all = []listed{}
	for _, e := range wanted[:min(len(wanted), limit)] {
		l := listed{Execution: aws.ToString(e.ExecutionArn), Name: aws.ToString(e.Name), Status: string(e.Status), StartedAt: aws.ToTime(e.StartDate).UTC().Format(time.RFC3339)}
		ended := r.clock.Now()
		if e.StopDate != nil {
			ended = *e.StopDate
		}
		l.DurationSeconds = milliseconds(max(ended.Sub(aws.ToTime(e.StartDate)).Seconds(), 0))
		switch {
		case running(e.Status):
		case e.Status == types.ExecutionStatusSucceeded:
			l.Outcome = report.Succeeded
		default:
			if l.Outcome, err = r.outcome(ctx, l.Execution); err != nil {
				return nil, until, err
			}
		}
		all = append(all, l)
	}
	return all, until, nil
}

// outcome finds out how a run ended that did not succeed: where it does not say
// so itself, by its report.
func (r *remote) outcome(ctx context.Context, id string) (report.Outcome, error) {
	d, err := r.describe(ctx, id)
	if err != nil {
		return "", err
	}
	if o := declared(d); o != "" {
		return o, nil
	}
	e, err := r.read(ctx, d)
	return e.outcome(), err
}

// printRuns shows runs in a table.
func printRuns(w io.Writer, all []listed) {
	if len(all) == 0 {
		fmt.Fprintln(w, "There are none.")
		return
	}
	rows := [][]string{{"STARTED", "STATUS", "OUTCOME", "TOOK", "EXECUTION"}}
	for _, l := range all {
		rows = append(rows, []string{l.StartedAt, l.Status, cmp.Or(string(l.Outcome), "-"), span(l.DurationSeconds), l.Execution})
	}
	printTable(w, rows, -1, 0)
}
