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
		if got := p.Allows(tt.action, tt.resource, nil); got != tt.want {
			t.Errorf("%s on %s: %v, want %v", tt.action, tt.resource, got, tt.want)
		}
	}
	if p.Without("rds:PromoteReadReplica").Allows("rds:PromoteReadReplica", "arn:aws:rds:us-west-2:1:db:orders-1", nil) {
		t.Error("an action taken out is still allowed")
	}
	if !p.Allows("rds:PromoteReadReplica", "arn:aws:rds:us-west-2:1:db:orders-1", nil) {
		t.Error("Without changed the policy that it copies")
	}
}

func TestConditions(t *testing.T) {
	const pass, role = "iam:PassRole", "arn:aws:iam::1:role/jobs"
	p := Policy{
		{Actions: []string{pass}, Resources: []string{role}, Conditions: map[string][]string{"iam:PassedToService": {"scheduler.amazonaws.com", "pipes.amazonaws.com"}, "aws:RequestedRegion": {"us-west-2"}}},
		{Actions: []string{pass}, Resources: []string{"arn:aws:iam::1:role/open"}},
	}
	for _, tt := range []struct {
		name    string
		context Context
		want    bool
	}{
		{"both as wanted", Context{"iam:PassedToService": "scheduler.amazonaws.com", "aws:RequestedRegion": "us-west-2"}, true},
		{"another of the values", Context{"iam:PassedToService": "pipes.amazonaws.com", "aws:RequestedRegion": "us-west-2"}, true},
		{"another service", Context{"iam:PassedToService": "lambda.amazonaws.com", "aws:RequestedRegion": "us-west-2"}, false},
		{"one key is not said", Context{"iam:PassedToService": "scheduler.amazonaws.com"}, false},
		{"nothing is said", nil, false},
	} {
		for _, q := range []Policy{p, p.Without("iam:Other")} {
			if got := q.Allows(pass, role, tt.context); got != tt.want {
				t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
			}
		}
		if !p.Allows(pass, "arn:aws:iam::1:role/open", tt.context) {
			t.Errorf("%s: a statement without conditions has some", tt.name)
		}
	}
}
