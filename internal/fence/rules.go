package fence

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"dr-orchestrator/internal/action"
)

// GroupReader reads the rules of security groups, in the region of the primary.
type GroupReader interface {
	DescribeSecurityGroups(context.Context, *ec2.DescribeSecurityGroupsInput, ...func(*ec2.Options)) (*ec2.DescribeSecurityGroupsOutput, error)
}

// closedGroups proves that the isolating groups let nobody in: each of them is
// there, and has no inbound rule. A rule that names the group itself counts,
// too: whatever else is in the group could go on writing.
func closedGroups(ctx context.Context, api GroupReader, p Parameters) error {
	list := strings.Join(p.IsolationSecurityGroupIds, ", ")
	out, err := api.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{GroupIds: p.IsolationSecurityGroupIds})
	if err != nil {
		return action.Call("describing the security groups "+list+" in "+p.PrimaryRegion, err)
	}
	shown := map[string]bool{}
	for _, g := range out.SecurityGroups {
		id := aws.ToString(g.GroupId)
		if shown[id] = true; len(g.IpPermissions) > 0 {
			return action.Errorf(action.Refused, "the security group %s in %s has inbound rules and isolates nothing: give one without any", id, p.PrimaryRegion)
		}
	}
	for _, id := range p.IsolationSecurityGroupIds {
		if !shown[id] {
			return action.Errorf(action.NotFound, "security group %s is not in %s", id, p.PrimaryRegion)
		}
	}
	return nil
}
