// Command record-readiness is the Lambda function that judges a preflight.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/run"
)

func main() { function.Main(run.Deployed(run.NewRecordReadiness)) }
