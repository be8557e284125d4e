package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cloudwatchtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventbridgetypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"dr-orchestrator/internal/action"
)

// wire is an HTTP client that answers every request the same way.
type wire struct {
	status int
	body   string
	err    error
	id     string // of every answer
	sent   []*http.Request
}

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	w.sent = append(w.sent, r)
	if w.err != nil {
		return nil, w.err
	}
	return &http.Response{StatusCode: w.status, Header: http.Header{"X-Amzn-Requestid": {w.id}}, Body: io.NopCloser(strings.NewReader(w.body)), Request: r}, nil
}

func (w *wire) factory() *Factory {
	return New(aws.Config{
		Region: "us-west-2", HTTPClient: w, Credentials: credentials.NewStaticCredentialsProvider("AKIA", "secret", ""),
		Retryer: Retryer(retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })),
	})
}

func queryError(code string) string {
	return `<ErrorResponse><Error><Code>` + code + `</Code><Message>m</Message></Error><RequestId>r</RequestId></ErrorResponse>`
}

// calls is every operation that the actions and steps use, and how often it may
// be sent.
var calls = []struct {
	name  string
	sends int
	call  func(ctx context.Context, f *Factory) error
}{
	{"rds:DescribeDBInstances", Attempts, func(ctx context.Context, f *Factory) error {
		_, err := rds.NewFromConfig(f.Config("")).DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{})
		return err
	}},
	{"rds:DescribeDBClusters", Attempts, func(ctx context.Context, f *Factory) error {
		_, err := rds.NewFromConfig(f.Config("")).DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{})
		return err
	}},
	{"rds:DescribeGlobalClusters", Attempts, func(ctx context.Context, f *Factory) error {
		_, err := rds.NewFromConfig(f.Config("")).DescribeGlobalClusters(ctx, &rds.DescribeGlobalClustersInput{})
		return err
	}},
	{"rds:PromoteReadReplica", 1, func(ctx context.Context, f *Factory) error {
		_, err := rds.NewFromConfig(f.Config("")).PromoteReadReplica(ctx, &rds.PromoteReadReplicaInput{DBInstanceIdentifier: aws.String("x")})
		return err
	}},
	{"rds:ModifyDBInstance", 1, func(ctx context.Context, f *Factory) error {
		_, err := rds.NewFromConfig(f.Config("")).ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{DBInstanceIdentifier: aws.String("x")})
		return err
	}},
	{"rds:FailoverGlobalCluster", 1, func(ctx context.Context, f *Factory) error {
		_, err := rds.NewFromConfig(f.Config("")).FailoverGlobalCluster(ctx, &rds.FailoverGlobalClusterInput{
			GlobalClusterIdentifier: aws.String("x"), TargetDbClusterIdentifier: aws.String("y")})
		return err
	}},
	{"rds:SwitchoverGlobalCluster", 1, func(ctx context.Context, f *Factory) error {
		_, err := rds.NewFromConfig(f.Config("")).SwitchoverGlobalCluster(ctx, &rds.SwitchoverGlobalClusterInput{
			GlobalClusterIdentifier: aws.String("x"), TargetDbClusterIdentifier: aws.String("y")})
		return err
	}},
	{"rds:RemoveFromGlobalCluster", 1, func(ctx context.Context, f *Factory) error {
		_, err := rds.NewFromConfig(f.Config("")).RemoveFromGlobalCluster(ctx, &rds.RemoveFromGlobalClusterInput{
			GlobalClusterIdentifier: aws.String("x"), DbClusterIdentifier: aws.String("y")})
		return err
	}},
	{"rds:SwitchoverReadReplica", 1, func(ctx context.Context, f *Factory) error {
		_, err := rds.NewFromConfig(f.Config("")).SwitchoverReadReplica(ctx, &rds.SwitchoverReadReplicaInput{DBInstanceIdentifier: aws.String("x")})
		return err
	}},
	{"rds:ModifyDBCluster", 1, func(ctx context.Context, f *Factory) error {
		_, err := rds.NewFromConfig(f.Config("")).ModifyDBCluster(ctx, &rds.ModifyDBClusterInput{DBClusterIdentifier: aws.String("x")})
		return err
	}},
	{"rds:RebootDBInstance", 1, func(ctx context.Context, f *Factory) error {
		_, err := rds.NewFromConfig(f.Config("")).RebootDBInstance(ctx, &rds.RebootDBInstanceInput{DBInstanceIdentifier: aws.String("x")})
		return err
	}},
	{"rds:StopDBInstance", 1, func(ctx context.Context, f *Factory) error {
		_, err := rds.NewFromConfig(f.Config("")).StopDBInstance(ctx, &rds.StopDBInstanceInput{DBInstanceIdentifier: aws.String("x")})
		return err
	}},
	{"rds:StartDBInstance", 1, func(ctx context.Context, f *Factory) error {
		_, err := rds.NewFromConfig(f.Config("")).StartDBInstance(ctx, &rds.StartDBInstanceInput{DBInstanceIdentifier: aws.String("x")})
		return err
	}},
	{"rds:StopDBCluster", 1, func(ctx context.Context, f *Factory) error {
		_, err := rds.NewFromConfig(f.Config("")).StopDBCluster(ctx, &rds.StopDBClusterInput{DBClusterIdentifier: aws.String("x")})
		return err
	}},
	{"rds:StartDBCluster", 1, func(ctx context.Context, f *Factory) error {
		_, err := rds.NewFromConfig(f.Config("")).StartDBCluster(ctx, &rds.StartDBClusterInput{DBClusterIdentifier: aws.String("x")})
		return err
	}},
	{"rds:AddTagsToResource", 1, func(ctx context.Context, f *Factory) error {
		_, err := rds.NewFromConfig(f.Config("")).AddTagsToResource(ctx, &rds.AddTagsToResourceInput{ResourceName: aws.String("x"), Tags: []rdstypes.Tag{}})
		return err
	}},
	{"elasticache:DescribeGlobalReplicationGroups", Attempts, func(ctx context.Context, f *Factory) error {
		_, err := elasticache.NewFromConfig(f.Config("")).DescribeGlobalReplicationGroups(ctx, &elasticache.DescribeGlobalReplicationGroupsInput{})
		return err
	}},
	{"elasticache:DescribeReplicationGroups", Attempts, func(ctx context.Context, f *Factory) error {
		_, err := elasticache.NewFromConfig(f.Config("")).DescribeReplicationGroups(ctx, &elasticache.DescribeReplicationGroupsInput{})
		return err
	}},
	{"elasticache:FailoverGlobalReplicationGroup", 1, func(ctx context.Context, f *Factory) error {
		_, err := elasticache.NewFromConfig(f.Config("")).FailoverGlobalReplicationGroup(ctx, &elasticache.FailoverGlobalReplicationGroupInput{
			GlobalReplicationGroupId: aws.String("x"), PrimaryRegion: aws.String("us-west-2"), PrimaryReplicationGroupId: aws.String("y")})
		return err
	}},
	{"cloudwatch:GetMetricData", Attempts, func(ctx context.Context, f *Factory) error {
		_, err := cloudwatch.NewFromConfig(f.Config("")).GetMetricData(ctx, &cloudwatch.GetMetricDataInput{
			StartTime: aws.Time(time.Now()), EndTime: aws.Time(time.Now()), MetricDataQueries: []cloudwatchtypes.MetricDataQuery{{Id: aws.String("lag")}}})
		return err
	}},
	{"s3:GetObject", Attempts, func(ctx context.Context, f *Factory) error {
		_, err := s3.NewFromConfig(f.Config("")).GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
		return err
	}},
	{"s3:PutObject", Attempts, func(ctx context.Context, f *Factory) error {
		_, err := s3.NewFromConfig(f.Config("")).PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k"), Body: strings.NewReader("x")})
		return err
	}},
	{"eventbridge:PutEvents", Attempts, func(ctx context.Context, f *Factory) error {
		_, err := eventbridge.NewFromConfig(f.Config("")).PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []eventbridgetypes.PutEventsRequestEntry{{Detail: aws.String("{}")}}})
		return err
	}},
	{"sns:Publish", Attempts, func(ctx context.Context, f *Factory) error {
		_, err := sns.NewFromConfig(f.Config("")).Publish(ctx, &sns.PublishInput{Message: aws.String("m")})
		return err
	}},
}

// mutates tells what must be sent once; messages and documents may be repeated.
func mutates(operation string) bool {
	_, verb, _ := strings.Cut(operation, ":")
	for _, prefix := range []string{"Promote", "Modify", "Failover", "Switchover", "Remove", "Reboot", "Start", "Stop", "Add"} {
		if strings.HasPrefix(verb, prefix) {
			return true
		}
	}
	return false
}

func TestSends(t *testing.T) {
	failures := map[string]func() *wire{
		"500":         func() *wire { return &wire{status: 500, body: queryError("InternalFailure")} },
		"503":         func() *wire { return &wire{status: 503} },
		"throttled":   func() *wire { return &wire{status: 400, body: queryError("Throttling")} },
		"broken line": func() *wire { return &wire{err: io.ErrUnexpectedEOF} },
	}
	for _, tt := range calls {
		t.Run(tt.name, func(t *testing.T) {
			for failure, make := range failures {
				if failure == "throttled" && !strings.HasPrefix(tt.name, "rds:") && !strings.HasPrefix(tt.name, "elasticache:") {
					continue // these bodies are not of the query protocol
				}
				w := make()
				err := tt.call(t.Context(), w.factory())
				if err == nil {
					t.Fatalf("%s: no error", failure)
				}
				if got := len(w.sent); got != tt.sends {
					t.Errorf("%s: sent %d times, want %d", failure, got, tt.sends)
				}
				if mutates(tt.name) && tt.sends != 1 {
					t.Errorf("%s may be sent %d times", tt.name, tt.sends)
				}
			}
		})
	}
}

// What the SDK's real clients make of a failure has the class that the state
// machine needs: that the call was not sent again does not hide why it failed.
func TestClassOfRealCalls(t *testing.T) {
	for _, tt := range []struct {
		name            string
		wire            wire
		reads, mutating action.Class
	}{
		{"500", wire{status: 500, body: queryError("InternalFailure")}, action.Unreachable, action.OutcomeUnknown},
		{"503 without a body", wire{status: 503}, action.Unreachable, action.OutcomeUnknown},
		{"200 without sense", wire{status: 200, body: "<html>"}, action.Unreachable, action.OutcomeUnknown},
		{"broken line", wire{err: io.ErrUnexpectedEOF}, action.Unreachable, action.OutcomeUnknown},
		{"throttled", wire{status: 400, body: queryError("Throttling")}, action.Throttled, action.Throttled},
		{"denied", wire{status: 403, body: queryError("AccessDenied")}, action.Denied, action.Denied},
		{"busy", wire{status: 400, body: queryError("InvalidGlobalClusterStateFault")}, action.Conflict, action.Conflict},
		{"absent", wire{status: 404, body: queryError("GlobalClusterNotFoundFault")}, action.NotFound, action.NotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, c := range calls {
				if !strings.HasPrefix(c.name, "rds:") && !strings.HasPrefix(c.name, "elasticache:") {
					continue
				}
				if c.name == "rds:AddTagsToResource" && tt.wire.status == 200 {
					continue // its answer is empty, and the SDK reads none
				}
				w := tt.wire
				err := c.call(t.Context(), w.factory())
				if mutates(c.name) {
					if got := action.ClassOf(action.Mutation(c.name, err)); got != tt.mutating {
						t.Errorf("%s: class %s, want %s (%v)", c.name, got, tt.mutating, err)
					}
				} else if got := action.ClassOf(action.Call(c.name, err)); got != tt.reads {
					t.Errorf("%s: class %s, want %s (%v)", c.name, got, tt.reads, err)
				}
			}
		})
	}
}

// A real server, a real connection: nobody listens, and it hangs up.
func TestOverTheNetwork(t *testing.T) {
	hangUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer hangUp.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	for _, tt := range []struct {
		name, url string
		want      action.Class
	}{
		{"nobody listens", closed.URL, action.Unreachable},
		{"hangs up", hangUp.URL, action.OutcomeUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &wire{}
			cfg := w.factory().Config("")
			cfg.HTTPClient, cfg.BaseEndpoint = HTTPClient(), aws.String(tt.url)
			_, err := rds.NewFromConfig(cfg).PromoteReadReplica(t.Context(), &rds.PromoteReadReplicaInput{DBInstanceIdentifier: aws.String("x")})
			if got := action.ClassOf(action.Mutation("promoting x", err)); got != tt.want {
				t.Errorf("class %s, want %s (%v)", got, tt.want, err)
			}
		})
	}
}

func TestConfigRegion(t *testing.T) {
	for region, want := range map[string]string{"": "us-west-2", "eu-central-1": "eu-central-1"} {
		w := &wire{err: errors.New("no")}
		f := w.factory()
		_, _ = rds.NewFromConfig(f.Config(region)).DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{})
		if scope := w.sent[0].Header.Get("Authorization"); !strings.Contains(scope, "/"+want+"/rds/") {
			t.Errorf("region %q: signed as %q", region, scope)
		}
		if host := w.sent[0].URL.Host; host != "rds."+want+".amazonaws.com" {
			t.Errorf("region %q: sent to %s", region, host)
		}
		if f.Config("").Region != "us-west-2" || f.Region != "us-west-2" {
			t.Error("asking for another region changed the factory's own")
		}
	}
}

func TestLoad(t *testing.T) {
	t.Setenv("AWS_CA_BUNDLE", "")
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIA")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_PROFILE", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	t.Setenv("AWS_REGION", "")
	if _, err := Load(t.Context()); err == nil {
		t.Error("loaded without a region")
	}
	// Nothing in the environment brings the resending of mutating calls back.
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_MAX_ATTEMPTS", "9")
	t.Setenv("AWS_RETRY_MODE", "adaptive")
	f, err := Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f.Region != "eu-west-1" || f.Config("").Region != "eu-west-1" {
		t.Errorf("region %q", f.Region)
	}
	w := &wire{status: 500, body: queryError("InternalFailure")}
	cfg := f.Config("")
	cfg.HTTPClient = w
	if _, err := rds.NewFromConfig(cfg).PromoteReadReplica(t.Context(), &rds.PromoteReadReplicaInput{DBInstanceIdentifier: aws.String("x")}); err == nil {
		t.Error("no error")
	}
	if len(w.sent) != 1 {
		t.Errorf("sent %d times, want once", len(w.sent))
	}
}

// A region that does not answer must be known as such within one invocation.
func TestTimeouts(t *testing.T) {
	transport, dialer := HTTPClient().GetTransport(), HTTPClient().GetDialer()
	if transport.ResponseHeaderTimeout != ResponseTimeout || transport.TLSHandshakeTimeout != DialTimeout || dialer.Timeout != DialTimeout || transport.DialContext == nil {
		t.Errorf("time-outs %s, %s, %s", transport.ResponseHeaderTimeout, transport.TLSHandshakeTimeout, dialer.Timeout)
	}
	if worst := Attempts * (DialTimeout + DialTimeout + ResponseTimeout); worst > time.Minute {
		t.Errorf("a dead region is known after %s at worst", worst)
	}
}

// An impatient client tries once and gives up soon; the factory's own does not
// change.
func TestImpatient(t *testing.T) {
	f := New(aws.Config{Region: "us-west-2", HTTPClient: HTTPClient(), Retryer: Retryer(nil)})
	cfg := f.Impatient("eu-west-1", 2*time.Second)
	c := cfg.HTTPClient.(interface {
		GetTransport() *http.Transport
		GetDialer() *net.Dialer
	})
	if tr := c.GetTransport(); cfg.Region != "eu-west-1" || tr.ResponseHeaderTimeout != 2*time.Second || tr.TLSHandshakeTimeout != 2*time.Second || c.GetDialer().Timeout != 2*time.Second {
		t.Errorf("region %s, time-outs %s, %s, %s", cfg.Region, tr.ResponseHeaderTimeout, tr.TLSHandshakeTimeout, c.GetDialer().Timeout)
	}
	if own := f.Config("").HTTPClient.(interface{ GetTransport() *http.Transport }).GetTransport(); own.ResponseHeaderTimeout != ResponseTimeout {
		t.Errorf("the factory's own client waits %s", own.ResponseHeaderTimeout)
	}
	w := &wire{status: 500, body: queryError("InternalFailure")}
	if _, err := rds.NewFromConfig(w.factory().Impatient("", time.Second)).DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{}); err == nil || len(w.sent) != 1 {
		t.Errorf("sent %d times: %v", len(w.sent), err)
	}
}
