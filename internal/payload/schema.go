package payload

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Schema writes the JSON Schema (draft 2020-12) of the StatePayload, indented
// and the same for the same types. It is for editors; Parse checks more than a
// schema can say: ranges of numbers written as text, numbers of layers,
// entries of lists written as text, identities, rules across parameters.
func Schema(types Types) ([]byte, error) {
	defs := map[string]any{
		"reference": map[string]any{
			"description": "A value that is kept in AWS: " + ReferenceForms + ".",
			"type":        "string",
			"pattern":     `^\s*(?:!Import +\S+|resolve:ssm:\S+|\{\{\s*resolve:(?:ssm|ssm-secure|secretsmanager):[^{}]+\}\})\s*$`,
		},
	}
	names := types.names("")
	var branches []any
	for i, name := range names {
		if i > 0 && names[i-1] == name {
			return nil, fmt.Errorf("payload: two types have the name %s", name)
		}
		t, _ := types.find(name)
		def, err := parametersSchema(t.Parameters, true)
		if err != nil {
			return nil, err
		}
		def["description"] = strings.TrimSpace(t.Doc + " Machines: " + strings.Join(t.Machines, ", ") + ".")
		defs[name] = def
		branches = append(branches, map[string]any{
			"if": map[string]any{
				"properties": map[string]any{"resourceType": map[string]any{"const": name}},
				"required":   []string{"resourceType"},
			},
			"then": map[string]any{
				"properties": map[string]any{"parameters": map[string]any{"$ref": "#/$defs/" + name}},
			},
		})
	}
	low, week, day := 1, MaxTimeLimit, MaxResourceTimeLimit
	limit := field{name: "timeLimitSeconds", kind: numberField, min: &low, max: &week, doc: "Seconds after which what is not done counts as failed."}
	own := field{name: "timeLimitSeconds", kind: numberField, min: &low, max: &day, doc: "Seconds after which it counts as failed."}
	optional := field{name: "optional", kind: boolField, doc: "The run goes on, and may succeed, without it."}
	resource := object(map[string]any{
		"resourceType":     map[string]any{"enum": names},
		"resourceName":     map[string]any{"type": "string", "pattern": `\S`, "description": "A name for people, which the report uses."},
		"parameters":       map[string]any{"type": "object"},
		"optional":         optional.schema(false),
		"timeLimitSeconds": own.schema(false),
	}, "resourceType", "resourceName", "parameters")
	if branches != nil {
		resource["allOf"] = branches
	}
	options, err := parametersSchema(reflect.TypeFor[Options](), false)
	if err != nil {
		return nil, err
	}
	options["description"] = "Options for the whole run."
	defs["resource"] = resource
	defs["layer"] = object(map[string]any{
		"layer": map[string]any{
			"description": "Layers run one after another, the lowest number first.",
			"anyOf": []any{
				map[string]any{"type": "integer", "minimum": 0, "maximum": MaxLayer},
				map[string]any{"type": "string", "pattern": wholeNumber.String()},
			},
		},
		"resources": map[string]any{
			"description": "The resources of a layer run in parallel.",
			"type":        "array", "minItems": 1, "items": map[string]any{"$ref": "#/$defs/resource"},
		},
		"dependsOn": map[string]any{
			"description": "With OnFailure continue: the lower layers that must have succeeded. Without it, all of them.",
			"type":        "array", "items": map[string]any{"anyOf": []any{
				map[string]any{"type": "integer", "minimum": 0, "maximum": MaxLayer},
				map[string]any{"type": "string", "pattern": wholeNumber.String()},
			}},
		},
		"timeLimitSeconds": limit.schema(false),
	}, "layer", "resources")
	root := object(map[string]any{
		"StatePayload": map[string]any{"type": "array", "minItems": 1, "items": map[string]any{"$ref": "#/$defs/layer"}},
		"Options":      options,
		"$schema":      map[string]any{"type": "string", "description": "Where this schema stands, for editors."},
	}, "StatePayload")
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "StatePayload"
	root["$defs"] = defs

	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		return nil, fmt.Errorf("payload: encode the schema: %w", err)
	}
	return out.Bytes(), nil
}

func object(properties map[string]any, required ...string) map[string]any {
	o := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

func parametersSchema(t reflect.Type, references bool) (map[string]any, error) {
	fields, err := fieldsOf(t)
	if err != nil {
		return nil, err
	}
	return objectOf(fields, references), nil
}

func objectOf(fields []field, references bool) map[string]any {
	properties := map[string]any{}
	var required []string
	for _, f := range fields {
		properties[f.name] = f.schema(references)
		if f.required {
			required = append(required, f.name)
		}
	}
	slices.Sort(required)
	return object(properties, required...)
}

func (f field) schema(references bool) map[string]any {
	var forms []any
	if f.kind == itemsField {
		item := objectOf(f.items, references)
		s := map[string]any{"type": "array", "minItems": 1, "items": item}
		if f.doc != "" {
			s["description"] = f.doc
		}
		return s
	}
	switch f.kind {
	case boolField:
		forms = append(forms, map[string]any{"enum": []any{true, false, "True", "true", "False", "false"}})
	case numberField:
		number := map[string]any{"type": "integer"}
		if f.min != nil {
			number["minimum"] = *f.min
		}
		if f.max != nil {
			number["maximum"] = *f.max
		}
		forms = append(forms, number, map[string]any{"type": "string", "pattern": wholeNumber.String()})
	case listField:
		// The entries of a text with commas are beyond a schema.
		forms = append(forms,
			map[string]any{"type": "array", "minItems": 1, "items": f.textSchema()},
			map[string]any{"type": "string", "pattern": `\S`})
	default:
		forms = append(forms, f.textSchema())
	}
	if references {
		forms = append(forms, map[string]any{"$ref": "#/$defs/reference"})
	}
	s := map[string]any{"anyOf": forms}
	if f.doc != "" {
		s["description"] = f.doc
	}
	if f.fallback != "" {
		s["default"] = f.fallback
	}
	return s
}

func (f field) textSchema() map[string]any {
	if f.enum != nil {
		return map[string]any{"enum": f.enum}
	}
	s := map[string]any{"type": "string", "pattern": `\S`}
	if f.format != "" {
		form := formats[f.format]
		s["pattern"] = form.pattern.String()
		s["description"] = form.words
		s["examples"] = []string{form.example}
		if form.max > 0 {
			s["maxLength"] = form.max
		}
	}
	return s
}
