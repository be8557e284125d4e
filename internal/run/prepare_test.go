package run

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/report"
)

const (
	executionARN = "arn:aws:states:us-west-2:111122223333:execution:dr-orchestrator-failover:run-1"
	replicaARN   = "arn:aws:rds:us-west-2:111122223333:db:orders"
)

func promotion(id string) string {
	return fmt.Sprintf(`{"resourceType":"PromoteRDSReadReplica","resourceName":"db %s","parameters":{"RDSInstanceIdentifier":%q,"TargetClusterIdentifier":"arn:aws:rds:us-west-2:111122223333:db:%s"}}`, id, id, id)
}

func prepareInput(body string) PrepareInput {
	in := PrepareInput{Input: json.RawMessage(body), Machine: "failover"}
	in.Execution.ID, in.Execution.Name, in.Execution.StartTime = executionARN, "run-1", started
	return in
}

func preparer(b *bucket, r references) Preparer {
	return Preparer{Store: Store{S3: b, Bucket: "runs-bucket"}, Resolver: func(string) Resolver { return r }, FunctionPrefix: "dr-"}
}

func TestPrepare(t *testing.T) {
	b := newBucket()
	body := `{"StatePayload":[
		{"layer":2,"resources":[` + promotion("c") + `]},
		{"layer":1,"resources":[` + promotion("a") + `,{"resourceType":"UnPlannedFailoverAurora","resourceName":"aurora","parameters":{
			"GlobalClusterIdentifier":"!Import global","DBClusterIdentifier":"!Import cluster","ClusterRegion":"us-west-2","MaxReplicaLagSeconds":"30"}}]}],
		"Options":{"Mode":"plan","Disaster":true}}`
	got, err := preparer(b, references{texts: map[string]string{
		"!Import global": "orders", "!Import cluster": "arn:aws:rds:us-west-2:111122223333:cluster:orders-west",
	}}).Prepare(t.Context(), prepareInput(body))
	if err != nil {
		t.Fatal(err)
	}
	if got.Decision != "go" || got.Mode != "plan" || got.Outcome != "" || got.Preflight.Bucket != "runs-bucket" || got.Prefix != documents {
		t.Errorf("prepared %+v", got)
	}
	if r := got.Run; r.ID != "run-1" || r.Execution != executionARN || r.Machine != "failover" || r.Region != "us-west-2" ||
		r.Account != "111122223333" || r.Partition != "aws" || !r.Disaster || !r.StartedAt.Equal(started) {
		t.Errorf("run %+v", r)
	}
	plan := document[Plan](t, b, documents+"plan.json")
	var order []string
	for _, layer := range plan.Layers {
		for _, r := range layer.Resources {
			order = append(order, fmt.Sprintf("%d:%d:%s:%s", layer.Layer, r.Index, r.Name, r.Function))
			if entry, _ := catalog.Find(r.Type); r.TimeLimitSeconds != int(entry.TimeLimit.Seconds()) || r.Layer != layer.Layer || r.Watched != len(layer.Resources) {
				t.Errorf("resource %+v", r)
			}
		}
	}
	if want := "1:0:db a:dr-promote-read-replica 1:1:aurora:dr-failover-global-cluster 2:2:db c:dr-promote-read-replica"; strings.Join(order, " ") != want {
		t.Errorf("plan %v, want %s", order, want)
	}
	// What the resources of a layer share, how far its starts are apart, and
	// where each stands in the payload.
	for i, want := range []action.Resource{
		{Watched: 2, ProofReads: 5, Pointer: "/StatePayload/1/resources/0"}, {Watched: 2, ProofReads: 5, Pointer: "/StatePayload/1/resources/1"},
	} {
		if r := plan.Layers[0].Resources[i]; r.Watched != want.Watched || r.ProofReads != want.ProofReads || r.StartDelay != 0 || r.LastStart != 0 || r.Pointer != want.Pointer {
			t.Errorf("resource %+v, want %+v", r, want)
		}
	}
	// The parameters are typed, and references and defaults are in them.
	var aurora struct {
		GlobalClusterIdentifier, Method string
		MaxReplicaLagSeconds            int
	}
	if err := json.Unmarshal(plan.Layers[0].Resources[1].Parameters, &aurora); err != nil || aurora.GlobalClusterIdentifier != "orders" || aurora.Method != "Managed" || aurora.MaxReplicaLagSeconds != 30 {
		t.Errorf("parameters %s", plan.Layers[0].Resources[1].Parameters)
	}
	batches := document[[]Batch](t, b, got.Preflight.Key)
	seen := map[int]bool{}
	for _, batch := range batches {
		for _, r := range batch.Resources {
			if seen[r.Index] || r.Function != batch.Function {
				t.Errorf("batch %+v", batch)
			}
			seen[r.Index] = true
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d resources in the batches, want 3", len(seen))
	}
}

// A payload of few batches is looked at all at once, a larger one batch by batch.
// Nobody waits before a look.
func TestPrepareConcurrency(t *testing.T) {
	aurora := `{"resourceType":"UnPlannedFailoverAurora","resourceName":"aurora","parameters":{
		"GlobalClusterIdentifier":"orders","DBClusterIdentifier":"arn:aws:rds:us-west-2:111122223333:cluster:orders-west","ClusterRegion":"us-west-2"}}`
	many := func(n int) []string {
		var all []string
		for i := range n {
			all = append(all, promotion(fmt.Sprintf("db%d", i)))
		}
		return all
	}
	for _, tt := range []struct {
		name      string
		resources []string
		want      int
	}{
		{"one", []string{promotion("a")}, 1},
		{"a batch of one function", many(batchSize), 1},
		{"two functions", append(many(batchSize), aurora), 2},
		{"few batches", append(many(3*batchSize), aurora), 4},
		{"many batches", append(many(3*batchSize+1), aurora), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBucket()
			got, err := preparer(b, references{}).Prepare(t.Context(), prepareInput(`{"StatePayload":[{"layer":1,"resources":[`+strings.Join(tt.resources, ",")+`]}]}`))
			if err != nil || got.Decision != "go" || got.PreflightConcurrency != tt.want {
				t.Fatalf("%d batches at once, want %d (%s, %v)", got.PreflightConcurrency, tt.want, got.Cause, err)
			}
			for i, batch := range document[[]Batch](t, b, got.Preflight.Key) {
				if batch.PauseSeconds != 0 {
					t.Errorf("batch %d begins after %d s", i, batch.PauseSeconds)
				}
			}
		})
	}
}

// The name of an execution is unique in its machine, and for a while, only.
func TestPrefix(t *testing.T) {
	if got := Prefix(executionARN, started); got != documents {
		t.Errorf("prefix %s, want %s", got, documents)
	}
	if got := ReportKey(executionARN, started); got != documents+"report.json" {
		t.Errorf("report at %s", got)
	}
	if got := Prefix(executionARN, started.In(time.FixedZone("", 3600))); got != documents {
		t.Errorf("in another time zone: prefix %s", got)
	}
	for name, got := range map[string]string{
		"another machine": Prefix(strings.Replace(executionARN, "failover", "failback", 1), started),
		"another name":    Prefix(executionARN+"2", started),
		"another start":   Prefix(executionARN, started.Add(time.Millisecond)),
	} {
		if strings.HasPrefix(got, documents) || !strings.HasPrefix(got, "runs/") || !strings.HasSuffix(got, "/") {
			t.Errorf("%s: prefix %s", name, got)
		}
	}
}

// The starts of a large layer are kept apart, and each resource knows when the
// last one starts.
func TestPrepareStarts(t *testing.T) {
	b := newBucket()
	var resources []string
	for i := range 26 {
		resources = append(resources, promotion(string(rune('a'+i))))
	}
	if got, err := preparer(b, references{}).Prepare(t.Context(), prepareInput(`{"StatePayload":[{"layer":1,"resources":[`+strings.Join(resources, ",")+`]}]}`)); err != nil || got.Decision != "go" {
		t.Fatalf("%+v, %v", got, err)
	}
	layer := document[Plan](t, b, documents+"plan.json").Layers[0].Resources
	last := 0
	for _, r := range layer {
		if r.StartDelay < last || r.LastStart != layer[25].StartDelay || r.ProofReads != 26 {
			t.Errorf("resource %+v", r)
		}
		last = r.StartDelay
	}
	if last == 0 || last > 10 {
		t.Errorf("the last of 26 starts after %d s", last)
	}
}

func TestPrepareRejects(t *testing.T) {
	good := `{"StatePayload":[{"layer":1,"resources":[` + promotion("a") + `]}]}`
	for _, tt := range []struct {
		name, body string
		problems   int
	}{
		{"no JSON", `{`, 1},
		{"empty", `{}`, 1},
		{"no layers", `{"StatePayload":[]}`, 1},
		{"unknown type", strings.Replace(good, "PromoteRDSReadReplica", "PromoteRDSReadReplicas", 1), 1},
		{"unknown parameter", strings.Replace(good, `"RDSInstanceIdentifier"`, `"RDSInstanceId"`, 1), 1},
		{"contradiction", strings.Replace(good, `"RDSInstanceIdentifier":"a"`, `"RDSInstanceIdentifier":"b"`, 1), 1},
		{"the same resource twice", `{"StatePayload":[{"layer":1,"resources":[` + promotion("a") + `]},{"layer":2,"resources":[` + promotion("a") + `]}]}`, 1},
		{"unknown reference", strings.Replace(good, `"RDSInstanceIdentifier":"a"`, `"RDSInstanceIdentifier":"!Import none"`, 1), 1},
		{"very many", `{"StatePayload":[{"layer":1,"resources":[` + strings.TrimSuffix(strings.Repeat(`{"resourceType":"A","resourceName":"x","parameters":{}},`, 1000), ",") + `]}]}`, 1000},
		{"several at once", `{"StatePayload":[{"layer":1,"resources":[{"resourceType":"A","resourceName":"x","parameters":{}},{"resourceType":"B","resourceName":"y","parameters":{}}]}]}`, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBucket()
			got, err := preparer(b, references{}).Prepare(t.Context(), prepareInput(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if got.Decision == "go" || got.Outcome != report.FailedClean || got.Cause == "" || len(got.Cause) > 16<<10 {
				t.Errorf("prepared %+v, a cause of %d bytes", got, len(got.Cause))
			}
			if plan := document[Plan](t, b, documents+"plan.json"); len(plan.Problems) < tt.problems || len(plan.Layers) != 0 {
				t.Errorf("%d problems and %d layers, want %d problems: %v", len(plan.Problems), len(plan.Layers), tt.problems, plan.Problems)
			}
			if b.wrote(documents + "preflight-batches.json") {
				t.Error("there is something to look at all the same")
			}
		})
	}
}

// A run under the name of a check would be seen by nobody who looks for runs: it
// is refused, however its payload came. Only a check may be called so.
func TestPrepareRefusesTheNameOfACheck(t *testing.T) {
	const layers = `"StatePayload":[{"layer":1,"resources":[%s]}]`
	body := func(options string) string {
		return "{" + fmt.Sprintf(layers, promotion("a")) + options + "}"
	}
	for _, tt := range []struct {
		name, execution, body string
		refused               bool
	}{
		{"a run", "readiness-orders-1", body(""), true},
		{"a run that says so", "readiness-", body(`,"Options":{"Mode":"run"}`), true},
		{"a stored run", "readiness-orders-1", `{"Payload":"orders"}`, true},
		{"a check", "readiness-orders-1", body(`,"Options":{"Mode":"plan"}`), false},
		{"the check of a stored one", "readiness-orders-1", `{"Payload":"orders","Options":{"Mode":"plan"}}`, false},
		{"a run with another name", "my-readiness-1", body(""), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBucket()
			b.holds(t, StoredKey("orders"), json.RawMessage(body("")))
			in := prepareInput(tt.body)
			in.Execution.ID, in.Execution.Name = strings.Replace(executionARN, "run-1", tt.execution, 1), tt.execution
			got, err := preparer(b, references{}).Prepare(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			refused := got.Decision == "rejected" && got.Outcome == report.FailedClean && strings.Contains(got.Cause, "names that begin with")
			if refused != tt.refused || !refused && got.Decision != "go" {
				t.Errorf("prepared %+v", got)
			}
			if b.wrote(Prefix(in.Execution.ID, started)+"preflight-batches.json") == tt.refused {
				t.Error("what is to be looked at was written for a refused run, or not for another one")
			}
			if plan := document[Plan](t, b, Prefix(in.Execution.ID, started)+"plan.json"); tt.refused && plan.Mode != "run" {
				t.Errorf("the plan is of mode %q", plan.Mode)
			}
		})
	}
}

func TestPrepareFails(t *testing.T) {
	good := prepareInput(`{"StatePayload":[{"layer":1,"resources":[` + promotion("a") + `]}]}`)
	odd := good
	odd.Execution.ID = "run-1"
	for _, tt := range []struct {
		name  string
		in    PrepareInput
		err   error // of the resolver
		errs  map[string]error
		class action.Class
	}{
		{"execution without an ARN", odd, nil, nil, action.InvalidInput},
		{"references denied", good, coded("AccessDenied"), nil, action.Denied},
		{"references throttled", good, coded("Throttling"), nil, action.Throttled},
		{"plan not written", good, nil, map[string]error{documents + "plan.json": coded("SlowDown")}, action.Throttled},
		{"batches not written", good, nil, map[string]error{documents + "preflight-batches.json": coded("NoSuchBucket")}, action.NotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBucket()
			b.errs = tt.errs
			if _, err := preparer(b, references{err: tt.err}).Prepare(t.Context(), tt.in); action.ClassOf(err) != tt.class {
				t.Errorf("class %s, want %s (%v)", action.ClassOf(err), tt.class, err)
			}
		})
	}
}

// Every sample payload can be prepared, once its references are known.
func TestPrepareSamples(t *testing.T) {
	files, err := filepath.Glob("../../payloads/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	texts := map[string]string{
		"!Import dr-globaldb-cluster-mysql-global-identifier":               "orders",
		"!Import dr-globaldb-cluster-mysql-cluster-identifier":              "arn:aws:rds:us-west-2:111122223333:cluster:orders-west",
		"!Import dr-globaldb-cluster-mysql-cluster-region":                  "us-west-2",
		"!Import dr-globaldb-cluster-mysql-cluster-name":                    "orders-west",
		"!Import dr-globaldb-cluster-mysql-source-cluster-identifier":       "arn:aws:rds:us-east-1:111122223333:cluster:orders-east",
		"!Import dr-globaldb-cluster-mysql-source-cluster-name":             "orders-east",
		"!Import dr-globaldb-cluster-mysql-source-isolation-security-group": "sg-0123456789abcdef0",
		"!Import dr-globaldb-cluster-mysql-source-region":                   "us-east-1",
		"!Import dr-globaldb-cluster-mysql-instance-identifier":             "orders-west-1",
		"!Import dr-globaldb-cluster-mysql-instance-class":                  "db.r5.large",
		"!Import dr-globaldb-cluster-mysql-port":                            "3787",
		"!Import dr-globaldb-cluster-mysql-subnet-group-name":               "orders-subnets",
		"!Import dr-globaldb-cluster-mysql-vpc-security-group-ids":          "sg-1",
		"!Import dr-globaldb-cluster-mysql-engine":                          "aurora-mysql",
		"!Import dr-globaldb-cluster-mysql-engine-version":                  "8.0.mysql_aurora.3.08.2",
		"!Import dr-globaldb-cluster-mysql-KmsKeyId":                        "arn:aws:kms:us-west-2:111122223333:key/1",
		"!Import rds-mysql-instance-identifier":                             "orders",
		"!Import rds-mysql-instance-global-arn":                             replicaARN,
		"!Import rds-mysql-instance-source-identifier":                      "orders",
		"!Import rds-mysql-instance-SourceRegion":                           "us-east-1",
		"!Import rds-mysql-instance-IsolationSecurityGroup":                 "sg-0123456789abcdef0",
		"!Import rds-mysql-instance-source-isolation-security-group":        "sg-0123456789abcdef0",
		"!Import rds-oracle-instance-identifier":                            "orders",
		"!Import rds-oracle-instance-global-arn":                            replicaARN,
		"!Import rds-oracle-instance-SourceRegion":                          "us-east-1",
		"!Import rds-mysql-instance-MultiAZ":                                "true",
		"!Import rds-mysql-instance-DBInstanceClass":                        "db.m5.large",
		"!Import rds-mysql-instance-DBSubnetGroup":                          "orders-subnets",
		"!Import rds-mysql-instance-DBSecurityGroup":                        "sg-0a1b2c3d4e5f60001",
		"!Import rds-mysql-instance-KmsKeyId":                               "arn:aws:kms:us-east-1:111122223333:key/orders",
		"!Import rds-mysql-instance-DBPortNumber":                           "3788",
		"!Import rds-mysql-instance-RDSMonitoringRole":                      "arn:aws:iam::111122223333:role/rds-monitoring-role",
		"!Import demo-redis-cluster-global-replication-group-id":            "ldgnf-orders",
		"!Import demo-redis-cluster-target-region":                          "us-west-2",
		"!Import demo-redis-cluster-target-replication-group-id":            "orders-west",
		"!Import demo-redis-cluster-target-replication-group-region":        "us-west-2",
		"!Import shop-zone-id":                                              "Z0SHOP",

		"!Import orders-files-access-point":    "arn:aws:s3::111122223333:accesspoint/m0a1b2c3d4e5f.mrap",
		"!Import orders-files-region":          "us-west-2",
		"!Import orders-files-other-region":    "us-east-1",
		"!Import dr-routing-endpoints":         "us-east-1=https://1.us-east-1.test,us-west-2=https://2.us-west-2.test,eu-west-1=https://3.eu-west-1.test,ap-northeast-1=https://4.ap-northeast-1.test,ap-southeast-2=https://5.ap-southeast-2.test",
		"!Import app-target-group":             "arn:aws:elasticloadbalancing:us-west-2:111122223333:targetgroup/app/0123456789abcdef",
		"!Import orders-consumer-event-source": "0a1b2c3d-1111-4000-8000-000000000002",
		"!Import dr-routing-control":           "arn:aws:route53-recovery-control::111122223333:controlpanel/p/routingcontrol/west",
		"!Import dr-routing-other-control":     "arn:aws:route53-recovery-control::111122223333:controlpanel/p/routingcontrol/east",
	}
	for name, text := range texts { // the estate has the same of PostgreSQL
		texts[strings.Replace(name, "-mysql", "-postgres", 1)] = text
	}
	texts["!Import dr-globaldb-cluster-mysql-RDSMonitoringRole"] = texts["!Import rds-mysql-instance-RDSMonitoringRole"]
	texts["!Import dr-globaldb-cluster-postgres-RDSMonitoringRole"] = texts["!Import rds-mysql-instance-RDSMonitoringRole"]
	prepared := 0
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(body), "StatePayload") || filepath.Base(file) == "schema.json" {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			in := prepareInput(string(body))
			if strings.HasPrefix(filepath.Base(file), "failback") {
				in.Machine = "failback"
			}
			got, err := preparer(newBucket(), references{texts: texts}).Prepare(t.Context(), in)
			if err != nil || got.Decision != "go" {
				t.Errorf("%+v, %v", got, err)
			}
		})
		prepared++
	}
	if prepared == 0 {
		t.Error("no sample was prepared")
	}
}

// Every resource is in one batch, of its own function, in whatever layer.
func TestBatches(t *testing.T) {
	for _, counts := range [][]int{{1}, {3}, {99, 2}, {100, 100}, {100, 101}, {1, 1, 1, 1, 1}, {1000}} {
		t.Run(fmt.Sprint(counts), func(t *testing.T) {
			plan := planOf(counts...)
			want := 0
			for i := range plan.Layers {
				for j := range plan.Layers[i].Resources {
					if want%2 == 1 {
						plan.Layers[i].Resources[j].Function = "dr-other"
					}
					want++
				}
			}
			seen := map[int]bool{}
			all := batches(plan)
			if most := want/batchSize + 2; len(all) > most { // each of two functions leaves one that is not full
				t.Errorf("%d batches for %d resources", len(all), want)
			}
			for _, batch := range all {
				if len(batch.Resources) == 0 || len(batch.Resources) > batchSize || batch.PauseSeconds != 0 {
					t.Errorf("%d resources in a batch after %d s", len(batch.Resources), batch.PauseSeconds)
				}
				for _, r := range batch.Resources {
					if seen[r.Index] || r.Function != batch.Function {
						t.Errorf("resource %d of %s in a batch of %s", r.Index, r.Function, batch.Function)
					}
					seen[r.Index] = true
				}
			}
			if len(seen) != want {
				t.Errorf("%d resources in batches, want %d", len(seen), want)
			}
		})
	}
}

// However large the parameters, an event stays within what Step Functions takes.
func TestBatchesAreBoundInBytes(t *testing.T) {
	plan := planOf(40)
	for i := range plan.Layers[0].Resources {
		plan.Layers[0].Resources[i].Parameters = json.RawMessage(`{"Text":"` + strings.Repeat("x", 10_000) + `"}`)
	}
	plan.Layers[0].Resources[7].Parameters = json.RawMessage(`{"Text":"` + strings.Repeat("x", 2*batchBytes) + `"}`)
	seen := 0
	for _, batch := range batches(plan) {
		text, err := json.Marshal(batch)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > batchBytes+1000 && len(batch.Resources) > 1 {
			t.Errorf("%d resources in %d bytes", len(batch.Resources), len(text))
		}
		seen += len(batch.Resources)
	}
	if seen != 40 {
		t.Errorf("%d resources in batches, want 40", seen)
	}
}
