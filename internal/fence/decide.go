package fence

import (
	"strings"

	"dr-orchestrator/internal/action"
)

// The calls of a fence.
const (
	stepSave     = "saving"      // tags: the groups, and that a fence begins
	stepIsolate  = "isolating"   // the groups without inbound rules
	stepName     = "naming"      // tag: what takes over by now
	stepReboot   = "rebooting"   // ends connections that the old groups let in
	stepComplete = "recording"   // tag: it was rebooted
	stepStop     = "stopping"    // instead of all that
	stepRelease  = "releasing"   // tag: no longer a fence
	stepStart    = "starting"    // what was stopped
	stepRestore  = "restoring"   // the groups from the tag
	maxTagValue  = 256           // characters, by the RDS user guide
	phaseFenced  = "fenced"      // of a fence that is proved
	phaseClosed  = "isolated"    // of one that lets nobody in, and may have somebody in
	phaseFree    = "released"    // of a release that is proved
	phaseTrouble = "no progress" // of a fence that is tried again
)

// notes is what earlier invocations of this run left behind.
type notes struct {
	asked    func(step string) action.Asked
	rebooted bool   // it was seen rebooting while it was isolated
	next     string // ARN of what takes over
}

// misdirected finds parameters that would fence what is to take over, or what
// takes no writes anyway. Whatever else is tried as well as it can be, this is
// refused.
func misdirected(p Parameters, region string, found *Primary) error {
	switch {
	case p.Method == MethodRelease:
		return nil
	case p.PrimaryRegion == region:
		return action.Errorf(action.Refused, "PrimaryRegion %s is the region that takes over: fencing there would stop the new primary", p.PrimaryRegion)
	case found == nil:
		return nil
	case found.Source != "":
		return action.Errorf(action.Refused, "%s is a replica of %s and no primary: fence the primary", found.what(), found.Source)
	case found.secondary():
		return action.Errorf(action.Refused, "%s is a secondary of the global cluster %s and takes no writes: fence the primary", found.what(), found.Global)
	case found.Parent != "":
		return action.Errorf(action.Refused, "%s is a member of the cluster %s: give DBClusterIdentifier", found.what(), found.Parent)
	case p.Method == MethodIsolate && found.Status != statusStopped && found.in(p.IsolationSecurityGroupIds) && found.everyday():
		return action.Errorf(action.Refused, "%s is in the groups %s without a fence: they are its groups of every day and keep nobody out", found.what(), strings.Join(found.Groups, " "))
	}
	return nil
}

// decide says what to do about an old primary. Its Step names the call that is
// to be made or that is waited for.
func decide(found Primary, p Parameters, n notes) action.Decision {
	switch p.Method {
	case MethodStop:
		return decideStop(found, n)
	case MethodRelease:
		return decideRelease(found, n)
	}
	return decideIsolate(found, p, n)
}

// unfit judges the statuses that no method can do anything with.
func unfit(found Primary, state action.State) (action.Decision, bool) {
	for _, status := range []string{found.Status, found.WriterStatus} {
		if status == "" {
			continue // no writer is shown
		}
		switch action.ConditionOf(conditions, status) {
		case action.StatusTerminal:
			return action.Fail(action.Terminal, action.StateUnknown, status, "%s is %s", found.what(), status), true
		case action.StatusPending:
			return action.WaitFinal(state, status, "%s is %s", found.what(), status), true
		case action.StatusUnknown:
			return action.Wait(action.StateUnknown, status, "%s has the status %q, which is not known here: waiting", found.what(), status), true
		}
	}
	return action.Decision{}, false
}

// decideIsolate leads from the groups of every day to the ones without inbound
// rules, one call after another. Groups that have changed keep out who comes
// anew; a connection that is tracked may live on (user guide of VPC, "Security
// group connection tracking"), which is why a reboot belongs to the proof.
func decideIsolate(found Primary, p Parameters, n notes) action.Decision {
	isolated := found.in(p.IsolationSecurityGroupIds)
	state := action.StateBusy
	if isolated || found.Tags[tagFence] == fenceBegun {
		state = action.StateUnderWay
	}
	if found.Status == statusStopped {
		return action.Finish(phaseFenced, "%s is stopped and takes no writes; AWS starts it by itself after 7 days", found.what())
	}
	if d, ok := unfit(found, state); ok {
		return d
	}
	switch {
	case state == action.StateUnderWay && n.next != "" && !strings.EqualFold(found.Tags[tagSuccessor], n.next):
		// A release asks what the tag names.
		return step(n, stepName, state, "the fence of %s was begun for %q, and %s takes over now", found.what(), found.Tags[tagSuccessor], n.next)
	case isolated:
		return decideReboot(found, p, n)
	case !found.Settled:
		return action.WaitFinal(state, "groups", "the security groups of %s are being changed", found.what())
	}
	groups := strings.Join(found.original(), " ")
	switch {
	case found.Tags[tagFence] == fenceBegun && len(found.saved()) > 0:
		return step(n, stepIsolate, action.StateUnderWay, "%s is in the groups %s; those of every day are kept: %s", found.what(), strings.Join(found.Groups, " "), groups)
	case len(groups) > maxTagValue:
		return action.Fail(action.Refused, action.StateReady, "too many groups", "the %d security groups of %s do not fit into the tag that would give them back", len(found.Groups), found.what())
	}
	return step(n, stepSave, action.StateReady, "the security groups of %s are to be kept in a tag: %s", found.what(), groups)
}

// everyday reports whether the groups in force are those from before any fence:
// no fence has put it there, or the tag would give the same ones back.
func (p Primary) everyday() bool {
	return p.Tags[tagFence] == "" || len(p.saved()) == 0 || p.in(p.saved())
}

// decideReboot judges a primary that is available and isolated.
func decideReboot(found Primary, p Parameters, n notes) action.Decision {
	switch {
	case found.Writer == "" && found.Members == 0:
		return action.Finish(phaseFenced, "%s is isolated and has no instance", found.what())
	case found.Writer == "":
		return action.Wait(action.StateUnderWay, "no writer", "%s is isolated and shows none of its instances as the writer: waiting", found.what())
	case found.Tags[tagFence] == fenceComplete:
		return action.Finish(phaseFenced, "%s is isolated and was rebooted since", found.what())
	case !p.Reboot:
		return action.Finish(phaseClosed, "%s is isolated; two writers may serve, because connections from before live on until it is rebooted", found.what())
	case n.rebooted:
		return step(n, stepComplete, action.StateUnderWay, "%s was rebooted", found.Writer)
	}
	d := step(n, stepReboot, action.StateUnderWay, "connections from before the isolation end with a reboot of %s", found.Writer)
	if d.Move == action.MoveFail {
		// AWS has taken the call and nobody has seen a reboot: it may have been
		// too short to be seen. Another one does no harm.
		d = act(stepReboot, action.StateUnderWay, "no reboot of %s was seen: asking once more", found.Writer)
	}
	return d
}

func decideStop(found Primary, n notes) action.Decision {
	switch {
	case found.Status == statusStopped:
		return action.Finish(phaseFenced, "%s is stopped; AWS starts it by itself after 7 days", found.what())
	case found.Status == statusStopping:
		return action.WaitFinal(action.StateUnderWay, found.Status, "%s is stopping", found.what())
	}
	if d, ok := unfit(found, action.StateBusy); ok {
		return d
	}
	switch {
	case found.Replicas > 0:
		return action.Fail(action.Refused, action.StateReady, "has replicas", "%s has replicas, and AWS stops no such thing: use the Method Isolate", found.what())
	case found.Global != "":
		return action.Fail(action.Refused, action.StateReady, "in a global cluster", "%s is a member of the global cluster %s, and AWS stops no such thing: use the Method Isolate", found.what(), found.Global)
	}
	return step(n, stepStop, action.StateReady, "%s is available", found.what())
}

// decideRelease gives back what was fenced. The tag goes first: from then on
// nobody takes the reboot of before for a proof of now.
func decideRelease(found Primary, n notes) action.Decision {
	busy, ready := action.StateBusy, action.StateReady
	begun := found.Tags[tagFence] == fenceReleased
	if begun {
		busy, ready = action.StateUnderWay, action.StateUnderWay
	}
	if found.Status != statusStopped {
		if d, ok := unfit(found, busy); ok {
			return d
		}
	}
	saved, marked := found.saved(), found.Tags[tagFence] != ""
	switch {
	case marked && !begun:
		return step(n, stepRelease, action.StateReady, "%s is tagged as fenced", found.what())
	case found.Status == statusStopped:
		return step(n, stepStart, ready, "%s is stopped", found.what())
	case len(saved) == 0 && marked:
		return action.Fail(action.Refused, action.StateReady, "groups unknown", "%s was fenced, and no tag %s tells its security groups", found.what(), tagGroups)
	case len(saved) == 0:
		return action.Finish(phaseFree, "%s is available, and no tag says that it was isolated", found.what())
	case !found.Settled:
		return action.WaitFinal(busy, "groups", "the security groups of %s are being changed", found.what())
	case !found.in(saved):
		return step(n, stepRestore, ready, "the groups from before are %s", found.Tags[tagGroups])
	}
	return action.Finish(phaseFree, "%s is available in its security groups from before", found.what())
}

// step asks AWS, unless this run has asked already.
func step(n notes, name string, state action.State, format string, args ...any) action.Decision {
	if d, ok := n.asked(name).Idle(); ok {
		if d.State == action.StateReady {
			d.State = state // what an earlier step has done is there, whatever became of this one
		}
		d.Step = name
		return d
	}
	return act(name, state, format, args...)
}

func act(name string, state action.State, format string, args ...any) action.Decision {
	d := action.Act(name, format, args...)
	d.State = state
	return d
}
