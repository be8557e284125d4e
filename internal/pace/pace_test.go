package pace

import (
	"fmt"
	"testing"
	"time"
)

func TestWait(t *testing.T) {
	for _, tt := range []struct {
		name string
		poll Poll
		want int
	}{
		{"nothing known", Poll{}, 5},
		{"one resource", Poll{Watched: 1}, 5},
		{"last phase", Poll{Watched: 1, Final: true}, 4},
		{"just started", Poll{Watched: 1, First: true, Minimum: 20 * time.Second}, 20},
		{"just started, no minimum", Poll{Watched: 1, First: true}, 5},
		{"the minimum counts for the first look only", Poll{Watched: 1, Minimum: 20 * time.Second}, 5},
		{"half an hour", Poll{Watched: 1, Elapsed: fast}, 5},
		{"one hour", Poll{Watched: 1, Elapsed: time.Hour}, 10},
		{"one hour, last phase", Poll{Watched: 1, Elapsed: time.Hour, Final: true}, 10},
		{"one day", Poll{Watched: 1, Elapsed: 24 * time.Hour}, 60},
		{"a clock that went back", Poll{Watched: 1, Elapsed: -time.Hour}, 5},
		{"just started, others are still to start", Poll{Watched: 1, First: true, Minimum: 20 * time.Second, Starts: 33 * time.Second}, 33},
		{"just started, others are started by then", Poll{Watched: 1, First: true, Minimum: 20 * time.Second, Starts: 3 * time.Second}, 20},
		{"a tag, others are still to start", Poll{Watched: 1, Aside: true, Hint: time.Second, Minimum: 20 * time.Second, Starts: 33 * time.Second}, 33},
		{"a tag, alone", Poll{Watched: 1, Aside: true, Hint: time.Second, Minimum: 20 * time.Second}, 1},
		{"started last of all", Poll{Watched: 1, First: true, Starts: -time.Second}, 5},
		{"the starts count for the first look only", Poll{Watched: 1, Starts: 33 * time.Second}, 5},
		{"proofs count in the last phase", Poll{Watched: 40, Final: true, Reads: 120}, 30},
		{"proofs count in the last phase only", Poll{Watched: 40, Reads: 120}, 10},
		{"one read each", Poll{Watched: 40, Final: true, Reads: 40}, 10},
		{"one resource, three reads", Poll{Watched: 1, Final: true, Reads: 3}, 4},
		{"forty", Poll{Watched: 40, Final: true}, 10},
		{"forty-one", Poll{Watched: 41, Final: true}, 11},
		{"a thousand", Poll{Watched: 1000}, 250},
		{"a thousand and one", Poll{Watched: 1001}, 251},
		{"a thousand after a day", Poll{Watched: 1000, Elapsed: 24 * time.Hour}, 250},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Wait(tt.poll); got != tt.want {
				t.Errorf("wait %d s, want %d", got, tt.want)
			}
		})
	}
}

// every visits a grid of polls.
func every(visit func(p Poll)) {
	for _, elapsed := range []time.Duration{-time.Minute, 0, time.Second, time.Minute, fast - 1, fast, fast + 1, time.Hour, 5 * time.Hour, 6 * time.Hour, 48 * time.Hour} {
		for _, watched := range []int{-1, 0, 1, 2, 7, 8, 9, 31, 32, 33, 100, 999, 1000, 9999, 10000} {
			for _, minimum := range []time.Duration{0, time.Second, 20 * time.Second, 2 * time.Minute} {
				for _, first := range []bool{false, true} {
					for _, last := range []bool{false, true} {
						for _, reads := range []int{-1, 0, 1, 3} {
							for _, starts := range []time.Duration{-time.Second, 0, time.Minute} {
								visit(Poll{Elapsed: elapsed, Watched: watched, Minimum: minimum, First: first, Final: last, Reads: reads, Starts: starts})
							}
						}
					}
				}
			}
		}
	}
}

func TestWaitAlways(t *testing.T) {
	every(func(p Poll) {
		wait := Wait(p)
		if wait < 1 {
			t.Errorf("%+v: wait %d s; Step Functions waits at least one", p, wait)
		}
		reads := p.Watched
		if p.Final {
			reads = max(p.Reads, p.Watched)
		}
		if reads > wait*perSecond {
			t.Errorf("%+v: looks of %d every %d s are more than %d a second", p, p.Watched, wait, perSecond)
		}
		if p.First && p.Elapsed <= fast && time.Duration(wait)*time.Second < max(p.Minimum, p.Starts) {
			t.Errorf("%+v: wait %d s is below the minimum, or before the last start", p, wait)
		}
		if reads <= perSecond && p.Minimum <= longest && time.Duration(wait)*time.Second > longest {
			t.Errorf("%+v: wait %d s is above the longest", p, wait)
		}
		if p.Elapsed > 0 && p.Elapsed <= fast {
			start := p
			start.Elapsed = 0
			if Wait(start) != wait {
				t.Errorf("%+v: wait grew to %d s before %s", p, wait, fast)
			}
		}
	})
}

// More resources, more time gone: never a shorter wait.
func TestWaitGrows(t *testing.T) {
	every(func(p Poll) {
		more := p
		more.Watched++
		if Wait(more) < Wait(p) {
			t.Errorf("%+v: one more watched shortens the wait", p)
		}
		later := p
		later.Elapsed += time.Minute
		if p.Minimum <= longest && Wait(later) < Wait(p) {
			t.Errorf("%+v: a minute later the wait is shorter", p)
		}
	})
}

// Each look is one Lambda invocation and three billed state transitions, and
// ten events of a history that holds 25,000.
func TestLooks(t *testing.T) {
	for _, tt := range []struct {
		lasts time.Duration
		below int
	}{
		{time.Minute, 15},
		{30 * time.Minute, 400},
		{2 * time.Hour, 900},
		{24 * time.Hour, 2500},
	} {
		t.Run(fmt.Sprint(tt.lasts), func(t *testing.T) {
			looks := 0
			for elapsed := time.Duration(0); elapsed < tt.lasts; looks++ {
				elapsed += time.Duration(Wait(Poll{
					Elapsed: elapsed, Minimum: 20 * time.Second, First: looks == 0, Watched: 1, Final: elapsed > tt.lasts-time.Minute,
				})) * time.Second
			}
			if looks >= tt.below {
				t.Errorf("%d looks, want fewer than %d", looks, tt.below)
			}
		})
	}
}

// The starts of one second take no more describes than they may, whatever
// each of them takes.
func TestStartDelay(t *testing.T) {
	for _, reads := range []int{1, 2, 3, 4} {
		if got := StartDelay(0, reads); got != 0 {
			t.Errorf("%d reads: the first resource waits %d s", reads, got)
		}
		started := map[int]int{}
		for position := range 1000 {
			delay := StartDelay(position*reads, reads)
			if position > 0 && delay < StartDelay((position-1)*reads, reads) {
				t.Fatalf("%d reads: position %d starts before its predecessor", reads, position)
			}
			if started[delay] += reads; started[delay] > startReads+reads-1 {
				t.Fatalf("%d reads: the starts of second %d take %d describes", reads, delay, started[delay])
			}
		}
	}
}

// A hint takes the place of the pace of all, but neither of the limits of a
// large layer.
func TestHint(t *testing.T) {
	const hint = 2 * time.Second
	for _, tt := range []struct {
		name string
		poll Poll
		want int
	}{
		{"alone", Poll{Hint: hint, Watched: 1}, 2},
		{"after a call", Poll{Hint: hint, First: true, Watched: 1}, 2},
		{"after a call that takes longer", Poll{Hint: hint, First: true, Minimum: 10 * time.Second, Watched: 1}, 10},
		{"in its last phase", Poll{Hint: hint, Final: true, Watched: 1}, 2},
		{"after a long time", Poll{Hint: hint, Elapsed: 3 * time.Hour, Watched: 1}, 2},
		{"longer than others wait at most", Poll{Hint: 5 * time.Minute, Elapsed: 3 * time.Hour, Watched: 1}, 300},
		{"among many", Poll{Hint: hint, Watched: 40}, 10},
		{"among many that start", Poll{Hint: hint, First: true, Starts: 30 * time.Second, Watched: 1}, 30},
	} {
		if got := Wait(tt.poll); got != tt.want {
			t.Errorf("%s: %d s, want %d", tt.name, got, tt.want)
		}
	}
}
