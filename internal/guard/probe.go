package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

// Prober looks whether something answers. Answered and silent exclude each
// other; neither is true of what could not be looked at.
type Prober interface {
	Probe(ctx context.Context, at string) Answer
}

// Answer is what a probe came to.
type Answer struct {
	Answered bool
	Silent   bool // it does not answer, or says itself that it cannot serve
	Told     string
}

// probeTime is how long a probe waits.
const probeTime = 5 * time.Second

// Network probes over the network that the function stands in.
type Network struct{}

// Probe asks once. A server's own error (5xx) counts as silence; any other
// answer, a redirect or a refusal among them, says that somebody is there.
func (Network) Probe(ctx context.Context, at string) Answer {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	u, err := url.Parse(at)
	if err != nil {
		return Answer{Told: at + ": " + err.Error()}
	}
	dialer := &net.Dialer{}
	if u.Scheme == "tcp" {
		conn, err := dialer.DialContext(ctx, "tcp", u.Host)
		if err != nil {
			return failed(at, err)
		}
		conn.Close()
		return Answer{Answered: true, Told: at + " takes connections"}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return Answer{Told: at + ": " + err.Error()}
	}
	client := http.Client{
		Transport:     &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return failed(at, err)
	}
	response.Body.Close()
	told := fmt.Sprintf("%s answers with %d", at, response.StatusCode)
	return Answer{Answered: response.StatusCode < 500, Silent: response.StatusCode >= 500, Told: told}
}

// failed judges a probe without an answer: no connection, or silence after it,
// is what a dead endpoint looks like. A name that nobody resolves, a network
// without a way there and a wrong certificate say something else.
func failed(at string, err error) Answer {
	var dns *net.DNSError
	var network net.Error
	var op *net.OpError
	told := at + ": " + reason(err)
	switch {
	case errors.As(err, &dns), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return Answer{Told: told}
	case errors.As(err, &op) && (op.Op == "dial" || op.Op == "read"), errors.As(err, &network) && network.Timeout(), errors.Is(err, io.EOF):
		return Answer{Silent: true, Told: told}
	}
	return Answer{Told: told}
}

// reason is what went wrong, without the request in front of it.
func reason(err error) string {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer within " + short(probeTime)
	}
	return err.Error()
}
