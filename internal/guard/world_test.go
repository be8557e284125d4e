package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"dr-orchestrator/internal/condition"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

const (
	machines  = "arn:aws:states:us-west-2:111122223333:stateMachine:dr-"
	runPrefix = "arn:aws:states:us-west-2:111122223333:execution:dr-"
)

// execution is one that the world knows of.
type execution struct {
	machine, name, input string
	status               sfntypes.ExecutionStatus
	started, redriven    time.Time
}

func (e execution) arn() string { return runPrefix + e.machine + ":" + e.name }

// world answers every call of the guard.
type world struct {
	now        time.Time
	red        map[string]time.Time // alarms, and since when
	other      map[string]string    // alarms that are not red, and their state
	tags       map[string]string    // of alarms: one each, KEY=VALUE
	tagErr     error
	alarmErr   error
	executions []execution // the oldest first
	unlisted   bool        // ListExecutions knows nothing of what was started lately
	startErr   error
	items      map[string]map[string]types.AttributeValue
	putErr     error
	notices    []sns.PublishInput
	events     []Told
	started    []sfn.StartExecutionInput
	// before is called ahead of each call, and after behind each that took effect.
	before, after func(call string)
}

func newWorld() *world {
	return &world{now: now, red: map[string]time.Time{}, other: map[string]string{}, items: map[string]map[string]types.AttributeValue{}}
}

func (w *world) guard() Guard {
	return Guard{
		Region: "us-west-2", Machines: machines, Topic: "arn:topic", Memory: Memory{Table: w, Name: "dr-locks"}, Alarms: w, Executions: w, Events: w, Notices: w,
		Prober: w, Now: func() time.Time { return w.now }, Deployment: "dr", Metrics: io.Discard,
	}
}

// call begins a call; what it gives ends it.
func (w *world) call(name string) func() {
	if w.before != nil {
		w.before(name)
	}
	return func() {
		if w.after != nil {
			w.after(name)
		}
	}
}

func (w *world) Probe(context.Context, string) Answer {
	return Answer{Silent: true, Told: "it does not answer"}
}

func (w *world) DescribeAlarms(_ context.Context, in *cloudwatch.DescribeAlarmsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error) {
	defer w.call("DescribeAlarms")()
	out := &cloudwatch.DescribeAlarmsOutput{}
	asked := func(name string) bool {
		return len(in.AlarmNames) == 0 && strings.HasPrefix(name, aws.ToString(in.AlarmNamePrefix)) || slices.Contains(in.AlarmNames, name)
	}
	for name, since := range w.red {
		if asked(name) {
			a := cwtypes.MetricAlarm{AlarmName: aws.String(name), AlarmArn: aws.String("arn:alarm:" + name), StateValue: cwtypes.StateValueAlarm}
			if !since.IsZero() {
				a.StateTransitionedTimestamp = aws.Time(since)
			}
			out.MetricAlarms = append(out.MetricAlarms, a)
		}
	}
	for name, state := range w.other {
		if asked(name) && (in.StateValue == "" || string(in.StateValue) == state) {
			out.MetricAlarms = append(out.MetricAlarms, cwtypes.MetricAlarm{AlarmName: aws.String(name), AlarmArn: aws.String("arn:alarm:" + name), StateValue: cwtypes.StateValue(state), StateTransitionedTimestamp: aws.Time(w.now)})
		}
	}
	return out, w.alarmErr
}

func (w *world) ListTagsForResource(_ context.Context, in *cloudwatch.ListTagsForResourceInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.ListTagsForResourceOutput, error) {
	defer w.call("ListTagsForResource")()
	out := &cloudwatch.ListTagsForResourceOutput{Tags: []cwtypes.Tag{{Key: aws.String("name"), Value: aws.String("x")}}}
	if key, value, ok := strings.Cut(w.tags[strings.TrimPrefix(aws.ToString(in.ResourceARN), "arn:alarm:")], "="); ok {
		out.Tags = append(out.Tags, cwtypes.Tag{Key: aws.String(key), Value: aws.String(value)})
	}
	return out, w.tagErr
}

func (w *world) StartExecution(_ context.Context, in *sfn.StartExecutionInput, _ ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error) {
	defer w.call("StartExecution")()
	if w.startErr != nil {
		return nil, w.startErr
	}
	e := execution{machine: "failover", name: aws.ToString(in.Name), input: aws.ToString(in.Input), status: sfntypes.ExecutionStatusRunning, started: w.now}
	if !slices.ContainsFunc(w.executions, func(x execution) bool { return x.arn() == e.arn() }) {
		w.executions = append(w.executions, e)
		w.started = append(w.started, *in)
	}
	return &sfn.StartExecutionOutput{ExecutionArn: aws.String(e.arn())}, nil
}

func (w *world) DescribeExecution(_ context.Context, in *sfn.DescribeExecutionInput, _ ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	defer w.call("DescribeExecution")()
	for _, e := range w.executions {
		if e.arn() == aws.ToString(in.ExecutionArn) {
			return &sfn.DescribeExecutionOutput{Input: aws.String(e.input), Status: e.status}, nil
		}
	}
	return nil, &sfntypes.ExecutionDoesNotExist{}
}

func (w *world) ListExecutions(_ context.Context, in *sfn.ListExecutionsInput, _ ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error) {
	defer w.call("ListExecutions")()
	if in.StatusFilter == sfntypes.ExecutionStatusPendingRedrive {
		return nil, errors.New("ValidationException: PENDING_REDRIVE goes with mapRunArn only")
	}
	machine := strings.TrimPrefix(aws.ToString(in.StateMachineArn), machines)
	from, _ := strconv.Atoi(aws.ToString(in.NextToken))
	size := int(in.MaxResults)
	if size == 0 {
		size = 100
	}
	out, n := &sfn.ListExecutionsOutput{}, 0
	for _, e := range slices.Backward(w.executions) {
		if e.machine != machine || in.StatusFilter != "" && in.StatusFilter != e.status ||
			w.unlisted && slices.ContainsFunc(w.started, func(s sfn.StartExecutionInput) bool { return aws.ToString(s.Name) == e.name }) {
			continue
		}
		if n++; n <= from {
			continue
		}
		if n > from+size {
			out.NextToken = aws.String(fmt.Sprint(from + size))
			break
		}
		item := sfntypes.ExecutionListItem{ExecutionArn: aws.String(e.arn()), Name: aws.String(e.name), StartDate: aws.Time(e.started), Status: e.status}
		if !e.redriven.IsZero() {
			item.RedriveDate = aws.Time(e.redriven)
		}
		out.Executions = append(out.Executions, item)
	}
	return out, nil
}

func (w *world) GetItem(_ context.Context, in *dynamodb.GetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	defer w.call("GetItem")()
	return &dynamodb.GetItemOutput{Item: w.items[in.Key[attrKey].(*types.AttributeValueMemberS).Value]}, nil
}

func (w *world) PutItem(_ context.Context, in *dynamodb.PutItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	key := in.Item[attrKey].(*types.AttributeValueMemberS).Value
	defer w.call("PutItem " + key)()
	if w.putErr != nil {
		return nil, w.putErr
	}
	old := w.items[key]
	if met, err := condition.Met(in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues, old); err != nil {
		return nil, err
	} else if !met {
		return nil, &types.ConditionalCheckFailedException{Item: old}
	}
	w.items[key] = in.Item
	return &dynamodb.PutItemOutput{}, nil
}

func (w *world) PutEvents(_ context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	defer w.call("PutEvents")()
	for _, e := range in.Entries {
		var told Told
		if err := json.Unmarshal([]byte(aws.ToString(e.Detail)), &told); err != nil {
			return nil, err
		}
		w.events = append(w.events, told)
	}
	return &eventbridge.PutEventsOutput{}, nil
}

func (w *world) Publish(_ context.Context, in *sns.PublishInput, _ ...func(*sns.Options)) (*sns.PublishOutput, error) {
	defer w.call("Publish")()
	w.notices = append(w.notices, *in)
	return &sns.PublishOutput{}, nil
}

// request is a trigger on requests that starts runs, and asked an event of it.
func request(change func(*Trigger)) Trigger {
	t := Trigger{Name: "by-hand", On: OnRequest, Mode: ModeAutomatic, Payload: "orders"}
	if change != nil {
		change(&t)
	}
	return t.Normal()
}

func eventOf(id string, at time.Time, detail any) json.RawMessage {
	text, err := json.Marshal(map[string]any{"id": id, "detail-type": RequestDetailType, "time": at, "detail": detail})
	if err != nil {
		panic(err) // plain data
	}
	return text
}

func asked(id string, at time.Time) json.RawMessage {
	return eventOf(id, at, map[string]any{"trigger": "by-hand"})
}

// decided has the guard decide about one event, and gives what it told.
func (w *world) decided(t *testing.T, trigger Trigger, event json.RawMessage) Told {
	t.Helper()
	out, err := w.guard().Decide(t.Context(), Input{Trigger: trigger, Event: event})
	if err != nil || len(out.Decisions) != 1 {
		t.Fatalf("%+v, %v", out, err)
	}
	return out.Decisions[0]
}
