//go:build pytools

package deploycheck

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	account = "123456789012" // the account that moto simulates
	prefix  = "dr-orchestrator"
)

var regions = map[string]string{"primary": "us-east-1", "secondary": "us-west-2"}

const configuration = `account: "` + account + `"
primary: {region: us-east-1}
secondary: {region: us-west-2, triggers: [{name: by-hand, on: request, payload: orders}]}
switches: [orders]
`

type object = map[string]any

// The check takes the real functions, the network of this machine and a
// minute, so it is built only when it is asked for: see `make deploy-check`.
func TestDeploy(t *testing.T) {
	infra, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, howToGet := range map[string]string{
		"moto_server": "pip install 'moto[server]==5.2.1'", "aws": "install the AWS CLI", "cdk": "run `npm ci` in infra, and put node_modules/.bin on PATH",
	} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%s is missing: %s", name, howToGet)
		}
	}
	work := t.TempDir()
	c := &cloud{work: filepath.Join(work, "empty"), environment: serve(t)}
	if err := os.Mkdir(c.work, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(work, "config.yaml"), []byte(configuration), 0o644); err != nil {
		t.Fatal(err)
	}

	byCLI, byApp := filepath.Join(work, "cli"), filepath.Join(work, "app")
	app := fmt.Sprintf("go run . -config %s", filepath.Join(work, "config.yaml"))
	c.run(t, infra, nil, "cdk", "synth", "--quiet", "--app", app, "--output", byCLI)
	c.run(t, infra, []string{"CDK_OUTDIR=" + byApp}, "sh", "-c", app)
	if diff := cmp.Diff(templates(t, byApp), templates(t, byCLI)); diff != "" {
		t.Errorf("the templates depend on who runs the app (-alone +CDK):\n%s", diff)
	}

	unprotected := unprotect(t, byCLI)
	c.run(t, c.work, nil, "cdk", "bootstrap", "aws://"+account+"/us-east-1", "aws://"+account+"/us-west-2")
	deploy := []string{"deploy", "--all", "--app", unprotected, "--method=direct", "--require-approval", "never", "--no-notices"}
	c.run(t, c.work, nil, "cdk", deploy...)
	t.Run("read back", func(t *testing.T) {
		for side, region := range regions {
			t.Run(side, func(t *testing.T) {
				t.Parallel() // the AWS CLI takes half a second to start
				c.readBack(t, side, region, templates(t, byCLI)[prefix+"-"+side+".template.json"])
			})
		}
	})
	c.stacks(t, infra, filepath.Join(work, "config.yaml"))
	if out := c.run(t, c.work, nil, "cdk", deploy...); strings.Count(out, "(no changes)") != len(regions) {
		t.Errorf("a second deployment changes something:\n%s", out)
	}
}

// cloud is the simulated account.
type cloud struct {
	work        string // CDK leaves its notes in the folder where it runs
	environment []string
}

// serve starts moto and gives the environment of everything that talks to it.
func serve(t *testing.T) []string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	server := exec.Command("moto_server", "-H", "127.0.0.1", "-p", fmt.Sprint(port))
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/moto-api/", port))
		if err == nil {
			response.Body.Close()
			break
		}
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("moto does not answer: %v", err)
		}
	}
	return []string{
		// The name here, or CDK misreads the address of its template; the number
		// for S3, or the bucket becomes part of the name.
		fmt.Sprintf("AWS_ENDPOINT_URL=http://localhost:%d", port), fmt.Sprintf("AWS_ENDPOINT_URL_S3=http://127.0.0.1:%d", port),
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true", "AWS_REGION=us-east-1",
		"AWS_PAGER=", "CDK_DISABLE_CLI_TELEMETRY=true", "CI=true",
	}
}

// run runs a program and gives what it said. It ends the test if that fails.
func (c *cloud) run(t *testing.T, folder string, more []string, name string, args ...string) string {
	t.Helper()
	out, err := c.try(folder, more, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func (c *cloud) try(folder string, more []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = folder, slices.Concat(os.Environ(), c.environment, more)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// stacks tries what surrounds a deployment: nothing runs, the policy is set,
// and a running execution is found.
func (c *cloud) stacks(t *testing.T, infra, configuration string) {
	t.Helper()
	command := []string{"run", "./stacks", "-config", configuration}
	c.run(t, infra, nil, "go", append(command, "idle")...)
	c.run(t, infra, nil, "go", append(command, "seal")...)
	if out, err := c.try(infra, nil, "go", "run", "./stacks", "idle"); err == nil || !strings.Contains(out, "the credentials belong to account "+account) {
		t.Errorf("another account than the configured one was asked: %v\n%s", err, out)
	}
	for side, region := range regions {
		policy := c.aws(t, region, "cloudformation", "get-stack-policy", "--stack-name", prefix+"-"+side)["StackPolicyBody"]
		if text, _ := policy.(string); !strings.Contains(text, "Update:Replace") {
			t.Errorf("%s: the stack policy is %v", side, policy)
		}
	}
	machine := fmt.Sprintf("arn:aws:states:%s:%s:stateMachine:%s-failback", regions["secondary"], account, prefix)
	c.aws(t, regions["secondary"], "stepfunctions", "start-execution", "--state-machine-arn", machine, "--name", "under-way")
	if out, err := c.try(infra, nil, "go", append(command, "idle")...); err == nil || !strings.Contains(out, "under-way") {
		t.Errorf("a running execution was not found: %v\n%s", err, out)
	}
}

// aws asks the account, and gives the answer.
func (c *cloud) aws(t *testing.T, region string, args ...string) object {
	t.Helper()
	out := c.run(t, c.work, nil, "aws", append(args, "--region", region, "--output", "json")...)
	var answer object
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return answer
}

func templates(t *testing.T, folder string) map[string]object {
	t.Helper()
	found := map[string]object{}
	paths, err := filepath.Glob(filepath.Join(folder, "*.template.json"))
	if err != nil || len(paths) != len(regions) {
		t.Fatalf("%s: %d templates: %v", folder, len(paths), err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var template object
		if err := json.Unmarshal(text, &template); err != nil {
			t.Fatal(err)
		}
		found[filepath.Base(path)] = template
	}
	return found
}

// unprotect copies an assembly without the termination protection, which moto
// does not know. The templates stay as they are.
func unprotect(t *testing.T, assembly string) string {
	t.Helper()
	to := assembly + "-unprotected"
	if err := os.CopyFS(to, os.DirFS(assembly)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(to, "manifest.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before := `"terminationProtection": true`
	if n := strings.Count(string(text), before); n != len(regions) {
		t.Fatalf("%d stacks are protected: want %d", n, len(regions))
	}
	text = []byte(strings.ReplaceAll(string(text), before, `"terminationProtection": false`))
	if err := os.WriteFile(path, text, fs.FileMode(0o644)); err != nil {
		t.Fatal(err)
	}
	return to
}

// readBack compares what is in a region with its template.
func (c *cloud) readBack(t *testing.T, side, region string, template object) {
	resources := template["Resources"].(object)
	physical := map[string]string{}
	for _, r := range c.aws(t, region, "cloudformation", "describe-stack-resources", "--stack-name", prefix+"-"+side)["StackResources"].([]any) {
		// moto lists the types that it does not know without their ids.
		logical, _ := r.(object)["LogicalResourceId"].(string)
		physical[logical], _ = r.(object)["PhysicalResourceId"].(string)
	}
	var machines []string
	functions, checks := 0, 0
	for id, r := range resources {
		properties, _ := r.(object)["Properties"].(object)
		switch r.(object)["Type"] {
		case "AWS::Lambda::Function":
			functions++
			c.function(t, region, properties, physical)
		case "AWS::IAM::Role":
			c.role(t, region, id, physical[id], properties)
		case "AWS::StepFunctions::StateMachine":
			machines = append(machines, properties["StateMachineName"].(string))
		case "AWS::Route53::HealthCheck":
			checks++
			got := c.aws(t, region, "route53", "get-health-check", "--health-check-id", physical[id])["HealthCheck"].(object)
			if kind := got["HealthCheckConfig"].(object)["Type"]; kind != "CLOUDWATCH_METRIC" {
				t.Errorf("the health check of a switch is of type %v", kind)
			}
		}
	}
	if checks != 1 {
		t.Errorf("%d health checks of switches, want 1", checks)
	}
	if functions == 0 {
		t.Error("there is no function")
	}
	t.Logf("%s: %d functions with their code and roles", region, functions)
	var deployed []string
	for _, m := range c.aws(t, region, "stepfunctions", "list-state-machines")["stateMachines"].([]any) {
		deployed = append(deployed, m.(object)["name"].(string))
		definition := c.aws(t, region, "stepfunctions", "describe-state-machine", "--state-machine-arn", m.(object)["stateMachineArn"].(string))["definition"]
		if text, _ := definition.(string); !strings.Contains(text, `"StartAt": "PrepareRun"`) {
			t.Errorf("%s has another definition", m.(object)["name"])
		}
	}
	slices.Sort(machines)
	slices.Sort(deployed)
	if diff := cmp.Diff(machines, deployed); diff != "" || len(machines) != 2 {
		t.Errorf("state machines (-template +account):\n%s", diff)
	}
	c.rule(t, region, side)
	c.data(t, region)
}

func (c *cloud) function(t *testing.T, region string, properties object, physical map[string]string) {
	t.Helper()
	name := properties["FunctionName"].(string)
	got := c.aws(t, region, "lambda", "get-function", "--function-name", name)["Configuration"].(object)
	// moto reports success for an asset that is not there.
	if size, _ := got["CodeSize"].(float64); size < 1<<20 {
		t.Errorf("%s: its code has %v bytes", name, got["CodeSize"])
	}
	for _, key := range []string{"Runtime", "Handler", "MemorySize", "Timeout"} {
		if diff := cmp.Diff(properties[key], got[key]); diff != "" {
			t.Errorf("%s: %s (-template +account):\n%s", name, key, diff)
		}
	}
	reference := properties["Role"].(object)["Fn::GetAtt"].([]any)[0].(string)
	if role, _ := got["Role"].(string); !strings.HasSuffix(role, "/"+physical[reference]) {
		t.Errorf("%s: has the role %s, want %s", name, role, physical[reference])
	}
}

func (c *cloud) role(t *testing.T, region, id, name string, properties object) {
	t.Helper()
	for _, p := range properties["Policies"].([]any) {
		got := c.aws(t, region, "iam", "get-role-policy", "--role-name", name, "--policy-name", p.(object)["PolicyName"].(string))
		// moto keeps it as Python writes it, which differs from JSON in the quotes.
		text, _ := got["PolicyDocument"].(string)
		var document any
		if err := json.Unmarshal([]byte(strings.ReplaceAll(text, "'", `"`)), &document); err != nil {
			t.Fatalf("%s: policy %v: %v", id, got["PolicyDocument"], err)
		}
		if diff := cmp.Diff(p.(object)["PolicyDocument"], document); diff != "" {
			t.Errorf("%s: policy (-template +account):\n%s", id, diff)
		}
	}
}

func (c *cloud) rule(t *testing.T, region, side string) {
	t.Helper()
	name := prefix + "-trigger-by-hand"
	if side == "primary" { // it has no triggers
		name = prefix + "-close-run"
	}
	rule := c.aws(t, region, "events", "describe-rule", "--name", name)
	if rule["State"] != "ENABLED" {
		t.Errorf("the rule is %v", rule["State"])
	}
	source, function := prefix+".operator", "guard-trigger"
	if side == "primary" {
		source, function = "aws.states", "close-run"
	}
	if pattern, _ := rule["EventPattern"].(string); !strings.Contains(pattern, source) {
		t.Errorf("the rule matches %s", pattern)
	}
	targets := c.aws(t, region, "events", "list-targets-by-rule", "--rule", name)["Targets"].([]any)
	if len(targets) != 1 {
		t.Fatalf("the rule has %d targets", len(targets))
	}
	target := targets[0].(object)
	arn := fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s-%s", region, account, prefix, function)
	if target["Arn"] != arn || target["InputTransformer"] == nil || target["DeadLetterConfig"] == nil {
		t.Errorf("the target is %v, want %s with a transformer and a dead-letter queue", slices.Sorted(maps.Keys(target)), arn)
	}
}

func (c *cloud) data(t *testing.T, region string) {
	t.Helper()
	bucket := prefix + "-" + account + "-" + region
	// moto forgets the versions and the policy of a bucket, the backups of a
	// table and subscriptions: the tests of the template see to them.
	c.aws(t, region, "s3api", "get-bucket-location", "--bucket", bucket)
	table := c.aws(t, region, "dynamodb", "describe-table", "--table-name", prefix+"-locks")["Table"].(object)
	if table["DeletionProtectionEnabled"] != true {
		t.Error("the table can be deleted")
	}
	topic := fmt.Sprintf("arn:aws:sns:%s:%s:%s", region, account, prefix)
	c.aws(t, region, "sns", "get-topic-attributes", "--topic-arn", topic)
}
