package asl

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// parser collects the problems of a definition.
type parser struct {
	problems []Problem
	names    map[string]string // state name to path: unique in the whole machine
	labels   map[string]string // likewise of distributed maps
}

func (p *parser) problem(path, format string, args ...any) {
	p.problems = append(p.problems, Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

// maxTimeout is the longest TimeoutSeconds and Wait that Step Functions takes.
const maxTimeout = 99_999_999

// Parse reads a definition. If anything is wrong with it the error is a
// *ParseError with every problem found.
func Parse(definition []byte) (*Machine, error) {
	data, err := decodeJSON(definition)
	if err != nil {
		return nil, &ParseError{Problems: []Problem{{Message: "the definition is " + err.Error()}}}
	}
	obj, ok := data.(object)
	if !ok {
		return nil, &ParseError{Problems: []Problem{{Message: "the definition is not an object"}}}
	}
	p := &parser{names: map[string]string{}, labels: map[string]string{}}
	p.duplicates(definition)
	p.substitutions("", data)

	n := p.node("", obj)
	m := &Machine{Comment: n.text("Comment")}
	n.oneOf("Version", "", "1.0")
	n.oneOf("QueryLanguage", required, "JSONata")
	if seconds, ok := n.literalNumber("TimeoutSeconds", bounds{min: 1, max: maxTimeout, whole: true}); ok {
		m.timeout = time.Duration(seconds) * time.Second
	}
	m.flow = p.flow(n, "", nil)
	n.finish()
	if len(p.problems) > 0 {
		return nil, &ParseError{Problems: p.problems}
	}
	return m, nil
}

// duplicates reports keys given twice in one object: of two states with the
// same name only one would be left.
func (p *parser) duplicates(definition []byte) {
	dec := json.NewDecoder(strings.NewReader(string(definition)))
	var walk func(path string)
	walk = func(path string) {
		tok, err := dec.Token()
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for tok == json.Delim('{') && dec.More() {
			key, _ := dec.Token()
			name := fmt.Sprint(key)
			if seen[name] {
				p.problem(path, "the key %q is given twice", name)
			}
			seen[name] = true
			walk(strings.TrimPrefix(path+"/"+name, "/"))
		}
		for i := 0; tok == json.Delim('[') && dec.More(); i++ {
			walk(fmt.Sprintf("%s[%d]", path, i))
		}
		if tok == json.Delim('{') || tok == json.Delim('[') {
			_, _ = dec.Token() // its end; the text is known to be valid
		}
	}
	walk("")
}

// substitutions reports what is left of the form ${Name}.
func (p *parser) substitutions(path string, v any) {
	switch v := v.(type) {
	case string:
		if strings.Contains(v, "${") {
			p.problem(path, "a substitution is left over: %s", v)
		}
	case []any:
		for i, item := range v {
			p.substitutions(fmt.Sprintf("%s[%d]", path, i), item)
		}
	case object:
		for _, k := range v.Keys() {
			at := strings.TrimPrefix(path+"/"+k, "/")
			if strings.Contains(k, "${") {
				p.problem(at, "a substitution is left over: %s", k)
			}
			member, _ := v.Get(k)
			p.substitutions(at, member)
		}
	}
}

// flow reads StartAt and States of n. Path is that of the state around the flow,
// outer the names of the variables assigned around it.
func (p *parser) flow(n *node, path string, outer map[string]bool) *flow {
	fl := &flow{startAt: n.text("StartAt", required), states: map[string]*state{}}
	states := n.child("States", required)
	if states == nil {
		return fl
	}
	names := states.obj.Keys()
	if len(names) == 0 {
		p.problem(n.path, "States is empty")
	}
	assigned := maps.Clone(outer)
	if assigned == nil {
		assigned = map[string]bool{}
	}
	for _, name := range names {
		p.collectAssigned(states, name, assigned)
	}
	for _, name := range names {
		at := strings.TrimPrefix(path+"/"+name, "/")
		if sn := states.child(name); sn != nil {
			sn.path = at
			st := p.state(sn, name, outer, assigned)
			fl.states[name] = st
			fl.order = append(fl.order, st)
		}
		if len(name) > 80 {
			p.problem(at, "the name is longer than 80 characters")
		}
		if other, twice := p.names[name]; twice {
			p.problem(at, "the name is also that of %s: names are unique in the whole machine", other)
		}
		p.names[name] = at
	}
	p.graph(n.path, fl)
	return fl
}

// collectAssigned adds the variables that the named state assigns itself.
func (p *parser) collectAssigned(states *node, name string, into map[string]bool) {
	member, _ := states.obj.Get(name)
	st, ok := member.(object)
	if !ok {
		return
	}
	holders := []object{st}
	for _, list := range []string{"Choices", "Catch"} {
		items, _ := st.Get(list)
		elements, _ := items.([]any)
		for _, item := range elements {
			if o, ok := item.(object); ok {
				holders = append(holders, o)
			}
		}
	}
	for _, h := range holders {
		assign, _ := h.Get("Assign")
		if o, ok := assign.(object); ok {
			for _, k := range o.Keys() {
				into[k] = true
			}
		}
	}
}

// graph checks that every target exists, that every state can be reached and
// that the flow can end.
func (p *parser) graph(path string, fl *flow) {
	if _, ok := fl.states[fl.startAt]; !ok && fl.startAt != "" {
		p.problem(path, "StartAt names no state: %s", fl.startAt)
	}
	reached := map[string]bool{}
	todo := []string{fl.startAt}
	ends := false
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		st := fl.states[name]
		if st == nil || reached[name] {
			continue
		}
		reached[name] = true
		ends = ends || st.terminal()
		todo = append(todo, st.targets()...)
		for _, c := range st.catch {
			todo = append(todo, c.Next)
		}
	}
	for _, st := range fl.order {
		targets := st.targets()
		for _, c := range st.catch {
			targets = append(targets, c.Next)
		}
		slices.Sort(targets)
		for _, name := range slices.Compact(targets) {
			if fl.states[name] == nil && name != "" {
				p.problem(st.path, "the next state %s does not exist", name)
			}
		}
		if !reached[st.name] && fl.states[fl.startAt] != nil {
			p.problem(st.path, "no state leads here")
		}
	}
	if !ends && len(reached) > 0 {
		p.problem(path, "no state ends the flow")
	}
}
