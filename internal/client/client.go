// Package client builds AWS clients the way every function needs them: one
// configuration per region, short time-outs, bounded retries of reads, and
// mutating calls that are sent exactly once.
package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"dr-orchestrator/internal/audit"
)

// Time-outs of the HTTP client. They are short, because a region that does
// not answer must be known as such within one invocation.
const (
	DialTimeout     = 2 * time.Second
	ResponseTimeout = 15 * time.Second
)

// Attempts is how often a read is tried, the first time included.
const Attempts = 3

// Factory gives the AWS configuration of each region.
type Factory struct {
	// Region is the region of the run: where the function itself runs.
	Region string
	// Exchange sends a DNS message to a name server and gives its answer; nil
	// means over the network. The lab puts its own name servers here.
	Exchange func(ctx context.Context, server string, query []byte) ([]byte, error)

	base aws.Config
}

// New makes a factory from a finished configuration; the lab uses it to put
// its own transport, clock and credentials underneath.
func New(base aws.Config) *Factory {
	base.APIOptions = append(base.APIOptions[:len(base.APIOptions):len(base.APIOptions)], noteCalls)
	return &Factory{Region: base.Region, base: base}
}

// Load makes a factory from the environment of a Lambda function.
func Load(ctx context.Context) (*Factory, error) {
	base, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(HTTPClient()), config.WithRetryer(Retryer(nil)))
	if err != nil {
		return nil, fmt.Errorf("loading the AWS configuration: %w", err)
	}
	if base.Region == "" {
		return nil, fmt.Errorf("no AWS region is set")
	}
	return New(base), nil
}

// HTTPClient is the client that functions talk to AWS with. It is the SDK's
// own kind, which takes on AWS_CA_BUNDLE and the like.
func HTTPClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = DialTimeout }).
		WithTransportOptions(func(t *http.Transport) {
			t.TLSHandshakeTimeout = DialTimeout
			t.ResponseHeaderTimeout = ResponseTimeout
		})
}

// Retryer gives the retry policy of all clients. A backoff other than nil
// replaces the SDK's jittered exponential one.
func Retryer(backoff retry.BackoffDelayer) func() aws.Retryer {
	return func() aws.Retryer {
		return once{retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = Attempts
			o.MaxBackoff = 3 * time.Second
			if backoff != nil {
				o.Backoff = backoff
			}
		})}
	}
}

// once lets the SDK resend only calls that are safe to repeat. A mutating call
// whose answer is lost must not be sent again unseen: its resend would be
// answered about the first sending, and the next look at the resource decides
// better than a blind repetition.
type once struct{ *retry.Standard }

var errSentOnce = errors.New("a call that changes something is sent once")

// GetRetryToken refuses the token where a resend is not wanted.
func (o once) GetRetryToken(ctx context.Context, err error) (func(error) error, error) {
	if !repeatable(middleware.GetOperationName(ctx)) {
		return nil, errSentOnce
	}
	return o.Standard.GetRetryToken(ctx, err)
}

func repeatable(operation string) bool {
	for _, prefix := range []string{"Describe", "Get", "List", "Head"} {
		if strings.HasPrefix(operation, prefix) {
			return true
		}
	}
	switch operation {
	case "PutObject": // writes the whole object: the same again is the same
		return true
	case "PutItem", "DeleteItem": // of locks, each on the condition that it is ours
		return true
	case "Publish", "PutEvents": // a message told twice is better than none
		return true
	}
	return false
}

// Config gives the configuration of a region; empty means the run's own.
func (f *Factory) Config(region string) aws.Config {
	cfg := f.base.Copy()
	if region != "" {
		cfg.Region = region
	}
	return cfg
}

// Impatient gives the configuration of a region for a service with several
// equal endpoints: one attempt, and no longer than a time for each of reaching
// an endpoint, shaking hands with it and hearing its answer.
func (f *Factory) Impatient(region string, patience time.Duration) aws.Config {
	cfg := f.Config(region)
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	switch c := cfg.HTTPClient.(type) {
	case *awshttp.BuildableClient:
		cfg.HTTPClient = c.
			WithDialerOptions(func(d *net.Dialer) { d.Timeout = patience }).
			WithTransportOptions(func(t *http.Transport) {
				t.TLSHandshakeTimeout = patience
				t.ResponseHeaderTimeout = patience
			})
	case interface {
		Impatient(time.Duration) aws.HTTPClient
	}:
		cfg.HTTPClient = c.Impatient(patience)
	}
	return cfg
}

// noteCalls has every mutating call noted by the recorder of its context, with
// what became of it.
func noteCalls(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("NoteCalls", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		recorder, operation := audit.From(ctx), middleware.GetOperationName(ctx)
		if recorder == nil || repeatable(operation) {
			return next.HandleInitialize(ctx, in)
		}
		if recorder.Late {
			recorder.TurnedAway = true
			return middleware.InitializeOutput{}, middleware.Metadata{}, audit.ErrLate
		}
		call := audit.Call{At: recorder.Now(), Operation: operation,
			Service: prefix(awsmiddleware.GetServiceID(ctx))}
		out, metadata, err := next.HandleInitialize(ctx, in)
		call.RequestID, _ = awsmiddleware.GetRequestIDMetadata(metadata)
		if err != nil {
			call.RequestID, call.Error = refused(err)
		}
		recorder.Note(call)
		return out, metadata, err
	}), middleware.After)
}

// prefix gives the name that IAM has for a service.
func prefix(serviceID string) string {
	switch name := strings.ToLower(strings.ReplaceAll(serviceID, " ", "-")); name {
	case "eventbridge":
		return "events"
	case "route-53":
		return "route53"
	case "s3-control":
		return "s3"
	default:
		return name
	}
}

// refused gives the request id and the words of AWS's refusal of a call. An
// answer that says that the service failed has an id, and does not say that
// nothing was changed.
func refused(err error) (id, text string) {
	var answered interface{ ServiceRequestID() string }
	if errors.As(err, &answered) {
		id = answered.ServiceRequestID()
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		return id, api.ErrorCode() + ": " + api.ErrorMessage()
	}
	return id, "no answer: " + err.Error()
}
