//go:build interop

package interop

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/test/rig"
)

// TestEchoLearnsWhatAPACSSupports probes each PACS by its name, and uses the entry that the answer gives.
func TestEchoLearnsWhatAPACSSupports(t *testing.T) {
	for _, src := range theSite.sources {
		t.Run(src.name, func(t *testing.T) {
			reply, err := theSite.gateway.client.EchoWithResponse(t.Context(), nil, goclient.EchoRequest{PACS: strings.ToLower(src.name), Probe: new(true)})
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, reply.StatusCode(), string(reply.Body))
			answer := reply.JSON200
			require.NotNil(t, answer.Profile)
			require.NotNil(t, answer.Retrieval)
			t.Logf("%+v", *answer.Profile)
			assert.True(t, answer.Profile.ImageLevelFind)
			assert.Equal(t, src.name != pixelMed, answer.Profile.RelationalQueries)
			assert.Equal(t, src.name != "dcmqrscp", slices.Contains(answer.Profile.StudyKeys, "ModalitiesInStudy"))
			assert.True(t, answer.Retrieval.Ready, "all three have C-GET")
			assert.Equal(t, goclient.RetrieveByGet, answer.Retrieval.Method)

			path := filepath.Join(t.TempDir(), "pacs.yaml")
			require.NoError(t, os.WriteFile(path, []byte("pacs:\n"+*answer.PACSEntry), 0o600))
			g, err := newGateway(rig.RunGateway(t, rig.Command{Env: []string{"LISTEN_ADDR=127.0.0.1:0", "PACS_FILE=" + path}}))
			require.NoError(t, err)
			again, err := g.client.EchoWithResponse(t.Context(), nil, goclient.EchoRequest{PACS: strings.ToLower(src.name)})
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, again.StatusCode(), string(again.Body))
		})
	}
}
