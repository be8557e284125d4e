// Package payload reads the StatePayload, the input of a run: which resources
// are to be driven to their goal, in which layers, with which parameters.
//
// Parse does everything that can be done without AWS: it decodes strictly and
// reports every problem at once. References (see Reference) are replaced by
// package resolve, and Bind then turns the texts into the typed parameters of
// each resource type. The package knows no resource type itself: the types
// come in as Types, and their parameter structs say with tags what is right.
//
// # Tags of a parameter struct
//
// The name of a parameter is the name of the Go field, whose type is string,
// bool, *bool, int, *int, []string, or a slice of structs whose fields have the
// same tags: a list of objects. The tags are:
//
//	param:"required"       the parameter must be given
//	format:"db-instance"   the text (each one, in a list) has this form, see format.go
//	enum:"Managed,Detach"  the text is one of these
//	min:"0" max:"35"       the range of a number, both ends included
//	default:"Managed"      what is taken when the parameter is not given
//	identity:"name"        two resources with equal values under this name are the same thing
//	doc:"..."              a description, which goes to the JSON Schema
package payload

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Limits on the input. Both are far above what a real payload needs, and low
// enough that a hostile one costs nothing.
const (
	MaxBytes = 1 << 20
	MaxDepth = 64
)

// MaxLayer is the highest number that a layer may have; the lowest is 0.
const MaxLayer = 9999

// The longest time limits, in seconds: a week for a run and its layers, a day
// for a resource, whose execution has a history of 25,000 events at most.
const (
	MaxTimeLimit         = 7 * 24 * 60 * 60
	MaxResourceTimeLimit = 24 * 60 * 60
)

// MaxLayers is how many layers a payload may have.
const MaxLayers = 200

// Type is one resource type as the payload knows it.
type Type struct {
	// Name is what resourceType says, such as "PromoteRDSReadReplica".
	Name string
	// Doc is one or two sentences for the JSON Schema.
	Doc string
	// Parameters is the struct type of the parameters, see the package comment.
	Parameters reflect.Type
	// Machines names the state machines that accept the type.
	Machines []string
	// Alone says that it is the only resource of its layer.
	Alone bool
}

// Types is the registry of all resource types. A parameter struct with wrong
// tags is a fault of the program: Schema returns it as an error, Parse and
// Bind panic.
type Types []Type

func (ts Types) find(name string) (Type, bool) {
	i := slices.IndexFunc(ts, func(t Type) bool { return t.Name == name })
	if i < 0 {
		return Type{}, false
	}
	return ts[i], true
}

// names lists the types that the machine accepts, or all for "".
func (ts Types) names(machine string) []string {
	var names []string
	for _, t := range ts {
		if machine == "" || slices.Contains(t.Machines, machine) {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Document is a StatePayload without problems.
type Document struct {
	// Layers are in ascending order of their numbers.
	Layers  []Layer
	Options Options
}

// Options holds for the whole run.
type Options struct {
	Mode     string `enum:"run,plan" default:"run" doc:"plan stops after the checks and changes nothing."`
	Disaster bool   `doc:"The other region is taken for lost: the run carries on where it cannot be asked, and data not yet replicated may be given up."`

	Approval                 bool   `doc:"Ask a person before the first change."`
	ApprovalTimeLimitSeconds int    `default:"3600" min:"60" max:"604800" doc:"How long to wait for the answer. Without one the run ends with nothing changed."`
	OnFailure                string `enum:"stop,continue" default:"stop" doc:"continue runs the layers that do not depend on the one that failed, see dependsOn of a layer."`
	ResourceTimeLimitSeconds *int   `json:",omitempty" min:"1" max:"86400" doc:"For each resource that has no limit of its own, instead of that of its type."`
	LayerTimeLimitSeconds    *int   `json:",omitempty" min:"1" max:"604800" doc:"For each layer that has no limit of its own. Without it a layer ends with its last resource."`
	TimeLimitSeconds         *int   `json:",omitempty" min:"1" max:"604800" doc:"For the whole run, from its start. Nothing is begun past it."`
	RTOSeconds               *int   `json:",omitempty" min:"1" max:"604800" doc:"The recovery time objective, from the start of the run. The report holds the run and each resource against it; nothing is stopped by it."`
}

// The values of Options.OnFailure.
const (
	Stop     = "stop"
	Continue = "continue"
)

// Layer is a set of resources that run in parallel, after all lower layers.
type Layer struct {
	Number    int
	Resources []Resource
	// TimeLimitSeconds is for all resources together; nil: Options say.
	TimeLimitSeconds *int
	// DependsOn are the lower layers that must have succeeded; nil: all.
	DependsOn []int
	// Pointer is the place in the input, as every Pointer of this package a
	// JSON pointer (RFC 6901).
	Pointer string
}

// Resource is one thing to be driven to its goal.
type Resource struct {
	Type, Name string
	// Parameters holds what was given, by parameter name; of a list of objects,
	// by LIST/INDEX/NAME.
	Parameters map[string]Value
	Pointer    string
	// Layer is the number of the layer that the resource is in.
	Layer int
	// Optional says that the run goes on, and may succeed, without it.
	Optional bool
	// TimeLimitSeconds is its own time limit; nil: Options or the type say.
	TimeLimitSeconds *int
}

// Value is one parameter as given, in text form: numbers and booleans as JSON
// writes them, lists joined with commas.
type Value struct {
	Text    string
	Pointer string
	// Reference is the reference that Text came from, "" if it was given as is.
	Reference string
}

// Parse reads a StatePayload for a machine ("failover", "failback", or "" for
// any) and returns either the document or every problem that can be found
// without asking AWS, never both.
func Parse(data []byte, types Types, machine string) (*Document, Problems) {
	root, problems := parseTree(data)
	if root == nil {
		return nil, problems
	}
	p := &parser{types: types, machine: machine, problems: problems, same: newIdentities()}
	doc := p.document(root)
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return doc, nil
}

// MarshalJSON writes the normal form: layers ascending, parameters as text in
// order of their names, options in full. Parse of it gives the same document
// but for the pointers.
func (d *Document) MarshalJSON() ([]byte, error) {
	type resource struct {
		Type       string         `json:"resourceType"`
		Name       string         `json:"resourceName"`
		Parameters map[string]any `json:"parameters"`
		Optional   bool           `json:"optional,omitempty"`
		TimeLimit  *int           `json:"timeLimitSeconds,omitempty"`
	}
	type layer struct {
		Number    int        `json:"layer"`
		Resources []resource `json:"resources"`
		DependsOn *[]int     `json:"dependsOn,omitempty"`
		TimeLimit *int       `json:"timeLimitSeconds,omitempty"`
	}
	form := struct {
		StatePayload []layer
		Options      Options
	}{Options: d.Options}
	for _, l := range d.Layers {
		out := layer{Number: l.Number, TimeLimit: l.TimeLimitSeconds}
		if l.DependsOn != nil {
			out.DependsOn = &l.DependsOn
		}
		for _, r := range l.Resources {
			out.Resources = append(out.Resources, resource{r.Type, r.Name, nested(r.Parameters), r.Optional, r.TimeLimitSeconds})
		}
		form.StatePayload = append(form.StatePayload, out)
	}
	return json.Marshal(form)
}

// parser walks the token tree and collects problems as it goes.
type parser struct {
	types    Types
	machine  string
	problems Problems
	same     identities
}

func (p *parser) add(pointer, value, message, want string) {
	p.problems = append(p.problems, Problem{Pointer: pointer, Value: value, Message: message, Want: want})
}

func (p *parser) document(root *node) *Document {
	members, ok := p.object(root, "the payload", "an object with StatePayload and, if needed, Options",
		[]string{"StatePayload", "Options", "$schema"}, []string{"StatePayload"})
	if !ok {
		return nil
	}
	if n := members["$schema"]; n != nil && n.kind != stringNode { // it is for editors
		p.add(n.pointer, n.show(), "$schema is "+n.kind.String()+", not text", "where the schema stands")
	}
	doc := &Document{}
	if n := members["StatePayload"]; n != nil {
		doc.Layers = p.layers(n)
	}
	doc.Options = p.options(members["Options"])
	p.order(doc, members["Options"])
	return doc
}

func (p *parser) options(n *node) Options {
	if n == nil {
		n = &node{kind: objectNode, pointer: "/Options"}
	}
	var options Options
	fields := mustFields(reflect.TypeFor[Options]())
	values := p.values(n, "Options", fields)
	p.assign(fields, values, reflect.ValueOf(&options).Elem(), noReferences)
	return options
}

func (p *parser) layers(list *node) []Layer {
	const want = `a list of layers: [{"layer": 1, "resources": [...]}]`
	if list.kind != arrayNode {
		p.add(list.pointer, list.show(), "StatePayload is "+list.kind.String()+", not a list", want)
		return nil
	}
	if len(list.items) == 0 {
		p.add(list.pointer, list.show(), "StatePayload is empty: there is nothing to do", want)
		return nil
	}
	if len(list.items) > MaxLayers {
		p.add(list.pointer, list.show(), fmt.Sprintf("StatePayload has %d layers", len(list.items)), fmt.Sprintf("at most %d", MaxLayers))
	}
	var layers []Layer
	first := map[int]string{}
	for _, item := range list.items {
		members, ok := p.object(item, "a layer", `{"layer": 1, "resources": [...]}`,
			[]string{"layer", "resources", "dependsOn", "timeLimitSeconds"}, []string{"layer", "resources"})
		if !ok {
			continue
		}
		layer := Layer{Pointer: item.pointer}
		if n := members["layer"]; n != nil {
			var ok bool
			if layer.Number, ok = p.number(n, "layer", 0, MaxLayer); ok {
				if earlier, twice := first[layer.Number]; twice {
					p.add(n.pointer, n.show(), "this layer number is already that of "+earlier,
						"one entry per layer: put the resources together, or give another number")
				} else {
					first[layer.Number] = item.pointer
				}
			}
		}
		if n := members["resources"]; n != nil {
			layer.Resources = p.resources(n, layer.Number)
		}
		if n := members["dependsOn"]; n != nil {
			layer.DependsOn = p.dependsOn(n)
		}
		layer.TimeLimitSeconds = p.timeLimit(members["timeLimitSeconds"], MaxTimeLimit)
		layers = append(layers, layer)
	}
	slices.SortStableFunc(layers, func(a, b Layer) int { return a.Number - b.Number })
	return layers
}

// number reads a whole number, written as one or as text.
func (p *parser) number(n *node, name string, low, high int) (int, bool) {
	f := field{name: name, kind: numberField, min: &low, max: &high}
	if n.kind != numberNode && n.kind != stringNode {
		p.add(n.pointer, n.show(), name+" is "+n.kind.String()+", not a number", f.want())
		return 0, false
	}
	v, issue := f.decode(n.text)
	if issue != nil {
		p.add(n.pointer, n.show(), issue.Message, issue.Want)
		return 0, false
	}
	return v.(int), true
}

func (p *parser) timeLimit(n *node, most int) *int {
	if n == nil {
		return nil
	}
	limit, ok := p.number(n, "timeLimitSeconds", 1, most)
	if !ok {
		return nil
	}
	return &limit
}

// dependsOn reads the list of a layer. An empty one says that the layer
// depends on none.
func (p *parser) dependsOn(list *node) []int {
	if list.kind != arrayNode {
		p.add(list.pointer, list.show(), "dependsOn is "+list.kind.String()+", not a list", "a list of the numbers of lower layers, such as [1]")
		return nil
	}
	numbers := []int{}
	for _, item := range list.items {
		if n, ok := p.number(item, "an entry of dependsOn", 0, MaxLayer); ok {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// order checks what the layers say about each other.
func (p *parser) order(doc *Document, options *node) {
	var lower []int
	said := false
	for _, l := range doc.Layers {
		for i, n := range l.DependsOn {
			if !slices.Contains(lower, n) {
				p.add(fmt.Sprintf("%s/dependsOn/%d", l.Pointer, i), strconv.Itoa(n), "there is no lower layer "+strconv.Itoa(n), "the number of a layer that runs before")
			}
		}
		said = said || l.DependsOn != nil
		lower = append(lower, l.Number)
	}
	if doc.Options.OnFailure == Continue && !said {
		pointer := "/Options/OnFailure"
		if options != nil {
			pointer = options.pointer + "/OnFailure"
		}
		p.add(pointer, quote(Continue), "no layer says dependsOn, so each depends on all before it and nothing would go on",
			"dependsOn in the layers that may run in spite of a failure: [] for none, or the numbers that it needs")
	}
}

func (p *parser) resources(list *node, layer int) []Resource {
	const want = `a list of resources: [{"resourceType": "...", "resourceName": "...", "parameters": {...}}]`
	if list.kind != arrayNode {
		p.add(list.pointer, list.show(), "resources is "+list.kind.String()+", not a list", want)
		return nil
	}
	if len(list.items) == 0 {
		p.add(list.pointer, list.show(), "the layer has no resources", want)
		return nil
	}
	var resources []Resource
	for _, item := range list.items {
		required := []string{"resourceType", "resourceName", "parameters"}
		members, ok := p.object(item, "a resource", `{"resourceType": "...", "resourceName": "...", "parameters": {...}}`,
			append([]string{"optional", "timeLimitSeconds"}, required...), required)
		if !ok {
			continue
		}
		resources = append(resources, p.resource(item.pointer, members, layer))
	}
	for _, r := range resources {
		if t, _ := p.types.find(r.Type); t.Alone && r.Optional {
			p.add(r.Pointer+"/optional", "true", r.Type+" cannot be optional", "no such member")
		}
		if t, _ := p.types.find(r.Type); t.Alone && len(list.items) > 1 {
			p.add(r.Pointer, "", r.Type+" shares its layer with other resources", "a layer of its own: it stands between two layers")
		}
	}
	return resources
}

func (p *parser) resource(pointer string, members map[string]*node, layer int) Resource {
	r := Resource{Pointer: pointer, Layer: layer, TimeLimitSeconds: p.timeLimit(members["timeLimitSeconds"], MaxResourceTimeLimit)}
	if n := members["optional"]; n != nil {
		optional := field{name: "optional", kind: boolField}
		text, _ := p.text(n, optional)
		if v, issue := optional.decode(text); issue == nil {
			r.Optional = v.(bool)
		} else if n.kind == stringNode {
			p.add(n.pointer, n.show(), issue.Message, issue.Want)
		}
	}
	if n := members["resourceName"]; n != nil {
		const want = "a name for people, which the report uses"
		switch {
		case n.kind != stringNode:
			p.add(n.pointer, n.show(), "resourceName is "+n.kind.String()+", not text", want)
		case strings.TrimSpace(n.text) == "":
			p.add(n.pointer, n.show(), "resourceName is empty", want)
		case strings.ContainsFunc(n.text, unicode.IsControl):
			p.add(n.pointer, n.show(), "resourceName has control characters", want)
		}
		r.Name = n.text
	}
	var typ Type
	known := false
	if n := members["resourceType"]; n != nil {
		typ, known = p.resourceType(n)
		r.Type = typ.Name
	}
	n := members["parameters"]
	if n == nil {
		return r
	}
	if n.kind != objectNode {
		p.add(n.pointer, n.show(), "parameters is "+n.kind.String()+", not an object", `an object: {"name": "value"}`)
		return r
	}
	if !known {
		return r
	}
	fields := mustFields(typ.Parameters)
	before := len(p.problems)
	r.Parameters = p.values(n, typ.Name, fields)
	target := reflect.New(typ.Parameters)
	references := p.assign(fields, r.Parameters, target.Elem(), anyReferences)
	if len(p.problems) == before && !references {
		p.cross(target.Interface(), r)
		p.identify(target.Interface(), r)
	}
	p.problems = append(p.problems, p.same.add(r, fields)...)
	return r
}

func (p *parser) resourceType(n *node) (Type, bool) {
	accepted := p.types.names(p.machine)
	want := "one of " + strings.Join(accepted, ", ")
	if n.kind != stringNode {
		p.add(n.pointer, n.show(), "resourceType is "+n.kind.String()+", not text", want)
		return Type{}, false
	}
	t, ok := p.types.find(n.text)
	if !ok {
		message := "there is no resource type " + quote(n.text)
		if near := Nearest(n.text, p.types.names("")); near != "" {
			message += "; did you mean " + near + "?"
		}
		p.add(n.pointer, n.show(), message, want)
		return Type{}, false
	}
	if p.machine != "" && !slices.Contains(t.Machines, p.machine) {
		p.add(n.pointer, n.show(), "the "+p.machine+" machine does not run "+t.Name+"; it belongs to "+strings.Join(t.Machines, ", "), want)
	}
	return t, true
}

// object returns the members of an object by name and reports unknown ones and
// those of the required that are missing. A name that comes twice counts the
// first time: the tree has reported it already.
func (p *parser) object(n *node, what, want string, names, required []string) (map[string]*node, bool) {
	members, missing, ok := p.members(n, what, want, names, required)
	for _, name := range missing {
		p.add(n.pointer, "", what+" has no "+name, want)
	}
	return members, ok
}

// members is object without the report of what is missing.
func (p *parser) members(n *node, what, want string, names, required []string) (members map[string]*node, missing []string, ok bool) {
	if n.kind != objectNode {
		p.add(n.pointer, n.show(), what+" is "+n.kind.String()+", not an object", want)
		return nil, nil, false
	}
	members = map[string]*node{}
	meant := map[string]bool{}
	for _, m := range n.members {
		if !slices.Contains(names, m.name) {
			meant[p.unknown(m, what, names)] = true
		} else if members[m.name] == nil {
			members[m.name] = m.value
		}
	}
	for _, name := range required {
		// A misspelt name has been reported with the right one: saying that
		// the right one is missing would be the same problem again.
		if members[name] == nil && !meant[name] {
			missing = append(missing, name)
		}
	}
	return members, missing, true
}

// unknown reports a member that nobody knows and returns the one it was
// probably meant to be, or "".
func (p *parser) unknown(m member, what string, names []string) string {
	message := what + " has no field " + quote(m.name)
	near := Nearest(m.name, names)
	if near != "" {
		message += "; did you mean " + near + "?"
	}
	want := "nothing here"
	if len(names) > 0 {
		sorted := slices.Sorted(slices.Values(names))
		want = "only " + strings.Join(sorted, ", ")
	}
	p.add(m.value.pointer, m.value.show(), message, want)
	return near
}

// cross asks the parameters themselves for problems that involve several.
func (p *parser) cross(parameters any, r Resource) {
	c, ok := parameters.(Checker)
	if !ok {
		return
	}
	for _, issue := range c.Check() {
		pointer, value, message := r.Pointer+"/parameters", "", issue.Message
		if v, given := r.Parameters[issue.Parameter]; given {
			pointer, value, message = v.Pointer, quote(v.Text), message+v.origin()
		}
		p.add(pointer, value, message, issue.Want)
	}
}
