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
	"time"

	"dr-orchestrator/internal/lab"
	"dr-orchestrator/internal/policy"
	"dr-orchestrator/internal/report"
	"dr-orchestrator/internal/succession"
	"dr-orchestrator/statemachine"
)

// scenario is a run that the roles of the template have to be enough for.
type scenario struct {
	name, machine string
	payload       []byte
	estate        *lab.Estate
	locks         map[string]string
	// stopped runs are closed, and end in failure.
	stopAfter time.Duration
	region    string // empty: the region that takes over
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
		if strings.HasPrefix(filepath.Base(sample), "failback-") {
			continue // it begins elsewhere: see waysBack
		}
		text, err := os.ReadFile(sample)
		if err != nil {
			t.Fatal(err)
		}
		// A fence that may be given up would hide what it lacks.
		text = with(t, text, "Required", "true", "FenceOldPrimary")
		machine, _, _ := strings.Cut(filepath.Base(sample), "-")
		name := filepath.Base(sample)
		all = append(all, scenario{name, machine, text, before(name), nil, 0, ""})
		// What is fenced first lets a replica of PostgreSQL show up to five minutes.
		limited := with(t, text, "MaxReplicaLagSeconds", "600", "PromoteRDSReadReplica", "SwitchoverRDSReadReplica", "UnPlannedFailoverAurora", "FailoverElastiCacheCluster")
		all = append(all, scenario{name + ", with a limit of lag", machine, limited, before(name), left, 0, ""})
		if strings.Contains(string(text), "SwitchoverRDSReadReplica") {
			continue // who was promoted has nobody to change places with
		}
		byHand := before(name)
		for _, i := range byHand.Instances {
			if i.Source != "" { // a fence goes by the tag, which is set by hand, too
				i.Tags = map[string]string{succession.PromotedTag: succession.PromotedNote(i.Source, lab.Epoch)}
			}
			i.Source, i.Replication = "", ""
		}
		// The other way round, and by the names of functions.
		back := with(t, with(t, with(t, text, "State", "Off", "SetSchedule"), "Region", "us-east-1", "SetSchedule"), "Names", "orders-consumer", "SetEventSource")
		if string(back) != string(with(t, text, "", "")) {
			all = append(all, scenario{name + ", turned off", machine, back, lab.DefaultEstate(), nil, 0, ""})
		}
		all = append(all, scenario{name + ", promoted by hand", machine, with(t, text, "BackupRetentionPeriod", "14", "PromoteRDSReadReplica"), byHand, nil, 0, ""})
	}
	return slices.Concat(all, fences(t), controlled(t), waysBack(t))
}

// before is the estate that a sample begins in: the default one, but for a shift
// of traffic by itself, which wants databases that were moved before.
func before(name string) *lab.Estate {
	e := lab.DefaultEstate()
	if name != "failover-shift-traffic.json" {
		return e
	}
	for _, i := range e.Instances {
		i.Source, i.Replication = "", ""
	}
	for _, g := range e.Globals {
		for i := range g.Members {
			g.Members[i].Writer = !g.Members[i].Writer
		}
	}
	return e
}

// controlled are runs that people keep in hand: asked before they act, stored,
// stopped half way.
func controlled(t *testing.T) []scenario {
	t.Helper()
	text, err := os.ReadFile("../../payloads/failover-replica-and-cache.json")
	if err != nil {
		t.Fatal(err)
	}
	inBucket, inSystems := lab.DefaultEstate(), lab.DefaultEstate()
	inBucket.Payloads = map[string]json.RawMessage{"orders": text}
	inSystems.Parameters["us-west-2"] = append(inSystems.Parameters["us-west-2"], lab.Parameter{Name: "/dr-orchestrator/payloads/orders", Value: string(text)})
	stored := []byte(`{"Payload": "orders", "Options": {"Approval": true}}`)
	checked := []byte(`{"StatePayload":[{"layer":1,"resources":[{"resourceType":"SwapDNS","resourceName":"swap","parameters":{"Records":[{"Zone":"!Import shop-zone-id",
		"Name":"api.shop.example","Type":"A","SetIdentifier":"second","HealthCheck":"!Import app-usw2-health-check"}]}}]}]}`)
	return []scenario{
		{name: "a record with another health check", machine: "failover", payload: checked, estate: lab.DefaultEstate()},
		{name: "stored in the bucket", machine: "failover", payload: stored, estate: inBucket},
		{name: "stored in SSM", machine: "failover", payload: stored, estate: inSystems},
		{name: "stopped", machine: "failover", payload: text, estate: lab.DefaultEstate(), stopAfter: 40 * time.Second},
	}
}

// fences are the ways to fence and to give back, each of them required.
func fences(t *testing.T) []scenario {
	t.Helper()
	text, err := os.ReadFile("../../payloads/switchback-replica.json")
	if err != nil {
		t.Fatal(err)
	}
	all := []scenario{{"switchback-replica.json", "failover", text, lab.DefaultEstate(), nil, 0, ""}}
	for _, of := range []string{"RDSInstanceIdentifier", "DBClusterIdentifier"} {
		for method, status := range map[string]string{"Isolate": "available", "Stop": "available", "Release": "stopped"} {
			estate, network := lab.DefaultEstate(), lab.Network{SecurityGroups: []string{"sg-0a1b2c3d4e5f60001"}}
			age := func(months int) lab.InstanceSettings {
				return lab.InstanceSettings{Created: lab.Epoch.AddDate(0, -months, 0)}
			}
			estate.Instances = append(estate.Instances,
				&lab.Instance{Region: "us-east-1", ID: "fenced", Engine: "mysql", Status: status, Network: network, InstanceSettings: age(2)},
				&lab.Instance{Region: "us-west-2", ID: "next", Engine: "mysql", Status: "available", InstanceSettings: age(1),
					Network: lab.Network{Tags: map[string]string{succession.PromotedTag: succession.PromotedNote("arn:aws:rds:us-east-1:111122223333:db:fenced", lab.Epoch.Add(-time.Minute))}}},
				&lab.Instance{Region: "us-east-1", ID: "fenced-1", Engine: "aurora-mysql", Status: status, Cluster: "fenced", Writer: true})
			estate.Clusters = append(estate.Clusters, &lab.Cluster{Region: "us-east-1", ID: "fenced", Engine: "aurora-mysql", Status: status, Network: network},
				&lab.Cluster{Region: "us-west-2", ID: "next", Engine: "aurora-mysql", Status: "available", ClusterDetails: lab.ClusterDetails{Source: "arn:aws:rds:us-east-1:111122223333:cluster:fenced"}})
			more := ""
			if method == "Release" { // no tag says what replaced a stopped one
				more = `,"AcceptTwoWriters":"true"`
			}
			payload := `{"StatePayload":[{"layer":1,"resources":[{"resourceType":"FenceOldPrimary","resourceName":"fence","parameters":{
				"` + of + `":"fenced","PrimaryRegion":"us-east-1","SuccessorIdentifier":"next","Method":"` + method + `","IsolationSecurityGroupIds":"` + estate.ClosedGroups[0] + `"` + more + `,"Required":"true"}}]}]}`
			all = append(all, scenario{method + " by " + of, "failover", []byte(payload), estate, nil, 0, ""})
		}
	}
	return all
}

// waysBack are the samples of a failback, each after the failover that it is
// the way back of, with the old primary kept and deleted. They run where the
// primary was, under the roles of that region's stack.
func waysBack(t *testing.T) []scenario {
	t.Helper()
	read := func(name string) []byte {
		text, err := os.ReadFile("../../payloads/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	const replica, secondary = "CreateRDSReadReplica", "CreateAuroraSecondaryDBCluster"
	gone := func(text []byte, action string) []byte {
		return with(t, with(t, text, "OldPrimary", "Delete", action), "LiftDeletionProtection", "true", action)
	}
	ofReplica, ofCluster := read("failback-replica.json"), read("failback-aurora.json")
	var all []scenario
	for _, s := range []struct {
		name, before string
		text         []byte
	}{
		{"failback-replica.json", "failover-replica-and-cache.json", ofReplica},
		{"failback-replica.json, old primary deleted", "failover-replica-and-cache.json", gone(ofReplica, replica)},
		{"failback-aurora.json", "failover-aurora-detach.json", ofCluster},
		{"failback-aurora.json, old primary deleted", "failover-aurora-detach.json", gone(ofCluster, secondary)},
		{"failback-aurora.json, after a managed failover", "failover-aurora-unplanned.json", with(t, ofCluster, "MaxReplicaLagSeconds", "60", secondary)},
	} {
		over, err := lab.Run(lab.Options{Payload: read(s.before), Machine: "failover", Estate: lab.DefaultEstate()})
		if err != nil || over.Outcome != report.Succeeded {
			t.Fatalf("%s: the failover: %v, %s", s.name, err, over.Cause)
		}
		over.Final.Desert("us-east-1")
		all = append(all, scenario{s.name, "failback", s.text, over.Final, nil, 0, over.Final.Regions[0]})
	}
	return all
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

// Every scenario runs to its end with the permissions that the template gives;
// each permission is needed by one of them, and the run that lacks it says
// which action of which role was denied.
func TestSamplesRunUnderTheTemplatesRoles(t *testing.T) {
	both := synthesized(t, "plain")
	policies := rolesOf(t, both.secondary)
	ofPrimary := rolesOf(t, both.primary)
	var logged bytes.Buffer // the functions tell of every refusal
	log.SetOutput(&logged)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	missed := map[lab.Use]bool{} // permissions without which some run was denied something
	used := map[lab.Use]bool{}
	for _, s := range scenarios(t) {
		t.Run(s.name, func(t *testing.T) {
			policies := policies
			if s.region != "" {
				policies = ofPrimary
			}
			run := func(p lab.Policies) lab.Result {
				logged.Reset()
				result, err := lab.Run(lab.Options{Payload: s.payload, Machine: s.machine, Region: s.region, Estate: s.estate, Locks: s.locks, Policies: p, StopAfter: s.stopAfter,
					Answer: func() (json.RawMessage, error) {
						return json.RawMessage(`{"decision":"approved","by":"somebody"}`), nil
					}})
				if err != nil {
					t.Fatal(err)
				}
				return result
			}
			result := run(policies)
			want := report.Succeeded
			if s.stopAfter > 0 {
				want = report.FailedDirty
			}
			if result.Outcome != want || result.Undelivered != "" || result.Unclosed != "" {
				t.Fatalf("%s: %s%s%s", result.Outcome, result.Cause, result.Undelivered, result.Unclosed)
			}
			maps.Copy(used, result.Used)
			for use := range result.Used {
				if missed[use] || spare[use] {
					continue
				}
				less := maps.Clone(policies)
				less[use.Function] = policies[use.Function].Without(use.Action)
				got := run(less)
				told := got.Cause + got.Undelivered + got.Unclosed + logged.String()
				for _, layer := range got.Layers {
					for _, r := range layer.Resources {
						for _, f := range r.Findings {
							told += f.Message
						}
					}
				}
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
			if slices.Contains(common, action) || ofStories(use) || spare[use] { // TestRulesOfTheTemplate has the stories
				continue
			}
			if !used[use] || !missed[use] {
				t.Errorf("no scenario needs %s in the role of %s (used: %v)", action, name, used[use])
			}
		}
	}
}

// spare is what nobody misses in the result of a run: the event of a question
// goes beside the message, and of a run that was closed the report tells.
var spare = map[lab.Use]bool{
	{Function: "request-approval", Action: "events:PutEvents"}: true,
	{Function: "close-run", Action: "events:PutEvents"}:        true,
	{Function: "close-run", Action: "sns:Publish"}:             true,
}

// rolesOf gives what the functions of a stack may do.
func rolesOf(t *testing.T, tpl template) lab.Policies {
	t.Helper()
	policies := lab.Policies{}
	for _, f := range tpl.of(t, "AWS::Lambda::Function") {
		_, name, _ := strings.Cut(f.Properties["FunctionName"].(string), prefixOf(tpl)+"-")
		roleID, _ := at(f.Properties, "Role.Fn::GetAtt.0").(string)
		policyOf(t, tpl.Resources[roleID]) // holds what a role may be made of
		for _, p := range tpl.Resources[roleID].Properties["Policies"].([]any) {
			for _, s := range at(p, "PolicyDocument.Statement").([]any) {
				statement := policy.Statement{Actions: texts(at(s, "Action")), Resources: texts(at(s, "Resource"))}
				conditions, _ := at(s, "Condition").(map[string]any)
				for operator, keys := range conditions {
					if operator != "StringEquals" {
						t.Errorf("%s: a condition that nobody here evaluates: %s", name, text(s))
					}
					statement.Conditions = map[string][]string{}
					for key, values := range keys.(map[string]any) {
						statement.Conditions[key] = texts(values)
					}
				}
				policies[name] = append(policies[name], statement)
			}
		}
	}
	return policies
}

// toldOnly is what a run can do without, and says so: a lock that stays is
// taken over by the next run, an event on the way holds nothing up, and a
// promotion or a detach is one without its tag.
var toldOnly = map[lab.Use]bool{
	{Function: "set-locks", Action: "dynamodb:DeleteItem"}:                 true,
	{Function: "promote-read-replica", Action: "rds:AddTagsToResource"}:    true,
	{Function: "prepare-run", Action: "events:PutEvents"}:                  true,
	{Function: "record-layer", Action: "events:PutEvents"}:                 true,
	{Function: "failover-global-cluster", Action: "rds:AddTagsToResource"}: true,
}

// fatal tells what every run that uses it needs: a lag that cannot be read
// only matters where a limit is set, and a key that cannot be looked at is told
// and never in the way, for many keys belong to other accounts.
func fatal(use lab.Use) bool {
	return !strings.HasPrefix(use.Action, "cloudwatch:") && use.Action != "kms:DescribeKey"
}
