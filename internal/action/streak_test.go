package action

import (
	"testing"
	"time"
)

func TestStreak(t *testing.T) {
	const interval = 10 * time.Second
	first := Request[struct{}]{Now: noon, Drive: Drive{Interruptions: 2}}
	for _, tt := range []struct {
		name   string
		change func(*Request[struct{}])
		want   int
	}{
		{"in time", func(*Request[struct{}]) {}, 4},
		{"as late as may be", func(r *Request[struct{}]) { r.Now = noon.Add(interval + mostGap) }, 4},
		{"after a pause", func(r *Request[struct{}]) { r.Now = noon.Add(interval + mostGap + time.Second) }, 0},
		{"after a lost look", func(r *Request[struct{}]) { r.Drive.Interruptions++ }, 0},
		{"without notes", func(r *Request[struct{}]) { r.Drive.Memo = nil }, 0},
		{"with a wrong count", func(r *Request[struct{}]) { r.Drive.Memo[memoStreak] = "many" }, 0},
		{"without a time", func(r *Request[struct{}]) { delete(r.Drive.Memo, memoStreakAt) }, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := first
			r.Now, r.Drive.Memo = noon.Add(interval), first.StreakNote(4)
			tt.change(&r)
			if got := r.Streak(interval); got != tt.want {
				t.Errorf("%d in a row, want %d", got, tt.want)
			}
		})
	}
}
