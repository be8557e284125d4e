// Command request-approval is the Lambda function that asks a person.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/run"
)

func main() { function.Main(run.Deployed(run.NewRequestApproval)) }
