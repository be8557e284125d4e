package payload

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

type stop struct {
	Zone   string   `param:"required" format:"hosted-zone" doc:"Where."`
	Weight *int     `min:"0" max:"255"`
	Mode   string   `enum:"fast,slow" default:"fast"`
	Values []string `doc:"What."`
}

type route struct {
	Stops []stop `param:"required" doc:"The stops."`
	Name  string
}

// Check wants the weights to rise.
func (r route) Check() []Issue {
	for i, s := range r.Stops {
		if i > 0 && s.Weight != nil && *s.Weight == 7 {
			return []Issue{{Parameter: itemName("Stops", i, "Weight"), Message: "seven is no second", Want: "another"}}
		}
	}
	return nil
}

func (r route) Identities() []Identity {
	var all []Identity
	for i, s := range r.Stops {
		all = append(all, Identity{Name: "zone/" + s.Zone, Parameter: itemName("Stops", i, "Zone"), Locked: i == 0})
	}
	return all
}

func routeTypes() Types {
	return Types{{Name: "Route", Parameters: reflect.TypeFor[route](), Machines: []string{"failover"}}}
}

func routes(parameters ...string) string {
	var all []string
	for _, p := range parameters {
		all = append(all, resource("Route", p))
	}
	return payloadOf(all...)
}

func TestItemsAreParsedResolvedAndBound(t *testing.T) {
	doc, problems := Parse([]byte(routes(`"Name":"r","Stops":[{"Zone":"!Import zone","Weight":"!Import weight","Values":["a","b"]},{"Zone":"Z2","Weight":0,"Mode":"slow"}]`)), routeTypes(), "failover")
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	p := doc.Layers[0].Resources[0].Parameters
	if got := p["Stops/0/Zone"]; got.Text != "!Import zone" || !strings.HasSuffix(got.Pointer, "/parameters/Stops/0/Zone") {
		t.Errorf("the reference of an item is %+v", got)
	}
	normal, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	again, problems := Parse(normal, routeTypes(), "failover")
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	if normal2, err := json.Marshal(again); err != nil || !bytes.Equal(normal, normal2) {
		t.Errorf("the normal form of the normal form differs: %s, %s (%v)", normal, normal2, err)
	}
	bound, problems := Bind(resolved(doc, map[string]string{"!Import zone": "Z1", "!Import weight": "70"}), routeTypes())
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	seventy, zero := 70, 0
	want := &route{Name: "r", Stops: []stop{{"Z1", &seventy, "fast", []string{"a", "b"}}, {"Z2", &zero, "slow", nil}}}
	if diff := cmp.Diff(want, bound[0].Parameters); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"zone/Z1"}, bound[0].Identities); diff != "" {
		t.Errorf("identities (-want +got):\n%s", diff)
	}
}

func TestEveryProblemOfEveryItemIsReported(t *testing.T) {
	for _, tt := range []struct {
		name, parameters string
		want             []string // pointer behind /parameters, and a piece of the message
	}{
		{"missing", `"Name":"x"`, []string{" Route needs the parameter Stops"}},
		{"no list", `"Stops":"!Import all"`, []string{"/Stops Stops is text"}},
		{"empty", `"Stops":[]`, []string{"/Stops Stops is empty"}},
		{"no objects", `"Stops":["Z1",{}]`, []string{"/Stops/0 an entry of Stops is text", "/Stops/1 an entry of Stops needs the parameter Zone"}},
		{
			"all items", `"Stops":[{"Zone":"lower","Wieght":"1"},{"Zone":"Z1","Weight":256,"Mode":"fats"},{"Zone":"{{resolve:what:x}}"}]`,
			[]string{
				`/Stops/0/Wieght an entry of Stops has no field "Wieght"; did you mean Weight?`, "/Stops/0/Zone Zone does not have",
				"/Stops/1/Weight Weight is out of range", "/Stops/1/Mode Mode is not known; did you mean fast?", `/Stops/2/Zone Zone: "resolve:what" is not a known kind`,
			},
		},
		{"across items", `"Stops":[{"Zone":"Z1"},{"Zone":"Z2","Weight":7}]`, []string{"/Stops/1/Weight seven is no second"}},
		{"same thing twice", `"Stops":[{"Zone":"Z1"},{"Zone":"Z1"}]`, []string{"/Stops/1/Zone zone/Z1 is what"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := Parse([]byte(routes(tt.parameters)), routeTypes(), "failover")
			var got []string
			for _, p := range problems {
				_, behind, _ := strings.Cut(p.Pointer, "/parameters")
				got = append(got, behind+" "+p.Message)
			}
			slices.Sort(got)
			slices.Sort(tt.want)
			if len(got) != len(tt.want) {
				t.Fatalf("problems %q, want %q", got, tt.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], tt.want[i]) {
					t.Errorf("problem %q, want %q", got[i], tt.want[i])
				}
			}
		})
	}
}

func TestResolvedItemsAreCheckedWhenBound(t *testing.T) {
	doc, problems := Parse([]byte(routes(`"Stops":[{"Zone":"!Import zone"}]`, `"Stops":[{"Zone":"Z9"}]`)), routeTypes(), "failover")
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	_, problems = Bind(resolved(doc, map[string]string{"!Import zone": "no zone"}), routeTypes())
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "it came from !Import zone") || !strings.HasSuffix(problems[0].Pointer, "/Stops/0/Zone") {
		t.Errorf("problems %v, want the zone that the reference brought", problems)
	}
	doc, _ = Parse([]byte(routes(`"Stops":[{"Zone":"!Import zone"}]`, `"Stops":[{"Zone":"Z9"}]`)), routeTypes(), "failover")
	_, problems = Bind(resolved(doc, map[string]string{"!Import zone": "Z9"}), routeTypes())
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "names already") {
		t.Errorf("problems %v, want two resources that are the same thing", problems)
	}
	doc, _ = Parse([]byte(routes(`"Stops":[{"Zone":"Z1"}]`)), routeTypes(), "failover")
	delete(doc.Layers[0].Resources[0].Parameters, "Stops/0/Zone")
	if _, problems = Bind(doc, routeTypes()); len(problems) != 1 || !strings.Contains(problems[0].Message, "needs the parameter Stops") {
		t.Errorf("problems %v, want the list that is gone", problems)
	}
}

func TestSchemaOfItems(t *testing.T) {
	text, err := Schema(routeTypes())
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
	for parameters, right := range map[string]bool{
		`"Stops":[{"Zone":"Z1","Weight":"!Import w"},{"Zone":"!Import z"}]`: true,
		`"Stops":[{"Zone":"Z1","Colour":"red"}]`:                            false,
		`"Stops":[{"Weight":1}]`:                                            false,
		`"Stops":[]`:                                                        false,
	} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(routes(parameters)))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); (err == nil) != right {
			t.Errorf("%s: %v, want right: %v", parameters, err, right)
		}
	}
}

func TestMissingLooksIntoItems(t *testing.T) {
	if diff := cmp.Diff([]string{"Stops"}, Missing(route{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Stops/1/Zone"}, Missing(&route{Stops: []stop{{Zone: "Z1"}, {}}})); diff != "" {
		t.Error(diff)
	}
}

func TestWrongItemTypesAreFaultsOfTheProgram(t *testing.T) {
	type free struct{ Note string }
	type withFree struct{ Notes []free }
	type withDefault struct {
		Stops []stop `default:"x"`
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[withFree](), reflect.TypeFor[withDefault]()} {
		if _, err := Schema(Types{{Name: "T", Parameters: typ}}); err == nil {
			t.Errorf("%v is taken", typ)
		}
	}
}
