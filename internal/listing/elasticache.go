package listing

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
)

type describesDatastores interface {
	DescribeGlobalReplicationGroups(context.Context, *elasticache.DescribeGlobalReplicationGroupsInput, ...func(*elasticache.Options)) (*elasticache.DescribeGlobalReplicationGroupsOutput, error)
}

// Datastores answers DescribeGlobalReplicationGroups of one global datastore.
type Datastores struct {
	api  describesDatastores
	list list[types.GlobalReplicationGroup]
}

// NewDatastores lists global datastores, with their members. ElastiCache has no
// filters, so all of the account's are listed.
func NewDatastores(api describesDatastores, wanted func(context.Context) []string) *Datastores {
	return &Datastores{api: api, list: list[types.GlobalReplicationGroup]{
		wanted: wanted,
		names:  func(g types.GlobalReplicationGroup) []string { return names(g.GlobalReplicationGroupId) },
		ask: func(ctx context.Context, _ []string, marker *string) ([]types.GlobalReplicationGroup, *string, error) {
			out, err := api.DescribeGlobalReplicationGroups(ctx, &elasticache.DescribeGlobalReplicationGroupsInput{
				ShowMemberInfo: aws.Bool(true), Marker: marker, MaxRecords: aws.Int32(page),
			})
			if err != nil {
				return nil, nil, err
			}
			return out.GlobalReplicationGroups, out.Marker, nil
		},
	}}
}

// DescribeGlobalReplicationGroups answers as AWS would.
func (d *Datastores) DescribeGlobalReplicationGroups(ctx context.Context, in *elasticache.DescribeGlobalReplicationGroupsInput, options ...func(*elasticache.Options)) (*elasticache.DescribeGlobalReplicationGroupsOutput, error) {
	found, ok, err := d.list.find(ctx, aws.ToString(in.GlobalReplicationGroupId))
	switch {
	case err != nil:
		return nil, err
	case ok:
		return &elasticache.DescribeGlobalReplicationGroupsOutput{GlobalReplicationGroups: []types.GlobalReplicationGroup{found}}, nil
	}
	return d.api.DescribeGlobalReplicationGroups(ctx, in, options...)
}

type describesGroups interface {
	DescribeReplicationGroups(context.Context, *elasticache.DescribeReplicationGroupsInput, ...func(*elasticache.Options)) (*elasticache.DescribeReplicationGroupsOutput, error)
}

// Groups answers DescribeReplicationGroups of one replication group.
type Groups struct {
	api  describesGroups
	list list[types.ReplicationGroup]
}

// NewGroups lists the replication groups of a region: all of them, for
// ElastiCache has no filters.
func NewGroups(api describesGroups, wanted func(context.Context) []string) *Groups {
	return &Groups{api: api, list: list[types.ReplicationGroup]{
		wanted: wanted,
		names:  func(g types.ReplicationGroup) []string { return names(g.ReplicationGroupId) },
		ask: func(ctx context.Context, _ []string, marker *string) ([]types.ReplicationGroup, *string, error) {
			out, err := api.DescribeReplicationGroups(ctx, &elasticache.DescribeReplicationGroupsInput{Marker: marker, MaxRecords: aws.Int32(page)})
			if err != nil {
				return nil, nil, err
			}
			return out.ReplicationGroups, out.Marker, nil
		},
	}}
}

// DescribeReplicationGroups answers as AWS would.
func (g *Groups) DescribeReplicationGroups(ctx context.Context, in *elasticache.DescribeReplicationGroupsInput, options ...func(*elasticache.Options)) (*elasticache.DescribeReplicationGroupsOutput, error) {
	found, ok, err := g.list.find(ctx, aws.ToString(in.ReplicationGroupId))
	switch {
	case err != nil:
		return nil, err
	case ok:
		return &elasticache.DescribeReplicationGroupsOutput{ReplicationGroups: []types.ReplicationGroup{found}}, nil
	}
	return g.api.DescribeReplicationGroups(ctx, in, options...)
}
