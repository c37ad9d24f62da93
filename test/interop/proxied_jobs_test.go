//go:build interop

package interop

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/client/go"
	"dicom-qr-gateway/test/rig"
)

// A list of 10,000 items has about 700 kB; the gateway takes 4 MiB.
func TestProxyPassesLongListsToJobsAlone(t *testing.T) {
	eachProxy(t, func(t *testing.T, name string) {
		u := newUpstream(t)
		s := startProxy(t, name, u.host)
		for _, site := range []string{s.people, s.keys} {
			for _, test := range []struct {
				path   string
				bytes  int
				status int
			}{
				{"/jobs?pacs=main", 4 << 20, http.StatusOK},
				{"/jobs?pacs=main", 6 << 20, http.StatusRequestEntityTooLarge},
				{"/jobs/0192f3c4/cancel", 0, http.StatusOK},
				{"/jobs/0192f3c4/cancel", 200 << 10, http.StatusRequestEntityTooLarge},
				{"/echo", 200 << 10, http.StatusRequestEntityTooLarge},
			} {
				r := s.request(t.Context(), t, test.path, strings.NewReader(strings.Repeat("1", test.bytes)))
				r.URL.Host = strings.TrimPrefix(site, "https://")
				if site == s.keys {
					r.Header.Set("Authorization", "Bearer mine")
				}
				assert.Equal(t, test.status, s.do(t, r).status, "%d bytes for %s", test.bytes, test.path)
			}
		}
		assert.Len(t, u.got, 4, "refused requests must not reach the gateway")
		r := s.request(t.Context(), t, "/jobs", strings.NewReader("1"))
		r.URL.Host = strings.TrimPrefix(s.keys, "https://")
		assert.Equal(t, http.StatusUnauthorized, s.do(t, r).status, "without a key")
	})
}

// The client files a list, follows its job and reads the result through each proxy.
func TestJobsPassAProxy(t *testing.T) {
	dir := t.TempDir()
	keys := writeFile(t, filepath.Join(dir, "keys"), fmt.Sprintf("program:%x\n", sha256Of(programKey)))
	g := rig.RunGateway(t, rig.Command{Args: []string{"demo"}, Env: []string{
		"LISTEN_ADDR=127.0.0.1:0", "DEMO_PACS_A_ADDR=127.0.0.1:0", "DEMO_PACS_B_ADDR=127.0.0.1:0", "TRUSTED_PROXIES=127.0.0.1", "API_KEYS_FILE=" + keys,
	}})
	eachProxy(t, func(t *testing.T, name string) {
		s := startProxy(t, name, strings.TrimPrefix(g.URL, "http://"))
		gateway, err := client.NewGateway(s.keys, client.WithHTTPClient(s.client), client.WithAPIKey(programKey))
		require.NoError(t, err)
		list := "study_instance_uid\n2.25.75748022655180156166817239146794627796\n" + // and enough for a body beyond 100 kB
			strings.Repeat("\n", 200<<10)
		job, err := gateway.SubmitJobCSV(t.Context(), client.JobParameters{PACS: "orthanca", CMoveAETitle: new("ORTHANCB")}, []byte(list))
		require.NoError(t, err)
		var kinds []client.JobEventKind
		for event, err := range gateway.FollowJob(t.Context(), job.Job, client.WithLastEventID("0")) {
			require.NoError(t, err)
			kinds = append(kinds, event.Kind)
		}
		assert.Contains(t, kinds, client.ItemEnded)
		assert.Equal(t, client.JobFinished, kinds[len(kinds)-1])
		var csv strings.Builder
		require.NoError(t, gateway.WriteJobCSV(t.Context(), &csv, job.Job, client.JobItems{}))
		assert.Contains(t, csv.String(), ",moved,1,1,7,0,")
		require.NoError(t, gateway.DeleteJob(t.Context(), job.Job))
	})
}
