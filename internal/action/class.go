package action

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Class is the kind of a failure. Its text is the error name that the state
// machine matches in Retry and Catch.
type Class string

// The classes of error. Everything a function can fail with is one of these.
const (
	InvalidInput   Class = "InvalidInput"   // the payload is wrong
	NotFound       Class = "NotFound"       // the resource is not there, in a region that answered
	Denied         Class = "Denied"         // the role may not do this
	Refused        Class = "Refused"        // a safety rule said no
	Conflict       Class = "Conflict"       // an operation of someone else is in the way
	Throttled      Class = "Throttled"      // AWS asked to come back later; nothing was done
	Queued         Class = "Queued"         // an earlier change of the same thing comes first; nothing was done
	Unreachable    Class = "Unreachable"    // nothing was sent, or a read got no answer
	Terminal       Class = "Terminal"       // the resource or its operation failed for good
	Capacity       Class = "Capacity"       // a quota or AWS's own capacity
	OutcomeUnknown Class = "OutcomeUnknown" // a mutating call was sent and its answer lost
	Internal       Class = "Internal"       // a defect of ours
)

// Classes lists every class, for tests and tables.
var Classes = []Class{
	InvalidInput, NotFound, Denied, Refused, Conflict, Throttled,
	Queued, Unreachable, Terminal, Capacity, OutcomeUnknown, Internal,
}

// Error is a failure with its class. Wrap it freely; the adapter finds it.
type Error struct {
	Class Class
	Err   error
}

// Error gives the message without the class: the class is the error's name.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error of a class, with the verbs of fmt.Errorf.
func Errorf(class Class, format string, args ...any) *Error {
	return &Error{Class: class, Err: fmt.Errorf(format, args...)}
}

// ClassOf finds the class of an error: its own where it has one, otherwise
// that of the AWS error or network failure underneath.
func ClassOf(err error) Class {
	var own *Error
	if errors.As(err, &own) {
		return own.Class
	}
	return classify(err)
}

// Call wraps the error of an AWS read with what was being done.
func Call(what string, err error) error {
	if err == nil {
		return nil
	}
	return Errorf(ClassOf(err), "%s: %w", what, plain(err))
}

// plain gives the answer of AWS, or that there was none, without the SDK's words
// around it: a person reads it in the cause of a run, where room is scarce.
func plain(err error) error {
	var api smithy.APIError
	var sending *smithyhttp.RequestSendError
	var ended interface{ CanceledError() bool }
	switch {
	case errors.As(err, &api):
		return &awsAnswer{text: api.ErrorCode() + ": " + api.ErrorMessage(), err: err}
	case errors.As(err, &sending):
		return &awsAnswer{text: "no answer: " + sending.Err.Error(), err: err}
	case errors.As(err, &ended):
		return &awsAnswer{text: "no answer in time", err: err}
	}
	return err
}

type awsAnswer struct {
	text string
	err  error
}

func (a *awsAnswer) Error() string { return a.text }
func (a *awsAnswer) Unwrap() error { return a.err }

// Mutation wraps the error of a mutating AWS call. Where the call may have
// reached AWS and nobody knows what became of it, the class is OutcomeUnknown.
// Mutating calls are sent once (see package client), so a refusal by AWS is the
// answer to this very call and not to an unseen earlier attempt.
func Mutation(what string, err error) error {
	if err == nil {
		return nil
	}
	class := ClassOf(err)
	if class == Unreachable && !neverSent(err) {
		class = OutcomeUnknown
	}
	return Errorf(class, "%s: %w", what, plain(err))
}

// codes maps AWS error codes to classes; the order of precedence is: exact
// code, then the patterns in classify. "Busy" codes are Conflict here: the
// domain looks again before it believes them.
var codes = map[string]Class{
	"Throttling": Throttled, "ThrottlingException": Throttled, "ThrottledException": Throttled,
	"RequestLimitExceeded": Throttled, "TooManyRequestsException": Throttled, "RequestThrottled": Throttled,
	"RequestThrottledException": Throttled, "SlowDown": Throttled,
	"BandwidthLimitExceeded": Throttled, "ProvisionedThroughputExceededException": Throttled,
	"ResourceContention": Throttled, "ConcurrentUpdateException": Throttled, "ScalingActivityInProgress": Throttled,

	"PriorRequestNotComplete": Queued, // of Route 53, about one zone, and soon over

	"InvalidDBInstanceState": Conflict, "InvalidDBClusterStateFault": Conflict,
	"InvalidGlobalClusterStateFault": Conflict, "InvalidGlobalReplicationGroupState": Conflict,
	"InvalidReplicationGroupState": Conflict, "ResourceInUseException": Conflict,
	"HealthCheckVersionMismatch":      Conflict,
	"ConcurrentModificationException": Conflict, // of EventBridge, about a rule
	"ConflictException":               Conflict, "IncorrectInstanceState": Conflict, "InvalidChangeSetStatus": Conflict,
	"IdempotentParameterMismatch": Conflict, "IdempotentParameterMismatchException": Conflict,

	"DBInstanceNotFound": NotFound, "DBClusterNotFoundFault": NotFound, "GlobalClusterNotFoundFault": NotFound,
	"GlobalReplicationGroupNotFoundFault": NotFound, "ReplicationGroupNotFoundFault": NotFound,
	"ParameterNotFound": NotFound, "ResourceNotFoundException": NotFound, "NoSuchKey": NotFound, "NoSuchBucket": NotFound,

	"UnauthorizedOperation": Denied, "KMSKeyNotAccessibleFault": Denied, "OptInRequired": Denied,
	"ExpiredToken": Denied, "ExpiredTokenException": Denied, "InvalidClientTokenId": Denied,
	"UnrecognizedClientException": Denied, "SignatureDoesNotMatch": Denied, "InvalidSignatureException": Denied,

	"InsufficientDBInstanceCapacity": Capacity, "InsufficientInstanceCapacity": Capacity,
	"LimitExceededException": Capacity, "LimitExceeded": Capacity,

	"InvalidParameterValue": InvalidInput, "InvalidParameterCombination": InvalidInput,
	"InvalidChangeBatch": InvalidInput, "InvalidInput": InvalidInput,
	"ValidationError": InvalidInput, "ValidationException": InvalidInput, "MissingParameter": InvalidInput,
}

// unanswered are the codes with which a service says that it failed itself.
var unanswered = map[string]bool{
	"InternalFailure": true, "InternalError": true, "InternalServerError": true, "InternalServiceError": true,
	"ServiceUnavailable": true, "ServiceUnavailableException": true, "RequestTimeout": true,
	"RequestTimeoutException": true, "RequestExpired": true, "EndpointTemporarilyUnavailableException": true,
}

func classify(err error) Class {
	var api smithy.APIError
	if errors.As(err, &api) {
		code := api.ErrorCode()
		if class, known := codes[code]; known {
			return class
		}
		switch {
		case unanswered[code]:
			return Unreachable
		case strings.HasPrefix(code, "AccessDenied"), strings.HasPrefix(code, "NotAuthorized"):
			return Denied
		case strings.Contains(code, "Quota") && strings.Contains(code, "Exceeded"), strings.HasPrefix(code, "Insufficient") && strings.Contains(code, "Capacity"):
			return Capacity
		case strings.Contains(code, "AlreadyExists"):
			return Conflict
		case strings.Contains(code, "NotFound"), strings.HasPrefix(code, "NoSuch"):
			return NotFound
		case strings.Contains(code, "Throttl"):
			return Throttled
		}
		var response *smithyhttp.ResponseError
		if errors.As(err, &response) && response.HTTPStatusCode() >= 500 {
			return Unreachable
		}
		return Terminal
	}
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		return Unreachable
	}
	var network net.Error
	var sending *smithyhttp.RequestSendError
	if errors.As(err, &network) || errors.As(err, &sending) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return Unreachable
	}
	return Internal
}

// neverSent reports whether a network failure happened before any byte of the
// request could reach AWS.
func neverSent(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return true
	}
	var dns *net.DNSError
	return errors.As(err, &dns)
}
