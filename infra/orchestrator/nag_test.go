package orchestrator

import (
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"
)

func addNag(app awscdk.App) {
	awscdk.Aspects_Of(app).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{
		Verbose: jsii.Bool(true), Reports: jsii.Bool(false),
	}), nil)
}

// Findings do not fail a synthesis, so they are looked for here.
func TestNoFindings(t *testing.T) {
	for _, name := range []string{"plain", "full"} {
		for side, stack := range synthesized(t, name).stacks {
			found := assertions.Annotations_FromStack(stack)
			pattern := assertions.Match_StringLikeRegexp(jsii.String(".*"))
			for _, m := range *found.FindError(jsii.String("*"), pattern) {
				t.Errorf("%s/%s: %s", name, side, text(m))
			}
			for _, m := range *found.FindWarning(jsii.String("*"), pattern) {
				t.Errorf("%s/%s: %s", name, side, text(m))
			}
		}
	}
}
