// Command failover-replication-group is the Lambda function that fails an ElastiCache
// global datastore over.
package main

import (
	"dr-orchestrator/internal/cachegroup"
	"dr-orchestrator/internal/function"
)

func main() { function.Start(cachegroup.NewFailover) }
