package dataset

import (
	"strings"
	"unicode/utf8"
)

const escape = 0x1b

// designations are the escape sequences that the decoder supports: those of PS3.3 tables C.12-3 and
// C.12-4, and those by which ISO/IEC 2022 designates the same sets to the other of G0 and G1.
var designations = func() []designation {
	all := []designation{
		{"\x1b$@", jisX0208, false}, // the 1978 edition
		{"\x1b$(@", jisX0208, false},
		{"\x1b$(B", jisX0208, false},
		{"\x1b$)B", jisX0208, true},
		{"\x1b$)D", jisX0212, true},
		{"\x1b$(C", ksX1001, false},
		{"\x1b$A", gb2312, false},
		{"\x1b$(A", gb2312, false},
		{"\x1b(I", katakana, false},
		{"\x1b)J", romaji, true},
		{"\x1b)B", ascii, true},
	}
	for _, set := range []*codeSet{
		ascii, romaji, katakana, latin1, latin2, latin3, latin4, cyrillic, arabic, greek, hebrew, latin5, latin9, thai,
		jisX0208, jisX0212, ksX1001, gb2312,
	} {
		if set.escapeG0 != "" {
			all = append(all, designation{set.escapeG0, set, false})
		}
		if set.escapeG1 != "" {
			all = append(all, designation{set.escapeG1, set, true})
		}
	}
	return all
}()

// designation is an escape sequence and the set that it designates, to G1 or else to G0.
type designation struct {
	sequence string
	set      *codeSet
	g1       bool
}

// decodeISO2022 decodes text with code extensions (PS3.5 section 6.1.2.5). An escape sequence
// identifies the set that it designates, so the decoder follows it whether or not Specific
// Character Set names that set.
func (d *textDecoder) decodeISO2022(b []byte) {
	g0, g1 := d.cs.g0, d.cs.g1
	assumed := d.cs.assumedG1()
	checked, isUTF8 := false, false
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case c == escape:
			found, size := matchDesignation(b[i:])
			switch {
			case found == nil:
				d.appendReplacement()
			case found.g1:
				g1 = found.set
			default:
				g0 = found.set
			}
			i += size
		case c < 0x20 || c == 0x7f:
			g0, g1 = d.cs.g0, d.cs.g1 // PS3.5 section 6.1.2.5.3: before any control character
			d.appendRune(rune(c))
			i++
		case c < 0x80:
			if g0 == ascii {
				d.dst = append(d.dst, c)
				i++
			} else {
				i += d.decodeGL(b[i:], &g0)
			}
			if d.isDelimiter(c) && g0.doubleByte == nil && g0 != katakana {
				g0, g1 = d.cs.g0, d.cs.g1
			}
		case g1 == nil && assumed != nil:
			d.warnings |= CharacterSetAssumed
			i += d.decodeGR(b[i:], assumed)
		case g1 == nil:
			if !checked {
				checked, isUTF8 = true, utf8.Valid(b)
			}
			i += d.decodeGuessed(b[i:], isUTF8)
		default:
			i += d.decodeGR(b[i:], g1)
		}
	}
}

// isDelimiter reports whether c, in a single-byte set, separates values or parts of a name.
func (d *textDecoder) isDelimiter(c byte) bool {
	return c == '\\' && !d.traits.singleValued || d.isName && (c == '^' || c == '=')
}

// decodeGL decodes the character at the start of b, a byte from 20 to 7E, with the set in G0. It
// returns the length of the character.
func (d *textDecoder) decodeGL(b []byte, g0 **codeSet) int {
	set := *g0
	switch {
	case b[0] == ' ':
		d.appendRune(' ')
		return 1
	case set.doubleByte == nil:
		if b[0] == '\\' && !d.traits.singleValued && set != katakana {
			d.appendRune('\\') // the separator of values, even if the set has another character there
		} else {
			d.appendDecoded(set.singleByte.decode(b[0]))
		}
		return 1
	case len(b) > 1 && b[1] > 0x20 && b[1] < 0x7f:
		d.appendDecoded(set.doubleByte().decode(b[0], b[1]))
		return 2
	case d.isDelimiter(b[0]): // the sender did not return to the initial set
		*g0 = d.cs.g0
		d.appendRune(rune(b[0]))
		return 1
	}
	d.appendReplacement()
	return 1
}

// decodeGR decodes the character at the start of b, a byte above 7F, with the set designated to G1.
// It returns the length of the character.
func (d *textDecoder) decodeGR(b []byte, set *codeSet) int {
	switch {
	case set.doubleByte != nil && len(b) > 1 && b[0] > 0xa0 && b[1] > 0xa0:
		d.appendDecoded(set.doubleByte().decode(b[0]&0x7f, b[1]&0x7f))
		return 2
	case set == ksX1001 && len(b) > 1 && d.decodeUnifiedHangul(b):
		return 2
	case set.doubleByte != nil:
		d.appendReplacement()
	case set == latin1:
		d.decodeWindows1252(b[0])
	case b[0] < 0xa0 && !set.isCodePage:
		d.appendReplacement()
	default:
		d.appendDecoded(set.singleByte.decode(b[0] & 0x7f))
	}
	return 1
}

// appendDecoded appends a character that a table gave, or a replacement if the table has none.
func (d *textDecoder) appendDecoded(r rune) {
	if r == utf8.RuneError {
		d.appendReplacement()
		return
	}
	d.appendRune(r)
}

// matchDesignation returns the designation at the start of b, nil if it is unknown, and the length
// of the escape sequence (ISO/IEC 2022: ESC, intermediate bytes 20 to 2F, a final byte 30 to 7E).
func matchDesignation(b []byte) (*designation, int) {
	for i := range designations {
		if len(b) < 3 || b[1] < '$' || b[1] > '-' {
			break // cheap to rule out, because a text may consist of nothing but ESC bytes
		}
		if found := &designations[i]; len(b) >= len(found.sequence) && string(b[:len(found.sequence)]) == found.sequence {
			return found, len(found.sequence)
		}
	}
	n := 1
	for n < len(b) && strings.IndexByte(" !\"#$%&'()*+,-./", b[n]) >= 0 {
		n++
	}
	if n > 1 && n < len(b) && b[n] >= 0x30 && b[n] < 0x7f {
		n++
	}
	return nil, n
}
