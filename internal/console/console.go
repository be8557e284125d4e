// Package console writes links into the AWS console, for whoever reads a
// message on a phone and has no terminal there.
package console

import "strings"

// domains are the consoles of partitions other than the commercial one.
var domains = map[string]string{"aws-cn": "amazonaws.cn", "aws-us-gov": "amazonaws-us-gov.com"}

// Execution is the page of an execution of a state machine, by its ARN; empty:
// that is none.
func Execution(arn string) string { return page(arn, "execution", "#/v2/executions/details/") }

// Machine is the page of a state machine, by its ARN, with or without an alias;
// empty: that is none. It lists the executions, and another is started there.
func Machine(arn string) string { return page(arn, "stateMachine", "#/statemachines/view/") }

func page(arn, kind, view string) string {
	parts := strings.Split(arn, ":")
	if len(parts) < 7 || parts[0] != "arn" || parts[2] != "states" || parts[5] != kind {
		return ""
	}
	if kind == "stateMachine" {
		arn = strings.Join(parts[:7], ":")
	}
	domain, ok := domains[parts[1]]
	if !ok {
		domain = "aws.amazon.com"
	}
	return "https://" + parts[3] + ".console." + domain + "/states/home?region=" + parts[3] + view + arn
}
