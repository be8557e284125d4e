package globalcluster

// Statuses of a global cluster and of its clusters, from the Aurora user guide
// and the AWS CLI's examples of switchover-global-cluster.
const (
	statusAvailable = "available"
	statusPromoting = "promoting"
	syncResync      = "pending-resync"
)

// condition sorts the statuses of a cluster or of an instance.
type condition int

const (
	unknown  condition = iota // a status that this list does not know: it blocks
	ready                     // an operation may be asked for
	pending                   // something runs and will end by itself
	terminal                  // nothing will change without a person
)

var conditions = map[string]condition{
	statusAvailable: ready,

	"backing-up":                    pending,
	"backtracking":                  pending,
	"configuring-iam-database-auth": pending,
	"configuring-log-exports":       pending,
	"creating":                      pending,
	"failing-over":                  pending,
	"maintenance":                   pending,
	"migrating":                     pending,
	"modifying":                     pending,
	statusPromoting:                 pending,
	"rebooting":                     pending,
	"renaming":                      pending,
	"resetting-master-credentials":  pending,
	"starting":                      pending,
	"storage-optimization":          pending,
	"switching-over":                pending,
	"update-iam-db-auth":            pending,
	"upgrading":                     pending,

	"cloning-failed":                      terminal,
	"deleting":                            terminal,
	"failed":                              terminal,
	"inaccessible-encryption-credentials": terminal,
	"inaccessible-encryption-credentials-recoverable": terminal,
	"incompatible-network":                            terminal,
	"incompatible-parameters":                         terminal,
	"migration-failed":                                terminal,
	"stopped":                                         terminal,
	"stopping":                                        terminal,
	"storage-full":                                    terminal,
}
