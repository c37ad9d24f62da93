package dataset

import (
	"sync"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// codeSet is a coded character set that ISO/IEC 2022 can designate to G0 or G1. Its codes are those
// in G0 (21 to 7E, or 20 to 7F for sets of 96), even if it is designated to G1.
type codeSet struct {
	escapeG0, escapeG1 string // the standard's escape sequences that designate the set; the encoder writes them
	singleByte         *singleByte
	doubleByte         func() *doubleByte
	isCodePage         bool // has characters from 80 to 9F too; no escape sequence designates it
}

// singleByte is a set whose characters have one byte.
type singleByte struct {
	decode func(code byte) rune // U+FFFD if the code has no character
	encode func(r rune) (code byte, ok bool)
}

// The code sets of PS3.3 tables C.12-2 to C.12-4.
var (
	ascii    = &codeSet{escapeG0: "\x1b(B", singleByte: &singleByte{decodeASCII, encodeASCII}}
	romaji   = &codeSet{escapeG0: "\x1b(J", singleByte: &singleByte{decodeRomaji, encodeRomaji}}     // JIS X 0201, ISO-IR 14
	katakana = &codeSet{escapeG1: "\x1b)I", singleByte: &singleByte{decodeKatakana, encodeKatakana}} // JIS X 0201, ISO-IR 13

	latin1   = rightHalf("\x1b-A", charmap.ISO8859_1)
	latin2   = rightHalf("\x1b-B", charmap.ISO8859_2)
	latin3   = rightHalf("\x1b-C", charmap.ISO8859_3)
	latin4   = rightHalf("\x1b-D", charmap.ISO8859_4)
	cyrillic = rightHalf("\x1b-L", charmap.ISO8859_5)
	arabic   = rightHalf("\x1b-G", charmap.ISO8859_6)
	greek    = rightHalf("\x1b-F", charmap.ISO8859_7)
	hebrew   = rightHalf("\x1b-H", charmap.ISO8859_8)
	latin5   = rightHalf("\x1b-M", charmap.ISO8859_9)
	latin9   = rightHalf("\x1b-b", charmap.ISO8859_15)
	thai     = rightHalf("\x1b-T", charmap.Windows874) // TIS 620 above 9F

	jisX0208 = &codeSet{escapeG0: "\x1b$B", doubleByte: sync.OnceValue(func() *doubleByte {
		return newDoubleByte(japanese.EUCJP, nil, isJISX0208, jisX0208Differences)
	})}
	jisX0212 = &codeSet{escapeG0: "\x1b$(D", doubleByte: sync.OnceValue(func() *doubleByte {
		return newDoubleByte(japanese.EUCJP, []byte{0x8f}, anyCell, nil)
	})}
	ksX1001 = &codeSet{escapeG1: "\x1b$)C", doubleByte: sync.OnceValue(func() *doubleByte {
		return newDoubleByte(korean.EUCKR, nil, anyCell, nil)
	})}
	gb2312 = &codeSet{escapeG1: "\x1b$)A", doubleByte: sync.OnceValue(func() *doubleByte {
		return newDoubleByte(simplifiedchinese.GBK, nil, isGB2312, nil)
	})}
)

// codePages are the code pages of Windows by number. DICOM has none of them, but senders name them.
var codePages = map[string]*codeSet{
	"1250": codePage(charmap.Windows1250),
	"1251": codePage(charmap.Windows1251),
	"1252": codePage(charmap.Windows1252),
	"1253": codePage(charmap.Windows1253),
	"1254": codePage(charmap.Windows1254),
	"1255": codePage(charmap.Windows1255),
	"1256": codePage(charmap.Windows1256),
	"1257": codePage(charmap.Windows1257),
	"1258": codePage(charmap.Windows1258),
}

// codePage returns the set of the characters that m has from 80 to FF. x/text decodes codes without
// a character as C1 controls.
func codePage(m *charmap.Charmap) *codeSet {
	return &codeSet{isCodePage: true, singleByte: &singleByte{
		decode: func(code byte) rune {
			if r := m.DecodeByte(code | 0x80); r >= 0xa0 {
				return r
			}
			return utf8.RuneError
		},
		encode: func(r rune) (byte, bool) {
			b, ok := m.EncodeRune(r)
			return b & 0x7f, ok && b >= 0x80
		},
	}}
}

// rightHalf returns the set of the characters that m has from A0 to FF.
func rightHalf(g1 string, m *charmap.Charmap) *codeSet {
	return &codeSet{escapeG1: g1, singleByte: &singleByte{
		decode: func(code byte) rune { return m.DecodeByte(code | 0x80) },
		encode: func(r rune) (byte, bool) {
			b, ok := m.EncodeRune(r)
			return b & 0x7f, ok && b >= 0xa0
		},
	}}
}

func decodeASCII(code byte) rune { return rune(code) }

func encodeASCII(r rune) (byte, bool) { return byte(r), r < 0x80 }

func decodeRomaji(code byte) rune {
	switch code {
	case '\\':
		return '¥'
	case '~':
		return '‾'
	}
	return rune(code)
}

func encodeRomaji(r rune) (byte, bool) {
	switch r {
	case '¥':
		return '\\', true
	case '‾':
		return '~', true
	case '\\', '~':
		return 0, false
	}
	return encodeASCII(r)
}

// Unicode has the katakana of JIS X 0201 in the same order from U+FF61 on.
func decodeKatakana(code byte) rune {
	if code < 0x21 || code > 0x5f {
		return '\ufffd'
	}
	return 0xff61 + rune(code-0x21)
}

func encodeKatakana(r rune) (byte, bool) {
	return byte(r - 0xff61 + 0x21), r >= 0xff61 && r <= 0xff9f
}

// doubleByte is a set of 94 rows by 94 cells.
type doubleByte struct {
	runes [94 * 94]rune // 0 if the code has no character
	codes map[rune]uint16
}

// newDoubleByte builds the table from an EUC encoding, whose row and cell numbers are those of the
// set. Cells that the standard's set does not have are vendors' extensions: they are decoded, but
// not encoded. differences maps the characters that the encoding decodes differently to those of
// the standard.
func newDoubleByte(euc encoding.Encoding, prefix []byte, isStandard func(row, cell int) bool, differences map[rune]rune) *doubleByte {
	d := &doubleByte{codes: make(map[rune]uint16, 94*94)}
	dec := euc.NewDecoder()
	src, dst := make([]byte, len(prefix)+2), make([]byte, 8)
	copy(src, prefix)
	for i := range d.runes {
		row, cell := i/94, i%94
		src[len(prefix)], src[len(prefix)+1] = 0xa1+byte(row), 0xa1+byte(cell)
		n, _, err := dec.Transform(dst, src, true)
		decoded := []rune(string(dst[:n]))
		if err != nil || len(decoded) != 1 || decoded[0] == '\ufffd' {
			continue
		}
		r, code := decoded[0], uint16(row+0x21)<<8|uint16(cell+0x21)
		if standard, ok := differences[r]; ok {
			d.codes[r] = code // both variants of the character are encoded
			r = standard
		}
		d.runes[i] = r
		if _, taken := d.codes[r]; !taken && isStandard(row+1, cell+1) {
			d.codes[r] = code
		}
	}
	return d
}

// decode returns U+FFFD if the code has no character.
func (d *doubleByte) decode(a, b byte) rune {
	row, cell := int(a)-0x21, int(b)-0x21
	if row < 0 || row >= 94 || cell < 0 || cell >= 94 || d.runes[row*94+cell] == 0 {
		return '\ufffd'
	}
	return d.runes[row*94+cell]
}

func anyCell(int, int) bool { return true }

// isJISX0208 excludes rows 13 and 89 to 92, which hold extensions of NEC and IBM.
func isJISX0208(row, _ int) bool { return row <= 8 || row >= 16 && row <= 84 }

// isGB2312 excludes the characters that GBK adds between those of GB 2312.
func isGB2312(row, cell int) bool {
	switch row {
	case 2:
		return cell > 10 && cell != 67
	case 6:
		return cell < 64
	case 8:
		return cell != 27 && (cell < 29 || cell > 32)
	}
	return true
}

// jisX0208Differences maps characters that x/text decodes as Microsoft does to those of the
// standard.
var jisX0208Differences = map[rune]rune{
	'\uff5e': '\u301c', // wave dash
	'\u2225': '\u2016', // double vertical line
	'\uff0d': '\u2212', // minus sign
	'\uffe0': '\u00a2', // cent sign
	'\uffe1': '\u00a3', // pound sign
	'\uffe2': '\u00ac', // not sign
}
