package dataset

// valueCache holds the last value of an element in each of 64 slots, and the last character set. The
// data sets of one answer repeat many values, above all those that identify the patient and the
// institution. A repeated value need not be decoded again.
type valueCache struct {
	values       [64]cachedValue
	characterSet cachedCharacterSet
}

// cachedCharacterSet is a value of Specific Character Set and its meaning, nil if there was none yet.
type cachedCharacterSet struct {
	raw string
	cs  *characterSet
}

// cachedValue is the first value of an element, and the bytes that it was decoded from.
type cachedValue struct {
	tag   uint32
	vr    vr
	warn  Warnings
	cs    *characterSet // nil if the bytes decode alike in every character set
	raw   string
	value string

	backslash bool // raw has one, so that value may be the first of several
}

// reading says which part of an element is read.
type reading bool

const (
	firstOfSeveral reading = false
	wholeText      reading = true
)

// maxCachedValue is longer than values that typically repeat. It limits the memory that a peer can
// occupy.
const maxCachedValue = 1 << 10

// cacheSlot returns the slot for the tag of e.
func (s *Set) cacheSlot(e *entry) *cachedValue { return &s.cache.values[hashTag(e.tag)>>26] }

// cachedString returns the cached value of e if the element had the same bytes the last time.
func (s *Set) cachedString(e *entry, raw []byte, r reading) (string, bool) {
	if s.cache == nil {
		return "", false
	}
	cached := s.cacheSlot(e)
	if cached.tag != e.tag || cached.vr != e.vr || cached.raw != string(raw) || cached.cs != nil && cached.cs != s.characterSet() ||
		r == wholeText && cached.backslash {
		return "", false
	}
	s.addWarning(cached.warn)
	return cached.value, true
}

// cacheString caches v as the value of e. text must be raw as a string if v.cs is nil.
func (s *Set) cacheString(e *entry, raw []byte, text string, v cachedValue) {
	if s.cache == nil || len(raw) > maxCachedValue {
		return
	}
	v.tag, v.vr, v.raw = e.tag, e.vr, text
	if v.cs != nil {
		v.raw = string(raw)
	}
	*s.cacheSlot(e) = v
}

// copyString returns raw as a string. The strings of a Parser share memory, because they are short,
// numerous and used for the same time.
func (s *Set) copyString(raw []byte) string {
	if s.slab == nil || len(raw) > maxCachedValue {
		return string(raw)
	}
	if s.slab.Cap()-s.slab.Len() < len(raw) {
		size := min(max(2*s.slab.Cap(), minSlab), maxSlab)
		s.slab.Reset()
		s.slab.Grow(max(size, len(raw)))
	}
	start := s.slab.Len()
	s.slab.Write(raw)
	return s.slab.String()[start:]
}

// The bounds of the size of one slab, in bytes.
const (
	minSlab = 512
	maxSlab = 8 << 10 // also bounds the memory that a single string keeps alive
)
