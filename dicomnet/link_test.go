package dicomnet

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"dicom-qr-gateway/dicomnet/socket"
)

// An ACK is requested before the link waits for the rest of a message, which the peer may hold back
// until its first segment is acknowledged.
func TestLinkRequestsACKsOnlyWhenThePeerMayWaitForOne(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer func() { _ = theirs.Close() }()
	l := newLink(ours, 0)
	var modes []int
	l.setQuickACK = func(mode int) { modes = append(modes, mode) }
	exchange := func(parts ...string) {
		go func() {
			buffer := make([]byte, 8)
			_, _ = theirs.Read(buffer)
			for _, part := range parts {
				_, _ = theirs.Write([]byte(part))
			}
		}()
		require.NoError(t, l.write([]byte("request"), 1))
		for _, part := range parts {
			require.NoError(t, l.fill(len(part), &deadline{}))
			l.r += len(part)
		}
	}
	exchange("whole")
	assert.Empty(t, modes, "the request acknowledges what arrived before it")
	exchange("a part", "the rest", "and one more")
	assert.Equal(t, []int{socket.AckNow, socket.AckNow}, modes)

	l.conn = tls.Client(ours, &tls.Config{InsecureSkipVerify: true})
	modes = nil
	l.requestACK()
	l.requestACK()
	assert.Equal(t, []int{socket.AckNext, socket.AckNext}, modes)
}

// A fragment that is read to its last byte does not show that the next PDU has arrived.
func TestLinkRequestsAnACKAfterAReadPastTheBuffer(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	defer func() { _ = theirs.Close() }()
	l := newLink(ours, 0)
	var modes []int
	l.setQuickACK = func(mode int) { modes = append(modes, mode) }
	go func() {
		for range 3 {
			_, _ = theirs.Write(make([]byte, minDirectRead))
		}
	}()
	p := make([]byte, minDirectRead)
	for range 3 {
		n, err := l.readInto(p, &deadline{})
		require.NoError(t, err)
		require.Equal(t, len(p), n)
	}
	assert.Equal(t, []int{socket.AckNow, socket.AckNow}, modes)
}
