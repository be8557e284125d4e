package console

import "testing"

func TestLinks(t *testing.T) {
	for _, tt := range []struct{ name, got, want string }{
		{"an execution", Execution("arn:aws:states:us-west-2:111122223333:execution:dr-failover:run-1"),
			"https://us-west-2.console.aws.amazon.com/states/home?region=us-west-2#/v2/executions/details/arn:aws:states:us-west-2:111122223333:execution:dr-failover:run-1"},
		{"a machine", Machine("arn:aws:states:us-west-2:111122223333:stateMachine:dr-failover"),
			"https://us-west-2.console.aws.amazon.com/states/home?region=us-west-2#/statemachines/view/arn:aws:states:us-west-2:111122223333:stateMachine:dr-failover"},
		{"a machine by its alias", Machine("arn:aws:states:us-west-2:111122223333:stateMachine:dr-failover:live"),
			"https://us-west-2.console.aws.amazon.com/states/home?region=us-west-2#/statemachines/view/arn:aws:states:us-west-2:111122223333:stateMachine:dr-failover"},
		{"China", Execution("arn:aws-cn:states:cn-north-1:111122223333:execution:dr-failover:run-1"),
			"https://cn-north-1.console.amazonaws.cn/states/home?region=cn-north-1#/v2/executions/details/arn:aws-cn:states:cn-north-1:111122223333:execution:dr-failover:run-1"},
		{"GovCloud", Execution("arn:aws-us-gov:states:us-gov-west-1:111122223333:execution:dr-failover:run-1"),
			"https://us-gov-west-1.console.amazonaws-us-gov.com/states/home?region=us-gov-west-1#/v2/executions/details/arn:aws-us-gov:states:us-gov-west-1:111122223333:execution:dr-failover:run-1"},
		{"a machine is no execution", Execution("arn:aws:states:us-west-2:111122223333:stateMachine:dr-failover"), ""},
		{"an execution is no machine", Machine("arn:aws:states:us-west-2:111122223333:execution:dr-failover:run-1"), ""},
		{"another service", Execution("arn:aws:rds:us-west-2:111122223333:execution:dr-failover:run-1"), ""},
		{"nothing", Execution(""), ""},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, tt.got, tt.want)
		}
	}
}
