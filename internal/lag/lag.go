// Package lag reads how far a replica is behind its source, and judges
// whether that is known well enough to act upon.
//
// A metric without a datapoint is not a lag of zero: a replica that has
// stopped replicating publishes nothing, or -1.
package lag

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"dr-orchestrator/internal/action"
)

// API is the one CloudWatch call that reading a lag takes.
type API interface {
	GetMetricData(context.Context, *cloudwatch.GetMetricDataInput, ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error)
}

// Metric names a lag metric in the region of the replica.
type Metric struct {
	Namespace  string
	Name       string
	Dimensions []Dimension
	Unit       time.Duration // what a value of 1 means: a second or a millisecond
}

// Dimension is one name and value of a metric.
type Dimension struct{ Name, Value string }

// MaxAge is how old a datapoint may be and still say something about now.
// Lag metrics are published every minute.
const MaxAge = 5 * time.Minute

// Reading is what a metric said. Why tells, in words, what is missing when
// the lag is not known.
type Reading struct {
	Known bool
	Lag   time.Duration
	At    time.Time
	Why   string
	Err   error // the metric could not be asked for: that may pass
}

// Read gets the newest datapoint of a metric. A failure to read is a reading
// that is not known, never an error: whether that matters, Gate decides.
func Read(ctx context.Context, api API, m Metric, now time.Time) Reading {
	dimensions := make([]types.Dimension, len(m.Dimensions))
	for i, d := range m.Dimensions {
		dimensions[i] = types.Dimension{Name: aws.String(d.Name), Value: aws.String(d.Value)}
	}
	out, err := api.GetMetricData(ctx, &cloudwatch.GetMetricDataInput{
		StartTime: aws.Time(now.Add(-2 * MaxAge)),
		EndTime:   aws.Time(now),
		ScanBy:    types.ScanByTimestampDescending,
		MetricDataQueries: []types.MetricDataQuery{{
			Id: aws.String("lag"),
			MetricStat: &types.MetricStat{
				Metric: &types.Metric{Namespace: aws.String(m.Namespace), MetricName: aws.String(m.Name), Dimensions: dimensions},
				Period: aws.Int32(60),
				Stat:   aws.String("Maximum"),
			},
		}},
	})
	if err != nil {
		return Reading{Why: fmt.Sprintf("%s could not be read (%s)", m.Name, action.ClassOf(err)), Err: action.Call("reading "+m.Name, err)}
	}
	for _, result := range out.MetricDataResults {
		if len(result.Values) == 0 || len(result.Timestamps) != len(result.Values) {
			continue
		}
		newest := 0
		for i := range result.Timestamps {
			if result.Timestamps[i].After(result.Timestamps[newest]) {
				newest = i
			}
		}
		return reading(m, result.Values[newest], result.Timestamps[newest], now)
	}
	return Reading{Why: fmt.Sprintf("%s has no datapoint in the last %s", m.Name, 2*MaxAge)}
}

func reading(m Metric, value float64, at, now time.Time) Reading {
	switch {
	case math.IsNaN(value) || value*float64(m.Unit) > float64(math.MaxInt64/2):
		return Reading{At: at, Why: fmt.Sprintf("%s is %g, which is no lag", m.Name, value)}
	case value < 0:
		return Reading{At: at, Why: fmt.Sprintf("%s is %g: replication is not running", m.Name, value)}
	case now.Sub(at) > MaxAge:
		return Reading{At: at, Why: fmt.Sprintf("%s was last published %s ago", m.Name, now.Sub(at).Round(time.Second))}
	}
	return Reading{Known: true, Lag: time.Duration(value * float64(m.Unit)), At: at}
}

// Seconds gives the lag for a report; nil when it is not known.
func (r Reading) Seconds() *float64 {
	if !r.Known {
		return nil
	}
	return aws.Float64(r.Lag.Seconds())
}

// String tells the reading in a few words.
func (r Reading) String() string {
	if !r.Known {
		return "unknown: " + r.Why
	}
	return r.Lag.String()
}

// Gate is the rule that guards every action that can lose data: with a limit
// set, the lag must be known and within it. Without a limit there is nothing
// to refuse. The error's class is Refused, or, where the metric could not be
// asked for, that of the failed call: the machine then asks again.
func Gate(limitSeconds *int, r Reading) error {
	if limitSeconds == nil {
		return nil
	}
	limit := time.Duration(*limitSeconds) * time.Second
	switch {
	case r.Err != nil:
		return r.Err
	case !r.Known:
		return action.Errorf(action.Refused, "the replication lag is unknown (%s) and MaxReplicaLagSeconds is %d", r.Why, *limitSeconds)
	case r.Lag > limit:
		return action.Errorf(action.Refused, "the replication lag of %s is above MaxReplicaLagSeconds (%d)", r.Lag, *limitSeconds)
	}
	return nil
}

// Unanswered gives the error of a metric that a limit needs and that could not
// be asked for just now: a preflight then asks again.
func Unanswered(limitSeconds *int, r Reading) error {
	if limitSeconds == nil || r.Err == nil || !action.Passing(action.ClassOf(r.Err)) {
		return nil
	}
	return r.Err
}

// Finding says of a lag what a preflight should say: blocked where Gate would
// refuse, a warning where the lag is unknown and nothing forbids to go ahead.
func Finding(limitSeconds *int, r Reading) []action.Finding {
	if err := Gate(limitSeconds, r); err != nil {
		return []action.Finding{{Verdict: action.VerdictBlocked, Class: action.ClassOf(err), Message: err.Error()}}
	}
	if !r.Known {
		return []action.Finding{{Verdict: action.VerdictWarning, Message: "the replication lag is " + r.String()}}
	}
	return nil
}
