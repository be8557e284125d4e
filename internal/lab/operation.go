package lab

import (
	"maps"
	"slices"
	"time"
)

// Operation is something asynchronous that AWS does in the background.
type Operation struct {
	Kind     string            `json:"kind"`   // name of the call that began it
	Target   string            `json:"target"` // ARN or id of what it works on
	Args     map[string]string `json:"args,omitempty"`
	Seconds  float64           `json:"seconds"` // how long it takes
	Elapsed  float64           `json:"elapsedSeconds"`
	Applied  int               `json:"applied"` // steps of its script that have happened
	Stuck    bool              `json:"stuck,omitempty"`
	Cancel   bool              `json:"cancel,omitempty"`
	Owner    string            `json:"-"` // the resource of the run on whose behalf it was begun
	started  time.Time
	finished bool
}

// step is one visible change of an operation: after a share of its duration,
// or after a fixed delay where that comes first.
type step struct {
	share float64
	after time.Duration
	apply func(e *Estate, op *Operation)
}

func (s step) at(op *Operation) time.Time {
	at := time.Duration(s.share * op.Seconds * float64(time.Second))
	if s.after > 0 {
		at = min(s.after, time.Duration(op.Seconds*float64(time.Second)/10))
	}
	return op.started.Add(at)
}

// scripts are the sequences in which AWS shows its operations. Where AWS
// documents no order, one is assumed; whoever drives resources must not depend
// on seeing any step but the last.
var scripts = map[string][]step{
	// For a moment after the call a replica still reads as if nothing had
	// happened (not documented; other AWS describes are known to do so).
	"PromoteReadReplica": {
		{after: 2 * time.Second, apply: func(e *Estate, op *Operation) { op.instance(e).Status = "modifying" }},
		{share: 0.4, apply: func(e *Estate, op *Operation) { op.instance(e).Status = "rebooting" }},
		{share: 0.8, apply: func(e *Estate, op *Operation) {
			i := op.instance(e)
			e.listPromoted(i)
			i.Source, i.Replication, i.LagSeconds = "", "", nil
			if op.Args["retention"] != "0" {
				i.Status = "backing-up"
			}
		}},
		{share: 1, apply: func(e *Estate, op *Operation) {
			i := op.instance(e)
			i.Status, i.Retention = "available", atoi(op.Args["retention"])
		}},
	},
	"ModifyDBInstance": {
		{after: time.Second, apply: func(e *Estate, op *Operation) { op.instance(e).Status = "modifying" }},
		{share: 1, apply: func(e *Estate, op *Operation) {
			i := op.instance(e)
			i.Status, i.Retention = "available", atoi(op.Args["retention"])
		}},
	},
	"ChangeResourceRecordSets":    {{share: 1, apply: func(e *Estate, op *Operation) { e.publish(op.Args["change"]) }}},
	"CreateDBInstanceReadReplica": createReplicaScript,
	"CatchUp":                     catchUpScript,
	"RenameDBInstance":            renameScript,
	"SetDeletionProtection":       protectionScript,
	"CreateDBSnapshot":            snapshotScript,
	"DeleteDBInstance":            deleteScript,
	"ForgetReplica":               forgetScript,
	"SwitchoverGlobalCluster":     moveWriter("switching-over"),
	"FailoverGlobalCluster":       moveWriter("failing-over"),
	"Resync": {{share: 0.3, apply: saveOldVolume}, {share: 1, apply: func(e *Estate, op *Operation) {
		g := op.global(e)
		g.Members = slices.Clone(g.Members)
		for i := range g.Members {
			if m := &g.Members[i]; m.ARN == op.Target && !m.Writer {
				m.Sync, op.cluster(e).LagSeconds = "connected", seconds(0.4)
			}
		}
	}}},
	"RemoveFromGlobalCluster": {
		{share: 0, apply: func(e *Estate, op *Operation) { e.cluster(op.Target).Status = "promoting" }},
		{share: 0.8, apply: func(e *Estate, op *Operation) {
			g := e.global(op.Args["global"])
			g.Members = slices.DeleteFunc(slices.Clone(g.Members), func(m GlobalMember) bool { return m.ARN == op.Target })
			e.cluster(op.Target).LagSeconds = nil
		}},
		{share: 1, apply: func(e *Estate, op *Operation) { e.cluster(op.Target).Status = "available" }},
	},
	"FailoverGlobalReplicationGroup": {
		{share: 0, apply: func(e *Estate, op *Operation) { e.datastore(op.Target).Status = "modifying" }},
		{share: 0.8, apply: func(e *Estate, op *Operation) {
			d := e.datastore(op.Target)
			d.Members = slices.Clone(d.Members)
			for i := range d.Members {
				d.Members[i].Role = "SECONDARY"
				if d.Members[i].Region == op.Args["region"] && d.Members[i].Group == op.Args["group"] {
					d.Members[i].Role = "PRIMARY"
				}
			}
			e.followPrimary(d)
		}},
		{share: 1, apply: func(e *Estate, op *Operation) { e.datastore(op.Target).Status = "available" }},
	},
}

func init() {
	maps.Copy(scripts, fenceScripts)
	maps.Copy(scripts, auroraScripts)
}

// undo takes operations back that are cancelled, where more is to be done than
// showing things available again.
var undo = map[string]func(e *Estate, op *Operation){}

// moveWriter is the script of switchover and failover: the writer flips before
// the status returns, and the old primary follows as a secondary, which is in
// sync minutes later.
func moveWriter(status string) []step {
	return []step{
		{share: 0, apply: func(e *Estate, op *Operation) {
			g := e.global(op.Args["global"])
			g.Status = status
			g.Failover = &FailoverState{Status: "pending", To: op.Target, DataLoss: status == "failing-over"}
			for _, m := range g.Members {
				if m.Writer {
					g.Failover.From = m.ARN
				}
			}
		}},
		{share: 0.2, apply: func(e *Estate, op *Operation) {
			g := e.global(op.Args["global"])
			state := *g.Failover
			state.Status = status
			g.Failover = &state
		}},
		{share: 0.8, apply: func(e *Estate, op *Operation) {
			g := e.global(op.Args["global"])
			g.Members = slices.Clone(g.Members)
			for i := range g.Members {
				m := &g.Members[i]
				was := m.Writer
				m.Writer = m.ARN == op.Target
				switch {
				case m.Writer:
					m.Sync = "connected"
				case was:
					m.Sync = "pending-resync"
				default:
					continue
				}
				if c := e.cluster(m.ARN); c != nil {
					c.LagSeconds = nil
				}
			}
		}},
		{share: 1, apply: func(e *Estate, op *Operation) {
			g := e.global(op.Args["global"])
			g.Status, g.Failover = "available", nil
		}},
	}
}

func (op *Operation) instance(e *Estate) *Instance {
	for _, i := range e.Instances {
		if e.instanceARN(i) == op.Target {
			return i
		}
	}
	return &Instance{} // deleted meanwhile
}

// begin starts an operation; stuck ones show their first steps and never end.
func (a *Account) begin(c *Call, kind, target string, args map[string]string) *Operation {
	op := &Operation{Kind: kind, Target: target, Args: args, Seconds: a.Estate.Durations[kind], started: a.clock.Now(), Owner: c.owner(), Stuck: c.stuck, Cancel: c.cancelled}
	if op.Seconds == 0 {
		op.Seconds = defaultDurations[kind]
	}
	a.Estate.Operations = append(a.Estate.Operations, op)
	if !background[kind] {
		a.history = append(a.history, op)
	}
	a.settle()
	return op
}

// settle lets everything happen that is due by now, in the order of time.
func (a *Account) settle() {
	now := a.clock.Now()
	for {
		var due *Operation
		var at time.Time
		for _, op := range a.Estate.Operations {
			if op.finished || op.Applied >= len(scripts[op.Kind]) {
				continue
			}
			last := op.Applied == len(scripts[op.Kind])-1
			if last && op.Stuck {
				continue
			}
			when := scripts[op.Kind][op.Applied].at(op)
			if !when.After(now) && (due == nil || when.Before(at)) {
				due, at = op, when
			}
		}
		if due == nil {
			break
		}
		a.apply(due, at)
	}
	a.Estate.Operations = slices.DeleteFunc(a.Estate.Operations, func(op *Operation) bool { return op.finished })
}

func (a *Account) apply(op *Operation, at time.Time) {
	a.remember(op)
	steps := scripts[op.Kind]
	if op.Cancel && steps[op.Applied].share >= 0.4 {
		a.cancel(op)
		return
	}
	steps[op.Applied].apply(a.Estate, op)
	op.Applied++
	if op.Applied < len(steps) {
		return
	}
	op.finished = true
	a.followUp(op, at)
	if op.Kind == "SwitchoverGlobalCluster" || op.Kind == "FailoverGlobalCluster" {
		for _, m := range a.Estate.global(op.Args["global"]).Members {
			if m.Sync == "pending-resync" {
				args := map[string]string{"global": op.Args["global"], "after": op.Kind}
				resync := &Operation{Kind: "Resync", Target: m.ARN, Args: args, Seconds: a.Estate.Durations["Resync"], started: at}
				a.Estate.Operations = append(a.Estate.Operations, resync)
			}
		}
	}
}

// cancel ends an operation where it began: AWS does so without an error
// (RDS-EVENT-0186 tells of a cancelled switchover).
func (a *Account) cancel(op *Operation) {
	op.finished = true
	e := a.Estate
	if back := undo[op.Kind]; back != nil {
		back(e, op)
		return
	}
	if i := op.instance(e); i.ID != "" {
		i.Status = "available"
	}
	if old := e.instanceOf(op.Args["old"]); old != nil {
		old.Status = "available"
	}
	if c := e.cluster(op.Target); c != nil {
		c.Status = "available"
	}
	a.failCreation(op)
	if g := e.global(op.Args["global"]); g != nil {
		g.Status, g.Failover = "available", nil
	}
	if d := e.datastore(op.Target); d != nil {
		d.Status = "available"
	}
}

// remember keeps the state from before a change, for stale reads.
func (a *Account) remember(op *Operation) {
	e := a.Estate
	for _, i := range e.Instances {
		if e.instanceARN(i) == op.Target {
			old := *i
			a.before[op.Target] = &old
		}
	}
	if c := e.cluster(op.Target); c != nil {
		old := *c
		a.before[op.Target] = &old
	}
	if g := e.global(op.Args["global"]); g != nil {
		old := *g
		old.Members = slices.Clone(g.Members)
		a.before[g.ID] = &old
	}
	if d := e.datastore(op.Target); d != nil {
		old := *d
		old.Members = slices.Clone(d.Members)
		a.before[d.ID] = &old
	}
}

// running reports whether an operation works on a target.
func (a *Account) running(target string) bool {
	return slices.ContainsFunc(a.Estate.Operations, func(op *Operation) bool { return op.Target == target && !background[op.Kind] })
}

// globalRunning reports whether an operation works on a global cluster.
func (a *Account) globalRunning(id string) bool {
	return slices.ContainsFunc(a.Estate.Operations, func(op *Operation) bool { return op.Args["global"] == id && !background[op.Kind] })
}
