//go:build interop

package interop

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bufferingNginx runs an nginx that is not configured for event streams: it buffers responses unless they ask it not to.
func bufferingNginx(t *testing.T) (url string) {
	t.Helper()
	ports, err := freePorts(1)
	require.NoError(t, err)
	p, err := startNginx(t.TempDir(), fmt.Sprintf("server { listen %s; location / { proxy_pass %s; } }", address(ports[0]), theSite.gateway.URL))
	started(t, p, err)
	require.NoError(t, p.Ready(listening(ports[0])))
	return "http://" + address(ports[0])
}

func post(ctx context.Context, t *testing.T, url string, p *heldPACS) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/qr", p.body(t, heldDestination))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	return r
}

// whole lists the events of a retrieve from heldPACS.
var whole = []string{
	"matched", "progress", "progress", "progress", "progress", "progress", "progress", "progress", "retrieved", "result",
}

// turn lets the PACS move the next instance when an event has arrived.
func (p *heldPACS) turn(e event) {
	if e.name == "matched" || e.name == "progress" {
		p.turns <- struct{}{}
	}
}

func TestEventsPassABufferingNginxOneByOne(t *testing.T) {
	pacs, url := newHeldPACS(t), bufferingNginx(t)
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	names, err := events(t, http.DefaultClient, post(ctx, t, url, pacs), pacs.turn)
	require.NoError(t, err)
	assert.Equal(t, whole, names)
}

func TestDisconnectFromABufferingNginxCancelsTheRetrieve(t *testing.T) {
	pacs, url := newHeldPACS(t), bufferingNginx(t)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	_, err := events(t, http.DefaultClient, post(ctx, t, url, pacs), pacs.midway(leave))
	require.ErrorIs(t, err, context.Canceled)
	soon(t, pacs.left, "the PACS goes on moving after the caller disconnected")
}

func TestCurlShowsEventsAsTheyArrive(t *testing.T) {
	pacs := newHeldPACS(t)
	path, err := lookup("curl")
	require.NoError(t, err)
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	curl := exec.CommandContext(ctx, path, "-sSN", theSite.gateway.URL+"/qr",
		"-H", "Content-Type: application/json", "-H", "Accept: text/event-stream", "-d", "@-")
	curl.Stdin = pacs.body(t, heldDestination)
	out, err := curl.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, curl.Start())
	var names []string
	require.NoError(t, readEvents(out, func(e event) {
		names = append(names, e.name)
		pacs.turn(e)
	}))
	require.NoError(t, curl.Wait())
	assert.Equal(t, whole, names)
}
