package run

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"dr-orchestrator/internal/report"
)

// Reading is the call to S3 that rebuilding a report makes.
type Reading interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

// Rebuild puts the report of a run that has none together from what the run
// left in its bucket and from its executions. It writes nothing. started is
// when the run itself says that it began.
func Rebuild(ctx context.Context, objects Reading, bucket string, executions Executions, e *sfn.DescribeExecutionOutput, started time.Time) (report.Record, error) {
	store := Store{S3: &overlay{Reading: objects, written: map[string][]byte{}}, Bucket: bucket}
	c := Closer{Reporter: Reporter{Store: store}, Executions: executions}
	in := ReportInput{EndedAt: e.StopDate}
	in.Execution.ID, in.Execution.Name, in.Execution.StartTime = aws.ToString(e.ExecutionArn), aws.ToString(e.Name), started
	_, changed, err := c.found(ctx, &in)
	if err != nil {
		return report.Record{}, err
	}
	in.Cause = aws.ToString(e.Cause)
	switch o := report.Outcome(aws.ToString(e.Error)); {
	case e.Status == types.ExecutionStatusSucceeded:
		in.Outcome = report.Succeeded
	case e.Status == types.ExecutionStatusFailed && (o == report.Refused || o == report.FailedClean || o == report.FailedDirty):
		in.Outcome = o
	default:
		in.Cause = fmt.Sprintf(report.EndedOutside+" (%s): %s", e.Status, cmp.Or(in.Cause, string(o)))
		if in.Outcome = report.FailedClean; changed.Happened() {
			in.Outcome = report.FailedDirty
		}
	}
	return store.Build(ctx, in, aws.ToTime(e.StopDate))
}

// overlay keeps what is written in memory, over what can only be read.
type overlay struct {
	Reading
	written map[string][]byte
}

// GetObject reads what was written, or else what is there.
func (o *overlay) GetObject(ctx context.Context, in *s3.GetObjectInput, options ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	if body, ok := o.written[aws.ToString(in.Key)]; ok {
		return &s3.GetObjectOutput{Body: io.NopCloser(bytes.NewReader(body))}, nil
	}
	return o.Reading.GetObject(ctx, in, options...)
}

// PutObject keeps an object.
func (o *overlay) PutObject(_ context.Context, in *s3.PutObjectInput, _ ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	body, err := io.ReadAll(in.Body)
	o.written[aws.ToString(in.Key)] = body
	return &s3.PutObjectOutput{}, err
}
