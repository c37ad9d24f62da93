package match

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// pattern is text with the wildcards of PS3.4 section C.2.2.2.4: "*" stands for any number of characters, "?" for one. It is a
// nondeterministic automaton whose states are the bits of a few words. State i means that the first i characters of the pattern are
// found. So each character of a text costs the same, whatever the pattern is: nothing is ever tried again.
type pattern struct {
	length int // in characters, without "*"
	words  int
	// ascii and others give the class of a character: 0 for one that the pattern does not contain. masks has, for each class, the
	// states that the character leaves for the next one, and loops the states that any character may stay in, because of a "*".
	ascii  [utf8.RuneSelf]uint16
	others map[rune]uint16
	masks  []uint64
	loops  []uint64
}

const (
	wordBits = 64
	// maxPattern is the greatest length of a pattern in characters, maxWords the words of its states, of which it has one more.
	maxPattern = 1024
	maxWords   = maxPattern/wordBits + 1
)

// newPattern compiles text, which has at most maxPattern characters without "*". caseless makes upper and lower case of ASCII
// letters equal; other characters must be in the form that match is given.
func newPattern(text string, caseless bool) *pattern {
	p := &pattern{length: utf8.RuneCountInString(text) - strings.Count(text, "*")}
	p.words = p.length/wordBits + 1
	p.loops = make([]uint64, p.words)
	p.masks = make([]uint64, p.words) // of class 0
	state := 0
	for _, r := range text {
		switch r {
		case '*':
			p.loops[state/wordBits] |= 1 << (state % wordBits)
			continue
		case '?':
		default:
			class := p.addClass(r, caseless)
			p.masks[int(class)*p.words+state/wordBits] |= 1 << (state % wordBits)
		}
		state++
	}
	state = 0
	for _, r := range text {
		switch r {
		case '*':
			continue
		case '?':
			for i := state / wordBits; i < len(p.masks); i += p.words {
				p.masks[i] |= 1 << (state % wordBits)
			}
		}
		state++
	}
	return p
}

// addClass returns the class of r, a new one if r has none.
func (p *pattern) addClass(r rune, caseless bool) uint16 {
	if class := p.class(r); class != 0 {
		return class
	}
	class := uint16(len(p.masks) / p.words)
	p.masks = append(p.masks, make([]uint64, p.words)...)
	if r >= utf8.RuneSelf {
		if p.others == nil {
			p.others = map[rune]uint16{}
		}
		p.others[r] = class
		return class
	}
	p.ascii[r] = class
	if caseless {
		p.ascii[unicode.ToUpper(r)], p.ascii[unicode.ToLower(r)] = class, class
	}
	return class
}

func (p *pattern) class(r rune) uint16 {
	if r < utf8.RuneSelf {
		return p.ascii[r]
	}
	return p.others[r]
}

// match reports whether the pattern is that of the whole text.
func (p *pattern) match(text []byte) bool {
	if p.words > 1 {
		return p.matchLong(text)
	}
	state, last := uint64(1), uint64(1)<<p.length
	for len(text) > 0 {
		var class uint16
		if c := text[0]; c < utf8.RuneSelf {
			class, text = p.ascii[c], text[1:]
		} else {
			r, size := utf8.DecodeRune(text)
			class, text = p.others[r], text[size:]
		}
		state = state&p.masks[class]<<1 | state&p.loops[0]
		if state == 0 {
			return false
		}
	}
	return state&last != 0
}

// matchLong is match for a pattern with more states than fit one word.
func (p *pattern) matchLong(text []byte) bool {
	var few [maxWords]uint64
	states := few[:]
	if p.words > len(states) { // Unicode NFC has made more characters of those that were checked
		states = make([]uint64, p.words)
	}
	states[0] = 1
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		mask := p.masks[int(p.class(r))*p.words:]
		carry, some := uint64(0), uint64(0)
		for i := range p.words {
			moved := states[i] & mask[i]
			states[i] = moved<<1 | carry | states[i]&p.loops[i]
			carry = moved >> (wordBits - 1)
			some |= states[i]
		}
		if some == 0 {
			return false
		}
	}
	return states[p.length/wordBits]>>(p.length%wordBits)&1 != 0
}

// fold returns text without accents and without letter case, in Unicode NFC. It leaves the case of ASCII letters to the pattern, and
// returns ASCII text as it is.
func fold(text []byte) []byte {
	if isASCII(text) {
		return text
	}
	if folded, ok := foldLatin(text); ok {
		return folded
	}
	return norm.NFC.Bytes(appendBase(nil, norm.NFD.Bytes(text)))
}

// appendBase appends decomposed text without accents and in lower case.
func appendBase(dst, decomposed []byte) []byte {
	for len(decomposed) > 0 {
		r, size := utf8.DecodeRune(decomposed)
		decomposed = decomposed[size:]
		if !isAccent(r) {
			dst = utf8.AppendRune(dst, unicode.ToLower(unicode.ToUpper(r)))
		}
	}
	return dst
}

// foldLatin is fold for text of Latin letters, as most names are. It returns false for any other.
func foldLatin(text []byte) ([]byte, bool) {
	folded, dst := latinFolds(), make([]byte, 0, len(text))
	for len(text) > 0 {
		if c := text[0]; c < utf8.RuneSelf {
			dst, text = append(dst, c), text[1:]
			continue
		}
		r, size := utf8.DecodeRune(text)
		if r >= endOfLatin {
			return nil, false
		}
		dst, text = append(dst, folded[r-utf8.RuneSelf]...), text[size:]
	}
	return dst, true
}

// endOfLatin is the first character after Latin Extended-B. No accent and no character that composes with one is before it.
const endOfLatin = 0x250

// latinFolds returns what fold makes of each character from utf8.RuneSelf to endOfLatin.
var latinFolds = sync.OnceValue(func() *[endOfLatin - utf8.RuneSelf]string {
	var folds [endOfLatin - utf8.RuneSelf]string
	for i := range folds {
		r := utf8.AppendRune(nil, rune(i+utf8.RuneSelf))
		folds[i] = string(norm.NFC.Bytes(appendBase(nil, norm.NFD.Bytes(r))))
	}
	return &folds
})

// isAccent reports whether r is a combining mark that accents a letter of any script. Marks that belong to one script, such as
// those that distinguish Japanese or Thai syllables, are no accents.
func isAccent(r rune) bool {
	return r >= 0x300 && r <= 0x36f || r >= 0x1ab0 && r <= 0x1aff || r >= 0x1dc0 && r <= 0x1dff ||
		r >= 0x20d0 && r <= 0x20ff || r >= 0xfe20 && r <= 0xfe2f
}

// compose returns text in Unicode NFC.
func compose(text []byte) []byte {
	if isASCII(text) {
		return text
	}
	return norm.NFC.Bytes(text)
}

func isASCII(text []byte) bool {
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
