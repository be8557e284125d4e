// Package run holds the steps of a run that are not actions: reading the
// payload and making the plan, judging the preflight, judging each layer, and
// writing the report. What passes between them stands in the run's bucket, so
// that three resources and ten thousand go the same way.
package run

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"dr-orchestrator/internal/action"
)

// Objects is every call to S3 that the steps make.
type Objects interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

// Store keeps the documents of runs in a bucket.
type Store struct {
	S3     Objects
	Bucket string
}

// Location is a place in a bucket.
type Location struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
}

// The documents of a run.
const (
	docPlan      = "plan.json"
	docPreflight = "preflight-batches.json"
	docReadiness = "readiness.json"
	docApproval  = "approval.json"
	docReport    = "report.json"
	docPage      = "report.html" // the same for a person
)

func docLayer(layer int) string   { return fmt.Sprintf("layer-%d.json", layer) }
func docResults(layer int) string { return fmt.Sprintf("layer-%d-results.json", layer) }

// Prefix is where the documents of a run stand. The name of an execution is
// unique in its machine and for 90 days only, so machine and start are part of
// it: what another run has left must never be taken for this one's.
func Prefix(execution string, started time.Time) string {
	_, rest, _ := strings.Cut(execution, ":execution:")
	machine, name, _ := strings.Cut(rest, ":")
	return "runs/" + machine + "/" + name + "/" + started.UTC().Format("20060102T150405.000Z") + "/"
}

// ReportKey is where the report of a run stands.
func ReportKey(execution string, started time.Time) string {
	return Prefix(execution, started) + docReport
}

// PageKey is where its page for a person stands.
func PageKey(execution string, started time.Time) string {
	return Prefix(execution, started) + docPage
}

// PlanKey is where the plan of a run stands, as soon as it is made.
func PlanKey(execution string, started time.Time) string {
	return Prefix(execution, started) + docPlan
}

// ResultsKey is where the items of a layer stand, as soon as it is recorded.
func ResultsKey(execution string, started time.Time, layer int) string {
	return Prefix(execution, started) + docResults(layer)
}

func prefix(r action.Run) string { return Prefix(r.Execution, r.StartedAt) }

func (s Store) put(ctx context.Context, r action.Run, doc string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", doc, err)
	}
	return s.write(ctx, r, doc, "application/json", body)
}

func (s Store) write(ctx context.Context, r action.Run, doc, contentType string, body []byte) error {
	_, err := s.S3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(s.Bucket), Key: aws.String(prefix(r) + doc),
		Body: bytes.NewReader(body), ContentType: aws.String(contentType),
	})
	return action.Call("writing "+doc+" of the run", err)
}

func (s Store) get(ctx context.Context, r action.Run, doc string, into any) error {
	return s.getKey(ctx, prefix(r)+doc, into)
}

func (s Store) getKey(ctx context.Context, key string, into any) error {
	out, err := s.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(s.Bucket), Key: aws.String(key)})
	if err != nil {
		return action.Call("reading "+key, err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		return action.Errorf(action.Unreachable, "reading %s: %w", key, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("decoding %s: %w", key, err)
	}
	return nil
}

// manifest is what Step Functions writes beside the results of a distributed
// map (Step Functions developer guide, "ResultWriter").
type manifest struct {
	ResultFiles struct {
		Failed    []resultFile `json:"FAILED"`
		Pending   []resultFile `json:"PENDING"`
		Succeeded []resultFile `json:"SUCCEEDED"`
	} `json:"ResultFiles"`
}

type resultFile struct {
	Key string `json:"Key"`
}

// bounded joins lines into a text that Step Functions, whose limit is 256 KiB
// for all of a state's data, and a person can take. The report has all of them.
func bounded(lines []string) string {
	const most, longest = 20, 1000
	var kept []string
	for i, line := range lines {
		if i == most {
			kept = append(kept, fmt.Sprintf("and %d more; the report has them all", len(lines)-most))
			break
		}
		if len(line) > longest {
			line = strings.ToValidUTF8(line[:longest], "") + "…"
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "\n")
}

// results reads the outputs of the iterations of a distributed map that
// succeeded. Iterations that did not are missing from it: who reads it must
// know how many to expect.
func results[T any](ctx context.Context, s Store, at Location) ([]T, error) {
	var m manifest
	if err := s.getKey(ctx, at.Key, &m); err != nil {
		return nil, err
	}
	var all []T
	for _, file := range m.ResultFiles.Succeeded {
		var some []T
		if err := s.getKey(ctx, file.Key, &some); err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}
