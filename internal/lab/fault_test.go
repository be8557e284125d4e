package lab

import (
	"slices"
	"strings"
	"testing"
)

func TestFaultsAreReadAndWrittenTheSame(t *testing.T) {
	for _, spec := range []string{
		"throttle@rds:PromoteReadReplica", "error@rds:*#2", "lost@s3:PutObject#2-4", "timeout@ssm:GetParameters#3-",
		"kill@function:promote-read-replica#1", "twice@function:record-layer", "dead@region:us-east-1#5-", "stale@rds:DescribeDBInstances,stuck@rds:PromoteReadReplica#1",
	} {
		faults, err := ParseFaults(spec)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
		}
		if got := faults.String(); got != spec {
			t.Errorf("%s became %s", spec, got)
		}
	}
}

func TestWrongFaultsAreAllNamed(t *testing.T) {
	wrong := []string{"explode@rds:X", "error", "error@", "error@rds", "error@:X", "dead@rds:X", "error@region:us-east-1", "twice@rds:X", "stale@function:x",
		"error@rds:X#0", "error@rds:X#a", "error@rds:X#3-2", "error@rds:X#2-b"}
	_, err := ParseFaults(strings.Join(wrong, ","))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, spec := range wrong {
		if !strings.Contains(err.Error(), `"`+spec+`"`) {
			t.Errorf("%s is not named in: %v", spec, err)
		}
	}
}

func TestFaultsStrikeTheCallsTheyName(t *testing.T) {
	f := newFaults(faultsOf(t, "error@rds:*#2-3,throttle@rds:A,dead@region:x#2"))
	var hits []int
	for range 4 {
		hits = append(hits, len(f.strike("rds:B")))
	}
	if !slices.Equal(hits, []int{0, 1, 1, 0}) {
		t.Errorf("hits of a range: %v", hits)
	}
	if got := f.strike("rds:A"); !slices.Equal(got, []FaultKind{Throttle}) {
		t.Errorf("hits without a range: %v", got)
	}
	if f.dead("x") || !f.dead("x") || f.dead("x") || f.dead("y") {
		t.Error("dead at the second call only")
	}
}

func TestRandomFaultsComeFromTheSeed(t *testing.T) {
	calls, functions := []string{"rds:A", "s3:B"}, []string{"f", "g"}
	if a, b := RandomFaults(3, calls, functions).String(), RandomFaults(3, calls, functions).String(); a != b || a == "" {
		t.Errorf("%q and %q", a, b)
	}
	if RandomFaults(3, calls, functions).String() == RandomFaults(4, calls, functions).String() {
		t.Error("two seeds, one schedule")
	}
	for seed := range uint64(200) {
		spec := RandomFaults(seed, calls, functions).String()
		if _, err := ParseFaults(spec); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
}
