package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"dr-orchestrator/internal/run"
)

// checks are the executions of so many checks of stored payloads, one a second,
// up to now.
func checks(n int) []execution {
	all := make([]execution, n)
	for i := range all {
		all[i] = execution{machine: "failover", name: fmt.Sprintf("%sorders-%d", run.ReadinessPrefix, i), status: sfntypes.ExecutionStatusSucceeded, started: now.Add(-time.Duration(n-i) * time.Second)}
	}
	return all
}

// However many checks there were, the guard finds the run between them, and is
// not kept from starting by them.
func TestChecksAreNoRuns(t *testing.T) {
	day := 24 * 60
	real := execution{machine: "failover", name: "run-1", input: `{}`, status: sfntypes.ExecutionStatusSucceeded}
	for _, tt := range []struct {
		name   string
		checks int
		cool   int
		ran    time.Duration // how long ago the run began; 0: there was none
		status sfntypes.ExecutionStatus
		want   Reason
	}{
		{"none", 0, 60, 0, "", Wanted},
		{"5,000", 5000, 60, 0, "", Wanted},
		{"5,000, and a run before them", 5000, 60, 5001 * time.Second, "SUCCEEDED", Wanted},
		{"5,000, and a run before them within the cool-down", 5000, 90, 5001 * time.Second, "SUCCEEDED", CoolDown},
		{"5,000, and a run before them that runs", 5000, 60, 5001 * time.Second, "RUNNING", Running},
		{"as many as a day can have", 100 * 12 * 24, day, 0, "", Wanted},
		{"as many as a day can have, and a run before them", 100 * 12 * 24, day, 100*12*24*time.Second + time.Minute, "FAILED", CoolDown},
		{"as many as are looked through", mostListed, day, 0, "", Wanted},
		{"more", mostListed + 1, day, 0, "", Unknown},
		{"more, and before the cool-down", mostListed + 1, 60, 0, "", Wanted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			if tt.ran > 0 {
				e := real
				e.started, e.status = now.Add(-tt.ran), tt.status
				w.executions = []execution{e}
			}
			w.executions = append(w.executions, checks(tt.checks)...)
			told := w.decided(t, request(func(t *Trigger) { t.CoolDownMinutes = &tt.cool }), asked("1", now))
			if told.Reason != tt.want || (told.Execution != "") != (tt.want == Wanted) {
				t.Errorf("%s: %s", told.Reason, told.Why)
			}
		})
	}
}

// What runs counts however old it is, of both machines of the region, and a run
// that waits to be redriven counts as one.
func TestWhichRunsCount(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  execution
		want Reason
	}{
		{"a failover that runs for days", execution{machine: "failover", name: "r", status: "RUNNING", started: ago(6 * 24 * 60)}, Running},
		{"a failover of days ago", execution{machine: "failover", name: "r", status: "SUCCEEDED", started: ago(6 * 24 * 60)}, Wanted},
		{"a failback that runs", execution{machine: "failback", name: "r", status: "RUNNING", started: ago(600)}, Running},
		{"a failback within the cool-down", execution{machine: "failback", name: "r", status: "FAILED", started: ago(59)}, CoolDown},
		{"a failback of before", execution{machine: "failback", name: "r", status: "FAILED", started: ago(61)}, Wanted},
		{"one that waits to be redriven", execution{machine: "failover", name: "r", status: "PENDING_REDRIVE", started: ago(30)}, Running},
		{"one that runs again", execution{machine: "failover", name: "r", status: "RUNNING", started: ago(600), redriven: ago(1)}, Running},
		{"one that was redriven and ended", execution{machine: "failover", name: "r", status: "SUCCEEDED", started: ago(600), redriven: ago(59)}, CoolDown},
		{"one that was redriven and ended before", execution{machine: "failover", name: "r", status: "SUCCEEDED", started: ago(600), redriven: ago(61)}, Wanted},
		{"a plan that runs", execution{machine: "failover", name: "r", input: `{"Options":{"Mode":"plan"}}`, status: "RUNNING", started: ago(1)}, Wanted},
		{"another machine", execution{machine: "other", name: "r", status: "RUNNING", started: ago(1)}, Wanted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.executions = []execution{tt.run}
			told := w.decided(t, request(nil), asked("1", now))
			if told.Reason != tt.want || tt.want != Wanted && !strings.Contains(told.Why, tt.run.arn()) {
				t.Errorf("%s: %s", told.Reason, told.Why)
			}
		})
	}
}

// A run that was redriven stands where its redrive belongs: what began before
// it may still be within the cool-down.
func TestARedriveDoesNotEndTheLooking(t *testing.T) {
	w := newWorld()
	w.executions = append([]execution{
		{machine: "failover", name: "within", status: "SUCCEEDED", started: ago(30)},
		{machine: "failover", name: "redriven", status: "FAILED", started: ago(600), redriven: ago(20)},
	}, checks(999)...)
	if told := w.decided(t, request(nil), asked("1", now)); told.Reason != CoolDown {
		t.Errorf("%s: %s", told.Reason, told.Why)
	}
}

// An issue counts while it is open, and of the regions that the trigger names,
// whatever the rule let through.
func TestWhichIssuesCount(t *testing.T) {
	trigger := Trigger{Name: "health", On: OnHealth, Mode: ModeApprove, Payload: "orders", Services: []string{"RDS"}, Regions: []string{"us-east-1", "eu-west-1"}}.Normal()
	for _, tt := range []struct {
		name   string
		detail map[string]any
		want   Reason
	}{
		{"open", map[string]any{"statusCode": "open", "eventRegion": "us-east-1"}, Wanted},
		{"open, in the second", map[string]any{"statusCode": "open", "eventRegion": "eu-west-1"}, Wanted},
		{"closed", map[string]any{"statusCode": "closed", "eventRegion": "us-east-1"}, NotRed},
		{"upcoming", map[string]any{"statusCode": "upcoming", "eventRegion": "us-east-1"}, NotRed},
		{"without a status", map[string]any{"eventRegion": "us-east-1"}, NotRed},
		{"elsewhere", map[string]any{"statusCode": "open", "eventRegion": "ap-southeast-1"}, NotRed},
		{"here", map[string]any{"statusCode": "open", "eventRegion": "us-west-2"}, NotRed},
		{"nowhere", map[string]any{"statusCode": "open"}, NotRed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			if told := w.decided(t, trigger, eventOf("1", now, tt.detail)); told.Reason != tt.want || len(w.started) > 0 != (tt.want == Wanted) {
				t.Errorf("%s: %s", told.Reason, told.Why)
			}
		})
	}
}

// orders is a trigger on an alarm that has to be red for five minutes.
func orders(change func(*Trigger)) Trigger {
	t := Trigger{Name: "orders", On: OnAlarm, Mode: ModeAutomatic, Payload: "orders", Alarms: []string{"orders-down"}, SeenForMinutes: 5, Confirm: &Confirm{Endpoint: "https://orders.example.com"}}
	if change != nil {
		change(&t)
	}
	return t.Normal()
}

func changed(state string, since time.Time) json.RawMessage {
	return eventOf("1", since, map[string]any{
		"alarmName": "orders-down", "state": map[string]any{"value": state, "timestamp": since.Format(alarmTime)},
		"previousState": map[string]any{"value": "OK", "timestamp": since.Add(-time.Hour).Format(alarmTime)},
	})
}

// What the alarm is now counts, and not what its event says of it.
func TestTheAlarmIsLookedAt(t *testing.T) {
	for _, tt := range []struct {
		name  string
		world func(*world)
		event json.RawMessage
		want  Reason
		says  string
	}{
		{"red", func(w *world) { w.red["orders-down"] = ago(6) }, changed("ALARM", ago(6)), Wanted, ""},
		{"red, told of the end of an older red", func(w *world) { w.red["orders-down"] = ago(6) }, changed("OK", ago(7)), Wanted, ""},
		{"green again", func(w *world) { w.other["orders-down"] = "OK" }, changed("ALARM", ago(6)), NotRed, "is OK"},
		{"gone", func(*world) {}, changed("ALARM", ago(6)), NotRed, "there is no alarm"},
		{"unreadable, told to be red", func(w *world) { w.alarmErr = errors.New("no answer") }, changed("ALARM", ago(6)), Unknown, "no answer"},
		{"unreadable, told to be green", func(w *world) { w.alarmErr = errors.New("no answer") }, changed("OK", ago(6)), NotRed, "is OK"},
		{"red, and nobody knows since when", func(w *world) { w.red["orders-down"] = time.Time{} }, changed("ALARM", ago(6)), Unknown, "since when the alarm orders-down is red"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			tt.world(w)
			told := w.decided(t, orders(nil), tt.event)
			if told.Reason != tt.want || !strings.Contains(told.Why, tt.says) || len(w.started) > 0 != (tt.want == Wanted) {
				t.Errorf("%s: %s", told.Reason, told.Why)
			}
		})
	}
}

// Looking again without an event starts nothing either of which the time is not
// known.
func TestLookingAgain(t *testing.T) {
	for _, tt := range []struct {
		name  string
		world func(*world)
		want  []Reason
		fails bool
	}{
		{"red", func(w *world) { w.red["orders-down"] = ago(6) }, []Reason{Wanted}, false},
		{"green", func(w *world) { w.other["orders-down"] = "OK" }, nil, false},
		{"nobody knows since when", func(w *world) { w.red["orders-down"] = time.Time{} }, []Reason{Unknown}, false},
		{"unreadable", func(w *world) { w.alarmErr = errors.New("no answer") }, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			tt.world(w)
			out, err := w.guard().Decide(t.Context(), Input{Trigger: orders(nil)})
			var got []Reason
			for _, d := range out.Decisions {
				got = append(got, d.Reason)
			}
			if (err != nil) != tt.fails || !slices.Equal(got, tt.want) || len(w.started) > 0 != slices.Contains(tt.want, Wanted) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// An alarm that is the second look confirms while it is red, and not by being
// away.
func TestTheSecondAlarm(t *testing.T) {
	for _, tt := range []struct {
		name  string
		world func(*world)
		want  Reason
		says  string
	}{
		{"red", func(w *world) { w.red["canary"] = ago(1) }, Wanted, "the alarm canary is ALARM"},
		{"green", func(w *world) { w.other["canary"] = "OK" }, Unconfirmed, "the alarm canary is OK"},
		{"without data", func(w *world) { w.other["canary"] = "INSUFFICIENT_DATA" }, Unconfirmed, "INSUFFICIENT_DATA"},
		{"missing", func(*world) {}, Unconfirmed, "there is no alarm canary"},
		{"unreadable", func(w *world) { w.alarmErr = errors.New("no answer") }, Unconfirmed, "no answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			tt.world(w)
			told := w.decided(t, request(func(t *Trigger) { t.Confirm = &Confirm{Alarm: "canary"} }), asked("1", now))
			if told.Reason != tt.want || !strings.Contains(told.Why, tt.says) || len(w.started) > 0 != (tt.want == Wanted) {
				t.Errorf("%s: %s", told.Reason, told.Why)
			}
		})
	}
}

// A trigger that names its alarms by a tag is on those that carry it, and the
// second look at one of them is none. What cannot be looked at starts nothing.
func TestAlarmsByTag(t *testing.T) {
	failed := errors.New("no tags")
	for _, tt := range []struct {
		name, tag, canary string
		err               error
		want              Reason
		again             []Reason
	}{
		{"it carries the tag", "dr=orders", "dr=canary", nil, Wanted, []Reason{Wanted}},
		{"it carries another value", "dr=billing", "", nil, NotOurs, nil},
		{"it carries none", "", "", nil, NotOurs, nil},
		{"nobody knows", "dr=orders", "", failed, Unknown, []Reason{Unknown}},
		{"the second carries it, too", "dr=orders", "dr=orders", nil, Unconfirmed, []Reason{Unconfirmed, Unconfirmed}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			trigger := orders(func(t *Trigger) { t.Alarms, t.AlarmTag, t.Confirm = nil, "dr=orders", &Confirm{Alarm: "canary"} })
			if problems := trigger.Check(); problems != nil {
				t.Fatal(problems)
			}
			at := func() *world {
				w := newWorld()
				w.red["orders-down"], w.red["canary"] = ago(6), ago(6)
				w.tags, w.tagErr = map[string]string{"orders-down": tt.tag, "canary": tt.canary}, tt.err
				return w
			}
			w := at()
			if told := w.decided(t, trigger, changed("ALARM", ago(6))); told.Reason != tt.want || len(w.started) > 0 != (tt.want == Wanted) {
				t.Errorf("%s: %s", told.Reason, told.Why)
			}
			w = at()
			if tt.err != nil { // one alarm is enough
				delete(w.red, "canary")
			}
			out, err := w.guard().Decide(t.Context(), Input{Trigger: trigger})
			var got []Reason
			for _, d := range out.Decisions {
				got = append(got, d.Reason)
			}
			if err != nil || !slices.Equal(got, tt.again) {
				t.Errorf("again: %v, %v", got, err)
			}
		})
	}
}

// Tags that one trigger does not name are not read.
func TestTagsAreReadWhereTheyCount(t *testing.T) {
	for _, tag := range []string{"", "dr=orders"} {
		w, read := newWorld(), 0
		w.red["orders-down"], w.tags = ago(6), map[string]string{"orders-down": "dr=orders"}
		w.before = func(call string) {
			if call == "ListTagsForResource" {
				read++
			}
		}
		trigger := orders(nil)
		if tag != "" {
			trigger.Alarms, trigger.AlarmTag = nil, tag
		}
		if told := w.decided(t, trigger, changed("ALARM", ago(6))); told.Reason != Wanted || (read > 0) != (tag != "") {
			t.Errorf("%q: %s, tags were read %d times", tag, told.Reason, read)
		}
	}
}
