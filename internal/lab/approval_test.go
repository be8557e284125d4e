package lab

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/report"
)

func says(by string) func() (json.RawMessage, error) {
	return func() (json.RawMessage, error) {
		return json.RawMessage(`{"decision":"approved","by":"` + by + `"}`), nil
	}
}

func answers(text string) func() (json.RawMessage, error) {
	return func() (json.RawMessage, error) { return json.RawMessage(text), nil }
}

func declines(why string) func() (json.RawMessage, error) {
	return func() (json.RawMessage, error) { return nil, errors.New(why) }
}

// withQuestion puts a question between the first layer and the second.
func withQuestion(t testing.TB, edit func(options map[string]any, layers []map[string]any)) []byte {
	t.Helper()
	var doc struct {
		StatePayload []map[string]any
		Options      map[string]any
	}
	if err := json.Unmarshal(layered(t, edit), &doc); err != nil {
		t.Fatal(err)
	}
	question := map[string]any{"resources": []any{map[string]any{
		"resourceType": catalog.ManualApproval, "resourceName": "Is the first database well?", "timeLimitSeconds": 600,
		"parameters": map[string]any{"Message": "Look at its dashboard."},
	}}}
	all := append([]map[string]any{doc.StatePayload[0], question}, doc.StatePayload[1:]...)
	for i, layer := range all {
		layer["layer"] = i + 1
	}
	out, err := json.Marshal(map[string]any{"StatePayload": all, "Options": doc.Options})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestApprovalBeforeTheFirstChange(t *testing.T) {
	wanted := func(options map[string]any, _ []map[string]any) {
		options["Approval"], options["ApprovalTimeLimitSeconds"] = true, 600
	}
	for _, tt := range []struct {
		name     string
		faults   string
		answer   func() (json.RawMessage, error)
		outcome  report.Outcome
		says     string
		statuses string
	}{
		{"approved", "", says("somebody"), report.Succeeded, "", "DONE DONE DONE"},
		{"approved without a name", "", answers(`{"decision":"approved"}`), report.Refused, "declined: the answer was not", "SKIPPED SKIPPED SKIPPED"},
		{"approved by nobody", "", answers(`{"decision":"approved","by":""}`), report.Refused, "declined: the answer was not", "SKIPPED SKIPPED SKIPPED"},
		{"a success that says no", "", answers(`{"decision":"declined","by":"somebody"}`), report.Refused, `"decision":"declined"`, "SKIPPED SKIPPED SKIPPED"},
		{"a success that says nothing", "", answers(`{}`), report.Refused, "declined: the answer was not", "SKIPPED SKIPPED SKIPPED"},
		{"a success that is no object", "", answers(`"approved"`), report.Refused, "declined: the answer was not", "SKIPPED SKIPPED SKIPPED"},
		{"declined", "", declines("not today"), report.Refused, "declined: not today", "SKIPPED SKIPPED SKIPPED"},
		{"no answer", "", nil, report.FailedClean, "nobody approved in time", "SKIPPED SKIPPED SKIPPED"},
		{"the question cannot be put", "error@function:request-approval", says("somebody"), report.FailedClean, "could not be asked for", "SKIPPED SKIPPED SKIPPED"},
		{"the message does not go out", "error@sns:Publish", says("somebody"), report.FailedClean, "could not be asked for", "SKIPPED SKIPPED SKIPPED"},
		{"the message goes out at the second try", "error@sns:Publish#1-3", says("somebody"), report.Succeeded, "", "DONE DONE DONE"},
		{"the event does not go out", "error@events:PutEvents#1-3", says("somebody"), report.Succeeded, "", "DONE DONE DONE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			result := runLab(t, Options{Payload: layered(t, wanted), Answer: tt.answer, Faults: faultsOf(t, tt.faults)})
			if result.Outcome != tt.outcome || !strings.Contains(result.Cause, tt.says) || statuses(result) != tt.statuses {
				t.Errorf("%s, %s: %s, want %s, %s: %s", result.Outcome, statuses(result), result.Cause, tt.outcome, tt.statuses, tt.says)
			}
			if talk := strings.HasPrefix(result.Record.Next()[0], "Talk to who said no"); talk != (tt.outcome == report.Refused) {
				t.Errorf("what to do next: %q", result.Record.Next())
			}
			if approved := result.Record.Approval; (tt.outcome == report.Succeeded) != strings.HasPrefix(approved, "approved by somebody at ") {
				t.Errorf("the report says %q", approved)
			}
			if tt.outcome != report.Succeeded && (total(result.Mutations) > 0 || result.APICalls["dynamodb:PutItem"] > 0) {
				t.Errorf("%v, and %d locks taken", result.Mutations, result.APICalls["dynamodb:PutItem"])
			}
			if tt.name == "no answer" && (result.DurationSeconds < 600 || result.DurationSeconds > 620) {
				t.Errorf("it waited %.0f s", result.DurationSeconds)
			}
		})
	}
}

func TestManualApproval(t *testing.T) {
	plain := func(map[string]any, []map[string]any) {}
	done := runLab(t, Options{Payload: layered(t, plain)}).Final
	for _, tt := range []struct {
		name     string
		edit     func(map[string]any, []map[string]any)
		estate   *Estate
		answer   func() (json.RawMessage, error)
		outcome  report.Outcome
		says     string
		statuses string
	}{
		{"approved", plain, nil, says("somebody"), report.Succeeded, "", "DONE DONE DONE DONE"},
		{"declined after a change", plain, nil, declines("it is not well"), report.FailedDirty, "?: Declined: it is not well", "DONE REFUSED SKIPPED SKIPPED"},
		{"declined, and nothing was to be changed", plain, done, declines("it is not well"), report.Refused, "?: Declined: it is not well", "DONE REFUSED SKIPPED SKIPPED"},
		{"no answer after a change", plain, nil, nil, report.FailedDirty, "nobody approved in time", "DONE FAILED SKIPPED SKIPPED"},
		{"no answer, and nothing was to be changed", plain, done, nil, report.FailedClean, "nobody approved in time", "DONE FAILED SKIPPED SKIPPED"},
		{"declined: that is for all layers", func(o map[string]any, layers []map[string]any) {
			o["OnFailure"], layers[2]["dependsOn"] = "continue", []any{1}
		}, nil, declines("it is not well"), report.FailedDirty, "Declined: it is not well", "DONE REFUSED SKIPPED SKIPPED"},
		{"the run has a shorter limit", func(o map[string]any, _ []map[string]any) { o["TimeLimitSeconds"] = 400 }, nil, nil, report.FailedDirty, "nobody approved in time", "DONE FAILED SKIPPED SKIPPED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			result := runLab(t, Options{Payload: withQuestion(t, tt.edit), Estate: tt.estate, Answer: tt.answer})
			if result.Outcome != tt.outcome || !strings.Contains(result.Cause, tt.says) || statuses(result) != tt.statuses {
				t.Errorf("%s, %s: %s, want %s, %s: %s", result.Outcome, statuses(result), result.Cause, tt.outcome, tt.statuses, tt.says)
			}
			if tells := strings.Contains(result.Record.Answers(), "Asked in layer 2, Is the first database well?: Look at its dashboard.: "); !tells {
				t.Errorf("the report does not tell what was asked: %q", result.Record.Answers())
			}
			if talk := strings.Contains(strings.Join(result.Record.Next(), "\n"), "Talk to who said no"); talk != strings.Contains(tt.says, "Declined") {
				t.Errorf("what to do next: %q", result.Record.Next())
			}
			if len(result.Layers) > 1 {
				if x := result.Layers[1].Resources[0]; x.Changed || x.ResourceType != catalog.ManualApproval {
					t.Errorf("the question: %+v", x)
				}
			}
			if tt.name == "the run has a shorter limit" && result.DurationSeconds > 420 {
				t.Errorf("it took %.0f s", result.DurationSeconds)
			}
		})
	}
}

// The message says what is about to be done, until when, and how to answer.
func TestTheQuestion(t *testing.T) {
	clock := NewClock(Epoch)
	a := NewAccount(DefaultEstate(), clock, 1, nil)
	var arn string
	clock.Run(func() {
		e, err := a.runs.start("us-west-2", MachineName(catalog.Failover), "asked", withQuestion(t, func(o map[string]any, _ []map[string]any) { o["Approval"] = true }))
		if err != nil {
			t.Error(err)
			return
		}
		arn = e.ARN
		clock.Go(func() { a.runs.answerAll(e, says("somebody")) })
		e.ended.Wait(0)
	})
	if len(a.notices) != 3 {
		t.Fatalf("%d messages", len(a.notices))
	}
	for i, question := range a.notices[:2] {
		for _, want := range []string{
			"drctl approve " + arn, "drctl decline " + arn + " --reason", "send-task-success --region us-west-2", "send-task-failure --region us-west-2 --error Declined",
			"--task-token '", "until 2026-01-05T0", "Promote RDS for MySQL Read Replica (PromoteRDSReadReplica): ",
		} {
			if !strings.Contains(question.Message, want) {
				t.Errorf("question %d does not say %q:\n%s", i, want, question)
			}
		}
		if named := strings.Contains(question.Message, "Is the first database well?: Look at its dashboard."); named != (i == 1) {
			t.Errorf("question %d:\n%s", i, question)
		}
	}
}

// A payload may ask and do nothing else: there is nothing to look at before.
func TestOnlyAQuestion(t *testing.T) {
	payload := []byte(`{"StatePayload":[{"layer":1,"resources":[{"resourceType":"ManualApproval","resourceName":"Shall we?","parameters":{"Message":"Well?"}}]}]}`)
	for outcome, answer := range map[report.Outcome]func() (json.RawMessage, error){report.Succeeded: says("ops"), report.Refused: declines("no")} {
		if result := runLab(t, Options{Payload: payload, Answer: answer}); result.Outcome != outcome {
			t.Errorf("%s, want %s: %s", result.Outcome, outcome, result.Cause)
		}
	}
}
