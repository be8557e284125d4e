package asl

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/recolabs/gnata"
)

// node reads one object of the definition. Every field read is noted, so that
// finish can report the fields that nothing reads.
type node struct {
	p    *parser
	path string
	obj  object
	seen []string
}

// required marks a field that must be given.
const required = "required"

// jsonPathFields belong to the other query language.
var jsonPathFields = []string{
	"InputPath", "OutputPath", "Parameters", "Result", "ResultPath", "ResultSelector", "ItemsPath",
	"SecondsPath", "TimestampPath", "TimeoutSecondsPath", "HeartbeatSecondsPath", "ErrorPath", "CausePath",
	"MaxConcurrencyPath", "ToleratedFailurePercentagePath", "ToleratedFailureCountPath", "MaxItemsPerBatchPath",
	"MaxInputBytesPerBatchPath", "Variable", "And", "Or", "Not", "Iterator",
}

func (p *parser) node(path string, obj object) *node {
	return &node{p: p, path: path, obj: obj, seen: []string{"Comment"}}
}

func (n *node) at(field string) string { return strings.TrimPrefix(n.path+"."+field, ".") }

func (n *node) problem(format string, args ...any) { n.p.problem(n.path, format, args...) }

// finish reports the fields that were not read.
func (n *node) finish() {
	for _, k := range n.obj.Keys() {
		switch {
		case slices.Contains(n.seen, k):
		case slices.Contains(jsonPathFields, k):
			n.problem("%s belongs to JSONPath and has no place in a JSONata state", k)
		default:
			n.problem("unknown field %s", k)
		}
	}
}

// get reads a field of any kind.
func (n *node) get(field string, flags ...string) (any, bool) {
	n.seen = append(n.seen, field)
	v, ok := n.obj.Get(field)
	if !ok && slices.Contains(flags, required) {
		n.problem("%s is missing", field)
	}
	return v, ok
}

// text reads a string that is no expression.
func (n *node) text(field string, flags ...string) string {
	v, ok := n.get(field, flags...)
	if !ok {
		return ""
	}
	s, isString := v.(string)
	if !isString || s == "" && field != "Comment" {
		n.problem("%s must be a string that is not empty", field)
	}
	return s
}

func (n *node) oneOf(field, flag string, allowed ...string) string {
	s := n.text(field, flag)
	if s != "" && !slices.Contains(allowed, s) {
		n.problem("%s must be %s, not %s", field, strings.Join(allowed, " or "), s)
	}
	return s
}

func (n *node) child(field string, flags ...string) *node {
	v, ok := n.get(field, flags...)
	if !ok {
		return nil
	}
	obj, ok := v.(object)
	if !ok {
		n.problem("%s must be an object", field)
		return nil
	}
	return n.p.node(n.at(field), obj)
}

// children reads an array of objects.
func (n *node) children(field string, flags ...string) []*node {
	v, ok := n.get(field, flags...)
	if !ok {
		return nil
	}
	items, ok := v.([]any)
	if !ok || len(items) == 0 {
		n.problem("%s must be an array that is not empty", field)
		return nil
	}
	var nodes []*node
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", n.at(field), i)
		if obj, ok := item.(object); ok {
			nodes = append(nodes, n.p.node(at, obj))
		} else {
			n.p.problem(at, "must be an object")
		}
	}
	return nodes
}

// literalNumber reads a number that cannot be an expression.
func (n *node) literalNumber(field string, b bounds) (float64, bool) {
	v, ok := n.get(field)
	if !ok {
		return 0, false
	}
	f, err := b.admit(v)
	if err != nil {
		n.problem("%s %v", field, err)
		return 0, false
	}
	return f, true
}

// template reads any JSON value with expressions in it.
func (n *node) template(field string, flags ...string) *template {
	v, ok := n.get(field, flags...)
	if !ok {
		return nil
	}
	return n.p.template(n.path, field, v)
}

// number reads a number or an expression.
func (n *node) number(field string, b bounds) *template {
	t := n.template(field)
	if t != nil && t.expr == nil {
		if _, err := b.admit(t.literal.data); err != nil {
			n.problem("%s %v, or an expression", field, err)
		}
	}
	return t
}

// stringOrExpression reads a string that may be an expression.
func (n *node) stringOrExpression(field string, flags ...string) *template {
	t := n.template(field, flags...)
	if t == nil || t.expr != nil {
		return t
	}
	if _, ok := t.literal.data.(string); !ok {
		n.problem("%s must be a string or an expression", field)
	}
	return t
}

func (n *node) timestamp(field string) *template {
	t := n.stringOrExpression(field)
	if t != nil && t.expr == nil {
		if s, ok := t.literal.data.(string); ok {
			if _, err := time.Parse(time.RFC3339, s); err != nil {
				n.problem("%s must be a time in RFC 3339, not %s", field, s)
			}
		}
	}
	return t
}

var (
	variableName = regexp.MustCompile(`^[\p{L}_][\p{L}\p{N}_]{0,79}$`)
	evalCall     = regexp.MustCompile(`\$eval\s*\(`)
)

// assign reads an Assign. A name in outer belongs to a flow around this one,
// which may be read here and not assigned.
func (n *node) assign(outer map[string]bool) *template {
	c := n.child("Assign")
	if c == nil {
		return nil
	}
	for _, k := range c.obj.Keys() {
		switch {
		case k == "states" || !variableName.MatchString(k):
			n.problem("Assign: %s cannot be the name of a variable", k)
		case outer[k]:
			n.problem("Assign: the variable %s belongs to an outer scope", k)
		}
	}
	return n.p.template(n.path, "Assign", c.obj)
}

// template compiles the value v of a field.
func (p *parser) template(path, field string, v any) *template {
	t := &template{}
	dynamic := false
	switch v := v.(type) {
	case string:
		source, ok, half := isExpression(v)
		if half {
			p.problem(path, "%s has only half of the marks {%% and %%}: %s", field, v)
		}
		if ok {
			t.expr = p.expression(path, field, source)
			return t
		}
	case []any:
		t.list = true
		for i, item := range v {
			part := p.template(path, fmt.Sprintf("%s[%d]", field, i), item)
			dynamic = dynamic || part.dynamic()
			t.parts = append(t.parts, part)
		}
	case object:
		for _, k := range v.Keys() {
			if strings.HasSuffix(k, ".$") {
				p.problem(path, "%s: the key %s belongs to JSONPath and has no place in a JSONata state", field, k)
			}
			member, _ := v.Get(k)
			part := p.template(path, field+"/"+k, member)
			dynamic = dynamic || part.dynamic()
			t.keys, t.parts = append(t.keys, k), append(t.parts, part)
		}
	}
	if dynamic {
		return t
	}
	literal, err := newValue(v)
	if err != nil {
		p.problem(path, "%s: %v", field, err)
	}
	return &template{literal: literal}
}

// expression compiles one expression. $eval is refused here and, called by
// another name, again when it runs.
func (p *parser) expression(path, field, source string) *expression {
	e := &expression{source: source, field: field}
	var err error
	if e.compiled, err = gnata.Compile(source); err != nil {
		p.problem(path, "%s is not JSONata: %v: %s", field, err, source)
	} else if evalCall.MatchString(source) {
		p.problem(path, "%s calls $eval, which Step Functions does not have: %s", field, source)
	}
	return e
}
