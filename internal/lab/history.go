package lab

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"dr-orchestrator/internal/asl"
)

// statesService is what Step Functions tells of executions. The errors and the
// quotas of pages are those of its API reference.
var statesService = map[string]handler{
	"states:StartExecution": func(a *Account, c *Call) (any, error) {
		input := c.Params.str("input")
		if input == "" {
			input = "{}"
		}
		if !json.Valid([]byte(input)) {
			return nil, fail(400, "InvalidExecutionInput", "Invalid State Machine Execution Input")
		}
		machine, err := machineOf(c)
		if err != nil {
			return nil, err
		}
		e, err := a.runs.start(c.Region, machine, c.Params.str("name"), json.RawMessage(input))
		if err != nil {
			return nil, err
		}
		return map[string]any{"executionArn": e.ARN, "startDate": stamp(e.Started)}, nil
	},
	"states:DescribeExecution": func(a *Account, c *Call) (any, error) {
		e, err := a.execution(c)
		if err != nil {
			return nil, err
		}
		out := summary(a, e)
		out["input"] = string(e.Input)
		out["inputDetails"] = map[string]any{"included": true}
		switch why := a.runs.obstacle(e); {
		case e.MapRun != "" && !e.Running() && e.Result.Status != asl.StatusSucceeded:
			out["redriveStatus"] = "REDRIVABLE_BY_MAP_RUN"
		case why != "":
			out["redriveStatus"], out["redriveStatusReason"] = "NOT_REDRIVABLE", why
		default:
			out["redriveStatus"] = "REDRIVABLE"
		}
		if !e.Running() {
			if e.Result.Output != nil {
				out["output"] = string(e.Result.Output)
				out["outputDetails"] = map[string]any{"included": true}
			}
			if e.Result.Error != "" {
				out["error"] = e.Result.Error
			}
			if e.Result.Cause != "" {
				out["cause"] = e.Result.Cause
			}
		}
		return out, nil
	},
	"states:StopExecution": func(a *Account, c *Call) (any, error) {
		e, err := a.execution(c)
		if err != nil {
			return nil, err
		}
		if e.MapRun != "" {
			return nil, fail(400, "ValidationException", "the lab stops whole executions, not a child of a map run")
		}
		if e.Running() {
			a.runs.stop(e, c.Params.str("error"), c.Params.str("cause"))
		}
		return map[string]any{"stopDate": stamp(e.Ended)}, nil
	},
	"states:RedriveExecution": func(a *Account, c *Call) (any, error) {
		e, err := a.execution(c)
		if err != nil {
			return nil, err
		}
		if e.MapRun != "" {
			return nil, fail(400, "ExecutionNotRedrivable", "a child of a map run is redriven with its parent")
		}
		if err := a.runs.redrive(e); err != nil {
			return nil, err
		}
		return map[string]any{"redriveDate": stamp(e.Redriven)}, nil
	},
	"states:ListExecutions": func(a *Account, c *Call) (any, error) {
		ofMachine, ofMapRun := c.Params.str("stateMachineArn"), c.Params.str("mapRunArn")
		if (ofMachine == "") == (ofMapRun == "") {
			return nil, fail(400, "ValidationException", "exactly one of stateMachineArn and mapRunArn must be given")
		}
		all, err := a.listed(c, ofMapRun)
		if err != nil {
			return nil, err
		}
		list := []map[string]any{}
		status := c.Params.str("statusFilter")
		for _, e := range slices.Backward(all) {
			if status == "" || status == string(e.status()) {
				list = append(list, summary(a, e))
			}
		}
		return page(c, "executions", list)
	},
	"states:ListMapRuns": func(a *Account, c *Call) (any, error) {
		e, err := a.execution(c)
		if err != nil {
			return nil, err
		}
		list := []map[string]any{}
		for _, run := range slices.Backward(e.mapRuns()) {
			label, _, _ := strings.Cut(run.arn[strings.Index(run.arn, ":mapRun:")+len(":mapRun:"):], ":")
			item := map[string]any{"executionArn": e.ARN, "mapRunArn": run.arn, "stateMachineArn": a.machineARN(e.Region, label), "startDate": stamp(run.started)}
			if !run.stopped.IsZero() {
				item["stopDate"] = stamp(run.stopped)
			}
			list = append(list, item)
		}
		return page(c, "mapRuns", list)
	},
	"states:GetExecutionHistory": func(a *Account, c *Call) (any, error) {
		e, err := a.execution(c)
		if err != nil {
			return nil, err
		}
		events := history(e, a.roleARN(e.Machine), c.Params.str("includeExecutionData") != "false")
		if c.Params.flag("reverseOrder") {
			slices.Reverse(events)
		}
		return page(c, "events", events)
	},
	"states:ListStateMachines": func(a *Account, c *Call) (any, error) {
		list := []map[string]any{}
		for _, name := range sortedKeys(a.runs.machines) {
			list = append(list, map[string]any{"stateMachineArn": a.machineARN(c.Region, name), "name": name, "type": "STANDARD", "creationDate": stamp(a.clock.start)})
		}
		return map[string]any{"stateMachines": list}, nil
	},
	"states:DescribeStateMachine": func(a *Account, c *Call) (any, error) {
		machine, err := machineOf(c)
		if err != nil {
			return nil, err
		}
		name, _, _ := strings.Cut(machine, ":")
		if a.runs.machines[name] == nil {
			return nil, fail(400, "StateMachineDoesNotExist", "State Machine Does Not Exist: '%s'", c.Params.str("stateMachineArn"))
		}
		return map[string]any{"stateMachineArn": a.machineARN(c.Region, machine), "name": name, "status": "ACTIVE", "type": "STANDARD", "creationDate": stamp(a.clock.start),
			"roleArn": a.roleARN(name), "definition": a.runs.definitions[name]}, nil
	},
}

// machineOf reads the name of a machine from its ARN, with the version or the
// alias that the ARN names.
func machineOf(c *Call) (string, error) {
	text := c.Params.str("stateMachineArn")
	head, name, ok := strings.Cut(text, ":stateMachine:")
	parts := strings.Split(head, ":")
	if !ok || len(parts) != 5 || parts[2] != "states" {
		return "", fail(400, "InvalidArn", "Invalid Arn: '%s'", text)
	}
	if parts[3] != c.Region {
		return "", fail(400, "StateMachineDoesNotExist", "State Machine Does Not Exist: '%s'", text)
	}
	return name, nil
}

var executionARN = regexp.MustCompile(`^arn:[a-z-]+:states:[a-z0-9-]+:\d{12}:execution:([^:/]+)(/[^:/]+)?:[^:/]+$`)

// execution finds the execution, or the child of one, that a call is about.
func (a *Account) execution(c *Call) (*Execution, error) {
	text := c.Params.str("executionArn")
	form := executionARN.FindStringSubmatch(text)
	if form == nil {
		return nil, fail(400, "InvalidArn", "Invalid Arn: '%s'", text)
	}
	if e, ok := a.runs.all[text]; ok && e.Region == c.Region {
		return e, nil
	}
	if form[2] != "" {
		for _, arn := range a.runs.order {
			if e := a.runs.all[arn]; e.Region == c.Region && e.Machine == form[1] {
				if child := e.children()[text]; child != nil {
					return child, nil
				}
			}
		}
	}
	return nil, fail(400, "ExecutionDoesNotExist", "Execution Does Not Exist: '%s'", text)
}

// listed gives the executions of a machine, or the children of a map run, the
// oldest first. By an alias or a version, only what was started by it counts.
func (a *Account) listed(c *Call, mapRun string) ([]*Execution, error) {
	var list []*Execution
	if mapRun != "" {
		for _, arn := range a.runs.order {
			e := a.runs.all[arn]
			if e.Region != c.Region || !slices.ContainsFunc(e.mapRuns(), func(r mapRunSpan) bool { return r.arn == mapRun }) {
				continue
			}
			for _, child := range e.children() {
				if child.MapRun == mapRun {
					list = append(list, child)
				}
			}
			slices.SortFunc(list, func(a, b *Execution) int {
				if d := a.Started.Compare(b.Started); d != 0 {
					return d
				}
				return strings.Compare(a.ARN, b.ARN)
			})
			return list, nil
		}
		return nil, fail(400, "ResourceNotFound", "Map Run Does Not Exist: '%s'", mapRun)
	}
	machine, err := machineOf(c)
	if err != nil {
		return nil, err
	}
	name, qualifier, _ := strings.Cut(machine, ":")
	if a.runs.machines[name] == nil {
		return nil, fail(400, "StateMachineDoesNotExist", "State Machine Does Not Exist: '%s'", c.Params.str("stateMachineArn"))
	}
	for _, arn := range a.runs.order {
		e := a.runs.all[arn]
		if e.Region == c.Region && e.Machine == name && (qualifier == "" || qualifier == e.Qualifier) {
			list = append(list, e)
		}
	}
	return list, nil
}

// page gives the part of a list that a call asks for. Quotas: 100 by default,
// 1000 at most. The token says after how many of the oldest or newest ones the
// next page begins, from the end of the list that does not grow.
func page(c *Call, name string, list []map[string]any) (map[string]any, error) {
	size := 100
	if c.Params.has("maxResults") && c.Params.str("maxResults") != "0" {
		if size = atoi(c.Params.str("maxResults")); size < 1 || size > 1000 {
			return nil, fail(400, "ValidationException", "maxResults must be between 0 and 1000")
		}
	}
	// A list with the newest first grows at its head: count from its tail.
	newestFirst := name != "events" || c.Params.flag("reverseOrder")
	from := 0
	if token := c.Params.str("nextToken"); token != "" {
		n, err := strconv.Atoi(token)
		if err != nil || n < 0 || n > len(list) {
			return nil, fail(400, "InvalidToken", "Invalid Token: '%s'", token)
		}
		if from = n; newestFirst {
			from = len(list) - n
		}
	}
	to := min(from+size, len(list))
	out := map[string]any{name: list[from:to]}
	if to < len(list) {
		next := to
		if newestFirst {
			next = len(list) - to
		}
		out["nextToken"] = strconv.Itoa(next)
	}
	return out, nil
}

func (e *Execution) status() asl.Status {
	if e.Running() {
		return "RUNNING"
	}
	return e.Result.Status
}

func summary(a *Account, e *Execution) map[string]any {
	machine := a.machineARN(e.Region, e.Machine)
	out := map[string]any{"executionArn": e.ARN, "stateMachineArn": machine, "name": e.Name, "status": e.status(), "startDate": stamp(e.Started)}
	if !e.Running() {
		out["stopDate"] = stamp(e.Ended)
	}
	if out["redriveCount"] = e.Redrives; e.Redrives > 0 {
		out["redriveDate"] = stamp(e.Redriven)
	}
	switch e.Qualifier {
	case "":
	case liveAlias:
		out["stateMachineAliasArn"] = machine + ":" + liveAlias
		fallthrough
	default:
		out["stateMachineVersionArn"] = machine + ":" + firstVersion
	}
	if e.MapRun != "" {
		out["mapRunArn"] = e.MapRun
	}
	return out
}

// children gives the children of the distributed maps of an execution by their
// ARNs.
func (e *Execution) children() map[string]*Execution {
	all := map[string]*Execution{}
	for _, event := range e.Events {
		arn := event.Execution.ARN
		if arn == e.ARN {
			continue
		}
		if event.Kind == asl.ExecutionStarted {
			all[arn] = &Execution{ARN: arn, Name: event.Execution.Name, Machine: event.Execution.MachineName, Region: e.Region,
				MapRun: event.MapRun, Input: event.Input, Started: event.Time}
		}
		child := all[arn]
		child.Events = append(child.Events, event)
		if event.Kind == asl.ExecutionRedriven {
			child.Redrives, child.Redriven, child.Ended, child.Result = event.Redrives, event.Time, time.Time{}, asl.Result{}
		}
		if status, ended := ends[event.Kind]; ended {
			child.Ended = event.Time
			child.Result = asl.Result{Status: status, Output: event.Output, Error: event.Error, Cause: event.Cause}
		}
	}
	return all
}

var ends = map[asl.EventKind]asl.Status{
	asl.ExecutionSucceeded: asl.StatusSucceeded,
	asl.ExecutionFailed:    asl.StatusFailed,
	asl.ExecutionAborted:   asl.StatusAborted,
	asl.ExecutionTimedOut:  asl.StatusTimedOut,
}

// mapRunSpan is one run of a distributed map.
type mapRunSpan struct {
	arn              string
	started, stopped time.Time
	redrives         int
	redriven         time.Time // the last time
}

func (e *Execution) mapRuns() []mapRunSpan {
	var all []mapRunSpan
	for _, event := range e.Events {
		switch event.Kind {
		case asl.MapRunStarted:
			all = append(all, mapRunSpan{arn: event.MapRun, started: event.Time})
		case asl.MapRunSucceeded, asl.MapRunFailed, asl.MapRunAborted, asl.MapRunRedriven:
			for i := range all {
				switch {
				case all[i].arn != event.MapRun:
				case event.Kind == asl.MapRunRedriven:
					all[i].redrives, all[i].redriven, all[i].stopped = event.Redrives, event.Time, time.Time{}
				default:
					all[i].stopped = event.Time
				}
			}
		}
	}
	return all
}

// history writes the events of an execution as GetExecutionHistory does. With
// no data, inputs, outputs and parameters are left out.
func history(e *Execution, role string, data bool) []map[string]any {
	events := []map[string]any{}
	last := map[string]int{} // the event of a task before this one, by the path of the state
	add := func(kind string, event asl.Event, details string, members map[string]any) {
		id := len(events) + 1
		previous := id - 1
		if strings.HasPrefix(string(event.Kind), "Task") {
			if n := last[event.Path]; n > 0 && event.Kind != asl.TaskScheduled {
				previous = n
			}
			last[event.Path] = id
		}
		out := map[string]any{"id": id, "previousEventId": previous, "timestamp": stamp(event.Time), "type": kind}
		if details != "" {
			out[details] = members
		}
		events = append(events, out)
	}
	with := func(members map[string]any, name string, value json.RawMessage) map[string]any {
		if data && value != nil {
			members[name] = string(value)
			if name != "parameters" {
				members[name+"Details"] = map[string]any{"truncated": false}
			}
		}
		return members
	}
	for _, event := range e.Events {
		if event.Execution.ARN != e.ARN {
			continue
		}
		kind := event.Name()
		failed := map[string]any{"error": event.Error, "cause": event.Cause}
		task := map[string]any{"resourceType": "lambda", "resource": strings.TrimPrefix(event.Resource, "arn:aws:states:::lambda:")}
		switch event.Kind {
		case asl.RetryScheduled: // has no counterpart
		case asl.ExecutionStarted:
			add(kind, event, "executionStartedEventDetails", with(map[string]any{"roleArn": role}, "input", event.Input))
		case asl.ExecutionRedriven:
			add(kind, event, "executionRedrivenEventDetails", map[string]any{"redriveCount": event.Redrives})
		case asl.MapRunRedriven:
			add(kind, event, "mapRunRedrivenEventDetails", map[string]any{"mapRunArn": event.MapRun, "redriveCount": event.Redrives})
		case asl.ExecutionSucceeded:
			add(kind, event, "executionSucceededEventDetails", with(map[string]any{}, "output", event.Output))
		case asl.ExecutionFailed:
			add(kind, event, "executionFailedEventDetails", failed)
		case asl.ExecutionAborted:
			add(kind, event, "executionAbortedEventDetails", failed)
		case asl.ExecutionTimedOut:
			add(kind, event, "executionTimedOutEventDetails", failed)
		case asl.StateEntered:
			add(kind, event, "stateEnteredEventDetails", with(map[string]any{"name": event.State}, "input", event.Input))
		case asl.StateExited:
			add(kind, event, "stateExitedEventDetails", with(map[string]any{"name": event.State}, "output", event.Output))
		case asl.TaskScheduled:
			task["region"] = e.Region
			add(kind, event, "taskScheduledEventDetails", with(task, "parameters", event.Input))
			add("TaskStarted", event, "taskStartedEventDetails", map[string]any{"resourceType": task["resourceType"], "resource": task["resource"]})
		case asl.TaskSubmitted:
			add(kind, event, "taskSubmittedEventDetails", with(task, "output", event.Output))
		case asl.TaskSucceeded:
			add(kind, event, "taskSucceededEventDetails", with(task, "output", event.Output))
		case asl.TaskFailed, asl.TaskTimedOut:
			task["error"], task["cause"] = event.Error, event.Cause
			add(kind, event, map[asl.EventKind]string{asl.TaskFailed: "taskFailedEventDetails", asl.TaskTimedOut: "taskTimedOutEventDetails"}[event.Kind], task)
		case asl.EvaluationFailed:
			failed["state"] = event.State
			add(kind, event, "evaluationFailedEventDetails", failed)
		case asl.MapIterationStarted, asl.MapIterationSucceeded, asl.MapIterationFailed, asl.MapIterationAborted:
			add(kind, event, "mapIteration"+strings.TrimPrefix(kind, "MapIteration")+"EventDetails", map[string]any{"name": event.State, "index": event.Index})
		case asl.MapRunStarted:
			add(kind, event, "mapRunStartedEventDetails", map[string]any{"mapRunArn": event.MapRun})
		case asl.MapRunFailed:
			add(kind, event, "mapRunFailedEventDetails", failed)
		case asl.MapRunSucceeded, asl.MapRunAborted:
			add(kind, event, "", nil)
		default:
			panic(fmt.Sprintf("lab: no history for the event %s", event.Kind))
		}
	}
	return events
}
