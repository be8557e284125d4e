package run

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/report"
)

// Executions is every call to Step Functions that closing a run makes.
type Executions interface {
	DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error)
	GetExecutionHistory(context.Context, *sfn.GetExecutionHistoryInput, ...func(*sfn.Options)) (*sfn.GetExecutionHistoryOutput, error)
	ListExecutions(context.Context, *sfn.ListExecutionsInput, ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error)
	ListMapRuns(context.Context, *sfn.ListMapRunsInput, ...func(*sfn.Options)) (*sfn.ListMapRunsOutput, error)
}

// CloseInput is what the rule on the end of executions sends.
type CloseInput struct {
	Execution string `json:"execution"` // ARN
}

// Closed is the answer.
type Closed struct {
	Decision string         `json:"decision"` // closed, or why there was nothing to do
	Outcome  report.Outcome `json:"outcome"`
	Report   Location       `json:"report"`
}

// Closer does for a run what its machine could not do, because it was stopped,
// timed out or was ended by Step Functions itself: it reports what was under
// way. Its locks stay: a function of it may still be at work, and whoever needs
// them takes them over when none can be any more (see package lock).
type Closer struct {
	Reporter   Reporter
	Executions Executions
}

// ErrorAborted is the class of a resource that was under way when its run was
// ended from outside.
const ErrorAborted = "Aborted"

// Close is the step CloseRun.
func (c Closer) Close(ctx context.Context, in CloseInput) (Closed, error) {
	e, err := c.Executions.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: aws.String(in.Execution)})
	if err != nil {
		return Closed{}, action.Call("describing the execution", err)
	}
	if e.Status == types.ExecutionStatusRunning || e.Status == types.ExecutionStatusPendingRedrive || e.Status == types.ExecutionStatusSucceeded {
		return Closed{Decision: "the execution is " + string(e.Status)}, nil
	}
	ended := ReportInput{EndedAt: e.StopDate, Cause: fmt.Sprintf(report.EndedOutside+" (%s): %s", e.Status, strings.TrimPrefix(aws.ToString(e.Error)+": "+aws.ToString(e.Cause), ": "))}
	ended.Execution.ID, ended.Execution.Name, ended.Execution.StartTime = in.Execution, aws.ToString(e.Name), aws.ToTime(e.StartDate)
	run, store := ended.run(), c.Reporter.Store

	var written report.Record
	if there, err := store.has(ctx, run, docReport, &written); err != nil {
		return Closed{}, err
	} else if there && !written.Stopped() && !written.EndedAt.Before(aws.ToTime(e.RedriveDate)) {
		// Stopped between its report and its end, a run has told all the same. An
		// older report is of the time before a redrive.
		return Closed{Decision: "the run has reported itself", Outcome: written.Outcome}, nil
	}
	_, changed, err := c.found(ctx, &ended)
	if err != nil {
		return Closed{}, err
	}
	ended.Outcome = report.FailedClean
	if changed.Happened() {
		ended.Outcome = report.FailedDirty
	}
	if _, err := store.has(ctx, run, docApproval, &ended.Approval); err != nil {
		return Closed{}, err
	}
	reported, err := c.Reporter.Record(ctx, ended)
	return Closed{Decision: "closed", Outcome: ended.Outcome, Report: reported.Report}, err
}

// found looks for what a run has left: its plan, what it judged, how far it
// came, and what it changed.
func (c Closer) found(ctx context.Context, ended *ReportInput) (plan Plan, changed action.Change, err error) {
	run, store := ended.run(), c.Reporter.Store
	if ended.Planned, err = store.has(ctx, run, docPlan, &plan); err != nil {
		return plan, changed, err
	}
	var checked []action.Checked
	if ended.Judged, err = store.has(ctx, run, docReadiness, &checked); err != nil {
		return plan, changed, err
	}
	changed, err = c.layers(ctx, plan, ended)
	return plan, changed, err
}

// layers finds out how far the run came. Layers with recorded results ended;
// the one after them may have been begun, and its results are put together
// from the children of its map. What they changed is joined.
func (c Closer) layers(ctx context.Context, plan Plan, ended *ReportInput) (action.Change, error) {
	changed, ran := action.ChangeNo, 0
	for i, layer := range plan.Layers {
		var items []Item
		recorded, err := c.Reporter.Store.has(ctx, ended.run(), docResults(layer.Layer), &items)
		if err != nil {
			return changed, err
		}
		if !recorded || cutOff(items) {
			continue
		}
		for _, later := range plan.Layers[ended.Recorded:i] {
			ended.LeftOut.Layers = append(ended.LeftOut.Layers, later.Layer)
		}
		ended.Recorded, ended.Begun = i+1, i+1
		if !isApproval(layer.Resources[0]) {
			ran++
		}
		for _, item := range items {
			changed = changed.Or(item.Changed)
		}
	}
	items, maps, err := c.underWay(ctx, ended.Execution.ID)
	if err != nil {
		return changed, err
	}
	if len(items) == 0 {
		// A map that was started, and of which nothing is shown yet.
		if maps > ran && ended.Recorded < len(plan.Layers) {
			ended.Begun, changed = ended.Recorded+1, changed.Or(action.ChangeUnknown)
		}
		return changed, nil
	}
	for i, layer := range plan.Layers {
		if i < ended.Recorded || layer.Layer != items[0].layer {
			continue
		}
		var results []Item
		for _, item := range items {
			changed = changed.Or(item.Changed)
			results = append(results, item.Item)
		}
		for _, r := range layer.Resources {
			if slices.ContainsFunc(results, func(item Item) bool { return item.Index == r.Index }) {
				continue
			}
			changed = changed.Or(action.ChangeUnknown)
			results = append(results, Item{Index: r.Index, Name: r.Name, Optional: r.Optional, Status: report.Failed, Changed: action.ChangeUnknown,
				Failure: &failure{Error: ErrorAborted, Cause: "the run was ended, and what became of this is not known"}})
		}
		for _, before := range plan.Layers[ended.Recorded:i] {
			ended.LeftOut.Layers = append(ended.LeftOut.Layers, before.Layer)
		}
		ended.Begun, ended.Recorded = i+1, i+1
		return changed, c.Reporter.Store.put(ctx, ended.run(), docResults(layer.Layer), results)
	}
	return changed, nil
}

// cutOff reports whether the results of a layer were put together here, after
// the run was ended while the layer ran. If the run was redriven since, there is
// more to tell of it now.
func cutOff(items []Item) bool {
	return slices.ContainsFunc(items, func(i Item) bool { return i.Failure != nil && i.Failure.Error == ErrorAborted })
}

// childItem is the end of one resource as its child execution shows it.
type childItem struct {
	Item
	layer int
}

// mostChildren is how many resources of a stopped layer are looked at one by
// one. Each takes two calls, of which Step Functions allows some 20 a second;
// the others are reported as perhaps changed.
const mostChildren = 200

// underWay reads the children of the map that was started last, and counts the
// maps of layers.
func (c Closer) underWay(ctx context.Context, execution string) (items []childItem, maps int, err error) {
	runs, err := c.Executions.ListMapRuns(ctx, &sfn.ListMapRunsInput{ExecutionArn: aws.String(execution), MaxResults: 100})
	if err != nil {
		return nil, maps, action.Call("listing the map runs of the execution", err)
	}
	var last types.MapRunListItem
	for _, r := range runs.MapRuns {
		if !IsLayerMap(aws.ToString(r.MapRunArn)) {
			continue
		}
		if maps++; last.StartDate == nil || r.StartDate.After(*last.StartDate) {
			last = r
		}
	}
	if last.MapRunArn == nil {
		return nil, maps, nil
	}
	children, err := c.Executions.ListExecutions(ctx, &sfn.ListExecutionsInput{MapRunArn: last.MapRunArn, MaxResults: mostChildren})
	if err != nil {
		return nil, maps, action.Call("listing the children of the layer", err)
	}
	for _, child := range children.Executions {
		item, err := c.child(ctx, aws.ToString(child.ExecutionArn))
		if err != nil {
			return nil, maps, err
		}
		items = append(items, item)
	}
	return items, maps, nil
}

// LayersLabel is the label of the map that drives a layer. Step Functions
// makes it part of the ARN of each map run.
const LayersLabel = "Layers"

// IsLayerMap reports whether a map run, by its ARN, drives a layer.
func IsLayerMap(mapRun string) bool { return strings.Contains(mapRun, "/"+LayersLabel+":") }

// child reads one resource from its execution: its own result where it came
// to one, otherwise what its function said last.
func (c Closer) child(ctx context.Context, arn string) (childItem, error) {
	e, err := c.Executions.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: aws.String(arn)})
	if err != nil {
		return childItem{}, action.Call("describing a child of the layer", err)
	}
	var input struct {
		Resource action.Resource `json:"resource"`
	}
	if err := json.Unmarshal([]byte(aws.ToString(e.Input)), &input); err != nil {
		return childItem{}, fmt.Errorf("reading the input of %s: %w", arn, err)
	}
	out := childItem{layer: input.Resource.Layer}
	if e.Status == types.ExecutionStatusSucceeded && json.Unmarshal([]byte(aws.ToString(e.Output)), &out.Item) == nil {
		return out, nil
	}
	history, err := c.Executions.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: aws.String(arn), ReverseOrder: true, MaxResults: 100, IncludeExecutionData: aws.Bool(true)})
	if err != nil {
		return childItem{}, action.Call("reading the history of a child of the layer", err)
	}
	out.Item = lastSeen(history.Events)
	out.Index, out.Name, out.Optional = input.Resource.Index, input.Resource.Name, input.Resource.Optional
	out.StartedAt, out.EndedAt = aws.ToTime(e.StartDate), aws.ToTime(e.StopDate)
	return out, nil
}

// lastSeen tells from a child's history, newest event first, what its function
// said last. A call that was sent and not answered may have changed something.
func lastSeen(events []types.HistoryEvent) Item {
	item := Item{Status: report.Failed, Changed: action.ChangeNo, Phase: "not begun", Message: "its function was not called"}
	// Of the calls after the last answer: one has no end, or an end that says
	// nothing.
	inFlight, ended, answered := false, false, false
	for _, event := range events {
		switch {
		case event.TaskScheduledEventDetails != nil && !answered:
			inFlight, ended = inFlight || !ended, false
		case event.TaskTimedOutEventDetails != nil && !answered:
			inFlight = true
		case event.TaskFailedEventDetails != nil && !answered:
			// Only of a call that ended in a class of ours is it known that
			// nothing was changed by it.
			class := action.Class(aws.ToString(event.TaskFailedEventDetails.Error))
			known := class != action.OutcomeUnknown && class != action.Internal && slices.Contains(action.Classes, class)
			ended, inFlight = true, inFlight || !known
		case event.TaskSucceededEventDetails != nil && !answered:
			var result struct {
				Payload action.Answer `json:"Payload"`
			}
			if json.Unmarshal([]byte(aws.ToString(event.TaskSucceededEventDetails.Output)), &result) != nil || result.Payload.Status == "" {
				ended = true // a call that changes nothing: it locked, or looked
				continue
			}
			if result.Payload.Status == action.Redriven { // before that somebody looked
				ended, item.Changed = true, item.Changed.Or(result.Payload.Changed)
				continue
			}
			answered = true
			item.Phase, item.Message, item.Evidence, item.Memo = result.Payload.Phase, result.Payload.Message, result.Payload.Evidence, result.Payload.Memo
			item.Changed = item.Changed.Or(result.Payload.Changed)
			if result.Payload.Status == action.Done && !inFlight {
				item.Status = report.Done
			}
		}
	}
	if inFlight {
		item.Changed = item.Changed.Or(action.ChangeUnknown)
	}
	if item.Status != report.Done {
		item.Failure = &failure{Error: ErrorAborted, Cause: "the run was ended while this was under way, and AWS may go on with it; last seen: " + item.Message}
	}
	return item
}

// has reads a document that may not be there.
func (s Store) has(ctx context.Context, r action.Run, doc string, into any) (bool, error) {
	err := s.get(ctx, r, doc, into)
	if action.ClassOf(err) == action.NotFound && err != nil {
		return false, nil
	}
	return err == nil, err
}
