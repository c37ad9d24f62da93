package stream_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
)

var usualHead = stream.Head{
	SOPClassUID: "1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID: "1.2.3.4", StudyInstanceUID: "1.2", SeriesInstanceUID: "1.2.3",
}

// head encodes the beginning of an instance; more comes before group 0020.
func (s syntax) head(more ...string) string {
	return s.element(0x00080005, "CS", "ISO_IR 100") +
		s.element(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.2\x00") +
		s.element(0x00080018, "UI", "1.2.3.4\x00") +
		strings.Join(more, "") +
		s.element(0x0020000d, "UI", "1.2\x00") +
		s.element(0x0020000e, "UI", "1.2.3 ")
}

func deflate(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 9)
	require.NoError(t, err)
	_, err = w.Write([]byte(s))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func TestReadHeadSkipsWhatComesBeforeTheUIDs(t *testing.T) {
	for _, s := range syntaxes {
		other := s.element(0x00080018, "UI", "9.9\x00") + s.element(0x0020000d, "UI", "9.8\x00")
		for name, more := range map[string]string{
			"nothing":                         "",
			"items of undefined length":       s.sequence(0x00081115, "SQ", s.item(other, s.sequence(0x00081199, "SQ", s.item(other), s.item())), s.item()),
			"items of defined length":         s.sequence(0x00081115, "SQ", s.definedItem(other), s.definedItem()),
			"a sequence of defined length":    s.element(0x00081115, "SQ", s.definedItem(other)),
			"UN of undefined length":          s.header(0x00091001, "UN", undefined) + implicit.item(implicit.element(0x00080018, "UI", "9.9\x00")) + implicit.header(0xfffee0dd, "", 0),
			"fragments":                       s.sequence(0x00090010, "OB", s.definedItem(), s.definedItem(other)),
			"an item without delimiter":       s.header(0x00081115, "SQ", undefined) + s.header(0xfffee000, "", undefined) + other + s.header(0xfffee0dd, "", 0),
			"stray delimiters":                s.header(0xfffee0dd, "", 0) + s.header(0xfffee00d, "", 0) + s.sequence(0x00081115, "SQ", s.header(0xfffee00d, "", 0)),
			"a UID twice":                     s.element(0x00080018, "UI", "1.2.3.4 "),
			"a long value":                    s.element(0x00091002, "UN", strings.Repeat("x", 5000)),
			"a VR that PS3.5 has not":         s.element(0x00091003, "ZZ", "x ") + s.element(0x00091004, "??", "x "),
			"a group length, an odd length":   s.element(0x00080000, "UL", "abcd") + s.element(0x00080060, "CS", "M"),
			"a long form with a short header": s.element(0x00091005, "OB", ""),
		} {
			if s.implicit && name == "UN of undefined length" || s.order == bigEndian.order && name == "fragments" {
				continue
			}
			t.Run(s.name+"/"+name, func(t *testing.T) {
				all := s.head(more) + s.us(0x00280010, 512) + strings.Repeat("x", 10000)
				for _, r := range []io.Reader{strings.NewReader(all), iotest.HalfReader(strings.NewReader(all)), iotest.OneByteReader(strings.NewReader(all))} {
					got, buf, err := stream.ReadHead(r, s.ts, []byte("kept"), 8192)
					require.NoError(t, err)
					assert.Equal(t, usualHead, got)
					rest, err := io.ReadAll(r)
					require.NoError(t, err)
					assert.Equal(t, "kept"+all, string(buf)+string(rest))
					assert.LessOrEqual(t, len(buf), 8192+4)
				}
			})
		}
	}
}

func TestReadHeadReturnsWhatADataSetWithoutAllUIDsHas(t *testing.T) {
	for name, b := range map[string]string{
		"that ends":             explicit.element(0x00080016, "UI", "1.2\x00"),
		"that goes on":          explicit.element(0x00080016, "UI", "1.2\x00") + explicit.us(0x00280010, 1),
		"that ends with zeros":  explicit.element(0x00080016, "UI", "1.2\x00") + "\x00\x00\x00",
		"whose UIDs are empty":  explicit.element(0x00080016, "UI", "1.2\x00") + explicit.element(0x00080018, "UI", "") + explicit.element(0x0020000e, "UI", "\x00 "),
		"out of order":          explicit.us(0x00200013, 1)[:0] + explicit.element(0x0020000d, "UI", "") + explicit.element(0x00080016, "UI", "1.2\x00"),
		"that is never correct": explicit.element(0x00080016, "UI", "1.2 ") + explicit.header(0x00400275, "SQ", 1<<31),
	} {
		t.Run(name, func(t *testing.T) {
			head, _, err := stream.ReadHead(strings.NewReader(b), explicit.ts, nil, 1<<20)
			require.NoError(t, err)
			assert.Equal(t, stream.Head{SOPClassUID: "1.2"}, head)
		})
	}
	head, buf, err := stream.ReadHead(strings.NewReader(""), explicit.ts, nil, 1<<20)
	require.NoError(t, err)
	assert.Zero(t, head)
	assert.Empty(t, buf)
}

func TestReadHeadInflatesADeflatedDataSetAndReturnsItDeflated(t *testing.T) {
	all := deflate(t, explicit.head()+strings.Repeat("x", 100000))
	r := iotest.OneByteReader(strings.NewReader(all))
	head, buf, err := stream.ReadHead(r, dataset.DeflatedExplicitVRLittleEndian, []byte("kept"), 8192)
	require.NoError(t, err)
	assert.Equal(t, usualHead, head)
	rest, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Equal(t, "kept"+all, string(buf)+string(rest))
}

func TestReadHeadRefusesMalformedDataSets(t *testing.T) {
	s := explicit
	deep := strings.Repeat(s.header(0x00081115, "SQ", undefined)+s.header(0xfffee000, "", undefined), 17)
	failure := errors.New("association ended")
	for name, test := range map[string]struct {
		r    io.Reader
		ts   dataset.TransferSyntax
		want any
	}{
		"unknown transfer syntax":      {r: strings.NewReader(""), ts: "1.2.840.113619.5.2", want: new(*dataset.TransferSyntaxError)},
		"header of a file":             {r: strings.NewReader(strings.Repeat("\x00", 128) + "DICM"), want: new(*stream.GroupError)},
		"group 0000":                   {r: strings.NewReader(s.us(0x00000100, 1)), want: new(*stream.GroupError)},
		"group 0002":                   {r: strings.NewReader(s.element(0x00080016, "UI", "1.2\x00") + s.element(0x00020010, "UI", "1.2\x00")), want: new(*stream.GroupError)},
		"two values of a UID":          {r: strings.NewReader(s.head(s.element(0x00080018, "UI", "1.2.3.5\x00"))), want: new(*dataset.FormatError)},
		"UID that is a path":           {r: strings.NewReader(s.element(0x00080018, "UI", "../../etc/passwd")), want: new(*dataset.FormatError)},
		"UID of 65 digits":             {r: strings.NewReader(s.element(0x00080018, "UI", strings.Repeat("1", 65))), want: new(*dataset.FormatError)},
		"UID of 100 digits":            {r: strings.NewReader(s.element(0x00080018, "UI", strings.Repeat("1", 100))), want: new(*dataset.FormatError)},
		"no VR":                        {r: strings.NewReader("\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100"), want: new(*dataset.FormatError)},
		"item outside a sequence":      {r: strings.NewReader(s.sequence(0x00081115, "SQ", s.item(s.item()))), want: new(*dataset.FormatError)},
		"element in a sequence":        {r: strings.NewReader(s.sequence(0x00081115, "SQ", s.us(0x00280010, 1))), want: new(*dataset.FormatError)},
		"fragment of undefined length": {r: strings.NewReader(s.sequence(0x00090010, "OB", s.item())), want: new(*dataset.FormatError)},
		"sequences too deep":           {r: strings.NewReader(deep), want: new(*dataset.LimitError)},
		"long value":                   {r: strings.NewReader(s.header(0x00090010, "OB", 9000)), want: new(*dataset.LimitError)},
		"many values":                  {r: strings.NewReader(strings.Repeat(s.element(0x00090010, "OB", strings.Repeat("x", 100)), 100)), want: new(*dataset.LimitError)},
		"end in a short header":        {r: strings.NewReader(s.head()[:21]), want: new(*stream.TruncatedError)},
		"end in a long header":         {r: strings.NewReader(s.header(0x00090010, "OB", 9)[:10]), want: new(*stream.TruncatedError)},
		"end in a value":               {r: strings.NewReader(s.head()[:30]), want: new(*stream.TruncatedError)},
		"end in a skipped value":       {r: strings.NewReader(s.head()[:15]), want: new(*stream.TruncatedError)},
		"end in a sequence":            {r: strings.NewReader(s.header(0x00081115, "SQ", undefined)), want: new(*stream.TruncatedError)},
		"end of deflated data":         {r: strings.NewReader(deflate(t, s.head())[:20]), ts: dataset.DeflatedExplicitVRLittleEndian, want: new(*stream.TruncatedError)},
		"corrupt deflated data":        {r: strings.NewReader("\xff\xff\xff\xff"), ts: dataset.DeflatedExplicitVRLittleEndian, want: new(*dataset.FormatError)},
		"deflate bomb":                 {r: strings.NewReader(deflate(t, s.element(0x00090010, "OB", strings.Repeat("x", 1<<20)))), ts: dataset.DeflatedExplicitVRLittleEndian, want: new(*dataset.LimitError)},
		"long deflated data":           {r: io.MultiReader(strings.NewReader(""), stored{}), ts: dataset.DeflatedExplicitVRLittleEndian, want: new(*dataset.LimitError)},
	} {
		t.Run(name, func(t *testing.T) {
			ts := test.ts
			if ts == "" {
				ts = s.ts
			}
			_, buf, err := stream.ReadHead(test.r, ts, make([]byte, 0, 64), 8192)
			require.Error(t, err)
			assert.ErrorAs(t, err, test.want)
			assert.NotEmpty(t, err.Error())
			assert.LessOrEqual(t, len(buf), 8192)
		})
	}
	for name, r := range map[string]io.Reader{
		"of the reader":                       io.MultiReader(strings.NewReader(s.head()[:40]), iotest.ErrReader(failure)),
		"of the reader between elements":      io.MultiReader(strings.NewReader(s.element(0x00080016, "UI", "1.2\x00")), iotest.ErrReader(failure)),
		"of the reader in a long form header": io.MultiReader(strings.NewReader(s.header(0x00090010, "OB", 9)[:10]), iotest.ErrReader(failure)),
	} {
		t.Run("error "+name, func(t *testing.T) {
			_, _, err := stream.ReadHead(r, s.ts, nil, 8192)
			assert.Equal(t, failure, err)
		})
	}
	_, _, err := stream.ReadHead(io.MultiReader(strings.NewReader(deflate(t, s.head())[:20]), iotest.ErrReader(failure)), dataset.DeflatedExplicitVRLittleEndian, nil, 8192)
	assert.Equal(t, failure, err)
	_, _, err = stream.ReadHead(empty{}, s.ts, nil, 8192)
	assert.Equal(t, io.ErrNoProgress, err)
}

// empty returns nothing for ever.
type empty struct{}

func (empty) Read([]byte) (int, error) { return 0, nil }

// stored is deflated data without end: stored blocks of length 0, which inflate to nothing.
type stored struct{}

func (stored) Read(p []byte) (int, error) { return copy(p, "\x00\x00\x00\xff\xff"), nil }

func TestReadHeadAllocatesOnlyTheUIDs(t *testing.T) {
	all := []byte(explicit.head(explicit.sequence(0x00081115, "SQ", explicit.item())) + strings.Repeat("x", 10000))
	buf := make([]byte, 0, 4096)
	r := bytes.NewReader(nil)
	allocations := testing.AllocsPerRun(100, func() {
		r.Reset(all)
		if _, _, err := stream.ReadHead(r, explicit.ts, buf, 1<<20); err != nil {
			t.Fatal(err)
		}
	})
	assert.LessOrEqual(t, allocations, 1.0)
}

func BenchmarkReadHead(b *testing.B) {
	more := make([]string, 0, 60)
	for i := range uint32(60) {
		more = append(more, explicit.element(0x00180010+i, "LO", "some value of text  "))
	}
	all := []byte(explicit.head(more...) + strings.Repeat("x", 100000))
	buf := make([]byte, 0, 64<<10)
	r := bytes.NewReader(nil)
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(all)
		if _, _, err := stream.ReadHead(r, explicit.ts, buf, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}
