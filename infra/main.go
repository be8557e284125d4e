// Command infra is the CDK app that deploys the orchestrator to two regions.
// The CDK command line runs it (see cdk.json); run alone, it writes the same
// templates to the folder that CDK_OUTDIR names.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/jsii-runtime-go"

	"dr-orchestrator/infra/config"
	_ "dr-orchestrator/infra/node" // before jsii
	"dr-orchestrator/infra/orchestrator"
)

func main() {
	path := flag.String("config", "config.yaml", "the configuration `file`")
	build := flag.String("build", filepath.Join("..", "build"), "the `folder` of the built functions")
	flag.Parse()
	if err := run(*path, *build); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path, build string) error {
	defer closeQuietly()
	c, err := config.Read(path)
	var problems config.Problems
	if err != nil && (!errors.As(err, &problems) || c == nil) {
		return err
	}
	facts := orchestrator.Facts(build)
	facts.Regions = orchestrator.Regions()
	var wrong config.Problems
	if err := c.Check(facts); err != nil && !errors.As(err, &wrong) {
		return err
	}
	if problems = append(problems, wrong...); len(problems) > 0 {
		return problems
	}
	app := orchestrator.NewApp("")
	orchestrator.AddStacks(app, c, build)
	app.Synth(nil)
	return nil
}

// closeQuietly ends the process of jsii, whose last words are about a child
// that is gone already, and mean nothing.
func closeQuietly() {
	stderr := os.Stderr
	defer func() { os.Stderr = stderr }()
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stderr = null
	}
	jsii.Close()
}
