package orchestrator

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"dr-orchestrator/infra/config"
)

// TestMain ends the one process of jsii that all tests share. Its last words
// are about a child that is gone already, and mean nothing.
func TestMain(m *testing.M) {
	code := m.Run()
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stderr = null
	}
	jsii.Close()
	for _, a := range made {
		os.RemoveAll(a.folder)
	}
	os.Exit(code)
}

const (
	account   = "111122223333"
	primary   = "us-east-1"
	secondary = "us-west-2"
)

// plain is the configuration that the project comes with, and full is one that
// uses every entry. Checks of the templates hold for both.
func plain(t *testing.T) *config.Config { return configuration(t, "../config.yaml") }
func full(t *testing.T) *config.Config  { return configuration(t, "testdata/full.yaml") }

func configuration(t *testing.T, path string) *config.Config {
	t.Helper()
	c, err := config.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// assembly is what a synthesis wrote.
type assembly struct {
	folder             string
	stacks             map[string]awscdk.Stack
	primary, secondary template
}

type template struct {
	path      string
	text      string
	Resources map[string]resource
}

type resource struct {
	Type                string
	Properties          object
	DependsOn           []string
	DeletionPolicy      string
	UpdateReplacePolicy string
}

type object = map[string]any

var made = map[string]*assembly{}

// synthesized gives the assembly of a configuration, made once.
func synthesized(t *testing.T, name string) *assembly {
	t.Helper()
	if a, ok := made[name]; ok {
		return a
	}
	c := plain(t)
	if name == "full" {
		c = full(t)
	}
	folder, err := os.MkdirTemp("", "synth")
	if err != nil {
		t.Fatal(err)
	}
	build := built(t, folder)
	facts := Facts(build)
	facts.Regions = Regions()
	if err := c.Check(facts); err != nil {
		t.Fatal(err)
	}
	a := &assembly{folder: folder}
	out := filepath.Join(folder, "cdk.out")
	app := NewApp(out)
	one, two := AddStacks(app, c, build)
	a.stacks = map[string]awscdk.Stack{"primary": one, "secondary": two}
	addNag(app)
	app.Synth(nil)
	a.primary, a.secondary = read(t, out, *one.StackName()), read(t, out, *two.StackName())
	made[name] = a
	return a
}

// built puts a stand-in for each function where the build would.
func built(t *testing.T, folder string) string {
	t.Helper()
	build := filepath.Join(folder, "build")
	for _, f := range functions() {
		if err := os.MkdirAll(filepath.Join(build, f.name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(build, f.name, "bootstrap"), []byte(f.name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return build
}

func read(t *testing.T, folder, stack string) template {
	t.Helper()
	tpl := template{path: filepath.Join(folder, stack+".template.json")}
	text, err := os.ReadFile(tpl.path)
	if err != nil {
		t.Fatal(err)
	}
	tpl.text = string(text)
	if err := json.Unmarshal(text, &tpl); err != nil {
		t.Fatal(err)
	}
	return tpl
}

// each runs a test on every template of every configuration.
func each(t *testing.T, test func(t *testing.T, tpl template)) {
	for _, name := range []string{"plain", "full"} {
		a := synthesized(t, name)
		for side, tpl := range map[string]template{"primary": a.primary, "secondary": a.secondary} {
			t.Run(name+"/"+side, func(t *testing.T) { test(t, tpl) })
		}
	}
}

// of gives the resources of a type, by logical id.
func (tpl template) of(t *testing.T, kind string) map[string]resource {
	t.Helper()
	found := map[string]resource{}
	for id, r := range tpl.Resources {
		if r.Type == kind {
			found[id] = r
		}
	}
	if len(found) == 0 {
		t.Fatalf("there is no %s", kind)
	}
	return found
}

// one gives the only resource of a type.
func (tpl template) one(t *testing.T, kind string) resource {
	t.Helper()
	found := tpl.of(t, kind)
	if len(found) != 1 {
		t.Fatalf("there are %d of %s: want 1", len(found), kind)
	}
	return found[slices.Collect(maps.Keys(found))[0]]
}

// rule gives the rule whose name ends so.
func (tpl template) rule(t *testing.T, suffix string) object {
	t.Helper()
	for _, r := range tpl.of(t, "AWS::Events::Rule") {
		if name, _ := r.Properties["Name"].(string); strings.HasSuffix(name, suffix) {
			return r.Properties
		}
	}
	t.Fatalf("there is no rule %s", suffix)
	return nil
}

// permission gives the permission by which rules invoke a function.
func (tpl template) permission(t *testing.T, function string) object {
	t.Helper()
	for _, r := range tpl.of(t, "AWS::Lambda::Permission") {
		id, _ := at(r.Properties, "FunctionName.Ref").(string)
		if name, _ := tpl.Resources[id].Properties["FunctionName"].(string); strings.HasSuffix(name, "-"+function) {
			return r.Properties
		}
	}
	t.Fatalf("no rule may invoke %s", function)
	return nil
}

// at follows names through nested objects and lists.
func at(v any, path string) any {
	for _, name := range strings.Split(path, ".") {
		switch node := v.(type) {
		case object:
			v = node[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(node) {
				return nil
			}
			v = node[i]
		default:
			return nil
		}
	}
	return v
}

// want compares what stands at a path with a value as JSON has it.
func want(t *testing.T, what string, v any, path string, value any) {
	t.Helper()
	if got := text(at(v, path)); got != text(value) {
		t.Errorf("%s: %s = %s, want %s", what, path, got, text(value))
	}
}

func text(v any) string {
	out, _ := json.Marshal(v)
	return string(out)
}

// texts gives the texts of an entry that holds one or a list of them.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, item := range v {
			all = append(all, texts(item)...)
		}
		return all
	case nil:
		return nil
	}
	return []string{text(v)}
}
