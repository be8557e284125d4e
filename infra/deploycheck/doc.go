// Package deploycheck deploys both regions into a simulated account, with the
// CDK command line that a real deployment uses, and reads back what is there.
// Its test needs tools written in Python and is run by `make deploy-check`.
package deploycheck
