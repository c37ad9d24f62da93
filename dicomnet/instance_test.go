package dicomnet

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/pdu"
)

// endlessConn is a connection from which one PDU can be read again and again.
type endlessConn struct {
	net.Conn
	pdu []byte
	at  int
}

func (c *endlessConn) Read(p []byte) (n int, err error) {
	for n < len(p) {
		k := copy(p[n:], c.pdu[c.at:])
		n += k
		c.at = (c.at + k) % len(c.pdu)
	}
	return n, nil
}

func (*endlessConn) SetReadDeadline(time.Time) error { return nil }

// BenchmarkInstance reads a data set in PDUs of the length that retrievals offer.
func BenchmarkInstance(b *testing.B) {
	stream := endlessStream(RetrievalPDULength - pdu.PDVHeaderLength)
	in := &Instance{stream: stream}
	buffer := make([]byte, 256<<10)
	b.SetBytes(RetrievalPDULength)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.CopyBuffer(io.Discard, io.LimitReader(struct{ io.Reader }{in}, RetrievalPDULength), buffer); err != nil {
			b.Fatal(err)
		}
	}
}

// endlessStream returns a data set without an end whose fragments have n bytes.
func endlessStream(n int) dataStream {
	conn := &endlessConn{pdu: pdu.AppendPDataTF(nil, pdu.PDV{ContextID: 3, Fragment: make([]byte, n)})}
	u := &upperLayer{link: newLink(conn, time.Second), limits: Limits{MaxInstance: 1 << 60}.withDefaults(), state: sta6}
	u.limits.MaxReceivedPDULength = 1 << 20
	return dataStream{messages: &assembler{upper: u, phase: inStream}, contextID: 3}
}

func TestFragmentsCostNoMemory(t *testing.T) {
	for _, n := range []int{200, 16378, RetrievalPDULength - pdu.PDVHeaderLength} {
		in := &Instance{stream: endlessStream(n)}
		buffer := make([]byte, 64<<10)
		assert.Zero(t, testing.AllocsPerRun(1000, func() {
			_, err := io.ReadFull(in, buffer)
			require.NoError(t, err)
		}), "fragments of %d bytes", n)
	}
}
