package replica

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/lag"
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
			RDS: here, Old: here, Lags: lag.CloudWatch{API: cloudwatch.NewFromConfig(f.Config(""))},
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

// scene is everything that a decision about a creation looks at.
type scene struct {
	region   string       // of the run
	want     string       // ARN of the instance that is to be replicated
	here     *Instance    // what stands under the replica's name; nil: nothing
	source   *Instance    // what is to be replicated; nil: not there, or it does not matter
	snapshot *Snapshot    // the last of the old primary; nil: none of this run
	reading  lag.Reading  // of the replica
	baseline action.State // what the preflight saw; empty: this is the preflight
	now      time.Time
}

// replicates reports whether the replica asked for is what stands there.
func (s scene) replicates() bool { return s.here != nil && strings.EqualFold(s.here.Source, s.want) }

// leaving reports whether AWS is taking away what stands under the name.
func (s scene) leaving() bool {
	return s.here != nil && (s.here.Status == statusDeleting || s.here.Status == statusRenaming)
}

// absent is the state in which nothing stands under the name. Whether this run
// has made it so can be told from what the preflight saw: the old primary is
// StateReady to be moved, and its absence StateBusy then, so that the two can
// be told apart. An old primary that is gone since is a step toward the goal.
func (s scene) absent() action.State {
	switch s.baseline {
	case "":
		return action.StateBusy
	case action.StateReady:
		return action.StateUnderWay
	}
	return action.StateReady
}

// decideCreation says what to do. Three things may stand under the name: the
// replica asked for, nothing, or the old primary, which may hold writes that
// nobody else has.
func decideCreation(s scene, p CreateParameters, asked func(step string) action.Asked) action.Decision {
	switch {
	case p.SourceRegion == s.region:
		return action.Fail(action.InvalidInput, action.StateUnknown, "wrong region", "SourceRegion is the region of the run, %s: start the run in the region that is to be protected again", s.region)
	case s.here == nil:
		return decideAbsent(s, p, asked(stepCreate))
	case s.here.Cluster != "":
		return action.Fail(action.Refused, action.StateUnknown, s.here.Status, "%s is a member of the cluster %s: only instances of their own are replaced", s.here.ID, s.here.Cluster)
	case s.leaving():
		state := action.StateBusy
		if s.snapshot != nil || s.here.Source == "" && s.here.Status == statusRenaming && p.OldPrimary != oldDelete {
			state = action.StateUnderWay
		}
		return action.WaitFinal(state, s.here.Status, "DB instance %s is %s: waiting until the name is free", s.here.ID, s.here.Status)
	case s.replicates():
		return decideReplica(s, p, asked(stepBackups))
	case s.here.Source != "":
		return action.Fail(action.Refused, action.StateUnknown, s.here.Status, "%s replicates %s and not %s: delete it, or name another replica", s.here.ID, s.here.Source, s.want)
	}
	return decideOldPrimary(s, p, asked)
}

// of marks a decision with the step that it belongs to, and replaces the state
// of a resource at rest by one that tells more.
func of(step string, atRest action.State, d action.Decision) action.Decision {
	d.Step = step
	if d.State == action.StateReady {
		d.State = atRest
	}
	return d
}

func decideAbsent(s scene, p CreateParameters, create action.Asked) action.Decision {
	if d, bad := sourceFault(s, p); bad {
		return of(stepCreate, s.absent(), d)
	}
	if d, ok := create.Idle(); ok {
		return of(stepCreate, s.absent(), d)
	}
	return of(stepCreate, s.absent(), action.Act(stepCreate, "the name is free and the source can be replicated"))
}

// sourceFault judges the database that is to be replicated. It is the writer
// now only if it is no replica itself: one that is has not been promoted.
func sourceFault(s scene, p CreateParameters) (action.Decision, bool) {
	refuse := func(format string, args ...any) (action.Decision, bool) {
		return action.Fail(action.Refused, action.StateReady, "source", "source %s: %s", s.want, fmt.Sprintf(format, args...)), true
	}
	invalid := func(format string, args ...any) (action.Decision, bool) {
		return action.Fail(action.InvalidInput, action.StateReady, "source", "source %s: %s", s.want, fmt.Sprintf(format, args...)), true
	}
	if s.source == nil {
		return refuse("it does not exist")
	}
	i := *s.source
	condition := action.ConditionOf(conditions, i.Status)
	switch {
	case !strings.EqualFold(i.ARN, s.want):
		return refuse("what AWS shows is %s", i.ARN)
	case i.Cluster != "":
		return refuse("it is a member of the cluster %s", i.Cluster)
	case i.Source != "":
		return refuse("it is a replica of %s and takes no writes: no failover to it has ended", i.Source)
	case i.Replication != "":
		return refuse("read replication is still shown as %s", i.Replication)
	case condition == action.StatusTerminal || condition == action.StatusUnknown:
		return refuse("it is %q and has to be available", i.Status)
	case i.Retention == 0:
		return refuse("it has no automated backups, without which AWS makes no replica: set its backup retention")
	case i.Encrypted && p.key() == "":
		return invalid("it is encrypted: KmsKeyId must name a key in %s", s.region)
	case !i.Encrypted && (p.key() != "" || aws.ToBool(p.StorageEncrypted)):
		return invalid("it is not encrypted, and no replica of it can be: want KmsKeyId None and StorageEncrypted False")
	case condition == action.StatusPending:
		return action.WaitFinal(action.StateReady, "source "+i.Status, "source %s is %s: waiting until it is available", s.want, i.Status), true
	}
	return action.Decision{}, false
}

// takesBackups reports whether AWS takes automated backups of a replica of this
// engine. The RDS user guide has it for MySQL, MariaDB and Oracle, and for
// PostgreSQL from 14.1 on.
func takesBackups(engine, version string) bool {
	switch {
	case engine == "mysql", engine == "mariadb", strings.HasPrefix(engine, "oracle-"):
		return true
	case engine == "postgres":
		var major, minor int
		if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n < 2 {
			return false
		}
		return major > 14 || major == 14 && minor >= 1
	}
	return false
}

// decideReplica judges a replica of the right source. It protects the region
// when it is available and replicates, and its lag is known and small enough:
// "available" comes before the replica has caught up. What has to be done about
// it still counts as under way.
func decideReplica(s scene, p CreateParameters, backups action.Asked) action.Decision {
	i, want := *s.here, p.BackupRetentionPeriod
	const underWay = action.StateUnderWay
	step := func(d action.Decision) action.Decision { return of(stepBackups, underWay, d) }
	switch action.ConditionOf(conditions, i.Status) {
	case action.StatusTerminal:
		return step(action.Fail(action.Terminal, underWay, i.Status, "replica %s is %s", i.ID, i.Status))
	case action.StatusUnknown:
		return step(action.Wait(action.StateUnknown, i.Status, "replica %s has the status %q, which is not known here: waiting", i.ID, i.Status))
	case action.StatusPending:
		if i.Status == statusCreating {
			return step(action.Wait(underWay, i.Status, "replica %s is being created", i.ID))
		}
		return step(action.WaitFinal(underWay, i.Status, "replica %s is %s", i.ID, i.Status))
	}
	if want != nil && i.Retention < *want && takesBackups(i.Engine, i.Version) {
		if i.Pending != nil && *i.Pending == *want {
			return step(action.WaitFinal(underWay, "backup", "the backup retention of %s is being applied", i.ID))
		}
		if d, ok := backups.Idle(); ok {
			return step(d)
		}
		return step(action.Act(stepBackups, "the backup retention is %d days and %d were asked for", i.Retention, *want))
	}
	limit := time.Duration(p.MaxReplicaLagSeconds) * time.Second
	switch {
	case i.Replication == "terminated":
		return step(action.Fail(action.Terminal, underWay, i.Replication, "the replication of %s is terminated: AWS does not resume it; delete the replica and start again", i.ID))
	case i.Replication != statusReplicating:
		return step(action.WaitFinal(underWay, "starting replication", "replica %s is available and shows replication as %q", i.ID, i.Replication))
	case !s.reading.Known:
		return step(action.WaitFinal(underWay, "catching up", "the lag of %s is not known yet: %s", i.ID, s.reading.Why))
	case s.reading.Lag > limit:
		return step(action.WaitFinal(underWay, "catching up", "replica %s is %s behind, and done at %s", i.ID, s.reading.Lag, limit))
	}
	return step(action.Finish("replicating", "replica %s is available and %s behind %s", i.ID, s.reading.Lag, s.want))
}

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
		if s.replicates() && s.here.Status == statusAvailable && s.here.Replication == statusReplicating {
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
	}
	room, err := a.room(ctx, p, s.here == nil || p.OldPrimary != oldDelete)
	ready.Findings = append(ready.Findings, room...)
	return ready, err
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
