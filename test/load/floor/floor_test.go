package main

import (
	"bufio"
	"encoding/binary"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"dicom-qr-gateway/test/load/wire"
)

// peer responds to each query with two matches and records the types of the PDUs that it receives.
type peer struct {
	accept   byte // the PDU that answers A-ASSOCIATE-RQ
	silent   bool // closes the connection instead of responding
	mu       sync.Mutex
	received []byte
	wait     sync.WaitGroup
}

// listen returns the address. At the end of the test it waits until all connections are closed.
func (p *peer) listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = l.Close()
		p.wait.Wait()
	})
	p.wait.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.wait.Go(func() { p.serve(conn) })
		}
	})
	return l.Addr().String()
}

func (p *peer) serve(conn net.Conn) {
	defer conn.Close()
	response := func(status, dataSet uint16) []byte {
		return wire.PDV(contextID, wire.Command|wire.Last, wire.CommandSet(
			wire.CommandElement(0x0800, wire.Uint16(dataSet)), wire.CommandElement(0x0900, wire.Uint16(status))))
	}
	match := append(response(wire.Pending, wire.HasDataSet), wire.PDV(contextID, wire.Last, make([]byte, 300))...)
	a := &association{Conn: conn, reader: bufio.NewReader(conn)}
	for {
		kind, body, err := a.next()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.received = append(p.received, kind)
		p.mu.Unlock()
		switch {
		case kind == wire.AssociateRQ:
			_, _ = conn.Write(wire.PDU(p.accept, make([]byte, 68)))
		case kind == wire.PDataTF && p.silent:
			return
		case kind == wire.PDataTF && body[5]&wire.Command == 0:
			_, _ = conn.Write(slices.Concat(match, match, response(wire.Success, wire.NoDataSet)))
		case kind == wire.ReleaseRQ:
			_, _ = conn.Write(wire.PDU(wire.ReleaseRP, make([]byte, 4)))
			return
		}
	}
}

func (p *peer) count(kind byte) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, k := range p.received {
		if k == kind {
			n++
		}
	}
	return n
}

func ask(f *floor, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/q", strings.NewReader(body)))
	return w
}

func TestNewAssociationPerRequest(t *testing.T) {
	p := &peer{accept: wire.AssociateAC}
	f := &floor{pacs: p.listen(t)}
	for range 3 {
		if w := ask(f, `{"patient_id":"BENCH-2"}`); w.Code != http.StatusOK || w.Body.Len() != len(recorded) {
			t.Fatal(w.Code, w.Body)
		}
	}
	if n := p.count(wire.AssociateRQ); n != 3 {
		t.Errorf("%d associations", n)
	}
}

func TestAssociationIsReused(t *testing.T) {
	p := &peer{accept: wire.AssociateAC}
	f := &floor{pacs: p.listen(t), reuse: true, idle: make(chan *association, 1)}
	for range 3 {
		if w := ask(f, `{"patient_id":"BENCH-2"}`); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
	}
	a := <-f.idle
	a.release()
	if rq, queries := p.count(wire.AssociateRQ), p.count(wire.PDataTF)/2; rq != 1 || queries != 3 {
		t.Errorf("%d associations for %d queries", rq, queries)
	}
	if p.count(wire.ReleaseRQ) != 1 {
		t.Error("not released")
	}
}

func TestFailureIsBadGateway(t *testing.T) {
	const rejected = 0x03
	for name, f := range map[string]*floor{
		"rejected": {pacs: (&peer{accept: rejected}).listen(t)},
		"closed":   {pacs: (&peer{accept: wire.AssociateAC, silent: true}).listen(t)},
		"no PACS":  {pacs: "127.0.0.1:0"},
	} {
		if w := ask(f, `{}`); w.Code != http.StatusBadGateway {
			t.Error(name, w.Code)
		}
	}
	if w := ask(&floor{}, `no JSON`); w.Code != http.StatusBadRequest {
		t.Error(w.Code)
	}
}

// The PACS here does not check the inner lengths.
func TestRecordingsHaveConsistentLengths(t *testing.T) {
	for name, recording := range map[string][]byte{"A-ASSOCIATE-RQ": associateRQ, "A-RELEASE-RQ": releaseRQ, "C-FIND-RQ": findRQ("BENCH-10")} {
		rest := recording
		for len(rest) > 0 {
			n := wire.HeaderLength + int(binary.BigEndian.Uint32(rest[2:]))
			if n > len(rest) {
				t.Fatalf("%s: a PDU of %d bytes in %d", name, n, len(rest))
			}
			rest = rest[n:]
		}
	}
}
