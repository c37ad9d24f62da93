//go:build siege && linux

package siege

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dicomtest"
)

// imagesFrom returns a PACS with studies of generated images, as the gateway names it, and their UIDs.
func imagesFrom(t *testing.T, g *gateway, studies, instances int, bytesEach int64) (name string, uids []string) {
	t.Helper()
	pacs := dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: "PACS"})
	for i := range studies {
		study := dicomtest.GeneratedStudy(fmt.Sprintf("IMAGES-%d", i), instances, bytesEach)
		require.NoError(t, pacs.AddStudies(study))
		uids = append(uids, study.UID())
	}
	require.NoError(t, pacs.Listen("127.0.0.1:0"))
	t.Cleanup(func() { _ = pacs.Close() })
	return g.name(t, portOf(t, pacs.Addr())), uids
}

// images asks for a study. The body is closed at the end of the test.
func (g *gateway) images(t *testing.T, pacs, study string) io.Reader {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+"/dicomweb/"+pacs+"/studies/"+study, http.NoBody)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+keyOfA)
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(t, http.StatusOK, response.StatusCode)
	return response.Body
}

// A process that keeps a whole instance in memory, or what a caller has not taken, is far above these limits.
func TestLargeImagesTakeLittleMemory(t *testing.T) {
	g := defend(t, "SPOOL_DIR="+t.TempDir())
	pacs, studies := imagesFrom(t, g, 1, 1, 1<<30)
	g.forgetPeak(t)
	n, err := io.Copy(io.Discard, g.images(t, pacs, studies[0]))
	require.NoError(t, err)
	assert.Greater(t, n, int64(1<<30))
	assert.Less(t, g.peak(t), 64<<20, mib(g.peak(t)))
	t.Log(mib(g.peak(t)))
}

func TestCallersThatTakeNoImagesHoldNeitherThePACSNorMemory(t *testing.T) {
	g := defend(t, "SPOOL_DIR="+t.TempDir(), "STALL_TIMEOUT=5")
	const each = 64 * 2 << 20
	pacs, studies := imagesFrom(t, g, 4, 64, 2<<20)
	g.forgetPeak(t)
	var stalled []io.Reader
	for _, study := range studies {
		stalled = append(stalled, g.images(t, pacs, study))
	}
	eventually(t, func() bool { return g.metric(t, "dicomqr_associations_open") == 0 }, "the PACS has sent everything")
	assert.Greater(t, g.metric(t, "dicomqr_spool_bytes"), float64(len(studies)*each/2), "the callers have taken little of it")

	var others sync.WaitGroup
	for i := range 12 {
		others.Go(func() {
			n, err := io.Copy(io.Discard, g.images(t, pacs, studies[i%len(studies)]))
			assert.NoError(t, err)
			assert.Greater(t, n, int64(each))
		})
	}
	others.Wait()
	eventually(t, func() bool { return g.metric(t, "dicomqr_spool_bytes") == 0 }, "the callers that take nothing are cut off")
	for _, body := range stalled {
		_, err := io.Copy(io.Discard, body)
		require.Error(t, err, "what they have looks incomplete")
	}
	assert.Less(t, g.peak(t), 192<<20, mib(g.peak(t)))
	t.Log(mib(g.peak(t)))
}

func TestWithoutAFileACallerThatTakesNoImagesIsCutOff(t *testing.T) {
	g := defend(t)
	pacs, studies := imagesFrom(t, g, 1, 64, 2<<20)
	body := g.images(t, pacs, studies[0])
	eventually(t, func() bool { return g.metric(t, "dicomqr_associations_open") == 0 }, "the PACS is free again")
	eventually(t, func() bool { return g.metric(t, "dicomqr_spool_bytes") == 0 }, "its memory is free again")
	_, err := io.Copy(io.Discard, body)
	require.Error(t, err)
}
