package lab

import (
	"context"

	"dr-orchestrator/internal/guard"
)

// SetEndpoint says whether something answers at an address. Of an address that
// nothing was said about nobody knows.
func (a *Account) SetEndpoint(at string, answers bool) { a.endpoints[at] = answers }

// prober probes the endpoints of the account.
type prober struct{ account *Account }

// Probe tells what SetEndpoint said.
func (p prober) Probe(_ context.Context, at string) guard.Answer {
	answers, known := p.account.endpoints[at]
	switch {
	case !known:
		return guard.Answer{Told: at + ": no such host"}
	case answers:
		return guard.Answer{Answered: true, Told: at + " answers"}
	}
	return guard.Answer{Silent: true, Told: at + " does not answer"}
}
