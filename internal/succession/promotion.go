package succession

import (
	"strings"
	"time"
)

// PromotedTag is the mark of an instance, whose source AWS forgets. It is set by
// PromoteRDSReadReplica on what it promotes. Its value is the ARN of the source
// and, after a space, when the promotion was asked for.
const PromotedTag = "dr-orchestrator:promoted-from"

// PromotedNote gives the value of PromotedTag.
func PromotedNote(source string, at time.Time) string {
	return source + " " + at.UTC().Format(time.RFC3339)
}

// PromotedFrom reports whether tags say that their instance was promoted from the
// one with this ARN, which was created at this time. An older promotion was from
// another instance that had the same name.
func PromotedFrom(tags map[string]string, source string, created time.Time) bool {
	arn, _, _ := strings.Cut(tags[PromotedTag], " ")
	at := PromotedAt(tags)
	return source != "" && strings.EqualFold(arn, source) && !created.IsZero() && at.After(created)
}

// PromotedAt gives when an instance with these tags was promoted; zero where no
// tag tells.
func PromotedAt(tags map[string]string) time.Time {
	_, text, _ := strings.Cut(tags[PromotedTag], " ")
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at
}

// Ages reports whether the engine lets the age of a database tell which one was
// the replica. Primaries and replicas of Oracle change places and keep theirs.
func Ages(engine string) bool { return engine != "" && !strings.HasPrefix(engine, "oracle") }
