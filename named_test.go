package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/internal/demo"
	"dicom-qr-gateway/test/rig"
)

const entryOf = `pacs:
  main:
    host: 127.0.0.1
    port: 104
    ae_title: PACS
    calling_ae_title: GATEWAY
`

func pacsFile(t *testing.T, contents string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pacs.yaml")
	require.NoError(t, os.WriteFile(path, []byte(contents), 0o600))
	return path
}

func TestCheckListsTheNamedPACSOrEveryFaultWithItsLine(t *testing.T) {
	check := func(contents string) (status int, stdout, stderr, path string) {
		path = pacsFile(t, contents)
		var out, errs bytes.Buffer
		status = run(t.Context(), []string{"dicom-qr-gateway", "check"}, environ(map[string]string{"PACS_FILE": path}), &out, &errs)
		return status, out.String(), errs.String(), path
	}
	status, stdout, stderr, _ := check(entryOf + "  second: {host: pacs.example, port: 2762, ae_title: B, calling_ae_title: C, tls: true, profile: {}}\n")
	assert.Zero(t, status)
	assert.Empty(t, stderr)
	assert.Equal(t, "The settings are valid.\nPACS main: PACS at 127.0.0.1:104, called by GATEWAY, without a profile\n"+
		"PACS second: B at pacs.example:2762, called by C with TLS\n", stdout)

	status, stdout, stderr, path := check(strings.Replace(entryOf, "port: 104", "prot: 104", 1))
	assert.Equal(t, 1, status)
	assert.Empty(t, stdout)
	assert.Equal(t, path+":2: main: port is required\n"+path+":4: main.prot: is not a field, did you mean port?\n", stderr)
}

// post sends a request to the gateway and returns the answer.
func post(t *testing.T, url, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	reply, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	contents, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	return reply.StatusCode, string(contents)
}

func TestTheDemonstrationHasNamedPACS(t *testing.T) {
	settings := map[string]string{
		"LISTEN_ADDR": "127.0.0.1:0", "DEMO_PACS_A_ADDR": "127.0.0.1:0", "DEMO_PACS_B_ADDR": "[::1]:0", "AD_HOC_PACS": "false",
	}
	gateway := rig.RunInProcess(t, func(ctx context.Context, stdout io.Writer) int {
		return run(ctx, []string{"dicom-qr-gateway", "demo"}, environ(settings), stdout, stdout)
	})
	status, answer := post(t, gateway.URL+"/qr", `{"pacs":"orthanca","c_move_ae_title":"ORTHANCB","max_results":1,"patient_id":"`+demo.PatientID+`"}`)
	assert.Equal(t, http.StatusOK, status, answer)
	status, answer = post(t, gateway.URL+"/q", `{"pacs":"orthancb","patient_id":"`+demo.PatientID+`"}`)
	assert.Equal(t, http.StatusOK, status, answer)

	reply, err := http.Get(gateway.URL + "/metrics")
	require.NoError(t, err)
	metrics, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	assert.Contains(t, string(metrics), `dicomqr_operations_total{operation="move",outcome="ok",peer="orthanca"} 1`)
	assert.Contains(t, string(metrics), `dicomqr_associations_open{peer="orthancb"}`)

	reply, err = http.Get(gateway.URL + "/pacs")
	require.NoError(t, err)
	var list struct{ PACS []struct{ Name string } }
	require.NoError(t, json.NewDecoder(reply.Body).Decode(&list))
	require.NoError(t, reply.Body.Close())
	assert.Len(t, list.PACS, 2)

	var line struct{ PACS, Peer string }
	require.NoError(t, gateway.Await(t, rig.Message("association")).Decode(&line))
	assert.Contains(t, []string{"orthanca", "orthancb"}, line.PACS)
	gateway.Stop(t)
}
