// Command set-event-source is the Lambda function that turns event source
// mappings of Lambda functions on and off.
package main

import (
	"dr-orchestrator/internal/eventsource"
	"dr-orchestrator/internal/function"
)

func main() { function.Start(eventsource.NewSetting) }
