package report

import (
	_ "embed" // the style sheet
	"fmt"
	"html"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"dr-orchestrator/internal/action"
)

//go:embed report.css
var styles string

// page collects HTML. It is written by hand and not by html/template: that one
// calls methods by their names, which makes the linker keep every method of the
// AWS clients, and the function that writes the report 18 MB larger.
type page struct{ strings.Builder }

// put writes a piece of HTML. Every argument is made printable and escaped but
// numbers, so that no name in a payload and no message of AWS becomes markup, or
// turns the text around it.
func (p *page) put(format string, args ...any) {
	escaped := make([]any, len(args))
	for i, a := range args {
		switch a.(type) {
		case int, float64:
			escaped[i] = a
		default:
			escaped[i] = html.EscapeString(Printable(fmt.Sprint(a)))
		}
	}
	fmt.Fprintf(p, format, escaped...)
}

// HTML gives the record as one file for a person: it needs nothing but a
// browser, runs no script, and prints.
func (r Record) HTML() []byte {
	p := &page{}
	p.put("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")
	p.put("<title>%s: recovery %s</title><style>\n", r.Outcome, r.Run.ID)
	p.WriteString(styles)
	p.put("</style></head><body>\n")
	r.end(p)
	r.tiles(p)
	r.facts(p)
	r.left(p)
	r.chart(p)
	r.resources(p)
	r.losses(p)
	r.calls(p)
	r.findings(p)
	p.put("</body></html>\n")
	return []byte(p.String())
}

// tone is how an outcome is coloured; the words say the same.
func (r Record) tone() string {
	switch r.Outcome {
	case Succeeded:
		return "ok"
	case Refused, FailedClean:
		return "no"
	}
	return "bad"
}

// end is what a person on duty reads first.
func (r Record) end(p *page) {
	p.put(`<header class="end %s"><h1>%s</h1><dl>`, r.tone(), r.Headline())
	p.put("<dt>Outcome</dt><dd>%s after %s: %s</dd>", r.Outcome, span(r.DurationSeconds), r.Meaning())
	p.put("<dt>The estate</dt><dd>%s</dd><dt>What to do next</dt><dd><ol>", r.State())
	for _, step := range r.Next() {
		p.put("<li>")
		if what, command, ok := strings.Cut(step, ": drctl "); ok {
			p.put("%s: <code>drctl %s</code>", what, command)
		} else {
			p.put("%s", step)
		}
		p.put("</li>")
	}
	p.put("</ol></dd>")
	if r.Cause != "" {
		p.put("<dt>Cause</dt><dd><pre>%s</pre></dd>", firstLines(r.Cause))
	}
	p.put("</dl></header>\n")
}

// firstLines keeps the head of a report short: what is left to do has the rest.
func firstLines(cause string) string {
	const most = 4
	lines := strings.Split(cause, "\n")
	if len(lines) <= most {
		return cause
	}
	return strings.Join(lines[:most], "\n") + "\nand more, see what is left to do"
}

func (r Record) tiles(p *page) {
	t := r.Tally()
	p.put(`<section class="tiles" aria-label="In numbers">`)
	if r.RTO != nil && (r.RTO.TargetSeconds != nil || r.recovers()) {
		r.rtoTile(p)
	} else {
		p.put(`<div class="tile">Took<b>%s</b><span class="soft">nothing was to be recovered</span></div>`, span(r.DurationSeconds))
	}
	known := ""
	if n := r.losable() - t.Unknown; n > 0 {
		known = fmt.Sprintf("; of %d more at most %s", n, lagText(t.WorstRPO))
	}
	switch {
	case t.Unknown > 0:
		p.put(`<div class="tile no">RPO (lag before acting)<b>not known</b><span class="soft">of %s%s</span></div>`, of(t.Unknown, "resource"), known)
	case r.losable() > 0:
		p.put(`<div class="tile">RPO (lag before acting)<b>%s</b><span class="soft">the most of %s</span></div>`, lagText(t.WorstRPO), of(r.losable(), "resource"))
	default:
		p.put(`<div class="tile">RPO (lag before acting)<b>none</b><span class="soft">nothing was done that can lose data</span></div>`)
	}
	p.put(`<div class="tile">Resources at their goal<b>%d of %d</b><span class="soft">%d brought there by this run</span></div>`, t.Done, t.All, t.Moved)
	calls, dropped := r.count()
	p.put(`<div class="tile">Calls that changed something<b>%d</b><span class="soft">each with its request id, below</span></div></section>`+"\n", calls+dropped)
}

// recovers reports a run whose time is a recovery time. Of a record of before
// there were purposes nobody knows.
func (r Record) recovers() bool {
	return r.isFor(action.TakesOver) || r.isFor(action.MovesTraffic) || r.isFor("")
}

func (r Record) rtoTile(p *page) {
	rto := r.RTO
	took := "not recovered"
	if rto.Seconds != nil {
		took = span(*rto.Seconds)
	}
	if rto.TargetSeconds == nil {
		p.put(`<div class="tile">RTO<b>%s</b><span class="soft">no target: Options.RTOSeconds</span></div>`, took)
		return
	}
	tone, said := "bad", "missed"
	if *rto.Met {
		tone, said = "ok", "met"
	}
	share := min(r.DurationSeconds/float64(*rto.TargetSeconds)*100, 100)
	p.put(`<div class="tile %s">RTO %s<b>%s</b><div class="bar"><i class="%s" style="width:%.1f%%"></i></div><span class="soft">target %s</span></div>`,
		tone, said, took, tone, share, span(float64(*rto.TargetSeconds)))
}

func (r Record) losable() int {
	n := 0
	r.each(func(_ Layer, x Resource) {
		if x.RPO != nil {
			n++
		}
	})
	return n
}

func (r Record) count() (calls, dropped int) {
	r.each(func(_ Layer, x Resource) {
		calls += len(x.Calls)
		dropped += x.CallsDropped
	})
	return calls, dropped
}

func (r Record) each(f func(Layer, Resource)) {
	for _, layer := range r.Layers {
		for _, x := range layer.Resources {
			f(layer, x)
		}
	}
}

func (r Record) facts(p *page) {
	p.put(`<dl class="facts">`)
	fact := func(name, value string) {
		if value != "" {
			p.put("<dt>%s</dt><dd>%s</dd>", name, value)
		}
	}
	machine := r.Run.Machine
	if r.Run.Disaster {
		machine += ", the other region taken for lost"
	}
	fact("Run", r.Run.ID)
	fact("Machine", strings.TrimSpace(machine+" "+r.Mode))
	region := "Region of the run"
	if r.isFor(action.TakesOver) {
		region = "Region taking over"
	}
	fact(region, r.Run.Region)
	fact("Account", r.Run.Account)
	fact("Started", moment(r.StartedAt))
	fact("Ended", moment(r.EndedAt))
	fact("Payload", r.Source)
	fact("Approval", r.Approval)
	fact("Execution", r.Run.Execution)
	p.put("</dl>\n")
}

// mostTroubles bounds the list of what is left to do: every resource has a line
// of its own further below.
const mostTroubles = 40

// left is what did not reach its goal, resources with the same trouble
// together, and what is wrong with the payload.
func (r Record) left(p *page) {
	type trouble struct{ status, what string }
	var order []trouble
	names := map[trouble][]string{}
	r.each(func(l Layer, x Resource) {
		if x.Status == Done || r.planned() && x.Verdict != action.VerdictBlocked {
			return
		}
		t := trouble{string(x.Status), x.Phase}
		switch {
		case x.Error != nil:
			t.what, _, _ = strings.Cut(x.Error.Class+": "+x.Error.Message, "; last seen:") // which stands with each resource
		case x.Status == Skipped:
			t.what = "not begun; it is as it was before the run"
		}
		if x.Status == Skipped && x.Verdict == action.VerdictBlocked {
			t = trouble{"BLOCKED", blocked(x)}
		}
		if x.Changed {
			t.status += ", changed"
		}
		if x.Optional {
			t.status += ", optional"
		}
		if names[t] == nil {
			order = append(order, t)
		}
		names[t] = append(names[t], x.ResourceName)
	})
	if len(order) == 0 && len(r.Problems) == 0 {
		none := "No resource is left: each is at its goal. What comes after the run stands at the top."
		switch {
		case r.planned():
			none = "Nothing stands in the way of any resource. What comes next stands at the top."
		case len(r.Layers) == 0:
			none = "The run has left nothing that tells of its resources. What comes next stands at the top."
		}
		p.put("<h2>What is left to do</h2><p>%s</p>\n", none)
		return
	}
	p.put("<h2>What is left to do</h2>\n")
	if len(order) > 0 {
		p.put(`<div class="wide"><table><thead><tr><th>State</th><th class="n">How many</th><th>Resources</th><th>Why</th></tr></thead><tbody>` + "\n")
		for i, t := range order {
			if i == mostTroubles {
				p.put(`<tr><td></td><td class="n">%d</td><td colspan="2">more kinds of trouble: see the resources</td></tr>`+"\n", len(order)-i)
				break
			}
			p.put(`<tr><td class="w"><span class="%s">%s</span></td><td class="n">%d</td><td class="t">%s</td><td class="t">%s</td></tr>`+"\n", toneOf(t.status), t.status, len(names[t]), some(names[t]), t.what)
		}
		p.put("</tbody></table></div>\n")
	}
	if len(r.Problems) > 0 {
		p.put(`<h2>What stood in the way</h2><div class="wide"><table><thead><tr><th>Place in the payload</th><th>Value</th><th>Problem</th></tr></thead><tbody>` + "\n")
		for _, x := range r.Problems {
			text := x.Message
			if x.Want != "" {
				text += "; wanted: " + x.Want
			}
			p.put("<tr><td class=\"t\"><code>%s</code></td><td class=\"t\">%s</td><td class=\"t\">%s</td></tr>\n", x.Pointer, x.Value, text)
		}
		p.put("</tbody></table></div>\n")
	}
}

func blocked(x Resource) string {
	var all []string
	for _, f := range x.Findings {
		if f.Verdict == action.VerdictBlocked {
			all = append(all, string(f.Class)+": "+f.Message)
		}
	}
	return strings.Join(all, "; ")
}

func toneOf(status string) string {
	switch {
	case strings.HasPrefix(status, string(Done)):
		return "ok"
	case strings.HasPrefix(status, string(Failed)), strings.Contains(status, "changed"):
		return "bad"
	case strings.HasPrefix(status, string(Skipped)):
		return "soft"
	}
	return "no"
}

// some names the first of many.
func some(names []string) string {
	const most = 12
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// resources is the table of them all.
func (r Record) resources(p *page) {
	if len(r.Layers) == 0 {
		return
	}
	targeted := r.RTO != nil && r.RTO.TargetSeconds != nil
	p.put(`<h2>Resources</h2><div class="wide"><table><thead><tr><th class="n">Layer</th><th>Resource</th><th>Type</th><th>End</th><th>Changed</th><th class="n">Took</th>`)
	p.put(`<th class="n">At its goal after</th><th>%s</th><th class="n">RPO</th><th>Last seen</th></tr></thead><tbody>`+"\n", map[bool]string{true: "RTO"}[targeted])
	r.each(func(l Layer, x Resource) {
		took, after, met, rpo := "–", "–", "", "–"
		if x.StartedAt != nil {
			took = span(x.DurationSeconds)
		}
		if x.RTO != nil && x.RTO.Seconds != nil {
			after = span(*x.RTO.Seconds)
		}
		if x.RTO != nil && x.RTO.Met != nil {
			met = map[bool]string{true: "met", false: "missed"}[*x.RTO.Met]
		}
		if x.RPO != nil {
			if rpo = "not known"; x.RPO.Seconds != nil {
				rpo = lagText(*x.RPO.Seconds)
			}
		}
		changed, seen := "no", x.Message
		if x.Question != "" {
			seen = strings.TrimSuffix(x.Question+" – "+x.Message, " – ")
		}
		if x.Changed {
			changed = "yes"
		}
		switch {
		case x.Error != nil:
			seen = strings.TrimPrefix(x.Question+" – "+x.Error.Class+": "+x.Error.Message, " – ")
		case seen == "":
			seen = preflight(x.Verdict)
		}
		p.put(`<tr><td class="n">%d</td><td class="%s">%s</td><td class="w">%s</td><td class="w"><span class="%s">%s</span></td><td>%s</td><td class="n">%s</td><td class="n">%s</td><td>%s</td><td class="n">%s</td><td class="t">%s</td></tr>`+"\n",
			l.Layer, fit(x.ResourceName), x.ResourceName, x.ResourceType, toneOf(string(x.Status)), x.Status, changed, took, after, met, rpo, seen)
	})
	p.put("</tbody></table></div>\n")
}

// preflight says what was found of a resource that nothing more is known of.
func preflight(v action.Verdict) string {
	if v == "" {
		return ""
	}
	return "preflight: " + string(v)
}

func (r Record) losses(p *page) {
	if r.losable() == 0 {
		return
	}
	p.put(`<h2>RPO, and its evidence</h2><p class="soft">How far behind its source a resource was when the run acted on it: what may be lost.</p>`)
	p.put(`<div class="wide"><table><thead><tr><th>Resource</th><th class="n">RPO</th><th>Evidence</th></tr></thead><tbody>` + "\n")
	r.each(func(_ Layer, x Resource) {
		switch {
		case x.RPO == nil:
		case x.RPO.Seconds == nil:
			p.put(`<tr><td class="%s">%s</td><td class="n no">not known</td><td class="t">%s</td></tr>`+"\n", fit(x.ResourceName), x.ResourceName, x.RPO.Unknown)
		default:
			p.put(`<tr><td class="%s">%s</td><td class="n">%s</td><td class="t">%s</td></tr>`+"\n", fit(x.ResourceName), x.ResourceName, lagText(*x.RPO.Seconds), x.RPO.Evidence)
		}
	})
	p.put("</tbody></table></div>\n")
}

// calls lists what was asked of AWS, in the order of time.
func (r Record) calls(p *page) {
	type line struct {
		at                         time.Time
		resource, call, id, answer string
		tone                       string
	}
	var lines []line
	var without []string
	r.each(func(_ Layer, x Resource) {
		for _, c := range x.Calls {
			l := line{c.At, x.ResourceName, c.Service + ":" + c.Operation, c.RequestID, "accepted", "ok"}
			if c.Error != "" {
				l.answer, l.tone = c.Error, "no"
			}
			if !c.Known() {
				l.call, l.tone = "not known", "bad"
			}
			lines = append(lines, l)
		}
		if x.Changed && len(x.Calls) == 0 {
			without = append(without, x.ResourceName)
		}
	})
	slices.SortStableFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	p.put("<h2>Calls that changed something</h2>\n")
	if len(lines) == 0 {
		p.put("<p>None was made.</p>\n")
	} else {
		p.put(`<div class="wide"><table><thead><tr><th>Time (UTC)</th><th>Resource</th><th>Call</th><th>Request id</th><th>Answer</th></tr></thead><tbody>` + "\n")
		for _, l := range lines {
			p.put(`<tr><td class="w">%s</td><td class="%s">%s</td><td class="w">%s</td><td class="w"><code>%s</code></td><td class="t"><span class="%s">%s</span></td></tr>`+"\n", l.at.UTC().Format("2006-01-02 15:04:05.000"), fit(l.resource), l.resource, l.call, l.id, l.tone, l.answer)
		}
		p.put("</tbody></table></div>\n")
	}
	if _, dropped := r.count(); dropped > 0 {
		p.put("<p>%d more found no room in the record.</p>\n", dropped)
	}
	if len(without) > 0 {
		p.put(`<p class="soft">Of these that changed, or may have, no call is noted: %s. CloudTrail has every call, under the role of the function.</p>`+"\n", some(without))
	}
}

// findings are what the preflight had to say, the same said of several together.
func (r Record) findings(p *page) {
	type said struct{ verdict, class, message string }
	var order []said
	names := map[said][]string{}
	r.each(func(_ Layer, x Resource) {
		for _, f := range x.Findings {
			s := said{string(f.Verdict), string(f.Class), f.Message}
			if names[s] == nil {
				order = append(order, s)
			}
			names[s] = append(names[s], x.ResourceName)
		}
	})
	p.put("<h2>What was found before anything was done</h2>\n")
	if len(order) == 0 {
		p.put("<p>Nothing that stands in the way.</p>\n")
		return
	}
	p.put(`<div class="wide"><table><thead><tr><th>Verdict</th><th>Resources</th><th>Finding</th></tr></thead><tbody>` + "\n")
	for _, s := range order {
		tone := "no"
		if s.verdict == string(action.VerdictBlocked) {
			tone = "bad"
		}
		p.put(`<tr><td class="w"><span class="%s">%s</span></td><td class="t">%s</td><td class="t">%s</td></tr>`+"\n", tone, s.verdict, some(names[s]), strings.TrimPrefix(s.class+": "+s.message, ": "))
	}
	p.put("</tbody></table></div>\n")
}

// fit keeps a short name on one line, and breaks a long one wherever it must.
func fit(name string) string {
	if utf8.RuneCountInString(name) <= 30 {
		return "w"
	}
	return "t name"
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// span writes seconds as a person says them.
func span(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Round(time.Second)
	switch {
	case seconds < 10:
		return fmt.Sprintf("%.1f s", seconds)
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}

func lagText(seconds float64) string {
	if seconds < 10 {
		return fmt.Sprintf("%.3g s", seconds)
	}
	return span(seconds)
}
