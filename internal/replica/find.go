// Package replica drives Amazon RDS cross-region read replicas.
package replica

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/evidence"
	"dr-orchestrator/internal/lag"
)

// Instance is what a decision needs to know of a DB instance.
type Instance struct {
	ID          string
	ARN         string
	Status      string
	Source      string // instance or Multi-AZ cluster that it replicates; empty: none
	Cluster     string // DB cluster that it is a member of; empty: none
	Replication string // status of read replication; empty: none is shown
	Retention   int    // days of automated backups
	Pending     *int   // backup retention that is still to be applied
	Endpoint    string
	Details     evidence.Details // for a preflight; nothing is decided by them
	Mode        string           // of an Oracle replica: mounted or open-read-only

	Engine     string
	Version    string
	Replicas   []string  // instances that AWS lists as replicas of this one
	Created    time.Time // zero: not shown
	Restorable time.Time // the latest moment that its backups reach; zero: not shown
	Protected  bool      // from deletion
	Encrypted  bool
	Tags       map[string]string
	Clients    lag.Reading // as many seconds as there are connections from outside; only of an old primary
}

// Describer reads DB instances.
type Describer interface {
	DescribeDBInstances(context.Context, *rds.DescribeDBInstancesInput, ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error)
}

// find reads one instance; its absence is an error of class NotFound that
// names the region, because "not there" is only true of a region that answered.
func find(ctx context.Context, api Describer, id, region string) (Instance, error) {
	out, err := api.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String(id)})
	if err != nil {
		return Instance{}, action.Call("describing DB instance "+id+" in "+region, err)
	}
	if len(out.DBInstances) != 1 {
		return Instance{}, action.Errorf(action.NotFound, "DB instance %s is not in %s", id, region)
	}
	return observed(out.DBInstances[0]), nil
}

func observed(db types.DBInstance) Instance {
	i := Instance{
		ID: aws.ToString(db.DBInstanceIdentifier), ARN: aws.ToString(db.DBInstanceArn), Status: aws.ToString(db.DBInstanceStatus),
		Source:  cmp.Or(aws.ToString(db.ReadReplicaSourceDBInstanceIdentifier), aws.ToString(db.ReadReplicaSourceDBClusterIdentifier)),
		Cluster: aws.ToString(db.DBClusterIdentifier), Retention: int(aws.ToInt32(db.BackupRetentionPeriod)),
		Details: evidence.OfInstance(db), Mode: string(db.ReplicaMode),
		Engine: aws.ToString(db.Engine), Version: aws.ToString(db.EngineVersion), Replicas: db.ReadReplicaDBInstanceIdentifiers,
		Created: aws.ToTime(db.InstanceCreateTime), Restorable: aws.ToTime(db.LatestRestorableTime),
		Protected: aws.ToBool(db.DeletionProtection), Encrypted: aws.ToBool(db.StorageEncrypted),
	}
	for _, tag := range db.TagList {
		if i.Tags == nil {
			i.Tags = map[string]string{}
		}
		i.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	for _, info := range db.StatusInfos {
		if strings.EqualFold(aws.ToString(info.StatusType), "read replication") {
			i.Replication = aws.ToString(info.Status)
		}
	}
	if db.PendingModifiedValues != nil && db.PendingModifiedValues.BackupRetentionPeriod != nil {
		pending := int(*db.PendingModifiedValues.BackupRetentionPeriod)
		i.Pending = &pending
	}
	if db.Endpoint != nil {
		i.Endpoint = aws.ToString(db.Endpoint.Address)
	}
	return i
}

func (i Instance) evidence() action.Evidence {
	e := action.Evidence{"instance": i.ARN, "status": i.Status, "backupRetentionPeriod": i.Retention}
	for name, value := range map[string]string{"source": i.Source, "replication": i.Replication, "endpoint": i.Endpoint} {
		if value != "" {
			e[name] = value
		}
	}
	return e
}
