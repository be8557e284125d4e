package payload

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Issue is a problem that a parameter struct finds with itself.
type Issue struct {
	// Parameter is the one to be pointed at, "" for all of them.
	Parameter string
	Message   string
	Want      string
}

// Checker is implemented by parameter structs with rules across several
// parameters. Check is called when each parameter is right by itself; a
// parameter that is a secret holds the reference, never the secret.
type Checker interface {
	Check() []Issue
}

// fieldKind is what a parameter holds.
type fieldKind int

const (
	textField fieldKind = iota
	boolField
	numberField
	listField
	itemsField
)

// field is one parameter: what the tags of a struct field say.
type field struct {
	name     string
	index    []int
	kind     fieldKind
	pointer  bool
	required bool
	format   string
	enum     []string
	min, max *int
	fallback string
	identity string
	doc      string
	items    []field // of each object, in a list of objects
}

var fieldKinds = map[reflect.Type]fieldKind{
	reflect.TypeFor[string]():   textField,
	reflect.TypeFor[bool]():     boolField,
	reflect.TypeFor[*bool]():    boolField,
	reflect.TypeFor[int]():      numberField,
	reflect.TypeFor[*int]():     numberField,
	reflect.TypeFor[[]string](): listField,
}

// fieldsOf reads the tags of a parameter struct, in the order of its fields.
func fieldsOf(t reflect.Type) ([]field, error) {
	if t == nil || t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("payload: %v is not a struct type", t)
	}
	var fields []field
	for _, sf := range reflect.VisibleFields(t) {
		if sf.Anonymous || !sf.IsExported() {
			continue
		}
		f, err := fieldOf(sf)
		if err != nil {
			return nil, fmt.Errorf("payload: field %s of %v: %w", sf.Name, t, err)
		}
		fields = append(fields, f)
	}
	return fields, nil
}

func fieldOf(sf reflect.StructField) (field, error) {
	kind, ok := fieldKinds[sf.Type]
	var items []field
	if isItems(sf.Type) {
		var err error
		if items, err = itemFields(sf.Type); err != nil {
			return field{}, err
		}
		kind, ok = itemsField, true
	}
	if !ok {
		return field{}, fmt.Errorf("the type %v cannot be a parameter", sf.Type)
	}
	f := field{
		name:     sf.Name,
		index:    sf.Index,
		kind:     kind,
		items:    items,
		pointer:  sf.Type.Kind() == reflect.Pointer,
		format:   sf.Tag.Get("format"),
		fallback: sf.Tag.Get("default"),
		identity: sf.Tag.Get("identity"),
		doc:      sf.Tag.Get("doc"),
	}
	switch tag := sf.Tag.Get("param"); tag {
	case "":
	case "required":
		f.required = true
	default:
		return f, fmt.Errorf("param:%q is not known", tag)
	}
	if tag := sf.Tag.Get("enum"); tag != "" {
		f.enum = strings.Split(tag, ",")
	}
	for tag, bound := range map[string]**int{"min": &f.min, "max": &f.max} {
		text, ok := sf.Tag.Lookup(tag)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || kind != numberField {
			return f, fmt.Errorf("%s:%q does not fit", tag, text)
		}
		*bound = &n
	}
	if kind == numberField && f.format == "positive-seconds" {
		one := 1
		f.format, f.min = "", &one
	}
	if _, ok := formats[f.format]; f.format != "" && (!ok || kind != textField && kind != listField) {
		return f, fmt.Errorf("format:%q is not known for this type", f.format)
	}
	if f.enum != nil && kind != textField && kind != listField {
		return f, fmt.Errorf("enum does not fit the type %v", sf.Type)
	}
	if kind == itemsField && (f.fallback != "" || f.identity != "") {
		return f, fmt.Errorf("a list of objects has neither a default nor an identity")
	}
	if f.fallback != "" {
		if _, issue := f.decode(f.fallback); issue != nil {
			return f, fmt.Errorf("default:%q: %s", f.fallback, issue.Message)
		}
	}
	return f, nil
}

// mustFields panics on wrong tags: they are a fault of the program, which
// Schema reports in a test.
func mustFields(t reflect.Type) []field {
	fields, err := fieldsOf(t)
	if err != nil {
		panic(err)
	}
	return fields
}

// want says in words what the parameter should be.
func (f field) want() string {
	switch {
	case f.kind == itemsField:
		return `a list of objects: [{"name": "value"}]`
	case f.kind == boolField:
		return `true or false`
	case f.kind == numberField && f.min != nil && f.max != nil:
		return fmt.Sprintf("a whole number from %d to %d", *f.min, *f.max)
	case f.kind == numberField && f.min != nil:
		return fmt.Sprintf("a whole number, %d or more", *f.min)
	case f.kind == numberField && f.max != nil:
		return fmt.Sprintf("a whole number, %d or less", *f.max)
	case f.kind == numberField:
		return "a whole number"
	}
	want := "text that is not empty"
	if f.format != "" {
		want = fmt.Sprintf("%s, such as %s", formats[f.format].words, formats[f.format].example)
	} else if f.enum != nil {
		want = "one of " + strings.Join(f.enum, ", ")
	}
	if f.kind == listField {
		want = "one text with commas between, or a JSON array of strings, each " + want
	}
	return want
}

// wholeNumber bounds the digits, so that every match fits an int.
var wholeNumber = regexp.MustCompile(`^-?[0-9]{1,18}$`)

// decode turns the text of a parameter into a string, bool, int or []string.
func (f field) decode(text string) (any, *Issue) {
	wrong := func(format string, args ...any) (any, *Issue) {
		return nil, &Issue{Parameter: f.name, Message: f.name + " " + fmt.Sprintf(format, args...), Want: f.want()}
	}
	switch f.kind {
	case boolField:
		switch text {
		case "True", "true":
			return true, nil
		case "False", "false":
			return false, nil
		}
		return wrong("is neither true nor false")
	case numberField:
		if !wholeNumber.MatchString(text) {
			return wrong("is not a whole number")
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return wrong("is not a whole number")
		}
		if f.min != nil && n < *f.min || f.max != nil && n > *f.max {
			return wrong("is out of range")
		}
		return n, nil
	case listField:
		parts := strings.Split(text, ",")
		for i, part := range parts {
			parts[i] = strings.TrimSpace(part)
			if fault := f.fault(parts[i]); fault != "" {
				return wrong("has an entry %s that %s", quote(parts[i]), fault)
			}
		}
		return parts, nil
	default:
		if fault := f.fault(text); fault != "" {
			return wrong("%s", fault)
		}
		return text, nil
	}
}

// fault says what is wrong with one text, "" if nothing is.
func (f field) fault(text string) string {
	switch {
	case strings.TrimSpace(text) == "":
		return "is empty"
	case f.format != "" && !formats[f.format].matches(text):
		return "does not have the right form"
	case f.enum != nil && !slices.Contains(f.enum, text):
		if near := Nearest(text, f.enum); near != "" {
			return "is not known; did you mean " + near + "?"
		}
		return "is not known"
	}
	return ""
}

// store puts a decoded value into the struct.
func (f field) store(target reflect.Value, value any) {
	to := target.FieldByIndex(f.index)
	if f.pointer {
		to.Set(reflect.New(to.Type().Elem()))
		to = to.Elem()
	}
	to.Set(reflect.ValueOf(value))
}

// values takes the parameters out of an object as texts. Unknown, missing and
// repeated ones and wrong JSON types become problems.
func (p *parser) values(n *node, what string, fields []field) map[string]Value {
	var names, required []string
	byName := map[string]field{}
	for _, f := range fields {
		names = append(names, f.name)
		byName[f.name] = f
		if f.required {
			required = append(required, f.name)
		}
	}
	members, missing, ok := p.members(n, what, `an object: {"name": "value"}`, names, required)
	if !ok {
		return nil
	}
	for _, name := range missing {
		p.missing(n.pointer, what, byName[name])
	}
	values := make(map[string]Value, len(members))
	for _, m := range n.members {
		// Unknown names, and repeated ones from the second time on.
		if members[m.name] != m.value {
			continue
		}
		if byName[m.name].kind == itemsField {
			p.items(m.value, byName[m.name], values)
		} else if text, ok := p.text(m.value, byName[m.name]); ok {
			values[m.name] = Value{Text: text, Pointer: m.value.pointer}
		}
	}
	return values
}

func (p *parser) missing(pointer, what string, f field) {
	p.add(pointer, "", what+" needs the parameter "+f.name, f.want())
}

// text is the text form of a value of the right JSON type.
func (p *parser) text(n *node, f field) (string, bool) {
	switch {
	case n.kind == stringNode,
		n.kind == boolNode && f.kind == boolField,
		n.kind == numberNode && f.kind == numberField:
		return n.text, true
	case n.kind == arrayNode && f.kind == listField:
		return p.joined(n, f)
	}
	want := f.want()
	if f.kind == textField && (n.kind == numberNode || n.kind == boolNode) {
		want = "text in quotes: " + want
	}
	p.add(n.pointer, n.show(), f.name+" is "+n.kind.String(), want)
	return "", false
}

func (p *parser) joined(n *node, f field) (string, bool) {
	if len(n.items) == 0 {
		p.add(n.pointer, n.show(), f.name+" is empty", f.want())
		return "", false
	}
	ok := true
	var texts []string
	for _, item := range n.items {
		_, reference, _ := ParseReference(item.text)
		switch {
		case item.kind != stringNode:
			p.add(item.pointer, item.show(), f.name+" has an entry that is "+item.kind.String(), f.want())
			ok = false
		case strings.Contains(item.text, ","):
			p.add(item.pointer, item.show(), f.name+" has an entry with a comma", "one entry for each")
			ok = false
		case reference:
			p.add(item.pointer, item.show(), f.name+" has an entry that is a reference",
				"one reference instead of the list, to a value with commas between the entries")
			ok = false
		}
		texts = append(texts, item.text)
	}
	return strings.Join(texts, ","), ok
}

// phase says which references a value may be.
type phase int

const (
	noReferences     phase = iota // options: nothing resolves them
	anyReferences                 // before package resolve
	secretReferences              // after it
)

// assign decodes the values into a struct, reporting what is wrong, and says
// whether any of them is a reference.
func (p *parser) assign(fields []field, values map[string]Value, target reflect.Value, allowed phase) (references bool) {
	for _, f := range fields {
		if f.kind == itemsField {
			references = p.assignItems(f, values, target, allowed) || references
			continue
		}
		v, given := values[f.name]
		if !given {
			if f.fallback != "" {
				fallback, _ := f.decode(f.fallback)
				f.store(target, fallback)
			}
			continue
		}
		if ref, meant, err := ParseReference(v.Text); meant {
			references = true
			switch {
			case err != nil:
				p.add(v.Pointer, quote(v.Text), f.name+": "+err.Error(), ReferenceForms)
			case allowed == noReferences:
				p.add(v.Pointer, quote(v.Text), f.name+" cannot be a reference", f.want())
			case ref.IsSecret() && f.kind != textField:
				p.add(v.Pointer, quote(v.Text), f.name+" cannot be a secret: only text can", f.want())
			case allowed == secretReferences && !ref.IsSecret():
				p.add(v.Pointer, quote(v.Text), f.name+" is a reference that nobody resolved", f.want())
			case f.kind == textField:
				f.store(target, v.Text)
			}
			continue
		}
		value, issue := f.decode(v.Text)
		if issue != nil {
			p.add(v.Pointer, quote(v.Text), issue.Message+v.origin(), issue.Want)
			continue
		}
		f.store(target, value)
	}
	return references
}

// origin says where a resolved text came from: the payload shows only the
// reference.
func (v Value) origin() string {
	if v.Reference == "" {
		return ""
	}
	return " (it came from " + shorten(v.Reference) + ")"
}

// Missing names the required fields of a parameter struct that are empty.
func Missing(parameters any) []string {
	v := reflect.Indirect(reflect.ValueOf(parameters))
	var missing []string
	if v.Kind() != reflect.Struct {
		return nil
	}
	for _, f := range reflect.VisibleFields(v.Type()) {
		if f.Tag.Get("param") == "required" && v.FieldByIndex(f.Index).IsZero() {
			missing = append(missing, f.Name)
		}
		if !isItems(f.Type) {
			continue
		}
		for i := range v.FieldByIndex(f.Index).Len() {
			for _, name := range Missing(v.FieldByIndex(f.Index).Index(i).Interface()) {
				missing = append(missing, itemName(f.Name, i, name))
			}
		}
	}
	return missing
}
