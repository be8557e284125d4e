package cachegroup

import "dr-orchestrator/internal/action"

// Statuses of a global datastore and of its members, from the ElastiCache API
// reference (GlobalReplicationGroup, GlobalReplicationGroupMember) and of
// replication groups (ReplicationGroup).
const (
	statusAvailable   = "available"
	statusModifying   = "modifying"
	statusPrimaryOnly = "primary-only"
	memberAssociated  = "associated"
)

var conditions = map[string]action.Condition{
	statusAvailable: action.StatusReady,

	statusModifying: action.StatusPending,
	"creating":      action.StatusPending,
	"snapshotting":  action.StatusPending,

	statusPrimaryOnly: action.StatusTerminal,
	"create-failed":   action.StatusTerminal,
	"deleted":         action.StatusTerminal,
	"deleting":        action.StatusTerminal,
}
