package action

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/audit"
)

type parameters struct {
	Name     string `param:"required"`
	Password string
}

// stub is a reconciler that does as it is told and keeps what it was asked.
type stub struct {
	progress Progress
	ready    map[string]Readiness // by resource name
	err      map[string]error     // by resource name
	panics   any
	asked    []Request[parameters]
}

func (s *stub) Preflight(_ context.Context, req Request[parameters]) (Readiness, error) {
	s.asked = append(s.asked, req)
	if s.panics != nil {
		panic(s.panics)
	}
	return s.ready[req.Resource.Name], s.err[req.Resource.Name]
}

func (s *stub) Reconcile(_ context.Context, req Request[parameters]) (Progress, error) {
	s.asked = append(s.asked, req)
	if s.panics != nil {
		panic(s.panics)
	}
	return s.progress, s.err[req.Resource.Name]
}

// vault is a Secrets with one secret.
type vault struct{ err error }

const (
	reference = "{{resolve:ssm-secure:/db}}"
	secret    = "hunter2222"
)

func (v vault) Replace(_ context.Context, in json.RawMessage) (json.RawMessage, []string, error) {
	if v.err != nil {
		return nil, nil, v.err
	}
	if !bytes.Contains(in, []byte(reference)) {
		return in, nil, nil
	}
	return bytes.ReplaceAll(in, []byte(reference), []byte(secret)), []string{secret}, nil
}

func (vault) Redact(text []byte, secrets []string) []byte {
	for _, s := range secrets {
		text = bytes.ReplaceAll(text, []byte(s), []byte("[secret]"))
	}
	return text
}

func adapter(s *stub) *Adapter[parameters] {
	return &Adapter[parameters]{Reconciler: s, Now: func() time.Time { return noon }, MinimumSeconds: 20}
}

func invoke[Out any](t *testing.T, a *Adapter[parameters], event any) (Out, Class, string) {
	t.Helper()
	data, ok := event.(string)
	if !ok {
		encoded, err := json.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		data = string(encoded)
	}
	answer, err := a.Invoke(t.Context(), []byte(data))
	var out Out
	if err != nil {
		// The runtime passes the type on only if it is this very type, not a
		// pointer to it and not wrapped.
		response, ok := err.(messages.InvokeResponse_Error) //nolint:errorlint // it must be outermost
		if !ok {
			t.Fatalf("the error is a %T", err)
		}
		if answer != nil {
			t.Errorf("an answer beside the error: %s", answer)
		}
		return out, Class(response.Type), response.Message
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		t.Fatalf("the answer %s: %v", answer, err)
	}
	return out, "", string(answer)
}

func reconcileEvent(drive Drive, baseline State) Envelope {
	return Envelope{
		Operation: OperationReconcile, Run: Run{ID: "run-1", Region: "us-west-2"},
		Resource: &Resource{Index: 3, Layer: 1, Name: "orders", Parameters: json.RawMessage(`{"Name":"orders"}`), Baseline: baseline, Watched: 1},
		Drive:    &drive,
	}
}

// What is said of a change, for every way in which an invocation can go. That
// of an invocation which gave no answer is said by the state machine: unknown.
func TestChanged(t *testing.T) {
	within, past := ago(settleTime-time.Second), ago(settleTime)
	called := Progress{Changed: true, Observed: StateReady}
	turnedAway := Progress{Contended: true, Observed: StateReady}
	saw := func(s State) Progress { return Progress{Observed: s} }
	for _, tt := range []struct {
		name        string
		before      Change
		interrupted *time.Time
		baseline    State
		progress    Progress
		want        Change
		kept        bool // interruptedAt goes on
	}{
		{"nothing said before is not no", "", nil, StateReady, saw(StateBusy), ChangeUnknown, false},
		{"nonsense said before is not no", "maybe", nil, StateReady, saw(StateBusy), ChangeUnknown, false},
		{"nothing said before, and nothing came of it", "", nil, StateReady, saw(StateReady), ChangeNo, false},
		{"waited", ChangeNo, nil, StateReady, saw(StateReady), ChangeNo, false},
		{"waited for something else", ChangeNo, nil, StateReady, saw(StateBusy), ChangeNo, false},
		{"was under way before the run", ChangeNo, nil, StateUnderWay, saw(StateUnderWay), ChangeNo, false},
		{"was done before the run", ChangeNo, nil, StateDone, saw(StateDone), ChangeNo, false},
		{"under way ended by itself", ChangeNo, nil, StateUnderWay, saw(StateDone), ChangeNo, false},
		{"begun since the preflight", ChangeNo, nil, StateReady, saw(StateUnderWay), ChangeUnknown, false},
		{"done since the preflight", ChangeNo, nil, StateReady, saw(StateDone), ChangeUnknown, false},
		{"busy at the preflight, done since", ChangeNo, nil, StateBusy, saw(StateDone), ChangeUnknown, false},
		{"called", ChangeNo, nil, StateReady, called, ChangeYes, false},
		{"called, nothing said before", "", nil, StateReady, called, ChangeYes, false},
		{"called after an unknown", ChangeUnknown, past, StateReady, called, ChangeYes, false},
		{"called a second time", ChangeYes, nil, StateReady, called, ChangeYes, false},

		{"yes stays: ready", ChangeYes, nil, StateReady, saw(StateReady), ChangeYes, false},
		{"yes stays: under way", ChangeYes, nil, StateUnderWay, saw(StateUnderWay), ChangeYes, false},
		{"yes stays: done", ChangeYes, nil, StateDone, saw(StateDone), ChangeYes, false},
		{"yes stays: turned away", ChangeYes, nil, StateReady, turnedAway, ChangeYes, false},

		{"turned away: a duplicate may have won", ChangeNo, nil, StateReady, turnedAway, ChangeUnknown, false},
		{"turned away, nothing said before", "", nil, StateReady, turnedAway, ChangeUnknown, false},
		{"turned away again", ChangeUnknown, nil, StateReady, turnedAway, ChangeUnknown, false},
		{"turned away soon after a silence", ChangeUnknown, within, StateReady, turnedAway, ChangeUnknown, true},

		{"unknown: too early to tell", ChangeUnknown, within, StateReady, saw(StateReady), ChangeUnknown, true},
		{"unknown: nothing came of it", ChangeUnknown, past, StateReady, saw(StateReady), ChangeNo, true},
		{"unknown by a conflict: nothing came of it", ChangeUnknown, nil, StateReady, saw(StateReady), ChangeNo, false},
		{"unknown: something runs", ChangeUnknown, past, StateReady, saw(StateBusy), ChangeUnknown, true},
		{"unknown: it works", ChangeUnknown, within, StateReady, saw(StateUnderWay), ChangeYes, false},
		{"unknown: it works, seen late", ChangeUnknown, past, StateReady, saw(StateUnderWay), ChangeYes, false},
		{"unknown: it worked", ChangeUnknown, within, StateReady, saw(StateDone), ChangeYes, false},
		{"unknown: done before the run", ChangeUnknown, within, StateDone, saw(StateDone), ChangeNo, false},
		{"unknown: no baseline, under way", ChangeUnknown, within, "", saw(StateUnderWay), ChangeUnknown, true},
		{"unknown: no baseline, done", ChangeUnknown, within, "", saw(StateDone), ChangeUnknown, true},
		{"unknown: baseline unknown, under way", ChangeUnknown, past, StateUnknown, saw(StateUnderWay), ChangeUnknown, true},
		{"unknown: baseline unknown, done", ChangeUnknown, past, StateUnknown, saw(StateDone), ChangeUnknown, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.progress.Status = InProgress
			got, class, text := invoke[Answer](t, adapter(&stub{progress: tt.progress}),
				reconcileEvent(Drive{StartedAt: noon, Changed: tt.before, InterruptedAt: tt.interrupted}, tt.baseline))
			if class != "" {
				t.Fatalf("%s: %s", class, text)
			}
			if got.Changed != tt.want {
				t.Errorf("changed %q, want %q", got.Changed, tt.want)
			}
			if kept := got.InterruptedAt != nil; kept != tt.kept {
				t.Errorf("interruptedAt kept: %t, want %t", kept, tt.kept)
			}
		})
	}
}

// Every pair of what was seen before the run and what is seen now, of an
// invocation that makes no call.
func TestChangedSeen(t *testing.T) {
	const no, yes, unknown = ChangeNo, ChangeYes, ChangeUnknown
	baselines := []State{StateUnknown, StateReady, StateBusy, StateUnderWay, StateDone}
	observed := []State{StateUnknown, StateReady, StateBusy, StateUnderWay, StateDone}
	type rows [5][5]Change // by observed, then by baseline
	same := func(c Change) rows {
		var all rows
		for i := range all {
			for j := range all[i] {
				all[i][j] = c
			}
		}
		return all
	}
	for _, tt := range []struct {
		name   string
		drive  Drive
		unsure bool
		want   rows
	}{
		{"no, at the first look", Drive{Changed: no}, false, rows{
			{no, no, no, no, no}, {no, no, no, no, no}, {no, no, no, no, no}, {no, unknown, unknown, no, no}, {no, unknown, unknown, no, no}}},
		{"no, later", Drive{Changed: no, Polls: 1}, false, same(no)},
		{"yes", Drive{Changed: yes}, false, same(yes)},
		{"yes, unsure", Drive{Changed: yes, Polls: 1}, true, same(yes)},
		{"unknown", Drive{Changed: unknown, Polls: 1}, false, rows{
			{unknown, unknown, unknown, unknown, unknown}, {no, no, no, no, no}, {unknown, unknown, unknown, unknown, unknown},
			{unknown, yes, yes, no, no}, {unknown, yes, yes, no, no}}},
		{"unknown, unsure", Drive{Changed: unknown, Polls: 1}, true, rows{
			{unknown, unknown, unknown, unknown, unknown}, {unknown, unknown, unknown, unknown, unknown}, {unknown, unknown, unknown, unknown, unknown},
			{unknown, yes, yes, no, no}, {unknown, yes, yes, no, no}}},
		// What was on its way before the run and was seen idle since may be on
		// its way by a call of this run.
		{"unknown, seen ready", Drive{Changed: unknown, Polls: 1, Memo: map[string]string{memoReady: "yes"}}, false, rows{
			{unknown, unknown, unknown, unknown, unknown}, {no, no, no, no, no}, {unknown, unknown, unknown, unknown, unknown},
			{unknown, yes, yes, unknown, unknown}, {unknown, yes, yes, unknown, unknown}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i, seen := range observed {
				for j, baseline := range baselines {
					got, _ := changed(tt.drive, baseline, Progress{Observed: seen}, tt.unsure)
					if got != tt.want[i][j] {
						t.Errorf("%s before the run, %s now: changed %s, want %s", baseline, seen, got, tt.want[i][j])
					}
					if baseline == StateUnknown {
						if none, _ := changed(tt.drive, "", Progress{Observed: seen}, tt.unsure); none != got {
							t.Errorf("no baseline, %s now: changed %s, want %s", seen, none, got)
						}
					}
				}
			}
		})
	}
}

// Whatever comes in, the answer is one of the three, a call is never denied,
// a yes never taken back, and a no never made of what cannot be seen.
func TestChangedAlways(t *testing.T) {
	states := []State{"", StateUnknown, StateReady, StateBusy, StateUnderWay, StateDone}
	for _, before := range []Change{"", "maybe", ChangeNo, ChangeYes, ChangeUnknown} {
		for _, interrupted := range []*time.Time{nil, ago(time.Second), ago(time.Hour)} {
			for _, baseline := range states {
				for _, observed := range states {
					for _, p := range []Progress{{Observed: observed}, {Observed: observed, Changed: true}, {Observed: observed, Contended: true}} {
						p.Status = InProgress
						got, _, _ := invoke[Answer](t, adapter(&stub{progress: p}),
							reconcileEvent(Drive{StartedAt: noon, Changed: before, InterruptedAt: interrupted}, baseline))
						at := fmt.Sprintf("before %q, baseline %q, %+v", before, baseline, p)
						switch got.Changed {
						case ChangeNo, ChangeYes, ChangeUnknown:
						default:
							t.Errorf("%s: changed is %q", at, got.Changed)
						}
						if (p.Changed || before == ChangeYes) && got.Changed != ChangeYes {
							t.Errorf("%s: changed is %q, want yes", at, got.Changed)
						}
						if p.Contended && !got.Changed.Happened() {
							t.Errorf("%s: changed is %q", at, got.Changed)
						}
						blind := observed == "" || observed == StateUnknown || observed == StateBusy
						if blind && before != ChangeNo && !got.Changed.Happened() {
							t.Errorf("%s: changed is %q", at, got.Changed)
						}
					}
				}
			}
		}
	}
}

// The note of having seen the resource ready goes from invocation to
// invocation; that of a conflict ends with the first look that has none.
func TestReconcileMemo(t *testing.T) {
	for _, tt := range []struct {
		name     string
		memo     map[string]string
		progress Progress
		want     map[string]string
	}{
		{"ready", nil, Progress{Observed: StateReady}, map[string]string{memoReady: "yes"}},
		{"busy", nil, Progress{Observed: StateBusy}, map[string]string{memoReady: "yes"}},
		{"under way", nil, Progress{Observed: StateUnderWay}, map[string]string{}},
		{"done", nil, Progress{Observed: StateDone}, map[string]string{}},
		{"unknown", nil, Progress{Observed: StateUnknown}, map[string]string{}},
		{"under way, seen ready before", map[string]string{memoReady: "yes"}, Progress{Observed: StateUnderWay}, map[string]string{memoReady: "yes"}},
		{"a conflict", nil, Progress{Observed: StateReady, Contended: true, Memo: map[string]string{memoConflict: "x"}}, map[string]string{memoReady: "yes", memoConflict: "x"}},
		{"a conflict goes on", map[string]string{memoConflict: "x"}, Progress{Observed: StateUnderWay, Contended: true}, map[string]string{memoConflict: "x"}},
		{"a conflict is over", map[string]string{memoConflict: "x"}, Progress{Observed: StateUnderWay}, map[string]string{}},
		{"a conflict ends with a call", map[string]string{memoConflict: "x"}, Progress{Observed: StateReady, Changed: true}, map[string]string{memoReady: "yes"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.progress.Status = InProgress
			got, class, text := invoke[Answer](t, adapter(&stub{progress: tt.progress}), reconcileEvent(Drive{StartedAt: noon, Changed: ChangeNo, Memo: tt.memo}, StateReady))
			if class != "" {
				t.Fatalf("%s: %s", class, text)
			}
			if diff := cmp.Diff(tt.want, got.Memo); diff != "" {
				t.Errorf("memo (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReconcileAnswer(t *testing.T) {
	lagged := 1.5
	s := &stub{progress: Progress{
		Status: InProgress, Observed: StateReady, Phase: "promoting", Message: "asked for", Changed: true, Lag: &lagged,
		Evidence: Evidence{"status": "available"}, Memo: map[string]string{"a": "new"},
	}}
	got, class, text := invoke[Answer](t, adapter(s), reconcileEvent(Drive{StartedAt: noon, Memo: map[string]string{"a": "old", "b": "kept"}}, StateReady))
	if class != "" {
		t.Fatalf("%s: %s", class, text)
	}
	want := Answer{
		Status: InProgress, Phase: "promoting", Message: "asked for", WaitSeconds: 20, Changed: ChangeYes,
		Evidence: Evidence{"status": "available"}, Memo: map[string]string{"a": "new", "b": "kept", MemoLag: "1.5", memoReady: "yes"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if s.asked[0].Parameters.Name != "orders" || s.asked[0].Resource.Index != 3 || s.asked[0].Run.Region != "us-west-2" || !s.asked[0].Now.Equal(noon) {
		t.Errorf("asked %+v", s.asked[0])
	}
	// The machine reads these, so they must be there even when empty.
	for _, name := range []string{`"status"`, `"phase"`, `"message"`, `"waitSeconds"`, `"changed"`, `"interruptedAt"`, `"memo"`} {
		if !strings.Contains(text, name) {
			t.Errorf("%s is not in %s", name, text)
		}
	}

	s.progress = Progress{Status: Done, Observed: StateDone}
	got, _, text = invoke[Answer](t, adapter(s), reconcileEvent(Drive{StartedAt: noon, Changed: ChangeNo}, StateDone))
	if got.Status != Done || got.WaitSeconds != 0 || got.Memo == nil || got.Changed != ChangeNo {
		t.Errorf("done: %s", text)
	}
}

// While the goal is not reached the machine always waits, whatever the phase.
func TestReconcileWaits(t *testing.T) {
	for _, p := range []Progress{
		{Observed: StateReady},
		{Observed: StateReady, Changed: true},
		{Observed: StateBusy},
		{Observed: StateUnderWay},
		{Observed: StateUnderWay, Final: true},
		{Observed: StateUnknown, Contended: true},
	} {
		p.Status = InProgress
		for _, started := range []time.Time{{}, noon, noon.Add(-time.Hour), noon.Add(time.Hour)} {
			got, _, _ := invoke[Answer](t, adapter(&stub{progress: p}), reconcileEvent(Drive{StartedAt: started}, StateReady))
			if got.WaitSeconds < 1 || got.WaitSeconds > 120 {
				t.Errorf("%+v, started %s: wait %d s", p, started, got.WaitSeconds)
			}
		}
	}
}

// The first look at an operation comes after its least duration, and not on
// top of the starts of the layer's others; a look in the last phase takes as
// many describes as the proof does.
func TestReconcilePaces(t *testing.T) {
	for _, tt := range []struct {
		name     string
		progress Progress
		resource Resource
		want     int
	}{
		{"just started", Progress{Observed: StateReady, Changed: true}, Resource{Watched: 1}, 20},
		{"just started, the layer is short", Progress{Observed: StateReady, Changed: true}, Resource{Watched: 2, LastStart: 3}, 20},
		{"just started, the layer is long", Progress{Observed: StateReady, Changed: true}, Resource{Watched: 20, LastStart: 49}, 49},
		{"one of many", Progress{Observed: StateUnderWay}, Resource{Watched: 80, ProofReads: 240}, 20},
		{"one of many, last phase", Progress{Observed: StateUnderWay, Final: true}, Resource{Watched: 80, ProofReads: 240}, 60},
		{"about to start", Progress{Observed: StateReady}, Resource{Watched: 1, ProofReads: 3}, 4},
		{"busy with something else", Progress{Observed: StateBusy}, Resource{Watched: 1, ProofReads: 3}, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.progress.Status = InProgress
			event := reconcileEvent(Drive{StartedAt: noon, Changed: ChangeNo}, StateReady)
			event.Resource.Watched, event.Resource.ProofReads, event.Resource.LastStart = tt.resource.Watched, tt.resource.ProofReads, tt.resource.LastStart
			if got, class, text := invoke[Answer](t, adapter(&stub{progress: tt.progress}), event); class != "" || got.WaitSeconds != tt.want {
				t.Errorf("%s: wait %d s, want %d: %s", class, got.WaitSeconds, tt.want, text)
			}
		})
	}
}

// The silence of a service that will not be back soon is borne for a while,
// counted from the first look in a row that had no answer; that of any other to
// the time limit.
func TestAServiceIsGivenUp(t *testing.T) {
	const after = 10 * time.Minute
	gone := &GivesUp{Service: "Route 53", After: after, Instead: "do without"}
	failing := func(service string, err error) error {
		return Call("listing", &smithy.OperationError{ServiceID: service, OperationName: "List", Err: err})
	}
	silent, other := failing("Route 53", context.DeadlineExceeded), failing("RDS", context.DeadlineExceeded)
	throttled := failing("Route 53", &smithy.GenericAPIError{Code: "Throttling"})
	type look struct {
		after time.Duration // the start
		err   error         // nil: it had its answers
	}
	for _, tt := range []struct {
		name    string
		givesUp *GivesUp
		looks   []look
		want    Class
	}{
		{"one look, however late", gone, []look{{time.Hour, silent}}, Unreachable},
		{"for a while", gone, []look{{time.Hour, silent}, {time.Hour + after - time.Second, silent}}, Unreachable},
		{"too long", gone, []look{{time.Hour, silent}, {time.Hour + after, silent}}, Terminal},
		{"too long, of many", gone, []look{{0, silent}, {after / 2, silent}, {after, silent}}, Terminal},
		{"it answered between", gone, []look{{0, silent}, {after / 2, nil}, {after, silent}}, Unreachable},
		{"it throttled between", gone, []look{{0, silent}, {after / 2, throttled}, {after, silent}}, Unreachable},
		{"too long since it throttled", gone, []look{{0, throttled}, {1, silent}, {1 + after, silent}}, Terminal},
		{"another service was silent before", gone, []look{{0, other}, {after, silent}}, Unreachable},
		{"another service", gone, []look{{0, other}, {after, other}}, Unreachable},
		{"no service", gone, []look{{0, context.DeadlineExceeded}, {after, context.DeadlineExceeded}}, Unreachable},
		{"it throttles", gone, []look{{0, throttled}, {after, throttled}}, Throttled},
		{"never given up", nil, []look{{0, silent}, {after, silent}}, Unreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			drive := Drive{StartedAt: noon, Changed: ChangeYes}
			var class Class
			for _, l := range tt.looks {
				now := noon.Add(l.after)
				event := reconcileEvent(drive, StateReady)
				event.Now = &now
				s := &stub{progress: Progress{Status: InProgress}}
				if l.err != nil {
					s.err = map[string]error{event.Resource.Name: l.err}
				}
				a := adapter(s)
				a.GivesUp = tt.givesUp
				if class != "" && !Passing(class) {
					t.Fatalf("it ended too soon: %s", drive.Failed)
				}
				if _, class, drive.Failed = invoke[Answer](t, a, event); class == "" {
					drive.Failed = ""
				}
			}
			if class != tt.want || strings.Contains(drive.Failed, "do without") != (tt.want == Terminal) {
				t.Errorf("%s, want %s: %s", class, tt.want, drive.Failed)
			}
		})
	}
}

// changing is a reconciler that sends a change, as the client of AWS lets it.
type changing struct {
	stub
	answer error // to the change
}

func (c *changing) Reconcile(ctx context.Context, req Request[parameters]) (Progress, error) {
	progress := Progress{Status: InProgress, Observed: StateReady}
	if req.Unsure() {
		return progress, nil
	}
	if recorder := audit.From(ctx); recorder.Late {
		recorder.TurnedAway = true
		return progress, Mutation("changing", audit.ErrLate)
	}
	return Sent(req, progress, Mutation("changing", c.answer))
}

// A service that answers looks and takes no change is given up, too, once two
// unanswered changes in a row lie so far apart, and where another one would be
// sent: what the last did is looked for first.
func TestAServiceThatTakesNoChangeIsGivenUp(t *testing.T) {
	const after, settled = 10 * time.Minute, 30 * time.Second
	of := func(err error) error {
		return &smithy.OperationError{ServiceID: "Route 53", OperationName: "Change", Err: err}
	}
	lost, throttled, conflict := of(context.DeadlineExceeded), of(&smithy.GenericAPIError{Code: "Throttling"}), of(&smithy.GenericAPIError{Code: "HealthCheckVersionMismatch"})
	type step struct {
		after time.Duration // the start
		err   error         // of the change, where one is sent
	}
	for _, tt := range []struct {
		name    string
		givesUp *GivesUp
		steps   []step
		want    Class
	}{
		{"one change, however late the next", OnRoute53, []step{{0, lost}, {1, lost}, {after, lost}}, OutcomeUnknown},
		{"for a while", OnRoute53, []step{{0, lost}, {1, lost}, {after - 1, lost}, {after, lost}, {after + settled, lost}}, OutcomeUnknown},
		{"too long", OnRoute53, []step{{0, lost}, {1, lost}, {after, lost}, {after + 1, lost}, {after + settled, lost}}, Terminal},
		{"too long, before it is known what the last did", OnRoute53, []step{{0, lost}, {1, lost}, {after, lost}, {after + 1, lost}}, ""},
		{"too long, without a look between", OnRoute53, []step{{0, lost}, {settled, lost}, {after + settled, lost}, {after + 2*settled, lost}}, Terminal},
		{"it took one between", OnRoute53, []step{{0, lost}, {1, lost}, {after / 2, nil}, {after, lost}, {after + settled, lost}}, OutcomeUnknown},
		{"it throttled one between", OnRoute53, []step{{0, lost}, {1, lost}, {after / 2, throttled}, {after, lost}, {after + settled, lost}}, OutcomeUnknown},
		{"it turned one away between", OnRoute53, []step{{0, lost}, {1, lost}, {after / 2, conflict}, {after, lost}, {after + settled, lost}}, OutcomeUnknown},
		{"another service", &GivesUp{Service: "RDS", After: after}, []step{{0, lost}, {1, lost}, {after, lost}, {after + settled, lost}}, OutcomeUnknown},
		{"never given up", nil, []step{{0, lost}, {1, lost}, {after, lost}, {after + settled, lost}}, OutcomeUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			drive := Drive{StartedAt: noon, Changed: ChangeNo}
			var class Class
			for _, at := range tt.steps {
				if class == Terminal {
					t.Fatalf("it ended too soon: %s", drive.Failed)
				}
				now := noon.Add(at.after)
				event := reconcileEvent(drive, StateReady)
				event.Now = &now
				a := &Adapter[parameters]{Reconciler: &changing{answer: at.err}, Now: func() time.Time { return now }, GivesUp: tt.givesUp}
				var got Answer
				var text string
				switch got, class, text = invoke[Answer](t, a, event); class {
				case "":
					drive.Failed, drive.Memo, drive.Changed, drive.InterruptedAt = "", got.Memo, got.Changed, got.InterruptedAt
				case OutcomeUnknown:
					drive.Failed, drive.Changed, drive.InterruptedAt = text, ChangeUnknown, &now
				default:
					drive.Failed = text
				}
			}
			if class != tt.want || class == Terminal && !strings.Contains(drive.Failed, "has not answered a change since "+noon.UTC().Format(time.RFC3339)) {
				t.Errorf("%q, want %q: %s", class, tt.want, drive.Failed)
			}
		})
	}
}

// A call that comes too late is no sign of silence.
func TestLateIsNotGivenUp(t *testing.T) {
	a := &Adapter[parameters]{Reconciler: &changing{}, Now: func() time.Time { return noon }, GivesUp: OnRoute53}
	if got, class, text := invoke[Answer](t, a, reconcileEvent(Drive{StartedAt: noon, Late: true}, StateReady)); class != "" || got.Phase != "late" {
		t.Errorf("%s: %s", class, text)
	}
}

// While a run is stopped nobody sends a change.
func TestARedriveForgetsUnansweredChanges(t *testing.T) {
	memo := map[string]string{memoUntaken: noon.Add(-time.Hour).Format(time.RFC3339), memoUntakenLast: noon.Format(time.RFC3339)}
	for _, redriven := range []bool{false, true} {
		a := &Adapter[parameters]{Reconciler: &changing{}, Now: func() time.Time { return noon }, GivesUp: OnRoute53}
		got, class, text := invoke[Answer](t, a, reconcileEvent(Drive{StartedAt: noon, Redriven: redriven, Memo: maps.Clone(memo)}, StateReady))
		if _, kept := got.Memo[memoUntaken]; kept || (class == Terminal) == redriven {
			t.Errorf("redriven %t: %s: %s", redriven, class, text)
		}
	}
}

// A look beforehand names the service that it got no answer from.
func TestThePlanNamesTheSilentService(t *testing.T) {
	for _, service := range []string{"Route 53", "RDS"} {
		err := Call("listing", &smithy.OperationError{ServiceID: service, Err: context.DeadlineExceeded})
		a := adapter(&stub{err: map[string]error{"orders": err}})
		a.GivesUp = OnRoute53
		event := reconcileEvent(Drive{}, StateReady)
		event.Operation, event.Resources, event.Resource, event.Drive = OperationPreflight, []Resource{*event.Resource}, nil, nil
		got, _, text := invoke[PreflightAnswer](t, a, event)
		if len(got.Readiness) != 1 || len(got.Readiness[0].Findings) != 1 {
			t.Fatal(text)
		}
		if f := got.Readiness[0].Findings[0]; f.Class != Unreachable || got.Unanswered != 1 || strings.Contains(f.Message, service+" "+NotAnswered) != (service == "Route 53") {
			t.Errorf("%s: %+v", service, f)
		}
	}
}

// While a run is stopped nobody asks: what was silent before it says nothing.
func TestARedriveGivesNothingUp(t *testing.T) {
	for _, redriven := range []bool{false, true} {
		err := Call("listing", &smithy.OperationError{ServiceID: "Route 53", Err: context.DeadlineExceeded})
		event := reconcileEvent(Drive{StartedAt: noon, Late: true, Redriven: redriven, Failed: "Route 53 " + NotAnswered + " since " + noon.Add(-time.Hour).Format(time.RFC3339) + ": listing"}, StateReady)
		a := adapter(&stub{err: map[string]error{event.Resource.Name: err}})
		a.GivesUp = OnRoute53
		if _, class, text := invoke[Answer](t, a, event); (class == Terminal) == redriven {
			t.Errorf("redriven %t: %s: %s", redriven, class, text)
		}
	}
}

// The times that an event carries are of the machine's clock, and so is now.
func TestNowOfTheMachine(t *testing.T) {
	s := &stub{progress: Progress{Status: InProgress, Observed: StateReady}}
	event := reconcileEvent(Drive{StartedAt: noon, Changed: ChangeUnknown, InterruptedAt: ago(0)}, StateReady)
	event.Now = ago(-settleTime)
	if got, _, text := invoke[Answer](t, adapter(s), event); got.Changed != ChangeNo || !s.asked[0].Now.Equal(*event.Now) {
		t.Errorf("at %s: %s", s.asked[0].Now, text)
	}
}

func TestInvokeErrors(t *testing.T) {
	preflight := Envelope{Operation: OperationPreflight, Resources: []Resource{{Name: "orders", Parameters: json.RawMessage(`{"Name":"x"}`)}}}
	good, err := json.Marshal(reconcileEvent(Drive{}, StateReady))
	if err != nil {
		t.Fatal(err)
	}
	reconcile := reconcileEvent(Drive{}, StateReady)
	with := func(change func(e *Envelope)) Envelope {
		e := reconcileEvent(Drive{}, StateReady)
		change(&e)
		return e
	}
	for _, class := range Classes {
		t.Run("class "+string(class), func(t *testing.T) {
			s := &stub{err: map[string]error{"orders": fmt.Errorf("outer: %w", Errorf(class, "inner"))}}
			if _, got, text := invoke[Answer](t, adapter(s), reconcile); got != class || text != "outer: inner" {
				t.Errorf("class %s, %q", got, text)
			}
		})
	}
	for _, tt := range []struct {
		name  string
		event any
		stub  *stub
		want  Class
	}{
		{"no JSON", "{", &stub{}, InvalidInput},
		{"empty", "", &stub{}, InvalidInput},
		{"null", "null", &stub{}, InvalidInput},
		{"another type", "[1]", &stub{}, InvalidInput},
		{"unknown field", `{"operation":"reconcile","force":true}`, &stub{}, InvalidInput},
		{"unknown operation", with(func(e *Envelope) { e.Operation = "destroy" }), &stub{}, InvalidInput},
		{"no operation", with(func(e *Envelope) { e.Operation = "" }), &stub{}, InvalidInput},
		{"reconcile without a resource", with(func(e *Envelope) { e.Resource = nil }), &stub{}, InvalidInput},
		{"reconcile without a drive", with(func(e *Envelope) { e.Drive = nil }), &stub{}, InvalidInput},
		{"reconcile of several", with(func(e *Envelope) { e.Resources = []Resource{{}} }), &stub{}, InvalidInput},
		{"preflight of nothing", Envelope{Operation: OperationPreflight}, &stub{}, InvalidInput},
		{"preflight of nothing, with a drive", with(func(e *Envelope) { e.Operation, e.Resource = OperationPreflight, nil }), &stub{}, InvalidInput},
		{"preflight of a resource to drive", with(func(e *Envelope) { e.Operation = OperationPreflight }), &stub{}, InvalidInput},
		{"a second event behind the first", string(good) + `{"operation":"destroy"}`, &stub{}, InvalidInput},
		{"rubbish behind the event", string(good) + `}`, &stub{}, InvalidInput},
		{"required parameter missing", with(func(e *Envelope) { e.Resource.Parameters = json.RawMessage(`{}`) }), &stub{}, InvalidInput},
		{"required parameter empty", with(func(e *Envelope) { e.Resource.Parameters = json.RawMessage(`{"Name":"","Password":"x"}`) }), &stub{}, InvalidInput},
		{"unknown parameter", with(func(e *Envelope) { e.Resource.Parameters = json.RawMessage(`{"Nmae":"x"}`) }), &stub{}, InvalidInput},
		{"parameter of another type", with(func(e *Envelope) { e.Resource.Parameters = json.RawMessage(`{"Name":1}`) }), &stub{}, InvalidInput},
		{"panic", reconcile, &stub{panics: "boom"}, Internal},
		{"panic with an error", reconcile, &stub{panics: Errorf(Refused, "no")}, Internal},
		{"panic in a preflight", preflight, &stub{panics: errors.New("boom")}, Internal},
		{"an error without a class", reconcile, &stub{err: map[string]error{"orders": errors.New("defect")}}, Internal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, got, text := invoke[Answer](t, adapter(tt.stub), tt.event); got != tt.want {
				t.Errorf("class %q (%s), want %s", got, text, tt.want)
			}
			if tt.want == InvalidInput && len(tt.stub.asked) > 0 {
				t.Error("the reconciler was asked all the same")
			}
		})
	}
}

func TestPreflight(t *testing.T) {
	lagged := 2.0
	s := &stub{
		ready: map[string]Readiness{
			"ready":   {Observed: StateReady, Lag: &lagged, Evidence: Evidence{"status": "available"}},
			"done":    {Observed: StateDone},
			"refused": {Observed: StateReady, Findings: []Finding{{Verdict: VerdictBlocked, Class: Refused, Message: "lag"}}},
		},
		err: map[string]error{"absent": Errorf(NotFound, "not there"), "denied": Errorf(Denied, "no")},
	}
	event := Envelope{Operation: OperationPreflight}
	for i, name := range []string{"ready", "done", "refused", "absent", "denied", "odd"} {
		parameters := json.RawMessage(`{"Name":"` + name + `"}`)
		if name == "odd" {
			parameters = json.RawMessage(`{"Nmae":1}`)
		}
		event.Resources = append(event.Resources, Resource{Index: 10 + i, Name: name, Parameters: parameters})
	}
	got, class, text := invoke[PreflightAnswer](t, adapter(s), event)
	if class != "" {
		t.Fatalf("%s: %s", class, text)
	}
	type row struct {
		Index    int
		Verdict  Verdict
		Observed State
		Class    Class
	}
	var rows []row
	for _, c := range got.Readiness {
		r := row{c.Index, c.Verdict, c.Observed, ""}
		for _, f := range c.Findings {
			r.Class = f.Class
		}
		rows = append(rows, r)
	}
	want := []row{
		{10, VerdictReady, StateReady, ""},
		{11, VerdictDone, StateDone, ""},
		{12, VerdictBlocked, StateReady, Refused},
		{13, VerdictBlocked, StateUnknown, NotFound},
		{14, VerdictBlocked, StateUnknown, Denied},
		{15, VerdictBlocked, StateUnknown, InvalidInput},
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("readiness (-want +got):\n%s", diff)
	}
	if l := got.Readiness[0].Lag; l == nil || *l != lagged {
		t.Errorf("lag %v, want %g", l, lagged)
	}

	if got.Unanswered != 0 {
		t.Errorf("%d unanswered, want none", got.Unanswered)
	}
}

// What says something about the moment only is counted, so that the machine
// asks again, and takes nothing from what was learned of the others.
func TestPreflightUnanswered(t *testing.T) {
	for _, class := range Classes {
		t.Run(string(class), func(t *testing.T) {
			passing := class == Throttled || class == Queued || class == Unreachable || class == Internal
			if got := Passing(class); got != passing {
				t.Errorf("passing: %t, want %t", got, passing)
			}
			s := &stub{ready: map[string]Readiness{"good": {Observed: StateReady}}, err: map[string]error{"bad": Errorf(class, "later")}}
			event := Envelope{Operation: OperationPreflight}
			for i, name := range []string{"bad", "good", "bad"} {
				event.Resources = append(event.Resources, Resource{Index: i, Name: name, Parameters: json.RawMessage(`{"Name":"x"}`)})
			}
			got, failed, text := invoke[PreflightAnswer](t, adapter(s), event)
			if failed != "" || len(got.Readiness) != 3 {
				t.Fatalf("%s: %s", failed, text)
			}
			want := 0
			if passing {
				want = 2
			}
			if got.Unanswered != want {
				t.Errorf("%d unanswered, want %d", got.Unanswered, want)
			}
			for i, verdict := range []Verdict{VerdictBlocked, VerdictReady, VerdictBlocked} {
				c := got.Readiness[i]
				if c.Index != i || c.Verdict != verdict || (c.Observed == StateUnknown) != (verdict == VerdictBlocked) {
					t.Errorf("resource %d: %+v", i, c)
				}
				for _, f := range c.Findings {
					if f.Class != class {
						t.Errorf("resource %d: finding %+v, want class %s", i, f, class)
					}
				}
			}
		})
	}
}

// Looked at after it was driven, a resource is said to be changed or not.
func TestPreflightChanged(t *testing.T) {
	for _, tt := range []struct {
		name     string
		drive    *Drive
		baseline State
		observed State
		err      error
		want     Change
	}{
		{"before it is driven", nil, "", StateReady, nil, ""},
		{"nothing came of it", &Drive{Changed: ChangeUnknown, Polls: 3, InterruptedAt: ago(time.Minute)}, StateReady, StateReady, nil, ChangeNo},
		{"too early to tell", &Drive{Changed: ChangeUnknown, Polls: 3, InterruptedAt: ago(time.Second)}, StateReady, StateReady, nil, ChangeUnknown},
		{"it works", &Drive{Changed: ChangeUnknown, Polls: 3, InterruptedAt: ago(time.Minute)}, StateReady, StateUnderWay, nil, ChangeYes},
		{"something runs", &Drive{Changed: ChangeUnknown, Polls: 3, InterruptedAt: ago(time.Minute)}, StateReady, StateBusy, nil, ChangeUnknown},
		{"it was on its way before", &Drive{Changed: ChangeUnknown, Polls: 3}, StateUnderWay, StateDone, nil, ChangeNo},
		{"it was on its way before and seen ready since", &Drive{Changed: ChangeUnknown, Polls: 3, Memo: map[string]string{memoReady: "yes"}}, StateUnderWay, StateDone, nil, ChangeUnknown},
		{"no answer", &Drive{Changed: ChangeUnknown, Polls: 3}, StateReady, "", Errorf(Unreachable, "no"), ChangeUnknown},
		{"absent", &Drive{Changed: ChangeUnknown, Polls: 3}, StateReady, "", Errorf(NotFound, "no"), ChangeUnknown},
		{"yes stays", &Drive{Changed: ChangeYes, Polls: 3}, StateReady, StateReady, nil, ChangeYes},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &stub{ready: map[string]Readiness{"orders": {Observed: tt.observed}}, err: map[string]error{"orders": tt.err}}
			got, class, text := invoke[PreflightAnswer](t, adapter(s), Envelope{Operation: OperationPreflight, Drive: tt.drive, Resources: []Resource{
				{Name: "orders", Parameters: json.RawMessage(`{"Name":"x"}`), Baseline: tt.baseline},
			}})
			if class != "" || len(got.Readiness) != 1 {
				t.Fatalf("%s: %s", class, text)
			}
			if c := got.Readiness[0].Changed; c != tt.want {
				t.Errorf("changed %q, want %q", c, tt.want)
			}
		})
	}
}

func TestSecrets(t *testing.T) {
	event := reconcileEvent(Drive{StartedAt: noon, Memo: map[string]string{}}, StateReady)
	event.Resource.Parameters = json.RawMessage(`{"Name":"orders","Password":"` + reference + `"}`)
	leaking := Progress{
		Status: InProgress, Message: "connected with " + secret, Phase: secret,
		Evidence: Evidence{"dsn": "root:" + secret}, Memo: map[string]string{"m": secret},
	}

	t.Run("in an answer", func(t *testing.T) {
		s := &stub{progress: leaking}
		a := adapter(s)
		a.Secrets = vault{}
		got, class, text := invoke[Answer](t, a, event)
		if class != "" || strings.Contains(text, secret) || !strings.Contains(got.Message, "[secret]") {
			t.Errorf("%s: %s", class, text)
		}
		if s.asked[0].Parameters.Password != secret {
			t.Errorf("the reconciler got %q", s.asked[0].Parameters.Password)
		}
		if strings.Contains(string(s.asked[0].Resource.Parameters), secret) {
			t.Error("the secret is in the resource, which is passed on")
		}
	})
	t.Run("in an error", func(t *testing.T) {
		a := adapter(&stub{err: map[string]error{"orders": Errorf(Denied, "login as root:%s", secret)}})
		a.Secrets = vault{}
		if _, class, text := invoke[Answer](t, a, event); class != Denied || strings.Contains(text, secret) || !strings.Contains(text, "[secret]") {
			t.Errorf("%s: %s", class, text)
		}
	})
	t.Run("in a preflight", func(t *testing.T) {
		look := Envelope{Operation: OperationPreflight, Resources: []Resource{*event.Resource}}
		a := adapter(&stub{ready: map[string]Readiness{"orders": {Findings: []Finding{{Verdict: VerdictWarning, Message: "saw " + secret}}}}})
		a.Secrets = vault{}
		if _, class, text := invoke[PreflightAnswer](t, a, look); class != "" || strings.Contains(text, secret) {
			t.Errorf("%s: %s", class, text)
		}
		for _, class := range []Class{Denied, Unreachable} {
			a = adapter(&stub{err: map[string]error{"orders": Errorf(class, "saw %s", secret)}})
			a.Secrets = vault{}
			if _, _, text := invoke[PreflightAnswer](t, a, look); strings.Contains(text, secret) {
				t.Errorf("%s: %s", class, text)
			}
		}
	})
	t.Run("that cannot be read", func(t *testing.T) {
		s := &stub{progress: leaking}
		a := adapter(s)
		for _, tt := range []struct {
			err  error
			want Class
		}{
			{answered(400, coded("AccessDeniedException")), Denied},
			{coded("ThrottlingException"), Throttled},
			{context.DeadlineExceeded, Unreachable},
			{errors.New("the secret has no such key"), InvalidInput}, // what the reference says, and no defect of ours
			{Errorf(NotFound, "no such secret"), NotFound},
		} {
			a.Secrets = vault{err: tt.err}
			if _, class, text := invoke[Answer](t, a, event); class != tt.want || !strings.Contains(text, tt.err.Error()) {
				t.Errorf("class %s (%s), want %s", class, text, tt.want)
			}
		}
		if len(s.asked) > 0 {
			t.Error("the reconciler was asked all the same")
		}
	})
	t.Run("in a panic", func(t *testing.T) {
		var log bytes.Buffer
		before := slog.Default()
		slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
		defer slog.SetDefault(before)
		for _, panics := range []any{"cannot connect with " + secret, fmt.Errorf("cannot connect with %s", secret)} {
			a := adapter(&stub{panics: panics})
			a.Secrets = vault{}
			if _, class, text := invoke[Answer](t, a, event); class != Internal || strings.Contains(text, secret) {
				t.Errorf("%s: %s", class, text)
			}
		}
		if got := log.String(); strings.Contains(got, secret) || !strings.Contains(got, "handler_test.go") {
			t.Errorf("the log is to tell where it panicked and not the secret: %s", got)
		}
	})
	t.Run("none in these parameters", func(t *testing.T) {
		a := adapter(&stub{progress: Progress{Status: Done}})
		a.Secrets = vault{}
		if got, class, text := invoke[Answer](t, a, reconcileEvent(Drive{}, StateReady)); class != "" || got.Status != Done {
			t.Errorf("%s: %s", class, text)
		}
	})
}

// A redriven run has to lock its resource first: nothing is looked at, not even a
// secret, and a call that the stop cut off is one that had no answer.
func TestRedriven(t *testing.T) {
	cut := ago(0)
	for _, tt := range []struct {
		name          string
		drive         Drive
		readOnly      bool
		changed       Change
		interruptions int
		at            *time.Time
	}{
		{"between two calls", Drive{Redriven: true, Changed: ChangeNo}, false, ChangeNo, 0, nil},
		{"in the middle of a call", Drive{Redriven: true, Unanswered: true, Changed: ChangeNo}, false, ChangeUnknown, 1, cut},
		{"in the middle of a call, after a change", Drive{Redriven: true, Unanswered: true, Changed: ChangeYes, Interruptions: 2}, false, ChangeYes, 3, cut},
		{"in the middle of a look", Drive{Redriven: true, Unanswered: true, Changed: ChangeNo}, true, ChangeNo, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &stub{progress: Progress{Status: Done}}
			a := adapter(s)
			a.ReadOnly, a.Secrets = tt.readOnly, vault{err: errors.New("nobody may ask")}
			got, class, text := invoke[Answer](t, a, reconcileEvent(tt.drive, StateReady))
			if class != "" || len(s.asked) > 0 {
				t.Fatalf("%s: %s; asked %d times", class, text, len(s.asked))
			}
			if got.Status != Redriven || got.Changed != tt.changed || got.Interruptions != tt.interruptions || got.WaitSeconds != 1 || got.Memo == nil {
				t.Errorf("%s", text)
			}
			if (got.InterruptedAt == nil) != (tt.at == nil) || tt.at != nil && !got.InterruptedAt.Equal(*tt.at) {
				t.Errorf("interrupted at %v", got.InterruptedAt)
			}
			if (got.Memo[memoReady] == "yes") != (tt.at != nil) {
				t.Errorf("memo %v", got.Memo)
			}
		})
	}
}

// Past the time limit nothing is begun, so that a redriven run may look without
// its lock; and a call that was cut off is told of in either case.
func TestRedrivenLate(t *testing.T) {
	for _, tt := range []struct {
		name  string
		drive Drive
		want  Change
	}{
		{"late", Drive{Redriven: true, Unanswered: true, Late: true, Polls: 1, Changed: ChangeNo}, ChangeYes},
		{"late, and no call was cut off", Drive{Redriven: true, Late: true, Polls: 1, Changed: ChangeNo}, ChangeNo},
		{"locked again", Drive{Unanswered: true, Polls: 1, Changed: ChangeNo}, ChangeYes},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &stub{progress: Progress{Status: Done, Observed: StateDone}}
			got, class, text := invoke[Answer](t, adapter(s), reconcileEvent(tt.drive, StateReady))
			if class != "" || got.Status != Done || got.Changed != tt.want || len(s.asked) != 1 {
				t.Errorf("%s: %s", class, text)
			}
			if want := tt.drive.Unanswered; (got.Interruptions == 1) != want || (len(got.Memo) > 0 && strings.Contains(text, "ended without an answer")) != want {
				t.Errorf("interruptions %d: %s", got.Interruptions, text)
			}
		})
	}
}

func TestStep(t *testing.T) {
	type in struct{ A int }
	type out struct{ B int }
	double := Step[in, out](func(_ context.Context, i in) (out, error) {
		switch i.A {
		case 1:
			return out{}, fmt.Errorf("outer: %w", Errorf(Throttled, "later"))
		case 2:
			panic("boom")
		}
		return out{2 * i.A}, nil
	})
	for _, tt := range []struct {
		event, want string
		class       Class
	}{
		{`{"A":21}`, `{"B":42}`, ""},
		{`{"A":1}`, "", Throttled},
		{`{"A":2}`, "", Internal},
		{`{"A":3,"C":4}`, "", InvalidInput},
		{`{"A":3}{"A":4}`, "", InvalidInput},
		{`nothing`, "", InvalidInput},
	} {
		t.Run(tt.event, func(t *testing.T) {
			got, err := double.Invoke(t.Context(), []byte(tt.event))
			if tt.class == "" {
				if err != nil || string(got) != tt.want {
					t.Errorf("%s, %v", got, err)
				}
				return
			}
			if response, ok := err.(messages.InvokeResponse_Error); !ok || Class(response.Type) != tt.class || strings.Contains(response.Message, "boom") { //nolint:errorlint // it must be outermost
				t.Errorf("error %#v, want type %s", err, tt.class)
			}
		})
	}
	wrong := Step[in, func()](func(context.Context, in) (func(), error) { return func() {}, nil })
	if _, err := wrong.Invoke(t.Context(), []byte(`{"A":1}`)); err == nil {
		t.Error("an answer that is no JSON went out")
	}
}

// What decodes input never panics, and a class is all that comes of bad input.
func FuzzInvoke(f *testing.F) {
	good, err := json.Marshal(reconcileEvent(Drive{StartedAt: noon, Changed: ChangeUnknown}, StateReady))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"operation":"preflight","resources":[{"parameters":{}}]}`))
	f.Add([]byte(`{"operation":"reconcile","resource":{},"drive":{"memo":null}}`))
	f.Fuzz(func(t *testing.T, event []byte) {
		answer, err := adapter(&stub{progress: Progress{Status: Done}}).Invoke(t.Context(), event)
		if err == nil {
			if !json.Valid(answer) {
				t.Errorf("answer %q", answer)
			}
			return
		}
		response, ok := err.(messages.InvokeResponse_Error) //nolint:errorlint // it must be outermost
		if !ok || Class(response.Type) != InvalidInput {
			t.Errorf("error %#v", err)
		}
	})
}

// An action that only looks has changed nothing, whatever became of the
// invocations before; and it may say when to look again.
func TestOnlyLooks(t *testing.T) {
	s := &stub{progress: Progress{Status: Done, Observed: StateDone}, ready: map[string]Readiness{"orders": {Observed: StateDone}}}
	drive := Drive{StartedAt: noon, Polls: 3, Changed: ChangeUnknown, InterruptedAt: ago(time.Minute)}
	for only, want := range map[bool]Change{true: ChangeNo, false: ChangeYes} {
		a := adapter(s)
		a.ReadOnly = only
		got, _, text := invoke[Answer](t, a, reconcileEvent(drive, StateReady))
		if got.Changed != want {
			t.Errorf("changes nothing: %t: %s", only, text)
		}
		looked, _, text := invoke[PreflightAnswer](t, a, Envelope{Operation: OperationPreflight, Drive: &drive, Resources: []Resource{
			{Name: "orders", Parameters: json.RawMessage(`{"Name":"x"}`), Baseline: StateReady},
		}})
		if len(looked.Readiness) != 1 || looked.Readiness[0].Changed != want {
			t.Errorf("changes nothing: %t: %s", only, text)
		}
	}
	for _, seconds := range []int{0, 77} {
		got, _, _ := invoke[Answer](t, adapter(&stub{progress: Progress{Status: InProgress, Observed: StateReady, WaitSeconds: seconds}}), reconcileEvent(Drive{StartedAt: noon}, StateReady))
		if (got.WaitSeconds == 77) != (seconds == 77) || got.WaitSeconds == 0 {
			t.Errorf("asked to wait %d s, waits %d", seconds, got.WaitSeconds)
		}
	}
}
