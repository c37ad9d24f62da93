//go:build siege && linux

package siege

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"dicom-qr-gateway/dicomnet/dicomtest"
)

// attack is one kind of the worst that a PACS or a caller can do to others.
type attack struct {
	name   string
	secure bool // it needs HTTPS with client certificates and DICOM TLS
	// prepare returns a function that attacks until its context ends.
	prepare func(t *testing.T, g *gateway) func(ctx context.Context, c *tally)
}

// again is the pause of a hostile caller after each answer. Without it, callers and gateway would compete for the processors of the
// machine, which is not what is measured.
const again = 100 * time.Millisecond

// slowly is a caller's time for an answer, beyond that of everything that is measured.
const slowly = time.Minute

// asking returns an attack of n callers A that send a request to a hostile PACS.
func asking(n int, path string, pacs func() *dicomtest.ScriptedPACS, header ...string) func(*testing.T, *gateway) func(context.Context, *tally) {
	return func(t *testing.T, g *gateway) func(context.Context, *tally) {
		t.Helper()
		return repeating(n, g.caller(keyOfA, addressOfA), path, retrieveOf(path, listen(t, pacs())), header...)
	}
}

func repeating(n int, a *caller, path string, r request, header ...string) func(context.Context, *tally) {
	return func(ctx context.Context, c *tally) {
		c.together(ctx, n, again, func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, slowly)
			defer cancel()
			c.add(a.post(ctx, path, r, header...))
		})
	}
}

// searching returns an attack of n callers A that search a hostile PACS with QIDO-RS.
func searching(n int, pacs func() *dicomtest.ScriptedPACS) func(*testing.T, *gateway) func(context.Context, *tally) {
	return func(t *testing.T, g *gateway) func(context.Context, *tally) {
		t.Helper()
		name, a := g.name(t, listen(t, pacs())), g.caller(keyOfA, addressOfA)
		return func(ctx context.Context, c *tally) {
			c.together(ctx, n, again, func(ctx context.Context) {
				ctx, cancel := context.WithTimeout(ctx, slowly)
				defer cancel()
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL+"/dicomweb/"+name+"/studies?includefield=all", http.NoBody)
				if err != nil {
					c.add(reason(err), 0)
					return
				}
				outcome, _, length := a.do(request, 0)
				c.add(outcome, length)
			})
		}
	}
}

func scripted(n int, play func(*dicomtest.ScriptedPeer)) func(*testing.T, *gateway) func(context.Context, *tally) {
	return func(t *testing.T, g *gateway) func(context.Context, *tally) {
		t.Helper()
		return repeating(n, g.caller(keyOfA, addressOfA), "/q", queryOf(listen(t, &dicomtest.Script{Play: play})))
	}
}

// holding returns an attack of n connections on which text was sent.
func holding(n int, text func(g *gateway) string) func(*testing.T, *gateway) func(context.Context, *tally) {
	return func(_ *testing.T, g *gateway) func(context.Context, *tally) {
		a := g.caller(keyOfA, addressOfA)
		return func(ctx context.Context, c *tally) {
			c.hold(ctx, n, func(ctx context.Context) (net.Conn, error) { return a.dial(ctx, "", "") }, []byte(text(g)))
		}
	}
}

// head returns the header of a request of caller A that announces a body.
func head(g *gateway, length int) string {
	return fmt.Sprintf("POST /q HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		g.address, keyOfA, length)
}

func unfinishedBody(g *gateway) string { return head(g, 65000) + strings.Repeat(" ", 64000) }

func unfinishedHeader(g *gateway) string {
	return "POST /q HTTP/1.1\r\nHost: " + g.address + "\r\nX-Padding: " + strings.Repeat("a", 15000)
}

// leaving is an attack of callers that send a request to a slow PACS with one byte more, and leave.
func leaving(n int) func(*testing.T, *gateway) func(context.Context, *tally) {
	return func(t *testing.T, g *gateway) func(context.Context, *tally) {
		t.Helper()
		a := g.caller(keyOfA, addressOfA)
		body := queryOf(listen(t, slow())).body()
		text := append([]byte(head(g, len(body))), body...)
		return func(ctx context.Context, c *tally) {
			c.together(ctx, n, time.Second, func(ctx context.Context) { c.add(leave(ctx, a, append(bytes.Clone(text), 'x')), 0) })
		}
	}
}

// leave sends text on a connection of its own and closes it.
func leave(ctx context.Context, a *caller, text []byte) string {
	conn, err := a.dial(ctx, "", "")
	if err != nil {
		return reason(err)
	}
	_, err = conn.Write(text)
	pause(ctx, 200*time.Millisecond)
	_ = conn.Close()
	if err != nil {
		return reason(err)
	}
	return "left"
}

// unread is an attack of callers that do not read their large answers.
func unread(n int, path string, pacs func() *dicomtest.ScriptedPACS, header string) func(*testing.T, *gateway) func(context.Context, *tally) {
	return func(t *testing.T, g *gateway) func(context.Context, *tally) {
		t.Helper()
		a := g.caller(keyOfA, addressOfA)
		body := retrieveOf(path, listen(t, pacs())).body()
		text := append([]byte(strings.Replace(head(g, len(body)), "POST /q ", "POST "+path+" ", 1)), body...)
		text = bytes.Replace(text, []byte("\r\n"), []byte("\r\n"+header), 1)
		return func(ctx context.Context, c *tally) {
			c.together(ctx, n, again, func(ctx context.Context) {
				conn, err := a.dial(ctx, "", "")
				if err != nil {
					c.add(reason(err), 0)
					return
				}
				defer conn.Close()
				_ = conn.(*net.TCPConn).SetReadBuffer(4096)
				if _, err = conn.Write(text); err != nil {
					c.add(reason(err), 0)
					return
				}
				pause(ctx, 5*time.Second)
				c.add("not read", 0)
			})
		}
	}
}

// streaming is an attack of callers whose bodies do not end, each with as many requests on one connection as HTTP/2 permits.
func streaming(n int) func(*testing.T, *gateway) func(context.Context, *tally) {
	return func(t *testing.T, g *gateway) func(context.Context, *tally) {
		t.Helper()
		a := g.caller(keyOfA, addressOfA)
		config := g.files.client(g.files.own)
		transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: config, DialContext: a.dialPlain}
		t.Cleanup(transport.CloseIdleConnections)
		a.client = &http.Client{Transport: transport}
		return func(ctx context.Context, c *tally) {
			c.together(ctx, n, refusedPause, func(ctx context.Context) {
				begin, rest := io.MultiReader(strings.NewReader(strings.Repeat(" ", 64000)), &never{ctx}), int64(65000)
				request, err := http.NewRequestWithContext(ctx, http.MethodPost, g.URL+"/q", begin)
				if err != nil {
					c.add(reason(err), 0)
					return
				}
				request.ContentLength = rest
				request.Header.Set("Content-Type", "application/json")
				outcome, _, _ := a.do(request, 0)
				c.add(outcome, 0)
			})
		}
	}
}

// never is the rest of a body that does not come.
type never struct{ ctx context.Context } //nolint:containedctx // it is that of a Read

func (n *never) Read([]byte) (int, error) {
	<-n.ctx.Done()
	return 0, n.ctx.Err()
}

// chained is an attack of callers that present a long chain of certificates, and send requests on the connection if they are accepted.
// A handshake costs such a caller more than the gateway, so there is a pause after one that failed.
func chained(n int) func(*testing.T, *gateway) func(context.Context, *tally) {
	return func(t *testing.T, g *gateway) func(context.Context, *tally) {
		t.Helper()
		config, request := g.files.client(longChain(t)), []byte(head(g, 2)+"{}")
		return func(ctx context.Context, c *tally) {
			c.together(ctx, n, again, func(ctx context.Context) {
				defer pause(ctx, 2*time.Second)
				dialer := &tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addressOfA)}}, Config: config}
				conn, err := dialer.DialContext(ctx, "tcp", g.address)
				if err != nil {
					c.add(reason(err), 0)
					return
				}
				defer conn.Close()
				c.add(requestOn(ctx, conn, request, 20, 2*again), 0)
			})
		}
	}
}

// chainedPACS is an attack of callers that ask a PACS with a long chain of certificates.
func chainedPACS(n int) func(*testing.T, *gateway) func(context.Context, *tally) {
	return func(t *testing.T, g *gateway) func(context.Context, *tally) {
		t.Helper()
		config := &tls.Config{Certificates: []tls.Certificate{*longChain(t)}}
		r := queryOf(listen(t, &dicomtest.Script{Play: func(p *dicomtest.ScriptedPeer) {
			p.Conn = tls.Server(p.Conn, config)
			silent(p)
		}}))
		r.TLS = true
		return repeating(n, g.caller(keyOfA, addressOfA), "/q", r)
	}
}

// refused is an attack of callers without a key.
func refused(n int) func(*testing.T, *gateway) func(context.Context, *tally) {
	return func(_ *testing.T, g *gateway) func(context.Context, *tally) {
		return repeating(n, g.caller("", addressOfA), "/q", queryOf(1))
	}
}

const events = "text/event-stream"

// attacks are all kinds, those of PACS first.
var attacks = []attack{
	{name: "one query, 62 texts of 1 MB of <", prepare: asking(1, "/q", func() *dicomtest.ScriptedPACS { return withTexts("<") })},
	{name: "ten queries, 62 texts of 1 MB of <", prepare: asking(10, "/q", func() *dicomtest.ScriptedPACS { return withTexts("<") })},
	{name: "ten queries, 62 texts of 1 MB of a", prepare: asking(10, "/q", func() *dicomtest.ScriptedPACS { return withTexts("a") })},
	{name: "retrieve, 300 lists of 20,000 failed instances", prepare: asking(1, "/qr", func() *dicomtest.ScriptedPACS { return withFailures(300) })},
	{name: "streamed retrieve, 1,000 lists of 20,000 failed instances", prepare: asking(1, "/qr", func() *dicomtest.ScriptedPACS { return withFailures(1000) }, "Accept", events)},
	{name: "ten queries, 9,000 matches each", prepare: asking(10, "/q", func() *dicomtest.ScriptedPACS { return archive(9000) })},
	{name: "ten searches, 62 texts of 1 MB of <", prepare: searching(10, func() *dicomtest.ScriptedPACS { return withTexts("<") })},
	{name: "ten searches, 9,000 matches each", prepare: searching(10, func() *dicomtest.ScriptedPACS { return archive(9000) })},
	{name: "ten queries, matches without end", prepare: asking(10, "/q", flooding)},
	{name: "ten queries, data sets without end", prepare: scripted(10, endless)},
	{name: "ten queries, PDUs that claim 4 GiB", prepare: scripted(10, lying)},
	{name: "280 queries to a slow PACS", prepare: asking(280, "/q", slow)},
	{name: "280 queries to a PACS that says nothing", prepare: scripted(280, silent)},
	{name: "264 callers that send one byte more and leave", prepare: leaving(264)},
	{name: "100 callers that read no answer", prepare: unread(100, "/q", func() *dicomtest.ScriptedPACS { return archive(9000) }, "")},
	{name: "100 callers that read no event", prepare: unread(100, "/qr", func() *dicomtest.ScriptedPACS { return withFailures(10) }, "Accept: "+events+"\r\n")},
	{name: "64 callers without a key", prepare: refused(64)},
	{name: "5,000 slow bodies", prepare: holding(5000, unfinishedBody)},
	{name: "5,000 unfinished headers", prepare: holding(5000, unfinishedHeader)},
	{name: "240 callers with a long chain of certificates", secure: true, prepare: chained(240)},
	{name: "ten queries to a PACS with a long chain of certificates", secure: true, prepare: chainedPACS(10)},
	{name: "1,000 slow bodies over TLS", secure: true, prepare: holding(1000, unfinishedBody)},
	{name: "2,000 slow bodies over HTTP/2", secure: true, prepare: streaming(2000)},
}
