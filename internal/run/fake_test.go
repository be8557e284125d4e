package run

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/payload"
)

// documents is where those of the run in these tests stand.
const documents = "runs/dr-orchestrator-failover/run-1/20260301T120000.000Z/"

var (
	started = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ended   = started.Add(10 * time.Minute)
)

// bucket is S3 in memory; an error is that of every call for a key.
type bucket struct {
	objects map[string][]byte
	errs    map[string]error
	puts    []string
}

func newBucket() *bucket { return &bucket{objects: map[string][]byte{}, errs: map[string]error{}} }

func (b *bucket) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	key := aws.ToString(in.Key)
	if err := b.errs[key]; err != nil {
		return nil, err
	}
	body, ok := b.objects[key]
	if !ok {
		return nil, &types.NoSuchKey{}
	}
	return &s3.GetObjectOutput{Body: io.NopCloser(bytes.NewReader(body))}, nil
}

func (b *bucket) PutObject(_ context.Context, in *s3.PutObjectInput, _ ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	key := aws.ToString(in.Key)
	if err := b.errs[key]; err != nil {
		return nil, err
	}
	body, err := io.ReadAll(in.Body)
	b.objects[key] = body
	b.puts = append(b.puts, key)
	return &s3.PutObjectOutput{}, err
}

// holds puts a document into the bucket.
func (b *bucket) holds(t *testing.T, key string, v any) {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	b.objects[key] = body
}

// document reads one back; absent is a failure.
func document[T any](t *testing.T, b *bucket, key string) T {
	t.Helper()
	var v T
	body, ok := b.objects[key]
	if !ok {
		t.Fatalf("%s is not in the bucket", key)
	}
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return v
}

func (b *bucket) wrote(key string) bool { return slices.Contains(b.puts, key) }

// outlets is EventBridge and SNS.
type outlets struct {
	eventErr, noticeErr error
	failed              int32
	events              []eventbridge.PutEventsInput
	notices             []sns.PublishInput
}

func (o *outlets) PutEvents(_ context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	o.events = append(o.events, *in)
	if o.eventErr != nil {
		return nil, o.eventErr
	}
	return &eventbridge.PutEventsOutput{FailedEntryCount: o.failed}, nil
}

func (o *outlets) Publish(_ context.Context, in *sns.PublishInput, _ ...func(*sns.Options)) (*sns.PublishOutput, error) {
	o.notices = append(o.notices, *in)
	return &sns.PublishOutput{}, o.noticeErr
}

// references resolves what it has; the rest is a problem.
type references struct {
	texts map[string]string
	err   error
}

func (r references) Resolve(_ context.Context, doc *payload.Document) (payload.Problems, error) {
	var problems payload.Problems
	for _, layer := range doc.Layers {
		for _, resource := range layer.Resources {
			for name, v := range resource.Parameters {
				_, meant, _ := payload.ParseReference(v.Text)
				if !meant {
					continue
				}
				text, ok := r.texts[v.Text]
				if !ok {
					problems = append(problems, payload.Problem{Pointer: v.Pointer, Value: v.Text, Message: "there is no such export"})
					continue
				}
				v.Reference, v.Text = v.Text, text
				resource.Parameters[name] = v
			}
		}
	}
	return problems, r.err
}

func coded(code string) error { return &smithy.GenericAPIError{Code: code, Message: "said AWS"} }

// results writes what Step Functions writes of a distributed map: the outputs
// in files, and a manifest that names them.
func (b *bucket) mapRun(t *testing.T, prefix string, files ...any) Location {
	t.Helper()
	var m manifest
	for i, file := range files {
		key := prefix + "/SUCCEEDED_" + string(rune('0'+i)) + ".json"
		b.holds(t, key, file)
		m.ResultFiles.Succeeded = append(m.ResultFiles.Succeeded, resultFile{Key: key})
	}
	b.holds(t, prefix+"/manifest.json", m)
	return Location{Bucket: "runs-bucket", Key: prefix + "/manifest.json"}
}

// planOf is a plan with layers of so many resources.
func planOf(counts ...int) Plan {
	plan := Plan{Run: action.Run{ID: "run-1", Execution: executionARN, Machine: "failover", Region: "us-west-2", StartedAt: started}, Mode: "run"}
	next := 0
	for i, count := range counts {
		layer := Layer{Layer: i + 1}
		for range count {
			layer.Resources = append(layer.Resources, action.Resource{
				Index: next, Layer: i + 1, Type: "PromoteRDSReadReplica", Name: "db " + string(rune('a'+next)), Function: "dr-promote-read-replica", Parameters: json.RawMessage(`{}`),
			})
			next++
		}
		plan.Layers = append(plan.Layers, layer)
	}
	return plan
}

// readyFor is a preflight that has nothing against any resource of the plan.
func readyFor(plan Plan) []action.Checked {
	var checked []action.Checked
	for _, layer := range plan.Layers {
		for _, r := range layer.Resources {
			checked = append(checked, action.Checked{Index: r.Index, Verdict: action.VerdictReady, Observed: action.StateReady})
		}
	}
	return checked
}
