package orchestrator

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/regioninfo"
	"github.com/aws/jsii-runtime-go"

	"dr-orchestrator/infra/config"
	_ "dr-orchestrator/infra/node" // before jsii
)

// NewApp makes an app without stacks. Flags stand here and not in cdk.json, so
// that tests see the templates that are deployed.
func NewApp(outdir string) awscdk.App {
	props := &awscdk.AppProps{
		AnalyticsReporting: jsii.Bool(false), TreeMetadata: jsii.Bool(false),
		Context: &map[string]any{
			"@aws-cdk/core:enablePartitionLiterals":     true,
			"@aws-cdk/core:validateAgainstDefaultRules": true,
		},
	}
	if outdir != "" {
		props.Outdir = jsii.String(outdir)
	}
	return awscdk.NewApp(props)
}

// AddStacks makes both stacks.
func AddStacks(app awscdk.App, c *config.Config, build string) (primary, secondary awscdk.Stack) {
	return NewStack(app, "primary", c, c.Primary, build), NewStack(app, "secondary", c, c.Secondary, build)
}

// NewStack makes the stack of one side, with nothing of the other in it.
func NewStack(app awscdk.App, side string, c *config.Config, region config.Region, build string) awscdk.Stack {
	tags := map[string]*string{}
	for name, value := range c.Tags {
		tags[name] = jsii.String(value)
	}
	props := &awscdk.StackProps{
		Description:           jsii.String("Disaster recovery orchestrator"),
		Env:                   &awscdk.Environment{Account: jsii.String(c.Account), Region: jsii.String(region.Name)},
		TerminationProtection: jsii.Bool(true),
		Tags:                  &tags,
	}
	if b := c.PermissionsBoundary; b != "" {
		props.PermissionsBoundary = boundary(b)
	}
	stack := awscdk.NewStack(app, jsii.String(c.Prefix+"-"+side), props)
	for _, name := range slices.Sorted(maps.Keys(c.Tags)) {
		// In the template, too, so that a review of it sees them.
		awscdk.Tags_Of(stack).Add(jsii.String(name), jsii.String(c.Tags[name]), nil)
	}
	New(stack, c, region, build)
	return stack
}

// Regions lists the regions that AWS has, as this version of CDK knows them.
func Regions() []string {
	var names []string
	for _, r := range *regioninfo.RegionInfo_Regions() {
		names = append(names, *r.Name())
	}
	return names
}

func boundary(nameOrARN string) awscdk.PermissionsBoundary {
	if strings.HasPrefix(nameOrARN, "arn:") {
		return awscdk.PermissionsBoundary_FromArn(jsii.String(nameOrARN))
	}
	return awscdk.PermissionsBoundary_FromName(jsii.String(nameOrARN))
}
