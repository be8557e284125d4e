// Package functions_test boots every function, built as it is deployed, behind
// the Lambda Runtime API, and checks what a state machine relies on: that it
// answers, that its errors carry the names that the machine matches, and that
// it never hangs.
package functions_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/bootstrap"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/lab"
	"dr-orchestrator/internal/lambdaruntime"
	"dr-orchestrator/internal/steps"
)

// built is the folder of the built functions.
var built string

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "functions"); err != nil {
		panic(err)
	}
	code := 1
	if err := bootstrap.Build(context.Background(), built, runtime.GOOS, runtime.GOARCH); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	if err := os.RemoveAll(built); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// functions lists the folders that hold a function.
func functions(t *testing.T) []string {
	t.Helper()
	mains, err := filepath.Glob("*/main.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, main := range mains {
		// The go command then knows that this test depends on the file.
		if _, err := os.Stat(main); err != nil {
			t.Fatal(err)
		}
		names = append(names, filepath.Dir(main))
	}
	return names
}

func TestEveryFunctionIsInATable(t *testing.T) {
	var want []string
	for _, e := range catalog.Entries {
		want = append(want, e.Function)
	}
	for name := range steps.All {
		want = append(want, name)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, functions(t)); diff != "" {
		t.Errorf("folders differ from catalog.Entries and steps.All (-in a table +a folder):\n%s", diff)
	}
}

// each runs a test for every function.
func each(t *testing.T, f func(t *testing.T, name string)) {
	t.Helper()
	for _, name := range functions(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, name)
		})
	}
}

func TestSuccess(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		a := newAccount(t)
		event := a.event(t, name)
		if step, ok := stepEvents[name]; ok {
			answer := answerOf[map[string]any](t, a.endpoint, name, event)
			if got := fmt.Sprint(answer[step.field]); !strings.HasPrefix(got, step.want) || step.want == "" && got != "" {
				t.Errorf("%s is %s, want %s", step.field, got, step.want)
			}
			return
		}
		envelope := event.(action.Envelope)
		look := action.Envelope{Operation: action.OperationPreflight, Run: envelope.Run, Resources: []action.Resource{*envelope.Resource}, Now: envelope.Now}
		readiness := answerOf[action.PreflightAnswer](t, a.endpoint, name, look).Readiness
		if len(readiness) != 1 || readiness[0].Index != envelope.Resource.Index || readiness[0].Observed == action.StateUnknown {
			t.Errorf("preflight: %+v, want what was seen of one resource", readiness)
		}
		if got := answerOf[action.Answer](t, a.endpoint, name, event); got.Status != action.InProgress && got.Status != action.Done {
			t.Errorf("reconcile: %+v", got)
		}
	})
}

func TestBadInput(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		_, failure := invoke(t, "http://127.0.0.1:1", name, map[string]string{"unheardOf": "field"})
		expect(t, failure, action.InvalidInput)
	})
}

// ofItsOwn are functions that ask nothing of AWS: what an application answers,
// or does not, is a result to them and no failure.
var ofItsOwn = map[string]bool{"check-endpoint": true}

func TestRefusedByAWS(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		event := newAccount(t).event(t, name)
		server := httptest.NewServer(http.HandlerFunc(deny))
		t.Cleanup(server.Close)
		_, failure := invoke(t, server.URL, name, event)
		if ofItsOwn[name] {
			expectNone(t, failure)
			return
		}
		expect(t, failure, action.Denied)
	})
}

// TestNoAnswerFromAWS lets every call of a function go unanswered until its
// time is up: it must say so itself, or be ended.
func TestNoAnswerFromAWS(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		event := newAccount(t).event(t, name)
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // only then is the end of the connection noticed
			<-r.Context().Done()
		}))
		t.Cleanup(server.Close)
		p := boot(t, server.URL, name)
		const limit, slack = time.Second, 5 * time.Second
		begun := time.Now()
		_, failure, err := p.Invoke(t.Context(), encode(t, event), begun.Add(limit), "")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > limit+slack {
			t.Errorf("it took %s", took)
		}
		if ofItsOwn[name] {
			expectNone(t, failure)
		} else {
			expect(t, failure, action.Unreachable, action.OutcomeUnknown, lambdaruntime.TimedOut)
		}
		_, failure, err = p.Invoke(t.Context(), []byte(`{"unheardOf":"field"}`), time.Now().Add(time.Minute), "")
		if err != nil {
			t.Fatal(err)
		}
		expect(t, failure, action.InvalidInput)
	})
}

func expectNone(t *testing.T, failure *lambdaruntime.Error) {
	t.Helper()
	if failure != nil {
		t.Errorf("failure %v, want a result", failure)
	}
}

// expect compares the name of an error as the state machine would see it.
func expect(t *testing.T, failure *lambdaruntime.Error, classes ...action.Class) {
	t.Helper()
	if failure == nil || !slices.Contains(classes, action.Class(failure.Type)) {
		t.Errorf("failure %v, want one of %v", failure, classes)
	}
}

// boot starts a function in the recovery region, with AWS at an endpoint.
func boot(t *testing.T, endpoint, name string) *lambdaruntime.Process {
	t.Helper()
	p, err := lambdaruntime.Start(t.Context(), lambdaruntime.Function{
		Name: lab.FunctionPrefix + name, Path: bootstrap.Path(built, name), Region: region,
		Env: map[string]string{"HTTP_PROXY": endpoint, "MACHINE_PREFIX": machines, "AWS_ENDPOINT_URL": endpoint, "RUN_BUCKET": bucket, "FUNCTION_PREFIX": lab.FunctionPrefix, "LOCK_TABLE": lab.FunctionPrefix + "locks"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func invoke(t *testing.T, endpoint, name string, event any) ([]byte, *lambdaruntime.Error) {
	t.Helper()
	out, failure, err := boot(t, endpoint, name).Invoke(t.Context(), encode(t, event), time.Now().Add(time.Minute), "")
	if err != nil {
		t.Fatal(err)
	}
	return out, failure
}

// answerOf gives the answer to an event, which has no field that T lacks.
func answerOf[T any](t *testing.T, endpoint, name string, event any) T {
	t.Helper()
	out, failure := invoke(t, endpoint, name, event)
	if failure != nil {
		t.Fatalf("%s failed: %v", name, failure)
	}
	var answer T
	d := json.NewDecoder(strings.NewReader(string(out)))
	d.DisallowUnknownFields()
	if err := d.Decode(&answer); err != nil {
		t.Fatalf("%s answered %s: %v", name, out, err)
	}
	return answer
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// deny refuses every call for want of permission, in the protocol of the call.
func deny(w http.ResponseWriter, r *http.Request) {
	const code, message = "AccessDenied", "not authorized to perform the call"
	header, status := "text/xml", http.StatusForbidden
	var body []byte
	switch {
	case r.Header.Get("X-Amz-Target") != "":
		header, status = "application/x-amz-json-1.0", http.StatusBadRequest
		body = fmt.Appendf(nil, `{"__type":"%sException","message":%q}`, code, message)
	case strings.HasPrefix(r.URL.Path, "/service/"):
		header = "application/cbor"
		w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
		var err error
		if body, err = cbor.Marshal(map[string]string{"__type": code, "message": message}); err != nil {
			panic(err)
		}
	case strings.HasPrefix(r.URL.Path, "/2015-03-31/"), strings.HasPrefix(r.URL.Path, "/schedules/"): // Lambda, EventBridge Scheduler
		header = "application/json"
		w.Header().Set("X-Amzn-ErrorType", code+"Exception")
		body = fmt.Appendf(nil, `{"message":%q}`, message)
	case r.URL.Path == "/", strings.HasPrefix(r.URL.Path, "/2013-04-01/"), strings.HasPrefix(r.URL.Path, "/v20180820/"): // the query protocol, Route 53, S3 Control
		body = fmt.Appendf(nil, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>`, code, message)
	default:
		body = fmt.Appendf(nil, `<Error><Code>%s</Code><Message>%s</Message></Error>`, code, message)
	}
	w.Header().Set("Content-Type", header)
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		return // the function has gone
	}
}
