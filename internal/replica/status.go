package replica

import "dr-orchestrator/internal/action"

// Statuses of a DB instance, from the RDS user guide, "Viewing Amazon RDS DB
// instance status".
const (
	statusAvailable = "available"
	statusBackingUp = "backing-up"
	statusModifying = "modifying"
	statusRebooting = "rebooting"
	statusCreating  = "creating"
	statusRenaming  = "renaming"
	statusDeleting  = "deleting"
)

var conditions = map[string]action.Condition{
	statusAvailable: action.StatusReady,
	// Fully operational, and for hours: the guide rules out changes of the
	// storage only. What AWS refuses all the same is a conflict.
	"storage-optimization": action.StatusReady,

	statusBackingUp:                   action.StatusPending,
	statusModifying:                   action.StatusPending,
	statusRebooting:                   action.StatusPending,
	"configuring-enhanced-monitoring": action.StatusPending,
	"configuring-iam-database-auth":   action.StatusPending,
	"configuring-log-exports":         action.StatusPending,
	"configuring-associated-roles":    action.StatusPending,
	"converting-to-vpc":               action.StatusPending,
	statusCreating:                    action.StatusPending,
	"delete-precheck":                 action.StatusPending,
	"maintenance":                     action.StatusPending,
	"moving-to-vpc":                   action.StatusPending,
	statusRenaming:                    action.StatusPending,
	"resetting-master-credentials":    action.StatusPending,
	"starting":                        action.StatusPending,
	"stopping":                        action.StatusPending,
	"storage-config-upgrade":          action.StatusPending,
	"storage-initialization":          action.StatusPending,
	"upgrading":                       action.StatusPending,
	"inaccessible-encryption-credentials-recoverable": action.StatusTerminal,

	statusDeleting:                        action.StatusTerminal,
	"failed":                              action.StatusTerminal,
	"inaccessible-encryption-credentials": action.StatusTerminal,
	"incompatible-create":                 action.StatusTerminal,
	"incompatible-network":                action.StatusTerminal,
	"incompatible-option-group":           action.StatusTerminal,
	"incompatible-parameters":             action.StatusTerminal,
	"incompatible-restore":                action.StatusTerminal,
	"insufficient-capacity":               action.StatusTerminal,
	"restore-error":                       action.StatusTerminal,
	"stopped":                             action.StatusTerminal,
	"storage-full":                        action.StatusTerminal,
}

// operational reports whether an instance with a status serves, and may be asked
// for changes.
func operational(status string) bool {
	return action.ConditionOf(conditions, status) == action.StatusReady
}
