//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/demo"
)

// event is a server-sent event of /qr.
type event struct{ name, data string }

// stream calls /qr for server-sent events and calls f for each.
func stream(ctx context.Context, t *testing.T, r goclient.RetrieveRequest, correlationID string, f func(event)) error {
	t.Helper()
	body, err := json.Marshal(r)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, theSite.gateway.URL+"/qr", bytes.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("X-Correlation-ID", correlationID)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(t, http.StatusOK, response.StatusCode)
	return readEvents(response.Body, f)
}

// readEvents calls f for each event when it arrives.
func readEvents(r io.Reader, f func(event)) error {
	var e event
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			e.name = value
		case "data":
			e.data += value
		case "":
			if e.name != "" {
				f(e)
			}
			e = event{}
		}
	}
	return lines.Err()
}

func TestRetrieveReportsProgress(t *testing.T) {
	for _, src := range theSite.sources {
		t.Run(src.name, func(t *testing.T) {
			count := map[string]int{}
			var last event
			dst := theSite.destinations[0]
			dst.clear(t)
			err := stream(t.Context(), t, src.retrieve(demo.PatientID, filter{maxResults: 2}, dst.title()), "progress", func(e event) {
				if count[e.name]++; count[e.name] == 1 && e.name != "matched" {
					assert.Equal(t, 1, count["matched"], "the studies come before their progress")
				}
				last = e
			})
			require.NoError(t, err)
			assert.Equal(t, 2, count["retrieved"])
			assert.GreaterOrEqual(t, count["progress"], 2)
			require.Equal(t, "result", last.name)
			var result goclient.ResultEvent
			require.NoError(t, json.Unmarshal([]byte(last.data), &result))
			assert.EqualValues(t, http.StatusOK, result.HTTPStatus)
			assert.Equal(t, 2, result.SuccessCount)
			assertMoved(t, result.Retrievals, dst.received(t))
		})
	}
}

func TestDisconnectCancelsTheRetrieve(t *testing.T) {
	for _, src := range theSite.sources {
		t.Run(src.name, func(t *testing.T) {
			dst := theSite.destinations[0]
			dst.clear(t)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			correlationID := "gone-" + src.name
			err := stream(ctx, t, src.retrieve(demo.PatientID, filter{}, dst.title()), correlationID, func(e event) {
				if e.name == "retrieved" {
					leave()
				}
			})
			require.ErrorIs(t, err, context.Canceled)
			assert.Equal(t, "released", outcome(t, correlationID), "C-CANCEL ended the operation, A-RELEASE the association")
			moved := len(dst.received(t))
			assert.GreaterOrEqual(t, moved, 1)
			assert.LessOrEqual(t, moved, 2, "of seven studies")
		})
	}
}

// outcome returns the outcome of a request's association in the log.
func outcome(t *testing.T, correlationID string) string {
	t.Helper()
	return theSite.gateway.associationLines(t, correlationID)[0].Outcome
}
