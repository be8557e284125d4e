// Command set-access-point-routes is the Lambda function that makes regions of
// an S3 Multi-Region Access Point active and passive.
package main

import (
	"dr-orchestrator/internal/accesspoint"
	"dr-orchestrator/internal/function"
)

func main() { function.Start(accesspoint.NewSetting) }
