package server

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/gen/goclient"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/telemetry"
)

// invisible reports whether text has characters that make a console or a viewer show other text than it holds.
func invisible(text string) bool {
	return strings.ContainsFunc(text, func(c rune) bool {
		return unicode.IsControl(c) && c != '\n' || unicode.In(c, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
	})
}

func TestForwardedUserReachesLogAndAuditWithoutControlAndBidiCharacters(t *testing.T) {
	for _, format := range []string{"json", "console"} {
		r, disk := startOnDisk(t, foundOne(), "LOG_FORMAT", format, "TRUSTED_PROXIES", "127.0.0.1", "FORWARDED_USER_HEADER", "X-User")
		status, _, _ := r.post(t, "/q", queryBody, "X-User", "jo\u202enimda\u2066\u200f\u2028x\u0085\u009b2J\tz")
		require.Equal(t, http.StatusOK, status)
		require.Eventually(t, func() bool { return strings.Contains(r.logs.String(), "nimda") }, 10*time.Second, time.Millisecond)
		assert.Contains(t, disk.String(), "jo\ufffdnimda\ufffd\ufffd\ufffdx\ufffd\ufffd2J\ufffdz")
		assert.False(t, invisible(r.logs.String()), "%q", r.logs.String())
		assert.False(t, invisible(disk.String()), "%q", disk.String())
	}
}

func TestVersionNameOfAPACSReachesLogAndAnswerAsPrintableASCII(t *testing.T) {
	for _, format := range []string{"json", "console"} {
		pacs := &dicomtest.ScriptedPACS{Negotiate: func(a *association) bool {
			a.Answer.User.ImplementationVersionName = "OK\x1b[2J\u202e\x85\r\nX"
			return true
		}}
		logged := pool.Options{Trace: func(pool.Peer) *dicomnet.Trace { return telemetry.NewLogTrace(false, "") }}
		r := start(t, gatewayTo(t, pacs, gatewayOptions{pool: logged}), "LOG_FORMAT", format)
		_, _, body := r.post(t, "/echo", strings.NewReplacer("pacs.example", "127.0.0.1", "true", "false").Replace(echoBody))
		assert.Contains(t, body, "OK.[2J")
		require.Eventually(t, func() bool { return strings.Contains(r.logs.String(), "OK.[2J") }, 10*time.Second, time.Millisecond)
		assert.False(t, invisible(r.logs.String()), "%q", r.logs.String())
		assert.False(t, invisible(body), "%q", body)
	}
}

// RFC 9112 section 6.1: a proxy in front may have taken the other of the two for the end of the body.
func TestConnectionIsClosedAfterTransferEncodingWithContentLength(t *testing.T) {
	r := start(t, foundOne())
	const request = "POST /q HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"
	const smuggled = "GET /version HTTP/1.1\r\nHost: x\r\n\r\n"
	connection := r.dial(t, request+"0\r\n\r\n"+smuggled)
	replies := bufio.NewReader(connection)
	reply, err := http.ReadResponse(replies, nil)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, reply.Body)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	assert.True(t, reply.Close, "Connection: close")
	_, err = replies.ReadByte()
	require.ErrorIs(t, err, io.EOF, "no second answer")
}

// The answer leaves before the release; the association counts until its connection is closed.
func TestReleaseBehindTheAnswerCountsAsAnAssociation(t *testing.T) {
	gone := make(chan struct{})
	pacs := &dicomtest.ScriptedPACS{Find: func(a *association, _ string) {
		a.Finish(dicomnet.StatusSuccess)
		<-gone // reads no A-RELEASE-RQ
	}}
	r := start(t, gatewayTo(t, pacs, gatewayOptions{pool: pool.Options{MaxAssociationsPerPeer: 1, QueueTimeout: 100 * time.Millisecond}}))
	status, _, _ := r.post(t, "/q", queryBody)
	require.Equal(t, http.StatusNotFound, status)
	status, _, body := r.post(t, "/q", queryBody)
	require.Equal(t, http.StatusServiceUnavailable, status)
	assert.Equal(t, goclient.ProblemCodePACSBusy, problemIn(t, body).Code)
	close(gone)
	require.Eventually(t, func() bool {
		status, _, _ := r.post(t, "/q", queryBody)
		return status == http.StatusNotFound
	}, 10*time.Second, 10*time.Millisecond)
}
