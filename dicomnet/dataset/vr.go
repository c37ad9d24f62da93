package dataset

import (
	"slices"
	"sync/atomic"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// vr is a value representation: its two letters as encoded.
type vr uint16

const (
	vrCS = vr('C')<<8 | 'S'
	vrLO = vr('L')<<8 | 'O'
	vrOB = vr('O')<<8 | 'B'
	vrOW = vr('O')<<8 | 'W'
	vrPN = vr('P')<<8 | 'N'
	vrSQ = vr('S')<<8 | 'Q'
	vrSS = vr('S')<<8 | 'S'
	vrUI = vr('U')<<8 | 'I'
	vrUN = vr('U')<<8 | 'N'
	vrUS = vr('U')<<8 | 'S'
	vrSV = vr('S')<<8 | 'V'
	vrUV = vr('U')<<8 | 'V'
)

// vrOf returns the VR with the given name, UN if the name does not have two letters.
func vrOf(s string) vr {
	if len(s) != 2 {
		return vrUN
	}
	return vr(s[0])<<8 | vr(s[1])
}

func (v vr) String() string { return string([]byte{byte(v >> 8), byte(v)}) }

// letters reports whether v can be a VR, known or not.
func (v vr) letters() bool {
	hi, lo := v>>8, v&0xff
	return hi >= 'A' && hi <= 'Z' && lo >= 'A' && lo <= 'Z'
}

type class uint8

const (
	classUnknown  class = iota
	classText           // character strings
	classSigned         // signed binary integers
	classUnsigned       // unsigned binary integers
	classTag            // AT
	classFloat          // FL, FD
	classBytes          // bytes or words
	classSequence       // SQ
)

// traits are the properties of a VR in PS3.5 table 6.2-1 that this package needs.
type traits struct {
	name             string
	class            class
	longForm         bool  // the explicit VR header has a length of 4 bytes (PS3.5 section 7.1.2)
	size             uint8 // of one binary value, in bytes
	usesCharacterSet bool  // Specific Character Set applies (PS3.5 section 6.1.2.3)
	singleValued     bool  // a backslash is part of the text
	multiline        bool  // CR, LF, FF and TAB are part of the text
	leadingSpaces    bool  // leading spaces are significant
	// maxLength is the greatest length of one value in characters: of a component group in PN, of a
	// range in DA, TM and DT (PS3.4 section C.2.2.2.5). 0 is no limit.
	maxLength int
	forbidden byteKind // the kind of the bytes that the VR does not allow; 0 allows all
}

const digits = "0123456789"

// vrTable allows a period in IS, because "1.0" is a common way to write a count.
var vrTable = map[string]traits{
	"AE": {class: classText, maxLength: 16},
	"AS": {class: classText, maxLength: 4, forbidden: allBytesExcept(digits + "DWMY")},
	"AT": {class: classTag, size: 4},
	"CS": {class: classText, maxLength: 16},
	"DA": {class: classText, maxLength: 18, forbidden: allBytesExcept(digits + ".-")},
	"DS": {class: classText, maxLength: 16, forbidden: allBytesExcept(digits + "+-.eE")},
	"DT": {class: classText, maxLength: 54, forbidden: allBytesExcept(digits + "+-.")},
	"FD": {class: classFloat, size: 8},
	"FL": {class: classFloat, size: 4},
	"IS": {class: classText, maxLength: 12, forbidden: allBytesExcept(digits + "+-.")},
	"LO": {class: classText, usesCharacterSet: true, maxLength: 64},
	"LT": {class: classText, usesCharacterSet: true, maxLength: 10240, singleValued: true, multiline: true, leadingSpaces: true},
	"OB": {class: classBytes, longForm: true, size: 1},
	"OD": {class: classBytes, longForm: true, size: 8},
	"OF": {class: classBytes, longForm: true, size: 4},
	"OL": {class: classBytes, longForm: true, size: 4},
	"OV": {class: classBytes, longForm: true, size: 8},
	"OW": {class: classBytes, longForm: true, size: 2},
	"PN": {class: classText, usesCharacterSet: true, maxLength: 64},
	"SH": {class: classText, usesCharacterSet: true, maxLength: 16},
	"SL": {class: classSigned, size: 4},
	"SQ": {class: classSequence, longForm: true},
	"SS": {class: classSigned, size: 2},
	"ST": {class: classText, usesCharacterSet: true, maxLength: 1024, singleValued: true, multiline: true, leadingSpaces: true},
	"SV": {class: classSigned, longForm: true, size: 8},
	"TM": {class: classText, maxLength: 28, forbidden: allBytesExcept(digits + ".:-")},
	"UC": {class: classText, longForm: true, usesCharacterSet: true, leadingSpaces: true},
	"UI": {class: classText, maxLength: 64, forbidden: allBytesExcept(digits + ".")},
	"UL": {class: classUnsigned, size: 4},
	"UN": {class: classUnknown, longForm: true, size: 1},
	"UR": {class: classText, longForm: true, singleValued: true, leadingSpaces: true},
	"US": {class: classUnsigned, size: 2},
	"UT": {class: classText, longForm: true, usesCharacterSet: true, singleValued: true, multiline: true, leadingSpaces: true},
	"UV": {class: classUnsigned, longForm: true, size: 8},
}

// vrIndex is vrTable as an array over all pairs of letters, because the reader looks up the VR in
// every element header.
var vrIndex = func() (index [26 * 26]*traits) {
	for name, t := range vrTable {
		t.name = name
		index[int(name[0]-'A')*26+int(name[1]-'A')] = &t
	}
	return index
}()

// traits returns nil if the standard does not define the VR.
func (v vr) traits() *traits {
	if !v.letters() {
		return nil
	}
	return vrIndex[int(v>>8-'A')*26+int(v&0xff-'A')]
}

// VR is a value representation of PS3.5 table 6.2-1. VRs are comparable; the zero VR is none.
type VR struct{ traits *traits }

// LookupVR returns the VR with the given two letters, false if the standard does not define it.
func LookupVR(first, second byte) (VR, bool) {
	t := (vr(first)<<8 | vr(second)).traits()
	return VR{t}, t != nil
}

// ImplicitVR returns the VR of an element in implicit VR (PS3.6; PS3.5 annex A.1): UN if the dictionary does not have the tag, and US
// or SS as signed, the meaning of Pixel Representation (0028,0103), decides. A look-up table's descriptor is always US: its first and
// last value are unsigned whatever the pixels are.
func ImplicitVR(t Tag, signed bool) VR {
	if g := t.Group & 0xff00; (g == 0x5000 || g == 0x6000) && t.Group&1 == 0 {
		t.Group = g // a repeating group (PS3.5 section 7.6)
	}
	v := dictionaryEntry(t)
	if v&orSS != 0 {
		v &^= orSS
		if signed && !describesLUT(t) {
			v = vrSS
		}
	}
	return VR{v.traits()}
}

// describesLUT reports whether t is the descriptor of a look-up table.
func describesLUT(t tag.Tag) bool {
	return t.Group == 0x0028 && (t.Element == 0x3002 || t.Element >= 0x1100 && t.Element <= 0x1113)
}

// Name returns the two letters, such as PN.
func (v VR) Name() string { return v.traits.name }

// Kind returns how a value of the VR is encoded.
func (v VR) Kind() Kind { return kinds[v.traits.class] }

// LongForm reports whether the header in explicit VR has a length of 4 bytes (PS3.5 section 7.1.2).
func (v VR) LongForm() bool { return v.traits.longForm }

// WordSize returns the number of bytes whose order depends on the transfer syntax (PS3.5 section 7.3), 1 for text and bytes.
func (v VR) WordSize() int {
	if v.traits.class == classTag {
		return 2 // group and element
	}
	return max(int(v.traits.size), 1)
}

// dictionaryVR returns the VR that the data dictionary gives (PS3.6), UN if the tag is unknown. Of several VRs it returns OW, which
// implicit VR implies (PS3.5 annex A.1), else the first.
func dictionaryVR(t tag.Tag) vr { return dictionaryEntry(t) &^ orSS }

// orSS marks a VR that is US or SS, as Pixel Representation says. No letter has this bit.
const orSS vr = 1 << 15

// dictionaryEntry is dictionaryVR with the mark orSS.
func dictionaryEntry(t tag.Tag) vr {
	switch {
	case t == tag.PixelData || t.Group&0xff01 == 0x6000 && t.Element == 0x3000:
		return vrOW // always OW in implicit VR (PS3.5 annex A.1)
	case t.Group&1 == 1 && t.Element >= 0x10 && t.Element <= 0xff:
		return vrLO // private creator (PS3.5 section 7.8.1)
	case t.Group&1 == 1:
		return vrUN
	}
	// A lookup in the library's dictionary costs more than everything else that is done for a
	// value, and peers send the same tags again and again. So each of 1024 slots caches the last
	// result, tag and VR in one word.
	slot := &recentVRs[hashTag(tagNumber(t))>>22]
	key := uint64(tagNumber(t)) << 16
	if cached := slot.Load(); cached&^0xffff == key && cached != 0 {
		return vr(cached)
	}
	v := vrUN
	if info, err := tag.Find(t); err == nil && len(info.VRs) > 0 {
		if v = vrOf(info.VRs[0]); v.traits() == nil { // items and delimiters have no VR
			v = vrUN
		}
		switch {
		case slices.Contains(info.VRs, "OW"):
			v = vrOW
		case v == vrUS && slices.Contains(info.VRs, "SS"):
			v |= orSS
		}
	}
	slot.Store(key | uint64(v))
	return v
}

// recentVRs caches the results of dictionaryVR.
var recentVRs [1024]atomic.Uint64

// hashTag hashes a tag by multiplication so that its upper six bits differ for the keys of a query
// (see TestKeysOfAQueryHaveDifferentCacheSlots).
func hashTag(t uint32) uint32 { return t * 0x2265b1f5 }
