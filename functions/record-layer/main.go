// Command record-layer is the Lambda function that judges a layer.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/run"
)

func main() { function.Main(run.Deployed(run.NewRecordLayer)) }
