package lab

import (
	"encoding/json"
	"time"

	"dr-orchestrator/internal/asl"
)

// Progress is what is new about a run: about one of its resources, or, when
// Resource is empty, about the run itself.
type Progress struct {
	Time     time.Time
	Phase    string // of the resource, or the state of the run
	Message  string
	Index    int
	Layer    int
	Resource string // its name; empty: the run itself
	Elapsed  time.Duration
	Ended    bool
	Failed   bool
}

// follower makes progress out of the events of an execution and its children.
type follower struct {
	tell     func(Progress)
	children map[string]*child
}

type child struct {
	name         string
	index, layer int
	started      time.Time
}

func newFollower(tell func(Progress)) *follower {
	if tell == nil {
		tell = func(Progress) {}
	}
	return &follower{tell: tell, children: map[string]*child{}}
}

func (f *follower) see(e asl.Event) {
	if e.Kind == asl.ExecutionStarted {
		var in struct {
			Resource *struct {
				Index, Layer int
				ResourceName string
			}
		}
		if json.Unmarshal(e.Input, &in) == nil && in.Resource != nil {
			f.children[e.Execution.ARN] = &child{in.Resource.ResourceName, in.Resource.Index, in.Resource.Layer, e.Time}
		}
	}
	c, ok := f.children[e.Execution.ARN]
	if !ok {
		if e.Kind == asl.StateEntered {
			f.tell(Progress{Time: e.Time, Phase: e.State})
		}
		return
	}
	p := Progress{Time: e.Time, Index: c.index, Layer: c.layer, Resource: c.name, Elapsed: e.Time.Sub(c.started)}
	switch e.Kind {
	case asl.TaskSucceeded:
		var out struct {
			Payload struct{ Phase, Message string }
		}
		if json.Unmarshal(e.Output, &out) != nil {
			return
		}
		p.Phase, p.Message = out.Payload.Phase, out.Payload.Message
	case asl.TaskFailed, asl.TaskTimedOut:
		p.Phase, p.Message = e.Error, e.Cause
	case asl.ExecutionSucceeded:
		var out struct {
			Status, Phase, Message string
			Failure                *struct{ Error, Cause string }
		}
		if json.Unmarshal(e.Output, &out) != nil {
			return
		}
		p.Ended, p.Failed, p.Phase, p.Message = true, out.Status != "DONE", out.Status, out.Message
		if out.Failure != nil {
			p.Message = out.Failure.Error + ": " + out.Failure.Cause
		}
	default:
		return
	}
	f.tell(p)
}
