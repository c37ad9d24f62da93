// Package dicomweb tests a DICOMweb server against PS3.18: the transactions Search (section 10.6) and Retrieve (section 10.4) of the
// Studies Service, and what sections 8.3 to 8.8 say about their requests and answers. It knows nothing of the gateway but its base URL.
// It reads instances with a library that the gateway does not use for what it sends.
package dicomweb

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/test/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// server is the server under test.
type server struct{ url string }

// object is a data set of the DICOM JSON Model (annex F).
type object map[string]attribute

type attribute struct {
	VR           string `json:"vr"`
	Value        []any
	BulkDataURI  string
	InlineBinary string
}

// text returns the first value of an attribute, "" if it has none.
func (o object) text(tag string) string {
	if values := o[tag].Value; len(values) > 0 {
		s, _ := values[0].(string)
		return s
	}
	return ""
}

const (
	studyUID, seriesUID, instanceUID = "0020000D", "0020000E", "00080018"
	dicomJSON                        = "application/dicom+json"
	explicitLittleEndian             = "1.2.840.10008.1.2.1"
	jpegBaseline                     = "1.2.840.10008.1.2.4.50"
)

func newServer(t *testing.T) *server {
	t.Helper()
	if url := os.Getenv("DICOMWEB_URL"); url != "" {
		return &server{strings.TrimSuffix(url, "/")}
	}
	g := rig.RunGateway(t, rig.Command{Args: []string{"demo"}, OnlyEnv: true, Env: []string{
		"LISTEN_ADDR=127.0.0.1:0", "DEMO_PACS_A_ADDR=127.0.0.1:0", "DEMO_PACS_B_ADDR=127.0.0.1:0",
	}})
	return &server{g.URL + "/dicomweb/orthanca"}
}

// reply is an answer whose body has been read.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// get sends a GET request. headers are pairs of a name and a value.
func (s *server) get(t *testing.T, path string, headers ...string) reply {
	t.Helper()
	return s.do(t, http.MethodGet, path, headers...)
}

func (s *server) do(t *testing.T, method, path string, headers ...string) reply {
	t.Helper()
	if !strings.HasPrefix(path, "http://") {
		path = s.url + path
	}
	r, err := http.NewRequestWithContext(t.Context(), method, path, http.NoBody)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err, path)
	return reply{response.StatusCode, response.Header, body}
}

func (r reply) mediaType() string {
	name, _, _ := mime.ParseMediaType(r.header.Get("Content-Type"))
	return name
}

// objects returns the data sets of an answer, which must be valid.
func (r reply) objects(t *testing.T) []object {
	t.Helper()
	require.Equal(t, http.StatusOK, r.status, string(r.body))
	require.Equal(t, dicomJSON, r.mediaType())
	var all []object
	require.NoError(t, json.Unmarshal(r.body, &all))
	require.NotNil(t, all, "a list, not null")
	return all
}

// part is one part of a multipart answer.
type part struct {
	contentType, syntax string
	header              map[string][]string
	body                []byte
}

// parts returns the parts of a multipart answer (section 8.6.1.2.1), whose form is checked.
func (r reply) parts(t *testing.T) []part {
	t.Helper()
	require.Equal(t, http.StatusOK, r.status, string(r.body[:min(len(r.body), 500)]))
	name, parameters, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/related", name)
	require.True(t, bytes.HasPrefix(r.body, []byte("--"+parameters["boundary"]+"\r\n")), "the body begins with a boundary")
	require.True(t, bytes.HasSuffix(bytes.TrimRight(r.body, "\r\n"), []byte("\r\n--"+parameters["boundary"]+"--")), "and ends with the closing one")
	require.Contains(t, string(r.body[:200]), "\r\nContent-Type: ")
	var all []part
	for reader := multipart.NewReader(bytes.NewReader(r.body), parameters["boundary"]); ; {
		p, err := reader.NextRawPart()
		if err == io.EOF { //nolint:errorlint // the closing boundary
			return all
		}
		require.NoError(t, err)
		body, err := io.ReadAll(p)
		require.NoError(t, err)
		media, of, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		require.NoError(t, err)
		require.Equal(t, parameters["type"], media, "the type parameter is that of the parts")
		all = append(all, part{media, of["transfer-syntax"], p.Header, body})
	}
}

// file reads a file of PS3.10.
func file(t *testing.T, content []byte) dicom.Dataset {
	t.Helper()
	require.Greater(t, len(content), 132)
	require.Equal(t, "DICM", string(content[128:132]))
	set, err := dicom.Parse(bytes.NewReader(content), int64(len(content)), nil, dicom.SkipPixelData())
	require.NoError(t, err)
	return set
}

func value(t *testing.T, set dicom.Dataset, name tag.Tag) string {
	t.Helper()
	element, err := set.FindElementByTag(name)
	require.NoError(t, err)
	values, ok := element.Value.GetValue().([]string)
	require.True(t, ok)
	require.NotEmpty(t, values)
	return strings.TrimRight(values[0], "\x00 ")
}

// instance is an instance of the server, by its UIDs.
type instance struct{ study, series, sop string }

func (i instance) path() string {
	return "/studies/" + i.study + "/series/" + i.series + "/instances/" + i.sop
}

// instances returns the instances of the study with this accession number, in the order of the search.
func (s *server) instances(t *testing.T, accession string) []instance {
	t.Helper()
	studies := s.get(t, "/studies?AccessionNumber="+accession).objects(t)
	require.Len(t, studies, 1)
	study := studies[0].text(studyUID)
	var all []instance
	for _, found := range s.get(t, "/studies/"+study+"/instances").objects(t) {
		all = append(all, instance{study, found.text(seriesUID), found.text(instanceUID)})
	}
	require.NotEmpty(t, all)
	return all
}

// TestServer runs all tests on one server.
func TestServer(t *testing.T) {
	s := newServer(t)
	for name, test := range map[string]func(*testing.T, *server){
		"Search": search, "Parameters of a search": parameters, "Media types of a search": searchMediaTypes,
		"Instances": instances, "Media types of instances": instanceMediaTypes, "What does not exist": missing,
		"Transfer syntax": transferSyntax, "Metadata": metadata, "Bulk data": bulkData, "Frames": frames, "Rendered": rendered,
		"Conditional requests": conditional, "Read only": readOnly, "Streams": streams,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

// readOnly: methods that are not supported are refused with 405 and Allow (RFC 9110 section 15.5.6).
func readOnly(t *testing.T, s *server) {
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		r := s.do(t, method, "/studies")
		assert.Equal(t, http.StatusMethodNotAllowed, r.status, method)
		assert.Contains(t, r.header.Get("Allow"), http.MethodGet)
	}
}
