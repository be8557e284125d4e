// Command drctl is the operator's command line: it checks payloads, runs them in
// the embedded lab, and plans, starts, stops and approves runs in AWS.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"dr-orchestrator/internal/report"
)

// The exit codes that scripts rely on.
const (
	exitSucceeded   = 0
	exitRun         = 1   // the run failed or was refused
	exitInput       = 2   // the input is wrong
	exitEnvironment = 3   // the environment is: no file system, no port, no endpoint
	exitInterrupted = 130 // watching was, as shells tell it; the run goes on
)

// failure is an error with its exit code. A silent one has been told already.
type failure struct {
	code   int
	err    error
	silent bool
}

func (f *failure) Error() string { return f.err.Error() }

func wrongInput(format string, args ...any) error {
	return &failure{code: exitInput, err: fmt.Errorf(format, args...)}
}

func environment(format string, args ...any) error {
	return &failure{code: exitEnvironment, err: fmt.Errorf(format, args...)}
}

// streams are where a command reads and writes: tests put their own.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

type commands struct {
	Lab         labCommands        `cmd:"" help:"The embedded lab: a simulated AWS account with two regions."`
	Validate    validateCommand    `cmd:"" help:"Check a StatePayload, all problems at once. Touches nothing."`
	Schema      schemaCommand      `cmd:"" help:"Print the JSON Schema of a StatePayload, for editors."`
	Plan        planCommand        `cmd:"" help:"Look at everything a payload names, in AWS, and change nothing."`
	Start       startCommand       `cmd:"" help:"Start a run in AWS."`
	Watch       watchCommand       `cmd:"" help:"Watch a run until its end."`
	List        listCommand        `cmd:"" help:"List the last runs."`
	Report      reportCommand      `cmd:"" help:"Show the report of a run that ended."`
	Stop        stopCommand        `cmd:"" help:"Stop a run."`
	Resume      resumeCommand      `cmd:"" help:"Start the payload of a run that ended again."`
	Approve     approveCommand     `cmd:"" help:"Let a run go on that waits for an approval."`
	Decline     declineCommand     `cmd:"" help:"End a run that waits for an approval."`
	Acknowledge acknowledgeCommand `cmd:"" help:"End the time after a run in which no trigger starts another one."`
	Downtime    downtimeCommand    `cmd:"" help:"Declare a maintenance, during which no trigger starts anything."`
	Completion  completionCommand  `cmd:"" help:"Print the completion of a shell."`
	Help        helpCommand        `cmd:"" help:"Show the help of a command."`
	Reference   referenceCommand   `cmd:"" help:"Print the reference of all resource types and options, in Markdown."`
}

type labCommands struct {
	Run    labRunCommand    `cmd:"" help:"Run a payload through the real state machine and the real functions, in the lab."`
	Serve  labServeCommand  `cmd:"" help:"Serve the lab to any AWS client, until interrupted."`
	Estate labEstateCommand `cmd:"" help:"Print the default estate, to be changed and given to --estate."`
}

func main() {
	os.Exit(execute(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// execute runs one command line and gives its exit code.
func execute(args []string, s streams) int { return executeAt(args, s, wallClock{}) }

func executeAt(args []string, s streams, at clock) int {
	var c commands
	exit := -1
	parser, err := kong.New(&c, kong.Name("drctl"), kong.Description("Disaster recovery across two AWS regions."),
		kong.Writers(s.out, s.err), kong.Exit(func(code int) { exit = code }), kong.Bind(s), kong.BindTo(at, (*clock)(nil)))
	if err != nil {
		fmt.Fprintln(s.err, "drctl:", err)
		return exitEnvironment
	}
	call, err := parser.Parse(args)
	var wrong *kong.ParseError
	switch {
	case exit >= 0: // help was asked for, and printed
		return exit
	case errors.As(err, &wrong):
		near := wrong.Context.Model.Node
		if selected := wrong.Context.Selected(); selected != nil {
			near = selected
		}
		fmt.Fprintf(s.err, "drctl: %v\nSee: %s --help\n", wrong, near.FullPath())
		return exitInput
	case err != nil:
		fmt.Fprintln(s.err, "drctl:", err)
		return exitInput
	}
	if err := call.Run(); err != nil {
		var f *failure
		if !errors.As(err, &f) {
			f = &failure{code: exitEnvironment, err: err}
		}
		if !f.silent {
			fmt.Fprintln(s.err, "drctl:", strings.TrimRight(report.Printable(err.Error()), "\n"))
		}
		return f.code
	}
	return exitSucceeded
}

type helpCommand struct {
	Command []string `arg:"" optional:"" help:"The command, such as: lab run."`
}

// Help shows examples.
func (c *helpCommand) Help() string {
	return `The same as the flag --help of the command.

Examples:
  drctl help
  drctl help lab run`
}

func (c *helpCommand) Run(s streams) error {
	if code := execute(append(c.Command, "--help"), s); code != exitSucceeded {
		return &failure{code: code, err: errors.New("no such command"), silent: true}
	}
	return nil
}

// readFile reads a file, or standard input for "-".
func readFile(path string, s streams) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(s.in)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, wrongInput("%w", err)
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), nil
}

// storedIn gives the name of the stored payload that an input points to, as the
// console takes it; empty: it points to none.
func storedIn(data []byte) string {
	var to struct{ Payload, StatePayload json.RawMessage }
	var name string
	if json.Unmarshal(data, &to) != nil || to.Payload == nil || to.StatePayload != nil || json.Unmarshal(to.Payload, &name) != nil {
		return ""
	}
	return name
}

// pointsAway refuses an input that is no payload but the name of a stored one.
func pointsAway(path string, data []byte) error {
	name := storedIn(data)
	if name == "" {
		return nil
	}
	return wrongInput("%s is no payload: it names the stored payload %q. Start it with drctl start --stored %s, and give the payload itself here", path, name, name)
}
