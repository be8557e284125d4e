// Package eventrule evaluates what a rule of EventBridge consists of: the event
// pattern, the input of a target and the rate of a schedule, so that the rules
// of a template can be tried without AWS. What it does not know is an error,
// never a match.
//
// Sources: the chapters "Event patterns", "Input transformation" and "Rate
// expressions" of the Amazon EventBridge User Guide.
package eventrule

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Match reports whether a pattern matches an event. Both are decoded JSON.
func Match(pattern, event map[string]any) (bool, error) {
	for name, want := range pattern {
		value, there := event[name]
		var ok bool
		var err error
		switch want := want.(type) {
		case map[string]any:
			ok, err = matchObject(want, value)
		case []any:
			ok, err = matchAny(want, value, there)
		default:
			err = fmt.Errorf("%s: a pattern has lists and objects, and this is %T", name, want)
		}
		if err != nil {
			return false, fmt.Errorf("%s: %w", name, err)
		}
		if !ok {
			return false, nil
		}
	}
	return true, nil
}

// matchObject matches an object, or any of a list of them.
func matchObject(pattern map[string]any, value any) (bool, error) {
	switch v := value.(type) {
	case map[string]any:
		return Match(pattern, v)
	case []any:
		for _, item := range v {
			if ok, err := matchObject(pattern, item); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	}
	return Match(pattern, nil) // only an exists: false can hold here
}

// matchAny matches one value of the event, or one of a list of them, with one
// of the matchers.
func matchAny(matchers []any, value any, there bool) (bool, error) {
	values, isList := value.([]any)
	if !isList {
		values = []any{value}
	}
	for _, m := range matchers {
		if special, ok := m.(map[string]any); ok {
			if exists, ok := special["exists"].(bool); ok {
				if _, object := value.(map[string]any); exists == (there && !object) {
					return true, nil
				}
				continue
			}
		}
		if !there {
			continue
		}
		for _, v := range values {
			if ok, err := matchValue(m, v); ok || err != nil {
				return ok, err
			}
		}
	}
	return false, nil
}

func matchValue(matcher, value any) (bool, error) {
	special, ok := matcher.(map[string]any)
	if !ok {
		return matcher == value, nil
	}
	if len(special) != 1 {
		return false, fmt.Errorf("a matcher has one name, and this one has %d", len(special))
	}
	text, isText := value.(string)
	for name, argument := range special {
		wanted, _ := argument.(string)
		switch name {
		case "prefix":
			return isText && strings.HasPrefix(text, wanted), nil
		case "suffix":
			return isText && strings.HasSuffix(text, wanted), nil
		case "equals-ignore-case":
			return isText && strings.EqualFold(text, wanted), nil
		case "anything-but":
			ok, err := matchAny(listed(argument), value, true)
			return !ok, err
		}
		return false, fmt.Errorf("the matcher %q is not known here", name)
	}
	return false, nil
}

func listed(v any) []any {
	if all, ok := v.([]any); ok {
		return all
	}
	return []any{v}
}

// Target is what of a target makes its input. At most one of the fields is
// set; without any the event is passed on as it is.
type Target struct {
	Input    string            // constant JSON
	Path     string            // InputPath
	Paths    map[string]string // InputPathsMap
	Template string            // InputTemplate
}

// Rule names a rule to its own template.
type Rule struct {
	Name, ARN string
}

// Give gives what the target gets. event is the JSON of the event.
func (t Target) Give(event []byte, r Rule, ingested time.Time) ([]byte, error) {
	var decoded any
	if err := json.Unmarshal(event, &decoded); err != nil {
		return nil, fmt.Errorf("the event: %w", err)
	}
	switch {
	case t.Input != "":
		return checked(t.Input)
	case t.Path != "":
		v, err := at(decoded, t.Path)
		if err != nil {
			return nil, err
		}
		return json.Marshal(v)
	case t.Template == "":
		return event, nil
	}
	return t.transform(decoded, r, ingested)
}

// variable is a placeholder of a template: one of the map, or one that
// EventBridge defines itself.
var variable = regexp.MustCompile(`<([A-Za-z0-9._-]+)>`)

// transform puts values in place of the placeholders. Inside a text of the
// template a value is written as text; anywhere else as JSON, a text with its
// quotes.
func (t Target) transform(event any, r Rule, ingested time.Time) ([]byte, error) {
	var out strings.Builder
	last := 0
	for _, m := range variable.FindAllStringSubmatchIndex(t.Template, -1) {
		before, name := t.Template[:m[0]], t.Template[m[2]:m[3]]
		out.WriteString(t.Template[last:m[0]])
		last = m[1]
		value, err := t.value(name, event, r, ingested)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		switch s, isText := value.(string); {
		case !inText(before):
			out.Write(text)
		case name == "aws.events.event.json":
			return nil, fmt.Errorf("<%s> stands inside a text, and can only be a value", name)
		case isText:
			quoted, err := json.Marshal(s)
			if err != nil {
				return nil, err
			}
			out.Write(quoted[1 : len(quoted)-1])
		default:
			quoted, err := json.Marshal(string(text))
			if err != nil {
				return nil, err
			}
			out.Write(quoted[1 : len(quoted)-1])
		}
	}
	out.WriteString(t.Template[last:])
	return checked(out.String())
}

func (t Target) value(name string, event any, r Rule, ingested time.Time) (any, error) {
	if path, ok := t.Paths[name]; ok {
		return at(event, path)
	}
	switch name {
	case "aws.events.event.json":
		return event, nil
	case "aws.events.rule-name":
		return r.Name, nil
	case "aws.events.rule-arn":
		return r.ARN, nil
	case "aws.events.event.ingestion-time":
		return ingested.UTC().Format("2006-01-02T15:04:05Z"), nil
	}
	return nil, fmt.Errorf("the template uses <%s>, which is not mapped", name)
}

// inText reports whether the end of a piece of JSON is inside a text.
func inText(piece string) bool {
	in := false
	for i := 0; i < len(piece); i++ {
		switch {
		case piece[i] == '\\':
			i++
		case piece[i] == '"':
			in = !in
		}
	}
	return in
}

func checked(text string) ([]byte, error) {
	if !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("the input would not be JSON: %s", text)
	}
	return []byte(text), nil
}

// at follows a JSON path of names. What is not there is null, as AWS has it.
func at(v any, path string) (any, error) {
	rest, ok := strings.CutPrefix(path, "$")
	if !ok || strings.ContainsAny(rest, "[]*@?") {
		return nil, fmt.Errorf("the path %q is not known here", path)
	}
	for _, name := range strings.Split(strings.TrimPrefix(rest, "."), ".") {
		if name == "" {
			continue
		}
		object, _ := v.(map[string]any)
		v = object[name]
	}
	return v, nil
}

var rate = regexp.MustCompile(`^rate\((\d+) (minute|minutes|hour|hours|day|days)\)$`)

// Every gives the interval of a rate expression.
func Every(expression string) (time.Duration, error) {
	m := rate.FindStringSubmatch(expression)
	var n int
	if m != nil {
		fmt.Sscan(m[1], &n)
	}
	// The unit is singular for one, and for one only.
	if n < 1 || (n == 1) == strings.HasSuffix(m[2], "s") {
		return 0, fmt.Errorf("the schedule %q is not known here: want rate(N minutes)", expression)
	}
	unit := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[strings.TrimSuffix(m[2], "s")]
	return time.Duration(n) * unit, nil
}
