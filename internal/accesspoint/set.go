package accesspoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3control"
	"github.com/aws/aws-sdk-go-v2/service/s3control/types"
	"github.com/aws/smithy-go"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/endpoint"
	"dr-orchestrator/internal/payload"
	"dr-orchestrator/internal/probe"
)

// SetParameters are the parameters of SetAccessPointRoutes.
type SetParameters struct {
	AccessPoint    string   `param:"required" format:"access-point-arn" identity:"access-point" doc:"ARN of the Multi-Region Access Point."`
	ActiveRegions  []string `format:"region" doc:"Regions whose buckets are to get requests."`
	PassiveRegions []string `format:"region" doc:"Regions whose buckets are to get no new requests, changed in the same call. A region in neither list stays as it is."`

	HoldSeconds int `min:"0" max:"1800" doc:"Seconds for which the regions of both lists are active, from the moment when the new ones are, before those of PassiveRegions become passive. Without it all change in one call."`
	probe.Gate
}

// Check finds parameters that contradict each other.
func (p SetParameters) Check() []payload.Issue {
	var issues []payload.Issue
	if len(p.ActiveRegions)+len(p.PassiveRegions) == 0 {
		issues = append(issues, payload.Issue{Message: "no region is named", Want: "ActiveRegions, PassiveRegions, or both"})
	}
	for _, region := range p.PassiveRegions {
		if slices.Contains(p.ActiveRegions, region) {
			issues = append(issues, payload.Issue{Parameter: "PassiveRegions", Message: region + " is to be active, too", Want: "each region in one of the two lists"})
		}
	}
	if p.HoldSeconds > 0 && (len(p.ActiveRegions) == 0 || len(p.PassiveRegions) == 0) {
		issues = append(issues, payload.Issue{Parameter: "HoldSeconds", Message: "there are no two steps to hold between", Want: "ActiveRegions and PassiveRegions, or leave it out"})
	}
	return append(issues, p.Gate.Issues()...)
}

// wanted is one region and the dial that it is to have.
type wanted struct {
	region string
	dial   Dial
}

// goal lists the regions, each once: those to be active first.
func (p SetParameters) goal() []wanted {
	all := p.overlap()
	for _, region := range p.PassiveRegions {
		if w := (wanted{region, Passive}); !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	return all
}

// overlap is the first of two steps: nothing is taken away yet.
func (p SetParameters) overlap() []wanted {
	var all []wanted
	for _, region := range p.ActiveRegions {
		if w := (wanted{region, Active}); !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	return all
}

// Prober asks an endpoint whether it serves; nil means that it does.
type Prober interface {
	Probe(ctx context.Context, want probe.CheckParameters) error
}

// Setting gives the regions of an access point the dials asked for.
type Setting struct {
	Endpoint func(region string) API
	Prober   Prober
}

// MinimumSeconds: an entry that finds its routes as wanted takes one look.
const MinimumSeconds = 1

// lookSeconds is the time between two looks at routes: traffic waits for them.
const lookSeconds = 5

// takesEffect is the longest that S3 names for new routes to hold for all
// requests (SubmitMultiRegionAccessPointRoutes, S3 API reference). Reads say
// what was asked for, and not that it holds.
const takesEffect = 2 * time.Minute

// NewSetting wires the action to AWS.
func NewSetting(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[SetParameters]{
		Reconciler: Setting{Endpoint: dial(f), Prober: probe.Prober{Way: f.Outside(), Now: now}}, Secrets: secrets, Now: now, MinimumSeconds: MinimumSeconds,
	}
}

// The phases of a call, and of routes that are as wanted and may not hold yet.
const (
	phaseSubmit = "submitting"
	phaseEffect = "taking effect"
)

// decide judges what endpoints say of a step, which is on the way to a last
// one; changed is when this run last changed the routes, or may have. An
// endpoint may be behind the others for a while, in either direction, so that
// all that were heard must agree: that the goal is reached, that it is not, and
// that it may not be. A single endpoint that answers is believed: in a disaster
// there may be no second.
func decide(seen []view, step, last []wanted, asked action.Asked, changed time.Time) action.Decision {
	reached, refusals, why, refusal := 0, 0, "", ""
	for _, v := range seen {
		if left := v.missing(step); left != "" {
			why = left
		} else {
			reached++
		}
		if no := v.refusal(last); no != "" {
			refusal = no
			refusals++
		}
	}
	switch {
	case len(seen) == 0:
		return action.Fail(action.Unreachable, action.StateUnknown, "silent", "no endpoint answers")
	case reached == len(seen) && !changed.IsZero() && asked.Now.Sub(changed) < takesEffect:
		return action.WaitFinal(action.StateUnderWay, phaseEffect, "the routes are as wanted; S3 takes up to two minutes from %s until they hold for all requests", changed.Format("15:04:05 MST"))
	case reached == len(seen):
		return action.Finish("set", "%d regions are as wanted, say %d endpoints", len(step), len(seen))
	case reached > 0:
		return action.WaitFinal(action.StateUnderWay, "spreading", "one endpoint shows the goal and another does not yet: %s", why)
	}
	if d, ok := asked.Idle(); ok {
		return d
	}
	switch refusals {
	case 0:
		return action.Act(phaseSubmit, "%s", why)
	case len(seen):
		return action.Fail(action.Refused, action.StateReady, "refused", "%s", refusal)
	}
	return action.Wait(action.StateBusy, "spreading", "the endpoints do not agree yet: %s", refusal)
}

// missing tells of the first region that is not as wanted, "" if all are.
func (v view) missing(goal []wanted) string {
	for _, w := range goal {
		if got, there := v.dials[w.region]; !there || got != w.dial {
			return fmt.Sprintf("%s is %s at the endpoint in %s, and is to be %s", w.region, v.word(w.region), v.at, w.dial)
		}
	}
	return ""
}

func (v view) word(region string) string {
	if dial, there := v.dials[region]; there {
		return dial.String()
	}
	return "not there"
}

// refusal says why the goal may not be asked for, "" if it may.
func (v view) refusal(goal []wanted) string {
	after := maps.Clone(v.dials)
	for _, w := range goal {
		if _, there := after[w.region]; !there {
			return fmt.Sprintf("the access point has no bucket in %s, says the endpoint in %s", w.region, v.at)
		}
		after[w.region] = w.dial
	}
	for _, dial := range after {
		if dial == Active {
			return ""
		}
	}
	return fmt.Sprintf("no region would be active, says the endpoint in %s", v.at)
}

func evidence(seen []view) action.Evidence {
	e := action.Evidence{}
	for _, v := range seen {
		for region, dial := range v.dials {
			e[v.at+"/"+region] = dial.String()
		}
	}
	return e
}

func (a Setting) observe(ctx context.Context, req action.Request[SetParameters]) ([]view, []string, error) {
	regions := endpoint.Shuffled(controlRegions, fmt.Sprintf("%s/%d/%d", req.Run.ID, req.Resource.Index, req.Drive.Polls))
	seen, err := endpoint.Look(regions, func(at string) (view, error) {
		return lookAt(ctx, a.Endpoint(at), at, req.Parameters.AccessPoint)
	})
	return seen, regions, err
}

// Preflight tells whether the routes can be read and may be changed.
func (a Setting) Preflight(ctx context.Context, req action.Request[SetParameters]) (action.Readiness, error) {
	seen, _, err := a.observe(ctx, req)
	if err != nil {
		return action.Readiness{}, err
	}
	p := req.Parameters
	d := decide(seen, p.goal(), p.goal(), action.Asked{Now: req.Now}, time.Time{})
	ready := action.Readiness{Observed: d.State, Evidence: evidence(seen), Findings: d.Findings()}
	if d.Move == action.MoveAct {
		ready.Observed = foundIn(seen, p)
	}
	if len(seen) < endpoint.Views {
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: "only the endpoint in " + seen[0].at + " answers"})
	}
	if p.Probe != "" && d.Move == action.MoveAct {
		if err := a.Prober.Probe(ctx, p.Wants()); err != nil {
			ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: fmt.Sprintf("%s does not serve: no route is changed before it does (%v)", p.Probe, err)})
		}
	}
	return ready, nil
}

// Reconcile takes the next step: all regions of it in one call.
func (a Setting) Reconcile(ctx context.Context, req action.Request[SetParameters]) (action.Progress, error) {
	p := req.Parameters
	seen, regions, err := a.observe(ctx, req)
	if err != nil {
		return action.Progress{}, err
	}
	n, err := readNote(req, seen)
	if err != nil {
		return action.Progress{}, err
	}
	probed := p.Probe != "" && n.back == "" && n.asked[stepLast].Requested.IsZero() && !all(seen, p.goal())
	if probed {
		n.probe(p.Probe, a.Prober.Probe(ctx, p.Wants()))
	}
	d, s := decideRamp(seen, p, n)
	progress, err := d.Progress(n.asked[s.name], evidence(seen))
	maps.Copy(progress.Memo, n.memo())
	progress.WaitSeconds = n.wait(d, probed)
	if err != nil || d.Move != action.MoveAct {
		return progress, err
	}
	var answered []string
	for _, v := range seen {
		answered = append(answered, v.at)
	}
	at, err := a.submit(ctx, p.AccessPoint, s.goal, endpoint.First(regions, answered))
	if err == nil {
		progress.Message = fmt.Sprintf("the endpoint in %s has taken the new routes of %d regions", at, len(s.goal))
	}
	return action.Sent(req, progress, err)
}

func (a Setting) submit(ctx context.Context, arn string, goal []wanted, regions []string) (string, error) {
	in := &s3control.SubmitMultiRegionAccessPointRoutesInput{AccountId: aws.String(accountOf(arn)), Mrap: aws.String(arn)}
	for _, w := range goal {
		in.RouteUpdates = append(in.RouteUpdates, types.MultiRegionAccessPointRoute{Region: aws.String(w.region), TrafficDialPercentage: aws.Int32(int32(w.dial))})
	}
	return endpoint.Change(regions, func(at string) error {
		_, err := a.Endpoint(at).SubmitMultiRegionAccessPointRoutes(ctx, in)
		err = action.Mutation("submitting routes to the endpoint in "+at, err)
		// Said where no region would be active; no other reason is documented.
		if api := smithy.APIError(nil); errors.As(err, &api) && api.ErrorCode() == "InvalidRequest" {
			return action.Errorf(action.Refused, "S3 refuses the routes: %w", err)
		}
		return err
	})
}
