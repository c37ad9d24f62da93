//go:build interop

package interop

import (
	"bytes"
	"errors"
	"image"
	_ "image/jpeg" // pictures of the gateway
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
)

// clip returns a file with the clip of the demonstration, which has 20 frames, and its frames.
func clip(t *testing.T) (file string, frames []string) {
	t.Helper()
	instances := demo.ImagingStudies()[1].Instances()
	in := instances[len(instances)-1]
	files, err := dicomtest.WriteDir(t.TempDir(), []*dicomtest.Instance{in})
	require.NoError(t, err)
	for _, f := range demo.ImagingStudies()[1].Series[1].Image(0).Frames() {
		frames = append(frames, string(f))
	}
	require.Len(t, frames, 20)
	return files[0], frames
}

// answerOf sends a GET request with an Accept field.
func answerOf(t *testing.T, url, accept string) (*http.Response, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Accept", accept)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, body
}

// framesOf returns the media type of the frames at a URL, and the frames.
func framesOf(t *testing.T, url, accept string) (mediaType string, frames []string) {
	t.Helper()
	response, body := answerOf(t, url, accept) //nolint:bodyclose // answerOf has read and closed it
	require.Equal(t, http.StatusOK, response.StatusCode, string(body[:min(len(body), 500)]))
	_, parameters, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	require.NoError(t, err)
	parts := multipart.NewReader(bytes.NewReader(body), parameters["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return mediaType, frames
		}
		require.NoError(t, err)
		frame, err := io.ReadAll(part)
		require.NoError(t, err)
		mediaType, frames = part.Header.Get("Content-Type"), append(frames, string(frame))
	}
}

// DCMTK compresses a clip in all the ways in which frames can be arranged, Orthanc stores it, and decompresses what the gateway does not.
func TestFramesOfACompressedClip(t *testing.T) {
	const (
		stored = `multipart/related; type="application/octet-stream"; transfer-syntax=*`
		jpeg   = "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.70"
		native = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
	)
	ports, err := freePorts(2)
	require.NoError(t, err)
	o := orthanc{source{"Compressed", "COMPRESSED", ports[0]}, ports[1]}
	p, err := startOrthanc(t.TempDir(), o, nil, nil)
	if p != nil {
		t.Cleanup(p.Stop)
	}
	require.NoError(t, err)
	g := imageGateway(t, o.source)
	for name, c := range map[string]struct {
		program   []string
		mediaType string
		start     string
	}{
		"offset table":                {[]string{"dcmcjpeg", "+e1", "+ot"}, jpeg, "\xFF\xD8\xFF"},
		"no offset table":             {[]string{"dcmcjpeg", "+e1", "-ot"}, jpeg, "\xFF\xD8\xFF"},
		"fragments with offset table": {[]string{"dcmcjpeg", "+e1", "+ot", "+fs", "1"}, jpeg, "\xFF\xD8\xFF"},
		"fragments without":           {[]string{"dcmcjpeg", "+e1", "-ot", "+fs", "1"}, jpeg, "\xFF\xD8\xFF"},
		"JPEG-LS":                     {[]string{"dcmcjpls", "+el"}, "image/jls; transfer-syntax=1.2.840.10008.1.2.4.80", "\xFF\xD8\xFF"},
		"RLE":                         {[]string{"dcmcrle"}, "image/dicom-rle; transfer-syntax=1.2.840.10008.1.2.5", "\x01\x00\x00\x00\x40"},
	} {
		t.Run(name, func(t *testing.T) {
			file, frames := clip(t)
			compressed := filepath.Join(t.TempDir(), "compressed.dcm")
			for _, command := range [][]string{append(c.program, file, compressed), {"dcmodify", "-nb", "-gst", "-gse", "-gin", compressed}} {
				out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput()
				require.NoError(t, err, string(out))
			}
			data, err := os.ReadFile(compressed)
			require.NoError(t, err)
			posted, err := http.Post("http://"+address(o.httpPort)+"/instances", "application/dicom", bytes.NewReader(data))
			require.NoError(t, err)
			require.NoError(t, posted.Body.Close())
			require.Equal(t, http.StatusOK, posted.StatusCode)
			ds, err := dicom.ParseFile(compressed, nil, dicom.SkipPixelData())
			require.NoError(t, err)
			url := g.URL + "/dicomweb/compressed/studies/" + text(&ds, tag.StudyInstanceUID) + "/series/" + text(&ds, tag.SeriesInstanceUID) +
				"/instances/" + text(&ds, tag.SOPInstanceUID)

			mediaType, got := framesOf(t, url+"/frames/20,1,7", "*/*")
			assert.Equal(t, native, mediaType)
			assert.Equal(t, []string{frames[19], frames[0], frames[6]}, got)

			mediaType, got = framesOf(t, url+"/frames/20,1,7", stored)
			assert.Equal(t, c.mediaType, mediaType)
			require.Len(t, got, 3)
			for _, frame := range got {
				assert.True(t, strings.HasPrefix(frame, c.start))
			}
			_, again := framesOf(t, url+"/frames/7", stored)
			assert.Equal(t, got[2:], again)

			response, body := answerOf(t, url+"/rendered", "image/jpeg") //nolint:bodyclose // as above
			require.Equal(t, http.StatusOK, response.StatusCode, string(body[:min(len(body), 500)]))
			config, kind, err := image.DecodeConfig(bytes.NewReader(body))
			require.NoError(t, err)
			assert.Equal(t, "jpeg", kind)
			assert.Equal(t, 128, config.Width)
		})
	}
}
