package routingcontrol

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53recoverycluster"
	"github.com/aws/aws-sdk-go-v2/service/route53recoverycluster/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/endpoint"
	"dr-orchestrator/internal/payload"
)

// SetParameters are the parameters of SetRoutingControl.
type SetParameters struct {
	ClusterEndpoints      []string `param:"required" format:"cluster-endpoint" doc:"The five endpoints of the ARC cluster, each as REGION=URL. DescribeCluster shows them; it needs us-west-2, so write them down beforehand."`
	RoutingControls       []string `format:"routing-control-arn" identity:"routing-control" doc:"ARNs of the routing controls to turn on."`
	RoutingControlsOff    []string `format:"routing-control-arn" identity:"routing-control" doc:"ARNs of the routing controls to turn off, in the same call."`
	SafetyRulesToOverride []string `format:"safety-rule-arn" doc:"ARNs of the safety rules that may be broken. Without it every rule holds."`
}

// endpointsOfACluster is how many endpoints ARC gives every cluster.
const endpointsOfACluster = 5

// Check finds parameters that contradict each other.
func (p SetParameters) Check() []payload.Issue {
	var issues []payload.Issue
	regions := map[string]bool{}
	for _, e := range parseEndpoints(p.ClusterEndpoints) {
		regions[e.Region] = true
		// With a wrong region the endpoint refuses the signature, which would
		// be passed over as if it were away. Five regions in five hosts are
		// five URLs, too.
		if !e.inRegion() {
			issues = append(issues, payload.Issue{Parameter: "ClusterEndpoints", Message: e.URL + " is not in " + e.Region, Want: "each URL with the region whose name is in its host"})
		}
	}
	if len(p.ClusterEndpoints) != endpointsOfACluster || len(regions) != endpointsOfACluster {
		issues = append(issues, payload.Issue{Parameter: "ClusterEndpoints",
			Message: fmt.Sprintf("names %d endpoints in %d regions", len(p.ClusterEndpoints), len(regions)), Want: "the five endpoints of the cluster, each in a region of its own"})
	}
	if len(p.RoutingControls)+len(p.RoutingControlsOff) == 0 {
		issues = append(issues, payload.Issue{Message: "no routing control is named", Want: "RoutingControls, RoutingControlsOff, or both"})
	}
	for _, arn := range p.RoutingControlsOff {
		if slices.Contains(p.RoutingControls, arn) {
			issues = append(issues, payload.Issue{Parameter: "RoutingControlsOff", Message: arn + " is to be turned on, too", Want: "each routing control in one of the two lists"})
		}
	}
	return issues
}

// wanted is one routing control and the state that it is to have.
type wanted struct {
	arn   string
	state types.RoutingControlState
}

// goal lists the controls: those to turn on first.
func (p SetParameters) goal() []wanted {
	var all []wanted
	for _, arn := range p.RoutingControls {
		all = append(all, wanted{arn, types.RoutingControlStateOn})
	}
	for _, arn := range p.RoutingControlsOff {
		all = append(all, wanted{arn, types.RoutingControlStateOff})
	}
	return all
}

// Setting gives routing controls the states asked for.
type Setting struct {
	Cluster func(Endpoint) API
	silent  map[Endpoint]error // what stayed silent in this look; nil: that is not kept
}

// MinimumSeconds: the endpoints of a cluster agree within seconds.
const MinimumSeconds = 1

// lookSeconds is the time between two looks at controls: traffic waits for it.
const lookSeconds = 2

// NewSetting wires the action to AWS.
func NewSetting(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[SetParameters]{Reconciler: Setting{Cluster: dial(f)}, Secrets: secrets, Now: now, MinimumSeconds: MinimumSeconds}
}

const stepUpdate = "updating"

// decide judges what endpoints say. An endpoint may be behind the others for a
// while, in either direction, so that all that were heard must agree: one that
// shows the goal proves it only where no other says otherwise, and one that
// does not is a reason to call only where no other shows the goal. A single
// endpoint that answers is believed: in a disaster there may be no second.
func decide(seen []view, goal []wanted, asked action.Asked) action.Decision {
	reached, why := 0, ""
	for _, v := range seen {
		if left := v.missing(goal); left != "" {
			why = left
		} else {
			reached++
		}
	}
	switch {
	case len(seen) == 0:
		return action.Fail(action.Unreachable, action.StateUnknown, "silent", "no cluster endpoint answers")
	case reached == len(seen):
		return action.Finish("set", "%d routing controls are as wanted, say %d endpoints", len(goal), len(seen))
	case reached > 0:
		return action.WaitFinal(action.StateUnderWay, "spreading", "one endpoint shows the goal and another does not yet: %s", why)
	}
	if d, ok := asked.Idle(); ok {
		return d
	}
	return action.Act(stepUpdate, "%s", why)
}

// missing tells of the first control that is not as wanted, "" if all are.
func (v view) missing(goal []wanted) string {
	for _, w := range goal {
		if got := v.states[w.arn]; got != w.state {
			return fmt.Sprintf("%s is %s at the endpoint in %s, and %s is wanted", name(w.arn), got, v.endpoint.Region, w.state)
		}
	}
	return ""
}

func name(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

func evidence(seen []view) action.Evidence {
	e := action.Evidence{}
	for _, v := range seen {
		for arn, state := range v.states {
			e[v.endpoint.Region+"/"+name(arn)] = string(state)
		}
	}
	return e
}

// reader gives what reads the controls of an entry at an endpoint.
func (a Setting) reader(ctx context.Context, p SetParameters) func(Endpoint) (view, error) {
	var controls []string
	for _, w := range p.goal() {
		controls = append(controls, w.arn)
	}
	return func(e Endpoint) (view, error) {
		if err := a.silent[e]; err != nil {
			return view{}, err
		}
		v, err := lookAt(ctx, a.Cluster(e), e, controls)
		if a.silent != nil && action.ClassOf(err) == action.Unreachable {
			a.silent[e] = err
		}
		return v, err
	}
}

// Batch looks for several entries: an endpoint that stays silent for one of
// them is not waited for again.
func (a Setting) Batch([]action.Request[SetParameters]) action.Preflighter[SetParameters] {
	a.silent = map[Endpoint]error{}
	return a
}

// Preflight tells whether the controls can be read, and at which endpoints they
// cannot. Whether a safety rule would refuse the change is known only when it is
// asked for: the rules are kept by the control plane in us-west-2.
func (a Setting) Preflight(ctx context.Context, req action.Request[SetParameters]) (action.Readiness, error) {
	endpoints := parseEndpoints(req.Parameters.ClusterEndpoints)
	seen, failures, err := endpoint.Survey(endpoints, a.reader(ctx, req.Parameters))
	if err != nil {
		return action.Readiness{}, err
	}
	d := decide(seen, req.Parameters.goal(), action.Asked{Now: req.Now})
	ready := action.Readiness{Observed: d.State, Evidence: evidence(seen), Findings: d.Findings()}
	if len(failures) > 0 {
		why := make([]string, len(failures))
		for i, f := range failures {
			why[i] = f.Error()
		}
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning,
			Message: fmt.Sprintf("%d of %d cluster endpoints cannot be used: %s", len(failures), len(endpoints), strings.Join(why, "; "))})
	}
	if rules := req.Parameters.SafetyRulesToOverride; len(rules) > 0 && d.Move == action.MoveAct {
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: "may break the safety rules " + strings.Join(rules, ", ")})
	}
	return ready, nil
}

// Reconcile takes the next step: all controls in one update, which ARC carries
// out as a whole or not at all.
func (a Setting) Reconcile(ctx context.Context, req action.Request[SetParameters]) (action.Progress, error) {
	endpoints := endpoint.Shuffled(parseEndpoints(req.Parameters.ClusterEndpoints), fmt.Sprintf("%s/%d/%d", req.Run.ID, req.Resource.Index, req.Drive.Polls))
	seen, err := endpoint.Look(endpoints, a.reader(ctx, req.Parameters))
	if err != nil {
		return action.Progress{}, err
	}
	asked := req.Asked("")
	d := decide(seen, req.Parameters.goal(), asked)
	progress, err := d.Progress(asked, evidence(seen))
	progress.WaitSeconds = lookSeconds
	if err != nil || d.Move != action.MoveAct {
		return progress, err
	}
	at, err := a.update(ctx, req.Parameters, endpoint.First(endpoints, answered(seen)))
	if err == nil {
		progress.Message = fmt.Sprintf("the endpoint in %s has taken the new states of %d routing controls", at.Region, len(req.Parameters.goal()))
	}
	return action.Sent(req, progress, err)
}

// answered gives the endpoints that have just answered.
func answered(seen []view) []Endpoint {
	var all []Endpoint
	for _, v := range seen {
		all = append(all, v.endpoint)
	}
	return all
}

// update sends the new states of all controls to one endpoint.
func (a Setting) update(ctx context.Context, p SetParameters, endpoints []Endpoint) (Endpoint, error) {
	in := &route53recoverycluster.UpdateRoutingControlStatesInput{SafetyRulesToOverride: p.SafetyRulesToOverride}
	for _, w := range p.goal() {
		in.UpdateRoutingControlStateEntries = append(in.UpdateRoutingControlStateEntries,
			types.UpdateRoutingControlStateEntry{RoutingControlArn: aws.String(w.arn), RoutingControlState: w.state})
	}
	return endpoint.Change(endpoints, func(e Endpoint) error {
		_, err := a.Cluster(e).UpdateRoutingControlStates(ctx, in)
		err = action.Mutation("updating routing controls at the endpoint in "+e.Region, err)
		if err != nil && action.ClassOf(err) == action.Conflict { // the only conflict that ARC knows
			return action.Errorf(action.Refused, "a safety rule refuses the change: %w", err)
		}
		return err
	})
}
