package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/report"
)

// As many reads as the limit may come at once; from then on they come as fast
// as the limit says, counted by themselves in each region and service. Calls
// that change something, and other services, are not counted.
func TestDescribeLimit(t *testing.T) {
	estate := DefaultEstate()
	estate.DescribesPerSecond = 5
	clock := NewClock(Epoch)
	a := NewAccount(estate, clock, 1, nil)
	describe := &Call{Service: "rds", Operation: "DescribeDBInstances", Region: "us-west-2"}
	allowed := func(c *Call, n int) int {
		let := 0
		for range n {
			if !a.overrun(c) {
				let++
			}
		}
		return let
	}
	clock.Run(func() {
		for _, tt := range []struct {
			name string
			wait time.Duration
			call *Call
			want int // of ten
		}{
			{"a burst", 0, describe, 5},
			{"nothing is left", 0, describe, 0},
			{"another region", 0, &Call{Service: "rds", Operation: "DescribeDBInstances", Region: "us-east-1"}, 5},
			{"another service", 0, &Call{Service: "elasticache", Operation: "DescribeReplicationGroups", Region: "us-west-2"}, 5},
			{"metrics", 0, &Call{Service: "cloudwatch", Operation: "GetMetricData", Region: "us-west-2"}, 5},
			{"another operation of the service", 0, &Call{Service: "rds", Operation: "DescribeDBClusters", Region: "us-west-2"}, 0},
			{"a call that changes something", 0, &Call{Service: "rds", Operation: "PromoteReadReplica", Region: "us-west-2"}, 10},
			{"a service without the limit", 0, &Call{Service: "kms", Operation: "DescribeKey", Region: "us-west-2"}, 10},
			{"after a fifth of a second", 200 * time.Millisecond, describe, 1},
			{"after a long rest", time.Minute, describe, 5},
		} {
			clock.Sleep(tt.wait)
			if got := allowed(tt.call, 10); got != tt.want {
				t.Errorf("%s: %d of ten get through, want %d", tt.name, got, tt.want)
			}
		}
		estate.DescribesPerSecond = 0
		if got := allowed(describe, 100); got != 100 {
			t.Errorf("without a limit %d of 100 get through", got)
		}
	})
}

func TestThrottlingOverTheWire(t *testing.T) {
	estate := DefaultEstate()
	estate.DescribesPerSecond = 3
	estate.Latencies.API = 0
	clock := NewClock(Epoch)
	a := NewAccount(estate, clock, 1, nil)
	client := rds.NewFromConfig(aws.Config{Region: "us-west-2", HTTPClient: transport{account: a}, Credentials: credentials.NewStaticCredentialsProvider("lab", "lab", ""),
		RetryMaxAttempts: 1})
	codes := map[string]int{}
	clock.Run(func() {
		for range 10 {
			_, err := client.DescribeDBInstances(context.Background(), &rds.DescribeDBInstancesInput{})
			var api smithy.APIError
			if errors.As(err, &api) {
				codes[api.ErrorCode()]++
			} else if err == nil {
				codes["answered"]++
			}
		}
	})
	if diff := cmp.Diff(map[string]int{"answered": 3, "Throttling": 7}, codes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Where the limit bites, the preflight comes back until everything is seen.
func TestAPlanUnderATightLimit(t *testing.T) {
	estate := DefaultEstate()
	estate.DescribesPerSecond = 2
	payload := inLayers(t, replicas(estate, 150), globals(estate, 150), datastores(estate, 20))
	result := runLab(t, Options{Payload: payload, Estate: estate})
	if result.Outcome != report.Succeeded || len(result.Mutations) != 0 {
		t.Errorf("%s: %s", result.Outcome, result.Cause)
	}
}

// Lists come in pages of at most a hundred, and filters take identifiers and
// ARNs.
func TestListsHavePagesAndFilters(t *testing.T) {
	estate := DefaultEstate()
	replicas(estate, 130)
	globals(estate, 110)
	datastores(estate, 110)
	config := served(t, estate, "")("us-west-2")
	ctx := context.Background()
	db, cache := rds.NewFromConfig(config), elasticache.NewFromConfig(config)
	for _, tt := range []struct {
		name string
		list func(marker *string, size *int32) (int, *string, error)
		want []int // things on each page
	}{
		{"DescribeDBInstances", func(m *string, n *int32) (int, *string, error) {
			out, err := db.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{Marker: m, MaxRecords: n})
			if err != nil {
				return 0, nil, err
			}
			return len(out.DBInstances), out.Marker, nil
		}, []int{100, 100, 45}},
		{"DescribeDBClusters", func(m *string, n *int32) (int, *string, error) {
			out, err := db.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{Marker: m, MaxRecords: n})
			if err != nil {
				return 0, nil, err
			}
			return len(out.DBClusters), out.Marker, nil
		}, []int{100, 12}},
		{"DescribeGlobalClusters", func(m *string, n *int32) (int, *string, error) {
			out, err := db.DescribeGlobalClusters(ctx, &rds.DescribeGlobalClustersInput{Marker: m, MaxRecords: n})
			if err != nil {
				return 0, nil, err
			}
			return len(out.GlobalClusters), out.Marker, nil
		}, []int{100, 12}},
		{"DescribeGlobalReplicationGroups", func(m *string, n *int32) (int, *string, error) {
			out, err := cache.DescribeGlobalReplicationGroups(ctx, &elasticache.DescribeGlobalReplicationGroupsInput{Marker: m, MaxRecords: n})
			if err != nil {
				return 0, nil, err
			}
			return len(out.GlobalReplicationGroups), out.Marker, nil
		}, []int{100, 11}},
		{"DescribeReplicationGroups", func(m *string, n *int32) (int, *string, error) {
			out, err := cache.DescribeReplicationGroups(ctx, &elasticache.DescribeReplicationGroupsInput{Marker: m, MaxRecords: n})
			if err != nil {
				return 0, nil, err
			}
			return len(out.ReplicationGroups), out.Marker, nil
		}, []int{100, 11}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var marker *string
			var pages []int
			for {
				n, next, err := tt.list(marker, nil)
				if err != nil {
					t.Fatal(err)
				}
				pages = append(pages, n)
				if marker = next; aws.ToString(next) == "" {
					break
				}
			}
			if fmt.Sprint(pages) != fmt.Sprint(tt.want) {
				t.Errorf("pages of %v, want %v", pages, tt.want)
			}
			if n, next, err := tt.list(nil, aws.Int32(20)); err != nil || n != 20 || aws.ToString(next) == "" {
				t.Errorf("a page of 20 has %d: %v", n, err)
			}
			for _, size := range []int32{19, 101} {
				if _, _, err := tt.list(nil, aws.Int32(size)); err == nil || !strings.Contains(err.Error(), "MaxRecords") {
					t.Errorf("a page of %d: %v", size, err)
				}
			}
		})
	}
	const arn = "arn:aws:rds:us-west-2:111122223333:"
	for _, tt := range []struct {
		filter string
		values []string
		want   int
	}{
		{"db-instance-id", []string{"replica-0001", arn + "db:replica-0002", "REPLICA-0003", "no-such"}, 3},
		{"db-cluster-id", []string{"cluster-orders-001-02", arn + "cluster:cluster-orders-002-02", "no-such"}, 2},
		{"db-instance-id", []string{"no-such"}, 0},
	} {
		filters := []types.Filter{{Name: aws.String(tt.filter), Values: tt.values}}
		instances, err := db.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{Filters: filters})
		if err != nil || len(instances.DBInstances) != tt.want {
			t.Errorf("%s of %v: %v", tt.filter, tt.values, err)
		}
		if tt.filter != "db-cluster-id" {
			continue
		}
		clusters, err := db.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{Filters: filters})
		if err != nil || len(clusters.DBClusters) != tt.want {
			t.Errorf("%s of %v: %v", tt.filter, tt.values, err)
		}
	}
}

func TestKeysOverTheWire(t *testing.T) {
	estate := DefaultEstate()
	const arn = "arn:aws:kms:us-west-2:111122223333:key/"
	const theirs, shared = "arn:aws:kms:us-west-2:999988887777:key/1", "arn:aws:kms:us-west-2:999988887777:key/2"
	estate.Keys = map[string]string{arn + "off": "Disabled", shared: "Enabled"}
	client := kms.NewFromConfig(served(t, estate, "")("us-west-2"))
	for key, want := range map[string]string{
		arn + "any": "Enabled", "any": "Enabled", arn + "off": "Disabled", "off": "Disabled", shared: "Enabled",
		theirs: "AccessDeniedException", "arn:aws:kms:us-east-1:111122223333:key/1": "NotFoundException",
	} {
		out, err := client.DescribeKey(context.Background(), &kms.DescribeKeyInput{KeyId: aws.String(key)})
		got := ""
		var api smithy.APIError
		switch {
		case errors.As(err, &api):
			got = api.ErrorCode()
		case err != nil:
			t.Fatal(err)
		default:
			got = string(out.KeyMetadata.KeyState)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
}

func TestWrongLimitsAndKeysOfEstatesAreNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "estate.json")
	if err := os.WriteFile(path, []byte(`{"describesPerSecond":-1,"keys":{"arn:aws:kms:us-west-2:111122223333:key/1":"Asleep"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := LoadEstate(path)
	if err == nil || !strings.Contains(err.Error(), "describesPerSecond") || !strings.Contains(err.Error(), `"Asleep"`) {
		t.Errorf("%v", err)
	}
}
