package replica

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/lag"
)

// CreateAPI is what it takes to create a replica.
type CreateAPI interface {
	Describer
	DescribeDBSubnetGroups(context.Context, *rds.DescribeDBSubnetGroupsInput, ...func(*rds.Options)) (*rds.DescribeDBSubnetGroupsOutput, error)
	DescribeAccountAttributes(context.Context, *rds.DescribeAccountAttributesInput, ...func(*rds.Options)) (*rds.DescribeAccountAttributesOutput, error)
	CreateDBInstanceReadReplica(context.Context, *rds.CreateDBInstanceReadReplicaInput, ...func(*rds.Options)) (*rds.CreateDBInstanceReadReplicaOutput, error)
	ModifyDBInstance(context.Context, *rds.ModifyDBInstanceInput, ...func(*rds.Options)) (*rds.ModifyDBInstanceOutput, error)
}

// OldPrimaryAPI is what it takes beside that to delete the old primary.
type OldPrimaryAPI interface {
	DescribeDBSnapshots(context.Context, *rds.DescribeDBSnapshotsInput, ...func(*rds.Options)) (*rds.DescribeDBSnapshotsOutput, error)
	CreateDBSnapshot(context.Context, *rds.CreateDBSnapshotInput, ...func(*rds.Options)) (*rds.CreateDBSnapshotOutput, error)
	DeleteDBInstance(context.Context, *rds.DeleteDBInstanceInput, ...func(*rds.Options)) (*rds.DeleteDBInstanceOutput, error)
}

// Creation makes the region of the old primary protected again: it creates a
// replica there of the database that took over.
type Creation struct {
	RDS    CreateAPI
	Old    OldPrimaryAPI
	Source func(region string) Describer
	Lags   lag.Source
}

// MinimumCreationSeconds: neither a rename nor a snapshot ends sooner.
const MinimumCreationSeconds = 20

// NewCreation wires the action to AWS.
func NewCreation(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	here := rds.NewFromConfig(f.Config(""))
	return &action.Adapter[CreateParameters]{
		Reconciler: Creation{
			RDS: here, Old: here, Lags: lag.Listless(cloudwatch.NewFromConfig(f.Config(""))),
			Source: func(region string) Describer { return rds.NewFromConfig(f.Config(region)) },
		},
		Secrets: secrets, Now: now, MinimumSeconds: MinimumCreationSeconds,
	}
}

// The calls that create a replica; those about the old primary are in old.go.
const (
	stepCreate  = "creating replica"
	stepBackups = "setting backups"
)

// look reads what the decision needs, and nothing beside.
func (a Creation) look(ctx context.Context, req action.Request[CreateParameters]) (scene, error) {
	p := req.Parameters
	s := scene{
		region: req.Run.Region, baseline: req.Resource.Baseline, now: req.Now,
		want: fmt.Sprintf("arn:%s:rds:%s:%s:db:%s", req.Run.Partition, p.SourceRegion, req.Run.Account, p.SourceRDSInstanceIdentifier),
	}
	if p.SourceRegion == s.region {
		return s, nil
	}
	var err error
	if s.here, err = perhaps(ctx, a.RDS, p.RDSInstanceIdentifier, s.region); err != nil {
		return s, err
	}
	switch {
	case s.here != nil && s.here.Source != "":
		if s.replicates() && operational(s.here.Status) && s.here.Replication == lag.Replicating {
			s.reading = a.Lags.Read(ctx, lag.OfReplica(s.here.ID), req.Now)
		}
		return s, s.reading.Err
	case s.here != nil && p.OldPrimary == oldDelete:
		if s.snapshot, err = a.findSnapshot(ctx, snapshotName(p.RDSInstanceIdentifier, req.Run.StartedAt), s.region); err != nil {
			return s, err
		}
	}
	if !s.leaving() {
		s.source, err = perhaps(ctx, a.Source(p.SourceRegion), p.SourceRDSInstanceIdentifier, p.SourceRegion)
	}
	if err == nil && s.here != nil && !s.leaving() {
		s.here.Clients = a.Lags.Read(ctx, lag.Clients(s.here.ID), req.Now)
		err = s.here.Clients.Err
	}
	return s, err
}

// perhaps is find for what may be absent: then it gives nil. A region that does
// not answer is an error, for what nobody could see is not absent.
func perhaps(ctx context.Context, api Describer, id, region string) (*Instance, error) {
	i, err := find(ctx, api, id, region)
	if err != nil && action.ClassOf(err) == action.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &i, nil
}

// Preflight tells what stands under the name, what would become of it, and
// whether there is room for a replica.
func (a Creation) Preflight(ctx context.Context, req action.Request[CreateParameters]) (action.Readiness, error) {
	p := req.Parameters
	s, err := a.look(ctx, req)
	if err != nil {
		return action.Readiness{}, err
	}
	d := decideCreation(s, p, func(string) action.Asked { return action.Asked{Now: req.Now} })
	ready := action.Readiness{Observed: d.State, Evidence: s.evidence(p), Findings: d.Findings(), Lag: s.reading.Seconds()}
	if d.Move == action.MoveFail || s.here != nil && s.here.Source != "" {
		return ready, nil
	}
	if s.here != nil && !s.leaving() {
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: s.intent(p)})
		taken, err := a.taken(ctx, s, p)
		if ready.Findings = append(ready.Findings, taken...); err != nil {
			return ready, err
		}
	}
	room, err := a.room(ctx, p, s.here == nil || p.OldPrimary != oldDelete)
	ready.Findings = append(ready.Findings, room...)
	return ready, err
}

// taken blocks a rename to a name that something else has. What was created at
// the same moment is the old primary itself, renamed a moment ago.
func (a Creation) taken(ctx context.Context, s scene, p CreateParameters) ([]action.Finding, error) {
	if p.OldPrimary == oldDelete {
		return nil, nil
	}
	name := keptName(*s.here)
	other, err := perhaps(ctx, a.RDS, name, s.region)
	if err != nil || other == nil || other.Created.Equal(s.here.Created) {
		return nil, err
	}
	return []action.Finding{{Verdict: action.VerdictBlocked, Class: action.Refused,
		Message: fmt.Sprintf("the old primary %s cannot be kept as %s: another DB instance has that name; rename or delete that one first", s.here.ID, name)}}, nil
}

// room finds what would keep AWS from creating one more instance.
func (a Creation) room(ctx context.Context, p CreateParameters, more bool) ([]action.Finding, error) {
	var findings []action.Finding
	block := func(class action.Class, format string, args ...any) {
		findings = append(findings, action.Finding{Verdict: action.VerdictBlocked, Class: class, Message: fmt.Sprintf(format, args...)})
	}
	if p.DBSubnetGroup != "" {
		_, err := a.RDS.DescribeDBSubnetGroups(ctx, &rds.DescribeDBSubnetGroupsInput{DBSubnetGroupName: aws.String(p.DBSubnetGroup)})
		switch err = action.Call("describing DB subnet group "+p.DBSubnetGroup, err); {
		case err != nil && action.ClassOf(err) == action.NotFound:
			block(action.NotFound, "DB subnet group %s is not in the region of the run", p.DBSubnetGroup)
		case err != nil:
			return nil, err
		}
	}
	out, err := a.RDS.DescribeAccountAttributes(ctx, &rds.DescribeAccountAttributesInput{})
	if err != nil {
		return nil, action.Call("reading the quotas of RDS", err)
	}
	for _, quota := range out.AccountQuotas {
		used, most := aws.ToInt64(quota.Used), aws.ToInt64(quota.Max)
		if aws.ToString(quota.AccountQuotaName) == "DBInstances" && more && used >= most {
			block(action.Capacity, "%d of %d DB instances are in use: no replica can be created", used, most)
		}
	}
	return findings, nil
}

// Reconcile takes the next step.
func (a Creation) Reconcile(ctx context.Context, req action.Request[CreateParameters]) (action.Progress, error) {
	p := req.Parameters
	s, err := a.look(ctx, req)
	if err != nil {
		return action.Progress{}, err
	}
	d := decideCreation(s, p, req.Asked)
	progress, err := d.Progress(req.Asked(d.Step), s.evidence(p))
	progress.Lag = s.reading.Seconds()
	if err != nil || d.Move != action.MoveAct {
		return progress, err
	}
	var what string
	switch id := p.RDSInstanceIdentifier; d.Step {
	case stepCreate:
		return a.create(ctx, req, s, progress)
	case stepBackups:
		what = "setting the backup retention of " + id
		err = a.modify(ctx, &rds.ModifyDBInstanceInput{DBInstanceIdentifier: aws.String(id), BackupRetentionPeriod: int32Of(p.BackupRetentionPeriod)})
	default:
		what, err = a.moveAway(ctx, d.Step, s, req)
		maps.Copy(progress.Memo, s.leaves(d.Step))
	}
	err = action.Mutation(what, err)
	if err != nil && action.ClassOf(err) == action.NotFound {
		// It was there a moment ago: an earlier call of ours is taking effect.
		err = action.Errorf(action.Conflict, "%w", err)
	}
	return action.Sent(req, progress, err)
}

func (a Creation) modify(ctx context.Context, in *rds.ModifyDBInstanceInput) error {
	in.ApplyImmediately = aws.Bool(true)
	_, err := a.RDS.ModifyDBInstance(ctx, in)
	return err
}

// create asks for the replica. Its tags say where the old primary is, so that
// every later look can tell, whatever becomes of this run.
func (a Creation) create(ctx context.Context, req action.Request[CreateParameters], s scene, progress action.Progress) (action.Progress, error) {
	p := req.Parameters
	old := map[string]string{}
	for _, tag := range oldTags {
		old[tag] = req.Drive.Memo[tag]
	}
	if old[tagReaches] == "" { // moved away by another run, or by a call without an answer
		var err error
		// A role that is narrowed to names may not list. Then the report is poorer.
		if old, err = a.whereabouts(ctx, p, s.region); err != nil && action.ClassOf(err) != action.Denied {
			return progress, err
		}
	}
	in := &rds.CreateDBInstanceReadReplicaInput{
		DBInstanceIdentifier: aws.String(p.RDSInstanceIdentifier), SourceDBInstanceIdentifier: aws.String(s.want), SourceRegion: aws.String(p.SourceRegion),
		PubliclyAccessible: aws.Bool(false), MultiAZ: p.MultiAZ, DBInstanceClass: given(p.DBInstanceClass), DBSubnetGroupName: given(p.DBSubnetGroup),
		VpcSecurityGroupIds: p.DBSecurityGroup, KmsKeyId: given(p.key()), Port: int32Of(p.Port),
		EnableIAMDatabaseAuthentication: p.EnableIAMDatabaseAuthentication, DeletionProtection: p.DeletionProtection,
		CopyTagsToSnapshot: p.CopyTagsToSnapshot, AutoMinorVersionUpgrade: p.AutoMinorVersionUpgrade,
		MonitoringInterval: int32Of(p.MonitoringInterval), MonitoringRoleArn: given(p.MonitoringRoleArn),
		DBParameterGroupName: given(p.DBParameterGroupName), OptionGroupName: given(p.OptionGroupName),
		Tags: []types.Tag{{Key: aws.String(tagSource), Value: aws.String(s.want)}},
	}
	for _, name := range oldTags {
		if value := old[name]; value != "" {
			in.Tags = append(in.Tags, types.Tag{Key: aws.String(name), Value: aws.String(value)})
		}
	}
	tell(progress.Evidence, old)
	_, err := a.RDS.CreateDBInstanceReadReplica(ctx, in)
	return action.Sent(req, progress, action.Mutation("creating "+p.RDSInstanceIdentifier+" as a replica of "+s.want, err))
}

func (s scene) evidence(p CreateParameters) action.Evidence {
	e := action.Evidence{}
	if s.here != nil {
		e = s.here.evidence()
		tell(e, s.here.Tags)
	}
	if s.source != nil {
		e["sourceDatabase"] = s.source.evidence()
	}
	if s.reading.Known {
		e["lag"] = s.reading.String()
	}
	if s.here != nil && s.here.Source == "" {
		s.oldEvidence(e, p)
	}
	return e
}

// given leaves out what was not given: AWS then uses its default.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func int32Of(n *int) *int32 {
	if n == nil {
		return nil
	}
	return aws.Int32(int32(*n))
}
