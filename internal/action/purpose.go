package action

// Purpose is what an action is for in a run. A report says by it what became of
// the estate, and what is left to a person.
type Purpose string

// The purposes. There is none for "something else": a report would have nothing
// to say of it.
const (
	TakesOver    Purpose = "takesOver"    // makes a database of the region of the run take the writes
	Protects     Purpose = "protects"     // gives what serves elsewhere a copy in the region of the run again
	MovesTraffic Purpose = "movesTraffic" // leads callers from one region to another
	MovesJobs    Purpose = "movesJobs"    // turns consumers and schedules on or off
	Fences       Purpose = "fences"       // keeps an old primary from taking writes, or gives it back
	Checks       Purpose = "checks"       // looks, and changes nothing
	Asks         Purpose = "asks"         // asks a person
)

// Purposes lists every purpose.
var Purposes = []Purpose{TakesOver, Protects, MovesTraffic, MovesJobs, Fences, Checks, Asks}
