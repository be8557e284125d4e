package resolve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"

	"dr-orchestrator/internal/payload"
)

// ParameterReader gets one SSM parameter; *ssm.Client is one.
type ParameterReader interface {
	GetParameter(context.Context, *ssm.GetParameterInput, ...func(*ssm.Options)) (*ssm.GetParameterOutput, error)
}

// SecretReader reads one secret; *secretsmanager.Client is one.
type SecretReader interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// Reader reads secrets at the moment of use.
type Reader struct {
	Parameters ParameterReader
	Secrets    SecretReader
}

// Replace replaces every string of a JSON value that is a reference to a secret
// by the secret, and returns the secrets so that the caller can redact them
// (see Redact) from all that it says. A value without such references comes
// back as it is. No error contains a secret.
func (r *Reader) Replace(ctx context.Context, parameters json.RawMessage) (json.RawMessage, []string, error) {
	decoder := json.NewDecoder(bytes.NewReader(parameters))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, nil, fmt.Errorf("decode the parameters: %w", err)
	}
	s := &substitution{reader: r, known: map[payload.Reference]string{}}
	value, err := s.replace(ctx, value)
	if err != nil {
		return nil, nil, err
	}
	if len(s.known) == 0 {
		return parameters, nil, nil
	}
	out, err := json.Marshal(value)
	if err != nil {
		return nil, nil, errors.New("encode the parameters with their secrets")
	}
	return out, s.secrets, nil
}

// substitution is one call of Replace.
type substitution struct {
	reader  *Reader
	known   map[payload.Reference]string
	secrets []string
}

func (s *substitution) replace(ctx context.Context, value any) (any, error) {
	var err error
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) { // the order of calls is to be the same every time
			if v[name], err = s.replace(ctx, v[name]); err != nil {
				return nil, err
			}
		}
	case []any:
		for i := range v {
			if v[i], err = s.replace(ctx, v[i]); err != nil {
				return nil, err
			}
		}
	case string:
		return s.text(ctx, v)
	}
	return value, nil
}

func (s *substitution) text(ctx context.Context, text string) (string, error) {
	ref, meant, err := payload.ParseReference(text)
	if err != nil {
		return "", fmt.Errorf("%q: %w", text, err)
	}
	if !meant {
		return text, nil
	}
	if secret, ok := s.known[ref]; ok {
		return secret, nil
	}
	var secret string
	switch ref.Kind {
	// A plain ssm reference that is still there is a SecureString, too.
	case payload.ParameterReference, payload.SecureReference:
		secret, err = s.reader.parameter(ctx, ref)
	case payload.SecretsManagerReference:
		secret, err = s.reader.secret(ctx, ref)
	default:
		err = errors.New("this reference should have been resolved before")
	}
	if err == nil && secret == "" {
		err = errors.New("the secret is empty")
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", text, err)
	}
	s.known[ref] = secret
	s.secrets = append(s.secrets, secret)
	return secret, nil
}

func (r *Reader) parameter(ctx context.Context, ref payload.Reference) (string, error) {
	out, err := r.Parameters.GetParameter(ctx, &ssm.GetParameterInput{
		Name:           aws.String(selector(ref)),
		WithDecryption: aws.Bool(true),
	})
	if err != nil {
		return "", fmt.Errorf("get the parameter: %w", withoutAnswer(err))
	}
	if out.Parameter == nil {
		return "", errors.New("the parameter has no value")
	}
	return aws.ToString(out.Parameter.Value), nil
}

func (r *Reader) secret(ctx context.Context, ref payload.Reference) (string, error) {
	in := &secretsmanager.GetSecretValueInput{SecretId: aws.String(ref.Name)}
	if ref.Stage != "" {
		in.VersionStage = aws.String(ref.Stage)
	}
	if ref.Version != "" {
		in.VersionId = aws.String(ref.Version)
	}
	out, err := r.Secrets.GetSecretValue(ctx, in)
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", withoutAnswer(err))
	}
	if out.SecretString == nil {
		return "", errors.New("the secret is binary, not text")
	}
	if ref.Key == "" {
		return *out.SecretString, nil
	}
	// The errors of encoding/json quote their input, which is the secret here.
	var keys map[string]json.RawMessage
	if json.Unmarshal([]byte(*out.SecretString), &keys) != nil {
		return "", errors.New("the secret is not a JSON object, so it has no keys")
	}
	value, ok := keys[ref.Key]
	if !ok {
		return "", errors.New("the secret has no such key")
	}
	var text string
	if json.Unmarshal(value, &text) == nil && string(value) != "null" {
		return text, nil
	}
	var number json.Number
	if json.Unmarshal(value, &number) == nil && number != "" {
		return number.String(), nil
	}
	return "", errors.New("the value under this key is neither text nor a number")
}

// withoutAnswer drops an error that holds the answer of AWS: one that could not
// be decoded may hold the secret.
func withoutAnswer(err error) error {
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		return errors.New("the answer could not be decoded")
	}
	return err
}
