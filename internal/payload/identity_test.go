package payload

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each entry of a list is a thing of its own: two resources that have one in
// common fight over it, however long the lists are.
func TestEntriesOfListsAreIdentities(t *testing.T) {
	type parameters struct {
		On  []string `identity:"switch"`
		Off []string `identity:"switch"`
	}
	fields := mustFields(reflect.TypeFor[parameters]())
	of := func(pointer, on, off string) Resource {
		return Resource{Pointer: pointer, Parameters: map[string]Value{"On": {Text: on, Pointer: pointer + "/On"}, "Off": {Text: off, Pointer: pointer + "/Off"}}}
	}
	first := of("/1", "arn:aws:x:::a/one, two", "three")
	if diff := cmp.Diff([]string{"switch/one", "switch/two", "switch/three"}, identitiesOf(first, fields)); diff != "" {
		t.Error(diff)
	}
	for _, tt := range []struct {
		name     string
		second   Resource
		problems int
	}{
		{"nothing in common", of("/2", "four", "five"), 0},
		{"one in common", of("/2", "four", "two"), 1},
		{"two in common, one of them by its ARN", of("/2", "three,one", "five"), 2},
	} {
		same := newIdentities()
		if problems := same.add(first, fields); len(problems) > 0 {
			t.Fatalf("%v", problems)
		}
		if problems := same.add(tt.second, fields); len(problems) != tt.problems {
			t.Errorf("%s: %v", tt.name, problems)
		}
	}
}
