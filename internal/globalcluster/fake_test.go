package globalcluster

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cloudwatchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/succession"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// call is one operation of a fake: what it answers, and what it was asked.
type call[In, Out any] struct {
	out  *Out
	err  error
	asks []In
}

func (c *call[In, Out]) answer(in *In) (*Out, error) {
	c.asks = append(c.asks, *in)
	if c.err != nil || c.out == nil {
		return new(Out), c.err
	}
	return c.out, nil
}

// region is RDS and CloudWatch of one region.
type region struct {
	globals    call[rds.DescribeGlobalClustersInput, rds.DescribeGlobalClustersOutput]
	clusters   call[rds.DescribeDBClustersInput, rds.DescribeDBClustersOutput]
	instances  call[rds.DescribeDBInstancesInput, rds.DescribeDBInstancesOutput]
	failover   call[rds.FailoverGlobalClusterInput, rds.FailoverGlobalClusterOutput]
	switchover call[rds.SwitchoverGlobalClusterInput, rds.SwitchoverGlobalClusterOutput]
	remove     call[rds.RemoveFromGlobalClusterInput, rds.RemoveFromGlobalClusterOutput]
	tags       call[rds.AddTagsToResourceInput, rds.AddTagsToResourceOutput]
	metric     call[cloudwatch.GetMetricDataInput, cloudwatch.GetMetricDataOutput]
}

func (r *region) DescribeGlobalClusters(_ context.Context, in *rds.DescribeGlobalClustersInput, _ ...func(*rds.Options)) (*rds.DescribeGlobalClustersOutput, error) {
	return r.globals.answer(in)
}

func (r *region) DescribeDBClusters(_ context.Context, in *rds.DescribeDBClustersInput, _ ...func(*rds.Options)) (*rds.DescribeDBClustersOutput, error) {
	return r.clusters.answer(in)
}

func (r *region) DescribeDBInstances(_ context.Context, in *rds.DescribeDBInstancesInput, _ ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error) {
	return r.instances.answer(in)
}

func (r *region) FailoverGlobalCluster(_ context.Context, in *rds.FailoverGlobalClusterInput, _ ...func(*rds.Options)) (*rds.FailoverGlobalClusterOutput, error) {
	return r.failover.answer(in)
}

func (r *region) SwitchoverGlobalCluster(_ context.Context, in *rds.SwitchoverGlobalClusterInput, _ ...func(*rds.Options)) (*rds.SwitchoverGlobalClusterOutput, error) {
	return r.switchover.answer(in)
}

func (r *region) RemoveFromGlobalCluster(_ context.Context, in *rds.RemoveFromGlobalClusterInput, _ ...func(*rds.Options)) (*rds.RemoveFromGlobalClusterOutput, error) {
	return r.remove.answer(in)
}

func (r *region) AddTagsToResource(_ context.Context, in *rds.AddTagsToResourceInput, _ ...func(*rds.Options)) (*rds.AddTagsToResourceOutput, error) {
	return r.tags.answer(in)
}

func (r *region) GetMetricData(_ context.Context, in *cloudwatch.GetMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error) {
	return r.metric.answer(in)
}

func (r *region) ListMetrics(_ context.Context, in *cloudwatch.ListMetricsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.ListMetricsOutput, error) {
	m := cloudwatchtypes.Metric{Namespace: in.Namespace, MetricName: in.MetricName}
	for _, d := range in.Dimensions {
		m.Dimensions = append(m.Dimensions, cloudwatchtypes.Dimension{Name: d.Name, Value: d.Value})
	}
	m.Dimensions = append(m.Dimensions, cloudwatchtypes.Dimension{Name: aws.String("SourceRegion"), Value: aws.String(east)})
	return &cloudwatch.ListMetricsOutput{Metrics: []cloudwatchtypes.Metric{m}}, nil
}

func (r *region) mutations() int {
	return len(r.failover.asks) + len(r.switchover.asks) + len(r.remove.asks)
}

// sends sets the answer to every mutating call.
func (r *region) sends(err error) { r.failover.err, r.switchover.err, r.remove.err = err, err, err }

// lags makes CloudWatch give one datapoint in milliseconds; none with an age below zero.
func (r *region) lags(value float64, now time.Time, age time.Duration) {
	r.metric.out = &cloudwatch.GetMetricDataOutput{}
	if age >= 0 {
		r.metric.out.MetricDataResults = []cloudwatchtypes.MetricDataResult{{Id: aws.String("lag0"), Values: []float64{value}, Timestamps: []time.Time{now.Add(-age)}}}
	}
}

const (
	east      = "us-east-1"
	west      = "us-west-2"
	primary   = "arn:aws:rds:us-east-1:111122223333:cluster:orders-east"
	secondary = "arn:aws:rds:us-west-2:111122223333:cluster:orders-west"
)

// born is when the clusters were created.
var born = noon.Add(-30 * 24 * time.Hour)

// scene is what AWS shows of a global database: the global cluster as every
// region has it, and both clusters with their instances.
type scene struct {
	status   string
	writer   string // ARN; empty: none
	gone     bool   // the target is no member
	sync     types.GlobalClusterMemberSynchronizationStatus
	failover *types.FailoverState
	target   string // status of the target cluster
	instance string // status of its writer instance
	headless bool   // the target has no instance at all
	readers  bool   // none of the target's instances is marked as its writer
	owner    string // global cluster that the target says it belongs to
	follows  string // cluster that the target says it replicates
	source   string // status of the primary cluster and its instance
	absent   bool   // no such global cluster
	unmarked bool   // nothing says that the target is about to take over
	other    string // how the primary is shown as a member, where it is not connected; gone: not at all
}

func (s scene) global() types.GlobalCluster {
	g := types.GlobalCluster{GlobalClusterIdentifier: aws.String("orders"), Status: aws.String(s.status), FailoverState: s.failover}
	g.GlobalClusterMembers = []types.GlobalClusterMember{{DBClusterArn: aws.String(primary), IsWriter: aws.Bool(s.writer == primary), SynchronizationStatus: "connected"}}
	switch s.other {
	case "":
	case "gone":
		g.GlobalClusterMembers = nil
	default:
		g.GlobalClusterMembers[0].SynchronizationStatus = types.GlobalClusterMemberSynchronizationStatus(s.other)
	}
	if !s.gone {
		g.GlobalClusterMembers = append(g.GlobalClusterMembers, types.GlobalClusterMember{
			DBClusterArn: aws.String(secondary), IsWriter: aws.Bool(s.writer == secondary), SynchronizationStatus: s.sync,
		})
	}
	return g
}

// show puts a scene into both regions.
func (m *machine) show(s scene) {
	for name, r := range m.regions {
		arn, cluster, instance := secondary, s.target, s.instance
		if name == east {
			arn, cluster, instance = primary, s.source, s.source
		}
		r.globals.out = &rds.DescribeGlobalClustersOutput{}
		if !s.absent {
			r.globals.out.GlobalClusters = []types.GlobalCluster{s.global()}
		}
		c := types.DBCluster{DBClusterArn: aws.String(arn), Status: aws.String(cluster), Engine: aws.String("aurora-mysql"), EngineVersion: aws.String("8.0")}
		c.ClusterCreateTime = aws.Time(born)
		if name == west && !s.unmarked {
			c.TagList = []types.Tag{{Key: aws.String(succession.Tag), Value: aws.String(succession.Mark(primary, noon, born))}}
		}
		if name == west && s.owner != "" {
			c.GlobalClusterIdentifier, c.ReplicationSourceIdentifier = aws.String(s.owner), aws.String(s.follows)
		}
		if name == east || !s.headless {
			c.DBClusterMembers = []types.DBClusterMember{{DBInstanceIdentifier: aws.String("orders-1"), IsClusterWriter: aws.Bool(name == east || !s.readers)}}
		}
		r.clusters.out = &rds.DescribeDBClustersOutput{DBClusters: []types.DBCluster{c}}
		r.instances.out = &rds.DescribeDBInstancesOutput{DBInstances: []types.DBInstance{{DBInstanceIdentifier: aws.String("orders-1"), DBInstanceStatus: aws.String(instance)}}}
	}
}

// machine is the loop that the state machine makes around the function: it
// carries the answer into the next call, and marks a call without one.
type machine struct {
	regions map[string]*region
	keys    keyring
	now     time.Time
	event   action.Envelope
	handler lambda.Handler
}

func newMachine(t *testing.T, parameters any, baseline action.State) *machine {
	t.Helper()
	m := &machine{now: noon, regions: map[string]*region{east: {}, west: {}}}
	now := func() time.Time { return m.now }
	switch parameters.(type) {
	case FailoverParameters:
		m.handler = &action.Adapter[FailoverParameters]{Reconciler: Failover{RDS: m.regions[west], Lags: lag.CloudWatch{API: m.regions[west]}, Keys: &m.keys}, Now: now, MinimumSeconds: MinimumSeconds}
	case SwitchoverParameters:
		m.handler = &action.Adapter[SwitchoverParameters]{Reconciler: Switchover{RDS: func(name string) SwitchoverAPI { return m.regions[name] }, Keys: &m.keys}, Now: now, MinimumSeconds: MinimumSeconds}
	}
	encoded, err := json.Marshal(parameters)
	if err != nil {
		t.Fatal(err)
	}
	m.event = action.Envelope{
		Operation: action.OperationReconcile, Run: action.Run{ID: "run-1", Region: west},
		Resource: &action.Resource{Name: "orders", Parameters: encoded, Baseline: baseline, Watched: 1},
		Drive:    &action.Drive{StartedAt: noon, Changed: action.ChangeNo, Memo: map[string]string{}},
	}
	m.regions[west].lags(1000, m.now, time.Minute)
	return m
}

func (m *machine) invoke(t *testing.T, into any) action.Class {
	t.Helper()
	event, err := json.Marshal(m.event)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := m.handler.Invoke(t.Context(), event)
	var failed messages.InvokeResponse_Error
	if errors.As(err, &failed) {
		return action.Class(failed.Type)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		t.Fatalf("answer %s: %v", answer, err)
	}
	return ""
}

func (m *machine) drive(t *testing.T) (action.Answer, action.Class) {
	t.Helper()
	var answer action.Answer
	class := m.invoke(t, &answer)
	d := m.event.Drive
	d.Polls++
	switch class {
	case "":
		d.Changed, d.InterruptedAt, d.Memo = answer.Changed, answer.InterruptedAt, answer.Memo
	case action.OutcomeUnknown, action.Internal:
		now := m.now
		d.InterruptedAt = &now
		d.Interruptions++
		if d.Changed != action.ChangeYes {
			d.Changed = action.ChangeUnknown
		}
	}
	return answer, class
}

func (m *machine) preflight(t *testing.T) (action.Checked, action.Class) {
	t.Helper()
	m.event.Operation, m.event.Resources = action.OperationPreflight, []action.Resource{*m.event.Resource}
	m.event.Resource, m.event.Drive = nil, nil
	var answer action.PreflightAnswer
	if class := m.invoke(t, &answer); class != "" {
		return action.Checked{}, class
	}
	return answer.Readiness[0], ""
}

func (m *machine) mutations() int { return m.regions[east].mutations() + m.regions[west].mutations() }

// dead makes a region answer nothing at all.
func (r *region) dead() {
	err := &smithyhttp.RequestSendError{Err: context.DeadlineExceeded}
	r.globals.err, r.clusters.err, r.instances.err, r.metric.err = err, err, err, err
	r.sends(err)
}

// Failures as the SDK's clients give them.
func serverError() error {
	return &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: 500}}, Err: &smithy.GenericAPIError{Code: "InternalFailure"}}
}

func coded(code string) error { return &smithy.GenericAPIError{Code: code, Message: "said AWS"} }

// keyring is KMS with keys that are all in one state.
type keyring struct {
	state kmstypes.KeyState
	err   error
	asked []string
}

func (k *keyring) State(_ context.Context, key, region string) (kmstypes.KeyState, error) {
	k.asked = append(k.asked, key+" in "+region)
	return k.state, k.err
}
