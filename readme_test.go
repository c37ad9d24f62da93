package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dicomtest"
)

// TestREADMEAnswersAreTrue sends the requests that README.md shows to a gateway
// with the demonstration PACS, and wants the answers that it shows.
func TestREADMEAnswersAreTrue(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	examples := regexp.MustCompile("(?s)```sh\ncurl [^\n]*localhost:8888(/\\w+)[^\n]* -d '(.*?)'\n```.*?```(json|text)\n(.*?)```").
		FindAllSubmatch(readme, -1)
	require.Len(t, examples, 7, "the requests that README.md shows")

	demo, err := dicomtest.StartDemo("127.0.0.1:0", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, demo.Close()) }()
	baseURL := startGateway(t)

	_, port, err := net.SplitHostPort(demo.A.Addr())
	require.NoError(t, err)
	for i, example := range examples {
		route, request, want := string(example[1]), string(example[2]), string(example[4])
		t.Run(fmt.Sprint(i+1, route), func(t *testing.T) {
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			request := strings.Replace(request, `"pacs_port": 4242`, `"pacs_port": `+port, 1)
			rq, err := http.NewRequestWithContext(ctx, http.MethodPost, baseURL+route, strings.NewReader(request))
			require.NoError(t, err)
			rq.Header.Set("Content-Type", "application/json")
			if string(example[3]) == "text" {
				rq.Header.Set("Accept", "text/event-stream")
			}
			rsp, err := http.DefaultClient.Do(rq)
			require.NoError(t, err)
			defer func() { _ = rsp.Body.Close() }()
			if string(example[3]) == "text" {
				requireStream(t, want, rsp.Body)
				return
			}
			got, err := io.ReadAll(rsp.Body)
			require.NoError(t, err)
			var compact bytes.Buffer
			require.NoError(t, json.Compact(&compact, []byte(want)))
			shown := struct{ Status any }{}
			require.NoError(t, json.Unmarshal([]byte(want), &shown))
			status := map[any]int{"ok": http.StatusOK, "partial": http.StatusMultiStatus}[shown.Status]
			if number, isProblem := shown.Status.(float64); isProblem {
				status = int(number)
			}
			require.Equal(t, status, rsp.StatusCode, string(got))
			answer := strings.ReplaceAll(strings.TrimSpace(string(got)), "127.0.0.1:"+port, "127.0.0.1:4242")
			require.Equal(t, steady(compact.String()), steady(answer), "to the letter but for white space")
		})
	}
}

// requireStream wants the stream to go as shown, where … stands for any text, and
// to its end unless curl leaves it.
func requireStream(t *testing.T, shown string, stream io.Reader) {
	t.Helper()
	lines := bufio.NewScanner(stream)
	for want := range strings.Lines(shown) {
		if strings.HasPrefix(want, "curl: ") {
			return
		}
		require.True(t, lines.Scan(), "%v where README.md shows %s", lines.Err(), want)
		pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSuffix(want, "\n")), "…", ".*")
		require.Regexp(t, "^"+pattern+"$", lines.Text())
	}
	require.False(t, lines.Scan(), "%s", lines.Text())
	require.NoError(t, lines.Err())
}

// steady puts in place of what differs from answer to answer.
func steady(answer string) string {
	answer = regexp.MustCompile(`"duration_ms":[0-9.]+`).ReplaceAllString(answer, `"duration_ms":0`)
	return regexp.MustCompile(`"correlation_id":"[^"]*"`).ReplaceAllString(answer, `"correlation_id":""`)
}

// startGateway runs the gateway on a free port until the test ends.
func startGateway(t *testing.T) (baseURL string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log, stdout := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"dicom-qr-gateway", "serve"}, func(name string) string {
			return map[string]string{"LISTEN_ADDR": "127.0.0.1:0"}[name]
		}, stdout)
		_ = stdout.Close()
	}()
	address := make(chan string, 1)
	go func() {
		defer close(address)
		for lines := json.NewDecoder(log); ; {
			var line struct{ Message, Address string }
			if lines.Decode(&line) != nil {
				return
			}
			if line.Message == "listening" {
				address <- line.Address
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		require.Zero(t, <-status, "exit status")
	})
	return "http://" + <-address
}
