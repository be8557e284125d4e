package lab

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dr-orchestrator/internal/report"
)

// Minutes in which Lambda does not run a function, or says that it failed itself,
// end no run, whichever function it is.
func TestAMinuteWithoutAFunctionEndsNoRun(t *testing.T) {
	payload := sample(t, "failover-mysql.json")
	for _, function := range sortedKeys(calmRun(t, DefaultEstate(), payload).Invoked) {
		for _, fault := range []string{"throttle@function:%s#1-12", "throttle@function:%s#2-13", "error@function:%s#1-12"} {
			spec := fmt.Sprintf(fault, function)
			result := runLab(t, Options{Payload: payload, Faults: faultsOf(t, spec)})
			untrue(t, result, payload)
			if result.Outcome != report.Succeeded || result.Undelivered != "" {
				t.Errorf("%s: %s: %s; not delivered: %q", spec, result.Outcome, result.Cause, result.Undelivered)
			}
		}
	}
}

// In a disaster a function that looks at nothing, because Lambda does not run it
// or it dies, keeps no run from starting: the same function looks before it acts.
func TestInADisasterALookThatWasNoneEndsNoRun(t *testing.T) {
	const gone = "dead@region:us-east-1,"
	plain := sample(t, "failover-mysql.json")
	payload := edited(t, "failover-mysql.json", func(doc map[string]any) { doc["Options"] = map[string]any{"Disaster": true} })
	for _, fault := range []string{"throttle@function:%s#1-41", "error@function:%s#1-41", "kill@function:%s#1-6", "timeout@function:%s#1-6"} {
		for _, function := range []string{"fence-old-primary", "promote-read-replica"} {
			spec := gone + fmt.Sprintf(fault, function)
			result := runLab(t, Options{Payload: payload, Faults: faultsOf(t, spec)})
			untrue(t, result, payload)
			if result.Outcome != report.Succeeded {
				t.Errorf("%s: %s: %s", spec, result.Outcome, result.Cause)
			}
			result = runLab(t, Options{Payload: plain, Faults: faultsOf(t, spec)})
			if result.Outcome != report.FailedClean || total(result.Mutations) > 0 {
				t.Errorf("%s, and no disaster: %s: %s", spec, result.Outcome, result.Cause)
			}
		}
	}
}

// What waits for Lambda does not carry a run past its time limits unsaid.
func TestWithoutAFunctionTimeLimitsHold(t *testing.T) {
	for _, tt := range []struct {
		name, faults string
		payload      []byte
		says         string
		outcome      report.Outcome
		statuses     string
	}{
		{"of the run, before it begins", "throttle@function:prepare-run#1-20", layered(t, func(o map[string]any, _ []map[string]any) { o["TimeLimitSeconds"] = 60 }),
			"the time limit of the run was reached before layer 1", report.FailedClean, "SKIPPED SKIPPED SKIPPED"},
		{"of the run, between layers", "throttle@function:record-layer#1-30", layered(t, func(o map[string]any, _ []map[string]any) { o["TimeLimitSeconds"] = 300 }),
			"the time limit of the run was reached before layer 2", report.FailedDirty, "DONE SKIPPED SKIPPED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			result := runLab(t, Options{Payload: tt.payload, Faults: faultsOf(t, tt.faults)})
			if result.Outcome != tt.outcome || !strings.Contains(result.Cause, tt.says) || statuses(result) != tt.statuses {
				t.Errorf("%s, %s: %s", result.Outcome, statuses(result), result.Cause)
			}
		})
	}
}

// A question that could not be put at once waits for its answer no longer than
// its layer lasts.
func TestAThrottledQuestionEndsWithItsLayer(t *testing.T) {
	for _, tt := range []struct {
		name     string
		limit    any
		from, to time.Duration
	}{
		{"the layer's limit", 400, 398 * time.Second, 402 * time.Second},
		{"its own, from when it is asked", nil, 640 * time.Second, 800 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			payload := withQuestion(t, func(o map[string]any, _ []map[string]any) {
				if tt.limit != nil {
					o["LayerTimeLimitSeconds"] = tt.limit
				}
			})
			result := runLab(t, Options{Payload: payload, Faults: faultsOf(t, "throttle@function:request-approval#1-15")})
			asked := result.Record.Layers[1].Resources[0]
			took := asked.EndedAt.Sub(*asked.StartedAt)
			if result.Outcome != report.FailedDirty || !strings.Contains(result.Cause, "nobody approved in time") || took < tt.from || took > tt.to {
				t.Errorf("%v: %s: %s", took, result.Outcome, result.Cause)
			}
		})
	}
}
