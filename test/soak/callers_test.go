//go:build soak

package soak

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dicom-qr-gateway/gen/goclient"
)

const (
	callers = 64
	// pace is the shortest time between two requests of a caller.
	pace = 250 * time.Millisecond
	// patience limits one request; no response takes that long.
	patience = queueTimeout + time.Minute

	called, calling = "PACS", "SOAK"
)

// load is all callers, with their requests and the responses counted.
type load struct {
	gateway *gateway
	peers   []*peer
	sent    atomic.Int64

	mu sync.Mutex
	// answers counts responses by "peer operation" and text; wants has the only right text.
	answers map[string]map[string]int
	wants   map[string]string
	audits  map[string]string // what the audit log must have, by correlation ID
}

func newLoad(g *gateway, peers []*peer) *load {
	return &load{gateway: g, peers: peers, answers: map[string]map[string]int{}, wants: map[string]string{}, audits: map[string]string{}}
}

// run sends requests of all callers for the time d and waits for the last responses.
func (l *load) run(ctx context.Context, phase string, d time.Duration) {
	over, stop := context.WithTimeout(ctx, d)
	defer stop()
	var wait sync.WaitGroup
	for n := range callers {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), uint64(len(phase))))
			next := time.NewTicker(pace)
			defer next.Stop()
			for i := 0; over.Err() == nil; i++ {
				l.call(ctx, random, fmt.Sprintf("%s-%d-%d", phase, n, i))
				select {
				case <-next.C:
				case <-over.Done():
				}
			}
		})
	}
	wait.Wait()
}

// call sends a random request and counts its response.
func (l *load) call(ctx context.Context, random *rand.Rand, id string) {
	switch p := random.IntN(50); p {
	case 0:
		l.do(ctx, request{id, "no key", query, []byte("{}"), "wrong", nil}, want{"401 " + string(goclient.ProblemCodeUnauthorized), alert})
	case 1:
		l.do(ctx, request{id, "no peer", query, []byte(`{"pacs_ip":"127.0.0.1"}`), apiKey, nil}, want{"400 invalid_request", notAudited})
	default:
		p := l.peer(random)
		operation := operations[random.IntN(len(operations))]
		l.do(ctx, l.requestTo(p, operation, id), p.wants[operation])
	}
}

func (l *load) peer(random *rand.Rand) *peer {
	shares := 0
	for _, p := range l.peers {
		shares += p.share
	}
	nth := random.IntN(shares)
	for _, p := range l.peers {
		if nth -= p.share; nth < 0 {
			return p
		}
	}
	panic("shares do not add up")
}

type request struct {
	id, peer, operation string
	body                []byte
	key                 string
	leave               <-chan struct{} // closed when the caller disconnects; nil: never
}

func (l *load) requestTo(p *peer, operation, id string) request {
	r := request{id: id, peer: p.name, operation: operation, key: apiKey}
	fields := map[string]any{"pacs_ip": cmp.Or(p.host, "127.0.0.1"), "pacs_port": p.port, "pacs_ae_title": called, "c_find_ae_title": calling}
	if operation != echo {
		fields["patient_id"], fields["max_results"] = p.patientID, 1
		if p.waiting != nil {
			patientID := map[string]string{query: "FIND "}[operation] + id
			r.leave, fields["patient_id"] = p.waiting.expect(patientID), patientID
		}
	}
	if operation == retrieve || operation == stream {
		fields["c_move_ae_title"] = p.moveTo
	}
	r.body, _ = json.Marshal(fields) // strings and numbers: no error
	return r
}

func (l *load) do(ctx context.Context, r request, w want) {
	l.sent.Add(1)
	ctx, leave := context.WithTimeout(ctx, patience)
	defer leave()
	if r.leave != nil {
		go func() {
			select {
			case <-r.leave:
				leave()
			case <-ctx.Done():
			}
		}()
	}
	answer := l.answer(ctx, r)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.audits[r.id] = w.audit
	kind := r.peer + " " + r.operation
	l.wants[kind] = w.answer
	if l.answers[kind] == nil {
		l.answers[kind] = map[string]int{}
	}
	l.answers[kind][answer]++
}

// answer sends the request and returns a short text for the response or the error.
func (l *load) answer(ctx context.Context, r request) string {
	path, _, _ := strings.Cut(r.operation, ",")
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, l.gateway.URL+path, bytes.NewReader(r.body))
	if err != nil {
		return err.Error()
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Authorization", "Bearer "+r.key)
	q.Header.Set("X-Correlation-ID", r.id)
	if r.operation == stream {
		q.Header.Set("Accept", "text/event-stream")
	}
	response, err := l.gateway.client.Do(q)
	if err != nil {
		return ended(ctx, err)
	}
	defer response.Body.Close()
	if got := response.Header.Get("X-Correlation-ID"); got != r.id {
		return "correlation ID " + got
	}
	if response.Header.Get("Content-Type") == "text/event-stream" {
		last, err := lastEvent(response.Body)
		if err != nil {
			return ended(ctx, err)
		}
		return fmt.Sprintf("%d, %s", response.StatusCode, last)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return ended(ctx, err)
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", response.StatusCode, codeOf(body)))
}

func ended(ctx context.Context, err error) string {
	if errors.Is(ctx.Err(), context.Canceled) {
		return left
	}
	return err.Error()
}

// codeOf returns the code of a problem document, "" for another body.
func codeOf(body []byte) string {
	var problem struct{ Code string }
	if err := json.Unmarshal(body, &problem); err != nil {
		return err.Error()
	}
	return problem.Code
}

// lastEvent returns the last event of a stream, which alone shows that the stream is complete.
func lastEvent(r io.Reader) (string, error) {
	var name, data string
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		switch field, value, _ := strings.Cut(lines.Text(), ": "); field {
		case "event":
			name = value
		case "data":
			data = value
		}
	}
	var end struct {
		HTTPStatus int `json:"http_status"`
		Status     any
		Code       string
	}
	switch err := json.Unmarshal([]byte(data), &end); {
	case lines.Err() != nil || err != nil:
		return "", errors.Join(lines.Err(), err)
	case name == "result":
		return fmt.Sprintf("result %d", end.HTTPStatus), nil
	}
	return fmt.Sprintf("%s %v %s", name, end.Status, end.Code), nil
}
