package lab

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dr-orchestrator/internal/catalog"
)

// runbooks gives the text of every runbook by its file name.
func runbooks(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d runbooks: %v", len(files), err)
	}
	all := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(file)] = string(text)
	}
	return all
}

// The walk through the console tells of every state there is.
func TestTheRunbookKnowsEveryState(t *testing.T) {
	text := runbooks(t)["failover.md"]
	data, err := os.ReadFile("../../statemachine/orchestrator.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	type machine struct {
		States map[string]struct{ ItemProcessor json.RawMessage }
	}
	var walk func(data []byte)
	count := 0
	walk = func(data []byte) {
		var m machine
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		for name, state := range m.States {
			if count++; !strings.Contains(text, "`"+name+"`") {
				t.Errorf("docs/runbooks/failover.md does not tell of the state %s", name)
			}
			if state.ItemProcessor != nil {
				walk(state.ItemProcessor)
			}
		}
	}
	walk(data)
	if count < 20 {
		t.Errorf("only %d states were found", count)
	}
}

// What an operator is told to type names something that is there, and is taken
// by the machine of the runbook in the region of the runbook.
func TestWhatTheRunbooksTellToTypeIsTaken(t *testing.T) {
	stored := map[string]json.RawMessage{}
	files, err := filepath.Glob("../../payloads/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		stored[strings.TrimSuffix(filepath.Base(file), ".json")] = sample(t, filepath.Base(file))
	}
	typed := regexp.MustCompile(`\{"Payload": [^\n` + "`" + `]*\}`)
	named := regexp.MustCompile("(?:payloads/|`)((?:failover|failback|switchback|release|check-lag)-[a-z-]+[a-z])(?:\\.json|`)")
	where := map[string]struct{ machine, region string }{"failover.md": {catalog.Failover, west}, "failback.md": {catalog.Failback, east}, "switchback.md": {catalog.Failback, east}}
	seen := map[string]bool{}
	for book, text := range runbooks(t) {
		for _, match := range named.FindAllStringSubmatch(text, -1) {
			if seen[match[1]] = true; stored[match[1]] == nil {
				t.Errorf("%s names %s, which is no file under payloads", book, match[1])
			}
		}
		inputs := typed.FindAllString(text, -1)
		if len(inputs) == 0 {
			t.Errorf("%s has nothing to type", book)
		}
		for _, input := range inputs {
			var doc map[string]any
			if err := json.Unmarshal([]byte(input), &doc); err != nil {
				t.Errorf("%s: %s: %v", book, input, err)
				continue
			}
			options, _ := doc["Options"].(map[string]any)
			if options == nil {
				options = map[string]any{}
			}
			options["Mode"] = "plan"
			doc["Options"] = options
			payload, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			estate := DefaultEstate()
			estate.Payloads = stored
			at := where[book]
			result := runLab(t, Options{Payload: payload, Machine: at.machine, Region: at.region, Estate: estate})
			if !slices.Contains(result.Path, "CheckReadiness") || !strings.HasPrefix(result.Record.Source, "s3://") { // what the estate says to it is another matter
				t.Errorf("%s: %s: %s: %s", book, input, result.Outcome, result.Cause)
			}
		}
	}
	for name := range stored {
		for _, way := range []string{"failover-", "failback-", "switchback-"} {
			database, ok := strings.CutPrefix(name, way)
			if !ok || stored["switchback-"+database] == nil || stored["failback-"+database] == nil || stored["failover-"+database] == nil {
				continue // one of the samples that are no part of a pair
			}
			if !seen[name] {
				t.Errorf("no runbook names %s", name)
			}
		}
	}
}
