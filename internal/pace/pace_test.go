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
		{"forty", Poll{Watched: 40, Final: true}, 5},
		{"forty-one", Poll{Watched: 41, Final: true}, 6},
		{"a thousand", Poll{Watched: 1000}, 125},
		{"a thousand and one", Poll{Watched: 1001}, 126},
		{"a thousand after a day", Poll{Watched: 1000, Elapsed: 24 * time.Hour}, 125},
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
						visit(Poll{Elapsed: elapsed, Watched: watched, Minimum: minimum, First: first, Final: last})
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
		if p.Watched > wait*perSecond {
			t.Errorf("%+v: %d looks every %d s are more than %d a second", p, p.Watched, wait, perSecond)
		}
		if p.First && p.Elapsed <= fast && time.Duration(wait)*time.Second < p.Minimum {
			t.Errorf("%+v: wait %d s is below the minimum", p, wait)
		}
		if p.Watched <= perSecond && p.Minimum <= longest && time.Duration(wait)*time.Second > longest {
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

func TestStartDelay(t *testing.T) {
	if StartDelay(0) != 0 {
		t.Errorf("the first resource waits %d s", StartDelay(0))
	}
	started := map[int]int{}
	for position := range 10000 {
		delay := StartDelay(position)
		if position > 0 && delay < StartDelay(position-1) {
			t.Fatalf("position %d starts before its predecessor", position)
		}
		if started[delay]++; started[delay]*3 > perSecond+1 {
			t.Fatalf("%d resources start in second %d", started[delay], delay)
		}
	}
}
