// Package probe asks an application from outside whether it works.
package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
)

// timeLimit is how long one probe may take, redirects included.
const timeLimit = 15 * time.Second

// mostRedirects is how many redirects one probe follows where it may.
const mostRedirects = 5

// mostBody is how much of a body is searched for a text, in bytes.
const mostBody = 256 << 10

// result is what one probe found. Why is empty where all was as it should be.
type result struct {
	why     string
	status  int           // of HTTP; 0: no answer
	latency time.Duration // until the end of the body, or until connected
	expiry  time.Time     // of the server's own certificate; zero: none was shown
}

// once makes one probe. Every failure of the endpoint is a result, and none is
// an error: that it does not work yet is what a check waits for.
func once(ctx context.Context, way client.Outside, p CheckParameters, now func() time.Time) result {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	begun := now()
	var r result
	if address, ok := strings.CutPrefix(p.URL, "tcp://"); ok {
		if err := way.Dial(ctx, address); err != nil {
			r.why = "no connection: " + err.Error()
		}
	} else {
		r = fetch(ctx, way, p)
	}
	r.latency = now().Sub(begun)
	if r.why == "" {
		r.why = judge(r, p, now())
	}
	return r
}

// Prober asks endpoints as a CheckEndpoint does, once.
type Prober struct {
	Way client.Outside
	Now func() time.Time
}

// Probe makes one probe. An error says what is wrong with the endpoint.
func (p Prober) Probe(ctx context.Context, want CheckParameters) error {
	if r := once(ctx, p.Way, want, p.Now); r.why != "" {
		return errors.New(r.why)
	}
	return nil
}

// judge compares what was measured with what was asked for.
func judge(r result, p CheckParameters, now time.Time) string {
	if limit := time.Duration(p.MaxLatencyMilliseconds) * time.Millisecond; limit > 0 && r.latency > limit {
		return fmt.Sprintf("the answer took %d ms, at most %d are asked for", r.latency.Milliseconds(), limit.Milliseconds())
	}
	if p.MinCertificateDays == nil {
		return ""
	}
	switch left := r.expiry.Sub(now); {
	case r.expiry.IsZero():
		return "no certificate was shown"
	case left < time.Duration(*p.MinCertificateDays)*24*time.Hour:
		return fmt.Sprintf("the certificate ends at %s, %d days from then are asked for", r.expiry.UTC().Format(time.RFC3339), *p.MinCertificateDays)
	}
	return ""
}

// fetch asks over HTTP. The certificate is verified by the client: an answer
// over https is one with a valid certificate.
func fetch(ctx context.Context, way client.Outside, p CheckParameters) result {
	target := p.URL
	for range mostRedirects + 1 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			return result{why: err.Error()}
		}
		req.Header.Set("User-Agent", "dr-orchestrator")
		answer, err := way.Do(req)
		if err != nil {
			return result{why: "no answer: " + err.Error()}
		}
		r := result{status: answer.StatusCode}
		if answer.TLS != nil && len(answer.TLS.PeerCertificates) > 0 {
			r.expiry = answer.TLS.PeerCertificates[0].NotAfter
		}
		body, err := io.ReadAll(io.LimitReader(answer.Body, mostBody))
		answer.Body.Close()
		next := ""
		if p.FollowRedirects && answer.StatusCode/100 == 3 {
			next = answer.Header.Get("Location")
		}
		switch {
		case err != nil:
			r.why = "the answer broke off: " + err.Error()
		case next != "":
			if target, r.why = redirect(req.URL, next); r.why == "" {
				continue
			}
		case answer.StatusCode != p.ExpectStatus:
			r.why = fmt.Sprintf("the status is %d, %d is asked for", answer.StatusCode, p.ExpectStatus)
		case !strings.Contains(string(body), p.BodyContains):
			r.why = fmt.Sprintf("the body does not hold the text asked for, in its first %d bytes", mostBody)
		}
		return r
	}
	return result{why: fmt.Sprintf("more than %d redirects", mostRedirects)}
}

// redirect gives the address of a Location header. From https to http it does
// not go: the certificate of the first would vouch for the second.
func redirect(from *url.URL, location string) (target, why string) {
	to, err := from.Parse(location)
	switch {
	case err != nil:
		return "", "the redirect cannot be read: " + err.Error()
	case to.Scheme != "https" && to.Scheme != from.Scheme:
		return "", "the redirect leads from " + from.Scheme + " to " + to.Scheme
	}
	return to.String(), ""
}

func (r result) evidence(passes int) action.Evidence {
	e := action.Evidence{"latencyMilliseconds": r.latency.Milliseconds(), "successes": passes}
	if r.status != 0 {
		e["status"] = r.status
	}
	if !r.expiry.IsZero() {
		e["certificateExpiry"] = r.expiry.UTC().Format(time.RFC3339)
	}
	if r.why != "" {
		e["failure"] = r.why
	}
	return e
}
