package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/report"
)

func sample(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../payloads", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func runLab(t testing.TB, o Options) Result {
	t.Helper()
	if o.Machine == "" {
		o.Machine = catalog.Failover
	}
	if o.Estate == nil {
		o.Estate = DefaultEstate()
	}
	result, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// waysBack are the samples that want what a failover has left, and the
// failovers that leave it.
var waysBack = map[string]string{
	"failback-aurora.json":  "failover-aurora-detach.json",
	"failback-replica.json": "failover-replica-and-cache.json",

	"failback-mysql.json":           "failover-mysql.json",
	"failback-postgres.json":        "failover-postgres.json",
	"failback-aurora-mysql.json":    "failover-aurora-mysql.json",
	"failback-aurora-postgres.json": "failover-aurora-postgres.json",
}

// besides are the samples that belong between those of a cycle, each run by a
// test of cycles.
var besides = []string{
	"failback-elasticache.json", "check-lag-mysql.json", "check-lag-postgres.json", "release-mysql.json", "release-postgres.json",
}

// samples lists every sample payload but the ways back, which have a test of
// their own: no file may go without being run.
func samples(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("../../payloads/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		if name := filepath.Base(file); name != "schema.json" && waysBack[name] == "" && !slices.Contains(besides, name) {
			names = append(names, name)
		}
	}
	return names
}

// callsOf gives how many changes it takes to bring a resource of a sample to
// its goal.
func callsOf(resourceType string) int {
	switch resourceType {
	case "FenceOldPrimary":
		return 4 // tags, groups, reboot, tag
	case "PromoteRDSReadReplica":
		return 2 // the promotion, and the tag that tells of it
	case "ShiftTraffic":
		return 3 // the steps of the sample
	}
	return 1
}

// operations lists the samples that take as long as the operations of their
// one layer: a check takes as long as its payload says, a shift holds between
// its steps, and routes of an access point are given their two minutes.
func operations(t testing.TB) []string {
	t.Helper()
	return slices.DeleteFunc(samples(t), func(name string) bool {
		text := string(sample(t, name))
		return strings.Contains(text, `"Check`) || strings.Contains(text, `"ShiftTraffic"`) || strings.Contains(text, `"SetAccessPointRoutes"`) || strings.Count(text, `"layer"`) > 1
	})
}

// readyFor gives the estate in which a sample succeeds: the default one, but for
// a shift by itself, which wants databases that were moved before.
func readyFor(name string) *Estate {
	e := DefaultEstate()
	if name == "failover-shift-traffic.json" {
		writeIn(e, "us-west-2")
	}
	return e
}

func TestEverySampleRunsAndRunsAgain(t *testing.T) {
	for _, name := range samples(t) {
		t.Run(name, func(t *testing.T) {
			first := runLab(t, Options{Payload: sample(t, name), Estate: readyFor(name)})
			resources, calls := 0, 0
			for _, layer := range first.Layers {
				for _, r := range layer.Resources {
					changes := changes(r.ResourceType)
					if changes {
						resources++
						calls += callsOf(r.ResourceType)
					}
					if r.Status != report.Done || r.Changed != changes || r.Error != nil {
						t.Errorf("%s: %+v, want done and changed: %v", r.ResourceName, r, changes)
					}
				}
			}
			calls += strings.Count(string(sample(t, name)), `"Detach"`) // it is noted first what is left
			if first.Outcome != report.Succeeded || total(first.Mutations) != calls {
				t.Fatalf("%s with mutations %v, want Succeeded with %d mutations for %d resources\n%s", first.Outcome, first.Mutations, calls, resources, first.Cause)
			}
			untrue(t, first, sample(t, name))

			again := runLab(t, Options{Payload: sample(t, name), Estate: first.Final})
			if again.Outcome != report.Succeeded || total(again.Mutations) != 0 {
				t.Fatalf("second run: %s with mutations %v, want Succeeded without any\n%s", again.Outcome, again.Mutations, again.Cause)
			}
			for _, layer := range again.Layers {
				for _, r := range layer.Resources {
					if r.Changed || r.Status != report.Done {
						t.Errorf("second run: %s: %+v, want done and unchanged", r.ResourceName, r)
					}
				}
			}
		})
	}
}

// changes reports whether a resource type changes anything: checks do not.
func changes(resourceType string) bool {
	e, _ := catalog.Find(resourceType)
	return !strings.HasPrefix(e.Function, "check-")
}

// bothSides are the resource types that need the other region by their nature:
// two sides change places, or Route 53 is asked, whose control plane stands in
// us-east-1.
var bothSides = []string{"PlannedFailoverAurora", "SwitchoverRDSReadReplica", "SwapDNS", "ShiftTraffic", "SetHealthCheck"}

// With the other region dead every sample of a failover succeeds that can. The
// others change nothing. Only a fence, and one of five endpoints of routing
// controls or of access points, ask that region at all: they go on without an
// answer.
func TestUnplannedFailoverNeedsNothingOfTheLostRegion(t *testing.T) {
	names, err := filepath.Glob("../../payloads/failover-*.json")
	if err != nil || len(names) < 15 {
		t.Fatalf("%d samples: %v", len(names), err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			payload := sample(t, filepath.Base(name))
			types := typesOf(t, payload)
			result := runLab(t, Options{Payload: payload, Faults: faultsOf(t, "dead@region:us-east-1")})
			able := !slices.ContainsFunc(types, func(s string) bool { return slices.Contains(bothSides, s) })
			switch {
			case able && result.Outcome != report.Succeeded:
				t.Fatalf("%s: %s", result.Outcome, result.Cause)
			case !able && len(types) == 1 && (total(result.Mutations) != 0 || result.Outcome != report.Refused && result.Outcome != report.FailedClean):
				t.Errorf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
			}
			asks := slices.ContainsFunc(types, func(s string) bool {
				return slices.Contains([]string{"FenceOldPrimary", "SetRoutingControl", "SetAccessPointRoutes"}, s)
			})
			for _, call := range result.Log {
				if able && !asks && call.Region != "us-west-2" {
					t.Errorf("a call went to %s: %s", call.Region, call.Name)
				}
			}
		})
	}
}

// typesOf are the resource types of a payload, each once.
func typesOf(t *testing.T, doc []byte) []string {
	t.Helper()
	var p struct {
		StatePayload []struct {
			Resources []struct{ ResourceType string }
		}
	}
	if err := json.Unmarshal(doc, &p); err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, layer := range p.StatePayload {
		for _, r := range layer.Resources {
			types = append(types, r.ResourceType)
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

func TestPlannedSwitchoverIsRefusedWhenThePrimaryIsSilent(t *testing.T) {
	result := runLab(t, Options{Payload: sample(t, "failover-aurora-planned.json"), Faults: faultsOf(t, "dead@region:us-east-1")})
	if result.Outcome != report.Refused || len(result.Begun) != 0 || total(result.Mutations) != 0 {
		t.Fatalf("%s with %v, want Refused and nothing changed", result.Outcome, result.Mutations)
	}
	if !strings.Contains(result.Cause, "UnPlannedFailoverAurora") {
		t.Errorf("the cause does not say what to do instead: %s", result.Cause)
	}
}

func TestSameSeedGivesTheSameRun(t *testing.T) {
	for _, faults := range []string{"", "throttle@rds:*#2-4,kill@function:promote-read-replica#3,lost@rds:PromoteReadReplica"} {
		var runs [2]string
		for i := range runs {
			var trace strings.Builder
			result := runLab(t, Options{Payload: sample(t, "failover-three-databases.json"), Seed: 7, Faults: faultsOf(t, faults),
				Progress: func(p Progress) {
					line, err := json.Marshal(p)
					if err != nil {
						t.Fatal(err)
					}
					trace.Write(line)
				}})
			text, err := json.Marshal(result)
			if err != nil {
				t.Fatal(err)
			}
			runs[i] = string(text) + trace.String()
		}
		if diff := cmp.Diff(runs[0], runs[1]); diff != "" {
			t.Errorf("faults %q: two runs differ:\n%s", faults, diff)
		}
	}
}

func TestPathsOfStates(t *testing.T) {
	prepared := []string{"PrepareRun", "IsPayloadRight"}
	looked := append(slices.Clone(prepared), "CheckReadiness", "RecordReadiness", "IsReady")
	locked := append(slices.Clone(looked), "LockResources", "IsLocked")
	layer := []string{"HasNextLayer", "IsLayerWanted", "RunLayer", "RecordLayer", "IsLayerDone"}
	unlocked := func(parts ...[]string) []string {
		return append(slices.Concat(append([][]string{locked}, parts...)...), "UnlockResources")
	}
	end := func(path []string, last string) []string {
		return append(slices.Clone(path), "RecordReport", "IsOutcome", last)
	}
	three := "failover-three-databases.json"
	tests := []struct {
		name, faults string
		payload      []byte
		want         []string
	}{
		{"succeeds", "", sample(t, three), end(unlocked(layer, []string{"HasNextLayer"}), "Succeeded")},
		{"two layers", "", twoLayers(t), end(unlocked(layer, layer, []string{"HasNextLayer"}), "Succeeded")},
		{"first layer fails, second does not start", "stuck@rds:PromoteReadReplica", twoLayers(t), end(unlocked(layer), "FailedDirty")},
		{"wrong payload", "", []byte(`{"StatePayload":[]}`), end(prepared, "FailedClean")},
		{"missing export", "", []byte(strings.ReplaceAll(string(sample(t, three)), "rds-mysql-instance-identifier", "no-such-export")), end(prepared, "FailedClean")},
		{"plan only", "", planned(t, three), end(looked, "Succeeded")},
		{"blocked", "dead@region:us-east-1", sample(t, three), end(looked, "Refused")},
		{"refused while driving", "", impatient(t), end(looked, "Refused")},
		{"preparing fails for good", "error@function:prepare-run", sample(t, three), end([]string{"PrepareRun"}, "FailedClean")},
		{"layer cannot be judged", "error@function:record-layer", sample(t, three), end(unlocked(layer[:4]), "FailedDirty")},
		{"locks cannot be had", "error@dynamodb:PutItem", sample(t, three), end(unlocked(), "FailedClean")},
		{"locks cannot be had in a disaster", "error@dynamodb:PutItem", disaster(t), end(unlocked(layer, []string{"HasNextLayer"}), "Succeeded")},
		{"locks cannot be given up", "error@dynamodb:DeleteItem", sample(t, three), end(unlocked(layer, []string{"HasNextLayer"}), "Succeeded")},
		{"no report", "error@function:record-report", sample(t, three), end(unlocked(layer, []string{"HasNextLayer"}), "Succeeded")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := runLab(t, Options{Payload: tt.payload, Faults: faultsOf(t, tt.faults)})
			if diff := cmp.Diff(tt.want, got.Path); diff != "" {
				t.Errorf("path (-want +got):\n%s\n%s", diff, got.Cause)
			}
		})
	}
}

func TestEveryProblemOfAPayloadIsNamedBeforeAnythingIsTouched(t *testing.T) {
	text := strings.NewReplacer("rds-mysql-instance-identifier", "no-such-export", "demo-redis-cluster-target-region", "nor-this-one").
		Replace(string(sample(t, "failover-three-databases.json")))
	result := runLab(t, Options{Payload: []byte(text)})
	if result.Outcome != report.FailedClean || total(result.Mutations) != 0 {
		t.Fatalf("%s with %v", result.Outcome, result.Mutations)
	}
	for _, want := range []string{"no-such-export", "nor-this-one", "us-west-2", "RDSInstanceIdentifier", "TargetRegion"} {
		if !strings.Contains(result.Cause, want) {
			t.Errorf("the cause does not name %s:\n%s", want, result.Cause)
		}
	}
}

func TestOperationsOfOthersAreConflicts(t *testing.T) {
	estate := DefaultEstate()
	g := estate.global("dr-globaldb-cluster-mysql")
	g.Status = "failing-over"
	g.Failover = &FailoverState{Status: "failing-over", To: "arn:aws:rds:eu-west-1:111122223333:cluster:elsewhere"}
	result := runLab(t, Options{Payload: sample(t, "failover-aurora-unplanned.json"), Estate: estate})
	if result.Outcome != report.FailedClean || !strings.Contains(result.Cause, "elsewhere") {
		t.Errorf("%s: %s", result.Outcome, result.Cause)
	}
}

func TestUnknownResourceOfAWSFailsClean(t *testing.T) {
	estate := DefaultEstate()
	estate.Instances = slices.DeleteFunc(estate.Instances, func(i *Instance) bool { return i.ID == "rds-mysql-instance-usw2" })
	result := runLab(t, Options{Payload: sample(t, "failover-three-databases.json"), Estate: estate})
	if result.Outcome != report.FailedClean || !strings.Contains(result.Cause, "us-west-2") || len(result.Begun) != 0 {
		t.Errorf("%s: %s", result.Outcome, result.Cause)
	}
}

func TestAFailedResourceLetsItsSiblingsFinish(t *testing.T) {
	result := runLab(t, Options{Payload: sample(t, "failover-three-databases.json"), Faults: faultsOf(t, "stuck@rds:PromoteReadReplica")})
	if result.Outcome != report.FailedDirty {
		t.Fatalf("%s", result.Outcome)
	}
	for _, r := range result.Layers[0].Resources {
		want := report.Done
		if r.ResourceType == "PromoteRDSReadReplica" {
			want = report.Failed
			if r.Error == nil || r.Error.Class != "TimeLimit" || !r.Changed {
				t.Errorf("%s: %+v", r.ResourceName, r.Error)
			}
		}
		if r.Status != want {
			t.Errorf("%s: %s, want %s", r.ResourceName, r.Status, want)
		}
	}
	entry, _ := catalog.Find("PromoteRDSReadReplica")
	if result.DurationSeconds > entry.TimeLimit.Seconds()+60 {
		t.Errorf("the run went on for %.0f s", result.DurationSeconds)
	}
}

func TestSecretsNeverShow(t *testing.T) {
	const secret = "rds-mysql-instance-usw2"
	estate := DefaultEstate()
	estate.Secrets["us-west-2"] = map[string]string{"db": `{"id":"` + secret + `"}`}
	text := strings.ReplaceAll(string(sample(t, "failover-replica-and-cache.json")), "!Import rds-mysql-instance-identifier", "{{resolve:secretsmanager:db:SecretString:id}}")
	var seen []string
	result := runLab(t, Options{Payload: []byte(text), Estate: estate, Trace: func(e traced) {
		for _, part := range []string{string(e.Input), string(e.Output), e.Cause} {
			// The ARN in TargetClusterIdentifier was given in the open.
			if strings.Contains(strings.ReplaceAll(part, "db:"+secret, ""), secret) {
				seen = append(seen, e.State+": "+part)
			}
		}
	}})
	if result.Outcome != report.Succeeded {
		t.Fatalf("%s: %s", result.Outcome, result.Cause)
	}
	record, err := json.Marshal(result.Record)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.ReplaceAll(string(record), "db:"+secret, ""), secret) {
		t.Errorf("the report holds the secret: %s", record)
	}
	if len(seen) > 0 {
		t.Errorf("%d events hold the secret, the first: %s", len(seen), seen[0])
	}
}

// The orchestrator's own time and its describes, at any operation time. The
// clock is virtual, so these are properties of the schedule and not of the
// machine that runs the test.
func TestWhatTheOrchestratorAdds(t *testing.T) {
	for _, name := range operations(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			worst, sum, n := 0.0, 0.0, 0
			for _, seconds := range operationTimes {
				result := runLab(t, Options{Payload: sample(t, name), Estate: slowed(seconds)})
				longest, calls, index := 0.0, 0.0, 0
				for _, layer := range result.Layers {
					slowest, most := 0.0, 0.0
					for _, r := range layer.Resources {
						begun := float64(max(begunBy(result, index), 1))
						added := (r.DurationSeconds - r.AWSSeconds) / begun
						worst, sum, n = max(worst, added), sum+added, n+1
						slowest, most = max(slowest, r.AWSSeconds), max(most, begun)
						index++
					}
					longest, calls = longest+slowest, calls+most
				}
				if added := result.DurationSeconds - longest; added > 5+5*calls {
					t.Errorf("%s at %.0f s: the run adds %.1f s to %.0f operations", name, seconds, added, calls)
				}
				describes := map[string]int{}
				for call, count := range result.APICalls {
					if strings.Contains(call, ":Describe") {
						describes[strings.Split(call, ":")[0]] += count
					}
				}
				if len(result.Layers[0].Resources) == 1 && float64(total(describes)) > 400*calls {
					t.Errorf("%s at %.0f s: %v describes", name, seconds, describes)
				}
				if burst := busiestSecond(result.Log); burst > 10 {
					t.Errorf("%s at %.0f s: %d describes in one second", name, seconds, burst)
				}
			}
			if worst > 5 || sum/float64(n) > 3 {
				t.Errorf("%s: adds %.2f s to an operation at worst, %.2f s in the mean", name, worst, sum/float64(n))
			}
		})
	}
}

// begunBy counts the operations that were begun for a resource.
func begunBy(result Result, index int) int {
	n := 0
	for _, op := range result.Begun {
		if strings.HasSuffix(op.Owner, fmt.Sprintf("/%d", index)) && op.Kind != "AddTagsToResource" { // a tag takes no time
			n++
		}
	}
	return n
}

// operationTimes are 30 s to 30 min, at steps that fall on no poll interval.
var operationTimes = func() []float64 {
	var times []float64
	for s := 30.0; s <= 1800; s = s*1.41 + 1.7 {
		times = append(times, s)
	}
	return append(times, 1800)
}()

func slowed(seconds float64) *Estate {
	e := DefaultEstate()
	for name := range e.Durations {
		e.Durations[name] = seconds
	}
	return e
}

// busiestSecond gives the most describes that fell into any one second of a
// region.
func busiestSecond(log []LoggedCall) int {
	most := 0
	for i, first := range log {
		count := 0
		for _, call := range log[i:] {
			if call.Time.Sub(first.Time) >= time.Second {
				break
			}
			if call.Region == first.Region && strings.Contains(call.Name, ":Describe") {
				count++
			}
		}
		most = max(most, count)
	}
	return most
}

func TestALargeLayerStaysUnderTheRegionsLimits(t *testing.T) {
	for _, tt := range []struct {
		name    string
		payload func(*Estate, int) []byte
		n       int
	}{{"replicas", replicas, 60}, {"global clusters", globals, 20}, {"global clusters", globals, 60}, {"detached clusters", detached, 3}, {"detached clusters", detached, 30}} {
		estate := DefaultEstate()
		payload := tt.payload(estate, tt.n)
		result := runLab(t, Options{Payload: payload, Estate: estate})
		if result.Outcome != report.Succeeded || total(result.Mutations)-result.Mutations["rds:AddTagsToResource"] != tt.n { // what takes over is tagged
			t.Fatalf("%d %s: %s, %v\n%s", tt.n, tt.name, result.Outcome, result.Mutations, result.Cause)
		}
		if burst := busiestSecond(result.Log); burst > 10 {
			t.Errorf("%d %s: %d describes in one second", tt.n, tt.name, burst)
		}
	}
}

// What another run has left must never be taken for this one's, whatever the
// two are called.
func TestTwoRunsOfOneNameDoNotMix(t *testing.T) {
	clock := NewClock(Epoch)
	a := NewAccount(DefaultEstate(), clock, 1, faultsOf(t, "error@function:prepare-run#2-"))
	var second Result
	clock.Run(func() {
		for _, machine := range []string{catalog.Failover, catalog.Failback} {
			e, err := a.runs.start("us-west-2", MachineName(machine), "drill", sample(t, "failover-replica-and-cache.json"))
			if err != nil {
				t.Error(err)
				return
			}
			e.ended.Wait(0)
			if second, err = a.result(e); err != nil {
				t.Error(err)
			}
		}
	})
	if second.Outcome != report.FailedClean || len(second.Layers) != 0 {
		t.Errorf("a run that could not be prepared: %s with layers %+v", second.Outcome, second.Layers)
	}
}

// An unrelated database under the name that the payload gives is not a
// recovery.
func TestAnUnrelatedDatabaseIsNoRecovery(t *testing.T) {
	estate := DefaultEstate()
	estate.Clusters = append(estate.Clusters, &Cluster{Region: "us-west-2", ID: "billing", Engine: "aurora-mysql", EngineVersion: "8", Status: "available"})
	estate.Instances = append(estate.Instances, &Instance{Region: "us-west-2", ID: "billing-1", Cluster: "billing", Writer: true, Status: "available"})
	for name, text := range map[string]string{
		"a cluster of its own":                  strings.ReplaceAll(string(sample(t, "failover-aurora-unplanned.json")), "!Import dr-globaldb-cluster-mysql-cluster-identifier", "arn:aws:rds:us-west-2:111122223333:cluster:billing"),
		"a secondary of another global cluster": strings.ReplaceAll(string(sample(t, "failover-aurora-detach.json")), "!Import dr-globaldb-cluster-mysql-cluster-identifier", "arn:aws:rds:us-west-2:111122223333:cluster:dbcluster-postgres-02"),
		"an instance of a cluster": strings.NewReplacer("!Import rds-mysql-instance-identifier", "dbcluster-02-usw2-instance-2",
			"!Import rds-mysql-instance-global-arn", "arn:aws:rds:us-west-2:111122223333:db:dbcluster-02-usw2-instance-2").Replace(string(sample(t, "failover-replica-and-cache.json"))),
	} {
		result := runLab(t, Options{Payload: []byte(text), Estate: estate})
		if result.Outcome != report.Refused || len(result.Begun) != 0 {
			t.Errorf("%s: %s with %v, want Refused and nothing done\n%s", name, result.Outcome, result.Mutations, result.Cause)
		}
	}
}

func TestAStatusThatNobodyKnowsKeepsEverythingFromStarting(t *testing.T) {
	estate := DefaultEstate()
	estate.instance("us-west-2", "rds-mysql-instance-usw2").Status = "pondering"
	result := runLab(t, Options{Payload: sample(t, "failover-replica-and-cache.json"), Estate: estate})
	if result.Outcome != report.Refused || len(result.Begun) != 0 || !strings.Contains(result.Cause, "pondering") {
		t.Errorf("%s with %v: %s", result.Outcome, result.Mutations, result.Cause)
	}
}

// However many resources fail, the machine's own data stays within what Step
// Functions takes, and the report has all of them.
func TestAThousandFailuresStillEndInAReport(t *testing.T) {
	estate := DefaultEstate()
	payload := replicas(estate, 1000)
	estate.Instances = nil
	result := runLab(t, Options{Payload: payload, Estate: estate})
	if result.Outcome != report.FailedClean || len(result.Problems) != 1000 {
		t.Errorf("%s with %d problems: %.300s", result.Outcome, len(result.Problems), result.Cause)
	}
}
