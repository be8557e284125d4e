// Package routingcontrol turns Amazon Application Recovery Controller (ARC)
// routing controls on and off. It talks to the five endpoints of an ARC
// cluster, each in a region of its own, and needs any one of them.
package routingcontrol

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53recoverycluster"
	"github.com/aws/aws-sdk-go-v2/service/route53recoverycluster/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
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

// shuffled gives the endpoints in an order that depends on the seed alone. AWS
// asks for a random order, so that a dead endpoint costs not every caller its
// time-out; a seed made of run and poll keeps one invocation repeatable.
func shuffled(all []Endpoint, seed string) []Endpoint {
	h := fnv.New64a()
	h.Write([]byte(seed)) // never fails
	all = slices.Clone(all)
	rand.New(rand.NewPCG(h.Sum64(), 0)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// patience is how long one endpoint may take to be reached, and again to
// answer. Five silent endpoints must fit into one invocation.
const patience = 2 * time.Second

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
		return route53recoverycluster.NewFromConfig(f.Impatient(e.Region, patience), func(o *route53recoverycluster.Options) {
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

// views is how many endpoints are asked before an answer is believed.
const views = 2

// look reads the controls at the first two endpoints that answer. An endpoint
// that gives no answer is passed over; what it says for good, such as that a
// control does not exist, is an error. No answer from any is one, too.
func look(ctx context.Context, cluster func(Endpoint) API, endpoints []Endpoint, controls []string) ([]view, error) {
	var seen []view
	var last error
	for _, e := range endpoints {
		v, err := lookAt(ctx, cluster(e), e, controls)
		switch class := action.ClassOf(err); {
		case err == nil:
			seen = append(seen, v)
		case elsewhere(class):
			last = err
		default:
			return nil, err
		}
		if len(seen) == views {
			break
		}
	}
	if len(seen) == 0 {
		return nil, action.Errorf(action.ClassOf(last), "none of %d cluster endpoints answers; the last: %w", len(endpoints), last)
	}
	return seen, nil
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

// elsewhere reports whether a failure is one of the endpoint, so that another
// one may answer.
func elsewhere(class action.Class) bool {
	return class == action.Unreachable || class == action.Throttled || class == action.OutcomeUnknown
}
