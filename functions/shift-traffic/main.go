// Command shift-traffic is the Lambda function that moves traffic between weighted Route 53 records.
package main

import (
	"dr-orchestrator/internal/dnsrecord"
	"dr-orchestrator/internal/function"
)

func main() { function.Start(dnsrecord.NewShift) }
