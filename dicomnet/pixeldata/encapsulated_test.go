package pixeldata_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/pixeldata"
)

func rleFrame(content string) string { return numbers(4, 1, 64) + strings.Repeat("\x00", 56) + content }

func TestEncapsulatedFrames(t *testing.T) {
	a, b, c := codeStream("aa"), codeStream("bbbb"), codeStream("cc")
	odd := codeStream("odd")
	extended := func(offsets, lengths []uint64) string {
		return element(0x7FE0, 0x0001, "OV", numbers(8, offsets...)) + element(0x7FE0, 0x0002, "OV", numbers(8, lengths...))
	}
	jp2 := func(content string) string { return code("\xFF\x4F\xFF\x51", content) }
	for name, x := range map[string]struct {
		ts      dataset.TransferSyntax
		data    string
		numbers []int
		want    []string
	}{
		"one fragment of the only frame":        {jpegBaseline, module("", 1, 1, 8) + encapsulated("", a), []int{1}, []string{a}},
		"several fragments of the only frame":   {jpegBaseline, module("1", 1, 1, 8) + encapsulated("", a[:2], a[2:4], a[4:]), []int{1}, []string{a}},
		"a table for the only frame":            {jpegBaseline, module("1", 1, 1, 8) + encapsulated(numbers(4, 0), a[:4], a[4:]), []int{1}, []string{a}},
		"a table of fragments":                  {jpegBaseline, module("1", 1, 1, 8) + encapsulated(numbers(4, 0, 12), a[:4], a[4:]), []int{1}, []string{a}},
		"padding":                               {jpegBaseline, module("1", 1, 1, 8) + encapsulated("", odd+"\x00"), []int{1}, []string{odd}},
		"padding in a fragment of its own":      {jpegBaseline, module("1", 1, 1, 8) + encapsulated("", odd, "\x00"), []int{1}, []string{odd}},
		"zeros that are no padding":             {rle, module("1", 1, 1, 8) + encapsulated("", rleFrame("\xFF\xD9\x00\x00")), []int{1}, []string{rleFrame("\xFF\xD9\x00\x00")}},
		"a table":                               {jpegBaseline, module("3", 1, 1, 8) + encapsulated(numbers(4, 0, 16, 34), a, b, c), []int{1, 2, 3}, []string{a, b, c}},
		"a table, the last frame only":          {jpegBaseline, module("3", 1, 1, 8) + encapsulated(numbers(4, 0, 16, 34), a, b, c), []int{3}, []string{c}},
		"a table, another order":                {jpegBaseline, module("3", 1, 1, 8) + encapsulated(numbers(4, 0, 16, 34), a, b, c), []int{3, 1}, []string{c, a}},
		"a table, several fragments":            {jpegBaseline, module("2", 1, 1, 8) + encapsulated(numbers(4, 0, 34), a[:2], a[2:4], a[4:]+"\x00\x00", b), []int{1, 2}, []string{a + "\x00\x00", b}},
		"a table, padding":                      {jpegBaseline, module("2", 1, 1, 8) + encapsulated(numbers(4, 0, 18), odd+"\x00", odd+"\x00"), []int{1, 2}, []string{odd, odd}},
		"the extended table":                    {jpegBaseline, module("2", 1, 1, 8) + extended([]uint64{0, 18}, []uint64{9, 8}) + encapsulated("", odd+"\x00", a), []int{1, 2}, []string{odd, a}},
		"the extended table for JPEG XL":        {jpegXL, module("2", 1, 1, 8) + extended([]uint64{0, 12}, []uint64{3, 4}) + encapsulated("", "\xFF\x0Aa\x00", "\xFF\x0Abb"), []int{2, 1}, []string{"\xFF\x0Abb", "\xFF\x0Aa"}},
		"the extended table for the only frame": {jpegXL, module("1", 1, 1, 8) + extended([]uint64{0}, []uint64{3}) + encapsulated("", "\xFF\x0Aa\x00"), []int{1}, []string{"\xFF\x0Aa"}},
		"the extended table without lengths":    {jpegBaseline, module("2", 1, 1, 8) + element(0x7FE0, 0x0001, "OV", numbers(8, 0, 18)) + encapsulated("", odd+"\x00", a), []int{1, 2}, []string{odd, a}},
		"no table, a fragment each":             {jpegBaseline, module("3", 1, 1, 8) + encapsulated("", a, b, c), []int{1, 2, 3}, []string{a, b, c}},
		"no table, padding":                     {jpegBaseline, module("2", 1, 1, 8) + encapsulated("", odd+"\x00", odd+"\x00"), []int{2}, []string{odd}},
		"no table, several fragments":           {jpegBaseline, module("2", 1, 1, 8) + encapsulated("", a[:6], a[6:], b[:4], b[4:6], b[6:]), []int{1, 2}, []string{a, b}},
		"no table, no end marker":               {jpegBaseline, module("2", 1, 1, 8) + encapsulated("", a[:6], b), []int{2, 1}, []string{b, a[:6]}},
		"no table, JPEG 2000":                   {jpeg2000, module("2", 1, 1, 8) + encapsulated("", jp2("a"), jp2("b")), []int{2}, []string{jp2("b")}},
		"no table, RLE":                         {rle, module("2", 1, 1, 8) + encapsulated("", rleFrame("aa"), rleFrame("bb")), []int{2, 1}, []string{rleFrame("bb"), rleFrame("aa")}},
		"no table, JPEG XL":                     {jpegXL, module("2", 1, 1, 8) + encapsulated("", "\xFF\x0Aaa", "\xFF\x0Abb"), []int{1, 2}, []string{"\xFF\x0Aaa", "\xFF\x0Abb"}},
		"a video of one frame":                  {mpeg4, module("1", 1, 1, 8) + encapsulated("", "aa", "bb"), []int{1}, []string{"aabb"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, x.ts, x.data, x.numbers...)
			require.NoError(t, err)
			require.Equal(t, x.want, got)
		})
	}
}

func TestAFrameWhosePlaceIsNotCertainIsAnError(t *testing.T) {
	a, b, c := codeStream("aa"), codeStream("bbbb"), codeStream("cc")
	extended := func(offsets, lengths string) string {
		return element(0x7FE0, 0x0001, "OV", offsets) + element(0x7FE0, 0x0002, "OV", lengths)
	}
	for name, x := range map[string]struct {
		ts   dataset.TransferSyntax
		data string
	}{
		"a table with too few entries":         {jpegBaseline, module("3", 1, 1, 8) + encapsulated(numbers(4, 0, 16), a, b, c)},
		"a table with too many entries":        {jpegBaseline, module("2", 1, 1, 8) + encapsulated(numbers(4, 0, 16, 34), a, b, c)},
		"a table that does not begin with 0":   {jpegBaseline, module("2", 1, 1, 8) + encapsulated(numbers(4, 16, 34), a, b, c)},
		"a table that descends":                {jpegBaseline, module("3", 1, 1, 8) + encapsulated(numbers(4, 0, 34, 16), a, b, c)},
		"a table of zeros":                     {jpegBaseline, module("2", 1, 1, 8) + encapsulated(numbers(4, 0, 0), a, b)},
		"a table that points into a fragment":  {jpegBaseline, module("2", 1, 1, 8) + encapsulated(numbers(4, 0, 14), a, b)},
		"a table that points outside":          {jpegBaseline, module("2", 1, 1, 8) + encapsulated(numbers(4, 0, 4000), a, b)},
		"an extended table that does not fit":  {jpegBaseline, module("2", 1, 1, 8) + extended(numbers(8, 0, 18), numbers(8, 8, 10)) + encapsulated("", a, b)},
		"a length that is too long":            {jpegBaseline, module("2", 1, 1, 8) + extended(numbers(8, 0, 16), numbers(8, 9, 10)) + encapsulated("", a, b)},
		"a length that is too short":           {jpegBaseline, module("2", 1, 1, 8) + extended(numbers(8, 0, 16), numbers(8, 6, 10)) + encapsulated("", a, b)},
		"too few lengths":                      {jpegBaseline, module("2", 1, 1, 8) + extended(numbers(8, 0, 16), numbers(8, 8)) + encapsulated("", a, b)},
		"no table, more fragments than frames": {jpegBaseline, module("2", 1, 1, 8) + encapsulated("", a, b, c)},
		"no table, fewer code streams":         {jpegBaseline, module("3", 1, 1, 8) + encapsulated("", a, b)},
		"no table, no code stream":             {jpegBaseline, module("2", 1, 1, 8) + encapsulated("", "aa", "bb")},
		"no table, two frames in a fragment":   {jpegBaseline, module("4", 1, 1, 8) + encapsulated("", a+b, b+c)},
		"no table, JPEG XL":                    {jpegXL, module("2", 1, 1, 8) + encapsulated("", "\xFF\x0Aaa", "\xFF\x0Abb", "\xFF\x0Abb")},
		"no table, RLE":                        {rle, module("2", 1, 1, 8) + encapsulated("", rleFrame("aa"), rleFrame("bb"), rleFrame("cc"))},
		"a video of several frames":            {mpeg4, module("2", 1, 1, 8) + encapsulated("", "aa", "bb")},
		"an unknown transfer syntax":           {"1.2.840.10008.1.2.9", module("2", 1, 1, 8) + encapsulated("", "aa", "bb")},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, x.ts, x.data, 1, 2)
			var indeterminate *pixeldata.IndeterminateError
			require.ErrorAs(t, err, &indeterminate)
			require.NotContains(t, err.Error(), "bb")
			require.LessOrEqual(t, len(got), 1)
		})
	}
}

func TestMalformedFragmentsAreAnError(t *testing.T) {
	for name, data := range map[string]string{
		"no fragment":         module("1", 1, 1, 8) + encapsulated(""),
		"an empty frame":      module("1", 1, 1, 8) + encapsulated("", ""),
		"an odd table":        module("2", 1, 1, 8) + encapsulated("abc", "aa", "bb"),
		"an odd 64-bit table": module("2", 1, 1, 8) + element(0x7FE0, 0x0001, "OV", "abcdefghij") + encapsulated("", "aa", "bb"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(t, jpegBaseline, data, 1)
			var malformed *pixeldata.FormatError
			require.ErrorAs(t, err, &malformed)
		})
	}
}

func TestEncapsulatedPixelDataThatEndEarlyAreAnError(t *testing.T) {
	a, b := codeStream("aa"), codeStream("bbbb")
	for name, table := range map[string]string{"with a table": numbers(4, 0, 16), "without": ""} {
		whole := module("2", 1, 1, 8) + encapsulated(table, a, b)
		for n := range len(whole) - 1 {
			got, err := read(t, jpegBaseline, whole[:n], 1, 2)
			require.Error(t, err, "%s: %d bytes", name, n)
			require.Less(t, len(got), 2)
		}
	}
}

// With a limit, the frames of a long film are not held until its end, as long as each code stream has an end.
func TestFramesWithoutATableAreHeldWithinALimit(t *testing.T) {
	frame := codeStream(strings.Repeat("a", 94))
	frames := make([]string, 50)
	list := make([]int, len(frames))
	for i := range frames {
		frames[i], list[i] = frame, i+1
	}
	data := module("50", 1, 1, 8) + encapsulated("", frames...)
	got, err := readWithin(t, pixeldata.Limits{Held: 500}, jpegBaseline, data, list...)
	require.NoError(t, err)
	require.Equal(t, frames, got)

	frames[7] = frame[:90]
	data = module("50", 1, 1, 8) + encapsulated("", frames...)
	_, err = readWithin(t, pixeldata.Limits{Held: 500}, jpegBaseline, data, list...)
	var limit *pixeldata.LimitError
	require.ErrorAs(t, err, &limit)
}

func TestFramesThatAreNotReadAreSkipped(t *testing.T) {
	a, b, c := codeStream("aa"), codeStream("bbbb"), codeStream("cc")
	for name, x := range map[string]struct {
		ts   dataset.TransferSyntax
		data string
	}{
		"native":     {explicit, module("3", 1, 2, 8) + native("OB", "aabbcc")},
		"with table": {jpegBaseline, module("3", 1, 1, 8) + encapsulated(numbers(4, 0, 26, 44), a[:4], a[4:]+"\x00\x00", b, c)},
	} {
		t.Run(name, func(t *testing.T) {
			source, err := pixeldata.Open(strings.NewReader(x.data), x.ts, nil, pixeldata.Limits{})
			require.NoError(t, err)
			defer source.Close()
			first := make([]byte, 1)
			var last string
			for frame, err := range source.Frames([]int{1, 2, 3}) {
				require.NoError(t, err)
				if frame.Number < 3 {
					_, err = frame.Read(first)
					require.NoError(t, err)
					continue
				}
				var b strings.Builder
				_, err = frame.WriteTo(&b)
				require.NoError(t, err)
				last = b.String()
			}
			require.Contains(t, last, "cc")
			require.NotContains(t, last, "b")
		})
	}
}
