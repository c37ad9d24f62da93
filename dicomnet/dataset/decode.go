package dataset

import (
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
)

// textDecoder makes UTF-8 of the text of one element, all of its values at once: only then does a backslash in a string
// stand for itself, as in many sets 5C can be the second byte of a character.
type textDecoder struct {
	cs   *characterSet
	t    *traits
	pn   bool
	dst  []byte
	warn Warning
}

// decode leaves in dst at most three bytes for each of b.
func (d *textDecoder) decode(b []byte) {
	switch {
	case d.cs.utf8:
		d.utf8(b)
	case d.cs.whole != nil:
		d.whole(d.cs.whole, b)
	case d.cs.g1 == katakana && isShiftJIS(b):
		d.warn |= CharacterSetAssumed
		d.whole(japanese.ShiftJIS, b)
	default:
		d.iso2022(b)
	}
}

// rune appends a character. A control character that the VR has no room for becomes a space: to drop it could make
// another valid value of two (of two numbers, say).
func (d *textDecoder) rune(r rune) {
	switch {
	case r >= 0xa0 || r >= 0x20 && r < 0x7f:
	case d.t.lines && isLineControl(r):
	default:
		d.warn |= ValueMalformed
		r = ' '
	}
	d.dst = utf8.AppendRune(d.dst, r)
}

func (d *textDecoder) undecodable() {
	d.warn |= TextUndecodable
	d.dst = utf8.AppendRune(d.dst, utf8.RuneError)
}

func isLineControl(r rune) bool { return r == '\r' || r == '\n' || r == '\f' || r == '\t' }

func (d *textDecoder) utf8(b []byte) {
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			d.undecodable()
		} else {
			d.rune(r)
		}
		b = b[size:]
	}
}

// whole decodes by an encoding of x/text. None of them makes more than three bytes of one, and what is made of a
// character afterwards is never longer than it, so that one buffer serves for both.
func (d *textDecoder) whole(enc encoding.Encoding, b []byte) {
	decoded := make([]byte, 3*len(b))
	n, _, _ := enc.NewDecoder().Transform(decoded, b, true) // the space suffices and there is no other error
	d.dst = decoded[:0]
	for decoded = decoded[:n]; len(decoded) > 0; {
		r, size := utf8.DecodeRune(decoded)
		decoded = decoded[size:]
		if r == utf8.RuneError {
			d.undecodable()
		} else {
			d.rune(r)
		}
	}
}

// isShiftJIS reports whether b, said to be JIS X 0201, has bytes which that does not have, but Shift JIS does, and no
// escape sequence: some senders take the one for the other.
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

// guess decodes the first character of b, which is above 7F, where no character set says how.
func (d *textDecoder) guess(b []byte, isUTF8 bool) int {
	d.warn |= CharacterSetAssumed
	if !isUTF8 {
		d.windows1252(b[0])
		return 1
	}
	r, size := utf8.DecodeRune(b)
	d.rune(r)
	return size
}

// windows1252 reads ISO_IR 100 as Windows does: 80 to 9F are not in the standard's set, but dashes and quotes there.
func (d *textDecoder) windows1252(c byte) {
	r := charmap.Windows1252.DecodeByte(c)
	if r < 0xa0 || r == utf8.RuneError {
		d.undecodable()
		return
	}
	if c < 0xa0 {
		d.warn |= CharacterSetAssumed
	}
	d.rune(r)
}

// unifiedHangul decodes a character of the Unified Hangul Code, which has all syllables in the gaps around KS X 1001 and
// which Windows writes under the same name.
func (d *textDecoder) unifiedHangul(b []byte) bool {
	var dst [8]byte
	n, _, _ := korean.EUCKR.NewDecoder().Transform(dst[:], b[:2], true)
	r, size := utf8.DecodeRune(dst[:n])
	if r == utf8.RuneError || size != n {
		return false
	}
	d.warn |= CharacterSetAssumed
	d.rune(r)
	return true
}
