package main

import (
	"encoding/json"
	"strings"
	"testing"

	"dr-orchestrator/internal/guard"
	"dr-orchestrator/internal/lab"
)

// What people declare is what the guard reads.
func TestDowntime(t *testing.T) {
	s := serve(t, lab.DefaultEstate(), "", nil)
	memory := guard.Memory{Table: s.table, Name: "dr-orchestrator-locks"}
	for _, step := range []struct {
		args   []string
		code   int
		says   string
		active bool
	}{
		{nil, exitSucceeded, "No maintenance is declared in us-west-2", false},
		{[]string{"--for", "2h"}, exitInput, "--for and --reason go together", false},
		{[]string{"--reason", "x"}, exitInput, "--for and --reason go together", false},
		{[]string{"--for", "200h", "--reason", "x"}, exitInput, "at most", false},
		{[]string{"--for=-1h", "--reason", "x"}, exitInput, "want more than nothing", false},
		{[]string{"--end", "--for", "1h"}, exitInput, "--end takes neither", false},
		{[]string{"--for", "2h", "--reason", "patches"}, exitSucceeded, "until 2026-01-05T05:00:00Z: triggers start nothing", true},
		{nil, exitSucceeded, "user/lab: patches", true},
		{[]string{"--json"}, exitSucceeded, `"active":true,"until":"2026-01-05T05:00:00Z"`, true},
		{[]string{"--end"}, exitSucceeded, "No maintenance is declared", false},
		{[]string{"--json"}, exitSucceeded, `"active":false,"until":null`, false},
	} {
		code, out, errs := s.drctl(append([]string{"downtime"}, step.args...)...)
		if code != step.code || !strings.Contains(out+errs, step.says) {
			t.Fatalf("%v: exit code %d\n%s%s", step.args, code, out, errs)
		}
		d, err := memory.Downtime(t.Context())
		if active := d != nil && d.Until.After(s.clock.Now()); err != nil || active != step.active {
			t.Fatalf("%v: the guard reads %+v, %v", step.args, d, err)
		}
	}
}

func TestAcknowledge(t *testing.T) {
	s := serve(t, lab.DefaultEstate(), "", nil)
	if code, _, errs := s.drctl("acknowledge"); code != exitInput || !strings.Contains(errs, "there is nothing to acknowledge") {
		t.Fatalf("exit code %d, %s", code, errs)
	}
	arn := s.started(three)
	if code, _, errs := s.drctl("acknowledge", arn); code != exitInput || !strings.Contains(errs, "still runs") {
		t.Fatalf("exit code %d, %s", code, errs)
	}
	if _, err := s.ended(t.Context(), arn); err != nil {
		t.Fatal(err)
	}
	// A plan that was made since is passed over.
	if code, _, errs := s.drctl("plan", three, "--json"); code != exitSucceeded {
		t.Fatal(code, errs)
	}
	code, out, errs := s.drctl("acknowledge", "--json", "--comment", "seen")
	var told map[string]string
	if err := json.Unmarshal([]byte(out), &told); err != nil || code != exitSucceeded || told["executionArn"] != arn || told["comment"] != "seen" {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
	}
	memory := guard.Memory{Table: s.table, Name: "dr-orchestrator-locks"}
	if got, err := memory.Acknowledged(t.Context()); err != nil || got != arn {
		t.Errorf("the guard reads %q, %v", got, err)
	}
	if code, out, errs := s.drctl("acknowledge", arn); code != exitSucceeded || !strings.Contains(out, "Triggers count again") {
		t.Errorf("by its ARN: exit code %d\n%s%s", code, out, errs)
	}
}

// One who may not write into the table declares nothing.
func TestDowntimeFails(t *testing.T) {
	s := serve(t, lab.DefaultEstate(), "error@dynamodb:PutItem#1-9", nil)
	if code, out, errs := s.drctl("downtime", "--for", "1h", "--reason", "x"); code != exitEnvironment || strings.Contains(out, "Maintenance in") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}
