// Command check-replica-lag is the Lambda function that checks how far a replica is behind.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/lagcheck"
)

func main() { function.Start(lagcheck.New) }
