package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/run"
)

// Alarms is every call to CloudWatch that the guard makes.
type Alarms interface {
	DescribeAlarms(context.Context, *cloudwatch.DescribeAlarmsInput, ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error)
	ListTagsForResource(context.Context, *cloudwatch.ListTagsForResourceInput, ...func(*cloudwatch.Options)) (*cloudwatch.ListTagsForResourceOutput, error)
}

// alarm is what counts of an alarm, single or composite.
type alarm struct {
	name, arn, state string
	since            time.Time // of its state
}

func (a alarm) red() bool { return a.state == string(cwtypes.StateValueAlarm) }

// alarms reads alarms by name or by the beginning of their names. Without the
// types, CloudWatch leaves composite alarms out (API reference, DescribeAlarms).
func (g Guard) alarms(ctx context.Context, names []string, prefix string, redOnly bool) ([]alarm, error) {
	in := &cloudwatch.DescribeAlarmsInput{
		AlarmNames: names, AlarmTypes: []cwtypes.AlarmType{cwtypes.AlarmTypeMetricAlarm, cwtypes.AlarmTypeCompositeAlarm}, MaxRecords: aws.Int32(mostAlarms),
	}
	if prefix != "" {
		in.AlarmNamePrefix = aws.String(prefix)
	}
	if redOnly {
		in.StateValue = cwtypes.StateValueAlarm
	}
	var all []alarm
	for pages := cloudwatch.NewDescribeAlarmsPaginator(g.Alarms, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, action.Call("looking at alarms", err)
		}
		for _, a := range page.MetricAlarms {
			all = append(all, alarm{aws.ToString(a.AlarmName), aws.ToString(a.AlarmArn), string(a.StateValue), aws.ToTime(a.StateTransitionedTimestamp)})
		}
		for _, a := range page.CompositeAlarms {
			all = append(all, alarm{aws.ToString(a.AlarmName), aws.ToString(a.AlarmArn), string(a.StateValue), aws.ToTime(a.StateTransitionedTimestamp)})
		}
	}
	return all, nil
}

// ours reports whether an alarm is one of a trigger that names them by tag; of
// any other trigger the rule and the names have said so.
func (g Guard) ours(ctx context.Context, t Trigger, a alarm) (bool, error) {
	if t.AlarmTag == "" {
		return true, nil
	}
	out, err := g.Alarms.ListTagsForResource(ctx, &cloudwatch.ListTagsForResourceInput{ResourceARN: aws.String(a.arn)})
	if err != nil {
		return false, action.Call("looking at the tags of the alarm "+a.name, err)
	}
	return slices.ContainsFunc(out.Tags, func(tag cwtypes.Tag) bool { return aws.ToString(tag.Key)+"="+aws.ToString(tag.Value) == t.AlarmTag }), nil
}

// seen is a subject, and what of it could not be looked at.
type seen struct {
	Subject
	unseen []string
}

// event is what counts of an event.
type event struct {
	ID     string          `json:"id"`
	Type   string          `json:"detail-type"`
	Time   time.Time       `json:"time"`
	Detail json.RawMessage `json:"detail"`
}

// subjects gives what there is to decide about: the one of an event, or every
// alarm of the trigger that is red.
func (g Guard) subjects(ctx context.Context, t Trigger, raw json.RawMessage) ([]seen, error) {
	if len(raw) == 0 {
		if t.On != OnAlarm {
			return nil, nil
		}
		red, err := g.alarms(ctx, t.Alarms, t.AlarmPrefix, true)
		var all []seen
		for _, a := range red {
			s := seen{Subject: ofRed(a)}
			if ours, err := g.ours(ctx, t, a); err != nil {
				s.unseen = []string{err.Error()}
			} else if !ours {
				continue
			}
			if a.since.IsZero() { // neither too short nor too late: a person has to look
				s.Since, s.unseen = g.Now().Add(-t.seenFor()), append(s.unseen, noSince(a))
			}
			all = append(all, s)
		}
		return all, err
	}
	var e event
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, action.Errorf(action.InvalidInput, "the event is none of EventBridge's: %v", err)
	}
	if e.ID == "" || e.Time.IsZero() {
		return nil, action.Errorf(action.InvalidInput, "the event has no id or no time")
	}
	if t.On == OnAlarm {
		s, err := g.alarmSubject(ctx, t, e)
		return []seen{s}, err
	}
	s, err := eventSubject(t, e)
	return []seen{{Subject: s}}, err
}

func ofRed(a alarm) Subject {
	return Subject{ID: a.arn + "@" + a.since.UTC().Format(time.RFC3339Nano), What: fmt.Sprintf("the alarm %s is red since %s", a.name, stamp(a.since)), Since: a.since, Red: true}
}

func noSince(a alarm) string { return "since when the alarm " + a.name + " is red" }

// alarmDetail is the detail of an event of CloudWatch.
type alarmDetail struct {
	Name     string     `json:"alarmName"`
	State    alarmState `json:"state"`
	Previous alarmState `json:"previousState"`
}

type alarmState struct {
	Value string `json:"value"`
	Time  string `json:"timestamp"`
}

// alarmTime is how CloudWatch writes times in events: RFC 3339 but for the
// colon in the zone.
const alarmTime = "2006-01-02T15:04:05.999999999-0700"

func (s alarmState) since() time.Time {
	t, err := time.Parse(alarmTime, s.Time)
	if err != nil {
		t, _ = time.Parse(time.RFC3339Nano, s.Time)
	}
	return t
}

// alarmSubject looks at the alarm of an event. What it is now counts: events
// come late, twice, and in any order.
func (g Guard) alarmSubject(ctx context.Context, t Trigger, e event) (seen, error) {
	var d alarmDetail
	if err := json.Unmarshal(e.Detail, &d); err != nil || d.Name == "" {
		return seen{}, action.Errorf(action.InvalidInput, "the event tells of no alarm: %s", e.Detail)
	}
	told := alarm{name: d.Name, arn: "event/" + d.Name, state: d.State.Value, since: latest(d.State.since(), time.Time{})}
	if told.since.IsZero() {
		told.since = e.Time
	}
	found, err := g.alarms(ctx, []string{d.Name}, "", false)
	if err != nil {
		if !told.red() {
			return seen{Subject: Subject{ID: e.ID, What: fmt.Sprintf("the alarm %s is %s", told.name, told.state), Since: told.since}}, nil
		}
		return seen{ofRed(told), []string{err.Error()}}, nil
	}
	if len(found) == 0 {
		return seen{Subject: Subject{ID: e.ID, What: fmt.Sprintf("there is no alarm %s any more", d.Name), Since: told.since}}, nil
	}
	now := found[0]
	if now.red() {
		ours, err := g.ours(ctx, t, now)
		switch {
		case err != nil:
			return seen{ofRed(now), []string{err.Error()}}, nil
		case !ours:
			return seen{Subject: Subject{ID: e.ID, What: fmt.Sprintf("the alarm %s does not carry the tag %s", now.name, t.AlarmTag), Since: now.since, Other: true}}, nil
		}
	}
	switch {
	case now.red() && now.since.IsZero():
		return seen{ofRed(told), []string{noSince(now)}}, nil
	case now.red():
		return seen{Subject: ofRed(now)}, nil
	}
	s := Subject{ID: e.ID, What: fmt.Sprintf("the alarm %s is %s", now.name, now.state), Since: now.since}
	switch {
	case told.red():
		s.Lasted = now.since.Sub(told.since)
	case d.Previous.Value == string(cwtypes.StateValueAlarm) && !d.Previous.since().IsZero():
		s.Lasted = told.since.Sub(d.Previous.since())
	}
	return seen{Subject: s}, nil
}

// eventSubject reads an event that has no state to be looked at.
func eventSubject(t Trigger, e event) (Subject, error) {
	var d struct {
		EventARN string `json:"eventArn"` // of AWS Health: the same in every message about one event
		TypeCode string `json:"eventTypeCode"`
		Status   string `json:"statusCode"`
		Region   string `json:"eventRegion"`
		EventID  string `json:"EventID"` // of RDS
		Source   string `json:"SourceIdentifier"`
		Message  string `json:"Message"`
		Reason   string `json:"reason"` // of a request
	}
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return Subject{}, action.Errorf(action.InvalidInput, "the detail of the event: %v", err)
	}
	s := Subject{ID: e.ID, Since: e.Time, Red: true}
	switch t.On {
	case OnHealth:
		s.What = fmt.Sprintf("AWS Health says %s of %s (%s)", d.TypeCode, d.Region, d.Status)
		s.Red = d.Status == "open" && slices.Contains(t.Regions, d.Region)
		if d.EventARN != "" {
			s.ID = d.EventARN
		}
	case OnRDS:
		s.What = fmt.Sprintf("RDS says %s of %s: %s", d.EventID, d.Source, d.Message)
	default:
		s.What = strings.TrimSuffix("a failover was requested: "+d.Reason, ": ")
	}
	return s, nil
}

// facts looks at everything that may speak against a start.
func (g Guard) facts(ctx context.Context, t Trigger, s seen) Facts {
	f := Facts{Subject: s.Subject, Unseen: s.unseen}
	if !s.Red {
		return f
	}
	missed := func(err error) {
		if err != nil {
			f.Unseen = append(f.Unseen, err.Error())
		}
	}
	var err error
	f.Last, err = g.Memory.last(ctx, t.Name, s.ID)
	missed(err)
	f.Started, err = g.startedFor(ctx, t, s.Subject)
	missed(err)
	f.Downtime, err = g.Memory.Downtime(ctx)
	missed(err)
	f.Acknowledged, err = g.Memory.Acknowledged(ctx)
	missed(err)
	for _, machine := range []string{catalog.Failover, catalog.Failback} {
		runs, err := g.runs(ctx, machine, g.Now().Add(-t.coolDown()))
		f.Runs = append(f.Runs, runs...)
		missed(err)
	}
	// Its own run may have been started since it was looked for.
	if own := g.execution(name(t, s.Subject)); slices.ContainsFunc(f.Runs, func(r Run) bool { return r.Execution == own }) {
		f.Started = own
	}
	return f
}

// startedFor looks whether the run of a subject was started.
func (g Guard) startedFor(ctx context.Context, t Trigger, s Subject) (string, error) {
	id := g.execution(name(t, s))
	_, err := g.Executions.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: aws.String(id)})
	var none *sfntypes.ExecutionDoesNotExist
	switch {
	case errors.As(err, &none):
		return "", nil
	case err != nil:
		return "", action.Call("looking whether a run was started", err)
	}
	return id, nil
}

// mostListed bounds the executions of a machine that are looked through. The
// checks of a hundred stored payloads every five minutes make 28,800 within a
// day, the longest cool-down.
const mostListed = 40_000

// runs gives the runs of a machine that run, or began after a time. Plans are
// none.
func (g Guard) runs(ctx context.Context, machine string, after time.Time) ([]Run, error) {
	// What runs may have begun long ago. That a redrive is pending cannot be asked
	// of a machine (API reference, ListExecutions).
	all, err := g.list(ctx, machine, sfntypes.ExecutionStatusRunning, time.Time{})
	if err != nil {
		return all, err
	}
	recent, err := g.list(ctx, machine, "", after)
	for _, r := range recent {
		if !slices.ContainsFunc(all, func(known Run) bool { return known.Execution == r.Execution }) {
			all = append(all, r)
		}
	}
	return all, err
}

// list gives the runs of a machine in a status, or in any, that began after a
// time.
func (g Guard) list(ctx context.Context, machine string, status sfntypes.ExecutionStatus, after time.Time) ([]Run, error) {
	var all []Run
	pages := sfn.NewListExecutionsPaginator(g.Executions, &sfn.ListExecutionsInput{StateMachineArn: aws.String(g.machine(machine)), StatusFilter: status, MaxResults: 1000})
	for listed := 0; pages.HasMorePages(); {
		if listed >= mostListed {
			return all, action.Errorf(action.Internal, "the machine %s has run too often to look through it all", machine)
		}
		page, err := pages.NextPage(ctx)
		if err != nil {
			return all, action.Call("looking at the runs of the machine "+machine, err)
		}
		listed += len(page.Executions)
		for _, e := range page.Executions {
			began := Began(e.StartDate, e.RedriveDate)
			running := e.Status == sfntypes.ExecutionStatusRunning || e.Status == sfntypes.ExecutionStatusPendingRedrive
			if !running && !began.After(after) {
				continue
			}
			plan, err := IsPlan(ctx, g.Executions, aws.ToString(e.ExecutionArn), aws.ToString(e.Name))
			if err != nil {
				return all, err
			}
			if !plan {
				all = append(all, Run{aws.ToString(e.ExecutionArn), began, running})
			}
		}
		// They come newest first.
		if last := len(page.Executions) - 1; last >= 0 && !Began(page.Executions[last].StartDate, page.Executions[last].RedriveDate).After(after) {
			break
		}
	}
	return all, nil
}

// Began is when a run began to act last: one that was redriven did so again.
func Began(started, redriven *time.Time) time.Time {
	return latest(aws.ToTime(started), aws.ToTime(redriven))
}

// Describer tells of one execution.
type Describer interface {
	DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error)
}

// IsPlan reports an execution that changes nothing: the check of a stored
// payload, known by its name, or one whose input says so. No run can have the
// name of a check: PrepareRun refuses it.
func IsPlan(ctx context.Context, executions Describer, arn, name string) (bool, error) {
	if strings.HasPrefix(name, run.ReadinessPrefix) {
		return true, nil
	}
	d, err := executions.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: aws.String(arn)})
	if err != nil {
		return false, action.Call("looking at the run "+name, err)
	}
	var in struct{ Options struct{ Mode string } }
	return json.Unmarshal([]byte(aws.ToString(d.Input)), &in) == nil && in.Options.Mode == "plan", nil
}

// confirm takes the second look. Whatever cannot be looked at confirms nothing.
func (g Guard) confirm(ctx context.Context, t Trigger) *Confirmation {
	c := *t.Confirm
	out := &Confirmation{Confirmed: true}
	say := func(ok bool, told string) {
		out.Confirmed = out.Confirmed && ok
		out.Told = append(out.Told, told)
	}
	if c.Endpoint != "" {
		answer := g.Prober.Probe(ctx, c.Endpoint)
		say(answer.Silent, answer.Told)
	}
	if c.Reference != "" && out.Confirmed {
		answer := g.Prober.Probe(ctx, c.Reference)
		say(answer.Answered, "for comparison "+answer.Told)
	}
	if c.Alarm != "" {
		found, err := g.alarms(ctx, []string{c.Alarm}, "", false)
		switch {
		case err != nil:
			say(false, err.Error())
		case len(found) == 0:
			say(false, "there is no alarm "+c.Alarm)
		default:
			if t.AlarmTag != "" { // Check sees to the names
				own, err := g.ours(ctx, t, found[0])
				if err != nil {
					say(false, err.Error())
				} else if own {
					say(false, "the alarm "+c.Alarm+" is one of the trigger itself")
				}
			}
			say(found[0].red(), fmt.Sprintf("the alarm %s is %s", c.Alarm, found[0].state))
		}
	}
	return out
}
