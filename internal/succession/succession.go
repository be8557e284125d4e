// Package succession holds the mark on a database that takes over from another
// one. Of two databases that both stand alone AWS shows nothing that tells which
// of them took over: a drill, or a hand that rebuilds something, leaves the same
// picture. So the run that moves a database away from its primary says so on the
// database itself, and what comes later asks for that mark.
package succession

import (
	"fmt"
	"strings"
	"time"
)

// Tag is the key of the mark.
const Tag = "dr-orchestrator:takes-over-from"

// Mark is the value that says that the database created then takes over from old,
// an ARN, from now on. The time of creation is in it because tags go into
// snapshots, and from there into what is restored.
func Mark(old string, now, created time.Time) string {
	return fmt.Sprintf("%s at %s created %s", old, moment(now), moment(created))
}

// Of gives what a database with this mark, created then, takes over from, and
// since when. It is empty for another one's mark.
func Of(mark string, created time.Time) (old string, at time.Time) {
	words := strings.Fields(mark)
	if len(words) != 5 || created.IsZero() || words[4] != moment(created) {
		return "", time.Time{}
	}
	at, err := time.Parse(time.RFC3339, words[2])
	if err != nil {
		return "", time.Time{}
	}
	return words[0], at
}

// Proves reports whether a mark shows that the database created then took over
// from old. One that was created after that is another database under the same
// name: the roles have changed since.
func Proves(mark string, created time.Time, old string, oldCreated time.Time) bool {
	from, at := Of(mark, created)
	return from != "" && strings.EqualFold(from, old) && !oldCreated.IsZero() && oldCreated.Before(at)
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }
