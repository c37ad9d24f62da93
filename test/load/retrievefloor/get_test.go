package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"dicom-qr-gateway/test/load/wire"
)

// pacs serves one association: it accepts it, reads a C-GET-RQ, does what script says and waits for the end.
func pacs(t *testing.T, script func(conn net.Conn)) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		read(conn)
		_, _ = conn.Write(wire.PDU(wire.AssociateAC, make([]byte, 68)))
		read(conn)
		read(conn)
		script(conn)
	}()
	return listener.Addr().String()
}

func read(conn net.Conn) []byte {
	header := make([]byte, wire.HeaderLength)
	if _, err := io.ReadFull(conn, header); err != nil {
		return nil
	}
	body := make([]byte, binary.BigEndian.Uint32(header[2:]))
	_, _ = io.ReadFull(conn, body)
	return body
}

func store(messageID uint16) []byte {
	return wire.PDV(3, wire.Command|wire.Last, wire.CommandSet(
		wire.CommandElement(0x0100, wire.Uint16(wire.CStoreRQ)),
		wire.CommandElement(0x0110, wire.Uint16(messageID)),
		wire.CommandElement(0x1000, wire.Even("1.2.3", 0)),
	))
}

func final(status uint16) []byte {
	return wire.PDV(1, wire.Command|wire.Last, wire.CommandSet(
		wire.CommandElement(0x0100, wire.Uint16(wire.CGetRSP)), wire.CommandElement(0x0900, wire.Uint16(status))))
}

func TestFloorPassesDataSetsOn(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789"), 50_000)
	address := pacs(t, func(conn net.Conn) {
		for i, dataSet := range [][]byte{[]byte("abcd"), long} {
			command := store(uint16(i + 1))
			_, _ = conn.Write(slices.Concat(command, wire.PDV(3, 0, dataSet[:2])))
			_, _ = conn.Write(wire.PDV(3, wire.Last, dataSet[2:]))
			response := read(conn)
			if got := binary.LittleEndian.Uint16(wire.Find(response[6:], false, 0, 0x0120)); int(got) != i+1 {
				t.Errorf("response to message %d", got)
			}
			_, _ = conn.Write(final(wire.Pending))
		}
		_, _ = conn.Write(final(wire.Success))
	})
	w := httptest.NewRecorder()
	handler(address, "PACS").ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/studies/1.2", http.NoBody))
	if w.Code != http.StatusOK || w.Body.String() != "abcd"+string(long) {
		t.Errorf("status %d, %d bytes", w.Code, w.Body.Len())
	}
}

func TestFloorBreaksTheAnswerOffIfTheRetrievalFails(t *testing.T) {
	for name, script := range map[string]func(net.Conn){
		"failure":            func(conn net.Conn) { _, _ = conn.Write(final(0xa702)) },
		"another command":    func(conn net.Conn) { _, _ = conn.Write(wire.PDV(1, wire.Command|wire.Last, wire.CommandSet())) },
		"another PDU":        func(conn net.Conn) { _, _ = conn.Write(wire.PDU(wire.ReleaseRQ, make([]byte, 4))) },
		"PDV beyond its PDU": func(conn net.Conn) { _, _ = conn.Write(wire.PDU(wire.PDataTF, []byte{0, 0, 1, 0, 3, 0})) },
		"end":                func(net.Conn) {},
		"end in a data set": func(conn net.Conn) {
			_, _ = conn.Write(wire.PDU(wire.PDataTF, []byte{0, 0, 0, 100, 3, 0}, make([]byte, 98))[:50])
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if got, _ := recover().(error); !errors.Is(got, http.ErrAbortHandler) {
					t.Errorf("%v", got)
				}
			}()
			handler(pacs(t, script), "PACS").ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/studies/1.2", http.NoBody))
		})
	}
	w := httptest.NewRecorder()
	handler("127.0.0.1:1", "PACS").ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/studies/1.2", http.NoBody))
	if w.Code != http.StatusBadGateway {
		t.Errorf("status %d", w.Code)
	}
}
