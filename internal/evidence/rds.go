package evidence

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
)

// OfInstance reads the details of a DB instance.
func OfInstance(db types.DBInstance) Details {
	d := Details{Version: aws.ToString(db.EngineVersion), Key: aws.ToString(db.KmsKeyId), Protected: db.DeletionProtection, MultiAZ: db.MultiAZ}
	d.AddInstance(db)
	return d
}

// OfCluster reads the details of an Aurora cluster, but for its version, by
// which it is judged.
func OfCluster(c types.DBCluster) Details {
	d := Details{
		Key: aws.ToString(c.KmsKeyId), Protected: c.DeletionProtection, MultiAZ: c.MultiAZ,
		SubnetGroup: aws.ToString(c.DBSubnetGroup),
	}
	if p := c.PendingModifiedValues; p != nil {
		d.Pending = named(map[string]bool{
			"DBClusterIdentifier": p.DBClusterIdentifier != nil, "EngineVersion": p.EngineVersion != nil, "Iops": p.Iops != nil, "StorageType": p.StorageType != nil,
			"AllocatedStorage": p.AllocatedStorage != nil, "CertificateDetails": p.CertificateDetails != nil,
		})
	}
	return d
}

// AddInstance adds what only an instance shows: its class, the status of its
// subnet group, and its own pending changes. The backup retention is none of
// these, for it is the action's own business.
func (d *Details) AddInstance(db types.DBInstance) {
	d.Class = aws.ToString(db.DBInstanceClass)
	if g := db.DBSubnetGroup; g != nil {
		d.SubnetGroup, d.SubnetStatus = aws.ToString(g.DBSubnetGroupName), aws.ToString(g.SubnetGroupStatus)
	}
	if p := db.PendingModifiedValues; p != nil {
		own := named(map[string]bool{
			"DBInstanceIdentifier": p.DBInstanceIdentifier != nil, "DBInstanceClass": p.DBInstanceClass != nil, "Engine": p.Engine != nil,
			"EngineVersion": p.EngineVersion != nil, "AllocatedStorage": p.AllocatedStorage != nil, "StorageType": p.StorageType != nil,
			"Iops": p.Iops != nil, "StorageThroughput": p.StorageThroughput != nil, "DedicatedLogVolume": p.DedicatedLogVolume != nil,
			"MultiAZ": p.MultiAZ != nil, "Port": p.Port != nil, "DBSubnetGroupName": p.DBSubnetGroupName != nil, "LicenseModel": p.LicenseModel != nil,
			"CACertificateIdentifier": p.CACertificateIdentifier != nil, "ProcessorFeatures": len(p.ProcessorFeatures) > 0,
		})
		if d.Pending != "" && own != "" {
			own = ", " + own
		}
		d.Pending += own
	}
}

func named(pending map[string]bool) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(pending)) {
		if pending[name] {
			all = append(all, name)
		}
	}
	return strings.Join(all, ", ")
}
