package replica

// condition sorts the statuses of a DB instance.
type condition int

const (
	unknown  condition = iota // a status that this list does not know: it blocks
	ready                     // an operation may be asked for
	pending                   // something runs and will end by itself
	terminal                  // nothing will change without a person
)

// Statuses of a DB instance, from the RDS user guide, "Viewing Amazon RDS DB
// instance status".
const (
	statusAvailable = "available"
	statusBackingUp = "backing-up"
	statusModifying = "modifying"
	statusRebooting = "rebooting"
)

var conditions = map[string]condition{
	statusAvailable:        ready,
	"storage-optimization": ready,

	statusBackingUp:                   pending,
	statusModifying:                   pending,
	statusRebooting:                   pending,
	"configuring-enhanced-monitoring": pending,
	"configuring-iam-database-auth":   pending,
	"configuring-log-exports":         pending,
	"configuring-associated-roles":    pending,
	"converting-to-vpc":               pending,
	"creating":                        pending,
	"delete-precheck":                 pending,
	"maintenance":                     pending,
	"moving-to-vpc":                   pending,
	"renaming":                        pending,
	"resetting-master-credentials":    pending,
	"starting":                        pending,
	"stopping":                        pending,
	"storage-config-upgrade":          pending,
	"storage-initialization":          pending,
	"upgrading":                       pending,
	"inaccessible-encryption-credentials-recoverable": terminal,

	"deleting":                            terminal,
	"failed":                              terminal,
	"inaccessible-encryption-credentials": terminal,
	"incompatible-create":                 terminal,
	"incompatible-network":                terminal,
	"incompatible-option-group":           terminal,
	"incompatible-parameters":             terminal,
	"incompatible-restore":                terminal,
	"insufficient-capacity":               terminal,
	"restore-error":                       terminal,
	"stopped":                             terminal,
	"storage-full":                        terminal,
}
