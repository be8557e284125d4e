package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"dr-orchestrator/internal/lab"
	"dr-orchestrator/internal/report"
)

// layered puts replicas into an estate, and gives the file of the payload that
// promotes them in layers.
func layered(t *testing.T, e *lab.Estate, layers, each int) string {
	t.Helper()
	type resource struct {
		Type       string            `json:"resourceType"`
		Name       string            `json:"resourceName"`
		Parameters map[string]string `json:"parameters"`
	}
	type layer struct {
		Layer     int        `json:"layer"`
		Resources []resource `json:"resources"`
	}
	var doc struct{ StatePayload []layer }
	lag := 1.0
	for l := range layers {
		one := layer{Layer: l + 1}
		for i := range each {
			id := fmt.Sprintf("replica-%d-%03d", l+1, i)
			e.Instances = append(e.Instances, &lab.Instance{Region: "us-west-2", ID: id, Engine: "mysql", Status: "available", LagSeconds: &lag,
				Source: "arn:aws:rds:us-east-1:111122223333:db:source-" + id, Replication: "replicating"})
			one.Resources = append(one.Resources, resource{"PromoteRDSReadReplica", id, map[string]string{"RDSInstanceIdentifier": id,
				"TargetClusterIdentifier": "arn:aws:rds:us-west-2:111122223333:db:" + id}})
		}
		doc.StatePayload = append(doc.StatePayload, one)
	}
	body, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "payload.json")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A run of 50 resources in 5 layers is told from its start to its end: every
// resource, in order of the layers, and the exit code is that of the run.
func TestWatchTellsEveryResource(t *testing.T) {
	e := lasting(5)
	file := layered(t, e, 5, 10)
	s := serveAt(t, 40, e, "", nil)
	code, out, errs := s.drctl("watch", s.started(file), "--json")
	if code != exitSucceeded {
		t.Fatal(code, out, errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var record report.Record
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &record); err != nil || record.Outcome != report.Succeeded {
		t.Errorf("the last line is not the report: %v, %s", err, lines[len(lines)-1])
	}
	done, layer := map[string]bool{}, 0
	for _, line := range lines[:len(lines)-1] {
		var c change
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if c.Resource == "" {
			continue
		}
		if *c.Layer < layer {
			t.Errorf("layer %d is told after layer %d", *c.Layer, layer)
		}
		layer = *c.Layer
		if c.Status == string(report.Done) {
			done[c.Resource] = true
		}
	}
	if len(done) != 50 {
		t.Errorf("%d resources are told to be done", len(done))
	}
}

func TestWatchEndsWithTheExitCodeOfTheRun(t *testing.T) {
	e := lab.DefaultEstate()
	file := layered(t, e, 2, 3)
	s := serve(t, e, "cancel@rds:PromoteReadReplica#2", nil)
	arn := s.started(file)
	code, out, _ := s.drctl("watch", arn)
	for _, want := range []string{"RunLayer", "FAILED", "Terminal", "it was cancelled", "FailedDirty after", "Report: s3://"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not told: %s", want, out)
		}
	}
	if code != exitRun || strings.Contains(out, "\x1b") {
		t.Errorf("code %d, output %q", code, out)
	}
	// One that has ended is told at once, and with the same code.
	if code, out, _ := s.drctl("watch", arn); code != exitRun || !strings.Contains(out, "FailedDirty after") {
		t.Errorf("code %d: %s", code, out)
	}
	if code, _, errs := s.drctl("watch", arn+"x"); code != exitInput || !strings.Contains(errs, "no such execution") || strings.Contains(errs, "RequestID") {
		t.Errorf("code %d: %s", code, errs)
	}
}

// broken is a line to AWS that fails for a while.
type broken struct {
	executions
	lists
	fails func() bool
	calls atomic.Int64
}

var errLine = &net.OpError{Op: "dial", Err: errors.New("connection refused")}

func (b *broken) DescribeExecution(ctx context.Context, in *sfn.DescribeExecutionInput, o ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	if b.calls.Add(1); b.fails() {
		return nil, errLine
	}
	return b.executions.DescribeExecution(ctx, in, o...)
}

func (b *broken) GetExecutionHistory(ctx context.Context, in *sfn.GetExecutionHistoryInput, o ...func(*sfn.Options)) (*sfn.GetExecutionHistoryOutput, error) {
	if b.calls.Add(1); b.fails() {
		return nil, errLine
	}
	return b.executions.GetExecutionHistory(ctx, in, o...)
}

// seen is a viewer that keeps what it is shown.
type seen struct {
	w        *watcher
	changes  []change
	troubles []string
}

func (v *seen) show(changes []change, cause string) {
	v.changes = append(v.changes, changes...)
	trouble := v.w.trouble(cause)
	if len(v.troubles) == 0 || v.troubles[len(v.troubles)-1] != trouble {
		v.troubles = append(v.troubles, trouble)
	}
}
func (v *seen) close() {}

func TestWatchOutlivesALostConnection(t *testing.T) {
	e := lab.DefaultEstate()
	file := layered(t, e, 2, 3)
	s := serve(t, e, "", nil)
	arn := s.started(file)
	n := 0
	line := &broken{executions: s.executions, lists: s.lists}
	line.fails = func() bool { n++; return n > 5 && n < 16 || n == 20 }
	remote := *s.remote
	remote.executions = line
	w := newWatcher(&remote, arn)
	v := &seen{w: w}
	if err := watch(t.Context(), w, v); err != nil || !w.over() {
		t.Fatal(err)
	}
	text := strings.Join(v.troubles, "|")
	if !strings.Contains(text, "no connection for") || !strings.Contains(text, "connection refused") || v.troubles[len(v.troubles)-1] != "" {
		t.Errorf("troubles %q", v.troubles)
	}
	if done, failed, all := w.count(); done != 6 || failed != 0 || all != 6 {
		t.Errorf("%d of %d done, %d failed", done, all, failed)
	}
}

// silent is a line that has gone dead: it takes calls, and answers none.
type silent struct {
	executions
	from, to int64 // calls that get no answer
	calls    atomic.Int64
}

func (s *silent) DescribeExecution(ctx context.Context, in *sfn.DescribeExecutionInput, o ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	if n := s.calls.Add(1); n >= s.from && n < s.to {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.executions.DescribeExecution(ctx, in, o...)
}

// A connection on which nothing comes any more is noticed, told with the time
// since the last look that succeeded, and got over.
func TestWatchNoticesASilentConnection(t *testing.T) {
	e := lab.DefaultEstate()
	file := layered(t, e, 2, 3)
	s := serve(t, e, "", nil)
	arn := s.started(file)
	remote := *s.remote
	remote.executions = &silent{executions: s.executions, from: 3, to: 6}
	w := newWatcher(&remote, arn)
	w.within = 20 * time.Millisecond
	v := &seen{w: w}
	if err := watch(t.Context(), w, v); err != nil || !w.over() {
		t.Fatal(err)
	}
	// The clock stands still during a call, and moves on by the pauses: 1, 2, 4 s.
	for _, want := range []string{"no connection for 0:01, trying again: no answer within 10 s", "no connection for 0:03,", "no connection for 0:07,"} {
		if text := strings.Join(v.troubles, "|"); !strings.Contains(text, want) {
			t.Errorf("%q is not told: %s", want, text)
		}
	}
	if v.troubles[len(v.troubles)-1] != "" {
		t.Errorf("at last %q", v.troubles)
	}
}

// A screen tells that nothing comes while the call that would say so still
// waits for its answer.
func TestScreenTellsSilence(t *testing.T) {
	for _, tt := range []struct {
		quiet time.Duration
		over  bool
		cause string
		want  string
	}{
		{quietFor, false, "", ""},
		{quietFor + time.Second, false, "", "! nothing new from AWS for 0:06"},
		{quietFor + time.Second, true, "", ""},
		{75 * time.Second, false, "refused", "! no connection for 1:15, trying again: refused"},
		{0, false, "refused", "! no connection for 0:00, trying again: refused"},
	} {
		w := tree(2, 2)
		w.fresh = w.remote.clock.Now().Add(-tt.quiet)
		if tt.over {
			w.execution.Status = types.ExecutionStatusSucceeded
		}
		lines := screen{w: w, cause: tt.cause}.lines(80, 24)
		if last := lines[len(lines)-1]; strings.HasPrefix(last, "!") != (tt.want != "") || tt.want != "" && last != tt.want {
			t.Errorf("%+v: %q", tt, last)
		}
	}
}

// asking is a payload that asks before its first change, and between its layers.
func asking(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "payload.json")
	body := `{"StatePayload": [{"layer": 4, "resources": [{"resourceType": "ManualApproval", "resourceName": "Go on?", "parameters": {"Message": "Is the other side\nfenced?"}}]},
		{"layer": 5, "resources": [{"resourceType": "PlannedFailoverAurora", "resourceName": "orders", "parameters": {
			"GlobalClusterIdentifier": "!Import dr-globaldb-cluster-mysql-global-identifier", "DBClusterIdentifier": "!Import dr-globaldb-cluster-mysql-cluster-identifier"}}]}], "Options": {"Approval": true}}`
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Whoever watches a run that waits is told the question and the commands that
// answer it, while it waits and only then.
func TestWatchTellsHowToAnswer(t *testing.T) {
	s := serve(t, lab.DefaultEstate(), "", nil)
	code, out, errs := s.drctl("start", asking(t))
	arn, _, _ := strings.Cut(out, "\n")
	if code != exitSucceeded {
		t.Fatal(code, out, errs)
	}
	approve, decline := "drctl approve "+arn+" --endpoint "+s.url, "drctl decline "+arn+" --endpoint "+s.url+" --reason TEXT"
	w := newWatcher(s.remote, arn)
	v := &seen{w: w}
	for _, want := range []string{"may it make its first change?", "Go on?: Is the other side fenced?"} {
		for deadline := time.Now().Add(20 * time.Second); w.question == nil || w.question.Question != want; {
			if err := w.round(t.Context()); err != nil || w.over() || time.Now().After(deadline) {
				t.Fatalf("never asked: %s (%v)", want, err)
			}
		}
		v.changes = nil
		v.show(w.take(), "")
		var told bytes.Buffer
		for _, plain := range []*plainView{{out: &told, errs: &told, w: w}, {out: &told, errs: &told, w: w, json: true}} {
			plain.show(v.changes, "")
		}
		var asked struct{ Approval pending }
		for _, line := range strings.Split(told.String(), "\n") {
			if strings.Contains(line, `"approval":{`) {
				if err := json.Unmarshal([]byte(line), &asked); err != nil {
					t.Fatal(err)
				}
			}
		}
		if p := asked.Approval; p.Question != want || p.Approve != approve || p.Decline != decline || !p.Until.After(lab.Epoch) {
			t.Errorf("as JSON: %+v", p)
		}
		if !strings.Contains(told.String(), ": "+want+"\n"+approve+"\n"+decline+"\n") {
			t.Errorf("in words:\n%s", &told)
		}
		if w.round(t.Context()) != nil || len(w.take()) > 0 {
			t.Error("it is told twice")
		}
		if code, out, errs := s.drctl("approve", arn); code != exitSucceeded {
			t.Fatal(code, out, errs)
		}
	}
	r := w.layers[0].resources[0]
	if r.status != stageRunning || r.phase != "approval" || r.message != "Is the other side\nfenced?" {
		t.Errorf("the resource that asks: %+v", r)
	}
	if err := watch(t.Context(), w, v); err != nil || w.question != nil || r.status != report.Done {
		t.Errorf("at the end: %v, %+v, %+v", err, w.question, r)
	}
	// What was answered long ago is no question.
	if code, out, _ := s.drctl("watch", arn); code != exitSucceeded || strings.Contains(out, "drctl approve") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// The commands that answer stand whole on every screen that has room for them,
// in lines that a shell takes for one; a question that is too long gives way.
func TestScreenTellsHowToAnswer(t *testing.T) {
	for _, tt := range []struct {
		columns, rows int
		question      string
	}{{80, 24, "Go on?"}, {80, 24, strings.Repeat("Is the other side fenced? ", 50)}, {200, 60, "Go on?"}, {40, 24, "Go on?"}} {
		w := tree(5, 10)
		w.question = &pending{Question: tt.question, Until: lab.Epoch}
		w.question.Approve, w.question.Decline = w.remote.answers(w.arn)
		lines := screen{w: w}.lines(tt.columns, tt.rows)
		text := strings.ReplaceAll(strings.Join(lines, "\n"), "\\\n", "")
		if !strings.HasSuffix(text, "\n"+w.question.Approve+"\n"+w.question.Decline) || !strings.Contains(strings.ReplaceAll(text, "\n", " "), "It waits for an answer until 2026-01-05 03:00:00 UTC: ") || !strings.Contains(text, "✗") {
			t.Errorf("%+v:\n%s", tt, strings.Join(lines, "\n"))
		}
		for _, line := range lines {
			if width(line) > tt.columns {
				t.Errorf("a line of %d columns: %q", width(line), line)
			}
		}
	}
}

// A question gives way to layers and resources, and takes the rows that they leave.
func TestAQuestionTakesTheRowsThatAreLeft(t *testing.T) {
	question := strings.TrimSpace(strings.Repeat("Is the other side fenced? ", 24))
	for _, tt := range []struct {
		name              string
		layers, resources int
		rows              int
		whole             bool
	}{
		{"few resources", 1, 3, 24, true},
		{"just so few", 1, 3, 19, true}, // 3 of the head, 4 of the tree, 9 of the question, 3 of the commands
		{"one row too few", 1, 3, 18, false},
		{"many resources", 2, 40, 24, false},
	} {
		w := tree(tt.layers, tt.resources)
		w.question = &pending{Question: question, Until: lab.Epoch}
		w.question.Approve, w.question.Decline = w.remote.answers(w.arn)
		lines := screen{w: w}.lines(80, tt.rows)
		if text := strings.Join(lines, " "); strings.Contains(text, question) != tt.whole || len(lines) != tt.rows {
			t.Errorf("%s: %d lines\n%s", tt.name, len(lines), strings.Join(lines, "\n"))
		}
	}
}

// Giving up has a code of its own; how a run ended, and what was wrong before,
// keep theirs.
func TestInterrupted(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		ctx  context.Context
		err  error
		want int
	}{{over, environment("x"), exitInterrupted}, {over, wrongInput("x"), exitInput}, {over, &failure{code: exitRun}, exitRun}, {t.Context(), environment("x"), exitEnvironment}} {
		var f *failure
		if err := interrupted(tt.ctx, tt.err); !errors.As(err, &f) || f.code != tt.want {
			t.Errorf("%v, want %d", err, tt.want)
		}
	}
	if err := interrupted(over, nil); err != nil {
		t.Error(err)
	}
	w := newWatcher(&remote{clock: &quick{now: lab.Epoch}, executions: &crowd{n: 1}, lists: &crowd{n: 1}}, "arn")
	if err := watch(over, w, &seen{w: w}); err == nil || !strings.Contains(err.Error(), "the run itself goes on") {
		t.Error(err)
	}
}

// crowd is an execution whose layer drives many resources.
type crowd struct {
	executions
	n     int
	calls int
	ended int // how many of the children, the first ones
}

func (c *crowd) DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	c.calls++
	return &sfn.DescribeExecutionOutput{Status: types.ExecutionStatusRunning, StartDate: aws.Time(lab.Epoch)}, nil
}

func (c *crowd) ListExecutions(context.Context, *sfn.ListExecutionsInput, ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error) {
	c.calls++
	out := &sfn.ListExecutionsOutput{}
	for i := range c.n {
		e := types.ExecutionListItem{ExecutionArn: aws.String(fmt.Sprintf("child-%04d", i)), Status: types.ExecutionStatusRunning}
		if i < c.ended {
			e.Status, e.StopDate = types.ExecutionStatusSucceeded, aws.Time(lab.Epoch)
		}
		out.Executions = append(out.Executions, e)
	}
	return out, nil
}

func (c *crowd) GetExecutionHistory(_ context.Context, in *sfn.GetExecutionHistoryInput, _ ...func(*sfn.Options)) (*sfn.GetExecutionHistoryOutput, error) {
	c.calls++
	var i int
	if _, err := fmt.Sscanf(aws.ToString(in.ExecutionArn), "child-%d", &i); err != nil {
		return &sfn.GetExecutionHistoryOutput{Events: []types.HistoryEvent{{Id: 1, Timestamp: aws.Time(lab.Epoch),
			MapRunStartedEventDetails: &types.MapRunStartedEventDetails{MapRunArn: aws.String("arn:aws:states:us-west-2:111122223333:mapRun:m/Layers:x")}}}}, nil
	}
	said := func(details string) *string {
		return aws.String(fmt.Sprintf(details, i, i))
	}
	events := []types.HistoryEvent{
		{Id: 3, Timestamp: aws.Time(lab.Epoch), TaskSucceededEventDetails: &types.TaskSucceededEventDetails{Output: said(`{"Payload":{"status":"IN_PROGRESS","phase":"promoting","message":"db %d-%d"}}`)}},
		{Id: 2, Timestamp: aws.Time(lab.Epoch), TaskScheduledEventDetails: &types.TaskScheduledEventDetails{Parameters: said(`{"Payload":{"resource":{"index":%d,"layer":1,"resourceName":"db-%d"}}}`)}},
	}
	if i < c.ended {
		end := types.HistoryEvent{Id: 4, Timestamp: aws.Time(lab.Epoch), ExecutionSucceededEventDetails: &types.ExecutionSucceededEventDetails{Output: said(`{"index":%d,"resourceName":"db-%d","status":"DONE"}`)}}
		events = append([]types.HistoryEvent{end}, events...)
	}
	return &sfn.GetExecutionHistoryOutput{Events: events}, nil
}

// However many resources there are, a round makes only a few calls, comes round
// to each, and of very many to those that run before those that ended.
func TestWatchIsPolite(t *testing.T) {
	for _, n := range []int{1, 50, fewChildren, fewChildren + 1, 500} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			at := &quick{now: lab.Epoch}
			c := &crowd{n: n, ended: n / 2}
			w := newWatcher(&remote{clock: at, executions: c, lists: c}, "arn")
			for round := range n/looksAtOnce + 2 {
				c.calls = 0
				if err := w.round(t.Context()); err != nil {
					t.Fatal(err)
				}
				if c.calls > looksAtOnce+3 {
					t.Fatalf("%d calls in one round", c.calls)
				}
				at.now = at.now.Add(watchEvery)
				done, _, all := w.count()
				if n > fewChildren && round < (n-c.ended)/looksAtOnce && done > 0 {
					t.Fatalf("round %d: %d that ended are read before all that run", round, done)
				}
				if round == n/looksAtOnce+1 && n <= fewChildren && (all != n || done != n/2) {
					t.Errorf("%d of %d seen, %d of %d done", all, n, done, n/2)
				}
			}
			seen := 0
			for _, l := range w.layers {
				for _, r := range l.resources {
					if r.status == stageRunning && r.phase == "promoting" && r.message == fmt.Sprintf("db %d-%d", r.index, r.index) {
						seen++
					}
				}
			}
			if seen != n-n/2 {
				t.Errorf("%d of %d running ones were read", seen, n-n/2)
			}
		})
	}
}

// tree makes a watcher that has seen a run in the middle of its work.
func tree(layers, each int) *watcher {
	at := &quick{now: lab.Epoch.Add(90 * time.Second)}
	w := newWatcher(&remote{clock: at}, "arn:aws:states:us-west-2:111122223333:execution:m:run-1")
	w.execution = &sfn.DescribeExecutionOutput{Name: aws.String("run-20260105T030000-000Z"), Status: types.ExecutionStatusRunning, StartDate: aws.Time(lab.Epoch)}
	w.state = "RunLayer"
	for l := range layers {
		for i := range each {
			r := w.resource(l*each+i, l+1, fmt.Sprintf("データベース-replica-%d-%04d with a name that is long", l, i))
			switch {
			case l < layers/2:
				r.status, r.began, r.ended, r.phase, r.message = report.Done, lab.Epoch, lab.Epoch.Add(time.Minute), "promoted", "it stands on its own"
			case l == layers/2 && i == each-1:
				r.status, r.began, r.ended, r.phase, r.message = report.Failed, lab.Epoch, lab.Epoch.Add(time.Minute), "Terminal", "storage-full\nand \x1b[2J more "+strings.Repeat("é́", 300)
			case l == layers/2:
				r.status, r.began, r.phase, r.message = stageRunning, lab.Epoch, "promoting", strings.Repeat("DB instance is modifying ", 20)
			}
		}
	}
	return w
}

// No frame is wider or higher than the terminal, whatever its size is and
// however much there is to show; what failed and what runs is on it.
func TestScreenFits(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {79, 24}, {200, 60}, {40, 10}, {20, 5}, {10, 3}, {3, 1}, {1, 1}} {
		for _, shape := range [][2]int{{1, 3}, {5, 10}, {5, 100}, {100, 5}, {0, 0}} {
			for _, trouble := range []string{"", "dial tcp: connection refused", "a question"} {
				t.Run(fmt.Sprint(size, shape, trouble), func(t *testing.T) {
					s := screen{w: tree(shape[0], shape[1]), cause: trouble}
					if trouble == "a question" {
						s.cause, s.w.question = "", &pending{Question: strings.Repeat("データ go on? ", 20), Approve: "drctl approve " + s.w.arn, Decline: "drctl decline " + s.w.arn}
					}
					lines := s.lines(size[0], size[1])
					if len(lines) > size[1] {
						t.Errorf("%d lines", len(lines))
					}
					for _, line := range lines {
						if n := width(line); n > size[0] {
							t.Errorf("a line of %d columns: %q", n, line)
						}
						if strings.ContainsAny(line, "\x1b\r\n") {
							t.Errorf("a line steers the terminal: %q", line)
						}
					}
					text := strings.Join(lines, "\n")
					if size[0] >= 79 && shape[0] > 0 && !strings.Contains(text, "✗") {
						t.Errorf("what failed is not shown:\n%s", text)
					}
					if size[0] >= 79 && s.cause != "" && !strings.Contains(text, "trying again") {
						t.Error("the lost connection is not told")
					}
				})
			}
		}
	}
}

// painter is a viewer that paints what it is shown, as terminals of several
// sizes are sent it.
type painter struct {
	screen screen
	sizes  [][2]int
	frames map[[2]int][]string
}

func (p *painter) show(_ []change, cause string) {
	p.screen.cause = cause
	for _, size := range p.sizes {
		p.frames[size] = append(p.frames[size], p.screen.frame(size[0], size[1]))
	}
}
func (p *painter) close() {}

var sgr = regexp.MustCompile("\x1b\\[[0-9]+m")

// A run of 50 resources in 5 layers, as the lab answers: every frame of it fits
// the terminal, each line is cut to its width and erased to its end, and nothing
// but colours steers the terminal between the corner and the last line.
func TestEveryFrameOfARunFits(t *testing.T) {
	e := lasting(5)
	file := layered(t, e, 5, 10)
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.ReplaceAll(string(body), `"resourceName":"`, `"resourceName":"データベース of the shop with a name that alone is longer than a line of a terminal has columns, `)
	if err := os.WriteFile(file, []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveAt(t, 80, e, "cancel@rds:PromoteReadReplica#45", nil)
	w := newWatcher(s.remote, s.started(file))
	p := &painter{screen: screen{w: w, colour: true}, sizes: [][2]int{{80, 24}, {200, 60}}, frames: map[[2]int][]string{}}
	if err := watch(t.Context(), w, p); err != nil {
		t.Fatal(err)
	}
	for size, frames := range p.frames {
		saw := map[string]bool{}
		for i, frame := range frames {
			text, begun := strings.CutPrefix(frame, "\x1b[?2026h\x1b[H")
			text, ended := strings.CutSuffix(text, "\x1b[J\x1b[?2026l")
			lines := strings.Split(text, "\r\n")
			if !begun || !ended || len(lines) > size[1] {
				t.Fatalf("%v: frame %d of %d lines: %q", size, i, len(lines), frame)
			}
			for n, line := range lines {
				line, erased := strings.CutSuffix(line, "\x1b[0m\x1b[K")
				line = sgr.ReplaceAllString(line, "")
				if !erased || width(line) >= size[0] || strings.ContainsFunc(line, unicode.IsControl) {
					t.Fatalf("%v: frame %d, line %d has %d columns: %q", size, i, n, width(line), line)
				}
				for _, part := range []string{"✓", "✗", "…", " running", "1 failed"} {
					saw[part] = saw[part] || strings.Contains(line, part)
				}
			}
		}
		if len(frames) < 10 || len(saw) != 5 || slices.Contains(slices.Collect(maps.Values(saw)), false) {
			t.Errorf("%v: in %d frames was seen: %v", size, len(frames), saw)
		}
		last := sgr.ReplaceAllString(frames[len(frames)-1], "")
		if !strings.Contains(last, "49 of 50 at the goal, 1 failed") {
			t.Errorf("%v: the last frame is\n%s", size, last)
		}
		if marks := strings.Count(last, "✓") + strings.Count(last, "✗"); size[1] == 60 && marks != 50 {
			t.Errorf("%v: %d of 50 resources are on the last frame\n%s", size, marks, last)
		}
	}
}

// Names that are too long keep their ends, and one layer is one layer.
func TestScreenSaysWhichAndHowMany(t *testing.T) {
	text := strings.Join(screen{w: tree(5, 10)}.lines(80, 24), "\n")
	if !strings.Contains(text, "is long ") || !strings.Contains(text, "…") {
		t.Errorf("names are not cut in the middle:\n%s", text)
	}
	for layers, want := range map[int]string{13: "  1 layer after", 14: "  2 layers after"} {
		w := tree(layers, 1)
		for _, l := range w.layers { // from the first layer on
			l.resources[0].status = stageWaiting
		}
		if text := strings.Join(screen{w: w}.lines(80, 22), "\n"); !strings.Contains(text, want) {
			t.Errorf("%d layers: not %q:\n%s", layers, want, text)
		}
	}
}

// Colours are set around texts and never inside a width.
func TestScreenIsPlainWithoutColour(t *testing.T) {
	w := tree(5, 10)
	plain, coloured := screen{w: w}.lines(80, 24), screen{w: w, colour: true}.lines(80, 24)
	for i, line := range coloured {
		for _, code := range []string{bold, faint, red, green, yellow, blue, "0"} {
			line = strings.ReplaceAll(line, "\x1b["+code+"m", "")
		}
		if line != plain[i] {
			t.Errorf("%q is not %q in colour", coloured[i], plain[i])
		}
	}
	if strings.Contains(strings.Join(plain, ""), "\x1b") || !strings.Contains(strings.Join(coloured, ""), "\x1b[31m") {
		t.Error("colours where none are wanted, or none")
	}
}

// A frame is one write that begins at the corner and never scrolls.
func TestPainted(t *testing.T) {
	got := painted([]string{"a", "b"})
	if got != "\x1b[?2026h\x1b[Ha\x1b[0m\x1b[K\r\nb\x1b[0m\x1b[K\x1b[J\x1b[?2026l" {
		t.Errorf("%q", got)
	}
}

func TestWidth(t *testing.T) {
	for _, tt := range []struct {
		s     string
		most  int
		want  string
		width int
	}{
		{"abc", 3, "abc", 3}, {"abcd", 3, "ab…", 3}, {"日本語", 6, "日本語", 6}, {"日本語", 5, "日本…", 5}, {"日本語", 4, "日…", 3},
		{"e\u0301e\u0301", 2, "e\u0301e\u0301", 2}, {"a", 0, "", 0}, {"ab", 1, "…", 1}, {"", 1, "", 0},
	} {
		if got := cut(tt.s, tt.most); got != tt.want || width(got) != tt.width {
			t.Errorf("cut(%q, %d) = %q of %d columns, want %q of %d", tt.s, tt.most, got, width(got), tt.want, tt.width)
		}
		if got := fill(tt.s, tt.most); width(got) != tt.most {
			t.Errorf("fill(%q, %d) = %q", tt.s, tt.most, got)
		}
	}
	for _, tt := range []struct {
		s    string
		most int
		want string
	}{
		{"orders-replica-eu-0001", 22, "orders-replica-eu-0001"}, {"orders-replica-eu-0001", 12, "order…u-0001"}, {"abcd", 3, "a…d"}, {"abcd", 2, "a…"}, {"abcd", 1, "…"}, {"abcd", 0, ""},
		{"データベース-1", 8, "デ…ス-1"}, {"abcde\u0301f\u0301", 4, "a…e\u0301f\u0301"}, {"abc\u0301d", 3, "a…d"},
	} {
		if got := middle(tt.s, tt.most); got != tt.want || width(got) > tt.most {
			t.Errorf("middle(%q, %d) = %q of %d columns, want %q", tt.s, tt.most, got, width(got), tt.want)
		}
	}
}

func TestWrapped(t *testing.T) {
	for _, tt := range []struct {
		s         string
		most      int
		words     string // lines, joined by |
		continued string
	}{
		{"ab cd ef", 5, "ab cd|ef", `ab c\|d ef`},
		{"ab cd ef", 8, "ab cd ef", "ab cd ef"},
		{"abcdef gh", 4, "abcd|ef|gh", `abc\|def\| gh`},
		{"日本語 x", 5, "日本|語 x", `日本\|語 x`},
		{"日本", 1, "…", "…"}, {"ab", 0, "", ""}, {"", 4, "", ""},
	} {
		if got := strings.Join(wrapped(tt.s, tt.most), "|"); got != tt.words {
			t.Errorf("wrapped(%q, %d) = %q, want %q", tt.s, tt.most, got, tt.words)
		}
		if got := strings.Join(continued(tt.s, tt.most), "|"); got != tt.continued {
			t.Errorf("continued(%q, %d) = %q, want %q", tt.s, tt.most, got, tt.continued)
		}
	}
}

// Columns begin at the same column of the terminal, whatever the names are
// written in, and only a name gives way, as far as it must and may.
func TestTable(t *testing.T) {
	rows := [][]string{{"N", "RESOURCE", "LAG"}, {"1", "Кэш — сессии 🚀 élan", "-"}, {"10", "データベース-replica-0001", "2 s"}}
	for most, want := range map[int]string{
		80: "N   RESOURCE                   LAG\n1   Кэш — сессии 🚀 élan       -\n10  データベース-replica-0001  2 s\n",
		34: "N   RESOURCE                   LAG\n1   Кэш — сессии 🚀 élan       -\n10  データベース-replica-0001  2 s\n",
		30: "N   RESOURCE               LAG\n1   Кэш — сессии 🚀 élan   -\n10  データベー…plica-0001  2 s\n",
		9:  "N   RESOURCE          LAG\n1   Кэш — с… 🚀 élan  -\n10  データ…ica-0001   2 s\n",
	} {
		var out strings.Builder
		printTable(&out, rows, 1, most)
		if out.String() != want {
			t.Errorf("in %d columns:\n%s\nwant\n%s", most, &out, want)
		}
	}
}
