package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dr-orchestrator/internal/payload"
)

// drctl runs one command line and gives exit code and outputs.
func drctl(t *testing.T, in string, args ...string) (int, string, string) {
	t.Helper()
	var out, err bytes.Buffer
	code := execute(args, streams{strings.NewReader(in), &out, &err})
	return code, out.String(), err.String()
}

const (
	three     = "../../payloads/failover-three-databases.json"
	unplanned = "../../payloads/failover-aurora-unplanned.json"
	planned   = "../../payloads/failover-aurora-planned.json"
)

func TestExitCodes(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "wrong.json")
	if err := os.WriteFile(wrong, []byte(`{"StatePayload":[{"layer":1,"resources":[]}],"Extra":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		want int
		says string // in either output
	}{
		{"succeeds", []string{"lab", "run", "--payload", three}, exitSucceeded, "Succeeded after"},
		{"told by a caller", []string{"lab", "run", "--payload", "../../payloads/failover-dns.json", "--caller", "www.shop.example"}, exitSucceeded, "An outage of 3m"},
		{"told by a caller as JSON", []string{"lab", "run", "--payload", "../../payloads/failover-dns.json", "--caller", "www.shop.example", "--json"}, exitSucceeded, `"outages":[{"atSeconds":`},
		{"no such name", []string{"lab", "run", "--payload", three, "--caller", "www.elsewhere.example"}, exitInput, "--caller www.elsewhere.example"},
		{"refused", []string{"lab", "run", "--payload", planned, "--faults", "dead@region:us-east-1"}, exitRun, "Refused after"},
		{"dirty", []string{"lab", "run", "--payload", planned, "--faults", "stuck@rds:SwitchoverGlobalCluster"}, exitRun, "start the same payload again"},
		{"needs nothing of a dead region", []string{"lab", "run", "--payload", unplanned, "--faults", "dead@region:us-east-1"}, exitSucceeded, "nothing was asked of us-east-1"},
		{"a region that dies later", []string{"lab", "run", "--payload", unplanned, "--faults", "dead@region:us-east-1#3-"}, exitSucceeded, "never came to pass: dead@region:us-east-1#3-"},
		{"a fault that met no call", []string{"lab", "run", "--payload", unplanned, "--faults", "lost@rds:PromoteReadReplica"}, exitSucceeded, "never came to pass: lost@rds:PromoteReadReplica"},
		{"wrong payload", []string{"lab", "run", "--payload", wrong}, exitInput, "/StatePayload/0/resources"},
		{"wrong payload names all", []string{"lab", "run", "--payload", wrong}, exitInput, "/Extra"},
		{"no such payload", []string{"lab", "run", "--payload", "none.json"}, exitInput, "none.json"},
		{"no such estate", []string{"lab", "run", "--payload", three, "--estate", "none.json"}, exitInput, "none.json"},
		{"no such region", []string{"lab", "run", "--payload", three, "--region", "mars"}, exitInput, "us-west-2"},
		{"wrong faults", []string{"lab", "run", "--payload", three, "--faults", "explode@rds:X"}, exitInput, "explode"},
		{"several wrong flags", []string{"lab", "run", "--payload", "none.json", "--faults", "explode@rds:X", "--region", "mars"}, exitInput, "mars"},
		{"wrong machine", []string{"lab", "run", "--payload", three, "--machine", "sideways"}, exitInput, "failback"},
		{"no payload", []string{"lab", "run"}, exitInput, "--payload"},
		{"binaries on a virtual clock", []string{"lab", "run", "--payload", three, "--functions", "build"}, exitInput, "--clock real"},
		{"no binaries", []string{"lab", "run", "--payload", three, "--functions", "none", "--clock", "real"}, exitEnvironment, "none"},
		{"report cannot be written", []string{"lab", "run", "--payload", three, "--report", wrong}, exitEnvironment, "report"},
		{"random faults are printed", []string{"lab", "run", "--payload", unplanned, "--faults", "random", "--seed", "5"}, exitSucceeded, "@"},
		{"valid", []string{"validate", three}, exitSucceeded, "3 resources in 1 layers"},
		{"invalid", []string{"validate", wrong}, exitInput, "/Extra"},
		{"invalid as JSON", []string{"validate", wrong, "--json"}, exitInput, `"valid":false`},
		{"port in use", []string{"lab", "serve", "--addr", "256.0.0.1:1"}, exitEnvironment, "256.0.0.1"},
		{"a payload for the other machine", []string{"lab", "run", "--payload", "../../payloads/failback-mysql.json"}, exitInput, "for the failover machine: give --machine failback"},
		{"no command", nil, exitInput, "See: drctl --help"},
		{"half a command", []string{"lab", "run"}, exitInput, "See: drctl lab run --help"},
		{"no argument", []string{"watch"}, exitInput, "See: drctl watch --help"},
		{"an unknown flag", []string{"decline", "x", "--no"}, exitInput, "See: drctl decline --help"},
		{"help as a command", []string{"help"}, exitSucceeded, "validate"},
		{"help of a command", []string{"help", "lab", "run"}, exitSucceeded, "--save-estate"},
		{"help of no command", []string{"help", "dance"}, exitInput, "dance"},
		{"help", []string{"--help"}, exitSucceeded, "validate"},
		{"estate", []string{"lab", "estate"}, exitSucceeded, "rds-mysql-instance-usw2"},
		{"schema", []string{"schema"}, exitSucceeded, "PromoteRDSReadReplica"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := drctl(t, "", tt.args...)
			if code != tt.want {
				t.Errorf("exit code %d, want %d\n%s%s", code, tt.want, out, errs)
			}
			if !strings.Contains(out+errs, tt.says) {
				t.Errorf("says nothing of %q:\n%s%s", tt.says, out, errs)
			}
		})
	}
}

// The JSON object that scripts read: its fields, and nothing else on standard
// output.
func TestJSONOfARun(t *testing.T) {
	for _, tt := range []struct {
		name, payload, faults, outcome string
		code                           int
	}{
		{"succeeds", three, "", "Succeeded", exitSucceeded},
		{"refused", planned, "dead@region:us-east-1", "Refused", exitRun},
		{"wrong", "-", "", "FailedClean", exitInput},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, _ := drctl(t, `{"StatePayload":[]}`, "lab", "run", "--json", "--payload", tt.payload, "--faults", tt.faults)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			var all map[string]json.RawMessage
			if err := json.Unmarshal([]byte(out), &all); err != nil {
				t.Fatalf("standard output is not one JSON object: %v\n%s", err, out)
			}
			for _, field := range []string{"outcome", "durationSeconds", "transitions", "layers", "apiCalls", "problems"} {
				if _, ok := all[field]; !ok {
					t.Errorf("%s is missing", field)
				}
			}
			if got := string(all["outcome"]); got != `"`+tt.outcome+`"` {
				t.Errorf("outcome %s, want %s", got, tt.outcome)
			}
			for _, list := range []string{"layers", "problems"} {
				if !strings.HasPrefix(string(all[list]), "[") {
					t.Errorf("%s is no list: %s", list, all[list])
				}
			}
			if tt.code == exitInput && string(all["apiCalls"]) != "{}" {
				t.Errorf("AWS was called: %s", all["apiCalls"])
			}
			if tt.code != exitSucceeded && string(all["problems"]) == "[]" {
				t.Error("no problem is named")
			}
		})
	}
}

// Whichever command is given a wrong payload, a script finds the same problems
// on standard output, and nothing without --json.
func TestProblemsAsJSON(t *testing.T) {
	const wrong, pointer = `{"StatePayload":[{"layer":1,"resources":[]}],"Extra":1}`, `{"Payload": "orders"}`
	for _, tt := range []struct {
		name, body string
		args       []string
		want       string // a pointer; empty: nothing is printed
	}{
		{"validate", wrong, []string{"validate", "-", "--json"}, "/Extra"},
		{"plan", wrong, []string{"plan", "-", "--json"}, "/Extra"},
		{"start", wrong, []string{"start", "-", "--json"}, "/Extra"},
		{"start and wait", wrong, []string{"start", "-", "--json", "--wait"}, "/Extra"},
		{"plan the name of a stored one", pointer, []string{"plan", "-", "--json"}, "/Payload"},
		{"start the name of a stored one", pointer, []string{"start", "-", "--json"}, "/Payload"},
		{"plan for a person", wrong, []string{"plan", "-"}, ""},
		{"start for a person", wrong, []string{"start", "-"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := drctl(t, tt.body, tt.args...)
			if code != exitInput {
				t.Errorf("exit code %d\n%s%s", code, out, errs)
			}
			if tt.want == "" {
				if out != "" || !strings.Contains(errs, "/Extra") {
					t.Errorf("standard output %q, %s", out, errs)
				}
				return
			}
			var told struct {
				Valid    bool
				Problems []payload.Problem
			}
			told.Valid = true
			if err := json.Unmarshal([]byte(out), &told); err != nil || told.Valid || !slices.ContainsFunc(told.Problems, func(p payload.Problem) bool { return p.Pointer == tt.want }) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

func TestASavedEstateIsTheNextRuns(t *testing.T) {
	dir := t.TempDir()
	estate, reports := filepath.Join(dir, "estate.json"), filepath.Join(dir, "reports")
	if code, out, errs := drctl(t, "", "lab", "run", "--payload", three, "--save-estate", estate, "--report", reports); code != exitSucceeded {
		t.Fatal(code, out, errs)
	}
	code, out, _ := drctl(t, "", "lab", "run", "--payload", three, "--estate", estate, "--json")
	var result struct {
		Outcome   string
		Mutations map[string]int
		Layers    []struct{ Resources []struct{ Changed bool } }
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil || code != exitSucceeded {
		t.Fatal(code, err)
	}
	if result.Outcome != "Succeeded" || len(result.Mutations) != 0 || result.Layers[0].Resources[0].Changed {
		t.Errorf("%+v", result)
	}
	var record struct{ Outcome string }
	data, err := os.ReadFile(filepath.Join(reports, "report.json"))
	if err != nil || json.Unmarshal(data, &record) != nil || record.Outcome != "Succeeded" {
		t.Errorf("report: %v, %s", err, data)
	}
}

// An input for the console names a stored payload: where the payload itself is
// wanted that is said, and the lab finds it.
func TestNameOfAStoredPayload(t *testing.T) {
	const there, absent = `{"Payload": "failover-aurora-planned", "Options": {"Mode": "plan"}}`, `{"Payload": "failover-nothing"}`
	for _, tt := range []struct {
		name, in string
		args     []string
		want     int
		says     string
	}{
		{"validate", there, []string{"validate", "-"}, exitInput, "drctl start --stored failover-aurora-planned"},
		{"validate, as JSON", there, []string{"validate", "-", "--json"}, exitInput, "drctl start --stored failover-aurora-planned"},
		{"start", there, []string{"start", "-", "--region", "us-west-2"}, exitInput, "drctl start --stored failover-aurora-planned"},
		{"both", `{"Payload": "x", "StatePayload": []}`, []string{"validate", "-"}, exitInput, "no field"},
		{"lab run, absent", absent, []string{"lab", "run", "--payload", "-"}, exitInput, "there is no failover-nothing.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errs := drctl(t, tt.in, tt.args...)
			if code != tt.want || !strings.Contains(out+errs, tt.says) {
				t.Errorf("code %d, want %d with %q:\n%s%s", code, tt.want, tt.says, out, errs)
			}
		})
	}
	folder := t.TempDir()
	text, err := os.ReadFile(planned)
	if err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join(folder, "input.json")
	for file, data := range map[string]string{beside: there, filepath.Join(folder, "failover-aurora-planned.json"): string(text)} {
		if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Of the other machine, the stored payload is named, and that machine.
	back, err := os.ReadFile("../../payloads/failback-mysql.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "back.json"), back, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(beside+"2", []byte(`{"Payload": "back"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := drctl(t, "", "lab", "run", "--payload", beside+"2"); code != exitInput || !strings.Contains(errs, "the stored payload back is not a valid payload for the failover machine: give --machine failback") {
		t.Errorf("of the other machine: code %d:\n%s", code, errs)
	}
	if code, out, errs := drctl(t, "", "lab", "run", "--payload", beside); code != exitSucceeded || !strings.Contains(out+errs, "Succeeded after") {
		t.Errorf("code %d:\n%s%s", code, out, errs)
	}
}
