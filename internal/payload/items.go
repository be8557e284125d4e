package payload

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// A list of objects is kept flat: the value of a field of an item has the name
// LIST/INDEX/FIELD. Whoever goes through the values of a resource (to resolve
// references, to show a problem) thereby reaches those in items, too.

// itemFields reads the tags of a list's items. An item without a required field
// could be empty, and nothing would be left of it in the flat form.
func itemFields(t reflect.Type) ([]field, error) {
	fields, err := fieldsOf(t.Elem())
	if err != nil {
		return nil, err
	}
	for _, f := range fields {
		if f.required {
			return fields, nil
		}
	}
	return nil, fmt.Errorf("%v has no required field", t.Elem())
}

// isItems says whether a Go type is a list of objects.
func isItems(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct
}

func itemName(list string, index int, name string) string {
	return list + "/" + strconv.Itoa(index) + "/" + name
}

// items takes the objects of a list apart, into values.
func (p *parser) items(n *node, f field, values map[string]Value) {
	switch {
	case n.kind != arrayNode:
		p.add(n.pointer, n.show(), f.name+" is "+n.kind.String(), f.want())
	case len(n.items) == 0:
		p.add(n.pointer, n.show(), f.name+" is empty", f.want())
	}
	for i, item := range n.items {
		for name, v := range p.values(item, "an entry of "+f.name, f.items) {
			values[itemName(f.name, i, name)] = v
		}
	}
}

// itemValues gives the values of each item of a list.
func itemValues(values map[string]Value, list string) []map[string]Value {
	var items []map[string]Value
	for name, v := range values {
		rest, ok := strings.CutPrefix(name, list+"/")
		if !ok {
			continue
		}
		number, inner, _ := strings.Cut(rest, "/")
		index, err := strconv.Atoi(number)
		if err != nil {
			continue
		}
		for len(items) <= index {
			items = append(items, map[string]Value{})
		}
		items[index][inner] = v
	}
	return items
}

// assignItems decodes the items of a list into a struct's slice.
func (p *parser) assignItems(f field, values map[string]Value, target reflect.Value, allowed phase) (references bool) {
	all := itemValues(values, f.name)
	if len(all) == 0 {
		return false
	}
	list := target.FieldByIndex(f.index)
	list.Set(reflect.MakeSlice(list.Type(), len(all), len(all)))
	for i, item := range all {
		references = p.assign(f.items, item, list.Index(i), allowed) || references
	}
	return references
}

// absent reports required parameters that a document without problems of its
// own may still lack when a program has put it together.
func (p *parser) absent(pointer, what string, fields []field, values map[string]Value) {
	for _, f := range fields {
		given := false
		if f.kind == itemsField {
			for i, item := range itemValues(values, f.name) {
				given = true
				p.absent(fmt.Sprintf("%s/%s/%d", pointer, f.name, i), "an entry of "+f.name, f.items, item)
			}
		} else {
			_, given = values[f.name]
		}
		if f.required && !given {
			p.missing(pointer, what, f)
		}
	}
}

// nested is the form that Parse reads: what the flat form was made of.
func nested(values map[string]Value) map[string]any {
	out := map[string]any{}
	for name, v := range values {
		list, _, inItem := strings.Cut(name, "/")
		switch {
		case !inItem:
			out[name] = v.Text
		case out[list] == nil:
			var items []any
			for _, item := range itemValues(values, list) {
				items = append(items, nested(item))
			}
			out[list] = items
		}
	}
	return out
}

// Identity is one thing that a resource changes.
type Identity struct {
	// Name is KIND/NAME. Two resources of a payload must not have the same.
	Name string
	// Parameter is the one to be pointed at where they have, as Issue has it.
	Parameter string
	// Locked says that no other run may work on it meanwhile. A resource that
	// changes a thousand things locks a few of them, which stand for all.
	Locked bool
}

// Identifier is implemented by parameter structs whose things take several
// parameters to name: the identity tag names a thing by one.
type Identifier interface {
	Identities() []Identity
}

// identify remembers the things that parameters name together, and gives the
// names of those to be locked.
func (p *parser) identify(parameters any, r Resource) (locked []string) {
	named, ok := parameters.(Identifier)
	if !ok {
		return nil
	}
	for _, id := range named.Identities() {
		v, given := r.Parameters[id.Parameter]
		if !given {
			v = Value{Pointer: r.Pointer + "/parameters"}
		}
		key := [2]string{"", id.Name}
		if earlier, found := p.same.texts[key]; found {
			p.add(v.Pointer, quote(v.Text), id.Name+" is what "+earlier.value.Pointer+" names already"+v.origin(), "each thing once in a payload")
			continue
		}
		p.same.texts[key] = place{r.Pointer, v}
		if id.Locked {
			locked = append(locked, id.Name)
		}
	}
	return locked
}
