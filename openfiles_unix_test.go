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
	const limit = 20 // the gateway itself has six to eight files open
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
	query := strings.Replace(body, port, silentPort, 1)
	query = fmt.Sprintf("POST /q HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(query), query)
	var problem struct{ Code, Hint string }
	for until := time.Now().Add(rig.Patience); problem.Code != "too_many_open_files" && time.Now().Before(until); {
		answer, err := client.Post(gateway.URL+"/q", "application/json", strings.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, json.NewDecoder(answer.Body).Decode(&problem))
		require.NoError(t, answer.Body.Close())
		if answer.StatusCode != http.StatusBadGateway {
			require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
			assert.NotEmpty(t, answer.Header.Get("Retry-After"))
			continue
		}
		require.Equal(t, "connection_refused", problem.Code)
		connection, err := net.Dial("tcp", strings.TrimPrefix(gateway.URL, "http://"))
		require.NoError(t, err)
		defer connection.Close() //nolint:gocritic // At the end of the test.
		_, err = io.WriteString(connection, query)
		require.NoError(t, err)
		// A connection gives way to a later one until its request is read.
		require.NoError(t, silent.(*net.TCPListener).SetDeadline(time.Now().Add(time.Second)))
		if association, err := silent.Accept(); err == nil {
			defer association.Close() //nolint:gocritic // At the end of the test.
		}
	}
	assert.Equal(t, "too_many_open_files", problem.Code)
	assert.Contains(t, problem.Hint, "ulimit -n")
}
