package run

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/audit"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/emf"
	"dr-orchestrator/internal/payload"
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
	// What the run came to write before it ended: nothing else is read.
	Planned  bool       `json:"planned"`  // the plan
	Judged   bool       `json:"judged"`   // the readiness
	Begun    int        `json:"begun"`    // layers begun
	Recorded int        `json:"recorded"` // layers whose results were recorded
	LeftOut  LeftOut    `json:"leftOut"`
	Approval string     `json:"approval"` // who approved the run; empty: nobody was asked
	EndedAt  *time.Time `json:"endedAt,omitempty"`
}

// Reported is its answer. Undelivered tells what did not go out, and why.
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
	// Deployment is its name as the metrics carry it, and Metrics where they are
	// written; nil: nowhere.
	Deployment string
	Metrics    io.Writer
}

// EventSource is the source of every event that this product sends.
const EventSource = "dr-orchestrator"

// Record is the step RecordReport. The report counts; that its page could not
// be written, or an event or a message about it not be sent, is told in the
// answer and fails nothing.
func (r Reporter) Record(ctx context.Context, in ReportInput) (Reported, error) {
	now := r.Now()
	if in.EndedAt != nil {
		now = *in.EndedAt
	}
	record, err := r.Store.Build(ctx, in, now)
	if err != nil {
		return Reported{}, err
	}
	if err := r.Store.put(ctx, in.run(), docReport, record); err != nil {
		return Reported{}, err
	}
	out := Reported{Report: Location{Bucket: r.Store.Bucket, Key: ReportKey(in.Execution.ID, in.Execution.StartTime)}}
	undelivered := []string{}
	if err := r.Store.write(ctx, in.run(), docPage, "text/html; charset=utf-8", record.HTML()); err != nil {
		undelivered = append(undelivered, "the page of the report: "+err.Error())
	}
	if err := Send(ctx, r.Events, endings(record, out.Report)...); err != nil {
		undelivered = append(undelivered, "the event: "+err.Error())
	}
	undelivered = append(undelivered, r.measure(ctx, in, record, out.Report)...)
	out.Undelivered = bounded(undelivered)
	if r.Topic == "" || endedCheck(record, in.Execution.Name) {
		return out, nil
	}
	if _, err := r.Notices.Publish(ctx, &sns.PublishInput{
		TopicArn: aws.String(r.Topic), Subject: aws.String(subject(string(record.Outcome), in.Execution.Name)),
		Message: aws.String(record.Text() + whatNext(in.Execution.ID, record, out.Report)),
	}); err != nil {
		out.Undelivered = bounded(append(undelivered, "the message: "+err.Error()))
	}
	return out, nil
}

// measure writes the metrics of the end of a run, and judges the check of a
// stored payload. It gives what did not go out.
func (r Reporter) measure(ctx context.Context, in ReportInput, record report.Record, at Location) []string {
	var lost []string
	lines := planMetrics
	if record.Mode != "plan" && !endedCheck(record, in.Execution.Name) {
		lines = runMetrics
	}
	if err := emf.Write(r.Metrics, lines(r.Deployment, record)...); err != nil {
		lost = append(lost, "the metrics: "+err.Error())
	}
	if endedCheck(record, in.Execution.Name) {
		if err := r.judgeCheck(ctx, in, record, at); err != nil {
			lost = append(lost, "the readiness: "+err.Error())
		}
	}
	return lost
}

func subject(what, name string) string { return Subject(fmt.Sprintf("%s: recovery %s", what, name)) }

// Subject keeps a text to what SNS takes as the subject of a message: less
// than 100 ASCII characters.
func Subject(text string) string {
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	return s[:min(len(s), 99)]
}

func (in ReportInput) run() action.Run {
	return action.Run{ID: in.Execution.Name, Execution: in.Execution.ID, StartedAt: in.Execution.StartTime}
}

// Build puts the record of a run together from what its steps have left in the
// store. What a step did not come to leave is told as such, never guessed.
func (s Store) Build(ctx context.Context, in ReportInput, now time.Time) (report.Record, error) {
	record := report.Record{Version: 1, Run: in.run(), Outcome: in.Outcome, Cause: report.Plain(in.Cause), Approval: in.Approval, StartedAt: in.Execution.StartTime, EndedAt: now,
		DurationSeconds: now.Sub(in.Execution.StartTime).Seconds(), Layers: []report.Layer{}, Problems: []payload.Problem{}}
	if !in.Planned {
		return record, nil
	}
	var plan Plan
	if err := s.get(ctx, in.run(), docPlan, &plan); err != nil {
		return record, err
	}
	record.Run, record.Mode, record.Source = plan.Run, plan.Mode, plan.Source
	record.Problems = append(record.Problems, plan.Problems...)
	var checked []action.Checked
	if in.Judged {
		if err := s.get(ctx, in.run(), docReadiness, &checked); err != nil {
			return record, err
		}
	}
	for _, b := range blockers(plan, checked) {
		record.Problems = append(record.Problems, payload.Problem{Pointer: b.resource.Pointer, Value: b.resource.Name, Message: string(b.finding.Class) + ": " + b.finding.Message})
	}
	for i, layer := range plan.Layers {
		var items []Item
		skipped := slices.Contains(in.LeftOut.Layers, layer.Layer)
		if i < in.Recorded && !skipped {
			if err := s.get(ctx, in.run(), docResults(layer.Layer), &items); err != nil {
				return record, err
			}
		}
		record.Layers = append(record.Layers, recordLayer(layer, checked, items, i < in.Begun && !skipped))
	}
	hold(&record, plan.Options.RTOSeconds)
	return record, nil
}

// hold compares the times of a run that was to recover something with its
// objective. What was never begun has no time of its own: the run's counts.
func hold(record *report.Record, target *int) {
	if record.Mode == "plan" || len(record.Problems) > 0 {
		return
	}
	var took *float64
	if record.Outcome == report.Succeeded {
		took = &record.DurationSeconds
	}
	record.RTO = report.NewRTO(target, took)
	for _, layer := range record.Layers {
		for i := range layer.Resources {
			r := &layer.Resources[i]
			if r.EndedAt == nil {
				continue
			}
			var took *float64
			if r.Status == report.Done {
				since := r.EndedAt.Sub(record.StartedAt).Seconds()
				took = &since
			}
			r.RTO = report.NewRTO(target, took)
		}
	}
}

func recordLayer(layer Layer, checked []action.Checked, items []Item, begun bool) report.Layer {
	out := report.Layer{Layer: layer.Layer}
	byIndex := map[int]Item{}
	for _, item := range items {
		byIndex[item.Index] = item
	}
	for _, r := range layer.Resources {
		entry := report.Resource{Index: r.Index, ResourceType: r.Type, ResourceName: r.Name, Purpose: catalog.PurposeOf(r.Type), Optional: r.Optional, Status: report.Skipped}
		if isApproval(r) {
			entry.Question = asked(r)
		}
		if r.Index < len(checked) {
			c := checked[r.Index]
			entry.Verdict, entry.Findings, entry.Before, entry.LagSeconds, entry.Evidence = c.Verdict, c.Findings, c.Observed, c.Lag, c.Evidence
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
	entry.Calls, entry.CallsDropped = audit.Kept(item.Memo)
	acted(entry, item)
	if item.Failure != nil {
		e := item.Failure.read()
		entry.Error = &e
	}
}

// acted tells what may be lost by what was done to a resource: of one that took
// over, for what is made anew, or waited for, loses nothing by being behind. What
// the preflight saw is no figure for it: replication went on, or broke, until the
// action looked for itself.
func acted(entry *report.Resource, item Item) {
	before, lags := entry.LagSeconds, lagging(*entry)
	text, looked := item.Memo[action.MemoLagEvidence]
	lag, err := strconv.ParseFloat(item.Memo[action.MemoLag], 64)
	changed := item.Changed.Happened()
	switch {
	case err == nil:
		entry.LagSeconds = &lag
	case changed && (looked || lags):
		entry.LagSeconds = nil
	}
	switch {
	case !changed || entry.Purpose != action.TakesOver:
	case err == nil:
		entry.RPO = &report.RPO{Seconds: &lag, Evidence: "replication lag of " + cmp.Or(text, fmt.Sprintf("%g s", lag)) + ", read just before acting"}
	case looked:
		entry.RPO = &report.RPO{Unknown: strings.TrimPrefix(text, "unknown: ")}
	case lags:
		entry.RPO = &report.RPO{Unknown: "what was seen just before acting was lost with the answer of the call"}
	}
	if entry.RPO != nil && entry.RPO.Seconds == nil && before != nil {
		entry.RPO.Unknown += fmt.Sprintf("; the preflight saw %g s", *before)
	}
}

// lagging reports whether the preflight looked for a lag of a resource.
func lagging(entry report.Resource) bool {
	return entry.LagSeconds != nil || slices.ContainsFunc(entry.Findings, func(f action.Finding) bool { return strings.HasPrefix(f.Message, action.LagUnknown) })
}
