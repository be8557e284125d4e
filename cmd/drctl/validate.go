package main

import (
	"encoding/json"
	"fmt"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/payload"
)

type validateCommand struct {
	File    string `arg:"" help:"The StatePayload, or - for standard input."`
	Machine string `default:"" enum:",failover,failback" help:"Check for this machine only (failover or failback)."`
	JSON    bool   `name:"json" help:"Print one JSON object."`
}

// Help shows examples.
func (c *validateCommand) Help() string {
	return `Examples:
  drctl validate payload.json
  generate-payload | drctl validate - --machine failback --json`
}

func (c *validateCommand) Run(s streams) error {
	data, err := readFile(c.File, s)
	if err != nil {
		return err
	}
	doc, problems := checked(c.File, data, c.Machine)
	if c.JSON {
		if err := tellValidity(s, problems); err != nil {
			return err
		}
	}
	if len(problems) > 0 {
		err := invalid(c.File, data, c.Machine, problems)
		err.silent = c.JSON
		return err
	}
	if !c.JSON {
		resources := 0
		for _, layer := range doc.Layers {
			resources += len(layer.Resources)
		}
		fmt.Fprintf(s.out, "%s is valid: %d resources in %d layers. References are resolved when a run starts.\n", c.File, resources, len(doc.Layers))
	}
	return nil
}

// checked reads a payload and finds all that is wrong with it; machine may be
// empty: any.
func checked(path string, data []byte, machine string) (*payload.Document, payload.Problems) {
	if err := pointsAway(path, data); err != nil {
		return nil, payload.Problems{{Pointer: "/Payload", Value: storedIn(data), Message: err.Error(), Want: "a StatePayload"}}
	}
	return payload.Parse(data, catalog.Types(), machine)
}

// invalid tells what is wrong with a payload, and for which machine it would be
// right.
func invalid(what string, data []byte, machine string, problems payload.Problems) *failure {
	text := what + " is not a valid payload"
	for _, other := range []string{catalog.Failover, catalog.Failback} {
		if machine == "" || other == machine {
			continue
		}
		if _, wrong := payload.Parse(data, catalog.Types(), other); len(wrong) == 0 {
			text += " for the " + machine + " machine: give --machine " + other
		}
	}
	return &failure{code: exitInput, err: fmt.Errorf("%s\n%w", text, problems)}
}

// tellValidity prints what was found as one JSON object.
func tellValidity(s streams, problems payload.Problems) error {
	if problems == nil {
		problems = payload.Problems{}
	}
	if err := json.NewEncoder(s.out).Encode(map[string]any{"valid": len(problems) == 0, "problems": problems}); err != nil {
		return environment("%w", err)
	}
	return nil
}

type schemaCommand struct{}

// Help shows an example.
func (c *schemaCommand) Help() string {
	return `Example:
  drctl schema > schema.json`
}

func (c *schemaCommand) Run(s streams) error {
	schema, err := payload.Schema(catalog.Types())
	if err != nil {
		return err
	}
	_, err = s.out.Write(schema)
	return err
}

type referenceCommand struct{}

// Help shows an example.
func (c *referenceCommand) Help() string {
	return `Example:
  drctl reference > reference.md`
}

func (c *referenceCommand) Run(s streams) error {
	text, err := payload.Handbook(catalog.Types())
	if err != nil {
		return err
	}
	_, err = s.out.Write([]byte(text))
	return err
}
