package server

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// appendJSONString appends s as a JSON string. A string that needs escapes goes through encoding/json.
func appendJSONString(b []byte, s string) []byte {
	for i := range len(s) {
		if !verbatim[s[i]] {
			if s[i] < utf8.RuneSelf || !isVerbatim(s) {
				return appendEscaped(b, s)
			}
			break
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// verbatim marks the ASCII characters that encoding/json does not escape.
var verbatim = func() (table [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		table[c] = !strings.ContainsRune(`"\<>&`, c)
	}
	return table
}()

// isVerbatim reports whether s, which is not all ASCII, needs no escapes.
func isVerbatim(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case verbatim[c]:
		case c < utf8.RuneSelf, c == lineSeparator[0] && isSeparator(s[i:]):
			return false
		}
	}
	return utf8.ValidString(s)
}

// lineSeparator differs in its last bit from the paragraph separator, which encoding/json also escapes.
const lineSeparator = "\u2028"

func isSeparator(s string) bool {
	const n = len(lineSeparator) - 1
	return len(s) > n && s[:n] == lineSeparator[:n] && s[n]&^1 == lineSeparator[n]
}

func appendEscaped(b []byte, s string) []byte {
	escaped, _ := json.Marshal(s) // a string does not fail
	return append(b, escaped...)
}
