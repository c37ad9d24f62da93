//go:build siege && linux

package siege

import (
	"context"
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

// images asks for a study. The caller must close the body.
func (g *gateway) images(ctx context.Context, pacs, study string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL+"/dicomweb/"+pacs+"/studies/"+study, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+keyOfA)
	return (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
}

// A process that keeps a whole instance in memory, or what a caller has not taken, is far above these limits.
func TestLargeImagesTakeLittleMemory(t *testing.T) {
	g := defend(t, "SPOOL_DIR="+t.TempDir())
	pacs, studies := imagesFrom(t, g, 1, 1, 1<<30)
	g.forgetPeak(t)
	response, err := g.images(t.Context(), pacs, studies[0])
	require.NoError(t, err)
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
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
	var stalled []*http.Response
	for _, study := range studies {
		response, err := g.images(t.Context(), pacs, study)
		require.NoError(t, err)
		defer response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode)
		stalled = append(stalled, response)
	}
	eventually(t, func() bool { return g.metric(t, "dicomqr_associations_open") == 0 }, "the PACS has sent everything")
	assert.Greater(t, g.metric(t, "dicomqr_spool_bytes"), float64(len(studies)*each/2), "the callers have taken little of it")

	var others sync.WaitGroup
	for i := range 12 {
		others.Go(func() {
			response, err := g.images(t.Context(), pacs, studies[i%len(studies)])
			if !assert.NoError(t, err) {
				return
			}
			defer response.Body.Close()
			n, err := io.Copy(io.Discard, response.Body)
			assert.NoError(t, err)
			assert.Greater(t, n, int64(each))
		})
	}
	others.Wait()
	eventually(t, func() bool { return g.metric(t, "dicomqr_spool_bytes") == 0 }, "the callers that take nothing are cut off")
	for _, response := range stalled {
		_, err := io.Copy(io.Discard, response.Body)
		require.Error(t, err, "what they have looks incomplete")
	}
	assert.Less(t, g.peak(t), 192<<20, mib(g.peak(t)))
	t.Log(mib(g.peak(t)))
}

func TestWithoutAFileACallerThatTakesNoImagesIsCutOff(t *testing.T) {
	g := defend(t)
	pacs, studies := imagesFrom(t, g, 1, 64, 2<<20)
	response, err := g.images(t.Context(), pacs, studies[0])
	require.NoError(t, err)
	defer response.Body.Close()
	eventually(t, func() bool { return g.metric(t, "dicomqr_associations_open") == 0 }, "the PACS is free again")
	eventually(t, func() bool { return g.metric(t, "dicomqr_spool_bytes") == 0 }, "its memory is free again")
	_, err = io.Copy(io.Discard, response.Body)
	require.Error(t, err)
}
