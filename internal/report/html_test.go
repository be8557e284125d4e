package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/audit"
	"dr-orchestrator/internal/payload"
)

var began = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// recordOf is a run of five layers that failed in the third.
func recordOf(resources int) Record {
	r := Record{Outcome: FailedDirty, Mode: "run", Cause: "because", StartedAt: began, EndedAt: began.Add(20 * time.Minute), DurationSeconds: 1200, RTO: NewRTO(new(1000), nil)}
	r.Run = action.Run{ID: "run-1", Machine: "failover", Execution: "arn:aws:states:us-west-2:111122223333:execution:dr-orchestrator-failover:run-1", Region: "us-west-2", StartedAt: began}
	for i := range resources {
		n := i * 5 / resources
		for n >= len(r.Layers) {
			r.Layers = append(r.Layers, Layer{Layer: n + 1})
		}
		x := Resource{Index: i, ResourceType: "PromoteRDSReadReplica", Purpose: action.TakesOver, ResourceName: fmt.Sprintf("db-%d", i), Status: Done, Changed: true, Message: "stands on its own and is available",
			RPO: &RPO{Seconds: new(2.5), Evidence: "replication lag of 2.5s"}, Calls: []audit.Call{{At: began, Service: "rds", Operation: "PromoteReadReplica", RequestID: fmt.Sprintf("id-%d", i)}}}
		from, to := began.Add(time.Duration(n)*5*time.Minute), began.Add(time.Duration(n)*5*time.Minute+4*time.Minute)
		x.StartedAt, x.EndedAt, x.DurationSeconds = &from, &to, 240
		switch {
		case n == 2 && i%2 == 0:
			x.Status, x.Error, x.RPO = Failed, &Error{Class: "Terminal", Message: "storage-full"}, &RPO{Unknown: "no datapoint"}
		case n > 2:
			x = Resource{Index: i, Purpose: x.Purpose, ResourceName: x.ResourceName, Status: Skipped}
		}
		r.Layers[n].Resources = append(r.Layers[n].Resources, x)
	}
	return r
}

// head is what stands in the first lines of a page.
func head(r Record) string {
	page := string(r.HTML())
	_, page, _ = strings.Cut(page, "<header")
	page, _, _ = strings.Cut(page, "</header>")
	return page
}

// The first lines say what the end was, in what state the estate is, and what
// to do next, of every end.
func TestFirstLines(t *testing.T) {
	dirty := recordOf(10)
	clean, refused, stopped, stoppedClean, good, plan, wrong := recordOf(10), recordOf(10), recordOf(10), recordOf(10), recordOf(10), recordOf(10), Record{Outcome: FailedClean, Problems: []payload.Problem{{Message: "x"}}}
	clean.Outcome, refused.Outcome, stoppedClean.Outcome = FailedClean, Refused, FailedClean
	stopped.Cause, stoppedClean.Cause = EndedOutside+" (ABORTED): by me", EndedOutside+" (ABORTED): by me"
	good.Outcome, good.Layers = Succeeded, good.Layers[:2]
	plan.Mode, plan.Outcome = "plan", Succeeded
	for _, tt := range []struct {
		name  string
		r     Record
		wants []string
		not   string
	}{
		{"dirty", dirty, []string{"Failed half way", "5 of 10 resources at the goal. 1 changed", "at work on it. 4 as before the run", "Remove the cause", "drctl resume arn:aws"}, "nothing was changed"},
		{"clean", clean, []string{"Failed: nothing was changed", "As it was before the run", "Remove the cause", "drctl resume arn:aws"}, "perhaps"},
		{"refused", refused, []string{"Refused: a safety rule said no", "As it was before the run", "The rule protects data", "drctl resume arn:aws"}, "perhaps"},
		{"stopped", stopped, []string{"Stopped half way", "1 changed, or perhaps changed", "drctl resume arn:aws"}, "Remove the cause"},
		{"stopped, nothing changed", stoppedClean, []string{"Stopped: nothing was changed", "As it was before the run", "drctl resume arn:aws"}, "Remove the cause"},
		{"succeeded", good, []string{"Recovered", "All 4 resources are at the goal in us-west-2: 4 brought there", "Direct the applications", "up to 2.5 s of writes, on 4 resources"}, "drctl resume"},
		{"planned", plan, []string{"Ready", "As it was", "drctl start FILE --machine failover --region us-west-2"}, "Recovered"},
		{"a wrong payload", wrong, []string{"Failed: nothing was changed", "As it was before the run", "drctl validate"}, "drctl resume"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := head(tt.r)
			for _, want := range tt.wants {
				if !strings.Contains(got, want) {
					t.Errorf("the head does not say %q: %s", want, got)
				}
			}
			if strings.Contains(got, tt.not) {
				t.Errorf("the head says %q: %s", tt.not, got)
			}
		})
	}
}

// However many resources there are, the page is well formed, needs nothing
// from elsewhere, and has every call with its request.
func TestPage(t *testing.T) {
	for _, n := range []int{0, 1, 3, 50, 100, 500} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r := recordOf(n)
			page := string(r.HTML())
			for _, foreign := range []string{"<script", "http://", "https://", "src=", "url(", "@import", "%!"} {
				if strings.Contains(page, foreign) {
					t.Errorf("the page has %s", foreign)
				}
			}
			d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(page, "<!DOCTYPE html>")))
			d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
			for {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			calls, _ := r.count()
			if got := strings.Count(page, "<code>id-"); got != calls {
				t.Errorf("%d calls, want %d", got, calls)
			}
			if n >= 50 && (!strings.Contains(page, "not begun") || !strings.Contains(page, "storage-full")) {
				t.Error("not all is told")
			}
		})
	}
}

// A bar stands where its times are: its left edge and its width are in
// proportion to the run.
func TestChartIsToScale(t *testing.T) {
	r := recordOf(5)
	r.RTO = nil
	page := string(r.HTML())
	full := chartWidth - labelWidth - rightMargin
	// The second layer runs from a quarter of the time, for a fifth of it.
	want := fmt.Sprintf(`<rect class="DONE" x="%.1f" y=`, labelWidth+full/4)
	if at := strings.Index(page, want); at < 0 || !strings.Contains(page[at:at+120], fmt.Sprintf(`width="%.1f"`, full/5)) {
		t.Errorf("no bar %s of a width of %.1f", want, full/5)
	}
}

// Nothing that comes from a payload or from AWS becomes markup.
func TestPageEscapes(t *testing.T) {
	const hostile = `<img src=x onerror="alert('1')">&`
	r := recordOf(3)
	r.Cause, r.Approval, r.Source, r.Run.ID, r.Run.Machine = hostile, hostile, hostile, hostile, hostile
	r.Problems = []payload.Problem{{Pointer: hostile, Value: hostile, Message: hostile, Want: hostile}}
	x := &r.Layers[0].Resources[0]
	x.ResourceName, x.ResourceType, x.Message, x.Phase, x.Status = hostile, hostile, hostile, hostile, Status(hostile)
	x.Error = &Error{Class: hostile, Message: hostile}
	x.Findings = []action.Finding{{Verdict: action.Verdict(hostile), Class: action.Class(hostile), Message: hostile}}
	x.RPO = &RPO{Unknown: hostile}
	x.Calls = []audit.Call{{At: began, Service: hostile, Operation: hostile, RequestID: hostile, Error: hostile}}
	page := string(r.HTML())
	if strings.Contains(page, "<img") || strings.Contains(page, `alert('`) {
		t.Error("markup came through")
	}
	if n := strings.Count(page, "&lt;img src=x"); n < 15 {
		t.Errorf("only %d of the texts are there", n)
	}
}

// The words about the target stand where they cover nothing: to its left, or,
// where the layers' own words are there, to its right.
func TestTargetIsReadable(t *testing.T) {
	full := chartWidth - labelWidth - rightMargin
	for _, tt := range []struct {
		target int
		anchor string
	}{{60, "start"}, {600, "start"}, {1400, "start"}, {1500, "end"}, {7200, "end"}} {
		r := recordOf(5)
		r.DurationSeconds, r.RTO = 7200, NewRTO(&tt.target, nil)
		at := labelWidth + full*float64(tt.target)/7200
		beside := map[string]float64{"start": at + 5, "end": at - 5}[tt.anchor]
		want := fmt.Sprintf(`<text class="goal" x="%.1f" y="%.1f" text-anchor="%s">`, beside, axisHeight+14, tt.anchor)
		if !strings.Contains(string(r.HTML()), want) {
			t.Errorf("a target of %d s: no %s", tt.target, want)
		}
		if tt.anchor == "end" && beside-goalWidth < labelWidth-5 {
			t.Errorf("a target of %d s: its words begin at %.0f", tt.target, beside-goalWidth)
		}
	}
}

// Where no resource is left, the page does not say that there is nothing to do:
// what to do next stands above.
func TestNothingLeft(t *testing.T) {
	good, plan, none := recordOf(10), recordOf(10), Record{Outcome: Succeeded}
	good.Outcome, good.Layers = Succeeded, good.Layers[:2]
	plan.Outcome, plan.Mode = Succeeded, "plan"
	for want, r := range map[string]Record{"each is at its goal": good, "Nothing stands in the way of any resource": plan, "nothing that tells of its resources": none} {
		_, page, _ := strings.Cut(string(r.HTML()), "<h2>What is left to do</h2>")
		if page, _, _ = strings.Cut(page, "<h2>"); !strings.Contains(page, want) || !strings.Contains(page, "stands at the top") {
			t.Errorf("not %q: %s", want, page)
		}
	}
	if page := string(recordOf(10).HTML()); strings.Contains(page, "stands at the top") {
		t.Error("a run that failed says that nothing is left")
	}
}

// A name that is long breaks in its cell, and does not push the others out.
func TestLongNamesBreak(t *testing.T) {
	r := recordOf(3)
	long := strings.Repeat("x", 300)
	x := &r.Layers[0].Resources[0]
	x.ResourceName, x.Message = long, long
	x.Status, x.Error = Failed, &Error{Class: "Terminal", Message: long}
	x.Findings = []action.Finding{{Verdict: action.VerdictBlocked, Class: action.Refused, Message: long}}
	r.Problems = []payload.Problem{{Pointer: long, Value: long, Message: long}}
	page := string(r.HTML())
	cells := regexp.MustCompile(`<td[^>]*>(?:<[a-z][^>]*>)*[^<]*`).FindAllString(page, -1)
	n := 0
	for _, cell := range cells {
		if strings.Contains(cell, long) {
			if n++; !strings.HasPrefix(cell, `<td class="t">`) && !strings.HasPrefix(cell, `<td class="t name">`) {
				t.Errorf("a cell that does not break: %.80s", cell)
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d cells hold it", n)
	}
	if !strings.Contains(page, ".t { overflow-wrap: anywhere;") {
		t.Error("there is no rule for such cells")
	}
	if !strings.Contains(page, `<td class="w">db-1</td>`) {
		t.Error("a short name is not kept on its line")
	}
}

// What steers a terminal, or turns the direction of writing, is shown nowhere.
func TestPrintable(t *testing.T) {
	for _, tt := range []struct{ s, want, line string }{
		{"plain", "plain", "plain"}, {"a\nb\tc\rd", "a\nb c d", "a b c d"}, {"\x1b[31mred\x07\x00", "[31mred", "[31mred"}, {"\u202egnp\u202c\u2066x\u2069\u200f\u061c", "gnpx", "gnpx"},
		{"a\xffb\u009bc", "abc", "abc"}, {"データ é 🚀", "データ é 🚀", "データ é 🚀"}, {"", "", ""},
	} {
		if got := Printable(tt.s); got != tt.want {
			t.Errorf("Printable(%q) = %q", tt.s, got)
		}
		if got := Line(tt.s); got != tt.line {
			t.Errorf("Line(%q) = %q", tt.s, got)
		}
	}
	r := recordOf(10)
	const hostile = "db\u202egpj\x1b[2J"
	r.Cause = hostile
	for _, l := range r.Layers {
		for i := range l.Resources {
			l.Resources[i].ResourceName, l.Resources[i].Message, l.Resources[i].Error = hostile+"\n- layer 9, x", hostile, &Error{Class: "Terminal", Message: hostile}
		}
	}
	for name, text := range map[string]string{"page": string(r.HTML()), "text": r.Text()} {
		if strings.ContainsAny(text, "\x1b\u202e") || !strings.Contains(text, "dbgpj[2J") {
			t.Errorf("the %s shows what it must not: %.300q", name, text)
		}
	}
	if strings.Contains(r.Text(), "\n- layer 9") {
		t.Error("a name makes a line of its own")
	}
}

func TestTick(t *testing.T) {
	for _, total := range []float64{0.5, 9, 61, 600, 3600, 100_000, 700_000, 9_000_000} {
		if n := total / tick(total); n > 10 {
			t.Errorf("%g s: %g lines", total, n)
		}
	}
}

// BenchmarkPage is of 500 resources; RecordReport has 50 ms for it.
func BenchmarkPage(b *testing.B) {
	r := recordOf(500)
	for b.Loop() {
		r.HTML()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms(goal:50)")
}
