//go:build siege && linux

package siege

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The addresses from which the callers connect.
const (
	addressOfA = "127.0.0.2"
	addressOfB = "127.0.0.3"
)

// caller is an HTTP client with a key and an address of its own.
type caller struct {
	gateway *gateway
	key     string
	address string
	client  *http.Client
}

func (g *gateway) caller(key, address string) *caller {
	c := &caller{gateway: g, key: key, address: address}
	// Each request has a connection of its own: the gateway must accept it, whatever it holds.
	c.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialTLSContext: c.dial, DialContext: c.dial}}
	return c
}

// dialPlain connects to the gateway from the address of the caller.
func (c *caller) dialPlain(ctx context.Context, _, _ string) (net.Conn, error) {
	return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.address)}}).DialContext(ctx, "tcp", c.gateway.address)
}

// dial is dialPlain with TLS if the gateway has HTTPS.
func (c *caller) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := c.dialPlain(ctx, "", "")
	if err != nil || c.gateway.files == nil {
		return conn, err
	}
	secure := tls.Client(conn, c.gateway.files.client(c.gateway.files.own))
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secure, nil
}

// request is the body of /q at a PACS on loopback, and of /qr with a destination.
type request struct {
	Address     string `json:"pacs_ip"`
	Port        int    `json:"pacs_port"`
	Called      string `json:"pacs_ae_title"`
	Calling     string `json:"c_find_ae_title"`
	PatientID   string `json:"patient_id,omitempty"`
	Destination string `json:"c_move_ae_title,omitempty"`
	TLS         bool   `json:"pacs_tls,omitempty"`
}

func queryOf(port int) request {
	return request{Address: "127.0.0.1", Port: port, Called: "PACS", Calling: "GATEWAY", PatientID: patientID}
}

// retrieveOf is queryOf with a destination if the path is that of a retrieve.
func retrieveOf(path string, port int) request {
	r := queryOf(port)
	if path == "/qr" {
		r.Destination = "DEST"
	}
	return r
}

func (r request) body() []byte {
	b, _ := json.Marshal(r) // strings and numbers: no error
	return b
}

// post sends a request and reads the answer, of which it keeps the code of a problem. It returns what answered in a few words, such
// as "200" or "503 pacs_busy", and the length of the answer.
func (c *caller) post(ctx context.Context, path string, r request, header ...string) (outcome string, length int64) {
	outcome, _, length = c.send(ctx, path, r, 256<<10, header...)
	return outcome, length
}

// read is post for an answer that is kept.
func (c *caller) read(ctx context.Context, path string, r request) (outcome, body string) {
	outcome, content, _ := c.send(ctx, path, r, 1<<30)
	return outcome, string(content)
}

func (c *caller) send(ctx context.Context, path string, r request, keep int64, header ...string) (outcome string, begin []byte, length int64) {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, c.gateway.URL+path, bytes.NewReader(r.body()))
	if err != nil {
		return err.Error(), nil, 0
	}
	q.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	outcome, begin, length = c.do(q, keep)
	var problem struct{ Code string }
	if json.Unmarshal(begin, &problem) == nil && problem.Code != "" {
		outcome += " " + problem.Code
	}
	return outcome, begin, length
}

// get returns the status and the beginning of the answer.
func (c *caller) get(ctx context.Context, path string) (outcome, body string) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, c.gateway.URL+path, http.NoBody)
	if err != nil {
		return err.Error(), ""
	}
	outcome, begin, _ := c.do(q, 256<<10)
	return outcome, string(begin)
}

// do reads the whole answer and keeps its beginning.
func (c *caller) do(q *http.Request, keep int64) (outcome string, begin []byte, length int64) {
	if c.key != "" {
		q.Header.Set("Authorization", "Bearer "+c.key)
	}
	answer, err := c.client.Do(q)
	if err != nil {
		return reason(err), nil, 0
	}
	defer answer.Body.Close()
	begin, err = io.ReadAll(io.LimitReader(answer.Body, keep))
	if err == nil {
		length, err = io.Copy(io.Discard, answer.Body)
	}
	length += int64(len(begin))
	if err != nil {
		return fmt.Sprintf("%d, %s", answer.StatusCode, reason(err)), begin, length
	}
	return strconv.Itoa(answer.StatusCode), begin, length
}

// reason returns a word for an error of a connection.
func reason(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "stopped"
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE):
		return "closed"
	}
	return err.Error()
}

// tally counts outcomes. It reports when an attack is at full strength, and when it has done everything once.
type tally struct {
	mu       sync.Mutex
	outcomes map[string]int
	longest  int64 // answer in bytes

	ready, enough chan struct{}
}

func newTally() *tally {
	return &tally{outcomes: map[string]int{}, ready: make(chan struct{}), enough: make(chan struct{})}
}

func (c *tally) add(outcome string, length int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcomes[outcome]++
	c.longest = max(c.longest, length)
}

// String returns the outcomes, the most frequent first.
func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for outcome := range c.outcomes {
		all = append(all, outcome)
	}
	slices.SortFunc(all, func(a, b string) int { return c.outcomes[b] - c.outcomes[a] })
	for i, outcome := range all {
		all[i] = fmt.Sprintf("%d x %s", c.outcomes[outcome], outcome)
	}
	return strings.Join(all, ", ")
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// together runs work on n goroutines, again and again with a pause of d, until ctx ends. The attack is at full strength from the
// beginning, and has done everything once when each has returned once.
func (c *tally) together(ctx context.Context, n int, d time.Duration, work func(ctx context.Context)) {
	close(c.ready)
	var first, all sync.WaitGroup
	first.Add(n)
	for range n {
		all.Go(func() {
			for once := sync.OnceFunc(first.Done); ; {
				work(ctx)
				once()
				if ctx.Err() != nil {
					return
				}
				pause(ctx, d)
			}
		})
	}
	first.Wait()
	close(c.enough)
	all.Wait()
}

// refusedPause is the pause of a caller whose connection the gateway has closed.
const refusedPause = 10 * time.Second

// hold keeps n connections open on which text was sent and nothing is read. A connection that the gateway closes is replaced
// after a pause.
func (c *tally) hold(ctx context.Context, n int, dial func(ctx context.Context) (net.Conn, error), text []byte) {
	var sent, all sync.WaitGroup
	sent.Add(n)
	few := make(chan struct{}, 64) // of them connect at the same time
	for range n {
		all.Go(func() {
			for once := sync.OnceFunc(sent.Done); ; pause(ctx, refusedPause) {
				if ctx.Err() != nil {
					once()
					return
				}
				few <- struct{}{}
				conn, err := dial(ctx)
				if err == nil {
					_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
					_, err = conn.Write(text)
				}
				<-few
				once()
				if err != nil {
					c.add(reason(err), 0)
				} else {
					c.add(held(ctx, conn), 0)
				}
				if conn != nil {
					_ = conn.Close()
				}
			}
		})
	}
	sent.Wait()
	close(c.ready)
	close(c.enough)
	all.Wait()
}

// held waits until the gateway closes the connection, or answers first.
func held(ctx context.Context, conn net.Conn) string {
	_ = conn.SetDeadline(time.Time{})
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	var head [12]byte // HTTP/1.1 503
	n, err := io.ReadFull(conn, head[:])
	if err == nil {
		return string(head[9:])
	}
	if ctx.Err() != nil {
		return "held to the end"
	}
	_ = n
	return "closed"
}

// requestOn sends requests on a connection, each a while after the answer of the one before, and returns the last outcome.
func requestOn(ctx context.Context, conn net.Conn, request []byte, n int, wait time.Duration) (outcome string) {
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	reader := bufio.NewReader(conn)
	for range n {
		if _, err := conn.Write(request); err != nil {
			return reason(err)
		}
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			return reason(err)
		}
		outcome = strconv.Itoa(answer.StatusCode)
		_, err = io.Copy(io.Discard, answer.Body)
		if err = errors.Join(err, answer.Body.Close()); err != nil {
			return reason(err)
		}
		pause(ctx, wait)
	}
	return outcome
}
