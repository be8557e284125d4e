package orchestrator

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/lab"
	"dr-orchestrator/internal/policy"
	"dr-orchestrator/internal/report"
)

// The conditions of the roles hold in the lab: what does without is denied
// where a call meets one, and so is a call that does not.
func TestConditionsOfRolesHold(t *testing.T) {
	roles := rolesOf(t, synthesized(t, "plain").secondary)
	for _, tt := range []struct {
		function, action, sample string
		conditions               map[string][]string
		denied                   report.Outcome
	}{
		{"set-schedule", "iam:PassRole", "failover-consumers.json", map[string][]string{"iam:PassedToService": {"scheduler.amazonaws.com"}}, report.FailedDirty},
		{"set-switch", "cloudwatch:PutMetricData", "failover-switch.json", map[string][]string{"cloudwatch:namespace": {"DisasterRecovery"}}, report.FailedClean},
	} {
		t.Run(tt.action, func(t *testing.T) {
			payload, err := os.ReadFile("../../payloads/" + tt.sample)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range roles[tt.function] {
				if slices.Contains(s.Actions, tt.action) && !cmp.Equal(tt.conditions, s.Conditions) {
					t.Errorf("%v under %v", s.Actions, s.Conditions)
				}
			}
			for value, want := range map[string]report.Outcome{"": report.Succeeded, "another": tt.denied} {
				changed := maps.Clone(roles)
				if value != "" {
					changed[tt.function] = under(roles[tt.function], tt.action, value)
				}
				result, err := lab.Run(lab.Options{Payload: payload, Machine: "failover", Estate: lab.DefaultEstate(), Policies: changed})
				if err != nil {
					t.Fatal(err)
				}
				if result.Outcome != want || strings.Contains(result.Cause, tt.action) != (value != "") {
					t.Errorf("where the condition is %q: %s: %s", value, result.Outcome, result.Cause)
				}
			}
		})
	}
}

// under gives a role in which the conditions on an action want another value.
func under(role policy.Policy, action, value string) policy.Policy {
	role = slices.Clone(role)
	for i, s := range role {
		if !slices.Contains(s.Actions, action) {
			continue
		}
		role[i].Conditions = map[string][]string{}
		for key := range s.Conditions {
			role[i].Conditions[key] = []string{value}
		}
	}
	return role
}
