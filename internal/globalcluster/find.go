// Package globalcluster drives Amazon Aurora global databases.
package globalcluster

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
	"dr-orchestrator/internal/succession"
)

// Global is what a decision needs to know of a global cluster.
type Global struct {
	ID       string
	Status   string
	Endpoint string
	Version  string // of the engine
	Members  []Member
	Failover *Operation // nil when no switchover or failover runs
}

// Member is one cluster of a global cluster.
type Member struct {
	ARN    string
	Writer bool
	Sync   string // SynchronizationStatus; empty where AWS shows none
}

// Operation is a switchover or failover that AWS is carrying out.
type Operation struct {
	Status, From, To string
	DataLoss         bool // a failover, which may lose data
}

// Local is the target cluster as its own region shows it.
type Local struct {
	ARN          string
	Status       string
	Version      string
	Global       string // global cluster that it says it belongs to; empty: none
	Source       string // cluster that it replicates; empty: none
	Instances    int
	Writer       string           // identifier of its writer instance; a secondary has none
	Reader       string           // without a writer, one of its readers
	WriterStatus string           // of the writer, or of that reader
	Created      time.Time        // zero: not shown
	Mark         string           // of what it takes over from, see package succession
	Fenced       bool             // nobody can write to it, whatever AWS calls it
	Details      evidence.Details // for a preflight; nothing is decided by them
}

// Finder is every read that finding takes.
type Finder interface {
	DescribeGlobalClusters(context.Context, *rds.DescribeGlobalClustersInput, ...func(*rds.Options)) (*rds.DescribeGlobalClustersOutput, error)
	DescribeDBClusters(context.Context, *rds.DescribeDBClustersInput, ...func(*rds.Options)) (*rds.DescribeDBClustersOutput, error)
	DescribeDBInstances(context.Context, *rds.DescribeDBInstancesInput, ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error)
}

// findGlobal reads a global cluster. Every region answers with the same list,
// so it is asked of the region of the run.
func findGlobal(ctx context.Context, api Finder, id, region string) (Global, error) {
	out, err := api.DescribeGlobalClusters(ctx, &rds.DescribeGlobalClustersInput{GlobalClusterIdentifier: aws.String(id)})
	if err != nil {
		return Global{}, action.Call("describing global cluster "+id+" in "+region, err)
	}
	if len(out.GlobalClusters) != 1 {
		return Global{}, action.Errorf(action.NotFound, "global cluster %s is not known in %s", id, region)
	}
	g := globalOf(out.GlobalClusters[0])
	g.ID = id
	return g, nil
}

// globalOf reads what AWS shows of a global cluster.
func globalOf(found types.GlobalCluster) Global {
	g := Global{ID: aws.ToString(found.GlobalClusterIdentifier), Status: aws.ToString(found.Status), Endpoint: aws.ToString(found.Endpoint), Version: aws.ToString(found.EngineVersion)}
	for _, m := range found.GlobalClusterMembers {
		g.Members = append(g.Members, Member{ARN: aws.ToString(m.DBClusterArn), Writer: aws.ToBool(m.IsWriter), Sync: string(m.SynchronizationStatus)})
	}
	// AWS leaves the element in place, empty, when nothing runs.
	if f := found.FailoverState; f != nil && (f.Status != "" || aws.ToString(f.ToDbClusterArn) != "") {
		g.Failover = &Operation{Status: string(f.Status), From: aws.ToString(f.FromDbClusterArn), To: aws.ToString(f.ToDbClusterArn), DataLoss: aws.ToBool(f.IsDataLossAllowed)}
	}
	return g
}

// findLocal reads a cluster and its writer instance in the cluster's region.
func findLocal(ctx context.Context, api Finder, arn, region string) (Local, error) {
	out, err := api.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: aws.String(arn)})
	if err != nil {
		return Local{}, action.Call("describing "+arn+" in "+region, err)
	}
	if len(out.DBClusters) != 1 {
		return Local{}, action.Errorf(action.NotFound, "%s is not in %s", arn, region)
	}
	l := observed(out.DBClusters[0])
	if l.Instances == 0 || !operational(l.Status) {
		return l, nil // the instance says nothing that the cluster has not said
	}
	instances, err := api.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String(l.instance())})
	if err != nil {
		return Local{}, action.Call("describing DB instance "+l.instance()+" in "+region, err)
	}
	for _, i := range instances.DBInstances {
		l.WriterStatus = aws.ToString(i.DBInstanceStatus)
		l.Details.AddInstance(i)
	}
	return l, nil
}

// observed is what a cluster shows of itself.
func observed(found types.DBCluster) Local {
	l := Local{ARN: aws.ToString(found.DBClusterArn), Status: aws.ToString(found.Status), Version: aws.ToString(found.EngineVersion),
		Global: aws.ToString(found.GlobalClusterIdentifier), Source: aws.ToString(found.ReplicationSourceIdentifier), Instances: len(found.DBClusterMembers),
		Created: aws.ToTime(found.ClusterCreateTime), Details: evidence.OfCluster(found)}
	for _, tag := range found.TagList {
		switch value := aws.ToString(tag.Value); aws.ToString(tag.Key) {
		case succession.Tag:
			l.Mark = value
		case succession.FenceTag:
			l.Fenced = succession.Fenced(map[string]string{succession.FenceTag: value})
		}
	}
	for _, m := range found.DBClusterMembers {
		if aws.ToBool(m.IsClusterWriter) {
			l.Writer, l.Reader = aws.ToString(m.DBInstanceIdentifier), ""
			break
		}
		l.Reader = aws.ToString(m.DBInstanceIdentifier)
	}
	return l
}

// instance is the one whose status was looked at.
func (l Local) instance() string { return cmp.Or(l.Writer, l.Reader) }

// member finds a cluster among the members. AWS shows identifiers in lower
// case and takes them in any.
func (g Global) member(arn string) (Member, bool) {
	for _, m := range g.Members {
		if strings.EqualFold(m.ARN, arn) {
			return m, true
		}
	}
	return Member{}, false
}

// writer finds the member that takes writes.
func (g Global) writer() (Member, bool) {
	for _, m := range g.Members {
		if m.Writer {
			return m, true
		}
	}
	return Member{}, false
}

func (g Global) evidence(local *Local) action.Evidence {
	e := action.Evidence{"globalCluster": g.ID, "status": g.Status}
	if w, ok := g.writer(); ok {
		e["writer"] = w.ARN
	}
	if behind := g.behind(); behind != "" {
		e["notConnected"] = behind
	}
	if g.Endpoint != "" {
		e["endpoint"] = g.Endpoint
	}
	if g.Failover != nil {
		e["failover"] = g.Failover.Status + " to " + g.Failover.To
	}
	if local != nil {
		e["cluster"] = local.ARN
		e["clusterStatus"] = local.Status
		e["instance"] = local.instance()
		e["instanceStatus"] = local.WriterStatus
	}
	return e
}
