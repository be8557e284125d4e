package orchestrator

import (
	"bytes"
	"encoding/json"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dr-orchestrator/internal/lab"
	"dr-orchestrator/internal/policy"
	"dr-orchestrator/internal/report"
	"dr-orchestrator/statemachine"
)

// scenario is a run that the roles of the template have to be enough for.
type scenario struct {
	name, machine string
	payload       []byte
	estate        *lab.Estate
	locks         map[string]string
}

// scenarios are every sample as it stands and with a limit of lag, and a
// replica that somebody has promoted by hand, without the backups asked for.
func scenarios(t *testing.T) []scenario {
	t.Helper()
	samples, err := filepath.Glob("../../payloads/fail*-*.json")
	if err != nil || len(samples) == 0 {
		t.Fatalf("%d samples: %v", len(samples), err)
	}
	// A run that was stopped has left its locks.
	gone := "arn:aws:states:us-west-2:111122223333:execution:dr-orchestrator-failover:gone"
	left := map[string]string{"global-cluster/dr-globaldb-cluster-mysql": gone, "rds-instance/rds-mysql-instance-usw2": gone}
	var all []scenario
	for _, sample := range samples {
		text, err := os.ReadFile(sample)
		if err != nil {
			t.Fatal(err)
		}
		machine, _, _ := strings.Cut(filepath.Base(sample), "-")
		name := filepath.Base(sample)
		all = append(all, scenario{name, machine, text, lab.DefaultEstate(), nil})
		limited := with(t, text, "MaxReplicaLagSeconds", "60", "PromoteRDSReadReplica", "UnPlannedFailoverAurora", "FailoverElastiCacheCluster")
		all = append(all, scenario{name + ", with a limit of lag", machine, limited, lab.DefaultEstate(), left})
		byHand := lab.DefaultEstate()
		for _, i := range byHand.Instances {
			i.Source, i.Replication = "", ""
		}
		all = append(all, scenario{name + ", promoted by hand", machine, with(t, text, "BackupRetentionPeriod", "14", "PromoteRDSReadReplica"), byHand, nil})
	}
	stored := lab.DefaultEstate()
	stored.Payloads = map[string]json.RawMessage{"orders": all[0].payload}
	all = append(all, scenario{"stored in the bucket", "failover", []byte(`{"Payload":"orders"}`), stored, nil})
	parameter := lab.DefaultEstate()
	parameter.Parameters["us-west-2"] = []lab.Parameter{{Name: "/dr-orchestrator/payloads/orders", Value: string(all[0].payload)}}
	return append(all, scenario{"stored as a parameter", "failover", []byte(`{"Payload":"orders"}`), parameter, nil})
}

// ofStories tells what is needed because of something outside of a run.
func ofStories(use lab.Use) bool {
	return ofRules[use.Function] || use.Function == "request-approval" || use == lab.Use{Function: "record-report", Action: "s3:ListBucket"}
}

// with puts a parameter into the resources of some types.
func with(t *testing.T, text []byte, parameter, value string, types ...string) []byte {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for _, layer := range doc["StatePayload"].([]any) {
		for _, r := range layer.(map[string]any)["resources"].([]any) {
			resource := r.(map[string]any)
			if slices.Contains(types, resource["resourceType"].(string)) {
				resource["parameters"].(map[string]any)[parameter] = value
			}
		}
	}
	out, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// policiesOf gives what the functions of a template may do.
func policiesOf(t *testing.T, tpl template) lab.Policies {
	t.Helper()
	policies := lab.Policies{}
	for _, f := range tpl.of(t, "AWS::Lambda::Function") {
		_, name, _ := strings.Cut(f.Properties["FunctionName"].(string), prefixOf(tpl)+"-")
		roleID, _ := at(f.Properties, "Role.Fn::GetAtt.0").(string)
		for action, resources := range policyOf(t, tpl.Resources[roleID]) {
			policies[name] = append(policies[name], policy.Statement{Actions: []string{action}, Resources: resources})
		}
	}
	return policies
}

// Every scenario runs to its end with the permissions that the template gives;
// each permission is needed by one of them, and the run that lacks it says
// which action of which role was denied.
func TestSamplesRunUnderTheTemplatesRoles(t *testing.T) {
	tpl := synthesized(t, "plain").secondary
	policies := policiesOf(t, tpl)
	var logged bytes.Buffer // the functions tell of every refusal
	log.SetOutput(&logged)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	missed := map[lab.Use]bool{} // permissions without which some run was denied something
	used := map[lab.Use]bool{}
	for _, s := range scenarios(t) {
		t.Run(s.name, func(t *testing.T) {
			run := func(p lab.Policies) lab.Result {
				logged.Reset()
				result, err := lab.Run(lab.Options{Payload: s.payload, Machine: s.machine, Estate: s.estate, Locks: s.locks, Policies: p})
				if err != nil {
					t.Fatal(err)
				}
				return result
			}
			result := run(policies)
			if result.Outcome != report.Succeeded || result.Undelivered != "" {
				t.Fatalf("%s: %s%s", result.Outcome, result.Cause, result.Undelivered)
			}
			maps.Copy(used, result.Used)
			for use := range result.Used {
				if missed[use] {
					continue
				}
				less := maps.Clone(policies)
				less[use.Function] = policies[use.Function].Without(use.Action)
				got := run(less)
				told := got.Cause + got.Undelivered + logged.String()
				tells := true
				for _, what := range []string{use.Action, "on resource: ", "assumed-role/" + lab.FunctionPrefix + use.Function} {
					if !strings.Contains(told, what) {
						tells = false
						if fatal(use) {
							t.Errorf("without %v it does not tell of %q: %s", use, what, told)
						}
					}
				}
				missed[use] = missed[use] || tells
				// A report that cannot be written changes no outcome.
				if fatal(use) && !toldOnly[use] && use.Function != statemachine.Steps["RecordReport"] && got.Outcome == report.Succeeded {
					t.Errorf("it succeeds without %v", use)
				}
			}
		})
	}
	for name, p := range policies {
		for _, action := range p.Actions() {
			use := lab.Use{Function: name, Action: action}
			if slices.Contains(common, action) || ofStories(use) { // TestStoriesNeedEveryPermission
				continue
			}
			if !used[use] || !missed[use] {
				t.Errorf("no scenario needs %s in the role of %s (used: %v)", action, name, used[use])
			}
		}
	}
}

// toldOnly is what a run can do without, and says so: a lock that stays is
// taken over by the next run, and an event on the way holds nothing up.
var toldOnly = map[lab.Use]bool{
	{Function: "set-locks", Action: "dynamodb:DeleteItem"}: true,
	{Function: "prepare-run", Action: "events:PutEvents"}:  true,
	{Function: "record-layer", Action: "events:PutEvents"}: true,
}

// fatal tells what every run that uses it needs: a lag that cannot be read
// only matters where a limit is set.
func fatal(use lab.Use) bool { return !strings.HasPrefix(use.Action, "cloudwatch:") }
