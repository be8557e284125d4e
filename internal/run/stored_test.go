package run

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/resolve"
)

// parameters is SSM in memory.
type parameters struct {
	values map[string]string
	err    error
}

func (p parameters) GetParameters(_ context.Context, in *ssm.GetParametersInput, _ ...func(*ssm.Options)) (*ssm.GetParametersOutput, error) {
	out := &ssm.GetParametersOutput{}
	for _, name := range in.Names {
		if v, ok := p.values[name]; ok {
			out.Parameters = append(out.Parameters, types.Parameter{Name: aws.String(name), Value: aws.String(v)})
		}
	}
	return out, p.err
}

const onePromotion = `{"layer":1,"resources":[{"resourceType":"PromoteRDSReadReplica","resourceName":"orders","parameters":{"RDSInstanceIdentifier":"orders","TargetClusterIdentifier":"arn:aws:rds:us-west-2:111122223333:db:orders"}}]}`

func TestStoredPayload(t *testing.T) {
	plain := `{"StatePayload":[` + onePromotion + `]}`
	withOptions := `{"StatePayload":[` + onePromotion + `],"Options":{"Mode":"plan","TimeLimitSeconds":"60"}}`
	for _, tt := range []struct {
		name, input     string
		bucket, systems string // what is stored as "orders"
		source, mode    string
		problem         string
	}{
		{"in the bucket", `{"Payload":"orders"}`, plain, "", "s3://runs-bucket/payloads/orders.json", "run", ""},
		{"in SSM", `{"Payload":"orders"}`, "", plain, "ssm:/dr-orchestrator/payloads/orders", "run", ""},
		{"in both", `{"Payload":"orders"}`, plain, withOptions, "s3://runs-bucket/payloads/orders.json", "run", ""},
		{"with options of its own", `{"Payload":"orders"}`, withOptions, "", "s3://runs-bucket/payloads/orders.json", "plan", ""},
		{"with other options", `{"Payload":"orders","Options":{"Mode":"run"}}`, withOptions, "", "s3://runs-bucket/payloads/orders.json", "run", ""},
		{"with more options", `{"Payload":"orders","Options":{"Mode":"plan"}}`, plain, "", "s3://runs-bucket/payloads/orders.json", "plan", ""},

		{"nowhere", `{"Payload":"orders"}`, "", "", "", "", "there is no stored payload of this name"},
		{"no name", `{"Payload":"../orders"}`, plain, "", "", "", "this is no name"},
		{"another form", `{"Payload":["orders"]}`, plain, "", "", "", "not of the right form"},
		{"something else beside it", `{"Payload":"orders","Mode":"plan"}`, plain, "", "", "", "not of the right form"},
		{"wrong options", `{"Payload":"orders","Options":{"Mode":"perhaps"}}`, plain, "", "", "", "Mode"},
		{"a wrong document", `{"Payload":"orders"}`, `{"StatePayload":[]}`, "", "", "", "StatePayload is empty"},
		{"a wrong document and options", `{"Payload":"orders","Options":{"Mode":"plan"}}`, `{"StatePayload":[],"Mode":1}`, "", "", "", "no field"},
		{"a pointer to a pointer", `{"Payload":"orders"}`, `{"Payload":"orders"}`, "", "", "", "StatePayload"},
		{"both at once", `{"Payload":"orders","StatePayload":[` + onePromotion + `]}`, plain, "", "", "", `no field`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, systems := newBucket(), parameters{values: map[string]string{}}
			if tt.bucket != "" {
				b.objects["payloads/orders.json"] = []byte(tt.bucket)
			}
			if tt.systems != "" {
				systems.values["/dr-orchestrator/payloads/orders"] = tt.systems
			}
			p := Preparer{Store: Store{S3: b, Bucket: "runs-bucket"}, FunctionPrefix: "dr-orchestrator-",
				Resolver:   func(string) Resolver { return resolve.Resolver{} },
				Parameters: func(string) resolve.Parameters { return systems }}
			in := PrepareInput{Input: json.RawMessage(tt.input), Machine: "failover"}
			in.Execution.ID, in.Execution.Name, in.Execution.StartTime = planOf().Run.Execution, "run-1", started
			got, err := p.Prepare(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			plan := document[Plan](t, b, documents+docPlan)
			if tt.problem != "" {
				if got.Decision != "rejected" || !strings.Contains(got.Cause, tt.problem) {
					t.Errorf("%s: %s, want the problem %q", got.Decision, got.Cause, tt.problem)
				}
				return
			}
			if got.Decision != "go" || plan.Source != tt.source || plan.Mode != tt.mode || len(plan.Layers) != 1 {
				t.Errorf("%s from %q, mode %s: %s, want from %q, mode %s", got.Decision, plan.Source, plan.Mode, got.Cause, tt.source, tt.mode)
			}
		})
	}
	t.Run("no answer", func(t *testing.T) {
		b := newBucket()
		p := Preparer{Store: Store{S3: b, Bucket: "runs-bucket"}, Parameters: func(string) resolve.Parameters { return parameters{err: coded("Throttling")} }}
		in := PrepareInput{Input: json.RawMessage(`{"Payload":"orders"}`), Machine: "failover"}
		in.Execution.ID, in.Execution.Name, in.Execution.StartTime = planOf().Run.Execution, "run-1", started
		if _, err := p.Prepare(t.Context(), in); action.ClassOf(err) != action.Throttled {
			t.Errorf("SSM: %v", err)
		}
		b.errs["payloads/orders.json"] = coded("InternalError")
		if _, err := p.Prepare(t.Context(), in); action.ClassOf(err) != action.Unreachable {
			t.Errorf("S3: %v", err)
		}
	})
}
