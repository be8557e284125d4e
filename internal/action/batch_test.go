package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lister is a reconciler that looks at many resources together.
type lister struct {
	*stub
	batches [][]string // the names of each batch
}

func (l *lister) Batch(reqs []Request[parameters]) Preflighter[parameters] {
	var names []string
	for _, req := range reqs {
		names = append(names, req.Parameters.Name)
	}
	l.batches = append(l.batches, names)
	return listed{l}
}

type listed struct{ *lister }

func (listed) Preflight(_ context.Context, req Request[parameters]) (Readiness, error) {
	if req.Parameters.Name == "silent" {
		return Readiness{}, Errorf(Unreachable, "no answer")
	}
	return Readiness{Observed: StateReady, Evidence: Evidence{"from": "list"}}, nil
}

func entries(names ...string) []Resource {
	var all []Resource
	for i, name := range names {
		parameters := `{"Name":"` + name + `"}`
		if name == "wrong" {
			parameters = `{"Nmae":"wrong"}`
		}
		all = append(all, Resource{Index: i, Name: name, Parameters: json.RawMessage(parameters)})
	}
	return all
}

// Several resources that are not driven yet are looked at together: those whose
// parameters are right. One resource, and any that is being driven, is looked at
// by itself.
func TestPreflightTogether(t *testing.T) {
	for _, tt := range []struct {
		name       string
		resources  []Resource
		drive      *Drive
		batches    [][]string
		alone      int
		unanswered int
	}{
		{"one", entries("a"), nil, nil, 1, 0},
		{"two", entries("a", "b"), nil, [][]string{{"a", "b"}}, 0, 0},
		{"two, one of them wrong", entries("a", "wrong"), nil, nil, 1, 0},
		{"three, one of them wrong", entries("a", "wrong", "b"), nil, [][]string{{"a", "b"}}, 0, 0},
		{"three, one without an answer", entries("a", "silent", "b"), nil, [][]string{{"a", "silent", "b"}}, 0, 1},
		{"two that are driven", entries("a", "b"), &Drive{Changed: ChangeNo}, nil, 2, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &lister{stub: &stub{}}
			a := adapter(l.stub)
			a.Reconciler = l
			got, class, text := invoke[PreflightAnswer](t, a, Envelope{Operation: OperationPreflight, Resources: tt.resources, Drive: tt.drive})
			if class != "" || len(got.Readiness) != len(tt.resources) || got.Unanswered != tt.unanswered {
				t.Fatalf("%s: %s", class, text)
			}
			for i, c := range got.Readiness {
				if blocked := tt.resources[i].Name == "wrong" || tt.resources[i].Name == "silent"; c.Index != i || blocked != (c.Verdict == VerdictBlocked) {
					t.Errorf("%+v", c)
				}
			}
			if diff := cmp.Diff(tt.batches, l.batches); diff != "" || len(l.asked) != tt.alone {
				t.Errorf("%d looked at alone, want %d; batches (-want +got):\n%s", len(l.asked), tt.alone, diff)
			}
		})
	}
}

// An answer that the machine could not take loses its evidence first, then the
// ends of its messages, and no verdict.
func TestAnswersStayWithinTheMachinesLimit(t *testing.T) {
	for _, tt := range []struct {
		name              string
		evidence, message int // bytes of each
		keepsEvidence     bool
		shortest          int // bytes of a message afterwards
	}{
		{"small", 500, 100, true, 100},
		{"much evidence", 3000, 100, false, 100},
		{"long messages", 10, 3000, false, 300},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &stub{ready: map[string]Readiness{}, err: map[string]error{}}
			var names []string
			for i := range 100 {
				name := fmt.Sprintf("db%d", i)
				names = append(names, name)
				s.ready[name] = Readiness{Observed: StateReady, Evidence: Evidence{"text": strings.Repeat("e", tt.evidence)}}
				s.err[name] = errors.New(strings.Repeat("m", tt.message))
			}
			got, class, text := invoke[PreflightAnswer](t, adapter(s), Envelope{Operation: OperationPreflight, Resources: entries(names...)})
			if class != "" || len(text) > answerLimit || len(got.Readiness) != 100 {
				t.Fatalf("%s: %d bytes, %d resources", class, len(text), len(got.Readiness))
			}
			for _, c := range got.Readiness {
				if c.Verdict != VerdictBlocked || c.Observed == "" || (c.Evidence != nil) != tt.keepsEvidence || len(c.Findings) != 1 || len(c.Findings[0].Message) < tt.shortest {
					t.Fatalf("%+v", c)
				}
			}
		})
	}
}
