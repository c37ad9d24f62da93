package transcode_test

import (
	"image"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
	"dicom-qr-gateway/dicomnet/transcode"
)

// pixelData returns what precedes the value of (7FE0,0010) at the top level, and the value.
func pixelData(t *testing.T, b string) (before, value string) {
	t.Helper()
	d := stream.NewDecoder(strings.NewReader(b), explicit.ts, stream.Limits{})
	for {
		token, err := d.Next()
		require.NoError(t, err)
		if token.Depth == 0 && token.Tag == (dataset.Tag{Group: 0x7fe0, Element: 0x10}) {
			return b[:token.Offset-12], b[token.Offset : token.Offset+token.Length]
		}
	}
}

func TestRLELosslessIsDecoded(t *testing.T) {
	e := explicit
	big := strings.Repeat("0123456789", 5000)
	for name, test := range map[string]struct {
		pixels pixels
		frames []string
		want   string
	}{
		"8 bits": {
			pixels{samples: 1, rows: 2, columns: 3, bits: 8, photometric: "MONOCHROME2 "},
			[]string{rle("\x02abc\x80\xfexyz")},
			"abcxxx",
		},
		"odd length": {
			pixels{samples: 1, rows: 1, columns: 3, bits: 8, photometric: "MONOCHROME2 "},
			[]string{rle("\xfea")},
			"aaa\x00",
		},
		"16 bits": {
			pixels{samples: 1, rows: 2, columns: 2, bits: 16, photometric: "MONOCHROME2 "},
			[]string{rle("\x03ABCD", "\x03abcd")},
			"aAbBcCdD",
		},
		"32 bits": {
			pixels{samples: 1, rows: 1, columns: 2, bits: 32, photometric: "MONOCHROME2 "},
			[]string{rle("\x01ab", "\x01cd", "\x01ef", "\x01gh")},
			"gecahfdb",
		},
		"colour by pixel": {
			pixels{samples: 3, rows: 2, columns: 2, bits: 8, photometric: "RGB ", planar: "0"},
			[]string{rle("\x03abcd", "\x03ABCD", "\x031234")},
			"aA1bB2cC3dD4",
		},
		"colour by plane": {
			pixels{samples: 3, rows: 2, columns: 2, bits: 8, photometric: "YBR_FULL", planar: "1"},
			[]string{rle("\x03abcd", "\x03ABCD", "\x031234")},
			"abcdABCD1234",
		},
		"colour of 16 bits by plane": {
			pixels{samples: 3, rows: 1, columns: 1, bits: 16, photometric: "RGB ", planar: "1"},
			[]string{rle("\x00a", "\x00b", "\x00c", "\x00d", "\x00e", "\x00f")},
			"badcfe",
		},
		"frames": {
			pixels{samples: 1, rows: 1, columns: 3, bits: 8, frames: " 3", photometric: "MONOCHROME2 "},
			[]string{rle("\x02abc"), rle("\x02def"), rle("\xfex")},
			"abcdefxxx\x00",
		},
		"one frame in several fragments": {
			pixels{samples: 1, rows: 1, columns: 4, bits: 8, photometric: "MONOCHROME2 "},
			[]string{rle("\x03abcd")[:20], "", rle("\x03abcd")[20:]},
			"abcd",
		},
		"large": {
			pixels{samples: 1, rows: 100, columns: 500, bits: 8, photometric: "MONOCHROME2 "},
			[]string{rle(literal(big))},
			big,
		},
		"large colour by plane": {
			pixels{samples: 3, rows: 100, columns: 500, bits: 8, photometric: "RGB ", planar: "1"},
			[]string{rle(literal(big), literal(strings.ToUpper(big)), literal(big))},
			big + big + big,
		},
	} {
		t.Run(name, func(t *testing.T) {
			fragments := []string{e.fragment("")}
			for _, frame := range test.frames {
				fragments = append(fragments, e.fragment(frame))
			}
			before := e.element(0x00080060, "CS", "OT") + test.pixels.attributes()
			got, err := convert(t, before+e.element(0x7fe00001, "OV", "12345678")+e.sequence(0x7fe00010, "OB", fragments...)+e.us(0x7fe10010, 1), dataset.RLELossless)
			require.NoError(t, err)
			assert.True(t, got == before+e.element(0x7fe00010, "OW", test.want)+e.us(0x7fe10010, 1))
		})
	}
}

func TestJPEGBaselineIsDecoded(t *testing.T) {
	e := explicit
	one, oneJPEG := grey(t, 17, 13)
	two, _ := grey(t, 17, 13)
	for i := range two.Pix {
		two.Pix[i] = 200
	}
	twoJPEG := encode(t, two)
	both := append(append([]byte{}, one.Pix...), two.Pix...)
	attributes := pixels{samples: 1, rows: 13, columns: 17, bits: 8, photometric: "MONOCHROME2 "}
	inTwo := attributes
	inTwo.frames = "2 "
	odd := oneJPEG
	if len(odd)%2 != 0 {
		odd += "\x00"
	}
	half := len(odd) / 2 &^ 1
	for name, test := range map[string]struct {
		pixels    pixels
		fragments []string
		want      []byte
	}{
		"one frame":                   {attributes, []string{"", oneJPEG}, one.Pix},
		"one frame in fragments":      {attributes, []string{"", odd[:half], "", odd[half:]}, one.Pix},
		"a fragment each":             {inTwo, []string{"", oneJPEG, twoJPEG}, both},
		"fragments":                   {inTwo, []string{"", odd[:half], odd[half:], twoJPEG[:2], twoJPEG[2:]}, both},
		"fragments with offset table": {inTwo, []string{"\x00\x00\x00\x00" + string(e.order.AppendUint32(nil, uint32(len(odd)+16))), odd[:half], odd[half:], twoJPEG[:2], twoJPEG[2:]}, both},
		"bytes after the image":       {inTwo, []string{"", oneJPEG + "\xff\xff\xff\x00", twoJPEG}, both},
		"offset table too short":      {inTwo, []string{"\x00\x00\x00\x00", oneJPEG, twoJPEG}, both},
	} {
		t.Run(name, func(t *testing.T) {
			fragments := make([]string, len(test.fragments))
			for i, fragment := range test.fragments {
				fragments[i] = e.fragment(fragment)
			}
			got, err := convert(t, test.pixels.attributes()+e.sequence(0x7fe00010, "OB", fragments...), dataset.JPEGBaseline)
			require.NoError(t, err)
			before, value := pixelData(t, got)
			assert.Equal(t, test.pixels.attributes(), before)
			assertSimilar(t, append(test.want, make([]byte, len(test.want)%2)...), value, 2)
		})
	}
}

func TestColoursOfJPEGBaselineBecomeRGB(t *testing.T) {
	m, encoded := coloured(t, 20, 18)
	var rgb, planes []byte
	for i := 0; i < len(m.Pix); i += 4 {
		rgb = append(rgb, m.Pix[i:i+3]...)
	}
	// The same components, stored without conversion to luminance and chrominance: frames say so by names, or do not.
	raw := image.NewYCbCr(m.Rect, image.YCbCrSubsampleRatio444)
	for i := range raw.Y {
		raw.Y[i], raw.Cb[i], raw.Cr[i] = m.Pix[4*i], m.Pix[4*i+1], m.Pix[4*i+2]
	}
	planes = []byte(encode(t, raw))
	named := append([]byte{}, planes...)
	renamed := renameComponents(t, named)
	e := explicit
	for name, test := range map[string]struct {
		photometric, planar string
		frame               string
		limit               float64
	}{
		"YBR_FULL_422":              {"YBR_FULL_422", "0", encoded, 6},
		"YBR_FULL by plane":         {"YBR_FULL", "1", encoded, 6},
		"no Planar Configuration":   {"YBR_FULL", "", encoded, 6},
		"RGB":                       {"RGB ", "0", string(planes), 6},
		"RGB with named components": {"RGB ", "0", renamed, 6},
	} {
		t.Run(name, func(t *testing.T) {
			p := pixels{samples: 3, rows: 18, columns: 20, bits: 8, photometric: test.photometric, planar: test.planar}
			got, err := convert(t, p.attributes()+e.sequence(0x7fe00010, "OB", e.fragment(""), e.fragment(test.frame)), dataset.JPEGBaseline)
			require.NoError(t, err)
			before, value := pixelData(t, got)
			p.photometric, p.planar = "RGB ", "0"
			assert.Equal(t, p.attributes(), before)
			assertSimilar(t, rgb, value, test.limit)
		})
	}
}

// renameComponents renames the components of a JPEG image to R, G and B, which means that they are not luminance and chrominance.
func renameComponents(t *testing.T, b []byte) string {
	t.Helper()
	for i := 2; i < len(b); i += 2 + int(b[i+2])<<8 + int(b[i+3]) {
		switch b[i+1] {
		case 0xc0:
			b[i+10], b[i+13], b[i+16] = 'R', 'G', 'B'
		case 0xda:
			b[i+5], b[i+7], b[i+9] = 'R', 'G', 'B'
			return string(b)
		}
	}
	t.Fatal("no scan")
	return ""
}

func TestPixelDataOfItemsIsDecoded(t *testing.T) {
	e := explicit
	icon := pixels{samples: 1, rows: 1, columns: 2, bits: 8, photometric: "MONOCHROME2 "}
	main := pixels{samples: 1, rows: 1, columns: 4, bits: 8, photometric: "MONOCHROME2 "}
	got, err := convert(t, main.attributes()+
		e.sequence(0x00880200, "SQ", e.item(icon.attributes(), e.sequence(0x7fe00010, "OB", e.fragment(""), e.fragment(rle("\x01ab")))), e.item(e.element(0x7fe00010, "OB", "cd")))+
		e.sequence(0x7fe00010, "OB", e.fragment(""), e.fragment(rle("\x03efgh"))), dataset.RLELossless)
	require.NoError(t, err)
	assert.Equal(t, main.attributes()+
		e.sequence(0x00880200, "SQ", e.item(icon.attributes(), e.element(0x7fe00010, "OW", "ab")), e.item(e.element(0x7fe00010, "OB", "cd")))+
		e.element(0x7fe00010, "OW", "efgh"), got)

	_, encoded := grey(t, 2, 1)
	got, err = convert(t, e.sequence(0x00880200, "SQ", e.item(icon.attributes(), e.sequence(0x7fe00010, "OB", e.fragment(""), e.fragment(encoded)))), dataset.JPEGBaseline)
	require.NoError(t, err)
	assert.Contains(t, got, icon.attributes()+e.header(0x7fe00010, "OW", 2))
}

func TestPixelDataThatCannotBeDecodedIsAnError(t *testing.T) {
	e := explicit
	good := pixels{samples: 1, rows: 1, columns: 2, bits: 8, photometric: "MONOCHROME2 "}
	frame := rle("\x01ab")
	with := func(change func(*pixels)) pixels { p := good; change(&p); return p }
	unsupported, failed, limit, truncated := new(*transcode.UnsupportedError), new(*transcode.FrameError), new(*dataset.LimitError), new(*stream.TruncatedError)
	all := e.fragment("") + e.fragment(frame)
	for name, test := range map[string]struct {
		pixels    pixels
		fragments string
		want      any
	}{
		"no rows":                    {with(func(p *pixels) { p.rows = 0 }), all, unsupported},
		"no samples":                 {with(func(p *pixels) { p.samples = 0 }), all, unsupported},
		"many samples":               {with(func(p *pixels) { p.samples = 5 }), all, unsupported},
		"1 bit":                      {with(func(p *pixels) { p.bits = 1 }), all, unsupported},
		"many bits":                  {with(func(p *pixels) { p.bits = 128 }), all, unsupported},
		"no number of frames":        {with(func(p *pixels) { p.frames = "x " }), all, unsupported},
		"negative number of frames":  {with(func(p *pixels) { p.frames = "-1" }), all, unsupported},
		"too large a frame":          {with(func(p *pixels) { p.rows, p.columns = 65535, 65535 }), all, limit},
		"too many frames":            {with(func(p *pixels) { p.rows, p.frames = 2, "2147483647  " }), all, limit},
		"no fragment":                {good, "", unsupported},
		"no frame":                   {good, e.fragment(""), unsupported},
		"a frame too few":            {with(func(p *pixels) { p.frames = "2 " }), all, unsupported},
		"a frame too many":           {with(func(p *pixels) { p.frames = "2 " }), all + e.fragment(frame) + e.fragment(frame), unsupported},
		"short frame":                {good, e.fragment("") + e.fragment("abcd"), failed},
		"other number of segments":   {good, e.fragment("") + e.fragment(rle("\x01ab", "\x01cd")), failed},
		"more segments than allowed": {with(func(p *pixels) { p.samples, p.bits = 4, 32 }), all, failed},
		"segment outside":            {good, e.fragment("") + e.fragment("\x01\x00\x00\x00\xff\x00\x00\x00"+frame[8:]), failed},
		"segment in the header":      {good, e.fragment("") + e.fragment("\x01\x00\x00\x00\x10\x00\x00\x00"+frame[8:]), failed},
		"short segment":              {good, e.fragment("") + e.fragment(rle("\x00a")), failed},
		"short run":                  {good, e.fragment("") + e.fragment(rle("\x05a")), failed},
		"half a run":                 {good, e.fragment("") + e.fragment(rle("\x00a\x80\xff")), failed},
		"truncated frame":            {good, e.fragment("") + e.header(0xfffee000, "", 1000), truncated},
	} {
		t.Run("RLE/"+name, func(t *testing.T) {
			_, err := convert(t, test.pixels.attributes()+e.sequence(0x7fe00010, "OB", test.fragments), dataset.RLELossless)
			require.ErrorAs(t, err, test.want)
			assert.NotEmpty(t, err.Error())
		})
	}
	_, encoded := grey(t, 2, 1)
	_, other := grey(t, 3, 3)
	_, colour := coloured(t, 2, 1)
	sof := strings.Index(encoded, "\xff\xc0")
	comment := "\xff\xfe\xff\xff" + strings.Repeat("x", 65533)
	for name, test := range map[string]struct {
		pixels    pixels
		fragments string
		want      any
	}{
		"16 bits":                    {with(func(p *pixels) { p.bits = 16 }), e.fragment("") + e.fragment(encoded), unsupported},
		"2 samples":                  {with(func(p *pixels) { p.samples = 2 }), e.fragment("") + e.fragment(encoded), unsupported},
		"other size":                 {good, e.fragment("") + e.fragment(other), failed},
		"other number of components": {good, e.fragment("") + e.fragment(colour), failed},
		"no image":                   {good, e.fragment("") + e.fragment("whatever"), failed},
		"empty image":                {good, e.fragment("") + e.fragment("\xff\xd8"), failed},
		"half a marker":              {good, e.fragment("") + e.fragment(encoded[:sof]+"\xff\xff\xff\xff"), failed},
		"no marker":                  {good, e.fragment("") + e.fragment("\xff\xd8abcd"), failed},
		"a marker without segment":   {good, e.fragment("") + e.fragment("\xff\xd8\xff\xd0"+encoded[2:]), failed},
		"a segment without length":   {good, e.fragment("") + e.fragment("\xff\xd8\xff\xe0\x00\x01"), failed},
		"end in a segment":           {good, e.fragment("") + e.fragment("\xff\xd8\xff\xe0\x10\x00abc"), failed},
		"end in the frame header":    {good, e.fragment("") + e.fragment(encoded[:sof+6]), failed},
		"short frame header":         {good, e.fragment("") + e.fragment("\xff\xd8\xff\xc0\x00\x04ab"), failed},
		"12 bits":                    {good, e.fragment("") + e.fragment(encoded[:sof+4]+"\x0c"+encoded[sof+5:]), failed},
		"progressive":                {good, e.fragment("") + e.fragment(encoded[:sof+1]+"\xc2"+encoded[sof+2:]), failed},
		"lossless":                   {good, e.fragment("") + e.fragment(encoded[:sof+1]+"\xc3"+encoded[sof+2:]), failed},
		"end in the image":           {good, e.fragment("") + e.fragment(encoded[:len(encoded)-6]), failed},
		"truncated":                  {good, e.fragment("") + e.header(0xfffee000, "", len(encoded)+2) + encoded, new(*stream.TruncatedError)},
		"offset table does not fit":  {with(func(p *pixels) { p.frames = "2 " }), e.fragment("\x00\x00\x00\x00\x10\x00\x00\x00") + e.fragment(encoded) + e.fragment(encoded), unsupported},
		"luminance in an item":       {good, "", unsupported},
	} {
		t.Run("JPEG/"+name, func(t *testing.T) {
			b := test.pixels.attributes() + e.sequence(0x7fe00010, "OB", test.fragments)
			if name == "luminance in an item" {
				p := pixels{samples: 3, rows: 1, columns: 2, bits: 8, photometric: "YBR_FULL"}
				b = e.sequence(0x00880200, "SQ", e.item(p.attributes(), e.sequence(0x7fe00010, "OB", e.fragment(""), e.fragment(colour))))
			}
			_, err := convert(t, b, dataset.JPEGBaseline)
			require.ErrorAs(t, err, test.want)
		})
	}
	r, err := transcode.NewReader(strings.NewReader(good.attributes()+e.sequence(0x7fe00010, "OB", e.fragment(""), e.fragment("\xff\xd8"+strings.Repeat(comment, 17)+encoded[2:]))), dataset.JPEGBaseline, transcode.Limits{})
	require.NoError(t, err)
	_, err = r.WriteTo(io.Discard)
	require.ErrorAs(t, err, failed)
	_, err = convert(t, e.sequence(0x00091001, "OB", e.fragment("")), dataset.RLELossless)
	require.ErrorAs(t, err, unsupported)
}

func TestAnEncodedFrameIsLimited(t *testing.T) {
	e := explicit
	p := pixels{samples: 1, rows: 1, columns: 2, bits: 8, photometric: "MONOCHROME2 "}
	r, err := transcode.NewReader(strings.NewReader(p.attributes()+e.sequence(0x7fe00010, "OB", e.fragment(""), e.fragment(strings.Repeat("x", 2000)))), dataset.RLELossless, transcode.Limits{MaxFrame: 1000})
	require.NoError(t, err)
	_, err = r.WriteTo(io.Discard)
	require.ErrorAs(t, err, new(*dataset.LimitError))
}
