// Package resolve replaces the references of a StatePayload by what they stand
// for: CloudFormation exports and SSM parameters, of the region of the run.
//
// All references of a payload are resolved before anything is done, so that a
// name that does not exist stops the run while nothing has been touched.
// Secrets are an exception: what passes through a state machine can be read in
// its history, so a reference to a secret is checked and stays. The function
// that uses the secret resolves it with Reader at the moment of use.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secrettypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"dr-orchestrator/internal/payload"
)

// Exports lists CloudFormation exports; *cloudformation.Client is one.
type Exports interface {
	ListExports(context.Context, *cloudformation.ListExportsInput, ...func(*cloudformation.Options)) (*cloudformation.ListExportsOutput, error)
}

// Parameters gets SSM parameters; *ssm.Client is one.
type Parameters interface {
	GetParameters(context.Context, *ssm.GetParametersInput, ...func(*ssm.Options)) (*ssm.GetParametersOutput, error)
}

// Secrets describes secrets without reading them; *secretsmanager.Client is one.
type Secrets interface {
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
}

// Resolver resolves references in one region, which the clients must be of.
// A client is called only if a reference needs it.
type Resolver struct {
	Region     string
	Exports    Exports
	Parameters Parameters
	Secrets    Secrets
}

// use is one parameter whose value is a reference.
type use struct {
	resource  *payload.Resource
	parameter string
	value     payload.Value
	reference payload.Reference
}

// Resolve replaces the references in the document. An SSM parameter that turns
// out to be a SecureString becomes a {{resolve:ssm-secure:...}} reference, so
// that everyone after can see that it is secret. The problems name every
// reference that could not be had, and the document is unchanged if there are
// any; the error says that AWS could not be asked.
func (r Resolver) Resolve(ctx context.Context, doc *payload.Document) (payload.Problems, error) {
	uses, problems := collect(doc)
	refs := references(uses)
	a := answers{texts: map[payload.Reference]string{}, missing: map[payload.Reference]issue{}}
	if err := r.imports(ctx, refs, a); err != nil {
		return nil, err
	}
	if err := r.parameters(ctx, refs, a); err != nil {
		return nil, err
	}
	if err := r.secrets(ctx, refs, a); err != nil {
		return nil, err
	}
	for _, u := range uses {
		if m, ok := a.missing[u.reference]; ok {
			problems = append(problems, u.problem(m.message, m.want))
			continue
		}
		text := a.texts[u.reference]
		// One step only: a chain would need its own checks at every link.
		if _, meant, _ := payload.ParseReference(text); meant && text != u.reference.Secure() {
			problems = append(problems, u.problem("it stands for another reference", "a reference to a plain value"))
		}
	}
	if len(problems) > 0 {
		return problems, nil
	}
	for _, u := range uses {
		if text, ok := a.texts[u.reference]; ok {
			v := u.value
			v.Text, v.Reference = text, u.value.Text
			u.resource.Parameters[u.parameter] = v
		}
	}
	return nil, nil
}

// answers is what AWS said: the new text of each reference that is replaced,
// and the references that cannot be had. A secret that is there is in neither.
type answers struct {
	texts   map[payload.Reference]string
	missing map[payload.Reference]issue
}

// issue is why a reference cannot be had.
type issue struct{ message, want string }

func (u use) problem(message, want string) payload.Problem {
	return payload.Problem{
		Pointer: u.value.Pointer,
		Value:   strconv.Quote(u.value.Text),
		Message: u.parameter + ": " + message,
		Want:    want,
	}
}

// collect finds the references, in the order of the document.
func collect(doc *payload.Document) ([]use, payload.Problems) {
	var uses []use
	var problems payload.Problems
	for i := range doc.Layers {
		for j := range doc.Layers[i].Resources {
			resource := &doc.Layers[i].Resources[j]
			for _, name := range slices.Sorted(maps.Keys(resource.Parameters)) {
				v := resource.Parameters[name]
				ref, meant, err := payload.ParseReference(v.Text)
				u := use{resource, name, v, ref}
				switch {
				case err != nil:
					problems = append(problems, u.problem(err.Error(), payload.ReferenceForms))
				case meant:
					uses = append(uses, u)
				}
			}
		}
	}
	return uses, problems
}

// references lists each reference once.
func references(uses []use) []payload.Reference {
	var refs []payload.Reference
	seen := map[payload.Reference]bool{}
	for _, u := range uses {
		if !seen[u.reference] {
			seen[u.reference] = true
			refs = append(refs, u.reference)
		}
	}
	return refs
}

func ofKind(refs []payload.Reference, kinds ...payload.Kind) []payload.Reference {
	var some []payload.Reference
	for _, ref := range refs {
		if slices.Contains(kinds, ref.Kind) {
			some = append(some, ref)
		}
	}
	return some
}

// imports looks the exports up in one pass over the pages, since there is no
// call that gets one export.
func (r Resolver) imports(ctx context.Context, refs []payload.Reference, a answers) error {
	refs = ofKind(refs, payload.ImportReference)
	if len(refs) == 0 {
		return nil
	}
	exports := map[string]string{}
	seen := map[string]bool{}
	in := &cloudformation.ListExportsInput{}
	for {
		out, err := r.Exports.ListExports(ctx, in)
		if err != nil {
			return fmt.Errorf("list the CloudFormation exports of %s: %w", r.Region, err)
		}
		for _, e := range out.Exports {
			exports[aws.ToString(e.Name)] = aws.ToString(e.Value)
		}
		token := aws.ToString(out.NextToken)
		if token == "" {
			break
		}
		if seen[token] {
			return fmt.Errorf("list the CloudFormation exports of %s: the same page came twice", r.Region)
		}
		seen[token] = true
		in = &cloudformation.ListExportsInput{NextToken: out.NextToken}
	}
	names := slices.Sorted(maps.Keys(exports))
	for _, ref := range refs {
		value, ok := exports[ref.Name]
		if ok {
			a.texts[ref] = value
			continue
		}
		want := fmt.Sprintf("one of the %d exports of %s", len(names), r.Region)
		if near := payload.Nearest(ref.Name, names); near != "" {
			want += "; did you mean " + near + "?"
		}
		a.missing[ref] = issue{fmt.Sprintf("there is no CloudFormation export %q in %s", ref.Name, r.Region), want}
	}
	return nil
}

// batchSize is the most names that GetParameters takes.
const batchSize = 10

// parameters gets the SSM parameters. Decryption is not asked for: the type
// is all that is wanted of a SecureString.
func (r Resolver) parameters(ctx context.Context, refs []payload.Reference, a answers) error {
	refs = ofKind(refs, payload.ParameterReference, payload.SecureReference)
	// The same parameter as ssm and as ssm-secure is one name, and AWS refuses
	// a name that comes twice.
	var names []string
	byName := map[string][]payload.Reference{}
	for _, ref := range refs {
		name := selector(ref)
		if byName[name] == nil {
			names = append(names, name)
		}
		byName[name] = append(byName[name], ref)
	}
	for batch := range slices.Chunk(names, batchSize) {
		out, err := r.Parameters.GetParameters(ctx, &ssm.GetParametersInput{Names: batch, WithDecryption: aws.Bool(false)})
		if err != nil {
			return fmt.Errorf("get the SSM parameters %s in %s: %w", strings.Join(batch, ", "), r.Region, err)
		}
		for _, name := range batch {
			for _, ref := range byName[name] {
				i := slices.IndexFunc(out.Parameters, func(p ssmtypes.Parameter) bool { return isFor(p, ref) })
				if i < 0 {
					a.missing[ref] = issue{
						fmt.Sprintf("there is no SSM parameter %q in %s", name, r.Region),
						"a parameter of this region: parameters are not copied to other regions",
					}
					continue
				}
				p := out.Parameters[i]
				switch {
				case ref.IsSecret():
				case p.Type == ssmtypes.ParameterTypeSecureString:
					a.texts[ref] = ref.Secure()
				default:
					a.texts[ref] = aws.ToString(p.Value)
				}
			}
		}
	}
	return nil
}

// selector is the parameter as the SSM API names it.
func selector(ref payload.Reference) string {
	if ref.Version == "" {
		return ref.Name
	}
	return ref.Name + ":" + ref.Version
}

// isFor says whether a parameter is the one that was asked for. The answer
// has the name without version or label, which is in Selector, with a colon
// before it.
func isFor(p ssmtypes.Parameter, ref payload.Reference) bool {
	if aws.ToString(p.Name) != ref.Name && aws.ToString(p.ARN) != ref.Name {
		return false
	}
	given := aws.ToString(p.Selector)
	given = given[strings.LastIndexByte(given, ':')+1:]
	return given == ref.Version || given == "" && strconv.FormatInt(p.Version, 10) == ref.Version
}

// secrets checks that the secrets exist and have the version that is asked for.
func (r Resolver) secrets(ctx context.Context, refs []payload.Reference, a answers) error {
	described := map[string]*secretsmanager.DescribeSecretOutput{}
	for _, ref := range ofKind(refs, payload.SecretsManagerReference) {
		out, asked := described[ref.Name]
		if !asked {
			var err error
			out, err = r.Secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String(ref.Name)})
			if _, absent := errors.AsType[*secrettypes.ResourceNotFoundException](err); absent {
				out = nil
			} else if err != nil {
				return fmt.Errorf("describe the secret %s in %s: %w", ref.Name, r.Region, err)
			}
			described[ref.Name] = out
		}
		if message := r.fault(out, ref); message != "" {
			a.missing[ref] = issue{message, "a secret of this region, or one replicated to it"}
		}
	}
	return nil
}

func (r Resolver) fault(secret *secretsmanager.DescribeSecretOutput, ref payload.Reference) string {
	switch {
	case secret == nil:
		return fmt.Sprintf("there is no secret %q in %s", ref.Name, r.Region)
	case secret.DeletedDate != nil:
		return fmt.Sprintf("the secret %q in %s is scheduled for deletion", ref.Name, r.Region)
	case ref.Version != "":
		if _, ok := secret.VersionIdsToStages[ref.Version]; !ok {
			return fmt.Sprintf("the secret %q in %s has no version %q", ref.Name, r.Region, ref.Version)
		}
		return ""
	}
	stage := ref.Stage
	if stage == "" {
		stage = "AWSCURRENT"
	}
	for _, stages := range secret.VersionIdsToStages {
		if slices.Contains(stages, stage) {
			return ""
		}
	}
	return fmt.Sprintf("the secret %q in %s has no version with the stage %q", ref.Name, r.Region, stage)
}
