package lab

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dr-orchestrator/internal/asl"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/report"
)

// Two operators, one after the other by any delay: one run wins, no resource
// is acted on twice, and the loser is told who is in the way.
func TestTwoOperators(t *testing.T) {
	ends := map[string]int{}
	for delay := 0; delay <= 4000; delay += 90 {
		clock := NewClock(Epoch)
		a := NewAccount(slowed(60), clock, 1, nil)
		results := make([]Result, 2)
		clock.Run(func() {
			var runs [2]*Execution
			for i, name := range []string{"failover-three-databases.json", "failover-replica-and-cache.json"} {
				if i == 1 {
					clock.Sleep(time.Duration(delay) * time.Millisecond)
				}
				var err error
				if runs[i], err = a.runs.start("us-west-2", MachineName(catalog.Failover), fmt.Sprintf("operator-%d", i), sample(t, name)); err != nil {
					t.Error(err)
					return
				}
			}
			for i, e := range runs {
				e.ended.Wait(0)
				var err error
				if results[i], err = a.result(e); err != nil {
					t.Error(err)
				}
			}
		})
		begun := map[string]int{}
		for _, op := range a.history {
			if !again(op) {
				begun[op.Target]++
			}
			if begun[op.Target] > 1 {
				t.Fatalf("after %d ms: %s was acted on twice", delay, op.Target)
			}
		}
		first, second := results[0].Outcome, results[1].Outcome
		ends[fmt.Sprintf("%s, %s", first, second)]++
		for i, o := range []report.Outcome{first, second} {
			other := fmt.Sprintf("operator-%d", 1-i)
			switch {
			case o == report.Succeeded:
			case o == report.Refused && strings.Contains(results[i].Cause, other) && strings.Contains(results[i].Record.Next()[0], "drctl watch arn:aws:states:us-west-2:111122223333:execution:dr-orchestrator-failover:"+other):
			default:
				t.Fatalf("after %d ms, operator %d: %s: %s", delay, i, o, results[i].Cause)
			}
		}
		if first != report.Succeeded && second != report.Succeeded {
			t.Fatalf("after %d ms nobody won", delay)
		}
		if len(a.items) != 0 {
			t.Fatalf("after %d ms locks are left: %v", delay, a.items)
		}
	}
	t.Log(ends)
}

// A run that was stopped leaves its locks; the next run sees that their owner
// no longer runs, takes them over, and carries on.
func TestLocksOfAStoppedRunAreTakenOver(t *testing.T) {
	for stopAfter := 200; stopAfter < 70_000; stopAfter += 2900 {
		clock := NewClock(Epoch)
		a := NewAccount(slowed(60), clock, 1, nil)
		var second Result
		clock.Run(func() {
			e, err := a.runs.start("us-west-2", MachineName(catalog.Failover), "stopped", sample(t, "failover-three-databases.json"))
			if err != nil {
				t.Error(err)
				return
			}
			clock.Sleep(time.Duration(stopAfter) * time.Millisecond)
			a.runs.stop(e, "", "")
			e.ended.Wait(0)
			if e.Result.Status != asl.StatusAborted && e.Result.Status != asl.StatusSucceeded {
				t.Errorf("stopped after %d ms: %s", stopAfter, e.Result.Status)
			}
			if e, err = a.runs.start("us-west-2", MachineName(catalog.Failover), "again", sample(t, "failover-three-databases.json")); err != nil {
				t.Error(err)
				return
			}
			e.ended.Wait(0)
			if second, err = a.result(e); err != nil {
				t.Error(err)
			}
		})
		if second.Outcome != report.Succeeded || len(a.items) != 0 {
			t.Fatalf("stopped after %d ms, then: %s: %s (locks left: %d)", stopAfter, second.Outcome, second.Cause, len(a.items))
		}
		begun := map[string]int{}
		for _, op := range a.history {
			if !again(op) {
				begun[op.Target]++
			}
			if begun[op.Target] > 1 {
				t.Fatalf("stopped after %d ms: %s was acted on twice", stopAfter, op.Target)
			}
		}
	}
}
