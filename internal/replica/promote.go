package replica

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/payload"
)

// PromoteParameters are the parameters of PromoteRDSReadReplica.
type PromoteParameters struct {
	RDSInstanceIdentifier   string `param:"required" format:"db-instance" identity:"rds-instance" doc:"Identifier of the read replica in the region of the run."`
	TargetClusterIdentifier string `param:"required" format:"rds-instance-arn" doc:"ARN of the same read replica."`
	BackupRetentionPeriod   *int   `min:"0" max:"35" doc:"Days of automated backups after the promotion. Without it AWS sets 1."`
	PreferredBackupWindow   string `format:"backup-window" doc:"Daily backup window in UTC, such as 03:00-03:30."`
	MaxReplicaLagSeconds    *int   `min:"0" doc:"Refuse the promotion when the replica is further behind than this, or when its lag is not known."`
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
}

// Promotion makes a read replica a database of its own.
type Promotion struct {
	RDS     PromoteAPI
	Metrics lag.API
}

// MinimumPromotionSeconds: AWS reboots the instance on the way, so that no
// promotion ends sooner.
const MinimumPromotionSeconds = 20

// NewPromotion wires the action to AWS.
func NewPromotion(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[PromoteParameters]{
		Reconciler: Promotion{RDS: rds.NewFromConfig(f.Config("")), Metrics: cloudwatch.NewFromConfig(f.Config(""))},
		Secrets:    secrets, Now: now, MinimumSeconds: MinimumPromotionSeconds,
	}
}

type move int

const (
	moveWait    move = iota // look again later
	moveFinish              // the goal is proved
	movePromote             // ask AWS to promote
	moveModify              // promoted, but the backup retention asked for is missing
	moveFail                // nothing that may be done leads to the goal
)

type decision struct {
	move   move
	state  action.State
	final  bool
	phase  string
	reason string
}

const phaseInvisible = "not visible"

// decide says what to do about an instance that is to stand on its own. It
// promotes only a replica that is plainly idle, and calls it done only when
// the replication source is gone, the instance available again and the backup
// retention in place: "available" alone is also how an untouched replica looks.
func decide(i Instance, p PromoteParameters, asked action.Asked) decision {
	switch conditions[i.Status] {
	case terminal:
		return decision{moveFail, action.StateUnknown, false, i.Status, fmt.Sprintf("DB instance %s is %s", i.ID, i.Status)}
	case unknown:
		return decision{moveWait, action.StateUnknown, false, i.Status, fmt.Sprintf("DB instance %s has the status %q, which is not known here: waiting", i.ID, i.Status)}
	case pending:
		if i.Source != "" && i.Status == statusBackingUp {
			return decision{moveWait, action.StateReady, true, i.Status, "AWS refuses to promote during a backup: waiting for its end"}
		}
		return decision{moveWait, action.StateUnderWay, i.Source == "", i.Status, fmt.Sprintf("DB instance %s is %s", i.ID, i.Status)}
	}
	if i.Source == "" {
		return decideStandalone(i, p)
	}
	switch asked.Idle() {
	case action.NotYetVisible:
		return decision{moveWait, action.StateUnderWay, true, phaseInvisible, "AWS has accepted the promotion and does not show it yet"}
	case action.NeverBegan:
		return decision{moveFail, action.StateReady, false, "promoting", fmt.Sprintf("AWS accepted the promotion of %s at %s and it is still an idle replica", i.ID, asked.Requested.Format(time.RFC3339))}
	case action.PerhapsAsked:
		return decision{moveWait, action.StateReady, true, "confirming", "an earlier call had no answer: making sure that it had no effect"}
	}
	return decision{movePromote, action.StateReady, false, "promoting", "the replica is idle"}
}

func decideStandalone(i Instance, p PromoteParameters) decision {
	want := p.BackupRetentionPeriod
	switch {
	case i.Replication != "":
		return decision{moveWait, action.StateUnderWay, true, "detaching", "replication is still shown as " + i.Replication}
	case want == nil || *want == i.Retention:
		return decision{moveFinish, action.StateDone, true, "promoted", fmt.Sprintf("DB instance %s stands on its own and is available", i.ID)}
	case i.Pending != nil && *i.Pending == *want:
		return decision{moveWait, action.StateUnderWay, true, "backup", "the backup retention is being applied"}
	}
	return decision{moveModify, action.StateUnderWay, true, "backup", fmt.Sprintf("the backup retention is %d days and %d were asked for", i.Retention, *want)}
}

// Preflight tells whether the promotion could begin now.
func (a Promotion) Preflight(ctx context.Context, req action.Request[PromoteParameters]) (action.Readiness, error) {
	p := req.Parameters
	i, err := find(ctx, a.RDS, p.RDSInstanceIdentifier, req.Run.Region)
	if err != nil {
		return action.Readiness{}, err
	}
	d := decide(i, p, action.Asked{Now: req.Now})
	ready := action.Readiness{Observed: d.state, Evidence: i.evidence()}
	if i.ARN != p.TargetClusterIdentifier {
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictBlocked, Class: action.InvalidInput,
			Message: fmt.Sprintf("%s is %s, not TargetClusterIdentifier %s", i.ID, i.ARN, p.TargetClusterIdentifier)})
	}
	switch d.move {
	case moveFail:
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictBlocked, Class: action.Terminal, Message: d.reason})
	case movePromote:
		reading := a.lag(ctx, req, i)
		ready.Lag = reading.Seconds()
		ready.Findings = append(ready.Findings, lag.Finding(p.MaxReplicaLagSeconds, reading)...)
		if i.Replication != "" && i.Replication != "replicating" {
			ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: "replication is " + i.Replication})
		}
	case moveWait:
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: d.reason})
	}
	return ready, nil
}

// lag reads ReplicaLag, which is in seconds and published in the region of
// the replica.
func (a Promotion) lag(ctx context.Context, req action.Request[PromoteParameters], i Instance) lag.Reading {
	return lag.Read(ctx, a.Metrics, lag.Metric{
		Namespace: "AWS/RDS", Name: "ReplicaLag", Unit: time.Second,
		Dimensions: []lag.Dimension{{Name: "DBInstanceIdentifier", Value: i.ID}},
	}, req.Now)
}

// Reconcile takes the next step of the promotion.
func (a Promotion) Reconcile(ctx context.Context, req action.Request[PromoteParameters]) (action.Progress, error) {
	p := req.Parameters
	i, err := find(ctx, a.RDS, p.RDSInstanceIdentifier, req.Run.Region)
	if err != nil {
		return action.Progress{}, err
	}
	asked := req.Asked()
	d := decide(i, p, asked)
	progress := action.Progress{Status: action.InProgress, Observed: d.state, Phase: d.phase, Message: d.reason, Final: d.final, Evidence: i.evidence(),
		Memo: asked.Note(d.move == movePromote, d.phase == phaseInvisible)}
	switch d.move {
	case moveFail:
		return progress, action.Errorf(action.Terminal, "%s", d.reason)
	case moveFinish:
		progress.Status = action.Done
	case movePromote:
		return a.promote(ctx, req, i, progress)
	case moveModify:
		_, err := a.RDS.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{
			DBInstanceIdentifier: aws.String(i.ID), ApplyImmediately: aws.Bool(true),
			BackupRetentionPeriod: aws.Int32(int32(*p.BackupRetentionPeriod)),
		})
		return action.Sent(req, progress, action.Mutation("setting the backup retention of "+i.ID, err))
	}
	return progress, nil
}

func (a Promotion) promote(ctx context.Context, req action.Request[PromoteParameters], i Instance, progress action.Progress) (action.Progress, error) {
	p := req.Parameters
	reading := a.lag(ctx, req, i)
	if err := lag.Gate(p.MaxReplicaLagSeconds, reading); err != nil {
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
	_, err := a.RDS.PromoteReadReplica(ctx, in)
	progress.Message = "promotion asked for; lag " + reading.String()
	return action.Sent(req, progress, action.Mutation("promoting "+i.ID, err))
}
