package dataset

import (
	"bytes"
	"strings"

	"github.com/suyashkumar/dicom/pkg/tag"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// characterSet is the meaning of a value of Specific Character Set (0008,0005) (PS3.3 section
// C.12.1.1.2).
type characterSet struct {
	// standalone is an encoding without code extensions, nil if there is none. utf8 is ISO_IR 192.
	standalone encoding.Encoding
	utf8       bool

	// For all others: the sets that are in G0 and G1 at the start of each value (G1 is nil in the
	// default repertoire), and the sets that escape sequences may designate.
	g0, g1     *codeSet
	extensions []*codeSet

	unknown bool // one of the terms is unknown
}

var (
	defaultRepertoire = &characterSet{g0: ascii}
	unknownRepertoire = &characterSet{g0: ascii, unknown: true}
	isoIR192          = &characterSet{utf8: true, g0: ascii}
	gb18030           = &characterSet{standalone: simplifiedchinese.GB18030, g0: ascii}
	gbk               = &characterSet{standalone: simplifiedchinese.GBK, g0: ascii}
	shiftJIS          = &characterSet{standalone: japanese.ShiftJIS, g0: ascii}
)

// terms holds the defined terms of PS3.3 tables C.12-2 to C.12-5, common variants that senders
// write, and Windows code pages. The keys are in upper case and have only letters and digits:
// "ISO_IR 100", "ISO-IR-100" and "ISO IR 100" are one key.
var terms = func() map[string]*characterSet {
	m := map[string]*characterSet{
		"ISOIR192": isoIR192, "ISO2022IR192": isoIR192, "UTF8": isoIR192, "ISO10646": isoIR192,
		"ISO106461": isoIR192, "UNICODE": isoIR192, "IR192": isoIR192,
		"GB18030": gb18030, "ISO2022GB18030": gb18030,
		"GBK": gbk, "ISO2022GBK": gbk, "GB2312": gbk, "CP936": gbk, "EUCCN": gbk,
		"SHIFTJIS": shiftJIS, "SJIS": shiftJIS, "MS932": shiftJIS, "CP932": shiftJIS, "WINDOWS31J": shiftJIS,
	}
	add := func(cs *characterSet, number string, more ...string) {
		for _, prefix := range []string{"ISOIR", "ISO2022IR", "ISO2022", "IR"} {
			m[prefix+number] = cs
		}
		for _, name := range more {
			m[name] = cs
		}
	}
	add(defaultRepertoire, "6", "ASCII", "USASCII", "ISO646", "ISO646US", "ISO646IRV")
	add(&characterSet{g0: romaji, g1: katakana}, "13", "JISX0201", "IR14", "ISOIR14")
	for _, one := range []struct {
		set    *codeSet
		number string
		more   []string
	}{
		{latin1, "100", []string{"ISO88591", "LATIN1", "L1", "ISOLATIN1", "ANSI"}},
		{latin2, "101", []string{"ISO88592", "LATIN2"}},
		{latin3, "109", []string{"ISO88593", "LATIN3"}},
		{latin4, "110", []string{"ISO88594", "LATIN4"}},
		{cyrillic, "144", []string{"ISO88595", "CYRILLIC"}},
		{arabic, "127", []string{"ISO88596", "ARABIC"}},
		{greek, "126", []string{"ISO88597", "GREEK"}},
		{hebrew, "138", []string{"ISO88598", "HEBREW"}},
		{latin5, "148", []string{"ISO88599", "LATIN5"}},
		{latin9, "203", []string{"ISO885915", "LATIN9"}},
		{thai, "166", []string{"ISO885911", "TIS620", "TIS6202533", "THAI"}},
	} {
		add(&characterSet{g0: ascii, g1: one.set}, one.number, one.more...)
	}
	for _, one := range []struct {
		set    *codeSet
		number string
		more   []string
	}{
		{jisX0208, "87", []string{"JISX0208", "ISO2022JP", "JIS"}},
		{jisX0212, "159", []string{"JISX0212"}},
		{ksX1001, "149", []string{"KSX1001", "KSC5601", "KSC56011987", "EUCKR", "ISO2022KR", "CP949"}},
		{gb2312, "58", []string{"ISO2022CN"}},
	} {
		add(&characterSet{g0: ascii, extensions: []*codeSet{one.set}}, one.number, one.more...)
	}
	for number, page := range codePages {
		cs := &characterSet{g0: ascii, g1: page}
		for _, prefix := range []string{"", "WINDOWS", "WINDOWSCP", "WIN", "CP", "MS", "ANSI"} {
			m[prefix+number] = cs
		}
	}
	return m
}()

// lookupTerm returns the character set of one value of Specific Character Set.
func lookupTerm(value []byte) (*characterSet, bool) {
	var key [24]byte
	n := 0
	for _, c := range value {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			if n == len(key) {
				return nil, false
			}
			key[n] = c
			n++
		}
	}
	if n == 0 && len(bytes.Trim(value, " \x00")) == 0 {
		return defaultRepertoire, true
	}
	cs, ok := terms[string(key[:n])]
	return cs, ok
}

// maxTerms is more than the number of sets that can be combined.
const maxTerms = 32

// parseCharacterSet parses the value of Specific Character Set. A single term costs no allocation.
func parseCharacterSet(value []byte) *characterSet {
	first, rest, several := bytes.Cut(value, []byte{'\\'})
	cs, ok := lookupTerm(first)
	if !ok {
		cs = unknownRepertoire
	}
	if !several || !cs.extensible() {
		return cs
	}
	combined := *cs
	combined.extensions = append([]*codeSet{cs.g0}, cs.extensions...)
	if cs.g1 != nil && cs.g1.escapeG1 != "" {
		combined.extensions = append(combined.extensions, cs.g1)
	}
	for n := 1; several && n < maxTerms; n++ {
		first, rest, several = bytes.Cut(rest, []byte{'\\'})
		more, ok := lookupTerm(first)
		switch {
		case !ok:
			combined.unknown = true
		case !more.extensible() && combined.g1 == nil:
			return more // not allowed after another term, but it includes ASCII and is evidently what the sender means
		case more.extensible():
			combined.extensions = append(combined.extensions, more.g0)
			combined.extensions = append(combined.extensions, more.extensions...)
			switch {
			case more.g1 == nil:
			case more.g1.escapeG1 != "":
				combined.extensions = append(combined.extensions, more.g1)
			case combined.g1 == nil:
				combined.g1 = more.g1 // a code page, which no escape sequence designates
			}
		}
	}
	return &combined
}

// extensible reports whether code extensions are allowed.
func (cs *characterSet) extensible() bool { return cs.standalone == nil && !cs.utf8 }

// assumedG1 returns the set to assume for bytes above 7F while no set is designated to G1: that of
// the first code extension that uses G1, nil if there is none.
func (cs *characterSet) assumedG1() *codeSet {
	for _, set := range cs.extensions {
		if set.escapeG1 != "" {
			return set
		}
	}
	return nil
}

// CharacterSet is a value of Specific Character Set (PS3.3 section C.12.1.1.2). The zero value is none.
type CharacterSet struct{ set *characterSet }

// LookupCharacterSet returns the character set for a value of Specific Character Set, such as ISO_IR 100, with several terms
// separated by backslashes. It returns false if a term is unknown, or if there is none.
func LookupCharacterSet(value string) (CharacterSet, bool) {
	value = strings.Trim(value, " \x00")
	cs := parseCharacterSet([]byte(value))
	if value == "" || cs.unknown {
		return CharacterSet{}, false
	}
	return CharacterSet{cs}, true
}

// AssumeCharacterSet makes cs the character set of a data set whose Specific Character Set is absent or empty. It must be called
// before any value is read. The zero value changes nothing.
func (s *Set) AssumeCharacterSet(cs CharacterSet) {
	if cs.set == nil {
		return
	}
	if e := s.find(tagNumber(tag.SpecificCharacterSet)); e == nil || len(bytes.Trim(s.value(e), " \x00")) == 0 {
		s.cs = cs.set
	}
}

// characterSetOf returns the meaning of a value of Specific Character Set. It keeps the last one in the cache, because the data sets of
// one answer mostly have the same.
func (s *Set) characterSetOf(value []byte) *characterSet {
	if s.cache == nil || len(value) > maxCachedValue {
		return parseCharacterSet(value)
	}
	last := &s.cache.characterSet
	if last.cs == nil || last.raw != string(value) {
		last.cs, last.raw = parseCharacterSet(value), string(value)
	}
	return last.cs
}

// characterSet returns the character set of the item, or else of the enclosing item or data set
// (PS3.5 section 7.5.3).
func (s *Set) characterSet() *characterSet {
	if s.cs != nil {
		return s.cs
	}
	s.cs = defaultRepertoire
	if s.parent != nil {
		s.cs = s.parent.characterSet()
	}
	if e := s.find(tagNumber(tag.SpecificCharacterSet)); e != nil {
		value := bytes.Trim(s.value(e), " \x00")
		switch t := e.vr.traits(); {
		case t != nil && t.class != classText && t.class != classUnknown:
			s.cs = unknownRepertoire
		case len(value) > 0:
			s.cs = s.characterSetOf(value)
		}
	}
	if s.cs.unknown {
		s.addWarning(CharacterSetUnknown)
	}
	return s.cs
}
