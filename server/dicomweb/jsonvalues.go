package dicomweb

import (
	"bytes"
	"encoding/base64"
	"math"
	"strconv"

	"dicom-qr-gateway/dicomnet/dataset"
)

// value writes the value of an attribute; nothing if it is empty.
func (w *JSONWriter) value(v dataset.Value) {
	switch v.Kind() {
	case dataset.KindText:
		w.text(v)
	case dataset.KindSequence:
		w.items(v)
	case dataset.KindBinary:
		w.inlineBinary(v.Words())
	default:
		w.numbers(v)
	}
}

func (w *JSONWriter) items(v dataset.Value) {
	items := v.Items()
	if len(items) == 0 {
		return
	}
	w.beginValues()
	for _, item := range items {
		w.Set(item)
	}
	w.endValues()
}

// text writes the values of a text VR.
func (w *JSONWriter) text(v dataset.Value) {
	raw := v.Unpadded()
	if len(raw) == 0 {
		return
	}
	vr := v.VR()
	// One value of plain characters, as nearly all are, reads the same in every character set.
	if isPlain(raw) && w.plainValue(vr, raw) {
		return
	}
	empty := 0 // values at the beginning; a single one is no value
	begun := false
	for value := range v.Texts() {
		if !begun {
			if isEmpty(vr, value) {
				empty++
				continue
			}
			w.beginTexts(empty)
			begun = true
		}
		w.separate()
		w.textValue(vr, value)
	}
	if !begun && empty > 1 {
		w.beginTexts(empty)
		begun = true
	}
	if begun {
		w.endValues()
	}
}

// isEmpty reports whether a value is empty (section F.2.5). A person name is if it has no component group.
func isEmpty(vr string, value []byte) bool {
	return len(value) == 0 || vr == "PN" && len(bytes.Trim(value, " =")) == 0
}

// beginTexts begins the values of an attribute, of which the first ones are empty.
func (w *JSONWriter) beginTexts(empty int) {
	w.beginValues()
	for range empty {
		w.separate()
		w.b = append(w.b, "null"...)
	}
}

// textValue writes one of several values.
func (w *JSONWriter) textValue(vr string, value []byte) {
	switch {
	case isEmpty(vr, value):
		w.b = append(w.b, "null"...)
	case vr == "PN":
		w.name(value)
	case len(value) <= maxNumber && (vr == "DS" && isDecimal(value) || vr == "IS" && isInteger(value)):
		w.b = append(w.b, value...)
	default:
		w.string(value)
	}
}

// plainValue writes a value of plain characters. It returns false if the value is one with component groups.
func (w *JSONWriter) plainValue(vr string, value []byte) bool {
	switch {
	case vr == "PN" && bytes.IndexByte(value, '=') >= 0:
		return false
	case vr == "PN":
		w.b = append(append(w.b, `,"Value":[{"Alphabetic":"`...), value...)
		w.b = append(w.b, `"}]`...)
	case len(value) <= maxNumber && (vr == "DS" && isDecimal(value) || vr == "IS" && isInteger(value)):
		w.b = append(append(w.b, `,"Value":[`...), value...)
		w.b = append(w.b, ']')
	default:
		w.b = append(w.b, `,"Value":["`...)
		w.plain(value)
		w.b = append(w.b, `"]`...)
	}
	return true
}

var componentGroups = [...]string{`"Alphabetic":`, `"Ideographic":`, `"Phonetic":`}

// name writes a person name that is not empty (section F.2.2).
func (w *JSONWriter) name(name []byte) {
	before := byte('{')
	for i := range componentGroups {
		group := name
		if n := bytes.IndexByte(name, '='); n >= 0 && i < len(componentGroups)-1 {
			group, name = name[:n], name[n+1:]
		} else {
			name = nil
		}
		if group = bytes.Trim(group, " "); len(group) == 0 {
			continue
		}
		w.b = append(append(w.b, before), componentGroups[i]...)
		w.string(group)
		before = ','
	}
	w.b = append(w.b, '}')
}

// numbers writes the values of a binary VR with numbers or tags.
func (w *JSONWriter) numbers(v dataset.Value) {
	for i := 0; ; i++ {
		mark := len(w.b)
		if i == 0 {
			w.b = append(w.b, `,"Value":[`...)
		} else {
			w.b = append(w.b, ',')
		}
		var ok bool
		if w.b, ok = appendNumber(w.b, v, i); !ok {
			w.b = w.b[:mark]
			if i > 0 {
				w.b = append(w.b, ']')
			}
			return
		}
		w.flushIfFull()
	}
}

// appendNumber appends value i. It returns false if there is none.
func appendNumber(b []byte, v dataset.Value, i int) ([]byte, bool) {
	switch v.Kind() {
	case dataset.KindSigned:
		n, ok := v.Signed(i)
		switch {
		case ok && n >= -maxExact && n <= maxExact:
			b = strconv.AppendInt(b, n, 10)
		case ok:
			b = append(strconv.AppendInt(append(b, '"'), n, 10), '"')
		}
		return b, ok
	case dataset.KindUnsigned:
		n, ok := v.Unsigned(i)
		switch {
		case ok && n <= maxExact:
			b = strconv.AppendUint(b, n, 10)
		case ok:
			b = append(strconv.AppendUint(append(b, '"'), n, 10), '"')
		}
		return b, ok
	case dataset.KindFloat:
		f, size, ok := v.Float(i)
		if ok {
			b = appendFloat(b, f, size)
		}
		return b, ok
	default:
		t, ok := v.TagAt(i)
		if ok {
			b = append(appendTag(append(b, '"'), t), '"')
		}
		return b, ok
	}
}

// maxExact is the greatest integer up to which each one is exact in the number type of JavaScript. Greater ones are strings, as table
// F.2.3-1 permits for SV and UV.
const maxExact = 1<<53 - 1

// appendFloat appends the shortest number that reads as f. JSON has no numbers for what is not finite; a string keeps the document
// valid.
func appendFloat(b []byte, f float64, size int) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Infinity"`...)
	}
	return strconv.AppendFloat(b, f, 'g', -1, size)
}

// maxNumber is longer than any DS and IS (PS3.5 section 6.2). What is longer is a string, because readers limit numbers.
const maxNumber = 16

// isInteger reports whether an IS of at most maxNumber characters is a JSON number and an integer.
func isInteger(s []byte) bool { return integerLength(s) == len(s) }

// integerLength returns the length of the integer, as JSON writes it, with which s begins; 0 if it begins with none.
func integerLength(s []byte) int {
	start := 0
	if len(s) > 0 && s[0] == '-' {
		start = 1
	}
	n := start + digitsIn(s[start:])
	if n == start || n > start+1 && s[start] == '0' {
		return 0
	}
	return n
}

// isDecimal reports whether a DS of at most maxNumber characters is a JSON number that a double can hold.
func isDecimal(s []byte) bool {
	n := integerLength(s)
	if n == 0 {
		return false
	}
	rest := s[n:]
	if len(rest) > 0 && rest[0] == '.' {
		digits := digitsIn(rest[1:])
		if digits == 0 {
			return false
		}
		rest = rest[1+digits:]
	}
	if len(rest) == 0 {
		return true
	}
	if rest[0]|0x20 != 'e' {
		return false
	}
	exponent := rest[1:]
	if len(exponent) > 0 && (exponent[0] == '+' || exponent[0] == '-') {
		exponent = exponent[1:]
	}
	return len(exponent) > 0 && len(exponent) <= len("99") && digitsIn(exponent) == len(exponent)
}

// digitsIn returns the number of digits with which s begins.
func digitsIn(s []byte) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// binaryChunk is the number of bytes that are encoded at once: a multiple of 3.
const binaryChunk = 24 << 10

func (w *JSONWriter) inlineBinary(value []byte) {
	if len(value) == 0 {
		return
	}
	w.b = append(w.b, `,"InlineBinary":"`...)
	for len(value) > 0 {
		n := min(len(value), binaryChunk)
		w.b = base64.StdEncoding.AppendEncode(w.b, value[:n])
		value = value[n:]
		w.flushIfFull()
	}
	w.b = append(w.b, '"')
}
