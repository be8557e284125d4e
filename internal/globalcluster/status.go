package globalcluster

import "dr-orchestrator/internal/action"

// Statuses of a global cluster and of its clusters, from the Aurora user guide
// and the AWS CLI's examples of switchover-global-cluster.
const (
	statusAvailable = "available"
	statusPromoting = "promoting"
	syncConnected   = "connected"
	syncResync      = "pending-resync"
)

var conditions = map[string]action.Condition{
	statusAvailable: action.StatusReady,
	// Fully operational, and for hours: the guide rules out changes of the
	// storage only. What AWS refuses all the same is a conflict.
	"storage-optimization": action.StatusReady,

	"backing-up":                    action.StatusPending,
	"backtracking":                  action.StatusPending,
	"configuring-iam-database-auth": action.StatusPending,
	"configuring-log-exports":       action.StatusPending,
	"creating":                      action.StatusPending,
	"failing-over":                  action.StatusPending,
	"maintenance":                   action.StatusPending,
	"migrating":                     action.StatusPending,
	"modifying":                     action.StatusPending,
	statusPromoting:                 action.StatusPending,
	"rebooting":                     action.StatusPending,
	"renaming":                      action.StatusPending,
	"resetting-master-credentials":  action.StatusPending,
	"starting":                      action.StatusPending,
	"switching-over":                action.StatusPending,
	"update-iam-db-auth":            action.StatusPending,
	"upgrading":                     action.StatusPending,

	"cloning-failed":                      action.StatusTerminal,
	"deleting":                            action.StatusTerminal,
	"failed":                              action.StatusTerminal,
	"inaccessible-encryption-credentials": action.StatusTerminal,
	"inaccessible-encryption-credentials-recoverable": action.StatusTerminal,
	"incompatible-network":                            action.StatusTerminal,
	"incompatible-parameters":                         action.StatusTerminal,
	"migration-failed":                                action.StatusTerminal,
	"stopped":                                         action.StatusTerminal,
	"stopping":                                        action.StatusTerminal,
	"storage-full":                                    action.StatusTerminal,
}

// operational reports whether what shows a status serves, and may be asked for
// changes.
func operational(status string) bool {
	return action.ConditionOf(conditions, status) == action.StatusReady
}
