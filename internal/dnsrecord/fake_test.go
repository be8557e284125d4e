package dnsrecord

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/aws/smithy-go"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/probe"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// zones is Route 53 as this package meets it: record sets in the order in
// which they are listed, pages of a size, and the answers to the other calls.
type zones struct {
	sets    []types.ResourceRecordSet
	page    int
	lists   int
	changes []route53.ChangeResourceRecordSetsInput
	change  error
	status  types.ChangeStatus
	asking  error
	private bool
	asked   int // health checks
	servers int // name servers of each zone alone, beside two of all
}

func (z *zones) ListResourceRecordSets(_ context.Context, in *route53.ListResourceRecordSetsInput, _ ...func(*route53.Options)) (*route53.ListResourceRecordSetsOutput, error) {
	z.lists++
	key := func(s types.ResourceRecordSet) []string {
		return append(labels(aws.ToString(s.Name)), "", string(s.Type), aws.ToString(s.SetIdentifier))
	}
	start := append(labels(aws.ToString(in.StartRecordName)), "", string(in.StartRecordType), aws.ToString(in.StartRecordIdentifier))
	at := slices.IndexFunc(z.sets, func(s types.ResourceRecordSet) bool { return slices.Compare(key(s), start) >= 0 })
	out := &route53.ListResourceRecordSetsOutput{}
	if at < 0 {
		return out, nil
	}
	out.ResourceRecordSets = z.sets[at:]
	if len(out.ResourceRecordSets) > z.page {
		next := out.ResourceRecordSets[z.page]
		out.ResourceRecordSets = out.ResourceRecordSets[:z.page]
		out.IsTruncated, out.NextRecordName, out.NextRecordType, out.NextRecordIdentifier = true, next.Name, next.Type, next.SetIdentifier
	}
	return out, nil
}

func (z *zones) ChangeResourceRecordSets(_ context.Context, in *route53.ChangeResourceRecordSetsInput, _ ...func(*route53.Options)) (*route53.ChangeResourceRecordSetsOutput, error) {
	z.changes = append(z.changes, *in)
	if z.change != nil {
		return nil, z.change
	}
	for _, c := range in.ChangeBatch.Changes {
		same := func(s types.ResourceRecordSet) bool { return reflect.DeepEqual(s, *c.ResourceRecordSet) }
		if c.Action == types.ChangeActionDelete && !slices.ContainsFunc(z.sets, same) {
			return nil, &types.InvalidChangeBatch{Messages: []string{"the values provided do not match the current values"}}
		}
	}
	return &route53.ChangeResourceRecordSetsOutput{ChangeInfo: &types.ChangeInfo{Id: aws.String("/change/C1")}}, nil
}

func (z *zones) GetChange(context.Context, *route53.GetChangeInput, ...func(*route53.Options)) (*route53.GetChangeOutput, error) {
	return &route53.GetChangeOutput{ChangeInfo: &types.ChangeInfo{Status: z.status}}, z.asking
}

func (z *zones) GetHostedZone(ctx context.Context, in *route53.GetHostedZoneInput, _ ...func(*route53.Options)) (*route53.GetHostedZoneOutput, error) {
	servers := []string{"ns-1.example", "ns-2.example"}
	for i := range z.servers {
		servers = append(servers, fmt.Sprintf("ns-%d.%s", i, aws.ToString(in.Id)))
	}
	return &route53.GetHostedZoneOutput{
		HostedZone:    &types.HostedZone{Config: &types.HostedZoneConfig{PrivateZone: z.private}},
		DelegationSet: &types.DelegationSet{NameServers: servers},
	}, ctx.Err()
}

func (z *zones) GetHealthCheck(_ context.Context, in *route53.GetHealthCheckInput, _ ...func(*route53.Options)) (*route53.GetHealthCheckOutput, error) {
	z.asked++
	if aws.ToString(in.HealthCheckId) == "gone" {
		return nil, coded("NoSuchHealthCheck")
	}
	return &route53.GetHealthCheckOutput{}, nil
}

func simple(name, kind string, values ...string) types.ResourceRecordSet {
	s := types.ResourceRecordSet{Name: aws.String(normalName(name)), Type: types.RRType(kind), TTL: aws.Int64(60)}
	for _, v := range values {
		s.ResourceRecords = append(s.ResourceRecords, types.ResourceRecord{Value: aws.String(v)})
	}
	return s
}

func weighted(name, identifier string, weight int64, value string) types.ResourceRecordSet {
	s := simple(name, "A", value)
	s.SetIdentifier, s.Weight = aws.String(identifier), aws.Int64(weight)
	return s
}

func coded(code string) error { return &smithy.GenericAPIError{Code: code, Message: "no"} }

var errSilent = errors.New("no answer")

func request(p SwapParameters, drive action.Drive) action.Request[SwapParameters] {
	if drive.Changed == "" {
		drive.Changed = action.ChangeNo
	}
	return action.Request[SwapParameters]{Run: action.Run{ID: "run-1", Region: "us-west-2"}, Parameters: p, Drive: drive, Now: noon}
}

// unheard asks name servers that do not answer.
func unheard(context.Context, string, string, string) ([]string, error) { return nil, errSilent }

// answering asks the two name servers of every zone, each of which answers with
// its address; one without is silent.
func answering(addresses ...string) Ask {
	return func(_ context.Context, server, _, _ string) ([]string, error) {
		if i := slices.Index([]string{"ns-1.example", "ns-2.example"}, server); i < len(addresses) {
			return []string{addresses[i]}, nil
		}
		return nil, errSilent
	}
}

// aliased makes an alias of a set.
func aliased(s types.ResourceRecordSet, zone, target string) types.ResourceRecordSet {
	s.AliasTarget = &types.AliasTarget{HostedZoneId: aws.String(zone), DNSName: aws.String(normalName(target))}
	s.ResourceRecords, s.TTL = nil, nil
	return s
}

func failover(name, identifier string, role types.ResourceRecordSetFailover, value string) types.ResourceRecordSet {
	s := simple(name, "A", value)
	s.SetIdentifier, s.Failover = aws.String(identifier), role
	return s
}

// serving is an endpoint that answers.
type serving struct{}

func (serving) Probe(context.Context, probe.CheckParameters) error { return nil }
