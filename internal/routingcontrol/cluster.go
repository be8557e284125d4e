// Package routingcontrol turns Amazon Application Recovery Controller (ARC)
// routing controls on and off. It talks to the five endpoints of an ARC
// cluster, each in a region of its own, and needs any one of them.
package routingcontrol

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53recoverycluster"
	"github.com/aws/aws-sdk-go-v2/service/route53recoverycluster/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/endpoint"
)

// Endpoint is one of the five ways into an ARC cluster. Each endpoint is
// signed for the region that it stands in.
type Endpoint struct {
	Region string
	URL    string
}

// parseEndpoints reads "region=URL" texts, whose form has been checked.
func parseEndpoints(texts []string) []Endpoint {
	var all []Endpoint
	for _, text := range texts {
		region, url, _ := strings.Cut(text, "=")
		all = append(all, Endpoint{Region: region, URL: url})
	}
	return all
}

// inRegion reports whether the host of an endpoint names its region, as those of
// ARC do: PREFIX.route53-recovery-cluster.REGION.amazonaws.com.
func (e Endpoint) inRegion() bool {
	u, err := url.Parse(e.URL)
	return err == nil && slices.Contains(strings.Split(u.Hostname(), "."), e.Region)
}

// API is every call that is made to an endpoint.
type API interface {
	GetRoutingControlState(context.Context, *route53recoverycluster.GetRoutingControlStateInput, ...func(*route53recoverycluster.Options)) (*route53recoverycluster.GetRoutingControlStateOutput, error)
	UpdateRoutingControlStates(context.Context, *route53recoverycluster.UpdateRoutingControlStatesInput, ...func(*route53recoverycluster.Options)) (*route53recoverycluster.UpdateRoutingControlStatesOutput, error)
}

// dial makes the client of an endpoint: signed for its region, one attempt,
// short time-outs, because the next endpoint is a better second attempt. An
// endpoint that is configured for the service in the environment stands in for
// all five; the region of the signature still tells them apart.
func dial(f *client.Factory) func(Endpoint) API {
	return func(e Endpoint) API {
		return route53recoverycluster.NewFromConfig(f.Impatient(e.Region, endpoint.Patience), func(o *route53recoverycluster.Options) {
			if o.BaseEndpoint == nil {
				o.BaseEndpoint = aws.String(e.URL)
			}
		})
	}
}

// view is what one endpoint says of the controls, by ARN.
type view struct {
	endpoint Endpoint
	states   map[string]types.RoutingControlState
}

func lookAt(ctx context.Context, api API, e Endpoint, controls []string) (view, error) {
	v := view{endpoint: e, states: map[string]types.RoutingControlState{}}
	for _, arn := range controls {
		out, err := api.GetRoutingControlState(ctx, &route53recoverycluster.GetRoutingControlStateInput{RoutingControlArn: aws.String(arn)})
		if err != nil {
			return v, action.Call("reading "+arn+" at the endpoint in "+e.Region, err)
		}
		v.states[arn] = out.RoutingControlState
	}
	return v, nil
}
