package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

type fakeMachines struct {
	names             []string
	running           map[string][]string // by machine
	listErr, countErr error
}

func (f fakeMachines) ListStateMachines(_ context.Context, in *sfn.ListStateMachinesInput, _ ...func(*sfn.Options)) (*sfn.ListStateMachinesOutput, error) {
	if f.listErr != nil {
		return nil, f.listErr
	}
	// One name on a page, to see that all pages are read.
	first := 0
	if in.NextToken != nil {
		first = len(*in.NextToken)
	}
	if first >= len(f.names) {
		return &sfn.ListStateMachinesOutput{}, nil
	}
	return &sfn.ListStateMachinesOutput{
		StateMachines: []sfntypes.StateMachineListItem{{Name: aws.String(f.names[first]), StateMachineArn: aws.String(f.names[first])}},
		NextToken:     aws.String(strings.Repeat("x", first+1)),
	}, nil
}

func (f fakeMachines) ListExecutions(_ context.Context, in *sfn.ListExecutionsInput, _ ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error) {
	if f.countErr != nil {
		return nil, f.countErr
	}
	if in.StatusFilter != sfntypes.ExecutionStatusRunning {
		return nil, errors.New("asked for executions that ended")
	}
	out := &sfn.ListExecutionsOutput{}
	for _, name := range f.running[*in.StateMachineArn] {
		out.Executions = append(out.Executions, sfntypes.ExecutionListItem{ExecutionArn: aws.String(name)})
	}
	return out, nil
}

func TestIdle(t *testing.T) {
	broken := errors.New("no route to host")
	all := []string{"other", "p-failover", "p-failback"}
	for _, tt := range []struct {
		name string
		fake fakeMachines
		want []string
	}{
		{"nothing deployed", fakeMachines{}, nil},
		{"nothing runs", fakeMachines{names: all}, nil},
		{"another machine runs", fakeMachines{names: all, running: map[string][]string{"other": {"x"}}}, nil},
		{"a failback runs", fakeMachines{names: all, running: map[string][]string{"p-failback": {"x"}}}, []string{"an execution runs: x"}},
		{"several run", fakeMachines{names: all, running: map[string][]string{"p-failover": {"x", "y"}, "p-failback": {"z"}}}, []string{": x", ": y", ": z"}},
		{"the region does not answer", fakeMachines{listErr: broken}, []string{"not known"}},
		{"the executions cannot be listed", fakeMachines{names: all, countErr: broken}, []string{"not known"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := target{prefix: "p", side: "primary", region: "r", machines: tt.fake}.idle(t.Context())
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("err = %v", err)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("err = %v, want %q in it", err, part)
				}
			}
		})
	}
}

type fakeStacks struct {
	calls []string
	err   error
}

func (f *fakeStacks) SetStackPolicy(_ context.Context, in *cloudformation.SetStackPolicyInput, _ ...func(*cloudformation.Options)) (*cloudformation.SetStackPolicyOutput, error) {
	f.calls = append(f.calls, "policy "+*in.StackName)
	return &cloudformation.SetStackPolicyOutput{}, f.err
}

func (f *fakeStacks) UpdateTerminationProtection(_ context.Context, in *cloudformation.UpdateTerminationProtectionInput, _ ...func(*cloudformation.Options)) (*cloudformation.UpdateTerminationProtectionOutput, error) {
	if *in.EnableTerminationProtection {
		return nil, errors.New("asked to protect")
	}
	f.calls = append(f.calls, "unprotect "+*in.StackName)
	return &cloudformation.UpdateTerminationProtectionOutput{}, f.err
}

func TestSealAndUnprotect(t *testing.T) {
	absent := &smithy.GenericAPIError{Code: "ValidationError", Message: "Stack [p-primary] does not exist"}
	denied := &smithy.GenericAPIError{Code: "AccessDenied", Message: "no"}
	for _, tt := range []struct {
		name string
		do   func(target, context.Context) error
		err  error
		call string
		fail bool
	}{
		{"seal", target.seal, nil, "policy p-primary", false},
		{"seal what is not there", target.seal, absent, "policy p-primary", true},
		{"unprotect", target.unprotect, nil, "unprotect p-primary", false},
		{"unprotect what is not there", target.unprotect, absent, "unprotect p-primary", false},
		{"unprotect without permission", target.unprotect, denied, "unprotect p-primary", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeStacks{err: tt.err}
			err := tt.do(target{prefix: "p", side: "primary", region: "r", stacks: f}, t.Context())
			if (err != nil) != tt.fail {
				t.Errorf("err = %v", err)
			}
			if diff := cmp.Diff([]string{tt.call}, f.calls); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWrongCommandLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte("colour: red"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, side, command, want string }{
		{"no command", "", "", "want idle"},
		{"no such command", "", "burn", "want idle"},
		{"no such side", "third", "idle", "want idle"},
		{"a wrong configuration", "", "idle", "colour"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := run(t.Context(), path, tt.side, tt.command); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %q in it", err, tt.want)
			}
		})
	}
}
