package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"dr-orchestrator/internal/asl"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/run"
	"dr-orchestrator/statemachine"
)

// executions are the state machines of the account and what they have run.
type executions struct {
	account     *Account
	machines    map[string]*asl.Machine // by name
	definitions map[string]string       // by name
	tokens      map[string]*taskToken
	all         map[string]*Execution // by ARN
	order       []string
	transitions int
	observe     func(asl.Event)
}

// Execution is one run of a state machine, or a child of a distributed map.
type Execution struct {
	ARN, Name, Machine, Region string
	Qualifier                  string // the alias or version that it was started by
	MapRun                     string // ARN, of a child
	Input                      json.RawMessage
	Started, Ended             time.Time
	Result                     asl.Result
	Events                     []asl.Event
	cancel                     context.CancelFunc
	ended                      *Signal
	unclosed                   string  // why that failed
	closed                     *Signal // the rule on its end has done its work

	Redrives int
	Redriven time.Time // the last time; zero: never
	instance *asl.Instance
	heard    bool    // what the machine does is told of; after a stop it is not
	quiet    *Signal // the machine does nothing more
}

// Running reports whether the execution has not ended.
func (e *Execution) Running() bool { return e.Ended.IsZero() }

// MachineName gives the name under which a machine stands in every lab.
func MachineName(machine string) string { return FunctionPrefix + machine }

func newExecutions(a *Account) *executions {
	x := &executions{account: a, machines: map[string]*asl.Machine{}, definitions: map[string]string{}, tokens: map[string]*taskToken{},
		all: map[string]*Execution{}, observe: func(asl.Event) {}}
	for _, machine := range []string{catalog.Failover, catalog.Failback} {
		if err := x.define(MachineName(machine), statemachine.Render(machine, FunctionPrefix)); err != nil {
			panic(err) // the definition is part of the program and tested
		}
	}
	return x
}

func (x *executions) define(name, definition string) error {
	m, err := parsed(definition)
	if err != nil {
		return err
	}
	x.machines[name], x.definitions[name] = m, definition
	return nil
}

// machines are the definitions parsed so far: a sweep makes thousands of
// accounts of the same few. A parsed machine never changes.
var machines sync.Map

func parsed(definition string) (*asl.Machine, error) {
	if m, ok := machines.Load(definition); ok {
		return m.(*asl.Machine), nil
	}
	m, err := asl.Parse([]byte(definition))
	if err == nil {
		machines.Store(definition, m)
	}
	return m, err
}

// Define puts one more state machine into every region, or another definition
// in place of one, before the clock runs.
func (a *Account) Define(name, definition string) error { return a.runs.define(name, definition) }

// DefineFunction puts one more function into every region, before the clock
// runs: what a machine of Define may call.
func (a *Account) DefineFunction(name string, h lambda.Handler) {
	for _, region := range a.Estate.Regions {
		a.functions.ready[region+"/"+name] = h
	}
}

func (a *Account) machineARN(region, name string) string {
	return fmt.Sprintf("arn:aws:states:%s:%s:stateMachine:%s", region, a.Estate.Account, name)
}

var executionName = regexp.MustCompile(`^[0-9A-Za-z_-]{1,80}$`)

// liveAlias and firstVersion are what every machine of a lab can be started by,
// beside its plain name.
const (
	liveAlias    = "live"
	firstVersion = "1"
)

// start begins an execution, as a task of its own. The machine is a name, with
// an alias or a version behind a colon if it is started by that.
func (x *executions) start(region, machine, name string, input json.RawMessage) (*Execution, error) {
	a := x.account
	machine, qualifier, _ := strings.Cut(machine, ":")
	m, ok := x.machines[machine]
	if !ok || (qualifier != "" && qualifier != liveAlias && qualifier != firstVersion) {
		return nil, fail(400, "StateMachineDoesNotExist", "State Machine Does Not Exist: '%s'", a.machineARN(region, machine))
	}
	if name == "" {
		name = a.id()
	}
	if !executionName.MatchString(name) {
		return nil, fail(400, "InvalidName", "Invalid Name: '%s'", name)
	}
	arn := fmt.Sprintf("arn:aws:states:%s:%s:execution:%s:%s", region, a.Estate.Account, machine, name)
	if old, ok := x.all[arn]; ok {
		if old.Running() && string(old.Input) == string(input) {
			return old, nil
		}
		return nil, fail(400, "ExecutionAlreadyExists", "Execution Already Exists: '%s'", arn)
	}
	e := &Execution{ARN: arn, Name: name, Machine: machine, Region: region, Qualifier: qualifier, Input: input, Started: a.clock.Now()}
	e.instance = asl.New(m, asl.Execution{
		ARN: arn, Name: name, MachineARN: a.machineARN(region, machine), MachineName: machine,
		RoleARN: a.roleARN(machine), Input: input,
	}, &machineRuntime{executions: x, region: region, execution: e})
	x.all[arn] = e
	x.order = append(x.order, arn)
	x.run(e, e.instance.Run)
	return e, nil
}

// run has the machine of an execution run, when it does nothing more of before.
func (x *executions) run(e *Execution, goOn func(context.Context) asl.Result) {
	clock, before := x.account.clock, e.quiet
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel, e.ended, e.closed, e.quiet = cancel, clock.NewSignal(), clock.NewSignal(), clock.NewSignal()
	quiet := e.quiet
	clock.Go(func() {
		if before != nil {
			before.Wait(0)
		}
		e.heard = ctx.Err() == nil
		result := goOn(ctx)
		if ctx.Err() == nil { // it was not stopped
			x.end(e, clock.Now(), result)
		}
		quiet.Fire()
	})
}

// redrivable is how long after its end an execution can be redriven.
const redrivable = 14 * 24 * time.Hour

// obstacle says why an execution cannot be redriven; empty: it can.
func (x *executions) obstacle(e *Execution) string {
	switch {
	case e.Running():
		return "Execution is RUNNING and cannot be redriven"
	case e.Result.Status == asl.StatusSucceeded:
		return "Execution is SUCCEEDED and cannot be redriven"
	case x.account.clock.Now().Sub(e.Ended) > redrivable:
		return "Execution ended more than 14 days ago and cannot be redriven"
	}
	return ""
}

// redrive goes on with an execution that ended and did not succeed.
func (x *executions) redrive(e *Execution) error {
	if why := x.obstacle(e); why != "" {
		return fail(400, "ExecutionNotRedrivable", "%s", why)
	}
	e.Redrives++
	e.Redriven, e.Ended, e.Result = x.account.clock.Now(), time.Time{}, asl.Result{}
	x.run(e, e.instance.Redrive)
	return nil
}

// close does what the rule on the end of executions does: it has the function
// close-run look after one that did not succeed.
func (x *executions) close(e *Execution) {
	event, err := json.Marshal(run.CloseInput{Execution: e.ARN})
	if err != nil {
		panic(err) // an ARN is plain text
	}
	for range 3 { // EventBridge has Lambda try twice more
		_, failure := x.account.functions.call(context.Background(), e.Region, FunctionPrefix+statemachine.CloseRun, event, 2*time.Minute)
		if failure == nil {
			e.unclosed = ""
			break
		}
		e.unclosed = failure.Error()
		x.account.clock.Sleep(time.Minute)
	}
	e.closed.Fire()
}

func (a *Account) roleARN(machine string) string {
	return "arn:aws:iam::" + a.Estate.Account + ":role/" + machine
}

// end ends an execution, and has the rule see one that did not succeed.
func (x *executions) end(e *Execution, at time.Time, result asl.Result) {
	e.Ended, e.Result = at, result
	e.cancel()
	if result.Status != asl.StatusSucceeded {
		x.account.clock.Go(func() { x.close(e) })
	}
	e.ended.Fire()
}

// stop ends an execution and its children at once, whatever they are doing. A
// function that is running is not stopped: its answer is not heard any more.
func (x *executions) stop(e *Execution, name, cause string) {
	now := x.account.clock.Now()
	e.heard = false
	abort := func(event asl.Event) {
		event.Time = now
		e.Events = append(e.Events, event)
		x.observe(event)
	}
	children := e.children()
	for _, arn := range sortedKeys(children) {
		if child := children[arn]; child.Running() {
			abort(asl.Event{Kind: asl.ExecutionAborted, Execution: asl.Execution{ARN: child.ARN, Name: child.Name, MachineName: child.Machine}})
		}
	}
	self := asl.Execution{ARN: e.ARN, Name: e.Name, MachineARN: x.account.machineARN(e.Region, e.Machine), MachineName: e.Machine}
	for _, mapRun := range e.mapRuns() {
		if mapRun.stopped.IsZero() {
			abort(asl.Event{Kind: asl.MapRunAborted, Execution: self, MapRun: mapRun.arn})
		}
	}
	abort(asl.Event{Kind: asl.ExecutionAborted, Execution: self, Error: name, Cause: cause})
	x.end(e, now, asl.Result{Status: asl.StatusAborted, Error: name, Cause: cause})
}

// machineRuntime is the world in which a state machine runs: the account.
type machineRuntime struct {
	executions *executions
	region     string
	execution  *Execution
}

func (r *machineRuntime) account() *Account { return r.executions.account }

// Now gives the time on the lab's clock.
func (r *machineRuntime) Now() time.Time { return r.account().clock.Now() }

// piece is how long a wait goes on before it looks whether it was stopped.
const piece = time.Second

// Sleep waits on the lab's clock, in pieces. They end by the clock and not by
// their number: on the wall clock each takes a little longer than it should.
func (r *machineRuntime) Sleep(ctx context.Context, d time.Duration) error {
	until := r.Now().Add(d)
	for left := d; left > 0 && ctx.Err() == nil; left = until.Sub(r.Now()) {
		r.account().clock.Sleep(min(left, piece))
	}
	return ctx.Err()
}

// Each runs f for 0 to n-1 as tasks of the clock.
func (r *machineRuntime) Each(ctx context.Context, n, limit int, f func(context.Context, int)) {
	if n == 0 {
		return
	}
	if limit <= 0 || limit > n {
		limit = n
	}
	clock := r.account().clock
	done, next, left := clock.NewSignal(), 0, limit
	for range limit {
		clock.Go(func() {
			for next < n {
				i := next
				next++
				f(ctx, i)
			}
			if left--; left == 0 {
				done.Fire()
			}
		})
	}
	done.Wait(0)
}

// Task performs the kinds of task that the lab knows: the invocation of a
// function, with or without a token to wait for.
func (r *machineRuntime) Task(ctx context.Context, call asl.TaskCall) (json.RawMessage, error) {
	token := &taskToken{region: r.region, execution: r.execution, answered: r.account().clock.NewSignal()}
	switch call.Resource {
	case invoke:
	case invokeAndWait:
		r.executions.tokens[call.Token] = token
	default:
		return nil, &asl.Error{Name: asl.ErrorRuntime, Cause: "the lab does not know the resource " + call.Resource}
	}
	var in struct {
		FunctionName string
		Payload      json.RawMessage
	}
	if err := json.Unmarshal(call.Arguments, &in); err != nil {
		return nil, &asl.Error{Name: asl.ErrorRuntime, Cause: err.Error()}
	}
	answer, failure := r.account().functions.call(ctx, r.region, in.FunctionName, in.Payload, call.Timeout)
	if failure != nil {
		token.closed = true
		return nil, failure
	}
	return json.Marshal(map[string]any{"ExecutedVersion": "$LATEST", "Payload": answer, "StatusCode": 200})
}

// ReadItems reads an object for an ItemReader. Step Functions makes this call
// itself, so it counts as none of the product's.
func (r *machineRuntime) ReadItems(_ context.Context, bucket, key string) (json.RawMessage, error) {
	if len(r.account().faults.strike("states:ReadItems")) > 0 {
		return nil, &asl.Error{Name: asl.ErrorItemReader, Cause: "the items could not be read"}
	}
	body, ok := r.account().Object(bucket, key)
	if !ok {
		return nil, &asl.Error{Name: asl.ErrorItemReader, Cause: "NoSuchKey: " + bucket + "/" + key}
	}
	return body, nil
}

// WriteObject stores an object of a ResultWriter.
func (r *machineRuntime) WriteObject(_ context.Context, bucket, key string, body []byte) error {
	if len(r.account().faults.strike("states:WriteResults")) > 0 {
		return &asl.Error{Name: asl.ErrorResultWriter, Cause: "the results could not be written"}
	}
	r.account().PutObject(bucket, key, body)
	return nil
}

// Random draws from the lab's seed.
func (r *machineRuntime) Random() float64 { return r.account().random.Float64() }

// UUID draws from the lab's seed.
func (r *machineRuntime) UUID() string { return r.account().id() }

// Entered charges the time of one step.
func (r *machineRuntime) Entered(asl.Event) {
	r.executions.transitions++
	r.account().clock.Sleep(time.Duration(r.account().Estate.Latencies.Transition) * time.Millisecond)
}

// Observe keeps the history of the execution. After a stop, nothing is added.
func (r *machineRuntime) Observe(e asl.Event) {
	if !r.execution.heard {
		return
	}
	if e.Kind == asl.ExecutionStarted && e.Execution.ARN == r.execution.ARN {
		r.execution.Started = e.Time.Truncate(time.Millisecond) // as precisely as the machine tells it
	}
	r.execution.Events = append(r.execution.Events, e)
	r.executions.observe(e)
}

// stamp writes a time as the AWS JSON protocols do: seconds since 1970.
func stamp(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
