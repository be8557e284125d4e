// Package accesspoint makes regions of an Amazon S3 Multi-Region Access Point
// active and passive. The routes are kept by five endpoints, each in a region
// of its own, and any one of them is enough (Amazon S3 User Guide, "Amazon S3
// Multi-Region Access Points failover controls").
package accesspoint

import (
	"context"
	"net/netip"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3control"
	smithyendpoints "github.com/aws/smithy-go/endpoints"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/endpoint"
)

// controlRegions are those in which S3 answers calls about routes.
var controlRegions = []string{"us-east-1", "us-west-2", "ap-southeast-2", "ap-northeast-1", "eu-west-1"}

// Dial is what a route lets through, in percent. S3 knows two of them.
type Dial int32

// The dials. A route that tells none is neither active nor passive.
const (
	Passive Dial = 0
	Active  Dial = 100
	untold  Dial = -1
)

// String says it in the words of the console.
func (d Dial) String() string {
	switch d {
	case Active:
		return "active"
	case Passive:
		return "passive"
	}
	return "neither active nor passive"
}

// API is every call that is made to an endpoint.
type API interface {
	GetMultiRegionAccessPointRoutes(context.Context, *s3control.GetMultiRegionAccessPointRoutesInput, ...func(*s3control.Options)) (*s3control.GetMultiRegionAccessPointRoutesOutput, error)
	SubmitMultiRegionAccessPointRoutes(context.Context, *s3control.SubmitMultiRegionAccessPointRoutesInput, ...func(*s3control.Options)) (*s3control.SubmitMultiRegionAccessPointRoutesOutput, error)
}

// dial makes the client of the endpoint in a region: one attempt and short
// time-outs, because the next endpoint is a better second attempt.
func dial(f *client.Factory) func(region string) API {
	return func(region string) API {
		return s3control.NewFromConfig(f.Impatient(region, endpoint.Patience), func(o *s3control.Options) {
			if o.BaseEndpoint != nil && isAddress(*o.BaseEndpoint) {
				o.EndpointResolverV2 = withoutAccount{o.EndpointResolverV2}
			}
		})
	}
}

// isAddress reports whether a URL leads to an IP address, as that of a
// simulated account does.
func isAddress(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	_, err = netip.ParseAddr(u.Hostname())
	return err == nil
}

// withoutAccount leaves away the account that the SDK puts in front of the host
// (ACCOUNT.s3-control.REGION…): in front of an address it makes a name that
// nobody knows.
type withoutAccount struct{ s3control.EndpointResolverV2 }

// ResolveEndpoint gives the endpoint of a call.
func (w withoutAccount) ResolveEndpoint(ctx context.Context, p s3control.EndpointParameters) (smithyendpoints.Endpoint, error) {
	p.RequiresAccountId = nil
	return w.EndpointResolverV2.ResolveEndpoint(ctx, p)
}

// accountOf reads the account of an access point, the owner of its routes, from
// its ARN, whose form has been checked.
func accountOf(arn string) string { return strings.Split(arn, ":")[4] }

// view is what one endpoint says of the routes: the dial of each region.
type view struct {
	at    string // region of the endpoint
	dials map[string]Dial
}

func lookAt(ctx context.Context, api API, at, arn string) (view, error) {
	out, err := api.GetMultiRegionAccessPointRoutes(ctx, &s3control.GetMultiRegionAccessPointRoutesInput{AccountId: aws.String(accountOf(arn)), Mrap: aws.String(arn)})
	if err != nil {
		return view{}, action.Call("reading the routes of "+arn+" at the endpoint in "+at, err)
	}
	v := view{at: at, dials: map[string]Dial{}}
	for _, r := range out.Routes {
		v.dials[aws.ToString(r.Region)] = untold
		if r.TrafficDialPercentage != nil {
			v.dials[aws.ToString(r.Region)] = Dial(*r.TrafficDialPercentage)
		}
	}
	return v, nil
}
