package dicomweb

import (
	"bufio"
	"bytes"
	"fmt"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// metadata: one object for each instance, without group 0002 and without bulk data (section 10.4.1.1.2).
func metadata(t *testing.T, s *server) {
	all := s.instances(t, "ACC-1007")
	first := all[0]
	ofSeries := 0
	for _, i := range all {
		if i.series == first.series {
			ofSeries++
		}
	}
	for path, want := range map[string]int{
		"/studies/" + first.study: len(all), "/studies/" + first.study + "/series/" + first.series: ofSeries, first.path(): 1,
	} {
		objects := s.get(t, path+"/metadata").objects(t)
		assert.Len(t, objects, want, path)
		for _, o := range objects {
			assert.Equal(t, first.study, o.text(studyUID))
			for name, a := range o {
				assert.False(t, strings.HasPrefix(name, "0002"), name)
				assert.LessOrEqual(t, len(a.InlineBinary), 8192, name)
				forms := 0
				for _, has := range []bool{a.Value != nil, a.BulkDataURI != "", a.InlineBinary != ""} {
					if has {
						forms++
					}
				}
				assert.LessOrEqual(t, forms, 1, "%s has its value in one form (section F.2.2)", name)
			}
			assert.NotEmpty(t, o["7FE00010"].BulkDataURI)
			assert.Empty(t, o["7FE00010"].InlineBinary)
		}
	}
	assert.Equal(t, "application/json", s.get(t, first.path()+"/metadata", "Accept", "application/json").mediaType())
	assert.Equal(t, http.StatusNotAcceptable, s.get(t, first.path()+"/metadata", "Accept", "text/html").status)
}

// bulkData: each BulkDataURI resolves to the value (section 10.4.1.1.5), and a range of it (section 8.6.1.2.2).
func bulkData(t *testing.T, s *server) {
	first := s.instances(t, "ACC-1007")[0]
	uri := s.get(t, first.path()+"/metadata").objects(t)[0]["7FE00010"].BulkDataURI
	parts := s.get(t, uri).parts(t)
	require.Len(t, parts, 1)
	assert.Equal(t, "application/octet-stream", parts[0].contentType)
	pixels := parts[0].body
	assert.Len(t, pixels, 16*16*2)
	assert.True(t, bytes.HasSuffix(s.get(t, first.path(), "Accept", "application/dicom").body, pixels), "the value of the instance")
	single := s.get(t, uri, "Accept", "application/octet-stream")
	assert.Equal(t, pixels, single.body)
	some := s.get(t, uri, "Accept", "application/octet-stream", "Range", "bytes=10-19")
	assert.Equal(t, http.StatusPartialContent, some.status)
	assert.Equal(t, pixels[10:20], some.body)
	assert.Equal(t, fmt.Sprintf("bytes 10-19/%d", len(pixels)), some.header.Get("Content-Range"))
	assert.Equal(t, http.StatusRequestedRangeNotSatisfiable, s.get(t, uri, "Accept", "application/octet-stream", "Range", "bytes=100000-").status)
	assert.Equal(t, http.StatusNotFound, s.get(t, first.path()+"/bulkdata/00091001").status)
}

// frames: section 10.4.1.1.3, and tables 8.7.3-4 and 8.7.3-5.
func frames(t *testing.T, s *server) {
	const octets, asStored = `multipart/related; type="application/octet-stream"`, `multipart/related; type="application/octet-stream"; transfer-syntax=*`
	first := s.instances(t, "ACC-1007")[0]
	native := s.get(t, first.path()+"/frames/1", "Accept", octets).parts(t)
	require.Len(t, native, 1)
	assert.Len(t, native[0].body, 16*16*2)
	assert.NotEmpty(t, native[0].header["Content-Location"])

	var clip instance // of 20 frames
	for _, i := range s.instances(t, "ACC-5002") {
		if values := s.get(t, i.path()+"/metadata").objects(t)[0]["00280008"].Value; len(values) > 0 && values[0] == 20.0 {
			clip = i
		}
	}
	require.NotEmpty(t, clip)
	each := map[string][]byte{}
	for _, n := range []string{"1", "3", "20"} {
		each[n] = s.get(t, clip.path()+"/frames/"+n, "Accept", asStored).parts(t)[0].body
	}
	assert.NotEqual(t, each["1"], each["3"])
	list := s.get(t, clip.path()+"/frames/3,1,20", "Accept", asStored).parts(t)
	require.Len(t, list, 3)
	assert.Equal(t, [][]byte{each["3"], each["1"], each["20"]}, [][]byte{list[0].body, list[1].body, list[2].body}, "in the order of the list")
	for n, want := range map[string]int{"0": 400, "-1": 400, "a": 400, "1,a": 400, "21": 404, "1,21": 404} {
		assert.Equal(t, want, s.get(t, clip.path()+"/frames/"+n).status, n)
	}

	photo := s.instances(t, "ACC-5001")[0]
	r := s.get(t, photo.path()+"/frames/1", "Accept", `multipart/related; type="image/jpeg"; transfer-syntax=`+jpegBaseline)
	compressed := r.parts(t)
	assert.Equal(t, "image/jpeg", compressed[0].contentType)
	assert.Equal(t, jpegBaseline, compressed[0].syntax)
	_, format, err := image.Decode(bytes.NewReader(compressed[0].body))
	require.NoError(t, err)
	assert.Equal(t, "jpeg", format)
}

// rendered: section 10.4.1.1.4 and table 8.3.5-1.
func rendered(t *testing.T, s *server) {
	photo := s.instances(t, "ACC-5001")[0]
	study := "/studies/" + photo.study
	for _, resource := range []string{study, study + "/series/" + photo.series, photo.path(), photo.path() + "/frames/1"} {
		for _, kind := range []string{"/rendered", "/thumbnail"} {
			if strings.Contains(resource, "/frames/") && kind == "/thumbnail" {
				continue
			}
			for accept, format := range map[string]string{"": "jpeg", "*/*": "jpeg", "image/jpeg": "jpeg", "image/png": "png"} {
				r := s.get(t, resource+kind, "Accept", accept)
				require.Equal(t, http.StatusOK, r.status, resource+kind)
				assert.Equal(t, "image/"+format, r.mediaType())
				_, decoded, err := image.Decode(bytes.NewReader(r.body))
				require.NoError(t, err)
				assert.Equal(t, format, decoded)
			}
		}
	}
	small, _, err := image.Decode(bytes.NewReader(s.get(t, photo.path()+"/rendered?viewport=64,64").body))
	require.NoError(t, err)
	assert.LessOrEqual(t, max(small.Bounds().Dx(), small.Bounds().Dy()), 64)
	ct := s.instances(t, "ACC-5003")[0]
	assert.Equal(t, http.StatusOK, s.get(t, ct.path()+"/rendered?window=40,400,linear").status)
	for _, query := range []string{"quality=0", "quality=101", "quality=a", "viewport=a", "viewport=0,0", "window=1", "window=1,2,other", "window=a,b,linear"} {
		assert.Equal(t, http.StatusBadRequest, s.get(t, ct.path()+"/rendered?"+query).status, query)
	}
	assert.Equal(t, http.StatusNotAcceptable, s.get(t, ct.path()+"/rendered", "Accept", "text/html").status)
}

// streams: an answer that may be broken off is not sent by HTTP/1.0, which cannot say so.
func streams(t *testing.T, s *server) {
	address, path, _ := strings.Cut(strings.TrimPrefix(s.url, "http://"), "/")
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	require.NoError(t, err)
	defer func() { _ = connection.Close() }()
	_, err = fmt.Fprintf(connection, "GET /%s/studies/%s HTTP/1.0\r\nHost: %s\r\n\r\n", path, s.instances(t, "ACC-1007")[0].study, address)
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	assert.Equal(t, http.StatusHTTPVersionNotSupported, response.StatusCode)
}
