// Package lag reads how far a replica is behind its source, and judges
// whether that is known well enough to act upon.
//
// A metric without a datapoint is not a lag of zero: a replica that has
// stopped replicating publishes nothing, or -1.
package lag

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"dr-orchestrator/internal/action"
)

// DataAPI is every CloudWatch call that reading a lag takes whose metric has one
// known dimension alone.
type DataAPI interface {
	GetMetricData(context.Context, *cloudwatch.GetMetricDataInput, ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error)
}

// API is every CloudWatch call that reading any lag takes.
type API interface {
	DataAPI
	ListMetrics(context.Context, *cloudwatch.ListMetricsInput, ...func(*cloudwatch.Options)) (*cloudwatch.ListMetricsOutput, error)
}

// Metric names a lag metric in the region of the replica.
type Metric struct {
	Namespace string
	Name      string
	Unit      time.Duration // what a value of 1 means: a second or a millisecond
	// Of names the replica: the name of a dimension (empty: any) and the
	// values that it may have.
	Of Dimension
	// Alone says that Of is the only dimension. AWS does not document the
	// others of every metric: they are then looked up.
	Alone bool
	// Highest says that the highest of the fresh datapoints counts, and not the
	// newest alone.
	Highest bool
	// Shard tells which shard a value of Of belongs to; empty: to the whole.
	// Where series are named by shards, the lag of each must be known: one that
	// keeps silent is not made up for by the others. Nil: there are no shards.
	Shard func(value string) string
}

// Dimension is the name of a dimension and what its value may be.
type Dimension struct {
	Name   string
	Values []string
}

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
	// Stopped: replication was seen not to run, by its status or by a fresh
	// datapoint.
	Stopped bool
}

// Source gives readings of metrics.
type Source interface {
	// Read gives the newest datapoint of a metric. A failure to read is a
	// reading that is not known, never an error: whether that matters, Gate
	// decides.
	Read(ctx context.Context, m Metric, now time.Time) Reading
}

// CloudWatch reads each metric when it is asked for.
type CloudWatch struct{ API API }

// Read implements Source.
func (c CloudWatch) Read(ctx context.Context, m Metric, now time.Time) Reading {
	return readAll(ctx, c.API, []Metric{m}, now)[0]
}

// Listless reads metrics whose one dimension is known, for a role that may not
// list metrics. Any other metric could not be asked for.
func Listless(api DataAPI) CloudWatch { return CloudWatch{API: listless{api}} }

type listless struct{ DataAPI }

func (listless) ListMetrics(context.Context, *cloudwatch.ListMetricsInput, ...func(*cloudwatch.Options)) (*cloudwatch.ListMetricsOutput, error) {
	return nil, action.Errorf(action.Internal, "metrics are not listed here")
}

// Many reads many metrics with few calls and gives a source that answers from
// what was read.
func (c CloudWatch) Many(ctx context.Context, metrics []Metric, now time.Time) Source {
	return c.read(ctx, metrics, now)
}

func (c CloudWatch) read(ctx context.Context, metrics []Metric, now time.Time) kept {
	kept := kept{}
	for i, r := range readAll(ctx, c.API, metrics, now) {
		kept[metrics[i].key()] = r
	}
	return kept
}

type kept map[string]Reading

// Read implements Source.
func (k kept) Read(_ context.Context, m Metric, _ time.Time) Reading {
	if r, ok := k[m.key()]; ok {
		return r
	}
	return Reading{Why: m.Name + " was not asked for"}
}

func (m Metric) key() string { return fmt.Sprint(m.Namespace, m.Name, m.Of) }

// series is one metric with all its dimensions.
type series struct {
	of         int    // index of the Metric
	shard      string // that it speaks of; empty: the whole
	dimensions []types.Dimension
}

// readAll gives a reading for each metric. A metric may stand for several
// series (one for each node, or for each region that was the source once): the
// longest lag of those that have a datapoint counts.
func readAll(ctx context.Context, api API, metrics []Metric, now time.Time) []Reading {
	readings := make([]Reading, len(metrics))
	shards := make([]map[string]Reading, len(metrics))
	all := find(ctx, api, metrics, readings)
	const most = 500 // queries in one call, by the API
	for len(all) > 0 {
		some := all[:min(most, len(all))]
		all = all[len(some):]
		values, err := ask(ctx, api, metrics, some, now)
		for i, s := range some {
			m := metrics[s.of]
			r := Reading{Why: fmt.Sprintf("%s has no datapoint in the last %s", m.Name, 2*MaxAge)}
			switch v := values[i]; {
			case err != nil:
				r = failed(m, err)
			case v.err != nil:
				r = failed(m, v.err)
			case !v.at.IsZero():
				r = reading(m, v.value, v.at, now)
			}
			if shards[s.of] == nil {
				shards[s.of] = map[string]Reading{}
			}
			if earlier, ok := shards[s.of][s.shard]; ok {
				r = longer(earlier, r)
			}
			shards[s.of][s.shard] = r
		}
	}
	for i, m := range metrics {
		if shards[i] != nil {
			readings[i] = m.together(shards[i])
		}
	}
	return readings
}

// longer joins the readings of two series that speak of the same data. A series
// that has ended says nothing where another one goes on; one that says that it
// does not replicate, or that could not be read, outweighs what is known of
// others.
func longer(a, b Reading) Reading {
	if a.rank() < b.rank() {
		a, b = b, a
	}
	switch {
	case a.rank() == b.rank() && a.Known:
		return laterOf(a, b)
	case a.rank() == b.rank() && b.At.After(a.At): // of two that say nothing, the one that said something last
		return b
	}
	return a
}

func (r Reading) rank() int {
	switch {
	case r.Err != nil:
		return 3
	case r.Stopped:
		return 2
	case r.Known:
		return 1
	}
	return 0
}

// laterOf gives the longer of two known lags, as old as the older of the two:
// what is known of both is not newer than that.
func laterOf(a, b Reading) Reading {
	at := a.At
	if b.At.Before(at) {
		at = b.At
	}
	if b.Lag > a.Lag {
		a = b
	}
	a.At = at
	return a
}

// together joins the readings of the shards: the lag is known where that of
// every shard is.
func (m Metric) together(shards map[string]Reading) Reading {
	if _, whole := shards[""]; !whole || len(shards) > 1 { // some are named by shards
		for _, value := range m.Of.Values {
			if m.Shard == nil || m.Shard(value) == "" {
				continue
			}
			name := m.Shard(value)
			if _, ok := shards[name]; !ok {
				shards[name] = Reading{Why: fmt.Sprintf("%s of shard %s has been published by none of its nodes for three hours", m.Name, name)}
			}
		}
	}
	var out *Reading
	for _, name := range slices.Sorted(maps.Keys(shards)) {
		r := shards[name]
		switch {
		case out == nil:
			out = &r
		case out.Known && r.Known:
			later := laterOf(*out, r)
			out = &later
		case out.Known || !r.Known && r.rank() > out.rank():
			out = &r
		}
	}
	return *out
}

func failed(m Metric, err error) Reading {
	return Reading{Why: fmt.Sprintf("%s could not be read (%s)", m.Name, action.ClassOf(err)), Err: action.Call("reading "+m.Name, err)}
}

// find gives the series of the metrics. Where there are none, or they could
// not be listed, the reading says so.
func find(ctx context.Context, api API, metrics []Metric, readings []Reading) []series {
	type listing struct {
		metrics []types.Metric
		err     error
	}
	var all []series
	listed := map[string]listing{}
	for i, m := range metrics {
		if m.Alone {
			all = append(all, series{of: i, dimensions: []types.Dimension{{Name: aws.String(m.Of.Name), Value: aws.String(m.Of.Values[0])}}})
			continue
		}
		in := &cloudwatch.ListMetricsInput{Namespace: aws.String(m.Namespace), MetricName: aws.String(m.Name), RecentlyActive: types.RecentlyActivePt3h}
		if len(metrics) == 1 && m.Of.Name != "" && len(m.Of.Values) == 1 {
			in.Dimensions = []types.DimensionFilter{{Name: aws.String(m.Of.Name), Value: aws.String(m.Of.Values[0])}}
		}
		list, asked := listed[m.Namespace+" "+m.Name]
		if !asked {
			list.metrics, list.err = listMetrics(ctx, api, in)
			listed[m.Namespace+" "+m.Name] = list
		}
		if list.err != nil {
			readings[i] = failed(m, list.err)
			continue
		}
		readings[i].Why = m.Name + " has published nothing for three hours"
		for _, found := range list.metrics {
			if value, ok := m.matches(found.Dimensions); ok {
				s := series{of: i, dimensions: found.Dimensions}
				if m.Shard != nil {
					s.shard = m.Shard(value)
				}
				all = append(all, s)
			}
		}
	}
	return all
}

// matches gives the value that makes a series one of the metric's. Where both
// the whole and a part of it are named, the part is what it speaks of.
func (m Metric) matches(dimensions []types.Dimension) (value string, ok bool) {
	for _, d := range dimensions {
		if (m.Of.Name == "" || m.Of.Name == aws.ToString(d.Name)) && slices.Contains(m.Of.Values, aws.ToString(d.Value)) {
			if !ok || m.Shard != nil && m.Shard(value) == "" {
				value = aws.ToString(d.Value)
			}
			ok = true
		}
	}
	return value, ok
}

func listMetrics(ctx context.Context, api API, in *cloudwatch.ListMetricsInput) ([]types.Metric, error) {
	var all []types.Metric
	for {
		out, err := api.ListMetrics(ctx, in)
		if err != nil {
			return nil, err
		}
		all = append(all, out.Metrics...)
		if aws.ToString(out.NextToken) == "" {
			return all, nil
		}
		in.NextToken = out.NextToken
	}
}

// datapoint is the newest of a series; without a time there is none.
type datapoint struct {
	value float64
	at    time.Time
	err   error // CloudWatch answered, and not for this series
}

// unanswered is what CloudWatch says of one series inside an answer that is
// otherwise right. It looks like a series without datapoints.
var unanswered = map[types.StatusCode]action.Class{
	types.StatusCodeInternalError: action.Unreachable,
	types.StatusCodeForbidden:     action.Denied,
}

// ask gives the newest datapoint of each series.
func ask(ctx context.Context, api API, metrics []Metric, some []series, now time.Time) ([]datapoint, error) {
	in := &cloudwatch.GetMetricDataInput{StartTime: aws.Time(now.Add(-2 * MaxAge)), EndTime: aws.Time(now), ScanBy: types.ScanByTimestampDescending}
	for i, s := range some {
		in.MetricDataQueries = append(in.MetricDataQueries, types.MetricDataQuery{
			Id: aws.String(fmt.Sprintf("lag%d", i)),
			MetricStat: &types.MetricStat{
				Metric: &types.Metric{Namespace: aws.String(metrics[s.of].Namespace), MetricName: aws.String(metrics[s.of].Name), Dimensions: s.dimensions},
				Period: aws.Int32(60), Stat: aws.String("Maximum"),
			},
		})
	}
	values := make([]datapoint, len(some))
	for {
		out, err := api.GetMetricData(ctx, in)
		if err != nil {
			return values, err
		}
		for _, result := range out.MetricDataResults {
			var i int
			if _, err := fmt.Sscanf(aws.ToString(result.Id), "lag%d", &i); err != nil || i < 0 || i >= len(some) || len(result.Timestamps) != len(result.Values) {
				continue
			}
			if class, ok := unanswered[result.StatusCode]; ok {
				values[i].err = action.Errorf(class, "CloudWatch answers %s", result.StatusCode)
			}
			highest := metrics[some[i].of].Highest
			for j, at := range result.Timestamps {
				value := result.Values[j]
				fresh := now.Sub(at) <= MaxAge && now.Sub(values[i].at) <= MaxAge
				if highest && fresh {
					value = max(value, values[i].value)
					values[i].value = value
				}
				if at.After(values[i].at) {
					values[i].value, values[i].at = value, at
				}
			}
		}
		if aws.ToString(out.NextToken) == "" {
			return values, nil
		}
		in.NextToken = out.NextToken
	}
}

func reading(m Metric, value float64, at, now time.Time) Reading {
	switch {
	case math.IsNaN(value) || value*float64(m.Unit) > float64(math.MaxInt64/2):
		return Reading{At: at, Why: fmt.Sprintf("%s is %g, which is no lag", m.Name, value)}
	case value < 0:
		return Reading{At: at, Why: fmt.Sprintf("%s is %g: replication is not running", m.Name, value), Stopped: now.Sub(at) <= MaxAge}
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
		return "unknown: " + r.why()
	}
	return r.Lag.Round(time.Millisecond).String()
}

func (r Reading) why() string { return cmp.Or(r.Why, "it was not read") }

// Limit are the parameters of every action that can lose data.
type Limit struct {
	MaxReplicaLagSeconds *int `min:"0" doc:"Refuse when the replica is further behind than this, or when its lag is not known."`
	AcceptUnknownLag     bool `doc:"With MaxReplicaLagSeconds: go ahead where the lag is not known. One that is known still counts. Also without it: fail over to an Aurora cluster that is pending-resync."`
}

// Gate is the rule that guards every action that can lose data: with a limit
// set, the lag must be known and within it. Without a limit there is nothing
// to refuse. The error's class is Refused, or, where the metric could not be
// asked for, that of the failed call: the machine then asks again.
func (l Limit) Gate(r Reading) error {
	if l.MaxReplicaLagSeconds == nil || !r.Known && l.AcceptUnknownLag {
		return nil
	}
	switch {
	case r.Err != nil:
		return r.Err
	case !r.Known:
		return action.Errorf(action.Refused, "the replication lag is unknown (%s) and MaxReplicaLagSeconds is %d", r.why(), *l.MaxReplicaLagSeconds)
	case r.Lag.Seconds() > float64(*l.MaxReplicaLagSeconds): // any number of seconds, which a Duration would not hold
		up := (r.Lag + time.Millisecond - 1).Truncate(time.Millisecond) // never down to the limit
		return action.Errorf(action.Refused, "the replication lag of %s is above MaxReplicaLagSeconds (%d)", up, *l.MaxReplicaLagSeconds)
	}
	return nil
}

// sameRecovery is how long after a takeover a run may still be the recovery that
// it belongs to, started again.
const sameRecovery = 24 * time.Hour

// Outdated refuses, where a limit is set, what took over at a time long before
// the run began: how much was written elsewhere since, nobody knows. Without the
// time nothing can be said.
func (l Limit) Outdated(id string, at, started time.Time) error {
	if l.MaxReplicaLagSeconds == nil || l.AcceptUnknownLag || at.IsZero() || started.Sub(at) <= sameRecovery {
		return nil
	}
	return action.Errorf(action.Refused, "%s took over at %s, long before this run: what was written elsewhere since is not in it, and MaxReplicaLagSeconds is %d. If it is the database that serves, take it out of the payload, or set AcceptUnknownLag to true",
		id, at.UTC().Format(time.RFC3339), *l.MaxReplicaLagSeconds)
}

// Report puts a reading into a preflight's answer: blocked where Gate would
// refuse, a warning where the lag is unknown and nothing forbids to go ahead.
// A metric that the limit needs and that could not be asked for just now is an
// error: the preflight then asks again.
func (l Limit) Report(r Reading, ready *action.Readiness) error {
	ready.Lag = r.Seconds()
	err := l.Gate(r)
	switch {
	case err != nil && action.Passing(action.ClassOf(err)):
		return err
	case err != nil:
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictBlocked, Class: action.ClassOf(err), Message: err.Error()})
	case !r.Known:
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: action.LagUnknown + ": " + r.why()})
	}
	return nil
}
