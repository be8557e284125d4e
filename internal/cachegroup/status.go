package cachegroup

// Statuses of a global datastore and of its members, from the ElastiCache API
// reference (GlobalReplicationGroup, GlobalReplicationGroupMember) and of
// replication groups (ReplicationGroup).
const (
	statusAvailable   = "available"
	statusModifying   = "modifying"
	statusPrimaryOnly = "primary-only"
	memberAssociated  = "associated"
)

// condition sorts the statuses of a global datastore or a replication group.
type condition int

const (
	unknown  condition = iota // a status that this list does not know: it blocks
	ready                     // an operation may be asked for
	pending                   // something runs and will end by itself
	terminal                  // nothing will change without a person
)

var conditions = map[string]condition{
	statusAvailable: ready,

	statusModifying: pending,
	"creating":      pending,
	"snapshotting":  pending,

	statusPrimaryOnly: terminal,
	"create-failed":   terminal,
	"deleted":         terminal,
	"deleting":        terminal,
}
