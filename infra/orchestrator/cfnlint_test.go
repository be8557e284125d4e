//go:build pytools

package orchestrator

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// gaps are what cfn-lint finds wrong and AWS documents as right: in JSONata,
// MaxConcurrency, TimeoutSeconds and the Seconds of a wait may be expressions (Step
// Functions Developer Guide, "Map state", "Task state" and "Wait state").
var gaps = regexp.MustCompile(`^'\{%.*%\}' is not of type '(?:number|integer)' at '[\w/ -]*/(?:MaxConcurrency|TimeoutSeconds|Seconds)'$`)

func TestTemplatesPassLint(t *testing.T) {
	lint := tool(t, "cfn-lint", "pip install cfn-lint")
	// W3005 finds a dependency twice said, which CDK writes on purpose.
	args := []string{"--format", "json", "--ignore-checks", "W3005", "--regions", primary, secondary, "--"}
	for _, name := range []string{"plain", "full"} {
		a := synthesized(t, name)
		args = append(args, a.primary.path, a.secondary.path)
	}
	out, err := exec.Command(lint, args...).Output()
	var findings []struct {
		Filename, Message string
		Rule              struct{ ID string }
	}
	if json.Unmarshal(out, &findings) != nil || err != nil && len(findings) == 0 {
		t.Fatalf("cfn-lint: %v\n%s", err, out)
	}
	for _, f := range findings {
		if f.Rule.ID != "E3601" || !gaps.MatchString(f.Message) {
			t.Errorf("%s: %s %s", filepath.Base(f.Filename), f.Rule.ID, f.Message)
		}
	}
}
