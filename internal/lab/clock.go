package lab

import (
	"container/heap"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Clock runs tasks one at a time, ordered by (time, sequence). That, and not
// luck, is what makes a run in the lab the same every time: whoever waits
// hands over to whoever is next, and on the virtual clock time jumps there.
//
// On the wall clock the order is the same, but the clock waits for the time
// to come, and work may be injected from outside (Enter) or done outside
// (Block): HTTP requests, and functions that are processes of their own.
type Clock struct {
	mu      sync.Mutex
	now     time.Time
	seq     uint64
	queue   queue
	parked  map[*task]bool
	current *task
	outside int // tasks in Block
	closed  bool

	wall      bool
	speed     float64
	wallStart time.Time
	start     time.Time
	kick      chan struct{} // something was queued from outside
	ended     chan struct{} // closed when Run has returned
	yielded   chan struct{} // the running task handed over
}

type task struct{ wake chan struct{} }

type entry struct {
	at   time.Time
	seq  uint64
	task *task
	gone *bool // set when the wait ended another way
}

// NewClock makes a virtual clock that starts at a time.
func NewClock(start time.Time) *Clock {
	return &Clock{now: start, start: start, parked: map[*task]bool{}, kick: make(chan struct{}, 1), ended: make(chan struct{}), yielded: make(chan struct{})}
}

// NewWallClock makes a clock that follows real time, sped up by a factor.
func NewWallClock(start time.Time, speed float64) *Clock {
	c := NewClock(start)
	c.wall, c.speed, c.wallStart = true, speed, time.Now()
	return c
}

// Now gives the time on this clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time()
}

func (c *Clock) time() time.Time {
	if c.wall {
		return c.start.Add(time.Duration(float64(time.Since(c.wallStart)) * c.speed))
	}
	return c.now
}

// Go starts a task. It runs when the tasks before it hand over.
func (c *Clock) Go(f func()) {
	t := &task{wake: make(chan struct{})}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.parked[t] = true
	c.push(c.time(), t, nil)
	c.mu.Unlock()
	go func() {
		<-t.wake
		if c.isClosed() {
			return
		}
		defer c.handOver()
		f()
	}()
}

// Sleep makes the running task wait.
func (c *Clock) Sleep(d time.Duration) {
	if d < 0 {
		d = 0
	}
	c.mu.Lock()
	t := c.current
	c.push(c.time().Add(d), t, nil)
	c.mu.Unlock()
	c.park(t)
}

// Signal is something that tasks wait for.
type Signal struct {
	clock   *Clock
	fired   bool
	waiters []entry
}

// NewSignal makes a signal that has not fired.
func (c *Clock) NewSignal() *Signal { return &Signal{clock: c} }

// Fire wakes whoever waits, now and later.
func (s *Signal) Fire() {
	s.clock.mu.Lock()
	defer s.clock.poke()
	defer s.clock.mu.Unlock()
	if s.fired {
		return
	}
	s.fired = true
	for _, w := range s.waiters {
		if !*w.gone {
			*w.gone = true
			s.clock.push(s.clock.time(), w.task, nil)
		}
	}
	s.waiters = nil
}

// Wait makes the running task wait until the signal fires, or for a time (0:
// without end). It reports whether the signal has fired.
func (s *Signal) Wait(timeout time.Duration) bool {
	c := s.clock
	c.mu.Lock()
	if s.fired {
		c.mu.Unlock()
		return true
	}
	t, gone := c.current, new(bool)
	s.waiters = append(s.waiters, entry{task: t, gone: gone})
	if timeout > 0 {
		c.push(c.time().Add(timeout), t, gone)
	}
	c.mu.Unlock()
	c.park(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	s.waiters = slices.DeleteFunc(s.waiters, func(w entry) bool { return *w.gone })
	return s.fired
}

// Block lets the running task do something that takes real time, while the
// others go on.
func (c *Clock) Block(f func()) {
	c.mu.Lock()
	t := c.current
	c.outside++
	c.parked[t] = true
	c.mu.Unlock()
	c.handOver()
	f()
	c.mu.Lock()
	c.outside--
	c.push(c.time(), t, nil)
	c.mu.Unlock()
	c.poke()
	c.await(t)
}

// Enter runs a task from a goroutine that is none, and waits for its end, or
// for the end of the clock.
func (c *Clock) Enter(f func()) {
	done := make(chan struct{})
	c.Go(func() {
		defer close(done)
		f()
	})
	c.poke()
	select {
	case <-done:
	case <-c.ended:
	}
}

// Run runs a first task and everything that it starts, until it ends; what is
// still waiting then is dropped.
func (c *Clock) Run(first func()) {
	done := false
	c.Go(func() {
		defer func() { done = true }()
		first()
	})
	for !done {
		t := c.next()
		if t == nil {
			panic("lab: every task waits for something that cannot come")
		}
		t.wake <- struct{}{}
		<-c.yielded
	}
	c.mu.Lock()
	c.closed = true
	left := c.parked
	c.parked = map[*task]bool{}
	c.mu.Unlock()
	for t := range left {
		close(t.wake)
	}
	close(c.ended)
}

// next gives the task whose turn it is, when its time has come.
func (c *Clock) next() *task {
	for {
		c.mu.Lock()
		for len(c.queue) > 0 && c.queue[0].gone != nil && *c.queue[0].gone {
			heap.Pop(&c.queue)
		}
		if len(c.queue) == 0 {
			stuck := !c.wall && c.outside == 0
			c.mu.Unlock()
			if stuck {
				return nil
			}
			<-c.kick
			continue
		}
		first := c.queue[0]
		if ahead := first.at.Sub(c.time()); c.wall && ahead > 0 {
			c.mu.Unlock()
			timer := time.NewTimer(time.Duration(float64(ahead) / c.speed))
			select {
			case <-timer.C:
			case <-c.kick:
			}
			timer.Stop()
			continue
		}
		heap.Pop(&c.queue)
		if first.gone != nil {
			*first.gone = true
		}
		if first.at.After(c.now) {
			c.now = first.at
		}
		c.current = first.task
		delete(c.parked, first.task)
		c.mu.Unlock()
		return first.task
	}
}

// park hands over and waits to be woken.
func (c *Clock) park(t *task) {
	c.mu.Lock()
	c.parked[t] = true
	c.mu.Unlock()
	c.handOver()
	c.await(t)
}

func (c *Clock) await(t *task) {
	<-t.wake
	if c.isClosed() {
		runtime.Goexit()
	}
}

func (c *Clock) handOver() {
	if c.isClosed() {
		return
	}
	c.yielded <- struct{}{}
}

func (c *Clock) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *Clock) poke() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

func (c *Clock) push(at time.Time, t *task, gone *bool) {
	c.seq++
	heap.Push(&c.queue, entry{at: at, seq: c.seq, task: t, gone: gone})
}

type queue []entry

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(entry)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
