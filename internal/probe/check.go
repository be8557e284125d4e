package probe

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/payload"
)

// CheckParameters are the parameters of CheckEndpoint.
type CheckParameters struct {
	URL                    string `param:"required" format:"probe-url" doc:"What to ask: https://..., http://... or tcp://HOST:PORT."`
	ExpectStatus           int    `min:"100" max:"599" default:"200" doc:"HTTP status of a working application."`
	BodyContains           string `doc:"Text that the body must hold."`
	MaxLatencyMilliseconds int    `min:"1" max:"15000" doc:"The longest that one probe may take."`
	MinCertificateDays     *int   `min:"0" max:"3650" doc:"Days for which the server's certificate must still be valid. That it is valid now is always asked for."`
	FollowRedirects        bool   `doc:"Whether to go where a redirect leads. Without it a redirect is an answer like any other."`
	Successes              int    `min:"1" max:"100" default:"3" doc:"How many probes in a row must succeed."`
	IntervalSeconds        int    `min:"1" max:"300" default:"5" doc:"Seconds between two probes."`
}

// Check finds parameters that contradict each other.
func (p CheckParameters) Check() []payload.Issue {
	var issues []payload.Issue
	bad := func(parameter, message string) {
		issues = append(issues, payload.Issue{Parameter: parameter, Message: message, Want: "https://, or leave it out"})
	}
	if p.MinCertificateDays != nil && !strings.HasPrefix(p.URL, "https://") {
		bad("MinCertificateDays", "there is no certificate without https")
	}
	if strings.HasPrefix(p.URL, "tcp://") && (p.BodyContains != "" || p.FollowRedirects) {
		bad("URL", "a TCP connection has no body and no redirects")
	}
	return issues
}

// Check waits until an endpoint answers as it should, several times in a row.
// It changes nothing and never fails by itself: an endpoint that does not
// recover runs into the time limit of its entry, which tells the last result.
type Check struct {
	Way client.Outside
	Now func() time.Time // measures latencies
}

// NewCheck wires the action to the network.
func NewCheck(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[CheckParameters]{Reconciler: Check{Way: f.Outside(), Now: now}, Secrets: secrets, Now: now, ReadOnly: true}
}

// decide says what one more result makes of a row of successes.
func decide(r result, passes, want int) (action.Decision, int) {
	if r.why != "" {
		return action.Wait(action.StateReady, "failing", "%s", r.why), 0
	}
	passes++
	if passes < want {
		return action.Wait(action.StateReady, "passing", "%d of %d probes in a row have succeeded", passes, want), passes
	}
	return action.Finish("working", "%d probes in a row have succeeded", passes), passes
}

// Preflight probes once, for information: what is to be recovered need not
// work before.
func (a Check) Preflight(ctx context.Context, req action.Request[CheckParameters]) (action.Readiness, error) {
	r := once(ctx, a.Way, req.Parameters, a.Now)
	message := "the endpoint works now"
	if r.why != "" {
		message = "the endpoint does not work now: " + r.why
	}
	return action.Readiness{Observed: action.StateReady, Evidence: r.evidence(0), Findings: []action.Finding{{Verdict: action.VerdictReady, Message: message}}}, nil
}

// Reconcile makes one probe.
func (a Check) Reconcile(ctx context.Context, req action.Request[CheckParameters]) (action.Progress, error) {
	p := req.Parameters
	r := once(ctx, a.Way, p, a.Now)
	interval := time.Duration(p.IntervalSeconds) * time.Second
	d, passes := decide(r, req.Streak(interval), p.Successes)
	progress, err := d.Progress(action.Asked{}, r.evidence(passes))
	progress.WaitSeconds = p.IntervalSeconds
	progress.Memo = req.StreakNote(passes)
	return progress, err
}
