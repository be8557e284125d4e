package lambdaruntime_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/lambdaruntime"
)

// TestMain makes this test binary the function that its tests run, too.
func TestMain(m *testing.M) {
	api := os.Getenv("AWS_LAMBDA_RUNTIME_API")
	switch {
	case api == "":
		os.Exit(m.Run())
	case os.Getenv("FAIL") == "exit":
		fmt.Fprintln(os.Stderr, "cannot start")
		os.Exit(3)
	case os.Getenv("FAIL") == "report":
		body := strings.NewReader(`{"errorType":"Function.NoConfiguration","errorMessage":"no table"}`)
		if _, err := http.Post("http://"+api+"/2018-06-01/runtime/init/error", "application/json", body); err != nil {
			panic(err)
		}
		os.Exit(1)
	}
	lambda.Start(handle)
}

type event struct{ Do, Say string }

// told is what the function sees of its surroundings.
type told struct {
	Say, Name, Region, Trace, RequestID, ARN, Home string
	PID                                            int
	Deadline                                       time.Time
}

func handle(ctx context.Context, e event) (told, error) {
	switch e.Do {
	case "refuse":
		return told{}, messages.InvokeResponse_Error{Type: "Refused", Message: e.Say}
	case "panic":
		panic(e.Say)
	case "exit":
		os.Exit(7)
	case "hang":
		select {}
	case "flood":
		return told{Say: strings.Repeat("x", lambdaruntime.MaxResponse)}, nil
	}
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	return told{Say: e.Say, Name: os.Getenv("AWS_LAMBDA_FUNCTION_NAME"), Region: os.Getenv("AWS_REGION"), Trace: os.Getenv("_X_AMZN_TRACE_ID"),
		RequestID: lc.AwsRequestID, ARN: lc.InvokedFunctionArn, Home: os.Getenv("HOME"), PID: os.Getpid(), Deadline: deadline}, nil
}

func function(t *testing.T, env map[string]string) lambdaruntime.Function {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return lambdaruntime.Function{Name: "test", Path: path, Region: "us-west-2", Env: env}
}

func start(t *testing.T) *lambdaruntime.Process {
	t.Helper()
	p, err := lambdaruntime.Start(t.Context(), function(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func soon() time.Time { return time.Now().Add(time.Minute) }

func invoke(t *testing.T, p *lambdaruntime.Process, e event, deadline time.Time) (told, *lambdaruntime.Error) {
	t.Helper()
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	out, failure, err := p.Invoke(t.Context(), body, deadline, "Root=1-abc;Sampled=0")
	if err != nil {
		t.Fatal(err)
	}
	var answer told
	if failure == nil {
		if err := json.Unmarshal(out, &answer); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return answer, failure
}

func TestInvokeHandsOverWhatLambdaHandsOver(t *testing.T) {
	p := start(t)
	deadline := soon().Truncate(time.Millisecond)
	got, failure := invoke(t, p, event{Say: "hello"}, deadline)
	if failure != nil {
		t.Fatal(failure)
	}
	if len(got.RequestID) != 36 {
		t.Errorf("request id %q is no UUID", got.RequestID)
	}
	if !got.Deadline.Equal(deadline) {
		t.Errorf("deadline %s, want %s", got.Deadline, deadline)
	}
	got.RequestID, got.Deadline = "", time.Time{}
	want := told{Say: "hello", Name: "test", Region: "us-west-2", Trace: "Root=1-abc;Sampled=0",
		ARN: "arn:aws:lambda:us-west-2:000000000000:function:test", PID: p.PID()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if p.Init() <= 0 {
		t.Error("no time was taken to start")
	}
}

func TestProcessIsKeptAndReplaced(t *testing.T) {
	for _, tt := range []struct {
		name     string
		event    event
		deadline time.Duration
		want     string // type of the error
		message  string
		kept     bool
	}{
		{"answer", event{Say: "a"}, time.Minute, "", "", true},
		{"error of its own", event{Do: "refuse", Say: "lag"}, time.Minute, "Refused", "lag", true},
		{"panic", event{Do: "panic", Say: "oh"}, time.Minute, "string", "oh", false},
		{"exit", event{Do: "exit"}, time.Minute, lambdaruntime.ExitError, "exit status 7", false},
		{"no answer", event{Do: "hang"}, 50 * time.Millisecond, lambdaruntime.TimedOut, "Task timed out after 0.05 seconds", false},
		{"too large an answer", event{Do: "flood"}, time.Minute, lambdaruntime.ResponseTooLarge, "exceeded maximum", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := start(t)
			before := p.PID()
			_, failure := invoke(t, p, tt.event, time.Now().Add(tt.deadline))
			var got lambdaruntime.Error
			if failure != nil {
				got = *failure
			}
			if got.Type != tt.want || !strings.Contains(got.Message, tt.message) {
				t.Errorf("failure %+v, want %s with %q", got, tt.want, tt.message)
			}
			next, failure := invoke(t, p, event{Say: "again"}, soon())
			if failure != nil {
				t.Fatalf("the next invocation failed: %v", failure)
			}
			if kept := next.PID == before; kept != tt.kept {
				t.Errorf("same process: %t, want %t", kept, tt.kept)
			}
		})
	}
}

func TestEndOfContextKills(t *testing.T) {
	p := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, failure, err := p.Invoke(ctx, []byte(`{"Do":"hang"}`), soon(), ""); failure != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v, want the end of the context", failure, err)
	}
	if p.PID() != 0 {
		t.Error("the process still runs")
	}
}

func TestEventsWaitForEachOther(t *testing.T) {
	p := start(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			say := fmt.Sprint(i)
			if got, failure := invoke(t, p, event{Say: say}, soon()); failure != nil || got.Say != say {
				t.Errorf("%s: %+v, %v", say, got, failure)
			}
		})
	}
	all.Wait()
}

func TestStartFails(t *testing.T) {
	for _, tt := range []struct{ fail, want, message string }{
		{"exit", lambdaruntime.ExitError, "exit status 3"},
		{"report", "Function.NoConfiguration", "no table"},
	} {
		t.Run(tt.fail, func(t *testing.T) {
			f := function(t, map[string]string{"FAIL": tt.fail})
			_, err := lambdaruntime.Start(t.Context(), f)
			var failure *lambdaruntime.Error
			if !errors.As(err, &failure) || failure.Type != tt.want || !strings.Contains(failure.Message, tt.message) {
				t.Errorf("%v, want %s with %q", err, tt.want, tt.message)
			}
		})
	}
	f := function(t, nil)
	f.Path += ".missing"
	if _, err := lambdaruntime.Start(t.Context(), f); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing executable: %v", err)
	}
}

func TestLogsAreKept(t *testing.T) {
	var logs bytes.Buffer
	f := function(t, map[string]string{"FAIL": "exit"})
	f.Logs = &logs
	if _, err := lambdaruntime.Start(t.Context(), f); err == nil {
		t.Fatal("it started")
	}
	if got := logs.String(); got != "cannot start\n" {
		t.Errorf("logs %q", got)
	}
}

// TestAPIRefuses plays a function that does not follow the protocol.
func TestAPIRefuses(t *testing.T) {
	p := start(t)
	api := apiOf(t, p)
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{http.MethodPost, "invocation/0/response", http.StatusBadRequest},
		{http.MethodPost, "invocation/0/error", http.StatusBadRequest},
		{http.MethodPost, "invocation/next", http.StatusMethodNotAllowed},
		{http.MethodGet, "exit", http.StatusNotFound},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, api+tt.path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != tt.want || err != nil {
			t.Errorf("%s %s: %s %s, want %d", tt.method, tt.path, answer.Status, body, tt.want)
		}
	}
}

func TestClosed(t *testing.T) {
	p := start(t)
	p.Close()
	p.Close()
	if _, _, err := p.Invoke(t.Context(), []byte("{}"), soon(), ""); err == nil {
		t.Error("a closed process took an event")
	}
}

func apiOf(t *testing.T, p *lambdaruntime.Process) string {
	t.Helper()
	return "http://" + p.Environment("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/"
}
