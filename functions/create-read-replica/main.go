// Command create-read-replica is the Lambda function that creates an RDS read replica on the way back.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/replica"
)

func main() { function.Start(replica.NewCreation) }
