package run

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"dr-orchestrator/internal/action"
)

// The kinds of event, as the detail-type of each. docs/events has a sample and
// a rule of each.
const (
	EventRunStarted        = "Run Started"
	EventLayerEnded        = "Layer Ended"
	EventResourceEnded     = "Resource Ended"
	EventRunEnded          = "Run Ended"
	EventRunRefused        = "Run Refused"
	EventApprovalRequested = "Approval Requested"
	EventGuardDecision     = "Guard Decision"
	EventReadinessChanged  = "Readiness Changed"
	EventUncovered         = "Estate Uncovered"
)

// EventVersion is the version of the details of all events. A member that is
// added leaves it as it is; any other change makes a new one.
const EventVersion = 1

// Entry is one event to be sent. Its detail is an object with the version.
type Entry struct {
	DetailType string
	Detail     any
	Resource   string // ARN of the execution that it is about; empty: none
	Time       time.Time
}

// entriesPerCall is how many events PutEvents takes at once (EventBridge API
// reference, PutEvents).
const entriesPerCall = 10

// Send puts events on the default bus, in the order given.
func Send(ctx context.Context, events Events, entries ...Entry) error {
	var all []types.PutEventsRequestEntry
	for _, e := range entries {
		detail, err := json.Marshal(e.Detail)
		if err != nil {
			return fmt.Errorf("encoding the event %s: %w", e.DetailType, err)
		}
		entry := types.PutEventsRequestEntry{
			Source: aws.String(EventSource), DetailType: aws.String(e.DetailType), Detail: aws.String(string(detail)), Time: aws.Time(e.Time),
		}
		if e.Resource != "" {
			entry.Resources = []string{e.Resource}
		}
		all = append(all, entry)
	}
	for len(all) > 0 {
		n := min(len(all), entriesPerCall)
		sent, err := events.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: all[:n]})
		switch {
		case err != nil: // the next ones would meet the same, and a run waits meanwhile
			return err
		case sent.FailedEntryCount > 0:
			return action.Errorf(action.Unreachable, "EventBridge did not take it")
		}
		all = all[n:]
	}
	return nil
}
