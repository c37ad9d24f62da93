//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	client "dicom-qr-gateway/client/go"
	"dicom-qr-gateway/test/failing"
)

// retrieved is what clients report of retrievals: "" for success, else the error; by client, endpoint and PACS.
type retrieved struct {
	mu sync.Mutex
	of map[string]map[string]map[string]string
}

func (r *retrieved) add(client, endpoint, pacs, result string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of[client] == nil {
		r.of[client] = map[string]map[string]string{}
	}
	if r.of[client][endpoint] == nil {
		r.of[client][endpoint] = map[string]string{}
	}
	r.of[client][endpoint][pacs] = result
}

// TestNoClientTakesAnIncompleteStudyForAWholeOne retrieves from PACS that never send everything, with several clients, directly and
// through the proxies of samples/proxies, by HTTP/1.1 and HTTP/2.
func TestNoClientTakesAnIncompleteStudyForAWholeOne(t *testing.T) {
	ports, err := freePorts(2)
	require.NoError(t, err)
	pacs, err := failing.Start(address(ports[1]))
	require.NoError(t, err)
	t.Cleanup(func() { _ = pacs.Close() })
	dir := t.TempDir()
	require.NoError(t, pacs.WriteFile(filepath.Join(dir, "pacs.yaml")))
	g := &proxied{dir: dir, port: ports[0]}
	keys := fmt.Sprintf("proxy:%x\nprogram:%x\n", sha256Of(proxyKey), sha256Of(programKey))
	g.gateway = runGateway(t, dir, g.port,
		"API_KEYS_FILE="+writeFile(t, filepath.Join(dir, "keys"), keys), "PACS_FILE="+filepath.Join(dir, "pacs.yaml"),
		"STORE_LISTEN_ADDR="+address(ports[1]), "STORE_AE_TITLES="+failing.DestinationAETitle, "STORE_GRACE=1",
		"NETWORK_TIMEOUT=1", "MOVE_TIMEOUT=2", "SPOOL_DIR="+dir, "QUEUE_TIMEOUT=60", "MAX_OPERATIONS=1000",
		"TRUSTED_PROXIES=127.0.0.1", "FORWARDED_USER_HEADER=X-Forwarded-User")

	endpoints := map[string]string{"direct": g.URL}
	var roots []byte
	for _, p := range proxies {
		s := startProxyWith(t, p.name, g.host(), strings.NewReplacer("rate=10r/s", "rate=1000r/s", "limit_conn       ", "# limit_conn "))
		endpoints[p.name] = s.keys
		roots = append(roots, s.ca...)
	}
	ca := writeFile(t, filepath.Join(dir, "ca.crt"), string(roots))
	studies := pacs.Studies()
	results := &retrieved{of: map[string]map[string]map[string]string{}}

	var all sync.WaitGroup
	all.Go(func() { assert.NoError(t, byPython(t, results, endpoints, studies, ca)) })
	all.Go(func() { byCurl(t, results, endpoints, studies, ca) })
	all.Go(func() { assert.NoError(t, byGo(t, results, endpoints, studies, roots)) })
	all.Wait()

	breaksOff := caddyBreaksOff(t)
	checked := 0
	for client, at := range results.of {
		for endpoint, of := range at {
			require.Len(t, of, len(studies), "%s, %s", client, endpoint)
			for name, result := range of {
				checked++
				// The sample refuses retrievals if Caddy ends broken answers properly.
				whole := slices.Contains(failing.Whole, name) && (endpoint != "caddy" || breaksOff)
				assert.Equal(t, whole, result == "", "%s of %s by %s: %s", name, endpoint, client, result)
			}
		}
	}
	assert.Greater(t, checked, 20*3*5)
}

// caddyBreaksOff reports whether the version of Caddy is at least 2.8. That of Debian 12 is 2.6.
func caddyBreaksOff(t *testing.T) bool {
	t.Helper()
	path, err := lookup("caddy")
	require.NoError(t, err)
	version, err := run(path, "version")
	require.NoError(t, err)
	var major, minor int
	_, err = fmt.Sscanf(strings.TrimPrefix(version, "v"), "%d.%d", &major, &minor)
	require.NoError(t, err, version)
	return major > 2 || minor >= 8
}

// byPython runs http.client and client/python.
func byPython(t *testing.T, results *retrieved, endpoints, studies map[string]string, ca string) error {
	t.Helper()
	job, err := json.Marshal(map[string]any{"endpoints": endpoints, "studies": studies, "key": programKey, "ca": ca})
	if err != nil {
		return err
	}
	python := exec.CommandContext(t.Context(), "python3", "testdata/incomplete.py", string(job))
	python.Env = append(os.Environ(), "CLIENT="+filepath.Join(root, "client", "python"), "PYTHONDONTWRITEBYTECODE=1")
	python.Stderr = os.Stderr
	out, err := python.Output()
	if err != nil {
		return err
	}
	var found map[string]map[string]map[string]string
	if err := json.Unmarshal(out, &found); err != nil {
		return err
	}
	for client, at := range found {
		for endpoint, of := range at {
			for name, result := range of {
				results.add(client, endpoint, name, result)
			}
		}
	}
	return nil
}

// byCurl runs curl --fail by HTTP/1.1, by HTTP/2 through the proxies, and for an archive.
func byCurl(t *testing.T, results *retrieved, endpoints, studies map[string]string, ca string) {
	t.Helper()
	all := limited{running: make(chan struct{}, 8)}
	multipart := `multipart/related; type="application/dicom"; transfer-syntax=*`
	for _, how := range []struct{ name, version, accept string }{
		{"curl", "--http1.1", multipart}, {"curl, HTTP/2", "--http2", multipart}, {"curl, archive", "--http1.1", "application/zip; transfer-syntax=*"},
	} {
		for endpoint, url := range endpoints {
			if how.version == "--http2" && endpoint == "direct" {
				continue // the gateway itself speaks HTTP/2 by TLS only
			}
			for name, study := range studies {
				all.do(func() {
					curl := exec.CommandContext(t.Context(), "curl", "-sS", "--fail", how.version, "--cacert", ca, "-o", os.DevNull,
						"-H", "Authorization: Bearer "+programKey, "-H", "Accept: "+how.accept, fmt.Sprintf("%s/dicomweb/%s/studies/%s", url, name, study))
					out, err := curl.CombinedOutput()
					result := ""
					if err != nil {
						result = err.Error() + ": " + strings.TrimSpace(string(out))
					}
					results.add(how.name, endpoint, name, result)
				})
			}
		}
	}
	all.Wait()
}

// limited runs functions, a limited number at once.
type limited struct {
	sync.WaitGroup
	running chan struct{}
}

func (l *limited) do(f func()) {
	l.Go(func() {
		l.running <- struct{}{}
		defer func() { <-l.running }()
		f()
	})
}

// byGo runs client/go, by HTTP/2 where there is TLS.
func byGo(t *testing.T, results *retrieved, endpoints, studies map[string]string, roots []byte) error {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: trusting(t, roots), ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	all := limited{running: make(chan struct{}, 8)}
	defer all.Wait()
	for endpoint, url := range endpoints {
		gateway, err := client.NewGateway(url, client.WithAPIKey(programKey), client.WithHTTPClient(&http.Client{Transport: transport}))
		if err != nil {
			return err
		}
		for name, study := range studies {
			for how, options := range map[string][]client.CallOption{"Go": nil, "Go, lenient": {client.WithLenientHandling()}} {
				all.do(func() {
					result := ""
					if err := receive(t.Context(), gateway, name, study, options); err != nil {
						result = err.Error()
					}
					results.add(how, endpoint, name, result)
				})
			}
		}
	}
	return nil
}

func receive(ctx context.Context, gateway *client.Gateway, pacs, study string, options []client.CallOption) error {
	for instance, err := range gateway.RetrieveInstances(ctx, pacs, client.Target{StudyInstanceUID: study}, options...) {
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, instance); err != nil {
			return err
		}
	}
	return nil
}

// TestNoClientTakesAStudyForAWholeOneIfTheGatewayEnds ends the gateway while a PACS has sent all but the last instance.
func TestNoClientTakesAStudyForAWholeOneIfTheGatewayEnds(t *testing.T) {
	pacs, err := failing.Start("127.0.0.1:1")
	require.NoError(t, err)
	t.Cleanup(func() { _ = pacs.Close() })
	const stalls = "stalls-before-an-instance"
	for how, end := range map[string]func(*gateway){
		"SIGTERM": func(g *gateway) { g.Stop() },
		"SIGKILL": func(g *gateway) { g.Kill() },
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			ports, err := freePorts(2)
			require.NoError(t, err)
			dir := t.TempDir()
			require.NoError(t, pacs.WriteFile(filepath.Join(dir, "pacs.yaml")))
			g := runGateway(t, dir, ports[0], "PACS_FILE="+filepath.Join(dir, "pacs.yaml"), "NETWORK_TIMEOUT=60", "DRAIN_TIMEOUT=0.1",
				"STORE_LISTEN_ADDR="+address(ports[1]), "STORE_AE_TITLES="+failing.DestinationAETitle)
			file := filepath.Join(dir, "study")
			curl := exec.CommandContext(t.Context(), "curl", "-sS", "--fail", "-N", "-o", file, "-H", "Accept: application/zip; transfer-syntax=*",
				fmt.Sprintf("%s/dicomweb/%s/studies/%s", g.URL, stalls, pacs.Studies()[stalls]))
			require.NoError(t, curl.Start())
			direct, err := client.NewGateway(g.URL)
			require.NoError(t, err)
			received := 0
			for instance, err := range direct.RetrieveInstances(t.Context(), stalls, client.Target{StudyInstanceUID: pacs.Studies()[stalls]}) {
				if err != nil {
					var incomplete *client.IncompleteError
					require.ErrorAs(t, err, &incomplete)
					break
				}
				_, _ = io.Copy(io.Discard, instance)
				received++
				if received == failing.Instances-1 {
					require.Eventually(t, func() bool { i, err := os.Stat(file); return err == nil && i.Size() > 0 }, patience, 10*time.Millisecond)
					end(g)
				}
			}
			assert.Equal(t, failing.Instances-1, received)
			require.Error(t, curl.Wait())
		})
	}
}
