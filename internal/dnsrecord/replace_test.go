package dnsrecord

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/action"
)

// shownChanges tells a call in short.
func shownChanges(in *route53.ChangeResourceRecordSetsInput) []string {
	var all []string
	for _, c := range in.ChangeBatch.Changes {
		s := *c.ResourceRecordSet
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", c.Action, aws.ToString(s.Name), aws.ToString(s.SetIdentifier), shown(s))))
	}
	return all
}

// What goes goes before anything comes, and an alias is there only while its
// target is.
func TestReplaceDeletesWhatWasReadAndCreatesWhatIsToBe(t *testing.T) {
	alias := func(name, target string) types.ResourceRecordSet { return aliased(simple(name, "A"), "Z1", target) }
	health := func(s types.ResourceRecordSet) types.ResourceRecordSet {
		target := *s.AliasTarget
		target.EvaluateTargetHealth = true
		s.AliasTarget = &target
		return s
	}
	many := make([]string, 2*maxValues)
	for i := range many {
		many[i] = fmt.Sprintf("192.0.%d.%d", i/250, i%250)
	}
	var chain []change
	var down, up []string
	for i := range 2 * maxAliases {
		name, target := fmt.Sprintf("n%d.example", i), fmt.Sprintf("n%d.example", i+1)
		chain = append(chain, change{before: alias(name, target), after: health(alias(name, target))})
		down = append(down, fmt.Sprintf("DELETE %s.  %s.", name, target))
		up = append([]string{fmt.Sprintf("CREATE %s.  %s.", name, target)}, up...)
	}
	long := strings.Repeat("x", 2*maxCharacters-1)
	for _, tt := range []struct {
		name    string
		changes []change
		want    []string
	}{
		{"weights", []change{
			{before: weighted("w.example", "a", 1, "192.0.2.1"), after: weighted("w.example", "a", 0, "192.0.2.1")},
			{before: weighted("w.example", "b", 0, "192.0.2.2"), after: weighted("w.example", "b", 1, "192.0.2.2")},
		}, []string{
			"DELETE w.example. b 192.0.2.2 weight 0 TTL 60", "DELETE w.example. a 192.0.2.1 weight 1 TTL 60",
			"CREATE w.example. a 192.0.2.1 weight 0 TTL 60", "CREATE w.example. b 192.0.2.2 weight 1 TTL 60",
		}},
		{"what is as wanted stays out of it", []change{
			{before: simple("a.example", "A", "192.0.2.1"), after: simple("a.example", "A", "192.0.2.1")},
			{before: simple("b.example", "A", "192.0.2.1"), after: simple("b.example", "A", "192.0.2.2")},
		}, []string{"DELETE b.example.  192.0.2.1 TTL 60", "CREATE b.example.  192.0.2.2 TTL 60"}},
		{"aliases of what changes, too", []change{
			{before: alias("c.example", "b.example"), after: health(alias("c.example", "b.example"))},
			{before: simple("a.example", "A", "192.0.2.1"), after: simple("a.example", "A", "192.0.2.2")},
			{before: alias("b.example", "a.example"), after: health(alias("b.example", "a.example"))},
		}, []string{
			"DELETE c.example.  b.example.", "DELETE b.example.  a.example.", "DELETE a.example.  192.0.2.1 TTL 60",
			"CREATE a.example.  192.0.2.2 TTL 60", "CREATE b.example.  a.example.", "CREATE c.example.  b.example.",
		}},
		{"a long chain of them", chain, slices.Concat(down, up)},
		{"a cycle, which Route 53 refuses", []change{
			{before: simple("a.example", "A", "192.0.2.1"), after: alias("a.example", "b.example")},
			{before: simple("b.example", "A", "192.0.2.1"), after: alias("b.example", "a.example")},
		}, []string{
			"DELETE b.example.  192.0.2.1 TTL 60", "DELETE a.example.  192.0.2.1 TTL 60",
			"CREATE a.example.  b.example.", "CREATE b.example.  a.example.",
		}},
		{"at the limit of values", []change{{before: simple("a.example", "A", many[1:]...), after: simple("a.example", "A", "198.51.100.1")}},
			[]string{"DELETE a.example.  " + shown(simple("a.example", "A", many[1:]...)), "CREATE a.example.  198.51.100.1 TTL 60"}},
		{"over it", []change{{before: simple("a.example", "A", many...), after: simple("a.example", "A", "198.51.100.1")}},
			[]string{"UPSERT a.example.  198.51.100.1 TTL 60"}},
		{"over it, with an alias", []change{
			{before: alias("b.example", "a.example"), after: health(alias("b.example", "a.example"))},
			{before: simple("a.example", "A", many...), after: simple("a.example", "A", "198.51.100.1")},
		}, []string{"UPSERT a.example.  198.51.100.1 TTL 60", "UPSERT b.example.  a.example."}},
		{"at the limit of characters", []change{{before: simple("a.example", "TXT", long), after: simple("a.example", "TXT", "x")}},
			[]string{"DELETE a.example.  " + long + " TTL 60", "CREATE a.example.  x TTL 60"}},
		{"over that", []change{{before: simple("a.example", "TXT", long), after: simple("a.example", "TXT", "xy")}},
			[]string{"UPSERT a.example.  xy TTL 60"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, shownChanges(replace("Z1", "", tt.changes))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// meddling are databases during whose describe somebody else is at work.
type meddling struct {
	databases
	meddle func()
}

func (d meddling) DescribeDBInstances(ctx context.Context, in *rds.DescribeDBInstancesInput, options ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error) {
	d.meddle()
	return d.databases.DescribeDBInstances(ctx, in, options...)
}

// Somebody changes a record after this run has read it: his change is not lost,
// whatever of the set it is.
func TestAChangeBetweenLookAndCallIsNotOverwritten(t *testing.T) {
	old := weighted("www.example", "east", 100, "192.0.2.1")
	west := weighted("www.example", "west", 0, "192.0.2.2")
	for name, meddle := range map[string]func(*types.ResourceRecordSet){
		"nothing":      nil,
		"TTL":          func(s *types.ResourceRecordSet) { s.TTL = aws.Int64(5) },
		"health check": func(s *types.ResourceRecordSet) { s.HealthCheckId = aws.String("hc-1") },
		"value": func(s *types.ResourceRecordSet) {
			s.ResourceRecords = []types.ResourceRecord{{Value: aws.String("192.0.2.3")}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var z *zones
			api := meddling{databases{instance: &rdstypes.DBInstance{DBInstanceStatus: aws.String("available")}}, func() {
				theirs := old
				if meddle != nil {
					meddle(&theirs)
				}
				z.sets[0] = theirs
			}}
			taken := func(what string, progress action.Progress, err error) {
				t.Helper()
				if err != nil || len(z.changes) != 1 || progress.Changed != (meddle == nil) || progress.Contended == (meddle == nil) {
					t.Errorf("%s: %+v, %v, %d calls", what, progress, err, len(z.changes))
				}
			}
			z = &zones{page: 300, sets: []types.ResourceRecordSet{old, west}}
			req := request(SwapParameters{Requires: []string{"rds-instance/i"}, Records: []Record{{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: "east", Weight: aws.Int(0)}, {Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: "west", Weight: aws.Int(1)}}}, action.Drive{})
			progress, err := Swap{Route53: z, Databases: api}.Reconcile(t.Context(), req)
			taken("swap", progress, err)
			if meddle != nil {
				req.Drive = action.Drive{Changed: action.ChangeNo, Memo: progress.Memo}
				if _, err := (Swap{Route53: z, Databases: api}).Reconcile(t.Context(), req); action.ClassOf(err) != action.Refused || !strings.Contains(err.Error(), "someone else") {
					t.Errorf("swap again: %v", err)
				}
			}
			z = &zones{page: 300, sets: []types.ResourceRecordSet{old, west}}
			progress, err = Shift{Route53: z, Databases: api}.Reconcile(t.Context(), action.Request[ShiftParameters]{Run: action.Run{ID: "run-1", Region: "us-west-2"}, Now: noon,
				Parameters: ShiftParameters{Zone: "Z1", Name: "www.example", Type: "A", SetIdentifier: "west", Steps: []string{"10", "100"}, Requires: []string{"rds-instance/i"}},
				Drive:      action.Drive{Changed: action.ChangeNo, Memo: map[string]string{memoFirst: `{"east":100,"west":0}`}}})
			taken("shift", progress, err)
		})
	}
}
