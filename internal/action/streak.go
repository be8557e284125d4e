package action

import (
	"strconv"
	"time"
)

// The notes of looks that found everything well.
const (
	memoStreak        = "streak"
	memoStreakAt      = "streakAt"
	memoStreakBreaker = "streakInterruptions"
)

// mostGap is how much longer than the interval two looks may lie apart and
// still be in a row.
const mostGap = 2 * time.Minute

// Streak gives how many looks in a row have found everything well so far, by
// the notes of StreakNote. A look whose result was lost breaks the row, because
// it may have failed, and so does a pause; without notes it starts again.
func (r Request[P]) Streak(interval time.Duration) int {
	n, err := strconv.Atoi(r.Drive.Memo[memoStreak])
	if err != nil || r.Now.Sub(r.memoTime(memoStreakAt)) > interval+mostGap || r.Drive.Memo[memoStreakBreaker] != strconv.Itoa(r.Drive.Interruptions) {
		return 0
	}
	return n
}

// StreakNote gives the memo of a look, after which there are n in a row.
func (r Request[P]) StreakNote(n int) map[string]string {
	return map[string]string{
		memoStreak: strconv.Itoa(n), memoStreakAt: r.Now.Format(time.RFC3339), memoStreakBreaker: strconv.Itoa(r.Drive.Interruptions),
	}
}
