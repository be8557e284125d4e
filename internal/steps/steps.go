// Package steps lists every function that is no action: the steps of a run,
// and those that only rules call.
package steps

import (
	"maps"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/guard"
	"dr-orchestrator/internal/run"
)

// New makes a function.
type New = func(*client.Factory, run.Environment, func() time.Time) lambda.Handler

// GuardTrigger is the function that decides about triggers.
const GuardTrigger = "guard-trigger"

// All is every function that is no action, by its folder.
var All = func() map[string]New {
	all := map[string]New{GuardTrigger: guard.New}
	maps.Copy(all, run.Steps)
	return all
}()
