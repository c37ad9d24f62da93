package wado

import (
	"fmt"
	"io"
	"mime"
	stdmultipart "mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/server/problem"
)

const valued = "application/octet-stream"

// codeOf returns the code of a problem; "" for any other error.
func codeOf(err error) api.ProblemCode {
	if p, ok := err.(*problem.Problem); ok { //nolint:errorlint // not wrapped
		return p.Code
	}
	return ""
}

// withValues is a data set with values at the top and in items.
func withValues() arriving {
	return arriving{data: element(0x0008_0060, "CS", "CT") +
		sequence(0x0040_0275,
			element(0x0040_0009, "SH", "first ")+sequence(0x0040_0008, element(0x0042_0011, "OB", "other ")),
			sequence(0x0040_0008, element(0x0042_0011, "OB", "one "), element(0x0042_0011, "OB", "second"))+element(0x0040_0009, "SH", "after ")) +
		element(0x7fe0_0010, "OW", "0123456789")}
}

func TestBulkDataIsTheValueAtThePath(t *testing.T) {
	for path, want := range map[string]string{
		"7FE00010":                       "0123456789",
		"7fe00010":                       "0123456789",
		"00400275.1.00400009":            "first ",
		"00400275.2.00400009":            "after ",
		"00400275.2.00400008.2.00420011": "second",
		"00400275.1.00400008.1.00420011": "other ",
	} {
		w, _, err := sent(t, request(t, BulkData, bulkPath(path), "accept="+valued), all(withValues()), SendBulkData)
		require.NoError(t, err, path)
		assert.Equal(t, want, w.Body.String(), path)
		assert.Equal(t, strconv.Itoa(len(want)), w.Header().Get("Content-Length"))
		assert.Equal(t, valued+"; transfer-syntax=1.2.840.10008.1.2.1", w.Header().Get("Content-Type"))
		assert.Equal(t, baseURL+"/studies/1.2/series/1.2.3/instances/1.2.3.1/bulkdata/"+path, w.Header().Get("Content-Location"))
	}
}

func TestBulkDataThatDoesNotExistIsNotFound(t *testing.T) {
	for _, path := range []string{
		"00100010", "00400275", "00400275.3.00400009", "00400275.1.00420011", "00400275.1.00400008.2.00420011", "00080060.1.00080060", "00400008.1.00420011",
		"7FE00010.1.00080060", "00420011",
	} {
		_, transfer, err := sent(t, request(t, BulkData, bulkPath(path), "accept="+valued), all(withValues()), SendBulkData)
		assert.Equal(t, api.ProblemCodeNotFound, codeOf(err), path)
		assert.False(t, transfer.Begun())
	}
	_, _, err := sent(t, request(t, BulkData, bulkPath("00100010"), "accept="+valued), all(arriving{data: element(0x0010_0010, "PN", "")}), SendBulkData)
	assert.Equal(t, api.ProblemCodeNotFound, codeOf(err), "a value of length zero")
}

func TestMalformedPathsToBulkDataAreRefused(t *testing.T) {
	for _, path := range []string{
		"", "x", "7FE0001", "7FE000100", "00400275.1", "00400275.0.00400009", "00400275.01.00400009", "00400275.-1.00400009", "00400275..00400009",
		"00400275.1.PatientID", "00400275.99999999999.00400009", strings.Repeat("00400275.1.", 17) + "00400009", "+0400275",
	} {
		_, err := parse(BulkData, bulkPath(path), "")
		assert.Equal(t, api.ProblemCodeInvalidRequest, codeOf(err), path)
	}
}

func TestRangeOfBulkData(t *testing.T) {
	for field, want := range map[string]struct {
		status       int
		body, range_ string
	}{
		"bytes=0-3":     {206, "0123", "bytes 0-3/10"},
		"bytes=4-":      {206, "456789", "bytes 4-9/10"},
		"bytes=-3":      {206, "789", "bytes 7-9/10"},
		"bytes=9-9":     {206, "9", "bytes 9-9/10"},
		"bytes=0-99":    {206, "0123456789", "bytes 0-9/10"},
		"bytes=-99":     {206, "0123456789", "bytes 0-9/10"},
		"bytes=0-1,3-4": {200, "0123456789", ""},
		"bytes=3-2":     {200, "0123456789", ""},
		"bytes=x-2":     {200, "0123456789", ""},
		"bytes=2-x":     {200, "0123456789", ""},
		"bytes=+2-3":    {200, "0123456789", ""},
		"lines=0-3":     {200, "0123456789", ""},
		"bytes":         {200, "0123456789", ""},
		"bytes=":        {200, "0123456789", ""},
		"bytes=10-":     {416, "", "bytes */10"},
		"bytes=-0":      {416, "", "bytes */10"},
		"bytes=100-200": {416, "", "bytes */10"},
	} {
		w, _, err := sent(t, request(t, BulkData, bulkPath("7FE00010"), "", "Range", field), all(withValues()), SendBulkData)
		if want.status == http.StatusRequestedRangeNotSatisfiable {
			assert.Equal(t, api.ProblemCodeRangeNotSatisfiable, codeOf(err), field)
		} else {
			require.NoError(t, err, field)
			assert.Equal(t, want.status, w.Code, field)
			assert.Equal(t, want.body, w.Body.String(), field)
			assert.Equal(t, "bytes", w.Header().Get("Accept-Ranges"))
			assert.Equal(t, strconv.Itoa(len(want.body)), w.Header().Get("Content-Length"))
		}
		assert.Equal(t, want.range_, w.Header().Get("Content-Range"), field)
	}
}

// The entity tags are weak, so that no range can be known to be of the same value.
func TestARangeWithAConditionIsIgnored(t *testing.T) {
	q := request(t, BulkData, bulkPath("7FE00010"), "", "Range", "bytes=0-3", "If-Range", `W/"x"`, "Accept", "application/octet-stream")
	w, _, err := sent(t, q, all(withValues()), SendBulkData)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, "0123456789", w.Body.String())
}

func TestBulkDataIsOnePartByDefault(t *testing.T) {
	w, _, err := sent(t, request(t, BulkData, bulkPath("7FE00010"), ""), all(withValues()), SendBulkData)
	require.NoError(t, err)
	mediaType, parameters, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
	require.NoError(t, err)
	assert.Equal(t, []string{"multipart/related", "application/octet-stream"}, []string{mediaType, parameters["type"]})
	reader := stdmultipart.NewReader(w.Body, parameters["boundary"])
	part, err := reader.NextRawPart()
	require.NoError(t, err)
	assert.Equal(t, baseURL+"/studies/1.2/series/1.2.3/instances/1.2.3.1/bulkdata/7FE00010", part.Header.Get("Content-Location"))
	body, err := io.ReadAll(part)
	require.NoError(t, err)
	assert.Equal(t, "0123456789", string(body))
	_, err = reader.NextRawPart()
	require.ErrorIs(t, err, io.EOF)
}

func TestEncapsulatedPixelDataIsItsFragments(t *testing.T) {
	in := arriving{syntax: jpeg, data: element(0x0028_0010, "US", "\x10\x00") + encapsulated("one ", "two ")}
	for _, accept := range []string{valued, `multipart/related; type="application/octet-stream"`} {
		w, _, err := sent(t, request(t, BulkData, bulkPath("7FE00010"), "", "Accept", accept, "Range", "bytes=0-1"), all(in), SendBulkData)
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Contains(t, w.Body.String(), "one two ")
		assert.Contains(t, w.Header().Get("Content-Type")+w.Body.String(), "transfer-syntax="+string(jpeg))
	}
}

func TestBulkDataIsInLittleEndian(t *testing.T) {
	in := arriving{syntax: dataset.ExplicitVRBigEndian, data: "\x7f\xe0\x00\x10OW\x00\x00\x00\x00\x00\x04\x01\x02\x03\x04"}
	w, _, err := sent(t, request(t, BulkData, bulkPath("7FE00010"), "accept="+valued), all(in), SendBulkData)
	require.NoError(t, err)
	assert.Equal(t, "\x02\x01\x04\x03", w.Body.String())
	assert.Contains(t, w.Header().Get("Content-Type"), "=1.2.840.10008.1.2.1")
}

func TestBulkDataWithoutTheEndOfItsInstanceLacksItsLastByte(t *testing.T) {
	cut := withValues()
	cut.err = errArrival
	for name, s := range map[string]*source{"cut": all(cut), "missing": all(withValues()).missing("1.2.3.9")} {
		w, transfer, err := sent(t, request(t, BulkData, bulkPath("7FE00010"), "accept="+valued), s, SendBulkData)
		require.Error(t, err, name)
		assert.True(t, transfer.Begun())
		assert.Equal(t, "012345678", w.Body.String())
	}
	truncated := withValues()
	truncated.data = truncated.data[:len(truncated.data)-1]
	_, _, err := sent(t, request(t, BulkData, bulkPath("7FE00010"), "accept="+valued), all(truncated), SendBulkData)
	require.Error(t, err)
}

func TestBulkDataOfAnInstanceThatDidNotArriveIsAProblem(t *testing.T) {
	_, _, err := sent(t, request(t, BulkData, bulkPath("7FE00010"), ""), all().missing("1.2.3.1"), SendBulkData)
	assert.Equal(t, api.ProblemCodeRetrieveIncomplete, codeOf(err))
	_, _, err = sent(t, request(t, BulkData, bulkPath("7FE00010"), ""), all(arriving{data: "garbage that is no data set"}), SendBulkData)
	assert.Equal(t, api.ProblemCodeProtocolError, codeOf(err))
}

func FuzzPathOfBulkData(f *testing.F) {
	for _, path := range []string{"7FE00010", "00400275.1.00400009", "00400275.2.00400008.2.00420011"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		steps, ok := parsePath(path)
		if !ok {
			return
		}
		var b []byte
		for i, s := range steps {
			b = appendTag(b, s.tag)
			if i < len(steps)-1 {
				b = fmt.Appendf(b, ".%d.", s.item)
			}
		}
		if !strings.EqualFold(string(b), path) {
			t.Errorf("%q was read as %q", path, b)
		}
	})
}
