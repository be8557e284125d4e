package lab

import (
	"fmt"
	"strings"
	"testing"

	"dr-orchestrator/internal/report"
)

const (
	controlWest = "arn:aws:route53-recovery-control::111122223333:controlpanel/0a1b2c3d4e5f/routingcontrol/usw2"
	controlEast = "arn:aws:route53-recovery-control::111122223333:controlpanel/0a1b2c3d4e5f/routingcontrol/use1"
)

// withTraffic adds what the samples that shift traffic want.
func withTraffic(e *Estate, goals map[string]bool) map[string]bool {
	_, west := e.routingCluster(controlWest)
	_, east := e.routingCluster(controlEast)
	goals["SetRoutingControl"] = west.State == "On" && east.State == "Off"
	return goals
}

// oneOf makes a payload of one resource.
func oneOf(resourceType, parameters string) []byte {
	return fmt.Appendf(nil, `{"StatePayload":[{"layer":1,"resources":[{"resourceType":"%s","resourceName":"it","parameters":{%s}}]}]}`, resourceType, parameters)
}

// The four other regions of the cluster are gone, whichever is left.
func TestRoutingControlNeedsOneEndpointOfFive(t *testing.T) {
	for _, alive := range clusterRegions {
		var faults []string
		for _, region := range clusterRegions {
			// The functions themselves run in us-west-2, so that its endpoint alone
			// cannot be dead beside them.
			if region != alive && region != "us-west-2" {
				faults = append(faults, "dead@region:"+region)
			}
		}
		result := runLab(t, Options{Payload: sample(t, "failover-traffic.json"), Faults: faultsOf(t, strings.Join(faults, ","))})
		if result.Outcome != report.Succeeded {
			t.Errorf("alive %s: %s: %s", alive, result.Outcome, result.Cause)
		}
		untrue(t, result, sample(t, "failover-traffic.json"))
	}
}

func TestSafetyRulesRefuse(t *testing.T) {
	const endpoints = `"ClusterEndpoints":"!Import dr-routing-endpoints",`
	off := endpoints + `"RoutingControlsOff":"` + controlEast + `"`
	result := runLab(t, Options{Payload: oneOf("SetRoutingControl", off)})
	if result.Outcome != report.Refused || len(result.Begun) != 0 || !strings.Contains(result.Cause, "safetyrule/one-region") {
		t.Errorf("%s with %v: %s", result.Outcome, result.Begun, result.Cause)
	}
	if n := result.APICalls["route53-recovery-cluster:UpdateRoutingControlStates"]; n != 1 {
		t.Errorf("a refusal was asked for %d times", n)
	}
	override := off + `,"SafetyRulesToOverride":"arn:aws:route53-recovery-control::111122223333:controlpanel/0a1b2c3d4e5f/safetyrule/one-region"`
	result = runLab(t, Options{Payload: oneOf("SetRoutingControl", override)})
	if _, east := result.Final.routingCluster(controlEast); result.Outcome != report.Succeeded || east.State != "Off" {
		t.Errorf("overridden: %s: %s", result.Outcome, result.Cause)
	}
	if result = runLab(t, Options{Payload: oneOf("SetRoutingControl", endpoints+`"RoutingControls":"`+controlEast+`x"`)}); result.Outcome != report.FailedClean || !strings.Contains(result.Cause, "use1x") {
		t.Errorf("no such control: %s: %s", result.Outcome, result.Cause)
	}
}

func TestEveryFaultOfATrafficShiftEndsInTheTruth(t *testing.T) {
	payload := sample(t, "failover-traffic.json")
	sweep(t, payload, everyFault(t, payload))
}
