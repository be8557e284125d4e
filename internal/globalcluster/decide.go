package globalcluster

import (
	"fmt"
	"time"

	"dr-orchestrator/internal/action"
)

type move int

const (
	moveWait   move = iota // look again later
	moveProve              // the roles are right: look at cluster and instance too
	moveFinish             // the goal is proved
	moveAct                // ask AWS
	moveFail               // nothing that may be done leads to the goal
)

type decision struct {
	move   move
	state  action.State
	class  action.Class // of a failure
	final  bool
	phase  string
	reason string
}

// goal is what is to become of the target, and by which way.
type goal struct {
	target  string // ARN of the cluster that is to take writes
	planned bool   // a switchover: it must lose nothing
	detach  bool   // leave the global cluster instead of failing over inside it
}

const phaseInvisible = "not visible"

// decide says what to do about a global cluster whose target is to take
// writes. local is nil while it has not been looked at; a decision that needs
// it says moveProve.
func decide(g Global, local *Local, to goal, asked action.Asked) decision {
	target, member := g.member(to.target)
	if g.Failover != nil {
		return decideRunning(g, to)
	}
	if !member {
		return decideAlone(local, to, g)
	}
	if target.Writer {
		if g.Status != statusAvailable {
			return decision{moveWait, action.StateUnderWay, "", true, g.Status, "the target takes writes; the global cluster is " + g.Status}
		}
		return prove(local, to, "is the writer of "+g.ID)
	}
	if to.detach && local == nil {
		return decision{move: moveProve, state: action.StateUnknown, phase: "looking"}
	}
	if to.detach && local.Status == statusPromoting {
		return decision{moveWait, action.StateUnderWay, "", true, statusPromoting, "the cluster is leaving the global cluster"}
	}
	return decideIdle(g, target, to, asked)
}

// decideRunning judges a switchover or failover that AWS is carrying out.
func decideRunning(g Global, to goal) decision {
	if g.Failover.To != to.target {
		return decision{moveFail, action.StateUnknown, action.Conflict, false, g.Failover.Status,
			fmt.Sprintf("another operation moves %s to %s (%s)", g.ID, g.Failover.To, g.Failover.Status)}
	}
	target, _ := g.member(to.target)
	return decision{moveWait, action.StateUnderWay, "", target.Writer, g.Status, fmt.Sprintf("%s is %s", g.ID, g.Failover.Status)}
}

// decideAlone judges a target that is no member of the global cluster. For
// unplanned work it may have left already, by an earlier run or by hand.
func decideAlone(local *Local, to goal, g Global) decision {
	if to.planned {
		return decision{moveFail, action.StateUnknown, action.Refused, false, "not a member", fmt.Sprintf("%s is not a member of %s", to.target, g.ID)}
	}
	return prove(local, to, "stands on its own, outside "+g.ID)
}

// prove asks for the last pieces of evidence: cluster and writer instance.
func prove(local *Local, to goal, what string) decision {
	if local == nil {
		return decision{move: moveProve, state: action.StateUnknown, final: true, phase: "proving"}
	}
	for _, part := range []struct{ what, status string }{{local.ARN, local.Status}, {"its writer instance " + local.Writer, local.WriterStatus}} {
		switch {
		case part.status == statusAvailable:
		case conditions[part.status] == terminal:
			return decision{moveFail, action.StateUnknown, action.Terminal, false, part.status, fmt.Sprintf("%s %s, and %s is %s", to.target, what, part.what, part.status)}
		case local.Writer == "":
			return decision{moveFail, action.StateUnknown, action.Terminal, false, "headless", fmt.Sprintf("%s %s and has no DB instance that takes writes: create one", to.target, what)}
		default:
			return decision{moveWait, action.StateUnderWay, "", true, part.status, fmt.Sprintf("%s is %s", part.what, part.status)}
		}
	}
	return decision{moveFinish, action.StateDone, "", true, "writer", fmt.Sprintf("%s %s; cluster and instance %s are available", to.target, what, local.Writer)}
}

// decideIdle judges a target that does not take writes while nothing is seen
// to run toward it.
func decideIdle(g Global, target Member, to goal, asked action.Asked) decision {
	switch condition := conditions[g.Status]; {
	case condition == terminal:
		return decision{moveFail, action.StateUnknown, action.Terminal, false, g.Status, fmt.Sprintf("%s is %s", g.ID, g.Status)}
	case condition == pending && !asked.Requested.IsZero():
		return decision{moveWait, action.StateUnderWay, "", false, g.Status, fmt.Sprintf("%s is %s", g.ID, g.Status)}
	case condition != ready:
		return decision{moveWait, action.StateUnknown, "", true, g.Status, fmt.Sprintf("%s is %s: waiting until it is available", g.ID, g.Status)}
	case to.planned && target.Sync == syncResync:
		return decision{moveFail, action.StateReady, action.Refused, false, target.Sync, fmt.Sprintf("%s is still being synchronized (%s): a switchover must lose nothing", to.target, target.Sync)}
	}
	switch asked.Idle() {
	case action.NotYetVisible:
		return decision{moveWait, action.StateUnderWay, "", true, phaseInvisible, "AWS has accepted the call and shows nothing running"}
	case action.NeverBegan: // a switchover that AWS cancels (RDS-EVENT-0186) also looks like this
		return decision{moveFail, action.StateReady, action.Terminal, false, "cancelled",
			fmt.Sprintf("AWS accepted the call at %s and the roles in %s are as before: it was cancelled (see the RDS events of the cluster)", asked.Requested.Format(time.RFC3339), g.ID)}
	case action.PerhapsAsked:
		return decision{moveWait, action.StateReady, "", true, "confirming", "an earlier call had no answer: making sure that it had no effect"}
	}
	return decision{moveAct, action.StateReady, "", false, "asking", "nothing runs and the target does not take writes"}
}
