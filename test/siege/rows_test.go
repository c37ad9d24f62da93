//go:build siege && linux

package siege

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dicomtest"
	"dicom-qr-gateway/test/rig"
)

// patient are timeouts of a gateway in whose tests nothing may end by a timeout.
var patient = []string{"DIMSE_TIMEOUT=600", "QUEUE_TIMEOUT=600", "NETWORK_TIMEOUT=600", "ACSE_TIMEOUT=600"}

// attackInBackground runs an attack until the end of the test and returns when it is at full strength.
func attackInBackground(t *testing.T, attack func(context.Context, *tally)) *tally {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background()) // that of the test ends before the cleanup
	c, ended := newTally(), make(chan struct{})
	go func() {
		defer close(ended)
		attack(ctx, c)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	<-c.ready
	return c
}

// eventually polls until the condition holds.
func eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	for until := time.Now().Add(rig.Patience); !condition(); time.Sleep(50 * time.Millisecond) {
		require.True(t, time.Now().Before(until), "%s, within %v", what, rig.Patience)
	}
}

// inFlight returns the number of requests that have no answer yet, except for the one that asks.
func (g *gateway) inFlight(t *testing.T) int {
	t.Helper()
	return int(g.metric(t, "dicomqr_http_requests_in_flight")) - 1
}

func requireQueries(t *testing.T, b *caller, port, n int, header ...string) {
	t.Helper()
	for range n {
		ctx, cancel := context.WithTimeout(t.Context(), rig.Patience)
		outcome, _ := b.post(ctx, "/q", queryOf(port), header...)
		cancel()
		require.Equal(t, "200", outcome)
	}
}

// A sends more requests to one slow PACS than the gateway runs operations at once. None of them ends during the test. B differs from
// A in its key, in the user whom a proxy names, or in its address alone.
func TestCallersOfASlowPACSDoNotKeepOthersFromTheirs(t *testing.T) {
	for name, test := range map[string]struct {
		settings        []string
		keyA, keyB      string
		addressB        string
		headerA, header []string // of B
	}{
		"by key":     {keyA: keyOfA, keyB: keyOfB, addressB: addressOfA},
		"by address": {settings: []string{"API_KEYS_FILE="}, addressB: addressOfB},
		"by forwarded user": {
			settings: []string{"API_KEYS_FILE=", "TRUSTED_PROXIES=" + addressOfA, "FORWARDED_USER_HEADER=X-User"},
			addressB: addressOfA, headerA: []string{"X-User", "a"}, header: []string{"X-User", "b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := defend(t, append(patient, test.settings...)...)
			idle := listen(t, archive(1))
			const many = 280
			c := attackInBackground(t, repeating(many, g.caller(test.keyA, addressOfA), "/q", queryOf(listen(t, slow())), test.headerA...))
			b := g.caller(test.keyB, test.addressB)
			eventually(t, func() bool { return g.inFlight(t)+c.count() >= many }, "all requests of A have arrived")
			requireQueries(t, b, idle, 50, test.header...)
		})
	}
}

// count returns the number of outcomes.
func (c *tally) count() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, times := range c.outcomes {
		n += times
	}
	return n
}

// The byte beyond the request stays unread, because the next request of the connection would begin with it.
func TestCallersThatLeaveBehindUnreadBytesAreNoticed(t *testing.T) {
	for _, more := range []string{"x", strings.Repeat("GET /version HTTP/1.1\r\n", 400)} {
		g := defend(t, patient...)
		body := queryOf(listen(t, slow())).body()
		a := g.caller(keyOfA, addressOfA)
		var left []net.Conn
		for range 64 {
			conn, err := a.dial(t.Context(), "", "")
			require.NoError(t, err)
			_, err = conn.Write(append([]byte(head(g, len(body))), string(body)+more...))
			require.NoError(t, err)
			left = append(left, conn)
		}
		eventually(t, func() bool { return g.inFlight(t) == len(left) }, "all requests have arrived")
		for _, conn := range left {
			require.NoError(t, conn.Close())
		}
		eventually(t, func() bool { return g.inFlight(t) == 0 }, "all operations have ended")
		eventually(t, func() bool { return g.metric(t, "dicomqr_associations_open") == 0 }, "all associations have ended")
	}
}

// Each certificate of a chain signs each other. The limits are far above what a handshake takes, and far below the 300 ms of a search for
// a path through the chain.
func TestLongChainsOfCertificatesCostNextToNothing(t *testing.T) {
	t.Run("of callers", func(t *testing.T) {
		g := defendSecurely(t)
		config := g.files.client(longChain(t))
		const requests = 50
		began := g.cpu(t)
		for range requests {
			if conn, err := tls.Dial("tcp", g.address, config); err == nil {
				outcome := requestOn(t.Context(), conn, []byte(head(g, 2)+"{}"), 1, 0)
				require.NotEqual(t, "200", outcome)
				_ = conn.Close()
			}
		}
		took := (g.cpu(t) - began) / requests
		t.Logf("%v of CPU for each request", took)
		assert.Less(t, took, 50*time.Millisecond)
	})
	t.Run("of PACS", func(t *testing.T) {
		g := defendSecurely(t)
		config := &tls.Config{Certificates: []tls.Certificate{*longChain(t)}}
		r := queryOf(listen(t, &dicomtest.Script{Play: func(p *dicomtest.ScriptedPeer) {
			p.Conn = tls.Server(p.Conn, config)
			silent(p)
		}}))
		r.TLS = true
		const requests = 20
		began := g.cpu(t)
		for range requests {
			outcome, _ := g.caller(keyOfA, addressOfA).post(t.Context(), "/q", r)
			require.Equal(t, "502 tls_failed", outcome)
		}
		took := (g.cpu(t) - began) / requests
		t.Logf("%v of CPU for each request", took)
		assert.Less(t, took, 100*time.Millisecond)
	})
}

// Both texts take the same room in the answer and in the record: escaping does not multiply what is left of them.
func TestLongTextsAreCutWithAWarning(t *testing.T) {
	g := defend(t)
	for _, char := range []string{"<", "a"} {
		before := g.auditSize(t)
		outcome, body := g.caller(keyOfA, addressOfA).read(t.Context(), "/q", queryOf(listen(t, withTexts(char))))
		require.Equal(t, "200", outcome, body[:min(len(body), 500)])
		assert.Contains(t, body, `"text_cut"`)
		assert.Less(t, len(body), 4<<20)
		assert.Less(t, g.auditSize(t)-before, 1<<20)
	}
}

func TestListsOfFailedInstancesAreCutWithAWarning(t *testing.T) {
	g := defend(t)
	outcome, body := g.caller(keyOfA, addressOfA).read(t.Context(), "/qr", retrieveOf("/qr", listen(t, withFailures(100))))
	require.Equal(t, "207", outcome, body[:min(len(body), 500)])
	assert.Contains(t, body, `"failed_instances_cut"`)
	assert.Less(t, len(body), 32<<20)
	assert.Equal(t, 100, strings.Count(body, `"dicom_status":"B000"`), "every study has its outcome")
}
