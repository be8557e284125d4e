package policy

import "testing"

func TestAllows(t *testing.T) {
	p := Policy{
		{Actions: []string{"rds:Describe*", "rds:PromoteReadReplica"}, Resources: []string{"arn:aws:rds:us-west-2:1:db:orders-?", "arn:aws:rds:*:1:cluster:*"}},
		{Actions: []string{"cloudwatch:GetMetricData"}, Resources: []string{"*"}},
	}
	tests := []struct {
		action, resource string
		want             bool
	}{
		{"rds:PromoteReadReplica", "arn:aws:rds:us-west-2:1:db:orders-1", true},
		{"RDS:promotereadreplica", "arn:aws:rds:us-west-2:1:db:orders-1", true},
		{"rds:DescribeDBClusters", "arn:aws:rds:eu-west-1:1:cluster:a:b", true},
		{"cloudwatch:GetMetricData", "*", true},
		{"rds:PromoteReadReplica", "arn:aws:rds:us-west-2:1:db:orders-12", false},
		{"rds:PromoteReadReplica", "arn:aws:rds:us-west-2:2:db:orders-1", false},
		{"rds:DeleteDBInstance", "arn:aws:rds:us-west-2:1:db:orders-1", false},
		{"rds:PromoteReadReplica", "*", false},
		{"rds:PromoteReadReplica", "arnXaws:rds:us-west-2:1:db:orders-1", false},
	}
	for _, tt := range tests {
		if got := p.Allows(tt.action, tt.resource); got != tt.want {
			t.Errorf("%s on %s: %v, want %v", tt.action, tt.resource, got, tt.want)
		}
	}
	if p.Without("rds:PromoteReadReplica").Allows("rds:PromoteReadReplica", "arn:aws:rds:us-west-2:1:db:orders-1") {
		t.Error("an action taken out is still allowed")
	}
	if !p.Allows("rds:PromoteReadReplica", "arn:aws:rds:us-west-2:1:db:orders-1") {
		t.Error("Without changed the policy that it copies")
	}
}
