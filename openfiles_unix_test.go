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
	const limit = 20 // the gateway itself has six to eight open
	path, err := rig.Binary()
	require.NoError(t, err)
	gateway := rig.RunGateway(t, rig.Command{
		Path: "/bin/sh", Args: []string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" serve`, limit), path},
		Env: []string{"LISTEN_ADDR=127.0.0.1:0", "MAX_ASSOCIATIONS_PER_PACS=100", "ACSE_TIMEOUT=120"},
	})
	_, port, err := net.SplitHostPort(closedPort(t))
	require.NoError(t, err)
	body := fmt.Sprintf(`{"pacs_ip":"127.0.0.1","pacs_port":%s,"pacs_ae_title":"PACS","c_find_ae_title":"GATEWAY","patient_id":"1"}`, port)

	transport := &http.Transport{MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	answer, err := client.Get(gateway.URL + "/health")
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	// Connections of callers take at most half of the descriptors. Associations with a PACS that does not answer take the rest.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	_, silentPort, err := net.SplitHostPort(silent.Addr().String())
	require.NoError(t, err)
	for range limit/2 - limit/8 - 1 { // three quarters of them, without that of client
		connection, err := net.Dial("tcp", strings.TrimPrefix(gateway.URL, "http://"))
		require.NoError(t, err)
		defer connection.Close() //nolint:gocritic // At the end of the test.
		query := strings.Replace(body, port, silentPort, 1)
		_, err = fmt.Fprintf(connection, "POST /q HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(query), query)
		require.NoError(t, err)
	}
	var problem struct{ Code, Hint string }
	for until := time.Now().Add(rig.Patience); problem.Code != "too_many_open_files" && time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		answer, err := client.Post(gateway.URL+"/q", "application/json", strings.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, json.NewDecoder(answer.Body).Decode(&problem))
		require.NoError(t, answer.Body.Close())
		if answer.StatusCode == http.StatusBadGateway { // the gateway has not accepted all connections yet
			require.Equal(t, "connection_refused", problem.Code)
			continue
		}
		require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
		assert.NotEmpty(t, answer.Header.Get("Retry-After"))
	}
	assert.Equal(t, "too_many_open_files", problem.Code)
	assert.Contains(t, problem.Hint, "ulimit -n")
}
