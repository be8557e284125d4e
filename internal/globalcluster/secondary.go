package globalcluster

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/payload"
)

// What becomes of the old primary that stands where the secondary is to be.
const (
	OldKeep   = "Keep"   // it gets another name and goes on
	OldDelete = "Delete" // it is deleted, after a final snapshot
)

// SecondaryParameters are the parameters of CreateAuroraSecondaryDBCluster.
type SecondaryParameters struct {
	GlobalClusterIdentifier         string   `param:"required" format:"global-cluster" identity:"global-cluster" doc:"Identifier of the Aurora global database."`
	DBClusterIdentifier             string   `param:"required" format:"rds-cluster-arn" identity:"rds-cluster" doc:"ARN of the secondary cluster: of the old primary, whose name it takes over."`
	DBClusterName                   string   `param:"required" format:"db-cluster" doc:"Identifier of the secondary cluster, the last part of DBClusterIdentifier."`
	SourceDBClusterIdentifier       string   `param:"required" format:"rds-cluster-arn" doc:"ARN of the cluster that takes writes now."`
	DBInstanceIdentifier            string   `param:"required" format:"db-instance" identity:"rds-instance" doc:"Identifier of the secondary's DB instance."`
	Port                            *int     `min:"1150" max:"65535" doc:"Port of the secondary; without it that of the engine."`
	DBInstanceClass                 string   `param:"required" doc:"Class of the DB instance, such as db.r5.large."`
	DBSubnetGroupName               string   `param:"required" doc:"DB subnet group of the secondary."`
	VpcSecurityGroupIds             []string `param:"required" doc:"VPC security groups of the secondary."`
	Engine                          string   `param:"required" enum:"aurora-mysql,aurora-postgresql" doc:"Engine of the source."`
	EngineVersion                   string   `param:"required" doc:"Engine version, which must be that of the source."`
	KmsKeyId                        string   `doc:"Key that encrypts the secondary, in its own region."`
	SourceRegion                    string   `param:"required" format:"region" doc:"Region of the cluster that takes writes now."`
	ClusterRegion                   string   `param:"required" format:"region" doc:"Region of the secondary, which is the region of the run."`
	BackupRetentionPeriod           *int     `min:"1" max:"35" doc:"Days of automated backups."`
	MonitoringInterval              *int     `min:"0" max:"60" doc:"Seconds between points of Enhanced Monitoring; 0 turns it off."`
	StorageEncrypted                *bool    `doc:"Whether the storage is encrypted, which must be as at the source."`
	EnableIAMDatabaseAuthentication *bool    `doc:"Whether IAM users may log in."`
	DeletionProtection              *bool    `doc:"Whether the secondary is protected against deletion."`
	CopyTagsToSnapshot              *bool    `doc:"Whether snapshots get the cluster's tags."`
	AutoMinorVersionUpgrade         *bool    `doc:"Whether the instance takes minor versions by itself."`
	MonitoringRoleArn               string   `doc:"Role of Enhanced Monitoring. The function may pass the role rds-monitoring-role."`
	OldPrimary                      string   `enum:"Keep,Delete" default:"Keep" doc:"What becomes of a detached old primary: Keep gives it another name, Delete deletes it after a final snapshot."`
	LiftDeletionProtection          bool     `doc:"With OldPrimary Delete: delete it although it is protected against deletion."`
	OldDBClusterArn                 string   `format:"rds-cluster-arn" doc:"ARN of the old primary, written out, where nothing else proves that it is one: its global cluster was deleted by hand. It must be DBClusterIdentifier."`
	MaxReplicaLagSeconds            *int     `min:"0" doc:"Done only when the secondary's lag is known and at most this."`
}

// Check finds parameters that contradict each other.
func (p SecondaryParameters) Check() []payload.Issue {
	var all []payload.Issue
	differs := func(parameter, text, of, want string) {
		if want != "" && text != want && !payload.IsReference(text) {
			all = append(all, payload.Issue{Parameter: parameter, Message: "is not what " + of + " says", Want: want})
		}
	}
	_, name, _ := strings.Cut(p.DBClusterIdentifier, ":cluster:")
	differs("ClusterRegion", p.ClusterRegion, "DBClusterIdentifier", regionOf(p.DBClusterIdentifier))
	differs("DBClusterName", p.DBClusterName, "DBClusterIdentifier", name)
	differs("SourceRegion", p.SourceRegion, "SourceDBClusterIdentifier", regionOf(p.SourceDBClusterIdentifier))
	if p.OldDBClusterArn != "" {
		differs("OldDBClusterArn", p.OldDBClusterArn, "DBClusterIdentifier", p.DBClusterIdentifier)
	}
	if payload.IsReference(p.OldDBClusterArn) {
		all = append(all, payload.Issue{Parameter: "OldDBClusterArn", Message: "is a reference, which names whatever stands in the region of the run", Want: "the ARN, written out"})
	}
	if p.SourceRegion == p.ClusterRegion && !payload.IsReference(p.SourceRegion) {
		all = append(all, payload.Issue{Parameter: "SourceRegion", Message: "is ClusterRegion: a secondary is in another region than its source", Want: "the region that takes writes now"})
	}
	if p.MonitoringInterval != nil && *p.MonitoringInterval > 0 && p.MonitoringRoleArn == "" {
		all = append(all, payload.Issue{Parameter: "MonitoringInterval", Message: "needs MonitoringRoleArn", Want: "0, or a role"})
	}
	return all
}

// CreateAPI are the calls that make the new secondary.
type CreateAPI interface {
	CreateGlobalCluster(context.Context, *rds.CreateGlobalClusterInput, ...func(*rds.Options)) (*rds.CreateGlobalClusterOutput, error)
	CreateDBCluster(context.Context, *rds.CreateDBClusterInput, ...func(*rds.Options)) (*rds.CreateDBClusterOutput, error)
	CreateDBInstance(context.Context, *rds.CreateDBInstanceInput, ...func(*rds.Options)) (*rds.CreateDBInstanceOutput, error)
	DescribeDBSubnetGroups(context.Context, *rds.DescribeDBSubnetGroupsInput, ...func(*rds.Options)) (*rds.DescribeDBSubnetGroupsOutput, error)
	DescribeAccountAttributes(context.Context, *rds.DescribeAccountAttributesInput, ...func(*rds.Options)) (*rds.DescribeAccountAttributesOutput, error)
}

// SecondaryAPI is every call to RDS that building a secondary makes.
type SecondaryAPI interface {
	Finder
	SnapshotAPI
	CreateAPI
	KeepAPI
	DeleteAPI
}

// Secondary gives the cluster that takes writes since a failover a secondary
// in the region that was lost.
type Secondary struct {
	RDS  func(region string) SecondaryAPI
	Lags lag.Source
}

// MinimumSecondarySeconds: each of the operations on the way takes minutes.
const MinimumSecondarySeconds = 20

// NewSecondary wires the action to AWS.
func NewSecondary(f *client.Factory, secrets action.Secrets, now func() time.Time) lambda.Handler {
	return &action.Adapter[SecondaryParameters]{
		Reconciler: Secondary{
			RDS:  func(region string) SecondaryAPI { return rds.NewFromConfig(f.Config(region)) },
			Lags: lag.CloudWatch{API: cloudwatch.NewFromConfig(f.Config(""))},
		},
		Secrets: secrets, Now: now, MinimumSeconds: MinimumSecondarySeconds,
	}
}

// The calls that make a secondary. Those on one of several things carry its
// name after a colon.
const (
	stepFound    = "creating global cluster"
	stepCluster  = "creating cluster"
	stepInstance = "creating instance"
)

// asker gives what this run knows of each of its calls.
type asker func(step string) action.Asked

// begun tells whether something on the way has been done, as far as can be
// seen. The first step on an old cluster marks it; where AWS rebuilds it, the
// first are copies.
func (s Survey) begun() bool {
	if s.SourceIn == "" {
		if s.Local == nil {
			return false
		}
		of, _ := s.Local.oldOf()
		return of != ""
	}
	return slices.ContainsFunc(s.Snapshots, func(x Snapshot) bool { return isKept(x.ID) })
}

// untouched tells whether nothing on the way has been done yet: the old cluster
// is where the failover left it.
func (s Survey) untouched() bool { return s.LocalIn != "" && !s.begun() }

// begin takes a step, unless an earlier call of this run may still show an
// effect. Past the first step the way is under way, also while nothing runs:
// after a lost answer, that is how a change is told from none.
func (s Survey) begin(asked asker, step, format string, args ...any) action.Decision {
	d, waits := asked(step).Idle()
	if !waits {
		d = action.Act(step, format, args...)
	}
	d.Step = step
	if !s.untouched() && d.Move != action.MoveFail {
		d.State = action.StateUnderWay
	}
	return d
}

// decide says what to do next. Which case it is can be told from who is a
// member of what:
//
//   - the source writes to the global cluster and the cluster here is its
//     secondary: AWS rebuilds it (a managed failover), or this action made it;
//   - the source stands alone and the cluster here is the only member of the
//     global cluster: the source was detached. The old cluster leaves, the
//     empty global cluster goes (its name is needed), the old cluster gets
//     another name or is deleted, and only then is the global cluster made
//     again. An empty global cluster beside a cluster under the old name is
//     therefore the old one, and without such a cluster a new one that does
//     not show its first member yet;
//   - anything else was made by somebody else and is refused.
func (s Survey) decide(p SecondaryParameters, asked asker) action.Decision {
	if d, ok := s.elsewhere(p); ok {
		return d
	}
	var g Global
	if s.Global != nil {
		g = *s.Global
	}
	source, sourceIn := g.member(p.SourceDBClusterIdentifier)
	local, localIn := g.member(p.DBClusterIdentifier)
	if s.Global != nil {
		if d, ok := busy(g, p, source.Writer); ok {
			return d
		}
	}
	switch {
	case sourceIn && !source.Writer:
		w, _ := g.writer()
		return action.Fail(action.Refused, action.StateUnknown, "not the writer", "%s does not take writes in %s (%s does): nothing has failed over to it",
			p.SourceDBClusterIdentifier, g.ID, cmp.Or(w.ARN, "nobody"))
	case sourceIn && localIn:
		return s.prove(p, local, asked)
	case sourceIn && s.Local == nil:
		return s.create(p, asked)
	case sourceIn && s.joining(p):
		return s.join()
	case sourceIn:
		return s.setAside(p, asked)
	case localIn:
		return s.leave(p, g, local, asked)
	case len(g.Members) > 0:
		return action.Fail(action.Refused, action.StateUnknown, "not ours", "%s has the member %s and neither %s nor %s", g.ID, g.Members[0].ARN, p.SourceDBClusterIdentifier, p.DBClusterIdentifier)
	case s.Local != nil:
		return s.setAside(p, asked)
	case s.Global != nil:
		return s.formed(p, asked)
	}
	return s.found(p, asked)
}

// elsewhere refuses clusters that belong to other global clusters.
func (s Survey) elsewhere(p SecondaryParameters) (action.Decision, bool) {
	for _, x := range []struct{ arn, in string }{{p.SourceDBClusterIdentifier, s.SourceIn}, {p.DBClusterIdentifier, s.LocalIn}} {
		if x.in != "" && !strings.EqualFold(x.in, p.GlobalClusterIdentifier) {
			return action.Fail(action.Refused, action.StateUnknown, "not ours", "%s belongs to the global cluster %s, not to %s", x.arn, x.in, p.GlobalClusterIdentifier), true
		}
	}
	if c := s.Local; c != nil {
		switch {
		case !strings.EqualFold(c.ARN, p.DBClusterIdentifier):
			return action.Fail(action.InvalidInput, action.StateUnknown, c.Status, "%s is %s, not DBClusterIdentifier %s", p.DBClusterName, c.ARN, p.DBClusterIdentifier), true
		case c.Global != "" && !strings.EqualFold(c.Global, p.GlobalClusterIdentifier):
			return action.Fail(action.Refused, action.StateUnknown, "not ours", "%s says that it belongs to the global cluster %s, not to %s", c.ARN, c.Global, p.GlobalClusterIdentifier), true
		case c.Source != "" && !strings.EqualFold(c.Source, p.SourceDBClusterIdentifier):
			return action.Fail(action.Refused, action.StateUnknown, "not ours", "%s is a replica of %s", c.ARN, c.Source), true
		}
	}
	return action.Decision{}, false
}

// statusDeleting is what a cluster shows on its way out.
const statusDeleting = "deleting"

// busy judges what runs on the global cluster.
func busy(g Global, p SecondaryParameters, ours bool) (action.Decision, bool) {
	if f := g.Failover; f != nil {
		if !strings.EqualFold(f.To, p.SourceDBClusterIdentifier) {
			return action.Fail(action.Conflict, action.StateUnknown, f.Status, "an operation moves %s to %s (%s)", g.ID, f.To, f.Status), true
		}
		return action.Wait(action.StateUnderWay, g.Status, "%s is still moving to %s (%s)", g.ID, f.To, f.Status), true
	}
	state := action.StateBusy
	if ours {
		state = action.StateUnderWay
	}
	switch condition := action.ConditionOf(conditions, g.Status); {
	case g.Status == statusDeleting:
		return action.WaitFinal(action.StateUnderWay, statusDeleting, "%s is being deleted", g.ID), true
	case condition == action.StatusTerminal:
		return action.Fail(action.Terminal, action.StateUnknown, g.Status, "%s is %s", g.ID, g.Status), true
	case condition == action.StatusUnknown:
		return action.Wait(action.StateUnknown, g.Status, "%s has the status %q, which is not known here: waiting", g.ID, g.Status), true
	case condition == action.StatusPending:
		return action.Wait(state, g.Status, "%s is %s: waiting until it is available", g.ID, g.Status), true
	}
	return action.Decision{}, false
}

// create makes the cluster of the secondary in a global cluster in which the
// source is listed as the writer; AWS refuses any earlier.
func (s Survey) create(p SecondaryParameters, asked asker) action.Decision {
	if !s.Deep {
		return action.Look(stepCluster)
	}
	if d, ok := s.wrongSource(p); ok {
		return d
	}
	if d, ok := s.held(p); ok {
		return d
	}
	return s.begin(asked, stepCluster, "%s has no secondary in %s", p.SourceDBClusterIdentifier, p.ClusterRegion)
}

// held refuses where the name of the instance belongs to something else.
func (s Survey) held(p SecondaryParameters) (action.Decision, bool) {
	if s.Holder == "" {
		return action.Decision{}, false
	}
	return action.Fail(action.Conflict, action.StateUnknown, "name taken", "DBInstanceIdentifier %s is %s", p.DBInstanceIdentifier, s.Holder), true
}

// joining tells a new secondary that is not listed as a member yet.
func (s Survey) joining(p SecondaryParameters) bool {
	return s.Local.Status == "creating" || s.Local.Global != "" || strings.EqualFold(s.Local.Source, p.SourceDBClusterIdentifier)
}

func (s Survey) join() action.Decision {
	if action.ConditionOf(conditions, s.Local.Status) == action.StatusTerminal {
		return action.Fail(action.Terminal, action.StateUnderWay, s.Local.Status, "%s did not become a secondary: it is %s", s.Local.ARN, s.Local.Status)
	}
	return action.Wait(action.StateUnderWay, "joining", "%s is %s and not listed as a member yet", s.Local.ARN, s.Local.Status)
}

// formed judges an empty global cluster without an old cluster: AWS lists the
// source 30 to 60 seconds after it has made one. One that stays empty is
// somebody's leftover and in the way of the name.
func (s Survey) formed(p SecondaryParameters, asked asker) action.Decision {
	if !asked(stepFound).Requested.IsZero() {
		d, _ := asked(stepFound).Idle()
		d.Step = stepFound
		return d
	}
	empty := asked(stepFormed)
	if empty.IdleSince.IsZero() || empty.Now.Sub(empty.IdleSince) < formingTime {
		d := action.WaitFinal(action.StateUnderWay, action.PhaseInvisible, "%s has no member: waiting whether its source is still to be listed", p.GlobalClusterIdentifier)
		d.Step = stepFormed
		return d
	}
	if !s.Deep {
		return action.Look(stepEmpty)
	}
	if d, ok := s.wrongSource(p); ok {
		return d
	}
	return s.begin(asked, stepEmpty, "%s has stayed without a member", p.GlobalClusterIdentifier)
}

// stepFormed is no call: under it the time is noted since when a global
// cluster is seen without members.
const stepFormed = "forming"

const formingTime = 5 * time.Minute

// found makes the global cluster again, from the source.
func (s Survey) found(p SecondaryParameters, asked asker) action.Decision {
	if !s.Deep {
		return action.Look(stepFound)
	}
	if d, ok := s.wrongSource(p); ok {
		return d
	}
	if d, ok := s.held(p); ok {
		return d
	}
	return s.begin(asked, stepFound, "there is no global cluster %s and the name %s is free", p.GlobalClusterIdentifier, p.DBClusterName)
}

// prove asks for the pieces of evidence that protection is back, and makes
// what is missing: copies of what AWS saved, and an instance.
func (s Survey) prove(p SecondaryParameters, local Member, asked asker) action.Decision {
	if !s.Deep {
		return action.Look("proving")
	}
	if d, ok := s.rescue(asked); ok {
		return d
	}
	c := s.Local
	switch {
	case local.Writer:
		return action.Fail(action.Conflict, action.StateUnknown, "two writers", "%s shows %s and %s as writers", p.GlobalClusterIdentifier, p.SourceDBClusterIdentifier, local.ARN)
	case c == nil:
		return action.Wait(action.StateUnderWay, "rebuilding", "%s is listed as a member and not there yet", local.ARN)
	case c.Status == "creating":
		return action.Wait(action.StateUnderWay, c.Status, "%s is being created", c.ARN)
	case action.ConditionOf(conditions, c.Status) == action.StatusTerminal:
		return action.Fail(action.Terminal, action.StateUnderWay, c.Status, "the secondary %s is %s", c.ARN, c.Status)
	case !operational(c.Status):
		return action.Wait(action.StateUnderWay, c.Status, "the secondary %s is %s", c.ARN, c.Status)
	case local.Sync == syncResync:
		return action.Wait(action.StateUnderWay, local.Sync, "AWS is synchronizing %s", c.ARN)
	case len(c.Instances) == 0:
		if d, ok := s.held(p); ok {
			return d
		}
		return s.begin(asked, stepInstance, "the secondary %s has no DB instance", c.ARN)
	}
	return s.ready(p, local)
}

// ready proves that the secondary could take over.
func (s Survey) ready(p SecondaryParameters, local Member) action.Decision {
	c := s.Local
	best := c.Instances[0]
	for _, i := range c.Instances {
		if operational(i.Status) {
			best = i
		}
	}
	switch {
	case !operational(best.Status) && action.ConditionOf(conditions, best.Status) == action.StatusTerminal:
		return action.Fail(action.Terminal, action.StateUnderWay, best.Status, "the secondary %s has no instance that is available: %s is %s", c.ARN, best.ID, best.Status)
	case !operational(best.Status):
		return action.Wait(action.StateUnderWay, best.Status, "its instance %s is %s", best.ID, best.Status)
	case local.Sync != syncConnected:
		return action.WaitFinal(action.StateUnderWay, "not connected", "%s is shown as %q, not as %s", c.ARN, local.Sync, syncConnected)
	}
	if p.MaxReplicaLagSeconds != nil {
		if s.Lag == nil {
			return action.WaitFinal(action.StateUnderWay, "catching up", "the lag was not asked for")
		}
		if err := (lag.Limit{MaxReplicaLagSeconds: p.MaxReplicaLagSeconds}).Gate(*s.Lag); err != nil {
			return action.WaitFinal(action.StateUnderWay, "catching up", "%v", err)
		}
	}
	return action.Finish("protected", "%s is the connected secondary of %s; cluster and instance %s are available%s", c.ARN, p.SourceDBClusterIdentifier, best.ID, c.story())
}

// look reads as much as the decision needs: while something runs, what stands
// in the region of the run.
func (a Secondary) look(ctx context.Context, req action.Request[SecondaryParameters], asked asker) (Survey, action.Decision, error) {
	p := req.Parameters
	s, err := a.survey(ctx, p)
	if err != nil {
		return s, action.Decision{}, err
	}
	s.Started = req.Run.StartedAt
	d := s.decide(p, asked)
	if d.Move != action.MoveLook {
		return s, d, nil
	}
	if s, err = a.deepen(ctx, p, req.Now, s); err != nil {
		return s, d, err
	}
	return s, s.decide(p, asked), nil
}

// inRegion refuses a run in another region than the secondary's.
func (p SecondaryParameters) inRegion(run action.Run) error {
	if p.ClusterRegion == run.Region {
		return nil
	}
	return action.Errorf(action.InvalidInput,
		"ClusterRegion is %s and this run is in %s: a secondary is made in its own region", p.ClusterRegion, run.Region)
}

// Preflight tells which case it is, and in words what will become of the old
// cluster.
func (a Secondary) Preflight(ctx context.Context, req action.Request[SecondaryParameters]) (action.Readiness, error) {
	p := req.Parameters
	if err := p.inRegion(req.Run); err != nil {
		return action.Readiness{}, err
	}
	s, d, err := a.look(ctx, req, func(string) action.Asked { return action.Asked{Now: req.Now} })
	if err != nil {
		return action.Readiness{}, err
	}
	ready := action.Readiness{Observed: d.State, Evidence: s.evidence(p), Findings: d.Findings()}
	if d.Move == action.MoveFail || d.Move == action.MoveFinish {
		return ready, nil
	}
	for _, told := range s.plan(p) {
		ready.Findings = append(ready.Findings, action.Finding{Verdict: action.VerdictWarning, Message: told})
	}
	made := s.LocalIn != "" && s.LocalIn == s.SourceIn || s.Local != nil && s.LocalIn == "" && s.SourceIn != "" && s.joining(p)
	if made {
		return ready, nil
	}
	return ready, a.room(ctx, p, s, &ready)
}

// room tells whether a secondary could be made at all: what is missing would
// otherwise be found out when the old primary is out of the way already.
func (a Secondary) room(ctx context.Context, p SecondaryParameters, s Survey, ready *action.Readiness) error {
	_, err := a.RDS(p.ClusterRegion).DescribeDBSubnetGroups(ctx, &rds.DescribeDBSubnetGroupsInput{DBSubnetGroupName: aws.String(p.DBSubnetGroupName)})
	switch err = action.Call("describing DB subnet group "+p.DBSubnetGroupName+" in "+p.ClusterRegion, err); {
	case err == nil:
	case action.ClassOf(err) == action.NotFound:
		ready.Findings = blocked(ready.Findings, action.NotFound, "%v", err)
	default:
		return err
	}
	if s.Local != nil && p.OldPrimary == OldDelete {
		return nil // its place becomes free
	}
	out, err := a.RDS(p.ClusterRegion).DescribeAccountAttributes(ctx, &rds.DescribeAccountAttributesInput{})
	if err != nil {
		return action.Call("reading the quotas in "+p.ClusterRegion, err)
	}
	for _, q := range out.AccountQuotas {
		what := map[string]string{"DBClusters": "DB clusters", "DBInstances": "DB instances"}[aws.ToString(q.AccountQuotaName)]
		if used, most := aws.ToInt64(q.Used), aws.ToInt64(q.Max); what != "" && used >= most {
			ready.Findings = blocked(ready.Findings, action.Capacity, "%d of %d %s exist in %s: there is no room for a secondary beside the old primary", used, most, what, p.ClusterRegion)
		}
	}
	return nil
}

// Reconcile takes the next step.
func (a Secondary) Reconcile(ctx context.Context, req action.Request[SecondaryParameters]) (action.Progress, error) {
	p := req.Parameters
	if err := p.inRegion(req.Run); err != nil {
		return action.Progress{}, err
	}
	asked := func(step string) action.Asked { return req.Asked(step + " ") }
	s, d, err := a.look(ctx, req, asked)
	if err != nil {
		return action.Progress{}, err
	}
	evidence := s.evidence(p)
	tell(evidence, remembered(req.Drive.Memo))
	progress, err := d.Progress(asked(d.Step), evidence)
	if s.Lag != nil {
		progress.Lag = s.Lag.Seconds()
	}
	if err != nil || d.Move != action.MoveAct {
		return progress, err
	}
	progress.Message = d.Step + " asked for: " + d.Reason
	left := s.leaves(d.Step)
	if d.Step == stepCluster {
		if left, err = a.left(ctx, req); err != nil {
			return progress, err
		}
	}
	tell(progress.Evidence, left)
	maps.Copy(progress.Memo, left)
	return action.Sent(req, progress, action.Mutation(d.Step, a.take(ctx, p, s, d.Step, left, req.Now)))
}

// left tells what is left of the old primary: by what this run remembers, or,
// after a lost answer or another run, by what stands in the region.
func (a Secondary) left(ctx context.Context, req action.Request[SecondaryParameters]) (map[string]string, error) {
	if known := remembered(req.Drive.Memo); known[tagReaches] != "" {
		return known, nil
	}
	found, err := a.whereabouts(ctx, req.Parameters)
	if action.ClassOf(err) == action.Denied {
		return nil, nil // a role that is narrowed to names may not list: the report is poorer
	}
	return found, err
}

// take makes the one call of a step. left are the tags of a new cluster.
func (a Secondary) take(ctx context.Context, p SecondaryParameters, s Survey, step string, left map[string]string, now time.Time) error {
	api := a.RDS(p.ClusterRegion)
	var err error
	switch step {
	case stepFound:
		// AWS wants this in the region of the cluster that becomes the primary.
		_, err = a.RDS(p.SourceRegion).CreateGlobalCluster(ctx, &rds.CreateGlobalClusterInput{
			GlobalClusterIdentifier: aws.String(p.GlobalClusterIdentifier), SourceDBClusterIdentifier: aws.String(p.SourceDBClusterIdentifier),
		})
	case stepCluster:
		in := p.cluster()
		in.Tags = tagsOf(left)
		_, err = api.CreateDBCluster(ctx, in)
	case stepInstance:
		_, err = api.CreateDBInstance(ctx, p.instance())
	default:
		err = a.takeOld(ctx, p, s, step, now)
	}
	return err
}

// cluster is the secondary. It has no master user: that one comes from the
// source, and AWS refuses another.
func (p SecondaryParameters) cluster() *rds.CreateDBClusterInput {
	return &rds.CreateDBClusterInput{
		DBClusterIdentifier: aws.String(p.DBClusterName), GlobalClusterIdentifier: aws.String(p.GlobalClusterIdentifier),
		Engine: aws.String(p.Engine), EngineVersion: aws.String(p.EngineVersion), Port: int32Of(p.Port),
		DBSubnetGroupName: aws.String(p.DBSubnetGroupName), VpcSecurityGroupIds: p.VpcSecurityGroupIds,
		KmsKeyId: textOf(p.KmsKeyId), StorageEncrypted: p.StorageEncrypted,
		EnableIAMDatabaseAuthentication: p.EnableIAMDatabaseAuthentication, DeletionProtection: p.DeletionProtection,
		BackupRetentionPeriod: int32Of(p.BackupRetentionPeriod), CopyTagsToSnapshot: p.CopyTagsToSnapshot,
	}
}

func (p SecondaryParameters) instance() *rds.CreateDBInstanceInput {
	return &rds.CreateDBInstanceInput{
		DBInstanceIdentifier: aws.String(p.DBInstanceIdentifier), DBClusterIdentifier: aws.String(p.DBClusterName),
		DBInstanceClass: aws.String(p.DBInstanceClass), Engine: aws.String(p.Engine),
		MonitoringInterval: int32Of(p.MonitoringInterval), MonitoringRoleArn: textOf(p.MonitoringRoleArn),
		AutoMinorVersionUpgrade: p.AutoMinorVersionUpgrade,
	}
}

func textOf(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func int32Of(n *int) *int32 {
	if n == nil {
		return nil
	}
	return aws.Int32(int32(*n))
}
