package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/guard"
	"dr-orchestrator/internal/report"
)

type acknowledgeCommand struct {
	Execution string `arg:"" optional:"" name:"arn" help:"ARN of the run; by default the last one of the machine."`
	Comment   string `help:"What is to stand beside your name."`
	JSON      bool   `name:"json" help:"Print one JSON object."`
	machineFlags
	remoteFlags
}

// Help says what an acknowledgement does.
func (c *acknowledgeCommand) Help() string {
	return `For a time after a run no trigger starts another one: what the run did may itself
have turned an alarm red. To acknowledge a run says that somebody has looked at it, and
ends that time. It holds for this run and for all of the deployment in its region that
began before it.

Examples:
  drctl acknowledge --region us-west-2 --comment "checked, writes are fine"
  drctl acknowledge arn:aws:states:us-west-2:111122223333:execution:dr-orchestrator-failover:run-1`
}

func (c *acknowledgeCommand) Run(s streams, at clock) error {
	ctx, cancel := interruptible()
	defer cancel()
	var r *remote
	var err error
	id, name := c.Execution, c.Name
	if id == "" {
		if r, err = c.connect(ctx, "", at); err != nil {
			return err
		}
		id, err = c.last(ctx, r)
	} else {
		var e execution
		if r, e, err = c.connectTo(ctx, id, at); err == nil {
			id = e.arn
			name, err = deployment(id)
		}
	}
	if err != nil {
		return err
	}
	d, err := r.describe(ctx, id)
	if err != nil {
		return err
	}
	if running(d.Status) {
		return wrongInput("%s still runs: while it does no trigger starts another one", id)
	}
	plan, err := guard.IsPlan(ctx, r.executions, id, aws.ToString(d.Name))
	if err != nil {
		return told("looking at "+id, err)
	}
	if plan {
		return wrongInput("%s is a plan: no trigger waits for it", id)
	}
	who, err := r.caller(ctx)
	if err != nil {
		return err
	}
	holds := guard.NewerAcknowledged{Execution: id, By: who.String(), Comment: c.Comment}
	err = c.memory(r, name).Acknowledge(ctx, guard.Run{Execution: id, Started: guard.Began(d.StartDate, d.RedriveDate)}, holds.By, holds.Comment, at.Now())
	var newer *guard.NewerAcknowledged
	switch {
	case errors.As(err, &newer):
		holds = *newer
	case err != nil:
		return told("acknowledging "+id, err)
	}
	if c.JSON {
		if err := json.NewEncoder(s.out).Encode(map[string]string{"executionArn": holds.Execution, "acknowledgedBy": holds.By, "comment": holds.Comment}); err != nil {
			return environment("%w", err)
		}
		return nil
	}
	if newer != nil {
		fmt.Fprintf(s.out, "Nothing was changed: a run that began later is acknowledged already, which holds for this one, too.\nAcknowledged by %s: %s\n", holds.By, holds.Execution)
		return nil
	}
	fmt.Fprintf(s.out, "Acknowledged by %s: %s\n", holds.By, id)
	declared, err := c.memory(r, name).Downtime(ctx)
	switch {
	case err != nil:
		fmt.Fprintf(s.out, "Triggers count again, unless a maintenance is declared: %v\n", err)
	case declared != nil && declared.Until.After(at.Now()):
		fmt.Fprintf(s.out, "Triggers count again at %s, when the maintenance ends that %s declared: %s\n", declared.Until.UTC().Format(time.RFC3339), declared.By, report.Line(declared.Reason))
	default:
		fmt.Fprintln(s.out, "Triggers count again.")
	}
	return nil
}

// deployment reads the prefix of a deployment from the ARN of an execution of
// one of its machines.
func deployment(execution string) (string, error) {
	machine := strings.Split(execution, ":")[6]
	for _, kind := range []string{catalog.Failover, catalog.Failback} {
		if prefix, ok := strings.CutSuffix(machine, "-"+kind); ok {
			return prefix, nil
		}
	}
	return "", wrongInput("%s is an execution of %s: want one of PREFIX-%s or PREFIX-%s", execution, machine, catalog.Failover, catalog.Failback)
}

// last finds the run of the machine that began last. Plans are none.
func (c *acknowledgeCommand) last(ctx context.Context, r *remote) (string, error) {
	machine, err := c.unaliased(ctx, r)
	if err != nil {
		return "", err
	}
	pages := sfn.NewListExecutionsPaginator(r.lists, &sfn.ListExecutionsInput{StateMachineArn: &machine, MaxResults: 1000})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", told("looking at the runs of "+machine, err)
		}
		for _, e := range page.Executions {
			plan, err := guard.IsPlan(ctx, r.executions, aws.ToString(e.ExecutionArn), aws.ToString(e.Name))
			if err != nil {
				return "", told("looking at "+aws.ToString(e.ExecutionArn), err)
			}
			if !plan {
				return aws.ToString(e.ExecutionArn), nil
			}
		}
	}
	return "", wrongInput("%s has had no run: there is nothing to acknowledge", machine)
}
