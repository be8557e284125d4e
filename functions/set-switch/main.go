// Command set-switch is the Lambda function that flips a CloudWatch alarm which
// a Route 53 health check watches.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/healthcheck"
)

func main() { function.Start(healthcheck.NewSwitching) }
