// Command fence-old-primary is the Lambda function that keeps an old primary from taking writes.
package main

import (
	"dr-orchestrator/internal/fence"
	"dr-orchestrator/internal/function"
)

func main() { function.Start(fence.New) }
