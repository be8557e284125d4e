package lab

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"dr-orchestrator/internal/report"
)

// Every single fault, at every API call and every invocation of the run of the
// three databases in turn. Whatever breaks, the run must end, in the truth.
func TestEveryFaultAtEveryCallEndsInTheTruth(t *testing.T) {
	payload := sample(t, "failover-three-databases.json")
	specs := everyFault(t, payload)
	t.Logf("%d runs", len(specs))
	sweep(t, payload, specs)
}

// A disaster run under the same faults, with the other region dead besides.
func TestEveryFaultOfADisasterRunEndsInTheTruth(t *testing.T) {
	for _, name := range []string{"failover-aurora-unplanned.json", "failover-aurora-detach.json"} {
		payload := sample(t, name)
		var specs []string
		for _, spec := range everyFault(t, payload) {
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
	calm := runLab(t, Options{Payload: payload, Estate: slowed(30)})
	if calm.Outcome != report.Succeeded {
		t.Fatalf("the undisturbed run: %s: %s", calm.Outcome, calm.Cause)
	}
	var specs []string
	for _, call := range sortedKeys(calm.APICalls) {
		kinds := []FaultKind{Throttle, Broken, Lost, Timeout, Kill, NotFound}
		if Mutating(call) {
			kinds = append(kinds, Stuck, Cancel)
		} else {
			kinds = append(kinds, Stale)
		}
		for n := 1; n <= calm.APICalls[call]; n++ {
			for _, kind := range kinds {
				specs = append(specs, fmt.Sprintf("%s@%s#%d", kind, call, n))
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
		for _, kind := range []FaultKind{Throttle, Broken, Lost, Timeout, Kill, Twice} {
			specs = append(specs, fmt.Sprintf("%s@function:%s", kind, function))
			for n := 1; n <= 6; n++ {
				specs = append(specs, fmt.Sprintf("%s@function:%s#%d", kind, function, n))
			}
		}
	}
	for _, call := range []string{"states:ReadItems", "states:WriteResults"} {
		specs = append(specs, "error@"+call)
		for n := 1; n <= 8; n++ {
			specs = append(specs, fmt.Sprintf("error@%s#%d", call, n), fmt.Sprintf("error@%s#%d-", call, n))
		}
	}
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
	var mu sync.Mutex
	var wait sync.WaitGroup
	work := make(chan string)
	ends := map[report.Outcome]int{}
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
				result, err := Run(Options{Payload: payload, Machine: "failover", Estate: slowed(30), Faults: faults})
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
	t.Logf("ends: %v", ends)
}

// blinding reports whether faults kill a function again and again, or swallow
// the results of a layer or keep them from being read, without end, as the death
// of the region does in which they stand: nothing that was seen of its resources
// gets through any more.
func blinding(faults Faults) bool {
	return slices.ContainsFunc(faults, func(f Fault) bool {
		return f.To == 0 && (f.Kind == Kill || f.Target == "states:WriteResults" || f.Target == "function:record-layer" || f.Target == "region:us-west-2")
	})
}
