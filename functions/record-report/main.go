// Command record-report is the Lambda function that writes the report of a run.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/run"
)

func main() { function.Main(run.Deployed(run.NewRecordReport)) }
