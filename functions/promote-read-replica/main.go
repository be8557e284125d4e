// Command promote-read-replica is the Lambda function that promotes an RDS read replica.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/replica"
)

func main() { function.Start(replica.NewPromotion) }
