// Command failover-global-cluster is the Lambda function that fails an Aurora global
// database over when its primary is lost.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/globalcluster"
)

func main() { function.Start(globalcluster.NewFailover) }
