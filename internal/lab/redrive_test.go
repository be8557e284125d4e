package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/asl"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/report"
	"dr-orchestrator/internal/run"
)

// stoppable is a run that is stopped when the count of states entered and API
// calls made comes to a number.
type stoppable struct {
	*Account
	t      testing.TB
	first  *Execution
	count  int
	states []int            // the counts at which a state was entered
	byName map[string][]int // the same, by state
	acts   []int            // the counts of the calls that changed something
}

// stoppedThen begins a run and stops it at a count (0: never), waits until it is
// closed, and has then do what a test wants.
func stoppedThen(t testing.TB, payload []byte, at int, then func(s *stoppable)) *stoppable {
	t.Helper()
	clock := NewClock(Epoch)
	s := &stoppable{byName: map[string][]int{}, Account: NewAccount(slowed(30), clock, 1, nil), t: t}
	clock.Run(func() {
		var err error
		if s.first, err = s.runs.start("us-west-2", MachineName(catalog.Failover), "first", payload); err != nil {
			t.Error(err)
			return
		}
		s.stopAt(at)
		s.first.ended.Wait(0)
		if s.first.Result.Status != asl.StatusSucceeded {
			s.first.closed.Wait(0)
		}
		s.stopAt(0)
		then(s)
	})
	return s
}

// stopAt stops the first run when the count comes to a number.
func (s *stoppable) stopAt(at int) {
	made := total(s.Mutations())
	step := func() {
		if n := total(s.Mutations()); n > made {
			made, s.acts = n, append(s.acts, s.count+1)
		}
		if s.count++; s.count == at && s.first.Running() {
			s.runs.stop(s.first, "", "")
		}
	}
	s.onCall = step
	s.runs.observe = func(e asl.Event) {
		if e.Kind == asl.StateEntered {
			s.states = append(s.states, s.count+1)
			s.byName[e.State] = append(s.byName[e.State], s.count+1)
			step()
		}
	}
}

// redrive redrives the first run and waits for its end. Meanwhile it may drive
// nothing of which it does not hold the locks, unless it only looks.
func (s *stoppable) redrive() Result {
	s.t.Helper()
	before := s.runs.observe
	s.runs.observe = func(e asl.Event) {
		before(e)
		if e.State != "DriveResource" || e.Kind != asl.TaskScheduled || !strings.HasPrefix(e.Execution.MachineName, s.first.Machine+"/") {
			return
		}
		var in struct{ Payload action.Envelope }
		if err := json.Unmarshal(e.Input, &in); err != nil {
			s.t.Error(err)
		}
		if in.Payload.Run.ID != "first" || in.Payload.Drive.Redriven || in.Payload.Drive.Late {
			return
		}
		for _, identity := range in.Payload.Resource.Identities {
			if owner := attribute(s.items["us-west-2/"+lockTable+"/"+identity], "owner"); owner != s.first.ARN {
				s.t.Errorf("a redrive drives %s, whose lock is %q's", identity, owner)
			}
		}
	}
	if err := s.runs.redrive(s.first); err != nil {
		s.t.Error(err)
		return Result{}
	}
	s.first.ended.Wait(0)
	return s.resultOf(s.first)
}

func (s *stoppable) resultOf(e *Execution) Result {
	s.t.Helper()
	if e.Result.Status == asl.StatusAborted {
		e.closed.Wait(0)
	}
	out, err := s.result(e)
	if err != nil {
		s.t.Error(err)
	}
	return out
}

// twice names what was acted on twice, apart from what may be.
func (s *stoppable) twice() string {
	begun := map[string]int{}
	for _, op := range s.history {
		if !again(op) {
			begun[op.Target]++
		}
		if begun[op.Target] > 1 {
			return op.Target
		}
	}
	return ""
}

// spread gives every count at which a state was entered, and each nth of the
// others.
func (s *stoppable) spread(n int) []int {
	points := slices.Clone(s.states)
	for at := 1; at <= s.count; at += n {
		points = append(points, at)
	}
	slices.Sort(points)
	return slices.Compact(points)
}

// A run that is stopped at any state, and at some API calls, and is then
// redriven comes to the end of an undisturbed run: nothing is acted on twice, no
// lock is left, and its report tells of all of it.
func TestStoppedAnywhereAndRedriven(t *testing.T) {
	payload := twoLayers(t)
	var want string
	calm := stoppedThen(t, payload, 0, func(s *stoppable) { want = topology(s.Snapshot()) })
	if calm.first.Result.Status != asl.StatusSucceeded || len(calm.states) < 50 {
		t.Fatalf("%s by %d states", calm.first.Result.Status, len(calm.states))
	}
	again := 0
	for _, at := range calm.spread(7) {
		var result Result
		s := stoppedThen(t, payload, at, func(s *stoppable) {
			if s.first.Result.Status == asl.StatusAborted {
				result = s.redrive()
			}
		})
		if s.first.Result.Status != asl.StatusSucceeded {
			t.Fatalf("stopped at %d of %d, then redriven: %s: %s", at, calm.count, result.Outcome, result.Cause)
		}
		if s.first.Redrives == 0 {
			t.Fatalf("stopped at %d of %d: it was not", at, calm.count)
		}
		if diff := cmp.Diff(want, topology(s.Estate)); diff != "" {
			t.Fatalf("stopped at %d of %d, the end differs:\n%s", at, calm.count, diff)
		}
		if what := s.twice(); what != "" || len(s.items) > 0 {
			t.Fatalf("stopped at %d of %d: %s was acted on twice; locks left: %v", at, calm.count, what, s.items)
		}
		if result.Record.Outcome != report.Succeeded || len(result.Record.Layers) != 2 {
			t.Fatalf("stopped at %d of %d: the report says %s: %s", at, calm.count, result.Record.Outcome, result.Record.Cause)
		}
		for _, layer := range result.Layers {
			for _, r := range layer.Resources {
				if r.Status != report.Done || r.Error != nil {
					t.Fatalf("stopped at %d of %d: the report says of %s: %s, %v", at, calm.count, r.ResourceName, r.Status, r.Error)
				}
			}
		}
		for _, e := range s.first.Events {
			if e.State == "LockAgain" && e.Kind == asl.TaskSucceeded {
				again++
			}
		}
	}
	if again == 0 {
		t.Error("nothing was locked again")
	}
}

// Stopped and redriven, and stopped and redriven again: what close-run wrote of
// the first stop is not taken for the state at the second.
func TestStoppedTwiceAndRedriven(t *testing.T) {
	payload := twoLayers(t)
	calm := stoppedThen(t, payload, 0, func(*stoppable) {})
	points := calm.spread(calm.count)
	for i := 0; i < len(points); i += 9 {
		for _, later := range []int{3, 25, 60} {
			s := stoppedThen(t, payload, points[i], func(s *stoppable) {
				s.stopAt(s.count + later)
				first := s.redrive()
				if s.first.Result.Status != asl.StatusAborted {
					return
				}
				begun := slices.ContainsFunc(s.history, func(op *Operation) bool { return strings.HasPrefix(op.Owner, "first/") })
				if first.Outcome == report.FailedClean && begun {
					t.Errorf("stopped at %d and %d later: it says that nothing was changed", points[i], later)
				}
				s.stopAt(0)
				if second := s.redrive(); second.Outcome != report.Succeeded || second.Record.Outcome != report.Succeeded {
					t.Errorf("stopped at %d and %d later: %s: %s", points[i], later, second.Outcome, second.Cause)
				}
			})
			if what := s.twice(); what != "" || len(s.items) > 0 {
				t.Errorf("stopped at %d and %d later: %s was acted on twice; locks left: %v", points[i], later, what, s.items)
			}
		}
	}
}

// While another run holds the locks that a stopped one had, a redrive of that one
// changes nothing, and names the other.
func TestARedriveFindsItsLocksTaken(t *testing.T) {
	for name, payload := range map[string][]byte{"one layer": sample(t, "failover-three-databases.json"), "two layers": twoLayers(t)} {
		calm := stoppedThen(t, payload, 0, func(*stoppable) {})
		// Before the children are there, while some are, in each call that changes
		// something, and here and there.
		points := append(slices.Clone(calm.acts), calm.byName["AwaitTurn"]...)
		for i := 0; i < len(calm.states); i += 6 {
			points = append(points, calm.states[i])
		}
		for _, at := range points {
			var first, second Result
			changed, toldNo := 0, 0
			s := stoppedThen(t, payload, at, func(s *stoppable) {
				other, err := s.runs.start("us-west-2", MachineName(catalog.Failover), "second", payload)
				if err != nil {
					t.Error(err)
					return
				}
				layer := s.clock.NewSignal()
				s.runs.observe = func(e asl.Event) {
					if e.State == "RunLayer" && e.Execution.Name == "second" {
						layer.Fire()
					}
				}
				if !layer.Wait(10 * time.Minute) {
					t.Errorf("%s, stopped at %d: the second run drives nothing", name, at)
				}
				redriven, before := s.clock.Now(), len(s.first.Events)
				first = s.redrive()
				for _, op := range s.history {
					// What it promoted itself it tags when the lock is free again.
					if strings.HasPrefix(op.Owner, "first/") && !op.started.Before(redriven) && !again(op) {
						changed++
					}
				}
				for _, e := range s.first.Events[before:] {
					if e.State == "LockAgain" && e.Kind == asl.TaskSucceeded && strings.Contains(string(e.Output), `"decision":"held"`) {
						toldNo++
					}
				}
				other.ended.Wait(0)
				second = s.resultOf(other)
			})
			if second.Outcome != report.Succeeded {
				t.Errorf("%s, stopped at %d: the second run: %s: %s", name, at, second.Outcome, second.Cause)
			}
			if what := s.twice(); what != "" || changed > 0 || len(s.items) > 0 {
				t.Errorf("%s, stopped at %d: %s was acted on twice, %d by the redrive; locks left: %v", name, at, what, changed, s.items)
			}
			if first.Outcome == report.Succeeded && toldNo > 0 || first.Outcome != report.Succeeded && !strings.Contains(first.Cause, ":second") {
				t.Errorf("%s, stopped at %d: %s does not name who is at work: %s", name, at, first.Outcome, first.Cause)
			}
			begun := slices.ContainsFunc(s.history, func(op *Operation) bool { return strings.HasPrefix(op.Owner, "first/") })
			if begun && (first.Outcome == report.Refused || first.Outcome == report.FailedClean) {
				t.Errorf("%s, stopped at %d: %s, and it began something", name, at, first.Outcome)
			}
		}
	}
}

// A redrive after the time limit begins nothing. What AWS has done by itself
// meanwhile is seen.
func TestARedriveAfterTheTimeLimit(t *testing.T) {
	payload := twoLayers(t)
	calm := stoppedThen(t, payload, 0, func(*stoppable) {})
	for _, tt := range []struct {
		name     string
		at       int
		faults   string
		cause    string
		statuses string
		outcome  report.Outcome
	}{
		{"before it drove anything", calm.byName["AwaitTurn"][0], "", "TimeLimit", "FAILED SKIPPED", report.FailedClean},
		{"while AWS was at work", calm.byName["WaitForResource"][1], "", "time limit of the run", "DONE SKIPPED", report.FailedDirty},
		{"in the middle of a call", calm.acts[0], "", "time limit of the run", "DONE SKIPPED", report.FailedDirty},
		{"in the middle of a call, and it cannot look", calm.acts[0], "throttle@function:promote-read-replica#1", "TimeLimit", "FAILED SKIPPED", report.FailedDirty},
		{"before the first layer", calm.byName["HasNextLayer"][0], "", "time limit of the run", "SKIPPED SKIPPED", report.FailedClean},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var result Result
			calls := 0
			s := stoppedThen(t, payload, tt.at, func(s *stoppable) {
				s.clock.Sleep(10 * 24 * time.Hour)
				s.faults = newFaults(faultsOf(t, tt.faults))
				calls = total(s.Mutations())
				result = s.redrive()
			})
			var statuses []string
			for _, layer := range result.Layers {
				for _, r := range layer.Resources {
					statuses = append(statuses, string(r.Status))
				}
			}
			if got := strings.Join(statuses, " "); got != tt.statuses || !strings.Contains(result.Cause, tt.cause) || result.Outcome != tt.outcome {
				t.Errorf("%s: %s: %s", result.Outcome, got, result.Cause)
			}
			if n := total(s.Mutations()); n != calls || len(s.items) > 0 {
				t.Errorf("%d calls were made after the limit; locks left: %v", n-calls, s.items)
			}
		})
	}
}

// Where the table gives no answer, or nobody can say whether the owner of a lock
// runs, a redrive drives nothing, in a disaster as well; and what the run changed
// before is not forgotten.
func TestARedriveThatCannotLock(t *testing.T) {
	inLayer := func(s *stoppable) int { return s.byName["WaitForResource"][0] }
	between := func(s *stoppable) int { return s.byName["HasNextLayer"][1] }
	disastrous := edited(t, "failover-replica-and-cache.json", func(doc map[string]any) { doc["Options"] = map[string]any{"Disaster": true} })
	two := strings.Replace(string(twoLayers(t)), `{`, `{"Options":{"Disaster":true},`, 1)
	const theirs = "arn:aws:states:us-west-2:111122223333:execution:dr-orchestrator-failover:theirs"
	for _, tt := range []struct {
		name    string
		payload []byte
		at      func(*stoppable) int
		faults  string
		cause   string
	}{
		{"no answer, in a layer", disastrous, inLayer, "error@dynamodb:PutItem", "locking"},
		{"no answer, between layers", []byte(two), between, "error@dynamodb:PutItem", "locking"},
		{"no function, between layers", []byte(two), between, "throttle@function:set-locks", "could not be locked: Lambda.TooManyRequestsException"},
		{"an owner unseen, in a layer", disastrous, inLayer, "error@states:DescribeExecution", theirs},
		{"an owner unseen, between layers", []byte(two), between, "error@states:DescribeExecution", theirs},
	} {
		t.Run(tt.name, func(t *testing.T) {
			calm := stoppedThen(t, tt.payload, 0, func(*stoppable) {})
			stoppedThen(t, tt.payload, tt.at(calm), func(s *stoppable) {
				s.clock.Sleep(2 * time.Minute)
				if tt.cause == theirs {
					for _, item := range s.items {
						item["owner"] = map[string]any{"S": theirs}
					}
				}
				before := total(s.Mutations())
				s.faults = newFaults(faultsOf(t, tt.faults))
				result := s.redrive()
				if n := total(s.Mutations()) - before; n > 0 || result.Outcome != report.FailedDirty || !strings.Contains(result.Cause, tt.cause) {
					t.Errorf("%d calls; %s: %s", n, result.Outcome, result.Cause)
				}
			})
		})
	}
}

// Minutes in which Lambda does not run the function that locks end no redrive.
// Without it nothing is begun until the time limit, and what AWS has done by then
// by itself is seen.
func TestARedriveWaitsForTheFunctionThatLocks(t *testing.T) {
	payload := sample(t, "failover-three-databases.json")
	calm := stoppedThen(t, payload, 0, func(*stoppable) {})
	before, begun := calm.byName["DriveResource"][0], calm.byName["WaitForResource"][2]
	for _, tt := range []struct {
		name    string
		at      int
		faults  string
		outcome report.Outcome
		cause   string
	}{
		{"throttled before anything was begun", before, "throttle@function:set-locks#1-20", report.Succeeded, ""},
		{"throttled when all was begun", begun, "throttle@function:set-locks#1-20", report.Succeeded, ""},
		{"failing before anything was begun", before, "error@function:set-locks#1-20", report.Succeeded, ""},
		{"without end before anything was begun", before, "throttle@function:set-locks", report.FailedClean, "TimeLimit: not done within its time limit of 7200 s; its lock was not taken again; "},
		{"without end when all was begun", begun, "throttle@function:set-locks", report.Succeeded, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stoppedThen(t, payload, tt.at, func(s *stoppable) {
				made := total(s.Mutations())
				s.faults = newFaults(faultsOf(t, tt.faults))
				result := s.redrive()
				if result.Outcome != tt.outcome || !strings.Contains(result.Cause, tt.cause) || s.twice() != "" {
					t.Errorf("%s: %s; twice: %q", result.Outcome, result.Cause, s.twice())
				}
				if n := total(s.Mutations()) - made; strings.Contains(tt.name, "without end") && n > 0 {
					t.Errorf("%d calls without a lock", n)
				}
			})
		})
	}
}

// What Step Functions tells of a redrive, and which executions it refuses.
func TestRedriveExecution(t *testing.T) {
	o := newOperator(t, slowed(7200))
	ctx := context.Background()
	redrive := func(arn *string) error {
		_, err := o.RedriveExecution(ctx, &sfn.RedriveExecutionInput{ExecutionArn: arn})
		return err
	}
	refused := func(what string, err error) {
		t.Helper()
		var not *sfntypes.ExecutionNotRedrivable
		if !errors.As(err, &not) {
			t.Errorf("%s: %v", what, err)
		}
	}
	input := string(sample(t, "failover-three-databases.json"))
	arn := o.start("dr-orchestrator-failover:live", input)
	children := func() []sfntypes.ExecutionListItem {
		runs, err := o.ListMapRuns(ctx, &sfn.ListMapRunsInput{ExecutionArn: arn})
		if err != nil || len(runs.MapRuns) == 0 || !run.IsLayerMap(aws.ToString(runs.MapRuns[0].MapRunArn)) {
			return nil
		}
		list, err := o.ListExecutions(ctx, &sfn.ListExecutionsInput{MapRunArn: runs.MapRuns[0].MapRunArn})
		if err != nil {
			t.Fatal(err)
		}
		return list.Executions
	}
	o.until("three children", func() bool { return len(children()) == 3 })
	refused("it runs", redrive(arn))
	if d := o.describe(arn); d.RedriveStatus != sfntypes.ExecutionRedriveStatusNotRedrivable || aws.ToString(d.RedriveStatusReason) == "" || aws.ToInt32(d.RedriveCount) != 0 || d.RedriveDate != nil {
		t.Errorf("it runs: %s %d %v", d.RedriveStatus, aws.ToInt32(d.RedriveCount), d.RedriveDate)
	}
	if _, err := o.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: arn}); err != nil {
		t.Fatal(err)
	}
	child := children()[0].ExecutionArn
	if d, c := o.describe(arn), o.describe(child); d.RedriveStatus != sfntypes.ExecutionRedriveStatusRedrivable || c.RedriveStatus != sfntypes.ExecutionRedriveStatusRedrivableByMapRun {
		t.Errorf("it was stopped: %s, its child %s", d.RedriveStatus, c.RedriveStatus)
	}
	refused("a child", redrive(child))
	if err := redrive(arn); err != nil {
		t.Fatal(err)
	}
	if d := o.describe(arn); d.Status != sfntypes.ExecutionStatusRunning || aws.ToInt32(d.RedriveCount) != 1 || d.RedriveDate == nil || d.StopDate != nil || d.RedriveDate.Before(*d.StartDate) {
		t.Errorf("%s %d %v %v", d.Status, aws.ToInt32(d.RedriveCount), d.RedriveDate, d.StopDate)
	}
	o.until("the children run again", func() bool {
		return !slices.ContainsFunc(children(), func(c sfntypes.ExecutionListItem) bool {
			return c.Status != sfntypes.ExecutionStatusRunning || aws.ToInt32(c.RedriveCount) != 1 || c.RedriveDate == nil
		})
	})
	kinds := kindsOf(o.history(arn))
	tail := fmt.Sprint(kinds[slices.Index(kinds, "MapRunAborted"):])
	if tail != "[MapRunAborted ExecutionAborted ExecutionRedriven MapRunRedriven]" {
		t.Error(tail)
	}
	plan := o.start("dr-orchestrator-failover:live", string(planned(t, "failover-three-databases.json")))
	if d := o.ended(plan); d.Status != sfntypes.ExecutionStatusSucceeded {
		t.Fatalf("%s", d.Status)
	}
	refused("it succeeded", redrive(plan))
}

// A run that came to an end of its own is not saved by a redrive: it comes to
// the same end.
func TestARedriveOfAnEnd(t *testing.T) {
	var before, after Result
	s := stoppedThen(t, impatient(t), 0, func(s *stoppable) {
		before = s.resultOf(s.first)
		after = s.redrive()
	})
	if before.Outcome != report.Refused || after.Outcome != before.Outcome || after.Cause != before.Cause || total(s.Mutations()) > 0 {
		t.Errorf("%s: %s, then %s: %s", before.Outcome, before.Cause, after.Outcome, after.Cause)
	}
	s.first.Ended = s.first.Ended.Add(-redrivable - time.Second)
	if why := s.runs.obstacle(s.first); !strings.Contains(why, "14 days") {
		t.Errorf("after 14 days: %q", why)
	}
}

// The children of a layer that is run again start late and are locked again.
// What the first run of the layer has changed is told all the same.
func TestALayerRunAgainTellsWhatItChanged(t *testing.T) {
	payload := sample(t, "failover-three-databases.json")
	again := 0
	result, err := Run(Options{
		Payload: payload, Machine: catalog.Failover, Estate: slowed(90), Seed: 1, Faults: faultsOf(t, "error@states:WriteResults#3"),
		Trace: func(e asl.Event) {
			if e.State == "LockAgain" && e.Kind == asl.StateEntered {
				again++
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	untrue(t, result, payload)
	if result.Outcome != report.Succeeded || again != 3 {
		t.Errorf("%s: %s; %d locked again", result.Outcome, result.Cause, again)
	}
}
