package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dr-orchestrator/infra/orchestrator"
)

// What is wrong is said once, in one error, and nothing is synthesized.
func TestWrongConfigurationIsOneError(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "config.yaml")
	text := "account: \"1\"\nprimary: {region: us-east-1}\nsecondary: {region: us-east-1}\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(folder, "cdk.out")
	t.Setenv("CDK_OUTDIR", out)
	err := run(path, filepath.Join(folder, "build"))
	if err == nil {
		t.Fatal("a wrong configuration was synthesized")
	}
	for _, part := range []string{"3 problem(s)", `"1" is not an account id`, "us-east-1 is the primary region, too", "promote-read-replica", "not built: run `make functions`"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("err = %v, want %q in it", err, part)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("something was synthesized")
	}
}

// What a person waits for before a deployment begins: both regions, the start of
// Node.js included. The functions are as large as real ones, for they are hashed
// and copied.
func BenchmarkSynthesis(b *testing.B) {
	folder := b.TempDir()
	for _, name := range orchestrator.Facts("").Functions {
		bootstrap := filepath.Join(folder, "build", name, "bootstrap")
		if err := os.MkdirAll(filepath.Dir(bootstrap), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(bootstrap, []byte(name+strings.Repeat("x", 15<<20)), 0o755); err != nil {
			b.Fatal(err)
		}
	}
	app := filepath.Join(folder, "app")
	if out, err := exec.Command("go", "build", "-o", app, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for b.Loop() {
		cmd := exec.Command(app, "-build", filepath.Join(folder, "build"))
		cmd.Env = append(os.Environ(), "CDK_OUTDIR="+b.TempDir())
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			b.Fatalf("the app says: %v\n%s", err, out)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/synthesis")
}
