package resolve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secrettypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/payload"
)

// fakeExports answers one export per page.
type fakeExports struct {
	exports [][2]string
	calls   int
	err     error
	loop    bool
}

func (f *fakeExports) ListExports(_ context.Context, in *cloudformation.ListExportsInput, _ ...func(*cloudformation.Options)) (*cloudformation.ListExportsOutput, error) {
	f.calls++
	if f.err != nil {
		return nil, f.err
	}
	page := 0
	if in.NextToken != nil {
		if _, err := fmt.Sscan(*in.NextToken, &page); err != nil {
			return nil, err
		}
	}
	out := &cloudformation.ListExportsOutput{}
	if page < len(f.exports) {
		e := f.exports[page]
		out.Exports = []cfntypes.Export{{Name: aws.String(e[0]), Value: aws.String(e[1])}}
	}
	if page+1 < len(f.exports) {
		out.NextToken = aws.String(fmt.Sprint(page + 1))
	}
	if f.loop {
		out.NextToken = aws.String("0")
	}
	return out, nil
}

// fakeParameters knows parameters by the name that is asked for, and answers
// in another order than asked.
type fakeParameters struct {
	parameters map[string]ssmtypes.Parameter
	batches    []int
	err        error
}

func (f *fakeParameters) GetParameters(_ context.Context, in *ssm.GetParametersInput, _ ...func(*ssm.Options)) (*ssm.GetParametersOutput, error) {
	f.batches = append(f.batches, len(in.Names))
	if f.err != nil {
		return nil, f.err
	}
	if aws.ToBool(in.WithDecryption) {
		return nil, errors.New("nobody may decrypt here")
	}
	out := &ssm.GetParametersOutput{}
	for _, name := range slices.Backward(in.Names) {
		if p, ok := f.parameters[name]; ok {
			out.Parameters = append(out.Parameters, p)
		} else {
			out.InvalidParameters = append(out.InvalidParameters, name)
		}
	}
	return out, nil
}

func parameter(name, value string) ssmtypes.Parameter {
	return ssmtypes.Parameter{Name: aws.String(name), Value: aws.String(value), Type: ssmtypes.ParameterTypeString, Version: 1}
}

type fakeSecrets struct {
	secrets map[string]*secretsmanager.DescribeSecretOutput
	calls   int
	err     error
}

func (f *fakeSecrets) DescribeSecret(_ context.Context, in *secretsmanager.DescribeSecretInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error) {
	f.calls++
	if f.err != nil {
		return nil, f.err
	}
	if s, ok := f.secrets[*in.SecretId]; ok {
		return s, nil
	}
	return nil, &secrettypes.ResourceNotFoundException{}
}

// document has one resource per text, with the text as its parameter P.
func document(texts ...string) *payload.Document {
	layer := payload.Layer{Number: 1}
	for i, text := range texts {
		pointer := fmt.Sprintf("/StatePayload/0/resources/%d", i)
		layer.Resources = append(layer.Resources, payload.Resource{
			Type: "T", Name: "n", Layer: 1, Pointer: pointer,
			Parameters: map[string]payload.Value{"P": {Text: text, Pointer: pointer + "/parameters/P"}},
		})
	}
	return &payload.Document{Layers: []payload.Layer{layer}}
}

func texts(doc *payload.Document) []string {
	var list []string
	for _, r := range doc.Layers[0].Resources {
		list = append(list, r.Parameters["P"].Text)
	}
	return list
}

func fakes() (*fakeExports, *fakeParameters, *fakeSecrets) {
	secure := parameter("/db/password", "cipher")
	secure.Type = ssmtypes.ParameterTypeSecureString
	third := parameter("/size", "db.r6g.large")
	third.Version, third.Selector = 3, aws.String(":3")
	labelled := parameter("/size", "db.r6g.xlarge")
	labelled.Version, labelled.Selector = 7, aws.String("/size:big")
	shared := parameter("/shared", "from elsewhere")
	shared.ARN = aws.String("arn:aws:ssm:us-west-2:123456789012:parameter/shared")
	return &fakeExports{exports: [][2]string{{"vpc", "vpc-1"}, {"orders-db", "orders"}, {"chain", "!Import vpc"}, {"region", "us-west-2"}}},
		&fakeParameters{parameters: map[string]ssmtypes.Parameter{
			"/size": parameter("/size", "db.t3.small"), "/size:3": third, "/size:big": labelled,
			"/db/password": secure, *shared.ARN: shared,
		}},
		&fakeSecrets{secrets: map[string]*secretsmanager.DescribeSecretOutput{
			"db":    {VersionIdsToStages: map[string][]string{"v2": {"AWSCURRENT"}, "v1": {"AWSPREVIOUS"}}},
			"gone":  {DeletedDate: aws.Time(time.Unix(0, 0)), VersionIdsToStages: map[string][]string{"v1": {"AWSCURRENT"}}},
			"empty": {},
			"arn:aws:secretsmanager:us-west-2:123456789012:secret:db-AbCdEf": {VersionIdsToStages: map[string][]string{"v2": {"AWSCURRENT"}}},
		}}
}

func TestResolve(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"plain", "orders", "orders"},
		{"export on a later page", "!Import orders-db", "orders"},
		{"export on the last page", " !Import   region ", "us-west-2"},
		{"parameter", "{{resolve:ssm:/size}}", "db.t3.small"},
		{"parameter without braces", "resolve:ssm:/size", "db.t3.small"},
		{"parameter version", "resolve:ssm:/size:3", "db.r6g.large"},
		{"parameter label", "{{resolve:ssm:/size:big}}", "db.r6g.xlarge"},
		{"parameter by ARN", "{{resolve:ssm:arn:aws:ssm:us-west-2:123456789012:parameter/shared}}", "from elsewhere"},
		{"SecureString stays, and says so", "resolve:ssm:/db/password", "{{resolve:ssm-secure:/db/password}}"},
		{"ssm-secure stays", "{{resolve:ssm-secure:/db/password}}", "{{resolve:ssm-secure:/db/password}}"},
		{"secret stays", "{{resolve:secretsmanager:db}}", "{{resolve:secretsmanager:db}}"},
		{"secret key", "{{resolve:secretsmanager:db:SecretString:password}}", "{{resolve:secretsmanager:db:SecretString:password}}"},
		{"secret stage", "{{resolve:secretsmanager:db::password:AWSPREVIOUS}}", "{{resolve:secretsmanager:db::password:AWSPREVIOUS}}"},
		{"secret version", "{{resolve:secretsmanager:db:SecretString:::v1}}", "{{resolve:secretsmanager:db:SecretString:::v1}}"},
		{"secret by ARN", "{{resolve:secretsmanager:arn:aws:secretsmanager:us-west-2:123456789012:secret:db-AbCdEf:SecretString:user}}", "{{resolve:secretsmanager:arn:aws:secretsmanager:us-west-2:123456789012:secret:db-AbCdEf:SecretString:user}}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			exports, parameters, secrets := fakes()
			doc := document(tt.text)
			problems, err := Resolver{"us-west-2", exports, parameters, secrets}.Resolve(t.Context(), doc)
			if err != nil || len(problems) > 0 {
				t.Fatalf("Resolve: %v, %v", problems, err)
			}
			v := doc.Layers[0].Resources[0].Parameters["P"]
			if v.Text != tt.want {
				t.Errorf("text = %q, want %q", v.Text, tt.want)
			}
			if changed := v.Text != tt.text; changed && v.Reference != tt.text || !changed && v.Reference != "" {
				t.Errorf("reference = %q", v.Reference)
			}
		})
	}
}

func TestResolveReportsAllProblemsTogether(t *testing.T) {
	for _, tt := range []struct{ name, text, message, want string }{
		{"export", "!Import order-db", `P: there is no CloudFormation export "order-db" in us-west-2`, "did you mean orders-db?"},
		{"export unlike any", "!Import something-else-entirely", "no CloudFormation export", "one of the 4 exports of us-west-2"},
		{"export that is a reference", "!Import chain", "another reference", "plain value"},
		{"parameter", "resolve:ssm:/sizes", `P: there is no SSM parameter "/sizes" in us-west-2`, "not copied to other regions"},
		{"parameter version", "{{resolve:ssm:/size:9}}", `"/size:9"`, ""},
		{"secure parameter", "{{resolve:ssm-secure:/none}}", `"/none"`, ""},
		{"secret", "{{resolve:secretsmanager:none}}", `P: there is no secret "none" in us-west-2`, "replicated"},
		{"secret being deleted", "{{resolve:secretsmanager:gone}}", "scheduled for deletion", ""},
		{"secret without a value", "{{resolve:secretsmanager:empty}}", `"AWSCURRENT"`, ""},
		{"secret stage", "{{resolve:secretsmanager:db:SecretString:k:NEXT}}", `"NEXT"`, ""},
		{"secret version", "{{resolve:secretsmanager:db:SecretString:k::v9}}", `no version "v9"`, ""},
		{"not the whole value", "prefix-{{resolve:ssm:/size}}", "must be the whole value", "!Import NAME"},
		{"malformed", "!Import", "needs the name", "!Import NAME"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			exports, parameters, secrets := fakes()
			r := Resolver{"us-west-2", exports, parameters, secrets}
			doc := document("!Import vpc", tt.text, "!Import absent-1", "resolve:ssm:absent-2", "{{resolve:secretsmanager:absent-3}}")
			before := texts(doc)
			problems, err := r.Resolve(t.Context(), doc)
			if err != nil {
				t.Fatal(err)
			}
			if len(problems) != 4 {
				t.Fatalf("%d problems, want the three others and this one: %v", len(problems), problems)
			}
			i := slices.IndexFunc(problems, func(p payload.Problem) bool {
				return p.Pointer == "/StatePayload/0/resources/1/parameters/P"
			})
			if i < 0 {
				t.Fatalf("no problem at the parameter: %v", problems)
			}
			if p := problems[i]; !strings.Contains(p.Message, tt.message) || !strings.Contains(p.Want, tt.want) {
				t.Errorf("problem %v, want %q and %q", p, tt.message, tt.want)
			}
			if diff := cmp.Diff(before, texts(doc)); diff != "" {
				t.Errorf("the document was changed:\n%s", diff)
			}
		})
	}
}

func TestResolveCallsOnlyWhatItNeeds(t *testing.T) {
	many := []string{"resolve:ssm:/p0", "{{resolve:ssm:/p0}}", "{{resolve:ssm-secure:/p0}}"}
	for i := range 23 {
		many = append(many, fmt.Sprintf("resolve:ssm:/p%d", i))
	}
	for _, tt := range []struct {
		name             string
		texts            []string
		exports, secrets int
		batches          []int
	}{
		{"no references", []string{"a", "b"}, 0, 0, nil},
		{"one pass for all exports", []string{"!Import vpc", "!Import vpc", "!Import orders-db"}, 4, 0, nil},
		{"batches of ten, each name once", many, 0, 0, []int{10, 10, 3}},
		{"each secret once", []string{"{{resolve:secretsmanager:db}}", "{{resolve:secretsmanager:db::k}}", "{{resolve:secretsmanager:no}}", "{{resolve:secretsmanager:no::k}}"}, 0, 2, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			exports, parameters, secrets := fakes()
			for i := range 23 {
				name := fmt.Sprintf("/p%d", i)
				parameters.parameters[name] = parameter(name, fmt.Sprint(i))
			}
			doc := document(tt.texts...)
			if _, err := (Resolver{"us-west-2", exports, parameters, secrets}).Resolve(t.Context(), doc); err != nil {
				t.Fatal(err)
			}
			if exports.calls != tt.exports || secrets.calls != tt.secrets {
				t.Errorf("%d ListExports and %d DescribeSecret, want %d and %d", exports.calls, secrets.calls, tt.exports, tt.secrets)
			}
			if diff := cmp.Diff(tt.batches, parameters.batches); diff != "" {
				t.Errorf("batches (-want +got):\n%s", diff)
			}
			if len(tt.batches) > 0 && texts(doc)[25] != "22" {
				t.Errorf("the last parameter is %q", texts(doc)[25])
			}
		})
	}
}

func TestResolveFailsWhenAWSFails(t *testing.T) {
	broken := errors.New("no route to host")
	for _, tt := range []struct {
		name, text, want string
		breakIt          func(*fakeExports, *fakeParameters, *fakeSecrets)
	}{
		{"exports", "!Import vpc", "exports of us-west-2", func(e *fakeExports, _ *fakeParameters, _ *fakeSecrets) { e.err = broken }},
		{"parameters", "resolve:ssm:/size", "/size in us-west-2", func(_ *fakeExports, p *fakeParameters, _ *fakeSecrets) { p.err = broken }},
		{"secrets", "{{resolve:secretsmanager:db}}", "secret db in us-west-2", func(_ *fakeExports, _ *fakeParameters, s *fakeSecrets) { s.err = broken }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			exports, parameters, secrets := fakes()
			tt.breakIt(exports, parameters, secrets)
			doc := document(tt.text)
			problems, err := Resolver{"us-west-2", exports, parameters, secrets}.Resolve(t.Context(), doc)
			if !errors.Is(err, broken) || !strings.Contains(err.Error(), tt.want) || problems != nil {
				t.Errorf("Resolve = %v, %v", problems, err)
			}
			if got := texts(doc)[0]; got != tt.text {
				t.Errorf("the document was changed to %q", got)
			}
		})
	}
	t.Run("pages that never end", func(t *testing.T) {
		exports, parameters, secrets := fakes()
		exports.loop = true
		_, err := Resolver{"us-west-2", exports, parameters, secrets}.Resolve(t.Context(), document("!Import vpc"))
		if err == nil || !strings.Contains(err.Error(), "the same page came twice") {
			t.Errorf("err = %v", err)
		}
	})
}
