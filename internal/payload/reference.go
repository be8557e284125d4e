package payload

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Kind is where a reference points to.
type Kind string

// The kinds of reference. Values of the first two are put into the document;
// the other two are secrets, which only the function that uses them reads.
const (
	ImportReference         Kind = "import"         // !Import NAME
	ParameterReference      Kind = "ssm"            // resolve:ssm:NAME[:VERSION], with or without {{ }}
	SecureReference         Kind = "ssm-secure"     // {{resolve:ssm-secure:NAME[:VERSION]}}
	SecretsManagerReference Kind = "secretsmanager" // {{resolve:secretsmanager:ID[:SecretString[:KEY[:STAGE[:VERSION-ID]]]]}}
)

// Reference is a parameter value that stands for a value kept in AWS. It is
// always the whole text of a parameter.
type Reference struct {
	Kind Kind
	// Name is the export, the SSM parameter (name or ARN) or the secret (name or ARN).
	Name string
	// Version is the version number or label of an SSM parameter, or the
	// version ID of a secret.
	Version string
	// Key is the key in a secret that is a JSON object, "" for the whole secret.
	Key string
	// Stage is the staging label of a secret's version, "" for AWSCURRENT
	// unless Version is given.
	Stage string
}

// IsSecret says whether the value must not appear in the document.
func (r Reference) IsSecret() bool {
	return r.Kind == SecureReference || r.Kind == SecretsManagerReference
}

// Secure is the same SSM parameter as a reference that says that it is secret.
func (r Reference) Secure() string {
	name := r.Name
	if r.Version != "" {
		name += ":" + r.Version
	}
	return "{{resolve:ssm-secure:" + name + "}}"
}

// IsReference says whether the text is a well-formed reference.
func IsReference(text string) bool {
	_, ok, err := ParseReference(text)
	return ok && err == nil
}

// IsSecretReference says whether the text is a well-formed reference to a secret.
func IsSecretReference(text string) bool {
	r, ok, err := ParseReference(text)
	return ok && err == nil && r.IsSecret()
}

// ReferenceForms describes the references for people.
const ReferenceForms = "!Import NAME, {{resolve:ssm:NAME[:VERSION]}}, {{resolve:ssm-secure:NAME[:VERSION]}} or {{resolve:secretsmanager:ID[:SecretString[:KEY[:STAGE[:VERSION-ID]]]]}}, each as the whole value"

var (
	embeddedPattern  = regexp.MustCompile(`\{\{\s*resolve:`)
	tagPattern       = regexp.MustCompile(`^![A-Za-z]`)
	exportPattern    = regexp.MustCompile(`^\S+$`)
	parameterPattern = regexp.MustCompile(`^[A-Za-z0-9_./-]+$`)
	labelPattern     = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	secretPattern    = regexp.MustCompile(`^[A-Za-z0-9/_+=.@!-]+$`)
	parameterARN     = regexp.MustCompile(`^arn:[a-z-]+:ssm:[a-z0-9-]+:[0-9]{12}:parameter/[A-Za-z0-9_./-]+$`)
	secretARN        = regexp.MustCompile(`^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]+$`)
)

// ParseReference takes a text apart. The bool says whether the text is meant as
// a reference; the error what is wrong with it then. Plain text is neither.
func ParseReference(text string) (Reference, bool, error) {
	trimmed := strings.TrimSpace(text)
	switch {
	case tagPattern.MatchString(trimmed):
		r, err := parseImport(trimmed)
		return r, true, err
	case strings.HasPrefix(trimmed, "{{") && strings.HasSuffix(trimmed, "}}") && strings.Count(trimmed, "{{") == 1:
		r, err := parseResolve(strings.TrimSpace(trimmed[2 : len(trimmed)-2]))
		return r, true, err
	case embeddedPattern.MatchString(trimmed):
		return Reference{}, true, errors.New("a reference must be the whole value, with no text before or after it")
	case strings.HasPrefix(trimmed, "resolve:"):
		r, err := parseResolve(trimmed)
		if err == nil && r.Kind != ParameterReference {
			err = errors.New("this kind of reference needs double braces: {{" + trimmed + "}}")
		}
		return r, true, err
	}
	return Reference{}, false, nil
}

func parseImport(text string) (Reference, error) {
	tag, name, _ := strings.Cut(text, " ")
	name = strings.TrimSpace(name)
	if tag != "!Import" {
		return Reference{}, fmt.Errorf("%s is not a known reference", quote(tag))
	}
	if !exportPattern.MatchString(name) {
		return Reference{}, errors.New("!Import needs the name of one CloudFormation export after a space")
	}
	return Reference{Kind: ImportReference, Name: name}, nil
}

func parseResolve(text string) (Reference, error) {
	parts := strings.Split(text, ":")
	if len(parts) < 3 || parts[0] != "resolve" {
		return Reference{}, errors.New("this is not a complete reference")
	}
	switch kind := Kind(parts[1]); kind {
	case ParameterReference, SecureReference:
		return parseParameter(kind, parts[2:])
	case SecretsManagerReference:
		return parseSecret(parts[2:])
	default:
		return Reference{}, fmt.Errorf("%s is not a known kind of reference", quote("resolve:"+parts[1]))
	}
}

// takeARN splits off an ARN, whose colons are none of the reference.
func takeARN(parts []string, colons int) (name string, rest []string) {
	n := 1
	if parts[0] == "arn" {
		n = min(colons+1, len(parts))
	}
	return strings.Join(parts[:n], ":"), parts[n:]
}

func parseParameter(kind Kind, parts []string) (Reference, error) {
	name, rest := takeARN(parts, 5)
	r := Reference{Kind: kind, Name: name}
	if !parameterPattern.MatchString(name) && !parameterARN.MatchString(name) {
		return r, fmt.Errorf("%s is not the name of an SSM parameter", quote(name))
	}
	if len(rest) > 1 || len(rest) == 1 && !labelPattern.MatchString(rest[0]) {
		return r, errors.New("after the name of an SSM parameter only :VERSION can follow")
	}
	if len(rest) == 1 {
		r.Version = rest[0]
	}
	return r, nil
}

func parseSecret(parts []string) (Reference, error) {
	name, rest := takeARN(parts, 6)
	r := Reference{Kind: SecretsManagerReference, Name: name}
	if !secretPattern.MatchString(name) && !secretARN.MatchString(name) {
		return r, fmt.Errorf("%s is not the name or ARN of a secret", quote(name))
	}
	if len(rest) > 4 {
		return r, errors.New("a secret reference has at most five parts: ID:SecretString:KEY:STAGE:VERSION-ID")
	}
	rest = append(rest, make([]string, 4-len(rest))...)
	// CloudFormation lets the second part be empty.
	if rest[0] != "" && rest[0] != "SecretString" {
		return r, fmt.Errorf("the part after the secret must be SecretString, not %s", quote(rest[0]))
	}
	r.Key, r.Stage, r.Version = rest[1], rest[2], rest[3]
	if r.Stage != "" && r.Version != "" {
		return r, errors.New("a secret reference names a stage or a version ID, not both")
	}
	return r, nil
}
