package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// shared reports a call that sees or changes what two invocations share.
func shared(call string) bool {
	return strings.HasSuffix(call, "Execution") || call == "ListExecutions" || call == "PutItem "+keyStarting
}

// together has two guards decide at once, in a world. choose says at each of
// their shared calls whose turn it is.
func together(t *testing.T, w *world, in [2]Input, choose func() int) [2]Told {
	var out [2]Output
	var errs [2]error
	current := 0
	parked := make(chan bool) // or, false, done
	resume := [2]chan bool{make(chan bool), make(chan bool)}
	w.before = func(call string) {
		if me := current; shared(call) {
			parked <- true
			<-resume[me]
		}
	}
	g, waiting := w.guard(), [2]bool{}
	for i := range in {
		current = i
		go func() {
			out[i], errs[i] = g.Decide(t.Context(), in[i])
			parked <- false
		}()
		waiting[i] = <-parked
	}
	for waiting[0] || waiting[1] {
		switch {
		case !waiting[0]:
			current = 1
		case !waiting[1]:
			current = 0
		default:
			current = choose()
		}
		resume[current] <- true
		waiting[current] = <-parked
	}
	var told [2]Told
	for i := range in {
		if errs[i] != nil || len(out[i].Decisions) != 1 {
			t.Fatalf("%+v, %v", out[i], errs[i])
		}
		told[i] = out[i].Decisions[0]
	}
	return told
}

// Two occurrences of one incident start one run, however the calls of the two
// that decide about them follow each other, and whether or not a run can be
// seen as soon as it was started.
func TestTwoAtOnceStartOneRun(t *testing.T) {
	for _, tt := range []struct {
		name     string
		ids      [2]string
		unlisted bool
		runs     int
	}{
		{"two requests", [2]string{"1", "2"}, false, 1},
		{"two requests, and runs are seen late", [2]string{"1", "2"}, true, 1},
		{"one request twice", [2]string{"1", "1"}, false, 1},
		{"one request twice, and runs are seen late", [2]string{"1", "1"}, true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			played := 0
			for path := []int{}; path != nil; played++ {
				var taken []int
				w := newWorld()
				w.unlisted = tt.unlisted
				told := together(t, w, [2]Input{{request(nil), asked(tt.ids[0], now)}, {request(nil), asked(tt.ids[1], now)}}, func() int {
					next := 0
					if len(taken) < len(path) {
						next = path[len(taken)]
					}
					taken = append(taken, next)
					return next
				})
				if len(w.started) != tt.runs {
					t.Fatalf("%v: %d runs: %+v", taken, len(w.started), told)
				}
				for i, other := range []int{1, 0} {
					switch same := tt.ids[0] == tt.ids[1]; {
					case told[i].Action == Start && (same || told[other].Action != Start):
					case told[i].Reason == Running && told[other].Action == Start && !same && strings.Contains(told[i].Why, told[other].Execution):
					case told[i].Reason == Duplicate && same && told[other].Action == Start:
					default:
						t.Fatalf("%v: %+v", taken, told)
					}
				}
				// The next path: the last turn that the first has had goes to the second.
				path = nil
				for i := len(taken) - 1; i >= 0 && path == nil; i-- {
					if taken[i] == 0 {
						path = append(append([]int{}, taken[:i]...), 1)
					}
				}
			}
			if played < 1000 {
				t.Errorf("%d ways were played", played)
			}
		})
	}
}

// killed has a guard decide that dies as soon as a call has taken effect.
func (w *world) killed(t *testing.T, call string, trigger Trigger, event json.RawMessage) {
	t.Helper()
	w.after = func(name string) {
		if name == call {
			panic("killed")
		}
	}
	defer func() {
		w.after = nil
		if recover() == nil {
			t.Fatalf("there was no %s", call)
		}
	}()
	_, _ = w.guard().Decide(t.Context(), Input{Trigger: trigger, Event: event})
}

// A guard that dies between the claim and the start loses nothing: the retry of
// its event starts the run, and others wait no longer than the claim lasts.
func TestKilledBeforeTheStart(t *testing.T) {
	const claim = "PutItem " + keyStarting
	t.Run("the same event again", func(t *testing.T) {
		w := newWorld()
		w.killed(t, claim, request(nil), asked("1", now))
		w.now = now.Add(time.Minute)
		if told := w.decided(t, request(nil), asked("1", now)); told.Action != Start || len(w.started) != 1 {
			t.Errorf("%+v", told)
		}
	})
	for _, tt := range []struct {
		after time.Duration
		want  Action
	}{{time.Second, Notify}, {claimed, Notify}, {claimed + time.Second, Start}} {
		t.Run("another event after "+tt.after.String(), func(t *testing.T) {
			w := newWorld()
			w.killed(t, claim, request(nil), asked("1", now))
			w.now = now.Add(tt.after)
			told := w.decided(t, request(nil), asked("2", now))
			if told.Action != tt.want || len(w.started) > 0 != (tt.want == Start) {
				t.Fatalf("%+v", told)
			}
			if tt.want != Start {
				return
			}
			// The first one comes again, too late.
			if told := w.decided(t, request(nil), asked("1", now)); told.Reason != Running || len(w.started) != 1 {
				t.Errorf("%+v", told)
			}
		})
	}
	t.Run("killed behind the start", func(t *testing.T) {
		w := newWorld()
		w.killed(t, "StartExecution", request(nil), asked("1", now))
		if told := w.decided(t, request(nil), asked("1", now)); told.Action != Start || len(w.started) != 1 {
			t.Errorf("%+v", told)
		}
	})
}

// What cannot be claimed, or started, is told, and is an error for Lambda to
// try again. That the run is there already is none.
func TestStartFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		break_ func(*world)
		want   Reason
	}{
		{"nothing fails", func(*world) {}, Wanted},
		{"the claim", func(w *world) { w.putErr = errors.New("no table") }, StartFailed},
		{"the start", func(w *world) { w.startErr = errors.New("no machine") }, StartFailed},
		{"the run has been there", func(w *world) { w.startErr = &sfntypes.ExecutionAlreadyExists{} }, Wanted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			tt.break_(w)
			out, err := w.guard().Decide(t.Context(), Input{Trigger: request(nil), Event: asked("1", now)})
			if (err != nil) != (tt.want == StartFailed) || len(out.Decisions) != 1 {
				t.Fatalf("%+v, %v", out, err)
			}
			told := out.Decisions[0]
			if told.Reason != tt.want || (told.Execution == "") != (tt.want == StartFailed) || len(w.notices) != 1 {
				t.Errorf("%+v, %d messages", told, len(w.notices))
			}
		})
	}
}

// The run is started with what the trigger says.
func TestInput(t *testing.T) {
	for _, tt := range []struct {
		mode     Mode
		disaster bool
		want     string
	}{
		{ModeAutomatic, false, `{"Options":{"Approval":false,"Mode":"run"},"Payload":"orders"}`},
		{ModeAutomatic, true, `{"Options":{"Approval":false,"Disaster":true,"Mode":"run"},"Payload":"orders"}`},
		{ModeApprove, true, `{"Options":{"Approval":true,"Disaster":true,"Mode":"run"},"Payload":"orders"}`},
	} {
		t.Run(fmt.Sprint(tt.mode, tt.disaster), func(t *testing.T) {
			w := newWorld()
			w.decided(t, request(func(t *Trigger) { t.Mode, t.Disaster = tt.mode, tt.disaster }), asked("1", now))
			if len(w.started) != 1 || aws.ToString(w.started[0].Input) != tt.want || aws.ToString(w.started[0].StateMachineArn) != machines+"failover:live" {
				t.Errorf("%+v", w.started)
			}
		})
	}
}

// Whoever acknowledges the newest run has seen the others.
func TestAcknowledged(t *testing.T) {
	runs := []execution{
		{machine: "failback", name: "first", status: "FAILED", started: ago(50)},
		{machine: "failover", name: "second", status: "FAILED", started: ago(40)},
		{machine: "failback", name: "third", status: "SUCCEEDED", started: ago(30)},
	}
	for _, tt := range []struct {
		name string
		ack  int // which run; -1: none
		want Reason
	}{{"none", -1, CoolDown}, {"the first", 0, CoolDown}, {"the second", 1, CoolDown}, {"the newest", 2, Wanted}} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.executions = runs
			if tt.ack >= 0 {
				r := Run{Execution: runs[tt.ack].arn(), Started: runs[tt.ack].started}
				if err := w.guard().Memory.Acknowledge(t.Context(), r, "ann", "seen", now); err != nil {
					t.Fatal(err)
				}
			}
			if told := w.decided(t, request(nil), asked("1", now)); told.Reason != tt.want {
				t.Errorf("%s: %s", told.Reason, told.Why)
			}
		})
	}
}

// The acknowledgement of a run is not taken back by that of an earlier one,
// however close together they began; the same one may come again.
func TestAnOlderRunIsAcknowledgedLater(t *testing.T) {
	newer := Run{Execution: "arn:newer", Started: now.Truncate(time.Second).Add(500 * time.Millisecond)}
	for _, tt := range []struct {
		name string
		next Run
		want string // what holds then
	}{
		{"older by minutes", Run{Execution: "arn:other", Started: newer.Started.Add(-time.Minute)}, "arn:newer"},
		{"older by part of a second", Run{Execution: "arn:other", Started: newer.Started.Truncate(time.Second)}, "arn:newer"},
		{"the same", newer, "arn:newer"},
		{"newer by part of a second", Run{Execution: "arn:other", Started: newer.Started.Add(20 * time.Millisecond)}, "arn:other"},
		{"newer", Run{Execution: "arn:other", Started: newer.Started.Add(time.Minute)}, "arn:other"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			memory := newWorld().guard().Memory
			if err := memory.Acknowledge(t.Context(), newer, "ann", "seen", now); err != nil {
				t.Fatal(err)
			}
			err := memory.Acknowledge(t.Context(), tt.next, "bob", "", now)
			var kept *NewerAcknowledged
			if errors.As(err, &kept) != (tt.want != tt.next.Execution) || kept == nil && err != nil || kept != nil && *kept != (NewerAcknowledged{"arn:newer", "ann", "seen"}) {
				t.Errorf("%v", err)
			}
			if got, err := memory.Acknowledged(t.Context()); err != nil || got == nil || got.Execution != tt.want {
				t.Errorf("%+v holds, %v", got, err)
			}
		})
	}
}

// A message has what a person needs who has it and nothing else: commands that
// work as they stand, and links.
func TestMessages(t *testing.T) {
	const page = "https://us-west-2.console.aws.amazon.com/states/home?region=us-west-2#/"
	ran := execution{machine: "failback", name: "last", status: "SUCCEEDED", started: ago(10)}
	for _, tt := range []struct {
		name       string
		trigger    func(*Trigger)
		deployment string
		executions []execution
		says       []string
		not        []string
	}{
		{"started", nil, "dr", nil, []string{"drctl stop " + runPrefix + "failover:trigger-by-hand-", page + "v2/executions/details/" + runPrefix + "failover:trigger-by-hand-"}, []string{"Start it"}},
		{"asked", func(t *Trigger) { t.Mode = ModeApprove }, "dr", nil, []string{"drctl approve arn:", "drctl decline arn:", page + "v2/executions/details/arn:"}, []string{"Start it"}},
		{"wanted", func(t *Trigger) { t.Mode = ModeNotify }, "dr", nil, []string{
			"--state-machine-arn " + machines + `failover:live --input '{"Options":{"Approval":false,"Mode":"run"},"Payload":"orders"}'`,
			page + "statemachines/view/" + machines + "failover\n", "drctl downtime --for 2h --reason WHY --region us-west-2 --name dr\n",
		}, []string{"v2/executions", "Disaster"}},
		{"wanted after a disaster", func(t *Trigger) { t.Mode, t.Disaster = ModeNotify, true }, "dr", nil, []string{`--input '{"Options":{"Approval":false,"Disaster":true,"Mode":"run"},"Payload":"orders"}'`}, nil},
		{"by the default prefix", func(t *Trigger) { t.Mode = ModeNotify }, "dr-orchestrator", nil, []string{"--reason WHY --region us-west-2\n"}, []string{"--name"}},
		{"within the cool-down", nil, "dr", []execution{ran}, []string{"drctl acknowledge " + ran.arn() + "\n", page + "v2/executions/details/" + ran.arn() + "\n", page + "statemachines/view/"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld()
			w.executions = tt.executions
			g := w.guard()
			g.Deployment = tt.deployment
			if _, err := g.Decide(t.Context(), Input{Trigger: request(tt.trigger), Event: asked("1", now)}); err != nil || len(w.notices) != 1 {
				t.Fatalf("%d messages, %v", len(w.notices), err)
			}
			message := aws.ToString(w.notices[0].Message)
			for _, text := range tt.says {
				if !strings.Contains(message, text) {
					t.Errorf("%q is not in:\n%s", text, message)
				}
			}
			for _, text := range tt.not {
				if strings.Contains(message, text) {
					t.Errorf("%q is in:\n%s", text, message)
				}
			}
		})
	}
}
