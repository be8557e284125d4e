// Command check-health is the Lambda function that waits for alarms and target
// groups to be well.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/healthcheck"
)

func main() { function.Start(healthcheck.NewCheck) }
