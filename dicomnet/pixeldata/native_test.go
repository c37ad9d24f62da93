package pixeldata_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pixeldata"
)

func TestNativeFramesAreCutByTheirSize(t *testing.T) {
	const six = "aabbccddeeff"
	for name, c := range map[string]struct {
		data    string
		numbers []int
		want    []string
	}{
		"one frame":                       {module("", 2, 3, 8) + native("OB", "abcdef"), []int{1}, []string{"abcdef"}},
		"one frame of odd size, padded":   {module("", 1, 3, 8) + native("OB", "abc\x00"), []int{1}, []string{"abc"}},
		"one frame of odd size, unpadded": {module("", 1, 3, 8) + native("OB", "abc"), []int{1}, []string{"abc"}},
		"all frames":                      {module("3", 1, 4, 8) + native("OB", six), []int{1, 2, 3}, []string{"aabb", "ccdd", "eeff"}},
		"a frame in the middle":           {module("3", 1, 4, 8) + native("OB", six), []int{2}, []string{"ccdd"}},
		"frames in another order":         {module("3", 1, 4, 8) + native("OB", six), []int{3, 1, 2}, []string{"eeff", "aabb", "ccdd"}},
		"frames of odd size":              {module("3", 1, 3, 8) + native("OB", "abcdefghi\x00"), []int{2, 3}, []string{"def", "ghi"}},
		"16 bits":                         {module("2", 1, 2, 16) + native("OW", "aabbccdd"), []int{2}, []string{"ccdd"}},
		"32 bits":                         {module("2", 1, 1, 32) + native("OW", "aaaabbbb"), []int{2}, []string{"bbbb"}},
		"12 bits, packed":                 {module("2", 1, 1, 12) + native("OW", "\xBC\x3A\x12\x00"), []int{1, 2}, []string{"\xBC\x0A", "\x23\x01"}},
		"a pixel of one byte":             {module("", 1, 1, 8) + native("OB", "a\x00"), []int{1}, []string{"a"}},
		"colour":                          {samples("2", 3, "RGB", 1, 1, 8) + native("OB", "rgbRGB"), []int{2}, []string{"RGB"}},
		"subsampled colour":               {samples("2", 3, "YBR_FULL_422", 1, 2, 8) + native("OB", "yybrYYBR"), []int{2}, []string{"YYBR"}},
		"colour that only the name says is subsampled": {
			samples("2", 3, "YBR_FULL_422", 1, 2, 8) + native("OB", "yyybbbYYYBBB"), []int{2}, []string{"YYYBBB"},
		},
		"float":  {module("2", 1, 1, 32) + element(0x7FE0, 0x0008, "OF", "aaaabbbb"), []int{2}, []string{"bbbb"}},
		"double": {module("2", 1, 1, 64) + element(0x7FE0, 0x0009, "OD", "aaaaaaaabbbbbbbb"), []int{2}, []string{"bbbbbbbb"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, explicit, c.data, c.numbers...)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

// A frame of 3x3 bits is 9 bits long, so that only the first begins with a byte.
func TestFramesOfBitsAreMovedToBeginWithAByte(t *testing.T) {
	// 1_1000_0001, 0_1111_1110, 1_0101_0101, from the lowest bit of the first byte.
	data := module("3", 3, 3, 1) + native("OB", "\x81\xFD\x55\x05")
	for _, numbers := range [][]int{{1, 2, 3}, {2}, {3, 1}, {1, 3}, {3, 2, 1}} {
		got, err := read(t, explicit, data, numbers...)
		require.NoError(t, err)
		all := []string{"\x81\x01", "\xFE\x00", "\x55\x01"}
		for i, n := range numbers {
			require.Equal(t, all[n-1], got[i], "%v", numbers)
		}
	}
	got, err := read(t, explicit, module("4", 1, 2, 1)+native("OB", "\b11100100"[1:]), 1)
	require.Error(t, err, "eight bytes are more than another frame: %v", got)
	got, err = read(t, explicit, module("4", 1, 2, 1)+native("OB", "\xE4\x00"), 4, 3, 2, 1)
	require.NoError(t, err)
	require.Equal(t, []string{"\x03", "\x02", "\x01", "\x00"}, got)
}

func TestBigEndianBecomesLittleEndian(t *testing.T) {
	be := func(group, number uint16, vr, value string) string {
		return string([]byte{byte(group >> 8), byte(group), byte(number >> 8), byte(number)}) + vr + string([]byte{0, byte(len(value))}) + value
	}
	data := be(0x0028, 0x0010, "US", "\x00\x01") + be(0x0028, 0x0011, "US", "\x00\x02") + be(0x0028, 0x0100, "US", "\x00\x10") +
		"\x7F\xE0\x00\x10OW\x00\x00\x00\x00\x00\x04\x12\x34\x56\x78"
	got, err := read(t, dataset.ExplicitVRBigEndian, data, 1)
	require.NoError(t, err)
	require.Equal(t, []string{"\x34\x12\x78\x56"}, got)
}

func TestAFrameThatDoesNotExistIsAnError(t *testing.T) {
	data := module("3", 1, 4, 8) + native("OB", "aabbccddeeff")
	for _, numbers := range [][]int{{4}, {0}, {-1}, {1, 4}, {1, 1}, {2, 1, 2}} {
		got, err := read(t, explicit, data, numbers...)
		var missing *pixeldata.NoFrameError
		require.ErrorAs(t, err, &missing, "%v", numbers)
		require.Empty(t, got)
	}
	got, err := read(t, explicit, data)
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestPixelDataThatContradictTheirAttributesAreAnError(t *testing.T) {
	for name, data := range map[string]string{
		"too short for one frame":    module("", 2, 3, 8) + native("OB", "abcd"),
		"too short for all frames":   module("3", 1, 4, 8) + native("OB", "aabbccdd"),
		"another frame":              module("2", 1, 4, 8) + native("OB", "aabbccddeeff"),
		"no rows":                    module("", 0, 3, 8) + native("OB", "abcd"),
		"no bits":                    module("", 2, 2, 0) + native("OB", "abcd"),
		"more bits than a number":    module("", 2, 2, 65) + native("OB", "abcd"),
		"more frames than any value": module("2147483647", 65535, 65535, 64) + native("OB", "abcd"),
		"fragments in explicit VR":   module("", 1, 4, 8) + encapsulated("", "abcd"),
		"no attributes":              native("OB", "abcd"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(t, explicit, data, 1)
			var malformed *pixeldata.FormatError
			require.ErrorAs(t, err, &malformed)
		})
	}
	_, err := read(t, jpegBaseline, module("", 1, 4, 8)+native("OB", "abcd"), 1)
	var malformed *pixeldata.FormatError
	require.ErrorAs(t, err, &malformed, "native pixels in an encapsulated transfer syntax")
	for _, frames := range []string{"0", "-1", "x", "1.5", "99999999999"} {
		_, err = read(t, explicit, module(frames, 1, 4, 8)+native("OB", "abcd"), 1)
		var indeterminate *pixeldata.IndeterminateError
		require.ErrorAs(t, err, &indeterminate, frames)
	}
}

func TestAnInstanceWithoutPixelDataIsAnError(t *testing.T) {
	icon := element(0x0088, 0x0200, "SQ", item(module("", 1, 2, 8)+native("OB", "ab")))
	for _, data := range []string{"", module("", 1, 2, 8), icon} {
		_, err := read(t, explicit, data, 1)
		var none *pixeldata.NoPixelDataError
		require.ErrorAs(t, err, &none)
	}
}

func TestADataSetThatEndsEarlyIsAnError(t *testing.T) {
	whole := module("2", 1, 4, 8) + native("OB", "aabbccdd")
	for n := range len(whole) {
		got, err := read(t, explicit, whole[:n], 1, 2)
		require.Error(t, err, "%d bytes", n)
		require.Less(t, len(got), 2)
	}
}

func TestFramesThatMustBeHeldAreLimited(t *testing.T) {
	limits := pixeldata.Limits{Held: 10}
	data := module("4", 1, 6, 8) + native("OB", strings.Repeat("abcdef", 4))
	got, err := readWithin(t, limits, explicit, data, 1, 2, 3, 4)
	require.NoError(t, err, "in order nothing is held")
	require.Len(t, got, 4)
	got, err = readWithin(t, limits, explicit, data, 2, 1, 4, 3)
	require.NoError(t, err, "one at a time")
	require.Len(t, got, 4)
	_, err = readWithin(t, limits, explicit, data, 3, 2, 1)
	var limit *pixeldata.LimitError
	require.ErrorAs(t, err, &limit)
	_, err = readWithin(t, pixeldata.Limits{Held: 1}, explicit, module("2", 3, 3, 1)+native("OB", "\x81\xFD\x02\x00"), 1)
	require.ErrorAs(t, err, &limit)
}

// budget is a Memory of so many bytes.
type budget struct{ left int64 }

func (b *budget) TryTake(n int64) bool {
	if n > b.left {
		return false
	}
	b.left -= n
	return true
}

func (b *budget) Give(n int64) { b.left += n }

func TestFramesThatMustBeHeldAreTakenFromTheMemory(t *testing.T) {
	data := module("3", 1000, 1000, 8) + native("OB", strings.Repeat("a", 3_000_000))
	memory := &budget{left: 3 << 20}
	limits := pixeldata.Limits{Memory: memory}
	got, err := readWithin(t, limits, explicit, data, 3, 1, 2)
	require.NoError(t, err)
	require.Len(t, got, 3)
	require.EqualValues(t, 3<<20, memory.left)
	memory.left = 1 << 20
	_, err = readWithin(t, limits, explicit, data, 3, 1, 2)
	var busy *pixeldata.BusyError
	require.ErrorAs(t, err, &busy)
	require.EqualValues(t, 1<<20, memory.left)
}

func TestOpenKeepsWhatTheCallerSelects(t *testing.T) {
	sequence := element(0x0028, 0x3010, "SQ", item(element(0x0028, 0x3002, "US", us(1, 2, 3))+element(0x0028, 0x3003, "LO", "no")))
	data := element(0x0008, 0x0016, "UI", "1.2.3\x00") + element(0x0008, 0x0060, "CS", "CT") + module("", 1, 1, 8) +
		element(0x0028, 0x1201, "OW", strings.Repeat("x", 70000)) + sequence + native("OB", "a\x00")
	selected := []dataset.Tag{{Group: 0x0008, Element: 0x0016}, {Group: 0x0028, Element: 0x1201}, {Group: 0x0028, Element: 0x3010}, {Group: 0x0028, Element: 0x3002}}
	keep := func(tag dataset.Tag) bool { return slices.Contains(selected, tag) }
	source, err := pixeldata.Open(strings.NewReader(data), explicit, keep, pixeldata.Limits{})
	require.NoError(t, err)
	defer source.Close()
	a := source.Attributes
	require.Equal(t, "1.2.3", a.String(selected[0]))
	require.False(t, a.Has(dataset.Tag{Group: 0x0008, Element: 0x0060}))
	b, _ := a.Bytes(selected[1])
	require.Len(t, b, 70000)
	items := a.Items(selected[2])
	require.Len(t, items, 1)
	require.Equal(t, 1, items[0].Len())
	require.Equal(t, 1, source.Rows)

	_, err = pixeldata.Open(strings.NewReader(data), explicit, keep, pixeldata.Limits{Attributes: 1000})
	var limit *pixeldata.LimitError
	require.ErrorAs(t, err, &limit)
}
