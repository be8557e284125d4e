package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const right = `
account: "012345678901"
primary: {region: us-east-1}
secondary: {region: us-west-2}
`

// facts are those of a small deployment that is built.
func facts(t *testing.T) Facts {
	t.Helper()
	build := t.TempDir()
	if err := os.Mkdir(filepath.Join(build, "promote"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(build, "promote", "bootstrap"), []byte("x"), 0o755); err != nil {
		t.Fatal(err)
	}
	return Facts{
		Regions: []string{"us-east-1", "us-west-2"}, Functions: []string{"promote"}, Kinds: []string{"cloudwatch:alarm", "rds:db"},
		Services: []string{"rds", "route53", "s3"}, Build: build,
	}
}

// check gives the problems of a text, from reading or from checking.
func check(t *testing.T, text string, f Facts) Problems {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := Read(path)
	if err == nil {
		err = c.Check(f)
	}
	if err == nil {
		return nil
	}
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("the error is %T: %v", err, err)
	}
	return problems
}

func TestCheck(t *testing.T) {
	const vpc = "  vpc: {id: vpc-01234567, subnets: [subnet-01234567], securityGroups: [sg-0123456789abcdef0]"
	for _, tt := range []struct {
		name, text string
		want       []string // one part of each problem
	}{
		{"right", right, nil},
		{"an account with a leading zero", strings.Replace(right, `"012345678901"`, "012345678901", 1), nil},
		{"an account that is short", strings.Replace(right, "012345678901", "1234", 1), []string{`account: "1234" is not an account id`}},
		{"no account", "primary: {region: us-east-1}\nsecondary: {region: us-west-2}", []string{`account: "" is not`}},
		{"an unknown region", strings.Replace(right, "us-west-2", "us-west-9", 1), []string{`secondary.region: AWS has no region "us-west-9"`}},
		{"the same region twice", strings.Replace(right, "us-west-2", "us-east-1", 1), []string{"secondary.region: us-east-1 is the primary region, too"}},
		{"no regions", `account: "012345678901"`, []string{"primary.region: is missing", "secondary.region: is missing"}},
		{"a name that nobody knows", right + "colour: red", []string{"field colour not found"}},
		{"two names that nobody knows", right + "colour: red\nsize: 1", []string{"field colour not found", "field size not found"}},
		{"not YAML", "a: [", []string{"yaml"}},
		{"nothing at all", "", []string{"account", "primary.region", "secondary.region"}},
		{"several at once", "account: x\nprefix: X\nprimary: {region: nowhere}\nlogRetentionDays: 2\nnotify: [nobody]", []string{
			"account", "prefix", `no region "nowhere"`, "secondary.region: is missing", "logRetentionDays: 2", "notify[0]"}},
		{"a prefix that is long", right + "prefix: a23456789012345678901234567890", []string{"prefix"}},
		{"patterns of payloads", strings.Replace(right, "us-west-2", `us-west-2, checkPlans: ["*", "!failback-*", orders]`, 1), nil},
		{"patterns that are none", strings.Replace(right, "us-east-1", `us-east-1, checkPlans: ["[", "!", a/b, orders]`, 1), []string{
			`primary.checkPlans[0]: "["`, `primary.checkPlans[1]: "!"`, `primary.checkPlans[2]: "a/b"`}},
		{"checks every minute", right + "checkPlansMinutes: 1", []string{"checkPlansMinutes: 1: want 5"}},
		{"checks twice a day", right + "checkPlansMinutes: 660", nil},
		{"checks every day", right + "checkPlansMinutes: 1440", []string{"checkPlansMinutes: 1440"}},
		{"a retention that is known", right + "logRetentionDays: 3653", nil},
		{"an address with a name", right + "notify: [Me <me@example.com>]", []string{"notify[0]"}},
		{"a boundary by name", right + "permissionsBoundary: dr-boundary", nil},
		{"a boundary by ARN", right + "permissionsBoundary: arn:aws:iam::012345678901:policy/team/dr", nil},
		{"no boundary", right + `permissionsBoundary: "a b"`, []string{"permissionsBoundary"}},
		{"a tag of AWS", right + "tags: {aws:x: y}", []string{`tags: a tag cannot be named "aws:x"`}},
		{"concurrency", right + "reservedConcurrency: {promote: 1}", nil},
		{"concurrency of nothing", right + "reservedConcurrency: {demote: 1}", []string{`no function "demote"`}},
		{"no concurrency", right + "reservedConcurrency: {promote: 0}", []string{"want at least 1"}},
		{"names", right + "resources: {'rds:db': [orders-*]}", nil},
		{"names of nothing", right + "resources: {'rds:dc': [orders-*]}", []string{`no function touches a "rds:dc"`}},
		{"no names", right + "resources: {'rds:db': []}", []string{"resources.rds:db: is empty"}},
		{"a name with a space", right + "resources: {'rds:db': ['a b']}", []string{"resources.rds:db[0]"}},
		{"references", right + "references: {parameters: [/a/*], secureParameters: [/b], secrets: [c], keys: ['arn:aws:kms:us-east-1:012345678901:key/1']}", nil},
		{"a reference that is none", right + "references: {parameters: ['${x}'], keys: [alias/x]}", []string{"references.parameters[0]", "references.keys[0]"}},
		{"a key", replaceSecondary("{region: us-west-2, key: 'arn:aws:kms:us-west-2:012345678901:key/1'}"), nil},
		{"a key of the other region", replaceSecondary("{region: us-west-2, key: 'arn:aws:kms:us-east-1:012345678901:key/1'}"), []string{"secondary.key: is a key in us-east-1"}},
		{"a key that is none", replaceSecondary("{region: us-west-2, key: alias/x}"), []string{"secondary.key"}},
		{"a VPC without endpoints", replaceSecondary("\n  region: us-west-2\n" + vpc + "}"), []string{"secondary.vpc.endpoints.route53", "secondary.vpc: has no endpoint for rds, s3"}},
		{"a VPC with one endpoint", replaceSecondary("\n  region: us-west-2\n" + vpc + ", endpoints: {rds: nat, route53: nat}}"), []string{"secondary.vpc: has no endpoint for s3"}},
		{"a VPC with endpoints", replaceSecondary("\n  region: us-west-2\n" + vpc + ", endpoints: {rds: vpce-01234567, s3: nat, route53: nat}}"), nil},
		{"a VPC whose endpoints are made", replaceSecondary("\n  region: us-west-2\n" + vpc + ", endpoints: {route53: nat}, createEndpoints: true, routeTables: [rtb-01234567]}"), nil},
		{"a gateway without route tables", replaceSecondary("\n  region: us-west-2\n" + vpc + ", endpoints: {route53: nat}, createEndpoints: true}"), []string{"secondary.vpc.routeTables: is missing"}},
		{"what has no endpoint", replaceSecondary("\n  region: us-west-2\n" + vpc + ", endpoints: {rds: nat, s3: nat, route53: vpce-01234567}}"), []string{"secondary.vpc.endpoints.route53: \"vpce-01234567\": no endpoint"}},
		{"what has no endpoint, and no NAT", replaceSecondary("\n  region: us-west-2\n" + vpc + ", endpoints: {rds: nat, s3: nat, route53: ''}}"), []string{"secondary.vpc.endpoints.route53"}},
		{"what nothing leads to", replaceSecondary("\n  region: us-west-2\n" + vpc + ", endpoints: {rds: nat, s3: nat, route53: none}}"), nil},
		{"an endpoint of nothing", replaceSecondary("\n  region: us-west-2\n" + vpc + ", endpoints: {rds: nat, s3: nat, route53: nat, ec2: nat}}"), []string{`nothing calls "ec2"`}},
		{"an endpoint that is none", replaceSecondary("\n  region: us-west-2\n" + vpc + ", endpoints: {rds: yes-please, s3: nat, route53: nat}}"), []string{"secondary.vpc.endpoints.rds"}},
		{"a VPC of nothing", replaceSecondary("{region: us-west-2, vpc: {endpoints: {rds: nat, s3: nat, route53: nat}}}"), []string{
			"secondary.vpc.id", "secondary.vpc.subnets: is missing", "secondary.vpc.securityGroups: is missing"}},
		{"a trigger", triggers("{name: orders, on: request, payload: orders}"), nil},
		{"a trigger with a name that nobody knows", triggers("{name: orders, on: request, payload: orders, colour: red}"), []string{"field colour not found"}},
		{"a trigger that is wrong", triggers("{name: orders, on: alarm, payload: orders, mode: automatic}"), []string{"secondary.triggers[0].alarms: want either", "secondary.triggers[0].confirm: is missing"}},
		{"health of the other region", triggers("{name: health, on: health, regions: [us-east-1], services: [RDS], payload: orders}"), nil},
		{"health of the region that takes over", triggers("{name: health, on: health, regions: [us-west-2], services: [RDS], payload: orders}"), []string{"secondary.triggers[0].regions: us-west-2 is where it fails over to"}},
		{"health of no region", triggers("{name: health, on: health, regions: [moon-1], services: [RDS], payload: orders}"), []string{"secondary.triggers[0].regions: AWS has no region"}},
		{"two triggers of a name", triggers("{name: orders, on: request, payload: a}, {name: orders, on: request, payload: b}"), []string{"secondary.triggers[1].name: there is another"}},
		{"many triggers", triggers(many(31)), []string{"secondary.triggers: 31: want at most 30"}},
		{"switches", right + "switches: [orders, web-shop, s3]", nil},
		{"switches that functions may look at", right + "switches: [orders, web-shop]\nresources: {'cloudwatch:alarm': [dr-orchestrator-switch-w*, '*-orders']}", nil},
		{"a switch that functions may not look at", right + "switches: [orders, web-shop]\nresources: {'cloudwatch:alarm': [dr-orchestrator-switch-o*]}", []string{"switches[1]: no pattern of resources.cloudwatch:alarm lets SetSwitch look at dr-orchestrator-switch-web-shop"}},
		{"wrong switches", right + "switches: [Orders, x, web--shop, orders-2, orders, orders, a234567890123456789012345678901]", []string{
			"switches[0]", "switches[1]", "switches[2]", "switches[3]", `switches[5]: there is another switch "orders"`, "switches[6]"}},
		{"many switches", right + "switches: [" + named(51) + "]", []string{"switches: 51: want at most 50"}},
		{"a switch of a form", right + "switches: {orders: x}", []string{"cannot unmarshal"}},
		{"a second look out of a VPC", strings.Replace(triggers("{name: orders, on: request, payload: a, confirm: {endpoint: 'https://x'}}"), "region: us-west-2", "region: us-west-2\n"+vpc+", endpoints: {rds: nat, s3: nat, route53: nat}}", 1), []string{"confirm.reference: is missing"}},
		{"a second look out of a VPC that is compared", strings.Replace(triggers("{name: orders, on: request, payload: a, confirm: {endpoint: 'https://x', reference: 'https://y'}}"), "region: us-west-2", "region: us-west-2\n"+vpc+", endpoints: {rds: nat, s3: nat, route53: nat}}", 1), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := check(t, tt.text, facts(t))
			if len(got) != len(tt.want) {
				t.Fatalf("%d problems, want %d:\n%v", len(got), len(tt.want), got)
			}
			for i, part := range tt.want {
				if !strings.Contains(got[i], part) {
					t.Errorf("problem %d: %q, want %q in it", i, got[i], part)
				}
			}
		})
	}
}

func replaceSecondary(with string) string {
	return strings.Replace(right, "{region: us-west-2}", with, 1)
}

func TestMissingBuild(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t *testing.T, bootstrap string) error
	}{
		{"nothing there", func(*testing.T, string) error { return nil }},
		{"an empty file", func(_ *testing.T, path string) error { return os.WriteFile(path, nil, 0o755) }},
		{"a folder", func(_ *testing.T, path string) error { return os.Mkdir(path, 0o755) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := facts(t)
			f.Functions = append(f.Functions, "zap")
			if err := os.Mkdir(filepath.Join(f.Build, "zap"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := tt.make(t, filepath.Join(f.Build, "zap", "bootstrap")); err != nil {
				t.Fatal(err)
			}
			want := Problems{f.Build + ": zap not built: run `make functions`"}
			if diff := cmp.Diff(want, check(t, right, f)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// triggers gives the secondary region some triggers.
func triggers(some string) string {
	return replaceSecondary("\n  region: us-west-2\n  triggers: [" + some + "]")
}

func many(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("{name: t%d, on: request, payload: p}", i+10))
	}
	return strings.Join(all, ", ")
}

// named gives n names of switches.
func named(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("s%d", i+10))
	}
	return strings.Join(all, ", ")
}

func TestNoFile(t *testing.T) {
	if _, err := Read(filepath.Join(t.TempDir(), "none.yaml")); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("err = %v", err)
	}
}

// The file of the project is right as it stands.
func TestProjectFile(t *testing.T) {
	c, err := Read("../config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f := facts(t)
	if err := c.Check(f); err != nil {
		t.Error(err)
	}
}

// Without a word of the configuration, the secondary region checks what is for
// a failover, and the primary one nothing; an empty list is a word.
func TestChecksByDefault(t *testing.T) {
	for _, tt := range []struct {
		name, text         string
		primary, secondary []string
	}{
		{"unsaid", right, nil, []string{"*", "!failback-*", "!switchback-*", "!release-*"}},
		{"none", strings.Replace(right, "us-west-2", "us-west-2, checkPlans: []", 1), nil, []string{}},
		{"both", strings.NewReplacer("us-east-1", "us-east-1, checkPlans: [b]", "us-west-2", "us-west-2, checkPlans: [a]").Replace(right), []string{"b"}, []string{"a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([][]string{tt.primary, tt.secondary}, [][]string{c.Primary.CheckPlans, c.Secondary.CheckPlans}); diff != "" {
				t.Error(diff)
			}
		})
	}
}
