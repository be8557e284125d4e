package lag

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
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

// cloud is CloudWatch with several series.
type cloud struct {
	series  []published
	page    int // series in one page of either list; 0: all
	listErr error
	dataErr error
	failing int // the call of GetMetricData, from 1, that dataErr ends; 0: each
	lists   []cloudwatch.ListMetricsInput
	datas   []cloudwatch.GetMetricDataInput
}

// published is a series: its name, its dimensions (name, value, ...) and its
// newest datapoint.
type published struct {
	namespace, name string
	dimensions      []string
	value           float64
	age             time.Duration // below 0: no datapoint
	status          types.StatusCode
}

func (p published) metric() types.Metric {
	m := types.Metric{Namespace: &p.namespace, MetricName: &p.name}
	for i := 0; i < len(p.dimensions); i += 2 {
		m.Dimensions = append(m.Dimensions, types.Dimension{Name: &p.dimensions[i], Value: &p.dimensions[i+1]})
	}
	return m
}

func (p published) is(m *types.Metric) bool {
	if p.namespace != *m.Namespace || p.name != *m.MetricName || len(p.dimensions) != 2*len(m.Dimensions) {
		return false
	}
	for i, d := range m.Dimensions {
		if p.dimensions[2*i] != *d.Name || p.dimensions[2*i+1] != *d.Value {
			return false
		}
	}
	return true
}

// paged gives the part of n that a token stands for, and the next token.
func paged(n, page int, token *string) (from, to int, next *string) {
	if page == 0 {
		return 0, n, nil
	}
	from, _ = strconv.Atoi(aws.ToString(token))
	to = min(from+page, n)
	if to < n {
		next = aws.String(strconv.Itoa(to))
	}
	return from, to, next
}

func (c *cloud) ListMetrics(_ context.Context, in *cloudwatch.ListMetricsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.ListMetricsOutput, error) {
	c.lists = append(c.lists, *in)
	if c.listErr != nil {
		return nil, c.listErr
	}
	var all []types.Metric
	for _, p := range c.series {
		if p.namespace == *in.Namespace && p.name == *in.MetricName {
			all = append(all, p.metric())
		}
	}
	from, to, next := paged(len(all), c.page, in.NextToken)
	return &cloudwatch.ListMetricsOutput{Metrics: all[from:to], NextToken: next}, nil
}

func (c *cloud) GetMetricData(_ context.Context, in *cloudwatch.GetMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error) {
	c.datas = append(c.datas, *in)
	if c.dataErr != nil && (c.failing == 0 || c.failing == len(c.datas)) {
		return nil, c.dataErr
	}
	from, to, next := paged(len(in.MetricDataQueries), c.page, in.NextToken)
	out := &cloudwatch.GetMetricDataOutput{NextToken: next}
	for _, q := range in.MetricDataQueries[from:to] {
		r := types.MetricDataResult{Id: q.Id, StatusCode: types.StatusCodeComplete}
		for _, p := range c.series {
			if !p.is(q.MetricStat.Metric) {
				continue
			}
			if p.status != "" {
				r.StatusCode = p.status
			}
			if p.age >= 0 {
				r.Timestamps, r.Values = []time.Time{noon.Add(-p.age)}, []float64{p.value}
			}
		}
		out.MetricDataResults = append(out.MetricDataResults, r)
	}
	return out, nil
}

func aurora(cluster, source string, value float64, age time.Duration) published {
	return published{namespace: "AWS/RDS", name: "AuroraGlobalDBReplicationLag", dimensions: []string{"DBClusterIdentifier", cluster, "SourceRegion", source}, value: value, age: age}
}

func node(name string, value float64, age time.Duration) published {
	return published{namespace: "AWS/ElastiCache", name: "GlobalDatastoreReplicationLag", dimensions: []string{"CacheClusterId", name, "CacheNodeId", "0001"}, value: value, age: age}
}

const none = -time.Second // an age: no datapoint

// One metric, several series.
func TestReadJoinsSeries(t *testing.T) {
	const fresh, stale = time.Minute, MaxAge + time.Minute
	cluster := OfGlobalCluster("orders")
	plain := OfDatastore("cache", []string{"cache-001", "cache-002"})
	sharded := OfDatastore("cache", []string{"cache-0001-001", "cache-0001-002", "cache-0002-001", "cache-0002-002"})
	group := published{namespace: "AWS/ElastiCache", name: "GlobalDatastoreReplicationLag", dimensions: []string{"ReplicationGroupId", "cache"}, value: 3, age: fresh}
	of := func(p published, status types.StatusCode) published { p.status, p.age = status, none; return p }
	for _, tt := range []struct {
		name   string
		metric Metric
		series []published
		known  bool
		lag    time.Duration
		age    time.Duration // of a known lag
		why    string
		class  action.Class // of Err
	}{
		{"one", cluster, []published{aurora("orders", "us-east-1", 400, fresh)}, true, 400 * time.Millisecond, fresh, "", ""},
		{"none published", cluster, nil, false, 0, 0, "three hours", ""},
		{"of another cluster", cluster, []published{aurora("orders-2", "us-east-1", 400, fresh)}, false, 0, 0, "three hours", ""},
		{"a value under another name", cluster, []published{{namespace: "AWS/RDS", name: "AuroraGlobalDBReplicationLag", dimensions: []string{"SourceRegion", "orders"}, age: fresh}}, false, 0, 0, "three hours", ""},
		{"two: the longer counts", cluster, []published{aurora("orders", "us-east-1", 400, fresh), aurora("orders", "eu-west-1", 900, 2*time.Minute)}, true, 900 * time.Millisecond, 2 * time.Minute, "", ""},
		{"two: no newer than the older", cluster, []published{aurora("orders", "us-east-1", 900, fresh), aurora("orders", "eu-west-1", 400, 2*time.Minute)}, true, 900 * time.Millisecond, 2 * time.Minute, "", ""},
		{"a former source, ended", cluster, []published{aurora("orders", "us-east-1", 90000, stale), aurora("orders", "eu-west-1", 400, fresh)}, true, 400 * time.Millisecond, fresh, "", ""},
		{"a former source without datapoints", cluster, []published{aurora("orders", "eu-west-1", 400, fresh), aurora("orders", "us-east-1", 0, none)}, true, 400 * time.Millisecond, fresh, "", ""},
		{"one does not replicate", cluster, []published{aurora("orders", "us-east-1", 400, fresh), aurora("orders", "eu-west-1", -1, fresh)}, false, 0, 0, "not running", ""},
		{"the first does not replicate", cluster, []published{aurora("orders", "us-east-1", -1, fresh), aurora("orders", "eu-west-1", 400, fresh)}, false, 0, 0, "not running", ""},
		{"one did not replicate, long ago", cluster, []published{aurora("orders", "us-east-1", -1, stale), aurora("orders", "eu-west-1", 400, fresh)}, true, 400 * time.Millisecond, fresh, "", ""},
		{"all ended", cluster, []published{aurora("orders", "us-east-1", 400, stale), aurora("orders", "eu-west-1", 0, none)}, false, 0, 0, "last published", ""},
		{"all ended, the other way round", cluster, []published{aurora("orders", "us-east-1", 0, none), aurora("orders", "eu-west-1", 400, stale)}, false, 0, 0, "last published", ""},
		{"CloudWatch fails for one", cluster, []published{aurora("orders", "us-east-1", 400, fresh), of(aurora("orders", "eu-west-1", 0, 0), types.StatusCodeInternalError)}, false, 0, 0, "could not be read", action.Unreachable},
		{"the first is forbidden", cluster, []published{of(aurora("orders", "us-east-1", 0, 0), types.StatusCodeForbidden), aurora("orders", "eu-west-1", 400, fresh)}, false, 0, 0, "could not be read", action.Denied},

		{"a group by its name", plain, []published{group}, true, 3 * time.Second, fresh, "", ""},
		{"a group by its name, of shards", sharded, []published{group}, true, 3 * time.Second, fresh, "", ""},
		{"one node of two", plain, []published{node("cache-002", 2, fresh)}, true, 2 * time.Second, fresh, "", ""},
		{"two nodes", plain, []published{node("cache-001", 1, fresh), node("cache-002", 2, fresh)}, true, 2 * time.Second, fresh, "", ""},
		{"a node that stopped beside one that goes on", plain, []published{node("cache-001", 1, stale), node("cache-002", 2, fresh)}, true, 2 * time.Second, fresh, "", ""},
		{"a node of another group", plain, []published{node("cache-2-001", 1, fresh)}, false, 0, 0, "three hours", ""},
		{"two shards", sharded, []published{node("cache-0001-001", 1, fresh), node("cache-0002-002", 2, 2*time.Minute)}, true, 2 * time.Second, 2 * time.Minute, "", ""},
		{"two shards, the first further behind", sharded, []published{node("cache-0001-001", 5, fresh), node("cache-0002-002", 2, fresh)}, true, 5 * time.Second, fresh, "", ""},
		{"a silent shard", sharded, []published{node("cache-0001-001", 1, fresh), node("cache-0002-001", 2, stale)}, false, 0, 0, "last published", ""},
		{"a silent first shard", sharded, []published{node("cache-0001-001", 1, none), node("cache-0002-001", 2, fresh)}, false, 0, 0, "no datapoint", ""},
		{"a shard that was never seen", sharded, []published{node("cache-0001-001", 1, fresh), node("cache-0001-002", 1, fresh)}, false, 0, 0, "cache-0002", ""},
		{"a shard that does not replicate", sharded, []published{node("cache-0001-001", 1, fresh), node("cache-0002-001", -1, fresh)}, false, 0, 0, "not running", ""},
		{"the group and a silent shard", sharded, []published{group, node("cache-0001-001", 1, fresh)}, false, 0, 0, "cache-0002", ""},
		{"a shard that could not be read", sharded, []published{node("cache-0001-001", 1, none), of(node("cache-0002-001", 0, 0), types.StatusCodeInternalError)}, false, 0, 0, "could not be read", action.Unreachable},
		{"dimensions that name both the group and the node", sharded, []published{
			{namespace: "AWS/ElastiCache", name: "GlobalDatastoreReplicationLag", dimensions: []string{"ReplicationGroupId", "cache", "CacheClusterId", "cache-0001-001"}, value: 1, age: fresh},
		}, false, 0, 0, "cache-0002", ""},
	} {
		for _, page := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s/page %d", tt.name, page), func(t *testing.T) {
				got := CloudWatch{&cloud{series: tt.series, page: page}}.Read(t.Context(), tt.metric, noon)
				if got.Known != tt.known || got.Lag != tt.lag || !strings.Contains(got.Why, tt.why) || (tt.why == "") != got.Known {
					t.Errorf("%+v, want known %t and %s, because of %q", got, tt.known, tt.lag, tt.why)
				}
				if got.Known && !got.At.Equal(noon.Add(-tt.age)) {
					t.Errorf("from %s, want from %s before noon", got.At, tt.age)
				}
				if (got.Err != nil) != (tt.class != "") || got.Err != nil && action.ClassOf(got.Err) != tt.class {
					t.Errorf("error %v, want class %q", got.Err, tt.class)
				}
				if !tt.known && (Limit{MaxReplicaLagSeconds: aws.Int(1 << 30)}).Gate(got) == nil {
					t.Error("an unknown lag passes a limit")
				}
			})
		}
	}
}

// A metric whose dimensions are not known is looked up where it is recent; one
// value of one dimension is asked for alone.
func TestReadLooksDimensionsUp(t *testing.T) {
	api := &cloud{page: 1, series: []published{aurora("billing", "us-east-1", 1, 0), aurora("orders", "us-east-1", 400, 0), aurora("stock", "us-east-1", 1, 0)}}
	CloudWatch{api}.Read(t.Context(), OfGlobalCluster("orders"), noon)
	if len(api.lists) != 3 || aws.ToString(api.lists[2].NextToken) != "2" {
		t.Fatalf("%d pages were asked for: %+v", len(api.lists), api.lists)
	}
	for _, in := range api.lists {
		if in.RecentlyActive != types.RecentlyActivePt3h || *in.Namespace != "AWS/RDS" || *in.MetricName != "AuroraGlobalDBReplicationLag" {
			t.Errorf("asked for %+v", in)
		}
		if len(in.Dimensions) != 1 || *in.Dimensions[0].Name != "DBClusterIdentifier" || *in.Dimensions[0].Value != "orders" {
			t.Errorf("filtered by %+v", in.Dimensions)
		}
	}
	if len(api.datas) != 1 || len(api.datas[0].MetricDataQueries) != 1 {
		t.Errorf("asked for the data of %+v, want those of one series", api.datas)
	}
	api = &cloud{}
	CloudWatch{api}.Read(t.Context(), OfDatastore("cache", []string{"cache-001"}), noon)
	if len(api.lists) != 1 || len(api.lists[0].Dimensions) != 0 || len(api.datas) != 0 {
		t.Errorf("any dimension may name a group: %+v, then %+v", api.lists, api.datas)
	}
	api = &cloud{}
	CloudWatch{api}.Read(t.Context(), replicaLag, noon)
	if len(api.lists) != 0 || len(api.datas) != 1 {
		t.Errorf("the only dimension is known, and %d lists were asked for", len(api.lists))
	}
}

// A lag that could not be asked for tells which call failed, by its class.
func TestReadErrors(t *testing.T) {
	throttled, denied := &smithy.GenericAPIError{Code: "Throttling"}, &smithy.GenericAPIError{Code: "AccessDenied"}
	one := []published{aurora("orders", "us-east-1", 0, 0)}
	for _, tt := range []struct {
		name  string
		api   *cloud
		class action.Class
	}{
		{"list throttled", &cloud{series: one, listErr: throttled}, action.Throttled},
		{"list denied", &cloud{series: one, listErr: denied}, action.Denied},
		{"list unanswered", &cloud{series: one, listErr: context.DeadlineExceeded}, action.Unreachable},
		{"data throttled", &cloud{series: one, dataErr: throttled}, action.Throttled},
		{"data denied", &cloud{series: one, dataErr: denied}, action.Denied},
		{"second page of data unanswered", &cloud{series: append(one, aurora("orders", "eu-west-1", 0, 0)), page: 1, dataErr: context.DeadlineExceeded, failing: 2}, action.Unreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := CloudWatch{tt.api}.Read(t.Context(), OfGlobalCluster("orders"), noon)
			if got.Known || got.Err == nil || action.ClassOf(got.Err) != tt.class {
				t.Fatalf("%+v, want class %s", got, tt.class)
			}
			limit := Limit{MaxReplicaLagSeconds: aws.Int(10)}
			if err := limit.Gate(got); action.ClassOf(err) != tt.class {
				t.Errorf("gate: %v", err)
			}
			limit.AcceptUnknownLag = true
			if err := limit.Gate(got); err != nil {
				t.Errorf("accepted when unknown, and yet %v", err)
			}
		})
	}
}

func TestMany(t *testing.T) {
	const n = 620
	api := &cloud{page: 500}
	var metrics []Metric
	for i := range n {
		id := fmt.Sprintf("orders-%03d", i)
		api.series = append(api.series, published{namespace: "AWS/RDS", name: "ReplicaLag", dimensions: []string{"DBInstanceIdentifier", id}, value: float64(i), age: time.Minute}, aurora(id, "us-east-1", float64(i), time.Minute))
		metrics = append(metrics, OfReplica(id), OfGlobalCluster(id))
	}
	metrics = append(metrics, OfGlobalCluster("absent"), OfDatastore("cache", nil), OfReplica("orders-007"))
	source := CloudWatch{api}.Many(t.Context(), metrics, noon)
	// 1,241 series by 500, and 620 clusters' metrics listed once in two pages;
	// ElastiCache's are none.
	if len(api.datas) != 3 || len(api.lists) != 3 {
		t.Errorf("%d calls for data and %d for lists, want 3 and 3", len(api.datas), len(api.lists))
	}
	for _, in := range api.datas {
		if len(in.MetricDataQueries) > 500 {
			t.Errorf("%d queries in one call", len(in.MetricDataQueries))
		}
	}
	for i := range n {
		id := fmt.Sprintf("orders-%03d", i)
		if got := source.Read(t.Context(), OfReplica(id), noon); !got.Known || got.Lag != time.Duration(i)*time.Second {
			t.Errorf("replica %s: %+v", id, got)
		}
		if got := source.Read(t.Context(), OfGlobalCluster(id), noon); !got.Known || got.Lag != time.Duration(i)*time.Millisecond {
			t.Errorf("cluster %s: %+v", id, got)
		}
	}
	for _, m := range []Metric{OfGlobalCluster("absent"), OfDatastore("cache", nil), OfReplica("not asked for")} {
		if got := source.Read(t.Context(), m, noon); got.Known || got.Why == "" || got.Err != nil {
			t.Errorf("%v: %+v", m.Of, got)
		}
	}
}

// Of two calls for data one fails: only what it was to tell is unknown.
func TestManyWithAFailingCall(t *testing.T) {
	api := &cloud{dataErr: &smithy.GenericAPIError{Code: "Throttling"}, failing: 2}
	var metrics []Metric
	for i := range 600 {
		id := fmt.Sprintf("orders-%03d", i)
		api.series = append(api.series, published{namespace: "AWS/RDS", name: "ReplicaLag", dimensions: []string{"DBInstanceIdentifier", id}, value: 1})
		metrics = append(metrics, OfReplica(id))
	}
	source := CloudWatch{api}.Many(t.Context(), metrics, noon)
	if len(api.datas) != 2 {
		t.Errorf("%d calls for data", len(api.datas))
	}
	for i, m := range metrics {
		if got := source.Read(t.Context(), m, noon); got.Known != (i < 500) || (got.Err != nil) != (i >= 500) {
			t.Fatalf("%d: %+v", i, got)
		}
	}
}

// A list that fails is not asked for again for each metric.
func TestManyListsOnce(t *testing.T) {
	api := &cloud{listErr: &smithy.GenericAPIError{Code: "Throttling"}}
	source := CloudWatch{api}.Many(t.Context(), []Metric{OfGlobalCluster("a"), OfGlobalCluster("b"), OfNeptune("c"), OfDocumentDB("d")}, noon)
	if len(api.lists) != 3 || len(api.datas) != 0 {
		t.Errorf("%d lists and %d calls for data, want one list for each name and no data", len(api.lists), len(api.datas))
	}
	for _, m := range []Metric{OfGlobalCluster("a"), OfGlobalCluster("b"), OfNeptune("c")} {
		if got := source.Read(t.Context(), m, noon); action.ClassOf(got.Err) != action.Throttled {
			t.Errorf("%+v", got)
		}
	}
}

// What AcceptUnknownLag changes, and what it does not.
func TestAcceptUnknownLag(t *testing.T) {
	known := func(d time.Duration) Reading { return Reading{Known: true, Lag: d, At: noon} }
	failed := func(class action.Class) Reading { return Reading{Why: "no", Err: action.Errorf(class, "no")} }
	for _, tt := range []struct {
		name              string
		limit             *int
		reading           Reading
		without, accepted bool // passes
		warns             bool // where it passes
	}{
		{"below", aws.Int(10), known(9 * time.Second), true, true, false},
		{"at the limit", aws.Int(10), known(10 * time.Second), true, true, false},
		{"above", aws.Int(10), known(10*time.Second + 1), false, false, false},
		{"above nothing", aws.Int(0), known(1), false, false, false},
		{"above a limit that no duration holds", aws.Int(1e17), known(1 << 62), true, true, false},
		{"unknown", aws.Int(10), Reading{Why: "-1"}, false, true, true},
		{"the zero reading", aws.Int(0), Reading{}, false, true, true},
		{"the zero reading, any limit", aws.Int(1e17), Reading{}, false, true, true},
		{"throttled", aws.Int(10), failed(action.Throttled), false, true, true},
		{"denied", aws.Int(10), failed(action.Denied), false, true, true},
		{"no limit, unknown", nil, Reading{}, true, true, true},
		{"no limit, failed", nil, failed(action.Unreachable), true, true, true},
		{"no limit, known", nil, known(time.Hour), true, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for accept, passes := range map[bool]bool{false: tt.without, true: tt.accepted} {
				limit := Limit{MaxReplicaLagSeconds: tt.limit, AcceptUnknownLag: accept}
				if err := limit.Gate(tt.reading); (err == nil) != passes {
					t.Errorf("accepting %t: %v", accept, err)
				}
				var ready action.Readiness
				if err := limit.Report(tt.reading, &ready); err != nil && passes {
					t.Errorf("accepting %t: the preflight fails: %v", accept, err)
				}
				warned := len(ready.Findings) == 1 && ready.Findings[0].Verdict == action.VerdictWarning && strings.HasPrefix(ready.Findings[0].Message, action.LagUnknown)
				if passes && (warned != tt.warns || !tt.warns && len(ready.Findings) > 0) {
					t.Errorf("accepting %t: findings %+v, want a warning: %t", accept, ready.Findings, tt.warns)
				}
			}
		})
	}
}

// A reading is told in milliseconds, and one above its limit never as within it.
func TestReadingInWords(t *testing.T) {
	for lag, want := range map[time.Duration]string{515_757_452: "516ms", 2 * time.Second: "2s", 90*time.Second + 400: "1m30s"} {
		if got := (Reading{Known: true, Lag: lag}).String(); got != want {
			t.Errorf("%d: %q, want %q", lag, got, want)
		}
	}
	err := Limit{MaxReplicaLagSeconds: aws.Int(2)}.Gate(Reading{Known: true, Lag: 2*time.Second + 1})
	if err == nil || !strings.Contains(err.Error(), "the replication lag of 2.001s is above") {
		t.Error(err)
	}
}

func TestZeroReading(t *testing.T) {
	var zero Reading
	if zero.Seconds() != nil || zero.String() != "unknown: it was not read" {
		t.Errorf("%v, %q", zero.Seconds(), zero)
	}
}

// A role that may not list reads what needs no list, and nothing else.
func TestListless(t *testing.T) {
	api := &cloud{series: []published{aurora("orders", "us-east-1", 400, 0), {namespace: "AWS/RDS", name: "ReplicaLag", dimensions: []string{"DBInstanceIdentifier", "orders"}, value: 2}}}
	if got := Listless(api).Read(t.Context(), replicaLag, noon); !got.Known || got.Lag != 2*time.Second {
		t.Errorf("%+v", got)
	}
	if got := Listless(api).Read(t.Context(), OfGlobalCluster("orders"), noon); got.Known || got.Err == nil || oneSecond.Gate(got) == nil {
		t.Errorf("a metric whose dimensions are not known: %+v", got)
	}
	if len(api.lists) > 0 {
		t.Error("metrics were listed")
	}
}

// A replication that does not run leaves datapoints that look fresh.
func TestOfRunning(t *testing.T) {
	api := &metrics{values: []float64{0}, ages: []time.Duration{0}}
	for status, known := range map[string]bool{"replicating": true, "": false, "error": false, "stopped": false, "replication degraded": false, "Replicating": false} {
		got := OfRunning(t.Context(), CloudWatch{api}, "orders", status, noon)
		if got.Known != known || got.Stopped == known || !known && !strings.Contains(got.Why, strconv.Quote(status)) {
			t.Errorf("%q: %+v", status, got)
		}
	}
	if len(api.asked) != 1 {
		t.Errorf("%d calls, want one for the replica that runs", len(api.asked))
	}
}

// With a limit, what took over long before the run is not taken for what the run
// is to bring about.
func TestOutdated(t *testing.T) {
	limit, started := 30, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	limited := Limit{MaxReplicaLagSeconds: &limit}
	month := started.AddDate(0, -1, 0)
	for _, tt := range []struct {
		name    string
		at      time.Time
		l       Limit
		refused bool
	}{
		{"a month ago", month, limited, true},
		{"just too long ago", started.Add(-sameRecovery - time.Second), limited, true},
		{"the same day", started.Add(-sameRecovery), limited, false},
		{"by this run", started.Add(time.Minute), limited, false},
		{"a month ago, and no limit", month, Limit{}, false},
		{"a month ago, and accepted", month, Limit{MaxReplicaLagSeconds: &limit, AcceptUnknownLag: true}, false},
		{"nobody tells", time.Time{}, limited, false},
	} {
		err := tt.l.Outdated("orders", tt.at, started)
		if (err != nil) != tt.refused || err != nil && action.ClassOf(err) != action.Refused {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// Of clients the most of the last minutes count: a pause between two connections
// is not the end of them.
func TestHighest(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		ages   []time.Duration
		values []float64
		want   float64 // seconds; below 0: not known
	}{
		{"an early one is higher", []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute}, []float64{0, 0, 40}, 40},
		{"the newest comes last", []time.Duration{4 * time.Minute, 2 * time.Minute, time.Minute}, []float64{40, 0, 0}, 40},
		{"none", []time.Duration{time.Minute, 2 * time.Minute}, []float64{0, 0}, 0},
		{"one of long ago does not count", []time.Duration{time.Minute, 6 * time.Minute}, []float64{0, 40}, 0},
		{"one of long ago, which comes first", []time.Duration{6 * time.Minute, time.Minute}, []float64{40, 0}, 0},
		{"only of long ago", []time.Duration{6 * time.Minute}, []float64{0}, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			result := types.MetricDataResult{Id: aws.String("lag0"), Values: tt.values}
			for _, age := range tt.ages {
				result.Timestamps = append(result.Timestamps, now.Add(-age))
			}
			r := Listless(answer{result}).Read(t.Context(), Clients("orders"), now)
			if tt.want < 0 {
				if r.Known {
					t.Errorf("%+v", r)
				}
				return
			}
			if !r.Known || r.Lag.Seconds() != tt.want {
				t.Errorf("%+v, want %g", r, tt.want)
			}
			if deserted, _ := r.Deserted(); deserted != (tt.want == 0) {
				t.Errorf("deserted: %t", deserted)
			}
		})
	}
}

type answer struct{ result types.MetricDataResult }

func (a answer) GetMetricData(context.Context, *cloudwatch.GetMetricDataInput, ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error) {
	return &cloudwatch.GetMetricDataOutput{MetricDataResults: []types.MetricDataResult{a.result}}, nil
}
