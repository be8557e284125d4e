package asl

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 250_000_000, time.UTC)

// world is a Runtime on a virtual clock. Tasks are found by the name of the
// state.
type world struct {
	mu         sync.Mutex
	now        time.Time
	tasks      map[string]func(context.Context, TaskCall) (any, error)
	answers    map[string]func(context.Context, TaskCall) (any, error) // to tokens, by the name of the state
	objects    map[string]string
	writeError error
	chance     float64
	uuids      int
	calls      []TaskCall
	events     []Event
	limits     []int // of the calls of Each
	entered    func(Event)
	concurrent bool
}

func newWorld() *world {
	return &world{now: epoch, tasks: map[string]func(context.Context, TaskCall) (any, error){}, answers: map[string]func(context.Context, TaskCall) (any, error){}, objects: map[string]string{}}
}

func (w *world) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) Sleep(ctx context.Context, d time.Duration) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
	return ctx.Err()
}

func (w *world) Each(ctx context.Context, n, limit int, f func(context.Context, int)) {
	w.mu.Lock()
	w.limits = append(w.limits, limit)
	w.mu.Unlock()
	var wg sync.WaitGroup
	for i := range n {
		if w.concurrent {
			wg.Go(func() { f(ctx, i) })
		} else {
			f(ctx, i)
		}
	}
	wg.Wait()
}

func (w *world) Task(ctx context.Context, call TaskCall) (json.RawMessage, error) {
	w.mu.Lock()
	w.calls = append(w.calls, call)
	task := w.tasks[call.State]
	w.mu.Unlock()
	return perform(ctx, call, task)
}

func (w *world) Await(ctx context.Context, call TaskCall) (json.RawMessage, error) {
	return perform(ctx, call, w.answers[call.State])
}

// perform does what a test wants done, or hands the arguments back.
func perform(ctx context.Context, call TaskCall, task func(context.Context, TaskCall) (any, error)) (json.RawMessage, error) {
	if task == nil {
		return call.Arguments, nil
	}
	v, err := task(ctx, call)
	if err != nil {
		return nil, err
	}
	if raw, ok := v.(json.RawMessage); ok {
		return raw, nil
	}
	return json.Marshal(v)
}

func (w *world) ReadItems(_ context.Context, bucket, key string) (json.RawMessage, error) {
	body, ok := w.objects[bucket+"/"+key]
	if !ok {
		return nil, fmt.Errorf("no such key: %s", key)
	}
	return json.RawMessage(body), nil
}

func (w *world) WriteObject(_ context.Context, bucket, key string, body []byte) error {
	if w.writeError == nil {
		w.objects[bucket+"/"+key] = string(body)
	}
	return w.writeError
}

func (w *world) Random() float64 { return w.chance }

func (w *world) UUID() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.uuids++
	return fmt.Sprintf("uuid-%d", w.uuids)
}

func (w *world) Entered(e Event) {
	if w.entered != nil {
		w.entered(e)
	}
}

func (w *world) Observe(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// slow is a task that takes d, and honours its timeout.
func (w *world) slow(d time.Duration) func(context.Context, TaskCall) (any, error) {
	return func(ctx context.Context, call TaskCall) (any, error) {
		if call.Timeout > 0 && call.Timeout < d {
			_ = w.Sleep(ctx, call.Timeout)
			return nil, &Error{Name: ErrorTimeout, Cause: "too slow"}
		}
		return map[string]any{}, w.Sleep(ctx, d)
	}
}

// fails is a task that fails with the given errors in turn and then succeeds.
func fails(names ...string) func(context.Context, TaskCall) (any, error) {
	return func(context.Context, TaskCall) (any, error) {
		if len(names) == 0 {
			return "done", nil
		}
		name := names[0]
		names = names[1:]
		return nil, &Error{Name: name, Cause: "because"}
	}
}

// path is the ordered list of the states entered.
func (w *world) path() string {
	var names []string
	for _, e := range w.events {
		if e.Kind == StateEntered {
			names = append(names, e.State)
		}
	}
	return strings.Join(names, " ")
}

// kinds is the ordered list of the events.
func (w *world) kinds() string {
	var names []string
	for _, e := range w.events {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// machine parses the states of a machine that starts at A.
func machine(t *testing.T, states string) *Machine {
	t.Helper()
	m, err := Parse([]byte(`{"QueryLanguage":"JSONata","StartAt":"A","States":{` + states + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func parseFile(t *testing.T, name string) *Machine {
	t.Helper()
	definition, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(definition)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (w *world) run(t *testing.T, m *Machine, input string) Result {
	t.Helper()
	return Run(t.Context(), m, Execution{
		ARN:  "arn:aws:states:eu-west-1:123456789012:execution:m:run",
		Name: "run", MachineARN: "arn:aws:states:eu-west-1:123456789012:stateMachine:m", MachineName: "m",
		RoleARN: "arn:aws:iam::123456789012:role/m", Input: json.RawMessage(input),
	}, w)
}

// end is a result in one line.
func end(r Result) string {
	if r.Status == StatusSucceeded {
		return string(r.Output)
	}
	return strings.TrimSpace(string(r.Status) + " " + r.Error)
}
