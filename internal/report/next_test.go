package report

import (
	"strings"
	"testing"

	"dr-orchestrator/internal/action"
)

// What a run was for says what it has reached, and what is left to a person:
// only after a takeover anybody is told to direct applications, and after one
// that has moved the traffic, too, not even then.
func TestASuccessIsToldByWhatTheRunWasFor(t *testing.T) {
	const direct = "Direct the applications to us-west-2"
	for _, tt := range []struct {
		name     string
		purposes []action.Purpose
		headline string
		caption  string
		first    string
		not      string
	}{
		{"a takeover", []action.Purpose{action.Fences, action.Checks, action.TakesOver}, "Recovered:", "Region taking over", direct, "given back"},
		{"a takeover with its traffic", []action.Purpose{action.TakesOver, action.Checks, action.MovesTraffic}, "Recovered:", "Region taking over", "See that the applications work where the traffic leads now (db-2)", direct},
		{"protection", []action.Purpose{action.Protects}, "Protected again:", "Region of the run", "Leave the applications where they are: what was made in us-west-2 only follows", direct},
		{"protection beside a takeover", []action.Purpose{action.Protects, action.TakesOver}, "Recovered:", "Region taking over", direct, "Leave the applications"},
		{"traffic alone", []action.Purpose{action.MovesTraffic}, "Traffic moved:", "Region of the run", "See that the applications work where the traffic leads now (db-0)", direct},
		{"a release", []action.Purpose{action.Fences}, "Done:", "Region of the run", "See what is fenced and what is given back (db-0: as it is)", direct},
		{"jobs", []action.Purpose{action.MovesJobs}, "Done:", "Region of the run", "See that consumers and schedules run on one side only (db-0)", direct},
		{"checks", []action.Purpose{action.Checks, action.Checks}, "Checked:", "Region of the run", "See what was found (db-0: as it is, db-1: as it is). The run only looked", direct},
		{"a question", []action.Purpose{action.Asks}, "Approved:", "Region of the run", "See what was found (db-0: as it is)", direct},
		{"nothing is known of", nil, "Done:", "Region of the run", "See that the applications work.", "only looked"},
		{"a record of before there were purposes", []action.Purpose{""}, "Done:", "Region of the run", "See that the applications work.", direct},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := recordOf(len(tt.purposes))
			r.Outcome, r.Cause = Succeeded, ""
			i := 0
			for l := range r.Layers {
				for n := range r.Layers[l].Resources {
					x := &r.Layers[l].Resources[n]
					x.Status, x.Error, x.RPO, x.Message, x.Purpose = Done, nil, nil, "as it is", tt.purposes[i]
					x.Changed = x.Purpose == action.TakesOver
					i++
				}
			}
			steps := strings.Join(r.Next(), "\n")
			if !strings.HasPrefix(r.Headline(), tt.headline) || !strings.HasPrefix(steps, tt.first) || strings.Contains(steps, tt.not) {
				t.Errorf("%s\n%s", r.Headline(), steps)
			}
			if page := string(r.HTML()); !strings.Contains(page, "<dt>"+tt.caption+"</dt>") {
				t.Errorf("the page does not say %q", tt.caption)
			}
		})
	}
	// Every purpose has words of its own.
	for _, p := range action.Purposes {
		r := Record{Outcome: Succeeded, Layers: []Layer{{Resources: []Resource{{Status: Done, Purpose: p}}}}}
		if len(r.achieved(r.Tally())) == 0 || strings.HasPrefix(r.achieved(r.Tally())[0], "See that the applications work.") {
			t.Errorf("%s: %q", p, r.achieved(r.Tally()))
		}
	}
}

// Only what reached its goal counts: an optional takeover that failed is none.
func TestATakeoverThatFailedIsNone(t *testing.T) {
	r := Record{Outcome: Succeeded, Layers: []Layer{{Resources: []Resource{
		{Status: Failed, Purpose: action.TakesOver, Optional: true}, {Status: Done, Purpose: action.Protects},
	}}}}
	if steps := strings.Join(r.Next(), "\n"); !strings.HasPrefix(r.Headline(), "Protected again") || strings.Contains(steps, "Direct") || !strings.Contains(steps, "optional") {
		t.Errorf("%s\n%s", r.Headline(), steps)
	}
}

// What stood at its goal before a run is no recovery of that run, and whether it
// holds what it should is the first thing to see.
func TestWhatStoodIsNoRecovery(t *testing.T) {
	stood := Resource{ResourceName: "orders", Status: Done, Purpose: action.TakesOver, Findings: []action.Finding{{Verdict: action.VerdictWarning, Message: "orders was promoted before"}, {Verdict: action.VerdictReady, Message: "fine"}}}
	moved := Resource{ResourceName: "billing", Status: Done, Purpose: action.TakesOver, Changed: true}
	came := Resource{ResourceName: "billing", Status: Done, Purpose: action.TakesOver, Before: action.StateUnderWay}
	traffic := Resource{ResourceName: "www", Status: Done, Purpose: action.MovesTraffic, Changed: true}
	failed := Resource{ResourceName: "extra", Status: Failed, Purpose: action.TakesOver, Optional: true}
	many := make([]Resource, 9)
	for i := range many {
		many[i] = stood
	}
	const see = "See that orders holds what it should, before anything else: it was at its goal before this run, which has moved nothing there. orders was promoted before."
	for _, tt := range []struct {
		name     string
		all      []Resource
		headline string
		first    string
		meaning  string
	}{
		{"stood", []Resource{stood}, "Nothing to recover: every resource is at its goal, and was before", see, "every resource"},
		{"moved", []Resource{moved}, "Recovered: every resource is at its goal", "Direct the applications", "every resource"},
		{"came", []Resource{came}, "Recovered: every", "Direct the applications", "every resource"},
		{"one of two stood", []Resource{moved, stood}, "Recovered: every", see, "every resource"},
		{"stood, and the traffic moved", []Resource{stood, traffic}, "Traffic moved: every", see, "every resource"},
		{"an optional one failed", []Resource{moved, failed}, "Recovered: but for 1 optional resource", "Direct the applications", "1 of 2 resources"},
		{"only an optional one, and it failed", []Resource{failed}, "Nothing done:", "Look after what is optional", "0 of 1 resources"},
		{"many stood", many, "Nothing to recover", see, "every resource"},
	} {
		r := Record{Outcome: Succeeded, Layers: []Layer{{Resources: tt.all}}}
		steps := r.Next()
		if !strings.HasPrefix(r.Headline(), tt.headline) || len(steps) == 0 || !strings.HasPrefix(steps[0], tt.first) || !strings.HasPrefix(r.Meaning(), tt.meaning) {
			t.Errorf("%s: %s, %s\n%s", tt.name, r.Headline(), r.Meaning(), strings.Join(steps, "\n"))
		}
		if tt.name == "many stood" && (len(steps) != fewStood+2 || !strings.Contains(steps[fewStood], "4 more")) {
			t.Errorf("%s", strings.Join(steps, "\n"))
		}
	}
}

// A fence that could not be proved is at no goal, and is the first thing to be
// made up for; one that is shut while nothing took over leaves nobody to write.
func TestFencesInAReport(t *testing.T) {
	fence := func(says string) Resource {
		return Resource{ResourceName: "fence", Status: Done, Purpose: action.Fences, Polls: 9, Evidence: action.Evidence{"fence": says}}
	}
	moved := Resource{ResourceName: "orders", Status: Done, Purpose: action.TakesOver, Changed: true}
	failed := Resource{ResourceName: "orders", Status: Failed, Purpose: action.TakesOver, Error: &Error{Class: "Terminal"}}
	before := Resource{ResourceName: "orders", Status: Skipped, Purpose: action.TakesOver, Before: action.StateDone}
	shut := Resource{ResourceName: "fence", Status: Skipped, Purpose: action.Fences, Before: action.StateDone}
	open := Resource{ResourceName: "fence", Status: Failed, Purpose: action.Fences, Before: action.StateReady, Evidence: action.Evidence{"fence": "unknown"}}
	const nobody, loose = "Nobody can write: the fence is shut (fence), and nothing has taken over (orders)", "Fence what could not be"
	for _, tt := range []struct {
		name    string
		outcome Outcome
		all     []Resource
		state   string
		says    string // in the next steps; empty: neither
	}{
		{"proved", Succeeded, []Resource{fence("fenced"), moved}, "All 2 resources are at the goal in us-west-2: 1 brought there by this run, 1 came there", ""},
		{"not proved", Succeeded, []Resource{fence("unknown"), moved}, "1 of 2 resources are at the goal in us-west-2: 1 brought there by this run, 0 there before. 1 could not be fenced", loose},
		{"shut by this run, and nothing took over", FailedDirty, []Resource{fence("fenced"), failed}, "", nobody},
		{"shut before this run, and refused", Refused, []Resource{shut, {ResourceName: "orders", Status: Skipped, Purpose: action.TakesOver}}, "", nobody},
		{"shut, and something took over before", FailedDirty, []Resource{fence("fenced"), before}, "", ""},
		{"not shut", FailedDirty, []Resource{open, failed}, "", ""},
		{"given back", FailedDirty, []Resource{fence("released"), failed}, "", ""},
	} {
		r := Record{Outcome: tt.outcome, Run: action.Run{Region: "us-west-2"}, Layers: []Layer{{Resources: tt.all}}}
		steps := strings.Join(r.Next(), "\n")
		if !strings.HasPrefix(r.State(), tt.state) {
			t.Errorf("%s: %q", tt.name, r.State())
		}
		for _, text := range []string{nobody, loose} {
			if strings.Contains(steps, text) != (text == tt.says) {
				t.Errorf("%s:\n%s", tt.name, steps)
			}
		}
		if tt.says == nobody && !strings.HasPrefix(steps, nobody) {
			t.Errorf("%s: it is not the first thing:\n%s", tt.name, steps)
		}
		if whole := strings.Contains(r.Meaning(), "but for 1 fence"); whole != (tt.says == loose) {
			t.Errorf("%s: %s", tt.name, r.Meaning())
		}
	}
}

// Commands name the machine that the record knows.
func TestCommandsNameTheMachine(t *testing.T) {
	for _, tt := range []struct{ machine, execution, want string }{
		{"failover", "arn:aws:states:us-east-1:1:execution:dr-orchestrator-failover:x", "FILE --machine failover --region us-east-1"},
		{"failback", "arn:aws:states:us-east-1:1:execution:dr-orchestrator-failback:x", "FILE --machine failback --region us-east-1"},
		{"failback", "arn:aws:states:us-east-1:1:execution:shop-failback:x", "FILE --machine failback --name shop --region us-east-1"},
		{"", "", "FILE --region us-east-1"}, // of a run that came to write no plan
	} {
		for outcome, command := range map[Outcome]string{Succeeded: "drctl start ", FailedClean: "drctl plan "} {
			r := Record{Mode: "plan", Outcome: outcome, Layers: []Layer{{Resources: []Resource{{}}}}}
			r.Run.Region, r.Run.Machine, r.Run.Execution = "us-east-1", tt.machine, tt.execution
			if steps := r.Next(); !strings.HasSuffix(steps[len(steps)-1], ": "+command+tt.want) {
				t.Errorf("%s of %s: %q", outcome, tt.machine, steps)
			}
		}
	}
}

// A stored payload has a name, and its user no file.
func TestCommandsNameAStoredPayload(t *testing.T) {
	for source, want := range map[string]string{
		"s3://bucket/payloads/failback-mysql.json": "drctl start --stored failback-mysql --machine failback --region us-east-1",
		"ssm:/dr-orchestrator/payloads/orders":     "drctl start --stored orders --machine failback --region us-east-1",
	} {
		r := Record{Mode: "plan", Outcome: Succeeded, Source: source}
		r.Run.Region, r.Run.Machine, r.Run.Execution = "us-east-1", "failback", "arn:a"
		if steps := strings.Join(r.Next(), "\n"); !strings.HasSuffix(steps, ": "+want) {
			t.Error(steps)
		}
		r.Outcome = FailedClean
		if steps := strings.Join(r.Next(), "\n"); !strings.HasSuffix(steps, "Look again: drctl resume arn:a") {
			t.Error(steps)
		}
	}
}

// What ended a run says what to do: a person's no and another run's lock are no
// rule of safety, and silence of AWS is no defect to be mended.
func TestNextByCause(t *testing.T) {
	blocked := func(class action.Class) []action.Finding {
		return []action.Finding{{Verdict: action.VerdictBlocked, Class: class, Message: "no answer"}}
	}
	silent := action.OnRoute53.Service + " " + action.NotAnswered + ": listing"
	quiet := []action.Finding{{Verdict: action.VerdictBlocked, Class: action.Unreachable, Message: silent}}
	const held = Held + "db is being worked on by arn:a:b since 12:00; " + HeldWatch + "arn:a:b"
	const cause, rule, disaster, dns = "Remove the cause", "The rule protects data", "Options.Disaster", "docs/dns.md"
	for _, tt := range []struct {
		name     string
		outcome  Outcome
		mode     string
		cause    string
		disaster bool
		xs       []Resource
		headline string
		wants    []string
		nots     []string
	}{
		{"a rule", Refused, "run", "the lag is 90 s", false, nil, "Refused", []string{rule}, []string{"Talk to", "drctl watch"}},
		{"declined at first", Refused, "run", Declined + "somebody: not today", false, nil, "Declined: ", []string{"Talk to who said no"}, []string{rule, cause}},
		{"declined after a change", FailedDirty, "run", "ask: Declined: somebody: no", false,
			[]Resource{{Status: Done, Changed: true}, {Status: RefusedHere, Error: &Error{ClassDeclined, "somebody: no"}}}, "Declined half way", []string{"Talk to who said no", "drctl resume"}, []string{rule, cause}},
		{"declined beside a failure", FailedDirty, "run", "", false,
			[]Resource{{Status: Failed, Changed: true, Error: &Error{"Terminal", "broken"}}, {Status: RefusedHere, Error: &Error{ClassDeclined, "no"}}}, "Failed half way", []string{"Talk to who said no", cause}, []string{rule}},
		{"held", Refused, "run", held, false, nil, "Held: ", []string{"Wait until the other run has ended", ": drctl watch arn:a:b"}, []string{rule, cause}},
		{"held, and nobody knows by what", Refused, "run", Held + "db", false, nil, "Held: ", []string{"Wait until the other run has ended", "StartExecution)."}, []string{"drctl watch"}},
		{"held in a redrive", FailedDirty, "run", "db: Conflict: " + held, false,
			[]Resource{{Status: Failed, Changed: true, Error: &Error{"Conflict", held}}}, "Failed half way", []string{": drctl watch arn:a:b"}, []string{cause}},
		{"silence", FailedClean, "run", "", false, []Resource{{Status: Skipped, Findings: blocked(action.Unreachable)}}, "Failed", []string{disaster, cause}, []string{dns}},
		{"silence in a plan", FailedClean, "plan", "", false, []Resource{{Status: Skipped, Findings: blocked(action.Unreachable)}}, "Not ready", []string{disaster, "drctl plan"}, []string{dns}},
		{"silence in a disaster run", FailedClean, "run", "", true, []Resource{{Status: Skipped, Findings: blocked(action.Unreachable)}}, "Failed", []string{cause}, []string{disaster, dns}},
		{"an answer that speaks against it", FailedClean, "run", "", false, []Resource{{Status: Skipped, Findings: blocked(action.Denied)}}, "Failed", []string{cause}, []string{disaster, dns}},
		{"silence about records", FailedClean, "run", "", false, []Resource{{Status: Skipped, Findings: quiet}}, "Failed", []string{disaster, dns}, nil},
		{"records that could not be looked at", FailedDirty, "run", "", true,
			[]Resource{{Status: Done, Changed: true}, {Status: Failed, Error: &Error{"TimeLimit", "not done; since then: Unreachable: " + silent}}}, "Failed half way", []string{dns}, []string{disaster}},
		{"Route 53 was given up", FailedClean, "run", "", true, []Resource{{Status: Failed, Error: &Error{"Terminal", silent}}}, "Failed", []string{cause, dns}, []string{disaster}},
		{"records that were refused", FailedDirty, "run", "", true,
			[]Resource{{Status: Done, Changed: true}, {Status: Failed, Findings: quiet, Error: &Error{"Refused", "x"}}}, "Failed half way", []string{cause}, []string{dns}},
		{"records that were changed after all", FailedDirty, "run", "", true,
			[]Resource{{Status: Done, Changed: true, Findings: quiet}, {Status: Failed, Error: &Error{"Refused", "x"}}}, "Failed half way", []string{cause}, []string{dns}},
		{"another service is silent about traffic", FailedClean, "run", "", false, []Resource{{Status: Skipped, Purpose: action.MovesTraffic, Findings: blocked(action.Unreachable)}}, "Failed", []string{disaster}, []string{dns}},
		{"another service stayed silent about traffic", FailedDirty, "run", "", true,
			[]Resource{{Status: Done, Changed: true}, {Status: Failed, Purpose: action.MovesTraffic, Error: &Error{"TimeLimit", "not done; since then: Unreachable: x"}}}, "Failed half way", []string{cause}, []string{dns}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := Record{Outcome: tt.outcome, Mode: tt.mode, Cause: tt.cause, Layers: []Layer{{Resources: tt.xs}}}
			if tt.xs == nil {
				r.Layers[0].Resources = []Resource{{Status: Skipped}}
			}
			r.Run.Disaster = tt.disaster
			steps := strings.Join(r.Next(), "\n") + "\n"
			if !strings.HasPrefix(r.Headline(), tt.headline) {
				t.Errorf("%q, want %q", r.Headline(), tt.headline)
			}
			for _, want := range tt.wants {
				if !strings.Contains(steps, want) {
					t.Errorf("%q is not in\n%s", want, steps)
				}
			}
			for _, not := range tt.nots {
				if strings.Contains(steps, not) {
					t.Errorf("%q is in\n%s", not, steps)
				}
			}
		})
	}
}

// What came to its goal while a run watched was not there before it.
func TestWhatCameToItsGoalMeanwhile(t *testing.T) {
	r := Record{Outcome: Succeeded, Layers: []Layer{{Resources: []Resource{
		{Status: Done, Polls: 1, Before: action.StateDone}, {Status: Done, Polls: 2}, {Status: Done, Polls: 3, Changed: true, Before: action.StateBusy},
		{Status: Done, Polls: 1, Before: action.StateUnderWay}, {Status: Done, Polls: 1, Before: action.StateBusy},
	}}}}
	r.Run.Region = "us-west-2"
	if want := "All 5 resources are at the goal in us-west-2: 1 brought there by this run, 3 came there while it ran, 1 there before."; r.State() != want {
		t.Errorf("%q, want %q", r.State(), want)
	}
	r.Layers[0].Resources = r.Layers[0].Resources[:1]
	if strings.Contains(r.State(), "while it ran") {
		t.Error(r.State())
	}
}

// Text, page and table of a report tell what people were asked, and what they
// said.
func TestAnswers(t *testing.T) {
	r := Record{Outcome: Refused, Approval: "approved by a at 12:00: go", Layers: []Layer{{Layer: 2, Resources: []Resource{
		{ResourceName: "ask", Purpose: action.Asks, Question: "is it well?", Status: RefusedHere, Message: "declined: b: no", Error: &Error{ClassDeclined, "b: no"}},
	}}, {Layer: 3, Resources: []Resource{{ResourceName: "again", Purpose: action.Asks, Question: "and now?", Status: Skipped}}}}}
	want := "Before the first change: approved by a at 12:00: go\nAsked in layer 2, ask: is it well?: declined: b: no\n"
	if got := r.Answers(); got != want || !strings.Contains(r.Text(), want) {
		t.Errorf("%q", got)
	}
	if page := string(r.HTML()); !strings.Contains(page, "is it well? – Declined: b: no") || !strings.Contains(page, "approved by a") {
		t.Error("the page does not tell it")
	}
	if got := (Record{}).Answers(); got != "" {
		t.Errorf("of a run that asked nobody: %q", got)
	}
}

func TestPlain(t *testing.T) {
	for cause, want := range map[string]string{
		"": "", "just a text {": "just a text {", `{"a":1}`: `{"a":1}`,
		`{"errorMessage":"a \"b\"","errorType":"T"}`:                            `a "b"`,
		`{"errorType":"T","errorMessage":"a","trace":["x"]}`:                    "a",
		`since then: X: {"errorMessage":"a\nb","errorType":"T"}; and more`:      "since then: X: a\nb; and more",
		`{"errorMessage":"a","errorType":"T"} {"errorMessage":"b"}`:             "a b",
		`X: {"errorMessage":"a","errorTy`:                                       "X: a",
		`X: {"errorMessage":"abc`:                                               "X: abc",
		`X: {"errorMessage":"abc\`:                                              "X: abc",
		`X: {"errorMessage":"abc\u26`:                                           "X: abc",
		`X: {"errorMess`:                                                        `X: {"errorMess`,
		`{"errorType":"T"}`:                                                     `{"errorType":"T"}`,
		`{"errorMessage":"a {\"errorMessage\":\"in it\"}","errorType":"Inner"}`: `a {"errorMessage":"in it"}`,
	} {
		if got := Plain(cause); got != want {
			t.Errorf("%s: %q, want %q", cause, got, want)
		}
	}
}
