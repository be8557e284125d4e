package fence

import "dr-orchestrator/internal/action"

// Statuses of DB instances and DB clusters, from the RDS and Aurora user
// guides, "Viewing DB instance status" and "Viewing DB cluster status".
const (
	statusAvailable = "available"
	statusRebooting = "rebooting"
	statusStarting  = "starting"
	statusStopped   = "stopped"
	statusStopping  = "stopping"
)

// conditions holds no "stopped": what that means depends on the method.
var conditions = map[string]action.Condition{
	statusAvailable: action.StatusReady,
	// It works, and takes any change but of its storage, which goes on for hours.
	"storage-optimization": action.StatusReady,

	"backing-up":                      action.StatusPending,
	"backtracking":                    action.StatusPending,
	"configuring-associated-roles":    action.StatusPending,
	"configuring-enhanced-monitoring": action.StatusPending,
	"configuring-iam-database-auth":   action.StatusPending,
	"configuring-log-exports":         action.StatusPending,
	"converting-to-vpc":               action.StatusPending,
	"creating":                        action.StatusPending,
	"delete-precheck":                 action.StatusPending,
	"failing-over":                    action.StatusPending,
	"maintenance":                     action.StatusPending,
	"migrating":                       action.StatusPending,
	"modifying":                       action.StatusPending,
	"moving-to-vpc":                   action.StatusPending,
	"promoting":                       action.StatusPending,
	statusRebooting:                   action.StatusPending,
	"renaming":                        action.StatusPending,
	"resetting-master-credentials":    action.StatusPending,
	statusStarting:                    action.StatusPending,
	statusStopping:                    action.StatusPending,
	"storage-config-upgrade":          action.StatusPending,
	"storage-initialization":          action.StatusPending,
	"switching-over":                  action.StatusPending,
	"update-iam-db-auth":              action.StatusPending,
	"upgrading":                       action.StatusPending,

	"cloning-failed":                      action.StatusTerminal,
	"deleting":                            action.StatusTerminal,
	"failed":                              action.StatusTerminal,
	"inaccessible-encryption-credentials": action.StatusTerminal,
	"inaccessible-encryption-credentials-recoverable": action.StatusTerminal,
	"insufficient-capacity":                           action.StatusTerminal,
	"migration-failed":                                action.StatusTerminal,
	"restore-error":                                   action.StatusTerminal,
	"storage-full":                                    action.StatusTerminal,
}
