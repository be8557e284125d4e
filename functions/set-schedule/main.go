// Command set-schedule is the Lambda function that turns EventBridge rules and
// schedules on and off.
package main

import (
	"dr-orchestrator/internal/function"
	"dr-orchestrator/internal/schedule"
)

func main() { function.Start(schedule.NewSetting) }
