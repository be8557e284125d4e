package lab

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"dr-orchestrator/internal/report"
	"dr-orchestrator/internal/steps"
)

// Every single fault, at every API call and every invocation of the run of the
// three databases in turn. Whatever breaks, the run must end, in the truth.
func TestEveryFaultAtEveryCallEndsInTheTruth(t *testing.T) {
	payload := sample(t, "failover-three-databases.json")
	sweep(t, payload, everyFault(t, payload))
}

// A disaster run under the same faults, with the other region dead besides.
func TestEveryFaultOfADisasterRunEndsInTheTruth(t *testing.T) {
	for _, name := range []string{"failover-aurora-unplanned.json", "failover-aurora-detach.json"} {
		payload := sample(t, name)
		var specs []string
		for _, spec := range faultsOfActions(t, slowed(30), payload) {
			specs = append(specs, "dead@region:us-east-1,"+spec)
		}
		sweep(t, payload, specs)
	}
}

// Several faults at once, drawn from seeds.
func TestRandomFaultsEndInTheTruth(t *testing.T) {
	payload := sample(t, "failover-three-databases.json")
	calm := runLab(t, Options{Payload: payload, Estate: slowed(30)})
	var specs []string
	for seed := range uint64(150) {
		specs = append(specs, RandomFaults(seed, sortedKeys(calm.APICalls), sortedKeys(calm.Invoked)).String())
	}
	sweep(t, payload, specs)
}

func everyFault(t *testing.T, payload []byte) []string {
	t.Helper()
	calm := calmRun(t, slowed(30), payload)
	specs := append(faultsAt(calm, func(string) bool { return true }), faultsOfRegions(calm)...)
	for _, call := range []string{"states:ReadItems", "states:WriteResults"} {
		specs = append(specs, "error@"+call)
		for n := 1; n <= 8; n++ {
			specs = append(specs, fmt.Sprintf("error@%s#%d", call, n), fmt.Sprintf("error@%s#%d-", call, n))
		}
	}
	return specs
}

// faultsOfActions leaves out the functions of the run's own steps: what they do
// under faults is the same for every payload, and swept with one.
func faultsOfActions(t *testing.T, estate *Estate, payload []byte) []string {
	t.Helper()
	calm := calmRun(t, estate, payload)
	return append(faultsAt(calm, ofActions), faultsOfRegions(calm)...)
}

func calmRun(t *testing.T, estate *Estate, payload []byte) Result {
	t.Helper()
	calm := runLab(t, Options{Payload: payload, Estate: estate})
	if calm.Outcome != report.Succeeded {
		t.Fatalf("the undisturbed run: %s: %s", calm.Outcome, calm.Cause)
	}
	return calm
}

// ofActions tells the calls and the functions of actions.
func ofActions(name string) bool {
	if function, ok := strings.CutPrefix(name, "function:"); ok {
		return steps.All[function] == nil
	}
	service, operation, _ := strings.Cut(name, ":")
	return strings.HasSuffix(operation, "AccessPointRoutes") || !slices.Contains([]string{"dynamodb", "events", "s3", "sns", "states"}, service)
}

// faultsAt lists the faults at the calls and the functions that are wanted, of
// those that an undisturbed run made.
func faultsAt(calm Result, wanted func(name string) bool) []string {
	var specs []string
	for _, call := range sortedKeys(calm.APICalls) {
		if !wanted(call) {
			continue
		}
		kinds := []FaultKind{Throttle, Broken, Lost, Timeout, Kill, NotFound}
		if Mutating(call) {
			kinds = append(kinds, Stuck, Cancel)
		} else {
			kinds = append(kinds, Stale)
		}
		for n := 1; n <= calm.APICalls[call]; n++ {
			for i, kind := range kinds {
				if inTurn(n, calm.APICalls[call], i, len(kinds)) {
					specs = append(specs, fmt.Sprintf("%s@%s#%d", kind, call, n))
				}
			}
		}
		for _, kind := range kinds { // from then on, without end
			specs = append(specs, fmt.Sprintf("%s@%s#2-", kind, call))
			if Mutating(call) {
				specs = append(specs, fmt.Sprintf("%s@%s", kind, call))
			}
		}
	}
	for _, function := range sortedKeys(calm.Invoked) {
		if !wanted("function:" + function) {
			continue
		}
		for _, kind := range []FaultKind{Throttle, Broken, Lost, Timeout, Kill, Twice} {
			specs = append(specs, fmt.Sprintf("%s@function:%s", kind, function))
			for n := 1; n <= 6; n++ {
				specs = append(specs, fmt.Sprintf("%s@function:%s#%d", kind, function, n))
			}
		}
	}
	return specs
}

// inTurn thins a sweep evenly: every call is hit. The first four and the last
// two of a kind of call are hit by every kind of fault; those between, which are
// the looks of a wait and all alike, by one kind after the other.
func inTurn(call, calls, kind, kinds int) bool {
	return call <= 4 || call > calls-2 || call%kinds == kind
}

func faultsOfRegions(calm Result) []string {
	var specs []string
	for _, region := range calm.Final.Regions {
		for _, n := range []string{"", "#1", "#2-5", "#10-", "#30-"} {
			specs = append(specs, "dead@region:"+region+n)
		}
	}
	return specs
}

// sweep runs a payload under each schedule of faults and fails for every lie.
func sweep(t *testing.T, payload []byte, specs []string) {
	t.Helper()
	sweepOn(t, slowed(30), payload, specs)
}

func sweepOn(t *testing.T, estate *Estate, payload []byte, specs []string) {
	t.Helper()
	var mu sync.Mutex
	var wait sync.WaitGroup
	work := make(chan string)
	ends := map[report.Outcome]int{}
	specs = slices.Compact(slices.Sorted(slices.Values(specs)))
	for range runtime.GOMAXPROCS(0) {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for spec := range work {
				faults, err := ParseFaults(spec)
				if err != nil {
					t.Error(err)
					continue
				}
				result, err := Run(Options{Payload: payload, Machine: "failover", Estate: estate, Faults: faults})
				if err != nil {
					t.Errorf("%s: %v", spec, err)
					continue
				}
				found := lies(result, payload, blinding(faults))
				mu.Lock()
				ends[result.Outcome]++
				mu.Unlock()
				if len(found) > 0 {
					slices.Sort(found)
					t.Errorf("%s: %s\n\t%s", spec, result.Outcome, strings.Join(found, "\n\t"))
				}
			}
		}()
	}
	for _, spec := range specs {
		work <- spec
	}
	close(work)
	wait.Wait()
	t.Logf("%d runs: %v", len(specs), ends)
}

// blinding reports whether faults kill a function again and again, swallow the
// results of a layer or keep them from being read, or silence the run's own
// region on the way, without end: nothing that was seen of its resources gets
// through any more.
func blinding(faults Faults) bool {
	return slices.ContainsFunc(faults, func(f Fault) bool {
		return f.To == 0 && (f.Kind == Kill || f.Target == "states:WriteResults" || f.Target == "function:record-layer" ||
			f.From > 1 && f.Kind == Dead && f.Target == "region:us-west-2")
	})
}
