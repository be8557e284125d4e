package replica

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"dr-orchestrator/internal/action"
)

// findSnapshot reads one snapshot; nil where there is none.
func (a Creation) findSnapshot(ctx context.Context, id, region string) (*Snapshot, error) {
	all, err := a.snapshots(ctx, &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: aws.String(id)}, region)
	if len(all) == 0 {
		return nil, err
	}
	return &all[0], err
}

func (a Creation) snapshots(ctx context.Context, in *rds.DescribeDBSnapshotsInput, region string) ([]Snapshot, error) {
	var all []Snapshot
	for {
		out, err := a.Old.DescribeDBSnapshots(ctx, in)
		if err != nil && action.ClassOf(err) == action.NotFound {
			return nil, nil
		}
		if err != nil {
			return nil, action.Call("describing snapshots in "+region, err)
		}
		for _, x := range out.DBSnapshots {
			all = append(all, Snapshot{ID: aws.ToString(x.DBSnapshotIdentifier), Status: aws.ToString(x.Status), Of: aws.ToString(x.DBInstanceIdentifier),
				OfCreated: aws.ToTime(x.InstanceCreateTime), SnapshotAt: aws.ToTime(x.SnapshotCreateTime)})
		}
		if aws.ToString(out.Marker) == "" {
			return all, nil
		}
		in.Marker = out.Marker
	}
}

// whereabouts finds the newest old primary that was kept under a name of ours,
// or the newest snapshot of one that was deleted. It is asked for where this run
// does not remember, before the replica is created.
func (a Creation) whereabouts(ctx context.Context, p CreateParameters, region string) (map[string]string, error) {
	if p.OldPrimary == oldDelete {
		all, err := a.snapshots(ctx, &rds.DescribeDBSnapshotsInput{DBInstanceIdentifier: aws.String(p.RDSInstanceIdentifier), SnapshotType: aws.String("manual")}, region)
		var last Snapshot
		for _, x := range all {
			if strings.HasPrefix(x.ID, snapshotPrefix(p.RDSInstanceIdentifier)) && x.SnapshotAt.After(last.SnapshotAt) {
				last = x
			}
		}
		if last.ID == "" {
			return nil, err
		}
		return map[string]string{tagSnapshot: last.ID, tagReaches: moment(last.SnapshotAt)}, err
	}
	var last Instance
	in := &rds.DescribeDBInstancesInput{}
	for {
		out, err := a.RDS.DescribeDBInstances(ctx, in)
		if err != nil {
			return nil, action.Call("listing DB instances in "+region, err)
		}
		for _, db := range out.DBInstances {
			i := observed(db)
			was := i
			was.ID = p.RDSInstanceIdentifier
			if i.ID == keptName(was) && i.Created.After(last.Created) {
				last = i
			}
		}
		if aws.ToString(out.Marker) == "" {
			break
		}
		in.Marker = out.Marker
	}
	if last.ID == "" {
		return nil, nil
	}
	return map[string]string{tagKept: last.ID, tagReaches: moment(last.Restorable)}, nil
}
