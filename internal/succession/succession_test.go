package succession

import (
	"testing"
	"time"
)

func TestProves(t *testing.T) {
	const old = "arn:aws:rds:us-east-1:111122223333:cluster:orders"
	at := time.Date(2026, 1, 5, 3, 0, 0, 0, time.UTC)
	created := at.Add(-30 * 24 * time.Hour)
	mark := Mark(old, at, created)
	for _, tt := range []struct {
		name       string
		mark       string
		created    time.Time
		old        string
		oldCreated time.Time
		want       bool
	}{
		{"the one it says", mark, created, old, created.Add(-time.Hour), true},
		{"in other letters", mark, created, "arn:aws:rds:us-east-1:111122223333:cluster:Orders", created, true},
		{"the old one is younger, and older than the mark", mark, created, old, at.Add(-time.Second), true},
		{"made anew since", mark, created, old, at, false},
		{"its age is not shown", mark, created, old, time.Time{}, false},
		{"another one", mark, created, old + "-2", created, false},
		{"a restored copy", mark, created.Add(time.Hour), old, created, false},
		{"its own age is not shown", mark, time.Time{}, old, created, false},
		{"no mark", "", created, old, created, false},
		{"half a mark", old, created, old, created, false},
		{"no time", old + " at noon created " + created.Format(time.RFC3339), created, old, created, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Proves(tt.mark, tt.created, tt.old, tt.oldCreated); got != tt.want {
				t.Errorf("Proves = %v, want %v", got, tt.want)
			}
		})
	}
}
