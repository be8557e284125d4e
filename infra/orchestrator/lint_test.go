package orchestrator

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/statemachine"
)

// tool gives a program that checks, and fails the test where it is missing: a
// check that is skipped in silence passes for ever.
func tool(t *testing.T, name, howToGet string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: %s", name, howToGet)
	}
	return path
}

func TestDefinitionsPassValidator(t *testing.T) {
	validator := tool(t, filepath.Join("..", "node_modules", ".bin", "asl-validator"), "run `npm ci` in infra")
	node := os.Getenv("JSII_NODE")
	if node == "" {
		node = tool(t, "node", "install Node.js")
	}
	for _, machine := range []string{catalog.Failover, catalog.Failback} {
		path := filepath.Join(t.TempDir(), machine+".asl.json")
		if err := os.WriteFile(path, []byte(statemachine.Render(machine, "dr-orchestrator-")), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(node, validator, "--json-path", path).CombinedOutput(); err != nil {
			t.Errorf("%s: asl-validator: %v\n%s", machine, err, out)
		}
	}
}
