package dicomweb

import "unicode/utf8"

// plain marks the characters that JSON does not escape, that mean the same in every character set of DICOM, and that do not separate
// values: printable ASCII without the tilde, which JIS X 0201 replaces.
var plain = func() (table [256]bool) {
	for c := ' '; c < '~'; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

func isPlain(b []byte) bool {
	for _, c := range b {
		if !plain[c] {
			return false
		}
	}
	return true
}

// plain writes plain characters of a string.
func (w *JSONWriter) plain(value []byte) {
	for len(value) > maxPiece {
		w.b = append(w.b, value[:maxPiece]...)
		value = value[maxPiece:]
		w.flushIfFull()
	}
	w.b = append(w.b, value...)
}

// string writes s as a JSON string.
func (w *JSONWriter) string(s []byte) {
	w.b = append(w.b, '"')
	for len(s) > maxPiece {
		n := maxPiece
		for n > maxPiece-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		w.b = appendEscaped(w.b, s[:n])
		s = s[n:]
		w.flushIfFull()
	}
	w.b = append(appendEscaped(w.b, s), '"')
}

// maxPiece is the number of bytes of a string that are written at once.
const maxPiece = 8 << 10

// appendEscaped appends s with the escapes that JSON requires (RFC 8259 section 7). Bytes that are not UTF-8 become U+FFFD.
func appendEscaped(b, s []byte) []byte {
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, size = utf8.DecodeRune(s[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		b = append(b, s[from:i]...)
		i += size
		from = i
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			if c >= utf8.RuneSelf {
				b = append(b, "\ufffd"...)
			} else {
				b = append(b, '\\', 'u', '0', '0', upperHex[c>>4], upperHex[c&0xf])
			}
		}
	}
	return append(b, s[from:]...)
}
