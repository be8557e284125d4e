package lag

import (
	"context"
	"time"
)

// Together gives a source that reads many metrics with few calls, when the
// first of them is asked for, and others as the source itself does.
func Together(s Source, metrics []Metric) Source {
	cloudWatch, ok := s.(CloudWatch)
	if !ok || len(metrics) < 2 {
		return s
	}
	return &together{one: cloudWatch, metrics: metrics}
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
