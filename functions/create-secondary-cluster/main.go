// Command create-secondary-cluster is the Lambda function that gives an Aurora cluster a secondary again after a failover.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/globalcluster"
)

func main() { function.Start(globalcluster.NewSecondary) }
