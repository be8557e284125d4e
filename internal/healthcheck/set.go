package healthcheck

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	r53types "github.com/aws/aws-sdk-go-v2/service/route53/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
)

// SetParameters are the parameters of SetHealthCheck.
type SetParameters struct {
	HealthCheckId    string `param:"required" format:"health-check-id" identity:"health-check" doc:"ID of the Route 53 health check."`
	State            string `param:"required" enum:"Healthy,Unhealthy,Normal" doc:"Healthy and Unhealthy force the check to be so; Normal lets it look for itself again."`
	NormallyInverted bool   `doc:"Whether the check is inverted when it looks for itself: what it finds unhealthy counts as healthy. Normal takes an inversion away without it."`
}

// The states of SetParameters.
const (
	stateHealthy   = "Healthy"
	stateUnhealthy = "Unhealthy"
	stateNormal    = "Normal"
)

// SetAPI is every call to Route 53 that the action makes.
type SetAPI interface {
	GetHealthCheck(context.Context, *route53.GetHealthCheckInput, ...func(*route53.Options)) (*route53.GetHealthCheckOutput, error)
	UpdateHealthCheck(context.Context, *route53.UpdateHealthCheckInput, ...func(*route53.Options)) (*route53.UpdateHealthCheckOutput, error)
}

// Setting forces a health check, through the control plane of Route 53. That
// stands in us-east-1 alone: SetSwitch and SetRoutingControl need it not.
type Setting struct{ Route53 SetAPI }

// controlPlane is where Route 53 takes changes, for all regions.
const controlPlane = "us-east-1"

// NewSetting wires the action to AWS.
func NewSetting(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[SetParameters]{Reconciler: Setting{Route53: route53.NewFromConfig(f.Config(""))}, Secrets: secrets, Now: now, GivesUp: action.OnRoute53}
}

// check is what a decision needs to know of a health check.
type check struct {
	id       string
	kind     r53types.HealthCheckType
	version  int64
	disabled bool
	inverted bool
	owner    string // AWS service that made it and alone may change it; empty: none
}

// switches is what a state takes: a check that is disabled counts as healthy,
// and inverted, as unhealthy (Route 53 API reference, UpdateHealthCheck).
func (p SetParameters) switches() (disabled, inverted bool) {
	switch p.State {
	case stateHealthy:
		return true, false
	case stateUnhealthy:
		return true, true
	}
	return false, p.NormallyInverted
}

func decideSet(c check, p SetParameters, asked action.Asked) action.Decision {
	disabled, inverted := p.switches()
	switch {
	case c.owner != "":
		return action.Fail(action.Refused, action.StateUnknown, "owned", "health check %s was made by %s, which alone may change it", c.id, c.owner)
	case c.kind == r53types.HealthCheckTypeRecoveryControl:
		return action.Fail(action.Refused, action.StateUnknown, "routing control", "health check %s follows a routing control: use SetRoutingControl", c.id)
	case c.disabled == disabled && c.inverted == inverted:
		return action.Finish("set", "health check %s is %s: disabled %t, inverted %t", c.id, p.State, disabled, inverted)
	}
	if d, ok := asked.Idle(); ok {
		return d
	}
	return action.Act("setting", "health check %s has disabled %t and inverted %t, and is to be %s", c.id, c.disabled, c.inverted, p.State)
}

// lost warns of an inversion that would go, or be covered by a forced one that
// looks the same, so that nobody could tell afterwards that it was there.
func lost(c check, p SetParameters) []action.Finding {
	message := ""
	switch {
	case !c.inverted:
	case p.State == stateNormal && !p.NormallyInverted && !c.disabled:
		message = "health check " + c.id + " looks for itself and is inverted: Normal without NormallyInverted turns what it tells round"
	case p.State == stateNormal && !p.NormallyInverted:
		message = "health check " + c.id + " is inverted, which will go: say NormallyInverted if it was so before it was forced"
	case p.State != stateNormal && !c.disabled:
		message = "health check " + c.id + " is inverted when it looks for itself: the way back is Normal with NormallyInverted"
	}
	if message == "" {
		return nil
	}
	return []action.Finding{{Verdict: action.VerdictWarning, Message: message}}
}

func (a Setting) find(ctx context.Context, id string) (check, error) {
	out, err := a.Route53.GetHealthCheck(ctx, &route53.GetHealthCheckInput{HealthCheckId: aws.String(id)})
	if err != nil {
		return check{}, action.Call("reading health check "+id, err)
	}
	if out.HealthCheck == nil || out.HealthCheck.HealthCheckConfig == nil {
		return check{}, action.Errorf(action.NotFound, "Route 53 tells nothing of health check %s", id)
	}
	h := out.HealthCheck
	c := check{id: id, kind: h.HealthCheckConfig.Type, version: aws.ToInt64(h.HealthCheckVersion),
		disabled: aws.ToBool(h.HealthCheckConfig.Disabled), inverted: aws.ToBool(h.HealthCheckConfig.Inverted)}
	if h.LinkedService != nil {
		c.owner = aws.ToString(h.LinkedService.ServicePrincipal)
	}
	return c, nil
}

func (c check) evidence() action.Evidence {
	return action.Evidence{"healthCheck": c.id, "type": string(c.kind), "disabled": c.disabled, "inverted": c.inverted, "version": c.version}
}

// settings is what a check is set to: the report keeps it, as the way back.
func (c check) settings() string {
	return fmt.Sprintf("disabled %t, inverted %t", c.disabled, c.inverted)
}

// evidenceBefore is where memo and evidence have what a check was set to before
// the first call of the run.
const evidenceBefore = "before"

// Preflight tells whether the check could be set now.
func (a Setting) Preflight(ctx context.Context, req action.Request[SetParameters]) (action.Readiness, error) {
	c, err := a.find(ctx, req.Parameters.HealthCheckId)
	if err != nil {
		return action.Readiness{}, err
	}
	d := decideSet(c, req.Parameters, action.Asked{Now: req.Now})
	ready := action.Readiness{Observed: d.State, Evidence: c.evidence(), Findings: d.Findings()}
	if d.Move == action.MoveAct {
		ready.Findings = append(ready.Findings, lost(c, req.Parameters)...)
	}
	if req.Run.Region != controlPlane && d.Move == action.MoveAct {
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning,
			Message: "Route 53 takes changes in " + controlPlane + ", and this run is in " + req.Run.Region + ": it depends on both"})
	}
	return ready, nil
}

// Reconcile sets the check as it was just seen: a version that has changed
// since is answered with HealthCheckVersionMismatch, and looked at again.
func (a Setting) Reconcile(ctx context.Context, req action.Request[SetParameters]) (action.Progress, error) {
	c, err := a.find(ctx, req.Parameters.HealthCheckId)
	if err != nil {
		return action.Progress{}, err
	}
	asked := req.Asked("")
	d := decideSet(c, req.Parameters, asked)
	evidence, was := c.evidence(), req.Drive.Memo[evidenceBefore]
	if was == "" && d.Move == action.MoveAct {
		was = c.settings()
	}
	if was != "" {
		evidence[evidenceBefore] = was
		if d.Move == action.MoveFinish {
			d.Reason += "; before this run: " + was
		}
	}
	progress, err := d.Progress(asked, evidence)
	if err != nil || d.Move != action.MoveAct {
		return progress, err
	}
	progress.Memo[evidenceBefore] = was
	disabled, inverted := req.Parameters.switches()
	_, err = a.Route53.UpdateHealthCheck(ctx, &route53.UpdateHealthCheckInput{
		HealthCheckId: aws.String(c.id), HealthCheckVersion: aws.Int64(c.version), Disabled: aws.Bool(disabled), Inverted: aws.Bool(inverted),
	})
	progress.Message, progress.WaitSeconds = "asked to be "+req.Parameters.State, 1 // it shows at once
	return action.Sent(req, progress, action.Mutation("setting health check "+c.id, err))
}
