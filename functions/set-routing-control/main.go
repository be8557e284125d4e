// Command set-routing-control is the Lambda function that turns ARC routing
// controls on and off.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/routingcontrol"
)

func main() { function.Start(routingcontrol.NewSetting) }
