package evidence

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache/types"
)

// OfGroup reads the details of an ElastiCache replication group. It shows no
// subnet group and knows no deletion protection.
func OfGroup(g types.ReplicationGroup) Details {
	d := Details{Class: aws.ToString(g.CacheNodeType), Key: aws.ToString(g.KmsKeyId)}
	if g.MultiAZ != "" {
		d.MultiAZ = aws.Bool(g.MultiAZ == types.MultiAZStatusEnabled)
	}
	if p := g.PendingModifiedValues; p != nil {
		d.Pending = named(map[string]bool{
			"AuthToken": p.AuthTokenStatus != "", "AutomaticFailover": p.AutomaticFailoverStatus != "", "ClusterMode": p.ClusterMode != "",
			"PrimaryClusterId": p.PrimaryClusterId != nil, "Resharding": p.Resharding != nil,
			"TransitEncryption": p.TransitEncryptionEnabled != nil || p.TransitEncryptionMode != "", "UserGroups": p.UserGroups != nil,
		})
	}
	return d
}
