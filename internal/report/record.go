// Package report holds the record of a run: what happened to each resource,
// when, on what evidence, and how the run ended.
package report

import (
	"time"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/audit"
	"dr-orchestrator/internal/payload"
)

// Outcome is how a run ended. There is no other way to end.
type Outcome string

// The four ends of a run.
const (
	Succeeded   Outcome = "Succeeded"   // every resource is proved to be at its goal
	Refused     Outcome = "Refused"     // a safety rule, another run or a person said no; nothing changed
	FailedClean Outcome = "FailedClean" // something failed; nothing changed
	FailedDirty Outcome = "FailedDirty" // something failed, and something changed or may have
)

// Status is the end of one resource.
type Status string

// The ends of a resource.
const (
	Done        Status = "DONE"
	Failed      Status = "FAILED"
	RefusedHere Status = "REFUSED"
	Skipped     Status = "SKIPPED" // its layer was never started
)

// Record is the report of one run.
type Record struct {
	Version         int               `json:"version"`
	Run             action.Run        `json:"run"`
	Mode            string            `json:"mode"`
	Source          string            `json:"source,omitempty"` // of a stored payload: where it stands
	Outcome         Outcome           `json:"outcome"`
	Cause           string            `json:"cause,omitempty"`
	Approval        string            `json:"approval,omitempty"` // who approved the first change, and when
	StartedAt       time.Time         `json:"startedAt"`
	EndedAt         time.Time         `json:"endedAt"`
	DurationSeconds float64           `json:"durationSeconds"`
	RTO             *RTO              `json:"rto,omitempty"` // nil: the run was not to recover anything
	Layers          []Layer           `json:"layers"`
	Problems        []payload.Problem `json:"problems"`
}

// Layer is one layer of a record.
type Layer struct {
	Layer     int        `json:"layer"`
	Resources []Resource `json:"resources"`
}

// Resource is one resource of a record.
type Resource struct {
	Index           int              `json:"index"`
	ResourceType    string           `json:"resourceType"`
	ResourceName    string           `json:"resourceName"`
	Purpose         action.Purpose   `json:"purpose,omitempty"`  // what its type is for; empty in records of before there were any
	Question        string           `json:"question,omitempty"` // of one that asks a person
	Optional        bool             `json:"optional,omitempty"`
	Status          Status           `json:"status"`
	Changed         bool             `json:"changed"`
	Verdict         action.Verdict   `json:"verdict,omitempty"` // of the preflight
	Findings        []action.Finding `json:"findings,omitempty"`
	Before          action.State     `json:"before,omitempty"` // as the preflight saw it
	StartedAt       *time.Time       `json:"startedAt,omitempty"`
	EndedAt         *time.Time       `json:"endedAt,omitempty"`
	DurationSeconds float64          `json:"durationSeconds"`
	Polls           int              `json:"polls"`
	LagSeconds      *float64         `json:"lagSeconds"` // replication lag: that seen before acting, or, of what was not acted on, by the preflight
	RTO             *RTO             `json:"rto,omitempty"`
	RPO             *RPO             `json:"rpo,omitempty"`          // nil: nothing was changed, or nothing can be lost by it
	Calls           []audit.Call     `json:"calls,omitempty"`        // that changed something, or may have
	CallsDropped    int              `json:"callsDropped,omitempty"` // how many more there were
	Phase           string           `json:"phase,omitempty"`
	Message         string           `json:"message,omitempty"`
	Evidence        action.Evidence  `json:"evidence,omitempty"`
	Error           *Error           `json:"error,omitempty"`
}

// Error is why a resource did not reach its goal.
type Error struct {
	Class   string `json:"class"`
	Message string `json:"message"`
}

// RTO is a recovery time against its objective.
type RTO struct {
	TargetSeconds *int `json:"targetSeconds,omitempty"` // nil: the payload names none
	// Seconds from the start of the run until it ended, or the resource was
	// proved to be at its goal; nil: it was not.
	Seconds *float64 `json:"seconds"`
	Met     *bool    `json:"met,omitempty"` // nil: there is no target
}

// NewRTO compares a recovery time with a target; both may be missing. What was
// not recovered has not met its target.
func NewRTO(target *int, seconds *float64) *RTO {
	rto := &RTO{TargetSeconds: target, Seconds: seconds}
	if target != nil {
		met := seconds != nil && *seconds <= float64(*target)
		rto.Met = &met
	}
	return rto
}

// RPO is how far behind its source a resource was when the run acted on it:
// what may be lost.
type RPO struct {
	Seconds  *float64 `json:"seconds"`            // nil: unknown
	Evidence string   `json:"evidence,omitempty"` // what the figure was read from
	Unknown  string   `json:"unknown,omitempty"`  // why it is not known
}
