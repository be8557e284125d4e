// Command check-endpoint is the Lambda function that probes an endpoint of an
// application until it answers as it should.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/probe"
)

func main() { function.Start(probe.NewCheck) }
