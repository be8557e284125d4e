package lab

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dr-orchestrator/internal/asl"
	"dr-orchestrator/internal/report"
)

type traced = asl.Event

func faultsOf(t testing.TB, spec string) Faults {
	t.Helper()
	faults, err := ParseFaults(spec)
	if err != nil {
		t.Fatal(err)
	}
	return faults
}

func total(counts map[string]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}

// twoLayers promotes a replica and then fails a datastore over.
func twoLayers(t testing.TB) []byte {
	t.Helper()
	return edited(t, "failover-replica-and-cache.json", func(doc map[string]any) {
		layer := doc["StatePayload"].([]any)[0].(map[string]any)
		resources := layer["resources"].([]any)
		layer["resources"] = resources[:1]
		doc["StatePayload"] = []any{map[string]any{"layer": 5, "resources": resources[1:]}, layer}
	})
}

// impatient wants a replica that is no second behind.
func impatient(t testing.TB) []byte {
	t.Helper()
	return edited(t, "failover-replica-and-cache.json", func(doc map[string]any) {
		resources := doc["StatePayload"].([]any)[0].(map[string]any)["resources"].([]any)
		resources[0].(map[string]any)["parameters"].(map[string]any)["MaxReplicaLagSeconds"] = "1"
	})
}

func disaster(t testing.TB) []byte {
	t.Helper()
	return edited(t, "failover-aurora-unplanned.json", func(doc map[string]any) { doc["Options"] = map[string]any{"Disaster": "true"} })
}

func planned(t testing.TB, name string) []byte {
	t.Helper()
	return edited(t, name, func(doc map[string]any) { doc["Options"] = map[string]any{"Mode": "plan"} })
}

func edited(t testing.TB, name string, edit func(doc map[string]any)) []byte {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(sample(t, name), &doc); err != nil {
		t.Fatal(err)
	}
	edit(doc)
	out, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// replicas puts n replicas into an estate and gives the payload that promotes
// them.
func replicas(e *Estate, n int) []byte {
	var resources []string
	for i := range n {
		id := fmt.Sprintf("replica-%04d", i)
		x := &Instance{Region: "us-west-2", ID: id, Engine: "mysql", Status: "available", LagSeconds: seconds(1),
			Source: "arn:aws:rds:us-east-1:111122223333:db:source-" + id, Replication: "replicating"}
		e.Instances = append(e.Instances, x)
		resources = append(resources, fmt.Sprintf(`{"resourceType":"PromoteRDSReadReplica","resourceName":"%s","parameters":{"RDSInstanceIdentifier":"%s","TargetClusterIdentifier":"%s"}}`, id, id, e.instanceARN(x)))
	}
	return []byte(`{"StatePayload":[{"layer":1,"resources":[` + strings.Join(resources, ",") + `]}]}`)
}

// globals puts n global databases into an estate and gives the payload that
// fails them over.
func globals(e *Estate, n int) []byte {
	var resources []string
	for i := range n {
		name := fmt.Sprintf("orders-%03d", i)
		e.addGlobal(name, "cluster-"+name, "aurora-mysql", "8.0", "3306", "us-east-1", "us-west-2")
		resources = append(resources, fmt.Sprintf(`{"resourceType":"UnPlannedFailoverAurora","resourceName":"%s","parameters":{"GlobalClusterIdentifier":"%s","DBClusterIdentifier":"arn:aws:rds:us-west-2:111122223333:cluster:cluster-%s-02","ClusterRegion":"us-west-2"}}`, name, name, name))
	}
	return []byte(`{"StatePayload":[{"layer":1,"resources":[` + strings.Join(resources, ",") + `]}]}`)
}

// detached is globals, the Python sample's way.
func detached(e *Estate, n int) []byte {
	return []byte(strings.ReplaceAll(string(globals(e, n)), `"ClusterRegion":"us-west-2"`, `"ClusterRegion":"us-west-2","Method":"Detach"`))
}

// untrue fails the test where what a run says is not what the lab knows.
func untrue(t testing.TB, result Result, payload []byte) {
	t.Helper()
	for _, lie := range lies(result, payload, false) {
		t.Error(lie)
	}
}

// repeated tells the operations that a run may begin more than once: a reboot
// that nobody saw is asked for again, and tags say one thing after another.
func repeated(what string) bool {
	return strings.HasPrefix(what, "RebootDBInstance ") || strings.HasPrefix(what, "AddTagsToResource ")
}

// again tells the operations after which a target may have another one: tags,
// which say of it what was done, and what AWS does of itself.
func again(op *Operation) bool { return op.Kind == "AddTagsToResource" || op.Kind == "Resync" }

// lies compares a result with the truth: the final estate, and the operations
// that were really begun. Where every look at a resource is killed, nobody can
// know whether it changed: then, and only then, "changed" may be said of one
// that did not.
func lies(result Result, payload []byte, blind bool) []string {
	var all []string
	lie := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	begun := map[string]int{}
	for _, op := range result.Begun {
		begun[op.Kind+" of "+op.Target]++
	}
	for what, n := range begun {
		if n > 1 && !repeated(what) {
			lie("%s was begun %d times", what, n)
		}
	}
	changed := len(result.Begun) > 0
	switch result.Outcome {
	case report.Succeeded:
		for what, reached := range goals(result.Final, string(payload)) {
			if strings.Contains(string(payload), what) && !reached {
				lie("Succeeded, and %s is not at its goal", what)
			}
		}
	case report.Refused, report.FailedClean:
		if changed {
			lie("%s, and %v was begun", result.Outcome, begun)
		}
	case report.FailedDirty:
		if !changed && !blind {
			lie("FailedDirty, and nothing was changed: %s", result.Cause)
		}
	default:
		lie("the end %q is none of the four", result.Outcome)
	}
	unseen := map[string]bool{} // a fence in a region that never answers cannot know what a killed function did there
	for _, layer := range result.Record.Layers {
		for _, r := range layer.Resources {
			unseen[r.ResourceName] = r.Evidence["fence"] == "unknown"
			if arn, _ := r.Evidence["primary"].(string); r.Evidence["fence"] == "fenced" && slices.Contains(result.Final.Serving(), arn) {
				lie("%s is told to be fenced, and takes writes", arn)
			}
		}
	}
	index := 0
	for _, layer := range result.Layers {
		for _, r := range layer.Resources {
			really := false
			for _, op := range result.Begun {
				really = really || strings.HasSuffix(op.Owner, fmt.Sprintf("/%d", index))
			}
			if r.Changed != really && !(r.Changed && (blind || unseen[r.ResourceName])) {
				lie("%s (%s): changed is %v, in truth %v", r.ResourceName, r.Status, r.Changed, really)
			}
			index++
		}
	}
	if result.DurationSeconds > 3*3600 {
		lie("the run took %.0f s", result.DurationSeconds)
	}
	return all
}

// goals tells of the things in the sample payloads, by the resource type that
// moves them, whether the estate has them where the samples want them.
func goals(e *Estate, payload string) map[string]bool {
	replica, global, cluster := "rds-mysql-instance", "dr-globaldb-cluster-mysql", "dbcluster"
	if strings.Contains(payload, "rds-postgres-instance") {
		replica = "rds-postgres-instance"
	}
	if strings.Contains(payload, "dr-globaldb-cluster-postgres") {
		global, cluster = "dr-globaldb-cluster-postgres", "dbcluster-postgres"
	}
	i := e.instance("us-west-2", replica+"-usw2")
	g := e.global(global)
	d := e.datastore("ldgnf-demo-redis-global-datastore")
	target := e.cluster("arn:aws:rds:us-west-2:111122223333:cluster:" + cluster + "-02")
	writes := true
	for _, m := range g.Members {
		if m.ARN == e.clusterARN(target) {
			writes = m.Writer
		}
	}
	primary := false
	for _, m := range d.Members {
		primary = primary || (m.Region == "us-west-2" && m.Role == "PRIMARY")
	}
	fresh, old := e.instance("us-west-2", "rds-oracle-instance-usw2"), e.instance("us-east-1", "rds-oracle-instance-use1")
	return withTraffic(e, map[string]bool{
		"SwitchoverRDSReadReplica":   fresh.Source == "" && old.Source == e.instanceARN(fresh) && fresh.Status == "available" && old.Status == "available",
		`"Required": "true"`:         !slices.Contains(e.Serving(), "arn:aws:rds:us-east-1:111122223333:db:"+replica+"-use1"),
		"SwapDNS":                    swapped(e),
		"ShiftTraffic":               shifted(e),
		"PromoteRDSReadReplica":      i.Source == "" && i.Status == "available" && i.Retention > 0,
		"FailoverAurora":             writes && g.Failover == nil && g.Status == "available" && target.Status == "available",
		"FailoverElastiCacheCluster": primary && d.Status == "available",
	})
}
