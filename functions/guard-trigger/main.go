// Command guard-trigger is the Lambda function that decides whether an event
// starts a run.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/guard"
	"dr-orchestrator/internal/run"
)

func main() { function.Main(run.Deployed(guard.New)) }
