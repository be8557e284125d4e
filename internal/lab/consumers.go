package lab

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// EventSource is an event source mapping of a Lambda function.
type EventSource struct {
	Region   string `json:"region"`
	UUID     string `json:"uuid"`
	Function string `json:"function"`
	State    string `json:"state"`
}

// Rule is an EventBridge rule.
type Rule struct {
	Region  string `json:"region"`
	Bus     string `json:"bus"`
	Name    string `json:"name"`
	State   string `json:"state"`
	Manager string `json:"managedBy,omitempty"`
}

// Schedule is an EventBridge Scheduler schedule: what an update says replaces
// all of it.
type Schedule struct {
	Region  string         `json:"region"`
	Group   string         `json:"group"`
	Name    string         `json:"name"`
	Content map[string]any `json:"content"` // as GetSchedule shows it
}

// addConsumers makes, in each region, a queue's consumer, a rule and a
// schedule: on in the primary, off in the other.
func (e *Estate) addConsumers(primary, recovery string) {
	for region, on := range map[string]bool{primary: true, recovery: false} {
		id, mapping, state := "00001", "Enabled", "ENABLED"
		if !on {
			id, mapping, state = "00002", "Disabled", "DISABLED"
		}
		e.EventSources = append(e.EventSources, &EventSource{Region: region, UUID: "0a1b2c3d-1111-4000-8000-0000000" + id, Function: "orders-consumer", State: mapping})
		e.Rules = append(e.Rules, &Rule{Region: region, Bus: "default", Name: "orders-cleanup", State: state})
		e.Schedules = append(e.Schedules, &Schedule{Region: region, Group: "orders", Name: "orders-report", Content: map[string]any{
			"State": state, "ScheduleExpression": "cron(0 6 * * ? *)", "ScheduleExpressionTimezone": "Europe/Berlin", "Description": "the report of the night",
			"FlexibleTimeWindow": map[string]any{"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15.0}, "StartDate": float64(Epoch.AddDate(-1, 0, 0).Unix()),
			"ActionAfterCompletion": "NONE",
			"Target": map[string]any{"Arn": "arn:aws:lambda:" + region + ":" + e.Account + ":function:report", "RoleArn": "arn:aws:iam::" + e.Account + ":role/scheduler",
				"Input": "{}", "RetryPolicy": map[string]any{"MaximumRetryAttempts": 3.0}},
		}})
		e.export(region, "orders-consumer", map[string]string{"-event-source": "0a1b2c3d-1111-4000-8000-0000000" + id})
	}
	slices.SortFunc(e.EventSources, func(a, b *EventSource) int { return strings.Compare(a.UUID, b.UUID) })
	slices.SortFunc(e.Rules, func(a, b *Rule) int { return strings.Compare(a.Region, b.Region) })
	slices.SortFunc(e.Schedules, func(a, b *Schedule) int { return strings.Compare(a.Region, b.Region) })
}

// consumerRoutes are those of Lambda and of EventBridge Scheduler.
var consumerRoutes = map[string][]restRoute{
	"lambda": {
		{"GET", "/2015-03-31/event-source-mappings/{UUID}", "GetEventSourceMapping"},
		{"GET", "/2015-03-31/event-source-mappings", "ListEventSourceMappings"},
		{"PUT", "/2015-03-31/event-source-mappings/{UUID}", "UpdateEventSourceMapping"},
	},
	"scheduler": {
		{"GET", "/schedules", "ListSchedules"},
		{"GET", "/schedules/{Name}", "GetSchedule"},
		{"PUT", "/schedules/{Name}", "UpdateSchedule"},
	},
}

// readBody adds the members of a JSON body to the parameters in the path.
func readBody(body []byte, into map[string]any) error {
	if len(body) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, &into); err != nil {
		return fail(400, "SerializationException", "the body is not JSON: %v", err)
	}
	return nil
}

var consumerService = map[string]handler{
	"lambda:GetEventSourceMapping":    getEventSourceMapping,
	"lambda:ListEventSourceMappings":  listEventSourceMappings,
	"lambda:UpdateEventSourceMapping": updateEventSourceMapping,
	"events:DescribeRule":             describeRule,
	"events:EnableRule":               func(a *Account, c *Call) (any, error) { return setRule(a, c, "ENABLED") },
	"events:DisableRule":              func(a *Account, c *Call) (any, error) { return setRule(a, c, "DISABLED") },
	"scheduler:GetSchedule":           getSchedule,
	"scheduler:ListSchedules":         listSchedules,
	"scheduler:UpdateSchedule":        updateSchedule,
}

func (e *Estate) eventSource(id string) *EventSource {
	for _, m := range e.EventSources {
		if m.UUID == id {
			return m
		}
	}
	return nil
}

func init() {
	settle := func(e *Estate, op *Operation, state string) {
		if m := e.eventSource(op.Target); m != nil {
			m.State = state
		}
	}
	scripts["UpdateEventSourceMapping"] = []step{
		{after: time.Second, apply: func(e *Estate, op *Operation) {
			settle(e, op, map[string]string{"Enabled": "Enabling", "Disabled": "Disabling"}[op.Args["state"]])
		}},
		{share: 1, apply: func(e *Estate, op *Operation) { settle(e, op, op.Args["state"]) }},
	}
	undo["UpdateEventSourceMapping"] = func(e *Estate, op *Operation) { settle(e, op, op.Args["before"]) }
}

func (a *Account) showEventSource(c *Call, m *EventSource) map[string]any {
	state := m.State
	if old, ok := a.before[m.UUID].(string); ok && c.stale {
		state = old
	}
	return map[string]any{"UUID": m.UUID, "State": state, "FunctionArn": "arn:aws:lambda:" + m.Region + ":" + a.Estate.Account + ":function:" + m.Function}
}

func getEventSourceMapping(a *Account, c *Call) (any, error) {
	m := a.Estate.eventSource(c.Params.str("UUID"))
	if m == nil || m.Region != c.Region {
		return nil, fail(404, "ResourceNotFoundException", "The resource you requested does not exist.")
	}
	return a.showEventSource(c, m), nil
}

func listEventSourceMappings(a *Account, c *Call) (any, error) {
	var all []any
	for _, m := range a.Estate.EventSources {
		if of := c.Params.str("FunctionName"); m.Region == c.Region && (of == "" || m.Function == of) {
			all = append(all, a.showEventSource(c, m))
		}
	}
	page, next := pageAt(all, atoi(c.Params.str("Marker")))
	out := map[string]any{"EventSourceMappings": page}
	if next > 0 {
		out["NextMarker"] = fmt.Sprint(next)
	}
	return out, nil
}

func updateEventSourceMapping(a *Account, c *Call) (any, error) {
	m := a.Estate.eventSource(c.Params.str("UUID"))
	if m == nil || m.Region != c.Region {
		return nil, fail(404, "ResourceNotFoundException", "The resource you requested does not exist.")
	}
	if a.running(m.UUID) {
		return nil, fail(400, "ResourceInUseException", "Cannot update the event source mapping %s because it is in use.", m.UUID)
	}
	want := "Disabled"
	if c.Params.flag("Enabled") {
		want = "Enabled"
	}
	if m.State != want {
		a.before[m.UUID] = m.State
		a.begin(c, "UpdateEventSourceMapping", m.UUID, map[string]string{"state": want, "before": m.State})
	}
	return a.showEventSource(c, m), nil
}

func (a *Account) rule(c *Call) (*Rule, error) {
	for _, r := range a.Estate.Rules {
		if r.Region == c.Region && r.Name == c.Params.str("Name") && r.Bus == cmp.Or(c.Params.str("EventBusName"), "default") {
			return r, nil
		}
	}
	return nil, fail(400, "ResourceNotFoundException", "Rule %s does not exist on EventBus %s.", c.Params.str("Name"), cmp.Or(c.Params.str("EventBusName"), "default"))
}

func describeRule(a *Account, c *Call) (any, error) {
	r, err := a.rule(c)
	if err != nil {
		return nil, err
	}
	state := r.State
	if old, ok := a.before["rule "+r.Region+"/"+r.Name].(string); ok && c.stale {
		state = old
	}
	out := map[string]any{"Name": r.Name, "EventBusName": r.Bus, "State": state}
	if r.Manager != "" {
		out["ManagedBy"] = r.Manager
	}
	return out, nil
}

func setRule(a *Account, c *Call, state string) (any, error) {
	r, err := a.rule(c)
	if err != nil {
		return nil, err
	}
	if r.Manager != "" {
		return nil, fail(400, "ManagedRuleException", "The rule is managed by %s.", r.Manager)
	}
	if r.State != state {
		key := "rule " + r.Region + "/" + r.Name
		a.before[key] = r.State
		r.State = state
		a.instantly(c, key)
	}
	return map[string]any{}, nil
}

func (a *Account) schedule(c *Call) (*Schedule, error) {
	group := cmp.Or(c.Params.str("GroupName"), c.Params.str("groupName"), "default")
	for _, s := range a.Estate.Schedules {
		if s.Region == c.Region && s.Name == c.Params.str("Name") && s.Group == group {
			return s, nil
		}
	}
	return nil, fail(404, "ResourceNotFoundException", "Schedule %s does not exist.", c.Params.str("Name"))
}

func getSchedule(a *Account, c *Call) (any, error) {
	s, err := a.schedule(c)
	if err != nil {
		return nil, err
	}
	out := maps.Clone(s.Content)
	if old, ok := a.before["schedule "+s.Region+"/"+s.Group+"/"+s.Name].(map[string]any); ok && c.stale {
		out = maps.Clone(old)
	}
	out["Name"], out["GroupName"] = s.Name, s.Group
	return out, nil
}

// pageOf is how many things a list of consumers or schedules gives at once, as
// AWS does where it is not told otherwise.
const pageOf = 100

// listSchedules knows the states alone. The default group is always there, and
// in the lab any other one as long as it holds something.
func listSchedules(a *Account, c *Call) (any, error) {
	group := c.Params.str("ScheduleGroup")
	var all []any
	for _, s := range a.Estate.Schedules {
		if s.Region != c.Region || group != "" && s.Group != group {
			continue
		}
		content := s.Content
		if old, ok := a.before["schedule "+s.Region+"/"+s.Group+"/"+s.Name].(map[string]any); ok && c.stale {
			content = old
		}
		all = append(all, map[string]any{"Name": s.Name, "GroupName": s.Group, "State": content["State"]})
	}
	if len(all) == 0 && group != "" && group != "default" {
		return nil, fail(404, "ResourceNotFoundException", "Schedule group %s does not exist.", group)
	}
	page, next := pageAt(all, atoi(c.Params.str("NextToken")))
	out := map[string]any{"Schedules": page}
	if next > 0 {
		out["NextToken"] = fmt.Sprint(next)
	}
	return out, nil
}

// pageAt gives one page of a list, and where the next one begins; 0: nowhere.
func pageAt(all []any, from int) (page []any, next int) {
	end := min(from+pageOf, len(all))
	if end < len(all) {
		next = end
	}
	return append([]any{}, all[min(from, end):end]...), next
}

// updateSchedule replaces all of a schedule by what it is told.
func updateSchedule(a *Account, c *Call) (any, error) {
	s, err := a.schedule(c)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"ScheduleExpression", "FlexibleTimeWindow", "Target"} {
		if !c.Params.has(name) {
			return nil, fail(400, "ValidationException", "%s is missing.", name)
		}
	}
	if start, ok := c.Params.tree["StartDate"].(float64); ok && a.clock.Now().Sub(time.Unix(int64(start), 0)) > 5*time.Minute {
		return nil, fail(400, "ValidationException", "The StartDate you specify cannot be earlier than 5 minutes ago.")
	}
	content := maps.Clone(c.Params.tree)
	for _, name := range []string{"Name", "GroupName", "groupName", "ClientToken"} {
		delete(content, name)
	}
	if content["State"] == nil {
		content["State"] = "ENABLED"
	}
	if content["State"] != s.Content["State"] {
		key := "schedule " + s.Region + "/" + s.Group + "/" + s.Name
		a.before[key] = s.Content
		a.instantly(c, key)
	}
	s.Content = content
	return map[string]any{"ScheduleArn": "arn:aws:scheduler:" + s.Region + ":" + a.Estate.Account + ":schedule/" + s.Group + "/" + s.Name}, nil
}
