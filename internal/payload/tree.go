package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// nodeKind is the JSON type of a node.
type nodeKind int

const (
	objectNode nodeKind = iota
	arrayNode
	stringNode
	numberNode
	boolNode
	nullNode
)

func (k nodeKind) String() string {
	return [...]string{"an object", "a list", "text", "a number", "true or false", "null"}[k]
}

// node is a JSON value that still knows where it stood. encoding/json drops
// duplicate keys silently when it decodes into maps or structs, so the tree
// keeps members as a list.
type node struct {
	kind    nodeKind
	text    string // of a string (decoded), number or boolean
	pointer string
	members []member
	items   []*node
}

type member struct {
	name  string
	value *node
}

// show is the node as a problem shows it.
func (n *node) show() string {
	switch n.kind {
	case objectNode:
		if len(n.members) == 0 {
			return "{}"
		}
		return "{...}"
	case arrayNode:
		if len(n.items) == 0 {
			return "[]"
		}
		return "[...]"
	case stringNode:
		return quote(n.text)
	default:
		return shorten(n.text)
	}
}

// parseTree reads the whole input. The root is nil if there is none, and then
// there is at least one problem; duplicate keys are problems beside a root.
func parseTree(data []byte) (*node, Problems) {
	if len(data) > MaxBytes {
		return nil, Problems{{
			Message: fmt.Sprintf("the input has %d bytes", len(data)),
			Want:    fmt.Sprintf("at most %d bytes", MaxBytes),
		}}
	}
	// Editors on Windows write a byte order mark, which JSON does not allow.
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	if !utf8.Valid(data) {
		// The decoder would replace what is not UTF-8 without a word.
		at := 0
		for r, size := utf8.DecodeRune(data); r != utf8.RuneError || size > 1; r, size = utf8.DecodeRune(data[at:]) {
			at += size
		}
		return nil, Problems{syntaxProblem(data, at, "the input is not UTF-8")}
	}
	b := &builder{decoder: json.NewDecoder(bytes.NewReader(data))}
	b.decoder.UseNumber()
	root, err := b.value("", 0)
	if deep, ok := errors.AsType[*depthError](err); ok {
		return nil, Problems{{
			Pointer: deep.pointer,
			Message: fmt.Sprintf("the input is nested more than %d deep", MaxDepth),
			Want:    "a payload, which needs 5 levels",
		}}
	}
	// Unmarshal knows the offset of an error exactly, which the token decoder
	// does not, and sees what follows the value.
	var whole json.RawMessage
	if syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(data, &whole)); ok {
		message := syntax.Error()
		at := int(syntax.Offset) - 1
		if strings.HasPrefix(message, "unexpected end") {
			message, at = "the input ends in the middle", len(data)
		}
		if len(bytes.TrimSpace(data)) == 0 {
			message = "the input is empty"
		}
		return nil, Problems{syntaxProblem(data, at, message)}
	}
	if err != nil {
		return nil, Problems{{Message: "the input cannot be read: " + err.Error()}}
	}
	return root, b.problems
}

// syntaxProblem places a problem at an offset, by line and column (both from 1,
// columns in characters).
func syntaxProblem(data []byte, at int, message string) Problem {
	at = min(max(at, 0), len(data))
	start := bytes.LastIndexByte(data[:at], '\n') + 1
	line := bytes.Count(data[:at], []byte("\n")) + 1
	column := utf8.RuneCount(data[start:at]) + 1
	text, _, _ := bytes.Cut(data[start:], []byte("\n"))
	p := Problem{
		Message: fmt.Sprintf("not JSON, line %d, column %d: %s", line, column, message),
		Want:    "one JSON object, and nothing after it",
	}
	if shown := strings.TrimSpace(string(text)); shown != "" {
		p.Value = quote(shown)
	}
	return p
}

// depthError says that the nesting goes too deep.
type depthError struct{ pointer string }

func (e *depthError) Error() string { return "nested too deep" }

type builder struct {
	decoder  *json.Decoder
	problems Problems
}

func (b *builder) value(pointer string, depth int) (*node, error) {
	token, err := b.decoder.Token()
	if err != nil {
		return nil, err
	}
	n := &node{pointer: pointer}
	switch t := token.(type) {
	case json.Delim:
		if depth == MaxDepth {
			return nil, &depthError{pointer}
		}
		if t == '[' {
			n.kind = arrayNode
			err = b.array(n, depth+1)
		} else {
			n.kind = objectNode
			err = b.object(n, depth+1)
		}
		if err == nil {
			_, err = b.decoder.Token()
		}
		return n, err
	case string:
		n.kind, n.text = stringNode, t
	case json.Number:
		n.kind, n.text = numberNode, t.String()
	case bool:
		n.kind, n.text = boolNode, strconv.FormatBool(t)
	case nil:
		n.kind, n.text = nullNode, "null"
	}
	return n, nil
}

func (b *builder) array(n *node, depth int) error {
	for b.decoder.More() {
		item, err := b.value(n.pointer+"/"+strconv.Itoa(len(n.items)), depth)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	return nil
}

func (b *builder) object(n *node, depth int) error {
	times := map[string]int{}
	for b.decoder.More() {
		token, err := b.decoder.Token()
		if err != nil {
			return err
		}
		name, ok := token.(string)
		if !ok {
			return io.ErrUnexpectedEOF
		}
		value, err := b.value(n.pointer+"/"+escapePointer(name), depth)
		if err != nil {
			return err
		}
		n.members = append(n.members, member{name, value})
		if times[name]++; times[name] == 2 {
			b.problems = append(b.problems, Problem{
				Pointer: value.pointer,
				Value:   value.show(),
				Message: "the field " + quote(name) + " is given more than once",
				Want:    "each field once",
			})
		}
	}
	return nil
}

func escapePointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
