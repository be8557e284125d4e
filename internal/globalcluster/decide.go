package globalcluster

import (
	"slices"
	"strings"

	"dr-orchestrator/internal/action"
)

// goal is what is to become of the target, and by which way.
type goal struct {
	target  string // ARN of the cluster that is to take writes
	planned bool   // a switchover: it must lose nothing
	detach  bool   // leave the global cluster instead of failing over inside it
}

const phaseAsking = "asking"

// decide says what to do about a global cluster whose target is to take
// writes. local is nil while it has not been looked at; a decision that needs
// it says MoveLook.
func decide(g Global, local *Local, to goal, asked action.Asked) action.Decision {
	target, member := g.member(to.target)
	switch {
	case !member:
		return decideAlone(local, to, g)
	case g.Failover != nil:
		return decideRunning(g, target, to)
	case target.Writer && g.Status != statusAvailable && action.ConditionOf(conditions, g.Status) != action.StatusTerminal:
		return action.WaitFinal(action.StateUnderWay, g.Status, "the target takes writes; the global cluster is %s", g.Status)
	case target.Writer && to.planned:
		return decideSwitched(g, local, to)
	case target.Writer:
		d := prove(local, to, "is the writer of "+g.ID)
		if d.Move == action.MoveFinish && g.lone() {
			d.Reason += ". " + g.doubt()
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

// decideSwitched judges a planned target that is the writer. One that is alone
// in the global cluster may be what a detach has left behind, while the cluster
// that was detached serves: only a member that follows it proves the opposite.
func decideSwitched(g Global, local *Local, to goal) action.Decision {
	switch {
	case g.lone():
		return action.Fail(action.Refused, action.StateUnknown, "no secondary", "%s", g.doubt())
	case slices.ContainsFunc(g.Members, func(m Member) bool { return !m.Writer && m.Sync == syncConnected }):
		return prove(local, to, "is the writer of "+g.ID)
	case slices.ContainsFunc(g.Members, func(m Member) bool { return !m.Writer && m.Sync == syncResync }):
		return action.WaitFinal(action.StateUnderWay, syncResync, "%s is the writer of %s, and no other member is synchronized yet", to.target, g.ID)
	}
	return action.Wait(action.StateUnknown, "not connected", "%s is the writer of %s, and no other member is shown as %s: waiting for a proof that it is the one that serves", to.target, g.ID, syncConnected)
}

// lone reports whether a global cluster has one member only.
func (g Global) lone() bool { return len(g.Members) == 1 }

// doubt tells what a single member does not prove.
func (g Global) doubt() string {
	return g.ID + " has no secondary: nothing proves that " + g.Members[0].ARN + " is the cluster that serves, for one that was detached may. Run the failback first: it refuses where the roles are the other way round"
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
	case local.Status != statusAvailable:
		return action.WaitFinal(action.StateUnderWay, local.Status, "%s %s; the cluster is %s", to.target, what, local.Status)
	case local.Instances == 0:
		return action.Fail(action.Terminal, action.StateUnknown, "headless", "%s %s and has no DB instance that takes writes: create one", to.target, what)
	case local.Writer == "":
		return action.WaitFinal(action.StateUnderWay, "no writer", "%s %s; none of its %d instances is shown as its writer", to.target, what, local.Instances)
	case action.ConditionOf(conditions, local.WriterStatus) == action.StatusTerminal:
		return action.Fail(action.Terminal, action.StateUnknown, local.WriterStatus, "%s %s, and its instance %s is %s", to.target, what, local.Writer, local.WriterStatus)
	case local.WriterStatus != statusAvailable:
		return action.WaitFinal(action.StateUnderWay, local.WriterStatus, "its instance %s is %s", local.Writer, local.WriterStatus)
	}
	return action.Finish("writer", "%s %s; cluster and instance %s are available", to.target, what, local.Writer)
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
	if d, ok := decideTarget(local, target, to); ok {
		return d
	}
	if d, ok := asked.Idle(); ok {
		return d
	}
	return action.Act(phaseAsking, "nothing runs and the target does not take writes")
}

// decideTarget holds the rules about the cluster that is to take writes.
func decideTarget(local *Local, target Member, to goal) (action.Decision, bool) {
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
	if to.planned && target.Sync != syncConnected {
		return action.Fail(action.Refused, action.StateReady, target.Sync, "%s is not shown as in sync (%q): a switchover must lose nothing", to.target, target.Sync), true
	}
	return action.Decision{}, false
}
