// Package eventsource turns event source mappings on and off: what makes AWS
// Lambda read a queue or a stream and call a function.
package eventsource

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
)

// SetParameters are the parameters of SetEventSource.
type SetParameters struct {
	Names  []string `param:"required" format:"event-source" identity:"event-source" doc:"UUIDs of event source mappings, or names of functions: then all their mappings but those that are being deleted."`
	State  string   `param:"required" enum:"On,Off" doc:"On reads the sources; Off leaves what comes in where it is."`
	Region string   `format:"region" doc:"Region of the mappings. Without it, the region of the run."`
}

// States of an event source mapping, from the Lambda API reference,
// GetEventSourceMapping.
const (
	stateEnabled  = "Enabled"
	stateDisabled = "Disabled"
	stateDeleting = "Deleting"
)

var conditions = map[string]action.Condition{
	stateEnabled:  action.StatusReady,
	stateDisabled: action.StatusReady,
	"Creating":    action.StatusPending,
	"Enabling":    action.StatusPending,
	"Disabling":   action.StatusPending,
	"Updating":    action.StatusPending,
	stateDeleting: action.StatusTerminal,
}

// toward is the state in which a mapping is on its way to another.
var toward = map[string]string{stateEnabled: "Enabling", stateDisabled: "Disabling"}

func (p SetParameters) goal() string {
	if p.State == "On" {
		return stateEnabled
	}
	return stateDisabled
}

// SetAPI is every call to Lambda that the action makes.
type SetAPI interface {
	GetEventSourceMapping(context.Context, *lambda.GetEventSourceMappingInput, ...func(*lambda.Options)) (*lambda.GetEventSourceMappingOutput, error)
	ListEventSourceMappings(context.Context, *lambda.ListEventSourceMappingsInput, ...func(*lambda.Options)) (*lambda.ListEventSourceMappingsOutput, error)
	UpdateEventSourceMapping(context.Context, *lambda.UpdateEventSourceMappingInput, ...func(*lambda.Options)) (*lambda.UpdateEventSourceMappingOutput, error)
}

// Setting turns mappings on or off, one with each invocation.
type Setting struct {
	Lambda func(region string) SetAPI
}

// NewSetting wires the action to AWS.
func NewSetting(f *client.Factory, secrets action.Secrets, now func() time.Time) awslambda.Handler {
	return &action.Adapter[SetParameters]{
		Reconciler: Setting{Lambda: func(region string) SetAPI { return lambda.NewFromConfig(f.Config(region)) }}, Secrets: secrets, Now: now,
	}
}

// mapping is what a decision needs to know of an event source mapping.
type mapping struct {
	id     string
	state  string
	reason string // of the last change of state; empty: none is told
	// passing: it is being deleted, and nobody named it but by its function.
	passing bool
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// fewIDs is how many mappings are read one by one. Lambda takes some 15 calls
// of its control plane a second (Lambda quotas), and a list gives a hundred
// mappings with each, so that more of them are looked up in the list of all.
const fewIDs = 4

// find reads the mappings of all names, each once, in the order of their ids.
// A function without any is an error: whoever names it expects one.
func find(ctx context.Context, api SetAPI, p SetParameters) ([]mapping, error) {
	var ids, functions []string
	for _, name := range p.Names {
		if uuidForm.MatchString(name) {
			ids = append(ids, name)
		} else {
			functions = append(functions, name)
		}
	}
	listed := map[string]mapping{}
	if len(ids) > fewIDs {
		all, err := list(ctx, api, "", p.Region)
		if err != nil {
			return nil, err
		}
		for _, m := range all {
			listed[m.id] = m
		}
	}
	found := map[string]mapping{}
	for _, id := range ids {
		m, there := listed[id]
		if !there {
			out, err := api.GetEventSourceMapping(ctx, &lambda.GetEventSourceMappingInput{UUID: aws.String(id)})
			if err != nil {
				return nil, action.Call("reading event source mapping "+id+" in "+p.Region, err)
			}
			m = mapping{id: id, state: aws.ToString(out.State), reason: aws.ToString(out.StateTransitionReason)}
		}
		found[id] = m
	}
	for _, function := range functions {
		all, err := list(ctx, api, function, p.Region)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(all, func(m mapping) bool { return m.state != stateDeleting }) {
			return nil, action.Errorf(action.NotFound, "the function %s has no event source mapping in %s, or none that stays", function, p.Region)
		}
		for _, m := range all {
			if _, named := found[m.id]; !named {
				m.passing = m.state == stateDeleting
				found[m.id] = m
			}
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b mapping) int { return cmp.Compare(a.id, b.id) }), nil
}

// list reads the mappings of a function, or all of the region without one.
func list(ctx context.Context, api SetAPI, function, region string) ([]mapping, error) {
	var all []mapping
	in, of := &lambda.ListEventSourceMappingsInput{}, ""
	if function != "" {
		in.FunctionName, of = aws.String(function), " of "+function
	}
	for {
		out, err := api.ListEventSourceMappings(ctx, in)
		if err != nil {
			return nil, action.Call("listing the event source mappings"+of+" in "+region, err)
		}
		for _, m := range out.EventSourceMappings {
			all = append(all, mapping{id: aws.ToString(m.UUID), state: aws.ToString(m.State), reason: aws.ToString(m.StateTransitionReason)})
		}
		if aws.ToString(out.NextMarker) == "" {
			return all, nil
		}
		in.Marker = out.NextMarker
	}
}

// decide finds the first mapping to change; one that waits does not hold the
// others up. It is done when every mapping that stays has arrived. With the move
// comes the number of mappings that are not there yet.
func decide(all []mapping, want string, asked func(id string) action.Asked) (d action.Decision, left int) {
	var waits, acts *action.Decision
	passing := 0
	for _, m := range all {
		if m.passing {
			passing++
			continue
		}
		if m.state == want {
			continue
		}
		left++
		one := decideOne(m, want, asked(m.id))
		switch {
		case one.Move == action.MoveFail:
			return one, left
		case one.Move == action.MoveAct && acts == nil:
			acts = &one
		case one.Move == action.MoveWait && waits == nil:
			waits = &one
		}
	}
	switch {
	case acts != nil:
		return *acts, left
	case waits != nil:
		return *waits, left
	}
	d = action.Finish(want, "%d event source mappings are %s", len(all)-passing, want)
	if passing > 0 {
		d.Reason += fmt.Sprintf("; %d are being deleted and were left alone", passing)
	}
	return d, 0
}

func decideOne(m mapping, want string, asked action.Asked) action.Decision {
	wait := func(state action.State, format string, args ...any) action.Decision {
		d := action.WaitFinal(state, m.state, format, args...)
		d.Step = m.id
		return d
	}
	switch action.ConditionOf(conditions, m.state) {
	case action.StatusTerminal:
		return action.Fail(action.Terminal, action.StateUnknown, m.state, "event source mapping %s is %s", m.id, m.state)
	case action.StatusUnknown:
		return wait(action.StateUnknown, "event source mapping %s has the state %q, which is not known here: waiting", m.id, m.state)
	case action.StatusPending:
		state := action.StateBusy
		if m.state == toward[want] {
			state = action.StateUnderWay
		}
		return wait(state, "event source mapping %s is %s", m.id, m.state)
	}
	if d, ok := asked.Idle(); ok {
		d.Step = m.id
		return d
	}
	return action.Act(m.id, "event source mapping %s is %s, and is to be %s", m.id, m.state, want)
}

func evidence(all []mapping) action.Evidence {
	e := action.Evidence{}
	for _, m := range all {
		e[m.id] = m.state
		if m.reason != "" {
			e[m.id] = m.state + ": " + m.reason
		}
		if m.passing {
			e[m.id] = m.state + ": left alone"
		}
	}
	return e
}

func regional(p SetParameters, run action.Run) SetParameters {
	p.Region = cmp.Or(p.Region, run.Region)
	return p
}

// Preflight tells whether the mappings are there, and at rest.
func (a Setting) Preflight(ctx context.Context, req action.Request[SetParameters]) (action.Readiness, error) {
	p := regional(req.Parameters, req.Run)
	all, err := find(ctx, a.Lambda(p.Region), p)
	if err != nil {
		return action.Readiness{}, err
	}
	d, _ := decide(all, p.goal(), func(string) action.Asked { return action.Asked{Now: req.Now} })
	return action.Readiness{Observed: d.State, Evidence: evidence(all), Findings: d.Findings()}, nil
}

// Reconcile changes one mapping, or waits for those that were changed.
func (a Setting) Reconcile(ctx context.Context, req action.Request[SetParameters]) (action.Progress, error) {
	p := regional(req.Parameters, req.Run)
	api := a.Lambda(p.Region)
	all, err := find(ctx, api, p)
	if err != nil {
		return action.Progress{}, err
	}
	d, left := decide(all, p.goal(), req.Asked)
	id := d.Step
	if d.Move == action.MoveAct {
		d.Phase = toward[p.goal()]
	}
	progress, err := d.Progress(req.Asked(id), evidence(all))
	if err != nil || d.Move != action.MoveAct {
		return progress, err
	}
	if left > 1 { // the next one need not wait for this one
		progress.WaitSeconds = 1
	}
	_, err = api.UpdateEventSourceMapping(ctx, &lambda.UpdateEventSourceMappingInput{UUID: aws.String(id), Enabled: aws.Bool(p.goal() == stateEnabled)})
	progress.Message = fmt.Sprintf("event source mapping %s was asked to be %s; %d of %d are not yet", id, p.goal(), left, len(all))
	return action.Sent(req, progress, action.Mutation("setting event source mapping "+id, err))
}
