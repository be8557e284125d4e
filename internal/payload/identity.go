package payload

import "strings"

// identities remembers what the resources of a payload are, to find two that
// are the same thing. Running both would make each fight the other's change.
type identities struct {
	texts map[[2]string]place // by identity tag and text
	names map[[2]string]place // plain names
	tails map[[2]string]place // ARNs, by their last segment
}

type place struct {
	resource string
	value    Value
}

func newIdentities() identities {
	return identities{map[[2]string]place{}, map[[2]string]place{}, map[[2]string]place{}}
}

// add remembers a resource and returns a problem for each identity that an
// earlier one has.
func (ids identities) add(r Resource, fields []field) Problems {
	var problems Problems
	for _, f := range fields {
		given, ok := r.Parameters[f.name]
		if f.identity == "" || !ok {
			continue
		}
		for _, v := range f.each(given) {
			problems = append(problems, ids.addValue(r, f, v)...)
		}
	}
	return problems
}

// each gives the things that a parameter names: the entries of a list.
func (f field) each(v Value) []Value {
	if _, reference, _ := ParseReference(v.Text); reference {
		return []Value{v}
	}
	if formats[f.format].anyCase {
		v.Text = strings.ToLower(v.Text)
	}
	if f.kind != listField {
		return []Value{v}
	}
	var all []Value
	for _, text := range strings.Split(v.Text, ",") {
		one := v
		one.Text = strings.TrimSpace(text)
		all = append(all, one)
	}
	return all
}

func (ids identities) addValue(r Resource, f field, v Value) Problems {
	key := [2]string{f.identity, v.Text}
	earlier, found := ids.texts[key]
	tail, arn := arnTail(v.Text)
	if !found && arn {
		earlier, found = ids.names[[2]string{f.identity, tail}]
	}
	if !found && !arn {
		earlier, found = ids.tails[key]
	}
	if found {
		if earlier.resource == r.Pointer { // one resource may name itself in two ways
			return nil
		}
		return Problems{{
			Pointer: v.Pointer,
			Value:   quote(v.Text),
			Message: f.name + " names what " + earlier.value.Pointer + " names already" + v.origin(),
			Want:    "each thing once in a payload",
		}}
	}
	here := place{r.Pointer, v}
	ids.texts[key] = here
	if arn {
		ids.tails[[2]string{f.identity, tail}] = here
	} else {
		ids.names[key] = here
	}
	return nil
}

// arnTail is the last segment of an ARN: the name of the thing.
func arnTail(text string) (string, bool) {
	if !strings.HasPrefix(text, "arn:") {
		return "", false
	}
	return text[strings.LastIndexAny(text, ":/")+1:], true
}

// identitiesOf names what a resource changes: the identity tags and the names
// of the things, without the rest of an ARN.
func identitiesOf(r Resource, fields []field) []string {
	var all []string
	for _, f := range fields {
		given, ok := r.Parameters[f.name]
		if f.identity == "" || !ok {
			continue
		}
		for _, v := range f.each(given) {
			name := v.Text
			if tail, arn := arnTail(name); arn {
				name = tail
			}
			all = append(all, f.identity+"/"+name)
		}
	}
	return all
}
