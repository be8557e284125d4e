// Command swap-dns is the Lambda function that changes Route 53 records.
package main

import (
	"dr-orchestrator/internal/dnsrecord"
	"dr-orchestrator/internal/function"
)

func main() { function.Start(dnsrecord.NewSwap) }
