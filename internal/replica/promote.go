package replica

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/keys"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/payload"
	"dr-orchestrator/internal/succession"
)

// PromoteParameters are the parameters of PromoteRDSReadReplica.
type PromoteParameters struct {
	RDSInstanceIdentifier   string `param:"required" format:"db-instance" identity:"rds-instance" doc:"Identifier of the read replica in the region of the run."`
	TargetClusterIdentifier string `param:"required" format:"rds-instance-arn" doc:"ARN of the same read replica."`
	BackupRetentionPeriod   *int   `min:"0" max:"35" doc:"Days of automated backups after the promotion. Without it AWS sets 1."`
	PreferredBackupWindow   string `format:"backup-window" doc:"Daily backup window in UTC, such as 03:00-03:30."`
	lag.Limit
}

// Check finds parameters that contradict each other.
func (p PromoteParameters) Check() []payload.Issue {
	target, err := arn.Parse(p.TargetClusterIdentifier)
	if err != nil || payload.IsReference(p.RDSInstanceIdentifier) || strings.TrimPrefix(target.Resource, "db:") == p.RDSInstanceIdentifier {
		return nil
	}
	return []payload.Issue{{
		Parameter: "TargetClusterIdentifier",
		Message:   "names another DB instance than RDSInstanceIdentifier (" + p.RDSInstanceIdentifier + ")",
		Want:      "the ARN of " + p.RDSInstanceIdentifier,
	}}
}

// PromoteAPI is every call to RDS that a promotion makes.
type PromoteAPI interface {
	Describer
	PromoteReadReplica(context.Context, *rds.PromoteReadReplicaInput, ...func(*rds.Options)) (*rds.PromoteReadReplicaOutput, error)
	ModifyDBInstance(context.Context, *rds.ModifyDBInstanceInput, ...func(*rds.Options)) (*rds.ModifyDBInstanceOutput, error)
	AddTagsToResource(context.Context, *rds.AddTagsToResourceInput, ...func(*rds.Options)) (*rds.AddTagsToResourceOutput, error)
}

// Promotion makes a read replica a database of its own.
type Promotion struct {
	RDS  PromoteAPI
	Lags lag.Source
	Keys keys.Source // nil: keys are not looked at
}

// MinimumPromotionSeconds: AWS reboots the instance on the way, so that no
// promotion ends sooner.
const MinimumPromotionSeconds = 20

// NewPromotion wires the action to AWS.
func NewPromotion(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[PromoteParameters]{
		Reconciler: Promotion{
			RDS: rds.NewFromConfig(f.Config("")), Lags: lag.Listless(cloudwatch.NewFromConfig(f.Config(""))), Keys: keys.New(f),
		},
		Secrets: secrets, Now: now, MinimumSeconds: MinimumPromotionSeconds,
	}
}

// The calls of a promotion.
const (
	stepPromote = "promoting"
	stepModify  = "modifying backups"
)

// decide says what to do about an instance that is to stand on its own. It
// promotes only a replica that is plainly idle, and calls it done only when
// the replication source is gone, the instance available again and the backup
// retention in place: "available" alone is also how an untouched replica looks.
func decide(i Instance, p PromoteParameters, promote, modify action.Asked) action.Decision {
	switch {
	case !strings.EqualFold(i.ARN, p.TargetClusterIdentifier):
		return action.Fail(action.InvalidInput, action.StateUnknown, i.Status, "%s is %s, not TargetClusterIdentifier %s", i.ID, i.ARN, p.TargetClusterIdentifier)
	case i.Cluster != "":
		return action.Fail(action.Refused, action.StateUnknown, i.Status, "%s is a member of the cluster %s: only instances of their own are promoted", i.ID, i.Cluster)
	case succession.Fenced(i.Tags):
		return action.Fail(action.Refused, action.StateUnknown, "fenced", "%s %s", i.ID, succession.ReleaseFirst)
	}
	switch action.ConditionOf(conditions, i.Status) {
	case action.StatusTerminal:
		return action.Fail(action.Terminal, action.StateUnknown, i.Status, "DB instance %s is %s", i.ID, i.Status)
	case action.StatusUnknown:
		return action.Wait(action.StateUnknown, i.Status, "DB instance %s has the status %q, which is not known here: waiting", i.ID, i.Status)
	case action.StatusPending:
		switch {
		case i.Source == "":
			return action.WaitFinal(action.StateUnderWay, i.Status, "DB instance %s stands on its own and is %s", i.ID, i.Status)
		case i.Status == statusBackingUp:
			return action.WaitFinal(action.StateReady, i.Status, "AWS refuses to promote during a backup: waiting for its end")
		}
		return action.Wait(action.StateBusy, i.Status, "DB instance %s is %s", i.ID, i.Status)
	}
	if i.Source == "" {
		return decideStandalone(i, p, modify)
	}
	if d, ok := promote.Idle(); ok {
		return d
	}
	return action.Act(stepPromote, "the replica is idle")
}

// decideStandalone judges an available instance without a source. A retention
// longer than asked for is kept: lowering it would delete backups.
func decideStandalone(i Instance, p PromoteParameters, modify action.Asked) action.Decision {
	want := p.BackupRetentionPeriod
	switch {
	case i.Replication != "":
		return action.WaitFinal(action.StateUnderWay, "detaching", "replication is still shown as %s", i.Replication)
	case want == nil || i.Retention >= *want:
		return action.Finish("promoted", "DB instance %s stands on its own and is available", i.ID)
	case i.Pending != nil && *i.Pending == *want:
		return action.WaitFinal(action.StateUnderWay, "backup", "the backup retention is being applied")
	}
	if d, ok := modify.Idle(); ok {
		return d
	}
	return action.Act(stepModify, "the backup retention is %d days and %d were asked for", i.Retention, *want)
}

// lagOf reads ReplicaLag, which is in seconds and published in the region of
// the replica.
func lagOf(ctx context.Context, lags lag.Source, i Instance, now time.Time) lag.Reading {
	return lag.OfRunning(ctx, lags, i.ID, i.Replication, now)
}

// Reconcile takes the next step of the promotion.
func (a Promotion) Reconcile(ctx context.Context, req action.Request[PromoteParameters]) (action.Progress, error) {
	p := req.Parameters
	i, err := find(ctx, a.RDS, p.RDSInstanceIdentifier, req.Run.Region)
	if err != nil {
		return action.Progress{}, err
	}
	promote, modify := req.Asked(stepPromote), req.Asked(stepModify)
	if err := outdated(i, p, req.Run.StartedAt); err != nil && promote.Requested.IsZero() {
		return action.Progress{Evidence: i.evidence()}, err
	}
	d := decide(i, p, promote, modify)
	asked := promote
	if i.Source == "" {
		asked = modify
	}
	note := noteOf(req, i, promote)
	if note != "" && d.Move == action.MoveAct {
		d.Move = action.MoveWait // one call at a time
	}
	evidence := i.evidence()
	if i.Source == "" && promote.Requested.IsZero() && req.Drive.Memo[memoSource] == "" {
		evidence["promotedBefore"] = moment(succession.PromotedAt(i.Tags))
	}
	if req.Drive.Memo[memoNote] == noteMissed {
		evidence[evidenceUntagged] = succession.PromotedTag
	}
	progress, err := d.Progress(asked, evidence)
	switch {
	case err == nil && note != "":
		return a.note(ctx, req, i, note, progress), nil
	case err != nil || d.Move != action.MoveAct:
		return progress, err
	case d.Step == stepModify:
		return a.modify(ctx, req, i, progress)
	}
	reading := lagOf(ctx, a.Lags, i, req.Now)
	if err := p.Gate(reading); err != nil {
		return progress, err
	}
	progress.Lag = reading.Seconds()
	progress.Evidence["lag"] = reading.String()
	in := &rds.PromoteReadReplicaInput{DBInstanceIdentifier: aws.String(i.ID)}
	if p.BackupRetentionPeriod != nil {
		in.BackupRetentionPeriod = aws.Int32(int32(*p.BackupRetentionPeriod))
	}
	if p.PreferredBackupWindow != "" {
		in.PreferredBackupWindow = aws.String(p.PreferredBackupWindow)
	}
	progress.Memo[memoSource], progress.Patient = i.Source, i.Status != statusAvailable
	_, err = a.RDS.PromoteReadReplica(ctx, in)
	progress.Message = "promotion asked for; lag " + reading.String()
	return action.Sent(req, progress, action.Mutation("promoting "+i.ID, err))
}

// modify gives an instance that was promoted elsewhere the backups asked for.
func (a Promotion) modify(ctx context.Context, req action.Request[PromoteParameters], i Instance, progress action.Progress) (action.Progress, error) {
	in := &rds.ModifyDBInstanceInput{
		DBInstanceIdentifier: aws.String(i.ID), ApplyImmediately: aws.Bool(true),
		BackupRetentionPeriod: aws.Int32(int32(*req.Parameters.BackupRetentionPeriod)),
	}
	if window := req.Parameters.PreferredBackupWindow; window != "" {
		in.PreferredBackupWindow = aws.String(window)
	}
	_, err := a.RDS.ModifyDBInstance(ctx, in)
	return action.Sent(req, progress, action.Mutation("setting the backup retention of "+i.ID, err))
}
