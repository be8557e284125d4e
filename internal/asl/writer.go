package asl

import (
	"bytes"
	"context"
	"strings"
)

// resultFile is an entry of the manifest of a ResultWriter.
type resultFile struct {
	Key  string
	Size int
}

// manifest is what manifest.json holds.
type manifest struct {
	DestinationBucket string
	MapRunArn         string
	ResultFiles       struct {
		FAILED    []resultFile
		PENDING   []resultFile
		SUCCEEDED []resultFile
	}
}

// childRecord is a child in a result file. Input and Output are JSON in a
// string, as in DescribeExecution.
type childRecord struct {
	Cause           string `json:",omitempty"`
	Error           string `json:",omitempty"`
	ExecutionArn    string
	Input           string
	Name            string
	Output          string `json:",omitempty"`
	StartDate       string `json:",omitempty"`
	StateMachineArn string
	Status          string
	StopDate        string `json:",omitempty"`
}

func (c *child) record() (value, error) {
	r := childRecord{
		Cause: c.result.Cause, Error: c.result.Error, ExecutionArn: c.exec.ARN, Input: string(c.exec.Input),
		Name: c.exec.Name, Output: string(c.result.Output), StateMachineArn: c.exec.MachineARN,
		Status: string(c.result.Status),
	}
	if r.Status == "" {
		r.Status = "PENDING"
	} else {
		r.StartDate, r.StopDate = formatTime(c.started), formatTime(c.done)
	}
	raw, err := marshal(r)
	if err != nil {
		return value{}, err
	}
	return decodeValue(raw)
}

func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	err := encodeScalar(&buf, v)
	return buf.Bytes(), err
}

// writeResults stores the results of a map run below Prefix and the identifier
// of the run: a file of the children that succeeded, one of those that did not,
// one of those that never started, and the manifest of these.
func (f *frame) writeResults(ctx context.Context, v *visit, run *mapRun) (value, error) {
	m := v.st.mapping
	bucket, prefix, err := f.place(ctx, v, m.writer)
	if err != nil {
		return value{}, err
	}
	folder := strings.TrimPrefix(strings.TrimSuffix(prefix, "/")+"/"+run.id+"/", "/")
	var succeeded, failed, pending []value
	for i := range run.children {
		c := &run.children[i]
		list, err := c.outputs(m.transformation)
		if err != nil {
			return value{}, err
		}
		switch c.result.Status {
		case StatusSucceeded:
			succeeded = append(succeeded, list...)
		case "":
			pending = append(pending, list...)
		default:
			failed = append(failed, list...)
		}
	}

	man := manifest{DestinationBucket: bucket, MapRunArn: run.arn}
	files := []struct {
		name    string
		content []value
		listed  *[]resultFile
	}{
		{"FAILED_0.json", failed, &man.ResultFiles.FAILED},
		{"PENDING_0.json", pending, &man.ResultFiles.PENDING},
		{"SUCCEEDED_0.json", succeeded, &man.ResultFiles.SUCCEEDED},
	}
	for _, file := range files {
		*file.listed = []resultFile{} // an empty array in the manifest, not null
		if len(file.content) == 0 {
			continue
		}
		body := joinValues(file.content).raw
		if err := f.writeObject(ctx, bucket, folder+file.name, body); err != nil {
			return value{}, err
		}
		*file.listed = append(*file.listed, resultFile{Key: folder + file.name, Size: len(body)})
	}
	body, err := marshal(man)
	if err != nil {
		return value{}, err
	}
	if err := f.writeObject(ctx, bucket, folder+"manifest.json", body); err != nil {
		return value{}, err
	}
	details, err := marshal(struct {
		MapRunArn           string
		ResultWriterDetails struct{ Bucket, Key string }
	}{run.arn, struct{ Bucket, Key string }{bucket, folder + "manifest.json"}})
	if err != nil {
		return value{}, err
	}
	return decodeValue(details)
}

func (f *frame) writeObject(ctx context.Context, bucket, key string, body []byte) error {
	err := f.x.rt.WriteObject(ctx, bucket, key, body)
	if dead := f.x.alive(ctx); dead != nil {
		return dead
	}
	if err != nil {
		return &Error{Name: ErrorResultWriter, Cause: err.Error()}
	}
	return nil
}
