// Command set-locks is the Lambda function that locks and unlocks the resources
// of a run.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/run"
)

func main() { function.Main(run.Deployed(run.NewSetLocks)) }
