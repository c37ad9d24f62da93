//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/test/rig"
)

// The limit is that of a process, so the gateway runs in one of its own.
func TestOwnLackOfFileDescriptorsIsNotBlamedOnThePACS(t *testing.T) {
	const limit = 40
	path, err := rig.Binary()
	require.NoError(t, err)
	gateway := rig.RunGateway(t, rig.Command{
		Path: "/bin/sh", Args: []string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" serve`, limit), path},
		Env: []string{"LISTEN_ADDR=127.0.0.1:0"},
	})
	pacs := listen(t)
	defer func() { require.NoError(t, pacs.Close()) }()
	body := fmt.Sprintf(`{"pacs_ip":"127.0.0.1","pacs_port":%d,"pacs_ae_title":"PACS","c_find_ae_title":"GATEWAY","patient_id":"1"}`,
		pacs.Addr().(*net.TCPAddr).Port)

	transport := &http.Transport{MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	answer, err := client.Get(gateway.URL + "/health") //nolint:noctx // The gateway answers at once.
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	// Further connections take all descriptors that are left.
	for range limit {
		connection, err := net.Dial("tcp", strings.TrimPrefix(gateway.URL, "http://"))
		require.NoError(t, err)
		defer connection.Close() //nolint:gocritic,revive // At the end of the test.
	}
	var problem struct{ Code, Hint string }
	require.Eventually(t, func() bool { // when the gateway has accepted them
		answer, err := client.Post(gateway.URL+"/q", "application/json", strings.NewReader(body)) //nolint:noctx // It has a timeout of its own.
		require.NoError(t, err)
		defer answer.Body.Close()
		require.NoError(t, json.NewDecoder(answer.Body).Decode(&problem))
		return answer.StatusCode == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") != ""
	}, rig.Patience, 50*time.Millisecond, "%+v", &problem)
	assert.Equal(t, "too_many_open_files", problem.Code)
	assert.Contains(t, problem.Hint, "ulimit -n")
}
