package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"dr-orchestrator/internal/report"
)

func TestEstateIsSavedAndLoadedTheSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "estate.json")
	if err := DefaultEstate().Save(path); err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadEstate(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(DefaultEstate(), loaded, cmpopts.IgnoreUnexported(Operation{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-saved +loaded)\n%s", diff)
	}
}

func TestWrongEstatesAreAllNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "estate.json")
	text := `{"account":"1","regions":["us-east-1"],"recovery":"eu-west-1","durationSeconds":{"Promote":1,"Resync":0},
		"instances":[{"region":"mars","id":"x"}],"operations":[{"kind":"Nap"}]}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := LoadEstate(path)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"account", "at least two", "eu-west-1", `"Promote"`, "Resync", `"mars"`, `"Nap"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named in: %v", want, err)
		}
	}
}

// A run that ends while AWS is still at work leaves an estate in which the
// work goes on: the next run finds it under way and finishes it.
func TestASavedEstateGoesOnWhereTheRunLeftIt(t *testing.T) {
	payload := sample(t, "failover-aurora-unplanned.json")
	first := runLab(t, Options{Payload: payload, Faults: faultsOf(t, "kill@function:failover-global-cluster#3-")})
	if first.Outcome != report.FailedDirty {
		t.Fatalf("first run: %s", first.Outcome)
	}
	path := filepath.Join(t.TempDir(), "estate.json")
	if err := first.Final.Save(path); err != nil {
		t.Fatal(err)
	}
	estate, err := LoadEstate(path)
	if err != nil {
		t.Fatal(err)
	}
	second := runLab(t, Options{Payload: payload, Estate: estate})
	if second.Outcome != report.Succeeded || total(second.Mutations) != 0 {
		t.Errorf("second run: %s with %v: %s", second.Outcome, second.Mutations, second.Cause)
	}
}
