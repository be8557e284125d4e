package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"dr-orchestrator/internal/bootstrap"
	"dr-orchestrator/internal/lambdaruntime"
)

// mostProcesses is how many invocations run at the same time; more wait.
const mostProcesses = 64

// binaries runs functions as processes of their own. Each execution
// environment takes one event at a time and is kept for the next, as in Lambda.
type binaries struct {
	account  *Account
	folder   string
	endpoint string
	ctx      context.Context // ends with the run, and every process with it
	slots    chan struct{}
	running  sync.WaitGroup

	mu   sync.Mutex
	idle map[string][]*lambdaruntime.Process // by region/name
}

// useBinaries makes the functions of the account processes, of the executables
// FOLDER/NAME/bootstrap. They call the account over HTTP on the loopback
// interface. The function returned ends them all.
//
// Processes live in real time: on a clock sped up by n, a function has a
// minute / n for an event, and its own time-outs seem n times as long.
func (a *Account) useBinaries(folder string) (func(), error) {
	if !a.clock.wall {
		return nil, errors.New("functions that are processes need a clock that follows real time")
	}
	var missing []error
	for _, name := range FunctionNames() {
		if _, err := os.Stat(bootstrap.Path(folder, name)); err != nil {
			missing = append(missing, fmt.Errorf("the function %s is not built: %w", name, err))
		}
	}
	if err := errors.Join(missing...); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	// A killed function leaves requests behind, which is nothing to log.
	server := &http.Server{Handler: a.Handler(), ErrorLog: log.New(io.Discard, "", 0)}
	go server.Serve(listener)
	ctx, cancel := context.WithCancel(context.Background())
	b := &binaries{account: a, folder: folder, endpoint: "http://" + listener.Addr().String(), ctx: ctx,
		slots: make(chan struct{}, mostProcesses), idle: map[string][]*lambdaruntime.Process{}}
	a.functions.invoke = b.invoke
	return func() {
		cancel()
		b.running.Wait()
		for _, some := range b.idle {
			for _, p := range some {
				p.Close()
			}
		}
		server.Close()
	}, nil
}

// invoke is the Invoker of processes. The trace id that the process gets comes
// back with every call that it makes, and so do its invocation's faults.
func (b *binaries) invoke(inv *invocation, region, name string, event []byte) ([]byte, *Failure) {
	a := b.account
	trace := "Root=1-" + a.id() + ";Sampled=0"
	a.functions.traced[trace] = inv
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	a.clock.Go(func() {
		inv.ended.Wait(0) // by a fault or a time-out, where it is not by the answer
		cancel()
	})
	deadline := time.Now().Add(time.Duration(float64(functionTimeout) / a.clock.speed))
	var answer []byte
	var failure *Failure
	b.running.Add(1)
	a.clock.Block(func() { answer, failure = b.run(ctx, region, name, event, deadline, trace) })
	inv.check()
	if failure == nil { // otherwise calls of a dead process may be on their way
		delete(a.functions.traced, trace)
	}
	return answer, failure
}

// run hands an event to an idle process, or to a new one.
func (b *binaries) run(ctx context.Context, region, name string, event []byte, deadline time.Time, trace string) ([]byte, *Failure) {
	defer b.running.Done()
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	case <-ctx.Done():
		return nil, failureOf(ctx.Err())
	}
	p, err := b.take(ctx, region, name)
	if err != nil {
		return nil, failureOf(err)
	}
	defer b.give(region, name, p)
	answer, failure, err := p.Invoke(ctx, event, deadline, trace)
	switch {
	case err != nil:
		return nil, failureOf(err)
	case failure != nil:
		return nil, failureOf(failure)
	}
	return answer, nil
}

// failureOf writes an error as the account reports it. What is none of the
// function's is one of the Lambda service.
func failureOf(err error) *Failure {
	var failure *lambdaruntime.Error
	if errors.As(err, &failure) {
		return &Failure{Code: failure.Type, Message: failure.Message}
	}
	return &Failure{Code: "Lambda.ServiceException", Message: err.Error()}
}

func (b *binaries) take(ctx context.Context, region, name string) (*lambdaruntime.Process, error) {
	if p := b.pop(region + "/" + name); p != nil {
		return p, nil
	}
	a := b.account
	return lambdaruntime.Start(ctx, lambdaruntime.Function{
		Name: FunctionPrefix + name, Path: bootstrap.Path(b.folder, name), Region: region,
		Env: map[string]string{
			// What is not AWS, the applications, is reached through a proxy.
			"HTTP_PROXY": b.endpoint, "AWS_ENDPOINT_URL": b.endpoint, "RUN_BUCKET": a.Bucket(region), "FUNCTION_PREFIX": FunctionPrefix, "NOTICE_TOPIC": a.topic(region), "LOCK_TABLE": lockTable,
			"MACHINE_PREFIX": a.machineARN(region, FunctionPrefix),
		},
	})
}

func (b *binaries) pop(key string) *lambdaruntime.Process {
	b.mu.Lock()
	defer b.mu.Unlock()
	some := b.idle[key]
	if len(some) == 0 {
		return nil
	}
	b.idle[key] = some[:len(some)-1]
	return some[len(some)-1]
}

func (b *binaries) give(region, name string, p *lambdaruntime.Process) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := region + "/" + name
	b.idle[key] = append(b.idle[key], p)
}
