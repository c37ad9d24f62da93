package dataset

import (
	"strings"
	"unicode/utf8"
)

const escape = 0x1b

// designations are the escape sequences that are understood: those of PS3.3 tables C.12-3 and C.12-4, and those by which
// ISO/IEC 2022 brings the same sets in elsewhere.
var designations = func() []designation {
	all := []designation{
		{"\x1b$@", jisX0208, false}, // the edition of 1978
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
		if set.g0 != "" {
			all = append(all, designation{set.g0, set, false})
		}
		if set.g1 != "" {
			all = append(all, designation{set.g1, set, true})
		}
	}
	return all
}()

type designation struct {
	sequence string
	set      *codeSet
	g1       bool
}

// iso2022 decodes text with code extensions (PS3.5 section 6.1.2.5). An escape sequence says itself which set it brings
// in, so it is followed whether or not Specific Character Set names the set.
func (d *textDecoder) iso2022(b []byte) {
	g0, g1 := d.cs.g0, d.cs.g1
	fallback := d.cs.fallbackG1()
	checked, isUTF8 := false, false
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case c == escape:
			found, size := designated(b[i:])
			switch {
			case found == nil:
				d.undecodable()
			case found.g1:
				g1 = found.set
			default:
				g0 = found.set
			}
			i += size
		case c < 0x20 || c == 0x7f:
			g0, g1 = d.cs.g0, d.cs.g1 // PS3.5 section 6.1.2.5.3: before any control character
			d.rune(rune(c))
			i++
		case c < 0x80:
			if g0 == ascii {
				d.dst = append(d.dst, c)
				i++
			} else {
				i += d.lower(b[i:], &g0)
			}
			if d.isDelimiter(c) && g0.double == nil {
				g0, g1 = d.cs.g0, d.cs.g1
			}
		case g1 == nil && fallback != nil:
			d.warn |= CharacterSetAssumed
			i += d.upper(b[i:], fallback)
		case g1 == nil:
			if !checked {
				checked, isUTF8 = true, utf8.Valid(b)
			}
			i += d.guess(b[i:], isUTF8)
		default:
			i += d.upper(b[i:], g1)
		}
	}
}

// isDelimiter reports whether c, in a set of single bytes, ends a value or part of a name.
func (d *textDecoder) isDelimiter(c byte) bool {
	return c == '\\' && !d.t.single || d.pn && (c == '^' || c == '=')
}

// lower decodes the character at the start of b, which is from 20 to 7E, and returns its length.
func (d *textDecoder) lower(b []byte, g0 **codeSet) int {
	set := *g0
	switch {
	case b[0] == ' ':
		d.rune(' ')
		return 1
	case set.double == nil:
		if b[0] == '\\' && !d.t.single {
			d.rune('\\') // the delimiter of values, whatever the set shows for it
		} else {
			d.character(set.single.decode(b[0]))
		}
		return 1
	case len(b) > 1 && b[1] > 0x20 && b[1] < 0x7f:
		d.character(set.double().decode(b[0], b[1]))
		return 2
	case d.isDelimiter(b[0]): // the sender did not return to the initial set
		*g0 = d.cs.g0
		d.rune(rune(b[0]))
		return 1
	}
	d.undecodable()
	return 1
}

// upper decodes the character at the start of b, which is above 7F, by the set in G1.
func (d *textDecoder) upper(b []byte, set *codeSet) int {
	switch {
	case set.double != nil && len(b) > 1 && b[0] > 0xa0 && b[1] > 0xa0:
		d.character(set.double().decode(b[0]&0x7f, b[1]&0x7f))
		return 2
	case set == ksX1001 && len(b) > 1 && d.unifiedHangul(b):
		return 2
	case set.double != nil:
		d.undecodable()
	case set == latin1:
		d.windows1252(b[0])
	case b[0] < 0xa0:
		d.undecodable()
	default:
		d.character(set.single.decode(b[0] & 0x7f))
	}
	return 1
}

// character appends what a table gave.
func (d *textDecoder) character(r rune) {
	if r == utf8.RuneError {
		d.undecodable()
		return
	}
	d.rune(r)
}

// designated is the designation at the start of b, nil if it is unknown, and the length of the escape sequence
// (ISO/IEC 2022: ESC, intermediate bytes 20 to 2F, a final byte 30 to 7E).
func designated(b []byte) (*designation, int) {
	for i := range designations {
		if len(b) < 3 || b[1] < '$' || b[1] > '-' {
			break // a text can be nothing but escapes
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
