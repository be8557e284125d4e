package payload

import (
	"fmt"
	"reflect"
	"strings"
)

// Description is one parameter in words, for documents.
type Description struct {
	Name     string
	Required bool
	Want     string // what it should be
	Default  string
	Doc      string
}

// Describe tells the fields of a parameter struct, in their order.
func Describe(t reflect.Type) ([]Description, error) {
	fields, err := fieldsOf(t)
	if err != nil {
		return nil, err
	}
	var all []Description
	for _, f := range fields {
		all = append(all, Description{Name: f.name, Required: f.required, Want: f.want(), Default: f.fallback, Doc: f.doc})
	}
	return all, nil
}

// Handbook writes the reference of all types and options, in Markdown.
func Handbook(types Types) (string, error) {
	var b strings.Builder
	b.WriteString("# Reference\n\n<!-- Made by make schema from the tables in the code; do not edit. -->\n\n")
	for _, t := range types {
		fmt.Fprintf(&b, "## %s\n\n%s\nMachines: %s.\n", t.Name, t.Doc, strings.Join(t.Machines, ", "))
		if err := table(&b, t.Parameters); err != nil {
			return "", err
		}
	}
	b.WriteString("## Options\n\nFor the whole run, beside `StatePayload`.\n")
	err := table(&b, reflect.TypeFor[Options]())
	return b.String(), err
}

func table(b *strings.Builder, t reflect.Type) error {
	all, err := Describe(t)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		b.WriteString("\n")
		return nil
	}
	b.WriteString("\n| parameter | what it says | form |\n|---|---|---|\n")
	for _, d := range all {
		name, form := d.Name, d.Want
		if d.Required {
			name = "**" + name + "**"
		}
		if d.Default != "" {
			form += "; " + d.Default + " without it"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", name, strings.ReplaceAll(d.Doc, "|", "\\|"), strings.ReplaceAll(form, "|", "\\|"))
	}
	b.WriteString("\n")
	return nil
}
