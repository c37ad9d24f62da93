package wado

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"mime"
	stdmultipart "mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/gen/api"
	"dicom-qr-gateway/qr/receive"
	"dicom-qr-gateway/server/problem"
)

func faultsOf(t *testing.T, err error) []api.Fault {
	t.Helper()
	p, _ := err.(*problem.Problem) //nolint:errorlint // not wrapped
	require.NotNil(t, p, "%v", err)
	assert.Equal(t, api.ProblemCodeInvalidRequest, p.Code)
	return p.Faults
}

// partsOf reads a multipart answer.
func partsOf(t *testing.T, w *httptest.ResponseRecorder) (types, bodies []string) {
	t.Helper()
	_, parameters, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
	require.NoError(t, err)
	reader := stdmultipart.NewReader(bytes.NewReader(w.Body.Bytes()), parameters["boundary"])
	for {
		part, err := reader.NextRawPart()
		if err == io.EOF { //nolint:errorlint // as documented
			return types, bodies
		}
		require.NoError(t, err)
		content, err := io.ReadAll(part)
		require.NoError(t, err)
		types, bodies = append(types, part.Header.Get("Content-Type")), append(bodies, string(content))
	}
}

func TestMultipartIsAsClientsReadIt(t *testing.T) {
	w, _, err := sent(t, request(t, Instances, studyPath, "transfer-syntax=*"), all(arriving{data: "one"}, arriving{data: "two", syntax: jpeg}), SendMultipart)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(w.Header().Get("Content-Type"), `multipart/related; type="application/dicom"; boundary=`))
	assert.Equal(t, "--", w.Body.String()[:2], "no line break comes before the first boundary")
	assert.Contains(t, w.Body.String(), "\r\nContent-Type: application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50\r\n\r\n")
	assert.True(t, strings.HasSuffix(w.Body.String(), "--\r\n"))
	types, bodies := partsOf(t, w)
	assert.Equal(t, []string{"application/dicom; transfer-syntax=1.2.840.10008.1.2.1", "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50"}, types)
	assert.Equal(t, "DICM", bodies[1][128:132])
	assert.Contains(t, bodies[1], "1.2.840.10008.1.2.4.50")
	assert.True(t, strings.HasSuffix(bodies[1], "two"))
	assert.Equal(t, "complete", w.Header().Get("Retrieve-Outcome"))
	assert.Equal(t, "Retrieve-Outcome", w.Header().Get("Trailer"))

	again, _, err := sent(t, request(t, Instances, studyPath, "transfer-syntax=*"), all(arriving{data: "one"}), SendMultipart)
	require.NoError(t, err)
	assert.NotEqual(t, w.Header().Get("Content-Type"), again.Header().Get("Content-Type"), "boundaries are random")
}

func TestCompletenessByStatusIsSaidSo(t *testing.T) {
	s := all(arriving{data: "one"})
	s.outcome.Basis, s.inventory.Proven = receive.BasisStatus, false
	w, _, err := sent(t, request(t, Instances, studyPath, ""), s, SendMultipart)
	require.NoError(t, err)
	assert.Equal(t, "complete; basis=status", w.Header().Get("Retrieve-Outcome"))
	assert.Empty(t, w.Header().Get("ETag"))
}

func TestLenientMultipartEndsWithWhatIsMissing(t *testing.T) {
	q := request(t, Instances, studyPath, "", "Prefer", "handling=lenient")
	w, _, err := sent(t, q, all(arriving{data: "one"}).missing("1.2.3.8", "1.2.3.9"), SendMultipart)
	require.NoError(t, err)
	types, bodies := partsOf(t, w)
	require.Equal(t, []string{"application/dicom; transfer-syntax=1.2.840.10008.1.2.1", "application/problem+json"}, types)
	var document api.Problem
	require.NoError(t, json.Unmarshal([]byte(bodies[1]), &document))
	assert.Equal(t, api.ProblemCodeRetrieveIncomplete, document.Code)
	assert.Equal(t, []string{"1.2.3.8", "1.2.3.9"}, document.MissingSOPInstanceUIDs)
	assert.Equal(t, "incomplete; missing=2", w.Header().Get("Retrieve-Outcome"))
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Empty(t, w.Header().Get("ETag"), "which a later 304 would confirm as that of the whole study")
}

func TestLenientAnswerIsBrokenOffWithinAnInstance(t *testing.T) {
	q := request(t, Instances, studyPath, "", "Prefer", "handling=lenient")
	_, transfer, err := sent(t, q, all(arriving{data: "one", err: errArrival}), SendMultipart)
	require.ErrorIs(t, err, errArrival)
	assert.True(t, transfer.Begun())
}

func TestUnavailableTransferSyntaxIsAProblemBeforeTheFirstByte(t *testing.T) {
	for name, send := range map[string]func(*Transfer) error{"multipart": SendMultipart, "archive": SendArchive, "single": SendSingle} {
		_, transfer, err := sent(t, request(t, Instances, studyPath, ""), all(arriving{data: "one", syntax: j2k}), send)
		assert.Equal(t, api.ProblemCodeTransferSyntaxUnavailable, codeOf(err), name)
		assert.False(t, transfer.Begun())

		_, transfer, err = sent(t, request(t, Instances, studyPath, ""), all(arriving{data: "one"}, arriving{data: "two", syntax: j2k}), send)
		assert.Equal(t, api.ProblemCodeTransferSyntaxUnavailable, codeOf(err), name)
		assert.True(t, transfer.Begun(), "the answer is broken off")

		lenient := request(t, Instances, studyPath, "", "Prefer", "handling=lenient")
		_, transfer, err = sent(t, lenient, all(arriving{data: "one", syntax: j2k}), send)
		assert.Equal(t, api.ProblemCodeTransferSyntaxUnavailable, codeOf(err), name)
		assert.False(t, transfer.Begun())
	}
	lenient := request(t, Instances, studyPath, "", "Prefer", "handling=lenient")
	w, _, err := sent(t, lenient, all(arriving{data: "one"}, arriving{uid: "1.2.3.7", data: "two", syntax: j2k}), SendMultipart)
	require.NoError(t, err)
	_, bodies := partsOf(t, w)
	assert.Contains(t, bodies[1], `"missing_sop_instance_uids":["1.2.3.7"]`)
}

func TestSingleInstanceIsAFile(t *testing.T) {
	w, _, err := sent(t, request(t, Instances, instancePath, "accept=application/dicom"), all(arriving{data: "one"}), SendSingle)
	require.NoError(t, err)
	assert.Equal(t, "application/dicom; transfer-syntax=1.2.840.10008.1.2.1", w.Header().Get("Content-Type"))
	assert.Equal(t, "DICM", w.Body.String()[128:132])
	assert.True(t, strings.HasSuffix(w.Body.String(), "one"))

	_, _, err = sent(t, request(t, Instances, instancePath, "accept=application/dicom"), all().missing("1.2.3.1"), SendSingle)
	assert.Equal(t, api.ProblemCodeRetrieveIncomplete, codeOf(err))
}

func TestArchiveHasNamesOfTheGateway(t *testing.T) {
	w, _, err := sent(t, request(t, Instances, studyPath, "accept=application/zip"), all(arriving{uid: "../../etc/passwd", data: "one"}, arriving{data: "two"}), SendArchive)
	require.NoError(t, err)
	assert.Equal(t, "application/zip", w.Header().Get("Content-Type"))
	files := filesOf(t, w)
	assert.Len(t, files, 2)
	assert.True(t, strings.HasSuffix(files["series-001/instance-00001.dcm"], "one"))
	assert.Equal(t, "DICM", files["series-001/instance-00002.dcm"][128:132])
}

func filesOf(t *testing.T, w *httptest.ResponseRecorder) map[string]string {
	t.Helper()
	archive, err := zip.NewReader(bytes.NewReader(w.Body.Bytes()), int64(w.Body.Len()))
	require.NoError(t, err)
	files := map[string]string{}
	for _, f := range archive.File {
		r, err := f.Open()
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err, "the checksum is right")
		files[f.Name] = string(content)
	}
	return files
}

func TestLenientArchiveHasAFileWithWhatIsMissing(t *testing.T) {
	q := request(t, Instances, studyPath, "accept=application/zip", "Prefer", "handling=lenient")
	w, _, err := sent(t, q, all(arriving{data: "one"}).missing("1.2.3.9"), SendArchive)
	require.NoError(t, err)
	assert.Contains(t, filesOf(t, w)["INCOMPLETE.json"], `"missing_sop_instance_uids":["1.2.3.9"]`)
}

func TestArchiveThatIsBrokenOffCannotBeRead(t *testing.T) {
	for name, s := range map[string]*source{
		"missing": all(arriving{data: "one"}).missing("1.2.3.9"), "cut": all(arriving{data: "one"}, arriving{data: "two", err: errArrival}),
	} {
		w, _, err := sent(t, request(t, Instances, studyPath, "accept=application/zip"), s, SendArchive)
		require.Error(t, err)
		_, err = zip.NewReader(bytes.NewReader(w.Body.Bytes()), int64(w.Body.Len()))
		require.Error(t, err, name)
	}
}

func TestEntityTagChangesWithWhatItIdentifies(t *testing.T) {
	s := all(arriving{data: "one"}, arriving{data: "two"})
	base := ETag(request(t, Instances, studyPath, ""), &s.inventory)
	assert.True(t, strings.HasPrefix(base, `W/"`))
	seen := map[string]bool{base: true}
	differs := func(what, tag string) {
		assert.False(t, seen[tag], what)
		seen[tag] = true
	}
	differs("media type", ETag(request(t, Instances, studyPath, "accept=application/zip"), &s.inventory))
	differs("transfer syntax", ETag(request(t, Instances, studyPath, "transfer-syntax=*"), &s.inventory))
	differs("metadata", ETag(request(t, Metadata, studyPath, ""), &s.inventory))
	differs("window", ETag(request(t, Rendered, studyPath, "window=1,2,linear"), &s.inventory))
	differs("other window", ETag(request(t, Rendered, studyPath, "window=1,3,linear"), &s.inventory))
	merged := s.inventory
	merged.PatientName = "DOE^JANE"
	differs("patient", ETag(request(t, Instances, studyPath, ""), &merged))
	fewer := s.inventory
	fewer.Instances = fewer.Instances[:1]
	differs("instances", ETag(request(t, Instances, studyPath, ""), &fewer))
	turned := all(arriving{uid: "1.2.3.2"}, arriving{uid: "1.2.3.1"})
	assert.Equal(t, base, ETag(request(t, Instances, studyPath, ""), &turned.inventory), "the order of the PACS does not matter")

	for tag, want := range map[string]bool{base: true, strings.TrimPrefix(base, "W/"): true, `"x", ` + base: true, "*": true, `W/"x"`: false} {
		assert.Equal(t, want, request(t, Instances, studyPath, "", "If-None-Match", tag).Matches(base), tag)
	}
	assert.False(t, request(t, Instances, studyPath, "", "If-None-Match", "*").Matches(""))
}

func TestInstancesThatAreConvertedAreLabelledSo(t *testing.T) {
	w, _, err := sent(t, request(t, Instances, studyPath, ""),
		all(arriving{data: "\x08\x00\x60\x00\x02\x00\x00\x00CT", syntax: dataset.ImplicitVRLittleEndian}), SendMultipart)
	require.NoError(t, err)
	types, bodies := partsOf(t, w)
	assert.Equal(t, []string{"application/dicom; transfer-syntax=1.2.840.10008.1.2.1"}, types)
	assert.True(t, strings.HasSuffix(bodies[0], element(0x0008_0060, "CS", "CT")))
}

func TestInstanceThatCannotBeConvertedIsAProblemBeforeTheFirstByte(t *testing.T) {
	image := element(0x0028_0002, "US", "\x01\x00") + element(0x0028_0004, "CS", "MONOCHROME2 ") + element(0x0028_0010, "US", "\x08\x00") +
		element(0x0028_0011, "US", "\x08\x00") + element(0x0028_0100, "US", "\x08\x00") + element(0x0028_0101, "US", "\x08\x00") +
		element(0x0028_0102, "US", "\x07\x00") + element(0x0028_0103, "US", "\x00\x00")
	for name, test := range map[string]struct {
		bad  arriving
		code api.ProblemCode
	}{
		"no JPEG":   {arriving{syntax: jpeg, data: image + encapsulated("no JPEG ")}, api.ProblemCodeTransferSyntaxUnavailable},
		"truncated": {arriving{syntax: dataset.ImplicitVRLittleEndian, data: "\x08\x00\x60\x00\x02\x00\x00\x00C"}, api.ProblemCodeProtocolError},
	} {
		_, transfer, err := sent(t, request(t, Instances, studyPath, ""), all(test.bad), SendMultipart)
		assert.Equal(t, test.code, codeOf(err), name)
		assert.False(t, transfer.Begun())
	}
	_, _, err := sent(t, request(t, Instances, studyPath, ""),
		all(arriving{syntax: dataset.ImplicitVRLittleEndian, data: "\x08\x00\x60\x00\x02\x00\x00\x00CT", err: errArrival}), SendMultipart)
	require.ErrorIs(t, err, errArrival)
}
