// Package house holds the rules of who may import whom, as a test.
package house

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dr-orchestrator/internal/catalog"
)

const module = "dr-orchestrator/"

// domains are the packages that hold the actions: each knows its own part of AWS,
// none another one, and none the lab.
func domains() []string {
	var all []string
	for _, e := range catalog.Entries {
		all = append(all, strings.TrimPrefix(e.Parameters.PkgPath(), module))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// rule: a package in the folder from must not depend on one in the folder on,
// directly or through others.
type rule struct{ from, on, why string }

func rules() []rule {
	all := []rule{
		{"functions", "infra", "a function is deployed by infra and knows nothing of it"},
		{"functions", "internal/lab", "what runs in AWS holds no simulation"},
		{"internal", "infra", "CDK is for infra only: building drctl or a function downloads none of it"},
		{"cmd", "infra", "CDK is for infra only: building drctl or a function downloads none of it"},
		{"internal/asl", "internal/lab", "the interpreter runs on any runtime"},
		{"internal/guard", "internal/lab", "what decides about triggers does not know the lab"},
		{"internal/planwatch", "internal/lab", "what checks plans does not know the lab"},
		{"internal/planwatch", "internal/guard", "the two are called by rules of their own"},
		{"internal/eventrule", "internal/lab", "rules are evaluated for whoever asks"},
		{"internal/payload", "internal/catalog", "the payload learns its types from its caller"},
	}
	for _, from := range domains() {
		all = append(all, rule{from, "internal/lab", "a domain does not know the lab"}, rule{from, "internal/catalog", "the catalog knows the domains"})
		for _, on := range domains() {
			if from != on && on != "internal/probe" { // what moves traffic probes, too
				all = append(all, rule{from, on, "domains stand beside each other"})
			}
		}
		for _, base := range []string{"internal/action", "internal/lag", "internal/succession", "internal/payload"} {
			all = append(all, rule{base, from, "what all domains stand on knows none of them"})
		}
	}
	return all
}

func within(path, folder string) bool { return strings.HasPrefix(path+"/", folder+"/") }

func TestWhoMayImportWhom(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-json=ImportPath,Deps", "../../cmd/...", "../../functions/...", "../../internal/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Deps       []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		path, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours {
			continue
		}
		for _, r := range rules() {
			if !within(path, r.from) {
				continue
			}
			seen[r.from] = true
			for _, dep := range p.Deps {
				if name, ours := strings.CutPrefix(dep, module); ours && within(name, r.on) {
					t.Errorf("%s depends on %s: %s", path, name, r.why)
				}
				if strings.Contains(dep, "aws-cdk-go") {
					t.Errorf("%s depends on CDK", path)
				}
			}
		}
	}
	for _, r := range rules() {
		if !seen[r.from] {
			t.Errorf("no package is in %s: the rule says nothing", r.from)
		}
	}
}

func TestPackageNamesSaySomething(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", "{{.Name}} {{.ImportPath}}", "../../internal/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		name, path, _ := strings.Cut(line, " ")
		for _, banned := range []string{"util", "utils", "common", "helper", "helpers", "misc", "rds", "elasticache", "s3", "sfn", "ssm"} {
			if name == banned {
				t.Errorf("%s: a package named %s says nothing, or hides an SDK package", path, name)
			}
		}
	}
}

// Every package, and every test that is said to show something, stands in the
// README as it is called.
func TestTheReadmeKnowsTheHouse(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	folders, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if !strings.Contains(string(readme), "`internal/"+f.Name()+"/`") && !strings.Contains(string(readme), "`"+f.Name()+"/`") {
			t.Errorf("the README does not say what internal/%s is for", f.Name())
		}
	}
	var tests strings.Builder
	for _, folder := range []string{"internal", "infra", "functions", "cmd"} {
		err := filepath.WalkDir(filepath.Join("..", "..", folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			code, err := os.ReadFile(path)
			tests.Write(code)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(readme), -1) {
		if !strings.Contains(tests.String(), "func "+name[1]+"(") {
			t.Errorf("the README names %s, and there is no such test", name[1])
		}
	}
}
