//go:build siege && linux

package siege

import (
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/test/rig"
)

func TestMain(m *testing.M) {
	if program := os.Getenv(programWithItsClock); program != "" {
		os.Exit(runWithItsClock(program))
	}
	os.Exit(rig.Main(m))
}

const (
	// maxMemory is MAX_MEMORY, and what the process may have resident.
	maxMemory = 256 << 20

	// The API keys of the callers.
	keyOfA = "the-key-of-the-hostile-caller"
	keyOfB = "the-key-of-the-other-caller"
)

// gateway is the built gateway as a process.
type gateway struct {
	*rig.Gateway
	address  string
	auditLog string
	keys     string        // the file
	pacs     string        // the file of named PACS
	files    *certificates // nil: plain HTTP
}

// defend starts a gateway with 256 MiB, two callers, an audit log and an allow-list. More settings replace those of the same name.
func defend(t *testing.T, settings ...string) *gateway {
	t.Helper()
	return defendWith(t, "", settings...)
}

// defendWith is defend with another program.
func defendWith(t *testing.T, path string, settings ...string) *gateway {
	t.Helper()
	dir := t.TempDir()
	keys, audit, pacs := filepath.Join(dir, "keys"), filepath.Join(dir, "audit"), filepath.Join(dir, "pacs.yaml")
	require.NoError(t, os.WriteFile(keys, append(keyLine("a", keyOfA), keyLine("b", keyOfB)...), 0o600))
	require.NoError(t, os.WriteFile(pacs, pacsFile("unused", 1), 0o600))
	g := &gateway{auditLog: audit, keys: keys, pacs: pacs, Gateway: rig.RunGateway(t, rig.Command{Path: path, Env: append([]string{
		"LISTEN_ADDR=127.0.0.1:0", "API_KEYS_FILE=" + keys, "AUDIT_LOG=" + audit, "PACS_FILE=" + pacs, "PACS_ALLOWLIST=127.0.0.1/32",
		fmt.Sprintf("MAX_MEMORY=%dMiB", maxMemory>>20),
	}, settings...)})}
	_, g.address, _ = strings.Cut(g.URL, "://")
	return g
}

func keyLine(name, key string) []byte {
	return fmt.Appendf(nil, "%s:%x\n", name, sha256.Sum256([]byte(key)))
}

// defendSecurely is defend with HTTPS, client certificates and DICOM TLS.
func defendSecurely(t *testing.T, settings ...string) *gateway {
	t.Helper()
	files := newCertificates(t)
	g := defend(t, append([]string{
		"TLS_CERT_FILE=" + files.certificate, "TLS_KEY_FILE=" + files.key, "TLS_CLIENT_CA_FILE=" + files.ca, "DICOM_TLS_CA_FILE=" + files.ca,
	}, settings...)...)
	g.files = files
	return g
}

func pacsFile(name string, port int) []byte {
	return fmt.Appendf(nil, "pacs:\n  %s:\n    host: 127.0.0.1\n    port: %d\n    ae_title: PACS\n    calling_ae_title: GATEWAY\n", name, port)
}

// name gives the PACS on the port a name of its own, and waits until the gateway knows it.
func (g *gateway) name(t *testing.T, port int) string {
	t.Helper()
	name := fmt.Sprintf("hostile-%d", port)
	require.NoError(t, os.WriteFile(g.pacs, pacsFile(name, port), 0o600))
	eventually(t, func() bool {
		_, list := g.caller(keyOfB, addressOfB).get(t.Context(), "/pacs")
		return strings.Contains(list, `"`+name+`"`)
	}, "the name is known")
	return name
}

// peak returns the largest resident size of the process since its start or since forgetPeak.
func (g *gateway) peak(t *testing.T) int { return g.statusOf(t, "VmHWM") }

// forgetPeak makes the size at this moment the peak.
func (g *gateway) forgetPeak(t *testing.T) {
	t.Helper()
	require.NoError(t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", g.PID()), []byte("5"), 0))
}

// statusOf returns a size of /proc/PID/status in bytes.
func (g *gateway) statusOf(t *testing.T, name string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.PID()))
	require.NoError(t, err, "the gateway has ended")
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.Atoi(strings.Fields(value)[0])
			require.NoError(t, err)
			return kib << 10
		}
	}
	t.Fatalf("no %s: the gateway has ended", name)
	return 0
}

// ticksPerSecond is USER_HZ, which is 100 on all Linux systems that Go supports.
const ticksPerSecond = 100

// cpu returns the CPU time of the process.
func (g *gateway) cpu(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", g.PID()))
	require.NoError(t, err)
	_, after, _ := strings.Cut(string(stat), ") ") // the name may contain spaces
	fields := strings.Fields(after)
	ticks := 0
	for _, field := range fields[11:13] { // utime, stime
		n, err := strconv.Atoi(field)
		require.NoError(t, err)
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond
}

// auditSize returns the size of the audit log.
func (g *gateway) auditSize(t *testing.T) int {
	t.Helper()
	status, err := os.Stat(g.auditLog)
	require.NoError(t, err)
	return int(status.Size())
}

// metric returns the sum of a metric over its labels.
func (g *gateway) metric(t *testing.T, name string) float64 {
	t.Helper()
	status, body := g.caller(keyOfB, addressOfB).get(t.Context(), "/metrics")
	require.Equal(t, "200", status)
	sum, found := 0.0, false
	for line := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(line, name); ok && (rest[0] == ' ' || rest[0] == '{') {
			value, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest, ' '):]), 64)
			require.NoError(t, err)
			sum, found = sum+value, true
		}
	}
	require.True(t, found, "no metric %s", name)
	return sum
}

func mib(bytes int) string { return fmt.Sprintf("%d MiB", bytes>>20) }

func portOf(t testing.TB, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	require.NoError(t, err)
	port, err := strconv.Atoi(text)
	require.NoError(t, err)
	return port
}
