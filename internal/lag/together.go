package lag

import (
	"context"
	"slices"
	"time"
)

// Together gives a source that reads many metrics with few calls, when the
// first of them is asked for, and others as the source itself does.
func Together(s Source, metrics []Metric) Source {
	cloudWatch, ok := s.(CloudWatch)
	if !ok || len(metrics) < 2 {
		return s
	}
	t := &together{one: cloudWatch}
	for _, m := range metrics {
		if !slices.ContainsFunc(t.metrics, func(other Metric) bool { return other.key() == m.key() }) {
			t.metrics = append(t.metrics, m)
		}
	}
	return t
}

type together struct {
	one     CloudWatch
	metrics []Metric
	kept    kept // nil: not yet read
}

// Read implements Source.
func (t *together) Read(ctx context.Context, m Metric, now time.Time) Reading {
	if t.kept == nil {
		t.kept = t.one.read(ctx, t.metrics, now)
	}
	if r, ok := t.kept[m.key()]; ok {
		return r
	}
	return t.one.Read(ctx, m, now)
}
