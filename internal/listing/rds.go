package listing

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
)

type describesInstances interface {
	DescribeDBInstances(context.Context, *rds.DescribeDBInstancesInput, ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error)
}

// Instances answers DescribeDBInstances of one instance.
type Instances struct {
	api  describesInstances
	list list[types.DBInstance]
}

// NewInstances lists the wanted instances of a region, by identifier or ARN.
func NewInstances(api describesInstances, wanted func(context.Context) []string) *Instances {
	return &Instances{api: api, list: list[types.DBInstance]{
		wanted: wanted, filtered: true,
		names: func(i types.DBInstance) []string { return names(i.DBInstanceIdentifier, i.DBInstanceArn) },
		ask: func(ctx context.Context, some []string, marker *string) ([]types.DBInstance, *string, error) {
			out, err := api.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{
				Filters: []types.Filter{{Name: aws.String("db-instance-id"), Values: some}}, Marker: marker, MaxRecords: aws.Int32(page),
			})
			if err != nil {
				return nil, nil, err
			}
			return out.DBInstances, out.Marker, nil
		},
	}}
}

// DescribeDBInstances answers as AWS would.
func (i *Instances) DescribeDBInstances(ctx context.Context, in *rds.DescribeDBInstancesInput, options ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error) {
	found, ok, err := i.list.find(ctx, aws.ToString(in.DBInstanceIdentifier))
	switch {
	case err != nil:
		return nil, err
	case ok:
		return &rds.DescribeDBInstancesOutput{DBInstances: []types.DBInstance{found}}, nil
	}
	return i.api.DescribeDBInstances(ctx, in, options...)
}

type describesClusters interface {
	DescribeDBClusters(context.Context, *rds.DescribeDBClustersInput, ...func(*rds.Options)) (*rds.DescribeDBClustersOutput, error)
}

// Clusters answers DescribeDBClusters of one cluster.
type Clusters struct {
	api  describesClusters
	list list[types.DBCluster]
}

// NewClusters lists the wanted clusters of a region, by identifier or ARN.
func NewClusters(api describesClusters, wanted func(context.Context) []string) *Clusters {
	return &Clusters{api: api, list: list[types.DBCluster]{
		wanted: wanted, filtered: true,
		names: func(c types.DBCluster) []string { return names(c.DBClusterIdentifier, c.DBClusterArn) },
		ask: func(ctx context.Context, some []string, marker *string) ([]types.DBCluster, *string, error) {
			out, err := api.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{
				Filters: []types.Filter{{Name: aws.String("db-cluster-id"), Values: some}}, Marker: marker, MaxRecords: aws.Int32(page),
			})
			if err != nil {
				return nil, nil, err
			}
			return out.DBClusters, out.Marker, nil
		},
	}}
}

// DescribeDBClusters answers as AWS would.
func (c *Clusters) DescribeDBClusters(ctx context.Context, in *rds.DescribeDBClustersInput, options ...func(*rds.Options)) (*rds.DescribeDBClustersOutput, error) {
	found, ok, err := c.list.find(ctx, aws.ToString(in.DBClusterIdentifier))
	switch {
	case err != nil:
		return nil, err
	case ok:
		return &rds.DescribeDBClustersOutput{DBClusters: []types.DBCluster{found}}, nil
	}
	return c.api.DescribeDBClusters(ctx, in, options...)
}

// Listed gives a cluster that the list has.
func (c *Clusters) Listed(ctx context.Context, name string) (types.DBCluster, bool) {
	found, ok, err := c.list.find(ctx, name)
	return found, ok && err == nil
}

type describesGlobalClusters interface {
	DescribeGlobalClusters(context.Context, *rds.DescribeGlobalClustersInput, ...func(*rds.Options)) (*rds.DescribeGlobalClustersOutput, error)
}

// GlobalClusters answers DescribeGlobalClusters of one global cluster.
type GlobalClusters struct {
	api  describesGlobalClusters
	list list[types.GlobalCluster]
}

// NewGlobalClusters lists global clusters. The filters of DescribeGlobalClusters
// take no identifiers of global clusters, so all of the account's are listed.
func NewGlobalClusters(api describesGlobalClusters, wanted func(context.Context) []string) *GlobalClusters {
	return &GlobalClusters{api: api, list: list[types.GlobalCluster]{
		wanted: wanted,
		names:  func(g types.GlobalCluster) []string { return names(g.GlobalClusterIdentifier) },
		ask: func(ctx context.Context, _ []string, marker *string) ([]types.GlobalCluster, *string, error) {
			out, err := api.DescribeGlobalClusters(ctx, &rds.DescribeGlobalClustersInput{Marker: marker, MaxRecords: aws.Int32(page)})
			if err != nil {
				return nil, nil, err
			}
			return out.GlobalClusters, out.Marker, nil
		},
	}}
}

// DescribeGlobalClusters answers as AWS would.
func (g *GlobalClusters) DescribeGlobalClusters(ctx context.Context, in *rds.DescribeGlobalClustersInput, options ...func(*rds.Options)) (*rds.DescribeGlobalClustersOutput, error) {
	found, ok, err := g.list.find(ctx, aws.ToString(in.GlobalClusterIdentifier))
	switch {
	case err != nil:
		return nil, err
	case ok:
		return &rds.DescribeGlobalClustersOutput{GlobalClusters: []types.GlobalCluster{found}}, nil
	}
	return g.api.DescribeGlobalClusters(ctx, in, options...)
}

// Listed gives a global cluster that the list has.
func (g *GlobalClusters) Listed(ctx context.Context, name string) (types.GlobalCluster, bool) {
	found, ok, err := g.list.find(ctx, name)
	return found, ok && err == nil
}
