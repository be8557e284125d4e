package action

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	cloudformationtypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	elasticachetypes "github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	secretstypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// coded is an error as AWS sends it for a code that the SDK has no type for.
func coded(code string) error { return &smithy.GenericAPIError{Code: code, Message: "said AWS"} }

// answered puts an HTTP status around an error, as the SDK's clients do.
func answered(status int, err error) error {
	return &smithy.OperationError{ServiceID: "RDS", OperationName: "PromoteReadReplica", Err: &awshttp.ResponseError{
		RequestID: "r-1",
		ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status, Header: http.Header{}}}, Err: err,
		},
	}}
}

// unsent is a request that ended in the HTTP client.
func unsent(err error) error {
	return &smithy.OperationError{ServiceID: "RDS", OperationName: "PromoteReadReplica", Err: &smithyhttp.RequestSendError{Err: err}}
}

var (
	dialing = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	reading = &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}
	naming  = &net.DNSError{Err: "no such host", Name: "rds.us-west-2.amazonaws.com", IsNotFound: true}
)

func TestClassOfCodes(t *testing.T) {
	table := map[Class][]string{
		Throttled: {
			"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException", "SlowDown",
			"ResourceContention", "ConcurrentUpdateException", "ScalingActivityInProgress",
			"ThrottledException", "RequestThrottled", "RequestThrottledException", "EC2ThrottledException",
			"BandwidthLimitExceeded", "ProvisionedThroughputExceededException",
		},
		Queued: {"PriorRequestNotComplete"},
		Conflict: {
			"InvalidDBInstanceState", "InvalidDBClusterStateFault", "InvalidGlobalClusterStateFault", "InvalidGlobalReplicationGroupState",
			"InvalidReplicationGroupState", "ConflictException", "ResourceInUseException", "IncorrectInstanceState", "InvalidChangeSetStatus",
			"DBInstanceAlreadyExists", "ExecutionAlreadyExists", "GlobalClusterAlreadyExistsFault",
			"IdempotentParameterMismatch", "IdempotentParameterMismatchException",
		},
		NotFound: {
			"DBInstanceNotFound", "DBClusterNotFoundFault", "GlobalClusterNotFoundFault", "GlobalReplicationGroupNotFoundFault",
			"ReplicationGroupNotFoundFault", "ParameterNotFound", "ResourceNotFoundException", "NoSuchKey", "NoSuchBucket",
			"NoSuchHostedZone", "NoSuchChange", "ChangeSetNotFound", "InvalidInstanceID.NotFound", "DBSnapshotNotFound",
		},
		Denied: {
			"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "KMSKeyNotAccessibleFault", "NotAuthorized",
			"ExpiredToken", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "OptInRequired",
		},
		Capacity: {
			"InsufficientDBInstanceCapacity", "InsufficientInstanceCapacity", "InstanceQuotaExceeded", "SnapshotQuotaExceeded",
			"StorageQuotaExceeded", "ServiceQuotaExceededException", "LimitExceededException", "NodeQuotaForCustomerExceeded",
			"InsufficientCacheClusterCapacity", "InsufficientDBClusterCapacityFault",
		},
		InvalidInput: {"InvalidParameterValue", "InvalidParameterCombination", "ValidationException", "ValidationError", "MissingParameter"},
		Unreachable: {
			"InternalFailure", "InternalError", "InternalServerError", "ServiceUnavailable", "ServiceUnavailableException",
			"RequestTimeout", "RequestTimeoutException", "EndpointTemporarilyUnavailableException",
		},
	}
	for class, codes := range table {
		for _, code := range codes {
			t.Run(code, func(t *testing.T) {
				for shape, err := range map[string]error{
					"bare":    coded(code),
					"400":     answered(400, coded(code)),
					"wrapped": fmt.Errorf("promoting: %w", answered(400, coded(code))),
					"joined":  errors.Join(answered(400, coded(code)), errors.New("sent once")),
				} {
					if got := ClassOf(err); got != class {
						t.Errorf("%s: class %s, want %s", shape, got, class)
					}
				}
			})
		}
	}
}

// The list of throttling codes is the SDK's own: a release that adds one is
// noticed here. What the SDK calls throttling and we do not is named.
func TestClassOfThrottleCodesOfTheSDK(t *testing.T) {
	otherwise := map[string]bool{
		"LimitExceededException":         true, // a quota in most services
		"PriorRequestNotComplete":        true, // about one zone, not an account
		"TransactionInProgressException": true, // DynamoDB transactions, which no action makes
	}
	for code := range retry.DefaultThrottleErrorCodes {
		if got := ClassOf(coded(code)); got != Throttled && !otherwise[code] {
			t.Errorf("%s: class %s, want %s", code, got, Throttled)
		}
	}
	for code := range retry.DefaultRetryableErrorCodes {
		if got := ClassOf(coded(code)); got != Unreachable {
			t.Errorf("%s: class %s, want %s", code, got, Unreachable)
		}
	}
}

func TestClassOfTypesOfTheSDK(t *testing.T) {
	for _, tt := range []struct {
		err  smithy.APIError
		want Class
	}{
		{&rdstypes.DBInstanceNotFoundFault{}, NotFound},
		{&rdstypes.DBClusterNotFoundFault{}, NotFound},
		{&rdstypes.GlobalClusterNotFoundFault{}, NotFound},
		{&rdstypes.InvalidDBInstanceStateFault{}, Conflict},
		{&rdstypes.InvalidDBClusterStateFault{}, Conflict},
		{&rdstypes.InvalidGlobalClusterStateFault{}, Conflict},
		{&rdstypes.KMSKeyNotAccessibleFault{}, Denied},
		{&rdstypes.InsufficientDBInstanceCapacityFault{}, Capacity},
		{&rdstypes.SnapshotQuotaExceededFault{}, Capacity},
		{&elasticachetypes.GlobalReplicationGroupNotFoundFault{}, NotFound},
		{&elasticachetypes.ReplicationGroupNotFoundFault{}, NotFound},
		{&elasticachetypes.InvalidGlobalReplicationGroupStateFault{}, Conflict},
		{&elasticachetypes.InvalidParameterValueException{}, InvalidInput},
		{&elasticachetypes.InvalidParameterCombinationException{}, InvalidInput},
		{&s3types.NoSuchKey{}, NotFound},
		{&s3types.NoSuchBucket{}, NotFound},
		{&ssmtypes.ParameterNotFound{}, NotFound},
		{&ssmtypes.InternalServerError{}, Unreachable},
		{&secretstypes.ResourceNotFoundException{}, NotFound},
		{&secretstypes.InternalServiceError{}, Unreachable},
		{&cloudformationtypes.ChangeSetNotFoundException{}, NotFound},
	} {
		t.Run(tt.err.ErrorCode(), func(t *testing.T) {
			if got := ClassOf(answered(400, tt.err)); got != tt.want {
				t.Errorf("class %s, want %s", got, tt.want)
			}
		})
	}
}

// A read that got no answer is Unreachable. A mutating call without one is
// OutcomeUnknown, unless no byte of it can have left.
func TestClassOfMissingAnswers(t *testing.T) {
	for _, tt := range []struct {
		name     string
		err      error
		read     Class
		mutating Class
	}{
		{"dial", unsent(dialing), Unreachable, Unreachable},
		{"name", unsent(naming), Unreachable, Unreachable},
		{"name inside dial", unsent(&net.OpError{Op: "dial", Err: naming}), Unreachable, Unreachable},
		{"read", unsent(reading), Unreachable, OutcomeUnknown},
		{"end of file", unsent(io.EOF), Unreachable, OutcomeUnknown},
		{"deadline", unsent(context.DeadlineExceeded), Unreachable, OutcomeUnknown},
		{"bare deadline", context.DeadlineExceeded, Unreachable, OutcomeUnknown},
		{"canceled by the SDK", &aws.RequestCanceledError{Err: context.Canceled}, Unreachable, OutcomeUnknown},
		{"503 without a code", answered(503, errors.New("no body")), Unreachable, OutcomeUnknown},
		{"502 with an unknown code", answered(502, coded("UnknownError")), Unreachable, OutcomeUnknown},
		{"500 InternalFailure", answered(500, coded("InternalFailure")), Unreachable, OutcomeUnknown},
		{"200 that cannot be decoded", answered(200, &smithy.DeserializationError{Err: io.ErrUnexpectedEOF}), Unreachable, OutcomeUnknown},
		{"503 with a code that no list has", answered(503, coded("ServiceUnavailableFault")), Unreachable, OutcomeUnknown},
		{"503 SlowDown", answered(503, coded("SlowDown")), Throttled, Throttled},
		{"500 ResourceContention", answered(500, coded("ResourceContention")), Throttled, Throttled},
		{"400 with an unknown code", answered(400, coded("SomethingNew")), Terminal, Terminal},
		{"busy", answered(400, &rdstypes.InvalidDBInstanceStateFault{}), Conflict, Conflict},
		{"denied", answered(403, coded("AccessDenied")), Denied, Denied},
		{"not from AWS", errors.New("some defect"), Internal, Internal},
		{"our own", Errorf(Refused, "no"), Refused, Refused},
		{"our own around AWS's", fmt.Errorf("x: %w", Errorf(Refused, "no: %w", unsent(reading))), Refused, Refused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ClassOf(tt.err); got != tt.read {
				t.Errorf("class %s, want %s", got, tt.read)
			}
			read := Call("describing x", tt.err)
			if got := ClassOf(read); got != tt.read {
				t.Errorf("class of the read %s, want %s", got, tt.read)
			}
			mutation := Mutation("promoting x", tt.err)
			if got := ClassOf(mutation); got != tt.mutating {
				t.Errorf("class of the mutation %s, want %s", got, tt.mutating)
			}
			if !errors.Is(mutation, tt.err) || !errors.Is(read, tt.err) {
				t.Error("the cause is not in the chain any more")
			}
		})
	}
	if Call("x", nil) != nil || Mutation("x", nil) != nil {
		t.Error("no error became one")
	}
}

// A person reads what AWS said, or that it said nothing, and not how often the
// SDK has asked.
func TestTheWordsOfTheSDKAreLeftOut(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"an answer", answered(400, coded("Busy")), "x: Busy: "},
		{"none", unsent(dialing), "x: no answer: " + dialing.Error()},
		{"none, and no more tries", errors.Join(unsent(reading), errors.New("failed to get rate limit token")), "x: no answer: " + reading.Error()},
		{"none in time", &smithy.OperationError{ServiceID: "RDS", OperationName: "Y", Err: &smithy.CanceledError{Err: context.DeadlineExceeded}}, "x: no answer in time"},
		{"our own", errors.New("a defect"), "x: a defect"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if read, mutation := Call("x", tt.err).Error(), Mutation("x", tt.err).Error(); !strings.HasPrefix(read, tt.want) || mutation != read || strings.Contains(read, "StatusCode") {
				t.Errorf("%q and %q, want %q", read, mutation, tt.want)
			}
		})
	}
}

// Every class can be told apart in the state machine, and none is the same as
// a name of Step Functions or Lambda.
func TestClasses(t *testing.T) {
	seen := map[Class]bool{}
	for _, class := range Classes {
		if class == "" || seen[class] {
			t.Errorf("%q is empty or comes twice", class)
		}
		seen[class] = true
		if got := ClassOf(fmt.Errorf("a: %w", Errorf(class, "b"))); got != class {
			t.Errorf("class %s, want %s", got, class)
		}
	}
	for _, class := range codes {
		if !seen[class] {
			t.Errorf("the table of codes uses %s, which is not in Classes", class)
		}
	}
}
