package payload

import (
	"fmt"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong with a payload.
type Problem struct {
	// Pointer says where, as a JSON pointer (RFC 6901); "" is the whole input.
	// For something that is missing it is the object that lacks it.
	Pointer string `json:"pointer"`
	// Value is what stands there, as JSON, shortened.
	Value string `json:"value,omitempty"`
	// Message says what is wrong with it.
	Message string `json:"message"`
	// Want says what would be right.
	Want string `json:"want,omitempty"`
}

// Problems is everything that is wrong with a payload. It is an error; use Err
// where a plain error is wanted, since an empty Problems stored in an error is
// not nil.
type Problems []Problem

// maxShown limits the text of Error: it has to fit the error message of a
// Lambda function, and nobody reads more.
const maxShown = 100

// Error names every problem on a line of its own, up to 100 of them.
func (p Problems) Error() string {
	var b strings.Builder
	if len(p) == 1 {
		b.WriteString("the payload has 1 problem:")
	} else {
		fmt.Fprintf(&b, "the payload has %d problems:", len(p))
	}
	for i, problem := range p {
		if i == maxShown {
			fmt.Fprintf(&b, "\n  ... and %d more", len(p)-maxShown)
			break
		}
		b.WriteString("\n  - " + problem.String())
	}
	return b.String()
}

// Err returns the problems as an error, nil if there are none.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// String is the problem in one line: where, what, the value, what would be right.
func (p Problem) String() string {
	where := p.Pointer
	if where == "" {
		where = "(input)"
	}
	text := where + ": " + p.Message
	if p.Value != "" {
		text += "; found " + p.Value
	}
	if p.Want != "" {
		text += "; expected " + p.Want
	}
	return text
}

// maxValue is the number of characters of a value that a problem shows.
const maxValue = 80

func shorten(text string) string {
	runes := []rune(text)
	if len(runes) <= maxValue {
		return text
	}
	return string(runes[:maxValue]) + "..."
}

// quote shows a text as a value of a problem.
func quote(text string) string {
	return strconv.Quote(shorten(text))
}

// Nearest returns the candidate that name was probably meant to be: the one
// with the fewest edits, upper and lower case being equal, or "" if none is
// close.
func Nearest(name string, candidates []string) string {
	const longest = 256
	if name == "" || len(name) > longest {
		return ""
	}
	best, bestEdits := "", max(2, len(name)/3)+1
	for _, c := range candidates {
		if len(c) > longest {
			continue
		}
		if e := edits(strings.ToLower(name), strings.ToLower(c)); e < bestEdits && e < len(c) {
			best, bestEdits = c, e
		}
	}
	return best
}

// edits is the Levenshtein distance of two texts, in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
