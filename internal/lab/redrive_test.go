package lab

import (
	"context"
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
	states []int // the counts at which a state was entered
}

// stoppedThen begins a run and stops it at a count (0: never), waits until it is
// closed, and has then do what a test wants.
func stoppedThen(t testing.TB, payload []byte, at int, then func(s *stoppable)) *stoppable {
	t.Helper()
	clock := NewClock(Epoch)
	s := &stoppable{Account: NewAccount(slowed(30), clock, 1, nil), t: t}
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
	step := func() {
		if s.count++; s.count == at && s.first.Running() {
			s.runs.stop(s.first, "", "")
		}
	}
	s.onCall = step
	s.runs.observe = func(e asl.Event) {
		if e.Kind == asl.StateEntered {
			s.states = append(s.states, s.count+1)
			step()
		}
	}
}

// redrive redrives the first run and waits for its end.
func (s *stoppable) redrive() Result {
	s.t.Helper()
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

// twice names what was acted on twice, apart from what AWS does of itself.
func (s *stoppable) twice() string {
	begun := map[string]int{}
	for _, op := range s.history {
		if begun[op.Target]++; begun[op.Target] > 1 && op.Kind != "Resync" {
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
	again, unlocked := 0, 0
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
		// Between a redrive and the next function that drives there is a lock.
		locked := map[string]bool{}
		for _, e := range s.first.Events {
			switch {
			case e.Kind == asl.ExecutionRedriven:
				locked[e.Execution.ARN] = false
			case e.State == "LockAgain" && e.Kind == asl.TaskSucceeded:
				locked[e.Execution.ARN] = true
				again++
			case e.State == "DriveResource" && e.Kind == asl.TaskSucceeded && !strings.Contains(string(e.Output), `"status":"REDRIVEN"`):
				if held, redriven := locked[e.Execution.ARN]; redriven && !held {
					unlocked++
				}
			}
		}
	}
	if again == 0 || unlocked > 0 {
		t.Errorf("locked again %d times, driven without %d times", again, unlocked)
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
		for i, points := 0, calm.spread(calm.count); i < len(points); i += 4 {
			var first, second Result
			at, changed := points[i], 0
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
				redriven := s.clock.Now()
				first = s.redrive()
				for _, op := range s.history {
					if strings.HasPrefix(op.Owner, "first/") && !op.started.Before(redriven) {
						changed++
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
			// What was over when it was stopped needs no lock.
			drove := slices.Contains(first.Path, "RunLayer") && !slices.Contains(first.Path, "UnlockResources")
			if first.Outcome == report.Succeeded && drove || first.Outcome != report.Succeeded && !strings.Contains(first.Cause, ":second") {
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
	entered := func(state string, n int) int { // the count at which a state is entered for the nth time
		at := 0
		calm := NewAccount(slowed(30), NewClock(Epoch), 1, nil)
		calm.clock.Run(func() {
			e, err := calm.runs.start("us-west-2", MachineName(catalog.Failover), "first", payload)
			if err != nil {
				t.Error(err)
				return
			}
			count := 0
			calm.onCall = func() { count++ }
			calm.runs.observe = func(e asl.Event) {
				if e.Kind == asl.StateEntered {
					if count++; e.State == state {
						if n--; n == 0 {
							at = count
						}
					}
				}
			}
			e.ended.Wait(0)
		})
		return at
	}
	for _, tt := range []struct {
		name, state string
		n           int
		cause       string
		statuses    string
	}{
		{"before it drove anything", "AwaitTurn", 1, "TimeLimit", "FAILED SKIPPED"},
		{"while AWS was at work", "WaitForResource", 2, "time limit of the run", "DONE SKIPPED"},
		{"before the first layer", "HasNextLayer", 1, "time limit of the run", "SKIPPED SKIPPED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := entered(tt.state, tt.n)
			var result Result
			calls := 0
			s := stoppedThen(t, payload, at, func(s *stoppable) {
				s.clock.Sleep(10 * 24 * time.Hour)
				calls = total(s.Mutations())
				result = s.redrive()
			})
			var statuses []string
			for _, layer := range result.Layers {
				for _, r := range layer.Resources {
					statuses = append(statuses, string(r.Status))
				}
			}
			if got := strings.Join(statuses, " "); got != tt.statuses || !strings.Contains(result.Cause, tt.cause) || result.Outcome == report.Succeeded {
				t.Errorf("%s: %s: %s", result.Outcome, got, result.Cause)
			}
			if n := total(s.Mutations()); n != calls || len(s.items) > 0 {
				t.Errorf("%d calls were made after the limit; locks left: %v", n-calls, s.items)
			}
		})
	}
}

// Where nobody can say whose the lock is, a redrive touches nothing.
func TestARedriveThatCannotLock(t *testing.T) {
	payload := disaster(t) // which would begin without locks
	var want string
	var before, after int
	var result Result
	calm := stoppedThen(t, payload, 0, func(*stoppable) {})
	for _, at := range calm.states {
		s := stoppedThen(t, payload, at, func(s *stoppable) {
			if !slices.ContainsFunc(s.first.Events, func(e asl.Event) bool { return e.State == "DriveResource" }) || s.first.Result.Status != asl.StatusAborted {
				return
			}
			s.clock.Sleep(2 * time.Minute)
			before = total(s.Mutations())
			s.faults = newFaults(faultsOf(t, "error@dynamodb:PutItem"))
			result = s.redrive()
			after = total(s.Mutations())
			want = "Unreachable"
		})
		if want != "" && s.Calls["dynamodb:PutItem"] > 0 && result.Outcome != report.Succeeded {
			if before != after || !strings.Contains(result.Cause, "locking") {
				t.Errorf("stopped at %d: %s: %s; %d calls", at, result.Outcome, result.Cause, after-before)
			}
			return
		}
	}
	t.Error("no redrive went for its lock")
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
