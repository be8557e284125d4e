package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/lab"
	"dr-orchestrator/internal/payload"
	"dr-orchestrator/internal/report"
	"dr-orchestrator/internal/run"
)

type labRunCommand struct {
	Payload    string  `required:"" help:"The StatePayload, or {\"Payload\": \"NAME\"} for NAME.json beside it or in payloads, or - for standard input."`
	Machine    string  `default:"failover" enum:"failover,failback" help:"The machine: failover or failback."`
	Region     string  `help:"Region of the run; by default the estate's recovery region."`
	Estate     string  `help:"Estate file; by default the built-in one (drctl lab estate)."`
	SaveEstate string  `help:"Write the estate as the run left it, to be the next run's --estate."`
	Faults     string  `help:"What breaks: kind@target[#n[-m]], joined by commas, or random. Kinds: throttle, error, lost, timeout, stale, notfound, stuck, cancel, kill, twice, dead."`
	Seed       uint64  `default:"1" help:"The same seed gives the same run."`
	Clock      string  `default:"virtual" enum:"virtual,real" help:"virtual (hours pass in milliseconds) or real."`
	Speed      float64 `default:"1" help:"How much faster than real time the real clock runs."`
	Functions  string  `help:"Run the built Lambda binaries in this folder (NAME/bootstrap) instead of their handlers; needs --clock real."`
	Caller     string  `help:"Have somebody look up this name by DNS and post a write to it once a second, and tell how long the writes failed: www.shop.example, for one."`
	JSON       bool    `name:"json" help:"Print one JSON object; progress and logs go to standard error."`
	Report     string  `help:"Folder to write report.json, report.html and report.txt to."`
}

// maxProcessSpeed leaves functions that are processes the time they need.
const maxProcessSpeed = 30

// Help shows examples.
func (c *labRunCommand) Help() string {
	return `Examples:
  drctl lab run --payload payloads/failover-three-databases.json
  drctl lab run --payload payloads/failover-aurora-unplanned.json --faults dead@region:us-east-1
  drctl lab run --payload payloads/failover-dns.json --caller www.shop.example
  drctl lab run --payload payloads/failover-three-databases.json --faults lost@rds:PromoteReadReplica#1 --json`
}

func (c *labRunCommand) Run(s streams) error {
	options, err := c.options(s)
	if err != nil {
		return err
	}
	what, checked := c.Payload, []byte(options.Payload)
	if name := storedIn(checked); options.Estate.Payloads[name] != nil {
		what, checked = "the stored payload "+name, options.Estate.Payloads[name]
	}
	if _, problems := payload.Parse(checked, catalog.Types(), c.Machine); len(problems) > 0 {
		return c.rejected(s, invalid(what, checked, c.Machine, problems), problems)
	}
	if c.Faults == "random" {
		if options.Faults, err = randomFaults(options); err != nil {
			return err
		}
		fmt.Fprintln(s.err, "faults:", options.Faults)
	}
	slog.SetDefault(slog.New(slog.DiscardHandler)) // the functions' log belongs to the lab's account
	display := newDisplay(s, c.JSON)
	options.Progress = display.progress
	if c.Clock == "real" {
		options.Clock = lab.NewWallClock(options.Estate.Begin(), c.Speed)
	}
	result, err := lab.Run(options)
	display.close()
	if err != nil {
		return environment("%w", err)
	}
	return c.finish(s, result)
}

// options reads everything that the flags name, all wrong ones at once.
func (c *labRunCommand) options(s streams) (lab.Options, error) {
	o := lab.Options{Machine: c.Machine, Region: c.Region, Seed: c.Seed, Caller: c.Caller, Binaries: c.Functions, Estate: lab.DefaultEstate()}
	var wrong []string
	note := func(err error) {
		if err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	var err error
	o.Payload, err = readFile(c.Payload, s)
	note(err)
	if err := tooLarge(c.Payload, o.Payload); err != nil {
		note(fmt.Errorf(`%w. Run it as a stored one: --payload - with {"Payload": "NAME"} for payloads/NAME.json`, err))
	}
	if c.Estate != "" {
		o.Estate, err = lab.LoadEstate(c.Estate)
		note(err)
	}
	if name := storedIn(o.Payload); run.IsStoredName(name) && o.Estate != nil && o.Estate.Payloads[name] == nil {
		note(store(o.Estate, name, c.Payload))
	}
	if c.Faults != "random" {
		o.Faults, err = lab.ParseFaults(c.Faults)
		note(err)
	}
	if c.Region != "" && o.Estate != nil && !slices.Contains(o.Estate.Regions, c.Region) {
		note(fmt.Errorf("--region %s: the estate has %s", c.Region, strings.Join(o.Estate.Regions, ", ")))
	}
	if c.Caller != "" && o.Estate != nil && !o.Estate.Resolves(c.Caller) {
		note(fmt.Errorf("--caller %s: no public hosted zone of the estate has that name", c.Caller))
	}
	if c.Speed <= 0 {
		note(fmt.Errorf("--speed must be above 0"))
	}
	if c.Clock != "real" && c.Speed != 1 {
		note(fmt.Errorf("--speed goes with --clock real: virtual time takes none"))
	}
	if c.Functions != "" && (c.Clock != "real" || c.Speed > maxProcessSpeed) {
		note(fmt.Errorf("--functions needs --clock real and a --speed of at most %d: processes live in real time", maxProcessSpeed))
	}
	if len(wrong) > 0 {
		return o, wrongInput("%s", strings.Join(wrong, "\n"))
	}
	return o, nil
}

// store puts the payload that an input names into the estate's buckets. Its file
// stands beside that of the input, or in the folder payloads.
func store(estate *lab.Estate, name, beside string) error {
	file := name + ".json"
	for _, path := range []string{filepath.Join(filepath.Dir(beside), file), filepath.Join("payloads", file)} {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if !json.Valid(data) {
			return fmt.Errorf("%s is not JSON", path)
		}
		if estate.Payloads == nil {
			estate.Payloads = map[string]json.RawMessage{}
		}
		estate.Payloads[name] = data
		return nil
	}
	return fmt.Errorf("%s names the stored payload %q: there is no %s beside it nor in payloads, and none in the estate", beside, name, file)
}

// randomFaults draws a schedule over the calls that an undisturbed run makes.
func randomFaults(o lab.Options) (lab.Faults, error) {
	o.Binaries, o.Caller = "", "" // only the names of the calls are wanted
	calm, err := lab.Run(o)
	if err != nil {
		return nil, environment("%w", err)
	}
	var calls []string
	for name := range calm.APICalls {
		calls = append(calls, name)
	}
	slices.Sort(calls)
	return lab.RandomFaults(o.Seed, calls, lab.FunctionNames()), nil
}

// rejected tells of a payload that was not run.
func (c *labRunCommand) rejected(s streams, why error, problems payload.Problems) error {
	if c.JSON {
		result := lab.Result{Outcome: report.FailedClean, Cause: "the payload is wrong; nothing was started", Layers: []lab.ResultLayer{},
			APICalls: map[string]int{}, Mutations: map[string]int{}, Problems: problems}
		if err := json.NewEncoder(s.out).Encode(result); err != nil {
			return err
		}
	}
	return why
}

func (c *labRunCommand) finish(s streams, result lab.Result) error {
	if c.SaveEstate != "" {
		if err := result.Final.Save(c.SaveEstate); err != nil {
			return environment("saving the estate: %w", err)
		}
	}
	if c.Report != "" {
		if err := writeReport(c.Report, result.Record); err != nil {
			return environment("writing the report: %w", err)
		}
	}
	if c.JSON {
		if err := json.NewEncoder(s.out).Encode(result); err != nil {
			return environment("%w", err)
		}
	} else {
		printResult(s.out, result)
		if c.Report != "" {
			fmt.Fprintf(s.out, "Report: %s\n", filepath.Join(c.Report, "report.html"))
		}
	}
	for _, fault := range result.Unfired {
		fmt.Fprintln(s.err, neverMet(fault))
	}
	if result.Outcome != report.Succeeded {
		if !slices.Contains(result.Path, "CheckReadiness") && len(result.Problems) > 0 {
			return &failure{code: exitInput, err: errors.New("the payload is wrong"), silent: true}
		}
		return &failure{code: exitRun, err: fmt.Errorf("the run ended %s", result.Outcome), silent: true}
	}
	return nil
}

// neverMet tells of a fault that met no call. For a dead region that is as it
// should be: a failover needs nothing of it.
func neverMet(fault string) string {
	if region, ok := strings.CutPrefix(fault, string(lab.Dead)+"@region:"); ok && !strings.Contains(region, "#") {
		return "nothing was asked of " + region + ", which is dead"
	}
	return "never came to pass: " + fault
}

func writeReport(dir string, record report.Record) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "report.json"), append(data, '\n'), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "report.html"), record.HTML(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "report.txt"), []byte(record.Text()), 0o644)
}
