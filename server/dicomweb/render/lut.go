package render

import (
	"encoding/binary"

	"dicom-qr-gateway/dicomnet/dataset"
)

// lut is a look-up table (PS3.3 sections C.11.1.1 and C.7.6.3.1.5).
type lut struct {
	first   int      // the first value that is mapped
	entries []uint16 // not empty
	bits    int      // of an entry
}

// at returns the entry of a value. Values outside the table have the nearest entry.
func (l *lut) at(value float64) uint16 {
	i := value - float64(l.first)
	switch last := len(l.entries) - 1; {
	case !(i > 0): // NaN as well
		return l.entries[0]
	case i >= float64(last):
		return l.entries[last]
	default:
		return l.entries[int(i)]
	}
}

// descriptor reads a LUT Descriptor: the number of entries, the first value that is mapped, which is signed if the values are, and the
// bits of an entry.
func descriptor(set *dataset.Set, tag dataset.Tag, signed bool) (count, first, bits int, ok bool) {
	value, ok := set.Value(tag)
	if !ok {
		return 0, 0, 0, false
	}
	var numbers [3]int
	for i := range numbers {
		if v, ok := value.Unsigned(i); ok {
			numbers[i] = int(uint16(v))
		} else if v, ok := value.Signed(i); ok {
			numbers[i] = int(uint16(v))
		} else {
			return 0, 0, 0, false
		}
	}
	if count = numbers[0]; count == 0 {
		count = 1 << 16
	}
	if first = numbers[1]; signed {
		first = int(int16(uint16(first)))
	}
	bits = numbers[2]
	return count, first, bits, bits >= 8 && bits <= 16
}

// newLUT reads a table. A table with fewer entries than its descriptor says is used as far as it goes.
func newLUT(set *dataset.Set, describes, data dataset.Tag, signed bool) (*lut, bool) {
	count, first, bits, ok := descriptor(set, describes, signed)
	value, has := set.Value(data)
	if !ok || !has {
		return nil, false
	}
	l := &lut{first: first, bits: bits, entries: words(value, count, bits)}
	return l, len(l.entries) > 0
}

// words returns the values of an element that has words of 16 bits, at most count. Tables of 8 bits have two entries in a word, or one.
func words(value dataset.Value, count, bits int) []uint16 {
	b := value.Words()
	if b == nil {
		var entries []uint16
		for i := range count {
			v, ok := value.Unsigned(i)
			if !ok {
				break
			}
			entries = append(entries, uint16(v))
		}
		return entries
	}
	if bits == 8 && len(b) < 2*count {
		entries := make([]uint16, min(count, len(b)))
		for i := range entries {
			entries[i] = uint16(b[i])
		}
		return entries
	}
	entries := make([]uint16, min(count, len(b)/2))
	for i := range entries {
		entries[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return entries
}

// palette returns the tables of a PALETTE COLOR image.
func palette(set *dataset.Set, signed bool) (tables [3]*lut, ok bool) {
	for i := range tables {
		if tables[i], ok = newLUT(set, tagPaletteDescriptors[i], tagPaletteData[i], signed); ok {
			continue
		}
		if tables[i], ok = segmented(set, i, signed); !ok {
			return tables, false
		}
	}
	return tables, true
}

// segmented returns a table from Segmented Palette Color Lookup Table Data (PS3.3 section C.7.9.2).
func segmented(set *dataset.Set, i int, signed bool) (*lut, bool) {
	count, first, bits, ok := descriptor(set, tagPaletteDescriptors[i], signed)
	value, has := set.Value(tagSegmentedPalettes[i])
	if !ok || !has {
		return nil, false
	}
	e := expander{segments: words(value, 1<<16, 16), limit: count}
	ok = e.expand(0, len(e.segments), 0, true)
	return &lut{first: first, bits: bits, entries: e.entries}, ok && len(e.entries) > 0
}

// expander expands the segments of a palette.
type expander struct {
	segments, entries []uint16
	limit             int
}

// The kinds of segments.
const (
	discreteSegment = iota
	linearSegment
	indirectSegment
)

// expand expands the segments from position at to end, at most number of them if it is not 0. It reports whether they are well formed.
func (e *expander) expand(at, end, number int, indirect bool) bool {
	for done := 0; at+2 <= end && (number == 0 || done < number) && len(e.entries) < e.limit; done++ {
		kind, length := e.segments[at], int(e.segments[at+1])
		at += 2
		switch {
		case kind == discreteSegment && at+length <= end:
			e.entries = append(e.entries, e.segments[at:at+length]...)
			at += length
		case kind == linearSegment && at < end && len(e.entries) > 0:
			e.line(length, int(e.segments[at]))
			at++
		case kind == indirectSegment && indirect && at+2 <= end:
			// The offset is in bytes from the first segment.
			offset := (int(e.segments[at]) | int(e.segments[at+1])<<16) / 2
			if length == 0 || offset >= end || !e.expand(offset, end, length, false) {
				return false
			}
			at += 2
		default:
			return false
		}
	}
	e.entries = e.entries[:min(len(e.entries), e.limit)]
	return true
}

// line appends length entries that go from the last one to y.
func (e *expander) line(length, y int) {
	from := int(e.entries[len(e.entries)-1])
	for i := 1; i <= length && len(e.entries) < e.limit; i++ {
		e.entries = append(e.entries, uint16(from+(y-from)*i/length))
	}
}
