package dataset

import (
	"math"
	"strings"
)

// Parse indexes the elements of b. The Set refers to b. An empty b is an empty data set.
//
// Parse accepts group lengths, elements out of order, stray delimiters and zeros after the last
// element without a warning. A malformed value affects only itself. A sequence of defined length
// that is malformed inside loses the items from the fault on. An element in explicit VR whose VR the
// standard does not define (blank, for example) is read with the length that fits and is followed by
// elements, and by the VR of the dictionary, with [ValueMalformed]. If the first element is only
// possible in the little endian transfer syntax other than ts, or if only that one can be parsed,
// Parse uses it and warns with [TransferSyntaxAssumed].
//
// The error is a *FormatError, a *LimitError or a *TransferSyntaxError.
func Parse(b []byte, ts TransferSyntax, lim Limits) (*Set, error) {
	return new(rootSet).parse(b, ts, lim)
}

// rootSet is a data set that is not an item, with storage for the index of a usual identifier.
type rootSet struct {
	Set
	ownWarnings  Warnings
	entryStorage [24]entry
}

// parse chooses the layout and parses b in the memory of r.
func (r *rootSet) parse(b []byte, ts TransferSyntax, lim Limits) (*Set, error) {
	l, ok := layoutOf(ts)
	if !ok {
		return nil, &TransferSyntaxError{TransferSyntax: ts}
	}
	if int64(len(b)) >= math.MaxUint32 {
		return nil, &LimitError{What: "bytes", Limit: math.MaxUint32}
	}
	other := l.other(b)
	if other != l && !l.plausible(b) && !beginsWithUnknownVRs(b, l) {
		return r.parseAs(b, other, lim, TransferSyntaxAssumed)
	}
	s, err := r.parseAs(b, l, lim, 0)
	if _, ok := err.(*FormatError); ok && other != l { //nolint:errorlint // made here, never wrapped
		if s, err := r.parseAs(b, other, lim, TransferSyntaxAssumed); err == nil {
			return s, nil
		}
	}
	return s, err
}

// beginsWithUnknownVRs reports whether b is in layout l, explicit VR, although its first elements
// have no VR that the standard defines.
func beginsWithUnknownVRs(b []byte, l layout) bool {
	if l == implicitLE {
		return false
	}
	w := walker{buf: b, paddingStart: len(b)}
	for pos, n := 0, 0; n < maxUnknownVRs && len(b)-pos >= minHeaderSize; n++ {
		e := entry{tag: l.tag(b[pos:])}
		followers, ok := w.unknownVR(&e, pos, len(b), l)
		if followers > 0 || !ok || e.len == undefinedLength {
			return followers > 0
		}
		pos = int(e.off) + int(e.len)
	}
	return false
}

// maxUnknownVRs is how many elements beginsWithUnknownVRs reads.
const maxUnknownVRs = 8

// parseAs parses b in layout l. It reuses the entries of r and grows them only if they do not
// suffice.
func (r *rootSet) parseAs(b []byte, l layout, lim Limits, warnings Warnings) (*Set, error) {
	entries := r.entries[:0]
	if entries == nil {
		entries = r.entryStorage[:0]
	}
	r.ownWarnings = warnings
	r.Set = Set{buf: b, layout: l, lim: lim.withDefaults(), warnings: &r.ownWarnings, entries: entries, cache: r.cache, slab: r.slab}
	w := r.walker()
	w.paddingStart = len(b)
	for w.paddingStart > 0 && b[w.paddingStart-1] == 0 {
		w.paddingStart--
	}
	if _, err := w.elements(&r.Set, 0, len(b), l, 0, false); err != nil {
		return nil, err
	}
	return &r.Set, nil
}

// Parser parses the data sets of an answer, one after the other, in the same memory. The zero value
// is ready to use. A Parser may be used by one goroutine at a time. Its memory grows with the
// largest data set, not with the number of data sets.
type Parser struct {
	root  rootSet
	cache valueCache
	slab  strings.Builder
}

// Parse is like the function [Parse], but the Set is valid only until the next call. Strings that
// the Set returned stay valid.
func (p *Parser) Parse(b []byte, ts TransferSyntax, lim Limits) (*Set, error) {
	p.root.cache, p.root.slab = &p.cache, &p.slab
	return p.root.parse(b, ts, lim)
}

// Forget releases all data sets that were parsed, so that the Parser can be used for another
// answer.
func (p *Parser) Forget() {
	p.cache = valueCache{}
	p.slab.Reset()
	p.root.Set = Set{}
}
