package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lab"
	"dr-orchestrator/internal/report"
	"dr-orchestrator/internal/run"
)

func TestReport(t *testing.T) {
	s := serve(t, lab.DefaultEstate(), "", nil)
	arn := s.started(three)
	if code, _, errs := s.drctl("report", arn); code != exitInput || !strings.Contains(errs, "still runs") || !strings.Contains(errs, "drctl watch "+arn) {
		t.Errorf("of a run that goes on: exit code %d, %s", code, errs)
	}
	if code, out, errs := s.drctl("watch", arn); code != exitSucceeded {
		t.Fatal(code, out, errs)
	}
	file := filepath.Join(t.TempDir(), "report.html")
	code, out, errs := s.drctl("report", arn, "--html", file)
	if code != exitSucceeded || !strings.Contains(out, "What to do next:\n  1. Direct the applications to us-west-2") || !strings.Contains(out, "Report: s3://") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	page, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(page), "rds:PromoteReadReplica") {
		t.Errorf("%v: %.200s", err, page)
	}
	code, out, _ = s.drctl("report", arn, "--json")
	var record report.Record
	if err := json.Unmarshal([]byte(out), &record); err != nil || code != exitSucceeded || record.Outcome != report.Succeeded {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
}

// Of every end a person reads first how the estate stands and what to do, and
// then the cause and the resources.
func TestReportBeginsWithWhatToDo(t *testing.T) {
	for _, tt := range []struct {
		outcome report.Outcome
		cause   string
	}{
		{report.Succeeded, ""}, {report.Refused, "the lag is 90 s"}, {report.FailedClean, "denied"}, {report.FailedDirty, "storage-full"},
		{report.FailedDirty, report.EndedOutside + " (ABORTED): enough"},
	} {
		record := report.Record{Outcome: tt.outcome, Cause: tt.cause, Layers: []report.Layer{{Layer: 1, Resources: []report.Resource{{ResourceName: "orders", Status: report.Done, Changed: true}}}}}
		var out bytes.Buffer
		printRecord(&out, record)
		last := -1
		for _, part := range []string{string(tt.outcome) + " after", "\nThe estate: " + record.State(), "\nWhat to do next:\n  1. " + record.Next()[0], tt.cause, "\nLAYER"} {
			if part == "" {
				continue
			}
			at := strings.Index(out.String(), part)
			if at <= last {
				t.Errorf("%s: %q is missing or comes too late:\n%s", tt.outcome, part, &out)
			}
			last = at
		}
	}
}

// Of many resources that are well, a run has nothing to tell but the table, and
// its outcome stands beneath that again; what is wrong with many is told once. A
// plan tells what it found of each.
func TestEndOfALargeRun(t *testing.T) {
	record := func(n int, mode string, verdict action.Verdict, e *report.Error) report.Record {
		r := report.Record{Outcome: report.Succeeded, Mode: mode, Layers: []report.Layer{{Layer: 1}}}
		for i := range n {
			r.Layers[0].Resources = append(r.Layers[0].Resources, report.Resource{ResourceName: fmt.Sprintf("check %d", i), Status: report.Done, Error: e,
				Findings: []action.Finding{{Verdict: verdict, Message: "it works now"}}})
		}
		return r
	}
	for _, tt := range []struct {
		name   string
		record report.Record
		ends   string // of what is printed
		absent string
		twice  bool // the outcome is told
	}{
		{"few that are ready", record(fewRows, "run", action.VerdictReady, nil), "check 19  DONE    no       0s    -\n", "it works", false},
		{"many that are ready", record(fewRows+1, "run", action.VerdictReady, nil), "every resource is proved to be at its goal.\n", "it works", true},
		{"ready in a plan", record(2, "plan", action.VerdictReady, nil), "\n\ncheck 0, check 1: ready\n  it works now\n", "more", false},
		{"warnings", record(5, "run", action.VerdictWarning, nil), "\n\ncheck 0, check 1, check 2 and 2 more: warning\n  it works now\n", "check 3:", false},
		{"errors", record(4, "run", action.VerdictReady, &report.Error{Class: "Denied", Message: "no"}), "\n\ncheck 0, check 1, check 2 and 1 more: Denied\n  no\n", "it works", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			printRecord(&out, tt.record)
			if !strings.HasSuffix(out.String(), tt.ends) || strings.Contains(out.String(), tt.absent) || (strings.Count(out.String(), "Succeeded after") == 2) != tt.twice {
				t.Error(out.String())
			}
		})
	}
}

// What a run in the lab ends with is what that of AWS ends with, and what the lab
// alone knows.
func TestEndOfARunInTheLab(t *testing.T) {
	code, out, errs := drctl(t, "", "lab", "run", "--payload", three)
	if code != exitSucceeded || !strings.Contains(out, "\nThe estate: ") || !strings.Contains(out, "\nWhat to do next:\n  1. ") || !strings.Contains(out, "OF IT AWS") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

// A report that could not be written is put together from what the run left,
// and that is said.
func TestReportThatWasNotWritten(t *testing.T) {
	s := serve(t, lab.DefaultEstate(), "error@function:record-report", nil)
	arn := s.started(three)
	if code, out, errs := s.drctl("watch", arn); code != exitSucceeded {
		t.Fatal(code, out, errs)
	}
	file := filepath.Join(t.TempDir(), "report.html")
	code, out, errs := s.drctl("report", arn, "--html", file)
	if code != exitSucceeded || !strings.Contains(errs, "put together from what the run left") || !strings.Contains(out, "DONE") || strings.Contains(out, "Report: s3://") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if page, err := os.ReadFile(file); err != nil || !strings.Contains(string(page), "Recovered") {
		t.Errorf("%v: %.200s", err, page)
	}
	var record report.Record
	if _, out, errs = s.drctl("report", arn, "--json"); json.Unmarshal([]byte(out), &record) != nil || record.Layers[0].Resources[0].Status != report.Done {
		t.Errorf("as JSON: %s%s", out, errs)
	}
}

// So is that of a run that was stopped and that nothing came to close: what was
// under way is told as such.
func TestReportOfAStoppedRunThatWasNotClosed(t *testing.T) {
	s := serveAt(t, 100, lasting(900), "error@function:close-run", nil)
	arn := s.started(three)
	asked := func(w *watcher) bool { // something of AWS
		return slices.ContainsFunc(w.layers, func(l *watchedLayer) bool {
			return slices.ContainsFunc(l.resources, func(r *watchedResource) bool { return r.phase != "" })
		})
	}
	for w := newWatcher(s.remote, arn); !asked(w); {
		if err := w.round(t.Context()); err != nil || w.over() {
			t.Fatal("nothing was begun: ", err)
		}
		if err := s.clock.Sleep(t.Context(), watchEvery); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.executions.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: &arn}); err != nil {
		t.Fatal(err)
	}
	code, out, errs := s.drctl("report", arn, "--json")
	var record report.Record
	if err := json.Unmarshal([]byte(out), &record); err != nil || code != exitSucceeded || !strings.Contains(errs, "put together from what the run left") {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
	}
	if record.Outcome != report.FailedDirty || !record.Stopped() || len(record.Layers) == 0 || record.Tally().Unsettled == 0 {
		t.Errorf("%+v", record)
	}
}

// hidden is a bucket without the report.
type hidden struct{ reports }

func (h hidden) GetObject(ctx context.Context, in *s3.GetObjectInput, o ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	if strings.HasSuffix(aws.ToString(in.Key), "report.json") {
		return nil, &types.NoSuchKey{}
	}
	return h.reports.GetObject(ctx, in, o...)
}

// What is put together is what was written, of every end.
func TestRebuiltReportIsTheOneThatWasWritten(t *testing.T) {
	for _, tt := range []struct{ name, faults, file string }{
		{"succeeded", "", three},
		{"failed half way", "cancel@rds:PromoteReadReplica#1", three},
		{"blocked", "error@rds:DescribeDBInstances", three},
		{"planned", "", planned},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, lab.DefaultEstate(), tt.faults, nil)
			arn := s.started(tt.file)
			d, err := s.ended(t.Context(), arn)
			if err != nil {
				t.Fatal(err)
			}
			e, err := s.readLate(t.Context(), d)
			if err != nil || e.record == nil {
				t.Fatal(err, e.missing)
			}
			got, err := run.Rebuild(t.Context(), hidden{s.reports}, e.at.Bucket, s.mapRuns, d, e.record.Run.StartedAt)
			if err != nil {
				t.Fatal(err)
			}
			ignored := cmpopts.IgnoreFields(report.Record{}, "EndedAt", "DurationSeconds", "RTO")
			if diff := cmp.Diff(*e.record, got, ignored); diff != "" {
				t.Errorf("(-written +rebuilt):\n%s", diff)
			}
		})
	}
}

func TestList(t *testing.T) {
	s := serve(t, lab.DefaultEstate(), "cancel@rds:PromoteReadReplica#1", nil)
	if code, out, _ := s.drctl("list"); code != exitSucceeded || out != "There are none.\n" {
		t.Errorf("exit code %d, %q", code, out)
	}
	body, err := os.ReadFile(three)
	if err != nil {
		t.Fatal(err)
	}
	if body, err = inPlanMode(body); err != nil {
		t.Fatal(err)
	}
	if _, err := s.start(t.Context(), "arn:aws:states:us-west-2:111122223333:stateMachine:dr-orchestrator-failover:live", "readiness-three-1", string(body)); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := s.drctl("list"); code != exitSucceeded || out != "There are none.\n" || errs != "" {
		t.Errorf("a check is listed: exit code %d, %q, %q", code, out, errs)
	}
	if code, out, _ := s.drctl("list", "--plans"); code != exitSucceeded || !strings.Contains(out, ":readiness-three-1") {
		t.Errorf("exit code %d, %q", code, out)
	}
	first := s.started(three)
	if code, _, _ := s.drctl("watch", first); code != exitRun {
		t.Fatal(code)
	}
	second := s.started(three)
	if code, _, _ := s.drctl("watch", second); code != exitSucceeded {
		t.Fatal(code)
	}
	code, out, errs := s.drctl("list", "--json")
	var all []listed
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != exitSucceeded || len(all) != 2 {
		t.Fatal(code, err, out, errs)
	}
	if all[0].Execution != second || all[0].Outcome != report.Succeeded || all[1].Execution != first || all[1].Outcome != report.FailedDirty || all[1].DurationSeconds <= 0 {
		t.Errorf("%+v", all)
	}
	if _, out, _ = s.drctl("list", "--limit", "1"); strings.Contains(out, first) || !strings.Contains(out, second) || !strings.Contains(out, "Succeeded") {
		t.Error(out)
	}
	if code, out, _ = s.drctl("list", "--machine", "failback"); code != exitSucceeded || out != "There are none.\n" {
		t.Errorf("exit code %d, %q", code, out)
	}
	if code, _, _ = s.drctl("list", "--limit", "0"); code != exitInput {
		t.Errorf("exit code %d", code)
	}
}

// What AWS and payloads say steers no terminal, whichever command shows it.
func TestWhatIsShownIsPrintable(t *testing.T) {
	const hostile = "db\u202egpj\x1b[2J"
	record := report.Record{Outcome: report.FailedDirty, Cause: hostile, Layers: []report.Layer{{Layer: 1, Resources: []report.Resource{{
		ResourceName: hostile + "\n1  other", Status: report.Failed, Error: &report.Error{Class: "Terminal", Message: hostile},
		Findings: []action.Finding{{Verdict: action.VerdictBlocked, Message: hostile}}}}}}}
	d := &display{}
	progress := d.plain(lab.Progress{Resource: hostile, Message: hostile})
	var out, errs strings.Builder
	if err := (ending{execution: &sfn.DescribeExecutionOutput{}, record: &record, missing: hostile}).print(&out, &errs, false); err != nil {
		t.Fatal(err)
	}
	v := &plainView{out: &out, errs: &errs, w: tree(1, 1)}
	v.show([]change{{Layer: new(1), Resource: hostile, Phase: hostile, Message: hostile}}, hostile)
	execute([]string{"report", hostile}, streams{strings.NewReader(""), &out, &errs})
	for name, text := range map[string]string{"output": out.String(), "errors": errs.String(), "progress": progress} {
		if strings.ContainsAny(text, "\x1b\u202e") || !strings.Contains(text, "dbgpj[2J") {
			t.Errorf("the %s: %q", name, text)
		}
	}
	if strings.Contains(out.String(), "\n1  other") {
		t.Errorf("a name makes a line of its own: %q", out.String())
	}
}

// archive is a machine with many executions, the newest first; runs are those
// that are no checks of stored payloads.
type archive struct {
	n, calls int
	runs     map[int]bool
}

func (a *archive) ListExecutions(_ context.Context, in *sfn.ListExecutionsInput, _ ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error) {
	a.calls++
	from := 0
	if in.NextToken != nil {
		var err error
		if from, err = strconv.Atoi(*in.NextToken); err != nil {
			return nil, err
		}
	}
	out := &sfn.ListExecutionsOutput{}
	to := min(from+int(in.MaxResults), a.n)
	for i := from; i < to; i++ {
		name := fmt.Sprintf("readiness-orders-%d", i)
		if a.runs[i] {
			name = fmt.Sprintf("run-%d", i)
		}
		out.Executions = append(out.Executions, sfntypes.ExecutionListItem{Name: &name, Status: sfntypes.ExecutionStatusSucceeded, StartDate: aws.Time(lab.Epoch.Add(-time.Duration(i) * time.Minute))})
	}
	if to < a.n {
		out.NextToken = aws.String(strconv.Itoa(to))
	}
	return out, nil
}

// Runs are found among the checks of stored payloads, however many there are of
// those, up to a number that is told.
func TestListFindsRunsAmongChecks(t *testing.T) {
	runs := map[int]bool{3: true, 999: true, 1000: true, 9999: true, 10_000: true}
	for _, tt := range []struct {
		name     string
		n, limit int
		plans    bool
		want     []string
		calls    int
		gaveUp   bool
	}{
		{"on the first page", 20_000, 2, false, []string{"run-3", "run-999"}, 1, false},
		{"over pages", 20_000, 3, false, []string{"run-3", "run-999", "run-1000"}, 2, false},
		{"up to the bound", 20_000, 4, false, []string{"run-3", "run-999", "run-1000", "run-9999"}, 10, false},
		{"beyond the bound", 20_000, 5, false, []string{"run-3", "run-999", "run-1000", "run-9999"}, 10, true},
		{"no more there", 9_000, 5, false, []string{"run-3", "run-999", "run-1000"}, 9, false},
		{"exactly the bound", 10_000, 5, false, []string{"run-3", "run-999", "run-1000", "run-9999"}, 10, false},
		{"with the checks", 20_000, 2, true, []string{"readiness-orders-0", "readiness-orders-1"}, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &archive{n: tt.n, runs: runs}
			all, until, err := (&remote{lists: a, clock: &quick{now: lab.Epoch}}).list(t.Context(), "m", tt.limit, tt.plans)
			var names []string
			for _, l := range all {
				names = append(names, l.Name)
			}
			if diff := cmp.Diff(tt.want, names); diff != "" || err != nil {
				t.Errorf("%v (-want +listed):\n%s", err, diff)
			}
			if a.calls != tt.calls || until.IsZero() == tt.gaveUp || tt.gaveUp && !until.Equal(lab.Epoch.Add(-9999*time.Minute)) {
				t.Errorf("%d calls, until %v", a.calls, until)
			}
		})
	}
}

func TestStartStored(t *testing.T) {
	estate := lab.DefaultEstate()
	body, err := os.ReadFile(planned)
	if err != nil {
		t.Fatal(err)
	}
	estate.Payloads = map[string]json.RawMessage{"orders": body}
	s := serve(t, estate, "", nil)
	code, out, errs := s.drctl("start", "--stored", "orders", "--wait")
	if arn, _, _ := strings.Cut(out, "\n"); code != exitSucceeded || aws.ToString(s.describe(arn).Input) != `{"Payload":"orders"}` {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	for _, args := range [][]string{{"start"}, {"start", planned, "--stored", "orders"}, {"start", "--stored", "../orders"}} {
		if code, _, errs := s.drctl(args...); code != exitInput || errs == "" {
			t.Errorf("%v: exit code %d, %s", args, code, errs)
		}
	}
}

// Every command has an example, and every command that a completion offers is
// one.
func TestHelpAndCompletion(t *testing.T) {
	var c commands
	parser, err := kong.New(&c, kong.Name("drctl"))
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := completions(parser.Model.Node, nil)
	for _, row := range rows {
		if len(row.commands) > 0 {
			continue
		}
		var out strings.Builder
		code := execute(append(row.path, "--help"), streams{strings.NewReader(""), &out, &out})
		if name := "drctl " + strings.Join(row.path, " "); code != exitSucceeded || strings.Count(out.String(), name) < 2 {
			t.Errorf("%s has no example (exit code %d): %s", name, code, out.String())
		}
	}
	// Those without --json print JSON, or what is text by nature.
	var plain []string
	for _, row := range rows {
		if len(row.commands) == 0 && !slices.Contains(strings.Fields(row.words()), "--json") {
			plain = append(plain, strings.Join(row.path, " "))
		}
	}
	slices.Sort(plain)
	if diff := cmp.Diff([]string{"completion", "help", "lab estate", "lab serve", "reference", "schema"}, plain); diff != "" {
		t.Errorf("commands without --json (-want +got):\n%s", diff)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var out strings.Builder
		if code := execute([]string{"completion", shell}, streams{strings.NewReader(""), &out, &out}); code != exitSucceeded {
			t.Errorf("%s: exit code %d", shell, code)
		}
		for _, row := range rows[1:] {
			if !strings.Contains(out.String(), row.path[len(row.path)-1]) {
				t.Errorf("%s does not know %v", shell, row.path)
			}
		}
	}
	if code := execute([]string{"completion", "tcsh"}, streams{strings.NewReader(""), &strings.Builder{}, &strings.Builder{}}); code != exitInput {
		t.Errorf("exit code %d for an unknown shell", code)
	}
}

// The script is what bash makes of it, not what it looks like.
func TestCompletionInBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal("bash is needed for this test: ", err)
	}
	var script strings.Builder
	if code := execute([]string{"completion", "bash"}, streams{strings.NewReader(""), &script, &script}); code != exitSucceeded {
		t.Fatal(script.String())
	}
	for words, want := range map[string]string{
		"drctl w": "watch", "drctl lab r": "run", "drctl lab run --se": "--seed", "drctl plan --machine failo": "failover", "drctl start --st": "--stored", "drctl completion --h": "--help",
		"drctl watch --zz": "",
	} {
		all := strings.Fields(words)
		out, err := exec.Command(bash, "-c", script.String()+"\nCOMP_WORDS=("+words+"); COMP_CWORD="+string(rune('0'+len(all)-1))+"; _drctl; echo \"${COMPREPLY[*]}\"").CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%s: %q, want %q (%v)", words, got, want, err)
		}
	}
}
