package payload

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := Schema(testTypes())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestSchemaAccepts(t *testing.T) {
	schema := compile(t)
	for _, tt := range good {
		t.Run(tt.name, func(t *testing.T) {
			doc, err := jsonschema.UnmarshalJSON(strings.NewReader(strings.TrimPrefix(tt.input, "\uFEFF")))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(doc); err != nil {
				t.Error(err)
			}
		})
	}
}

// beyondSchema are the rows of the table of wrong payloads that a schema
// cannot refuse.
var beyondSchema = []string{
	"layer number twice", "number too high", "number as 7.0", "list with a gap", "across parameters",
	"parameter twice", "same name", "same ARN of two types in two layers", "ARN, then name", "name, then ARN", "same reference",
	// References that are wrong where any text may stand.
	"reference within text", "two references", "import of nothing", "import of two", "another tag", "another service", "incomplete",
	"secret without braces", "parameter name", "parameter with too much", "secret name", "secret as binary", "secret with too much",
	"secret stage and version", "secret for a number",
}

func TestSchemaRefuses(t *testing.T) {
	schema := compile(t)
	for _, tt := range wrong {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(tt.input))
		if err != nil {
			continue // what is no JSON never comes before a schema
		}
		t.Run(tt.name, func(t *testing.T) {
			accepted := schema.Validate(doc) == nil
			if accepted != slices.Contains(beyondSchema, tt.name) {
				t.Errorf("accepted: %v", accepted)
			}
		})
	}
}

func TestSchemaIsDeterministic(t *testing.T) {
	types := testTypes()
	first, err := Schema(types)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(types)
	second, err := Schema(types)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("the order of the types shows in the schema")
	}
	for _, part := range []string{"The replica to promote.", "Promotes a read replica. Machines: failover, failback.", `"default": "Managed"`} {
		if !bytes.Contains(first, []byte(part)) {
			t.Errorf("%q is missing", part)
		}
	}
	if _, err := Schema(append(types, Type{Name: types[0].Name, Parameters: reflect.TypeFor[deleteParameters]()})); err == nil {
		t.Error("two types of one name are accepted")
	}
	if _, err := Schema(nil); err != nil {
		t.Errorf("without types: %v", err)
	}
}
