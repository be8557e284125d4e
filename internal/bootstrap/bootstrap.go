// Package bootstrap builds the Lambda functions the way they are deployed:
// each into a folder of its name, as the executable "bootstrap".
package bootstrap

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// pattern matches the package of every function.
const pattern = "dr-orchestrator/functions/..."

// Path is where Build leaves a function.
func Path(folder, function string) string { return filepath.Join(folder, function, "bootstrap") }

// Build builds every function for a platform into FOLDER/NAME/bootstrap. The
// working directory must be inside the module.
func Build(ctx context.Context, folder, goos, goarch string) error {
	flat, err := os.MkdirTemp(folder, "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(flat)
	command := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", flat+string(filepath.Separator), pattern)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("building the functions: %w\n%s", err, out)
	}
	// The go command names an executable by its folder.
	built, err := os.ReadDir(flat)
	if err != nil {
		return err
	}
	for _, b := range built {
		to := Path(folder, b.Name())
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(flat, b.Name()), to); err != nil {
			return err
		}
	}
	return nil
}
