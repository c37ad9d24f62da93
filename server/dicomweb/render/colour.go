package render

import (
	"encoding/binary"
	"image/color"
)

// palette writes the pixels of a PALETTE COLOR image as red, green, blue and opacity.
func (m *Image) palette(dst []byte, tables *[3]*lut) {
	codes := m.codes()
	colours := make([][3]byte, 1<<m.BitsStored)
	for code := range colours {
		for i, table := range tables {
			entry := table.at(m.value(uint32(code)))
			if table.bits > 8 {
				entry >>= table.bits - 8
			}
			colours[code][i] = byte(min(entry, 0xFF))
		}
	}
	for i := range m.Rows * m.Columns {
		c := &colours[codes(i)]
		pixel := dst[4*i : 4*i+4 : 4*i+4]
		pixel[0], pixel[1], pixel[2], pixel[3] = c[0], c[1], c[2], 0xFF
	}
}

// colour writes the pixels of an RGB or YBR image as red, green, blue and opacity.
func (m *Image) colour(dst []byte) {
	n := m.Rows * m.Columns
	samples := m.samples()
	toRGB := m.Photometric != rgb
	for i := range n {
		a, b, c := samples(i)
		if toRGB {
			a, b, c = color.YCbCrToRGB(a, b, c)
		}
		pixel := dst[4*i : 4*i+4 : 4*i+4]
		pixel[0], pixel[1], pixel[2], pixel[3] = a, b, c, 0xFF
	}
}

// samples returns the function that returns the samples of pixel i in 8 bits.
func (m *Image) samples() func(i int) (a, b, c byte) {
	if p := m.Pixels; m.Photometric == yBRFull422 {
		return func(i int) (a, b, c byte) {
			pair := p[i/2*4:]
			return pair[i%2], pair[2], pair[3]
		}
	}
	step, next := 3, 1
	if m.PlanarConfiguration == 1 {
		step, next = 1, m.Rows*m.Columns
	}
	shift := m.HighBit + 1 - m.BitsStored
	at := func(i int) byte { return eight(uint(m.Pixels[i])>>shift, m.BitsStored) }
	if m.BitsAllocated == 16 {
		at = func(i int) byte { return eight(uint(binary.LittleEndian.Uint16(m.Pixels[2*i:]))>>shift, m.BitsStored) }
	}
	if m.BitsAllocated == 8 && m.BitsStored == 8 {
		at = func(i int) byte { return m.Pixels[i] }
	}
	return func(i int) (a, b, c byte) {
		i *= step
		return at(i), at(i + next), at(i + 2*next)
	}
}

// eight scales a value of the given bits to 8 bits.
func eight(v uint, bits int) byte {
	v &= 1<<bits - 1
	return byte((v*0xFF + (1<<bits-1)/2) / (1<<bits - 1))
}
