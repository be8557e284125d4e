package lag

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// replicas is CloudWatch with a lag for each instance: the length of its name.
type replicas struct {
	metrics
	calls int
}

func (r *replicas) GetMetricData(_ context.Context, in *cloudwatch.GetMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error) {
	r.calls++
	out := &cloudwatch.GetMetricDataOutput{}
	for _, q := range in.MetricDataQueries {
		name := aws.ToString(q.MetricStat.Metric.Dimensions[0].Value)
		out.MetricDataResults = append(out.MetricDataResults, types.MetricDataResult{Id: q.Id, Values: []float64{float64(len(name))}, Timestamps: []time.Time{noon}})
	}
	return out, r.err
}

func TestTogether(t *testing.T) {
	r := &replicas{}
	source := Together(CloudWatch{API: r}, []Metric{OfReplica("a"), OfReplica("bb"), OfReplica("a"), OfReplica("ccc")})
	if r.calls != 0 {
		t.Error("it reads before it is asked")
	}
	for range 2 {
		for _, name := range []string{"a", "bb", "ccc"} {
			if got := source.Read(t.Context(), OfReplica(name), noon); !got.Known || got.Lag != time.Duration(len(name))*time.Second {
				t.Errorf("%s: %s", name, got)
			}
		}
	}
	if r.calls != 1 {
		t.Errorf("%d calls for three metrics", r.calls)
	}
	// One that nobody spoke of is read by itself, and never taken for unknown.
	if got := source.Read(t.Context(), OfReplica("dddd"), noon); got.Lag != 4*time.Second || r.calls != 2 {
		t.Errorf("%s after %d calls", got, r.calls)
	}
}

func TestTogetherFails(t *testing.T) {
	r := &replicas{metrics: metrics{err: context.DeadlineExceeded}}
	source := Together(CloudWatch{API: r}, []Metric{OfReplica("a"), OfReplica("bb")})
	for _, name := range []string{"a", "bb"} {
		if got := source.Read(t.Context(), OfReplica(name), noon); got.Known || got.Err == nil || !strings.Contains(got.Why, "Unreachable") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if r.calls != 1 {
		t.Errorf("%d calls", r.calls)
	}
}

// One metric, or a source of another kind, is left as it is.
func TestTogetherOfOne(t *testing.T) {
	if _, single := Together(CloudWatch{}, []Metric{OfReplica("a")}).(CloudWatch); !single {
		t.Error("one metric is read together")
	}
	if _, same := Together(kept{}, []Metric{OfReplica("a"), OfReplica("b")}).(kept); !same {
		t.Error("another source is replaced")
	}
}
