package lag

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"dr-orchestrator/internal/action"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// metrics answers with datapoints, each a value and its age.
type metrics struct {
	values []float64
	ages   []time.Duration
	none   bool // not even a result
	err    error
	asked  []cloudwatch.GetMetricDataInput
}

func (m *metrics) GetMetricData(_ context.Context, in *cloudwatch.GetMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error) {
	m.asked = append(m.asked, *in)
	if m.err != nil || m.none {
		return &cloudwatch.GetMetricDataOutput{}, m.err
	}
	result := types.MetricDataResult{Id: aws.String("lag0"), Values: m.values}
	for _, age := range m.ages {
		result.Timestamps = append(result.Timestamps, noon.Add(-age))
	}
	return &cloudwatch.GetMetricDataOutput{MetricDataResults: []types.MetricDataResult{result}}, nil
}

func (m *metrics) ListMetrics(context.Context, *cloudwatch.ListMetricsInput, ...func(*cloudwatch.Options)) (*cloudwatch.ListMetricsOutput, error) {
	return &cloudwatch.ListMetricsOutput{}, m.err
}

var oneSecond = Limit{MaxReplicaLagSeconds: aws.Int(1)}

var replicaLag = Metric{Namespace: "AWS/RDS", Name: "ReplicaLag", Unit: time.Second, Of: Dimension{"DBInstanceIdentifier", []string{"orders"}}, Alone: true}

func TestRead(t *testing.T) {
	milliseconds := replicaLag
	milliseconds.Unit = time.Millisecond
	for _, tt := range []struct {
		name   string
		metric Metric
		api    *metrics
		known  bool
		lag    time.Duration
	}{
		{"seconds", replicaLag, &metrics{values: []float64{12}, ages: []time.Duration{time.Minute}}, true, 12 * time.Second},
		{"fractions of a second", replicaLag, &metrics{values: []float64{0.25}, ages: []time.Duration{time.Minute}}, true, 250 * time.Millisecond},
		{"milliseconds", milliseconds, &metrics{values: []float64{1500}, ages: []time.Duration{time.Minute}}, true, 1500 * time.Millisecond},
		{"zero", replicaLag, &metrics{values: []float64{0}, ages: []time.Duration{0}}, true, 0},
		{"newest first", replicaLag, &metrics{values: []float64{3, 99}, ages: []time.Duration{time.Minute, 2 * time.Minute}}, true, 3 * time.Second},
		{"newest last", replicaLag, &metrics{values: []float64{99, 3}, ages: []time.Duration{2 * time.Minute, time.Minute}}, true, 3 * time.Second},
		{"just young enough", replicaLag, &metrics{values: []float64{3}, ages: []time.Duration{MaxAge}}, true, 3 * time.Second},
		{"stale", replicaLag, &metrics{values: []float64{3}, ages: []time.Duration{MaxAge + time.Second}}, false, 0},
		{"stale zero", replicaLag, &metrics{values: []float64{0}, ages: []time.Duration{MaxAge + time.Second}}, false, 0},
		{"not replicating", replicaLag, &metrics{values: []float64{-1}, ages: []time.Duration{time.Minute}}, false, 0},
		{"has stopped replicating", replicaLag, &metrics{values: []float64{-1, 3}, ages: []time.Duration{time.Minute, 2 * time.Minute}}, false, 0},
		{"replicates again", replicaLag, &metrics{values: []float64{3, -1}, ages: []time.Duration{time.Minute, 2 * time.Minute}}, true, 3 * time.Second},
		{"no datapoint", replicaLag, &metrics{}, false, 0},
		{"no result", replicaLag, &metrics{none: true}, false, 0},
		{"a value without a time", replicaLag, &metrics{values: []float64{3}}, false, 0},
		{"more than a duration holds", replicaLag, &metrics{values: []float64{1e10}, ages: []time.Duration{0}}, false, 0},
		{"infinite", replicaLag, &metrics{values: []float64{math.Inf(1)}, ages: []time.Duration{0}}, false, 0},
		{"minus infinite", replicaLag, &metrics{values: []float64{math.Inf(-1)}, ages: []time.Duration{0}}, false, 0},
		{"no number", replicaLag, &metrics{values: []float64{math.NaN()}, ages: []time.Duration{0}}, false, 0},
		{"a hundred years", replicaLag, &metrics{values: []float64{100 * 365 * 86400}, ages: []time.Duration{0}}, true, 100 * 365 * 24 * time.Hour},
		{"denied", replicaLag, &metrics{err: &smithy.GenericAPIError{Code: "AccessDenied"}}, false, 0},
		{"no answer", replicaLag, &metrics{err: context.DeadlineExceeded}, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := CloudWatch{tt.api}.Read(t.Context(), tt.metric, noon)
			if got.Known != tt.known || got.Lag != tt.lag {
				t.Errorf("reading %+v, want known %t and %s", got, tt.known, tt.lag)
			}
			if seconds := got.Seconds(); (seconds != nil) != tt.known || seconds != nil && *seconds != tt.lag.Seconds() {
				t.Errorf("%v seconds, want known %t and %s", seconds, tt.known, tt.lag)
			}
			if (got.Err != nil) != (tt.api.err != nil) {
				t.Errorf("error %v, want one only where the metric could not be asked for", got.Err)
			}
			if oneSecond.Gate(got) == nil && got.Lag > time.Second || oneSecond.Gate(got) == nil && !tt.known {
				t.Errorf("a lag of %s passes a limit of 1 s", got)
			}
			if !tt.known && (got.Why == "" || !strings.HasPrefix(got.String(), "unknown")) {
				t.Errorf("an unknown reading says %q because of %q", got, got.Why)
			}
		})
	}
}

func TestReadAsks(t *testing.T) {
	api := &metrics{}
	CloudWatch{api}.Read(t.Context(), replicaLag, noon)
	if len(api.asked) != 1 {
		t.Fatalf("%d calls", len(api.asked))
	}
	in := api.asked[0]
	if !in.EndTime.Equal(noon) || in.StartTime.After(noon.Add(-MaxAge)) {
		t.Errorf("from %s to %s", in.StartTime, in.EndTime)
	}
	want := &types.MetricStat{
		Metric: &types.Metric{
			Namespace: aws.String("AWS/RDS"), MetricName: aws.String("ReplicaLag"),
			Dimensions: []types.Dimension{{Name: aws.String("DBInstanceIdentifier"), Value: aws.String("orders")}},
		},
		Period: aws.Int32(60), Stat: aws.String("Maximum"),
	}
	ignore := cmpopts.IgnoreUnexported(types.MetricStat{}, types.Metric{}, types.Dimension{})
	if diff := cmp.Diff(want, in.MetricDataQueries[0].MetricStat, ignore); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}

func TestGate(t *testing.T) {
	known := func(d time.Duration) Reading { return Reading{Known: true, Lag: d, At: noon} }
	unknown := Reading{Why: "ReplicaLag is -1"}
	failed := func(class action.Class) Reading {
		return Reading{Why: "ReplicaLag could not be read", Err: action.Errorf(class, "reading ReplicaLag: no")}
	}
	for _, tt := range []struct {
		name    string
		limit   *int
		reading Reading
		verdict action.Verdict // of the finding; empty: none
		class   action.Class   // of what blocks
	}{
		{"below the limit", aws.Int(10), known(9 * time.Second), "", ""},
		{"at the limit", aws.Int(10), known(10 * time.Second), "", ""},
		{"above the limit", aws.Int(10), known(10*time.Second + time.Millisecond), action.VerdictBlocked, action.Refused},
		{"limit of nothing, no lag", aws.Int(0), known(0), "", ""},
		{"limit of nothing, some lag", aws.Int(0), known(time.Millisecond), action.VerdictBlocked, action.Refused},
		{"unknown with a limit", aws.Int(10), unknown, action.VerdictBlocked, action.Refused},
		{"never read, with a limit", aws.Int(10), Reading{}, action.VerdictBlocked, action.Refused},
		{"unknown without a limit", nil, unknown, action.VerdictWarning, ""},
		{"large without a limit", nil, known(24 * time.Hour), "", ""},

		{"throttled with a limit", aws.Int(10), failed(action.Throttled), action.VerdictBlocked, action.Throttled},
		{"unreachable with a limit", aws.Int(10), failed(action.Unreachable), action.VerdictBlocked, action.Unreachable},
		{"denied with a limit", aws.Int(10), failed(action.Denied), action.VerdictBlocked, action.Denied},
		{"throttled without a limit", nil, failed(action.Throttled), action.VerdictWarning, ""},
		{"denied without a limit", nil, failed(action.Denied), action.VerdictWarning, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			limit := Limit{MaxReplicaLagSeconds: tt.limit}
			err := limit.Gate(tt.reading)
			if refused := err != nil; refused != (tt.verdict == action.VerdictBlocked) {
				t.Errorf("gate: %v", err)
			}
			if err != nil && action.ClassOf(err) != tt.class {
				t.Errorf("class %s, want %s", action.ClassOf(err), tt.class)
			}
			var verdict action.Verdict
			var ready action.Readiness
			asked := limit.Report(tt.reading, &ready)
			if action.Passing(tt.class) != (asked != nil) {
				t.Errorf("the preflight gets the error %v", asked)
			}
			if asked != nil {
				return
			}
			findings := ready.Findings
			for _, f := range findings {
				verdict = f.Verdict
				if f.Class != tt.class || f.Message == "" {
					t.Errorf("finding %+v", f)
				}
			}
			if verdict != tt.verdict || len(findings) > 1 {
				t.Errorf("findings %+v, want %q", findings, tt.verdict)
			}
		})
	}
	if err := oneSecond.Gate(unknown); !errors.As(err, new(*action.Error)) || !strings.Contains(err.Error(), unknown.Why) {
		t.Errorf("the refusal %v does not say why", err)
	}
}
