package endpoint_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/endpoint"
)

var five = []string{"us-east-1", "us-west-2", "eu-west-1", "ap-northeast-1", "ap-southeast-2"}

// failing answers with errors of classes in turn, and well where "" stands.
func failing(classes []action.Class) (func(string) error, *int) {
	asked := 0
	return func(at string) error {
		class := classes[asked]
		if asked++; class == "" {
			return nil
		}
		return action.Errorf(class, "%s at %s", class, at)
	}, &asked
}

func TestLook(t *testing.T) {
	const dead, denied, throttled = action.Unreachable, action.Denied, action.Throttled
	for _, tt := range []struct {
		name    string
		answers []action.Class
		seen    []string
		class   action.Class
		asked   int
	}{
		{"two answer", []action.Class{"", ""}, five[:2], "", 2},
		{"the first is dead", []action.Class{dead, "", ""}, five[1:3], "", 3},
		{"the region of the first is denied", []action.Class{denied, "", ""}, five[1:3], "", 3},
		{"one of five", []action.Class{dead, throttled, dead, dead, ""}, five[4:], "", 5},
		{"one of five, the first", []action.Class{"", dead, dead, dead, dead}, five[:1], "", 5},
		{"none", []action.Class{dead, dead, dead, dead, dead}, nil, dead, 5},
		{"all denied", []action.Class{denied, denied, denied, denied, denied}, nil, denied, 5},
		{"dead, and the others denied", []action.Class{dead, denied, denied, denied, denied}, nil, dead, 5},
		{"denied, and the others dead", []action.Class{denied, dead, dead, dead, dead}, nil, dead, 5},
		{"absent", []action.Class{action.NotFound}, nil, action.NotFound, 1},
		{"absent, says the second", []action.Class{"", action.NotFound}, nil, action.NotFound, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fail, asked := failing(tt.answers)
			seen, err := endpoint.Look(five, func(e string) (string, error) { return e, fail(e) })
			if diff := cmp.Diff(tt.seen, seen); diff != "" || *asked != tt.asked || (err != nil) != (tt.class != "") || err != nil && action.ClassOf(err) != tt.class {
				t.Errorf("%v after %d, %v; want %v after %d, %s", seen, *asked, err, tt.seen, tt.asked, tt.class)
			}
		})
	}
}

func TestSurvey(t *testing.T) {
	const dead, denied = action.Unreachable, action.Denied
	for _, tt := range []struct {
		name    string
		answers []action.Class
		seen    []string
		failed  []action.Class
		class   action.Class
		asked   int
	}{
		{"all answer", []action.Class{"", "", "", "", ""}, five, nil, "", 5},
		{"the last does not", []action.Class{"", "", "", "", dead}, five[:4], []action.Class{dead}, "", 5},
		{"one of five", []action.Class{dead, denied, "", dead, denied}, five[2:3], []action.Class{dead, denied, dead, denied}, "", 5},
		{"none", []action.Class{dead, dead, dead, dead, dead}, nil, []action.Class{dead, dead, dead, dead, dead}, dead, 5},
		{"absent, says the third", []action.Class{"", "", action.NotFound}, nil, nil, action.NotFound, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fail, asked := failing(tt.answers)
			seen, failures, err := endpoint.Survey(five, func(e string) (string, error) { return e, fail(e) })
			var failed []action.Class
			for _, f := range failures {
				failed = append(failed, action.ClassOf(f))
			}
			if diff := cmp.Diff(tt.seen, seen) + cmp.Diff(tt.failed, failed); diff != "" || *asked != tt.asked || (err != nil) != (tt.class != "") || err != nil && action.ClassOf(err) != tt.class {
				t.Errorf("%v and %v after %d, %v; want %v and %v after %d, %s", seen, failed, *asked, err, tt.seen, tt.failed, tt.asked, tt.class)
			}
		})
	}
}

// An invocation looks and then changes, and each may wait in vain for all
// endpoints but one: to reach it, to shake hands and to hear its answer.
func TestSilentEndpointsFitIntoOneInvocation(t *testing.T) {
	const phases, calls = 3, 2
	if most := endpoint.Patience * phases * calls * time.Duration(len(five)); most >= action.InvocationTime {
		t.Errorf("five silent endpoints take up to %s of %s", most, action.InvocationTime)
	}
}

func TestChange(t *testing.T) {
	const dead, denied, silent, throttled = action.Unreachable, action.Denied, action.OutcomeUnknown, action.Throttled
	for _, tt := range []struct {
		name    string
		answers []action.Class
		at      string
		class   action.Class
		asked   int
	}{
		{"taken", []action.Class{""}, five[0], "", 1},
		{"the fifth takes it", []action.Class{dead, throttled, silent, denied, ""}, five[4], "", 5},
		{"refused", []action.Class{action.Refused}, "", action.Refused, 1},
		{"refused after a dead one", []action.Class{dead, action.Refused}, "", action.Refused, 2},
		{"refused after silence", []action.Class{silent, action.Refused}, "", silent, 2},
		{"silent, then dead", []action.Class{silent, dead, dead, dead, dead}, "", silent, 5},
		{"all dead", []action.Class{dead, dead, dead, dead, dead}, "", dead, 5},
		{"all denied", []action.Class{denied, denied, denied, denied, denied}, "", denied, 5},
		{"throttled, and the others denied", []action.Class{throttled, denied, denied, denied, denied}, "", throttled, 5},
		{"denied after silence", []action.Class{silent, denied, denied, denied, denied}, "", silent, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fail, asked := failing(tt.answers)
			at, err := endpoint.Change(five, fail)
			if at != tt.at || *asked != tt.asked || (err != nil) != (tt.class != "") || err != nil && action.ClassOf(err) != tt.class {
				t.Errorf("%q after %d, %v; want %q after %d, %s", at, *asked, err, tt.at, tt.asked, tt.class)
			}
			var own *action.Error
			if err != nil && !errors.As(err, &own) {
				t.Errorf("without a class: %v", err)
			}
		})
	}
}

func TestFirst(t *testing.T) {
	want := []string{"eu-west-1", "us-east-1", "us-west-2", "ap-northeast-1", "ap-southeast-2"}
	if diff := cmp.Diff(want, endpoint.First(five, []string{"eu-west-1"})); diff != "" {
		t.Error(diff)
	}
}

func TestOrderDependsOnTheSeed(t *testing.T) {
	seen, firsts := map[string]bool{}, map[string]bool{}
	for i := range 50 {
		seed := fmt.Sprint("run-", i)
		order := endpoint.Shuffled(five, seed)
		if !slices.Equal(order, endpoint.Shuffled(five, seed)) {
			t.Fatal("the same seed gives two orders")
		}
		seen[fmt.Sprint(order)], firsts[order[0]] = true, true
	}
	if len(seen) < 20 || len(firsts) != len(five) {
		t.Errorf("%d orders in 50 runs, that begin with %v", len(seen), firsts)
	}
}
