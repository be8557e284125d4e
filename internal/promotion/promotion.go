// Package promotion keeps what AWS forgets: of which database an RDS instance
// was a replica before it was promoted.
package promotion

import (
	"strings"
	"time"
)

// Tag is set by PromoteRDSReadReplica on what it promotes. Its value is the ARN
// of the source and, after a space, when the promotion was asked for.
const Tag = "dr-orchestrator:promoted-from"

// Note gives the value of Tag.
func Note(source string, at time.Time) string { return source + " " + at.UTC().Format(time.RFC3339) }

// From reports whether tags say that their instance was promoted from the one
// with this ARN, which was created at this time. An older promotion was from
// another instance that had the same name.
func From(tags map[string]string, source string, created time.Time) bool {
	arn, text, _ := strings.Cut(tags[Tag], " ")
	at, err := time.Parse(time.RFC3339, text)
	return err == nil && source != "" && strings.EqualFold(arn, source) && !created.IsZero() && at.After(created)
}

// Ages reports whether the engine lets the age of a database tell which one was
// the replica. Primaries and replicas of Oracle change places and keep theirs.
func Ages(engine string) bool { return engine != "" && !strings.HasPrefix(engine, "oracle") }
