package orchestrator

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/guard"
	"dr-orchestrator/internal/lock"
	"dr-orchestrator/internal/planwatch"
	"dr-orchestrator/internal/resolve"
	"dr-orchestrator/internal/run"
	"dr-orchestrator/internal/steps"
	"dr-orchestrator/statemachine"
)

// policyOf gives what a role may do: actions to resources.
func policyOf(t *testing.T, role resource) map[string][]string {
	t.Helper()
	if len(texts(role.Properties["ManagedPolicyArns"])) > 0 {
		t.Errorf("the role has managed policies: %v", role.Properties["ManagedPolicyArns"])
	}
	allowed := map[string][]string{}
	for _, p := range role.Properties["Policies"].([]any) {
		for _, s := range at(p, "PolicyDocument.Statement").([]any) {
			if at(s, "Effect") != "Allow" || at(s, "NotAction") != nil || at(s, "NotResource") != nil {
				t.Errorf("a statement of another kind: %s", text(s))
			}
			for _, action := range texts(at(s, "Action")) {
				if strings.Contains(action, "*") {
					t.Errorf("an open action: %s", action)
				}
				allowed[action] = slices.Compact(slices.Sorted(slices.Values(append(allowed[action], texts(at(s, "Resource"))...))))
			}
		}
	}
	return allowed
}

// common is what every function's role holds beside the statements of its row.
var common = []string{"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTelemetryRecords", "xray:PutTraceSegments"}

// called is what the code of each step calls.
var called = map[string][]string{
	"prepare-run":      {"s3:GetObject", "s3:ListBucket", "s3:PutObject", "ssm:GetParameters", "cloudformation:ListExports", "events:PutEvents"},
	"record-readiness": {"s3:GetObject", "s3:PutObject"},
	"request-approval": {"s3:GetObject", "events:PutEvents", "sns:Publish"},
	"set-locks":        {"s3:GetObject", "s3:PutObject", "dynamodb:PutItem", "dynamodb:DeleteItem", "states:DescribeExecution"},
	"record-layer":     {"s3:GetObject", "s3:PutObject", "events:PutEvents"},
	"record-report":    {"s3:GetObject", "s3:ListBucket", "s3:PutObject", "events:PutEvents", "sns:Publish"},
	statemachine.CloseRun: {"s3:GetObject", "s3:ListBucket", "s3:PutObject", "events:PutEvents", "sns:Publish",
		"states:DescribeExecution", "states:GetExecutionHistory", "states:ListExecutions", "states:ListMapRuns"},
	steps.CheckPlans: {"s3:GetObject", "s3:ListBucket", "states:ListExecutions", "states:StartExecution", "events:PutEvents",
		"elasticache:DescribeGlobalReplicationGroups", "rds:DescribeDBInstances", "rds:DescribeGlobalClusters"},
	steps.GuardTrigger: {"cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource", "dynamodb:GetItem", "dynamodb:PutItem", "states:StartExecution", "states:ListExecutions", "states:DescribeExecution",
		"events:PutEvents", "sns:Publish"},
}

// The methods of the steps' interfaces are the actions of their roles.
func TestStepsCallWhatTheirRolesHold(t *testing.T) {
	inCode := map[string]bool{}
	for service, apis := range map[string][]reflect.Type{
		"s3": {reflect.TypeFor[run.Objects](), reflect.TypeFor[planwatch.Objects]()}, "rds": {reflect.TypeFor[planwatch.Databases]()}, "elasticache": {reflect.TypeFor[planwatch.Caches]()},
		"events": {reflect.TypeFor[run.Events]()}, "sns": {reflect.TypeFor[run.Notices]()},
		"dynamodb": {reflect.TypeFor[lock.Table](), reflect.TypeFor[guard.Table]()}, "cloudwatch": {reflect.TypeFor[guard.Alarms]()},
		"states":         {reflect.TypeFor[run.Executions](), reflect.TypeFor[guard.Executions](), reflect.TypeFor[planwatch.Executions]()},
		"cloudformation": {reflect.TypeFor[resolve.Exports]()}, "ssm": {reflect.TypeFor[resolve.Parameters]()}, "secretsmanager": {reflect.TypeFor[resolve.Secrets]()},
	} {
		for _, api := range apis {
			for i := range api.NumMethod() {
				name := api.Method(i).Name
				if name == "ListObjectsV2" {
					name = "ListBucket" // as IAM calls it
				}
				inCode[service+":"+name] = true
			}
		}
	}
	inRoles := map[string]bool{}
	for _, statement := range plainReferences(full(t).References) {
		inRoles[statement.Actions[0]] = true
	}
	for _, statements := range stepStatements {
		for _, s := range statements {
			for _, a := range s.Actions {
				inRoles[a] = true
			}
		}
	}
	if diff := cmp.Diff(inCode, inRoles); diff != "" {
		t.Errorf("(-code +roles):\n%s", diff)
	}
}

// Every function has a role of its own, which holds the actions of its row or
// step, and those that the configuration adds.
func TestRolesHoldTheCatalogsActions(t *testing.T) {
	expected := map[string][]string{}
	for _, e := range catalog.Entries {
		for _, s := range e.Statements {
			expected[e.Function] = append(expected[e.Function], s.Actions...)
		}
	}
	for name, actions := range called {
		expected[name] = actions
	}
	each(t, func(t *testing.T, tpl template) {
		used := map[string]bool{}
		for id, f := range tpl.of(t, "AWS::Lambda::Function") {
			_, name, _ := strings.Cut(f.Properties["FunctionName"].(string), prefixOf(tpl)+"-")
			roleID, _ := at(f.Properties, "Role.Fn::GetAtt.0").(string)
			if used[roleID] {
				t.Errorf("%s shares its role", id)
			}
			used[roleID] = true
			_, isStep := stepStatements[name]
			want := slices.Concat(expected[name], common)
			if deadLettered[name] {
				want = append(want, leaveInQueue.Actions...)
			}
			if prefixOf(tpl) == "recovery" {
				want = append(want, networkInterfaces.Actions...)
				want = append(want, configured(name, isStep)...)
			}
			slices.Sort(want)
			got := slices.Sorted(maps.Keys(policyOf(t, tpl.Resources[roleID])))
			if diff := cmp.Diff(slices.Compact(want), got); diff != "" {
				t.Errorf("%s (-code +role):\n%s", name, diff)
			}
		}
	})
}

// configured is what the full configuration adds to a role.
func configured(name string, isStep bool) []string {
	switch {
	case !isStep:
		return []string{"ssm:GetParameter", "secretsmanager:GetSecretValue", "kms:Decrypt"}
	case name == "prepare-run":
		return []string{"ssm:GetParameters", "secretsmanager:DescribeSecret", "kms:Decrypt", "kms:GenerateDataKey"}
	}
	return []string{"kms:Decrypt", "kms:GenerateDataKey"}
}

// "*" stands only where a statement says that AWS knows nothing narrower.
func TestOpenResourcesHaveReasons(t *testing.T) {
	reasoned := map[string]bool{}
	var all []catalog.Statement
	for _, f := range functions() {
		all = append(all, f.statements...)
	}
	all = append(all, networkInterfaces)
	all = append(all, (&Orchestrator{}).machineStatements(catalog.Failover)...)
	for _, s := range all {
		if slices.Contains(s.Resources, "*") {
			if len(s.Reason) < 10 {
				t.Errorf("%v on * give no reason", s.Actions)
			}
			for _, a := range s.Actions {
				reasoned[a] = true
			}
		}
	}
	each(t, func(t *testing.T, tpl template) {
		for id, role := range tpl.of(t, "AWS::IAM::Role") {
			for action, resources := range policyOf(t, role) {
				if slices.Contains(resources, "*") && !reasoned[action] && !slices.Contains(common, action) {
					t.Errorf("%s: %s on *", id, action)
				}
			}
		}
		for id, r := range tpl.Resources {
			if r.Type == "AWS::IAM::Policy" || r.Type == "AWS::IAM::ManagedPolicy" {
				t.Errorf("%s stands outside of the roles", id)
			}
		}
	})
}

// The machine's role reaches its own functions, its own children and its own
// documents.
func TestMachineRole(t *testing.T) {
	tpl := synthesized(t, "plain").secondary
	for id, m := range tpl.of(t, "AWS::StepFunctions::StateMachine") {
		name, _ := m.Properties["StateMachineName"].(string)
		roleID, _ := at(m.Properties, "RoleArn.Fn::GetAtt.0").(string)
		got := policyOf(t, tpl.Resources[roleID])
		for action, resources := range got {
			if strings.HasPrefix(action, "logs:") || strings.HasPrefix(action, "xray:") {
				delete(got, action)
			}
			for _, r := range resources {
				if strings.HasPrefix(action, "states:") && !strings.Contains(r, ":"+name+":") && !strings.Contains(r, ":"+name+"/") && !strings.HasSuffix(r, ":"+name) {
					t.Errorf("%s: %s on %s", id, action, r)
				}
			}
		}
		expected := []string{
			"lambda:InvokeFunction", "s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject",
			"states:DescribeExecution", "states:RedriveExecution", "states:StartExecution", "states:StopExecution",
		}
		if diff := cmp.Diff(expected, slices.Sorted(maps.Keys(got))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
		var functions []string
		for _, f := range tpl.of(t, "AWS::Lambda::Function") {
			if _, name, _ := strings.Cut(f.Properties["FunctionName"].(string), prefixOf(tpl)+"-"); ofRules[name] {
				continue
			}
			functions = append(functions, "arn:aws:lambda:us-west-2:"+account+":function:"+f.Properties["FunctionName"].(string))
		}
		slices.Sort(functions)
		if diff := cmp.Diff(functions, got["lambda:InvokeFunction"]); diff != "" {
			t.Errorf("%s: functions (-deployed +invoked):\n%s", id, diff)
		}
		if diff := cmp.Diff([]string{"arn:aws:s3:::dr-orchestrator-" + account + "-us-west-2/runs/*"}, got["s3:PutObject"]); diff != "" {
			t.Error(diff)
		}
	}
}

func TestRolesTrustOneServiceEach(t *testing.T) {
	each(t, func(t *testing.T, tpl template) {
		for id, role := range tpl.of(t, "AWS::IAM::Role") {
			statements := at(role.Properties, "AssumeRolePolicyDocument.Statement").([]any)
			service, _ := at(statements[0], "Principal.Service").(string)
			if len(statements) != 1 || service == "" {
				t.Errorf("%s: trusts %s", id, text(statements))
			}
			if service != "lambda.amazonaws.com" && at(statements[0], "Condition.StringEquals") == nil {
				t.Errorf("%s: %s may use it for another account", id, service)
			}
		}
	})
}

func TestConfigurationNarrowsResources(t *testing.T) {
	tpl := synthesized(t, "full").secondary
	for _, role := range tpl.of(t, "AWS::IAM::Role") {
		allowed := policyOf(t, role)
		if r, ok := allowed["rds:PromoteReadReplica"]; ok {
			expected := []string{"arn:aws:rds:us-west-2:" + account + ":db:billing", "arn:aws:rds:us-west-2:" + account + ":db:orders-*"}
			if diff := cmp.Diff(expected, r); diff != "" {
				t.Error(diff)
			}
		}
		if r, ok := allowed["secretsmanager:GetSecretValue"]; ok {
			arn := "arn:aws:secretsmanager:us-west-2:" + account + ":secret:"
			if diff := cmp.Diff([]string{arn + "billing-??????", arn + "orders-*"}, r); diff != "" {
				t.Error(diff)
			}
		}
	}
}

func TestFill(t *testing.T) {
	p := place{partition: "aws", account: "1", region: "r", prefix: "p", names: map[string][]string{
		"rds:db": {"a", "b-*"}, "ecs:service": {"c/s"}, "cloudformation:stack": {"n/*"}, "s3": {"bucket"},
		"autoscaling:autoScalingGroup": {"g"},
	}}
	for _, tt := range []struct {
		name, resource string
		want           []string
	}{
		{"anything", "*", []string{"*"}},
		{"patterns", "arn:${Partition}:rds:${Region}:${Account}:db:*", []string{"arn:aws:rds:r:1:db:a", "arn:aws:rds:r:1:db:b-*"}},
		{"no patterns", "arn:${Partition}:rds:*:${Account}:cluster:*", []string{"arn:aws:rds:*:1:cluster:*"}},
		{"two levels", "arn:aws:ecs:r:1:service/*/*", []string{"arn:aws:ecs:r:1:service/c/s"}},
		{"name and id", "arn:aws:cloudformation:r:1:stack/*/*", []string{"arn:aws:cloudformation:r:1:stack/n/*"}},
		{"name at the end", "arn:aws:autoscaling:r:1:autoScalingGroup:*:autoScalingGroupName/*", []string{"arn:aws:autoscaling:r:1:autoScalingGroup:*:autoScalingGroupName/g"}},
		{"name alone", "arn:aws:s3:::*", []string{"arn:aws:s3:::bucket"}},
		{"closed", "arn:aws:rds:r:1:db:x", []string{"arn:aws:rds:r:1:db:x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, p.fill(tt.resource)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
