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
		v, given := r.Parameters[f.name]
		if f.identity == "" || !given {
			continue
		}
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
			// One resource may name itself in two ways.
			if earlier.resource != r.Pointer {
				problems = append(problems, Problem{
					Pointer: v.Pointer,
					Value:   quote(v.Text),
					Message: f.name + " names what " + earlier.value.Pointer + " names already" + v.origin(),
					Want:    "each thing once in a payload",
				})
			}
			continue
		}
		here := place{r.Pointer, v}
		ids.texts[key] = here
		if arn {
			ids.tails[[2]string{f.identity, tail}] = here
		} else {
			ids.names[key] = here
		}
	}
	return problems
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
		v, given := r.Parameters[f.name]
		if f.identity == "" || !given {
			continue
		}
		name := v.Text
		if tail, arn := arnTail(name); arn {
			name = tail
		}
		all = append(all, f.identity+"/"+name)
	}
	return all
}
