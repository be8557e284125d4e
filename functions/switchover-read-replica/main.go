// Command switchover-read-replica is the Lambda function that switches an RDS for Oracle database over to its replica.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/replica"
)

func main() { function.Start(replica.NewSwitchover) }
