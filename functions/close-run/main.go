// Command close-run is the Lambda function that closes a run whose machine was
// stopped.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/run"
)

func main() { function.Main(run.Deployed(run.NewClose)) }
