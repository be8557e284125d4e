package report

import (
	"strings"
	"unicode"
)

// Printable leaves out of a text what would steer whoever shows it: control
// characters, and those that change the direction of writing, by which a name
// can look like another one. What AWS or a payload says goes through it, or
// through Line, before a person sees it. Ends of lines stay.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, s)
}

// Line is Printable on one line.
func Line(s string) string { return strings.ReplaceAll(Printable(s), "\n", " ") }
