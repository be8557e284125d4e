package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"dr-orchestrator/internal/asl"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/guard"
	"dr-orchestrator/internal/run"
	"dr-orchestrator/internal/steps"
)

// FunctionPrefix begins the names of the functions in every lab.
const FunctionPrefix = "dr-orchestrator-"

// functionTimeout is the time-out of every function, as infra deploys it.
const functionTimeout = time.Minute

// Invoker runs one invocation of a function and gives its answer, or the
// error that Lambda would report. It is called by a task of the clock.
type Invoker func(inv *invocation, region, name string, event []byte) ([]byte, *Failure)

// functions are the Lambda functions of the account: the same in each region.
type functions struct {
	account *Account
	invoke  Invoker
	ready   map[string]lambda.Handler // by region/name, made at first use
	traced  map[string]*invocation    // of functions that are processes, by trace id
}

func newFunctions(a *Account) *functions {
	f := &functions{account: a, ready: map[string]lambda.Handler{}, traced: map[string]*invocation{}}
	f.invoke = f.inProcess
	return f
}

// FunctionNames lists every function of the product, without prefix.
func FunctionNames() []string {
	names := sortedKeys(steps.All)
	for _, e := range catalog.Entries {
		names = append(names, e.Function)
	}
	slices.Sort(names)
	return names
}

// handler makes the handler that a function's main would start, on the lab's
// transport and clock.
func (f *functions) handler(region, name string) (lambda.Handler, bool) {
	key := region + "/" + name
	if h, ok := f.ready[key]; ok {
		return h, true
	}
	a := f.account
	factory := client.New(aws.Config{
		Region: region, HTTPClient: transport{account: a},
		Credentials: credentials.NewStaticCredentialsProvider("LAB", "LAB", ""),
		// The SDK's back-off sleeps on the lab's clock and then not at all.
		Retryer: client.Retryer(retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) {
			a.clock.Sleep(time.Duration(attempt) * 200 * time.Millisecond)
			return 0, nil
		})),
	})
	factory.Exchange = a.exchange
	h := f.build(factory, region, name)
	if h == nil {
		return nil, false
	}
	f.ready[key] = h
	return h, true
}

func (f *functions) build(factory *client.Factory, region, name string) lambda.Handler {
	a := f.account
	env := run.Environment{Bucket: a.Bucket(region), FunctionPrefix: FunctionPrefix, Topic: a.topic(region), LockTable: lockTable, MachinePrefix: a.machineARN(region, FunctionPrefix), Metrics: &a.metrics}
	if name == steps.GuardTrigger {
		return guard.NewWith(factory, env, a.clock.Now, prober{a})
	}
	if step, ok := steps.All[name]; ok {
		return step(factory, env, a.clock.Now)
	}
	for _, e := range catalog.Entries {
		if e.Function == name {
			return e.New(factory, function.Secrets(factory), a.clock.Now)
		}
	}
	return nil
}

const lockTable = FunctionPrefix + "locks"

func (a *Account) topic(region string) string {
	return "arn:aws:sns:" + region + ":" + a.Estate.Account + ":dr-orchestrator"
}

func (f *functions) inProcess(inv *invocation, region, name string, event []byte) ([]byte, *Failure) {
	h, ok := f.handler(region, name)
	if !ok {
		return nil, &Failure{Code: "Lambda.ResourceNotFoundException", Message: "Function not found: " + name}
	}
	answer, err := h.Invoke(withInvocation(inv), event)
	if err == nil {
		return answer, nil
	}
	var reported messages.InvokeResponse_Error
	if !errors.As(err, &reported) {
		reported = messages.InvokeResponse_Error{Type: "errorString", Message: err.Error()}
	}
	return nil, &Failure{Code: reported.Type, Message: reported.Message}
}

// call invokes a function as Step Functions does, with its faults, and waits
// for the answer at most for a time, and no longer than anybody listens.
func (f *functions) call(ctx context.Context, region, name string, event []byte, timeout time.Duration) (json.RawMessage, *asl.Error) {
	a := f.account
	short := strings.TrimPrefix(name, FunctionPrefix)
	a.invoked[short]++
	hit := a.faults.strike("function:" + short)
	has := func(k FaultKind) bool { return slices.Contains(hit, k) }
	a.clock.Sleep(time.Duration(a.Estate.Latencies.Invoke) * time.Millisecond)
	switch {
	case has(Throttle):
		return nil, &asl.Error{Name: "Lambda.TooManyRequestsException", Cause: "Rate Exceeded."}
	case has(Broken):
		return nil, &asl.Error{Name: "Lambda.ServiceException", Cause: "The service is unavailable."}
	}
	if a.raise != nil {
		if class := a.raise(short, event); class != "" {
			return nil, &asl.Error{Name: class, Cause: `{"errorMessage":"told to","errorType":"` + class + `"}`}
		}
	}
	inv := f.start(region, short, event)
	if has(Twice) {
		f.start(region, short, event)
	}
	limit := functionTimeout
	if timeout > 0 {
		limit = min(limit, timeout)
	}
	answered, until := false, a.clock.Now().Add(limit)
	for left := limit; left > 0 && !answered && ctx.Err() == nil; left = until.Sub(a.clock.Now()) {
		answered = inv.ended.Wait(min(left, piece))
	}
	switch {
	case answered:
	case ctx.Err() != nil:
		return nil, &asl.Error{Name: asl.ErrorTaskFailed, Cause: "the execution was stopped"}
	default:
		if limit == functionTimeout {
			inv.die("Sandbox.Timedout", fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", a.id(), functionTimeout.Seconds()))
		} else {
			return nil, &asl.Error{Name: asl.ErrorTimeout}
		}
	}
	switch {
	case has(Kill):
		return nil, &asl.Error{Name: "Runtime.ExitError", Cause: "RequestId: " + a.id() + " Error: Runtime exited with error: signal: killed"}
	case has(Lost):
		return nil, &asl.Error{Name: "Lambda.ServiceException", Cause: "The service encountered an error."}
	case has(Timeout):
		a.clock.Sleep(limit)
		return nil, &asl.Error{Name: asl.ErrorTimeout}
	}
	if inv.failure != nil {
		cause, err := json.Marshal(map[string]string{"errorMessage": inv.failure.Message, "errorType": inv.failure.Code})
		if err != nil {
			panic(err) // two strings
		}
		return nil, &asl.Error{Name: inv.failure.Code, Cause: string(cause)}
	}
	return inv.answer, nil
}

// start begins an invocation as a task of its own.
func (f *functions) start(region, name string, event []byte) *invocation {
	inv := &invocation{function: name, owner: owner(event), ended: f.account.clock.NewSignal()}
	f.account.clock.Go(func() {
		inv.answer, inv.failure = f.invoke(inv, region, name, event)
		inv.ended.Fire()
	})
	return inv
}

// owner reads which resource of which run an event is about.
func owner(event []byte) string {
	var e struct {
		Run      struct{ ID string }
		Resource *struct{ Index int }
	}
	if err := json.Unmarshal(event, &e); err != nil || e.Resource == nil {
		return ""
	}
	return ownerName(e.Run.ID, e.Resource.Index)
}

func ownerName(run string, index int) string { return fmt.Sprintf("%s/%d", run, index) }
