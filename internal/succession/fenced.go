package succession

// FenceTag is the key of the tag that a fence puts on what it fences.
const FenceTag = "dr-orchestrator:fence"

// The words of FenceTag.
const (
	FenceBegun    = "begun"    // the groups are saved, and may be changed any moment
	FenceComplete = "complete" // isolated, and restarted since
	FenceReleased = "released" // given back, or about to be
)

// ReleaseFirst says of what is fenced why it takes nothing over.
const ReleaseFirst = "is fenced, and takes no writes: release it first (FenceOldPrimary with Method Release)"

// Fenced reports whether a database with these tags is fenced, or about to be:
// nobody can write to it, whatever AWS calls it.
func Fenced(tags map[string]string) bool {
	return tags[FenceTag] == FenceBegun || tags[FenceTag] == FenceComplete
}
