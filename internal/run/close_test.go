package run

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/report"
)

// stopped is Step Functions with one execution and the children of its layer.
type stopped struct {
	status   types.ExecutionStatus
	redriven *time.Time
	mapRuns  []string
	children []child
	err      error
}

type child struct {
	resource action.Resource
	status   types.ExecutionStatus
	output   string
	events   []types.HistoryEvent // newest first
}

func (s *stopped) DescribeExecution(_ context.Context, in *sfn.DescribeExecutionInput, _ ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	for i, c := range s.children {
		if aws.ToString(in.ExecutionArn) == fmt.Sprint("child-", i) {
			input, err := json.Marshal(map[string]any{"resource": c.resource})
			return &sfn.DescribeExecutionOutput{Status: c.status, Input: aws.String(string(input)), Output: aws.String(c.output), StartDate: aws.Time(started), StopDate: aws.Time(ended)}, err
		}
	}
	return &sfn.DescribeExecutionOutput{Status: s.status, Name: aws.String("run-1"), StartDate: aws.Time(started), StopDate: aws.Time(ended), RedriveDate: s.redriven, Cause: aws.String("enough")}, s.err
}

func (s *stopped) GetExecutionHistory(_ context.Context, in *sfn.GetExecutionHistoryInput, _ ...func(*sfn.Options)) (*sfn.GetExecutionHistoryOutput, error) {
	var i int
	if _, err := fmt.Sscanf(aws.ToString(in.ExecutionArn), "child-%d", &i); err != nil || !in.ReverseOrder {
		return nil, fmt.Errorf("asked for %s", aws.ToString(in.ExecutionArn))
	}
	return &sfn.GetExecutionHistoryOutput{Events: s.children[i].events}, s.err
}

func (s *stopped) ListExecutions(context.Context, *sfn.ListExecutionsInput, ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error) {
	out := &sfn.ListExecutionsOutput{}
	for i := range s.children {
		out.Executions = append(out.Executions, types.ExecutionListItem{ExecutionArn: aws.String(fmt.Sprint("child-", i))})
	}
	return out, s.err
}

func (s *stopped) ListMapRuns(context.Context, *sfn.ListMapRunsInput, ...func(*sfn.Options)) (*sfn.ListMapRunsOutput, error) {
	out := &sfn.ListMapRunsOutput{}
	for i, label := range s.mapRuns {
		out.MapRuns = append(out.MapRuns, types.MapRunListItem{MapRunArn: aws.String("arn:aws:states:us-west-2:111122223333:mapRun:dr-orchestrator-failover/" + label + ":id"),
			StartDate: aws.Time(started.Add(time.Duration(i) * time.Minute))})
	}
	return out, s.err
}

// The events of a child, newest first, of which lastSeen makes the end of a
// resource.
func scheduled() types.HistoryEvent {
	return types.HistoryEvent{TaskScheduledEventDetails: &types.TaskScheduledEventDetails{}}
}

func failedWith(class string) types.HistoryEvent {
	return types.HistoryEvent{TaskFailedEventDetails: &types.TaskFailedEventDetails{Error: aws.String(class)}}
}

func answered(status action.Status, changed action.Change) types.HistoryEvent {
	text, err := json.Marshal(map[string]any{"Payload": action.Answer{Status: status, Changed: changed, Phase: "promoting", Message: "it is modifying", Memo: map[string]string{}}})
	if err != nil {
		panic(err)
	}
	return types.HistoryEvent{TaskSucceededEventDetails: &types.TaskSucceededEventDetails{Output: aws.String(string(text))}}
}

func TestLastSeen(t *testing.T) {
	const no, yes, unknown = action.ChangeNo, action.ChangeYes, action.ChangeUnknown
	waiting, done := action.InProgress, action.Done
	for _, tt := range []struct {
		name    string
		events  []types.HistoryEvent
		status  report.Status
		changed action.Change
	}{
		{"its function was not called", nil, report.Failed, no},
		{"waiting, nothing changed", []types.HistoryEvent{answered(waiting, no), scheduled()}, report.Failed, no},
		{"waiting, changed", []types.HistoryEvent{answered(waiting, yes), scheduled()}, report.Failed, yes},
		{"waiting, perhaps changed", []types.HistoryEvent{answered(waiting, unknown), scheduled()}, report.Failed, unknown},
		{"done", []types.HistoryEvent{answered(done, yes), scheduled()}, report.Done, yes},
		{"the first call is on its way", []types.HistoryEvent{scheduled()}, report.Failed, unknown},
		{"a call is on its way", []types.HistoryEvent{scheduled(), answered(waiting, no), scheduled()}, report.Failed, unknown},
		{"a call is on its way, after a change", []types.HistoryEvent{scheduled(), answered(waiting, yes), scheduled()}, report.Failed, yes},
		{"the last call was throttled", []types.HistoryEvent{failedWith("Throttled"), scheduled(), answered(waiting, no), scheduled()}, report.Failed, no},
		{"the last call died", []types.HistoryEvent{failedWith("Lambda.Unknown"), scheduled(), answered(waiting, no), scheduled()}, report.Failed, unknown},
		{"the answer of AWS was lost", []types.HistoryEvent{failedWith("OutcomeUnknown"), scheduled()}, report.Failed, unknown},
		{"a defect of ours", []types.HistoryEvent{failedWith("Internal"), scheduled()}, report.Failed, unknown},
		{"a call timed out", []types.HistoryEvent{{TaskTimedOutEventDetails: &types.TaskTimedOutEventDetails{}}, scheduled()}, report.Failed, unknown},
		{"an older call died, a later one answered", []types.HistoryEvent{answered(waiting, no), scheduled(), failedWith("Lambda.Unknown"), scheduled()}, report.Failed, no},
		{"redriven, and on its way to the lock", []types.HistoryEvent{scheduled(), answered(action.Redriven, no), scheduled(), answered(waiting, no), scheduled()}, report.Failed, unknown},
		{"redriven and locked, nothing changed", []types.HistoryEvent{answered("", ""), scheduled(), answered(action.Redriven, no), scheduled(), answered(waiting, no), scheduled()}, report.Failed, no},
		{"redriven after a call that was on its way", []types.HistoryEvent{answered("", ""), scheduled(), answered(action.Redriven, unknown), scheduled(), scheduled(), answered(waiting, no)}, report.Failed, unknown},
		{"throttled, then on its way", []types.HistoryEvent{scheduled(), failedWith("Throttled"), scheduled()}, report.Failed, unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := lastSeen(tt.events)
			if got.Status != tt.status || got.Changed != tt.changed {
				t.Errorf("%s, changed %s, want %s, changed %s", got.Status, got.Changed, tt.status, tt.changed)
			}
			if (got.Failure != nil) != (tt.status == report.Failed) || got.Failure != nil && !strings.Contains(got.Failure.Cause, got.Message) {
				t.Errorf("the failure is %+v", got.Failure)
			}
		})
	}
}

func TestClose(t *testing.T) {
	plan := planOf(2, 1)
	resource := func(layer, index int) action.Resource { return plan.Layers[layer].Resources[index] }
	under := func(r action.Resource, events ...types.HistoryEvent) child {
		return child{resource: r, status: types.ExecutionStatusAborted, events: events}
	}
	finished := func(r action.Resource) child {
		text, err := json.Marshal(Item{Index: r.Index, Name: r.Name, Status: report.Done, Changed: action.ChangeYes})
		if err != nil {
			t.Fatal(err)
		}
		return child{resource: r, status: types.ExecutionStatusSucceeded, output: string(text)}
	}
	for _, tt := range []struct {
		name     string
		status   types.ExecutionStatus
		left     []string // documents of the run
		mapRuns  []string
		children []child
		decision string
		outcome  report.Outcome
		statuses string
	}{
		{"it still runs", types.ExecutionStatusRunning, nil, nil, nil, "the execution is RUNNING", "", ""},
		{"it succeeded", types.ExecutionStatusSucceeded, nil, nil, nil, "the execution is SUCCEEDED", "", ""},
		{"it failed and said so", types.ExecutionStatusFailed, []string{docPlan, docReport}, nil, nil, "the run has reported itself", report.Refused, ""},
		{"stopped at once", types.ExecutionStatusAborted, nil, nil, nil, "closed", report.FailedClean, ""},
		{"stopped in the preflight", types.ExecutionStatusAborted, []string{docPlan}, []string{"abc"}, nil, "closed", report.FailedClean, "SKIPPED SKIPPED SKIPPED"},
		{"stopped while it waited for an approval", types.ExecutionStatusAborted, []string{docPlan, docReadiness}, []string{"abc"}, nil, "closed", report.FailedClean, "SKIPPED SKIPPED SKIPPED"},
		{"stopped in the first layer, nothing changed", types.ExecutionStatusAborted, []string{docPlan, docReadiness}, []string{"abc", LayersLabel},
			[]child{under(resource(0, 0), answered(action.InProgress, action.ChangeNo), scheduled()), under(resource(0, 1))}, "closed", report.FailedClean, "FAILED FAILED SKIPPED"},
		{"stopped in the first layer", types.ExecutionStatusTimedOut, []string{docPlan, docReadiness}, []string{"abc", LayersLabel},
			[]child{under(resource(0, 0), answered(action.InProgress, action.ChangeYes), scheduled()), finished(resource(0, 1))}, "closed", report.FailedDirty, "FAILED DONE SKIPPED"},
		{"a child is missing", types.ExecutionStatusAborted, []string{docPlan, docReadiness}, []string{LayersLabel},
			[]child{under(resource(0, 1))}, "closed", report.FailedDirty, "FAILED FAILED SKIPPED"},
		{"no child is shown yet", types.ExecutionStatusAborted, []string{docPlan, docReadiness}, []string{"abc", LayersLabel}, nil, "closed", report.FailedDirty, "FAILED FAILED SKIPPED"},
		{"no child of the second layer is shown yet", types.ExecutionStatusAborted, []string{docPlan, docReadiness, docResults(1)}, []string{LayersLabel, LayersLabel}, nil, "closed", report.FailedDirty, "DONE DONE FAILED"},
		{"a report from before the redrive", types.ExecutionStatusFailed, []string{docPlan, docReadiness, docReport + " before"}, []string{LayersLabel},
			[]child{finished(resource(0, 0)), finished(resource(0, 1))}, "closed", report.FailedDirty, "DONE DONE SKIPPED"},
		{"stopped after it had said so", types.ExecutionStatusAborted, []string{docPlan, docReadiness, docReport}, nil, nil, "the run has reported itself", report.Refused, ""},
		{"closed before, and not heard", types.ExecutionStatusAborted, []string{docPlan, docReport + " by close-run"}, nil, nil, "closed", report.FailedClean, "SKIPPED SKIPPED SKIPPED"},
		{"redriven, and it said so", types.ExecutionStatusFailed, []string{docPlan, docReport + " after"}, nil, nil, "the run has reported itself", report.Refused, ""},
		{"redriven, and stopped again in the same layer", types.ExecutionStatusAborted, []string{docPlan, docReadiness, docResults(1) + " cut off", docReport + " before"}, []string{LayersLabel},
			[]child{finished(resource(0, 0)), under(resource(0, 1), answered(action.InProgress, action.ChangeYes))}, "closed", report.FailedDirty, "DONE FAILED SKIPPED"},
		{"stopped between the layers", types.ExecutionStatusAborted, []string{docPlan, docReadiness, docResults(1)}, []string{LayersLabel},
			[]child{finished(resource(0, 0)), finished(resource(0, 1))}, "closed", report.FailedDirty, "DONE DONE SKIPPED"},
		{"stopped in the second layer", types.ExecutionStatusAborted, []string{docPlan, docReadiness, docResults(1)}, []string{LayersLabel, LayersLabel},
			[]child{under(resource(1, 0), scheduled())}, "closed", report.FailedDirty, "DONE DONE FAILED"},
		{"Step Functions ended it", types.ExecutionStatusFailed, []string{docPlan, docReadiness}, []string{LayersLabel},
			[]child{finished(resource(0, 0)), finished(resource(0, 1))}, "closed", report.FailedDirty, "DONE DONE SKIPPED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, told := newBucket(), &outlets{}
			var redriven *time.Time
			for _, doc := range tt.left {
				var v any
				switch doc {
				case docPlan:
					v = plan
				case docReadiness:
					v = readyFor(plan)
				case docReport:
					v = report.Record{Outcome: report.Refused, EndedAt: ended.Add(-time.Minute)}
				case docReport + " by close-run":
					doc, v = docReport, report.Record{Outcome: report.FailedDirty, Cause: report.EndedOutside + " (ABORTED): enough", EndedAt: ended}
				case docReport + " before":
					redriven = aws.Time(ended.Add(-time.Minute))
					doc, v = docReport, report.Record{Outcome: report.Refused, EndedAt: redriven.Add(-time.Second)}
				case docReport + " after":
					redriven = aws.Time(ended.Add(-time.Minute))
					doc, v = docReport, report.Record{Outcome: report.Refused, EndedAt: *redriven}
				case docResults(1) + " cut off":
					aborted := &failure{Error: ErrorAborted}
					doc, v = docResults(1), []Item{{Index: 0, Status: report.Failed, Failure: aborted}, {Index: 1, Status: report.Failed, Failure: aborted}}
				default:
					v = []Item{{Index: 0, Status: report.Done, Changed: action.ChangeYes}, {Index: 1, Status: report.Done, Changed: action.ChangeNo}}
				}
				b.holds(t, documents+doc, v)
			}
			s := &stopped{status: tt.status, redriven: redriven, mapRuns: tt.mapRuns, children: tt.children}
			c := Closer{
				Reporter:   Reporter{Store: Store{S3: b, Bucket: "runs-bucket"}, Events: told, Notices: told, Topic: "arn", Now: func() time.Time { return ended }},
				Executions: s,
			}
			got, err := c.Close(t.Context(), CloseInput{Execution: plan.Run.Execution})
			if err != nil || got.Decision != tt.decision || got.Outcome != tt.outcome {
				t.Fatalf("%s: %s, %v, want %s: %s", got.Decision, got.Outcome, err, tt.decision, tt.outcome)
			}
			if closes := got.Decision == "closed"; closes != slices.Contains(b.puts, documents+docReport) || closes != (len(told.events) == 1) {
				t.Errorf("wrote %v and told %d events", b.puts, len(told.events))
			}
			if got.Decision != "closed" {
				return
			}
			record := document[report.Record](t, b, documents+docReport)
			var ends []string
			for _, layer := range record.Layers {
				for _, r := range layer.Resources {
					ends = append(ends, string(r.Status))
				}
			}
			if all := strings.Join(ends, " "); all != tt.statuses || !strings.Contains(record.Cause, "enough") {
				t.Errorf("%s: %s, want %s", all, record.Cause, tt.statuses)
			}
		})
	}
}
