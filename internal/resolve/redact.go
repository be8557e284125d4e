package resolve

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

const (
	redacted = "[secret]"
	// shortest is the length from which on a secret is redacted inside other
	// text. A shorter one would turn up by chance everywhere.
	shortest = 4
)

// Redact replaces every occurrence of a secret by "[secret]". In JSON it looks
// into each string however it is escaped, into JSON within strings and at
// numbers, and what comes out is JSON again; in other text it knows a secret as
// it is and as JSON and Go quote it. A secret of fewer than 4 characters is
// replaced only where it is a whole string.
func Redact(text []byte, secrets []string) []byte {
	secrets = slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return s == "" })
	if len(secrets) == 0 {
		return text
	}
	if json.Valid(text) {
		return redactJSON(text, secrets)
	}
	return redactText(text, secrets)
}

// redactJSON goes through the literals of valid JSON and leaves all else as it is.
func redactJSON(text []byte, secrets []string) []byte {
	var out []byte
	for i := 0; i < len(text); {
		end := i + 1
		switch c := text[i]; {
		case c == '"':
			end = stringEnd(text, i)
			out = append(out, redactLiteral(text[i:end], secrets)...)
		case c == '-' || c >= '0' && c <= '9':
			for end < len(text) && strings.IndexByte("0123456789+-.eE", text[end]) >= 0 {
				end++
			}
			number := text[i:end]
			if !bytes.Equal(redactText(number, secrets), number) {
				number = []byte(strconv.Quote(redacted))
			}
			out = append(out, number...)
		default:
			out = append(out, c)
		}
		i = end
	}
	return out
}

// stringEnd is the index after the string literal that starts at i.
func stringEnd(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func redactLiteral(literal []byte, secrets []string) []byte {
	var text string
	if err := json.Unmarshal(literal, &text); err != nil {
		return literal
	}
	var clean string
	switch {
	case slices.Contains(secrets, text):
		clean = redacted
	case text != "" && strings.IndexByte(`{["`, text[0]) >= 0:
		clean = string(Redact([]byte(text), secrets))
	default:
		clean = string(redactText([]byte(text), secrets))
	}
	if clean == text {
		return literal
	}
	return []byte(jsonQuote(clean))
}

// redactText marks all occurrences first and replaces them then, so that
// secrets that overlap leave no rest.
func redactText(text []byte, secrets []string) []byte {
	marked := make([]bool, len(text))
	for _, secret := range secrets {
		for _, form := range forms(secret) {
			// Of a quoted form the quotes stay.
			edge := 0
			if len(secret) < shortest {
				edge = 1
			}
			done := 0
			for from := 0; ; {
				at := bytes.Index(text[from:], []byte(form))
				if at < 0 {
					break
				}
				at += from
				end := at + len(form) - edge
				for i := max(at+edge, done); i < end; i++ {
					marked[i] = true
				}
				done = end
				from = at + 1
			}
		}
	}
	var out []byte
	for i, b := range text {
		switch {
		case !marked[i]:
			out = append(out, b)
		case i == 0 || !marked[i-1]:
			out = append(out, redacted...)
		}
	}
	return out
}

// forms lists the ways in which text may hold a secret: plain, quoted by JSON
// with and without escapes for HTML, by Go, and JSON within JSON. A short one
// counts only in quotes.
func forms(secret string) []string {
	inner := func(quoted string) string { return quoted[1 : len(quoted)-1] }
	html, _ := json.Marshal(secret)
	quoted := []string{jsonQuote(secret), string(html), strconv.Quote(secret)}
	if len(secret) < shortest {
		return quoted
	}
	list := []string{secret}
	for _, q := range quoted {
		list = append(list, inner(q), inner(jsonQuote(inner(q))))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// jsonQuote is a text as a JSON string without escapes for HTML.
func jsonQuote(text string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text)
	return strings.TrimSuffix(b.String(), "\n")
}
