package run

import (
	"slices"
	"time"

	"dr-orchestrator/internal/console"
	"dr-orchestrator/internal/emf"
	"dr-orchestrator/internal/report"
)

// MetricNamespace is the namespace of all metrics of this product.
const MetricNamespace = "DROrchestrator"

// The names of metrics.
const (
	MetricRecoveryTime  = "RecoveryTimeSeconds"  // of a run that succeeded, and of each resource that came to its goal
	MetricRecoveryPoint = "RecoveryPointSeconds" // replication lag of a resource before it was acted on
	MetricAddedTime     = "AddedSeconds"         // of a run in which no resource was driven
	MetricRunFailed     = "RunFailed"            // 1: the run did not succeed
	MetricFailures      = "FailedResources"
	MetricPlanReady     = "PlanReady" // of a stored payload: 1 or 0
	MetricLag           = "ReplicationLagSeconds"
	MetricPlansStarted  = "PlansStarted"
	MetricDecisions     = "GuardDecisions"
	MetricUncovered     = "Uncovered"
)

// The names of dimensions.
const (
	DimensionDeployment = "Deployment"
	DimensionMachine    = "Machine"
	DimensionType       = "ResourceType"
	DimensionResource   = "ResourceName"
	DimensionPayload    = "Payload"
	DimensionTrigger    = "Trigger"
	DimensionAction     = "Action"
)

// PropertyURL is the page of the execution in the console, as a text beside the
// metrics of a run. CloudWatch Logs Insights shows it as a link.
const PropertyURL = "url"

// mostMetered is how many resources of a run have metrics of their own. Each
// name is a metric that CloudWatch keeps, and that is paid for.
const mostMetered = 200

// runMetrics are the metrics of a run that was to change something, or of which
// that is not known. The alarm on runs that ended badly stands on RunFailed.
func runMetrics(deployment string, record report.Record) []emf.Line {
	line := func(sets [][]string, values map[string]string, metrics ...emf.Metric) emf.Line {
		values[DimensionDeployment], values["execution"] = deployment, record.Run.Execution
		return emf.Line{Namespace: MetricNamespace, Time: record.EndedAt, Sets: sets, Values: values, Metrics: metrics}
	}
	failed := 0.0
	var lines []emf.Line
	metered := 0
	for _, layer := range record.Layers {
		for _, x := range layer.Resources {
			if x.Status == report.Failed || x.Status == report.RefusedHere {
				failed++
			}
			var metrics []emf.Metric
			if x.Status == report.Done {
				metrics = append(metrics, emf.Metric{Name: MetricRecoveryTime, Unit: emf.Seconds, Value: x.DurationSeconds})
			}
			if x.Status != report.Skipped && x.LagSeconds != nil {
				metrics = append(metrics, emf.Metric{Name: MetricRecoveryPoint, Unit: emf.Seconds, Value: *x.LagSeconds})
			}
			if metered++; len(metrics) > 0 && metered <= mostMetered {
				lines = append(lines, line([][]string{{DimensionDeployment, DimensionType, DimensionResource}},
					map[string]string{DimensionType: x.ResourceType, DimensionResource: x.ResourceName}, metrics...))
			}
		}
	}
	metrics := []emf.Metric{
		{Name: MetricAddedTime, Unit: emf.Seconds, Value: added(record)}, {Name: MetricFailures, Unit: emf.Count, Value: failed},
		{Name: MetricRunFailed, Unit: emf.Count, Value: truth(record.Outcome != report.Succeeded)},
	}
	if record.Outcome == report.Succeeded {
		metrics = append(metrics, emf.Metric{Name: MetricRecoveryTime, Unit: emf.Seconds, Value: record.DurationSeconds})
	}
	return append([]emf.Line{line([][]string{{DimensionDeployment, DimensionMachine}},
		map[string]string{DimensionMachine: or(placed(record.Run).Machine, "unknown"), "outcome": string(record.Outcome), PropertyURL: console.Execution(record.Run.Execution)}, metrics...)}, lines...)
}

// planMetrics are those of a plan: the lags that it saw.
func planMetrics(deployment string, record report.Record) []emf.Line {
	var lines []emf.Line
	for _, layer := range record.Layers {
		for _, x := range layer.Resources {
			if x.LagSeconds != nil && len(lines) < mostMetered {
				lines = append(lines, emf.Line{
					Namespace: MetricNamespace, Time: record.EndedAt, Sets: [][]string{{DimensionDeployment, DimensionType, DimensionResource}},
					Values:  map[string]string{DimensionDeployment: deployment, DimensionType: x.ResourceType, DimensionResource: x.ResourceName, "execution": record.Run.Execution},
					Metrics: []emf.Metric{{Name: MetricLag, Unit: emf.Seconds, Value: *x.LagSeconds}},
				})
			}
		}
	}
	return lines
}

// added is how long a run took beside driving resources, or waiting for a
// person between layers: the time in which none of them was under way.
func added(record report.Record) float64 {
	type span struct{ from, to time.Time }
	var spans []span
	for _, layer := range record.Layers {
		for _, x := range layer.Resources {
			if x.StartedAt != nil && x.EndedAt != nil && x.EndedAt.After(*x.StartedAt) {
				spans = append(spans, span{*x.StartedAt, *x.EndedAt})
			}
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	covered, until := time.Duration(0), time.Time{}
	for _, s := range spans {
		if s.from.Before(until) {
			s.from = until
		}
		if s.to.After(s.from) {
			covered += s.to.Sub(s.from)
			until = s.to
		}
	}
	return max(0, record.DurationSeconds-covered.Seconds())
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
