package lab

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/asl"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/report"
	"dr-orchestrator/statemachine"
)

var update = flag.Bool("update", false, "write docs/errors.md")

// failing is a state of the machine, and how a call of it is told from others.
type failing struct {
	state    string
	function string
	event    string // part of the event; empty: any
	not      string // what the event does not hold; empty: anything
	faults   string // of a Map state instead: what breaks it
}

// The tasks of the machine, in the order in which a run comes to them.
var tasks = []failing{
	{"PrepareRun", "prepare-run", "", "", ""},
	{"CheckBatch", "promote-read-replica", `"operation":"preflight"`, `"drive"`, ""},
	{"RecordReadiness", "record-readiness", "", "", ""},
	{"RequestApproval", "request-approval", "", "", ""},
	{"LockResources", "set-locks", `"release":false`, `"resource":`, ""},
	{"DriveResource", "promote-read-replica", `"operation":"reconcile"`, "", ""},
	{"LockAgain", "set-locks", `"resource":`, "", ""},
	{"LookForChange", "promote-read-replica", `"drive"`, `"operation":"reconcile"`, ""},
	{"RecordLayer", "record-layer", "", "", ""},
	{"UnlockResources", "set-locks", `"release":true`, "", ""},
	{"RecordReport", "record-report", "", "", ""},
}

// others are the errors that Lambda and Step Functions make themselves. Nothing
// can catch the last two.
var others = []string{"Lambda.TooManyRequestsException", "Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException", "Lambda.ClientExecutionTimeoutException", "Lambda.Unknown", "Sandbox.Timedout", "Runtime.ExitError", "States.Timeout", "States.QueryEvaluationError", "States.DataLimitExceeded", "States.Runtime"}

// uncaught is what the table says where an error ends the execution itself.
const uncaught = "nothing"

// mapErrors are the errors of the Map states themselves, by what leads to them: the
// first map reads once and writes two objects.
var mapErrors = []struct {
	failing
	class string
}{
	{failing{"CheckReadiness", "", "", "", "error@states:ReadItems"}, asl.ErrorItemReader},
	{failing{"CheckReadiness", "", "", "", "error@states:WriteResults"}, asl.ErrorResultWriter},
	{failing{"CheckReadiness", "promote-read-replica", `"operation":"preflight"`, `"drive"`, ""}, asl.ErrorToleratedFailure},
	{failing{"RunLayer", "", "", "", "error@states:ReadItems#2-"}, asl.ErrorItemReader},
	{failing{"RunLayer", "", "", "", "error@states:WriteResults#3-"}, asl.ErrorResultWriter},
	{failing{"RunLayer", "promote-read-replica", `"operation":"reconcile"`, "", ""}, asl.ErrorToleratedFailure},
}

// end is what becomes of a run whose task fails always with one error.
type end struct {
	calls   int
	catches string // the state that follows
	item    string // end of the resource
	outcome report.Outcome
}

func endOf(t *testing.T, f failing, class string) end {
	t.Helper()
	payload := edited(t, "failover-replica-and-cache.json", func(doc map[string]any) {
		layer := doc["StatePayload"].([]any)[0].(map[string]any)
		layer["resources"] = slices.DeleteFunc(layer["resources"].([]any), func(r any) bool {
			return r.(map[string]any)["resourceType"] != "PromoteRDSReadReplica"
		})
		if f.state == "RequestApproval" {
			doc["Options"] = map[string]any{"Approval": true}
		}
	})
	clock := NewClock(Epoch)
	a := NewAccount(DefaultEstate(), clock, 1, faultsOf(t, f.faults))
	var out end
	if class == asl.ErrorToleratedFailure { // which the machine tolerates all of
		strict := strings.ReplaceAll(statemachine.Render(catalog.Failover, FunctionPrefix), `"ToleratedFailurePercentage": 100`, `"ToleratedFailurePercentage": 0`)
		if err := a.Define(MachineName(catalog.Failover), strict); err != nil {
			t.Fatal(err)
		}
	}
	ofMap := f.state == "CheckReadiness" || f.state == "RunLayer"
	a.raise = func(function string, event []byte) string {
		if f.function == "" {
			return ""
		}
		if f.state == "LookForChange" && bytes.Contains(event, []byte(`"operation":"reconcile"`)) {
			return string(action.OutcomeUnknown) // what leads there
		}
		if function != f.function || !bytes.Contains(event, []byte(f.event)) || f.not != "" && bytes.Contains(event, []byte(f.not)) {
			return ""
		}
		if ofMap {
			return asl.ErrorRuntime // and the child fails
		}
		out.calls++
		return class
	}
	var run *Execution
	in := map[string]string{} // by execution, the state that it is in
	a.runs.observe = func(e asl.Event) {
		if ofMap && e.State == f.state && (e.Kind == asl.StateEntered || e.Kind == asl.RetryScheduled) {
			out.calls++
		}
		if e.Kind != asl.StateEntered {
			return
		}
		if f.state == "LockAgain" && e.State == "WaitForResource" && run.Redrives == 0 && run.Running() {
			a.runs.stop(run, "", "")
		}
		if in[e.Execution.ARN] == f.state && e.State != f.state && out.catches == "" {
			out.catches = e.State
		}
		in[e.Execution.ARN] = e.State
	}
	var result Result
	clock.Run(func() {
		var err error
		if run, err = a.runs.start("us-west-2", MachineName(catalog.Failover), "run", payload); err != nil {
			t.Error(err)
			return
		}
		run.ended.Wait(0)
		if f.state == "LockAgain" {
			run.closed.Wait(0)
			if err := a.runs.redrive(run); err != nil {
				t.Error(err)
				return
			}
			run.ended.Wait(0)
		}
		if run.Result.Error == class && strings.HasPrefix(class, "States.") { // nothing has caught it, and close-run reports
			out.catches = uncaught
			run.closed.Wait(0)
		}
		if result, err = a.result(run); err != nil {
			t.Error(err)
		}
		if out.catches == "" {
			for _, child := range run.children() {
				if child.Result.Error == class {
					out.catches = uncaught
				}
			}
		}
	})
	if out.outcome = result.Outcome; out.catches == uncaught {
		out.outcome = result.Record.Outcome
	}
	if len(result.Layers) > 0 {
		out.item = string(result.Layers[0].Resources[0].Status)
	}
	return out
}

// The table of errors in the documents is what the machine does with them:
// each task fails with each error, again and again, and the run is watched.
func TestErrorTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("# What becomes of an error\n\n<!-- Made by make schema: the machine is run with each error in each task. Do not edit. -->\n\n")
	b.WriteString("Every task of the state machine was made to fail, without end, with each class of\nerror that a function reports and with the errors of Lambda and Step Functions\nthemselves, while one replica was to be promoted. \"Calls\" is how often the task\nwas tried; errors that pass are tried again after waits that grow, those of\nLambda itself for minutes. LockAgain bears them until the time limit, when\na last look sees what AWS has done by itself.\n\n")
	b.WriteString("| task | error | calls | caught, and on to | resource | end of the run |\n|---|---|---|---|---|---|\n")
	var names []string
	for _, class := range action.Classes {
		names = append(names, string(class))
	}
	names = append(names, others...)
	for _, f := range tasks {
		var ends []end
		errors := map[end][]string{}
		names := names
		if f.state == "RequestApproval" {
			names = append([]string{"Declined"}, names...)
		}
		for _, name := range names {
			e := endOf(t, f, name)
			switch {
			case e.catches == "":
				t.Errorf("%s in %s is caught by nothing", name, f.state)
			case e.catches == uncaught && name != asl.ErrorRuntime && name != asl.ErrorDataLimit:
				t.Errorf("%s in %s could be caught", name, f.state)
			case !slices.Contains([]report.Outcome{report.Succeeded, report.Refused, report.FailedClean, report.FailedDirty}, e.outcome):
				t.Errorf("%s in %s ends as %q", name, f.state, e.outcome)
			case e.outcome == report.Succeeded && f.state != "UnlockResources" && f.state != "RecordReport" && (f.state != "LockAgain" || e.catches != "WaitForResource"):
				t.Errorf("%s in %s, and the run succeeds", name, f.state)
			}
			if errors[e] == nil {
				ends = append(ends, e)
			}
			errors[e] = append(errors[e], "`"+name+"`")
		}
		for _, e := range ends {
			fmt.Fprintf(&b, "| %s | %s | %d | %s | %s | **%s** |\n", f.state, strings.Join(errors[e], ", "), e.calls, e.catches, e.item, e.outcome)
		}
	}
	b.WriteString("\n\"nothing\" ends the execution, or that of the one resource: Step Functions lets\nnobody catch these two. `close-run` then writes the report. `Declined` is what\n`drctl decline` answers the token of an approval with.\n\n## Map states\n\nWhat the Map states themselves fail with. All failures of their children are\ntolerated: the last row of each is of a machine that tolerates none.\n\n")
	b.WriteString("| state | error | tries | caught, and on to | resource | end of the run |\n|---|---|---|---|---|---|\n")
	for _, m := range mapErrors {
		e := endOf(t, m.failing, m.class)
		if e.catches == "" || e.catches == uncaught || e.outcome == report.Succeeded || e.calls == 0 {
			t.Errorf("%s in %s: %+v", m.class, m.state, e)
		}
		fmt.Fprintf(&b, "| %s | `%s` | %d | %s | %s | **%s** |\n", m.state, m.class, e.calls, e.catches, e.item, e.outcome)
	}
	path := filepath.Join("..", "..", "docs", "errors.md")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Errorf("docs/errors.md is not what the machine does: run make schema")
	}
}
