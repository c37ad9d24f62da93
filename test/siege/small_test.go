//go:build siege && linux

package siege

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/test/rig"
)

// open are settings without API keys.
const open = "API_KEYS_FILE="

// exchange sends text on a connection of its own and returns the status of each answer until the gateway closes it.
func exchange(t *testing.T, g *gateway, text string) (statuses []int) {
	t.Helper()
	conn, err := net.Dial("tcp", g.address)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte(text))
	require.NoError(t, err)
	for reader := bufio.NewReader(conn); ; {
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			return statuses
		}
		_, err = io.Copy(io.Discard, answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		statuses = append(statuses, answer.StatusCode)
	}
}

func TestWebPageOfAForeignHostReachesNoPACS(t *testing.T) {
	g := defend(t, open)
	pacs := archive(1)
	body := queryOf(listen(t, pacs)).body()
	ask := func(host string) int {
		statuses := exchange(t, g, fmt.Sprintf("POST /q HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\nContent-Type: application/json\r\nConnection: close\r\n"+
			"Content-Length: %d\r\n\r\n%s", host, host, len(body), body))
		require.Len(t, statuses, 1)
		return statuses[0]
	}
	assert.Equal(t, http.StatusMisdirectedRequest, ask("rebound.example:8888"))
	assert.Empty(t, pacs.Requests())
	assert.Equal(t, http.StatusOK, ask("localhost"))
}

func TestConnectionEndsAfterARequestWithTwoLengths(t *testing.T) {
	statuses := exchange(t, defend(t, open), "POST /q HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 6\r\n"+
		"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /version HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.Len(t, statuses, 1, "no answer to what follows")
}

func TestOnlyCipherSuitesWithAEADAreNegotiated(t *testing.T) {
	g := defendSecurely(t)
	cbc := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA}
	gcm := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	dial := func(suites []uint16) error {
		config := g.files.client(g.files.own)
		config.MaxVersion, config.CipherSuites = tls.VersionTLS12, suites
		conn, err := tls.Dial("tcp", g.address, config)
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	require.Error(t, dial(cbc), "a caller")
	require.NoError(t, dial(gcm), "a caller")
	ask := func(suites []uint16) string {
		config := &tls.Config{Certificates: []tls.Certificate{*g.files.own}, MaxVersion: tls.VersionTLS12, CipherSuites: suites}
		pacs := archive(1)
		r := queryOf(listen(t, &dicomtest.Script{Play: func(p *dicomtest.ScriptedPeer) {
			p.Conn = tls.Server(p.Conn, config)
			pacs.Play(p)
		}}))
		r.TLS = true
		outcome, _ := g.caller(keyOfB, addressOfB).post(t.Context(), "/q", r)
		return outcome
	}
	assert.Equal(t, "502 tls_failed", ask(cbc), "a PACS")
	assert.Equal(t, "200", ask(gcm), "a PACS")
}

// The gateway of this test finds names in a file of the test.
func TestListedNamePermitsNoAddressOfThisMachine(t *testing.T) {
	root, err := rig.Root()
	require.NoError(t, err)
	dir := t.TempDir()
	hosts, binary := filepath.Join(dir, "hosts"), filepath.Join(dir, "gateway")
	names := map[string]string{"loopback.test": "127.0.0.1", "nat64.test": "64:ff9b::7f00:1", "metadata.test": "169.254.169.254", "localhost": "127.0.0.1"}
	var lines, list []string
	for name, address := range names {
		lines, list = append(lines, address+" "+name+"\n"), append(list, name)
	}
	require.NoError(t, os.WriteFile(hosts, []byte(strings.Join(lines, "")), 0o600))
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-X net.hostsFilePath="+hosts, "-o", binary, ".")
	build.Dir = root
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Setenv("GODEBUG", "netdns=go")
	g := defendWith(t, binary, "PACS_ALLOWLIST="+strings.Join(list, ","))
	pacs := archive(1)
	r := queryOf(listen(t, pacs))
	for name := range names {
		r.Address = name
		outcome, _ := g.caller(keyOfA, addressOfA).post(t.Context(), "/q", r)
		if name == "localhost" {
			assert.Equal(t, "200", outcome, name)
		} else {
			assert.Equal(t, "403 pacs_not_allowed", outcome, name)
		}
	}
	assert.Len(t, pacs.Requests(), 1)
}

func TestReleaseBehindTheAnswerOccupiesThePACS(t *testing.T) {
	g := defend(t, "MAX_ASSOCIATIONS_PER_PACS=1", "QUEUE_TIMEOUT=0.1")
	gone := make(chan struct{})
	port := listen(t, &dicomtest.ScriptedPACS{Find: func(a *dicomtest.ScriptedAssociation, _ string) {
		a.Finish(dicomnet.StatusSuccess)
		<-gone // reads no A-RELEASE-RQ
	}})
	b := g.caller(keyOfB, addressOfB)
	ask := func() string {
		outcome, _ := b.post(t.Context(), "/q", queryOf(port))
		return outcome
	}
	assert.Equal(t, "404 no_study_matched", ask())
	assert.Equal(t, "503 pacs_busy", ask())
	close(gone)
	eventually(t, func() bool { return ask() == "404 no_study_matched" }, "the association has ended")
}

func TestTextsOfProxiesAndPACSAreVisibleInLogAndAuditLog(t *testing.T) {
	g := defend(t, open, "TRUSTED_PROXIES=127.0.0.0/8", "FORWARDED_USER_HEADER=X-User")
	pacs := archive(1)
	pacs.Negotiate = func(a *dicomtest.ScriptedAssociation) bool {
		a.Answer.User.ImplementationVersionName = "OK\x1b[2J\x85\r\nX"
		return true
	}
	outcome, _ := g.caller("", addressOfA).post(t.Context(), "/q", queryOf(listen(t, pacs)), "X-User", "jo\u202enimda\u2066\u2028\u009b2Jz")
	require.Equal(t, "200", outcome)
	eventually(t, func() bool { return strings.Contains(g.String(), "OK.[2J") && strings.Contains(g.String(), "nimda") }, "both in the log")
	records, err := os.ReadFile(g.auditLog)
	require.NoError(t, err)
	assert.Contains(t, string(records), "jo\ufffdnimda")
	for _, text := range []string{g.String(), string(records)} {
		assert.False(t, strings.ContainsFunc(text, func(c rune) bool {
			return unicode.IsControl(c) && c != '\n' || unicode.In(c, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
		}), "%q", text)
	}
}
