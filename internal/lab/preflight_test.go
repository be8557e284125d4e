package lab

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/policy"
	"dr-orchestrator/internal/report"
)

// datastores puts n global datastores into an estate and gives the payload that
// fails them over.
func datastores(e *Estate, n int) []byte {
	var resources []string
	for i := range n {
		id, group := fmt.Sprintf("ldgnf-sessions-%03d", i), fmt.Sprintf("sessions-%03d", i)
		e.addDatastore(id, group, "us-east-1", "us-west-2")
		resources = append(resources, fmt.Sprintf(`{"resourceType":"FailoverElastiCacheCluster","resourceName":"%s","parameters":{"GlobalReplicationGroupId":"%s","TargetRegion":"us-west-2","TargetReplicationGroupId":"%s"}}`, group, id, group))
	}
	return []byte(`{"StatePayload":[{"layer":1,"resources":[` + strings.Join(resources, ",") + `]}]}`)
}

// inLayers makes one payload of several: each its layers, one after another, in
// plan mode.
func inLayers(t testing.TB, payloads ...[]byte) []byte {
	t.Helper()
	var layers []any
	for _, p := range payloads {
		var doc struct{ StatePayload []map[string]any }
		if err := json.Unmarshal(p, &doc); err != nil {
			t.Fatal(err)
		}
		for _, layer := range doc.StatePayload {
			layer["layer"] = len(layers) + 1
			layers = append(layers, layer)
		}
	}
	out, err := json.Marshal(map[string]any{"StatePayload": layers, "Options": map[string]any{"Mode": "plan"}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// findings gives what a plan says of a resource, as one text for each verdict.
func findings(result Result) map[string]map[action.Verdict]string {
	all := map[string]map[action.Verdict]string{}
	for _, layer := range result.Layers {
		for _, r := range layer.Resources {
			all[r.ResourceName] = map[action.Verdict]string{}
			for _, f := range r.Findings {
				all[r.ResourceName][f.Verdict] += f.Message + "; "
			}
		}
	}
	return all
}

// A thousand resources are looked at in less than a minute, on the lab's clock,
// within a region's limits, and everything that is wrong is told at once.
func TestAPlanOfAThousandResources(t *testing.T) {
	estate := DefaultEstate()
	estate.DescribesPerSecond = 20
	payload := inLayers(t, replicas(estate, 400), globals(estate, 300), datastores(estate, 300))
	for _, i := range estate.Instances {
		i.Protected = true
	}

	const disabled, foreign = "arn:aws:kms:us-west-2:111122223333:key/disabled", "arn:aws:kms:us-west-2:999988887777:key/theirs"
	estate.Keys = map[string]string{disabled: "Disabled"}
	cluster := func(n string) *Cluster {
		return estate.cluster("arn:aws:rds:us-west-2:111122223333:cluster:cluster-orders-" + n + "-02")
	}
	group := func(n string) *ReplicationGroup {
		return estate.Groups[slices.IndexFunc(estate.Groups, func(g *ReplicationGroup) bool { return g.Region == "us-west-2" && g.ID == "sessions-"+n })]
	}
	estate.instance("us-west-2", "replica-0005").Status = "stopped"
	estate.instance("us-west-2", "replica-0150").Protected = false
	estate.instance("us-west-2", "replica-0250").SubnetStatus = "Incomplete"
	estate.instance("us-west-2", "replica-0350").Pending = "8.4.1"
	estate.Instances = slices.DeleteFunc(estate.Instances, func(i *Instance) bool {
		return i.ID == "replica-0399" || i.Cluster == "cluster-orders-299-02"
	})
	cluster("010").Key, cluster("110").Key = disabled, foreign
	cluster("210").EngineVersion = "8.1"
	group("007").Status, group("107").Key = "deleting", disabled
	group("207").Resharding = true
	estate.datastore("ldgnf-sessions-299").Status = "primary-only"

	result := runLab(t, Options{Payload: payload, Estate: estate})
	t.Logf("%.1f s of virtual time, at most %d describes in a second, calls %v", result.DurationSeconds, busiestSecond(result.Log), result.APICalls)
	if result.DurationSeconds >= 60 {
		t.Errorf("it took %.1f s", result.DurationSeconds)
	}
	if len(result.Mutations) != 0 || len(result.Begun) != 0 || result.Outcome != report.FailedClean {
		t.Errorf("%s with %v", result.Outcome, result.Mutations)
	}
	blocked, warned := map[string]string{
		"replica-0005": "stopped", "replica-0399": "DBInstanceNotFound", "orders-010": `"Disabled"`, "orders-299": "no DB instance",
		"sessions-007": "deleting", "sessions-107": `"Disabled"`, "sessions-299": "primary-only",
	}, map[string]string{
		"replica-0150": "deletion protection", "replica-0250": "Incomplete", "replica-0350": "EngineVersion", "orders-110": "AccessDeniedException",
		"orders-210": "engine versions differ", "sessions-207": "Resharding",
	}
	seen := 0
	for name, found := range findings(result) {
		seen++
		if want := blocked[name]; (want == "") != (found[action.VerdictBlocked] == "") || !strings.Contains(found[action.VerdictBlocked], want) {
			t.Errorf("%s is blocked by %q, want %q", name, found[action.VerdictBlocked], want)
		}
		if want := warned[name]; (want == "") != (found[action.VerdictWarning] == "") || !strings.Contains(found[action.VerdictWarning], want) {
			t.Errorf("%s is warned of %q, want %q", name, found[action.VerdictWarning], want)
		}
		if blocked[name] != "" && !strings.Contains(result.Cause, name) {
			t.Errorf("the cause does not name %s", name)
		}
	}
	if seen != 1000 {
		t.Errorf("%d resources in the report", seen)
	}
}

// Planning changes nothing: of no sample is a mutating call counted.
func TestPlansOfTheSamplesChangeNothing(t *testing.T) {
	files, err := filepath.Glob("../../payloads/fail*-*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d samples: %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			machine, _, _ := strings.Cut(name, "-")
			result := runLab(t, Options{Payload: planned(t, name), Machine: machine})
			looked := 0
			for call, n := range result.APICalls {
				if Mutating(call) {
					t.Errorf("%d × %s", n, call)
				}
				if strings.Contains(call, ":Describe") || strings.Contains(call, ":GetRoutingControlState") || strings.Contains(call, ":GetHealthCheck") || strings.Contains(call, ":GetMultiRegionAccessPointRoutes") || strings.Contains(call, ":ListResourceRecordSets") {
					looked += n
				}
			}
			if result.Outcome != report.Succeeded || result.Mode != "plan" || len(result.Begun) != 0 || looked == 0 {
				t.Errorf("%s in mode %q after %d describes: %s", result.Outcome, result.Mode, looked, result.Cause)
			}
			for name, found := range findings(result) {
				if found[action.VerdictBlocked] != "" {
					t.Errorf("%s: %v", name, found)
				}
			}
		})
	}
}

// Whatever is blocked, in whichever layer, is named at once.
func TestBlockedResourcesOfAllLayersAreNamedAtOnce(t *testing.T) {
	estate := DefaultEstate()
	estate.instance("us-west-2", "rds-mysql-instance-usw2").Status = "stopped"
	estate.cluster("arn:aws:rds:us-west-2:111122223333:cluster:dbcluster-02").Status = "stopped"
	estate.datastore("ldgnf-demo-redis-global-datastore").Status = "primary-only"
	payload := inLayers(t, replicaOf(t, "failover-replica-and-cache.json", "PromoteRDSReadReplica"),
		replicaOf(t, "failover-aurora-unplanned.json", "UnPlannedFailoverAurora"), replicaOf(t, "failover-replica-and-cache.json", "FailoverElastiCacheCluster"))
	result := runLab(t, Options{Payload: payload, Estate: estate})
	if result.Outcome != report.FailedClean || len(result.Mutations) != 0 || len(result.Layers) != 3 {
		t.Fatalf("%s with %v in %d layers: %s", result.Outcome, result.Mutations, len(result.Layers), result.Cause)
	}
	for i, layer := range result.Layers {
		for _, r := range layer.Resources {
			if r.Verdict != action.VerdictBlocked || !strings.Contains(result.Cause, fmt.Sprintf("layer %d, %s", i+1, r.ResourceName)) {
				t.Errorf("layer %d, %s: %s; the cause is\n%s", i+1, r.ResourceName, r.Verdict, result.Cause)
			}
		}
	}
}

// replicaOf gives a sample's resources of one type, as a payload of one layer.
func replicaOf(t testing.TB, name, resourceType string) []byte {
	t.Helper()
	return edited(t, name, func(doc map[string]any) {
		layer := doc["StatePayload"].([]any)[0].(map[string]any)
		layer["resources"] = slices.DeleteFunc(layer["resources"].([]any), func(r any) bool {
			return r.(map[string]any)["resourceType"] != resourceType
		})
	})
}

// The lists of a batch say what single describes say: a batch of two and two
// runs of one see the same.
func TestABatchSeesWhatSingleLooksSee(t *testing.T) {
	for _, tt := range []struct {
		name    string
		payload func(*Estate, int) []byte
		spoil   func(*Estate)
		faults  string
	}{
		{"replicas", replicas, func(*Estate) {}, ""},
		{"replicas, one gone", replicas, func(e *Estate) {
			e.Instances = slices.DeleteFunc(e.Instances, func(i *Instance) bool { return i.ID == "replica-0003" })
		}, ""},
		{"globals", globals, func(*Estate) {}, ""},
		{"globals, primary's region dead", globals, func(*Estate) {}, "dead@region:us-east-1"},
		{"globals, one gone", globals, func(e *Estate) {
			e.Globals = slices.DeleteFunc(e.Globals, func(g *GlobalCluster) bool { return g.ID == "orders-002" })
		}, ""},
		{"switchovers", switchovers, func(*Estate) {}, ""},
		{"switchovers, primary's region dead", switchovers, func(*Estate) {}, "dead@region:us-east-1"},
		{"switchovers, one of another version", switchovers, func(e *Estate) {
			e.cluster("arn:aws:rds:us-east-1:111122223333:cluster:cluster-orders-001-01").EngineVersion = "7"
		}, ""},
		{"switchovers, a primary at work", switchovers, func(e *Estate) {
			e.cluster("arn:aws:rds:us-east-1:111122223333:cluster:cluster-orders-001-01").Status = "modifying"
		}, ""},
		{"datastores", datastores, func(*Estate) {}, ""},
		{"datastores, one gone", datastores, func(e *Estate) {
			e.Datastores = slices.DeleteFunc(e.Datastores, func(d *Datastore) bool { return d.ID == "ldgnf-sessions-004" })
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			estate := DefaultEstate()
			payload := inLayers(t, tt.payload(estate, 6))
			tt.spoil(estate)
			batch := runLab(t, Options{Payload: payload, Estate: estate, Faults: faultsOf(t, tt.faults)})
			together := findings(batch)
			if batch.DurationSeconds > 20 {
				t.Errorf("it took %.1f s", batch.DurationSeconds)
			}
			var doc struct{ StatePayload []struct{ Resources []any } }
			if err := json.Unmarshal(payload, &doc); err != nil {
				t.Fatal(err)
			}
			for _, r := range doc.StatePayload[0].Resources {
				one, err := json.Marshal(map[string]any{"StatePayload": []any{map[string]any{"layer": 1, "resources": []any{r}}}})
				if err != nil {
					t.Fatal(err)
				}
				for name, alone := range findings(runLab(t, Options{Payload: inLayers(t, one), Estate: estate, Faults: faultsOf(t, tt.faults), Machine: catalog.Failover})) {
					if fmt.Sprint(alone) != fmt.Sprint(together[name]) {
						t.Errorf("%s: alone %v, together %v", name, alone, together[name])
					}
				}
			}
		})
	}
}

// switchovers is globals, on a planned day.
func switchovers(e *Estate, n int) []byte {
	return []byte(strings.NewReplacer("UnPlannedFailoverAurora", "PlannedFailoverAurora", `,"ClusterRegion":"us-west-2"`, "").Replace(string(globals(e, n))))
}

// Every single fault at every list of a plan is got over, or told of what it
// hid; nothing is changed, and none of them takes long.
func TestFaultsOfLists(t *testing.T) {
	estate := DefaultEstate()
	payload := inLayers(t, replicas(estate, 5), switchovers(estate, 5), datastores(estate, 5))
	calm := runLab(t, Options{Payload: payload, Estate: estate})
	if calm.Outcome != report.Succeeded {
		t.Fatalf("%s: %s", calm.Outcome, calm.Cause)
	}
	runs := 0
	for _, call := range sortedKeys(calm.APICalls) {
		service, _, _ := strings.Cut(call, ":")
		if !slices.Contains([]string{"rds", "elasticache", "cloudwatch", "kms"}, service) {
			continue
		}
		for n := 1; n <= calm.APICalls[call]; n++ {
			for _, kind := range []FaultKind{Throttle, Broken, Lost, Timeout, Stale, NotFound, Kill} {
				spec := fmt.Sprintf("%s@%s#%d", kind, call, n)
				result := runLab(t, Options{Payload: payload, Estate: estate, Faults: faultsOf(t, spec)})
				if result.Outcome != report.Succeeded || len(result.Mutations) != 0 || result.DurationSeconds > 90 {
					t.Errorf("%s: %s with %v after %.1f s: %s", spec, result.Outcome, result.Mutations, result.DurationSeconds, result.Cause)
				}
				runs++
			}
		}
		for _, kind := range []FaultKind{Throttle, Broken, Timeout} {
			spec := fmt.Sprintf("%s@%s", kind, call)
			result := runLab(t, Options{Payload: payload, Estate: estate, Faults: faultsOf(t, spec)})
			told := result.Cause
			for _, found := range findings(result) {
				told += found[action.VerdictWarning]
			}
			if len(result.Mutations) != 0 || result.DurationSeconds > 400 || result.Outcome == report.Succeeded && service != "kms" && service != "cloudwatch" || told == calm.Cause {
				t.Errorf("%s: %s with %v after %.1f s: %s", spec, result.Outcome, result.Mutations, result.DurationSeconds, told)
			}
			runs++
		}
	}
	t.Logf("%d runs", runs)
}

// A role whose resources were narrowed to some names may not list: it looks at
// each thing by itself, and sees the same.
func TestANarrowedRoleLooksAtEach(t *testing.T) {
	estate := DefaultEstate()
	payload := inLayers(t, replicas(estate, 5))
	policies := Policies{}
	for _, name := range FunctionNames() {
		policies[name] = policy.Policy{{Actions: []string{"*"}, Resources: []string{"*"}}}
	}
	for pattern, want := range map[string]struct {
		describes int
		outcome   report.Outcome
	}{
		"*": {1, report.Succeeded}, "replica-*": {1 + 5, report.Succeeded}, "other-*": {1 + 5, report.FailedClean},
	} {
		policies["promote-read-replica"] = policy.Policy{
			{Actions: []string{"rds:*"}, Resources: []string{"arn:aws:rds:us-west-2:111122223333:db:" + pattern}},
			{Actions: []string{"cloudwatch:*", "kms:*"}, Resources: []string{"*"}},
		}
		result := runLab(t, Options{Payload: payload, Estate: estate, Policies: policies})
		if got := result.APICalls["rds:DescribeDBInstances"]; got != want.describes || result.Outcome != want.outcome {
			t.Errorf("%s: %s after %d describes, want %+v: %s", pattern, result.Outcome, got, want, result.Cause)
		}
	}
}
