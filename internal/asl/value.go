package asl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/recolabs/gnata"
)

// maxPayload is the quota, in bytes of JSON, of an input, output, result,
// argument or Assign.
const maxPayload = 262_144

// value is a JSON value in both its forms: as text, whose length the quota
// limits, and decoded for JSONata. Both are read only, since concurrent
// branches share them.
type value struct {
	raw  json.RawMessage
	data any
}

// object is a decoded JSON object that kept the order of its keys.
type object interface {
	Keys() []string
	Get(key string) (any, bool)
}

// decodeValue reads JSON text. The text kept is compact, since that is what the
// quota measures.
func decodeValue(raw []byte) (value, error) {
	data, err := decodeJSON(raw)
	if err != nil {
		return value{}, err
	}
	return newValue(data)
}

func newValue(data any) (value, error) {
	var buf bytes.Buffer
	if err := encode(&buf, data); err != nil {
		return value{}, err
	}
	return value{raw: buf.Bytes(), data: data}, nil
}

func decodeJSON(raw []byte) (any, error) {
	// The streaming decoder underneath would stop after the first value.
	if !json.Valid(raw) {
		return nil, errors.New("not a JSON value")
	}
	return gnata.DecodeJSON(raw)
}

// stringsValue makes an object of strings out of key, value, key, value, ...
func stringsValue(pairs ...string) value {
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	var buf bytes.Buffer
	if err := encode(&buf, m); err != nil {
		panic(err) // strings always encode
	}
	return value{raw: buf.Bytes(), data: m}
}

// joinValues makes an array of values.
func joinValues(items []value) value {
	raw := make([][]byte, len(items))
	data := make([]any, len(items))
	for i, item := range items {
		raw[i], data[i] = item.raw, item.data
	}
	return value{raw: slices.Concat([]byte("["), bytes.Join(raw, []byte(",")), []byte("]")), data: data}
}

// within refuses a value over the payload quota.
func (v value) within(what string) error {
	if len(v.raw) <= maxPayload {
		return nil
	}
	return &Error{
		Name:  ErrorDataLimit,
		Cause: fmt.Sprintf("The %s has a size of %d bytes, exceeding the maximum number of bytes service limit (%d).", what, len(v.raw), maxPayload),
	}
}

// encode writes v as JSON: what JSONata yields, with the order of keys kept and
// without the escapes that encoding/json adds for HTML.
func encode(buf *bytes.Buffer, v any) error {
	switch v := v.(type) {
	case nil:
		buf.WriteString("null")
	case bool, string, json.Number:
		return encodeScalar(buf, v)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return errors.New("a number out of range is not JSON")
		}
		if v == 0 {
			v = 0 // JSON of JavaScript has no negative zero
		}
		return encodeScalar(buf, v)
	case []any:
		return encodeList(buf, '[', ']', v, func(item any) error { return encode(buf, item) })
	case map[string]any:
		return encodeMembers(buf, slices.Sorted(maps.Keys(v)), func(k string) any { return v[k] })
	case object:
		return encodeMembers(buf, v.Keys(), func(k string) any { m, _ := v.Get(k); return m })
	default:
		if gnata.IsNull(v) {
			buf.WriteString("null")
			return nil
		}
		// What is left is either a sequence, which becomes one of the above,
		// or a function, which stays what it is.
		switch n := gnata.NormalizeValue(v).(type) {
		case nil, bool, string, json.Number, float64, []any, map[string]any:
			return encode(buf, n)
		default:
			return errors.New("a function is not JSON")
		}
	}
	return nil
}

func encodeScalar(buf *bytes.Buffer, v any) error {
	if s, ok := v.(string); ok && !strings.ContainsFunc(s, escaped) {
		buf.WriteByte('"')
		buf.WriteString(s)
		buf.WriteByte('"')
		return nil
	}
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	buf.Truncate(buf.Len() - 1) // the encoder's newline
	return nil
}

// escaped tells what may need an escape: most texts hold none, and no encoder is
// needed for them.
func escaped(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r >= 0x7f }

func encodeMembers(buf *bytes.Buffer, keys []string, get func(string) any) error {
	return encodeList(buf, '{', '}', keys, func(k string) error {
		if err := encodeScalar(buf, k); err != nil {
			return err
		}
		buf.WriteByte(':')
		return encode(buf, get(k))
	})
}

func encodeList[T any](buf *bytes.Buffer, open, end byte, items []T, item func(T) error) error {
	buf.WriteByte(open)
	for i, it := range items {
		if i > 0 {
			buf.WriteByte(',')
		}
		if err := item(it); err != nil {
			return err
		}
	}
	buf.WriteByte(end)
	return nil
}

// number reads a JSON number.
func number(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	}
	return 0, false
}

// typeName is the JSON type of a value, for messages.
func typeName(v any) string {
	switch v.(type) {
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64, json.Number:
		return "number"
	case []any:
		return "array"
	case object, map[string]any:
		return "object"
	}
	return "null"
}

// isExpression tells whether a string is a JSONata expression; half is true if
// it has only one of the two marks.
func isExpression(s string) (source string, ok, half bool) {
	inner, opened := strings.CutPrefix(s, "{%")
	source, closed := strings.CutSuffix(inner, "%}")
	if opened && closed {
		return strings.TrimSpace(source), true, false
	}
	return "", false, opened || strings.HasSuffix(s, "%}")
}
