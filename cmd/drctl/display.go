package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

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
	return fmt.Sprintf("%8s  layer %d  %-40s  %-16s  %s", at, p.Layer, shorten(p.Resource, 40), p.Phase, report.Line(p.Message))
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
		lines = append(lines, fmt.Sprintf("%s %-34s %6s  %-15s %s", mark(r.last), shorten(r.last.Resource, 34), elapsed.Round(time.Second), shorten(r.last.Phase, 15), r.last.Message))
	}
	if hidden := len(d.rows) - len(shown); hidden > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more", hidden))
	}
	var b strings.Builder
	if d.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", d.drawn)
	}
	for _, line := range lines {
		fmt.Fprintf(&b, "\r\x1b[2K%s\n", shorten(line, width-1))
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

// shorten fits a text into a width of one line, its end included: names differ
// there.
func shorten(s string, width int) string {
	s = report.Line(s)
	r := []rune(s)
	if len(r) <= width || width < 3 {
		return s
	}
	tail := width / 4
	return string(r[:width-1-tail]) + "…" + string(r[len(r)-tail:])
}

// nameWidth gives the columns that the table has for names.
func nameWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			return min(max(width-66, 16), 60)
		}
	}
	return 60
}

// printResult tells a person how a run ended.
func printResult(w io.Writer, result lab.Result) {
	printOutcome(w, result.Outcome, result.Mode, result.DurationSeconds)
	printCause(w, result.Outcome, result.Cause)
	printLayers(w, result.Layers, true)
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
func printRecord(w io.Writer, record report.Record) {
	printOutcome(w, record.Outcome, record.Mode, record.DurationSeconds)
	fmt.Fprint(w, report.Printable(record.Outlook()))
	printCause(w, record.Outcome, record.Cause)
	fmt.Fprint(w, report.Printable(record.Answers()))
	var layers []lab.ResultLayer
	for _, layer := range record.Layers {
		l := lab.ResultLayer{Layer: layer.Layer}
		for _, r := range layer.Resources {
			l.Resources = append(l.Resources, lab.ResultResource{
				ResourceType: r.ResourceType, ResourceName: r.ResourceName, Status: r.Status, Changed: r.Changed, DurationSeconds: r.DurationSeconds,
				Polls: r.Polls, LagSeconds: r.LagSeconds, Error: r.Error, Verdict: r.Verdict, Findings: r.Findings,
			})
		}
		layers = append(layers, l)
	}
	printLayers(w, layers, false)
}

// printOutcome tells the end of a run in a sentence.
func printOutcome(w io.Writer, outcome report.Outcome, mode string, seconds float64) {
	meaning := outcome.Meaning()
	if mode == "plan" && outcome == report.Succeeded {
		meaning = "nothing stands in the way. Planned only, nothing was changed."
	}
	fmt.Fprintf(w, "\n%s after %s: %s\n", outcome, span(seconds), meaning)
}

func printCause(w io.Writer, outcome report.Outcome, cause string) {
	if cause != "" && outcome != report.Succeeded {
		fmt.Fprintln(w, indent(cause))
	}
}

// printLayers shows the resources in a table, and beneath it what was found
// about each. Only a lab knows how much of the time AWS itself took.
func printLayers(w io.Writer, layers []lab.ResultLayer, simulated bool) {
	if len(layers) == 0 {
		return
	}
	width := nameWidth(w)
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if simulated {
		fmt.Fprintln(t, "LAYER\tRESOURCE\tSTATUS\tCHANGED\tTOOK\tOF IT AWS\tADDED\tLAG")
	} else {
		fmt.Fprintln(t, "LAYER\tRESOURCE\tSTATUS\tCHANGED\tTOOK\tLAG")
	}
	for _, layer := range layers {
		for _, r := range layer.Resources {
			fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t", layer.Layer, shorten(r.ResourceName, width), r.Status, yes(r.Changed), span(r.DurationSeconds))
			if simulated {
				fmt.Fprintf(t, "%s\t%s\t", span(r.AWSSeconds), added(r))
			}
			fmt.Fprintln(t, lag(r.LagSeconds))
		}
	}
	t.Flush()
	for _, layer := range layers {
		for _, r := range layer.Resources {
			for _, f := range r.Findings {
				fmt.Fprintf(w, "\n%s: %s\n%s\n", shorten(r.ResourceName, 60), f.Verdict, indent(f.Message))
			}
		}
	}
	for _, layer := range layers {
		for _, r := range layer.Resources {
			if r.Error != nil {
				fmt.Fprintf(w, "\n%s: %s\n%s\n", report.Line(r.ResourceName), r.Error.Class, indent(r.Error.Message))
			}
		}
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
	return fmt.Sprintf("%g s", *seconds)
}
