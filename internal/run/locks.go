package run

import (
	"context"
	"fmt"
	"time"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lock"
	"dr-orchestrator/internal/report"
)

// LocksInput is what the machine sends before the first layer, at the end, and
// after a redrive.
type LocksInput struct {
	Run     action.Run `json:"run"`
	Release bool       `json:"release"`
	// Resource is the index of the only one to lock; nil: all of the plan.
	Resource *int `json:"resource"`
	// Approval says who approved the run; it is kept for the report of a run
	// that is stopped.
	Approval string `json:"approval"`
}

// Locked is the answer. Decision is "go", "wait" for so many seconds, or "held"
// with the outcome.
type Locked struct {
	Decision string         `json:"decision"`
	Wait     int            `json:"waitSeconds"`
	Outcome  report.Outcome `json:"outcome"`
	Cause    string         `json:"cause"`
}

// Locker takes and gives up the locks of the resources of a run.
type Locker struct {
	Store Store
	Locks lock.Locks
	Now   func() time.Time
}

// Set is the step that locks, or unlocks, everything that a plan changes.
func (l Locker) Set(ctx context.Context, in LocksInput) (Locked, error) {
	var plan Plan
	if err := l.Store.get(ctx, in.Run, docPlan, &plan); err != nil {
		return Locked{}, err
	}
	names := plan.identities(in.Resource)
	if in.Release {
		return Locked{Decision: "go"}, l.Locks.Release(ctx, in.Run.Execution, names)
	}
	if in.Approval != "" {
		if err := l.Store.put(ctx, in.Run, docApproval, in.Approval); err != nil {
			return Locked{}, err
		}
	}
	take := l.Locks.Acquire
	if in.Resource != nil {
		take = l.Locks.Reacquire
	}
	holder, err := take(ctx, in.Run.Execution, names, l.Now())
	if err != nil {
		return Locked{}, err
	}
	if holder == nil {
		return Locked{Decision: "go"}, nil
	}
	if !holder.Until.IsZero() {
		return Locked{Decision: "wait", Wait: int(max(holder.Until.Sub(l.Now())/time.Second, 0)) + 1}, nil
	}
	return Locked{Decision: "held", Outcome: report.Refused, Cause: fmt.Sprintf(
		report.Held+"%s is being worked on by %s since %s; "+report.HeldWatch+"%s",
		holder.Resource, holder.Execution, holder.Since.Format(time.RFC3339), holder.Execution)}, nil
}

// identities names everything that a plan, or one resource of it, changes.
func (p Plan) identities(only *int) []string {
	var names []string
	for _, layer := range p.Layers {
		for _, r := range layer.Resources {
			if only == nil || *only == r.Index {
				names = append(names, r.Identities...)
			}
		}
	}
	return names
}
