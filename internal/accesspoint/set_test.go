package accesspoint

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3control"
	"github.com/aws/aws-sdk-go-v2/service/s3control/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/endpoint"
	"dr-orchestrator/internal/payload"
	"dr-orchestrator/internal/probe"
)

const (
	west, east = "us-west-2", "us-east-1"
	arn        = "arn:aws:s3::111122223333:accesspoint/m0a1b2c3d4e5f.mrap"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fakeS3 keeps routes behind five endpoints, each of which may fail.
type fakeS3 struct {
	dials   map[string]Dial
	stale   map[string]map[string]Dial // by region of the endpoint: what it shows instead
	reading map[string]error           // by region of the endpoint
	writing map[string]error
	applies map[string]bool // by region of the endpoint: takes the change and fails all the same
	asked   []string        // regions of changes, in order
	input   *s3control.SubmitMultiRegionAccessPointRoutesInput
	serves  error // what a probe finds
}

func newFake() *fakeS3 {
	return &fakeS3{dials: map[string]Dial{west: Passive, east: Active}, stale: map[string]map[string]Dial{},
		reading: map[string]error{}, writing: map[string]error{}, applies: map[string]bool{}}
}

func (f *fakeS3) Probe(context.Context, probe.CheckParameters) error { return f.serves }

type fakeEndpoint struct {
	*fakeS3
	region string
}

func (f fakeEndpoint) GetMultiRegionAccessPointRoutes(_ context.Context, in *s3control.GetMultiRegionAccessPointRoutesInput, _ ...func(*s3control.Options)) (*s3control.GetMultiRegionAccessPointRoutesOutput, error) {
	if err := f.reading[f.region]; err != nil {
		return nil, err
	}
	dials := f.dials
	if old := f.stale[f.region]; old != nil {
		dials = old
	}
	out := &s3control.GetMultiRegionAccessPointRoutesOutput{Mrap: in.Mrap}
	for region, dial := range dials {
		r := types.MultiRegionAccessPointRoute{Region: aws.String(region), Bucket: aws.String("orders-" + region)}
		if dial != untold {
			r.TrafficDialPercentage = aws.Int32(int32(dial))
		}
		out.Routes = append(out.Routes, r)
	}
	return out, nil
}

func (f fakeEndpoint) SubmitMultiRegionAccessPointRoutes(_ context.Context, in *s3control.SubmitMultiRegionAccessPointRoutesInput, _ ...func(*s3control.Options)) (*s3control.SubmitMultiRegionAccessPointRoutesOutput, error) {
	f.asked, f.input = append(f.asked, f.region), in
	err := f.writing[f.region]
	if err == nil || f.applies[f.region] {
		for _, r := range in.RouteUpdates {
			f.dials[aws.ToString(r.Region)] = Dial(aws.ToInt32(r.TrafficDialPercentage))
		}
	}
	return &s3control.SubmitMultiRegionAccessPointRoutesOutput{}, err
}

func (f *fakeS3) setting() Setting {
	return Setting{Endpoint: func(region string) API { return fakeEndpoint{f, region} }, Prober: f}
}

func request(polls int) action.Request[SetParameters] {
	return action.Request[SetParameters]{
		Run: action.Run{ID: "run-1", Region: west}, Now: noon, Drive: action.Drive{Polls: polls, Changed: action.ChangeNo},
		Parameters: SetParameters{AccessPoint: arn, ActiveRegions: []string{west}, PassiveRegions: []string{east}},
	}
}

func coded(code string) error { return &smithy.GenericAPIError{Code: code, Message: "said AWS"} }

// dead is a call that never left; silent one that may have arrived.
var (
	dead   error = &net.OpError{Op: "dial", Err: context.DeadlineExceeded}
	silent error = &smithyhttp.RequestSendError{Err: context.DeadlineExceeded}
)

// Any one of five endpoints is enough, in whatever order they are tried.
func TestAnyFourOfFiveMayBeDead(t *testing.T) {
	for alive := 1; alive < 1<<5; alive++ {
		for poll := range 5 {
			f := newFake()
			for i, region := range controlRegions {
				if alive&(1<<i) == 0 {
					f.reading[region], f.writing[region] = dead, dead
				}
			}
			req := request(poll)
			progress, err := f.setting().Reconcile(t.Context(), req)
			if err != nil || !progress.Changed || len(f.asked) != 1 || aws.ToString(f.input.AccountId) != "111122223333" || len(f.input.RouteUpdates) != 2 {
				t.Fatalf("alive %05b, poll %d: %+v, %v, asked %v", alive, poll, progress, err, f.asked)
			}
			for _, later := range []struct {
				after  time.Duration
				status action.Status
			}{{takesEffect - time.Second, action.InProgress}, {takesEffect, action.Done}} {
				req.Drive.Memo, req.Now = progress.Memo, noon.Add(later.after)
				again, err := f.setting().Reconcile(t.Context(), req)
				if err != nil || again.Status != later.status || len(f.asked) != 1 {
					t.Fatalf("alive %05b, poll %d, %s later: %+v, %v", alive, poll, later.after, again, err)
				}
			}
		}
	}
	f := newFake()
	for _, region := range controlRegions {
		f.reading[region], f.writing[region] = dead, dead
	}
	if _, err := f.setting().Reconcile(t.Context(), request(0)); action.ClassOf(err) != action.Unreachable {
		t.Errorf("all five dead: %v", err)
	}
}

func TestSubmit(t *testing.T) {
	first := endpoint.Shuffled(controlRegions, "run-1/0/0")
	everywhere := func(err error) map[string]error {
		out := map[string]error{}
		for _, r := range controlRegions {
			out[r] = err
		}
		return out
	}
	for _, tt := range []struct {
		name    string
		writing map[string]error
		applies bool // at the first endpoint
		class   action.Class
		calls   int
	}{
		{"taken", nil, false, "", 1},
		{"the first throttles", map[string]error{first[0]: coded("SlowDown")}, false, "", 2},
		{"the first takes it and does not answer", map[string]error{first[0]: silent}, true, "", 2},
		{"the region of the first is denied by a policy", map[string]error{first[0]: coded("AccessDenied")}, false, "", 2},
		{"S3 refuses", everywhere(coded("InvalidRequest")), false, action.Refused, 1},
		{"S3 refuses after silence", map[string]error{first[0]: silent, first[1]: coded("InvalidRequest")}, false, action.OutcomeUnknown, 2},
		{"denied", everywhere(coded("AccessDenied")), false, action.Denied, 5},
		{"absent", everywhere(coded("NoSuchMultiRegionAccessPoint")), false, action.NotFound, 1},
		{"all silent", everywhere(silent), false, action.OutcomeUnknown, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.writing, f.applies[first[0]] = tt.writing, tt.applies
			progress, err := f.setting().Reconcile(t.Context(), request(0))
			if (err != nil) != (tt.class != "") || err != nil && action.ClassOf(err) != tt.class || len(f.asked) != tt.calls || progress.Changed != (tt.class == "") {
				t.Errorf("%+v after %v, %v; want %s after %d calls", progress, f.asked, err, tt.class, tt.calls)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	say := func(w, e Dial) view { return view{at: "eu-west-1", dials: map[string]Dial{west: w, east: e}} }
	reached, before, off := say(Active, Passive), say(Passive, Active), say(Passive, Passive)
	both := []wanted{{west, Active}, {east, Passive}}
	not := action.Asked{Now: noon}
	accepted := func(idle time.Duration) action.Asked {
		a := action.Asked{Now: noon, Requested: noon.Add(-time.Hour)}
		if idle > 0 {
			a.IdleSince = noon.Add(-idle)
		}
		return a
	}
	for _, tt := range []struct {
		name    string
		seen    []view
		goal    []wanted
		asked   action.Asked
		changed time.Duration // before now; 0: never
		move    action.Move
		class   action.Class
	}{
		{"nobody answers", nil, both, not, 0, action.MoveFail, action.Unreachable},
		{"both show the goal", []view{reached, reached}, both, not, 0, action.MoveFinish, ""},
		{"the only one shows the goal", []view{reached}, both, not, 0, action.MoveFinish, ""},
		{"it may not hold yet", []view{reached, reached}, both, not, takesEffect - 1, action.MoveWait, ""},
		{"it holds", []view{reached, reached}, both, not, takesEffect, action.MoveFinish, ""},
		{"the second is behind", []view{reached, before}, both, not, time.Hour, action.MoveWait, ""},
		{"the first is behind", []view{before, reached}, both, not, time.Hour, action.MoveWait, ""},
		{"both as before", []view{before, before}, both, not, 0, action.MoveAct, ""},
		{"half of it", []view{say(Active, Active), say(Active, Active)}, both, not, 0, action.MoveAct, ""},
		{"a dial that is not told", []view{say(untold, Active)}, both, not, 0, action.MoveAct, ""},
		{"a dial of neither kind", []view{say(50, Passive)}, both, not, 0, action.MoveAct, ""},
		{"asked and not visible", []view{before, before}, both, accepted(0), time.Hour, action.MoveWait, ""},
		{"asked and long not visible", []view{before, before}, both, accepted(time.Hour), time.Hour, action.MoveFail, action.Terminal},
		{"perhaps asked", []view{before, before}, both, action.Asked{Now: noon, Unsure: true}, 0, action.MoveWait, ""},
		{"nobody would be active", []view{before, before}, []wanted{{east, Passive}}, not, 0, action.MoveFail, action.Refused},
		{"nobody would be active, says one", []view{before, say(Active, Active)}, []wanted{{east, Passive}}, not, 0, action.MoveWait, ""},
		{"another stays active", []view{say(Active, Active)}, []wanted{{east, Passive}}, not, 0, action.MoveAct, ""},
		{"what is not told is not active", []view{say(untold, Active)}, []wanted{{east, Passive}}, not, 0, action.MoveFail, action.Refused},
		{"nobody is active, one is to be", []view{off}, []wanted{{west, Active}}, not, 0, action.MoveAct, ""},
		{"no such region", []view{before}, []wanted{{"eu-west-1", Active}}, not, 0, action.MoveFail, action.Refused},
		{"no routes at all", []view{{at: "eu-west-1"}}, both, not, 0, action.MoveFail, action.Refused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var changed time.Time
			if tt.changed > 0 {
				changed = noon.Add(-tt.changed)
			}
			d := decide(tt.seen, tt.goal, tt.goal, tt.asked, changed)
			if d.Move != tt.move || d.Class != tt.class || d.Reason == "" {
				t.Errorf("%+v, want move %d and class %q", d, tt.move, tt.class)
			}
		})
	}
}

// Two steps, of which the second comes when the first has held for as long as
// was asked for, while the target answers.
func TestDecideRamp(t *testing.T) {
	held := SetParameters{AccessPoint: arn, ActiveRegions: []string{west}, PassiveRegions: []string{east}, HoldSeconds: 60, Gate: probe.Gate{Probe: "tcp://a.example:1"}}
	say := func(w, e Dial) []view { return []view{{at: "eu-west-1", dials: map[string]Dial{west: w, east: e}}} }
	before, overlap, after := say(Passive, Active), say(Active, Active), say(Active, Passive)
	hour := action.Asked{Now: noon, Requested: noon.Add(-time.Hour)}
	base := func() *note {
		return &note{noted: true, first: map[string]Dial{west: Passive, east: Active}, now: noon,
			asked: map[string]action.Asked{stepOverlap: {Now: noon}, stepLast: {Now: noon}, stepBack: {Now: noon}}}
	}
	for _, tt := range []struct {
		name   string
		seen   []view
		change func(*note)
		move   action.Move
		step   string
		class  action.Class
	}{
		{"begins with both", before, func(*note) {}, action.MoveAct, stepOverlap, ""},
		{"notes the start first", before, func(n *note) { n.noted = false }, action.MoveWait, stepOverlap, ""},
		{"not before the target answers", before, func(n *note) { n.failures = 1 }, action.MoveWait, stepOverlap, ""},
		{"holds", overlap, func(*note) {}, action.MoveWait, stepOverlap, ""},
		{"holds until the time is up", overlap, func(n *note) { n.held = noon.Add(-59 * time.Second) }, action.MoveWait, stepOverlap, ""},
		{"has held", overlap, func(n *note) { n.held = noon.Add(-60 * time.Second) }, action.MoveAct, stepLast, ""},
		{"has held, and the target fails", overlap, func(n *note) { n.held, n.failures = noon.Add(-time.Hour), 1 }, action.MoveWait, stepLast, ""},
		{"at the goal", after, func(*note) {}, action.MoveFinish, stepLast, ""},
		{"notes that it goes back", overlap, func(n *note) { n.back = "dead" }, action.MoveWait, stepLast, ""},
		{"goes back", overlap, func(n *note) { n.back, n.decided = "dead", true }, action.MoveAct, stepBack, ""},
		{"goes back from what does not show yet", before, func(n *note) { n.back, n.decided, n.asked[stepOverlap] = "dead", true, hour }, action.MoveAct, stepBack, ""},
		{"is back", before, func(n *note) {
			n.back, n.decided, n.began, n.asked[stepOverlap], n.asked[stepBack] = "dead", true, true, hour, hour
		}, action.MoveFail, stepBack, action.Terminal},
		{"is not back for all yet", before, func(n *note) {
			n.back, n.decided, n.began, n.asked[stepOverlap], n.asked[stepBack] = "dead", true, true, hour, hour
			n.changed = noon.Add(-time.Minute)
		}, action.MoveWait, stepBack, ""},
		{"was never away", before, func(n *note) { n.back, n.decided = "dead", true }, action.MoveFail, stepBack, action.Refused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := base()
			tt.change(n)
			d, s := decideRamp(tt.seen, held, n)
			if d.Move != tt.move || s.name != tt.step || d.Class != tt.class {
				t.Errorf("%+v in step %q, want move %d in step %q", d, s.name, tt.move, tt.step)
			}
		})
	}
}

// One stale endpoint of five neither proves the goal nor brings a second call
// about.
func TestAStaleEndpointIsNotBelieved(t *testing.T) {
	old, wanted := map[string]Dial{west: Passive, east: Active}, map[string]Dial{west: Active, east: Passive}
	order := endpoint.Shuffled(controlRegions, "run-1/0/0")
	for i := range endpoint.Views {
		for _, dials := range [][2]map[string]Dial{{old, wanted}, {wanted, old}} {
			f := newFake()
			f.dials, f.stale[order[i]] = dials[0], dials[1]
			progress, err := f.setting().Reconcile(t.Context(), request(0))
			if err != nil || progress.Status == action.Done || len(f.asked) > 0 {
				t.Errorf("the stale one is number %d: %+v, %v, asked %v", i, progress, err, f.asked)
			}
		}
	}
}

func TestPreflight(t *testing.T) {
	for _, tt := range []struct {
		name     string
		change   func(*fakeS3, *SetParameters)
		observed action.State
		verdict  action.Verdict
		class    action.Class
	}{
		{"to be done", func(*fakeS3, *SetParameters) {}, action.StateReady, action.VerdictReady, ""},
		{"done", func(f *fakeS3, _ *SetParameters) { f.dials = map[string]Dial{west: Active, east: Passive} }, action.StateDone, action.VerdictDone, ""},
		{"between two steps", func(f *fakeS3, p *SetParameters) { f.dials[west], p.HoldSeconds = Active, 1 }, action.StateUnderWay, action.VerdictReady, ""},
		{"half, in one step", func(f *fakeS3, _ *SetParameters) { f.dials[west] = Active }, action.StateReady, action.VerdictReady, ""},
		{"one endpoint left", func(f *fakeS3, _ *SetParameters) {
			for _, r := range controlRegions[1:] {
				f.reading[r] = dead
			}
		}, action.StateReady, action.VerdictWarning, ""},
		{"the target serves", func(_ *fakeS3, p *SetParameters) { p.Probe = "tcp://a.example:1" }, action.StateReady, action.VerdictReady, ""},
		{"the target does not serve", func(f *fakeS3, p *SetParameters) { p.Probe, f.serves = "tcp://a.example:1", errors.New("no") }, action.StateReady, action.VerdictWarning, ""},
		{"nobody would be active", func(_ *fakeS3, p *SetParameters) { p.ActiveRegions = nil }, action.StateReady, action.VerdictBlocked, ""},
		{"no such access point", func(f *fakeS3, _ *SetParameters) {
			for _, r := range controlRegions {
				f.reading[r] = coded("NoSuchMultiRegionAccessPoint")
			}
		}, "", "", action.NotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, req := newFake(), request(0)
			tt.change(f, &req.Parameters)
			ready, err := f.setting().Preflight(t.Context(), req)
			if err != nil || tt.class != "" {
				if action.ClassOf(err) != tt.class {
					t.Errorf("class %s, want %s", action.ClassOf(err), tt.class)
				}
				return
			}
			if ready.Observed != tt.observed || ready.Verdict() != tt.verdict || len(f.asked) > 0 {
				t.Errorf("%+v", ready)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*SetParameters)
		issues int
	}{
		{"right", func(*SetParameters) {}, 0},
		{"only passive", func(p *SetParameters) { p.ActiveRegions = nil }, 0},
		{"no region", func(p *SetParameters) { p.ActiveRegions, p.PassiveRegions = nil, nil }, 1},
		{"both at once", func(p *SetParameters) { p.PassiveRegions = p.ActiveRegions }, 1},
		{"a hold between two steps", func(p *SetParameters) { p.HoldSeconds = 1 }, 0},
		{"a hold of one step", func(p *SetParameters) { p.HoldSeconds, p.PassiveRegions = 1, nil }, 1},
		{"a probe", func(p *SetParameters) { p.Probe, p.BodyContains = "https://a.example", "x" }, 0},
		{"wishes without a probe", func(p *SetParameters) { p.BodyContains = "x" }, 1},
		{"a body by TCP", func(p *SetParameters) { p.Probe, p.BodyContains = "tcp://a.example:1", "x" }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := request(0).Parameters
			tt.change(&p)
			if got := p.Check(); len(got) != tt.issues || slices.ContainsFunc(got, func(i payload.Issue) bool { return i.Parameter == "URL" }) {
				t.Errorf("issues %v, want %d", got, tt.issues)
			}
		})
	}
}

// The SDK puts the account in front of the host, which must not be done to an
// address.
func TestTheAccountStandsInFrontOfNames(t *testing.T) {
	for base, want := range map[string]string{
		"http://127.0.0.1:4599":        "127.0.0.1:4599",
		"http://[::1]:4599":            "[::1]:4599",
		"https://control.example.test": "111122223333.control.example.test",
	} {
		o := s3control.Options{EndpointResolverV2: s3control.NewDefaultEndpointResolverV2()}
		if isAddress(base) {
			o.EndpointResolverV2 = withoutAccount{o.EndpointResolverV2}
		}
		got, err := o.EndpointResolverV2.ResolveEndpoint(t.Context(), s3control.EndpointParameters{Region: aws.String(west), Endpoint: aws.String(base),
			AccountId: aws.String("111122223333"), RequiresAccountId: aws.Bool(true), UseFIPS: aws.Bool(false), UseDualStack: aws.Bool(false)})
		if err != nil || !strings.EqualFold(got.URI.Host, want) {
			t.Errorf("%s leads to %s, want %s: %v", base, got.URI.Host, want, err)
		}
	}
}

// wire answers nothing and keeps what it was asked.
type wire struct {
	requests []*http.Request
	patience []time.Duration
}

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	w.requests = append(w.requests, r)
	return nil, &net.OpError{Op: "dial", Err: context.DeadlineExceeded}
}

func (w *wire) Impatient(d time.Duration) aws.HTTPClient {
	w.patience = append(w.patience, d)
	return w
}

// Each call goes to the endpoint of its region, signed for it, once and with
// little patience.
func TestEachEndpointIsAskedInItsRegion(t *testing.T) {
	w := &wire{}
	dialled := dial(client.New(aws.Config{Region: west, HTTPClient: w, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")}))
	for i, region := range controlRegions {
		_, err := dialled(region).GetMultiRegionAccessPointRoutes(t.Context(), &s3control.GetMultiRegionAccessPointRoutesInput{AccountId: aws.String("111122223333"), Mrap: aws.String(arn)})
		if action.ClassOf(err) != action.Unreachable || len(w.requests) != i+1 {
			t.Fatalf("%d requests in %s: %v", len(w.requests), region, err)
		}
		r := w.requests[i]
		if !strings.HasSuffix(r.URL.Host, "s3-control."+region+".amazonaws.com") || !strings.Contains(r.Header.Get("Authorization"), "/"+region+"/") {
			t.Errorf("%s is asked at %s with %s", region, r.URL, r.Header.Get("Authorization"))
		}
	}
	if len(w.patience) != len(controlRegions) || slices.Max(w.patience) != endpoint.Patience {
		t.Errorf("patience %v", w.patience)
	}
}
