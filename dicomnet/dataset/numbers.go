package dataset

import (
	"math"
	"strconv"
	"strings"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// Uint16 returns the first value of a US element. It accepts a value of another integer VR, or of
// IS, if it fits.
func (s *Set) Uint16(t tag.Tag) (uint16, bool) {
	n, ok := s.Int(t)
	if !ok || n < 0 || n > math.MaxUint16 {
		return 0, false
	}
	return uint16(n), true
}

// Int returns the first value of a binary integer or of a number in text (IS, DS). "1.0" gives 1.
// It returns false if the element is absent or empty, and, with [ValueMalformed], if the value is
// not an integer.
func (s *Set) Int(t tag.Tag) (int64, bool) {
	e := s.find(tagNumber(t))
	if e == nil || e.len == 0 {
		return 0, false
	}
	v := s.elementVR(e)
	tr := v.traits()
	switch {
	case tr.class == classText:
		return s.parseInt(s.String(t))
	case tr.class == classUnknown && e.len == 2:
		return s.integer(e, vrUS.traits(), 0)
	}
	return s.integer(e, tr, 0)
}

func (s *Set) parseInt(text string) (int64, bool) {
	if text == "" {
		return 0, false
	}
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || strings.Trim(fraction, "0") != "" {
		s.addWarning(ValueMalformed)
		return 0, false
	}
	return n, true
}

// integer returns value i of a binary integer. It returns false if there is none, with a warning if
// the value is truncated.
func (s *Set) integer(e *entry, t *traits, i int) (int64, bool) {
	if t.class != classSigned && t.class != classUnsigned {
		return 0, false
	}
	size := int(t.size)
	b := s.value(e)
	if len(b) <= i*size {
		return 0, false
	}
	if b = b[i*size:]; len(b) < size {
		s.addWarning(ValueMalformed)
		return 0, false
	}
	n := s.valueLayout(e).unsigned(b[:size])
	if t.class == classSigned {
		shift := 64 - 8*size
		return int64(n<<shift) >> shift, true
	}
	return int64(n), n <= math.MaxInt64
}
