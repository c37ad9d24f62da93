//go:build interop

package interop

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/dicomtest"
)

// countingProxy forwards a port to a PACS, counts the associations that are open at the same time, and delays the first response of
// each.
type countingProxy struct {
	source // with the port of the countingProxy
	think  time.Duration

	mu             sync.Mutex
	open, most, rj int
}

// PDU types (PS3.8 section 9.3).
const (
	associateRJ = 3
	pDataTF     = 4
	releaseRP   = 6
)

func newCountingProxy(t *testing.T, pacs source, think time.Duration) *countingProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &countingProxy{source: pacs, think: think}
	s.port = portOf(t, l.Addr().String())
	var wait sync.WaitGroup
	t.Cleanup(func() {
		assert.NoError(t, l.Close())
		wait.Wait()
	})
	wait.Go(func() {
		for {
			outer, err := l.Accept()
			if err != nil {
				return
			}
			wait.Go(func() { s.pass(outer, address(pacs.port)) })
		}
	})
	return s
}

// seen returns the largest number of associations at the same time, and the number of rejections.
func (s *countingProxy) seen() (most, rejected int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most, s.rj
}

func (s *countingProxy) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open += n
	s.most = max(s.most, s.open)
}

func (s *countingProxy) pass(outer net.Conn, pacs string) {
	defer outer.Close()
	s.count(1)
	// Counted before the gateway sees the end, after which it may open the next association at once.
	left := sync.OnceFunc(func() { s.count(-1) })
	defer left()
	inner, err := net.Dial("tcp", pacs)
	if err != nil {
		return
	}
	defer inner.Close()
	go func() {
		_, _ = io.Copy(inner, outer)
		_ = inner.Close()
	}()
	thought := false
	for {
		pdu, err := readPDU(inner)
		if err != nil {
			return
		}
		switch pdu[0] {
		case associateRJ:
			s.mu.Lock()
			s.rj++
			s.mu.Unlock()
			left()
		case pDataTF:
			if !thought {
				dicomtest.Wait(s.think)
				thought = true
			}
		case releaseRP:
			left()
		}
		if _, err := outer.Write(pdu); err != nil {
			return
		}
	}
}

func readPDU(r io.Reader) ([]byte, error) {
	header := make([]byte, 6)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	pdu := make([]byte, 6+binary.BigEndian.Uint32(header[2:]))
	copy(pdu, header)
	_, err := io.ReadFull(r, pdu[6:])
	return pdu, err
}
