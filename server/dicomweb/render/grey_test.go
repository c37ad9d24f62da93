package render_test

import (
	"encoding/binary"
	"image"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWindowOfTheObject(t *testing.T) {
	const mono = "MONOCHROME2"
	four := us(0, 1024, 1064, 4095)
	for name, c := range map[string]struct {
		object object
		pixels string
		want   []int
	}{
		"linear":                 {object{photometric: mono, bits: 16, stored: 12, middle: window("40", "400", "") + rescale("-1024", "1")}, four, []int{0, 102, 128, 255}},
		"the first of several":   {object{photometric: mono, bits: 16, stored: 12, middle: window(`40\-600`, `400\1500`, "") + rescale("-1024", "1")}, four, []int{0, 102, 128, 255}},
		"one that is valid":      {object{photometric: mono, bits: 16, stored: 12, middle: window(`x\1\40`, `1\0\400`, "") + rescale("-1024", "1")}, four, []int{0, 102, 128, 255}},
		"MONOCHROME1":            {object{photometric: "MONOCHROME1", bits: 16, stored: 12, middle: window("40", "400", "LINEAR") + rescale("-1024", "1")}, four, []int{255, 153, 127, 0}},
		"linear exact":           {object{photometric: mono, bits: 16, middle: window("100", "50", "LINEAR_EXACT")}, us(75, 100, 110, 125), []int{0, 128, 179, 255}},
		"sigmoid":                {object{photometric: mono, bits: 16, middle: window("100", "50", "SIGMOID")}, us(0, 100, 110, 200), []int{0, 128, 176, 255}},
		"a width of 1":           {object{photometric: mono, bits: 16, middle: window("100", "1", "")}, us(0, 99, 100, 200), []int{0, 0, 255, 255}},
		"slope":                  {object{photometric: mono, bits: 8, middle: window("100.5", "201", "") + rescale("0", "2")}, "\x00\x19\x32\x64", []int{0, 64, 128, 255}},
		"a slope of zero":        {object{photometric: mono, bits: 8, middle: window("50.5", "101", "") + rescale("0", "0")}, "\x00\x19\x32\x64", []int{0, 64, 128, 255}},
		"signed":                 {object{photometric: mono, bits: 16, signed: 1, middle: window("0.5", "201", "")}, us(-100, -50, 0, 100), []int{0, 64, 128, 255}},
		"signed, 12 bits stored": {object{photometric: mono, bits: 16, stored: 12, signed: 1, middle: window("0.5", "201", "")}, us(0x0F9C, 0x7FCE, 0, 0x5064), []int{0, 64, 128, 255}},
		"a high bit":             {object{photometric: mono, bits: 16, stored: 12, high: 15, middle: window("50.5", "101", "")}, us(0, 25<<4, 50<<4|0xF, 100<<4), []int{0, 64, 128, 255}},
		"32 bits":                {object{photometric: mono, bits: 32, signed: 1, middle: window("0.5", "201", "")}, "\x9C\xFF\xFF\xFF\xCE\xFF\xFF\xFF\x00\x00\x00\x00\x64\x00\x00\x00", []int{0, 64, 128, 255}},
	} {
		t.Run(name, func(t *testing.T) {
			c.object.rows, c.object.columns = 2, 2
			require.Equal(t, c.want, grey(t, c.object.encode(c.pixels)))
		})
	}
}

func TestWindowOfTheCallerGoesFirst(t *testing.T) {
	o := object{photometric: "MONOCHROME2", rows: 2, columns: 2, bits: 16, middle: window("1", "2", "") + rescale("-10", "1")}
	pixels := us(85, 110, 120, 135)
	require.Equal(t, []int{0, 128, 179, 255}, grey(t, o.encode(pixels), "window", "100,50,linear-exact"))
	require.Equal(t, []int{30, 128, 176, 225}, grey(t, o.encode(pixels), "window", "1e2,50,sigmoid"))
	require.Equal(t, []int{0, 130, 182, 255}, grey(t, o.encode(pixels), "window", "100,50,linear"))
}

func TestWithoutAWindowTheContrastIsThatOfTheValues(t *testing.T) {
	o := object{photometric: "MONOCHROME2", rows: 1, columns: 4, bits: 16}
	require.Equal(t, []int{0, 64, 128, 255}, grey(t, o.encode(us(1000, 1050, 1100, 1199))))
	require.Equal(t, []int{0, 0, 0, 0}, grey(t, o.encode(us(7, 7, 7, 7))))
	o.middle = rescale("10", "-1")
	require.Equal(t, []int{255, 191, 127, 0}, grey(t, o.encode(us(1000, 1050, 1100, 1199))))
	// Padding has no part in it.
	o.middle = element(0x0028, 0x0120, "US", us(0))
	require.Equal(t, []int{0, 0, 128, 255}, grey(t, o.encode(us(0, 1000, 1100, 1199))))
	o.middle = element(0x0028, 0x0120, "SS", us(-2000)) + element(0x0028, 0x0121, "SS", us(-1900))
	o.signed = 1
	require.Equal(t, []int{0, 0, 255, 255}, grey(t, o.encode(us(-1950, -100, 100, 100))))
	require.Equal(t, []int{0, 0, 0, 0}, grey(t, o.encode(us(-1950, -1950, -1950, -1950))), "nothing but padding")
	bits := object{photometric: "MONOCHROME2", rows: 2, columns: 4, bits: 1}
	require.Equal(t, []int{255, 0, 0, 255, 0, 0, 255, 0}, grey(t, bits.encode("\x49\x00")))
	require.Equal(t, []int{255, 255, 255, 255, 255, 255, 255, 255}, grey(t, bits.encode("\xFF\x00")))
}

func TestFloatingPointPixels(t *testing.T) {
	o := object{photometric: "MONOCHROME2", rows: 1, columns: 4, bits: 32}
	var floats, doubles []byte
	for _, v := range []float64{-1, 0, 1, math.NaN()} {
		floats = binary.LittleEndian.AppendUint32(floats, math.Float32bits(float32(v)))
		doubles = binary.LittleEndian.AppendUint64(doubles, math.Float64bits(v))
	}
	head := o.encode("")
	head = head[:len(head)-12]
	require.Equal(t, []int{0, 128, 255, 0}, grey(t, head+element(0x7FE0, 0x0008, "OF", string(floats))))
	require.Equal(t, []int{0, 128, 255, 0}, grey(t, head+element(0x7FE0, 0x0009, "OD", string(doubles))))
	require.Equal(t, []int{0, 255, 255, 0}, grey(t, head+element(0x7FE0, 0x0009, "OD", string(doubles)), "window", "-0.5,0.5,linear-exact"))
}

func lut(count, first, bits int, data string) string {
	return item(element(0x0028, 0x3002, "US", us(count, first, bits)) + element(0x0028, 0x3006, "OW", data))
}

func TestLookUpTables(t *testing.T) {
	o := object{photometric: "MONOCHROME2", rows: 1, columns: 4, bits: 16, stored: 12}
	voi := element(0x0028, 0x3010, "SQ", lut(3, 100, 8, us(10, 200, 30)))
	o.middle = voi
	require.Equal(t, []int{10, 10, 200, 30}, grey(t, o.encode(us(0, 100, 101, 4000))))
	o.middle = element(0x0028, 0x3010, "SQ", lut(4, 100, 8, "\x0A\xC8\x1E\x05")) // two entries in a word
	require.Equal(t, []int{10, 200, 30, 5}, grey(t, o.encode(us(0, 101, 102, 4000))))
	o.middle = element(0x0028, 0x3010, "SQ", lut(3, 100, 12, us(0, 2048, 4095)))
	require.Equal(t, []int{0, 128, 255, 255}, grey(t, o.encode(us(0, 101, 102, 4000))))
	o.middle = window("50.5", "101", "") + voi
	require.Equal(t, []int{0, 64, 128, 255}, grey(t, o.encode(us(0, 25, 50, 100))), "a window goes before a table")
	o.middle = rescale("-1024", "1") + element(0x0028, 0x3010, "SQ", lut(3, -1, 8, us(10, 200, 30)))
	require.Equal(t, []int{10, 10, 200, 30}, grey(t, o.encode(us(0, 1023, 1024, 1025))), "the first value is signed")
	o.middle = element(0x0028, 0x3000, "SQ", lut(4, 0, 16, us(0, 50, 100, 25))) + window("50.5", "101", "")
	require.Equal(t, []int{0, 128, 255, 64}, grey(t, o.encode(us(0, 1, 2, 9))), "a modality table")
	o.middle = element(0x0028, 0x3000, "SQ", lut(4, 0, 16, "")) + element(0x0028, 0x3010, "SQ", item("")+lut(2, 0, 99, us(1, 2))+lut(3, 100, 8, us(10, 200, 30)))
	require.Equal(t, []int{10, 10, 200, 30}, grey(t, o.encode(us(0, 100, 101, 4000))), "malformed tables do not count")
}

// Each frame of an enhanced image may have a transformation of its own.
func TestFunctionalGroups(t *testing.T) {
	transform := func(intercept string) string { return element(0x0028, 0x9145, "SQ", item(rescale(intercept, "1"))) }
	voi := func(centre, width string) string {
		return element(0x0028, 0x9132, "SQ", item(window(centre, width, "")))
	}
	o := object{photometric: "MONOCHROME2", rows: 1, columns: 2, bits: 16, frames: "2"}
	o.palette = element(0x5200, 0x9229, "SQ", item(voi("50.5", "101"))) +
		element(0x5200, 0x9230, "SQ", item(transform("0"))+item(transform("-50")+element(0x0020, 0x9111, "SQ", item(""))))
	data := o.encode(us(0, 50, 50, 150))
	require.Equal(t, []int{0, 128}, grey(t, data))
	second, err := picture(t, data, 2)
	require.NoError(t, err)
	require.Equal(t, []byte{0, 255}, second.(*image.Gray).Pix)
}
