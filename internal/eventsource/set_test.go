package eventsource

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"dr-orchestrator/internal/action"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	one = "0a1b2c3d-0000-4000-8000-000000000001"
	two = "0a1b2c3d-0000-4000-8000-000000000002"
)

func coded(code string) error { return &smithy.GenericAPIError{Code: code, Message: "said AWS"} }

func TestDecide(t *testing.T) {
	not := func(string) action.Asked { return action.Asked{Now: noon} }
	asked := func(idle time.Duration, ids ...string) func(string) action.Asked {
		return func(id string) action.Asked {
			a := action.Asked{Now: noon}
			if slices.Contains(ids, id) {
				a.Requested, a.IdleSince = noon.Add(-time.Hour), noon.Add(-idle)
			}
			return a
		}
	}
	unsure := func(string) action.Asked { return action.Asked{Now: noon, Unsure: true} }
	type on = []string // states of the mappings, in order
	for _, tt := range []struct {
		name   string
		states on
		asked  func(string) action.Asked
		move   action.Move
		state  action.State
		step   string
		left   int
		class  action.Class
	}{
		{"all on", on{"Enabled", "Enabled"}, not, action.MoveFinish, action.StateDone, "", 0, ""},
		{"one off", on{"Enabled", "Disabled"}, not, action.MoveAct, action.StateReady, two, 1, ""},
		{"both off", on{"Disabled", "Disabled"}, not, action.MoveAct, action.StateReady, one, 2, ""},
		{"one on its way, one off", on{"Enabling", "Disabled"}, not, action.MoveAct, action.StateReady, two, 2, ""},
		{"one asked, one off", on{"Disabled", "Disabled"}, asked(0, one), action.MoveAct, action.StateReady, two, 2, ""},
		{"both asked", on{"Disabled", "Disabled"}, asked(0, one, two), action.MoveWait, action.StateUnderWay, one, 2, ""},
		{"asked, and nothing came", on{"Disabled"}, asked(time.Hour, one), action.MoveFail, action.StateReady, "", 1, action.Terminal},
		{"perhaps asked", on{"Disabled"}, unsure, action.MoveWait, action.StateReady, one, 1, ""},
		{"on its way", on{"Enabling"}, not, action.MoveWait, action.StateUnderWay, one, 1, ""},
		{"on its way back", on{"Disabling"}, not, action.MoveWait, action.StateBusy, one, 1, ""},
		{"being made", on{"Creating"}, not, action.MoveWait, action.StateBusy, one, 1, ""},
		{"being changed", on{"Updating"}, not, action.MoveWait, action.StateBusy, one, 1, ""},
		{"being deleted", on{"Disabled", "Deleting"}, not, action.MoveFail, action.StateUnknown, "", 2, action.Terminal},
		{"something new", on{"Pondering"}, not, action.MoveWait, action.StateUnknown, one, 1, ""},
		{"nothing told", on{""}, not, action.MoveWait, action.StateUnknown, one, 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var all []mapping
			for i, state := range tt.states {
				all = append(all, mapping{id: []string{one, two}[i], state: state})
			}
			d, left := decide(all, stateEnabled, tt.asked)
			if d.Move != tt.move || d.State != tt.state || left != tt.left || d.Class != tt.class || d.Reason == "" {
				t.Errorf("%+v with %d left, want move %d in %s with %d", d, left, tt.move, tt.state, tt.left)
			}
			if tt.step != "" && d.Step != tt.step {
				t.Errorf("step %q, want %q", d.Step, tt.step)
			}
		})
	}
	// What its function was named by does not wait for what is being deleted.
	for want, state := range map[action.Move]string{action.MoveFinish: stateEnabled, action.MoveAct: stateDisabled} {
		all := []mapping{{id: one, state: stateDeleting, passing: true}, {id: two, state: state}}
		d, _ := decide(all, stateEnabled, not)
		if told := strings.Contains(d.Reason, "1 are being deleted"); d.Move != want || told != (want == action.MoveFinish) {
			t.Errorf("beside one that is being deleted, %s: %+v", state, d)
		}
	}
	for state := range conditions {
		d := decideOne(mapping{id: one, state: state}, stateDisabled, action.Asked{Now: noon})
		if known := d.State != action.StateUnknown || d.Move == action.MoveFail; state != stateDisabled && !known {
			t.Errorf("%s: %+v", state, d)
		}
	}
}

// consumers are the mappings of one function, listed one on a page.
type consumers struct {
	ids     []string
	state   map[string]string
	err     error
	updates []*lambda.UpdateEventSourceMappingInput
	reads   int
}

func (c *consumers) GetEventSourceMapping(_ context.Context, in *lambda.GetEventSourceMappingInput, _ ...func(*lambda.Options)) (*lambda.GetEventSourceMappingOutput, error) {
	c.reads++
	state, ok := c.state[*in.UUID]
	if !ok {
		return nil, coded("ResourceNotFoundException")
	}
	return &lambda.GetEventSourceMappingOutput{UUID: in.UUID, State: aws.String(state)}, nil
}

func (c *consumers) ListEventSourceMappings(_ context.Context, in *lambda.ListEventSourceMappingsInput, _ ...func(*lambda.Options)) (*lambda.ListEventSourceMappingsOutput, error) {
	out := &lambda.ListEventSourceMappingsOutput{}
	c.reads++
	if aws.ToString(in.FunctionName) == "other" {
		return out, nil
	}
	at := slices.Index(c.ids, aws.ToString(in.Marker)) + 1
	out.EventSourceMappings = []types.EventSourceMappingConfiguration{{UUID: aws.String(c.ids[at]), State: aws.String(c.state[c.ids[at]])}}
	if at+1 < len(c.ids) {
		out.NextMarker = aws.String(c.ids[at])
	}
	return out, nil
}

func (c *consumers) UpdateEventSourceMapping(_ context.Context, in *lambda.UpdateEventSourceMappingInput, _ ...func(*lambda.Options)) (*lambda.UpdateEventSourceMappingOutput, error) {
	c.updates = append(c.updates, in)
	if c.err == nil {
		c.state[*in.UUID] = "Enabling"
	}
	return &lambda.UpdateEventSourceMappingOutput{}, c.err
}

func TestReconcile(t *testing.T) {
	for _, tt := range []struct {
		name    string
		names   []string
		states  [2]string
		err     error
		class   action.Class
		updated string
		changed bool
		done    bool
	}{
		{"by function, the first", []string{"consumer"}, [2]string{"Disabled", "Disabled"}, nil, "", one, true, false},
		{"by function, the second page", []string{"consumer"}, [2]string{"Enabled", "Disabled"}, nil, "", two, true, false},
		{"by function and id, counted once", []string{"consumer", two}, [2]string{"Enabled", "Disabled"}, nil, "", two, true, false},
		{"by id", []string{two}, [2]string{"Disabled", "Disabled"}, nil, "", two, true, false},
		{"done already", []string{"consumer"}, [2]string{"Enabled", "Enabled"}, nil, "", "", false, true},
		{"by function, beside one that is being deleted", []string{"consumer"}, [2]string{"Deleting", "Disabled"}, nil, "", two, true, false},
		{"by function, all but one that is being deleted", []string{"consumer"}, [2]string{"Deleting", "Enabled"}, nil, "", "", false, true},
		{"by id, and is being deleted", []string{"consumer", one}, [2]string{"Deleting", "Disabled"}, nil, action.Terminal, "", false, false},
		{"by function, and all are being deleted", []string{"consumer"}, [2]string{"Deleting", "Deleting"}, nil, action.NotFound, "", false, false},
		{"no such mapping", []string{strings.Replace(one, "0", "f", 1)}, [2]string{"Disabled", "Disabled"}, nil, action.NotFound, "", false, false},
		{"a function without any", []string{"other"}, [2]string{"Disabled", "Disabled"}, nil, action.NotFound, "", false, false},
		{"in use", []string{one}, [2]string{"Disabled", "Disabled"}, coded("ResourceInUseException"), "", one, false, false},
		{"throttled", []string{one}, [2]string{"Disabled", "Disabled"}, coded("TooManyRequestsException"), action.Throttled, one, false, false},
		{"no answer", []string{one}, [2]string{"Disabled", "Disabled"}, context.DeadlineExceeded, action.OutcomeUnknown, one, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &consumers{ids: []string{one, two}, state: map[string]string{one: tt.states[0], two: tt.states[1]}, err: tt.err}
			progress, err := Setting{Lambda: func(region string) SetAPI {
				if region != "us-west-2" {
					t.Errorf("asked in %s", region)
				}
				return c
			}}.Reconcile(t.Context(), action.Request[SetParameters]{Now: noon, Run: action.Run{Region: "us-west-2"}, Parameters: SetParameters{Names: tt.names, State: "On"}})
			var class action.Class
			if err != nil {
				class = action.ClassOf(err)
			}
			if class != tt.class || progress.Changed != tt.changed || (progress.Status == action.Done) != tt.done {
				t.Errorf("%+v, %v", progress, err)
			}
			updated := ""
			for _, in := range c.updates {
				updated += *in.UUID
				if !*in.Enabled {
					t.Error("turned off")
				}
			}
			if updated != tt.updated {
				t.Errorf("updated %q, want %q", updated, tt.updated)
			}
		})
	}
}

// More than a few ids are looked up in the list, and those that it lacks are
// asked for.
func TestManyIDsAreListed(t *testing.T) {
	for count, want := range map[int]int{fewIDs: fewIDs, fewIDs + 1: 1 + fewIDs, 40: 1 + 39} {
		c := &consumers{state: map[string]string{}}
		p := SetParameters{State: "On"}
		for i := range count {
			id := fmt.Sprintf("0a1b2c3d-0000-4000-8000-%012d", i)
			p.Names, c.state[id] = append(p.Names, id), "Enabled"
		}
		c.ids = p.Names[:1] // all that the list gives
		all, err := find(t.Context(), c, p)
		if err != nil || len(all) != count || c.reads != want {
			t.Errorf("%d ids: %d mappings by %d calls, want %d: %v", count, len(all), c.reads, want, err)
		}
		c.ids, c.reads = p.Names, 0
		if all, err = find(t.Context(), c, p); err != nil || len(all) != count || c.reads != count { // one on a page
			t.Errorf("%d ids, all in the list: %d mappings by %d calls: %v", count, len(all), c.reads, err)
		}
	}
	c := &consumers{ids: []string{one}, state: map[string]string{one: "Enabled"}}
	var names []string
	for i := range fewIDs + 1 {
		names = append(names, fmt.Sprintf("0a1b2c3d-0000-4000-8000-%012d", i+1))
	}
	if _, err := find(t.Context(), c, SetParameters{Names: names}); action.ClassOf(err) != action.NotFound {
		t.Errorf("an id that is nowhere: %v", err)
	}
}
