// Command set-health-check is the Lambda function that forces a Route 53 health
// check to a state, or lets go of it.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/healthcheck"
)

func main() { function.Start(healthcheck.NewSetting) }
