package dnsrecord

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/payload"
	"dr-orchestrator/internal/probe"
)

// ShiftParameters are the parameters of ShiftTraffic.
type ShiftParameters struct {
	Zone          string   `param:"required" format:"hosted-zone" doc:"ID of the hosted zone."`
	Name          string   `param:"required" format:"dns-name" doc:"Name of the weighted record sets."`
	Type          string   `param:"required" enum:"A,AAAA,CNAME,TXT" doc:"Type of the weighted record sets."`
	SetIdentifier string   `param:"required" doc:"The set that traffic moves to."`
	Steps         []string `format:"percent" default:"10,50,100" doc:"Shares of the traffic in percent, rising; the other sets keep their proportion in the rest."`
	HoldSeconds   int      `min:"0" max:"3600" default:"300" doc:"Seconds from the moment when all name servers have a step to the next step."`
	Requires      []string `format:"requirement" doc:"Databases that must take writes in the region of the run, as long as traffic moves: rds-instance/ID, rds-cluster/ID, global-cluster/ID. If one does not, traffic goes back."`
	probe.Gate
}

// maxHolds keeps a ramp within the time limit of the action.
const maxHolds = 90 * 60

// Check finds parameters that contradict each other.
func (p ShiftParameters) Check() []payload.Issue {
	var issues []payload.Issue
	steps := p.percents()
	if !slices.IsSorted(steps) || len(slices.Compact(slices.Clone(steps))) < len(steps) || steps[0] == 0 {
		issues = append(issues, payload.Issue{Parameter: "Steps", Message: fmt.Sprintf("the steps %s do not rise", strings.Join(p.Steps, ", ")), Want: "rising percentages above 0, such as 10,50,100"})
	}
	if holds := (len(steps) - 1) * p.HoldSeconds; holds > maxHolds {
		issues = append(issues, payload.Issue{Parameter: "HoldSeconds", Message: fmt.Sprintf("the holds take %d seconds together", holds), Want: fmt.Sprintf("at most %d", maxHolds)})
	}
	return append(issues, p.Gate.Issues()...)
}

// Identities names all sets of the name, for the weights of all of them change.
func (p ShiftParameters) Identities() []payload.Identity {
	return []payload.Identity{{Name: p.group().identity(), Parameter: "Name", Locked: true}}
}

func (p ShiftParameters) percents() []int {
	var all []int
	for _, text := range p.Steps {
		n, err := strconv.Atoi(text)
		if err != nil {
			n = 0
		}
		all = append(all, n)
	}
	return all
}

func (p ShiftParameters) group() group { return group{p.Zone, normalName(p.Name), p.Type} }

// ShiftAPI is every call to Route 53 that a shift of traffic makes.
type ShiftAPI interface {
	Lister
	ChangeResourceRecordSets(context.Context, *route53.ChangeResourceRecordSetsInput, ...func(*route53.Options)) (*route53.ChangeResourceRecordSetsOutput, error)
	GetChange(context.Context, *route53.GetChangeInput, ...func(*route53.Options)) (*route53.GetChangeOutput, error)
}

// shiftSight is what the preflight saw of a name, and when.
type shiftSight struct {
	At      time.Time
	Weights weights
	Targets string // where the sets lead
}

// targets tells where the sets of a name lead, and on what health check: all that
// a shift must not find changed, beside the weights.
func targets(sets []types.ResourceRecordSet) string {
	var text strings.Builder
	for _, s := range sets {
		s.Weight, s.TTL = nil, nil
		text.WriteString(form(s))
	}
	sum := sha256.Sum256([]byte(text.String()))
	return hex.EncodeToString(sum[:8])
}

// Prober asks an endpoint whether it serves; nil means that it does.
type Prober interface {
	Probe(ctx context.Context, want probe.CheckParameters) error
}

// Shift moves traffic between weighted record sets, in steps.
type Shift struct {
	Route53   ShiftAPI
	Databases Databases
	Prober    Prober
}

// NewShift wires the action to AWS.
func NewShift(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[ShiftParameters]{
		Reconciler: Shift{Route53: route53.NewFromConfig(f.Config("")), Databases: rds.NewFromConfig(f.Config("")), Prober: probe.Prober{Way: f.Outside(), Now: now}}, Secrets: secrets, Now: now, GivesUp: action.OnRoute53,
	}
}

// observe reads the weighted sets of the name.
func (a Shift) observe(ctx context.Context, p ShiftParameters) ([]types.ResourceRecordSet, error) {
	g := p.group()
	all, err := find(ctx, a.Route53, []group{g})
	if err != nil {
		return nil, err
	}
	sets := all[g]
	target := false
	for _, s := range sets {
		if s.Weight == nil {
			return nil, action.Errorf(action.Refused, "%s is no weighted record set", g)
		}
		if instance := aws.ToString(s.TrafficPolicyInstanceId); instance != "" {
			return nil, action.Errorf(action.Refused, "%s is kept by the traffic policy instance %s, which alone may change it", g, instance)
		}
		target = target || aws.ToString(s.SetIdentifier) == p.SetIdentifier
	}
	switch {
	case len(sets) == 0:
		return nil, action.Errorf(action.NotFound, "%s is not in hosted zone %s", g, g.zone)
	case !target:
		return nil, action.Errorf(action.NotFound, "%s has no set %q", g, p.SetIdentifier)
	}
	return sets, nil
}

// Preflight tells whether the shift could begin now.
func (a Shift) Preflight(ctx context.Context, req action.Request[ShiftParameters]) (action.Readiness, error) {
	p := req.Parameters
	sets, err := a.observe(ctx, p)
	if err != nil {
		return action.Readiness{}, err
	}
	now := weightsOf(sets)
	r, err := newRamp(p, now, now)
	if err != nil {
		return action.Readiness{}, err
	}
	seen, err := json.Marshal(shiftSight{req.Now, now, targets(sets)})
	if err != nil {
		return action.Readiness{}, action.Errorf(action.Internal, "the weights cannot be noted: %w", err)
	}
	ready := action.Readiness{Observed: action.StateReady, Evidence: action.Evidence{"weights": now}, Seen: string(seen)}
	switch {
	case r.at == len(r.steps)-1:
		ready.Observed = action.StateDone
	case r.at >= 0:
		ready.Observed = action.StateUnderWay
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: fmt.Sprintf("%d %% of the traffic are at %s already: the shift goes on from there", r.steps[r.at], p.SetIdentifier)})
	}
	if len(p.Requires) == 0 && p.Probe == "" && ready.Observed != action.StateDone {
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: "there is neither Requires nor Probe: whether the target serves, and takes writes, is not looked at"})
	}
	for _, fault := range a.abroad(req, sets) {
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictBlocked, Class: action.ClassOf(fault), Message: fault.Error()})
	}
	why, elsewhere, err := a.unmet(ctx, req, sets)
	ready.Findings = append(ready.Findings, foreseen(why, elsewhere, "no traffic is moved while that is so")...)
	if err == nil && p.Probe != "" {
		if err := a.Prober.Probe(ctx, p.Wants()); err != nil {
			ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: fmt.Sprintf("%s does not serve: no traffic is moved before it does (%v)", p.Probe, err)})
		}
	}
	return ready, err
}

// Reconcile takes the next step of the shift.
func (a Shift) Reconcile(ctx context.Context, req action.Request[ShiftParameters]) (action.Progress, error) {
	p := req.Parameters
	sets, err := a.observe(ctx, p)
	if err != nil {
		return action.Progress{}, err
	}
	now := weightsOf(sets)
	n, err := readShiftNote(req, now, targets(sets))
	if err != nil {
		return action.Progress{}, err
	}
	r, err := newRamp(p, n.first, now)
	if err != nil {
		return action.Progress{}, err
	}
	if n.back == "" {
		if err := a.serves(ctx, req, sets, n); err != nil {
			return action.Progress{}, err
		}
	}
	n.enter(req, &r)
	d := decideShift(r, n, nil)
	if d.Move == action.MoveLook {
		status, err := status(ctx, a.Route53, n.change)
		if err != nil {
			return action.Progress{}, err
		}
		if status == statusInSync && n.since.IsZero() {
			n.since = req.Now
		}
		d = decideShift(r, n, &status)
	}
	progress, err := d.Progress(n.asked, action.Evidence{"weights": now, "first": n.first})
	if err != nil {
		return progress, err
	}
	maps.Copy(progress.Memo, n.memo())
	if d.Move != action.MoveAct {
		return progress, nil
	}
	in := reweigh(p.Zone, sets, r.goal(d.Step), "dr-orchestrator run "+req.Run.ID)
	out, err := a.Route53.ChangeResourceRecordSets(ctx, in)
	progress.Final = true
	if err == nil && out.ChangeInfo != nil {
		progress.Memo[d.Step+memoChange] = changeID(out.ChangeInfo)
	}
	return action.Sent(req, progress, action.Mutation("changing the weights of "+p.group().String()+reasons(err), err))
}

// reweigh is the call that gives the sets other weights, and nothing else.
func reweigh(zone string, sets []types.ResourceRecordSet, goal weights, comment string) *route53.ChangeResourceRecordSetsInput {
	var changes []change
	for _, s := range sets {
		to := s
		if weight, known := goal[aws.ToString(s.SetIdentifier)]; known {
			to.Weight = aws.Int64(weight)
		}
		changes = append(changes, change{before: s, after: to})
	}
	return replace(zone, comment, changes)
}

// The notes of a shift.
const (
	memoFirst    = "first"    // the weights when this run was planned, or first looked, as JSON
	memoTargets  = "targets"  // where the sets led then
	memoFailures = "failures" // how often in a row the target did not answer
	memoBack     = "back"     // why traffic goes back
	stepBack     = "back "
)

// shiftNote is what this run knows of a shift beside what can be observed.
type shiftNote struct {
	first    weights
	targets  string    // where the sets led then
	altered  bool      // they lead elsewhere
	noted    bool      // the first weights are safe in the memo
	fresh    bool      // this is the first look, and no call of this run may have changed anything
	stood    time.Time // since when the weights are known to be as they are
	began    bool      // a call of this run may have changed something
	failures int
	why      string    // of the last failure
	unmet    time.Time // since when a requirement does not hold
	back     string
	decided  bool         // that traffic goes back is safe in the memo
	asked    action.Asked // of the call that is next
	key      string       // begins the notes about the call that came last
	change   string
	since    time.Time // since when every name server has what that call brought
	hold     time.Duration
	now      time.Time
}

func readShiftNote(req action.Request[ShiftParameters], now weights, targets string) (*shiftNote, error) {
	m := req.Drive.Memo
	var planned shiftSight
	if text := req.Resource.Seen; text != "" {
		if err := json.Unmarshal([]byte(text), &planned); err != nil {
			return nil, action.Errorf(action.Internal, "what the plan noted cannot be read: %w", err)
		}
	}
	n := &shiftNote{first: now, back: m[memoBack], decided: m[memoBack] != "", hold: time.Duration(req.Parameters.HoldSeconds) * time.Second, now: req.Now}
	n.noted = m[memoFirst] != ""
	// What the preflight saw counts as seen first: someone may have come since.
	if planned.Weights != nil {
		n.first = planned.Weights
	}
	if n.noted {
		n.first = nil
		if err := json.Unmarshal([]byte(m[memoFirst]), &n.first); err != nil {
			return nil, action.Errorf(action.Internal, "the weights noted are no weights: %w", err)
		}
	}
	n.targets = cmp.Or(m[memoTargets], planned.Targets, targets)
	n.altered = n.targets != targets
	n.failures, _ = strconv.Atoi(m[memoFailures])
	n.unmet, _ = timeOf(m[memoUnmet])
	n.began = req.Drive.Changed != action.ChangeNo
	n.fresh = !n.noted && !n.began && req.Drive.InterruptedAt == nil
	if n.fresh && maps.Equal(now, planned.Weights) {
		n.stood = planned.At
	}
	return n, nil
}

// enter fills in the notes about the calls before and after where the ramp is.
func (n *shiftNote) enter(req action.Request[ShiftParameters], r *ramp) {
	if n.back == "" && n.failures >= maxFailures && (n.unmet.IsZero() || req.Now.Sub(n.unmet) >= unmetTime) {
		n.back = fmt.Sprintf("%s (%d looks in a row)", n.why, n.failures)
	}
	next := r.next()
	switch {
	case n.back != "":
		n.asked, n.key = req.Asked(stepBack), stepBack
	case next < len(r.steps):
		n.asked, n.key = req.Asked(r.key(next)), r.key(next)
	default:
		n.asked = action.Asked{Now: req.Now}
	}
	if n.back == "" && r.at >= 0 {
		n.key = r.key(r.at)
	}
	n.change = req.Drive.Memo[n.key+memoChange]
	n.since, _ = timeOf(req.Drive.Memo[n.key+memoSince])
	if n.since.IsZero() && n.change == "" && r.at >= 0 && !n.stood.IsZero() {
		n.since = n.stood.Add(propagation)
	}
}

// unmet gives why traffic may not go to the target.
func (a Shift) unmet(ctx context.Context, req action.Request[ShiftParameters], sets []types.ResourceRecordSet) ([]string, []stray, error) {
	known, err := look(ctx, a.Databases, req.Parameters.Requires, req.Run.Region)
	return known.unmet, strays(req.Parameters.SetIdentifier, targetOf(req, sets), known, req.Run.Region), err
}

// abroad gives what of the target lies in another region than the databases.
func (a Shift) abroad(req action.Request[ShiftParameters], sets []types.ResourceRecordSet) []error {
	if len(req.Parameters.Requires) == 0 {
		return nil
	}
	return abroad(req.Parameters.SetIdentifier, targetOf(req, sets), req.Run.Region)
}

func targetOf(req action.Request[ShiftParameters], sets []types.ResourceRecordSet) types.ResourceRecordSet {
	return sets[slices.IndexFunc(sets, func(s types.ResourceRecordSet) bool {
		return aws.ToString(s.SetIdentifier) == req.Parameters.SetIdentifier
	})]
}

// serves notes whether the target can take traffic: its databases, as RDS shows
// them, and what it answers.
func (a Shift) serves(ctx context.Context, req action.Request[ShiftParameters], sets []types.ResourceRecordSet, n *shiftNote) error {
	p := req.Parameters
	unmet, elsewhere, err := a.unmet(ctx, req, sets)
	if err != nil {
		return err
	}
	why := believed(unmet, elsewhere)
	for _, fault := range a.abroad(req, sets) {
		why = append(why, fault.Error())
	}
	n.failures++
	if len(why) > 0 {
		n.why = strings.Join(why, "; ")
		if n.unmet.IsZero() {
			n.unmet = req.Now
		}
		return nil
	}
	n.unmet = time.Time{}
	if p.Probe == "" || a.Prober.Probe(ctx, p.Wants()) == nil {
		n.failures = 0
		return nil
	}
	n.why = p.Probe + " did not answer"
	return nil
}

// memo is what of the notes must come back.
func (n *shiftNote) memo() map[string]string {
	first, err := json.Marshal(n.first)
	if err != nil {
		return nil // a map of numbers
	}
	memo := map[string]string{memoFirst: string(first), memoTargets: n.targets, memoFailures: strconv.Itoa(n.failures), memoBack: n.back, memoUnmet: ""}
	if !n.unmet.IsZero() {
		memo[memoUnmet] = n.unmet.Format(time.RFC3339)
	}
	if !n.since.IsZero() {
		memo[n.key+memoSince] = n.since.Format(time.RFC3339)
	}
	return memo
}
