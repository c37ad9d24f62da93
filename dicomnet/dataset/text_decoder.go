package dataset

import (
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
)

// textDecoder decodes the text of one element to UTF-8, all values at once: in many character sets
// 5C can be the second byte of a character, and only the decoded text shows which backslashes are
// separators.
type textDecoder struct {
	cs       *characterSet
	traits   *traits
	isName   bool
	dst      []byte
	warnings Warnings
}

// decode appends to dst at most three bytes for each byte of b.
func (d *textDecoder) decode(b []byte) {
	switch {
	case d.cs.utf8:
		d.decodeUTF8(b)
	case d.cs.standalone != nil:
		d.decodeStandalone(d.cs.standalone, b)
	case d.cs.g1 == katakana && isShiftJIS(b):
		d.warnings |= CharacterSetAssumed
		d.decodeStandalone(japanese.ShiftJIS, b)
	default:
		d.decodeISO2022(b)
	}
}

// appendRune appends a character. A control character that the VR does not allow becomes a space:
// if it were dropped, two values could become another valid one (two numbers, for example).
func (d *textDecoder) appendRune(r rune) {
	switch {
	case r >= 0xa0 || r >= 0x20 && r < 0x7f:
	case d.traits.multiline && isLineControl(r):
	default:
		d.warnings |= ValueMalformed
		r = ' '
	}
	d.dst = utf8.AppendRune(d.dst, r)
}

// appendReplacement appends U+FFFD for bytes that cannot be decoded.
func (d *textDecoder) appendReplacement() {
	d.warnings |= TextUndecodable
	d.dst = utf8.AppendRune(d.dst, utf8.RuneError)
}

// isLineControl reports whether r is a control character that LT, ST and UT allow.
func isLineControl(r rune) bool { return r == '\r' || r == '\n' || r == '\f' || r == '\t' }

// decodeUTF8 decodes ISO_IR 192.
func (d *textDecoder) decodeUTF8(b []byte) {
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			d.appendReplacement()
		} else {
			d.appendRune(r)
		}
		b = b[size:]
	}
}

// decodeStandalone decodes with an encoding of x/text. None of them makes more than three bytes
// from one, and what appendRune writes for a character is never longer than the character, so one
// buffer serves as source and destination.
func (d *textDecoder) decodeStandalone(enc encoding.Encoding, b []byte) {
	decoded := make([]byte, 3*len(b))
	n, _, _ := enc.NewDecoder().Transform(decoded, b, true) // the buffer is large enough, and there is no other error
	d.dst = decoded[:0]
	for decoded = decoded[:n]; len(decoded) > 0; {
		r, size := utf8.DecodeRune(decoded)
		decoded = decoded[size:]
		if r == utf8.RuneError {
			d.appendReplacement()
		} else {
			d.appendRune(r)
		}
	}
}

// isShiftJIS reports whether b, which should be JIS X 0201, contains bytes that only Shift JIS has,
// and no escape sequence: some senders confuse the two.
func isShiftJIS(b []byte) bool {
	found := false
	for _, c := range b {
		if c == escape {
			return false
		}
		found = found || c >= 0x80 && c <= 0xa0 || c >= 0xe0
	}
	return found
}

// decodeGuessed decodes the first character of b, which is above 7F, if no character set applies.
// It returns the length of the character.
func (d *textDecoder) decodeGuessed(b []byte, isUTF8 bool) int {
	d.warnings |= CharacterSetAssumed
	if !isUTF8 {
		d.decodeWindows1252(b[0])
		return 1
	}
	r, size := utf8.DecodeRune(b)
	d.appendRune(r)
	return size
}

// decodeWindows1252 decodes ISO_IR 100 as Windows does: the standard's set has no characters from
// 80 to 9F, but Windows has dashes and quotes there.
func (d *textDecoder) decodeWindows1252(c byte) {
	r := charmap.Windows1252.DecodeByte(c)
	if r < 0xa0 || r == utf8.RuneError {
		d.appendReplacement()
		return
	}
	if c < 0xa0 {
		d.warnings |= CharacterSetAssumed
	}
	d.appendRune(r)
}

// decodeUnifiedHangul decodes a character of the Unified Hangul Code. It fills the gaps around KS X
// 1001 with all syllables, and Windows writes it under the same name.
func (d *textDecoder) decodeUnifiedHangul(b []byte) bool {
	var dst [8]byte
	n, _, _ := korean.EUCKR.NewDecoder().Transform(dst[:], b[:2], true)
	r, size := utf8.DecodeRune(dst[:n])
	if r == utf8.RuneError || size != n {
		return false
	}
	d.warnings |= CharacterSetAssumed
	d.appendRune(r)
	return true
}
