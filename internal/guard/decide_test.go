package guard

import (
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 1, 5, 3, 30, 0, 0, time.UTC)

func ago(minutes float64) time.Time {
	return now.Add(-time.Duration(minutes * float64(time.Minute)))
}

// wanted is a red of six minutes that everything speaks for.
func wanted(change func(*Facts)) Facts {
	f := Facts{
		Subject:      Subject{ID: "a", What: "the alarm orders-down is red", Since: ago(6), Red: true},
		Confirmation: &Confirmation{Confirmed: true, Told: []string{"https://x does not answer"}},
	}
	if change != nil {
		change(&f)
	}
	return f
}

func automatic(change func(*Trigger)) Trigger {
	cool := 60
	t := Trigger{Name: "orders", On: OnAlarm, Mode: ModeAutomatic, Payload: "orders", Alarms: []string{"orders-down"},
		SeenForMinutes: 5, MaxAgeMinutes: 15, CoolDownMinutes: &cool, Confirm: &Confirm{Endpoint: "https://x"}}
	if change != nil {
		change(&t)
	}
	return t
}

func TestDecide(t *testing.T) {
	ran := func(minutes float64, running bool) []Run {
		return []Run{{Execution: "arn:last", Started: ago(minutes), Running: running}}
	}
	mode := func(m Mode) func(*Trigger) { return func(t *Trigger) { t.Mode = m } }
	asRequest := func(t *Trigger) { t.On, t.Alarms, t.SeenForMinutes = OnRequest, nil, 0 }
	since := func(minutes float64) func(*Facts) { return func(f *Facts) { f.Subject.Since = ago(minutes) } }
	for _, tt := range []struct {
		name    string
		trigger func(*Trigger)
		facts   func(*Facts)
		action  Action
		reason  Reason
		says    string
	}{
		{"everything says so", nil, nil, Start, Wanted, "confirmed: https://x does not answer"},
		{"with approval", mode(ModeApprove), nil, Ask, Wanted, "orders-down"},
		{"with a message", mode(ModeNotify), nil, Notify, Wanted, "a person starts the run"},
		{"a mode that nobody knows", mode("soon"), nil, Notify, Wanted, ""},

		{"not red", nil, func(f *Facts) { f.Subject.Red = false }, Ignore, NotRed, ""},
		{"red and green again", nil, func(f *Facts) { f.Subject.Red, f.Subject.Lasted = false, 4*time.Minute }, Ignore, NotRed, "it was red for 4m, and has to be for 5m"},
		{"red for long and green again", nil, func(f *Facts) { f.Subject.Red, f.Subject.Lasted = false, 5*time.Minute }, Ignore, NotRed, ""},

		{"red a moment too short", nil, since(4.99), Wait, TooShort, "it has to be for 5m"},
		{"red just long enough", nil, since(5), Start, Wanted, ""},
		{"red in the future", nil, since(-1), Wait, TooShort, "for 0s"},
		{"an event of now", asRequest, since(0), Start, Wanted, ""},
		{"an event dated ahead", asRequest, since(-2.0 / 60), Start, Wanted, ""},
		{"an event dated a minute ahead", asRequest, since(-1), Start, Wanted, ""},
		{"an event dated further ahead", asRequest, since(-61.0 / 60), Notify, Unknown, "dated 1m1s ahead"},
		{"an event dated far ahead that was decided already", asRequest, func(f *Facts) { f.Subject.Since, f.Last = ago(-5), Wanted }, Ignore, Duplicate, ""},
		{"just young enough", nil, since(20), Start, Wanted, ""},
		{"too old", nil, since(20.01), Ignore, Late, "nothing is started after 20m"},

		{"started already", nil, func(f *Facts) { f.Started, f.Last = "arn:run", Wanted }, Ignore, Duplicate, "arn:run"},
		{"started already, and nobody was told", nil, func(f *Facts) { f.Started = "arn:run" }, Start, Wanted, "a run was started for this"},
		{"started already with approval, and nobody was told", mode(ModeApprove), func(f *Facts) { f.Started, f.Last = "arn:run", TooShort }, Ask, Wanted, ""},
		{"started already, and red for long", nil, func(f *Facts) { f.Started = "arn:run"; f.Subject.Since = ago(100) }, Ignore, Duplicate, "arn:run"},
		{"decided already", nil, func(f *Facts) { f.Last = Wanted }, Ignore, Duplicate, "wanted"},
		{"given up already", nil, func(f *Facts) { f.Last = Late }, Ignore, Duplicate, "late"},
		{"unconfirmed before", nil, func(f *Facts) { f.Last = Unconfirmed }, Start, Wanted, ""},
		{"too short before", nil, func(f *Facts) { f.Last = TooShort }, Start, Wanted, ""},
		{"could not be started before", nil, func(f *Facts) { f.Last = StartFailed }, Start, Wanted, ""},

		{"under maintenance", nil, func(f *Facts) { f.Downtime = &Downtime{now.Add(time.Second), "ann", "patches"} }, Ignore, Maintenance, "ann declared a maintenance until 2026-01-05 03:30:01Z: patches"},
		{"after a maintenance", nil, func(f *Facts) { f.Downtime = &Downtime{now, "ann", "patches"} }, Start, Wanted, ""},
		{"under maintenance, and something is not known", nil, func(f *Facts) {
			f.Downtime, f.Unseen = &Downtime{now.Add(time.Hour), "ann", "patches"}, []string{"x"}
		}, Ignore, Maintenance, ""},

		{"something is not known", nil, func(f *Facts) { f.Unseen = []string{"the table", "the runs"} }, Notify, Unknown, "the table; the runs"},

		{"a run is under way", nil, func(f *Facts) { f.Runs = ran(600, true) }, Notify, Running, "arn:last"},
		{"a run is under way, acknowledged", nil, func(f *Facts) { f.Runs, f.Acknowledged = ran(600, true), &ran(600, false)[0] }, Notify, Running, ""},
		{"within the cool-down", nil, func(f *Facts) { f.Runs = ran(59.9, false) }, Notify, CoolDown, "unless it is acknowledged: arn:last"},
		{"at the end of the cool-down", nil, func(f *Facts) { f.Runs = ran(60, false) }, Start, Wanted, ""},
		{"within the cool-down, acknowledged", nil, func(f *Facts) { f.Runs, f.Acknowledged = ran(10, false), &ran(10, false)[0] }, Start, Wanted, ""},
		{"within the cool-down, an older one acknowledged", nil, func(f *Facts) { f.Runs, f.Acknowledged = ran(10, false), &ran(10.1, false)[0] }, Notify, CoolDown, "arn:last"},
		{"two runs, the newer acknowledged", nil, func(f *Facts) {
			f.Runs, f.Acknowledged = append(ran(10, false), Run{"arn:older", ago(30), false}), &ran(10, false)[0]
		}, Start, Wanted, ""},
		{"two runs, the older acknowledged", nil, func(f *Facts) {
			f.Runs, f.Acknowledged = append(ran(10, false), Run{"arn:older", ago(30), false}), &Run{"arn:older", ago(30), false}
		}, Notify, CoolDown, "arn:last"},
		{"two runs, the newer is named", nil, func(f *Facts) { f.Runs = append([]Run{{"arn:older", ago(30), false}}, ran(10, false)...) }, Notify, CoolDown, "acknowledged: arn:last"},
		{"two runs, the newer comes first", nil, func(f *Facts) { f.Runs = append(ran(10, false), Run{"arn:older", ago(30), false}) }, Notify, CoolDown, "acknowledged: arn:last"},
		{"no cool-down", func(t *Trigger) { zero := 0; t.CoolDownMinutes = &zero }, func(f *Facts) { f.Runs = ran(0.1, false) }, Start, Wanted, ""},

		{"not looked at a second time", nil, func(f *Facts) { f.Confirmation = nil }, look, "", ""},
		{"not confirmed", nil, func(f *Facts) { f.Confirmation = &Confirmation{Told: []string{"https://x answers"}} }, Notify, Unconfirmed, "https://x answers"},
		{"not confirmed, with approval", mode(ModeApprove), func(f *Facts) { f.Confirmation = &Confirmation{} }, Notify, Unconfirmed, ""},
		{"nothing to confirm with, automatic", func(t *Trigger) { t.Confirm = nil }, func(f *Facts) { f.Confirmation = nil }, Notify, Wanted, ""},
		{"nothing to confirm with, approve", func(t *Trigger) { t.Confirm, t.Mode = nil, ModeApprove }, func(f *Facts) { f.Confirmation = nil }, Ask, Wanted, ""},
		{"a request needs no confirmation", func(t *Trigger) { t.Confirm, t.On, t.SeenForMinutes = nil, OnRequest, 0 }, func(f *Facts) { f.Confirmation = nil }, Start, Wanted, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := decide(automatic(tt.trigger), wanted(tt.facts), now)
			if got.Action != tt.action || got.Reason != tt.reason || !strings.Contains(got.Why, tt.says) {
				t.Errorf("%+v, want %s, %s, %q", got, tt.action, tt.reason, tt.says)
			}
		})
	}
}

// Nothing that speaks against a start is outweighed by what speaks for it.
func TestEachDoubtAloneKeepsFromStarting(t *testing.T) {
	doubts := []func(*Facts){
		func(f *Facts) { f.Subject.Red = false }, func(f *Facts) { f.Subject.Since = ago(1) }, func(f *Facts) { f.Subject.Since = ago(30) },
		func(f *Facts) { f.Last = Wanted }, func(f *Facts) { f.Downtime = &Downtime{Until: now.Add(time.Hour)} },
		func(f *Facts) { f.Unseen = []string{"x"} }, func(f *Facts) { f.Runs = []Run{{Running: true}} }, func(f *Facts) { f.Confirmation.Confirmed = false },
	}
	for set := 1; set < 1<<len(doubts); set++ {
		f := wanted(func(f *Facts) {
			for i, doubt := range doubts {
				if set&(1<<i) != 0 {
					doubt(f)
				}
			}
		})
		for _, mode := range []Mode{ModeApprove, ModeAutomatic} {
			if d := decide(automatic(func(t *Trigger) { t.Mode = mode }), f, now); d.Action == Start || d.Action == Ask {
				t.Fatalf("doubts %b: %+v", set, d)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	if got := automatic(nil).Check(); got != nil {
		t.Fatal(got)
	}
	for _, tt := range []struct {
		name   string
		change func(*Trigger)
		want   []string
	}{
		{"no name", func(t *Trigger) { t.Name = "" }, []string{"name"}},
		{"a name that is long", func(t *Trigger) { t.Name = strings.Repeat("a", 31) }, []string{"name"}},
		{"no payload", func(t *Trigger) { t.Payload = "" }, []string{"payload"}},
		{"a path for a payload", func(t *Trigger) { t.Payload = "../x" }, []string{"payload"}},
		{"a mode that nobody knows", func(t *Trigger) { t.Mode = "soon" }, []string{"mode"}},
		{"a kind that nobody knows", func(t *Trigger) { t.On, t.Alarms, t.SeenForMinutes = "tuesday", nil, 0 }, []string{"on"}},
		{"no alarm", func(t *Trigger) { t.Alarms = nil }, []string{"alarms"}},
		{"alarms twice", func(t *Trigger) { t.AlarmPrefix = "x" }, []string{"alarms"}},
		{"a tag", func(t *Trigger) { t.Alarms, t.AlarmTag = nil, "dr=orders" }, nil},
		{"a tag without a value", func(t *Trigger) { t.Alarms, t.AlarmTag = nil, "dr" }, []string{"alarmTag"}},
		{"a tag and a name", func(t *Trigger) { t.AlarmTag = "dr=orders" }, []string{"alarms"}},
		{"a tag of a request", func(t *Trigger) { t.On, t.Alarms, t.AlarmTag, t.SeenForMinutes = OnRequest, nil, "dr=orders", 0 }, []string{"on: it is on"}},
		{"many alarms", func(t *Trigger) { t.Alarms = make([]string, 101) }, []string{"alarms: 101"}},
		{"alarms with long names", func(t *Trigger) {
			t.Alarms = nil
			for range 50 {
				t.Alarms = append(t.Alarms, strings.Repeat("a", 200))
			}
		}, []string{"it has 1"}},
		{"a prefix", func(t *Trigger) { t.Alarms, t.AlarmPrefix = nil, "x" }, nil},
		{"alarms of a request", func(t *Trigger) { t.On = OnRequest }, []string{"on: it is on"}},
		{"health", func(t *Trigger) {
			t.On, t.Alarms, t.SeenForMinutes, t.Services, t.Regions = OnHealth, nil, 0, []string{"RDS"}, []string{"us-east-1"}
		}, nil},
		{"health of nothing", func(t *Trigger) {
			t.On, t.Alarms, t.SeenForMinutes, t.Regions = OnHealth, nil, 0, []string{"us-east-1"}
		}, []string{"services"}},
		{"health of any region", func(t *Trigger) { t.On, t.Alarms, t.SeenForMinutes, t.Services = OnHealth, nil, 0, []string{"RDS"} }, []string{"regions"}},
		{"an alarm of another region", func(t *Trigger) { t.Regions = []string{"us-east-1"} }, []string{"on: it is on"}},
		{"rds", func(t *Trigger) {
			t.On, t.Alarms, t.SeenForMinutes, t.Events, t.Sources = OnRDS, nil, 0, []string{"RDS-EVENT-0187"}, []string{"x"}
		}, nil},
		{"rds of everything", func(t *Trigger) { t.On, t.Alarms, t.SeenForMinutes, t.Events = OnRDS, nil, 0, []string{"x"} }, []string{"events, sources"}},
		{"a lasting request", func(t *Trigger) { t.On, t.Alarms = OnRequest, nil }, []string{"on: it is on"}},
		{"times out of range", func(t *Trigger) { n := 1441; t.SeenForMinutes, t.MaxAgeMinutes, t.CoolDownMinutes = -1, 0, &n }, []string{"seenForMinutes", "coolDownMinutes", "maxAgeMinutes"}},
		{"automatic without a second look", func(t *Trigger) { t.Confirm = nil }, []string{"confirm: is missing"}},
		{"a second look at nothing", func(t *Trigger) { t.Confirm = &Confirm{} }, []string{"confirm: names neither"}},
		{"a reference without an endpoint", func(t *Trigger) { t.Confirm = &Confirm{Alarm: "x", Reference: "https://y"} }, []string{"confirm.reference"}},
		{"an endpoint that is none", func(t *Trigger) { t.Confirm.Endpoint = "example.com" }, []string{"confirm.endpoint"}},
		{"a second look at an alarm of its own", func(t *Trigger) { t.Confirm.Alarm = "orders-down" }, []string{"confirm.alarm"}},
		{"a second look at another alarm", func(t *Trigger) { t.Confirm.Alarm = "orders-downstream" }, nil},
		{"a second look at an alarm with its prefix", func(t *Trigger) { t.Alarms, t.AlarmPrefix, t.Confirm.Alarm = nil, "orders-", "orders-down" }, []string{"confirm.alarm"}},
		{"a second look at an alarm without its prefix", func(t *Trigger) { t.Alarms, t.AlarmPrefix, t.Confirm.Alarm = nil, "orders-", "canary" }, nil},
		{"a prefix, and no second alarm", func(t *Trigger) { t.Alarms, t.AlarmPrefix = nil, "orders-" }, nil},
		{"a port that is missing", func(t *Trigger) { t.Confirm.Endpoint = "tcp://example.com" }, []string{"confirm.endpoint"}},
		{"a password", func(t *Trigger) { t.Confirm.Endpoint = "https://a:b@example.com" }, []string{"confirm.endpoint"}},
		{"a port", func(t *Trigger) { t.Confirm.Endpoint = "tcp://example.com:3306" }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := automatic(tt.change).Check()
			if len(got) != len(tt.want) {
				t.Fatalf("%q, want %q", got, tt.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], tt.want[i]) {
					t.Errorf("%q, want %q", got[i], tt.want[i])
				}
			}
		})
	}
}

func TestNormal(t *testing.T) {
	got := Trigger{Name: "orders", On: OnRequest, Payload: "p"}.Normal()
	if got.Mode != ModeNotify || got.MaxAgeMinutes != 15 || *got.CoolDownMinutes != 60 || got.Check() != nil {
		t.Errorf("%+v: %v", got, got.Check())
	}
	zero := 0
	if got := (Trigger{CoolDownMinutes: &zero}).Normal(); *got.CoolDownMinutes != 0 {
		t.Error("a cool-down of nothing is not kept")
	}
}
