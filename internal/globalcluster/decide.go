package globalcluster

import (
	"cmp"
	"slices"
	"strings"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/succession"
)

// goal is what is to become of the target, and by which way.
type goal struct {
	target  string // ARN of the cluster that is to take writes
	planned bool   // a switchover: it must lose nothing
	detach  bool   // leave the global cluster instead of failing over inside it
	partial bool   // go ahead with a target that is known to lack data
}

const phaseAsking = "asking"

// decide says what to do about a global cluster whose target is to take
// writes. local is nil while it has not been looked at; a decision that needs
// it says MoveLook.
func decide(g Global, local *Local, to goal, asked action.Asked) action.Decision {
	target, member := g.member(to.target)
	switch {
	case local != nil && local.Fenced:
		return action.Fail(action.Refused, action.StateUnknown, "fenced", "%s %s", to.target, succession.ReleaseFirst)
	case !member:
		return decideAlone(local, to, g)
	case g.Failover != nil:
		return decideRunning(g, target, to)
	case target.Writer && g.Status != statusAvailable && action.ConditionOf(conditions, g.Status) != action.StatusTerminal:
		return action.WaitFinal(action.StateUnderWay, g.Status, "the target takes writes; the global cluster is %s", g.Status)
	case target.Writer && to.planned && g.lone():
		return action.Fail(action.Refused, action.StateUnknown, "no secondary", "%s", g.doubt())
	case target.Writer:
		d := prove(local, to, "is the writer of "+g.ID)
		if caveat := g.caveat(); d.Move == action.MoveFinish && caveat != "" {
			d.Reason += ". " + caveat
		}
		return d
	}
	return decideSecondary(g, local, target, to, asked)
}

// decideRunning judges a switchover or failover that AWS is carrying out.
func decideRunning(g Global, target Member, to goal) action.Decision {
	if !strings.EqualFold(g.Failover.To, to.target) {
		return action.Fail(action.Conflict, action.StateUnknown, g.Failover.Status, "another operation moves %s to %s (%s)", g.ID, g.Failover.To, g.Failover.Status)
	}
	if to.planned && g.Failover.DataLoss {
		return action.Fail(action.Conflict, action.StateUnknown, g.Failover.Status, "%s is being failed over to %s by somebody else, and data may be lost: this is no switchover", g.ID, to.target)
	}
	d := action.Wait(action.StateUnderWay, g.Status, "%s is %s", g.ID, g.Failover.Status)
	d.Final = target.Writer
	return d
}

// lone reports whether nothing follows the writer of a global cluster. It may
// then be what a detach has left behind, while the cluster that was detached
// serves; a member that follows proves the opposite, in sync or not.
func (g Global) lone() bool {
	return !slices.ContainsFunc(g.Members, func(m Member) bool { return !m.Writer })
}

// doubt tells what a writer that nothing follows does not prove.
func (g Global) doubt() string {
	return g.ID + " has no secondary: nothing proves that " + g.Members[0].ARN + " is the cluster that serves, for one that was detached may. Run the failback first: it refuses where the roles are the other way round"
}

// caveat tells what is to be said of a target that takes writes; empty where
// another member is in sync with it. AWS brings the old primary into sync only
// afterwards, in minutes to hours: nobody's service waits for that.
func (g Global) caveat() string {
	switch {
	case g.lone():
		return g.doubt()
	case slices.ContainsFunc(g.Members, func(m Member) bool { return !m.Writer && m.Sync == syncConnected }):
		return ""
	}
	return "No other region is protected yet: " + g.behind() + "; until one is " + syncConnected + ", none could take over without losing data"
}

// behind tells which members follow the writer and are not in sync with it.
func (g Global) behind() string {
	var all []string
	for _, m := range g.Members {
		if !m.Writer && m.Sync != syncConnected {
			all = append(all, m.ARN+" is "+cmp.Or(m.Sync, "not shown as in sync"))
		}
	}
	return strings.Join(all, ", ")
}

// decideAlone judges a target that is no member of the global cluster. Only a
// detach may have led there, by an earlier run or by hand; that it takes writes
// is proved by its own view, for it might be a secondary of another global
// cluster.
func decideAlone(local *Local, to goal, g Global) action.Decision {
	if !to.detach {
		return action.Fail(action.Refused, action.StateUnknown, "not a member", "%s is not a member of %s", to.target, g.ID)
	}
	if local != nil && !strings.EqualFold(local.ARN, to.target) {
		return action.Fail(action.InvalidInput, action.StateUnknown, "not a member", "%s is not a member of %s, and what answers to its name is %s", to.target, g.ID, local.ARN)
	}
	if local != nil && (local.Global != "" || local.Source != "") && local.Status != statusPromoting {
		return action.Fail(action.Refused, action.StateUnknown, "not a member", "%s is not a member of %s and belongs to another: global cluster %q, source %q", to.target, g.ID, local.Global, local.Source)
	}
	return prove(local, to, "stands on its own, outside "+g.ID)
}

// prove asks for the last pieces of evidence: cluster and writer instance.
func prove(local *Local, to goal, what string) action.Decision {
	if local == nil {
		d := action.Look("proving")
		d.Final = true
		return d
	}
	switch {
	case action.ConditionOf(conditions, local.Status) == action.StatusTerminal:
		return action.Fail(action.Terminal, action.StateUnknown, local.Status, "%s %s, and the cluster is %s", to.target, what, local.Status)
	case !operational(local.Status):
		return action.WaitFinal(action.StateUnderWay, local.Status, "%s %s; the cluster is %s", to.target, what, local.Status)
	case local.Instances == 0:
		return action.Fail(action.Terminal, action.StateUnknown, "headless", "%s %s and has no DB instance that takes writes: create one", to.target, what)
	case local.Writer == "":
		return action.WaitFinal(action.StateUnderWay, "no writer", "%s %s; none of its %d instances is shown as its writer", to.target, what, local.Instances)
	case action.ConditionOf(conditions, local.WriterStatus) == action.StatusTerminal:
		return action.Fail(action.Terminal, action.StateUnknown, local.WriterStatus, "%s %s, and its instance %s is %s", to.target, what, local.Writer, local.WriterStatus)
	case !operational(local.WriterStatus):
		return action.WaitFinal(action.StateUnderWay, local.WriterStatus, "its instance %s is %s", local.Writer, local.WriterStatus)
	}
	return action.Finish("writer", "%s %s; its cluster is %s, and its instance %s is %s", to.target, what, local.Status, local.Writer, local.WriterStatus)
}

// decideSecondary judges a member that does not take writes while nothing is
// seen to run toward it. It acts only on a target that could take writes.
func decideSecondary(g Global, local *Local, target Member, to goal, asked action.Asked) action.Decision {
	switch condition := action.ConditionOf(conditions, g.Status); {
	case condition == action.StatusTerminal:
		return action.Fail(action.Terminal, action.StateUnknown, g.Status, "%s is %s", g.ID, g.Status)
	case condition == action.StatusUnknown:
		return action.Wait(action.StateUnknown, g.Status, "%s has the status %q, which is not known here: waiting", g.ID, g.Status)
	case condition != action.StatusReady:
		return action.Wait(action.StateBusy, g.Status, "%s is %s: waiting until it is available", g.ID, g.Status)
	case local == nil:
		return action.Look(phaseAsking)
	case to.detach && local.Status == statusPromoting:
		return action.WaitFinal(action.StateUnderWay, statusPromoting, "the cluster is leaving the global cluster")
	}
	if d, ok := decideTarget(local); ok {
		return d
	}
	if d, ok := asked.Idle(); ok { // what is under way may take the target out of sync
		return d
	}
	if d, ok := decideSync(target, to); ok {
		return d
	}
	return action.Act(phaseAsking, "nothing runs and the target does not take writes")
}

// decideTarget holds the rules about the cluster that is to take writes.
func decideTarget(local *Local) (action.Decision, bool) {
	if local.Instances == 0 {
		return action.Fail(action.Refused, action.StateReady, "headless", "%s has no DB instance: it could not take writes; create one first", local.ARN), true
	}
	for _, part := range []struct{ what, status string }{{"cluster " + local.ARN, local.Status}, {"instance " + local.instance(), local.WriterStatus}} {
		switch {
		case action.ConditionOf(conditions, part.status) == action.StatusTerminal:
			return action.Fail(action.Refused, action.StateReady, part.status, "the target %s is %s: it could not take writes", part.what, part.status), true
		case action.ConditionOf(conditions, part.status) == action.StatusUnknown:
			return action.Wait(action.StateUnknown, part.status, "the target %s has the status %q, which is not known here: waiting", part.what, part.status), true
		case action.ConditionOf(conditions, part.status) != action.StatusReady:
			return action.Wait(action.StateReady, part.status, "the target %s is %s: waiting until it is available", part.what, part.status), true
		}
	}
	return action.Decision{}, false
}

// decideSync holds the rules about what the target lacks. What is being
// synchronized lacks something for certain, whatever its lag, and a switchover
// can wait for it. AWS does not say whether the loss of the primary's region is
// enough for a target to show it: so a person may accept it.
func decideSync(target Member, to goal) (action.Decision, bool) {
	switch {
	case target.Sync == syncConnected:
	case to.planned && target.Sync == syncResync:
		return action.Wait(action.StateReady, syncResync, "AWS is still synchronizing %s (%s): waiting, for a switchover must lose nothing", to.target, syncResync), true
	case to.planned:
		return action.Fail(action.Refused, action.StateReady, target.Sync, "%s is not shown as in sync (%q): a switchover must lose nothing", to.target, target.Sync), true
	case target.Sync != "" && !to.partial:
		return action.Fail(action.Refused, action.StateReady, target.Sync,
			"%s is not in sync with its primary but %s: it lacks data, and how much is not known. Wait until it is %s; where the primary is lost and there is no better copy, AcceptUnknownLag \"true\" goes ahead",
			to.target, target.Sync, syncConnected), true
	}
	return action.Decision{}, false
}
