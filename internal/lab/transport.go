package lab

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"dr-orchestrator/internal/client"
)

// transport is the HTTP client of functions that run inside the lab: it
// answers in the caller's goroutine, on the lab's clock.
type transport struct {
	account  *Account
	patience time.Duration // how long it waits for an answer; 0: as long as all
}

// Impatient gives the same client with a shorter time-out.
func (t transport) Impatient(patience time.Duration) aws.HTTPClient {
	return transport{t.account, patience}
}

type invocationKey struct{}

type patienceKey struct{}

// patienceOf gives the time-outs of the client that sent a request.
func patienceOf(r *http.Request) (dial, answer time.Duration) {
	if p, ok := r.Context().Value(patienceKey{}).(time.Duration); ok && p > 0 {
		return p, p
	}
	return client.DialTimeout, client.ResponseTimeout
}

// Do carries one request to the account.
func (t transport) Do(r *http.Request) (*http.Response, error) {
	inv, _ := r.Context().Value(invocationKey{}).(*invocation)
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	answer, err := t.account.serve(r.WithContext(context.WithValue(r.Context(), patienceKey{}, t.patience)), body, inv)
	if err != nil {
		return nil, err
	}
	return answer.http(r), nil
}

// noAnswer is what a caller sees of a region or an answer that never comes.
type noAnswer struct{ what string }

func (e noAnswer) Error() string { return e.what + ": i/o timeout" }
func (noAnswer) Timeout() bool   { return true }
func (noAnswer) Temporary() bool { return true }

// serve answers one request, faults included. An error means that no answer
// came at all.
func (a *Account) serve(r *http.Request, body []byte, inv *invocation) (response, error) {
	inv.check()
	if app := a.Estate.app(r); app != nil {
		return a.serveApp(r, app, inv)
	}
	req, err := decodeRequest(r, body)
	if err != nil {
		if req == nil {
			req = &request{call: &Call{}, protocol: query}
		}
		return req.encode(nil, err, a.id()), nil
	}
	c := req.call
	c.invocation = inv
	failure, lost := a.misdirected(r, c)
	if lost != nil {
		return response{}, lost
	}
	dial, wait := patienceOf(r)
	if a.faults.dead(c.Region) {
		a.Estate.Desert(c.Region)
		a.clock.Sleep(dial)
		inv.check()
		return response{}, &net.OpError{Op: "dial", Net: "tcp", Err: noAnswer{"dial " + r.URL.Host}}
	}
	a.clock.Sleep(time.Duration(a.Estate.Latencies.API) * time.Millisecond)
	inv.check()
	a.Calls[c.name()]++
	a.log = append(a.log, LoggedCall{a.clock.Now(), c.Region, c.name()})
	if a.onCall != nil {
		a.onCall()
	}
	hit := a.faults.strike(c.name())
	has := func(k FaultKind) bool { return slices.Contains(hit, k) }
	switch {
	case has(Throttle):
		return req.encode(nil, throttled(c.Service), a.id()), nil
	case a.overrun(c):
		return req.encode(nil, throttled(c.Service), a.id()), nil
	case failure != nil:
		return req.encode(nil, failure, a.id()), nil
	case has(Broken):
		return req.encode(nil, fail(503, "ServiceUnavailable", "The service is unavailable."), a.id()), nil
	}
	c.stale, c.notFound, c.stuck, c.cancelled = has(Stale), has(NotFound), has(Stuck), has(Cancel)
	answer, err := a.answer(c)
	switch {
	case has(Kill) && inv != nil:
		inv.die("Runtime.ExitError", "RequestId: "+a.id()+" Error: Runtime exited with error: signal: killed")
		inv.check()
	case has(Lost) && err == nil:
		err = fail(500, "InternalFailure", "The request processing has failed because of an unknown error.")
	case has(Timeout):
		a.clock.Sleep(wait)
		inv.check()
		return response{}, noAnswer{"awaiting response headers"}
	}
	return req.encode(answer, err, a.id()), nil
}

func throttled(service string) *Failure {
	switch service {
	case "s3":
		return fail(503, "SlowDown", "Please reduce your request rate.")
	case "lambda":
		return fail(429, "TooManyRequestsException", "Rate exceeded")
	case "scheduler":
		return fail(429, "ThrottlingException", "Rate exceeded")
	case "ssm", "secretsmanager", "events", "states", "cloudwatch", "route53-recovery-cluster":
		return fail(400, "ThrottlingException", "Rate exceeded")
	}
	return fail(400, "Throttling", "Rate exceeded")
}

// invocation is one running Lambda invocation.
type invocation struct {
	function string
	owner    string
	dead     bool
	ended    *Signal
	answer   []byte
	failure  *Failure
}

// die ends an invocation without an answer; what it has done stays done.
func (i *invocation) die(kind, message string) {
	i.dead = true
	i.failure = &Failure{Code: kind, Message: message}
	i.ended.Fire()
}

// check stops the goroutine of an invocation that is dead: a process that was
// killed does nothing more.
func (i *invocation) check() {
	if i != nil && i.dead {
		runtime.Goexit()
	}
}

func withInvocation(i *invocation) context.Context {
	return context.WithValue(context.Background(), invocationKey{}, i)
}
