// Package guard stands between an event and a run. A rule of EventBridge calls
// it with what happened; it looks for itself, decides, and says why. What it
// cannot see is no reason to start anything.
package guard

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Mode is how far a trigger may go without a person.
type Mode string

// The modes of a trigger.
const (
	ModeNotify    Mode = "notify"    // a person is told, and starts the run
	ModeApprove   Mode = "approve"   // the run is started, and asks before its first change
	ModeAutomatic Mode = "automatic" // the run is started
)

// The kinds of event that a trigger can be on.
const (
	OnAlarm   = "alarm"   // CloudWatch alarms of this region, single or composite
	OnHealth  = "health"  // AWS Health
	OnRDS     = "rds"     // events of RDS and Aurora
	OnRequest = "request" // the event FailoverRequested, which a person or a program sends
)

// RequestDetailType is the detail-type of the event that asks for a failover.
// Its detail names the trigger: {"trigger": "NAME"}.
const RequestDetailType = "FailoverRequested"

// Trigger is one trigger, as the configuration of a deployment has it and as
// its rule hands it to the guard.
type Trigger struct {
	Name    string `yaml:"name" json:"name"`
	On      string `yaml:"on" json:"on"`
	Mode    Mode   `yaml:"mode" json:"mode"`
	Payload string `yaml:"payload" json:"payload"` // name of a stored payload
	// Disaster starts the run with Options.Disaster.
	Disaster bool `yaml:"disaster" json:"disaster,omitempty"`

	Alarms      []string `yaml:"alarms" json:"alarms,omitempty"`
	AlarmPrefix string   `yaml:"alarmPrefix" json:"alarmPrefix,omitempty"`
	AlarmTag    string   `yaml:"alarmTag" json:"alarmTag,omitempty"`     // KEY=VALUE
	Services    []string `yaml:"services" json:"services,omitempty"`     // of AWS Health: RDS, EC2
	EventTypes  []string `yaml:"eventTypes" json:"eventTypes,omitempty"` // of AWS Health: codes
	Regions     []string `yaml:"regions" json:"regions,omitempty"`       // of AWS Health: those whose loss counts
	Events      []string `yaml:"events" json:"events,omitempty"`         // of RDS: RDS-EVENT-0187
	Sources     []string `yaml:"sources" json:"sources,omitempty"`       // of RDS: identifiers

	// SeenForMinutes is how long an alarm must have been red.
	SeenForMinutes int `yaml:"seenForMinutes" json:"seenForMinutes,omitempty"`
	// MaxAgeMinutes is when an event, or a red beyond SeenForMinutes, is too old
	// to start anything.
	MaxAgeMinutes int `yaml:"maxAgeMinutes" json:"maxAgeMinutes,omitempty"`
	// CoolDownMinutes is for how long after the beginning of a run nothing is
	// started, unless that run was acknowledged.
	CoolDownMinutes *int     `yaml:"coolDownMinutes" json:"coolDownMinutes,omitempty"`
	Confirm         *Confirm `yaml:"confirm" json:"confirm,omitempty"`
}

// Confirm is the second, independent look. What it names must all say so.
type Confirm struct {
	// Endpoint must not answer: an http or https URL, or tcp://HOST:PORT.
	Endpoint string `yaml:"endpoint" json:"endpoint,omitempty"`
	// Reference must answer, so that a guard without a way out does not take its
	// own silence for that of the endpoint.
	Reference string `yaml:"reference" json:"reference,omitempty"`
	// Alarm, of this region and none of the trigger's own, must be red.
	Alarm string `yaml:"alarm" json:"alarm,omitempty"`
}

// The defaults of a trigger.
const (
	defaultMaxAge   = 15
	defaultCoolDown = 60
)

// Normal gives the trigger with the defaults put in.
func (t Trigger) Normal() Trigger {
	if t.Mode == "" {
		t.Mode = ModeNotify
	}
	if t.MaxAgeMinutes == 0 {
		t.MaxAgeMinutes = defaultMaxAge
	}
	if t.CoolDownMinutes == nil {
		minutes := defaultCoolDown
		t.CoolDownMinutes = &minutes
	}
	return t
}

func minutes(n int) time.Duration { return time.Duration(n) * time.Minute }

func (t Trigger) seenFor() time.Duration  { return minutes(t.SeenForMinutes) }
func (t Trigger) maxAge() time.Duration   { return minutes(t.MaxAgeMinutes) }
func (t Trigger) coolDown() time.Duration { return minutes(*t.CoolDownMinutes) }

var (
	nameForm    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,28}[a-z0-9]$`)
	payloadForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
)

// mostMinutes is a day: no limit of a trigger is longer.
const mostMinutes = 24 * 60

// mostAlarms is how many alarms one call of DescribeAlarms names and answers.
const mostAlarms = 100

// Check gives everything that is wrong with a trigger in its normal form.
func (t Trigger) Check() []string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if !nameForm.MatchString(t.Name) {
		add("name: %q: want 2 to 30 of a-z, 0-9 and hyphens, beginning with a letter", t.Name)
	}
	if !payloadForm.MatchString(t.Payload) {
		add("payload: %q is no name of a stored payload", t.Payload)
	}
	switch t.Mode {
	case ModeNotify, ModeApprove, ModeAutomatic:
	default:
		add("mode: %q: want notify, approve or automatic", t.Mode)
	}
	switch t.On {
	case OnAlarm:
		given := 0
		for _, is := range []bool{len(t.Alarms) > 0, t.AlarmPrefix != "", t.AlarmTag != ""} {
			if is {
				given++
			}
		}
		if given != 1 {
			add("alarms: want either alarms, alarmPrefix or alarmTag")
		}
		if key, value, ok := strings.Cut(t.AlarmTag, "="); t.AlarmTag != "" && (!ok || key == "" || value == "") {
			add("alarmTag: %q: want KEY=VALUE", t.AlarmTag)
		}
		if len(t.Alarms) > mostAlarms {
			add("alarms: %d: want at most %d", len(t.Alarms), mostAlarms)
		}
	case OnHealth:
		if len(t.Services) == 0 {
			add("services: is missing: want services as AWS Health names them")
		}
		if len(t.Regions) == 0 {
			add("regions: is missing: want the regions whose loss counts")
		}
	case OnRDS:
		if len(t.Events) == 0 || len(t.Sources) == 0 {
			add("events, sources: want the events of RDS, and of which databases")
		}
	case OnRequest:
	default:
		add("on: %q: want alarm, health, rds or request", t.On)
	}
	for _, x := range []struct {
		on    string
		given bool
	}{
		{OnAlarm, len(t.Alarms) > 0 || t.AlarmPrefix != "" || t.AlarmTag != "" || t.SeenForMinutes != 0},
		{OnHealth, len(t.Services) > 0 || len(t.EventTypes) > 0 || len(t.Regions) > 0},
		{OnRDS, len(t.Events) > 0 || len(t.Sources) > 0},
	} {
		if x.given && x.on != t.On {
			add("on: it is on %q, and names what only %q knows", t.On, x.on)
		}
	}
	for _, x := range []struct {
		name     string
		n, least int
	}{{"seenForMinutes", t.SeenForMinutes, 0}, {"coolDownMinutes", *t.CoolDownMinutes, 0}, {"maxAgeMinutes", t.MaxAgeMinutes, 1}} {
		if x.n < x.least || x.n > mostMinutes {
			add("%s: %d: want %d to %d", x.name, x.n, x.least, mostMinutes)
		}
	}
	if text, err := json.Marshal(t); err != nil || len(text) > mostBytes {
		add("it has %d bytes as JSON: a rule has room for %d", len(text), mostBytes)
	}
	return append(all, t.checkConfirm()...)
}

// mostBytes leaves room in the input of a rule's target, 8192 characters, for
// what stands around the trigger.
const mostBytes = 8000

func (t Trigger) checkConfirm() []string {
	switch {
	case t.Confirm == nil && t.Mode == ModeAutomatic && t.On != OnRequest:
		return []string{"confirm: is missing: nothing is started automatically on one look alone"}
	case t.Confirm == nil:
		return nil
	case t.Confirm.Endpoint == "" && t.Confirm.Alarm == "":
		return []string{"confirm: names neither an endpoint nor an alarm"}
	}
	var all []string
	if alarm := t.Confirm.Alarm; alarm != "" && (slices.Contains(t.Alarms, alarm) || t.AlarmPrefix != "" && strings.HasPrefix(alarm, t.AlarmPrefix)) {
		all = append(all, fmt.Sprintf("confirm.alarm: %s is an alarm of the trigger itself: want another one", alarm))
	}
	for _, x := range []struct{ name, at string }{{"endpoint", t.Confirm.Endpoint}, {"reference", t.Confirm.Reference}} {
		if x.at != "" && !probeable(x.at) {
			all = append(all, fmt.Sprintf("confirm.%s: %q: want https://HOST/PATH, http://HOST/PATH or tcp://HOST:PORT", x.name, x.at))
		}
	}
	if t.Confirm.Reference != "" && t.Confirm.Endpoint == "" {
		all = append(all, "confirm.reference: there is no endpoint to compare it with")
	}
	return all
}

func probeable(at string) bool {
	u, err := url.Parse(at)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return false
	}
	if u.Scheme == "tcp" {
		_, port, err := net.SplitHostPort(u.Host)
		return err == nil && port != "" && u.Path == ""
	}
	return u.Scheme == "https" || u.Scheme == "http"
}

// Pattern is the event pattern of the rule of a trigger. prefix begins the
// names of the deployment.
func (t Trigger) Pattern(prefix string) map[string]any {
	switch t.On {
	case OnAlarm:
		if t.AlarmTag != "" { // which no event carries
			return map[string]any{"source": []any{"aws.cloudwatch"}, "detail-type": []any{"CloudWatch Alarm State Change"}}
		}
		names := list(t.Alarms)
		if t.AlarmPrefix != "" {
			names = append(names, map[string]any{"prefix": t.AlarmPrefix})
		}
		// Every change of state: that a red has ended is a decision, too.
		return map[string]any{
			"source": []any{"aws.cloudwatch"}, "detail-type": []any{"CloudWatch Alarm State Change"},
			"detail": map[string]any{"alarmName": names},
		}
	case OnHealth:
		// Where an event arrives does not say what it is about: public events go to
		// a second region, too (AWS Health user guide, EventBridge schema).
		detail := map[string]any{"service": list(t.Services), "eventTypeCategory": []any{"issue"}, "eventRegion": list(t.Regions)}
		if len(t.EventTypes) > 0 {
			detail["eventTypeCode"] = list(t.EventTypes)
		}
		return map[string]any{"source": []any{"aws.health"}, "detail-type": []any{"AWS Health Event"}, "detail": detail}
	case OnRDS:
		return map[string]any{
			"source": []any{"aws.rds"}, "detail-type": []any{"RDS DB Instance Event", "RDS DB Cluster Event"},
			"detail": map[string]any{"EventID": list(t.Events), "SourceIdentifier": list(t.Sources)},
		}
	}
	return map[string]any{
		"source": []any{RequestSource(prefix)}, "detail-type": []any{RequestDetailType},
		"detail": map[string]any{"trigger": []any{t.Name}},
	}
}

// RequestSource is the source of events that ask for a failover.
func RequestSource(prefix string) string { return strings.TrimSuffix(prefix, "-") + ".operator" }

func list(texts []string) []any {
	all := []any{}
	for _, s := range texts {
		all = append(all, s)
	}
	return all
}
