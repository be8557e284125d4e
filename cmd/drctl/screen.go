package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"dr-orchestrator/internal/report"
)

// colours are what a text is set in; the zero value sets none.
type colours bool

func (c colours) paint(code, s string) string {
	if !c {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// The codes of SGR that are used.
const (
	bold   = "1"
	faint  = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	blue   = "36"
)

// screen is what of a run is drawn.
type screen struct {
	w      *watcher
	cause  string // why nothing new can be seen
	colour colours
}

// lines draws the tree for a terminal of so many columns and rows. No line is
// wider, and there are no more of them.
func (s screen) lines(columns, rows int) []string {
	now := s.w.now()
	head := s.head(now, columns)
	foot := s.foot(columns, max(rows/3, rows-len(head)-s.w.size()))
	room := rows - len(head) - len(foot)
	if room < 1 {
		return append(head, foot...)[:min(rows, len(head)+len(foot))]
	}
	body := s.tree(now, columns, room)
	for len(body) < room {
		body = append(body, "")
	}
	return slices.Concat(head, body, foot)
}

func (s screen) head(now time.Time, columns int) []string {
	if s.w.execution == nil {
		return []string{s.colour.paint(bold, cut("Looking for "+s.w.arn, columns)), ""}
	}
	d := s.w.execution
	since := spent(now.Sub(aws.ToTime(d.StartDate)))
	status := string(d.Status)
	name := middle(report.Line(aws.ToString(d.Name)), max(columns-width(since)-len(status)-4, 0))
	left := cut(name+"  "+status, max(columns-width(since)-1, 0))
	since = cut(since, columns)
	gap := strings.Repeat(" ", max(columns-width(left)-width(since), 0))
	done, failed, all := s.w.count()
	state := cut(stateText(s.w.state), columns)
	if all > 0 {
		state = s.bar(done, failed, all, columns)
	}
	return []string{s.colour.paint(bold, left) + gap + s.colour.paint(bold, since), state, ""}
}

// counted writes how many there are, in the right number.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// stateText says what a state of the machine is about.
func stateText(state string) string {
	if state == "" {
		return "not begun"
	}
	return "in the state " + state
}

// bar shows how much of a run is done.
func (s screen) bar(done, failed, all, columns int) string {
	text := fmt.Sprintf(" %d of %d at the goal", done, all)
	if failed > 0 {
		text += fmt.Sprintf(", %d failed", failed)
	}
	text += "; " + stateText(s.w.state)
	long := min(max(min(columns-width(text), columns/3), 10), columns)
	d, f := done*long/all, (failed*long+all-1)/all
	f = min(f, long-d)
	return s.colour.paint(green, strings.Repeat("█", d)) + s.colour.paint(red, strings.Repeat("▒", f)) + s.colour.paint(faint, strings.Repeat("░", long-d-f)) + cut(text, columns-long)
}

// size is how many lines layers and resources take, all of them.
func (w *watcher) size() int {
	_, _, all := w.count()
	return len(w.layers) + all
}

func (w *watcher) count() (done, failed, all int) {
	for _, l := range w.layers {
		for _, r := range l.resources {
			all++
			switch {
			case r.status == report.Done:
				done++
			case r.failed():
				failed++
			}
		}
	}
	return done, failed, all
}

// foot tells what is wrong, or what a person is asked and how to answer: in no
// more rows, but the commands whole, for they are to be copied.
func (s screen) foot(columns, rows int) []string {
	trouble := s.w.trouble(s.cause)
	switch {
	case trouble != "":
		return []string{s.colour.paint(yellow, cut("! "+report.Line(trouble), columns))}
	case s.w.question == nil:
		return []string{s.colour.paint(faint, cut("Ctrl-C ends the watching, not the run.", columns))}
	}
	q := s.w.question
	commands := slices.Concat(continued(q.Approve, columns), continued(q.Decline, columns))
	text := wrapped(q.String(), columns)
	if most := max(rows-len(commands), 1); len(text) > most {
		text = append(text[:most-1:most-1], cut(strings.Join(text[most-1:], " "), columns))
	}
	for i := range text {
		text[i] = s.colour.paint(yellow, text[i])
	}
	return append(text, commands...)
}

// tree draws layers and resources. Where not all find room, layers keep a line
// each, what failed and what is at work is shown first, and the line of a layer
// counts the rest.
func (s screen) tree(now time.Time, columns, room int) []string {
	layers, before, after := s.window(room)
	var all []*watchedResource
	for _, l := range layers {
		all = append(all, l.resources...)
	}
	slices.SortStableFunc(all, func(a, b *watchedResource) int { return cmp.Compare(rank(a, s.w), rank(b, s.w)) })
	lines := len(layers)
	if before > 0 {
		lines++
	}
	if after > 0 {
		lines++
	}
	shown := map[*watchedResource]bool{}
	for _, r := range all[:min(len(all), max(room-lines, 0))] {
		shown[r] = true
	}
	var out []string
	if before > 0 {
		out = append(out, s.colour.paint(faint, cut("  "+counted(before, "layer")+" before", columns)))
	}
	names := s.nameWidth(columns)
	for _, l := range layers {
		hidden := 0
		for _, r := range l.resources {
			if !shown[r] {
				hidden++
			}
		}
		out = append(out, s.layer(l, hidden, columns))
		for _, r := range l.resources {
			if shown[r] {
				out = append(out, s.resource(r, l.begun, now, names, columns))
			}
		}
	}
	if after > 0 {
		out = append(out, s.colour.paint(faint, cut("  "+counted(after, "layer")+" after", columns)))
	}
	return out[:min(len(out), room)]
}

// window chooses the layers that are shown where there are more than lines: from
// the first that has not ended.
func (s screen) window(room int) (layers []*watchedLayer, before, after int) {
	all := s.w.layers
	most := max(room*2/3, 1)
	if len(all) <= most {
		return all, 0, 0
	}
	first := slices.IndexFunc(all, func(l *watchedLayer) bool {
		return slices.ContainsFunc(l.resources, func(r *watchedResource) bool { return !r.over() })
	})
	if first < 0 {
		first = len(all)
	}
	from := min(max(first-1, 0), len(all)-most)
	return all[from : from+most], from, len(all) - from - most
}

// rank orders resources by how much they are worth a line.
func rank(r *watchedResource, w *watcher) int {
	switch {
	case r.failed():
		return 0
	case r.status == stageRunning:
		return 1
	case r.layer == w.working():
		return 2
	case r.status == stageWaiting:
		return 3
	}
	return 4
}

// working is the layer that something runs in, or the first that waits.
func (w *watcher) working() int {
	for _, stage := range []report.Status{stageRunning, stageWaiting} {
		for _, l := range w.layers {
			if slices.ContainsFunc(l.resources, func(r *watchedResource) bool { return r.status == stage }) {
				return l.number
			}
		}
	}
	return -1
}

func (s screen) nameWidth(columns int) int {
	longest := 10
	for _, l := range s.w.layers {
		for _, r := range l.resources {
			longest = max(longest, width(report.Line(r.name)))
		}
	}
	return min(longest, columns*2/5)
}

func (s screen) layer(l *watchedLayer, hidden, columns int) string {
	counts := map[report.Status]int{}
	for _, r := range l.resources {
		counts[r.status]++
	}
	waiting := "waiting"
	if l.begun {
		waiting = "not seen yet"
	}
	var parts []string
	for _, part := range []struct {
		status report.Status
		word   string
	}{{stageRunning, "running"}, {report.Failed, "failed"}, {report.RefusedHere, "refused"}, {stageEnded, "ended"}, {report.Done, "done"}, {stageWaiting, waiting}} {
		if n := counts[part.status]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, part.word))
		}
	}
	text := fmt.Sprintf("Layer %d  ", l.number)
	rest := strings.Join(parts, ", ")
	if hidden > 0 && hidden < len(l.resources) {
		rest += fmt.Sprintf("; %d not shown", hidden)
	}
	return s.colour.paint(bold, cut(text, columns)) + s.colour.paint(faint, cut(rest, max(columns-width(text), 0)))
}

// resource draws one line: mark, name, time, phase, and what AWS says.
func (s screen) resource(r *watchedResource, begun bool, now time.Time, names, columns int) string {
	mark, code := "·", faint
	switch {
	case r.failed():
		mark, code = "✗", red
	case r.status == report.Done:
		mark, code = "✓", green
	case r.status == stageRunning:
		mark, code = "▸", blue
	case r.status == stageEnded:
		mark = "?"
	}
	took := ""
	switch {
	case r.began.IsZero():
	case r.ended.IsZero():
		took = spent(now.Sub(r.began))
	default:
		took = spent(r.ended.Sub(r.began))
	}
	phase := report.Line(r.phase)
	switch r.status {
	case stageWaiting:
		if phase = "waiting"; begun {
			phase = "not seen yet"
		}
	case stageEnded:
		phase = "ended"
	}
	const phases = 14
	if columns < 3 {
		return cut(mark, columns)
	}
	text := " " + pad(middle(report.Line(r.name), names), names) + " " + fmt.Sprintf("%7s", took) + "  " + fill(phase, phases) + " "
	message := cut(report.Line(r.message), max(columns-3-width(text), 0))
	return "  " + s.colour.paint(code, mark) + cut(text, columns-3) + s.colour.paint(faint, message)
}
