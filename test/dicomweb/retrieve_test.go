package dicomweb

import (
	"archive/zip"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom/pkg/tag"
)

const anySyntax = `multipart/related; type="application/dicom"; transfer-syntax=*`

// found returns the SOP Instance UIDs of files, each of which is of the study.
func found(t *testing.T, study string, files [][]byte) (uids []string) {
	t.Helper()
	for _, content := range files {
		set := file(t, content)
		assert.Equal(t, study, value(t, set, tag.StudyInstanceUID))
		assert.Equal(t, value(t, set, tag.SOPInstanceUID), value(t, set, tag.MediaStorageSOPInstanceUID))
		assert.Equal(t, value(t, set, tag.SOPClassUID), value(t, set, tag.MediaStorageSOPClassUID))
		uids = append(uids, value(t, set, tag.SOPInstanceUID))
	}
	return uids
}

func bodies(parts []part) (all [][]byte) {
	for _, p := range parts {
		all = append(all, p.body)
	}
	return all
}

// instances: study, series and instance resources return all their instances (section 10.4.1.1.1).
func instances(t *testing.T, s *server) {
	for _, accession := range []string{"ACC-1007", "ACC-5002"} {
		all := s.instances(t, accession)
		var ofStudy, ofSeries []string
		for _, i := range all {
			ofStudy = append(ofStudy, i.sop)
			if i.series == all[0].series {
				ofSeries = append(ofSeries, i.sop)
			}
		}
		first := all[0]
		for path, want := range map[string][]string{
			"/studies/" + first.study:                             ofStudy,
			"/studies/" + first.study + "/series/" + first.series: ofSeries,
			first.path(): {first.sop},
		} {
			parts := s.get(t, path).parts(t)
			assert.ElementsMatch(t, want, found(t, first.study, bodies(parts)), path)
			for _, p := range parts {
				assert.Equal(t, "application/dicom", p.contentType)
				assert.Equal(t, explicitLittleEndian, p.syntax, "the default (section 8.7.3.3.2)")
			}
		}
	}
}

// instanceMediaTypes: tables 10.4.4-1 and 8.7.3-1, and section 8.7.8.1.
func instanceMediaTypes(t *testing.T, s *server) {
	all := s.instances(t, "ACC-1007")
	first := all[0]
	study := "/studies/" + first.study
	for _, accept := range []string{
		"", "*/*", "multipart/related", `multipart/related; type="application/dicom"`, "multipart/related; type=application/dicom", anySyntax,
		`multipart/related; type="application/dicom"; transfer-syntax="*"`, "multipart/related; type=application/dicom; transfer-syntax=" + explicitLittleEndian,
		"multipart/related; type=image/jp2, " + anySyntax + ";q=0.5", "text/html, */*;q=0.2",
	} {
		assert.Len(t, s.get(t, study, "Accept", accept).parts(t), len(all), accept)
	}
	for path, accepts := range map[string][]string{
		study:        {"text/html", "application/dicom", "image/jpeg", `multipart/related; type="application/dicom+xml"`},
		first.path(): {"text/html"},
	} {
		for _, accept := range accepts {
			assert.Equal(t, http.StatusNotAcceptable, s.get(t, path, "Accept", accept).status, "%s as %s", path, accept)
		}
	}
	single := s.get(t, first.path(), "Accept", "application/dicom")
	require.Equal(t, http.StatusOK, single.status)
	assert.Equal(t, "application/dicom", single.mediaType())
	assert.Equal(t, []string{first.sop}, found(t, first.study, [][]byte{single.body}))
	parameter := s.get(t, first.path()+"?accept=application/dicom", "Accept", "text/html")
	assert.Equal(t, "application/dicom", parameter.mediaType(), "the parameter goes before the header")

	archive := s.get(t, study, "Accept", "application/zip")
	require.Equal(t, "application/zip", archive.mediaType())
	reader, err := zip.NewReader(bytes.NewReader(archive.body), int64(len(archive.body)))
	require.NoError(t, err)
	var files [][]byte
	for _, f := range reader.File {
		content, err := f.Open()
		require.NoError(t, err)
		b, err := io.ReadAll(content)
		require.NoError(t, err)
		files = append(files, b)
	}
	assert.Len(t, found(t, first.study, files), len(all))
}

// missing: 404 for what does not exist, 400 for what is malformed (table 10.4.3-1).
func missing(t *testing.T, s *server) {
	first, other := s.instances(t, "ACC-1007")[0], s.instances(t, "ACC-5002")[0]
	for _, suffix := range []string{"", "/metadata"} {
		for path, want := range map[string]int{
			"/studies/1.2.3": http.StatusNotFound,
			"/studies/" + first.study + "/series/1.2.3":                                       http.StatusNotFound,
			"/studies/" + first.study + "/series/" + other.series:                             http.StatusNotFound,
			"/studies/" + first.study + "/series/" + first.series + "/instances/1.2.3":        http.StatusNotFound,
			"/studies/" + first.study + "/series/" + first.series + "/instances/" + other.sop: http.StatusNotFound,
			"/studies/" + other.study + "/series/" + first.series + "/instances/" + first.sop: http.StatusNotFound,
			"/studies/abc": http.StatusBadRequest,
			"/studies/" + first.study + "/series/1..2":   http.StatusBadRequest,
			"/studies/" + strings.Repeat("1.", 32) + "1": http.StatusBadRequest,
		} {
			assert.Equal(t, want, s.get(t, path+suffix).status, path+suffix)
		}
	}
}

// transferSyntax: section 8.7.3.3.2.
func transferSyntax(t *testing.T, s *server) {
	photo := s.instances(t, "ACC-5001")[0] // stored in JPEG Baseline
	stored := s.get(t, photo.path(), "Accept", anySyntax).parts(t)
	assert.Equal(t, jpegBaseline, stored[0].syntax)
	assert.Equal(t, jpegBaseline, value(t, file(t, stored[0].body), tag.TransferSyntaxUID))
	asked := s.get(t, photo.path(), "Accept", "multipart/related; type=application/dicom; transfer-syntax="+jpegBaseline).parts(t)
	assert.Equal(t, stored[0].body, asked[0].body)
	converted := s.get(t, photo.path()).parts(t)
	assert.Equal(t, explicitLittleEndian, converted[0].syntax)
	assert.Equal(t, explicitLittleEndian, value(t, file(t, converted[0].body), tag.TransferSyntaxUID))
	none := s.get(t, photo.path(), "Accept", "multipart/related; type=application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90")
	assert.Equal(t, http.StatusNotAcceptable, none.status)
	first := s.instances(t, "ACC-1007")[0]
	assert.Equal(t, explicitLittleEndian, s.get(t, first.path(), "Accept", anySyntax).parts(t)[0].syntax, "never Implicit VR Little Endian")
}

// conditional: entity tags (RFC 9110 section 8.8.3) and HEAD.
func conditional(t *testing.T, s *server) {
	first := s.instances(t, "ACC-1007")[0]
	for _, path := range []string{"/studies/" + first.study, first.path(), first.path() + "/metadata"} {
		r := s.get(t, path)
		require.NotEmpty(t, r.header.Get("ETag"), path)
		assert.Contains(t, r.header.Get("Vary"), "Accept", path)
		again := s.get(t, path, "If-None-Match", r.header.Get("ETag"))
		assert.Equal(t, http.StatusNotModified, again.status, path)
		assert.Empty(t, again.body)
		head := s.do(t, http.MethodHead, path)
		assert.Equal(t, http.StatusOK, head.status, path)
		assert.Empty(t, head.body)
		assert.Equal(t, r.header.Get("ETag"), head.header.Get("ETag"))
	}
	assert.Equal(t, http.StatusNotFound, s.do(t, http.MethodHead, "/studies/1.2.3").status)
}
