//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/internal/demo"
)

// heldPACS moves one instance for each value of turns, so that a test decides how long a C-MOVE takes.
type heldPACS struct {
	*dicomtest.PACS
	source
	turns chan struct{}
	// left gets a value when a C-MOVE ends while it waits for turns: by a C-CANCEL or the end of its association.
	left chan struct{}
}

// heldDestination is the AE title that a heldPACS moves to.
const heldDestination = "DEST"

func newHeldPACS(t *testing.T) *heldPACS {
	t.Helper()
	destination := dicomtest.NewPACS(dicomtest.PACSConfig{AETitle: heldDestination})
	require.NoError(t, destination.Listen("127.0.0.1:0"))
	p := &heldPACS{turns: make(chan struct{}, 100), left: make(chan struct{}, 100)}
	p.PACS = dicomtest.NewPACS(dicomtest.PACSConfig{
		AETitle: "HELD", Destinations: map[string]string{heldDestination: destination.Addr()},
		Before: func(ctx context.Context, op dicomnet.Step) {
			if op != dicomnet.StepMove {
				return
			}
			select {
			case <-p.turns:
			case <-ctx.Done():
				p.left <- struct{}{}
			}
		},
	})
	require.NoError(t, p.AddStudies(demo.Studies()...))
	require.NoError(t, p.Listen("127.0.0.1:0"))
	t.Cleanup(func() {
		assert.NoError(t, p.Close())
		assert.NoError(t, destination.Close())
	})
	p.source = source{"held", "HELD", portOf(t, p.Addr())}
	return p
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	port, err := strconv.Atoi(address[strings.LastIndex(address, ":")+1:])
	require.NoError(t, err)
	return port
}

// body returns a request for the newest study of the demonstration patient: for /qr if there is a destination, else for /q.
func (s source) body(t *testing.T, destination string) io.Reader {
	t.Helper()
	var request any = s.query(demo.PatientID, filter{maxResults: 1})
	if destination != "" {
		request = s.retrieve(demo.PatientID, filter{maxResults: 1}, destination)
	}
	b, err := json.Marshal(request)
	require.NoError(t, err)
	return strings.NewReader(string(b))
}

// events sends the request for server-sent events and calls f for each. It returns the names of all and the error that ended the
// stream.
func events(t *testing.T, c *http.Client, r *http.Request, f func(event)) (names []string, err error) {
	t.Helper()
	r.Header.Set("Accept", "text/event-stream")
	response, err := c.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		require.Equal(t, http.StatusOK, response.StatusCode, string(text))
	}
	err = readEvents(response.Body, func(e event) {
		names = append(names, e.name)
		f(e)
	})
	return names, err
}

// midway returns a function for events. It lets the PACS move the first instance, and calls act at the progress event for it,
// while the PACS waits to move the second.
func (p *heldPACS) midway(act func()) func(event) {
	return func(e event) {
		switch e.name {
		case "matched":
			p.turns <- struct{}{}
		case "progress":
			act()
		}
	}
}

// soon waits for a value; it fails the test after patience.
func soon(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	select {
	case <-c:
	case <-ctx.Done():
		assert.Fail(t, what)
	}
}
