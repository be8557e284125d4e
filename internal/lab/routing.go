package lab

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// RoutingCluster is an ARC cluster: its endpoints, and the routing controls
// and safety rules that it keeps.
type RoutingCluster struct {
	Endpoints []ClusterEndpoint `json:"endpoints"`
	Controls  []*RoutingControl `json:"controls"`
	Rules     []SafetyRule      `json:"safetyRules"`
}

// ClusterEndpoint is one of the five ways into a cluster. Its region need not
// be one of the estate's; the fault dead@region:NAME silences it.
type ClusterEndpoint struct {
	Region string `json:"region"`
	URL    string `json:"url"`
}

// RoutingControl is one switch. While an update spreads, endpoints other than
// the one that took it still show the old state.
type RoutingControl struct {
	ARN   string `json:"arn"`
	State string `json:"state"` // On or Off
	Old   string `json:"old,omitempty"`
	At    string `json:"at,omitempty"` // region of the endpoint that took the update
}

// SafetyRule wants at least some of a few controls to be on at all times.
type SafetyRule struct {
	ARN      string   `json:"arn"`
	Controls []string `json:"controls"` // ARNs
	AtLeast  int      `json:"atLeast"`
}

// clusterRegions are where ARC has put the endpoints of all clusters.
var clusterRegions = []string{"us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2"}

// addRouting makes a cluster with a control for each region, of which the
// primary's is on and one of which must be.
func (e *Estate) addRouting(name, primary, recovery string) {
	panel := "arn:aws:route53-recovery-control::" + e.Account + ":controlpanel/0a1b2c3d4e5f"
	cluster := &RoutingCluster{}
	var endpoints []string
	for _, region := range clusterRegions {
		url := "https://0a1b2c3d." + region + ".route53-recovery-cluster.example.test/v1"
		cluster.Endpoints = append(cluster.Endpoints, ClusterEndpoint{region, url})
		endpoints = append(endpoints, region+"="+url)
	}
	arn := func(region string) string { return panel + "/routingcontrol/" + shortRegion[region] }
	for region, state := range map[string]string{primary: "On", recovery: "Off"} {
		other := primary
		if region == primary {
			other = recovery
		}
		e.export(region, name, map[string]string{"-endpoints": strings.Join(endpoints, ","), "-control": arn(region), "-other-control": arn(other)})
		cluster.Controls = append(cluster.Controls, &RoutingControl{ARN: arn(region), State: state})
	}
	slices.SortFunc(cluster.Controls, func(a, b *RoutingControl) int { return strings.Compare(a.ARN, b.ARN) })
	cluster.Rules = []SafetyRule{{ARN: panel + "/safetyrule/one-region", Controls: []string{arn(primary), arn(recovery)}, AtLeast: 1}}
	e.RoutingClusters = append(e.RoutingClusters, cluster)
}

// routingCluster finds the cluster of a control.
func (e *Estate) routingCluster(arn string) (*RoutingCluster, *RoutingControl) {
	for _, cluster := range e.RoutingClusters {
		for _, control := range cluster.Controls {
			if control.ARN == arn {
				return cluster, control
			}
		}
	}
	return nil, nil
}

func (c *RoutingCluster) endpoint(region string) bool {
	return slices.ContainsFunc(c.Endpoints, func(e ClusterEndpoint) bool { return e.Region == region })
}

// misdirected is what becomes of a call to an endpoint that no cluster has, or
// that stands in another region than the call is signed for. Of one to an
// address, as of lab serve, only the signature tells the endpoint.
func (a *Account) misdirected(r *http.Request, c *Call) (failure, lost error) {
	host := r.URL.Hostname()
	if _, err := netip.ParseAddr(host); err == nil || c.Service != "route53-recovery-cluster" || host == "localhost" || host == "" {
		return nil, nil
	}
	for _, cluster := range a.Estate.RoutingClusters {
		for _, e := range cluster.Endpoints {
			if u, err := url.Parse(e.URL); err != nil || u.Hostname() != host {
				continue
			}
			if e.Region != c.Region {
				return fail(403, "InvalidSignatureException", "Credential should be scoped to a valid region, not %s.", c.Region), nil
			}
			return nil, nil
		}
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
}

// show gives the state that an endpoint shows.
func (c *RoutingControl) show(region string) string {
	if c.Old != "" && region != c.At {
		return c.Old
	}
	return c.State
}

var routingService = map[string]handler{
	"route53-recovery-cluster:GetRoutingControlState":     getRoutingControlState,
	"route53-recovery-cluster:UpdateRoutingControlStates": updateRoutingControlStates,
}

func init() {
	scripts["UpdateRoutingControlStates"] = []step{
		{share: 0, apply: func(e *Estate, op *Operation) {
			for arn, state := range op.Args {
				if _, c := e.routingCluster(arn); c != nil {
					c.Old, c.At, c.State = c.show(""), op.Args["endpoint"], state
				}
			}
		}},
		{share: 1, apply: func(e *Estate, op *Operation) {
			for arn := range op.Args {
				if _, c := e.routingCluster(arn); c != nil {
					c.Old, c.At = "", ""
				}
			}
		}},
	}
	undo["UpdateRoutingControlStates"] = func(e *Estate, op *Operation) {
		for arn := range op.Args {
			if _, c := e.routingCluster(arn); c != nil && c.Old != "" {
				c.State, c.Old, c.At = c.Old, "", ""
			}
		}
	}
}

func (a *Account) routingControl(c *Call, arn string) (*RoutingCluster, *RoutingControl, error) {
	cluster, control := a.Estate.routingCluster(arn)
	if control == nil {
		return nil, nil, fail(404, "ResourceNotFoundException", "Routing control %s does not exist.", arn)
	}
	if !cluster.endpoint(c.Region) {
		return nil, nil, fail(403, "AccessDeniedException", "The cluster has no endpoint in %s.", c.Region)
	}
	return cluster, control, nil
}

func getRoutingControlState(a *Account, c *Call) (any, error) {
	_, control, err := a.routingControl(c, c.Params.str("RoutingControlArn"))
	if err != nil {
		return nil, err
	}
	state := control.show(c.Region)
	if old, ok := a.before[control.ARN].(string); ok && c.stale {
		state = old
	}
	return map[string]string{"RoutingControlArn": control.ARN, "RoutingControlState": state}, nil
}

// routingEntries reads the states that an update asks for, by ARN.
func routingEntries(c *Call) map[string]string {
	out := map[string]string{}
	entries, _ := c.Params.tree["UpdateRoutingControlStateEntries"].([]any)
	for _, entry := range entries {
		arn, _ := tree(entry)["RoutingControlArn"].(string)
		out[arn], _ = tree(entry)["RoutingControlState"].(string)
	}
	return out
}

// updateRoutingControlStates sets all controls or none: a safety rule that the
// new states break, and that is not overridden, refuses the whole.
func updateRoutingControlStates(a *Account, c *Call) (any, error) {
	want := routingEntries(c)
	changes := map[string]string{"endpoint": c.Region}
	after := map[string]string{}
	var cluster *RoutingCluster
	for _, arn := range sortedKeys(want) {
		of, control, err := a.routingControl(c, arn)
		if err != nil {
			return nil, err
		}
		if cluster != nil && of != cluster {
			return nil, fail(400, "ValidationException", "The routing controls are of several clusters.")
		}
		cluster, after[arn] = of, want[arn]
		if want[arn] != "On" && want[arn] != "Off" {
			return nil, fail(400, "ValidationException", "%q is no state of a routing control.", want[arn])
		}
		if control.State != want[arn] {
			changes[arn] = want[arn]
		}
	}
	if cluster == nil {
		return nil, fail(400, "ValidationException", "No routing control is named.")
	}
	override := c.Params.list("SafetyRulesToOverride", "")
	for _, rule := range cluster.Rules {
		on := 0
		for _, arn := range rule.Controls {
			_, control := a.Estate.routingCluster(arn)
			state := after[arn]
			if state == "" && control != nil {
				state = control.State
			}
			if state == "On" {
				on++
			}
		}
		if on < rule.AtLeast && !slices.Contains(override, rule.ARN) {
			return nil, fail(409, "ConflictException", "The safety rule %s wants at least %d routing controls on, and %d would be.", rule.ARN, rule.AtLeast, on)
		}
	}
	if len(changes) == 1 {
		return map[string]any{}, nil // nothing changes
	}
	for arn := range changes {
		if _, control := a.Estate.routingCluster(arn); control != nil {
			a.before[arn] = control.State
		}
	}
	a.begin(c, "UpdateRoutingControlStates", fmt.Sprint(sortedKeys(want)), changes)
	return map[string]any{}, nil
}
