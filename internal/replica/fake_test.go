package replica

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

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

// account is RDS and CloudWatch as a promotion meets them.
type account struct {
	describe call[rds.DescribeDBInstancesInput, rds.DescribeDBInstancesOutput]
	promote  call[rds.PromoteReadReplicaInput, rds.PromoteReadReplicaOutput]
	modify   call[rds.ModifyDBInstanceInput, rds.ModifyDBInstanceOutput]
	tag      call[rds.AddTagsToResourceInput, rds.AddTagsToResourceOutput]
	metric   call[cloudwatch.GetMetricDataInput, cloudwatch.GetMetricDataOutput]
}

func (a *account) DescribeDBInstances(_ context.Context, in *rds.DescribeDBInstancesInput, _ ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error) {
	return a.describe.answer(in)
}

func (a *account) PromoteReadReplica(_ context.Context, in *rds.PromoteReadReplicaInput, _ ...func(*rds.Options)) (*rds.PromoteReadReplicaOutput, error) {
	return a.promote.answer(in)
}

func (a *account) ModifyDBInstance(_ context.Context, in *rds.ModifyDBInstanceInput, _ ...func(*rds.Options)) (*rds.ModifyDBInstanceOutput, error) {
	return a.modify.answer(in)
}

func (a *account) AddTagsToResource(_ context.Context, in *rds.AddTagsToResourceInput, _ ...func(*rds.Options)) (*rds.AddTagsToResourceOutput, error) {
	return a.tag.answer(in)
}

func (a *account) GetMetricData(_ context.Context, in *cloudwatch.GetMetricDataInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricDataOutput, error) {
	return a.metric.answer(in)
}

func (a *account) ListMetrics(_ context.Context, in *cloudwatch.ListMetricsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.ListMetricsOutput, error) {
	m := cloudwatchtypes.Metric{Namespace: in.Namespace, MetricName: in.MetricName}
	for _, d := range in.Dimensions {
		m.Dimensions = append(m.Dimensions, cloudwatchtypes.Dimension{Name: d.Name, Value: d.Value})
	}
	return &cloudwatch.ListMetricsOutput{Metrics: []cloudwatchtypes.Metric{m}}, nil
}

// mutations counts the calls that change something.
func (a *account) mutations() int {
	return len(a.promote.asks) + len(a.modify.asks) + len(a.tag.asks)
}

// shows makes the account show an instance.
func (a *account) shows(db types.DBInstance) {
	a.describe.out, a.describe.err = &rds.DescribeDBInstancesOutput{DBInstances: []types.DBInstance{db}}, nil
}

// lags makes CloudWatch give one datapoint; none with an age below zero.
func (a *account) lags(value float64, now time.Time, age time.Duration) {
	a.metric.out = &cloudwatch.GetMetricDataOutput{}
	if age >= 0 {
		a.metric.out.MetricDataResults = []cloudwatchtypes.MetricDataResult{{Id: aws.String("lag0"), Values: []float64{value}, Timestamps: []time.Time{now.Add(-age)}}}
	}
}

// machine is the loop that the state machine makes around the function: it
// carries the answer into the next call, and marks a call without one.
type machine struct {
	account account
	keys    keyring
	now     time.Time
	event   action.Envelope
}

func newMachine(t *testing.T, p PromoteParameters, baseline action.State) *machine {
	t.Helper()
	parameters, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{now: noon, event: action.Envelope{
		Operation: action.OperationReconcile, Run: action.Run{ID: "run-1", Region: "us-west-2"},
		Resource: &action.Resource{Name: "orders", Parameters: parameters, Baseline: baseline, Watched: 1},
		Drive:    &action.Drive{StartedAt: noon, Changed: action.ChangeNo, Memo: map[string]string{}},
	}}
	m.account.lags(1, m.now, time.Minute)
	return m
}

func (m *machine) invoke(t *testing.T, into any) action.Class {
	t.Helper()
	adapter := &action.Adapter[PromoteParameters]{Reconciler: Promotion{RDS: &m.account, Lags: lag.CloudWatch{API: &m.account}, Keys: &m.keys}, Now: func() time.Time { return m.now }, MinimumSeconds: MinimumPromotionSeconds}
	event, err := json.Marshal(m.event)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := adapter.Invoke(t.Context(), event)
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

// Failures as the SDK's clients give them.
func serverError() error {
	return &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: 500}}, Err: &smithy.GenericAPIError{Code: "InternalFailure"}}
}

func coded(code string) error { return &smithy.GenericAPIError{Code: code, Message: "said AWS"} }

const (
	replicaARN = "arn:aws:rds:us-west-2:111122223333:db:orders"
	sourceARN  = "arn:aws:rds:us-east-1:111122223333:db:orders"
)

// instance is a DB instance: a replica if it has a source.
func instance(status, source string, retention int32, change ...func(*types.DBInstance)) types.DBInstance {
	db := types.DBInstance{
		DBInstanceIdentifier: aws.String("orders"), DBInstanceArn: aws.String(replicaARN), Engine: aws.String("mysql"),
		DBInstanceStatus: aws.String(status), BackupRetentionPeriod: aws.Int32(retention), Endpoint: &types.Endpoint{Address: aws.String("orders.us-west-2")},
	}
	if source != "" {
		db.ReadReplicaSourceDBInstanceIdentifier = aws.String(source)
		db.StatusInfos = []types.DBInstanceStatusInfo{{StatusType: aws.String("read replication"), Status: aws.String("replicating"), Normal: aws.Bool(true)}}
	}
	for _, c := range change {
		c(&db)
	}
	return db
}

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
