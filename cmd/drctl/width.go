package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
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

// prefix gives the beginning of a text that fits into columns.
func prefix(s string, most int) string {
	n := 0
	for i, r := range s {
		if n += columns(r); n > most {
			return s[:i]
		}
	}
	return s
}

// cut fits a text into columns from its beginning.
func cut(s string, most int) string {
	switch {
	case width(s) <= most:
		return s
	case most <= 0:
		return ""
	}
	return prefix(s, most-1) + "…"
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

// wrapped breaks a text into lines of so many columns, between words where it can.
func wrapped(s string, most int) []string {
	var lines []string
	for width(s) > most {
		at := len(prefix(s, most))
		if at == 0 {
			break
		}
		if space := strings.LastIndexByte(s[:at+1], ' '); space > 0 {
			at = space
		}
		lines = append(lines, strings.TrimRight(s[:at], " "))
		s = strings.TrimLeft(s[at:], " ")
	}
	return append(lines, cut(s, most))
}

// continued breaks a command into lines of so many columns that a shell reads as
// one, so that it can be copied from them.
func continued(s string, most int) []string {
	var lines []string
	for width(s) > most {
		at := len(prefix(s, most-1))
		if at == 0 {
			break
		}
		lines = append(lines, s[:at]+`\`)
		s = s[at:]
	}
	return append(lines, cut(s, most))
}

// leastName is what a table leaves of a name, however narrow the terminal is.
const leastName = 16

// printTable prints rows in columns. Where all of them take more than most, the
// column that gives way is shortened; negative: none is.
func printTable(w io.Writer, rows [][]string, gives, most int) {
	longest := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			longest[i] = max(longest[i], width(cell))
		}
	}
	if gives >= 0 {
		all := 2 * (len(longest) - 1)
		for _, n := range longest {
			all += n
		}
		longest[gives] = max(longest[gives]-max(all-most, 0), min(longest[gives], leastName))
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			if i == gives {
				cell = middle(cell, longest[i])
			}
			if i < len(row)-1 {
				cell = pad(cell, longest[i]+2)
			}
			b.WriteString(cell)
		}
		fmt.Fprintln(w, b.String())
	}
}

// terminalWidth gives the columns of a terminal; what is none takes any line.
func terminalWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil {
			return columns
		}
	}
	return math.MaxInt
}
