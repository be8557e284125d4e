package keys

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"dr-orchestrator/internal/action"
)

const (
	key     = "arn:aws:kms:us-west-2:111122223333:key/1"
	another = "arn:aws:kms:us-west-2:111122223333:key/2"
	eastern = "arn:aws:kms:us-east-1:111122223333:key/1"
)

// service is KMS of every region.
type service struct {
	state types.KeyState
	err   error
	bare  bool // the answer holds nothing
	asked []string
}

func (s *service) in(region string) API { return api{s, region} }

type api struct {
	*service
	region string
}

func (a api) DescribeKey(_ context.Context, in *kms.DescribeKeyInput, _ ...func(*kms.Options)) (*kms.DescribeKeyOutput, error) {
	a.asked = append(a.asked, a.region+" "+aws.ToString(in.KeyId))
	a.service.asked = a.asked
	if a.err != nil || a.bare {
		return &kms.DescribeKeyOutput{}, a.err
	}
	return &kms.DescribeKeyOutput{KeyMetadata: &types.KeyMetadata{KeyState: a.state}}, nil
}

func coded(code string) error { return &smithy.GenericAPIError{Code: code, Message: "said AWS"} }

// A key that can be used says nothing, one that cannot is in the way, and one
// that nobody could look at is told.
func TestReport(t *testing.T) {
	for _, tt := range []struct {
		name    string
		service service
		verdict action.Verdict
		class   action.Class
	}{
		{"enabled", service{state: types.KeyStateEnabled}, action.VerdictReady, ""},
		{"updating", service{state: types.KeyStateUpdating}, action.VerdictReady, ""},
		{"disabled", service{state: types.KeyStateDisabled}, action.VerdictBlocked, action.Refused},
		{"creating", service{state: types.KeyStateCreating}, action.VerdictBlocked, action.Refused},
		{"to be deleted", service{state: types.KeyStatePendingDeletion}, action.VerdictBlocked, action.Refused},
		{"without material", service{state: types.KeyStatePendingImport}, action.VerdictBlocked, action.Refused},
		{"primary of replicas, to be deleted", service{state: types.KeyStatePendingReplicaDeletion}, action.VerdictBlocked, action.Refused},
		{"its store is not connected", service{state: types.KeyStateUnavailable}, action.VerdictBlocked, action.Refused},
		{"a state that nobody knows", service{state: "Pondering"}, action.VerdictBlocked, action.Refused},
		{"not there", service{err: coded("NotFoundException")}, action.VerdictBlocked, action.NotFound},
		{"denied", service{err: coded("AccessDeniedException")}, action.VerdictWarning, ""},
		{"throttled", service{err: coded("ThrottlingException")}, action.VerdictWarning, ""},
		{"silent", service{err: context.DeadlineExceeded}, action.VerdictWarning, ""},
		{"nothing in the answer", service{bare: true}, action.VerdictWarning, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ready := action.Readiness{Evidence: action.Evidence{}}
			Report(t.Context(), KMS{tt.service.in}, key, "us-west-2", &ready)
			if ready.Verdict() != tt.verdict {
				t.Fatalf("%s: %+v", ready.Verdict(), ready.Findings)
			}
			for _, f := range ready.Findings {
				if f.Class != tt.class {
					t.Errorf("class %s: %s", f.Class, f.Message)
				}
			}
			if got := ready.Evidence["kmsKeyState"]; tt.service.state != "" && got != string(tt.service.state) {
				t.Errorf("evidence %v", got)
			}
		})
	}
}

func TestNothingToLookAt(t *testing.T) {
	s := service{state: types.KeyStateDisabled}
	ready := action.Readiness{Evidence: action.Evidence{}}
	Report(t.Context(), KMS{s.in}, "", "us-west-2", &ready)
	Report(t.Context(), nil, key, "us-west-2", &ready)
	if len(s.asked) > 0 || len(ready.Findings) > 0 || Once(nil) != nil {
		t.Errorf("asked %v, found %+v", s.asked, ready.Findings)
	}
}

// A key is asked for in its own region; one without an ARN in the target's.
func TestRegions(t *testing.T) {
	s := service{state: types.KeyStateEnabled}
	for _, k := range []string{eastern, "1"} {
		if _, err := (KMS{s.in}).State(t.Context(), k, "us-west-2"); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"us-east-1 " + eastern, "us-west-2 1"}; len(s.asked) != 2 || s.asked[0] != want[0] || s.asked[1] != want[1] {
		t.Errorf("asked %v, want %v", s.asked, want)
	}
}

func TestOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		err   error
		calls int // for two keys of one region and one of another, each twice
	}{
		{"answered", nil, 3},
		{"denied: another key may be allowed", coded("AccessDeniedException"), 3},
		{"silent: a region is not asked again", context.DeadlineExceeded, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := service{state: types.KeyStateEnabled, err: tt.err}
			source := Once(KMS{s.in})
			for _, k := range []string{key, another, eastern, key, another, eastern} {
				if state, err := source.State(t.Context(), k, "us-west-2"); !errors.Is(err, tt.err) || (err == nil && state != types.KeyStateEnabled) {
					t.Errorf("%s: %s, %v", k, state, err)
				}
			}
			if len(s.asked) != tt.calls {
				t.Errorf("asked %v", s.asked)
			}
		})
	}
}

// hung answers when its caller gives up.
type hung struct{}

func (hung) DescribeKey(ctx context.Context, _ *kms.DescribeKeyInput, _ ...func(*kms.Options)) (*kms.DescribeKeyOutput, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A KMS that never answers takes a few seconds, once, and is told.
func TestSilenceDoesNotLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := Once(KMS{func(string) API { return hung{} }})
		begin := time.Now()
		for _, k := range []string{key, another} {
			ready := action.Readiness{Evidence: action.Evidence{}}
			Report(t.Context(), source, k, "us-west-2", &ready)
			if ready.Verdict() != action.VerdictWarning {
				t.Errorf("%+v", ready.Findings)
			}
		}
		if took := time.Since(begin); took != patience {
			t.Errorf("it took %s", took)
		}
	})
}
