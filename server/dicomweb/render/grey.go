package render

import (
	"encoding/binary"
	"math"

	"dicom-qr-gateway/dicomnet/pixeldata"
)

// tableBits is how many bits a stored value may have for its brightness to be looked up in a table.
const tableBits = 16

// grey writes the brightness of a MONOCHROME1 or MONOCHROME2 image, a byte for each pixel.
func (m *Image) grey(dst []byte, w *Window) {
	modality := m.modality()
	if m.Form == pixeldata.Native && m.BitsStored <= tableBits {
		m.greyByTable(dst, w, modality)
		return
	}
	brightness := m.voi(w, func(yield func(float64)) {
		for i := range dst {
			if v := m.sample(i); !math.IsNaN(v) && !math.IsInf(v, 0) {
				yield(modality(v))
			}
		}
	})
	for i := range dst {
		dst[i] = brightness(modality(m.sample(i)))
	}
}

// greyByTable is grey for stored values of at most 16 bits: each is computed once.
func (m *Image) greyByTable(dst []byte, w *Window, modality func(float64) float64) {
	codes := m.codes()
	table := make([]byte, 1<<m.BitsStored)
	brightness := m.voi(w, func(yield func(float64)) {
		seen := make([]bool, len(table))
		for i := range dst {
			seen[codes(i)] = true
		}
		padding, isPadding := m.padding()
		for code, occurs := range seen {
			if v := m.value(uint32(code)); occurs && !(isPadding && padding(v)) {
				yield(modality(v))
			}
		}
	})
	for code := range table {
		table[code] = brightness(modality(m.value(uint32(code))))
	}
	for i := range dst {
		dst[i] = table[codes(i)]
	}
}

// codes returns the function that returns the stored bits of sample i, with neither the unused bits nor their sign.
func (m *Image) codes() func(i int) uint32 {
	shift := m.HighBit + 1 - m.BitsStored
	mask := uint32(1)<<m.BitsStored - 1
	pixels := m.Pixels
	switch m.BitsAllocated {
	case 1:
		return func(i int) uint32 { return uint32(pixels[i/8]>>(i%8)) & 1 }
	case 8:
		return func(i int) uint32 { return uint32(pixels[i]) >> shift & mask }
	case 16:
		return func(i int) uint32 { return uint32(binary.LittleEndian.Uint16(pixels[2*i:])) >> shift & mask }
	}
	return func(i int) uint32 { return binary.LittleEndian.Uint32(pixels[4*i:]) >> shift & mask }
}

// value returns the value of stored bits.
func (m *Image) value(code uint32) float64 {
	if m.Signed {
		unused := 32 - m.BitsStored
		return float64(int32(code<<unused) >> unused)
	}
	return float64(code)
}

// sample returns the stored value of pixel i, if it has more than 16 bits.
func (m *Image) sample(i int) float64 {
	switch m.Form {
	case pixeldata.Float:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(m.Pixels[4*i:])))
	case pixeldata.Double:
		return math.Float64frombits(binary.LittleEndian.Uint64(m.Pixels[8*i:]))
	default:
		shift := m.HighBit + 1 - m.BitsStored
		return m.value(uint32(uint64(binary.LittleEndian.Uint32(m.Pixels[4*i:]))>>shift) & uint32(uint64(1)<<m.BitsStored-1))
	}
}

// padding returns whether a stored value is padding, which says nothing about the contrast of the image (PS3.3 section C.7.5.1.1.2).
func (m *Image) padding() (func(float64) bool, bool) {
	first, ok := m.Attributes.Int(tagPixelPaddingValue)
	if !ok {
		return nil, false
	}
	last, ok := m.Attributes.Int(tagPixelPaddingLimit)
	if !ok {
		last = first
	}
	if m.Signed && m.BitsAllocated == 16 {
		first, last = int64(int16(first)), int64(int16(last)) // some have VR US nevertheless
	}
	low, high := float64(min(first, last)), float64(max(first, last))
	return func(v float64) bool { return v >= low && v <= high }, true
}

// modality returns the modality transformation (PS3.3 section C.11.1).
func (m *Image) modality() func(float64) float64 {
	for _, item := range m.Attributes.Items(tagModalityLUTSequence) {
		if table, ok := newLUT(item, tagLUTDescriptor, tagLUTData, m.Signed); ok {
			return func(v float64) float64 { return float64(table.at(v)) }
		}
	}
	for _, set := range m.groups(tagPixelValueTransform) {
		if set.Has(tagRescaleSlope) || set.Has(tagRescaleIntercept) {
			slope, intercept := decimal(set, tagRescaleSlope, 1), decimal(set, tagRescaleIntercept, 0)
			if slope == 0 {
				slope = 1
			}
			return func(v float64) float64 { return v*slope + intercept }
		}
	}
	return func(v float64) float64 { return v }
}

// voi returns the function from values to brightness (PS3.3 section C.11.2): that of the window w, or of the window of the object, or of its
// look-up table, or from the least to the greatest of the values that occur.
func (m *Image) voi(w *Window, values func(yield func(float64))) func(float64) byte {
	at := m.chosen(w)
	if at == nil {
		low, high := math.Inf(1), math.Inf(-1)
		if m.BitsStored == 1 {
			low, high = 0, 1 // a blank image is black or white
		}
		values(func(v float64) { low, high = min(low, v), max(high, v) })
		at = func(v float64) float64 {
			if high > low {
				return clamp((v - low) / (high - low))
			}
			return 0
		}
	}
	if m.Photometric == monochrome1 {
		return func(v float64) byte { return 0xFF - toByte(at(v)) }
	}
	return func(v float64) byte { return toByte(at(v)) }
}

// chosen returns the VOI transformation that the caller or the object has chosen, or nil.
func (m *Image) chosen(w *Window) func(float64) float64 {
	if w != nil {
		return w.at
	}
	for _, set := range m.groups(tagFrameVOILUTSequence) {
		if w, ok := objectWindow(set); ok {
			return w.at
		}
	}
	for _, item := range m.Attributes.Items(tagVOILUTSequence) {
		if table, ok := newLUT(item, tagLUTDescriptor, tagLUTData, m.negative()); ok {
			most := float64(uint32(1)<<table.bits - 1)
			return func(v float64) float64 { return float64(table.at(math.Round(v))) / most }
		}
	}
	return nil
}

// negative reports whether the values after the modality transformation can be negative, so that the first value of a VOI LUT is signed.
func (m *Image) negative() bool {
	if len(m.Attributes.Items(tagModalityLUTSequence)) > 0 {
		return false
	}
	return m.Signed || decimal(m.Attributes, tagRescaleIntercept, 0) < 0
}

func toByte(brightness float64) byte { return byte(clamp(brightness)*0xFF + 0.5) }
