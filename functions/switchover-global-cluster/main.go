// Command switchover-global-cluster is the Lambda function that switches an Aurora global
// database over to a secondary cluster.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/globalcluster"
)

func main() { function.Start(globalcluster.NewSwitchover) }
