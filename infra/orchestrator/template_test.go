package orchestrator

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/infra/config"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/guard"
	"dr-orchestrator/internal/run"
	"dr-orchestrator/internal/steps"
	"dr-orchestrator/statemachine"
)

// The functions in the template, the rows of the table with the steps, and the
// folders under functions are the same set.
func TestFunctionsAreThoseOfTheTable(t *testing.T) {
	var expected []string
	for _, e := range catalog.Entries {
		expected = append(expected, e.Function)
	}
	for step := range steps.All {
		expected = append(expected, step)
	}
	slices.Sort(expected)
	expected = slices.Compact(expected)

	folders, err := filepath.Glob("../../functions/*/main.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range folders {
		names = append(names, filepath.Base(filepath.Dir(f)))
	}
	if diff := cmp.Diff(expected, names); diff != "" {
		t.Errorf("folders under functions (-table +folders):\n%s", diff)
	}
	each(t, func(t *testing.T, tpl template) {
		var deployed []string
		for _, r := range tpl.of(t, "AWS::Lambda::Function") {
			name, _ := r.Properties["FunctionName"].(string)
			_, name, _ = strings.Cut(name, prefixOf(tpl)+"-")
			deployed = append(deployed, name)
		}
		slices.Sort(deployed)
		if diff := cmp.Diff(expected, deployed); diff != "" {
			t.Errorf("functions of the template (-table +template):\n%s", diff)
		}
	})
}

func prefixOf(tpl template) string {
	name, _, _ := strings.Cut(filepath.Base(tpl.path), ".")
	return name[:strings.LastIndex(name, "-")]
}

func TestStepsHavePermissions(t *testing.T) {
	for _, name := range statemachine.Steps {
		if len(stepStatements[name]) == 0 {
			t.Errorf("%s is a step of the definition and has no statements", name)
		}
	}
	for name := range stepStatements {
		if _, ok := steps.All[name]; !ok {
			t.Errorf("there are statements for %s, which is no step", name)
		}
	}
	if len(stepStatements) != len(steps.All) {
		t.Errorf("there are statements for %d steps, and there are %d", len(stepStatements), len(steps.All))
	}
}

func TestFunction(t *testing.T) {
	each(t, func(t *testing.T, tpl template) {
		groups := tpl.of(t, "AWS::Logs::LogGroup")
		for id, r := range tpl.of(t, "AWS::Lambda::Function") {
			p := r.Properties
			want(t, id, p, "Architectures", []string{"arm64"})
			want(t, id, p, "Runtime", "provided.al2023")
			want(t, id, p, "Handler", "bootstrap")
			want(t, id, p, "TracingConfig.Mode", "Active")
			want(t, id, p, "LoggingConfig.LogFormat", "JSON")
			group, _ := at(p, "LoggingConfig.LogGroup.Ref").(string)
			want(t, id, groups[group].Properties, "LogGroupName", "/aws/lambda/"+p["FunctionName"].(string))
			if strings.Contains(id, "promotereadreplica") && prefixOf(tpl) == "recovery" {
				want(t, id, p, "ReservedConcurrentExecutions", 50)
			} else {
				want(t, id, p, "ReservedConcurrentExecutions", nil)
			}
		}
	})
}

// A bootstrap that nobody built would be deployed as an empty archive.
func TestAssets(t *testing.T) {
	each(t, func(t *testing.T, tpl template) {
		for id, r := range tpl.of(t, "AWS::Lambda::Function") {
			key, _ := at(r.Properties, "Code.S3Key").(string)
			hash := strings.TrimSuffix(key, ".zip")
			bootstrap := filepath.Join(filepath.Dir(tpl.path), "asset."+hash, "bootstrap")
			text, err := os.ReadFile(bootstrap)
			if err != nil || len(text) == 0 {
				t.Errorf("%s: asset %q: %v, %d bytes", id, key, err, len(text))
			}
			if name, _ := r.Properties["FunctionName"].(string); !strings.HasSuffix(name, string(text)) {
				t.Errorf("%s: has the code of %s", name, text)
			}
		}
	})
}

// A function that outlives its task could change something after the machine
// has called the next one.
func TestFunctionEndsBeforeItsTask(t *testing.T) {
	var actions, ofSteps []int
	for _, m := range regexp.MustCompile(`(?s)"FunctionName": "([^"]+)".*?"TimeoutSeconds": (\d+)`).FindAllStringSubmatch(statemachine.Definition, -1) {
		var seconds int
		if err := json.Unmarshal([]byte(m[2]), &seconds); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(m[1], "${") {
			ofSteps = append(ofSteps, seconds)
		} else {
			actions = append(actions, seconds)
		}
	}
	if len(actions) == 0 || slices.Min(actions) <= actionTimeout {
		t.Errorf("actions end after %d s and their tasks after %v s", actionTimeout, actions)
	}
	if len(ofSteps) == 0 || slices.Min(ofSteps) <= stepTimeout {
		t.Errorf("steps end after %d s and their tasks after %v s", stepTimeout, ofSteps)
	}
}

func TestLogRetention(t *testing.T) {
	each(t, func(t *testing.T, tpl template) {
		days, encrypted := 90, false
		if prefixOf(tpl) == "recovery" {
			days, encrypted = 365, true
		}
		for id, r := range tpl.of(t, "AWS::Logs::LogGroup") {
			want(t, id, r.Properties, "RetentionInDays", days)
			if (r.Properties["KmsKeyId"] != nil) != encrypted {
				t.Errorf("%s: KmsKeyId = %v", id, r.Properties["KmsKeyId"])
			}
		}
	})
}

func TestMachines(t *testing.T) {
	each(t, func(t *testing.T, tpl template) {
		functions := tpl.of(t, "AWS::Lambda::Function")
		var machines []string
		for id, r := range tpl.of(t, "AWS::StepFunctions::StateMachine") {
			p := r.Properties
			if p["DefinitionString"] != statemachine.Definition {
				t.Errorf("%s: the definition is not the embedded one", id)
			}
			want(t, id, p, "TracingConfiguration.Enabled", true)
			want(t, id, p, "LoggingConfiguration.Level", "ALL")
			machine, _ := at(p, "DefinitionSubstitutions.Machine").(string)
			want(t, id, p, "StateMachineName", prefixOf(tpl)+"-"+machine)
			machines = append(machines, machine)
			substitutions := at(p, "DefinitionSubstitutions").(object)
			for _, m := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(statemachine.Definition, -1) {
				if substitutions[m[1]] == nil {
					t.Errorf("%s: nothing is put in place of %s", id, m[0])
				}
			}
			for name, step := range statemachine.Steps {
				target, _ := at(substitutions, name+".Fn::GetAtt.0").(string)
				want(t, name, functions[target].Properties, "FunctionName", prefixOf(tpl)+"-"+step)
			}
		}
		slices.Sort(machines)
		if diff := cmp.Diff([]string{"failback", "failover"}, machines); diff != "" {
			t.Error(diff)
		}
	})
}

// A new revision publishes a new version, the alias follows, and old versions
// stay for the executions that run under them.
func TestMachineVersions(t *testing.T) {
	each(t, func(t *testing.T, tpl template) {
		versions := tpl.of(t, "AWS::StepFunctions::StateMachineVersion")
		aliases := tpl.of(t, "AWS::StepFunctions::StateMachineAlias")
		if len(versions) != 2 || len(aliases) != 2 {
			t.Fatalf("%d versions, %d aliases", len(versions), len(aliases))
		}
		for id, v := range versions {
			want(t, id, v.Properties, "StateMachineRevisionId.Fn::GetAtt.1", "StateMachineRevisionId")
			if v.UpdateReplacePolicy != "Retain" || v.DeletionPolicy != "Delete" {
				t.Errorf("%s: %s on replacement, %s on deletion", id, v.UpdateReplacePolicy, v.DeletionPolicy)
			}
		}
		for id, a := range aliases {
			want(t, id, a.Properties, "Name", Alias)
			target, _ := at(a.Properties, "RoutingConfiguration.0.StateMachineVersionArn.Fn::GetAtt.0").(string)
			if _, ok := versions[target]; !ok {
				t.Errorf("%s: points at %q", id, target)
			}
			want(t, id, a.Properties, "RoutingConfiguration.0.Weight", 100)
		}
	})
}

func TestDataIsKeptAndSealed(t *testing.T) {
	each(t, func(t *testing.T, tpl template) {
		ownKey := prefixOf(tpl) == "recovery"
		bucket := tpl.one(t, "AWS::S3::Bucket")
		want(t, "bucket", bucket.Properties, "VersioningConfiguration.Status", "Enabled")
		algorithm := "AES256"
		if ownKey {
			algorithm = "aws:kms"
		}
		want(t, "bucket", bucket.Properties, "BucketEncryption.ServerSideEncryptionConfiguration.0.ServerSideEncryptionByDefault.SSEAlgorithm", algorithm)
		for _, way := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
			want(t, "bucket", bucket.Properties, "PublicAccessBlockConfiguration."+way, true)
		}
		table := tpl.one(t, "AWS::DynamoDB::Table")
		want(t, "table", table.Properties, "PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled", true)
		want(t, "table", table.Properties, "TimeToLiveSpecification", object{"AttributeName": "expires", "Enabled": true})
		want(t, "table", table.Properties, "DeletionProtectionEnabled", true)
		for name, r := range map[string]resource{"bucket": bucket, "table": table} {
			if r.DeletionPolicy != "RetainExceptOnCreate" || r.UpdateReplacePolicy != "Retain" {
				t.Errorf("%s: %s on deletion, %s on replacement", name, r.DeletionPolicy, r.UpdateReplacePolicy)
			}
		}
		queue, topic := tpl.one(t, "AWS::SQS::Queue"), tpl.one(t, "AWS::SNS::Topic")
		if ownKey {
			for name, v := range map[string]any{
				"table": at(table.Properties, "SSESpecification.KMSMasterKeyId"), "queue": queue.Properties["KmsMasterKeyId"], "topic": topic.Properties["KmsMasterKeyId"],
			} {
				if v == nil {
					t.Errorf("%s: the key is not used", name)
				}
			}
		} else {
			want(t, "queue", queue.Properties, "SqsManagedSseEnabled", true)
		}
	})
}

// Whoever does not come over TLS is turned away, whatever else allows it.
func TestOnlyTLS(t *testing.T) {
	each(t, func(t *testing.T, tpl template) {
		for _, kind := range []string{"AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"} {
			denied := false
			for _, s := range at(tpl.one(t, kind).Properties, "PolicyDocument.Statement").([]any) {
				secure := at(s, "Condition.Bool")
				if o, ok := secure.(object); ok && at(s, "Effect") == "Deny" && o["aws:SecureTransport"] == "false" {
					denied = true
				}
			}
			if !denied {
				t.Errorf("%s lets in what is not TLS", kind)
			}
		}
	})
}

// Each trigger has a rule that hands it to the guard together with the event,
// and one on alarms has another that has the guard look again.
func TestTriggers(t *testing.T) {
	c := full(t)
	tpl := synthesized(t, "full").secondary
	if len(c.Secondary.Triggers) < 4 {
		t.Fatalf("the full configuration has %d triggers", len(c.Secondary.Triggers))
	}
	for _, trigger := range c.Secondary.Triggers {
		rules := []object{tpl.rule(t, "-trigger-"+trigger.Name)}
		want(t, trigger.Name, rules[0], "EventPattern", trigger.Pattern("recovery"))
		if trigger.On == guard.OnAlarm {
			again := tpl.rule(t, "-trigger-again-"+trigger.Name)
			want(t, trigger.Name, again, "ScheduleExpression", "rate(1 minute)")
			rules = append(rules, again)
		}
		for _, p := range rules {
			if targets := p["Targets"].([]any); len(targets) != 1 || at(targets[0], "DeadLetterConfig.Arn") == nil {
				t.Errorf("%s: the targets are %s", p["Name"], text(targets))
			}
			target, _ := at(p, "Targets.0.Arn.Fn::GetAtt.0").(string)
			if name, _ := tpl.Resources[target].Properties["FunctionName"].(string); !strings.HasSuffix(name, "-"+steps.GuardTrigger) {
				t.Errorf("%s: the target is %s", p["Name"], name)
			}
			checkTransformer(t, at(p, "Targets.0.InputTransformer"))
			input, _ := at(p, "Targets.0.Input").(string)
			if input == "" {
				input = strings.ReplaceAll(at(p, "Targets.0.InputTransformer.InputTemplate").(string), "<aws.events.event.json>", "null")
			}
			var in guard.Input
			if err := json.Unmarshal([]byte(input), &in); err != nil || text(in.Trigger) != text(trigger) {
				t.Errorf("%s: the guard gets %s: %v", p["Name"], input, err)
			}
		}
	}
	if source := text(tpl.permission(t, steps.GuardTrigger)["SourceArn"]); !strings.HasSuffix(source, `rule/recovery-trigger-*"`) {
		t.Errorf("%s may invoke the guard", source)
	}
}

// An event that a function fails on for good is kept, as one that does not reach
// it is.
func TestWhatFunctionsFailOnIsKept(t *testing.T) {
	each(t, func(t *testing.T, tpl template) {
		kept := map[string]bool{}
		for id, f := range tpl.of(t, "AWS::Lambda::Function") {
			target, ok := at(f.Properties, "DeadLetterConfig.TargetArn.Fn::GetAtt.0").(string)
			if !ok {
				continue
			}
			if tpl.Resources[target].Type != "AWS::SQS::Queue" {
				t.Errorf("%s: failures go to %s", id, target)
			}
			_, name, _ := strings.Cut(f.Properties["FunctionName"].(string), prefixOf(tpl)+"-")
			kept[name] = true
			may := policyOf(t, roleOf(t, tpl, name))["sqs:SendMessage"]
			if queue, _ := tpl.Resources[target].Properties["QueueName"].(string); len(may) != 1 || !strings.HasSuffix(may[0], ":"+queue) {
				t.Errorf("%s may send to %v, and its failures go to %s", id, may, queue)
			}
		}
		if !maps.Equal(kept, map[string]bool{statemachine.CloseRun: true, steps.GuardTrigger: true}) {
			t.Errorf("kept are the failures of %v", kept)
		}
	})
}

// A machine that was stopped runs no state: the rule on the end of executions
// has its run closed.
func TestClosing(t *testing.T) {
	each(t, func(t *testing.T, tpl template) {
		p := tpl.rule(t, "-close-run")
		want(t, "rule", p, "EventPattern.source", []string{"aws.states"})
		want(t, "rule", p, "EventPattern.detail.status", []string{"ABORTED", "FAILED", "TIMED_OUT"})
		machines := texts(at(p, "EventPattern.detail.stateMachineArn"))
		if len(machines) != 2 || !strings.HasSuffix(machines[0], prefixOf(tpl)+"-failover") || !strings.HasSuffix(machines[1], prefixOf(tpl)+"-failback") {
			t.Errorf("the rule is for %v", machines)
		}
		target, _ := at(p, "Targets.0.Arn.Fn::GetAtt.0").(string)
		if name, _ := tpl.Resources[target].Properties["FunctionName"].(string); !strings.HasSuffix(name, "-"+statemachine.CloseRun) {
			t.Errorf("the target is %s", name)
		}
		checkTransformer(t, at(p, "Targets.0.InputTransformer"))
		var event run.CloseInput
		input := strings.ReplaceAll(at(p, "Targets.0.InputTransformer.InputTemplate").(string), "<execution>", `"arn"`)
		if err := json.Unmarshal([]byte(input), &event); err != nil || event.Execution != "arn" {
			t.Errorf("the function gets %s: %v", input, err)
		}
		permission := tpl.permission(t, statemachine.CloseRun)
		want(t, "permission", permission, "Principal", "events.amazonaws.com")
		if source := text(permission["SourceArn"]); !strings.Contains(source, "rule/"+prefixOf(tpl)+"-close-run") {
			t.Errorf("%s may invoke the function", source)
		}
	})
}

// checkTransformer wants every placeholder of an input template to be mapped.
func checkTransformer(t *testing.T, transformer any) {
	t.Helper()
	if transformer == nil {
		return
	}
	paths, _ := at(transformer, "InputPathsMap").(object)
	template, _ := at(transformer, "InputTemplate").(string)
	for _, m := range regexp.MustCompile(`<([\w.-]+)>`).FindAllStringSubmatch(template, -1) {
		if paths[m[1]] == nil && !strings.HasPrefix(m[1], "aws.events.") {
			t.Errorf("the input template uses %s, which is not mapped", m[0])
		}
	}
}

func TestNotices(t *testing.T) {
	each(t, func(t *testing.T, tpl template) {
		alarms := tpl.of(t, "AWS::CloudWatch::Alarm")
		var names []string
		for _, a := range alarms {
			name, _ := a.Properties["AlarmName"].(string)
			names = append(names, strings.TrimPrefix(name, prefixOf(tpl)+"-"))
		}
		slices.Sort(names)
		expected := []string{"estate-uncovered", "event-undelivered", "failback-ended-badly", "failover-ended-badly", "plan-not-ready", "plans-unchecked"}
		for n := 1; (n-1)*10 < len(tpl.of(t, "AWS::Lambda::Function")); n++ { // CloudWatch joins ten metrics
			expected = append(expected, fmt.Sprintf("functions-failed-%d", n), fmt.Sprintf("functions-throttled-%d", n))
		}
		if prefixOf(tpl) == "recovery" {
			expected = append(expected, "switch-orders", "switch-web-shop")
		}
		slices.Sort(expected)
		if diff := cmp.Diff(expected, names); diff != "" {
			t.Errorf("alarms (-want +template):\n%s", diff)
		}
		for id, a := range alarms {
			if len(at(a.Properties, "AlarmActions").([]any)) != 1 {
				t.Errorf("%s tells nobody", id)
			}
		}
		if prefixOf(tpl) == "recovery" {
			if n := len(tpl.of(t, "AWS::SNS::Subscription")); n != 2 {
				t.Errorf("%d addresses are subscribed", n)
			}
		}
	})
}

func TestTagsAndBoundary(t *testing.T) {
	a := synthesized(t, "full")
	for id, r := range a.secondary.of(t, "AWS::IAM::Role") {
		if b := text(r.Properties["PermissionsBoundary"]); !strings.Contains(b, "policy/recovery-boundary") {
			t.Errorf("%s: boundary %s", id, b)
		}
		if tags := text(r.Properties["Tags"]); !strings.Contains(tags, `"Key":"cost-centre","Value":"4711"`) {
			t.Errorf("%s: tags %s", id, tags)
		}
	}
	for id, r := range a.secondary.of(t, "AWS::Lambda::Function") {
		if tags := text(r.Properties["Tags"]); !strings.Contains(tags, `"Key":"cost-centre","Value":"4711"`) {
			t.Errorf("%s: tags %s", id, tags)
		}
	}
}

func TestNetwork(t *testing.T) {
	a := synthesized(t, "full")
	for id, r := range a.secondary.of(t, "AWS::Lambda::Function") {
		want(t, id, r.Properties, "VpcConfig", object{"SecurityGroupIds": []string{"sg-02345678"}, "SubnetIds": []string{"subnet-03345678", "subnet-04345678"}})
	}
	var services []string
	for id, r := range a.secondary.of(t, "AWS::EC2::VPCEndpoint") {
		service, _ := r.Properties["ServiceName"].(string)
		service = strings.TrimPrefix(service, "com.amazonaws.us-west-2.")
		services = append(services, service)
		kind := "Interface"
		if service == "s3" || service == "dynamodb" {
			kind = "Gateway"
			want(t, id, r.Properties, "RouteTableIds", []string{"rtb-02345678"})
		}
		want(t, id, r.Properties, "VpcEndpointType", kind)
	}
	slices.Sort(services)
	expected := slices.DeleteFunc(Facts("").Services, func(s string) bool { return s == "rds" || s == "ssm" || config.NoEndpoint[s] != "" })
	for _, none := range []string{"iam", "route53", "route53-recovery-cluster"} {
		if slices.Contains(services, none) {
			t.Errorf("an endpoint is made for %s, which has none", none)
		}
	}
	if diff := cmp.Diff(expected, services); diff != "" {
		t.Errorf("endpoints (-called +made):\n%s", diff)
	}
}

var issuesOf = regexp.MustCompile(`"eventRegion": \[[^\]]*\]`)

// Each region works while the other is gone, so its template must not know it.
func TestRegionsKnowNothingOfEachOther(t *testing.T) {
	for _, name := range []string{"plain", "full"} {
		a := synthesized(t, name)
		if name == "plain" {
			for own, other := range map[string]string{a.primary.text: secondary, a.secondary.text: primary} {
				if i := strings.Index(own, other); i >= 0 {
					t.Errorf("%s: the template names %s: ...%s", name, other, own[max(0, i-200):i+20])
				}
			}
		}
		for _, tpl := range []template{a.primary, a.secondary} {
			for _, way := range []string{"Fn::ImportValue", "Custom::CrossRegion", "ExportsReader", "ExportsWriter"} {
				if strings.Contains(tpl.text, way) {
					t.Errorf("%s: a reference leads out of the stack: %s", filepath.Base(tpl.path), way)
				}
			}
			other := secondary
			if strings.Contains(tpl.path, "secondary") {
				other = primary
			}
			// What AWS Health says of the other region is read here, and needs nothing there.
			named := issuesOf.ReplaceAllString(tpl.text, "")
			if strings.Contains(named, `"`+other+`"`) || strings.Contains(named, "."+other+".") {
				t.Errorf("%s: names %s", filepath.Base(tpl.path), other)
			}
		}
	}
}

// The recovery region alone gives the very same template.
func TestSecondaryAloneIsComplete(t *testing.T) {
	both := synthesized(t, "plain")
	folder := t.TempDir()
	app := NewApp(filepath.Join(folder, "cdk.out"))
	c := plain(t)
	stack := NewStack(app, "secondary", c, c.Secondary, built(t, folder))
	app.Synth(nil)
	if diff := cmp.Diff(both.secondary.text, read(t, filepath.Join(folder, "cdk.out"), *stack.StackName()).text); diff != "" {
		t.Errorf("(-both +alone):\n%s", diff)
	}
}

// The regions differ in nothing but their names and in which payloads are
// checked, so that what was tried in one holds in the other.
func TestRegionsAreAlike(t *testing.T) {
	a := synthesized(t, "plain")
	checked := regexp.MustCompile(`\{\\"payloads\\":\[[^]]*\]\}`)
	if n := len(checked.FindAllString(a.secondary.text, -1)); n != 1 {
		t.Fatalf("%d lists of payloads in the template", n)
	}
	alike := func(text string) string {
		return strings.ReplaceAll(checked.ReplaceAllString(text, ""), primary, secondary)
	}
	if diff := cmp.Diff(alike(a.primary.text), alike(a.secondary.text)); diff != "" {
		t.Errorf("(-primary +secondary):\n%s", diff)
	}
}

func TestStacksAreProtected(t *testing.T) {
	for side, stack := range synthesized(t, "plain").stacks {
		if !*stack.TerminationProtection() {
			t.Errorf("%s can be deleted by accident", side)
		}
	}
}

// Stack policies name resources by logical id, which a rename would change.
func TestStackPolicyProtectsTheData(t *testing.T) {
	policy, err := os.ReadFile("../stacks/stack-policy.json")
	if err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, tpl template) {
		for _, kind := range []string{"AWS::S3::Bucket", "AWS::DynamoDB::Table"} {
			for id := range tpl.of(t, kind) {
				if !strings.Contains(string(policy), `"LogicalResourceId/`+id+`"`) {
					t.Errorf("stack-policy.json does not protect %s", id)
				}
			}
		}
	})
}

// watched is a metric that an alarm looks at.
type watched struct{ Namespace, Metric, Dimensions, Statistic string }

// looksAt gives the metrics of an alarm, and the expression that joins them.
func looksAt(t *testing.T, alarm object) (all []watched, expression string) {
	t.Helper()
	add := func(metric any, statistic any) {
		w := watched{Namespace: text(at(metric, "Namespace")), Metric: text(at(metric, "MetricName")), Statistic: text(statistic)}
		dimensions, _ := at(metric, "Dimensions").([]any)
		for _, d := range dimensions {
			w.Dimensions += strings.Trim(text(at(d, "Name")), `"`) + "=" + strings.Trim(text(at(d, "Value")), `"`) + " "
		}
		w.Namespace, w.Metric, w.Statistic, w.Dimensions = strings.Trim(w.Namespace, `"`), strings.Trim(w.Metric, `"`), strings.Trim(w.Statistic, `"`), strings.TrimSpace(w.Dimensions)
		all = append(all, w)
	}
	queries, _ := alarm["Metrics"].([]any)
	if len(queries) == 0 {
		add(alarm, alarm["Statistic"])
	}
	for _, q := range queries {
		if e, ok := at(q, "Expression").(string); ok {
			expression = e
			continue
		}
		if at(q, "ReturnData") != false {
			t.Errorf("%s is judged by itself", text(q))
		}
		add(at(q, "MetricStat.Metric"), at(q, "MetricStat.Stat"))
	}
	slices.SortFunc(all, func(a, b watched) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return all, expression
}

// Every alarm looks at the right metrics, rings at the first of them above
// zero, stays quiet without data, and tells the topic. That a plan is not ready
// fails its execution, and rings the alarm for it alone.
func TestAlarms(t *testing.T) {
	each(t, func(t *testing.T, tpl template) {
		prefix := prefixOf(tpl)
		topic := ""
		for id := range tpl.of(t, "AWS::SNS::Topic") {
			topic = id
		}
		functions := map[string][]string{} // by metric: those that ring
		for _, a := range tpl.of(t, "AWS::CloudWatch::Alarm") {
			p := a.Properties
			name := strings.TrimPrefix(p["AlarmName"].(string), prefix+"-")
			if got := at(p, "AlarmActions.0.Ref"); got != topic {
				t.Errorf("%s tells %v", name, got)
			}
			metrics, expression := looksAt(t, p)
			switch kind, _, _ := strings.Cut(name, "-"); {
			case kind == "switch": // TestSwitches
				continue
			case strings.HasPrefix(name, "plan") || name == "estate-uncovered": // TestChecking
				if len(metrics) != 1 || metrics[0].Namespace != run.MetricNamespace || metrics[0].Dimensions != "Deployment="+prefix {
					t.Errorf("%s looks at %+v", name, metrics)
				}
				continue
			case strings.HasSuffix(name, "-ended-badly"):
				machine := `AWS/States Executions%s StateMachineArn=.*:stateMachine:` + prefix + "-" + kind + ` Sum`
				for i, form := range []string{fmt.Sprintf(machine, "Aborted"), fmt.Sprintf(machine, "TimedOut"), `DROrchestrator RunFailed Deployment=` + prefix + ` Machine=` + kind + ` Sum`} {
					if got := strings.Trim(fmt.Sprint(metrics[i]), "{}"); len(metrics) != 3 || !regexp.MustCompile("^"+form+"$").MatchString(got) {
						t.Errorf("%s looks at %s, want %s", name, got, form)
					}
				}
				want(t, name, p, "DatapointsToAlarm", 1)
				want(t, name, p, "EvaluationPeriods", lateMinutes)
			case kind == "functions":
				metric := map[bool]string{true: "Errors", false: "Throttles"}[strings.HasPrefix(name, "functions-failed-")]
				for _, m := range metrics {
					function, ok := strings.CutPrefix(m.Dimensions, "FunctionName="+prefix+"-")
					if m.Namespace != "AWS/Lambda" || m.Metric != metric || m.Statistic != "Sum" || !ok {
						t.Errorf("%s looks at %+v", name, m)
					}
					functions[metric] = append(functions[metric], function)
				}
			case name == "event-undelivered":
				if len(metrics) != 1 || metrics[0].Namespace != "AWS/SQS" || metrics[0].Metric != "ApproximateNumberOfMessagesVisible" || metrics[0].Statistic != "Maximum" || !strings.Contains(text(p["Dimensions"]), "QueueName") {
					t.Errorf("%s looks at %+v", name, metrics)
				}
				queue, _ := at(p, "Dimensions.0.Value.Fn::GetAtt.0").(string)
				want(t, name, object(tpl.Resources[queue].Properties), "QueueName", prefix+"-dead-letters")
			default:
				t.Errorf("nothing is known of the alarm %s", name)
			}
			if n := strings.Count(expression, "FILL("); n != len(metrics) && len(metrics) > 1 || strings.Count(expression, " + ") != max(n-1, 0) {
				t.Errorf("%s joins %d metrics by %q", name, len(metrics), expression)
			}
			want(t, name, p, "Threshold", 0)
			want(t, name, p, "ComparisonOperator", "GreaterThanThreshold")
			want(t, name, p, "TreatMissingData", "notBreaching")
		}
		var all []string
		for _, f := range tpl.of(t, "AWS::Lambda::Function") {
			all = append(all, strings.TrimPrefix(f.Properties["FunctionName"].(string), prefix+"-"))
		}
		slices.Sort(all)
		for _, metric := range []string{"Errors", "Throttles"} {
			slices.Sort(functions[metric])
			if diff := cmp.Diff(all, functions[metric]); diff != "" {
				t.Errorf("functions with an alarm on %s (-want +template):\n%s", metric, diff)
			}
		}
	})
}

// The dashboard shows every alarm, and metrics by the names that functions
// write them under. Its body is JSON.
func TestDashboard(t *testing.T) {
	each(t, func(t *testing.T, tpl template) {
		p := tpl.one(t, "AWS::CloudWatch::Dashboard").Properties
		want(t, "dashboard", p, "DashboardName", prefixOf(tpl))
		body, _ := p["DashboardBody"].(string) // nothing of it is known later only
		var board struct {
			Widgets []struct {
				Type       string
				Properties object
			}
		}
		if err := json.Unmarshal([]byte(body), &board); err != nil {
			t.Fatalf("%v\n%s", err, body)
		}
		for _, a := range tpl.of(t, "AWS::CloudWatch::Alarm") {
			if name, _ := a.Properties["AlarmName"].(string); !strings.Contains(body, ":"+account+":alarm:"+name+`"`) {
				t.Errorf("the alarm %s is not on it", name)
			}
		}
		for _, metric := range []string{run.MetricPlanReady, run.MetricLag, run.MetricRecoveryTime, run.MetricRecoveryPoint, run.MetricAddedTime, run.MetricDecisions, run.MetricUncovered, run.MetricRunFailed} {
			if !strings.Contains(body, metric) {
				t.Errorf("%s is not on it", metric)
			}
		}
		if len(board.Widgets) < 9 {
			t.Errorf("it has %d widgets", len(board.Widgets))
		}
		linked := false
		for _, w := range board.Widgets {
			if w.Type == "log" && w.Properties["title"] == "Last runs" {
				query, _ := w.Properties["query"].(string)
				linked = regexp.MustCompile(`\| fields .*, ` + run.PropertyURL + `\b`).MatchString(query)
			}
		}
		if !linked {
			t.Error("the last runs have no links to their executions")
		}
		for _, machine := range []string{"failover", "failback"} {
			if !strings.Contains(body, ".console.aws.amazon.com/states/home?region=") || !strings.Contains(body, "#/statemachines/view/arn:aws:states:") || !strings.Contains(body, prefixOf(tpl)+"-"+machine+")") {
				t.Errorf("no link leads to the machine %s", machine)
			}
		}
		groups := tpl.of(t, "AWS::Logs::LogGroup")
		for _, name := range []string{"record-report", statemachine.CloseRun} {
			found := false
			for _, g := range groups {
				found = found || g.Properties["LogGroupName"] == "/aws/lambda/"+prefixOf(tpl)+"-"+name
			}
			if !found || !strings.Contains(body, "/aws/lambda/"+prefixOf(tpl)+"-"+name) {
				t.Errorf("the log of %s is not on it", name)
			}
		}
	})
}

// What is checked is what the configuration says of the region.
func TestChecked(t *testing.T) {
	byDefault := `{"payloads":["*","!failback-*","!switchback-*","!release-*"]}`
	for _, tt := range []struct {
		name string
		tpl  template
		want string
	}{
		{"plain, primary", synthesized(t, "plain").primary, `{"payloads":[]}`},
		{"plain, secondary", synthesized(t, "plain").secondary, byDefault},
		{"full, primary", synthesized(t, "full").primary, `{"payloads":["billing-*"]}`},
		{"full, secondary", synthesized(t, "full").secondary, byDefault},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want(t, "rule", tt.tpl.rule(t, "-check-plans"), "Targets.0.Input", tt.want)
		})
	}
}

// The schedule of the checks is the configured one, and the alarm that rings
// when they do not take place is patient enough for it.
func TestChecking(t *testing.T) {
	each(t, func(t *testing.T, tpl template) {
		minutes := 30
		if prefixOf(tpl) == "recovery" {
			minutes = 60
		}
		p := tpl.rule(t, "-check-plans")
		want(t, "rule", p, "ScheduleExpression", fmt.Sprintf("rate(%d minutes)", minutes))
		target, _ := at(p, "Targets.0.Arn.Fn::GetAtt.0").(string)
		if name, _ := tpl.Resources[target].Properties["FunctionName"].(string); !strings.HasSuffix(name, "-"+steps.CheckPlans) {
			t.Errorf("the target is %s", name)
		}
		if source := text(tpl.permission(t, steps.CheckPlans)["SourceArn"]); !strings.Contains(source, "rule/"+prefixOf(tpl)+"-check-plans") {
			t.Errorf("%s may invoke the function", source)
		}
		for _, a := range tpl.of(t, "AWS::CloudWatch::Alarm") {
			if name, _ := a.Properties["AlarmName"].(string); strings.HasSuffix(name, "-plan-not-ready") {
				want(t, name, a.Properties, "MetricName", run.MetricPlanReady)
				want(t, name, a.Properties, "Statistic", "Minimum")
				want(t, name, a.Properties, "ComparisonOperator", "LessThanThreshold")
				want(t, name, a.Properties, "Threshold", 1)
				want(t, name, a.Properties, "TreatMissingData", "notBreaching")
			}
			if name, _ := a.Properties["AlarmName"].(string); strings.HasSuffix(name, "-estate-uncovered") {
				want(t, name, a.Properties, "MetricName", run.MetricUncovered)
				want(t, name, a.Properties, "Statistic", "Maximum")
				want(t, name, a.Properties, "ComparisonOperator", "GreaterThanThreshold")
				want(t, name, a.Properties, "Threshold", 0)
				if period, _ := a.Properties["Period"].(float64); int(period) <= minutes*60 {
					t.Errorf("%s: a period of %g s may have no check in it", name, period)
				}
			}
			if name, _ := a.Properties["AlarmName"].(string); strings.HasSuffix(name, "-plans-unchecked") {
				want(t, name, a.Properties, "MetricName", run.MetricPlansStarted)
				want(t, name, a.Properties, "Statistic", "SampleCount")
				want(t, name, a.Properties, "ComparisonOperator", "LessThanThreshold")
				want(t, name, a.Properties, "Threshold", 1)
				want(t, name, a.Properties, "TreatMissingData", "breaching")
				want(t, name, a.Properties, "EvaluationPeriods", 2)
				if period, _ := a.Properties["Period"].(float64); int(period) <= minutes*60 || int(period)%60 != 0 || period*2 > 86400 {
					t.Errorf("%s: the period is %g s", name, period)
				}
			}
		}
	})
}
