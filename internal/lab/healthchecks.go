package lab

import (
	"encoding/xml"
	"slices"
	"strings"

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
	// Unhealthy is what its checkers see of the endpoint, or saw last.
	Unhealthy bool `json:"unhealthy,omitempty"`
	// App is the URL of the application that its checkers ask; empty: none, and
	// what they see stays as it is.
	App string `json:"app,omitempty"`
	// Alarm is what a check of type CLOUDWATCH_METRIC follows, and RoutingControl
	// the ARN of what one of type RECOVERY_CONTROL does.
	Alarm          *AlarmIdentifier `json:"alarm,omitempty"`
	RoutingControl string           `json:"routingControl,omitempty"`
	// InsufficientData is what an alarm without data tells: Healthy, Unhealthy, or
	// LastKnownStatus, which is Unhealthy of this check, and without which a check
	// begins as healthy.
	InsufficientData string `json:"insufficientDataHealthStatus,omitempty"`
}

// AlarmIdentifier is how a health check names an alarm.
type AlarmIdentifier struct {
	Region string `json:"region" xml:"Region"`
	Name   string `json:"name" xml:"Name"`
}

// The types of health check that follow something of AWS.
const (
	checkOfAlarm   = "CLOUDWATCH_METRIC"
	checkOfControl = "RECOVERY_CONTROL"
)

// tellsHealthy is what a check tells DNS: a disabled one counts as healthy, and
// inversion comes after that.
func (a *Account) tellsHealthy(h *HealthCheck) bool {
	return (h.Disabled || !a.seesUnhealthy(h)) != h.Inverted
}

// seesUnhealthy is what the checkers of a check see. As those of AWS they follow
// the datapoints of an alarm's metric and not a state that was set; an alarm that
// has no metric in the lab is followed by its state. That an application works
// they see at once, where AWS asks several times.
func (a *Account) seesUnhealthy(h *HealthCheck) bool {
	switch {
	case h.App != "":
		i := slices.IndexFunc(a.Estate.Apps, func(app *App) bool { return app.URL == h.App })
		return i < 0 || a.faults.down(a.Estate.Apps[i].Region) || !a.Estate.works(a.Estate.Apps[i])
	case h.Alarm != nil:
		x := a.alarm(h.Alarm.Region, h.Alarm.Name)
		if x == nil {
			return h.Unhealthy
		}
		state := a.Estate.alarmState(x)
		if x.Metric != nil {
			state = x.says()
		}
		if state == AlarmInsufficient {
			return h.InsufficientData == "Unhealthy" || h.InsufficientData != "Healthy" && h.Unhealthy
		}
		return state == AlarmRed
	case h.RoutingControl != "":
		_, control := a.Estate.routingCluster(h.RoutingControl)
		return control != nil && control.show("") == "Off"
	}
	return h.Unhealthy
}

// down reports whether the next call to a region would find it dead. Checkers
// of Route 53 stand outside: that they ask uses no fault up.
func (f *faults) down(region string) bool {
	for i, fault := range f.spec {
		next := f.count[i] + 1
		if fault.Kind == Dead && fault.Target == "region:"+region && next >= fault.From && (fault.To == 0 || next <= fault.To) {
			return true
		}
	}
	return false
}

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
		e.Alarms = append(e.Alarms, &Alarm{Region: app.Region, Name: "dr-switch", State: "OK", Value: new(float64), Operator: "GreaterThanOrEqualToThreshold", Threshold: 1, Missing: "ignore",
			Metric: &Metric{Namespace: healthcheck.SwitchNamespace, Name: healthcheck.SwitchMetric, Dimensions: map[string]string{healthcheck.SwitchDimension: "dr-switch"}}})
	}
}

// The names that move without the control plane of Route 53, and their health
// checks.
const (
	switchedName = "switched."
	routedName   = "routed."
)

// switchCheck is the ID of the health check of each region's switch, and
// routedCheck the ID of the health check of each region's routing control.
var (
	switchCheck = map[string]string{
		"us-east-1": "0a1b2c3d-0000-4000-8000-000000000006",
		"us-west-2": "0a1b2c3d-0000-4000-8000-000000000003",
	}
	routedCheck = map[string]string{
		"us-east-1": "0a1b2c3d-0000-4000-8000-000000000004",
		"us-west-2": "0a1b2c3d-0000-4000-8000-000000000005",
	}
)

// addFailovers adds two pairs of failover records that lead to the primary: one
// until the switch of the recovery region is flipped, for a switch gives up the
// other region's record, and one as the routing controls are.
func (e *Estate) addFailovers(zone, primary, recovery string) {
	z := e.zone(zone)
	pair := func(name, value, check, other, otherCheck string) {
		name += z.Name
		z.Records = append(z.Records,
			&RecordSet{Name: name, Type: "A", SetIdentifier: primary, Failover: "PRIMARY", TTL: number(60), Values: []RecordValue{RecordValue(value)}, HealthCheck: check},
			&RecordSet{Name: name, Type: "A", SetIdentifier: recovery, Failover: "SECONDARY", TTL: number(60), Values: []RecordValue{RecordValue(other)}, HealthCheck: otherCheck})
	}
	pair(switchedName, "192.0.2.30", switchCheck[recovery], "198.51.100.30", switchCheck[primary])
	pair(routedName, "192.0.2.40", routedCheck[primary], "198.51.100.40", routedCheck[recovery])
	for _, region := range []string{primary, recovery} {
		e.HealthChecks = append(e.HealthChecks, &HealthCheck{ID: switchCheck[region], Type: checkOfAlarm, Version: 1, Alarm: &AlarmIdentifier{region, "dr-switch"}, InsufficientData: "LastKnownStatus"})
	}
	for _, cluster := range e.RoutingClusters {
		for _, control := range cluster.Controls {
			for _, region := range []string{primary, recovery} {
				if strings.HasSuffix(control.ARN, "/"+shortRegion[region]) {
					e.HealthChecks = append(e.HealthChecks, &HealthCheck{ID: routedCheck[region], Type: checkOfControl, Version: 1, RoutingControl: control.ARN})
				}
			}
		}
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
		// Of some types only.
		Alarm            *AlarmIdentifier `xml:"AlarmIdentifier,omitempty"`
		InsufficientData string           `xml:"InsufficientDataHealthStatus,omitempty"`
		RoutingControl   string           `xml:"RoutingControlArn,omitempty"`
	} `xml:"HealthCheck>HealthCheckConfig"`
	Version int `xml:"HealthCheck>HealthCheckVersion"`
}

func (h *HealthCheck) xml() xmlHealthCheck {
	out := xmlHealthCheck{ID: h.ID, Caller: h.ID, Owner: h.Owner, Version: h.Version}
	out.Config.Type, out.Config.Inverted, out.Config.Disabled = h.Type, h.Inverted, h.Disabled
	out.Config.Alarm, out.Config.InsufficientData, out.Config.RoutingControl = h.Alarm, h.InsufficientData, h.RoutingControl
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
