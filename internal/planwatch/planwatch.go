// Package planwatch has the stored payloads of a region planned again and
// again, so that it is known on an ordinary day whether they would work on the
// other one. Each plan is an execution of the failover machine, and its own end
// judges it (package run).
package planwatch

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/emf"
	"dr-orchestrator/internal/run"
)

// Objects is every call to S3 that is made.
type Objects interface {
	ListObjectsV2(context.Context, *s3.ListObjectsV2Input, ...func(*s3.Options)) (*s3.ListObjectsV2Output, error)
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

// Executions is every call to Step Functions that is made.
type Executions interface {
	StartExecution(context.Context, *sfn.StartExecutionInput, ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error)
	ListExecutions(context.Context, *sfn.ListExecutionsInput, ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error)
}

// Checker starts the checks.
type Checker struct {
	Region     string
	Bucket     string
	Machine    string // ARN of the failover machine
	Deployment string
	Objects    Objects
	Executions Executions
	Estate     Estate
	Events     run.Events
	Metrics    io.Writer // nil: none are written
	Now        func() time.Time
}

// Input is what the schedule sends.
type Input struct {
	// Payloads are patterns of the names to check, as package path matches them.
	// The last that matches a name decides, and one after "!" says no. A region
	// that an estate is not to be failed over to has none.
	Payloads []string `json:"payloads"`
}

// wants reports whether a payload is to be checked.
func (in Input) wants(name string) bool {
	for _, pattern := range slices.Backward(in.Payloads) {
		rest, no := strings.CutPrefix(pattern, "!")
		if ok, err := path.Match(rest, name); err == nil && ok {
			return !no
		}
	}
	return false
}

// Output is the answer.
type Output struct {
	Started   []string `json:"started"` // payloads whose check began
	Running   []string `json:"running"` // payloads whose last check has not ended
	Uncovered []string `json:"uncovered"`
}

// New wires the function to AWS.
func New(f *client.Factory, env run.Environment, now func() time.Time) lambda.Handler {
	cfg := f.Config("")
	c := Checker{
		Region: f.Region, Bucket: env.Bucket, Machine: env.MachinePrefix + catalog.Failover, Deployment: env.Deployment(),
		Objects: s3.NewFromConfig(cfg), Executions: sfn.NewFromConfig(cfg), Events: eventbridge.NewFromConfig(cfg),
		Estate:  Estate{Databases: rds.NewFromConfig(cfg), Caches: elasticache.NewFromConfig(cfg), Region: f.Region},
		Metrics: env.Metrics, Now: now,
	}
	return action.Step[Input, Output](c.Check)
}

const (
	folder = "payloads/"
	suffix = ".json"
	// mostPayloads bounds what one call starts. StartExecution allows a few a
	// second, and the function has under two minutes.
	mostPayloads = 100
	liveAlias    = ":live"
)

// Check is the function. Invoked twice within a minute it starts nothing twice.
func (c Checker) Check(ctx context.Context, in Input) (Output, error) {
	out := Output{Started: []string{}, Running: []string{}, Uncovered: []string{}}
	if in.Payloads == nil {
		return out, action.Errorf(action.InvalidInput, `payloads: is missing: want patterns of names, as in {"payloads": ["*"]}`)
	}
	names, err := c.stored(ctx, in)
	if err != nil {
		return out, err
	}
	busy, err := c.running(ctx)
	if err != nil {
		return out, err
	}
	var failed []error
	for _, name := range names {
		if slices.ContainsFunc(busy, func(e string) bool { return isCheckOf(name, e) }) {
			out.Running = append(out.Running, name)
			continue
		}
		if err := c.start(ctx, name); err != nil {
			failed = append(failed, err)
			continue
		}
		out.Started = append(out.Started, name)
	}
	if len(in.Payloads) > 0 {
		out.Uncovered, err = c.uncovered(ctx, names)
	}
	if err != nil {
		failed = append(failed, err)
	} else {
		failed = append(failed, c.tell(ctx, out.Uncovered))
	}
	failed = append(failed, emf.Write(c.Metrics, c.line(run.MetricPlansStarted, len(out.Started))))
	slog.InfoContext(ctx, "checks of stored payloads", "started", len(out.Started), "running", len(out.Running), "uncovered", out.Uncovered)
	return out, errors.Join(failed...)
}

func (c Checker) line(metric string, n int) emf.Line {
	return emf.Line{
		Namespace: run.MetricNamespace, Time: c.Now(), Sets: [][]string{{run.DimensionDeployment}}, Values: map[string]string{run.DimensionDeployment: c.Deployment},
		Metrics: []emf.Metric{{Name: metric, Unit: emf.Count, Value: float64(n)}},
	}
}

// stored lists the names of the payloads in the bucket that are to be checked.
func (c Checker) stored(ctx context.Context, in Input) ([]string, error) {
	var names []string
	for pages := s3.NewListObjectsV2Paginator(c.Objects, &s3.ListObjectsV2Input{Bucket: aws.String(c.Bucket), Prefix: aws.String(folder)}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, action.Call("listing the stored payloads", err)
		}
		for _, o := range page.Contents {
			if name, ok := strings.CutSuffix(strings.TrimPrefix(aws.ToString(o.Key), folder), suffix); ok && name != "" && !strings.Contains(name, "/") && in.wants(name) {
				names = append(names, name)
			}
		}
	}
	if len(names) > mostPayloads {
		return nil, action.Errorf(action.Capacity, "there are %d stored payloads to check: at most %d are", len(names), mostPayloads)
	}
	return names, nil
}

// running lists the names of checks that have not ended.
func (c Checker) running(ctx context.Context) ([]string, error) {
	var names []string
	for pages := sfn.NewListExecutionsPaginator(c.Executions, &sfn.ListExecutionsInput{StateMachineArn: aws.String(c.Machine), StatusFilter: types.ExecutionStatusRunning, MaxResults: 100}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, action.Call("looking at the checks that run", err)
		}
		for _, e := range page.Executions {
			if strings.HasPrefix(aws.ToString(e.Name), run.ReadinessPrefix) {
				names = append(names, aws.ToString(e.Name))
			}
		}
	}
	return names, nil
}

// unnamed is what the name of an execution cannot hold.
var unnamed = regexp.MustCompile(`[^0-9A-Za-z_-]`)

// longestName leaves room, in the 80 characters of a name, for what stands
// around that of the payload.
const longestName = 40

// prefix begins the names of the checks of a payload, and of no other: the time
// follows it.
func prefix(payload string) string {
	name := unnamed.ReplaceAllString(payload, "_")
	name = name[:min(len(name), longestName)]
	if name != payload {
		name += fmt.Sprintf("-%x", sha256.Sum256([]byte(payload)))[:9]
	}
	return run.ReadinessPrefix + name + "-"
}

// checkTime is the time at the end of the name of a check.
const checkTime = "20060102T1504"

// isCheckOf reports the name of a check of a payload.
func isCheckOf(payload, execution string) bool {
	rest, ok := strings.CutPrefix(execution, prefix(payload))
	return ok && len(rest) == len(checkTime)
}

func (c Checker) start(ctx context.Context, payload string) error {
	input, err := json.Marshal(map[string]any{"Payload": payload, "Options": map[string]any{"Mode": "plan", "Approval": false}})
	if err != nil {
		return fmt.Errorf("the check of %s: %w", payload, err)
	}
	_, err = c.Executions.StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: aws.String(c.Machine + liveAlias), Input: aws.String(string(input)), Name: aws.String(prefix(payload) + c.Now().UTC().Format(checkTime)),
	})
	var exists *types.ExecutionAlreadyExists
	if errors.As(err, &exists) {
		return nil
	}
	return action.Mutation("starting the check of "+payload, err)
}
