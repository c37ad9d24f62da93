package dataset

import "strings"

// Parser parses the data sets of one answer after the other in the same memory. The zero value is ready. A Parser is for
// one goroutine, and grows with the largest data set, not with their number.
type Parser struct {
	root root
	kept kept
	room strings.Builder
}

// Parse is [Parse], but for the Set: it is valid until the next call, and the strings that it gave stay valid.
func (p *Parser) Parse(b []byte, ts TransferSyntax, lim Limits) (*Set, error) {
	p.root.kept, p.root.room = &p.kept, &p.room
	return p.root.read(b, ts, lim)
}

// Forget lets go of all data sets that were parsed, so that the Parser can serve another answer.
func (p *Parser) Forget() {
	p.kept = kept{}
	p.room.Reset()
	p.root.Set = Set{}
}

// kept are the values that elements had last, one for each of 64 slots. The data sets of one answer say much the same, of
// whom and where above all: what was read already is not read again.
type kept [64]keptValue

// keptValue is the first value of an element, and the bytes of which it was read.
type keptValue struct {
	tag   uint32
	vr    vr
	warn  Warning
	cs    *characterSet // nil where the bytes read the same in any
	raw   string
	value string
}

// maxKeptValue is longer than any value that says the same again, and bounds what a peer can have kept.
const maxKeptValue = 1 << 10

func (s *Set) slot(e *entry) *keptValue { return &s.kept[spread(e.tag)>>26] }

// again is the value of e where the same element had the same bytes last.
func (s *Set) again(e *entry, raw []byte) (string, bool) {
	if s.kept == nil {
		return "", false
	}
	k := s.slot(e)
	if k.tag != e.tag || k.vr != e.vr || k.raw != string(raw) || k.cs != nil && k.cs != s.characterSet() {
		return "", false
	}
	s.warned(k.warn)
	return k.value, true
}

// keep is for the next element like e; text may be what raw is as a string.
func (s *Set) keep(e *entry, raw []byte, text string, v keptValue) {
	if s.kept == nil || len(raw) > maxKeptValue {
		return
	}
	v.tag, v.vr, v.raw = e.tag, e.vr, text
	if v.cs != nil {
		v.raw = string(raw)
	}
	*s.slot(e) = v
}

// plain makes a string of raw as it is. Strings of a Parser share memory: they are short and many, and have one fate.
func (s *Set) plain(raw []byte) string {
	if s.room == nil || len(raw) > maxKeptValue {
		return string(raw)
	}
	if s.room.Cap()-s.room.Len() < len(raw) {
		size := min(max(2*s.room.Cap(), leastRoom), mostRoom)
		s.room.Reset()
		s.room.Grow(max(size, len(raw)))
	}
	start := s.room.Len()
	s.room.Write(raw)
	return s.room.String()[start:]
}

const (
	leastRoom = 512
	mostRoom  = 8 << 10 // which one string alone may keep
)
