package run

import (
	"strings"
	"testing"
	"time"

	"dr-orchestrator/internal/action"
)

// Who reads the question on a phone gets to the run with one touch.
func TestQuestionLeadsToTheRun(t *testing.T) {
	const arn = "arn:aws:states:us-west-2:111122223333:execution:dr-failover:run-1"
	text := question(ApprovalInput{Run: action.Run{Execution: arn, Region: "us-west-2"}, Token: "token"}, Plan{}, nil, time.Time{})
	if want := "https://us-west-2.console.aws.amazon.com/states/home?region=us-west-2#/v2/executions/details/" + arn + "\n"; !strings.Contains(text, want) {
		t.Errorf("%q is not in:\n%s", want, text)
	}
}
