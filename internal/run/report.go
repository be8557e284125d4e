package run

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/report"
)

// ReportInput is what the machine sends at every end.
type ReportInput struct {
	Execution struct {
		ID        string    `json:"id"`
		Name      string    `json:"name"`
		StartTime time.Time `json:"startTime"`
	} `json:"execution"`
	Outcome report.Outcome `json:"outcome"`
	Cause   string         `json:"cause"`
	Begun   int            `json:"begun"` // layers that were begun
	EndedAt *time.Time     `json:"endedAt,omitempty"`
}

// Reported is its answer. Undelivered names the messages that did not go out.
type Reported struct {
	Report      Location `json:"report"`
	Undelivered string   `json:"undelivered"`
}

// Events sends the event of a run's end.
type Events interface {
	PutEvents(context.Context, *eventbridge.PutEventsInput, ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error)
}

// Notices sends the message of a run's end.
type Notices interface {
	Publish(context.Context, *sns.PublishInput, ...func(*sns.Options)) (*sns.PublishOutput, error)
}

// Reporter writes the report and tells of it.
type Reporter struct {
	Store   Store
	Events  Events
	Notices Notices
	Topic   string // ARN; empty: no message is sent
	Now     func() time.Time
}

// EventSource is the source of every event that this product sends.
const EventSource = "dr-orchestrator"

// Record is the step RecordReport. The report counts; that an event or a
// message about it could not be sent is told in the answer and fails nothing.
func (r Reporter) Record(ctx context.Context, in ReportInput) (Reported, error) {
	now := r.Now()
	if in.EndedAt != nil {
		now = *in.EndedAt
	}
	record, err := r.Store.Build(ctx, in, now)
	if err != nil {
		return Reported{}, err
	}
	if err := r.Store.put(ctx, in.Execution.Name, docReport, record); err != nil {
		return Reported{}, err
	}
	out := Reported{Report: Location{Bucket: r.Store.Bucket, Key: ReportKey(in.Execution.Name)}}
	detail, err := json.Marshal(map[string]any{
		"version": 1, "execution": in.Execution.ID, "outcome": record.Outcome, "durationSeconds": record.DurationSeconds, "report": out.Report,
	})
	if err != nil {
		return Reported{}, err
	}
	sent, err := r.Events.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
		Source: aws.String(EventSource), DetailType: aws.String("Run Ended"), Detail: aws.String(string(detail)),
		Resources: []string{in.Execution.ID}, Time: aws.Time(record.EndedAt),
	}}})
	if err != nil || sent.FailedEntryCount > 0 {
		out.Undelivered = "event "
	}
	if r.Topic == "" {
		return out, nil
	}
	if _, err := r.Notices.Publish(ctx, &sns.PublishInput{
		TopicArn: aws.String(r.Topic), Subject: aws.String("Recovery " + in.Execution.Name + ": " + string(record.Outcome)),
		Message: aws.String(record.Text()),
	}); err != nil {
		out.Undelivered += "message"
	}
	return out, nil
}

// Build puts the record of a run together from what its steps have left in the
// store. What a step did not come to leave is told as such, never guessed.
func (s Store) Build(ctx context.Context, in ReportInput, now time.Time) (report.Record, error) {
	record := report.Record{Version: 1, Outcome: in.Outcome, Cause: in.Cause, StartedAt: in.Execution.StartTime, EndedAt: now,
		DurationSeconds: now.Sub(in.Execution.StartTime).Seconds()}
	var plan Plan
	if err := s.optional(ctx, in.Execution.Name, docPlan, &plan); err != nil {
		return record, err
	}
	record.Run, record.Mode, record.Problems = plan.Run, plan.Mode, plan.Problems
	if record.Run.ID == "" {
		record.Run.ID, record.Run.Execution = in.Execution.Name, in.Execution.ID
	}
	var checked []action.Checked
	if err := s.optional(ctx, in.Execution.Name, docReadiness, &checked); err != nil {
		return record, err
	}
	record.Problems = append(record.Problems, blockers(plan, checked)...)
	for i, layer := range plan.Layers {
		var items []Item
		if err := s.optional(ctx, in.Execution.Name, docResults(layer.Layer), &items); err != nil {
			return record, err
		}
		record.Layers = append(record.Layers, recordLayer(layer, checked, items, i < in.Begun))
	}
	return record, nil
}

// optional reads a document that the run may not have come to write.
func (s Store) optional(ctx context.Context, execution, doc string, into any) error {
	err := s.get(ctx, execution, doc, into)
	if err != nil && action.ClassOf(err) == action.NotFound {
		return nil
	}
	return err
}

func recordLayer(layer Layer, checked []action.Checked, items []Item, begun bool) report.Layer {
	out := report.Layer{Layer: layer.Layer}
	byIndex := map[int]Item{}
	for _, item := range items {
		byIndex[item.Index] = item
	}
	for _, r := range layer.Resources {
		entry := report.Resource{Index: r.Index, ResourceType: r.Type, ResourceName: r.Name, Status: report.Skipped}
		if r.Index < len(checked) {
			c := checked[r.Index]
			entry.Verdict, entry.Findings, entry.LagSeconds, entry.Evidence = c.Verdict, c.Findings, c.Lag, c.Evidence
		}
		if item, ok := byIndex[r.Index]; ok {
			fill(&entry, item)
		} else if begun {
			entry.Status, entry.Changed = report.Failed, true
			entry.Error = &report.Error{Class: "NoResult", Message: "the resource ended without a result: it may have been changed"}
		}
		out.Resources = append(out.Resources, entry)
	}
	return out
}

func fill(entry *report.Resource, item Item) {
	entry.Status, entry.Changed, entry.Polls = item.Status, item.Changed.Happened(), item.Polls
	entry.StartedAt, entry.EndedAt = &item.StartedAt, &item.EndedAt
	entry.DurationSeconds = item.EndedAt.Sub(item.StartedAt).Seconds()
	entry.Phase, entry.Message = item.Phase, item.Message
	if item.Evidence != nil {
		entry.Evidence = item.Evidence
	}
	if lag, err := strconv.ParseFloat(item.Memo[action.MemoLag], 64); err == nil {
		entry.LagSeconds = &lag
	}
	if item.Failure != nil {
		e := item.Failure.read()
		entry.Error = &e
	}
}
