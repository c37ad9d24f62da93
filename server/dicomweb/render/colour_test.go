package render_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pixeldata"
	"dicom-qr-gateway/server/dicomweb/render"
)

func TestColours(t *testing.T) {
	rgb := object{photometric: "RGB", rows: 1, columns: 2, samples: 3, bits: 8}
	want := [][3]int{{1, 2, 3}, {200, 100, 50}}
	require.Equal(t, want, colours(t, rgb.encode("\x01\x02\x03\xC8\x64\x32")))
	rgb.planar = 1
	require.Equal(t, want, colours(t, rgb.encode("\x01\xC8\x02\x64\x03\x32")))
	wide := object{photometric: "RGB", rows: 1, columns: 2, samples: 3, bits: 16, stored: 12}
	require.Equal(t, [][3]int{{0, 128, 255}, {255, 1, 0}}, colours(t, wide.encode(us(0, 2048, 4095, 0xFFFF, 16, 0xF000))))
	ybr := object{photometric: "YBR_FULL", rows: 1, columns: 2, samples: 3, bits: 8}
	r, g, b := color.YCbCrToRGB(100, 90, 200)
	grey := [3]int{50, 50, 50}
	require.Equal(t, [][3]int{{int(r), int(g), int(b)}, grey}, colours(t, ybr.encode("\x64\x5A\xC8\x32\x80\x80")))
	half := object{photometric: "YBR_FULL_422", rows: 1, columns: 2, samples: 3, bits: 8}
	require.Equal(t, [][3]int{{100, 100, 100}, grey}, colours(t, half.encode("\x64\x32\x80\x80")))
	odd := object{photometric: "YBR_FULL_422", rows: 3, columns: 3, samples: 3, bits: 8}
	_, err := picture(t, odd.encode(strings.Repeat("\x80", 18)), 1)
	var malformed *pixeldata.FormatError
	require.ErrorAs(t, err, &malformed)
}

func palettes(count, first, bits int, data ...string) string {
	var s strings.Builder
	for i := range 3 {
		s.WriteString(element(0x0028, uint16(0x1101+i), "US", us(count, first, bits)))
	}
	for i, d := range data {
		s.WriteString(element(0x0028, uint16(0x1201+i), "OW", d))
	}
	return s.String()
}

func TestPalettes(t *testing.T) {
	o := object{photometric: "PALETTE COLOR", rows: 1, columns: 4, bits: 8}
	want := [][3]int{{10, 20, 30}, {10, 20, 30}, {11, 21, 31}, {12, 22, 32}}
	o.palette = palettes(3, 5, 16, us(0x0A00, 0x0B00, 0x0CFF), us(0x1400, 0x1500, 0x1600), us(0x1E00, 0x1F00, 0x2000))
	require.Equal(t, want, colours(t, o.encode("\x00\x05\x06\xFF")))
	o.palette = palettes(4, 5, 8, "\x0A\x0B\x0C\x0C", "\x14\x15\x16\x16", "\x1E\x1F\x20\x20")
	require.Equal(t, want, colours(t, o.encode("\x00\x05\x06\xFF")))
	o.palette = palettes(3, 5, 8, us(10, 11, 12), us(20, 21, 22), us(30, 31, 32))
	require.Equal(t, want, colours(t, o.encode("\x00\x05\x06\xFF")))

	o.palette = palettes(3, 5, 16, us(1, 2, 3), us(1, 2, 3))
	_, err := picture(t, o.encode("\x00\x05\x06\xFF"), 1)
	var malformed *pixeldata.FormatError
	require.ErrorAs(t, err, &malformed)
}

// PS3.3 section C.7.9.2: a discrete segment, a linear one, and one that repeats segments.
func TestSegmentedPalettes(t *testing.T) {
	o := object{photometric: "PALETTE COLOR", rows: 1, columns: 8, bits: 8}
	segments := us(0, 2, 0x0000, 0x4000, 1, 2, 0x8000, 2, 2, 0, 0)
	descriptors := palettes(8, 0, 16)
	data := func(s string) string {
		o.palette = descriptors
		for i := range 3 {
			o.palette += element(0x0028, uint16(0x1221+i), "OW", s)
		}
		return o.encode("\x00\x01\x02\x03\x04\x05\x06\x07")
	}
	var red []int
	for _, c := range colours(t, data(segments)) {
		require.Equal(t, [3]int{c[0], c[0], c[0]}, c)
		red = append(red, c[0])
	}
	require.Equal(t, []int{0x00, 0x40, 0x60, 0x80, 0x00, 0x40, 0x60, 0x80}, red)
	for name, s := range map[string]string{
		"unknown":           us(7, 1, 1),
		"linear first":      us(1, 2, 3),
		"too long":          us(0, 200, 1),
		"outside":           us(0, 1, 1, 2, 1, 4000, 0),
		"repeats itself":    us(0, 1, 1, 2, 2, 0, 0, 2, 1, 6, 0),
		"repeats nothing":   us(0, 1, 1, 2, 0, 0, 0),
		"nothing":           "",
		"half an indirect":  us(0, 1, 1, 2, 1, 0),
		"a linear to where": us(0, 1, 1, 1, 1),
	} {
		_, err := picture(t, data(s), 1)
		if name == "repeats itself" && err == nil {
			continue // the table is full before
		}
		require.Error(t, err, name)
	}
}

func TestCompressedImagesThatAreDecodedHere(t *testing.T) {
	full := image.NewRGBA(image.Rect(0, 0, 8, 8))
	for i := range full.Pix {
		full.Pix[i] = [4]byte{200, 40, 10, 255}[i%4]
	}
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, full, nil))
	o := object{photometric: "YBR_FULL_422", rows: 8, columns: 8, samples: 3, bits: 8}
	m, err := pictureIn(t, dataset.JPEGBaseline, encapsulated(o, b.String()), 1)
	require.NoError(t, err)
	require.InDelta(t, 200, m.(*image.RGBA).Pix[0], 3)
	require.InDelta(t, 10, m.(*image.RGBA).Pix[2], 3)

	segment := "\xFD\x07\x00\x00"
	header := string(binary.LittleEndian.AppendUint32([]byte{1, 0, 0, 0}, 64)) + strings.Repeat("\x00", 56)
	o = object{photometric: "MONOCHROME2", rows: 1, columns: 4, bits: 8, middle: window("7", "14", "")}
	m, err = pictureIn(t, dataset.RLELossless, encapsulated(o, header+segment), 1)
	require.NoError(t, err)
	require.Equal(t, []byte{137, 137, 137, 137}, m.(*image.Gray).Pix)

	_, err = pictureIn(t, "1.2.840.10008.1.2.4.70", encapsulated(o, "\xFF\xD8\xFF\xD9"), 1)
	var compressed *render.CompressedError
	require.ErrorAs(t, err, &compressed)
	_, err = pictureIn(t, dataset.JPEGBaseline, encapsulated(o, strings.Repeat("no JPEG!", 20000)), 1)
	var malformed *pixeldata.FormatError
	require.ErrorAs(t, err, &malformed)
}

func TestInstancesWithoutAnImageAreNotRendered(t *testing.T) {
	good := object{photometric: "MONOCHROME2", rows: 1, columns: 4, bits: 8}
	for name, change := range map[string]func(*object){
		"segmentation":    func(o *object) { o.before = element(0x0008, 0x0016, "UI", "1.2.840.10008.5.1.4.1.1.66.4") },
		"photometric":     func(o *object) { o.photometric = "HSV" },
		"none":            func(o *object) { o.photometric = "" },
		"stored bits":     func(o *object) { o.stored = 9 },
		"high bit":        func(o *object) { o.high = 8 },
		"two samples":     func(o *object) { o.samples, o.columns = 2, 2 },
		"colour of one":   func(o *object) { o.photometric = "RGB" },
		"palette of bits": func(o *object) { o.photometric, o.bits, o.columns = "PALETTE COLOR", 1, 32 },
		"packed bits":     func(o *object) { o.bits, o.columns, o.rows = 4, 4, 2 },
	} {
		o := good
		change(&o)
		_, err := picture(t, o.encode("abcd"), 1)
		var unsupported *render.UnsupportedError
		require.ErrorAs(t, err, &unsupported, name)
	}
	_, err := picture(t, element(0x0008, 0x0016, "UI", "1.2.840.10008.5.1.4.1.1.88.11"), 1)
	var none *pixeldata.NoPixelDataError
	require.ErrorAs(t, err, &none)
	_, err = picture(t, good.encode("abcd"), 2)
	var missing *pixeldata.NoFrameError
	require.ErrorAs(t, err, &missing)
}
