package routingcontrol

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/route53recoverycluster"
	"github.com/aws/aws-sdk-go-v2/service/route53recoverycluster/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/endpoint"
)

const (
	on, off = types.RoutingControlStateOn, types.RoutingControlStateOff
	panel   = "arn:aws:route53-recovery-control::111122223333:controlpanel/p/"
	west    = panel + "routingcontrol/west"
	east    = panel + "routingcontrol/east"
)

var (
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	regions = []string{"us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2"}
)

// fakeCluster is a cluster behind five endpoints, each of which may fail.
type fakeCluster struct {
	states  map[string]types.RoutingControlState
	stale   map[string]map[string]types.RoutingControlState // by region: what it shows instead
	reading map[string]error                                // by region
	read    []string                                        // regions of reads, in order
	writing map[string]error
	applies map[string]bool // by region: takes the update and fails all the same
	asked   []string        // regions of updates, in order
	input   *route53recoverycluster.UpdateRoutingControlStatesInput
}

func newFake() *fakeCluster {
	return &fakeCluster{states: map[string]types.RoutingControlState{west: off, east: on},
		stale: map[string]map[string]types.RoutingControlState{}, reading: map[string]error{}, writing: map[string]error{}, applies: map[string]bool{}}
}

type fakeEndpoint struct {
	*fakeCluster
	region string
}

func (f fakeEndpoint) GetRoutingControlState(_ context.Context, in *route53recoverycluster.GetRoutingControlStateInput, _ ...func(*route53recoverycluster.Options)) (*route53recoverycluster.GetRoutingControlStateOutput, error) {
	f.read = append(f.read, f.region)
	if err := f.reading[f.region]; err != nil {
		return nil, err
	}
	arn := aws.ToString(in.RoutingControlArn)
	state := f.states[arn]
	if old, ok := f.stale[f.region][arn]; ok {
		state = old
	}
	return &route53recoverycluster.GetRoutingControlStateOutput{RoutingControlArn: in.RoutingControlArn, RoutingControlState: state}, nil
}

func (f fakeEndpoint) UpdateRoutingControlStates(_ context.Context, in *route53recoverycluster.UpdateRoutingControlStatesInput, _ ...func(*route53recoverycluster.Options)) (*route53recoverycluster.UpdateRoutingControlStatesOutput, error) {
	f.asked, f.input = append(f.asked, f.region), in
	err := f.writing[f.region]
	if err == nil || f.applies[f.region] {
		for _, e := range in.UpdateRoutingControlStateEntries {
			f.states[aws.ToString(e.RoutingControlArn)] = e.RoutingControlState
		}
	}
	return &route53recoverycluster.UpdateRoutingControlStatesOutput{}, err
}

func (f *fakeCluster) setting() Setting {
	return Setting{Cluster: func(e Endpoint) API { return fakeEndpoint{f, e.Region} }}
}

func endpoints() []string {
	var all []string
	for _, r := range regions {
		all = append(all, r+"=https://cluster."+r+".example.test/v1")
	}
	return all
}

func request(run string, polls int) action.Request[SetParameters] {
	return action.Request[SetParameters]{
		Run: action.Run{ID: run, Region: "us-west-2"}, Now: noon, Drive: action.Drive{Polls: polls},
		Parameters: SetParameters{ClusterEndpoints: endpoints(), RoutingControls: []string{west}, RoutingControlsOff: []string{east}},
	}
}

func coded(code string) error { return &smithy.GenericAPIError{Code: code, Message: "said AWS"} }

// dead is a call that never left; silent one that may have arrived.
var (
	dead   error = &net.OpError{Op: "dial", Err: context.DeadlineExceeded}
	silent error = &smithyhttp.RequestSendError{Err: context.DeadlineExceeded}
	broken error = &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: 500}}, Err: coded("InternalServerException")}
)

// Any one of five endpoints is enough, in whatever order they are tried.
func TestAnyFourOfFiveMayBeDead(t *testing.T) {
	for alive := 1; alive < 1<<5; alive++ {
		for poll := range 5 {
			f := newFake()
			for i, region := range regions {
				if alive&(1<<i) == 0 {
					f.reading[region], f.writing[region] = dead, dead
				}
			}
			req := request("run-1", poll)
			progress, err := f.setting().Reconcile(t.Context(), req)
			if err != nil || !progress.Changed || len(f.asked) != 1 {
				t.Fatalf("alive %05b, poll %d: %+v, %v, asked %v", alive, poll, progress, err, f.asked)
			}
			req.Drive.Memo = progress.Memo
			if progress, err = f.setting().Reconcile(t.Context(), req); err != nil || progress.Status != action.Done || len(f.asked) != 1 {
				t.Fatalf("alive %05b, poll %d: %+v, %v", alive, poll, progress, err)
			}
		}
	}
	f := newFake()
	for _, region := range regions {
		f.reading[region], f.writing[region] = dead, dead
	}
	if _, err := f.setting().Reconcile(t.Context(), request("run-1", 0)); action.ClassOf(err) != action.Unreachable {
		t.Errorf("all five dead: %v", err)
	}
}

func TestUpdate(t *testing.T) {
	all := func(err error) map[string]error {
		out := map[string]error{}
		for _, r := range regions {
			out[r] = err
		}
		return out
	}
	first := endpoint.Shuffled(parseEndpoints(endpoints()), "run-1/0/0")
	at := func(i int, err error) map[string]error { return map[string]error{first[i].Region: err} }
	for _, tt := range []struct {
		name    string
		writing map[string]error
		applies bool // at the first endpoint
		class   action.Class
		calls   int
		changed bool
	}{
		{"taken", nil, false, "", 1, true},
		{"the first is away for a while", at(0, coded("EndpointTemporarilyUnavailableException")), false, "", 2, true},
		{"the first throttles", at(0, coded("ThrottlingException")), false, "", 2, true},
		{"the first does not answer", at(0, silent), false, "", 2, true},
		{"the first takes it and does not answer", at(0, silent), true, "", 2, true},
		{"a safety rule", all(coded("ConflictException")), false, action.Refused, 1, false},
		{"a safety rule after silence", map[string]error{first[0].Region: silent, first[1].Region: coded("ConflictException")}, false, action.OutcomeUnknown, 2, false},
		{"a safety rule after a dead one", map[string]error{first[0].Region: dead, first[1].Region: coded("ConflictException")}, false, action.Refused, 2, false},
		{"denied", all(coded("AccessDeniedException")), false, action.Denied, 5, false},
		{"the region of the first denied by a policy", at(0, coded("AccessDeniedException")), false, "", 2, true},
		{"absent", all(coded("ResourceNotFoundException")), false, action.NotFound, 1, false},
		{"all dead", all(dead), false, action.Unreachable, 5, false},
		{"all silent", all(silent), false, action.OutcomeUnknown, 5, false},
		{"all failing", all(broken), false, action.OutcomeUnknown, 5, false},
		{"all throttling", all(coded("ThrottlingException")), false, action.Throttled, 5, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.writing = tt.writing
			f.applies[first[0].Region] = tt.applies
			progress, err := f.setting().Reconcile(t.Context(), request("run-1", 0))
			var class action.Class
			if err != nil {
				class = action.ClassOf(err)
			}
			if class != tt.class || len(f.asked) != tt.calls || progress.Changed != tt.changed {
				t.Errorf("class %s after %v, changed %t, want %s after %d calls: %v", class, f.asked, progress.Changed, tt.class, tt.calls, err)
			}
			if tt.class == action.Refused && !strings.Contains(err.Error(), "said AWS") {
				t.Errorf("AWS's words are missing: %v", err)
			}
			if got := f.input.UpdateRoutingControlStateEntries; len(got) != 2 {
				t.Errorf("one update for all controls: %v", got)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	goal := []wanted{{west, on}, {east, off}}
	say := func(w, e types.RoutingControlState) view {
		return view{states: map[string]types.RoutingControlState{west: w, east: e}}
	}
	reached, before, half := say(on, off), say(off, on), say(on, on)
	accepted := func(idle time.Duration) action.Asked {
		a := action.Asked{Now: noon, Requested: noon.Add(-time.Hour)}
		if idle > 0 {
			a.IdleSince = noon.Add(-idle)
		}
		return a
	}
	not := action.Asked{Now: noon}
	for _, tt := range []struct {
		name  string
		seen  []view
		asked action.Asked
		move  action.Move
		class action.Class
	}{
		{"nobody answers", nil, not, action.MoveFail, action.Unreachable},
		{"both show the goal", []view{reached, reached}, not, action.MoveFinish, ""},
		{"the only one shows the goal", []view{reached}, not, action.MoveFinish, ""},
		{"the second is behind", []view{reached, before}, not, action.MoveWait, ""},
		{"the first is behind", []view{before, reached}, not, action.MoveWait, ""},
		{"both as before", []view{before, before}, not, action.MoveAct, ""},
		{"the only one as before", []view{before}, not, action.MoveAct, ""},
		{"one control of two", []view{half, half}, not, action.MoveAct, ""},
		{"a control that is not told of", []view{{states: map[string]types.RoutingControlState{west: on}}}, not, action.MoveAct, ""},
		{"asked and not visible", []view{before, before}, accepted(0), action.MoveWait, ""},
		{"asked and long not visible", []view{before, before}, accepted(time.Hour), action.MoveFail, action.Terminal},
		{"perhaps asked", []view{before, before}, action.Asked{Now: noon, Unsure: true}, action.MoveWait, ""},
		{"perhaps asked, and there", []view{reached, reached}, action.Asked{Now: noon, Unsure: true}, action.MoveFinish, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := decide(tt.seen, goal, tt.asked)
			if d.Move != tt.move || d.Class != tt.class || d.Reason == "" {
				t.Errorf("%+v, want move %d and class %q", d, tt.move, tt.class)
			}
		})
	}
}

// One stale endpoint of five neither proves the goal nor brings a second
// update about.
func TestAStaleEndpointIsNotBelieved(t *testing.T) {
	for _, tt := range []struct {
		name        string
		truth, show map[string]types.RoutingControlState
	}{
		{"behind a change of ours", map[string]types.RoutingControlState{west: on, east: off}, map[string]types.RoutingControlState{west: off, east: on}},
		{"behind a change back", map[string]types.RoutingControlState{west: off, east: on}, map[string]types.RoutingControlState{west: on, east: off}},
	} {
		order := endpoint.Shuffled(parseEndpoints(endpoints()), "run-1/0/0")
		for i := range endpoint.Views {
			f := newFake()
			f.states = tt.truth
			f.stale[order[i].Region] = tt.show
			progress, err := f.setting().Reconcile(t.Context(), request("run-1", 0))
			if err != nil || progress.Status == action.Done || len(f.asked) > 0 {
				t.Errorf("%s, the stale one is number %d: %+v, %v, asked %v", tt.name, i, progress, err, f.asked)
			}
		}
	}
}

func TestPreflight(t *testing.T) {
	for _, tt := range []struct {
		name     string
		change   func(*fakeCluster, *SetParameters)
		observed action.State
		verdict  action.Verdict
		class    action.Class
	}{
		{"to be done", func(*fakeCluster, *SetParameters) {}, action.StateReady, action.VerdictReady, ""},
		{"done", func(f *fakeCluster, _ *SetParameters) { f.states[west], f.states[east] = on, off }, action.StateDone, action.VerdictDone, ""},
		{"one endpoint left", func(f *fakeCluster, _ *SetParameters) {
			for _, r := range regions[1:] {
				f.reading[r] = dead
			}
		}, action.StateReady, action.VerdictWarning, ""},
		{"one endpoint silent", func(f *fakeCluster, _ *SetParameters) { f.reading[regions[4]] = dead }, action.StateReady, action.VerdictWarning, ""},
		{"one endpoint refuses the signature", func(f *fakeCluster, _ *SetParameters) { f.reading[regions[3]] = coded("InvalidSignatureException") }, action.StateReady, action.VerdictWarning, ""},
		{"rules to be broken", func(_ *fakeCluster, p *SetParameters) { p.SafetyRulesToOverride = []string{panel + "safetyrule/r"} }, action.StateReady, action.VerdictWarning, ""},
		{"no such control", func(f *fakeCluster, _ *SetParameters) {
			for _, r := range regions {
				f.reading[r] = coded("ResourceNotFoundException")
			}
		}, "", "", action.NotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, req := newFake(), request("run-1", 0)
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
			for region := range f.reading { // each of them is named
				if !strings.Contains(ready.Findings[0].Message, "the endpoint in "+region) {
					t.Errorf("%s is missing: %+v", region, ready.Findings)
				}
			}
		})
	}
}

// Of several entries the first waits for a silent endpoint, and the others do
// not.
func TestASilentEndpointIsWaitedForOnce(t *testing.T) {
	f := newFake()
	f.reading[regions[1]], f.reading[regions[2]] = dead, coded("AccessDeniedException")
	for range 2 { // one look remembers nothing of another
		f.read = nil
		looks := f.setting().Batch(nil)
		for range 3 {
			ready, err := looks.Preflight(t.Context(), request("run-1", 0))
			if err != nil || ready.Verdict() != action.VerdictWarning || !strings.Contains(ready.Findings[0].Message, "2 of 5") {
				t.Fatalf("%+v, %v", ready, err)
			}
		}
		asked := map[string]int{}
		for _, region := range f.read {
			asked[region]++
		}
		if asked[regions[1]] != 1 || asked[regions[2]] != 3 || asked[regions[0]] != 6 { // two controls
			t.Errorf("asked %v", asked)
		}
	}
}

func TestRulesToOverrideAreSent(t *testing.T) {
	for _, rules := range [][]string{nil, {panel + "safetyrule/r"}} {
		f, req := newFake(), request("run-1", 0)
		req.Parameters.SafetyRulesToOverride = rules
		if _, err := f.setting().Reconcile(t.Context(), req); err != nil || !slices.Equal(f.input.SafetyRulesToOverride, rules) {
			t.Errorf("%v, %v; want %v", f.input, err, rules)
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
	return nil, dead
}

func (w *wire) Impatient(d time.Duration) aws.HTTPClient {
	w.patience = append(w.patience, d)
	return w
}

// Each call goes to the host of its endpoint, signed for the region that this
// stands in, once and with little patience.
func TestEachEndpointIsAskedAtItsURL(t *testing.T) {
	w := &wire{}
	dialled := dial(client.New(aws.Config{Region: "us-west-2", HTTPClient: w, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")}))
	for i, e := range parseEndpoints(endpoints()) {
		api := dialled(e)
		if _, err := api.GetRoutingControlState(t.Context(), &route53recoverycluster.GetRoutingControlStateInput{RoutingControlArn: aws.String(west)}); action.ClassOf(err) != action.Unreachable {
			t.Errorf("read at %s: %v", e.Region, err)
		}
		_, err := api.UpdateRoutingControlStates(t.Context(), &route53recoverycluster.UpdateRoutingControlStatesInput{
			UpdateRoutingControlStateEntries: []types.UpdateRoutingControlStateEntry{{RoutingControlArn: aws.String(west), RoutingControlState: on}}})
		if action.ClassOf(err) != action.Unreachable || len(w.requests) != 2*(i+1) {
			t.Fatalf("%d requests at %s: %v", len(w.requests), e.Region, err)
		}
		for _, r := range w.requests[2*i:] {
			if r.URL.Host != "cluster."+e.Region+".example.test" || !strings.HasPrefix(r.URL.Path, "/v1") || !strings.Contains(r.Header.Get("Authorization"), "/"+e.Region+"/route53-recovery-cluster/") {
				t.Errorf("%s is asked at %s with %s", e.Region, r.URL, r.Header.Get("Authorization"))
			}
		}
	}
	if len(w.patience) != len(regions) || slices.Max(w.patience) != endpoint.Patience {
		t.Errorf("patience %v", w.patience)
	}
}

func TestCheck(t *testing.T) {
	good := request("", 0).Parameters
	for _, tt := range []struct {
		name   string
		change func(*SetParameters)
		issues int
	}{
		{"right", func(*SetParameters) {}, 0},
		{"only off", func(p *SetParameters) { p.RoutingControls = nil }, 0},
		{"four endpoints", func(p *SetParameters) { p.ClusterEndpoints = p.ClusterEndpoints[1:] }, 1},
		{"one twice", func(p *SetParameters) { p.ClusterEndpoints[0] = p.ClusterEndpoints[1] }, 1},
		{"one with the region of another", func(p *SetParameters) {
			p.ClusterEndpoints[0] = regions[0] + "=https://cluster." + regions[1] + ".example.test/v1"
		}, 1},
		{"one without a region", func(p *SetParameters) { p.ClusterEndpoints[0] = regions[0] + "=https://cluster.example.test/v1" }, 1},
		{"one with a region in its path alone", func(p *SetParameters) {
			p.ClusterEndpoints[0] = regions[0] + "=https://cluster.example.test/" + regions[0]
		}, 1},
		{"one with a port", func(p *SetParameters) { p.ClusterEndpoints[0] = regions[0] + "=https://" + regions[0] + ".test:8443" }, 0},
		{"all with one URL", func(p *SetParameters) {
			for i, r := range regions {
				p.ClusterEndpoints[i] = r + "=https://cluster." + regions[0] + ".example.test/v1"
			}
		}, 4},
		{"no control", func(p *SetParameters) { p.RoutingControls, p.RoutingControlsOff = nil, nil }, 1},
		{"on and off", func(p *SetParameters) { p.RoutingControlsOff = p.RoutingControls }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := good
			p.ClusterEndpoints = slices.Clone(good.ClusterEndpoints)
			tt.change(&p)
			if got := p.Check(); len(got) != tt.issues {
				t.Errorf("issues %v, want %d", got, tt.issues)
			}
		})
	}
}
