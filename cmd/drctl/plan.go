package main

import (
	"bytes"
	"encoding/json"
	"fmt"
)

type planCommand struct {
	File string `arg:"" help:"The StatePayload, or - for standard input."`
	JSON bool   `name:"json" help:"Print the report as one JSON object."`
	machineFlags
	remoteFlags
}

// Help shows examples.
func (c *planCommand) Help() string {
	return `The payload is started in plan mode whatever its Options say: every resource is
looked at, nothing is changed. Exit code 0: ready; 1: something stands in the way.

Examples:
  drctl plan payload.json --region us-west-2
  drctl plan payload.json --region us-west-2 --endpoint http://127.0.0.1:4599`
}

func (c *planCommand) Run(s streams, at clock) error {
	data, err := readPayload(c.File, c.Machine, s, c.JSON)
	if err != nil {
		return err
	}
	input, err := inPlanMode(data)
	if err != nil {
		return wrongInput("%s: %w", c.File, err)
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
	name, err := executionName("", "plan", at.Now())
	if err != nil {
		return err
	}
	id, err := r.start(ctx, machine, name, string(input))
	if err != nil {
		return err
	}
	fmt.Fprintln(s.err, "planning:", id)
	return r.finish(ctx, id, s, c.JSON)
}

// inPlanMode is a payload with Options.Mode set to plan, and nothing else touched:
// every other value stays the text that it is.
func inPlanMode(data []byte) ([]byte, error) {
	var members, options map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, err
	}
	if given, ok := members["Options"]; ok {
		if err := json.Unmarshal(given, &options); err != nil {
			return nil, err
		}
	}
	if options == nil {
		options = map[string]json.RawMessage{}
	}
	options["Mode"] = json.RawMessage(`"plan"`)
	var err error
	if members["Options"], err = encoded(options); err != nil {
		return nil, err
	}
	return encoded(members)
}

func encoded(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}
