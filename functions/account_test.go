package functions_test

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/guard"
	"dr-orchestrator/internal/lab"
	"dr-orchestrator/internal/planwatch"
	"dr-orchestrator/internal/report"
	"dr-orchestrator/internal/run"
)

// Where the functions run, in the estate that every lab begins with.
// started is when the execution of these tests began.
var started = time.Now().UTC()

const (
	region    = "us-west-2"
	bucket    = "dr-orchestrator-111122223333-us-west-2"
	execution = "contract"
	machines  = "arn:aws:states:us-west-2:111122223333:stateMachine:dr-orchestrator-"
	arn       = "arn:aws:states:us-west-2:111122223333:execution:dr-orchestrator-failover:contract"
)

// account is a lab account that answers over HTTP.
type account struct {
	endpoint string
	store    *s3.Client
	machines *sfn.Client
}

// speed makes the latencies of the lab too short to wait for.
const speed = 1000

func newAccount(t *testing.T) account {
	t.Helper()
	a := lab.NewAccount(lab.DefaultEstate(), lab.NewWallClock(lab.Epoch, speed), 1, nil)
	server := httptest.NewServer(a.Handler())
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		a.Serve(func() { <-stop })
	}()
	t.Cleanup(func() {
		server.Close() // waits for calls, which the account must still answer
		close(stop)
		<-stopped
	})
	config := aws.Config{Region: region, BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider("LAB", "LAB", "")}
	return account{server.URL, s3.NewFromConfig(config), sfn.NewFromConfig(config)}
}

func (a account) put(t *testing.T, key string, v any) {
	t.Helper()
	if _, err := a.store.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String(key), Body: bytes.NewReader(encode(t, v)),
	}); err != nil {
		t.Fatal(err)
	}
}

func (a account) get(t *testing.T, key string, into any) {
	t.Helper()
	out, err := a.store.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	if err := json.NewDecoder(out.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// results stores the results of a distributed map as Step Functions does.
func (a account) results(t *testing.T, all ...any) run.Location {
	t.Helper()
	key := run.Prefix(arn, started) + "map/"
	a.put(t, key+"SUCCEEDED_0.json", all)
	files := map[string]any{"FAILED": []any{}, "PENDING": []any{}, "SUCCEEDED": []any{map[string]any{"Key": key + "SUCCEEDED_0.json"}}}
	a.put(t, key+"manifest.json", map[string]any{"ResultFiles": files})
	return run.Location{Bucket: bucket, Key: key + "manifest.json"}
}

// plan has the function prepare-run make the plan of a sample payload.
func (a account) plan(t *testing.T, sample, machine string) run.Plan {
	t.Helper()
	prepared := answerOf[run.Prepared](t, a.endpoint, "prepare-run", prepareInput(t, sample, machine))
	if prepared.Decision != "go" {
		t.Fatalf("the sample %s was not prepared: %s", sample, prepared.Cause)
	}
	var plan run.Plan
	a.get(t, run.Prefix(arn, started)+"plan.json", &plan)
	return plan
}

// readiness stores what a preflight of the plan would have found.
func (a account) readiness(t *testing.T, plan run.Plan) {
	t.Helper()
	var checked []action.Checked
	for _, r := range resources(plan) {
		checked = append(checked, action.Checked{Index: r.Index, Verdict: action.VerdictReady, Observed: action.StateReady})
	}
	a.put(t, run.Prefix(arn, started)+"readiness.json", checked)
}

// stopped starts the sample and stops it.
func (a account) stopped(t *testing.T) string {
	t.Helper()
	input, err := os.ReadFile(filepath.Join("..", "payloads", sample))
	if err != nil {
		t.Fatal(err)
	}
	machine := "arn:aws:states:us-west-2:111122223333:stateMachine:dr-orchestrator-failover"
	if _, err := a.machines.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: aws.String(machine), Name: aws.String(execution), Input: aws.String(string(input))}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.machines.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: aws.String(arn)}); err != nil {
		t.Fatal(err)
	}
	for {
		e, err := a.machines.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: aws.String(arn)})
		if err != nil {
			t.Fatal(err)
		}
		if e.Status != types.ExecutionStatusRunning {
			return arn
		}
	}
}

func prepareInput(t *testing.T, sample, machine string) run.PrepareInput {
	t.Helper()
	input, err := os.ReadFile(filepath.Join("..", "payloads", sample))
	if err != nil {
		t.Fatal(err)
	}
	in := run.PrepareInput{Input: input, Machine: machine}
	in.Execution.ID, in.Execution.Name, in.Execution.StartTime = arn, execution, started
	return in
}

// sample is the payload of the steps, which are the same for all.
const sample = "failover-replica-and-cache.json"

// stepEvents are the events of the functions that are no action, and a field by
// which success is told.
var stepEvents = map[string]struct {
	field, want string
	event       func(*testing.T, account) any
}{
	"prepare-run": {"decision", "go", func(t *testing.T, _ account) any {
		return prepareInput(t, sample, catalog.Failover)
	}},
	"record-readiness": {"decision", "go", func(t *testing.T, a account) any {
		plan := a.plan(t, sample, catalog.Failover)
		var batches []any
		for _, r := range resources(plan) {
			batches = append(batches, action.PreflightAnswer{Readiness: []action.Checked{{Index: r.Index, Verdict: action.VerdictReady, Observed: action.StateReady}}})
		}
		return run.ReadinessInput{Run: plan.Run, Mode: plan.Mode, Results: a.results(t, batches...)}
	}},
	"request-approval": {"execution", arn, func(t *testing.T, a account) any {
		plan := a.plan(t, sample, catalog.Failover)
		a.readiness(t, plan)
		return run.ApprovalInput{Run: plan.Run, Token: "token", Seconds: 60}
	}},
	"close-run": {"decision", "closed", func(t *testing.T, a account) any {
		return run.CloseInput{Execution: a.stopped(t)}
	}},
	"check-plans": {"started", "[]", func(*testing.T, account) any { return planwatch.Input{Payloads: []string{"*"}} }},
	"guard-trigger": {"decisions", "[map[", func(*testing.T, account) any {
		trigger := guard.Trigger{Name: "by-hand", On: guard.OnRequest, Payload: "orders"}
		event := map[string]any{"id": "1", "time": time.Now().UTC(), "detail": map[string]any{"trigger": "by-hand"}}
		return map[string]any{"trigger": trigger, "event": event}
	}},
	"set-locks": {"decision", "go", func(t *testing.T, a account) any {
		return run.LocksInput{Run: a.plan(t, sample, catalog.Failover).Run}
	}},
	"record-layer": {"decision", "next", func(t *testing.T, a account) any {
		plan := a.plan(t, sample, catalog.Failover)
		var items []any
		for _, r := range resources(plan) {
			items = append(items, run.Item{Index: r.Index, Status: report.Done, Changed: action.ChangeYes})
		}
		at := a.results(t, items...)
		return run.LayerInput{Run: plan.Run, Layer: run.LayerRef{Layer: 1, Count: len(items)}, Results: &at, Changed: action.ChangeNo}
	}},
	"record-report": {"undelivered", "", func(t *testing.T, a account) any {
		a.plan(t, sample, catalog.Failover)
		in := run.ReportInput{Outcome: report.FailedClean, Begun: 0}
		in.Execution.ID, in.Execution.Name, in.Execution.StartTime = arn, execution, started
		return in
	}},
}

func resources(plan run.Plan) []action.Resource {
	var all []action.Resource
	for _, layer := range plan.Layers {
		all = append(all, layer.Resources...)
	}
	return all
}

// event makes an event that a function answers, for an action from the sample
// of its row in the catalog.
func (a account) event(t *testing.T, function string) any {
	t.Helper()
	if step, ok := stepEvents[function]; ok {
		return step.event(t, a)
	}
	for _, e := range catalog.Entries {
		if e.Function != function {
			continue
		}
		plan := a.plan(t, e.Sample, e.Machines[0])
		for _, r := range resources(plan) {
			if strings.TrimPrefix(r.Function, lab.FunctionPrefix) != function {
				continue
			}
			r.Baseline = action.StateReady
			return action.Envelope{Operation: action.OperationReconcile, Run: plan.Run, Resource: &r,
				Drive: &action.Drive{StartedAt: lab.Epoch, Changed: action.ChangeNo}, Now: aws.Time(lab.Epoch)}
		}
		t.Fatalf("the sample %s of %s does not use it", e.Sample, e.Type)
	}
	t.Fatalf("%s is no action, and has no event in this test", function)
	return nil
}
