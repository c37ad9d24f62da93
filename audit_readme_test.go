package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dicomtest"
)

// TestTheAuditRecordOfTheREADMEIsTrue sends the first request that README.md shows with the key that it shows, and wants
// the record that it shows.
func TestTheAuditRecordOfTheREADMEIsTrue(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	request := regexp.MustCompile("(?s)localhost:8888/q [^\n]* -d '(.*?)'\n```").FindSubmatch(readme)
	section := regexp.MustCompile("(?s)\n## Who may call, and the audit trail\n(.*?)\n## ").FindSubmatch(readme)
	require.NotNil(t, request)
	require.NotNil(t, section)
	shown := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(section[1])
	require.NotNil(t, shown)

	demo, err := dicomtest.StartDemo("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, demo.Close()) }()
	_, port, err := net.SplitHostPort(demo.A.Addr())
	require.NoError(t, err)
	const key = "a long random value"
	keys, audit := filepath.Join(t.TempDir(), "keys"), filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, os.WriteFile(keys, fmt.Appendf(nil, "worklist:%x\n", sha256.Sum256([]byte(key))), 0o600))

	log, stdout := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"dicom-qr-gateway"}, environment(map[string]string{
			"LISTEN_ADDR": "127.0.0.1:0", "API_KEYS_FILE": keys, "AUDIT_LOG": audit,
		}), stdout)
		_ = stdout.Close()
	}()
	lines := logLines(log)
	address := lines.await(t, "listening")["address"].(string)
	go lines.drain()
	body := strings.Replace(string(request[1]), `"pacs_port": 4242`, `"pacs_port": `+port, 1)
	rq, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/q", strings.NewReader(body))
	require.NoError(t, err)
	rq.Header.Set("Content-Type", "application/json")
	rq.Header.Set("Authorization", "Bearer "+key)
	rq.Header.Set("X-Correlation-ID", "order-4711")
	rsp, err := http.DefaultClient.Do(rq)
	require.NoError(t, err)
	require.NoError(t, rsp.Body.Close())
	require.Equal(t, http.StatusOK, rsp.StatusCode)
	cancel()
	require.Zero(t, <-status)

	written, err := os.ReadFile(audit)
	require.NoError(t, err)
	record := strings.Split(string(written), "\n")[1]
	host, err := os.Hostname()
	require.NoError(t, err)
	record = strings.NewReplacer(
		strconv.Quote(host), `"gateway-1"`, strconv.Quote(strconv.Itoa(os.Getpid())), `"1"`, "127.0.0.1:"+port, "127.0.0.1:4242",
	).Replace(record)
	record = regexp.MustCompile(`"EventDateTime":"[^"]*"`).ReplaceAllString(record, `"EventDateTime":"2026-01-31T12:00:00.123Z"`)
	var compact bytes.Buffer
	require.NoError(t, json.Compact(&compact, shown[1]))
	require.Equal(t, compact.String(), record, "to the letter but for white space")
}
