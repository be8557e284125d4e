package run

import (
	"io"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/lock"
	"dr-orchestrator/internal/resolve"
)

// Environment is what a deployment tells the steps.
type Environment struct {
	Bucket         string // of the documents of runs
	FunctionPrefix string // begins the name of every function
	Topic          string // ARN of the SNS topic for messages; empty: none
	LockTable      string // name of the DynamoDB table of locks
	MachinePrefix  string // begins the ARN of every state machine
	// Metrics is where metrics are written: the log; nil: nowhere.
	Metrics io.Writer
}

// Deployment is the name of the deployment, as metrics carry it.
func (e Environment) Deployment() string { return strings.TrimSuffix(e.FunctionPrefix, "-") }

// Deployed makes a step with what its deployment tells it in environment
// variables.
func Deployed(newStep func(*client.Factory, Environment, func() time.Time) lambda.Handler) func(*client.Factory) lambda.Handler {
	return func(f *client.Factory) lambda.Handler {
		return newStep(f, Environment{
			Bucket: os.Getenv("RUN_BUCKET"), FunctionPrefix: os.Getenv("FUNCTION_PREFIX"), Topic: os.Getenv("NOTICE_TOPIC"),
			LockTable: os.Getenv("LOCK_TABLE"), MachinePrefix: os.Getenv("MACHINE_PREFIX"), Metrics: os.Stdout,
		}, time.Now)
	}
}

// Steps is every step function by its folder.
var Steps = map[string]func(*client.Factory, Environment, func() time.Time) lambda.Handler{
	"prepare-run": NewPrepare, "record-readiness": NewRecordReadiness, "request-approval": NewRequestApproval, "set-locks": NewSetLocks, "record-layer": NewRecordLayer, "record-report": NewRecordReport,
	"close-run": NewClose,
}

func newStore(f *client.Factory, env Environment) Store {
	return Store{S3: s3.NewFromConfig(f.Config("")), Bucket: env.Bucket}
}

// NewPrepare wires the step PrepareRun to AWS.
func NewPrepare(f *client.Factory, env Environment, _ func() time.Time) lambda.Handler {
	parameters := func(region string) resolve.Parameters { return ssm.NewFromConfig(f.Config(region)) }
	p := Preparer{Store: newStore(f, env), Events: eventbridge.NewFromConfig(f.Config("")), FunctionPrefix: env.FunctionPrefix, Parameters: parameters, Resolver: func(region string) Resolver {
		return resolve.Resolver{
			Region: region, Exports: cloudformation.NewFromConfig(f.Config(region)),
			Parameters: ssm.NewFromConfig(f.Config(region)), Secrets: secretsmanager.NewFromConfig(f.Config(region)),
		}
	}}
	return action.Step[PrepareInput, Prepared](p.Prepare)
}

// NewRecordReadiness wires the step RecordReadiness to AWS.
func NewRecordReadiness(f *client.Factory, env Environment, _ func() time.Time) lambda.Handler {
	return action.Step[ReadinessInput, Readiness](newStore(f, env).RecordReadiness)
}

// NewRequestApproval wires the step RequestApproval to AWS.
func NewRequestApproval(f *client.Factory, env Environment, now func() time.Time) lambda.Handler {
	a := Approver{Store: newStore(f, env), Events: eventbridge.NewFromConfig(f.Config("")), Notices: sns.NewFromConfig(f.Config("")), Topic: env.Topic, Now: now}
	return action.Step[ApprovalInput, Requested](a.Request)
}

// NewSetLocks wires the steps LockResources and UnlockResources to AWS.
func NewSetLocks(f *client.Factory, env Environment, now func() time.Time) lambda.Handler {
	l := Locker{Store: newStore(f, env), Now: now, Locks: newLocks(f, env)}
	return action.Step[LocksInput, Locked](l.Set)
}

// NewRecordLayer wires the step RecordLayer to AWS.
func NewRecordLayer(f *client.Factory, env Environment, now func() time.Time) lambda.Handler {
	l := LayerRecorder{Store: newStore(f, env), Events: eventbridge.NewFromConfig(f.Config("")), Now: now}
	return action.Step[LayerInput, LayerOutcome](l.Record)
}

// NewRecordReport wires the step RecordReport to AWS.
func NewRecordReport(f *client.Factory, env Environment, now func() time.Time) lambda.Handler {
	return action.Step[ReportInput, Reported](newReporter(f, env, now).Record)
}

func newReporter(f *client.Factory, env Environment, now func() time.Time) Reporter {
	return Reporter{Store: newStore(f, env), Events: eventbridge.NewFromConfig(f.Config("")), Notices: sns.NewFromConfig(f.Config("")), Topic: env.Topic, Now: now,
		Deployment: env.Deployment(), Metrics: env.Metrics}
}

// NewClose wires the step that closes a run whose machine was stopped.
func NewClose(f *client.Factory, env Environment, now func() time.Time) lambda.Handler {
	c := Closer{Reporter: newReporter(f, env, now), Executions: sfn.NewFromConfig(f.Config(""))}
	return action.Step[CloseInput, Closed](c.Close)
}

func newLocks(f *client.Factory, env Environment) lock.Locks {
	return lock.Locks{Table: dynamodb.NewFromConfig(f.Config("")), Executions: sfn.NewFromConfig(f.Config("")), Name: env.LockTable}
}
