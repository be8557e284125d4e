// Package keys looks whether the KMS keys that encrypt what a run recovers can
// be used. A database whose key is disabled is no recovery.
package keys

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/client"
)

// API is every call to KMS that looking at a key takes.
type API interface {
	DescribeKey(context.Context, *kms.DescribeKeyInput, ...func(*kms.Options)) (*kms.DescribeKeyOutput, error)
}

// Source gives the states of keys.
type Source interface {
	// State gives the state of a key, by its ARN, or by its id in a region.
	State(ctx context.Context, key, region string) (types.KeyState, error)
}

// KMS asks for each key, in the key's own region.
type KMS struct{ API func(region string) API }

// New wires the source to AWS.
func New(f *client.Factory) KMS {
	return KMS{API: func(region string) API { return kms.NewFromConfig(f.Config(region)) }}
}

// patience is how long the look at a key may take, resends included. A KMS that
// is silent must not use up the time in which a preflight sees what matters.
const patience = 5 * time.Second

// State implements Source.
func (k KMS) State(ctx context.Context, key, region string) (types.KeyState, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := k.API(regionOf(key, region)).DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String(key)})
	switch {
	case err != nil:
		return "", err
	case out.KeyMetadata == nil:
		return "", action.Errorf(action.Unreachable, "the answer says nothing of the key")
	}
	return out.KeyMetadata.KeyState, nil
}

func regionOf(key, region string) string {
	if parsed, err := arn.Parse(key); err == nil && parsed.Region != "" {
		return parsed.Region
	}
	return region
}

// Once gives a source that asks for each key once, and does not go on asking a
// region of which one question had no answer. Nil stays nil.
func Once(s Source) Source {
	if s == nil {
		return nil
	}
	return &once{source: s, known: map[string]answer{}, silent: map[string]error{}}
}

type answer struct {
	state types.KeyState
	err   error
}

type once struct {
	source Source
	known  map[string]answer
	silent map[string]error // by region
}

// State implements Source.
func (o *once) State(ctx context.Context, key, region string) (types.KeyState, error) {
	region = regionOf(key, region)
	if err := o.silent[region]; err != nil {
		return "", err
	}
	a, asked := o.known[region+"/"+key]
	if !asked {
		a.state, a.err = o.source.State(ctx, key, region)
		o.known[region+"/"+key] = a
		if a.err != nil && action.Passing(action.ClassOf(a.err)) {
			o.silent[region] = a.err
		}
	}
	return a.state, a.err
}

// judge says what the state of a key, or the failure to see it, means. A key
// that is being updated is moving the primary of its replicas and encrypts as
// ever (KMS API reference, UpdatePrimaryRegion). A key that could not be looked
// at is a warning and never in the way: many estates keep their keys in an
// account whose policies let databases use them and nobody describe them.
func judge(key string, state types.KeyState, err error) []action.Finding {
	switch {
	case err != nil && action.ClassOf(err) == action.NotFound:
		return []action.Finding{{Verdict: action.VerdictBlocked, Class: action.NotFound, Message: fmt.Sprintf("the KMS key %s that encrypts it is not there: %v", key, err)}}
	case err != nil:
		return []action.Finding{{Verdict: action.VerdictWarning, Message: fmt.Sprintf("the KMS key %s that encrypts it could not be looked at: %v", key, action.Call("describing it", err))}}
	case state == types.KeyStateEnabled || state == types.KeyStateUpdating:
		return nil
	}
	return []action.Finding{{Verdict: action.VerdictBlocked, Class: action.Refused, Message: fmt.Sprintf("the KMS key %s that encrypts it is in the state %q: it could not be read or written", key, state)}}
}

// Report puts what is seen of a key into a preflight's answer. Without a key, or
// without a source, there is nothing to say.
func Report(ctx context.Context, s Source, key, region string, ready *action.Readiness) {
	if s == nil || key == "" {
		return
	}
	state, err := s.State(ctx, key, region)
	if state != "" {
		ready.Evidence["kmsKeyState"] = string(state)
	}
	ready.Findings = append(ready.Findings, judge(key, state, err)...)
}
