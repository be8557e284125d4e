package replica

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"dr-orchestrator/internal/payload"
)

// CreateParameters are the parameters of CreateRDSReadReplica. Where one is
// left out, AWS's own default holds for the new replica.
type CreateParameters struct {
	RDSInstanceIdentifier           string   `param:"required" format:"db-instance" identity:"rds-instance" doc:"Identifier of the replica to create in the region of the run. The old primary, where it stands under this name, is moved out of the way."`
	TargetClusterIdentifier         string   `format:"rds-instance-arn" doc:"Not used: taken because payloads of the Python sample give it."`
	SourceRDSInstanceIdentifier     string   `param:"required" format:"db-instance" doc:"Identifier of the database that took over: what is to be replicated."`
	SourceRegion                    string   `param:"required" format:"region" doc:"The region that took over."`
	MultiAZ                         *bool    `doc:"Whether the replica has a standby in another zone."`
	DBInstanceClass                 string   `doc:"Instance class of the replica, such as db.m5.large."`
	DBSubnetGroup                   string   `doc:"DB subnet group in the region of the run."`
	DBSecurityGroup                 []string `doc:"Security groups in the region of the run."`
	KmsKeyId                        string   `doc:"KMS key in the region of the run, needed where the source is encrypted; None where it is not."`
	BackupRetentionPeriod           *int     `min:"0" max:"35" doc:"Days of automated backups of the replica, where its engine takes them of a replica."`
	MonitoringInterval              *int     `min:"0" max:"60" doc:"Seconds between two points of Enhanced Monitoring: 0, 1, 5, 10, 15, 30 or 60."`
	StorageEncrypted                *bool    `doc:"True insists that the replica is encrypted, which it is when its source is."`
	EnableIAMDatabaseAuthentication *bool    `doc:"Whether IAM users may log in to the replica."`
	DeletionProtection              *bool    `doc:"Whether the replica is protected from deletion."`
	CopyTagsToSnapshot              *bool    `doc:"Whether snapshots of the replica carry its tags."`
	AutoMinorVersionUpgrade         *bool    `doc:"Whether AWS upgrades minor versions of the replica."`
	Port                            *int     `min:"1150" max:"65535" doc:"Port of the replica."`
	MonitoringRoleArn               string   `doc:"Role of Enhanced Monitoring. The function may pass the role rds-monitoring-role."`
	DBParameterGroupName            string   `doc:"DB parameter group of the replica in the region of the run."`
	OptionGroupName                 string   `doc:"Option group of the replica in the region of the run."`
	OldPrimary                      string   `enum:"Keep,Delete" default:"Keep" doc:"Keep renames the old primary. Delete deletes it, after a snapshot of it is complete."`
	OldDBInstanceArn                string   `format:"rds-instance-arn" doc:"ARN of the old primary, written out, where nothing else proves that it is one: the source was not promoted by PromoteRDSReadReplica, or the engine is Oracle. It must be what stands in the region of the run."`
	LiftDeletionProtection          bool     `doc:"With OldPrimary Delete: take the deletion protection off the old primary."`
	MaxReplicaLagSeconds            int      `min:"0" default:"300" doc:"The replica counts as done when it is at most this far behind."`
}

// The values of OldPrimary.
const (
	oldKeep   = "Keep"
	oldDelete = "Delete"
)

// Check finds parameters that contradict each other.
func (p CreateParameters) Check() []payload.Issue {
	var issues []payload.Issue
	add := func(parameter, message, want string) {
		issues = append(issues, payload.Issue{Parameter: parameter, Message: message, Want: want})
	}
	intervals := []int{0, 1, 5, 10, 15, 30, 60}
	switch every := p.MonitoringInterval; {
	case every == nil:
	case !slices.Contains(intervals, *every):
		add("MonitoringInterval", fmt.Sprintf("MonitoringInterval is %d", *every), "one of 0, 1, 5, 10, 15, 30, 60")
	case *every > 0 && p.MonitoringRoleArn == "":
		add("MonitoringInterval", "Enhanced Monitoring needs MonitoringRoleArn", "both, or neither")
	}
	if payload.IsReference(p.OldDBInstanceArn) {
		add("OldDBInstanceArn", "is a reference, which names whatever stands in the region of the run", "the ARN, written out")
	} else if old, err := arn.Parse(p.OldDBInstanceArn); err == nil && !payload.IsReference(p.RDSInstanceIdentifier) && strings.TrimPrefix(old.Resource, "db:") != p.RDSInstanceIdentifier {
		add("OldDBInstanceArn", "names another DB instance than RDSInstanceIdentifier ("+p.RDSInstanceIdentifier+")", "the ARN of "+p.RDSInstanceIdentifier)
	}
	if p.LiftDeletionProtection && p.OldPrimary != oldDelete {
		add("LiftDeletionProtection", "LiftDeletionProtection goes with OldPrimary Delete: a database that is kept stays protected", "OldPrimary Delete, or no LiftDeletionProtection")
	}
	return issues
}

// key gives the KMS key. The sample's templates say None for no key.
func (p CreateParameters) key() string {
	if strings.EqualFold(p.KmsKeyId, "None") {
		return ""
	}
	return p.KmsKeyId
}
