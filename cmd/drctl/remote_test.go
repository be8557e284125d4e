package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"dr-orchestrator/internal/lab"
	"dr-orchestrator/internal/report"
)

// quick is a clock that jumps: whoever waits loses a moment of real time.
type quick struct {
	mu  sync.Mutex
	now time.Time
}

func (q *quick) Now() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.now
}

func (q *quick) Sleep(ctx context.Context, d time.Duration) error {
	q.mu.Lock()
	q.now = q.now.Add(d)
	q.mu.Unlock()
	return wallClock{}.Sleep(ctx, 5*time.Millisecond)
}

// served is a lab behind HTTP, and command lines against it.
type served struct {
	t     *testing.T
	url   string
	clock *quick
	*remote
}

// serve puts a lab behind HTTP, three hundred times as fast as real time.
func serve(t *testing.T, estate *lab.Estate, faults string, change func(*lab.Account)) *served {
	t.Helper()
	return serveAt(t, 300, estate, faults, change)
}

// serveAt is serve at a speed at which functions with much to do come to their
// end in time on a slow machine.
func serveAt(t *testing.T, speed float64, estate *lab.Estate, faults string, change func(*lab.Account)) *served {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "lab", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_REGION": "us-west-2", "AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL": "",
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"), "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	spec, err := lab.ParseFaults(faults)
	if err != nil {
		t.Fatal(err)
	}
	account := lab.NewAccount(estate, lab.NewWallClock(lab.Epoch, speed), 1, spec)
	if change != nil {
		change(account)
	}
	server := httptest.NewServer(account.Handler())
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		account.Serve(func() { <-stop })
	}()
	t.Cleanup(func() {
		server.Close()
		close(stop)
		<-stopped
	})
	s := &served{t: t, url: server.URL, clock: &quick{now: lab.Epoch}}
	if s.remote, err = (remoteFlags{Endpoint: s.url}).connect(t.Context(), "us-west-2", s.clock); err != nil {
		t.Fatal(err)
	}
	return s
}

// drctl runs one command line against the lab.
func (s *served) drctl(args ...string) (int, string, string) {
	s.t.Helper()
	return s.piped("", args...)
}

func (s *served) piped(in string, args ...string) (int, string, string) {
	s.t.Helper()
	var out, errs bytes.Buffer
	code := executeAt(append(args, "--endpoint", s.url), streams{strings.NewReader(in), &out, &errs}, s.clock)
	return code, out.String(), errs.String()
}

// started starts a payload and gives its execution.
func (s *served) started(file string) string {
	s.t.Helper()
	code, out, errs := s.drctl("start", file)
	arn, _, _ := strings.Cut(out, "\n")
	if code != exitSucceeded {
		s.t.Fatal(code, out, errs)
	}
	return arn
}

// until looks at the history of an execution until it shows something.
func (s *served) until(arn, what string, shows func(types.HistoryEvent) bool) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		out, err := s.executions.GetExecutionHistory(s.t.Context(), &sfn.GetExecutionHistoryInput{ExecutionArn: &arn, MaxResults: 1000})
		if err != nil {
			s.t.Fatal(err)
		}
		if slices.ContainsFunc(out.Events, shows) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal("never came to pass: " + what)
		}
	}
}

func (s *served) describe(arn string) *sfn.DescribeExecutionOutput {
	s.t.Helper()
	d, err := s.remote.describe(s.t.Context(), arn)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func lasting(seconds float64) *lab.Estate {
	e := lab.DefaultEstate()
	for name := range e.Durations {
		e.Durations[name] = seconds
	}
	return e
}

func TestPlanOfEverySample(t *testing.T) {
	files, err := filepath.Glob("../../payloads/*.json")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	s := serve(t, lab.DefaultEstate(), "", nil)
	for _, file := range files {
		if filepath.Base(file) == "schema.json" {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			machine := "failover"
			if strings.HasPrefix(filepath.Base(file), "failback") {
				machine = "failback"
			}
			code, out, errs := s.drctl("plan", file, "--machine", machine)
			if code != exitSucceeded || !strings.Contains(out, "Planned only, nothing was changed") || !strings.Contains(out, "LAYER") || !strings.Contains(out, "Report: s3://") {
				t.Errorf("exit code %d\n%s%s", code, out, errs)
			}
			_, arn, _ := strings.Cut(strings.TrimSpace(errs), "planning: ")
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var given, started map[string]any
			if json.Unmarshal(data, &given) != nil || json.Unmarshal([]byte(aws.ToString(s.describe(arn).Input)), &started) != nil {
				t.Fatal("no JSON")
			}
			options, _ := given["Options"].(map[string]any)
			if options == nil {
				options = map[string]any{}
			}
			options["Mode"], given["Options"] = "plan", options
			if want, got := text(t, given), text(t, started); want != got {
				t.Errorf("started with %s, want %s", got, want)
			}
		})
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// The only thing that plan mode changes is the mode.
func TestInPlanMode(t *testing.T) {
	for given, want := range map[string]string{
		`{"StatePayload":[1.50,"<&>"]}`:                            `{"Options":{"Mode":"plan"},"StatePayload":[1.50,"<&>"]}`,
		`{"Options":{"Mode":"run","Disaster":"True"},"Other":1e3}`: `{"Options":{"Disaster":"True","Mode":"plan"},"Other":1e3}`,
		`{"Options":null}`:                                         `{"Options":{"Mode":"plan"}}`,
	} {
		if got, err := inPlanMode([]byte(given)); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", given, got, err, want)
		}
	}
}

func TestPlanThatIsBlocked(t *testing.T) {
	estate := lab.DefaultEstate()
	estate.Instances[slices.IndexFunc(estate.Instances, func(i *lab.Instance) bool { return i.ID == "rds-mysql-instance-usw2" })].Status = "storage-full"
	s := serve(t, estate, "", nil)
	code, out, errs := s.drctl("plan", three)
	if code != exitRun || !strings.Contains(out, "storage-full") || !strings.Contains(out, "nothing was changed") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	code, out, errs = s.drctl("plan", three, "--json")
	var record report.Record
	if err := json.Unmarshal([]byte(out), &record); err != nil || code != exitRun {
		t.Fatal(code, err, out, errs)
	}
	if record.Mode != "plan" || record.Outcome == report.Succeeded || len(record.Problems) == 0 || len(record.Layers) == 0 {
		t.Errorf("%+v", record)
	}
}

func TestRemoteExitCodes(t *testing.T) {
	s := serve(t, lab.DefaultEstate(), "", nil)
	const of = "arn:aws:states:us-west-2:111122223333:"
	tests := []struct {
		name string
		args []string
		want int
		says string
	}{
		{"plan a wrong payload", []string{"plan", "-"}, exitInput, "/Extra"},
		{"start a wrong payload", []string{"start", "-"}, exitInput, "/StatePayload"},
		{"start no payload", []string{"start", "none.json"}, exitInput, "none.json"},
		{"start under a wrong name", []string{"start", three, "--execution-name", "a b"}, exitInput, "80 letters"},
		{"start under the name of a check", []string{"start", three, "--execution-name", "readiness-orders-1"}, exitInput, "checks of stored payloads"},
		{"start what belongs to the other machine", []string{"start", "../../payloads/failback-mysql.json"}, exitInput, "for the failover machine: give --machine failback"},
		{"plan on no machine", []string{"plan", three, "--name", "other"}, exitEnvironment, "other-failover:live"},
		{"start on no machine", []string{"start", three, "--name", "other"}, exitEnvironment, "nothing is deployed"},
		{"a wrong machine", []string{"start", three, "--machine", "sideways"}, exitInput, "failback"},
		{"stop nonsense", []string{"stop", "nonsense"}, exitInput, "execution:MACHINE:NAME"},
		{"stop a machine", []string{"stop", of + "stateMachine:dr-orchestrator-failover"}, exitInput, "is a state machine"},
		{"resume a map run", []string{"resume", of + "mapRun:dr-orchestrator-failover/RunLayer:1"}, exitInput, "a part of a run"},
		{"approve a child", []string{"approve", of + "execution:dr-orchestrator-failover/RunLayer:1"}, exitInput, "a part of a run"},
		{"decline with a space", []string{"decline", of + "execution:m:a b", "--reason", "x"}, exitInput, "is not the ARN"},
		{"decline in another region", []string{"decline", of + "execution:m:a", "--reason", "x", "--region", "us-east-1"}, exitInput, "us-west-2"},
		{"decline without a reason", []string{"decline", of + "execution:m:a"}, exitInput, "--reason"},
		{"stop nobody", []string{"stop", of + "execution:m:a"}, exitInput, "no such execution"},
		{"resume nobody", []string{"resume", of + "execution:m:a"}, exitInput, "no such execution"},
		{"approve nobody", []string{"approve", of + "execution:m:a"}, exitInput, "drctl list"},
		{"an account of eleven digits", []string{"stop", "arn:aws:states:us-west-2:11112222333:execution:m:a"}, exitInput, "is not the ARN"},
		{"a region that is none", []string{"stop", "arn:aws:states:west:111122223333:execution:m:a"}, exitInput, "is not the ARN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := s.piped(`{"StatePayload":[{"layer":1,"resources":[]}],"Extra":1}`, tt.args...)
			if code != tt.want || !strings.Contains(out+errs, tt.says) {
				t.Errorf("exit code %d, want %d, saying %q:\n%s%s", code, tt.want, tt.says, out, errs)
			}
		})
	}
}

func TestNoWayToAWS(t *testing.T) {
	s := serve(t, lab.DefaultEstate(), "", nil)
	for name, tt := range map[string]struct {
		set  map[string]string
		args []string
		want int
		says string
	}{
		"no credentials":       {map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, []string{"--endpoint", s.url}, exitEnvironment, "credentials"},
		"no region":            {map[string]string{"AWS_REGION": ""}, []string{"--endpoint", s.url}, exitEnvironment, "--region"},
		"nobody listens":       {nil, []string{"--endpoint", "http://127.0.0.1:1"}, exitEnvironment, "refused"},
		"no endpoint":          {nil, []string{"--endpoint", "somewhere"}, exitInput, "http://127.0.0.1:4599"},
		"the variable will do": {map[string]string{"AWS_ENDPOINT_URL": s.url}, nil, exitSucceeded, "Planned only"},
	} {
		t.Run(name, func(t *testing.T) {
			for variable, value := range tt.set {
				t.Setenv(variable, value)
			}
			var out, errs bytes.Buffer
			code := executeAt(append([]string{"plan", three}, tt.args...), streams{strings.NewReader(""), &out, &errs}, s.clock)
			if code != tt.want || !strings.Contains(out.String()+errs.String(), tt.says) {
				t.Errorf("exit code %d, want %d, saying %q:\n%s%s", code, tt.want, tt.says, &out, &errs)
			}
		})
	}
}

func TestParseExecution(t *testing.T) {
	for region, partition := range map[string]string{"us-west-2": "aws", "us-gov-east-1": "aws-us-gov", "cn-north-1": "aws-cn", "eusc-de-east-1": "aws-eusc"} {
		text := "arn:" + partition + ":states:" + region + ":111122223333:execution:dr-orchestrator-failover:a.b(1)_c-d"
		if e, err := parseExecution(text); err != nil || e != (execution{text, region}) {
			t.Errorf("%s: %+v, %v", text, e, err)
		}
	}
}

func TestStart(t *testing.T) {
	s := serve(t, lab.DefaultEstate(), "", nil)
	code, out, errs := s.drctl("start", three, "--execution-name", "one", "--wait")
	const arn = "arn:aws:states:us-west-2:111122223333:execution:dr-orchestrator-failover:one"
	if code != exitSucceeded || !strings.HasPrefix(out, arn+"\n") || !strings.Contains(out, "drctl stop "+arn+" --endpoint "+s.url) || !strings.Contains(out, "every resource is proved") || strings.Contains(out, "approve") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if got := aws.ToString(s.describe(arn).StateMachineAliasArn); !strings.HasSuffix(got, ":dr-orchestrator-failover:live") {
		t.Errorf("started by %q", got)
	}
	if code, _, errs := s.drctl("start", three, "--execution-name", "one"); code != exitInput || !strings.Contains(errs, "already exists. Give another --execution-name") {
		t.Errorf("the same name again: exit code %d, %s", code, errs)
	}
	code, out, errs = s.drctl("start", three, "--json", "--wait")
	var record report.Record
	if err := json.Unmarshal([]byte(out), &record); err != nil || code != exitSucceeded || record.Outcome != report.Succeeded || record.Layers[0].Resources[0].Changed {
		t.Errorf("again: exit code %d, %v\n%s%s", code, err, out, errs)
	}
	var told struct{ ExecutionArn, Region string }
	code, out, errs = s.drctl("start", three, "--json")
	if err := json.Unmarshal([]byte(out), &told); err != nil || code != exitSucceeded || told.Region != "us-west-2" || !strings.Contains(told.ExecutionArn, ":dr-orchestrator-failover:run-2026") {
		t.Errorf("exit code %d, %v\n%s%s", code, err, out, errs)
	}
}

func TestStartThatFails(t *testing.T) {
	s := serve(t, lab.DefaultEstate(), "dead@region:us-east-1", nil)
	code, out, errs := s.drctl("start", planned, "--wait")
	if code != exitRun || !strings.Contains(out, "Refused after") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

func entersLayer(e types.HistoryEvent) bool {
	return e.StateEnteredEventDetails != nil && aws.ToString(e.StateEnteredEventDetails.Name) == stateLayer
}

func TestStopAndResume(t *testing.T) {
	s := serveAt(t, 300, lasting(900), "", nil)
	arn := s.started(three)
	if code, _, errs := s.drctl("resume", arn); code != exitInput || !strings.Contains(errs, "still runs") || !strings.Contains(errs, "drctl stop "+arn) {
		t.Errorf("resume of a run that goes on: exit code %d, %s", code, errs)
	}
	if code, _, errs := s.drctl("approve", arn); code != exitInput || !strings.Contains(errs, "waits for no approval") {
		t.Errorf("approval of a run that waits for none: exit code %d, %s", code, errs)
	}
	s.until(arn, "a layer is begun", entersLayer)
	code, out, errs := s.drctl("stop", arn, "--cause", "a drill")
	if code != exitSucceeded || !strings.Contains(out, "a drill") || !strings.Contains(out, "drctl resume "+arn) || !strings.Contains(out, "Aborted") || !strings.Contains(out, "Report: s3://") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if d := s.describe(arn); d.Status != types.ExecutionStatusAborted || aws.ToString(d.Cause) != "a drill" {
		t.Errorf("%s: %s", d.Status, aws.ToString(d.Cause))
	}
	for _, args := range [][]string{{"stop", arn}, {"approve", arn}, {"decline", arn, "--reason", "x"}} {
		if code, _, errs := s.drctl(args...); code != exitInput || !strings.Contains(errs, "ABORTED") {
			t.Errorf("%s after the stop: exit code %d, %s", args[0], code, errs)
		}
	}
	var runs []listed
	if _, out, errs := s.drctl("list", "--json"); json.Unmarshal([]byte(out), &runs) != nil || len(runs) != 1 || runs[0].Outcome != report.FailedDirty || runs[0].Status != "ABORTED" {
		t.Errorf("listed: %s%s", out, errs)
	}
	code, out, errs = s.drctl("resume", arn, "--wait")
	next, _, _ := strings.Cut(out, "\n")
	if code != exitSucceeded || !strings.Contains(out, "Succeeded after") || next == arn || !strings.Contains(next, ":resume-") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	if was, is := aws.ToString(s.describe(arn).Input), aws.ToString(s.describe(next).Input); was != is {
		t.Errorf("resumed with %s, not %s", is, was)
	}
}

// The end of a run is what it says itself, or its report, or what its layers let
// fear.
func TestOutcome(t *testing.T) {
	clean := &report.Record{Outcome: report.FailedClean}
	for _, tt := range []struct {
		status types.ExecutionStatus
		err    string
		record *report.Record
		layers int
		want   report.Outcome
	}{
		{types.ExecutionStatusSucceeded, "", nil, 1, report.Succeeded},
		{types.ExecutionStatusFailed, "Refused", nil, 1, report.Refused},
		{types.ExecutionStatusFailed, "FailedDirty", clean, 1, report.FailedDirty},
		{types.ExecutionStatusFailed, "States.Runtime", nil, 0, report.FailedClean},
		{types.ExecutionStatusFailed, "States.Runtime", nil, 1, report.FailedDirty},
		{types.ExecutionStatusAborted, "Stopped", nil, 0, report.FailedClean},
		{types.ExecutionStatusAborted, "Stopped", nil, 1, report.FailedDirty},
		{types.ExecutionStatusAborted, "Stopped", clean, 1, report.FailedClean},
		{types.ExecutionStatusTimedOut, "", nil, 1, report.FailedDirty},
	} {
		e := ending{execution: &sfn.DescribeExecutionOutput{Status: tt.status, Error: &tt.err}, record: tt.record, trace: trace{layers: tt.layers}}
		if got := e.outcome(); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}

func TestTooLarge(t *testing.T) {
	blank := func(n int) string { return strings.Repeat(" ", n) }
	for n, want := range map[int]bool{maxInput: false, maxInput + 1: true} {
		if err := tooLarge("x", []byte(blank(n))); (err != nil) != want {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if code, _, errs := drctl(t, blank(maxInput+1), "lab", "run", "--payload", "-"); code != exitInput || !strings.Contains(errs, "the 262144 of Step Functions less 1024") || !strings.Contains(errs, `{"Payload": "NAME"}`) {
		t.Errorf("exit code %d, %s", code, errs)
	}
	body, err := os.ReadFile(three)
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errs := drctl(t, string(body)+strings.Repeat(" ", maxInput), "start", "-"); code != exitInput || !strings.Contains(errs, "drctl start --stored NAME") {
		t.Errorf("exit code %d, %s", code, errs)
	}
}

// A run that is stopped before a layer was begun has changed nothing, and says
// so without a report.
func TestStopBeforeALayer(t *testing.T) {
	s, arn := waits(t)
	code, out, errs := s.drctl("stop", arn, "--json")
	var record report.Record
	if err := json.Unmarshal([]byte(out), &record); err != nil || code != exitSucceeded {
		t.Fatal(code, err, out, errs)
	}
	if record.Outcome != report.FailedClean || record.Cause != "Stopped: stopped by an operator" || record.Run.Execution != arn {
		t.Errorf("%+v", record)
	}
}

// late is a bucket where the report turns up after a few looks.
type late struct {
	reports
	looks, after int
}

func (l *late) GetObject(ctx context.Context, in *s3.GetObjectInput, o ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	if l.looks++; l.looks <= l.after {
		in = &s3.GetObjectInput{Bucket: in.Bucket, Key: aws.String("none")}
	}
	return l.reports.GetObject(ctx, in, o...)
}

func TestAReportThatComesLate(t *testing.T) {
	s := serve(t, lab.DefaultEstate(), "", nil)
	code, out, errs := s.drctl("start", planned, "--wait")
	if code != exitSucceeded {
		t.Fatal(out, errs)
	}
	arn, _, _ := strings.Cut(out, "\n")
	d := s.describe(arn)
	d.Output = nil // as of a run that was stopped: the history tells where the report is
	for after, found := range map[int]bool{0: true, 3: true, 1000: false} {
		bucket := &late{reports: s.reports, after: after}
		began := s.clock.Now()
		e, err := (&remote{executions: s.executions, reports: bucket, clock: s.clock}).readLate(t.Context(), d)
		if err != nil || (e.record != nil) != found || (e.missing == "") != found {
			t.Errorf("after %d looks: %+v, %v", after, e, err)
		}
		if waited := s.clock.Now().Sub(began); waited > reportWait || (!found && waited != reportWait) {
			t.Errorf("after %d looks: waited %v", after, waited)
		}
	}
}

// deaf is Step Functions behind a line that breaks.
type deaf struct {
	executions
	misses int
}

func (d *deaf) DescribeExecution(ctx context.Context, in *sfn.DescribeExecutionInput, o ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	if d.misses--; d.misses >= 0 {
		return nil, context.DeadlineExceeded
	}
	return d.executions.DescribeExecution(ctx, in, o...)
}

func TestTheWaitOutlivesABrokenLine(t *testing.T) {
	s := serve(t, lab.DefaultEstate(), "", nil)
	arn := s.started(three)
	for misses, lasts := range map[int]bool{patience: true, patience + 1: false} {
		r := &remote{executions: &deaf{s.executions, misses}, clock: s.clock}
		_, err := r.ended(t.Context(), arn)
		if (err == nil) != lasts {
			t.Errorf("%d misses: %v", misses, err)
		}
		if !lasts && !strings.Contains(err.Error(), "the run itself goes on") {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.ended(ctx, arn); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("interrupted: %v", err)
	}
}
