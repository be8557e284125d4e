package lab

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/asl"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/report"
	"dr-orchestrator/internal/run"
)

// stoppedAndAgain runs a payload, stops it when the count of states entered and API
// calls made reaches at (0: never), and runs the same payload again. It gives
// both results, and the account.
func stoppedAndAgain(t testing.TB, payload []byte, at int) (a *Account, first, second Result, count int) {
	t.Helper()
	clock := NewClock(Epoch)
	a = NewAccount(slowed(30), clock, 1, nil)
	clock.Run(func() {
		e, err := a.runs.start("us-west-2", MachineName(catalog.Failover), "first", payload)
		if err != nil {
			t.Error(err)
			return
		}
		step := func() {
			if count++; count == at && e.Running() {
				a.runs.stop(e, "", "")
			}
		}
		a.onCall = step
		a.runs.observe = func(event asl.Event) {
			if event.Kind == asl.StateEntered {
				step()
			}
		}
		e.ended.Wait(0)
		if e.Result.Status != asl.StatusSucceeded {
			e.closed.Wait(0)
		}
		a.onCall, a.runs.observe = nil, func(asl.Event) {}
		if first, err = a.result(e); err != nil || at == 0 {
			return
		}
		if e, err = a.runs.start("us-west-2", MachineName(catalog.Failover), "second", payload); err != nil {
			t.Error(err)
			return
		}
		e.ended.Wait(0)
		if second, err = a.result(e); err != nil {
			t.Error(err)
		}
	})
	return a, first, second, count
}

// topology is what a run is for: the resources, without times and operations
// that nobody waits for.
func topology(e *Estate) string {
	var all []string
	for _, x := range e.Instances {
		all = append(all, fmt.Sprintf("%s/%s %s of %q, backups %d", x.Region, x.ID, x.Status, x.Source, x.Retention))
	}
	for _, x := range e.Clusters {
		all = append(all, fmt.Sprintf("%s/%s %s", x.Region, x.ID, x.Status))
	}
	for _, x := range e.Globals {
		for _, m := range x.Members {
			all = append(all, fmt.Sprintf("%s %s: %s writes %t", x.ID, x.Status, m.ARN, m.Writer))
		}
	}
	for _, x := range e.Datastores {
		for _, m := range x.Members {
			all = append(all, fmt.Sprintf("%s %s: %s/%s %s", x.ID, x.Status, m.Region, m.Group, m.Role))
		}
	}
	return strings.Join(all, "\n")
}

// A run that is stopped at any state and at any API call has told what it did
// and given its locks up; the same payload, started again, comes to the same
// end as an undisturbed run, and nothing is acted on twice.
func TestStoppedAnywhereAndRunAgain(t *testing.T) {
	for _, payload := range [][]byte{sample(t, "failover-three-databases.json"), twoLayers(t)} {
		calm, undisturbed, _, steps := stoppedAndAgain(t, payload, 0)
		if undisturbed.Outcome != report.Succeeded {
			t.Fatalf("%s: %s", undisturbed.Outcome, undisturbed.Cause)
		}
		want := topology(calm.Snapshot())
		ends, cautious := map[report.Outcome]int{}, 0
		for at := 1; at <= steps; at++ {
			a, first, second, _ := stoppedAndAgain(t, payload, at)
			ends[first.Outcome]++
			if second.Outcome != report.Succeeded {
				t.Fatalf("stopped at %d of %d, then: %s: %s", at, steps, second.Outcome, second.Cause)
			}
			if diff := cmp.Diff(want, topology(a.Snapshot())); diff != "" {
				t.Fatalf("stopped at %d of %d, the end differs:\n%s", at, steps, diff)
			}
			begun, byFirst := map[string]int{}, 0
			for _, op := range a.history {
				if !again(op) {
					begun[op.Target]++
				}
				if begun[op.Target] > 1 {
					t.Fatalf("stopped at %d of %d: %s was acted on twice", at, steps, op.Target)
				}
				if strings.HasPrefix(op.Owner, "first") {
					byFirst++
				}
			}
			if first.Outcome == report.FailedClean && byFirst > 0 {
				t.Fatalf("stopped at %d of %d: it says that nothing was changed and began %d operations", at, steps, byFirst)
			}
			if len(a.items) != 0 {
				t.Fatalf("stopped at %d of %d: locks are left: %v", at, steps, a.items)
			}
			ended := a.runs.all[a.runs.order[0]]
			if _, ok := a.Object(a.Bucket("us-west-2"), run.ReportKey(ended.ARN, ended.Started)); !ok {
				t.Fatalf("stopped at %d of %d: there is no report", at, steps)
			}
			if page, ok := a.Object(a.Bucket("us-west-2"), run.PageKey(first.Record.Run.Execution, first.Record.Run.StartedAt)); !ok || !strings.Contains(string(page), "What to do next") {
				t.Fatalf("stopped at %d of %d: the report has no page", at, steps)
			}
			if first.Outcome == report.FailedDirty && byFirst == 0 {
				cautious++
			}
		}
		t.Logf("%d stops: %v, of them %d that may have changed something and did not", steps, ends, cautious)
	}
}
