package listing

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	cachetypes "github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/smithy-go"

	"dr-orchestrator/internal/action"
)

// service is RDS and ElastiCache with things of these names. It answers single
// describes, filters and pages as AWS does.
type service struct {
	names []string
	page  int   // of lists; 0: all in one
	fails error // of lists
	after int   // pages that are answered before fails

	lists   []string // the filter of each list call; empty: none
	singles []string
}

// answer gives the names that a call asks for, and the marker of the next page.
func (s *service) answer(single, marker *string, filters []types.Filter) ([]string, *string, error) {
	if single != nil {
		s.singles = append(s.singles, *single)
		if slices.Contains(s.names, *single) {
			return []string{*single}, nil, nil
		}
		return nil, nil, &smithy.GenericAPIError{Code: "DBInstanceNotFound"}
	}
	s.lists = append(s.lists, fmt.Sprint(filters))
	if s.fails != nil && len(s.lists) > s.after {
		return nil, nil, s.fails
	}
	found := s.names
	for _, f := range filters {
		found = slices.DeleteFunc(slices.Clone(found), func(name string) bool { return !slices.Contains(f.Values, name) })
	}
	from, _ := strconv.Atoi(aws.ToString(marker))
	if to := from + s.page; s.page > 0 && to < len(found) {
		return found[from:to], aws.String(strconv.Itoa(to)), nil
	}
	return found[from:], nil, nil
}

func (s *service) DescribeDBInstances(_ context.Context, in *rds.DescribeDBInstancesInput, _ ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error) {
	found, marker, err := s.answer(in.DBInstanceIdentifier, in.Marker, in.Filters)
	out := &rds.DescribeDBInstancesOutput{Marker: marker}
	for _, name := range found {
		out.DBInstances = append(out.DBInstances, types.DBInstance{DBInstanceIdentifier: aws.String(name)})
	}
	return out, err
}

func (s *service) DescribeDBClusters(_ context.Context, in *rds.DescribeDBClustersInput, _ ...func(*rds.Options)) (*rds.DescribeDBClustersOutput, error) {
	found, marker, err := s.answer(in.DBClusterIdentifier, in.Marker, in.Filters)
	out := &rds.DescribeDBClustersOutput{Marker: marker}
	for _, name := range found {
		out.DBClusters = append(out.DBClusters, types.DBCluster{DBClusterArn: aws.String(name)})
	}
	return out, err
}

func (s *service) DescribeGlobalClusters(_ context.Context, in *rds.DescribeGlobalClustersInput, _ ...func(*rds.Options)) (*rds.DescribeGlobalClustersOutput, error) {
	found, marker, err := s.answer(in.GlobalClusterIdentifier, in.Marker, in.Filters)
	out := &rds.DescribeGlobalClustersOutput{Marker: marker}
	for _, name := range found {
		out.GlobalClusters = append(out.GlobalClusters, types.GlobalCluster{GlobalClusterIdentifier: aws.String(name)})
	}
	return out, err
}

func (s *service) DescribeGlobalReplicationGroups(_ context.Context, in *elasticache.DescribeGlobalReplicationGroupsInput, _ ...func(*elasticache.Options)) (*elasticache.DescribeGlobalReplicationGroupsOutput, error) {
	found, marker, err := s.answer(in.GlobalReplicationGroupId, in.Marker, nil)
	out := &elasticache.DescribeGlobalReplicationGroupsOutput{Marker: marker}
	for _, name := range found {
		g := cachetypes.GlobalReplicationGroup{GlobalReplicationGroupId: aws.String(name)}
		if aws.ToBool(in.ShowMemberInfo) {
			g.Members = []cachetypes.GlobalReplicationGroupMember{{}}
		}
		out.GlobalReplicationGroups = append(out.GlobalReplicationGroups, g)
	}
	return out, err
}

func (s *service) DescribeReplicationGroups(_ context.Context, in *elasticache.DescribeReplicationGroupsInput, _ ...func(*elasticache.Options)) (*elasticache.DescribeReplicationGroupsOutput, error) {
	found, marker, err := s.answer(in.ReplicationGroupId, in.Marker, nil)
	out := &elasticache.DescribeReplicationGroupsOutput{Marker: marker}
	for _, name := range found {
		out.ReplicationGroups = append(out.ReplicationGroups, cachetypes.ReplicationGroup{ReplicationGroupId: aws.String(name)})
	}
	return out, err
}

// kinds are the five kinds of list, each as a way to ask for one thing.
var kinds = []struct {
	name     string
	filtered bool
	make     func(s *service, wanted func(context.Context) []string) func(t *testing.T, name string) (string, error)
}{
	{"instances", true, func(s *service, wanted func(context.Context) []string) func(*testing.T, string) (string, error) {
		l := NewInstances(s, wanted)
		return func(t *testing.T, name string) (string, error) {
			out, err := l.DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String(name)})
			if err != nil || len(out.DBInstances) != 1 {
				return "", err
			}
			return aws.ToString(out.DBInstances[0].DBInstanceIdentifier), nil
		}
	}},
	{"clusters", true, func(s *service, wanted func(context.Context) []string) func(*testing.T, string) (string, error) {
		l := NewClusters(s, wanted)
		return func(t *testing.T, name string) (string, error) {
			out, err := l.DescribeDBClusters(t.Context(), &rds.DescribeDBClustersInput{DBClusterIdentifier: aws.String(name)})
			if err != nil || len(out.DBClusters) != 1 {
				return "", err
			}
			return aws.ToString(out.DBClusters[0].DBClusterArn), nil
		}
	}},
	{"global clusters", false, func(s *service, wanted func(context.Context) []string) func(*testing.T, string) (string, error) {
		l := NewGlobalClusters(s, wanted)
		return func(t *testing.T, name string) (string, error) {
			out, err := l.DescribeGlobalClusters(t.Context(), &rds.DescribeGlobalClustersInput{GlobalClusterIdentifier: aws.String(name)})
			if err != nil || len(out.GlobalClusters) != 1 {
				return "", err
			}
			return aws.ToString(out.GlobalClusters[0].GlobalClusterIdentifier), nil
		}
	}},
	{"datastores", false, func(s *service, wanted func(context.Context) []string) func(*testing.T, string) (string, error) {
		l := NewDatastores(s, wanted)
		return func(t *testing.T, name string) (string, error) {
			out, err := l.DescribeGlobalReplicationGroups(t.Context(), &elasticache.DescribeGlobalReplicationGroupsInput{GlobalReplicationGroupId: aws.String(name), ShowMemberInfo: aws.Bool(true)})
			if err != nil || len(out.GlobalReplicationGroups) != 1 || len(out.GlobalReplicationGroups[0].Members) != 1 {
				return "", err
			}
			return aws.ToString(out.GlobalReplicationGroups[0].GlobalReplicationGroupId), nil
		}
	}},
	{"groups", false, func(s *service, wanted func(context.Context) []string) func(*testing.T, string) (string, error) {
		l := NewGroups(s, wanted)
		return func(t *testing.T, name string) (string, error) {
			out, err := l.DescribeReplicationGroups(t.Context(), &elasticache.DescribeReplicationGroupsInput{ReplicationGroupId: aws.String(name)})
			if err != nil || len(out.ReplicationGroups) != 1 {
				return "", err
			}
			return aws.ToString(out.ReplicationGroups[0].ReplicationGroupId), nil
		}
	}},
}

func numbered(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("thing-%04d", i))
	}
	return all
}

func coded(code string) error { return &smithy.GenericAPIError{Code: code} }

func TestListsAnswerSingleDescribes(t *testing.T) {
	for _, tt := range []struct {
		name          string
		service       service
		wanted        []string
		class         action.Class // of what is asked for; "": found
		lists, single int          // calls
		unfiltered    [2]int       // the same of kinds without a filter, where they differ
	}{
		{"all in one list", service{names: numbered(50)}, numbered(50), "", 1, 0, [2]int{}},
		{"a filter takes a hundred", service{names: numbered(250)}, numbered(250), "", 3, 0, [2]int{1, 0}},
		{"pages", service{names: numbered(90), page: 30}, numbered(90), "", 3, 0, [2]int{}},
		{"few of many", service{names: numbered(900), page: 100}, numbered(3), "", 1, 0, [2]int{0, 3}},
		{"enough on the first page", service{names: numbered(900), page: 100}, numbered(4), "", 1, 0, [2]int{}},
		{"named twice, and in capitals", service{names: numbered(50)}, append(numbered(50), "THING-0007"), "", 1, 0, [2]int{}},
		{"none is there", service{}, numbered(5), action.NotFound, 1, 5, [2]int{}},
		{"throttled", service{names: numbered(50), fails: coded("Throttling")}, numbered(50), action.Throttled, 1, 0, [2]int{}},
		{"no answer", service{names: numbered(50), fails: context.DeadlineExceeded}, numbered(50), action.Unreachable, 1, 0, [2]int{}},
		{"may read each and not list", service{names: numbered(5), fails: coded("AccessDenied")}, numbered(5), "", 1, 5, [2]int{}},
		{"a filter that AWS does not take", service{names: numbered(5), fails: coded("InvalidParameterValue")}, numbered(5), "", 1, 5, [2]int{}},
	} {
		for _, kind := range kinds {
			t.Run(tt.name+"/"+kind.name, func(t *testing.T) {
				s := tt.service
				ask := kind.make(&s, func(context.Context) []string { return tt.wanted })
				if len(s.lists) > 0 {
					t.Error("it calls before it is asked")
				}
				for _, name := range tt.wanted {
					got, err := ask(t, name)
					if tt.class == "" && (err != nil || got != lower(name)) || tt.class != "" && action.ClassOf(err) != tt.class {
						t.Fatalf("%s: %q, %v", name, got, err)
					}
				}
				lists, single := tt.lists, tt.single
				if !kind.filtered && tt.unfiltered != [2]int{} {
					lists, single = tt.unfiltered[0], tt.unfiltered[1]
				}
				if len(s.lists) != lists || len(s.singles) != single {
					t.Errorf("%d lists and %d single describes, want %d and %d", len(s.lists), len(s.singles), lists, single)
				}
			})
		}
	}
}

func lower(name string) string {
	if name == "THING-0007" {
		return "thing-0007"
	}
	return name
}

// A list that goes on and on costs no more calls than single describes do.
func TestAListThatIsLongerThanItSavesIsLeft(t *testing.T) {
	s := service{names: append(numbered(2000), "wanted-1", "wanted-2", "wanted-3", "wanted-4"), page: 100}
	wanted := []string{"wanted-1", "wanted-2", "wanted-3", "wanted-4"}
	l := NewGlobalClusters(&s, func(context.Context) []string { return wanted })
	for _, name := range wanted {
		out, err := l.DescribeGlobalClusters(t.Context(), &rds.DescribeGlobalClustersInput{GlobalClusterIdentifier: aws.String(name)})
		if err != nil || len(out.GlobalClusters) != 1 {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if len(s.lists) != 4 || len(s.singles) != 4 {
		t.Errorf("%d pages and %d single describes", len(s.lists), len(s.singles))
	}
}

// What was listed before a page failed is known; the rest failed with it. What
// nobody said would be asked for is asked of AWS.
func TestAListThatFailsOnTheWay(t *testing.T) {
	s := service{names: numbered(60), page: 30, fails: coded("Throttling"), after: 1}
	wanted := numbered(60)[:50]
	l := NewInstances(&s, func(context.Context) []string { return wanted })
	ask := func(name string) error {
		_, err := l.DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String(name)})
		return err
	}
	if err := ask("thing-0029"); err != nil {
		t.Errorf("listed: %v", err)
	}
	if err := ask("thing-0030"); action.ClassOf(err) != action.Throttled {
		t.Errorf("of the page that failed: %v", err)
	}
	if err := ask("thing-0055"); err != nil || len(s.singles) != 1 {
		t.Errorf("not wanted before: %v, %v", err, s.singles)
	}
}

// What looks through lists has no way to change anything.
func TestListsOnlyRead(t *testing.T) {
	for _, list := range []any{&Instances{}, &Clusters{}, &GlobalClusters{}, &Datastores{}, &Groups{}} {
		kind := reflect.TypeOf(list)
		if kind.NumMethod() == 0 {
			t.Errorf("%s does nothing", kind)
		}
		for i := range kind.NumMethod() {
			if name := kind.Method(i).Name; !strings.HasPrefix(name, "Describe") && name != "Listed" {
				t.Errorf("%s has the method %s", kind, name)
			}
		}
	}
}
