// Command stacks does with the deployed stacks what the CDK command line does
// not: it looks whether an execution runs, sets the stack policy, and takes
// the termination protection away before a removal.
//
//	stacks [-config FILE] [-side primary|secondary] idle|seal|unprotect
//
// idle ends with 1 while an execution of either machine runs, and also where
// that cannot be learned. A stack that does not exist is idle.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"dr-orchestrator/infra/config"
	"dr-orchestrator/internal/catalog"
)

// machineAPI is every call to Step Functions that this command makes.
type machineAPI interface {
	ListExecutions(context.Context, *sfn.ListExecutionsInput, ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error)
	ListStateMachines(context.Context, *sfn.ListStateMachinesInput, ...func(*sfn.Options)) (*sfn.ListStateMachinesOutput, error)
}

// stackAPI is every call to CloudFormation that it makes.
type stackAPI interface {
	SetStackPolicy(context.Context, *cloudformation.SetStackPolicyInput, ...func(*cloudformation.Options)) (*cloudformation.SetStackPolicyOutput, error)
	UpdateTerminationProtection(context.Context, *cloudformation.UpdateTerminationProtectionInput, ...func(*cloudformation.Options)) (*cloudformation.UpdateTerminationProtectionOutput, error)
}

// target is a stack with the clients of its region.
type target struct {
	prefix, side, region string
	machines             machineAPI
	stacks               stackAPI
}

func (t target) stack() string { return t.prefix + "-" + t.side }

//go:embed stack-policy.json
var stackPolicy string

func main() {
	path := flag.String("config", "config.yaml", "the configuration `file`")
	side := flag.String("side", "", "primary or secondary; both without it")
	flag.Parse()
	if err := run(context.Background(), *path, *side, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path, side, command string) error {
	do, ok := map[string]func(target, context.Context) error{"idle": target.idle, "seal": target.seal, "unprotect": target.unprotect}[command]
	if !ok || side != "" && side != "primary" && side != "secondary" {
		return fmt.Errorf("want idle, seal or unprotect, and -side primary or secondary, or none")
	}
	c, err := config.Read(path)
	if err != nil {
		return err
	}
	if err := checkAccount(ctx, c); err != nil {
		return err
	}
	var problems []error
	for name, region := range map[string]config.Region{"primary": c.Primary, "secondary": c.Secondary} {
		if side != "" && side != name {
			continue
		}
		cfg, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(region.Name))
		if err != nil {
			return fmt.Errorf("loading the AWS configuration: %w", err)
		}
		problems = append(problems, do(target{
			prefix: c.Prefix, side: name, region: region.Name,
			machines: sfn.NewFromConfig(cfg), stacks: cloudformation.NewFromConfig(cfg),
		}, ctx))
	}
	return errors.Join(problems...)
}

// checkAccount wants the credentials of the configured account: in another one
// there would be nothing that runs, and nothing to protect.
func checkAccount(ctx context.Context, c *config.Config) error {
	cfg, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(c.Secondary.Name))
	if err != nil {
		return fmt.Errorf("loading the AWS configuration: %w", err)
	}
	// Asked in the secondary region, which is the one that is left in a disaster.
	identity, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return fmt.Errorf("asking whose credentials these are: %w", err)
	}
	if a := aws.ToString(identity.Account); a != c.Account {
		return fmt.Errorf("the credentials belong to account %s, and the configuration says %s", a, c.Account)
	}
	return nil
}

// idle reports every execution that runs.
func (t target) idle(ctx context.Context) error {
	arns, err := t.machineARNs(ctx)
	if err != nil {
		return fmt.Errorf("%s: whether an execution runs is not known: %w", t.region, err)
	}
	var running []error
	for _, arn := range arns {
		out, err := t.machines.ListExecutions(ctx, &sfn.ListExecutionsInput{
			StateMachineArn: aws.String(arn), StatusFilter: sfntypes.ExecutionStatusRunning,
		})
		if err != nil {
			return fmt.Errorf("%s: whether an execution runs is not known: %w", t.region, err)
		}
		for _, e := range out.Executions {
			running = append(running, fmt.Errorf("%s: an execution runs: %s", t.region, aws.ToString(e.ExecutionArn)))
		}
	}
	return errors.Join(running...)
}

// machineARNs gives the machines of the stack that are there.
func (t target) machineARNs(ctx context.Context) ([]string, error) {
	names := map[string]bool{t.prefix + "-" + catalog.Failover: true, t.prefix + "-" + catalog.Failback: true}
	var arns []string
	pages := sfn.NewListStateMachinesPaginator(t.machines, &sfn.ListStateMachinesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, m := range page.StateMachines {
			if names[aws.ToString(m.Name)] {
				arns = append(arns, aws.ToString(m.StateMachineArn))
			}
		}
	}
	return arns, nil
}

// seal keeps an update from replacing or deleting what holds data.
func (t target) seal(ctx context.Context) error {
	_, err := t.stacks.SetStackPolicy(ctx, &cloudformation.SetStackPolicyInput{
		StackName: aws.String(t.stack()), StackPolicyBody: aws.String(stackPolicy),
	})
	if err != nil {
		return fmt.Errorf("setting the stack policy of %s in %s: %w", t.stack(), t.region, err)
	}
	return nil
}

// unprotect lets the stack be deleted. One that is not there needs nothing.
func (t target) unprotect(ctx context.Context) error {
	_, err := t.stacks.UpdateTerminationProtection(ctx, &cloudformation.UpdateTerminationProtectionInput{
		StackName: aws.String(t.stack()), EnableTerminationProtection: aws.Bool(false),
	})
	if err != nil && !isAbsent(err) {
		return fmt.Errorf("taking the termination protection of %s in %s away: %w", t.stack(), t.region, err)
	}
	return nil
}

// isAbsent reports whether a stack is not there. CloudFormation has no code of
// its own for that (UpdateTerminationProtection answers ValidationError).
func isAbsent(err error) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == "ValidationError" && strings.Contains(api.ErrorMessage(), "does not exist")
}
