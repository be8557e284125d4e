package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sfn"

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
		{[]string{"--for", "0s", "--reason", "x"}, exitInput, "--for 0s: want more than nothing", false},
		{[]string{"--for", "0s"}, exitInput, "--for 0s: want more than nothing", false},
		{[]string{"--for", "900h"}, exitInput, "at most 168h0m0s\n--for and --reason go together", false},
		{[]string{"--end", "--for", "900h"}, exitInput, "at most 168h0m0s\n--end takes neither", false},
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
	if got, err := memory.Acknowledged(t.Context()); err != nil || got == nil || got.Execution != arn || !got.Started.Equal(*s.describe(arn).StartDate) {
		t.Errorf("the guard reads %+v, %v", got, err)
	}
	if code, out, errs := s.drctl("acknowledge", arn); code != exitSucceeded || !strings.Contains(out, "Triggers count again") {
		t.Errorf("by its ARN: exit code %d\n%s%s", code, out, errs)
	}
	if code, out, errs := s.drctl("downtime", "--for", "1h", "--reason", "patching"); code != exitSucceeded {
		t.Fatal(code, out, errs)
	}
	if code, out, errs := s.drctl("acknowledge", arn); code != exitSucceeded || strings.Contains(out, "count again.") || !strings.Contains(out, "when the maintenance ends") || !strings.Contains(out, "patching") {
		t.Errorf("in a maintenance: exit code %d\n%s%s", code, out, errs)
	}
	if code, out, errs := s.drctl("downtime", "--end"); code != exitSucceeded {
		t.Fatal(code, out, errs)
	}
	if code, out, errs := s.drctl("acknowledge", arn); code != exitSucceeded || !strings.Contains(out, "Triggers count again.") {
		t.Errorf("after it: exit code %d\n%s%s", code, out, errs)
	}
	next := s.started(three)
	if _, err := s.ended(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := s.drctl("acknowledge"); code != exitSucceeded || !strings.Contains(out, next) {
		t.Fatalf("the next one: exit code %d\n%s%s", code, out, errs)
	}
	// The first one again takes nothing back, and what holds is told.
	if code, out, errs := s.drctl("acknowledge", arn); code != exitSucceeded || strings.Contains(out, "count again") || !strings.Contains(out, "user/lab: "+next) {
		t.Errorf("an older one: exit code %d\n%s%s", code, out, errs)
	}
	if got, err := memory.Acknowledged(t.Context()); err != nil || got == nil || got.Execution != next {
		t.Errorf("the guard reads %+v, %v", got, err)
	}
}

// A run that was redriven began again: what is acknowledged holds up to there.
func TestAcknowledgeARedrivenRun(t *testing.T) {
	s := serve(t, lab.DefaultEstate(), "", func(a *lab.Account) {
		if err := a.Define("recovery-failover", `{"QueryLanguage": "JSONata", "StartAt": "Never", "States": {"Never": {"Type": "Fail", "Error": "No"}}}`); err != nil {
			t.Fatal(err)
		}
	})
	arn, err := s.start(t.Context(), "arn:aws:states:us-west-2:111122223333:stateMachine:recovery-failover", "run-1", `{}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ended(t.Context(), arn); err != nil {
		t.Fatal(err)
	}
	if _, err := s.executions.(*sfn.Client).RedriveExecution(t.Context(), &sfn.RedriveExecutionInput{ExecutionArn: &arn}); err != nil {
		t.Fatal(err)
	}
	d, err := s.ended(t.Context(), arn)
	if err != nil || !d.RedriveDate.After(*d.StartDate) {
		t.Fatal(d, err)
	}
	if code, out, errs := s.drctl("acknowledge", arn); code != exitSucceeded {
		t.Fatal(code, out, errs)
	}
	if got, err := (guard.Memory{Table: s.table, Name: "recovery-locks"}).Acknowledged(t.Context()); err != nil || got == nil || !got.Started.Equal(*d.RedriveDate) {
		t.Errorf("the guard reads %+v, %v; redriven at %s", got, err, d.RedriveDate)
	}
}

// The ARN of a run says which deployment it is of; one of something else, or of
// a plan, is refused.
func TestAcknowledgeByARN(t *testing.T) {
	s := serve(t, lab.DefaultEstate(), "", func(a *lab.Account) {
		for _, name := range []string{"recovery-failover", "recovery-failback", "something"} {
			if err := a.Define(name, `{"QueryLanguage": "JSONata", "StartAt": "Nothing", "States": {"Nothing": {"Type": "Succeed"}}}`); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, tt := range []struct {
		machine, input string
		code           int
		says           string
	}{
		{"recovery-failover", `{}`, exitSucceeded, "Triggers count again"},
		{"recovery-failback", `{}`, exitSucceeded, "Triggers count again"},
		{"recovery-failover", `{"Options": {"Mode": "plan"}}`, exitInput, "is a plan"},
		{"something", `{}`, exitInput, "want one of PREFIX-failover or PREFIX-failback"},
	} {
		arn, err := s.start(t.Context(), "arn:aws:states:us-west-2:111122223333:stateMachine:"+tt.machine, "run-"+fmt.Sprint(len(tt.input)), tt.input)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.ended(t.Context(), arn); err != nil {
			t.Fatal(err)
		}
		code, out, errs := s.drctl("acknowledge", arn)
		if code != tt.code || !strings.Contains(out+errs, tt.says) {
			t.Errorf("%s: exit code %d\n%s%s", arn, code, out, errs)
		}
		got, err := (guard.Memory{Table: s.table, Name: "recovery-locks"}).Acknowledged(t.Context())
		if err != nil || got == nil || (got.Execution == arn) != (tt.code == exitSucceeded) {
			t.Errorf("%s: the guard of the deployment reads %+v, %v", arn, got, err)
		}
	}
	if got, err := (guard.Memory{Table: s.table, Name: "dr-orchestrator-locks"}).Acknowledged(t.Context()); got != nil || err != nil {
		t.Errorf("the guard of another deployment reads %+v, %v", got, err)
	}
}

// One who may not write into the table declares nothing.
func TestDowntimeFails(t *testing.T) {
	s := serve(t, lab.DefaultEstate(), "error@dynamodb:PutItem#1-9", nil)
	if code, out, errs := s.drctl("downtime", "--for", "1h", "--reason", "x"); code != exitEnvironment || strings.Contains(out, "Maintenance in") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}
