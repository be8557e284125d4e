// Package lock gives each resource to one running execution of a region.
//
// A lock is an item of a DynamoDB table, written on the condition that nobody
// holds it. It is owned by an execution and not by time: a lock whose owner no
// longer runs is taken over, and one whose owner runs is never broken.
package lock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/report"
)

// Table is every call to DynamoDB that locking makes.
type Table interface {
	PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	DeleteItem(context.Context, *dynamodb.DeleteItemInput, ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
}

// Executions tells whether an owner still runs.
type Executions interface {
	DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error)
}

// Locks are the locks of one region.
type Locks struct {
	Table      Table
	Executions Executions
	Name       string // of the table
}

// Holder is a running execution that has a lock.
type Holder struct {
	Resource  string
	Execution string    // ARN
	Since     time.Time // when it took the lock
	since     string    // as it is written
	// Until is when a holder that was stopped has certainly done its last; zero:
	// it runs.
	Until time.Time
}

// lastBreath is how long a function of a stopped execution may still be at
// work: Lambda ends it, and nobody tells it to stop.
const lastBreath = 90 * time.Second

// keepFor is when DynamoDB may drop a lock that nobody released: long after
// the longest life of an execution's own time limits.
const keepFor = 30 * 24 * time.Hour

// attributes of an item.
const (
	attrResource = "resource"
	attrOwner    = "owner"
	attrSince    = "since"
	attrExpires  = "expires"
)

// Acquire takes the locks of resources for an execution, all or none. It goes
// in the order of the names and stops at the first that somebody else holds:
// of two executions with resources in common, the one that gets the first of
// them gets them all. Asked again by the same execution, it succeeds again.
// A holder other than nil is who is in the way.
func (l Locks) Acquire(ctx context.Context, execution string, resources []string, now time.Time) (*Holder, error) {
	sorted := slices.Compact(slices.Sorted(slices.Values(resources)))
	for i, resource := range sorted {
		holder, err := l.take(ctx, execution, resource, now)
		if holder == nil && err == nil {
			continue
		}
		if undo := l.Release(ctx, execution, sorted[:i]); undo != nil && err == nil {
			err = undo
		}
		return holder, err
	}
	return nil, nil
}

// Reacquire takes the locks of one resource again for an execution that was
// redriven. What it gets it keeps, even if it does not get all: the resources
// beside this one may be worked on under the same locks.
func (l Locks) Reacquire(ctx context.Context, execution string, resources []string, now time.Time) (*Holder, error) {
	for _, resource := range slices.Compact(slices.Sorted(slices.Values(resources))) {
		if holder, err := l.take(ctx, execution, resource, now); holder != nil || err != nil {
			return holder, err
		}
	}
	return nil, nil
}

// take takes one lock, from an owner that no longer runs if need be.
func (l Locks) take(ctx context.Context, execution, resource string, now time.Time) (*Holder, error) {
	var previous *Holder
	for range 3 { // an owner may end, and another come, between two looks
		holder, err := l.put(ctx, execution, resource, previous, now)
		if holder == nil || err != nil {
			return nil, err
		}
		running, until, err := l.running(ctx, holder.Execution)
		if err != nil { // whoever holds it may be at work
			return nil, action.Errorf(action.Conflict, report.Held+"%s is locked by %s since %s; "+report.HeldWatch+"%s; whether it runs could not be seen: %w",
				holder.Resource, holder.Execution, holder.Since.Format(time.RFC3339), holder.Execution, err)
		}
		if running || until.After(now) {
			holder.Until = until
			return holder, nil
		}
		previous = holder
	}
	return nil, action.Errorf(action.Conflict, "the lock of %s changes hands again and again", resource)
}

// put writes a lock on the condition that it is free, one's own, or still as a
// previous owner took it: an owner that was redriven since takes it again, at
// another time, and then it is no longer to be had. Otherwise it gives the holder.
func (l Locks) put(ctx context.Context, execution, resource string, previous *Holder, now time.Time) (*Holder, error) {
	condition, values := "attribute_not_exists(#resource) OR #owner = :me", map[string]types.AttributeValue{":me": text(execution)}
	names := map[string]string{"#resource": attrResource, "#owner": attrOwner}
	if previous != nil {
		condition += " OR #owner = :previous AND #since = :since"
		names["#since"] = attrSince
		values[":previous"], values[":since"] = text(previous.Execution), text(previous.since)
	}
	_, err := l.Table.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: aws.String(l.Name),
		Item: map[string]types.AttributeValue{
			attrResource: text(resource), attrOwner: text(execution), attrSince: text(now.UTC().Format(time.RFC3339Nano)),
			attrExpires: &types.AttributeValueMemberN{Value: fmt.Sprint(now.Add(keepFor).Unix())},
		},
		ConditionExpression:                 aws.String(condition),
		ExpressionAttributeNames:            names,
		ExpressionAttributeValues:           values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var held *types.ConditionalCheckFailedException
	if errors.As(err, &held) {
		text := value(held.Item, attrSince)
		since, _ := time.Parse(time.RFC3339, text)
		return &Holder{Resource: resource, Execution: value(held.Item, attrOwner), Since: since, since: text}, nil
	}
	return nil, action.Call("locking "+resource, err)
}

// running reports whether an execution still runs, and of one that was ended
// from outside until when a function of it may. One that Step Functions no
// longer knows ended long ago. One that ended itself, by one of its four ends,
// had nothing under way; one that Step Functions failed may have.
func (l Locks) running(ctx context.Context, execution string) (bool, time.Time, error) {
	out, err := l.Executions.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: aws.String(execution)})
	var gone *sfntypes.ExecutionDoesNotExist
	if errors.As(err, &gone) {
		return false, time.Time{}, nil
	}
	if err != nil {
		return false, time.Time{}, action.Call("describing the execution", err)
	}
	switch out.Status {
	case sfntypes.ExecutionStatusRunning, sfntypes.ExecutionStatusPendingRedrive:
		return true, time.Time{}, nil
	case sfntypes.ExecutionStatusSucceeded:
		return false, time.Time{}, nil
	case sfntypes.ExecutionStatusFailed:
		switch report.Outcome(aws.ToString(out.Error)) {
		case report.Refused, report.FailedClean, report.FailedDirty:
			return false, time.Time{}, nil
		}
	}
	return false, aws.ToTime(out.StopDate).Add(lastBreath), nil
}

// Release gives up the locks that an execution holds; those of others, and
// those that are free, stay as they are.
func (l Locks) Release(ctx context.Context, execution string, resources []string) error {
	var failed []error
	for _, resource := range resources {
		_, err := l.Table.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: aws.String(l.Name), Key: map[string]types.AttributeValue{attrResource: text(resource)},
			ConditionExpression:       aws.String("#owner = :me"),
			ExpressionAttributeNames:  map[string]string{"#owner": attrOwner},
			ExpressionAttributeValues: map[string]types.AttributeValue{":me": text(execution)},
		})
		var notOurs *types.ConditionalCheckFailedException
		if err != nil && !errors.As(err, &notOurs) {
			failed = append(failed, action.Call("unlocking "+resource, err))
		}
	}
	return errors.Join(failed...)
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func value(item map[string]types.AttributeValue, name string) string {
	s, _ := item[name].(*types.AttributeValueMemberS)
	if s == nil {
		return ""
	}
	return s.Value
}
