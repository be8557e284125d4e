package orchestrator

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dr-orchestrator/internal/eventrule"
	"dr-orchestrator/internal/guard"
	"dr-orchestrator/internal/lab"
	"dr-orchestrator/internal/run"
)

// documented is one file of docs/events.
type documented struct {
	Description string
	Rule        object // an event pattern that matches it
	Event       object
}

// emitted is every event of some stories, as EventBridge delivers it.
func emitted(t *testing.T) []object {
	t.Helper()
	var all []object
	for _, a := range []alarmed{
		readinessStory(t),
		play(t, func(a alarmed) {
			a.Send(recovery, "dr-orchestrator.operator", guard.RequestDetailType, map[string]any{"trigger": "by-hand"})
			a.wait(15)
		}),
		play(t, func(a alarmed) {
			a.SetAlarmSilently(recovery, "orders-unreachable", lab.AlarmRed)
			a.red("canary-a")
			a.wait(2)
		}),
	} {
		for _, e := range a.Events() {
			var detail any
			if err := json.Unmarshal([]byte(e.Detail), &detail); err != nil {
				t.Fatalf("%s: %s: %v", e.DetailType, e.Detail, err)
			}
			resources := []any{}
			for _, r := range e.Resources {
				resources = append(resources, r)
			}
			all = append(all, object{
				"version": "0", "id": "00000000-0000-4000-8000-000000000000", "account": account, "region": e.Region, "time": "2026-01-05T03:00:00Z",
				"source": e.Source, "detail-type": e.DetailType, "resources": resources, "detail": detail,
			})
		}
	}
	return all
}

// Every event that is sent is documented with a sample of its form and a rule
// that matches it and no other, and every documented one is sent.
func TestEventsAreAsDocumented(t *testing.T) {
	files, err := filepath.Glob("../../docs/events/*.json")
	if err != nil {
		t.Fatal(err)
	}
	samples := map[string]documented{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d documented
		if err := json.Unmarshal(data, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		kind, _ := d.Event["detail-type"].(string)
		if want := strings.ToLower(strings.ReplaceAll(kind, " ", "-")) + ".json"; filepath.Base(file) != want || d.Description == "" {
			t.Errorf("%s: want it named %s, with a description", file, want)
		}
		if at(d.Event, "detail.version") != float64(run.EventVersion) {
			t.Errorf("%s: the version is %v", file, at(d.Event, "detail.version"))
		}
		samples[kind] = d
	}
	sent := map[string]bool{}
	for _, event := range emitted(t) {
		kind := event["detail-type"].(string)
		sample, ok := samples[kind]
		if !ok {
			t.Fatalf("%s is not documented", kind)
		}
		sent[kind] = true
		for _, problem := range differs(sample.Event, event, "") {
			t.Errorf("%s: %s\n%s", kind, problem, text(event))
		}
		for other, d := range samples {
			matches, err := eventrule.Match(d.Rule, event)
			if err != nil || matches != (other == kind) {
				t.Errorf("the rule of %s matches a %s: %v, %v", other, kind, matches, err)
			}
		}
	}
	for kind, d := range samples {
		if !sent[kind] {
			t.Errorf("%s is documented and not sent", kind)
		}
		if matches, err := eventrule.Match(d.Rule, d.Event); !matches || err != nil {
			t.Errorf("the rule of %s does not match its sample: %v", kind, err)
		}
	}
	kinds := []string{
		run.EventRunStarted, run.EventLayerEnded, run.EventResourceEnded, run.EventRunEnded, run.EventRunRefused,
		run.EventApprovalRequested, run.EventGuardDecision, run.EventReadinessChanged, run.EventUncovered,
	}
	slices.Sort(kinds)
	if got := slices.Sorted(maps.Keys(samples)); !slices.Equal(got, kinds) {
		t.Errorf("documented are %q, want %q", got, kinds)
	}
}

// differs tells where the form of an event is not that of the sample: names
// and kinds of values. A null stands for anything.
func differs(sample, event any, path string) []string {
	if sample == nil || event == nil {
		return nil
	}
	var all []string
	switch s := sample.(type) {
	case object:
		e, ok := event.(object)
		if !ok {
			return []string{path + " is no object"}
		}
		for name := range s {
			if _, ok := e[name]; !ok {
				all = append(all, path+"."+name+" is not sent")
			}
		}
		for name, value := range e {
			if _, ok := s[name]; !ok {
				all = append(all, path+"."+name+" is not documented")
			}
			all = append(all, differs(s[name], value, path+"."+name)...)
		}
	case []any:
		e, ok := event.([]any)
		if !ok {
			return []string{path + " is no list"}
		}
		for i, item := range e {
			if len(s) > 0 {
				all = append(all, differs(s[0], item, fmt.Sprintf("%s[%d]", path, i))...)
			}
		}
	default:
		if fmt.Sprintf("%T", sample) != fmt.Sprintf("%T", event) {
			all = append(all, fmt.Sprintf("%s is %T, documented as %T", path, event, sample))
		}
	}
	return all
}

// The comparison finds what it is for.
func TestDiffers(t *testing.T) {
	sample := object{"a": "x", "b": object{"c": 1.0}, "l": []any{object{"k": "v"}}, "n": nil}
	for name, tt := range map[string]struct {
		event object
		want  int
	}{
		"the same":            {object{"a": "y", "b": object{"c": 2.0}, "l": []any{}, "n": true}, 0},
		"a null":              {object{"a": nil, "b": nil, "l": nil, "n": nil}, 0},
		"one is missing":      {object{"b": object{"c": 2.0}, "l": []any{}, "n": 1.0}, 1},
		"one is more":         {object{"a": "y", "b": object{"c": 2.0, "d": 1.0}, "l": []any{}, "n": 1.0}, 1},
		"another kind":        {object{"a": 1.0, "b": object{"c": "2"}, "l": []any{}, "n": 1.0}, 2},
		"another kind inside": {object{"a": "y", "b": object{"c": 2.0}, "l": []any{object{"k": 1.0}}, "n": 1.0}, 1},
		"no list":             {object{"a": "y", "b": object{"c": 2.0}, "l": "x", "n": 1.0}, 1},
		"no object":           {object{"a": "y", "b": "x", "l": []any{}, "n": 1.0}, 1},
	} {
		if got := differs(sample, tt.event, ""); len(got) != tt.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
