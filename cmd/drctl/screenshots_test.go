//go:build screenshots

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dr-orchestrator/internal/lab"
	"dr-orchestrator/internal/report"
)

// TestScreenshots has a browser, named by CHROMIUM, show the reports of runs of
// the lab: light, dark, and as they are printed. A person looks at them.
func TestScreenshots(t *testing.T) {
	into, err := filepath.Abs("../../reports/screenshots")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name                 string
		layers, each, height int
		faults               string
	}{
		{"50-succeeded", 5, 10, 6000, ""},
		{"50-failed", 5, 10, 6000, "cancel@rds:PromoteReadReplica#17"},
		{"500-succeeded", 5, 100, 16000, ""},
		{"50-odd", 5, 10, 6000, "cancel@rds:PromoteReadReplica#17"},
		{"500-failed", 5, 100, 16000, "cancel@rds:PromoteReadReplica#170"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := lab.DefaultEstate()
			body, err := os.ReadFile(layered(t, e, tt.layers, tt.each))
			if err != nil {
				t.Fatal(err)
			}
			faults, err := lab.ParseFaults(tt.faults)
			if err != nil {
				t.Fatal(err)
			}
			result, err := lab.Run(lab.Options{Payload: body, Machine: "failover", Estate: e, Faults: faults, Seed: 1})
			if err != nil {
				t.Fatal(err)
			}
			if tt.name == "50-odd" { // an early target, and names that break nowhere
				result.Record.RTO = report.NewRTO(new(60), nil)
				for _, l := range result.Record.Layers {
					r := &l.Resources[6]
					r.ResourceName += strings.Repeat("x", 120)
				}
			}
			dir := filepath.Join(into, tt.name)
			if err := writeReport(dir, result.Record); err != nil {
				t.Fatal(err)
			}
			page := "file://" + filepath.Join(dir, "report.html")
			size := fmt.Sprintf("--window-size=1280,%d", tt.height)
			for file, flags := range map[string][]string{
				"light.png": {"--screenshot", size, "--blink-settings=preferredColorScheme=1"},
				"dark.png":  {"--screenshot", size, "--blink-settings=preferredColorScheme=0"},
				"print.pdf": {"--print-to-pdf", "--no-pdf-header-footer"},
			} {
				path := filepath.Join(dir, file)
				flags[0] += "=" + path
				flags = append(flags, "--headless", "--disable-gpu", "--no-sandbox", "--hide-scrollbars", "--user-data-dir="+t.TempDir(), page)
				said, err := exec.Command(os.Getenv("CHROMIUM"), flags...).CombinedOutput()
				if err != nil { // browsers crash
					said, err = exec.Command(os.Getenv("CHROMIUM"), flags...).CombinedOutput()
				}
				if err != nil {
					t.Fatalf("%s: %v\n%s", file, err, said)
				}
				if info, err := os.Stat(path); err != nil || info.Size() < 10_000 {
					t.Errorf("%s was not drawn: %v", path, err)
				}
			}
		})
	}
	t.Log("see", into)
}
