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

	"dr-orchestrator/internal/accesspoint"
	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/cachegroup"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/dnsrecord"
	"dr-orchestrator/internal/eventsource"
	"dr-orchestrator/internal/fence"
	"dr-orchestrator/internal/globalcluster"
	"dr-orchestrator/internal/healthcheck"
	"dr-orchestrator/internal/keys"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/lagcheck"
	"dr-orchestrator/internal/payload"
	"dr-orchestrator/internal/replica"
	"dr-orchestrator/internal/routingcontrol"
	"dr-orchestrator/internal/run"
	"dr-orchestrator/internal/schedule"
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
var verbs = []string{"prepare", "check", "promote", "switchover", "failover", "detach", "create", "delete", "fence", "swap", "set", "scale", "shift", "start", "copy", "record", "notify"}

func TestRowsAreComplete(t *testing.T) {
	for _, e := range catalog.Entries {
		verb, _, _ := strings.Cut(e.Function, "-")
		switch {
		case !slices.Contains(verbs, verb):
			t.Errorf("%s: %q is none of the verbs %v", e.Function, verb, verbs)
		case e.Doc == "" || e.TimeLimit <= 0 || len(e.Machines) == 0 || e.New == nil || e.Parameters.Kind() != reflect.Struct:
			t.Errorf("%s: the row is not complete", e.Type)
		case !slices.Contains(action.Purposes, e.Purpose) || catalog.PurposeOf(e.Type) != e.Purpose:
			t.Errorf("%s: the purpose %q is none of %v: a report does not know what to say of it", e.Type, e.Purpose, action.Purposes)
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
	if none, asks := catalog.PurposeOf("NoSuchType"), catalog.PurposeOf(catalog.ManualApproval); none != "" || asks != action.Asks {
		t.Errorf("of a type that does not exist %q, of a question %q", none, asks)
	}
}

// interfaces lists, by the IAM prefix of their service, what each action asks
// of AWS. An action that asks much has several small interfaces of a service,
// told apart by what follows a slash.
var interfaces = map[string]map[string]reflect.Type{
	"PromoteRDSReadReplica":   {"rds": reflect.TypeFor[replica.PromoteAPI](), "cloudwatch": reflect.TypeFor[lag.DataAPI](), "kms": reflect.TypeFor[keys.API]()},
	"PlannedFailoverAurora":   {"rds": reflect.TypeFor[globalcluster.SwitchoverAPI](), "kms": reflect.TypeFor[keys.API]()},
	"UnPlannedFailoverAurora": {"rds": reflect.TypeFor[globalcluster.FailoverAPI](), "rds/mark": reflect.TypeFor[globalcluster.Marker](), "cloudwatch": reflect.TypeFor[lag.API](), "kms": reflect.TypeFor[keys.API]()},
	"CreateAuroraSecondaryDBCluster": {
		"rds": reflect.TypeFor[globalcluster.Finder](), "rds/create": reflect.TypeFor[globalcluster.CreateAPI](), "rds/keep": reflect.TypeFor[globalcluster.KeepAPI](),
		"rds/delete": reflect.TypeFor[globalcluster.DeleteAPI](), "rds/snapshot": reflect.TypeFor[globalcluster.SnapshotAPI](), "cloudwatch": reflect.TypeFor[lag.API](),
	},
	"FailoverElastiCacheCluster": {"elasticache": reflect.TypeFor[cachegroup.FailoverAPI](), "cloudwatch": reflect.TypeFor[lag.API](), "kms": reflect.TypeFor[keys.API]()},
	"CheckReplicaLag": {
		"rds": reflect.TypeFor[lagcheck.RDS](), "elasticache": reflect.TypeFor[lagcheck.ElastiCache](), "cloudwatch": reflect.TypeFor[lag.API](),
	},
	"SwitchoverRDSReadReplica": {"rds": reflect.TypeFor[replica.SwitchoverAPI](), "cloudwatch": reflect.TypeFor[lag.DataAPI]()},
	"FenceOldPrimary": {"rds/reads": reflect.TypeFor[fence.Finder](), "rds/instances": reflect.TypeFor[fence.InstanceAPI](),
		"rds/clusters": reflect.TypeFor[fence.ClusterAPI](), "ec2": reflect.TypeFor[fence.GroupReader](), "cloudwatch": reflect.TypeFor[lag.DataAPI]()},
	"CreateRDSReadReplica": {"rds": reflect.TypeFor[replica.CreateAPI](), "rds/old": reflect.TypeFor[replica.OldPrimaryAPI](), "cloudwatch": reflect.TypeFor[lag.DataAPI]()},
	"CheckHealth":          {"cloudwatch": reflect.TypeFor[healthcheck.Alarms](), "elasticloadbalancing": reflect.TypeFor[healthcheck.Targets]()},
	"SetHealthCheck":       {"route53": reflect.TypeFor[healthcheck.SetAPI]()},
	"SetSwitch":            {"cloudwatch": reflect.TypeFor[healthcheck.SwitchAPI]()},
	"SetEventSource":       {"lambda": reflect.TypeFor[eventsource.SetAPI]()},
	"SetSchedule":          {"events": reflect.TypeFor[schedule.Rules](), "scheduler": reflect.TypeFor[schedule.Schedules]()},
	"SetRoutingControl":    {"route53-recovery-cluster": reflect.TypeFor[routingcontrol.API]()},
	"SetAccessPointRoutes": {"s3": reflect.TypeFor[accesspoint.API]()},
	"SwapDNS":              {"route53": reflect.TypeFor[dnsrecord.API](), "rds": reflect.TypeFor[dnsrecord.Databases]()},
	"ShiftTraffic":         {"route53": reflect.TypeFor[dnsrecord.ShiftAPI](), "rds": reflect.TypeFor[dnsrecord.Databases]()},
}

// implied is what AWS asks of the caller beside the calls themselves: on what
// they create, and on the keys and roles that they hand on.
var implied = map[string][]string{
	"CreateAuroraSecondaryDBCluster": {"iam:PassRole", "kms:CreateGrant", "kms:DescribeKey"},
	"CreateRDSReadReplica":           {"iam:PassRole", "kms:CreateGrant", "kms:DescribeKey", "rds:AddTagsToResource"},
	"SetSchedule":                    {"iam:PassRole"},
}

func TestPermissionsAreWhatTheInterfacesCall(t *testing.T) {
	for _, e := range catalog.Entries {
		want, got := slices.Clone(implied[e.Type]), []string(nil)
		for name, api := range interfaces[e.Type] {
			service, _, _ := strings.Cut(name, "/")
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
