package dataset

// Parser parses the data sets of one answer after the other in the same memory. The zero value is ready. A Parser is for
// one goroutine, and grows with the largest data set, not with their number.
type Parser struct {
	root  root
	texts texts
}

// Parse is [Parse], but for the Set: it is valid until the next call, and the strings that it gave stay valid.
func (p *Parser) Parse(b []byte, ts TransferSyntax, lim Limits) (*Set, error) {
	p.root.texts = &p.texts
	return p.root.read(b, ts, lim)
}

// texts are the texts that elements had last. The data sets of one answer say much the same, of whom and where above all,
// and a text that is there already is not made again. Which slot an element has is of no matter to what it reads.
type texts [64]string

// text is raw as a string.
func (s *Set) text(e *entry, raw []byte) string {
	if s.texts == nil {
		return string(raw)
	}
	kept := &s.texts[spread(e.tag)>>26]
	if *kept != string(raw) {
		*kept = string(raw)
	}
	return *kept
}
