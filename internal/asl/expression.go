package asl

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"

	"github.com/recolabs/gnata"
)

// expression is one compiled {% … %} of the definition.
type expression struct {
	source   string
	field    string // where it stands in its state, for messages
	compiled *gnata.Expression
}

// template is a JSON value of the definition that may hold expressions at any
// depth. Exactly one of its forms is in use: an expression, an object or array
// with an expression somewhere inside, or a literal.
type template struct {
	expr    *expression
	literal value
	keys    []string    // of an object
	parts   []*template // values of the object, or elements of the array
	list    bool
}

func (t *template) dynamic() bool { return t.expr != nil || t.parts != nil }

// scope evaluates expressions with one set of variables and one reading of the
// clock.
type scope struct {
	ctx      context.Context
	rt       Runtime
	visible  func() map[string]any // the variables, asked for once and only if needed
	bindings map[string]any        // those and the functions
}

func (s *scope) eval(e *gnata.Expression) (any, error) {
	if s.bindings == nil {
		s.bindings = functions(s.ctx, s.rt)
		maps.Copy(s.bindings, s.visible())
	}
	return e.EvalWithVars(s.ctx, nil, s.bindings)
}

// evaluate gives the value of t. The error is an *Error named
// States.QueryEvaluationError, or errStopped.
func (s *scope) evaluate(t *template) (value, error) {
	if !t.dynamic() {
		return t.literal, nil
	}
	var buf bytes.Buffer
	if err := s.render(&buf, t); err != nil {
		return value{}, err
	}
	// Decoding again leaves nothing of JSONata's own kinds of values behind. The
	// text is compact already.
	data, err := decodeJSON(buf.Bytes())
	return value{raw: buf.Bytes(), data: data}, err
}

// render writes the JSON of t. Going by way of text keeps the order of keys and
// gives the size that the quota is about.
func (s *scope) render(buf *bytes.Buffer, t *template) error {
	switch {
	case t.expr != nil:
		return s.renderExpression(buf, t.expr)
	case !t.dynamic():
		buf.Write(t.literal.raw)
		return nil
	case t.list:
		return encodeList(buf, '[', ']', t.parts, func(p *template) error { return s.render(buf, p) })
	}
	i := 0
	return encodeList(buf, '{', '}', t.keys, func(k string) error {
		if err := encodeScalar(buf, k); err != nil {
			return err
		}
		buf.WriteByte(':')
		i++
		return s.render(buf, t.parts[i-1])
	})
}

func (s *scope) renderExpression(buf *bytes.Buffer, e *expression) error {
	v, err := s.eval(e.compiled)
	if s.ctx.Err() != nil {
		return errStopped
	}
	// JSONata would leave the field out; Step Functions refuses.
	if err == nil && v == nil {
		return queryError(e, "returned nothing (undefined)")
	}
	if err == nil {
		err = encode(buf, v)
	}
	if err != nil {
		return queryError(e, "threw an error: %v", err)
	}
	return nil
}

// queryError is the failure of an expression, worded as Step Functions does.
func queryError(e *expression, format string, args ...any) error {
	return &Error{
		Name:  ErrorQueryEvaluation,
		Cause: fmt.Sprintf("The JSONata expression '%s' specified for the field '%s' ", e.source, e.field) + fmt.Sprintf(format, args...) + ".",
	}
}

// bounds are what a number in the definition may be.
type bounds struct {
	min, max float64
	whole    bool
}

func (b bounds) admit(v any) (float64, error) {
	n, ok := number(v)
	switch {
	case !ok:
		return 0, fmt.Errorf("must be a number, not %s", typeName(v))
	case b.whole && n != math.Trunc(n):
		return 0, fmt.Errorf("must be an integer, not %v", n)
	case n < b.min || n > b.max:
		return 0, fmt.Errorf("must be between %v and %v, not %v", b.min, b.max, n)
	}
	return n, nil
}

// number evaluates a field that must be a number; a missing field is absent.
func (s *scope) number(t *template, b bounds, absent float64) (float64, error) {
	if t == nil {
		return absent, nil
	}
	v, err := s.evaluate(t)
	if err != nil {
		return 0, err
	}
	n, err := b.admit(v.data)
	if err != nil {
		return 0, t.wrong(err)
	}
	return n, nil
}

// text evaluates a field that must be a string; a missing field is empty.
func (s *scope) text(t *template) (string, error) {
	if t == nil {
		return "", nil
	}
	v, err := s.evaluate(t)
	if err != nil {
		return "", err
	}
	str, ok := v.data.(string)
	if !ok {
		return "", t.wrong(fmt.Errorf("must be a string, not %s", typeName(v.data)))
	}
	return str, nil
}

// wrong is the failure of a field whose value has the wrong type or range.
func (t *template) wrong(err error) error {
	if t.expr == nil {
		return &Error{Name: ErrorQueryEvaluation, Cause: "A field " + err.Error() + "."}
	}
	return queryError(t.expr, "returned an unexpected result: it %v", err)
}
