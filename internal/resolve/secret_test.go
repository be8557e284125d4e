package resolve

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

const password = `p"<wörd>\1`

// fakeReader is both services; it keeps what was asked for.
type fakeReader struct {
	asked []string
	err   error
}

func (f *fakeReader) GetParameter(_ context.Context, in *ssm.GetParameterInput, _ ...func(*ssm.Options)) (*ssm.GetParameterOutput, error) {
	f.asked = append(f.asked, *in.Name)
	if f.err != nil {
		return nil, f.err
	}
	if !aws.ToBool(in.WithDecryption) {
		return nil, errors.New("still encrypted")
	}
	if *in.Name == "/none" {
		return &ssm.GetParameterOutput{}, nil
	}
	return &ssm.GetParameterOutput{Parameter: &ssmtypes.Parameter{Value: aws.String(password)}}, nil
}

func (f *fakeReader) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	f.asked = append(f.asked, strings.Join([]string{*in.SecretId, aws.ToString(in.VersionStage), aws.ToString(in.VersionId)}, "/"))
	if f.err != nil {
		return nil, f.err
	}
	values := map[string]string{
		"plain": "hunter22",
		"json":  `{"user":"admin","password":"hunter22","pin":1234567890123,"more":{"hunter22":1},"none":null,"empty":""}`,
		"empty": "",
	}
	if v, ok := values[*in.SecretId]; ok {
		return &secretsmanager.GetSecretValueOutput{SecretString: &v}, nil
	}
	return &secretsmanager.GetSecretValueOutput{SecretBinary: []byte{1}}, nil
}

func TestReplace(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string
		secrets, asked []string
	}{
		{"nothing to do", `{"A": "plain",  "N": 12345678901234567890}`, `{"A": "plain",  "N": 12345678901234567890}`, nil, nil},
		{"parameter", `{"A":"{{resolve:ssm-secure:/db:3}}"}`, `{"A":"p\"\u003cwörd\u003e\\1"}`, []string{password}, []string{"/db:3"}},
		{"parameter not marked as secure", `{"A":"resolve:ssm:/db"}`, `{"A":"p\"\u003cwörd\u003e\\1"}`, []string{password}, []string{"/db"}},
		{"whole secret", `{"A":"{{resolve:secretsmanager:plain}}"}`, `{"A":"hunter22"}`, []string{"hunter22"}, []string{"plain//"}},
		{"key, stage", `{"A":"{{resolve:secretsmanager:json:SecretString:user:AWSPREVIOUS}}"}`, `{"A":"admin"}`, []string{"admin"}, []string{"json/AWSPREVIOUS/"}},
		{"number, version", `{"A":"{{resolve:secretsmanager:json::pin::v1}}"}`, `{"A":"1234567890123"}`, []string{"1234567890123"}, []string{"json//v1"}},
		{
			"in lists and objects, each read once",
			`{"A":["x","{{resolve:secretsmanager:plain}}"],"B":{"C":"{{resolve:secretsmanager:plain}}"},"N":12345678901234567890,"Z":null}`,
			`{"A":["x","hunter22"],"B":{"C":"hunter22"},"N":12345678901234567890,"Z":null}`,
			[]string{"hunter22"}, []string{"plain//"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeReader{}
			got, secrets, err := (&Reader{f, f}).Replace(t.Context(), json.RawMessage(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if diff := cmp.Diff(tt.secrets, secrets); diff != "" {
				t.Errorf("secrets (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.asked, f.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReplaceErrorsHoldNoSecret(t *testing.T) {
	refused := &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "no"}
	broken := &smithy.OperationError{Err: &smithy.DeserializationError{Err: errors.New("bad hunter22"), Snapshot: []byte("hunter22")}}
	for _, tt := range []struct {
		name, in, want string
		err            error
	}{
		{"no key in text", `{"A":"{{resolve:secretsmanager:plain::password}}"}`, "not a JSON object", nil},
		{"no such key", `{"A":"{{resolve:secretsmanager:json::passwd}}"}`, "no such key", nil},
		{"object under the key", `{"A":"{{resolve:secretsmanager:json::more}}"}`, "neither text nor a number", nil},
		{"null under the key", `{"A":"{{resolve:secretsmanager:json::none}}"}`, "neither text nor a number", nil},
		{"empty under the key", `{"A":"{{resolve:secretsmanager:json::empty}}"}`, "is empty", nil},
		{"empty", `{"A":"{{resolve:secretsmanager:empty}}"}`, "is empty", nil},
		{"binary", `{"A":"{{resolve:secretsmanager:binary}}"}`, "binary", nil},
		{"no parameter", `{"A":"{{resolve:ssm-secure:/none}}"}`, "no value", nil},
		{"refused parameter", `{"A":"{{resolve:ssm-secure:/db}}"}`, "AccessDenied", refused},
		{"refused secret", `{"A":"{{resolve:secretsmanager:json}}"}`, "AccessDenied", refused},
		{"answer not understood", `{"A":"{{resolve:secretsmanager:json}}"}`, "could not be decoded", broken},
		{"unresolved import", `{"A":"!Import x"}`, "resolved before", nil},
		{"not the whole value", `{"A":"x{{resolve:secretsmanager:plain}}"}`, "whole value", nil},
		{"later failure", `{"A":["{{resolve:secretsmanager:plain}}","{{resolve:secretsmanager:empty}}"]}`, "is empty", nil},
		{"not JSON", `{"A"`, "decode the parameters", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeReader{err: tt.err}
			got, secrets, err := (&Reader{f, f}).Replace(t.Context(), json.RawMessage(tt.in))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter22") {
				t.Errorf("the error holds the secret: %v", err)
			}
			if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
				t.Error("the error wraps the answer")
			}
			if tt.err == refused && !errors.Is(err, refused) {
				t.Errorf("the class of %v is lost", err)
			}
			if got != nil || secrets != nil {
				t.Errorf("got %s, %v beside an error", got, secrets)
			}
		})
	}
}

func TestRedact(t *testing.T) {
	nested, _ := json.Marshal(map[string]string{"cause": `{"Password":` + jsonQuote(password) + `,"pin":"abc"}`})
	for _, tt := range []struct {
		name, in, want string
		secrets        []string
	}{
		{"no secrets", `{"a":"b"}`, `{"a":"b"}`, nil},
		{"empty secret", `{"a":""}`, `{"a":""}`, []string{""}},
		{"JSON string", `{"a":"say hunter22 twice: hunter22","b": 1}`, `{"a":"say [secret] twice: [secret]","b": 1}`, []string{"hunter22"}},
		{"plain text", `failed with hunter22!`, `failed with [secret]!`, []string{"hunter22"}},
		{"any escape", `{"a":"\u0068unter22"}`, `{"a":"[secret]"}`, []string{"hunter22"}},
		{"escaped", `{"a":"p\"\u003cwörd\u003e\\1","b":"p\"<wörd>\\1"}`, `{"a":"[secret]","b":"[secret]"}`, []string{password}},
		{"JSON in JSON", string(nested), `{"cause":"{\"Password\":\"[secret]\",\"pin\":\"[secret]\"}"}`, []string{password, "abc"}},
		{"escaped in text", `log: "p\"\u003cwörd\u003e\\1" and "p\"<wörd>\\1"`, `log: "[secret]" and "[secret]"`, []string{password}},
		{"key", `{"hunter22":1}`, `{"[secret]":1}`, []string{"hunter22"}},
		{"number", `{"pin":12345678,"n":-1.5e3}`, `{"pin":"[secret]","n":-1.5e3}`, []string{"12345678"}},
		{"escape before it", `{"a":"\nabcd"}`, `{"a":"\nabcd"}`, []string{"nabcd"}},
		{"overlapping", `{"a":"abcdefgh"}`, `{"a":"[secret]"}`, []string{"abcd", "bcdefgh"}},
		{"one in the other", `{"a":"hunter22hunter"}`, `{"a":"[secret]"}`, []string{"hunter", "hunter22"}},
		{"short, whole string", `{"a":"abc","b":"abcd","c":"xabc abc"}`, `{"a":"[secret]","b":"abcd","c":"xabc abc"}`, []string{"abc"}},
		{"short, in text", `abc "abc" "abcd"`, `abc "[secret]" "abcd"`, []string{"abc"}},
		{"short, number", `{"a":123}`, `{"a":123}`, []string{"123"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := Redact([]byte(tt.in), tt.secrets)
			if string(got) != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func FuzzRedact(f *testing.F) {
	f.Add(`{"a":"hunter22 \\ \" \u00e9","b":[1.5e3,"x"]}`, "hunter22")
	f.Add(`{"a":"{\"b\":\"p\\\"q\\\\rs\"}"}`, `p"q\rs`)
	f.Add(`"[secret]" hunter22`, "secret")
	f.Fuzz(func(t *testing.T, text, secret string) {
		got := Redact([]byte(text), []string{secret})
		if json.Valid([]byte(text)) && !json.Valid(got) {
			t.Errorf("%q became %q, which is not JSON", text, got)
		}
	})
}
