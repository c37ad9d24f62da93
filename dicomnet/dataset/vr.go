package dataset

import (
	"sync/atomic"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// vr is a value representation as its two letters stand on the wire.
type vr uint16

const (
	vrLO = vr('L')<<8 | 'O'
	vrOB = vr('O')<<8 | 'B'
	vrOW = vr('O')<<8 | 'W'
	vrPN = vr('P')<<8 | 'N'
	vrSQ = vr('S')<<8 | 'Q'
	vrUI = vr('U')<<8 | 'I'
	vrUN = vr('U')<<8 | 'N'
	vrUS = vr('U')<<8 | 'S'
	vrSV = vr('S')<<8 | 'V'
	vrUV = vr('U')<<8 | 'V'
)

func vrOf(s string) vr {
	if len(s) != 2 {
		return vrUN
	}
	return vr(s[0])<<8 | vr(s[1])
}

func (v vr) String() string { return string([]byte{byte(v >> 8), byte(v)}) }

// letters reports whether v can be a VR at all, known or not.
func (v vr) letters() bool {
	hi, lo := v>>8, v&0xff
	return hi >= 'A' && hi <= 'Z' && lo >= 'A' && lo <= 'Z'
}

type class uint8

const (
	classUnknown  class = iota
	classText           // character strings
	classSigned         // binary integers
	classUnsigned       //
	classTag            // AT
	classFloat          // FL, FD
	classBytes          // streams of bytes or words
	classSequence       // SQ
)

// traits are what PS3.5 table 6.2-1 says of a VR, as far as it matters here.
type traits struct {
	class   class
	long    bool  // explicit VR header with a length of 4 bytes (PS3.5 section 7.1.2)
	size    uint8 // bytes of one binary value
	charset bool  // subject to Specific Character Set (PS3.5 section 6.1.2.3)
	single  bool  // backslash is a character of the text
	lines   bool  // CR, LF, FF and TAB are characters of the text
	leading bool  // leading spaces are significant
	max     int   // characters of one value; of a component group in PN; 0 is no limit. Date and time: of a range (PS3.4 C.2.2.2.5)
	outside kind  // the bytes that the VR does not have; none is no limit
}

const digits = "0123456789"

// IS has a period here: "1.0" is a common way to write a count.
var vrTable = map[string]traits{
	"AE": {class: classText, max: 16},
	"AS": {class: classText, max: 4, outside: beyond(digits + "DWMY")},
	"AT": {class: classTag, size: 4},
	"CS": {class: classText, max: 16},
	"DA": {class: classText, max: 18, outside: beyond(digits + ".-")},
	"DS": {class: classText, max: 16, outside: beyond(digits + "+-.eE")},
	"DT": {class: classText, max: 54, outside: beyond(digits + "+-.")},
	"FD": {class: classFloat, size: 8},
	"FL": {class: classFloat, size: 4},
	"IS": {class: classText, max: 12, outside: beyond(digits + "+-.")},
	"LO": {class: classText, charset: true, max: 64},
	"LT": {class: classText, charset: true, max: 10240, single: true, lines: true, leading: true},
	"OB": {class: classBytes, long: true, size: 1},
	"OD": {class: classBytes, long: true, size: 8},
	"OF": {class: classBytes, long: true, size: 4},
	"OL": {class: classBytes, long: true, size: 4},
	"OV": {class: classBytes, long: true, size: 8},
	"OW": {class: classBytes, long: true, size: 2},
	"PN": {class: classText, charset: true, max: 64},
	"SH": {class: classText, charset: true, max: 16},
	"SL": {class: classSigned, size: 4},
	"SQ": {class: classSequence, long: true},
	"SS": {class: classSigned, size: 2},
	"ST": {class: classText, charset: true, max: 1024, single: true, lines: true, leading: true},
	"SV": {class: classSigned, long: true, size: 8},
	"TM": {class: classText, max: 28, outside: beyond(digits + ".:-")},
	"UC": {class: classText, long: true, charset: true, leading: true},
	"UI": {class: classText, max: 64, outside: beyond(digits + ".")},
	"UL": {class: classUnsigned, size: 4},
	"UN": {class: classUnknown, long: true, size: 1},
	"UR": {class: classText, long: true, single: true, leading: true},
	"US": {class: classUnsigned, size: 2},
	"UT": {class: classText, long: true, charset: true, single: true, lines: true, leading: true},
	"UV": {class: classUnsigned, long: true, size: 8},
}

// vrIndex makes of the table an array over all pairs of letters: a header is read for every element of every answer.
var vrIndex = func() (index [26 * 26]*traits) {
	for name, t := range vrTable {
		index[int(name[0]-'A')*26+int(name[1]-'A')] = &t
	}
	return index
}()

// traits is nil where the standard has no such VR.
func (v vr) traits() *traits {
	if !v.letters() {
		return nil
	}
	return vrIndex[int(v>>8-'A')*26+int(v&0xff-'A')]
}

// dictionaryVR is the VR that the data dictionary gives (PS3.6), UN where it knows none.
func dictionaryVR(t tag.Tag) vr {
	switch {
	case t == tag.PixelData || t.Group&0xff01 == 0x6000 && t.Element == 0x3000:
		return vrOW // implicit VR is always OW (PS3.5 annex A.1)
	case t.Group&1 == 1 && t.Element >= 0x10 && t.Element <= 0xff:
		return vrLO // private creator (PS3.5 section 7.8.1)
	case t.Group&1 == 1:
		return vrUN
	}
	// The library's dictionary costs more than all else that is done for a value, and a peer sends the same tags again and
	// again: the last answer for each of 256 slots is kept, tag and VR in one word.
	slot := &recentVRs[spread(number(t))>>24]
	key := uint64(number(t)) << 16
	if kept := slot.Load(); kept&^0xffff == key && kept != 0 {
		return vr(kept)
	}
	v := vrUN
	if info, err := tag.Find(t); err == nil && len(info.VRs) > 0 {
		v = vrOf(info.VRs[0])
	}
	slot.Store(key | uint64(v))
	return v
}

var recentVRs [256]atomic.Uint64

// spread makes a number of a tag whose six upper bits tell the keys of a query apart (multiplicative hashing; a test holds it).
func spread(t uint32) uint32 { return t * 0x2265b1f5 }
