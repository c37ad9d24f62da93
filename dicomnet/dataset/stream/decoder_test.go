package stream_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
)

// tokens returns the tokens of b, and the error that ended it unless that is io.EOF.
func tokens(t *testing.T, b string, ts dataset.TransferSyntax) ([]string, error) {
	t.Helper()
	d := stream.NewDecoder(strings.NewReader(b), ts, stream.Limits{})
	defer d.Close()
	lines, err := describe(t, d)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	slow, slowErr := describe(t, stream.NewDecoder(iotest.OneByteReader(strings.NewReader(b)), ts, stream.Limits{}))
	require.Equal(t, lines, slow, "bytes arrive one by one")
	if err != nil {
		require.Equal(t, err, slowErr)
	}
	return lines, err
}

func TestDecoderReadsTheSameTokensFromEverySyntax(t *testing.T) {
	want := []string{
		`00080018 UI "1.2\x00"`,
		`00081115 SQ sequence`, `00081115 item 1`,
		`  00080060 CS "CT"`, `  00081199 SQ sequence`, `  00081199 sequence end`,
		`00081115 item end 1`, `00081115 item 2`, `  00280010 US "\x02\x01"`, `00081115 item end 2`,
		`00081115 item 3`, `00081115 item end 3`, `00081115 sequence end`,
		`00081140 SQ sequence`, `00081140 item 1`, `  00280011 US "\x01\x00"`, `00081140 item end 1`, `00081140 sequence end`,
		`00280010 US "\x00\x02"`,
		`00280103 US "\x01\x00"`,
		`00280106 SS "\xfe\xff"`,
		`7FE00010 OW "\x02\x01"`,
	}
	for _, s := range syntaxes {
		t.Run(s.name, func(t *testing.T) {
			b := s.element(0x00080018, "UI", "1.2\x00") +
				s.sequence(0x00081115, "SQ",
					s.item(s.element(0x00080060, "CS", "CT"), s.sequence(0x00081199, "SQ")),
					s.definedItem(s.us(0x00280010, 258)), s.item()) +
				s.element(0x00081140, "SQ", s.definedItem(s.us(0x00280011, 1))) +
				s.us(0x00280010, 512) +
				s.us(0x00280103, 1) +
				s.element(0x00280106, "SS", string(s.order.AppendUint16(nil, 0xfffe))) +
				s.element(0x7fe00010, "OW", string(s.order.AppendUint16(nil, 0x0102)))
			lines, err := tokens(t, b, s.ts)
			require.NoError(t, err)
			assert.Equal(t, want, lines)
			if s.name == "Explicit" {
				lines, err = tokens(t, deflate(t, b)+"\x00", dataset.DeflatedExplicitVRLittleEndian)
				require.NoError(t, err)
				assert.Equal(t, want, lines)
			}
		})
	}
}

func TestDecoderReadsFragments(t *testing.T) {
	s := explicit
	lines, err := tokens(t, s.sequence(0x00880200, "SQ", s.item(s.sequence(0x7fe00010, "OB", s.definedItem(), s.definedItem("icon"))))+
		s.sequence(0x7fe00010, "OW", s.definedItem("\x00\x00\x00\x00"), s.definedItem("one "), s.definedItem(), s.definedItem("three"))+
		s.element(0xfffcfffc, "OB", "\x00\x00"), "1.2.840.10008.1.2.4.90")
	require.NoError(t, err)
	assert.Equal(t, []string{
		`00880200 SQ sequence`, `00880200 item 1`,
		`  7FE00010 OB fragments`, `  7FE00010 offset table ""`, `  7FE00010 fragment 1 "icon"`, `  7FE00010 fragments end`,
		`00880200 item end 1`, `00880200 sequence end`,
		`7FE00010 OW fragments`, `7FE00010 offset table "\x00\x00\x00\x00"`, `7FE00010 fragment 1 "one "`, `7FE00010 fragment 2 ""`,
		`7FE00010 fragment 3 "three"`, `7FE00010 fragments end`,
		`FFFCFFFC OB "\x00\x00"`,
	}, lines)
}

func TestDecoderFindsTheVRsOfImplicitElements(t *testing.T) {
	s := implicit
	signed, minusOne := s.us(0x00280103, 1), "\xff\xff"
	lines, err := tokens(t, s.element(0x00090010, "", "ACME")+s.element(0x00091001, "", "ab")+
		s.sequence(0x00091002, "", s.item(s.element(0x00091003, "", "cd")))+
		s.sequence(0x00081140, "", s.item(s.element(0x00280106, "", minusOne)), s.item(signed, s.element(0x00280106, "", minusOne)))+
		s.element(0x00187777, "", "unknown ")+
		signed+s.element(0x00280107, "", minusOne)+s.element(0x00281101, "", "\x00\x00\x00\x00\x00\x00")+
		s.sequence(0x00283000, "", s.item(s.element(0x00280106, "", minusOne), s.element(0x00283002, "", minusOne), s.element(0x00283006, "", minusOne)),
			s.item(s.us(0x00280103, 0), s.element(0x00280106, "", minusOne)))+
		s.element(0x54001010, "", "ab")+s.element(0x60023000, "", "ab")+s.element(0x60020010, "", "ab"), s.ts)
	require.NoError(t, err)
	assert.Equal(t, []string{
		`00090010 LO "ACME"`, `00091001 UN "ab"`,
		`00091002 SQ sequence`, `00091002 item 1`, `  00091003 UN "cd"`, `00091002 item end 1`, `00091002 sequence end`,
		`00081140 SQ sequence`, `00081140 item 1`, `  00280106 US "\xff\xff"`, `00081140 item end 1`,
		`00081140 item 2`, `  00280103 US "\x01\x00"`, `  00280106 SS "\xff\xff"`, `00081140 item end 2`, `00081140 sequence end`,
		`00187777 UN "unknown "`,
		`00280103 US "\x01\x00"`, `00280107 SS "\xff\xff"`, `00281101 US "\x00\x00\x00\x00\x00\x00"`,
		`00283000 SQ sequence`, `00283000 item 1`, `  00280106 SS "\xff\xff"`, `  00283002 US "\xff\xff"`, `  00283006 OW "\xff\xff"`, `00283000 item end 1`,
		`00283000 item 2`, `  00280103 US "\x00\x00"`, `  00280106 US "\xff\xff"`, `00283000 item end 2`, `00283000 sequence end`,
		`54001010 OW "ab"`, `60023000 OW "ab"`, `60020010 US "ab"`,
	}, lines)
}

func TestDecoderReadsUNOfUndefinedLengthAsASequenceInImplicitVR(t *testing.T) {
	for _, s := range []syntax{explicit, bigEndian} {
		lines, err := tokens(t, s.header(0x00091001, "UN", undefined)+
			implicit.item(implicit.us(0x00280010, 3), implicit.sequence(0x00091002, "", implicit.item()))+implicit.header(0xfffee0dd, "", 0)+
			s.us(0x00280010, 4), s.ts)
		require.NoError(t, err)
		assert.Equal(t, []string{
			`00091001 SQ sequence`, `00091001 item 1`, `  00280010 US "\x03\x00"`,
			`  00091002 SQ sequence`, `  00091002 item 1`, `  00091002 item end 1`, `  00091002 sequence end`,
			`00091001 item end 1`, `00091001 sequence end`,
			`00280010 US "\x04\x00"`,
		}, lines)
	}
}

func TestDecoderAcceptsFrequentFaults(t *testing.T) {
	s := explicit
	for name, test := range map[string]struct {
		b    string
		want []string
	}{
		"stray delimiters":      {s.header(0xfffee00d, "", 0) + s.us(0x00280010, 1) + s.header(0xfffee0dd, "", 0), []string{`00280010 US "\x01\x00"`}},
		"a few zeros":           {s.us(0x00280010, 1) + "\x00\x00", []string{`00280010 US "\x01\x00"`}},
		"many zeros":            {s.us(0x00280010, 1) + strings.Repeat("\x00", 7000), []string{`00280010 US "\x01\x00"`}},
		"no item delimiter":     {s.header(0x00081140, "SQ", undefined) + s.header(0xfffee000, "", undefined) + s.header(0xfffee0dd, "", 0), []string{`00081140 SQ sequence`, `00081140 item 1`, `00081140 item end 1`, `00081140 sequence end`}},
		"too many delimiters":   {s.sequence(0x00081140, "SQ", s.definedItem(), s.header(0xfffee00d, "", 0)), []string{`00081140 SQ sequence`, `00081140 item 1`, `00081140 item end 1`, `00081140 sequence end`}},
		"odd lengths":           {s.element(0x00080060, "CS", "M") + s.element(0x00280010, "US", "abc"), []string{`00080060 CS "M"`, `00280010 US "abc"`}},
		"elements out of order": {s.us(0x00280010, 1) + s.element(0x00080060, "CS", "MR"), []string{`00280010 US "\x01\x00"`, `00080060 CS "MR"`}},
		"a group length":        {s.element(0x00080000, "UL", "abcd"), []string{`00080000 UL "abcd"`}},
		"VRs that are not defined": {s.element(0x00080060, "??", "MR") + s.element(0x00080070, "  ", "A") + s.element(0x00080060, "ZZ", "MR") +
			s.header(0x00080070, "QQ", 0) + "\x02\x00\x00\x00A ", []string{`00080060 CS "MR"`, `00080070 LO "A"`, `00080060 CS "MR"`, `00080070 LO "A "`}},
	} {
		t.Run(name, func(t *testing.T) {
			lines, err := tokens(t, test.b, s.ts)
			require.NoError(t, err)
			assert.Equal(t, test.want, lines)
		})
	}
}

func TestDecoderRefusesMalformedDataSets(t *testing.T) {
	s := explicit
	for name, test := range map[string]struct {
		b    string
		want any
	}{
		"header of a file":                    {strings.Repeat("\x00", 128) + "DICM", new(*stream.GroupError)},
		"group 0002":                          {s.element(0x00020010, "UI", "1.2\x00"), new(*stream.GroupError)},
		"group 0000 at the end":               {s.us(0x00280010, 1) + s.us(0x00000000, 1), new(*stream.GroupError)},
		"no VR":                               {"\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100", new(*dataset.FormatError)},
		"item outside a sequence":             {s.item(), new(*dataset.FormatError)},
		"element in a sequence":               {s.sequence(0x00081115, "SQ", s.us(0x00280010, 1)), new(*dataset.FormatError)},
		"element among fragments":             {s.sequence(0x7fe00010, "OB", s.us(0x00280010, 1)), new(*dataset.FormatError)},
		"fragment of undefined length":        {s.sequence(0x7fe00010, "OB", s.item()), new(*dataset.FormatError)},
		"text of undefined length":            {s.sequence(0x00080060, "UT"), new(*dataset.FormatError)},
		"element beyond its item":             {s.element(0x00081115, "SQ", s.definedItem(s.header(0x00080060, "CS", 4)+"ab")), new(*dataset.FormatError)},
		"item beyond its sequence":            {s.element(0x00081115, "SQ", s.header(0xfffee000, "", 10)), new(*dataset.FormatError)},
		"half a header in an item":            {s.element(0x00081115, "SQ", s.definedItem("abcd")), new(*dataset.FormatError)},
		"half a long header in an item":       {s.element(0x00081115, "SQ", s.definedItem(s.header(0x7fe00010, "OB", 0)[:8])), new(*dataset.FormatError)},
		"open item at the end of a sequence":  {s.element(0x00081115, "SQ", s.header(0xfffee000, "", undefined)), new(*dataset.FormatError)},
		"sequences too deep":                  {strings.Repeat(s.header(0x00081115, "SQ", undefined)+s.header(0xfffee000, "", undefined), 17), new(*dataset.LimitError)},
		"fragments too deep":                  {strings.Repeat(s.header(0x00081115, "SQ", undefined)+s.header(0xfffee000, "", undefined), 16) + s.header(0x7fe00010, "OB", undefined), new(*dataset.LimitError)},
		"garbage at the end":                  {s.us(0x00280010, 1) + "abc", new(*stream.TruncatedError)},
		"no end of a sequence":                {s.header(0x00081115, "SQ", undefined), new(*stream.TruncatedError)},
		"no end of an item":                   {s.header(0x00081115, "SQ", undefined) + s.header(0xfffee000, "", undefined), new(*stream.TruncatedError)},
		"no end of a sequence of some length": {s.header(0x00081115, "SQ", 8) + "\xfe\xff", new(*stream.TruncatedError)},
		"half a long header":                  {s.header(0x7fe00010, "OB", 0)[:11], new(*stream.TruncatedError)},
		"half a number":                       {s.us(0x00280103, 1)[:9], new(*stream.TruncatedError)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tokens(t, test.b, s.ts)
			require.Error(t, err)
			require.ErrorAs(t, err, test.want)
			assert.NotEmpty(t, err.Error())
		})
	}
	_, err := tokens(t, "", "1.2.840.113619.5.2")
	require.ErrorAs(t, err, new(*dataset.TransferSyntaxError))
	_, err = tokens(t, "\xff\xff", dataset.DeflatedExplicitVRLittleEndian)
	require.ErrorAs(t, err, new(*dataset.FormatError))
}

func TestDecoderReportsEveryTruncation(t *testing.T) {
	s := explicit
	b := s.sequence(0x00081115, "SQ", s.item(s.us(0x00280010, 1)), s.definedItem(s.us(0x00280010, 2))) +
		s.sequence(0x7fe00010, "OB", s.definedItem(), s.definedItem("abcd"))
	boundary := len(s.sequence(0x00081115, "SQ", s.item(s.us(0x00280010, 1)), s.definedItem(s.us(0x00280010, 2))))
	for n := range len(b) {
		d := stream.NewDecoder(strings.NewReader(b[:n]), s.ts, stream.Limits{})
		var err error
		for err == nil {
			_, err = d.Next() // no value is read
		}
		if n == 0 || n == boundary {
			assert.Equal(t, io.EOF, err)
			continue
		}
		require.ErrorAs(t, err, new(*stream.TruncatedError), "%d bytes", n)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		_, again := d.Next()
		assert.Equal(t, err, again)
	}
	short := deflate(t, b)
	_, err := tokens(t, short[:len(short)/2], dataset.DeflatedExplicitVRLittleEndian)
	require.ErrorAs(t, err, new(*stream.TruncatedError))
}

func TestDecoderReturnsTheErrorOfTheReader(t *testing.T) {
	s := explicit
	// An association that ends between two elements must not look like the end of the data set.
	for _, failure := range []error{errors.New("association ended"), io.ErrUnexpectedEOF} {
		for _, b := range []string{"", s.us(0x00280010, 1), s.us(0x00280010, 1)[:9], s.header(0x7fe00010, "OB", 100000) + "abc", s.us(0x00280010, 1) + "\x00\x00\x00\x00\x00\x00\x00\x00\x00"} {
			d := stream.NewDecoder(io.MultiReader(strings.NewReader(b), iotest.ErrReader(failure)), s.ts, stream.Limits{})
			var err error
			for err == nil {
				if _, err = d.Next(); err == nil {
					_, _ = d.WriteTo(io.Discard)
				}
			}
			assert.Equal(t, failure, err)
		}
	}
	d := stream.NewDecoder(empty{}, s.ts, stream.Limits{})
	_, err := d.Next()
	assert.Equal(t, io.ErrNoProgress, err)
	d = stream.NewDecoder(strings.NewReader(""), s.ts, stream.Limits{})
	d.Close()
	_, err = d.Next()
	assert.Equal(t, io.ErrClosedPipe, err)
}

func TestDecoderObservesItsLimits(t *testing.T) {
	s := explicit
	read := func(r io.Reader, ts dataset.TransferSyntax, limits stream.Limits) error {
		d := stream.NewDecoder(r, ts, limits)
		defer d.Close()
		for {
			if _, err := d.Next(); err != nil {
				return err
			}
		}
	}
	blank := blankBlock(t)
	for name, err := range map[string]error{
		"depth":             read(strings.NewReader(s.sequence(0x00081115, "SQ", s.item(s.sequence(0x00081199, "SQ")))), s.ts, stream.Limits{MaxDepth: 1}),
		"elements":          read(strings.NewReader(s.us(0x00280010, 1)+s.us(0x00280011, 1)), s.ts, stream.Limits{MaxElements: 1}),
		"delimiters":        read(strings.NewReader(strings.Repeat(s.header(0xfffee00d, "", 0), 3)), s.ts, stream.Limits{MaxElements: 2}),
		"bytes":             read(strings.NewReader(s.element(0x7fe00010, "OB", "1234567890")), s.ts, stream.Limits{MaxBytes: 21}),
		"bytes of padding":  read(io.MultiReader(strings.NewReader(s.us(0x00280010, 1)), zeros{}), s.ts, stream.Limits{MaxBytes: 100000}),
		"inflated bytes":    read(strings.NewReader(deflate(t, s.us(0x00280010, 1)+strings.Repeat("\x00", 100000))), dataset.DeflatedExplicitVRLittleEndian, stream.Limits{MaxBytes: 50000}),
		"ratio of deflated": read(io.MultiReader(strings.NewReader(blank), endless(blank)), dataset.DeflatedExplicitVRLittleEndian, stream.Limits{}),
	} {
		require.ErrorAs(t, err, new(*dataset.LimitError), name)
	}
	require.Equal(t, io.EOF, read(strings.NewReader(s.element(0x7fe00010, "OB", "1234567890")), s.ts, stream.Limits{MaxBytes: 22}))
}

// blankBlock returns a block of deflated data that inflates to a pixel data element of a million zeros, and any number of times.
func blankBlock(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 9)
	require.NoError(t, err)
	_, err = io.WriteString(w, explicit.header(0x7fe00010, "OB", 1000000)+strings.Repeat("\x00", 1000000))
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	return b.String()
}

// endless repeats a text.
type endless string

func (e endless) Read(p []byte) (int, error) { return copy(p, e), nil }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestDecoderSkipsSequencesAndFragments(t *testing.T) {
	s := explicit
	for name, skipped := range map[string]string{
		"sequence of undefined length": s.sequence(0x00081115, "SQ", s.item(s.us(0x00280010, 1), s.sequence(0x00081199, "SQ", s.item())), s.definedItem(s.us(0x00280010, 1))),
		"sequence of defined length":   s.element(0x00081115, "SQ", s.definedItem(s.us(0x00280010, 1))),
		"empty sequence":               s.element(0x00081115, "SQ", ""),
		"fragments":                    s.sequence(0x7fe00010, "OB", s.definedItem(), s.definedItem(strings.Repeat("x", 100000))),
	} {
		t.Run(name, func(t *testing.T) {
			b := s.sequence(0x00081110, "SQ", s.item(skipped, s.us(0x00280011, 2)), s.item()) + s.us(0x00280012, 3)
			for skip := range 5 { // from the token with this number inside
				d := stream.NewDecoder(strings.NewReader(b), s.ts, stream.Limits{})
				for range 2 {
					_, err := d.Next()
					require.NoError(t, err)
				}
				start, err := d.Next()
				require.NoError(t, err)
				if name == "empty sequence" {
					skip = 0
				}
				if name == "fragments" || name == "sequence of defined length" {
					skip = min(skip, 2)
				}
				for range skip {
					_, err := d.Next()
					require.NoError(t, err)
				}
				if skip >= 3 && name == "sequence of undefined length" {
					require.NoError(t, d.Skip()) // it was in the inner sequence
				}
				require.NoError(t, d.Skip())
				token, err := d.Next()
				require.NoError(t, err)
				assert.Equal(t, dataset.Tag{Group: 0x28, Element: 0x11}, token.Tag)
				assert.Equal(t, start.Depth, token.Depth)
				require.NoError(t, d.Skip()) // leaves the outer sequence
				token, err = d.Next()
				require.NoError(t, err)
				assert.Equal(t, dataset.Tag{Group: 0x28, Element: 0x12}, token.Tag)
				require.NoError(t, d.Skip())
				_, err = d.Next()
				assert.Equal(t, io.EOF, err)
			}
		})
	}
	d := stream.NewDecoder(strings.NewReader(s.header(0x00081115, "SQ", 100)), s.ts, stream.Limits{})
	_, err := d.Next()
	require.NoError(t, err)
	require.ErrorAs(t, d.Skip(), new(*stream.TruncatedError))
	d = stream.NewDecoder(strings.NewReader(s.header(0x00081115, "SQ", undefined)), s.ts, stream.Limits{})
	_, err = d.Next()
	require.NoError(t, err)
	require.ErrorAs(t, d.Skip(), new(*stream.TruncatedError))
}

func TestDecoderSaysWhereAValueIs(t *testing.T) {
	s := explicit
	b := s.us(0x00280010, 1) + s.sequence(0x7fe00010, "OB", s.definedItem(), s.definedItem("abcd"))
	d := stream.NewDecoder(strings.NewReader(b), s.ts, stream.Limits{})
	for {
		token, err := d.Next()
		require.NoError(t, err)
		if token.Kind == stream.Fragment {
			assert.Equal(t, "abcd", b[token.Offset:token.Offset+token.Length])
			return
		}
	}
}

func TestDecoderReadsAValueInAnyPieces(t *testing.T) {
	for vr, size := range map[string]int{"OB": 1, "OW": 2, "AT": 2, "OF": 4, "OD": 8} {
		t.Run(vr, func(t *testing.T) {
			n := 70003
			if vr == "AT" {
				n = 60003
			}
			value, want := make([]byte, n), make([]byte, n)
			for i := range value {
				value[i] = byte(i * 7)
				if word := i / size * size; word+size <= n {
					want[word+size-1-i%size] = value[i]
				} else {
					want[i] = value[i]
				}
			}
			b := bigEndian.us(0x00280010, 1) + bigEndian.element(0x00091001, vr, string(value)) + bigEndian.us(0x00280011, 2)
			next := func() *stream.Decoder {
				d := stream.NewDecoder(iotest.HalfReader(strings.NewReader(b)), bigEndian.ts, stream.Limits{})
				for range 2 {
					_, err := d.Next()
					require.NoError(t, err)
				}
				return d
			}
			end := func(d *stream.Decoder) {
				token, err := d.Next()
				require.NoError(t, err)
				assert.Equal(t, int64(len(b)-2), token.Offset)
				rows, ok := d.Uint16()
				assert.True(t, ok)
				assert.Equal(t, uint16(2), rows)
			}
			for _, piece := range []int{7, 4096, 1 << 20} {
				d := next()
				var got bytes.Buffer
				_, err := io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{d}, make([]byte, piece))
				require.NoError(t, err)
				assert.True(t, bytes.Equal(want, got.Bytes()), "pieces of %d bytes", piece)
				end(d)
			}
			d := next()
			var got bytes.Buffer
			written, err := d.WriteTo(&got)
			require.NoError(t, err)
			assert.Equal(t, int64(n), written)
			assert.True(t, bytes.Equal(want, got.Bytes()))
			end(d)
			d = next()
			_, err = d.Bytes(1000)
			require.ErrorAs(t, err, new(*dataset.LimitError))
			start := make([]byte, 3)
			_, err = io.ReadFull(d, start)
			require.NoError(t, err)
			all, err := d.Bytes(1 << 20)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(want, slices.Concat(start, all)))
			end(d)
			end(next())
		})
	}
}

func TestDecoderReadsSmallValues(t *testing.T) {
	s := explicit
	b := s.element(0x00280004, "CS", " RGB\x00 ") + s.element(0x00280010, "US", "") + s.element(0x00280011, "US", "a") +
		s.element(0x00091010, "OB", strings.Repeat("x", 100)) + s.header(0x00280012, "US", 2)
	d := stream.NewDecoder(strings.NewReader(b), s.ts, stream.Limits{})
	next := func() {
		_, err := d.Next()
		require.NoError(t, err)
	}
	next()
	assert.Equal(t, "RGB", d.Text(16))
	n, err := d.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err)
	assert.Zero(t, n)
	next()
	_, ok := d.Uint16()
	assert.False(t, ok)
	next()
	_, ok = d.Uint16()
	assert.False(t, ok)
	next()
	assert.Empty(t, d.Text(16))
	n, err = d.Read(nil)
	require.NoError(t, err)
	assert.Zero(t, n)
	next()
	_, err = d.Bytes(16)
	require.ErrorAs(t, err, new(*stream.TruncatedError))
	_, err = d.Read(make([]byte, 1))
	require.ErrorAs(t, err, new(*stream.TruncatedError))
	_, err = d.WriteTo(io.Discard)
	require.ErrorAs(t, err, new(*stream.TruncatedError))
}

func TestDecoderStopsWhenTheWriterFails(t *testing.T) {
	d := stream.NewDecoder(strings.NewReader(explicit.element(0x00280004, "CS", "RGB ")), explicit.ts, stream.Limits{})
	_, err := d.Next()
	require.NoError(t, err)
	_, err = d.WriteTo(failing{})
	assert.Equal(t, io.ErrShortWrite, err)
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
