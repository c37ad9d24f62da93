package transcode_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
	"dicom-qr-gateway/dicomnet/transcode"
)

func TestUncompressedDataSetsBecomeExplicitLittleEndian(t *testing.T) {
	e := explicit
	long := strings.Repeat("0123456789", 7000)
	for _, s := range []syntax{implicit, bigEndian, {name: "Deflated", ts: dataset.DeflatedExplicitVRLittleEndian, order: e.order}} {
		t.Run(s.name, func(t *testing.T) {
			word := func(n uint16) string { return string(s.order.AppendUint16(nil, n)) }
			b := s.element(0x00080000, "UL", "\x00\x00\x00\x00") +
				s.element(0x00080018, "UI", "1.2.3") +
				s.element(0x00080060, "CS", "CT ") +
				s.sequence(0x00081115, "SQ", s.item(s.us(0x00280010, 258), s.sequence(0x00081199, "SQ")), s.fragment(s.us(0x00280011, 1))) +
				s.element(0x00081140, "SQ", s.item()+s.fragment("")) +
				s.element(0x00091001, "UN", "abc") +
				s.us(0x00280103, 1) + s.element(0x00280106, "SS", word(0xfffe)) +
				s.element(0x7fe00010, "OW", strings.Repeat(word(0x0102), 50000)) +
				"\x00\x00"
			want := e.element(0x00080018, "UI", "1.2.3\x00") +
				e.element(0x00080060, "CS", "CT  ") +
				e.sequence(0x00081115, "SQ", e.item(e.us(0x00280010, 258), e.sequence(0x00081199, "SQ")), e.item(e.us(0x00280011, 1))) +
				e.sequence(0x00081140, "SQ", e.item(), e.item()) +
				e.element(0x00091001, "UN", "abc\x00") +
				e.us(0x00280103, 1) + e.element(0x00280106, "SS", "\xfe\xff") +
				e.element(0x7fe00010, "OW", strings.Repeat("\x02\x01", 50000))
			if s.ts == dataset.DeflatedExplicitVRLittleEndian {
				b = deflate(t, b)
			}
			got, err := convert(t, b, s.ts)
			require.NoError(t, err)
			assert.True(t, want == got)
		})
	}
	// Values that a VR cannot have in Explicit VR become UN.
	got, err := convert(t, implicit.element(0x00281201, "", long)+implicit.element(0x00104000, "", long)+implicit.element(0x00102160, "", strings.Repeat("x", 65535)), implicit.ts)
	require.NoError(t, err)
	assert.True(t, got == e.element(0x00281201, "OW", long)+e.element(0x00104000, "UN", long)+e.element(0x00102160, "UN", strings.Repeat("x", 65535)+" "))
}

func deflate(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, 1)
	require.NoError(t, err)
	_, err = io.WriteString(w, s)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func TestUNOfUndefinedLengthBecomesASequence(t *testing.T) {
	got, err := convert(t, bigEndian.header(0x00091001, "UN", undefined)+implicit.item(implicit.us(0x00280010, 3))+implicit.header(0xfffee0dd, "", 0), bigEndian.ts)
	require.NoError(t, err)
	assert.Equal(t, explicit.sequence(0x00091001, "SQ", explicit.item(explicit.us(0x00280010, 3))), got)
}

func TestExplicitLittleEndianIsCopied(t *testing.T) {
	b := explicit.element(0x00080000, "UL", "\x00\x00\x00\x00") + "whatever"
	got, err := convert(t, b, explicit.ts)
	require.NoError(t, err)
	assert.Equal(t, b, got)
}

func TestOtherSyntaxesAreNotConverted(t *testing.T) {
	for ts, want := range map[dataset.TransferSyntax]bool{
		dataset.ExplicitVRLittleEndian: true, dataset.ImplicitVRLittleEndian: true, dataset.ExplicitVRBigEndian: true,
		dataset.DeflatedExplicitVRLittleEndian: true, dataset.RLELossless: true, dataset.JPEGBaseline: true,
		"1.2.840.10008.1.2.4.70": false, "1.2.840.10008.1.2.4.90": false, "": false,
	} {
		assert.Equal(t, want, transcode.Converts(ts), "%s", ts)
		_, err := transcode.NewReader(strings.NewReader(""), ts, transcode.Limits{})
		if want {
			require.NoError(t, err)
		} else {
			require.ErrorAs(t, err, new(*dataset.TransferSyntaxError))
		}
	}
}

func TestFaultsOfTheDataSetAreErrors(t *testing.T) {
	failure := errors.New("association ended")
	for name, test := range map[string]struct {
		b    string
		ts   dataset.TransferSyntax
		want any
	}{
		"truncated":                {implicit.element(0x00080018, "", "1.2.3\x00")[:10], implicit.ts, new(*stream.TruncatedError)},
		"truncated header":         {implicit.element(0x00080018, "", "1.2.3\x00")[:6], implicit.ts, new(*stream.TruncatedError)},
		"group 0002":               {implicit.element(0x00020010, "", "1.2\x00"), implicit.ts, new(*stream.GroupError)},
		"encapsulated pixel data":  {implicit.sequence(0x7fe00010, "", implicit.fragment("")), implicit.ts, new(*transcode.UnsupportedError)},
		"native pixel data in RLE": {explicit.element(0x7fe00010, "OW", "abcd"), dataset.RLELossless, new(*transcode.UnsupportedError)},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := transcode.NewReader(strings.NewReader(test.b), test.ts, transcode.Limits{})
			require.NoError(t, err)
			defer r.Close()
			_, err = r.WriteTo(io.Discard)
			require.ErrorAs(t, err, test.want)
			_, again := r.Read(make([]byte, 1))
			assert.Equal(t, err, again)
			assert.NotEmpty(t, err.Error())
		})
	}
	r, err := transcode.NewReader(io.MultiReader(strings.NewReader(implicit.us(0x00280010, 1)), iotest.ErrReader(failure)), implicit.ts, transcode.Limits{})
	require.NoError(t, err)
	got, err := io.ReadAll(r)
	assert.Equal(t, failure, err)
	assert.Equal(t, explicit.us(0x00280010, 1), string(got), "what came before the failure")
	r, err = transcode.NewReader(strings.NewReader(implicit.us(0x00280010, 1)), implicit.ts, transcode.Limits{})
	require.NoError(t, err)
	_, err = r.WriteTo(failing{})
	assert.Equal(t, io.ErrShortWrite, err)
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestMemoryDoesNotGrowWithTheDataSet(t *testing.T) {
	source := func(length int64) io.Reader {
		return io.MultiReader(strings.NewReader(implicit.header(0x7fe00010, "", int(length))), io.LimitReader(zeros{}, length))
	}
	r, err := transcode.NewReader(source(1<<25), implicit.ts, transcode.Limits{})
	require.NoError(t, err)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := io.Copy(io.Discard, r)
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	assert.Equal(t, int64(12+1<<25), n)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
