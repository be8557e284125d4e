package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"dr-orchestrator/internal/lab"
)

// approving is a machine that only asks.
const approving = `{"QueryLanguage":"JSONata","StartAt":"RequestApproval","States":{
	"RequestApproval":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","TimeoutSeconds":86400,"Next":"Succeeded",
		"Arguments":{"FunctionName":"ask","Payload":{"token":"{% $states.context.Task.Token %}","run":{}}}},
	"Succeeded":{"Type":"Succeed"}}}`

type ask struct{}

func (ask) Invoke(context.Context, []byte) ([]byte, error) { return []byte("null"), nil }

// waits gives a run that waits for an approval.
func waits(t *testing.T) (*served, string) {
	t.Helper()
	s := serve(t, lab.DefaultEstate(), "", func(a *lab.Account) {
		if err := a.Define("dr-orchestrator-failover", approving); err != nil {
			t.Fatal(err)
		}
		a.DefineFunction("ask", ask{})
	})
	arn := s.started(three)
	s.until(arn, "it waits", func(e types.HistoryEvent) bool { return e.Type == types.HistoryEventTypeTaskSubmitted })
	return s, arn
}

func TestApprove(t *testing.T) {
	s, arn := waits(t)
	code, out, errs := s.drctl("approve", arn, "--comment", `"seen" & <good>`)
	if code != exitSucceeded || !strings.Contains(out, "Approved by arn:aws:iam::111122223333:user/lab") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	d, err := s.ended(t.Context(), arn)
	if err != nil {
		t.Fatal(err)
	}
	var got approval
	if err := json.Unmarshal([]byte(aws.ToString(d.Output)), &got); err != nil || got != (approval{"approved", "arn:aws:iam::111122223333:user/lab", `"seen" & <good>`}) {
		t.Errorf("%+v, %v", got, err)
	}
	if code, _, errs := s.drctl("approve", arn); code != exitInput || !strings.Contains(errs, "SUCCEEDED") {
		t.Errorf("approved again: exit code %d, %s", code, errs)
	}
}

func TestDecline(t *testing.T) {
	s, arn := waits(t)
	for _, reason := range []string{"", "  "} {
		if code, out, errs := s.drctl("decline", arn, "--reason", reason); code != exitInput || !strings.Contains(errs, "--reason is empty") {
			t.Errorf("for %q: exit code %d\n%s%s", reason, code, out, errs)
		}
	}
	code, out, errs := s.drctl("decline", arn, "--reason", "not today")
	if code != exitSucceeded || !strings.Contains(out, "Declined by") || !strings.Contains(out, "changes nothing more") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	d, err := s.ended(t.Context(), arn)
	if err != nil || aws.ToString(d.Error) != "Declined" || aws.ToString(d.Cause) != "arn:aws:iam::111122223333:user/lab: not today" {
		t.Errorf("%s %s %v", aws.ToString(d.Error), aws.ToString(d.Cause), err)
	}
}

// An answer that AWS takes for late is ours if the history shows it: it was
// sent twice.
func TestAnAnswerThatCameLate(t *testing.T) {
	s, arn := waits(t)
	asked, _, err := s.asked(t.Context(), arn)
	if err != nil {
		t.Fatal(err)
	}
	const ours = `{"decision":"approved"}`
	if _, err := s.tokens.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &asked.token, Output: aws.String(ours)}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ended(t.Context(), arn); err != nil {
		t.Fatal(err)
	}
	late := &types.TaskTimedOut{}
	if err := s.answered(t.Context(), arn, asked, ours, late); err != nil {
		t.Errorf("our own: %v", err)
	}
	var f *failure
	if err := s.answered(t.Context(), arn, asked, `{"decision":"other"}`, late); !errors.As(err, &f) || f.code != exitInput {
		t.Errorf("somebody else's: %v", err)
	}
	if err := s.answered(t.Context(), arn, asked, ours, errors.New("broken")); !errors.As(err, &f) || f.code != exitEnvironment {
		t.Errorf("another error: %v", err)
	}
}

func TestWantsApproval(t *testing.T) {
	for options, want := range map[string]bool{
		`{}`: false, `{"Approval":null}`: false, `{"Approval":"False"}`: false, `{"Approval":false}`: false, `{"Approval":true}`: true,
		`{"Approval":"True"}`: true, `{"Approval":{"TimeoutSeconds":60}}`: true, `null`: false,
	} {
		if got := wantsApproval(`{"Options":` + options + `}`); got != want {
			t.Errorf("%s: %v", options, got)
		}
	}
	for kind, want := range map[string]bool{"ManualApproval": true, "SwapDNS": false} {
		if got := wantsApproval(`{"StatePayload":[{"resources":[]},{"resources":[{"resourceType":"` + kind + `"}]}]}`); got != want {
			t.Errorf("%s: %v", kind, got)
		}
	}
}

// pages is the history of an execution, in pages of two.
type pages []types.HistoryEvent

func (p pages) GetExecutionHistory(_ context.Context, in *sfn.GetExecutionHistoryInput, _ ...func(*sfn.Options)) (*sfn.GetExecutionHistoryOutput, error) {
	from := 0
	if in.NextToken != nil {
		if _, err := fmt.Sscan(*in.NextToken, &from); err != nil {
			return nil, err
		}
	}
	out := &sfn.GetExecutionHistoryOutput{}
	for n := from; n < min(from+2, len(p)); n++ {
		e := p[n]
		if in.ReverseOrder {
			e = p[len(p)-1-n]
		}
		out.Events = append(out.Events, e)
	}
	if from+2 < len(p) {
		out.NextToken = aws.String(fmt.Sprint(from + 2))
	}
	return out, nil
}

func TestWaiting(t *testing.T) {
	event := func(id, previous int64, kind types.HistoryEventType) types.HistoryEvent {
		return types.HistoryEvent{Id: id, PreviousEventId: previous, Type: kind}
	}
	scheduled := func(id int64, resource, parameters string) types.HistoryEvent {
		e := event(id, id-1, types.HistoryEventTypeTaskScheduled)
		e.TaskScheduledEventDetails = &types.TaskScheduledEventDetails{Resource: &resource, Parameters: &parameters}
		return e
	}
	asks := func(id int64) types.HistoryEvent {
		return scheduled(id, waitForToken, fmt.Sprintf(`{"Payload":{"token":"t%d"}}`, id))
	}
	begun, submitted := types.HistoryEventTypeTaskStarted, types.HistoryEventTypeTaskSubmitted
	for name, tt := range map[string]struct {
		history pages
		want    string
		fails   bool
	}{
		"nothing":              {nil, "", false},
		"asked":                {pages{asks(1)}, "t1", false},
		"waits":                {pages{asks(1), event(2, 1, begun), event(3, 2, submitted)}, "t1", false},
		"answered":             {pages{asks(1), event(2, 1, begun), event(3, 2, submitted), event(4, 3, types.HistoryEventTypeTaskSucceeded)}, "", false},
		"declined":             {pages{asks(1), event(2, 1, begun), event(3, 2, submitted), event(4, 3, types.HistoryEventTypeTaskFailed)}, "", false},
		"over":                 {pages{asks(1), event(2, 1, begun), event(3, 2, submitted), event(4, 3, types.HistoryEventTypeTaskTimedOut)}, "", false},
		"the call failed":      {pages{asks(1), event(2, 1, begun), event(3, 2, types.HistoryEventTypeTaskFailed)}, "", false},
		"never submitted":      {pages{asks(1), event(2, 1, types.HistoryEventTypeTaskSubmitFailed)}, "", false},
		"asked again":          {pages{asks(1), event(2, 1, types.HistoryEventTypeTaskFailed), asks(3), event(4, 3, begun)}, "t3", false},
		"others end meanwhile": {pages{asks(1), event(2, 1, begun), event(3, 2, submitted), scheduled(4, "invoke", `{}`), event(5, 4, begun), event(6, 5, types.HistoryEventTypeTaskSucceeded)}, "t1", false},
		"another task":         {pages{scheduled(1, "invoke", `{}`), event(2, 1, begun)}, "", false},
		"no token":             {pages{scheduled(1, waitForToken, `{}`)}, "", true},
		"no parameters":        {pages{scheduled(1, waitForToken, ``)}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := waiting(t.Context(), tt.history, "arn")
			if got.token != tt.want || (err != nil) != tt.fails {
				t.Errorf("%+v, %v; want %q", got, err, tt.want)
			}
		})
	}
}
