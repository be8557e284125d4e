package lab

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// AccessPoint is an S3 Multi-Region Access Point: a route to the bucket of each
// of its regions.
type AccessPoint struct {
	ARN    string   `json:"arn"`
	Routes []*Route `json:"routes"`
}

// Route is the way to one bucket. While a change spreads, endpoints other than
// the one that took it still show the old dial, and Holds is what requests for
// objects meet.
type Route struct {
	Region string `json:"region"`
	Bucket string `json:"bucket"`
	Dial   int    `json:"trafficDialPercentage"` // 0 or 100
	Holds  int    `json:"holds"`
	Old    *int   `json:"old,omitempty"`
	At     string `json:"at,omitempty"` // region of the endpoint that took the change
}

// show gives the dial that an endpoint shows.
func (r *Route) show(region string) int {
	if r.Old != nil && region != r.At {
		return *r.Old
	}
	return r.Dial
}

// addAccessPoint makes an access point to a bucket in each region, of which the
// primary's is active.
func (e *Estate) addAccessPoint(name, primary, recovery string) {
	x := &AccessPoint{ARN: "arn:aws:s3::" + e.Account + ":accesspoint/m0a1b2c3d4e5f.mrap"}
	for region, other := range map[string]string{primary: recovery, recovery: primary} {
		dial := 0
		if region == primary {
			dial = 100
		}
		x.Routes = append(x.Routes, &Route{Region: region, Bucket: name + "-" + shortRegion[region], Dial: dial, Holds: dial})
		e.export(region, name, map[string]string{"-access-point": x.ARN, "-region": region, "-other-region": other})
	}
	slices.SortFunc(x.Routes, func(a, b *Route) int { return strings.Compare(a.Region, b.Region) })
	e.AccessPoints = append(e.AccessPoints, x)
}

func (e *Estate) accessPoint(arn string) *AccessPoint {
	for _, x := range e.AccessPoints {
		if x.ARN == arn {
			return x
		}
	}
	return nil
}

// eachRoute goes through the routes that an operation changes.
func (op *Operation) eachRoute(e *Estate, do func(r *Route, dial int)) {
	if x := e.accessPoint(op.Args["arn"]); x != nil {
		for _, r := range x.Routes {
			if dial, ok := op.Args[r.Region]; ok {
				do(r, atoi(dial))
			}
		}
	}
}

// S3 says that a change takes up to two minutes, and not how the five endpoints
// come to agree. Here the others follow last, and a change that never ends
// never shows at them.
func init() {
	scripts["SubmitMultiRegionAccessPointRoutes"] = []step{
		{share: 0, apply: func(e *Estate, op *Operation) {
			op.eachRoute(e, func(r *Route, dial int) {
				old := r.show("")
				r.Old, r.At, r.Dial = &old, op.Args["endpoint"], dial
			})
		}},
		{share: 0.9, apply: func(e *Estate, op *Operation) { op.eachRoute(e, func(r *Route, _ int) { r.Holds = r.Dial }) }},
		{share: 1, apply: func(e *Estate, op *Operation) { op.eachRoute(e, func(r *Route, _ int) { r.Old, r.At = nil, "" }) }},
	}
	undo["SubmitMultiRegionAccessPointRoutes"] = func(e *Estate, op *Operation) {
		op.eachRoute(e, func(r *Route, _ int) { r.Dial, r.Old, r.At = r.Holds, nil, "" })
	}
}

const (
	s3ControlNamespace = "http://awss3control.amazonaws.com/doc/2018-08-20/"
	accessPointPath    = "/v20180820/mrap/instances/"
)

// decodeS3Control reads a call about routes. They are signed for s3, as calls
// of buckets are, and told apart by their path; the account stands in front of
// the host and, at an address, nowhere.
func decodeS3Control(r *http.Request, c *Call) error {
	arn, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, accessPointPath), "/routes")
	if !ok {
		return fail(405, "MethodNotAllowed", "the lab's S3 Control knows the routes of Multi-Region Access Points only")
	}
	c.Params = params{tree: map[string]any{"Mrap": arn}}
	switch r.Method {
	case http.MethodGet:
		c.Operation = "GetMultiRegionAccessPointRoutes"
		return nil
	case http.MethodPatch:
		c.Operation = "SubmitMultiRegionAccessPointRoutes"
	default:
		return fail(405, "MethodNotAllowed", "%s is no method of routes", r.Method)
	}
	summed := r.Header.Get("Content-Md5") != "" || r.Header.Get("X-Amz-Sdk-Checksum-Algorithm") != ""
	if !summed {
		return fail(400, "InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
	}
	return nil
}

type xmlRoute struct {
	Bucket string `xml:"Bucket,omitempty"`
	Region string `xml:"Region,omitempty"`
	Dial   int    `xml:"TrafficDialPercentage"`
}

var accessPointService = map[string]handler{
	"s3:GetMultiRegionAccessPointRoutes":    getAccessPointRoutes,
	"s3:SubmitMultiRegionAccessPointRoutes": submitAccessPointRoutes,
}

func (a *Account) routesFor(c *Call) (*AccessPoint, error) {
	if !slices.Contains(clusterRegions, c.Region) { // the same five
		return nil, fail(403, "AccessDenied", "S3 answers calls about routes in five regions, and not in %s.", c.Region)
	}
	x := a.Estate.accessPoint(c.Params.str("Mrap"))
	if x == nil {
		return nil, fail(404, "NoSuchMultiRegionAccessPoint", "The specified multi-region access point does not exist.")
	}
	return x, nil
}

func getAccessPointRoutes(a *Account, c *Call) (any, error) {
	x, err := a.routesFor(c)
	if err != nil {
		return nil, err
	}
	var out struct {
		Mrap   string     `xml:"Mrap"`
		Routes []xmlRoute `xml:"Routes>Route"`
	}
	out.Mrap = x.ARN
	old, changed := a.before[x.ARN].(map[string]int)
	for _, r := range x.Routes {
		dial := r.show(c.Region)
		if changed && c.stale {
			dial = old[r.Region]
		}
		out.Routes = append(out.Routes, xmlRoute{r.Bucket, r.Region, dial})
	}
	return out, nil
}

func submitAccessPointRoutes(a *Account, c *Call) (any, error) {
	x, err := a.routesFor(c)
	if err != nil {
		return nil, err
	}
	var in struct {
		Updates []xmlRoute `xml:"RouteUpdates>Route"`
	}
	if err := xml.Unmarshal(c.Body, &in); err != nil {
		return nil, fail(400, "MalformedXML", "The XML you provided was not well-formed: %v", err)
	}
	after, changes := map[string]int{}, map[string]string{"arn": x.ARN, "endpoint": c.Region}
	before := map[string]int{}
	for _, r := range x.Routes {
		before[r.Region], after[r.Region] = r.Dial, r.Dial
	}
	for _, u := range in.Updates {
		i := slices.IndexFunc(x.Routes, func(r *Route) bool {
			return (u.Region == "" || u.Region == r.Region) && (u.Bucket == "" || u.Bucket == r.Bucket) && u.Region+u.Bucket != ""
		})
		if i < 0 || u.Dial != 0 && u.Dial != 100 {
			return nil, fail(400, "InvalidRequest", "The route of %s%s to %d is not valid.", u.Region, u.Bucket, u.Dial)
		}
		region := x.Routes[i].Region
		if after[region] = u.Dial; u.Dial != before[region] {
			changes[region] = map[int]string{0: "0", 100: "100"}[u.Dial]
		}
	}
	active := false
	for _, dial := range after {
		active = active || dial == 100
	}
	switch {
	case !active:
		return nil, fail(400, "InvalidRequest", "At least one Region must be active.")
	case len(changes) > 2:
		a.before[x.ARN] = before
		a.begin(c, "SubmitMultiRegionAccessPointRoutes", fmt.Sprint(x.ARN, after), changes)
	}
	return nil, nil
}
