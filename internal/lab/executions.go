package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"dr-orchestrator/internal/asl"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/run"
	"dr-orchestrator/statemachine"
)

// executions are the state machines of the account and what they have run.
type executions struct {
	account     *Account
	machines    map[string]*asl.Machine // by name
	all         map[string]*Execution   // by ARN
	order       []string
	transitions int
	observe     func(asl.Event)
}

// Execution is one run of a state machine.
type Execution struct {
	ARN, Name, Machine, Region string
	Input                      json.RawMessage
	Started, Ended             time.Time
	Result                     asl.Result
	Events                     []asl.Event
	cancel                     context.CancelFunc
	ended                      *Signal
	closed                     *Signal // the rule on its end has done its work
}

// Running reports whether the execution has not ended.
func (e *Execution) Running() bool { return e.Ended.IsZero() }

// MachineName gives the name under which a machine stands in every lab.
func MachineName(machine string) string { return FunctionPrefix + machine }

func newExecutions(a *Account) *executions {
	x := &executions{account: a, machines: map[string]*asl.Machine{}, all: map[string]*Execution{}, observe: func(asl.Event) {}}
	for _, machine := range []string{catalog.Failover, catalog.Failback} {
		m, err := asl.Parse([]byte(statemachine.Render(machine, FunctionPrefix)))
		if err != nil {
			panic(err) // the definition is part of the program and tested
		}
		x.machines[MachineName(machine)] = m
	}
	return x
}

func (a *Account) machineARN(region, name string) string {
	return fmt.Sprintf("arn:aws:states:%s:%s:stateMachine:%s", region, a.Estate.Account, name)
}

var executionName = regexp.MustCompile(`^[0-9A-Za-z_-]{1,80}$`)

// start begins an execution, as a task of its own.
func (x *executions) start(region, machine, name string, input json.RawMessage) (*Execution, error) {
	a := x.account
	m, ok := x.machines[machine]
	if !ok {
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
	ctx, cancel := context.WithCancel(context.Background())
	e := &Execution{ARN: arn, Name: name, Machine: machine, Region: region, Input: input, Started: a.clock.Now(), cancel: cancel, ended: a.clock.NewSignal(), closed: a.clock.NewSignal()}
	x.all[arn] = e
	x.order = append(x.order, arn)
	a.clock.Go(func() {
		e.Result = asl.Run(ctx, m, asl.Execution{
			ARN: arn, Name: name, MachineARN: a.machineARN(region, machine), MachineName: machine,
			RoleARN: "arn:aws:iam::" + a.Estate.Account + ":role/" + machine, Input: input,
		}, &machineRuntime{executions: x, region: region, execution: e})
		e.Ended = a.clock.Now()
		cancel()
		if e.Result.Status != asl.StatusSucceeded {
			a.clock.Go(func() { x.close(e) })
		}
		e.ended.Fire()
	})
	return e, nil
}

// close does what the rule on the end of executions does: it has the function
// close-run look after one that did not succeed.
func (x *executions) close(e *Execution) {
	event, err := json.Marshal(run.CloseInput{Execution: e.ARN})
	if err != nil {
		panic(err) // an ARN is plain text
	}
	for range 3 { // EventBridge has Lambda try twice more
		if _, failure := x.account.functions.call(e.Region, FunctionPrefix+statemachine.CloseRun, event, 2*time.Minute); failure == nil {
			break
		}
		x.account.clock.Sleep(time.Minute)
	}
	e.closed.Fire()
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

// Sleep waits on the lab's clock, in pieces, so that a stop is noticed.
func (r *machineRuntime) Sleep(ctx context.Context, d time.Duration) error {
	const piece = time.Second
	for ; d > 0; d -= piece {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.account().clock.Sleep(min(d, piece))
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

// Task performs the one kind of task that the definition has.
func (r *machineRuntime) Task(_ context.Context, call asl.TaskCall) (json.RawMessage, error) {
	if call.Resource != "arn:aws:states:::lambda:invoke" {
		return nil, &asl.Error{Name: asl.ErrorRuntime, Cause: "the lab does not know the resource " + call.Resource}
	}
	var in struct {
		FunctionName string
		Payload      json.RawMessage
	}
	if err := json.Unmarshal(call.Arguments, &in); err != nil {
		return nil, &asl.Error{Name: asl.ErrorRuntime, Cause: err.Error()}
	}
	answer, failure := r.account().functions.call(r.region, in.FunctionName, in.Payload, call.Timeout)
	if failure != nil {
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

// Observe keeps the history of the execution.
func (r *machineRuntime) Observe(e asl.Event) {
	if e.Kind == asl.ExecutionStarted && e.Execution.ARN == r.execution.ARN {
		r.execution.Started = e.Time.Truncate(time.Millisecond) // as precisely as the machine tells it
	}
	r.execution.Events = append(r.execution.Events, e)
	r.executions.observe(e)
}

var statesService = map[string]handler{
	"states:StartExecution": func(a *Account, c *Call) (any, error) {
		input := c.Params.str("input")
		if input == "" {
			input = "{}"
		}
		if !json.Valid([]byte(input)) {
			return nil, fail(400, "InvalidExecutionInput", "Invalid State Machine Execution Input")
		}
		e, err := a.runs.start(c.Region, machineOf(c.Params.str("stateMachineArn")), c.Params.str("name"), json.RawMessage(input))
		if err != nil {
			return nil, err
		}
		return map[string]any{"executionArn": e.ARN, "startDate": stamp(e.Started)}, nil
	},
	"states:DescribeExecution": func(a *Account, c *Call) (any, error) {
		e, err := a.execution(c)
		if err != nil {
			return nil, err
		}
		out := summary(a, e)
		out["input"] = string(e.Input)
		if !e.Running() {
			if e.Result.Output != nil {
				out["output"] = string(e.Result.Output)
			}
			if e.Result.Error != "" {
				out["error"], out["cause"] = e.Result.Error, e.Result.Cause
			}
		}
		return out, nil
	},
	"states:StopExecution": func(a *Account, c *Call) (any, error) {
		e, err := a.execution(c)
		if err != nil {
			return nil, err
		}
		e.cancel()
		return map[string]any{"stopDate": stamp(a.clock.Now())}, nil
	},
	"states:ListExecutions": func(a *Account, c *Call) (any, error) {
		list := []map[string]any{}
		for _, arn := range slices.Backward(a.runs.order) {
			e := a.runs.all[arn]
			status := c.Params.str("statusFilter")
			if a.machineARN(e.Region, e.Machine) != c.Params.str("stateMachineArn") || (status != "" && status != string(e.status())) {
				continue
			}
			list = append(list, summary(a, e))
		}
		return map[string]any{"executions": list}, nil
	},
	"states:GetExecutionHistory": func(a *Account, c *Call) (any, error) {
		e, err := a.execution(c)
		if err != nil {
			return nil, err
		}
		events := []map[string]any{}
		for _, event := range e.Events {
			if event.Execution.ARN == e.ARN {
				events = append(events, historyEvent(len(events)+1, event))
			}
		}
		if c.Params.flag("reverseOrder") {
			slices.Reverse(events)
		}
		return map[string]any{"events": events}, nil
	},
	"states:ListStateMachines": func(a *Account, c *Call) (any, error) {
		list := []map[string]any{}
		for _, name := range sortedKeys(a.runs.machines) {
			list = append(list, map[string]any{"stateMachineArn": a.machineARN(c.Region, name), "name": name, "type": "STANDARD", "creationDate": stamp(a.clock.start)})
		}
		return map[string]any{"stateMachines": list}, nil
	},
	"states:DescribeStateMachine": func(a *Account, c *Call) (any, error) {
		name := machineOf(c.Params.str("stateMachineArn"))
		if a.runs.machines[name] == nil {
			return nil, fail(400, "StateMachineDoesNotExist", "State Machine Does Not Exist: '%s'", c.Params.str("stateMachineArn"))
		}
		return map[string]any{"stateMachineArn": a.machineARN(c.Region, name), "name": name, "status": "ACTIVE", "type": "STANDARD", "creationDate": stamp(a.clock.start),
			"roleArn": "arn:aws:iam::" + a.Estate.Account + ":role/" + name, "definition": statemachine.Render(strings.TrimPrefix(name, FunctionPrefix), FunctionPrefix)}, nil
	},
}

// machineOf reads the name of a machine from its ARN, or from that of a
// version or an alias of it.
func machineOf(arn string) string {
	_, rest, _ := strings.Cut(arn, ":stateMachine:")
	name, _, _ := strings.Cut(rest, ":")
	return name
}

func (a *Account) execution(c *Call) (*Execution, error) {
	e, ok := a.runs.all[c.Params.str("executionArn")]
	if !ok || e.Region != c.Region {
		return nil, fail(400, "ExecutionDoesNotExist", "Execution Does Not Exist: '%s'", c.Params.str("executionArn"))
	}
	return e, nil
}

func (e *Execution) status() asl.Status {
	if e.Running() {
		return "RUNNING"
	}
	return e.Result.Status
}

func summary(a *Account, e *Execution) map[string]any {
	out := map[string]any{"executionArn": e.ARN, "stateMachineArn": a.machineARN(e.Region, e.Machine), "name": e.Name, "status": e.status(), "startDate": stamp(e.Started)}
	if !e.Running() {
		out["stopDate"] = stamp(e.Ended)
	}
	return out
}

// historyEvent writes an event as GetExecutionHistory does.
func historyEvent(id int, event asl.Event) map[string]any {
	out := map[string]any{"id": id, "previousEventId": id - 1, "timestamp": stamp(event.Time), "type": event.Name()}
	switch event.Kind {
	case asl.StateEntered:
		out["stateEnteredEventDetails"] = map[string]any{"name": event.State, "input": string(event.Input)}
	case asl.StateExited:
		out["stateExitedEventDetails"] = map[string]any{"name": event.State, "output": string(event.Output)}
	case asl.ExecutionFailed:
		out["executionFailedEventDetails"] = map[string]any{"error": event.Error, "cause": event.Cause}
	case asl.ExecutionSucceeded:
		out["executionSucceededEventDetails"] = map[string]any{"output": string(event.Output)}
	case asl.TaskFailed:
		out["taskFailedEventDetails"] = map[string]any{"resourceType": "lambda", "resource": "invoke", "error": event.Error, "cause": event.Cause}
	}
	return out
}

// stamp writes a time as the AWS JSON protocols do: seconds since 1970.
func stamp(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
