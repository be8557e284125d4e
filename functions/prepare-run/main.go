// Command prepare-run is the Lambda function that reads a payload and makes the plan.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/run"
)

func main() { function.Main(run.Deployed(run.NewPrepare)) }
