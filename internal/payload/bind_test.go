package payload

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, input string) *Document {
	t.Helper()
	doc, problems := Parse([]byte(input), testTypes(), "")
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	return doc
}

// resolved replaces texts of the document as package resolve does.
func resolved(doc *Document, texts map[string]string) *Document {
	for _, layer := range doc.Layers {
		for _, r := range layer.Resources {
			for name, v := range r.Parameters {
				if text, ok := texts[v.Text]; ok {
					v.Text, v.Reference = text, v.Text
					r.Parameters[name] = v
				}
			}
		}
	}
	return doc
}

func TestBind(t *testing.T) {
	doc := parse(t, payloadOf(
		resource("PromoteRDSReadReplica", `"RDSInstanceIdentifier":"!Import id","TargetClusterIdentifier":"`+instanceARN+`","BackupRetentionPeriod":"!Import days",
			"MultiAZ":"False","AcceptUnknownLag":"!Import lag","Method":"Detach","VpcSecurityGroupIds":"!Import groups","Password":"{{resolve:ssm-secure:/p}}","Delay":"{{resolve:secretsmanager:s}}"`),
		resource("DeleteDBCluster", `"DBClusterIdentifier":"old"`)))
	bound, problems := Bind(resolved(doc, map[string]string{
		"!Import id": "orders", "!Import days": "7", "!Import lag": "true", "!Import groups": "sg-1, sg-2",
	}), testTypes())
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	seven, no := 7, false
	want := []any{
		&promoteParameters{
			RDSInstanceIdentifier: "orders", TargetClusterIdentifier: instanceARN, BackupRetentionPeriod: &seven,
			Method: "Detach", TimeLimitSeconds: 3600, AcceptUnknownLag: true, MultiAZ: &no, VpcSecurityGroupIds: []string{"sg-1", "sg-2"},
			Password: "{{resolve:ssm-secure:/p}}", Delay: "{{resolve:secretsmanager:s}}",
		},
		&deleteParameters{DBClusterIdentifier: "old"},
	}
	var got []any
	for i, b := range bound {
		got = append(got, b.Parameters)
		if diff := cmp.Diff(doc.Layers[0].Resources[i], b.Resource); diff != "" {
			t.Errorf("resource %d (-want +got):\n%s", i, diff)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
}

func TestBindEmbedded(t *testing.T) {
	doc := parse(t, payloadOf(resource("CreateRDSReadReplica", promoteBase+`,"SourceRDSInstanceIdentifier":"s","Port":"3306","StorageEncrypted":"False"`)))
	bound, problems := Bind(doc, testTypes())
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	p := bound[0].Parameters.(*replicaParameters)
	if p.Port == nil || *p.Port != 3306 || p.StorageEncrypted == nil || *p.StorageEncrypted || p.MultiAZ != nil {
		t.Errorf("parameters %+v", p)
	}
}

func TestBindRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, more string
		texts      map[string]string
		want       []expect
	}{
		{"unresolved", `"Password":"!Import p"`, nil, []expect{{ps0 + "/Password", "nobody resolved"}}},
		{"malformed reference", `"Password":"!Import p"`, map[string]string{"!Import p": "x{{resolve:ssm:y}}"}, []expect{{ps0 + "/Password", "whole value"}}},
		{"wrong number", `"BackupRetentionPeriod":"!Import d"`, map[string]string{"!Import d": "seven"}, []expect{
			{ps0 + "/BackupRetentionPeriod", `not a whole number (it came from !Import d); found "seven"; expected a whole number from 0 to 35`}}},
		{"wrong range", `"BackupRetentionPeriod":"!Import d"`, map[string]string{"!Import d": "99"}, []expect{{ps0 + "/BackupRetentionPeriod", "out of range"}}},
		{"wrong bool and empty text", `"MultiAZ":"!Import d","Password":"!Import e"`, map[string]string{"!Import d": "on", "!Import e": ""}, []expect{
			{ps0 + "/MultiAZ", "neither"}, {ps0 + "/Password", "empty"}}},
		{"wrong enum", `"Method":"!Import d"`, map[string]string{"!Import d": "Manual"}, []expect{{ps0 + "/Method", "one of Managed, Detach"}}},
		{"wrong list", `"Regions":"!Import d"`, map[string]string{"!Import d": "us-east-1,"}, []expect{{ps0 + "/Regions", "is empty"}}},
		{"a secret after all", `"MultiAZ":"resolve:ssm:d"`, map[string]string{"resolve:ssm:d": "{{resolve:ssm-secure:d}}"}, []expect{{ps0 + "/MultiAZ", "only text can"}}},
		{"across parameters", `"PreferredBackupWindow":"!Import d"`, map[string]string{"!Import d": "03:00-04:00"}, []expect{
			{ps0 + "/PreferredBackupWindow", "needs backups (it came from !Import d)"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bound, problems := Bind(resolved(parse(t, promote(tt.more)), tt.texts), testTypes())
			if bound != nil || len(problems) != len(tt.want) {
				t.Fatalf("bound %v, problems %v, want %d", bound, problems, len(tt.want))
			}
			for i, e := range tt.want {
				if p := problems[i]; p.Pointer != e.pointer || !strings.Contains(p.String(), e.text) {
					t.Errorf("problem %v, want %v", p, e)
				}
			}
		})
	}
	t.Run("two references to the same thing", func(t *testing.T) {
		doc := parse(t, payloadOf(
			resource("UnPlannedFailoverAurora", `"GlobalClusterIdentifier":"g","DBClusterIdentifier":"!Import a"`),
			resource("DeleteDBCluster", `"DBClusterIdentifier":"!Import b"`)))
		_, problems := Bind(resolved(doc, map[string]string{"!Import a": clusterARN, "!Import b": "orders"}), testTypes())
		if len(problems) != 1 || problems[0].Pointer != at1+"/parameters/DBClusterIdentifier" || !strings.Contains(problems[0].Message, "names already (it came from !Import b)") {
			t.Errorf("problems %v", problems)
		}
	})
	t.Run("a document made by hand", func(t *testing.T) {
		doc := &Document{Layers: []Layer{{Resources: []Resource{{Type: "Nope", Pointer: "/a"}, {Type: "DeleteDBCluster", Pointer: "/b"}}}}}
		_, problems := Bind(doc, testTypes())
		if len(problems) != 2 || problems[0].Pointer != "/a/resourceType" || problems[1].Pointer != "/b/parameters" {
			t.Errorf("problems %v", problems)
		}
	})
}

func TestFormats(t *testing.T) {
	for _, tt := range []struct {
		format        string
		right, refuse []string
	}{
		{"db-instance", []string{"a", "My-Db-1", strings.Repeat("a", 63)}, []string{"", "1a", "-a", "a-", "a--b", "a_b", "ä", "a\n", strings.Repeat("a", 64)}},
		{"db-cluster", []string{"a-b"}, []string{"a.b"}},
		{"global-cluster", []string{"a-b"}, []string{"a b"}},
		{"rds-instance-arn", []string{instanceARN, "arn:aws-us-gov:rds:us-gov-west-1:123456789012:db:a", "arn:aws-cn:rds:cn-north-1:123456789012:db:a"},
			[]string{clusterARN, "arn:aws-iso:rds:us-iso-east-1:123456789012:db:a", "arn:aws:rds::123456789012:db:a", "arn:aws:rds:us-east-1:xxxxxxxxxxxx:db:a", "orders"}},
		{"rds-cluster-arn", []string{clusterARN}, []string{instanceARN, clusterARN + ":x"}},
		{"region", []string{"us-west-2", "us-gov-west-1", "ap-southeast-5"}, []string{"us-west", "US-WEST-2", "uswest2", "us-west-2a", "us-west-222"}},
		{"replication-group", []string{"sessions", strings.Repeat("a", 40)}, []string{strings.Repeat("a", 41), "a-"}},
		{"global-replication-group", []string{"ldgnf-sessions", "virxk-a-b"}, []string{"", "-x", "a_b"}},
		{"backup-window", []string{"00:00-23:59"}, []string{"24:00-01:00", "0:00-1:00", "01:60-02:00", "01:00"}},
		{"positive-seconds", []string{"1", "86400"}, []string{"0", "01", "-1", "1.5", "1234567890"}},
	} {
		t.Run(tt.format, func(t *testing.T) {
			f, ok := formats[tt.format]
			if !ok {
				t.Fatal("no such format")
			}
			if !f.matches(f.example) || f.words == "" {
				t.Errorf("the example %q does not fit", f.example)
			}
			for _, text := range tt.right {
				if !f.matches(text) {
					t.Errorf("%q is refused", text)
				}
			}
			for _, text := range tt.refuse {
				if f.matches(text) {
					t.Errorf("%q is accepted", text)
				}
			}
		})
	}
}

func TestWrongTags(t *testing.T) {
	for _, tt := range []struct {
		parameters any
		want       string
	}{
		{struct{ A float64 }{}, "float64 cannot be a parameter"},
		{struct {
			A string `param:"needed"`
		}{}, `param:"needed"`},
		{struct {
			A string `format:"mars"`
		}{}, `format:"mars"`},
		{struct {
			A int `format:"region"`
		}{}, `format:"region"`},
		{struct {
			A string `min:"1"`
		}{}, `min:"1"`},
		{struct {
			A int `max:"x"`
		}{}, `max:"x"`},
		{struct {
			A bool `enum:"a,b"`
		}{}, "enum does not fit"},
		{struct {
			A int `max:"1" default:"2"`
		}{}, `default:"2": A is out of range`},
		{7, "not a struct type"},
	} {
		t.Run(tt.want, func(t *testing.T) {
			types := Types{{Name: "T", Parameters: reflect.TypeOf(tt.parameters), Machines: []string{"failover"}}}
			if _, err := Schema(types); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Schema: %v", err)
			}
			defer func() {
				if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), tt.want) {
					t.Errorf("Parse: %v", r)
				}
			}()
			Parse([]byte(payloadOf(resource("T", ""))), types, "")
		})
	}
}

func TestReferences(t *testing.T) {
	for text, want := range map[string]struct{ reference, secret bool }{
		"orders":                           {false, false},
		"":                                 {false, false},
		"{{x}}":                            {false, false},
		"!Import a:b-c":                    {true, false},
		"!Import":                          {false, false},
		"resolve:ssm:/a":                   {true, false},
		"{{ resolve:ssm:/a }}":             {true, false},
		"{{resolve:ssm-secure:/a:3}}":      {true, true},
		"resolve:ssm-secure:/a":            {false, false},
		"{{resolve:secretsmanager:rds!x}}": {true, true},
		"a{{resolve:secretsmanager:x}}":    {false, false},
	} {
		if got := IsReference(text); got != want.reference {
			t.Errorf("IsReference(%q) = %v", text, got)
		}
		if got := IsSecretReference(text); got != want.secret {
			t.Errorf("IsSecretReference(%q) = %v", text, got)
		}
	}
	const arn = "arn:aws:secretsmanager:us-west-2:123456789012:secret:db-AbCdEf"
	for text, want := range map[string]Reference{
		"!Import  a": {Kind: ImportReference, Name: "a"},
		"resolve:ssm:arn:aws:ssm:us-west-2:123456789012:parameter/a/b:7": {Kind: ParameterReference, Name: "arn:aws:ssm:us-west-2:123456789012:parameter/a/b", Version: "7"},
		"{{resolve:secretsmanager:" + arn + "}}":                         {Kind: SecretsManagerReference, Name: arn},
		"{{resolve:secretsmanager:" + arn + "::k:s}}":                    {Kind: SecretsManagerReference, Name: arn, Key: "k", Stage: "s"},
		"{{resolve:secretsmanager:n:SecretString:k::v}}":                 {Kind: SecretsManagerReference, Name: "n", Key: "k", Version: "v"},
	} {
		got, meant, err := ParseReference(text)
		if err != nil || !meant || got != want {
			t.Errorf("ParseReference(%q) = %+v, %v, %v", text, got, meant, err)
		}
	}
	r := Reference{Kind: ParameterReference, Name: "/a", Version: "3"}
	secure, _, err := ParseReference(r.Secure())
	if r.Kind = SecureReference; err != nil || secure != r {
		t.Errorf("Secure() reads as %+v, %v", secure, err)
	}
}
