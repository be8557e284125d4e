package lab

import (
	"encoding/xml"

	"dr-orchestrator/internal/healthcheck"
)

// HealthCheck is a Route 53 health check.
type HealthCheck struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Version  int    `json:"version"`
	Disabled bool   `json:"disabled"`
	Inverted bool   `json:"inverted"`
	Owner    string `json:"owner,omitempty"` // the AWS service that made it
	// Unhealthy is what its checkers see of the endpoint.
	Unhealthy bool `json:"unhealthy,omitempty"`
}

// healthy is what a check tells DNS: a disabled one counts as healthy, and
// inversion comes after that.
func (h *HealthCheck) healthy() bool { return (h.Disabled || !h.Unhealthy) != h.Inverted }

// appCheck is the ID of the health check of each region's application.
var appCheck = map[string]string{
	"us-east-1": "0a1b2c3d-0000-4000-8000-000000000001",
	"us-west-2": "0a1b2c3d-0000-4000-8000-000000000002",
}

// addHealthChecks makes a check of each region's application, and a switch in
// each region.
func (e *Estate) addHealthChecks() {
	for _, app := range e.Apps {
		h := &HealthCheck{ID: appCheck[app.Region], Type: "HTTPS", Version: 1}
		e.HealthChecks = append(e.HealthChecks, h)
		for _, region := range e.Regions {
			e.export(region, "app-"+shortRegion[app.Region], map[string]string{"-health-check": h.ID})
		}
		e.Alarms = append(e.Alarms, &Alarm{Region: app.Region, Name: "dr-switch", State: "OK", Operator: "GreaterThanOrEqualToThreshold", Threshold: 1, Missing: "ignore",
			Metric: &Metric{Namespace: healthcheck.SwitchNamespace, Name: healthcheck.SwitchMetric, Dimensions: map[string]string{healthcheck.SwitchDimension: "dr-switch"}}})
	}
}

var healthCheckService = map[string]handler{
	"route53:GetHealthCheck":    getHealthCheck,
	"route53:UpdateHealthCheck": updateHealthCheck,
}

func (a *Account) healthCheck(id string) (*HealthCheck, error) {
	for _, h := range a.Estate.HealthChecks {
		if h.ID == id {
			return h, nil
		}
	}
	return nil, fail(404, "NoSuchHealthCheck", "No health check exists with the ID %s.", id)
}

type xmlHealthCheck struct {
	ID     string `xml:"HealthCheck>Id"`
	Caller string `xml:"HealthCheck>CallerReference"`
	Owner  string `xml:"HealthCheck>LinkedService>ServicePrincipal,omitempty"`
	Config struct {
		Type     string `xml:"Type"`
		Inverted bool   `xml:"Inverted"`
		Disabled bool   `xml:"Disabled"`
	} `xml:"HealthCheck>HealthCheckConfig"`
	Version int `xml:"HealthCheck>HealthCheckVersion"`
}

func (h *HealthCheck) xml() xmlHealthCheck {
	out := xmlHealthCheck{ID: h.ID, Caller: h.ID, Owner: h.Owner, Version: h.Version}
	out.Config.Type, out.Config.Inverted, out.Config.Disabled = h.Type, h.Inverted, h.Disabled
	return out
}

func getHealthCheck(a *Account, c *Call) (any, error) {
	h, err := a.healthCheck(c.Params.str("HealthCheckId"))
	if err != nil {
		return nil, err
	}
	if old, ok := a.before["health check "+h.ID].(*HealthCheck); ok && c.stale {
		h = old
	}
	return h.xml(), nil
}

func updateHealthCheck(a *Account, c *Call) (any, error) {
	h, err := a.healthCheck(c.Params.str("HealthCheckId"))
	if err != nil {
		return nil, err
	}
	var in struct {
		Version  *int  `xml:"HealthCheckVersion"`
		Disabled *bool `xml:"Disabled"`
		Inverted *bool `xml:"Inverted"`
	}
	if err := xml.Unmarshal(c.Body, &in); err != nil {
		return nil, fail(400, "InvalidInput", "the body is not XML: %v", err)
	}
	if in.Version != nil && *in.Version != h.Version {
		return nil, fail(409, "HealthCheckVersionMismatch", "The health check has the version %d.", h.Version)
	}
	old := *h
	a.before["health check "+h.ID] = &old
	if in.Disabled != nil {
		h.Disabled = *in.Disabled
	}
	if in.Inverted != nil {
		h.Inverted = *in.Inverted
	}
	h.Version++
	a.instantly(c, h.ID)
	return h.xml(), nil
}

// instantly notes a change that takes no time.
func (a *Account) instantly(c *Call, target string) {
	a.history = append(a.history, &Operation{Kind: c.Operation, Target: target, Owner: c.owner(), started: a.clock.Now(), finished: true})
}
