package run

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/console"
)

// isApproval reports a resource that is no resource: a question to a person.
func isApproval(r action.Resource) bool { return r.Type == catalog.ManualApproval }

// asked is what a person is asked by it, beside its name.
func asked(r action.Resource) string {
	var p catalog.ApprovalParameters
	if json.Unmarshal(r.Parameters, &p) != nil || p.Message == "" {
		return ""
	}
	return bounded([]string{p.Message})
}

// ApprovalInput is what the machine sends when a person has to say yes.
type ApprovalInput struct {
	Run     action.Run   `json:"run"`
	Token   string       `json:"token"`   // of the task that waits
	Layer   *ApprovalRef `json:"layer"`   // nil: before the first change
	Seconds int          `json:"seconds"` // how long it waits
}

// Requested is the answer. Nothing depends on it.
type Requested struct {
	Execution string `json:"execution"`
}

// Approver asks a person.
type Approver struct {
	Store   Store
	Events  Events
	Notices Notices
	Topic   string // ARN; empty: only the event is sent
	Now     func() time.Time
}

// Request is the step RequestApproval: it tells what is about to be done, and
// the commands that answer. The answer goes to the task, not to this function.
func (a Approver) Request(ctx context.Context, in ApprovalInput) (Requested, error) {
	asked := Requested{Execution: in.Run.Execution}
	var plan Plan
	if err := a.Store.get(ctx, in.Run, docPlan, &plan); err != nil {
		return asked, err
	}
	var checked []action.Checked
	if err := a.Store.get(ctx, in.Run, docReadiness, &checked); err != nil {
		return asked, err
	}
	until := a.Now().Add(time.Duration(in.Seconds) * time.Second).UTC()
	err := Send(ctx, a.Events, Entry{DetailType: EventApprovalRequested, Resource: in.Run.Execution, Time: a.Now(), Detail: ApprovalRequested{
		Version: EventVersion, Execution: in.Run.Execution, Machine: in.Run.Machine, Region: in.Run.Region, Layer: in.Layer, Until: until,
	}})
	if a.Topic == "" {
		return asked, action.Call("telling of the approval", err)
	}
	if err != nil { // the message is what a person reads
		slog.ErrorContext(ctx, "the event of the approval was not sent", "error", err)
	}
	_, err = a.Notices.Publish(ctx, &sns.PublishInput{
		TopicArn: aws.String(a.Topic), Subject: aws.String(subject("Approval needed", in.Run.ID)), Message: aws.String(question(in, plan, checked, until)),
	})
	return asked, action.Call("asking for the approval", err)
}

// question is the message to a person: what, how long, and how to answer.
func question(in ApprovalInput, plan Plan, checked []action.Checked, until time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "The %s run %s in %s waits for an approval until %s.\n", in.Run.Machine, in.Run.ID, in.Run.Region, until.Format(time.RFC3339))
	fmt.Fprintf(&b, "%s\n", console.Execution(in.Run.Execution))
	if in.Layer != nil {
		fmt.Fprintf(&b, "%s\n", strings.TrimSpace(in.Layer.Name+": "+in.Layer.Message))
	}
	b.WriteString("\nApprove:\n  drctl approve " + in.Run.Execution + "\nor\n")
	fmt.Fprintf(&b, "  aws stepfunctions send-task-success --region %s --task-output '{\"decision\":\"approved\",\"by\":\"YOUR NAME\"}' --task-token '%s'\n", in.Run.Region, in.Token)
	b.WriteString("\nDecline:\n  drctl decline " + in.Run.Execution + " --reason WHY\nor\n")
	fmt.Fprintf(&b, "  aws stepfunctions send-task-failure --region %s --error Declined --cause 'YOUR NAME: WHY' --task-token '%s'\n\n", in.Run.Region, in.Token)
	var lines []string
	for _, layer := range plan.Layers {
		for _, r := range layer.Resources {
			if isApproval(r) || r.Index >= len(checked) {
				continue
			}
			c := checked[r.Index]
			line := fmt.Sprintf("%s (%s): %s", pointer(r), r.Type, c.Verdict)
			for _, f := range c.Findings {
				line += "; " + f.Message
			}
			lines = append(lines, line)
		}
	}
	b.WriteString("The plan:\n" + bounded(lines) + "\n")
	return b.String()
}
