package lab

import (
	"context"
	"slices"
	"strings"
	"time"

	"dr-orchestrator/internal/guard"
)

// Alarm is a CloudWatch alarm, single or composite.
type Alarm struct {
	Region, Name string
	Composite    bool
	State        string // OK, ALARM or INSUFFICIENT_DATA
	since        time.Time
}

// The states of an alarm.
const (
	AlarmOK           = "OK"
	AlarmRed          = "ALARM"
	AlarmInsufficient = "INSUFFICIENT_DATA"
)

var alarmService = map[string]handler{"cloudwatch:DescribeAlarms": describeAlarms}

// AddAlarm puts an alarm into the account. It has been in its state since the
// lab began, and nobody hears of that.
func (a *Account) AddAlarm(alarm Alarm) {
	alarm.since = a.clock.Now()
	a.alarms = append(a.alarms, &alarm)
}

func (a *Account) alarm(region, name string) *Alarm {
	for _, x := range a.alarms {
		if x.Region == region && x.Name == name {
			return x
		}
	}
	return nil
}

func (a *Account) alarmARN(x *Alarm) string {
	return "arn:aws:cloudwatch:" + x.Region + ":" + a.Estate.Account + ":alarm:" + x.Name
}

// SetAlarm brings an alarm into a state, and gives the event that tells of it.
// Where the state is the one before there is no event, as in CloudWatch.
func (a *Account) SetAlarm(region, name, state string) []byte {
	event := a.SetAlarmSilently(region, name, state)
	if event != nil {
		a.Deliver(region, event)
	}
	return event
}

// SetAlarmSilently is SetAlarm, and the event is not delivered.
func (a *Account) SetAlarmSilently(region, name, state string) []byte {
	x := a.alarm(region, name)
	if x == nil || x.State == state {
		return nil
	}
	const format = "2006-01-02T15:04:05.000-0700"
	now := a.clock.Now().UTC()
	detail := map[string]any{
		"alarmName":     x.Name,
		"state":         map[string]any{"value": state, "reason": "set in the lab", "timestamp": now.Format(format)},
		"previousState": map[string]any{"value": x.State, "reason": "set in the lab", "timestamp": x.since.UTC().Format(format)},
		"configuration": map[string]any{},
	}
	x.State, x.since = state, now
	return a.event(region, "aws.cloudwatch", "CloudWatch Alarm State Change", detail, []string{a.alarmARN(x)})
}

func describeAlarms(a *Account, c *Call) (any, error) {
	type alarm struct {
		Name         string    `cbor:"AlarmName" json:"AlarmName"`
		ARN          string    `cbor:"AlarmArn" json:"AlarmArn"`
		State        string    `cbor:"StateValue" json:"StateValue"`
		Updated      time.Time `cbor:"StateUpdatedTimestamp" json:"StateUpdatedTimestamp"`
		Transitioned time.Time `cbor:"StateTransitionedTimestamp" json:"StateTransitionedTimestamp"`
	}
	out := struct {
		Metric    []alarm `cbor:"MetricAlarms" json:"MetricAlarms"`
		Composite []alarm `cbor:"CompositeAlarms" json:"CompositeAlarms"`
	}{[]alarm{}, []alarm{}}
	names, prefix, state := c.Params.list("AlarmNames", ""), c.Params.str("AlarmNamePrefix"), c.Params.str("StateValue")
	if len(names) > 0 && prefix != "" {
		return nil, fail(400, "ValidationError", "AlarmNames and AlarmNamePrefix exclude each other")
	}
	types := c.Params.list("AlarmTypes", "")
	if len(types) == 0 {
		types = []string{"MetricAlarm"} // as AWS does
	}
	for _, x := range a.alarms {
		if x.Region != c.Region || (len(names) > 0 && !slices.Contains(names, x.Name)) || !strings.HasPrefix(x.Name, prefix) || (state != "" && x.State != state) {
			continue
		}
		// That a state is evaluated again moves the one time and not the other.
		found := alarm{x.Name, a.alarmARN(x), x.State, a.clock.Now(), x.since}
		switch {
		case x.Composite && slices.Contains(types, "CompositeAlarm"):
			out.Composite = append(out.Composite, found)
		case !x.Composite && slices.Contains(types, "MetricAlarm"):
			out.Metric = append(out.Metric, found)
		}
	}
	return out, nil
}

// SetEndpoint says whether something answers at an address. Of an address that
// nothing was said about nobody knows.
func (a *Account) SetEndpoint(at string, answers bool) { a.endpoints[at] = answers }

// prober probes the endpoints of the account.
type prober struct{ account *Account }

// Probe tells what SetEndpoint said.
func (p prober) Probe(_ context.Context, at string) guard.Answer {
	answers, known := p.account.endpoints[at]
	switch {
	case !known:
		return guard.Answer{Told: at + ": no such host"}
	case answers:
		return guard.Answer{Answered: true, Told: at + " answers"}
	}
	return guard.Answer{Silent: true, Told: at + " does not answer"}
}
