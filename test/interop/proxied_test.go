//go:build interop

package interop

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxied is a gateway as it runs behind the templates of samples/proxies: with an audit log, with keys of the proxy and of a
// program, and with trust in the proxy.
type proxied struct {
	*gateway
	dir  string
	port int
}

// programKey is the key of a program that calls without the user of a proxy.
const programKey = "the-key-of-a-program"

func newProxied(t *testing.T) *proxied {
	t.Helper()
	ports, err := freePorts(1)
	require.NoError(t, err)
	g := &proxied{dir: t.TempDir(), port: ports[0]}
	writeFile(t, filepath.Join(g.dir, "keys"),
		fmt.Sprintf("proxy:%x\nprogram:%x\n", sha256.Sum256([]byte(proxyKey)), sha256.Sum256([]byte(programKey))))
	g.start(t)
	return g
}

// start starts the gateway, for the first time or again.
func (g *proxied) start(t *testing.T) {
	t.Helper()
	g.gateway = runGateway(t, g.dir, g.port,
		"API_KEYS_FILE="+filepath.Join(g.dir, "keys"), "AUDIT_LOG="+filepath.Join(g.dir, "audit"),
		"TRUSTED_PROXIES=127.0.0.1", "FORWARDED_USER_HEADER=X-Forwarded-User", "MOVE_TIMEOUT=60")
}

func (g *proxied) host() string { return address(g.port) }

// audit returns the events of a request in the audit log, and the caller that they name.
func (g *proxied) audit(t *testing.T, correlationID string) (events []string, caller string) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(g.dir, "audit"))
	require.NoError(t, err)
	for line := range strings.Lines(string(log)) {
		var record struct {
			EventIdentification struct {
				EventID struct{ OriginalText string }
			}
			ActiveParticipant []struct {
				UserID          string
				UserIsRequestor bool
			}
			CorrelationID string `json:"correlation_id"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		if record.CorrelationID != correlationID {
			continue
		}
		events = append(events, record.EventIdentification.EventID.OriginalText)
		for _, p := range record.ActiveParticipant {
			if p.UserIsRequestor {
				caller = p.UserID
			}
		}
	}
	return events, caller
}
