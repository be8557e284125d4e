package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"dr-orchestrator/internal/report"
	"dr-orchestrator/internal/run"
)

type reportCommand struct {
	Execution string `arg:"" name:"arn" help:"ARN of the execution that ended."`
	HTML      string `name:"html" help:"File to write the page of the report to." placeholder:"FILE"`
	Open      bool   `help:"Open the page in a browser."`
	JSON      bool   `name:"json" help:"Print the report as one JSON object."`
	remoteFlags
}

// Help says where the report comes from.
func (c *reportCommand) Help() string {
	return `Reads the report from the bucket of the run. One that was not written is put
together from what the run left, and that is said.

Examples:
  drctl report ARN
  drctl report ARN --html report.html --open
  drctl report ARN --json | jq '.layers[].resources[] | select(.status != "DONE")'`
}

func (c *reportCommand) Run(s streams, at clock) error {
	ctx, cancel := interruptible()
	defer cancel()
	r, id, err := c.connectTo(ctx, c.Execution, at)
	if err != nil {
		return err
	}
	d, err := r.describe(ctx, id.arn)
	if err != nil {
		return err
	}
	if running(d.Status) {
		return wrongInput("%s still runs, and has no report yet\n%s", id.arn, r.next(id.arn, false))
	}
	e, err := r.read(ctx, d)
	if err != nil {
		return err
	}
	if e.record == nil {
		if err := r.rebuild(ctx, &e); err != nil {
			return err
		}
	}
	if err := e.print(s.out, s.err, c.JSON); err != nil {
		return err
	}
	return c.page(ctx, r, e, e.summary(), s)
}

// page writes the page of the report: that of the bucket, as the run wrote it,
// or one made here.
func (c *reportCommand) page(ctx context.Context, r *remote, e ending, record report.Record, s streams) error {
	path := c.HTML
	if path == "" {
		if !c.Open {
			return nil
		}
		dir, err := os.MkdirTemp("", "drctl-")
		if err != nil {
			return environment("%w", err)
		}
		path = filepath.Join(dir, "report.html")
	}
	page, err := e.page(ctx, r.reports)
	if err != nil {
		page = record.HTML()
	}
	if err := os.WriteFile(path, page, 0o644); err != nil {
		return environment("writing the page: %w", err)
	}
	fmt.Fprintln(s.err, "Page:", path)
	if !c.Open {
		return nil
	}
	if err := browse(path); err != nil {
		return environment("opening %s: %w", path, err)
	}
	return nil
}

// page reads the page that a run wrote.
func (e ending) page(ctx context.Context, from reports) ([]byte, error) {
	if e.record == nil || e.rebuilt {
		return nil, fmt.Errorf("no page was written")
	}
	key := run.PageKey(e.record.Run.Execution, e.record.Run.StartedAt)
	out, err := from.GetObject(ctx, &s3.GetObjectInput{Bucket: &e.at.Bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

// rebuild puts a report together that was not written.
func (r *remote) rebuild(ctx context.Context, e *ending) error {
	if e.at.Bucket == "" {
		return nil // there is nothing but the execution itself
	}
	started := e.trace.startedAt
	if started.IsZero() {
		var err error
		if e.trace, err = follow(ctx, r.executions, *e.execution.ExecutionArn); err != nil {
			return err
		}
		started = e.trace.startedAt
	}
	record, err := run.Rebuild(ctx, r.reports, e.at.Bucket, r.mapRuns, e.execution, started)
	if err != nil {
		e.missing += "; and it could not be put together: " + err.Error()
		return nil
	}
	e.record, e.rebuilt = &record, true
	e.missing += "; this one is put together from what the run left"
	return nil
}

// browse opens a file with what the desktop opens it with.
func browse(path string) error {
	command := "xdg-open"
	switch runtime.GOOS {
	case "darwin":
		command = "open"
	case "windows":
		command = "explorer"
	}
	return exec.Command(command, path).Start()
}
