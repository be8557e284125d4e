package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/run"
)

type startCommand struct {
	File          string `arg:"" optional:"" help:"The StatePayload, or - for standard input."`
	Stored        string `help:"Name of a payload that is stored in the region of the run, instead of a file." placeholder:"NAME"`
	ExecutionName string `help:"Name of the execution; by default made from the time."`
	Wait          bool   `help:"Wait for the end; the exit code is then that of the run."`
	JSON          bool   `name:"json" help:"Print one JSON object: the execution, or after --wait the report."`
	machineFlags
	remoteFlags
}

// Help shows examples.
func (c *startCommand) Help() string {
	return `Examples:
  drctl start payload.json --region us-west-2
  drctl start payload.json --region us-west-2 --wait --json
  drctl start --stored orders --region us-west-2
  generate-payload | drctl start - --region us-west-2`
}

func (c *startCommand) Run(s streams, at clock) error {
	data, err := c.input(s)
	if err != nil {
		return err
	}
	name, err := executionName(c.ExecutionName, "run", at.Now())
	if err != nil {
		return err
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
	return r.begin(ctx, begun{machine: machine, name: name, input: string(data), wait: c.Wait, json: c.JSON}, s)
}

// input is what the execution is started with: a payload, or the name of one
// that the run reads for itself.
func (c *startCommand) input(s streams) ([]byte, error) {
	switch {
	case (c.File == "") == (c.Stored == ""):
		return nil, wrongInput("give either a file (or - for standard input) or --stored NAME")
	case c.File != "":
		return readPayload(c.File, c.Machine, s, c.JSON)
	case !run.IsStoredName(c.Stored):
		return nil, wrongInput("--stored %q is no name of a stored payload: letters, digits, dots, hyphens and underscores", c.Stored)
	}
	return encoded(map[string]string{"Payload": c.Stored})
}

// begun is an execution to be started, and how to tell of it.
type begun struct {
	machine, name, input string
	wait, json           bool
}

// begin starts an execution, says how to go on from there, and waits for its
// end if that is wanted.
func (r *remote) begin(ctx context.Context, b begun, s streams) error {
	id, err := r.start(ctx, b.machine, b.name, b.input)
	if err != nil {
		return err
	}
	next := r.next(id, wantsApproval(b.input))
	switch {
	case b.json && !b.wait:
		if err := json.NewEncoder(s.out).Encode(map[string]string{"executionArn": id, "region": r.region}); err != nil {
			return environment("%w", err)
		}
		return nil
	case b.json:
		fmt.Fprintf(s.err, "%s\n%s", id, next)
	default:
		fmt.Fprintf(s.out, "%s\n%s", id, next)
	}
	if !b.wait {
		return nil
	}
	return r.finish(ctx, id, s, b.json)
}

// wantsApproval reports whether a run stops and asks: before it changes anything,
// or between layers.
func wantsApproval(input string) bool {
	var doc struct {
		Options      map[string]json.RawMessage
		StatePayload []struct {
			Resources []struct{ ResourceType string }
		}
	}
	if err := json.Unmarshal([]byte(input), &doc); err != nil {
		return false
	}
	for _, layer := range doc.StatePayload {
		for _, r := range layer.Resources {
			if r.ResourceType == catalog.ManualApproval {
				return true
			}
		}
	}
	switch strings.ToLower(strings.Trim(string(doc.Options["Approval"]), `"`)) {
	case "", "null", "false", "none":
		return false
	}
	return true
}
