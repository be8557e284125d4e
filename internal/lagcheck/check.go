package lagcheck

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/lag"
)

// The kinds of replicas.
const (
	KindRDS         = "RDS"
	KindAurora      = "Aurora"
	KindElastiCache = "ElastiCache"
	KindDocumentDB  = "DocumentDB"
	KindNeptune     = "Neptune"
)

// Parameters are the parameters of CheckReplicaLag. They carry no identity: a
// check takes no lock, and may name what another entry changes.
type Parameters struct {
	ReplicaKind          string `param:"required" enum:"RDS,Aurora,ElastiCache,DocumentDB,Neptune" doc:"What the replica is."`
	ReplicaIdentifier    string `param:"required" format:"replica" doc:"Identifier of the DB instance, DB cluster or replication group in the region of the run."`
	MaxReplicaLagSeconds *int   `param:"required" min:"0" doc:"The most that the replica may be behind."`
	AcceptUnknownLag     bool   `doc:"Go ahead where the lag is not known. One that is known still counts."`
	Wait                 bool   `doc:"Wait until the lag is within the limit, instead of refusing at once; a replica that does not replicate before the run begins is refused all the same. With a limit of 0 it must be measured after the check began; of PostgreSQL, everything from before that must have been replayed."`
}

func (p Parameters) limit() lag.Limit {
	return lag.Limit{MaxReplicaLagSeconds: p.MaxReplicaLagSeconds, AcceptUnknownLag: p.AcceptUnknownLag}
}

// RDS is every call to RDS that a check makes. RDS describes the clusters of
// DocumentDB and Neptune, too.
type RDS interface {
	DescribeDBInstances(context.Context, *rds.DescribeDBInstancesInput, ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error)
	DescribeDBClusters(context.Context, *rds.DescribeDBClustersInput, ...func(*rds.Options)) (*rds.DescribeDBClustersOutput, error)
}

// ElastiCache is every call to ElastiCache that a check makes.
type ElastiCache interface {
	DescribeReplicationGroups(context.Context, *elasticache.DescribeReplicationGroupsInput, ...func(*elasticache.Options)) (*elasticache.DescribeReplicationGroupsOutput, error)
}

// Check is done when a replica is within a limit of lag. It changes nothing.
type Check struct {
	RDS         RDS
	ElastiCache ElastiCache
	Lags        lag.Source
}

// New wires the action to AWS.
func New(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[Parameters]{
		Reconciler: Check{
			RDS: rds.NewFromConfig(f.Config("")), ElastiCache: elasticache.NewFromConfig(f.Config("")),
			Lags: lag.CloudWatch{API: cloudwatch.NewFromConfig(f.Config(""))},
		},
		Secrets: secrets, Now: now, ReadOnly: true,
	}
}

// The phases of a check.
const (
	phaseWithin = "within the limit"
	phaseBehind = "behind"
)

// decide judges a reading. began is when this check did: writes are stopped
// before a check that waits for a lag of nothing, so a datapoint from before
// began may tell of a moment at which they still went on. A datapoint bears
// the beginning of its minute, so one that is later was measured wholly after.
//
// A replica of PostgreSQL shows the time since the last transaction that it
// replayed. Where nobody writes that is no lag, and it does not stay at nothing:
// it goes up to five minutes again and again (RDS user guide, "Monitoring read
// replication"). So there a wait for a lag of nothing asks what that time says:
// whether something from after began was replayed, and with it all before it.
func decide(p Parameters, r lag.Reading, began time.Time, postgres bool) action.Decision {
	if replayed := r.At.Add(-r.Lag); postgres && p.Wait && *p.MaxReplicaLagSeconds == 0 && r.Known && r.Lag > 0 && replayed.After(began) {
		return action.Finish(phaseWithin, "at %s the replica had replayed everything up to %s, which is after %s, when this check began", clock(r.At), clock(replayed), clock(began))
	}
	err := p.limit().Gate(r)
	passing := action.Passing(action.ClassOf(err))
	switch {
	case err == nil && r.Known && p.Wait && *p.MaxReplicaLagSeconds == 0 && !r.At.After(began):
		return action.Wait(action.StateBusy, phaseBehind, "the replication lag was %s at %s: waiting for a datapoint from after %s, when this check began",
			r, clock(r.At), clock(began))
	case err == nil && !r.Known:
		return action.Finish("unknown", "the replication lag is %s; AcceptUnknownLag allows that", r)
	case err == nil:
		return action.Finish(phaseWithin, "the replication lag is %s, and MaxReplicaLagSeconds is %d", r, *p.MaxReplicaLagSeconds)
	case p.Wait && (passing || action.ClassOf(err) == action.Refused):
		return action.Wait(action.StateBusy, phaseBehind, "waiting: %v", err)
	}
	return action.Fail(action.ClassOf(err), action.StateReady, phaseBehind, "%v", err)
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05 MST") }

// evident adds a reading to what was seen.
func evident(e action.Evidence, r lag.Reading, now time.Time) {
	e["lag"] = r.String()
	if !r.At.IsZero() {
		e["lagAt"] = r.At.UTC().Format(time.RFC3339)
		e["lagAgeSeconds"] = int(now.Sub(r.At).Seconds())
	}
}

// Preflight tells whether the check would pass now. One that may wait only
// warns: its layer may begin much later, and what comes before it may stop the
// writes. Replication that does not run blocks that one, too: what comes before
// would leave nobody to write, for a wait that may never end. Not so of a replica
// that AWS is at work on: that may be its promotion, which is carried on with.
func (c Check) Preflight(ctx context.Context, req action.Request[Parameters]) (action.Readiness, error) {
	s, err := c.read(ctx, req)
	if err != nil {
		return action.Readiness{}, err
	}
	if s.itself != "" {
		return action.Readiness{Observed: action.StateDone, Evidence: s.evidence, Findings: []action.Finding{{Verdict: action.VerdictWarning, Message: s.itself}}}, nil
	}
	r, evidence := s.reading, s.evidence
	evident(evidence, r, req.Now)
	p := req.Parameters
	ready := action.Readiness{Observed: action.StateReady, Evidence: evidence, Lag: r.Seconds()}
	if err := p.limit().Gate(r); p.Wait && !(r.Stopped && !s.atWork()) && err != nil && (action.ClassOf(err) == action.Refused || action.Passing(action.ClassOf(err))) {
		ready.Findings = []action.Finding{{Verdict: action.VerdictWarning, Message: "the check will wait: " + err.Error()}}
		return ready, nil
	}
	return ready, p.limit().Report(r, &ready)
}

// Reconcile reads the lag once and judges it.
func (c Check) Reconcile(ctx context.Context, req action.Request[Parameters]) (action.Progress, error) {
	s, err := c.read(ctx, req)
	if err != nil {
		return action.Progress{}, err
	}
	if s.itself != "" {
		return action.Progress{Status: action.Done, Observed: action.StateDone, Phase: "no replica", Message: s.itself + ": nothing of it can be behind", Evidence: s.evidence}, nil
	}
	r, evidence := s.reading, s.evidence
	evident(evidence, r, req.Now)
	d := decide(req.Parameters, r, req.Drive.StartedAt, s.postgres)
	progress, err := d.Progress(action.Asked{Now: req.Now}, evidence)
	progress.Memo = nil // no call is made, so there is nothing to remember of one
	progress.Lag = r.Seconds()
	return progress, err
}
