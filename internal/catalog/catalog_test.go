package catalog_test

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/cachegroup"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/globalcluster"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/lagcheck"
	"dr-orchestrator/internal/payload"
	"dr-orchestrator/internal/replica"
	"dr-orchestrator/internal/run"
	"dr-orchestrator/internal/steps"
	"dr-orchestrator/statemachine"
)

const root = "../.."

// Folders, rows, steps of the machine and sample payloads are one set: what is
// missing anywhere is named.
func TestFoldersRowsAndSamplesAreOneSet(t *testing.T) {
	var folders, functions []string
	entries, err := os.ReadDir(filepath.Join(root, "functions"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			folders = append(folders, e.Name())
		}
	}
	for _, e := range catalog.Entries {
		functions = append(functions, e.Function)
	}
	for step := range steps.All {
		functions = append(functions, step)
	}
	slices.Sort(functions)
	if diff := cmp.Diff(functions, folders); diff != "" {
		t.Errorf("catalog rows and steps (-) against folders under functions (+):\n%s", diff)
	}
	called := []string{statemachine.CloseRun}
	for _, function := range statemachine.Steps {
		called = append(called, function)
	}
	for step := range run.Steps {
		if !slices.Contains(called, step) {
			t.Errorf("the state machine does not call the step %s", step)
		}
	}
	for _, e := range catalog.Entries {
		text, err := os.ReadFile(filepath.Join(root, "payloads", e.Sample))
		if err != nil {
			t.Errorf("%s: %v", e.Type, err)
			continue
		}
		if !bytes.Contains(text, []byte(`"`+e.Type+`"`)) {
			t.Errorf("the sample %s does not use %s", e.Sample, e.Type)
		}
		if _, problems := payload.Parse(text, catalog.Types(), catalog.Failover); len(problems) > 0 && slices.Contains(e.Machines, catalog.Failover) {
			t.Errorf("%s: %v", e.Sample, problems)
		}
	}
}

// verbs is the closed set with which a function's name begins.
var verbs = []string{"prepare", "check", "promote", "switchover", "failover", "detach", "create", "delete", "fence", "swap", "set", "scale", "start", "copy", "record", "notify"}

func TestRowsAreComplete(t *testing.T) {
	for _, e := range catalog.Entries {
		verb, _, _ := strings.Cut(e.Function, "-")
		switch {
		case !slices.Contains(verbs, verb):
			t.Errorf("%s: %q is none of the verbs %v", e.Function, verb, verbs)
		case e.Doc == "" || e.TimeLimit <= 0 || len(e.Machines) == 0 || e.New == nil || e.Parameters.Kind() != reflect.Struct:
			t.Errorf("%s: the row is not complete", e.Type)
		}
		for _, s := range e.Statements {
			if slices.Contains(s.Resources, "*") && s.Reason == "" {
				t.Errorf("%s: %v on * without a reason", e.Type, s.Actions)
			}
		}
		if found, ok := catalog.Find(e.Type); !ok || found.Function != e.Function {
			t.Errorf("%s is not found", e.Type)
		}
	}
	if _, ok := catalog.Find("NoSuchType"); ok {
		t.Error("a type that does not exist is found")
	}
}

// interfaces lists, by the IAM prefix of their service, what each action asks
// of AWS.
var interfaces = map[string]map[string]reflect.Type{
	"PromoteRDSReadReplica":      {"rds": reflect.TypeFor[replica.PromoteAPI](), "cloudwatch": reflect.TypeFor[lag.DataAPI]()},
	"PlannedFailoverAurora":      {"rds": reflect.TypeFor[globalcluster.SwitchoverAPI]()},
	"UnPlannedFailoverAurora":    {"rds": reflect.TypeFor[globalcluster.FailoverAPI](), "cloudwatch": reflect.TypeFor[lag.API]()},
	"FailoverElastiCacheCluster": {"elasticache": reflect.TypeFor[cachegroup.FailoverAPI](), "cloudwatch": reflect.TypeFor[lag.API]()},
	"CheckReplicaLag": {
		"rds": reflect.TypeFor[lagcheck.RDS](), "elasticache": reflect.TypeFor[lagcheck.ElastiCache](), "cloudwatch": reflect.TypeFor[lag.API](),
	},
}

func TestPermissionsAreWhatTheInterfacesCall(t *testing.T) {
	for _, e := range catalog.Entries {
		var want, got []string
		for service, api := range interfaces[e.Type] {
			if api.NumMethod() > 5 {
				t.Errorf("%s: an interface of %d methods", e.Type, api.NumMethod())
			}
			for i := range api.NumMethod() {
				want = append(want, service+":"+api.Method(i).Name)
			}
		}
		for _, s := range e.Statements {
			got = append(got, s.Actions...)
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: interface methods (-) against permissions (+):\n%s", e.Type, diff)
		}
	}
}

func TestGeneratedFilesAreCurrent(t *testing.T) {
	schema, err := payload.Schema(catalog.Types())
	if err != nil {
		t.Fatal(err)
	}
	reference, err := payload.Handbook(catalog.Types())
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"payloads/schema.json": string(schema), "docs/reference.md": reference} {
		got, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Error(err)
			continue
		}
		if want != string(got) {
			t.Errorf("%s is not what the tables say: run make schema", file)
		}
	}
}
