package lab

import (
	"slices"
	"strings"
)

// TargetGroup is a target group of a load balancer. One of an application has
// healthy targets as long as it works.
type TargetGroup struct {
	ARN     string            `json:"arn"`
	App     string            `json:"app,omitempty"`
	Targets map[string]string `json:"targets"` // by id: the state where it follows no application
}

func (e *Estate) addHealth() {
	for _, app := range e.Apps {
		e.Alarms = append(e.Alarms,
			&Alarm{Region: app.Region, Name: "app-errors", State: AlarmOK, App: app.URL},
			&Alarm{Region: app.Region, Name: "app", State: AlarmOK, App: app.URL, Composite: true})
		group := &TargetGroup{ARN: "arn:aws:elasticloadbalancing:" + app.Region + ":" + e.Account + ":targetgroup/app/0123456789abcdef",
			App: app.URL, Targets: map[string]string{"i-0a1b2c3d4e5f60001": "unhealthy", "i-0a1b2c3d4e5f60002": "unhealthy"}}
		e.TargetGroups = append(e.TargetGroups, group)
		e.export(app.Region, "app", map[string]string{"-target-group": group.ARN})
	}
}

// worksAt reports whether an application works, by its URL.
func (e *Estate) worksAt(url string) bool {
	return slices.ContainsFunc(e.Apps, func(app *App) bool { return app.URL == url && e.works(app) })
}

var balancerService = map[string]handler{"elasticloadbalancing:DescribeTargetHealth": describeTargetHealth}

func describeTargetHealth(a *Account, c *Call) (any, error) {
	type description struct {
		ID    string `xml:"Target>Id"`
		Port  int    `xml:"Target>Port"`
		State string `xml:"TargetHealth>State"`
	}
	arn := c.Params.str("TargetGroupArn")
	for _, g := range a.Estate.TargetGroups {
		if g.ARN != arn || !strings.Contains(arn, ":"+c.Region+":") {
			continue
		}
		var out struct {
			Targets []description `xml:"TargetHealthDescriptions>member"`
		}
		for _, id := range sortedKeys(g.Targets) {
			state := g.Targets[id]
			if g.App != "" && a.Estate.worksAt(g.App) {
				state = "healthy"
			}
			out.Targets = append(out.Targets, description{id, 443, state})
		}
		return out, nil
	}
	return nil, fail(400, "TargetGroupNotFound", "One or more target groups not found")
}
