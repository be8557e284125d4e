package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"dr-orchestrator/internal/eventrule"
)

// FunctionRule is a rule of EventBridge with one function for a target. Rule, of
// the estate, is one that is turned on and off.
type FunctionRule struct {
	Region, Name string
	Pattern      map[string]any // nil: it has a schedule
	Schedule     string         // a rate
	Function     string         // without the prefix
	Target       eventrule.Target
}

// AddRules puts rules into the account, before the clock runs. A schedule
// begins with its first interval.
func (a *Account) AddRules(rules ...FunctionRule) error {
	for _, r := range rules {
		if (r.Pattern == nil) == (r.Schedule == "") {
			return fmt.Errorf("rule %s: want either a pattern or a schedule", r.Name)
		}
		if r.Pattern != nil {
			a.rules = append(a.rules, r)
			continue
		}
		every, err := eventrule.Every(r.Schedule)
		if err != nil {
			return fmt.Errorf("rule %s: %w", r.Name, err)
		}
		a.clock.Go(func() {
			for {
				a.clock.Sleep(every)
				a.invoke(r, a.event(r.Region, "aws.events", "Scheduled Event", map[string]any{}, nil))
			}
		})
	}
	return nil
}

// event writes an event as EventBridge does.
func (a *Account) event(region, source, detailType string, detail any, resources []string) []byte {
	if resources == nil {
		resources = []string{}
	}
	text, err := json.Marshal(map[string]any{
		"version": "0", "id": a.id(), "account": a.Estate.Account, "region": region, "time": a.clock.Now().UTC().Format(time.RFC3339),
		"source": source, "detail-type": detailType, "detail": detail, "resources": resources,
	})
	if err != nil {
		panic(err) // plain data
	}
	return text
}

// Send puts an event on the default bus of a region, as an AWS service or a
// person does, and gives it as it was delivered.
func (a *Account) Send(region, source, detailType string, detail any) []byte {
	event := a.event(region, source, detailType, detail, nil)
	a.Deliver(region, event)
	return event
}

// Deliver delivers an event to the rules that match it: again, where it was
// delivered before.
func (a *Account) Deliver(region string, event []byte) {
	var decoded map[string]any
	if err := json.Unmarshal(event, &decoded); err != nil {
		panic(err) // made by event
	}
	for _, r := range a.rules {
		if r.Region != region {
			continue
		}
		matches, err := eventrule.Match(r.Pattern, decoded)
		if err != nil {
			a.undelivered = append(a.undelivered, fmt.Errorf("rule %s: %w", r.Name, err))
		}
		if matches && err == nil {
			a.invoke(r, event)
		}
	}
}

// invoke has the target of a rule invoked. Lambda tries twice more, after a
// minute and after two (Lambda developer guide, "Asynchronous invocation").
func (a *Account) invoke(r FunctionRule, event []byte) {
	input, err := r.Target.Give(event, eventrule.Rule{Name: r.Name, ARN: "arn:aws:events:" + r.Region + ":" + a.Estate.Account + ":rule/" + r.Name}, a.clock.Now())
	if err != nil {
		a.undelivered = append(a.undelivered, fmt.Errorf("rule %s: %w", r.Name, err))
		return
	}
	a.clock.Go(func() {
		for try := range 3 {
			a.clock.Sleep(time.Duration(try) * time.Minute)
			if _, failure := a.functions.call(context.Background(), r.Region, FunctionPrefix+r.Function, input, 0); failure == nil {
				return
			} else if try == 2 {
				a.undelivered = append(a.undelivered, fmt.Errorf("rule %s: %s: %w", r.Name, r.Function, failure))
			}
		}
	})
}

// Undelivered gives what did not reach the target of a rule, or what the target
// failed on for good.
func (a *Account) Undelivered() []error { return a.undelivered }

// Events gives the events that the functions have sent.
func (a *Account) Events() []Event { return a.events }

// Metrics gives the lines of metrics that functions have written.
func (a *Account) Metrics() string { return a.metrics.String() }

// Notice is a message to people.
type Notice struct{ Subject, Message string }

// Notices gives the messages to people.
func (a *Account) Notices() []Notice { return a.notices }

// Enforce lets functions do what policies allow, and nothing else. Used tells
// what of it they made use of.
func (a *Account) Enforce(p Policies) { a.policies = p }

// Used gives the permissions that functions made use of, where they are enforced.
func (a *Account) Used() map[Use]bool { return a.used }

// Executions gives the executions of the account, children of maps left out, in
// the order of their beginning.
func (a *Account) Executions() []*Execution {
	var all []*Execution
	for _, arn := range a.runs.order {
		if e := a.runs.all[arn]; e.MapRun == "" {
			all = append(all, e)
		}
	}
	return all
}

// Start begins an execution of a machine, failover or failback, by its alias.
func (a *Account) Start(region, machine, name string, input []byte) (*Execution, error) {
	return a.runs.start(region, MachineName(machine)+":"+liveAlias, name, input)
}

// Stop ends an execution, as StopExecution does.
func (a *Account) Stop(e *Execution) { a.runs.stop(e, "Stopped", "stopped in the lab") }

// Table is the table of locks of a region, for whoever is no function.
func (a *Account) Table(region string) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{Region: region, HTTPClient: transport{account: a}, Credentials: credentials.NewStaticCredentialsProvider("LAB", "LAB", "")})
}

// Wait waits for the end of an execution, as a task of the clock.
func (e *Execution) Wait() { e.ended.Wait(0) }
