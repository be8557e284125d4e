package run

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/console"
	"dr-orchestrator/internal/report"
)

// RunStarted is the detail of the event Run Started: the payload is right, and
// its resources are about to be looked at.
type RunStarted struct {
	Version   int       `json:"version"`
	Execution string    `json:"execution"`
	Machine   string    `json:"machine"`
	Region    string    `json:"region"`
	Mode      string    `json:"mode"`
	Source    string    `json:"source"` // of a stored payload: where it stands; empty: it came with the start
	Disaster  bool      `json:"disaster"`
	Layers    int       `json:"layers"`
	Resources int       `json:"resources"`
	StartedAt time.Time `json:"startedAt"`
}

// LayerEnded is the detail of the event Layer Ended.
type LayerEnded struct {
	Version   int            `json:"version"`
	Execution string         `json:"execution"`
	Machine   string         `json:"machine"`
	Region    string         `json:"region"`
	Layer     int            `json:"layer"`
	Outcome   report.Outcome `json:"outcome"` // of the run so far
	Changed   action.Change  `json:"changed"` // by the run so far
	Resources int            `json:"resources"`
	Done      int            `json:"done"`
	// Told is how many of the resources have an event Resource Ended of their
	// own: of a large layer, those that failed, and the first of the others.
	Told  int    `json:"told"`
	Cause string `json:"cause"`
}

// ResourceEnded is the detail of the event Resource Ended.
type ResourceEnded struct {
	Version         int           `json:"version"`
	Execution       string        `json:"execution"`
	Machine         string        `json:"machine"`
	Region          string        `json:"region"`
	Layer           int           `json:"layer"`
	Index           int           `json:"index"`
	ResourceName    string        `json:"resourceName"`
	Status          report.Status `json:"status"`
	Changed         action.Change `json:"changed"`
	DurationSeconds float64       `json:"durationSeconds"`
	LagSeconds      *float64      `json:"lagSeconds"` // before acting; null: none, or not known
	ErrorClass      string        `json:"errorClass"` // empty: none
	Message         string        `json:"message"`
}

// RunEnded is the detail of the events Run Ended and, of a run that a safety
// rule kept from changing anything, Run Refused.
type RunEnded struct {
	Version         int            `json:"version"`
	Execution       string         `json:"execution"`
	Machine         string         `json:"machine"`
	Region          string         `json:"region"`
	Mode            string         `json:"mode"`
	Outcome         report.Outcome `json:"outcome"`
	Cause           string         `json:"cause"`
	DurationSeconds float64        `json:"durationSeconds"`
	Report          Location       `json:"report"`
}

// ApprovalRequested is the detail of the event Approval Requested.
type ApprovalRequested struct {
	Version   int          `json:"version"`
	Execution string       `json:"execution"`
	Machine   string       `json:"machine"`
	Region    string       `json:"region"`
	Layer     *ApprovalRef `json:"layer"` // null: before the first change
	Until     time.Time    `json:"until"`
}

// ReadinessPrefix begins the names of the executions that check a stored
// payload. They plan, and change nothing.
const ReadinessPrefix = "readiness-"

// placed says of a run that came to write no plan where it ran, and by which
// machine: its ARN has both.
func placed(r action.Run) action.Run {
	if parts := strings.Split(r.Execution, ":"); r.Region == "" && len(parts) > 6 {
		r.Region, r.Machine = parts[3], parts[6][strings.LastIndex(parts[6], "-")+1:]
	}
	return r
}

// endings are the events of the end of a run.
func endings(record report.Record, at Location) []Entry {
	r := placed(record.Run)
	detail := RunEnded{Version: EventVersion, Execution: r.Execution, Machine: r.Machine, Region: r.Region, Mode: record.Mode, Outcome: record.Outcome,
		Cause: brief(record.Cause), DurationSeconds: record.DurationSeconds, Report: at}
	all := []Entry{{DetailType: EventRunEnded, Detail: detail, Resource: r.Execution, Time: record.EndedAt}}
	if record.Outcome == report.Refused {
		all = append(all, Entry{DetailType: EventRunRefused, Detail: detail, Resource: r.Execution, Time: record.EndedAt})
	}
	return all
}

// brief keeps a text small enough for an event: EventBridge takes 256 KiB in a
// call.
func brief(text string) string {
	const most = 1000
	if len(text) <= most {
		return text
	}
	return fmt.Sprintf("%.*s…", most, text)
}

// whatNext gives whoever reads the message of the end of a run the commands
// that go on from there.
func whatNext(execution string, record report.Record, at Location) string {
	text := fmt.Sprintf("\n%s\n", execution)
	if page := console.Execution(execution); page != "" {
		text += page + "\n"
	}
	text += fmt.Sprintf("\nReport:\n  drctl report %s\n  aws s3 cp s3://%s/%s -\n", execution, at.Bucket, at.Key)
	if record.Mode == "plan" {
		return text
	}
	return text + "\nLet triggers count again:\n  drctl acknowledge " + execution + "\n"
}

// brieflyFor is how long a run in progress waits for EventBridge.
const brieflyFor = 5 * time.Second

// tellBriefly sends events of a run that goes on. Nothing waits long for them,
// and nothing fails: the report counts.
func tellBriefly(ctx context.Context, events Events, what string, entries ...Entry) {
	ctx, cancel := context.WithTimeout(ctx, brieflyFor)
	defer cancel()
	if err := Send(ctx, events, entries...); err != nil {
		slog.WarnContext(ctx, "an event was not sent", "event", what, "error", err.Error())
	}
}

// began is the event of the start of a run.
func began(plan Plan) Entry {
	r := plan.Run
	detail := RunStarted{Version: EventVersion, Execution: r.Execution, Machine: r.Machine, Region: r.Region, Mode: plan.Mode, Source: plan.Source,
		Disaster: r.Disaster, Layers: len(plan.Layers), StartedAt: r.StartedAt.UTC()}
	for _, layer := range plan.Layers {
		detail.Resources += len(layer.Resources)
	}
	return Entry{DetailType: EventRunStarted, Detail: detail, Resource: r.Execution, Time: r.StartedAt}
}

// mostTold is how many resources of a layer have an event of their own. A
// larger layer is told of by its failures first, and by its numbers.
const mostTold = 49

// layerEvents are the events of the end of a layer: its own, and those of its
// resources.
func layerEvents(in LayerInput, out LayerOutcome, items []Item, now time.Time) []Entry {
	ended := LayerEnded{Version: EventVersion, Execution: in.Run.Execution, Machine: in.Run.Machine, Region: in.Run.Region, Layer: in.Layer.Layer,
		Outcome: out.Outcome, Changed: out.Changed, Resources: in.Layer.Count, Cause: brief(out.Cause)}
	failedFirst := slices.Clone(items)
	slices.SortStableFunc(failedFirst, func(a, b Item) int {
		return cmp.Compare(truth(a.Status == report.Done), truth(b.Status == report.Done))
	})
	var all []Entry
	for _, item := range failedFirst {
		if item.Status == report.Done {
			ended.Done++
		}
		if len(all) < mostTold {
			all = append(all, Entry{DetailType: EventResourceEnded, Detail: resourceEnded(in, item), Resource: in.Run.Execution, Time: now})
		}
	}
	ended.Told = len(all)
	return append([]Entry{{DetailType: EventLayerEnded, Detail: ended, Resource: in.Run.Execution, Time: now}}, all...)
}

func resourceEnded(in LayerInput, item Item) ResourceEnded {
	out := ResourceEnded{Version: EventVersion, Execution: in.Run.Execution, Machine: in.Run.Machine, Region: in.Run.Region, Layer: in.Layer.Layer,
		Index: item.Index, ResourceName: item.Name, Status: item.Status, Changed: item.Changed, Message: brief(item.Message)}
	if !item.StartedAt.IsZero() && item.EndedAt.After(item.StartedAt) {
		out.DurationSeconds = item.EndedAt.Sub(item.StartedAt).Seconds()
	}
	if lag, err := strconv.ParseFloat(item.Memo[action.MemoLag], 64); err == nil {
		out.LagSeconds = &lag
	}
	if item.Failure != nil {
		e := item.Failure.read()
		out.ErrorClass, out.Message = e.Class, brief(e.Message)
	}
	return out
}
