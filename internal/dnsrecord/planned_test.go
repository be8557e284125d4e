package dnsrecord

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"dr-orchestrator/internal/action"
)

// What the preflight saw counts as seen, so that someone who comes between it
// and the first call, or while that call is turned away, is not overwritten.
func TestAChangeSinceThePlanIsNotOverwritten(t *testing.T) {
	p := SwapParameters{Records: []Record{
		{Zone: "Z1", Name: "db.example", Type: "CNAME", Values: []string{"new.example"}},
		{Zone: "Z2", Name: "db.example", Type: "CNAME", Values: []string{"new.example"}},
	}}
	// The fake has one list for all zones, so that both records read alike.
	records := func(value string) *zones {
		return &zones{page: 300, sets: []types.ResourceRecordSet{simple("db.example", "CNAME", value)}}
	}
	req := request(p, action.Drive{})
	ready, err := Swap{Route53: records("old.example")}.Preflight(t.Context(), req)
	if err != nil || len(strings.Fields(ready.Seen)) != 3 {
		t.Fatalf("seen %q: %v", ready.Seen, err)
	}
	for _, tt := range []struct {
		name, seen, now string
		class           action.Class
		calls           int
		status          action.Status
	}{
		{"as planned", ready.Seen, "old.example", "", 1, action.InProgress},
		{"changed by someone else", ready.Seen, "other.example", action.Refused, 0, ""},
		{"laid out otherwise", strings.Join(strings.Fields(ready.Seen)[:2], " "), "old.example", action.Refused, 0, ""},
		{"a plan that noted nothing", "", "other.example", "", 1, action.InProgress},
		// By an earlier try of this layer, or by someone: it gets its time to spread.
		{"as wanted since", ready.Seen, "new.example", "", 0, action.InProgress},
		{"as wanted, nobody knows since when", "", "new.example", "", 0, action.InProgress},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z := records(tt.now)
			req := request(p, action.Drive{})
			req.Resource.Seen = tt.seen
			progress, err := Swap{Route53: z, Ask: unheard}.Reconcile(t.Context(), req)
			if len(z.changes) != tt.calls || err == nil && progress.Status != tt.status || (err == nil) != (tt.class == "") || err != nil && action.ClassOf(err) != tt.class {
				t.Errorf("%d calls, %s, %v, want %d, %s, %s", len(z.changes), progress.Status, err, tt.calls, tt.status, tt.class)
			}
		})
	}
}

// A layer that is begun a second time finds what its first try changed.
func TestALayerBegunAgainGoesOn(t *testing.T) {
	of := func(zone, host, value string) batch {
		now, to := simple(host, "A", value), simple(host, "A", "192.0.2.9")
		return batch{zone: zone, step: zone + "/0 ", changes: []change{{before: now, after: to}}, names: []name{{before: []types.ResourceRecordSet{now}}}}
	}
	before := []batch{of("Z1", "a.example", "192.0.2.1"), of("Z2", "b.example", "192.0.2.1")}
	now := []batch{of("Z1", "a.example", "192.0.2.9"), before[1]}
	seen := planned(noted(noon, before), now)
	req := request(SwapParameters{}, action.Drive{})
	for i, want := range []action.Move{action.MoveWait, action.MoveAct} {
		if d := decide(now[i], readNote(req, now[i], seen[i]), nil); d.Move != want {
			t.Errorf("batch %d: %v %s", i, d.Move, d.Reason)
		}
	}
}

// What Route 53 turned away takes nothing with it that the look had found out.
func TestACallTurnedAwayKeepsWhatWasSeen(t *testing.T) {
	p := SwapParameters{Records: []Record{{Zone: "Z1", Name: "db.example", Type: "CNAME", Values: []string{"new.example"}}}}
	z := &zones{page: 300, change: &types.InvalidChangeBatch{Messages: []string{"no"}}, sets: []types.ResourceRecordSet{simple("db.example", "CNAME", "old.example")}}
	progress, err := Swap{Route53: z, Ask: unheard}.Reconcile(t.Context(), request(p, action.Drive{}))
	if err != nil || !progress.Contended || progress.Memo["Z1/0 "+memoSeen] == "" || progress.Memo["Z1/0 requestedAt"] != "" {
		t.Fatalf("%+v, %v", progress, err)
	}
	z.change = nil
	for value, class := range map[string]action.Class{"old.example": "", "other.example": action.Refused} {
		z.sets[0], z.changes = simple("db.example", "CNAME", value), nil
		_, err := Swap{Route53: z, Ask: unheard}.Reconcile(t.Context(), request(p, action.Drive{Changed: action.ChangeUnknown, Memo: progress.Memo}))
		if (err == nil) != (class == "") || err != nil && action.ClassOf(err) != class || len(z.changes) > 0 != (class == "") {
			t.Errorf("%s: %d calls, %v, want %q", value, len(z.changes), err, class)
		}
	}
}

// A shift starts from the weights that its plan saw.
func TestAShiftStartsFromThePlan(t *testing.T) {
	p := ShiftParameters{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: "west", Steps: []string{"10", "100"}}
	zone := func(east, west int64) *zones {
		return &zones{page: 300, status: types.ChangeStatusInsync, sets: []types.ResourceRecordSet{weighted("www.example", "east", east, "192.0.2.1"), weighted("www.example", "west", west, "192.0.2.2")}}
	}
	req := action.Request[ShiftParameters]{Run: action.Run{ID: "run-1", Region: "us-west-2"}, Parameters: p, Drive: action.Drive{Changed: action.ChangeNo}, Now: noon}
	ready, err := Shift{Route53: zone(100, 0)}.Preflight(t.Context(), req)
	if err != nil || ready.Seen == "" {
		t.Fatalf("seen %q: %v", ready.Seen, err)
	}
	req.Resource.Seen = ready.Seen
	for _, tt := range []struct {
		name       string
		east, west int64
		class      action.Class
		first      string
	}{
		{"as planned", 100, 0, "", `{"east":100,"west":0}`},
		{"someone else's weights", 70, 30, action.Refused, ""},
		{"a step of this shift, by an earlier try", 180, 20, "", `{"east":100,"west":0}`},
		{"the last step, by an earlier try", 0, 200, "", `{"east":100,"west":0}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z := zone(tt.east, tt.west)
			progress, err := Shift{Route53: z}.Reconcile(t.Context(), req)
			if (err == nil) != (tt.class == "") || err != nil && action.ClassOf(err) != tt.class || progress.Memo[memoFirst] != tt.first && tt.class == "" || len(z.changes) > 0 || progress.Status == action.Done {
				t.Errorf("%v with memo %v and %d calls, want %q", err, progress.Memo, len(z.changes), tt.class)
			}
		})
	}
}

// A database that no longer writes is a target that does not answer: it is
// looked at again for a while, and then traffic goes back.
func TestAShiftGoesBackFromADatabaseThatDoesNotWrite(t *testing.T) {
	writer, replica := databases{instance: &rdstypes.DBInstance{DBInstanceStatus: aws.String("available")}}, databases{instance: &rdstypes.DBInstance{ReadReplicaSourceDBInstanceIdentifier: aws.String("s")}}
	for _, tt := range []struct {
		name     string
		api      databases
		failures string
		unmet    time.Duration
		back     string
	}{
		{"writes", writer, "2", unmetTime, ""},
		{"not for the third time", replica, "1", unmetTime, ""},
		{"not for long enough", replica, "2", unmetTime - time.Second, ""},
		{"does not write", replica, "2", unmetTime, "rds-instance/i in us-west-2 is a replica (3 looks in a row)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			z := &zones{page: 300, sets: []types.ResourceRecordSet{weighted("www.example", "east", 180, "192.0.2.1"), weighted("www.example", "west", 20, "192.0.2.2")}}
			req := action.Request[ShiftParameters]{Run: action.Run{ID: "run-1", Region: "us-west-2"}, Now: noon,
				Parameters: ShiftParameters{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: "west", Steps: []string{"10", "100"}, HoldSeconds: 600, Requires: []string{"rds-instance/i"}},
				Drive:      action.Drive{Changed: action.ChangeYes, Memo: map[string]string{memoFirst: `{"east":100,"west":0}`, memoFailures: tt.failures, memoUnmet: noon.Add(-tt.unmet).Format(time.RFC3339), "10% since": noon.Format(time.RFC3339)}}}
			progress, err := Shift{Route53: z, Databases: tt.api}.Reconcile(t.Context(), req)
			if err != nil || progress.Memo[memoBack] != tt.back || len(z.changes) > 0 || (progress.Memo[memoFailures] == "0") != (progress.Memo[memoUnmet] == "") {
				t.Errorf("memo %v, %v, want back %q", progress.Memo, err, tt.back)
			}
		})
	}
}

// What reads as wanted already may have been changed a moment ago, by a run that
// was ended: it is done after the time to spread, which a plan that saw it may
// have begun. Name servers prove nothing: old records may give the same answers.
func TestWhatReadsAsWantedBeforeTheRunGetsItsTimeToSpread(t *testing.T) {
	p := SwapParameters{Records: []Record{{Zone: "Z1", Name: "db.example", Type: "A", Values: []string{"192.0.2.1"}}}}
	z := func() *zones {
		return &zones{page: 300, sets: []types.ResourceRecordSet{simple("db.example", "A", "192.0.2.1")}}
	}
	ready := func(ago time.Duration) string {
		req := request(p, action.Drive{})
		req.Now = noon.Add(-ago)
		r, err := Swap{Route53: z()}.Preflight(t.Context(), req)
		if err != nil || r.Observed != action.StateDone {
			t.Fatalf("%+v, %v", r, err)
		}
		return r.Seen
	}
	for _, tt := range []struct {
		name   string
		seen   string
		memo   map[string]string
		ask    Ask
		status action.Status
	}{
		{"the plan saw it a minute ago", ready(propagation), nil, unheard, action.Done},
		{"the plan saw it just now", ready(propagation - time.Second), nil, unheard, action.InProgress},
		{"the plan saw something else a minute ago", noon.Add(-propagation).Format(time.RFC3339) + " 0123456789abcdef", nil, unheard, action.InProgress},
		{"this run saw it a minute ago", "", map[string]string{"Z1/0 seen": seenWanted, "Z1/0 since": noon.Add(-propagation).Format(time.RFC3339)}, unheard, action.Done},
		{"this run saw it just now", "", map[string]string{"Z1/0 seen": seenWanted, "Z1/0 since": noon.Add(time.Second - propagation).Format(time.RFC3339)}, unheard, action.InProgress},
		{"every name server answers so", "", nil, answering("192.0.2.1", "192.0.2.1"), action.InProgress},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := request(p, action.Drive{Memo: tt.memo})
			req.Resource.Seen = tt.seen
			z := z()
			progress, err := Swap{Route53: z, Ask: tt.ask}.Reconcile(t.Context(), req)
			if err != nil || progress.Status != tt.status || len(z.changes) > 0 {
				t.Errorf("%s (%s), %v, want %s", progress.Status, progress.Message, err, tt.status)
			}
		})
	}
}

// The same of the last step of a shift.
func TestALastStepFromBeforeTheRunGetsItsTimeToSpread(t *testing.T) {
	p := ShiftParameters{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: "west", Steps: []string{"10", "100"}}
	for ago, status := range map[time.Duration]action.Status{propagation: action.Done, propagation - time.Second: action.InProgress} {
		z := &zones{page: 300, sets: []types.ResourceRecordSet{weighted("www.example", "east", 0, "192.0.2.1"), weighted("www.example", "west", 200, "192.0.2.2")}}
		req := action.Request[ShiftParameters]{Run: action.Run{ID: "run-1", Region: "us-west-2"}, Parameters: p, Drive: action.Drive{Changed: action.ChangeNo}, Now: noon.Add(-ago)}
		ready, err := Shift{Route53: z}.Preflight(t.Context(), req)
		if err != nil || ready.Observed != action.StateDone {
			t.Fatalf("%+v, %v", ready, err)
		}
		req.Resource.Seen, req.Now = ready.Seen, noon
		progress, err := Shift{Route53: z}.Reconcile(t.Context(), req)
		if err != nil || progress.Status != status || len(z.changes) > 0 {
			t.Errorf("seen %s ago: %s (%s), %v, want %s", ago, progress.Status, progress.Message, err, status)
		}
	}
}

// The sets of a name that the payload does not name decide with the others who
// gets traffic: a plan tells, and a change of theirs since is not passed over.
func TestSetsThatAreNotNamedCount(t *testing.T) {
	weigh := func(set string, weight int) Record {
		return Record{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: set, Weight: aws.Int(weight)}
	}
	set := func(id string, weight int64) types.ResourceRecordSet {
		return weighted("www.example", id, weight, "192.0.2.1")
	}
	zone := func(sets ...types.ResourceRecordSet) *zones { return &zones{page: 300, sets: sets} }
	two := []Record{weigh("a", 0), weigh("b", 100)}
	for _, tt := range []struct {
		name          string
		planned, then *zones
		records       []Record
		left          string // in the plan's warning
		shares        string
		refused       bool
	}{
		{"all are named", zone(set("a", 100), set("b", 0)), zone(set("a", 100), set("b", 0)), two, "", "b 100 %", false},
		{"a third keeps traffic", zone(set("a", 100), set("b", 0), set("c", 100)), zone(set("a", 100), set("b", 0), set("c", 100)), two, "keeps traffic at c", "b 50 %, c 50 %", false},
		{"a third has none", zone(set("a", 100), set("b", 0), set("c", 0)), zone(set("a", 100), set("b", 0), set("c", 0)), two, "", "b 100 %", false},
		{"the rest is left to the others", zone(set("a", 100), set("b", 100)), zone(set("a", 100), set("b", 100)), two[:1], "", "b 100 %", false},
		{"a third has come since", zone(set("a", 100), set("b", 0)), zone(set("a", 100), set("b", 0), set("c", 100)), two, "", "b 100 %", true},
		{"a third has another weight since", zone(set("a", 100), set("b", 0), set("c", 1)), zone(set("a", 100), set("b", 0), set("c", 2)), two, "keeps traffic at c", "b 99 %, c 0.99 %", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := request(SwapParameters{Records: tt.records}, action.Drive{})
			ready, err := Swap{Route53: tt.planned}.Preflight(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			told := ""
			for _, f := range ready.Findings {
				if strings.Contains(f.Message, "keeps traffic") {
					told = f.Message
				}
			}
			if (told != "") != (tt.left != "") || !strings.Contains(told, tt.left) {
				t.Errorf("plan: %q, want %q", told, tt.left)
			}
			if got := ready.Evidence["sharesThen"].(map[string]string)["www.example. A"]; got != tt.shares {
				t.Errorf("shares %q, want %q", got, tt.shares)
			}
			req.Resource.Seen = ready.Seen
			_, err = Swap{Route53: tt.then}.Reconcile(t.Context(), req)
			if (err != nil) != tt.refused || tt.refused && action.ClassOf(err) != action.Refused || (len(tt.then.changes) == 0) != tt.refused {
				t.Errorf("%v, %d calls, want refused %t", err, len(tt.then.changes), tt.refused)
			}
		})
	}
}

// A shift does not go on to a set that has been led elsewhere since the plan, or
// since the run began; what was moved goes back all the same.
func TestAShiftDoesNotFollowAChangedTarget(t *testing.T) {
	p := ShiftParameters{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: "west", Steps: []string{"10", "100"}}
	zone := func(east, west int64, change func(*types.ResourceRecordSet)) *zones {
		set := weighted("www.example", "west", west, "192.0.2.2")
		change(&set)
		return &zones{page: 300, status: types.ChangeStatusInsync, sets: []types.ResourceRecordSet{weighted("www.example", "east", east, "192.0.2.1"), set}}
	}
	same := func(*types.ResourceRecordSet) {}
	for name, change := range map[string]func(*types.ResourceRecordSet){
		"nothing": same,
		"TTL":     func(s *types.ResourceRecordSet) { s.TTL = aws.Int64(5) },
		"value": func(s *types.ResourceRecordSet) {
			s.ResourceRecords = []types.ResourceRecord{{Value: aws.String("192.0.2.9")}}
		},
		"health check": func(s *types.ResourceRecordSet) { s.HealthCheckId = aws.String("hc-1") },
	} {
		t.Run(name, func(t *testing.T) {
			refused := name == "value" || name == "health check"
			req := action.Request[ShiftParameters]{Run: action.Run{ID: "run-1", Region: "us-west-2"}, Parameters: p, Drive: action.Drive{Changed: action.ChangeNo}, Now: noon}
			ready, err := Shift{Route53: zone(100, 0, same)}.Preflight(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			want := func(at string, class action.Class, z *zones, calls int) action.Progress {
				t.Helper()
				progress, err := Shift{Route53: z}.Reconcile(t.Context(), req)
				if !refused {
					class = ""
				}
				if (err == nil) != (class == "") || err != nil && action.ClassOf(err) != class || refused && len(z.changes) != calls {
					t.Errorf("%s: %v with %d calls, want %q with %d", at, err, len(z.changes), class, calls)
				}
				return progress
			}
			req.Resource.Seen = ready.Seen
			want("since the plan", action.Refused, zone(100, 0, change), 0)

			req.Resource.Seen = ""
			first, err := Shift{Route53: zone(100, 0, same)}.Reconcile(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			req.Drive.Memo = first.Memo
			want("since the first look", action.Refused, zone(100, 0, change), 0)

			req.Drive.Changed = action.ChangeYes
			req.Drive.Memo["10% since"] = noon.Add(-time.Hour).Format(time.RFC3339)
			want("after the first step", action.Conflict, zone(180, 20, change), 0)

			req.Drive.Memo[memoBack] = "no answer"
			want("on the way back", "", zone(180, 20, change), 1)
		})
	}
}
