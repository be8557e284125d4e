package probe

import (
	"cmp"
	"net/http"

	"dr-orchestrator/internal/payload"
)

// Gate are the parameters of an action that moves traffic only while something
// answers. What the probe wants bears the names that CheckEndpoint has for it.
type Gate struct {
	Probe                  string `format:"probe-url" doc:"What must answer while traffic moves: https://HOST/PATH, http://HOST/PATH or tcp://HOST:PORT. If it does not, traffic goes back."`
	ExpectStatus           int    `min:"100" max:"599" doc:"HTTP status that the probe wants. Without it, 200."`
	BodyContains           string `doc:"Text that the body must hold."`
	MaxLatencyMilliseconds int    `min:"1" max:"15000" doc:"The longest that one probe may take."`
	MinCertificateDays     *int   `min:"0" max:"3650" doc:"Days for which the server's certificate must still be valid. That it is valid now is always asked for."`
	FollowRedirects        bool   `doc:"Whether the probe goes where a redirect leads. Without it a redirect is an answer like any other."`
}

// Wants is what must answer, and how.
func (g Gate) Wants() CheckParameters {
	return CheckParameters{URL: g.Probe, ExpectStatus: cmp.Or(g.ExpectStatus, http.StatusOK), BodyContains: g.BodyContains,
		MaxLatencyMilliseconds: g.MaxLatencyMilliseconds, MinCertificateDays: g.MinCertificateDays, FollowRedirects: g.FollowRedirects}
}

// Issues finds what contradicts itself.
func (g Gate) Issues() []payload.Issue {
	if g.Probe == "" {
		if g.Wants() == (Gate{}).Wants() {
			return nil
		}
		return []payload.Issue{{Parameter: "Probe", Message: "what a probe wants is said, and there is none", Want: "https://HOST/PATH, http://HOST/PATH or tcp://HOST:PORT"}}
	}
	issues := g.Wants().Check()
	for i, issue := range issues {
		if issue.Parameter == "URL" {
			issues[i].Parameter = "Probe"
		}
	}
	return issues
}
