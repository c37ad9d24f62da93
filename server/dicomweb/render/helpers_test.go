package render_test

import (
	"encoding/binary"
	"image"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/server/dicomweb/render"
)

// element encodes an element in Explicit VR Little Endian.
func element(group, number uint16, vr, value string) string {
	le := binary.LittleEndian
	b := le.AppendUint16(le.AppendUint16(nil, group), number)
	b = append(b, vr...)
	if len(value)%2 == 1 {
		value += map[bool]string{true: "\x00", false: " "}[strings.HasPrefix(vr, "O")]
	}
	if slices.Contains([]string{"OB", "OW", "OF", "OD", "SQ"}, vr) {
		return string(le.AppendUint32(append(b, 0, 0), uint32(len(value)))) + value
	}
	return string(le.AppendUint16(b, uint16(len(value)))) + value
}

// us encodes numbers of 16 bits.
func us(values ...int) string {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	return string(b)
}

func item(value string) string {
	return string(binary.LittleEndian.AppendUint32([]byte("\xFE\xFF\x00\xE0"), uint32(len(value)))) + value
}

// object describes an image.
type object struct {
	photometric             string
	rows, columns, samples  int
	bits, stored, high      int
	signed, planar          int
	frames                  string
	before, middle, palette string // elements before the Image Pixel module, after it, and after those
}

func (o object) encode(pixels string) string {
	if o.samples == 0 {
		o.samples = 1
	}
	if o.stored == 0 {
		o.stored = o.bits
	}
	if o.high == 0 {
		o.high = o.stored - 1
	}
	vr := "OW"
	if o.bits <= 8 {
		vr = "OB"
	}
	s := o.before + element(0x0028, 0x0002, "US", us(o.samples)) + element(0x0028, 0x0004, "CS", o.photometric) +
		element(0x0028, 0x0006, "US", us(o.planar))
	if o.frames != "" {
		s += element(0x0028, 0x0008, "IS", o.frames)
	}
	return s + element(0x0028, 0x0010, "US", us(o.rows)) + element(0x0028, 0x0011, "US", us(o.columns)) +
		element(0x0028, 0x0100, "US", us(o.bits)) + element(0x0028, 0x0101, "US", us(o.stored)) + element(0x0028, 0x0102, "US", us(o.high)) +
		element(0x0028, 0x0103, "US", us(o.signed)) + o.middle + o.palette + element(0x7FE0, 0x0010, vr, pixels)
}

func encapsulated(o object, fragments ...string) string {
	native := o.encode("")
	items := make([]string, 0, len(fragments))
	for _, f := range fragments {
		items = append(items, item(f))
	}
	return native[:len(native)-12] + "\xE0\x7F\x10\x00OB\x00\x00\xFF\xFF\xFF\xFF" + item("") + strings.Join(items, "") +
		"\xFE\xFF\xDD\xE0\x00\x00\x00\x00"
}

func window(centre, width, function string) string {
	s := element(0x0028, 0x1050, "DS", centre) + element(0x0028, 0x1051, "DS", width)
	if function != "" {
		s += element(0x0028, 0x1056, "CS", function)
	}
	return s
}

func rescale(intercept, slope string) string {
	return element(0x0028, 0x1052, "DS", intercept) + element(0x0028, 0x1053, "DS", slope)
}

// picture renders a frame with query parameters, given as name, value.
func picture(t *testing.T, data string, number int, parameters ...string) (image.Image, error) {
	t.Helper()
	return pictureIn(t, dataset.ExplicitVRLittleEndian, data, number, parameters...)
}

func pictureIn(t *testing.T, ts dataset.TransferSyntax, data string, number int, parameters ...string) (image.Image, error) {
	t.Helper()
	values := map[string]string{}
	for i := 0; i < len(parameters); i += 2 {
		values[parameters[i]] = parameters[i+1]
	}
	p, faults := render.ParseParameters(values, false)
	require.Empty(t, faults)
	source, err := render.NewRenderer().Open(strings.NewReader(data), ts)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	for m, err := range render.NewRenderer().Frames(t.Context(), source, []int{number}, nil) {
		if err != nil {
			return nil, err
		}
		return p.Picture(m)
	}
	return nil, io.EOF
}

// grey returns the brightness of each pixel.
func grey(t *testing.T, data string, parameters ...string) []int {
	t.Helper()
	m, err := picture(t, data, 1, parameters...)
	require.NoError(t, err)
	g, ok := m.(*image.Gray)
	require.True(t, ok)
	values := make([]int, len(g.Pix))
	for i, v := range g.Pix {
		values[i] = int(v)
	}
	return values
}

// colours returns red, green and blue of each pixel.
func colours(t *testing.T, data string, parameters ...string) [][3]int {
	t.Helper()
	m, err := picture(t, data, 1, parameters...)
	require.NoError(t, err)
	c, ok := m.(*image.RGBA)
	require.True(t, ok)
	values := make([][3]int, len(c.Pix)/4)
	for i := range values {
		values[i] = [3]int{int(c.Pix[4*i]), int(c.Pix[4*i+1]), int(c.Pix[4*i+2])}
		require.EqualValues(t, 255, c.Pix[4*i+3])
	}
	return values
}
