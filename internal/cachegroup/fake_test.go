package cachegroup

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
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

// region is ElastiCache of one region.
type region struct {
	globals  call[elasticache.DescribeGlobalReplicationGroupsInput, elasticache.DescribeGlobalReplicationGroupsOutput]
	groups   call[elasticache.DescribeReplicationGroupsInput, elasticache.DescribeReplicationGroupsOutput]
	failover call[elasticache.FailoverGlobalReplicationGroupInput, elasticache.FailoverGlobalReplicationGroupOutput]
	lags     lags
}

// lags answers with one reading, and keeps what it was asked for.
type lags struct {
	reading lag.Reading
	asks    []lag.Metric
}

func (l *lags) Read(_ context.Context, m lag.Metric, _ time.Time) lag.Reading {
	l.asks = append(l.asks, m)
	return l.reading
}

func (r *region) DescribeGlobalReplicationGroups(_ context.Context, in *elasticache.DescribeGlobalReplicationGroupsInput, _ ...func(*elasticache.Options)) (*elasticache.DescribeGlobalReplicationGroupsOutput, error) {
	return r.globals.answer(in)
}

func (r *region) DescribeReplicationGroups(_ context.Context, in *elasticache.DescribeReplicationGroupsInput, _ ...func(*elasticache.Options)) (*elasticache.DescribeReplicationGroupsOutput, error) {
	return r.groups.answer(in)
}

func (r *region) FailoverGlobalReplicationGroup(_ context.Context, in *elasticache.FailoverGlobalReplicationGroupInput, _ ...func(*elasticache.Options)) (*elasticache.FailoverGlobalReplicationGroupOutput, error) {
	return r.failover.answer(in)
}

const (
	east = "us-east-1"
	west = "us-west-2"
)

// scene is what AWS shows of a global datastore.
type scene struct {
	status  string
	roles   [2]string // of the group in the east, and of the target in the west
	members [2]string // their status as members; empty: associated
	gone    bool      // the target is no member
	group   string    // status of the target as its own region shows it
	role    string    // role of the target as its own region shows it
	absent  bool      // no such global datastore
}

// machine is the loop that the state machine makes around the function: it
// carries the answer into the next call, and marks a call without one.
type machine struct {
	regions map[string]*region
	keys    keyring
	now     time.Time
	event   action.Envelope
}

func (m *machine) show(s scene) {
	g := types.GlobalReplicationGroup{GlobalReplicationGroupId: aws.String("ldgnf-orders"), Status: aws.String(s.status)}
	for i, name := range []string{east, west} {
		if name == west && s.gone {
			continue
		}
		member := types.GlobalReplicationGroupMember{
			ReplicationGroupId: aws.String("orders-" + name), ReplicationGroupRegion: aws.String(name), Role: aws.String(s.roles[i]), Status: aws.String("associated"),
		}
		if s.members[i] != "" {
			member.Status = aws.String(s.members[i])
		}
		g.Members = append(g.Members, member)
	}
	for _, r := range m.regions {
		r.globals.out = &elasticache.DescribeGlobalReplicationGroupsOutput{}
		if !s.absent {
			r.globals.out.GlobalReplicationGroups = []types.GlobalReplicationGroup{g}
		}
		group := types.ReplicationGroup{ReplicationGroupId: aws.String("orders-" + west), Status: aws.String(s.group), MemberClusters: nodes}
		r.lags.reading = lag.Reading{Known: true, Lag: 2 * time.Second, At: m.now}
		if s.role != "" {
			group.GlobalReplicationGroupInfo = &types.GlobalReplicationGroupInfo{GlobalReplicationGroupMemberRole: aws.String(s.role)}
		}
		r.groups.out = &elasticache.DescribeReplicationGroupsOutput{ReplicationGroups: []types.ReplicationGroup{group}}
	}
}

var nodes = []string{"orders-us-west-2-001", "orders-us-west-2-002"}

var parameters = FailoverParameters{GlobalReplicationGroupId: "ldgnf-orders", TargetRegion: west, TargetReplicationGroupId: "orders-" + west}

func newMachine(t *testing.T, baseline action.State) *machine {
	t.Helper()
	encoded, err := json.Marshal(parameters)
	if err != nil {
		t.Fatal(err)
	}
	return &machine{now: noon, regions: map[string]*region{east: {}, west: {}}, event: action.Envelope{
		Operation: action.OperationReconcile, Run: action.Run{ID: "run-1", Region: west},
		Resource: &action.Resource{Name: "orders", Parameters: encoded, Baseline: baseline, Watched: 1},
		Drive:    &action.Drive{StartedAt: noon, Changed: action.ChangeNo, Memo: map[string]string{}},
	}}
}

func (m *machine) invoke(t *testing.T, into any) action.Class {
	t.Helper()
	adapter := &action.Adapter[FailoverParameters]{
		Reconciler: Failover{
			ElastiCache: func(name string) FailoverAPI { return m.regions[name] },
			Lags:        func(name string) lag.Source { return &m.regions[name].lags },
			Keys:        &m.keys,
		},
		Now: func() time.Time { return m.now }, MinimumSeconds: MinimumSeconds,
	}
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

func (m *machine) mutations() int {
	return len(m.regions[east].failover.asks) + len(m.regions[west].failover.asks)
}

// dead makes a region answer nothing at all.
func (r *region) dead() {
	err := &smithyhttp.RequestSendError{Err: context.DeadlineExceeded}
	r.globals.err, r.groups.err, r.failover.err = err, err, err
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
