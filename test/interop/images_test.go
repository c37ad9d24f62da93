//go:build interop

package interop

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
)

// gatewayAETitle is the move destination that is the storage SCP of a gateway.
const gatewayAETitle = "GATEWAY"

// imagesOf retrieves a study and returns its instances as DICOM files, by SOP Instance UID. The answer must be complete.
func imagesOf(t *testing.T, g *gateway, pacs, path string) map[string][]byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+"/dicomweb/"+pacs+path, http.NoBody)
	require.NoError(t, err)
	request.Header.Set("Accept", `multipart/related; type="application/dicom"; transfer-syntax=*`)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(response.Body)
		require.Equal(t, http.StatusOK, response.StatusCode, string(body))
	}
	_, parameters, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	require.NoError(t, err)
	files := map[string][]byte{}
	parts := multipart.NewReader(response.Body, parameters["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		file, err := io.ReadAll(part)
		require.NoError(t, err)
		ds, err := dicom.Parse(bytes.NewReader(file), int64(len(file)), nil, dicom.SkipPixelData())
		require.NoError(t, err)
		uid := text(&ds, tag.SOPInstanceUID)
		assert.Equal(t, uid, text(&ds, tag.MediaStorageSOPInstanceUID))
		assert.NotContains(t, files, uid)
		files[uid] = file
	}
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	assert.Equal(t, "complete", response.Trailer.Get("Retrieve-Outcome"))
	return files
}

// assertImages checks that files are the instances, pixels included.
func assertImages(t *testing.T, want []*dicomtest.Instance, files map[string][]byte) {
	t.Helper()
	assert.Len(t, files, len(want))
	for _, in := range want {
		uid := in.Text(tag.SOPInstanceUID)
		if !assert.Contains(t, files, uid) {
			continue
		}
		encoded, err := in.Encode(dataset.ExplicitVRLittleEndian)
		require.NoError(t, err)
		set, err := dataset.Parse(encoded, dataset.ExplicitVRLittleEndian, dataset.Limits{})
		require.NoError(t, err)
		if pixels, has := set.Bytes(tag.PixelData); has {
			assert.True(t, bytes.HasSuffix(bytes.TrimRight(files[uid], "\x00"), bytes.TrimRight(pixels, "\x00")), "pixels of %s", uid)
		}
	}
}

// imageGateway runs a gateway with each source under three names: its own, and those with -get and -move at the end.
func imageGateway(t *testing.T, sources ...source) *gateway {
	t.Helper()
	ports, err := freePorts(1)
	require.NoError(t, err)
	dir := t.TempDir()
	var entries strings.Builder
	entries.WriteString("pacs:\n")
	for _, s := range sources {
		for name, way := range map[string]string{"": "auto", "-get": "get", "-move": "move"} {
			fmt.Fprintf(&entries, "  %s%s: {host: 127.0.0.1, port: %d, ae_title: %s, calling_ae_title: %s, retrieve: %s}\n",
				strings.ToLower(s.name), name, s.port, s.aeTitle, gatewayAETitle, way)
		}
	}
	file := filepath.Join(dir, "pacs.yaml")
	require.NoError(t, os.WriteFile(file, []byte(entries.String()), 0o600))
	return runGateway(t, dir, ports[0], "PACS_FILE="+file, "SPOOL_DIR="+dir, "MOVE_TIMEOUT=20", "STORE_GRACE=2",
		"STORE_LISTEN_ADDR="+address(theSite.storePort), "STORE_AE_TITLES="+gatewayAETitle)
}

func TestImagesComeFromEveryPACSByEveryWay(t *testing.T) {
	g := imageGateway(t, theSite.sources...)
	studies := native(slices.Concat(demo.Studies(), demo.ImagingStudies()))
	for _, src := range theSite.sources {
		for _, way := range []string{"", "-get", "-move"} {
			t.Run(src.name+way, func(t *testing.T) {
				pacs := strings.ToLower(src.name) + way
				for i := range studies {
					s := &studies[i]
					instances := s.Instances()
					path := "/studies/" + s.UID()
					assertImages(t, instances, imagesOf(t, g, pacs, path))
					if i > 0 {
						continue
					}
					first := instances[0]
					series := first.Text(tag.SeriesInstanceUID)
					path += "/series/" + series
					assertImages(t, slices.DeleteFunc(slices.Clone(instances), func(in *dicomtest.Instance) bool {
						return in.Text(tag.SeriesInstanceUID) != series
					}), imagesOf(t, g, pacs, path))
					assertImages(t, instances[:1], imagesOf(t, g, pacs, path+"/instances/"+first.Text(tag.SOPInstanceUID)))
				}
			})
		}
	}
}

func TestImagesThatNoPACSHasAreNotFound(t *testing.T) {
	g := imageGateway(t, theSite.sources...)
	study := demo.Studies()[0]
	in := study.Instances()[0]
	for _, src := range theSite.sources {
		for _, path := range []string{
			"/studies/1.2.3", "/studies/" + study.UID() + "/series/1.2.3",
			"/studies/" + study.UID() + "/series/" + in.Text(tag.SeriesInstanceUID) + "/instances/1.2.3",
			"/studies/1.2.3/series/" + in.Text(tag.SeriesInstanceUID) + "/instances/" + in.Text(tag.SOPInstanceUID),
		} {
			response, err := http.Get(g.URL + "/dicomweb/" + strings.ToLower(src.name) + path)
			require.NoError(t, err)
			_ = response.Body.Close()
			assert.Equal(t, http.StatusNotFound, response.StatusCode, "%s %s", src.name, path)
		}
	}
}

// Orthanc sends the final response of a C-MOVE before the first instance if it is configured so.
func TestImagesComeFromAnOrthancThatAnswersBeforeItSends(t *testing.T) {
	ports, err := freePorts(2)
	require.NoError(t, err)
	o := orthanc{source{"Later", "LATER", ports[0]}, ports[1]}
	p, err := startOrthanc(t.TempDir(), o, map[string]int{gatewayAETitle: theSite.storePort}, map[string]any{"SynchronousCMove": false})
	if p != nil {
		t.Cleanup(p.Stop)
	}
	require.NoError(t, err)
	study := native(demo.Studies())[0]
	files, err := dicomtest.WriteDir(t.TempDir(), study.Instances())
	require.NoError(t, err)
	require.NoError(t, o.load(files))
	g := imageGateway(t, o.source)
	assertImages(t, study.Instances(), imagesOf(t, g, "later-move", "/studies/"+study.UID()))
}
