package lab

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestClockRunsTasksInTheOrderOfTimeAndSequence(t *testing.T) {
	c := NewClock(Epoch)
	var order []string
	c.Run(func() {
		done := c.NewSignal()
		for _, task := range []struct {
			name string
			wait time.Duration
		}{{"b", 2 * time.Hour}, {"a", time.Hour}, {"c", 2 * time.Hour}} {
			c.Go(func() {
				c.Sleep(task.wait)
				order = append(order, task.name+"@"+c.Now().Sub(Epoch).String())
				if len(order) == 3 {
					done.Fire()
				}
			})
		}
		done.Wait(0)
	})
	if got, want := strings.Join(order, " "), "a@1h0m0s b@2h0m0s c@2h0m0s"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSignalWaitsAtMostForATime(t *testing.T) {
	c := NewClock(Epoch)
	c.Run(func() {
		s := c.NewSignal()
		if s.Wait(time.Minute) || c.Now().Sub(Epoch) != time.Minute {
			t.Errorf("a signal that never fires: waited until %s", c.Now().Sub(Epoch))
		}
		c.Go(func() { c.Sleep(time.Second); s.Fire() })
		if !s.Wait(time.Hour) || c.Now().Sub(Epoch) != time.Minute+time.Second {
			t.Errorf("a signal that fires: waited until %s", c.Now().Sub(Epoch))
		}
		if !s.Wait(0) {
			t.Error("a signal that has fired stays fired")
		}
		c.Sleep(2 * time.Hour) // the time-out of the wait above must wake nobody
		if got := c.Now().Sub(Epoch); got != 2*time.Hour+time.Minute+time.Second {
			t.Errorf("woken at %s", got)
		}
	})
}

func TestClockDropsWhatStillWaitsAtTheEnd(t *testing.T) {
	c := NewClock(Epoch)
	cleaned, went := make(chan bool, 1), false
	c.Run(func() {
		c.Go(func() {
			defer func() { cleaned <- true }()
			c.Sleep(time.Hour)
			went = true
		})
		c.Sleep(time.Second)
	})
	<-cleaned
	if went {
		t.Error("a task went on after the end")
	}
}

func TestClockNoticesThatNothingCanCome(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a wait for nothing hangs instead of being told")
		}
	}()
	c := NewClock(Epoch)
	c.Run(func() { c.NewSignal().Wait(0) })
}

func TestWallClockLetsOthersGoOnMeanwhile(t *testing.T) {
	c := NewWallClock(Epoch, 1000)
	var order []string
	c.Run(func() {
		release := make(chan struct{})
		c.Go(func() {
			c.Sleep(time.Second)
			order = append(order, "slept")
			close(release)
		})
		c.Block(func() { <-release })
		order = append(order, "blocked")
	})
	if !slices.Equal(order, []string{"slept", "blocked"}) {
		t.Errorf("%v", order)
	}
}
