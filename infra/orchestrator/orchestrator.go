// Package orchestrator is the CDK construct that one region needs: functions,
// state machines, bucket, lock table, topic, queue, rule and alarms. It stands
// twice in the app, and the two have no object in common: each region works
// with the other one gone.
package orchestrator

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/aws-cdk-go/awscdk/v2/interfaces/interfacesawscloudwatch"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"dr-orchestrator/infra/config"
	"dr-orchestrator/internal/steps"
	"dr-orchestrator/statemachine"
)

// Orchestrator is everything in one region.
type Orchestrator struct {
	construct constructs.Construct
	stack     awscdk.Stack
	config    *config.Config
	region    config.Region
	build     string
	at        place
	key       awskms.IKey                         // nil: AWS's own keys
	queue     awssqs.Queue                        // of what could not be delivered, or was failed on
	rings     []interfacesawscloudwatch.IAlarmRef // every alarm
}

// New makes the construct in a stack. build is the folder with a folder for
// each built function.
func New(stack awscdk.Stack, c *config.Config, region config.Region, build string) *Orchestrator {
	o := &Orchestrator{
		construct: constructs.NewConstruct(stack, jsii.String("orchestrator")),
		stack:     stack, config: c, region: region, build: build,
		at: place{partition: *stack.Partition(), account: c.Account, region: region.Name, prefix: c.Prefix, names: c.Resources},
	}
	if region.Key != "" {
		o.key = awskms.Key_FromKeyArn(o.construct, jsii.String("key"), jsii.String(region.Key))
	}
	bucket := o.bucket()
	locks := o.lockTable()
	topic := o.topic()
	o.queue = o.deadLetters()

	environment := map[string]*string{
		"RUN_BUCKET": bucket.BucketName(), "FUNCTION_PREFIX": jsii.String(c.Prefix + "-"), "NOTICE_TOPIC": topic.TopicArn(),
		"LOCK_TABLE": locks.TableName(), "MACHINE_PREFIX": jsii.String(o.at.machineARN("")),
	}
	arns := map[string]*string{}
	for _, f := range functions() {
		switch {
		case f.name == statemachine.CloseRun:
			o.closing(o.function(f, environment), o.queue)
		case f.name == steps.GuardTrigger:
			o.triggers(o.function(f, environment), o.queue)
		case f.name == steps.CheckPlans:
			o.checking(o.function(f, environment), o.queue)
		case f.isStep:
			arns[f.name] = o.function(f, environment).FunctionArn()
		default:
			o.function(f, nil)
		}
	}
	o.machines(arns)
	o.alarms(topic, o.queue)
	o.readinessAlarms(topic)
	o.functionAlarms(topic)
	o.switches(topic)
	o.dashboard()
	if region.VPC != nil {
		o.endpoints()
	}
	o.output("RunBucket", "Documents and reports of runs", bucket.BucketName())
	o.output("NoticeTopic", "Tells of every end of a run, and of alarms", topic.TopicArn())
	return o
}

// logGroup makes a group whose streams are kept as long as configured.
func (o *Orchestrator) logGroup(id, name string) awslogs.LogGroup {
	group := awslogs.NewLogGroup(o.construct, jsii.String(id), &awslogs.LogGroupProps{
		LogGroupName: jsii.String(name), EncryptionKey: o.key, RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
	// The class takes the periods as an enumeration, the resource as days.
	group.Node().DefaultChild().(awslogs.CfnLogGroup).SetRetentionInDays(jsii.Number(o.config.LogRetentionDays))
	return group
}

// bucket holds payloads and the documents and reports of runs. It outlives the
// stack: a report is evidence.
func (o *Orchestrator) bucket() awss3.Bucket {
	encryption := awss3.BucketEncryption_S3_MANAGED
	if o.key != nil {
		encryption = awss3.BucketEncryption_KMS
	}
	bucket := awss3.NewBucket(o.construct, jsii.String("runs"), &awss3.BucketProps{
		BucketName:        jsii.String(o.at.bucket()),
		Versioned:         jsii.Bool(true),
		Encryption:        encryption,
		EncryptionKey:     o.key,
		BucketKeyEnabled:  jsii.Bool(o.key != nil),
		EnforceSSL:        jsii.Bool(true),
		MinimumTLSVersion: jsii.Number(1.2),
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
		ObjectOwnership:   awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED,
		RemovalPolicy:     awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE,
		LifecycleRules: &[]*awss3.LifecycleRule{{
			AbortIncompleteMultipartUploadAfter: awscdk.Duration_Days(jsii.Number(7)),
		}},
	})
	suppress(bucket, "AwsSolutions-S1", "who read which report is a question for the data events of CloudTrail, which an account switches on for all its buckets")
	return bucket
}

// lockTable says which execution works on a resource. Locks are of a region,
// for a run must not wait for the other one.
func (o *Orchestrator) lockTable() awsdynamodb.Table {
	encryption := awsdynamodb.TableEncryption_DEFAULT
	if o.key != nil {
		encryption = awsdynamodb.TableEncryption_CUSTOMER_MANAGED
	}
	return awsdynamodb.NewTable(o.construct, jsii.String("locks"), &awsdynamodb.TableProps{
		TableName:           jsii.String(o.at.prefix + "-locks"),
		PartitionKey:        &awsdynamodb.Attribute{Name: jsii.String("resource"), Type: awsdynamodb.AttributeType_STRING},
		BillingMode:         awsdynamodb.BillingMode_PAY_PER_REQUEST,
		TimeToLiveAttribute: jsii.String("expires"),
		PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: jsii.Bool(true),
		},
		DeletionProtection: jsii.Bool(true),
		Encryption:         encryption,
		EncryptionKey:      o.key,
		RemovalPolicy:      awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE,
	})
}

// output tells of a name that a person or a script wants to know.
func (o *Orchestrator) output(name, description string, value *string) {
	awscdk.NewCfnOutput(o.stack, jsii.String(name), &awscdk.CfnOutputProps{
		Description: jsii.String(description), Value: value,
	})
}
