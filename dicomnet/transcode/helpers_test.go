package transcode_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/transcode"
)

// syntax encodes elements in one transfer syntax.
type syntax struct {
	name     string
	ts       dataset.TransferSyntax
	order    binary.AppendByteOrder
	implicit bool
}

var (
	implicit  = syntax{"Implicit", dataset.ImplicitVRLittleEndian, binary.LittleEndian, true}
	explicit  = syntax{"Explicit", dataset.ExplicitVRLittleEndian, binary.LittleEndian, false}
	bigEndian = syntax{"Big Endian", dataset.ExplicitVRBigEndian, binary.BigEndian, false}
)

const undefined = 0xffffffff

// header encodes tag, VR and length.
func (s syntax) header(tag uint32, vr string, length int) string {
	b := s.order.AppendUint16(nil, uint16(tag>>16))
	b = s.order.AppendUint16(b, uint16(tag))
	if s.implicit || tag>>16 == 0xfffe {
		return string(s.order.AppendUint32(b, uint32(length)))
	}
	b = append(b, vr...)
	if slices.Contains([]string{"OB", "OV", "OW", "SQ", "UN", "UT"}, vr) {
		return string(s.order.AppendUint32(append(b, 0, 0), uint32(length)))
	}
	return string(s.order.AppendUint16(b, uint16(length)))
}

func (s syntax) element(tag uint32, vr, value string) string {
	return s.header(tag, vr, len(value)) + value
}

func (s syntax) us(tag uint32, n int) string {
	return s.element(tag, "US", string(s.order.AppendUint16(nil, uint16(n))))
}

// sequence encodes a sequence, or fragments, of undefined length.
func (s syntax) sequence(tag uint32, vr string, items ...string) string {
	return s.header(tag, vr, undefined) + strings.Join(items, "") + s.header(0xfffee0dd, "", 0)
}

// item encodes an item of undefined length.
func (s syntax) item(content ...string) string {
	return s.header(0xfffee000, "", undefined) + strings.Join(content, "") + s.header(0xfffee00d, "", 0)
}

// fragment encodes a fragment, or an item, of defined length.
func (s syntax) fragment(content string) string {
	if len(content)%2 != 0 {
		content += "\x00"
	}
	return s.element(0xfffee000, "", content)
}

// pixels describes an image.
type pixels struct {
	samples, rows, columns, bits int
	frames                       string
	photometric                  string
	planar                       string // "", "0" or "1"
}

// attributes encodes the elements that describe the image, without Planar Configuration if that is "".
func (p pixels) attributes() string {
	s := explicit
	b := s.us(0x00280002, p.samples) + s.element(0x00280004, "CS", p.photometric)
	if p.planar != "" {
		b += s.us(0x00280006, int(p.planar[0]-'0'))
	}
	if p.frames != "" {
		b += s.element(0x00280008, "IS", p.frames)
	}
	return b + s.us(0x00280010, p.rows) + s.us(0x00280011, p.columns) + s.us(0x00280100, p.bits)
}

// convert converts a data set in every way in which a Reader can be read.
func convert(t *testing.T, b string, from dataset.TransferSyntax) (string, error) {
	t.Helper()
	read := func(r io.Reader, w func(*transcode.Reader) ([]byte, error)) (string, error) {
		converted, err := transcode.NewReader(r, from, transcode.Limits{})
		require.NoError(t, err)
		defer converted.Close()
		out, err := w(converted)
		return string(out), err
	}
	all := func(r *transcode.Reader) ([]byte, error) { return io.ReadAll(struct{ io.Reader }{r}) }
	want, err := read(strings.NewReader(b), all)
	for _, other := range []struct {
		r io.Reader
		w func(*transcode.Reader) ([]byte, error)
	}{
		{iotest.OneByteReader(strings.NewReader(b)), all},
		{strings.NewReader(b), func(r *transcode.Reader) ([]byte, error) { return io.ReadAll(iotest.OneByteReader(r)) }},
		{iotest.HalfReader(strings.NewReader(b)), func(r *transcode.Reader) ([]byte, error) {
			var out bytes.Buffer
			n, err := r.WriteTo(&out)
			assert.Equal(t, int64(out.Len()), n)
			return out.Bytes(), err
		}},
	} {
		got, otherErr := read(other.r, other.w)
		require.Equal(t, err, otherErr)
		require.True(t, got == want, "what is read depends on how")
	}
	return want, err
}

// rle encodes a frame of RLE Lossless with one segment for each byte of a pixel.
func rle(segments ...string) string {
	header := binary.LittleEndian.AppendUint32(nil, uint32(len(segments)))
	body := ""
	for _, segment := range segments {
		header = binary.LittleEndian.AppendUint32(header, uint32(64+len(body)))
		if len(segment)%2 != 0 {
			segment += "\x00"
		}
		body += segment
	}
	return string(header) + strings.Repeat("\x00", 64-len(header)) + body
}

// literal encodes bytes as literal runs.
func literal(s string) string {
	var b strings.Builder
	for ; len(s) > 128; s = s[128:] {
		b.WriteString("\x7f" + s[:128])
	}
	return b.String() + string([]byte{byte(len(s) - 1)}) + s
}

// grey returns an image with a gradient, and its JPEG encoding.
func grey(t *testing.T, width, height int) (*image.Gray, string) {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, width, height))
	for i := range m.Pix {
		m.Pix[i] = byte(i/width + i%width)
	}
	return m, encode(t, m)
}

// coloured returns an image with gradients, and its JPEG encoding.
func coloured(t *testing.T, width, height int) (*image.RGBA, string) {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.Set(x, y, color.RGBA{uint8(4 * x), uint8(4 * y), uint8(2 * (x + y)), 255})
		}
	}
	return m, encode(t, m)
}

func encode(t *testing.T, m image.Image) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, m, &jpeg.Options{Quality: 100}))
	return b.String()
}

// assertSimilar fails if the mean difference of two images is greater than limit.
func assertSimilar(t *testing.T, want []byte, got string, limit float64) {
	t.Helper()
	require.Len(t, got, len(want))
	sum := 0
	for i := range want {
		sum += max(int(want[i])-int(got[i]), int(got[i])-int(want[i]))
	}
	assert.LessOrEqual(t, float64(sum)/float64(len(want)), limit)
}
