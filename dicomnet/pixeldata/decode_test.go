package pixeldata_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/pixeldata"
)

// encodeRLE encodes native samples of a pixel together, each least significant byte first, as literal runs and replicated runs.
func encodeRLE(pixels []byte, bytesPerSample, perPixel int) []byte {
	stride := bytesPerSample * perPixel
	header := make([]byte, 64)
	binary.LittleEndian.PutUint32(header, uint32(stride))
	var body []byte
	for segment := range stride {
		binary.LittleEndian.PutUint32(header[4+4*segment:], uint32(64+len(body)))
		sample, significance := segment/bytesPerSample, bytesPerSample-1-segment%bytesPerSample
		for at := sample*bytesPerSample + significance; at < len(pixels); {
			run := 1
			for run < 128 && at+run*stride < len(pixels) && pixels[at+run*stride] == pixels[at] {
				run++
			}
			if run > 1 {
				body = append(body, byte(1-run), pixels[at])
			} else {
				body = append(body, 0, pixels[at])
			}
			at += run * stride
		}
		if len(body)%2 == 1 {
			body = append(body, 0)
		}
	}
	return slices.Concat(header, body)
}

func TestRLEBecomesNative(t *testing.T) {
	const rows, columns = 5, 7
	for _, l := range []pixeldata.Layout{
		{Samples: 1, BitsAllocated: 8},
		{Samples: 1, BitsAllocated: 16},
		{Samples: 3, BitsAllocated: 8},
		{Samples: 3, BitsAllocated: 16},
		{Samples: 1, BitsAllocated: 32},
	} {
		l.Rows, l.Columns = rows, columns
		pixels := make([]byte, l.Size())
		for i := range pixels {
			pixels[i] = byte(i / 6 * 31)
		}
		got, err := pixeldata.DecodeRLE(nil, encodeRLE(pixels, l.BitsAllocated/8, l.Samples), l)
		require.NoError(t, err)
		require.Equal(t, pixels, got, "%+v", l)
	}
}

func TestRLEKeepsThePlanarConfiguration(t *testing.T) {
	l := pixeldata.Layout{Rows: 2, Columns: 2, Samples: 3, BitsAllocated: 8}
	frame := encodeRLE([]byte("rgbRGBxyzXYZ"), 1, 3)
	got, err := pixeldata.DecodeRLE(nil, frame, l)
	require.NoError(t, err)
	require.Equal(t, "rgbRGBxyzXYZ", string(got))
	l.PlanarConfiguration = 1
	got, err = pixeldata.DecodeRLE(nil, frame, l)
	require.NoError(t, err)
	require.Equal(t, "rRxXgGyYbBzZ", string(got))
	f, err := pixeldata.OpenRLE(frame, l)
	require.NoError(t, err)
	_, err = f.Next(nil)
	require.ErrorIs(t, err, io.ErrShortBuffer)
	var parts []string
	for {
		b, err := f.Next(make([]byte, 3))
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		parts = append(parts, string(b))
	}
	require.Equal(t, []string{"rRx", "X", "gGy", "Y", "bBz", "Z"}, parts)
}

func TestRLEOfLongRunsAndPadding(t *testing.T) {
	l := pixeldata.Layout{Rows: 2, Columns: 100, Samples: 1, BitsAllocated: 8}
	frame := append(encodeRLE(bytes.Repeat([]byte{7}, 200), 1, 1), 0x80, 5, 5, 5, 5)
	got, err := pixeldata.DecodeRLE(make([]byte, 3, 500), frame, l)
	require.NoError(t, err)
	require.Equal(t, bytes.Repeat([]byte{7}, 200), got)
	noOperation := slices.Concat(encodeRLE(nil, 1, 1)[:64], []byte{0x80, 0x81, 9, 0xB9, 9})
	binary.LittleEndian.PutUint32(noOperation[4:], 64)
	got, err = pixeldata.DecodeRLE(nil, noOperation, l)
	require.NoError(t, err)
	require.Equal(t, bytes.Repeat([]byte{9}, 200), got)
}

func TestMalformedRLEIsAnError(t *testing.T) {
	l := pixeldata.Layout{Rows: 2, Columns: 4, Samples: 1, BitsAllocated: 16}
	good := encodeRLE(bytes.Repeat([]byte{1, 2}, 8), 2, 1)
	change := func(at int, value uint32) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint32(b[at:], value)
		return b
	}
	for name, frame := range map[string][]byte{
		"empty": nil, "header only": good[:64], "half a header": good[:30], "half": good[:len(good)-2],
		"too many segments": change(0, 3), "too few": change(0, 1), "no segments": change(0, 0), "outside": change(8, 4000),
		"descending": change(4, 68), "in the header": change(4, 8),
	} {
		_, err := pixeldata.DecodeRLE(nil, frame, l)
		var malformed *pixeldata.FormatError
		require.ErrorAs(t, err, &malformed, name)
	}
	huge := l
	huge.Rows, huge.Columns = 8000, 8000
	_, err := pixeldata.DecodeRLE(nil, good, huge)
	require.ErrorContains(t, err, "too short", "nothing is allocated for pixels that cannot be there")
	huge.Rows, huge.Columns = 65535, 65535
	_, err = pixeldata.DecodeRLE(nil, good, huge)
	var limit *pixeldata.LimitError
	require.ErrorAs(t, err, &limit)
	l.BitsAllocated = 12
	_, err = pixeldata.DecodeRLE(nil, good, l)
	require.Error(t, err)
}

func encodeJPEG(t *testing.T, picture image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, picture, &jpeg.Options{Quality: 100}))
	return b.Bytes()
}

func gradient(rows, columns int) *image.RGBA {
	picture := image.NewRGBA(image.Rect(0, 0, columns, rows))
	for y := range rows {
		for x := range columns {
			picture.Set(x, y, color.RGBA{R: uint8(x * 255 / columns), G: uint8(y * 255 / rows), B: 80, A: 255})
		}
	}
	return picture
}

func TestJPEGBecomesNative(t *testing.T) {
	picture := gradient(33, 47)
	l := pixeldata.Layout{Rows: 33, Columns: 47, Samples: 3, BitsAllocated: 8, Photometric: "YBR_FULL_422"}
	got, photometric, err := pixeldata.DecodeJPEG(nil, encodeJPEG(t, picture), l)
	require.NoError(t, err)
	require.Equal(t, "RGB", photometric)
	require.Len(t, got, 3*33*47)
	for i := range 33 * 47 {
		for c := range 3 {
			require.InDelta(t, picture.Pix[4*i+c], got[3*i+c], 8, "pixel %d", i)
		}
	}

	grey := image.NewGray(picture.Bounds())
	for i := range grey.Pix {
		grey.Pix[i] = byte(i / 47 * 7)
	}
	l.Samples, l.Photometric = 1, "MONOCHROME1"
	got, photometric, err = pixeldata.DecodeJPEG(make([]byte, 0, 10000), encodeJPEG(t, grey), l)
	require.NoError(t, err)
	require.Equal(t, "MONOCHROME1", photometric)
	for i := range grey.Pix {
		require.InDelta(t, grey.Pix[i], got[i], 3)
	}
}

func TestPhotometricInterpretationDecidesWhatTheComponentsOfAJPEGAre(t *testing.T) {
	one := image.NewRGBA(image.Rect(0, 0, 8, 8))
	for i := range one.Pix {
		one.Pix[i] = [4]byte{200, 40, 10, 255}[i%4]
	}
	frame := encodeJPEG(t, one)
	adobe := append([]byte(string(frame[:2])+"\xFF\xEE\x00\x0EAdobe\x00\x64\x00\x00\x00\x00\x01"), frame[2:]...)
	y, cb, cr := color.RGBToYCbCr(200, 40, 10)
	for photometric, want := range map[string][3]byte{"RGB": {y, cb, cr}, "YBR_FULL": {200, 40, 10}, "YBR_FULL_422": {200, 40, 10}} {
		for _, data := range [][]byte{frame, adobe} {
			l := pixeldata.Layout{Rows: 8, Columns: 8, Samples: 3, BitsAllocated: 8, Photometric: photometric}
			got, _, err := pixeldata.DecodeJPEG(nil, data, l)
			require.NoError(t, err)
			for i, v := range want {
				require.InDelta(t, v, got[i], 3, photometric)
			}
		}
	}
}

func TestAJPEGThatDoesNotFitTheImageIsAnError(t *testing.T) {
	frame := encodeJPEG(t, gradient(16, 16))
	l := pixeldata.Layout{Rows: 16, Columns: 16, Samples: 3, BitsAllocated: 8, Photometric: "YBR_FULL_422"}
	for name, change := range map[string]func(*pixeldata.Layout, *[]byte){
		"rows":    func(l *pixeldata.Layout, _ *[]byte) { l.Rows = 15 },
		"columns": func(l *pixeldata.Layout, _ *[]byte) { l.Columns = 17 },
		"samples": func(l *pixeldata.Layout, _ *[]byte) { l.Samples = 1 },
		"nothing": func(_ *pixeldata.Layout, b *[]byte) { *b = nil },
		"half":    func(_ *pixeldata.Layout, b *[]byte) { *b = (*b)[:len(*b)/2] },
		"text":    func(_ *pixeldata.Layout, b *[]byte) { *b = []byte(strings.Repeat("no JPEG", 10)) },
	} {
		l, b := l, frame
		change(&l, &b)
		_, _, err := pixeldata.DecodeJPEG(nil, b, l)
		var malformed *pixeldata.FormatError
		require.ErrorAs(t, err, &malformed, name)
	}
	l.Rows, l.Columns = 65535, 65535
	_, _, err := pixeldata.DecodeJPEG(nil, frame, l)
	var limit *pixeldata.LimitError
	require.ErrorAs(t, err, &limit)
}
