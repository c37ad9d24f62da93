package match

import (
	"math"
	"strconv"
	"strings"

	"dicom-qr-gateway/dicomnet/dataset"
)

// number is a number of any VR. An integer is exact: it is not compared as a float, in which large ones are equal to their
// neighbours.
type number struct {
	float     float64
	isInteger bool
	negative  bool
	magnitude uint64 // of an integer
}

// parseNumber parses a number in text (IS, DS), or one that a caller writes for a binary VR.
func parseNumber(s string) (number, bool) {
	if s == "" || strings.ContainsAny(s, "xXpPiInN_") { // Go's numbers, but no DICOM's
		return number{}, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return number{}, false
	}
	n := number{float: f}
	whole, fraction, _ := strings.Cut(s, ".")
	sign := strings.HasPrefix(whole, "-")
	if magnitude, err := strconv.ParseUint(strings.TrimLeft(whole, "+-"), 10, 64); err == nil && strings.Trim(fraction, "0") == "" {
		n.isInteger, n.magnitude, n.negative = true, magnitude, sign && magnitude != 0
	}
	return n, true
}

func signedNumber(i int64) number {
	n := number{float: float64(i), isInteger: true, negative: i < 0, magnitude: uint64(i)}
	if n.negative {
		n.magnitude = -n.magnitude
	}
	return n
}

func unsignedNumber(u uint64) number { return number{float: float64(u), isInteger: true, magnitude: u} }

func (n number) equals(other number) bool {
	if n.isInteger && other.isInteger {
		return n.negative == other.negative && n.magnitude == other.magnitude
	}
	return n.float == other.float
}

// appendDecimal appends an integer in decimal.
func (n number) appendDecimal(dst []byte) []byte {
	if n.negative {
		dst = append(dst, '-')
	}
	return strconv.AppendUint(dst, n.magnitude, 10)
}

// integerVRs are the least and the greatest value of each integer VR.
var integerVRs = map[string]struct{ least, greatest number }{
	"IS": {signedNumber(math.MinInt32), signedNumber(math.MaxInt32)},
	"SL": {signedNumber(math.MinInt32), signedNumber(math.MaxInt32)},
	"SS": {signedNumber(math.MinInt16), signedNumber(math.MaxInt16)},
	"SV": {signedNumber(math.MinInt64), signedNumber(math.MaxInt64)},
	"UL": {number{}, unsignedNumber(math.MaxUint32)},
	"US": {number{}, unsignedNumber(math.MaxUint16)},
	"UV": {number{}, unsignedNumber(math.MaxUint64)},
}

// validNumber parses s as a value of a VR of numbers.
func validNumber(s, vr string) (number, bool) {
	n, ok := parseNumber(s)
	if !ok {
		return n, false
	}
	limits, integer := integerVRs[vr]
	switch {
	case vr == "DS":
		return n, len(s) <= 16
	case vr == "FL":
		return n, math.Abs(n.float) <= math.MaxFloat32
	case !integer:
		return n, true
	case !n.isInteger || strings.ContainsAny(s, ".eE"):
		return n, false
	case n.negative:
		return n, limits.least.negative && n.magnitude <= limits.least.magnitude
	}
	return n, n.magnitude <= limits.greatest.magnitude
}

// numberTest matches numbers by value: PS3.4 leaves it open whether 7, 007 and +7 are the same number in text (CP-2305).
type numberTest struct {
	number number
	short  float64 // the number as FL has it
}

func newNumberTest(n number) *numberTest {
	return &numberTest{number: n, short: float64(float32(n.float))}
}

func (t *numberTest) judge(v dataset.Value, _ place) Verdict {
	if v.VR() == "FL" {
		return anyNumber(v, func(n number) bool { return n.float == t.short })
	}
	return anyNumber(v, t.number.equals)
}

// anyNumber judges whether match holds for one value of v.
func anyNumber(v dataset.Value, match func(number) bool) Verdict {
	switch v.Kind() {
	case dataset.KindSigned:
		for i := 0; ; i++ {
			n, ok := v.Signed(i)
			if !ok || match(signedNumber(n)) {
				return verdict(ok)
			}
		}
	case dataset.KindUnsigned:
		for i := 0; ; i++ {
			n, ok := v.Unsigned(i)
			if !ok || match(unsignedNumber(n)) {
				return verdict(ok)
			}
		}
	case dataset.KindFloat:
		for i := 0; ; i++ {
			f, _, ok := v.Float(i)
			if !ok || match(number{float: f}) {
				return verdict(ok)
			}
		}
	}
	for text := range v.Texts() {
		if n, ok := parseNumber(string(trim(text))); ok && match(n) {
			return Matches
		}
	}
	return Differs
}
