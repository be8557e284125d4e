package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lab"
	"dr-orchestrator/internal/report"
)

// display shows a run while it goes: on a terminal one line a resource,
// redrawn; elsewhere a plain line for each thing that changes.
type display struct {
	out       io.Writer
	terminal  *os.File // nil: no terminal
	rows      []*row
	state     string
	drawn     int // lines on the screen
	lastDrawn time.Time
	started   time.Time
}

type row struct {
	index int
	last  lab.Progress
}

// frame is how often a terminal is redrawn at most.
const frame = 50 * time.Millisecond

// newDisplay shows progress on standard error when standard output carries
// the result for a script.
func newDisplay(s streams, quiet bool) *display {
	d := &display{out: s.out}
	if quiet {
		d.out = s.err
	}
	if f, ok := d.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		d.terminal = f
	}
	return d
}

func (d *display) progress(p lab.Progress) {
	if d.started.IsZero() {
		d.started = p.Time
	}
	news := d.note(p)
	if d.terminal == nil {
		if news {
			fmt.Fprintln(d.out, d.plain(p))
		}
		return
	}
	if now := time.Now(); now.Sub(d.lastDrawn) >= frame {
		d.lastDrawn = now
		d.draw(p.Time)
	}
}

// note keeps what is new and reports whether it is worth a line.
func (d *display) note(p lab.Progress) bool {
	if p.Resource == "" {
		d.state = p.Phase
		return true
	}
	for _, r := range d.rows {
		if r.index == p.Index {
			news := r.last.Phase != p.Phase || r.last.Ended != p.Ended
			r.last = p
			return news
		}
	}
	d.rows = append(d.rows, &row{p.Index, p})
	slices.SortFunc(d.rows, func(a, b *row) int { return cmp.Compare(a.index, b.index) })
	return true
}

func (d *display) plain(p lab.Progress) string {
	at := p.Time.Sub(d.started).Round(100 * time.Millisecond)
	if p.Resource == "" {
		return fmt.Sprintf("%8s  %s", at, p.Phase)
	}
	return fmt.Sprintf("%8s  layer %d  %s  %s  %s", at, p.Layer, pad(middle(report.Line(p.Resource), 40), 40), pad(p.Phase, 16), report.Line(p.Message))
}

// draw repaints the block of lines at the bottom of the terminal. Resources
// that do not fit its height are counted instead of shown.
func (d *display) draw(now time.Time) {
	width, height, err := term.GetSize(int(d.terminal.Fd()))
	if err != nil || width < 20 {
		width, height = 80, 24
	}
	lines := []string{fmt.Sprintf("%8s  %s", now.Sub(d.started).Round(time.Second), d.state)}
	shown := d.rows
	if most := height - 3; len(shown) > most {
		shown = d.busiest(most - 1)
	}
	for _, r := range shown {
		elapsed := r.last.Elapsed
		if !r.last.Ended {
			elapsed += now.Sub(r.last.Time)
		}
		lines = append(lines, fmt.Sprintf("%s %s %6s  %s %s", mark(r.last), pad(middle(report.Line(r.last.Resource), 34), 34), elapsed.Round(time.Second), fill(report.Line(r.last.Phase), 15), report.Line(r.last.Message)))
	}
	if hidden := len(d.rows) - len(shown); hidden > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more", hidden))
	}
	var b strings.Builder
	if d.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", d.drawn)
	}
	for _, line := range lines {
		fmt.Fprintf(&b, "\r\x1b[2K%s\n", cut(line, width-1))
	}
	for i := len(lines); i < d.drawn; i++ {
		b.WriteString("\r\x1b[2K\n")
	}
	d.drawn = max(d.drawn, len(lines))
	fmt.Fprint(d.terminal, b.String())
}

// busiest gives the rows that are still at work first.
func (d *display) busiest(n int) []*row {
	var some []*row
	for _, ended := range []bool{false, true} {
		for _, r := range d.rows {
			if r.last.Ended == ended && len(some) < n {
				some = append(some, r)
			}
		}
	}
	return some
}

func mark(p lab.Progress) string {
	switch {
	case p.Failed:
		return "✗"
	case p.Ended:
		return "✓"
	}
	return "…"
}

func (d *display) close() {
	if d.terminal != nil && len(d.rows) > 0 {
		last := d.rows[0].last.Time
		for _, r := range d.rows {
			if r.last.Time.After(last) {
				last = r.last.Time
			}
		}
		d.draw(last)
	}
}

// printResult tells a person how a run in the lab ended.
func printResult(w io.Writer, result lab.Result) {
	printEnd(w, result.Record, result.Layers)
	fmt.Fprintf(w, "\n%d API calls, %d of them changed something; %d state transitions.\n", total(result.APICalls), total(result.Mutations), result.Transitions)
	if result.Caller != nil {
		printCaller(w, *result.Caller)
	}
}

// printCaller tells what somebody saw who used the application all the while.
func printCaller(w io.Writer, c lab.Caller) {
	var writes []string
	for _, region := range slices.Sorted(maps.Keys(c.Writes)) {
		writes = append(writes, fmt.Sprintf("%d in %s", c.Writes[region], region))
	}
	if writes == nil {
		writes = []string{"none"}
	}
	fmt.Fprintf(w, "\nA caller of %s: of one write a second, %d were taken: %s.\n", c.Name, total(c.Writes), strings.Join(writes, ", "))
	for _, o := range c.Outages {
		end := ""
		if o.Lasts {
			end = ", which lasts"
		}
		fmt.Fprintf(w, "  An outage of %s, from %s on%s: %s\n", span(o.Seconds), span(o.AtSeconds), end, o.Cause)
	}
	if len(c.Outages) == 0 {
		fmt.Fprintln(w, "  No outage.")
	}
	if c.Stale > 0 {
		fmt.Fprintf(w, "  %d times DNS led back to the old side after the swap.\n", c.Stale)
	}
}

func total(counts map[string]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}

// printRecord tells a person what the report of a run says.
func printRecord(w io.Writer, record report.Record) { printEnd(w, record, nil) }

// fewRows is up to how many resources the outcome is still on the screen after
// the table of them.
const fewRows = 20

// printEnd tells how a run ended and what to do next, and then of each resource.
// Only a lab knows how much of the time AWS itself took; nil: it was none.
func printEnd(w io.Writer, record report.Record, simulated []lab.ResultLayer) {
	printOutcome(w, record)
	fmt.Fprint(w, report.Printable(record.Outlook()))
	printCause(w, record.Outcome, record.Cause)
	fmt.Fprint(w, report.Printable(record.Answers()))
	printLayers(w, record.Layers, simulated)
	printSaid(w, findings(record))
	printSaid(w, errorsOf(record))
	if record.Tally().All > fewRows {
		printOutcome(w, record)
	}
}

// printOutcome tells the end of a run in a sentence.
func printOutcome(w io.Writer, record report.Record) {
	fmt.Fprintf(w, "\n%s after %s: %s\n", record.Outcome, span(record.DurationSeconds), record.Meaning())
}

func printCause(w io.Writer, outcome report.Outcome, cause string) {
	if cause != "" && outcome != report.Succeeded {
		fmt.Fprintln(w, indent(cause))
	}
}

// longestName bounds the names in a table.
const longestName = 60

// printLayers shows the resources in a table.
func printLayers(w io.Writer, layers []report.Layer, simulated []lab.ResultLayer) {
	if len(layers) == 0 {
		return
	}
	head := []string{"LAYER", "RESOURCE", "STATUS", "CHANGED", "TOOK", "OF IT AWS", "ADDED", "LAG"}
	if simulated == nil {
		head = slices.Delete(head, 5, 7)
	}
	rows := [][]string{head}
	for i, layer := range layers {
		for k, r := range layer.Resources {
			row := []string{fmt.Sprint(layer.Layer), middle(report.Line(r.ResourceName), longestName), string(r.Status), yes(r.Changed), span(r.DurationSeconds)}
			if simulated != nil {
				s := simulated[i].Resources[k]
				row = append(row, span(s.AWSSeconds), added(s))
			}
			rows = append(rows, append(row, lag(r.LagSeconds)))
		}
	}
	fmt.Fprintln(w)
	printTable(w, rows, 1, terminalWidth(w))
}

// said is something that is told of resources: what it is, in a word, and the
// words themselves.
type said struct{ resource, kind, text string }

// findings are what the preflight found. That a resource is ready is news of a
// plan alone.
func findings(record report.Record) []said {
	var all []said
	for _, layer := range record.Layers {
		for _, r := range layer.Resources {
			for _, f := range r.Findings {
				if f.Verdict != action.VerdictReady || record.Mode == "plan" {
					all = append(all, said{r.ResourceName, string(f.Verdict), f.Message})
				}
			}
		}
	}
	return all
}

func errorsOf(record report.Record) []said {
	var all []said
	for _, layer := range record.Layers {
		for _, r := range layer.Resources {
			if r.Error != nil {
				all = append(all, said{r.ResourceName, r.Error.Class, r.Error.Message})
			}
		}
	}
	return all
}

// printSaid tells what is said of resources, the same said of several once.
func printSaid(w io.Writer, all []said) {
	names := map[said][]string{}
	var order []said
	for _, s := range all {
		what := said{kind: s.kind, text: s.text}
		if names[what] == nil {
			order = append(order, what)
		}
		names[what] = append(names[what], report.Line(s.resource))
	}
	const most = 3
	for _, what := range order {
		who, more := names[what], ""
		if n := len(who) - most; n > 0 {
			who, more = who[:most], fmt.Sprintf(" and %d more", n)
		}
		fmt.Fprintf(w, "\n%s%s: %s\n%s\n", strings.Join(who, ", "), more, what.kind, indent(what.text))
	}
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(report.Printable(s)), "\n", "\n  ")
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d >= time.Minute {
		return d.Round(time.Second).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

// milliseconds rounds seconds to what anybody can tell.
func milliseconds(seconds float64) float64 { return math.Round(seconds*1000) / 1000 }

func added(r lab.ResultResource) string {
	if r.Status == report.Skipped {
		return "-"
	}
	return span(max(r.DurationSeconds-r.AWSSeconds, 0))
}

func lag(seconds *float64) string {
	if seconds == nil {
		return "-"
	}
	return fmt.Sprintf("%g s", milliseconds(*seconds))
}
