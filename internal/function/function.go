// Package function starts a Lambda function: one call in each main.
package function

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
	"dr-orchestrator/internal/resolve"
)

// Start runs the function of an action until Lambda ends it.
func Start(newAction func(*client.Factory, action.Secrets, func() time.Time) lambda.Handler) {
	Main(func(f *client.Factory) lambda.Handler { return newAction(f, Secrets(f), time.Now) })
}

// Main runs any function until Lambda ends it.
func Main(newHandler func(*client.Factory) lambda.Handler) {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	f, err := client.Load(context.Background())
	if err != nil {
		slog.Error("the function cannot start", "error", err)
		os.Exit(1)
	}
	lambda.Start(newHandler(f))
}

// Secrets reads secrets in the region of the function.
func Secrets(f *client.Factory) action.Secrets {
	return reader{&resolve.Reader{Parameters: ssm.NewFromConfig(f.Config("")), Secrets: secretsmanager.NewFromConfig(f.Config(""))}}
}

type reader struct{ *resolve.Reader }

// Redact takes secrets out of a text.
func (reader) Redact(text []byte, secrets []string) []byte { return resolve.Redact(text, secrets) }
