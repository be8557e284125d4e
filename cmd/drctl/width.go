package main

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// wide are the characters that take two columns of a terminal: East Asian wide
// and full-width ones (Unicode Standard Annex 11), and pictures.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{{0x1100, 0x115f, 1}, {0x231a, 0x231b, 1}, {0x23e9, 0x23ec, 1}, {0x2705, 0x2705, 1}, {0x274c, 0x274c, 1}, {0x2e80, 0x303e, 1}, {0x3041, 0xa4cf, 1},
		{0xac00, 0xd7a3, 1}, {0xf900, 0xfaff, 1}, {0xfe30, 0xfe6f, 1}, {0xff00, 0xff60, 1}, {0xffe0, 0xffe6, 1}},
	R32: []unicode.Range32{{0x1f300, 0x1f64f, 1}, {0x1f680, 0x1f6ff, 1}, {0x1f900, 0x1f9ff, 1}, {0x20000, 0x3fffd, 1}},
}

// columns gives how many columns of a terminal a character takes.
func columns(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// width gives how many columns a text takes.
func width(s string) int {
	n := 0
	for _, r := range s {
		n += columns(r)
	}
	return n
}

// cut fits a text into columns from its beginning.
func cut(s string, most int) string {
	if width(s) <= most {
		return s
	}
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n += columns(r); n > most-1 {
			break
		}
		b.WriteRune(r)
	}
	if most > 0 {
		b.WriteRune('…')
	}
	return b.String()
}

// middle fits a text into columns by what it leaves out of its middle: names
// differ at their ends.
func middle(s string, most int) string {
	if width(s) <= most || most < 3 {
		return cut(s, most)
	}
	tail, n := len(s), 0
	for tail > 0 {
		r, size := utf8.DecodeLastRuneInString(s[:tail])
		if n += columns(r); n > most/2 {
			break
		}
		tail -= size
	}
	// What follows has no letter to stand on.
	for tail < len(s) {
		r, size := utf8.DecodeRuneInString(s[tail:])
		if columns(r) > 0 {
			break
		}
		tail += size
	}
	return cut(s, most-width(s[tail:])) + s[tail:]
}

// pad fills a text up to so many columns.
func pad(s string, columns int) string { return s + strings.Repeat(" ", max(columns-width(s), 0)) }

// fill cuts a text, or pads it, to exactly so many columns.
func fill(s string, columns int) string { return pad(cut(s, columns), columns) }
