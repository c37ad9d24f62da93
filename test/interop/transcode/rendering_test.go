//go:build interop

package transcode

import (
	"bytes"
	"encoding/binary"
	"image"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/server/dicomweb/render"
)

// picture is an image whose attributes decide what it looks like.
type picture struct {
	photometric                 string
	samples, bits, stored, high uint16
	signed, planar              uint16
	pixel                       func(i int) uint32 // sample i
	more                        func(b *builder)   // elements of group 0028 from 0120 on
	options                     []string           // of dcm2pnm
	window                      string             // parameter of the gateway
	compressor                  string             // program of DCMTK that compresses the image, with an option
	halved                      bool               // chrominance
	difference                  int                // that is allowed, above 1
}

const (
	pictureRows, pictureColumns = 90, 118 // even: dcm2pnm takes padding for a pixel
)

func (p *picture) build() []byte {
	var b builder
	b.text(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7")
	b.text(0x00080018, "UI", "1.2.3")
	b.text(0x0020000d, "UI", "1.2")
	b.text(0x0020000e, "UI", "1.2.1")
	b.us(0x00280002, p.samples)
	b.text(0x00280004, "CS", p.photometric)
	if p.samples > 1 {
		b.us(0x00280006, p.planar)
	}
	b.us(0x00280010, pictureRows)
	b.us(0x00280011, pictureColumns)
	b.us(0x00280100, p.bits)
	b.us(0x00280101, p.stored)
	b.us(0x00280102, p.high)
	b.us(0x00280103, p.signed)
	if p.more != nil {
		p.more(&b)
	}
	n := pictureRows * pictureColumns * int(p.samples)
	if p.halved {
		n = n / 3 * 2
	}
	var pixels []byte
	for i := range n {
		pixels = append(pixels, binary.LittleEndian.AppendUint32(nil, p.pixel(i))[:p.bits/8]...)
	}
	b.add(0x7fe00010, "OW", pixels)
	return b
}

// wave returns values from low to high that neighbours differ in.
func wave(low, high int) func(int) uint32 {
	return func(i int) uint32 {
		x, y := i%pictureColumns, i/pictureColumns
		return uint32(low + (x*x+3*y*x+i/7)%(high-low+1))
	}
}

// slope is a colour image so smooth that JPEG changes little.
func slope(i int) uint32 {
	x, y := i/3%pictureColumns, i/3/pictureColumns
	return uint32(2*x+y/2*(i%3)) & 0xff
}

func window(centre, width, function string) func(*builder) {
	return func(b *builder) {
		b.text(0x00281050, "DS", centre)
		b.text(0x00281051, "DS", width)
		if function != "" {
			b.text(0x00281056, "CS", function)
		}
	}
}

func rescaled(intercept, slope string, then func(*builder)) func(*builder) {
	return func(b *builder) {
		w := builder{}
		then(&w)
		*b = append(*b, w...)
		b.text(0x00281052, "DS", intercept)
		b.text(0x00281053, "DS", slope)
	}
}

// table is a look-up table.
func table(tag uint32, vr string, first, bits uint16, entries []uint16) func(*builder) {
	return func(b *builder) {
		var item builder
		item.add(0x00283002, vr, words(uint16(len(entries)), first, bits))
		item.text(0x00283004, "LO", "US")
		item.add(0x00283006, "OW", words(entries...))
		b.sequence(tag, item)
	}
}

func words(values ...uint16) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}

func palette(first, bits uint16, entry func(i, colour int) uint16) func(*builder) {
	return func(b *builder) {
		const entries = 200
		for c := range 3 {
			b.us(0x00281101+uint32(c), entries, first, bits)
		}
		for c := range 3 {
			var values []uint16
			for i := range entries {
				values = append(values, entry(i, c))
			}
			b.add(0x00281201+uint32(c), "OW", words(values...))
		}
	}
}

var pictures = map[string]picture{
	"MONOCHROME2":        {photometric: "MONOCHROME2", samples: 1, bits: 16, stored: 12, high: 11, pixel: wave(0, 4095), more: rescaled("-1024", "1", window(`40\-600`, `400\1500`, "")), options: []string{"+Wi", "1"}},
	"MONOCHROME1":        {photometric: "MONOCHROME1", samples: 1, bits: 16, stored: 12, high: 11, pixel: wave(0, 4095), more: rescaled("-1024", "1", window("40", "400", "LINEAR")), options: []string{"+Wi", "1"}},
	"signed":             {photometric: "MONOCHROME2", samples: 1, bits: 16, stored: 16, high: 15, signed: 1, pixel: wave(-1200, 1200), more: window("12.5", "900", ""), options: []string{"+Wi", "1"}},
	"slope":              {photometric: "MONOCHROME2", samples: 1, bits: 16, stored: 12, high: 11, signed: 1, pixel: func(i int) uint32 { return wave(-2000, 2000)(i)&0xfff | 0x5000 }, more: rescaled("-7.25", "1.5", window("100", "2500", "")), options: []string{"+Wi", "1"}, difference: 1},
	"high bit":           {photometric: "MONOCHROME2", samples: 1, bits: 16, stored: 12, high: 15, pixel: func(i int) uint32 { return wave(0, 4095)(i) << 4 }, more: window("2000", "3000", ""), options: []string{"+Wi", "1"}},
	"32 bits":            {photometric: "MONOCHROME2", samples: 1, bits: 32, stored: 32, high: 31, pixel: wave(0, 2_000_000), more: window("1000000", "1500000", ""), options: []string{"+Wi", "1"}},
	"sigmoid":            {photometric: "MONOCHROME2", samples: 1, bits: 16, stored: 16, high: 15, pixel: wave(0, 65535), more: window("30000", "20000", "SIGMOID"), options: []string{"+Wi", "1"}},
	"window of caller":   {photometric: "MONOCHROME2", samples: 1, bits: 8, stored: 8, high: 7, pixel: wave(0, 255), options: []string{"+Ww", "100", "300"}, window: "100,300,linear"},
	"least and greatest": {photometric: "MONOCHROME2", samples: 1, bits: 8, stored: 8, high: 7, pixel: wave(18, 233), options: []string{"+Wm"}},
	"VOI LUT": {
		photometric: "MONOCHROME2", samples: 1, bits: 16, stored: 12, high: 11, pixel: wave(0, 4095), options: []string{"+Wl", "1"},
		more: table(0x00283010, "US", 500, 12, square(3000, 4095)),
	},
	"VOI LUT of signed values": {
		photometric: "MONOCHROME2", samples: 1, bits: 16, stored: 12, high: 11, signed: 1, pixel: wave(-2048, 2047), options: []string{"+Wl", "1"},
		more: table(0x00283010, "SS", 0x10000-2048, 16, square(4096, 65535)),
	},
	"modality LUT": {
		photometric: "MONOCHROME2", samples: 1, bits: 8, stored: 8, high: 7, pixel: wave(0, 255), options: []string{"+Wi", "1"},
		more: func(b *builder) {
			window("30000", "50000", "")(b)
			table(0x00283000, "US", 0, 16, square(256, 65535))(b)
		},
	},
	"RLE":                {photometric: "MONOCHROME2", samples: 1, bits: 16, stored: 12, high: 11, pixel: wave(0, 4095), more: window("2000", "3000", ""), options: []string{"+Wi", "1"}, compressor: "dcmcrle"},
	"RLE in colour":      {photometric: "RGB", samples: 3, bits: 8, stored: 8, high: 7, planar: 1, pixel: slope, compressor: "dcmcrle"},
	"RGB by pixel":       {photometric: "RGB", samples: 3, bits: 8, stored: 8, high: 7, pixel: slope},
	"RGB by plane":       {photometric: "RGB", samples: 3, bits: 8, stored: 8, high: 7, planar: 1, pixel: slope},
	"RGB of 16 bits":     {photometric: "RGB", samples: 3, bits: 16, stored: 16, high: 15, pixel: func(i int) uint32 { return slope(i) * 257 }},
	"YBR_FULL":           {photometric: "YBR_FULL", samples: 3, bits: 8, stored: 8, high: 7, pixel: slope, difference: 1},
	"YBR_FULL_422":       {photometric: "YBR_FULL_422", samples: 3, bits: 8, stored: 8, high: 7, pixel: slope, halved: true, difference: 1},
	"PALETTE COLOR":      {photometric: "PALETTE COLOR", samples: 1, bits: 8, stored: 8, high: 7, pixel: wave(0, 255), more: palette(20, 16, func(i, c int) uint16 { return uint16(i * 300 * (c + 1)) })},
	"palette of 16 bits": {photometric: "PALETTE COLOR", samples: 1, bits: 16, stored: 16, high: 15, pixel: wave(0, 400), more: palette(100, 16, func(i, c int) uint16 { return uint16(i * 257) })},
	// The roundings of the inverse transformation and of the colours add up.
	"JPEG in grey":               {photometric: "MONOCHROME2", samples: 1, bits: 8, stored: 8, high: 7, pixel: func(i int) uint32 { return uint32(i / pictureColumns) }, options: []string{"+Ww", "50", "120"}, window: "50,120,linear", compressor: "dcmcjpeg", difference: 2},
	"JPEG, chrominance halved":   {photometric: "RGB", samples: 3, bits: 8, stored: 8, high: 7, pixel: slope, compressor: "dcmcjpeg +s2", difference: 3},
	"JPEG, chrominance a fourth": {photometric: "RGB", samples: 3, bits: 8, stored: 8, high: 7, pixel: slope, compressor: "dcmcjpeg +s4", difference: 3},
}

// square returns n entries up to most, whose square roots ascend evenly.
func square(n, most int) []uint16 {
	entries := make([]uint16, n)
	for i := range entries {
		entries[i] = uint16(float64(most) * float64(i) / float64(n-1) * float64(i) / float64(n-1))
	}
	return entries
}

func TestPicturesAreThoseOfDCMTK(t *testing.T) {
	for name, p := range pictures {
		t.Run(name, func(t *testing.T) {
			file := write(t, dataset.ExplicitVRLittleEndian, p.build())
			theirs := file
			switch p.compressor {
			case "":
			case "dcmcrle":
				file, theirs = filepath.Join(t.TempDir(), "rle.dcm"), filepath.Join(t.TempDir(), "decoded.dcm")
				dcmtk(t, "dcmcrle", write(t, dataset.ExplicitVRLittleEndian, p.build()), file)
				dcmtk(t, "dcmdrle", file, theirs)
			default:
				file = filepath.Join(t.TempDir(), "jpeg.dcm")
				options := []string{"+eb", "+q", "95", write(t, dataset.ExplicitVRLittleEndian, p.build()), file}
				if len(p.compressor) > len("dcmcjpeg") {
					options = append([]string{p.compressor[len("dcmcjpeg "):]}, options...)
				}
				dcmtk(t, "dcmcjpeg", options...)
				theirs = file
			}
			pnm := filepath.Join(t.TempDir(), "picture.pnm")
			dcmtk(t, "dcmj2pnm", append(append([]string{"+op"}, p.options...), theirs, pnm)...)
			want, channels := readPNM(t, pnm)
			got := rendered(t, file, p.window)
			require.Len(t, got, len(want), "%d channels", channels)
			worst := 0
			for i := range want {
				worst = max(worst, int(want[i])-int(got[i]), int(got[i])-int(want[i]))
			}
			assert.LessOrEqual(t, worst, 1+p.difference)
		})
	}
}

// rendered returns the samples of a picture as this project makes it.
func rendered(t *testing.T, file, window string) []byte {
	t.Helper()
	values := map[string]string{}
	if window != "" {
		values["window"] = window
	}
	parameters, faults := render.ParseParameters(values, false)
	require.Empty(t, faults)
	ts, b := split(t, read(t, file))
	source, err := render.NewRenderer().Open(bytes.NewReader(b), ts)
	require.NoError(t, err)
	defer source.Close()
	for m, err := range render.NewRenderer().Frames(t.Context(), source, []int{1}, nil) {
		require.NoError(t, err)
		made, err := parameters.Picture(m)
		require.NoError(t, err)
		switch made := made.(type) {
		case *image.Gray:
			return made.Pix
		case *image.RGBA:
			samples := make([]byte, 0, len(made.Pix)/4*3)
			for i := 0; i < len(made.Pix); i += 4 {
				samples = append(samples, made.Pix[i:i+3]...)
			}
			return samples
		}
	}
	return nil
}

// readPNM returns the samples of a binary PGM or PPM file.
func readPNM(t *testing.T, file string) (samples []byte, channels int) {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	if channels = 1; bytes.HasPrefix(b, []byte("P6")) {
		channels = 3
	}
	n := pictureRows * pictureColumns * channels
	require.Greater(t, len(b), n, strconv.Quote(string(b[:min(20, len(b))])))
	return b[len(b)-n:], channels
}
