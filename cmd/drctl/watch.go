package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"golang.org/x/term"

	"dr-orchestrator/internal/report"
)

type watchCommand struct {
	Execution string `arg:"" name:"arn" help:"ARN of the execution."`
	JSON      bool   `name:"json" help:"Print one JSON object a line for each thing that changes, and the report at the end."`
	remoteFlags
}

// Help says what is seen.
func (c *watchCommand) Help() string {
	return `Shows the layers and resources of a run while it goes: how long each has taken, its
phase, and what AWS says. Elsewhere than on a terminal it prints a line for each
change. A lost connection, or one that has gone silent, is told, and tried again.
The exit code is that of the run; Ctrl-C ends the watching with 130, not the run.

Examples:
  drctl watch arn:aws:states:us-west-2:111122223333:execution:dr-orchestrator-failover:run-1
  drctl watch ARN --json | jq -r 'select(.status=="FAILED").resource'`
}

// watchEvery is how long a round of looks at least takes, and lateEvery the most
// that is waited after one that failed.
const (
	watchEvery = time.Second
	lateEvery  = 10 * time.Second
)

func (c *watchCommand) Run(s streams, at clock) error {
	ctx, cancel := interruptible()
	defer cancel()
	return interrupted(ctx, c.watch(ctx, s, at))
}

// interrupted gives what only came to pass because somebody gave up waiting a code
// of its own.
func interrupted(ctx context.Context, err error) error {
	var f *failure
	if ctx.Err() != nil && errors.As(err, &f) && f.code == exitEnvironment {
		f.code = exitInterrupted
	}
	return err
}

func (c *watchCommand) watch(ctx context.Context, s streams, at clock) error {
	r, id, err := c.connectTo(ctx, c.Execution, at)
	if err != nil {
		return err
	}
	w := newWatcher(r, id.arn)
	show := c.viewer(s, w)
	err = watch(ctx, w, show)
	show.close()
	if err != nil {
		return err
	}
	e, err := r.lastWords(ctx, w.execution)
	if err != nil {
		return err
	}
	if err := e.print(s.out, s.err, c.JSON); err != nil {
		return err
	}
	if o := e.outcome(); o != report.Succeeded {
		return &failure{code: exitRun, err: fmt.Errorf("the run ended %s", o), silent: true}
	}
	return nil
}

// viewer shows what a watcher sees.
type viewer interface {
	// show takes in what is new; cause says why nothing is, and is empty where
	// all is well.
	show(changes []change, cause string)
	close()
}

func (c *watchCommand) viewer(s streams, w *watcher) viewer {
	if f, ok := s.out.(*os.File); ok && !c.JSON && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		return newTerminal(f, screen{w: w, colour: colours(os.Getenv("NO_COLOR") == "")})
	}
	return &plainView{out: s.out, errs: s.err, json: c.JSON, w: w}
}

// watch looks again and again until the execution has ended. That AWS cannot be
// reached ends nothing.
func watch(ctx context.Context, w *watcher, v viewer) error {
	clock := w.remote.clock
	pause := watchEvery
	for {
		err := w.round(ctx)
		switch {
		case ctx.Err() != nil:
			return environment("no longer watching; the run itself goes on\n%s", w.remote.next(w.arn, w.question != nil))
		case err == nil && w.over():
			v.show(w.take(), "")
			return nil
		case err == nil:
			v.show(w.take(), "")
			pause = watchEvery
		case w.execution == nil && answered(err):
			return told("looking at "+w.arn, err)
		default:
			v.show(w.take(), rootCause(err))
			pause = min(2*pause, lateEvery)
		}
		if clock.Sleep(ctx, pause) != nil {
			continue // and ends as interrupted
		}
	}
}

// rootCause leaves the SDK's own words about a failed call away.
func rootCause(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %g s", answerWithin.Seconds())
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}

// lastWords reads the end of a run, however long the line to AWS is broken.
func (r *remote) lastWords(ctx context.Context, d *sfn.DescribeExecutionOutput) (ending, error) {
	for {
		e, err := r.readLate(ctx, d)
		if err == nil || ctx.Err() != nil || answered(errors.Unwrap(err)) {
			return e, err
		}
		if r.clock.Sleep(ctx, lateEvery) != nil {
			return e, err
		}
	}
}

// plainView prints a line for each change.
type plainView struct {
	out, errs io.Writer
	json      bool
	w         *watcher
	trouble   bool
}

func (p *plainView) close() {}

func (p *plainView) show(changes []change, cause string) {
	for _, c := range changes {
		p.line(c)
	}
	trouble := p.w.trouble(cause)
	switch {
	case trouble != "" && !p.trouble:
		p.say(trouble)
	case trouble == "" && p.trouble:
		p.say("connected again")
	}
	p.trouble = trouble != ""
}

func (p *plainView) say(text string) {
	if p.json {
		p.line(change{Time: p.w.now(), Trouble: text})
		return
	}
	fmt.Fprintln(p.errs, "drctl:", report.Line(text))
}

func (p *plainView) line(c change) {
	if p.json {
		if text, err := json.Marshal(c); err == nil {
			fmt.Fprintf(p.out, "%s\n", text)
		}
		return
	}
	at := c.Time.UTC().Format("15:04:05")
	switch {
	case c.Approval != nil:
		fmt.Fprintf(p.out, "%s  %s\n%s\n%s\n", at, c.Approval, c.Approval.Approve, c.Approval.Decline)
		return
	case c.Resource == "":
		fmt.Fprintf(p.out, "%s  %s\n", at, c.State)
		return
	}
	fmt.Fprintf(p.out, "%s  layer %d  %s  %s  %s  %s\n", at, *c.Layer, pad(middle(report.Line(c.Resource), 32), 32), fill(c.Status, 8), fill(report.Line(c.Phase), 16), report.Line(c.Message))
}

// terminal draws on a screen of its own, and leaves the one beneath as it was.
// Each frame is one write, from the top left corner, over the last one: nothing
// is cleared before it is drawn over, so nothing flickers.
type terminal struct {
	mu      sync.Mutex
	file    *os.File
	screen  screen
	last    string // frame, and the size that it was drawn for
	stopped chan struct{}
	done    chan struct{}
}

// frameEvery is how often the clocks of a screen move and its size is asked for.
const frameEvery = 250 * time.Millisecond

func newTerminal(f *os.File, s screen) *terminal {
	t := &terminal{file: f, screen: s, stopped: make(chan struct{}), done: make(chan struct{})}
	fmt.Fprint(f, "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J")
	go func() {
		defer close(t.done)
		tick := time.NewTicker(frameEvery)
		defer tick.Stop()
		for {
			select {
			case <-t.stopped:
				return
			case <-tick.C:
				t.draw()
			}
		}
	}()
	return t
}

func (t *terminal) show(_ []change, cause string) {
	t.mu.Lock()
	t.screen.cause = cause
	t.mu.Unlock()
	t.draw()
}

func (t *terminal) draw() {
	t.mu.Lock()
	defer t.mu.Unlock()
	columns, rows, err := term.GetSize(int(t.file.Fd()))
	if err != nil || columns < 1 || rows < 1 {
		columns, rows = 80, 24
	}
	t.screen.w.mu.Lock()
	text := t.screen.frame(columns, rows)
	t.screen.w.mu.Unlock()
	if drawn := fmt.Sprintf("%dx%d %s", columns, rows, text); drawn != t.last {
		t.last = drawn
		fmt.Fprint(t.file, text)
	}
}

// frame is what a terminal of so many columns and rows is sent. Its last column
// stays empty: there, to erase the rest of a line would erase its end.
func (s screen) frame(columns, rows int) string { return painted(s.lines(columns-1, rows)) }

// painted makes one write of a frame. After the last line nothing follows that
// could scroll.
func painted(lines []string) string {
	var b strings.Builder
	b.WriteString("\x1b[?2026h\x1b[H")
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line + "\x1b[0m\x1b[K")
	}
	b.WriteString("\x1b[J\x1b[?2026l")
	return b.String()
}

func (t *terminal) close() {
	close(t.stopped)
	<-t.done
	fmt.Fprint(t.file, "\x1b[?7h\x1b[?25h\x1b[?1049l")
}
