package lab

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// served gives a lab over real HTTP, much faster than real time, and the AWS
// configuration of a region of it.
func served(t *testing.T, estate *Estate, faults string) func(region string) aws.Config {
	t.Helper()
	return servedAccount(t, NewAccount(estate, NewWallClock(Epoch, 200), 1, faultsOf(t, faults)))
}

func servedAccount(t *testing.T, account *Account) func(region string) aws.Config {
	t.Helper()
	server := httptest.NewServer(account.Handler())
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		account.Serve(func() { <-stop })
	}()
	t.Cleanup(func() {
		server.Close()
		close(stop)
		<-stopped
	})
	return func(region string) aws.Config {
		return aws.Config{Region: region, BaseEndpoint: aws.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider("lab", "lab", "")}
	}
}

func TestServeStartsAnExecutionThatSucceeds(t *testing.T) {
	config := served(t, DefaultEstate(), "")
	ctx := context.Background()
	client := sfn.NewFromConfig(config("us-west-2"))
	machines, err := client.ListStateMachines(ctx, &sfn.ListStateMachinesInput{})
	if err != nil || len(machines.StateMachines) != 2 {
		t.Fatalf("state machines: %v, %v", machines, err)
	}
	started, err := client.StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: aws.String("arn:aws:states:us-west-2:111122223333:stateMachine:dr-orchestrator-failover"),
		Input:           aws.String(string(sample(t, "failover-three-databases.json"))), Name: aws.String("one"),
	})
	if err != nil {
		t.Fatal(err)
	}
	var described *sfn.DescribeExecutionOutput
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if described, err = client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: started.ExecutionArn}); err != nil {
			t.Fatal(err)
		}
		if described.Status != sfntypes.ExecutionStatusRunning {
			break
		}
	}
	if described.Status != sfntypes.ExecutionStatusSucceeded {
		t.Fatalf("%s: %s", described.Status, aws.ToString(described.Cause))
	}
	var output struct{ Report struct{ Bucket, Key string } }
	if err := json.Unmarshal([]byte(aws.ToString(described.Output)), &output); err != nil {
		t.Fatal(err)
	}
	if _, err := s3.NewFromConfig(config("us-west-2"), func(o *s3.Options) { o.UsePathStyle = true }).
		GetObject(ctx, &s3.GetObjectInput{Bucket: &output.Report.Bucket, Key: &output.Report.Key}); err != nil {
		t.Errorf("the report named in the output: %v", err)
	}
	history, err := client.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: started.ExecutionArn})
	if err != nil || history.Events[0].Type != sfntypes.HistoryEventTypeExecutionStarted {
		t.Errorf("history: %v, %v", history, err)
	}
	again := &sfn.StartExecutionInput{StateMachineArn: aws.String("arn:aws:states:us-west-2:111122223333:stateMachine:dr-orchestrator-failover"), Name: aws.String("one")}
	var exists *sfntypes.ExecutionAlreadyExists
	if _, err := client.StartExecution(ctx, again); !errors.As(err, &exists) {
		t.Errorf("the same name again: %v, want ExecutionAlreadyExists", err)
	}
}

func TestServeStopsAnExecution(t *testing.T) {
	config := served(t, slowed(1800), "")
	ctx := context.Background()
	client := sfn.NewFromConfig(config("us-west-2"))
	started, err := client.StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: aws.String("arn:aws:states:us-west-2:111122223333:stateMachine:dr-orchestrator-failover"),
		Input:           aws.String(string(sample(t, "failover-aurora-unplanned.json"))),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: started.ExecutionArn}); err != nil {
		t.Fatal(err)
	}
	described, err := client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: started.ExecutionArn})
	if err != nil || described.Status != sfntypes.ExecutionStatusAborted {
		t.Fatalf("%v, %v", described, err)
	}
}

// Each protocol, and each region, by the AWS SDK over HTTP.
func TestServeSpeaksEveryProtocol(t *testing.T) {
	estate := DefaultEstate()
	estate.Parameters["us-east-1"] = []Parameter{{Name: "/db/name", Value: "orders"}}
	config := served(t, estate, "")
	ctx := context.Background()
	for _, region := range estate.Regions {
		globals, err := rds.NewFromConfig(config(region)).DescribeGlobalClusters(ctx, &rds.DescribeGlobalClustersInput{})
		if err != nil || len(globals.GlobalClusters) != 2 || len(globals.GlobalClusters[0].GlobalClusterMembers) != 2 || globals.GlobalClusters[0].FailoverState != nil {
			t.Errorf("%s: global clusters %+v, %v", region, globals, err)
		}
		instances, err := rds.NewFromConfig(config(region)).DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{})
		if err != nil || len(instances.DBInstances) != 5 {
			t.Errorf("%s: instances %v", region, err)
		}
		groups, err := elasticache.NewFromConfig(config(region)).DescribeGlobalReplicationGroups(ctx, &elasticache.DescribeGlobalReplicationGroupsInput{})
		if err != nil || len(groups.GlobalReplicationGroups) != 1 || len(groups.GlobalReplicationGroups[0].Members) != 0 {
			t.Errorf("%s: datastores without ShowMemberInfo show no members: %+v, %v", region, groups, err)
		}
		exports, err := cloudformation.NewFromConfig(config(region)).ListExports(ctx, &cloudformation.ListExportsInput{})
		if err != nil || len(exports.Exports) != len(estate.Exports[region]) {
			t.Errorf("%s: exports %v", region, err)
		}
		identity, err := sts.NewFromConfig(config(region)).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil || aws.ToString(identity.Account) != estate.Account {
			t.Errorf("%s: identity %v", region, err)
		}
	}
	parameters, err := ssm.NewFromConfig(config("us-east-1")).GetParameters(ctx, &ssm.GetParametersInput{Names: []string{"/db/name", "/none"}})
	if err != nil || len(parameters.Parameters) != 1 || len(parameters.InvalidParameters) != 1 {
		t.Errorf("parameters %+v, %v", parameters, err)
	}
	now := time.Now()
	metrics, err := cloudwatch.NewFromConfig(config("us-west-2")).GetMetricData(ctx, &cloudwatch.GetMetricDataInput{
		StartTime: aws.Time(now.Add(-time.Hour)), EndTime: aws.Time(now),
		MetricDataQueries: []cwtypes.MetricDataQuery{{Id: aws.String("lag"), MetricStat: &cwtypes.MetricStat{Period: aws.Int32(60), Stat: aws.String("Maximum"),
			Metric: &cwtypes.Metric{Namespace: aws.String("AWS/RDS"), MetricName: aws.String("ReplicaLag"),
				Dimensions: []cwtypes.Dimension{{Name: aws.String("DBInstanceIdentifier"), Value: aws.String("rds-mysql-instance-usw2")}}}}}},
	})
	if err != nil || len(metrics.MetricDataResults) != 1 || len(metrics.MetricDataResults[0].Values) != 1 || metrics.MetricDataResults[0].Values[0] != 2 {
		t.Errorf("metrics %+v, %v", metrics, err)
	}
	store := s3.NewFromConfig(config("us-west-2"), func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := store.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("a/k"), Body: strings.NewReader("text")}); err != nil {
		t.Error(err)
	}
	listed, err := store.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("b"), Prefix: aws.String("a/")})
	if err != nil || len(listed.Contents) != 1 || aws.ToInt64(listed.Contents[0].Size) != 4 {
		t.Errorf("objects %+v, %v", listed, err)
	}
}

// The answers that AWS gives to calls made the wrong way.
func TestServeAnswersWrongCallsAsAWSDoes(t *testing.T) {
	config := served(t, DefaultEstate(), "")
	ctx := context.Background()
	east, west := rds.NewFromConfig(config("us-east-1")), rds.NewFromConfig(config("us-west-2"))
	target := aws.String("arn:aws:rds:us-west-2:111122223333:cluster:dbcluster-02")
	global := aws.String("dr-globaldb-cluster-mysql")

	var state *rdstypes.InvalidDBClusterStateFault
	_, err := west.SwitchoverGlobalCluster(ctx, &rds.SwitchoverGlobalClusterInput{GlobalClusterIdentifier: global, TargetDbClusterIdentifier: target})
	if !errors.As(err, &state) {
		t.Errorf("switchover outside the primary's region: %v", err)
	}
	_, err = east.FailoverGlobalCluster(ctx, &rds.FailoverGlobalClusterInput{GlobalClusterIdentifier: global, TargetDbClusterIdentifier: target, AllowDataLoss: aws.Bool(true)})
	if !errors.As(err, &state) {
		t.Errorf("failover outside the target's region: %v", err)
	}
	out, err := west.FailoverGlobalCluster(ctx, &rds.FailoverGlobalClusterInput{GlobalClusterIdentifier: global, TargetDbClusterIdentifier: target, AllowDataLoss: aws.Bool(true)})
	if err != nil || aws.ToString(out.GlobalCluster.Status) != "failing-over" || out.GlobalCluster.FailoverState.Status != rdstypes.FailoverStatusPending || !aws.ToBool(out.GlobalCluster.GlobalClusterMembers[0].IsWriter) {
		t.Errorf("failover: %+v, %v; want failing-over, pending, the writer not yet moved", out, err)
	}
	var globalState *rdstypes.InvalidGlobalClusterStateFault
	_, err = west.FailoverGlobalCluster(ctx, &rds.FailoverGlobalClusterInput{GlobalClusterIdentifier: global, TargetDbClusterIdentifier: target, AllowDataLoss: aws.Bool(true)})
	if !errors.As(err, &globalState) {
		t.Errorf("failover again: %v", err)
	}
	replica := aws.String("rds-mysql-instance-usw2")
	promoted, err := west.PromoteReadReplica(ctx, &rds.PromoteReadReplicaInput{DBInstanceIdentifier: replica})
	if err != nil || aws.ToString(promoted.DBInstance.DBInstanceStatus) != "modifying" || aws.ToString(promoted.DBInstance.ReadReplicaSourceDBInstanceIdentifier) == "" {
		t.Errorf("promotion: %+v, %v; want modifying with its source still set", promoted, err)
	}
	var instanceState *rdstypes.InvalidDBInstanceStateFault
	if _, err := west.PromoteReadReplica(ctx, &rds.PromoteReadReplicaInput{DBInstanceIdentifier: replica}); !errors.As(err, &instanceState) {
		t.Errorf("promotion again: %v", err)
	}
	var missing *rdstypes.DBInstanceNotFoundFault
	if _, err := east.PromoteReadReplica(ctx, &rds.PromoteReadReplicaInput{DBInstanceIdentifier: replica}); !errors.As(err, &missing) {
		t.Errorf("promotion in the other region: %v", err)
	}
}

func TestServeThrottles(t *testing.T) {
	config := served(t, DefaultEstate(), "throttle@rds:DescribeGlobalClusters")
	_, err := rds.NewFromConfig(config("us-west-2"), func(o *rds.Options) { o.RetryMaxAttempts = 1 }).DescribeGlobalClusters(context.Background(), &rds.DescribeGlobalClustersInput{})
	if err == nil || !strings.Contains(err.Error(), "Throttling") {
		t.Errorf("%v", err)
	}
}
