package run

import (
	"fmt"
	"log/slog"
	"time"

	"dr-orchestrator/internal/action"
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

// endings are the events of the end of a run.
func endings(record report.Record, at Location) []Entry {
	r := record.Run
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
	const most = 2000
	if len(text) <= most {
		return text
	}
	return fmt.Sprintf("%.*s…", most, text)
}

// untold notes an event that could not be sent. Nothing fails for it: the
// report counts.
func untold(what string, err error) {
	if err != nil {
		slog.Warn("an event was not sent", "event", what, "error", err.Error())
	}
}
