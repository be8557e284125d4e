package lock

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/condition"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// account is a table of locks and a list of running executions.
type account struct {
	owners  map[string]string
	running map[string]bool
	stopped time.Time // when those that do not run were stopped
	failed  string    // the error with which they failed instead; empty: they were stopped
	unseen  error     // of every look at an execution
	since   map[string]string
	look    func() // happens while an execution is looked at
	puts    int
	failPut int // the put that fails, counted from 1
}

func newAccount(running ...string) *account {
	a := &account{owners: map[string]string{}, running: map[string]bool{}, since: map[string]string{}}
	for _, e := range running {
		a.running[e] = true
	}
	return a
}

func (a *account) locks() Locks { return Locks{Table: a, Executions: a, Name: "locks"} }

func (a *account) PutItem(_ context.Context, in *dynamodb.PutItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	if a.puts++; a.puts == a.failPut {
		return nil, errors.New("no answer")
	}
	resource := value(in.Item, attrResource)
	if err := a.check(resource, in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.ReturnValuesOnConditionCheckFailure); err != nil {
		return nil, err
	}
	a.owners[resource], a.since[resource] = value(in.Item, attrOwner), value(in.Item, attrSince)
	return &dynamodb.PutItemOutput{}, nil
}

func (a *account) DeleteItem(_ context.Context, in *dynamodb.DeleteItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	resource := value(in.Key, attrResource)
	if err := a.check(resource, in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.ReturnValuesOnConditionCheckFailure); err != nil {
		return nil, err
	}
	delete(a.owners, resource)
	return &dynamodb.DeleteItemOutput{}, nil
}

// check fails a call whose condition the lock of a resource does not meet.
func (a *account) check(resource string, expression *string, names map[string]string, values map[string]types.AttributeValue, give types.ReturnValuesOnConditionCheckFailure) error {
	var item map[string]types.AttributeValue
	if owner, taken := a.owners[resource]; taken {
		item = map[string]types.AttributeValue{attrResource: text(resource), attrOwner: text(owner), attrSince: text(a.since[resource])}
	}
	met, err := condition.Met(expression, names, values, item)
	if met || err != nil {
		return err
	}
	failed := &types.ConditionalCheckFailedException{}
	if give == types.ReturnValuesOnConditionCheckFailureAllOld {
		failed.Item = item
	}
	return failed
}

func (a *account) DescribeExecution(_ context.Context, in *sfn.DescribeExecutionInput, _ ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	running, known := a.running[aws.ToString(in.ExecutionArn)]
	if a.look != nil {
		a.look()
	}
	switch {
	case a.unseen != nil:
		return nil, a.unseen
	case !known:
		return nil, &sfntypes.ExecutionDoesNotExist{}
	case running:
		return &sfn.DescribeExecutionOutput{Status: sfntypes.ExecutionStatusRunning}, nil
	}
	if a.failed != "" {
		return &sfn.DescribeExecutionOutput{Status: sfntypes.ExecutionStatusFailed, Error: aws.String(a.failed), StopDate: aws.Time(a.stopped)}, nil
	}
	return &sfn.DescribeExecutionOutput{Status: sfntypes.ExecutionStatusAborted, StopDate: aws.Time(a.stopped)}, nil
}

func TestAcquireAndRelease(t *testing.T) {
	a := newAccount("one", "two")
	ctx := context.Background()
	if holder, err := a.locks().Acquire(ctx, "one", []string{"b", "a", "a"}, noon); holder != nil || err != nil {
		t.Fatalf("free: %v, %v", holder, err)
	}
	if holder, err := a.locks().Acquire(ctx, "one", []string{"a", "b"}, noon); holder != nil || err != nil {
		t.Errorf("its own, asked again: %v, %v", holder, err)
	}
	holder, err := a.locks().Acquire(ctx, "two", []string{"c", "b", "0"}, noon)
	if err != nil || holder == nil || holder.Execution != "one" || holder.Resource != "b" || !holder.Since.Equal(noon) {
		t.Errorf("held by another: %+v, %v", holder, err)
	}
	if a.owners["0"] != "" || a.owners["c"] != "" {
		t.Errorf("the loser keeps locks: %v", a.owners)
	}
	if err := a.locks().Release(ctx, "two", []string{"a", "b", "z"}); err != nil || a.owners["b"] != "one" {
		t.Errorf("releasing what is another's: %v, %v", err, a.owners)
	}
	if err := a.locks().Release(ctx, "one", []string{"a", "b"}); err != nil || len(a.owners) != 0 {
		t.Errorf("release: %v, %v", err, a.owners)
	}
}

func TestALockWhoseOwnerNoLongerRunsIsTakenOver(t *testing.T) {
	for name, known := range map[string]bool{"ended": true, "forgotten by Step Functions": false} {
		a := newAccount("new")
		if known {
			a.running["old"] = false
		}
		a.owners["a"] = "old"
		if holder, err := a.locks().Acquire(context.Background(), "new", []string{"a"}, noon); holder != nil || err != nil || a.owners["a"] != "new" {
			t.Errorf("%s: %v, %v, %v", name, holder, err, a.owners)
		}
	}
}

// Of a run that was just stopped, a function may still be at work.
func TestALockOfARunThatWasJustStopped(t *testing.T) {
	a := newAccount("new")
	a.running["old"], a.owners["a"], a.stopped = false, "old", noon.Add(-lastBreath+time.Second)
	holder, err := a.locks().Acquire(context.Background(), "new", []string{"a"}, noon)
	if err != nil || holder == nil || !holder.Until.Equal(noon.Add(time.Second)) || a.owners["a"] != "old" {
		t.Errorf("%+v, %v, %v", holder, err, a.owners)
	}
	if holder, err := a.locks().Acquire(context.Background(), "new", []string{"a"}, noon.Add(time.Second)); holder != nil || err != nil || a.owners["a"] != "new" {
		t.Errorf("a second later: %+v, %v, %v", holder, err, a.owners)
	}
}

// A run that came to one of its own ends has nothing under way. One that Step
// Functions failed may have, like one that was stopped.
func TestALockOfARunThatFailed(t *testing.T) {
	for failed, free := range map[string]bool{"Refused": true, "FailedClean": true, "FailedDirty": true, "States.Runtime": false} {
		a := newAccount("new")
		a.running["old"], a.owners["a"], a.stopped, a.failed = false, "old", noon.Add(-time.Second), failed
		holder, err := a.locks().Acquire(context.Background(), "new", []string{"a"}, noon)
		if err != nil || (holder == nil) != free {
			t.Errorf("%s: %+v, %v", failed, holder, err)
		}
	}
}

// Of every status in which an execution may be, whether its lock is to be had: at
// once, when a function of it has done its last, or not at all.
func TestALockByTheStatusOfItsOwner(t *testing.T) {
	const never, later, now = "never", "later", "now"
	statuses := map[sfntypes.ExecutionStatus]string{
		sfntypes.ExecutionStatusRunning: never, sfntypes.ExecutionStatusPendingRedrive: never,
		sfntypes.ExecutionStatusAborted: later, sfntypes.ExecutionStatusTimedOut: later, sfntypes.ExecutionStatusFailed: later,
		sfntypes.ExecutionStatusSucceeded: now,
	}
	for _, status := range sfntypes.ExecutionStatus("").Values() {
		want, known := statuses[status]
		if !known {
			t.Errorf("%s is a new one", status)
		}
		for ago, free := range map[time.Duration]bool{time.Second: want == now, time.Hour: want != never} {
			a := newAccount("new")
			a.owners["a"] = "old"
			holder, err := Locks{Table: a, Executions: standing{status, noon.Add(-ago)}, Name: "locks"}.Acquire(context.Background(), "new", []string{"a"}, noon)
			if err != nil || (holder == nil) != free || (a.owners["a"] == "new") != free || !free && holder.Until.IsZero() != (want == never) {
				t.Errorf("%s, %v ago: %+v, %v", status, ago, holder, err)
			}
		}
	}
}

// standing is Step Functions with one answer.
type standing struct {
	status  sfntypes.ExecutionStatus
	stopped time.Time
}

func (s standing) DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	return &sfn.DescribeExecutionOutput{Status: s.status, StopDate: aws.Time(s.stopped)}, nil
}

// An owner that is redriven, and takes its lock again, while another run looks
// whether it still runs, keeps it: the takeover was of what is no longer there.
func TestALockThatItsRedrivenOwnerTookAgain(t *testing.T) {
	a := newAccount("new")
	a.running["old"] = false
	ctx := context.Background()
	if holder, err := a.locks().Acquire(ctx, "old", []string{"a"}, noon); holder != nil || err != nil {
		t.Fatalf("%+v, %v", holder, err)
	}
	a.look = func() { // the answer "it was stopped" is on its way already
		a.look, a.running["old"] = nil, true
		if holder, err := a.locks().Reacquire(ctx, "old", []string{"a"}, noon.Add(time.Millisecond)); holder != nil || err != nil {
			t.Errorf("again: %+v, %v", holder, err)
		}
	}
	holder, err := a.locks().Acquire(ctx, "new", []string{"a"}, noon.Add(time.Hour))
	if err != nil || holder == nil || holder.Execution != "old" || a.owners["a"] != "old" {
		t.Errorf("%+v, %v, %v", holder, err, a.owners)
	}
}

// What a redriven run gets of the locks of one resource it keeps: those beside
// it may be worked on under the same.
func TestReacquireKeepsWhatItGets(t *testing.T) {
	a := newAccount("one", "two")
	a.owners["b"] = "two"
	holder, err := a.locks().Reacquire(context.Background(), "one", []string{"c", "b", "a"}, noon)
	if err != nil || holder == nil || holder.Execution != "two" || a.owners["a"] != "one" || a.owners["c"] != "" {
		t.Errorf("%+v, %v, %v", holder, err, a.owners)
	}
	delete(a.owners, "b")
	if holder, err = a.locks().Reacquire(context.Background(), "one", []string{"c", "b", "a"}, noon); holder != nil || err != nil || len(a.owners) != 3 {
		t.Errorf("%+v, %v, %v", holder, err, a.owners)
	}
}

// A holder of whom nobody can say whether it runs may be at work: the class of
// the error tells it from a table that cannot be reached.
func TestALockWhoseOwnerCannotBeSeen(t *testing.T) {
	a := newAccount("new")
	a.owners["a"], a.unseen = "old", context.DeadlineExceeded
	holder, err := a.locks().Acquire(context.Background(), "new", []string{"a"}, noon)
	if holder != nil || action.ClassOf(err) != action.Conflict || !strings.Contains(err.Error(), "old") || a.owners["a"] != "old" {
		t.Errorf("%+v, %v, %v", holder, err, a.owners)
	}
}

func TestAFailureGivesUpWhatWasTaken(t *testing.T) {
	a := newAccount("one")
	a.failPut = 2
	if _, err := a.locks().Acquire(context.Background(), "one", []string{"a", "b"}, noon); err == nil || !strings.Contains(err.Error(), "b") {
		t.Errorf("%v", err)
	}
	if len(a.owners) != 0 {
		t.Errorf("still held: %v", a.owners)
	}
}

// endless is an owner that ends whenever it is looked at, and another that is
// there whenever the lock is tried.
type endless struct{ *account }

func (e endless) DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	e.owners["a"] += "x"
	return &sfn.DescribeExecutionOutput{Status: sfntypes.ExecutionStatusSucceeded}, nil
}

func TestALockThatChangesHandsIsGivenUp(t *testing.T) {
	a := newAccount()
	a.owners["a"] = "x"
	_, err := Locks{Table: a, Executions: endless{a}, Name: "locks"}.Acquire(context.Background(), "me", []string{"a"}, noon)
	if action.ClassOf(err) != action.Conflict {
		t.Errorf("%v", err)
	}
}

// Of two executions with resources in common, at every interleaving of their
// steps, exactly one gets the common ones, and neither keeps what it does not
// use.
func TestTwoExecutionsNeverBothWinNorBothLose(t *testing.T) {
	want := map[string][]string{"one": {"a", "b", "c"}, "two": {"b", "c", "d"}}
	for schedule := range 1 << 7 {
		a := newAccount("one", "two")
		turns := map[string]chan bool{"one": make(chan bool), "two": make(chan bool)}
		won := map[string]chan bool{"one": make(chan bool, 1), "two": make(chan bool, 1)}
		for name, resources := range want {
			go func() {
				table := taking{a, turns[name]}
				holder, err := Locks{Table: table, Executions: a, Name: "locks"}.Acquire(context.Background(), name, resources, noon)
				won[name] <- holder == nil && err == nil
				close(won[name])
			}()
		}
		ended := map[string]bool{}
		results := map[string]bool{}
		for step := 0; len(ended) < 2; step++ {
			name := "one"
			if schedule>>(step%7)&1 == 1 {
				name = "two"
			}
			if ended[name] {
				name = map[string]string{"one": "two", "two": "one"}[name]
			}
			select {
			case turns[name] <- true:
				<-turns[name]
			case results[name] = <-won[name]:
				ended[name] = true
			}
		}
		if results["one"] == results["two"] {
			t.Fatalf("schedule %b: one %v, two %v", schedule, results["one"], results["two"])
		}
		winner := "one"
		if results["two"] {
			winner = "two"
		}
		for resource, owner := range a.owners {
			if owner != winner || !slices.Contains(want[winner], resource) {
				t.Fatalf("schedule %b: %s is held by %s, and %s won", schedule, resource, owner, winner)
			}
		}
		if len(a.owners) != 3 {
			t.Fatalf("schedule %b: %v", schedule, a.owners)
		}
	}
}

// taking lets one call through each time that it is its turn.
type taking struct {
	*account
	turn chan bool
}

func (t taking) PutItem(ctx context.Context, in *dynamodb.PutItemInput, o ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	<-t.turn
	defer func() { t.turn <- true }()
	return t.account.PutItem(ctx, in, o...)
}

func (t taking) DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, o ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error) {
	<-t.turn
	defer func() { t.turn <- true }()
	return t.account.DeleteItem(ctx, in, o...)
}
