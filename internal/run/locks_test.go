package run

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/condition"
	"dr-orchestrator/internal/lock"
	"dr-orchestrator/internal/report"
)

// tables are the locks by resource, and the executions that run or were stopped.
type tables struct {
	items   map[string]map[string]types.AttributeValue
	stopped map[string]time.Time
}

func (d tables) PutItem(_ context.Context, in *dynamodb.PutItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	key := in.Item["resource"].(*types.AttributeValueMemberS).Value
	if met, err := condition.Met(in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues, d.items[key]); err != nil {
		return nil, err
	} else if !met {
		return nil, &types.ConditionalCheckFailedException{Item: d.items[key]}
	}
	d.items[key] = in.Item
	return &dynamodb.PutItemOutput{}, nil
}

func (d tables) DeleteItem(_ context.Context, in *dynamodb.DeleteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	key := in.Key["resource"].(*types.AttributeValueMemberS).Value
	if met, err := condition.Met(in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues, d.items[key]); err != nil {
		return nil, err
	} else if !met {
		return nil, &types.ConditionalCheckFailedException{}
	}
	delete(d.items, key)
	return &dynamodb.DeleteItemOutput{}, nil
}

func (d tables) DescribeExecution(_ context.Context, in *sfn.DescribeExecutionInput, _ ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	if at, stopped := d.stopped[aws.ToString(in.ExecutionArn)]; stopped {
		return &sfn.DescribeExecutionOutput{Status: sfntypes.ExecutionStatusAborted, StopDate: aws.Time(at)}, nil
	}
	return &sfn.DescribeExecutionOutput{Status: sfntypes.ExecutionStatusRunning}, nil
}

func (d tables) owners() map[string]string {
	all := map[string]string{}
	for key, item := range d.items {
		all[key] = item["owner"].(*types.AttributeValueMemberS).Value
	}
	return all
}

// What a run locks, and what it gives up where another one is in the way: all of
// it before it begins, and nothing for one resource of a redrive, beside which
// others are worked on under locks of the same run.
func TestSetLocks(t *testing.T) {
	const ours, theirs = executionARN, executionARN + "-2"
	index := func(i int) *int { return &i }
	mine := func(keys ...string) map[string]string {
		all := map[string]string{}
		for _, key := range keys {
			all[key] = ours
		}
		return all
	}
	with := func(owners map[string]string, key string) map[string]string {
		owners[key] = theirs
		return owners
	}
	for _, tt := range []struct {
		name     string
		held     map[string]string
		stopped  time.Duration // ago, of theirs; 0: it runs
		in       LocksInput
		want     map[string]string
		decision string
	}{
		{"all are free", nil, 0, LocksInput{}, mine("a", "shared", "b", "c"), "go"},
		{"all are its own", mine("a", "shared", "b", "c"), 0, LocksInput{}, mine("a", "shared", "b", "c"), "go"},
		{"one is held", with(mine(), "c"), 0, LocksInput{}, with(mine(), "c"), "held"},
		{"one is held, and others its own", with(mine("a", "b"), "shared"), 0, LocksInput{}, with(mine(), "shared"), "held"},
		{"one is of a run just stopped", with(mine(), "c"), time.Second, LocksInput{}, with(mine(), "c"), "wait"},
		{"one is of a run long stopped", with(mine(), "c"), time.Hour, LocksInput{}, mine("a", "shared", "b", "c"), "go"},
		{"of one resource all are free", nil, 0, LocksInput{Resource: index(0)}, mine("a", "shared"), "go"},
		{"of the first, that is", nil, 0, LocksInput{Resource: index(2)}, mine("c"), "go"},
		{"of one resource one is held, the other its own", with(mine("a", "b"), "shared"), 0, LocksInput{Resource: index(0)}, with(mine("a", "b"), "shared"), "held"},
		{"of one resource one is held, the other free", with(mine("b"), "shared"), 0, LocksInput{Resource: index(0)}, with(mine("a", "b"), "shared"), "held"},
		{"of one resource one is of a run just stopped", with(mine("a"), "shared"), time.Second, LocksInput{Resource: index(0)}, with(mine("a"), "shared"), "wait"},
		{"of one resource one is of a run long stopped", with(mine("a"), "shared"), time.Hour, LocksInput{Resource: index(0)}, mine("a", "shared"), "go"},
		{"given up", with(mine("a", "b", "other"), "shared"), 0, LocksInput{Release: true}, with(mine("other"), "shared"), "go"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan := planOf(2, 1)
			plan.Layers[0].Resources[0].Identities = []string{"shared", "a"}
			plan.Layers[0].Resources[1].Identities = []string{"b", "shared"}
			plan.Layers[1].Resources[0].Identities = []string{"c"}
			b, d := newBucket(), tables{map[string]map[string]types.AttributeValue{}, map[string]time.Time{}}
			b.holds(t, documents+"plan.json", plan)
			for key, owner := range tt.held {
				d.items[key] = map[string]types.AttributeValue{"resource": &types.AttributeValueMemberS{Value: key}, "owner": &types.AttributeValueMemberS{Value: owner}, "since": &types.AttributeValueMemberS{Value: started.Format(time.RFC3339Nano)}}
			}
			if tt.stopped > 0 {
				d.stopped[theirs] = ended.Add(-tt.stopped)
			}
			tt.in.Run = plan.Run
			got, err := Locker{Store: Store{S3: b, Bucket: "runs-bucket"}, Locks: lock.Locks{Table: d, Executions: d, Name: "locks"}, Now: func() time.Time { return ended }}.Set(t.Context(), tt.in)
			if err != nil || got.Decision != tt.decision {
				t.Errorf("%+v, %v, want %s", got, err, tt.decision)
			}
			if diff := cmp.Diff(tt.want, d.owners()); diff != "" {
				t.Errorf("locks (-want +got):\n%s", diff)
			}
			if held := got.Decision == "held"; held != (got.Outcome == report.Refused) || held != strings.Contains(got.Cause, "drctl watch "+theirs) {
				t.Errorf("%+v", got)
			}
			if waits := got.Decision == "wait"; waits != (got.Wait == 90) || !waits && got.Wait != 0 {
				t.Errorf("it waits %d s", got.Wait)
			}
		})
	}
}

// Who approved is kept before anything is locked.
func TestSetLocksKeepsTheApproval(t *testing.T) {
	for _, approval := range []string{"", "approved by somebody"} {
		b, d := newBucket(), tables{items: map[string]map[string]types.AttributeValue{}}
		plan := planOf(1)
		plan.Layers[0].Resources[0].Identities = []string{"a"}
		b.holds(t, documents+"plan.json", plan)
		b.errs[documents+"approval.json"] = coded("SlowDown")
		_, err := Locker{Store: Store{S3: b, Bucket: "runs-bucket"}, Locks: lock.Locks{Table: d, Executions: d, Name: "locks"}, Now: func() time.Time { return ended }}.Set(t.Context(), LocksInput{Run: plan.Run, Approval: approval})
		if asked := approval != ""; asked != (action.ClassOf(err) == action.Throttled) || asked != (len(d.items) == 0) {
			t.Errorf("%q: %v, locked %v", approval, err, d.owners())
		}
	}
}
