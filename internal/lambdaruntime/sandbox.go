package lambdaruntime

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// sandbox is one run of the executable, with the Runtime API that it talks to.
type sandbox struct {
	function Function
	command  *exec.Cmd
	events   chan *invocation
	ready    chan struct{} // closed at the first request for an event
	gone     chan struct{} // closed when the process has ended

	mu        sync.Mutex
	started   time.Time
	init      time.Duration
	current   *invocation
	initError *Error // what the function told of a failed start
}

// invocation is one event on its way.
type invocation struct {
	id, traceID string
	event       []byte
	deadline    time.Time
	answer      chan answer
}

type answer struct {
	body    []byte
	failure *Error
}

func (i *invocation) timedOut(begun time.Time) *Error {
	return &Error{TimedOut, fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", i.id, i.deadline.Sub(begun).Seconds())}
}

// killDelay bounds the wait for the output of a killed process.
const killDelay = time.Second

func newSandbox(f Function) (*sandbox, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sandbox{function: f, events: make(chan *invocation), ready: make(chan struct{}), gone: make(chan struct{}), started: time.Now()}
	s.command = exec.Command(f.Path)
	s.command.Env = environment(f, listener.Addr().String())
	s.command.Stdout, s.command.Stderr = f.Logs, f.Logs
	s.command.WaitDelay = killDelay
	server := &http.Server{Handler: s.api(), ErrorLog: log.New(io.Discard, "", 0)}
	if err := s.command.Start(); err != nil {
		listener.Close()
		return nil, err
	}
	go server.Serve(listener)
	go func() {
		s.command.Wait() // its state is read by exitError
		server.Close()
		close(s.gone)
	}()
	return s, nil
}

// environment is what Lambda sets ("Using Lambda environment variables" in the
// developer guide), and what the function asks for on top.
func environment(f Function, api string) []string {
	env := map[string]string{
		"AWS_LAMBDA_RUNTIME_API": api, "AWS_LAMBDA_FUNCTION_NAME": f.Name, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
		"AWS_REGION": f.Region, "AWS_DEFAULT_REGION": f.Region, "AWS_EXECUTION_ENV": "AWS_Lambda_provided.al2023",
		"AWS_ACCESS_KEY_ID": "LAB", "AWS_SECRET_ACCESS_KEY": "LAB", "AWS_SESSION_TOKEN": "LAB",
		"_HANDLER": "bootstrap", "LAMBDA_TASK_ROOT": filepath.Dir(f.Path), "LANG": "en_US.UTF-8", "TZ": ":UTC", "PATH": os.Getenv("PATH"),
	}
	maps.Copy(env, f.Env)
	var list []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

// kill ends the process and waits until it is gone.
func (s *sandbox) kill() {
	s.command.Process.Kill() // fails only when it has ended already
	<-s.gone
}

// exitError is what Lambda reports of a process that has ended by itself.
func (s *sandbox) exitError(requestID string) *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.initError != nil {
		return s.initError
	}
	why := "without providing a reason"
	if state := s.command.ProcessState; state != nil && !state.Success() {
		why = "with error: " + state.String()
	}
	return &Error{ExitError, fmt.Sprintf("RequestId: %s Error: Runtime exited %s", requestID, why)}
}

const root = "/2018-06-01/runtime/"

func (s *sandbox) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+root+"invocation/next", s.next)
	mux.HandleFunc("POST "+root+"invocation/{id}/response", s.response)
	mux.HandleFunc("POST "+root+"invocation/{id}/error", s.failure)
	mux.HandleFunc("POST "+root+"init/error", s.initFailure)
	return mux
}

// next waits for an event and hands it out.
func (s *sandbox) next(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.init == 0 {
		s.init = time.Since(s.started)
		close(s.ready)
	}
	s.mu.Unlock()
	select {
	case <-r.Context().Done():
	case inv := <-s.events:
		s.mu.Lock()
		s.current = inv
		s.mu.Unlock()
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:"+s.function.Region+":000000000000:function:"+s.function.Name)
		h.Set("Lambda-Runtime-Trace-Id", inv.traceID)
		w.Write(inv.event) // a process that has gone is noticed by its end
	}
}

// response takes the answer to an event.
func (s *sandbox) response(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2*MaxResponse))
	out := answer{body: body}
	if err != nil || len(body) > MaxResponse {
		out = answer{failure: &Error{ResponseTooLarge, fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", MaxResponse)}}
	}
	status := http.StatusAccepted
	if out.failure != nil {
		status = http.StatusRequestEntityTooLarge
	}
	s.end(w, r, out, status)
}

// failure takes the error with which a function answered an event.
func (s *sandbox) failure(w http.ResponseWriter, r *http.Request) {
	s.end(w, r, answer{failure: readError(r)}, http.StatusAccepted)
}

// initFailure takes the error with which a function failed to start.
func (s *sandbox) initFailure(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.initError = readError(r)
	s.mu.Unlock()
	reply(w, http.StatusAccepted, map[string]string{"status": "OK"})
}

// readError reads an error from the body, or where that says nothing, from the
// header.
func readError(r *http.Request) *Error {
	out := &Error{}
	if json.NewDecoder(http.MaxBytesReader(nil, r.Body, MaxResponse)).Decode(out) != nil || out.Type == "" {
		if out.Type = r.Header.Get("Lambda-Runtime-Function-Error-Type"); out.Type == "" {
			out.Type = "Runtime.Unknown"
		}
	}
	return out
}

// end gives the answer to whoever waits, if it is the one waited for.
func (s *sandbox) end(w http.ResponseWriter, r *http.Request, out answer, status int) {
	s.mu.Lock()
	inv := s.current
	known := inv != nil && inv.id == r.PathValue("id")
	if known {
		s.current = nil
	}
	s.mu.Unlock()
	if !known {
		reply(w, http.StatusBadRequest, Error{"InvalidRequestID", "Invalid request ID"})
		return
	}
	inv.answer <- out
	reply(w, status, map[string]string{"status": "OK"})
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // the caller is a process of this machine
}
