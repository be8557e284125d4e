// Package statemachine holds the definition that is deployed, run by the lab
// and read by tests: the same bytes for all of them.
package statemachine

import (
	_ "embed"
	"fmt"
	"strings"
)

// Definition is the Amazon States Language definition, with ${Name} where a
// deployment puts its own values.
//
//go:embed orchestrator.asl.json
var Definition string

// Step functions that the definition calls by name. The key is the name of
// the substitution, the value the function's folder.
var Steps = map[string]string{
	"PrepareRun":      "prepare-run",
	"RecordReadiness": "record-readiness",
	"RequestApproval": "request-approval",
	"SetLocks":        "set-locks",
	"RecordLayer":     "record-layer",
	"RecordReport":    "record-report",
}

// CloseRun is the step that no definition calls: a machine that was stopped
// runs no state, so a rule on the end of executions calls it.
const CloseRun = "close-run"

// Render puts the names of a deployment into the definition. machine is
// failover or failback; prefix begins the name of every function.
func Render(machine, prefix string) string {
	pairs := []string{"${Machine}", machine}
	for name, function := range Steps {
		pairs = append(pairs, fmt.Sprintf("${%s}", name), prefix+function)
	}
	return strings.NewReplacer(pairs...).Replace(Definition)
}
