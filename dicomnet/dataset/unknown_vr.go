package dataset

// headerForm is a form that the header of an element can have in a data set in explicit VR.
type headerForm uint8

const (
	longForm     headerForm = iota // VR, two reserved bytes and a 32-bit length
	shortForm                      // VR and a 16-bit length
	implicitForm                   // a 32-bit length and no VR
)

// The forms in which a header whose VR the standard does not define is read, most likely first. The
// VRs of later editions consist of two capital letters and have the long form (PS3.5 section
// 7.1.2). Other bytes are more often the low half of the length of an element in implicit VR than a
// VR: as a length, blanks and letters mean a value of more than 8 kB, which rarely fits.
var (
	formsOfNewVR = [...]headerForm{longForm, shortForm, implicitForm}
	formsOfNoVR  = [...]headerForm{implicitForm, shortForm, longForm}
)

// readAs sets e to the header at the start of b, the rest of the item or data set, read in form f.
// It returns false if the header is truncated or the value does not fit.
func (e *entry) readAs(f headerForm, b []byte, l layout) bool {
	e.vr, e.itemLayout, e.flags = vr(b[4])<<8|vr(b[5]), l, 0
	size := 8
	switch f {
	case longForm:
		if size = 12; len(b) < size || l.uint16(b[6:]) != 0 {
			return false
		}
		e.len = l.uint32(b[8:])
	case shortForm:
		e.len = uint32(l.uint16(b[6:]))
	case implicitForm:
		e.vr, e.itemLayout, e.flags = 0, implicitLE, flagImplicitVR
		e.len = implicitLE.uint32(b[4:])
	}
	e.off += uint32(size - 8)
	return fits(e.len, len(b)-size)
}

// unknownVR reads the header at pos, whose VR the standard does not define, in the form whose
// length is followed best by other elements. It returns how many elements of a defined VR follow,
// as [walker.followers] counts them, and false if no form fits.
func (w *walker) unknownVR(e *entry, pos, end int, l layout) (followers int, ok bool) {
	b := w.buf[pos:end]
	forms := &formsOfNoVR
	if v := vr(b[4])<<8 | vr(b[5]); v.letters() {
		forms = &formsOfNewVR
	}
	best := 0
	for _, f := range forms {
		read := entry{tag: e.tag, off: uint32(pos + 8)}
		if !read.readAs(f, b, l) {
			continue
		}
		if f == implicitForm && w.hasExplicitItems(&read, end, l) {
			read.itemLayout = l
		}
		n, score := w.evidence(&read, end, l)
		if !ok || score > best {
			*e, followers, best, ok = read, n, score, true
		}
	}
	return followers, ok
}

// evidence returns how many elements of a defined VR follow e, and a score that is higher the more
// likely the length of e is right.
func (w *walker) evidence(e *entry, end int, l layout) (followers, score int) {
	if e.len == undefinedLength {
		if w.startsWithItem(e, end) {
			return 0, maxScore
		}
		return 0, 0
	}
	if e.len%2 != 0 {
		score-- // not allowed, so not likely
	}
	followers, next := w.followers(int(e.off)+int(e.len), end, l)
	switch {
	case next < 0:
		return followers, score + maxScore
	case next >= w.paddingStart:
		return followers, score + maxWeakScore + followers + 1
	case followers > 0:
		return followers, score + maxWeakScore + followers
	case end-next < minHeaderSize:
		return 0, score
	}
	// Another element without a defined VR may follow. A tag of the dictionary, in order, or the
	// next one in the same group is some evidence.
	t := l.tag(w.buf[next:])
	switch known := t&0xffff != 0 && dictionaryVR(tagOf(t)) != vrUN; {
	case t > e.tag && (known || t>>16 == e.tag>>16):
		return 0, score + maxWeakScore
	case known:
		return 0, score + 1
	}
	return 0, score
}

const (
	// maxFollowers bounds the work for an element whose VR is unknown. Random bytes hardly contain
	// one header with a defined VR and a length that fits, and never four in a row.
	maxFollowers = 4
	maxWeakScore = 2 // of a length that no element of a defined VR follows
	maxScore     = maxWeakScore + maxFollowers
)

// startsWithItem reports whether the value of e begins with an item or a delimiter.
func (w *walker) startsWithItem(e *entry, end int) bool {
	return end-int(e.off) >= minHeaderSize && e.itemLayout.tag(w.buf[e.off:])>>16 == tagItem>>16
}

// hasExplicitItems reports whether the value of e, an element in implicit VR, begins with an item
// whose first element is in explicit VR.
func (w *walker) hasExplicitItems(e *entry, end int, l layout) bool {
	if !w.startsWithItem(e, end) {
		return false
	}
	followers, _ := w.followers(int(e.off)+minHeaderSize, end, l)
	return followers > 0
}

// followers counts the elements in explicit VR from pos on whose VR the standard defines and whose
// length fits, up to maxFollowers. next is where it stopped, -1 if it reached the maximum or the
// end of the item or data set.
func (w *walker) followers(pos, end int, l layout) (n, next int) {
	for ; n < maxFollowers; n++ {
		if pos == end {
			return n, -1
		}
		if end-pos < minHeaderSize || pos >= w.paddingStart {
			return n, pos
		}
		b := w.buf[pos:end]
		switch t := l.tag(b); {
		case t == tagItemDelimitation || t == tagSequenceDelimitation:
			return n, -1
		case t>>16 == tagItem>>16:
			return n, pos
		}
		f := shortForm
		switch t := (vr(b[4])<<8 | vr(b[5])).traits(); {
		case t == nil:
			return n, pos
		case t.longForm:
			f = longForm
		}
		e := entry{off: uint32(pos + 8)}
		if !e.readAs(f, b, l) {
			return n, pos
		}
		if e.len == undefinedLength {
			return n + 1, -1
		}
		pos = int(e.off) + int(e.len)
	}
	return n, -1
}
