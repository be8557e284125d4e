package dnsrecord

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
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
)

// SwapParameters are the parameters of SwapDNS.
type SwapParameters struct {
	Records          []Record `param:"required" doc:"The record sets to change, of one or more hosted zones. Those of one zone change together."`
	Requires         []string `json:",omitempty" format:"requirement" doc:"Databases that must take writes in the region of the run, before anything is changed and at the end: rds-instance/ID, rds-cluster/ID, global-cluster/ID."`
	CheckNameServers bool     `json:",omitempty" doc:"Ask the name servers of the zones, too, and end only when none of them contradicts."`
}

// maxEntry keeps an entry, with everything that travels with it, within the
// 256 KiB that Step Functions carries.
const maxEntry = 180_000

// Check finds parameters that contradict each other.
func (p SwapParameters) Check() []payload.Issue {
	var issues []payload.Issue
	earlier := map[string]int{}
	for i, r := range p.Records {
		key := r.Zone + " " + r.String()
		if first, twice := earlier[key]; twice {
			issues = append(issues, payload.Issue{Parameter: fmt.Sprintf("Records/%d/Name", i), Message: fmt.Sprintf("%s is what Records/%d names already", r, first), Want: "each record set once"})
		} else {
			earlier[key] = i
		}
		issues = append(issues, r.check(func(parameter string) string { return fmt.Sprintf("Records/%d/%s", i, parameter) })...)
	}
	if text, err := json.Marshal(p); err == nil && len(text) > maxEntry {
		issues = append(issues, payload.Issue{Parameter: "Records", Message: fmt.Sprintf("the records take %d bytes", len(text)), Want: fmt.Sprintf("at most %d bytes in one entry: make two of it", maxEntry)})
	}
	return issues
}

// maxLocked is how many names an entry locks at most, beside one of each zone:
// a lock is a call of its own, and a thousand would cost minutes.
const maxLocked = 20

// Identities names what is changed: a name and type, with all of its sets, for
// what becomes of one set decides what another one of them may become. One name
// of each zone is locked, which keeps a second run of the same payload away, and
// so are names with a routing policy. Runs that overlap otherwise see each
// other's changes.
func (p SwapParameters) Identities() []payload.Identity {
	first := map[string]int{}
	at := map[group]int{}
	var all []payload.Identity
	locked := 0
	for i, r := range p.Records {
		g := r.group()
		n, known := at[g]
		if !known {
			n = len(all)
			at[g] = n
			all = append(all, payload.Identity{Name: g.identity(), Parameter: fmt.Sprintf("Records/%d/Name", i)})
			if of, ok := first[r.Zone]; !ok || all[n].Name < all[of].Name {
				first[r.Zone] = n
			}
		}
		if r.SetIdentifier != "" && !all[n].Locked && locked < maxLocked {
			all[n].Locked = true
			locked++
		}
	}
	for _, i := range first {
		all[i].Locked = true
	}
	return all
}

// API is every call to Route 53 that a change of records makes. The control
// plane of Route 53 stands in us-east-1, whatever the region of the client.
type API interface {
	Lister
	ChangeResourceRecordSets(context.Context, *route53.ChangeResourceRecordSetsInput, ...func(*route53.Options)) (*route53.ChangeResourceRecordSetsOutput, error)
	GetChange(context.Context, *route53.GetChangeInput, ...func(*route53.Options)) (*route53.GetChangeOutput, error)
	zoneReader
	GetHealthCheck(context.Context, *route53.GetHealthCheckInput, ...func(*route53.Options)) (*route53.GetHealthCheckOutput, error)
}

// Swap makes record sets read as the payload wants them.
type Swap struct {
	Route53   API
	Databases Databases
	Ask       Ask
}

// NewSwap wires the action to AWS.
func NewSwap(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[SwapParameters]{
		Reconciler: Swap{Route53: route53.NewFromConfig(f.Config("")), Databases: rds.NewFromConfig(f.Config("")), Ask: NameServers(f.Exchange)},
		Secrets:    secrets, Now: now, GivesUp: action.OnRoute53,
	}
}

// observe reads what the records are and makes batches of what they are to be.
func (a Swap) observe(ctx context.Context, req action.Request[SwapParameters]) ([]batch, error) {
	records := req.Parameters.Records
	var groups []group
	for _, r := range records {
		groups = append(groups, r.group())
	}
	sets, err := find(ctx, a.Route53, groups)
	if err != nil {
		return nil, err
	}
	// What aliases are to lead to is read only where it is in their own zone.
	var targets []group
	for _, r := range records {
		for _, s := range sets[r.group()] {
			if aws.ToString(s.SetIdentifier) != r.SetIdentifier {
				continue
			}
			to, err := r.apply(s)
			if target, ok := within(r.group(), s, to); err == nil && ok && sets[target] == nil {
				targets = append(targets, target)
			}
		}
	}
	more, err := find(ctx, a.Route53, targets)
	if err != nil {
		return nil, err
	}
	for g, s := range more {
		if sets[g] == nil {
			sets[g] = s
		}
	}
	all := batches(records, sets)
	for i, b := range all {
		for _, c := range b.led() {
			if len(req.Parameters.Requires) > 0 {
				all[i].faults = append(all[i].faults, abroad(c.record.String(), c.after, req.Run.Region)...)
			}
		}
	}
	return all, nil
}

// unmet gives why traffic may not go where the batches lead it.
func (a Swap) unmet(ctx context.Context, req action.Request[SwapParameters], all []batch) ([]string, []stray, error) {
	known, err := look(ctx, a.Databases, req.Parameters.Requires, req.Run.Region)
	var elsewhere []stray
	for _, b := range all {
		for _, c := range b.led() {
			elsewhere = append(elsewhere, strays(c.record.String(), c.after, known, req.Run.Region)...)
		}
	}
	return known.unmet, elsewhere, err
}

// Preflight tells whether the records could be changed now.
func (a Swap) Preflight(ctx context.Context, req action.Request[SwapParameters]) (action.Readiness, error) {
	p := req.Parameters
	all, err := a.observe(ctx, req)
	if err != nil {
		return action.Readiness{}, err
	}
	ready := action.Readiness{Observed: action.StateReady, Evidence: evidence(all), Seen: noted(req.Now, all)}
	if err := a.healthChecks(ctx, p.Records, &ready); err != nil {
		return action.Readiness{}, err
	}
	wanted := 0
	for _, b := range all {
		for _, fault := range b.faults {
			ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictBlocked, Class: action.ClassOf(fault), Message: fault.Error()})
		}
		if b.wanted() {
			wanted++
		}
	}
	if err := a.unasked(ctx, p, all, &ready); err != nil {
		return action.Readiness{}, err
	}
	until := "no record is changed while that is so"
	switch {
	case wanted == len(all):
		ready.Observed = action.StateDone
		until = "the records lead there already, and the run does not succeed while that is so"
	case wanted > 0:
		ready.Observed = action.StateBusy
	}
	for _, b := range all {
		for _, n := range b.names {
			if left := n.left(); left != nil {
				ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: fmt.Sprintf("%s keeps traffic at %s, which the payload does not name: it goes to %s then", n.group, strings.Join(left, ", "), weightsOf(n.after).shares())})
			}
		}
	}
	if len(p.Requires) == 0 && wanted < len(all) && slices.ContainsFunc(p.Records, Record.moves) {
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: "Requires names no database: whether the side that the records are to lead to takes writes is not looked at"})
	}
	why, elsewhere, err := a.unmet(ctx, req, all)
	ready.Findings = append(ready.Findings, foreseen(why, elsewhere, until)...)
	return ready, err
}

// unasked tells of what CheckNameServers asks nothing.
func (a Swap) unasked(ctx context.Context, p SwapParameters, all []batch, ready *action.Readiness) error {
	if !p.CheckNameServers {
		return nil
	}
	asked, err := queries(ctx, a.Route53, all)
	for _, q := range asked {
		if q.want == nil {
			ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: fmt.Sprintf("CheckNameServers does not ask for %s: what is to answer cannot be told beforehand, nor whether health checks keep it away", q.group)})
		}
	}
	return err
}

// names reports whether the payload names a set.
func (n name) names(s types.ResourceRecordSet) bool {
	return slices.ContainsFunc(n.records, func(r Record) bool { return r.SetIdentifier == aws.ToString(s.SetIdentifier) })
}

// left gives the sets of a name that keep traffic and that the payload does not
// name, where it says by weights who is to have it. A payload that only takes
// weights away leaves it to the others.
func (n name) left() []string {
	if !slices.ContainsFunc(n.records, func(r Record) bool { return r.Weight != nil && *r.Weight > 0 }) {
		return nil
	}
	var all []string
	for _, s := range n.after {
		if aws.ToInt64(s.Weight) > 0 && !n.names(s) {
			all = append(all, aws.ToString(s.SetIdentifier))
		}
	}
	return all
}

// maxChecks is how many health checks a preflight asks for: each is a request of
// its own, of five a second.
const maxChecks = 20

// healthChecks finds out whether the health checks that records are to have are
// there. Route 53 refuses a batch with one that is not, which would come to
// light only after the layers before.
func (a Swap) healthChecks(ctx context.Context, records []Record, ready *action.Readiness) error {
	asked := map[string]bool{}
	left := 0
	for _, r := range records {
		switch {
		case r.HealthCheck == "" || asked[r.HealthCheck]:
			continue
		case len(asked) == maxChecks:
			left++
			continue
		}
		asked[r.HealthCheck] = true
		_, err := a.Route53.GetHealthCheck(ctx, &route53.GetHealthCheckInput{HealthCheckId: aws.String(r.HealthCheck)})
		switch class := action.ClassOf(err); {
		case err == nil:
		case class == action.NotFound:
			ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictBlocked, Class: class, Message: fmt.Sprintf("%s is to have the health check %s, which is not there", r, r.HealthCheck)})
		default:
			return action.Call("reading health check "+r.HealthCheck, err)
		}
	}
	if left > 0 {
		ready.Evidence["healthChecksNotAsked"] = left
	}
	return nil
}

// Reconcile takes the next step of the swap.
func (a Swap) Reconcile(ctx context.Context, req action.Request[SwapParameters]) (action.Progress, error) {
	p := req.Parameters
	all, err := a.observe(ctx, req)
	if err != nil {
		return action.Progress{}, err
	}
	notes := make([]note, len(all))
	memo := map[string]string{}
	before := planned(req.Resource.Seen, all)
	for i, b := range all {
		notes[i] = readNote(req, b, before[i])
		maps.Copy(memo, notes[i].first(b))
	}
	decisions := make([]action.Decision, len(all))
	for i, b := range all {
		d := decide(b, notes[i], nil)
		if d.Move == action.MoveLook {
			status, err := status(ctx, a.Route53, notes[i].change)
			if err != nil {
				return action.Progress{}, err
			}
			d = decide(b, notes[i], &status)
			if status == statusInSync && d.Move == action.MoveFinish {
				memo[b.step+memoSynced] = "yes"
			}
		}
		decisions[i] = d
		if d.Move == action.MoveWait {
			waiting, _ := d.Progress(notes[i].asked, nil)
			maps.Copy(memo, waiting.Memo)
			maps.Copy(memo, notes[i].propagating(b, d))
		}
	}
	at, d := sum(decisions)
	if moved(all, notes) && d.Move != action.MoveFinish {
		d.State = action.StateUnderWay
	}
	seen := evidence(all)
	if d.Move == action.MoveAct || d.Move == action.MoveFinish {
		var gate map[string]string
		if d, gate, err = a.gate(ctx, req, all, d, moved(all, notes)); err != nil {
			return action.Progress{}, err
		}
		maps.Copy(memo, gate)
	}
	if d.Move == action.MoveFinish && p.CheckNameServers {
		if d, err = a.checkNameServers(ctx, all, seen, d); err != nil {
			return action.Progress{}, err
		}
	}
	progress, err := d.Progress(notes[at].asked, seen)
	if err != nil {
		return progress, err
	}
	if d.Move != action.MoveAct {
		progress.Memo = memo
		return progress, nil
	}
	kept := maps.Clone(memo)
	maps.Copy(memo, progress.Memo)
	progress.Memo = memo
	progress, err = a.change(ctx, req, all[at], progress)
	if progress.Contended { // the notes of the call are gone with it, those of the look must not be
		maps.Copy(progress.Memo, kept)
	}
	return progress, err
}

const (
	memoUnmet = "unmetSince"
	// unmetTime is how long a requirement that does not hold is looked at
	// again: the layer before has proved it, and a describe may show the state
	// from before.
	unmetTime = 20 * time.Second
	// lateTime is the same once records lead there: nothing is gained by an end
	// in haste, and a database that reboots comes back.
	lateTime = 5 * time.Minute
)

// gate keeps traffic from a side that is not seen to take writes, and a run from
// calling it a success that traffic is there. moved says that this run may have
// brought it there.
func (a Swap) gate(ctx context.Context, req action.Request[SwapParameters], all []batch, d action.Decision, moved bool) (action.Decision, map[string]string, error) {
	unmet, elsewhere, err := a.unmet(ctx, req, all)
	if err != nil {
		return d, nil, err
	}
	why := believed(unmet, elsewhere)
	since, known := timeOf(req.Drive.Memo[memoUnmet])
	switch {
	case len(why) == 0:
		return d, map[string]string{memoUnmet: ""}, nil
	case known && d.Move == action.MoveFinish && moved:
		if req.Now.Sub(since) >= lateTime {
			return action.Fail(action.Terminal, action.StateUnderWay, "not writable", "the records read as wanted, and lead to a side that is not seen to take writes: %s", strings.Join(why, "; ")), nil, nil
		}
	case known && req.Now.Sub(since) >= unmetTime && d.Move == action.MoveFinish:
		return action.Fail(action.Refused, d.State, "not writable", "the records read as wanted since before this run, and lead to a side that is not seen to take writes: %s; nothing was changed", strings.Join(why, "; ")), nil, nil
	case known && req.Now.Sub(since) >= unmetTime:
		return action.Fail(action.Refused, d.State, "not writable", "no traffic is moved to a side that is not seen to take writes: %s", strings.Join(why, "; ")), nil, nil
	case !known:
		since = req.Now
	}
	return action.WaitFinal(d.State, "not writable", "%s: looking again before that is believed", strings.Join(why, "; ")),
		map[string]string{memoUnmet: since.Format(time.RFC3339)}, nil
}

// change asks for one batch.
func (a Swap) change(ctx context.Context, req action.Request[SwapParameters], b batch, progress action.Progress) (action.Progress, error) {
	in := replace(b.zone, "dr-orchestrator run "+req.Run.ID, b.changes)
	out, err := a.Route53.ChangeResourceRecordSets(ctx, in)
	progress.Message = fmt.Sprintf("%d record sets of hosted zone %s are being changed", len(unlike(b.changes)), b.zone)
	progress.Final = true // the next zone need not wait
	if err == nil && out.ChangeInfo != nil {
		progress.Memo[b.step+memoChange] = changeID(out.ChangeInfo)
	}
	return action.Sent(req, progress, action.Mutation("changing records of hosted zone "+b.zone+reasons(err), err))
}

// reasons gives what Route 53 has against each change of a batch: its error
// says only that there is something.
func reasons(err error) string {
	if invalid, ok := errors.AsType[*types.InvalidChangeBatch](err); ok && len(invalid.Messages) > 0 {
		return " (" + strings.Join(invalid.Messages, "; ") + ")"
	}
	return ""
}

// changeReader tells how far a change has spread.
type changeReader interface {
	GetChange(context.Context, *route53.GetChangeInput, ...func(*route53.Options)) (*route53.GetChangeOutput, error)
}

// The statuses of a change. Route 53 forgets changes that were lost when its
// control plane moved, and answers NoSuchChange.
const (
	statusPending = "PENDING"
	statusInSync  = "INSYNC"
	statusGone    = "unknown"
)

func changeID(info *types.ChangeInfo) string {
	return strings.TrimPrefix(aws.ToString(info.Id), "/change/")
}

func status(ctx context.Context, api changeReader, change string) (string, error) {
	out, err := api.GetChange(ctx, &route53.GetChangeInput{Id: aws.String(change)})
	switch {
	case action.ClassOf(err) == action.NotFound:
		return statusGone, nil
	case err != nil:
		return "", action.Call("asking for the status of change "+change, err)
	case out.ChangeInfo == nil:
		return statusPending, nil
	}
	return string(out.ChangeInfo.Status), nil
}

// maxShown is how many record sets evidence tells of one by one.
const maxShown = 10

func evidence(all []batch) action.Evidence {
	zones, shares := map[string]int{}, map[string]string{}
	var records []string
	left := 0
	for _, b := range all {
		for _, n := range b.names {
			if len(n.after) > 0 && n.after[0].Weight != nil && len(shares) < maxShown {
				shares[n.String()] = weightsOf(n.after).shares()
			}
		}
		for _, c := range b.changes {
			zones[b.zone]++
			if same(c.before, c.after) {
				continue
			}
			if left++; len(records) < maxShown {
				records = append(records, fmt.Sprintf("%s: %s, to become %s", c.record, shown(c.before), shown(c.after)))
			}
		}
	}
	e := action.Evidence{"recordsOfZones": zones, "notYetAsWanted": left}
	if len(records) > 0 {
		e["changes"] = records
	}
	if len(shares) > 0 {
		e["sharesThen"] = shares
	}
	return e
}
