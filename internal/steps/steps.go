// Package steps lists every function that is no action: the steps of a run,
// and those that only rules call.
package steps

import (
	"maps"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/guard"
	"dr-orchestrator/internal/planwatch"
	"dr-orchestrator/internal/run"
)

// New makes a function.
type New = func(*client.Factory, run.Environment, func() time.Time) lambda.Handler

// The functions that no machine calls, beside statemachine.CloseRun.
const (
	GuardTrigger = "guard-trigger" // decides about triggers
	CheckPlans   = "check-plans"   // has the stored payloads planned
)

// All is every function that is no action, by its folder.
var All = func() map[string]New {
	all := map[string]New{GuardTrigger: guard.New, CheckPlans: planwatch.New}
	maps.Copy(all, run.Steps)
	return all
}()
