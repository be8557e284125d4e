// Command check-plans is the Lambda function that has the stored payloads
// planned.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/planwatch"
	"dr-orchestrator/internal/run"
)

func main() { function.Main(run.Deployed(planwatch.New)) }
