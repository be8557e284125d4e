package planwatch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	ectypes "github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/run"
)

// world answers every call.
type world struct {
	objects  map[string]string
	listErr  error
	running  []string
	started  []*sfn.StartExecutionInput
	startErr map[string]error // by payload
	events   []string
	estate   error
}

func (w *world) ListObjectsV2(_ context.Context, in *s3.ListObjectsV2Input, _ ...func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
	out := &s3.ListObjectsV2Output{}
	for key := range w.objects {
		if strings.HasPrefix(key, aws.ToString(in.Prefix)) {
			out.Contents = append(out.Contents, s3types.Object{Key: aws.String(key)})
		}
	}
	return out, w.listErr
}

func (w *world) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	body, ok := w.objects[aws.ToString(in.Key)]
	if !ok {
		return nil, &s3types.NoSuchKey{}
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(strings.NewReader(body))}, nil
}

func (w *world) StartExecution(_ context.Context, in *sfn.StartExecutionInput, _ ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error) {
	var to struct{ Payload string }
	if err := json.Unmarshal([]byte(aws.ToString(in.Input)), &to); err != nil {
		return nil, err
	}
	if err := w.startErr[to.Payload]; err != nil {
		return nil, err
	}
	w.started = append(w.started, in)
	return &sfn.StartExecutionOutput{}, nil
}

func (w *world) ListExecutions(context.Context, *sfn.ListExecutionsInput, ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error) {
	out := &sfn.ListExecutionsOutput{}
	for _, name := range w.running {
		out.Executions = append(out.Executions, types.ExecutionListItem{Name: aws.String(name)})
	}
	return out, nil
}

func (w *world) DescribeDBInstances(context.Context, *rds.DescribeDBInstancesInput, ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error) {
	instance := func(id, source string) rdstypes.DBInstance {
		i := rdstypes.DBInstance{DBInstanceIdentifier: aws.String(id)}
		if source != "" {
			i.ReadReplicaSourceDBInstanceIdentifier = aws.String(source)
		}
		return i
	}
	return &rds.DescribeDBInstancesOutput{DBInstances: []rdstypes.DBInstance{
		instance("alone", ""), instance("local-replica", "alone"), instance("orders", "arn:aws:rds:us-east-1:1:db:orders"),
		instance("same-region", "arn:aws:rds:us-west-2:1:db:alone"), instance("billing", "arn:aws:rds:us-east-1:1:db:billing"),
	}}, w.estate
}

func (w *world) DescribeGlobalClusters(context.Context, *rds.DescribeGlobalClustersInput, ...func(*rds.Options)) (*rds.DescribeGlobalClustersOutput, error) {
	global := func(id string, writer bool, region string) rdstypes.GlobalCluster {
		return rdstypes.GlobalCluster{GlobalClusterIdentifier: aws.String(id), GlobalClusterMembers: []rdstypes.GlobalClusterMember{
			{DBClusterArn: aws.String("arn:aws:rds:" + region + ":1:cluster:x"), IsWriter: aws.Bool(writer)}}}
	}
	return &rds.DescribeGlobalClustersOutput{GlobalClusters: []rdstypes.GlobalCluster{global("here", false, "us-west-2"), global("served-here", true, "us-west-2"), global("elsewhere", false, "eu-west-1")}}, nil
}

func (w *world) DescribeGlobalReplicationGroups(_ context.Context, in *elasticache.DescribeGlobalReplicationGroupsInput, _ ...func(*elasticache.Options)) (*elasticache.DescribeGlobalReplicationGroupsOutput, error) {
	out := &elasticache.DescribeGlobalReplicationGroupsOutput{}
	for _, role := range []string{"SECONDARY", "secondary", "PRIMARY"} {
		g := ectypes.GlobalReplicationGroup{GlobalReplicationGroupId: aws.String("cache-" + role)}
		if aws.ToBool(in.ShowMemberInfo) {
			g.Members = []ectypes.GlobalReplicationGroupMember{{ReplicationGroupRegion: aws.String("us-west-2"), Role: aws.String(role)}}
		}
		out.GlobalReplicationGroups = append(out.GlobalReplicationGroups, g)
	}
	return out, nil
}

func (w *world) PutEvents(_ context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	for _, e := range in.Entries {
		w.events = append(w.events, aws.ToString(e.DetailType)+" "+aws.ToString(e.Detail))
	}
	return &eventbridge.PutEventsOutput{}, nil
}

func check(t *testing.T, w *world, patterns ...string) (Output, string, error) {
	t.Helper()
	if patterns == nil {
		patterns = []string{"*"}
	}
	var metrics bytes.Buffer
	c := Checker{
		Region: "us-west-2", Bucket: "b", Machine: "arn:aws:states:us-west-2:1:stateMachine:dr-failover", Deployment: "dr", Objects: w, Executions: w,
		Estate: Estate{Databases: w, Caches: w, Region: "us-west-2"}, Events: w, Metrics: &metrics, Now: func() time.Time { return time.Date(2026, 1, 5, 3, 0, 0, 0, time.UTC) },
	}
	out, err := c.Check(t.Context(), Input{Payloads: patterns})
	return out, metrics.String(), err
}

func seen(identities ...string) string {
	text, err := json.Marshal(run.CheckedPayload{Identities: identities})
	if err != nil {
		panic(err)
	}
	return string(text)
}

var everything = []string{"rds-instance/orders", "rds-instance/billing", "global-cluster/here", "global-replication-group/cache-SECONDARY", "global-replication-group/cache-secondary"}

func TestStarts(t *testing.T) {
	w := &world{objects: map[string]string{"payloads/orders.json": "", "payloads/notes.txt": "", "payloads/old/x.json": "", "payloads/.json": "", "runs/y.json": ""}}
	out, metrics, err := check(t, w)
	if err != nil || len(w.started) != 1 {
		t.Fatalf("%d started, %v", len(w.started), err)
	}
	if diff := cmp.Diff(Output{Started: []string{"orders"}, Running: []string{}, Uncovered: []string{}}, out); diff != "" {
		t.Error(diff)
	}
	in := w.started[0]
	if aws.ToString(in.Name) != "readiness-orders-20260105T0300" || aws.ToString(in.StateMachineArn) != "arn:aws:states:us-west-2:1:stateMachine:dr-failover:live" ||
		aws.ToString(in.Input) != `{"Options":{"Approval":false,"Mode":"plan"},"Payload":"orders"}` {
		t.Errorf("%s %s %s", aws.ToString(in.Name), aws.ToString(in.StateMachineArn), aws.ToString(in.Input))
	}
	if !strings.Contains(metrics, `"PlansStarted":1`) {
		t.Error(metrics)
	}
}

// Only what the patterns want is checked. Nothing is said to be uncovered in a
// region that nothing is to be failed over to.
func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		patterns  []string
		want      []string
		uncovered bool
	}{
		{[]string{"*", "!failback-*"}, []string{"failover-orders", "orders"}, false},
		{[]string{"failover-*"}, []string{"failover-orders"}, false},
		{[]string{"!failover-*", "*"}, []string{"failback-orders", "failover-orders", "orders"}, false},
		{[]string{"billing"}, []string{}, true},
		{[]string{}, []string{}, false},
	} {
		t.Run(strings.Join(tt.patterns, " "), func(t *testing.T) {
			w := &world{objects: map[string]string{"payloads/orders.json": "", "payloads/failover-orders.json": "", "payloads/failback-orders.json": ""}}
			out, metrics, err := check(t, w, tt.patterns...)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(out.Started)
			if diff := cmp.Diff(tt.want, out.Started); diff != "" {
				t.Error(diff)
			}
			if got := len(out.Uncovered) > 0; got != tt.uncovered {
				t.Errorf("uncovered: %v", out.Uncovered)
			}
			if !strings.Contains(metrics, `"PlansStarted":`) {
				t.Errorf("that the check took place is not told: %s", metrics)
			}
		})
	}
	if _, err := (Checker{}).Check(t.Context(), Input{}); action.ClassOf(err) != action.InvalidInput {
		t.Errorf("without patterns: %v", err)
	}
}

// A check that has not ended is not overtaken; that of another payload, and a
// run of the same, are.
func TestRunning(t *testing.T) {
	w := &world{objects: map[string]string{"payloads/orders.json": "", "payloads/orders-eu.json": ""}, running: []string{"readiness-orders-eu-20260105T0230", "orders", "trigger-orders-1"}}
	out, _, err := check(t, w)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Output{Started: []string{"orders"}, Running: []string{"orders-eu"}, Uncovered: []string{}}, out); diff != "" {
		t.Error(diff)
	}
}

// Names that a name of an execution cannot hold stay apart.
func TestPrefix(t *testing.T) {
	long := strings.Repeat("x", 100)
	names := []string{"a.b", "a_b", "a.b.", long, long[:99], "orders", "orders-eu"}
	seen := map[string]string{}
	for _, name := range names {
		full := prefix(name) + checkTime
		if len(full) > 80 || unnamed.MatchString(full) {
			t.Errorf("%s: %q is no name", name, full)
		}
		if other, taken := seen[full]; taken {
			t.Errorf("%s and %s have the same", name, other)
		}
		seen[full] = name
		for _, other := range names {
			if isCheckOf(other, full) != (other == name) {
				t.Errorf("%q is a check of %s", full, other)
			}
		}
	}
}

func TestFailures(t *testing.T) {
	t.Run("the bucket cannot be listed", func(t *testing.T) {
		if _, metrics, err := check(t, &world{listErr: errors.New("no")}); err == nil || metrics != "" {
			t.Errorf("%v, %s", err, metrics)
		}
	})
	t.Run("one cannot be started", func(t *testing.T) {
		w := &world{objects: map[string]string{"payloads/a.json": "", "payloads/b.json": ""}, startErr: map[string]error{"a": errors.New("no")}}
		if out, _, err := check(t, w); err == nil || len(out.Started) != 1 {
			t.Errorf("%v, %v", out, err)
		}
	})
	t.Run("one was started before", func(t *testing.T) {
		w := &world{objects: map[string]string{"payloads/a.json": ""}, startErr: map[string]error{"a": &types.ExecutionAlreadyExists{}}}
		if out, _, err := check(t, w); err != nil || len(out.Started) != 1 {
			t.Errorf("%v, %v", out, err)
		}
	})
	t.Run("too many", func(t *testing.T) {
		w := &world{objects: map[string]string{}}
		for i := range mostPayloads + 1 {
			w.objects[fmt.Sprintf("payloads/%d.json", i)] = ""
		}
		if _, _, err := check(t, w); action.ClassOf(err) != action.Capacity || len(w.started) > 0 {
			t.Errorf("%v", err)
		}
	})
	t.Run("the estate cannot be seen", func(t *testing.T) {
		w := &world{estate: errors.New("no")}
		if _, metrics, err := check(t, w); err == nil || strings.Contains(metrics, "Uncovered") {
			t.Errorf("%v, %s", err, metrics)
		}
	})
}

func TestUncovered(t *testing.T) {
	for _, tt := range []struct {
		name    string
		objects map[string]string
		want    []string
	}{
		{"no payload at all", map[string]string{}, everything},
		{"one that was never checked", map[string]string{"payloads/a.json": ""}, []string{}},
		{"one for everything", map[string]string{"payloads/a.json": "", "runs/readiness/a.json": seen(everything...)}, []string{}},
		{"by ARN", map[string]string{"payloads/a.json": "", "runs/readiness/a.json": seen(append([]string{"rds-instance/arn:aws:rds:us-west-2:1:db:orders"}, everything[1:]...)...)}, []string{}},
		{"two together", map[string]string{"payloads/a.json": "", "payloads/b.json": "", "runs/readiness/a.json": seen(everything[:2]...), "runs/readiness/b.json": seen(everything[3:]...)}, everything[2:3]},
		{"of a payload that is gone", map[string]string{"payloads/a.json": "", "runs/readiness/a.json": seen(everything[1:]...), "runs/readiness/gone.json": seen(everything[:1]...)}, everything[:1]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &world{objects: tt.objects}
			out, metrics, err := check(t, w)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]bool{}
			for _, id := range out.Uncovered {
				got[id] = true
			}
			for _, id := range tt.want {
				if !got[id] {
					t.Errorf("%s is not told", id)
				}
			}
			if len(got) != len(tt.want) || !strings.Contains(metrics, fmt.Sprintf(`"Uncovered":%d`, len(tt.want))) {
				t.Errorf("%v, want %v\n%s", out.Uncovered, tt.want, metrics)
			}
			if told := len(w.events) > 0; told != (len(tt.want) > 0) {
				t.Errorf("events: %v", w.events)
			}
		})
	}
}
