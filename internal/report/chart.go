package report

import (
	"fmt"
	"math"
	"time"
)

// The measures of the chart, in units of its view box.
const (
	chartWidth  = 1120.0
	labelWidth  = 250.0
	rightMargin = 24.0
	axisHeight  = 26.0
	headHeight  = 24.0
	goalWidth   = 170.0 // of the words about the target
)

// rows gives how many rows a layer takes: one that was not begun is told in its
// head.
func rows(l Layer) int {
	if first, _ := layerSpan(l); first == nil {
		return 0
	}
	return len(l.Resources)
}

// rowHeight and what a row shows depend on how many there are: of hundreds the
// shape counts, and the table has the names.
func rowHeight(resources int) (height float64, named bool) {
	switch {
	case resources <= 60:
		return 20, true
	case resources <= 150:
		return 13, true
	}
	return 3, false
}

// alike counts the resources that follow the first with the same end.
func alike(all []Resource) int {
	for i, x := range all {
		if x.Status != all[0].Status {
			return i
		}
	}
	return len(all)
}

// chart draws layers and resources over the time of the run, to scale.
func (r Record) chart(p *page) {
	drawn := 0
	for _, layer := range r.Layers {
		drawn += rows(layer)
	}
	if drawn == 0 || r.DurationSeconds <= 0 {
		return
	}
	total := r.DurationSeconds
	if r.RTO != nil && r.RTO.TargetSeconds != nil && float64(*r.RTO.TargetSeconds) <= 1.5*total {
		total = max(total, float64(*r.RTO.TargetSeconds))
	}
	height, named := rowHeight(drawn)
	bottom := axisHeight
	for _, layer := range r.Layers {
		bottom += headHeight + height*float64(rows(layer)) + 8
	}
	x := func(seconds float64) float64 {
		return labelWidth + min(max(seconds, 0), total)/total*(chartWidth-labelWidth-rightMargin)
	}
	since := func(t time.Time) float64 { return t.Sub(r.StartedAt).Seconds() }

	p.put("<h2>Timeline</h2>" + `<div class="legend"><span><i class="DONE"></i>at its goal</span><span><i class="FAILED"></i>failed</span><span><i class="REFUSED"></i>refused</span><span><i class="SKIPPED"></i>not begun</span></div>` + "\n")
	p.put(`<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="Timeline of %s and %s over %s">`+"\n", chartWidth, bottom+4, of(len(r.Layers), "layer"), of(r.Tally().All, "resource"), span(r.DurationSeconds))
	y := axisHeight
	for _, layer := range r.Layers { // bands first, beneath the grid
		first, last := layerSpan(layer)
		h := headHeight + height*float64(rows(layer))
		if first != nil {
			p.put(`<rect class="band" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`+"\n", x(since(*first)), y, max(x(since(*last))-x(since(*first)), 1), h)
		}
		y += h + 8
	}
	step := tick(total)
	for at := 0.0; at <= total; at += step {
		p.put(`<line class="grid" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/><text class="soft" x="%.1f" y="16" text-anchor="middle">%s</text>`+"\n", x(at), axisHeight-4, x(at), bottom, x(at), elapsed(at))
	}
	y = axisHeight
	for _, layer := range r.Layers {
		first, last := layerSpan(layer)
		p.put(`<text class="head" x="0" y="%.1f">Layer %d</text>`, y+16, layer.Layer)
		about := of(len(layer.Resources), "resource") + ", not begun"
		if first != nil {
			about = of(len(layer.Resources), "resource") + ", " + span(last.Sub(*first).Seconds())
		}
		p.put(`<text class="soft" x="%.1f" y="%.1f" text-anchor="end">%s</text>`+"\n", labelWidth-10, y+16, about)
		y += headHeight
		if first == nil {
			p.put(`<line class="SKIPPED" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", x(0), y-headHeight/2, x(r.DurationSeconds), y-headHeight/2)
			y += 8
			continue
		}
		labels := y // where there is room for the next name
		for i, res := range layer.Resources {
			if named {
				p.put(`<text x="8" y="%.1f" font-size="%.0f">%s</text>`, y+height*0.72, min(12, height-2), clipped(res.ResourceName, 34))
			} else if n := alike(layer.Resources[i:]); res.Status != Done && y >= labels && (i == 0 || layer.Resources[i-1].Status != res.Status) {
				name := clipped(res.ResourceName, 24)
				if n > 1 {
					name += fmt.Sprintf(" and %d more", n-1)
				}
				p.put(`<text x="8" y="%.1f" font-size="11">%s</text>`, y+8, name)
				labels = y + 12
			}
			gap := height * 0.15
			from, to := x(0), x(r.DurationSeconds)
			if res.StartedAt != nil && res.EndedAt != nil {
				from, to = x(since(*res.StartedAt)), x(since(*res.EndedAt))
			}
			title := fmt.Sprintf("%s: %s", res.ResourceName, res.Status)
			if res.StartedAt != nil {
				title += fmt.Sprintf(", %s from %s", span(res.DurationSeconds), elapsed(since(*res.StartedAt)))
			}
			if res.Status != Skipped {
				p.put(`<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="%.1f"><title>%s</title></rect>`+"\n", res.Status, from, y+gap, max(to-from, 2), height-2*gap, min(2, height/4), title)
			} else {
				p.put(`<line class="SKIPPED" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"><title>%s</title></line>`+"\n", from, y+height/2, to, y+height/2, title)
			}
			y += height
		}
		y += 8
	}
	if r.RTO != nil && r.RTO.TargetSeconds != nil && float64(*r.RTO.TargetSeconds) <= total {
		at := x(float64(*r.RTO.TargetSeconds))
		beside, anchor := at-5, "end"
		if at-labelWidth < goalWidth { // to the left of it stands what the layers are
			beside, anchor = at+5, "start"
		}
		p.put(`<line class="target" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/><text class="goal" x="%.1f" y="%.1f" text-anchor="%s">RTO target %s</text>`+"\n", at, axisHeight-8, at, bottom, beside, axisHeight+14, anchor, span(float64(*r.RTO.TargetSeconds)))
	}
	p.put("</svg>\n")
	p.put(`<p class="soft">Minutes and seconds since the start of the run, %s.</p>`+"\n", moment(r.StartedAt))
}

// layerSpan gives the first start and the last end of a layer; nil: no resource
// of it was begun.
func layerSpan(l Layer) (first, last *time.Time) {
	for _, x := range l.Resources {
		if x.StartedAt == nil || x.EndedAt == nil {
			continue
		}
		if first == nil || x.StartedAt.Before(*first) {
			first = x.StartedAt
		}
		if last == nil || x.EndedAt.After(*last) {
			last = x.EndedAt
		}
	}
	return first, last
}

// tick chooses the distance of the lines of the time axis: a round one that
// gives at most ten of them.
func tick(total float64) float64 {
	for _, step := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200} {
		if total/step <= 10 {
			return step
		}
	}
	return 86400 * math.Ceil(total/864000)
}

func elapsed(seconds float64) string {
	s := int(math.Round(seconds))
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// clipped shortens a name to so many characters, its end included: names differ
// there.
func clipped(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	tail := most / 3
	return string(r[:most-1-tail]) + "…" + string(r[len(r)-tail:])
}
